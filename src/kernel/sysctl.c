/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files below /proc/sys. Which namespace they speak of is decided when they are opened, so another
 * namespace's are written by the helper thread, and those of the caller's at once.
 *
 * The kernel keeps the entries of all namespaces in one hash chain a name, so that a look-up of
 * "net" takes longer with each namespace there is: 0.6 ms at 1000. The home namespace's two busy
 * directories are therefore kept open, from its first use on.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kernel/netns.h"

struct access {
	const char *path, *value; /* value NULL: read */
	char *buf;
	size_t size;
	bool home;
};

static struct {
	const char *const prefix;
	int fd;
} kept[] = { { "net/ipv4/", -1 }, { "net/ipv6/conf/", -1 } };

static void keep_open(void)
{
	char path[64];

	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/sys/%s", kept[i].prefix);
		kept[i].fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
}

/* Opens a file of the home namespace, which the calling thread must be in at first. */
static int open_home(const char *path, int flags)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, keep_open);
	for (unsigned i = 0; i < 2; i++) {
		const char *rest = str_after(path + strlen("/proc/sys/"), kept[i].prefix);

		if (rest && kept[i].fd >= 0)
			return openat(kept[i].fd, rest, flags);
	}
	return open(path, flags);
}

static int access_file(void *arg)
{
	const struct access *a = arg;
	char path[PATH_MAX];
	_close_ int fd = -1;
	int flags;
	ssize_t n;

	if (snprintf(path, sizeof(path), "/proc/sys/%s", a->path) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	flags = (a->value ? O_WRONLY : O_RDONLY) | O_CLOEXEC;
	fd = a->home ? open_home(path, flags) : open(path, flags);
	if (fd < 0)
		return -errno;
	n = a->value ? write(fd, a->value, strlen(a->value)) : read(fd, a->buf, a->size - 1);
	if (n < 0)
		return -errno;
	if (!a->value) {
		a->buf[n] = '\0';
		a->buf[strcspn(a->buf, "\n")] = '\0';
	}
	return 0;
}

static int access_in(int ns, struct access *a)
{
	a->home = ns == SYSCTL_HOME;
	return ns < 0 ? access_file(a) : netns_call(ns, access_file, a);
}

int sysctl_write(int ns, const char *path, const char *value, struct cnm_error *err)
{
	struct access a = { .path = path, .value = value };
	int r = access_in(ns, &a);

	if (r < 0)
		cnm_error_errno(err, r, "write \"%s\" to /proc/sys/%s", value, path);
	return r;
}

int sysctl_read(int ns, const char *path, char *buf, size_t size, struct cnm_error *err)
{
	struct access a = { .path = path, .buf = buf, .size = size };
	int r = access_in(ns, &a);

	if (r < 0)
		cnm_error_errno(err, r, "read /proc/sys/%s", path);
	return r;
}
