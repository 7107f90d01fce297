/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to an endpoint of Docker's: CreateEndpoint, Join, ProgramExternalConnectivity, and
 * back. What is already as it should be is success, since dockerd repeats a call whose answer it
 * did not get.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "adapters/docker_internal.h"
#include "base/json.h"
#include "base/str.h"

static int no_memory(struct docker_call *c)
{
	return cnm_error_errno(&c->err, ENOMEM, "write the answer");
}

/* ---- create */

static int find_network(struct docker_call *c, const struct docker_endpoint *d, json_t **ret)
{
	struct cnm_prefix subnet = prefix_masked(ip_is_set(&d->ip4.ip) ? &d->ip4 : &d->ip6);
	char name[DOCKER_NAME];
	int r = docker_find_network(c, docker_name(d->network, name), ret);

	if (r > 0 && prefix_is_set(&subnet))
		r = docker_find_network_at(c, &subnet, ret);
	if (r > 0)
		r = cnm_error_set(
			&c->err, CNM_E_NOT_FOUND,
			"cnm has no network of Docker's network %.12s any more: remove it "
			"by `docker network rm`, and create it again",
			d->network);
	return r;
}

static bool is_same(const json_t *endpoint, const struct cnm_prefix *asked, int family)
{
	struct cnm_prefix has = docker_address_of(endpoint, family);

	return !ip_is_set(&asked->ip) || ip_eq(&asked->ip, &has.ip);
}

/*
 * The one that was made when the address was requested, if it is that address and nobody's yet; or
 * the one that this same call made before. 1: neither.
 */
static int find_made(struct docker_call *c, const json_t *network, const struct docker_endpoint *d,
		     json_t **ret)
{
	char name[DOCKER_NAME], ref[ID_SIZE + DOCKER_NAME];
	const char *in = docker_get(network, "Id");
	int r = 1;

	if (mac_is_set(&d->mac)) {
		snprintf(ref, sizeof(ref), "%s/%s", in, docker_mac_name(&d->mac, name));
		r = docker_find_endpoint(c, ref, ret);
	}
	if (r == 0 && (docker_get(*ret, "Sandbox")[0] || !is_same(*ret, &d->ip4, AF_INET) ||
		       !is_same(*ret, &d->ip6, AF_INET6))) {
		json_decref(take_ptr(*ret));
		r = 1;
	}
	if (r > 0) {
		snprintf(ref, sizeof(ref), "%s/%s", in, docker_name(d->id, name));
		r = docker_find_endpoint(c, ref, ret);
	}
	return r;
}

/*
 * Docker's own IPAM gives an address again at once. A MAC that follows from it, as that of Docker's
 * own bridges, is what its neighbours may still remember.
 */
static struct cnm_mac mac_for(const struct docker_endpoint *d)
{
	const uint8_t *b = d->ip4.ip.b;

	if (mac_is_set(&d->mac) || !ip_is_set(&d->ip4.ip))
		return d->mac;
	return (struct cnm_mac){ { 0x02, 0x42, b[0], b[1], b[2], b[3] } };
}

static int make(struct docker_call *c, const json_t *network, const struct docker_endpoint *d,
		json_t **ret)
{
	char name[DOCKER_NAME], ip4[IP_STR], ip6[IP_STR], mac[MAC_STR], id[CNM_ID_SIZE];
	struct cnm_mac address = mac_for(d);
	const struct cnm_endpoint_config config = {
		.name = docker_name(d->id, name),
		.ipv4 = ip_format(&d->ip4.ip, ip4),
		.ipv6 = ip_format(&d->ip6.ip, ip6),
		.mac = mac_is_set(&address) ? mac_format(&address, mac) : NULL,
	};
	int r = cnm_endpoint_create(c->engine, docker_get(network, "Id"), &config, NULL, id,
				    &c->err);

	if (r == 0 && (r = docker_find_endpoint(c, id, ret)) > 0)
		r = cnm_error_set(&c->err, CNM_E_CONFLICT, "endpoint %s went as it came", name);
	return r;
}

