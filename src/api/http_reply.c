/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers: the text of a head, and streams. All of it is memory only; http_conn.c sends it.
 *
 * A record written to a stream is framed as a chunk of its own and queued in stream->pending, from
 * where the server's thread fetches all there is at once. `unsent` bounds what a slow reader costs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/http_internal.h"
#include "base/cleanup.h"

#define MAX_UNSENT (1024 * 1024)
#define RESERVED   1024

const struct http_message *http_request(const struct http_exchange *x)
{
	return &x->request;
}

void http_set_header(struct http_exchange *x, const char *name, const char *value)
{
	strbuf_addf(&x->headers, "%s: %s\r\n", name, value);
}

static const char *status_reason(int status)
{
	switch (status) {
#define REASON(num, name, string) \
	case num:                 \
		return #string;
		HTTP_STATUS_MAP(REASON)
#undef REASON
	}
	return "Unknown";
}

bool exchange_reserve(struct http_exchange *x)
{
	static const char room[RESERVED];

	strbuf_addn(&x->out, room, sizeof(room));
	x->out.len = 0;
	return !x->out.failed;
}

void exchange_begin_head(struct http_exchange *x, int status)
{
	time_t now = time(NULL);
	char date[64] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	strbuf_addf(&x->out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, status_reason(status), date);
	if (x->request.state != MESSAGE_DONE) /* what the client still sends is no request */
		x->close = true;
	if (x->close)
		strbuf_add(&x->out, "Connection: close\r\n");
	else if (x->request.minor == 0)
		strbuf_add(&x->out, "Connection: keep-alive\r\n");
	if (x->headers.len) /* some, if memory was short: better an answer without the others */
		strbuf_addn(&x->out, x->headers.s, x->headers.len);
}

void http_reply(struct http_exchange *x, int status, const char *type, const char *body, size_t n)
{
	const char *method = x->request.method; /* NULL if the request was refused before its end */

	x->answer = ANSWER_WHOLE;
	exchange_begin_head(x, status);
	if (status == 204 || status == 304) {
		strbuf_add(&x->out, "\r\n");
		return;
	}
	if (type)
		strbuf_addf(&x->out, "Content-Type: %s\r\n", type);
	strbuf_addf(&x->out, "Content-Length: %zu\r\n\r\n", n);
	if (n && !(method && streq(method, "HEAD")))
		strbuf_addn(&x->out, body, n);
}

void exchange_refuse(struct http_exchange *x, int status, const char *reason)
{
	char body[256];
	int n = snprintf(body, sizeof(body), "{\"message\":\"%s\"}\n", reason);

	x->close = true;
	http_reply(x, status, "application/json", body, (size_t)n);
}

void exchange_free(struct http_exchange *x)
{
	http_message_free(&x->request);
	strbuf_free(&x->headers);
	strbuf_free(&x->out);
	memset(x, 0, sizeof(*x));
}

/* The head of an answer whose length is not known. */
static void begin_flow(struct http_exchange *x, int status, const char *type)
{
	x->chunked = x->request.minor > 0;
	if (!x->chunked)
		x->close = true;
	exchange_begin_head(x, status);
	if (type)
		strbuf_addf(&x->out, "Content-Type: %s\r\n", type);
	strbuf_add(&x->out, x->chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
}

/* --------------------------------------------------------------------------------------- pipes */

int http_reply_pipe(struct http_exchange *x, int status, const char *type, int fd)
{
	_close_ int own = fd;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	x->answer = ANSWER_PIPE;
	x->pipe = take_fd(&own);
	begin_flow(x, status, type);
	return 0;
}

/* ------------------------------------------------------------------------------------- streams */

struct http_stream *http_reply_stream(struct http_exchange *x,
				      const struct http_stream_options *options)
{
	struct http_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->options = *options;
	if (!s->options.max_unsent)
		s->options.max_unsent = MAX_UNSENT;
	s->conn = container_of(x, struct conn, x);
	s->ended = streq(x->request.method, "HEAD"); /* the head alone: nothing may follow it */
	x->answer = ANSWER_STREAM;
	x->stream = s;
	begin_flow(x, 200, options->type);
	s->chunked = x->chunked;
	return s;
}

void http_stream_start(struct http_stream *s)
{
	struct conn *c = s->conn;

	if (!c->x.given || *c->x.given)
		return;
	*c->x.given = true;
	s->started = true;
	conn_give_back(c);
}

void stream_free(struct http_stream *s)
{
	strbuf_free(&s->pending);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/*
 * The server's thread is told while the lock is held: once it is released the stream may be seen to
 * have ended, and be gone.
 */
int http_stream_write(struct http_stream *s, const void *data, size_t n)
{
	LOCKED(&s->lock);
	bool was_empty = s->pending.len == 0;

	if (s->over || s->ended || s->cut)
		return -EPIPE;
	if (n == 0) /* an empty chunk would be the end */
		return 0;
	if (n > s->options.max_unsent || s->unsent > s->options.max_unsent - n) {
		s->cut = true;
		server_note(s->conn, NOTE_GO);
		return -ENOBUFS;
	}
	if (s->chunked)
		strbuf_addf(&s->pending, "%zx\r\n", n);
	strbuf_addn(&s->pending, data, n);
	if (s->chunked)
		strbuf_add(&s->pending, "\r\n");
	s->unsent += n;
	if (was_empty || s->pending.failed)
		server_note(s->conn, NOTE_GO);
	return 0;
}

void http_stream_end(struct http_stream *s)
{
	LOCKED(&s->lock);

	if (!s->ended)
		server_note(s->conn, NOTE_GO);
	s->ended = true;
}

/* -------------------------------------------------------------------------------------- hijack */

void http_reply_hijack(struct http_exchange *x, const char *type,
		       void (*take)(int fd, const char *early, size_t n, void *arg), void *arg)
{
	x->answer = ANSWER_HIJACK;
	x->take = take;
	x->take_arg = arg;
	if (x->request.upgrade)
		strbuf_addf(&x->out,
			    "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\n"
			    "Connection: Upgrade\r\nUpgrade: tcp\r\n",
			    type);
	else
		strbuf_addf(&x->out, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n", type);
	if (x->headers.len)
		strbuf_addn(&x->out, x->headers.s, x->headers.len);
	strbuf_add(&x->out, "\r\n");
}
