/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection as a state machine. Everything here runs on the server's thread and never waits:
 * conn_go() does what can be done now, then registers with epoll for what must come first.
 *
 *   READING -> WORKING -> SENDING -> READING           an answer; keep-alive and pipelining
 *      |                     |--> STREAMING -> SENDING records, then the end of the body
 *      |                     |--> PIPING -> SENDING    the same from a pipe
 *      |                     `--> (handed over)        hijack
 *      `-----> SENDING -> DRAINING                     a request that is refused unread
 *
 * While a request is handled or answered nothing is read but by the handler itself, if it was given
 * the request with its body unread (http_body.c): what a client sends ahead waits in the socket, or
 * in `early` if it came with the request. So a client that closes its sending side is seen only
 * after its answer, as it should be; one that is gone altogether shows as EPOLLHUP in any state.
 * During a stream or a pipe the closed sending side already means that the client has lost
 * interest: that is how Docker's clients end `events` and `logs`.
 *
 * A pipe is read when all that was read before has been sent, so a slow client stops its writer. It
 * is registered with epoll only while it is empty and waited for: a file never is, and one whose
 * writer has gone would be reported without end.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "api/http_internal.h"
#include "base/cleanup.h"

#define DRAIN_MS  1000
#define MAX_STEPS 256 /* of one connection in a turn: about 100 pipelined requests */

static const char last_chunk[] = "0\r\n\r\n";

/* ----------------------------------------------------------------------------- birth and death */

static void begin_request(struct conn *c)
{
	http_message_init(&c->x.request, &c->server->limits);
	c->x.request.holds = c->server->options.streams;
	c->x.request.holds_arg = c->server->options.arg;
}

struct conn *conn_new(struct http_server *server, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->source = SOURCE_CONN;
	c->pipe_source = SOURCE_PIPE;
	c->fd = fd;
	c->server = server;
	list_init(&c->node);
	list_init(&c->deadline_node);
	list_init(&c->idle_node);
	list_init(&c->work_node);
	list_init(&c->note_node);
	begin_request(c);
	return c;
}

