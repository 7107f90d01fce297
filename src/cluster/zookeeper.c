/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ZooKeeper as a store.
 *
 * Reads are preceded by a sync, in the same round trip, so that a server that is behind catches up.
 *
 * A session's time-out is the ttl, as near as the server's own limits come to it (2 to 20 of its
 * ticks, which are 2 s unless it is told otherwise). A session that is not connected for some
 * seconds is given up for a new one, which asks the servers in another order, resolves their names
 * again, and gets on with a server that knows less than the last one did: restored from a backup.
 * A new session reads everything anew, and takes over what the old one kept.
 *
 * Folders of keys are containers, so servers from 3.5.3 on are needed. ZooKeeper's own node at the
 * root is no key; with no prefix in the URL, keys that begin with its name are refused.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/str.h"
#include "cluster/zookeeper_tree.h"

#define SECOND UINT64_C(1000000000)
/* Not connected for this long: it is said; a new session is asked for. */
#define SAY_AFTER   (SECOND / 2)
#define RENEW_AFTER (4 * SECOND)
/* Between attempts after what does not go away by itself. */
#define PAUSE SECOND
/* The thread's own requests. Usually the library finds out sooner that nobody is there. */
#define PATIENCE (30 * SECOND)
/* A server takes 1 MiB at most for one request, and all watches are sent in one. */
#define WATCH_BYTES_MAX (768 * 1024)

/* Whoever waits for a list that the thread makes. */
struct list_job {
	struct list node; /* in zk->lists until it is taken */
	char *path;
	uint64_t until;
	struct kv_entries found;
	int r;
	bool taken, done;
	bool left; /* nobody waits for it any more */
};

/* ---- in and out */

static int enter(struct zk *zk, struct cnm_error *err)
{
	LOCKED(&zk->lock);

	if (!zk->closing) {
		zk->users++;
		return 0;
	}
	cnm_error_set(err, CNM_E_UNAVAILABLE, "the store is being closed");
	return -ECANCELED;
}

static void leave(struct zk **zk)
{
	LOCKED(&(*zk)->lock);

	if (--(*zk)->users == 0)
		pthread_cond_broadcast(&(*zk)->changed);
}

/* For the rest of the scope, which is done before the store is freed. */
#define ENTERED(zk) __attribute__((unused)) _cleanup_(leave) struct zk *_entered_ = (zk)

/* ---- reads */

/* 0, ZK_AGAIN or an errno with err set. */
static int get_once(struct zk *zk, const char *key, const char *path, uint64_t until, unsigned ms,
		    struct kv_entries *found, struct cnm_error *err)
{
	_batch_ struct zk_batch *b = zk_batch_new(zk, 2);
	int r = b ? zk_wait_connected(zk, until) : -ENOMEM, rc = ZOK;

	if (r == 0) {
		zk_ask_sync(b, 0);
		zk_ask_get(b, 1, path, ZK_NO_WATCH);
		zk_count(zk, 2);
		r = zk_wait(b, until);
	}
	if (r == 0) {
		rc = b->calls[0].rc != ZOK ? b->calls[0].rc : b->calls[1].rc;
		if (zk_was_lost(rc) || zk_was_refused(rc))
			return ZK_AGAIN;
	}
	if (r == 0 && zk_is_key(&b->calls[1]))
		r = kv_entries_add(found, key, b->calls[1].value, (size_t)b->calls[1].len,
				   (uint64_t)b->calls[1].stat.mzxid);
	if (r || (rc != ZOK && rc != ZNONODE))
		return zk_failed(zk, r, rc, ms, "read a key", err);
	return 0;
}

static int zk_get(struct kv *kv, const char *key, unsigned ms, struct kv_entries *ret,
		  struct cnm_error *err)
{
	struct zk *zk = kv->own;
	struct kv_entries found = { 0 };
	uint64_t until = zk_deadline(ms);
	_free_ char *path = NULL;
	int r = enter(zk, err);

	if (r)
		return r;
	ENTERED(zk);
	path = zk_path(zk, key);
	if (!path)
		return zk_failed(zk, -ENOMEM, ZOK, ms, "read a key", err);
	do
		r = get_once(zk, key, path, until, ms, &found, err);
	while (r == ZK_AGAIN);
	if (r == 0)
		*ret = found;
	else
		kv_entries_free(&found);
	return r;
}

static void job_free(struct list_job *job)
{
	kv_entries_free(&job->found);
	free(job->path);
	free(job);
}

