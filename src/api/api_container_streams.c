/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a container flows: attach, logs, wait.
 *
 * An attachment is checked by the handler; the connection is handed on when the head has been sent.
 * A wait joins a stream, whose head is sent at once, to a wait of the containers: finished() is
 * called by whoever sees the end, perhaps before there is a stream; closed() by the server once the
 * client has gone or has its answer, and after it nothing uses the waiter.
 */
#include "api/api_call.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

/* --------------------------------------------------------------------------------------- attach */

struct attachment {
	struct containers *containers;
	char id[ID_SIZE];
	struct attach_request request;
	char *keys; /* what request.detach_keys points at */
};

static void attachment_free(struct attachment *a)
{
	if (!a)
		return;
	free(a->keys);
	free(a);
}

static void attachment_free_p(struct attachment **a)
{
	attachment_free(*a);
}

static void take_attached(int fd, const char *early, size_t n, void *arg)
{
	struct attachment *a = arg;

	if (fd >= 0)
		containers_attach_begin(a->containers, a->id, &a->request, fd, early, n);
	attachment_free(a);
}

static int read_attach_params(struct api_call *call, struct attachment *a)
{
	const char *keys = http_message_param(call->request, "detachKeys");
	struct attach_request *q = &a->request;
	int r;

	r = api_param_flag(call, "stream", &q->stream);
	if (r == 0)
		r = api_param_flag(call, "logs", &q->logs);
	if (r == 0)
		r = api_param_flag(call, "stdin", &q->in);
	if (r == 0)
		r = api_param_flag(call, "stdout", &q->out);
	if (r == 0)
		r = api_param_flag(call, "stderr", &q->err);
	if (r < 0 || !keys || !*keys)
		return r;
	q->detach_keys = a->keys = strdup(keys);
	return a->keys ? 0 : cnm_error_errno(&call->err, ENOMEM, "attach to %s", call->ref);
}

static int attach(struct api_call *call)
{
	_cleanup_(attachment_free_p) struct attachment *a = calloc(1, sizeof(*a));
	bool terminal = false;
	int r;

	if (!a)
		return cnm_error_errno(&call->err, ENOMEM, "attach to %s", call->ref);
	a->containers = call->containers;
	r = read_attach_params(call, a);
	if (r == 0)
		r = containers_attach_check(call->containers, call->ref, &a->request, &terminal,
					    a->id, &call->err);
	if (r < 0)
		return r;
	http_reply_hijack(call->x, api_hijack_type(call, terminal), take_attached, take_ptr(a));
	return 0;
}

/* ----------------------------------------------------------------------------------------- logs */

/* 0 is not given. */
static int param_instant(struct api_call *call, const char *name, int64_t *ret)
{
	const char *s = api_param(call, name);

	return !s || streq(s, "0") ? 0 : api_param_time(call, name, ret);
}

/* ?tail=: a number of lines; as with Docker anything else is all of them. */
static int64_t param_tail(const struct api_call *call)
{
	const char *s = api_param(call, "tail");
	long lines;

	return s && str_to_long(s, 0, LONG_MAX, &lines) == 0 ? lines : -1;
}

static int read_logs_params(struct api_call *call, struct logs_request *l)
{
	int r;

	r = api_param_flag(call, "follow", &l->follow);
	if (r == 0)
		r = api_param_flag(call, "stdout", &l->out);
	if (r == 0)
		r = api_param_flag(call, "stderr", &l->err);
	if (r == 0)
		r = api_param_flag(call, "timestamps", &l->timestamps);
	if (r == 0)
		r = param_instant(call, "since", &l->since);
	if (r == 0)
		r = param_instant(call, "until", &l->until);
	l->tail = param_tail(call);
	if (r == 0 && !l->out && !l->err)
		r = cnm_error_set(&call->err, CNM_E_INVALID,
				  "Bad parameters: you must choose at least one stream");
	return r;
}

static int logs(struct api_call *call)
{
	struct logs_request l = { 0 };
	bool terminal = false;
	int r, fd = -1;

	r = read_logs_params(call, &l);
	if (r == 0)
		r = containers_logs(call->containers, call->ref, &l, &fd, &terminal, &call->err);
	if (r < 0)
		return r;
	r = http_reply_pipe(call->x, 200, api_stream_type(call, terminal), fd);
	return r < 0 ? cnm_error_errno(&call->err, r, "send the logs of %s", call->ref) : 0;
}

/* ----------------------------------------------------------------------------------------- wait */

struct waiter {
	struct containers *containers;
	struct container_wait *wait;
	pthread_mutex_t lock;
	struct http_stream *stream; /* once it is made */
	char *answer;               /* once it has finished; NULL too if memory was out */
	bool finished;
};

static void waiter_free(struct waiter *w)
{
	pthread_mutex_destroy(&w->lock);
	free(w->answer);
	free(w);
}

/* With the lock, when there is a stream and an answer. */
static void answer_waiter(struct waiter *w)
{
	if (w->answer)
		http_stream_write(w->stream, w->answer, strlen(w->answer));
	http_stream_end(w->stream);
}

static char *wait_answer(int code, const char *error)
{
	_json_ json_t *j = json_pack("{s:i}", "StatusCode", code);

	if (j && error)
		json_put(j, "Error", json_pack("{s:o?}", "Message", api_message(error)));
	return j ? json_text(j) : NULL;
}

static void finished(int code, const char *error, void *arg)
{
	struct waiter *w = arg;
	char *answer = wait_answer(code, error);
	LOCKED(&w->lock);

	w->finished = true;
	w->answer = answer;
	if (w->stream)
		answer_waiter(w);
}

static void closed(void *arg)
{
	struct waiter *w = arg;

	containers_wait_cancel(w->containers, w->wait);
	waiter_free(w);
}

/* The wait's stream. What has finished meanwhile is answered. */
static int stream_wait(struct api_call *call, struct waiter *w)
{
	const struct http_stream_options options = { .type = "application/json",
						     .closed = closed,
						     .arg = w };
	LOCKED(&w->lock);

	w->stream = http_reply_stream(call->x, &options);
	if (!w->stream)
		return cnm_error_errno(&call->err, ENOMEM, "wait for %s", call->ref);
	if (w->finished)
		answer_waiter(w);
	return 0;
}

static int wait_container(struct api_call *call)
{
	struct waiter *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return cnm_error_errno(&call->err, ENOMEM, "wait for %s", call->ref);
	w->containers = call->containers;
	pthread_mutex_init(&w->lock, NULL);
	r = containers_wait(call->containers, call->ref, api_param(call, "condition"), finished, w,
			    &w->wait, &call->err);
	if (r < 0) {
		waiter_free(w);
		return r;
	}
	r = stream_wait(call, w);
	if (r < 0)
		closed(w);
	return r;
}

const struct api_route api_container_stream_routes[] = {
	{ "POST", "/containers/*/attach", attach, 0 },
	{ "GET", "/containers/*/logs", logs, 0 },
	{ "POST", "/containers/*/wait", wait_container, 0 },
	{ NULL, NULL, NULL, 0 },
};
