/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One exchange of a request and its answer with the daemon, for client.c.
 *
 * It is: connect, send the request whole, then feed what arrives to http_parser until it says the
 * message is complete. The body of a good answer goes to whoever wants it as it comes; any other
 * body is collected. An exchange may stop at the head of the answer: to be finished later, or
 * because what follows is no HTTP any more (a hijacked connection).
 */
#ifndef CNM_EXCHANGE_H
#define CNM_EXCHANGE_H

#include <http_parser.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/str.h"
#include "cnm/client.h"
#include "cnm/error.h"

struct request {
	const char *method, *path;
	const json_t *body; /* or NULL */
	int upload;         /* or -1 */
};

/* Made with fd -1, err, and what of hijack, deliver and arg there is. */
struct exchange {
	int fd;
	struct http_parser parser;
	struct strbuf body; /* of a hijacked connection: what came with the head */
	bool has_head, complete;
	bool hijack;
	int (*deliver)(const char *data, size_t n, void *arg, struct cnm_error *err); /* or NULL */
	void *arg;
	int result; /* what stopped the exchange */
	struct cnm_error *err;
};

/* To the head of the answer (a bad one is read to its end, and is an error), or to its end. */
int exchange_run(struct exchange *x, const struct client *c, const struct request *q,
		 bool head_only);
/* The rest of an answer. */
int exchange_finish(struct exchange *x);
void exchange_close(struct exchange *x);

#endif
