/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Networks that plugins make, or that have their addresses from one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "controller/remote.h"
#include "plugins/remote_ipam.h"
#include "plugins/remote_network.h"

#define MAX_POOLS 16
#define MAX_TRIES 16 /* of pools that nobody asked for and that overlap with something */

/* A pool that a plugin gave, as a request would have it. */
struct remote_pools {
	unsigned n;
	struct cnm_pool_config config[MAX_POOLS];
	struct {
		struct remote_pool told;
		char subnet[PREFIX_STR], gateway[IP_STR];
	} pool[MAX_POOLS];
};

/* ---- who */

static int is_plugin(const char *name)
{
	return name && name[0] && !driver_by_name(name);
}

static int find_ipam(struct cnm_engine *e, const struct cnm_network_config *c,
		     struct remote_network *rn, struct cnm_error *err)
{
	const char *name = c->ipam_driver;
	bool is_null = name && streq(name, "null");
	int r = 0;

	if (!name || !name[0] || streq(name, "default") || (is_null && !rn->plugin))
		return 0;
	if (!is_null)
		r = plugins_require(e->remote->plugins, name, PLUGIN_IPAM, NULL, err);
	if (r == 0 && c->config_from && c->config_from[0])
		r = cnm_error_set(err, CNM_E_FORBIDDEN,
				  "a network with the IPAM driver %s cannot depend on a "
				  "configuration network",
				  name);
	if (r == 0 && !(rn->ipam = strdup(name)))
		r = cnm_error_errno(err, ENOMEM, "network");
	return r;
}

static int find_plugins(struct cnm_engine *e, const struct cnm_network_config *c,
			struct remote_network *rn, struct plugin_abilities *can,
			struct cnm_error *err)
{
	int r = 0;

	if (c->config_only)
		return 0;
	if (is_plugin(c->driver) && (streq(c->driver, "cnm") || streq(c->driver, "cnm-overlay")))
		return cnm_error_set(
			err, CNM_E_INVALID,
			"\"%s\" is what Docker calls cnm's own networks: here they are "
			"of driver %s",
			c->driver, streq(c->driver, "cnm") ? "bridge" : "overlay");
	if (is_plugin(c->driver)) {
		r = plugins_require(e->remote->plugins, c->driver, PLUGIN_NETWORK, can, err);
		rn->global = can->global;
		if (r == 0 && !(rn->plugin = strdup(c->driver)))
			r = cnm_error_errno(err, ENOMEM, "network");
	} else if (c->driver && driver_by_name(c->driver)) {
		rn->global = streq(driver_by_name(c->driver)->scope, "global");
	}
	return r < 0 ? r : find_ipam(e, c, rn, err);
}

/* ---- pools */

static json_t *options_of(const struct cnm_kv *kv, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_put(o, kv[i].key, json_string(kv[i].value));
	return o;
}

/* Taken back in the reverse order. */
static void owe_pool(struct remote_network *rn, const char *pool_id)
{
	debt_add(rn->debt, rn->ipam, PLUGIN_IPAM ".ReleasePool", remote_release_pool(pool_id));
}

static void owe_address(struct remote_network *rn, const char *pool_id, const struct cnm_ip *ip)
{
	debt_add(rn->debt, rn->ipam, PLUGIN_IPAM ".ReleaseAddress",
		 remote_release_address(pool_id, ip));
}

/* Lock held meanwhile: networks of ours have it, or a route of the host's leads there. */
static bool is_elsewhere(struct cnm_engine *e, const struct prefixes *routes,
			 const struct cnm_prefix *subnet)
{
	const struct network *n;
	LOCKED(&e->lock);

	list_for_each (n, &e->model.networks, node)
		for (unsigned i = 0; i < n->n_pools; i++)
			if (prefix_overlaps(&n->pools[i].subnet, subnet))
				return true;
	for (size_t i = 0; i < routes->n; i++)
		if (routes->p[i].len > 1 && prefix_overlaps(&routes->p[i], subnet))
			return true;
	return false;
}

struct asking {
	struct cnm_engine *e;
	const struct cnm_network_config *c;
	const struct prefixes *routes;
	struct remote_network *rn;
};

static int ask_pool(struct asking *a, const struct cnm_pool_config *c, bool v6,
		    struct remote_pool *ret, struct cnm_error *err)
{
	int r = remote_request_pool(a->e->remote->plugins, a->rn->ipam, a->rn->space,
				    c->subnet ? c->subnet : "", c->ip_range ? c->ip_range : "",
				    options_of(a->c->ipam_options, a->c->n_ipam_options), v6, ret,
				    err);

	if (r == 0)
		owe_pool(a->rn, ret->id);
	return r;
}

