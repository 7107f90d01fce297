/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carrying out differences: turns, batches, undo, and the kinds that are not links. See apply.h.
 */
#include "plan/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/probe.h"
#include "plan/apply_internal.h"

/* ---- sandboxes */

struct handle *handle_new(struct applier *a, const char *sandbox, const char *name)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ns = h->udp = h->tcp = h->nsid = h->announcer = -1;
	str_copy(h->sandbox, sizeof(h->sandbox), sandbox);
	h->name = strdup(name);
	if (!h->name || map_add(&a->handles, h->sandbox, h) < 0) {
		handle_free(h);
		return NULL;
	}
	return h;
}

void handle_free(struct handle *h)
{
	if (!h)
		return;
	nl_close(h->rtnl);
	nft_close(h->nft);
	close_fd(&h->ns);
	close_fd(&h->udp);
	close_fd(&h->tcp);
	close_fd(&h->announcer);
	free(h->name);
	free(h);
}

struct handle *handle_open(struct applier *a, const char *sandbox, struct cnm_error *err)
{
	struct handle *h = map_get(&a->handles, sandbox);
	char path[512];

	if (!h) {
		cnm_error_set(err, CNM_E_INTERNAL, "sandbox %.12s has no namespace", sandbox);
		return NULL;
	}
	if (h->ns < 0) {
		snprintf(path, sizeof(path), "%s/%s", a->opt.netns_dir, h->name);
		if (netns_open_path(path, &h->ns, err) < 0)
			return NULL;
	}
	if (!h->rtnl && netns_nl_open(&h->rtnl, h->ns, NETLINK_ROUTE, err) < 0)
		return NULL;
	return h;
}

struct nl *place_rtnl(struct applier *a, const char *sandbox, struct cnm_error *err)
{
	struct handle *h;

	if (!sandbox[0])
		return a->rtnl;
	h = handle_open(a, sandbox, err);
	return h ? h->rtnl : NULL;
}

static void dns_name(const char *sandbox, char buf[static 80])
{
	snprintf(buf, 80, "dns:%s", sandbox);
}

void applier_know(struct applier *a, const char *sandbox, const char *name)
{
	struct handle *h = handle_new(a, sandbox, name);
	char kept[80];
	int fds[2];

	if (!h)
		return;
	dns_name(sandbox, kept);
	if (fdkeep_take(a->opt.fdkeep, kept, fds, 2) == 2) {
		h->udp = fds[0];
		h->tcp = fds[1];
		resolver_set_sockets(a->opt.resolver, sandbox, h->udp, h->tcp);
	}
}

int applier_rename(struct applier *a, const char *sandbox, const char *name, struct cnm_error *err)
{
	_free_ char *new = strdup(name);
	struct handle *h;
	int r = -ENOENT;

	if (!new)
		return cnm_error_errno(err, ENOMEM, "rename");
	applier_enter(a);
	h = handle_open(a, sandbox, err);
	if (h)
		r = netns_pin(h->ns, a->opt.netns_dir, new, err);
	if (r == 0) {
		char *old = h->name;

		h->name = take_ptr(new);
		r = netns_unpin(a->opt.netns_dir, old, err);
		free(old);
	}
	applier_leave(a);
	return r;
}

int applier_nsid(struct applier *a, const char *sandbox)
{
	struct handle *h = handle_open(a, sandbox, NULL);
	struct nl_batch b = { 0 };

	if (!h)
		return -1;
	if (h->nsid < 0 && rtnl_get_nsid(a->rtnl, h->ns, &h->nsid, NULL) < 0)
		h->nsid = -1;
	if (h->nsid < 0) {
		rtnl_put_nsid(&b, h->ns, -1);
		nl_batch_run(a->rtnl, &b, NULL);
		nl_batch_free(&b);
		if (rtnl_get_nsid(a->rtnl, h->ns, &h->nsid, NULL) < 0)
			h->nsid = -1;
	}
	return h->nsid;
}

