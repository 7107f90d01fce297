/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kv-suite: reading and writing, transactions, and what is refused. */
#include "kv_suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* ---- reading and writing */

static void keys_come_and_go(void **state)
{
	struct kv *kv = *state;
	uint64_t first, second;

	assert_int_equal(version_of(kv, "hosts/a"), 0);
	assert_int_equal(create(kv, "hosts/a", "one"), 0);
	assert_value(kv, "hosts/a", "one", 3);
	first = version_of(kv, "hosts/a");
	assert_int_equal(one(kv, KV_SET, "hosts/a", "two!", 4, first), 0);
	assert_value(kv, "hosts/a", "two!", 4);
	second = version_of(kv, "hosts/a");
	assert_true(first != second);
	assert_int_equal(one(kv, KV_DELETE, "hosts/a", NULL, 0, second), 0);
	assert_int_equal(version_of(kv, "hosts/a"), 0);
	assert_int_equal(create(kv, "hosts/a", "two!"), 0);
	assert_true(version_of(kv, "hosts/a") != second);
}

static void the_same_value_is_another_version(void **state)
{
	struct kv *kv = *state;
	uint64_t version;

	create(kv, "k", "v");
	version = version_of(kv, "k");
	assert_int_equal(one(kv, KV_SET, "k", "v", 1, version), 0);
	assert_true(version_of(kv, "k") != version);
}

static void values_are_bytes(void **state)
{
	struct kv *kv = *state;
	unsigned char bytes[1024];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + i / 256);
	assert_int_equal(one(kv, KV_CREATE, "empty", NULL, 0, 0), 0);
	assert_value(kv, "empty", "", 0);
	assert_int_equal(one(kv, KV_CREATE, "bytes", bytes, sizeof(bytes), 0), 0);
	assert_value(kv, "bytes", bytes, sizeof(bytes));
	assert_int_equal(one(kv, KV_SET, "bytes", NULL, 0, version_of(kv, "bytes")), 0);
	assert_value(kv, "bytes", "", 0);
	assert_int_equal(one(kv, KV_CREATE, "nul", "\0", 1, 0), 0);
	assert_value(kv, "nul", "\0", 1);
	assert_listed(kv, "", "bytes empty nul");
}

static void the_largest_value(void **state)
{
	struct kv *kv = *state;
	_free_ char *value = malloc(KV_VALUE_MAX);

	for (size_t i = 0; i < KV_VALUE_MAX; i++)
		value[i] = (char)(i * i >> 3);
	assert_int_equal(one(kv, KV_CREATE, "large", value, KV_VALUE_MAX, 0), 0);
	assert_value(kv, "large", value, KV_VALUE_MAX);
	memset(value, 0, KV_VALUE_MAX);
	assert_int_equal(one(kv, KV_SET, "large", value, KV_VALUE_MAX, version_of(kv, "large")), 0);
	assert_value(kv, "large", value, KV_VALUE_MAX);
}

static void the_longest_key(void **state)
{
	struct kv *kv = *state;
	char key[KV_KEY_MAX + 1];

	for (size_t i = 0; i < KV_KEY_MAX; i++)
		key[i] = i % 32 == 31 ? '/' : (char)('a' + i % 26);
	key[KV_KEY_MAX] = '\0';
	assert_int_equal(create(kv, key, "v"), 0);
	assert_value(kv, key, "v", 1);
	assert_listed(kv, "", key);
	delete_key(kv, key);
	assert_listed(kv, "", "");
}

static void lists_are_sorted_and_of_one_folder(void **state)
{
	struct kv *kv = *state;

	create(kv, "ab/x", "");
	create(kv, "a/z", "");
	create(kv, "a-/x", "");
	create(kv, "a.b/x", "");
	create(kv, "a/b/c", "");
	create(kv, "A/x", "");
	create(kv, "a/Z", "");
	create(kv, "b", "");
	assert_listed(kv, "a", "a/Z a/b/c a/z");
	assert_listed(kv, "ab", "ab/x");
	assert_listed(kv, "a/b", "a/b/c");
	assert_listed(kv, "b", "");
	assert_listed(kv, "absent", "");
	assert_listed(kv, "", "A/x a-/x a.b/x a/Z a/b/c a/z ab/x b");
}

