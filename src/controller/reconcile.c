/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping the kernel as the model says: one thread that compares everything after a start, the host
 * first, and then whatever the monitor finds to disagree.
 *
 * The monitor hears our own changes too. What it tells is only a suspicion: a place (the host, a
 * network of several hosts, or a sandbox) and an interface index. It is dropped again when a link
 * that was down turns out to be up, or a port to be as it should, or when the link is gone for good
 * because nobody wants it any more; what is left after a moment is compared, and again after a
 * second if it could not be mended or a request had it in hand. Lost events (ENOBUFS) mean that
 * everything is compared; so does another MTU of the host's uplinks, from which that of the
 * networks follows. When a file of the host's, from which those of sandboxes are made, is another,
 * the sandboxes are compared too. The namespace directory is watched for pins that go.
 *
 * Places are known by the ids of their namespaces. Those of networks are kept here: a network stays
 * while its namespace comes and goes with its first and last sandbox, each time with another id, so
 * all are asked for again whenever an unknown id is heard of.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "controller/compare.h"
#include "controller/host_files.h"
#include "controller/judge.h"
#include "kernel/netns.h"

#define SETTLE_MS      30
#define AGAIN_NS       1000000000ull
#define NS_PER_MS      1000000ull
#define MAX_SUSPICIONS 256
#define MAX_MTU        65535 /* of a bridge */
/* Deleted entries that are looked for among a network's endpoints; with more it is compared. */
#define MAX_JUDGED 64

/* What there is against a link: the first two may turn out to be right after all. */
enum doubt { DOUBT_DOWN = 1, DOUBT_PORT = 2, DOUBT_SURE = 4 };

struct suspicion {
	char place[ID_SIZE]; /* "" the host */
	int ifindex;         /* 0: no link in particular, AGAIN: it has been compared */
	unsigned doubts;
	uint64_t due; /* monotonic ns */
};

#define AGAIN (-1)

/* The namespace of a network. */
struct network_place {
	char id[ID_SIZE];
	int nsid;
};

struct reconcile {
	struct cnm_engine *e;
	struct monitor *monitor;
	pthread_t thread;
	int wake;             /* eventfd: stop */
	int ask;              /* eventfd: compare everything */
	struct mended mended; /* of this thread */
	struct suspicion suspicions[MAX_SUSPICIONS];
	unsigned n;
	struct network_place *networks;
	unsigned n_networks;
	unsigned judged;         /* entries, since the last round */
	bool all;                /* compare everything */
	bool uplinks;            /* look whether their MTU is another */
	struct file_watch files; /* of the host */
	bool files_changed;
	int pins; /* inotify of the namespace directory; -1: it cannot be watched */
};

static struct suspicion *find(struct reconcile *rc, const char *place, int ifindex)
{
	for (unsigned i = 0; i < rc->n; i++)
		if (rc->suspicions[i].ifindex == ifindex && streq(rc->suspicions[i].place, place))
			return &rc->suspicions[i];
	return NULL;
}

static void suspect(struct reconcile *rc, const char *place, int ifindex, enum doubt doubt)
{
	struct suspicion *s = find(rc, place, ifindex);

	if (s) {
		s->doubts |= doubt;
		return;
	}
	if (rc->n == MAX_SUSPICIONS) {
		rc->all = true;
		return;
	}
	s = &rc->suspicions[rc->n++];
	str_copy(s->place, ID_SIZE, place);
	s->ifindex = ifindex;
	s->doubts = doubt;
	s->due = ifindex == AGAIN ? clock_mono_ns() + AGAIN_NS : 0;
}

/* The first one whose time has come. */
static const struct suspicion *due_suspicion(const struct reconcile *rc)
{
	uint64_t now = clock_mono_ns();

	for (unsigned i = 0; i < rc->n; i++)
		if (rc->suspicions[i].due <= now)
			return &rc->suspicions[i];
	return NULL;
}

/* How long until the time of one has come, for poll(). */
static int patience(const struct reconcile *rc)
{
	uint64_t now = clock_mono_ns(), least = UINT64_MAX;

	for (unsigned i = 0; i < rc->n; i++)
		if (rc->suspicions[i].due < least)
			least = rc->suspicions[i].due;
	if (!rc->n)
		return -1;
	return least > now ? (int)((least - now) / NS_PER_MS) + 1 : 0;
}