/* ---- the pending batch */

int run_mark(struct run *r, size_t i)
{
	if (r->batch.count > r->msg_cap) {
		size_t cap = r->batch.count * 2 + 16;
		size_t *m = reallocarray(r->msg_op, cap, sizeof(*m));

		if (!m)
			return cnm_error_errno(r->err, ENOMEM, "batch");
		r->msg_op = m;
		r->msg_cap = cap;
	}
	for (unsigned k = r->n_marked; k < r->batch.count; k++)
		r->msg_op[k] = i;
	r->n_marked = r->batch.count;
	return 0;
}

/* Taking away what is not there is success. */
static bool is_gone(const struct plan_op *op, int e)
{
	return op->action == PLAN_REMOVE &&
	       (e == -ENODEV || e == -ENOENT || e == -ESRCH || e == -EADDRNOTAVAIL);
}

/* "link veth1234567 on the host": which object an error is about. */
static void prefix_item(struct cnm_error *err, const struct plan_op *op)
{
	const struct plan_item *i = op->want ? op->want : op->have;
	struct strbuf b = { 0 };
	static const char *const verbs[] = { "remove", "change", "add" };

	plan_item_key(i, &b);
	strbuf_add(&b, " ");
	plan_item_where(i, &b);
	cnm_error_prefix(err, "%s %s", verbs[op->action], b.s ? b.s : "an object");
	strbuf_free(&b);
}

int run_flush_links(struct run *r)
{
	struct cnm_error e = { 0 };
	int first = 0;

	if (!r->target || (!r->batch.count && !r->batch.failed))
		goto out;
	if (nl_batch_run(r->target, &r->batch, &e) < 0 && !r->batch.results) {
		if (r->err)
			*r->err = e;
		first = e.err ? -e.err : -ENOMEM;
		goto out;
	}
	for (unsigned k = 0; k < r->batch.count; k++) {
		size_t op = r->msg_op[k];
		int res = r->batch.results[k];

		if (res < 0 && !first && !is_gone(&r->d->ops[op], res)) {
			first = res;
			cnm_error_set(r->err, CNM_E_INTERNAL, "%s%s%s", strerror(-res),
				      r->batch.text[0] ? ": " : "", r->batch.text);
			prefix_item(r->err, &r->d->ops[op]);
		}
	}
out:
	r->target = NULL;
	r->n_marked = 0;
	nl_batch_reset(&r->batch);
	return first;
}

int run_flush(struct run *r)
{
	int rc = run_flush_links(r);

	return rc < 0 ? rc : run_flush_elems(r);
}

int run_target(struct run *r, struct nl *nl)
{
	int rc = r->target && r->target != nl ? run_flush_links(r) : 0;

	if (rc == 0)
		rc = run_flush_elems(r);
	r->target = nl;
	return rc;
}

int run_place(struct run *r, const char *sandbox)
{
	struct nl *nl = place_rtnl(r->a, sandbox, r->err);

	return nl ? run_target(r, nl) : -ENOENT;
}

/* ---- kinds */

static int apply_sysctl(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	struct cnm_error why = { 0 };
	struct handle *h = NULL;
	int rc;

	if (!op->want)
		return 0;
	if (op->want->sandbox[0] && !(h = handle_open(r->a, op->want->sandbox, r->err)))
		return -ENOENT;
	rc = sysctl_write(h ? h->ns : SYSCTL_HOME, op->want->sysctl.path, op->want->sysctl.value,
			  &why);
	if (rc == -ENOENT && sysctl_may_lack(op->want->sysctl.path))
		return 0;
	if (rc < 0 && r->err)
		*r->err = why;
	return rc;
}

/* ---- DNS */

