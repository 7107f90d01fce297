/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said to Consul's HTTP API, and what it answers. Parsers take any bytes; their errors are
 * of class unavailable: the server makes no sense.
 */
#ifndef CLUSTER_CONSUL_JSON_H
#define CLUSTER_CONSUL_JSON_H

#include "cluster/kv_internal.h"

#define CONSUL_SESSION_MAX 64

/* ---- requests: the text, the caller's; NULL: no memory */

/*
 * mark: another one for each transaction. Consul takes a write that changes nothing for none at
 * all, which leaves the version as it was; the mark is kept with the value, and makes the
 * difference.
 */
char *consul_txn_text(const struct kv *kv, const struct kv_op *ops, size_t n, uint64_t mark);
/* The key with this value, locked by the session, whatever is there. */
char *consul_put_text(const struct kv *kv, const char *key, const void *value, size_t len,
		      const char *session);
/* A session with which what it has locked is deleted. */
char *consul_session_text(unsigned ttl_s);

/* ---- answers */

/*
 * Adds the keys that are ours to entries, which the caller frees, also after a failure.
 * ret_session: that of the last key, or "".
 */
int consul_parse_keys(const struct kv *kv, const char *json, size_t len, struct kv_entries *entries,
		      char ret_session[static CONSUL_SESSION_MAX], struct cnm_error *err);
/* Of a transaction that was refused: KV_CONFLICT, or an error if that is not why. */
int consul_parse_conflict(const char *json, size_t len, const struct kv_op *ops, size_t n,
			  size_t *ret_which, struct cnm_error *err);
int consul_parse_session(const char *json, size_t len, char ret[static CONSUL_SESSION_MAX],
			 struct cnm_error *err);
/* X-Consul-Index; 0: it is none. */
uint64_t consul_parse_index(const char *text);

#endif
