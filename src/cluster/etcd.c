/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd 3.4 and later, by its JSON gateway.
 *
 * A version is the revision of a key's last change. A list is read in pages as of the revision of
 * the first; the watch begins with the revision after it. When a watch ends, for whatever reason,
 * everything is listed again: a store that was emptied or restored meanwhile cannot be told from
 * the one before by its numbers alone, since they may have caught up. A stream whose cluster or
 * revision is not that of the list ends at once.
 *
 * A watch asks the server to end it when that has lost its leader: it would be silent for ever.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/etcd_json.h"
#include "cluster/kv_http.h"

#define PAGE         256 /* keys a request */
#define LIST_TRIES   3
#define LIST_MS      10000
#define NEED_LEADER  "Grpc-Metadata-hasleader: true"
#define NOT_FOUND    5 /* gRPC's codes */
#define OUT_OF_RANGE 11

struct etcd {
	struct kv_http http;
	/* The thread's: */
	uint64_t lease;
	struct etcd_span span; /* what is watched: all below the prefix */
	char *rest;            /* from where the list goes on; NULL: it begins */
	size_t rest_len;
	bool listed;               /* all of it: the watch is next */
	struct kv_entries all;     /* so far */
	struct etcd_header header; /* of the first page: that of the list */
	struct strbuf line;        /* what came of a message */
};

/* ------------------------------------------------------------------------------ requests */

static int make(struct kv_http_request *q, const char *path, char *body)
{
	q->method = "POST";
	q->path = strdup(path);
	q->body = body;
	return q->path && body ? 0 : -ENOMEM;
}

/* A request of a call, and its answer. body is taken; NULL: no memory. */
static int ask(struct kv *kv, const char *what, const char *path, char *body, bool write,
	       uint64_t until,
	       int (*parse)(void *arg, const struct http_answer *a, struct cnm_error *err),
	       void *arg, struct cnm_error *err)
{
	struct etcd *e = kv->own;
	struct kv_http_request q = { .method = NULL };
	int r = make(&q, path, body);

	q.write = write;
	if (r == 0)
		r = kv_http_ask(&e->http, what, &q, until, parse, arg, err);
	else
		cnm_error_errno(err, ENOMEM, "%s", what);
	kv_http_request_free(&q);
	return r;
}

/* ---------------------------------------------------------------------------------- reading */

#define COMPACTED 1 /* the moment that was asked for is too long ago */

struct page_call {
	struct kv *kv;
	struct kv_entries *entries;
	struct etcd_page page;
};

static int parse_page(void *arg, const struct http_answer *a, struct cnm_error *err)
{
	struct page_call *c = arg;
	size_t before = c->entries->n;
	int r;

	if (a->status != 200)
		return etcd_error_code(a->body, a->len) == OUT_OF_RANGE ? COMPACTED
									: kv_http_refused(a, err);
	r = etcd_parse_range(c->kv, a->body, a->len, c->entries, &c->page, err);
	if (r < 0)
		kv_entries_cut(c->entries, before);
	return r;
}

/* The next page begins where this one ended. */
static void move_on(struct etcd_span *rest, struct etcd_page *page)
{
	free(rest->from);
	rest->from = take_ptr(page->next);
	rest->from_len = page->next_len;
}

/* All of a span as of one moment. */
static int read_span(struct kv *kv, const char *what, struct etcd_span *rest, uint64_t until,
		     struct kv_entries *ret, struct cnm_error *err)
{
	struct page_call c = { .kv = kv, .entries = ret, .page = { .more = true } };
	int r = 0;

	while (r == 0 && c.page.more) {
		uint64_t revision = c.page.header.revision;

		r = ask(kv, what, "/v3/kv/range", etcd_range_text(rest, PAGE, revision), false,
			until, parse_page, &c, err);
		if (r == 0)
			move_on(rest, &c.page);
	}
	return r;
}

static int read_below(struct kv *kv, const char *what, const char *prefix, uint64_t until,
		      struct kv_entries *ret, struct cnm_error *err)
{
	struct etcd_span span;
	int r = etcd_span_below(kv, prefix, &span);

	r = r < 0 ? cnm_error_errno(err, r, "%s", what)
		  : read_span(kv, what, &span, until, ret, err);
	etcd_span_free(&span);
	return r;
}

static int etcd_list(struct kv *kv, const char *prefix, unsigned ms, struct kv_entries *ret,
		     struct cnm_error *err)
{
	uint64_t until = kv_http_until(ms);
	struct kv_entries all = { .v = NULL };
	char what[KV_KEY_MAX + 32];
	int r = COMPACTED;

	snprintf(what, sizeof(what), "list %s/ of etcd", prefix);
	for (int i = 0; i < LIST_TRIES && r == COMPACTED; i++) {
		kv_entries_free(&all);
		r = read_below(kv, what, prefix, until, &all, err);
	}
	if (r == COMPACTED)
		r = cnm_error_set(err, CNM_E_UNAVAILABLE,
				  "%s: its history was compacted each time before all was read",
				  what);
	if (r == 0)
		*ret = all;
	else
		kv_entries_free(&all);
	return r;
}

