/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client of the daemon's HTTP API: each request has a connection of its own to the daemon's
 * unix socket.
 *
 * Not thread-safe, and does not need to be: a command asks one thing after the other. There is no
 * time limit, since an answer may rightly take long (a change waits for the kernel; events have no
 * end): the person at the terminal is the limit.
 */
#ifndef CNM_CLIENT_H
#define CNM_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
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
 * A request whose body or answer is long. upload: a descriptor that is sent to its end as the body,
 * or -1. What a good answer brings goes to deliver as it comes. Returns 0 when the daemon ends the
 * answer, or what deliver returns once that is not 0.
 */
struct client_transfer {
	const char *method, *path;
	int upload;
	int (*deliver)(const char *data, size_t n, void *arg, struct cnm_error *err);
	void *arg;
};
int client_transfer(const struct client *c, const struct client_transfer *t, struct cnm_error *err);

/* The same for an answer of lines: each goes to deliver without its newline. */
struct client_lines {
	const char *method, *path;
	int upload;
	int (*deliver)(const char *line, void *arg, struct cnm_error *err);
	void *arg;
};
int client_lines(const struct client *c, const struct client_lines *l, struct cnm_error *err);

/*
 * POST a request whose answer comes later, and wait for the head of the answer only: the daemon has
 * then begun to do what it was asked. A bad status is an error at once.
 */
struct client_pending;
int client_begin(const struct client *c, const char *path, struct client_pending **ret,
		 struct cnm_error *err);
/* Has the rest come? If not, the descriptor is readable once some of it has. */
bool client_pending_ready(const struct client_pending *p, int *ret_fd);
/* Wait for the rest of it. *ret is the caller's. */
int client_finish(struct client_pending *p, json_t **ret, struct cnm_error *err);
void client_pending_free(struct client_pending *p);

/*
 * POST a request that turns the connection into a stream of bytes both ways. The descriptor is the
 * caller's; early is what came with the answer already.
 */
struct client_hijacked {
	int fd;
	char *early;
	size_t n_early;
};
int client_hijack(const struct client *c, const char *path, const json_t *body,
		  struct client_hijacked *ret, struct cnm_error *err);
void client_hijacked_free(struct client_hijacked *h);

#endif
