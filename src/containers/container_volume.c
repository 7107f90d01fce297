/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes and who uses them. A volume without a name of the user's has one of 64 hex digits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/beneath.h"
#include "containers/container.h"
#include "containers/process.h"
#include "containers/volumes.h"

static const char *volume_of(const json_t *mount)
{
	const char *type = json_string_value(json_object_get(mount, "Type"));

	return type && streq(type, "volume") ? json_string_value(json_object_get(mount, "Name"))
					     : NULL;
}

/*
 * A new volume begins with what the image has at its place, as in Docker. The image is not trusted:
 * its links are followed within it only.
 */
static int fill(const struct container *c, const char *destination, const char *path,
		struct cnm_error *err)
{
	_close_ int from = open_beneath(c->lower, destination, O_PATH | O_DIRECTORY);
	_free_ char *to = strdup(path);
	char source[64];
	char *argv[] = { (char *)"cp", (char *)"-a", (char *)"-T", source, to, NULL };

	if (!to)
		return cnm_error_errno(err, ENOMEM, "fill a volume");
	if (from < 0)
		return 0; /* the image has nothing there */
	snprintf(source, sizeof(source), "/proc/self/fd/%d/.", from);
	return process_run(
		argv,
		&(struct process_options){ .what = "fill a volume", .fds = &from, .n_fds = 1 },
		NULL, err);
}

int container_make_volumes(struct containers *cs, struct container *c, struct cnm_error *err)
{
	json_t *mount;
	size_t i;

	json_array_foreach (c->c.mounts, i, mount) {
		const char *name = volume_of(mount);
		const char *to = json_string_value(json_object_get(mount, "Destination"));
		_free_ char *path = NULL;
		bool new = false;
		int r;

		if (!name)
			continue;
		r = volume_make(cs->volumes, name, &path, &new, err);
		if (r == 0 && new &&to)
			r = fill(c, to, path, err);
		if (r < 0)
			return r;
		json_put(mount, "Source", json_string(path));
	}
	return 0;
}

/* Some container has it; except: but this one. Lock held. */
static const struct container *user_of(const struct containers *cs, const char *name)
{
	const struct container *c;
	json_t *mount;
	size_t i;

	list_for_each (c, &cs->all, node)
		json_array_foreach (c->c.mounts, i, mount) {
			const char *used = volume_of(mount);

			if (used && streq(used, name))
				return c;
		}
	return NULL;
}

bool container_has_own_volumes(const json_t *mounts)
{
	json_t *mount;
	size_t i;

	json_array_foreach ((json_t *)mounts, i, mount) {
		const char *name = volume_of(mount);

		if (name && id_is_valid(name))
			return true;
	}
	return false;
}

void container_remove_volumes(struct containers *cs, const json_t *mounts)
{
	json_t *mount;
	size_t i;

	json_array_foreach ((json_t *)mounts, i, mount) {
		const char *name = volume_of(mount);

		if (name && id_is_valid(name))
			volume_remove(cs->volumes, name, NULL);
	}
}

int containers_volume_create(struct containers *cs, const json_t *body, char **ret_json,
			     struct cnm_error *err)
{
	const char *name = "", *driver = "";
	_free_ char *path = NULL;
	char id[ID_SIZE];
	json_t *options = NULL;
	int r;

	if ((r = json_get_string(body, "Name", &name, err)) < 0 ||
	    (r = json_get_string(body, "Driver", &driver, err)) < 0 ||
	    (r = json_get_object(body, "DriverOpts", &options, err)) < 0)
		return r;
	if ((*driver && !streq(driver, "local")) || json_object_size(options))
		return cnm_error_set(err, CNM_E_NOT_IMPLEMENTED,
				     "volume %s: cnm has directories only: neither drivers but "
				     "\"local\" nor driver options",
				     name);
	id_new(id);
	r = volume_make(cs->volumes, *name ? name : id, &path, NULL, err);
	return r < 0 ? r : containers_volume_inspect(cs, *name ? name : id, ret_json, err);
}

int containers_volume_remove(struct containers *cs, const char *name, bool force,
			     struct cnm_error *err)
{
	const struct container *c;
	char user[ID_SIZE] = "";
	struct cnm_error why = { 0 };
	int r;

	pthread_mutex_lock(&cs->lock);
	c = user_of(cs, name);
	if (c)
		memcpy(user, c->id, ID_SIZE);
	pthread_mutex_unlock(&cs->lock);
	if (user[0])
		return cnm_error_set(err, CNM_E_CONFLICT, "remove %s: volume is in use - [%s]",
				     name, user);
	r = volume_remove(cs->volumes, name, &why);
	if (r == 0 || (force && why.class == CNM_E_NOT_FOUND))
		return 0;
	if (err)
		*err = why;
	return r;
}

int containers_volume_inspect(struct containers *cs, const char *name, char **ret_json,
			      struct cnm_error *err)
{
	_json_ json_t *o = NULL;
	int r = volume_inspect(cs->volumes, name, &o, err);

	if (r < 0)
		return r;
	*ret_json = json_text(o);
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "inspect volume %s", name);
}

int containers_volume_list(struct containers *cs, char **ret_json, struct cnm_error *err)
{
	_json_ json_t *o = json_object();
	json_t *list = NULL;
	int r = volume_list(cs->volumes, &list, err);

	if (r < 0)
		return r;
	json_put(o, "Volumes", list);
	json_put(o, "Warnings", json_null());
	*ret_json = json_text(o);
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "list volumes");
}
