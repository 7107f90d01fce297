/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening the database file: settings, the check for damage, the schema's version and migrations,
 * and the sentences for what a file can do wrong.
 *
 * The connection is in exclusive locking mode: one process owns the directory anyway, nobody can
 * change rows behind the model's back, and the WAL's index lives on the heap rather than in a
 * mapped file, which somebody could cut short under a running daemon (SIGBUS). So beside a running
 * daemon the sqlite3 shell finds the file locked; it can read a copy of cnm.db and cnm.db-wal.
 */
#include "state/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

/* A larger file is not read through at each start; damage then shows when it is met. */
#define CHECK_MAX_BYTES (4L << 20)

/*
 * Step i brings version i to i + 1. Released steps are never edited.
 *
 * `n` is the rowid: the order of creation. endpoint_name is not partial as its siblings are (NULLs
 * are distinct in it all the same): it also serves the foreign key when a network is deleted.
 */
static const char *const migrations[] = {
	"CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE network ("
	"  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, name TEXT,"
	"  body TEXT NOT NULL) STRICT;"
	"CREATE TABLE sandbox ("
	"  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, name TEXT,"
	"  body TEXT NOT NULL) STRICT;"
	"CREATE TABLE endpoint ("
	"  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, name TEXT,"
	"  network TEXT NOT NULL REFERENCES network(id), sandbox TEXT REFERENCES sandbox(id),"
	"  ip4 TEXT, ip6 TEXT, mac TEXT, body TEXT NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX network_name ON network(name) WHERE name IS NOT NULL;"
	"CREATE UNIQUE INDEX sandbox_name ON sandbox(name) WHERE name IS NOT NULL;"
	"CREATE UNIQUE INDEX endpoint_name ON endpoint(network, name);"
	"CREATE UNIQUE INDEX endpoint_ip4 ON endpoint(network, ip4) WHERE ip4 IS NOT NULL;"
	"CREATE UNIQUE INDEX endpoint_ip6 ON endpoint(network, ip6) WHERE ip6 IS NOT NULL;"
	"CREATE UNIQUE INDEX endpoint_mac ON endpoint(network, mac) WHERE mac IS NOT NULL;"
	"CREATE INDEX endpoint_sandbox ON endpoint(sandbox) WHERE sandbox IS NOT NULL;",

	"CREATE TABLE container ("
	"  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, name TEXT,"
	"  body TEXT NOT NULL) STRICT;"
	"CREATE TABLE image ("
	"  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, name TEXT,"
	"  body TEXT NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX container_name ON container(name) WHERE name IS NOT NULL;",

	"CREATE TABLE debt ("
	"  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, name TEXT,"
	"  body TEXT NOT NULL) STRICT;",
};

#define SCHEMA ((int)(sizeof(migrations) / sizeof(migrations[0])))

/* Settings that write nothing. The cache is for one group of a few rows; the model has the rest. */
static const char settings[] = "PRAGMA locking_mode=EXCLUSIVE;"
			       "PRAGMA cache_size=-256;"
			       "PRAGMA mmap_size=0;"
			       "PRAGMA temp_store=MEMORY;"
			       "PRAGMA foreign_keys=ON;"
			       "PRAGMA cell_size_check=ON;"
			       "PRAGMA trusted_schema=OFF;"
			       "PRAGMA synchronous=NORMAL;";

static const char wal[] = "PRAGMA journal_mode=WAL;"
			  "PRAGMA journal_size_limit=4194304;";

bool store_is_fault(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
		return false;
	}
	return true;
}

/* The errno behind an I/O error: of the connection, else of the WAL, else of the database. */
static int last_errno(sqlite3 *db)
{
	sqlite3_file *log = NULL;
	int number = sqlite3_system_errno(db);

	if (number == 0)
		sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (log && log->pMethods)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
	if (number == 0)
		sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
	return number;
}

