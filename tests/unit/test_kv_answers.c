/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What etcd and Consul are told, and what is made of their answers. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cluster/consul_json.h"
#include "cluster/etcd_json.h"

static struct kv kv = { .prefix = "p" }, bare = { .prefix = "" };

static void assert_text(char *text, const char *want)
{
	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
}

/* "key=value@version", '-' for what is gone. */
static void assert_entries(struct kv_entries *e, const char *want)
{
	struct strbuf b = { .s = NULL };

	for (size_t i = 0; i < e->n; i++)
		strbuf_addf(&b, "%s%s=%s@%d", i ? " " : "", e->v[i].key,
			    e->v[i].value ? (const char *)e->v[i].value : "-",
			    (int)e->v[i].version);
	assert_string_equal(b.s ? b.s : "", want);
	strbuf_free(&b);
	kv_entries_free(e);
}

static const struct kv_op all_kinds[] = {
	{ KV_CREATE, "a", "v", 1 },       { KV_CHECK, "b", .version = 7 },
	{ KV_DELETE, "c", .version = 8 }, { KV_SET, "d", NULL, 0, 9 },
	{ KV_CHECK, "e", .version = 0 },
};
#define N_KINDS ARRAY_LEN(all_kinds)

/* ---- etcd */

static void etcd_spans(void **state)
{
	struct etcd_span s;

	assert_int_equal(etcd_span_key(&kv, "a", &s), 0);
	assert_text(etcd_range_text(&s, 1, 0),
		    "{\"key\":\"cC9h\",\"limit\":\"1\",\"revision\":\"0\"}");
	etcd_span_free(&s);
	assert_int_equal(etcd_span_below(&kv, "a", &s), 0);
	assert_string_equal(s.from, "p/a/");
	assert_string_equal(s.to, "p/a0");
	assert_text(etcd_watch_text(&s, 5),
		    "{\"create_request\":{\"key\":\"cC9hLw==\","
		    "\"range_end\":\"cC9hMA==\",\"start_revision\":\"5\"}}");
	etcd_span_free(&s);
	assert_int_equal(etcd_span_below(&kv, "", &s), 0);
	assert_string_equal(s.from, "p/");
	assert_string_equal(s.to, "p0");
	etcd_span_free(&s);
	assert_int_equal(etcd_span_below(&bare, "a", &s), 0);
	assert_string_equal(s.from, "a/");
	etcd_span_free(&s);
	assert_int_equal(etcd_span_below(&bare, "", &s), 0);
	assert_text(etcd_range_text(&s, 2, 3), "{\"key\":\"AA==\",\"range_end\":\"AA==\","
					       "\"limit\":\"2\",\"revision\":\"3\"}");
	etcd_span_free(&s);
}

static void etcd_requests(void **state)
{
	assert_text(etcd_put_text(&kv, "a", "v", 1, 12),
		    "{\"key\":\"cC9h\",\"value\":\"dg==\",\"lease\":\"12\"}");
	assert_text(
		etcd_txn_text(&kv, all_kinds, N_KINDS),
		"{\"compare\":["
		"{\"key\":\"cC9h\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"0\"},"
		"{\"key\":\"cC9i\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"7\"},"
		"{\"key\":\"cC9j\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"8\"},"
		"{\"key\":\"cC9k\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"9\"},"
		"{\"key\":\"cC9l\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"0\"}"
		"],\"success\":["
		"{\"request_put\":{\"key\":\"cC9h\",\"value\":\"dg==\"}},"
		"{\"request_delete_range\":{\"key\":\"cC9j\"}},"
		"{\"request_put\":{\"key\":\"cC9k\",\"value\":\"\"}}"
		"],\"failure\":["
		"{\"request_range\":{\"key\":\"cC9h\",\"keys_only\":true}},"
		"{\"request_range\":{\"key\":\"cC9i\",\"keys_only\":true}},"
		"{\"request_range\":{\"key\":\"cC9j\",\"keys_only\":true}},"
		"{\"request_range\":{\"key\":\"cC9k\",\"keys_only\":true}},"
		"{\"request_range\":{\"key\":\"cC9l\",\"keys_only\":true}}]}");
	assert_text(etcd_txn_text(&kv, &all_kinds[1], 1),
		    "{\"compare\":[{\"key\":\"cC9i\",\"target\":\"MOD\",\"result\":\"EQUAL\","
		    "\"mod_revision\":\"7\"}],\"success\":[],\"failure\":[{\"request_range\":"
		    "{\"key\":\"cC9i\",\"keys_only\":true}}]}");
}

