/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What others damage of an overlay network, a restart, changes that fail half-way, and very many
 * peers. Needs root; without it the test is skipped (77).
 */
#include "overlay_fixture.h"

static int setup(void **state)
{
	return fixture_begin(NULL, NULL, "192.0.2.");
}

static int setup_antispoof(void **state)
{
	return fixture_begin("cnm.antispoof", "on", "192.0.2.");
}

/* Bring a host to what was carried out last. */
static void mend(unsigned h)
{
	_plan_ struct plan have = { 0 };
	_diff_ struct plan_diff d = { 0 };

	dump_host(h, &hosts[h].have, &have);
	assert_int_equal(plan_diff(&have, &hosts[h].have, &d), 0);
	applier_enter(hosts[h].applier);
	if (applier_repair(hosts[h].applier, &d, &err))
		fail_msg("%s", err.text);
	applier_leave(hosts[h].applier);
}

/* What others did, what the dump says of it, and that it is put right. */
static void test_damage(void **state)
{
	static const struct {
		const char *what, *sign, *object;
	} cases[] = {
		{ "bridge fdb del 02:00:00:00:00:02 dev vxlan0 self", "~",
		  "fdb 02:00:00:00:00:02 on vxlan0: at 192.0.2.2" },
		{ "bridge fdb del 02:00:00:00:00:02 dev vxlan0 master", "~",
		  "fdb 02:00:00:00:00:02 on vxlan0: at 192.0.2.2" },
		{ "bridge fdb replace 02:00:00:00:00:02 dev vxlan0 dst 192.0.2.9 self", "~",
		  "fdb 02:00:00:00:00:02 on vxlan0: at 192.0.2.2" },
		{ "bridge fdb del 02:00:00:00:00:02 dev vxlan0 self;"
		  " bridge fdb del 02:00:00:00:00:02 dev vxlan0 master",
		  "+", "fdb 02:00:00:00:00:02 on vxlan0: at 192.0.2.2" },
		{ "bridge fdb del 00:00:00:00:00:00 dev vxlan0 dst 192.0.2.2", "+",
		  "fdb everybody at 192.0.2.2 on vxlan0" },
		{ "bridge fdb append 00:00:00:00:00:00 dev vxlan0 dst 192.0.2.8", "-",
		  "fdb everybody at 192.0.2.8 on vxlan0" },
		{ "bridge fdb add 02:00:00:00:00:88 dev vxlan0 dst 192.0.2.8 self", "-",
		  "fdb 02:00:00:00:00:88 on vxlan0: at 192.0.2.8" },
		{ "bridge fdb add 02:00:00:00:00:88 dev vxlan0 master static", "-",
		  "fdb 02:00:00:00:00:88 on vxlan0: at " },
		{ "ip neigh del 10.99.0.2 dev vxlan0", "+",
		  "neighbour 10.99.0.2 on vxlan0: 02:00:00:00:00:02" },
		{ "ip neigh replace fd99::2 lladdr 02:00:00:00:00:99 dev vxlan0 nud permanent", "~",
		  "neighbour fd99::2 on vxlan0: 02:00:00:00:00:02" },
		{ "ip neigh replace 10.99.0.2 lladdr 02:00:00:00:00:02 dev vxlan0 nud stale", "~",
		  "neighbour 10.99.0.2 on vxlan0: 02:00:00:00:00:02" },
		{ "ip neigh add 10.99.0.99 lladdr 02:00:00:00:00:99 dev vxlan0 nud permanent", "-",
		  "neighbour 10.99.0.99 on vxlan0: 02:00:00:00:00:99" },
		{ "bridge link set dev vxlan0 learning on", "~",
		  "link vxlan0: vxlan id 4097 port 4789 from 192.0.2.1 mtu 1450 "
		  "port of br0 closed up" },
		{ "bridge link set dev vxlan0 flood on", "~",
		  "link vxlan0: vxlan id 4097 port 4789 from 192.0.2.1 mtu 1450 "
		  "port of br0 closed up" },
	};

	put(0, 0);
	put(1, 1);
	go();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[512];

		snprintf(text, sizeof(text), "%s network %.12s: %s\n", cases[i].sign, net->id,
			 cases[i].object);
		sh_place(0, cases[i].what);
		expect_differences(0, text);
		mend(0);
		expect_differences(0, "");
		ping(0, "10.99.0.2");
		ping(1, "fd99::1");
	}
}

