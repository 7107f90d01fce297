/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One HTTP/1.x request, put together from bytes as they arrive. No I/O.
 *
 * http_message_feed() is called with whatever has been read until the state is MESSAGE_DONE or
 * MESSAGE_BAD. It never takes a byte beyond the end of the request: what follows is the next
 * request (pipelining) or belongs to the program that takes the connection over (hijack).
 *
 * With `holds` the message may be told, once its head is complete, to leave its body where it is:
 * in MESSAGE_HELD the body is read by http_message_feed_body(), piece by piece and without a limit.
 *
 * Everything of the request is hostile: sizes are bounded by struct http_limits, and the strings
 * handed out hold no NUL before their end.
 */
#ifndef API_HTTP_MESSAGE_H
#define API_HTTP_MESSAGE_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define HTTP_MAX_PAIRS 128 /* headers of a request; parameters of a query */

struct http_limits {
	size_t head; /* request target and headers, bytes */
	size_t body;
};

enum message_state {
	MESSAGE_HEAD, /* request line and headers are arriving */
	MESSAGE_BODY, /* the body is */
	MESSAGE_HELD, /* the head is complete, and a body is left to http_message_feed_body() */
	MESSAGE_DONE, /* complete */
	MESSAGE_BAD,  /* refused: bad_status and bad_reason say how and why */
};

/* Offsets into a text that may still move. */
struct http_pair {
	uint32_t name, value;
};

struct http_message {
	/* Valid in MESSAGE_HELD and MESSAGE_DONE. */
	const char *method; /* "GET" */
	const char
		*path;   /* begins with '/' (or is "*"); still percent-encoded, without the query */
	bool keep_alive; /* the client can take another answer on this connection */
	bool upgrade;    /* the client offers to switch protocols */
	unsigned minor;  /* HTTP/1.minor; valid from MESSAGE_BODY on */
	struct strbuf body; /* body.s is NULL if there is none, or it is held */

	enum message_state state;
	bool begun;   /* at least one byte was fed */
	bool expects; /* "Expect: 100-continue"; valid from MESSAGE_BODY on */
	int bad_status;
	const char *bad_reason;

	/* Asked when the head of a request with a body is complete: hold it? NULL: no. */
	bool (*holds)(const struct http_message *m, void *arg);
	void *holds_arg;

	/* Private. */
	struct http_limits limits;
	http_parser parser;
	struct strbuf head, query;
	struct http_pair *headers, *params;
	unsigned n_headers, n_params;
	bool in_value; /* the header being read is at its value */
	char *out;     /* where http_message_feed_body() puts the body */
	size_t n_out;
};

void http_message_init(struct http_message *m, const struct http_limits *limits);
/* Releases what it holds; it must be initialised again before use. */
void http_message_free(struct http_message *m);
/* How many of the n bytes were taken; less than n only in MESSAGE_HELD, _DONE and _BAD. */
size_t http_message_feed(struct http_message *m, const char *data, size_t n);
/*
 * In MESSAGE_HELD: the same for what follows the head. What it holds of the body, *ret_n bytes and
 * never more than n, is put to out, which may be data itself.
 */
size_t http_message_feed_body(struct http_message *m, const char *data, size_t n, char *out,
			      size_t *ret_n);

/* The value of a header (any case), or NULL. The first one, if repeated. */
const char *http_message_header(const struct http_message *m, const char *name);
/* The decoded value of a query parameter, or NULL. The first one, if repeated. */
const char *http_message_param(const struct http_message *m, const char *name);
/* Of a parameter that may be repeated: the one after `before` others, or NULL. */
const char *http_message_param_at(const struct http_message *m, const char *name, unsigned before);

/*
 * Percent-decode n bytes of src into dst, which has room for n + 1 and may be src; `plus` makes '+'
 * a space. Returns the length, or -EINVAL for a broken escape, for %00 and for what is not UTF-8.
 */
int http_percent_decode(char *dst, const char *src, size_t n, bool plus);

#endif
