/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping the kernel as the model says: one thread that compares everything after a start, the host
 * first, and then whatever the monitor finds to disagree.
 *
 * The monitor hears our own changes too. What it tells is only a suspicion: a place (the host or a
 * sandbox) and an interface index. It is dropped again when a link that was down turns out to be
 * up, or when the link is gone for good because nobody wants it any more; what is left after a
 * moment is compared. Lost events (ENOBUFS) mean that everything is compared; so does another MTU
 * of the host's uplinks, from which that of the networks follows. When a file of the host's, from
 * which those of sandboxes are made, is another, the sandboxes are compared too.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "controller/compare.h"
#include "controller/host_files.h"
#include "kernel/monitor.h"
#include "kernel/netns.h"

#define SETTLE_MS      30
#define MAX_SUSPICIONS 256
#define MAX_MTU        65535 /* of a bridge */

struct suspicion {
	char place[ID_SIZE]; /* "" the host */
	int ifindex;         /* 0: no link in particular */
	bool link_down;      /* that is all there is against it */
};

struct reconcile {
	struct cnm_engine *e;
	struct monitor *monitor;
	pthread_t thread;
	int wake;             /* eventfd: stop */
	struct mended mended; /* of this thread */
	struct suspicion suspicions[MAX_SUSPICIONS];
	unsigned n;
	bool all;                /* compare everything */
	bool uplinks;            /* look whether their MTU is another */
	struct file_watch files; /* of the host */
	bool files_changed;
};

static void suspect(struct reconcile *rc, const char *place, int ifindex, bool link_down)
{
	for (unsigned i = 0; i < rc->n; i++) {
		struct suspicion *s = &rc->suspicions[i];

		if (s->ifindex == ifindex && streq(s->place, place)) {
			s->link_down &= link_down;
			return;
		}
	}
	if (rc->n == MAX_SUSPICIONS) {
		rc->all = true;
		return;
	}
	str_copy(rc->suspicions[rc->n].place, ID_SIZE, place);
	rc->suspicions[rc->n].ifindex = ifindex;
	rc->suspicions[rc->n++].link_down = link_down;
}

/* The link is up, or gone and wanted by nobody. */
static void trust(struct reconcile *rc, const char *place, int ifindex, bool gone)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rc->n; i++) {
		const struct suspicion *s = &rc->suspicions[i];

		if (s->ifindex != ifindex || !streq(s->place, place) || !(gone || s->link_down))
			rc->suspicions[n++] = *s;
	}
	rc->n = n;
}

/* ---- what an event says of a link; lock held */

enum verdict { UNWANTED, WELL, DOWN, WRONG };

/* Holds a link's event against the items that are planned for it. */
static enum verdict judge(const struct plan *p, enum plan_kind kind, const struct monitor_event *ev)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_item *it = &p->items[i];
		bool link = kind == PLAN_LINK;
		unsigned mtu = link ? it->link.mtu : it->peer.mtu;

		if (it->kind != kind || !streq(link ? it->link.name : it->peer.name, ev->name))
			continue;
		if (link && it->link.borrowed)
			return ev->gone ? WRONG : WELL;
		if (!ev->gone && !ev->up)
			return DOWN;
		if (ev->gone || ev->odd || (mtu && mtu != ev->mtu) ||
		    !mac_eq(link ? &it->link.mac : &it->peer.mac, &ev->mac))
			return WRONG;
		return WELL;
	}
	return UNWANTED;
}

static void plan_endpoint(const struct cnm_engine *e, const struct endpoint *ep, struct plan *p)
{
	if (ep->state == OBJ_READY && ep->network->driver->endpoint_plan)
		ep->network->driver->endpoint_plan(ep, &e->env, p);
}

/* The end of an endpoint on the host: it is compared with its sandbox. */
static enum verdict judge_veth(const struct cnm_engine *e, const struct monitor_event *ev,
			       char place[static ID_SIZE])
{
	const char *id = ev->name + strlen("veth");
	enum verdict v = UNWANTED;
	struct plan p = { 0 };
	const struct sandbox *sb;
	const struct endpoint *ep;

	list_for_each (sb, &e->model.sandboxes, node) {
		list_for_each (ep, &sb->endpoints, in_sandbox) {
			if (sb->busy || sb->stopped || strncmp(id, ep->id, 7) != 0)
				continue;
			plan_endpoint(e, ep, &p);
			v = judge(&p, PLAN_LINK, ev);
			plan_free(&p);
			memcpy(place, sb->id, ID_SIZE);
			return v;
		}
	}
	return v;
}

