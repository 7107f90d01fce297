/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The counters of elements. A set that is asked about is dumped once and sorted, so that ten
 * thousand are found as quickly as they are listed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/nft_internal.h"

struct counted {
	struct nft_elem e;
	uint64_t packets;
};

struct counts {
	const struct nft_set *set;
	struct counted *c;
	size_t n, cap;
};

static int take(const struct nlattr *attr, void *arg)
{
	struct counts *l = arg;

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct counted *c = realloc(l->c, cap * sizeof(*c));

		if (!c)
			return -ENOMEM;
		l->c = c;
		l->cap = cap;
	}
	if (nft_elem_read(l->set, attr, &l->c[l->n].e))
		l->c[l->n++].packets = nft_elem_packets(attr);
	return 0;
}

static void take_again(void *arg)
{
	((struct counts *)arg)->n = 0;
}

static int by_key(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;

	return nft_elem_cmp(&x->e, &y->e);
}

static int count_in(struct nft *n, struct counts *l, const struct nft_elem *elems, unsigned n_elems,
		    uint64_t *ret, struct cnm_error *err)
{
	int r;

	l->n = 0;
	r = nft_set_walk(n, l->set, take, take_again, l, err);
	if (r < 0)
		return r;
	if (l->n > 0)
		qsort(l->c, l->n, sizeof(*l->c), by_key);
	for (unsigned i = 0; i < n_elems && l->n > 0; i++) {
		struct counted key = { .e = elems[i] }, *found;

		if (!streq(elems[i].set, l->set->name))
			continue;
		found = bsearch(&key, l->c, l->n, sizeof(*l->c), by_key);
		if (found)
			ret[i] = found->packets;
	}
	return 0;
}

static bool asked_for(const struct nft_set *set, const struct nft_elem *elems, unsigned n_elems)
{
	for (unsigned i = 0; i < n_elems; i++)
		if (streq(elems[i].set, set->name))
			return true;
	return false;
}

int nft_count(struct nft *n, const struct nft_elem *elems, unsigned n_elems, uint64_t *ret,
	      struct cnm_error *err)
{
	struct counts l = { 0 };
	int r = 0;

	for (unsigned i = 0; i < n_elems; i++)
		ret[i] = 0;
	for (unsigned i = 0; i < nft_n_sets && r >= 0; i++) {
		l.set = &nft_sets[i];
		if (l.set->counter && asked_for(l.set, elems, n_elems))
			r = count_in(n, &l, elems, n_elems, ret, err);
	}
	free(l.c);
	return r < 0 ? r : 0;
}
