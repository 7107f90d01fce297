/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses, prefixes and MACs: text, order, arithmetic to the edges, and naive models. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "unit.h"

#include "base/addr.h"

static struct cnm_ip random_ip(void)
{
	struct cnm_ip a = { .family = rng(2) ? AF_INET : AF_INET6 };

	for (unsigned i = 0; i < ip_bits(&a) / 8; i++)
		a.b[i] = rng(3) ? (uint8_t)rng(256) : rng(2) ? 0 : 255;
	return a;
}

static struct cnm_prefix random_prefix(void)
{
	struct cnm_prefix p = { .ip = random_ip() };

	p.len = (uint8_t)rng(ip_bits(&p.ip) + 1);
	return p;
}

static struct cnm_ip ip(const char *s)
{
	struct cnm_ip v = { 0 };

	if (*s && ip_parse(&v, s) < 0)
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

static const char *ip_text(const struct cnm_ip *a)
{
	static char text[IP_STR];

	return ip_format(a, text);
}

/* ---- addresses */

static void test_ip_parse(void **state)
{
	static const char *const good[][2] = {
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "10.0.0.2", "10.0.0.2" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "FD00:0:0:00::0001", "fd00::1" },
		{ "1:0:0:2:0:0:0:3", "1:0:0:2::3" },
		{ "1:0:0:2:2:0:0:3", "1::2:2:0:0:3" },
		{ "1:2:3:0:5:6:7:8", "1:2:3:0:5:6:7:8" },
		{ "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	};
	static const char *const bad[] = {
		"",          " ",          "1.2.3",
		"1.2.3.4.5", "1.2.3.256",  "01.2.3.4",
		"1.2.3.4 ",  " 1.2.3.4",   "1.2.3.4/8",
		"0x1.2.3.4", "1.2.3.",     "1..2.3",
		"-1.2.3.4",  "fe80::1%lo", ":::",
		"1::2::3",   "12345::",    "::g",
		":1",        "1:",         "1:2:3:4:5:6:7:8:9",
		"::1 ",      "[::1]",      "localhost",
		"::1/64",    "\xff",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct cnm_ip a = ip(good[i][0]);

		assert_string_equal(ip_text(&a), good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cnm_ip a = { .family = 77 };

		if (ip_parse(&a, bad[i]) != -EINVAL)
			fail_msg("accepted \"%s\"", bad[i]);
		assert_int_equal(a.family, 77);
	}
}

static void test_prefix_parse(void **state)
{
	static const char *const good[] = { "0.0.0.0/0", "10.0.0.1/8", "10.0.0.1/32",
					    "::/0",      "fd00::1/64", "::1/128" };
	static const char *const bad[] = {
		"",
		"/",
		"10.0.0.0",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/08",
		"10.0.0.0/+8",
		"10.0.0.0/-1",
		"10.0.0.0/8 ",
		"10.0.0.0/ 8",
		"::/129",
		"::/1000",
		"::/00",
		"/8",
		"10.0.0.0/8/8",
		"10.0.0.0/8x",
		"fe80::1%1/64",
		"0000000000000000000000000000000000000000000000000/8",
		"10.0.0.0/4294967304",
	};
	char text[PREFIX_STR];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct cnm_prefix p = prefix(good[i]);

		assert_string_equal(prefix_format(&p, text), good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cnm_prefix p = { .len = 77 };

		if (prefix_parse(&p, bad[i]) != -EINVAL)
			fail_msg("accepted \"%s\"", bad[i]);
		assert_int_equal(p.len, 77);
	}
}

static void test_mac(void **state)
{
	static const char *const bad[] = {
		"",
		"02:42:ac:11:00",
		"02:42:ac:11:00:02:03",
		"02:42:ac:11:00:0g",
		"02:42:ac:11:00-02",
		"02-42:ac-11-00-02",
		"2:42:ac:11:00:002",
		"02.42.ac.11.00.02",
		"0242ac110002abcde",
		"02:42:ac:11:00:0 ",
	};
	struct cnm_mac m, n;
	char text[MAC_STR];

	assert_int_equal(mac_parse(&m, "02:42:AC:11:00:fe"), 0);
	assert_string_equal(mac_format(&m, text), "02:42:ac:11:00:fe");
	assert_int_equal(mac_parse(&n, "02-42-ac-11-00-fe"), 0);
	assert_true(mac_eq(&m, &n));
	assert_true(mac_is_set(&m) && mac_is_unicast(&m));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (mac_parse(&n, bad[i]) != -EINVAL)
			fail_msg("accepted \"%s\"", bad[i]);
	assert_true(mac_eq(&m, &n));
	n.b[5] ^= 1;
	assert_false(mac_eq(&m, &n));
	assert_int_equal(mac_parse(&n, "00:00:00:00:00:00"), 0);
	assert_false(mac_is_set(&n) || mac_is_unicast(&n));
	assert_int_equal(mac_parse(&n, "01:00:5e:00:00:01"), 0);
	assert_true(mac_is_set(&n));
	assert_false(mac_is_unicast(&n));
}

static void test_none(void **state)
{
	struct cnm_ip none = { 0 }, v4 = ip("1.2.3.4"), a;
	struct cnm_prefix p = { 0 }, all = prefix("0.0.0.0/0"), q;
	char text[PREFIX_STR];

	assert_false(ip_is_set(&none) || ip_eq(&none, &none) || ip_is_unspecified(&none) ||
		     ip_is_multicast(&none) || ip_is_loopback(&none) || ip_is_linklocal(&none));
	assert_string_equal(ip_format(&none, text), "");
	assert_int_equal(ip_bits(&none), 0);
	a = none;
	assert_false(ip_add(&a, 0) || ip_add(&a, 1));
	assert_int_equal(ip_distance(&none, &none), 0);
	assert_true(ip_cmp(&none, &v4) < 0 && ip_cmp(&v4, &none) > 0);
	assert_int_equal(ip_cmp(&none, &none), 0);

	assert_false(prefix_is_set(&p) || prefix_eq(&p, &p) || prefix_has(&p, &none) ||
		     prefix_has(&p, &v4) || prefix_contains(&p, &p) || prefix_overlaps(&p, &all));
	assert_false(prefix_has(&all, &none) || prefix_contains(&all, &p));
	assert_string_equal(prefix_format(&p, text), "");
	assert_int_equal(prefix_size(&p), 0);
	q = prefix_masked(&p);
	assert_false(prefix_is_set(&q));
	a = prefix_first(&p);
	assert_false(ip_is_set(&a));
	a = prefix_last(&p);
	assert_false(ip_is_set(&a));
}

static void test_ip_kinds(void **state)
{
	static const struct {
		const char *text;
		bool unspecified, multicast, loopback, linklocal;
	} cases[] = {
		{ "0.0.0.0", true, false, false, false },
		{ "0.0.0.1", false, false, false, false },
		{ "223.255.255.255", false, false, false, false },
		{ "224.0.0.0", false, true, false, false },
		{ "239.255.255.255", false, true, false, false },
		{ "240.0.0.0", false, false, false, false },
		{ "126.255.255.255", false, false, false, false },
		{ "127.0.0.0", false, false, true, false },
		{ "127.0.0.11", false, false, true, false },
		{ "128.0.0.0", false, false, false, false },
		{ "169.254.0.0", false, false, false, true },
		{ "169.255.0.0", false, false, false, false },
		{ "::", true, false, false, false },
		{ "::1", false, false, true, false },
		{ "::2", false, false, false, false },
		{ "100::1", false, false, false, false },
		{ "fe7f::1", false, false, false, false },
		{ "fe80::1", false, false, false, true },
		{ "febf::1", false, false, false, true },
		{ "fec0::1", false, false, false, false },
		{ "feff::", false, false, false, false },
		{ "ff02::1", false, true, false, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cnm_ip a = ip(cases[i].text);

		if (ip_is_unspecified(&a) != cases[i].unspecified ||
		    ip_is_multicast(&a) != cases[i].multicast ||
		    ip_is_loopback(&a) != cases[i].loopback ||
		    ip_is_linklocal(&a) != cases[i].linklocal)
			fail_msg("wrong kind: %s", cases[i].text);
	}
}

static void test_ip_order(void **state)
{
	static const char *const ascending[] = {
		"",   "0.0.0.0", "0.0.0.1", "0.0.1.0", "128.0.0.0", "255.255.255.255",
		"::", "::1",     "7fff::",  "8000::",  "ffff::"
	};

	for (size_t i = 0; i < ARRAY_LEN(ascending); i++)
		for (size_t j = 0; j < ARRAY_LEN(ascending); j++) {
			struct cnm_ip a = ip(ascending[i]), b = ip(ascending[j]);
			int r = ip_cmp(&a, &b);

			assert_int_equal((r > 0) - (r < 0), (i > j) - (i < j));
			assert_int_equal(ip_eq(&a, &b), i == j && i > 0);
		}
}

static void test_ip_add(void **state)
{
	static const struct {
		const char *from;
		int64_t n;
		const char *want; /* NULL: it leaves the range */
	} cases[] = {
		{ "10.0.0.255", 1, "10.0.1.0" },
		{ "10.0.1.0", -1, "10.0.0.255" },
		{ "255.255.255.255", 1, NULL },
		{ "255.255.255.255", 0, "255.255.255.255" },
		{ "0.0.0.0", -1, NULL },
		{ "0.0.0.0", 4294967295, "255.255.255.255" },
		{ "0.0.0.0", 4294967296, NULL },
		{ "255.255.255.255", -4294967295, "0.0.0.0" },
		{ "255.255.255.255", INT64_MIN, NULL },
		{ "::", -1, NULL },
		{ "::ffff:ffff:ffff:ffff", 1, "0:0:0:1::" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, NULL },
		{ "::8000:0:0:0", INT64_MIN, "::" },
		{ "::7fff:ffff:ffff:ffff", INT64_MIN, NULL },
		{ "::", INT64_MAX, "::7fff:ffff:ffff:ffff" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cnm_ip a = ip(cases[i].from);
		bool ok = ip_add(&a, cases[i].n);

		assert_int_equal(ok, cases[i].want != NULL);
		assert_string_equal(ip_text(&a), ok ? cases[i].want : cases[i].from);
	}
}

/* One carry at a time, as on paper. */
static bool naive_increment(struct cnm_ip *a)
{
	for (int i = (int)ip_bits(a) / 8 - 1; i >= 0; i--)
		if (++a->b[i] != 0)
			return true;
	return false;
}

static void test_ip_arithmetic_property(void **state)
{
	for (int round = 0; round < 100000; round++) {
		struct cnm_ip a = random_ip(), b = a, c;
		int64_t n = (int64_t)(rng64() >> rng(64));

		c = a;
		if (naive_increment(&c)) {
			assert_true(ip_add(&b, 1));
			assert_memory_equal(&b, &c, sizeof(b));
			assert_true(ip_cmp(&a, &b) < 0);
			assert_int_equal(ip_distance(&a, &b), 1);
		} else {
			assert_false(ip_add(&b, 1));
		}
		b = a;
		if (n > 0 && ip_add(&b, n)) {
			assert_int_equal(ip_distance(&a, &b), n);
			assert_int_equal(ip_distance(&b, &a), 0);
			assert_true(ip_add(&b, -n));
		}
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void test_ip_distance(void **state)
{
	static const struct {
		const char *a, *b;
		uint64_t want;
	} cases[] = {
		{ "0.0.0.0", "255.255.255.255", 4294967295 },
		{ "10.0.0.1", "10.0.0.0", 0 },
		{ "10.0.0.1", "::1", 0 },
		{ "::1", "10.0.0.1", 0 },
		{ "::", "::ffff:ffff:ffff:fffe", UINT64_MAX - 1 },
		{ "::", "::ffff:ffff:ffff:ffff", UINT64_MAX },
		{ "::", "::1:0:0:0:0", UINT64_MAX },
		{ "::", "ffff::", UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cnm_ip a = ip(cases[i].a), b = ip(cases[i].b);

		assert_true(ip_distance(&a, &b) == cases[i].want);
	}
}

static void test_prefix_bounds(void **state)
{
	static const struct {
		const char *prefix, *first, *last;
		uint64_t size;
	} cases[] = {
		{ "10.1.2.3/0", "0.0.0.0", "255.255.255.255", 4294967296 },
		{ "10.1.2.3/8", "10.0.0.0", "10.255.255.255", 16777216 },
		{ "10.1.2.3/30", "10.1.2.0", "10.1.2.3", 4 },
		{ "10.1.2.3/31", "10.1.2.2", "10.1.2.3", 2 },
		{ "10.1.2.3/32", "10.1.2.3", "10.1.2.3", 1 },
		{ "fd00::5/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", UINT64_MAX },
		{ "fd00::5/63", "fd00::", "fd00::1:ffff:ffff:ffff:ffff", UINT64_MAX },
		{ "fd00::5/64", "fd00::", "fd00::ffff:ffff:ffff:ffff", UINT64_MAX },
		{ "fd00::5/65", "fd00::", "fd00::7fff:ffff:ffff:ffff", UINT64_C(1) << 63 },
		{ "fd00::5/126", "fd00::4", "fd00::7", 4 },
		{ "fd00::5/127", "fd00::4", "fd00::5", 2 },
		{ "fd00::5/128", "fd00::5", "fd00::5", 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cnm_prefix p = prefix(cases[i].prefix), m = prefix_masked(&p);
		struct cnm_ip first = prefix_first(&p), last = prefix_last(&p);

		assert_string_equal(ip_text(&first), cases[i].first);
		assert_string_equal(ip_text(&last), cases[i].last);
		assert_true(prefix_size(&p) == cases[i].size);
		assert_true(ip_eq(&m.ip, &first));
		assert_int_equal(m.len, p.len);
	}
}

static bool naive_has(const struct cnm_prefix *p, const struct cnm_ip *a)
{
	if (p->ip.family != a->family)
		return false;
	for (unsigned bit = 0; bit < p->len; bit++)
		if ((p->ip.b[bit / 8] ^ a->b[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static void test_prefix_property(void **state)
{
	for (int round = 0; round < 100000; round++) {
		struct cnm_prefix p = random_prefix(), q = random_prefix(), m;
		struct cnm_ip a = random_ip(), q_first = prefix_first(&q), q_last = prefix_last(&q);
		unsigned keep;
		char text[PREFIX_STR];

		/* Random addresses rarely meet: give them a common beginning. */
		if (rng(2)) {
			keep = rng(ip_bits(&p.ip) / 8 + 1);
			a = q.ip = p.ip;
			q.len = (uint8_t)rng(ip_bits(&q.ip) + 1);
			for (unsigned i = keep; i < ip_bits(&p.ip) / 8; i++) {
				a.b[i] = (uint8_t)rng(256);
				q.ip.b[i] = (uint8_t)rng(256);
			}
			q_first = prefix_first(&q);
			q_last = prefix_last(&q);
		}
		assert_int_equal(prefix_has(&p, &a), naive_has(&p, &a));
		assert_int_equal(prefix_contains(&p, &q),
				 naive_has(&p, &q_first) && naive_has(&p, &q_last));
		assert_int_equal(prefix_overlaps(&p, &q), naive_has(&p, &q_first) ||
								  naive_has(&p, &q_last) ||
								  naive_has(&q, &p.ip));
		assert_int_equal(prefix_overlaps(&p, &q), prefix_overlaps(&q, &p));
		assert_int_equal(prefix_cmp(&p, &q) == 0, prefix_eq(&p, &q));
		m = prefix(prefix_format(&p, text));
		assert_true(prefix_eq(&m, &p));
	}
}

static void test_prefix_order(void **state)
{
	static const char *const ascending[] = { "0.0.0.0/0",  "10.0.0.0/8", "10.0.0.0/24",
						 "10.0.1.0/8", "::/0",       "::/64",
						 "fd00::/8" };

	for (size_t i = 0; i < ARRAY_LEN(ascending); i++)
		for (size_t j = 0; j < ARRAY_LEN(ascending); j++) {
			struct cnm_prefix a = prefix(ascending[i]), b = prefix(ascending[j]);
			int r = prefix_cmp(&a, &b);

			assert_int_equal((r > 0) - (r < 0), (i > j) - (i < j));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip_parse),
		cmocka_unit_test(test_prefix_parse),
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_ip_kinds),
		cmocka_unit_test(test_ip_order),
		cmocka_unit_test(test_ip_add),
		cmocka_unit_test(test_ip_arithmetic_property),
		cmocka_unit_test(test_ip_distance),
		cmocka_unit_test(test_prefix_bounds),
		cmocka_unit_test(test_prefix_property),
		cmocka_unit_test(test_prefix_order),
	};

	rng_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
