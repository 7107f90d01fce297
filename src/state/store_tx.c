/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions: a list of operations with copies of their texts, built without touching the
 * database, then run by whoever leads the commit.
 *
 * All statements number their parameters alike (enum param); a statement takes those it has.
 */
#include "state/store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum param { P_ID = 1, P_STATE, P_NAME, P_BODY, P_NETWORK, P_SANDBOX, P_IP4, P_IP6, P_MAC };

/* One allocation; the strings of row point behind it. For meta, id is the key and body the value.
 */
struct store_op {
	struct store_op *next;
	enum store_sql sql;
	struct store_row row;
	char text[];
};

const char *const store_kind_names[] = { "network",   "endpoint", "sandbox",
					 "container", "image",    "debt" };
const char *const store_state_names[] = { "creating", "ready", "removing" };

#define INSERT_NAMED(table) "INSERT INTO " table "(id,state,name,body) VALUES(?1,?2,?3,?4)"
#define UPDATE_NAMED(table) "UPDATE " table " SET state=?2,name=?3,body=?4 WHERE id=?1"
#define SET_STATE(table)    "UPDATE " table " SET state=?2 WHERE id=?1"
#define DELETE(table)       "DELETE FROM " table " WHERE id=?1"

static const char *const sql_texts[N_SQL] = {
	[SQL_INSERT + STORE_NETWORK] = INSERT_NAMED("network"),
	[SQL_INSERT + STORE_SANDBOX] = INSERT_NAMED("sandbox"),
	[SQL_INSERT + STORE_CONTAINER] = INSERT_NAMED("container"),
	[SQL_INSERT + STORE_IMAGE] = INSERT_NAMED("image"),
	[SQL_INSERT + STORE_DEBT] = INSERT_NAMED("debt"),
	[SQL_INSERT + STORE_ENDPOINT] =
		"INSERT INTO endpoint(id,state,name,body,network,sandbox,ip4,ip6,mac)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
	[SQL_UPDATE + STORE_NETWORK] = UPDATE_NAMED("network"),
	[SQL_UPDATE + STORE_SANDBOX] = UPDATE_NAMED("sandbox"),
	[SQL_UPDATE + STORE_CONTAINER] = UPDATE_NAMED("container"),
	[SQL_UPDATE + STORE_IMAGE] = UPDATE_NAMED("image"),
	[SQL_UPDATE + STORE_DEBT] = UPDATE_NAMED("debt"),
	[SQL_UPDATE + STORE_ENDPOINT] =
		"UPDATE endpoint SET state=?2,name=?3,body=?4,network=?5,sandbox=?6,ip4=?7,ip6=?8,"
		"mac=?9 WHERE id=?1",
	[SQL_SET_STATE + STORE_NETWORK] = SET_STATE("network"),
	[SQL_SET_STATE + STORE_SANDBOX] = SET_STATE("sandbox"),
	[SQL_SET_STATE + STORE_CONTAINER] = SET_STATE("container"),
	[SQL_SET_STATE + STORE_IMAGE] = SET_STATE("image"),
	[SQL_SET_STATE + STORE_DEBT] = SET_STATE("debt"),
	[SQL_SET_STATE + STORE_ENDPOINT] = SET_STATE("endpoint"),
	[SQL_DELETE + STORE_NETWORK] = DELETE("network"),
	[SQL_DELETE + STORE_SANDBOX] = DELETE("sandbox"),
	[SQL_DELETE + STORE_CONTAINER] = DELETE("container"),
	[SQL_DELETE + STORE_IMAGE] = DELETE("image"),
	[SQL_DELETE + STORE_DEBT] = DELETE("debt"),
	[SQL_DELETE + STORE_ENDPOINT] = DELETE("endpoint"),
	[SQL_SET_META] = "INSERT INTO meta(key,value) VALUES(?1,?4)"
			 " ON CONFLICT(key) DO UPDATE SET value=excluded.value",
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_MEMBER_BEGIN] = "SAVEPOINT member",
	[SQL_MEMBER_KEEP] = "RELEASE member",
	[SQL_MEMBER_UNDO] = "ROLLBACK TO member",
};

/* ------------------------------------------------------------------------------- building */

