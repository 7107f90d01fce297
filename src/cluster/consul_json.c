/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster/consul_json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cluster/base64.h"

#define UUID_CHARS "0123456789abcdefABCDEF-"

/* ------------------------------------------------------------------------------ requests */

/* One operation, without the end. Keys need no escapes: see kv.h. */
static void begin_op(struct strbuf *b, const struct kv *kv, const char *verb, const char *key)
{
	char *full = kv_full_key(kv, key);

	strbuf_addf(b, "%s{\"KV\":{\"Verb\":\"%s\",\"Key\":\"%s\"", b->len ? "," : "[", verb,
		    full ? full : "");
	b->failed |= !full;
	free(full);
}

static void end_op(struct strbuf *b, const char *name, uint64_t number)
{
	strbuf_addf(b, ",\"%s\":%" PRIu64 "}}", name, number);
}

static void add_value(struct strbuf *b, const void *value, size_t len)
{
	strbuf_add(b, ",\"Value\":\"");
	base64_add(b, value, len);
	strbuf_add(b, "\"");
}

static void add_write(struct strbuf *b, const struct kv *kv, const struct kv_op *op, uint64_t mark)
{
	begin_op(b, kv, "cas", op->key);
	add_value(b, op->value, op->len);
	strbuf_addf(b, ",\"Flags\":%" PRIu64, mark);
	end_op(b, "Index", op->kind == KV_CREATE ? 0 : op->version);
}

static void add_check(struct strbuf *b, const struct kv *kv, const struct kv_op *op)
{
	begin_op(b, kv, op->version ? "check-index" : "check-not-exists", op->key);
	end_op(b, "Index", op->version);
}

/* To Consul, deleting a key that is not there succeeds: so that is checked before. */
static void add_delete(struct strbuf *b, const struct kv *kv, const struct kv_op *op)
{
	add_check(b, kv, op);
	begin_op(b, kv, "delete-cas", op->key);
	end_op(b, "Index", op->version);
}

char *consul_txn_text(const struct kv *kv, const struct kv_op *ops, size_t n, uint64_t mark)
{
	struct strbuf b = { .s = NULL };

	for (size_t i = 0; i < n; i++) {
		switch (ops[i].kind) {
		case KV_CREATE:
		case KV_SET:
			add_write(&b, kv, &ops[i], mark);
			break;
		case KV_DELETE:
			add_delete(&b, kv, &ops[i]);
			break;
		case KV_CHECK:
			add_check(&b, kv, &ops[i]);
			break;
		}
	}
	strbuf_add(&b, "]");
	return strbuf_take(&b);
}

/* It may be locked by a session of before a restart: deleting it takes it away from that. */
char *consul_put_text(const struct kv *kv, const char *key, const void *value, size_t len,
		      const char *session)
{
	struct strbuf b = { .s = NULL };

	begin_op(&b, kv, "delete", key);
	strbuf_add(&b, "}}");
	begin_op(&b, kv, "lock", key);
	add_value(&b, value, len);
	strbuf_addf(&b, ",\"Session\":\"%s\"}}]", session);
	return strbuf_take(&b);
}

/* Not bound to the health of the server it is made at, which another may replace. */
char *consul_session_text(unsigned ttl_s)
{
	struct strbuf b = { .s = NULL };

	strbuf_addf(&b,
		    "{\"Name\":\"cnm\",\"TTL\":\"%us\",\"Behavior\":\"delete\","
		    "\"LockDelay\":\"0s\",\"Checks\":[],\"NodeChecks\":[]}",
		    ttl_s);
	return strbuf_take(&b);
}

/* -------------------------------------------------------------------------------- answers */

static int nonsense(struct cnm_error *err, const char *what)
{
	return cnm_error_set(err, CNM_E_UNAVAILABLE,
			     "its answer makes no sense (%s): is it Consul?", what);
}

static int out_of_memory(struct cnm_error *err)
{
	return cnm_error_errno(err, ENOMEM, "keep an answer of the store");
}

/* What is not ours, or larger than what we write, is none of the store's keys. */
static int add_entry(const struct kv *kv, const char *full, const char *base64, uint64_t version,
		     struct kv_entries *entries, struct cnm_error *err)
{
	const char *key = kv_own_key(kv, full);
	void *value;
	size_t len;
	int r;

