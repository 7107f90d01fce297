/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /exec, as Docker serves it. An attached execution runs when its connection is handed on. One that
 * could not be started is told by status as far as clients look at it, which is before the
 * connection is theirs: not found and not running. What the runtime says after that they look for
 * in the connection, and the exit code in the inspection.
 */
#include "api/api_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

static int create(struct api_call *call)
{
	char id[ID_SIZE];
	int r;

	r = api_read_body(call);
	if (r == 0)
		r = containers_exec_create(call->containers, call->ref, call->body, id, &call->err);
	return r < 0 ? r : api_reply_created(call, id, NULL);
}

static int inspect(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = containers_exec_inspect(call->containers, call->ref, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int resize(struct api_call *call)
{
	unsigned rows, columns;
	int r;

	r = api_param_size(call, &rows, &columns);
	if (r == 0)
		r = containers_exec_resize(call->containers, call->ref, rows, columns, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, NULL);
}

/* ---------------------------------------------------------------------------------------- start */

struct execution {
	struct containers *containers;
	char id[ID_SIZE];
	char *words; /* why it does not run; NULL: it does */
	size_t n_words;
};

static void execution_free(struct execution *e)
{
	if (!e)
		return;
	free(e->words);
	free(e);
}

static void execution_free_p(struct execution **e)
{
	execution_free(*e);
}

static void take_execution(int fd, const char *early, size_t n, void *arg)
{
	struct execution *e = arg;

	if (!e->words) {
		containers_exec_attach(e->containers, e->id, fd, early, n);
	} else if (fd >= 0) { /* nothing else was ever put into it: there is room */
		send(fd, e->words, e->n_words, MSG_NOSIGNAL | MSG_DONTWAIT);
		close_fd(&fd);
	}
	execution_free(e);
}

/* The error as the process would have written it: framed, but with a terminal. */
static int put_words(struct execution *e, bool terminal, const char *text)
{
	size_t n = strlen(text) + 2;
	const char head[8] = {
		1, 0, 0, 0, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n
	};
	struct strbuf b = { 0 };

	if (!terminal)
		strbuf_addn(&b, head, sizeof(head));
	strbuf_add(&b, text);
	strbuf_add(&b, "\r\n");
	e->n_words = b.len;
	e->words = strbuf_take(&b);
	return e->words ? 0 : -ENOMEM;
}

struct start_request {
	bool detach, terminal;
	unsigned rows, columns; /* 0: not given */
};

static int read_size(struct api_call *call, struct start_request *s)
{
	json_t *size = NULL;
	json_int_t rows, columns;
	int r = json_get_array(call->body, "ConsoleSize", &size, &call->err);

	if (r < 0 || !size || !s->terminal)
		return r;
	rows = json_integer_value(json_array_get(size, 0));
	columns = json_integer_value(json_array_get(size, 1));
	if (json_array_size(size) != 2 || rows < 0 || rows > UINT16_MAX || columns < 0 ||
	    columns > UINT16_MAX)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "invalid ConsoleSize: it is [rows, columns], each up to %d",
				     UINT16_MAX);
	s->rows = (unsigned)rows;
	s->columns = (unsigned)columns;
	return 0;
}

static int read_start(struct api_call *call, struct start_request *s)
{
	int r = api_read_optional_body(call);

	if (r < 0 || !call->body)
		return r;
	r = json_get_bool(call->body, "Detach", &s->detach, &call->err);
	if (r == 0)
		r = json_get_bool(call->body, "Tty", &s->terminal, &call->err);
	return r < 0 ? r : read_size(call, s);
}

/* Would Docker's clients be told by the status? */
static bool shows_as_status(const struct cnm_error *err)
{
	return err->class == CNM_E_NOT_FOUND || err->class == CNM_E_CONFLICT ||
	       err->class == CNM_E_UNAVAILABLE;
}

static int start_attached(struct api_call *call, const struct start_request *s)
{
	_cleanup_(execution_free_p) struct execution *e = calloc(1, sizeof(*e));
	bool terminal = s->terminal;
	int r;

	if (!e)
		return cnm_error_errno(&call->err, ENOMEM, "start exec %s", call->ref);
	e->containers = call->containers;
	str_copy(e->id, sizeof(e->id), call->ref);
	r = containers_exec_start(call->containers, call->ref, false, s->rows, s->columns,
				  &terminal, &call->err);
	if (r < 0 && (shows_as_status(&call->err) || put_words(e, terminal, call->err.text) < 0))
		return r;
	http_reply_hijack(call->x, api_hijack_type(call, terminal), take_execution, take_ptr(e));
	return 0;
}

static int start(struct api_call *call)
{
	struct start_request s = { 0 };
	bool terminal;
	int r;

	r = read_start(call, &s);
	if (r < 0)
		return r;
	if (!s.detach)
		return start_attached(call, &s);
	r = containers_exec_start(call->containers, call->ref, true, s.rows, s.columns, &terminal,
				  &call->err);
	return r < 0 ? r : api_reply_text(call, 200, NULL);
}

const struct api_route api_exec_routes[] = {
	{ "POST", "/containers/*/exec", create, 0 },
	{ "POST", "/exec/*/start", start, 0 },
	{ "POST", "/exec/*/resize", resize, 0 },
	{ "GET", "/exec/*/json", inspect, 0 },
	{ NULL, NULL, NULL, 0 },
};