/* A bridge tells of its port: is it as it should be? */
static bool port_is_wrong(struct cnm_engine *e, const struct monitor_event *ev,
			  char place[static ID_SIZE])
{
	const char *id = str_after(ev->name, "veth");
	struct plan p = { 0 };
	bool wrong = false;
	const struct sandbox *sb;
	const struct endpoint *ep;
	LOCKED(&e->lock);

	list_for_each (sb, &e->model.sandboxes, node) {
		if (!id || sb->busy || sb->stopped)
			continue;
		list_for_each (ep, &sb->endpoints, in_sandbox) {
			if (strncmp(id, ep->id, 7) != 0)
				continue;
			plan_endpoint(e, ep, &p);
			memcpy(place, sb->id, ID_SIZE);
		}
	}
	for (size_t i = 0; i < p.n; i++)
		if (p.items[i].kind == PLAN_LINK && streq(p.items[i].link.name, ev->name))
			wrong |= p.items[i].link.hairpin != ev->hairpin;
	plan_free(&p);
	return wrong;
}

/* The link of a network: named after its id, or by an option. */
static enum verdict judge_bridge(const struct cnm_engine *e, const struct monitor_event *ev)
{
	const char *id = str_after(ev->name, "br-");
	const struct network *n;

	list_for_each (n, &e->model.networks, node) {
		struct plan p = { 0 };
		enum verdict v;

		if (n->state != OBJ_READY ||
		    (!json_object_size(n->options) && !(id && strncmp(id, n->id, 12) == 0)))
			continue;
		plan_network(e, n, &p);
		v = judge(&p, PLAN_LINK, ev);
		plan_free(&p);
		if (v != UNWANTED)
			return v;
	}
	return UNWANTED;
}

static enum verdict judge_host(struct cnm_engine *e, const struct monitor_event *ev,
			       char place[static ID_SIZE])
{
	LOCKED(&e->lock);

	place[0] = 0;
	return str_after(ev->name, "veth") ? judge_veth(e, ev, place) : judge_bridge(e, ev);
}

static enum verdict judge_peer(const struct cnm_engine *e, const struct sandbox *sb,
			       const struct monitor_event *ev)
{
	const struct endpoint *ep;

	if (streq(ev->name, "lo")) /* on which names are asked for */
		return ev->up ? WELL : DOWN;
	list_for_each (ep, &sb->endpoints, in_sandbox) {
		struct plan p = { 0 };
		enum verdict v;

		if (!streq(ep->ifname, ev->name))
			continue;
		plan_endpoint(e, ep, &p);
		v = judge(&p, PLAN_PEER, ev);
		plan_free(&p);
		return v;
	}
	return UNWANTED;
}

static void act_on(struct reconcile *rc, enum verdict v, const char *place,
		   const struct monitor_event *ev)
{
	if (v == DOWN || v == WRONG)
		suspect(rc, place, ev->ifindex, v == DOWN);
	else
		trust(rc, place, ev->ifindex, ev->gone);
}

static const struct sandbox *sandbox_of(struct cnm_engine *e, int nsid)
{
	const struct sandbox *sb;

	list_for_each (sb, &e->model.sandboxes, node)
		if (sb->nsid == nsid)
			return sb;
	return NULL;
}

static bool lacks_nsid(const struct sandbox *sb)
{
	return sb->nsid < 0 && sb->state == OBJ_READY && !sb->stopped && sb->source != NETNS_HOST;
}

/* Namespaces get their number when the kernel first needs one; ask for those not known yet. */
static void learn_nsids(struct cnm_engine *e)
{
	unsigned n;
	char(*ids)[ID_SIZE] = compare_sandboxes(e, lacks_nsid, &n);

	for (unsigned i = 0; i < n; i++) {
		struct sandbox *sb;
		int nsid;

		applier_enter(e->applier);
		nsid = applier_nsid(e->applier, ids[i]);
		applier_leave(e->applier);
		pthread_mutex_lock(&e->lock);
		if ((sb = map_get(&e->model.sandbox_by_id, ids[i])))
			sb->nsid = nsid;
		pthread_mutex_unlock(&e->lock);
	}
	free(ids);
}

/* ---- hearing */

/* Could the MTU of the uplinks be another, after this about a link? */
static bool concerns_uplinks(const struct reconcile *rc, const struct monitor_event *ev)
{
	for (unsigned i = 0; i < rc->e->uplinks.n; i++)
		if (rc->e->uplinks.ifindex[i] == ev->ifindex)
			return ev->gone || !ev->up || ev->mtu != rc->e->env.mtu;
	return false;
}

