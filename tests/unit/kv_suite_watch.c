/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kv-suite: what the watcher is told, and many clients at once. */
#include "kv_suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

/* ---- the watcher */

static void all_comes_first(void **state)
{
	struct kv *kv = *state, *watching;
	struct copy c;
	bool yes = true;

	create(kv, "a/b", "1");
	create(kv, "c", "");
	copy_init(&c);
	watching = opened(NULL, &c);
	assert_true(copy_wait(&c, has_all, NULL, PATIENCE));
	assert_true(copy_wait(&c, is_told, &yes, PATIENCE));
	assert_int_equal(c.n, 2);
	assert_true(has_key(&c, &(struct expected){ "a/b", "1" }));
	assert_true(has_key(&c, &(struct expected){ "c", "" }));
	kv_close(watching);
	assert_int_equal(c.alls, 1);
	assert_fine(&c);
	copy_free(&c);
}

static void all_of_nothing(void **state)
{
	struct copy c;
	struct kv *watching;

	copy_init(&c);
	watching = opened(NULL, &c);
	assert_true(copy_wait(&c, has_all, NULL, PATIENCE));
	assert_int_equal(c.n, 0);
	create(*state, "first", "1");
	assert_true(copy_wait(&c, has_key, &(struct expected){ "first", "1" }, PATIENCE));
	kv_close(watching);
	assert_fine(&c);
	copy_free(&c);
}

static void changes_come(void **state)
{
	struct kv *kv = *state, *watching;
	struct copy c;

	create(kv, "old", "1");
	copy_init(&c);
	watching = opened(NULL, &c);
	assert_true(copy_wait(&c, has_all, NULL, PATIENCE));
	create(watching, "a/own", "1");
	assert_true(copy_wait(&c, has_key, &(struct expected){ "a/own", "1" }, PATIENCE));
	create(kv, "a/b/other", "1");
	assert_true(copy_wait(&c, has_key, &(struct expected){ "a/b/other", "1" }, PATIENCE));
	one(kv, KV_SET, "old", "", 0, version_of(kv, "old"));
	assert_true(copy_wait(&c, has_key, &(struct expected){ "old", "" }, PATIENCE));
	delete_key(kv, "old");
	assert_true(copy_wait(&c, has_key, &(struct expected){ "old", NULL }, PATIENCE));
	create(kv, "old", "again");
	assert_true(copy_wait(&c, has_key, &(struct expected){ "old", "again" }, PATIENCE));
	delete_key(kv, "a/b/other");
	delete_key(kv, "a/own");
	assert_true(copy_wait(&c, has_number, &(size_t){ 1 }, PATIENCE));
	create(kv, "a/b/other", "2");
	assert_true(copy_wait(&c, has_key, &(struct expected){ "a/b/other", "2" }, PATIENCE));
	kv_close(watching);
	assert_int_equal(c.alls, 1);
	assert_fine(&c);
	copy_free(&c);
}

static void deleted_and_made_again(void **state)
{
	struct kv *kv = *state, *watching;
	struct kv_entries e;
	struct copy c;

	copy_init(&c);
	watching = opened(NULL, &c);
	create(kv, "k", "0");
	for (int i = 0; i < 50; i++) {
		delete_key(kv, "k");
		create(kv, "k", i % 2 ? "odd" : "even");
	}
	e = listed(kv, "");
	assert_int_equal(e.n, 1);
	assert_true(copy_wait(&c, equals, &e, PATIENCE));
	kv_entries_free(&e);
	kv_close(watching);
	assert_fine(&c);
	copy_free(&c);
}

/* Keys of several folders, made one after another, some of them deleted again. */
static void changes_come_in_order(void **state)
{
	enum { N = 200 };
	struct kv *kv = *state, *watching;
	struct copy c;
	char key[64];
	size_t last = 0, seen = 0;

	copy_init(&c);
	c.order = calloc(4 * N, sizeof(c.order[0]));
	c.cap_order = 4 * N;
	watching = opened(NULL, &c);
	assert_true(copy_wait(&c, has_all, NULL, PATIENCE));
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof(key), "f%d/g%d/%06d", i % 3, i % 5, i + 1);
		create(kv, key, "v");
		if (i % 10 == 9)
			delete_key(kv, key);
	}
	assert_true(copy_wait(&c, has_number, &(size_t){ N - N / 10 }, PATIENCE));
	kv_close(watching);
	for (size_t i = 0; i < c.n_order; i++) {
		size_t number = strtoul(strrchr(c.order[i], '/') + 1, NULL, 10);

		if (c.order[i][0] == '-')
			continue;
		assert_true(number > last);
		last = number;
		seen++;
	}
	assert_true(seen >= N - N / 10);
	assert_fine(&c);
	copy_free(&c);
}