static int make_sandbox(struct docker_call *c, const char *docker_id, const json_t *endpoint)
{
	char name[DOCKER_NAME], id[CNM_ID_SIZE];
	const struct cnm_kv label = { LABEL_ENDPOINT, docker_get(endpoint, "Id") };
	const struct cnm_sandbox_config config = { .id = docker_id,
						   .name = docker_name(docker_id, name),
						   .foreign = true,
						   .labels = &label,
						   .n_labels = 1 };

	return cnm_sandbox_create(c->engine, &config, NULL, id, &c->err);
}

/* Only what Docker has not: it refuses to be told another address than its own. */
static int answer_interface(struct docker_call *c, const struct docker_endpoint *d,
			    const json_t *endpoint)
{
	struct cnm_prefix ip4 = docker_address_of(endpoint, AF_INET),
			  ip6 = docker_address_of(endpoint, AF_INET6);
	json_t *o = json_object();
	char buf[PREFIX_STR];
	int r = 0;

	if (!mac_is_set(&d->mac))
		r |= json_put(o, "MacAddress", json_string(docker_get(endpoint, "MacAddress")));
	if (!ip_is_set(&d->ip4.ip) && ip_is_set(&ip4.ip))
		r |= json_put(o, "Address", json_string(prefix_format(&ip4, buf)));
	if (!ip_is_set(&d->ip6.ip) && ip_is_set(&ip6.ip))
		r |= json_put(o, "AddressIPv6", json_string(prefix_format(&ip6, buf)));
	r |= json_put(c->answer, "Interface", o);
	return r < 0 ? no_memory(c) : 0;
}

/* The endpoint that a sandbox stands for: 0, 1 if either is gone. */
static int find_joined(struct docker_call *c, const char *id, json_t **ret_sandbox, json_t **ret)
{
	int r = docker_find_sandbox(c, id, ret_sandbox);

	return r ? r
		 : docker_find_endpoint(
			   c, docker_get(json_object_get(*ret_sandbox, "Labels"), LABEL_ENDPOINT),
			   ret);
}

static int create(struct docker_call *c, const struct docker_endpoint *d, json_t **ret)
{
	_json_ json_t *network = NULL;
	bool made = false;
	int r = find_network(c, d, &network);

	if (r == 0)
		r = find_made(c, network, d, ret);
	if (r > 0) {
		r = make(c, network, d, ret);
		if (r < 0 && docker_make_way(c, docker_get(network, "Id"), d) > 0)
			r = make(c, network, d, ret);
		made = r == 0;
	}
	if (r == 0)
		r = make_sandbox(c, d->id, *ret);
	if (r < 0 && made)
		cnm_endpoint_remove(c->engine, docker_get(*ret, "Id"), false, NULL, NULL);
	return r;
}

int docker_create_endpoint(struct docker_call *c)
{
	_json_ json_t *sandbox = NULL, *endpoint = NULL;
	struct docker_endpoint d;
	int r = docker_decode_endpoint(c->body, &d, &c->err);

	if (r == 0)
		r = find_joined(c, d.id, &sandbox, &endpoint);
	if (r > 0)
		r = create(c, &d, &endpoint);
	return r < 0 ? r : answer_interface(c, &d, endpoint);
}

/* ---- join */

/* The other subnets of an overlay network are reached on its link. */
static int put_routes(struct docker_call *c, const json_t *network, const json_t *endpoint)
{
	json_t *routes = json_array();
	const json_t *config;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(json_object_get(network, "IPAM"), "Config"), i,
			    config) {
		const char *text = docker_get(config, "Subnet");
		struct cnm_prefix subnet = { 0 }, has;

		prefix_parse(&subnet, text);
		has = docker_address_of(endpoint, subnet.ip.family);
		if (ip_is_set(&has.ip) && !prefix_has(&subnet, &has.ip))
			r |= json_push(routes,
				       json_pack("{s:s,s:i}", "Destination", text, "RouteType", 1));
	}
	return r | json_put(c->answer, "StaticRoutes", routes);
}

