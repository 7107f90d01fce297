/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall, with real packets: networks, their modes, and who reaches whom. Needs root. The
 * published ports are in test_nft_ports.c, anti-spoofing in test_nft_guard.c.
 */
#include "nft_world.h"

/* Between somebody's interfaces: ours to drop only if cnm turned on forwarding. */
static void check_foreign(void)
{
	const struct nft_elem drop[] = { foreign(NFPROTO_IPV4, "drop"),
					 foreign(NFPROTO_IPV6, "drop") };

	expect_itself(LAN, FAR);
	assert_ok(nft_change(nft, drop, 2, NULL, 0, &err));
	expect_dropped(LAN, FAR);
	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	assert_ok(nft_change(nft, NULL, 0, drop, 2, &err));
	expect_itself(LAN, FAR);
}

static void check_user_chain(void)
{
	run("nft add rule inet cnm user iifname br-a oifname vlan drop");
	expect_dropped(A1, LAN);
	expect_itself(A1, A2);
	run("nft flush chain inet cnm user");
	/* and what the operator accepts is accepted */
	run("nft add rule inet cnm user iifname vlan oifname br-a accept");
	run("nft add rule inet cnm user iifname br-a oifname br-b accept");
	expect_itself(LAN, A1);
	expect_itself(A1, B1); /* from one bridge of ours to another: never masqueraded */
	run("nft flush chain inet cnm user");
}

/* Elements switch masquerading per family; b has none of it. */
static void check_masquerade(void)
{
	const struct nft_elem v4 = in_set("masq4", "br-a");

	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	expect_as(A1, FAR, nodes[FAR].gw4, nodes[FAR].gw6);
	expect_itself(B1, LAN);
	assert_ok(nft_change(nft, NULL, 0, &v4, 1, &err));
	expect_as(A1, LAN, nodes[A1].ip4, nodes[LAN].gw6);
	assert_ok(nft_change(nft, &v4, 1, NULL, 0, &err));
	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
}

/* An address of the host's that is on neither interface, whether masqueraded otherwise or not. */
static void check_snat(void)
{
	static const char ip4[] = "203.0.113.7", ip6[] = "2001:db8:7::7";
	const struct nft_elem to[] = { snat("snat4", "br-a", ip4), snat("snat6", "br-a", ip6) };
	const struct nft_elem masq[] = { in_set("masq4", "br-a"), in_set("masq6", "br-a") };

	run("ip addr add %s/32 dev lo && ip addr add %s/128 dev lo", ip4, ip6);
	assert_ok(nft_change(nft, &to[0], 1, NULL, 0, &err));
	expect_as(A1, LAN, ip4, nodes[LAN].gw6);
	assert_ok(nft_change(nft, &to[1], 1, NULL, 0, &err));
	expect_as(A1, LAN, ip4, ip6);
	assert_ok(nft_change(nft, NULL, 0, masq, 2, &err));
	expect_as(A1, LAN, ip4, ip6);
	expect_as(A2, FAR, ip4, ip6);
	expect_itself(A1, A2);
	expect_host(A1);
	expect_itself(B1, LAN);
	expect_dropped(LAN, A1);
	assert_ok(nft_change(nft, masq, 2, to, 2, &err));
	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	run("ip addr del %s/32 dev lo && ip addr del %s/128 dev lo", ip4, ip6);
}

