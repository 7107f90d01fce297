/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See api_progress.h. The handler and the stream hold a reference each: closed() may run before the
 * work has ended, when the client has gone, or after.
 */
#include "api/api_progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

struct progress {
	struct api_call *call;      /* the handler's */
	bool begun;                 /* the head is sent; the handler's */
	pthread_mutex_t lock;       /* for what follows */
	struct http_stream *stream; /* NULL: not yet, or not any more */
	unsigned refs;
};

int progress_new(struct progress **ret, struct api_call *call)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return cnm_error_errno(&call->err, ENOMEM, "tell the progress");
	p->call = call;
	p->refs = 1;
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

static void unref(struct progress *p)
{
	unsigned left;

	pthread_mutex_lock(&p->lock);
	left = --p->refs;
	pthread_mutex_unlock(&p->lock);
	if (left)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void closed(void *arg)
{
	struct progress *p = arg;

	pthread_mutex_lock(&p->lock);
	p->stream = NULL;
	pthread_mutex_unlock(&p->lock);
	unref(p);
}

/* With the lock. Without memory the line is lost, and the next one may begin. */
static void begin(struct progress *p)
{
	const struct http_stream_options options = { .type = "application/json",
						     .closed = closed,
						     .arg = p };

	p->stream = http_reply_stream(p->call->x, &options);
	if (!p->stream)
		return;
	p->refs++;
	p->begun = true;
	http_stream_start(p->stream);
}

void progress_tell(const char *json, void *arg)
{
	struct progress *p = arg;
	struct strbuf line = { 0 };
	LOCKED(&p->lock);

	if (!p->begun)
		begin(p);
	strbuf_addf(&line, "%s\r\n", json);
	if (p->stream && !line.failed)
		http_stream_write(p->stream, line.s, line.len);
	strbuf_free(&line);
}

static void tell_error(struct progress *p)
{
	const char *message = p->call->err.text;
	_json_ json_t *j = json_pack("{s:{s:o?}, s:o?}", "errorDetail", "message",
				     api_message(message), "error", api_message(message));
	_free_ char *text = j ? json_text(j) : NULL;

	progress_tell(text ? text
			   : "{\"errorDetail\":{\"message\":\"out of memory\"},"
			     "\"error\":\"out of memory\"}",
		      p);
}

static void end(struct progress *p)
{
	LOCKED(&p->lock);

	if (p->stream)
		http_stream_end(p->stream);
}

int progress_end(struct progress *p, int r)
{
	if (p->begun && r < 0)
		tell_error(p);
	if (!p->begun && r >= 0)
		http_reply(p->call->x, 200, "application/json", "", 0);
	r = p->begun ? 0 : r;
	end(p);
	unref(p);
	return r;
}