/* What each does is noticed, and put right. */
static void expect_mended(const char *const *cases, size_t n)
{
	put(0, 0);
	put(1, 1);
	go();
	for (size_t i = 0; i < n; i++) {
		_plan_ struct plan have = { 0 };
		_diff_ struct plan_diff d = { 0 };

		sh_place(0, cases[i]);
		dump_host(0, &hosts[0].have, &have);
		assert_int_equal(plan_diff(&have, &hosts[0].have, &d), 0);
		if (d.n == 0)
			fail_msg("nobody notices: %s", cases[i]);
		mend(0);
		expect_differences(0, "");
		ping(0, "10.99.0.2");
		ping(1, "10.99.0.1");
		ping(0, "fd99::2");
	}
}

/* More of it: links that are down, gone, or somewhere else, and what that takes along. */
static void test_damaged_links(void **state)
{
	static const char *const cases[] = {
		"ip link set vxlan0 down",
		"ip link set vxlan0 mtu 1400",
		"ip link set vxlan0 nomaster",
		"ip link del vxlan0",
		"ip link set br0 down",
		"ip link del br0",
		"ip link set vxlan0 type vxlan noproxy 2>/dev/null || ip link del vxlan0",
		"for l in $(ip -br link | grep -o ^veth.......); do"
		" bridge link set dev $l learning on; done",
		"for l in $(ip -br link | grep -o ^veth.......); do ip link set $l nomaster; done",
		"for l in $(ip -br link | grep -o ^veth.......); do ip link set $l down; done",
		"for l in $(ip -br link | grep -o ^veth.......); do ip link del $l; done",
		"for l in $(ip -br link | grep -o ^veth.......); do"
		" bridge fdb del 02:00:00:00:00:01 dev $l master; done",
		"ip link add x type bridge; ip link set x alias cnm:cnmtest:x",
		"ip neigh flush all nud permanent; bridge fdb flush dev vxlan0 2>/dev/null || :",
	};

	expect_mended(cases, ARRAY_LEN(cases));
}

static void test_damaged_firewall(void **state)
{
	static const char *const cases[] = {
		"nft flush ruleset",
		"nft delete table bridge cnm-cnmtest",
		"nft flush chain bridge cnm-cnmtest guard",
		"nft flush set bridge cnm-cnmtest guarded",
		"nft flush set bridge cnm-cnmtest src4",
		"nft add element bridge cnm-cnmtest guarded { \"x\" }",
	};

	expect_mended(cases, ARRAY_LEN(cases));
}

/* Another port, id or address: the link is made anew, and all that is on it is there again. */
static void test_made_anew(void **state)
{
	static const char *const cases[] = {
		"id 4098 dstport 4789 local 192.0.2.1 nolearning proxy",
		"id 4097 dstport 4790 local 192.0.2.1 nolearning proxy",
		"id 4097 dstport 4789 local 192.0.2.7 nolearning proxy",
		"id 4097 dstport 4789 nolearning proxy",
		"id 4097 dstport 4789 local 192.0.2.1 learning proxy",
		"id 4097 dstport 4789 local 192.0.2.1 nolearning noproxy",
		"id 4097 dstport 4789 local 2001:db8::1 nolearning proxy",
	};

	put(0, 0);
	put(1, 1);
	go();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char command[512];

		snprintf(command, sizeof(command),
			 "ip link del vxlan0; ip link add vxlan0 type vxlan %s;"
			 " ip link set vxlan0 alias cnm:cnmtest:x master br0 mtu 1450 up;"
			 " bridge fdb replace 02:00:00:00:00:02 dev vxlan0 dst 192.0.2.2 self || :;"
			 " bridge fdb add 02:00:00:00:00:88 dev vxlan0 dst 192.0.2.8 self || :",
			 cases[i]);
		sh_place(0, command);
		mend(0);
		expect_differences(0, "");
		ping(0, "10.99.0.2");
		ping(1, "fd99::1");
	}
}

