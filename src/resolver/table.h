/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash table whose nodes live in what they find. Adding and removing cannot fail: what is entered
 * brings its own node, and when there is no memory to grow the chains merely get longer. The
 * buckets are a power of two and never shrink.
 *
 * Equal hashes may be entered any number of times; table_first() and table_next() visit the nodes
 * of one hash, and the caller compares the keys.
 */
#ifndef RESOLVER_TABLE_H
#define RESOLVER_TABLE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct table_node {
	struct table_node *next, **pprev;
	uint32_t hash;
};

struct table {
	struct table_node **buckets;
	size_t n_buckets, used;
};

#define TABLE_MIN 16

/* 0 or -ENOMEM. table_free() releases the buckets, not what is entered. */
static inline int table_init(struct table *t)
{
	t->buckets = calloc(TABLE_MIN, sizeof(*t->buckets));
	t->n_buckets = t->buckets ? TABLE_MIN : 0;
	t->used = 0;
	return t->buckets ? 0 : -ENOMEM;
}

static inline void table_free(struct table *t)
{
	free(t->buckets);
	*t = (struct table){ 0 };
}

static inline void table_link(struct table_node **bucket, struct table_node *n)
{
	n->next = *bucket;
	n->pprev = bucket;
	if (n->next)
		n->next->pprev = &n->next;
	*bucket = n;
}

static inline void table_grow(struct table *t)
{
	size_t n_buckets = t->n_buckets * 2;
	struct table_node **buckets = calloc(n_buckets, sizeof(*buckets));

	if (!buckets)
		return;
	for (size_t i = 0; i < t->n_buckets; i++) {
		for (struct table_node *n = t->buckets[i], *next; n; n = next) {
			next = n->next;
			table_link(&buckets[n->hash & (n_buckets - 1)], n);
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->n_buckets = n_buckets;
}

static inline void table_add(struct table *t, struct table_node *n, uint32_t hash)
{
	if (t->used >= t->n_buckets)
		table_grow(t);
	n->hash = hash;
	table_link(&t->buckets[hash & (t->n_buckets - 1)], n);
	t->used++;
}

/* Harmless for a zeroed node, and for one that was removed already. */
static inline void table_del(struct table *t, struct table_node *n)
{
	if (!n->pprev)
		return;
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
	n->pprev = NULL;
	t->used--;
}

static inline struct table_node *table_same(struct table_node *n, uint32_t hash)
{
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

static inline struct table_node *table_first(const struct table *t, uint32_t hash)
{
	return table_same(t->buckets[hash & (t->n_buckets - 1)], hash);
}

static inline struct table_node *table_next(const struct table_node *n)
{
	return table_same(n->next, n->hash);
}

/*
 * Any node that is entered, or NULL. For emptying a table: *bucket begins as 0 and remembers what
 * is known to be empty.
 */
static inline struct table_node *table_any(const struct table *t, size_t *bucket)
{
	while (*bucket < t->n_buckets && !t->buckets[*bucket])
		++*bucket;
	return *bucket < t->n_buckets ? t->buckets[*bucket] : NULL;
}

#define HASH_START 2166136261u

static inline uint32_t hash_byte(uint32_t h, uint8_t c)
{
	return (h ^ c) * 16777619u;
}

/* FNV-1a; only what the engine enters is ever stored, so it need not resist an attacker. */
static inline uint32_t hash_bytes(uint32_t h, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n--)
		h = hash_byte(h, *p++);
	return h;
}

#endif
