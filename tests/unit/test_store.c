/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store: rows, conflicts, groups of commits, and several processes. What its file may do wrong
 * is in test_store_files.c.
 */
#include "store_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

/* ------------------------------------------------------------------------------- rows */

static void test_rows_survive_reopening(void **state)
{
	static const char want[] =
		"meta boot-id=b1\n"
		"network na creating name=a body={}\n"
		"network nb creating name=b body={}\n"
		"endpoint e1 ready name=ep network=na sandbox=s1 ip4=10.0.0.2 ip6=fd00::2 "
		"mac=02:00:00:00:00:02 body={\"k\":1}\n"
		"sandbox s1 creating name=box body={}\n";
	struct store *s = open_filled();
	struct store_tx *tx = store_tx_new(s);
	char *value = NULL;

	store_tx_set_meta(tx, "boot-id", "b0");
	store_tx_set_meta(tx, "boot-id", "b1");
	store_tx_set_state(tx, STORE_ENDPOINT, "e1", STORE_READY);
	assert_int_equal(store_commit(s, tx, STORE_NORMAL, &err), 0);
	assert_dump(s, want);
	store_close(s);

	s = open_store();
	assert_dump(s, want);
	assert_int_equal(store_meta_get(s, "boot-id", &value, &err), 0);
	assert_string_equal(value, "b1");
	free(value);
	assert_int_equal(store_meta_get(s, "absent", &value, &err), 0);
	assert_null(value);
	store_close(s);
}

static void test_update_replaces_all(void **state)
{
	struct store *s = open_filled();
	struct store_tx *tx = store_tx_new(s);
	struct store_row row = { .kind = STORE_ENDPOINT,
				 .id = "e1",
				 .state = STORE_REMOVING,
				 .network = "nb",
				 .name = "",
				 .ip4 = "",
				 .sandbox = "",
				 .body = "[2]" };

	store_tx_update(tx, &row);
	store_tx_delete(tx, STORE_SANDBOX, "s1");
	store_tx_delete(tx, STORE_NETWORK, "na");
	store_tx_delete(tx, STORE_NETWORK, "never was");
	assert_int_equal(store_commit(s, tx, STORE_NORMAL, &err), 0);
	assert_dump(s, "network nb creating name=b body={}\n"
		       "endpoint e1 removing network=nb body=[2]\n");
	store_close(s);
}

static int check_order(const struct store_row *row, void *arg, struct cnm_error *e)
{
	char name[16];

	snprintf(name, sizeof(name), "n%05d", 99 - (*(int *)arg)++);
	assert_string_equal(row->name, name);
	return *(int *)arg == 60 ? -ECANCELED : 0;
}

static void test_order_is_of_creation(void **state)
{
	struct store *s = open_store();
	int n = 0;

	for (int i = 99; i >= 0; i--)
		assert_int_equal(insert_named(s, i, STORE_NORMAL, &err), 0);
	assert_int_equal(store_each(s, STORE_NETWORK, check_order, &n, &err), -ECANCELED);
	assert_int_equal(n, 60);
	assert_int_equal(count(s, STORE_NETWORK), 100);
	store_close(s);
}

static void test_absent_rows(void **state)
{
	struct store *s = open_filled();
	struct store_row row = { .kind = STORE_SANDBOX, .id = "gone", .name = "x", .body = "{}" };
	struct store_tx *tx = store_tx_new(s);

	store_tx_insert(tx, &(struct store_row){ .kind = STORE_NETWORK, .id = "nc", .body = "{}" });
	store_tx_update(tx, &row);
	expect_error(store_commit(s, tx, STORE_NORMAL, &err), CNM_E_NOT_FOUND,
		     "no sandbox with id gone in the database");
	tx = store_tx_new(s);
	store_tx_set_state(tx, STORE_ENDPOINT, "gone", STORE_READY);
	expect_error(store_commit(s, tx, STORE_NORMAL, &err), CNM_E_NOT_FOUND,
		     "no endpoint with id gone");
	assert_int_equal(count(s, STORE_NETWORK), 2); /* nc went with its transaction */
	assert_int_equal(store_commit(s, NULL, STORE_NORMAL, &err), -ENOMEM);
	store_tx_free(store_tx_new(s));
	store_tx_free(NULL);
	assert_null(store_fault(s)); /* all of these were the request's */
	store_close(s);
}

