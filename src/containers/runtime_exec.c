/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Executions: "RUNTIME exec --detach", which hands its own stdio to the process, or the terminal's
 * master to a socket, and ends when the process runs. All in the execution's directory, which is
 * the runtime's working directory, so that names are relative and short: process.json, pid, log the
 * OCI process; its pid; the runtime's own words, apart from stderr console                  the
 * socket: what is sent there waits in it until the runtime has ended
 *
 * The process has the runtime for its parent, and us when that ends; it may have ended too by then.
 * Strays are held back until its pid is known (process.h), so that its status is not lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "containers/runtime_internal.h"

#define EXEC_MS 60000

static const char what_exec[] = "execute in the container";

/* Ours and the process's end of each of its stdio; -1 where there is none. */
struct stdio {
	int ours[3], theirs[3];
	int console; /* listens; -1 without a terminal */
};

/* ---- stdio */

static int make_pipe(int *reader, int *writer, int *ours)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	*reader = p[0];
	*writer = p[1];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_pipes(struct stdio *s)
{
	int r = make_pipe(&s->theirs[0], &s->ours[0], &s->ours[0]);

	for (int i = 1; r == 0 && i < 3; i++)
		r = make_pipe(&s->ours[i], &s->theirs[i], &s->ours[i]);
	return r;
}

static int open_null(struct stdio *s)
{
	for (int i = 0; i < 3; i++) {
		s->theirs[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (s->theirs[i] < 0)
			return -errno;
	}
	return 0;
}

static int listen_console(struct stdio *s, int dir)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/console", dir);
	s->console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->console < 0 || bind(s->console, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(s->console, 1) < 0)
		return -errno;
	return 0;
}

static void close_stdio(struct stdio *s)
{
	for (int i = 0; i < 3; i++) {
		close_fd(&s->ours[i]);
		close_fd(&s->theirs[i]);
	}
	close_fd(&s->console);
}

/* The descriptor that was sent to the console socket: non-blocking. Or a negative errno. */
static int receive_terminal(int console)
{
	_close_ int connection = accept4(console, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char name[4096];
	struct iovec iov = { name, sizeof(name) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	const struct cmsghdr *c;
	_close_ int fd = -1;

	if (connection < 0 || recvmsg(connection, &m, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ? -errno : take_fd(&fd);
}

/* ---- running it */

static int write_process(int dir, const char *json)
{
	_close_ int fd =
		openat(dir, "process.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t n = strlen(json);
	ssize_t written;

	if (fd < 0)
		return -errno;
	written = write(fd, json, n);
	return written == (ssize_t)n ? 0 : written < 0 ? -errno : -ENOSPC;
}

/* The runtime failed: its log tells why; if it is empty, err has what process_run() knows. */
static int explain(const struct runtime *rt, const struct runtime_exec *x, int dir, int r,
		   struct cnm_error *err)
{
	_free_ char *log = runtime_read_file(dir, "log");
	_json_ json_t *process = NULL;

	if (!log || !*log)
		return r;
	process = json_loads(x->process, 0, NULL);
	return runtime_refused(
		rt, what_exec, log,
		json_string_value(json_array_get(json_object_get(process, "args"), 0)), err);
}

static int run(const struct runtime *rt, const struct runtime_exec *x, struct stdio *s, int dir,
	       struct cnm_error *err)
{
	char *argv[RUNTIME_ARGS];
	unsigned n = runtime_options_args(rt, argv, (char *)"log");
	const char *const words[] = { "exec", "--detach",  "--pid-file",
				      "pid",  "--process", "process.json" };
	struct process_options options = {
		.what = what_exec,
		.deadline_ms = EXEC_MS,
		.dir = x->dir,
		.in_fd = s->theirs[0],
		.out_fd = s->theirs[1],
		.err_fd = s->theirs[2],
		.hold_strays = true,
	};
	int r;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		argv[n++] = (char *)words[i];
	if (x->terminal) {
		argv[n++] = (char *)"--console-socket";
		argv[n++] = (char *)"console";
	}
	argv[n++] = (char *)x->id;
	argv[n] = NULL;
	r = process_run(argv, &options, NULL, err);
	return r < 0 ? explain(rt, x, dir, r, err) : 0;
}

/* The process exists: its pid, known from now on, and its descriptors. */
static int take_over(struct stdio *s, int dir, bool terminal, struct runtime_executed *ret,
		     struct cnm_error *err)
{
	struct runtime_executed e = { .pidfd = -1, .terminal = -1, .in = -1, .out = -1, .err = -1 };

	e.pid = runtime_read_pid(dir, "pid");
	e.pidfd = e.pid > 0 ? process_open(e.pid) : -ENOENT;
	if (e.pidfd < 0)
		return cnm_error_errno(err, e.pidfd, "%s: its pid", what_exec);
	if (terminal) {
		e.terminal = receive_terminal(s->console);
		if (e.terminal < 0) {
			int r = e.terminal;

			(void)pidfd_send_signal(e.pidfd, SIGKILL, NULL, 0); /* a stray, then */
			close_fd(&e.pidfd);
			return cnm_error_errno(err, r, "%s: its terminal", what_exec);
		}
	}
	e.in = take_fd(&s->ours[0]);
	e.out = take_fd(&s->ours[1]);
	e.err = take_fd(&s->ours[2]);
	process_expect(e.pid);
	*ret = e;
	return 0;
}

static int prepare(const struct runtime_exec *x, int dir, struct stdio *s, struct cnm_error *err)
{
	int r = write_process(dir, x->process);

	if (r == 0)
		r = x->terminal   ? listen_console(s, dir)
		    : x->no_stdio ? open_null(s)
				  : open_pipes(s);
	return r < 0 ? cnm_error_errno(err, r, "%s: prepare %s", what_exec, x->dir) : 0;
}

int runtime_exec(struct runtime *rt, const struct runtime_exec *x, struct runtime_executed *ret,
		 struct cnm_error *err)
{
	struct stdio s = { { -1, -1, -1 }, { -1, -1, -1 }, -1 };
	_close_ int dir = -1;
	int r = runtime_check(rt, err);

	if (r < 0)
		return r;
	dir = open(x->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return cnm_error_errno(err, errno, "%s: open %s", what_exec, x->dir);
	r = prepare(x, dir, &s, err);
	if (r == 0)
		r = run(rt, x, &s, dir, err);
	if (r == 0) {
		r = take_over(&s, dir, x->terminal, ret, err);
		process_release_strays();
	}
	close_stdio(&s);
	return r;
}
