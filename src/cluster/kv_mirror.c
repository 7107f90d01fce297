/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the watcher was told, as keys with their versions and a hash of their values: of a store
 * that was emptied and filled again, a key may have the version it had before, and another value.
 *
 * An update makes the new memory beside the old one, tells what is different, and drops the old
 * one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "cluster/kv_internal.h"

struct known {
	uint64_t version, hash;
	char key[];
};

struct kv_mirror {
	struct map keys; /* of struct known */
};

/* FNV-1a */
static uint64_t hash_of(const struct kv_entry *e)
{
	const uint8_t *p = e->value;
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < e->len; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h;
}

static void forget(struct map *keys)
{
	struct known *k;
	size_t i = 0;

	while ((k = map_next(keys, &i)))
		free(k);
	map_free(keys);
	*keys = (struct map){ .slots = NULL };
}

static int remember(struct map *keys, const struct kv_entry *e)
{
	size_t size = strlen(e->key) + 1;
	struct known *k = malloc(sizeof(*k) + size);
	int r;

	if (!k)
		return -ENOMEM;
	k->version = e->version;
	k->hash = hash_of(e);
	memcpy(k->key, e->key, size);
	r = map_add(keys, k->key, k);
	if (r < 0)
		free(k);
	return r == -EEXIST ? 0 : r; /* no store has a key twice */
}

static int remember_all(struct map *keys, const struct kv_entries *now)
{
	for (size_t i = 0; i < now->n; i++)
		if (remember(keys, &now->v[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int by_version(const void *a, const void *b)
{
	const struct kv_entry *x = a, *y = b;

	return x->version < y->version ? -1 : x->version > y->version;
}

/* What is different, without copies: what is gone, then the rest in the order of its versions. */
static size_t compare(const struct map *before, const struct map *after,
		      const struct kv_entries *now, struct kv_entry *ret)
{
	struct known *k;
	size_t n = 0, gone, i = 0;

	while ((k = map_next(before, &i)))
		if (!map_get(after, k->key))
			ret[n++] = (struct kv_entry){ .key = k->key, .version = k->version };
	gone = n;
	for (i = 0; i < now->n; i++) {
		const struct known *old = map_get(before, now->v[i].key);

		if (!old || old->version != now->v[i].version || old->hash != hash_of(&now->v[i]))
			ret[n++] = now->v[i];
	}
	qsort(ret + gone, n - gone, sizeof(*ret), by_version);
	return n;
}

int kv_mirror_update(struct kv_mirror *m, struct kv *kv, const struct kv_entries *now, bool all)
{
	_free_ struct kv_entry *different = calloc(m->keys.used + now->n + 1, sizeof(*different));
	struct map before = m->keys, after = { .slots = NULL };
	size_t n;

	if (!different || remember_all(&after, now) < 0) {
		forget(&after);
		return -ENOMEM;
	}
	m->keys = after;
	if (all) {
		kv->watcher->all(kv->arg, now->v, now->n);
	} else {
		n = compare(&before, &after, now, different);
		if (n)
			kv->watcher->changed(kv->arg, different, n);
	}
	forget(&before);
	return 0;
}

struct kv_mirror *kv_mirror_new(void)
{
	return calloc(1, sizeof(struct kv_mirror));
}

void kv_mirror_free(struct kv_mirror *m)
{
	if (m)
		forget(&m->keys);
	free(m);
}
