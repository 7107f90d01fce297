/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a container's log, which conmon writes: "2026-11-22T19:00:00.123456789+00:00 stdout F
 * text" a line, with P instead of F for a piece of a longer one. Written out as Docker sends logs:
 * frames (relay.h) or raw with a terminal, with the time in front (RFC 3339 with nine digits, UTC)
 * if asked for. Pieces are joined as they were: P has no newline, F has one. The time stands in
 * front of a line, not of each of its pieces.
 *
 * A reader is a thread with a small stack that writes to a pipe, whose reading end the HTTP server
 * has; when that is closed, it ends. Following waits for inotify and ends when the container does.
 */
#ifndef CONTAINERS_LOGS_H
#define CONTAINERS_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include "cnm/error.h"

struct logs_options {
	const char *path; /* may not exist yet: nothing was written */
	bool out, err;    /* which streams */
	bool timestamps, terminal;
	int64_t since, until; /* wall clock ns; 0: not given */
	int64_t tail;         /* lines; -1: all. Found from the end of the file */
	int follow; /* -1: do not. Else a descriptor (eventfd or pidfd; dup'ed) that becomes
		       readable when nothing more will be written: what is there is then read to
		       its end, and the reader ends */
};

/*
 * Starts a reader; *ret_fd is where its bytes come from (a pipe, blocking, close-on-exec). `until`
 * ends a reader that follows, too. Opens the file; never waits otherwise.
 */
int logs_read(int *ret_fd, const struct logs_options *options, struct cnm_error *err);

#endif
