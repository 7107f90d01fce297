/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Networks: made in one transaction with what they claim, removed in two steps.
 *
 * A removal first marks the network, by which it gets another version; a join checks the version
 * that it knew and finds the mark. Then the endpoints are listed: none can come any more, so if
 * there is none the network goes, at the very version that had the mark.
 */
#include <errno.h>

#include "base/str.h"
#include "cluster/claims_internal.h"

/* ---- making */

/* A claim of a network that is not there is nobody's: it goes with this transaction. */
static int drop_orphan(struct attempt *a, struct claim_txn *t, json_t *table, const char *owner,
		       bool *ret, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	bool there;
	int r = attempt_has(a, CLUSTER_NETWORK, NULL, owner, &there, err);

	*ret = r == 0 && !there;
	if (*ret) {
		claim_check(t, cluster_key_make(key, CLUSTER_NETWORK, NULL, owner), 0);
		claims_remove(table, owner);
	}
	return r;
}

/* Nobody is refused by a guess, nor by a claim that is nobody's. */
static int add_claim(struct attempt *a, struct claim_txn *t, json_t *table,
		     struct cluster_network *n, enum cluster_clash *ret, struct cnm_error *err)
{
	for (;;) {
		enum cluster_clash clash = CLASH_NONE;
		struct cnm_error why = { 0 };
		bool orphan = false;
		int r = claims_add(table, n, &clash, &why), asked = 0;

		if (r == 0)
			return 0;
		if (clash != CLASH_NONE && !attempt_suspects(a, ANY_OP)) {
			attempt_suspect_all(a);
			return KV_CONFLICT;
		}
		if (clash != CLASH_NONE && !t->failed)
			asked = drop_orphan(a, t, table, n->other_id, &orphan, err);
		if (asked < 0)
			return asked;
		if (orphan)
			continue;
		*ret = clash;
		if (err)
			*err = why;
		return r;
	}
}

/* What it claims is in the table already: then, to make it, the table must stay as it is. */
static int claim(struct attempt *a, struct claim_txn *t, struct cluster_network *n, bool there,
		 enum cluster_clash *ret, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found claims = { 0 };
	_json_ json_t *table = NULL;
	int r = attempt_look(a, ANY_OP, cluster_key_make(key, CLUSTER_CLAIMS, NULL, NULL), &claims,
			     err);

	if (r < 0)
		return r;
	table = claims_table(claims.value);
	if (!table)
		return cnm_error_errno(err, ENOMEM, "claim network %s", n->name);
	if (claims_hold(table, n)) {
		if (!there)
			claim_check(t, key, claims.version);
		return 0;
	}
	r = add_claim(a, t, table, n, ret, err);
	if (r == 0)
		claim_put(t, key, json_incref(table), claims.version);
	return r;
}

static json_t *body_of(const struct attempt *a, const struct cluster_network *n)
{
	json_t *o = json_deep_copy(n->body);

	json_put(o, "Name", json_string(n->name));
	json_put(o, "VxlanId", json_integer(n->vxlan_id));
	json_put(o, "Maker", json_string(a->c->host));
	return o;
}

static int find_network(struct attempt *a, const char *key, struct found *ret,
			struct cnm_error *err)
{
	if (attempt_suspects(a, ANY_OP))
		return attempt_look(a, ANY_OP, key, ret, err);
	ret->value = cluster_copy_get(a->c->copy, key, &ret->version); /* most are not there */
	return 0;
}

static json_int_t vxlan_of(const json_t *value)
{
	return json_integer_value(json_object_get(value, "VxlanId"));
}

bool network_is_good(const json_t *value)
{
	return claim_text(value, "Name")[0] && vxlan_of(value) > 0 &&
	       vxlan_of(value) < VXLAN_ID_END;
}

int network_attempt(struct attempt *a, struct cluster_network *n, enum cluster_clash *ret,
		    struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found there = { 0 };
	_txn_ struct claim_txn t = { 0 };
	uint32_t asked = n->vxlan_id;
	bool good;
	int r = find_network(a, cluster_key_make(key, CLUSTER_NETWORK, NULL, n->id), &there, err);

	if (r < 0)
		return r;
	good = network_is_good(there.value);
	if (good)
		n->vxlan_id = (uint32_t)vxlan_of(there.value);
	r = claim(a, &t, n, good, ret, err);
	if (r == 0 && good && !t.n)
		return 0;
	if (r == 0 && good)
		claim_check(&t, key, there.version);
	else if (r == 0)
		claim_put(&t, key, body_of(a, n), there.version);
	if (r == 0)
		r = attempt_commit(a, &t, err);
	if (r != 0)
		n->vxlan_id = asked;
	return r;
}

int cluster_make_network(const struct cluster *c, struct cluster_network *n,
			 enum cluster_clash *ret, struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	int r;

	do {
		*ret = CLASH_NONE;
		r = network_attempt(&a, n, ret, err);
	} while (r == KV_CONFLICT);
	if (r < 0 && *ret == CLASH_NONE)
		cnm_error_prefix(err, "make network %s for the cluster", n->name);
	return r;
}

