/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends and restarts. One thread watches every conmon by its pidfd, and the clock for restarts that
 * are due; what is to be done about either is a job of its own, so that many at once do not queue.
 *
 * conmon ends when its container has ended and all of its output is written: its end is the
 * container's. One that was killed leaves no status; its container is killed then, since nobody
 * holds its stdio any more.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/process.h"

#define SECOND        1000000000ull
#define FIRST_DELAY   (SECOND / 10)
#define LONGEST_DELAY (60 * SECOND)
#define SETTLED       (10 * SECOND) /* a run this long was none of a series of failures */
#define IDLE_MS       60000

struct monitor_thread {
	struct containers *cs;
	pthread_t thread;
	int epoll, wake;
	int children; /* signalfd: some child has ended */
	bool stop;    /* under the lock */
};

static bool is_auto_removed(const struct container *c)
{
	return json_is_true(json_object_get(c->c.host, "AutoRemove"));
}

/* ---- what is to become of one whose run has ended */

static bool wants_restart(const struct container *c, bool at_open)
{
	unsigned max = 0;

	switch (container_restart_policy(c->c.host, &max)) {
	case RESTART_ALWAYS:
		return at_open || !c->by_user;
	case RESTART_UNLESS_STOPPED:
		return !c->by_user;
	case RESTART_ON_FAILURE:
		return !c->by_user && c->exit_code != 0 && (max == 0 || c->restarts < max);
	case RESTART_NO:
		break;
	}
	return false;
}

static void plan_restart(struct container *c)
{
	uint64_t now = clock_mono_ns();
	bool settled = c->finished - c->started >= (int64_t)SETTLED;

	if (settled || !c->restart_delay)
		c->restart_delay = FIRST_DELAY;
	else if (c->restart_delay < LONGEST_DELAY)
		c->restart_delay *= 2;
	c->state = CONTAINER_RESTARTING;
	c->restart_at = now + c->restart_delay;
}

static void remove_after_run(struct containers *cs, struct container *c)
{
	struct cnm_error err = { 0 };
	int r;

	c->removing = true;
	pthread_mutex_unlock(&cs->lock);
	r = container_remove_now(cs, c, true, &err);
	pthread_mutex_lock(&cs->lock);
	if (r == 0)
		return;
	log_err("remove container %s after its end: %s", c->name, err.text);
	c->removing = false;
	container_release(cs, c);
}

void container_after_run(struct containers *cs, struct container *c)
{
	if (is_auto_removed(c)) {
		container_tell_waits(c, false);
		remove_after_run(cs, c);
		return;
	}
	if (c->state == CONTAINER_RESTARTING)
		monitor_wake(cs);
	container_tell_waits(c, false);
	container_release(cs, c);
}

void container_restore_policy(struct containers *cs, struct container *c)
{
	LOCKED(&cs->lock);

	if (c->state == CONTAINER_CREATED)
		return;
	if (is_auto_removed(c)) {
		remove_after_run(cs, c);
	} else if (c->state == CONTAINER_RESTARTING || wants_restart(c, true)) {
		c->state = CONTAINER_RESTARTING;
		c->restart_at = clock_mono_ns();
	}
}

/* ---- a run has ended */

/* It is a child of ours unless an earlier daemon started it. */
static void reap(int pidfd)
{
	siginfo_t info;

	if (pidfd >= 0)
		waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
}

static bool was_out_of_memory(const char *bundle)
{
	char path[CONTAINER_PATH + 8];

	snprintf(path, sizeof(path), "%s/oom", bundle);
	return access(path, F_OK) == 0;
}

