/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cnm/demux.h"

enum { FD_CONNECTION, FD_IN, FD_SIGNALS, N_FDS };

/* A stream that runs. */
struct flow {
	struct stream *s;
	struct demux demux;
	int in;             /* -1 once it has ended */
	char pending[8192]; /* input that the connection has not taken */
	size_t at, n_pending;
	bool detached; /* the keys were typed: it ends once the daemon has them, too */
	bool ended;
};

/* ---- input */

/* The input's end ends the sending half only: output may follow. */
static void end_input(struct flow *f)
{
	shutdown(f->s->connection->fd, SHUT_WR);
	f->in = -1;
	f->ended = !f->s->out;
}

static void read_input(struct flow *f)
{
	ssize_t n = read(f->in, f->pending, sizeof(f->pending));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		end_input(f);
		return;
	}
	f->detached = keys_typed(&f->s->detach, f->pending, (size_t)n);
	f->at = 0;
	f->n_pending = (size_t)n;
}

/* What a connection that is being closed does not take is not missed. */
static void send_input(struct flow *f)
{
	ssize_t n = send(f->s->connection->fd, f->pending + f->at, f->n_pending, MSG_NOSIGNAL);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		f->in = -1;
		f->n_pending = 0;
		return;
	}
	f->at += (size_t)n;
	f->n_pending -= (size_t)n;
	f->ended = f->detached && f->n_pending == 0;
}

/* ---- output */

static int deliver(struct flow *f, const char *data, size_t n, struct cnm_error *err)
{
	if (f->s->terminal)
		return write_all(STDOUT_FILENO, data, n, err);
	return demux_feed(&f->demux, data, n, err);
}

static int read_output(struct flow *f, struct cnm_error *err)
{
	char buf[32768];
	ssize_t n = recv(f->s->connection->fd, buf, sizeof(buf), 0);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0)
		return deliver(f, buf, (size_t)n, err);
	f->ended = true; /* a reset is an end too: the exit code tells more */
	return 0;
}

/* ---- the loop */

static void choose_fds(const struct flow *f, struct pollfd fds[static N_FDS])
{
	bool full = f->n_pending > 0;

	fds[FD_CONNECTION] = (struct pollfd){ .fd = f->s->connection->fd,
					      .events = (short)(POLLIN | (full ? POLLOUT : 0)) };
	fds[FD_IN] = (struct pollfd){ .fd = full ? -1 : f->in, .events = POLLIN };
	fds[FD_SIGNALS] = (struct pollfd){ .fd = f->s->signals, .events = POLLIN };
}

/* 1: a signal ends it. */
static int step(struct flow *f, struct cnm_error *err)
{
	struct pollfd fds[N_FDS];
	int r = 0;

	choose_fds(f, fds);
	if (poll(fds, N_FDS, -1) < 0)
		return errno == EINTR ? 0 : cnm_error_errno(err, errno, "wait for output");
	if (fds[FD_SIGNALS].revents && f->s->on_signal(f->s->arg))
		return 1;
	if (fds[FD_CONNECTION].revents & POLLOUT)
		send_input(f);
	if (fds[FD_CONNECTION].revents & (POLLIN | POLLHUP | POLLERR))
		r = read_output(f, err);
	if (r == 0 && fds[FD_IN].revents && f->n_pending == 0)
		read_input(f);
	return r;
}

int stream_run(struct stream *s, enum stream_end *ret, struct cnm_error *err)
{
	struct flow f = { .s = s, .in = s->in };
	int flags = fcntl(s->connection->fd, F_GETFL), r;

	if (flags < 0 || fcntl(s->connection->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return cnm_error_errno(err, errno, "use the connection");
	r = deliver(&f, s->connection->early, s->connection->n_early, err);
	while (r == 0 && !f.ended)
		r = step(&f, err);
	if (r < 0)
		return r;
	*ret = r == 1 ? STREAM_SIGNALLED : f.detached ? STREAM_DETACHED : STREAM_ENDED;
	return 0;
}
