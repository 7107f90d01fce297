/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Docker's API has and this daemon has not. Lists are empty, an object asked for does not
 * exist, and making one is refused: so clients that look around (docker ps, docker inspect NAME)
 * work, and those that need what is not there are told.
 */
#include "api/api_call.h"

#include <string.h>

static int no_list(struct api_call *call)
{
	return api_reply_text(call, 200, "[]");
}

static int no_volumes(struct api_call *call)
{
	return api_reply_text(call, 200, "{\"Volumes\":[],\"Warnings\":[]}");
}

/* The first part of the path behind the resource's name. */
static int first_part(const struct api_call *call)
{
	return (int)strcspn(call->ref, "/");
}

static int no_container(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_NOT_FOUND, "No such container: %.*s",
			     first_part(call), call->ref);
}

static int no_exec(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_NOT_FOUND, "No such exec instance: %.*s",
			     first_part(call), call->ref);
}

static int no_image(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_NOT_FOUND, "No such image: %s", call->ref);
}

static int no_volume(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_NOT_FOUND, "get %s: no such volume", call->ref);
}

static int no_plugin(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_NOT_FOUND, "plugin \"%s\" not found", call->ref);
}

static int not_implemented(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_NOT_IMPLEMENTED,
			     "%s %s is not implemented: this daemon serves networks, endpoints and "
			     "sandboxes",
			     call->request->method, call->request->path);
}

static int no_swarm(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_UNAVAILABLE,
			     "This node is not a swarm manager. Use \"docker swarm init\" or "
			     "\"docker swarm join\" to connect this node to swarm and try again.");
}

const struct api_route api_absent_routes[] = {
	{ "GET", "/containers/json", no_list, true },
	{ "POST", "/containers/create", not_implemented, true },
	{ "POST", "/containers/prune", not_implemented, true },
	{ "*", "/containers/*", no_container, true },
	{ "*", "/exec/*", no_exec, true },
	{ "GET", "/images/json", no_list, true },
	{ "GET", "/images/search", not_implemented, true },
	{ "GET", "/images/get", not_implemented, true },
	{ "GET", "/images/*/json", no_image, true },
	{ "GET", "/images/*/history", no_image, true },
	{ "GET", "/images/*/get", no_image, true },
	{ "POST", "/images/*/tag", no_image, true },
	{ "POST", "/images/*/push", no_image, true },
	{ "DELETE", "/images/*", no_image, true },
	{ "*", "/images/*", not_implemented, true },
	{ "GET", "/volumes", no_volumes, true },
	{ "POST", "/volumes/create", not_implemented, true },
	{ "POST", "/volumes/prune", not_implemented, true },
	{ "*", "/volumes/*", no_volume, true },
	{ "GET", "/plugins", no_list, true },
	{ "GET", "/plugins/*/json", no_plugin, true },
	{ "*", "/plugins/*", not_implemented, true },
	{ "*", "/swarm", no_swarm, true },
	{ "*", "/swarm/*", no_swarm, true },
	{ "*", "/nodes", no_swarm, true },
	{ "*", "/nodes/*", no_swarm, true },
	{ "*", "/services", no_swarm, true },
	{ "*", "/services/*", no_swarm, true },
	{ "*", "/tasks", no_swarm, true },
	{ "*", "/tasks/*", no_swarm, true },
	{ "*", "/secrets", no_swarm, true },
	{ "*", "/secrets/*", no_swarm, true },
	{ "*", "/configs", no_swarm, true },
	{ "*", "/configs/*", no_swarm, true },
	{ "*", "/build", not_implemented, true },
	{ "*", "/build/*", not_implemented, true },
	{ "*", "/session", not_implemented, true },
	{ "*", "/grpc", not_implemented, true },
	{ "*", "/auth", not_implemented, true },
	{ "*", "/commit", not_implemented, true },
	{ "*", "/distribution/*", not_implemented, true },
	{ "*", "/system/df", not_implemented, true },
	{ NULL, NULL, NULL, false },
};
