/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One attached client: moving its bytes. Each step reads once and writes what it can; settle() then
 * ends the session if its time has come, or registers what it waits for next. A descriptor nothing
 * is wanted of is taken out of epoll, which would report its hang-up for ever; the client's stays
 * in, as its hang-up ends the session.
 *
 * A session whose client has left may go on without it, to keep its process from blocking: then
 * over is set, and what is read is dropped.
 */
#include "containers/relay_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* More than a pipe or a terminal holds: an ended process cannot have left more in it. */
#define LEFT_MAX (1024 * 1024)

/* The first reason counts. */
static void end_with(struct relay_session *s, enum relay_end why)
{
	if (!s->ending)
		s->why = why;
	s->ending = true;
}

/* ------------------------------------------------------------------------------------ backlogs */

static bool backlog_add(struct backlog *b, const unsigned char *data, size_t n)
{
	unsigned char *grown;

	if (n == 0)
		return true;
	grown = realloc(b->data, b->at + b->n + n);
	if (!grown)
		return false;
	memcpy(grown + b->at + b->n, data, n);
	b->data = grown;
	b->n += n;
	return true;
}

static void backlog_clear(struct backlog *b)
{
	free(b->data);
	*b = (struct backlog){ 0 };
}

static void backlog_drop(struct backlog *b, size_t n)
{
	b->at += n;
	b->n -= n;
	if (b->n == 0)
		backlog_clear(b);
}

/* --------------------------------------------------------------------------------------- ports */

static void port_watch(struct port *p, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = p };
	int op = !events ? EPOLL_CTL_DEL : p->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (p->fd < 0 || events == p->events)
		return;
	if (epoll_ctl(p->session->relay->epoll, op, p->fd, &ev) < 0)
		end_with(p->session, RELAY_CANCELLED);
	else
		p->events = events;
}

/* Closing alone might leave it in epoll: a child being started has all descriptors for a moment. */
static void port_close(struct port *p)
{
	port_watch(p, 0);
	p->events = 0;
	close_fd(&p->fd);
}

/* ---------------------------------------------------------------------------- towards the client
 */