/* Waits for the thread; the job is freed by it if it has just taken it. */
static int job_wait(struct zk *zk, struct list_job *job, struct kv_entries *ret)
{
	LOCKED(&zk->lock);
	int r = 0;

	list_append(&zk->lists, &job->node);
	pthread_cond_broadcast(&zk->changed);
	while (!job->done && !zk->closing && r != -ETIMEDOUT)
		r = cond_wait(&zk->changed, &zk->lock, job->until);
	if (!job->done) {
		r = zk->closing ? -ECANCELED : -ETIMEDOUT;
		job->left = job->taken;
		if (job->taken)
			return r;
		list_del(&job->node);
	} else {
		r = job->r;
	}
	if (r == 0) {
		*ret = job->found;
		job->found = (struct kv_entries){ 0 };
	}
	job_free(job);
	return r;
}

static int zk_list(struct kv *kv, const char *prefix, unsigned ms, struct kv_entries *ret,
		   struct cnm_error *err)
{
	struct zk *zk = kv->own;
	struct list_job *job;
	int r = enter(zk, err);

	if (r)
		return r;
	ENTERED(zk);
	job = calloc(1, sizeof(*job));
	if (job)
		job->path = zk_path(zk, prefix);
	if (!job || !job->path) {
		free(job);
		return zk_failed(zk, -ENOMEM, ZOK, ms, "list keys", err);
	}
	job->until = zk_deadline(ms);
	r = job_wait(zk, job, ret);
	return r ? zk_failed(zk, r, ZOK, ms, "list keys", err) : 0;
}

static int zk_txn(struct kv *kv, const struct kv_op *ops, size_t n, unsigned ms, size_t *ret_which,
		  struct cnm_error *err)
{
	struct zk *zk = kv->own;
	int r = enter(zk, err);

	if (r)
		return r;
	ENTERED(zk);
	return zk_transaction(zk, ops, n, ms, ret_which, err);
}

/* ---- what is kept */

static int zk_keep(struct kv *kv, const char *key, const void *value, size_t len)
{
	struct zk *zk = kv->own;
	_free_ void *copy = malloc(len + 1);
	_free_ char *path = zk_path(zk, key);
	LOCKED(&zk->lock);

	if (!copy || !path)
		return -ENOMEM;
	if (zk_is_reserved(path))
		return -EINVAL;
	if (zk->kept.path && !streq(zk->kept.path, path))
		return -EINVAL;
	if (len)
		memcpy(copy, value, len);
	free(zk->kept.value);
	zk->kept.value = take_ptr(copy);
	zk->kept.len = len;
	if (!zk->kept.path)
		zk->kept.path = take_ptr(path);
	zk->kept.number++;
	zk->kept.due = true;
	zk->kept.later = 0;
	pthread_cond_broadcast(&zk->changed);
	return 0;
}

/* One request of the thread's; its code, or in *ret_r why there is none. */
static int answer_to(struct zk_batch *b, int *ret_r)
{
	*ret_r = zk_wait(b, clock_mono_ns() + PATIENCE);
	return *ret_r ? ZOPERATIONTIMEOUT : b->calls[0].rc;
}

/* Writes the kept key, which is not there, is ours, or was put there by another session. */
static int put_kept(struct zk *zk, int found, const struct Stat *stat, const void *value,
		    size_t len, int *ret_r)
{
	const struct zk_lib *lib = zk->lib;
	_batch_ struct zk_batch *b = zk_batch_new(zk, 1);
	const char *path = zk->kept.path;
	zoo_op_t ops[2];

	if (!b) {
		*ret_r = -ENOMEM;
		return ZSYSTEMERROR;
	}
	if (found == ZNONODE) {
		zk_ask_create(b, 0, path, value, len, lib->ZOO_EPHEMERAL);
	} else if (stat->ephemeralOwner == lib->zoo_client_id(zk->zh)->client_id) {
		zk_ask_set(b, 0, path, value, len);
	} else {
		lib->zoo_delete_op_init(&ops[0], path, -1);
		lib->zoo_create_op_init(&ops[1], path, value, (int)len, lib->open_acl,
					lib->ZOO_EPHEMERAL, NULL, 0);
		zk_ask_multi(b, 0, ops, 2);
	}
	return answer_to(b, ret_r);
}

/* Looks whether the kept key is there, which sets the watch, and writes it if need be. */
static int look_after(struct zk *zk, const void *value, size_t len, bool written, int *ret_r)
{
	_batch_ struct zk_batch *b = zk_batch_new(zk, 1);
	const struct Stat *stat;
	int rc, made = ZOK;

	if (!b) {
		*ret_r = -ENOMEM;
		return ZSYSTEMERROR;
	}
	zk_ask_exists(b, 0, zk->kept.path, ZK_WATCH_KEPT);
	rc = answer_to(b, ret_r);
	stat = &b->calls[0].stat;
	if (rc != ZOK && rc != ZNONODE)
		return rc;
	if (rc == ZOK && written &&
	    stat->ephemeralOwner == zk->lib->zoo_client_id(zk->zh)->client_id)
		return ZOK;
	rc = put_kept(zk, rc, stat, value, len, ret_r);
	if (rc == ZNONODE && *ret_r == 0)
		*ret_r = zk_make_parents(zk, zk->kept.path, false, clock_mono_ns() + PATIENCE,
					 &made);
	if (*ret_r != -EIO)
		return rc;
	*ret_r = 0;
	return made;
}