void keep_all(struct applier *a)
{
	size_t pos = 0;
	struct handle *h;

	while ((h = map_next(&a->handles, &pos))) {
		int fds[] = { h->udp, h->tcp };
		char name[80];

		dns_name(h->sandbox, name);
		if (h->udp >= 0)
			fdkeep_put(a->opt.fdkeep, name, fds, 2, NULL);
	}
	hold_keep_all(a);
	if (a->opt.keep_again)
		a->opt.keep_again(a->opt.arg);
}

/* The routes of a link that is down still lead to it if they are local. */
bool dns_is_local(const struct handle *h)
{
	static const struct cnm_ip at = { .family = AF_INET, .b = { 127, 0, 0, 11 } };
	struct probe_route route;
	struct rtnl_link lo;

	return rtnl_link_by_index(h->rtnl, LOOPBACK_IFINDEX, &lo) == 0 && lo.up &&
	       probe_route(h->rtnl, &at, &route, NULL) == 0 && route.local;
}

/* Up, with its address: in a namespace that others made, or where somebody took them away. */
static int put_loopback(struct handle *h, struct cnm_error *err)
{
	static const struct cnm_prefix address = { { AF_INET, { 127, 0, 0, 1 } }, 8 };
	struct nl_batch b = { 0 };
	struct cnm_error why = { 0 };
	int rc;

	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = LOOPBACK_IFINDEX, .up = 1 });
	rtnl_put_addr(&b, true, LOOPBACK_IFINDEX, &address, false);
	rc = nl_batch_run(h->rtnl, &b, &why);
	nl_batch_free(&b);
	/* If it has no address when it comes up, the kernel has given it this one. */
	return rc < 0 && rc != -EEXIST ? cnm_error_errno(err, rc, "loopback: %s", why.text) : 0;
}

static int open_dns(struct handle *h, struct cnm_error *err)
{
	int rc = put_loopback(h, err);

	return rc < 0 ? rc : netns_open_dns(h->ns, &h->udp, &h->tcp, err);
}

static int mend_dns(struct handle *h, struct cnm_error *err)
{
	int rc = dns_is_local(h) ? 0 : put_loopback(h, err);

	if (rc == 0 && netns_dns_table_check(h->ns, h->udp, h->tcp, NULL) != 1)
		rc = netns_dns_table(h->ns, h->udp, h->tcp, err);
	return rc;
}

static int dns_add(struct run *r, const struct plan_item *want)
{
	struct applier *a = r->a;
	struct handle *h = handle_open(a, want->sandbox, r->err);
	char name[80];
	int rc = 0;

	if (!h)
		return -ENOENT;
	if (h->udp < 0)
		rc = open_dns(h, r->err);
	else if (r->locked)
		rc = mend_dns(h, r->err);
	if (rc < 0)
		return rc;
	dns_name(want->sandbox, name);
	rc = fdkeep_put(a->opt.fdkeep, name, (int[]){ h->udp, h->tcp }, 2, r->err);
	if (rc == -EPIPE)
		keep_all(a);
	else if (rc < 0)
		return rc;
	rc = resolver_set_sockets(a->opt.resolver, want->sandbox, h->udp, h->tcp);
	return rc < 0 ? cnm_error_errno(r->err, rc, "name server") : 0;
}

static void dns_remove(struct run *r, const struct plan_item *have)
{
	struct applier *a = r->a;
	struct handle *h = map_get(&a->handles, have->sandbox);
	char name[80];

	dns_name(have->sandbox, name);
	resolver_drop_sandbox(a->opt.resolver, have->sandbox);
	fdkeep_drop(a->opt.fdkeep, name);
	/* One of our own goes with all that is in it; an adopted one stays, so it is cleaned. */
	if (h && h->ns >= 0 && !h->own)
		netns_dns_table_remove(h->ns, NULL);
}

static int apply_dns(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];

	if (op->want)
		return dns_add(r, op->want);
	dns_remove(r, op->have);
	return 0;
}

/* ---- one pass */

static bool is_link_removal(const struct plan_op *op)
{
	return op->action == PLAN_REMOVE && op->have->kind == PLAN_LINK && !op->have->link.borrowed;
}

