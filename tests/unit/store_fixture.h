/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the store share: a directory for each test, and short ways to fill and read a
 * store. One program includes it once.
 */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "state/store_internal.h"

static char dir[64];
static struct cnm_error err;

static inline int remove_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline int make_dir(void **state)
{
	strcpy(dir, "/tmp/cnm-test-store.XXXXXX");
	memset(&err, 0, sizeof(err));
	return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_dir(void **state)
{
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static inline struct store *open_store(void)
{
	struct store *s = NULL;

	if (store_open(&s, dir, &err) < 0)
		fail_msg("store_open: %s", err.text);
	return s;
}

static const struct store_row net_a = {
	.kind = STORE_NETWORK, .id = "na", .name = "a", .body = "{}"
};
static const struct store_row net_b = {
	.kind = STORE_NETWORK, .id = "nb", .name = "b", .body = "{}"
};
static const struct store_row box = {
	.kind = STORE_SANDBOX, .id = "s1", .name = "box", .body = "{}"
};
static const struct store_row endpoint = { .kind = STORE_ENDPOINT,
					   .id = "e1",
					   .name = "ep",
					   .network = "na",
					   .sandbox = "s1",
					   .ip4 = "10.0.0.2",
					   .ip6 = "fd00::2",
					   .mac = "02:00:00:00:00:02",
					   .body = "{\"k\":1}" };

static inline int insert(struct store *s, const struct store_row *row)
{
	struct store_tx *tx = store_tx_new(s);

	store_tx_insert(tx, row);
	return store_commit(s, tx, STORE_NORMAL, &err);
}

static inline int insert_named(struct store *s, int i, enum store_durability how,
			       struct cnm_error *e)
{
	char name[16];
	struct store_row row = { .kind = STORE_NETWORK, .id = name, .name = name, .body = "{}" };
	struct store_tx *tx = store_tx_new(s);

	snprintf(name, sizeof(name), "n%05d", i);
	store_tx_insert(tx, &row);
	return store_commit(s, tx, how, e);
}

/* a, b, box and endpoint. */
static inline struct store *open_filled(void)
{
	struct store *s = open_store();
	struct store_tx *tx = store_tx_new(s);

	store_tx_insert(tx, &net_a);
	store_tx_insert(tx, &net_b);
	store_tx_insert(tx, &box);
	store_tx_insert(tx, &endpoint);
	assert_int_equal(store_commit(s, tx, STORE_FULL, &err), 0);
	return s;
}

static inline int count_one(const struct store_row *row, void *arg, struct cnm_error *e)
{
	++*(int *)arg;
	return 0;
}

static inline int count(struct store *s, enum store_kind kind)
{
	int n = 0;

	assert_int_equal(store_each(s, kind, count_one, &n, &err), 0);
	return n;
}

static inline void assert_dump(struct store *s, const char *want)
{
	char *text = store_dump(s);

	assert_string_equal(text, want);
	free(text);
}

static inline void expect_error(int r, enum cnm_error_class class, const char *part)
{
	assert_true(r < 0);
	if (!strstr(err.text, part))
		fail_msg("expected \"%s\" in \"%s\"", part, err.text);
	assert_int_equal(err.class, class);
	memset(&err, 0, sizeof(err));
}

/* Runs fn in a child; its exit status is returned (128 + signal if killed). */
static inline int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed assertion must not run on here */
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path_of("cnm.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static inline int queue_length(struct store *s)
{
	struct store_tx *tx;
	int n = 0;

	pthread_mutex_lock(&s->mutex);
	list_for_each (tx, &s->queue, node)
		n++;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static inline void set_state_later(struct store *s, enum store_state to)
{
	struct store_tx *tx = store_tx_new(s);

	store_tx_set_state(tx, STORE_ENDPOINT, "e1", to);
	store_commit_later(s, tx);
}

static inline int endpoint_state(const struct store_row *row, void *arg, struct cnm_error *e)
{
	*(enum store_state *)arg = row->state;
	return 0;
}

static inline enum store_state state_now(struct store *s)
{
	enum store_state now = STORE_CREATING;

	assert_int_equal(store_each(s, STORE_ENDPOINT, endpoint_state, &now, &err), 0);
	return now;
}

/* A test in a directory of its own. */
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

#endif
