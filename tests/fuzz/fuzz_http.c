/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of any bytes. First the parser alone: fed whole and fed byte by byte it must come to the
 * same, and so it must if the body is held and fed by itself. Then the server, over a socket pair:
 * it must answer and close.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http_server.h"
#include "base/cleanup.h"

static const struct http_limits limits = { .head = 4096, .body = 2048 };

/* ---------------------------------------------------------------------------------- the parser */

static size_t feed(struct http_message *m, const char *data, size_t size, size_t step)
{
	size_t at = 0;

	http_message_init(m, &limits);
	while (at < size && m->state != MESSAGE_DONE && m->state != MESSAGE_BAD)
		at += http_message_feed(m, data + at, size - at < step ? size - at : step);
	return at;
}

static void check_parser(const char *data, size_t size)
{
	struct http_message whole, pieces;
	size_t used = feed(&whole, data, size, size), again = feed(&pieces, data, size, 1);

	if (whole.state != pieces.state || (whole.state == MESSAGE_DONE && used != again))
		abort();
	if (whole.state == MESSAGE_DONE &&
	    (strcmp(whole.path, pieces.path) != 0 || strcmp(whole.method, pieces.method) != 0 ||
	     whole.body.len != pieces.body.len ||
	     (whole.body.len && memcmp(whole.body.s, pieces.body.s, whole.body.len) != 0)))
		abort();
	http_message_free(&whole);
	http_message_free(&pieces);
}

static bool hold(const struct http_message *m, void *arg)
{
	return true;
}

/* As feed(), with the body held back, and read into pieces of at most step bytes. */
static size_t feed_held(struct http_message *m, const char *data, size_t size, size_t step,
			struct strbuf *body)
{
	char piece[64];
	size_t at = 0;

	http_message_init(m, &limits);
	m->holds = hold;
	while (at < size && (m->state == MESSAGE_HEAD || m->state == MESSAGE_BODY))
		at += http_message_feed(m, data + at, size - at);
	while (at < size && m->state == MESSAGE_HELD) {
		size_t n = size - at < step ? size - at : step, got;

		memcpy(piece, data + at, n);
		at += http_message_feed_body(m, piece, n, piece, &got);
		if (got > n)
			abort();
		strbuf_addn(body, piece, got);
	}
	return at;
}

static void check_held(const char *data, size_t size)
{
	struct strbuf bodies[2] = { 0 };
	struct http_message whole, held;
	size_t used = feed(&whole, data, size, size), steps[] = { 64, 1 };

	for (int i = 0; i < 2; i++) {
		size_t again = feed_held(&held, data, size, steps[i], &bodies[i]);

		if (whole.state == MESSAGE_DONE &&
		    (held.state != MESSAGE_DONE || again != used ||
		     bodies[i].len != whole.body.len ||
		     (whole.body.len && memcmp(bodies[i].s, whole.body.s, whole.body.len) != 0)))
			abort();
		http_message_free(&held);
	}
	if (bodies[0].len != bodies[1].len)
		abort();
	strbuf_free(&bodies[0]);
	strbuf_free(&bodies[1]);
	http_message_free(&whole);
}

/* ---------------------------------------------------------------------------------- the server */

/* Answers with the body as a file. */
static void answer_piped(struct http_exchange *x)
{
	int fd = memfd_create("body", MFD_CLOEXEC);
	char piece[512];
	ssize_t n;

	if (fd < 0)
		abort();
	while ((n = http_body_read(x, piece, sizeof(piece))) > 0)
		if (write(fd, piece, (size_t)n) != n)
			abort();
	lseek(fd, 0, SEEK_SET);
	if (http_reply_pipe(x, n < 0 ? 400 : 200, "text/plain", fd) < 0)
		abort();
}

static void take(int fd, const char *early, size_t n, void *arg)
{
	close_fd(&fd);
}

static void handle(struct http_exchange *x, void *arg)
{
	const struct http_message *m = http_request(x);
	const struct http_stream_options options = { .type = "text/plain" };
	struct http_stream *stream;

	if (strcmp(m->path, "/hijack") == 0) {
		http_reply_hijack(x, "text/plain", take, NULL);
	} else if (strcmp(m->path, "/stream") == 0) {
		stream = http_reply_stream(x, &options);
		http_stream_write(stream, m->path, strlen(m->path));
		http_stream_end(stream);
	} else if (strcmp(m->path, "/held") == 0) {
		answer_piped(x);
	} else if (strcmp(m->path, "/silent") != 0) {
		http_reply(x, 200, "text/plain", m->body.s, m->body.len);
	}
}

static bool is_quick(const struct http_message *m, void *arg)
{
	return m->body.len % 2 == 0;
}

static bool is_streamed(const struct http_message *m, void *arg)
{
	return strcmp(m->path, "/held") == 0 || strcmp(m->path, "/unread") == 0;
}

static struct http_server *server(void)
{
	static struct http_server *s;
	const struct http_server_options options = { .handle = handle,
						     .quick = is_quick,
						     .streams = is_streamed,
						     .max_head = limits.head,
						     .max_body = limits.body };

	if (!s && http_server_start(&s, &options, NULL) < 0)
		abort();
	return s;
}

/* Sends all of it and takes all answers, until the server closes. */
static void check_server(const char *data, size_t size)
{
	char answers[4096];
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
	    http_server_adopt(server(), fds[1], NULL) < 0)
		abort();
	for (;;) {
		struct pollfd p = { .fd = fds[0], .events = POLLIN | (size ? POLLOUT : 0) };
		ssize_t n;

		if (!size)
			shutdown(fds[0], SHUT_WR);
		if (poll(&p, 1, 20000) != 1)
			abort(); /* it hangs */
		n = send(fds[0], data, size, MSG_NOSIGNAL);
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		} else if (n < 0 && errno == EPIPE) {
			size = 0;
		}
		n = recv(fds[0], answers, sizeof(answers), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
	}
	close(fds[0]);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	check_parser((const char *)data, size);
	check_held((const char *)data, size);
	check_server((const char *)data, size);
	return 0;
}
