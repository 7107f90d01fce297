/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the store share.
 *
 * One SQLite connection, opened without SQLite's own mutex. Who uses it has set `busy` under the
 * mutex and then lets the mutex go (store_acquire), so that no lock is held while the disk works.
 *
 *   store.c         opening, closing, the lock file, reading
 *   store_schema.c  settings of the connection, schema version, migrations, the check at open
 *   store_tx.c      building a transaction, running it, conflicts in words
 *   store_commit.c  the queue: leaders, followers, the flusher
 */
#ifndef STATE_STORE_INTERNAL_H
#define STATE_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "base/list.h"
#include "state/store.h"

/* The statements that are kept prepared: first those by kind (see store_tx.c), then the rest. */
enum store_sql {
	SQL_INSERT = 0,
	SQL_UPDATE = SQL_INSERT + STORE_N_KINDS,
	SQL_SET_STATE = SQL_UPDATE + STORE_N_KINDS,
	SQL_DELETE = SQL_SET_STATE + STORE_N_KINDS,
	SQL_SET_META = SQL_DELETE + STORE_N_KINDS,
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_MEMBER_BEGIN,
	SQL_MEMBER_KEEP,
	SQL_MEMBER_UNDO,
	N_SQL
};

struct store {
	char *dir, *file; /* DIR, DIR/cnm.db */
	int lock_fd;
	sqlite3 *db;
	sqlite3_stmt *sql[N_SQL]; /* prepared at first use */
	bool full;                /* the connection is at synchronous=FULL */

	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t idle;   /* busy has become false */
	pthread_cond_t work; /* for the flusher: the queue has a deferred transaction, or closing */
	bool busy;           /* somebody uses db and sql */
	struct list queue;   /* of struct store_tx, oldest first */
	bool flusher_runs, flusher_sleeps, closing;
	pthread_t flusher;
	char fault[512]; /* "" when there is none */
};

struct store_op;

struct store_tx {
	struct list node;
	struct store_op *first, **end;
	bool no_memory; /* an operation could not be recorded */

	/* From the commit on. */
	enum store_durability how;
	bool deferred; /* nobody waits for it */
	bool done;     /* result and err are final; the waiting thread owns it again */
	int result;
	struct cnm_error *err;
};

/* The names of the tables and states, by their enum. */
extern const char *const store_kind_names[STORE_N_KINDS];
extern const char *const store_state_names[3];

/* Have db and sql for this thread alone; waits for a commit under way. */
void store_acquire(struct store *s);
void store_release(struct store *s);

/*
 * Open db and make it current. The version is read before anything is written, so that the file of
 * a newer cnm stays as it is.
 */
int store_schema_open(struct store *s, struct cnm_error *err);

/* Is this result a failure of the file or of memory, rather than of what was asked? */
bool store_is_fault(int rc);
/* The error for a SQLite result that is one: names the file and what to do. */
int store_fault_error(struct store *s, int rc, struct cnm_error *err);

/* Run a statement without parameters. Returns SQLITE_OK or why not. */
int store_run(struct store *s, enum store_sql which);
/* Run all operations of tx within a savepoint. A fault is returned; tx's own failure is tx->result.
 */
int store_tx_run(struct store *s, struct store_tx *tx);

#endif
