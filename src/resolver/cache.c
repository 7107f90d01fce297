/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What servers said, for as long as they said it holds.
 *
 * An entry is one piece of memory: what it is found by, the offsets of the TTLs in the reply (so
 * that handing it out needs no walk through its records), and the reply with its question in lower
 * case, which is the key's. An OPT is kept without its options, as these were between the server
 * and whoever asked first. The reply as a whole expires with the smallest TTL in it, so that none
 * that is handed out falls below 1.
 *
 * Entries are in a hash table and in a list, the least recently used first. Anyone may ask for any
 * name, so the hash has a secret key: nobody can have entries made that share a bucket.
 */
#include "resolver/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/list.h"
#include "resolver/table.h"

#define NS_PER_S 1000000000ull

struct entry {
	struct table_node by_key;
	struct list by_use;
	uint64_t scope, kept_at, expires;
	uint32_t len; /* of the reply */
	uint16_t question_len;
	uint16_t n_ttls;
	uint8_t asked; /* what the query asked of the server besides */
	uint16_t ttl_at[];
	/* The reply follows. */
};

struct cache {
	struct table table;
	struct list by_use;
	size_t bytes, max_bytes; /* bytes: of the entries */
	uint64_t hash_key;
};

struct key {
	uint64_t scope;
	size_t len;
	uint32_t hash;
	uint8_t asked;
	uint8_t question[DNS_QUESTION_MAX + 3]; /* in lower case; zeros up to a multiple of 4 */
};

static uint8_t *reply_of(struct entry *e)
{
	return (uint8_t *)(e->ttl_at + e->n_ttls);
}

static size_t entry_size(size_t n_ttls, size_t len)
{
	return sizeof(struct entry) + n_ttls * sizeof(uint16_t) + len;
}

/* ------------------------------------------------------------------------------- the key */

/* a * b + c modulo the prime 2^61 - 1, for a below it; the result may be the prime itself. */
static uint64_t multiply_add(uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t prime = (1ull << 61) - 1;
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b + c;
	uint64_t sum = (uint64_t)(product & prime) + (uint64_t)(product >> 61);

	return (sum & prime) + (sum >> 61);
}

/* The polynomial whose coefficients are the key, four bytes at a time, at a secret point. */
static uint32_t key_hash(const struct key *k, uint64_t point)
{
	uint64_t h = (uint64_t)k->len << 8 | k->asked;

	h = multiply_add(h, point, k->scope >> 32);
	h = multiply_add(h, point, k->scope & UINT32_MAX);
	for (size_t i = 0; i < k->len; i += sizeof(uint32_t)) {
		uint32_t word;

		memcpy(&word, k->question + i, sizeof(word));
		h = multiply_add(h, point, word);
	}
	return (uint32_t)h;
}

/* false: such a query is not for the cache. */
static bool key_make(struct key *ret, const struct cache *c, uint64_t scope, const uint8_t *msg,
		     const struct dns_query *q)
{
	if (!q->question_len || q->peculiar || (q->type >= DNS_META && q->type < DNS_ANY))
		return false;
	ret->scope = scope;
	ret->len = q->question_len;
	ret->asked = (uint8_t)(q->recursion | q->checking_disabled << 1 | q->authentic << 2 |
			       q->edns << 3 | q->dnssec_ok << 4);
	dns_question_lower(ret->question, msg, q->question_len);
	memset(ret->question + ret->len, 0, 3);
	ret->hash = key_hash(ret, c->hash_key);
	return true;
}

static struct entry *find(const struct cache *c, const struct key *k)
{
	struct table_node *n = table_first(&c->table, k->hash);

	for (; n; n = table_next(n)) {
		struct entry *e = container_of(n, struct entry, by_key);

		if (e->scope == k->scope && e->asked == k->asked && e->question_len == k->len &&
		    memcmp(reply_of(e) + DNS_HEADER, k->question, k->len) == 0)
			return e;
	}
	return NULL;
}

/* ------------------------------------------------------------------------------- life and death */

struct cache *cache_new(size_t max_bytes)
{
	_free_ struct cache *c = calloc(1, sizeof(*c));

	if (!c || table_init(&c->table) < 0)
		return NULL;
	list_init(&c->by_use);
	c->max_bytes = max_bytes;
	id_random(&c->hash_key, sizeof(c->hash_key));
	c->hash_key >>= 4; /* below the prime */
	return take_ptr(c);
}

