/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugins/remote_ipam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/str.h"

#define MAX_POOL_ID 4096

int remote_address_space(struct plugins *p, const char *plugin, bool global, char **ret,
			 struct cnm_error *err)
{
	static const char method[] = PLUGIN_IPAM ".GetDefaultAddressSpaces";
	_json_ json_t *answer = NULL;
	const char *s = "";
	int r = plugins_call(p, plugin, method, NULL, &answer, err);

	if (r < 0)
		return r;
	if (json_get_string(answer,
			    global ? "GlobalDefaultAddressSpace" : "LocalDefaultAddressSpace", &s,
			    err) < 0)
		return plugin_wrong_answer(plugin, method, err);
	*ret = strdup(s);
	return *ret ? 0 : cnm_error_errno(err, ENOMEM, "address space");
}

/* ---- pools */

/* Its gateway is told with a length. */
static int decode_gateway(const json_t *data, struct remote_pool *pool, struct cnm_error *err)
{
	const char *s = "";
	struct cnm_prefix at;
	int r = json_get_string(data, "com.docker.network.gateway", &s, err);

	if (r < 0 || !s[0])
		return r;
	if (prefix_parse(&at, s) < 0 || !prefix_has(&pool->subnet, &at.ip))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "Data: the gateway \"%.64s\" is no address of the pool", s);
	pool->gateway = at.ip;
	return 0;
}

int remote_pool_decode(const json_t *answer, bool v6, struct remote_pool *ret,
		       struct cnm_error *err)
{
	const char *id = "", *subnet = "";
	struct remote_pool pool = { 0 };
	json_t *data = NULL;
	int r;

	if ((r = json_get_string(answer, "PoolID", &id, err)) < 0 ||
	    (r = json_get_string(answer, "Pool", &subnet, err)) < 0 ||
	    (r = json_get_object(answer, "Data", &data, err)) < 0)
		return r;
	if (strlen(id) > MAX_POOL_ID)
		return cnm_error_set(err, CNM_E_INTERNAL, "PoolID: it has more than %d bytes",
				     MAX_POOL_ID);
	if (prefix_parse(&pool.subnet, subnet) < 0 ||
	    pool.subnet.ip.family != (v6 ? AF_INET6 : AF_INET) || !pool.subnet.len)
		return cnm_error_set(err, CNM_E_INTERNAL, "Pool: \"%.64s\" is no IPv%c subnet",
				     subnet, v6 ? '6' : '4');
	pool.subnet = prefix_masked(&pool.subnet);
	if (data && (r = decode_gateway(data, &pool, err)) < 0)
		return r;
	pool.id = strdup(id);
	if (!pool.id)
		return cnm_error_errno(err, ENOMEM, "pool");
	*ret = pool;
	return 0;
}

int remote_request_pool(struct plugins *p, const char *plugin, const char *space, const char *pool,
			const char *subpool, json_t *options, bool v6, struct remote_pool *ret,
			struct cnm_error *err)
{
	static const char method[] = PLUGIN_IPAM ".RequestPool";
	json_t *args = json_object();
	_json_ json_t *answer = NULL;
	int r;

	json_put(args, "AddressSpace", json_string(space));
	json_put(args, "Pool", json_string(pool));
	json_put(args, "SubPool", json_string(subpool));
	json_put(args, "Options", options);
	json_put(args, "V6", json_boolean(v6));
	r = plugins_call(p, plugin, method, args, &answer, err);
	if (r < 0)
		return r;
	return remote_pool_decode(answer, v6, ret, err) < 0
		       ? plugin_wrong_answer(plugin, method, err)
		       : 0;
}

/* ---- addresses */

int remote_address_decode(const json_t *answer, struct cnm_prefix *ret, struct cnm_error *err)
{
	struct cnm_prefix at;
	const char *s = "";
	int r = json_get_string(answer, "Address", &s, err);

	if (r < 0)
		return r;
	if (!s[0])
		return cnm_error_set(err, CNM_E_INTERNAL, "no address returned");
	if (prefix_parse(&at, s) < 0 || !at.len || ip_is_multicast(&at.ip) ||
	    ip_is_unspecified(&at.ip))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "Address: \"%.64s\" is no address with its length", s);
	*ret = at;
	return 0;
}

int remote_request_address(struct plugins *p, const char *plugin, const char *pool_id,
			   const struct cnm_ip *ip, json_t *options, struct cnm_prefix *ret,
			   struct cnm_error *err)
{
	static const char method[] = PLUGIN_IPAM ".RequestAddress";
	json_t *args = json_object();
	_json_ json_t *answer = NULL;
	char buf[IP_STR];
	int r;

	json_put(args, "PoolID", json_string(pool_id));
	json_put(args, "Address", json_string(ip_is_set(ip) ? ip_format(ip, buf) : ""));
	json_put(args, "Options", options);
	r = plugins_call(p, plugin, method, args, &answer, err);
	if (r < 0)
		return r;
	if (remote_address_decode(answer, ret, err) < 0)
		return plugin_wrong_answer(plugin, method, err);
	if (ip_is_set(ip) && !ip_eq(ip, &ret->ip))
		return cnm_error_set(err, CNM_E_INTERNAL, "%s is not what was given",
				     ip_format(ip, buf)),
		       plugin_wrong_answer(plugin, method, err);
	return 0;
}

json_t *remote_release_pool(const char *pool_id)
{
	return json_pack("{s:s}", "PoolID", pool_id);
}

json_t *remote_release_address(const char *pool_id, const struct cnm_ip *ip)
{
	char buf[IP_STR];

	return json_pack("{s:s,s:s}", "PoolID", pool_id, "Address", ip_format(ip, buf));
}
