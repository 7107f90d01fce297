/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Condition variables on the monotonic clock. */
#include "base/cond.h"

#include <time.h>

int cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	if (r)
		return r;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return r;
}

int cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until)
{
	struct timespec t = { .tv_sec = (time_t)(until / 1000000000),
			      .tv_nsec = (long)(until % 1000000000) };

	return until ? -pthread_cond_timedwait(cond, lock, &t) : -pthread_cond_wait(cond, lock);
}
