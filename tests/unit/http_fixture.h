/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An HTTP server and its clients, by raw bytes over socket pairs. The handler answers by path; what
 * it must wait for is given by semaphores, so that nothing depends on timing.
 */
#ifndef UNIT_HTTP_FIXTURE_H
#define UNIT_HTTP_FIXTURE_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/http_server.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"

#define PATIENCE_S 20

struct fixture {
	struct http_server *server;
	struct http_stream *stream; /* of GET /stream, once `streaming` is posted */
	struct http_stream_options stream_options;
	pthread_mutex_t lock;
	struct http_stream *live; /* of POST /progress until it is closed; under the lock */
	int pipe;                 /* what GET /pipe answers with */
	sem_t entered, leave;     /* of GET /wait, GET /progress and POST /body... */
	sem_t streaming, closed;
	sem_t taken;
	int hijacked; /* socket, once `taken` is posted */
	char early[256];
	size_t n_early;
};

static inline void wait_for(sem_t *sem)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += PATIENCE_S;
	assert_int_equal(sem_timedwait(sem, &ts), 0);
}

/* --------------------------------------------------------------------------------- the handler */

static inline void on_closed(void *arg)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->lock);
	f->live = NULL;
	pthread_mutex_unlock(&f->lock);
	sem_post(&f->closed);
}

static inline void on_taken(int fd, const char *early, size_t n, void *arg)
{
	struct fixture *f = arg;

	f->hijacked = fd;
	f->n_early = n < sizeof(f->early) ? n : sizeof(f->early);
	if (n)
		memcpy(f->early, early, f->n_early);
	sem_post(&f->taken);
}

static inline void echo(struct http_exchange *x)
{
	const struct http_message *m = http_request(x);
	const char *param = http_message_param(m, "q");
	struct strbuf b = { 0 };

	strbuf_addf(&b, "[%s %s q=%s body=%.*s]", m->method, m->path, param ? param : "-",
		    (int)m->body.len, m->body.s ? m->body.s : "");
	http_set_header(x, "X-Test", "yes");
	http_reply(x, 200, "text/plain", b.s, b.len);
	strbuf_free(&b);
}

/* The body as it comes, in pieces of at most ?n= bytes; what the last read returned. */
static inline void read_body(struct http_exchange *x)
{
	const char *param = http_message_param(http_request(x), "n");
	size_t step = param ? strtoul(param, NULL, 10) : 4096;
	struct strbuf b = { 0 };
	char piece[4096];
	ssize_t n;

	while ((n = http_body_read(x, piece, step)) > 0)
		strbuf_addn(&b, piece, (size_t)n);
	strbuf_addf(&b, "<%zd>", n);
	http_reply(x, 200, "text/plain", b.s, b.len);
	strbuf_free(&b);
}

/* Goes on beside its stream: a record now, and one when told to. */
static inline void progress(struct http_exchange *x, struct fixture *f)
{
	f->live = http_reply_stream(x, &f->stream_options);
	http_stream_write(f->live, "first\n", 6);
	http_stream_start(f->live);
	wait_for(&f->leave);
	LOCKED(&f->lock);
	if (!f->live)
		return;
	http_stream_write(f->live, "second\n", 7);
	http_stream_end(f->live);
}

static inline void handle(struct http_exchange *x, void *arg)
{
	const char *path = http_request(x)->path;
	struct fixture *f = arg;

	if (streq(path, "/wait")) {
		sem_post(&f->entered);
		wait_for(&f->leave);
		echo(x);
	} else if (streq(path, "/stream")) {
		f->stream = http_reply_stream(x, &f->stream_options);
		sem_post(&f->streaming);
	} else if (streq(path, "/progress")) {
		progress(x, f);
	} else if (streq(path, "/pipe")) {
		assert_int_equal(http_reply_pipe(x, 201, "text/plain", take_fd(&f->pipe)), 0);
	} else if (streq(path, "/body")) {
		read_body(x);
	} else if (streq(path, "/body/unread")) {
		echo(x);
	} else if (streq(path, "/body/wait")) {
		sem_post(&f->entered);
		wait_for(&f->leave);
		read_body(x);
	} else if (streq(path, "/hijack")) {
		http_reply_hijack(x, "application/vnd.docker.raw-stream", on_taken, f);
	} else if (streq(path, "/nothing")) {
		http_reply(x, 204, NULL, "", 0);
	} else if (!streq(path, "/silent")) {
		echo(x);
	}
}

