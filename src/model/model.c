/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The objects and their indexes. See model.h for what the states mean and who may do what.
 */
#include "model/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/str.h"
#include "drivers/driver.h"

void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	list_init(&m->networks);
	list_init(&m->sandboxes);
}

void model_free(struct model *m)
{
	struct network *n, *tmp;
	struct sandbox *sb, *tmp2;

	list_for_each_safe (n, tmp, &m->networks, node) {
		struct endpoint *ep, *tmp3;

		list_for_each_safe (ep, tmp3, &n->endpoints, in_network)
			model_del_endpoint(m, ep, false);
		model_del_network(m, n);
	}
	list_for_each_safe (sb, tmp2, &m->sandboxes, node)
		model_del_sandbox(m, sb);
	map_free(&m->network_by_id);
	map_free(&m->network_by_name);
	map_free(&m->endpoint_by_id);
	map_free(&m->sandbox_by_id);
	map_free(&m->sandbox_by_name);
	port_index_free(&m->ports);
}

struct network *network_new(const char *name, const struct driver *driver)
{
	struct network *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	list_init(&n->node);
	list_init(&n->endpoints);
	id_new(n->id);
	n->driver = driver;
	n->created = clock_wall_ns();
	n->ipv4 = true;
	n->name = strdup(name);
	n->options = json_object();
	n->labels = json_object();
	n->ipam_options = json_object();
	n->priv = calloc(1, driver->network_size ? driver->network_size : 1);
	if (!n->name || !n->options || !n->labels || !n->ipam_options || !n->priv) {
		network_free(n);
		return NULL;
	}
	return n;
}

void network_free(struct network *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < n->n_pools; i++) {
		json_decref(n->pools[i].aux);
		ipam_pool_free(n->pools[i].taken);
		free(n->pools[i].pool_id);
	}
	json_decref(n->options);
	json_decref(n->labels);
	json_decref(n->ipam_options);
	json_decref(n->config_pools);
	json_decref(n->facts);
	free(n->config_from);
	free(n->plugin);
	free(n->ipam);
	free(n->name);
	free(n->priv);
	free(n);
}

struct endpoint *endpoint_new(const char *name, struct network *n)
{
	struct endpoint *ep = calloc(1, sizeof(*ep));

	if (!ep)
		return NULL;
	list_init(&ep->in_network);
	list_init(&ep->in_sandbox);
	id_new(ep->id);
	ep->network = n;
	ep->created = clock_wall_ns();
	ep->name = strdup(name);
	ep->aliases = json_array();
	ep->links = json_object();
	ep->driver_opts = json_object();
	if (!ep->name || !ep->aliases || !ep->links || !ep->driver_opts) {
		endpoint_free(ep);
		return NULL;
	}
	return ep;
}

void endpoint_free(struct endpoint *ep)
{
	if (!ep)
		return;
	json_decref(ep->aliases);
	json_decref(ep->links);
	json_decref(ep->driver_opts);
	free(ep->join);
	free(ep->name);
	free(ep);
}

struct sandbox *sandbox_new(const char *name)
{
	struct sandbox *sb = calloc(1, sizeof(*sb));

	if (!sb)
		return NULL;
	list_init(&sb->node);
	list_init(&sb->endpoints);
	id_new(sb->id);
	sb->created = clock_wall_ns();
	sb->nsid = -1;
	sb->name = strdup(name);
	sb->labels = json_object();
	if (!sb->name || !sb->labels) {
		sandbox_free(sb);
		return NULL;
	}
	return sb;
}

void sandbox_free(struct sandbox *sb)
{
	if (!sb)
		return;
	json_decref(sb->labels);
	json_decref(sb->dns);
	json_decref(sb->dns_search);
	json_decref(sb->dns_options);
	json_decref(sb->extra_hosts);
	free(sb->wants);
	free(sb->exposed);
	free(sb->ports);
	free(sb->adopted_from);
	free(sb->renamed_from);
	free(sb->hostname);
	free(sb->domainname);
	free(sb->name);
	free(sb);
}

