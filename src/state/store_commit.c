/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue of transactions and who commits it.
 *
 * There is one queue and one `busy` flag. Whoever wants something committed and finds nobody busy
 * becomes the leader: it takes the whole queue as its group, commits that with the mutex released,
 * writes each member's result, and wakes all. The others (followers) wait for their result or for
 * their turn to lead. As a leader always takes the whole queue, its own transaction is among it and
 * the order of queueing is the order in the database.
 *
 * A group either is in the database with all members that did not fail on their own, or, after a
 * fault of the file, wholly undone. Members somebody waits for then get the fault as their error.
 * Deferred ones have nobody to tell: they go back to the head of the queue, in order, and are tried
 * again with the next commit and each second by the flusher, so that a disk that was full for a
 * while costs no mark. A deferred member that fails on its own is dropped.
 *
 * The flusher is started by the first deferred transaction.
 */
#include "state/store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/str.h"

#define FLUSH_DELAY_NS (3 * 1000000L)
#define RETRY_DELAY_NS (1000 * 1000000L)
#define FLUSHER_STACK  (256 << 10) /* of which SQLite touches a fraction */

static void wait_idle(struct store *s)
{
	while (s->busy)
		pthread_cond_wait(&s->idle, &s->mutex);
}

void store_acquire(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	wait_idle(s);
	s->busy = true;
	pthread_mutex_unlock(&s->mutex);
}

void store_release(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	s->busy = false;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->mutex);
}

/* Cannot be changed within a transaction; parsed each time, hence only when it differs. */
static int set_synchronous(struct store *s, const struct list *group)
{
	struct store_tx *tx;
	bool full = false;
	int rc = SQLITE_OK;

	list_for_each (tx, group, node)
		full |= tx->how == STORE_FULL;
	if (full != s->full)
		rc = sqlite3_exec(s->db,
				  full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
				  NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		s->full = full;
	return rc;
}

/* By the leader, mutex released. 0, or a fault: then nothing of the group is in the database. */
static int commit_group(struct store *s, const struct list *group, struct cnm_error *err)
{
	struct store_tx *tx;
	int r, rc = set_synchronous(s, group);

	if (rc == SQLITE_OK)
		rc = store_run(s, SQL_BEGIN);
	list_for_each (tx, group, node)
		if (rc == SQLITE_OK)
			rc = store_tx_run(s, tx);
	if (rc == SQLITE_OK)
		rc = store_run(s, SQL_COMMIT);
	if (rc == SQLITE_OK)
		return 0;
	r = store_fault_error(s, rc, err);
	if (!sqlite3_get_autocommit(s->db))
		store_run(s, SQL_ROLLBACK);
	return r;
}

/* Results to those who wait; deferred ones back to the queue (a fault) or to `spent`. */
static void settle(struct store *s, struct list *group, int r, const struct cnm_error *err,
		   struct list *spent)
{
	struct list kept = LIST_INIT(kept);
	struct store_tx *tx, *next;

	list_for_each_safe (tx, next, group, node) {
		list_del(&tx->node);
		if (tx->deferred) {
			if (r == 0 && tx->result < 0)
				log_debug("store: a deferred change failed: %s",
					  strerror(-tx->result));
			tx->result = 0;
			list_append(r < 0 ? &kept : spent, &tx->node);
			continue;
		}
		if (r < 0) {
			tx->result = r;
			if (tx->err)
				*tx->err = *err;
		}
		tx->done = true;
	}
	list_for_each_safe (tx, next, &s->queue, node) {
		list_del(&tx->node);
		list_append(&kept, &tx->node);
	}
	list_for_each_safe (tx, next, &kept, node) {
		list_del(&tx->node);
		list_append(&s->queue, &tx->node);
	}
}

/* With the mutex held and nobody busy: commits all that is queued. */
static void lead(struct store *s)
{
	struct list group = LIST_INIT(group), spent = LIST_INIT(spent);
	struct store_tx *tx, *next;
	struct cnm_error err;
	int r;

	list_for_each_safe (tx, next, &s->queue, node) {
		list_del(&tx->node);
		list_append(&group, &tx->node);
	}
	s->busy = true;
	pthread_mutex_unlock(&s->mutex);
	r = commit_group(s, &group, &err);
	pthread_mutex_lock(&s->mutex);

	str_copy(s->fault, sizeof(s->fault), r < 0 ? err.text : "");
	settle(s, &group, r, &err, &spent);
	s->busy = false;
	pthread_cond_broadcast(&s->idle);
	if (s->flusher_sleeps && !list_empty(&s->queue))
		pthread_cond_signal(&s->work);
	list_for_each_safe (tx, next, &spent, node)
		store_tx_free(tx);
}

int store_commit(struct store *s, struct store_tx *tx, enum store_durability how,
		 struct cnm_error *err)
{
	int r;

	if (!tx || tx->no_memory) {
		store_tx_free(tx);
		return cnm_error_errno(err, ENOMEM, "database %s", s->file);
	}
	if (!tx->first) {
		store_tx_free(tx);
		return 0;
	}
	tx->how = how;
	tx->err = err;
	pthread_mutex_lock(&s->mutex);
	list_append(&s->queue, &tx->node);
	while (!tx->done && s->busy)
		pthread_cond_wait(&s->idle, &s->mutex);
	if (!tx->done)
		lead(s);
	pthread_mutex_unlock(&s->mutex);
	r = tx->result;
	store_tx_free(tx);
	return r;
}

/* Commits what is deferred, a little later, so that another commit may take it along for free. */
static void *flusher_main(void *arg)
{
	struct store *s = arg;

	pthread_mutex_lock(&s->mutex);
	while (!s->closing) {
		uint64_t until;
		int r = 0;

		if (list_empty(&s->queue)) {
			s->flusher_sleeps = true;
			pthread_cond_wait(&s->work, &s->mutex);
			s->flusher_sleeps = false;
			continue;
		}
		until = clock_mono_ns() + (*s->fault ? RETRY_DELAY_NS : FLUSH_DELAY_NS);
		while (!s->closing && r == 0)
			r = cond_wait(&s->work, &s->mutex, until);
		wait_idle(s);
		if (!list_empty(&s->queue))
			lead(s);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

static bool start_flusher(struct store *s)
{
	pthread_attr_t attr;

	if (s->flusher_runs)
		return true;
	if (pthread_attr_init(&attr))
		return false;
	pthread_attr_setstacksize(&attr, FLUSHER_STACK);
	s->flusher_runs = pthread_create(&s->flusher, &attr, flusher_main, s) == 0;
	pthread_attr_destroy(&attr);
	return s->flusher_runs;
}

void store_commit_later(struct store *s, struct store_tx *tx)
{
	LOCKED(&s->mutex);

	if (!tx || tx->no_memory) {
		str_copy(s->fault, sizeof(s->fault),
			 "a change could not be recorded: out of memory");
		store_tx_free(tx);
		return;
	}
	tx->deferred = true;
	list_append(&s->queue, &tx->node);
	if (!start_flusher(s)) {
		wait_idle(s);
		lead(s);
	} else if (s->flusher_sleeps) {
		pthread_cond_signal(&s->work);
	}
}

void store_flush(struct store *s)
{
	LOCKED(&s->mutex);

	wait_idle(s);
	if (!list_empty(&s->queue))
		lead(s);
}

char *store_fault(struct store *s)
{
	LOCKED(&s->mutex);

	return *s->fault ? strdup(s->fault) : NULL;
}
