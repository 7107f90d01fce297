/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * http_parser and not libcurl because the command must be instant: libcurl's libraries take five
 * times as long to load as the whole request takes without them.
 */
#include "cnm/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"

#define SILENT_MS  3000
#define MAX_ANSWER (256u << 20) /* bytes; a thousand networks of a thousand endpoints fit */

void exchange_close(struct exchange *x)
{
	strbuf_free(&x->body);
	close_fd(&x->fd);
}

/* 304: what was asked for is so already. */
static bool is_good(const struct exchange *x)
{
	unsigned status = x->parser.status_code;

	return (status >= 200 && status < 300) || status == 304 || (x->hijack && status == 101);
}

/* ---- what the parser calls; not 0 stops it */

static int collect(struct exchange *x, const char *data, size_t n)
{
	if (n > MAX_ANSWER - x->body.len)
		x->result = cnm_error_set(x->err, CNM_E_UNAVAILABLE,
					  "the daemon's answer is longer than %u MiB",
					  MAX_ANSWER >> 20);
	else
		strbuf_addn(&x->body, data, n);
	if (!x->result && x->body.failed)
		x->result = cnm_error_errno(x->err, ENOMEM, "read the daemon's answer");
	return x->result;
}

static int on_body(struct http_parser *p, const char *data, size_t n)
{
	struct exchange *x = p->data;

	if (!x->deliver || !is_good(x))
		return collect(x, data, n);
	x->result = x->deliver(data, n, x->arg, x->err);
	return x->result;
}

/* 2 tells the parser that no HTTP follows. */
static int on_head(struct http_parser *p)
{
	struct exchange *x = p->data;

	x->has_head = true;
	return x->hijack && is_good(x) ? 2 : 0;
}

static int on_complete(struct http_parser *p)
{
	struct exchange *x = p->data;

	x->complete = true;
	return 0;
}

/* ---- the socket */

static int connect_error(const char *path, int e, struct cnm_error *err)
{
	return cnm_error_set(
		err, CNM_E_UNAVAILABLE, "cannot connect to the cnm daemon at unix://%s: %s. %s",
		path, strerror(e),
		e == EACCES ? "Are you root, or in the group of the socket?" : "Is cnmd running?");
}

static int connect_socket(const char *path, int *ret_fd, struct cnm_error *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_close_ int fd = -1;

	if (!str_copy(a.sun_path, sizeof(a.sun_path), path))
		return connect_error(path, ENAMETOOLONG, err);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return connect_error(path, errno, err);
	*ret_fd = take_fd(&fd);
	return 0;
}

/*
 * A daemon that refuses early closes its end; its answer is then read all the same. 1: it did.
 */
