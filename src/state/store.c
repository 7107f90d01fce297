/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store's life: the directory and its lock, opening and closing, and reading.
 *
 * The lock is an flock on DIR/cnm.lock, so it ends with the process however that ends; the pid in
 * the file is only told to the next comer. Reading is for the start of the daemon and for tests:
 * it takes the connection as a leader does and prepares its statements each time.
 */
#include "state/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cond.h"
#include "base/str.h"

/* DIR is for the owner only; parents that are missing are made as mkdir -p makes them. */
static int make_dir(const char *dir, struct cnm_error *err)
{
	_free_ char *path = strdup(dir);

	if (!path)
		return cnm_error_errno(err, ENOMEM, "state directory %s", dir);
	for (char *p = path + 1; *path && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return cnm_error_errno(err, errno, "make state directory %s", dir);
	return 0;
}

#define LOCK_TRIES    200
#define LOCK_PAUSE_US 10000

static void read_owner(int fd, char pid[static 16])
{
	ssize_t n = pread(fd, pid, 15, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
}

static int in_use_error(const char *dir, int fd, struct cnm_error *err)
{
	char pid[16];

	read_owner(fd, pid);
	return cnm_error_set(err, CNM_E_CONFLICT,
			     "state directory %s is in use by process %s: end that one, or choose "
			     "another directory",
			     dir, *pid ? pid : "(not known yet)");
}

/* Does the process that wrote its pid live? */
static bool owner_lives(int fd)
{
	char pid[16];
	long n;

	read_owner(fd, pid);
	return str_to_long(pid, 1, INT_MAX, &n) < 0 || kill((pid_t)n, 0) == 0 || errno != ESRCH;
}

/*
 * A child that the owner was just starting when it was killed has the lock too, until it executes
 * its program: a moment.
 */
static int lock_file(int fd)
{
	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (tries == LOCK_TRIES || owner_lives(fd))
			return -EWOULDBLOCK;
		usleep(LOCK_PAUSE_US);
	}
	return 0;
}

static int take_lock(struct store *s, struct cnm_error *err)
{
	_free_ char *path = NULL;
	_close_ int fd = -1;
	int r;

	if (asprintf(&path, "%s/cnm.lock", s->dir) < 0) {
		path = NULL;
		return cnm_error_errno(err, ENOMEM, "lock state directory %s", s->dir);
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return cnm_error_errno(err, errno, "open %s", path);
	r = lock_file(fd);
	if (r == -EWOULDBLOCK)
		return in_use_error(s->dir, fd, err);
	if (r < 0)
		return cnm_error_errno(err, r, "lock %s", path);
	/* On a full disk the pid cannot be written; the lock holds all the same. */
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
	s->lock_fd = take_fd(&fd);
	return 0;
}

static int init_threads(struct store *s)
{
	int r = pthread_mutex_init(&s->mutex, NULL);

	if (!r)
		r = pthread_cond_init(&s->idle, NULL);
	return r ? r : cond_init(&s->work);
}

static void destroy(struct store *s)
{
	struct store_tx *tx, *next;

	list_for_each_safe (tx, next, &s->queue, node)
		store_tx_free(tx);
	for (int i = 0; i < N_SQL; i++)
		sqlite3_finalize(s->sql[i]);
	sqlite3_close(s->db);
	close_fd(&s->lock_fd); /* last: the next owner finds the file closed */
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->mutex);
	free(s->file);
	free(s->dir);
	free(s);
}

int store_open(struct store **ret, const char *dir, struct cnm_error *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s || init_threads(s)) {
		free(s);
		return cnm_error_errno(err, ENOMEM, "open state directory %s", dir);
	}
	s->lock_fd = -1;
	list_init(&s->queue);
	s->dir = strdup(dir);
	if (!s->dir || asprintf(&s->file, "%s/cnm.db", dir) < 0) {
		s->file = NULL;
		r = cnm_error_errno(err, ENOMEM, "open state directory %s", dir);
	} else {
		r = make_dir(dir, err);
	}
	if (r == 0)
		r = take_lock(s, err);
	if (r == 0)
		r = store_schema_open(s, err);
	if (r < 0) {
		destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->mutex);
	s->closing = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->mutex);
	if (s->flusher_runs)
		pthread_join(s->flusher, NULL);
	store_flush(s);
	destroy(s);
}

/* ------------------------------------------------------------------------------- reading */

#define SELECT_NAMED(table) "SELECT id,state,body,name FROM " table " ORDER BY "

static const char *const selects[] = {
	[STORE_NETWORK] = SELECT_NAMED("network"),
	[STORE_SANDBOX] = SELECT_NAMED("sandbox"),
	[STORE_CONTAINER] = SELECT_NAMED("container"),
	[STORE_IMAGE] = SELECT_NAMED("image"),
	[STORE_DEBT] = SELECT_NAMED("debt"),
	[STORE_ENDPOINT] = "SELECT id,state,body,name,network,sandbox,ip4,ip6,mac FROM endpoint"
			   " ORDER BY ",
};