/* Every way into br-a, by family; into b, and into what is internal, none. */
static void check_unprotected(void)
{
	const struct nft_elem e[] = { mode("unprotected", "br-a", NFPROTO_IPV4),
				      mode("unprotected", "br-a", NFPROTO_IPV6),
				      mode("unprotected", "br-i", NFPROTO_IPV4),
				      mode("unprotected", "br-i", NFPROTO_IPV6) };
	const struct node *lan = &nodes[LAN], *a1 = &nodes[A1];

	assert_ok(nft_change(nft, &e[0], 1, NULL, 0, &err));
	expect(LAN, A1, a1->ip4, SOCK_STREAM, lan->ip4);
	expect(LAN, A1, a1->ip6, SOCK_STREAM, "");
	assert_ok(nft_change(nft, &e[1], 3, &e[0], 1, &err));
	expect(LAN, A1, a1->ip4, SOCK_STREAM, "");
	expect(LAN, A1, a1->ip6, SOCK_STREAM, lan->ip6);
	assert_ok(nft_change(nft, &e[0], 1, NULL, 0, &err));
	expect_itself(LAN, A1);
	expect_itself(FAR, A2);
	expect_itself(B1, A1);
	expect_ping(LAN, a1->ip4, true);
	expect_ping(LAN, a1->ip6, true);
	expect_as(A1, LAN, lan->gw4, lan->gw6); /* as before */
	expect_dropped(LAN, B1);
	expect_dropped(A1, B1);
	expect_dropped(LAN, I1);
	expect_dropped(A1, I1);
	expect_dropped(I1, A1);
	expect_dropped(I1, LAN);
	assert_ok(nft_change(nft, NULL, 0, e, 4, &err));
	expect_dropped(LAN, A1);
}

/* br-a is pinged from outside, by family, and nothing else; and seen by its own addresses. */
static void check_routed(void)
{
	const struct nft_elem masq[] = { in_set("masq4", "br-a"), in_set("masq6", "br-a") };
	const struct nft_elem e[] = { mode("routed", "br-a", NFPROTO_IPV4),
				      mode("routed", "br-a", NFPROTO_IPV6),
				      mode("routed", "br-i", NFPROTO_IPV4),
				      mode("routed", "br-i", NFPROTO_IPV6) };

	expect_ping(LAN, nodes[A1].ip4, false);
	expect_ping(LAN, nodes[A1].ip6, false);
	assert_ok(nft_change(nft, &e[0], 1, masq, 2, &err));
	expect_ping(LAN, nodes[A1].ip4, true);
	expect_ping(LAN, nodes[A1].ip6, false);
	assert_ok(nft_change(nft, &e[1], 3, NULL, 0, &err));
	expect_ping(LAN, nodes[A1].ip4, true);
	expect_ping(LAN, nodes[A1].ip6, true);
	expect_ping(FAR, nodes[A2].ip6, true);
	expect_dropped(LAN, A1);
	expect_dropped(B1, A1);
	expect_itself(A1, LAN);
	expect_itself(A1, A2);
	expect_host(A1);
	expect_ping(LAN, nodes[B1].ip4, false);
	expect_ping(LAN, nodes[B1].ip6, false);
	expect_ping(LAN, nodes[I1].ip4, false);
	expect_ping(LAN, nodes[I1].ip6, false);
	assert_ok(nft_change(nft, masq, 2, e, 4, &err));
	expect_ping(LAN, nodes[A1].ip6, false);
}

/* A container that treats 127.0.0.1 as its neighbour's address, on a bridge with route_localnet. */
static void check_guard(void)
{
	assert_ok(sysctl_write(-1, "net/ipv4/conf/br-a/route_localnet", "1", &err));
	assert_ok(sysctl_write(nodes[A2].ns, "net/ipv4/conf/all/route_localnet", "1", &err));
	run("ip -n a2 addr del 127.0.0.1/8 dev lo && ip -n a2 route add 127.0.0.1 via 172.17.0.1");
	expect(A2, HOST, "127.0.0.1", SOCK_STREAM, "");
	run("nft flush chain inet cnm guard");
	expect(A2, HOST, "127.0.0.1", SOCK_STREAM,
	       nodes[A2].ip4); /* it is the guard that does it */
	run("ip -n a2 route del 127.0.0.1 && ip -n a2 addr add 127.0.0.1/8 dev lo");
	assert_ok(sysctl_write(-1, "net/ipv4/conf/br-a/route_localnet", "0", &err));
}

/* An open connection: at[0] is its client's end. */
struct connection {
	int at[2];
};

static struct connection open_connection(int from, int to)
{
	_close_ int server = listen_at(&nodes[to], nodes[to].ip4, PORT, SOCK_STREAM);
	struct connection c = { { sock_in(&nodes[from], AF_INET, SOCK_STREAM, 0), -1 } };
	union addr a = make_addr(nodes[to].ip4, PORT);

