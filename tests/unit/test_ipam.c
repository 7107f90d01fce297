/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Address pools: what is given when, the edges of both families, running out of memory, and long
 * random histories beside a naive model that walks from address to address.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "unit.h"

#include "base/cleanup.h"
#include "ipam/ipam.h"

static struct cnm_ip ip(const char *s)
{
	struct cnm_ip v;

	if (ip_parse(&v, s) < 0)
		fail_msg("bad address in test: %s", s);
	return v;
}

static struct cnm_prefix prefix(const char *s)
{
	struct cnm_prefix v;

	if (prefix_parse(&v, s) < 0)
		fail_msg("bad prefix in test: %s", s);
	return v;
}

static void pool_free(struct ipam_pool **p)
{
	ipam_pool_free(*p);
}
#define _pool_ _cleanup_(pool_free)

static struct ipam_pool *pool(const char *subnet, const char *range)
{
	struct cnm_prefix s = prefix(subnet), r = { 0 };
	struct ipam_pool *p;

	if (range)
		r = prefix(range);
	assert_int_equal(ipam_pool_new(&p, &s, &r), 0);
	return p;
}

static void expect_next(struct ipam_pool *p, const char *want)
{
	struct cnm_ip got;
	char s[IP_STR];

	assert_int_equal(ipam_pool_next(p, &got), 0);
	assert_string_equal(ip_format(&got, s), want);
}

static void expect_first(struct ipam_pool *p, const char *want)
{
	struct cnm_ip got;
	char s[IP_STR];

	assert_int_equal(ipam_pool_first(p, &got), 0);
	assert_string_equal(ip_format(&got, s), want);
}

static void expect_full(struct ipam_pool *p)
{
	struct cnm_ip got = ip("1.2.3.4"), before = got;

	assert_int_equal(ipam_pool_next(p, &got), -ENOSPC);
	assert_int_equal(ipam_pool_first(p, &got), -ENOSPC);
	assert_true(ip_eq(&got, &before));
	assert_int_equal(ipam_pool_available(p), 0);
}

static int take(struct ipam_pool *p, const char *s)
{
	struct cnm_ip a = ip(s);

	return ipam_pool_take(p, &a);
}

static void release(struct ipam_pool *p, const char *s, bool rest)
{
	struct cnm_ip a = ip(s);

	ipam_pool_release(p, &a, rest);
}

static bool is_taken(const struct ipam_pool *p, const char *s)
{
	struct cnm_ip a = ip(s);

	return ipam_pool_is_taken(p, &a);
}

/* ---- one pool */

