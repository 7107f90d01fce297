/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/join.h"

#include <ctype.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/str.h"

/* libnetwork's, of StaticRoutes.RouteType */
enum { ROUTE_NEXT_HOP, ROUTE_CONNECTED };

/* As the kernel takes it. */
static bool is_ifname(const char *s, size_t max)
{
	if (strlen(s) > max || streq(s, ".") || streq(s, ".."))
		return false;
	for (; *s; s++)
		if (!isgraph((unsigned char)*s) || *s == '/' || *s == ':')
			return false;
	return true;
}

static int decode_interface(const json_t *o, struct join *j, struct cnm_error *err)
{
	const char *src = "", *prefix = "";
	json_t *name = NULL;
	int r = json_get_object(o, "InterfaceName", &name, err);

	if (r == 0 && name && (r = json_get_string(name, "SrcName", &src, err)) == 0)
		r = json_get_string(name, "DstPrefix", &prefix, err);
	if (r < 0)
		return r;
	if (!is_ifname(src, IFNAMSIZ - 1))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "InterfaceName.SrcName: \"%.64s\" is no name of a link", src);
	/* A number follows it. */
	if (!is_ifname(prefix, IFNAMSIZ - 5))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "InterfaceName.DstPrefix: \"%.64s\" cannot begin the name of "
				     "an interface",
				     prefix);
	str_copy(j->src, sizeof(j->src), src);
	str_copy(j->prefix, sizeof(j->prefix), prefix[0] ? prefix : "eth");
	return 0;
}

static int decode_ip(const json_t *o, const char *key, int family, struct cnm_ip *ret,
		     struct cnm_error *err)
{
	const char *s = "";
	int r = json_get_string(o, key, &s, err);

	if (r < 0 || !s[0])
		return r;
	if (ip_parse(ret, s) < 0 || (family && ret->family != family) || ip_is_unspecified(ret) ||
	    ip_is_multicast(ret))
		return cnm_error_set(err, CNM_E_INTERNAL, "%s: \"%.64s\" cannot be one", key, s);
	return 0;
}

static int decode_route(const json_t *o, struct join_route *r, struct cnm_error *err)
{
	const char *dst = "";
	int64_t type = ROUTE_NEXT_HOP;
	int rc = json_get_string(o, "Destination", &dst, err);

	if (rc == 0)
		rc = json_get_int(o, "RouteType", &type, err);
	if (rc < 0)
		return rc;
	if (prefix_parse(&r->dst, dst) < 0)
		return cnm_error_set(err, CNM_E_INTERNAL, "Destination: \"%.64s\" is no subnet",
				     dst);
	if (type == ROUTE_CONNECTED)
		return 0;
	rc = decode_ip(o, "NextHop", r->dst.ip.family, &r->via, err);
	if (rc == 0 && (type != ROUTE_NEXT_HOP || !ip_is_set(&r->via)))
		rc = cnm_error_set(err, CNM_E_INTERNAL,
				   "RouteType: %lld is neither 0, with a NextHop, nor 1",
				   (long long)type);
	return rc;
}

static int decode_routes(const json_t *o, struct join *j, struct cnm_error *err)
{
	json_t *list = NULL, *route;
	size_t i;
	int r = json_get_array(o, "StaticRoutes", &list, err);

	if (r < 0)
		return r;
	json_array_foreach (list, i, route) {
		if (i == JOIN_MAX_ROUTES)
			return cnm_error_set(err, CNM_E_INTERNAL, "StaticRoutes: more than %d",
					     JOIN_MAX_ROUTES);
		if (!json_is_object(route))
			return cnm_error_set(err, CNM_E_INTERNAL, "StaticRoutes: %zu is no object",
					     i);
		r = decode_route(route, &j->routes[i], err);
		if (r < 0)
			return cnm_error_prefix(err, "StaticRoutes: %zu", i), r;
		j->n_routes++;
	}
	return 0;
}

int join_decode(const json_t *o, struct join *ret, struct cnm_error *err)
{
	struct join j = { 0 };
	int r;

	if ((r = decode_interface(o, &j, err)) < 0 ||
	    (r = decode_ip(o, "Gateway", AF_INET, &j.gateway[0], err)) < 0 ||
	    (r = decode_ip(o, "GatewayIPv6", AF_INET6, &j.gateway[1], err)) < 0 ||
	    (r = json_get_bool(o, "DisableGatewayService", &j.no_gateway_service, err)) < 0 ||
	    (r = decode_routes(o, &j, err)) < 0)
		return r;
	*ret = j;
	return 0;
}

static json_t *ip_json(const struct cnm_ip *ip)
{
	char buf[IP_STR];

	return json_string(ip_is_set(ip) ? ip_format(ip, buf) : "");
}

json_t *join_encode(const struct join *j)
{
	json_t *o = json_object(), *name = json_object(), *routes = json_array();

	json_put(name, "SrcName", json_string(j->src));
	json_put(name, "DstPrefix", json_string(j->prefix));
	for (unsigned i = 0; i < j->n_routes; i++) {
		const struct join_route *r = &j->routes[i];
		json_t *route = json_object();
		char buf[PREFIX_STR];

		json_put(route, "Destination", json_string(prefix_format(&r->dst, buf)));
		json_put(route, "RouteType",
			 json_integer(ip_is_set(&r->via) ? ROUTE_NEXT_HOP : ROUTE_CONNECTED));
		json_put(route, "NextHop", ip_json(&r->via));
		json_push(routes, route);
	}
	json_put(o, "InterfaceName", name);
	json_put(o, "Gateway", ip_json(&j->gateway[0]));
	json_put(o, "GatewayIPv6", ip_json(&j->gateway[1]));
	json_put(o, "DisableGatewayService", json_boolean(j->no_gateway_service));
	json_put(o, "StaticRoutes", routes);
	return o;
}

bool join_is_way_out(const struct join *j, int family)
{
	if (ip_is_set(&j->gateway[family == AF_INET6]))
		return true;
	for (unsigned i = 0; i < j->n_routes; i++)
		if (j->routes[i].dst.ip.family == family && j->routes[i].dst.len == 0)
			return true;
	return false;
}