	if (!key)
		return 0;
	r = base64_decode(base64, strlen(base64), &value, &len);
	if (r < 0)
		return r == -ENOMEM ? out_of_memory(err) : nonsense(err, "Value");
	if (len <= KV_VALUE_MAX)
		r = kv_entries_add(entries, key, value, len, version);
	free(value);
	return r < 0 ? out_of_memory(err) : 0;
}

static int parse_key(const struct kv *kv, const json_t *j, struct kv_entries *entries,
		     char session[static CONSUL_SESSION_MAX], struct cnm_error *err)
{
	const char *key = json_string_value(json_object_get(j, "Key"));
	const char *holder = json_string_value(json_object_get(j, "Session"));
	const json_t *value = json_object_get(j, "Value");
	json_int_t version = json_integer_value(json_object_get(j, "ModifyIndex"));

	if (!key || (!json_is_string(value) && !json_is_null(value)) || version <= 0)
		return nonsense(err, "a key");
	str_copy(session, CONSUL_SESSION_MAX, holder ? holder : "");
	return add_entry(kv, key, json_is_string(value) ? json_string_value(value) : "",
			 (uint64_t)version, entries, err);
}

int consul_parse_keys(const struct kv *kv, const char *json, size_t len, struct kv_entries *entries,
		      char ret_session[static CONSUL_SESSION_MAX], struct cnm_error *err)
{
	_json_ json_t *keys = json_loadb(json, len, 0, NULL);
	int r = json_is_array(keys) ? 0 : nonsense(err, "no JSON array");

	ret_session[0] = '\0';
	for (size_t i = 0; r == 0 && i < json_array_size(keys); i++)
		r = parse_key(kv, json_array_get(keys, i), entries, ret_session, err);
	return r;
}

/* Of an operation of ours, by the number of Consul's: deleting takes two. */
static size_t op_of(const struct kv_op *ops, size_t n, json_int_t index)
{
	for (size_t i = 0; i < n; i++) {
		index -= ops[i].kind == KV_DELETE ? 2 : 1;
		if (index < 0)
			return i;
	}
	return n;
}

/* "index is stale", "key doesn't exist", "key exists", "current modify index 5 != 3" */
static bool is_conflict(const char *what)
{
	return what && (strstr(what, "exist") || strstr(what, "index"));
}

static int parse_errors(const json_t *errors, const struct kv_op *ops, size_t n, size_t *ret_which,
			struct cnm_error *err)
{
	size_t which = n;

	if (!json_array_size(errors))
		return nonsense(err, "Errors");
	for (size_t i = 0; i < json_array_size(errors); i++) {
		const json_t *e = json_array_get(errors, i);
		const char *what = json_string_value(json_object_get(e, "What"));
		const json_t *index = json_object_get(e, "OpIndex");
		size_t op = json_is_integer(index) ? op_of(ops, n, json_integer_value(index)) : n;

		if (!is_conflict(what))
			return cnm_error_set(
				err, CNM_E_UNAVAILABLE, "it refuses: %.200s",
				what && str_is_printable(what) ? what : "it does not say why");
		if (op < which)
			which = op;
	}
	*ret_which = which;
	return KV_CONFLICT;
}

int consul_parse_conflict(const char *json, size_t len, const struct kv_op *ops, size_t n,
			  size_t *ret_which, struct cnm_error *err)
{
	_json_ json_t *answer = json_loadb(json, len, 0, NULL);

	return parse_errors(json_object_get(answer, "Errors"), ops, n, ret_which, err);
}

int consul_parse_session(const char *json, size_t len, char ret[static CONSUL_SESSION_MAX],
			 struct cnm_error *err)
{
	_json_ json_t *answer = json_loadb(json, len, 0, NULL);
	const char *id = json_string_value(json_object_get(answer, "ID"));

	if (!id || !*id || strspn(id, UUID_CHARS) != strlen(id) || strlen(id) >= CONSUL_SESSION_MAX)
		return nonsense(err, "ID");
	str_copy(ret, CONSUL_SESSION_MAX, id);
	return 0;
}

uint64_t consul_parse_index(const char *text)
{
	uint64_t n = 0;

	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return 0;
	return n;
}
