/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must hold of a store and of the hosts that share it, for test_claims_all.c: after each call,
 * and more when all is settled.
 */
#ifndef TEST_CLAIMS_CHECK_H
#define TEST_CLAIMS_CHECK_H

#include "claims_hosts.h"

static const char *text_of(const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));

	return s ? s : "";
}

static void check_endpoint(struct world *w, const struct cluster_key *k, const struct kv_entry *e)
{
	_json_ json_t *v = parsed(e);
	struct cnm_ip ip;
	char hex[9];

	assert_int_equal(ip_parse(&ip, text_of(v, "IPv4")), 0);
	assert_true(leads_to(w, CLUSTER_ADDRESS, k->network, hex_of(hex, ip.b[3]), k->id));
	assert_non_null(at(w, CLUSTER_NETWORK, NULL, k->network));
}

/* When all is settled. */
static void check_settled(struct world *w, const struct cluster_key *k, const struct kv_entry *e)
{
	_json_ json_t *v = parsed(e);
	const struct host *h = &w->hosts[streq(text_of(v, "Host"), host_ids[1])];
	struct row *row = row_of((struct row *)h->endpoints, k->id);

	assert_int_not_equal(k->kind, CLUSTER_TOMBSTONE);
	if (k->kind == CLUSTER_NETWORK)
		assert_null(json_object_get(v, "Removing"));
	if (k->kind != CLUSTER_ENDPOINT)
		return;
	assert_non_null(row);
	assert_string_equal(row->name, text_of(v, "Name"));
	assert_true(leads_to(w, CLUSTER_NAME, k->network, row->name, k->id));
}

/* What leads to an endpoint leads to one that is there, so the check of that one includes it. */
static void check_part(struct world *w, const struct cluster_key *k, const struct kv_entry *e)
{
	_json_ json_t *v = parsed(e);

	assert_non_null(at(w, CLUSTER_ENDPOINT, k->network, json_string_value(v)));
}

static void check_network(const struct cluster_key *k, const struct kv_entry *e,
			  const json_t *claims)
{
	_json_ json_t *v = parsed(e);
	const json_t *claim = json_object_get(claims, k->id);

	assert_non_null(claim);
	assert_string_equal(text_of(claim, "Name"), text_of(v, "Name"));
	assert_int_equal(json_integer_value(json_object_get(claim, "VxlanId")),
			 json_integer_value(json_object_get(v, "VxlanId")));
}

static void check_claims(struct world *w, const json_t *claims)
{
	const char *a, *b;
	json_t *x, *y;

	json_object_foreach ((json_t *)claims, a, x) {
		assert_non_null(at(w, CLUSTER_NETWORK, NULL, a));
		json_object_foreach ((json_t *)claims, b, y) {
			if (streq(a, b))
				continue;
			assert_string_not_equal(text_of(x, "Name"), text_of(y, "Name"));
			assert_false(json_equal(json_object_get(x, "VxlanId"),
						json_object_get(y, "VxlanId")));
			assert_false(json_equal(json_object_get(x, "Pools"),
						json_object_get(y, "Pools")));
		}
	}
}

static void check_rows(struct world *w, struct host *h)
{
	for (unsigned i = 0; i < MAX_ROWS; i++) {
		struct row *r = &h->endpoints[i];
		const struct row *n = r->id ? row_of(h->networks, r->network) : NULL;
		_json_ json_t *v = n ? parsed(at(w, CLUSTER_NETWORK, NULL, n->id)) : NULL;

		if (!r->id)
			continue;
		assert_true(is_whole(h, r));
		assert_non_null(n);
		assert_int_equal(json_integer_value(json_object_get(v, "VxlanId")), n->vxlan_id);
	}
}

static void check(struct world *w, bool settled)
{
	const struct kv_entry *table = memory_find(&w->store, CLUSTER_ROOT "claims");
	_json_ json_t *claims = table ? parsed(table) : NULL;

	check_claims(w, claims);
	for (size_t i = 0; i < MEMORY_KEYS; i++) {
		const struct kv_entry *e = &w->store.v[i];
		struct cluster_key k;

		if (!e->key)
			continue;
		assert_true(cluster_key_parse(&k, e->key));
		if (k.kind == CLUSTER_ENDPOINT)
			check_endpoint(w, &k, e);
		else if (k.kind == CLUSTER_ADDRESS || k.kind == CLUSTER_NAME)
			check_part(w, &k, e);
		else if (k.kind == CLUSTER_NETWORK)
			check_network(&k, e, claims);
		if (settled)
			check_settled(w, &k, e);
	}
	if (!settled)
		return;
	check_rows(w, &w->hosts[0]);
	check_rows(w, &w->hosts[1]);
}

#endif