/* ---- removing */

int network_unremove(struct attempt *a, const char *id, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found net = { 0 };
	_txn_ struct claim_txn t = { 0 };
	int r = attempt_look(a, ANY_OP, cluster_key_make(key, CLUSTER_NETWORK, NULL, id), &net,
			     err);

	if (r < 0 || !claim_text(net.value, "Removing")[0])
		return r;
	json_object_del(net.value, "Removing");
	claim_set(&t, key, json_incref(net.value), net.version);
	return attempt_commit(a, &t, err);
}

/* What is no network at all needs no mark: nobody joins it. */
static bool is_marked(const json_t *net)
{
	return !json_is_object(net) || claim_text(net, "Removing")[0];
}

static int mark(struct attempt *a, const char *key, const struct found *net, struct cnm_error *err)
{
	_txn_ struct claim_txn t = { 0 };
	json_t *marked = json_deep_copy(net->value);

	json_put(marked, "Removing", json_string(a->c->host));
	claim_set(&t, key, marked, net->version);
	return attempt_commit(a, &t, err);
}

/* Who is on it: "web on host 0123456789ab, db on ...". Empty if nobody is. */
static int list_endpoints(struct attempt *a, const char *id, char **ret, struct cnm_error *err)
{
	char folder[KV_KEY_MAX + 1];
	struct kv_entries e = { 0 };
	struct strbuf text = { 0 };
	int r = kv_list(a->c->kv, cluster_key_make(folder, CLUSTER_ENDPOINT, id, NULL),
			attempt_ms_left(a), &e, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < e.n && i < 5; i++) {
		_json_ json_t *o = json_loadb(e.v[i].value, e.v[i].len, 0, NULL);
		const char *name = claim_text(o, "Name");

		strbuf_addf(&text, "%s%.128s on host %.12s", i ? ", " : "",
			    name[0] ? name : e.v[i].key, claim_text(o, "Host"));
	}
	if (e.n > 5)
		strbuf_addf(&text, " and %zu more", e.n - 5);
	kv_entries_free(&e);
	*ret = strbuf_take(&text);
	return *ret ? 0 : cnm_error_errno(err, ENOMEM, "list endpoints");
}

static int refuse(struct attempt *a, const char *id, const char *name, const char *who,
		  struct cnm_error *err)
{
	int r;

	do
		r = network_unremove(a, id, err);
	while (r == KV_CONFLICT);
	return r < 0 ? r
		     : cnm_error_set(err, CNM_E_FORBIDDEN,
				     "error while removing network: network %s id %s has active "
				     "endpoints: %s",
				     name, id, who);
}

static int take_out(struct attempt *a, const char *key, const char *id, const struct found *net,
		    struct cnm_error *err)
{
	char claims_key[KV_KEY_MAX + 1];
	_found_ struct found claims = { 0 };
	_json_ json_t *table = NULL;
	_txn_ struct claim_txn t = { 0 };
	int r = attempt_look(a, ANY_OP, cluster_key_make(claims_key, CLUSTER_CLAIMS, NULL, NULL),
			     &claims, err);

	if (r < 0)
		return r;
	claim_delete(&t, key, net->version);
	table = claims_table(claims.value);
	if (!table)
		return cnm_error_errno(err, ENOMEM, "remove network %.12s", id);
	if (claims_has(table, id)) {
		claims_remove(table, id);
		claim_set(&t, claims_key, json_incref(table), claims.version);
	} else {
		claim_check(&t, claims_key, claims.version);
	}
	return attempt_commit(a, &t, err);
}

/* One step: KV_CONFLICT is "again", also after the mark was set, whose version is to be learnt. */
static int remove_step(struct attempt *a, const char *id, bool *seen, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found net = { 0 };
	_free_ char *who = NULL;
	int r = attempt_look(a, ANY_OP, cluster_key_make(key, CLUSTER_NETWORK, NULL, id), &net,
			     err);

	if (r < 0)
		return r;
	if (!net.value) /* a transaction that was carried out unheard: that is what was wanted */
		return *seen ? 0
			     : cnm_error_set(err, CNM_E_NOT_FOUND,
					     "network %.12s is not in the cluster", id);
	*seen |= attempt_suspects(a, ANY_OP); /* in the store, and not only in the copy */
	if (!is_marked(net.value)) {
		r = mark(a, key, &net, err);
		attempt_suspect_all(a);
		return r < 0 ? r : KV_CONFLICT;
	}
	r = list_endpoints(a, id, &who, err);
	if (r == 0 && who[0])
		return refuse(a, id, claim_text(net.value, "Name"), who, err);
	return r < 0 ? r : take_out(a, key, id, &net, err);
}

int cluster_remove_network(const struct cluster *c, const char *id, struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	bool seen = false;
	int r;

	do
		r = remove_step(&a, id, &seen, err);
	while (r == KV_CONFLICT);
	return r;
}
