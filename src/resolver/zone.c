/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names, by network, and what a sandbox sees of them. */
#include "resolver/zone.h"

#include <ctype.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "resolver/dns_wire.h"

/* What a name can have as text: on the wire it has a length byte more, and the root. */
#define TEXT_MAX (DNS_NAME_MAX - 2)

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_text(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (lower(a[i]) != lower(b[i]))
			return false;
	}
	return true;
}

static uint32_t name_hash(const struct zone_network *n, const char *name, size_t len)
{
	uint32_t h = n->by_id.hash;

	for (size_t i = 0; i < len; i++)
		h = hash_byte(h, (uint8_t)lower(name[i]));
	return h;
}

static uint32_t ip_hash(const struct zone_network *n, const struct cnm_ip *ip)
{
	return hash_bytes(n->by_id.hash, ip->b, sizeof(ip->b));
}

static uint32_t id_hash(const char *id)
{
	return hash_bytes(HASH_START, id, strlen(id));
}

/* ------------------------------------------------------------------------------- networks */

static struct zone_network *network_candidate(const char *id)
{
	size_t size = strlen(id) + 1;
	struct zone_network *n = calloc(1, sizeof(*n) + size);

	if (!n)
		return NULL;
	memcpy(n->id, id, size);
	list_init(&n->endpoints);
	return n;
}

/* The network that is to be used for the candidate, with a reference. */
static struct zone_network *network_enter(struct zone *z, struct zone_network *candidate)
{
	uint32_t hash = id_hash(candidate->id);
	struct zone_network *n = candidate;

	for (struct table_node *t = table_first(&z->networks, hash); t; t = table_next(t)) {
		n = container_of(t, struct zone_network, by_id);
		if (streq(n->id, candidate->id)) {
			free(candidate);
			n->refs++;
			return n;
		}
	}
	table_add(&z->networks, &candidate->by_id, hash);
	candidate->refs = 1;
	return candidate;
}

static void network_leave(struct zone *z, struct zone_network *n)
{
	if (--n->refs)
		return;
	table_del(&z->networks, &n->by_id);
	free(n);
}

/* Does the network go by this name? */
static bool network_is(const struct zone_network *n, const char *name, size_t len)
{
	const struct zone_endpoint *e;

	if (list_empty(&n->endpoints))
		return false;
	e = container_of(n->endpoints.next, struct zone_endpoint, in_network);
	return strlen(e->network_name) == len && same_text(e->network_name, name, len);
}

/* ------------------------------------------------------------------------------- endpoints */

/* Copies a string to *at and steps over it. */
static const char *text_put(char **at, const char *s, size_t len)
{
	char *p = *at;

	memcpy(p, s, len);
	p[len] = '\0';
	*at += len + 1;
	return p;
}

static void endpoint_add_name(struct zone_endpoint *e, char **at, const char *name)
{
	size_t len = strlen(name);

	if (len && name[len - 1] == '.')
		len--;
	if (len == 0 || len > TEXT_MAX)
		return;
	for (size_t i = 0; i < e->n_names; i++) {
		if (e->names[i].len == len && same_text(e->names[i].text, name, len))
			return;
	}
	e->names[e->n_names++] =
		(struct zone_name){ .endpoint = e, .text = text_put(at, name, len), .len = len };
}

struct zone_endpoint *zone_endpoint_new(const struct resolver_names *names)
{
	size_t texts = strlen(names->endpoint_id) + 1 + strlen(names->network_name) + 1;
	struct zone_endpoint *e;
	char *at;

	for (size_t i = 0; i < names->n_names; i++)
		texts += strlen(names->names[i]) + 1;
	e = calloc(1, sizeof(*e) + names->n_names * sizeof(e->names[0]) + texts);
	if (!e)
		return NULL;
	e->network = network_candidate(names->network_id);
	if (!e->network) {
		free(e);
		return NULL;
	}
	at = (char *)&e->names[names->n_names];
	e->id = text_put(&at, names->endpoint_id, strlen(names->endpoint_id));
	e->network_name = text_put(&at, names->network_name, strlen(names->network_name));
	for (size_t i = 0; i < names->n_names; i++)
		endpoint_add_name(e, &at, names->names[i]);
	e->ip[0] = names->ip4;
	e->ip[1] = names->ip6;
	return e;
}

static struct zone_endpoint *endpoint_find(const struct zone *z, const char *id)
{
	for (struct table_node *t = table_first(&z->endpoints, id_hash(id)); t; t = table_next(t)) {
		struct zone_endpoint *e = container_of(t, struct zone_endpoint, by_id);

		if (streq(e->id, id))
			return e;
	}
	return NULL;
}

static void endpoint_drop(struct zone *z, struct zone_endpoint *e)
{
	for (size_t i = 0; i < e->n_names; i++)
		table_del(&z->names, &e->names[i].by_name);
	for (size_t i = 0; i < 2; i++)
		table_del(&z->ips[i], &e->by_ip[i]);
	table_del(&z->endpoints, &e->by_id);
	list_del(&e->in_network);
	network_leave(z, e->network);
	free(e);
}

void zone_put_endpoint(struct zone *z, struct zone_endpoint *e)
{
	struct zone_endpoint *old = endpoint_find(z, e->id);

	if (old)
		endpoint_drop(z, old);
	e->network = network_enter(z, e->network);
	/* The newest stands first: its network name is the current one. */
	list_append(e->network->endpoints.next, &e->in_network);
	table_add(&z->endpoints, &e->by_id, id_hash(e->id));
	for (size_t i = 0; i < e->n_names; i++) {
		struct zone_name *n = &e->names[i];

		table_add(&z->names, &n->by_name, name_hash(e->network, n->text, n->len));
	}
	for (size_t i = 0; i < 2; i++) {
		if (ip_is_set(&e->ip[i]))
			table_add(&z->ips[i], &e->by_ip[i], ip_hash(e->network, &e->ip[i]));
	}
}

