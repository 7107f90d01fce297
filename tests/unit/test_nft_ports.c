/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall, with real packets: published ports, from everywhere, with bridge-nf-call-iptables 0
 * and 1; and what else lets packets in or changes them. Needs root.
 */
#include "nft_world.h"

static const struct node *const a1 = &nodes[A1], *const a2 = &nodes[A2], *const b1 = &nodes[B1];
static const struct node *const lan = &nodes[LAN], *const far = &nodes[FAR];

/* ---- publishing */

static const char *const published[][2] = {
	/* at every address: 8080 is port 80 of a1; 9000 to 9100 are its own */
	{ "pub4any", "tcp . 8080 : 172.17.0.2 . 80" },
	{ "pub4any", "udp . 8080 : 172.17.0.2 . 80" },
	{ "pub6any", "tcp . 8080 : fd00:1::2 . 80" },
	{ "pub6any", "udp . 8080 : fd00:1::2 . 80" },
	{ "range4any", "tcp . 9000-9100 : 172.17.0.2" },
	{ "range4any", "udp . 9000-9100 : 172.17.0.2" },
	{ "range6any", "tcp . 9000-9100 : fd00:1::2" },
	{ "range6any", "udp . 9000-9100 : fd00:1::2" },
	/* at one address: 8081, and 9200 to 9300, are of a2 */
	{ "pub4", "198.51.100.1 . tcp . 8081 : 172.17.0.3 . 80" },
	{ "pub4", "198.51.100.1 . udp . 8081 : 172.17.0.3 . 80" },
	{ "pub6", "2001:db8:2::1 . tcp . 8081 : fd00:1::3 . 80" },
	{ "pub6", "2001:db8:2::1 . udp . 8081 : fd00:1::3 . 80" },
	{ "range4", "198.51.100.1 . tcp . 9200-9300 : 172.17.0.3" },
	{ "range4", "198.51.100.1 . udp . 9200-9300 : 172.17.0.3" },
	{ "range6", "2001:db8:2::1 . tcp . 9200-9300 : fd00:1::3" },
	{ "range6", "2001:db8:2::1 . udp . 9200-9300 : fd00:1::3" },
	{ "pub4", "127.0.0.1 . tcp . 8082 : 172.17.0.2 . 80" },
};
#define N_PUBLISHED (sizeof(published) / sizeof(published[0]))

static void add(const char *set, const char *text)
{
	const struct nft_elem e = elem(set, text);

	assert_ok(nft_change(nft, &e, 1, NULL, 0, &err));
}

static void del(const char *set, const char *text)
{
	const struct nft_elem e = elem(set, text);

	assert_ok(nft_change(nft, NULL, 0, &e, 1, &err));
}

static void get_published(struct nft_elem e[static N_PUBLISHED])
{
	for (size_t i = 0; i < N_PUBLISHED; i++)
		e[i] = elem(published[i][0], published[i][1]);
}

/* TCP and UDP from somebody to ip:port, for what listens on a container's address of that family.
 */
static void reach(const struct node *from, const char *ip, uint16_t port, const struct node *to,
		  uint16_t at_port, const char *want)
{
	struct call q = { from,    to,          ip, port, strchr(ip, ':') ? to->ip6 : to->ip4,
			  at_port, SOCK_STREAM, 0 };

	expect_call(&q, want);
	q.type = SOCK_DGRAM;
	expect_call(&q, want);
}

static void check_outside(void)
{
	reach(lan, lan->gw4, 8080, a1, 80, lan->ip4);
	reach(lan, far->gw4, 8080, a1, 80, lan->ip4); /* any address of the host's */
	reach(lan, lan->gw6, 8080, a1, 80, lan->ip6);
	reach(lan, lan->gw4, 9000, a1, 9000, lan->ip4);
	reach(lan, lan->gw4, 9100, a1, 9100, lan->ip4);
	reach(lan, lan->gw6, 9050, a1, 9050, lan->ip6);
	reach(lan, lan->gw4, 9101, a1, 9101, "");
	reach(lan, lan->gw6, 8999, a1, 8999, "");
	reach(lan, far->gw4, 8081, a2, 80, lan->ip4);
	reach(lan, far->gw6, 8081, a2, 80, lan->ip6);
	reach(lan, lan->gw4, 8081, a2, 80, "");
	reach(lan, lan->gw6, 8081, a2, 80, "");
	reach(lan, far->gw4, 9250, a2, 9250, lan->ip4);
	reach(lan, far->gw6, 9250, a2, 9250, lan->ip6);
	reach(lan, lan->gw4, 9250, a2, 9250, "");
	/* the container's own address stays closed */
	reach(lan, a1->ip4, 80, a1, 80, "");
	reach(lan, a1->ip6, 80, a1, 80, "");
	reach(lan, a1->ip4, 9000, a1, 9000, "");
}

