/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the handlers share. A handler is one function for one route; it answers through api_reply...
 * and returns 0, or returns a negative errno with call->err filled, which api.c turns into
 * {"message": ...} with the status of the error's class. Handlers live in one file a resource, each
 * with a table of routes that api.c lists.
 */
#ifndef API_API_CALL_H
#define API_API_CALL_H

#include <jansson.h>

#include "api/api.h"
#include "api/api_decode.h"

struct api_call {
	struct api *api;
	struct cnm_engine *engine;
	struct containers *containers;
	struct http_exchange *x;
	const struct http_message *request;
	unsigned version;         /* major * 1000 + minor; the newest if the path names none */
	const char *ref;          /* what the route's '*' stands for, decoded; else "" */
	json_t *body;             /* by api_read_body(); NULL: none */
	struct api_memory memory; /* what the body was decoded into */
	struct cnm_dry_run plan;
	struct cnm_dry_run *dry; /* &plan with ?dry-run=1, else NULL: pass it to the library */
	struct cnm_error err;
};

enum {
	ROUTE_QUICK = 1, /* needs no waiting: may run on the server's thread */
	ROUTE_BODY = 2,  /* reads its body itself, by http_body_read() */
	ROUTE_PLANS = 4, /* heeds call->dry; other routes but GET and HEAD refuse dry runs */
};

struct api_route {
	const char *method;
	const char *pattern; /* one '*' at most, which stands for any text, slashes included */
	int (*handle)(struct api_call *call);
	unsigned flags;
};

/* Each ends with a route whose method is NULL. Of two that match a path the first one counts. */
extern const struct api_route api_system_routes[];
extern const struct api_route api_event_routes[];
extern const struct api_route api_network_routes[];
extern const struct api_route api_sandbox_routes[];
extern const struct api_route api_endpoint_routes[];
extern const struct api_route api_dns_routes[];
extern const struct api_route api_node_routes[];
extern const struct api_route api_plugin_routes[];
extern const struct api_route api_container_routes[];
extern const struct api_route api_container_stream_routes[];
extern const struct api_route api_exec_routes[];
extern const struct api_route api_image_routes[];
extern const struct api_route api_image_work_routes[];
extern const struct api_route api_volume_routes[];
extern const struct api_route api_why_routes[];
extern const struct api_route api_absent_routes[];

/*
 * Answers. json is text (or NULL: no body); api_reply_object() steals j. Both return 0, or -ENOMEM
 * with call->err filled.
 */
int api_reply_text(struct api_call *call, int status, const char *json);
int api_reply_object(struct api_call *call, int status, json_t *j);
/* 201 {"Id": id, "Warning": warning} (without it if NULL) or, in a dry run, the plan. */
int api_reply_created(struct api_call *call, const char *id, const char *warning);
/* The status with no body or, in a dry run, the plan. */
int api_reply_changed(struct api_call *call, int status);
/* 200 {"Plan": [lines]} from call->plan. */
int api_reply_plan(struct api_call *call);
int api_reply_error(struct http_exchange *x, int status, const char *message);
/* The message as a string, whatever it holds; NULL if memory is out. */
json_t *api_message(const char *message);

/* Reads the request's JSON object into call->body, with Docker's words for what is wrong. */
int api_read_body(struct api_call *call);
/* The same, but there need not be one. */
int api_read_optional_body(struct api_call *call);
/*
 * Query parameters. One that is absent or empty counts as not given: *ret keeps its value, or is
 * NULL for a text.
 */
const char *api_param(const struct api_call *call, const char *name);
int api_param_bool(struct api_call *call, const char *name, bool *ret);
/* As most of Docker's routes read it: 0, no, false, none and nothing are false, all else is true.
 */
int api_param_flag(struct api_call *call, const char *name, bool *ret);
/* Within +-2^31. */
int api_param_int(struct api_call *call, const char *name, long *ret);
/* An instant in wall clock ns, as Docker's filters have it; 1 at least. */
int api_param_time(struct api_call *call, const char *name, int64_t *ret);
/* ?h= and ?w=, of a terminal. */
int api_param_size(struct api_call *call, unsigned *ret_rows, unsigned *ret_columns);
/* This machine, as Go names it. */
const char *api_arch(void);
/* ?platform= must be this machine's, or not given. */
int api_check_platform(struct api_call *call);
/*
 * Whose network a container has, as a reference to a sandbox: its own, or that of the one it shares
 * it with. What is no container stays as it is. *ret is the caller's.
 */
int api_network_owner(struct api_call *call, const char *name, char **ret);
/* Content-Type of what a container or an execution writes; of its connection, handed over. */
const char *api_stream_type(const struct api_call *call, bool terminal);
const char *api_hijack_type(const struct api_call *call, bool terminal);
/* The parameter "filters", or NULL. Its nesting has been checked, so it may be parsed. */
int api_param_filters(struct api_call *call, const char **ret);

#endif
