/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay with one session, of which the test holds both ends: the client's, and conmon's or the
 * process's.
 */
#ifndef UNIT_RELAY_FIXTURE_H
#define UNIT_RELAY_FIXTURE_H

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "containers/relay.h"

#define PATIENCE 30 /* seconds; only a failure waits so long */
#define CTRL_P   "\x10"
#define CTRL_Q   "\x11"

/* What a test needs; -1: not there. */
struct fixture {
	struct relay *relay;
	struct relay_session *session;
	int client;       /* the client's side of its connection */
	int conmon;       /* conmon's side */
	int in, out, err; /* the process's ends of its pipes */
	int slave;        /* of its terminal */
	sem_t ended;
	enum relay_end why;
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->client = f->conmon = f->in = f->out = f->err = f->slave = -1;
	sem_init(&f->ended, 0, 0);
	assert_int_equal(relay_start(&f->relay, NULL), 0);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	relay_stop(f->relay);
	relay_release(f->session);
	close_fd(&f->client);
	close_fd(&f->conmon);
	close_fd(&f->in);
	close_fd(&f->out);
	close_fd(&f->err);
	close_fd(&f->slave);
	sem_destroy(&f->ended);
	free(f);
	return 0;
}

static inline void on_end(enum relay_end why, void *arg)
{
	struct fixture *f = arg;

	f->why = why;
	sem_post(&f->ended);
}

static inline enum relay_end wait_end(struct fixture *f)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += PATIENCE;
	assert_int_equal(sem_timedwait(&f->ended, &t), 0);
	return f->why;
}

/* ---- the parts */

/* To be filled in. */
static inline struct relay_source no_source(void)
{
	return (struct relay_source){
		.packets = -1, .terminal = -1, .in = -1, .out = -1, .err = -1
	};
}

static inline struct relay_options all_streams(struct fixture *f)
{
	return (struct relay_options){
		.in = true, .out = true, .err = true, .ended = on_end, .arg = f
	};
}

static inline struct relay_options with_keys(struct fixture *f)
{
	struct relay_options o = all_streams(f);

	o.terminal = true;
	memcpy(o.detach, CTRL_P CTRL_Q, 2);
	o.n_detach = 2;
	return o;
}

static inline void begin(struct fixture *f, struct relay_options o)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	f->client = fds[0];
	o.client = fds[1];
	f->session = relay_begin(f->relay, &o);
	assert_non_null(f->session);
}

static inline void connect_conmon(struct fixture *f, bool close_stdin)
{
	struct relay_source source = no_source();
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	f->conmon = fds[0];
	source.packets = fds[1];
	source.close_stdin = close_stdin;
	assert_int_equal(relay_connect(f->session, &source), 0);
}

static inline void connect_pipes(struct fixture *f)
{
	int in[2], out[2], err[2];
	struct relay_source source = no_source();

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	f->in = in[0];
	f->out = out[1];
	f->err = err[1];
	source.in = in[1];
	source.out = out[0];
	source.err = err[0];
	source.close_stdin = true;
	assert_int_equal(relay_connect(f->session, &source), 0);
}

static inline void connect_terminal(struct fixture *f)
{
	struct relay_source source = no_source();
	struct termios raw;

	assert_int_equal(openpty(&source.terminal, &f->slave, NULL, NULL, NULL), 0);
	tcgetattr(f->slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(f->slave, TCSANOW, &raw);
	assert_int_equal(relay_connect(f->session, &source), 0);
}

/* ---- bytes */

static inline void wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	assert_int_equal(poll(&p, 1, PATIENCE * 1000), 1);
}

static inline void put(int fd, const void *data, size_t n)
{
	assert_int_equal(write(fd, data, n), n);
}

static inline void packet(struct fixture *f, char stream, const char *text)
{
	char b[256];
	size_t n = strlen(text);

	b[0] = stream;
	memcpy(b + 1, text, n);
	put(f->conmon, b, n + 1);
}

static inline void expect(int fd, const void *bytes, size_t n)
{
	char b[4096];

	assert_true(n <= sizeof(b));
	for (size_t have = 0; have < n;) {
		ssize_t r;

		wait_for(fd, POLLIN);
		r = read(fd, b + have, n - have);
		assert_true(r > 0);
		have += (size_t)r;
	}
	assert_memory_equal(b, bytes, n);
}

static inline void expect_text(int fd, const char *text)
{
	expect(fd, text, strlen(text));
}

static inline void expect_frame(int fd, unsigned char stream, const char *text)
{
	unsigned char head[8] = { stream, 0, 0, 0, 0, 0, 0, (unsigned char)strlen(text) };

	expect(fd, head, sizeof(head));
	expect_text(fd, text);
}

/* An end, not an error. */
static inline void expect_eof(int fd)
{
	char c;

	wait_for(fd, POLLIN);
	assert_int_equal(read(fd, &c, 1), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