/* A daemon that is new knows the place by its pin. */
static void test_restart(void **state)
{
	char pin[32];

	put(0, 0);
	put(1, 1);
	go();
	applier_free(hosts[0].applier);
	open_applier(&hosts[0]);
	snprintf(pin, sizeof(pin), "ov-%.12s", net->id);
	applier_know(hosts[0].applier, net->id, pin);
	applier_know(hosts[0].applier, cons[0].sb->id, cons[0].sb->name);
	expect_differences(0, "");
	sh_place(0, "ip neigh flush all nud permanent");
	mend(0);
	expect_differences(0, "");
	ping(0, "10.99.0.2");
}

/* What fails half-way leaves all as it was: at first nothing, then one endpoint. */
static void test_undone(void **state)
{
	for (unsigned round = 0; round < 2; round++) {
		_plan_ struct plan want = { 0 };

		if (round)
			go();
		put(round ? 2 : 0, 0);
		put(1, 1);
		plan_of_host(0, &want);
		plan_add_sysctl(&want, cons[0].sb->id, net->id,
				"net/ipv4/conf/none-such/forwarding", "1");
		assert_int_equal(go_host(0, &want), -ENOENT);
		assert_non_null(strstr(err.text, "none-such"));
		if (round) {
			put(2, -1);
			expect_differences(0, "");
			ping(0, "10.99.0.2");
		} else {
			expect_empty(0);
			sh_in(hosts[0].ns, "ip link del v9");
		}
	}
}

/* The id is in use on this host: said in the kernel's words, and nothing is left. */
static void test_id_in_use(void **state)
{
	_plan_ struct plan want = { 0 };

	sh_in(hosts[0].ns, "ip link add v9 type vxlan id 4097 dstport 4789 local 192.0.2.1");
	put(0, 0);
	plan_of_host(0, &want);
	assert_int_equal(go_host(0, &want), -EEXIST);
	assert_non_null(strstr(err.text, "add link vxlan0 in network"));
	assert_non_null(strstr(err.text, "VNI"));
	sh_in(hosts[0].ns, "ip link del v9");
	put(0, -1);
	expect_differences(0, "");
}

/* Many peers: there, seen, half of them taken away, repaired from nothing. */
static void test_many(void **state)
{
	enum { MANY = 10000 };

	put(0, 0);
	for (unsigned part = 2; part > 0; part--) {
		_plan_ struct plan want = { 0 };

		plan_of_host(0, &want);
		for (unsigned i = 0; i < MANY / 2 * part; i++) {
			struct cnm_ip ip = ip_of("10.99.8.0"), at_host = ip_of("192.0.2.2");
			struct cnm_mac mac = mac_of("02:00:00:01:00:00");

			ip_add(&ip, i);
			mac.b[4] = (uint8_t)(i >> 8);
			mac.b[5] = (uint8_t)i;
			plan_add_fdb(&want, net->id, net->id, "vxlan0", &mac, &at_host);
			plan_add_neigh(&want, net->id, net->id, "vxlan0", &ip, &mac);
		}
		assert_ok(go_host(0, &want));
		expect_differences(0, "");
	}
	sh_place(0, "ip link del vxlan0");
	mend(0);
	expect_differences(0, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)
	const struct CMUnitTest tests[] = {
		TEST(test_damage),
		TEST(test_damaged_links),
		TEST(test_made_anew),
		TEST(test_restart),
		TEST(test_undone),
		TEST(test_id_in_use),
		TEST(test_many),
		cmocka_unit_test_setup_teardown(test_damaged_firewall, setup_antispoof,
						fixture_end),
	};
	int r;

	if (!fixture_open())
		return 77;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_close();
	return r;
}
