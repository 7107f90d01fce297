/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes: see volumes.h. Names are checked before any path is made of them. */
#include "containers/volumes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/rootfs.h"

#define MAX_NAME 255
#define SECOND   INT64_C(1000000000)

static bool is_name(const char *name)
{
	if (!isalnum((unsigned char)*name) || strlen(name) > MAX_NAME)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_.-", *name))
			return false;
	return true;
}

static int bad_name(const char *name, struct cnm_error *err)
{
	return cnm_error_set(
		err, CNM_E_INVALID,
		"create %s: \"%s\" includes invalid characters for a local volume name, "
		"only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a "
		"host directory, use absolute path",
		name, name);
}

static int no_such(const char *name, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_NOT_FOUND, "get %s: no such volume", name);
}

static char *path_of(const char *dir, const char *name, const char *tail)
{
	char *path;

	return asprintf(&path, "%s/%s%s", dir, name, tail) < 0 ? NULL : path;
}

/* 1: made now. */
static int make_dir(const char *path, mode_t mode, struct cnm_error *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 1;
	if (errno == EEXIST && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return cnm_error_errno(err, errno, "create the volume's directory %s", path);
}

int volume_make(const char *dir, const char *name, char **ret_path, bool *ret_new,
		struct cnm_error *err)
{
	_free_ char *top = NULL, *data = NULL;
	int made, r;

	if (!is_name(name))
		return bad_name(name, err);
	top = path_of(dir, name, "");
	data = path_of(dir, name, "/_data");
	if (!top || !data)
		return cnm_error_errno(err, ENOMEM, "create the volume %s", name);
	r = make_dir(dir, 0711, err);
	r = r < 0 ? r : make_dir(top, 0711, err);
	made = r < 0 ? r : make_dir(data, 0755, err);
	if (made < 0)
		return made;
	if (ret_new)
		*ret_new = made > 0;
	*ret_path = take_ptr(data);
	return 0;
}

/* When it was made, in whole seconds as Docker shows it. -ENOENT too. */
static int find(const char *dir, const char *name, int64_t *ret_ns)
{
	_free_ char *data = is_name(name) ? path_of(dir, name, "/_data") : NULL;
	struct statx st;

	if (!data)
		return is_name(name) ? -ENOMEM : -ENOENT;
	if (statx(AT_FDCWD, data, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_BTIME | STATX_CTIME,
		  &st) < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (!S_ISDIR(st.stx_mode))
		return -ENOENT;
	*ret_ns = SECOND * (st.stx_mask & STATX_BTIME ? st.stx_btime.tv_sec : st.stx_ctime.tv_sec);
	return 0;
}

int volume_remove(const char *dir, const char *name, struct cnm_error *err)
{
	_free_ char *top = NULL;
	int64_t made = 0;
	int r = find(dir, name, &made);

	if (r == -ENOENT)
		return no_such(name, err);
	top = path_of(dir, name, "");
	if (r < 0 || !top)
		return cnm_error_errno(err, r < 0 ? r : ENOMEM, "remove the volume %s", name);
	r = tree_remove(top, err);
	return r < 0 ? r : 0;
}

static json_t *volume_json(const char *dir, const char *name, int64_t made)
{
	_free_ char *data = path_of(dir, name, "/_data");
	char when[TIME_STR];

	if (!data)
		return NULL;
	return json_pack("{s:s, s:s, s:{}, s:s, s:s, s:{}, s:s}", "CreatedAt",
			 clock_format(made, when), "Driver", "local", "Labels", "Mountpoint", data,
			 "Name", name, "Options", "Scope", "local");
}

int volume_inspect(const char *dir, const char *name, json_t **ret, struct cnm_error *err)
{
	int64_t made = 0;
	int r = find(dir, name, &made);
	json_t *v;

	if (r == -ENOENT)
		return no_such(name, err);
	v = r < 0 ? NULL : volume_json(dir, name, made);
	if (!v)
		return cnm_error_errno(err, r < 0 ? r : ENOMEM, "get %s", name);
	*ret = v;
	return 0;
}

/* One that goes away meanwhile is left out. */
static int add_volume(json_t *list, const char *dir, const char *name)
{
	int64_t made = 0;

	if (find(dir, name, &made) < 0)
		return 0;
	return json_array_append_new(list, volume_json(dir, name, made));
}

int volume_list(const char *dir, json_t **ret, struct cnm_error *err)
{
	_json_ json_t *list = json_array();
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, alphasort), r = list ? 0 : -ENOMEM;

	if (n < 0 && errno != ENOENT)
		return cnm_error_errno(err, errno, "list the volumes in %s", dir);
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = add_volume(list, dir, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	if (r < 0)
		return cnm_error_errno(err, ENOMEM, "list the volumes in %s", dir);
	*ret = take_ptr(list);
	return 0;
}
