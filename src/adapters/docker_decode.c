/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "adapters/docker_decode.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/id.h"
#include "base/json.h"
#include "base/str.h"

#define GENERIC "com.docker.network.generic"

static int no_memory(struct cnm_error *err)
{
	return cnm_error_errno(err, ENOMEM, "decode Docker's request");
}

/* dockerd repeats a call, when the connection broke, without its body. */
static int check_body(const json_t *body, struct cnm_error *err)
{
	if (!body)
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "cnmd ended during this call, and dockerd does not tell again "
				     "what it was about: try again");
	return json_is_object(body) ? 0
				    : cnm_error_set(err, CNM_E_INVALID,
						    "the body of this call must be a JSON object");
}

/* ---- values */

static int get_id(const json_t *body, const char *key, const char **ret, struct cnm_error *err)
{
	const char *id = "";
	int r = check_body(body, err);

	if (r == 0)
		r = json_get_string(body, key, &id, err);
	if (r == 0 && !id_is_valid(id))
		r = cnm_error_set(err, CNM_E_INVALID,
				  "%s \"%.80s\" is no id: it must be 64 hex digits", key, id);
	if (r == 0)
		*ret = id;
	return r;
}

/* "" counts as not given, everywhere. family 0: either. */
static int get_prefix(const json_t *o, const char *key, int family, struct cnm_prefix *ret,
		      struct cnm_error *err)
{
	const char *s = "";
	int r = json_get_string(o, key, &s, err);

	if (r < 0 || !*s)
		return r;
	if (prefix_parse(ret, s) < 0 || (family && ret->ip.family != family))
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s \"%.80s\" is no IP%s address with a length", key, s,
				     !family             ? ""
				     : family == AF_INET ? "v4"
							 : "v6");
	return 0;
}

static int get_mac(const json_t *o, const char *key, struct cnm_mac *ret, struct cnm_error *err)
{
	const char *s = "";
	int r = json_get_string(o, key, &s, err);

	if (r < 0 || !*s)
		return r;
	if (mac_parse(ret, s) < 0 || !mac_is_unicast(ret))
		return cnm_error_set(err, CNM_E_INVALID, "%s \"%.80s\" is no address of one link",
				     key, s);
	return 0;
}

/* The address of "10.0.0.1/24", which stays what it is if it is none: the library says so. */
static int without_length(struct api_memory *memory, const char *s, const char **ret,
			  struct cnm_error *err)
{
	size_t n = strcspn(s, "/");
	char *copy = api_memory_get(memory, n + 1, 1);

	if (!copy)
		return no_memory(err);
	memcpy(copy, s, n);
	*ret = copy;
	return 0;
}

static int get_kvs(struct api_memory *memory, const json_t *o, const char *key,
		   const struct cnm_kv **ret, size_t *ret_n, struct cnm_error *err)
{
	json_t *map = NULL, *v;
	struct cnm_kv *kvs;
	const char *k;
	size_t n = 0;
	int r = json_get_strings(o, key, &map, err);

	if (r < 0 || !map)
		return r;
	kvs = api_memory_get(memory, json_object_size(map), sizeof(*kvs));
	if (!kvs)
		return no_memory(err);
	json_object_foreach (map, k, v)
		kvs[n++] = (struct cnm_kv){ k, json_string_value(v) };
	*ret = kvs;
	*ret_n = n;
	return 0;
}

/* ---- networks */

static int decode_data(struct api_memory *memory, const json_t *data, struct cnm_pool_config *ret,
		       struct cnm_error *err)
{
	const char *gateway = "";
	struct cnm_kv *aux;
	int r = check_body(data, err);

	if (r == 0)
		r = json_get_string(data, "Pool", &ret->subnet, err);
	if (r == 0)
		r = json_get_string(data, "Gateway", &gateway, err);
	if (r == 0 && *gateway)
		r = without_length(memory, gateway, &ret->gateway, err);
	if (r == 0)
		r = get_kvs(memory, data, "AuxAddresses", &ret->aux, &ret->n_aux, err);
	aux = (struct cnm_kv *)ret->aux;
	for (size_t i = 0; r == 0 && i < ret->n_aux; i++)
		r = without_length(memory, aux[i].value, &aux[i].value, err);
	return r;
}

