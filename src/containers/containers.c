/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open, close, teardown, the table of containers, and what they say of themselves: container.h. */
#include "containers/containers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/process.h"
#include "containers/rootfs.h"

#define DEFAULT_SECCOMP "/usr/share/containers/seccomp.json"

/* ---- the table */

struct container *container_new(void)
{
	struct container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	list_init(&c->node);
	list_init(&c->waits);
	list_init(&c->attached);
	c->pidfd = c->conmon_pidfd = c->over = -1;
	return c;
}

void container_free(struct container *c)
{
	if (!c)
		return;
	container_config_free(&c->c);
	close_fd(&c->pidfd);
	close_fd(&c->conmon_pidfd);
	close_fd(&c->over);
	free(c->name);
	free(c->lower);
	free(c->error);
	free(c);
}

int container_add(struct containers *cs, struct container *c)
{
	int r = map_add(&cs->by_id, c->id, c);

	if (r < 0)
		return r;
	r = map_add(&cs->by_name, c->name, c);
	if (r < 0) {
		map_del(&cs->by_id, c->id);
		return r;
	}
	list_append(&cs->all, &c->node);
	return 0;
}

static void unlink_all(struct list *head)
{
	while (!list_empty(head))
		list_del(head->next);
}

void container_drop(struct containers *cs, struct container *c)
{
	map_del(&cs->by_id, c->id);
	map_del(&cs->by_name, c->name);
	list_del(&c->node);
	pthread_cond_broadcast(&cs->changed);
	while (c->users)
		containers_pause(cs, 0);
	unlink_all(&c->attached); /* they may end later than it */
	unlink_all(&c->waits);
	container_free(c);
}

struct container *container_by_id(struct containers *cs, const char *id)
{
	return map_get(&cs->by_id, id);
}

int container_find(struct containers *cs, const char *ref, struct container **ret,
		   struct cnm_error *err)
{
	const char *name = ref[0] == '/' ? ref + 1 : ref;
	size_t pos = 0, len = strlen(ref);
	struct container *c, *found = NULL;
	unsigned n = 0;

	if ((*ret = map_get(&cs->by_id, ref)) || (*ret = map_get(&cs->by_name, name)))
		return 0;
	while (len && (c = map_next(&cs->by_id, &pos)))
		if (strncmp(c->id, ref, len) == 0) {
			found = c;
			n++;
		}
	if (n > 1)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"multiple IDs found with provided prefix: %s: give more of its "
			"digits",
			ref);
	if (n == 0)
		return cnm_error_set(err, CNM_E_NOT_FOUND, "No such container: %s", ref);
	*ret = found;
	return 0;
}

int containers_pause(struct containers *cs, uint64_t deadline)
{
	return cond_wait(&cs->changed, &cs->lock, deadline);
}

int container_find_idle(struct containers *cs, const char *ref, struct container **ret,
			struct cnm_error *err)
{
	uint64_t deadline = clock_mono_ns() + CONTAINER_WAIT_S * 1000000000ull;
	char id[ID_SIZE];
	int r = container_find(cs, ref, ret, err);

	if (r < 0)
		return r;
	memcpy(id, (*ret)->id, ID_SIZE);
	while ((*ret)->busy) {
		if ((*ret)->removing)
			return cnm_error_set(err, CNM_E_CONFLICT,
					     "removal of container %s is already in progress", ref);
		if (containers_pause(cs, deadline) < 0)
			return cnm_error_set(err, CNM_E_CONFLICT,
					     "container %s is being changed by another request, "
					     "which has not ended within %d s; try again",
					     ref, CONTAINER_WAIT_S);
		*ret = container_by_id(cs, id);
		if (!*ret)
			return cnm_error_set(err, CNM_E_NOT_FOUND, "No such container: %s", ref);
	}
	return 0;
}

int container_acquire(struct containers *cs, const char *ref, struct container **ret,
		      struct cnm_error *err)
{
	int r = container_find_idle(cs, ref, ret, err);

	if (r == 0)
		(*ret)->busy = true;
	return r;
}

void container_release(struct containers *cs, struct container *c)
{
	c->busy = false;
	pthread_cond_broadcast(&cs->changed);
}

bool container_is_running(const struct container *c)
{
	return c->state == CONTAINER_RUNNING || c->state == CONTAINER_RESTARTING;
}

const char *container_state_name(const struct container *c)
{
	static const char *const names[] = { "created", "running", "restarting", "exited" };

	return c->removing ? "removing" : names[c->state];
}

