/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hash map: linear probing over a power of two of slots. A deleted slot stays marked until the
 * table is rebuilt, which happens when three quarters of the slots are taken or marked; so a
 * deletion never moves an entry, and an iteration survives it.
 */
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"

const char map_gone[] = "";

static uint32_t hash_string(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h ^ h >> 15;
}

static struct map_slot *find(const struct map *m, const char *key, uint32_t hash)
{
	if (m->cap == 0)
		return NULL;
	for (size_t i = hash & (m->cap - 1); m->slots[i].key; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];

		if (s->key != map_gone && s->hash == hash && streq(s->key, key))
			return s;
	}
	return NULL;
}

/* The key is known to be absent and a slot to be free. */
static void insert(struct map *m, const char *key, void *value, uint32_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (m->slots[i].key)
		i = (i + 1) & (m->cap - 1);
	m->slots[i] = (struct map_slot){ .key = key, .value = value, .hash = hash };
	m->used++;
	m->filled++;
}

/* Rebuild without the deleted slots, larger if more than half of them are really used. */
static int rebuild(struct map *m)
{
	struct map next = { .cap = m->cap };

	if (next.cap == 0)
		next.cap = 8;
	else if (m->used >= m->cap / 2)
		next.cap *= 2;
	next.slots = calloc(next.cap, sizeof(*next.slots));
	if (!next.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		const struct map_slot *s = &m->slots[i];

		if (s->key && s->key != map_gone)
			insert(&next, s->key, s->value, s->hash);
	}
	free(m->slots);
	*m = next;
	return 0;
}

void *map_get(const struct map *m, const char *key)
{
	const struct map_slot *s = find(m, key, hash_string(key));

	return s ? s->value : NULL;
}

int map_add(struct map *m, const char *key, void *value)
{
	uint32_t hash = hash_string(key);

	if (find(m, key, hash))
		return -EEXIST;
	if (m->filled >= m->cap / 4 * 3) {
		int r = rebuild(m);

		if (r < 0)
			return r;
	}
	insert(m, key, value, hash);
	return 0;
}

void *map_del(struct map *m, const char *key)
{
	struct map_slot *s = find(m, key, hash_string(key));
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	*s = (struct map_slot){ .key = map_gone };
	m->used--;
	return value;
}

void map_free(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}

bool map_next_key(const struct map *m, size_t *pos, const char **ret_key, void **ret_value)
{
	while (*pos < m->cap) {
		const struct map_slot *s = &m->slots[(*pos)++];

		if (s->key && s->key != map_gone) {
			*ret_key = s->key;
			*ret_value = s->value;
			return true;
		}
	}
	return false;
}

void *map_next(const struct map *m, size_t *pos)
{
	const char *key;
	void *value;

	return map_next_key(m, pos, &key, &value) ? value : NULL;
}
