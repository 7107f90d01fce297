/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the protocol's functions are made: an attempt is a transaction built from what was looked at;
 * if it meets a conflict, or nobody says what became of it, the next looks at the store itself,
 * until the deadline.
 */
#ifndef CLUSTER_CLAIMS_INTERNAL_H
#define CLUSTER_CLAIMS_INTERNAL_H

#include "base/cleanup.h"
#include "base/json.h"
#include "cluster/claims.h"

/* ---- a transaction in the making; everything in it is its own */

struct claim_txn {
	struct kv_op ops[KV_TXN_MAX];
	size_t n;
	bool failed; /* memory ran out, or operations */
};
void claim_txn_free(struct claim_txn *t);
#define _txn_ _cleanup_(claim_txn_free)
/* value is taken. */
void claim_create(struct claim_txn *t, const char *key, json_t *value);
void claim_set(struct claim_txn *t, const char *key, json_t *value, uint64_t version);
/* To set it where version is not 0, else to create it. */
void claim_put(struct claim_txn *t, const char *key, json_t *value, uint64_t version);
void claim_delete(struct claim_txn *t, const char *key, uint64_t version);
/* Once is enough. */
void claim_check(struct claim_txn *t, const char *key, uint64_t version);
/* All of src to the end of dst. */
void claim_move(struct claim_txn *dst, struct claim_txn *src);

/* ---- attempts */

#define ANY_OP   63 /* suspected after any conflict */
#define OWNER_OP 62 /* ... after one that does not say where */

struct attempt {
	const struct cluster *c;
	uint64_t until;    /* monotonic ns */
	uint64_t suspects; /* a bit each operation that met a conflict: do not trust the copy */
	bool unheard;      /* a transaction may have been carried out */
};
struct attempt attempt_begin(const struct cluster *c);
/* 0, KV_CONFLICT (look closer and try again) or an error. */
int attempt_commit(struct attempt *a, const struct claim_txn *t, struct cnm_error *err);

/* What is at a key. */
struct found {
	json_t *value;    /* NULL: nothing */
	uint64_t version; /* 0: nothing */
};
void found_free(struct found *f);
#define _found_ _cleanup_(found_free)
/* By the copy, if it has the key and that operation is not suspected, else by the store. */
int attempt_look(struct attempt *a, unsigned op, const char *key, struct found *ret,
		 struct cnm_error *err);
static inline bool attempt_suspects(const struct attempt *a, unsigned op)
{
	return a->suspects >> op & 1;
}
static inline void attempt_suspect_all(struct attempt *a)
{
	a->suspects = UINT64_MAX;
}
/* Is there such a key? */
int attempt_has(struct attempt *a, enum cluster_kind kind, const char *network, const char *id,
		bool *ret, struct cnm_error *err);
unsigned attempt_ms_left(const struct attempt *a);

/* ---- small parts */

const char *claim_text(const json_t *o, const char *member); /* "" if there is none */
bool claim_is(const json_t *value, const char *id);          /* it is that string */
/* The last segment of an address's key. */
const char *claim_hex(const struct cnm_ip *ip, char buf[static 33]);

/* ---- claims_table.c: names, ids and pools of all networks */

#define VXLAN_ID_END (1u << 24)

/*
 * A table of one's own to change; what is no claim of any network is left out of it. NULL: no
 * memory.
 */
json_t *claims_table(const json_t *value);
/*
 * Adds a network to the table; n->vxlan_id is chosen if it is 0. On a clash n->other_id is set and
 * err says all.
 */
int claims_add(json_t *table, struct cluster_network *n, enum cluster_clash *ret,
	       struct cnm_error *err);
/* This one, and nothing else under its id. */
bool claims_hold(const json_t *table, const struct cluster_network *n);
bool claims_has(const json_t *table, const char *id);
void claims_remove(json_t *table, const char *id);

/* ---- claims_network.c, claims_endpoint.c: one step of each, for settling too */

/* Is it what network_attempt() writes? Whatever else is under a network's key is no network. */
bool network_is_good(const json_t *value);
/* Makes it, or what of it is missing: claims, network. KV_CONFLICT: again. */
int network_attempt(struct attempt *a, struct cluster_network *n, enum cluster_clash *ret,
		    struct cnm_error *err);
/* A removal that is begun is none any more. KV_CONFLICT: again. */
int network_unremove(struct attempt *a, const char *id, struct cnm_error *err);
/* Has a host written it? Whatever else is under an endpoint's key says nothing. */
bool endpoint_is_good(const json_t *value);
/* Puts it into the store. KV_CONFLICT: again. */
int endpoint_attempt(struct attempt *a, const struct cluster_endpoint *ep, enum cluster_clash *ret,
		     struct cnm_error *err);
/* Another name or body for one that is there. KV_CONFLICT: again. */
int endpoint_change(struct attempt *a, const struct cluster_endpoint *ep, enum cluster_clash *ret,
		    struct cnm_error *err);
/* Takes one out of the store: for what reason? */
enum removal {
	REMOVAL_LEAVE,  /* it is ours, and gone */
	REMOVAL_EVICT,  /* somebody says so: with a tombstone for its host */
	REMOVAL_EXPIRE, /* its host is not alive, nor may it be by the time of the transaction */
	REMOVAL_FORGET  /* both: its host is removed */
};
int endpoint_remove(struct attempt *a, const char *network_id, const char *id, enum removal why,
		    struct cnm_error *err);

#endif