static void test_pool_edges(void **state)
{
	static const struct {
		const char *subnet, *first, *second, *in_between;
		uint64_t reserved, available;
	} cases[] = {
		{ "0.0.0.0/0", "0.0.0.1", "0.0.0.2", "128.0.0.0", 2, 4294967294 },
		{ "10.0.0.0/8", "10.0.0.1", "10.0.0.2", "10.128.0.0", 2, 16777214 },
		{ "255.0.0.0/8", "255.0.0.1", "255.0.0.2", "255.255.255.254", 2, 16777214 },
		{ "10.0.0.4/30", "10.0.0.5", "10.0.0.6", NULL, 2, 2 },
		{ "255.255.255.252/30", "255.255.255.253", "255.255.255.254", NULL, 2, 2 },
		{ "10.0.0.4/31", "10.0.0.4", "10.0.0.5", NULL, 0, 2 },
		{ "255.255.255.254/31", "255.255.255.254", "255.255.255.255", NULL, 0, 2 },
		{ "10.0.0.4/32", "10.0.0.4", NULL, NULL, 0, 1 },
		{ "0.0.0.0/32", "0.0.0.0", NULL, NULL, 0, 1 },
		{ "255.255.255.255/32", "255.255.255.255", NULL, NULL, 0, 1 },
		{ "::/0", "::1", "::2", "8000::", 1, UINT64_MAX },
		{ "fd00::/48", "fd00::1", "fd00::2", "fd00::1:0:0:0:0", 1, UINT64_MAX },
		{ "fd00::/64", "fd00::1", "fd00::2", "fd00::8000:0:0:0", 1, UINT64_MAX },
		{ "fd00::/65", "fd00::1", "fd00::2", "fd00::7fff:0:0:0", 1, INT64_MAX },
		{ "fd00::4/126", "fd00::5", "fd00::6", "fd00::7", 1, 3 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, 0, 2 },
		{ "fd00::4/128", "fd00::4", NULL, NULL, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_pool_ struct ipam_pool *p = pool(cases[i].subnet, NULL);

		assert_int_equal(ipam_pool_in_use(p), cases[i].reserved);
		assert_int_equal(ipam_pool_available(p), cases[i].available);
		expect_next(p, cases[i].first);
		if (cases[i].second)
			expect_next(p, cases[i].second);
		if (cases[i].in_between)
			assert_int_equal(take(p, cases[i].in_between), 0);
		assert_int_equal(ipam_pool_in_use(p),
				 cases[i].reserved + 1 + !!cases[i].second + !!cases[i].in_between);
		if (cases[i].available <= 3)
			expect_full(p);
	}
}

static void test_pool_counts_saturate(void **state)
{
	_pool_ struct ipam_pool *p64 = pool("fd00::/64", NULL);
	_pool_ struct ipam_pool *p63 = pool("fd00::/63", NULL);
	_pool_ struct ipam_pool *inner = pool("fd00::/48", "fd00:0:0:1::/64");

	/* 2^64 less the anycast address is UINT64_MAX exactly; 2^64 is cut to it. */
	assert_int_equal(ipam_pool_available(p64), UINT64_MAX);
	expect_next(p64, "fd00::1");
	assert_int_equal(ipam_pool_available(p64), UINT64_MAX - 1);
	expect_next(p63, "fd00::1");
	assert_int_equal(ipam_pool_available(p63), UINT64_MAX);
	expect_next(inner, "fd00:0:0:1::");
	assert_int_equal(ipam_pool_available(inner), UINT64_MAX);
	expect_next(inner, "fd00:0:0:1::1");
	assert_int_equal(ipam_pool_available(inner), UINT64_MAX - 1);
	assert_int_equal(ipam_pool_in_use(inner), 3);
}

static void test_pool_new_refuses(void **state)
{
	static const char *const cases[][2] = {
		{ "10.0.0.1/24", NULL },          { "10.0.0.0/24", "10.0.0.1/25" },
		{ "10.0.0.0/24", "10.0.1.0/25" }, { "10.0.0.0/24", "10.0.0.0/23" },
		{ "10.0.0.0/24", "fd00::/64" },
	};
	struct cnm_prefix unset = { 0 };
	struct ipam_pool *p = (void *)&unset;

	assert_int_equal(ipam_pool_new(&p, &unset, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cnm_prefix s = prefix(cases[i][0]), r = { 0 };

		if (cases[i][1])
			r = prefix(cases[i][1]);
		assert_int_equal(ipam_pool_new(&p, &s, &r), -EINVAL);
	}
	assert_ptr_equal(p, &unset);
	ipam_pool_free(NULL);
}

static void test_pool_take(void **state)
{
	_pool_ struct ipam_pool *p = pool("10.0.0.0/24", NULL);
	struct cnm_ip unset = { 0 };

	assert_int_equal(take(p, "10.0.0.0"), -EINVAL);
	assert_int_equal(take(p, "10.0.0.255"), -EINVAL);
	assert_int_equal(take(p, "10.0.1.1"), -ERANGE);
	assert_int_equal(take(p, "fd00::1"), -ERANGE);
	assert_int_equal(ipam_pool_take(p, &unset), -ERANGE);
	assert_int_equal(take(p, "10.0.0.2"), 0);
	assert_int_equal(take(p, "10.0.0.2"), -EEXIST);
	assert_true(is_taken(p, "10.0.0.2"));
	assert_false(is_taken(p, "10.0.0.3"));
	assert_false(is_taken(p, "10.0.0.0"));
	assert_false(is_taken(p, "fd00::1"));
	assert_false(ipam_pool_is_taken(p, &unset));
	assert_int_equal(ipam_pool_in_use(p), 3);
	assert_int_equal(ipam_pool_available(p), 253);

	release(p, "10.0.0.3", true);
	release(p, "10.0.1.1", true);
	release(p, "fd00::1", true);
	ipam_pool_release(p, &unset, true);
	assert_int_equal(ipam_pool_in_use(p), 3);
	expect_next(p, "10.0.0.1");
	expect_next(p, "10.0.0.3");
}

static void test_pool_range(void **state)
{
	_pool_ struct ipam_pool *p = pool("10.0.0.0/16", "10.0.5.0/30");

	/* Docker's gateway: the first of the range, though it looks like a network address. */
	expect_first(p, "10.0.5.0");
	expect_next(p, "10.0.5.1");
	expect_next(p, "10.0.5.2");
	assert_int_equal(take(p, "10.0.9.9"), 0);
	assert_int_equal(ipam_pool_available(p), 1);
	assert_int_equal(ipam_pool_in_use(p), 6);
	expect_next(p, "10.0.5.3");
	expect_full(p);
	assert_int_equal(take(p, "10.0.5.4"), 0);
	release(p, "10.0.9.9", true);
	assert_false(is_taken(p, "10.0.9.9"));
	expect_full(p);
}

static void test_pool_range_of_reserved(void **state)
{
	static const char *const cases[][2] = { { "10.0.0.0/24", "10.0.0.0/32" },
						{ "10.0.0.0/24", "10.0.0.255/32" },
						{ "0.0.0.0/0", "0.0.0.0/32" },
						{ "0.0.0.0/0", "255.255.255.255/32" },
						{ "fd00::/64", "fd00::/128" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_pool_ struct ipam_pool *p = pool(cases[i][0], cases[i][1]);

		expect_full(p);
	}
}

static void test_pool_first(void **state)
{
	_pool_ struct ipam_pool *p = pool("10.0.0.0/29", NULL);
	struct cnm_ip cursor;

	assert_int_equal(take(p, "10.0.0.1"), 0);
	expect_first(p, "10.0.0.2");
	cursor = ipam_pool_cursor(p);
	assert_false(ip_is_set(&cursor));
	expect_next(p, "10.0.0.3");
	release(p, "10.0.0.2", true);
	release(p, "10.0.0.1", true);
	expect_first(p, "10.0.0.4");
	expect_first(p, "10.0.0.5");
	expect_first(p, "10.0.0.6");
	expect_first(p, "10.0.0.2"); /* rests the longest */
	expect_first(p, "10.0.0.1");
	expect_full(p);
}

static void test_pool_cursor(void **state)
{
	_pool_ struct ipam_pool *p = pool("10.0.0.0/16", "10.0.5.0/24");
	struct cnm_ip a = ip("10.0.5.254"), outside = ip("10.0.6.1"), v6 = ip("fd00::1"), c;

	ipam_pool_set_cursor(p, &a);
	ipam_pool_set_cursor(p, &outside);
	ipam_pool_set_cursor(p, &v6);
	c = ipam_pool_cursor(p);
	assert_true(ip_eq(&c, &a));
	expect_next(p, "10.0.5.255");
	expect_next(p, "10.0.5.0");
	c = ipam_pool_cursor(p);
	assert_string_equal(ip_format(&c, (char[IP_STR]){ 0 }), "10.0.5.0");
}

static void test_pool_undo(void **state)
{
	_pool_ struct ipam_pool *p = pool("10.0.0.0/30", NULL);

	expect_next(p, "10.0.0.1");
	release(p, "10.0.0.1", false);
	assert_int_equal(ipam_pool_available(p), 2);
	expect_next(p, "10.0.0.2");
	expect_next(p, "10.0.0.1");
	expect_full(p);
}

static void test_pool_rest(void **state)
{
	_pool_ struct ipam_pool *p = pool("10.0.0.0/29", NULL);

	/* Released ahead of the walk: passed over once, given in the next round. */
	assert_int_equal(take(p, "10.0.0.2"), 0);
	expect_next(p, "10.0.0.1");
	release(p, "10.0.0.2", true);
	expect_next(p, "10.0.0.3");
	/* Released where the walk stands: given again after a full round. */
	release(p, "10.0.0.3", true);
	expect_next(p, "10.0.0.4");
	expect_next(p, "10.0.0.5");
	expect_next(p, "10.0.0.6");
	expect_next(p, "10.0.0.2");
	expect_next(p, "10.0.0.3");
	expect_full(p);
}

static void test_pool_longest_rested_first(void **state)
{
	_pool_ struct ipam_pool *p = pool("10.0.0.0/29", NULL);

	for (int i = 0; i < 6; i++)
		assert_int_equal(ipam_pool_next(p, &(struct cnm_ip){ 0 }), 0);
	release(p, "10.0.0.5", true);
	release(p, "10.0.0.2", true);
	release(p, "10.0.0.6", true);
	release(p, "10.0.0.3", true);
	assert_int_equal(take(p, "10.0.0.2"), 0); /* one by name ends its rest */
	assert_int_equal(ipam_pool_available(p), 3);
	expect_next(p, "10.0.0.5");
	release(p, "10.0.0.5", true);
	expect_next(p, "10.0.0.6");
	expect_next(p, "10.0.0.3");
	expect_next(p, "10.0.0.5");
	expect_full(p);
}

static void test_pool_rest_is_bounded(void **state)
{
	_pool_ struct ipam_pool *p = pool("fd00::/64", NULL);
	struct cnm_ip a, unset = { 0 };

	for (int i = 0; i < 65538; i++) {
		assert_int_equal(ipam_pool_next(p, &a), 0);
		ipam_pool_release(p, &a, true);
	}
	/* The walk left each behind as soon as it gave the next: only the last one rests. */
	ipam_pool_set_cursor(p, &unset);
	expect_next(p, "fd00::1");
	release(p, "fd00::1", false);

	a = ip("fd00::1:0:0");
	for (int i = 0; i < 65538; i++, ip_add(&a, 1))
		assert_int_equal(ipam_pool_take(p, &a), 0);
	a = ip("fd00::1:0:0");
	for (int i = 0; i < 65538; i++, ip_add(&a, 1))
		ipam_pool_release(p, &a, true);
	a = ip("fd00::ffff:ffff");
	ipam_pool_set_cursor(p, &a);
	/* 65,539 were released to rest: the walk's last one and two of these no longer do. */
	expect_next(p, "fd00::1:0:0");
	expect_next(p, "fd00::1:0:1");
	expect_next(p, "fd00::1:1:2");
}

/* A /16 with 60,000 taken, worked until the walk has gone round several times. */
static void test_pool_large(void **state)
{
	_pool_ struct ipam_pool *p = pool("10.1.0.0/16", NULL);
	struct cnm_ip a;

	for (int i = 0; i < 60000; i++)
		assert_int_equal(ipam_pool_next(p, &a), 0);
	assert_string_equal(ip_format(&a, (char[IP_STR]){ 0 }), "10.1.234.96");
	assert_int_equal(ipam_pool_available(p), 5534);
	for (int i = 0; i < 200000; i++) {
		assert_int_equal(ipam_pool_next(p, &a), 0);
		ipam_pool_release(p, &a, true);
	}
	assert_int_equal(ipam_pool_available(p), 5534);
	for (int i = 0; i < 5534; i++)
		assert_int_equal(ipam_pool_next(p, &a), 0);
	expect_full(p);
}

/* ---- the pool against a model that goes from address to address */

enum { FREE, TAKEN, RESTING, RESERVED };

struct naive {
	struct cnm_prefix subnet;
	struct cnm_ip base;
	int size, first, last; /* offsets from base; the range with its reserved ends */
	int cursor;            /* -1: unset */
	unsigned released, at[256];
	uint8_t state[256];
};

static void naive_init(struct naive *n, const struct cnm_prefix *subnet,
		       const struct cnm_prefix *range)
{
	struct cnm_ip first = prefix_first(range);

	memset(n, 0, sizeof(*n));
	n->subnet = *subnet;
	n->base = prefix_first(subnet);
	n->size = (int)prefix_size(subnet);
	n->first = (int)ip_distance(&n->base, &first);
	n->last = n->first + (int)prefix_size(range) - 1;
	n->cursor = -1;
	if (n->size > 2) {
		n->state[0] = RESERVED;
		if (subnet->ip.family == AF_INET)
			n->state[n->size - 1] = RESERVED;
	}
}

static int naive_count(const struct naive *n, int first, int last, uint8_t state)
{
	int c = 0;

	for (int i = first; i <= last; i++)
		c += n->state[i] == state;
	return c;
}

static int naive_longest_rested(const struct naive *n)
{
	int best = -1;

	for (int i = n->first; i <= n->last; i++)
		if (n->state[i] == RESTING && (best < 0 || n->at[i] < n->at[best]))
			best = i;
	return best;
}

static int naive_next(struct naive *n)
{
	if (naive_count(n, n->first, n->last, FREE) == 0) {
		int i = naive_longest_rested(n);

		if (i >= 0)
			n->cursor = i;
	} else {
		int i = n->cursor < 0 ? n->first - 1 : n->cursor;

		do {
			if (i >= n->first && n->state[i] == RESTING)
				n->state[i] = FREE;
			i = i == n->last ? n->first : i + 1;
		} while (n->state[i] != FREE);
		n->cursor = i;
	}
	if (naive_count(n, n->first, n->last, FREE) + naive_count(n, n->first, n->last, RESTING) ==
	    0)
		return -1;
	n->state[n->cursor] = TAKEN;
	return n->cursor;
}

static int naive_first(struct naive *n)
{
	int i = n->first;

	while (i <= n->last && n->state[i] != FREE)
		i++;
	if (i > n->last)
		i = naive_longest_rested(n);
	if (i >= 0)
		n->state[i] = TAKEN;
	return i;
}

static int naive_take(struct naive *n, int i)
{
	if (n->state[i] == RESERVED)
		return -EINVAL;
	if (n->state[i] == TAKEN)
		return -EEXIST;
	n->state[i] = TAKEN;
	return 0;
}

static void naive_release(struct naive *n, int i, bool rest)
{
	if (n->state[i] != TAKEN)
		return;
	n->state[i] = rest && i >= n->first && i <= n->last ? RESTING : FREE;
	n->at[i] = n->released++;
}

static struct cnm_ip naive_ip(const struct naive *n, int i)
{
	struct cnm_ip a = n->base;

	assert_true(ip_add(&a, i));
	return a;
}

static void compare_pools(const struct naive *n, const struct ipam_pool *p)
{
	for (int i = 0; i < n->size; i++) {
		struct cnm_ip a = naive_ip(n, i);

		assert_int_equal(ipam_pool_is_taken(p, &a), n->state[i] == TAKEN);
	}
	assert_int_equal(ipam_pool_in_use(p), naive_count(n, 0, n->size - 1, TAKEN) +
						      naive_count(n, 0, n->size - 1, RESERVED));
	assert_int_equal(ipam_pool_available(p),
			 naive_count(n, n->first, n->last, FREE) +
				 naive_count(n, n->first, n->last, RESTING));
}

static void compare_given(const struct naive *n, int r, const struct cnm_ip *got, int want)
{
	struct cnm_ip a;

	assert_int_equal(r, want < 0 ? -ENOSPC : 0);
	if (want >= 0) {
		a = naive_ip(n, want);
		assert_true(ip_eq(got, &a));
	}
}

static void work_pools(struct naive *n, struct ipam_pool *p, int steps)
{
	/* Now filling, now draining, so that both ends are reached. */
	uint32_t bias = 5;

	while (steps-- > 0) {
		int i = (int)rng((uint32_t)n->size);
		struct cnm_ip a = naive_ip(n, i), got;
		uint32_t what = rng(16);
		bool rest = rng(8) > 0;

		if (rng(100) == 0)
			bias = 2 + rng(9);
		if (what < bias) {
			int r = ipam_pool_next(p, &got);

			compare_given(n, r, &got, naive_next(n));
		} else if (what < 14) {
			ipam_pool_release(p, &a, rest);
			naive_release(n, i, rest);
		} else if (what == 14) {
			assert_int_equal(ipam_pool_take(p, &a), naive_take(n, i));
		} else if (rng(4) == 0) {
			int r = ipam_pool_first(p, &got);

			compare_given(n, r, &got, naive_first(n));
		} else if (rng(20) == 0 && i >= n->first && i <= n->last &&
			   n->state[i] != RESERVED) {
			ipam_pool_set_cursor(p, &a);
			n->cursor = i;
		}
		if (steps % 8 == 0)
			compare_pools(n, p);
	}
}

static void test_pool_property(void **state)
{
	static const char *const bases[] = { "10.0.0.0",
					     "255.255.255.0",
					     "0.0.0.0",
					     "10.0.0.160",
					     "fd00::",
					     "::",
					     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00" };

	for (int round = 0; round < 400; round++) {
		struct cnm_ip base = ip(bases[rng(sizeof(bases) / sizeof(bases[0]))]);
		unsigned host_bits = rng(9), range_bits = rng(host_bits + 1);
		struct cnm_prefix s = { base, ip_bits(&base) - host_bits }, r;
		struct ipam_pool *p;
		struct naive n;

		s = prefix_masked(&s);
		r = (struct cnm_prefix){ s.ip, ip_bits(&base) - range_bits };
		assert_true(ip_add(&r.ip, rng(1u << host_bits)));
		r = prefix_masked(&r);
		naive_init(&n, &s, &r);
		assert_int_equal(ipam_pool_new(&p, &s, &r), 0);
		/* A range of nothing but reserved addresses is a test of its own. */
		if (ipam_pool_available(p) > 0)
			work_pools(&n, p, 1000);
		ipam_pool_free(p);
	}
}

#ifdef CAN_FAIL_ALLOC
/* Whatever allocation fails, nothing has changed and the next try succeeds. */
static void test_pool_out_of_memory(void **state)
{
	struct cnm_prefix s = prefix("10.0.0.0/16");
	struct cnm_ip a = ip("10.0.200.1"), got;
	struct ipam_pool *p = NULL;

	fail_in = 1;
	assert_int_equal(ipam_pool_new(&p, &s, NULL), -ENOMEM);
	assert_null(p);
	assert_int_equal(ipam_pool_new(&p, &s, NULL), 0);
	/* The first time the array of blocks fails to grow, then the block itself does. */
	for (int i = 1; i <= 2; i++) {
		fail_in = i;
		assert_int_equal(ipam_pool_take(p, &a), -ENOMEM);
		fail_in = 1;
		assert_int_equal(ipam_pool_next(p, &got), -ENOMEM);
		fail_in = 1;
		assert_int_equal(ipam_pool_first(p, &got), -ENOMEM);
		fail_in = 0;
		assert_int_equal(ipam_pool_in_use(p), 2);
		assert_int_equal(ipam_pool_available(p), 65534);
		got = ipam_pool_cursor(p);
		assert_false(ip_is_set(&got));
		assert_false(ipam_pool_is_taken(p, &a));
	}
	expect_next(p, "10.0.0.1");
	ipam_pool_free(p);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool_edges),
		cmocka_unit_test(test_pool_counts_saturate),
		cmocka_unit_test(test_pool_new_refuses),
		cmocka_unit_test(test_pool_take),
		cmocka_unit_test(test_pool_range),
		cmocka_unit_test(test_pool_range_of_reserved),
		cmocka_unit_test(test_pool_first),
		cmocka_unit_test(test_pool_cursor),
		cmocka_unit_test(test_pool_undo),
		cmocka_unit_test(test_pool_rest),
		cmocka_unit_test(test_pool_longest_rested_first),
		cmocka_unit_test(test_pool_rest_is_bounded),
		cmocka_unit_test(test_pool_large),
		cmocka_unit_test(test_pool_property),
#ifdef CAN_FAIL_ALLOC
		cmocka_unit_test(test_pool_out_of_memory),
#endif
	};

	rng_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
