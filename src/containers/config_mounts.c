/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is mounted in a container: -v (HostConfig.Binds, Config.Volumes), --mount
 * (HostConfig.Mounts),
 * --tmpfs (HostConfig.Tmpfs) and the image's volumes. Those of the first, second and last kind
 * become entries of c->mounts; --tmpfs stays where it is, as inspect shows it.
 */
#include "containers/config_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "base/str.h"

#define MAX_PATH   4095
#define MAX_NAME   255
#define MAX_MOUNTS 256 /* of each kind */

/* One mount as it is being read. */
struct wish {
	const char *type; /* "bind", "volume", "tmpfs" */
	const char *name, *source;
	const char *mode; /* as shown */
	const char *propagation;
	const char *destination;
	bool rw;
};

char *path_clean(const char *path)
{
	char *clean = malloc(strlen(path) + 2), *at = clean;

	if (!clean)
		return NULL;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (at > clean && *--at != '/')
				;
		} else if (n && !(n == 1 && *path == '.')) {
			*at++ = '/';
			memcpy(at, path, n);
			at += n;
		}
		path += n + (path[n] == '/');
	}
	if (at == clean)
		*at++ = '/';
	*at = 0;
	return clean;
}

static int bad_mount(const char *type, const char *what, const char *path, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID, "invalid mount config for type \"%s\": %s%s%s",
			     type, what, path ? ": " : "", path ? path : "");
}

static int too_many(struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID, "a container has at most %d mounts", MAX_MOUNTS);
}

static int check_path(const char *type, const char *path, struct cnm_error *err)
{
	if (*path != '/')
		return cnm_error_set(
			err, CNM_E_INVALID,
			"invalid mount config for type \"%s\": invalid mount path: '%s' "
			"mount path must be absolute",
			type, path);
	if (strlen(path) > MAX_PATH || !str_is_printable(path))
		return bad_mount(type, "the path is too long or has control characters", NULL, err);
	return 0;
}

static int check_volume_name(const char *name, struct cnm_error *err)
{
	bool fine = isalnum((unsigned char)name[0]) && strlen(name) <= MAX_NAME;

	for (const char *p = name; fine && *p; p++)
		fine = isalnum((unsigned char)*p) || strchr("_.-", *p);
	if (fine)
		return 0;
	return cnm_error_set(
		err, CNM_E_INVALID,
		"create %s: \"%s\" includes invalid characters for a local volume name, "
		"only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a "
		"host directory, use absolute path",
		name, name);
}

static const json_t *mounted_at(const struct container_config *c, const char *destination)
{
	json_t *m;
	size_t i;

	json_array_foreach (c->mounts, i, m)
		if (streq(config_text(m, "Destination"), destination))
			return m;
	return NULL;
}

/* Is a tmpfs asked for there? Its names are as given. -ENOMEM too. */
static int tmpfs_at(const struct container_config *c, const char *destination)
{
	const char *k;
	json_t *v;

	json_object_foreach (json_object_get(c->host, "Tmpfs"), k, v) {
		_free_ char *clean = path_clean(k);

		if (!clean)
			return -ENOMEM;
		if (streq(clean, destination))
			return 1;
	}
	return 0;
}

static json_t *mount_json(const struct wish *w, const char *destination, const char *source)
{
	_json_ json_t *m = json_pack("{s:s}", "Type", w->type);
	int r = m ? 0 : -1;

	if (w->name)
		r |= json_object_set_new(m, "Name", json_string(w->name));
	r |= json_object_set_new(m, "Source", json_string(source));
	r |= json_object_set_new(m, "Destination", json_string(destination));
	if (w->name)
		r |= json_object_set_new(m, "Driver", json_string("local"));
	r |= json_object_set_new(m, "Mode", json_string(w->mode));
	r |= json_object_set_new(m, "RW", json_boolean(w->rw));
	r |= json_object_set_new(m, "Propagation", json_string(w->propagation));
	return r < 0 ? NULL : take_ptr(m);
}

static int add(struct container_config *c, const struct wish *w, struct cnm_error *err)
{
	_free_ char *destination = path_clean(w->destination);
	_free_ char *source = *w->source ? path_clean(w->source) : strdup("");
	int taken;

	if (!destination || !source)
		return config_no_memory(err);
	if (streq(destination, "/"))
		return bad_mount(w->type, "invalid specification: destination can't be '/'", NULL,
				 err);
	if (json_array_size(c->mounts) >= MAX_MOUNTS)
		return too_many(err);
	taken = mounted_at(c, destination) ? 1 : tmpfs_at(c, destination);
	if (taken > 0)
		return cnm_error_set(err, CNM_E_INVALID, "Duplicate mount point: %s", destination);
	if (taken < 0 || json_array_append_new(c->mounts, mount_json(w, destination, source)) < 0)
		return config_no_memory(err);
	return 0;
}