/* ---- paths */

void container_bundle(const struct containers *cs, const char *id, char path[CONTAINER_PATH])
{
	snprintf(path, CONTAINER_PATH, "%s/%s", cs->run_dir, id);
}

void container_root(const struct containers *cs, const char *id, char path[CONTAINER_PATH])
{
	snprintf(path, CONTAINER_PATH, "%s/%s/rootfs", cs->run_dir, id);
}

void container_dir(const struct containers *cs, const char *id, char path[CONTAINER_PATH])
{
	snprintf(path, CONTAINER_PATH, "%s/%s", cs->dir, id);
}

void container_log(const struct containers *cs, const char *id, char path[CONTAINER_PATH])
{
	snprintf(path, CONTAINER_PATH, "%s/%s/log", cs->dir, id);
}

void container_cgroup(const struct containers *cs, const char *id, char path[CONTAINER_PATH])
{
	snprintf(path, CONTAINER_PATH, "%s/%s", cs->cgroup_parent, id);
}

/* ---- events, jobs */

static void put_image(json_t *attributes, const struct container *c)
{
	const char *image = json_string_value(json_object_get(c->c.config, "Image"));

	json_put(attributes, "image", json_str(image));
	json_put(attributes, "name", json_string(c->name));
}

void container_event(struct containers *cs, const struct container *c, const char *action,
		     json_t *more)
{
	json_t *attributes = json_copy(json_object_get(c->c.config, "Labels"));

	if (!attributes)
		attributes = json_object();
	put_image(attributes, c);
	if (more)
		json_object_update(attributes, more);
	json_decref(more);
	events_emit(cs->engine->events, "container", action, c->id, attributes);
}

struct job {
	struct containers *cs;
	void (*fn)(struct containers *cs, void *arg);
	void *arg;
};

static void *job_main(void *arg)
{
	struct job job = *(struct job *)arg;

	free(arg);
	job.fn(job.cs, job.arg);
	pthread_mutex_lock(&job.cs->lock);
	job.cs->jobs--;
	pthread_cond_broadcast(&job.cs->changed);
	pthread_mutex_unlock(&job.cs->lock);
	return NULL;
}

/* By the monitor's thread only, or by nobody: without a thread the caller does it itself. */
void containers_job(struct containers *cs, void (*fn)(struct containers *cs, void *arg), void *arg)
{
	struct job *job = malloc(sizeof(*job));
	pthread_attr_t ta;
	pthread_t thread;
	int r = -ENOMEM;

	pthread_attr_init(&ta);
	pthread_attr_setstacksize(&ta, 256 * 1024);
	pthread_attr_setdetachstate(&ta, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&cs->lock);
	cs->jobs++;
	pthread_mutex_unlock(&cs->lock);
	if (job) {
		*job = (struct job){ .cs = cs, .fn = fn, .arg = arg };
		r = pthread_create(&thread, &ta, job_main, job);
	}
	pthread_attr_destroy(&ta);
	if (r == 0)
		return;
	free(job);
	fn(cs, arg);
	pthread_mutex_lock(&cs->lock);
	cs->jobs--;
	pthread_mutex_unlock(&cs->lock);
}

/* ---- open and close */

