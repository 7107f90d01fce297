/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See logs_line.h. The tail is found by reading backwards, a block at a time. */
#include "containers/logs_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define BLOCK       16384
#define NS_PER_S    1000000000LL
#define TIME_LENGTH 35

/* ------------------------------------------------------------------------------------- a record */

bool log_line_parse(const char *s, size_t n, struct log_line *ret)
{
	const char *stream = s + TIME_LENGTH, *tag = stream + strlen(" stdout ");

	if (n < LOG_HEAD || s[10] != 'T' || tag[1] != ' ' || (tag[0] != 'F' && tag[0] != 'P'))
		return false;
	if (memcmp(stream, " stdout ", 8) != 0 && memcmp(stream, " stderr ", 8) != 0)
		return false;
	*ret = (struct log_line){
		.time = s,
		.err = stream[4] == 'e',
		.whole = tag[0] == 'F',
		.text = s + LOG_HEAD,
		.n_text = n - LOG_HEAD,
	};
	return true;
}

int log_line_time(const struct log_line *l, int64_t *ret)
{
	char text[TIME_LENGTH + 1];

	memcpy(text, l->time, TIME_LENGTH);
	text[TIME_LENGTH] = '\0';
	return clock_parse(text, 0, ret);
}

size_t log_time_format(int64_t wall_ns, char buf[static LOG_TIME_SIZE])
{
	int64_t ns = wall_ns % NS_PER_S;
	time_t s = wall_ns / NS_PER_S;
	struct tm tm;
	size_t n;

	if (ns < 0) {
		ns += NS_PER_S;
		s--;
	}
	gmtime_r(&s, &tm);
	n = strftime(buf, LOG_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(buf + n, LOG_TIME_SIZE - n, ".%09dZ ", (int)ns);
}

/* ------------------------------------------------------------------------------------ the tail */

/* Goes backwards over a file. */
struct backwards {
	int fd;
	off_t base;  /* of block in the file */
	size_t n;    /* bytes of block that were not looked at yet */
	size_t have; /* all bytes of block: also the first of what was after it, for a head */
	char block[BLOCK + LOG_HEAD];
};

/* The block before base; what begins the present one is kept behind it. 0 or a negative errno. */
static int read_before(struct backwards *b)
{
	size_t size = b->base < BLOCK ? (size_t)b->base : BLOCK;
	size_t keep = b->have < LOG_HEAD ? b->have : LOG_HEAD;
	ssize_t r;

	memmove(b->block + size, b->block, keep);
	for (size_t done = 0; done < size; done += (size_t)r) {
		r = pread(b->fd, b->block + done, size - done, b->base - (off_t)(size - done));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return -ENODATA; /* cut meanwhile */
		if (r < 0)
			r = 0;
	}
	b->base -= (off_t)size;
	b->n = size;
	b->have = size + keep;
	return 0;
}

/* The offset after the newline that comes next, backwards; 0: there is none. Or a negative errno.
 */
static off_t previous_newline(struct backwards *b)
{
	for (;;) {
		const char *found = memrchr(b->block, '\n', b->n);
		int r;

		if (found) {
			b->n = (size_t)(found - b->block);
			return b->base + (off_t)b->n + 1;
		}
		if (b->base == 0)
			return 0;
		r = read_before(b);
		if (r < 0)
			return r;
	}
}

/* The record that begins at this offset, which has just been passed, completes a line. */
static bool is_whole(const struct backwards *b, off_t at, off_t next)
{
	size_t from = (size_t)(at - b->base), n = b->have - from;
	struct log_line l;

	if ((off_t)n > next - at)
		n = (size_t)(next - at);
	return log_line_parse(b->block + from, n, &l) && l.whole;
}

static off_t find_tail(struct backwards *b, int64_t lines)
{
	/* What follows the last newline is being written. */
	off_t next = previous_newline(b), at;

	for (bool last = true; next > 0; next = at, last = false) {
		at = previous_newline(b);
		if (at < 0)
			return at;
		if ((last || is_whole(b, at, next)) && lines-- == 0)
			return next;
	}
	return next;
}

off_t log_tail(int fd, off_t end, int64_t lines)
{
	_free_ struct backwards *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->fd = fd;
	b->base = end;
	return find_tail(b, lines);
}
