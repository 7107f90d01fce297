/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The threads that enter other namespaces: see struct netns_helper. */
#include "kernel/netns_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define STACK_SIZE (128 * 1024)

static void *serve(void *arg)
{
	struct netns_helper *h = arg;
	bool at_home = true;

	pthread_mutex_lock(&h->lock);
	while (at_home) {
		struct netns_job *job;
		int r = 0;

		while (list_empty(&h->jobs) && !h->stop)
			pthread_cond_wait(&h->work, &h->lock);
		if (list_empty(&h->jobs))
			break;
		job = container_of(h->jobs.next, struct netns_job, node);
		list_del(&job->node);
		pthread_mutex_unlock(&h->lock);

		if (job->ns >= 0 && setns(job->ns, CLONE_NEWNET) < 0)
			r = -errno;
		job->called = r == 0;
		if (job->called)
			r = job->fn(job->arg);
		at_home = setns(h->home, CLONE_NEWNET) == 0;

		pthread_mutex_lock(&h->lock);
		job->result = r;
		job->done = true;
		pthread_cond_broadcast(&h->done);
	}
	h->serving = false;
	pthread_cond_broadcast(&h->done);
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* A thread with a small stack that takes no signals. */
static int start_thread(struct netns_helper *h)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r)
		return -r;
	sigfillset(&all);
	r = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (r == 0) {
		pthread_sigmask(SIG_SETMASK, &all, &before);
		r = pthread_create(&h->thread, &attr, serve, h);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	pthread_attr_destroy(&attr);
	return -r;
}

/* With the lock held, on a thread that is at home. */
static int ensure_serving(struct netns_helper *h)
{
	int r;

	if (h->serving)
		return 0;
	if (h->started) {
		pthread_join(h->thread, NULL); /* it has nothing left to do but to end */
		h->started = false;
	}
	if (h->home < 0)
		h->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (h->home < 0)
		return -errno;
	r = start_thread(h);
	h->started = h->serving = r == 0;
	return r;
}

static int post_locked(struct netns_helper *h, struct netns_job *job)
{
	int r = ensure_serving(h);

	if (r < 0)
		return r;
	job->done = false;
	list_append(&h->jobs, &job->node);
	pthread_cond_signal(&h->work);
	return 0;
}

int netns_helper_post(struct netns_helper *h, struct netns_job *job)
{
	LOCKED(&h->lock);

	return post_locked(h, job);
}

int netns_helper_run(struct netns_helper *h, int ns, int (*fn)(void *arg), void *arg,
		     bool *ret_called)
{
	struct netns_job job = { .ns = ns, .fn = fn, .arg = arg };
	int r;

	LOCKED(&h->lock);
	r = post_locked(h, &job);
	while (r == 0 && !job.done) {
		if (h->serving)
			pthread_cond_wait(&h->done, &h->lock);
		else
			r = ensure_serving(h);
	}
	if (r < 0 && job.node.next)
		list_del(&job.node); /* no thread, so nobody has taken it */
	*ret_called = job.called;
	return r < 0 ? r : job.result;
}

void netns_helper_stop(struct netns_helper *h)
{
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_broadcast(&h->work);
	pthread_mutex_unlock(&h->lock);
	if (h->started)
		pthread_join(h->thread, NULL);
	h->started = false;
	close_fd(&h->home);
}
