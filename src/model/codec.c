/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows. A body is a JSON object; id, name, state and what the store's constraints need are columns
 * and not repeated here. Members that are absent have their zero value.
 */
#include "model/codec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/str.h"
#include "drivers/driver.h"

static void put_ip(json_t *o, const char *key, const struct cnm_ip *ip)
{
	char buf[IP_STR];

	if (ip_is_set(ip))
		json_put(o, key, json_string(ip_format(ip, buf)));
}

static void put_prefix(json_t *o, const char *key, const struct cnm_prefix *p)
{
	char buf[PREFIX_STR];

	if (prefix_is_set(p))
		json_put(o, key, json_string(prefix_format(p, buf)));
}

static void put_true(json_t *o, const char *key, bool v)
{
	if (v)
		json_put(o, key, json_true());
}

static json_t *encode_pool(const struct network_pool *p)
{
	json_t *o = json_object();
	struct cnm_ip cursor = ipam_pool_cursor(p->taken);

	put_prefix(o, "subnet", &p->subnet);
	put_prefix(o, "range", &p->range);
	put_ip(o, "gateway", &p->gateway);
	put_ip(o, "cursor", &cursor);
	if (p->pool_id)
		json_put(o, "pool_id", json_string(p->pool_id));
	if (p->aux)
		json_put(o, "aux", json_incref(p->aux));
	return o;
}

char *network_encode(const struct network *n)
{
	_json_ json_t *o = json_object();
	json_t *pools = json_array();

	for (unsigned i = 0; i < n->n_pools; i++)
		json_push(pools, encode_pool(&n->pools[i]));
	json_put(o, "driver", json_string(n->driver->name));
	if (n->plugin)
		json_put(o, "plugin", json_string(n->plugin));
	if (n->ipam)
		json_put(o, "ipam", json_string(n->ipam));
	json_put(o, "created", json_integer(n->created));
	put_true(o, "predefined", n->predefined);
	put_true(o, "ipv4", n->ipv4);
	put_true(o, "ipv6", n->ipv6);
	put_true(o, "internal", n->internal);
	put_true(o, "attachable", n->attachable);
	put_true(o, "config_only", n->config_only);
	put_true(o, "borrowed_link", n->borrowed_link);
	if (n->config_from)
		json_put(o, "config_from", json_string(n->config_from));
	json_put(o, "options", json_incref(n->options));
	json_put(o, "labels", json_incref(n->labels));
	json_put(o, "ipam_options", json_incref(n->ipam_options));
	json_put(o, "pools", pools);
	if (n->config_pools)
		json_put(o, "config_pools", json_incref(n->config_pools));
	if (n->facts)
		json_put(o, "facts", json_incref(n->facts));
	return json_text(o);
}

static const char *const ip_len_keys[] = { "ip4_len", "ip6_len" };

char *endpoint_encode(const struct endpoint *ep)
{
	_json_ json_t *o = json_object();
	json_t *ll = json_array();
	char buf[MAC_STR];

	for (unsigned i = 0; i < ep->n_link_local; i++) {
		char ip[IP_STR];

		json_push(ll, json_string(ip_format(&ep->link_local[i], ip)));
	}
	json_put(o, "created", json_integer(ep->created));
	put_true(o, "declared", ep->declared);
	put_true(o, "fixed_mac", ep->fixed_mac);
	put_true(o, "fixed_ip4", ep->fixed_ip4);
	put_true(o, "fixed_ip6", ep->fixed_ip6);
	put_ip(o, "ip4", &ep->ip4);
	put_ip(o, "ip6", &ep->ip6);
	if (mac_is_set(&ep->mac))
		json_put(o, "mac", json_string(mac_format(&ep->mac, buf)));
	json_put(o, "link_local", ll);
	json_put(o, "aliases", json_incref(ep->aliases));
	if (json_object_size(ep->links))
		json_put(o, "links", json_incref(ep->links));
	json_put(o, "driver_opts", json_incref(ep->driver_opts));
	json_put(o, "gw_priority", json_integer(ep->gw_priority));
	if (ep->joined)
		json_put(o, "joined", json_integer(ep->joined));
	if (ep->ifname[0])
		json_put(o, "ifname", json_string(ep->ifname));
	if (ep->host[0]) {
		json_put(o, "host", json_string(ep->host));
		json_put(o, "name", json_string(ep->name));
	}
	put_ip(o, "vtep", &ep->vtep);
	put_true(o, "asked", ep->asked);
	put_true(o, "exposed_ports", ep->exposed);
	for (unsigned i = 0; i < 2; i++)
		if (ep->ip_len[i])
			json_put(o, ip_len_keys[i], json_integer(ep->ip_len[i]));
	if (ep->join)
		json_put(o, "join", join_encode(ep->join));
	return json_text(o);
}

