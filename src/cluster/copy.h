/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A copy of the store in memory: every key below CLUSTER_ROOT with its value and version, as the
 * watch tells them and from nowhere else, so that it is always what the store was at some time.
 *
 * Values are kept as text and parsed when they are asked for: most are looked at once. It has a
 * lock of its own, held for a look or a change and never across a call that waits.
 */
#ifndef CLUSTER_COPY_H
#define CLUSTER_COPY_H

#include <jansson.h>

#include "cluster/kv.h"

#define CLUSTER_ROOT "cnm/1/"

enum cluster_kind {
	CLUSTER_CLAIMS,    /* cnm/1/claims */
	CLUSTER_NETWORK,   /* cnm/1/networks/NID */
	CLUSTER_ENDPOINT,  /* cnm/1/endpoints/NID/EID */
	CLUSTER_ADDRESS,   /* cnm/1/addresses/NID/HEX */
	CLUSTER_NAME,      /* cnm/1/names/NID/NAME */
	CLUSTER_HOST,      /* cnm/1/hosts/HID */
	CLUSTER_ALIVE,     /* cnm/1/alive/HID */
	CLUSTER_TOMBSTONE, /* cnm/1/tombstones/EID */
	CLUSTER_N_KINDS
};

/* A key taken apart. */
struct cluster_key {
	enum cluster_kind kind;
	char network[65]; /* NID or "" */
	char id[129];     /* the last segment, or "" */
};
/* false: it is none of ours, whatever it is; ids are 64 hex digits, a name what Docker admits. */
bool cluster_key_parse(struct cluster_key *ret, const char *key);
/* network and id may be NULL where the kind has none. Returns buf. */
const char *cluster_key_make(char buf[static KV_KEY_MAX + 1], enum cluster_kind kind,
			     const char *network, const char *id);

struct cluster_copy;
struct cluster_copy *cluster_copy_new(void); /* NULL: no memory */
void cluster_copy_free(struct cluster_copy *c);

/* From the watcher; keys that are none of ours are left out. -ENOMEM: all() is needed. */
int cluster_copy_all(struct cluster_copy *c, const struct kv_entry *v, size_t n);
int cluster_copy_changed(struct cluster_copy *c, const struct kv_entry *v, size_t n);

/* The value as JSON, a new reference (a value that is none: a JSON null), or NULL: no such key. */
json_t *cluster_copy_get(struct cluster_copy *c, const char *key, uint64_t *ret_version);
/* Its version, 0 if there is none. */
uint64_t cluster_copy_version(struct cluster_copy *c, const char *key);
/*
 * Calls fn for each key of a kind (and of a network, unless NULL) in the order of strcmp(), with
 * the lock held: fn may not come back here. text: the value, which need not be JSON. fn returns
 * false to stop.
 */
void cluster_copy_each(struct cluster_copy *c, enum cluster_kind kind, const char *network,
		       bool (*fn)(void *arg, const struct cluster_key *key, const char *text),
		       void *arg);

#endif
