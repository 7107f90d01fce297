/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host has and what the store says are brought together. What is in the store stands;
 * what is missing there is put back as if it were new, so that whoever has what it needs by now
 * keeps it. But a network that nobody is on gives way.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cluster/claims_internal.h"

/* ---- removals that this host began */

struct marked {
	const char *host;
	char id[65];
	const char *after; /* only ids behind this one */
};

static bool find_marked(void *arg, const struct cluster_key *key, const char *text)
{
	struct marked *m = arg;
	_json_ json_t *o = NULL;

	if (!strstr(text, "\"Removing\"") || strcmp(key->id, m->after) <= 0)
		return true;
	o = json_loads(text, 0, NULL);
	if (!streq(claim_text(o, "Removing"), m->host))
		return true;
	str_copy(m->id, sizeof(m->id), key->id);
	return false;
}

static int unremove_all(const struct cluster *c, struct cnm_error *err)
{
	char after[65] = "";
	int r = 0;

	while (r == 0) {
		struct marked m = { .host = c->host, .after = after };
		struct attempt a = attempt_begin(c);

		cluster_copy_each(c->copy, CLUSTER_NETWORK, NULL, find_marked, &m);
		if (!m.id[0])
			break;
		do
			r = network_unremove(&a, m.id, err);
		while (r == KV_CONFLICT);
		memcpy(after, m.id, sizeof(after));
	}
	return r;
}

/* ---- networks */

static bool is_in_copy(const struct cluster *c, enum cluster_kind kind, const char *network,
		       const char *id)
{
	char key[KV_KEY_MAX + 1];

	return cluster_copy_version(c->copy, cluster_key_make(key, kind, network, id));
}

static bool is_network_in_copy(const struct cluster *c, const char *id)
{
	char key[KV_KEY_MAX + 1];
	_json_ json_t *value =
		cluster_copy_get(c->copy, cluster_key_make(key, CLUSTER_NETWORK, NULL, id), NULL);

	return network_is_good(value);
}

static bool is_claimed(const struct cluster *c, const char *id)
{
	char key[KV_KEY_MAX + 1];
	_json_ json_t *table =
		cluster_copy_get(c->copy, cluster_key_make(key, CLUSTER_CLAIMS, NULL, NULL), NULL);

	return claims_has(table, id);
}

/* What nobody is on gives way to what somebody is on: an old backup may have brought it back. */
static bool gives_way(const struct cluster *c, const struct cluster_network *n,
		      enum cluster_clash clash, struct cnm_error *why)
{
	if (clash == CLASH_NONE || cluster_remove_network(c, n->other_id, NULL) < 0)
		return false;
	log_warn("network %s (%.12s) is put back into the cluster's store, and %.12s removed, on "
		 "which nobody was: %s",
		 n->name, n->id, n->other_id, why->text);
	*why = (struct cnm_error){ 0 };
	return true;
}

static int settle_network(const struct cluster *c, struct cluster_own_network *n,
			  struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	struct cnm_error why = { 0 };
	int r = 0;

	if (!is_network_in_copy(c, n->network.id) || !is_claimed(c, n->network.id)) {
		do {
			n->clash = CLASH_NONE;
			r = network_attempt(&a, &n->network, &n->clash, &why);
		} while (r == KV_CONFLICT || (r < 0 && gives_way(c, &n->network, n->clash, &why)));
	}
	if (r < 0 && n->clash == CLASH_NONE) {
		if (err)
			*err = why;
		return r;
	}
	n->fate = r < 0 ? FATE_LOST : FATE_KEPT;
	return 0;
}

static struct cluster_own_network *find_network(struct cluster_own_network *v, size_t n,
						const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (streq(v[i].network.id, id))
			return &v[i];
	return NULL;
}

/* ---- endpoints */

/* An old backup may have another name for it, and another host the name, while ours was lost. */
static bool has_name(const struct cluster *c, const struct cluster_endpoint *ep,
		     const json_t *there)
{
	const char *name = ep->name ? ep->name : "";
	char key[KV_KEY_MAX + 1];
	_json_ json_t *owner = cluster_copy_get(
		c->copy, cluster_key_make(key, CLUSTER_NAME, ep->network_id, name), NULL);

	return streq(claim_text(there, "Name"), name) && (!name[0] || claim_is(owner, ep->id));
}

static int endpoint_step(struct attempt *a, struct cluster_own_endpoint *e, struct cnm_error *err)
{
	const struct cluster_endpoint *ep = &e->endpoint;
	char key[KV_KEY_MAX + 1];
	_json_ json_t *there = cluster_copy_get(
		a->c->copy, cluster_key_make(key, CLUSTER_ENDPOINT, ep->network_id, ep->id), NULL);

	e->clash = CLASH_NONE;
	if (!endpoint_is_good(there) || is_in_copy(a->c, CLUSTER_TOMBSTONE, NULL, ep->id))
		return endpoint_attempt(a, ep, &e->clash, err);
	return has_name(a->c, ep, there) ? 0 : endpoint_change(a, ep, &e->clash, err);
}

static int settle_endpoint(const struct cluster *c, struct cluster_own_endpoint *e,
			   struct cluster_own_network *n, struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	struct cnm_error why = { 0 };
	int r = 0;

	if (n && n->fate == FATE_UNKNOWN)
		r = settle_network(c, n, err);
	if (r < 0)
		return r;
	if (n && n->fate == FATE_LOST) {
		e->fate = FATE_LOST;
		e->clash = CLASH_NETWORK;
		return 0;
	}
	do
		r = endpoint_step(&a, e, &why);
	while (r == KV_CONFLICT);
	/* Its network was there, so that it goes is news: with the next settling it comes back. */
	if (r < 0 && (e->clash == CLASH_NONE || (n && e->clash == CLASH_NETWORK))) {
		e->clash = CLASH_NONE;
		if (err)
			*err = why;
		return r;
	}
	e->fate = r == 0 ? FATE_KEPT : e->clash == CLASH_BURIED ? FATE_BURIED : FATE_LOST;
	return 0;
}

/* What fails by itself does not keep the rest; a store that does not answer does. */
int cluster_settle(const struct cluster *c, struct cluster_own_network *networks, size_t n_networks,
		   struct cluster_own_endpoint *endpoints, size_t n_endpoints,
		   struct cnm_error *err)
{
	struct cnm_error first = { 0 };
	int result = unremove_all(c, &first);

	for (size_t i = 0; i < n_endpoints && first.class != CNM_E_UNAVAILABLE; i++) {
		struct cluster_own_endpoint *e = &endpoints[i];
		struct cluster_own_network *n =
			find_network(networks, n_networks, e->endpoint.network_id);
		struct cnm_error why = { 0 };
		int r = settle_endpoint(c, e, n, &why);

		if (r < 0 && (result == 0 || why.class == CNM_E_UNAVAILABLE)) {
			result = r;
			first = why;
		}
	}
	if (result < 0 && err)
		*err = first;
	return result;
}
