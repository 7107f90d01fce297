/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's own resolv.conf and hosts, as they are now. */
#include "controller/host_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define TEXT_MAX 65535 /* what is beyond is not looked at */

struct host_files {
	struct {
		char *path, *text;
		struct stat was; /* when it was read; st_ino 0: not to be relied on */
	} files[HOST_N_FILES];
};

struct host_files *host_files_new(const char *resolv_conf)
{
	const char *paths[HOST_N_FILES] = { [HOST_RESOLV] = resolv_conf,
					    [HOST_RESOLVED] = "/run/systemd/resolve/resolv.conf",
					    [HOST_HOSTS] = "/etc/hosts" };
	struct host_files *h = calloc(1, sizeof(*h));
	bool ok = h;

	for (unsigned i = 0; i < HOST_N_FILES && ok; i++) {
		h->files[i].path = strdup(paths[i]);
		ok = h->files[i].path;
	}
	if (!ok)
		host_files_free(take_ptr(h));
	return h;
}

void host_files_free(struct host_files *h)
{
	for (unsigned i = 0; h && i < HOST_N_FILES; i++) {
		free(h->files[i].path);
		free(h->files[i].text);
	}
	free(h);
}

const char *host_files_path(const struct host_files *h, enum host_file which)
{
	return h->files[which].path;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

/* The clock of files ticks slowly: what changed just now may change again without a sign of it. */
static bool is_settled(const struct stat *st)
{
	return time(NULL) - st->st_ctim.tv_sec > 1;
}

/* *ret stays NULL where there is no such file. -ENOMEM, or why it cannot be read now. */
static int read_text(const char *path, struct stat *ret_st, char **ret)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_free_ char *text = NULL;
	size_t n = 0, size;
	ssize_t r = 1;

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
	if (fstat(fd, ret_st) < 0 || !S_ISREG(ret_st->st_mode))
		return 0;
	size = ret_st->st_size < TEXT_MAX ? (size_t)ret_st->st_size : TEXT_MAX;
	text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	while (n < size && (r = read(fd, text + n, size - n)) > 0)
		n += (size_t)r;
	if (r < 0)
		return -errno;
	text[n] = '\0';
	*ret = take_ptr(text);
	return 0;
}

/* One that cannot be read at the moment is taken to be as it was. */
const char *host_files_text(struct host_files *h, enum host_file which)
{
	__typeof__(&h->files[0]) f = &h->files[which];
	struct stat now;
	char *text = NULL;

	if (stat(f->path, &now) == 0 && f->text && is_same(&now, &f->was))
		return f->text;
	if (read_text(f->path, &f->was, &text) < 0) {
		f->was.st_ino = 0;
		return f->text;
	}
	free(f->text);
	f->text = text;
	if (f->text && !is_settled(&f->was))
		f->was.st_ino = 0;
	return f->text;
}