static void a_folder_may_become_a_key(void **state)
{
	struct kv *kv = *state;

	create(kv, "a/b/c", "1");
	delete_key(kv, "a/b/c");
	assert_int_equal(version_of(kv, "a/b"), 0);
	assert_int_equal(create(kv, "a/b", "2"), 0);
	assert_value(kv, "a/b", "2", 1);
	delete_key(kv, "a/b");
	assert_int_equal(create(kv, "a/b/d", "3"), 0);
	assert_listed(kv, "", "a/b/d");
}

/* ---- transactions */

static void conflicts(void **state)
{
	struct kv *kv = *state;
	uint64_t version, old;

	create(kv, "k", "1");
	old = version_of(kv, "k");
	assert_int_equal(create(kv, "k", "2"), KV_CONFLICT);
	assert_int_equal(one(kv, KV_SET, "k", "2", 1, old + 1), KV_CONFLICT);
	assert_int_equal(one(kv, KV_DELETE, "k", NULL, 0, old + 1), KV_CONFLICT);
	assert_int_equal(one(kv, KV_CHECK, "k", NULL, 0, old + 1), KV_CONFLICT);
	assert_int_equal(one(kv, KV_CHECK, "k", NULL, 0, 0), KV_CONFLICT);
	assert_int_equal(one(kv, KV_CHECK, "k", NULL, 0, old), 0);
	assert_int_equal(one(kv, KV_CHECK, "absent", NULL, 0, 0), 0);
	assert_int_equal(one(kv, KV_SET, "absent", "2", 1, old), KV_CONFLICT);
	assert_int_equal(one(kv, KV_DELETE, "absent", NULL, 0, old), KV_CONFLICT);
	assert_int_equal(one(kv, KV_CHECK, "absent", NULL, 0, old), KV_CONFLICT);
	assert_value(kv, "k", "1", 1);
	assert_int_equal(version_of(kv, "k"), old);
	assert_int_equal(one(kv, KV_SET, "k", "2", 1, old), 0);
	version = version_of(kv, "k");
	assert_int_equal(one(kv, KV_SET, "k", "3", 1, old), KV_CONFLICT);
	assert_int_equal(one(kv, KV_DELETE, "k", NULL, 0, old), KV_CONFLICT);
	assert_int_equal(one(kv, KV_DELETE, "k", NULL, 0, version), 0);
	create(kv, "k", "1");
	assert_int_equal(one(kv, KV_SET, "k", "3", 1, old), KV_CONFLICT);
	assert_int_equal(one(kv, KV_SET, "k", "3", 1, version), KV_CONFLICT);
	assert_value(kv, "k", "1", 1);
	assert_listed(kv, "", "k");
}

static void all_kinds_at_once(void **state)
{
	struct kv *kv = *state;
	uint64_t version;

	create(kv, "t/set", "1");
	create(kv, "t/delete", "1");
	create(kv, "t/check", "1");
	version = version_of(kv, "t/check");
	{
		struct kv_op ops[] = {
			{ KV_CHECK, "t/check", .version = version },
			{ KV_CREATE, "u/v/new", "n", 1 },
			{ KV_SET, "t/set", "2", 1, version_of(kv, "t/set") },
			{ KV_DELETE, "t/delete", .version = version_of(kv, "t/delete") },
			{ KV_CHECK, "w/none", .version = 0 },
		};
		assert_int_equal(txn(kv, ops, ARRAY_LEN(ops), NULL), 0);
	}
	assert_listed(kv, "", "t/check t/set u/v/new");
	assert_value(kv, "t/set", "2", 1);
	assert_int_equal(version_of(kv, "t/check"), version);
}

