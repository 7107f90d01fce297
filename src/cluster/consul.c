/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Consul 1.0 and later, by its HTTP API.
 *
 * A version is the index of a key's last change. Consul says only that something below a prefix
 * changed: the watch is a list that blocks until then, and a memory of what was there tells what is
 * different. When a list fails, or its index went backwards, everything is told again.
 *
 * What is kept is locked by a session, which is deleted with it. Sessions live at least 10 s, and
 * up to twice their time after the last renewal.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "cluster/consul_json.h"
#include "cluster/kv_http.h"

#define TTL_MIN_S 10u
#define TTL_MAX_S 86400u
#define BLOCK_S   60 /* Consul answers after this time, and a 16th of it more, at the latest */
#define BLOCK_MS  ((BLOCK_S + BLOCK_S / 16 + 15) * 1000)
#define LIST_MS   15000
#define INDEX     "X-Consul-Index"
#define NO_LEADER "No cluster leader"

struct consul {
	struct kv_http http;
	/* The thread's: */
	char session[CONSUL_SESSION_MAX];
	struct kv_mirror *mirror;
	bool told;      /* the watcher knows what is in the mirror, */
	uint64_t index; /* as of this one; 0: the next list does not wait */
};

/* ------------------------------------------------------------------------------- requests */

static int make(struct kv_http_request *q, const char *method, char *path, char *body)
{
	q->method = method;
	q->path = path;
	q->body = body;
	q->keep = INDEX;
	return path ? 0 : -ENOMEM;
}

static char *key_path(const struct kv *kv, const char *key)
{
	struct strbuf b = { .s = NULL };
	char *full = kv_full_key(kv, key);

	strbuf_addf(&b, "/v1/kv/%s?consistent", full ? full : "");
	b.failed |= !full;
	free(full);
	return strbuf_take(&b);
}

/* All below prefix; index: waits until something there is newer. */
static char *list_path(const struct kv *kv, const char *prefix, uint64_t index)
{
	struct strbuf b = { .s = NULL };

	strbuf_addf(&b, "/v1/kv/%s%s", kv->prefix, kv->prefix[0] ? "/" : "");
	strbuf_addf(&b, "%s%s?recurse&consistent", prefix, prefix[0] ? "/" : "");
	if (index)
		strbuf_addf(&b, "&index=%" PRIu64 "&wait=%ds", index, BLOCK_S);
	return strbuf_take(&b);
}

static char *session_path(const char *verb, const char *session)
{
	struct strbuf b = { .s = NULL };

	strbuf_addf(&b, "/v1/session/%s/%s", verb, session);
	return strbuf_take(&b);
}

/* -------------------------------------------------------------------------------- reading */

/* Keys; status 404 with an index: there are none. */
static int parse_keys(const struct kv *kv, const struct http_answer *a, struct kv_entries *ret,
		      char session[static CONSUL_SESSION_MAX], struct cnm_error *err)
{
	struct kv_entries found = { .v = NULL };
	int r;

	session[0] = '\0';
	if (a->status == 404 && a->kept[0])
		return 0;
	if (a->status != 200)
		return kv_http_refused(a, err);
	r = consul_parse_keys(kv, a->body, a->len, &found, session, err);
	if (r == 0)
		*ret = found;
	else
		kv_entries_free(&found);
	return r;
}

struct read_call {
	struct kv *kv;
	struct kv_entries entries;
};

static int parse_read(void *arg, const struct http_answer *a, struct cnm_error *err)
{
	struct read_call *c = arg;
	char session[CONSUL_SESSION_MAX];

	return parse_keys(c->kv, a, &c->entries, session, err);
}

/* path is taken; NULL: no memory. */
static int read_keys(struct kv *kv, const char *what, char *path, unsigned ms,
		     struct kv_entries *ret, struct cnm_error *err)
{
	struct consul *c = kv->own;
	struct kv_http_request q = { .method = NULL };
	struct read_call call = { .kv = kv };
	int r;