static int answer_join(struct docker_call *c, const json_t *network, const json_t *endpoint)
{
	bool internal = json_is_true(json_object_get(network, "Internal"));
	bool overlay = streq(docker_get(network, "Driver"), "overlay");
	static const int families[] = { AF_INET, AF_INET6 };
	static const char *const keys[] = { "Gateway", "GatewayIPv6" };
	int r = json_put(c->answer, "InterfaceName",
			 json_pack("{s:s,s:s}", "SrcName", docker_get(endpoint, "Interface"),
				   "DstPrefix", "eth"));

	for (unsigned f = 0; f < 2; f++) {
		struct cnm_prefix has = docker_address_of(endpoint, families[f]);
		struct cnm_prefix subnet = prefix_masked(&has);
		const json_t *config = docker_subnet(network, &subnet);

		if (!internal && !overlay && config)
			r |= json_put(c->answer, keys[f],
				      json_string(docker_get(config, "Gateway")));
	}
	r |= put_routes(c, network, endpoint);
	/* Else Docker gives it a way out by a network of its own if it has none yet. */
	r |= json_put(c->answer, "DisableGatewayService", json_boolean(internal));
	return r < 0 ? no_memory(c) : 0;
}

static int lost(struct docker_call *c, const char *id)
{
	return cnm_error_set(&c->err, CNM_E_NOT_FOUND,
			     "cnm has no endpoint for Docker's %.12s any more: connect the "
			     "container again, or restart it",
			     id);
}

int docker_join(struct docker_call *c)
{
	_json_ json_t *sandbox = NULL, *endpoint = NULL, *joined = NULL, *network = NULL;
	const char *id, *ep;
	char *text;
	int r = docker_decode_endpoint_id(c->body, &id, &c->err);

	if (r == 0 && (r = find_joined(c, id, &sandbox, &endpoint)) > 0)
		r = lost(c, id);
	if (r < 0)
		return r;
	ep = docker_get(endpoint, "Id");
	if (!streq(docker_get(endpoint, "Sandbox"), id))
		r = cnm_endpoint_join(c->engine, ep, id, NULL, &c->err);
	if (r == 0 && (r = docker_find_endpoint(c, ep, &joined)) > 0)
		r = lost(c, id);
	if (r == 0)
		r = cnm_network_inspect(c->engine, docker_get(joined, "Network"), false, &text,
					&c->err);
	if (r == 0)
		r = docker_load(c, text, &network);
	return r < 0 ? r : answer_join(c, network, joined);
}

/* ---- published ports */

int docker_publish(struct docker_call *c)
{
	const struct cnm_publish *ports = NULL;
	const char *id;
	size_t n = 0;
	int r = docker_decode_endpoint_id(c->body, &id, &c->err);

	if (r == 0)
		r = docker_decode_ports(&c->memory, c->body, &ports, &n, &c->err);
	return r < 0 ? r : cnm_sandbox_publish(c->engine, id, ports, n, NULL, &c->err);
}

int docker_unpublish(struct docker_call *c)
{
	const char *id;
	int r = docker_decode_endpoint_id(c->body, &id, &c->err);

	return r < 0 ? r
		     : docker_unless_gone(
			       c, cnm_sandbox_publish(c->engine, id, NULL, 0, NULL, &c->err));
}

/* ---- and back */

int docker_leave(struct docker_call *c)
{
	_json_ json_t *sandbox = NULL, *endpoint = NULL;
	const char *id;
	int r = docker_decode_endpoint_id(c->body, &id, &c->err);

	if (r == 0)
		r = find_joined(c, id, &sandbox, &endpoint);
	if (r != 0 || !streq(docker_get(endpoint, "Sandbox"), id))
		return r < 0 ? r : 0;
	return docker_unless_gone(
		c, cnm_endpoint_leave(c->engine, docker_get(endpoint, "Id"), NULL, &c->err));
}

/* One whose address was requested stays until that is released. */
int docker_delete_endpoint(struct docker_call *c)
{
	_json_ json_t *sandbox = NULL, *own = NULL;
	char name[DOCKER_NAME];
	const char *id;
	int r = docker_decode_endpoint_id(c->body, &id, &c->err);

	if (r == 0)
		r = docker_find_sandbox(c, id, &sandbox);
	if (r == 0)
		r = docker_unless_gone(c, cnm_sandbox_remove(c->engine, id, NULL, &c->err));
	if (r >= 0)
		r = docker_find_endpoint(c, docker_name(id, name), &own);
	if (r != 0 || docker_get(own, "Host")[0])
		return r < 0 ? r : 0;
	return docker_unless_gone(
		c, cnm_endpoint_remove(c->engine, docker_get(own, "Id"), true, NULL, &c->err));
}
