/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Of the cluster's store, what needs no server: URLs, keys, what is refused before anybody is
 * asked, entries, the mirror, base64. What the stores do is checked by kv_suite.c.
 */
#include "unit.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cluster/base64.h"
#include "cluster/kv_internal.h"

/* ---- URLs */

static void urls_that_are_good(void **state)
{
	static const struct {
		const char *url;
		const struct kv_backend *backend;
		const char *servers, *prefix; /* hosts and ports, as they were understood */
	} cases[] = {
		{ "etcd://10.0.0.1:2379", &kv_etcd, "10.0.0.1 2379;", "" },
		{ "etcd://a:1/", &kv_etcd, "a 1;", "" },
		{ "consul://a:1,b-c.d_e:65535/p", &kv_consul, "a 1;b-c.d_e 65535;", "p" },
		{ "zk://[::1]:2181,[fd00::2]:1/p/q.r/", &kv_zookeeper, "::1 2181;fd00::2 1;",
		  "p/q.r" },
		{ "zookeeper://a:2181", &kv_zookeeper, "a 2181;", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct kv kv = { .n_servers = 0 };
		struct strbuf b = { .s = NULL };
		struct cnm_error err;

		if (kv_url_parse(cases[i].url, &kv, &err) < 0)
			fail_msg("%s: %s", cases[i].url, err.text);
		for (size_t j = 0; j < kv.n_servers; j++) {
			strbuf_addf(&b, "%s %u;", kv.servers[j].host, kv.servers[j].port);
			assert_non_null(strstr(cases[i].url, kv.servers[j].name));
		}
		assert_string_equal(b.s, cases[i].servers);
		assert_string_equal(kv.prefix, cases[i].prefix);
		assert_ptr_equal(kv.backend, cases[i].backend);
		strbuf_free(&b);
		kv_url_free(&kv);
	}
}

static void urls_that_are_bad(void **state)
{
	static const struct {
		const char *url, *why;
	} cases[] = {
		{ "", "it must be SCHEME://" },
		{ "etcd", "it must be SCHEME://" },
		{ "http://a:1", "the scheme must be" },
		{ "ETCD://a:1", "the scheme must be" },
		{ "etcd://", "the port is missing" },
		{ "etcd://a", "the port is missing" },
		{ "etcd://:1", "the host must be" },
		{ "etcd://a:", "a number from 1" },
		{ "etcd://a:0", "a number from 1" },
		{ "etcd://a:65536", "a number from 1" },
		{ "etcd://a:1x", "a number from 1" },
		{ "etcd://a:1,", "the port is missing" },
		{ "etcd://a:1,,b:1", "the port is missing" },
		{ "etcd://user@a:1", "the host must be" },
		{ "etcd://::1:2379", "the host must be" },
		{ "etcd://[::1]", "the port is missing" },
		{ "etcd://[::1:2379", "the port is missing" },
		{ "etcd://[1.2.3.4]:1", "the host must be" },
		{ "etcd://[]:1", "the port is missing" },
		{ "etcd://a:1//", "the prefix" },
		{ "etcd://a:1//p", "the prefix" },
		{ "etcd://a:1/p//q", "the prefix" },
		{ "etcd://a:1/p/../q", "the prefix" },
		{ "etcd://a:1/p?x", "the prefix" },
		{ "etcd://a:1/p\xc3\xa4", "the prefix" },
		{ NULL, "there is none" },
	};
	struct strbuf b = { .s = NULL };
	struct cnm_error err;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (kv_url_check(cases[i].url, &err) != -EINVAL || err.class != CNM_E_INVALID)
			fail_msg("%s is taken", cases[i].url);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s: %s", cases[i].url, err.text);
	}
	strbuf_add(&b, "etcd://a:1");
	for (int i = 0; i < 31; i++)
		strbuf_add(&b, ",a:1");
	assert_int_equal(kv_url_check(b.s, &err), 0);
	strbuf_add(&b, ",a:1");
	assert_int_equal(kv_url_check(b.s, &err), -EINVAL);
	strbuf_free(&b);
}

/* ---- keys */

