/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread that reads a log. It waits in one of two places: writing to its pipe, when the reader
 * is slow; and in poll(), when it follows and all was read. Either ends when the reader has closed
 * the pipe. It watches the directory, so that the file may appear later.
 */
#include "containers/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "containers/logs_line.h"
#include "containers/relay_frame.h"

#define STACK_SIZE (64 * 1024)
/* A record of conmon's has at most 8 KiB of text; what is longer than this is not one. */
#define IN_SIZE 16384
/* With room for the longest record as it is written out. */
#define OUT_SIZE (IN_SIZE + FRAME_HEAD + LOG_TIME_SIZE)
/* How often to look when inotify is not to be had (its instances are limited). */
#define LOOK_MS 250

struct reader {
	struct logs_options o; /* its path is ours, and so is follow */
	int file;              /* -1: not there yet */
	int pipe, notify;
	off_t at, end;      /* the next byte to read; where to stop */
	bool done;          /* nothing more is wanted */
	bool skipping;      /* to the next newline: the record is none */
	bool in_line[2];    /* stdout, stderr: the last piece did not complete its line */
	size_t n_in, n_out; /* bytes in the buffers */
	char in[IN_SIZE], out[OUT_SIZE];
};

static void reader_free(struct reader *r)
{
	if (!r)
		return;
	close_fd(&r->file);
	close_fd(&r->pipe);
	close_fd(&r->notify);
	close_fd(&r->o.follow);
	free((char *)r->o.path);
	free(r);
}

/* ----------------------------------------------------------------------------------- writing */

