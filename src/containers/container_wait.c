/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for a container. A wait hangs on its container until it is told, cancelled, or the
 * container is gone; after that it belongs to its owner alone, who cancels it in any case.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "containers/container.h"

struct container_wait {
	struct list node;
	enum wait_for what;
	void (*done)(int code, const char *error, void *arg);
	void *arg;
};

static int read_condition(const char *s, enum wait_for *ret, struct cnm_error *err)
{
	static const char *const names[] = { "not-running", "next-exit", "removed" };

	*ret = WAIT_NOT_RUNNING;
	if (!s || !*s)
		return 0;
	for (unsigned i = 0; i < 3; i++)
		if (streq(s, names[i])) {
			*ret = (enum wait_for)i;
			return 0;
		}
	return cnm_error_set(err, CNM_E_INVALID,
			     "invalid condition: \"%s\": it is not-running, next-exit or removed",
			     s);
}

int containers_wait(struct containers *cs, const char *ref, const char *condition,
		    void (*done)(int code, const char *error, void *arg), void *arg,
		    struct container_wait **ret, struct cnm_error *err)
{
	struct container_wait *w = calloc(1, sizeof(*w));
	struct container *c;
	int r = w ? read_condition(condition, &w->what, err) : -ENOMEM;
	LOCKED(&cs->lock);

	if (!w)
		return cnm_error_errno(err, ENOMEM, "wait for %s", ref);
	if (r == 0)
		r = container_find(cs, ref, &c, err);
	if (r < 0) {
		free(w);
		return r;
	}
	list_init(&w->node);
	w->done = done;
	w->arg = arg;
	*ret = w;
	if (w->what == WAIT_NOT_RUNNING && !container_is_running(c))
		done(c->exit_code, NULL, arg);
	else
		list_append(&c->waits, &w->node);
	return 0;
}

void containers_wait_cancel(struct containers *cs, struct container_wait *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&cs->lock);
	list_del(&w->node);
	pthread_mutex_unlock(&cs->lock);
	free(w);
}

void container_tell_waits(struct container *c, bool removed)
{
	struct container_wait *w, *tmp;

	list_for_each_safe (w, tmp, &c->waits, node) {
		if (w->what == WAIT_REMOVED && !removed)
			continue;
		if (w->what == WAIT_NOT_RUNNING && container_is_running(c))
			continue;
		list_del(&w->node);
		w->done(c->exit_code, NULL, w->arg);
	}
}
