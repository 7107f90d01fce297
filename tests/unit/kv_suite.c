/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What cluster/kv.h promises, checked against a real store.
 *
 *   kv-suite [OPTION...] URL check      every check; below the URL's prefix nothing else may be
 *   kv-suite [OPTION...] URL brief      the same but for the kept key, which takes its time
 *   kv-suite [OPTION...] URL shell      does what lines of its input say, one line of answer each
 *   kv-suite [OPTION...] URL hold KEY VALUE
 *                                       keeps a key until its input ends
 *   --ttl SECONDS  --cacert FILE  --cert FILE  --key FILE
 *
 * The checks are in kv_suite_data.c, kv_suite_watch.c and kv_suite_kept.c; each group of them is a
 * TAP plan of its own.
 */
#include "kv_suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"

struct kv_options options = { .ttl_s = 2 };

/* ZooKeeper's library loses what it has not called back when a session is closed that hangs. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libzookeeper_mt.so\n";
}

/* ---- short ways to call the store; what must succeed does, or the check fails */

struct kv *opened(const char *url, struct copy *copy)
{
	struct kv_options o = options;
	struct cnm_error err;
	struct kv *kv = NULL;

	o.url = url ? url : options.url;
	if (copy) {
		o.watcher = &watcher;
		o.arg = copy;
	}
	if (kv_open(&kv, &o, &err) != 0)
		fail_msg("kv_open: %s", err.text);
	return kv;
}

int txn(struct kv *kv, const struct kv_op *ops, size_t n, size_t *which)
{
	struct cnm_error err = { 0 };
	int r = kv_txn(kv, ops, n, MS, which, &err);

	if (r < 0)
		fail_msg("kv_txn: %s", err.text);
	return r;
}

int one(struct kv *kv, enum kv_op_kind kind, const char *key, const void *value, size_t len,
	uint64_t version)
{
	struct kv_op op = { kind, key, value, len, version };
	size_t which = 77;
	int r = txn(kv, &op, 1, &which);

	if (r == KV_CONFLICT)
		assert_true(which == 0 || which == 1);
	return r;
}

int create(struct kv *kv, const char *key, const char *value)
{
	return one(kv, KV_CREATE, key, value, strlen(value), 0);
}

static struct kv_entries got(struct kv *kv, const char *key)
{
	struct kv_entries e = { 0 };
	struct cnm_error err;

	if (kv_get(kv, key, MS, &e, &err) != 0)
		fail_msg("kv_get(%s): %s", key, err.text);
	assert_true(e.n <= 1);
	if (e.n) {
		assert_string_equal(e.v[0].key, key);
		assert_true(e.v[0].version != 0);
		assert_non_null(e.v[0].value);
	}
	return e;
}

uint64_t version_of(struct kv *kv, const char *key)
{
	struct kv_entries e = got(kv, key);
	uint64_t version = e.n ? e.v[0].version : 0;

	kv_entries_free(&e);
	return version;
}

void assert_value(struct kv *kv, const char *key, const void *value, size_t len)
{
	struct kv_entries e = got(kv, key);

	assert_int_equal(e.n, 1);
	assert_int_equal(e.v[0].len, len);
	if (len)
		assert_memory_equal(e.v[0].value, value, len);
	kv_entries_free(&e);
}

struct kv_entries listed(struct kv *kv, const char *prefix)
{
	struct kv_entries e = { 0 };
	struct cnm_error err;

	if (kv_list(kv, prefix, MS, &e, &err) != 0)
		fail_msg("kv_list(%s): %s", prefix, err.text);
	for (size_t i = 0; i < e.n; i++) {
		assert_true(e.v[i].version != 0);
		assert_true(i == 0 || strcmp(e.v[i - 1].key, e.v[i].key) < 0);
	}
	return e;
}

void assert_listed(struct kv *kv, const char *prefix, const char *keys)
{
	struct kv_entries e = listed(kv, prefix);
	struct strbuf b = { 0 };
	_free_ char *found = NULL;

	for (size_t i = 0; i < e.n; i++)
		strbuf_addf(&b, "%s%s", i ? " " : "", e.v[i].key);
	found = strbuf_take(&b);
	assert_string_equal(found, keys);
	kv_entries_free(&e);
}

void delete_key(struct kv *kv, const char *key)
{
	assert_int_equal(one(kv, KV_DELETE, key, NULL, 0, version_of(kv, key)), 0);
}

void clear(struct kv *kv)
{
	struct kv_entries e = listed(kv, "");

	while (e.n) {
		for (size_t i = 0; i < e.n; i += KV_TXN_MAX) {
			struct kv_op ops[KV_TXN_MAX];
			size_t n = e.n - i < KV_TXN_MAX ? e.n - i : KV_TXN_MAX;

			for (size_t j = 0; j < n; j++)
				ops[j] = (struct kv_op){ .kind = KV_DELETE,
							 .key = e.v[i + j].key,
							 .version = e.v[i + j].version };
			txn(kv, ops, n, NULL);
		}
		kv_entries_free(&e);
		e = listed(kv, "");
	}
}

int setup(void **state)
{
	struct kv *kv = opened(NULL, NULL);

	clear(kv);
	*state = kv;
	return 0;
}

int teardown(void **state)
{
	kv_close(*state);
	return 0;
}

/* ---- */

static int hold(const char *key, const char *value)
{
	struct cnm_error err;
	struct kv *kv;
	char c;

	if (kv_open(&kv, &options, &err) != 0 || kv_keep(kv, key, value, strlen(value)) != 0)
		return 1;
	while (read(0, &c, 1) > 0)
		;
	kv_close(kv);
	return 0;
}

static int check(bool kept)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	return check_data() + check_watch() + (kept ? check_kept() : 0);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: kv-suite [--ttl SECONDS] [--cacert FILE --cert FILE --key FILE] URL "
		"check|brief|shell|hold KEY VALUE\n");
	return 2;
}

int main(int argc, char **argv)
{
	int i = 1;

	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		if (streq(argv[i], "--ttl"))
			options.ttl_s = (unsigned)atoi(argv[i + 1]);
		else if (streq(argv[i], "--cacert"))
			options.cacertfile = argv[i + 1];
		else if (streq(argv[i], "--cert"))
			options.certfile = argv[i + 1];
		else if (streq(argv[i], "--key"))
			options.keyfile = argv[i + 1];
		else
			return usage();
	}
	if (argc - i < 2)
		return usage();
	if (getenv("KV_SUITE_LOG"))
		log_set_level(LOG_LEVEL_DEBUG);
	options.url = argv[i];
	if (streq(argv[i + 1], "check"))
		return check(true);
	if (streq(argv[i + 1], "brief"))
		return check(false);
	if (streq(argv[i + 1], "shell"))
		return shell();
	if (streq(argv[i + 1], "hold") && argc - i == 4)
		return hold(argv[i + 2], argv[i + 3]);
	return usage();
}