static int send_all(int fd, const char *s, size_t n, struct cnm_error *err)
{
	while (n > 0) {
		ssize_t sent = send(fd, s, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 1;
		if (sent < 0)
			return cnm_error_errno(err, errno, "send the request to the daemon");
		s += sent;
		n -= (size_t)sent;
	}
	return 0;
}

static int send_chunk(int fd, const char *s, size_t n, struct cnm_error *err)
{
	char head[24];
	int r;

	snprintf(head, sizeof(head), "%zx\r\n", n);
	r = send_all(fd, head, strlen(head), err);
	if (r == 0)
		r = send_all(fd, s, n, err);
	return r ? r : send_all(fd, "\r\n", 2, err);
}

/* The file to its end, in chunks; a chunk of none ends them. */
static int send_file(int fd, int file, struct cnm_error *err)
{
	char buf[65536];
	int r = 0;

	while (r == 0) {
		ssize_t n = read(file, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cnm_error_errno(err, errno, "read the file to send");
		r = send_chunk(fd, buf, (size_t)n, err);
		if (n == 0)
			break;
	}
	return r;
}

/*
 * The listening socket outlives the daemon, so a request to one that is stopped waits for its next
 * start. The person is told what is being waited for: a daemon that has read the request is busy
 * with it, one that has not read it is not there.
 */
static void tell_if_silent(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int unread = 0;

	if (poll(&p, 1, SILENT_MS) == 0 && ioctl(fd, TIOCOUTQ, &unread) == 0 && unread > 0)
		fprintf(stderr, "cnm: no answer yet; waiting (is cnmd running?)\n");
}

static int parse(struct exchange *x, const struct http_parser_settings *settings, const char *buf,
		 size_t n)
{
	size_t parsed = http_parser_execute(&x->parser, settings, buf, n);

	if (x->result)
		return x->result;
	if (x->parser.upgrade)
		return collect(x, buf + parsed, n - parsed);
	if (n == 0 && !x->complete)
		return cnm_error_set(x->err, CNM_E_UNAVAILABLE,
				     "the daemon closed the connection before its answer was "
				     "complete; its log says why");
	if (parsed != n && !x->complete)
		return cnm_error_set(x->err, CNM_E_UNAVAILABLE,
				     "the daemon's answer is not HTTP (%s)",
				     http_errno_description(HTTP_PARSER_ERRNO(&x->parser)));
	return 0;
}

/* Until the flag is set: x->has_head or x->complete. */
static int receive(struct exchange *x, const bool *until)
{
	struct http_parser_settings settings;
	char buf[65536];
	int r = 0;

	http_parser_settings_init(&settings);
	settings.on_headers_complete = on_head;
	settings.on_body = on_body;
	settings.on_message_complete = on_complete;
	while (r == 0 && !*until) {
		ssize_t n = recv(x->fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cnm_error_errno(x->err, errno, "read the daemon's answer");
		r = parse(x, &settings, buf, (size_t)n);
	}
	return r;
}

/* ---- a request */

static void add_body(struct strbuf *b, const struct request *q, const char *text)
{
	if (q->upload >= 0)
		strbuf_add(b, "Content-Type: application/x-tar\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n");
	else if (text)
		strbuf_addf(b, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			    strlen(text), text);
	else
		strbuf_add(b, streq(q->method, "GET") ? "\r\n" : "Content-Length: 0\r\n\r\n");
}

static char *request_text(const struct request *q, bool hijack)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };
	_free_ char *text = q->body ? json_text(q->body) : NULL;

	if (q->body && !text)
		return NULL;
	strbuf_addf(&b,
		    "%s %s HTTP/1.1\r\nHost: cnm\r\nUser-Agent: cnm/" CNM_VERSION "\r\n"
		    "Connection: %s\r\n",
		    q->method, q->path, hijack ? "Upgrade\r\nUpgrade: tcp" : "close");
	add_body(&b, q, text);
	return strbuf_take(&b);
}

static enum cnm_error_class class_of_status(unsigned status)
{
	switch (status) {
	case 400:
		return CNM_E_INVALID;
	case 403:
		return CNM_E_FORBIDDEN;
	case 404:
		return CNM_E_NOT_FOUND;
	case 409:
		return CNM_E_CONFLICT;
	case 501:
		return CNM_E_NOT_IMPLEMENTED;
	case 503:
		return CNM_E_UNAVAILABLE;
	}
	return CNM_E_INTERNAL;
}

static int daemon_error(const struct exchange *x)
{
	unsigned status = x->parser.status_code;
	_json_ json_t *doc = json_loads(x->body.s ? x->body.s : "", 0, NULL);
	const char *message = json_string_value(json_object_get(doc, "message"));

	if (!message)
		return cnm_error_set(x->err, class_of_status(status),
				     "Error response from daemon: status %u without a message",
				     status);
	return cnm_error_set(x->err, class_of_status(status), "Error response from daemon: %s",
			     message);
}

static int exchange_send(struct exchange *x, const struct client *c, const struct request *q)
{
	_free_ char *text = NULL;
	int r = connect_socket(c->socket, &x->fd, x->err);

	if (r < 0)
		return r;
	text = request_text(q, x->hijack);
	if (!text)
		return cnm_error_errno(x->err, ENOMEM, "write the request");
	r = send_all(x->fd, text, strlen(text), x->err);
	if (r == 0 && q->upload >= 0)
		r = send_file(x->fd, q->upload, x->err);
	return r < 0 ? r : 0;
}

int exchange_run(struct exchange *x, const struct client *c, const struct request *q,
		 bool head_only)
{
	int r = exchange_send(x, c, q);

	if (r < 0)
		return r;
	http_parser_init(&x->parser, HTTP_RESPONSE);
	x->parser.data = x;
	tell_if_silent(x->fd);
	r = receive(x, &x->has_head);
	if (r == 0 && !(head_only && is_good(x)))
		r = receive(x, &x->complete);
	if (r != 0)
		return r;
	return is_good(x) ? 0 : daemon_error(x);
}

int exchange_finish(struct exchange *x)
{
	return receive(x, &x->complete);
}