int store_fault_error(struct store *s, int rc, struct cnm_error *err)
{
	int kind = rc & 0xff, number = 0;

	if (s->db && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN))
		number = last_errno(s->db);
	switch (kind) {
	case SQLITE_NOMEM:
		return cnm_error_errno(err, ENOMEM, "database %s", s->file);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return cnm_error_set(
			err, CNM_E_INTERNAL,
			"database %s is damaged (%s): move it away and restart: networks "
			"have to be made again; running traffic is not affected",
			s->file, sqlite3_errstr(rc));
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "database %s is locked by another program: close it there and "
				     "try again",
				     s->file);
	case SQLITE_IOERR:
		if (number != ENOSPC && number != EDQUOT)
			break;
		/* fall through */
	case SQLITE_FULL:
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "database %s cannot be written: no space left on device: free "
				     "some and try again",
				     s->file);
	}
	return cnm_error_set(err, CNM_E_INTERNAL,
			     "database %s cannot be read or written (%s%s%s): check the file, its "
			     "directory and its disk",
			     s->file, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc),
			     number ? ": " : "", number ? strerrordesc_np(number) : "");
}

/* Runs any SQL; *ret (may be NULL) is the first column of the last row, as a number. */
static int exec(struct store *s, const char *sql, int *ret, struct cnm_error *err)
{
	const char *rest = sql;

	while (*rest) {
		sqlite3_stmt *st = NULL;
		int rc = sqlite3_prepare_v2(s->db, rest, -1, &st, &rest);

		while (rc == SQLITE_OK && st && sqlite3_step(st) == SQLITE_ROW)
			if (ret)
				*ret = sqlite3_column_int(st, 0);
		if (st)
			rc = sqlite3_finalize(st);
		if (rc != SQLITE_OK)
			return store_fault_error(s, rc, err);
	}
	return 0;
}

/* The file is made here, so that it and its WAL are for the owner only whatever the umask. */
static int open_file(struct store *s, struct cnm_error *err)
{
	int rc, fd = open(s->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return cnm_error_errno(err, errno, "database %s", s->file);
	close(fd);
	rc = sqlite3_open_v2(s->file, &s->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
			     NULL);
	if (rc != SQLITE_OK)
		return store_fault_error(s, rc, err);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 128, 64);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_busy_timeout(s->db, 1000);
	return 0;
}

static int quick_check(struct store *s, struct cnm_error *err)
{
	sqlite3_stmt *st = NULL;
	struct stat sb;
	int rc;

	if (stat(s->file, &sb) < 0 || sb.st_size == 0 || sb.st_size >= CHECK_MAX_BYTES)
		return 0;
	rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW &&
	    !streq((const char *)sqlite3_column_text(st, 0) ?: "", "ok")) {
		sqlite3_finalize(st);
		return store_fault_error(s, SQLITE_CORRUPT, err);
	}
	rc = sqlite3_finalize(st);
	return rc == SQLITE_OK ? 0 : store_fault_error(s, rc, err);
}

/* One step and its version number, or nothing of it. */
static int migrate_step(struct store *s, int version, struct cnm_error *err)
{
	char set_version[64];
	int r;

	snprintf(set_version, sizeof(set_version), "PRAGMA user_version=%d; COMMIT;", version + 1);
	r = exec(s, "BEGIN IMMEDIATE;", NULL, err);
	if (r == 0)
		r = exec(s, migrations[version], NULL, err);
	if (r == 0)
		r = exec(s, set_version, NULL, err);
	if (r < 0 && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	if (r < 0)
		cnm_error_prefix(err, "bring the database from schema %d to %d", version,
				 version + 1);
	return r;
}

int store_schema_open(struct store *s, struct cnm_error *err)
{
	int version = 0, r = open_file(s, err);

	if (r == 0)
		r = exec(s, settings, NULL, err);
	if (r == 0)
		r = exec(s, "PRAGMA user_version;", &version, err);
	if (r < 0)
		return r;
	if (version < 0)
		return store_fault_error(s, SQLITE_CORRUPT, err);
	if (version > SCHEMA)
		return cnm_error_set(
			err, CNM_E_FORBIDDEN,
			"%s has schema %d, this cnm knows up to %d: run the cnm that wrote "
			"it, or move the file away and make the networks again",
			s->file, version, SCHEMA);
	r = quick_check(s, err);
	if (r == 0)
		r = exec(s, wal, NULL, err);
	for (; r == 0 && version < SCHEMA; version++)
		r = migrate_step(s, version, err);
	return r;
}
