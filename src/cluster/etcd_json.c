/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster/etcd_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "cluster/base64.h"

/* --------------------------------------------------------------------------------- spans */

int etcd_span_key(const struct kv *kv, const char *key, struct etcd_span *ret)
{
	*ret = (struct etcd_span){ .from = kv_full_key(kv, key) };
	if (!ret->from)
		return -ENOMEM;
	ret->from_len = strlen(ret->from);
	return 0;
}

/* All there is: to etcd, from and to a single zero byte. */
static int span_all(struct etcd_span *ret)
{
	*ret = (struct etcd_span){ calloc(1, 1), calloc(1, 1), 1, 1 };
	return ret->from && ret->to ? 0 : -ENOMEM;
}

int etcd_span_below(const struct kv *kv, const char *prefix, struct etcd_span *ret)
{
	struct strbuf b = { .s = NULL };

	if (!kv->prefix[0] && !prefix[0])
		return span_all(ret);
	strbuf_addf(&b, "%s%s%s/", kv->prefix, kv->prefix[0] && prefix[0] ? "/" : "", prefix);
	*ret = (struct etcd_span){ .from_len = b.len, .to_len = b.len };
	ret->from = strbuf_take(&b);
	ret->to = ret->from ? strdup(ret->from) : NULL;
	if (!ret->to)
		return -ENOMEM;
	ret->to[ret->to_len - 1] = '/' + 1;
	return 0;
}

void etcd_span_free(struct etcd_span *s)
{
	free(s->from);
	free(s->to);
	*s = (struct etcd_span){ .from = NULL };
}

/* ------------------------------------------------------------------------------ requests */

static void add_bytes(struct strbuf *b, const char *name, const void *bytes, size_t n)
{
	strbuf_addf(b, "\"%s\":\"", name);
	base64_add(b, bytes, n);
	strbuf_add(b, "\"");
}

static void add_key(struct strbuf *b, const struct kv *kv, const char *key)
{
	char *full = kv_full_key(kv, key);

	if (full)
		add_bytes(b, "key", full, strlen(full));
	b->failed |= !full;
	free(full);
}

static void add_span(struct strbuf *b, const struct etcd_span *s)
{
	add_bytes(b, "key", s->from, s->from_len);
	if (s->to) {
		strbuf_add(b, ",");
		add_bytes(b, "range_end", s->to, s->to_len);
	}
}

char *etcd_range_text(const struct etcd_span *s, unsigned limit, uint64_t revision)
{
	struct strbuf b = { .s = NULL };

	strbuf_add(&b, "{");
	add_span(&b, s);
	strbuf_addf(&b, ",\"limit\":\"%u\",\"revision\":\"%" PRIu64 "\"}", limit, revision);
	return strbuf_take(&b);
}

char *etcd_watch_text(const struct etcd_span *s, uint64_t revision)
{
	struct strbuf b = { .s = NULL };

	strbuf_add(&b, "{\"create_request\":{");
	add_span(&b, s);
	strbuf_addf(&b, ",\"start_revision\":\"%" PRIu64 "\"}}", revision);
	return strbuf_take(&b);
}

char *etcd_put_text(const struct kv *kv, const char *key, const void *value, size_t len,
		    uint64_t lease)
{
	struct strbuf b = { .s = NULL };

	strbuf_add(&b, "{");
	add_key(&b, kv, key);
	strbuf_add(&b, ",");
	add_bytes(&b, "value", value, len);
	strbuf_addf(&b, ",\"lease\":\"%" PRIu64 "\"}", lease);
	return strbuf_take(&b);
}

/* The version that the key must have; 0: it must not be there. */
static uint64_t expected(const struct kv_op *op)
{
	return op->kind == KV_CREATE ? 0 : op->version;
}

static void add_success(struct strbuf *b, const struct kv *kv, const struct kv_op *op)
{
	switch (op->kind) {
	case KV_CREATE:
	case KV_SET:
		strbuf_add(b, "{\"request_put\":{");
		add_key(b, kv, op->key);
		strbuf_add(b, ",");
		add_bytes(b, "value", op->value, op->len);
		strbuf_add(b, "}}");
		break;
	case KV_DELETE:
		strbuf_add(b, "{\"request_delete_range\":{");
		add_key(b, kv, op->key);
		strbuf_add(b, "}}");
		break;
	case KV_CHECK:
		break;
	}
}

