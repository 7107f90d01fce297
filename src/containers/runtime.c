/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The runtime's own commands: start, delete, ps.
 *
 * Deletion has to undo any half-made state, in this order: conmon, which would go on creating, with
 * the runtime; whatever is in the cgroup; what the runtime knows of it, by the runtime itself, and
 * its directory, if that is one that it cannot read; the cgroup. What counts is what is left, not
 * what the runtime said on the way. The processes come first because the runtime, when it has to
 * kill, looks for the end ten times a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/cgroup.h"
#include "containers/rootfs.h"
#include "containers/runtime_internal.h"

#define COMMAND_MS 30000
#define MAX_FILE   65536

/* The tables of arguments are char *, as execve() has them; nothing writes to the strings. */
static char *arg(const char *s)
{
	return (char *)s;
}

unsigned runtime_options_args(const struct runtime *rt, char *args[static RUNTIME_ARGS], char *log)
{
	unsigned n = 0;

	args[n++] = rt->path;
	args[n++] = arg("--root");
	args[n++] = rt->root;
	args[n++] = arg("--log-format");
	args[n++] = arg("json");
	if (log) {
		args[n++] = arg("--log");
		args[n++] = log;
	}
	if (rt->crun) { /* systemd's manager is its default */
		args[n++] = arg("--cgroup-manager");
		args[n++] = arg("cgroupfs");
	}
	args[n] = NULL;
	return n;
}

int runtime_run(const struct runtime *rt, const char *what, char *const args[],
		struct process_result *ret, struct cnm_error *err)
{
	char *argv[RUNTIME_ARGS];
	unsigned n = runtime_options_args(rt, argv, NULL);
	struct process_result result;
	int r;

	while (*args && n < RUNTIME_ARGS - 1)
		argv[n++] = *args++;
	argv[n] = NULL;
	r = process_run(argv, &(struct process_options){ .what = what, .deadline_ms = COMMAND_MS },
			&result, err);
	if (r < 0 && result.err && *result.err)
		r = runtime_refused(rt, what, result.err, NULL, err);
	if (r == 0 && ret)
		*ret = result;
	else
		process_result_free(&result);
	return r;
}

int runtime_start(struct runtime *rt, const char *id, struct cnm_error *err)
{
	char *args[] = { arg("start"), arg(id), NULL };
	int r = runtime_check(rt, err);

	return r < 0 ? r : runtime_run(rt, "start the container", args, NULL, err);
}

/* ---- deletion */

/* Has to be gone: 0, or an error that names what is left. */
static int delete_state(struct runtime *rt, const char *id, struct cnm_error *err)
{
	char *args[] = { arg("delete"), arg("--force"), arg(id), NULL };
	char state[PATH_MAX];

	if (snprintf(state, sizeof(state), "%s/%s", rt->root, id) >= (int)sizeof(state))
		return cnm_error_errno(err, ENAMETOOLONG, "delete the container %s", id);
	if (access(state, F_OK) < 0)
		return 0;
	if (rt->path)
		(void)runtime_run(rt, "delete the container", args, NULL, NULL);
	if (access(state, F_OK) < 0)
		return 0;
	rootfs_unmount_below(state); /* runc mounts its own program there for an instant */
	return tree_remove(state, err);
}

static int kill_left(const char *id, const char *cgroup, struct cnm_error *err)
{
	int r = cgroup_kill(cgroup);

	return r == 0 ? 0
		      : cnm_error_errno(err, r,
					"delete the container %s: end what is in the cgroup %s", id,
					cgroup);
}

int runtime_delete(struct runtime *rt, const char *id, const char *bundle, const char *cgroup,
		   struct cnm_error *err)
{
	int r = 0, also;

	if (!*id || strchr(id, '/') || id[0] == '.')
		return cnm_error_set(err, CNM_E_INVALID, "delete the container %s: no such id", id);
	if (bundle)
		conmon_kill(rt, bundle, id);
	if (cgroup)
		r = kill_left(id, cgroup, err);
	also = delete_state(rt, id, r < 0 ? NULL : err);
	if (cgroup)
		cgroup_remove(cgroup);
	process_reap_strays();
	return r < 0 ? r : also;
}

/* ---- processes */

static int pids_of(const json_t *list, pid_t **ret, unsigned *ret_n)
{
	size_t n = json_array_size(list);
	pid_t *pids = calloc(n ? n : 1, sizeof(*pids));

	if (!pids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		pids[i] = (pid_t)json_integer_value(json_array_get(list, i));
	*ret = pids;
	*ret_n = (unsigned)n;
	return 0;
}

int runtime_pids(struct runtime *rt, const char *id, pid_t **ret, unsigned *ret_n,
		 struct cnm_error *err)
{
	static const char what[] = "list the container's processes";
	char *args[] = { arg("ps"), arg("--format"), arg("json"), arg(id), NULL };
	struct process_result said = { 0 };
	_json_ json_t *list = NULL;
	int r = runtime_check(rt, err);

	if (r == 0)
		r = runtime_run(rt, what, args, &said, err);
	if (r < 0)
		return r;
	list = json_loads(said.out, JSON_DECODE_ANY, NULL);
	process_result_free(&said);
	if (!json_is_array(list) && !json_is_null(list))
		return cnm_error_set(err, CNM_E_INTERNAL, "%s: %s gave no list", what, rt->name);
	r = pids_of(list, ret, ret_n);
	return r < 0 ? cnm_error_errno(err, r, "%s", what) : 0;
}

/* ---- small files of a bundle */

char *runtime_read_file(int dir, const char *name)
{
	_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char buf[4096];
	struct strbuf b = { .s = NULL };
	ssize_t n;

	if (fd < 0)
		return NULL;
	while (b.len < MAX_FILE && (n = read(fd, buf, sizeof(buf))) > 0)
		strbuf_addn(&b, buf, (size_t)n);
	return strbuf_take(&b);
}

pid_t runtime_read_pid(int dir, const char *name)
{
	_free_ char *text = runtime_read_file(dir, name);
	long pid;

	if (!text)
		return -ENOENT;
	text[strcspn(text, "\n")] = 0;
	return str_to_long(text, 1, INT_MAX, &pid) < 0 ? -ENOENT : (pid_t)pid;
}
