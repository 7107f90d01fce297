/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One run of a container: making what it needs and starting it, and taking that away.
 *
 * The bundle's directory is made first and removed last: where there is none, nothing is left of a
 * run, and cleaning costs one system call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/rootfs.h"

/* ---- the bundle */

static int write_file(const char *dir, const char *name, const char *text, struct cnm_error *err)
{
	char path[CONTAINER_PATH + 32];
	_close_ int fd = -1;
	size_t n = strlen(text), done = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	while (fd >= 0 && done < n) {
		ssize_t w = write(fd, text + done, n - done);

		if (w < 0)
			break;
		done += (size_t)w;
	}
	return fd < 0 || done < n ? cnm_error_errno(err, errno, "write %s", path) : 0;
}

static bool is_set(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

int container_spec_input(struct containers *cs, const struct container *c, struct spec_paths *paths,
			 struct spec_input *ret, struct cnm_error *err)
{
	int r = container_network_paths(cs, c, paths, err);

	if (r < 0)
		return r;
	container_root(cs, c->id, paths->root);
	container_cgroup(cs, c->id, paths->cgroup);
	*ret = (struct spec_input){
		.id = c->id,
		.c = &c->c,
		.seccomp = cs->seccomp,
		.rootfs = paths->root,
		.netns = paths->netns[0] ? paths->netns : NULL,
		.hostname = paths->hostname[0] ? paths->hostname : NULL,
		.domainname = paths->domainname[0] ? paths->domainname : NULL,
		.hosts_path = paths->hosts[0] ? paths->hosts : NULL,
		.hostname_path = paths->hostname_file[0] ? paths->hostname_file : NULL,
		.resolv_path = paths->resolv[0] ? paths->resolv : NULL,
		.cgroup = paths->cgroup,
		.cgroup2 = cs->cgroup2,
	};
	return 0;
}

static int write_bundle(struct containers *cs, const struct container *c, const char *bundle,
			struct cnm_error *err)
{
	struct spec_paths paths;
	struct spec_input in;
	_free_ char *text = NULL;
	int r = container_spec_input(cs, c, &paths, &in, err);

	if (r == 0)
		r = spec_container(&in, &text, err);
	return r == 0 ? write_file(bundle, "config.json", text, err) : r;
}

/* ---- taking away */

/* Did it succeed? */
static bool report(const struct container *c, int r, const struct cnm_error *err)
{
	if (r < 0)
		log_warn("container %.12s: %s; it is tried again with whatever comes next", c->id,
			 err->text);
	return r >= 0;
}

void container_clean(struct containers *cs, const struct container *c)
{
	char bundle[CONTAINER_PATH], root[CONTAINER_PATH], cgroup[CONTAINER_PATH];
	struct cnm_error err = { 0 };
	bool done;

	container_bundle(cs, c->id, bundle);
	if (access(bundle, F_OK) < 0)
		return;
	container_root(cs, c->id, root);
	container_cgroup(cs, c->id, cgroup);
	done = report(c, runtime_delete(cs->runtime, c->id, bundle, cgroup, &err), &err);
	done &= report(c, rootfs_unmount(root, &err), &err);
	rootfs_unmount_below(bundle);
	done &= report(c, container_network_stop(cs, c, &err), &err);
	if (done) /* else it says that something is left */
		report(c, tree_remove(bundle, &err), &err);
}

/* ---- making */

static int check_possible(struct containers *cs, const struct container *c, struct cnm_error *err)
{
	int r = runtime_check(cs->runtime, err);

	if (r < 0 || !cs->no_seccomp || is_set(c->c.host, "Privileged"))
		return r;
	return cnm_error_set(err, CNM_E_UNAVAILABLE, "%s", cs->no_seccomp);
}

static int create(struct containers *cs, struct container *c, const char *bundle,
		  struct runtime_made *ret, struct cnm_error *err)
{
	char dir[CONTAINER_PATH], root[CONTAINER_PATH], log[CONTAINER_PATH];
	int r;

	container_dir(cs, c->id, dir);
	container_root(cs, c->id, root);
	container_log(cs, c->id, log);
	if ((r = container_network_start(cs, c, err)) < 0 ||
	    (r = rootfs_mount(c->lower, dir, root, err)) < 0 ||
	    (r = write_bundle(cs, c, bundle, err)) < 0)
		return r;
	return runtime_create(
		cs->runtime,
		&(struct runtime_create){ .id = c->id,
					  .name = c->name,
					  .bundle = bundle,
					  .log = log,
					  .terminal = is_set(c->c.config, "Tty"),
					  .stdin_open = is_set(c->c.config, "OpenStdin"),
					  .stdin_once = is_set(c->c.config, "StdinOnce") },
		ret, err);
}

/* Lock held: the process is there, and about to be let go. */
static void take_over(struct containers *cs, struct container *c, const struct runtime_made *made)
{
	c->pid = made->pid;
	c->pidfd = made->pidfd;
	c->conmon_pidfd = made->conmon_pidfd;
	c->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	container_connect_attached(cs, c);
}

/*
 * Lock held on entry and exit. From here on the run ends by the monitor. started: when the process
 * was let go, which may have written to its log since.
 */
static int begin(struct containers *cs, struct container *c, int64_t started, struct cnm_error *err)
{
	enum container_state before = c->state;
	int r;

	c->state = CONTAINER_RUNNING;
	c->started = started;
	c->exit_code = 0;
	c->oom = false;
	free(take_ptr(c->error));
	r = container_save(cs, c, STORE_READY, false, STORE_NORMAL, err);
	if (r == 0 && (r = monitor_watch(cs, c)) < 0)
		cnm_error_errno(err, r, "watch container %s", c->name);
	if (r < 0)
		c->state = before;
	else
		container_event(cs, c, "start", NULL);
	return r;
}

/* As a shell has it: what could not be executed is 126, what was not found 127. */
static int failure_code(const char *message)
{
	if (strstr(message, "executable file not found") ||
	    strstr(message, "no such file or directory"))
		return 127;
	if (strstr(message, "permission denied") || strstr(message, "is a directory"))
		return 126;
	return 128;
}

/* Lock held. Nothing is left of it. */
static void note_failure(struct containers *cs, struct container *c, const struct cnm_error *err)
{
	close_fd(&c->pidfd);
	close_fd(&c->conmon_pidfd);
	close_fd(&c->over);
	c->pid = 0;
	if (c->state == CONTAINER_RESTARTING)
		c->state = CONTAINER_EXITED;
	c->exit_code = failure_code(err->text);
	free(c->error);
	c->error = strdup(err->text);
	container_end_attached(c);
	container_save(cs, c, STORE_READY, false, STORE_NORMAL, NULL);
}

int container_run(struct containers *cs, struct container *c, struct cnm_error *err)
{
	struct runtime_made made;
	struct cnm_error why = { 0 };
	char bundle[CONTAINER_PATH];
	int64_t started = 0;
	int r = check_possible(cs, c, &why);

	container_bundle(cs, c->id, bundle);
	if (r == 0 && mkdir(bundle, 0700) < 0 && errno != EEXIST)
		r = cnm_error_errno(&why, errno, "make %s", bundle);
	if (r == 0)
		r = create(cs, c, bundle, &made, &why);
	if (r == 0) {
		pthread_mutex_lock(&cs->lock);
		take_over(cs, c, &made);
		pthread_mutex_unlock(&cs->lock);
		started = clock_wall_ns();
		r = runtime_start(cs->runtime, c->id, &why);
	}
	pthread_mutex_lock(&cs->lock);
	if (r == 0)
		r = begin(cs, c, started, &why);
	pthread_mutex_unlock(&cs->lock);
	if (r == 0)
		return 0;
	container_clean(cs, c);
	pthread_mutex_lock(&cs->lock);
	note_failure(cs, c, &why);
	pthread_mutex_unlock(&cs->lock);
	if (err)
		*err = why;
	return r;
}
