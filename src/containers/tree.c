/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removal (and size) of a tree that a container wrote, and which is hostile: links that lead out of
 * it, names that are being changed, directories deeper than a path or a stack can be, mode 000.
 *
 * Everything is done by descriptor and name, and a directory is entered only if it is no link and
 * on the same mount as the top. A directory below MAX_DEPTH is moved up into the top under a name
 * of ours and removed from there, so that neither descriptors nor stack grow with the tree.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/str.h"
#include "containers/rootfs.h"

#define MAX_DEPTH 64

struct removal {
	const char *path; /* as it was asked for */
	int top;          /* its directory */
	uint64_t mount;   /* on which all of it is */
	int error;        /* the first, an errno */
	struct cnm_error *err;
};

static void empty_directory(struct removal *rm, int *dir, unsigned depth);

static void failed(struct removal *rm, int e, const char *what, const char *name)
{
	if (rm->error)
		return;
	rm->error = e;
	cnm_error_errno(rm->err, e, "remove %s: %s %s", rm->path, what, name);
}

/* 0, or an errno: EXDEV when it is on another mount. */
static int on_mount(int fd, uint64_t *mount)
{
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &x) < 0)
		return errno;
	if (*mount && x.stx_mnt_id != *mount)
		return EXDEV;
	*mount = x.stx_mnt_id;
	return 0;
}

static void move_up(struct removal *rm, int parent, const char *name)
{
	char id[ID_SIZE];

	id_new(id);
	if (renameat(parent, name, rm->top, id) < 0)
		failed(rm, errno, "move", name);
}

static void remove_directory(struct removal *rm, int parent, const char *name, unsigned depth)
{
	_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int e;

	if (fd < 0) {
		failed(rm, errno, "open", name);
		return;
	}
	e = on_mount(fd, &rm->mount);
	if (e) {
		failed(rm, e, e == EXDEV ? "something is mounted at" : "look at", name);
		return;
	}
	empty_directory(rm, &fd, depth + 1);
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return;
	if (errno != ENOTEMPTY || !rm->error) /* else the reason is told already */
		failed(rm, errno, "remove", name);
}

static void remove_entry(struct removal *rm, int parent, const struct dirent *d, unsigned depth)
{
	if (d->d_type != DT_DIR) {
		if (unlinkat(parent, d->d_name, 0) == 0 || errno == ENOENT)
			return;
		if (errno != EISDIR) {
			failed(rm, errno, "remove", d->d_name);
			return;
		}
	}
	if (depth < MAX_DEPTH)
		remove_directory(rm, parent, d->d_name, depth);
	else
		move_up(rm, parent, d->d_name);
}

/* Once through the directory. How many entries there were. */
static unsigned pass(struct removal *rm, DIR *d, unsigned depth)
{
	const struct dirent *entry;
	unsigned n = 0;

	rewinddir(d);
	while ((entry = readdir(d))) {
		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		n++;
		remove_entry(rm, dirfd(d), entry, depth);
	}
	return n;
}

/* Takes *dir. What was moved up into the top, or skipped by readdir while entries went, is found by
 * a further pass; a pass that met a failure is the last one. */
static void empty_directory(struct removal *rm, int *dir, unsigned depth)
{
	DIR *d = fdopendir(*dir);

	if (!d) {
		failed(rm, errno, "read", "a directory in it");
		return;
	}
	*dir = -1;
	while (pass(rm, d, depth) > 0 && !rm->error)
		;
	closedir(d);
}

static void remove_top(struct removal *rm, int parent, const char *name)
{
	_close_ int top = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	rm->top = top;
	if (top >= 0)
		remove_directory(rm, parent, name, 0);
	else if (errno != ENOTDIR && errno != ELOOP && errno != ENOENT)
		failed(rm, errno, "open", name);
	else if (errno != ENOENT && unlinkat(parent, name, 0) < 0 && errno != ENOENT)
		failed(rm, errno, "remove", name);
}

int tree_remove(const char *path, struct cnm_error *err)
{
	struct removal rm = { .path = path, .err = err };
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	_free_ char *above = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	_close_ int parent = -1;
	int e;

	if (!above)
		return cnm_error_errno(err, ENOMEM, "remove %s", path);
	if (!*name || streq(name, ".") || streq(name, ".."))
		return cnm_error_set(err, CNM_E_INVALID, "remove %s: it does not end in a name",
				     path);
	parent = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return errno == ENOENT ? 0 : cnm_error_errno(err, errno, "remove %s", path);
	e = on_mount(parent, &rm.mount);
	if (e)
		return cnm_error_errno(err, e, "remove %s", path);
	remove_top(&rm, parent, name);
	return -rm.error;
}

/* ---- size */

int tree_size(const char *path, uint64_t *ret, struct cnm_error *err)
{
	char *paths[] = { (char *)path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	uint64_t size = 0;
	FTSENT *e;

	if (!fts)
		return cnm_error_errno(err, errno, "measure %s", path);
	errno = 0;
	while ((e = fts_read(fts))) {
		if (e->fts_info == FTS_F)
			size += (uint64_t)e->fts_statp->st_size / e->fts_statp->st_nlink;
		errno = e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS
				? e->fts_errno
				: 0;
		if (errno)
			break;
	}
	if (errno) {
		int r = cnm_error_errno(err, errno, "measure %s", path);

		fts_close(fts);
		return r;
	}
	fts_close(fts);
	*ret = size;
	return 0;
}