/* Is what an item is on, in its place, what this link brought along? */
static bool is_on(const struct plan_item *i, const char *name, const struct plan_item *link)
{
	if (i->kind == PLAN_FDB || i->kind == PLAN_NEIGH || !i->sandbox[0])
		return streq(link->sandbox, i->sandbox) && streq(link->link.name, name);
	return streq(link->link.peer_sandbox, i->sandbox) && streq(link->link.peer, name);
}

static const char *link_of(const struct plan_item *i)
{
	return i->kind == PLAN_ADDR    ? i->addr.link
	       : i->kind == PLAN_ROUTE ? i->route.link
	       : i->kind == PLAN_PEER  ? i->peer.name
	       : i->kind == PLAN_FDB   ? i->fdb.link
	       : i->kind == PLAN_NEIGH ? i->neigh.link
				       : NULL;
}

/* Does this removal happen by itself, because its link is removed too? */
static bool is_implied(const struct run *r, const struct plan_op *op)
{
	const char *name = op->action == PLAN_REMOVE ? link_of(op->have) : NULL;

	for (size_t k = 0; name && k < r->n_doomed; k++)
		if (is_on(op->have, name, r->d->ops[r->doomed[k]].have))
			return true;
	return false;
}

/*
 * The link of a removal, for the reaper, behind n others. The first of a place has a descriptor of
 * its own for it: the turn is let go of meanwhile. Of a place that has gone, the links have too.
 */
static int doom(struct run *r, const struct plan_item *have, struct doomed *links, size_t n)
{
	struct handle *h = have->sandbox[0] ? handle_open(r->a, have->sandbox, NULL) : NULL;
	struct doomed *link = &links[n];
	bool first = h;

	link->ns = -1;
	if (have->sandbox[0] && !h)
		return 0;
	memcpy(link->place, have->sandbox, ID_SIZE);
	memcpy(link->name, have->link.name, IFNAMSIZ);
	for (size_t k = 0; k < n; k++)
		first &= !streq(links[k].place, link->place);
	if (first && (link->ns = fcntl(h->ns, F_DUPFD_CLOEXEC, 0)) < 0)
		return cnm_error_errno(r->err, errno, "remove link %s", link->name);
	return 1;
}

/* Delete the links of ops i.. that follow one another; returns how many ops that were, or <0. */
static long remove_links(struct run *r, size_t i)
{
	struct doomed *links;
	size_t n = 0, ops = 0;
	int rc = run_flush(r);

	if (rc < 0)
		return rc;
	while (i + ops < r->d->n && is_link_removal(&r->d->ops[i + ops]))
		ops++;
	links = calloc(ops + 1, sizeof(*links));
	if (!links)
		return cnm_error_errno(r->err, ENOMEM, "remove links");
	for (size_t k = 0; k < ops && rc >= 0; k++) {
		rc = doom(r, r->d->ops[i + k].have, links, n);
		n += rc > 0;
	}
	if (!r->locked)
		pthread_mutex_unlock(&r->a->turn);
	if (rc >= 0) {
		rc = reaper_delete(r->a->reaper, links, n, r->expected, r->err);
		r->expected = false;
	}
	if (!r->locked)
		pthread_mutex_lock(&r->a->turn);
	for (size_t k = 0; k < n; k++)
		close_fd(&links[k].ns);
	free(links);
	return rc < 0 ? rc : (long)ops;
}

/* How a kind is applied: some join the pending batch, the others act at once. */
static const struct {
	int (*apply)(struct run *r, size_t i);
	bool batched;
} kinds[] = {
	[PLAN_NETNS] = { apply_netns, false },   [PLAN_FILE] = { apply_file, false },
	[PLAN_HOLD] = { apply_hold, false },     [PLAN_ELEM] = { apply_elem, true },
	[PLAN_LINK] = { apply_link, true },      [PLAN_PEER] = { apply_peer, true },
	[PLAN_SYSCTL] = { apply_sysctl, false }, [PLAN_ADDR] = { apply_addr, true },
	[PLAN_ROUTE] = { apply_route, true },    [PLAN_DNS] = { apply_dns, false },
	[PLAN_FDB] = { apply_fdb, true },        [PLAN_NEIGH] = { apply_neigh, true },
	[PLAN_MOVED] = { apply_moved, false },   [PLAN_OVS] = { apply_ovs, false },
};