#define HEADER "\"header\":{\"cluster_id\":\"18446744073709551615\",\"revision\":\"7\"}"

static void etcd_ranges(void **state)
{
	/* Keys of others, one with a zero byte, and one that is a folder, are none of ours. */
	static const char json[] =
		"{" HEADER ",\"kvs\":["
		"{\"key\":\"cC9h\",\"mod_revision\":\"5\",\"value\":\"dg==\",\"lease\":\"4\"},"
		"{\"key\":\"cC9i\",\"mod_revision\":6,\"other\":[1]},"
		"{\"key\":\"cQ==\",\"mod_revision\":\"6\",\"value\":\"dg==\"},"
		"{\"key\":\"cC9hAGI=\",\"mod_revision\":\"6\"},"
		"{\"key\":\"cC9jLw==\",\"mod_revision\":\"6\",\"lease\":\"3\"}],"
		"\"more\":true,\"count\":\"9\"}";
	struct kv_entries e = { .v = NULL };
	struct etcd_page page;

	assert_int_equal(etcd_parse_range(&kv, json, strlen(json), &e, &page, NULL), 0);
	assert_entries(&e, "a=v@5 b=@6");
	assert_true(page.header.cluster == UINT64_MAX && page.header.revision == 7);
	assert_true(page.more && page.lease == 3);
	assert_int_equal(page.next_len, 5);
	assert_memory_equal(page.next, "p/c/\0", 5);
	free(page.next);
	assert_int_equal(
		etcd_parse_range(&kv, "{" HEADER "}", strlen("{" HEADER "}"), &e, &page, NULL), 0);
	assert_entries(&e, "");
	assert_false(page.more);
	assert_null(page.next);
}

static void etcd_nonsense(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"null",
		"{",
		"{}",
		"{\"header\":{\"revision\":\"-1\"}}",
		"{\"header\":{\"revision\":\"\"}}",
		"{\"header\":{\"revision\":-1}}",
		"{\"header\":{\"revision\":\"18446744073709551616\"}}",
		"{\"header\":{\"revision\":true}}",
		"{" HEADER ",\"kvs\":{}}",
		"{" HEADER ",\"kvs\":[1]}",
		"{" HEADER ",\"kvs\":[{\"key\":\"cC9h\"}]}",
		"{" HEADER ",\"kvs\":[{\"key\":\"cC9\",\"mod_revision\":\"1\"}]}",
		"{" HEADER ",\"kvs\":[{\"key\":1,\"mod_revision\":\"1\"}]}",
		"{" HEADER ",\"kvs\":[{\"key\":\"cC9h\",\"value\":\"?\",\"mod_revision\":\"1\"}]}",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct kv_entries e = { .v = NULL };
		struct etcd_page page;
		struct cnm_error err;

		if (etcd_parse_range(&kv, bad[i], strlen(bad[i]), &e, &page, &err) >= 0)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(err.class, CNM_E_UNAVAILABLE);
		kv_entries_free(&e);
	}
}

static int etcd_txn_answer(const char *json, size_t *which)
{
	return etcd_parse_txn(json, strlen(json), all_kinds, N_KINDS, which, NULL);
}