static void keys(void **state)
{
	static const char *const good[] = { "a", "a/b", "...", "a/.b", "A-z_0.9/x", "-" };
	static const char *const bad[] = { "",    "/",    "/a",   "a/",   "a//b", ".",
					   "..",  "a/..", "./a",  "a b",  "a\n",  "a%",
					   "a\"", "a\\",  "\x7f", "\xff", NULL };
	char key[KV_KEY_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(kv_key_is_good(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(kv_key_is_good(bad[i]));
	memset(key, 'k', sizeof(key));
	key[KV_KEY_MAX] = '\0';
	assert_true(kv_key_is_good(key));
	key[KV_KEY_MAX] = 'k';
	key[KV_KEY_MAX + 1] = '\0';
	assert_false(kv_key_is_good(key));
}

static void keys_below_the_prefix(void **state)
{
	struct kv with = { .prefix = "p/q" }, without = { .prefix = "" };
	char *full = kv_full_key(&with, "a/b");

	assert_string_equal(full, "p/q/a/b");
	assert_string_equal(kv_own_key(&with, full), "a/b");
	assert_string_equal(kv_own_key(&without, full), "p/q/a/b");
	free(full);
	full = kv_full_key(&without, "a/b");
	assert_string_equal(full, "a/b");
	free(full);
	assert_null(kv_own_key(&with, "p/q"));
	assert_null(kv_own_key(&with, "p/q/"));
	assert_null(kv_own_key(&with, "p/qa/b"));
	assert_null(kv_own_key(&with, "p/q//b"));
	assert_null(kv_own_key(&with, "a/b"));
	assert_null(kv_own_key(&without, "/a"));
}

/* ---- what is refused before anybody is asked */

static struct kv *opened(const struct kv_options *o)
{
	struct cnm_error err;
	struct kv *kv;

	if (kv_open(&kv, o, &err) < 0)
		fail_msg("%s", err.text);
	return kv;
}

static void transactions_that_are_refused(void **state)
{
	/* Nobody listens there; nobody is asked. */
	struct kv *kv = opened(&(struct kv_options){ .url = "etcd://127.0.0.1:1", .ttl_s = 1 });
	static char large[KV_VALUE_MAX + 1];
	static const struct kv_op cases[][2] = {
		{ { KV_CREATE, "a", NULL, 1 } },
		{ { KV_SET, "a", "v", 1, 0 } },
		{ { KV_DELETE, "a", .version = 0 } },
		{ { KV_CHECK, "a b" } },
		{ { KV_CHECK, NULL } },
		{ { KV_CREATE, "a", large, sizeof(large) } },
		{ { KV_CREATE, "a", "v", 1 }, { KV_CHECK, "a" } },
		{ { KV_CREATE, "a", large, KV_VALUE_MAX }, { KV_SET, "b", "v", 1, 1 } },
	};
	struct kv_op ok = { KV_CHECK, "a" };
	struct kv_status status;
	struct kv_entries e;
	struct cnm_error err;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = cases[i][1].key ? 2 : 1;

		assert_int_equal(kv_txn(kv, cases[i], n, 1000, NULL, &err), -EINVAL);
		assert_int_equal(err.class, CNM_E_INVALID);
	}
	assert_int_equal(kv_txn(kv, &ok, 0, 1000, NULL, &err), -EINVAL);
	assert_int_equal(kv_get(kv, "", 1000, &e, &err), -EINVAL);
	assert_int_equal(kv_list(kv, "a/", 1000, &e, &err), -EINVAL);
	assert_int_equal(kv_list(kv, NULL, 1000, &e, &err), -EINVAL);
	assert_int_equal(kv_keep(kv, "a", large, sizeof(large)), -EINVAL);
	assert_int_equal(kv_keep(kv, "a", NULL, 1), -EINVAL);
	assert_int_equal(kv_keep(kv, "a", NULL, 0), 0);
	assert_int_equal(kv_keep(kv, "b", NULL, 0), -EINVAL);
	kv_status(kv, &status);
	assert_int_equal(status.requests, 0);
	kv_close(kv);
}

static void options_that_are_refused(void **state)
{
	static const char some[] = "/proc/self/exe", none[] = "/no/such/file";
	static const struct {
		struct kv_options o;
		const char *why;
	} cases[] = {
		{ { "etcd://a:1", .ttl_s = 0 }, "at least 1 second" },
		{ { "etcd://a:1", some, NULL, NULL, 1 }, "three files" },
		{ { "etcd://a:1", NULL, some, some, 1 }, "three files" },
		{ { "etcd://a:1", none, some, some, 1 }, "the CA" },
		{ { "etcd://a:1", some, none, some, 1 }, "the certificate" },
		{ { "etcd://a:1", some, some, none, 1 }, "the key" },
		{ { "a:1", .ttl_s = 1 }, "SCHEME" },
	};
	struct cnm_error err;
	struct kv *kv = NULL;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(kv_open(&kv, &cases[i].o, &err) < 0);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s", err.text);
	}
	assert_null(kv);
	kv_close(NULL);
}

/* ---- entries */

static void entries(void **state)
{
	struct kv_entries e = { .v = NULL };
	char key[16];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "k%02u", (i * 37) % 100);
		assert_int_equal(kv_entries_add(&e, key, key, strlen(key) + 1, i + 1), 0);
	}
	kv_entries_sort(&e);
	assert_int_equal(e.n, 100);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "k%02u", i);
		assert_string_equal(e.v[i].key, key);
		assert_string_equal(e.v[i].value, key);
		assert_int_equal(e.v[i].version * 37 % 100, (i + 37) % 100);
	}
	kv_entries_cut(&e, 16);
	assert_int_equal(e.n, 16);
	assert_int_equal(kv_entries_add(&e, "gone", NULL, 0, 1), 0);
	assert_int_equal(kv_entries_add(&e, "empty", "", 0, 1), 0);
	assert_null(e.v[16].value);
	assert_non_null(e.v[17].value);
	kv_entries_free(&e);
	kv_entries_sort(&e);
	assert_int_equal(e.n, 0);
}

