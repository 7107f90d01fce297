/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /cnm/v1/nodes: the hosts of the cluster. docs/API.md. */
#include "api/api_call.h"
#include "base/cleanup.h"

static int list(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = cnm_node_list(call->engine, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int inspect(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = cnm_node_inspect(call->engine, call->ref, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int delete (struct api_call *call)
{
	int r = cnm_node_remove(call->engine, call->ref, &call->err);

	return r < 0 ? r : api_reply_changed(call, 204);
}

const struct api_route api_node_routes[] = {
	{ "GET", "/cnm/v1/nodes", list, 0 },
	{ "GET", "/cnm/v1/nodes/*", inspect, 0 },
	{ "DELETE", "/cnm/v1/nodes/*", delete, 0 },
	{ NULL, NULL, NULL, 0 },
};
