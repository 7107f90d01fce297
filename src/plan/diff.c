/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The difference of two plans, by the text of keys and attributes. Removals come first because what
 * is added may need what they free; they overlap in names above all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "plan/plan.h"

/* One side of the comparison: its texts, and an index from key to item number + 1. */
struct side {
	char **keys, **attrs;
	size_t n;
	struct map index;
};

static void side_free(struct side *s)
{
	map_free(&s->index);
	for (size_t i = 0; s->keys && i < s->n; i++)
		free(s->keys[i]);
	for (size_t i = 0; s->attrs && i < s->n; i++)
		free(s->attrs[i]);
	free(s->keys);
	free(s->attrs);
}

static char *key_text(const struct plan_item *i)
{
	struct strbuf b = { 0 };

	strbuf_add(&b, i->sandbox);
	strbuf_add(&b, "|");
	plan_item_key(i, &b);
	return strbuf_take(&b);
}

static char *attrs_text(const struct plan_item *i)
{
	struct strbuf b = { 0 };

	plan_item_attrs(i, &b);
	return strbuf_take(&b);
}

/* A plan may name an object twice (two networks, one sysctl); the first one counts. */
static int side_init(struct side *s, const struct plan *p)
{
	*s = (struct side){ .n = p->n };
	s->keys = calloc(p->n + 1, sizeof(char *));
	s->attrs = calloc(p->n + 1, sizeof(char *));
	if (!s->keys || !s->attrs)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++) {
		int r;

		s->keys[i] = key_text(&p->items[i]);
		s->attrs[i] = attrs_text(&p->items[i]);
		if (!s->keys[i] || !s->attrs[i])
			return -ENOMEM;
		r = map_add(&s->index, s->keys[i], (void *)(i + 1));
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

static size_t lookup(const struct side *s, const char *key)
{
	return (size_t)map_get(&s->index, key);
}

static void push(struct plan_diff *d, enum plan_action a, const struct plan_item *have,
		 const struct plan_item *want)
{
	d->ops[d->n++] = (struct plan_op){ .action = a, .have = have, .want = want };
}

static void compare(const struct plan *have, const struct side *h, const struct plan *want,
		    const struct side *w, struct plan_diff *d)
{
	for (size_t i = have->n; i-- > 0;)
		if (lookup(h, h->keys[i]) == i + 1 && !lookup(w, h->keys[i]))
			push(d, PLAN_REMOVE, &have->items[i], NULL);
	for (size_t i = 0; i < want->n; i++) {
		size_t k;

		if (lookup(w, w->keys[i]) != i + 1)
			continue;
		k = lookup(h, w->keys[i]);
		if (!k)
			push(d, PLAN_ADD, NULL, &want->items[i]);
		else if (!streq(h->attrs[k - 1], w->attrs[i]))
			push(d, PLAN_CHANGE, &have->items[k - 1], &want->items[i]);
	}
}

int plan_diff(const struct plan *have, const struct plan *want, struct plan_diff *ret)
{
	_cleanup_(side_free) struct side h = { 0 };
	_cleanup_(side_free) struct side w = { 0 };
	struct plan_diff d = { 0 };
	int r;

	if (have->failed || want->failed)
		return -ENOMEM;
	if ((r = side_init(&h, have)) < 0 || (r = side_init(&w, want)) < 0)
		return r;
	d.ops = calloc(have->n + want->n + 1, sizeof(*d.ops));
	if (!d.ops)
		return -ENOMEM;
	compare(have, &h, want, &w, &d);
	*ret = d;
	return 0;
}

void plan_diff_free(struct plan_diff *d)
{
	free(d->ops);
	memset(d, 0, sizeof(*d));
}
