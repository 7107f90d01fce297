/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loop: listeners, deadlines, notes from other threads, stop. See http_internal.h for who owns
 * what.
 *
 * A turn waits for events, serves them, then the notes, then the deadlines that have passed, and at
 * last releases the connections that died: within the turn they may still be pointed at.
 *
 * When the most connections allowed are open, the one that has waited longest for a request is
 * closed for the next one. Are all of them busy, or is the process out of descriptors, accepting is
 * suspended until a connection has gone or a moment has passed; clients wait in the backlog.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "api/http_internal.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define MS             UINT64_C(1000000)
#define ACCEPT_AT_ONCE 16  /* connections taken before others are served */
#define ACCEPT_REST_MS 100 /* when out of descriptors */
#define EVENTS         64
#define STOP_GRACE_MS  1000 /* for the threads to end after the loop has */

struct listener {
	enum source source; /* first */
	int fd;
	struct list node; /* of server->listeners */
};

/* ----------------------------------------------------------------------- notes and deadlines */

static void wake(struct http_server *s)
{
	eventfd_write(s->wake, 1); /* full is as good as written */
}

void server_note(struct conn *c, unsigned note)
{
	struct http_server *s = c->server;
	LOCKED(&s->lock);

	c->notes |= note;
	if (list_empty(&c->note_node))
		list_append(&s->noted, &c->note_node);
	wake(s); /* under the lock: else the server could be released in between */
}

void server_set_deadline_at(struct conn *c, uint64_t mono_ns)
{
	struct list *after;

	server_clear_deadline(c);
	after = c->server->deadlines.prev;
	/* Nearly always the latest; only a stream's end lies farther off. */
	while (after != &c->server->deadlines &&
	       container_of(after, struct conn, deadline_node)->deadline > mono_ns)
		after = after->prev;
	c->deadline = mono_ns;
	list_append(after->next, &c->deadline_node);
}

void server_set_deadline(struct conn *c, unsigned ms)
{
	server_set_deadline_at(c, clock_mono_ns() + ms * MS);
}

void server_clear_deadline(struct conn *c)
{
	list_del(&c->deadline_node);
	c->deadline = 0;
}

/* The next connection of the batch, with its notes; NULL at the end. */
static struct conn *next_noted(struct http_server *s, struct list *batch, unsigned *notes)
{
	LOCKED(&s->lock);
	struct conn *c;

	if (list_empty(batch))
		return NULL;
	c = container_of(batch->next, struct conn, note_node);
	list_del(&c->note_node);
	*notes = c->notes;
	c->notes = 0;
	return c;
}

/* What is noted meanwhile is for the next turn. */
static void run_notes(struct http_server *s)
{
	struct list batch = LIST_INIT(batch);
	unsigned notes = 0;
	struct conn *c;

	pthread_mutex_lock(&s->lock);
	while (!list_empty(&s->noted)) {
		struct list *n = s->noted.next;

		list_del(n);
		list_append(&batch, n);
	}
	pthread_mutex_unlock(&s->lock);
	while ((c = next_noted(s, &batch, &notes))) {
		if (notes & NOTE_NEW)
			s->n_conns++;
		conn_on_notes(c, notes);
	}
}

static void run_deadlines(struct http_server *s)
{
	uint64_t now = clock_mono_ns();

	while (!list_empty(&s->deadlines)) {
		struct conn *c = container_of(s->deadlines.next, struct conn, deadline_node);

		if (c->deadline > now)
			return;
		server_clear_deadline(c);
		conn_on_deadline(c);
	}
}

/* ----------------------------------------------------------------------------------- accepting */

static void watch_listeners(struct http_server *s, uint32_t events)
{
	struct listener *l;
	LOCKED(&s->lock);

	list_for_each (l, &s->listeners, node) {
		struct epoll_event ev = { .events = events, .data.ptr = l };

		epoll_ctl(s->epoll, EPOLL_CTL_MOD, l->fd, &ev);
	}
}