/* It may be otherwise at once, or as soon as there is a connection. */
static bool may_pass(int rc)
{
	return zk_was_lost(rc) || zk_was_refused(rc) || rc == ZNONODE || rc == ZNODEEXISTS;
}

/* 0, also if it is to be done again; or what makes the session useless. */
static int keep_step(struct zk *zk)
{
	_free_ void *value = NULL;
	uint64_t number;
	size_t len;
	bool written;
	int rc, r = 0;

	pthread_mutex_lock(&zk->lock);
	len = zk->kept.len;
	number = zk->kept.number;
	written = zk->kept.put == number;
	value = malloc(len + 1);
	if (value)
		memcpy(value, zk->kept.value, len);
	zk->kept.due = false;
	pthread_mutex_unlock(&zk->lock);
	if (!value)
		return -ENOMEM;

	rc = look_after(zk, value, len, written, &r);
	LOCKED(&zk->lock);
	if (r == 0 && rc == ZOK)
		zk->kept.put = number;
	if (r || rc == ZOK)
		return r;
	zk->kept.due = true;
	if (!may_pass(rc)) {
		log_debug("zookeeper: cannot keep %s: %s", zk->kept.path, zk->lib->zerror(rc));
		zk->kept.later = clock_mono_ns() + PAUSE;
	}
	return 0;
}

/* ---- the thread */

enum work { OVER, SAY_REACHED, SAY_LOST, KEEP, LIST, TREE };

/* What is to be done with a connection; OVER: nothing. Under the lock. */
static enum work connected_work(struct zk *zk, bool said, uint64_t now)
{
	if (!said)
		return SAY_REACHED;
	if (zk->kept.due && now >= zk->kept.later)
		return KEEP;
	if (!list_empty(&zk->lists))
		return LIST;
	/* Without a watcher, the tree is read when a list is wanted. */
	if (zk->kv->watcher && (!list_empty(&zk->events) || zk_tree_is_behind(zk->tree)))
		return TREE;
	return OVER;
}

struct said {
	bool reached, lost; /* in this session, since it was otherwise */
};

static enum work next_work(struct zk *zk, const struct said *said)
{
	LOCKED(&zk->lock);
	enum work work;

	for (;;) {
		uint64_t now = clock_mono_ns(), until = 0;

		if (zk->closing || zk->expired || zk->stalled || zk->deaf ||
		    (zk->lost && zk_tree_watch_bytes(zk->tree) > WATCH_BYTES_MAX))
			return OVER;
		zk->lost = false;
		if (zk->connected) {
			work = connected_work(zk, said->reached, now);
			if (work != OVER)
				return work;
			until = zk->kept.due ? zk->kept.later : 0;
		} else {
			if (now - zk->since >= RENEW_AFTER)
				return OVER;
			if (!said->lost && now - zk->since >= SAY_AFTER)
				return SAY_LOST;
			until = zk->since + (said->lost ? RENEW_AFTER : SAY_AFTER);
		}
		cond_wait(&zk->changed, &zk->lock, until);
	}
}

static struct list_job *take_job(struct zk *zk)
{
	LOCKED(&zk->lock);
	struct list_job *job;

	if (list_empty(&zk->lists))
		return NULL;
	job = container_of(zk->lists.next, struct list_job, node);
	list_del(&job->node);
	job->taken = true;
	return job;
}

static void finish_job(struct zk *zk, struct list_job *job, int r)
{
	LOCKED(&zk->lock);

	if (job->left) {
		job_free(job);
		return;
	}
	job->taken = false;
	if (r == -EAGAIN) {
		list_append(&zk->lists, &job->node);
		return;
	}
	job->r = r;
	job->done = true;
	pthread_cond_broadcast(&zk->changed);
}

static int list_step(struct zk *zk)
{
	struct list_job *job = take_job(zk);
	int r;

	if (!job)
		return 0;
	r = zk_tree_list(zk->tree, job->path, job->until, &job->found);
	if (r)
		kv_entries_free(&job->found);
	job->found = r ? (struct kv_entries){ 0 } : job->found;
	finish_job(zk, job, r);
	return r == -ENOMEM ? r : 0;
}

static void say_reached(struct zk *zk)
{
	const struct kv_server *server;

	pthread_mutex_lock(&zk->lock);
	server = zk->server;
	pthread_mutex_unlock(&zk->lock);
	if (server)
		kv_at(zk->kv, server);
	kv_reached(zk->kv, true, "");
}

