/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which subnet a network gets, and every line that the check of a request can say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "ipam/ipam.h"

static struct cnm_prefix prefix(const char *s)
{
	struct cnm_prefix v;

	if (prefix_parse(&v, s) < 0)
		fail_msg("bad prefix in test: %s", s);
	return v;
}

/* ---- choosing a subnet */

struct list_of {
	struct cnm_prefix v[40000];
	size_t n;
};

static void add(struct list_of *l, const char *s)
{
	assert_true(l->n < sizeof(l->v) / sizeof(l->v[0]));
	l->v[l->n++] = prefix(s);
}

static void lists_free(struct list_of **l)
{
	free(*l);
}
#define _list_ _cleanup_(lists_free)

static struct list_of *list_new(void)
{
	struct list_of *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	return l;
}

static void expect_choice(const struct list_of *used, const struct list_of *reserved, unsigned len,
			  const char *want)
{
	struct cnm_error err = { 0 };
	struct cnm_prefix got = { 0 };
	char s[PREFIX_STR];
	int r;

	if (len)
		r = ipam_choose_subnet4_len(len, used->v, used->n, reserved->v, reserved->n, &got,
					    &err);
	else
		r = ipam_choose_subnet4(used->v, used->n, reserved->v, reserved->n, &got, &err);
	assert_string_equal(prefix_format(&got, s), want ? want : "");
	if (want) {
		assert_int_equal(r, 0);
		assert_string_equal(err.text, "");
	} else {
		assert_int_equal(r, -EINVAL);
		assert_int_equal(err.class, CNM_E_INVALID);
		assert_string_equal(err.text,
				    "all predefined address pools have been fully subnetted");
	}
}

static void test_choose_in_order(void **state)
{
	_list_ struct list_of *used = list_new(), *none = list_new();
	char want[32];

	for (int i = 17; i < 32; i++) {
		snprintf(want, sizeof(want), "172.%d.0.0/16", i);
		expect_choice(used, none, 0, want);
		add(used, want);
	}
	for (int i = 0; i < 256; i += 16) {
		snprintf(want, sizeof(want), "192.168.%d.0/20", i);
		expect_choice(used, none, 0, want);
		add(used, want);
	}
	for (int i = 0; i < 32768; i++) {
		snprintf(want, sizeof(want), "10.%d.%d.0/24", 128 + i / 256, i % 256);
		if (i < 600 || i > 32760)
			expect_choice(used, none, 0, want);
		add(used, want);
	}
	expect_choice(used, none, 0, NULL);
	expect_choice(used, none, 32, NULL);
	used->v[3] = prefix("1.1.1.1/32"); /* 172.20.0.0/16 is given back */
	expect_choice(used, none, 0, "172.20.0.0/16");
}

static void test_choose_around(void **state)
{
	_list_ struct list_of *used = list_new(), *reserved = list_new();

	add(used, "172.17.200.0/24");    /* smaller than the block */
	add(reserved, "172.18.0.1/32");  /* a name server */
	add(reserved, "172.16.0.0/12");  /* larger than all the /16 */
	add(reserved, "192.168.1.5/24"); /* with host bits */
	add(used, "fd00::/64");          /* another family */
	add(reserved, "192.168.16.0/21");
	add(reserved, "192.168.16.0/24"); /* nested */
	expect_choice(used, reserved, 0, "192.168.32.0/20");
	add(used, "192.168.32.0/19");
	expect_choice(used, reserved, 0, "192.168.64.0/20");
	add(used, "192.168.0.0/16");
	expect_choice(used, reserved, 0, "10.128.0.0/24");
	add(reserved, "10.0.0.0/8");
	expect_choice(used, reserved, 0, NULL);
}

/* A block is refused for its first address alone, and for its last. */
static void test_choose_corners(void **state)
{
	_list_ struct list_of *used = list_new(), *reserved = list_new();

	add(reserved, "172.17.0.0/32");
	add(reserved, "172.18.255.255/32");
	add(reserved, "172.16.255.255/32");
	add(used, "172.20.0.0/32");
	expect_choice(used, reserved, 0, "172.19.0.0/16");
	add(used, "172.19.255.254/31");
	expect_choice(used, reserved, 0, "172.21.0.0/16");
}

static void test_choose_ignores_default_routes(void **state)
{
	_list_ struct list_of *used = list_new(), *reserved = list_new();

	add(reserved, "0.0.0.0/0");
	add(reserved, "0.0.0.0/1");
	add(reserved, "128.0.0.0/1");
	add(reserved, "::/0");
	expect_choice(used, reserved, 0, "172.17.0.0/16");
	add(reserved, "128.0.0.0/2");
	expect_choice(used, reserved, 0, "192.168.0.0/20");
	/* In use is in use. */
	add(used, "128.0.0.0/1");
	expect_choice(used, reserved, 0, "10.128.0.0/24");
}

