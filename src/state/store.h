/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The embedded store: rows in, rows out, transactions; SQLite in WAL mode.
 *
 * A row is (kind, id, columns for the unique constraints, state, JSON body). The store knows no
 * more of networks than that. One process owns a state directory: the lock file names its pid.
 *
 * Commits are grouped. A caller of store_commit() queues its transaction; whoever finds nobody
 * committing commits all that is queued, each in a savepoint, in one SQLite transaction, and wakes
 * the others (leader and followers: an uncontended commit hands nothing to another thread). A group
 * is synchronous=FULL if one of its members asks for it, else NORMAL: a killed process loses
 * nothing either way, a power cut may lose NORMAL ones. store_commit_later() queues and returns; a
 * flusher thread commits it within a few milliseconds if no other commit takes it along first.
 * Order is kept: a transaction never overtakes one queued before it.
 *
 * Thread-safe throughout. No function is to be called with the model's lock held.
 *
 * A file that is damaged when it is opened fails store_open(): without its rows there is nothing to
 * serve. Damage, a full disk or a read-only one met later fail the commit at hand, wholly, with an
 * error that names the file; what is in memory is not touched, and commits work again as soon as
 * the file can be written. A store_commit_later() transaction that met such a fault is kept and
 * tried again.
 */
#ifndef STATE_STORE_H
#define STATE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "cnm/error.h"

struct store;

enum store_kind {
	STORE_NETWORK,
	STORE_ENDPOINT,
	STORE_SANDBOX,
	STORE_CONTAINER,
	STORE_IMAGE,
	STORE_DEBT, /* what a plugin has still to be told */
	STORE_N_KINDS
};
enum store_state { STORE_CREATING = 0, STORE_READY = 1, STORE_REMOVING = 2 };
enum store_durability { STORE_NORMAL, STORE_FULL };

/*
 * What is unique, enforced by the database too: a network's name; an endpoint's (network, name),
 * (network, ip4), (network, ip6) and (network, mac); a sandbox's name; a container's name. NULL or
 * "" is not compared. An endpoint refers to its network and, when joined, its sandbox: foreign
 * keys, so a row in use cannot be deleted.
 */
struct store_row {
	enum store_kind kind;
	enum store_state state;
	const char *id; /* 64 hex */
	const char *name;
	const char *network; /* endpoint: id of its network */
	const char *sandbox; /* endpoint: id of its sandbox, NULL when not joined */
	const char *ip4, *ip6, *mac;
	const char *body; /* JSON */
};

/*
 * Opens or makes DIR/cnm.db; DIR is made with mode 0700 if missing. Errors: CONFLICT if another
 * process has it ("state directory DIR is in use by process N"), FORBIDDEN if its schema is newer
 * ("DIR/cnm.db has schema 7, this cnm knows up to 3: ..."; the file stays as it is), INTERNAL with
 * the file's name when it is damaged or cannot be written. Older schemas are migrated, each step in
 * one transaction. A file under 4 MB is read through for damage first.
 */
int store_open(struct store **ret, const char *dir, struct cnm_error *err);
/* Commits what is queued, then closes. NULL is allowed. */
void store_close(struct store *s);

/*
 * Calls fn for each row of a kind, oldest first; strings live for the call only. fn<0 stops and is
 * returned. fn must not call the store.
 */
int store_each(struct store *s, enum store_kind kind,
	       int (*fn)(const struct store_row *row, void *arg, struct cnm_error *err), void *arg,
	       struct cnm_error *err);

/* Small values: "engine-id", "boot-id". *ret is NULL when absent; the caller frees it. */
int store_meta_get(struct store *s, const char *key, char **ret, struct cnm_error *err);

/* ---- transactions: build, then commit; the struct is spent by either commit call */
struct store_tx;

/* Building never fails outright: a failed allocation is reported by the commit. */
struct store_tx *store_tx_new(struct store *s);
void store_tx_free(struct store_tx *tx); /* only for one that was never committed */
/* Insert, or fail with CNM_E_CONFLICT on a unique constraint, named in words. */
void store_tx_insert(struct store_tx *tx, const struct store_row *row);
/* Replace all columns of the row with this kind and id; CNM_E_NOT_FOUND if there is none. */
void store_tx_update(struct store_tx *tx, const struct store_row *row);
/* CNM_E_NOT_FOUND if there is no such row. */
void store_tx_set_state(struct store_tx *tx, enum store_kind kind, const char *id,
			enum store_state state);
/* CNM_E_CONFLICT while endpoints refer to it. A row that is not there counts as deleted. */
void store_tx_delete(struct store_tx *tx, enum store_kind kind, const char *id);
void store_tx_set_meta(struct store_tx *tx, const char *key, const char *value);

/*
 * All of it, or none and an error. tx may be NULL (it then fails with -ENOMEM). One without
 * operations succeeds at once.
 */
int store_commit(struct store *s, struct store_tx *tx, enum store_durability how,
		 struct cnm_error *err);
/*
 * A fault of the file is kept for store_fault(), and the transaction for another try. One that
 * fails on its own (its row is gone by then) is dropped.
 */
void store_commit_later(struct store *s, struct store_tx *tx);
/* Everything queued before this call is in the database when it returns, unless store_fault(). */
void store_flush(struct store *s);

/*
 * NULL, or why the last commit failed for a reason that is the file's and not the request's (full
 * disk, damage, read-only), for doctor and /info. Text owned by the caller. Cleared by the next
 * commit that succeeds.
 */
char *store_fault(struct store *s);

/* Rows as stable text, sorted: for tests and `cnmd --dump-state`. Caller frees; NULL: no memory. */
char *store_dump(struct store *s);

#endif