static void test_conflicts_in_words(void **state)
{
	static const struct {
		struct store_row row;
		const char *words;
	} cases[] = {
		{ { STORE_NETWORK, .id = "x", .name = "a" }, "a network named \"a\" exists" },
		{ { STORE_NETWORK, .id = "na", .name = "x" }, "a network with id na exists" },
		{ { STORE_SANDBOX, .id = "x", .name = "box" }, "a sandbox named \"box\" exists" },
		{ { STORE_SANDBOX, .id = "s1", .name = "x" }, "a sandbox with id s1 exists" },
		{ { STORE_ENDPOINT, .id = "e1", .network = "nb" },
		  "an endpoint with id e1 exists" },
		{ { STORE_ENDPOINT, .id = "x", .network = "na", .name = "ep" },
		  "an endpoint named \"ep\" exists on this network" },
		{ { STORE_ENDPOINT, .id = "x", .network = "na", .ip4 = "10.0.0.2" },
		  "address 10.0.0.2 is taken on this network" },
		{ { STORE_ENDPOINT, .id = "x", .network = "na", .ip6 = "fd00::2" },
		  "address fd00::2 is taken on this network" },
		{ { STORE_ENDPOINT, .id = "x", .network = "na", .mac = "02:00:00:00:00:02" },
		  "MAC address 02:00:00:00:00:02 is taken on this network" },
		{ { STORE_ENDPOINT, .id = "x", .network = "none" },
		  "the network or the sandbox of endpoint x has been removed" },
		{ { STORE_ENDPOINT, .id = "x", .network = "na", .sandbox = "none" },
		  "the network or the sandbox of endpoint x has been removed" },
	};
	struct store *s = open_filled();
	struct store_row elsewhere = endpoint,
			 nameless = { STORE_ENDPOINT, .network = "na", .body = "" };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_row row = cases[i].row;

		row.body = "{}";
		expect_error(insert(s, &row), CNM_E_CONFLICT, cases[i].words);
	}
	expect_error(insert(s, &(struct store_row){ STORE_NETWORK, .name = "x", .body = "{}" }),
		     CNM_E_INVALID, "the database refuses the row");
	elsewhere.id = "e2"; /* the same name and addresses on another network */
	elsewhere.network = "nb";
	assert_int_equal(insert(s, &elsewhere), 0);
	nameless.id = "e3"; /* nothing is not compared with nothing */
	assert_int_equal(insert(s, &nameless), 0);
	nameless.id = "e4";
	assert_int_equal(insert(s, &nameless), 0);
	store_close(s);
}

static void test_rows_in_use_stay(void **state)
{
	struct store *s = open_filled();
	struct store_tx *tx = store_tx_new(s);

	store_tx_delete(tx, STORE_NETWORK, "nb");
	store_tx_delete(tx, STORE_NETWORK, "na");
	expect_error(store_commit(s, tx, STORE_NORMAL, &err), CNM_E_CONFLICT,
		     "network na has endpoints");
	tx = store_tx_new(s);
	store_tx_delete(tx, STORE_SANDBOX, "s1");
	expect_error(store_commit(s, tx, STORE_NORMAL, &err), CNM_E_CONFLICT,
		     "sandbox s1 has endpoints");
	assert_int_equal(count(s, STORE_NETWORK), 2);
	store_close(s);
}

/* ------------------------------------------------------------------------------- groups */

#define N_THREADS 8

struct worker {
	pthread_t thread;
	struct store *store;
	int first, n, failed;
	enum store_durability how;
	struct cnm_error err;
};

static void *insert_range(void *arg)
{
	struct worker *w = arg;

	for (int i = w->first; i < w->first + w->n; i++)
		if (insert_named(w->store, i, w->how, &w->err) < 0)
			w->failed++;
	return NULL;
}

/* All workers' first commits are queued before one of them may lead: they are one group. */
static void run_as_group(struct store *s, struct worker *w)
{
	store_acquire(s);
	for (int i = 0; i < N_THREADS; i++) {
		w[i].store = s;
		assert_int_equal(pthread_create(&w[i].thread, NULL, insert_range, &w[i]), 0);
		while (queue_length(s) != i + 1)
			sched_yield();
	}
	store_release(s);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(w[i].thread, NULL);
}

static void test_conflict_undoes_only_its_member(void **state)
{
	struct store *s = open_store();
	struct worker w[N_THREADS] = { 0 };

	for (int i = 0; i < N_THREADS; i++)
		w[i] = (struct worker){ .first = i / 2,
					.n = 1,
					.how = i == 5 ? STORE_FULL : STORE_NORMAL };
	run_as_group(s, w);
	for (int i = 0; i < N_THREADS; i++) {
		assert_int_equal(w[i].failed,
				 i % 2); /* the second of each pair, in order of queueing */
		if (i % 2)
			assert_int_equal(w[i].err.class, CNM_E_CONFLICT);
	}
	assert_string_equal(w[3].err.text, "a network named \"n00001\" exists");
	assert_int_equal(count(s, STORE_NETWORK), N_THREADS / 2);
	store_close(s);
}