static inline bool is_streamed(const struct http_message *m, void *arg)
{
	return str_after(m->path, "/body") != NULL;
}

static inline bool is_quick(const struct http_message *m, void *arg)
{
	return str_after(m->path, "/quick") != NULL;
}

/* ----------------------------------------------------------------------------------- the client */

static inline void start(struct fixture *f, struct http_server_options options)
{
	struct cnm_error err = { 0 };

	memset(f, 0, sizeof(*f));
	f->hijacked = f->pipe = -1;
	f->stream_options = (struct http_stream_options){ .type = "application/json",
							  .closed = on_closed,
							  .arg = f };
	pthread_mutex_init(&f->lock, NULL);
	sem_init(&f->entered, 0, 0);
	sem_init(&f->leave, 0, 0);
	sem_init(&f->streaming, 0, 0);
	sem_init(&f->closed, 0, 0);
	sem_init(&f->taken, 0, 0);
	options.handle = handle;
	options.quick = is_quick;
	options.streams = is_streamed;
	options.arg = f;
	assert_int_equal(http_server_start(&f->server, &options, &err), 0);
}

static inline int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	start(*state, (struct http_server_options){ 0 });
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	int r = f->server ? http_server_stop(f->server, PATIENCE_S * 1000) : 0;

	close_fd(&f->hijacked);
	close_fd(&f->pipe);
	free(f);
	return r;
}

/* Another server for the fixture. */
static inline void restart(struct fixture *f, struct http_server_options options)
{
	assert_int_equal(http_server_stop(f->server, PATIENCE_S * 1000), 0);
	start(f, options);
}

/* A client's end of a connection to the server. */
static inline int dial(struct fixture *f)
{
	struct cnm_error err;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(http_server_adopt(f->server, fds[1], &err), 0);
	return fds[0];
}

static inline void put(int fd, const char *s)
{
	assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
}

/* Up to size - 1 bytes until the end, or until the text ends in `until`. Returns the text. */
static inline char *get(int fd, const char *until, char *buf, size_t size)
{
	size_t n = 0, want = until ? strlen(until) : 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		buf[n] = '\0';
		if (want && n >= want && streq(buf + n - want, until))
			return buf;
		assert_true(n < size - 1);
		assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
		/* A byte at a time with a mark, so as not to read beyond it. */
		r = read(fd, buf + n, want ? 1 : size - 1 - n);
		if (r <= 0) {
			assert_null(until);
			return buf;
		}
		n += (size_t)r;
	}
}

static inline void expect_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

/* Send all of it on a connection of its own; what comes until the server closes. */
static inline char *ask(struct fixture *f, const char *request, char *buf, size_t size)
{
	_close_ int fd = dial(f);

	put(fd, request);
	shutdown(fd, SHUT_WR);
	return get(fd, NULL, buf, size);
}

#define H  " HTTP/1.1\r\nHost: d\r\n\r\n"
#define HC " HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"

/* A stream whose head has arrived. */
static inline int open_stream(struct fixture *f)
{
	int fd = dial(f);
	char b[4096];

	put(fd, "GET /stream" H);
	wait_for(&f->streaming);
	get(fd, "\r\n\r\n", b, sizeof(b));
	expect_contains(b, "HTTP/1.1 200 OK\r\n");
	expect_contains(b, "Transfer-Encoding: chunked\r\n");
	return fd;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
