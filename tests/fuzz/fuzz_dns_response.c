/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target: what a server of others says to a query for a.example, type A, with EDNS. It is
 * kept and handed out, and cut.
 */
#include <stdlib.h>
#include <string.h>

#include "resolver/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NS_PER_S 1000000000ull
#define BYTES    100000 /* less than the largest reply takes twice */

static const uint8_t query[] = "\x12\x34\1\0\0\1\0\0\0\0\0\1\1a\7example\0\0\1\0\1"
			       "\0\0\x29\4\xd0\0\0\0\0\0"; /* the last byte is the literal's */
static const uint8_t again[] = "\x56\x78\1\0\0\1\0\0\0\0\0\1\1A\7eXampLe\0\0\1\0\1"
			       "\0\0\x29\4\xd0\0\0\0\0\0";

#define QUESTION_LEN 15

/* What is handed out for `again`. It holds no longer than its smallest TTL, which is not 0. */
static void check(const uint8_t *msg, size_t len, size_t kept_len, uint64_t age)
{
	static struct dns_records r;

	if (len > kept_len || dns_id(msg) != dns_id(again) ||
	    memcmp(msg + DNS_HEADER, again + DNS_HEADER, QUESTION_LEN) != 0)
		abort();
	if (dns_check_reply(msg, len, again, QUESTION_LEN) < 0 ||
	    dns_read_reply(&r, msg, len, QUESTION_LEN) < 0)
		abort();
	if (!r.truncated && (r.ttl == 0 || r.ttl > INT32_MAX - age || r.bare_len != len))
		abort();
}

static void keep(const uint8_t *msg, size_t len)
{
	static const uint64_t ages[] = { 0, 1, 5, 60, 3600, CACHE_TTL_MAX };
	static uint8_t buf[DNS_TCP_MAX];
	static struct cache *c;
	const uint64_t now = NS_PER_S;
	struct dns_query q;
	size_t n;

	if ((!c && !(c = cache_new(BYTES))) || dns_parse_query(&q, query, sizeof(query)) != 0)
		abort();
	cache_drop_scope(c, 1);
	cache_put(c, 1, query, &q, msg, len, now);
	if (dns_parse_query(&q, again, sizeof(again)) != 0 || cache_bytes(c) > BYTES)
		abort();
	for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
		uint64_t then = now + ages[i] * NS_PER_S;

		if (cache_get(c, 1, again, &q, then, buf, DNS_UDP_MIN, &n)) {
			check(buf, n, len < DNS_UDP_MIN ? len : DNS_UDP_MIN, ages[i]);
			if (!cache_get(c, 1, again, &q, then, buf, DNS_TCP_MAX, &n))
				abort();
			check(buf, n, len, ages[i]);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *msg = malloc(size ? size : 1);
	struct dns_query q;

	if (size)
		memcpy(msg, data, size);
	if (dns_check_reply(msg, size, query, QUESTION_LEN) >= 0) {
		size_t n;

		keep(msg, size);
		/* What is left is still the reply to it, and never taken for a query. */
		n = dns_reply_cut(msg, QUESTION_LEN);
		if (n > size || dns_check_reply(msg, n, query, QUESTION_LEN) < 0 ||
		    dns_parse_query(&q, msg, n) >= 0)
			abort();
	}
	free(msg);
	return 0;
}