static void check_host(void)
{
	const struct node *host = &nodes[HOST];

	reach(host, lan->gw4, 8080, a1, 80, lan->gw4);
	reach(host, "127.0.0.1", 8080, a1, 80, a1->gw4);
	reach(host, "127.0.0.1", 9000, a1, 9000, a1->gw4);
	reach(host, lan->gw6, 8080, a1, 80, lan->gw6);
	reach(host, a1->gw6, 9000, a1, 9000, a1->gw6);
	struct call q = { host, a1, "127.0.0.1", 8082, a1->ip4, 80, SOCK_STREAM, 0 };
	expect_call(&q, a1->gw4);
	q.from = lan;
	q.ip = lan->gw4;
	expect_call(&q, "");
}

/* From containers: the port's own, its neighbour, and one of another network. */
static void check_hairpin(void)
{
	const struct node *const from[] = { a1, a2, b1 };

	for (size_t i = 0; i < 3; i++) {
		reach(from[i], lan->gw4, 8080, a1, 80, a1->gw4);
		reach(from[i], from[i]->gw4, 8080, a1, 80, a1->gw4);
		reach(from[i], lan->gw6, 8080, a1, 80, a1->gw6);
		reach(from[i], far->gw4, 9007, a1, 9007, a1->gw4);
		reach(from[i], far->gw6, 9007, a1, 9007, a1->gw6);
		reach(from[i], far->gw4, 8081, a2, 80, a2->gw4);
		reach(from[i], lan->gw4, 8081, a2, 80, "");
	}
	reach(b1, a1->ip4, 80, a1, 80, "");
	reach(a2, a1->ip4, 80, a1, 80, a2->ip4);
	/* what is internal has no way out, nor to the ports of others */
	reach(&nodes[I1], lan->gw4, 8080, a1, 80, "");
	reach(&nodes[I1], lan->gw6, 9000, a1, 9000, "");
}

/* Nobody of br-a reaches another but at published ports, and where there is a pinhole. */
static void check_noicc(void)
{
	const struct nft_elem off[] = { elem("noicc", "va1"), elem("noicc", "va2"),
					elem("same", "br-a . br-a : goto noicc") };
	const struct nft_elem on = elem("same", "br-a . br-a : accept");

	assert_ok(nft_change(nft, off, 3, &on, 1, &err));
	check_outside();
	reach(a2, a1->ip4, 80, a1, 80, "");
	for (int i = A1; i <= A2; i++) {
		reach(&nodes[i], lan->gw4, 8080, a1, 80, a1->gw4);
		reach(&nodes[i], lan->gw6, 8080, a1, 80, a1->gw6);
		reach(&nodes[i], far->gw4, 9007, a1, 9007, a1->gw4);
		reach(&nodes[i], far->gw4, 8081, a2, 80, a2->gw4);
		reach(&nodes[i], a1->gw6, 9007, a1, 9007, a1->gw6);
	}

	static const char *const holes4[] = { "172.17.0.3 . 172.17.0.2 . tcp . 80-81",
					      "172.17.0.3 . 172.17.0.2 . udp . 80" };
	static const char *const holes6[] = { "fd00:1::3 . fd00:1::2 . tcp . 80-81",
					      "fd00:1::3 . fd00:1::2 . udp . 80" };
	for (size_t i = 0; i < 2; i++) {
		add("pinholes4", holes4[i]);
		add("links4", holes4[i]);
		add("pinholes6", holes6[i]);
		add("links6", holes6[i]);
	}
	reach(a2, a1->ip4, 80, a1, 80, a2->ip4);
	reach(a2, a1->ip6, 80, a1, 80, a2->ip6);
	reach(a2, a1->ip4, 82, a1, 82, "");
	reach(a2, a1->ip6, 82, a1, 82, "");
	reach(a1, a2->ip4, 80, a2, 80, "");
	reach(a1, a2->ip6, 80, a2, 80, "");
	expect_ping(a2 - nodes, a1->ip4, false);
	expect_ping(a2 - nodes, a1->ip6, false);
	reach(a2, lan->gw4, 8080, a1, 80, a1->gw4);
	for (size_t i = 0; i < 2; i++) {
		del("pinholes4", holes4[i]);
		del("links4", holes4[i]);
		del("pinholes6", holes6[i]);
		del("links6", holes6[i]);
	}
	reach(a2, a1->ip4, 80, a1, 80, "");
	assert_ok(nft_change(nft, &on, 1, off, 3, &err));
}

