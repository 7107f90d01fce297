/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /volumes, as Docker serves it. */
#include "api/api_call.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"

/* Nothing is filtered: better no answer than one that has too much. */
static int check_unfiltered(struct api_call *call)
{
	const char *filters = NULL;
	_json_ json_t *j = NULL;
	int r = api_param_filters(call, &filters);

	if (r < 0 || !filters)
		return r;
	j = json_loads(filters, 0, NULL);
	if (json_object_size(j) == 0)
		return 0;
	return cnm_error_set(&call->err, CNM_E_NOT_IMPLEMENTED,
			     "filter volumes: not implemented; list them without filters");
}

static int list(struct api_call *call)
{
	_free_ char *json = NULL;
	int r;

	r = check_unfiltered(call);
	if (r == 0)
		r = containers_volume_list(call->containers, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int inspect(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = containers_volume_inspect(call->containers, call->ref, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int create(struct api_call *call)
{
	_free_ char *json = NULL;
	int r;

	r = api_read_body(call);
	if (r == 0)
		r = containers_volume_create(call->containers, call->body, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 201, json);
}

static int delete (struct api_call *call)
{
	bool force = false;
	int r;

	r = api_param_flag(call, "force", &force);
	if (r == 0)
		r = containers_volume_remove(call->containers, call->ref, force, &call->err);
	return r < 0 ? r : api_reply_text(call, 204, NULL);
}

const struct api_route api_volume_routes[] = {
	{ "GET", "/volumes", list, 0 },
	{ "POST", "/volumes/create", create, 0 },
	{ "GET", "/volumes/*", inspect, 0 },
	{ "DELETE", "/volumes/*", delete, 0 },
	{ NULL, NULL, NULL, 0 },
};