static void drop(struct cache *c, struct entry *e)
{
	table_del(&c->table, &e->by_key);
	list_del(&e->by_use);
	c->bytes -= entry_size(e->n_ttls, e->len);
	free(e);
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	while (!list_empty(&c->by_use))
		drop(c, container_of(c->by_use.next, struct entry, by_use));
	table_free(&c->table);
	free(c);
}

void cache_drop_scope(struct cache *c, uint64_t scope)
{
	struct entry *e, *next;

	list_for_each_safe (e, next, &c->by_use, by_use) {
		if (e->scope == scope)
			drop(c, e);
	}
}

size_t cache_entries(const struct cache *c)
{
	return c->table.used;
}

size_t cache_bytes(const struct cache *c)
{
	return sizeof(*c) + c->table.n_buckets * sizeof(*c->table.buckets) + c->bytes;
}

/* ------------------------------------------------------------------------------- in and out */

/* For how many seconds it may be kept; 0: not at all. */
static uint32_t lifetime(const struct dns_records *r, const struct dns_query *q)
{
	bool negative = r->rcode == DNS_NXDOMAIN || !r->answered;
	uint32_t ttl = r->ttl;

	if ((r->rcode != DNS_NOERROR && r->rcode != DNS_NXDOMAIN) || r->truncated)
		return 0;
	if ((negative && !r->negative_known) || (r->edns && !q->edns) || !r->bare_len)
		return 0;
	if (negative && ttl > r->negative_ttl)
		ttl = r->negative_ttl;
	return ttl < CACHE_TTL_MAX ? ttl : CACHE_TTL_MAX;
}

static struct entry *entry_new(const struct key *k, const struct dns_records *r,
			       const uint8_t *reply)
{
	struct entry *e = calloc(1, entry_size(r->n_ttls, r->bare_len));

	if (!e)
		return NULL;
	e->scope = k->scope;
	e->asked = k->asked;
	e->question_len = (uint16_t)k->len;
	e->len = (uint32_t)r->bare_len;
	e->n_ttls = (uint16_t)r->n_ttls;
	memcpy(e->ttl_at, r->ttl_at, r->n_ttls * sizeof(*r->ttl_at));
	memcpy(reply_of(e), reply, r->bare_len);
	memcpy(reply_of(e) + DNS_HEADER, k->question, k->len);
	dns_drop_options(reply_of(e), r);
	return e;
}

void cache_put(struct cache *c, uint64_t scope, const uint8_t *msg, const struct dns_query *q,
	       const uint8_t *reply, size_t len, uint64_t now)
{
	struct dns_records r;
	struct entry *e, *old;
	uint32_t seconds;
	struct key k;

	if (!key_make(&k, c, scope, msg, q) || dns_read_reply(&r, reply, len, k.len) < 0)
		return;
	seconds = lifetime(&r, q);
	e = seconds ? entry_new(&k, &r, reply) : NULL;
	if (!e)
		return;
	old = find(c, &k);
	if (old)
		drop(c, old);
	e->kept_at = now;
	e->expires = now + seconds * NS_PER_S;
	c->bytes += entry_size(e->n_ttls, e->len);
	list_append(&c->by_use, &e->by_use);
	table_add(&c->table, &e->by_key, k.hash);
	/* The least recently used go; it itself last, if it is too large. */
	while (cache_bytes(c) > c->max_bytes && !list_empty(&c->by_use))
		drop(c, container_of(c->by_use.next, struct entry, by_use));
}

bool cache_get(struct cache *c, uint64_t scope, const uint8_t *msg, const struct dns_query *q,
	       uint64_t now, uint8_t *buf, size_t max, size_t *ret_len)
{
	struct entry *e;
	uint32_t age;
	struct key k;

	if (!key_make(&k, c, scope, msg, q))
		return false;
	e = find(c, &k);
	if (!e)
		return false;
	if (now >= e->expires) {
		drop(c, e);
		return false;
	}
	list_del(&e->by_use);
	list_append(&c->by_use, &e->by_use);
	memcpy(buf, reply_of(e), e->len <= max ? e->len : DNS_HEADER + k.len);
	dns_readdress(buf, msg, k.len);
	if (e->len > max) {
		*ret_len = dns_reply_cut(buf, k.len);
		return true;
	}
	age = (uint32_t)((now - e->kept_at) / NS_PER_S);
	for (size_t i = 0; age && i < e->n_ttls; i++)
		dns_age(buf, e->ttl_at[i], age);
	*ret_len = e->len;
	return true;
}
