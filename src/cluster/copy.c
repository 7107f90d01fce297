/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The copy of the store: an array of entries in the order of their keys, so that what belongs
 * together lies together. One allocation an entry: its key, then its value.
 */
#include "cluster/copy.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"

/* ---- keys */

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const struct {
	const char *folder;
	bool in_network, has_id;
} kinds[CLUSTER_N_KINDS] = {
	[CLUSTER_CLAIMS] = { "claims", false, false },
	[CLUSTER_NETWORK] = { "networks", false, true },
	[CLUSTER_ENDPOINT] = { "endpoints", true, true },
	[CLUSTER_ADDRESS] = { "addresses", true, true },
	[CLUSTER_NAME] = { "names", true, true },
	[CLUSTER_HOST] = { "hosts", false, true },
	[CLUSTER_ALIVE] = { "alive", false, true },
	[CLUSTER_TOMBSTONE] = { "tombstones", false, true },
};

static bool is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static bool is_last_segment(enum cluster_kind kind, const char *s)
{
	size_t n = strlen(s);

	if (kind == CLUSTER_ADDRESS)
		return is_hex(s, 8) || is_hex(s, 32);
	if (kind == CLUSTER_NAME)
		return n > 0 && n <= 128 && strspn(s, NAME_CHARS) == n && s[0] != '.';
	return is_hex(s, 64);
}

static bool parse_rest(struct cluster_key *ret, const char *rest)
{
	if (kinds[ret->kind].in_network) {
		const char *slash = strchr(rest, '/');

		if (!slash || slash - rest != 64 || strspn(rest, "0123456789abcdef") != 64)
			return false;
		memcpy(ret->network, rest, 64);
		rest = slash + 1;
	}
	return is_last_segment(ret->kind, rest) && str_copy(ret->id, sizeof(ret->id), rest);
}

bool cluster_key_parse(struct cluster_key *ret, const char *key)
{
	const char *text = str_after(key, CLUSTER_ROOT), *rest;

	for (int kind = 0; text && kind < CLUSTER_N_KINDS; kind++) {
		rest = str_after(text, kinds[kind].folder);
		if (!rest || (*rest && *rest != '/'))
			continue;
		*ret = (struct cluster_key){ .kind = (enum cluster_kind)kind };
		if (!kinds[kind].has_id)
			return !*rest;
		return *rest && parse_rest(ret, rest + 1);
	}
	return false;
}

const char *cluster_key_make(char buf[static KV_KEY_MAX + 1], enum cluster_kind kind,
			     const char *network, const char *id)
{
	snprintf(buf, KV_KEY_MAX + 1, CLUSTER_ROOT "%s%s%s%s%s", kinds[kind].folder,
		 network ? "/" : "", network ? network : "", id ? "/" : "", id ? id : "");
	return buf;
}

/* ---- entries */

struct entry {
	uint64_t version;
	const char *text; /* behind the key */
	char key[];
};

struct cluster_copy {
	pthread_mutex_t lock;
	struct entry **v;
	size_t n, cap;
};

static struct entry *entry_new(const struct kv_entry *from)
{
	size_t key = strlen(from->key) + 1;
	struct entry *e = malloc(sizeof(*e) + key + from->len + 1);

	if (!e)
		return NULL;
	e->version = from->version;
	memcpy(e->key, from->key, key);
	memcpy(e->key + key, from->value, from->len);
	e->key[key + from->len] = '\0';
	e->text = e->key + key;
	return e;
}

/* Where the key is, or would be. */
static size_t place_of(const struct cluster_copy *c, const char *key)
{
	size_t from = 0, to = c->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (strcmp(c->v[mid]->key, key) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static bool is_at(const struct cluster_copy *c, size_t i, const char *key)
{
	return i < c->n && streq(c->v[i]->key, key);
}

static int grow(struct cluster_copy *c)
{
	size_t cap = c->cap ? 2 * c->cap : 64;
	void *v = c->n < c->cap ? c->v : reallocarray(c->v, cap, sizeof(*c->v));

	if (!v)
		return -ENOMEM;
	c->cap = c->n < c->cap ? c->cap : cap;
	c->v = v;
	return 0;
}

static void take_out(struct cluster_copy *c, size_t i)
{
	free(c->v[i]);
	memmove(c->v + i, c->v + i + 1, (--c->n - i) * sizeof(*c->v));
}

static int put(struct cluster_copy *c, size_t i, const struct kv_entry *from)
{
	struct entry *e = grow(c) == 0 ? entry_new(from) : NULL;

	if (!e)
		return -ENOMEM;
	if (is_at(c, i, from->key)) {
		free(c->v[i]);
	} else {
		memmove(c->v + i + 1, c->v + i, (c->n - i) * sizeof(*c->v));
		c->n++;
	}
	c->v[i] = e;
	return 0;
}

/* ---- what the watch tells */

static int change(struct cluster_copy *c, const struct kv_entry *from)
{
	struct cluster_key key;
	size_t i;

	if (!cluster_key_parse(&key, from->key))
		return 0;
	i = place_of(c, from->key);
	if (from->value)
		return put(c, i, from);
	if (is_at(c, i, from->key))
		take_out(c, i);
	return 0;
}

int cluster_copy_changed(struct cluster_copy *c, const struct kv_entry *v, size_t n)
{
	LOCKED(&c->lock);

	for (size_t i = 0; i < n; i++)
		if (change(c, &v[i]) < 0)
			return -ENOMEM;
	return 0;
}

static void clear(struct cluster_copy *c)
{
	while (c->n)
		free(c->v[--c->n]);
}

int cluster_copy_all(struct cluster_copy *c, const struct kv_entry *v, size_t n)
{
	LOCKED(&c->lock);

	clear(c);
	for (size_t i = 0; i < n; i++)
		if (change(c, &v[i]) < 0)
			return -ENOMEM;
	return 0;
}

/* ---- looking */

/* What is nested deeper than any of our values, or is none at all, is null. */
static json_t *parse(const char *text)
{
	json_t *o = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

	return o ? o : json_null();
}

json_t *cluster_copy_get(struct cluster_copy *c, const char *key, uint64_t *ret_version)
{
	size_t i;
	LOCKED(&c->lock);

	i = place_of(c, key);
	if (!is_at(c, i, key))
		return NULL;
	if (ret_version)
		*ret_version = c->v[i]->version;
	return parse(c->v[i]->text);
}

uint64_t cluster_copy_version(struct cluster_copy *c, const char *key)
{
	size_t i;
	LOCKED(&c->lock);

	i = place_of(c, key);
	return is_at(c, i, key) ? c->v[i]->version : 0;
}

void cluster_copy_each(struct cluster_copy *c, enum cluster_kind kind, const char *network,
		       bool (*fn)(void *arg, const struct cluster_key *key, const char *text),
		       void *arg)
{
	char folder[KV_KEY_MAX + 1];
	struct cluster_key key;
	LOCKED(&c->lock);

	cluster_key_make(folder, kind, network, kinds[kind].has_id ? "" : NULL);
	for (size_t i = place_of(c, folder); i < c->n && str_after(c->v[i]->key, folder); i++)
		if (cluster_key_parse(&key, c->v[i]->key) && !fn(arg, &key, c->v[i]->text))
			return;
}

/* ---- life */

struct cluster_copy *cluster_copy_new(void)
{
	struct cluster_copy *c = calloc(1, sizeof(*c));

	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

void cluster_copy_free(struct cluster_copy *c)
{
	if (!c)
		return;
	clear(c);
	free(c->v);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
