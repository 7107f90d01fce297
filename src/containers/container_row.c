/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows of containers: what was asked for, and how the last run stands or ended. A row that says
 * RUNNING is looked into at the next start; "pid" and the like are not kept, conmon's files have
 * them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/container.h"

char *container_encode(const struct container *c)
{
	_json_ json_t *o = json_object();

	json_put(o, "created", json_integer(c->created));
	json_put(o, "image", json_string(c->image));
	json_put(o, "lower", json_string(c->lower));
	json_put(o, "config", json_incref(c->c.config));
	json_put(o, "host", json_incref(c->c.host));
	json_put(o, "endpoints", json_incref(c->c.endpoints));
	json_put(o, "mounts", json_incref(c->c.mounts));
	json_put(o, "state", json_integer(c->state));
	if (c->by_user)
		json_put(o, "by_user", json_true());
	if (c->restarts)
		json_put(o, "restarts", json_integer(c->restarts));
	if (c->exit_code)
		json_put(o, "exit_code", json_integer(c->exit_code));
	if (c->oom)
		json_put(o, "oom", json_true());
	if (c->error)
		json_put(o, "error", json_string(c->error));
	if (c->started)
		json_put(o, "started", json_integer(c->started));
	if (c->finished)
		json_put(o, "finished", json_integer(c->finished));
	return json_text(o);
}

static int get_part(const json_t *o, const char *key, json_t **ret, struct cnm_error *err)
{
	json_t *part = NULL;
	int r = streq(key, "mounts") ? json_get_array(o, key, &part, err)
				     : json_get_object(o, key, &part, err);

	if (r == 0 && !part)
		r = cnm_error_set(err, CNM_E_INTERNAL, "its row has no %s", key);
	*ret = json_incref(part);
	return r;
}

static int decode_run(const json_t *o, struct container *c, struct cnm_error *err)
{
	int64_t state = 0, restarts = 0, code = 0;
	const char *error = NULL;
	int r;

	if ((r = json_get_int(o, "state", &state, err)) < 0 ||
	    (r = json_get_bool(o, "by_user", &c->by_user, err)) < 0 ||
	    (r = json_get_int(o, "restarts", &restarts, err)) < 0 ||
	    (r = json_get_int(o, "exit_code", &code, err)) < 0 ||
	    (r = json_get_bool(o, "oom", &c->oom, err)) < 0 ||
	    (r = json_get_string(o, "error", &error, err)) < 0 ||
	    (r = json_get_int(o, "started", &c->started, err)) < 0 ||
	    (r = json_get_int(o, "finished", &c->finished, err)) < 0)
		return r;
	if (state < CONTAINER_CREATED || state > CONTAINER_EXITED)
		return cnm_error_set(err, CNM_E_INTERNAL, "its row has an unknown state");
	c->state = (enum container_state)state;
	c->restarts = (unsigned)restarts;
	c->exit_code = (int)code;
	c->error = error ? strdup(error) : NULL;
	return error && !c->error ? cnm_error_errno(err, ENOMEM, "container") : 0;
}

static int decode(const json_t *o, struct container *c, struct cnm_error *err)
{
	const char *image = "", *lower = "";
	int r;

	if ((r = json_get_int(o, "created", &c->created, err)) < 0 ||
	    (r = json_get_string(o, "image", &image, err)) < 0 ||
	    (r = json_get_string(o, "lower", &lower, err)) < 0 ||
	    (r = get_part(o, "config", &c->c.config, err)) < 0 ||
	    (r = get_part(o, "host", &c->c.host, err)) < 0 ||
	    (r = get_part(o, "endpoints", &c->c.endpoints, err)) < 0 ||
	    (r = get_part(o, "mounts", &c->c.mounts, err)) < 0)
		return r;
	str_copy(c->image, sizeof(c->image), image);
	c->lower = strdup(lower);
	return c->lower ? decode_run(o, c, err) : cnm_error_errno(err, ENOMEM, "container");
}

int container_decode(const struct store_row *row, struct container **ret, struct cnm_error *err)
{
	_json_ json_t *o = json_loads(row->body, 0, NULL);
	struct container *c;
	int r;

	if (!json_is_object(o) || !row->name)
		return cnm_error_set(err, CNM_E_INTERNAL, "its row is not a JSON object");
	c = container_new();
	if (!c || !(c->name = strdup(row->name))) {
		container_free(c);
		return cnm_error_errno(err, ENOMEM, "container");
	}
	str_copy(c->id, sizeof(c->id), row->id);
	r = decode(o, c, err);
	if (r < 0)
		container_free(c);
	else
		*ret = c;
	return r;
}

int container_save(struct containers *cs, const struct container *c, enum store_state state,
		   bool insert, enum store_durability how, struct cnm_error *err)
{
	struct store *store = cs->engine->store;
	struct store_row row = { .kind = STORE_CONTAINER,
				 .state = state,
				 .id = c->id,
				 .name = c->name,
				 .body = container_encode(c) };
	struct store_tx *tx = NULL;
	int r;

	if (row.body) {
		tx = store_tx_new(store);
		if (insert)
			store_tx_insert(tx, &row);
		else
			store_tx_update(tx, &row);
	}
	free((char *)row.body);
	pthread_mutex_unlock(&cs->lock);
	r = store_commit(store, tx, how, err);
	pthread_mutex_lock(&cs->lock);
	return r;
}
