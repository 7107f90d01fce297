/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GET /cnm/v1/why: would a packet arrive. GET /cnm/v1/trace: what becomes of those that are sent, a
 * stream of JSON lines, as they come.
 *
 * A trace runs on its handler's thread, beside its stream. Both hold a reference of what joins
 * them: closed() may run first, when the client has gone, which ends the trace at its next line or
 * tick.
 */
#include "api/api_call.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"

/* A flow whose texts are its own. */
struct flow {
	char *from, *to, *protocol;
	unsigned port;
};

static void flow_free(struct flow *f)
{
	free(f->from);
	free(f->to);
	free(f->protocol);
}

static struct cnm_flow flow_of(const struct flow *f)
{
	return (struct cnm_flow){ f->from, f->to, f->protocol, f->port };
}

/* --------------------------------------------------------------------------------------- params */

static int read_party(struct api_call *call, const char *name, char **ret)
{
	const char *given = api_param(call, name);

	if (!given)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "%s: name a container or sandbox, \"host\" or an address",
				     name);
	return api_network_owner(call, given, ret);
}

/* "tcp/80" or "80/tcp", which is how ports are written elsewhere, or "80" */
static int read_port(struct api_call *call, struct flow *f)
{
	const char *s = api_param(call, "port"), *slash = s ? strchr(s, '/') : NULL;
	size_t n = slash ? (size_t)(slash - s) : 0;
	_free_ char *first = slash ? strndup(s, n) : NULL;
	long port;

	if (!s)
		return 0;
	if (slash && !first)
		return cnm_error_errno(&call->err, ENOMEM, "read the request");
	if (!slash && str_to_long(s, 1, 65535, &port) == 0)
		f->protocol = strdup("tcp");
	else if (slash && str_to_long(slash + 1, 1, 65535, &port) == 0)
		f->protocol = take_ptr(first);
	else if (slash && str_to_long(first, 1, 65535, &port) == 0)
		f->protocol = strdup(slash + 1);
	else
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "invalid port \"%s\": it is like tcp/80, with a number from 1 "
				     "to 65535",
				     s);
	f->port = (unsigned)port;
	return f->protocol ? 0 : cnm_error_errno(&call->err, ENOMEM, "read the request");
}

static int read_flow(struct api_call *call, struct flow *f)
{
	int r = read_party(call, "from", &f->from);

	if (r == 0)
		r = read_party(call, "to", &f->to);
	return r == 0 ? read_port(call, f) : r;
}

/* ------------------------------------------------------------------------------------------ why */

static int why(struct api_call *call)
{
	_cleanup_(flow_free) struct flow f = { 0 };
	_free_ char *json = NULL;
	struct cnm_flow flow;
	bool probe = false;
	int r = read_flow(call, &f);

	if (r == 0)
		r = api_param_bool(call, "probe", &probe);
	if (r < 0)
		return r;
	flow = flow_of(&f);
	r = cnm_why(call->engine, &flow, probe, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

/* ---------------------------------------------------------------------------------------- trace */

struct tracing {
	struct http_exchange *x;    /* the handler's, until the stream has begun */
	bool begun;                 /* the handler's */
	pthread_mutex_t lock;       /* for what follows */
	struct http_stream *stream; /* NULL: not yet, or not any more */
	unsigned refs;
};

static void tracing_unref(struct tracing *t)
{
	unsigned left;

	pthread_mutex_lock(&t->lock);
	left = --t->refs;
	pthread_mutex_unlock(&t->lock);
	if (left)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void closed(void *arg)
{
	struct tracing *t = arg;

	pthread_mutex_lock(&t->lock);
	t->stream = NULL;
	pthread_mutex_unlock(&t->lock);
	tracing_unref(t);
}

/* With the lock. */
static int begin(struct tracing *t)
{
	const struct http_stream_options options = {
		.type = "application/json", .closed = closed, .arg = t, .endless = true
	};

	t->stream = http_reply_stream(t->x, &options);
	if (!t->stream)
		return -ENOMEM;
	t->refs++;
	t->begun = true;
	http_stream_start(t->stream);
	return 0;
}

/* json NULL: is it still wanted? */
static int deliver(const char *json, void *arg)
{
	struct tracing *t = arg;
	struct strbuf line = { 0 };
	int r = 0;
	LOCKED(&t->lock);

	if (!t->begun)
		r = json ? begin(t) : 0;
	if (r < 0 || !json)
		return t->begun && !t->stream ? -EPIPE : r;
	if (!t->stream)
		return -EPIPE;
	strbuf_addf(&line, "%s\n", json);
	r = line.failed ? -ENOMEM : http_stream_write(t->stream, line.s, line.len);
	strbuf_free(&line);
	return r;
}

static void end(struct tracing *t)
{
	LOCKED(&t->lock);

	if (t->stream)
		http_stream_end(t->stream);
}

static int trace(struct api_call *call)
{
	_cleanup_(flow_free) struct flow f = { 0 };
	struct tracing *t;
	struct cnm_flow flow;
	long seconds = 10;
	int r = read_flow(call, &f);

	if (r == 0)
		r = api_param_int(call, "time", &seconds);
	if (r == 0 && (seconds < 1 || seconds > 3600))
		r = cnm_error_set(&call->err, CNM_E_INVALID,
				  "invalid value for time: %ld: it is 1 to 3600 seconds", seconds);
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return cnm_error_errno(&call->err, ENOMEM, "trace");
	t->x = call->x;
	t->refs = 1;
	pthread_mutex_init(&t->lock, NULL);
	flow = flow_of(&f);
	r = cnm_trace(call->engine, &flow, (unsigned)seconds, deliver, t, &call->err);
	if (t->begun && r < 0) /* the head is under way: the client sees a stream that ends */
		log_err("GET /cnm/v1/trace: %s", call->err.text);
	r = t->begun ? 0 : r;
	end(t);
	tracing_unref(t);
	return r;
}

const struct api_route api_why_routes[] = {
	{ "GET", "/cnm/v1/why", why, 0 },
	{ "GET", "/cnm/v1/trace", trace, 0 },
	{ NULL, NULL, NULL, 0 },
};