/* A column the table has not reads as NULL. Returns false for what no cnm has written. */
static bool read_row(sqlite3_stmt *st, enum store_kind kind, struct store_row *row)
{
	const char *text[9];
	int state = sqlite3_column_int(st, 1);

	for (int i = 0; i < 9; i++)
		text[i] = (const char *)sqlite3_column_text(st, i);
	*row = (struct store_row){
		.kind = kind,
		.state = (enum store_state)state,
		.id = text[0],
		.body = text[2],
		.name = text[3],
		.network = text[4],
		.sandbox = text[5],
		.ip4 = text[6],
		.ip6 = text[7],
		.mac = text[8],
	};
	return row->id && row->body && state >= STORE_CREATING && state <= STORE_REMOVING;
}

static int each_acquired(struct store *s, enum store_kind kind, const char *order,
			 int (*fn)(const struct store_row *, void *, struct cnm_error *), void *arg,
			 struct cnm_error *err)
{
	char sql[128];
	sqlite3_stmt *st = NULL;
	struct store_row row;
	int r = 0, rc;

	snprintf(sql, sizeof(sql), "%s%s", selects[kind], order);
	rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
	while (rc == SQLITE_OK && r >= 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		rc = read_row(st, kind, &row) ? SQLITE_OK : SQLITE_CORRUPT;
		if (rc == SQLITE_OK)
			r = fn(&row, arg, err);
	}
	if (r >= 0)
		r = rc == SQLITE_DONE ? 0 : store_fault_error(s, rc, err);
	sqlite3_finalize(st);
	return r;
}

static int each(struct store *s, enum store_kind kind, const char *order,
		int (*fn)(const struct store_row *, void *, struct cnm_error *), void *arg,
		struct cnm_error *err)
{
	int r;

	store_acquire(s);
	r = each_acquired(s, kind, order, fn, arg, err);
	store_release(s);
	return r;
}

int store_each(struct store *s, enum store_kind kind,
	       int (*fn)(const struct store_row *row, void *arg, struct cnm_error *err), void *arg,
	       struct cnm_error *err)
{
	return each(s, kind, "n", fn, arg, err);
}

/* Calls fn for each meta row with key (NULL: all, sorted). */
static int each_meta(struct store *s, const char *key,
		     int (*fn)(const char *, const char *, void *), void *arg,
		     struct cnm_error *err)
{
	sqlite3_stmt *st = NULL;
	int r = 0, rc;

	store_acquire(s);
	rc = sqlite3_prepare_v2(
		s->db, "SELECT key,value FROM meta WHERE ?1 IS NULL OR key=?1 ORDER BY key", -1,
		&st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	while (rc == SQLITE_OK && r >= 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *k = (const char *)sqlite3_column_text(st, 0);
		const char *value = (const char *)sqlite3_column_text(st, 1);

		rc = k && value ? SQLITE_OK : SQLITE_CORRUPT;
		if (rc == SQLITE_OK && fn(k, value, arg) < 0)
			rc = SQLITE_NOMEM;
	}
	if (rc != SQLITE_DONE)
		r = store_fault_error(s, rc, err);
	sqlite3_finalize(st);
	store_release(s);
	return r;
}

static int copy_value(const char *key, const char *value, void *arg)
{
	return (*(char **)arg = strdup(value)) ? 0 : -ENOMEM;
}

int store_meta_get(struct store *s, const char *key, char **ret, struct cnm_error *err)
{
	char *value = NULL;
	int r = each_meta(s, key, copy_value, &value, err);

	if (r < 0) {
		free(value);
		return r;
	}
	*ret = value;
	return 0;
}

/* ------------------------------------------------------------------------------- dump */

static int dump_meta(const char *key, const char *value, void *arg)
{
	strbuf_addf(arg, "meta %s=%s\n", key, value);
	return 0;
}

static int dump_row(const struct store_row *row, void *arg, struct cnm_error *err)
{
	const char *const labels[] = { "name", "network", "sandbox", "ip4", "ip6", "mac", "body" };
	const char *const values[] = { row->name, row->network, row->sandbox, row->ip4,
				       row->ip6,  row->mac,     row->body };

	strbuf_addf(arg, "%s %s %s", store_kind_names[row->kind], row->id,
		    store_state_names[row->state]);
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (values[i])
			strbuf_addf(arg, " %s=%s", labels[i], values[i]);
	strbuf_add(arg, "\n");
	return 0;
}

char *store_dump(struct store *s)
{
	struct strbuf out = { 0 };
	struct cnm_error err;
	int r;

	store_flush(s);
	r = each_meta(s, NULL, dump_meta, &out, &err);
	for (enum store_kind kind = 0; r == 0 && kind < STORE_N_KINDS; kind++)
		r = each(s, kind, "id", dump_row, &out, &err);
	if (r < 0) /* a dump is read by people and compared: half a one must not pass for whole */
		strbuf_addf(&out, "error: %s\n", err.text);
	return strbuf_take(&out);
}