#define RANGE(version)                                                                     \
	"{\"response_range\":{\"header\":{\"revision\":\"7\"},\"kvs\":[{\"key\":\"YQ==\"," \
	"\"mod_revision\":\"" version "\"}]}}"
#define ABSENT "{\"response_range\":{\"header\":{\"revision\":\"7\"}}}"

static void etcd_transactions(void **state)
{
	size_t which = 77;

	assert_int_equal(etcd_txn_answer("{" HEADER ",\"succeeded\":true}", &which), 0);
	assert_int_equal(which, 77);
	assert_int_equal(etcd_txn_answer("{" HEADER ",\"responses\":[" ABSENT
					 "," RANGE("7") "," RANGE("8") "," ABSENT "," ABSENT "]}",
					 &which),
			 KV_CONFLICT);
	assert_int_equal(which, 3);
	assert_int_equal(etcd_txn_answer("{" HEADER ",\"responses\":[" RANGE("1") "]}", &which),
			 KV_CONFLICT);
	assert_int_equal(which, 0);
	assert_int_equal(
		etcd_txn_answer("{" HEADER ",\"responses\":[" ABSENT
				"," RANGE("7") "," RANGE("8") "," RANGE("9") "," RANGE("1") "]}",
				&which),
		KV_CONFLICT);
	assert_int_equal(which, 4);
	/* It does not say which. */
	assert_int_equal(etcd_txn_answer("{" HEADER "}", &which), KV_CONFLICT);
	assert_int_equal(which, N_KINDS);
	/* Whatever this is, it is no answer, and so no conflict. */
	assert_true(etcd_txn_answer("{}", &which) < 0);
	assert_true(etcd_txn_answer("{\"succeeded\":true}", &which) < 0);
	assert_true(etcd_txn_answer("", &which) < 0);
}

static void etcd_leases(void **state)
{
	uint64_t n;

#define GRANT(s) etcd_parse_grant(s, strlen(s), &n, NULL)
#define ALIVE(s) etcd_parse_keepalive(s, strlen(s), &n, NULL)
	assert_int_equal(GRANT("{" HEADER ",\"ID\":\"7587899099143785482\",\"TTL\":\"2\"}"), 0);
	assert_true(n == 7587899099143785482u);
	assert_true(GRANT("{" HEADER "}") < 0);
	assert_true(GRANT("{\"ID\":{}}") < 0);
	assert_int_equal(ALIVE("{\"result\":{" HEADER ",\"ID\":\"1\",\"TTL\":\"5\"}}\n"), 0);
	assert_int_equal(n, 5);
	assert_int_equal(ALIVE("{\"result\":{" HEADER ",\"ID\":\"1\"}}"), 0);
	assert_int_equal(n, 0);
	assert_true(ALIVE("{\"error\":{}}") < 0);
	assert_true(ALIVE("5") < 0);
}

static void etcd_watches(void **state)
{
	struct kv_entries e = { .v = NULL };
	struct etcd_news news;
	struct cnm_error err;

#define NEWS(s) etcd_parse_news(&kv, s, strlen(s), &e, &news, &err)
	assert_int_equal(NEWS("{\"result\":{" HEADER ",\"created\":true}}"), 0);
	assert_true(!news.ended && news.header.revision == 7);
	assert_int_equal(
		NEWS("{\"result\":{" HEADER ",\"events\":["
		     "{\"kv\":{\"key\":\"cC9h\",\"mod_revision\":\"6\",\"value\":\"dg==\"}},"
		     "{\"type\":\"DELETE\",\"kv\":{\"key\":\"cC9i\",\"mod_revision\":\"7\"}},"
		     "{\"type\":\"PUT\",\"kv\":{\"key\":\"cC9j\",\"mod_revision\":\"7\"}}]}}"),
		0);
	assert_entries(&e, "a=v@6 b=-@7 c=@7");
	assert_int_equal(NEWS("{\"result\":{\"header\":{\"cluster_id\":\"1\"},\"canceled\":true,"
			      "\"compact_revision\":\"4\"}}"),
			 0);
	assert_true(news.ended);
	assert_int_equal(news.header.revision, 0);
	assert_true(NEWS("{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":"
			 "\"etcdserver: no leader\"}}") < 0);
	assert_non_null(strstr(err.text, "no leader"));
	assert_true(NEWS("{\"error\":{\"message\":\"\\u001b[0m\"}}") < 0);
	assert_null(strchr(err.text, '\x1b'));
	assert_true(NEWS("{\"result\":{" HEADER ",\"events\":[{}]}}") < 0);
	assert_true(NEWS("{\"result\":[]}") < 0);
	assert_true(NEWS("{}") < 0);
	kv_entries_free(&e);
}