static const char *const source_names[] = { "own", "host", "adopted", "foreign" };
_Static_assert(sizeof(source_names) / sizeof(*source_names) == NETNS_FOREIGN + 1, "one a source");

static void put_if(json_t *o, const char *key, json_t *v)
{
	if (v)
		json_put(o, key, json_incref(v));
}

char *sandbox_encode(const struct sandbox *sb)
{
	_json_ json_t *o = json_object();

	json_put(o, "created", json_integer(sb->created));
	json_put(o, "hostname", json_string(sb->hostname));
	if (sb->domainname)
		json_put(o, "domainname", json_string(sb->domainname));
	put_if(o, "dns", sb->dns);
	put_if(o, "dns_search", sb->dns_search);
	put_if(o, "dns_options", sb->dns_options);
	put_if(o, "extra_hosts", sb->extra_hosts);
	json_put(o, "source", json_string(source_names[sb->source]));
	if (sb->adopted_from)
		json_put(o, "adopted_from", json_string(sb->adopted_from));
	if (sb->renamed_from)
		json_put(o, "renamed_from", json_string(sb->renamed_from));
	put_true(o, "declared", sb->declared);
	put_true(o, "stopped", sb->stopped);
	put_true(o, "confined", sb->confined);
	json_put(o, "labels", json_incref(sb->labels));
	if (sb->n_wants)
		json_put(o, "publish", port_wants_encode(sb->wants, sb->n_wants));
	if (sb->n_exposed)
		json_put(o, "exposed", port_runs_encode(sb->exposed, sb->n_exposed));
	if (sb->n_ports)
		json_put(o, "ports", ports_encode(sb->ports, sb->n_ports));
	return json_text(o);
}

/* ---- decoding: every reader fails on a member of the wrong type */

static int get_ip(const json_t *o, const char *key, struct cnm_ip *ret, struct cnm_error *err)
{
	const char *s = NULL;
	int r = json_get_string(o, key, &s, err);

	if (r < 0 || !s)
		return r;
	if (ip_parse(ret, s) < 0)
		return cnm_error_set(err, CNM_E_INTERNAL, "%s: \"%s\" is no address", key, s);
	return 0;
}

static int get_prefix(const json_t *o, const char *key, struct cnm_prefix *ret,
		      struct cnm_error *err)
{
	const char *s = NULL;
	int r = json_get_string(o, key, &s, err);

	if (r < 0 || !s)
		return r;
	if (prefix_parse(ret, s) < 0)
		return cnm_error_set(err, CNM_E_INTERNAL, "%s: \"%s\" is no subnet", key, s);
	return 0;
}

static int get_strings(const json_t *o, const char *key, json_t **slot, struct cnm_error *err)
{
	json_t *v = NULL;
	int r = json_get_strings(o, key, &v, err);

	if (r < 0 || !v)
		return r;
	json_decref(*slot);
	*slot = json_incref(v);
	return 0;
}

/* An array of strings. */
static int get_list(const json_t *o, const char *key, json_t **slot, struct cnm_error *err)
{
	json_t *list = NULL, *v;
	size_t i;
	int r = json_get_array(o, key, &list, err);

	if (r < 0 || !list)
		return r;
	json_array_foreach (list, i, v)
		if (!json_is_string(v))
			return cnm_error_set(err, CNM_E_INTERNAL, "%s: %zu is no string", key, i);
	*slot = json_incref(list);
	return 0;
}

static int get_copy(const json_t *o, const char *key, char **slot, struct cnm_error *err)
{
	const char *s = NULL;
	int r = json_get_string(o, key, &s, err);

	if (r < 0 || !s)
		return r;
	free(*slot);
	*slot = strdup(s);
	return *slot ? 0 : cnm_error_errno(err, ENOMEM, "%s", key);
}

/* Read a body; *ret is owned by the caller. */
static int parse_body(const char *body, json_t **ret, struct cnm_error *err)
{
	json_error_t je;
	json_t *o = json_loads(body, 0, &je);

	if (!json_is_object(o)) {
		json_decref(o);
		return cnm_error_set(err, CNM_E_INTERNAL, "its row is not a JSON object: %s",
				     je.text);
	}
	*ret = o;
	return 0;
}

