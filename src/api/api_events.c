/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GET /events: a stream of what happens, one JSON object a line, sent as it happens.
 *
 * A subscription joins a stream to a listener of the engine. The engine calls deliver() on the
 * thread that caused the event; it filters and queues the line, and never waits. The server calls
 * closed() once the client is gone or `until` is reached, after the handler has returned; it ends
 * the listener, after which nothing uses the stream.
 */
#include "api/api_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_filter.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

struct subscription {
	struct cnm_engine *engine;
	struct http_stream *stream;
	struct cnm_event_listener *listener; /* NULL: none could be had, or none is needed */
	json_t *filter;                      /* NULL: all */
	int64_t since, until;                /* wall clock; 0: none */
};

static void subscription_free(struct subscription *sub)
{
	if (!sub)
		return;
	json_decref(sub->filter);
	free(sub);
}

static void subscription_free_p(struct subscription **sub)
{
	subscription_free(*sub);
}

static bool is_wanted(const struct subscription *sub, const char *line)
{
	_json_ json_t *event = NULL;

	if (!sub->filter && !sub->until)
		return true;
	event = json_loads(line, 0, NULL);
	if (!event || (sub->until && event_time_ns(event) > sub->until))
		return false;
	return !sub->filter || event_filter_matches(sub->filter, event);
}

static void deliver(const char *json, void *arg)
{
	struct subscription *sub = arg;
	struct strbuf line = { 0 };

	if (!is_wanted(sub, json))
		return;
	strbuf_add(&line, json);
	strbuf_add(&line, "\n");
	/* Too slow a reader is cut off by the server; one that is gone is being seen to. */
	if (!line.failed)
		http_stream_write(sub->stream, line.s, line.len);
	strbuf_free(&line);
}

static void closed(void *arg)
{
	struct subscription *sub = arg;

	cnm_events_stop(sub->engine, sub->listener);
	subscription_free(sub);
}

static int read_params(struct api_call *call, struct subscription *sub)
{
	const char *filters = http_message_param(call->request, "filters");
	int r;

	r = api_param_time(call, "since", &sub->since);
	if (r == 0)
		r = api_param_time(call, "until", &sub->until);
	if (r == 0 && sub->since && sub->until && sub->until < sub->since)
		r = cnm_error_set(&call->err, CNM_E_INVALID,
				  "`since` time cannot be after `until` time");
	if (r == 0 && filters && *filters)
		r = event_filter_parse(&sub->filter, filters, &call->err);
	return r;
}

static int events(struct api_call *call)
{
	_cleanup_(subscription_free_p) struct subscription *sub = calloc(1, sizeof(*sub));
	struct http_stream_options options = { .type = "application/json",
					       .closed = closed,
					       .arg = sub };
	struct subscription *live;
	int64_t left;
	int r;

	if (!sub)
		return cnm_error_errno(&call->err, ENOMEM, "subscribe to events");
	sub->engine = call->engine;
	r = read_params(call, sub);
	if (r < 0)
		return r;
	left = sub->until - clock_wall_ns();
	if (sub->until && left > 0)
		options.end_ns = clock_mono_ns() + (uint64_t)left;
	sub->stream = http_reply_stream(call->x, &options);
	if (!sub->stream)
		return cnm_error_errno(&call->err, ENOMEM, "subscribe to events");
	live = take_ptr(sub); /* closed() releases it, but not before this has returned */
	r = cnm_events_listen(live->engine, live->since, deliver, live, &live->listener,
			      &call->err);
	if (r < 0) /* the head is under way: the client sees a stream that ends */
		log_err("GET /events: %s", call->err.text);
	if (r < 0 || (live->until && left <= 0))
		http_stream_end(live->stream);
	return 0;
}

const struct api_route api_event_routes[] = {
	{ "GET", "/events", events, 0 },
	{ NULL, NULL, NULL, 0 },
};
