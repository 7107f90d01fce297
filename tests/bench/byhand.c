/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * byhand: what conmon and an OCI runtime cost by themselves.
 *
 * Reads commands from standard input. A command line is a line of words with tabs between them.
 *
 *   run DIR    two command lines follow: conmon's, which is started in DIR (the bundle) and says
 *              when the container is created; and the runtime's, which starts it
 *   call       a command line follows: a program, waited for
 *
 * Each is answered by a line of the status (0: all went well) and the nanoseconds it took. The
 * programs' output goes nowhere, but for what they write to standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINE  16384
#define MAX_WORDS 128
#define SYNC_FD   3

static char *environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			       "HOME=/root",
			       "LANG=C.UTF-8",
			       "TMPDIR=.",
			       "_OCI_SYNCPIPE=3",
			       NULL };

struct command {
	char line[MAX_LINE];
	char *argv[MAX_WORDS];
};

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "byhand: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void read_command(struct command *c)
{
	size_t n = 0;

	if (!fgets(c->line, sizeof(c->line), stdin))
		die("a command line");
	c->line[strcspn(c->line, "\n")] = '\0';
	for (char *at = c->line, *word; n < MAX_WORDS - 1 && (word = strsep(&at, "\t"));)
		c->argv[n++] = word;
	c->argv[n] = NULL;
}

/* sync: the pipe that conmon answers to, which then gets a session and a directory of its own. */
static pid_t start(const struct command *c, const char *dir, int sync)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	for (int fd = 0; fd < 2; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	if (sync >= 0) {
		posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_RDWR, 0);
		posix_spawn_file_actions_adddup2(&actions, sync, SYNC_FD);
		posix_spawn_file_actions_addchdir_np(&actions, dir);
		posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	}
	errno = posix_spawnp(&pid, c->argv[0], &actions, &attributes, c->argv, environment);
	if (errno)
		die(c->argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* conmon says {"data": PID}, or what went wrong. */
static int await_created(int sync)
{
	char answer[4096];
	ssize_t n = read(sync, answer, sizeof(answer) - 1);
	const char *data;

	answer[n > 0 ? n : 0] = '\0';
	data = strstr(answer, "\"data\":");
	if (data && atoi(data + strlen("\"data\":")) > 0)
		return 0;
	fprintf(stderr, "byhand: conmon: %s\n", answer);
	return 1;
}

static int run(const char *dir, long long *ret_ns)
{
	static struct command conmon, runtime;
	long long begin;
	int sync[2], status;

	read_command(&conmon);
	read_command(&runtime);
	begin = now_ns();
	if (pipe2(sync, O_CLOEXEC) < 0)
		die("pipe");
	start(&conmon, dir, sync[1]);
	close(sync[1]);
	status = await_created(sync[0]);
	close(sync[0]);
	if (status == 0)
		status = wait_for(start(&runtime, NULL, -1));
	*ret_ns = now_ns() - begin;
	return status;
}

static int call(long long *ret_ns)
{
	static struct command program;
	long long begin;
	int status;

	read_command(&program);
	begin = now_ns();
	status = wait_for(start(&program, NULL, -1));
	*ret_ns = now_ns() - begin;
	return status;
}

/* Those that stay with a container end after it. */
static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	static char line[MAX_LINE];
	long long ns;
	int status;

	if (fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, SYNC_FD) < 0) /* no pipe gets this number now */
		die("descriptor 3");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		reap();
		status = strncmp(line, "run ", 4) == 0 ? run(line + 4, &ns) : call(&ns);
		printf("%d %lld\n", status, ns);
		fflush(stdout);
	}
	return 0;
}
