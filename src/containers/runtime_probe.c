/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which runtime: the one asked for, else crun (a start costs half of runc's), else runc.
 *
 * The probe runs nothing, for it stands in the way of the daemon's start, and a container run for
 * the purpose takes 10 to 40 ms and a root file system. There is one condition known under which an
 * installed runtime cannot work on a machine: crun refuses to make any container when cgroup v1 and
 * v2 are mixed and v2 has controllers. It reads /sys/fs/cgroup/unified/cgroup.controllers for that,
 * and so does the probe. Any other trouble is told by the first container, in the runtime's words.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "containers/runtime_internal.h"

#define CGROUP2    0x63677270
#define UNIFIED    "/sys/fs/cgroup/unified"
#define VERSION_MS 5000

/* ---- the choice */

static bool crun_refuses_cgroups(void)
{
	_close_ int fd = -1;
	struct statfs fs;
	char c;

	if (statfs(UNIFIED, &fs) < 0 || fs.f_type != CGROUP2)
		return false;
	fd = open(UNIFIED "/cgroup.controllers", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &c, 1) > 0;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* 0 and its path; else an error that says why not. */
static int consider(const char *program, char path[static PATH_MAX], struct cnm_error *err)
{
	char hint[120];

	if (process_find(program, path, PATH_MAX) < 0)
		return cnm_error_set(
			err, CNM_E_UNAVAILABLE,
			"containers need an OCI runtime, and %s is not there: %s, then "
			"restart cnmd",
			program, process_package_hint(program, hint, sizeof(hint)));
	if (streq(last_part(path), "crun") && crun_refuses_cgroups())
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "crun makes no containers on a machine with cgroups in hybrid "
				     "mode (" UNIFIED " has controllers): install the package runc "
				     "(apt-get install runc), or boot with "
				     "systemd.unified_cgroup_hierarchy=1, then restart cnmd");
	return 0;
}

static int choose(const char *program, char path[static PATH_MAX], struct cnm_error *err)
{
	struct cnm_error other;

	if (program && *program)
		return consider(program, path, err);
	if (consider("crun", path, &other) == 0 || consider("runc", path, &other) == 0)
		return 0;
	return consider("crun", path, err); /* the better choice, if it were there */
}

static int choose_conmon(const char *conmon, char path[static PATH_MAX], struct cnm_error *err)
{
	char hint[120];

	if (process_find(conmon, path, PATH_MAX) == 0)
		return 0;
	return cnm_error_set(err, CNM_E_UNAVAILABLE,
			     "containers need conmon, and %s is not there: %s, then restart cnmd",
			     conmon, process_package_hint(conmon, hint, sizeof(hint)));
}

/* ---- the object */

static struct runtime_versions *versions_new(void)
{
	struct runtime_versions *v = calloc(1, sizeof(*v));

	if (v)
		pthread_mutex_init(&v->lock, NULL);
	return v;
}

static void versions_free(struct runtime_versions *v)
{
	if (!v)
		return;
	pthread_mutex_destroy(&v->lock);
	free(v->runtime);
	free(v->conmon);
	free(v);
}

static int fill(struct runtime *rt, const struct runtime_options *options)
{
	char path[PATH_MAX], conmon[PATH_MAX];

	rt->versions = versions_new();
	rt->root = strdup(options->root);
	rt->name = "";
	if (!rt->versions || !rt->root)
		return -ENOMEM;
	if (choose(options->program, path, &rt->why) < 0 ||
	    choose_conmon(options->conmon ? options->conmon : "conmon", conmon, &rt->why) < 0)
		return 0;
	rt->path = strdup(path);
	rt->conmon = strdup(conmon);
	if (!rt->path || !rt->conmon)
		return -ENOMEM;
	rt->name = last_part(rt->path);
	rt->crun = streq(rt->name, "crun");
	return 0;
}

int runtime_open(struct runtime **ret, const struct runtime_options *options, struct cnm_error *err)
{
	struct runtime *rt = calloc(1, sizeof(*rt));

	if (!rt || fill(rt, options) < 0) {
		runtime_close(rt);
		return cnm_error_errno(err, ENOMEM, "look for an OCI runtime");
	}
	*ret = rt;
	return 0;
}

void runtime_close(struct runtime *rt)
{
	if (!rt)
		return;
	versions_free(rt->versions);
	free(rt->path);
	free(rt->conmon);
	free(rt->root);
	free(rt);
}

int runtime_check(const struct runtime *rt, struct cnm_error *err)
{
	return rt->path ? 0 : cnm_error_set(err, rt->why.class, "%s", rt->why.text);
}

/* ---- names and versions */

/* "crun version 1.8.1\n...": "1.8.1". "" when it does not tell; NULL without memory. */
static char *ask_version(const char *program)
{
	char path[PATH_MAX], option[] = "--version";
	char *argv[] = { path, option, NULL };
	struct process_result said = { .status = 0 };
	char *version = NULL;

	if (!str_copy(path, sizeof(path), program) ||
	    process_run(argv,
			&(struct process_options){ .what = "ask for the version",
						   .deadline_ms = VERSION_MS },
			&said, NULL) < 0 ||
	    sscanf(said.out, "%*s version %ms", &version) != 1)
		version = strdup("");
	process_result_free(&said);
	return version;
}

/* The lock is not held while the program runs; two may ask, and one answer is kept. */
static const char *version_once(struct runtime_versions *v, char **slot, const char *program)
{
	const char *known;
	char *asked;

	pthread_mutex_lock(&v->lock);
	known = *slot;
	pthread_mutex_unlock(&v->lock);
	if (known)
		return known;
	asked = ask_version(program);
	pthread_mutex_lock(&v->lock);
	if (!*slot)
		*slot = take_ptr(asked);
	known = *slot;
	pthread_mutex_unlock(&v->lock);
	free(asked);
	return known ? known : "";
}

const char *runtime_name(const struct runtime *rt)
{
	return rt->name;
}

const char *runtime_version(const struct runtime *rt)
{
	return rt->path ? version_once(rt->versions, &rt->versions->runtime, rt->path) : "";
}

const char *runtime_conmon_version(const struct runtime *rt)
{
	return rt->conmon ? version_once(rt->versions, &rt->versions->conmon, rt->conmon) : "";
}