/* Lock held on entry and exit, let go meanwhile. */
static void end_run(struct containers *cs, struct container *c)
{
	char bundle[CONTAINER_PATH];
	int code = 0;
	bool known, oom, crashed;

	pthread_mutex_unlock(&cs->lock);
	container_bundle(cs, c->id, bundle);
	crashed = access(bundle, F_OK) == 0; /* else the machine was booted meanwhile */
	known = runtime_exit_status(bundle, &code) == 0;
	oom = was_out_of_memory(bundle);
	container_clean(cs, c);
	pthread_mutex_lock(&cs->lock);
	if (!known)
		log_warn("container %s: nobody saw how it ended", c->name);
	c->exit_code = known ? code : crashed ? 137 : 255;
	c->oom = oom;
	c->finished = clock_wall_ns();
	c->state = CONTAINER_EXITED;
	c->run++;
	c->pid = 0;
	close_fd(&c->pidfd);
	reap(c->conmon_pidfd);
	close_fd(&c->conmon_pidfd);
	if (c->over >= 0)
		eventfd_write(c->over, 1);
	close_fd(&c->over);
	container_end_execs(cs, c->id);
}

static json_t *exit_attributes(const struct container *c)
{
	char code[16];

	snprintf(code, sizeof(code), "%d", c->exit_code);
	return json_pack("{s:s}", "exitCode", code);
}

/* A job; arg is an id. */
static void ended(struct containers *cs, void *arg)
{
	_free_ char *id = arg;
	struct container *c;
	struct cnm_error err = { 0 };
	LOCKED(&cs->lock);

	while ((c = container_by_id(cs, id)) && c->busy)
		containers_pause(cs, 0);
	if (!c || c->state != CONTAINER_RUNNING)
		return;
	c->busy = true;
	end_run(cs, c);
	if (!is_auto_removed(c) && wants_restart(c, false))
		plan_restart(c);
	if (container_save(cs, c, STORE_READY, false, STORE_NORMAL, &err) < 0)
		log_err("note the end of container %s: %s", c->name, err.text);
	container_event(cs, c, "die", exit_attributes(c));
	container_after_run(cs, c);
}

/* A job; arg is an id. */
static void restart(struct containers *cs, void *arg)
{
	_free_ char *id = arg;
	struct container *c;
	struct cnm_error err = { 0 };
	int r;
	LOCKED(&cs->lock);

	while ((c = container_by_id(cs, id)) && c->busy)
		containers_pause(cs, 0);
	if (!c || c->state != CONTAINER_RESTARTING || cs->closing)
		return;
	c->busy = true;
	c->restarts++;
	pthread_mutex_unlock(&cs->lock);
	r = container_run(cs, c, &err);
	pthread_mutex_lock(&cs->lock);
	if (r < 0)
		log_err("restart container %s: %s", c->name, err.text);
	container_release(cs, c);
}

/* ---- the thread */

/* Starts what is due; how long to sleep, in ms. */
static int due_restarts(struct containers *cs)
{
	uint64_t now = clock_mono_ns(), next = now + IDLE_MS * 1000000ull;
	struct container *c;
	char *due[32];
	unsigned n = 0;

	pthread_mutex_lock(&cs->lock);
	list_for_each (c, &cs->all, node) {
		if (c->state != CONTAINER_RESTARTING || c->restart_at == UINT64_MAX)
			continue;
		if (c->restart_at <= now && n < 32 && (due[n] = strdup(c->id))) {
			n++;
			c->restart_at = UINT64_MAX; /* its job is under way */
		} else if (c->restart_at < next) {
			next = c->restart_at;
		}
	}
	pthread_mutex_unlock(&cs->lock);
	for (unsigned i = 0; i < n; i++)
		containers_job(cs, restart, due[i]);
	now = clock_mono_ns();
	return next > now ? (int)((next - now) / 1000000 + 1) : 0;
}

static bool stopping(struct monitor_thread *m)
{
	LOCKED(&m->cs->lock);

	return m->stop;
}

/*
 * A program may leave children, which become ours: until they are collected, the pid namespace of a
 * container they are in cannot end.
 */
static void hear_children(struct monitor_thread *m)
{
	struct signalfd_siginfo info;

	while (read(m->children, &info, sizeof(info)) == sizeof(info))
		;
	process_reap_strays();
}

