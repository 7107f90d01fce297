/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a plugin is, as Docker finds it: by a socket NAME.sock, or by a file NAME.spec with its
 * URL, or NAME.json with URL and TLS, each also in a folder of the plugin's name. cnm's own folders
 * come before Docker's.
 */
#ifndef PLUGINS_PLUGIN_ADDRESS_H
#define PLUGINS_PLUGIN_ADDRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

#include "cnm/error.h"
#include "http/http_client.h"

struct plugin_address {
	char *found;                           /* the path of what tells it */
	char *url;                             /* without a slash at the end */
	char *socket;                          /* or NULL */
	char *cacertfile, *certfile, *keyfile; /* or NULL */
	struct http_tls tls;                   /* of these */
	struct timespec made;                  /* the socket */
};

/*
 * run_dir: the daemon's, whose folder "plugins" is looked into first. CNM_E_NOT_FOUND: there is
 * none, or its name cannot be one; CNM_E_INVALID: what was found cannot be read.
 */
int plugin_address_find(const char *run_dir, const char *name, struct plugin_address *ret,
			struct cnm_error *err);
/* Is the socket another than it was? Then so is who listens there. */
bool plugin_address_is_stale(const struct plugin_address *a);
void plugin_address_free(struct plugin_address *a);

/* The names of all there are, sorted, once each; the caller's. NULL: no memory. */
json_t *plugin_address_names(const char *run_dir);

/* For tests: the text of NAME.spec, and of NAME.json. The found path is not set. */
int plugin_address_from_spec(const char *text, struct plugin_address *ret, struct cnm_error *err);
int plugin_address_from_json(const char *text, struct plugin_address *ret, struct cnm_error *err);

#endif
