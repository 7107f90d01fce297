/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The copy of the cluster's store: keys, and what the watch tells. */
#include "unit.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cluster/copy.h"

#define ID(c) c c c c c c c c c c c c c c c c
#define NET   ID("1111")
#define EP    ID("e001")
#define NAME  "abcdefghijklmnopqrstuvwxyz012345" /* 32 of them */

static struct kv_entry entry(const char *key, const char *value, uint64_t version)
{
	return (struct kv_entry){
		.key = key, .value = value, .len = value ? strlen(value) : 0, .version = version
	};
}

/* ---- keys */

static const struct {
	const char *key;
	enum cluster_kind kind;
	const char *network, *id;
} good[] = {
	{ "cnm/1/claims", CLUSTER_CLAIMS, NULL, NULL },
	{ "cnm/1/networks/" NET, CLUSTER_NETWORK, NULL, NET },
	{ "cnm/1/endpoints/" NET "/" EP, CLUSTER_ENDPOINT, NET, EP },
	{ "cnm/1/addresses/" NET "/0a090002", CLUSTER_ADDRESS, NET, "0a090002" },
	{ "cnm/1/addresses/" NET "/" ID("fd"), CLUSTER_ADDRESS, NET, ID("fd") },
	{ "cnm/1/names/" NET "/web", CLUSTER_NAME, NET, "web" },
	{ "cnm/1/names/" NET "/Web_1.x-y", CLUSTER_NAME, NET, "Web_1.x-y" },
	{ "cnm/1/names/" NET "/" NAME NAME NAME NAME, CLUSTER_NAME, NET, NAME NAME NAME NAME },
	{ "cnm/1/hosts/" ID("a00a"), CLUSTER_HOST, NULL, ID("a00a") },
	{ "cnm/1/alive/" ID("a00a"), CLUSTER_ALIVE, NULL, ID("a00a") },
	{ "cnm/1/tombstones/" EP, CLUSTER_TOMBSTONE, NULL, EP },
};

static void test_keys_are_taken_apart_and_made(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct cluster_key key;
		char made[KV_KEY_MAX + 1];

		assert_true(cluster_key_parse(&key, good[i].key));
		assert_int_equal(key.kind, good[i].kind);
		assert_string_equal(key.network, good[i].network ? good[i].network : "");
		assert_string_equal(key.id, good[i].id ? good[i].id : "");
		cluster_key_make(made, good[i].kind, good[i].network, good[i].id);
		assert_string_equal(made, good[i].key);
	}
}

static const char *const bad[] = {
	"",
	"cnm",
	"cnm/1",
	"cnm/1/",
	"cnm/2/claims",
	"xcnm/1/claims",
	"cnm/1/claims/",
	"cnm/1/claims/x",
	"cnm/1/claimsx",
	"cnm/1/nothing/" NET,
	"cnm/1/networks",
	"cnm/1/networks/",
	"cnm/1/networks/" NET "0",
	"cnm/1/networks/" NET "/",
	"cnm/1/networks/" ID("11A1"),
	"cnm/1/networks/123",
	"cnm/1/endpoints/" NET,
	"cnm/1/endpoints/" NET "/",
	"cnm/1/endpoints/" NET "/" EP "/",
	"cnm/1/endpoints//" EP,
	"cnm/1/endpoints/" ID("11g1") "/" EP,
	"cnm/1/addresses/" NET "/0a0900",
	"cnm/1/addresses/" NET "/0a09000g",
	"cnm/1/addresses/" NET "/0A090002",
	"cnm/1/names/" NET "/",
	"cnm/1/names/" NET "/a/b",
	"cnm/1/names/" NET "/..",
	"cnm/1/names/" NET "/.x",
	"cnm/1/names/" NET "/a b",
	"cnm/1/names/" NET "/\xc3\xa4",
	"cnm/1/names/" NET "/" NAME NAME NAME NAME "x",
	"cnm/1/hosts/" EP "x",
};

static void test_keys_that_are_none_of_ours(void **state)
{
	struct cluster_copy *c = cluster_copy_new();
	struct cluster_key key;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct kv_entry e = entry(bad[i], "1", 7);

		assert_false(cluster_key_parse(&key, bad[i]));
		assert_int_equal(cluster_copy_changed(c, &e, 1), 0);
		assert_int_equal(cluster_copy_version(c, bad[i]), 0);
		assert_null(cluster_copy_get(c, bad[i], NULL));
	}
	cluster_copy_free(c);
}

/* ---- what the watch tells */

static void test_changes(void **state)
{
	struct cluster_copy *c = cluster_copy_new();
	struct kv_entry made[] = { entry(good[0].key, "{\"a\":1}", 5),
				   entry(good[1].key, "\"x\"", 6) };
	struct kv_entry later[] = { entry(good[0].key, "2", 9), entry(good[1].key, NULL, 10),
				    entry(good[2].key, NULL, 10) };
	_json_ json_t *value = NULL;
	uint64_t version = 0;

	assert_int_equal(cluster_copy_changed(c, made, 2), 0);
	assert_int_equal(cluster_copy_version(c, good[0].key), 5);
	assert_int_equal(cluster_copy_version(c, good[1].key), 6);
	assert_int_equal(cluster_copy_changed(c, later, 3), 0);
	value = cluster_copy_get(c, good[0].key, &version);
	assert_int_equal(json_integer_value(value), 2);
	assert_int_equal(version, 9);
	assert_int_equal(cluster_copy_version(c, good[1].key), 0);
	assert_int_equal(cluster_copy_changed(c, NULL, 0), 0);
	cluster_copy_free(c);
}

