/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls to a store over HTTP, its opening and its closing.
 *
 * A read has a share of the time left for each server that was not asked yet. A write is not
 * repeated elsewhere: once it is connected it may take all of the time, or half of it where there
 * are others, of whom its caller may learn what became of it.
 */
#include "cluster/kv_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/json.h"

#define NS_PER_MS 1000000u
#define SAID_MAX  200 /* bytes of what a server says that are shown */

void kv_http_request_free(struct kv_http_request *q)
{
	free(q->path);
	free(q->body);
	*q = (struct kv_http_request){ .path = NULL };
}

uint64_t kv_http_until(unsigned ms)
{
	return clock_mono_ns() + (uint64_t)ms * NS_PER_MS;
}

/* ----------------------------------------------------------------------- servers, answers */

int kv_http_url(const struct kv_http *h, size_t server, const char *path, char **ret)
{
	struct strbuf b = { .s = NULL };

	strbuf_addf(&b, "%s://%s%s", h->tls.cacertfile ? "https" : "http",
		    h->kv->servers[server].name, path);
	*ret = strbuf_take(&b);
	return *ret ? 0 : -ENOMEM;
}

/* Others may have moved on already. */
void kv_http_failed(struct kv_http *h, size_t server)
{
	size_t expected = server;

	atomic_compare_exchange_strong(&h->current, &expected, (server + 1) % h->kv->n_servers);
}

/* {"message": TEXT} or {"error": TEXT}, else the text as it is. */
static void copy_said(const struct http_answer *a, char said[static SAID_MAX])
{
	_json_ json_t *j = json_loadb(a->body, a->len, 0, NULL);
	const char *text = json_string_value(json_object_get(j, "message"));

	if (!text)
		text = json_string_value(json_object_get(j, "error"));
	str_copy(said, SAID_MAX, text ? text : a->body);
	said[strcspn(said, "\r\n")] = '\0';
	if (!str_is_printable(said))
		strcpy(said, "(what it says is not printable)");
}

int kv_http_refused(const struct http_answer *a, struct cnm_error *err)
{
	char said[SAID_MAX];

	copy_said(a, said);
	return cnm_error_set(err, CNM_E_UNAVAILABLE, "it answers HTTP status %d%s%s", a->status,
			     said[0] ? ": " : "", said);
}

/* ---------------------------------------------------------------------------------- calls */

struct call {
	struct kv_http *h;
	const struct kv_http_request *q;
	uint64_t until;
	struct strbuf said; /* what each server said, for the error */
	bool unknown;       /* what became of the write */
};

static unsigned ms_left(uint64_t until)
{
	uint64_t now = clock_mono_ns();

	return until > now ? (unsigned)((until - now) / NS_PER_MS) : 0;
}

static void note(struct call *c, size_t server, const char *text)
{
	strbuf_addf(&c->said, "%s%s: %s", c->said.len ? "; " : "", c->h->kv->servers[server].name,
		    text);
}

static unsigned write_ms(const struct call *c)
{
	return ms_left(c->until) / (c->h->kv->n_servers > 1 ? 2 : 1);
}

/* One server, which has share_ms for a connection, or for all if it is a read. */
static int ask_server(struct call *c, size_t server, unsigned share_ms, struct http_answer *ret,
		      struct cnm_error *err)
{
	const struct kv_http_request *q = c->q;
	_free_ char *url = NULL;
	struct http_request req = {
		.method = q->method,
		.body = q->body,
		.len = q->body ? strlen(q->body) : 0,
		.header = q->header,
		.keep = q->keep,
		.max = KV_HTTP_ANSWER_MAX,
		.connect_ms = share_ms,
		.ms = q->write ? write_ms(c) : share_ms,
	};

	if (kv_http_url(c->h, server, q->path, &url) < 0)
		return cnm_error_errno(err, ENOMEM, "make a request");
	req.url = url;
	if (!req.ms)
		req.ms = 1; /* 0 would be for ever */
	kv_asked(c->h->kv, &c->h->kv->servers[server]);
	return http_client_do(c->h->client, &req, ret, err);
}

/* May another server be asked after this outcome? */
static bool go_on(struct call *c, int r)
{
	if (r == -ECANCELED || r == -ENOMEM)
		return false;
	c->unknown = c->q->write && r != KV_HTTP_NOT_DONE;
	return !c->unknown && (c->h->kv->n_servers > 1 || r == HTTP_NO_ANSWER);
}

