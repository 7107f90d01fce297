/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transactions and attempts: what all functions of the protocol are made of. */
#include "cluster/claims_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define NS_PER_MS 1000000ull

/* ---- a transaction */

void claim_txn_free(struct claim_txn *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free((char *)t->ops[i].key);
		free((void *)t->ops[i].value);
	}
	*t = (struct claim_txn){ 0 };
}

static void add(struct claim_txn *t, enum kv_op_kind kind, const char *key, json_t *value,
		uint64_t version)
{
	bool writes = kind == KV_CREATE || kind == KV_SET;
	struct kv_op *op;

	if (t->n == KV_TXN_MAX || (writes && !value)) {
		t->failed = true;
		json_decref(value);
		return;
	}
	op = &t->ops[t->n++];
	*op = (struct kv_op){ .kind = kind, .key = strdup(key), .version = version };
	op->value = writes ? json_text(value) : NULL;
	op->len = op->value ? strlen(op->value) : 0;
	t->failed |= !op->key || (writes && !op->value);
	json_decref(value);
}

void claim_create(struct claim_txn *t, const char *key, json_t *value)
{
	add(t, KV_CREATE, key, value, 0);
}

void claim_set(struct claim_txn *t, const char *key, json_t *value, uint64_t version)
{
	add(t, KV_SET, key, value, version);
}

void claim_put(struct claim_txn *t, const char *key, json_t *value, uint64_t version)
{
	add(t, version ? KV_SET : KV_CREATE, key, value, version);
}

void claim_delete(struct claim_txn *t, const char *key, uint64_t version)
{
	add(t, KV_DELETE, key, NULL, version);
}

void claim_check(struct claim_txn *t, const char *key, uint64_t version)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->ops[i].kind == KV_CHECK && t->ops[i].key && streq(t->ops[i].key, key))
			return;
	add(t, KV_CHECK, key, NULL, version);
}

void claim_move(struct claim_txn *dst, struct claim_txn *src)
{
	dst->failed |= src->failed || dst->n + src->n > KV_TXN_MAX;
	for (size_t i = 0; i < src->n && dst->n < KV_TXN_MAX; i++) {
		dst->ops[dst->n++] = src->ops[i];
		src->ops[i] = (struct kv_op){ 0 };
	}
}

/* ---- attempts */

struct attempt attempt_begin(const struct cluster *c)
{
	return (struct attempt){ .c = c, .until = clock_mono_ns() + c->ms * NS_PER_MS };
}

unsigned attempt_ms_left(const struct attempt *a)
{
	uint64_t now = clock_mono_ns();

	return now < a->until ? (unsigned)((a->until - now) / NS_PER_MS) + 1 : 0;
}

static int too_late(const struct attempt *a, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_UNAVAILABLE,
			     "the hosts of the cluster change the same things all the time; it was "
			     "tried for %u ms: try again",
			     a->c->ms);
}

int attempt_commit(struct attempt *a, const struct claim_txn *t, struct cnm_error *err)
{
	unsigned ms = attempt_ms_left(a);
	size_t which = t->n;
	int r;

	if (t->failed)
		return cnm_error_errno(err, ENOMEM, "transaction of the cluster");
	if (!ms)
		return too_late(a, err);
	r = kv_txn(a->c->kv, t->ops, t->n, ms, &which, err);
	if (r == KV_CONFLICT)
		a->suspects |= which < t->n ? 1ull << which | 1ull << ANY_OP : UINT64_MAX;
	if (r != KV_UNKNOWN || !attempt_ms_left(a))
		return r;
	a->unheard = true;
	attempt_suspect_all(a);
	return KV_CONFLICT;
}

/* ---- looking */

void found_free(struct found *f)
{
	json_decref(f->value);
	*f = (struct found){ 0 };
}

static json_t *parse(const struct kv_entry *e)
{
	json_t *o = json_loadb(e->value, e->len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

	return o ? o : json_null();
}

static int ask(struct attempt *a, const char *key, struct found *ret, struct cnm_error *err)
{
	unsigned ms = attempt_ms_left(a);
	struct kv_entries e = { 0 };
	int r;

	if (!ms)
		return too_late(a, err);
	r = kv_get(a->c->kv, key, ms, &e, err);
	if (r < 0)
		return r;
	if (e.n) {
		ret->value = parse(&e.v[0]);
		ret->version = e.v[0].version;
	}
	kv_entries_free(&e);
	return 0;
}

int attempt_look(struct attempt *a, unsigned op, const char *key, struct found *ret,
		 struct cnm_error *err)
{
	*ret = (struct found){ 0 };
	if (!attempt_suspects(a, op))
		ret->value = cluster_copy_get(a->c->copy, key, &ret->version);
	return ret->value ? 0 : ask(a, key, ret, err);
}

/* What is there in the copy was there a moment ago, which will do for who answers that question. */
int attempt_has(struct attempt *a, enum cluster_kind kind, const char *network, const char *id,
		bool *ret, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found f = { 0 };
	int r;

	cluster_key_make(key, kind, network, id);
	*ret = cluster_copy_version(a->c->copy, key) != 0;
	if (*ret)
		return 0;
	r = ask(a, key, &f, err);
	*ret = f.value;
	return r;
}

/* ---- small parts */

const char *claim_text(const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));

	return s ? s : "";
}

bool claim_is(const json_t *value, const char *id)
{
	return json_is_string(value) && streq(json_string_value(value), id);
}

const char *claim_hex(const struct cnm_ip *ip, char buf[static 33])
{
	for (unsigned i = 0; i < ip_bits(ip) / 8; i++)
		snprintf(buf + 2 * i, 3, "%02x", ip->b[i]);
	return buf;
}