static void a_transaction_is_seen(void **state)
{
	struct kv *kv = *state, *watching;
	struct kv_entries e;
	struct copy c;

	create(kv, "t/set", "1");
	create(kv, "t/delete", "1");
	copy_init(&c);
	watching = opened(NULL, &c);
	assert_true(copy_wait(&c, has_all, NULL, PATIENCE));
	struct kv_op ops[] = {
		{ KV_CREATE, "u/new", "n", 1 },
		{ KV_SET, "t/set", "2", 1, version_of(kv, "t/set") },
		{ KV_DELETE, "t/delete", .version = version_of(kv, "t/delete") },
		{ KV_CHECK, "none", .version = 0 },
	};
	assert_int_equal(txn(kv, ops, ARRAY_LEN(ops), NULL), 0);
	e = listed(kv, "");
	assert_true(copy_wait(&c, equals, &e, PATIENCE));
	kv_entries_free(&e);
	kv_close(watching);
	assert_fine(&c);
	copy_free(&c);
}

static void only_what_is_below_the_prefix(void **state)
{
	_free_ char *url = NULL, *longer = NULL;
	struct kv *inner, *beside, *kv = *state;
	struct copy c;

	assert_true(asprintf(&url, "%s/in", options.url) > 0);
	assert_true(asprintf(&longer, "%s/inner", options.url) > 0);
	copy_init(&c);
	inner = opened(url, &c);
	beside = opened(longer, NULL);
	create(beside, "k", "beside");
	create(kv, "on", "above");
	create(kv, "in/k", "inside");
	assert_true(copy_wait(&c, has_key, &(struct expected){ "k", "inside" }, PATIENCE));
	assert_value(inner, "k", "inside", 6);
	assert_listed(inner, "", "k");
	assert_listed(kv, "", "in/k inner/k on");
	kv_close(inner);
	kv_close(beside);
	assert_int_equal(c.n, 1);
	assert_fine(&c);
	copy_free(&c);
}

static void make_keys(struct kv *kv, size_t n)
{
	for (size_t i = 0; i < n; i += KV_TXN_MAX) {
		char keys[KV_TXN_MAX][32];
		struct kv_op ops[KV_TXN_MAX];
		size_t m = n - i < KV_TXN_MAX ? n - i : KV_TXN_MAX;

		for (size_t j = 0; j < m; j++) {
			snprintf(keys[j], sizeof(keys[j]), "f%zu/key-%04zu", (i + j) % 7, i + j);
			ops[j] = (struct kv_op){ KV_CREATE, keys[j], keys[j], strlen(keys[j]) };
		}
		assert_int_equal(txn(kv, ops, m, NULL), 0);
	}
}

static void a_thousand_keys(void **state)
{
	struct kv *kv = *state, *watching, *late;
	struct kv_entries e;
	struct copy c, d;

	copy_init(&c);
	copy_init(&d);
	watching = opened(NULL, &c);
	make_keys(kv, 1000);
	e = listed(kv, "");
	assert_int_equal(e.n, 1000);
	for (size_t i = 0; i < e.n; i++) {
		assert_int_equal(e.v[i].len, strlen(e.v[i].key));
		assert_memory_equal(e.v[i].value, e.v[i].key, e.v[i].len);
	}
	assert_true(copy_wait(&c, equals, &e, PATIENCE));
	late = opened(NULL, &d);
	assert_true(copy_wait(&d, equals, &e, PATIENCE));
	assert_int_equal(d.alls, 1);
	kv_entries_free(&e);
	clear(kv);
	assert_true(copy_wait(&c, has_number, &(size_t){ 0 }, PATIENCE));
	assert_true(copy_wait(&d, has_number, &(size_t){ 0 }, PATIENCE));
	kv_close(watching);
	kv_close(late);
	assert_fine(&c);
	assert_fine(&d);
	copy_free(&c);
	copy_free(&d);
}

