/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /cnm/v1/endpoints: docs/API.md. */
#include "api/api_call.h"

#include "base/cleanup.h"

static int list(struct api_call *call)
{
	const char *network = http_message_param(call->request, "network");
	_free_ char *json = NULL;
	int r;

	r = cnm_endpoint_list(call->engine, network && *network ? network : NULL, &json,
			      &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int inspect(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = cnm_endpoint_inspect(call->engine, call->ref, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int create(struct api_call *call)
{
	struct cnm_endpoint_config config;
	char id[CNM_ID_SIZE] = "";
	const char *network;
	int r;

	r = api_read_body(call);
	if (r == 0)
		r = api_decode_reservation(&call->memory, call->body, &network, &config,
					   &call->err);
	if (r == 0)
		r = cnm_endpoint_create(call->engine, network, &config, call->dry, id, &call->err);
	return r < 0 ? r : api_reply_created(call, id, NULL);
}

static int delete (struct api_call *call)
{
	bool force = false;
	int r;

	r = api_param_flag(call, "force", &force);
	if (r == 0)
		r = cnm_endpoint_remove(call->engine, call->ref, force, call->dry, &call->err);
	return r < 0 ? r : api_reply_changed(call, 204);
}

static int join(struct api_call *call)
{
	const char *sandbox;
	int r;

	r = api_read_body(call);
	if (r == 0)
		r = api_decode_join(call->body, &sandbox, &call->err);
	if (r == 0)
		r = cnm_endpoint_join(call->engine, call->ref, sandbox, call->dry, &call->err);
	return r < 0 ? r : api_reply_changed(call, 200);
}

static int leave(struct api_call *call)
{
	int r = cnm_endpoint_leave(call->engine, call->ref, call->dry, &call->err);

	return r < 0 ? r : api_reply_changed(call, 200);
}

const struct api_route api_endpoint_routes[] = {
	{ "GET", "/cnm/v1/endpoints", list, 0 },
	{ "POST", "/cnm/v1/endpoints", create, ROUTE_PLANS },
	{ "POST", "/cnm/v1/endpoints/*/join", join, ROUTE_PLANS },
	{ "POST", "/cnm/v1/endpoints/*/leave", leave, ROUTE_PLANS },
	{ "GET", "/cnm/v1/endpoints/*", inspect, 0 },
	{ "DELETE", "/cnm/v1/endpoints/*", delete, ROUTE_PLANS },
	{ NULL, NULL, NULL, 0 },
};
