/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall, with real packets: a guarded port lets out what is its endpoint's own, and nothing
 * in the name of another: neither IPv4 nor ARP nor IPv6 nor neighbour discovery. Frames of our own
 * making leave a1, and a packet socket in a2 sees what arrives. Needs root.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>

#include "nft_world.h"

#define OWN_MAC   "02:42:ac:11:00:02"
#define OTHER_MAC "02:42:ac:11:00:99"
#define OWN_LL    "fe80::42:acff:fe11:2"

static const char *const own[][2] = {
	{ "guarded", "va1" },
	{ "src4", "va1 . " OWN_MAC " . 172.17.0.2" },
	{ "src6", "va1 . " OWN_MAC " . fd00:1::2" },
	{ "src6", "va1 . " OWN_MAC " . " OWN_LL },
	{ "nd6", "va1 . " OWN_MAC " . fd00:1::2" },
	{ "nd6", "va1 . " OWN_MAC " . " OWN_LL },
};
#define N_OWN (sizeof(own) / sizeof(own[0]))

/* ---- frames */

struct frame {
	uint8_t b[128];
	size_t len;
};

static void put(struct frame *f, const void *p, size_t n)
{
	assert_true(f->len + n <= sizeof(f->b));
	memcpy(f->b + f->len, p, n);
	f->len += n;
}

static void put16(struct frame *f, uint16_t v)
{
	v = htons(v);
	put(f, &v, 2);
}

static void put_bytes(struct frame *f, uint8_t v, size_t n)
{
	while (n--)
		put(f, &v, 1);
}

static void put_ip(struct frame *f, const char *text)
{
	struct cnm_ip ip;

	assert_int_equal(ip_parse(&ip, text), 0);
	put(f, ip.b, ip_bits(&ip) / 8);
}

static void put_mac(struct frame *f, const char *text)
{
	struct cnm_mac mac;

	assert_int_equal(mac_parse(&mac, text), 0);
	put(f, mac.b, sizeof(mac.b));
}

/* To everybody, from a MAC. */
static struct frame ether(const char *from, uint16_t type)
{
	struct frame f = { 0 };

	put_bytes(&f, 0xff, ETH_ALEN);
	put_mac(&f, from);
	put16(&f, type);
	return f;
}

static struct frame arp(const char *from, uint16_t op, const char *mac, const char *ip)
{
	struct frame f = ether(from, ETH_P_ARP);

	put16(&f, ARPHRD_ETHER);
	put16(&f, ETH_P_IP);
	put_bytes(&f, ETH_ALEN, 1);
	put_bytes(&f, 4, 1);
	put16(&f, op);
	put_mac(&f, mac);
	put_ip(&f, ip);
	put_bytes(&f, 0, ETH_ALEN);
	put_ip(&f, "172.17.0.3");
	return f;
}

static uint16_t checksum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static struct frame ip4(const char *from, const char *saddr)
{
	struct frame f = ether(from, ETH_P_IP);
	uint16_t sum;

	put(&f, "\x45\0\0\x1c\0\1\0\0\x40\x11\0\0", 12);
	put_ip(&f, saddr);
	put_ip(&f, "172.17.0.3");
	sum = htons(checksum(f.b + ETH_HLEN, 20, 0));
	memcpy(f.b + ETH_HLEN + 10, &sum, 2);
	put(&f, "\0\7\0\7\0\x08\0\0", 8); /* UDP without a checksum */
	return f;
}

/* An ICMPv6 message of a type and the 20 bytes of a target behind it. ext: behind options. */
static struct frame nd(const char *from, const char *saddr, uint8_t type, const char *target,
		       bool ext)
{
	struct frame f = ether(from, ETH_P_IPV6);
	size_t icmp;
	uint16_t sum;

	put(&f, "\x60\0\0\0", 4);
	put16(&f, (uint16_t)(ext ? 40 : 32));
	put_bytes(&f, ext ? 0 : IPPROTO_ICMPV6, 1);
	put_bytes(&f, 255, 1);
	put_ip(&f, saddr);
	put_ip(&f, "ff02::1");
	if (ext)
		put(&f, "\x3a\0\1\4\0\0\0\0", 8);
	icmp = f.len;
	put_bytes(&f, type, 1);
	put_bytes(&f, 0, 7);
	put_ip(&f, target);
	put(&f, "\2\1", 2); /* the target's MAC, for whom believes it */
	put_mac(&f, from);
	sum = htons(checksum(f.b + icmp, 32,
			     (uint16_t)~checksum(f.b + ETH_HLEN + 8, 32, 32 + IPPROTO_ICMPV6)));
	memcpy(f.b + icmp + 2, &sum, 2);
	return f;
}