/* Each kind fails as one of five; what is told is the first one that fails, or n. */
static void all_or_nothing(void **state)
{
	struct kv *kv = *state;
	uint64_t version;

	create(kv, "k", "1");
	create(kv, "l", "1");
	version = version_of(kv, "k");
	struct kv_op failing[] = {
		{ KV_CREATE, "k", "2", 1 },
		{ KV_SET, "k", "2", 1, version + 1000 },
		{ KV_DELETE, "k", .version = version + 1000 },
		{ KV_CHECK, "k", .version = version + 1000 },
		{ KV_CHECK, "k", .version = 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(failing); i++)
		for (size_t at = 0; at < 4; at++) {
			struct kv_op ops[4] = {
				{ KV_CREATE, "new/a", "2", 1 },
				{ KV_CREATE, "new/b", "2", 1 },
				{ KV_CREATE, "new/c", "2", 1 },
				{ KV_SET, "l", "2", 1, version_of(kv, "l") },
			};
			size_t which = 77;

			ops[at] = failing[i];
			assert_int_equal(txn(kv, ops, 4, &which), KV_CONFLICT);
			if (which != at && which != 4)
				fail_msg("kind %zu at %zu: told %zu", i, at, which);
		}
	assert_listed(kv, "", "k l");
	assert_value(kv, "k", "1", 1);
	assert_value(kv, "l", "1", 1);
}

static void the_first_conflict_is_told(void **state)
{
	struct kv *kv = *state;
	size_t which = 77;

	create(kv, "k", "1");
	create(kv, "l", "1");
	struct kv_op ops[] = {
		{ KV_CREATE, "new/a", "2", 1 },
		{ KV_CREATE, "k", "2", 1 },
		{ KV_SET, "l", "2", 1, version_of(kv, "l") + 1000 },
	};
	assert_int_equal(txn(kv, ops, ARRAY_LEN(ops), &which), KV_CONFLICT);
	assert_true(which == 1 || which == 3);
	assert_listed(kv, "", "k l");
}

static void large_transactions(void **state)
{
	struct kv *kv = *state;
	char keys[KV_TXN_MAX][16];
	_free_ char *value = calloc(1, KV_VALUE_MAX);
	struct kv_op ops[KV_TXN_MAX];
	struct kv_entries e;
	size_t which = 77;

	for (size_t i = 0; i < KV_TXN_MAX; i++) {
		snprintf(keys[i], sizeof(keys[i]), "t/%02zu", i);
		ops[i] = (struct kv_op){ KV_CREATE, keys[i], value, KV_VALUE_MAX / KV_TXN_MAX };
	}
	assert_int_equal(txn(kv, ops, KV_TXN_MAX, NULL), 0);
	e = listed(kv, "t");
	assert_int_equal(e.n, KV_TXN_MAX);
	for (size_t i = 0; i < e.n; i++) {
		assert_string_equal(e.v[i].key, keys[i]);
		ops[i].kind = KV_SET;
		ops[i].version = e.v[i].version;
	}
	kv_entries_free(&e);
	ops[KV_TXN_MAX - 1].version++;
	assert_int_equal(txn(kv, ops, KV_TXN_MAX, &which), KV_CONFLICT);
	assert_true(which == KV_TXN_MAX - 1 || which == KV_TXN_MAX);
	ops[KV_TXN_MAX - 1].version--;
	assert_int_equal(txn(kv, ops, KV_TXN_MAX, NULL), 0);
	for (size_t i = 0; i < KV_TXN_MAX; i++) {
		ops[i].kind = i % 2 ? KV_DELETE : KV_CHECK;
		ops[i].version = version_of(kv, keys[i]);
	}
	assert_int_equal(txn(kv, ops, KV_TXN_MAX, NULL), 0);
	e = listed(kv, "t");
	assert_int_equal(e.n, KV_TXN_MAX / 2);
	kv_entries_free(&e);
}

/* ---- what is refused */

static void keys_that_break_the_rules(void **state)
{
	struct kv *kv = *state;
	char longer[KV_KEY_MAX + 2];
	const char *bad[] = { "",   "/",    "/a",   "a/",       "a//b",  "a b",  "a\tb",
			      "a*", "a\nb", "a%41", "\xc3\xa4", "a/./b", "a/..", longer };

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct kv_op op = { KV_CREATE, bad[i], "v", 1 };
		struct kv_entries e = { 0 };
		struct cnm_error err = { 0 };

		assert_int_equal(kv_txn(kv, &op, 1, MS, NULL, &err), -EINVAL);
		assert_true(err.text[0]);
		assert_int_equal(kv_get(kv, bad[i], MS, &e, &err), -EINVAL);
		assert_int_equal(kv_keep(kv, bad[i], "v", 1), -EINVAL);
		if (*bad[i])
			assert_int_equal(kv_list(kv, bad[i], MS, &e, &err), -EINVAL);
		assert_int_equal(e.n, 0);
	}
	assert_listed(kv, "", "");
}

