/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reaper: deletes links in company, and announces new ones.
 *
 * One thread and its own route socket. Jobs are queued under `lock`; the thread takes all there
 * are, moves their links into the doomed group and deletes the group in one request, so that those
 * who arrive while the kernel takes its 20 ms share the next one. A request reaches one namespace
 * only, so each place has its own, and all but the first a thread for that time. Announcements are
 * done between deletions, each when it is due, in the applier's turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/cond.h"
#include "plan/apply_internal.h"

/* The bridge port is forwarding by then, and a burst of requests has its own work done. */
#define ANNOUNCE_DELAY_NS 50000000
/* How long the first of several deletions waits for the others. */
#define LINGER_NS 3000000
#define AGAIN_NS  1000000ull /* until the turn is tried again for an announcement */

struct job {
	struct list node;
	struct doomed *links;
	unsigned n;
	bool done;
};

struct announcement {
	struct list node;
	uint64_t due; /* monotonic ns */
	char sandbox[ID_SIZE];
	int ifindex;
	struct cnm_ip ip;
	unsigned left, ms;
};

struct reaper {
	struct applier *a;
	struct nl *rtnl;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, finished;
	struct list jobs;
	unsigned coming;           /* runs that will delete links and have not come yet */
	struct list announcements; /* by due time */
	bool stop;
};

/* The deletion of all links of one place. */
struct reaping {
	struct reaper *r;
	struct list *jobs;
	const struct doomed *first;
	pthread_t thread;
	bool threaded;
};

static bool is_there(const struct reaping *g, const struct doomed *link)
{
	return streq(link->place, g->first->place);
}

/* The answers, in the order of the links, and last that for the group. */
static void note_results(const struct reaping *g, const struct nl_batch *b, int rc)
{
	unsigned at = 0;
	struct job *j;

	list_for_each (j, g->jobs, node) {
		for (unsigned i = 0; i < j->n; i++) {
			struct doomed *link = &j->links[i];

			if (!is_there(g, link))
				continue;
			link->rc = b->results ? b->results[at++] : rc;
			if (link->rc == 0 && b->results)
				link->rc = b->results[b->count - 1];
			if (link->rc == -ENODEV) /* it is gone already */
				link->rc = 0;
		}
	}
}

static void *reap(void *arg)
{
	struct reaping *g = arg;
	struct nl *nl = g->r->rtnl, *own = NULL;
	struct nl_batch b = { 0 };
	struct job *j;
	int rc = 0;

	if (g->first->place[0])
		rc = netns_nl_open(&own, g->first->ns, NETLINK_ROUTE, NULL);
	list_for_each (j, g->jobs, node)
		for (unsigned i = 0; i < j->n && rc == 0; i++)
			if (is_there(g, &j->links[i]))
				rtnl_put_set_link(
					&b, &(struct rtnl_set_link){ .name = j->links[i].name,
								     .set_group = true,
								     .group = g->r->a->group + 1 });
	rtnl_put_del_group(&b, g->r->a->group + 1);
	if (rc == 0)
		rc = nl_batch_run(own ? own : nl, &b, NULL);
	note_results(g, &b, rc);
	nl_batch_free(&b);
	nl_close(own);
	return NULL;
}

/* The next place whose links nobody has taken up, with all of them; NULL: none. */
static const struct doomed *next_place(struct list *jobs)
{
	const struct doomed *first = NULL;
	struct job *j;

	list_for_each (j, jobs, node) {
		for (unsigned i = 0; i < j->n; i++) {
			struct doomed *link = &j->links[i];

			if (!first && !link->taken)
				first = link;
			if (first && streq(link->place, first->place))
				link->taken = true;
		}
	}
	return first;
}

#define MAX_REAPINGS 8 /* at a time */

static void delete_all(struct reaper *r, struct list *jobs)
{
	struct reaping g[MAX_REAPINGS];
	const struct doomed *first = next_place(jobs);
	unsigned n;

	while (first) {
		for (n = 0; first && n < MAX_REAPINGS; first = next_place(jobs))
			g[n++] = (struct reaping){ .r = r, .jobs = jobs, .first = first };
		for (unsigned i = 1; i < n; i++)
			g[i].threaded = pthread_create(&g[i].thread, NULL, reap, &g[i]) == 0;
		reap(&g[0]);
		for (unsigned i = 1; i < n; i++) {
			if (g[i].threaded)
				pthread_join(g[i].thread, NULL);
			else
				reap(&g[i]);
		}
	}
}

/*
 * A socket of its own, so that no request waits while the kernel floods the bridge. False: somebody
 * has the turn, and may be waiting for a deletion of this very thread's; try again soon.
 */
static bool announce(struct reaper *r, const struct announcement *an)
{
	struct nl_batch b = { 0 };
	struct nl *nl = NULL;
	struct handle *h;
	_close_ int ns = -1;

	if (pthread_mutex_trylock(&r->a->turn) != 0)
		return false;
	h = map_get(&r->a->handles, an->sandbox);
	if (h && h->ns >= 0)
		ns = fcntl(h->ns, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&r->a->turn);
	if (ns < 0 || netns_nl_open(&nl, ns, NETLINK_ROUTE, NULL) < 0)
		return true;
	rtnl_put_announce(&b, an->ifindex, &an->ip);
	nl_batch_run(nl, &b, NULL);
	nl_batch_free(&b);
	nl_close(nl);
	return true;
}

