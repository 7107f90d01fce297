/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the three kinds of stores share: the URL taken apart, what was said of the store's state. */
#ifndef CLUSTER_KV_INTERNAL_H
#define CLUSTER_KV_INTERNAL_H

#include <pthread.h>

#include "cluster/kv.h"

struct kv_backend {
	const char *schemes[3]; /* of its URLs; NULL ends them */
	/* Sets kv->own. The options are checked, servers and prefix are set. */
	int (*open)(struct kv *kv, struct cnm_error *err);
	void (*close)(struct kv *kv);
	/* As kv_list() and kv_txn(), with keys that are as they should be. */
	int (*get)(struct kv *kv, const char *key, unsigned ms, struct kv_entries *ret,
		   struct cnm_error *err);
	int (*list)(struct kv *kv, const char *prefix, unsigned ms, struct kv_entries *ret,
		    struct cnm_error *err);
	int (*txn)(struct kv *kv, const struct kv_op *ops, size_t n, unsigned ms, size_t *ret_which,
		   struct cnm_error *err);
	int (*keep)(struct kv *kv, const char *key, const void *value, size_t len);
};

extern const struct kv_backend kv_etcd, kv_consul, kv_zookeeper;

struct kv_server {
	char *host; /* without brackets */
	unsigned port;
	char *name; /* HOST:PORT as in URLs */
};

struct kv {
	const struct kv_backend *backend;
	struct kv_server *servers;
	size_t n_servers;
	char *prefix; /* "" or segments with '/' between them, none at the ends */
	char *cacertfile, *certfile, *keyfile; /* NULL: no TLS */
	unsigned ttl_s;
	const struct kv_watcher *watcher; /* NULL: none */
	void *arg;
	pthread_mutex_t lock; /* of the status */
	struct kv_status status;
	bool told; /* the watcher was told of a state */
	void *own; /* the backend's */
};

/* Sets backend, servers and prefix of kv, which has none; kv_url_free() also after a failure. */
int kv_url_parse(const char *url, struct kv *kv, struct cnm_error *err);
void kv_url_free(struct kv *kv);

/* As the rules of kv.h have it; besides, no segment is "." or "..". */
bool kv_key_is_good(const char *key);
/*
 * A key as the store has it: its prefix, a '/' and the key; the key alone if the prefix is empty.
 * The caller's; NULL: no memory.
 */
char *kv_full_key(const struct kv *kv, const char *key);
/* The key without the prefix; NULL: it is not below it, or none that the rules of kv.h admit. */
const char *kv_own_key(const struct kv *kv, const char *full);

/* One more entry; key and value (NULL: none) are copied. -ENOMEM. */
int kv_entries_add(struct kv_entries *e, const char *key, const void *value, size_t len,
		   uint64_t version);
/* Only the first n are left. */
void kv_entries_cut(struct kv_entries *e, size_t n);
void kv_entries_sort(struct kv_entries *e);

/* This server is asked now: for the watch or the lease. */
void kv_at(struct kv *kv, const struct kv_server *server);
/* The same for a call, which is one more request. */
void kv_asked(struct kv *kv, const struct kv_server *server);
/* By the thread that watches: tells the watcher when it is another state than before. */
void kv_reached(struct kv *kv, bool yes, const char *why);

/*
 * A memory of what the watcher was told, for stores that say only that something changed: keys with
 * their versions.
 */
struct kv_mirror;
struct kv_mirror *kv_mirror_new(void);
void kv_mirror_free(struct kv_mirror *m);
/*
 * All there is now. Tells the watcher what is different (what is gone, then the rest in the order
 * of its versions, which is that of the changes if the store counts them all with one counter), or
 * with `all`, everything. -ENOMEM: nothing was told.
 */
int kv_mirror_update(struct kv_mirror *m, struct kv *kv, const struct kv_entries *now, bool all);

#endif