struct store_tx *store_tx_new(struct store *s)
{
	struct store_tx *tx = calloc(1, sizeof(*tx));

	if (tx) {
		list_init(&tx->node);
		tx->end = &tx->first;
	}
	return tx;
}

void store_tx_free(struct store_tx *tx)
{
	struct store_op *op, *next;

	if (!tx)
		return;
	for (op = tx->first; op; op = next) {
		next = op->next;
		free(op);
	}
	free(tx);
}

/* Appends a copy of row; empty strings become NULL, which is never compared. */
static void add(struct store_tx *tx, enum store_sql sql, const struct store_row *row)
{
	struct store_row copy = *row;
	const char **texts[] = { &copy.id,      &copy.name, &copy.body, &copy.network,
				 &copy.sandbox, &copy.ip4,  &copy.ip6,  &copy.mac };
	const size_t n = sizeof(texts) / sizeof(texts[0]);
	struct store_op *op;
	size_t size = 0;
	char *at;

	if (!tx)
		return;
	for (size_t i = 0; i < n; i++)
		size += *texts[i] ? strlen(*texts[i]) + 1 : 0;
	op = malloc(sizeof(*op) + size);
	if (!op) {
		tx->no_memory = true;
		return;
	}
	at = op->text;
	for (size_t i = 0; i < n; i++) {
		const char *text = *texts[i];

		*texts[i] = NULL;
		if (!text || (!*text && texts[i] != &copy.body))
			continue;
		*texts[i] = strcpy(at, text);
		at += strlen(at) + 1;
	}
	op->next = NULL;
	op->sql = sql;
	op->row = copy;
	*tx->end = op;
	tx->end = &op->next;
}

void store_tx_insert(struct store_tx *tx, const struct store_row *row)
{
	add(tx, SQL_INSERT + row->kind, row);
}

void store_tx_update(struct store_tx *tx, const struct store_row *row)
{
	add(tx, SQL_UPDATE + row->kind, row);
}

void store_tx_set_state(struct store_tx *tx, enum store_kind kind, const char *id,
			enum store_state state)
{
	add(tx, SQL_SET_STATE + kind,
	    &(struct store_row){ .kind = kind, .id = id, .state = state });
}

void store_tx_delete(struct store_tx *tx, enum store_kind kind, const char *id)
{
	add(tx, SQL_DELETE + kind, &(struct store_row){ .kind = kind, .id = id });
}

void store_tx_set_meta(struct store_tx *tx, const char *key, const char *value)
{
	add(tx, SQL_SET_META, &(struct store_row){ .id = key, .body = value });
}

/* ------------------------------------------------------------------------------- running */

static int statement(struct store *s, enum store_sql which, sqlite3_stmt **ret)
{
	int rc = SQLITE_OK;

	if (!s->sql[which])
		rc = sqlite3_prepare_v3(s->db, sql_texts[which], -1, SQLITE_PREPARE_PERSISTENT,
					&s->sql[which], NULL);
	if (rc == SQLITE_OK)
		*ret = s->sql[which];
	return rc;
}

