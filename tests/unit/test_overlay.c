/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the overlay driver plans, carried out on three hosts: traffic between them and what of it is
 * on the wire, endpoints that come, go and move, and that nothing is left. Needs root; without it
 * the test is skipped (77).
 */
#include "overlay_fixture.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static int setup(void **state)
{
	return fixture_begin(NULL, NULL, "192.0.2.");
}

static int setup_ipv6_underlay(void **state)
{
	return fixture_begin(NULL, NULL, "2001:db8::");
}

static int setup_no_broadcast(void **state)
{
	return fixture_begin("cnm.broadcast", "off", "192.0.2.");
}

static int setup_port(void **state)
{
	return fixture_begin("cnm.vxlan.port", "8472", "192.0.2.");
}

static int setup_no_icc(void **state)
{
	return fixture_begin("com.docker.network.bridge.enable_icc", "false", "192.0.2.");
}

static int setup_antispoof(void **state)
{
	return fixture_begin("cnm.antispoof", "on", "192.0.2.");
}

/* ---- traffic */

static void no_ping(unsigned from, const char *address)
{
	char command[128];

	snprintf(command, sizeof(command), "! ping -n -q -c1 -W1 %s >/dev/null", address);
	sh_con(from, command);
}

static int socket_in(unsigned c, int family, int type, int protocol)
{
	_close_ int ns = pinned(&hosts[cons[c].host], cons[c].sb->name);
	int fd;

	enter(ns);
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	enter(home);
	assert_return_code(fd, errno);
	return fd;
}

static struct sockaddr_in6 at(const struct cnm_ip *ip, uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memcpy(&a.sin6_addr, ip->b, 16);
	return a;
}

static void send_all(int fd, size_t size)
{
	static const char data[65536];

	while (size) {
		ssize_t n = send(fd, data, size < sizeof(data) ? size : sizeof(data), MSG_NOSIGNAL);

		if (n < 0)
			_exit(1);
		size -= (size_t)n;
	}
	_exit(0);
}

