/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash map from string to pointer. Open addressing, no order. Keys and values are borrowed: the
 * key usually lives in the value. Zero-initialised; map_free() releases the table, not the entries.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
	const char *key; /* NULL free; MAP_GONE deleted */
	void *value;
	uint32_t hash;
};

struct map {
	struct map_slot *slots;
	size_t cap, used, filled; /* filled counts deleted slots too */
};

extern const char map_gone[];

/* NULL if absent. */
void *map_get(const struct map *m, const char *key);
/* 0, -EEXIST (nothing changed) or -ENOMEM (nothing changed). value must not be NULL. */
int map_add(struct map *m, const char *key, void *value);
/* The value removed, or NULL. */
void *map_del(struct map *m, const char *key);
void map_free(struct map *m);
/* Iterate: size_t i = 0; while ((v = map_next(&m, &i))) ... Deleting the current one is allowed. */
void *map_next(const struct map *m, size_t *pos);
/* The same with the key; false at the end. */
bool map_next_key(const struct map *m, size_t *pos, const char **ret_key, void **ret_value);

#endif