static struct frame udp6(const char *from, const char *saddr)
{
	struct frame f = ether(from, ETH_P_IPV6);

	put(&f, "\x60\0\0\0\0\x08\x11\x40", 8);
	put_ip(&f, saddr);
	put_ip(&f, "ff02::1");
	put(&f, "\0\7\0\7\0\x08\1\1", 8);
	return f;
}

/* The frame within a VLAN tag. */
static struct frame tagged(struct frame f)
{
	struct frame t = { 0 };

	put(&t, f.b, 2 * ETH_ALEN);
	put(&t, "\x81\0\0\5", 4);
	put(&t, f.b + 2 * ETH_ALEN, f.len - 2 * ETH_ALEN);
	return t;
}

/* ---- ways from a1 to a2 */

static int sender = -1, receiver = -1;

static int packet_socket(int node)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = sock_in(&nodes[node], AF_PACKET, SOCK_RAW, 0), on = 1;
	struct ifreq ifr = { .ifr_name = "eth0" };

	assert_int_equal(ioctl(fd, SIOCGIFINDEX, &ifr), 0);
	a.sll_ifindex = ifr.ifr_ifindex;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	return fd;
}

/* A packet socket has a frame without the tag of its VLAN. */
static struct frame untagged(const struct frame *f)
{
	struct frame u = { 0 };

	if (memcmp(f->b + 2 * ETH_ALEN, "\x81\0", 2) != 0)
		return *f;
	put(&u, f->b, 2 * ETH_ALEN);
	put(&u, f->b + 2 * ETH_ALEN + 4, f->len - 2 * ETH_ALEN - 4);
	return u;
}

/* Does it arrive? What else is under way is read and forgotten. */
static bool arrives(const struct frame *f, int wait)
{
	uint64_t end = clock_mono_ns() + (uint64_t)wait * 1000000;
	struct frame got, want = untagged(f);

	assert_int_equal(send(sender, f->b, f->len, 0), (ssize_t)f->len);
	while (clock_mono_ns() < end &&
	       readable(receiver, (int)((end - clock_mono_ns()) / 1000000))) {
		got.len = (size_t)recv(receiver, got.b, sizeof(got.b), 0);
		if (got.len >= want.len && memcmp(got.b, want.b, want.len) == 0)
			return true;
	}
	return false;
}

static void assert_passes(const char *what, struct frame f)
{
	if (!arrives(&f, WAIT_MS))
		fail_msg("%s does not arrive", what);
}

static void assert_stopped(const char *what, struct frame f)
{
	if (arrives(&f, DROP_MS))
		fail_msg("%s arrives", what);
}

/* ---- the tests */

static void guard(bool on)
{
	struct nft_elem e[N_OWN];

	for (size_t i = 0; i < N_OWN; i++)
		e[i] = elem(own[i][0], own[i][1]);
	assert_ok(nft_change(nft, e, on ? N_OWN : 0, e, on ? 0 : N_OWN, &err));
}

static void check_own(void)
{
	assert_passes("its own IPv4", ip4(OWN_MAC, "172.17.0.2"));
	assert_passes("its own ARP request", arp(OWN_MAC, ARPOP_REQUEST, OWN_MAC, "172.17.0.2"));
	assert_passes("its own ARP reply", arp(OWN_MAC, ARPOP_REPLY, OWN_MAC, "172.17.0.2"));
	assert_passes("its own IPv6", udp6(OWN_MAC, "fd00:1::2"));
	assert_passes("its own link-local IPv6", udp6(OWN_MAC, OWN_LL));
	assert_passes("its own advertisement", nd(OWN_MAC, "fd00:1::2", 136, "fd00:1::2", false));
	assert_passes("its own advertisement of its link-local address",
		      nd(OWN_MAC, OWN_LL, 136, OWN_LL, false));
	assert_passes("a question for its neighbour", nd(OWN_MAC, OWN_LL, 135, "fd00:1::3", false));
	assert_passes("a question whether its address is free",
		      nd(OWN_MAC, "::", 135, OWN_LL, false));
	assert_passes("a router solicitation", nd(OWN_MAC, OWN_LL, 133, "::", false));
	expect_itself(A1, A2);
	expect_itself(A2, A1);
	expect_host(A1);
	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	expect_ping(A1, nodes[A2].ip4, true);
	expect_ping(A2, nodes[A1].ip6, true);
}