/* The link is as it should be in this respect, or gone and wanted by nobody. */
static void trust(struct reconcile *rc, const char *place, const struct monitor_event *ev)
{
	struct suspicion *s = find(rc, place, ev->ifindex);

	if (!s)
		return;
	s->doubts &= ev->gone ? 0 : ~(ev->what == MONITOR_PORT ? DOUBT_PORT : DOUBT_DOWN);
	if (!s->doubts)
		*s = rc->suspicions[--rc->n];
}

static void act_on(struct reconcile *rc, enum verdict v, const char *place,
		   const struct monitor_event *ev)
{
	switch (v) {
	case DOWN:
		suspect(rc, place, ev->ifindex, DOUBT_DOWN);
		break;
	case ASTRAY:
		suspect(rc, place, ev->ifindex, DOUBT_PORT);
		break;
	case WRONG:
		suspect(rc, place, ev->ifindex, DOUBT_SURE);
		break;
	case WELL:
	case UNWANTED:
		trust(rc, place, ev);
		break;
	}
}

/* ---- whose namespace it is */

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
	return sb->nsid < 0 && sb->state == OBJ_READY && sandbox_is_open(sb) &&
	       sb->source != NETNS_HOST;
}

static int ask_nsid(struct cnm_engine *e, const char *place)
{
	int nsid;

	applier_enter(e->applier);
	nsid = applier_nsid(e->applier, place);
	applier_leave(e->applier);
	return nsid;
}

static void learn_networks(struct reconcile *rc)
{
	unsigned n;
	char(*ids)[ID_SIZE] = compare_networks(rc->e, &n);
	struct network_place *places = calloc(n + 1, sizeof(*places));

	for (unsigned i = 0; places && i < n; i++) {
		memcpy(places[i].id, ids[i], ID_SIZE);
		places[i].nsid = ask_nsid(rc->e, ids[i]);
	}
	free(ids);
	if (!places)
		return;
	free(rc->networks);
	rc->networks = places;
	rc->n_networks = n;
}

/* The id of the network; NULL: it is none's. */
static const char *network_of(const struct reconcile *rc, int nsid)
{
	for (unsigned i = 0; i < rc->n_networks; i++)
		if (rc->networks[i].nsid == nsid)
			return rc->networks[i].id;
	return NULL;
}

static void learn_sandboxes(struct cnm_engine *e)
{
	unsigned n;
	char(*ids)[ID_SIZE] = compare_sandboxes(e, lacks_nsid, &n);

	for (unsigned i = 0; i < n; i++) {
		int nsid = ask_nsid(e, ids[i]);
		struct sandbox *sb;

		pthread_mutex_lock(&e->lock);
		if ((sb = map_get(&e->model.sandbox_by_id, ids[i])))
			sb->nsid = nsid;
		pthread_mutex_unlock(&e->lock);
	}
	free(ids);
}

/* Namespaces that are not known yet, or not any more by this id. */
static void learn_nsids(struct reconcile *rc)
{
	learn_sandboxes(rc->e);
	learn_networks(rc);
}

/* ---- hearing */

static enum verdict judge_host(struct cnm_engine *e, const struct monitor_event *ev,
			       char place[static ID_SIZE])
{
	LOCKED(&e->lock);

	return judge_on_host(e, ev, place);
}

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
	char place[ID_SIZE] = "";
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
		v = judge_host(e, ev, place);
		act_on(rc, v, place, ev);
		if (v == WRONG) /* maybe with its bridge, of which the kernel speaks later */
			suspect(rc, "", 0, DOUBT_SURE);
		break;
	case MONITOR_ADDR:
		if (ev->gone)
			suspect(rc, "", ev->ifindex, DOUBT_SURE);
		break;
	case MONITOR_NFT:
		if (streq(ev->table, applier_table(e->applier)) &&
		    ev->portid != applier_nft_portid(e->applier))
			suspect(rc, "", 0, DOUBT_SURE);
		break;
	case MONITOR_ROUTE: /* no plan has routes on the host, nor what follows */
		rc->uplinks |= ev->is_default;
		break;
	case MONITOR_FDB:
	case MONITOR_NEIGH:
		break;
	case MONITOR_LOST:
		applier_link_down(e->applier, 0);
		rc->all = true;
		break;
	}
}

