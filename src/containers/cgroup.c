/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cgroups, seen as directories below /sys/fs/cgroup: it is the unified hierarchy itself, or each
 * directory in it is a hierarchy (or a plain directory of the tmpfs, when a runtime took it for
 * one).
 *
 * Killing has to win against a program that forks: the v2 kernel has a file for it; in v1 all are
 * frozen while the list is read and the signals are sent. A pid is killed through a pidfd and only
 * if /proc says that it is in this cgroup, so that a pid reused meanwhile is spared.
 */
#include "containers/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "containers/process.h"
#include "containers/runtime.h"

#define ROOT        "/sys/fs/cgroup"
#define CGROUP2     0x63677270
#define MAX_DEPTH   32 /* of cgroups that a container made in its own */
#define KILL_ROUNDS 100

typedef int (*visit_fn)(int root, const char *name, const char *cgroup);

static bool is_of_container(const char *cgroup)
{
	return cgroup[0] == '/' && cgroup[1] && !strstr(cgroup, "/../") && !strstr(cgroup, "//");
}

static bool is_subdirectory(const struct dirent *d)
{
	return d->d_type == DT_DIR && d->d_name[0] != '.';
}

static DIR *open_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d)
		close_fd(&fd);
	return d;
}

/* fn() for the cgroup's directory in each hierarchy where it is. The sum of what they return. */
static int each_hierarchy(const char *cgroup, visit_fn fn)
{
	char name[PATH_MAX];
	const struct dirent *entry;
	struct statfs fs;
	int sum = 0;
	DIR *d = open_directory(AT_FDCWD, ROOT);

	if (!d)
		return 0;
	if (fstatfs(dirfd(d), &fs) == 0 && fs.f_type == CGROUP2)
		sum = fn(dirfd(d), cgroup + 1, cgroup);
	else
		while ((entry = readdir(d)))
			if (is_subdirectory(entry) &&
			    snprintf(name, sizeof(name), "%s%s", entry->d_name, cgroup) <
				    (int)sizeof(name))
				sum += fn(dirfd(d), name, cgroup);
	closedir(d);
	return sum;
}

/* ---- removal */

static void remove_below(int at, const char *name, unsigned depth)
{
	const struct dirent *entry;
	DIR *d;

	if (unlinkat(at, name, AT_REMOVEDIR) == 0 || depth == MAX_DEPTH)
		return;
	d = open_directory(at, name);
	if (!d)
		return;
	while ((entry = readdir(d)))
		if (is_subdirectory(entry))
			remove_below(dirfd(d), entry->d_name, depth + 1);
		else if (entry->d_type == DT_REG)
			(void)unlinkat(dirfd(d), entry->d_name, 0); /* refused, but on a tmpfs */
	closedir(d);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

static int remove_one(int root, const char *name, const char *cgroup)
{
	remove_below(root, name, 0);
	return 0;
}

void cgroup_remove(const char *cgroup)
{
	if (is_of_container(cgroup))
		each_hierarchy(cgroup, remove_one);
}

/* ---- killing */

/* Writes a word into one of its files. False when there is no such file here. */
static bool put(int dir, const char *file, const char *word)
{
	_close_ int fd = openat(dir, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && write(fd, word, strlen(word)) > 0;
}

/* Is it in this cgroup, or below? Lines are "5:memory:/cnm/ID". */
static bool is_member(pid_t pid, const char *cgroup)
{
	_free_ char *line = NULL;
	char path[40];
	size_t cap = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getline(&line, &cap, f) > 0) {
		const char *colon = strchr(line, ':'), *at = colon ? strchr(colon + 1, ':') : NULL;
		const char *rest = at ? str_after(at + 1, cgroup) : NULL;

		found = rest && (*rest == '\n' || *rest == '/');
	}
	fclose(f);
	return found;
}

static int open_member(pid_t pid, const char *cgroup)
{
	int pidfd = pid > 1 && pid != getpid() ? process_open(pid) : -1;

	if (pidfd >= 0 && !is_member(pid, cgroup))
		close_fd(&pidfd);
	return pidfd;
}

/* fn() for each of its processes; how many there were. */
static int each_process(int dir, const char *cgroup, void (*fn)(int pidfd))
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_NOFOLLOW | O_CLOEXEC), n = 0, pid;
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (!f) {
		close_fd(&fd);
		return 0;
	}
	while (fscanf(f, "%d", &pid) == 1) {
		_close_ int pidfd = open_member((pid_t)pid, cgroup);

		if (pidfd >= 0) {
			n++;
			fn(pidfd);
		}
	}
	fclose(f);
	return n;
}

static void send_kill(int pidfd)
{
	(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}

static void wait_killed(int pidfd)
{
	(void)process_kill(pidfd);
}

static int kill_below(int at, const char *name, const char *cgroup, unsigned depth)
{
	const struct dirent *entry;
	DIR *d = open_directory(at, name);
	int n = 0;

	if (!d)
		return 0;
	if (!put(dirfd(d), "cgroup.kill", "1")) {
		bool frozen = put(dirfd(d), "freezer.state", "FROZEN");

		each_process(dirfd(d), cgroup, send_kill);
		if (frozen)
			(void)put(dirfd(d), "freezer.state", "THAWED");
	}
	n = each_process(dirfd(d), cgroup, wait_killed);
	while (depth < MAX_DEPTH && (entry = readdir(d)))
		if (is_subdirectory(entry))
			n += kill_below(dirfd(d), entry->d_name, cgroup, depth + 1);
	closedir(d);
	return n;
}

static int kill_one(int root, const char *name, const char *cgroup)
{
	return kill_below(root, name, cgroup, 0);
}

int cgroup_kill(const char *cgroup)
{
	if (!is_of_container(cgroup))
		return -EINVAL;
	for (int i = 0; i < KILL_ROUNDS; i++)
		if (each_hierarchy(cgroup, kill_one) == 0)
			return 0;
	return -ETIME;
}
