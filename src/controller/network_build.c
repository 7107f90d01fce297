/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a request to a network: checks it as Docker does, in Docker's words, and chooses subnets and
 * gateways. Changes nothing but the new object; what it must know of the kernel are facts, gathered
 * before the lock is taken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/cluster.h"
#include "controller/remote.h"
#include "kernel/netns.h"

static const char *option_of(const struct cnm_network_config *c, const char *key)
{
	for (size_t i = 0; i < c->n_options; i++)
		if (streq(c->options[i].key, key))
			return c->options[i].value;
	return NULL;
}

static bool reads_true(const char *sysctl)
{
	char v[16];

	return sysctl_read(SYSCTL_HOME, sysctl, v, sizeof(v), NULL) == 0 && !streq(v, "0");
}

/* Each bridge and veth adds IPv6 routes of its own, so they are only asked for when they matter. */
static bool may_have_ipv6(const struct cnm_network_config *c)
{
	return c->ipv6 == CNM_YES || (c->config_from && c->config_from[0]) ||
	       option_of(c, "com.docker.network.enable_ipv6");
}

int network_facts_gather(struct cnm_engine *e, const struct cnm_network_config *config,
			 struct network_facts *ret, struct cnm_error *err)
{
	const char *link = option_of(config, "com.docker.network.bridge.name");
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->forwarding4 = reads_true("net/ipv4/ip_forward");
	ret->forwarding6 = reads_true("net/ipv6/conf/all/forwarding");
	r = applier_host_routes(e->applier, AF_INET, &ret->routes, err);
	if (r == 0 && may_have_ipv6(config))
		r = applier_host_routes(e->applier, AF_INET6, &ret->routes, err);
	if (r < 0)
		return cnm_error_prefix(err, "read the host's routes"), r;
	if (!link)
		return 0;
	r = applier_host_link(e->applier, link, &ret->link_is_bridge, &ret->link_is_ours, err);
	ret->link_exists = r == 0;
	return r == -ENODEV ? 0 : r;
}

void network_facts_free(struct network_facts *f)
{
	prefixes_free(&f->routes);
}

static int put_all(json_t *o, const struct cnm_kv *kv, size_t n, struct cnm_error *err)
{
	for (size_t i = 0; i < n; i++)
		if (json_object_set_new(o, kv[i].key, json_string(kv[i].value)) < 0)
			return cnm_error_set(err, CNM_E_INVALID,
					     "\"%s\" is not valid UTF-8, or memory is out",
					     kv[i].key);
	return 0;
}

/* ---- what kind of network */

static int check_name(const char *name, bool predefined, struct cnm_error *err)
{
	static const char *const reserved[] = { "bridge", "host", "none", "default" };

	if (!name || name[strspn(name, " \t\r\n\v\f")] == 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid name: name is empty");
	for (unsigned i = 0; !predefined && i < 4; i++)
		if (streq(name, reserved[i]))
			return cnm_error_set(err, CNM_E_FORBIDDEN,
					     "operation is not permitted on predefined %s network ",
					     name);
	if (strlen(name) > 255 || !str_is_printable(name))
		return cnm_error_set(
			err, CNM_E_INVALID,
			"invalid name: it must be printable UTF-8 of at most 255 bytes");
	return 0;
}

static int check_scope(const struct cnm_network_config *c, const struct driver *d,
		       struct cnm_error *err)
{
	if (c->ingress)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "Ingress network can only be global scope network");
	if (!c->scope || !c->scope[0] || streq(c->scope, d->scope))
		return 0;
	if (streq(c->scope, "swarm"))
		return cnm_error_set(
			err, CNM_E_FORBIDDEN,
			"cannot create a swarm scoped network when swarm is not active");
	return cnm_error_set(err, CNM_E_FORBIDDEN, "driver %s has scope %s, not %s", d->name,
			     d->scope, c->scope);
}