void zone_drop_endpoint(struct zone *z, const char *id)
{
	struct zone_endpoint *e = endpoint_find(z, id);

	if (e)
		endpoint_drop(z, e);
}

/* ------------------------------------------------------------------------------- views */

static char *lower_copy(const char *s)
{
	char *copy = strdup(s);

	for (char *p = copy; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static void free_links(struct zone_view *v)
{
	for (size_t i = 0; i < v->n_links; i++) {
		free(v->links[i].alias);
		free(v->links[i].name);
	}
	free(v->links);
}

static bool copy_links(struct zone_view *v, const struct resolver_sandbox *sandbox)
{
	v->links = calloc(sandbox->n_links + 1, sizeof(*v->links));
	for (size_t i = 0; v->links && i < sandbox->n_links; i++) {
		struct zone_link *l = &v->links[v->n_links++];

		l->alias = lower_copy(sandbox->links[i].alias);
		l->name = lower_copy(sandbox->links[i].name);
		if (!l->alias || !l->name)
			return false;
	}
	return v->links;
}

struct zone_view *zone_view_new(const struct resolver_sandbox *sandbox)
{
	size_t n = sandbox->n_networks;
	struct zone_view *v = calloc(1, sizeof(*v) + n * sizeof(v->networks[0]));

	if (!v)
		return NULL;
	v->forward = sandbox->forward;
	v->ndots = sandbox->ndots;
	if (!copy_links(v, sandbox)) {
		free_links(v);
		free(v);
		return NULL;
	}
	while (v->n_networks < n) {
		v->networks[v->n_networks] = network_candidate(sandbox->network_ids[v->n_networks]);
		if (!v->networks[v->n_networks]) {
			while (v->n_networks)
				free(v->networks[--v->n_networks]);
			free_links(v);
			free(v);
			return NULL;
		}
		v->n_networks++;
	}
	return v;
}

void zone_enter_view(struct zone *z, struct zone_view *v)
{
	for (size_t i = 0; i < v->n_networks; i++)
		v->networks[i] = network_enter(z, v->networks[i]);
}

void zone_drop_view(struct zone *z, struct zone_view *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n_networks; i++)
		network_leave(z, v->networks[i]);
	free_links(v);
	free(v);
}

/* ------------------------------------------------------------------------------- the zone */

int zone_init(struct zone *z)
{
	*z = (struct zone){ 0 };
	if (table_init(&z->names) || table_init(&z->ips[0]) || table_init(&z->ips[1]) ||
	    table_init(&z->endpoints) || table_init(&z->networks)) {
		zone_destroy(z);
		return -ENOMEM;
	}
	return 0;
}

void zone_destroy(struct zone *z)
{
	struct table_node *t;
	size_t bucket = 0;

	while ((t = table_any(&z->endpoints, &bucket)))
		endpoint_drop(z, container_of(t, struct zone_endpoint, by_id));
	table_free(&z->names);
	table_free(&z->ips[0]);
	table_free(&z->ips[1]);
	table_free(&z->endpoints);
	table_free(&z->networks);
}

/* ------------------------------------------------------------------------------- finding */

static size_t find_in_network(const struct zone *z, const struct zone_network *network,
			      const char *name, size_t len, const struct zone_endpoint **ret,
			      size_t max)
{
	struct table_node *t = table_first(&z->names, name_hash(network, name, len));
	size_t n = 0;

	for (; t && n < max; t = table_next(t)) {
		const struct zone_name *found = container_of(t, struct zone_name, by_name);

		if (found->endpoint->network == network && found->len == len &&
		    same_text(found->text, name, len))
			ret[n++] = found->endpoint;
	}
	return n;
}

size_t zone_find_name(const struct zone *z, const struct zone_view *v, const char *name, size_t len,
		      const struct zone_endpoint **ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_links; i++) {
		if (strlen(v->links[i].alias) != len || memcmp(v->links[i].alias, name, len) != 0)
			continue;
		name = v->links[i].name;
		len = strlen(name);
		break;
	}
	for (size_t i = 0; i < v->n_networks && !n; i++)
		n = find_in_network(z, v->networks[i], name, len, ret, max);
	for (size_t dot = len; dot-- > 1 && !n;) {
		if (name[dot] != '.')
			continue;
		for (size_t i = 0; i < v->n_networks && !n; i++) {
			if (network_is(v->networks[i], name + dot + 1, len - dot - 1))
				n = find_in_network(z, v->networks[i], name, dot, ret, max);
		}
	}
	return n;
}

const struct zone_endpoint *zone_find_ip(const struct zone *z, const struct zone_view *v,
					 const struct cnm_ip *ip)
{
	unsigned family = ip->family == AF_INET6;

	for (size_t i = 0; i < v->n_networks; i++) {
		struct table_node *t = table_first(&z->ips[family], ip_hash(v->networks[i], ip));

		for (; t; t = table_next(t)) {
			const struct zone_endpoint *e =
				container_of(t - family, struct zone_endpoint, by_ip);

			if (e->network == v->networks[i] && ip_eq(&e->ip[family], ip))
				return e;
		}
	}
	return NULL;
}