static void test_choose_len(void **state)
{
	_list_ struct list_of *used = list_new(), *none = list_new();
	struct cnm_error err = { 0 };
	struct cnm_prefix got;

	add(used, "172.17.0.0/16");
	add(used, "172.18.0.0/24");
	expect_choice(used, none, 24, "172.18.1.0/24");
	expect_choice(used, none, 16, "172.19.0.0/16");
	expect_choice(used, none, 15, "172.20.0.0/15");
	expect_choice(used, none, 14, "172.20.0.0/14");
	expect_choice(used, none, 10, "10.128.0.0/10");
	expect_choice(used, none, 9, "10.128.0.0/9");
	expect_choice(used, none, 32, "172.18.1.0/32");
	add(used, "10.200.0.0/24");
	expect_choice(used, none, 9, NULL);
	assert_int_equal(ipam_choose_subnet4_len(8, NULL, 0, NULL, 0, &got, &err), -EINVAL);
	assert_non_null(strstr(err.text, "0.0.0.0/8"));
	assert_int_equal(ipam_choose_subnet4_len(33, NULL, 0, NULL, 0, &got, NULL), -EINVAL);
	assert_int_equal(ipam_choose_subnet4_len(0, NULL, 0, NULL, 0, &got, NULL), -EINVAL);
}

/* Every choice is free, and no earlier block of the pools was. */
static void test_choose_property(void **state)
{
	size_t n_pools;
	const struct ipam_default_pool *pools = ipam_default_pools(&n_pools);
	_list_ struct list_of *used = list_new(), *none = list_new();

	for (int round = 0; round < 300; round++) {
		struct cnm_prefix got, block;
		bool before = true;

		used->n = rng(40);
		for (size_t i = 0; i < used->n; i++) {
			const struct ipam_default_pool *p = &pools[rng(7)];

			used->v[i] = (struct cnm_prefix){ p->base.ip, 12 + rng(12) };
			assert_true(ip_add(&used->v[i].ip, rng(1u << (32 - p->base.len))));
		}
		assert_int_equal(ipam_choose_subnet4(used->v, used->n, none->v, 0, &got, NULL), 0);
		for (size_t i = 0; i < n_pools && before; i++) {
			block = (struct cnm_prefix){ pools[i].base.ip, pools[i].size };
			while (before && prefix_contains(&pools[i].base, &block)) {
				bool busy = false;

				before = !prefix_eq(&block, &got);
				for (size_t j = 0; j < used->n; j++)
					busy |= prefix_overlaps(&used->v[j], &block);
				assert_int_equal(busy, before);
				assert_true(ip_add(&block.ip, (int64_t)prefix_size(&block)));
			}
		}
		assert_false(before);
	}
}

static void test_choose_v6(void **state)
{
	_list_ struct list_of *used = list_new();
	struct cnm_prefix a, b, other, ula = prefix("fd00::/8");
	struct cnm_error err = { 0 };

	assert_int_equal(ipam_choose_subnet6("engine-1", NULL, 0, NULL, 0, &a, &err), 0);
	assert_int_equal(ipam_choose_subnet6("engine-1", NULL, 0, NULL, 0, &b, &err), 0);
	assert_int_equal(ipam_choose_subnet6("engine-2", NULL, 0, NULL, 0, &other, &err), 0);
	assert_true(prefix_eq(&a, &b));
	assert_false(prefix_eq(&a, &other));
	assert_true(prefix_contains(&ula, &a));
	assert_int_equal(a.len, 64);
	assert_int_equal(a.ip.b[6] | a.ip.b[7], 0);
	/* The hash must stay what it is: networks of a running engine depend on it. */
	assert_int_equal(ipam_choose_subnet6("", NULL, 0, NULL, 0, &b, &err), 0);
	assert_string_equal(prefix_format(&b, (char[PREFIX_STR]){ 0 }), "fde4:8422:2325::/64");

	used->v[used->n++] = a;
	add(used, "8000::/1");
	add(used, "::/0");
	assert_int_equal(ipam_choose_subnet6("engine-1", used->v, 1, used->v + 1, 2, &b, &err), 0);
	a.ip.b[7] = 1;
	assert_true(prefix_eq(&a, &b));
	a.len = 48;
	assert_int_equal(ipam_choose_subnet6("engine-1", &a, 1, NULL, 0, &b, &err), -EINVAL);
	assert_string_equal(err.text, "all predefined address pools have been fully subnetted");
	a.len = 49;
	a.ip.b[6] = 0;
	assert_int_equal(ipam_choose_subnet6("engine-1", NULL, 0, &a, 1, &b, &err), 0);
	assert_int_equal(b.ip.b[6], 0x80);
}