/*
 * A batched kind names the object of an error itself, since it may be an earlier one's. Of ports
 * the error says all, in words that Docker's clients know.
 */
static int apply_one(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	enum plan_kind kind = (op->want ? op->want : op->have)->kind;
	int rc = kinds[kind].batched ? 0 : run_flush(r);

	if (rc < 0)
		return rc;
	rc = kinds[kind].apply(r, i);
	if (rc < 0 && !kinds[kind].batched && kind != PLAN_HOLD)
		prefix_item(r->err, op);
	return rc;
}

int run_init(struct run *r, struct applier *a, const struct plan_diff *d, bool locked,
	     struct cnm_error *err)
{
	*r = (struct run){ .a = a, .d = d, .locked = locked, .err = err };
	r->add = calloc(d->n + 1, sizeof(*r->add));
	r->del = calloc(d->n + 1, sizeof(*r->del));
	r->doomed = calloc(d->n + 1, sizeof(*r->doomed));
	if (!r->add || !r->del || !r->doomed)
		return cnm_error_errno(err, ENOMEM, "carry out the plan");
	for (size_t i = 0; i < d->n; i++)
		if (is_link_removal(&d->ops[i]))
			r->doomed[r->n_doomed++] = i;
	return 0;
}

void run_done(struct run *r)
{
	while (r->limbo) {
		struct handle *h = r->limbo;

		r->limbo = h->next;
		handle_free(h);
	}
	nl_batch_free(&r->batch);
	free(r->msg_op);
	free(r->add);
	free(r->del);
	free(r->doomed);
}

/*
 * A new link with IPv6 addresses: setting its own MAC again makes the kernel advertise them all
 * (ndisc_notify). It empties the link's neighbour table, which has nothing in it yet.
 */
static int announce_ipv6(struct run *r, size_t i)
{
	const struct plan_item *w = r->d->ops[i].want;
	bool moved = w->kind == PLAN_MOVED;
	struct rtnl_set_link set = { 0 };
	int rc;

	if ((w->kind != PLAN_PEER && !moved) || (moved ? w->moved.no_ipv6 : w->peer.no_ipv6))
		return 0;
	set.mac = moved ? w->moved.mac : w->peer.mac;
	if (!mac_is_set(&set.mac))
		return 0;
	rc = run_ifindex(r, w->sandbox, moved ? w->moved.name : w->peer.name, &set.ifindex);
	if (rc < 0 || (rc = run_place(r, w->sandbox)) < 0)
		return rc;
	rtnl_put_set_link(&r->batch, &set);
	return run_mark(r, i);
}

static int run_all(struct run *r)
{
	for (size_t i = 0; i < r->d->n; i++) {
		const struct plan_op *op = &r->d->ops[i];
		int rc;

		if (is_implied(r, op))
			continue;
		if (is_link_removal(op)) {
			long n = remove_links(r, i);

			if (n < 0)
				return (int)n;
			i += n - 1;
			continue;
		}
		rc = apply_one(r, i);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < r->d->n; i++) {
		int rc = r->d->ops[i].action == PLAN_ADD ? announce_ipv6(r, i) : 0;

		if (rc < 0)
			return rc;
	}
	return run_flush(r);
}

/* Of which there may be very many. */
static bool goes_together(const struct plan_op *op)
{
	enum plan_kind kind = (op->want ? op->want : op->have)->kind;

	return kind == PLAN_ELEM || kind == PLAN_FDB || kind == PLAN_NEIGH;
}