/* An element counts connections, and nothing else. */
static void check_counters(void)
{
	const struct nft_elem asked[] = { elem("range6any", "tcp . 9000-9100 : fd00:1::2"),
					  elem("pub4any", "tcp . 8080 : 172.17.0.2 . 80"),
					  elem("pub4any", "tcp . 1 : 172.17.0.2 . 80"),
					  elem("range4any", "tcp . 9000-9100 : 172.17.0.2"),
					  elem("range4any", "tcp . 9000-9101 : 172.17.0.2"),
					  elem("brs", "br-a"),
					  elem("pub4",
					       "198.51.100.1 . udp . 8081 : 172.17.0.3 . 80") };
	enum { N = sizeof(asked) / sizeof(asked[0]) };
	uint64_t before[N], after[N];

	assert_ok(nft_count(nft, asked, N, before, &err));
	for (int i = 0; i < 3; i++) {
		reach(lan, lan->gw4, 8080, a1, 80, lan->ip4);
		reach(lan, lan->gw6, 9000 + i, a1, 9000 + i, lan->ip6);
	}
	reach(lan, far->gw4, 8081, a2, 80, lan->ip4);
	assert_ok(nft_count(nft, asked, N, after, &err));
	assert_int_equal(after[0] - before[0], 3);
	assert_int_equal(after[1] - before[1], 3);
	assert_int_equal(after[2] + before[2], 0);
	assert_int_equal(after[3] - before[3], 0);
	assert_int_equal(after[4] + before[4], 0);
	assert_int_equal(after[5] + before[5], 0);
	assert_int_equal(after[6] - before[6], 1);
}

static void check_published(void)
{
	struct nft_elem e[N_PUBLISHED];

	get_published(e);
	reach(lan, lan->gw4, 8080, a1, 80, "");
	assert_ok(nft_change(nft, e, N_PUBLISHED, NULL, 0, &err));
	check_outside();
	check_host();
	check_hairpin();
	check_noicc();
	check_counters();
	assert_ok(nft_change(nft, NULL, 0, e, N_PUBLISHED, &err));
	reach(lan, lan->gw4, 8080, a1, 80, "");
	reach(lan, lan->gw6, 9000, a1, 9000, "");
	reach(a2, lan->gw4, 8080, a1, 80, "");
}

/* ---- the proxy, for which a socket of the host's stands in */

static void check_proxy(void)
{
	static const struct node proxy = { "proxy", NULL, NULL, NULL, "0.0.0.0", "::", -1 };
	const struct node *host = &nodes[HOST];

	add("proxy", "tcp : 40000");
	add("proxy", "udp : 40000");
	for (int i = 0; i < 2; i++) {
		const char *proto = i ? "udp" : "tcp";
		char text[64];

		snprintf(text, sizeof(text), "%s . 8090", proto);
		add("proxiedany", text);
		snprintf(text, sizeof(text), "%s . 8100-8110", proto);
		add("proxiedrangeany", text);
		snprintf(text, sizeof(text), "::1 . %s . 8091", proto);
		add("proxied", text);
		snprintf(text, sizeof(text), "2001:db8:2::1 . %s . 8200-8210", proto);
		add("proxiedrange", text);
	}
	reach(lan, lan->gw6, 8090, &proxy, 40000, lan->ip6);
	reach(lan, far->gw6, 8105, &proxy, 40000, lan->ip6);
	reach(lan, far->gw6, 8200, &proxy, 40000, lan->ip6);
	reach(lan, lan->gw6, 8200, &proxy, 40000, "");
	reach(a1, a1->gw6, 8090, &proxy, 40000, a1->ip6);
	reach(host, "::1", 8091, &proxy, 40000, "::1");
	reach(host, "::1", 8110, &proxy, 40000, "::1");
	reach(lan, lan->gw6, 8091, &proxy, 40000, "");
	reach(lan, lan->gw4, 8090, &proxy, 40000, ""); /* IPv6 alone */
	/* a container's port at all addresses is not published at ::1, but by the proxy */
	add("pub6any", "tcp . 8080 : fd00:1::2 . 80");
	struct call q = { host, a1, "::1", 8080, a1->ip6, 80, SOCK_STREAM, 0 };
	expect_call(&q, "");
	add("proxied", "::1 . tcp . 8080");
	q = (struct call){ host, &proxy, "::1", 8080, "::", 40000, SOCK_STREAM, 0 };
	expect_call(&q, "::1");
	q = (struct call){ lan, a1, lan->gw6, 8080, a1->ip6, 80, SOCK_STREAM, 0 };
	expect_call(&q, lan->ip6);
	del("proxied", "::1 . tcp . 8080");
	del("pub6any", "tcp . 8080 : fd00:1::2 . 80");
}

/* ---- what else is let in */