static void test_default_pools(void **state)
{
	size_t n, blocks = 0;
	const struct ipam_default_pool *p = ipam_default_pools(&n);

	for (size_t i = 0; i < n - 1; i++)
		blocks += (size_t)1 << (p[i].size - p[i].base.len);
	assert_int_equal(blocks, 31);
	assert_string_equal(prefix_format(&p[n - 1].base, (char[PREFIX_STR]){ 0 }), "10.128.0.0/9");
}

#ifdef CAN_FAIL_ALLOC
static void test_choose_out_of_memory(void **state)
{
	struct cnm_error err = { 0 };
	struct cnm_prefix got;

	fail_in = 1;
	assert_int_equal(ipam_choose_subnet4(NULL, 0, NULL, 0, &got, &err), -ENOMEM);
	assert_int_equal(err.class, CNM_E_INTERNAL);
	fail_in = 1;
	assert_int_equal(ipam_choose_subnet6("x", NULL, 0, NULL, 0, &got, &err), -ENOMEM);
	fail_in = 0;
}
#endif

/* ---- checking a request */

static const struct ipam_aux two_aux[] = { { "router", "10.0.0.7" }, { "DefaultGatewayIPv4", "" } };
static const struct ipam_aux aux_outside[] = { { "a", "10.1.0.1" },
					       { "b", "fd00::1" },
					       { "c", "dummy" } };

static void test_check_accepts(void **state)
{
	static const struct {
		struct ipam_request req;
		bool ipv6;
		const char *subnet, *range, *gateway;
	} cases[] = {
		{ { 0 }, false, "", "", "" },
		{ { .subnet = "", .ip_range = "", .gateway = "" }, true, "", "", "" },
		{ { .subnet = "10.0.0.0/8" }, false, "10.0.0.0/8", "", "" },
		{ { .subnet = "0.0.0.0/24" }, false, "0.0.0.0/24", "", "" },
		{ { .subnet = "10.0.0.0/8",
		    .ip_range = "10.0.5.0/24",
		    .gateway = "10.0.0.1",
		    .aux = two_aux,
		    .n_aux = 2 },
		  false,
		  "10.0.0.0/8",
		  "10.0.5.0/24",
		  "10.0.0.1" },
		{ { .subnet = "10.0.0.0/24", .ip_range = "10.0.0.0/24" },
		  false,
		  "10.0.0.0/24",
		  "10.0.0.0/24",
		  "" },
		{ { .subnet = "FD00:0::/64", .ip_range = "fd00::1:0/112", .gateway = "fd00::1" },
		  true,
		  "fd00::/64",
		  "fd00::1:0/112",
		  "fd00::1" },
		/* Passed over, whatever else it says. */
		{ { .subnet = "fd00::1/64", .ip_range = "junk", .gateway = "10.0.0.1" },
		  false,
		  "fd00::/64",
		  "",
		  "" },
	};
	char s[PREFIX_STR];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf problems = { 0 };
		struct ipam_checked c;

		assert_int_equal(ipam_check_request(&cases[i].req, cases[i].ipv6, &c, &problems),
				 0);
		assert_null(problems.s);
		assert_string_equal(prefix_format(&c.subnet, s), cases[i].subnet);
		assert_string_equal(prefix_format(&c.range, s), cases[i].range);
		assert_string_equal(ip_format(&c.gateway, s), cases[i].gateway);
	}
}