static int ask_in_turn(struct call *c,
		       int (*parse)(void *arg, const struct http_answer *a, struct cnm_error *err),
		       void *arg, struct cnm_error *err)
{
	size_t n = c->h->kv->n_servers, first = atomic_load(&c->h->current);
	/* A read of the only server once more: it may have closed the idle connection just now. */
	size_t tries = n > 1 ? n : 2;
	int r = -EAGAIN;

	for (size_t i = 0; i < tries; i++) {
		size_t server = (first + i) % n;
		unsigned left = ms_left(c->until);
		struct http_answer a = { .body = NULL };
		struct cnm_error said = { .err = 0 };

		if (i > 0 && !left)
			break;
		r = ask_server(c, server, n > 1 ? left / (unsigned)(tries - i) + 1 : left + 1, &a,
			       &said);
		if (r == 0)
			r = parse(arg, &a, &said);
		http_answer_free(&a);
		if (r >= 0)
			return r;
		kv_http_failed(c->h, server);
		note(c, server, said.text);
		if (err)
			*err = said;
		if (!go_on(c, r))
			break;
	}
	return r;
}

static int fail(struct call *c, const char *what, int r, struct cnm_error *err)
{
	const char *said = c->said.s ? c->said.s : "";

	if (r == -ENOMEM || r == -ECANCELED) {
		cnm_error_prefix(err, "%s", what);
		return r;
	}
	if (c->unknown) {
		cnm_error_set(err, CNM_E_UNAVAILABLE,
			      "%s: the store did not say what became of it, and may have done it, "
			      "or do it yet (%s)",
			      what, said);
		return KV_UNKNOWN;
	}
	return cnm_error_set(err, CNM_E_UNAVAILABLE,
			     "%s: the store cannot be asked (%s): check that its servers run, and "
			     "that they can be reached from this host",
			     what, said);
}

static bool enter(struct kv_http *h)
{
	LOCKED(&h->lock);
	if (!h->closing)
		h->calls++;
	return !h->closing;
}

static void leave(struct kv_http *h)
{
	LOCKED(&h->lock);
	if (--h->calls == 0)
		pthread_cond_signal(&h->idle);
}

int kv_http_ask(struct kv_http *h, const char *what, const struct kv_http_request *q,
		uint64_t until,
		int (*parse)(void *arg, const struct http_answer *a, struct cnm_error *err),
		void *arg, struct cnm_error *err)
{
	struct call c = { .h = h, .q = q, .until = until };
	int r;

	if (!q->path)
		return cnm_error_errno(err, ENOMEM, "%s", what);
	if (!enter(h)) {
		cnm_error_errno(err, ECANCELED, "%s: the store is being closed", what);
		return -ECANCELED;
	}
	r = ask_in_turn(&c, parse, arg, err);
	if (r < 0)
		r = fail(&c, what, r, err);
	strbuf_free(&c.said);
	leave(h);
	return r;
}

/* --------------------------------------------------------------------- opening and closing */

static int start(struct kv_http *h, struct cnm_error *err)
{
	int r = http_client_new(&h->client, &h->tls, err);

	if (r == 0)
		r = http_loop_new(&h->loop, &h->tls, err);
	if (r < 0)
		return r;
	h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->wake_fd < 0)
		return cnm_error_errno(err, errno, "make an eventfd");
	r = pthread_create(&h->thread, NULL, kv_http_thread, h);
	if (r)
		return cnm_error_errno(err, r, "start a thread for the store");
	h->has_thread = true;
	return 0;
}

int kv_http_open(struct kv_http *h, struct kv *kv, const struct kv_http_ops *ops, unsigned ttl_s,
		 struct cnm_error *err)
{
	h->kv = kv;
	h->ops = ops;
	h->ttl_s = ttl_s;
	h->wake_fd = -1;
	h->tls = (struct http_tls){ .cacertfile = kv->cacertfile,
				    .certfile = kv->certfile,
				    .keyfile = kv->keyfile };
	pthread_mutex_init(&h->lock, NULL);
	cond_init(&h->idle);
	return start(h, err);
}

static void end_calls(struct kv_http *h)
{
	LOCKED(&h->lock);
	h->closing = true;
	if (h->client)
		http_client_cancel(h->client);
	while (h->calls)
		cond_wait(&h->idle, &h->lock, 0);
}

void kv_http_close(struct kv_http *h)
{
	end_calls(h);
	if (h->has_thread) {
		kv_http_wake(h);
		pthread_join(h->thread, NULL);
	}
	close_fd(&h->wake_fd);
	http_loop_free(h->loop);
	http_client_free(h->client);
	free(h->keeper.kept.key);
	free(h->keeper.kept.value);
	pthread_cond_destroy(&h->idle);
	pthread_mutex_destroy(&h->lock);
}
