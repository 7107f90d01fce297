/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of a store. The key and the value of one are a single block of memory, key first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/kv_internal.h"

/* The array grows when its length is a power of two. */
static int make_room(struct kv_entries *e)
{
	struct kv_entry *v;

	if (e->n & (e->n - 1))
		return 0;
	v = reallocarray(e->v, e->n ? e->n * 2 : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	e->v = v;
	return 0;
}

int kv_entries_add(struct kv_entries *e, const char *key, const void *value, size_t len,
		   uint64_t version)
{
	size_t size = strlen(key) + 1;
	char *block;

	if (make_room(e) < 0)
		return -ENOMEM;
	block = malloc(size + len + 1);
	if (!block)
		return -ENOMEM;
	memcpy(block, key, size);
	if (len)
		memcpy(block + size, value, len);
	block[size + len] = '\0';
	e->v[e->n++] = (struct kv_entry){
		.key = block,
		.value = value ? block + size : NULL,
		.len = len,
		.version = version,
	};
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct kv_entry *x = a, *y = b;

	return strcmp(x->key, y->key);
}

void kv_entries_sort(struct kv_entries *e)
{
	if (e->n)
		qsort(e->v, e->n, sizeof(*e->v), by_key);
}

void kv_entries_cut(struct kv_entries *e, size_t n)
{
	while (e->n > n)
		free((char *)e->v[--e->n].key);
}

void kv_entries_free(struct kv_entries *e)
{
	kv_entries_cut(e, 0);
	free(e->v);
	*e = (struct kv_entries){ .v = NULL };
}
