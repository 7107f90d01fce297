/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugins/remote_network.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/str.h"

json_t *remote_ids(const char *network, const char *endpoint)
{
	json_t *o = json_object();

	json_put(o, "NetworkID", json_string(network));
	if (endpoint)
		json_put(o, "EndpointID", json_string(endpoint));
	return o;
}

int remote_check_gateways(struct plugins *p, const char *plugin, json_t *options, bool ret_skip[2],
			  struct cnm_error *err)
{
	static const char method[] = PLUGIN_NETWORK ".GwAllocCheck";
	_json_ json_t *answer = NULL;
	json_t *args = json_object();
	int r;

	json_put(args, "Options", options);
	r = plugins_call(p, plugin, method, args, &answer, err);
	if (r < 0)
		return r;
	if (json_get_bool(answer, "SkipIPv4", &ret_skip[0], err) < 0 ||
	    json_get_bool(answer, "SkipIPv6", &ret_skip[1], err) < 0)
		return plugin_wrong_answer(plugin, method, err);
	return 0;
}

int remote_create_network(struct plugins *p, const char *plugin, const char *network,
			  json_t *options, json_t *ipv4, json_t *ipv6, struct cnm_error *err)
{
	json_t *args = remote_ids(network, NULL);

	json_put(args, "Options", options);
	json_put(args, "IPv4Data", ipv4);
	json_put(args, "IPv6Data", ipv6);
	return plugins_call(p, plugin, PLUGIN_NETWORK ".CreateNetwork", args, NULL, err);
}

/* ---- endpoints */

static json_t *prefix_json(const struct cnm_prefix *p)
{
	char buf[PREFIX_STR];

	return json_string(prefix_is_set(p) ? prefix_format(p, buf) : "");
}

static json_t *interface_json(const struct remote_endpoint *ep)
{
	json_t *o = json_object();
	char buf[MAC_STR];

	json_put(o, "Address", prefix_json(&ep->addr[0]));
	json_put(o, "AddressIPv6", prefix_json(&ep->addr[1]));
	json_put(o, "MacAddress",
		 json_string(mac_is_set(&ep->mac) ? mac_format(&ep->mac, buf) : ""));
	return o;
}

static int decode_address(const json_t *o, const char *key, int family, struct cnm_prefix *addr,
			  struct cnm_error *err)
{
	struct cnm_prefix given;
	const char *s = "";
	int r = json_get_string(o, key, &s, err);

	if (r < 0 || !s[0])
		return r;
	if (prefix_parse(&given, s) < 0 || given.ip.family != family || !given.len ||
	    ip_is_unspecified(&given.ip) || ip_is_multicast(&given.ip))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "Interface.%s: \"%.64s\" is no address with its length", key,
				     s);
	if (prefix_is_set(addr) && !prefix_eq(addr, &given))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "Interface.%s: it has one already, which cannot be changed to "
				     "%.64s",
				     key, s);
	*addr = given;
	return 0;
}

static int decode_mac(const json_t *o, struct cnm_mac *mac, struct cnm_error *err)
{
	struct cnm_mac given;
	const char *s = "";
	int r = json_get_string(o, "MacAddress", &s, err);

	if (r < 0 || !s[0])
		return r;
	if (mac_parse(&given, s) < 0 || !mac_is_unicast(&given))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "Interface.MacAddress: \"%.64s\" cannot be one", s);
	if (mac_is_set(mac) && !mac_eq(mac, &given))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "Interface.MacAddress: it has one already, which cannot be "
				     "changed to %.64s",
				     s);
	*mac = given;
	return 0;
}

int remote_endpoint_decode(const json_t *answer, struct remote_endpoint *ep, struct cnm_error *err)
{
	struct remote_endpoint told = *ep;
	json_t *o = NULL;
	int r = json_get_object(answer, "Interface", &o, err);

	if (r < 0 || !o)
		return r;
	if ((r = decode_address(o, "Address", AF_INET, &told.addr[0], err)) < 0 ||
	    (r = decode_address(o, "AddressIPv6", AF_INET6, &told.addr[1], err)) < 0 ||
	    (r = decode_mac(o, &told.mac, err)) < 0)
		return r;
	*ep = told;
	return 0;
}

int remote_create_endpoint(struct plugins *p, const char *plugin, struct remote_endpoint *ep,
			   struct cnm_error *err)
{
	static const char method[] = PLUGIN_NETWORK ".CreateEndpoint";
	json_t *args = remote_ids(ep->network, ep->id);
	_json_ json_t *answer = NULL;
	int r;

	json_put(args, "Interface", interface_json(ep));
	json_put(args, "Options", json_incref(ep->options));
	r = plugins_call(p, plugin, method, args, &answer, err);
	if (r < 0)
		return r;
	return remote_endpoint_decode(answer, ep, err) < 0
		       ? plugin_wrong_answer(plugin, method, err)
		       : 0;
}

int remote_join(struct plugins *p, const char *plugin, const struct remote_endpoint *ep,
		struct join *ret, struct cnm_error *err)
{
	static const char method[] = PLUGIN_NETWORK ".Join";
	json_t *args = remote_ids(ep->network, ep->id);
	_json_ json_t *answer = NULL;
	int r;

	json_put(args, "SandboxKey", json_string(ep->sandbox_key));
	json_put(args, "Options", json_incref(ep->options));
	r = plugins_call(p, plugin, method, args, &answer, err);
	if (r < 0)
		return r;
	return join_decode(answer, ret, err) < 0 ? plugin_wrong_answer(plugin, method, err) : 0;
}