	assert_true(connect(c.at[0], &a.any, sizeof(a)) == 0 || errno == EINPROGRESS);
	assert_true(readable(server, WAIT_MS));
	c.at[1] = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	assert_true(c.at[1] >= 0);
	return c;
}

static void close_connection(struct connection *c)
{
	close_fd(&c->at[0]);
	close_fd(&c->at[1]);
}

static bool passes(const struct connection *c, int from, int wait)
{
	char byte = 'x';

	assert_int_equal(send(c->at[from], &byte, 1, 0), 1);
	return readable(c->at[!from], wait) && recv(c->at[!from], &byte, 1, 0) == 1;
}

/* The containers of br-a send to each other by way of the gateway, or (del) directly again. */
static void route_by_gateway(const char *verb)
{
	static const char *const sysctls[] = { "net/ipv4/conf/all/accept_redirects",
					       "net/ipv4/conf/eth0/accept_redirects",
					       "net/ipv6/conf/eth0/accept_redirects" };

	for (int i = A1; i <= A2; i++) {
		const struct node *n = &nodes[i], *other = &nodes[i == A1 ? A2 : A1];

		for (size_t s = 0; s < sizeof(sysctls) / sizeof(sysctls[0]); s++)
			assert_ok(sysctl_write(n->ns, sysctls[s], "0", &err));
		run("ip -n %s route %s %s via %s", n->name, verb, other->ip4, n->gw4);
		run("ip -n %s route %s %s via %s", n->name, verb, other->ip6, n->gw6);
	}
}

static void expect_neither(int a, int b)
{
	expect_dropped(a, b);
	expect_dropped(b, a);
	expect_ping(a, nodes[b].ip4, false);
	expect_ping(b, nodes[a].ip6, false);
}

/* Nor by way of the gateway, whoever else may come in that way. */
static void check_noicc_gateway(const struct nft_elem *accept, const struct nft_elem *drop)
{
	const struct nft_elem in[] = { mode("unprotected", "br-a", NFPROTO_IPV4),
				       mode("unprotected", "br-a", NFPROTO_IPV6),
				       mode("routed", "br-a", NFPROTO_IPV4),
				       mode("routed", "br-a", NFPROTO_IPV6) };

	route_by_gateway("add");
	expect_neither(A1, A2);
	assert_ok(nft_change(nft, in, 4, NULL, 0, &err));
	expect_neither(A1, A2);
	expect_itself(LAN, A1);
	assert_ok(nft_change(nft, accept, 1, drop, 1, &err));
	expect_itself(A1, A2); /* it is the element of `same` that does it */
	assert_ok(nft_change(nft, drop, 1, accept, 1, &err));
	assert_ok(nft_change(nft, NULL, 0, in, 4, &err));
	route_by_gateway("del");
}

