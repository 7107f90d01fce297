/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a sandbox can resolve, for people. On the server's thread, whose queries wait meanwhile: so
 * the names are bounded.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "resolver/server.h"
#include "resolver/upstream.h"

#define NAMES_MAX 10000

/* Building goes on after a failure, which is found out at the end. */
struct description {
	json_t *names, *servers, *counters, *whole;
	const struct zone *zone;
	bool failed;
};

static void put(struct description *d, json_t *obj, const char *key, json_t *value)
{
	d->failed |= json_put(obj, key, value) < 0;
}

static void put_ip(struct description *d, json_t *obj, const char *key, const struct cnm_ip *ip)
{
	char text[IP_STR] = "";

	if (ip && ip_is_set(ip))
		ip_format(ip, text);
	put(d, obj, key, json_string(text));
}

/* A name of e, which may be NULL: a link to a name that nobody has now. */
static json_t *add_name(struct description *d, const char *name, const char *network,
			const struct zone_endpoint *e)
{
	json_t *o = json_object();

	put(d, o, "Name", json_string(name));
	put(d, o, "Network", json_string(network));
	put_ip(d, o, "IPv4", e ? &e->ip[0] : NULL);
	put_ip(d, o, "IPv6", e ? &e->ip[1] : NULL);
	put(d, o, "Endpoint", json_string(e ? e->id : ""));
	d->failed |= json_push(d->names, o) < 0;
	return o;
}

static bool is_full(struct description *d)
{
	if (json_array_size(d->names) < NAMES_MAX)
		return false;
	put(d, d->whole, "More", json_true());
	return true;
}

static void add_links(struct description *d, const struct zone_view *v)
{
	for (size_t i = 0; i < v->n_links && !is_full(d); i++) {
		const struct zone_link *l = &v->links[i];
		const struct zone_endpoint *e;
		size_t n = zone_find_name(d->zone, v, l->alias, strlen(l->alias), &e, 1);

		put(d, add_name(d, l->alias, "", n ? e : NULL), "LinkTo", json_string(l->name));
	}
}

static void add_network(struct description *d, const struct zone_network *network)
{
	const struct zone_endpoint *e;

	list_for_each (e, &network->endpoints, in_network) {
		for (size_t i = 0; i < e->n_names; i++) {
			if (is_full(d))
				return;
			add_name(d, e->names[i].text, e->network_name, e);
		}
	}
}

static void add_servers(struct description *d, const struct upstreams *set, const char *from)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct upstream *u = &set->servers[i];
		const char *scope = u->server.scope;
		char ip[IP_STR], text[IP_STR + IF_NAMESIZE + 1];
		json_t *o = json_object();

		snprintf(text, sizeof(text), "%s%s%s", ip_format(&u->server.ip, ip),
			 *scope ? "%" : "", scope);
		put(d, o, "Address", json_string(text));
		put(d, o, "From", json_string(from));
		put(d, o, "Queries", json_integer((json_int_t)u->queries));
		put(d, o, "Answers", json_integer((json_int_t)u->answers));
		put(d, o, "Failures", json_integer((json_int_t)u->failures));
		put(d, o, "Milliseconds", json_real(u->rtt_us / 1000.0));
		d->failed |= json_push(d->servers, o) < 0;
	}
}

static void add_counters(struct description *d, const struct sandbox *sb)
{
	const struct counters *c = &sb->count;
	const struct {
		const char *key;
		uint64_t value;
	} count[] = {
		{ "Queries", c->queries }, { "Local", c->local },
		{ "Cached", c->cached },   { "Forwarded", c->forwarded },
		{ "Failed", c->failed },   { "Refused", c->refused },
		{ "Tcp", c->tcp },         { "InFlight", sb->n_forwards },
	};

	for (size_t i = 0; i < sizeof(count) / sizeof(count[0]); i++)
		put(d, d->counters, count[i].key, json_integer((json_int_t)count[i].value));
}

json_t *describe_sandbox(const struct resolver *r, const struct sandbox *sb)
{
	struct description d = { .names = json_array(),
				 .servers = json_array(),
				 .counters = json_object(),
				 .whole = json_object(),
				 .zone = &r->zone };
	const struct zone_view *v = sb->view;
	bool own = sb->own && sb->own->n;
	const struct upstreams *set = own ? sb->own : r->host;

	if (v)
		add_links(&d, v);
	for (size_t i = 0; v && i < v->n_networks; i++)
		add_network(&d, v->networks[i]);
	add_servers(&d, set, own ? "sandbox" : "host");
	add_counters(&d, sb);
	put(&d, d.whole, "Names", d.names);
	put(&d, d.whole, "Servers", d.servers);
	put(&d, d.whole, "Forward", json_boolean((own || (v && v->forward)) && set->n));
	put(&d, d.whole, "Counters", d.counters);
	if (!d.failed)
		return d.whole;
	json_decref(d.whole);
	return NULL;
}