/* ---- the mirror */

static struct strbuf heard;

static void hear(const char *what, const struct kv_entry *v, size_t n)
{
	strbuf_add(&heard, what);
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&heard, " %s=%.*s", v[i].key, v[i].value ? (int)v[i].len : 1,
			    v[i].value ? (const char *)v[i].value : "-");
	strbuf_add(&heard, ";");
}

static void on_all(void *arg, const struct kv_entry *v, size_t n)
{
	hear("all", v, n);
}

static void on_changed(void *arg, const struct kv_entry *v, size_t n)
{
	hear("changed", v, n);
}

static void on_reached(void *arg, bool yes, const char *why)
{
	strbuf_addf(&heard, "%s%s;", yes ? "yes" : "no ", why);
}

static const struct kv_watcher watcher = { on_all, on_changed, on_reached };

static void assert_heard(const char *want)
{
	assert_string_equal(heard.s ? heard.s : "", want);
	strbuf_free(&heard);
}

struct now {
	const char *key, *value;
	uint64_t version;
};

/* What is there ends at an entry without a key. */
static void update(struct kv_mirror *m, struct kv *kv, bool all, const struct now *now)
{
	struct kv_entries e = { .v = NULL };

	for (; now->key; now++)
		assert_int_equal(
			kv_entries_add(&e, now->key, now->value, strlen(now->value), now->version),
			0);
	assert_int_equal(kv_mirror_update(m, kv, &e, all), 0);
	kv_entries_free(&e);
}

#define UPDATE(m, all, ...) update(m, &kv, all, (const struct now[]){ __VA_ARGS__ })

static void the_mirror_tells_differences(void **state)
{
	struct kv kv = { .watcher = &watcher };
	struct kv_mirror *m = kv_mirror_new();

	assert_non_null(m);
	UPDATE(m, true, { "a", "1", 5 }, { "b", "2", 3 }, { NULL });
	assert_heard("all a=1 b=2;");
	UPDATE(m, false, { "a", "1", 5 }, { "b", "2", 3 }, { NULL });
	assert_heard("");
	/* In the order of their versions; what is gone comes first. */
	UPDATE(m, false, { "a", "x", 9 }, { "c", "3", 7 }, { "d", "4", 8 }, { NULL });
	assert_heard("changed b=- c=3 d=4 a=x;");
	/* The same value written again; another one of the same version. */
	UPDATE(m, false, { "a", "x", 10 }, { "c", "y", 7 }, { "d", "4", 8 }, { NULL });
	assert_heard("changed c=y a=x;");
	UPDATE(m, true, { "a", "x", 10 }, { NULL });
	assert_heard("all a=x;");
	UPDATE(m, false, { NULL });
	assert_heard("changed a=-;");
	UPDATE(m, true, { NULL });
	assert_heard("all;");
	kv_mirror_free(m);
	kv_mirror_free(NULL);
}

