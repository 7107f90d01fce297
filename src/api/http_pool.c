/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's threads. One at a time leads: it runs the epoll loop (server_lead()). When a request
 * needs a thread of its own, the leader itself runs it, having woken another thread to lead: so a
 * request is handled by the thread that read it, without waiting for a thread to wake (that costs
 * tens of microseconds twice, more than many handlers). A turn that brings several such requests
 * wakes a thread for each.
 *
 * There are at most max_workers requests being handled and one thread more, so that the loop is
 * always led. Threads are started when one is needed and none is idle, and end when idle for a
 * while, but for one spare. Stacks are small: handlers keep what is large on the heap. If no thread
 * can be started, the one that is there does everything in turn.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "api/http_internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cond.h"

#define STACK_SIZE (256 * 1024)
#define IDLE_NS    (2 * UINT64_C(1000000000))

struct pool {
	struct http_server *server;
	unsigned max_working;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* there is something to do for a thread */
	pthread_cond_t gone; /* threads has reached 0 */
	struct list queue;   /* requests that wait: conn.work_node */
	unsigned threads, idle, working;
	bool led;   /* a thread is in server_lead() */
	bool ended; /* the loop is over */
};

static void *thread_main(void *arg);

/* With the lock, so that the count is right. */
static int start_thread(struct pool *pool)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, thread_main, pool);
	pthread_attr_destroy(&attr);
	if (r == 0)
		pool->threads++;
	return -r;
}

/* ------------------------------------------------------------ what a thread does, with the lock */

static bool may_work(const struct pool *pool)
{
	return !list_empty(&pool->queue) && pool->working < pool->max_working;
}

/* Another thread for what is left to do. */
static void call_another(struct pool *pool)
{
	if (pool->idle)
		pthread_cond_signal(&pool->wake);
	else if (pool->threads <= pool->max_working)
		start_thread(pool); /* if it fails, those that are there come to it in turn */
}

static void work(struct pool *pool)
{
	const struct http_server_options *o = &pool->server->options;
	struct conn *c = container_of(pool->queue.next, struct conn, work_node);
	bool given = false; /* then c may be gone when the handler returns */

	list_del(&c->work_node);
	pool->working++;
	if (!pool->led || may_work(pool))
		call_another(pool);
	pthread_mutex_unlock(&pool->lock);
	c->x.given = &given;
	o->handle(&c->x, o->arg);
	if (!given)
		conn_give_back(c);
	pthread_mutex_lock(&pool->lock);
	pool->working--;
}

static void lead(struct pool *pool)
{
	bool more;

	pool->led = true;
	pthread_mutex_unlock(&pool->lock);
	more = server_lead(pool->server);
	pthread_mutex_lock(&pool->lock);
	pool->led = false;
	if (!more) {
		pool->ended = true;
		pthread_cond_broadcast(&pool->wake);
	}
}

/* false: the thread has been idle for long, and another one rests too. */
static bool rest(struct pool *pool)
{
	bool spare = pool->idle == 0, in_time;

	pool->idle++;
	in_time = cond_wait(&pool->wake, &pool->lock, spare ? 0 : clock_mono_ns() + IDLE_NS) == 0;
	pool->idle--;
	return in_time;
}

static void *thread_main(void *arg)
{
	struct pool *pool = arg;
	bool ended;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		if (may_work(pool))
			work(pool);
		else if (!pool->led && !pool->ended)
			lead(pool);
		else if (pool->ended || !rest(pool))
			break;
	}
	ended = pool->ended;
	if (--pool->threads == 0)
		pthread_cond_signal(&pool->gone);
	pthread_mutex_unlock(&pool->lock);
	if (!ended) /* a burst is over: what it took goes back to the machine */
		malloc_trim(0);
	return NULL;
}

/* ------------------------------------------------------------------------------- the interface */

int pool_new(struct pool **ret, struct http_server *server, unsigned max_workers)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->server = server;
	pool->max_working = max_workers;
	list_init(&pool->queue);
	pthread_mutex_init(&pool->lock, NULL);
	cond_init(&pool->wake);
	cond_init(&pool->gone);
	*ret = pool;
	return 0;
}

int pool_start(struct pool *pool)
{
	LOCKED(&pool->lock);

	return start_thread(pool);
}

void pool_submit(struct pool *pool, struct conn *c)
{
	LOCKED(&pool->lock);

	list_append(&pool->queue, &c->work_node);
}

bool pool_has_work(struct pool *pool)
{
	LOCKED(&pool->lock);

	return may_work(pool);
}

int pool_wait(struct pool *pool, uint64_t until_ns)
{
	LOCKED(&pool->lock);
	bool in_time = true;

	while (pool->threads && in_time)
		in_time = cond_wait(&pool->gone, &pool->lock, until_ns) == 0;
	return pool->threads ? -ETIMEDOUT : 0;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	pthread_cond_destroy(&pool->gone);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
