/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target: a datagram from a sandbox, answered from a small zone; if it is for others to
 * answer, an answer of theirs is kept and handed out.
 */
#include <stdlib.h>
#include <string.h>

#include "resolver/answer.h"
#include "resolver/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A reply to the query that has one record, of the type asked for. */
static size_t make_answer(uint8_t buf[DNS_UDP_MAX], const uint8_t *msg, const struct dns_query *q)
{
	struct dns_reply r;

	dns_reply_begin(&r, buf, DNS_UDP_MAX, msg, q, DNS_NOERROR);
	dns_reply_add(&r, (enum dns_type)q->type, 60, "data", 4);
	return dns_reply_end(&r, q, DNS_NOERROR);
}

/* What a server said to the query is what the cache says to it, but not to what only a few ask. */
static void keep(const uint8_t *msg, const struct dns_query *q)
{
	struct cache *c = cache_new(4096);
	uint8_t reply[DNS_UDP_MAX], got[DNS_UDP_MAX];
	size_t len = make_answer(reply, msg, q), n;
	bool is_kept =
		!q->peculiar && (q->type < DNS_META || q->type >= DNS_ANY) && q->type != DNS_OPT;

	if (!c || dns_check_reply(reply, len, msg, q->question_len) != DNS_NOERROR)
		abort();
	cache_put(c, 1, msg, q, reply, len, 1);
	if (cache_get(c, 1, msg, q, 1, got, q->size, &n) != is_kept)
		abort();
	if (is_kept && (n != len || memcmp(got, reply, n) != 0))
		abort();
	cache_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "a", "web.x" }, *const ids[] = { "n" };
	static const struct resolver_names e = { "n",           "net",          "e", names, 2,
						 { 2, { 10 } }, { 10, { 253 } } };
	static const struct resolver_sandbox sb = { .id = "s",
						    .network_ids = ids,
						    .n_networks = 1 };
	static struct zone z;
	static struct zone_view *view;
	uint8_t *msg = malloc(size + 1), reply[DNS_UDP_MAX];
	uint64_t shuffle = 1;
	struct dns_query q;
	size_t n;

	if (!view && zone_init(&z) == 0 && (view = zone_view_new(&sb))) {
		zone_enter_view(&z, view);
		zone_put_endpoint(&z, zone_endpoint_new(&e));
	}
	memcpy(msg + 1, data, size); /* to the very end, so that what is read beyond is found out */
	if (answer_query(&z, view, &shuffle, msg + 1, size, &q, reply, DNS_UDP_MAX, &n) ==
	    ANSWER_FORWARD)
		keep(msg + 1, &q);
	free(msg);
	return 0;
}
