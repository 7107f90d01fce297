/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/attach.h"

#include <errno.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"
#include "cnm/session.h"

static int attach(const struct attach *a, struct client_hijacked *ret, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	_free_ char *base = api_path(api_container.collection, a->id, "attach", "stream=1");

	if (!base)
		return api_oom(err);
	strbuf_add(&path, base);
	api_add_query(&path, "stdin", a->in ? "1" : NULL);
	api_add_query(&path, "stdout", a->out ? "1" : NULL);
	api_add_query(&path, "stderr", a->err ? "1" : NULL);
	api_add_query(&path, "detachKeys", a->detach_keys);
	return path.failed ? api_oom(err) : client_hijack(a->client, path.s, NULL, ret, err);
}

static int begin_wait(const struct attach *a, struct client_pending **ret, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf query = { 0 };
	_free_ char *path = NULL;

	strbuf_addf(&query, "condition=%s", a->condition);
	path = query.failed ? NULL : api_path(api_container.collection, a->id, "wait", query.s);
	return path ? client_begin(a->client, path, ret, err) : api_oom(err);
}

static int start(const struct attach *a, struct cnm_error *err)
{
	_free_ char *path = api_path(api_container.collection, a->id, "start", NULL);

	return path ? api_do(a->client, "POST", path, NULL, false, err) : api_oom(err);
}

/* {"StatusCode":0,"Error":{"Message":".."}} */
static int finish_wait(struct client_pending *wait, int *ret, struct cnm_error *err)
{
	_json_ json_t *answer = NULL;
	const char *message;
	int r = client_finish(wait, &answer, err);

	if (r < 0)
		return r;
	message = output_string(json_object_get(answer, "Error"), "Message");
	if (*message)
		return cnm_error_set(err, CNM_E_INTERNAL, "Error waiting for container: %s",
				     message);
	*ret = (int)json_integer_value(json_object_get(answer, "StatusCode"));
	return 0;
}

/* It did not start: one that is removed at its end is gone when cnm is. */
static void await_removal(const struct attach *a, struct client_pending *wait)
{
	struct cnm_error ignored = { 0 };
	_json_ json_t *answer = NULL;

	if (streq(a->condition, "removed"))
		client_finish(wait, &answer, &ignored);
}

static int stay(const struct attach *a, struct client_hijacked *connection,
		struct client_pending *wait, struct attach_end *ret, struct cnm_error *err)
{
	const struct session s = { .client = a->client,
				   .collection = api_container.collection,
				   .id = a->id,
				   .in = a->in,
				   .out = a->out || a->err,
				   .terminal = a->terminal,
				   .sig_proxy = a->sig_proxy,
				   .detach_keys = a->detach_keys };
	int r = session_run(&s, connection, s.out ? wait : NULL, &ret->detached, err);

	if (!s.out) /* its input is all there was to stay for */
		ret->detached = true;
	return r < 0 || ret->detached ? r : finish_wait(wait, &ret->code, err);
}

static void pending_cleanup(struct client_pending **p)
{
	client_pending_free(*p);
}

int attach_run(const struct attach *a, struct attach_end *ret, struct cnm_error *err)
{
	_cleanup_(client_hijacked_free) struct client_hijacked connection = { .fd = -1 };
	_cleanup_(pending_cleanup) struct client_pending *wait = NULL;
	int r;

	r = attach(a, &connection, err);
	if (r == 0)
		r = begin_wait(a, &wait, err);
	if (r == 0 && a->start) {
		r = start(a, err);
		if (r < 0)
			await_removal(a, wait);
	}
	ret->started = r == 0;
	return r < 0 ? r : stay(a, &connection, wait, ret, err);
}