/* Addresses kept from endpoints. */
static int take_aux(struct network_pool *p, const json_t *aux, struct cnm_error *err)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)aux, key, v) {
		struct cnm_ip ip;

		if (ip_parse(&ip, json_string_value(v)) < 0)
			return cnm_error_set(err, CNM_E_INTERNAL, "aux: \"%s\" is no address",
					     json_string_value(v));
		if (ipam_pool_take(p->taken, &ip) == -ENOMEM)
			return cnm_error_errno(err, ENOMEM, "aux");
	}
	return 0;
}

static int decode_pool(const json_t *o, struct network *n, struct cnm_error *err)
{
	struct network_pool *p = &n->pools[n->n_pools];
	struct cnm_ip cursor = { 0 };
	json_t *aux = NULL;
	int r;

	if ((r = get_prefix(o, "subnet", &p->subnet, err)) < 0 ||
	    (r = get_prefix(o, "range", &p->range, err)) < 0 ||
	    (r = get_ip(o, "gateway", &p->gateway, err)) < 0 ||
	    (r = get_ip(o, "cursor", &cursor, err)) < 0 ||
	    (r = get_copy(o, "pool_id", &p->pool_id, err)) < 0 ||
	    (r = json_get_strings(o, "aux", &aux, err)) < 0) {
		free(p->pool_id);
		p->pool_id = NULL;
		return r;
	}
	r = ipam_pool_new(&p->taken, &p->subnet, &p->range);
	if (r < 0) {
		free(p->pool_id);
		p->pool_id = NULL;
		return cnm_error_errno(err, r, "pool");
	}
	n->n_pools++;
	p->aux = json_incref(aux);
	if (ip_is_set(&p->gateway) && ipam_pool_take(p->taken, &p->gateway) == -ENOMEM)
		return cnm_error_errno(err, ENOMEM, "gateway");
	if (ip_is_set(&cursor))
		ipam_pool_set_cursor(p->taken, &cursor);
	return take_aux(p, aux, err);
}

