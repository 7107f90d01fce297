/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall, with real packets: needs root. The whole program runs in a network and a mount
 * namespace of its own, which is the host of a small world:
 *
 *	br-a: a1 a2    br-b: b1    br-i (internal): i1 i2    vlan: lan    vfar: far
 *
 * All have IPv4 and IPv6 addresses, and everybody has routes to everybody, so that only the
 * firewall keeps them apart. Sockets are made inside the namespaces and used from here.
 */
#include "nft_fixture.h"

#define PORT    80
#define WAIT_MS 5000 /* for what must arrive */
#define DROP_MS 100  /* for what must not: long enough for a packet on one machine */

/* ---- packets */

enum { HOST, A1, A2, B1, I1, I2, LAN, FAR, N_NODES };
struct node {
	const char *name, *bridge, *gw4, *gw6, *ip4, *ip6;
	int ns;
};
static struct node nodes[N_NODES] = {
	[HOST] = { "host", NULL, NULL, NULL, NULL, NULL, -1 },
	[A1] = { "a1", "br-a", "172.17.0.1", "fd00:1::1", "172.17.0.2", "fd00:1::2", -1 },
	[A2] = { "a2", "br-a", "172.17.0.1", "fd00:1::1", "172.17.0.3", "fd00:1::3", -1 },
	[B1] = { "b1", "br-b", "172.18.0.1", "fd00:2::1", "172.18.0.2", "fd00:2::2", -1 },
	[I1] = { "i1", "br-i", "172.19.0.1", "fd00:3::1", "172.19.0.2", "fd00:3::2", -1 },
	[I2] = { "i2", "br-i", "172.19.0.1", "fd00:3::1", "172.19.0.3", "fd00:3::3", -1 },
	[LAN] = { "lan", NULL, "192.0.2.1", "2001:db8:1::1", "192.0.2.2", "2001:db8:1::2", -1 },
	[FAR] = { "far", NULL, "198.51.100.1", "2001:db8:2::1", "198.51.100.2", "2001:db8:2::2",
		  -1 },
};

static void make_bridge(const char *name, const char *ip4, const char *ip6)
{
	run("ip link add %s type bridge && ip link set %s up", name, name);
	run("ip addr add %s/24 dev %s && ip addr add %s/64 dev %s nodad", ip4, name, ip6, name);
}

static void make_node(struct node *n)
{
	struct netns_ready r;

	assert_ok(netns_make(&r, &err));
	assert_ok(netns_pin(r.ns, "/run/netns", n->name, &err));
	n->ns = take_fd(&r.ns);
	netns_ready_close(&r);
	run("ip link add v%s type veth peer name eth0 netns %s", n->name, n->name);
	if (n->bridge)
		run("ip link set v%s master %s", n->name, n->bridge);
	else
		run("ip addr add %s/24 dev v%s && ip addr add %s/64 dev v%s nodad", n->gw4, n->name,
		    n->gw6, n->name);
	run("ip link set v%s up && ip -n %s link set eth0 up", n->name, n->name);
	run("ip -n %s addr add %s/24 dev eth0 && ip -n %s addr add %s/64 dev eth0 nodad", n->name,
	    n->ip4, n->name, n->ip6);
	run("ip -n %s route add default via %s && ip -n %s route add default via %s", n->name,
	    n->gw4, n->name, n->gw6);
	assert_ok(sysctl_write(n->ns, "net/ipv4/ping_group_range", "0 0", &err));
}

static int setup_world(void **state)
{
	if (setup(state) < 0)
		return -1;
	assert_ok(sysctl_write(-1, "net/ipv6/conf/default/accept_dad", "0", &err));
	assert_ok(sysctl_write(-1, "net/ipv4/ip_forward", "1", &err));
	assert_ok(sysctl_write(-1, "net/ipv6/conf/all/forwarding", "1", &err));
	run("ip link set lo up");
	make_bridge("br-a", "172.17.0.1", "fd00:1::1");
	make_bridge("br-b", "172.18.0.1", "fd00:2::1");
	make_bridge("br-i", "172.19.0.1", "fd00:3::1");
	for (int i = A1; i < N_NODES; i++)
		make_node(&nodes[i]);
	return 0;
}

static int teardown_world(void **state)
{
	for (int i = A1; i < N_NODES; i++) {
		close_fd(&nodes[i].ns);
		run("ip link del v%s", nodes[i].name);
		assert_ok(netns_unpin("/run/netns", nodes[i].name, &err));
	}
	run("ip link del br-a; ip link del br-b; ip link del br-i");
	return teardown(state);
}

struct sock {
	int family, type, protocol, fd;
};

static int make_socket(void *arg)
{
	struct sock *s = arg;

	s->fd = socket(s->family, s->type | SOCK_CLOEXEC | SOCK_NONBLOCK, s->protocol);
	return s->fd < 0 ? -errno : 0;
}

static int sock_in(const struct node *n, int family, int type, int protocol)
{
	struct sock s = { family, type, protocol, -1 };

	assert_int_equal(netns_call(n->ns, make_socket, &s), 0);
	return s.fd;
}

union addr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union addr make_addr(const char *ip, uint16_t port)
{
	union addr a = { 0 };
	struct cnm_ip parsed;

