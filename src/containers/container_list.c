/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GET /containers/json: docker ps, with its filters. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/published.h"

static const char *const known[] = { "id",      "name",   "label",  "status", "ancestor",
				     "network", "exited", "before", "since",  "volume",
				     "publish", "expose", NULL };

struct query {
	struct containers *cs;
	struct filters *f;
	bool all;
	int64_t before, since; /* created; 0: not given */
	json_t *images;        /* ids of the ancestors asked for, or NULL */
	struct published_filter ports;
};

static const char *first_value(const struct filters *f, const char *key)
{
	return json_string_value(json_array_get(filters_values(f, key), 0));
}

/* The time another container was created at. */
static int time_of(struct query *q, const char *key, int64_t *ret, struct cnm_error *err)
{
	const char *ref = first_value(q->f, key);
	struct container *c;
	int r = ref ? container_find(q->cs, ref, &c, err) : 0;

	if (ref && r == 0)
		*ret = c->created;
	return r;
}

static int check_codes(const struct query *q, struct cnm_error *err)
{
	json_t *v;
	size_t i;
	long code;

	json_array_foreach ((json_t *)filters_values(q->f, "exited"), i, v)
		if (str_to_long(json_string_value(v), INT_MIN, INT_MAX, &code) < 0)
			return cnm_error_set(err, CNM_E_INVALID, "invalid filter 'exited=%s'",
					     json_string_value(v));
	return 0;
}

static int check_states(const struct query *q, struct cnm_error *err)
{
	static const char *const states[] = { "created",  "running", "paused", "restarting",
					      "removing", "exited",  "dead" };
	json_t *v;
	size_t i;

	json_array_foreach ((json_t *)filters_values(q->f, "status"), i, v) {
		bool ok = false;

		for (unsigned s = 0; s < sizeof(states) / sizeof(*states); s++)
			ok |= streq(states[s], json_string_value(v));
		if (!ok)
			return cnm_error_set(err, CNM_E_INVALID, "invalid filter 'status=%s'",
					     json_string_value(v));
	}
	return 0;
}

/* Without the lock: images have their own. */
static void find_ancestors(struct query *q)
{
	char id[ID_SIZE];
	json_t *v;
	size_t i;

	if (!filters_values(q->f, "ancestor"))
		return;
	q->images = json_array();
	json_array_foreach ((json_t *)filters_values(q->f, "ancestor"), i, v)
		if (images_lookup(q->cs->images, json_string_value(v), id) == 0)
			json_push(q->images, json_string(id));
}

static bool is_of_image(const struct query *q, const struct container *c)
{
	json_t *v;
	size_t i;

	json_array_foreach (q->images, i, v)
		if (streq(json_string_value(v), c->image))
			return true;
	return !q->images;
}

/* By name, or by a prefix of its id. */
static bool is_on_network(const struct query *q, const struct container *c)
{
	const json_t *wanted = filters_values(q->f, "network");
	const char *name;
	json_t *settings, *v;
	size_t i;

	if (!json_array_size(wanted))
		return true;
	json_object_foreach (c->c.endpoints, name, settings)
		json_array_foreach ((json_t *)wanted, i, v) {
			struct network *n;
			unsigned matches;
			bool hit = streq(name, json_string_value(v));

			pthread_mutex_lock(&q->cs->engine->lock);
			if (!hit && model_find_network(&q->cs->engine->model, json_string_value(v),
						       &n, &matches) == REF_FOUND)
				hit = streq(n->name, name);
			pthread_mutex_unlock(&q->cs->engine->lock);
			if (hit)
				return true;
		}
	return false;
}

static bool uses_volume(const struct query *q, const struct container *c)
{
	json_t *m;
	size_t i;

	if (!json_array_size(filters_values(q->f, "volume")))
		return true;
	json_array_foreach (c->c.mounts, i, m) {
		const char *name = json_string_value(json_object_get(m, "Name"));
		const char *to = json_string_value(json_object_get(m, "Destination"));

		if ((name && filters_equal(q->f, "volume", name)) ||
		    (to && filters_equal(q->f, "volume", to)))
			return true;
	}
	return false;
}

static bool is_named(const struct query *q, const struct container *c)
{
	_free_ char *slashed = NULL;

	if (filters_like(q->f, "name", c->name))
		return true;
	return asprintf(&slashed, "/%s", c->name) > 0 && filters_like(q->f, "name", slashed);
}

static bool has_ports(const struct query *q, const struct container *c)
{
	_free_ char *text = NULL;
	_json_ json_t *sandbox = NULL;

	if (!q->ports.n_publish && !q->ports.n_expose)
		return true;
	if (c->state != CONTAINER_RUNNING ||
	    cnm_sandbox_inspect(q->cs->engine, c->id, &text, NULL) < 0)
		return false;
	sandbox = json_loads(text, 0, NULL);
	return published_matches(&q->ports, sandbox);
}