/* false: the namespace is no sandbox's. */
static bool hear_sandbox(struct reconcile *rc, const struct monitor_event *ev)
{
	struct cnm_engine *e = rc->e;
	const struct sandbox *sb;
	char place[ID_SIZE] = "";
	enum verdict v = UNWANTED;

	pthread_mutex_lock(&e->lock);
	sb = sandbox_of(e, ev->nsid);
	if (sb && sb->state == OBJ_READY && !sb->busy && !sb->stopped) {
		memcpy(place, sb->id, ID_SIZE);
		v = judge_in_sandbox(e, sb, ev);
	}
	pthread_mutex_unlock(&e->lock);
	if (!place[0])
		return sb;
	if (ev->what == MONITOR_LINK)
		act_on(rc, v, place, ev);
	else if (ev->what == MONITOR_NFT && streq(ev->table, NETNS_DNS_TABLE) && ev->gone)
		suspect(rc, place, 0, DOUBT_SURE);
	else if (ev->what != MONITOR_NFT && ev->gone)
		suspect(rc, place, ev->ifindex, DOUBT_SURE);
	return true;
}

/* false: the namespace is no network's. */
static bool hear_network(struct reconcile *rc, const struct monitor_event *ev)
{
	const char *id = network_of(rc, ev->nsid);
	const struct network *n;
	char place[ID_SIZE] = "";
	enum verdict v;
	LOCKED(&rc->e->lock);

	if (!id)
		return false;
	n = map_get(&rc->e->model.network_by_id, id);
	if (!n || (ev->what != MONITOR_LINK && ev->what != MONITOR_PORT))
		return true;
	memcpy(place, n->id, ID_SIZE);
	v = judge_in_network(rc->e, n, ev, place);
	act_on(rc, v, place, ev);
	return true;
}

/*
 * Of an entry, deleted in any namespace. There may be very many at once, of which one tells enough,
 * and as many that we delete ourselves, which must not cost more than they did.
 */
static void hear_entry(struct reconcile *rc, const struct monitor_event *ev)
{
	const char *id = network_of(rc, ev->nsid);
	const struct network *n;
	char place[ID_SIZE];
	LOCKED(&rc->e->lock);

	n = id && !find(rc, id, 0) ? map_get(&rc->e->model.network_by_id, id) : NULL;
	if (!n)
		return;
	memcpy(place, n->id, ID_SIZE);
	if (++rc->judged > MAX_JUDGED || judge_entry(n, ev, place) == WRONG)
		suspect(rc, place, 0, DOUBT_SURE);
}

static void hear(const struct monitor_event *ev, void *arg)
{
	struct reconcile *rc = arg;

	if (ev->nsid < 0)
		hear_host(rc, ev);
	else if (ev->what == MONITOR_FDB || ev->what == MONITOR_NEIGH)
		hear_entry(rc, ev);
	else if (!hear_sandbox(rc, ev) && !hear_network(rc, ev)) {
		learn_nsids(rc);
		if (!hear_sandbox(rc, ev))
			hear_network(rc, ev);
	}
}

static void hear_pin(struct reconcile *rc, const char *name)
{
	char place[ID_SIZE];
	LOCKED(&rc->e->lock);

	if (judge_pin(rc->e, name, place) == WRONG)
		suspect(rc, place, 0, DOUBT_SURE);
}

static void hear_pins(struct reconcile *rc)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(rc->pins, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)p;

			rc->all |= (ev->mask & IN_Q_OVERFLOW) != 0;
			if (ev->len)
				hear_pin(rc, ev->name);
			p += sizeof(*ev) + ev->len;
		}
	}
}

/* ---- the thread */