static int find_driver(const struct cnm_network_config *c, bool predefined,
		       const struct remote_network *remote, const struct driver **ret,
		       struct cnm_error *err)
{
	const char *name = c->driver && c->driver[0] ? c->driver : "bridge";
	const struct driver *d =
		remote && remote->plugin ? driver_of_plugin(remote->global) : driver_by_name(name);

	if (!d)
		return cnm_error_set(err, CNM_E_NOT_FOUND, "plugin \"%s\" not found", name);
	if (d->single && !predefined)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "only one instance of \"%s\" network is allowed", name);
	*ret = d;
	return check_scope(c, d, err);
}

/* ---- configuration networks */

static int check_config_only(const struct cnm_network_config *c, struct cnm_error *err)
{
	if (c->config_from && c->config_from[0])
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "a configuration network cannot depend on another "
				     "configuration network");
	if (c->ingress || c->internal || c->attachable || (c->scope && c->scope[0]))
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "configuration network can only contain network specific "
				     "fields. Network operator fields like [ ingress | internal | "
				     "attachable | scope ] are not supported.");
	return 0;
}

static json_t *pool_config_json(const struct cnm_pool_config *p)
{
	json_t *o = json_object(), *aux = json_object();

	if (p->subnet && p->subnet[0])
		json_put(o, "Subnet", json_string(p->subnet));
	if (p->ip_range && p->ip_range[0])
		json_put(o, "IPRange", json_string(p->ip_range));
	if (p->gateway && p->gateway[0])
		json_put(o, "Gateway", json_string(p->gateway));
	for (size_t i = 0; i < p->n_aux; i++)
		json_put(aux, p->aux[i].key, json_string(p->aux[i].value));
	if (json_object_size(aux))
		json_put(o, "AuxiliaryAddresses", aux);
	else
		json_decref(aux);
	return o;
}

static int build_config_only(struct network *n, const struct cnm_network_config *c,
			     struct cnm_error *err)
{
	n->config_only = true;
	n->config_pools = json_array();
	for (size_t i = 0; i < c->n_pools; i++)
		json_push(n->config_pools, pool_config_json(&c->pools[i]));
	return n->config_pools ? 0 : cnm_error_errno(err, ENOMEM, "configuration network");
}

/* A request whose settings come from a configuration network. */
struct derived {
	struct cnm_network_config config;
	struct cnm_pool_config pools[NETWORK_MAX_POOLS * 4];
	struct cnm_kv aux[32], options[64], labels[64], ipam_options[32];
};

static size_t kv_of(const json_t *o, struct cnm_kv *ret, size_t max)
{
	const char *k;
	json_t *v;
	size_t n = 0;

	json_object_foreach ((json_t *)o, k, v)
		if (n < max)
			ret[n++] = (struct cnm_kv){ k, json_string_value(v) };
	return n;
}

static int derive(const struct cnm_engine *e, const struct cnm_network_config *c,
		  struct derived *ret, struct cnm_error *err)
{
	const struct network *from = map_get(&e->model.network_by_name, c->config_from);
	json_t *pool;
	size_t i, n_aux = 0;