/* ---- -v SOURCE:DESTINATION[:MODE] */

static bool is_propagation(const char *s, size_t n, const char **ret)
{
	static const char *const known[] = { "private", "rprivate", "shared",
					     "rshared", "slave",    "rslave" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i]) != n || memcmp(s, known[i], n) != 0)
			continue;
		*ret = known[i];
		return true;
	}
	return false;
}

static bool is_word(const char *s, size_t n, const char *a, const char *b)
{
	return (strlen(a) == n && memcmp(s, a, n) == 0) || (strlen(b) == n && memcmp(s, b, n) == 0);
}

/* Each kind of option at most once. */
static int parse_mode(struct wish *w, const char *mode, struct cnm_error *err)
{
	bool bind = streq(w->type, "bind");
	unsigned seen = 0;

	for (const char *p = mode; *p;) {
		size_t n = strcspn(p, ",");
		unsigned kind = is_word(p, n, "ro", "rw")                    ? 1
				: is_word(p, n, "z", "Z")                    ? 2
				: !bind && is_word(p, n, "nocopy", "nocopy") ? 4
				: is_word(p, n, "cached", "delegated") ||
						is_word(p, n, "consistent", "default")
					? 8
				: bind && is_propagation(p, n, &w->propagation) ? 16
										: 0;

		if (!kind || (seen & kind) || (p[n] && !p[n + 1]))
			return cnm_error_set(err, CNM_E_INVALID, "invalid mode: %s", mode);
		seen |= kind;
		if (kind == 1)
			w->rw = p[1] == 'w';
		p += n + (p[n] == ',');
	}
	return 0;
}

/* parts: what was between the colons, 1 to 3 of them. */
static int add_bind(struct container_config *c, char *parts[3], unsigned n, struct cnm_error *err)
{
	struct wish w = { .type = "volume",
			  .mode = "",
			  .propagation = "",
			  .source = "",
			  .destination = parts[1],
			  .rw = true };
	int r;

	if (*parts[0] == '/') {
		w.type = "bind";
		w.source = parts[0];
		w.propagation = "rprivate";
		r = check_path(w.type, w.source, err);
	} else {
		w.name = parts[0];
		r = check_volume_name(w.name, err);
	}
	r = r < 0 ? r : check_path(w.type, w.destination, err);
	r = r < 0 || n < 3 ? r : parse_mode(&w, parts[2], err);
	if (r < 0)
		return r;
	w.mode = n == 3 && *parts[2] ? parts[2] : w.name ? "z" : "";
	return add(c, &w, err);
}

static int decode_bind(struct container_config *c, const char *text, struct cnm_error *err)
{
	_free_ char *copy = strdup(text);
	char *parts[3] = { NULL }, *rest = copy;
	unsigned n = 0;

	if (!copy)
		return config_no_memory(err);
	while (rest && n < 3)
		parts[n++] = strsep(&rest, ":");
	if (rest || n < 2 || !*parts[0] || !*parts[1])
		return cnm_error_set(err, CNM_E_INVALID, "invalid volume specification: '%s'",
				     text);
	return add_bind(c, parts, n, err) < 0
		       ? cnm_error_prefix(err, "invalid volume specification: '%s'", text)
		       : 0;
}

/* ---- --mount */