/* m: what was mended too often is left alone; NULL: all is mended. */
static void compare(struct reconcile *rc, const char *place, struct mended *m)
{
	struct cnm_error err = { 0 };
	int r;

	if (m)
		m->failed = false;
	r = compare_and_mend(rc->e, place, m, &err);
	if (m && (m->failed || r == COMPARE_BUSY))
		suspect(rc, place, AGAIN, DOUBT_SURE);
	if (r < 0)
		log_err("compare %s%.12s with the kernel: %s", place[0] ? "" : "the host", place,
			err.text);
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
	char(*networks)[ID_SIZE];
	unsigned n;

	rc->all = false;
	rc->n = 0;
	compare(rc, "", &rc->mended);
	networks = compare_networks(rc->e, &n);
	for (unsigned i = 0; i < n && !stopping(rc); i++)
		compare(rc, networks[i], &rc->mended);
	free(networks);
	compare_all_sandboxes(rc, &rc->mended);
	learn_nsids(rc);
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

/* If there is a suspicion about a place whose time has come, drop all of them and compare it. */
static void settle_place(struct reconcile *rc, const char *place)
{
	uint64_t now = clock_mono_ns();
	unsigned n = 0;
	bool due = false;

	for (unsigned i = 0; i < rc->n; i++)
		due |= rc->suspicions[i].due <= now && streq(rc->suspicions[i].place, place);
	if (!due)
		return;
	for (unsigned i = 0; i < rc->n; i++)
		if (!streq(rc->suspicions[i].place, place))
			rc->suspicions[n++] = rc->suspicions[i];
	rc->n = n;
	compare(rc, place, &rc->mended);
}

/* One comparison a place, the host and networks first: what sandboxes need of them is there then.
 */
static void compare_suspects(struct reconcile *rc)
{
	const struct suspicion *s;

	settle_place(rc, "");
	for (unsigned i = 0; i < rc->n_networks; i++)
		settle_place(rc, rc->networks[i].id);
	while ((s = due_suspicion(rc))) {
		char place[ID_SIZE];

		memcpy(place, s->place, ID_SIZE);
		settle_place(rc, place);
	}
}

/* Hear what there is; false: the monitor is of no more use. */
static bool listen_once(struct reconcile *rc, int timeout)
{
	struct pollfd p[] = { { .fd = rc->wake, .events = POLLIN },
			      { .fd = monitor_fd(rc->monitor), .events = POLLIN },
			      { .fd = rc->files.fd, .events = POLLIN },
			      { .fd = rc->ask, .events = POLLIN },
			      { .fd = rc->pins, .events = POLLIN } };
	int r = poll(p, 5, timeout);
	eventfd_t asked;

	rc->judged = 0;
	if (r > 0 && p[4].revents)
		hear_pins(rc);
	rc->all |= r > 0 && p[3].revents && eventfd_read(rc->ask, &asked) == 0;
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
	while (!stopping(rc) && listen_once(rc, patience(rc))) {
		if (!due_suspicion(rc) && !rc->all && !rc->uplinks && !rc->files_changed)
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
	close_fd(&rc->ask);
	close_fd(&rc->pins);
	mended_free(&rc->mended);
	free(rc->networks);
	free(rc);
}

/* Pins in a directory that cannot be watched are missed by `cnm doctor` only. */
static void watch_pins(struct reconcile *rc)
{
	mkdir(rc->e->netns_dir, 0755);
	rc->pins = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (rc->pins >= 0 && inotify_add_watch(rc->pins, rc->e->netns_dir,
					       IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR) < 0)
		log_warn("watch %s: %s; namespaces that others remove from it are noticed by "
			 "`cnm doctor` only",
			 rc->e->netns_dir, strerror(errno));
}

/* What it listens to. */
static int open_ears(struct reconcile *rc, struct cnm_error *err)
{
	const char *paths[HOST_N_FILES];
	int r;

	rc->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc->ask = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rc->wake < 0 || rc->ask < 0)
		return cnm_error_errno(err, errno, "eventfd");
	for (unsigned i = 0; i < HOST_N_FILES; i++)
		paths[i] = host_files_path(rc->e->host_files, i);
	r = file_watch_open(&rc->files, paths, HOST_N_FILES);
	if (r < 0)
		return cnm_error_errno(err, r, "watch %s", paths[0]);
	watch_pins(rc);
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
	rc->wake = rc->ask = rc->pins = -1;
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

void reconcile_all(struct cnm_engine *e)
{
	if (e->reconcile)
		eventfd_write(e->reconcile->ask, 1);
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