static int etcd_get(struct kv *kv, const char *key, unsigned ms, struct kv_entries *ret,
		    struct cnm_error *err)
{
	struct kv_entries found = { .v = NULL };
	char what[KV_KEY_MAX + 32];
	struct etcd_span span;
	int r = etcd_span_key(kv, key, &span);

	snprintf(what, sizeof(what), "get %s of etcd", key);
	r = r < 0 ? cnm_error_errno(err, r, "%s", what)
		  : read_span(kv, what, &span, kv_http_until(ms), &found, err);
	etcd_span_free(&span);
	if (r == 0)
		*ret = found;
	else
		kv_entries_free(&found);
	return r;
}

/* ---------------------------------------------------------------------------------- writing */

struct txn_call {
	const struct kv_op *ops;
	size_t n, which;
};

static int parse_txn(void *arg, const struct http_answer *a, struct cnm_error *err)
{
	struct txn_call *c = arg;

	if (a->status != 200)
		return kv_http_refused(a, err);
	return etcd_parse_txn(a->body, a->len, c->ops, c->n, &c->which, err);
}

static int etcd_txn(struct kv *kv, const struct kv_op *ops, size_t n, unsigned ms,
		    size_t *ret_which, struct cnm_error *err)
{
	struct txn_call c = { .ops = ops, .n = n };
	char what[KV_KEY_MAX + 32];
	int r;

	snprintf(what, sizeof(what), "write %s to etcd", ops[0].key);
	r = ask(kv, what, "/v3/kv/txn", etcd_txn_text(kv, ops, n), true, kv_http_until(ms),
		parse_txn, &c, err);
	if (r == KV_CONFLICT)
		*ret_which = c.which;
	return r;
}

/* --------------------------------------------------------------------------------- watching */

static int watch_next(struct kv *kv, struct kv_http_request *ret)
{
	struct etcd *e = kv->own;
	struct etcd_span from_rest = e->span;
	int r;

	if (e->listed) {
		r = make(ret, "/v3/watch", etcd_watch_text(&e->span, e->header.revision + 1));
		ret->stream = true;
		ret->header = NEED_LEADER;
		return r;
	}
	if (e->rest) {
		from_rest.from = e->rest;
		from_rest.from_len = e->rest_len;
	}
	ret->ms = LIST_MS;
	return make(ret, "/v3/kv/range", etcd_range_text(&from_rest, PAGE, e->header.revision));
}

static void watch_again(struct kv *kv)
{
	struct etcd *e = kv->own;

	free(take_ptr(e->rest));
	kv_entries_free(&e->all);
	strbuf_free(&e->line);
	e->header = (struct etcd_header){ .revision = 0 };
	e->listed = false;
}

static int watch_answer(struct kv *kv, const struct http_answer *a, struct cnm_error *err)
{
	struct etcd *e = kv->own;
	struct etcd_page page;
	int r;

	if (a->status != 200)
		return kv_http_refused(a, err);
	r = etcd_parse_range(kv, a->body, a->len, &e->all, &page, err);
	if (r < 0)
		return r;
	if (!e->rest)
		e->header = page.header;
	free(e->rest);
	e->rest = page.next;
	e->rest_len = page.next_len;
	if (page.more)
		return 1;
	e->listed = true;
	kv_reached(kv, true, "");
	kv_http_saw_all(&e->http, &e->all);
	kv->watcher->all(kv->arg, e->all.v, e->all.n);
	kv_entries_free(&e->all);
	return 1;
}

/* One message. Not 0: the watch is over; with err if its server is to blame. */
static int take_news(struct kv *kv, const char *json, size_t len, struct cnm_error *err)
{
	struct etcd *e = kv->own;
	struct kv_entries changes = { .v = NULL };
	struct etcd_news news;
	int r = etcd_parse_news(kv, json, len, &changes, &news, err);

	if (r == 0 && (news.ended || news.header.cluster != e->header.cluster ||
		       news.header.revision < e->header.revision))
		r = -ESTALE;
	if (r == 0 && changes.n) {
		kv_http_saw_changes(&e->http, &changes);
		kv->watcher->changed(kv->arg, changes.v, changes.n);
	}
	kv_entries_free(&changes);
	return r;
}

/* Messages are lines. */
static int watch_data(struct kv *kv, const char *bytes, size_t n, struct cnm_error *err)
{
	struct etcd *e = kv->own;
	const char *end = bytes + n, *newline;
	int r = 0;

	while (r == 0 && (newline = memchr(bytes, '\n', (size_t)(end - bytes)))) {
		strbuf_addn(&e->line, bytes, (size_t)(newline - bytes));
		if (e->line.failed)
			return cnm_error_errno(err, ENOMEM, "keep what etcd says");
		if (e->line.len)
			r = take_news(kv, e->line.s, e->line.len, err);
		strbuf_free(&e->line);
		bytes = newline + 1;
	}
	strbuf_addn(&e->line, bytes, (size_t)(end - bytes));
	if (r == 0 && (e->line.failed || e->line.len > KV_HTTP_ANSWER_MAX))
		r = cnm_error_errno(err, ENOMEM, "keep what etcd says");
	return r;
}