static void etcd_errors(void **state)
{
#define CODE(s) etcd_error_code(s, strlen(s))
	assert_int_equal(CODE("{\"error\":\"x\",\"message\":\"x\",\"code\":11}"), 11);
	assert_int_equal(CODE("{\"code\":-1}"), 0);
	assert_int_equal(CODE("{\"code\":99999999999}"), 0);
	assert_int_equal(CODE("404"), 0);
}

/* ---- Consul */

static void consul_requests(void **state)
{
	assert_text(consul_txn_text(&kv, all_kinds, N_KINDS, 42),
		    "[{\"KV\":{\"Verb\":\"cas\",\"Key\":\"p/a\",\"Value\":\"dg==\",\"Flags\":42,"
		    "\"Index\":0}},"
		    "{\"KV\":{\"Verb\":\"check-index\",\"Key\":\"p/b\",\"Index\":7}},"
		    "{\"KV\":{\"Verb\":\"check-index\",\"Key\":\"p/c\",\"Index\":8}},"
		    "{\"KV\":{\"Verb\":\"delete-cas\",\"Key\":\"p/c\",\"Index\":8}},"
		    "{\"KV\":{\"Verb\":\"cas\",\"Key\":\"p/d\",\"Value\":\"\",\"Flags\":42,"
		    "\"Index\":9}},"
		    "{\"KV\":{\"Verb\":\"check-not-exists\",\"Key\":\"p/e\",\"Index\":0}}]");
	assert_text(consul_put_text(&bare, "a", "v", 1, "abc-1"),
		    "[{\"KV\":{\"Verb\":\"delete\",\"Key\":\"a\"}},{\"KV\":{\"Verb\":\"lock\","
		    "\"Key\":\"a\",\"Value\":\"dg==\",\"Session\":\"abc-1\"}}]");
	assert_text(consul_session_text(10),
		    "{\"Name\":\"cnm\",\"TTL\":\"10s\",\"Behavior\":\"delete\","
		    "\"LockDelay\":\"0s\",\"Checks\":[],\"NodeChecks\":[]}");
}

static void consul_keys(void **state)
{
	static const char json[] =
		"[{\"Key\":\"p/\",\"Value\":null,\"ModifyIndex\":3},"
		"{\"Key\":\"q/a\",\"Value\":\"dg==\",\"ModifyIndex\":3},"
		"{\"Key\":\"p/a\",\"Flags\":42,\"Value\":\"dg==\",\"ModifyIndex\":4},"
		"{\"Key\":\"p/b\",\"Value\":null,\"ModifyIndex\":5,\"Session\":\"s-1\"}]";
	static const char *const bad[] = {
		"",
		"{}",
		"[1]",
		"[{}]",
		"[{\"Key\":\"p/a\",\"Value\":\"dg==\"}]",
		"[{\"Key\":\"p/a\",\"Value\":\"dg==\",\"ModifyIndex\":0}]",
		"[{\"Key\":\"p/a\",\"Value\":\"dg==\",\"ModifyIndex\":-4}]",
		"[{\"Key\":\"p/a\",\"Value\":\"dg==\",\"ModifyIndex\":\"4\"}]",
		"[{\"Key\":\"p/a\",\"Value\":7,\"ModifyIndex\":4}]",
		"[{\"Key\":\"p/a\",\"Value\":\"d\",\"ModifyIndex\":4}]",
	};
	struct kv_entries e = { .v = NULL };
	char session[CONSUL_SESSION_MAX];

	assert_int_equal(consul_parse_keys(&kv, json, strlen(json), &e, session, NULL), 0);
	assert_entries(&e, "a=v@4 b=@5");
	assert_string_equal(session, "s-1");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cnm_error err;

		if (consul_parse_keys(&kv, bad[i], strlen(bad[i]), &e, session, &err) >= 0)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(err.class, CNM_E_UNAVAILABLE);
		kv_entries_free(&e);
	}
}