	assert_int_equal(ip_parse(&parsed, ip), 0);
	a.any.sa_family = parsed.family;
	if (parsed.family == AF_INET) {
		a.v4.sin_port = htons(port);
		memcpy(&a.v4.sin_addr, parsed.b, 4);
	} else {
		a.v6.sin6_port = htons(port);
		memcpy(&a.v6.sin6_addr, parsed.b, 16);
	}
	return a;
}

static void addr_text(const union addr *a, char buf[static IP_STR])
{
	inet_ntop(a->any.sa_family,
		  a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr : &a->v6.sin6_addr,
		  buf, IP_STR);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static int listen_at(const struct node *n, const char *ip, uint16_t port, int type)
{
	union addr a = make_addr(ip, port);
	int fd = sock_in(n, a.any.sa_family, type, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, &a.any, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* From whom does the server see a connection or a datagram come? "" for none. */
static void ask(const struct node *from, const struct node *to, const char *ip, int type, int wait,
		char seen[static IP_STR])
{
	_close_ int server = listen_at(to, ip, PORT, type), client = -1, c = -1;
	union addr a = make_addr(ip, PORT), peer;
	socklen_t size = sizeof(peer);
	char byte = 'x';

	seen[0] = '\0';
	client = sock_in(from, a.any.sa_family, type, 0);
	if (connect(client, &a.any, sizeof(a)) < 0 && errno != EINPROGRESS)
		return;
	if (type == SOCK_DGRAM)
		assert_int_equal(send(client, &byte, 1, 0), 1);
	if (!readable(server, wait))
		return;
	if (type == SOCK_DGRAM) {
		assert_int_equal(recvfrom(server, &byte, 1, 0, &peer.any, &size), 1);
		assert_int_equal(sendto(server, &byte, 1, 0, &peer.any, size), 1);
	} else {
		c = accept4(server, &peer.any, &size, SOCK_CLOEXEC);
		assert_true(c >= 0);
		assert_int_equal(send(c, &byte, 1, 0), 1);
	}
	assert_true(readable(client, WAIT_MS)); /* and the answer comes back */
	assert_int_equal(recv(client, &byte, 1, 0), 1);
	addr_text(&peer, seen);
}

static void expect(int from, int to, const char *ip, int type, const char *want)
{
	char seen[IP_STR];

	ask(&nodes[from], &nodes[to], ip, type, *want ? WAIT_MS : DROP_MS, seen);
	if (!streq(seen, want))
		fail_msg("%s to %s (%s, %s): seen as \"%s\", not \"%s\"", nodes[from].name,
			 nodes[to].name, ip, type == SOCK_STREAM ? "tcp" : "udp", seen, want);
}

/* Over both families and protocols. */
static void expect_dropped(int from, int to)
{
	expect(from, to, nodes[to].ip4, SOCK_STREAM, "");
	expect(from, to, nodes[to].ip6, SOCK_STREAM, "");
	expect(from, to, nodes[to].ip4, SOCK_DGRAM, "");
}

static void expect_as(int from, int to, const char *as4, const char *as6)
{
	expect(from, to, nodes[to].ip4, SOCK_STREAM, as4);
	expect(from, to, nodes[to].ip6, SOCK_STREAM, as6);
	expect(from, to, nodes[to].ip4, SOCK_DGRAM, as4);
	expect(from, to, nodes[to].ip6, SOCK_DGRAM, as6);
}

static void expect_itself(int from, int to)
{
	expect_as(from, to, nodes[from].ip4, nodes[from].ip6);
}

static void expect_ping(int from, const char *ip, bool want)
{
	union addr a = make_addr(ip, 0);
	bool v4 = a.any.sa_family == AF_INET, answered = false;
	_close_ int fd = sock_in(&nodes[from], a.any.sa_family, SOCK_DGRAM,
				 v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	uint8_t packet[8] = { v4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST };

	assert_int_equal(connect(fd, &a.any, sizeof(a)), 0);
	assert_int_equal(send(fd, packet, sizeof(packet), 0), sizeof(packet));
	if (readable(fd, want ? WAIT_MS : DROP_MS))
		answered = recv(fd, packet, sizeof(packet), 0) == sizeof(packet) &&
			   packet[0] == (v4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY);
	if (answered != want)
		fail_msg("ping from %s to %s: %s", nodes[from].name, ip,
			 want ? "no answer" : "answered");
}

/* Between a container and the host, by the bridge's address. */
static void expect_host(int node)
{
	const struct node *n = &nodes[node];

	expect_as(HOST, node, n->gw4, n->gw6);
	expect(node, HOST, n->gw4, SOCK_STREAM, n->ip4);
	expect(node, HOST, n->gw6, SOCK_STREAM, n->ip6);
}

static void load_world(void)
{
	const struct nft_elem elems[] = {
		in_set("brs", "br-a"),          in_set("brs", "br-b"),
		in_set("brs", "br-i"),          in_set("internal", "br-i"),
		in_set("masq4", "br-a"),        in_set("masq6", "br-a"),
		same("br-a", "br-a", "accept"), same("br-b", "br-b", "accept"),
		same("br-i", "br-i", "accept"),
	};

	assert_ok(nft_load(nft, elems, sizeof(elems) / sizeof(elems[0]), &err));
}

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
	const struct nft_elem drop = same("br-a", "br-a", "drop");
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

static void set_bridge_nf(const char *value)
{
	assert_ok(sysctl_write(-1, "net/bridge/bridge-nf-call-iptables", value, &err));
	assert_ok(sysctl_write(-1, "net/bridge/bridge-nf-call-ip6tables", value, &err));
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