/*
 * Of this host, and nobody asked for it: one that does not overlap. The others are held meanwhile,
 * lest they be given again, and are owed like the one that is kept; so the debt is the place where
 * they stand until then.
 */
static int choose_pool(struct asking *a, const struct cnm_pool_config *c, bool v6,
		       struct remote_pool *ret, struct cnm_error *err)
{
	bool any = !(c->subnet && c->subnet[0]) && !a->rn->global;
	struct remote_pool held[MAX_TRIES];
	unsigned n = 0;
	int r = ask_pool(a, c, v6, ret, err);

	while (r == 0 && any && is_elsewhere(a->e, a->routes, &ret->subnet)) {
		held[n++] = *ret;
		if (n == MAX_TRIES)
			r = cnm_error_set(err, CNM_E_FORBIDDEN,
					  "IPAM plugin \"%s\" gave only pools that overlap with "
					  "other networks or routes: give --subnet",
					  a->rn->ipam);
		else
			r = ask_pool(a, c, v6, ret, err);
	}
	for (unsigned i = 0; i < n; i++) {
		if (r == 0) /* else they are paid with the rest */
			debt_forget_call(a->rn->debt, PLUGIN_IPAM ".ReleasePool", "PoolID",
					 held[i].id);
		if (r == 0)
			plugins_call(a->e->remote->plugins, a->rn->ipam, PLUGIN_IPAM ".ReleasePool",
				     remote_release_pool(held[i].id), NULL, NULL);
		free(held[i].id);
	}
	return r;
}

static int ask_address(struct asking *a, const struct remote_pool *pool, const char *text,
		       json_t *options, struct cnm_ip *ret, struct cnm_error *err)
{
	struct cnm_prefix given;
	struct cnm_ip ip = { 0 };
	int r;

	if (text && text[0] && ip_parse(&ip, text) < 0) {
		json_decref(options);
		return cnm_error_set(err, CNM_E_INVALID, "invalid address %s", text);
	}
	r = remote_request_address(a->e->remote->plugins, a->rn->ipam, pool->id, &ip, options,
				   &given, err);
	if (r < 0)
		return r;
	owe_address(a->rn, pool->id, &given.ip);
	if (!prefix_has(&pool->subnet, &given.ip))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "IPAM plugin \"%s\" gave an address that is not in its pool",
				     a->rn->ipam);
	*ret = given.ip;
	return 0;
}

/* As libnetwork does: what the user says, else what came with the pool, else one is asked for. */
static int find_gateway(struct asking *a, const struct cnm_pool_config *c, struct remote_pool *pool,
			bool v6, struct cnm_error *err)
{
	bool asked = c->gateway && c->gateway[0];

	if (!asked && (ip_is_set(&pool->gateway) || a->rn->skip_gateway[v6]))
		return 0;
	return ask_address(a, pool, c->gateway,
			   json_pack("{s:s}", "RequestAddressType", "com.docker.network.gateway"),
			   &pool->gateway, err);
}

static int add_pool(struct asking *a, const struct cnm_pool_config *c, bool v6,
		    struct cnm_error *err)
{
	struct remote_pools *ps = a->rn->pools;
	struct cnm_pool_config *out;
	struct remote_pool *pool;
	struct cnm_ip ignored;
	int r;

	if (ps->n >= MAX_POOLS)
		return cnm_error_set(err, CNM_E_INVALID, "more than %d IPAM entries", MAX_POOLS);
	out = &ps->config[ps->n];
	pool = &ps->pool[ps->n].told;
	r = choose_pool(a, c, v6, pool, err);
	if (r < 0)
		return r;
	ps->n++;
	r = find_gateway(a, c, pool, v6, err);
	for (size_t i = 0; i < c->n_aux && r == 0; i++)
		r = ask_address(a, pool, c->aux[i].value, json_object(), &ignored, err);
	*out = *c;
	out->subnet = prefix_format(&pool->subnet, ps->pool[ps->n - 1].subnet);
	out->gateway = ip_is_set(&pool->gateway)
			       ? ip_format(&pool->gateway, ps->pool[ps->n - 1].gateway)
			       : NULL;
	return r;
}

/* One of each family that is enabled, unless the request has entries for it. */
static int ask_pools(struct asking *a, const bool enabled[2], struct cnm_error *err)
{
	static const struct cnm_pool_config any;
	int r = 0;

	for (unsigned v6 = 0; v6 < 2 && r == 0; v6++) {
		bool found = false;

		for (size_t i = 0; i < a->c->n_pools && r == 0; i++) {
			const char *s = a->c->pools[i].subnet ? a->c->pools[i].subnet : "";

			if (!enabled[v6] || (strchr(s, ':') != NULL) != (bool)v6)
				continue;
			found = true;
			r = add_pool(a, &a->c->pools[i], v6, err);
		}
		if (r == 0 && enabled[v6] && !found)
			r = add_pool(a, &any, v6, err);
	}
	return r;
}