static void check_noicc(void)
{
	const struct nft_elem ports[] = { in_set("noicc", "va1"), in_set("noicc", "va2") };
	const struct nft_elem accept = same("br-a", "br-a", "accept");
	const struct nft_elem drop = same("br-a", "br-a", "goto noicc");
	struct connection c = open_connection(A1, A2);

	assert_ok(nft_change(nft, &ports[0], 1, NULL, 0, &err));
	expect_itself(A1, A2); /* it takes two */
	expect_itself(A2, A1);
	expect_ping(A1, nodes[A2].ip4, true);
	assert_true(passes(&c, 0, WAIT_MS));
	assert_ok(nft_change(nft, &ports[1], 1, NULL, 0, &err));
	expect_neither(A1, A2);
	assert_false(passes(&c, 0, DROP_MS));
	assert_false(passes(&c, 1, DROP_MS));
	close_connection(&c);
	assert_ok(nft_change(nft, &drop, 1, &accept, 1, &err));
	expect_neither(A1, A2);
	for (int i = A1; i <= A2; i++) {
		expect_host(i);
		expect_as(i, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	}
	expect_itself(I1, I2);
	check_noicc_gateway(&accept, &drop);
	assert_ok(nft_change(nft, &accept, 1, &drop, 1, &err));
	assert_ok(nft_change(nft, NULL, 0, ports, 2, &err));
	expect_itself(A1, A2);
}

/* A connection lives through a reload. */
static void check_reload(void)
{
	struct connection c = open_connection(A1, LAN);

	load_world();
	for (int i = 0; i < 4; i++)
		assert_true(passes(&c, i % 2, WAIT_MS));
	close_connection(&c);
}

/* What is internal has not even the connections it had before. */
static void check_internal(void)
{
	const struct nft_elem open[] = { same("br-a", "br-b", "accept") };
	const struct nft_elem internal = in_set("internal", "br-a");
	struct connection c[2];

	assert_ok(nft_change(nft, open, 1, NULL, 0, &err));
	c[0] = open_connection(A1, LAN);
	c[1] = open_connection(A1, B1);
	assert_ok(nft_change(nft, &internal, 1, open, 1, &err));
	for (int i = 0; i < 2; i++) {
		assert_false(passes(&c[i], 0, DROP_MS));
		assert_false(passes(&c[i], 1, DROP_MS));
		close_connection(&c[i]);
	}
	assert_ok(nft_change(nft, NULL, 0, &internal, 1, &err));
}

static const int kept_apart[][2] = {
	{ A1, B1 },  { B1, A1 },               /* other networks */
	{ A1, I1 },  { I1, A1 },               /* also where one of them is internal */
	{ I1, LAN }, { LAN, I1 }, { FAR, I1 }, /* internal: no way out, no way in */
	{ LAN, A1 }, { LAN, B1 }, { FAR, A1 }, /* nor a way in to a container that may go out */
};

/* It is the firewall that keeps them apart: without it all would reach all. */
static void check_without(void)
{
	assert_ok(nft_unload(nft, &err));
	for (size_t i = 0; i < sizeof(kept_apart) / sizeof(kept_apart[0]); i++)
		expect_itself(kept_apart[i][0], kept_apart[i][1]);
}

/* Only with bridge-nf-call-iptables does the element of `same` matter. */
static void check_bridge_nf(bool on)
{
	const struct nft_elem e = same("br-a", "br-a", "accept");

	assert_ok(nft_change(nft, NULL, 0, &e, 1, &err));
	if (on)
		expect_dropped(A1, A2);
	else
		expect_itself(A1, A2);
	assert_ok(nft_change(nft, &e, 1, NULL, 0, &err));
}

static void check_traffic(const char *bridge_nf)
{
	check_without();
	set_bridge_nf(bridge_nf);
	load_world();
	expect_itself(A1, A2); /* the same network */
	expect_itself(I1, I2);
	expect_host(A1);
	expect_host(B1);
	expect_host(I1);
	for (size_t i = 0; i < sizeof(kept_apart) / sizeof(kept_apart[0]); i++)
		expect_dropped(kept_apart[i][0], kept_apart[i][1]);
	check_bridge_nf(streq(bridge_nf, "1"));
	check_masquerade();
	check_snat();
	check_unprotected();
	check_routed();
	check_noicc();
	check_foreign();
	check_user_chain();
	check_reload();
	check_internal();
	check_guard();
}

/*
 * In a namespace's first world, the ruleset is there before the kernel's own hook for
 * bridge-nf-call-iptables, which comes with the first bridge; later ones load it afterwards.
 */
static void test_noicc_first(void **state)
{
	const struct nft_elem ports[] = { in_set("noicc", "va1"), in_set("noicc", "va2") };

	if (access("/proc/sys/net/bridge", F_OK) < 0)
		skip();
	set_bridge_nf("1");
	expect_itself(A1, A2);
	assert_ok(nft_change(nft, ports, 2, NULL, 0, &err));
	expect_neither(A1, A2);
}

static void test_traffic(void **state)
{
	check_traffic("0");
}

static void test_traffic_bridge_nf(void **state)
{
	if (access("/proc/sys/net/bridge", F_OK) < 0)
		skip();
	check_traffic("1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_noicc_first, setup_world, teardown_world),
		cmocka_unit_test_setup_teardown(test_traffic, setup_world, teardown_world),
		cmocka_unit_test_setup_teardown(test_traffic_bridge_nf, setup_world,
						teardown_world),
	};
	int r = enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
