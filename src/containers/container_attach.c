/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attached clients, logs, terminal size.
 *
 * An attachment is a session of the relay and hangs on its container by id. It may begin before the
 * container runs (docker run attaches, then starts): it is connected to conmon when the container
 * has been created and before it is let go, so that nothing of its output is missed.
 *
 * The relay's thread takes the lock when a session ends, so conmon is connected to without it; refs
 * keeps an attachment that ends meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/logs.h"

struct attachment {
	struct list node; /* of container.attached, while it has not ended */
	struct containers *cs;
	struct relay_session *session;
	bool connected;
	unsigned refs; /* the session's, until it has ended, and whoever connects it */
	char id[ID_SIZE];
};

static bool has_terminal(const struct container *c)
{
	return json_is_true(json_object_get(c->c.config, "Tty"));
}

/* ---- attach */

int containers_attach_check(struct containers *cs, const char *ref, const struct attach_request *a,
			    bool *ret_terminal, char ret_id[static ID_SIZE], struct cnm_error *err)
{
	struct container *c;
	unsigned char keys[16];
	unsigned n;
	int r;
	LOCKED(&cs->lock);

	r = container_find(cs, ref, &c, err);
	if (r == 0 && a->detach_keys)
		r = detach_keys_parse(a->detach_keys, keys, &n, err);
	if (r < 0)
		return r;
	if (c->removing)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "container %s is being removed: it cannot be attached to",
				     ref);
	if (a->logs)
		return cnm_error_set(err, CNM_E_NOT_IMPLEMENTED,
				     "attach with logs=1 is not implemented: read "
				     "/containers/%s/logs first",
				     ref);
	*ret_terminal = has_terminal(c);
	memcpy(ret_id, c->id, ID_SIZE);
	return 0;
}

/* Lock held. */
static void attachment_unref(struct attachment *a)
{
	if (--a->refs)
		return;
	relay_release(a->session);
	free(a);
}

/* By the relay's thread: the client has gone, or the container's side has. */
static void attachment_ended(enum relay_end why, void *arg)
{
	struct attachment *a = arg;
	struct containers *cs = a->cs;
	struct container *c;

	pthread_mutex_lock(&cs->lock);
	list_del(&a->node);
	c = container_by_id(cs, a->id);
	if (c && why == RELAY_DETACHED)
		container_event(cs, c, "detach", NULL);
	attachment_unref(a);
	pthread_mutex_unlock(&cs->lock);
}

/* conmon is there. Lock held on entry and exit, let go meanwhile. */
static void connect_one(struct containers *cs, struct attachment *a)
{
	char bundle[CONTAINER_PATH];
	struct relay_source source = {
		.terminal = -1, .in = -1, .out = -1, .err = -1, .close_stdin = true
	};

	a->connected = true;
	a->refs++;
	pthread_mutex_unlock(&cs->lock);
	container_bundle(cs, a->id, bundle);
	source.packets = runtime_attach(bundle);
	if (source.packets < 0 || relay_connect(a->session, &source) < 0)
		relay_end(a->session);
	pthread_mutex_lock(&cs->lock);
	attachment_unref(a);
}

static struct attachment *next_unconnected(const struct container *c)
{
	struct attachment *a;

	list_for_each (a, &c->attached, node)
		if (!a->connected)
			return a;
	return NULL;
}

void container_connect_attached(struct containers *cs, struct container *c)
{
	struct attachment *a;

	while ((a = next_unconnected(c)))
		connect_one(cs, a);
}

void container_end_attached(struct container *c)
{
	struct attachment *a;

	list_for_each (a, &c->attached, node)
		relay_end(a->session);
}

static void set_options(const struct container *c, const struct attach_request *a,
			struct relay_options *o)
{
	o->terminal = has_terminal(c);
	o->in = a->in && json_is_true(json_object_get(c->c.config, "OpenStdin"));
	o->out = a->out;
	o->err = a->err;
	detach_keys_parse(a->detach_keys ? a->detach_keys : "", o->detach, &o->n_detach, NULL);
}

void containers_attach_begin(struct containers *cs, const char *id, const struct attach_request *a,
			     int fd, const char *early, size_t n_early)
{
	struct relay_options options = {
		.client = fd, .early = early, .n_early = n_early, .ended = attachment_ended
	};
	struct attachment *at = calloc(1, sizeof(*at));
	struct container *c;
	LOCKED(&cs->lock);

	c = container_by_id(cs, id);
	if (!at || !c || fd < 0) {
		close_fd(&fd);
		free(at);
		return;
	}
	at->cs = cs;
	at->refs = 1;
	memcpy(at->id, c->id, ID_SIZE);
	set_options(c, a, &options);
	options.arg = at;
	list_append(&c->attached, &at->node);
	at->session = relay_begin(cs->relay, &options);
	if (!at->session) {
		list_del(&at->node);
		free(at);
		return;
	}
	container_event(cs, c, "attach", NULL);
	if (c->pidfd >= 0)
		connect_one(cs, at);
}

/* ---- logs */

int containers_logs(struct containers *cs, const char *ref, const struct logs_request *l,
		    int *ret_fd, bool *ret_terminal, struct cnm_error *err)
{
	char path[CONTAINER_PATH];
	_close_ int over = -1;
	struct container *c;
	int r;

	pthread_mutex_lock(&cs->lock);
	r = container_find(cs, ref, &c, err);
	if (r == 0) {
		container_log(cs, c->id, path);
		*ret_terminal = has_terminal(c);
		if (l->follow && c->over >= 0)
			over = dup(c->over);
	}
	pthread_mutex_unlock(&cs->lock);
	if (r < 0)
		return r;
	return logs_read(ret_fd,
			 &(struct logs_options){ .path = path,
						 .out = l->out,
						 .err = l->err,
						 .timestamps = l->timestamps,
						 .terminal = *ret_terminal,
						 .since = l->since,
						 .until = l->until,
						 .tail = l->tail,
						 .follow = over },
			 err);
}

/* ---- terminal */

int containers_resize(struct containers *cs, const char *ref, unsigned rows, unsigned columns,
		      struct cnm_error *err)
{
	char bundle[CONTAINER_PATH];
	struct container *c;
	int r;

	pthread_mutex_lock(&cs->lock);
	r = container_find(cs, ref, &c, err);
	if (r == 0 && c->pidfd < 0)
		r = cnm_error_set(err, CNM_E_CONFLICT, "Container %s is not running", c->id);
	if (r == 0)
		container_bundle(cs, c->id, bundle);
	pthread_mutex_unlock(&cs->lock);
	return r < 0 ? r : runtime_resize(bundle, rows, columns, err);
}