static bool is_wanted(const struct query *q, const struct container *c)
{
	char code[16];

	snprintf(code, sizeof(code), "%d", c->exit_code);
	if (json_array_size(filters_values(q->f, "exited")) && c->state != CONTAINER_EXITED)
		return false;
	return (q->all || container_is_running(c) || filters_values(q->f, "status") ||
		filters_values(q->f, "exited")) &&
	       (!q->before || c->created < q->before) && (!q->since || c->created > q->since) &&
	       filters_like(q->f, "id", c->id) && is_named(q, c) &&
	       filters_labels(q->f, "label", json_object_get(c->c.config, "Labels"), true) &&
	       filters_equal(q->f, "status", container_state_name(c)) &&
	       filters_equal(q->f, "exited", code) && is_of_image(q, c) && is_on_network(q, c) &&
	       uses_volume(q, c) && has_ports(q, c);
}

/* ---- one of them */

static void add_words(struct strbuf *b, const json_t *words)
{
	json_t *v;
	size_t i;

	json_array_foreach ((json_t *)words, i, v) {
		const char *word = json_string_value(v);
		const char *quote = b->len && strchr(word, ' ') ? "'" : "";

		strbuf_addf(b, "%s%s%s%s", b->len ? " " : "", quote, word, quote);
	}
}

static json_t *command_json(const struct container *c)
{
	struct strbuf b = { 0 };
	_free_ char *text = NULL;

	add_words(&b, json_object_get(c->c.config, "Entrypoint"));
	add_words(&b, json_object_get(c->c.config, "Cmd"));
	text = strbuf_take(&b);
	return text ? json_string(text) : NULL;
}

/* Its Ports are the sandbox, until the lock is let go. */
static json_t *one(struct containers *cs, const struct container *c)
{
	const char *ref = json_string_value(json_object_get(c->c.config, "Image"));
	json_t *o = json_object(), *names = json_array(), *sandbox = NULL;
	json_t *networks = container_networks_json(cs, c, &sandbox);
	char text[160];

	snprintf(text, sizeof(text), "/%s", c->name);
	json_push(names, json_string(text));
	json_put(o, "Id", json_string(c->id));
	json_put(o, "Names", names);
	snprintf(text, sizeof(text), "sha256:%s", c->image);
	json_put(o, "Image",
		 json_string(ref && images_names(cs->images, ref, c->image) ? ref : text));
	json_put(o, "ImageID", json_string(text));
	json_put(o, "Command", command_json(c));
	json_put(o, "Created", json_integer(c->created / 1000000000));
	json_put(o, "Ports", sandbox ? sandbox : json_null());
	json_put(o, "Labels", json_incref(json_object_get(c->c.config, "Labels")));
	json_put(o, "State", json_string(container_state_name(c)));
	container_status_text(c, text, sizeof(text));
	json_put(o, "Status", json_string(text));
	json_put(o, "HostConfig",
		 json_pack("{s:O}", "NetworkMode", json_object_get(c->c.host, "NetworkMode")));
	json_put(o, "NetworkSettings", json_pack("{s:o}", "Networks", networks));
	json_put(o, "Mounts", json_incref(c->c.mounts));
	return o;
}

/* The newest first. Lock held. */
static json_t *list_all(const struct query *q, unsigned limit)
{
	json_t *list = json_array();
	const struct list *at;

	for (at = q->cs->all.prev; at != &q->cs->all; at = at->prev) {
		const struct container *c = container_of(at, struct container, node);

		if (limit && json_array_size(list) == limit)
			break;
		if (is_wanted(q, c))
			json_push(list, one(q->cs, c));
	}
	return list;
}

static int read_ports(struct query *q, struct cnm_error *err)
{
	struct published_filter *f = &q->ports;
	int r = published_filter_read(filters_values(q->f, "publish"), "publish", &f->publish,
				      &f->n_publish, err);

	return r < 0 ? r
		     : published_filter_read(filters_values(q->f, "expose"), "expose", &f->expose,
					     &f->n_expose, err);
}

static void query_free(struct query *q)
{
	filters_free(q->f);
	json_decref(q->images);
	free(q->ports.publish);
	free(q->ports.expose);
}

/* Without the lock: there may be many. */
static void show_ports(const json_t *list)
{
	json_t *o;
	size_t i;

	json_array_foreach (list, i, o)
		json_put(o, "Ports", published_list(json_object_get(o, "Ports")));
}

int containers_list(struct containers *cs, const char *filters, bool all, unsigned limit,
		    unsigned version, char **ret_json, struct cnm_error *err)
{
	_cleanup_(query_free) struct query q = { .cs = cs, .all = all || limit };
	_json_ json_t *list = NULL;
	int r = filters_parse(&q.f, filters, known, err);

	r = r < 0 ? r : read_ports(&q, err);
	if (r < 0)
		return r;
	find_ancestors(&q);
	pthread_mutex_lock(&cs->lock);
	if ((r = check_states(&q, err)) == 0 && (r = check_codes(&q, err)) == 0 &&
	    (r = time_of(&q, "before", &q.before, err)) == 0 &&
	    (r = time_of(&q, "since", &q.since, err)) == 0)
		list = list_all(&q, limit);
	pthread_mutex_unlock(&cs->lock);
	if (r < 0)
		return r;
	show_ports(list);
	*ret_json = list ? json_text(list) : NULL;
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "list containers");
}