static int give_pools(struct asking *a, struct cnm_error *err)
{
	struct remote_network *rn = a->rn;
	bool enabled[2];
	int r = network_families(a->c, enabled, err);

	rn->pools = calloc(1, sizeof(*rn->pools));
	if (r == 0 && !rn->pools)
		r = cnm_error_errno(err, ENOMEM, "pools");
	if (r == 0)
		r = remote_address_space(a->e->remote->plugins, rn->ipam, rn->global, &rn->space,
					 err);
	if (r == 0)
		r = ask_pools(a, enabled, err);
	if (r < 0)
		return r;
	rn->config = *a->c;
	rn->config.pools = rn->pools->config;
	rn->config.n_pools = rn->pools->n;
	return debt_write(a->e, rn->debt, err);
}

const char *remote_pool_id(const struct remote_network *rn, const struct cnm_prefix *subnet)
{
	for (unsigned i = 0; rn && rn->pools && i < rn->pools->n; i++)
		if (prefix_eq(&rn->pools->pool[i].told.subnet, subnet))
			return rn->pools->pool[i].told.id;
	return NULL;
}

/* ---- create */

/* What the plugin is told of a network besides its addresses. */
static json_t *network_options(const json_t *options, bool ipv4, bool ipv6, bool internal)
{
	json_t *o = json_object();

	json_put(o, "com.docker.network.enable_ipv4", json_boolean(ipv4));
	json_put(o, "com.docker.network.enable_ipv6", json_boolean(ipv6));
	json_put(o, "com.docker.network.generic", json_deep_copy(options));
	if (internal)
		json_put(o, "com.docker.network.internal", json_true());
	return o;
}

static int check_gateways(struct cnm_engine *e, const struct cnm_network_config *c,
			  struct remote_network *rn, struct cnm_error *err)
{
	_json_ json_t *options = options_of(c->options, c->n_options);
	bool enabled[2];
	int r = network_families(c, enabled, err);

	return r < 0 ? r
		     : remote_check_gateways(
			       e->remote->plugins, rn->plugin,
			       network_options(options, enabled[0], enabled[1], c->internal),
			       rn->skip_gateway, err);
}

int remote_network_prepare(struct cnm_engine *e, const struct cnm_network_config *config,
			   const struct prefixes *routes, struct remote_network *ret,
			   struct cnm_error *err)
{
	struct asking a = { .e = e, .c = config, .routes = routes, .rn = ret };
	struct plugin_abilities can = { 0 };
	char id[ID_SIZE];
	int r;

	memset(ret, 0, sizeof(*ret));
	r = find_plugins(e, config, ret, &can, err);
	if (r < 0 || (!ret->plugin && !ret->ipam))
		return r;
	id_new(id);
	ret->debt = debt_new(id, false);
	if (!ret->debt)
		return cnm_error_errno(err, ENOMEM, "network");
	if (can.checks_gateways)
		r = check_gateways(e, config, ret, err);
	if (r == 0 && ret->ipam && !streq(ret->ipam, "null"))
		r = give_pools(&a, err);
	return r;
}

void remote_network_done(struct cnm_engine *e, struct remote_network *rn)
{
	if (rn->debt && debt_is_empty(rn->debt))
		debt_free(rn->debt);
	else if (rn->debt)
		debt_enter(e, rn->debt);
	for (unsigned i = 0; rn->pools && i < rn->pools->n; i++)
		free(rn->pools->pool[i].told.id);
	free(rn->pools);
	free(rn->plugin);
	free(rn->ipam);
	free(rn->space);
	memset(rn, 0, sizeof(*rn));
}

/* What libnetwork tells of a pool. */
static json_t *pool_json(const char *space, const struct network_pool *p)
{
	struct cnm_prefix gateway = { .ip = p->gateway, .len = p->subnet.len };
	json_t *o = json_object(), *aux = json_object(), *v;
	char buf[PREFIX_STR];
	const char *key;

	json_put(o, "AddressSpace", json_string(space));
	json_put(o, "Pool", json_string(prefix_format(&p->subnet, buf)));
	if (ip_is_set(&p->gateway))
		json_put(o, "Gateway", json_string(prefix_format(&gateway, buf)));
	json_object_foreach (p->aux, key, v) {
		struct cnm_prefix at = { .len = p->subnet.len };

		ip_parse(&at.ip, json_string_value(v));
		json_put(aux, key, json_string(prefix_format(&at, buf)));
	}
	if (json_object_size(aux))
		json_put(o, "AuxAddresses", json_incref(aux));
	json_decref(aux);
	return o;
}