/* This many bytes by TCP. */
static void transfer(unsigned from, unsigned to, size_t size)
{
	struct sockaddr_in6 a = at(&cons[to].ep->ip6, 7000);
	_close_ int server = socket_in(to, AF_INET6, SOCK_STREAM, 0);
	_close_ int client = socket_in(from, AF_INET6, SOCK_STREAM, 0);
	char buf[65536];
	size_t got = 0;
	int fd, status;
	ssize_t n;
	pid_t pid;

	assert_return_code(bind(server, (struct sockaddr *)&a, sizeof(a)), errno);
	assert_return_code(listen(server, 1), errno);
	assert_return_code(connect(client, (struct sockaddr *)&a, sizeof(a)), errno);
	fd = accept(server, NULL, NULL);
	assert_return_code(fd, errno);
	pid = fork();
	if (pid == 0)
		send_all(client, size);
	while (got < size && (n = recv(fd, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	assert_int_equal(got, size);
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- what is on the wire */

/* EtherTypes for experiments, which nobody listens to. */
#define MARK  0x88b5
#define PROBE 0x88b6

static const struct cnm_mac everybody = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
static const struct cnm_mac a_group = { { 1, 0, 0x5e, 0, 0, 0xfb } };
static const struct cnm_mac nobody = { { 2, 0, 0, 0, 0, 0x77 } };

static int capture_in(int ns, const char *link)
{
	struct sockaddr_ll any = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct nl *nl = nl_in(ns);
	int fd;

	any.sll_ifindex = link_named(nl, link).ifindex;
	nl_close(nl);
	enter(ns);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	enter(home);
	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&any, sizeof(any)), errno);
	return fd;
}

/* Everything that host 0 sends or receives on its uplink from now on. */
static int sniff(void)
{
	return capture_in(hosts[0].ns, "u0");
}

/* Everything that an endpoint sends or receives. */
static int sniff_con(unsigned c)
{
	_close_ int ns = pinned(&hosts[cons[c].host], cons[c].sb->name);

	return capture_in(ns, "eth0");
}

/* A frame without content from an endpoint, whoever it says it is from. */
static void send_frame(unsigned c, const struct cnm_mac *from, const struct cnm_mac *to,
		       unsigned type)
{
	_close_ int fd = sniff_con(c);
	uint8_t frame[60] = { 0 };

	memcpy(frame, to->b, 6);
	memcpy(frame + 6, from->b, 6);
	frame[12] = type >> 8;
	frame[13] = type & 0xff;
	assert_int_equal(send(fd, frame, sizeof(frame), 0), sizeof(frame));
}

static void probe(const struct cnm_mac *to)
{
	send_frame(0, &cons[0].ep->mac, to, PROBE);
}

static size_t receive(int fd, uint8_t *buf, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	assert_int_equal(poll(&p, 1, 5000), 1);
	n = recv(fd, buf, size, 0);
	assert_return_code(n, errno);
	return (size_t)n;
}

static unsigned type_of(const uint8_t *frame)
{
	return (unsigned)frame[12] << 8 | frame[13];
}

/* Does it ask for the MAC of an address? */
static bool is_query(const uint8_t *f, size_t n)
{
	return type_of(f) == ETHERTYPE_ARP ||
	       (type_of(f) == ETHERTYPE_IPV6 && n > 54 && f[20] == IPPROTO_ICMPV6 && f[54] == 135);
}

static unsigned host_at(const uint8_t *address, size_t size)
{
	for (unsigned h = 0; h < N_HOSTS; h++)
		if (memcmp(hosts[h].env.vtep.b, address, size) == 0)
			return h;
	fail_msg("an address that is no host's");
	return 0;
}

/* The frame inside, NULL if it is no VXLAN; the rest of it is then as it should be. */
static const uint8_t *inside(const uint8_t *f, size_t *n, unsigned *ret_from, unsigned *ret_to)
{
	bool v6 = hosts[0].env.vtep.family == AF_INET6;
	size_t size = v6 ? 16 : 4, head = 14 + (v6 ? 40 : 20);
	const uint8_t *udp = f + head;

	if (*n < head + 16 + 14 || type_of(f) != (v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP) ||
	    f[v6 ? 20 : 23] != IPPROTO_UDP)
		return NULL;
	assert_int_equal((unsigned)udp[2] << 8 | udp[3], vxlan_port);
	assert_memory_equal(udp + 8, "\x08\0\0\0\0\x10\x01\0", 8); /* id 4097 */
	*ret_from = host_at(udp - 2 * size, size);
	*ret_to = host_at(udp - size, size);
	*n -= head + 16;
	return udp + 16;
}

/* What there was: queries, and probes of endpoint 0's by the host they went to. */
struct counted {
	unsigned queries, probes[N_HOSTS];
};

/* Up to a frame to endpoint 1, which is on another host. */
static struct counted count(int wire)
{
	struct counted c = { 0 };
	const uint8_t *frame;
	unsigned from, to;
	uint8_t f[2048];
	size_t n;

	send_frame(0, &cons[0].ep->mac, &cons[1].ep->mac, MARK);
	for (;;) {
		n = receive(wire, f, sizeof(f));
		frame = inside(f, &n, &from, &to);
		if (!frame)
			continue;
		if (type_of(frame) == MARK)
			return c;
		c.queries += is_query(frame, n);
		if (type_of(frame) != PROBE)
			continue;
		assert_int_equal(from, 0);
		c.probes[to]++;
	}
}

/* A probe to this MAC, and to how many frames on the way to each other host it leads. */
static void expect_probes(int wire, const struct cnm_mac *to, unsigned to_1, unsigned to_2)
{
	struct counted c;

	probe(to);
	c = count(wire);
	assert_int_equal(c.queries, 0);
	assert_int_equal(c.probes[1], to_1);
	assert_int_equal(c.probes[2], to_2);
}

/* ---- tests */

static void test_between_hosts(void **state)
{
	put(0, 0);
	put(1, 1);
	go();
	expect_differences(0, "");
	expect_differences(1, "");
	ping(0, "10.99.0.2");
	ping(1, "10.99.0.1");
	ping(0, "fd99::2");
	ping(1, "fd99::1");
	ping(0, "fe80::ff:fe00:2%eth0");
	transfer(0, 1, 1 << 20);
	transfer(1, 0, 1 << 20);
	/* On one host as well, and beside one another. */
	put(2, 0);
	go();
	expect_differences(0, "");
	expect_differences(1, "");
	ping(2, "10.99.0.1");
	ping(2, "10.99.0.2");
	ping(2, "fd99::1");
	ping(2, "fd99::2");
}

/* Frames that just fit go through, and no fragment is made. */
static void test_mtu(void **state)
{
	bool v6 = hosts[0].env.vtep.family == AF_INET6;
	char command[128];

	put(0, 0);
	put(1, 1);
	go();
	snprintf(command, sizeof(command), "ip link show eth0 | grep -q 'mtu %u '",
		 v6 ? 1430 : 1450);
	sh_con(0, command);
	snprintf(command, sizeof(command), "ping -n -q -c1 -W5 -M do -s %u 10.99.0.2 >/dev/null",
		 (v6 ? 1430 : 1450) - 28);
	sh_con(0, command);
	expect_differences(0, "");
}

/* With its MAC and addresses, from host to host. Who sends to it sends to the right one. */
static void test_move(void **state)
{
	static const int hosts_of_it[] = { 2, 1, 2, 0, 2, 1, 0, 1 };
	_close_ int wire = -1;

	put(0, 0);
	put(1, 1);
	put(2, 1);
	go();
	wire = sniff();
	for (size_t i = 0; i < ARRAY_LEN(hosts_of_it); i++) {
		int at = hosts_of_it[i];

		ping(0, "10.99.0.3");
		ping(1, "fd99::3");
		put(2, at);
		go();
		for (unsigned h = 0; h < N_HOSTS; h++)
			expect_differences(h, "");
		expect_probes(wire, &cons[2].ep->mac, at == 1, at == 2);
		ping(0, "10.99.0.3");
		ping(0, "fd99::3");
		ping(1, "10.99.0.3");
	}
}

/*
 * The address goes to an endpoint of another MAC. Those who knew the old one learn of it at once,
 * where the new one is as well as elsewhere.
 */
static void test_address_reused(void **state)
{
	put(0, 0);
	put(2, 0);
	put(1, 1);
	go();
	for (unsigned i = 0; i < 6; i++) {
		ping(0, "10.99.0.2");
		ping(2, "10.99.0.2");
		ping(0, "fd99::2");
		put(1, -1);
		go();
		cons[1].ep->mac.b[4]++;
		put(1, i % 2);
		go();
		sh_con(0, "ping -n -q -c1 -W1 10.99.0.2 >/dev/null");
		sh_con(2, "ping -n -q -c1 -W1 10.99.0.2 >/dev/null");
		sh_con(0, "ping -n -q -c1 -W1 fd99::2 >/dev/null");
	}
}

/* On each host in the other order: added here before it is gone there. */
static void test_move_in_place(void **state)
{
	_plan_ struct plan want = { 0 };
	_diff_ struct plan_diff d = { 0 };
	struct cnm_ip third = ip_of("192.0.2.3");

	put(0, 0);
	put(1, 1);
	go();
	plan_of_host(0, &want);
	for (size_t i = 0; i < want.n; i++) {
		if (want.items[i].kind == PLAN_FDB && mac_is_set(&want.items[i].fdb.mac))
			want.items[i].fdb.dst = third;
		if (want.items[i].kind == PLAN_NEIGH)
			want.items[i].neigh.mac.b[5] = 9;
	}
	assert_int_equal(plan_diff(&hosts[0].have, &want, &d), 0);
	assert_int_equal(d.n, 4);
	for (size_t i = 0; i < d.n; i++)
		assert_int_equal(d.ops[i].action, PLAN_CHANGE);
	assert_ok(applier_run(hosts[0].applier, &d, &err));
	plan_free(&hosts[0].have);
	hosts[0].have = want;
	memset(&want, 0, sizeof(want));
	expect_differences(0, "");
	plan_of_host(0, &want);
	assert_ok(go_host(0, &want));
	expect_differences(0, "");
	ping(0, "10.99.0.2");
	/* A local port takes a MAC over, and the entry for the other host goes after that. */
	sh_place(0, "bridge fdb replace 02:00:00:00:00:02 dev $(ip -br link | grep -o ^veth.......)"
		    " master static");
	put(1, -1);
	go();
	expect_differences(0, "");
}

/*
 * Frames go to the one host where their destination is, and nowhere if there is none. What is for
 * many goes to each host once, however many endpoints it has. No address is asked for.
 */
static void test_capture(void **state)
{
	_close_ int wire = -1;

	put(0, 0);
	put(1, 1);
	put(2, 2);
	put(3, 2);
	go();
	wire = sniff();
	ping(0, "10.99.0.2");
	ping(0, "fd99::3");
	ping(1, "10.99.0.1");
	ping(2, "fd99::1");
	no_ping(0, "10.99.0.99");
	no_ping(0, "fd99::99");
	expect_probes(wire, &cons[1].ep->mac, 1, 0);
	expect_probes(wire, &cons[3].ep->mac, 0, 1);
	expect_probes(wire, &nobody, 0, 0);
	expect_probes(wire, &everybody, 1, 1);
	expect_probes(wire, &a_group, 1, 1);

	put(3, -1);
	go();
	expect_probes(wire, &cons[3].ep->mac, 0, 0);
	expect_probes(wire, &everybody, 1, 1);
	put(2, -1);
	go();
	expect_probes(wire, &cons[2].ep->mac, 0, 0);
	expect_probes(wire, &everybody, 1, 0);
	sh_place(0, "! bridge fdb show dev vxlan0 | grep -e 192.0.2.3 -e 2001:db8::3");
	put(2, 2);
	go();
	expect_probes(wire, &everybody, 1, 1);
}

/* Each endpoint gets one, whichever host it is on, and the sender none. */
static void test_broadcast_arrives(void **state)
{
	const struct cnm_mac *groups[] = { &everybody, &a_group };
	int fds[N_CONS];
	uint8_t f[2048];

	put(0, 0);
	put(1, 1);
	put(2, 2);
	put(3, 0);
	go();
	for (unsigned c = 1; c < N_CONS; c++)
		fds[c] = sniff_con(c);
	for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
		probe(groups[i]);
	for (unsigned c = 1; c < N_CONS; c++) {
		unsigned n = 0;

		send_frame(0, &cons[0].ep->mac, &cons[c].ep->mac, MARK);
		while (receive(fds[c], f, sizeof(f)) >= 14 && type_of(f) != MARK)
			n += type_of(f) == PROBE;
		assert_int_equal(n, ARRAY_LEN(groups));
		close(fds[c]);
	}
}

/* The packets are the host's, the links are not: what is done to those of the host is nothing. */
static void test_apart(void **state)
{
	char command[128];

	put(0, 0);
	put(1, 1);
	put(2, 0);
	go();
	snprintf(command, sizeof(command), "grep -qi ':%04X ' /proc/net/udp", vxlan_port);
	sh_in(hosts[0].ns, command);
	snprintf(command, sizeof(command), "! grep -qi ':%04X ' /proc/net/udp /proc/net/udp6",
		 vxlan_port);
	sh_place(0, command);
	sh_in(hosts[0].ns,
	      "nft 'add table bridge x; add chain bridge x c { type filter hook forward priority 0;"
	      " policy drop; }; add table inet x; add chain inet x c { type filter hook forward"
	      " priority 0; policy drop; }'");
	ping(0, "10.99.0.2");
	ping(0, "10.99.0.3");
	ping(0, "fd99::2");
	sh_place(0,
		 "! ip route get 192.0.2.2 2>/dev/null && ! ip route get 2001:db8::2 2>/dev/null");
}

/* Neither do frames for others reach an endpoint of the same host. */
static void test_no_flood_locally(void **state)
{
	_close_ int fd = -1;
	uint8_t f[2048];

	put(0, 0);
	put(2, 0);
	put(1, 1);
	go();
	fd = sniff_con(2);
	ping(0, "10.99.0.2");
	probe(&nobody);
	send_frame(0, &cons[0].ep->mac, &cons[2].ep->mac, MARK);
	do {
		receive(fd, f, sizeof(f));
		/* The query for the address, what is for the group, and the mark. */
		assert_true(f[0] & 1 || memcmp(f, cons[2].ep->mac.b, 6) == 0 ||
			    memcmp(f + 6, cons[2].ep->mac.b, 6) == 0);
	} while (type_of(f) != MARK);
}

static void test_no_broadcast(void **state)
{
	_close_ int wire = -1;

	put(0, 0);
	put(1, 1);
	put(2, 2);
	go();
	expect_differences(0, "");
	wire = sniff();
	ping(0, "10.99.0.2"); /* found out all the same */
	ping(0, "fd99::2");
	expect_probes(wire, &everybody, 0, 0);
	expect_probes(wire, &a_group, 0, 0);
	expect_probes(wire, &cons[2].ep->mac, 0, 1);
}

static void test_no_icc(void **state)
{
	put(0, 0);
	put(1, 1);
	put(2, 0);
	go();
	expect_differences(0, "");
	no_ping(0, "10.99.0.2");
	no_ping(0, "10.99.0.3");
	no_ping(0, "fd99::2");
}

/* ---- what a guarded endpoint may send */

#define PROBE_PROTOCOL 253 /* for experiments, both of IPv4 and of IPv6 */
#define MARK_PROTOCOL  254

static void send_bytes(unsigned c, const uint8_t *frame, size_t n)
{
	_close_ int fd = sniff_con(c);

	assert_int_equal(send(fd, frame, n, 0), n);
}

static void start_frame(uint8_t *frame, const struct cnm_mac *from, const struct cnm_mac *to,
			unsigned type)
{
	memcpy(frame, to->b, 6);
	memcpy(frame + 6, from->b, 6);
	frame[12] = type >> 8;
	frame[13] = type & 0xff;
}

/* To endpoint 1, with nothing but its header. */
static void send_packet(unsigned c, const struct cnm_mac *from, const char *source,
			unsigned protocol)
{
	struct cnm_ip src = ip_of(source);
	bool v6 = src.family == AF_INET6;
	const struct cnm_ip *dst = v6 ? &cons[1].ep->ip6 : &cons[1].ep->ip4;
	uint8_t f[14 + 40] = { 0 }, *ip = f + 14;

	start_frame(f, from, &cons[1].ep->mac, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	ip[0] = v6 ? 0x60 : 0x45;
	ip[v6 ? 7 : 8] = 64;
	ip[v6 ? 6 : 9] = (uint8_t)protocol;
	if (!v6)
		ip[3] = 40; /* what is behind the header is 20 bytes of data */
	memcpy(ip + (v6 ? 8 : 12), src.b, v6 ? 16 : 4);
	memcpy(ip + (v6 ? 24 : 16), dst->b, v6 ? 16 : 4);
	send_bytes(c, f, sizeof(f));
}

/* "I have that address", to everybody. */
static void send_arp(unsigned c, const char *address)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	struct cnm_ip ip = ip_of(address);
	uint8_t f[60] = { 0 };

	start_frame(f, &cons[c].ep->mac, &everybody, ETHERTYPE_ARP);
	memcpy(f + 14, head, sizeof(head));
	memcpy(f + 22, cons[c].ep->mac.b, 6);
	memcpy(f + 28, ip.b, 4);
	memcpy(f + 38, ip.b, 4);
	send_bytes(c, f, sizeof(f));
}

/* The next one that says so says it of this address. */
static void expect_arp(int fd, const char *address)
{
	struct cnm_ip ip = ip_of(address);
	uint8_t f[2048];

	do
		receive(fd, f, sizeof(f));
	while (type_of(f) != ETHERTYPE_ARP || memcmp(f + 28, f + 38, 4) != 0);
	assert_memory_equal(f + 28, ip.b, 4);
}

/* How many probes came onto the wire before a packet that may pass. */
static unsigned count_sent(int wire)
{
	const uint8_t *frame;
	unsigned from, to, sent = 0;
	uint8_t f[2048];

	send_packet(0, &cons[0].ep->mac, "10.99.0.1", MARK_PROTOCOL);
	for (;;) {
		size_t n = receive(wire, f, sizeof(f));

		frame = inside(f, &n, &from, &to);
		if (!frame)
			continue;
		if (type_of(frame) == ETHERTYPE_IP && frame[23] == MARK_PROTOCOL)
			return sent;
		sent += type_of(frame) == PROBE ||
			(type_of(frame) == ETHERTYPE_IP && frame[23] == PROBE_PROTOCOL) ||
			(type_of(frame) == ETHERTYPE_IPV6 && frame[20] == PROBE_PROTOCOL);
	}
}

/* Neither from another MAC nor from another address. */
static void test_antispoof(void **state)
{
	static const char *const others[] = { "10.99.0.2", "10.99.0.77", "fd99::2", "fd99::77" };
	_close_ int wire = -1, beside = -1;

	put(0, 0);
	put(1, 1);
	put(2, 0);
	go();
	expect_differences(0, "");
	ping(0, "10.99.0.2");
	ping(0, "fd99::2");
	ping(0, "10.99.0.3");
	wire = sniff();
	beside = sniff_con(2);
	send_frame(0, &nobody, &cons[1].ep->mac, PROBE);
	send_frame(0, &cons[1].ep->mac, &cons[1].ep->mac, PROBE);
	send_frame(0, &nobody, &everybody, PROBE);
	send_packet(0, &nobody, "10.99.0.1", PROBE_PROTOCOL);
	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		send_packet(0, &cons[0].ep->mac, others[i], PROBE_PROTOCOL);
	assert_int_equal(count_sent(wire), 0);
	send_packet(0, &cons[0].ep->mac, "10.99.0.1", PROBE_PROTOCOL);
	send_packet(0, &cons[0].ep->mac, "fd99::1", PROBE_PROTOCOL);
	assert_int_equal(count_sent(wire), 2);
	send_arp(0, "10.99.0.2");
	send_arp(0, "10.99.0.1");
	expect_arp(beside, "10.99.0.1");

	put(0, -1); /* with its place, and back */
	put(2, -1);
	go();
	put(0, 0);
	go();
	expect_differences(0, "");
	ping(0, "10.99.0.2");
	send_packet(0, &cons[0].ep->mac, "10.99.0.77", PROBE_PROTOCOL);
	assert_int_equal(count_sent(wire), 0);
}

static void test_subnets(void **state)
{
	net->ipv6 = false;
	net->pools[1].subnet = prefix_of("10.98.0.0/24");
	cons[0].ep->ip6 = cons[1].ep->ip6 = (struct cnm_ip){ 0 };
	cons[1].ep->ip4 = ip_of("10.98.0.2");
	put(0, 0);
	put(1, 1);
	go();
	expect_differences(0, "");
	expect_differences(1, "");
	ping(0, "10.98.0.2");
	ping(1, "10.99.0.1");
	sh_con(0, "test -z \"$(ip route show default)\"");
}

int main(void)
{
#define TEST(name)           cmocka_unit_test_setup_teardown(name, setup, fixture_end)
#define TEST_WITH(name, how) cmocka_unit_test_setup_teardown(name, how, fixture_end)
	const struct CMUnitTest tests[] = {
		TEST(test_between_hosts),
		TEST_WITH(test_between_hosts, setup_ipv6_underlay),
		TEST(test_mtu),
		TEST_WITH(test_mtu, setup_ipv6_underlay),
		TEST(test_move),
		TEST_WITH(test_move, setup_ipv6_underlay),
		TEST(test_address_reused),
		TEST_WITH(test_address_reused, setup_no_broadcast),
		TEST(test_move_in_place),
		TEST(test_capture),
		TEST_WITH(test_capture, setup_ipv6_underlay),
		TEST_WITH(test_capture, setup_port),
		TEST(test_broadcast_arrives),
		TEST(test_apart),
		TEST(test_no_flood_locally),
		TEST_WITH(test_no_broadcast, setup_no_broadcast),
		TEST_WITH(test_no_icc, setup_no_icc),
		TEST_WITH(test_antispoof, setup_antispoof),
		TEST(test_subnets),
	};
	int r;

	if (!fixture_open())
		return 77;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_close();
	return r;
}
