/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /cnm/v1/plugins: other people's drivers. docs/API.md. */
#include "api/api_call.h"
#include "base/cleanup.h"

static int list(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = cnm_plugin_list(call->engine, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

const struct api_route api_plugin_routes[] = {
	{ "GET", "/cnm/v1/plugins", list, 0 },
	{ NULL, NULL, NULL, 0 },
};
