/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /networks, as Docker serves it. */
#include "api/api_call.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

static int list(struct api_call *call)
{
	const char *filters = NULL;
	_free_ char *json = NULL;
	int r;

	r = api_param_filters(call, &filters);
	if (r == 0)
		r = cnm_network_list(call->engine, filters, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

/* Is the network of the scope that ?scope= asks for? */
static int check_scope(struct api_call *call, const char *json)
{
	const char *wanted = http_message_param(call->request, "scope"), *scope = "";
	_json_ json_t *network = NULL;

	if (!wanted || *wanted == '\0')
		return 0;
	network = json_loads(json, 0, NULL);
	json_get_string(network, "Scope", &scope, NULL);
	if (streq(wanted, scope))
		return 0;
	return cnm_error_set(&call->err, CNM_E_NOT_FOUND, "network %s not found", call->ref);
}

static int inspect(struct api_call *call)
{
	_free_ char *json = NULL;
	bool verbose = false;
	int r;

	r = api_param_bool(call, "verbose", &verbose);
	if (r == 0)
		r = cnm_network_inspect(call->engine, call->ref, verbose, &json, &call->err);
	if (r == 0)
		r = check_scope(call, json);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int create(struct api_call *call)
{
	struct cnm_network_config config;
	_free_ char *warning = NULL;
	char id[CNM_ID_SIZE] = "";
	int r;

	r = api_read_body(call);
	if (r == 0)
		r = api_decode_network(&call->memory, call->body, &config, &call->err);
	if (r == 0)
		r = cnm_network_create(call->engine, &config, call->dry, id, &warning, &call->err);
	return r < 0 ? r : api_reply_created(call, id, warning ? warning : "");
}

static int delete (struct api_call *call)
{
	int r = cnm_network_remove(call->engine, call->ref, call->dry, &call->err);

	return r < 0 ? r : api_reply_changed(call, 204);
}

static int connect_sandbox(struct api_call *call)
{
	struct cnm_endpoint_config config;
	const char *sandbox;
	int r;

	r = api_read_body(call);
	if (r == 0)
		r = api_decode_connect(&call->memory, call->body, &sandbox, &config, &call->err);
	if (r == 0)
		r = containers_network_connect(call->containers, call->ref, sandbox, &config,
					       call->dry, &call->err);
	return r < 0 ? r : api_reply_changed(call, 200);
}

static int disconnect_sandbox(struct api_call *call)
{
	const char *sandbox;
	bool force = false;
	int r;

	r = api_read_body(call);
	if (r == 0)
		r = api_decode_disconnect(call->body, &sandbox, &force, &call->err);
	if (r == 0)
		r = containers_network_disconnect(call->containers, call->ref, sandbox, force,
						  call->dry, &call->err);
	return r < 0 ? r : api_reply_changed(call, 200);
}

static int prune(struct api_call *call)
{
	const char *filters = NULL;
	_free_ char *json = NULL;
	int r;

	r = api_param_filters(call, &filters);
	if (r == 0)
		r = cnm_network_prune(call->engine, filters, call->dry, &json, &call->err);
	if (r < 0)
		return r;
	return call->dry ? api_reply_plan(call) : api_reply_text(call, 200, json);
}

const struct api_route api_network_routes[] = {
	{ "GET", "/networks", list, 0 },
	{ "GET", "/networks/", list, 0 },
	{ "POST", "/networks/create", create, ROUTE_PLANS },
	{ "POST", "/networks/prune", prune, ROUTE_PLANS },
	{ "POST", "/networks/*/connect", connect_sandbox, ROUTE_PLANS },
	{ "POST", "/networks/*/disconnect", disconnect_sandbox, ROUTE_PLANS },
	{ "GET", "/networks/*", inspect, 0 },
	{ "DELETE", "/networks/*", delete, ROUTE_PLANS },
	{ NULL, NULL, NULL, 0 },
};
