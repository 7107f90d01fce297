/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hosts: they enter, are given up when they have been away for too long, and are removed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cluster/claims_internal.h"

/* ---- entering */

static int write_host(struct attempt *a, const char *key, json_t *value, struct cnm_error *err)
{
	_found_ struct found was = { 0 };
	_txn_ struct claim_txn t = { 0 };
	int r = attempt_look(a, ANY_OP, key, &was, err);

	if (r < 0 || (was.value && json_equal(was.value, value)))
		return r;
	claim_put(&t, key, json_incref(value), was.version);
	return attempt_commit(a, &t, err);
}

int cluster_enter(const struct cluster *c, const char *name, const struct cnm_ip *address,
		  unsigned grace_s, struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	_json_ json_t *value = json_object();
	char key[KV_KEY_MAX + 1], text[IP_STR];
	int r;

	json_put(value, "Name", json_str(name));
	json_put(value, "Address", json_string(ip_format(address, text)));
	json_put(value, "Grace", json_integer(grace_s));
	cluster_key_make(key, CLUSTER_HOST, NULL, c->host);
	attempt_suspect_all(&a);
	do
		r = write_host(&a, key, value, err);
	while (r == KV_CONFLICT);
	if (r < 0)
		return r;
	cluster_key_make(key, CLUSTER_ALIVE, NULL, c->host);
	r = kv_keep(c->kv, key, "{}", 2);
	return r < 0 ? cnm_error_errno(err, r, "keep %s in the cluster's store", key) : 0;
}

/* ---- the endpoints of a host */

struct endpoints {
	struct cluster_key *v;
	size_t n, cap;
	const char *host;
	bool failed;
};

static bool note(struct endpoints *e, const struct cluster_key *key, const json_t *value)
{
	if (!streq(claim_text(value, "Host"), e->host))
		return true;
	if (e->n == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 64;
		void *v = reallocarray(e->v, cap, sizeof(*e->v));

		e->failed = !v;
		if (!v)
			return false;
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n++] = *key;
	return true;
}

static bool note_text(void *arg, const struct cluster_key *key, const char *text)
{
	_json_ json_t *value = json_loads(text, 0, NULL);

	return note(arg, key, value);
}

/* By the store itself: nothing of it may be left. */
static int ask_endpoints(const struct cluster *c, struct endpoints *e, struct cnm_error *err)
{
	struct kv_entries all = { 0 };
	int r = kv_list(c->kv, CLUSTER_ROOT "endpoints", c->ms, &all, err);

	for (size_t i = 0; i < all.n && r == 0; i++) {
		_json_ json_t *value = json_loadb(all.v[i].value, all.v[i].len, 0, NULL);
		struct cluster_key key;

		if (cluster_key_parse(&key, all.v[i].key) && !note(e, &key, value))
			break;
	}
	kv_entries_free(&all);
	return r;
}

/* Each has the whole deadline: a host may have many. */
static int remove_endpoints(const struct cluster *c, struct endpoints *e, enum removal why,
			    struct cnm_error *err)
{
	int r = 0;

	if (e->failed)
		r = cnm_error_errno(err, ENOMEM, "list the endpoints of host %.12s", e->host);
	for (size_t i = 0; i < e->n && r == 0; i++) {
		struct attempt a = attempt_begin(c);

		do
			r = endpoint_remove(&a, e->v[i].network, e->v[i].id, why, err);
		while (r == KV_CONFLICT);
		r = r == -ENOENT ? 0 : r;
	}
	free(e->v);
	return r;
}

int cluster_expire_host(const struct cluster *c, const char *host, struct cnm_error *err)
{
	struct endpoints e = { .host = host };

	cluster_copy_each(c->copy, CLUSTER_ENDPOINT, NULL, note_text, &e);
	return remove_endpoints(c, &e, REMOVAL_EXPIRE, err);
}

/* ---- removing */

static int forget_host(struct attempt *a, const char *host, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found f = { 0 };
	_txn_ struct claim_txn t = { 0 };
	bool alive;
	int r = attempt_has(a, CLUSTER_ALIVE, NULL, host, &alive, err);

	if (r == 0 && alive)
		r = cnm_error_set(err, CNM_E_CONFLICT,
				  "node %.12s is up: stop cnmd there before it is removed", host);
	if (r < 0)
		return r;
	claim_check(&t, cluster_key_make(key, CLUSTER_ALIVE, NULL, host), 0);
	r = attempt_look(a, ANY_OP, cluster_key_make(key, CLUSTER_HOST, NULL, host), &f, err);
	if (r < 0 || !f.value)
		return r;
	claim_delete(&t, key, f.version);
	return attempt_commit(a, &t, err);
}

int cluster_remove_host(const struct cluster *c, const char *host, struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	struct endpoints e = { .host = host };
	bool alive;
	int r = attempt_has(&a, CLUSTER_ALIVE, NULL, host, &alive, err);

	if (r == 0 && !alive)
		r = ask_endpoints(c, &e, err);
	if (r == 0)
		r = remove_endpoints(c, &e, REMOVAL_FORGET, err);
	if (r < 0)
		return r;
	a = attempt_begin(c);
	do
		r = forget_host(&a, host, err);
	while (r == KV_CONFLICT);
	return r;
}
