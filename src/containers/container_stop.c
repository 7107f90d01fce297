/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stop, kill, restart, remove. A signal goes to the container's first process; its end is then
 * waited for like anybody's, by the count of runs, since the container may be removed meanwhile.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/rootfs.h"

#define KILL_WAIT_S 30

/* ---- signals */

static int read_signal(const char *text, int otherwise, int *ret, struct cnm_error *err)
{
	*ret = text && *text ? signal_parse(text) : otherwise;
	if (*ret <= 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid signal: %s", text);
	return 0;
}

static void signal_event(struct containers *cs, const struct container *c, int sig)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", sig);
	container_event(cs, c, "kill", json_pack("{s:s}", "signal", number));
}

/* Lock held; it runs. */
static int send_signal(struct containers *cs, struct container *c, int sig, struct cnm_error *err)
{
	if (c->pidfd >= 0 && pidfd_send_signal(c->pidfd, sig, NULL, 0) < 0 && errno != ESRCH)
		return cnm_error_errno(err, errno, "send signal %d to container %s", sig, c->name);
	signal_event(cs, c, sig);
	return 0;
}

/* Lock held, let go meanwhile. 0 once the run has ended, or the container is gone; -ETIMEDOUT. */
static int wait_for_end(struct containers *cs, const char *id, unsigned run, uint64_t deadline)
{
	const struct container *c;

	while ((c = container_by_id(cs, id)) && c->run == run && c->state == CONTAINER_RUNNING)
		if (containers_pause(cs, deadline) < 0)
			return -ETIMEDOUT;
	/* The end is over when what follows from it is. */
	while ((c = container_by_id(cs, id)) && c->busy)
		if (containers_pause(cs, clock_mono_ns() + KILL_WAIT_S * 1000000000ull) < 0)
			return -ETIMEDOUT;
	return 0;
}

static uint64_t in_seconds(int s)
{
	return clock_mono_ns() + (uint64_t)s * 1000000000ull;
}

/* Lock held: no restart will follow. */
static void forbid_restart(struct containers *cs, struct container *c)
{
	c->by_user = true;
	if (c->state != CONTAINER_RESTARTING)
		return;
	c->state = CONTAINER_EXITED;
	container_tell_waits(c, false);
	c->busy = true; /* for its row */
	container_save(cs, c, STORE_READY, false, STORE_NORMAL, NULL);
	container_release(cs, c);
}

/* Lock held, let go meanwhile. The container runs, and is not busy. */
static int end_it(struct containers *cs, struct container *c, int sig, int timeout,
		  struct cnm_error *err)
{
	char id[ID_SIZE];
	unsigned run = c->run;
	int r = send_signal(cs, c, sig, err);

	memcpy(id, c->id, ID_SIZE);
	if (r < 0)
		return r;
	if (sig != SIGKILL && wait_for_end(cs, id, run, timeout < 0 ? 0 : in_seconds(timeout)) == 0)
		return 0;
	c = container_by_id(cs, id);
	if (c && c->run == run && c->state == CONTAINER_RUNNING && sig != SIGKILL)
		r = send_signal(cs, c, SIGKILL, err);
	if (r == 0 && wait_for_end(cs, id, run, in_seconds(KILL_WAIT_S)) < 0)
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "container %.12s was killed and has not ended within %d s: a "
				     "process of it may be stuck in the kernel",
				     id, KILL_WAIT_S);
	return r;
}

/* Lock held, let go meanwhile. 1: it did not run. */
static int stop(struct containers *cs, const char *ref, const char *signal_text, int timeout,
		struct cnm_error *err)
{
	struct container *c;
	char id[ID_SIZE];
	int sig, r = container_find_idle(cs, ref, &c, err);

	if (r < 0)
		return r;
	r = read_signal(signal_text, container_stop_signal(c->c.config), &sig, err);
	if (r < 0)
		return r;
	if (!container_is_running(c))
		return 1;
	memcpy(id, c->id, ID_SIZE);
	if (timeout == -2)
		timeout = container_stop_timeout(c->c.config);
	forbid_restart(cs, c);
	if (c->state == CONTAINER_RUNNING)
		r = end_it(cs, c, timeout == 0 ? SIGKILL : sig, timeout, err);
	c = container_by_id(cs, id);
	if (r == 0 && c)
		container_event(cs, c, "stop", NULL);
	return r;
}

int containers_stop(struct containers *cs, const char *ref, const char *signal, int timeout,
		    struct cnm_error *err)
{
	LOCKED(&cs->lock);

	return stop(cs, ref, signal, timeout, err);
}

