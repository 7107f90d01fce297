/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locals that release themselves: _free_ char *s = NULL; _close_ int fd = -1;
 * Ownership leaves by take_ptr(x) or take_fd(&x).
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* Closes *fd if it is open, keeps errno, and leaves -1. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
	*fd = -1;
}

static inline int take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

static inline void cleanup_unlock(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *lock_taken(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _free_       _cleanup_(cleanup_free)
#define _close_      _cleanup_(close_fd)
#define take_ptr(p)                         \
	({                                  \
		__typeof__(p) _taken = (p); \
		(p) = NULL;                 \
		_taken;                     \
	})
/* Hold a mutex until the end of the scope. */
#define LOCKED(m) \
	__attribute__((unused)) _cleanup_(cleanup_unlock) pthread_mutex_t *_locked_ = lock_taken(m)

#endif
