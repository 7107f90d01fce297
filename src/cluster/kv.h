/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store that the hosts of a cluster share: etcd, Consul or ZooKeeper behind one interface.
 *
 * A store holds keys with a value and a version. All keys are below the prefix of its URL, which
 * is not part of a key here. A key is made of segments of letters, digits, '.', '_' and '-', with
 * '/' between them, none of which is "." or ".."; no key is a folder of another ("a" and "a/b" are
 * not both there).
 *
 * Calls wait for the store, so no lock may be held around them; any number of threads may make
 * them. Each has a deadline. The watcher is called by a thread of the store's, one call at a time,
 * and may not call back into the store.
 */
#ifndef CLUSTER_KV_H
#define CLUSTER_KV_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cnm/error.h"

#define KV_KEY_MAX   255          /* bytes of a key */
#define KV_VALUE_MAX (256 * 1024) /* of a value, and of all values of a transaction */
#define KV_TXN_MAX   32           /* operations: Consul takes 64, and needs two to delete a key */

struct kv_entry {
	const char *key;
	const void *value; /* NULL: the key is gone (in changes only) */
	size_t len;
	uint64_t version; /* never 0; another one after each write */
};

struct kv_entries {
	struct kv_entry *v; /* keys and values are owned by the whole */
	size_t n;
};
void kv_entries_free(struct kv_entries *e);

/*
 * What is in the store, for whoever keeps a copy. There is one call of all() before any of
 * changed(), and another whenever something may have been missed: the connection was lost for
 * longer than the store remembers, the history was compacted, the store was restored from a backup.
 */
struct kv_watcher {
	/* Every key there is; whatever else was known is gone. Borrowed for the call. */
	void (*all)(void *arg, const struct kv_entry *v, size_t n);
	/*
	 * Changes in the order in which they happened. What one transaction changed comes in one
	 * call if the store says so (etcd; Consul; not ZooKeeper), and a key that changed several
	 * times may come with its last value only. A key that was deleted and made again between
	 * may come as a change.
	 */
	void (*changed)(void *arg, const struct kv_entry *v, size_t n);
	/* The store is reached (again), or not any more, and why; also at the first outcome. */
	void (*reached)(void *arg, bool yes, const char *why);
};

struct kv_options {
	/*
	 * "etcd://HOST:PORT[,HOST:PORT...][/PREFIX]", the same with "consul", "zk" or "zookeeper".
	 * IPv6 addresses in brackets. Several servers are of one cluster: when one does not answer,
	 * the next is asked.
	 */
	const char *url;
	/* TLS, by all three or none: PEM files of the CA, of our certificate and of its key. */
	const char *cacertfile, *certfile, *keyfile;
	/* Of what kv_keep() keeps, after the last sign of life; at least 1. Consul: 10 to twice it.
	 */
	unsigned ttl_s;
	const struct kv_watcher *watcher; /* NULL: nothing is watched */
	void *arg;
};

struct kv;

/* Is it one that kv_open() takes? If not, err says why not and what it should be. Reaches nobody.
 */
int kv_url_check(const char *url, struct cnm_error *err);
/*
 * Does not wait for the store, which need not be there yet. Fails for a bad URL, unreadable files,
 * a library that is not installed, and want of memory.
 */
int kv_open(struct kv **ret, const struct kv_options *opt, struct cnm_error *err);
/*
 * Ends what is on its way (-ECANCELED to others who wait), the watch and the lease: what was kept
 * is gone from the store at once if that can be reached within a second, else when its time is
 * over. NULL is accepted.
 */
void kv_close(struct kv *kv);

/*
 * The errors of the calls below, besides -ENOMEM and, for what breaks the rules above, -EINVAL:
 * class unavailable, and the text says which servers were asked and what each said.
 *
 * Reads see every write that was answered before they began, by whomever. ms: the deadline.
 */

/* One key: a whole with n 1, or 0 if it is not there. */
int kv_get(struct kv *kv, const char *key, unsigned ms, struct kv_entries *ret,
	   struct cnm_error *err);
/* All keys that begin with prefix and a '/' ("": all), sorted by strcmp(), as of one moment. */
int kv_list(struct kv *kv, const char *prefix, unsigned ms, struct kv_entries *ret,
	    struct cnm_error *err);

enum kv_op_kind {
	KV_CREATE, /* the key, which must not be there */
	KV_SET,    /* its value; its version must be this */
	KV_DELETE, /* it; its version must be this */
	KV_CHECK,  /* changes nothing; its version must be this, 0: it must not be there */
};

struct kv_op {
	enum kv_op_kind kind;
	const char *key; /* each at most once in a transaction */
	const void *value;
	size_t len;
	uint64_t version;
};

/*
 * All operations or none. KV_CONFLICT: none was carried out since one of them did not find what it
 * must (ret_which says the first such one, where the store tells; else n). When servers are asked
 * one after another, a transaction that was carried out already is never reported as a conflict
 * with itself: what cannot be told is KV_UNKNOWN, an error as well. It may have been carried out,
 * or be so yet, until the store's own time-out is over: who must know reads it back. With several
 * servers that is said when half of the deadline is left, for the others to be asked.
 */
#define KV_CONFLICT 1
#define KV_UNKNOWN  (-EINPROGRESS)
int kv_txn(struct kv *kv, const struct kv_op *ops, size_t n, unsigned ms, size_t *ret_which,
	   struct cnm_error *err);

/*
 * Keep a key with this value in the store for as long as this process lives, and ttl_s longer: it
 * is written now and whenever it or the lease turns out to be gone, by a thread of the store's.
 * Does not wait. One key a store; another value may be given at any time. The key is this host's
 * own: what is there already is overwritten. A store that is not reached keeps it in mind.
 */
int kv_keep(struct kv *kv, const char *key, const void *value, size_t len);

struct kv_status {
	bool reached;
	char server[128];  /* the one asked last, HOST:PORT */
	char why[256];     /* it is not reached */
	uint64_t requests; /* to the store, ever, without those of the watch and the lease */
};
void kv_status(struct kv *kv, struct kv_status *ret);

#endif