	if (!from || !from->config_only)
		return cnm_error_set(err, CNM_E_NOT_FOUND,
				     "configuration network \"%s\" does not exist", c->config_from);
	if (c->n_pools || c->n_labels || c->ipv6 == CNM_YES || c->ipv4 == CNM_NO ||
	    c->n_ipam_options)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "user-specified configurations are not supported if the "
				     "network depends on a configuration network");
	if (c->n_options)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "network driver options are not supported if the network "
				     "depends on a configuration network");
	memset(ret, 0, sizeof(*ret));
	ret->config = *c;
	ret->config.ipv4 = from->ipv4 ? CNM_YES : CNM_NO;
	ret->config.ipv6 = from->ipv6 ? CNM_YES : CNM_NO;
	ret->config.options = ret->options;
	ret->config.n_options = kv_of(from->options, ret->options, 64);
	ret->config.labels = ret->labels;
	ret->config.n_labels = kv_of(from->labels, ret->labels, 64);
	ret->config.ipam_options = ret->ipam_options;
	ret->config.n_ipam_options = kv_of(from->ipam_options, ret->ipam_options, 32);
	ret->config.pools = ret->pools;
	json_array_foreach (from->config_pools, i, pool) {
		struct cnm_pool_config *p = &ret->pools[i];

		if (i == NETWORK_MAX_POOLS * 4)
			break;
		p->subnet = json_string_value(json_object_get(pool, "Subnet"));
		p->ip_range = json_string_value(json_object_get(pool, "IPRange"));
		p->gateway = json_string_value(json_object_get(pool, "Gateway"));
		p->aux = ret->aux + n_aux;
		p->n_aux = kv_of(json_object_get(pool, "AuxiliaryAddresses"), ret->aux + n_aux,
				 32 - n_aux);
		n_aux += p->n_aux;
		ret->config.n_pools = i + 1;
	}
	return 0;
}

/* ---- addresses */

struct choice {
	struct cnm_engine *e;
	const struct cnm_network_config *c;
	const struct network_facts *facts;
	struct network *n;
	struct cnm_prefix *used;
	size_t n_used;
	struct strbuf *warning;
};

static int list_used(struct choice *ch, struct cnm_error *err)
{
	const struct network *o;
	size_t cap = 0;

	list_for_each (o, &ch->e->model.networks, node)
		cap += o->n_pools;
	ch->used = calloc(cap + 1, sizeof(*ch->used));
	if (!ch->used)
		return cnm_error_errno(err, ENOMEM, "subnets in use");
	list_for_each (o, &ch->e->model.networks, node)
		for (unsigned i = 0; i < o->n_pools; i++)
			ch->used[ch->n_used++] = o->pools[i].subnet;
	return 0;
}

static int choose_subnet(struct choice *ch, int family, unsigned len, struct cnm_prefix *ret,
			 struct cnm_error *err)
{
	const struct prefixes *routes = &ch->facts->routes;

	if (family == AF_INET6)
		return ipam_choose_subnet6(ch->e->engine_id, ch->used, ch->n_used, routes->p,
					   routes->n, ret, err);
	if (len)
		return ipam_choose_subnet4_len(len, ch->used, ch->n_used, routes->p, routes->n, ret,
					       err);
	if (network_is_global(ch->n))
		return ipam_choose_subnet4_global(ch->used, ch->n_used, routes->p, routes->n, ret,
						  err);
	return ipam_choose_subnet4(ch->used, ch->n_used, routes->p, routes->n, ret, err);
}

int network_choose_subnet(struct cnm_engine *e, const struct driver *d, int family,
			  const struct network_facts *facts, struct cnm_prefix *ret,
			  struct cnm_error *err)
{
	struct network n = { .driver = d };
	struct choice ch = { .e = e, .facts = facts, .n = &n };
	int r = list_used(&ch, err);

	if (r == 0)
		r = choose_subnet(&ch, family, 0, ret, err);
	free(ch.used);
	return r;
}

/* A subnet the user asked for: free of other networks; a route of the host's is only warned of. */
static int accept_subnet(struct choice *ch, const struct cnm_prefix *subnet, struct cnm_error *err)
{
	char a[PREFIX_STR], b[PREFIX_STR];

	for (size_t i = 0; i < ch->n_used; i++)
		if (prefix_overlaps(&ch->used[i], subnet))
			return cnm_error_set(
				err, CNM_E_FORBIDDEN,
				"invalid pool request: Pool overlaps with other one on "
				"this address space (%s is within reach of %s)",
				prefix_format(subnet, a), prefix_format(&ch->used[i], b));
	for (size_t i = 0; i < ch->facts->routes.n; i++) {
		const struct cnm_prefix *route = &ch->facts->routes.p[i];

		if (ch->n->borrowed_link || !prefix_overlaps(route, subnet))
			continue;
		strbuf_addf(ch->warning, "subnet %s overlaps the host's route to %s",
			    prefix_format(subnet, a), prefix_format(route, b));
		break;
	}
	return 0;
}