/* A family that has no pool, with the IPAM "null", has one of all there is. */
static json_t *pools_json(const struct network *n, const struct remote_network *rn, int family)
{
	const char *space = rn->space ? rn->space : rn->global ? "GlobalDefault" : "LocalDefault";
	bool v6 = family == AF_INET6;
	json_t *list = json_array();

	for (unsigned i = 0; i < n->n_pools; i++)
		if (n->pools[i].subnet.ip.family == family)
			json_push(list, pool_json(space, &n->pools[i]));
	if (n->ipam && streq(n->ipam, "null") && (v6 ? n->ipv6 : n->ipv4))
		json_push(list, json_pack("{s:s,s:s}", "AddressSpace", "null", "Pool",
					  v6 ? "::/0" : "0.0.0.0/0"));
	return list;
}

int remote_network_create(struct cnm_engine *e, struct network *n, struct remote_network *rn,
			  struct cnm_error *err)
{
	json_t *options, *v4, *v6;
	char id[ID_SIZE];
	int r;

	if (!rn->debt)
		return 0;
	memcpy(id, n->id, ID_SIZE);
	debt_set_about(rn->debt, id);
	if (rn->plugin)
		debt_add(rn->debt, rn->plugin, PLUGIN_NETWORK ".DeleteNetwork",
			 remote_ids(id, NULL));
	options = network_options(n->options, n->ipv4, n->ipv6, n->internal);
	v4 = pools_json(n, rn, AF_INET);
	v6 = pools_json(n, rn, AF_INET6);
	pthread_mutex_unlock(&e->lock);
	r = debt_write(e, rn->debt, err);
	if (r == 0 && rn->plugin) {
		r = remote_create_network(e->remote->plugins, rn->plugin, id, options, v4, v6, err);
		agent_start(e, rn->plugin);
	} else {
		json_decref(options);
		json_decref(v4);
		json_decref(v6);
	}
	if (rn->ipam && !streq(rn->ipam, "null"))
		agent_start(e, rn->ipam);
	pthread_mutex_lock(&e->lock);
	debt_enter(e, rn->debt);
	rn->debt = NULL;
	return r;
}

/* ---- remove */

static void owe_pools(const struct network *n, struct debt *d)
{
	for (unsigned i = 0; n->ipam && i < n->n_pools; i++) {
		const struct network_pool *p = &n->pools[i];
		json_t *v;
		const char *key;

		if (!p->pool_id)
			continue;
		debt_add(d, n->ipam, PLUGIN_IPAM ".ReleasePool", remote_release_pool(p->pool_id));
		if (ip_is_set(&p->gateway))
			debt_add(d, n->ipam, PLUGIN_IPAM ".ReleaseAddress",
				 remote_release_address(p->pool_id, &p->gateway));
		json_object_foreach (p->aux, key, v) {
			struct cnm_ip ip;

			if (ip_parse(&ip, json_string_value(v)) == 0)
				debt_add(d, n->ipam, PLUGIN_IPAM ".ReleaseAddress",
					 remote_release_address(p->pool_id, &ip));
		}
	}
}

static void owe(struct cnm_engine *e, const struct network *n, bool network, struct store_tx **tx)
{
	struct debt *d = debt_new(n->id, false);

	if (!d) {
		log_warn("network %s: its plugin is not told that it is removed: out of memory",
			 n->name);
		return;
	}
	owe_pools(n, d);
	if (network)
		debt_add(d, n->plugin, PLUGIN_NETWORK ".DeleteNetwork", remote_ids(n->id, NULL));
	if (debt_is_empty(d)) {
		debt_free(d);
		return;
	}
	debt_put(d, tx);
	debt_enter(e, d);
}

void remote_network_owe(struct cnm_engine *e, const struct network *n, struct store_tx **tx)
{
	owe(e, n, n->plugin, tx);
}

/* What has left the cluster's store cannot be kept: its plugin is told again. */
int remote_network_remove(struct cnm_engine *e, const struct network *n, struct store_tx **gone,
			  struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	int r = n->plugin ? plugins_call(e->remote->plugins, n->plugin,
					 PLUGIN_NETWORK ".DeleteNetwork", remote_ids(n->id, NULL),
					 NULL, &why)
			  : 0;

	if (r == PLUGIN_REFUSED && !network_is_global(n)) {
		*err = why;
		return cnm_error_prefix(err, "remove network %s", n->name), r;
	}
	if (r < 0)
		log_warn("remove network %s: %s; it is told again", n->name, why.text);
	owe(e, n, n->plugin && r < 0, gone);
	return 0;
}
