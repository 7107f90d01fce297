/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program run to its end: its output kept, its time limited, its failure told in one line. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "containers/process.h"

#define DEFAULT_DEADLINE_MS 60000
#define DEFAULT_OUTPUT      (64 * 1024)
#define TOLD                800 /* bytes of stderr in an error */

/* One stream of the program: what was read of it, and the rest thrown away. */
struct stream {
	int fd; /* -1: ended */
	struct strbuf text;
	size_t max;
};

enum { OUT, ERR, N_STREAMS };

struct run {
	struct stream streams[N_STREAMS];
	pid_t pid;
	int pidfd;
	uint64_t deadline;
	bool late;
	bool held; /* strays, for a program that leaves one */
};

static void stream_read(struct stream *s)
{
	char buf[16384];
	ssize_t n = read(s->fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_fd(&s->fd);
		return;
	}
	if (s->text.len < s->max)
		strbuf_addn(&s->text, buf,
			    (size_t)n < s->max - s->text.len ? (size_t)n : s->max - s->text.len);
}

/* What is in the pipe now. A process that the program left behind may hold it open. */
static void stream_drain(struct stream *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	while (s->fd >= 0 && poll(&p, 1, 0) > 0)
		stream_read(s);
}

static int remaining_ms(const struct run *run)
{
	uint64_t now = clock_mono_ns();

	if (run->late)
		return -1; /* killed: it will end */
	return now >= run->deadline ? 0 : (int)((run->deadline - now) / 1000000 + 1);
}

static void kill_group(const struct run *run)
{
	(void)kill(-run->pid, SIGKILL); /* it leads the group, and is not yet waited for */
}

/* Read what it says until it has ended. */
static void follow(struct run *run)
{
	for (;;) {
		struct pollfd p[] = {
			{ .fd = run->streams[OUT].fd, .events = POLLIN },
			{ .fd = run->streams[ERR].fd, .events = POLLIN },
			{ .fd = run->pidfd, .events = POLLIN },
		};
		int n = poll(p, 3, remaining_ms(run));

		if (n == 0) {
			run->late = true;
			kill_group(run);
		}
		if (n <= 0)
			continue;
		for (int i = 0; i < N_STREAMS; i++)
			if (p[i].revents)
				stream_read(&run->streams[i]);
		if (p[2].revents)
			return;
	}
}

static int wait_for(struct run *run, bool hold, int *ret_status)
{
	run->held = hold;
	return process_wait(run->pid, ret_status);
}

static int start(struct run *run, char *const argv[], const struct process_options *options,
		 struct cnm_error *err)
{
	struct process_options o = *options;
	_close_ int out = -1; /* their ends, which only the child is to have */
	_close_ int error = -1;
	int pipes[2], r;
	pid_t pid;

	o.session = false; /* kill_group() ends the group */
	if (o.out_fd <= 0) {
		if (pipe2(pipes, O_CLOEXEC) < 0)
			return cnm_error_errno(err, errno, "%s: make a pipe", o.what);
		run->streams[OUT].fd = pipes[0];
		out = pipes[1];
		o.out_fd = out;
	}
	if (o.err_fd <= 0) {
		if (pipe2(pipes, O_CLOEXEC) < 0)
			return cnm_error_errno(err, errno, "%s: make a pipe", o.what);
		run->streams[ERR].fd = pipes[0];
		error = pipes[1];
		o.err_fd = error;
	}
	pid = process_spawn(argv, &o, err);
	if (pid < 0)
		return pid;
	run->pid = pid;
	r = run->pidfd = process_open(pid);
	if (r < 0) {
		int status;

		kill_group(run);
		(void)wait_for(run, o.hold_strays, &status);
		return cnm_error_errno(err, r, "%s: watch %s", o.what, argv[0]);
	}
	return 0;
}

/* The end of what it said, its lines joined by "; ". */
static void last_words(const char *text, char ret[static TOLD + 1])
{
	size_t n = strlen(text), at = 0;

	while (n && strchr("\n\r\t ", text[n - 1]))
		n--;
	if (n > TOLD / 2) {
		text += n - TOLD / 2;
		n = TOLD / 2;
	}
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n' && at)
			ret[at++] = ';';
		ret[at++] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
	}
	ret[at] = 0;
}

static int tell(const struct run *run, int status, const char *said, const char *program,
		const struct process_options *o, struct cnm_error *err)
{
	char words[TOLD + 1], how[80];

	if (!run->late && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	last_words(said, words);
	if (run->late)
		snprintf(how, sizeof(how), "did not end within %u s, and was killed",
			 (o->deadline_ms ? o->deadline_ms : DEFAULT_DEADLINE_MS) / 1000);
	else if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "exited with status %d", WEXITSTATUS(status));
	if (!*words)
		return cnm_error_set(err, CNM_E_INTERNAL, "%s: %s %s", o->what, program, how);
	if (!run->late && WIFEXITED(status))
		return cnm_error_set(err, CNM_E_INTERNAL, "%s: %s: %s", o->what, program, words);
	return cnm_error_set(err, CNM_E_INTERNAL, "%s: %s %s: %s", o->what, program, how, words);
}

static int finish(struct run *run, const char *program, const struct process_options *o,
		  struct process_result *ret, struct cnm_error *err)
{
	struct process_result result = { .status = 0 };
	int r;

	follow(run);
	for (int i = 0; i < N_STREAMS; i++)
		stream_drain(&run->streams[i]);
	r = wait_for(run, o->hold_strays, &result.status);
	if (r < 0)
		return cnm_error_errno(err, r, "%s: wait for %s", o->what, program);
	result.out = strbuf_take(&run->streams[OUT].text);
	result.err = strbuf_take(&run->streams[ERR].text);
	if (!result.out || !result.err)
		r = cnm_error_errno(err, ENOMEM, "%s: keep what %s says", o->what, program);
	else
		r = tell(run, result.status, result.err, program, o, err);
	if (ret && result.out && result.err)
		*ret = result;
	else
		process_result_free(&result);
	return r;
}

int process_run(char *const argv[], const struct process_options *options,
		struct process_result *ret, struct cnm_error *err)
{
	size_t max = options->max_output ? options->max_output : DEFAULT_OUTPUT;
	unsigned ms = options->deadline_ms ? options->deadline_ms : DEFAULT_DEADLINE_MS;
	struct run run = {
		.streams = { { .fd = -1, .max = max }, { .fd = -1, .max = max } },
		.pidfd = -1,
		.deadline = clock_mono_ns() + ms * UINT64_C(1000000),
	};
	int r;

	if (ret)
		*ret = (struct process_result){ .status = -1 };
	r = start(&run, argv, options, err);
	if (r == 0)
		r = finish(&run, argv[0], options, ret, err);
	if (r < 0 && run.held)
		process_release_strays();
	for (int i = 0; i < N_STREAMS; i++) {
		close_fd(&run.streams[i].fd);
		strbuf_free(&run.streams[i].text);
	}
	close_fd(&run.pidfd);
	return r;
}

void process_result_free(struct process_result *r)
{
	free(take_ptr(r->out));
	free(take_ptr(r->err));
}
