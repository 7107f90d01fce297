/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store in memory behind the interface of kv.h, for tests of what is built on it. Several clients
 * share one. Each call is atomic; before it, the client's step() is asked what becomes of it, which
 * is where a test lets others run, and fails or loses calls. What changed is told to a client's
 * copy when the test says so.
 *
 * One thread. Included once, by the test itself.
 */
#ifndef TEST_KV_MEMORY_H
#define TEST_KV_MEMORY_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cluster/copy.h"
#include "cluster/kv_internal.h"

enum memory_fate {
	MEMORY_DONE,
	MEMORY_REFUSED, /* not carried out, and that is what the caller hears: an error */
	MEMORY_UNHEARD /* carried out, and the caller hears an error: KV_UNKNOWN of a transaction */
};

#define MEMORY_KEYS 64
#define MEMORY_LOG  1024

struct memory_store {
	struct kv_entry v[MEMORY_KEYS]; /* key NULL: free */
	uint64_t version;
	struct kv_entry log[MEMORY_LOG]; /* changes, for the watches */
	size_t n_log;
	unsigned calls;
};

struct memory_client {
	struct kv kv;
	struct memory_store *store;
	struct cluster_copy *copy;
	size_t heard; /* of the log */
	enum memory_fate (*step)(void *arg);
	void *arg;
};

/* ---- the store */

static struct kv_entry *memory_find(struct memory_store *s, const char *key)
{
	for (size_t i = 0; i < MEMORY_KEYS; i++)
		if (s->v[i].key && streq(s->v[i].key, key))
			return &s->v[i];
	return NULL;
}

static void memory_entry_free(struct kv_entry *e)
{
	free((char *)e->key);
	free((void *)e->value);
	*e = (struct kv_entry){ 0 };
}

static void memory_note(struct memory_store *s, const char *key, const void *value, size_t len)
{
	struct kv_entry *e = &s->log[s->n_log++];

	if (s->n_log >= MEMORY_LOG)
		abort();
	*e = (struct kv_entry){ .key = strdup(key), .len = len, .version = s->version };
	e->value = value ? memcpy(malloc(len + 1), value, len) : NULL;
}

/* value NULL: deletes it. */
static void memory_put(struct memory_store *s, const char *key, const void *value, size_t len)
{
	struct kv_entry *e = memory_find(s, key);

	s->version++;
	if (e)
		memory_entry_free(e);
	else if (!value)
		return;
	for (size_t i = 0; !e && i < MEMORY_KEYS; i++)
		if (!s->v[i].key)
			e = &s->v[i];
	if (!e)
		abort();
	if (value) {
		*e = (struct kv_entry){ .key = strdup(key), .len = len, .version = s->version };
		e->value = memcpy(malloc(len + 1), value, len);
	}
	memory_note(s, key, value, len);
}

static inline void memory_put_text(struct memory_store *s, const char *key, const char *text)
{
	memory_put(s, key, text, text ? strlen(text) : 0);
}

static inline void memory_wipe(struct memory_store *s)
{
	for (size_t i = 0; i < MEMORY_KEYS; i++)
		if (s->v[i].key) {
			char *key = strdup(s->v[i].key);

			memory_put(s, key, NULL, 0);
			free(key);
		}
}

/* The store is as it was when only the first n changes had been made; its versions go on. */
static inline void memory_go_back(struct memory_store *s, size_t n)
{
	size_t end = s->n_log;

	for (size_t i = 0; i < end; i++) {
		const struct kv_entry *last = NULL;

		for (size_t j = 0; j < n; j++)
			if (streq(s->log[j].key, s->log[i].key))
				last = &s->log[j];
		if (last && last->value)
			memory_put(s, last->key, last->value, last->len);
		else if (memory_find(s, s->log[i].key))
			memory_put(s, s->log[i].key, NULL, 0);
	}
}

static void memory_free(struct memory_store *s)
{
	for (size_t i = 0; i < MEMORY_KEYS; i++)
		memory_entry_free(&s->v[i]);
	for (size_t i = 0; i < s->n_log; i++)
		memory_entry_free(&s->log[i]);
	*s = (struct memory_store){ 0 };
}

/* ---- the calls */

static struct memory_client *memory_of(struct kv *kv)
{
	return kv->own;
}

static int memory_error(struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_UNAVAILABLE, "the store in memory does not answer");
}

static int memory_unheard(struct cnm_error *err)
{
	memory_error(err);
	return KV_UNKNOWN;
}

