/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FDB entries and neighbours of VXLAN links: from plan items to messages. Each is one message, but
 * for the removal of an FDB entry, so that thousands go in a batch.
 */
#include <errno.h>
#include <linux/neighbour.h>

#include "kernel/announce.h"
#include "plan/apply_internal.h"

/* The route socket of the place becomes that of the batch. */
static int find_link(struct run *r, const struct plan_op *op, const char *link, int *ret_ifindex)
{
	const char *place = (op->want ? op->want : op->have)->sandbox;
	int rc = run_ifindex(r, place, link, ret_ifindex);

	return rc < 0 ? rc : run_place(r, place);
}

/*
 * What is for everybody is the VXLAN link's only. A MAC is the bridge's too: removed it may have
 * moved to another port there, which is no reason to leave it here.
 */
int apply_fdb(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	const struct plan_item *item = op->want ? op->want : op->have;
	struct rtnl_neigh n = { .mac = item->fdb.mac, .dst = item->fdb.dst, .flags = NTF_SELF };
	bool known = mac_is_set(&n.mac);
	int rc = find_link(r, op, item->fdb.link, &n.ifindex);

	if (rc == -ENODEV && !op->want)
		return 0;
	if (rc < 0)
		return rc;
	if (!op->want && known) {
		/* Wherever it leads: of a stray that only the bridge has, that is not known. */
		n.dst = (struct cnm_ip){ 0 };
		rtnl_put_neigh(&r->batch, false, &n);
		n.flags = NTF_MASTER;
	} else if (known) {
		n.flags |= NTF_MASTER;
	}
	rtnl_put_neigh(&r->batch, op->want != NULL, &n);
	return run_mark(r, i);
}

int apply_neigh(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	const struct plan_item *item = op->want ? op->want : op->have;
	struct rtnl_neigh n = { .ip = item->neigh.ip, .mac = item->neigh.mac };
	int rc = find_link(r, op, item->neigh.link, &n.ifindex);

	if (rc == -ENODEV && !op->want)
		return 0;
	if (rc < 0)
		return rc;
	rtnl_put_neigh(&r->batch, op->want != NULL, &n);
	return run_mark(r, i);
}

/* ---- telling the endpoints here */

/* More than these are not moved endpoints, but a table that somebody emptied. */
#define MAX_ANNOUNCED 256

/* Who is told in a place. */
struct audience {
	const char *place;
	int fd, bridge; /* fd -1: nobody */
};

/* Where the link has just been made, nobody knows anything yet. */
static bool is_new(const struct run *r, const char *place, const char *link)
{
	for (size_t i = 0; i < r->d->n; i++) {
		const struct plan_item *w = r->d->ops[i].want;

		if (w && w->kind == PLAN_LINK && r->d->ops[i].action == PLAN_ADD &&
		    streq(w->sandbox, place) && streq(w->link.name, link))
			return true;
	}
	return false;
}

static struct audience audience_of(struct run *r, const struct plan_item *w)
{
	struct audience a = { .place = w->sandbox, .fd = -1 };
	struct handle *h = handle_open(r->a, w->sandbox, NULL);
	struct rtnl_link link;

	if (!h || is_new(r, w->sandbox, w->neigh.link) ||
	    rtnl_link_by_name(h->rtnl, w->neigh.link, &link, NULL) < 0 || !link.master)
		return a;
	if (h->announcer < 0 && announce_open(h->ns, &h->announcer, NULL) < 0)
		return a;
	a.fd = h->announcer;
	a.bridge = link.master;
	return a;
}

void announce_neighbours(struct run *r)
{
	struct audience a = { 0 };
	unsigned n = 0;

	for (size_t i = 0; i < r->d->n && n < MAX_ANNOUNCED; i++) {
		const struct plan_item *w = r->d->ops[i].want;

		if (!w || w->kind != PLAN_NEIGH)
			continue;
		if (!a.place || !streq(a.place, w->sandbox))
			a = audience_of(r, w);
		if (a.fd >= 0)
			announce_send(a.fd, a.bridge, &w->neigh.ip, &w->neigh.mac);
		n++;
	}
}