static void drain(int fd)
{
	eventfd_t value;

	eventfd_read(fd, &value);
}

/* A container cannot go while its conmon is watched. */
static void hear_end(struct monitor_thread *m, struct container *c)
{
	char *id;

	pthread_mutex_lock(&m->cs->lock);
	epoll_ctl(m->epoll, EPOLL_CTL_DEL, c->conmon_pidfd, NULL);
	id = strdup(c->id);
	pthread_mutex_unlock(&m->cs->lock);
	if (id)
		containers_job(m->cs, ended, id);
	else
		log_err("no memory to see to the end of a container");
}

static void *monitor_main(void *arg)
{
	struct monitor_thread *m = arg;

	while (!stopping(m)) {
		struct epoll_event events[16];
		int n = epoll_wait(m->epoll, events, 16, due_restarts(m->cs));

		for (int i = 0; i < n; i++) {
			const enum watched *what = events[i].data.ptr;

			if (!what)
				drain(m->wake);
			else if (events[i].data.ptr == m)
				hear_children(m);
			else if (*what == WATCHED_EXEC)
				container_exec_ended(m->cs, events[i].data.ptr);
			else
				hear_end(m, events[i].data.ptr);
		}
	}
	return NULL;
}

int monitor_watch(struct containers *cs, struct container *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	char *id;

	if (c->conmon_pidfd >= 0)
		return epoll_ctl(cs->monitor->epoll, EPOLL_CTL_ADD, c->conmon_pidfd, &ev) < 0
			       ? -errno
			       : 0;
	id = strdup(c->id); /* gone before it could be watched */
	if (!id)
		return -ENOMEM;
	pthread_mutex_unlock(&cs->lock);
	containers_job(cs, ended, id);
	pthread_mutex_lock(&cs->lock);
	return 0;
}

int monitor_watch_exec(struct containers *cs, void *exec, int pidfd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = exec };

	return epoll_ctl(cs->monitor->epoll, EPOLL_CTL_ADD, pidfd, &ev) < 0 ? -errno : 0;
}

void monitor_wake(struct containers *cs)
{
	eventfd_write(cs->monitor->wake, 1);
}

static void monitor_thread_free(struct monitor_thread *m)
{
	close_fd(&m->epoll);
	close_fd(&m->wake);
	close_fd(&m->children);
	free(m);
}

int monitor_thread_start(struct containers *cs, struct cnm_error *err)
{
	struct monitor_thread *m = calloc(1, sizeof(*m));
	struct epoll_event ev = { .events = EPOLLIN };
	struct epoll_event ended_child = { .events = EPOLLIN, .data.ptr = m };
	pthread_attr_t ta;
	sigset_t child;
	int r = 0;

	if (!m)
		return cnm_error_errno(err, ENOMEM, "monitor containers");
	m->cs = cs;
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	m->children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->epoll < 0 || m->wake < 0 || m->children < 0 ||
	    epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->wake, &ev) < 0 ||
	    epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->children, &ended_child) < 0)
		r = -errno;
	pthread_attr_init(&ta);
	pthread_attr_setstacksize(&ta, 128 * 1024);
	if (r == 0)
		r = -pthread_create(&m->thread, &ta, monitor_main, m);
	pthread_attr_destroy(&ta);
	if (r < 0) {
		monitor_thread_free(m);
		return cnm_error_errno(err, r, "monitor containers");
	}
	cs->monitor = m;
	return 0;
}

void monitor_thread_stop(struct containers *cs)
{
	struct monitor_thread *m = cs->monitor;

	if (!m)
		return;
	pthread_mutex_lock(&cs->lock);
	m->stop = true;
	pthread_mutex_unlock(&cs->lock);
	eventfd_write(m->wake, 1);
	pthread_join(m->thread, NULL);
	monitor_thread_free(m);
	cs->monitor = NULL;
}
