/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small world for the firewall's tests with real packets. The whole program runs in a network
 * and a mount namespace of its own, which is the host:
 *
 *	br-a: a1 a2    br-b: b1    br-i (internal): i1 i2    vlan: lan    vfar: far
 *
 * All have IPv4 and IPv6 addresses, and everybody has routes to everybody, so that only the
 * firewall keeps them apart. Sockets are made inside the namespaces and used from here.
 */
#ifndef TESTS_UNIT_NFT_WORLD_H
#define TESTS_UNIT_NFT_WORLD_H

#include <netinet/tcp.h>

#include "addr_fixture.h"
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

static inline void make_bridge(const char *name, const char *ip4, const char *ip6)
{
	run("ip link add %s type bridge && ip link set %s up", name, name);
	run("ip addr add %s/24 dev %s && ip addr add %s/64 dev %s nodad", ip4, name, ip6, name);
}

static inline void make_node(struct node *n)
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

static inline int setup_world(void **state)
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

static inline int teardown_world(void **state)
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

static inline int make_socket(void *arg)
{
	struct sock *s = arg;

	s->fd = socket(s->family, s->type | SOCK_CLOEXEC | SOCK_NONBLOCK, s->protocol);
	return s->fd < 0 ? -errno : 0;
}

static inline int sock_in(const struct node *n, int family, int type, int protocol)
{
	struct sock s = { family, type, protocol, -1 };

	assert_int_equal(netns_call(n->ns, make_socket, &s), 0);
	return s.fd;
}

static inline void addr_text(const union addr *a, char buf[static IP_STR])
{
	inet_ntop(a->any.sa_family,
		  a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr : &a->v6.sin6_addr,
		  buf, IP_STR);
}

static inline bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static inline int listen_at(const struct node *n, const char *ip, uint16_t port, int type)
{
	union addr a = make_addr(ip, port);
	int fd = sock_in(n, a.any.sa_family, type, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, &a.any, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* Somebody calls an address, and a server at one, the same or another, is to hear it. */
struct call {
	const struct node *from, *to;
	const char *ip;
	uint16_t port;
	const char *at; /* of the server */
	uint16_t at_port;
	int type;
	int mss; /* returned, of a TCP connection: the server's */
};

/* From whom does the server see a connection or a datagram come? "" for none. */
static inline void ask(struct call *q, int wait, char seen[static IP_STR])
{
	_close_ int server = listen_at(q->to, q->at, q->at_port, q->type), client = -1, c = -1;
	union addr a = make_addr(q->ip, q->port), peer;
	socklen_t mss_size = sizeof(q->mss);
	int type = q->type;
	socklen_t size = sizeof(peer);
	char byte = 'x';

	seen[0] = '\0';
	client = sock_in(q->from, a.any.sa_family, type, 0);
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
		assert_int_equal(getsockopt(c, IPPROTO_TCP, TCP_MAXSEG, &q->mss, &mss_size), 0);
		assert_int_equal(send(c, &byte, 1, 0), 1);
	}
	assert_true(readable(client, WAIT_MS)); /* and the answer comes back */
	assert_int_equal(recv(client, &byte, 1, 0), 1);
	addr_text(&peer, seen);
}

static inline void expect_call(struct call *q, const char *want)
{
	char seen[IP_STR];

	ask(q, *want ? WAIT_MS : DROP_MS, seen);
	if (!streq(seen, want))
		fail_msg("%s to %s port %u (%s), for %s: seen as \"%s\", not \"%s\"", q->from->name,
			 q->ip, q->port, q->type == SOCK_STREAM ? "tcp" : "udp", q->to->name, seen,
			 want);
}

static inline void expect(int from, int to, const char *ip, int type, const char *want)
{
	struct call q = { &nodes[from], &nodes[to], ip, PORT, ip, PORT, type, 0 };

	expect_call(&q, want);
}

/* Over both families and protocols. */
static inline void expect_dropped(int from, int to)
{
	expect(from, to, nodes[to].ip4, SOCK_STREAM, "");
	expect(from, to, nodes[to].ip6, SOCK_STREAM, "");
	expect(from, to, nodes[to].ip4, SOCK_DGRAM, "");
}

static inline void expect_as(int from, int to, const char *as4, const char *as6)
{
	expect(from, to, nodes[to].ip4, SOCK_STREAM, as4);
	expect(from, to, nodes[to].ip6, SOCK_STREAM, as6);
	expect(from, to, nodes[to].ip4, SOCK_DGRAM, as4);
	expect(from, to, nodes[to].ip6, SOCK_DGRAM, as6);
}

static inline void expect_itself(int from, int to)
{
	expect_as(from, to, nodes[from].ip4, nodes[from].ip6);
}

static inline void expect_ping(int from, const char *ip, bool want)
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
static inline void expect_host(int node)
{
	const struct node *n = &nodes[node];

	expect_as(HOST, node, n->gw4, n->gw6);
	expect(node, HOST, n->gw4, SOCK_STREAM, n->ip4);
	expect(node, HOST, n->gw6, SOCK_STREAM, n->ip6);
}

static inline void load_world(void)
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

static inline void set_bridge_nf(const char *value)
{
	assert_ok(sysctl_write(-1, "net/bridge/bridge-nf-call-iptables", value, &err));
	assert_ok(sysctl_write(-1, "net/bridge/bridge-nf-call-ip6tables", value, &err));
}

#endif
