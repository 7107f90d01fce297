/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Docker's API has and this daemon has not. Lists are empty, and the rest is refused by name:
 * so clients that look around work, and those that need what is not there are told.
 */
#include "api/api_call.h"

#include <string.h>

#include "base/str.h"

static int no_list(struct api_call *call)
{
	return api_reply_text(call, 200, "[]");
}

static int no_plugin(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_NOT_FOUND, "plugin \"%s\" not found", call->ref);
}

/* What a path asks for, by how it ends. */
static const char *const things[][2] = {
	{ "/pause", "pausing containers" },
	{ "/unpause", "pausing containers" },
	{ "/archive", "copying files from and to containers" },
	{ "/export", "exporting a container's files" },
	{ "/changes", "listing a container's changed files" },
	{ "/stats", "a container's statistics" },
	{ "/update", "changing a container's limits" },
	{ "/attach/ws", "attaching by websocket" },
	{ "/containers/prune", "removing all stopped containers at once" },
	{ "/images/prune", "removing all unused images at once" },
	{ "/volumes/prune", "removing all unused volumes at once" },
	{ "/images/search", "searching a registry" },
	{ "/push", "sending images to a registry" },
	{ "/commit", "making an image of a container" },
	{ "/auth", "logging in to a registry" },
	{ "/system/df", "the use of disk space" },
};

static int not_implemented(struct api_call *call)
{
	const char *path = call->request->path, *thing = "that";
	size_t len = strlen(path);

	for (size_t i = 0; i < sizeof(things) / sizeof(*things); i++) {
		size_t n = strlen(things[i][0]);

		if (len >= n && streq(path + len - n, things[i][0]))
			thing = things[i][1];
	}
	return cnm_error_set(&call->err, CNM_E_NOT_IMPLEMENTED,
			     "%s %s: %s is not implemented by this daemon", call->request->method,
			     path, thing);
}

static int no_build(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_NOT_IMPLEMENTED,
			     "%s %s: building images is not implemented by this daemon: build "
			     "elsewhere, and load the archive",
			     call->request->method, call->request->path);
}

static int no_swarm(struct api_call *call)
{
	return cnm_error_set(&call->err, CNM_E_UNAVAILABLE,
			     "This node is not a swarm manager. Use \"docker swarm init\" or "
			     "\"docker swarm join\" to connect this node to swarm and try again.");
}

const struct api_route api_absent_routes[] = {
	{ "POST", "/containers/prune", not_implemented, ROUTE_QUICK },
	{ "POST", "/containers/*/pause", not_implemented, ROUTE_QUICK },
	{ "POST", "/containers/*/unpause", not_implemented, ROUTE_QUICK },
	{ "*", "/containers/*/archive", not_implemented, ROUTE_BODY | ROUTE_QUICK },
	{ "GET", "/containers/*/export", not_implemented, ROUTE_QUICK },
	{ "GET", "/containers/*/changes", not_implemented, ROUTE_QUICK },
	{ "GET", "/containers/*/stats", not_implemented, ROUTE_QUICK },
	{ "POST", "/containers/*/update", not_implemented, ROUTE_QUICK },
	{ "GET", "/containers/*/attach/ws", not_implemented, ROUTE_QUICK },
	{ "GET", "/images/search", not_implemented, ROUTE_QUICK },
	{ "POST", "/images/prune", not_implemented, ROUTE_QUICK },
	{ "POST", "/images/*/push", not_implemented, ROUTE_QUICK },
	{ "POST", "/volumes/prune", not_implemented, ROUTE_QUICK },
	{ "GET", "/plugins", no_list, ROUTE_QUICK },
	{ "GET", "/plugins/*/json", no_plugin, ROUTE_QUICK },
	{ "*", "/plugins/*", not_implemented, ROUTE_QUICK },
	{ "*", "/swarm", no_swarm, ROUTE_QUICK },
	{ "*", "/swarm/*", no_swarm, ROUTE_QUICK },
	{ "*", "/nodes", no_swarm, ROUTE_QUICK },
	{ "*", "/nodes/*", no_swarm, ROUTE_QUICK },
	{ "*", "/services", no_swarm, ROUTE_QUICK },
	{ "*", "/services/*", no_swarm, ROUTE_QUICK },
	{ "*", "/tasks", no_swarm, ROUTE_QUICK },
	{ "*", "/tasks/*", no_swarm, ROUTE_QUICK },
	{ "*", "/secrets", no_swarm, ROUTE_QUICK },
	{ "*", "/secrets/*", no_swarm, ROUTE_QUICK },
	{ "*", "/configs", no_swarm, ROUTE_QUICK },
	{ "*", "/configs/*", no_swarm, ROUTE_QUICK },
	{ "*", "/build", no_build, ROUTE_BODY | ROUTE_QUICK },
	{ "*", "/build/*", no_build, ROUTE_QUICK },
	{ "*", "/session", no_build, ROUTE_QUICK },
	{ "*", "/grpc", no_build, ROUTE_QUICK },
	{ "*", "/auth", not_implemented, ROUTE_QUICK },
	{ "*", "/commit", not_implemented, ROUTE_QUICK },
	{ "*", "/distribution/*", not_implemented, ROUTE_QUICK },
	{ "*", "/system/df", not_implemented, ROUTE_QUICK },
	{ NULL, NULL, NULL, 0 },
};