static void suspend_accepting(struct http_server *s, uint64_t until)
{
	s->accept_again = until;
	watch_listeners(s, 0);
}

void server_accept_again(struct http_server *s)
{
	if (s->accept_again)
		s->accept_again = 1; /* an instant long past: in this turn or the next */
}

static void resume_accepting(struct http_server *s)
{
	if (s->stopping)
		return;
	s->accept_again = 0;
	watch_listeners(s, EPOLLIN);
}

/* false: no more for now. */
static bool accept_one(struct http_server *s, int listener)
{
	bool full = s->n_conns >= s->options.max_connections;
	_close_ int fd = -1;
	struct conn *c;

	if (full && list_empty(&s->idle)) {
		suspend_accepting(s, UINT64_MAX);
		return false;
	}
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			suspend_accepting(s, clock_mono_ns() + ACCEPT_REST_MS * MS);
		return errno == EINTR || errno == ECONNABORTED;
	}
	c = conn_new(s, fd);
	if (!c)
		return true;
	take_fd(&fd);
	if (full)
		conn_close(container_of(s->idle.next, struct conn, idle_node));
	s->n_conns++;
	conn_start(c);
	return true;
}

static void on_listener(struct http_server *s, struct listener *l)
{
	for (int i = 0; i < ACCEPT_AT_ONCE && !s->stopping; i++)
		if (!accept_one(s, l->fd))
			return;
}

/* -------------------------------------------------------------------------------------- the loop
 */

static void reap(struct http_server *s)
{
	while (!list_empty(&s->dead)) {
		conn_free(container_of(s->dead.next, struct conn, node));
		s->n_conns--;
		server_accept_again(s);
	}
}

/* When the loop must go on without an event; 0: never. */
static uint64_t next_instant(struct http_server *s)
{
	uint64_t at = UINT64_MAX;

	if (!list_empty(&s->deadlines))
		at = container_of(s->deadlines.next, struct conn, deadline_node)->deadline;
	if (s->accept_again && s->accept_again < at)
		at = s->accept_again;
	if (s->stopping && s->stop_at < at)
		at = s->stop_at;
	return at == UINT64_MAX ? 0 : at;
}

static int wait_ms(struct http_server *s)
{
	uint64_t at = next_instant(s), now = clock_mono_ns();

	if (!at)
		return -1;
	if (at <= now)
		return 0;
	return (at - now) / MS >= 60000 ? 60000 : (int)((at - now) / MS) + 1;
}

static void serve_event(struct http_server *s, const struct epoll_event *ev)
{
	eventfd_t count;

	switch (*(enum source *)ev->data.ptr) {
	case SOURCE_WAKE:
		eventfd_read(s->wake, &count); /* it is there to end the wait */
		break;
	case SOURCE_LISTENER:
		on_listener(s, ev->data.ptr);
		break;
	case SOURCE_CONN:
		conn_on_event(ev->data.ptr, ev->events);
		break;
	case SOURCE_PIPE:
		conn_on_pipe(container_of(ev->data.ptr, struct conn, pipe_source));
		break;
	}
}

/* Has http_server_stop() been called? The first time it has: refuse, and end what waits. */
static void look_for_stop(struct http_server *s)
{
	struct conn *c, *tmp;
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->stop_at != 0;
	pthread_mutex_unlock(&s->lock);
	if (!stop || s->stopping)
		return;
	s->stopping = true;
	watch_listeners(s, 0);
	list_for_each_safe (c, tmp, &s->conns, node)
		conn_on_stop(c);
}

/* All but those that a handler still has. */
static void close_all(struct http_server *s)
{
	struct conn *c, *tmp;

	run_notes(s);
	list_for_each_safe (c, tmp, &s->conns, node)
		conn_close(c);
	reap(s);
}

