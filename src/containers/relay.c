/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The relay's thread, and how other threads ask things of it. Structures: relay_internal.h. */
#include "containers/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "containers/relay_internal.h"

#define EVENTS_AT_A_TIME 64
#define STACK_SIZE       (64 * 1024)

/* ------------------------------------------------------------------------------- the thread */

static void release_dead(struct relay *r)
{
	while (!list_empty(&r->dead)) {
		struct relay_session *s = container_of(r->dead.next, struct relay_session, node);

		list_del(&s->node);
		session_unref(s);
	}
}

/* Does one thing that was asked for. false: there is none. */
static bool run_call(struct relay *r)
{
	struct relay_session *s = NULL;
	struct relay_source source;
	unsigned asked = 0;

	pthread_mutex_lock(&r->lock);
	if (!list_empty(&r->calls)) {
		s = container_of(r->calls.next, struct relay_session, call_node);
		list_del(&s->call_node);
		asked = s->asked;
		s->asked = 0;
		source = s->source;
	}
	pthread_mutex_unlock(&r->lock);
	if (!s)
		return false;
	session_call(s, asked, &source);
	session_unref(s);
	return true;
}

static void run_calls(struct relay *r)
{
	while (run_call(r))
		;
}

static void clear_wake(struct relay *r)
{
	uint64_t count;

	if (read(r->wake, &count, sizeof(count)) < 0)
		return; /* cleared already */
}

static bool is_stopping(struct relay *r)
{
	LOCKED(&r->lock);
	return r->stopping;
}

static void *relay_main(void *arg)
{
	struct relay *r = arg;
	struct epoll_event events[EVENTS_AT_A_TIME];

	while (!is_stopping(r)) {
		int n = epoll_wait(r->epoll, events, EVENTS_AT_A_TIME, -1);

		for (int i = 0; i < n; i++) {
			if (!events[i].data.ptr)
				clear_wake(r);
		}
		/* First: a client that left after relay_connect() has its last words heard. */
		run_calls(r);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				session_event(events[i].data.ptr, events[i].events);
		}
		release_dead(r);
	}
	run_calls(r);
	while (!list_empty(&r->sessions))
		session_stop(container_of(r->sessions.next, struct relay_session, node));
	release_dead(r);
	return NULL;
}

/* ---------------------------------------------------------------------------- start and stop */

static void relay_free(struct relay *r)
{
	close_fd(&r->epoll);
	close_fd(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r->buf);
	free(r);
}

/* With all signals blocked: they are the program's other threads', and SIGPIPE is nobody's. */
static int start_thread(struct relay *r)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int e = pthread_attr_init(&attr);

	if (e)
		return -e;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&r->thread, &attr, relay_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -e;
}

static int relay_open(struct relay *r)
{
	struct epoll_event readable = { .events = EPOLLIN };

	r->buf = malloc(DETACH_MAX + IO_SIZE);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!r->buf)
		return -ENOMEM;
	if (r->epoll < 0 || r->wake < 0 ||
	    epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->wake, &readable) < 0)
		return -errno;
	return start_thread(r);
}

int relay_start(struct relay **ret, struct cnm_error *err)
{
	struct relay *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return cnm_error_errno(err, ENOMEM, "start the relay of attached clients");
	list_init(&r->sessions);
	list_init(&r->dead);
	list_init(&r->calls);
	pthread_mutex_init(&r->lock, NULL);
	e = relay_open(r);
	if (e < 0) {
		relay_free(r);
		return cnm_error_errno(err, e, "start the relay of attached clients");
	}
	*ret = r;
	return 0;
}

static void wake(struct relay *r)
{
	uint64_t one = 1;

	/* It fails only when it is full: then the thread is being woken anyway. */
	if (write(r->wake, &one, sizeof(one)) < 0)
		return;
}

void relay_stop(struct relay *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_mutex_unlock(&r->lock);
	wake(r);
	pthread_join(r->thread, NULL);
	relay_free(r);
}

/* --------------------------------------------------------------------- calls of other threads */

/* With the lock. true: the thread is to be woken, without it. */
static bool ask(struct relay_session *s, enum relay_ask what)
{
	struct relay *r = s->relay;
	bool first = list_empty(&r->calls);

	s->asked |= what;
	if (!list_empty(&s->call_node))
		return false;
	session_ref(s);
	list_append(&r->calls, &s->call_node);
	return first;
}

static void ask_and_wake(struct relay_session *s, enum relay_ask what)
{
	struct relay *r = s->relay;
	bool first;

	pthread_mutex_lock(&r->lock);
	first = ask(s, what);
	pthread_mutex_unlock(&r->lock);
	if (first)
		wake(r);
}

struct relay_session *relay_begin(struct relay *r, const struct relay_options *options)
{
	struct relay_session *s = session_new(r, options);

	if (!s) {
		int fd = options->client;

		close_fd(&fd);
		return NULL;
	}
	ask_and_wake(s, ASK_BEGIN);
	return s;
}

void relay_release(struct relay_session *s)
{
	if (s)
		session_unref(s);
}

static void set_nonblocking(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void close_source(struct relay_source *source)
{
	close_fd(&source->packets);
	close_fd(&source->terminal);
	close_fd(&source->in);
	close_fd(&source->out);
	close_fd(&source->err);
}

int relay_connect(struct relay_session *s, const struct relay_source *source)
{
	struct relay_source given = *source;
	struct relay *r = s->relay;
	bool first = false, again;

	set_nonblocking(given.terminal);
	set_nonblocking(given.in);
	set_nonblocking(given.out);
	set_nonblocking(given.err);
	pthread_mutex_lock(&r->lock);
	again = s->connected;
	if (!again) {
		s->connected = true;
		s->source = given;
		first = ask(s, ASK_CONNECT);
	}
	pthread_mutex_unlock(&r->lock);
	if (again) {
		close_source(&given);
		return -EALREADY;
	}
	if (first)
		wake(r);
	return 0;
}

void relay_finish(struct relay_session *s)
{
	ask_and_wake(s, ASK_FINISH);
}

void relay_end(struct relay_session *s)
{
	ask_and_wake(s, ASK_END);
}

int relay_resize(struct relay_session *s, unsigned rows, unsigned columns)
{
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
	LOCKED(&s->relay->lock);

	if (s->over)
		return -ESHUTDOWN;
	if (!s->connected)
		return -EAGAIN;
	if (s->source.terminal < 0)
		return -ENOTTY;
	/* The descriptor is not closed before over is set. */
	return ioctl(s->source.terminal, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}
