/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's routes of others, as ip(8) makes and removes them, with thousands of our own beside
 * them. Needs root; without it the test is skipped (77).
 */
#include "rtnl_fixture.h"

#include <sys/socket.h>

#include "kernel/host_routes.h"
#include "unit.h"

#define GROUP 4660

static struct host_routes *routes;

static bool has(const char *subnet)
{
	struct cnm_prefix p = prefix_of(subnet);
	struct prefixes list = { 0 };
	struct cnm_error err = { 0 };
	bool found = false;

	if (host_routes_get(routes, hnl, p.ip.family, &list, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < list.n; i++)
		found |= prefix_eq(&list.p[i], &p);
	prefixes_free(&list);
	return found;
}

static size_t count(int family)
{
	struct prefixes list = { 0 };
	struct cnm_error err = { 0 };
	size_t n;

	if (host_routes_get(routes, hnl, family, &list, &err) < 0)
		fail_msg("%s", err.text);
	n = list.n;
	prefixes_free(&list);
	return n;
}

/* Each test in a namespace of its own, which is home meanwhile. */
static int open_routes(void **state)
{
	struct cnm_error err;
	int ns = make_ns();

	enter(ns);
	close(home);
	home = ns;
	nl_close(hnl);
	hnl = nl_in(home);
	sh_in(home, "ip link set lo up; ip link add up0 type bridge; ip link set up0 up;"
		    "ip addr add 198.51.100.2/24 dev up0; ip route add default via 198.51.100.1");
	return host_routes_open(&routes, GROUP, &err);
}

static int close_routes(void **state)
{
	host_routes_close(routes);
	return 0;
}

/* What was there before, and each change by the time that ip has returned. */
static void test_changes(void **state)
{
	assert_true(has("198.51.100.0/24"));
	assert_false(has("0.0.0.0/0") || has("127.0.0.0/8"));
	for (int i = 0; i < 50; i++) {
		sh_in(home, "ip route add 172.18.0.0/16 via 198.51.100.9");
		assert_true(has("172.18.0.0/16"));
		sh_in(home, "ip route del 172.18.0.0/16");
		assert_false(has("172.18.0.0/16"));
	}
	sh_in(home, "ip route add blackhole 10.5.0.0/16 table 77");
	assert_true(has("10.5.0.0/16"));
	sh_in(home, "ip route flush table 77");
	assert_false(has("10.5.0.0/16"));
	sh_in(home, "ip addr add 10.6.0.1/32 dev up0");
	assert_true(has("10.6.0.1/32"));
}

/* A link that goes takes its IPv4 routes along, of which the kernel says nothing. */
static void test_link_goes(void **state)
{
	sh_in(home, "ip link add vpn0 type bridge; ip link set vpn0 up;"
		    "ip addr add 10.8.0.1/24 dev vpn0");
	assert_true(has("10.8.0.0/24"));
	sh_in(home, "ip link del vpn0");
	host_routes_link_down(routes, 0);
	assert_false(has("10.8.0.0/24"));
}

/* Ours are left out, doomed ones too, and so many that their events are lost do no harm. */
static void test_ours(void **state)
{
	size_t before = count(AF_INET);

	sh_in(home,
	      "for i in 0 1 2 3; do for j in $(seq 0 249); do echo link add b$i-$j group 4660 "
	      "type bridge; echo link set b$i-$j up; echo addr add 10.$i.$j.1/24 dev b$i-$j;"
	      "done; done | ip -b -; ip link set b0-0 group 4661;"
	      "ip route add 10.9.0.0/16 via 198.51.100.9");
	assert_true(has("10.9.0.0/16"));
	assert_int_equal(count(AF_INET), before + 1);
	sh_in(home, "ip link set b0-1 down; ip link set b0-1 up; ip route add 10.10.0.0/16 via "
		    "10.0.1.9");
	assert_int_equal(count(AF_INET), before + 1);
	sh_in(home, "ip route add 10.11.0.0/16 nexthop via 198.51.100.9 nexthop via 198.51.100.8");
	assert_int_equal(count(AF_INET), before + 2);
}

static void test_ipv6(void **state)
{
	sh_in(home,
	      "ip link add mine group 4660 type bridge; ip link set mine up;"
	      "ip addr add fd00:1::1/64 dev mine nodad; ip addr add fd00:2::1/64 dev up0 nodad");
	assert_true(has("fd00:2::/64"));
	assert_false(has("fd00:1::/64"));
	assert_false(has("fe80::/64") || has("ff00::/8"));
	sh_in(home, "ip addr del fd00:2::1/64 dev up0");
	assert_false(has("fd00:2::/64"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, open_routes, close_routes),
		cmocka_unit_test_setup_teardown(test_link_goes, open_routes, close_routes),
		cmocka_unit_test_setup_teardown(test_ours, open_routes, close_routes),
		cmocka_unit_test_setup_teardown(test_ipv6, open_routes, close_routes),
	};
	int failed;

	if (!fixture_open())
		return 77;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_close();
	return failed;
}