/* Whatever happens, who applies what is told has what there is. */
static void the_mirror_is_exact(void **state)
{
	struct kv kv = { .watcher = &watcher };
	struct kv_mirror *m = kv_mirror_new();
	struct now before[20] = { 0 }, now[21];

	rng_seed();
	UPDATE(m, true, { NULL });
	strbuf_free(&heard);
	for (unsigned round = 1; round < 500; round++) {
		static char names[20][4];
		size_t n = 0, different = 0;
		const char *told;

		for (unsigned i = 0; i < 20; i++) {
			struct now next = { NULL };

			snprintf(names[i], sizeof(names[i]), "%02u", i);
			if (rng(3))
				next = before[i];
			else if (rng(3))
				next = (struct now){ names[i], rng(2) ? "v" : "w", round };
			if (next.key)
				now[n++] = next;
			different += next.key != before[i].key || next.version != before[i].version;
			before[i] = next;
		}
		now[n] = (struct now){ NULL };
		update(m, &kv, false, now);
		told = heard.s ? heard.s : "";
		for (const char *p = told; (p = strchr(p, '=')); p++)
			different--;
		assert_int_equal(different, 0);
		strbuf_free(&heard);
	}
	kv_mirror_free(m);
}

/* ---- whether it is reached */

static void its_state_is_told_once(void **state)
{
	struct kv kv = { .watcher = &watcher, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct kv_server server = { .name = "a:1" };
	struct kv_status status;

	kv_reached(&kv, false, "refused");
	kv_reached(&kv, false, "silent");
	kv_status(&kv, &status);
	assert_string_equal(status.why, "silent");
	kv_reached(&kv, true, "");
	kv_reached(&kv, true, "");
	kv_reached(&kv, false, "gone");
	assert_heard("no refused;yes;no gone;");
	kv_asked(&kv, &server);
	kv_at(&kv, &server);
	kv_status(&kv, &status);
	assert_false(status.reached);
	assert_string_equal(status.server, "a:1");
	assert_int_equal(status.requests, 1);
}

/* ---- base64 */

static void base64(void **state)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = { { "", "" },        { "f", "Zg==" },        { "fo", "Zm8=" },
		      { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "\xfb\xff\xbf", "+/+/" } };
	static const char *const bad[] = { "Z",    "Zg=",  "Zg",   "Zg==Zg==", "Z===", "====",
					   "Zh==", "Zm9=", "Zm9-", "Zm 9",     "=Zm9", "Zm9v\n" };
	struct strbuf b = { .s = NULL };
	uint8_t bytes[300];
	void *back;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		base64_add(&b, cases[i].bytes, strlen(cases[i].bytes));
		assert_string_equal(b.s ? b.s : "", cases[i].text);
		strbuf_free(&b);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &back, &len), -EINVAL);
	rng_seed();
	for (size_t n = 0; n < sizeof(bytes); n++) {
		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)rng(256);
		base64_add(&b, bytes, n);
		assert_int_equal(base64_decode(b.s ? b.s : "", b.len, &back, &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(back, bytes, n);
		free(back);
		strbuf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_that_are_good),
		cmocka_unit_test(urls_that_are_bad),
		cmocka_unit_test(keys),
		cmocka_unit_test(keys_below_the_prefix),
		cmocka_unit_test(transactions_that_are_refused),
		cmocka_unit_test(options_that_are_refused),
		cmocka_unit_test(entries),
		cmocka_unit_test(the_mirror_tells_differences),
		cmocka_unit_test(the_mirror_is_exact),
		cmocka_unit_test(its_state_is_told_once),
		cmocka_unit_test(base64),
	};

	/* What is opened here looks for a server. */
	if (unshare(CLONE_NEWNET) < 0) {
		perror("skipped: root is needed to make a network namespace");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