/* A plugin has said that there is none, or which one it is. */
static bool is_left_out(const struct choice *ch, const struct network_pool *p)
{
	const struct remote_network *rn = ch->facts->remote;

	return p->pool_id || (rn && rn->skip_gateway[p->subnet.ip.family == AF_INET6]);
}

static int take_gateway(struct choice *ch, struct network_pool *p, const struct cnm_ip *asked,
			struct cnm_error *err)
{
	const struct driver *d = ch->n->driver;
	char buf[IP_STR];
	int r;

	if (!ip_is_set(asked)) {
		if (is_left_out(ch, p))
			return 0;
		if (d->wants_gateway && !d->wants_gateway(ch->n, p->subnet.ip.family))
			return 0;
		r = ipam_pool_first(p->taken, &p->gateway);
		if (r == -ENOMEM)
			return cnm_error_errno(err, r, "gateway");
		return r < 0 ? cnm_error_set(err, CNM_E_INTERNAL,
					     "failed to allocate gateway (): no available "
					     "addresses on this pool")
			     : 0;
	}
	r = ipam_pool_take(p->taken, asked);
	if (r == -ENOMEM)
		return cnm_error_errno(err, r, "gateway");
	if (r < 0)
		return cnm_error_set(err, CNM_E_INTERNAL, "failed to allocate gateway (%s): %s",
				     ip_format(asked, buf),
				     r == -ERANGE ? "requested address is out of range"
						  : "Address already in use");
	p->gateway = *asked;
	return 0;
}

static int take_aux(struct network_pool *p, const struct cnm_pool_config *c, struct cnm_error *err)
{
	char buf[PREFIX_STR];

	p->aux = json_object();
	for (size_t i = 0; i < c->n_aux; i++) {
		struct cnm_ip ip;
		int r;

		if (ip_parse(&ip, c->aux[i].value) < 0 || !prefix_has(&p->subnet, &ip))
			return cnm_error_set(err, CNM_E_FORBIDDEN,
					     "auxiliary address: (%s:%s) must belong to the master "
					     "pool: %s",
					     c->aux[i].key, c->aux[i].value,
					     prefix_format(&p->subnet, buf));
		r = ipam_pool_take(p->taken, &ip);
		if (r == -ENOMEM)
			return cnm_error_errno(err, r, "auxiliary addresses");
		if (r < 0)
			return cnm_error_set(
				err, CNM_E_INTERNAL,
				"failed to allocate secondary ip address (%s:%s): Address "
				"already in use",
				c->aux[i].key, c->aux[i].value);
		json_put(p->aux, c->aux[i].key, json_string(c->aux[i].value));
	}
	return p->aux ? 0 : cnm_error_errno(err, ENOMEM, "auxiliary addresses");
}

static int add_pool(struct choice *ch, const struct cnm_pool_config *c,
		    const struct ipam_checked *k, int family, struct cnm_error *err)
{
	static const struct cnm_pool_config none;
	struct network_pool *p = &ch->n->pools[ch->n->n_pools];
	const char *pool_id;
	int r;

	if (prefix_is_set(&k->subnet) && !ip_is_unspecified(&k->subnet.ip)) {
		p->subnet = k->subnet;
		r = accept_subnet(ch, &p->subnet, err);
	} else {
		r = choose_subnet(ch, family, k->subnet.len, &p->subnet, err);
		p->chosen = true;
	}
	if (r < 0)
		return r;
	p->range = k->range;
	pool_id = remote_pool_id(ch->facts->remote, &p->subnet);
	if (pool_id && !(p->pool_id = strdup(pool_id)))
		return cnm_error_errno(err, ENOMEM, "address pool");
	r = ipam_pool_new(&p->taken, &p->subnet, &p->range);
	if (r < 0) {
		free(take_ptr(p->pool_id));
		return cnm_error_errno(err, r, "address pool");
	}
	ch->n->n_pools++;
	if (ip_is_set(&k->gateway) && (r = take_gateway(ch, p, &k->gateway, err)) < 0)
		return r;
	r = take_aux(p, c ? c : &none, err);
	if (r == 0 && !ip_is_set(&k->gateway))
		r = take_gateway(ch, p, &k->gateway, err);
	return r;
}

