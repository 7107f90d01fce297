/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is to be seen in a container: the kernel's file systems as Docker mounts them, /etc/hosts
 * and its like, and what the user asked for. What the user mounts in place of a file system of the
 * kernel's, or above it, stays uncovered; in place of a file, too. A shorter path is mounted before
 * a longer one.
 */
#include "containers/spec_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/config_internal.h"

struct fixed {
	const char *destination, *type, *source;
	const char *const *options;
};

#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const struct fixed fixed[] = {
	{ "/proc", "proc", "proc", OPTIONS("nosuid", "noexec", "nodev") },
	{ "/dev", "tmpfs", "tmpfs", OPTIONS("nosuid", "strictatime", "mode=755", "size=65536k") },
	{ "/dev/pts", "devpts", "devpts",
	  OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5") },
	{ "/sys", "sysfs", "sysfs", OPTIONS("nosuid", "noexec", "nodev") },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", OPTIONS("nosuid", "noexec", "nodev", "relatime") },
	{ "/dev/mqueue", "mqueue", "mqueue", OPTIONS("nosuid", "noexec", "nodev") },
	{ "/dev/shm", "tmpfs", "shm", OPTIONS("nosuid", "noexec", "nodev", "mode=1777") },
};

static json_t *mount_json(const char *destination, const char *type, const char *source,
			  json_t *options)
{
	json_t *m = json_object();

	json_put(m, "destination", json_string(destination));
	json_put(m, "type", json_string(type));
	json_put(m, "source", json_string(source));
	json_put(m, "options", options);
	return m;
}

static bool is_below(const char *path, const char *dir)
{
	const char *rest = str_after(path, dir);

	return rest && (*rest == '/' || !*rest);
}

/* Does the user mount something at this path, or at one above it? */
static bool is_taken(const json_t *wishes, const char *path)
{
	json_t *m;
	size_t i;

	json_array_foreach (wishes, i, m)
		if (is_below(path, config_text(m, "destination")))
			return true;
	return false;
}

static bool is_mounted(const json_t *wishes, const char *path)
{
	json_t *m;
	size_t i;

	json_array_foreach (wishes, i, m)
		if (streq(config_text(m, "destination"), path))
			return true;
	return false;
}

static json_t *fixed_options(const struct spec_input *in, const struct fixed *f)
{
	bool kernel = is_below(f->destination, "/sys");
	json_t *options = spec_list(f->options);
	char size[32];

	if (kernel && !config_flag(in->c->host, "Privileged"))
		json_push(options, json_string("ro"));
	if (streq(f->destination, "/dev/shm")) {
		snprintf(size, sizeof(size), "size=%lld",
			 (long long)config_number(in->c->host, "ShmSize"));
		json_push(options, json_string(size));
	}
	return options;
}

static void add_fixed(const struct spec_input *in, json_t *mounts, const json_t *wishes)
{
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!is_taken(wishes, fixed[i].destination))
			json_push(mounts,
				  mount_json(fixed[i].destination, fixed[i].type, fixed[i].source,
					     fixed_options(in, &fixed[i])));
}

/* ---- what is asked for */

/* The entry of --mount that this destination comes from, or NULL. */
static const json_t *long_form(const json_t *host, const char *destination)
{
	json_t *m;
	size_t i;

	json_array_foreach (json_object_get(host, "Mounts"), i, m)
		if (streq(config_text(m, "Target"), destination))
			return m;
	return NULL;
}

static void add_bind(json_t *wishes, const struct spec_input *in, const json_t *m)
{
	const char *destination = config_text(m, "Destination"),
		   *propagation = config_text(m, "Propagation");
	const json_t *asked = json_object_get(long_form(in->c->host, destination), "BindOptions");
	json_t *options = json_array();

	json_push(options, json_string(config_flag(asked, "NonRecursive") ? "bind" : "rbind"));
	if (!config_flag(m, "RW"))
		json_push(options, json_string("ro"));
	json_push(options, json_string(*propagation ? propagation : "rprivate"));
	json_push(wishes, mount_json(destination, "bind", config_text(m, "Source"), options));
}

static json_t *tmpfs_defaults(void)
{
	return spec_list(OPTIONS("noexec", "nosuid", "nodev", "rprivate"));
}

static void add_long_tmpfs(json_t *wishes, const struct spec_input *in, const json_t *m)
{
	const char *destination = config_text(m, "Destination");
	const json_t *asked = json_object_get(long_form(in->c->host, destination), "TmpfsOptions");
	json_t *options = tmpfs_defaults();
	char text[40];

	if (!config_flag(m, "RW"))
		json_push(options, json_string("ro"));
	if (config_number(asked, "SizeBytes") > 0) {
		snprintf(text, sizeof(text), "size=%lld",
			 (long long)config_number(asked, "SizeBytes"));
		json_push(options, json_string(text));
	}
	if (config_number(asked, "Mode") > 0) {
		snprintf(text, sizeof(text), "mode=%llo",
			 (unsigned long long)config_number(asked, "Mode"));
		json_push(options, json_string(text));
	}
	json_push(wishes, mount_json(destination, "tmpfs", "tmpfs", options));
}