static void test_check_refuses(void **state)
{
	static const struct {
		struct ipam_request req;
		int n;
		const char *lines;
	} cases[] = {
		{ { .subnet = "foobar", .gateway = "x" },
		  1,
		  "invalid subnet foobar: invalid CIDR block notation" },
		{ { .subnet = "10.0.0.0" },
		  1,
		  "invalid subnet 10.0.0.0: invalid CIDR block notation" },
		{ { .subnet = "10.0.0.1/8" },
		  1,
		  "invalid subnet 10.0.0.1/8: it should be 10.0.0.0/8" },
		{ { .subnet = "2001:db8::1/32" },
		  1,
		  "invalid subnet 2001:db8::1/32: it should be 2001:db8::/32" },
		{ { .subnet = "10.10.10.0/24", .ip_range = "10.0.0.0/8" },
		  1,
		  "invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet "
		  "10.10.10.0/24" },
		{ { .subnet = "10.0.0.0/8", .ip_range = "10.10.10.7/16" },
		  1,
		  "invalid ip-range 10.10.10.7/16: it should be 10.10.0.0/16" },
		{ { .subnet = "10.0.0.0/8", .ip_range = "192.168.0.0/24" },
		  1,
		  "invalid ip-range 192.168.0.0/24: parent subnet 10.0.0.0/8 doesn't contain "
		  "ip-range" },
		{ { .subnet = "10.0.0.0/24", .ip_range = "192.168.1.0/16" },
		  3,
		  "invalid ip-range 192.168.1.0/16: CIDR block is bigger than its parent subnet "
		  "10.0.0.0/24\n"
		  "invalid ip-range 192.168.1.0/16: it should be 192.168.0.0/16\n"
		  "invalid ip-range 192.168.1.0/16: parent subnet 10.0.0.0/24 doesn't contain "
		  "ip-range" },
		{ { .subnet = "10.0.0.0/24", .ip_range = "foobar", .gateway = "1001.10.5.3" },
		  2,
		  "invalid ip-range foobar: invalid CIDR block notation\n"
		  "invalid gateway 1001.10.5.3: invalid address" },
		{ { .subnet = "10.0.0.0/24",
		    .ip_range = "2001:db8::/32",
		    .gateway = "2001:db8::1" },
		  2,
		  "invalid ip-range 2001:db8::/32: parent subnet is an IPv4 block\n"
		  "invalid gateway 2001:db8::1: parent subnet is an IPv4 block" },
		{ { .subnet = "fd00::/64", .ip_range = "10.0.0.0/24", .gateway = "10.0.0.1" },
		  2,
		  "invalid ip-range 10.0.0.0/24: parent subnet is an IPv6 block\n"
		  "invalid gateway 10.0.0.1: parent subnet is an IPv6 block" },
		{ { .subnet = "10.0.0.0/24", .gateway = "192.168.0.1" },
		  1,
		  "invalid gateway 192.168.0.1: parent subnet 10.0.0.0/24 doesn't contain this "
		  "address" },
		{ { .subnet = "10.0.0.0/24", .aux = aux_outside, .n_aux = 3 },
		  3,
		  "invalid auxiliary address a: parent subnet 10.0.0.0/24 doesn't contain this "
		  "address\n"
		  "invalid auxiliary address b: parent subnet is an IPv4 block\n"
		  "invalid auxiliary address c: invalid address" },
		{ { .ip_range = "10.0.0.0/24", .gateway = "10.0.0.1", .aux = two_aux, .n_aux = 1 },
		  3,
		  "invalid ip-range 10.0.0.0/24: it needs a subnet that contains it\n"
		  "invalid gateway 10.0.0.1: it needs a subnet that contains it\n"
		  "invalid auxiliary address router: it needs a subnet that contains it" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf problems = { 0 };
		struct ipam_checked c = { .range.len = 77 };
		_free_ char *lines = NULL;

		assert_int_equal(ipam_check_request(&cases[i].req, true, &c, &problems),
				 cases[i].n);
		lines = strbuf_take(&problems);
		assert_string_equal(lines, cases[i].lines);
		assert_int_equal(c.range.len, 77);
	}
}

static void test_check_collects(void **state)
{
	struct ipam_request a = { .subnet = "10.0.0.1/8" }, b = { .subnet = "x" };
	struct strbuf problems = { 0 };
	struct ipam_checked c;
	_free_ char *lines = NULL;

	strbuf_add(&problems, "invalid network config:");
	assert_int_equal(ipam_check_request(&a, true, &c, &problems), 1);
	assert_int_equal(ipam_check_request(&b, true, &c, &problems), 1);
	lines = strbuf_take(&problems);
	assert_string_equal(lines, "invalid network config:\n"
				   "invalid subnet 10.0.0.1/8: it should be 10.0.0.0/8\n"
				   "invalid subnet x: invalid CIDR block notation");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose_in_order),
		cmocka_unit_test(test_choose_around),
		cmocka_unit_test(test_choose_corners),
		cmocka_unit_test(test_choose_ignores_default_routes),
		cmocka_unit_test(test_choose_len),
		cmocka_unit_test(test_choose_property),
		cmocka_unit_test(test_choose_v6),
		cmocka_unit_test(test_default_pools),
#ifdef CAN_FAIL_ALLOC
		cmocka_unit_test(test_choose_out_of_memory),
#endif
		cmocka_unit_test(test_check_accepts),
		cmocka_unit_test(test_check_refuses),
		cmocka_unit_test(test_check_collects),
	};

	rng_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