static void check_open(void)
{
	add("open4", "172.17.0.2 . tcp . 80");
	add("open4", "172.17.0.2 . udp . 80");
	add("open6", "fd00:1::2 . tcp . 80");
	add("open6", "fd00:1::2 . udp . 80");
	add("openrange4", "172.17.0.2 . tcp . 90-99");
	add("openrange4", "172.17.0.2 . udp . 90-99");
	add("openrange6", "fd00:1::2 . tcp . 90-99");
	add("openrange6", "fd00:1::2 . udp . 90-99");
	reach(lan, a1->ip4, 80, a1, 80, lan->ip4);
	reach(lan, a1->ip6, 80, a1, 80, lan->ip6);
	reach(lan, a1->ip4, 90, a1, 90, lan->ip4);
	reach(lan, a1->ip6, 99, a1, 99, lan->ip6);
	reach(far, a1->ip4, 80, a1, 80, far->ip4);
	reach(lan, a1->ip4, 81, a1, 81, "");
	reach(lan, a1->ip6, 89, a1, 89, "");
	reach(lan, a2->ip4, 80, a2, 80, "");
	reach(lan, a2->ip6, 90, a2, 90, "");
	reach(&nodes[I1], a1->ip4, 80, a1, 80, "");
	add("open4", "172.19.0.2 . tcp . 80"); /* an internal one stays closed */
	expect(LAN, I1, nodes[I1].ip4, SOCK_STREAM, "");
	del("open4", "172.19.0.2 . tcp . 80");
	del("open4", "172.17.0.2 . tcp . 80");
	del("open4", "172.17.0.2 . udp . 80");
	del("open6", "fd00:1::2 . tcp . 80");
	del("open6", "fd00:1::2 . udp . 80");
	del("openrange4", "172.17.0.2 . tcp . 90-99");
	del("openrange4", "172.17.0.2 . udp . 90-99");
	del("openrange6", "fd00:1::2 . tcp . 90-99");
	del("openrange6", "fd00:1::2 . udp . 90-99");
	reach(lan, a1->ip4, 80, a1, 80, "");
	reach(lan, a1->ip6, 99, a1, 99, "");
}

static void check_trusted(void)
{
	add("trusted", "br-a . vlan");
	expect_itself(LAN, A1);
	expect_itself(LAN, A2);
	expect_dropped(FAR, A1);
	expect_dropped(B1, A1);
	expect_dropped(LAN, B1);
	add("trusted", "br-i . vlan");
	expect_dropped(LAN, I1);
	del("trusted", "br-a . vlan");
	expect_dropped(LAN, A1);
}

static int mss_of(const struct node *from, const struct node *to, const char *ip, uint16_t port,
		  const char *at, const char *want)
{
	struct call q = { from, to, ip, port, at, PORT, SOCK_STREAM, 0 };

	expect_call(&q, want);
	return q.mss;
}

/* Both ends believe in 1500, but between them there is less. */
static void check_mss(void)
{
	add("pub4any", "tcp . 8080 : 172.17.0.2 . 80");
	assert_true(mss_of(a1, lan, lan->ip4, PORT, lan->ip4, lan->gw4) > 1400);
	assert_true(mss_of(lan, a1, lan->gw4, 8080, a1->ip4, lan->ip4) > 1400);
	run("ip route change 192.0.2.0/24 dev vlan mtu 1300");
	run("ip -6 route add 2001:db8:1::/64 dev vlan mtu 1290 metric 1");
	assert_in_range(mss_of(a1, lan, lan->ip4, PORT, lan->ip4, lan->gw4), 1200, 1260);
	assert_in_range(mss_of(a1, lan, lan->ip6, PORT, lan->ip6, lan->gw6), 1180, 1230);
	assert_in_range(mss_of(lan, a1, lan->gw4, 8080, a1->ip4, lan->ip4), 1200, 1260);
	run("ip route change 192.0.2.0/24 dev vlan");
	run("ip -6 route del 2001:db8:1::/64 dev vlan metric 1");
	del("pub4any", "tcp . 8080 : 172.17.0.2 . 80");
}

static void test_ports(void **state, const char *bridge_nf)
{
	static const char *const bridges[] = { "br-a", "br-b" };
	char path[64];

	if (access("/proc/sys/net/bridge", F_OK) == 0)
		set_bridge_nf(bridge_nf);
	else if (streq(bridge_nf, "1"))
		skip();
	load_world();
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "net/ipv4/conf/%s/route_localnet", bridges[i]);
		assert_ok(sysctl_write(-1, path, "1", &err));
	}
	for (int i = A1; i <= B1; i++)
		run("bridge link set dev v%s hairpin on", nodes[i].name);
	check_published();
	check_proxy();
	check_open();
	check_trusted();
	check_mss();
}

static void test_ports_0(void **state)
{
	test_ports(state, "0");
}

static void test_ports_1(void **state)
{
	test_ports(state, "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ports_0, setup_world, teardown_world),
		cmocka_unit_test_setup_teardown(test_ports_1, setup_world, teardown_world),
	};
	int r = enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
