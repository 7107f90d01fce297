/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files below /proc/sys. Which namespace they speak of is decided when they are opened, so another
 * namespace's are written by the helper thread, and those of the caller's at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/netns.h"

struct access {
	const char *path, *value;
	char *buf; /* NULL: write */
	size_t size;
};

static int access_file(void *arg)
{
	const struct access *a = arg;
	char path[PATH_MAX];
	_close_ int fd = -1;
	ssize_t n;

	if (snprintf(path, sizeof(path), "/proc/sys/%s", a->path) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, (a->buf ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = a->buf ? read(fd, a->buf, a->size - 1) : write(fd, a->value, strlen(a->value));
	if (n < 0)
		return -errno;
	if (a->buf) {
		a->buf[n] = '\0';
		a->buf[strcspn(a->buf, "\n")] = '\0';
	}
	return 0;
}

static int access_in(int ns, struct access *a)
{
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