static const struct config_member mount_members[] = {
	{ "Type", M_STRING, "\"\"", NULL, NULL },
	{ "Source", M_STRING, NULL, NULL, NULL },
	{ "Target", M_STRING, "\"\"", NULL, NULL },
	{ "ReadOnly", M_BOOL, NULL, NULL, NULL },
	{ "Consistency", M_STRING, NULL, NULL, NULL },
	{ "BindOptions", M_OBJECT, NULL, NULL, NULL },
	{ "VolumeOptions", M_OBJECT, NULL, NULL, NULL },
	{ "ImageOptions", M_OBJECT, NULL, "--mount type=image", NULL },
	{ "TmpfsOptions", M_OBJECT, NULL, NULL, NULL },
	{ "ClusterOptions", M_OBJECT, NULL, "--mount type=cluster", NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static const struct config_member bind_members[] = {
	{ "Propagation", M_STRING, NULL, NULL, NULL },
	{ "NonRecursive", M_BOOL, NULL, NULL, NULL },
	{ "CreateMountpoint", M_BOOL, NULL, NULL, NULL },
	{ "ReadOnlyNonRecursive", M_BOOL, NULL, NULL, NULL },
	{ "ReadOnlyForceRecursive", M_BOOL, NULL, "bind-recursive=readonly", NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static const struct config_member volume_members[] = {
	{ "NoCopy", M_BOOL, NULL, NULL, NULL },
	{ "Labels", M_MAP, NULL, "volume-label", NULL },
	{ "Subpath", M_STRING, NULL, "volume-subpath", NULL },
	{ "DriverConfig", M_OBJECT, NULL, "volume-driver, volume-opt", "{\"Name\":\"local\"}" },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static const struct config_member tmpfs_members[] = {
	{ "SizeBytes", M_INT, NULL, NULL, NULL },
	{ "Mode", M_INT, NULL, NULL, NULL },
	{ "Options", M_ARRAY, NULL, "tmpfs options other than size and mode", NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

/* The options of the mount's own type are read; those of another are refused. */
static int complete_options(json_t *m, const char *name, const char *where, bool mine,
			    const struct config_member *table, struct cnm_error *err)
{
	const json_t *from = json_object_get(m, name);
	_json_ json_t *options = json_object();
	int r;

	if (!from)
		return 0;
	if (!mine)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid mount config for type \"%s\": field %s must not be "
				     "specified",
				     config_text(m, "Type"), name);
	if (!options)
		return config_no_memory(err);
	r = config_members(options, from, where, table, err);
	if (r == 0 && json_object_set(m, name, options) < 0)
		r = config_no_memory(err);
	return r;
}

static int complete_mount(json_t *m, const json_t *from, struct cnm_error *err)
{
	const char *type;
	int r = config_members(m, from, "HostConfig.Mounts.", mount_members, err);

	type = config_text(m, "Type");
	r = r < 0 ? r
		  : complete_options(m, "BindOptions", "BindOptions.", streq(type, "bind"),
				     bind_members, err);
	r = r < 0 ? r
		  : complete_options(m, "VolumeOptions", "VolumeOptions.", streq(type, "volume"),
				     volume_members, err);
	return r < 0 ? r
		     : complete_options(m, "TmpfsOptions", "TmpfsOptions.", streq(type, "tmpfs"),
					tmpfs_members, err);
}

static int wish_bind(struct wish *w, const json_t *m, struct cnm_error *err)
{
	const char *wanted = config_text(json_object_get(m, "BindOptions"), "Propagation");

	w->source = config_text(m, "Source");
	w->propagation = "rprivate";
	if (!*w->source)
		return bad_mount(w->type, "field Source must not be empty", NULL, err);
	if (*wanted && !is_propagation(wanted, strlen(wanted), &w->propagation))
		return bad_mount(w->type, "invalid propagation mode", wanted, err);
	return check_path(w->type, w->source, err);
}

static int wish_volume(struct wish *w, const json_t *m, char anonymous[static ID_SIZE],
		       struct cnm_error *err)
{
	w->name = config_text(m, "Source");
	w->mode = "z";
	if (*w->name)
		return check_volume_name(w->name, err);
	id_new(anonymous);
	w->name = anonymous;
	return 0;
}

static int wish_tmpfs(const struct wish *w, const json_t *m, struct cnm_error *err)
{
	const json_t *options = json_object_get(m, "TmpfsOptions");
	int64_t mode = config_number(options, "Mode");

	if (*config_text(m, "Source"))
		return bad_mount(w->type, "field Source must not be specified", NULL, err);
	if (config_number(options, "SizeBytes") < 0 || mode < 0 || mode > 07777)
		return bad_mount(w->type, "invalid size or mode", NULL, err);
	return 0;
}

static int add_mount(struct container_config *c, const json_t *m, struct cnm_error *err)
{
	struct wish w = { .type = config_text(m, "Type"),
			  .mode = "",
			  .propagation = "",
			  .source = "",
			  .destination = config_text(m, "Target"),
			  .rw = !config_flag(m, "ReadOnly") };
	char anonymous[ID_SIZE];
	int r;

	if (!*w.destination)
		return bad_mount(w.type, "field Target must not be empty", NULL, err);
	if (streq(w.type, "bind"))
		r = wish_bind(&w, m, err);
	else if (streq(w.type, "volume"))
		r = wish_volume(&w, m, anonymous, err);
	else if (streq(w.type, "tmpfs"))
		r = wish_tmpfs(&w, m, err);
	else
		return bad_mount(w.type, "mount type unknown", NULL, err);
	r = r < 0 ? r : check_path(w.type, w.destination, err);
	return r < 0 ? r : add(c, &w, err);
}

/* The target is kept cleaned, so that it can be found again by its mount's destination. */
static int decode_mount(struct container_config *c, json_t *list, size_t i, struct cnm_error *err)
{
	_json_ json_t *m = json_object();
	_free_ char *target = NULL;
	int r;

	if (!m)
		return config_no_memory(err);
	if (!json_is_object(json_array_get(list, i)))
		return cnm_error_set(err, CNM_E_INVALID,
				     "HostConfig.Mounts must be an array of objects");
	r = complete_mount(m, json_array_get(list, i), err);
	r = r < 0 ? r : add_mount(c, m, err);
	if (r < 0)
		return r;
	target = path_clean(config_text(m, "Target"));
	if (!target || json_object_set_new(m, "Target", json_string(target)) < 0 ||
	    json_array_set(list, i, m) < 0)
		return config_no_memory(err);
	return 0;
}

/* ---- --tmpfs DESTINATION[:OPTIONS] */

static bool is_tmpfs_option(const char *s, size_t n)
{
	static const char *const known[] = {
		"ro",         "rw",         "suid",       "nosuid",      "dev",
		"nodev",      "exec",       "noexec",     "sync",        "async",
		"dirsync",    "atime",      "noatime",    "diratime",    "mand",
		"nomand",     "relatime",   "norelatime", "strictatime", "nostrictatime",
		"nodiratime", "size=",      "mode=",      "uid=",        "gid=",
		"nr_inodes=", "nr_blocks=", "mpol=",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t len = strlen(known[i]);
		bool takes_value = known[i][len - 1] == '=';

		if (n >= len + takes_value && (n == len || takes_value) &&
		    memcmp(s, known[i], len) == 0)
			return true;
	}
	return false;
}

static int check_tmpfs(const char *path, const char *options, struct cnm_error *err)
{
	int r = check_path("tmpfs", path, err);

	for (const char *p = options; r == 0 && *p;) {
		size_t n = strcspn(p, ",");

		if (n > 64 || !is_tmpfs_option(p, n))
			return cnm_error_set(err, CNM_E_INVALID, "Invalid tmpfs option \"%.*s\"",
					     (int)n, p);
		p += n + (p[n] == ',');
	}
	return r;
}

static int check_tmpfses(const json_t *host, struct cnm_error *err)
{
	const char *path;
	json_t *options;
	int r;

	if (json_object_size(json_object_get(host, "Tmpfs")) > MAX_MOUNTS)
		return too_many(err);
	json_object_foreach (json_object_get(host, "Tmpfs"), path, options) {
		_free_ char *clean = path_clean(path);

		if (!clean)
			return config_no_memory(err);
		if ((r = check_tmpfs(path, json_string_value(options), err)) < 0)
			return r;
		if (streq(clean, "/"))
			return bad_mount("tmpfs", "invalid specification: destination can't be '/'",
					 NULL, err);
	}
	return 0;
}

/* ---- volumes without a name */

static int add_anonymous(struct container_config *c, const char *path, struct cnm_error *err)
{
	char id[ID_SIZE];
	struct wish w = { .type = "volume",
			  .name = id,
			  .source = "",
			  .mode = "",
			  .propagation = "",
			  .destination = path,
			  .rw = true };
	_free_ char *clean = path_clean(path);
	int r = check_path("volume", path, err);

	if (r < 0)
		return cnm_error_prefix(err, "invalid volume specification: '%s'", path);
	r = clean ? tmpfs_at(c, clean) : -ENOMEM;
	if (r < 0)
		return config_no_memory(err);
	if (r > 0 || mounted_at(c, clean))
		return 0;
	id_new(id);
	return add(c, &w, err);
}

int config_mounts_anonymous(struct container_config *c, const json_t *set, struct cnm_error *err)
{
	const char *path;
	json_t *v;
	int r = 0;

	if (json_object_size(set) > MAX_MOUNTS)
		return too_many(err);
	json_object_foreach ((json_t *)set, path, v) {
		if (r < 0)
			return r;
		r = add_anonymous(c, path, err);
	}
	return r;
}

int config_mounts_decode(struct container_config *c, struct cnm_error *err)
{
	json_t *binds = json_object_get(c->host, "Binds"),
	       *mounts = json_object_get(c->host, "Mounts");
	int r = check_tmpfses(c->host, err);

	for (size_t i = 0; r == 0 && i < json_array_size(binds); i++)
		r = decode_bind(c, json_string_value(json_array_get(binds, i)), err);
	for (size_t i = 0; r == 0 && i < json_array_size(mounts); i++)
		r = decode_mount(c, mounts, i, err);
	return r < 0 ? r : config_mounts_anonymous(c, json_object_get(c->config, "Volumes"), err);
}
