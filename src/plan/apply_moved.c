/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Links that somebody else made on the host and that are in a sandbox while an endpoint is: moved
 * in under the name they have there, and back under their own when the endpoint goes. In the
 * sandbox they bear our mark; another link of the name is none of them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "plan/apply_internal.h"

static void mark_of(const struct applier *a, const struct plan_item *i, char ret[static 128])
{
	snprintf(ret, 128, "cnm:%s:%s", a->opt.instance, i->owner);
}

/* What it is in the sandbox; up by a message of its own, after the address mode. */
static int set_up(struct run *r, size_t i, const struct plan_item *w)
{
	struct rtnl_set_link set = { .mac = w->moved.mac,
				     .no_addrgen = w->moved.no_ipv6,
				     .arp_notify = 1 };
	char alias[128];
	int rc = run_ifindex(r, w->sandbox, w->moved.name, &set.ifindex);

	if (rc == 0)
		rc = run_place(r, w->sandbox);
	if (rc < 0)
		return rc;
	mark_of(r->a, w, alias);
	set.alias = alias;
	rtnl_put_set_link(&r->batch, &set);
	rtnl_put_set_link(&r->batch, &(struct rtnl_set_link){ .ifindex = set.ifindex, .up = 1 });
	return run_mark(r, i);
}

/* One message, at once. */
static int send_one(struct run *r, size_t i, const char *place, const struct rtnl_set_link *set)
{
	int rc = run_place(r, place);

	if (rc < 0)
		return rc;
	rtnl_put_set_link(&r->batch, set);
	rc = run_mark(r, i);
	r->n_known = 0; /* another name, or another index elsewhere */
	return rc < 0 ? rc : run_flush(r);
}

static int move_to_host(struct run *r, size_t i, const char *sandbox, int ifindex)
{
	_close_ int host = -1;
	int rc = netns_open_path("/proc/self/ns/net", &host, r->err);

	return rc < 0 ? rc
		      : send_one(r, i, sandbox,
				 &(struct rtnl_set_link){ .ifindex = ifindex, .netns = host });
}

/* It has its own name still: not every kernel renames while it moves. */
static int rename_inside(struct run *r, size_t i, const struct plan_item *w)
{
	struct rtnl_set_link set = { .rename = w->moved.name, .up = -1 };
	int rc = run_ifindex(r, w->sandbox, w->moved.source, &set.ifindex);

	if (rc < 0 || streq(w->moved.source, w->moved.name))
		return rc;
	rc = send_one(r, i, w->sandbox, &set);
	if (rc < 0) {
		struct cnm_error *err = r->err;

		r->err = NULL;
		move_to_host(r, i, w->sandbox, set.ifindex);
		r->err = err;
	}
	return rc;
}

static int move_in(struct run *r, size_t i, const struct plan_item *w)
{
	struct handle *h = handle_open(r->a, w->sandbox, r->err);
	struct rtnl_set_link set = { 0 };
	int rc = h ? run_ifindex(r, "", w->moved.source, &set.ifindex) : -ENOENT;

	if (rc == -ENODEV)
		cnm_error_set(r->err, CNM_E_UNAVAILABLE,
			      "its plugin said that it made the link %s on the host, and there is "
			      "none: disconnect, and connect again",
			      w->moved.source);
	if (rc < 0)
		return rc;
	set.netns = h->ns;
	if ((rc = send_one(r, i, "", &set)) < 0 || (rc = rename_inside(r, i, w)) < 0)
		return rc;
	return set_up(r, i, w);
}

/* Its own, unless another link has that by now. */
static void name_outside(const struct run *r, const struct plan_item *have,
			 char ret[static IFNAMSIZ])
{
	struct rtnl_link other;

	if (rtnl_link_by_name(r->a->rtnl, have->moved.source, &other, NULL) < 0)
		memcpy(ret, have->moved.source, IFNAMSIZ);
	else
		snprintf(ret, IFNAMSIZ, "cnm%.11s", have->owner);
}

/*
 * It may have gone, or be what somebody put in its place: then nothing of ours is to be given back.
 * The host may have an eth0 of its own, so it is renamed before it moves.
 */
static int move_out(struct run *r, size_t i, const struct plan_item *have)
{
	struct handle *h = handle_open(r->a, have->sandbox, NULL);
	struct rtnl_link link;
	char mark[128], name[IFNAMSIZ];
	int rc = h ? run_flush(r) : 0;

	mark_of(r->a, have, mark);
	if (!h || rc < 0 || rtnl_link_by_name(h->rtnl, have->moved.name, &link, NULL) < 0 ||
	    !streq(link.alias, mark))
		return rc;
	name_outside(r, have, name);
	rc = send_one(r, i, have->sandbox,
		      &(struct rtnl_set_link){ .ifindex = link.ifindex, .up = -1 });
	if (rc == 0)
		rc = send_one(r, i, have->sandbox,
			      &(struct rtnl_set_link){
				      .ifindex = link.ifindex, .rename = name, .alias = "" });
	return rc < 0 ? rc : move_to_host(r, i, have->sandbox, link.ifindex);
}

int apply_moved(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];

	if (op->action == PLAN_REMOVE)
		return move_out(r, i, op->have);
	return op->action == PLAN_ADD ? move_in(r, i, op->want) : set_up(r, i, op->want);
}

void moved_dump(struct applier *a, const struct plan_item *w, const struct rtnl_link *l,
		struct plan *have)
{
	char mark[128];
	struct plan_item *i;

	mark_of(a, w, mark);
	if (!l || !streq(l->alias, mark) || !(i = plan_add(have, w->kind, w->sandbox, w->owner)))
		return;
	*i = *w;
	i->moved.down = !l->up;
	if (mac_is_set(&w->moved.mac))
		i->moved.mac = l->mac;
}
