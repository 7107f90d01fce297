/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time: monotonic for waiting, wall clock for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since an arbitrary point; never goes back. */
uint64_t clock_mono_ns(void);
/* Nanoseconds since 1970, UTC. */
int64_t clock_wall_ns(void);

#define TIME_STR 40
/* RFC 3339 in UTC with nanoseconds, trailing zeros dropped as Go does: 2026-11-22T16:00:00.5Z */
const char *clock_format(int64_t wall_ns, char buf[static TIME_STR]);
/*
 * An instant as Docker's filters take it: RFC 3339 (with or without time and zone), Unix seconds
 * with an optional fraction, or a Go duration before now ("1h30m"; "-1h" is after it). A date
 * without a zone is local time. 0, or -EINVAL also for what does not fit in int64_t nanoseconds.
 */
int clock_parse(const char *s, int64_t now_wall_ns, int64_t *ret);

#endif