static int decode_network(const json_t *o, struct network *n, struct cnm_error *err)
{
	json_t *pools = NULL, *pool, *config_pools = NULL, *facts = NULL;
	size_t i;
	int r;

	n->ipv4 = false;
	if ((r = json_get_int(o, "created", &n->created, err)) < 0 ||
	    (r = json_get_bool(o, "predefined", &n->predefined, err)) < 0 ||
	    (r = json_get_bool(o, "ipv4", &n->ipv4, err)) < 0 ||
	    (r = json_get_bool(o, "ipv6", &n->ipv6, err)) < 0 ||
	    (r = json_get_bool(o, "internal", &n->internal, err)) < 0 ||
	    (r = json_get_bool(o, "attachable", &n->attachable, err)) < 0 ||
	    (r = json_get_bool(o, "config_only", &n->config_only, err)) < 0 ||
	    (r = json_get_bool(o, "borrowed_link", &n->borrowed_link, err)) < 0 ||
	    (r = get_copy(o, "config_from", &n->config_from, err)) < 0 ||
	    (r = get_copy(o, "plugin", &n->plugin, err)) < 0 ||
	    (r = get_copy(o, "ipam", &n->ipam, err)) < 0 ||
	    (r = get_strings(o, "options", &n->options, err)) < 0 ||
	    (r = get_strings(o, "labels", &n->labels, err)) < 0 ||
	    (r = get_strings(o, "ipam_options", &n->ipam_options, err)) < 0 ||
	    (r = json_get_array(o, "config_pools", &config_pools, err)) < 0 ||
	    (r = json_get_object(o, "facts", &facts, err)) < 0 ||
	    (r = json_get_array(o, "pools", &pools, err)) < 0)
		return r;
	n->config_pools = json_incref(config_pools);
	n->facts = json_incref(facts);
	json_array_foreach (pools, i, pool) {
		if (n->n_pools == NETWORK_MAX_POOLS)
			return cnm_error_set(err, CNM_E_INTERNAL, "it has more than %d subnets",
					     NETWORK_MAX_POOLS);
		r = decode_pool(pool, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int network_decode(const char *id, const char *name, const char *body, struct network **ret,
		   struct cnm_error *err)
{
	_json_ json_t *o = NULL;
	const char *driver_name = "";
	const struct driver *driver = NULL;
	struct network *n;
	int r = parse_body(body, &o, err);

	if (r == 0)
		r = json_get_string(o, "driver", &driver_name, err);
	if (r == 0 && !(driver = driver_of_row(driver_name)))
		r = cnm_error_set(err, CNM_E_INTERNAL, "this cnm has no driver \"%s\"",
				  driver_name);
	if (r < 0)
		return r;
	n = network_new(name, driver);
	if (!n)
		return cnm_error_errno(err, ENOMEM, "network \"%s\"", name);
	str_copy(n->id, sizeof(n->id), id);
	r = decode_network(o, n, err);
	if (r == 0 && n->driver->by_plugin != (n->plugin && n->plugin[0]))
		r = cnm_error_set(err, CNM_E_INTERNAL, "it does not say whose plugin's it is");
	if (r < 0) {
		network_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

static int decode_lists(const json_t *aliases, const json_t *ll, struct endpoint *ep,
			struct cnm_error *err)
{
	json_t *v;
	size_t i;

	json_array_foreach (aliases, i, v)
		if (!json_is_string(v) || json_array_append(ep->aliases, v) < 0)
			return cnm_error_set(err, CNM_E_INTERNAL, "aliases: %zu is no string", i);
	json_array_foreach (ll, i, v) {
		if (i == 4 || !json_is_string(v) ||
		    ip_parse(&ep->link_local[i], json_string_value(v)) < 0)
			return cnm_error_set(err, CNM_E_INTERNAL,
					     "link_local: %zu is no address, or one too many", i);
		ep->n_link_local++;
	}
	return 0;
}

/* What a plugin said of it. */
static int decode_told(const json_t *o, struct endpoint *ep, struct cnm_error *err)
{
	json_t *join = NULL;
	int64_t len[2] = { 0 };
	int r;

	if ((r = json_get_bool(o, "asked", &ep->asked, err)) < 0 ||
	    (r = json_get_bool(o, "exposed_ports", &ep->exposed, err)) < 0 ||
	    (r = json_get_int(o, ip_len_keys[0], &len[0], err)) < 0 ||
	    (r = json_get_int(o, ip_len_keys[1], &len[1], err)) < 0 ||
	    (r = json_get_object(o, "join", &join, err)) < 0)
		return r;
	ep->ip_len[0] = len[0] > 0 && len[0] <= 32 ? (unsigned)len[0] : 0;
	ep->ip_len[1] = len[1] > 0 && len[1] <= 128 ? (unsigned)len[1] : 0;
	if (!join)
		return 0;
	ep->join = calloc(1, sizeof(*ep->join));
	return ep->join ? join_decode(join, ep->join, err) : cnm_error_errno(err, ENOMEM, "join");
}

static int decode_endpoint(const json_t *o, struct endpoint *ep, struct cnm_error *err)
{
	const char *mac = NULL, *ifname = "", *host = "";
	json_t *aliases = NULL, *ll = NULL;
	int64_t prio = 0;
	int r;

	if ((r = json_get_int(o, "created", &ep->created, err)) < 0 ||
	    (r = json_get_bool(o, "declared", &ep->declared, err)) < 0 ||
	    (r = json_get_bool(o, "fixed_mac", &ep->fixed_mac, err)) < 0 ||
	    (r = json_get_bool(o, "fixed_ip4", &ep->fixed_ip4, err)) < 0 ||
	    (r = json_get_bool(o, "fixed_ip6", &ep->fixed_ip6, err)) < 0 ||
	    (r = get_ip(o, "ip4", &ep->ip4, err)) < 0 ||
	    (r = get_ip(o, "ip6", &ep->ip6, err)) < 0 ||
	    (r = json_get_string(o, "mac", &mac, err)) < 0 ||
	    (r = json_get_array(o, "link_local", &ll, err)) < 0 ||
	    (r = json_get_array(o, "aliases", &aliases, err)) < 0 ||
	    (r = get_strings(o, "links", &ep->links, err)) < 0 ||
	    (r = get_strings(o, "driver_opts", &ep->driver_opts, err)) < 0 ||
	    (r = json_get_int(o, "gw_priority", &prio, err)) < 0 ||
	    (r = json_get_int(o, "joined", &ep->joined, err)) < 0 ||
	    (r = json_get_string(o, "ifname", &ifname, err)) < 0 ||
	    (r = json_get_string(o, "host", &host, err)) < 0 ||
	    (r = get_ip(o, "vtep", &ep->vtep, err)) < 0 || (r = decode_told(o, ep, err)) < 0)
		return r;
	if (mac && mac_parse(&ep->mac, mac) < 0)
		return cnm_error_set(err, CNM_E_INTERNAL, "\"%s\" is no MAC", mac);
	if (prio < INT_MIN || prio > INT_MAX)
		return cnm_error_set(err, CNM_E_INTERNAL, "gw_priority: %lld is out of range",
				     (long long)prio);
	ep->gw_priority = (int)prio;
	if (!str_copy(ep->host, sizeof(ep->host), host))
		return cnm_error_set(err, CNM_E_INTERNAL, "host: \"%s\" is too long", host);
	if (!str_copy(ep->ifname, sizeof(ep->ifname), ifname))
		return cnm_error_set(err, CNM_E_INTERNAL, "ifname: \"%s\" is too long", ifname);
	return decode_lists(aliases, ll, ep, err);
}

int endpoint_decode(const char *id, const char *name, struct network *network, const char *body,
		    struct endpoint **ret, struct cnm_error *err)
{
	_json_ json_t *o = NULL;
	struct endpoint *ep;
	int r = parse_body(body, &o, err);

	if (r == 0 && !name) {
		name = "";
		r = json_get_string(o, "name", &name, err);
	}
	if (r < 0)
		return r;
	ep = endpoint_new(name, network);
	if (!ep)
		return cnm_error_errno(err, ENOMEM, "endpoint \"%s\"", name);
	str_copy(ep->id, sizeof(ep->id), id);
	r = decode_endpoint(o, ep, err);
	if (r < 0) {
		endpoint_free(ep);
		return r;
	}
	*ret = ep;
	return 0;
}

static int decode_sandbox_ports(const json_t *o, struct sandbox *sb, struct cnm_error *err)
{
	json_t *wants = NULL, *exposed = NULL, *ports = NULL;
	int r;

	if ((r = json_get_array(o, "publish", &wants, err)) < 0 ||
	    (r = json_get_array(o, "exposed", &exposed, err)) < 0 ||
	    (r = json_get_array(o, "ports", &ports, err)) < 0)
		return r;
	if ((r = port_wants_decode(wants, &sb->wants, &sb->n_wants)) < 0)
		return cnm_error_errno(err, r, "publish: not ports as cnm writes them");
	if ((r = port_runs_decode(exposed, &sb->exposed, &sb->n_exposed)) < 0)
		return cnm_error_errno(err, r, "exposed: not ports as cnm writes them");
	if ((r = ports_decode(ports, sb, &sb->ports, &sb->n_ports)) < 0)
		return cnm_error_errno(err, r, "ports: not ports as cnm writes them");
	return 0;
}

static int decode_sandbox(const json_t *o, struct sandbox *sb, struct cnm_error *err)
{
	const char *source = source_names[NETNS_OWN];
	int r;

	if ((r = json_get_int(o, "created", &sb->created, err)) < 0 ||
	    (r = get_copy(o, "hostname", &sb->hostname, err)) < 0 ||
	    (r = get_copy(o, "domainname", &sb->domainname, err)) < 0 ||
	    (r = get_list(o, "dns", &sb->dns, err)) < 0 ||
	    (r = get_list(o, "dns_search", &sb->dns_search, err)) < 0 ||
	    (r = get_list(o, "dns_options", &sb->dns_options, err)) < 0 ||
	    (r = get_list(o, "extra_hosts", &sb->extra_hosts, err)) < 0 ||
	    (r = json_get_string(o, "source", &source, err)) < 0 ||
	    (r = get_copy(o, "adopted_from", &sb->adopted_from, err)) < 0 ||
	    (r = get_copy(o, "renamed_from", &sb->renamed_from, err)) < 0 ||
	    (r = json_get_bool(o, "declared", &sb->declared, err)) < 0 ||
	    (r = json_get_bool(o, "stopped", &sb->stopped, err)) < 0 ||
	    (r = json_get_bool(o, "confined", &sb->confined, err)) < 0 ||
	    (r = get_strings(o, "labels", &sb->labels, err)) < 0 ||
	    (r = decode_sandbox_ports(o, sb, err)) < 0)
		return r;
	while (sb->source <= NETNS_FOREIGN && !streq(source, source_names[sb->source]))
		sb->source++;
	if (sb->source > NETNS_FOREIGN)
		return cnm_error_set(err, CNM_E_INTERNAL, "unknown namespace source \"%s\"",
				     source);
	if (sb->source == NETNS_ADOPTED && !sb->adopted_from)
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "it does not say what it was adopted from");
	return 0;
}

int sandbox_decode(const char *id, const char *name, const char *body, struct sandbox **ret,
		   struct cnm_error *err)
{
	_json_ json_t *o = NULL;
	struct sandbox *sb;
	int r = parse_body(body, &o, err);

	if (r < 0)
		return r;
	sb = sandbox_new(name);
	if (!sb)
		return cnm_error_errno(err, ENOMEM, "sandbox \"%s\"", name);
	str_copy(sb->id, sizeof(sb->id), id);
	r = decode_sandbox(o, sb, err);
	if (r == 0 && !sb->hostname && !(sb->hostname = strdup(name)))
		r = cnm_error_errno(err, ENOMEM, "hostname");
	if (r < 0) {
		sandbox_free(sb);
		return r;
	}
	*ret = sb;
	return 0;
}