bool server_lead(struct http_server *s)
{
	struct epoll_event events[EVENTS];
	int n;

	while (!pool_has_work(s->pool)) {
		look_for_stop(s);
		reap(s);
		if (s->stopping && (s->n_conns == 0 || clock_mono_ns() >= s->stop_at)) {
			close_all(s);
			return false;
		}
		n = epoll_wait(s->epoll, events, EVENTS, wait_ms(s));
		for (int i = 0; i < n; i++)
			serve_event(s, &events[i]);
		run_notes(s);
		run_deadlines(s);
		if (s->accept_again && s->accept_again <= clock_mono_ns())
			resume_accepting(s);
	}
	return true;
}

/* --------------------------------------------------------------------------------- the interface
 */

static void server_free(struct http_server *s)
{
	struct listener *l, *tmp;

	if (!s)
		return;
	list_for_each_safe (l, tmp, &s->listeners, node)
		free(l);
	pool_free(s->pool);
	close_fd(&s->epoll);
	close_fd(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void server_free_p(struct http_server **s)
{
	server_free(*s);
}

static void set_defaults(struct http_server_options *o)
{
	if (!o->max_head)
		o->max_head = 64 * 1024;
	if (!o->max_body)
		o->max_body = 4 * 1024 * 1024;
	if (!o->max_connections)
		o->max_connections = 1024;
	if (!o->max_workers)
		o->max_workers = 64;
	if (!o->deadline_ms)
		o->deadline_ms = 30000;
}

static struct http_server *server_new(const struct http_server_options *options)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->options = *options;
	set_defaults(&s->options);
	s->limits =
		(struct http_limits){ .head = s->options.max_head, .body = s->options.max_body };
	list_init(&s->conns);
	list_init(&s->dead);
	list_init(&s->idle);
	list_init(&s->deadlines);
	list_init(&s->noted);
	list_init(&s->listeners);
	pthread_mutex_init(&s->lock, NULL);
	s->wake_source = SOURCE_WAKE;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s;
}

int http_server_start(struct http_server **ret, const struct http_server_options *options,
		      struct cnm_error *err)
{
	_cleanup_(server_free_p) struct http_server *s = server_new(options);
	struct epoll_event ev = { .events = EPOLLIN };
	int r;

	if (!s)
		return cnm_error_errno(err, ENOMEM, "start the HTTP server");
	ev.data.ptr = &s->wake_source;
	if (s->epoll < 0 || s->wake < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->wake, &ev) < 0)
		return cnm_error_errno(err, errno, "start the HTTP server: open its descriptors");
	r = pool_new(&s->pool, s, s->options.max_workers);
	if (r == 0)
		r = pool_start(s->pool);
	if (r < 0)
		return cnm_error_errno(err, r, "start the HTTP server");
	*ret = take_ptr(s);
	return 0;
}

int http_server_listen(struct http_server *s, int fd, struct cnm_error *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = l };
	int flags = fcntl(fd, F_GETFL);

	if (!l)
		return cnm_error_errno(err, ENOMEM, "listen");
	l->source = SOURCE_LISTENER;
	l->fd = fd;
	LOCKED(&s->lock);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int saved = errno;

		free(l);
		return cnm_error_errno(err, saved, "accept connections on descriptor %d", fd);
	}
	list_append(&s->listeners, &l->node);
	return 0;
}

int http_server_adopt(struct http_server *s, int fd, struct cnm_error *err)
{
	_close_ int own = fd;
	struct conn *c = conn_new(s, fd);

	if (!c)
		return cnm_error_errno(err, ENOMEM, "serve a connection");
	take_fd(&own);
	server_note(c, NOTE_NEW);
	return 0;
}

int http_server_stop(struct http_server *s, unsigned timeout_ms)
{
	uint64_t until = clock_mono_ns() + timeout_ms * MS;

	pthread_mutex_lock(&s->lock);
	s->stop_at = until;
	wake(s);
	pthread_mutex_unlock(&s->lock);
	if (pool_wait(s->pool, until + STOP_GRACE_MS * MS) < 0)
		return -ETIMEDOUT;
	close_all(s); /* what handlers gave back, and what was adopted, since the loop ended */
	server_free(s);
	return 0;
}