static int check_pool(const struct cnm_pool_config *c, bool ipv6, struct ipam_checked *ret,
		      struct strbuf *problems)
{
	struct ipam_aux aux[64];
	size_t n = c->n_aux < 64 ? c->n_aux : 64;

	for (size_t i = 0; i < n; i++)
		aux[i] = (struct ipam_aux){ c->aux[i].key, c->aux[i].value };
	return ipam_check_request(&(struct ipam_request){ .subnet = c->subnet,
							  .ip_range = c->ip_range,
							  .gateway = c->gateway,
							  .aux = aux,
							  .n_aux = n },
				  ipv6, ret, problems);
}

#define MAX_ENTRIES 16

/* Check every entry, all problems told at once. */
static int check_pools(const struct choice *ch, struct ipam_checked *ret, struct cnm_error *err)
{
	struct strbuf problems = { 0 };
	int n = 0;

	if (ch->c->n_pools > MAX_ENTRIES)
		return cnm_error_set(err, CNM_E_INVALID, "more than %d IPAM entries", MAX_ENTRIES);
	for (size_t i = 0; i < ch->c->n_pools; i++)
		n += check_pool(&ch->c->pools[i], ch->n->ipv6, &ret[i], &problems);
	if (n)
		cnm_error_set(err, CNM_E_INVALID, "invalid network config:\n%s",
			      problems.s ? problems.s : "");
	strbuf_free(&problems);
	return n ? -EINVAL : 0;
}

/* The entry without a subnet asks for gateways or ranges of one that cnm chooses; not supported. */
static int check_without_subnet(const struct cnm_pool_config *c, struct cnm_error *err)
{
	const char *what = c->gateway && c->gateway[0]     ? c->gateway
			   : c->ip_range && c->ip_range[0] ? c->ip_range
			   : c->n_aux                      ? c->aux[0].value
							   : NULL;

	if (!what)
		return 0;
	return cnm_error_set(err, CNM_E_INVALID,
			     "invalid network config:\n%s needs the subnet it belongs to", what);
}

static int build_pools(struct choice *ch, struct cnm_error *err)
{
	const int families[] = { AF_INET, AF_INET6 };
	struct ipam_checked k[MAX_ENTRIES] = { 0 };
	int r = check_pools(ch, k, err);

	for (unsigned f = 0; r == 0 && f < 2; f++) {
		bool enabled = f == 0 ? ch->n->ipv4 : ch->n->ipv6;
		unsigned found = 0;

		for (size_t i = 0; r == 0 && i < ch->c->n_pools; i++) {
			if (!prefix_is_set(&k[i].subnet)) {
				r = check_without_subnet(&ch->c->pools[i], err);
				continue;
			}
			if (k[i].subnet.ip.family != families[f] || !enabled)
				continue;
			if (++found > ch->n->driver->max_subnets)
				return cnm_error_set(err, CNM_E_FORBIDDEN,
						     "%s driver doesn't support multiple subnets",
						     ch->n->driver->name);
			r = add_pool(ch, &ch->c->pools[i], &k[i], families[f], err);
		}
		if (r == 0 && enabled && !found)
			r = add_pool(ch, NULL, &(struct ipam_checked){ 0 }, families[f], err);
	}
	return r;
}

/* ---- the whole */

static bool chosen(enum cnm_tristate t, bool otherwise)
{
	return t == CNM_DEFAULT ? otherwise : t == CNM_YES;
}