	make(&q, "GET", path, NULL);
	r = kv_http_ask(&c->http, what, &q, kv_http_until(ms), parse_read, &call, err);
	kv_http_request_free(&q);
	if (r == 0) {
		kv_entries_sort(&call.entries);
		*ret = call.entries;
	}
	return r;
}

static int consul_get(struct kv *kv, const char *key, unsigned ms, struct kv_entries *ret,
		      struct cnm_error *err)
{
	char what[KV_KEY_MAX + 32];

	snprintf(what, sizeof(what), "get %s of Consul", key);
	return read_keys(kv, what, key_path(kv, key), ms, ret, err);
}

static int consul_list(struct kv *kv, const char *prefix, unsigned ms, struct kv_entries *ret,
		       struct cnm_error *err)
{
	char what[KV_KEY_MAX + 32];

	snprintf(what, sizeof(what), "list %s/ of Consul", prefix);
	return read_keys(kv, what, list_path(kv, prefix, 0), ms, ret, err);
}

/* -------------------------------------------------------------------------------- writing */

struct txn_call {
	const struct kv_op *ops;
	size_t n, which;
};

static int parse_txn(void *arg, const struct http_answer *a, struct cnm_error *err)
{
	struct txn_call *c = arg;

	if (a->status == 200)
		return 0;
	if (a->status == 409)
		return consul_parse_conflict(a->body, a->len, c->ops, c->n, &c->which, err);
	kv_http_refused(a, err);
	return strstr(a->body, NO_LEADER) ? KV_HTTP_NOT_DONE : -EAGAIN;
}

/* Consul's numbers are signed in some of its clients. */
static uint64_t new_mark(void)
{
	uint64_t mark;

	id_random(&mark, sizeof(mark));
	return mark >> 1;
}

static int consul_txn(struct kv *kv, const struct kv_op *ops, size_t n, unsigned ms,
		      size_t *ret_which, struct cnm_error *err)
{
	struct consul *c = kv->own;
	struct kv_http_request q = { .write = true };
	struct txn_call call = { .ops = ops, .n = n };
	char what[KV_KEY_MAX + 32];
	int r;

	snprintf(what, sizeof(what), "write %s to Consul", ops[0].key);
	make(&q, "PUT", strdup("/v1/txn"), consul_txn_text(kv, ops, n, new_mark()));
	if (q.body)
		r = kv_http_ask(&c->http, what, &q, kv_http_until(ms), parse_txn, &call, err);
	else
		r = cnm_error_errno(err, ENOMEM, "%s", what);
	kv_http_request_free(&q);
	if (r == KV_CONFLICT)
		*ret_which = call.which;
	return r;
}

/* ------------------------------------------------------------------------------- watching */

static int watch_next(struct kv *kv, struct kv_http_request *ret)
{
	struct consul *c = kv->own;

	ret->ms = c->index ? BLOCK_MS : LIST_MS;
	ret->waits = c->index;
	return make(ret, "GET", list_path(kv, "", c->index), NULL);
}

/* It may be another store, the numbers of which have caught up: everything is told again. */
static void watch_again(struct kv *kv)
{
	struct consul *c = kv->own;

	c->index = 0;
	c->told = false;
}

static int watch_answer(struct kv *kv, const struct http_answer *a, struct cnm_error *err)
{
	struct consul *c = kv->own;
	struct kv_entries now = { .v = NULL };
	uint64_t index = consul_parse_index(a->kept);
	char session[CONSUL_SESSION_MAX];
	int r = parse_keys(kv, a, &now, session, err);

	if (r < 0)
		return r;
	if (!index) {
		kv_entries_free(&now);
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "its answer has no " INDEX ": is it Consul?");
	}
	kv_entries_sort(&now);
	kv_reached(kv, true, "");
	kv_http_saw_all(&c->http, &now);
	r = kv_mirror_update(c->mirror, kv, &now, !c->told || index < c->index);
	kv_entries_free(&now);
	if (r < 0)
		return cnm_error_errno(err, r, "keep what Consul says");
	c->told = true;
	c->index = index;
	return 0;
}

/* -------------------------------------------------------------------------------- keeping */

