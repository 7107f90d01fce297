/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: what happened, told to listeners as lines of JSON, and the last 256 kept for those who
 * ask for the past. A mutex of its own, held while listeners are called, so that each hears
 * everything in one order; listeners only queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/engine.h"

#define KEPT 256

struct cnm_event_listener {
	struct list node;
	void (*deliver)(const char *json, void *arg);
	void *arg;
};

struct events {
	pthread_mutex_t lock;
	struct list listeners;
	struct kept {
		char *json;
		int64_t time;
	} kept[KEPT]; /* a ring; next is the oldest once it is full */
	unsigned next;
};

int events_new(struct events **ret, struct cnm_error *err)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return cnm_error_errno(err, ENOMEM, "events");
	pthread_mutex_init(&ev->lock, NULL);
	list_init(&ev->listeners);
	*ret = ev;
	return 0;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	for (unsigned i = 0; i < KEPT; i++)
		free(ev->kept[i].json);
	pthread_mutex_destroy(&ev->lock);
	free(ev);
}

/* An event nobody had memory for is lost; nothing depends on events. */
void events_emit(struct events *ev, const char *type, const char *action, const char *id,
		 json_t *attributes)
{
	_json_ json_t *o = json_object();
	json_t *actor = json_object();
	int64_t now = clock_wall_ns();
	struct cnm_event_listener *l;
	struct kept *slot;
	char *text;

	if (streq(type, "container") ||
	    streq(type, "image")) { /* clients below API 1.30 read these */
		json_t *image = json_object_get(attributes, "image");

		json_put(o, "status", json_string(action));
		json_put(o, "id", json_string(id));
		if (image)
			json_put(o, "from", json_incref(image));
	}
	json_put(actor, "ID", json_string(id));
	json_put(actor, "Attributes", attributes);
	json_put(o, "Type", json_string(type));
	json_put(o, "Action", json_string(action));
	json_put(o, "Actor", actor);
	json_put(o, "scope", json_string("local"));
	json_put(o, "time", json_integer(now / 1000000000));
	json_put(o, "timeNano", json_integer(now));
	text = json_text(o);
	if (!text)
		return;
	LOCKED(&ev->lock);
	slot = &ev->kept[ev->next++ % KEPT];
	free(slot->json);
	*slot = (struct kept){ text, now };
	list_for_each (l, &ev->listeners, node)
		l->deliver(text, l->arg);
}

void events_network(struct events *ev, const char *action, const struct network *n,
		    const struct sandbox *sb)
{
	json_t *a = json_object();

	if (sb)
		json_put(a, "container", json_string(sb->id));
	json_put(a, "name", json_string(n->name));
	json_put(a, "type", json_string(network_driver_name(n)));
	events_emit(ev, "network", action, n->id, a);
}

int cnm_events_listen(struct cnm_engine *e, int64_t since_ns,
		      void (*deliver)(const char *json, void *arg), void *arg,
		      struct cnm_event_listener **ret, struct cnm_error *err)
{
	struct events *ev = e->events;
	struct cnm_event_listener *l = calloc(1, sizeof(*l));

	if (!l)
		return cnm_error_errno(err, ENOMEM, "listen to events");
	*l = (struct cnm_event_listener){ .deliver = deliver, .arg = arg };
	LOCKED(&ev->lock);
	for (unsigned i = 0; since_ns && i < KEPT; i++) {
		const struct kept *k = &ev->kept[(ev->next + i) % KEPT];

		if (k->json && k->time >= since_ns)
			deliver(k->json, arg);
	}
	list_append(&ev->listeners, &l->node);
	*ret = l;
	return 0;
}

void cnm_events_stop(struct cnm_engine *e, struct cnm_event_listener *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&e->events->lock);
	list_del(&l->node);
	pthread_mutex_unlock(&e->events->lock);
	free(l);
}