/* The API's fields win over the driver options of the same meaning. */
int network_families(const struct cnm_network_config *c, bool ret[2], struct cnm_error *err)
{
	static const char *const keys[] = { "com.docker.network.enable_ipv4",
					    "com.docker.network.enable_ipv6" };
	bool v[2] = { true, false };

	for (unsigned i = 0; i < 2; i++) {
		const char *s = option_of(c, keys[i]);

		if (s && str_to_bool(s, &v[i]) < 0)
			return cnm_error_set(err, CNM_E_INVALID,
					     "driver-opt \"%s\" is not a valid bool", keys[i]);
	}
	ret[0] = chosen(c->ipv4, v[0]);
	ret[1] = chosen(c->ipv6, v[1]);
	return 0;
}

static int set_families(struct network *n, const struct cnm_network_config *c,
			struct cnm_error *err)
{
	bool v[2];
	int r = network_families(c, v, err);

	if (r < 0)
		return r;
	n->ipv4 = v[0];
	n->ipv6 = v[1];
	return 0;
}

static int check_ipam_driver(const struct cnm_network_config *c, const struct driver *d,
			     const struct remote_network *remote, struct cnm_error *err)
{
	bool by_plugin = remote && remote->ipam && !streq(remote->ipam, "null");

	if (!c->ipam_driver || !c->ipam_driver[0] || streq(c->ipam_driver, "default")) {
		if (c->n_ipam_options)
			return cnm_error_set(err, CNM_E_INVALID,
					     "IPAM option %s is not supported by the default IPAM "
					     "driver",
					     c->ipam_options[0].key);
		return 0;
	}
	if (by_plugin && d->addresses)
		return 0;
	if (by_plugin)
		return cnm_error_set(err, CNM_E_INVALID,
				     "a network of driver %s has no addresses that the IPAM driver "
				     "%s could give",
				     d->name, c->ipam_driver);
	if (!streq(c->ipam_driver, "null"))
		return cnm_error_set(err, CNM_E_NOT_FOUND, "plugin \"%s\" not found",
				     c->ipam_driver);
	if (c->n_pools)
		return cnm_error_set(err, CNM_E_INVALID,
				     "null ipam driver does not handle specific address pool "
				     "requests");
	if (d->addresses && !d->by_plugin) /* a plugin may give addresses itself */
		return cnm_error_set(err, CNM_E_INVALID, "ipv4 pool is empty");
	return 0;
}

/* Without forwarding a network has no way out, and cnm was told not to turn it on. */
static int check_forwarding(const struct cnm_engine *e, const struct network *n,
			    const struct network_facts *f, struct cnm_error *err)
{
	if (!e->no_forwarding || n->internal || n->predefined || n->driver->apart)
		return 0;
	if (n->ipv4 && !f->forwarding4)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "IPv4 forwarding is off (sysctl net.ipv4.ip_forward) and this "
				     "daemon was told not to turn it on (--no-ip-forward): turn it "
				     "on, or create the network with --internal");
	if (n->ipv6 && !f->forwarding6)
		return cnm_error_set(
			err, CNM_E_FORBIDDEN,
			"IPv6 forwarding is off (sysctl net.ipv6.conf.all.forwarding) "
			"and this daemon was told not to turn it on (--no-ip-forward): "
			"turn it on, or create the network with --internal");
	return 0;
}

static int check_link(struct network *n, const struct network_facts *f, const char *name,
		      struct cnm_error *err)
{
	if (!f->link_exists || f->link_is_ours)
		return 0;
	if (!f->link_is_bridge)
		return cnm_error_set(err, CNM_E_INTERNAL, "existing interface %s is not a bridge",
				     name);
	n->borrowed_link = true;
	return 0;
}

static int set_plugins(struct network *n, const struct remote_network *remote,
		       struct cnm_error *err)
{
	if (remote && remote->plugin)
		n->plugin = strdup(remote->plugin);
	if (remote && remote->ipam)
		n->ipam = strdup(remote->ipam);
	return remote && (!n->plugin != !remote->plugin || !n->ipam != !remote->ipam)
		       ? cnm_error_errno(err, ENOMEM, "network")
		       : 0;
}