static void flush(struct reader *r)
{
	for (size_t done = 0; done < r->n_out;) {
		ssize_t n = write(r->pipe, r->out + done, r->n_out - done);

		if (n < 0 && errno != EINTR) {
			r->done = true; /* its reader has left */
			break;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	r->n_out = 0;
}

static void put(struct reader *r, const void *data, size_t n)
{
	memcpy(r->out + r->n_out, data, n);
	r->n_out += n;
}

/* Is it of the time asked for? Beyond the end of that, all is done. */
static bool in_time(struct reader *r, int64_t ns)
{
	if (r->o.until && ns > r->o.until)
		r->done = true;
	return !r->done && ns >= r->o.since;
}

static void put_line(struct reader *r, const struct log_line *l)
{
	bool timed = r->o.timestamps && !r->in_line[l->err];
	size_t n_time = 0, n = l->n_text + l->whole;
	unsigned char head[FRAME_HEAD];
	char time[LOG_TIME_SIZE];
	int64_t ns;

	if (r->o.timestamps || r->o.since || r->o.until) {
		if (log_line_time(l, &ns) < 0 || !in_time(r, ns))
			return;
		n_time = timed ? log_time_format(ns, time) : 0;
	}
	if (!(l->err ? r->o.err : r->o.out))
		return;
	r->in_line[l->err] = !l->whole;
	if (r->n_out + FRAME_HEAD + n_time + n > OUT_SIZE)
		flush(r);
	if (!r->o.terminal) {
		frame_head(head, l->err ? FRAME_STDERR : FRAME_STDOUT, n_time + n);
		put(r, head, sizeof(head));
	}
	put(r, time, n_time);
	put(r, l->text, l->n_text);
	put(r, "\n", l->whole);
}

/* ----------------------------------------------------------------------------------- reading */

/* All records that are complete. */
static void take_lines(struct reader *r)
{
	char *s = r->in, *end = r->in + r->n_in, *newline;
	struct log_line l;

	while (!r->done && (newline = memchr(s, '\n', (size_t)(end - s)))) {
		if (!r->skipping && log_line_parse(s, (size_t)(newline - s), &l))
			put_line(r, &l);
		r->skipping = false;
		s = newline + 1;
	}
	r->n_in = (size_t)(end - s);
	memmove(r->in, s, r->n_in);
	if (r->n_in == IN_SIZE) {
		r->skipping = true;
		r->n_in = 0;
	}
}

/* The file is shorter than what was read of it: it was cut, and begins anew. */
static bool was_cut(struct reader *r)
{
	struct stat st;

	if (fstat(r->file, &st) < 0 || st.st_size >= r->at)
		return false;
	r->at = 0;
	r->n_in = 0;
	r->skipping = false;
	return true;
}

static int open_file(struct reader *r)
{
	if (r->file < 0)
		r->file = open(r->o.path, O_RDONLY | O_CLOEXEC);
	return r->file < 0 ? -errno : 0;
}

/* To the end. */
static void read_file(struct reader *r)
{
	if (open_file(r) < 0)
		return;
	while (!r->done && r->at < r->end) {
		off_t left = r->end - r->at;
		size_t room = IN_SIZE - r->n_in;
		ssize_t n = pread(r->file, r->in + r->n_in,
				  left < (off_t)room ? (size_t)left : room, r->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (n == 0 && (r->o.follow < 0 || !was_cut(r))))
			break;
		r->at += n;
		r->n_in += (size_t)n;
		take_lines(r);
	}
	flush(r);
}

/* ---------------------------------------------------------------------------------- following */

/* Without inotify (-1), the file is looked at now and then. */
static int watch_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char dir[PATH_MAX];

	if (fd < 0 || !slash || !str_copy(dir, sizeof(dir), path))
		return -1;
	dir[slash - path + 1] = '\0';
	if (inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return -1;
	return take_fd(&fd);
}

/* For poll(): until when there may be something to show; -1: for ever. */
static int timeout(const struct reader *r)
{
	int64_t ms = r->notify < 0 ? LOOK_MS : INT_MAX, left;

	if (r->o.until) {
		left = (r->o.until - clock_wall_ns()) / 1000000 + 1;
		ms = left < 0 ? 0 : left < ms ? left : ms;
	}
	return ms == INT_MAX ? -1 : (int)ms;
}

/* Waits for something to read. false: what there is now is all, or nobody reads any more. */
static bool wait_for_more(struct reader *r)
{
	struct pollfd fds[] = {
		{ .fd = r->o.follow, .events = POLLIN },
		{ .fd = r->pipe }, /* POLLERR when its reader has left */
		{ .fd = r->notify, .events = POLLIN },
	};
	char events[1024];

	poll(fds, 3, timeout(r));
	if (fds[1].revents)
		r->done = true;
	if (fds[2].revents && read(r->notify, events, sizeof(events)) < 0 && errno != EAGAIN)
		close_fd(&r->notify);
	return !r->done && !fds[0].revents && (!r->o.until || clock_wall_ns() <= r->o.until);
}

/* ---------------------------------------------------------------------------------- the thread */

static void go_to_start(struct reader *r)
{
	struct stat st;

	if (r->file < 0)
		return;
	if (fstat(r->file, &st) < 0) {
		r->done = true;
		return;
	}
	if (r->o.follow < 0)
		r->end = st.st_size; /* a container may write faster than we read */
	if (r->o.tail >= 0)
		r->at = log_tail(r->file, st.st_size, r->o.tail);
	if (r->at < 0)
		r->at = 0;
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	if (r->o.follow >= 0)
		r->notify = watch_directory(r->o.path);
	go_to_start(r);
	do {
		read_file(r);
	} while (r->o.follow >= 0 && wait_for_more(r));
	if (r->o.follow >= 0)
		read_file(r);
	reader_free(r);
	return NULL;
}

/* With all signals blocked: SIGPIPE above all. */
static int start_thread(struct reader *r)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int e = pthread_attr_init(&attr);

	if (e)
		return -e;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&thread, &attr, reader_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -e;
}

static int reader_open(struct reader *r, const struct logs_options *options, int *ret_fd)
{
	int fds[2], e;

	r->o = *options;
	r->o.follow = -1;
	r->file = r->pipe = r->notify = -1;
	r->end = INT64_MAX;
	r->o.path = strdup(options->path);
	if (!r->o.path)
		return -ENOMEM;
	e = open_file(r);
	if (e < 0 && e != -ENOENT)
		return e;
	if (options->follow >= 0) {
		r->o.follow = fcntl(options->follow, F_DUPFD_CLOEXEC, 0);
		if (r->o.follow < 0)
			return -errno;
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r->pipe = fds[1];
	*ret_fd = fds[0];
	return 0;
}

int logs_read(int *ret_fd, const struct logs_options *options, struct cnm_error *err)
{
	struct reader *r = calloc(1, sizeof(*r));
	_close_ int fd = -1;
	int e = r ? reader_open(r, options, &fd) : -ENOMEM;

	if (!e)
		e = start_thread(r);
	if (e < 0) {
		reader_free(r);
		return cnm_error_errno(err, e, "read the log %s", options->path);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