/* ---------------------------------------------------------------------------------- keeping */

/* {NAME: "NUMBER"} */
static char *number_text(const char *name, uint64_t number)
{
	struct strbuf b = { .s = NULL };

	strbuf_addf(&b, "{\"%s\":\"%" PRIu64 "\"}", name, number);
	return strbuf_take(&b);
}

/* Any key, if none is kept: it need not be there. */
static char *check_text(struct kv *kv, const struct kv_kept *kept)
{
	struct etcd_span span;
	char *text = NULL;

	if (etcd_span_key(kv, kept->key ? kept->key : "-", &span) == 0)
		text = etcd_range_text(&span, 1, 0);
	etcd_span_free(&span);
	return text;
}

static int keep_next(struct kv *kv, enum kv_keep_step step, const struct kv_kept *kept,
		     struct kv_http_request *ret)
{
	struct etcd *e = kv->own;

	switch (step) {
	case KV_KEEP_GRANT:
		return make(ret, "/v3/lease/grant", number_text("TTL", e->http.ttl_s));
	case KV_KEEP_PUT:
		return make(ret, "/v3/kv/put",
			    etcd_put_text(kv, kept->key, kept->value, kept->len, e->lease));
	case KV_KEEP_RENEW:
		return make(ret, "/v3/lease/keepalive", number_text("ID", e->lease));
	case KV_KEEP_CHECK:
		return make(ret, "/v3/kv/range", check_text(kv, kept));
	case KV_KEEP_REVOKE:
		return make(ret, "/v3/lease/revoke", number_text("ID", e->lease));
	}
	return -EINVAL;
}

/* Is what is kept there as it should be? */
static int look(struct kv *kv, const struct kv_kept *kept, const struct http_answer *a,
		struct cnm_error *err)
{
	struct etcd *e = kv->own;
	struct kv_entries found = { .v = NULL };
	struct etcd_page page = { .lease = 0 };
	int r = etcd_parse_range(kv, a->body, a->len, &found, &page, err);

	if (r == 0 && kept->key &&
	    (found.n != 1 || page.lease != e->lease || found.v[0].len != kept->len ||
	     memcmp(found.v[0].value, kept->value, kept->len) != 0))
		r = KV_KEEP_MISSING;
	free(page.next);
	kv_entries_free(&found);
	return r;
}

static int renewed(const struct http_answer *a, struct cnm_error *err)
{
	uint64_t ttl;
	int r = etcd_parse_keepalive(a->body, a->len, &ttl, err);

	return r < 0 ? r : ttl ? 0 : KV_KEEP_LOST;
}

static int keep_answer(struct kv *kv, enum kv_keep_step step, const struct kv_kept *kept,
		       const struct http_answer *a, struct cnm_error *err)
{
	struct etcd *e = kv->own;

	if (step == KV_KEEP_PUT && a->status != 200 &&
	    etcd_error_code(a->body, a->len) == NOT_FOUND)
		return KV_KEEP_LOST;
	if (a->status != 200)
		return kv_http_refused(a, err);
	switch (step) {
	case KV_KEEP_GRANT:
		return etcd_parse_grant(a->body, a->len, &e->lease, err);
	case KV_KEEP_RENEW:
		return renewed(a, err);
	case KV_KEEP_CHECK:
		return look(kv, kept, a, err);
	case KV_KEEP_PUT:
	case KV_KEEP_REVOKE:
		break;
	}
	return 0;
}

static int etcd_keep(struct kv *kv, const char *key, const void *value, size_t len)
{
	struct etcd *e = kv->own;

	return kv_http_keep(&e->http, key, value, len);
}

/* ---------------------------------------------------------------------- opening and closing */

static void etcd_close(struct kv *kv)
{
	struct etcd *e = kv->own;

	kv_http_close(&e->http);
	watch_again(kv);
	etcd_span_free(&e->span);
	free(e);
}

static int etcd_open(struct kv *kv, struct cnm_error *err)
{
	static const struct kv_http_ops ops = {
		.watch_next = watch_next,
		.watch_data = watch_data,
		.watch_answer = watch_answer,
		.watch_again = watch_again,
		.keep_next = keep_next,
		.keep_answer = keep_answer,
	};
	struct etcd *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return cnm_error_errno(err, ENOMEM, "open etcd");
	kv->own = e;
	if (etcd_span_below(kv, "", &e->span) < 0) {
		etcd_span_free(&e->span);
		free(e);
		return cnm_error_errno(err, ENOMEM, "open etcd");
	}
	r = kv_http_open(&e->http, kv, &ops, kv->ttl_s, err);
	if (r < 0)
		etcd_close(kv);
	return r;
}

const struct kv_backend kv_etcd = {
	.schemes = { "etcd" },
	.open = etcd_open,
	.close = etcd_close,
	.get = etcd_get,
	.list = etcd_list,
	.txn = etcd_txn,
	.keep = etcd_keep,
};