static int consul_txn_errors(const char *json, size_t *which)
{
	return consul_parse_conflict(json, strlen(json), all_kinds, N_KINDS, which, NULL);
}

static void consul_transactions(void **state)
{
	static const struct {
		const char *index;
		size_t which;
	} cases[] = { { "0", 0 }, { "1", 1 }, { "2", 2 },  { "3", 2 },    { "4", 3 },
		      { "5", 4 }, { "6", 5 }, { "-1", 0 }, { "\"1\"", 5 } };
	char json[256];
	size_t which = 77;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(json, sizeof(json),
			 "{\"Errors\":[{\"OpIndex\":%s,\"What\":\"index is stale\"},"
			 "{\"OpIndex\":99,\"What\":\"key \\\"p/a\\\" exists\"}]}",
			 cases[i].index);
		assert_int_equal(consul_txn_errors(json, &which), KV_CONFLICT);
		assert_int_equal(which, cases[i].which);
	}
	assert_true(
		consul_txn_errors("{\"Errors\":[{\"OpIndex\":0,\"What\":\"Permission denied\"}]}",
				  &which) < 0);
	assert_true(consul_txn_errors("{\"Errors\":[{\"OpIndex\":0}]}", &which) < 0);
	assert_true(consul_txn_errors("{\"Errors\":[]}", &which) < 0);
	assert_true(consul_txn_errors("{\"Errors\":null}", &which) < 0);
	assert_true(consul_txn_errors("", &which) < 0);
}

static void consul_sessions(void **state)
{
	static const char *const bad[] = { "", "{}", "{\"ID\":\"\"}", "{\"ID\":\"../a\"}",
					   "{\"ID\":7}" };
	char id[CONSUL_SESSION_MAX];

#define SESSION(s) consul_parse_session(s, strlen(s), id, NULL)
	assert_int_equal(SESSION("{\"ID\":\"d7de87e2-c8d3-e327-99ea-59579151095f\"}"), 0);
	assert_string_equal(id, "d7de87e2-c8d3-e327-99ea-59579151095f");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(SESSION(bad[i]) < 0);
}

static void consul_indexes(void **state)
{
	assert_true(consul_parse_index("18446744073709551615") == UINT64_MAX);
	assert_int_equal(consul_parse_index("12"), 12);
	assert_int_equal(consul_parse_index(""), 0);
	assert_int_equal(consul_parse_index("0"), 0);
	assert_int_equal(consul_parse_index("-1"), 0);
	assert_int_equal(consul_parse_index("18446744073709551616"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(etcd_spans),          cmocka_unit_test(etcd_requests),
		cmocka_unit_test(etcd_ranges),         cmocka_unit_test(etcd_nonsense),
		cmocka_unit_test(etcd_transactions),   cmocka_unit_test(etcd_leases),
		cmocka_unit_test(etcd_watches),        cmocka_unit_test(etcd_errors),
		cmocka_unit_test(consul_requests),     cmocka_unit_test(consul_keys),
		cmocka_unit_test(consul_transactions), cmocka_unit_test(consul_sessions),
		cmocka_unit_test(consul_indexes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
