/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "controller/compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "controller/ports.h"

#define MINUTE 60000000000ull

struct mend {
	char *key;
	uint64_t since;
	unsigned count;
};

void mended_free(struct mended *m)
{
	size_t pos = 0;
	struct mend *x;

	while ((x = map_next(&m->by_key, &pos))) {
		free(x->key);
		free(x);
	}
	map_free(&m->by_key);
}

void comparison_free(struct comparison *c)
{
	plan_free(&c->want);
	plan_free(&c->have);
	plan_diff_free(&c->diff);
	free(c->lost);
}

char (*compare_sandboxes(struct cnm_engine *e, bool (*pick)(const struct sandbox *sb),
			 unsigned *ret_n))[ID_SIZE]
{
	const struct sandbox *sb;
	char(*ids)[ID_SIZE];
	unsigned n = 0;
	LOCKED(&e->lock);

	list_for_each (sb, &e->model.sandboxes, node)
		n++;
	ids = calloc(n + 1, ID_SIZE);
	*ret_n = 0;
	list_for_each (sb, &e->model.sandboxes, node)
		if (ids && (!pick || pick(sb)))
			memcpy(ids[(*ret_n)++], sb->id, ID_SIZE);
	return ids;
}

char (*compare_networks(struct cnm_engine *e, unsigned *ret_n))[ID_SIZE]
{
	const struct network *net;
	char(*ids)[ID_SIZE];
	unsigned n = 0;
	LOCKED(&e->lock);

	list_for_each (net, &e->model.networks, node)
		n++;
	ids = calloc(n + 1, ID_SIZE);
	*ret_n = 0;
	list_for_each (net, &e->model.networks, node)
		if (ids && network_is_global(net) && network_is_present(net))
			memcpy(ids[(*ret_n)++], net->id, ID_SIZE);
	return ids;
}

/* ---- what is wanted in a place, from the model */

static void want_host(const struct cnm_engine *e, struct plan *want, struct plan *ignore)
{
	const struct network *n;
	const struct endpoint *ep;
	const struct sandbox *sb;

	plan_host(e, want);
	list_for_each (n, &e->model.networks, node) {
		plan_network(e, n, n->state == OBJ_READY ? want : ignore);
		list_for_each (ep, &n->endpoints, in_network) {
			bool ready = ep->state == OBJ_READY && ep->sandbox && !ep->sandbox->busy;

			if (endpoint_is_stopped(ep))
				continue;
			if (ep->sandbox)
				plan_endpoint(e, ep, ready ? want : ignore);
		}
	}
	list_for_each (sb, &e->model.sandboxes, node) {
		struct plan *p = sb->state == OBJ_READY && !sb->busy ? want : ignore;

		if (sb->stopped)
			continue;
		plan_held_ports(sb, p);
		plan_ports(sb, p);
	}
}

/*
 * The place of a global network, with the near ends of its endpoints. It comes with the first of
 * them and goes with the last: while a request has all of them in hand, so it has the place.
 */
static int want_network(const struct cnm_engine *e, const struct network *n, struct plan *want,
			struct plan *ignore)
{
	const struct endpoint *ep;
	bool stays = false;

	if (n->state != OBJ_READY || !network_is_present(n))
		return COMPARE_GONE;
	plan_network(e, n, want);
	list_for_each (ep, &n->endpoints, in_network) {
		bool ready = ep->state == OBJ_READY && ep->sandbox && !ep->sandbox->busy;

		if (!ep->sandbox || endpoint_is_stopped(ep))
			continue;
		plan_endpoint(e, ep, ready ? want : ignore);
		stays |= ready;
	}
	return stays ? COMPARED : COMPARE_BUSY;
}

/*
 * The part of a difference that is this place's to mend: of the host and of a network what is
 * there, without the near ends, which are compared with the far ones, unless nobody wants them; of
 * a sandbox what is in it, and its near ends.
 */
static bool concerns(const struct plan_op *op, const char *place, bool network)
{
	const struct plan_item *i = op->want ? op->want : op->have;
	bool near_end = !streq(plan_item_home(i), i->sandbox);

	if (!place[0] || network)
		return streq(i->sandbox, place) && (!near_end || !op->want);
	return streq(i->sandbox, place) || near_end;
}