static int decode_pools(struct api_memory *memory, const json_t *body, const char *key,
			struct docker_network *ret, struct cnm_error *err)
{
	json_t *list = NULL, *data;
	size_t i;
	int r = json_get_array(body, key, &list, err);

	if (r < 0)
		return r;
	json_array_foreach (list, i, data) {
		if (ret->n_pools == DOCKER_POOLS)
			return cnm_error_set(err, CNM_E_INVALID, "more than %d subnets",
					     DOCKER_POOLS);
		r = decode_data(memory, data, &ret->pools[ret->n_pools++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int docker_decode_network(struct api_memory *memory, json_t *body, struct docker_network *ret,
			  struct cnm_error *err)
{
	json_t *options = NULL;
	int r;

	*ret = (struct docker_network){ .id = NULL };
	r = get_id(body, "NetworkID", &ret->id, err);
	if (r == 0)
		r = json_get_object(body, "Options", &options, err);
	if (r == 0)
		r = json_get_bool(options, "com.docker.network.enable_ipv6", &ret->ipv6, err);
	if (r == 0)
		r = json_get_bool(options, "com.docker.network.internal", &ret->internal, err);
	if (r == 0)
		r = get_kvs(memory, options, GENERIC, &ret->options, &ret->n_options, err);
	if (r == 0)
		r = decode_pools(memory, body, "IPv4Data", ret, err);
	ret->ipv4 = ret->n_pools > 0;
	return r < 0 ? r : decode_pools(memory, body, "IPv6Data", ret, err);
}

int docker_decode_network_id(json_t *body, const char **ret, struct cnm_error *err)
{
	return get_id(body, "NetworkID", ret, err);
}

/* ---- endpoints */

int docker_decode_endpoint_id(json_t *body, const char **ret, struct cnm_error *err)
{
	return get_id(body, "EndpointID", ret, err);
}

int docker_decode_endpoint(json_t *body, struct docker_endpoint *ret, struct cnm_error *err)
{
	json_t *interface = NULL;
	int r;

	*ret = (struct docker_endpoint){ .id = NULL };
	r = get_id(body, "NetworkID", &ret->network, err);
	if (r == 0)
		r = get_id(body, "EndpointID", &ret->id, err);
	if (r == 0)
		r = json_get_object(body, "Interface", &interface, err);
	if (r == 0)
		r = get_prefix(interface, "Address", AF_INET, &ret->ip4, err);
	if (r == 0)
		r = get_prefix(interface, "AddressIPv6", AF_INET6, &ret->ip6, err);
	return r < 0 ? r : get_mac(interface, "MacAddress", &ret->mac, err);
}

static int get_port(const json_t *o, const char *key, unsigned *ret, struct cnm_error *err)
{
	int64_t n = 0;
	int r = json_get_int(o, key, &n, err);

	if (r == 0 && (n < 0 || n > 65535))
		r = cnm_error_set(err, CNM_E_INVALID, "%s %lld is no port", key, (long long)n);
	if (r == 0)
		*ret = (unsigned)n;
	return r;
}

static int decode_port(const json_t *o, struct cnm_publish *ret, struct cnm_error *err)
{
	int64_t proto = 0;
	int r = check_body(o, err);

	if (r == 0)
		r = json_get_int(o, "Proto", &proto, err);
	if (r == 0)
		r = json_get_string(o, "HostIP", &ret->host_ip, err);
	if (r == 0)
		r = get_port(o, "Port", &ret->first, err);
	if (r == 0)
		r = get_port(o, "HostPort", &ret->host_first, err);
	if (r == 0)
		r = get_port(o, "HostPortEnd", &ret->host_last, err);
	ret->protocol = proto == 6 ? "tcp" : proto == 17 ? "udp" : proto == 132 ? "sctp" : NULL;
	if (r == 0 && !ret->protocol)
		r = cnm_error_set(err, CNM_E_INVALID,
				  "ports of protocol %lld cannot be published: tcp, udp and sctp "
				  "can",
				  (long long)proto);
	if (r == 0 && !ret->first)
		r = cnm_error_set(err, CNM_E_INVALID, "a port to publish lacks its number");
	ret->last = ret->first;
	if (!ret->host_last)
		ret->host_last = ret->host_first;
	return r;
}

int docker_decode_ports(struct api_memory *memory, json_t *body, const struct cnm_publish **ret,
			size_t *ret_n, struct cnm_error *err)
{
	json_t *options = NULL, *list = NULL, *o;
	struct cnm_publish *ports;
	size_t i;
	int r = check_body(body, err);

	if (r == 0)
		r = json_get_object(body, "Options", &options, err);
	if (r == 0)
		r = json_get_array(options, "com.docker.network.portmap", &list, err);
	if (r < 0)
		return r;
	ports = api_memory_get(memory, json_array_size(list), sizeof(*ports));
	if (!ports)
		return no_memory(err);
	json_array_foreach (list, i, o)
		if ((r = decode_port(o, &ports[i], err)) < 0)
			return r;
	*ret = ports;
	*ret_n = json_array_size(list);
	return 0;
}

/* ---- addresses */

static int get_pool_options(const json_t *body, const char **ret_network, struct cnm_error *err)
{
	json_t *options = NULL, *v;
	const char *k;
	int r = json_get_strings(body, "Options", &options, err);

	if (r < 0)
		return r;
	json_object_foreach (options, k, v) {
		if (!streq(k, "cnm.network"))
			return cnm_error_set(err, CNM_E_INVALID,
					     "unknown --ipam-opt %s: cnm has one, "
					     "cnm.network=NAME, whose subnet is to be used",
					     k);
		*ret_network = json_string_value(v);
	}
	return 0;
}

int docker_decode_pool(json_t *body, struct docker_pool *ret, struct cnm_error *err)
{
	const char *range = "";
	int r;

	*ret = (struct docker_pool){ .network = NULL };
	r = check_body(body, err);
	if (r == 0)
		r = json_get_bool(body, "V6", &ret->ipv6, err);
	if (r == 0)
		r = get_prefix(body, "Pool", ret->ipv6 ? AF_INET6 : AF_INET, &ret->subnet, err);
	if (r == 0)
		r = json_get_string(body, "SubPool", &range, err);
	if (r == 0 && *range)
		r = cnm_error_set(
			err, CNM_E_INVALID,
			"--ip-range %.80s does not go with cnm's IPAM, which Docker does "
			"not tell of it when the network is made: make the network by "
			"`cnm network create --ip-range` and name it by --ipam-opt and -o "
			"cnm.network=NAME",
			range);
	if (r == 0)
		r = get_pool_options(body, &ret->network, err);
	if (prefix_is_set(&ret->subnet))
		ret->subnet = prefix_masked(&ret->subnet);
	return r;
}

int docker_decode_pool_id(json_t *body, struct cnm_prefix *ret, struct cnm_error *err)
{
	int r = check_body(body, err);

	*ret = (struct cnm_prefix){ 0 };
	if (r == 0)
		r = get_prefix(body, "PoolID", 0, ret, err);
	if (r == 0 && !prefix_is_set(ret))
		r = cnm_error_set(err, CNM_E_INVALID, "PoolID is missing");
	return r;
}

int docker_decode_address(json_t *body, struct docker_address *ret, struct cnm_error *err)
{
	const char *address = "";
	json_t *options = NULL;
	int r;

	*ret = (struct docker_address){ .ip = { 0 } };
	r = docker_decode_pool_id(body, &ret->pool, err);
	if (r == 0)
		r = json_get_string(body, "Address", &address, err);
	if (r == 0)
		r = json_get_object(body, "Options", &options, err);
	if (r == 0)
		r = get_mac(options, "com.docker.network.endpoint.macaddress", &ret->mac, err);
	if (r == 0 && *address &&
	    (ip_parse(&ret->ip, address) < 0 || !prefix_has(&ret->pool, &ret->ip)))
		r = cnm_error_set(err, CNM_E_INVALID,
				  "requested address \"%.80s\" is no address of the pool", address);
	return r;
}
