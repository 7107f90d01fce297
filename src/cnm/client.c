/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An exchange is: connect, send the request whole, then feed what arrives to http_parser until it
 * says the message is complete. The body of a stream's good answer is cut into lines as it comes;
 * any other body is collected. http_parser and not libcurl because the command must be instant:
 * libcurl's libraries take five times as long to load as the whole request takes without them.
 */
#include "cnm/client.h"

#include <errno.h>
#include <http_parser.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

#define SILENT_MS  3000
#define MAX_ANSWER (256u << 20) /* bytes; a thousand networks of a thousand endpoints fit */

struct exchange {
	struct http_parser parser;
	struct strbuf body; /* of a stream: the line begun */
	bool complete;
	int (*deliver)(const char *line, void *arg, struct cnm_error *err); /* NULL: no stream */
	void *arg;
	int result; /* what stopped the exchange */
	struct cnm_error *err;
};

static bool is_good(const struct exchange *x)
{
	return x->parser.status_code >= 200 && x->parser.status_code < 300;
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

static int deliver_lines(struct exchange *x, const char *data, size_t n)
{
	const char *end;

	while (!x->result && (end = memchr(data, '\n', n))) {
		size_t len = (size_t)(end - data);

		if (collect(x, data, len) < 0)
			return x->result;
		x->result = x->deliver(x->body.s ? x->body.s : "", x->arg, x->err);
		strbuf_free(&x->body);
		data += len + 1;
		n -= len + 1;
	}
	return x->result ? x->result : collect(x, data, n);
}

static int on_body(struct http_parser *p, const char *data, size_t n)
{
	struct exchange *x = p->data;

	return x->deliver && is_good(x) ? deliver_lines(x, data, n) : collect(x, data, n);
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

/* A daemon that refuses early closes its end; its answer is then read all the same. */
static int send_all(int fd, const char *s, size_t n, struct cnm_error *err)
{
	while (n > 0) {
		ssize_t sent = send(fd, s, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EPIPE)
			return 0;
		if (sent < 0)
			return cnm_error_errno(err, errno, "send the request to the daemon");
		s += sent;
		n -= (size_t)sent;
	}
	return 0;
}

/*
 * The listening socket outlives the daemon, so a request to one that is stopped waits for its next
 * start. The person is told what is being waited for.
 */
static void tell_if_silent(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, SILENT_MS) == 0)
		fprintf(stderr, "cnm: no answer yet; waiting (is cnmd running?)\n");
}

static int receive(int fd, struct exchange *x)
{
	struct http_parser_settings settings;
	char buf[65536];

	http_parser_settings_init(&settings);
	settings.on_body = on_body;
	settings.on_message_complete = on_complete;
	http_parser_init(&x->parser, HTTP_RESPONSE);
	x->parser.data = x;
	tell_if_silent(fd);
	while (!x->complete) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		size_t parsed;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cnm_error_errno(x->err, errno, "read the daemon's answer");
		parsed = http_parser_execute(&x->parser, &settings, buf, (size_t)n);
		if (x->result)
			return x->result;
		if (n == 0 && !x->complete)
			return cnm_error_set(x->err, CNM_E_UNAVAILABLE,
					     "the daemon closed the connection before its answer "
					     "was complete; its log says why");
		if (parsed != (size_t)n && !x->complete)
			return cnm_error_set(x->err, CNM_E_UNAVAILABLE,
					     "the daemon's answer is not HTTP (%s)",
					     http_errno_description(HTTP_PARSER_ERRNO(&x->parser)));
	}
	return 0;
}

/* ---- a request */

static char *request_text(const char *method, const char *path, const json_t *body)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };
	_free_ char *text = body ? json_text(body) : NULL;

	if (body && !text)
		return NULL;
	strbuf_addf(&b,
		    "%s %s HTTP/1.1\r\nHost: cnm\r\nUser-Agent: cnm/" CNM_VERSION "\r\n"
		    "Connection: close\r\n",
		    method, path);
	if (body)
		strbuf_add(&b, "Content-Type: application/json\r\n");
	if (!streq(method, "GET"))
		strbuf_addf(&b, "Content-Length: %zu\r\n", text ? strlen(text) : 0);
	strbuf_add(&b, "\r\n");
	if (text)
		strbuf_add(&b, text);
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

static int exchange_run(struct exchange *x, const struct client *c, const char *method,
			const char *path, const json_t *body)
{
	_close_ int fd = -1;
	_free_ char *text = NULL;
	int r = connect_socket(c->socket, &fd, x->err);

	if (r < 0)
		return r;
	text = request_text(method, path, body);
	if (!text)
		return cnm_error_errno(x->err, ENOMEM, "write the request");
	r = send_all(fd, text, strlen(text), x->err);
	if (r == 0)
		r = receive(fd, x);
	if (r != 0)
		return r;
	return is_good(x) ? 0 : daemon_error(x);
}

int client_call(const struct client *c, const char *method, const char *path, const json_t *body,
		char **ret_body, struct cnm_error *err)
{
	struct exchange x = { .err = err };
	int r = exchange_run(&x, c, method, path, body);
	char *text;

	if (r == 0 && ret_body) {
		text = strbuf_take(&x.body);
		if (text)
			*ret_body = text;
		else
			r = cnm_error_errno(err, ENOMEM, "read the daemon's answer");
	}
	strbuf_free(&x.body);
	return r;
}

int client_call_json(const struct client *c, const char *method, const char *path,
		     const json_t *body, json_t **ret, struct cnm_error *err)
{
	_free_ char *text = NULL;
	json_error_t e;
	json_t *doc;
	int r = client_call(c, method, path, body, &text, err);

	if (r < 0)
		return r;
	doc = json_loads(text, JSON_REJECT_DUPLICATES, &e);
	if (!doc)
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "the daemon's answer to %s %s is not JSON: %s", method, path,
				     e.text);
	*ret = doc;
	return 0;
}

int client_stream(const struct client *c, const char *path,
		  int (*deliver)(const char *line, void *arg, struct cnm_error *err), void *arg,
		  struct cnm_error *err)
{
	struct exchange x = { .deliver = deliver, .arg = arg, .err = err };
	int r = exchange_run(&x, c, "GET", path, NULL);

	if (r == 0 && x.body.len) /* a last line without its newline */
		r = deliver(x.body.s, arg, err);
	strbuf_free(&x.body);
	return r;
}
