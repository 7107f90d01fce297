/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * It reads from a file in memory and writes into others, so there is nothing to wait for but its
 * end.
 */
#include "kernel/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* In PATH, else where programs for root are. */
static int spawn(const struct program *p, const char *const argv[], const int files_of[3],
		 pid_t *ret)
{
	static const char *const dirs[] = { "", "/usr/sbin/", "/usr/bin/", "/sbin/" };
	char path[64];
	const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r = 0;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&files);
	for (int i = 0; r == 0 && i < 3; i++)
		r = posix_spawn_file_actions_adddup2(&files, files_of[i], i);
	if (r == 0)
		r = ENOENT;
	for (size_t i = 0; r == ENOENT && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dirs[i], p->name);
		r = posix_spawnp(ret, path, &files, &attr, (char *const *)argv, (char *const *)env);
	}
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* 0 when the process has ended, -ETIME, or another failure. */
static int wait_until(pid_t pid, uint64_t end)
{
	_close_ int pidfd = pidfd_open(pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return -errno;
	for (;;) {
		uint64_t now = clock_mono_ns();
		int n = now < end ? poll(&p, 1, (int)((end - now) / 1000000) + 1) : 0;

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIME;
	}
}

/* Its exit status, or -ETIME when it had to be killed, or another failure. */
static int wait_for(const struct program *p, pid_t pid)
{
	int r = wait_until(pid, clock_mono_ns() + p->deadline_s * 1000000000ull), status;

	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A file in memory, not inherited but as what spawn() makes of it. */
static int memory_file(const char *content)
{
	_close_ int fd = memfd_create("program", MFD_CLOEXEC);
	size_t done = 0, len = strlen(content);

	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n = pwrite(fd, content + done, len - done, (off_t)done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return take_fd(&fd);
}

/* The first line of what it said. */
static void complaint(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* The whole of a file, terminated. */
static int read_all(int fd, char **ret)
{
	_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = pread(fd, text, (size_t)st.st_size, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	*ret = take_ptr(text);
	return 0;
}

static int run(const struct program *p, const char *const argv[], const int files[3],
	       struct cnm_error *err)
{
	char said[512];
	pid_t pid = 0;
	int r = spawn(p, argv, files, &pid);

	if (r == -ENOENT)
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "the program %s is neither in PATH nor in /usr/sbin, /usr/bin "
				     "or /sbin; install the package %s",
				     p->name, p->package);
	if (r < 0)
		return cnm_error_errno(err, r, "start %s", p->name);
	r = wait_for(p, pid);
	if (r == -ETIME)
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "%s did not end within %u seconds and was killed", p->name,
				     p->deadline_s);
	if (r < 0)
		return cnm_error_errno(err, r, "wait for %s", p->name);
	if (r > 0) {
		complaint(files[2], said, sizeof(said));
		cnm_error_set(err, CNM_E_INTERNAL, "%s ended with status %d: %s", p->name, r, said);
	}
	return r;
}

int program_run(const struct program *p, const char *const argv[], const char *input,
		char **ret_out, struct cnm_error *err)
{
	_close_ int in = memory_file(input), out = memory_file(""), said = memory_file("");
	int r = in < 0 ? in : out < 0 ? out : said < 0 ? said : 0;

	if (r < 0)
		return cnm_error_errno(err, r, "make a file in memory");
	r = run(p, argv, (const int[]){ in, out, said }, err);
	if (r != 0 || !ret_out)
		return r;
	r = read_all(out, ret_out);
	return r < 0 ? cnm_error_errno(err, r, "read what %s wrote", p->name) : 0;
}