static int keep_next(struct kv *kv, enum kv_keep_step step, const struct kv_kept *kept,
		     struct kv_http_request *ret)
{
	struct consul *c = kv->own;
	char *body = NULL;

	switch (step) {
	case KV_KEEP_GRANT:
		body = consul_session_text(c->http.ttl_s);
		make(ret, "PUT", strdup("/v1/session/create"), body);
		return ret->path && body ? 0 : -ENOMEM;
	case KV_KEEP_PUT:
		body = consul_put_text(kv, kept->key, kept->value, kept->len, c->session);
		make(ret, "PUT", strdup("/v1/txn"), body);
		return ret->path && body ? 0 : -ENOMEM;
	case KV_KEEP_RENEW:
		return make(ret, "PUT", session_path("renew", c->session), NULL);
	case KV_KEEP_CHECK:
		return make(ret, "GET", key_path(kv, kept->key ? kept->key : "-"), NULL);
	case KV_KEEP_REVOKE:
		return make(ret, "PUT", session_path("destroy", c->session), NULL);
	}
	return -EINVAL;
}

/* Is what is kept there as it should be? */
static int look(struct kv *kv, const struct kv_kept *kept, const struct http_answer *a,
		struct cnm_error *err)
{
	struct consul *c = kv->own;
	struct kv_entries found = { .v = NULL };
	char session[CONSUL_SESSION_MAX];
	int r = parse_keys(kv, a, &found, session, err);

	if (r == 0 && kept->key &&
	    (found.n != 1 || !streq(session, c->session) || found.v[0].len != kept->len ||
	     memcmp(found.v[0].value, kept->value, kept->len) != 0))
		r = KV_KEEP_MISSING;
	kv_entries_free(&found);
	return r;
}

/* A session that is gone: status 404 when it is renewed, 409 or 500 when it is to lock. */
static bool session_is_gone(enum kv_keep_step step, const struct http_answer *a)
{
	if (step == KV_KEEP_PUT)
		return (a->status == 409 || a->status == 500) && strstr(a->body, "session");
	return step == KV_KEEP_RENEW && a->status == 404;
}

static int keep_answer(struct kv *kv, enum kv_keep_step step, const struct kv_kept *kept,
		       const struct http_answer *a, struct cnm_error *err)
{
	struct consul *c = kv->own;

	if (step == KV_KEEP_CHECK)
		return look(kv, kept, a, err);
	if (session_is_gone(step, a))
		return KV_KEEP_LOST;
	if (a->status != 200)
		return kv_http_refused(a, err);
	return step == KV_KEEP_GRANT ? consul_parse_session(a->body, a->len, c->session, err) : 0;
}

static int consul_keep(struct kv *kv, const char *key, const void *value, size_t len)
{
	struct consul *c = kv->own;

	return kv_http_keep(&c->http, key, value, len);
}

/* -------------------------------------------------------------------- opening and closing */

static void consul_close(struct kv *kv)
{
	struct consul *c = kv->own;

	kv_http_close(&c->http);
	kv_mirror_free(c->mirror);
	free(c);
}

static int consul_open(struct kv *kv, struct cnm_error *err)
{
	static const struct kv_http_ops ops = {
		.watch_next = watch_next,
		.watch_answer = watch_answer,
		.watch_again = watch_again,
		.keep_next = keep_next,
		.keep_answer = keep_answer,
	};
	unsigned ttl = kv->ttl_s < TTL_MIN_S ? TTL_MIN_S : kv->ttl_s;
	struct consul *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return cnm_error_errno(err, ENOMEM, "open Consul");
	kv->own = c;
	c->mirror = kv_mirror_new();
	if (!c->mirror) {
		free(c);
		return cnm_error_errno(err, ENOMEM, "open Consul");
	}
	r = kv_http_open(&c->http, kv, &ops, ttl > TTL_MAX_S ? TTL_MAX_S : ttl, err);
	if (r < 0)
		consul_close(kv);
	return r;
}

const struct kv_backend kv_consul = {
	.schemes = { "consul" },
	.open = consul_open,
	.close = consul_close,
	.get = consul_get,
	.list = consul_list,
	.txn = consul_txn,
	.keep = consul_keep,
};
