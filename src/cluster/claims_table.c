/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of claims: {"NID": {"Name": ..., "VxlanId": ..., "Pools": [...]}, ...}. Two networks of
 * a cluster have neither a name nor an id in common, nor do their pools overlap.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"
#include "cluster/claims_internal.h"

#define FIRST_ID 4096u
#define END_ID   VXLAN_ID_END

json_t *claims_table(const json_t *value)
{
	json_t *table = json_object(), *claim;
	const char *nid;

	json_object_foreach ((json_t *)value, nid, claim) {
		if (!id_is_valid(nid) || !json_is_object(claim))
			continue;
		if (json_put(table, nid, json_deep_copy(claim)) < 0) {
			json_decref(table);
			return NULL;
		}
	}
	return table;
}

bool claims_has(const json_t *table, const char *id)
{
	return json_object_get(table, id);
}

void claims_remove(json_t *table, const char *id)
{
	json_object_del(table, id);
}

/* ---- VXLAN ids */

static bool is_id_taken(const json_t *table, uint32_t id)
{
	const char *nid;
	json_t *claim;

	json_object_foreach ((json_t *)table, nid, claim)
		if (json_integer_value(json_object_get(claim, "VxlanId")) == (json_int_t)id)
			return true;
	return false;
}

/*
 * From where the network's own id says: networks that are made in two halves of a cluster, or after
 * one another, seldom meet in one.
 */
static uint32_t choose_id(const json_t *table, const char *nid)
{
	char digits[7] = "";
	uint32_t first, id;

	memcpy(digits, nid, 6);
	first = (uint32_t)strtoul(digits, NULL, 16);
	for (uint32_t i = 0; i <= json_object_size(table); i++) {
		id = FIRST_ID + (first + i) % (END_ID - FIRST_ID);
		if (!is_id_taken(table, id))
			return id;
	}
	return 0; /* not with a table that fits in a value */
}

/* ---- what two networks may not have in common */

static bool overlaps(const json_t *claim, const struct cluster_network *n, struct cnm_prefix *ret)
{
	const json_t *pools = json_object_get(claim, "Pools"), *v;
	size_t k;

	json_array_foreach (pools, k, v) {
		const char *text = json_string_value(v);

		if (!text || prefix_parse(ret, text) < 0)
			continue;
		for (size_t i = 0; i < n->n_pools; i++)
			if (prefix_overlaps(ret, &n->pools[i]))
				return true;
	}
	return false;
}

static int compare(const json_t *claim, struct cluster_network *n, enum cluster_clash *ret,
		   struct cnm_error *err)
{
	const char *name = claim_text(claim, "Name");
	struct cnm_prefix other;
	char text[PREFIX_STR];

	if (streq(name, n->name)) {
		*ret = CLASH_NAME;
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "network with name %s already exists in the cluster", name);
	}
	if (n->vxlan_id && json_integer_value(json_object_get(claim, "VxlanId")) == n->vxlan_id) {
		*ret = CLASH_VXLAN;
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "VXLAN id %u is that of network %s: give another, or none",
				     n->vxlan_id, name);
	}
	if (!overlaps(claim, n, &other))
		return 0;
	*ret = CLASH_POOL;
	n->other = other;
	return cnm_error_set(err, CNM_E_FORBIDDEN,
			     "invalid pool request: Pool overlaps with other one on this address "
			     "space: %s is that of network %s of the cluster",
			     prefix_format(&other, text), name);
}

static json_t *claim_of(const struct cluster_network *n)
{
	json_t *o = json_object(), *pools = json_array();
	char text[PREFIX_STR];

	for (size_t i = 0; i < n->n_pools; i++)
		json_push(pools, json_string(prefix_format(&n->pools[i], text)));
	json_put(o, "Name", json_string(n->name));
	json_put(o, "VxlanId", json_integer(n->vxlan_id));
	json_put(o, "Pools", pools);
	return o;
}

bool claims_hold(const json_t *table, const struct cluster_network *n)
{
	_json_ json_t *claim = claim_of(n);

	return json_equal(claim, json_object_get(table, n->id));
}

int claims_add(json_t *table, struct cluster_network *n, enum cluster_clash *ret,
	       struct cnm_error *err)
{
	const char *nid;
	json_t *claim;
	int r;

	json_object_foreach (table, nid, claim) {
		r = streq(nid, n->id) ? 0 : compare(claim, n, ret, err);
		if (r < 0) {
			str_copy(n->other_id, sizeof(n->other_id), nid);
			return r;
		}
	}
	if (!n->vxlan_id)
		n->vxlan_id = choose_id(table, n->id);
	if (json_put(table, n->id, claim_of(n)) < 0)
		return cnm_error_errno(err, ENOMEM, "claim network %s", n->name);
	return 0;
}