/* ---- many at once */

struct racer {
	pthread_t thread;
	struct kv *kv;
	pthread_barrier_t *start;
	int rounds;
	int wins;
	int wrong;
	char text[256];
};

static void racer_wrong(struct racer *r, const char *what, const struct cnm_error *err)
{
	if (!r->wrong++)
		snprintf(r->text, sizeof(r->text), "%s: %.200s", what, err->text);
}

static void *race_to_create(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < r->rounds; i++) {
		char key[32], mine[32], other[48];
		struct cnm_error err = { 0 };
		int rc;

		snprintf(key, sizeof(key), "race/new/%03d", i);
		snprintf(mine, sizeof(mine), "own/%p", (void *)r);
		snprintf(other, sizeof(other), "%s-%d", mine, i);
		struct kv_op ops[] = { { KV_CREATE, other, "", 0 }, { KV_CREATE, key, mine, 5 } };
		pthread_barrier_wait(r->start);
		rc = kv_txn(r->kv, ops, 2, MS, NULL, &err);
		if (rc < 0)
			racer_wrong(r, "create", &err);
		r->wins += rc == 0;
	}
	return NULL;
}

static void *race_to_count(void *arg)
{
	struct racer *r = arg;

	pthread_barrier_wait(r->start);
	while (r->wins < r->rounds && !r->wrong) {
		struct kv_entries e = { 0 };
		struct cnm_error err = { 0 };
		char text[32];
		int rc = kv_get(r->kv, "race/counter", MS, &e, &err);

		if (rc < 0 || e.n != 1) {
			racer_wrong(r, "get", &err);
			break;
		}
		snprintf(text, sizeof(text), "%.*s", (int)e.v[0].len, (const char *)e.v[0].value);
		snprintf(text, sizeof(text), "%ld", strtol(text, NULL, 10) + 1);
		struct kv_op op = { KV_SET, "race/counter", text, strlen(text), e.v[0].version };
		rc = kv_txn(r->kv, &op, 1, MS, NULL, &err);
		if (rc < 0)
			racer_wrong(r, "set", &err);
		r->wins += rc == 0;
		kv_entries_free(&e);
	}
	return NULL;
}

/* Half of them with the same store, half with one of their own. All wins together. */
static int race(struct kv *kv, void *(*run)(void *), int n, int rounds)
{
	struct racer racers[16] = { 0 };
	pthread_barrier_t start;
	int wins = 0;

	assert_true(n <= 16);
	pthread_barrier_init(&start, NULL, (unsigned)n);
	for (int i = 0; i < n; i++) {
		racers[i].kv = i % 2 ? kv : opened(NULL, NULL);
		racers[i].start = &start;
		racers[i].rounds = rounds;
		assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(racers[i].thread, NULL);
		wins += racers[i].wins;
		if (i % 2 == 0)
			kv_close(racers[i].kv);
	}
	pthread_barrier_destroy(&start);
	for (int i = 0; i < n; i++)
		if (racers[i].wrong)
			fail_msg("%s", racers[i].text);
	return wins;
}

static void one_of_many_creates(void **state)
{
	struct kv_entries e;

	assert_int_equal(race(*state, race_to_create, 8, 40), 40);
	e = listed(*state, "race");
	assert_int_equal(e.n, 40);
	kv_entries_free(&e);
	e = listed(*state, "own");
	assert_int_equal(e.n, 40);
	kv_entries_free(&e);
}

static void no_increment_is_lost(void **state)
{
	create(*state, "race/counter", "0");
	assert_int_equal(race(*state, race_to_count, 6, 30), 180);
	assert_value(*state, "race/counter", "180", 3);
}

int check_watch(void)
{
	const struct CMUnitTest tests[] = {
		CHECK(all_comes_first),
		CHECK(all_of_nothing),
		CHECK(changes_come),
		CHECK(deleted_and_made_again),
		CHECK(changes_come_in_order),
		CHECK(a_transaction_is_seen),
		CHECK(only_what_is_below_the_prefix),
		CHECK(a_thousand_keys),
		CHECK(one_of_many_creates),
		CHECK(no_increment_is_lost),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