/* If it fails, the versions of all keys are wanted, to tell which was not as it must be. */
char *etcd_txn_text(const struct kv *kv, const struct kv_op *ops, size_t n)
{
	struct strbuf b = { .s = NULL };
	const char *comma = "";

	for (size_t i = 0; i < n; i++) {
		strbuf_add(&b, i ? "},{" : "{\"compare\":[{");
		add_key(&b, kv, ops[i].key);
		strbuf_addf(&b,
			    ",\"target\":\"MOD\",\"result\":\"EQUAL\","
			    "\"mod_revision\":\"%" PRIu64 "\"",
			    expected(&ops[i]));
	}
	strbuf_add(&b, "}],\"success\":[");
	for (size_t i = 0; i < n; i++) {
		if (ops[i].kind == KV_CHECK)
			continue;
		strbuf_add(&b, comma);
		add_success(&b, kv, &ops[i]);
		comma = ",";
	}
	for (size_t i = 0; i < n; i++) {
		strbuf_add(&b, i ? ",{\"request_range\":{" : "],\"failure\":[{\"request_range\":{");
		add_key(&b, kv, ops[i].key);
		strbuf_add(&b, ",\"keys_only\":true}}");
	}
	strbuf_add(&b, "]}");
	return strbuf_take(&b);
}

/* -------------------------------------------------------------------------------- answers */

static int nonsense(struct cnm_error *err, const char *what)
{
	return cnm_error_set(err, CNM_E_UNAVAILABLE,
			     "its answer makes no sense (%s): is it etcd 3.4 or later?", what);
}

static json_t *parse(const char *json, size_t len, struct cnm_error *err)
{
	json_t *j = json_loadb(json, len, 0, NULL);

	if (!json_is_object(j)) {
		json_decref(j);
		nonsense(err, "no JSON");
		return NULL;
	}
	return j;
}

/* "123" or 123; 0 if it is absent. */
static int get_u64(const json_t *obj, const char *key, uint64_t *ret, struct cnm_error *err)
{
	const json_t *v = json_object_get(obj, key);
	const char *s = json_string_value(v);
	uint64_t n = 0;

	if (json_is_integer(v)) {
		*ret = (uint64_t)json_integer_value(v);
		return json_integer_value(v) < 0 ? nonsense(err, key) : 0;
	}
	if (v && (!s || !*s))
		return nonsense(err, key);
	for (; s && *s; s++)
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return nonsense(err, key);
	*ret = n;
	return 0;
}

static int get_header(const json_t *obj, struct etcd_header *ret, struct cnm_error *err)
{
	const json_t *header = json_object_get(obj, "header");
	int r = get_u64(header, "cluster_id", &ret->cluster, err);

	return r < 0 ? r : get_u64(header, "revision", &ret->revision, err);
}

/* Empty if it is absent. */
static int get_bytes(const json_t *obj, const char *key, char **ret, size_t *ret_len,
		     struct cnm_error *err)
{
	const json_t *v = json_object_get(obj, key);
	void *bytes;
	int r;

	if (v && !json_is_string(v))
		return nonsense(err, key);
	r = base64_decode(v ? json_string_value(v) : "", v ? json_string_length(v) : 0, &bytes,
			  ret_len);
	if (r == -ENOMEM)
		return cnm_error_errno(err, ENOMEM, "keep an answer of the store");
	if (r < 0)
		return nonsense(err, key);
	*ret = bytes;
	return 0;
}

/* ---- keys with values */

struct item {
	char *key, *value; /* the key as etcd has it */
	size_t key_len, value_len;
	uint64_t version, lease;
};

static void item_free(struct item *i)
{
	free(i->key);
	free(i->value);
}

static int get_item(const json_t *kv, struct item *ret, struct cnm_error *err)
{
	int r = get_bytes(kv, "key", &ret->key, &ret->key_len, err);

	if (r == 0)
		r = get_bytes(kv, "value", &ret->value, &ret->value_len, err);
	if (r == 0)
		r = get_u64(kv, "mod_revision", &ret->version, err);
	if (r == 0)
		r = get_u64(kv, "lease", &ret->lease, err);
	if (r == 0 && !ret->version)
		r = nonsense(err, "mod_revision");
	return r;
}

/* What is not ours, or larger than what we write, is none of the store's keys. */
static int add_item(const struct kv *kv, const struct item *i, bool gone, struct kv_entries *e,
		    struct cnm_error *err)
{
	const char *key = strlen(i->key) == i->key_len ? kv_own_key(kv, i->key) : NULL;

	if (!key || i->value_len > KV_VALUE_MAX)
		return 0;
	if (kv_entries_add(e, key, gone ? NULL : i->value, gone ? 0 : i->value_len, i->version) < 0)
		return cnm_error_errno(err, ENOMEM, "keep an answer of the store");
	return 0;
}

static int parse_item(const struct kv *kv, const json_t *j, bool gone, struct kv_entries *e,
		      struct etcd_page *page, struct cnm_error *err)
{
	struct item i = { .key = NULL };
	int r = get_item(j, &i, err);

	if (r == 0)
		r = add_item(kv, &i, gone, e, err);
	if (r == 0 && page) {
		/* The next key after this one has a zero byte more: the one that ends it. */
		free(page->next);
		page->next = take_ptr(i.key);
		page->next_len = i.key_len + 1;
		page->lease = i.lease;
	}
	item_free(&i);
	return r;
}

static int parse_kvs(const struct kv *kv, const json_t *answer, struct kv_entries *entries,
		     struct etcd_page *page, struct cnm_error *err)
{
	const json_t *kvs = json_object_get(answer, "kvs");
	int r = get_header(answer, &page->header, err);

