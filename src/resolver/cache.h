/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What servers said, for as long as they said it holds. Bounded in memory: the least recently used
 * go first. Belongs to one thread.
 *
 * An entry is found by the question (case apart), by what the query asked of the server besides
 * (recursion, checking disabled, DNSSEC, EDNS or not), and by the scope: who was asked. It is the
 * reply as it came; what is handed out has the asker's id and spelling, and TTLs that are less by
 * the time it was kept. Kept are NOERROR with answers, for the smallest TTL there is in it, and
 * NXDOMAIN and NOERROR without, if a SOA record says for how long (RFC 2308); nothing that is
 * truncated, failed, malformed, or whose TTL is 0.
 */
#ifndef RESOLVER_CACHE_H
#define RESOLVER_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resolver/dns_wire.h"

struct cache;

#define CACHE_TTL_MAX 86400 /* seconds; what says more is asked again after a day */

/* max_bytes: of all that it allocates. NULL: out of memory. */
struct cache *cache_new(size_t max_bytes);
void cache_free(struct cache *c); /* NULL is allowed */

/*
 * The reply to msg, which dns_parse_query() read into q, if it is known and still holds at now
 * (clock_mono_ns()): true, with the reply in buf, of max bytes. By UDP max is what the client takes
 * (q->size): what does not fit is cut and marked truncated. Up to DNS_TCP_MAX bytes else.
 */
bool cache_get(struct cache *c, uint64_t scope, const uint8_t *msg, const struct dns_query *q,
	       uint64_t now, uint8_t *buf, size_t max, size_t *ret_len);
/*
 * Keep a reply to msg that dns_check_reply() accepted, unless it is none to keep. Never fails.
 */
void cache_put(struct cache *c, uint64_t scope, const uint8_t *msg, const struct dns_query *q,
	       const uint8_t *reply, size_t len, uint64_t now);
/* Forget what was heard in a scope: its servers are others now. */
void cache_drop_scope(struct cache *c, uint64_t scope);
/* How many entries, and how much memory they take. */
size_t cache_entries(const struct cache *c);
size_t cache_bytes(const struct cache *c);

#endif