static void transactions_that_break_the_rules(void **state)
{
	struct kv *kv = *state;
	_free_ char *value = calloc(1, KV_VALUE_MAX + 1);
	struct kv_op many[KV_TXN_MAX + 1];
	char keys[KV_TXN_MAX + 1][16];
	struct cnm_error err;

	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		snprintf(keys[i], sizeof(keys[i]), "t/%02zu", i);
		many[i] = (struct kv_op){ KV_CREATE, keys[i], "v", 1 };
	}
	assert_int_equal(kv_txn(kv, many, ARRAY_LEN(many), MS, NULL, &err), -EINVAL);
	many[1].key = many[0].key;
	assert_int_equal(kv_txn(kv, many, 2, MS, NULL, &err), -EINVAL);
	struct kv_op large = { KV_CREATE, "k", value, KV_VALUE_MAX + 1 };
	assert_int_equal(kv_txn(kv, &large, 1, MS, NULL, &err), -EINVAL);
	struct kv_op two[] = { { KV_CREATE, "k", value, KV_VALUE_MAX },
			       { KV_CREATE, "l", "v", 1 } };
	assert_int_equal(kv_txn(kv, two, 2, MS, NULL, &err), -EINVAL);
	assert_listed(kv, "", "");
}

static void bad_options(void **state)
{
	const char *urls[] = { "",
			       "etcd",
			       "etcd://",
			       "etcd:///x",
			       "redis://127.0.0.1:1",
			       "etcd://127.0.0.1",
			       "etcd://127.0.0.1:0",
			       "etcd://127.0.0.1:65536",
			       "etcd://127.0.0.1:1,",
			       "etcd://[::1:1",
			       "etcd://127.0.0.1:1/a//b",
			       "etcd://127.0.0.1:1/a b" };
	struct kv_options o = options;
	struct kv *kv = NULL;

	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct cnm_error err = { 0 };

		o.url = urls[i];
		assert_int_equal(kv_open(&kv, &o, &err), -EINVAL);
		assert_int_equal(kv_url_check(urls[i], &err), -EINVAL);
		assert_true(err.text[0]);
	}
	assert_int_equal(kv_url_check("consul://[::1]:8500,a.b-c:1/p/q", NULL), 0);
	assert_int_equal(kv_url_check("zookeeper://a:2181", NULL), 0);
	o = options;
	o.ttl_s = 0;
	assert_int_equal(kv_open(&kv, &o, NULL), -EINVAL);
	o = (struct kv_options){ .url = options.url, .ttl_s = 1, .cacertfile = "/dev/null" };
	assert_int_equal(kv_open(&kv, &o, NULL), -EINVAL);
	kv_close(NULL);
}

int check_data(void)
{
	const struct CMUnitTest tests[] = {
		CHECK(keys_come_and_go),
		CHECK(the_same_value_is_another_version),
		CHECK(values_are_bytes),
		CHECK(the_largest_value),
		CHECK(the_longest_key),
		CHECK(lists_are_sorted_and_of_one_folder),
		CHECK(a_folder_may_become_a_key),
		CHECK(conflicts),
		CHECK(all_kinds_at_once),
		CHECK(all_or_nothing),
		CHECK(the_first_conflict_is_told),
		CHECK(large_transactions),
		CHECK(keys_that_break_the_rules),
		CHECK(transactions_that_break_the_rules),
		CHECK(bad_options),
	};

	return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