static void test_all_is_all(void **state)
{
	struct cluster_copy *c = cluster_copy_new();
	struct kv_entry before = entry(good[0].key, "1", 1), after = entry(good[1].key, "2", 2);

	assert_int_equal(cluster_copy_changed(c, &before, 1), 0);
	assert_int_equal(cluster_copy_all(c, &after, 1), 0);
	assert_int_equal(cluster_copy_version(c, good[0].key), 0);
	assert_int_equal(cluster_copy_version(c, good[1].key), 2);
	assert_int_equal(cluster_copy_all(c, NULL, 0), 0);
	assert_int_equal(cluster_copy_version(c, good[1].key), 0);
	cluster_copy_free(c);
	cluster_copy_free(NULL);
}

static void test_values_that_are_none_are_null(void **state)
{
	static const char *const values[] = { "",         "{",          "{}x", "{\"a\":1,\"a\":2}",
					      "\xff\xfe", "\"\\u0000\"" };
	struct cluster_copy *c = cluster_copy_new();
	struct kv_entry nul = { .key = good[0].key, .value = "1\0{", .len = 3, .version = 1 };
	char deep[5000];

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct kv_entry e = entry(good[0].key, values[i], i + 1);
		_json_ json_t *value = NULL;

		assert_int_equal(cluster_copy_changed(c, &e, 1), 0);
		value = cluster_copy_get(c, good[0].key, NULL);
		assert_true(json_is_null(value));
	}
	memset(deep, '[', sizeof(deep));
	for (unsigned i = 0; i < 2; i++) {
		struct kv_entry e = { good[0].key, deep, sizeof(deep), 9 };
		_json_ json_t *value = NULL;

		assert_int_equal(cluster_copy_changed(c, i ? &nul : &e, 1), 0);
		value = cluster_copy_get(c, good[0].key, NULL);
		assert_non_null(value);
	}
	cluster_copy_free(c);
}

/* ---- each */

struct seen {
	char keys[16][KV_KEY_MAX + 1];
	size_t n, stop_at;
};

static bool note(void *arg, const struct cluster_key *key, const char *text)
{
	struct seen *s = arg;

	cluster_key_make(s->keys[s->n++], key->kind, key->network[0] ? key->network : NULL,
			 key->id[0] ? key->id : NULL);
	assert_string_equal(text, "1");
	return s->n != s->stop_at;
}

static struct seen see(struct cluster_copy *c, enum cluster_kind kind, const char *network,
		       size_t stop_at)
{
	struct seen s = { .stop_at = stop_at };

	cluster_copy_each(c, kind, network, note, &s);
	return s;
}

static void test_each_of_a_kind_and_network_in_order(void **state)
{
	static const char *const keys[] = {
		"cnm/1/endpoints/" ID("1112") "/" ID("e003"),
		"cnm/1/endpoints/" NET "/" ID("e002"),
		"cnm/1/endpoints/" ID("1110") "/" ID("e004"),
		"cnm/1/endpoints/" NET "/" EP,
		"cnm/1/networks/" NET,
		"cnm/1/claims",
		"cnm/1/names/" NET "/web",
		"cnm/1/tombstones/" EP,
	};
	struct cluster_copy *c = cluster_copy_new();
	struct seen s;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct kv_entry e = entry(keys[i], "1", i + 1);

		assert_int_equal(cluster_copy_changed(c, &e, 1), 0);
	}
	s = see(c, CLUSTER_ENDPOINT, NULL, 0);
	assert_int_equal(s.n, 4);
	for (size_t i = 1; i < s.n; i++)
		assert_true(strcmp(s.keys[i - 1], s.keys[i]) < 0);
	s = see(c, CLUSTER_ENDPOINT, NET, 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.keys[0], keys[3]);
	assert_string_equal(s.keys[1], keys[1]);
	assert_int_equal(see(c, CLUSTER_ENDPOINT, NET, 1).n, 1);
	assert_int_equal(see(c, CLUSTER_CLAIMS, NULL, 0).n, 1);
	assert_int_equal(see(c, CLUSTER_NETWORK, NULL, 0).n, 1);
	assert_int_equal(see(c, CLUSTER_ALIVE, NULL, 0).n, 0);
	cluster_copy_free(c);
}

/* ---- against a plain model of it */

static void test_random_changes(void **state)
{
	struct cluster_copy *c = cluster_copy_new();
	uint64_t versions[200] = { 0 };

	rng_seed();
	for (uint64_t round = 1; round < 5000; round++) {
		unsigned i = rng(ARRAY_LEN(versions));
		char key[KV_KEY_MAX + 1], id[65];
		struct kv_entry e;

		snprintf(id, sizeof(id), "%064x", i * 7919);
		cluster_key_make(key, CLUSTER_NETWORK, NULL, id);
		e = entry(key, rng(3) ? "1" : NULL, round);
		versions[i] = e.value ? round : 0;
		assert_int_equal(cluster_copy_changed(c, &e, 1), 0);
	}
	for (unsigned i = 0; i < ARRAY_LEN(versions); i++) {
		char key[KV_KEY_MAX + 1], id[65];

		snprintf(id, sizeof(id), "%064x", i * 7919);
		assert_int_equal(
			cluster_copy_version(c, cluster_key_make(key, CLUSTER_NETWORK, NULL, id)),
			versions[i]);
	}
	cluster_copy_free(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_taken_apart_and_made),
		cmocka_unit_test(test_keys_that_are_none_of_ours),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_all_is_all),
		cmocka_unit_test(test_values_that_are_none_are_null),
		cmocka_unit_test(test_each_of_a_kind_and_network_in_order),
		cmocka_unit_test(test_random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