static int fill(struct choice *ch, struct cnm_error *err)
{
	const struct cnm_network_config *c = ch->c;
	struct network *n = ch->n;
	const char *link = option_of(c, "com.docker.network.bridge.name");
	int r;

	n->internal = c->internal;
	n->attachable = c->attachable;
	if ((r = put_all(n->options, c->options, c->n_options, err)) < 0 ||
	    (r = put_all(n->labels, c->labels, c->n_labels, err)) < 0 ||
	    (r = put_all(n->ipam_options, c->ipam_options, c->n_ipam_options, err)) < 0 ||
	    (r = set_families(n, c, err)) < 0)
		return r;
	if (c->config_only)
		return build_config_only(n, c, err);
	if ((r = set_plugins(n, ch->facts->remote, err)) < 0)
		return r;
	if (n->driver->network_parse) {
		if ((r = n->driver->network_parse(n, &ch->e->env, err)) < 0)
			return r;
	} else if (c->n_options) {
		return cnm_error_set(err, CNM_E_INVALID, "option %s is not supported by driver %s",
				     c->options[0].key, n->driver->name);
	}
	if ((r = cluster_check(ch->e, n, err)) < 0 || !n->driver->addresses)
		return r;
	if ((r = check_forwarding(ch->e, n, ch->facts, err)) < 0 ||
	    (r = check_link(n, ch->facts, link, err)) < 0 || (r = list_used(ch, err)) < 0)
		return r;
	r = (n->ipv4 || n->ipv6) && !(n->ipam && streq(n->ipam, "null")) ? build_pools(ch, err) : 0;
	if (r == 0 && n->driver->network_check)
		r = n->driver->network_check(n, &ch->e->env, err);
	return r;
}

int network_build(struct cnm_engine *e, const struct cnm_network_config *config, bool predefined,
		  const struct network_facts *facts, struct network **ret, char **ret_warning,
		  struct cnm_error *err)
{
	_free_ struct derived *derived = NULL;
	struct strbuf warning = { 0 };
	struct choice ch = { .e = e, .c = config, .facts = facts, .warning = &warning };
	const struct driver *d = NULL;
	int r = check_name(config->name, predefined, err);

	if (r == 0 && config->config_only)
		r = check_config_only(config, err);
	if (r == 0 && map_get(&e->model.network_by_name, config->name))
		r = cnm_error_set(err, CNM_E_CONFLICT, "network with name %s already exists",
				  config->name);
	if (r == 0 && config->config_only)
		d = driver_by_name("null");
	else if (r == 0)
		r = find_driver(config, predefined, facts->remote, &d, err);
	if (r == 0 && config->config_from && config->config_from[0]) {
		derived = calloc(1, sizeof(*derived));
		r = derived ? derive(e, config, derived, err)
			    : cnm_error_errno(err, ENOMEM, "network");
		ch.c = derived ? &derived->config : config;
	}
	if (r == 0)
		r = check_ipam_driver(ch.c, d, facts->remote, err);
	if (r == 0 && !(ch.n = network_new(config->name, d)))
		r = cnm_error_errno(err, ENOMEM, "network");
	if (r == 0) {
		ch.n->predefined = predefined;
		r = fill(&ch, err);
	}
	if (r == 0 && derived && !(ch.n->config_from = strdup(config->config_from)))
		r = cnm_error_errno(err, ENOMEM, "network");
	free(ch.used);
	if (r == 0 && ret_warning && !(*ret_warning = strbuf_take(&warning)))
		r = cnm_error_errno(err, ENOMEM, "warning");
	strbuf_free(&warning);
	if (r < 0) {
		network_free(ch.n);
		return r;
	}
	*ret = ch.n;
	return 0;
}
