/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Docker Engine API, and cnm's own routes, on the HTTP server: docs/API.md. An api holds no
 * state of its own; all it knows it asks the engine.
 */
#ifndef API_API_H
#define API_API_H

#include <stdbool.h>

#include "api/http_server.h"
#include "cnm/cnm.h"
#include "containers/containers.h"

#define API_VERSION     "1.47"
#define API_MIN_VERSION "1.24"

/* Both must outlive the server. */
struct api {
	struct cnm_engine *engine;
	struct containers *containers;
};

/* For struct http_server_options; arg is a struct api. Any thread. */
void api_handle(struct http_exchange *x, void *arg);
bool api_is_quick(const struct http_message *request, void *arg);
bool api_streams(const struct http_message *request, void *arg);

#endif
