/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of sandboxes: written in place, with their directory, and removed with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plan/apply_internal.h"

static int make_parents(char *path)
{
	char *last = strrchr(path, '/');

	*last = 0;
	if (mkdir(path, 0755) == 0 || errno == EEXIST) { /* usually only the last one is missing */
		*last = '/';
		return 0;
	}
	*last = '/';
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST) {
			*p = '/';
			return -errno;
		}
		*p = '/';
	}
	return 0;
}

/* Opens for writing from the start; makes the directory if need be, and leaves none behind. */
static int create_file(const char *path)
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	char dir[PATH_MAX];
	int fd = open(path, flags, 0644), r;

	if (fd >= 0 || errno != ENOENT || !str_copy(dir, sizeof(dir), path))
		return fd < 0 ? -errno : fd;
	r = make_parents(dir);
	if (r < 0)
		return r;
	fd = open(path, flags, 0644);
	if (fd >= 0)
		return fd;
	r = -errno;
	*strrchr(dir, '/') = 0;
	rmdir(dir);
	return r;
}

/* In place: a container may have the file mounted. */
static int write_file(const char *path, const char *content, struct cnm_error *err)
{
	size_t len = strlen(content);
	_close_ int fd = create_file(path);
	ssize_t n;

	if (fd < 0)
		return cnm_error_errno(err, fd, "open %s", path);
	n = write(fd, content, len);
	if (n != (ssize_t)len)
		return cnm_error_errno(err, n < 0 ? errno : ENOSPC, "write %s", path);
	return 0;
}

/* With the last file goes its directory. */
static int remove_file(const char *path, struct cnm_error *err)
{
	char dir[PATH_MAX];

	if (unlink(path) < 0 && errno != ENOENT)
		return cnm_error_errno(err, errno, "remove %s", path);
	str_copy(dir, sizeof(dir), path);
	*strrchr(dir, '/') = 0;
	if (rmdir(dir) < 0 && errno != ENOTEMPTY && errno != ENOENT)
		return cnm_error_errno(err, errno, "remove %s", dir);
	return 0;
}

int apply_file(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];

	return op->want ? write_file(op->want->file.path, op->want->file.content, r->err)
			: remove_file(op->have->file.path, r->err);
}