struct lie {
	const char *what;
	struct frame f;
};

static void check_lies(void (*check)(const char *what, struct frame f))
{
	const struct lie lies[] = {
		{ "IPv4 of another", ip4(OWN_MAC, "172.17.0.99") },
		{ "IPv4 of the gateway", ip4(OWN_MAC, "172.17.0.1") },
		{ "IPv4 from another MAC", ip4(OTHER_MAC, "172.17.0.2") },
		{ "IPv4 in a VLAN", tagged(ip4(OWN_MAC, "172.17.0.99")) },
		{ "ARP from another MAC", arp(OTHER_MAC, ARPOP_REQUEST, OTHER_MAC, "172.17.0.2") },
		{ "ARP of another MAC", arp(OWN_MAC, ARPOP_REPLY, OTHER_MAC, "172.17.0.2") },
		{ "ARP request of the gateway",
		  arp(OWN_MAC, ARPOP_REQUEST, OWN_MAC, "172.17.0.1") },
		{ "ARP reply of the gateway", arp(OWN_MAC, ARPOP_REPLY, OWN_MAC, "172.17.0.1") },
		{ "ARP in a VLAN", tagged(arp(OWN_MAC, ARPOP_REPLY, OWN_MAC, "172.17.0.1")) },
		{ "IPv6 of another", udp6(OWN_MAC, "fd00:1::99") },
		{ "IPv6 of another, link-local", udp6(OWN_MAC, "fe80::1") },
		{ "IPv6 from another MAC", udp6(OTHER_MAC, "fd00:1::2") },
		{ "advertisement of the gateway",
		  nd(OWN_MAC, "fd00:1::2", 136, "fd00:1::1", false) },
		{ "advertisement as the gateway",
		  nd(OWN_MAC, "fd00:1::1", 136, "fd00:1::1", false) },
		{ "advertisement behind options",
		  nd(OWN_MAC, "fd00:1::2", 136, "fd00:1::1", true) },
		{ "advertisement from ::", nd(OWN_MAC, "::", 136, "fd00:1::2", false) },
		{ "router advertisement", nd(OWN_MAC, OWN_LL, 134, "::", false) },
		{ "router advertisement behind options", nd(OWN_MAC, OWN_LL, 134, "::", true) },
		{ "redirect", nd(OWN_MAC, OWN_LL, 137, "fd00:1::1", false) },
		{ "question as another", nd(OWN_MAC, "fd00:1::99", 135, "fd00:1::3", false) },
		{ "claim of another's address", nd(OWN_MAC, "::", 135, "fd00:1::99", false) },
		{ "another protocol", ether(OWN_MAC, 0x88b5) },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		check(lies[i].what, lies[i].f);
}

static void test_guard(const char *bridge_nf)
{
	if (access("/proc/sys/net/bridge", F_OK) == 0)
		set_bridge_nf(bridge_nf);
	else if (streq(bridge_nf, "1"))
		skip();
	run("ip -n a1 link set eth0 down && ip -n a1 link set eth0 address " OWN_MAC
	    " && ip -n a1 link set eth0 up");
	run("ip -n a1 addr add fd00:1::2/64 dev eth0 nodad 2>/dev/null; "
	    "ip -n a1 route replace default via 172.17.0.1 && "
	    "ip -n a1 route replace default via fd00:1::1");
	load_world();
	sender = packet_socket(A1);
	receiver = packet_socket(A2);
	check_lies(assert_passes);
	guard(true);
	check_own();
	check_lies(assert_stopped);
	check_own();
	guard(false);
	check_lies(assert_passes);
	close_fd(&sender);
	close_fd(&receiver);
}

static void test_guard_0(void **state)
{
	test_guard("0");
}

static void test_guard_1(void **state)
{
	test_guard("1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_guard_0, setup_world, teardown_world),
		cmocka_unit_test_setup_teardown(test_guard_1, setup_world, teardown_world),
	};
	int r = enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
