/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of kernel/netns* share. */
#ifndef KERNEL_NETNS_INTERNAL_H
#define KERNEL_NETNS_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "kernel/netns.h"

/*
 * A helper: one thread, started by its first job, that does jobs in order, each in the namespace it
 * asks for, and goes home after each. A job may also unshare by itself. If the way home fails the
 * thread ends after that job, and whoever brings or awaits the next job starts another, from home.
 */
struct netns_helper {
	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t work;  /* for the thread: a job, or stop */
	pthread_cond_t done;  /* for those who wait: a job is done, or the thread has ended */
	struct list jobs;
	pthread_t thread;
	int home;     /* the namespace of whoever first started the thread; -1 before that */
	bool started; /* thread is to be joined */
	bool serving; /* thread takes jobs */
	bool stop;
};

#define NETNS_HELPER_INIT(h)                                                               \
	{                                                                                  \
		.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER,       \
		.done = PTHREAD_COND_INITIALIZER, .jobs = LIST_INIT((h).jobs), .home = -1, \
	}

/* A job belongs to the helper from post() until `done`, which the helper's lock guards. */
struct netns_job {
	struct list node;
	int ns; /* -1: home */
	int (*fn)(void *arg);
	void *arg;
	int result;
	bool called, done;
};

/* 0, or a negative errno when no thread could be started: the job is then not taken. */
int netns_helper_post(struct netns_helper *h, struct netns_job *job);
/* Post and wait: fn's result, or the reason why it could not be called (*ret_called false). */
int netns_helper_run(struct netns_helper *h, int ns, int (*fn)(void *arg), void *arg,
		     bool *ret_called);
/* Finish the queued jobs and end the thread. */
void netns_helper_stop(struct netns_helper *h);

/* netns_call() of a function that fills *err itself; that it could not be called is added here. */
int netns_call_err(int ns, int (*fn)(void *arg), void *arg, struct cnm_error *err);
/* netns_make() on the calling thread, which is left in the new namespace: for jobs. */
int netns_make_here(struct netns_ready *ret, struct cnm_error *err);
/* netns_open_dns() in the calling thread's namespace. */
int netns_open_dns_here(int *ret_udp, int *ret_tcp, struct cnm_error *err);

#endif
