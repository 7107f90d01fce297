/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elements of the firewall: collected, and changed as one transaction of a place. The host's
 * ruleset is loaded by the controller; that of a network's place comes with its first element, and
 * its socket is opened from within.
 */
#include <errno.h>
#include <string.h>

#include "plan/apply_internal.h"

struct place_firewall {
	struct handle *h;
	const char *table;
	struct cnm_error *err;
};

static int open_firewall(void *arg)
{
	struct place_firewall *f = arg;

	return nft_open(&f->h->nft, f->table, f->err);
}

static int load_firewall(void *arg)
{
	struct place_firewall *f = arg;

	return nft_load(f->h->nft, NULL, 0, f->err);
}

/* Within the namespace of the place. */
static int call_in(struct applier *a, struct handle *h, int (*fn)(void *arg), struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	struct place_firewall f = { h, a->table, &why };
	int rc = netns_call(h->ns, fn, &f);

	if (rc < 0 && !why.text[0])
		cnm_error_errno(&why, rc, "enter the place of network %.12s", h->sandbox);
	if (rc < 0 && err)
		*err = why;
	return rc;
}

struct nft *place_nft(struct applier *a, const char *place, struct cnm_error *err)
{
	struct handle *h;

	if (!place[0])
		return a->nft;
	h = handle_open(a, place, err);
	if (!h || (!h->nft && call_in(a, h, open_firewall, err) < 0))
		return NULL;
	return h->nft;
}

/* The ruleset of a place comes with the first element. */
static int load_if_missing(struct run *r, const char *place, struct nft *nft)
{
	int rc = nft_loaded(nft, r->err);

	return rc != 0 ? rc : call_in(r->a, map_get(&r->a->handles, place), load_firewall, r->err);
}

/* In a repair some of the ruleset may be there, and each element. */
static int change_in_place(struct run *r, const char *place, struct nft *nft)
{
	struct cnm_error why = { 0 };
	int rc = r->locked && r->n_add ? load_if_missing(r, place, nft) : 0;

	if (rc < 0)
		return rc;
	rc = nft_change(nft, r->add, r->n_add, r->del, r->n_del, &why);
	if (rc == -ENOENT && !r->n_add)
		return 0; /* it is gone, with the ruleset perhaps */
	if (rc == -ENOENT) {
		rc = load_if_missing(r, place, nft);
		return rc < 0 ? rc : nft_change(nft, r->add, r->n_add, NULL, 0, r->err);
	}
	if (rc < 0 && r->err)
		*r->err = why;
	return rc;
}

static int change_elems(struct run *r, const char *place)
{
	struct nft *nft = place_nft(r->a, place, r->err);

	if (!nft)
		return -ENOENT;
	return place[0] ? change_in_place(r, place, nft)
			: nft_change(nft, r->add, r->n_add, r->del, r->n_del, r->err);
}

int run_flush_elems(struct run *r)
{
	int rc;

	if (!r->n_add && !r->n_del)
		return 0;
	rc = change_elems(r, r->elem_place);
	if (rc < 0)
		cnm_error_prefix(r->err, "firewall");
	r->n_add = r->n_del = 0;
	return rc;
}

int apply_elem(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	const char *place = (op->want ? op->want : op->have)->sandbox;
	int rc = run_flush_links(r);

	if (rc == 0 && !streq(place, r->elem_place))
		rc = run_flush_elems(r);
	if (rc < 0)
		return rc;
	if (place[0] && !op->want && !map_get(&r->a->handles, place))
		return 0; /* it went with the place */
	memcpy(r->elem_place, place, ID_SIZE);
	if (op->have)
		r->del[r->n_del++] = op->have->elem;
	if (op->want)
		r->add[r->n_add++] = op->want->elem;
	return 0;
}
