/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool of namespaces made ready, since making one takes a third of the time of an attach.
 *
 * One refill job at a time fills the pool on a helper thread of its own; a take posts it when the
 * pool is not full. It begins a moment later, unless the pool is empty, so as not to fight for the
 * kernel's locks with the very request that took one. A refill that fails gives up, and the next
 * take tries again: nothing spins.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "kernel/netns_internal.h"

#define REFILL_DELAY_NS 2000000

struct netns_pool {
	struct netns_helper helper;
	struct netns_job refill;
	pthread_mutex_t lock; /* guards what follows */
	bool refilling, closing;
	unsigned size, n;
	struct netns_ready ready[];
};

/* Put r into the pool, if not NULL. Is there room for another? */
static bool store(struct netns_pool *p, const struct netns_ready *r)
{
	LOCKED(&p->lock);

	if (r)
		p->ready[p->n++] = *r;
	p->refilling = p->n < p->size && !p->closing;
	return p->refilling;
}

static bool is_empty(struct netns_pool *p)
{
	LOCKED(&p->lock);

	return p->n == 0;
}

static void give_up(struct netns_pool *p)
{
	LOCKED(&p->lock);

	p->refilling = false;
}

static int refill(void *arg)
{
	struct netns_pool *p = arg;
	struct netns_ready r;
	struct cnm_error err = { 0 };
	bool room = store(p, NULL);

	if (!is_empty(p))
		nanosleep(&(struct timespec){ .tv_nsec = REFILL_DELAY_NS }, NULL);
	while (room) {
		if (netns_make_here(&r, &err) < 0) {
			log_debug("the pool of network namespaces is not filled: %s", err.text);
			give_up(p);
			return 0;
		}
		room = store(p, &r);
	}
	return 0;
}

/* With p->lock held. A failure to start the thread is one more reason to make namespaces when
 * asked. */
static void start_refill(struct netns_pool *p)
{
	if (p->refilling || p->n == p->size)
		return;
	p->refilling = netns_helper_post(&p->helper, &p->refill) == 0;
}

int netns_pool_new(struct netns_pool **ret, unsigned size, struct cnm_error *err)
{
	struct netns_pool *p = calloc(1, sizeof(*p) + size * sizeof(p->ready[0]));

	if (!p)
		return cnm_error_errno(err, ENOMEM, "make a pool of network namespaces");
	p->helper = (struct netns_helper)NETNS_HELPER_INIT(p->helper);
	pthread_mutex_init(&p->lock, NULL);
	p->refill = (struct netns_job){ .ns = -1, .fn = refill, .arg = p };
	p->size = size;
	pthread_mutex_lock(&p->lock);
	start_refill(p);
	pthread_mutex_unlock(&p->lock);
	*ret = p;
	return 0;
}

void netns_pool_free(struct netns_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_mutex_unlock(&p->lock);
	netns_helper_stop(&p->helper);
	while (p->n > 0)
		netns_ready_close(&p->ready[--p->n]);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int netns_pool_take(struct netns_pool *p, struct netns_ready *ret, struct cnm_error *err)
{
	bool have;

	pthread_mutex_lock(&p->lock);
	have = p->n > 0;
	if (have)
		*ret = p->ready[--p->n];
	start_refill(p);
	pthread_mutex_unlock(&p->lock);
	return have ? 0 : netns_make(ret, err);
}
