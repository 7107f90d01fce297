/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Undoing a run that failed half-way. A step that failed may have taken effect in part, and a
 * removed link has taken its addresses and routes with it; so what was done is not recorded and
 * reversed: the kernel is read back, for the objects of the run and no others, and brought to where
 * it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "plan/apply_internal.h"

/* Items of the ops, borrowed: what was there, and what was to come and was not there. */
struct borrowed {
	struct plan before, all;
};

static int borrow(struct borrowed *b, const struct plan_diff *d)
{
	b->before.items = calloc(d->n + 1, sizeof(struct plan_item));
	b->all.items = calloc(d->n + 1, sizeof(struct plan_item));
	if (!b->before.items || !b->all.items)
		return -ENOMEM;
	/* Removals stand in reverse order of the plan. */
	for (size_t i = d->n; i-- > 0;)
		if (d->ops[i].action == PLAN_REMOVE)
			b->before.items[b->before.n++] = *d->ops[i].have;
	for (size_t i = 0; i < d->n; i++)
		if (d->ops[i].action == PLAN_CHANGE)
			b->before.items[b->before.n++] = *d->ops[i].have;
	memcpy(b->all.items, b->before.items, b->before.n * sizeof(struct plan_item));
	b->all.n = b->before.n;
	for (size_t i = 0; i < d->n; i++)
		if (d->ops[i].action == PLAN_ADD)
			b->all.items[b->all.n++] = *d->ops[i].want;
	return 0;
}

/* The places of the items, each once: "" the host, or a sandbox's id. */
static unsigned places_of(const struct plan *p, const char **ret)
{
	unsigned n = 0;

	ret[n++] = "";
	for (size_t i = 0; i < p->n; i++) {
		const char *place = plan_item_home(&p->items[i]);
		bool known = false;

		for (unsigned k = 0; k < n; k++)
			known |= streq(ret[k], place);
		if (!known)
			ret[n++] = place;
	}
	return n;
}

static int read_back(struct applier *a, const struct plan *all, struct plan *have,
		     struct cnm_error *err)
{
	const char **places = calloc(all->n + 1, sizeof(*places));
	unsigned n = places ? places_of(all, places) : 0;
	int rc = places ? 0 : -ENOMEM;

	for (unsigned i = 0; i < n && rc == 0; i++) {
		struct plan part = { 0 };

		rc = applier_dump(a, all, places[i], &part, err);
		plan_move(have, &part);
	}
	free(places);
	return rc;
}

static char *object_text(const struct plan_item *i)
{
	struct strbuf b = { 0 };

	strbuf_add(&b, i->sandbox);
	strbuf_add(&b, "|");
	plan_item_key(i, &b);
	return strbuf_take(&b);
}

static int note_objects(struct map *known, const struct plan *all)
{
	for (size_t i = 0; i < all->n; i++) {
		char *key = object_text(&all->items[i]);
		int rc = key ? map_add(known, key, key) : -ENOMEM;

		if (rc < 0)
			free(key);
		if (rc == -ENOMEM)
			return rc;
	}
	return 0;
}

static void forget_objects(struct map *known)
{
	size_t pos = 0;
	char *key;

	while ((key = map_next(known, &pos)))
		free(key);
	map_free(known);
}

/* Only what the run was about: not the elements, routes and links of others. */
static int keep_known(struct plan_diff *back, const struct plan *all)
{
	_cleanup_(forget_objects) struct map known = { 0 };
	int rc = note_objects(&known, all);
	size_t n = 0;

	for (size_t i = 0; i < back->n && rc == 0; i++) {
		const struct plan_op *op = &back->ops[i];
		_free_ char *key = object_text(op->want ? op->want : op->have);

		if (!key)
			rc = -ENOMEM;
		else if (map_get(&known, key))
			back->ops[n++] = *op;
	}
	if (rc == 0)
		back->n = n;
	return rc;
}

static int put_back(struct run *r, const struct borrowed *b, struct cnm_error *err)
{
	struct plan have = { 0 };
	struct plan_diff back = { 0 };
	struct run u;
	int rc = read_back(r->a, &b->all, &have, err);

	if (rc == 0)
		rc = plan_diff(&have, &b->before, &back);
	if (rc == 0)
		rc = keep_known(&back, &b->all);
	if (rc == 0 && (rc = run_init(&u, r->a, &back, true, err)) == 0) {
		u.limbo = r->limbo;
		r->limbo = NULL;
		rc = run_each(&u) ? -EIO : 0;
		run_done(&u);
	}
	plan_diff_free(&back);
	plan_free(&have);
	return rc;
}

void run_undo(struct run *r)
{
	struct borrowed b = { 0 };
	struct cnm_error err = { 0 };
	int rc = borrow(&b, r->d);

	if (rc == 0)
		rc = put_back(r, &b, &err);
	if (rc < 0)
		log_err("undo a failed change: %s; the next comparison mends it",
			err.text[0] ? err.text : strerror(-rc));
	free(b.before.items);
	free(b.all.items);
}
