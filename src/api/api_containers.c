/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /containers, as Docker serves it; what flows from and to them is in api_container_streams.c. */
#include "api/api_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

static int list(struct api_call *call)
{
	const char *filters = NULL;
	_free_ char *json = NULL;
	bool all = false;
	long limit = 0;
	int r;

	r = api_param_filters(call, &filters);
	if (r == 0)
		r = api_param_flag(call, "all", &all);
	if (r == 0)
		r = api_param_int(call, "limit", &limit);
	if (r == 0)
		r = containers_list(call->containers, filters, all, limit > 0 ? (unsigned)limit : 0,
				    call->version, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int inspect(struct api_call *call)
{
	_free_ char *json = NULL;
	bool size = false;
	int r;

	r = api_param_flag(call, "size", &size);
	if (r == 0)
		r = containers_inspect(call->containers, call->ref, call->version, size, &json,
				       &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int top(struct api_call *call)
{
	const char *ps_args = api_param(call, "ps_args");
	_free_ char *json = NULL;
	int r;

	r = containers_top(call->containers, call->ref, ps_args ? ps_args : "", &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

/* ------------------------------------------------------------------------------ making, unmaking
 */

/* Without memory the warnings are lost, not the answer: the container exists. */
static int reply_created(struct api_call *call, const char *id, json_t *warnings)
{
	_json_ json_t *j = json_pack("{s:s, s:O?}", "Id", id, "Warnings", warnings);
	_free_ char *text = j ? json_text(j) : NULL;
	char plain[128];

	if (text)
		return api_reply_text(call, 201, text);
	snprintf(plain, sizeof(plain), "{\"Id\":\"%s\",\"Warnings\":[]}\n", id);
	return api_reply_text(call, 201, plain);
}

static int create(struct api_call *call)
{
	_json_ json_t *warnings = NULL;
	char id[ID_SIZE];
	int r;

	r = api_check_platform(call);
	if (r == 0)
		r = api_read_body(call);
	if (r == 0)
		r = containers_create(call->containers, api_param(call, "name"), call->body,
				      call->version, id, &warnings, &call->err);
	return r < 0 ? r : reply_created(call, id, warnings);
}

static int delete (struct api_call *call)
{
	bool force = false, volumes = false, link = false;
	int r;

	r = api_param_flag(call, "force", &force);
	if (r == 0)
		r = api_param_flag(call, "v", &volumes);
	if (r == 0)
		r = api_param_flag(call, "link", &link);
	if (r == 0 && link)
		r = cnm_error_set(&call->err, CNM_E_NOT_IMPLEMENTED,
				  "cannot remove the link %s alone: remove the container itself, "
				  "without link",
				  call->ref);
	if (r == 0)
		r = containers_remove(call->containers, call->ref, force, volumes, &call->err);
	return r < 0 ? r : api_reply_text(call, 204, NULL);
}

static int rename_container(struct api_call *call)
{
	const char *name = api_param(call, "name");
	int r;

	if (!name)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "Neither old nor new names may be empty");
	r = containers_rename(call->containers, call->ref, name, &call->err);
	return r < 0 ? r : api_reply_text(call, 204, NULL);
}

/* ---------------------------------------------------------------------------- starting, stopping
 */

static int start(struct api_call *call)
{
	const char *checkpoint = api_param(call, "checkpoint");
	int r;

	if (checkpoint)
		return cnm_error_set(&call->err, CNM_E_NOT_IMPLEMENTED,
				     "cannot start %s from checkpoint %s: this daemon has no "
				     "checkpoints",
				     call->ref, checkpoint);
	r = containers_start(call->containers, call->ref, &call->err);
	return r < 0 ? r : api_reply_text(call, r == 1 ? 304 : 204, NULL);
}

/* ?t=: how long to wait before it is killed. A negative time is for ever; none, the container's. */
static int param_patience(struct api_call *call, int *ret)
{
	long t = -2;
	bool given = api_param(call, "t") != NULL;
	int r = api_param_int(call, "t", &t);

	*ret = !given ? -2 : t < 0 ? -1 : (int)t;
	return r;
}

static int stop(struct api_call *call)
{
	int patience, r;

	r = param_patience(call, &patience);
	if (r == 0)
		r = containers_stop(call->containers, call->ref, api_param(call, "signal"),
				    patience, &call->err);
	return r < 0 ? r : api_reply_text(call, r == 1 ? 304 : 204, NULL);
}

static int restart(struct api_call *call)
{
	int patience, r;

	r = param_patience(call, &patience);
	if (r == 0)
		r = containers_restart(call->containers, call->ref, api_param(call, "signal"),
				       patience, &call->err);
	return r < 0 ? r : api_reply_text(call, 204, NULL);
}

static int kill_container(struct api_call *call)
{
	int r = containers_kill(call->containers, call->ref, api_param(call, "signal"), &call->err);

	return r < 0 ? r : api_reply_text(call, 204, NULL);
}

static int resize(struct api_call *call)
{
	unsigned rows, columns;
	int r;

	r = api_param_size(call, &rows, &columns);
	if (r == 0)
		r = containers_resize(call->containers, call->ref, rows, columns, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, NULL);
}

const struct api_route api_container_routes[] = {
	{ "GET", "/containers/json", list, 0 },
	{ "POST", "/containers/create", create, 0 },
	{ "GET", "/containers/*/json", inspect, 0 },
	{ "GET", "/containers/*/top", top, 0 },
	{ "POST", "/containers/*/start", start, 0 },
	{ "POST", "/containers/*/stop", stop, 0 },
	{ "POST", "/containers/*/restart", restart, 0 },
	{ "POST", "/containers/*/kill", kill_container, 0 },
	{ "POST", "/containers/*/rename", rename_container, 0 },
	{ "POST", "/containers/*/resize", resize, 0 },
	{ "DELETE", "/containers/*", delete, 0 },
	{ NULL, NULL, NULL, 0 },
};
