/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said to etcd's JSON gateway, and what it answers. Keys and values are base64, 64-bit
 * numbers are strings, and what is 0, false or empty is left out.
 *
 * Parsers take any bytes. Their errors are of class unavailable: the server makes no sense.
 */
#ifndef CLUSTER_ETCD_JSON_H
#define CLUSTER_ETCD_JSON_H

#include "base/str.h"
#include "cluster/kv_internal.h"

/* Keys from `from` on, and before `to`; without `to`, the one key. Any bytes. */
struct etcd_span {
	char *from, *to;
	size_t from_len, to_len;
};
/* The key, or all below prefix ("": below the store's). -ENOMEM. */
int etcd_span_key(const struct kv *kv, const char *key, struct etcd_span *ret);
int etcd_span_below(const struct kv *kv, const char *prefix, struct etcd_span *ret);
void etcd_span_free(struct etcd_span *s);

struct etcd_header {
	uint64_t cluster, revision;
};

/* ---- requests: the text, the caller's; NULL: no memory */

/* limit 0: all; revision 0: as of now. */
char *etcd_range_text(const struct etcd_span *s, unsigned limit, uint64_t revision);
char *etcd_txn_text(const struct kv *kv, const struct kv_op *ops, size_t n);
char *etcd_put_text(const struct kv *kv, const char *key, const void *value, size_t len,
		    uint64_t lease);
char *etcd_watch_text(const struct etcd_span *s, uint64_t revision);

/* ---- answers */

struct etcd_page {
	struct etcd_header header;
	bool more;  /* keys of the span are missing, from next on */
	char *next; /* the caller's */
	size_t next_len;
	uint64_t lease; /* of the last key */
};
/* Adds the keys that are ours to entries, which the caller frees, also after a failure. */
int etcd_parse_range(const struct kv *kv, const char *json, size_t len, struct kv_entries *entries,
		     struct etcd_page *ret, struct cnm_error *err);

/* 0, or KV_CONFLICT with the first operation that did not find what it must, n if there is none. */
int etcd_parse_txn(const char *json, size_t len, const struct kv_op *ops, size_t n,
		   size_t *ret_which, struct cnm_error *err);

int etcd_parse_grant(const char *json, size_t len, uint64_t *ret_lease, struct cnm_error *err);
/* 0 seconds: the lease is gone. */
int etcd_parse_keepalive(const char *json, size_t len, uint64_t *ret_ttl, struct cnm_error *err);

struct etcd_news {
	struct etcd_header header; /* revision 0: it says none */
	bool ended;                /* this watch has no more */
};
/* One message of a watch. Changes of keys that are ours are added, as in etcd_parse_range(). */
int etcd_parse_news(const struct kv *kv, const char *json, size_t len, struct kv_entries *changes,
		    struct etcd_news *ret, struct cnm_error *err);

/* The code and the text of an error, of gRPC; 0: it is none. */
int etcd_error_code(const char *json, size_t len);

#endif
