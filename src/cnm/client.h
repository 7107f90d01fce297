/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client of the daemon's HTTP API: one request on one connection to its unix socket.
 *
 * Not thread-safe, and does not need to be: a command asks one thing after the other. There is no
 * time limit, since an answer may rightly take long (a change waits for the kernel; events have no
 * end): the person at the terminal is the limit.
 */
#ifndef CNM_CLIENT_H
#define CNM_CLIENT_H

#include <jansson.h>
#include <stddef.h>

#include "cnm/error.h"

#define CLIENT_DEFAULT_SOCKET "/run/cnm/cnm.sock"

struct client {
	const char *socket; /* path */
};

/*
 * One request; body NULL: none. On success (2xx) *ret_body is the answer's text, owned by the
 * caller, "" if it has none; ret_body may be NULL. On failure err is the whole sentence for the
 * person, its class that of the daemon's status code, and -errno is returned.
 */
int client_call(const struct client *c, const char *method, const char *path, const json_t *body,
		char **ret_body, struct cnm_error *err);

/* The same, with the answer parsed. *ret is the caller's. */
int client_call_json(const struct client *c, const char *method, const char *path,
		     const json_t *body, json_t **ret, struct cnm_error *err);

/*
 * GET an answer without end: each line of it goes to deliver as it comes, without its newline.
 * Returns 0 when the daemon ends the answer, or what deliver returns once that is not 0.
 */
int client_stream(const struct client *c, const char *path,
		  int (*deliver)(const char *line, void *arg, struct cnm_error *err), void *arg,
		  struct cnm_error *err);

#endif
