/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overlay mounts. The options of mount(2) are one text in which overlayfs splits at ',' and, for
 * lower directories, at ':'; both may be part of a path and are escaped with '\'.
 */
#include "containers/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define OVERLAY_MAGIC  0x794c7630
#define MOUNT_DATA_MAX 4095 /* the kernel takes a page, terminated */
#define STACKED_MAX    16   /* mounts on one mount point that are undone */

static int make_directory(const char *path, mode_t mode, struct cnm_error *err)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	return cnm_error_errno(err, errno, "make the directory %s", path);
}

static void add_escaped(struct strbuf *b, const char *option, const char *path)
{
	strbuf_add(b, option);
	for (; *path; path++) {
		if (strchr("\\:,", *path))
			strbuf_add(b, "\\");
		strbuf_addn(b, path, 1);
	}
}

static bool is_overlay_root(const char *target)
{
	struct statx x;
	struct statfs fs;

	return statx(AT_FDCWD, target, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x) == 0 &&
	       x.stx_attributes & STATX_ATTR_MOUNT_ROOT && statfs(target, &fs) == 0 &&
	       fs.f_type == OVERLAY_MAGIC;
}

static int refused(int e, const char *lower, const char *dir, const char *target,
		   struct cnm_error *err)
{
	struct statfs fs;

	if (access(lower, F_OK) < 0)
		return cnm_error_errno(err, errno, "mount a root at %s: the image's tree %s",
				       target, lower);
	if (e == ENODEV) {
		cnm_error_set(err, CNM_E_UNAVAILABLE,
			      "mount a root at %s: this kernel has no overlayfs; load it "
			      "(modprobe overlay)",
			      target);
		return -ENODEV;
	}
	if (e == EINVAL && statfs(dir, &fs) == 0) {
		cnm_error_set(err, CNM_E_UNAVAILABLE,
			      "mount a root at %s: the file system of %s (type 0x%lx) cannot hold "
			      "containers' files: an overlay's upper layer must be on ext4, xfs, "
			      "btrfs or tmpfs; give cnmd a --state-dir there",
			      target, dir, (unsigned long)fs.f_type);
		return -EINVAL;
	}
	return cnm_error_errno(err, e, "mount a root at %s, of %s and %s", target, lower, dir);
}

static int mount_overlay(const char *lower, const char *dir, const char *upper, const char *work,
			 const char *target, struct cnm_error *err)
{
	struct strbuf b = { .s = NULL };
	_free_ char *data = NULL;

	add_escaped(&b, "lowerdir=", lower);
	add_escaped(&b, ",upperdir=", upper);
	add_escaped(&b, ",workdir=", work);
	data = strbuf_take(&b);
	if (!data)
		return cnm_error_errno(err, ENOMEM, "mount a root at %s", target);
	if (strlen(data) > MOUNT_DATA_MAX)
		return cnm_error_errno(err, ENAMETOOLONG, "mount a root at %s, of %s and %s",
				       target, lower, dir);
	if (mount("overlay", target, "overlay", 0, data) < 0)
		return refused(errno, lower, dir, target, err);
	return 0;
}

int rootfs_mount(const char *lower, const char *dir, const char *target, struct cnm_error *err)
{
	char upper[PATH_MAX], work[PATH_MAX];
	int r;

	if (is_overlay_root(target))
		return 0;
	if (snprintf(upper, sizeof(upper), "%s/upper", dir) >= (int)sizeof(upper) ||
	    snprintf(work, sizeof(work), "%s/work", dir) >= (int)sizeof(work))
		return cnm_error_errno(err, ENAMETOOLONG, "mount a root at %s", target);
	r = make_directory(dir, 0710, err);
	if (r == 0)
		r = make_directory(upper, 0755, err);
	if (r == 0)
		r = make_directory(work, 0700, err);
	if (r == 0)
		r = make_directory(target, 0755, err);
	return r < 0 ? r : mount_overlay(lower, dir, upper, work, target, err);
}

/* All that is mounted there, one on the other. -EINVAL and -ENOENT: nothing (any more). */
static int unmount_all(const char *target)
{
	for (int i = 0; i < STACKED_MAX; i++) {
		if (umount2(target, UMOUNT_NOFOLLOW) == 0)
			continue;
		if (errno == EBUSY && umount2(target, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
			continue;
		return errno == EINVAL || errno == ENOENT ? 0 : -errno;
	}
	return -EBUSY;
}

int rootfs_unmount(const char *target, struct cnm_error *err)
{
	int r = unmount_all(target);

	if (r < 0)
		return cnm_error_errno(err, r, "unmount %s", target);
	if (rmdir(target) < 0 && errno != ENOENT)
		return cnm_error_errno(err, errno, "remove the mount point %s", target);
	return 0;
}

/* As /proc writes paths: "\040" for a blank. In place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/* The last mount below dir, which no other one covers or stands on. NULL: none. */
static char *last_below(const char *dir)
{
	_free_ char *line = NULL, *found = NULL;
	size_t cap = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	if (!f)
		return NULL;
	while (getline(&line, &cap, f) > 0) {
		char *point = NULL; /* the fifth word */
		const char *rest;

		if (sscanf(line, "%*s %*s %*s %*s %ms", &point) != 1)
			continue;
		unescape(point);
		rest = str_after(point, dir);
		if (rest && *rest == '/') {
			free(found);
			found = point;
		} else {
			free(point);
		}
	}
	fclose(f);
	return take_ptr(found);
}

void rootfs_unmount_below(const char *dir)
{
	_free_ char *previous = NULL;

	for (;;) {
		_free_ char *point = last_below(dir);

		if (!point || (umount2(point, UMOUNT_NOFOLLOW | MNT_DETACH) < 0 && previous &&
			       streq(point, previous)))
			return;
		free(previous);
		previous = take_ptr(point);
	}
}
