/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session with ZooKeeper, and requests in it.
 *
 * A thread of the store's (zookeeper.c) opens sessions, one after another, and alone uses the tree
 * of what is watched (zookeeper_tree.c). Any thread makes requests. The library has two threads of
 * its own for each session; what they call back does no more than to note the answer or the event
 * and to wake whoever waits.
 *
 * Requests are made in batches. Those of one batch are on their way together and are carried out
 * in the order in which they were made, and a batch's events are noted before the answers that
 * already show what changed. A batch belongs to its maker and to its requests: who has waited long
 * enough goes, and the last answer frees it.
 */
#ifndef CLUSTER_ZOOKEEPER_SESSION_H
#define CLUSTER_ZOOKEEPER_SESSION_H

#include "base/clock.h"
#include "base/list.h"
#include "cluster/kv_internal.h"
#include "cluster/zookeeper_lib.h"

#define ZK_PATH_MAX 1024
/* A request that was not made since no server is connected; no code of the library's. */
#define ZK_UNSENT 1
/* Nothing was carried out, and another attempt may succeed; no errno and no KV_CONFLICT. */
#define ZK_AGAIN 2

struct zk_tree;

/* The key that is kept. */
struct zk_kept {
	char *path; /* NULL: none; else it stays the same */
	void *value;
	size_t len;
	uint64_t number; /* of the value */
	uint64_t put;    /* of the one that was written in this session; 0: none */
	bool due;        /* it must be looked after */
	uint64_t later;  /* but not before */
};

struct zk_address {
	char text[64]; /* "192.0.2.1:2181", "[2001:db8::1]:2181": as the library writes it */
	const struct kv_server *server;
};

struct zk {
	struct kv *kv;
	const struct zk_lib *lib;
	struct zk_tree *tree;
	pthread_t thread;
	unsigned first; /* server of the next session */

	pthread_mutex_t lock; /* guards what follows; is held for no wait */
	pthread_cond_t changed;
	struct zk_address *addresses; /* of this session, in the order of trial */
	size_t n_addresses;
	zhandle_t *zh;
	bool connected, expired;
	bool lost;         /* it was connected, and then not, since the thread looked */
	bool stalled;      /* a request was not answered in time, and there are other servers */
	uint64_t since;    /* it is (not) connected */
	uint64_t answered; /* the last time */
	const struct kv_server *server; /* connected, or NULL */
	struct list calls;              /* unanswered */
	struct list events;             /* struct zk_event, for the tree */
	bool deaf;                      /* an event could not be noted */
	struct list lists;              /* struct zk_list: who waits for the tree */
	struct zk_kept kept;
	unsigned users; /* threads in one of our functions */
	bool closing;
};

struct zk_event {
	struct list node;
	int type;
	char path[];
};

/* ---- requests */

struct zk_batch;
struct zk_call {
	struct list node; /* in zk->calls */
	struct zk_batch *batch;
	bool answered;
	int rc; /* ZOK, one of the library's, or ZK_UNSENT; valid once it is answered */
	struct Stat stat;
	char *value; /* of a znode; NULL and len -1: it has none */
	int len;
	struct String_vector names; /* of its children */
};

struct zk_batch {
	struct zk *zk;
	unsigned refs;
	size_t n, pending;
	pthread_cond_t done;
	zoo_op_result_t *results; /* of a multi */
	struct zk_call calls[];
};

/* n requests to be made, each by one of the functions below. NULL: no memory. */
struct zk_batch *zk_batch_new(struct zk *zk, size_t n);
void zk_batch_unref(struct zk_batch *b);
static inline void zk_batch_cleanup(struct zk_batch **b)
{
	if (*b)
		zk_batch_unref(*b);
}
#define _batch_ _cleanup_(zk_batch_cleanup)

enum zk_watch { ZK_NO_WATCH, ZK_WATCH_TREE, ZK_WATCH_KEPT };
void zk_ask_sync(struct zk_batch *b, size_t i);
void zk_ask_get(struct zk_batch *b, size_t i, const char *path, enum zk_watch watch);
void zk_ask_exists(struct zk_batch *b, size_t i, const char *path, enum zk_watch watch);
void zk_ask_children(struct zk_batch *b, size_t i, const char *path);
/* value NULL: a folder. mode: ZOO_PERSISTENT, ... */
void zk_ask_create(struct zk_batch *b, size_t i, const char *path, const void *value, size_t len,
		   int mode);
void zk_ask_set(struct zk_batch *b, size_t i, const char *path, const void *value, size_t len);
void zk_ask_delete(struct zk_batch *b, size_t i, const char *path, int version);
/* b->results says what became of each; room for them is made here. */
void zk_ask_multi(struct zk_batch *b, size_t i, const zoo_op_t *ops, size_t n);

static inline uint64_t zk_deadline(unsigned ms)
{
	return clock_mono_ns() + (uint64_t)ms * 1000000;
}
/* Until all are answered. 0, -ETIMEDOUT, or -ECANCELED: the store is being closed. */
int zk_wait(struct zk_batch *b, uint64_t until);
/* Until a server is connected: the same. */
int zk_wait_connected(struct zk *zk, uint64_t until);
/* What was got is a key, and no folder. */
static inline bool zk_is_key(const struct zk_call *c)
{
	return c->rc == ZOK && c->len >= 0 && c->stat.numChildren == 0;
}
/* Such a request was certainly not carried out; it may be made again. */
bool zk_was_refused(int rc);
/* It was not answered, and nobody knows whether it was carried out. */
bool zk_was_lost(int rc);

/* Requests of kv.h's are counted by this, when they are made. */
void zk_count(struct zk *zk, size_t n);
/* What each server said; r: of zk_wait(), or 0 if there was an answer, rc. */
int zk_failed(struct zk *zk, int r, int rc, unsigned ms, const char *what, struct cnm_error *err);
void zk_why(struct zk *zk, char *buf, size_t size);

/* kv_txn() (zookeeper_txn.c). */
int zk_transaction(struct zk *zk, const struct kv_op *ops, size_t n, unsigned ms, size_t *ret_which,
		   struct cnm_error *err);

/* ---- paths */

/* The znode of a key, or of all keys (""). NULL: no memory. */
char *zk_path(const struct zk *zk, const char *key);
/* Is it the server's own node, or below that? */
bool zk_is_reserved(const char *path);
/* The folders above it that are not there; those of the prefix stay, the others end with their
 * last child. 0, or as zk_wait(), or -EIO: *ret_rc of the last one. */
int zk_make_parents(struct zk *zk, const char *path, bool counted, uint64_t until, int *ret_rc);

/* ---- sessions: by the thread */

/* Asks for a session. 0, -ENOMEM, or -EIO with why. */
int zk_session_open(struct zk *zk, char *why, size_t size);
/* Ends it; requests under way fail, events are forgotten. */
void zk_session_close(struct zk *zk);

#endif