static int step(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	sqlite3_reset(st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int store_run(struct store *s, enum store_sql which)
{
	sqlite3_stmt *st;
	int rc = statement(s, which, &st);

	return rc == SQLITE_OK ? step(st) : rc;
}

static int bind(sqlite3_stmt *st, const struct store_row *row)
{
	const char *const texts[] = {
		[P_ID] = row->id,           [P_NAME] = row->name,       [P_BODY] = row->body,
		[P_NETWORK] = row->network, [P_SANDBOX] = row->sandbox, [P_IP4] = row->ip4,
		[P_IP6] = row->ip6,         [P_MAC] = row->mac,
	};
	int n = sqlite3_bind_parameter_count(st), rc = SQLITE_OK;

	for (int i = 1; i <= n && rc == SQLITE_OK; i++) {
		if (i == P_STATE)
			rc = sqlite3_bind_int(st, i, row->state);
		else
			rc = sqlite3_bind_text(st, i, texts[i], -1, SQLITE_STATIC);
	}
	return rc;
}

/* What SQLite says of a violated constraint, and what we say around the value that is taken. */
static const struct {
	const char *columns, *before;
	size_t value; /* offset in struct store_row */
	const char *after;
} taken[] = {
	{ "network.name", "a network named \"", offsetof(struct store_row, name), "\" exists" },
	{ "network.id", "a network with id ", offsetof(struct store_row, id), " exists" },
	{ "sandbox.name", "a sandbox named \"", offsetof(struct store_row, name), "\" exists" },
	{ "sandbox.id", "a sandbox with id ", offsetof(struct store_row, id), " exists" },
	{ "container.name", "a container named \"", offsetof(struct store_row, name), "\" exists" },
	{ "container.id", "a container with id ", offsetof(struct store_row, id), " exists" },
	{ "image.id", "an image with id ", offsetof(struct store_row, id), " exists" },
	{ "debt.id", "a debt with id ", offsetof(struct store_row, id), " exists" },
	{ "endpoint.id", "an endpoint with id ", offsetof(struct store_row, id), " exists" },
	{ "endpoint.network, endpoint.name", "an endpoint named \"",
	  offsetof(struct store_row, name), "\" exists on this network" },
	{ "endpoint.network, endpoint.ip4", "address ", offsetof(struct store_row, ip4),
	  " is taken on this network" },
	{ "endpoint.network, endpoint.ip6", "address ", offsetof(struct store_row, ip6),
	  " is taken on this network" },
	{ "endpoint.network, endpoint.mac", "MAC address ", offsetof(struct store_row, mac),
	  " is taken on this network" },
};

static int foreign_key_error(const struct store_op *op, struct cnm_error *err)
{
	if (op->sql == SQL_DELETE + STORE_NETWORK)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "network %s has endpoints: remove them first", op->row.id);
	if (op->sql == SQL_DELETE + STORE_SANDBOX)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "sandbox %s has endpoints: let them leave first", op->row.id);
	return cnm_error_set(err, CNM_E_CONFLICT,
			     "the network or the sandbox of endpoint %s has been removed",
			     op->row.name ?: op->row.id);
}

/* The error of a result that is the request's fault. */
static int request_error(struct store *s, const struct store_op *op, int rc, struct cnm_error *err)
{
	const char *said = sqlite3_errmsg(s->db), *columns;

	if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
		return foreign_key_error(op, err);
	columns = str_after(said, "UNIQUE constraint failed: ");
	for (size_t i = 0; columns && i < sizeof(taken) / sizeof(taken[0]); i++) {
		const char *value = *(const char *const *)((const char *)&op->row + taken[i].value);

		if (streq(columns, taken[i].columns))
			return cnm_error_set(err, CNM_E_CONFLICT, "%s%s%s", taken[i].before,
					     value ?: "", taken[i].after);
	}
	return cnm_error_set(err, CNM_E_INVALID, "the database refuses the row: %s", said);
}

/* A fault is returned; a failure of the operation itself goes to tx->result. */
static int run_op(struct store *s, struct store_tx *tx, const struct store_op *op)
{
	sqlite3_stmt *st;
	int rc = statement(s, op->sql, &st);

	if (rc == SQLITE_OK)
		rc = bind(st, &op->row);
	if (rc == SQLITE_OK)
		rc = step(st);
	if (store_is_fault(rc))
		return rc;
	if (rc != SQLITE_OK)
		tx->result = request_error(s, op, rc, tx->err);
	else if (op->sql >= SQL_UPDATE && op->sql < SQL_DELETE && sqlite3_changes(s->db) == 0)
		tx->result =
			cnm_error_set(tx->err, CNM_E_NOT_FOUND, "no %s with id %s in the database",
				      store_kind_names[op->row.kind], op->row.id);
	return SQLITE_OK;
}

int store_tx_run(struct store *s, struct store_tx *tx)
{
	int rc = store_run(s, SQL_MEMBER_BEGIN);

	for (struct store_op *op = tx->first; op && rc == SQLITE_OK && tx->result == 0;
	     op = op->next)
		rc = run_op(s, tx, op);
	if (rc == SQLITE_OK && tx->result < 0)
		rc = store_run(s, SQL_MEMBER_UNDO);
	if (rc == SQLITE_OK)
		rc = store_run(s, SQL_MEMBER_KEEP);
	return rc;
}