/* Enter an object under id and name, or not at all. */
static int add_both(struct map *by_id, struct map *by_name, const char *id, const char *name,
		    void *obj)
{
	int r = map_add(by_id, id, obj);

	if (r < 0)
		return r;
	r = map_add(by_name, name, obj);
	if (r < 0)
		map_del(by_id, id);
	return r;
}

int model_add_network(struct model *m, struct network *n)
{
	int r = add_both(&m->network_by_id, &m->network_by_name, n->id, n->name, n);

	if (r == 0)
		list_append(&m->networks, &n->node);
	return r;
}

int model_add_sandbox(struct model *m, struct sandbox *sb)
{
	int r = add_both(&m->sandbox_by_id, &m->sandbox_by_name, sb->id, sb->name, sb);

	if (r < 0)
		return r;
	r = port_index_add(&m->ports, sb->ports, sb->n_ports);
	if (r == -EEXIST) {
		free(sb->ports);
		sb->ports = NULL;
		sb->n_ports = 0;
	} else if (r < 0) {
		map_del(&m->sandbox_by_id, sb->id);
		map_del(&m->sandbox_by_name, sb->name);
		return r;
	}
	list_append(&m->sandboxes, &sb->node);
	return 0;
}

static struct endpoint *own_by_name(const struct network *n, const char *name)
{
	struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network)
		if (!endpoint_is_remote(ep) && streq(ep->name, name))
			return ep;
	return NULL;
}

int model_add_endpoint(struct model *m, struct endpoint *ep)
{
	int r;

	if (!endpoint_is_remote(ep) && own_by_name(ep->network, ep->name))
		return -EEXIST;
	r = map_add(&m->endpoint_by_id, ep->id, ep);
	if (r == 0)
		list_append(&ep->network->endpoints, &ep->in_network);
	return r;
}

int model_rename_sandbox(struct model *m, struct sandbox *sb, const char *name)
{
	char *new = strdup(name);
	struct endpoint *ep;
	int r = 0;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (own_by_name(ep->network, name))
			r = -EEXIST;
	if (r == 0)
		r = new ? map_add(&m->sandbox_by_name, new, sb) : -ENOMEM;
	list_for_each (ep, &sb->endpoints, in_sandbox) {
		char *own = r == 0 && streq(ep->name, sb->name) ? strdup(name) : NULL;

		if (own) { /* without memory it keeps the old one, which harms nobody */
			free(ep->name);
			ep->name = own;
		}
	}
	if (r < 0) {
		free(new);
		return r;
	}
	map_del(&m->sandbox_by_name, sb->name);
	free(sb->name);
	sb->name = new;
	return 0;
}

void model_del_network(struct model *m, struct network *n)
{
	map_del(&m->network_by_id, n->id);
	map_del(&m->network_by_name, n->name);
	list_del(&n->node);
	network_free(n);
}

void model_del_sandbox(struct model *m, struct sandbox *sb)
{
	map_del(&m->sandbox_by_id, sb->id);
	map_del(&m->sandbox_by_name, sb->name);
	list_del(&sb->node);
	port_index_del(&m->ports, sb->ports, sb->n_ports);
	sandbox_free(sb);
}

void model_del_endpoint(struct model *m, struct endpoint *ep, bool rest)
{
	const struct cnm_ip *ips[] = { &ep->ip4, &ep->ip6 };

	for (unsigned i = 0; i < 2; i++) {
		struct network_pool *p = network_pool_of(ep->network, ips[i]);

		if (p)
			ipam_pool_release(p->taken, ips[i], rest);
	}
	map_del(&m->endpoint_by_id, ep->id);
	list_del(&ep->in_network);
	list_del(&ep->in_sandbox);
	endpoint_free(ep);
}

int model_renew_endpoint(struct model *m, struct endpoint *ep)
{
	char old[ID_SIZE];
	int r;

	memcpy(old, ep->id, ID_SIZE);
	map_del(&m->endpoint_by_id, old);
	id_new(ep->id);
	r = map_add(&m->endpoint_by_id, ep->id, ep);
	if (r < 0) { /* there was room for the old one a moment ago */
		memcpy(ep->id, old, ID_SIZE);
		map_add(&m->endpoint_by_id, ep->id, ep);
	}
	return r;
}