	if (kvs && !json_is_array(kvs))
		return nonsense(err, "kvs");
	for (size_t i = 0; r == 0 && i < json_array_size(kvs); i++)
		r = parse_item(kv, json_array_get(kvs, i), false, entries, page, err);
	if (r == 0 && !page->header.revision)
		r = nonsense(err, "revision");
	page->more = json_is_true(json_object_get(answer, "more")) && page->next;
	return r;
}

int etcd_parse_range(const struct kv *kv, const char *json, size_t len, struct kv_entries *entries,
		     struct etcd_page *ret, struct cnm_error *err)
{
	_json_ json_t *answer = parse(json, len, err);
	struct etcd_page page = { .more = false };
	int r = answer ? parse_kvs(kv, answer, entries, &page, err) : -EAGAIN;

	if (r < 0)
		free(page.next);
	else
		*ret = page;
	return r;
}

/* ---- transactions */

static int find_conflict(const json_t *responses, const struct kv_op *ops, size_t n,
			 size_t *ret_which, struct cnm_error *err)
{
	*ret_which = n;
	for (size_t i = 0; i < n; i++) {
		const json_t *range =
			json_object_get(json_array_get(responses, i), "response_range");
		const json_t *kvs = json_object_get(range, "kvs");
		uint64_t version;
		int r = get_u64(json_array_get(kvs, 0), "mod_revision", &version, err);

		if (r < 0)
			return r;
		if (range && version != expected(&ops[i])) {
			*ret_which = i;
			break;
		}
	}
	return KV_CONFLICT;
}

int etcd_parse_txn(const char *json, size_t len, const struct kv_op *ops, size_t n,
		   size_t *ret_which, struct cnm_error *err)
{
	_json_ json_t *answer = parse(json, len, err);
	struct etcd_header header;
	int r = answer ? get_header(answer, &header, err) : -EAGAIN;

	if (r < 0)
		return r;
	if (!header.revision)
		return nonsense(err, "revision");
	if (json_is_true(json_object_get(answer, "succeeded")))
		return 0;
	return find_conflict(json_object_get(answer, "responses"), ops, n, ret_which, err);
}

/* ---- leases */

int etcd_parse_grant(const char *json, size_t len, uint64_t *ret_lease, struct cnm_error *err)
{
	_json_ json_t *answer = parse(json, len, err);
	uint64_t id;
	int r = answer ? get_u64(answer, "ID", &id, err) : -EAGAIN;

	if (r == 0 && !id)
		r = nonsense(err, "ID");
	if (r == 0)
		*ret_lease = id;
	return r;
}

int etcd_parse_keepalive(const char *json, size_t len, uint64_t *ret_ttl, struct cnm_error *err)
{
	_json_ json_t *answer = parse(json, len, err);
	const json_t *result = json_object_get(answer, "result");

	if (!answer)
		return -EAGAIN;
	return result ? get_u64(result, "TTL", ret_ttl, err) : nonsense(err, "result");
}

/* ---- watches */

static int parse_event(const struct kv *kv, const json_t *event, struct kv_entries *changes,
		       struct cnm_error *err)
{
	const char *type = json_string_value(json_object_get(event, "type"));

	return parse_item(kv, json_object_get(event, "kv"), type && streq(type, "DELETE"), changes,
			  NULL, err);
}

static int parse_result(const struct kv *kv, const json_t *result, struct kv_entries *changes,
			struct etcd_news *news, struct cnm_error *err)
{
	const json_t *events = json_object_get(result, "events");
	int r = get_header(result, &news->header, err);

	news->ended = json_is_true(json_object_get(result, "canceled"));
	if (events && !json_is_array(events))
		return nonsense(err, "events");
	for (size_t i = 0; r == 0 && i < json_array_size(events); i++)
		r = parse_event(kv, json_array_get(events, i), changes, err);
	return r;
}

int etcd_parse_news(const struct kv *kv, const char *json, size_t len, struct kv_entries *changes,
		    struct etcd_news *ret, struct cnm_error *err)
{
	_json_ json_t *message = parse(json, len, err);
	const json_t *error = json_object_get(message, "error");
	const json_t *result = json_object_get(message, "result");
	const char *text = json_string_value(json_object_get(error, "message"));
	struct etcd_news news = { .ended = false };
	int r;

	if (!message)
		return -EAGAIN;
	if (error)
		return cnm_error_set(err, CNM_E_UNAVAILABLE, "it ends the watch: %.200s",
				     text && str_is_printable(text) ? text : "it does not say why");
	if (!json_is_object(result))
		return nonsense(err, "result");
	r = parse_result(kv, result, changes, &news, err);
	if (r == 0)
		*ret = news;
	return r;
}

int etcd_error_code(const char *json, size_t len)
{
	_json_ json_t *answer = json_loadb(json, len, 0, NULL);
	json_int_t code = json_integer_value(json_object_get(answer, "code"));

	return code > 0 && code < INT_MAX ? (int)code : 0;
}
