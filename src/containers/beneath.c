/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "containers/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The kernel's struct open_how (openat2(2)). */
struct how {
	uint64_t flags, mode, resolve;
};
#define IN_ROOT 0x10

int open_beneath(const char *root, const char *path, int flags)
{
	_close_ int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct how how = { (uint64_t)flags | O_CLOEXEC, 0, IN_ROOT };
	int fd;

	if (dir < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}
