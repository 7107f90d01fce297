/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/exchange.h"

#define MAX_LINE (16u << 20)

static int take_body(struct exchange *x, char **ret)
{
	*ret = strbuf_take(&x->body);
	return *ret ? 0 : cnm_error_errno(x->err, ENOMEM, "read the daemon's answer");
}

static int parse_answer(const char *text, const char *path, json_t **ret, struct cnm_error *err)
{
	json_error_t e;
	json_t *doc = json_loads(text, JSON_REJECT_DUPLICATES, &e);

	if (!doc)
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "the daemon's answer to %s is not JSON: %s", path, e.text);
	*ret = doc;
	return 0;
}

int client_call(const struct client *c, const char *method, const char *path, const json_t *body,
		char **ret_body, struct cnm_error *err)
{
	_cleanup_(exchange_close) struct exchange x = { .fd = -1, .err = err };
	const struct request q = { method, path, body, -1 };
	int r = exchange_run(&x, c, &q, false);

	return r == 0 && ret_body ? take_body(&x, ret_body) : r;
}

int client_call_json(const struct client *c, const char *method, const char *path,
		     const json_t *body, json_t **ret, struct cnm_error *err)
{
	_free_ char *text = NULL;
	int r = client_call(c, method, path, body, &text, err);

	return r < 0 ? r : parse_answer(text, path, ret, err);
}

/* ---- long answers */

int client_transfer(const struct client *c, const struct client_transfer *t, struct cnm_error *err)
{
	_cleanup_(exchange_close) struct exchange x = {
		.fd = -1, .deliver = t->deliver, .arg = t->arg, .err = err
	};
	const struct request q = { t->method, t->path, NULL, t->upload };

	return exchange_run(&x, c, &q, false);
}

/* Lines being cut. */
struct cutter {
	struct strbuf line; /* the one begun */
	const struct client_lines *to;
};

static int cut_lines(const char *data, size_t n, void *arg, struct cnm_error *err)
{
	struct cutter *k = arg;
	const char *end;
	int r = 0;

	while (r == 0 && (end = memchr(data, '\n', n))) {
		size_t len = (size_t)(end - data);

		strbuf_addn(&k->line, data, len);
		if (k->line.failed)
			break;
		r = k->to->deliver(k->line.s ? k->line.s : "", k->to->arg, err);
		strbuf_free(&k->line);
		data += len + 1;
		n -= len + 1;
	}
	strbuf_addn(&k->line, data, n);
	if (r == 0 && k->line.len > MAX_LINE)
		r = cnm_error_set(err, CNM_E_UNAVAILABLE,
				  "a line of the daemon's answer is longer than %u MiB",
				  MAX_LINE >> 20);
	if (r == 0 && k->line.failed)
		r = cnm_error_errno(err, ENOMEM, "read the daemon's answer");
	return r;
}

int client_lines(const struct client *c, const struct client_lines *l, struct cnm_error *err)
{
	struct cutter k = { .to = l };
	const struct client_transfer t = { l->method, l->path, l->upload, cut_lines, &k };
	int r = client_transfer(c, &t, err);

	if (r == 0 && k.line.len) /* a last line without its newline */
		r = l->deliver(k.line.s, l->arg, err);
	strbuf_free(&k.line);
	return r;
}

/* ---- answers that come later */

struct client_pending {
	struct exchange x;
	char *path;
};

int client_begin(const struct client *c, const char *path, struct client_pending **ret,
		 struct cnm_error *err)
{
	struct client_pending *p = calloc(1, sizeof(*p));
	const struct request q = { "POST", path, NULL, -1 };
	int r;

	if (!p)
		return cnm_error_errno(err, ENOMEM, "write the request");
	p->x = (struct exchange){ .fd = -1, .err = err };
	p->path = strdup(path);
	r = p->path ? exchange_run(&p->x, c, &q, true)
		    : cnm_error_errno(err, ENOMEM, "write the request");
	if (r < 0)
		client_pending_free(p);
	else
		*ret = p;
	return r;
}

bool client_pending_ready(const struct client_pending *p, int *ret_fd)
{
	*ret_fd = p->x.fd;
	return p->x.complete;
}

int client_finish(struct client_pending *p, json_t **ret, struct cnm_error *err)
{
	_free_ char *text = NULL;
	int r;

	p->x.err = err;
	r = exchange_finish(&p->x);
	if (r == 0)
		r = take_body(&p->x, &text);
	return r < 0 ? r : parse_answer(text, p->path, ret, err);
}

void client_pending_free(struct client_pending *p)
{
	if (!p)
		return;
	exchange_close(&p->x);
	free(p->path);
	free(p);
}

/* ---- connections that become streams */

int client_hijack(const struct client *c, const char *path, const json_t *body,
		  struct client_hijacked *ret, struct cnm_error *err)
{
	_cleanup_(exchange_close) struct exchange x = { .fd = -1, .hijack = true, .err = err };
	const struct request q = { "POST", path, body, -1 };
	size_t n;
	char *early;
	int r = exchange_run(&x, c, &q, true);

	if (r < 0)
		return r;
	n = x.body.len;
	r = take_body(&x, &early);
	if (r < 0)
		return r;
	*ret = (struct client_hijacked){ take_fd(&x.fd), early, n };
	return 0;
}

void client_hijacked_free(struct client_hijacked *h)
{
	close_fd(&h->fd);
	free(h->early);
	h->early = NULL;
}