static char *path_below(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int make_dir(const char *path, struct cnm_error *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return cnm_error_errno(err, errno, "make directory %s", path);
	return 0;
}

static int set_paths(struct containers *cs, const struct containers_options *o,
		     struct cnm_error *err)
{
	const struct cnm_engine *e = o->engine;
	int r;

	cs->dir = path_below(e->state_dir, "containers");
	cs->volumes = path_below(e->state_dir, "volumes");
	cs->run_dir = path_below(e->run_dir, "containers");
	cs->cgroup_parent =
		o->cgroup_parent ? strdup(o->cgroup_parent) : path_below("", e->instance);
	cs->cgroup2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
	if (!cs->dir || !cs->volumes || !cs->run_dir || !cs->cgroup_parent)
		return cnm_error_errno(err, ENOMEM, "open containers");
	if ((r = make_dir(cs->dir, err)) < 0 || (r = make_dir(cs->run_dir, err)) < 0)
		return r;
	return make_dir(cs->volumes, err);
}

static char *image_user(const char *id, bool running, void *arg)
{
	struct containers *cs = arg;
	const struct container *c;
	char *name = NULL;
	LOCKED(&cs->lock);

	list_for_each (c, &cs->all, node)
		if (!name && streq(c->image, id) && (!running || container_is_running(c)))
			name = strdup(c->id);
	return name;
}

static void image_event(const char *action, const char *id, const char *name, void *arg)
{
	struct containers *cs = arg;

	events_emit(cs->engine->events, "image", action, id,
		    json_pack("{s:s}", "name", name ? name : ""));
}

static int open_images(struct containers *cs, const struct containers_options *o,
		       struct cnm_error *err)
{
	_free_ char *dir = path_below(o->engine->state_dir, "images");

	if (!dir)
		return cnm_error_errno(err, ENOMEM, "open images");
	return images_open(&cs->images,
			   &(struct images_options){ .store = o->engine->store,
						     .dir = dir,
						     .busybox = o->busybox,
						     .user_of = image_user,
						     .event = image_event,
						     .arg = cs },
			   err);
}

static int open_runtime(struct containers *cs, const struct containers_options *o,
			struct cnm_error *err)
{
	_free_ char *root = path_below(o->engine->run_dir, "runtime");

	if (!root)
		return cnm_error_errno(err, ENOMEM, "open the runtime");
	return runtime_open(&cs->runtime,
			    &(struct runtime_options){
				    .program = o->runtime, .conmon = o->conmon, .root = root },
			    err);
}

/* Without a profile only what runs without one may start. */
static int open_seccomp(struct containers *cs, const char *path, struct cnm_error *err)
{
	struct cnm_error why = { 0 };

	if (seccomp_open(&cs->seccomp, path ? path : DEFAULT_SECCOMP, &why) == 0)
		return 0;
	cs->no_seccomp = strdup(why.text);
	log_warn("%s: containers start with --privileged only", why.text);
	return cs->no_seccomp ? 0 : cnm_error_errno(err, ENOMEM, "open containers");
}

static struct containers *containers_new(struct cnm_engine *engine)
{
	struct containers *cs = calloc(1, sizeof(*cs));

	if (!cs)
		return NULL;
	cs->engine = engine;
	list_init(&cs->all);
	pthread_mutex_init(&cs->lock, NULL);
	cond_init(&cs->changed);
	return cs;
}

int containers_open(struct containers **ret, const struct containers_options *options,
		    struct cnm_error *err)
{
	struct containers *cs = containers_new(options->engine);
	int r;

	if (!cs)
		return cnm_error_errno(err, ENOMEM, "open containers");
	r = process_become_reaper();
	if (r < 0)
		cnm_error_errno(err, r, "become the reaper of what containers leave");
	if (r < 0 || (r = set_paths(cs, options, err)) < 0 ||
	    (r = open_runtime(cs, options, err)) < 0 ||
	    (r = open_seccomp(cs, options->seccomp, err)) < 0 ||
	    (r = open_images(cs, options, err)) < 0 || (r = relay_start(&cs->relay, err)) < 0 ||
	    (r = monitor_thread_start(cs, err)) < 0 || (r = containers_restore(cs, err)) < 0) {
		containers_close(cs);
		return r;
	}
	*ret = cs;
	return 0;
}

static void wait_for_jobs(struct containers *cs)
{
	pthread_mutex_lock(&cs->lock);
	cs->closing = true;
	pthread_cond_broadcast(&cs->changed);
	while (cs->jobs)
		containers_pause(cs, 0);
	pthread_mutex_unlock(&cs->lock);
}

void containers_close(struct containers *cs)
{
	if (!cs)
		return;
	monitor_thread_stop(cs);
	wait_for_jobs(cs);
	relay_stop(cs->relay);
	containers_forget_execs(cs);
	while (!list_empty(&cs->all))
		container_drop(cs, container_of(cs->all.next, struct container, node));
	images_close(cs->images);
	seccomp_close(cs->seccomp);
	runtime_close(cs->runtime);
	map_free(&cs->by_id);
	map_free(&cs->by_name);
	pthread_cond_destroy(&cs->changed);
	pthread_mutex_destroy(&cs->lock);
	free(cs->dir);
	free(cs->run_dir);
	free(cs->volumes);
	free(cs->cgroup_parent);
	free(cs->no_seccomp);
	free(cs);
}

/* The id of some container that runs, or "". */
static void any_running(struct containers *cs, char id[static ID_SIZE])
{
	const struct container *c;
	LOCKED(&cs->lock);

	id[0] = 0;
	list_for_each (c, &cs->all, node)
		if (container_is_running(c))
			memcpy(id, c->id, ID_SIZE);
}

int containers_teardown(struct containers *cs, struct cnm_error *err)
{
	char path[CONTAINER_PATH], id[ID_SIZE];
	int r = 0;

	for (any_running(cs, id); r == 0 && id[0]; any_running(cs, id))
		if (containers_stop(cs, id, NULL, 0, err) < 0)
			r = -EIO;
	wait_for_jobs(cs);
	rmdir(cs->run_dir);
	snprintf(path, sizeof(path), "%s/runtime", cs->engine->run_dir);
	tree_remove(path, NULL);
	cgroup_remove(cs->cgroup_parent);
	return r;
}

struct images *containers_images(struct containers *cs)
{
	return cs->images;
}

/* ---- about itself */

static json_t *runtimes_json(const struct containers *cs)
{
	const char *name = runtime_name(cs->runtime);
	json_t *o = json_object();

	if (name[0])
		json_put(o, name, json_pack("{s:s}", "path", name));
	return o;
}

static void count_states(struct containers *cs, json_t *o)
{
	unsigned all = 0, running = 0;
	const struct container *c;
	LOCKED(&cs->lock);

	list_for_each (c, &cs->all, node) {
		all++;
		running += container_is_running(c);
	}
	json_put(o, "Containers", json_integer(all));
	json_put(o, "ContainersRunning", json_integer(running));
	json_put(o, "ContainersPaused", json_integer(0));
	json_put(o, "ContainersStopped", json_integer(all - running));
}

/* Does this machine's cgroup hierarchy have the controller? */
static bool has_controller(const struct containers *cs, const char *name)
{
	char path[64], all[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", name);
	if (!cs->cgroup2)
		return access(path, F_OK) == 0;
	f = fopen("/sys/fs/cgroup/cgroup.controllers", "re");
	if (!f)
		return false;
	if (!fgets(all, sizeof(all), f))
		all[0] = 0;
	fclose(f);
	return strstr(all, name) != NULL;
}

/* Which limits work, for `docker info`, which warns of those that do not. */
static void put_limits(const struct containers *cs, json_t *o)
{
	bool memory = has_controller(cs, "memory"), cpu = has_controller(cs, "cpu");
	bool swap = access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0;

	json_put(o, "MemoryLimit", json_boolean(memory));
	json_put(o, "SwapLimit", json_boolean(cs->cgroup2 ? memory : swap));
	json_put(o, "CpuCfsPeriod", json_boolean(cpu));
	json_put(o, "CpuCfsQuota", json_boolean(cpu));
	json_put(o, "CPUShares", json_boolean(cpu));
	json_put(o, "CPUSet", json_boolean(has_controller(cs, "cpuset")));
	json_put(o, "PidsLimit", json_boolean(has_controller(cs, "pids")));
	/* Isolation is right whatever br_netfilter is set to: nothing to warn of. */
	json_put(o, "BridgeNfIptables", json_true());
	json_put(o, "BridgeNfIp6tables", json_true());
}

int containers_info(struct containers *cs, json_t **ret, struct cnm_error *err)
{
	json_t *o = json_object(), *security = json_array(), *warnings = json_array();
	struct cnm_error why = { 0 };

	if (runtime_check(cs->runtime, &why) < 0)
		json_push(warnings, json_string(why.text));
	if (cs->no_seccomp)
		json_push(warnings, json_string(cs->no_seccomp));
	else
		json_push(security, json_string("name=seccomp,profile=builtin"));
	count_states(cs, o);
	json_put(o, "Images", json_integer(images_count(cs->images)));
	json_put(o, "Driver", json_string("overlay2"));
	json_put(o, "LoggingDriver", json_string("json-file"));
	json_put(o, "CgroupDriver", json_string("cgroupfs"));
	json_put(o, "CgroupVersion", json_string(cs->cgroup2 ? "2" : "1"));
	json_put(o, "DefaultRuntime", json_string(runtime_name(cs->runtime)));
	json_put(o, "Runtimes", runtimes_json(cs));
	put_limits(cs, o);
	json_put(o, "RuncCommit", json_pack("{s:s}", "ID", runtime_version(cs->runtime)));
	json_put(o, "RuncVersion", json_string(runtime_version(cs->runtime)));
	json_put(o, "ConmonVersion", json_string(runtime_conmon_version(cs->runtime)));
	json_put(o, "DockerRootDir", json_string(cs->engine->state_dir));
	json_put(o, "SecurityOptions", security);
	json_put(o, "Warnings", warnings);
	if (!o)
		return cnm_error_errno(err, ENOMEM, "info");
	*ret = o;
	return 0;
}
