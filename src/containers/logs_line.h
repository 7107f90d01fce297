/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conmon's log file: its records, and where the last lines begin. A record is
 * "2026-11-22T19:00:00.123456789+00:00 stdout F text\n"; what is none is passed over. The texts are
 * arbitrary bytes without newlines.
 */
#ifndef CONTAINERS_LOGS_LINE_H
#define CONTAINERS_LOGS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct log_line {
	const char *time; /* as written */
	bool err;         /* of stderr */
	bool whole;       /* F: the text ends with a newline; else P, and the line goes on */
	const char *text;
	size_t n_text;
};

/* What comes before the text: 35 bytes of time, the stream and the tag. */
#define LOG_HEAD 45

/* A record of n bytes, without its newline. What *ret points to is in s. */
bool log_line_parse(const char *s, size_t n, struct log_line *ret);
/* Its time: wall clock, ns. 0, or -EINVAL. */
int log_line_time(const struct log_line *l, int64_t *ret);

#define LOG_TIME_SIZE 40
/* RFC 3339 in UTC with nine digits and a blank; returns its length. */
size_t log_time_format(int64_t wall_ns, char buf[static LOG_TIME_SIZE]);

/*
 * Where the last `lines` lines of the first `end` bytes of the file begin. A line is its pieces and
 * the record that completes it; pieces at the end that no record completes are one too. Both
 * streams count, as for Docker. An offset, or a negative errno.
 */
off_t log_tail(int fd, off_t end, int64_t lines);

#endif