static void test_many_threads(void **state)
{
	struct store *s = open_store();
	struct worker w[N_THREADS] = { 0 };

	for (int i = 0; i < N_THREADS; i++)
		w[i] = (struct worker){ .first = i * 1000,
					.n = 100,
					.how = i % 2 ? STORE_FULL : STORE_NORMAL };
	run_as_group(s, w);
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(w[i].failed, 0);
	assert_int_equal(count(s, STORE_NETWORK), N_THREADS * 100);
	store_close(s);
}

static void wait_queue_empty(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	while (s->busy || !list_empty(&s->queue))
		pthread_cond_wait(&s->idle, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
}

static void test_commit_later(void **state)
{
	struct store *s = open_filled();
	struct store_tx *tx;

	set_state_later(s, STORE_READY); /* by the flusher */
	wait_queue_empty(s);
	assert_int_equal(state_now(s), STORE_READY);

	set_state_later(s, STORE_CREATING);
	set_state_later(s, STORE_REMOVING); /* in order, by flush */
	store_flush(s);
	assert_int_equal(state_now(s), STORE_REMOVING);

	store_acquire(s); /* taken along by a commit, before that commit's own change */
	set_state_later(s, STORE_READY);
	store_release(s);
	tx = store_tx_new(s);
	store_tx_delete(tx, STORE_ENDPOINT, "e1");
	assert_int_equal(store_commit(s, tx, STORE_NORMAL, &err), 0);
	assert_int_equal(count(s, STORE_ENDPOINT), 0);

	set_state_later(s, STORE_READY); /* its row is gone: dropped, and no fault of the file */
	store_flush(s);
	assert_int_equal(queue_length(s), 0);
	assert_null(store_fault(s));
	store_commit_later(s, NULL);
	store_close(s);
}

static void test_close_commits_what_is_queued(void **state)
{
	struct store *s = open_filled();

	set_state_later(s, STORE_READY);
	store_close(s);
	s = open_store();
	assert_int_equal(state_now(s), STORE_READY);
	store_close(s);
}

/* ------------------------------------------------------------------------------- processes */

static void kill_while_committing(enum store_durability how)
{
	int pipes[2], told = 0, n = 0;
	struct store *s;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		s = open_store();
		for (int i = 0; insert_named(s, i, how, &err) == 0; i++)
			if (write(pipes[1], &i, sizeof(i)) != sizeof(i))
				break;
		_exit(1);
	}
	close(pipes[1]);
	while (n < 200 && read(pipes[0], &told, sizeof(told)) == sizeof(told))
		n++;
	kill(pid, SIGKILL);
	while (read(pipes[0], &told, sizeof(told)) == sizeof(told))
		n++;
	close(pipes[0]);
	waitpid(pid, NULL, 0);
	assert_true(n >= 200);

	s = open_store();
	n = count(s, STORE_NETWORK); /* one more may have been committed but not told */
	assert_in_range(n, told + 1, told + 2);
	assert_int_equal(insert_named(s, told + 5, STORE_FULL, &err), 0);
	store_close(s);
}

static void test_kill_normal(void **state)
{
	kill_while_committing(STORE_NORMAL);
}

static void test_kill_full(void **state)
{
	kill_while_committing(STORE_FULL);
}

static void test_one_owner(void **state)
{
	int up[2], down[2];
	struct store *s = NULL;
	char byte = 0, words[256];
	pid_t pid;

	assert_int_equal(pipe(up) | pipe(down), 0);
	pid = fork();
	if (pid == 0) {
		s = open_store();
		if (write(up[1], "", 1) == 1 && read(down[0], &byte, 1) == 1)
			store_close(s);
		_exit(0);
	}
	assert_int_equal(read(up[0], &byte, 1), 1);
	snprintf(words, sizeof(words), "%s is in use by process %d", dir, (int)pid);
	expect_error(store_open(&s, dir, &err), CNM_E_CONFLICT, words);
	assert_int_equal(write(down[1], "", 1), 1);
	waitpid(pid, NULL, 0);
	s = open_store();
	snprintf(words, sizeof(words), "in use by process %d", (int)getpid());
	expect_error(store_open(&s, dir, &err), CNM_E_CONFLICT, words);
	store_close(s);
	close(up[0]), close(up[1]), close(down[0]), close(down[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_rows_survive_reopening),
					    T(test_update_replaces_all),
					    T(test_order_is_of_creation),
					    T(test_absent_rows),
					    T(test_conflicts_in_words),
					    T(test_rows_in_use_stay),
					    T(test_conflict_undoes_only_its_member),
					    T(test_many_threads),
					    T(test_commit_later),
					    T(test_close_commits_what_is_queued),
					    T(test_kill_normal),
					    T(test_kill_full),
					    T(test_one_owner) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