/* Sends what it takes now; the number of bytes. */
static size_t send_client(struct relay_session *s, const unsigned char *data, size_t n)
{
	ssize_t r;

	do {
		r = send(s->ports[PORT_CLIENT].fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r >= 0)
		return (size_t)r;
	if (errno != EAGAIN)
		end_with(s, RELAY_CLIENT_GONE);
	return 0;
}

static void flush_client(struct relay_session *s)
{
	if (s->to_client.n)
		backlog_drop(&s->to_client,
			     send_client(s, s->to_client.data + s->to_client.at, s->to_client.n));
}

/* FRAME_HEAD bytes in front of data are free for use. */
static void deliver(struct relay_session *s, enum frame_stream stream, unsigned char *data,
		    size_t n)
{
	size_t sent;

	if (s->over || n == 0 || !(stream == FRAME_STDERR ? s->err : s->out))
		return;
	if (!s->terminal) {
		data -= FRAME_HEAD;
		frame_head(data, stream, n);
		n += FRAME_HEAD;
	}
	sent = send_client(s, data, n);
	if (!backlog_add(&s->to_client, data + sent, n - sent))
		end_with(s, RELAY_CANCELLED);
}

static void source_ended(struct port *p)
{
	struct relay_session *s = p->session;

	p->ended = true;
	if (s->kind == SOURCE_PIPES)
		port_close(p);
	/* A terminal is not closed: that would hang up a process that has let go of it. */
	if (s->sink == PORT_OUT) {
		s->sink = PORT_CLIENT;
		backlog_clear(&s->to_stdin);
	}
}

/* Reads once. false: there is nothing now. */
static bool read_source(struct port *p)
{
	struct relay_session *s = p->session;
	unsigned char *data = s->relay->buf + FRAME_HEAD;
	enum frame_stream stream = p == &s->ports[PORT_ERR] ? FRAME_STDERR : FRAME_STDOUT;
	ssize_t n;

	if (s->kind == SOURCE_PACKETS)
		n = recv(p->fd, data - 1, IO_SIZE + 1, MSG_DONTWAIT);
	else
		n = read(p->fd, data, IO_SIZE);
	if (n < 0 && errno == EAGAIN)
		return false;
	/* The reset comes before the packets that wait, and once: conmon ended with stdin unread.
	 */
	if (n < 0 && (errno == EINTR || (errno == ECONNRESET && s->kind == SOURCE_PACKETS)))
		return true;
	if (n <= 0) {
		source_ended(p);
		return false;
	}
	if (s->kind == SOURCE_PACKETS) {
		stream = data[-1] == 3 ? FRAME_STDERR : FRAME_STDOUT;
		n--;
	}
	p->left -= (size_t)n < p->left ? (size_t)n : p->left;
	deliver(s, stream, data, (size_t)n);
	return true;
}

/* The process has ended: what it left, and as much as the client takes of it. */
static void read_left(struct port *p)
{
	struct relay_session *s = p->session;

	while (p->fd >= 0 && !p->ended && !s->ending && s->to_client.n == 0) {
		if (p->left == 0 || !read_source(p))
			p->ended = true;
	}
}

/* ------------------------------------------------------------------------------- towards stdin */

static void close_sink(struct relay_session *s)
{
	port_close(&s->ports[PORT_IN]);
	s->sink = PORT_CLIENT;
	backlog_clear(&s->to_stdin);
}

/* Writes what stdin takes now; the number of bytes. All of them if it is closed: they are lost. */
static size_t write_stdin(struct relay_session *s, const unsigned char *data, size_t n)
{
	size_t done = 0;

	while (s->sink != PORT_CLIENT && done < n) {
		int fd = s->ports[s->sink].fd;
		size_t size = n - done;
		ssize_t r;

		if (s->kind == SOURCE_PACKETS)
			r = send(fd, data + done, size < PACKET_MAX ? size : PACKET_MAX,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			r = write(fd, data + done, size);
		if (r < 0 && errno == EAGAIN)
			return done;
		if (r < 0 && errno != EINTR)
			s->sink = PORT_CLIENT;
		if (r > 0)
			done += (size_t)r;
	}
	return n;
}

/* Once all the client has sent is there. */
static void maybe_end_stdin(struct relay_session *s)
{
	if (s->kind == SOURCE_NONE || s->to_stdin.n || s->sink == PORT_CLIENT || !s->client_ended ||
	    !s->in || !s->close_stdin)
		return;
	if (s->kind == SOURCE_PACKETS)
		shutdown(s->ports[PORT_OUT].fd, SHUT_WR);
	if (s->kind != SOURCE_TERMINAL)
		close_sink(s);
}

static void flush_stdin(struct relay_session *s)
{
	if (s->to_stdin.n)
		backlog_drop(&s->to_stdin,
			     write_stdin(s, s->to_stdin.data + s->to_stdin.at, s->to_stdin.n));
	maybe_end_stdin(s);
}

static void to_stdin(struct relay_session *s, const unsigned char *data, size_t n)
{
	size_t done = 0;

	if (s->kind != SOURCE_NONE && s->to_stdin.n == 0)
		done = write_stdin(s, data, n);
	if (!backlog_add(&s->to_stdin, data + done, n - done))
		end_with(s, RELAY_CANCELLED);
}

/* What the client sent. DETACH_MAX bytes in front of data are free for use. */
static void input(struct relay_session *s, unsigned char *data, size_t n)
{
	bool found;

	if (!s->in)
		return;
	n = detach_filter(&s->detach, data - DETACH_MAX, data, n, &found);
	to_stdin(s, data - DETACH_MAX, n);
	if (found)
		end_with(s, RELAY_DETACHED);
}

/* How much may be read of the client. */
static size_t input_room(const struct relay_session *s)
{
	if (!s->in)
		return IO_SIZE;
	if (s->kind != SOURCE_NONE)
		return s->to_stdin.n ? 0 : IO_SIZE;
	if (s->to_stdin.n >= KEEP_MAX)
		return 0;
	return KEEP_MAX - s->to_stdin.n < IO_SIZE ? KEEP_MAX - s->to_stdin.n : IO_SIZE;
}

/* Reads once. false: there is nothing now, or it may not be read. */
static bool read_client(struct relay_session *s)
{
	unsigned char *data = s->relay->buf + DETACH_MAX;
	size_t room = input_room(s);
	ssize_t n;

	if (room == 0 || s->client_ended || s->ending)
		return false;
	n = recv(s->ports[PORT_CLIENT].fd, data, room, MSG_DONTWAIT);
	if (n > 0) {
		input(s, data, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0) {
		end_with(s, RELAY_CLIENT_GONE);
		return false;
	}
	s->client_ended = true;
	if (s->in)
		to_stdin(s, data, detach_flush(&s->detach, data));
	maybe_end_stdin(s);
	return false;
}

/* ----------------------------------------------------------------------------------- the end */

/*
 * What the client has sent and nobody read would make its last read fail instead of coming to the
 * end; so it is read. There is no more than its socket holds.
 */
static void close_client(struct relay_session *s)
{
	struct port *p = &s->ports[PORT_CLIENT];

	if (p->fd < 0)
		return;
	shutdown(p->fd, SHUT_RDWR);
	for (size_t n = 0; n < LEFT_MAX; n += IO_SIZE) {
		if (recv(p->fd, s->relay->buf, IO_SIZE, MSG_DONTWAIT) <= 0)
			break;
	}
	port_close(p);
}

static void session_end(struct relay_session *s)
{
	if (s->why != RELAY_CLIENT_GONE)
		flush_client(s);
	pthread_mutex_lock(&s->relay->lock);
	s->over = true;
	pthread_mutex_unlock(&s->relay->lock);
	close_client(s);
	close_sink(s);
	backlog_clear(&s->to_client);
	s->ended(s->why, s->arg);
}

static bool port_is_read(const struct port *p)
{
	return p->fd < 0 || p->ended;
}

static bool source_is_read(const struct relay_session *s)
{
	return port_is_read(&s->ports[PORT_OUT]) && port_is_read(&s->ports[PORT_ERR]);
}

/* Nobody is to be kept from blocking any more. */
static bool is_done(const struct relay_session *s)
{
	return s->finishing || s->kind == SOURCE_PACKETS || source_is_read(s);
}

static bool is_delivered(const struct relay_session *s)
{
	return (s->kind == SOURCE_PACKETS || (s->kind != SOURCE_NONE && s->finishing)) &&
	       source_is_read(s) && s->to_client.n == 0;
}

static void retire(struct relay_session *s)
{
	for (size_t i = 0; i < N_PORTS; i++)
		port_close(&s->ports[i]);
	list_del(&s->node);
	list_append(&s->relay->dead, &s->node);
}

static uint32_t wanted(const struct relay_session *s, enum port_role role)
{
	const struct port *p = &s->ports[role];
	uint32_t events = 0;

	if (role == PORT_CLIENT) {
		events = EPOLLHUP; /* reported in any case; it keeps the descriptor registered */
		if (s->to_client.n)
			events |= EPOLLOUT;
		if (!s->client_ended && input_room(s))
			events |= EPOLLIN;
		return events;
	}
	if (role != PORT_IN && !p->ended && s->to_client.n == 0)
		events |= EPOLLIN;
	if (role == s->sink && s->to_stdin.n)
		events |= EPOLLOUT;
	return events;
}

static void watch(struct relay_session *s)
{
	for (unsigned i = 0; i < N_PORTS; i++)
		port_watch(&s->ports[i], wanted(s, i));
}

/* After each step. */
static void settle(struct relay_session *s)
{
	if (s->finishing && s->kind != SOURCE_PACKETS) {
		read_left(&s->ports[PORT_OUT]);
		read_left(&s->ports[PORT_ERR]);
	}
	if (is_delivered(s))
		end_with(s, RELAY_SOURCE_END);
	if (!s->ending)
		watch(s);
	if (s->ending && !s->over)
		session_end(s);
	if (s->over && is_done(s))
		retire(s);
	else if (s->over)
		watch(s);
}

/* ------------------------------------------------------------------------------- the interface */

void session_event(struct port *p, uint32_t events)
{
	struct relay_session *s = p->session;
	bool hung_up = events & (EPOLLHUP | EPOLLERR);

	if (!p->events) /* closed, or not wanted any more, since the event was fetched */
		return;
	if (p == &s->ports[PORT_CLIENT]) {
		if (events & EPOLLIN)
			read_client(s);
		if (events & EPOLLOUT)
			flush_client(s);
		while (hung_up && read_client(s)) /* what it sent before it left */
			;
		if (hung_up)
			end_with(s, RELAY_CLIENT_GONE);
	} else {
		if ((hung_up || events & EPOLLIN) && p->events & EPOLLIN)
			read_source(p);
		if ((hung_up || events & EPOLLOUT) && p->events & EPOLLOUT)
			flush_stdin(s);
	}
	settle(s);
}

static void connect_source(struct relay_session *s, const struct relay_source *source)
{
	s->close_stdin = source->close_stdin;
	if (source->packets >= 0)
		s->kind = SOURCE_PACKETS;
	else
		s->kind = source->terminal >= 0 ? SOURCE_TERMINAL : SOURCE_PIPES;
	if (s->kind == SOURCE_PIPES) {
		s->ports[PORT_OUT].fd = source->out;
		s->ports[PORT_ERR].fd = source->err;
		s->ports[PORT_IN].fd = source->in;
		s->sink = source->in >= 0 ? PORT_IN : PORT_CLIENT;
	} else {
		s->ports[PORT_OUT].fd =
			s->kind == SOURCE_PACKETS ? source->packets : source->terminal;
		s->sink = PORT_OUT;
	}
	if (s->over)
		close_sink(s);
	else
		flush_stdin(s);
	/* It may have ended, and be among the dead or nowhere. */
	if (list_empty(&s->node))
		session_ref(s);
	list_del(&s->node);
	list_append(&s->relay->sessions, &s->node);
}

void session_call(struct relay_session *s, unsigned asked, const struct relay_source *source)
{
	if (asked & ASK_BEGIN) {
		session_ref(s);
		list_append(&s->relay->sessions, &s->node);
		if (s->ports[PORT_CLIENT].fd < 0)
			end_with(s, RELAY_CLIENT_GONE);
	}
	if (asked & ASK_CONNECT)
		connect_source(s, source);
	if (asked & ASK_FINISH) {
		s->finishing = true;
		s->ports[PORT_OUT].left = s->ports[PORT_ERR].left = LEFT_MAX;
	}
	if (asked & ASK_END)
		end_with(s, RELAY_CANCELLED);
	if (!list_empty(&s->node))
		settle(s);
}

void session_stop(struct relay_session *s)
{
	end_with(s, RELAY_CANCELLED);
	if (!s->over)
		session_end(s);
	retire(s);
}

struct relay_session *session_new(struct relay *r, const struct relay_options *options)
{
	struct relay_session *s = calloc(1, sizeof(*s));
	_free_ unsigned char *early = malloc(DETACH_MAX + options->n_early);

	if (!s || !early) {
		free(s);
		return NULL;
	}
	s->relay = r;
	s->refs = 1;
	list_init(&s->node);
	list_init(&s->call_node);
	for (unsigned i = 0; i < N_PORTS; i++)
		s->ports[i] = (struct port){ .session = s, .fd = -1, .left = SIZE_MAX };
	s->ports[PORT_CLIENT].fd = options->client;
	s->ended = options->ended;
	s->arg = options->arg;
	s->terminal = options->terminal;
	s->in = options->in;
	s->out = options->out;
	s->err = options->err;
	memcpy(s->detach.keys, options->detach, sizeof(s->detach.keys));
	s->detach.n = options->terminal ? options->n_detach : 0;
	if (options->n_early)
		memcpy(early + DETACH_MAX, options->early, options->n_early);
	input(s, early + DETACH_MAX, options->n_early);
	if (s->ending && s->why == RELAY_CANCELLED) {
		session_unref(s);
		return NULL;
	}
	return s;
}

void session_ref(struct relay_session *s)
{
	atomic_fetch_add(&s->refs, 1);
}

void session_unref(struct relay_session *s)
{
	if (atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	backlog_clear(&s->to_client);
	backlog_clear(&s->to_stdin);
	free(s);
}