static void hear_host(struct reconcile *rc, const struct monitor_event *ev)
{
	struct cnm_engine *e = rc->e;
	char place[ID_SIZE];
	enum verdict v;

	switch (ev->what) {
	case MONITOR_LINK:
		v = judge_host(e, ev, place);
		act_on(rc, v, place, ev);
		rc->uplinks |= v == UNWANTED && concerns_uplinks(rc, ev);
		if (ev->gone || !ev->up)
			applier_link_down(e->applier, ev->group);
		break;
	case MONITOR_PORT:
		if (ev->gone ? judge_host(e, ev, place) != UNWANTED && place[0]
			     : port_is_wrong(e, ev, place)) {
			suspect(rc, place, ev->ifindex, false);
			if (ev->gone) /* maybe with its bridge, of which the kernel speaks later */
				suspect(rc, "", 0, false);
		}
		break;
	case MONITOR_ADDR:
		if (ev->gone)
			suspect(rc, "", ev->ifindex, false);
		break;
	case MONITOR_NFT:
		if (streq(ev->table, applier_table(e->applier)) &&
		    ev->portid != applier_nft_portid(e->applier))
			suspect(rc, "", 0, false);
		break;
	case MONITOR_ROUTE: /* no plan has routes on the host */
		rc->uplinks |= ev->is_default;
		break;
	case MONITOR_LOST:
		applier_link_down(e->applier, 0);
		rc->all = true;
		break;
	}
}

static void hear_sandbox(struct reconcile *rc, const struct monitor_event *ev)
{
	struct cnm_engine *e = rc->e;
	const struct sandbox *sb;
	char place[ID_SIZE] = "";
	enum verdict v = UNWANTED;

	pthread_mutex_lock(&e->lock);
	sb = sandbox_of(e, ev->nsid);
	if (!sb) {
		pthread_mutex_unlock(&e->lock);
		learn_nsids(e);
		pthread_mutex_lock(&e->lock);
		sb = sandbox_of(e, ev->nsid);
	}
	if (sb && sb->state == OBJ_READY && !sb->busy && !sb->stopped) {
		memcpy(place, sb->id, ID_SIZE);
		v = judge_peer(e, sb, ev);
	}
	pthread_mutex_unlock(&e->lock);
	if (!place[0])
		return;
	if (ev->what == MONITOR_LINK)
		act_on(rc, v, place, ev);
	else if (ev->what == MONITOR_NFT && streq(ev->table, NETNS_DNS_TABLE) && ev->gone)
		suspect(rc, place, 0, false);
	else if (ev->what != MONITOR_NFT && ev->gone)
		suspect(rc, place, ev->ifindex, false);
}

static void hear(const struct monitor_event *ev, void *arg)
{
	struct reconcile *rc = arg;

	if (ev->nsid < 0)
		hear_host(rc, ev);
	else
		hear_sandbox(rc, ev);
}

/* ---- the thread */

/* m: what was mended too often is left alone; NULL: all is mended. */
static void compare(struct reconcile *rc, const char *place, struct mended *m)
{
	struct cnm_error err = { 0 };

	if (compare_and_mend(rc->e, place, m, &err) < 0)
		log_err("compare %s%.12s with the kernel: %s", place[0] ? "sandbox " : "the host",
			place, err.text);
}