/* How many such ops follow one another from i on. */
static size_t together_at(const struct plan_diff *d, size_t i)
{
	size_t n = 0;

	while (i + n < d->n && goes_together(&d->ops[i + n]))
		n++;
	return n;
}

/* In one go. What it says of a failure is of no use: they will be tried one by one. */
static int apply_together(struct run *r, size_t i, size_t n)
{
	struct cnm_error *err = r->err;
	int rc = 0;

	r->err = NULL;
	for (size_t k = 0; k < n && rc == 0; k++)
		rc = is_implied(r, &r->d->ops[i + k]) ? 0 : apply_one(r, i + k);
	if (rc == 0)
		rc = run_flush(r);
	r->n_add = r->n_del = 0;
	r->err = err;
	return rc;
}

unsigned run_each(struct run *r)
{
	struct cnm_error *first = r->err, e;
	size_t singly = 0, n; /* up to there they go one by one */
	unsigned failed = 0;

	for (size_t i = 0; i < r->d->n; i++) {
		const struct plan_op *op = &r->d->ops[i];
		long rc;

		if (is_implied(r, op))
			continue;
		n = i < singly ? 0 : together_at(r->d, i);
		if (n > 1 && apply_together(r, i, n) == 0) {
			i += n - 1;
			continue;
		}
		if (n > 1)
			singly = i + n;
		memset(&e, 0, sizeof(e));
		r->err = &e;
		r->n_add = r->n_del = 0;
		if (is_link_removal(op)) {
			rc = remove_links(r, i);
			if (rc > 0)
				i += rc - 1;
		} else {
			rc = apply_one(r, i);
			if (rc >= 0)
				rc = run_flush(r);
		}
		if (rc < 0 && failed++ == 0 && first)
			*first = e;
	}
	r->err = first;
	return failed;
}

/* The index is known: it was needed to bring the link up. */
static void announce(struct run *r, const struct plan_item *w)
{
	int ifindex;

	if (w->kind == PLAN_PEER && run_ifindex(r, w->sandbox, w->peer.name, &ifindex) == 0)
		reaper_announce(r->a->reaper, w->sandbox, ifindex, &w->peer.announced,
				w->peer.announce, w->peer.announce_ms);
	if (w->kind == PLAN_MOVED && ip_is_set(&w->moved.announced) &&
	    run_ifindex(r, w->sandbox, w->moved.name, &ifindex) == 0)
		reaper_announce(r->a->reaper, w->sandbox, ifindex, &w->moved.announced, 1, 0);
}

int applier_run(struct applier *a, const struct plan_diff *d, struct cnm_error *err)
{
	struct cnm_error own = { 0 };
	struct run r;
	int rc;

	err = err ? err : &own;
	rc = run_init(&r, a, d, false, err);
	r.expected = r.n_doomed > 0;
	if (r.expected)
		reaper_expect(a->reaper, 1);
	hold_prepare(a, d);
	pthread_mutex_lock(&a->turn);
	if (rc == 0) {
		rc = run_all(&r);
		if (rc < 0)
			run_undo(&r);
	}
	for (size_t i = 0; rc == 0 && i < d->n; i++) {
		if (d->ops[i].action == PLAN_ADD)
			announce(&r, d->ops[i].want);
	}
	if (rc == 0)
		announce_neighbours(&r);
	pthread_mutex_unlock(&a->turn);
	if (rc == 0)
		hold_finish(a, d, false);
	if (r.expected)
		reaper_expect(a->reaper, -1);
	run_done(&r);
	return rc;
}

unsigned applier_repair(struct applier *a, const struct plan_diff *d, struct cnm_error *err)
{
	struct cnm_error own = { 0 };
	struct run r;
	unsigned failed = d->n;

	if (run_init(&r, a, d, true, err ? err : &own) == 0) {
		failed = run_each(&r);
		announce_neighbours(&r);
	}
	run_done(&r);
	hold_finish(a, d, true);
	return failed;
}