static enum memory_fate memory_step(struct memory_client *c)
{
	enum memory_fate fate = c->step ? c->step(c->arg) : MEMORY_DONE;

	c->store->calls++;
	return fate;
}

static int memory_get(struct kv *kv, const char *key, unsigned ms, struct kv_entries *ret,
		      struct cnm_error *err)
{
	struct memory_client *c = memory_of(kv);
	const struct kv_entry *e;

	*ret = (struct kv_entries){ 0 };
	if (memory_step(c) != MEMORY_DONE)
		return memory_error(err);
	e = memory_find(c->store, key);
	return e ? kv_entries_add(ret, key, e->value, e->len, e->version) : 0;
}

static int memory_list(struct kv *kv, const char *prefix, unsigned ms, struct kv_entries *ret,
		       struct cnm_error *err)
{
	struct memory_client *c = memory_of(kv);
	int r = 0;

	*ret = (struct kv_entries){ 0 };
	if (memory_step(c) != MEMORY_DONE)
		return memory_error(err);
	for (size_t i = 0; i < MEMORY_KEYS && r == 0; i++) {
		const struct kv_entry *e = &c->store->v[i];
		const char *rest = e->key ? str_after(e->key, prefix) : NULL;

		if (rest && *rest == '/')
			r = kv_entries_add(ret, e->key, e->value, e->len, e->version);
	}
	kv_entries_sort(ret);
	return r;
}

static bool memory_holds(struct memory_store *s, const struct kv_op *op)
{
	const struct kv_entry *e = memory_find(s, op->key);

	return (e ? e->version : 0) == (op->kind == KV_CREATE ? 0 : op->version);
}

static int memory_txn(struct kv *kv, const struct kv_op *ops, size_t n, unsigned ms,
		      size_t *ret_which, struct cnm_error *err)
{
	struct memory_client *c = memory_of(kv);
	enum memory_fate fate = memory_step(c);

	if (fate == MEMORY_REFUSED)
		return memory_error(err);
	for (size_t i = 0; i < n; i++)
		if (!memory_holds(c->store, &ops[i])) {
			*ret_which = i;
			return fate == MEMORY_UNHEARD ? memory_unheard(err) : KV_CONFLICT;
		}
	for (size_t i = 0; i < n; i++)
		if (ops[i].kind != KV_CHECK)
			memory_put(c->store, ops[i].key,
				   ops[i].kind == KV_DELETE ? NULL : ops[i].value, ops[i].len);
	return fate == MEMORY_UNHEARD ? memory_unheard(err) : 0;
}

static int memory_keep(struct kv *kv, const char *key, const void *value, size_t len)
{
	memory_put(memory_of(kv)->store, key, value, len);
	return 0;
}

static const struct kv_backend memory_backend = {
	.get = memory_get, .list = memory_list, .txn = memory_txn, .keep = memory_keep
};

/* ---- a client */

static void memory_open(struct memory_client *c, struct memory_store *s)
{
	*c = (struct memory_client){ .store = s, .copy = cluster_copy_new() };
	c->kv = (struct kv){ .backend = &memory_backend, .own = c };
	pthread_mutex_init(&c->kv.lock, NULL);
}

static void memory_close(struct memory_client *c)
{
	cluster_copy_free(c->copy);
	pthread_mutex_destroy(&c->kv.lock);
}

/* What has changed since the last time, entry by entry, as far as n. */
static inline void memory_hear_some(struct memory_client *c, size_t n)
{
	size_t left = c->store->n_log - c->heard;

	n = n < left ? n : left;
	if (cluster_copy_changed(c->copy, c->store->log + c->heard, n) < 0)
		abort();
	c->heard += n;
}

/* The watch begins anew. */
static inline void memory_hear_all(struct memory_client *c)
{
	struct kv_entry all[MEMORY_KEYS];
	size_t n = 0;

	for (size_t i = 0; i < MEMORY_KEYS; i++)
		if (c->store->v[i].key)
			all[n++] = c->store->v[i];
	if (cluster_copy_all(c->copy, all, n) < 0)
		abort();
	c->heard = c->store->n_log;
}

/* What has changed since the last time. */
static void memory_hear(struct memory_client *c)
{
	if (c->heard < c->store->n_log &&
	    cluster_copy_changed(c->copy, c->store->log + c->heard, c->store->n_log - c->heard) < 0)
		abort();
	c->heard = c->store->n_log;
}

#endif