/* The last of two opposite options counts, so the user's come after the defaults. */
static void add_short_tmpfs(json_t *wishes, const char *path, const char *asked)
{
	_free_ char *destination = path_clean(path), *copy = strdup(asked);
	char *rest = copy, *option;
	json_t *options = tmpfs_defaults();

	while ((option = strsep(&rest, ",")))
		if (*option)
			json_push(options, json_string(option));
	if (!copy || !destination) /* told when the text is made */
		json_push(options, NULL);
	json_push(wishes, mount_json(destination ? destination : "/", "tmpfs", "tmpfs", options));
}

static void add_wishes(json_t *wishes, const struct spec_input *in)
{
	const char *path;
	json_t *v;
	size_t i;

	json_object_foreach (json_object_get(in->c->host, "Tmpfs"), path, v)
		add_short_tmpfs(wishes, path, json_string_value(v));
	json_array_foreach (in->c->mounts, i, v) {
		if (streq(config_text(v, "Type"), "tmpfs"))
			add_long_tmpfs(wishes, in, v);
		else
			add_bind(wishes, in, v);
	}
}

static void add_files(json_t *wishes, const struct spec_input *in)
{
	const struct {
		const char *destination, *source;
	} files[] = {
		{ "/etc/resolv.conf", in->resolv_path },
		{ "/etc/hostname", in->hostname_path },
		{ "/etc/hosts", in->hosts_path },
	};
	bool readonly = config_flag(in->c->host, "ReadonlyRootfs");

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		json_t *options;

		if (!files[i].source || is_mounted(wishes, files[i].destination))
			continue;
		options = spec_list(OPTIONS("rbind", "rprivate"));
		if (readonly)
			json_push(options, json_string("ro"));
		json_push(wishes,
			  mount_json(files[i].destination, "bind", files[i].source, options));
	}
}

/* ---- order */

struct place {
	size_t depth, at;
};

static size_t depth(const json_t *m)
{
	size_t n = 0;

	for (const char *p = config_text(m, "destination"); *p; p++)
		n += *p == '/';
	return n;
}

static int by_depth(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

/* The shallow ones first, those of one depth in their order. */
static void append_by_depth(json_t *mounts, const json_t *wishes)
{
	size_t n = json_array_size(wishes);
	_free_ struct place *places = calloc(n + 1, sizeof(*places));

	if (!places) { /* told when the text is made */
		json_push(mounts, NULL);
		return;
	}
	for (size_t i = 0; i < n; i++)
		places[i] = (struct place){ depth(json_array_get(wishes, i)), i };
	qsort(places, n, sizeof(*places), by_depth);
	for (size_t i = 0; i < n; i++)
		json_push(mounts, json_incref(json_array_get(wishes, places[i].at)));
}

/* ---- sources and propagation */

static int make_dirs(const char *path, struct cnm_error *err)
{
	_free_ char *copy = strdup(path);

	if (!copy)
		return cnm_error_errno(err, ENOMEM, "mount %s", path);
	for (char *p = copy + 1;; p++) {
		char end = *p;

		if (end && end != '/')
			continue;
		*p = 0;
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return cnm_error_errno(
				err, errno, "error while creating mount source path '%s': mkdir %s",
				path, copy);
		*p = end;
		if (!end)
			return 0;
	}
}

/* -v makes what is missing; --mount refuses it, unless it says otherwise. */
static int check_source(const struct spec_input *in, const json_t *m, struct cnm_error *err)
{
	const char *source = config_text(m, "Source");
	const json_t *asked = long_form(in->c->host, config_text(m, "Destination"));
	struct stat st;

	if (stat(source, &st) == 0)
		return 0;
	if (errno != ENOENT)
		return cnm_error_errno(err, errno, "mount %s", source);
	if (!asked || config_flag(json_object_get(asked, "BindOptions"), "CreateMountpoint"))
		return make_dirs(source, err);
	return cnm_error_set(err, CNM_E_INVALID,
			     "invalid mount config for type \"bind\": bind source path does not "
			     "exist: %s",
			     source);
}

static int check_sources(const struct spec_input *in, struct cnm_error *err)
{
	json_t *m;
	size_t i;
	int r = 0;

	json_array_foreach (in->c->mounts, i, m) {
		if (r < 0)
			return r;
		if (streq(config_text(m, "Type"), "bind"))
			r = check_source(in, m, err);
	}
	return r;
}

/* The root must let through what one of its mounts is to pass on. */
static const char *root_propagation(const json_t *mounts)
{
	const char *found = NULL;
	json_t *m;
	size_t i;

	json_array_foreach (mounts, i, m) {
		const char *p = config_text(m, "Propagation");

		if (streq(p, "shared") || streq(p, "rshared"))
			return "shared";
		if (streq(p, "slave") || streq(p, "rslave"))
			found = "slave";
	}
	return found;
}

int spec_mounts(const struct spec_input *in, json_t *spec, json_t *linux_spec,
		struct cnm_error *err)
{
	const char *propagation = root_propagation(in->c->mounts);
	_json_ json_t *wishes = json_array(), *mounts = json_array();
	int r = check_sources(in, err);

	if (r < 0)
		return r;
	add_wishes(wishes, in);
	add_fixed(in, mounts, wishes);
	add_files(wishes, in);
	append_by_depth(mounts, wishes);
	json_put(spec, "mounts", json_incref(mounts));
	if (propagation)
		json_put(linux_spec, "rootfsPropagation", json_string(propagation));
	return 0;
}
