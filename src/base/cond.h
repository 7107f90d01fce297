/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Condition variables whose waits end by the monotonic clock: setting the time shortens none. */
#ifndef BASE_COND_H
#define BASE_COND_H

#include <pthread.h>
#include <stdint.h>

/* As pthread_cond_init(), for cond_wait(). 0 or an errno. */
int cond_init(pthread_cond_t *cond);
/* Until it is signalled, or until clock_mono_ns() is until (0: for ever): 0, or -ETIMEDOUT. */
int cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until);

#endif