static void unregister(struct conn *c)
{
	if (c->registered)
		epoll_ctl(c->server->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	c->registered = false;
}

/* The stream is over for its writers; nothing of it is used afterwards. */
static void end_stream(struct conn *c)
{
	struct http_stream *s = take_ptr(c->x.stream);

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_mutex_unlock(&s->lock);
	if (s->options.closed)
		s->options.closed(s->options.arg);
	stream_free(s);
}

static void close_pipe(struct conn *c)
{
	if (c->pipe_registered)
		epoll_ctl(c->server->epoll, EPOLL_CTL_DEL, c->x.pipe, NULL);
	c->pipe_registered = false;
	close_fd(&c->x.pipe);
}

void conn_close(struct conn *c)
{
	if (c->state == CONN_WORKING) {
		shutdown(c->fd, SHUT_RD);
		return;
	}
	if (c->state == CONN_DEAD)
		return;
	end_stream(c);
	if (c->x.answer == ANSWER_PIPE)
		close_pipe(c);
	if (c->x.answer == ANSWER_HIJACK)
		c->x.take(-1, NULL, 0, c->x.take_arg);
	unregister(c);
	close_fd(&c->fd);
	server_clear_deadline(c);
	list_del(&c->idle_node);
	c->state = CONN_DEAD;
	list_del(&c->node);
	list_append(&c->server->dead, &c->node);
}

void conn_free(struct conn *c)
{
	pthread_mutex_lock(&c->server->lock);
	list_del(&c->note_node);
	pthread_mutex_unlock(&c->server->lock);
	list_del(&c->node);
	exchange_free(&c->x);
	strbuf_free(&c->early);
	free(c);
}

/* Ready for the next request. */
static void next_request(struct conn *c)
{
	exchange_free(&c->x);
	begin_request(c);
	c->sent = 0;
	c->continued = false;
	c->state = CONN_READING;
	server_clear_deadline(c);
}

/* ------------------------------------------------------------------------------------- reading */

/* Feed the request; keep what is beyond it. */
static void feed(struct conn *c, const char *data, size_t n)
{
	size_t used = http_message_feed(&c->x.request, data, n);

	if (used < n)
		strbuf_addn(&c->early, data + used, n - used);
}

static void feed_early(struct conn *c)
{
	struct strbuf early = c->early;

	c->early = (struct strbuf){ 0 };
	feed(c, early.s, early.len);
	strbuf_free(&early);
}

/* false: nothing to read now, or ever. */
static bool read_some(struct conn *c)
{
	char *buffer = c->server->buffer;
	ssize_t n;

	if (c->early.len) {
		feed_early(c);
		return true;
	}
	n = recv(c->fd, buffer, READ_SIZE, MSG_DONTWAIT);
	if (n > 0)
		feed(c, buffer, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		conn_close(c);
	return n > 0;
}

static void answer_ready(struct conn *c)
{
	if (c->x.answer == ANSWER_NONE)
		exchange_refuse(&c->x, 500, "out of memory: the request was not answered");
	c->state = CONN_SENDING;
	server_set_deadline(c, c->server->options.deadline_ms);
	if (c->x.out.failed)
		conn_close(c);
}

static void refuse(struct conn *c, int status, const char *reason)
{
	exchange_refuse(&c->x, status, reason);
	answer_ready(c);
}

/* Closed by the client, not merely its sending half: nobody waits for the answer. */
static bool is_hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/*
 * A request whose client has gone is not carried out: while no daemon ran it may have waited in the
 * listening socket, which outlives daemons, for longer than its client did.
 */
static void dispatch(struct conn *c)
{
	const struct http_server_options *o = &c->server->options;

	if (is_hung_up(c->fd) || !exchange_reserve(&c->x)) {
		conn_close(c);
		return;
	}
	server_clear_deadline(c);
	c->x.close = !c->x.request.keep_alive || c->server->stopping;
	c->state = CONN_WORKING;
	if (c->x.request.state == MESSAGE_DONE && o->quick && o->quick(&c->x.request, o->arg)) {
		o->handle(&c->x, o->arg);
		answer_ready(c);
	} else {
		pool_submit(c->server->pool, c);
	}
}

/* true: go on with the state that this led to. */
static bool go_reading(struct conn *c)
{
	const struct http_message *m = &c->x.request;

	if (!read_some(c))
		return false;
	if (m->begun && !c->deadline)
		server_set_deadline(c, c->server->options.deadline_ms);
	if (c->early.failed || (m->state == MESSAGE_BODY && body_invite(c) < 0))
		conn_close(c);
	else if (m->state == MESSAGE_BAD)
		refuse(c, m->bad_status, m->bad_reason);
	else if (m->state == MESSAGE_DONE || m->state == MESSAGE_HELD)
		dispatch(c);
	return c->state != CONN_DEAD;
}

/* Read away what a refused client still sends: closing at once could take the answer from it. */
static bool go_draining(struct conn *c)
{
	ssize_t n = recv(c->fd, c->server->buffer, READ_SIZE, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_close(c);
	return false;
}

/* ------------------------------------------------------------------------------------- sending */

/* Send what is left of x.out. true: all is sent. */
static bool flush(struct conn *c)
{
	struct strbuf *out = &c->x.out;
	ssize_t n;

	while (c->sent < out->len) {
		n = send(c->fd, out->s + c->sent, out->len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				conn_close(c);
			return false;
		}
		c->sent += (size_t)n;
		if (c->state == CONN_SENDING)
			server_set_deadline(c, c->server->options.deadline_ms);
	}
	return true;
}

void conn_give_back(struct conn *c)
{
	struct strbuf *out = &c->x.out;
	ssize_t n = 0;

	if (c->x.answer != ANSWER_NONE && !out->failed)
		n = send(c->fd, out->s, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		c->sent = (size_t)n; /* an error will show again to the server's thread */
	server_note(c, NOTE_HANDLED);
}

static void answer_sent(struct conn *c)
{
	if (!c->x.close && !c->server->stopping) {
		next_request(c);
	} else if (c->x.request.state == MESSAGE_DONE) {
		conn_close(c);
	} else {
		shutdown(c->fd, SHUT_WR);
		c->state = CONN_DRAINING;
		server_set_deadline(c, DRAIN_MS);
	}
}

/* A stream's or pipe's body is complete: what is left is an ordinary answer's end. */
static void finish_body(struct conn *c)
{
	c->x.answer = ANSWER_WHOLE;
	if (c->x.chunked && !streq(c->x.request.method, "HEAD"))
		strbuf_add(&c->x.out, last_chunk);
	answer_ready(c);
}

/* A handler that goes on beside its stream finishes it, unless it would go on for ever. */
static bool ends_on_stop(const struct http_stream *s)
{
	return !s->started || s->options.endless;
}

static void start_streaming(struct conn *c)
{
	struct http_stream *s = c->x.stream;

	server_clear_deadline(c);
	if (s->options.end_ns)
		server_set_deadline_at(c, s->options.end_ns);
	if (c->server->stopping && ends_on_stop(s))
		http_stream_end(s);
	c->state = CONN_STREAMING;
}

static void finish_pipe(struct conn *c)
{
	close_pipe(c);
	finish_body(c);
}

static void start_piping(struct conn *c)
{
	if (streq(c->x.request.method, "HEAD")) {
		finish_pipe(c);
		return;
	}
	server_clear_deadline(c); /* who reads with a pager may take hours */
	c->state = CONN_PIPING;
}

/* Hand the socket over; what remains of the connection is dead. */
static void hand_over(struct conn *c)
{
	unregister(c);
	c->x.answer = ANSWER_NONE;
	c->x.take(take_fd(&c->fd), c->early.s, c->early.len, c->x.take_arg);
	conn_close(c);
}

static bool go_sending(struct conn *c)
{
	if (!flush(c))
		return false;
	switch (c->x.answer) {
	case ANSWER_NONE:
	case ANSWER_WHOLE:
		answer_sent(c);
		break;
	case ANSWER_STREAM:
		start_streaming(c);
		break;
	case ANSWER_PIPE:
		start_piping(c);
		break;
	case ANSWER_HIJACK:
		hand_over(c);
		break;
	}
	return c->state != CONN_DEAD;
}

/* ----------------------------------------------------------------------------------- streaming */

/* Fetch what the writers have queued. false: the connection must be cut. */
static bool fetch_pending(struct conn *c, bool *ended)
{
	struct http_stream *s = c->x.stream;

	strbuf_free(&c->x.out);
	c->sent = 0;
	LOCKED(&s->lock);
	c->x.out = s->pending;
	s->pending = (struct strbuf){ 0 };
	s->unsent = c->x.out.len;
	*ended = s->ended;
	return !s->cut && !c->x.out.failed;
}

static bool go_streaming(struct conn *c)
{
	bool ended = false;

	if (!flush(c))
		return false;
	if (!fetch_pending(c, &ended)) {
		conn_close(c);
		return false;
	}
	if (c->x.out.len)
		return true;
	if (ended) {
		end_stream(c);
		finish_body(c);
	}
	return ended && c->state != CONN_DEAD;
}

/* -------------------------------------------------------------------------------------- piping */

/* The next piece of the body, n bytes in the server's buffer. */
static void put_piece(struct conn *c, size_t n)
{
	struct strbuf *out = &c->x.out;

	if (c->x.chunked)
		strbuf_addf(out, "%zx\r\n", n);
	strbuf_addn(out, c->server->buffer, n);
	if (c->x.chunked)
		strbuf_add(out, "\r\n");
	if (out->failed)
		conn_close(c);
}

/* Once the server stops, a pipe that has nothing to give is as good as ended. */
static bool go_piping(struct conn *c)
{
	ssize_t n;

	if (!flush(c))
		return false;
	c->x.out.len = c->sent = 0;
	n = read(c->x.pipe, c->server->buffer, READ_SIZE);
	if (n > 0)
		put_piece(c, (size_t)n);
	else if (n == 0 || (errno == EAGAIN && c->server->stopping))
		finish_pipe(c);
	else if (errno == EAGAIN)
		return false;
	else if (errno != EINTR)
		conn_close(c);
	return c->state != CONN_DEAD;
}

/* ---------------------------------------------------------------------------- the state machine */

static uint32_t wanted_events(const struct conn *c)
{
	switch (c->state) {
	case CONN_READING:
	case CONN_DRAINING:
		return EPOLLIN;
	case CONN_SENDING:
		return EPOLLOUT;
	case CONN_STREAMING:
	case CONN_PIPING:
		return EPOLLRDHUP | (c->sent < c->x.out.len ? EPOLLOUT : 0);
	case CONN_WORKING:
	case CONN_DEAD:
		return 0; /* EPOLLHUP and EPOLLERR always come */
	}
	return 0;
}

/* Wait for the pipe, or do not. */
static void settle_pipe(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &c->pipe_source };
	bool wanted = c->state == CONN_PIPING && c->sent == c->x.out.len;

	if (wanted == c->pipe_registered)
		return;
	c->pipe_registered = wanted;
	if (epoll_ctl(c->server->epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, c->x.pipe, &ev) < 0)
		conn_close(c);
}

/* Register for what the state waits for, and keep the list of idle connections. */
static void settle(struct conn *c)
{
	struct epoll_event ev = { .events = wanted_events(c), .data.ptr = c };

	if (c->state == CONN_DEAD)
		return;
	list_del(&c->idle_node);
	if (c->state == CONN_READING && !c->x.request.begun) {
		list_append(&c->server->idle, &c->idle_node);
		server_accept_again(c->server);
	}
	if (c->registered && c->events == ev.events)
		return;
	if (epoll_ctl(c->server->epoll, c->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev) <
	    0) {
		conn_close(c);
		return;
	}
	c->registered = true;
	c->events = ev.events;
}

static bool go_once(struct conn *c)
{
	switch (c->state) {
	case CONN_READING:
		return go_reading(c);
	case CONN_SENDING:
		return go_sending(c);
	case CONN_STREAMING:
		return go_streaming(c);
	case CONN_PIPING:
		return go_piping(c);
	case CONN_DRAINING:
		return go_draining(c);
	case CONN_WORKING:
	case CONN_DEAD:
		return false;
	}
	return false;
}

static void conn_go(struct conn *c)
{
	int steps = 0;

	while (go_once(c))
		if (++steps == MAX_STEPS) { /* it is the others' turn */
			server_note(c, NOTE_GO);
			break;
		}
	settle_pipe(c);
	settle(c);
}

void conn_start(struct conn *c)
{
	list_append(&c->server->conns, &c->node);
	if (c->server->stopping)
		conn_close(c);
	else
		conn_go(c);
}

void conn_on_event(struct conn *c, uint32_t events)
{
	bool flows = c->state == CONN_STREAMING || c->state == CONN_PIPING;
	bool gone = events & (EPOLLHUP | EPOLLERR);

	if (c->state == CONN_WORKING) {
		if (gone) /* the answer will find nobody; until then do not wake for it again */
			unregister(c);
	} else if (flows && (gone || (events & EPOLLRDHUP))) {
		conn_close(c);
	} else {
		conn_go(c);
	}
}

void conn_on_pipe(struct conn *c)
{
	if (c->state == CONN_PIPING)
		conn_go(c);
}

void conn_on_notes(struct conn *c, unsigned notes)
{
	if (notes & NOTE_NEW)
		conn_start(c);
	if (notes & NOTE_HANDLED)
		answer_ready(c);
	conn_go(c);
}

void conn_on_deadline(struct conn *c)
{
	if (c->state == CONN_READING) {
		refuse(c, 408, "the request did not arrive in time");
	} else if (c->state == CONN_STREAMING && c->x.stream->options.end_ns) {
		c->x.stream->options.end_ns = 0;
		http_stream_end(c->x.stream);
		server_set_deadline(c, c->server->options.deadline_ms);
	} else {
		conn_close(c);
	}
	conn_go(c);
}

void conn_on_stop(struct conn *c)
{
	if (c->state == CONN_READING) {
		conn_close(c);
	} else if (c->state == CONN_STREAMING) {
		if (ends_on_stop(c->x.stream))
			http_stream_end(c->x.stream);
		conn_go(c);
	} else if (c->state == CONN_PIPING) {
		conn_go(c);
	}
}