/* With the lock held. */
static void enqueue(struct reaper *r, struct announcement *an)
{
	struct announcement *o;

	list_for_each (o, &r->announcements, node)
		if (o->due > an->due)
			break;
	list_append(&o->node, &an->node); /* before o; o may be the head */
}

static struct announcement *due_announcement(struct reaper *r)
{
	struct announcement *an = container_of(r->announcements.next, struct announcement, node);

	if (list_empty(&r->announcements) || an->due > clock_mono_ns())
		return NULL;
	list_del(&an->node);
	return an;
}

static void wait_for_work(struct reaper *r)
{
	struct announcement *an = container_of(r->announcements.next, struct announcement, node);

	cond_wait(&r->wake, &r->lock, list_empty(&r->announcements) ? 0 : an->due);
}

/* With the lock held: let those who are on their way join, for a moment. */
static void linger(struct reaper *r)
{
	uint64_t until = clock_mono_ns() + LINGER_NS;

	while (r->coming && !r->stop)
		if (cond_wait(&r->wake, &r->lock, until) != 0)
			return;
}

/* With the lock held, which is let go meanwhile. */
static void do_jobs(struct reaper *r)
{
	struct list mine;
	struct job *j, *tmp;

	list_init(&mine);
	linger(r);
	list_for_each_safe (j, tmp, &r->jobs, node) {
		list_del(&j->node);
		list_append(&mine, &j->node);
	}
	pthread_mutex_unlock(&r->lock);
	delete_all(r, &mine);
	pthread_mutex_lock(&r->lock);
	list_for_each_safe (j, tmp, &mine, node) {
		list_del(&j->node);
		j->done = true;
	}
	pthread_cond_broadcast(&r->finished);
}

static void do_announcement(struct reaper *r, struct announcement *an)
{
	bool done;

	pthread_mutex_unlock(&r->lock);
	done = announce(r, an);
	pthread_mutex_lock(&r->lock);
	if (done && --an->left == 0) {
		free(an);
		return;
	}
	an->due = done ? an->due + an->ms * 1000000ull : clock_mono_ns() + AGAIN_NS;
	enqueue(r, an);
}

static void *reaper_main(void *arg)
{
	struct reaper *r = arg;
	struct announcement *an;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		if (!list_empty(&r->jobs))
			do_jobs(r);
		else if ((an = due_announcement(r)) != NULL)
			do_announcement(r, an);
		else
			wait_for_work(r);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int reaper_new(struct reaper **ret, struct applier *a, struct cnm_error *err)
{
	struct reaper *r = calloc(1, sizeof(*r));
	pthread_attr_t ta;
	int rc;

	if (!r)
		return cnm_error_errno(err, ENOMEM, "reaper");
	r->a = a;
	list_init(&r->jobs);
	list_init(&r->announcements);
	pthread_mutex_init(&r->lock, NULL);
	cond_init(&r->wake);
	cond_init(&r->finished);
	rc = nl_open(&r->rtnl, NETLINK_ROUTE, err);
	if (rc < 0) {
		free(r);
		return rc;
	}
	pthread_attr_init(&ta);
	pthread_attr_setstacksize(&ta, 256 * 1024);
	rc = pthread_create(&r->thread, &ta, reaper_main, r);
	pthread_attr_destroy(&ta);
	if (rc) {
		nl_close(r->rtnl);
		free(r);
		return cnm_error_errno(err, rc, "start the reaper");
	}
	*ret = r;
	return 0;
}

void reaper_free(struct reaper *r)
{
	struct announcement *an, *tmp;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	list_for_each_safe (an, tmp, &r->announcements, node)
		free(an);
	nl_close(r->rtnl);
	pthread_cond_destroy(&r->wake);
	pthread_cond_destroy(&r->finished);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int reaper_delete(struct reaper *r, struct doomed *links, unsigned n, bool expected,
		  struct cnm_error *err)
{
	struct job j = { .links = links, .n = n };

	pthread_mutex_lock(&r->lock);
	list_append(&r->jobs, &j.node);
	r->coming -= expected;
	pthread_cond_signal(&r->wake);
	while (!j.done)
		pthread_cond_wait(&r->finished, &r->lock);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < n; i++)
		if (links[i].rc < 0)
			return cnm_error_errno(err, links[i].rc, "delete link %s", links[i].name);
	return 0;
}

void reaper_expect(struct reaper *r, int change)
{
	pthread_mutex_lock(&r->lock);
	r->coming += change;
	if (change < 0)
		pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

void reaper_announce(struct reaper *r, const char *sandbox, int ifindex, const struct cnm_ip *ip,
		     unsigned times, unsigned ms)
{
	struct announcement *an = times ? calloc(1, sizeof(*an)) : NULL;

	if (!an) /* without memory the first packet of the endpoint announces it */
		return;
	str_copy(an->sandbox, sizeof(an->sandbox), sandbox);
	an->ifindex = ifindex;
	an->ip = *ip;
	an->left = times;
	an->ms = ms;
	an->due = clock_mono_ns() + ANNOUNCE_DELAY_NS;
	pthread_mutex_lock(&r->lock);
	enqueue(r, an);
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}