void sandbox_insert(struct sandbox *sb, struct endpoint *ep)
{
	struct endpoint *o;

	list_for_each (o, &sb->endpoints, in_sandbox)
		if (o->joined > ep->joined)
			break;
	list_append(&o->in_sandbox, &ep->in_sandbox); /* before o, which may be the head */
	ep->sandbox = sb;
}

/* Full id, else name, else unique prefix of an id; shared by the two kinds that have both maps. */
static enum ref_result find(const struct map *by_id, const struct map *by_name, const char *ref,
			    void **ret, unsigned *matches)
{
	size_t pos = 0, len = strlen(ref);
	void *v;
	const char *id;

	*matches = 1;
	if ((*ret = map_get(by_id, ref)) || (*ret = map_get(by_name, ref)))
		return REF_FOUND;
	*matches = 0;
	if (len == 0 || len > ID_LEN)
		return REF_NONE;
	while (map_next_key(by_id, &pos, &id, &v)) {
		if (strncmp(id, ref, len) == 0) {
			*ret = v;
			++*matches;
		}
	}
	if (*matches == 0)
		return REF_NONE;
	return *matches == 1 ? REF_FOUND : REF_AMBIGUOUS_ID;
}

enum ref_result model_find_network(const struct model *m, const char *ref, struct network **ret,
				   unsigned *ret_matches)
{
	void *v = NULL;
	enum ref_result r = find(&m->network_by_id, &m->network_by_name, ref, &v, ret_matches);

	if (r == REF_FOUND)
		*ret = v;
	return r;
}

enum ref_result model_find_sandbox(const struct model *m, const char *ref, struct sandbox **ret,
				   unsigned *ret_matches)
{
	void *v = NULL;
	enum ref_result r = find(&m->sandbox_by_id, &m->sandbox_by_name, ref, &v, ret_matches);

	if (r == REF_FOUND)
		*ret = v;
	return r;
}

/* "network/name": the part after the last slash is the endpoint's. */
static struct endpoint *find_qualified(const struct model *m, const char *ref)
{
	const char *slash = strrchr(ref, '/');
	struct network *n;
	char *net;
	unsigned matches;
	struct endpoint *ep = NULL;

	if (!slash)
		return NULL;
	net = strndup(ref, slash - ref);
	if (net && model_find_network(m, net, &n, &matches) == REF_FOUND)
		ep = network_endpoint_by_name(n, slash + 1);
	free(net);
	return ep;
}

enum ref_result model_find_endpoint(const struct model *m, const char *ref, struct endpoint **ret,
				    unsigned *ret_matches)
{
	size_t pos = 0, len = strlen(ref);
	struct endpoint *ep, *by_name = NULL, *by_prefix = NULL;
	unsigned names = 0, prefixes = 0;

	*ret_matches = 1;
	if ((ep = map_get(&m->endpoint_by_id, ref)) || (ep = find_qualified(m, ref))) {
		*ret = ep;
		return REF_FOUND;
	}
	while ((ep = map_next(&m->endpoint_by_id, &pos))) {
		if (streq(ep->name, ref)) {
			by_name = ep;
			names++;
		}
		if (len && strncmp(ep->id, ref, len) == 0) {
			by_prefix = ep;
			prefixes++;
		}
	}
	*ret_matches = names ? names : prefixes;
	if (names > 1)
		return REF_AMBIGUOUS_NAME;
	if (!names && prefixes > 1)
		return REF_AMBIGUOUS_ID;
	if (!names && !prefixes)
		return REF_NONE;
	*ret = by_name ? by_name : by_prefix;
	return REF_FOUND;
}

struct endpoint *network_endpoint_by_name(const struct network *n, const char *name)
{
	struct endpoint *ep = own_by_name(n, name);

	if (ep)
		return ep;
	list_for_each (ep, &n->endpoints, in_network)
		if (streq(ep->name, name))
			return ep;
	return NULL;
}