static void say_lost(struct zk *zk)
{
	char why[sizeof(zk->kv->status.why)];

	zk_why(zk, why, sizeof(why));
	kv_reached(zk->kv, false, why);
}

/* Until the session is of no more use: 0, or what went wrong with it. */
static int serve(struct zk *zk)
{
	struct said said = { 0 };
	int r = 0;

	while (r == 0 || r == -EAGAIN) {
		switch (next_work(zk, &said)) {
		case OVER:
			return 0;
		case SAY_REACHED:
			say_reached(zk);
			said = (struct said){ .reached = true };
			break;
		case SAY_LOST:
			say_lost(zk);
			said = (struct said){ .lost = true };
			break;
		case KEEP:
			r = keep_step(zk);
			break;
		case LIST:
			r = list_step(zk);
			break;
		case TREE:
			r = zk_tree_step(zk->tree, clock_mono_ns() + PATIENCE);
			break;
		}
	}
	return r;
}

/* For the next session: what was kept in this one ends with it. False: the store is closed. */
static bool go_on(struct zk *zk, bool pause)
{
	LOCKED(&zk->lock);
	uint64_t until = clock_mono_ns() + PAUSE;

	zk->kept.due = zk->kept.path != NULL;
	zk->kept.put = zk->kept.later = 0;
	while (pause && !zk->closing && cond_wait(&zk->changed, &zk->lock, until) == 0)
		;
	return !zk->closing;
}

static void *run(void *arg)
{
	struct zk *zk = arg;
	bool pause;

	do {
		char why[sizeof(zk->kv->status.why)] = "out of memory";
		int r = zk_session_open(zk, why, sizeof(why));

		if (r)
			kv_reached(zk->kv, false, why);
		else
			r = serve(zk);
		pause = r != 0;
		zk_session_close(zk);
		zk_tree_reset(zk->tree);
	} while (go_on(zk, pause));
	return NULL;
}

/* ---- opening and closing */

static void zk_free(struct zk *zk)
{
	zk_tree_free(zk->tree);
	free(zk->addresses);
	free(zk->kept.path);
	free(zk->kept.value);
	pthread_cond_destroy(&zk->changed);
	pthread_mutex_destroy(&zk->lock);
	free(zk);
}

static struct zk *zk_new(struct kv *kv, const struct zk_lib *lib)
{
	struct zk *zk = calloc(1, sizeof(*zk));

	if (!zk)
		return NULL;
	if (cond_init(&zk->changed)) {
		free(zk);
		return NULL;
	}
	pthread_mutex_init(&zk->lock, NULL);
	zk->kv = kv;
	zk->lib = lib;
	list_init(&zk->calls);
	list_init(&zk->events);
	list_init(&zk->lists);
	/* Hosts of a cluster begin with different servers. */
	zk->first = (unsigned)(clock_mono_ns() / 1000 % kv->n_servers);
	zk->tree = zk_tree_new(zk);
	if (zk->tree)
		return zk;
	zk_free(zk);
	return NULL;
}

static int zk_open(struct kv *kv, struct cnm_error *err)
{
	const struct zk_lib *lib;
	struct zk *zk;
	int r;

	if (kv->cacertfile)
		return cnm_error_set(err, CNM_E_INVALID,
				     "TLS to ZooKeeper is not possible: Debian builds its client "
				     "library without; leave out kv.cacertfile, kv.certfile and "
				     "kv.keyfile, or use etcd or Consul");
	lib = zk_lib_load(err);
	if (!lib)
		return -ENOENT;
	zk = zk_new(kv, lib);
	if (!zk)
		return cnm_error_errno(err, ENOMEM, "cannot open the store");
	kv->own = zk;
	r = pthread_create(&zk->thread, NULL, run, zk);
	if (r == 0)
		return 0;
	kv->own = NULL;
	zk_free(zk);
	return cnm_error_errno(err, r, "cannot start the store's thread");
}

static void zk_close(struct kv *kv)
{
	struct zk *zk = kv->own;
	struct zk_call *c;

	if (!zk)
		return;
	pthread_mutex_lock(&zk->lock);
	zk->closing = true;
	list_for_each (c, &zk->calls, node)
		pthread_cond_broadcast(&c->batch->done);
	pthread_cond_broadcast(&zk->changed);
	pthread_mutex_unlock(&zk->lock);
	pthread_join(zk->thread, NULL);
	pthread_mutex_lock(&zk->lock);
	while (zk->users)
		cond_wait(&zk->changed, &zk->lock, 0);
	pthread_mutex_unlock(&zk->lock);
	kv->own = NULL;
	zk_free(zk);
}

const struct kv_backend kv_zookeeper = {
	.schemes = { "zk", "zookeeper" },
	.open = zk_open,
	.close = zk_close,
	.get = zk_get,
	.list = zk_list,
	.txn = zk_txn,
	.keep = zk_keep,
};
