/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/stream.h"
#include "cnm/tty.h"

/* A session that runs. */
struct live {
	const struct session *s;
	struct tty tty;
	sigset_t old_mask;
	int signals; /* signalfd, or -1 */
	int deadly;  /* the signal that is to end cnm, or 0 */
};

int session_check_input(bool in, bool terminal, struct cnm_error *err)
{
	if (in && terminal && !isatty(STDIN_FILENO))
		return cnm_error_set(err, CNM_E_INVALID, "the input device is not a TTY");
	return 0;
}

/* ---- signals */

/* What goes wrong is not told: the container may just have ended. */
static void post(const struct live *l, const char *verb, const char *query)
{
	struct cnm_error ignored = { 0 };
	_free_ char *path = api_path(l->s->collection, l->s->id, verb, query);

	if (path)
		client_call(l->s->client, "POST", path, NULL, NULL, &ignored);
}

static void send_size(const struct live *l)
{
	unsigned rows, columns;
	char query[48];

	if (!l->s->terminal || !tty_size(&rows, &columns))
		return;
	snprintf(query, sizeof(query), "h=%u&w=%u", rows, columns);
	post(l, "resize", query);
}

static void proxy(const struct live *l, unsigned signal)
{
	char query[24];

	snprintf(query, sizeof(query), "signal=%u", signal);
	post(l, "kill", query);
}

static bool on_signal(void *arg)
{
	struct live *l = arg;
	struct signalfd_siginfo info;

	if (read(l->signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (!l->s->terminal)
		proxy(l, info.ssi_signo);
	else if (info.ssi_signo == SIGWINCH)
		send_size(l);
	else
		l->deadly = (int)info.ssi_signo;
	return l->deadly != 0;
}

/* Those that are proxied: all but those about cnm itself, its children and its terminal. */
static void proxied_signals(sigset_t *set)
{
	static const int own[] = { SIGCHLD, SIGPIPE, SIGURG, SIGTTIN, SIGTTOU, SIGSEGV,
				   SIGBUS,  SIGILL,  SIGFPE, SIGTRAP, SIGABRT, SIGSYS };

	sigfillset(set);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(set, own[i]);
}

static void terminal_signals(sigset_t *set)
{
	static const int watched[] = { SIGWINCH, SIGHUP, SIGINT, SIGQUIT, SIGTERM };

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		sigaddset(set, watched[i]);
}

/* A reader of our output that is gone is told by write(), since the terminal is to be restored. */
static int take_signals(struct live *l, struct cnm_error *err)
{
	sigset_t set, blocked;

	sigemptyset(&set);
	if (l->s->terminal)
		terminal_signals(&set);
	else if (l->s->sig_proxy)
		proxied_signals(&set);
	blocked = set;
	sigaddset(&blocked, SIGPIPE);
	sigprocmask(SIG_BLOCK, &blocked, &l->old_mask);
	if (!l->s->terminal && !l->s->sig_proxy)
		return 0;
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return l->signals < 0 ? cnm_error_errno(err, errno, "watch for signals") : 0;
}

/* ---- the session */

static void live_end(struct live *l)
{
	tty_restore(&l->tty);
	close_fd(&l->signals);
	sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
	if (l->deadly)
		raise(l->deadly);
}

static int live_begin(struct live *l, struct cnm_error *err)
{
	int r = take_signals(l, err);

	if (r == 0 && l->s->terminal && l->s->in)
		r = tty_set_raw(&l->tty, STDIN_FILENO, err);
	if (r == 0)
		send_size(l);
	return r;
}

static int copy(struct live *l, struct client_hijacked *connection, bool *ret_detached,
		struct cnm_error *err)
{
	const struct session *s = l->s;
	struct stream stream = { .connection = connection,
				 .in = s->in ? STDIN_FILENO : -1,
				 .out = s->out,
				 .terminal = s->terminal,
				 .signals = l->signals,
				 .on_signal = on_signal,
				 .arg = l };
	enum stream_end end = STREAM_ENDED;
	int r;

	if (s->terminal && s->in)
		stream.detach = keys_parse(s->detach_keys);
	r = stream_run(&stream, &end, err);
	if (r == -EPIPE)
		l->deadly = SIGPIPE;
	*ret_detached = end == STREAM_DETACHED;
	return r;
}

/* Signals are handled until the answer comes: a container may close its output and go on. */
static void await(struct live *l, const struct client_pending *pending)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .fd = l->signals, .events = POLLIN } };

	while (!l->deadly && !client_pending_ready(pending, &fds[0].fd)) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			on_signal(l);
		else if (fds[0].revents)
			return;
	}
}

int session_run(const struct session *s, struct client_hijacked *connection,
		const struct client_pending *pending, bool *ret_detached, struct cnm_error *err)
{
	struct live l = { .s = s, .signals = -1 };
	bool detached = false;
	int r = live_begin(&l, err);

	if (r == 0)
		r = copy(&l, connection, &detached, err);
	if (r == 0 && !detached && pending)
		await(&l, pending);
	live_end(&l);
	*ret_detached = detached;
	return r;
}
