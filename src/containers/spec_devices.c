/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's device nodes, for a privileged container. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/spec_internal.h"

#define MAX_DEVICES 2048
#define MAX_DEPTH   4
#define MAX_PATH    256

/* What the runtime mounts or makes itself. */
static bool is_skipped(const char *path)
{
	static const char *const names[] = {
		"/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/console", "/dev/hugepages",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (streq(path, names[i]))
			return true;
	return false;
}

static json_t *device_json(const char *path, const struct stat *st)
{
	json_t *d = json_object();

	json_put(d, "path", json_string(path));
	json_put(d, "type", json_string(S_ISCHR(st->st_mode) ? "c" : "b"));
	json_put(d, "major", json_integer(major(st->st_rdev)));
	json_put(d, "minor", json_integer(minor(st->st_rdev)));
	json_put(d, "fileMode", json_integer(st->st_mode & 07777));
	json_put(d, "uid", json_integer(st->st_uid));
	json_put(d, "gid", json_integer(st->st_gid));
	return d;
}

static void add_dir(json_t *list, int dir_fd, const char *path, unsigned depth);

static void add_entry(json_t *list, DIR *dir, const char *path, unsigned depth)
{
	const char *name = strrchr(path, '/') + 1;
	struct stat st;
	int fd;

	if (is_skipped(path) || fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && st.st_rdev)
		json_push(list, device_json(path, &st));
	if (!S_ISDIR(st.st_mode) || depth == MAX_DEPTH)
		return;
	fd = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		add_dir(list, fd, path, depth + 1);
}

/* Takes the descriptor. */
static void add_dir(json_t *list, int dir_fd, const char *path, unsigned depth)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *e;

	if (!dir) {
		close(dir_fd);
		return;
	}
	while (json_array_size(list) < MAX_DEVICES && (e = readdir(dir))) {
		char child[MAX_PATH];

		if (*e->d_name == '.' || !str_is_printable(e->d_name) ||
		    (size_t)snprintf(child, sizeof(child), "%s/%s", path, e->d_name) >=
			    sizeof(child))
			continue;
		add_entry(list, dir, child, depth);
	}
	closedir(dir);
}

json_t *spec_host_devices(void)
{
	int fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *list = json_array();

	if (fd >= 0)
		add_dir(list, fd, "/dev", 1);
	return list;
}
