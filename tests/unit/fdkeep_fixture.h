/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of kernel/fdkeep share: a directory for each test, files to keep, and what is
 * expected back. One program includes it once.
 */
#ifndef TESTS_FDKEEP_FIXTURE_H
#define TESTS_FDKEEP_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel/fdkeep.h"

#define MANY 600 /* descriptors: more than fit one message */

static char dir[64];
static struct cnm_error err;

static inline int make_dir(void **state)
{
	strcpy(dir, "/tmp/cnm-test-fdkeep.XXXXXX");
	memset(&err, 0, sizeof(err));
	return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline void put(struct fdkeep *k, const char *name, const int *fds, int n)
{
	if (fdkeep_put(k, name, fds, n, &err) < 0)
		fail_msg("fdkeep_put %s: %s", name, err.text);
}

/* An unlinked file: its inode tells it from others. */
static inline int new_file(void)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static inline ino_t inode(int fd)
{
	struct stat sb;

	assert_int_equal(fstat(fd, &sb), 0);
	return sb.st_ino;
}

/* Takes the one descriptor of name and says whether it is that file. */
static inline void assert_takes(struct fdkeep *k, const char *name, ino_t want)
{
	int fds[4];

	assert_int_equal(fdkeep_take(k, name, fds, 4), 1);
	assert_int_equal(inode(fds[0]), want);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	close(fds[0]);
}

static inline void assert_nothing(struct fdkeep *k, const char *name)
{
	int fd;

	assert_int_equal(fdkeep_take(k, name, &fd, 1), 0);
}

static inline void expect_error(int r, enum cnm_error_class class, const char *part)
{
	assert_true(r < 0);
	if (!strstr(err.text, part))
		fail_msg("expected \"%s\" in \"%s\"", part, err.text);
	assert_int_equal(err.class, class);
	memset(&err, 0, sizeof(err));
}

static inline pid_t fork_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed assertion must not run on here */
	return pid;
}

static inline int wait_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int is_even(const char *name, void *arg)
{
	++*(int *)arg;
	return (name[strlen(name) - 1] - '0') % 2 == 0;
}

static inline int remove_dir(void **state)
{
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