static bool stopping(const struct reconcile *rc)
{
	struct pollfd p = { .fd = rc->wake, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void compare_all_sandboxes(struct reconcile *rc, struct mended *m)
{
	unsigned n;
	char(*ids)[ID_SIZE] = compare_sandboxes(rc->e, NULL, &n);

	for (unsigned i = 0; i < n && !stopping(rc); i++)
		compare(rc, ids[i], m);
	free(ids);
}

static void compare_all(struct reconcile *rc)
{
	rc->all = false;
	rc->n = 0;
	compare(rc, "", &rc->mended);
	compare_all_sandboxes(rc, &rc->mended);
	learn_nsids(rc->e);
	pthread_mutex_lock(&rc->e->lock);
	rc->e->all_checked = true;
	pthread_mutex_unlock(&rc->e->lock);
}

void reconcile_uplinks(struct cnm_engine *e)
{
	struct uplinks u;

	if (applier_uplinks(e->applier, &u, NULL) < 0)
		return;
	pthread_mutex_lock(&e->lock);
	e->uplinks = u;
	e->env.mtu = u.mtu > MAX_MTU ? MAX_MTU : u.mtu;
	pthread_mutex_unlock(&e->lock);
}

/* This thread alone writes it after the start, so it reads it without the lock. */
static void look_at_uplinks(struct reconcile *rc)
{
	unsigned before = rc->e->env.mtu, now;

	rc->uplinks = false;
	reconcile_uplinks(rc->e);
	now = rc->e->env.mtu;
	if (now == before)
		return;
	log_info("the host's uplinks have the MTU %u now, and networks without one of their own "
		 "with them",
		 now);
	rc->all = true;
}

/* If there are suspicions about a place, drop them and compare it. */
static void settle_place(struct reconcile *rc, const char *place)
{
	unsigned n = 0, all = rc->n;

	for (unsigned i = 0; i < all; i++)
		if (!streq(rc->suspicions[i].place, place))
			rc->suspicions[n++] = rc->suspicions[i];
	rc->n = n;
	if (n < all)
		compare(rc, place, &rc->mended);
}

/* One comparison a place, the host first: what sandboxes need of it is there then. */
static void compare_suspects(struct reconcile *rc)
{
	settle_place(rc, "");
	while (rc->n) {
		char place[ID_SIZE];

		memcpy(place, rc->suspicions[0].place, ID_SIZE);
		settle_place(rc, place);
	}
}

/* Hear what there is; false: the monitor is of no more use. */
static bool listen_once(struct reconcile *rc, int timeout)
{
	struct pollfd p[] = { { .fd = rc->wake, .events = POLLIN },
			      { .fd = monitor_fd(rc->monitor), .events = POLLIN },
			      { .fd = rc->files.fd, .events = POLLIN } };
	int r = poll(p, 3, timeout);

	rc->files_changed |= r > 0 && p[2].revents && file_watch_changed(&rc->files);
	if (r > 0 && p[1].revents && (r = monitor_read(rc->monitor, hear, rc)) < 0) {
		log_err("the netlink monitor failed (%s); what others change in the kernel is "
			"noticed by `cnm doctor` only",
			strerror(-r));
		return false;
	}
	return true;
}

static void *reconcile_main(void *arg)
{
	struct reconcile *rc = arg;

	compare_all(rc);
	while (!stopping(rc) && listen_once(rc, -1)) {
		if (!rc->n && !rc->all && !rc->uplinks && !rc->files_changed)
			continue;
		/* What is torn down comes in several events: let them all arrive. */
		usleep(SETTLE_MS * 1000);
		if (!listen_once(rc, 0))
			break;
		if (rc->uplinks)
			look_at_uplinks(rc);
		if (rc->files_changed) {
			rc->files_changed = false;
			compare_all_sandboxes(rc, NULL);
		}
		if (rc->all)
			compare_all(rc);
		else
			compare_suspects(rc);
	}
	return NULL;
}

static void reconcile_free(struct reconcile *rc)
{
	monitor_close(rc->monitor);
	close_fd(&rc->files.fd);
	close_fd(&rc->wake);
	mended_free(&rc->mended);
	free(rc);
}

/* What it listens to. */
static int open_ears(struct reconcile *rc, struct cnm_error *err)
{
	const char *paths[HOST_N_FILES];
	int r;

	rc->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rc->wake < 0)
		return cnm_error_errno(err, errno, "eventfd");
	for (unsigned i = 0; i < HOST_N_FILES; i++)
		paths[i] = host_files_path(rc->e->host_files, i);
	r = file_watch_open(&rc->files, paths, HOST_N_FILES);
	if (r < 0)
		return cnm_error_errno(err, r, "watch %s", paths[0]);
	return monitor_open(&rc->monitor, err);
}

int reconcile_start(struct cnm_engine *e, struct cnm_error *err)
{
	struct reconcile *rc = calloc(1, sizeof(*rc));
	pthread_attr_t ta;
	int r;

	if (!rc)
		return cnm_error_errno(err, ENOMEM, "reconciler");
	rc->e = e;
	rc->wake = -1;
	rc->files.fd = -1;
	r = open_ears(rc, err);
	if (r == 0) {
		pthread_attr_init(&ta);
		pthread_attr_setstacksize(&ta, 512 * 1024);
		r = -pthread_create(&rc->thread, &ta, reconcile_main, rc);
		pthread_attr_destroy(&ta);
		if (r < 0)
			cnm_error_errno(err, r, "start the reconciler");
	}
	if (r < 0) {
		reconcile_free(rc);
		return r;
	}
	e->reconcile = rc;
	return 0;
}

void reconcile_stop(struct cnm_engine *e)
{
	struct reconcile *rc = e->reconcile;

	if (!rc)
		return;
	eventfd_write(rc->wake, 1);
	pthread_join(rc->thread, NULL);
	reconcile_free(rc);
	e->reconcile = NULL;
}

void reconcile_host_first(struct cnm_engine *e)
{
	bool checked;

	pthread_mutex_lock(&e->lock);
	checked = e->host_checked;
	pthread_mutex_unlock(&e->lock);
	if (!checked)
		compare_and_mend(e, "", NULL, NULL);
}

void reconcile_sandbox_first(struct cnm_engine *e, const char *ref)
{
	struct sandbox *sb;
	unsigned matches;
	char id[ID_SIZE] = "";

	reconcile_host_first(e);
	pthread_mutex_lock(&e->lock);
	if (model_find_sandbox(&e->model, ref, &sb, &matches) == REF_FOUND && !sb->checked &&
	    !sb->stopped)
		memcpy(id, sb->id, ID_SIZE);
	pthread_mutex_unlock(&e->lock);
	if (id[0])
		compare_and_mend(e, id, NULL, NULL);
}