static int want_place(struct cnm_engine *e, const char *place, struct comparison *c,
		      struct plan *ignore)
{
	struct plan *want = &c->want;
	struct network *n;
	struct sandbox *sb;
	LOCKED(&e->lock);

	if (!place[0]) {
		want_host(e, want, ignore);
		return COMPARED;
	}
	n = map_get(&e->model.network_by_id, place);
	c->network = n;
	if (n)
		return want_network(e, n, want, ignore);
	sb = map_get(&e->model.sandbox_by_id, place);
	if (!sb || (sb->stopped && !sb->busy))
		return COMPARE_GONE;
	if (sb->state != OBJ_READY || sb->busy)
		return COMPARE_BUSY;
	plan_sandbox(e, sb, want);
	return COMPARED;
}

/* ---- leaving out */

static char *item_key(const struct plan_item *i)
{
	struct strbuf b = { 0 };

	strbuf_add(&b, i->sandbox);
	plan_item_key(i, &b);
	return strbuf_take(&b);
}

static int add_keys(struct map *m, const struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		char *key = item_key(&p->items[i]);
		int r = key ? map_add(m, key, key) : -ENOMEM;

		if (r < 0)
			free(key);
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

static void free_keys(struct map *m)
{
	size_t pos = 0;
	char *key;

	while ((key = map_next(m, &pos)))
		free(key);
	map_free(m);
}

/* Is it to make a veth again whose other end was somebody else's? */
static bool is_lost(const struct plan_op *op)
{
	const struct plan_item *w = op->want;

	return op->action == PLAN_ADD && w && w->kind == PLAN_LINK && w->link.peer_away;
}

static int note_lost(struct comparison *c, const char *id)
{
	char(*longer)[ID_SIZE] = reallocarray(c->lost, c->n_lost + 1, ID_SIZE);

	if (!longer)
		return -ENOMEM;
	c->lost = longer;
	str_copy(c->lost[c->n_lost++], ID_SIZE, id);
	return 0;
}

/* Drop the ops about what a request has in hand and about other places; note what is lost. */
static int leave_out(struct comparison *c, const struct plan *ignore, const char *place)
{
	struct plan_diff *d = &c->diff;
	struct map keys = { 0 };
	int r = add_keys(&keys, ignore);
	size_t n = 0;

	for (size_t i = 0; r == 0 && i < d->n; i++) {
		const struct plan_op *op = &d->ops[i];
		const struct plan_item *item = op->want ? op->want : op->have;
		_free_ char *key = item_key(item);

		if (!key)
			r = -ENOMEM;
		else if (map_get(&keys, key) || !concerns(op, place, c->network))
			continue;
		else if (is_lost(op))
			r = note_lost(c, item->owner);
		else
			d->ops[n++] = *op;
	}
	free_keys(&keys);
	d->n = n;
	return r;
}

static int read_back(struct cnm_engine *e, const char *place, const struct plan *ignore,
		     struct comparison *c, struct cnm_error *err)
{
	int r = plan_check(&c->want, err);

	if (r == 0)
		r = plan_check(ignore, err);
	if (r == 0 && !place[0]) {
		r = applier_ruleset_loaded(e->applier, err);
		c->ruleset_missing = r == 0;
		r = r < 0 ? r : 0;
	}
	if (r == 0)
		r = applier_dump(e->applier, &c->want, place, &c->have, err);
	if (r < 0)
		return r;
	r = plan_diff(&c->have, &c->want, &c->diff);
	if (r == 0)
		r = leave_out(c, ignore, place);
	return r < 0 ? cnm_error_errno(err, r, "compare") : 0;
}

int compare_place(struct cnm_engine *e, const char *place, struct comparison *ret,
		  struct cnm_error *err)
{
	struct comparison c = { 0 };
	struct plan ignore = { 0 };
	int r = want_place(e, place, &c, &ignore);

	if (r == COMPARED)
		r = read_back(e, place, &ignore, &c, err);
	plan_free(&ignore);
	if (r != COMPARED) {
		comparison_free(&c);
		return r;
	}
	*ret = c;
	return COMPARED;
}

/* ---- mending */

static void log_left_alone(const struct plan_item *i, const char *key)
{
	struct strbuf where = { 0 };

	plan_item_where(i, &where);
	log_warn("%s %s was mended 5 times within a minute and is left alone now; "
		 "`cnm doctor --repair` mends it",
		 key, where.s ? where.s : "");
	strbuf_free(&where);
}

/* May this be mended once more? Notes that it is. */
static bool may_mend(struct mended *m, const struct plan_op *op)
{
	const struct plan_item *i = op->want ? op->want : op->have;
	char *key = item_key(i);
	struct mend *x = key ? map_get(&m->by_key, key) : NULL;
	uint64_t now = clock_mono_ns();

	if (!x && key && (x = calloc(1, sizeof(*x)))) {
		x->key = key;
		if (map_add(&m->by_key, key, x) < 0) {
			free(x);
			x = NULL;
		} else {
			key = NULL;
		}
	}
	if (x && x->count >= 5) {
		if (x->count++ == 5)
			log_left_alone(i, x->key + strlen(i->sandbox));
		free(key);
		return false;
	}
	if (x && now - x->since > MINUTE) {
		x->since = now;
		x->count = 0;
	}
	if (x)
		x->count++;
	free(key);
	return true;
}

static void log_diff(const char *place, const struct comparison *c, unsigned failed,
		     const struct cnm_error *err)
{
	const char *what = !place[0] ? "host" : c->network ? "network " : "sandbox ";
	const struct plan_diff *d = &c->diff;
	_free_ char *text = plan_diff_text(d);

	for (char *p = text; p && *p; p++)
		if (*p == '\n')
			*p = p[1] ? ';' : 0;
	log_warn("%s%.12s: found %zu difference%s%s%s: %.1500s", what, place, d->n,
		 d->n == 1 ? "" : "s", failed ? ", not all mended: " : ", mended",
		 failed ? err->text : "", text ? text : "");
}

unsigned compare_mend(struct cnm_engine *e, const char *place, struct comparison *c,
		      struct mended *m)
{
	struct cnm_error err = { 0 };
	unsigned found = c->diff.n + c->ruleset_missing, failed = 0;
	size_t n = 0;

	if (c->ruleset_missing) {
		if (applier_load_ruleset(e->applier, &c->want, true, &err) < 0)
			log_err("load the firewall's ruleset: %s", err.text);
		else
			log_info("host: the firewall's table %s was not there as it should; loaded",
				 applier_table(e->applier));
	}
	for (size_t i = 0; i < c->diff.n; i++) {
		const struct plan_op *op = &c->diff.ops[i];
		const struct plan_item *item = op->want ? op->want : op->have;

		if (c->ruleset_missing && item->kind == PLAN_ELEM)
			continue; /* came with it */
		if (!m || may_mend(m, op))
			c->diff.ops[n++] = *op;
	}
	c->diff.n = n;
	if (n) {
		failed = applier_repair(e->applier, &c->diff, &err);
		log_diff(place, c, failed, &err);
	}
	if (m)
		m->failed = failed;
	return found;
}

static void note_checked(struct cnm_engine *e, const char *place)
{
	struct sandbox *sb;
	LOCKED(&e->lock);

	if (!place[0])
		e->host_checked = true;
	else if ((sb = map_get(&e->model.sandbox_by_id, place)))
		sb->checked = true;
}

/* Without the turn. */
static void withdraw_lost(struct cnm_engine *e, const struct comparison *c)
{
	for (unsigned i = 0; i < c->n_lost; i++) {
		struct cnm_error err = { 0 };

		if (engine_withdraw_foreign(e, c->lost[i], &err) < 0)
			log_warn("endpoint %.12s, whose sandbox is gone, is not withdrawn: %s",
				 c->lost[i], err.text);
		else
			log_info("endpoint %.12s is withdrawn: its sandbox is gone", c->lost[i]);
	}
}

int compare_and_mend(struct cnm_engine *e, const char *place, struct mended *m,
		     struct cnm_error *err)
{
	struct comparison c = { 0 };
	int r;

	applier_enter(e->applier);
	r = compare_place(e, place, &c, err);
	if (r == COMPARED) {
		compare_mend(e, place, &c, m);
		note_checked(e, place);
	}
	applier_leave(e->applier);
	withdraw_lost(e, &c);
	comparison_free(&c);
	return r;
}