struct endpoint *sandbox_endpoint_on(const struct sandbox *sb, const struct network *n)
{
	struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->network == n)
			return ep;
	return NULL;
}

bool endpoint_is_stopped(const struct endpoint *ep)
{
	return ep->sandbox && ep->sandbox->stopped && !ep->sandbox->busy;
}

bool network_is_active(const struct network *n)
{
	const struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network)
		if (!endpoint_is_stopped(ep))
			return true;
	return false;
}

struct network_pool *network_pool(const struct network *n, int family)
{
	for (unsigned i = 0; i < n->n_pools; i++)
		if (n->pools[i].subnet.ip.family == family)
			return (struct network_pool *)&n->pools[i];
	return NULL;
}

struct network_pool *network_pool_of(const struct network *n, const struct cnm_ip *ip)
{
	for (unsigned i = 0; i < n->n_pools; i++)
		if (prefix_has(&n->pools[i].subnet, ip))
			return (struct network_pool *)&n->pools[i];
	return NULL;
}

bool network_is_global(const struct network *n)
{
	return strcmp(n->driver->scope, "global") == 0;
}

bool network_is_gateway(const struct network *n)
{
	return strcmp(n->name, GATEWAY_NETWORK) == 0 && strcmp(n->driver->name, "bridge") == 0;
}

bool network_is_user_defined(const struct network *n)
{
	return !n->predefined && n->driver->addresses && !network_is_gateway(n);
}

const char *network_driver_name(const struct network *n)
{
	return n->plugin ? n->plugin : n->driver->name;
}

unsigned endpoint_prefix_len(const struct endpoint *ep, const struct cnm_ip *ip)
{
	const struct network_pool *p = network_pool_of(ep->network, ip);

	return p ? p->subnet.len : ip_is_set(ip) ? ep->ip_len[ip->family == AF_INET6] : 0;
}

struct cnm_ip endpoint_gateway(const struct endpoint *ep, int family)
{
	const struct network_pool *p = network_pool(ep->network, family);
	const struct cnm_ip *ip = family == AF_INET ? &ep->ip4 : &ep->ip6;

	if (ep->network->internal)
		return (struct cnm_ip){ 0 };
	if (ep->network->plugin)
		return ep->join ? ep->join->gateway[family == AF_INET6] : (struct cnm_ip){ 0 };
	/* One may be reserved on a network of several hosts: nobody has it. */
	return p && ip_is_set(ip) && !network_is_global(ep->network) ? p->gateway
								     : (struct cnm_ip){ 0 };
}

static bool has_gateway(const struct endpoint *ep, int family)
{
	const struct cnm_ip gateway = endpoint_gateway(ep, family);

	return ip_is_set(&gateway);
}

/* Is a better than b as the way out? features.md 1.3. */
static bool better(const struct endpoint *a, const struct endpoint *b)
{
	int both_a, both_b;

	if (a->gw_priority != b->gw_priority)
		return a->gw_priority > b->gw_priority;
	if (a->network->internal != b->network->internal)
		return b->network->internal;
	both_a = has_gateway(a, AF_INET) + has_gateway(a, AF_INET6);
	both_b = has_gateway(b, AF_INET) + has_gateway(b, AF_INET6);
	if (both_a != both_b)
		return both_a > both_b;
	return strcmp(a->network->name, b->network->name) < 0;
}

struct endpoint *sandbox_gateway(const struct sandbox *sb, int family)
{
	struct endpoint *ep, *best = NULL;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		if (ep->state == OBJ_REMOVING || !has_gateway(ep, family))
			continue;
		if (!best || better(ep, best))
			best = ep;
	}
	return best;
}

unsigned sandbox_gateway_order(const struct sandbox *sb, struct endpoint **ret, unsigned max)
{
	struct endpoint *ep;
	unsigned n = 0;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		unsigned i;

		if (ep->state == OBJ_REMOVING || n == max)
			continue;
		for (i = n; i > 0 && better(ep, ret[i - 1]); i--)
			ret[i] = ret[i - 1];
		ret[i] = ep;
		n++;
	}
	return n;
}