int containers_restart(struct containers *cs, const char *ref, const char *signal, int timeout,
		       struct cnm_error *err)
{
	struct container *c;
	char id[ID_SIZE];
	int r;

	pthread_mutex_lock(&cs->lock);
	r = container_find(cs, ref, &c, err);
	if (r == 0) {
		memcpy(id, c->id, ID_SIZE);
		r = stop(cs, id, signal, timeout, err);
	}
	pthread_mutex_unlock(&cs->lock);
	if (r < 0)
		return cnm_error_prefix(err, "Cannot restart container %s", ref), r;
	r = containers_start(cs, id, err);
	if (r < 0)
		return cnm_error_prefix(err, "Cannot restart container %s", ref), r;
	pthread_mutex_lock(&cs->lock);
	if ((c = container_by_id(cs, id)))
		container_event(cs, c, "restart", NULL);
	pthread_mutex_unlock(&cs->lock);
	return 0;
}

static bool ends_it(const struct container *c, int sig)
{
	return sig == SIGKILL || sig == container_stop_signal(c->c.config);
}

int containers_kill(struct containers *cs, const char *ref, const char *signal,
		    struct cnm_error *err)
{
	struct container *c;
	int sig, r = read_signal(signal, SIGKILL, &sig, err);
	LOCKED(&cs->lock);

	if (r == 0)
		r = container_find_idle(cs, ref, &c, err);
	if (r < 0)
		return r;
	if (c->state != CONTAINER_RUNNING)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "cannot kill container: %s: container %s is not running", ref,
				     c->id);
	if (ends_it(c, sig))
		c->by_user = true;
	return sig == SIGKILL ? end_it(cs, c, sig, 0, err) : send_signal(cs, c, sig, err);
}

/* ---- remove */

/* Its row last: until then a crash has the next start finish this. */
int container_remove_now(struct containers *cs, struct container *c, bool volumes,
			 struct cnm_error *err)
{
	struct store_tx *tx = store_tx_new(cs->engine->store);
	char dir[CONTAINER_PATH];
	int r;

	store_tx_set_state(tx, STORE_CONTAINER, c->id, STORE_REMOVING);
	r = store_commit(cs->engine->store, tx, STORE_NORMAL, err);
	if (r < 0)
		return r;
	container_clean(cs, c);
	r = container_network_remove(cs, c, err);
	if (r < 0)
		return r;
	container_dir(cs, c->id, dir);
	r = tree_remove(dir, err);
	if (r < 0)
		return r;
	tx = store_tx_new(cs->engine->store);
	store_tx_delete(tx, STORE_CONTAINER, c->id);
	r = store_commit(cs->engine->store, tx, STORE_FULL, err);
	if (r < 0)
		return r;
	if (volumes)
		container_remove_volumes(cs, c->c.mounts);
	pthread_mutex_lock(&cs->lock);
	container_event(cs, c, "destroy", NULL);
	container_end_attached(c);
	container_tell_waits(c, true);
	container_drop(cs, c);
	pthread_mutex_unlock(&cs->lock);
	return 0;
}

/* Lock held, let go meanwhile: have it stand still, to be removed. */
static int bring_down(struct containers *cs, struct container **c, bool force,
		      struct cnm_error *err)
{
	char id[ID_SIZE];
	int r = 0;

	if (container_is_running(*c) && !force)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "cannot remove container \"/%s\": container is %s: stop the "
				     "container before removing or force remove",
				     (*c)->name, container_state_name(*c));
	memcpy(id, (*c)->id, ID_SIZE);
	while (r == 0 && *c && container_is_running(*c)) {
		r = stop(cs, id, NULL, 0, err);
		r = r > 0 ? 0 : r;
		*c = container_by_id(cs, id);
	}
	return r;
}

int containers_remove(struct containers *cs, const char *ref, bool force, bool volumes,
		      struct cnm_error *err)
{
	struct container *c;
	int r;
	LOCKED(&cs->lock);

	r = container_find_idle(cs, ref, &c, err);
	if (r == 0)
		r = bring_down(cs, &c, force, err);
	if (r < 0 || !c) /* --rm has removed it */
		return r;
	if (c->busy)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "removal of container %s is already in progress", ref);
	c->busy = c->removing = true;
	pthread_mutex_unlock(&cs->lock);
	r = container_remove_now(cs, c, volumes, err);
	pthread_mutex_lock(&cs->lock);
	if (r < 0) {
		c->removing = false;
		container_save(cs, c, STORE_READY, false, STORE_NORMAL, NULL);
		container_release(cs, c);
	}
	return r;
}
