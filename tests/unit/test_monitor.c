/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel/monitor, and what of kernel/rtnl has to be waited for: ports that begin to forward,
 * link-local addresses, announcements. Needs root; without it the test is skipped (77).
 */
#include "rtnl_fixture.h"

#include <arpa/inet.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>

#include "kernel/monitor.h"

#define WAIT_MS 20000

/* ------------------------------------------------------------------------- events, waited for */

/* What was heard, in order; what await_event() has passed is behind `next`. */
static struct {
	struct monitor_event *e;
	size_t n, cap, next;
} heard;

static void hear(const struct monitor_event *e, void *arg)
{
	if (heard.n == heard.cap) {
		heard.cap = heard.cap ? heard.cap * 2 : 64;
		heard.e = realloc(heard.e, heard.cap * sizeof(*heard.e));
		assert_non_null(heard.e);
	}
	heard.e[heard.n++] = *e;
}

static bool like(const struct monitor_event *a, const struct monitor_event *b)
{
	return a->what == b->what && a->gone == b->gone && a->nsid == b->nsid &&
	       a->ifindex == b->ifindex && streq(a->name, b->name) && streq(a->table, b->table);
}

/* Wait for the next such event. Returns who caused it. */
static uint32_t await_event(struct monitor *m, struct monitor_event want)
{
	for (;;) {
		struct pollfd p = { .fd = monitor_fd(m), .events = POLLIN };

		while (heard.next < heard.n) {
			const struct monitor_event *e = &heard.e[heard.next++];

			if (like(e, &want))
				return e->portid;
		}
		if (poll(&p, 1, WAIT_MS) != 1)
			fail_msg("no event: what %d gone %d nsid %d index %d name %s table %s",
				 want.what, want.gone, want.nsid, want.ifindex, want.name,
				 want.table);
		assert_int_equal(monitor_read(m, hear, NULL), 0);
	}
}

static struct monitor *listen_here(void)
{
	struct cnm_error err;
	struct monitor *m;

	heard.n = heard.next = 0;
	assert_int_equal(monitor_open(&m, &err), 0);
	return m;
}

/* The carrier of a port reaches its bridge a moment after the other end is up. */
static void await_forwarding(struct monitor *m, const char *port)
{
	struct rtnl_link l = link_named(hnl, port);
	struct monitor_event e = { .what = MONITOR_LINK, .nsid = -1, .ifindex = l.ifindex };

	strcpy(e.name, port);
	while (link_named(hnl, port).port_state != BR_STATE_FORWARDING)
		await_event(m, e);
}

/* ------------------------------------------------------------------------- ports */

static void test_port_state(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns);
	struct monitor *m = listen_here();
	int br = add_bridge("br-p"), peer = add_veth("veth-p", br, ns, nl, true);
	int port = link_named(hnl, "veth-p").ifindex;

	rtnl_put_port(&b, port, true, false);
	run(hnl, &b);
	assert_true(link_named(hnl, "veth-p").port_hairpin);
	set_up(nl, peer);
	await_forwarding(m, "veth-p");
	rtnl_put_port(&b, port, false, true);
	run(hnl, &b);
	assert_false(link_named(hnl, "veth-p").port_hairpin);
	assert_int_equal(link_named(hnl, "veth-p").port_state, BR_STATE_FORWARDING);
	del_link("br-p");
	monitor_close(m);
	nl_close(nl);
}

static void test_no_link_local_addresses(void **state)
{
	int ns[2] = { make_ns(), make_ns() }, peer[2], port[2], br;
	struct nl *nl[2] = { nl_in(ns[0]), nl_in(ns[1]) };
	struct monitor *m = listen_here();

	br = add_bridge("br-l");
	peer[0] = add_veth("veth-l0", br, ns[0], nl[0], true);
	peer[1] = add_veth("veth-l1", br, ns[1], nl[1], false);
	port[0] = link_named(hnl, "veth-l0").ifindex;
	port[1] = link_named(hnl, "veth-l1").ifindex;
	set_up(nl[0], peer[0]);
	set_up(nl[1], peer[1]);
	/* The one that was not told gets its address; by then the others would have theirs. */
	await_event(m,
		    (struct monitor_event){ .what = MONITOR_ADDR, .nsid = -1, .ifindex = port[1] });
	assert_int_equal(addrs_of(hnl, port[1]).n, 1);
	assert_int_equal(addrs_of(hnl, port[0]).n, 0);
	assert_int_equal(addrs_of(hnl, br).n, 0);
	monitor_close(m);
	for (int i = 0; i < 2; i++) {
		nl_close(nl[i]);
		close(ns[i]);
	}
	del_link("br-l");
}

/* ------------------------------------------------------------------------- announcements */

static const struct cnm_prefix told4 = { { AF_INET, { 10, 6, 0, 2 } }, 24 };
static const struct cnm_prefix told6 = { { AF_INET6, { 0xfd, [15] = 2 } }, 64 };

/* ARP whose sender and target are the address. */
static bool is_gratuitous_arp(const unsigned char *frame, size_t len)
{
	return len >= 42 && !memcmp(frame + 28, told4.ip.b, 4) &&
	       !memcmp(frame + 38, told4.ip.b, 4);
}

/* ICMPv6 type 136 that tells of the address. */
static bool is_advertisement(const unsigned char *frame, size_t len)
{
	return len >= 78 && frame[20] == 58 && frame[54] == 136 &&
	       !memcmp(frame + 62, told6.ip.b, 16);
}

static void await_frame(int fd, bool (*is)(const unsigned char *frame, size_t len))
{
	unsigned char frame[2048];
	ssize_t len;

	do {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		len = recv(fd, frame, sizeof(frame), 0);
		assert_return_code(len, errno);
	} while (!is(frame, (size_t)len));
}

static int capture(int ifindex, uint16_t protocol)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(protocol),
				  .sll_ifindex = ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(protocol));

	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&at, sizeof(at)), errno);
	return fd;
}

/*
 * Setting the MAC a link has makes its namespace announce its addresses: ARP by arp_notify, an
 * unsolicited neighbour advertisement by ndisc_notify.
 */
static void test_announcement(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns);
	struct monitor *m = listen_here();
	int br = add_bridge("br-c"), eth = add_veth("veth-c", br, ns, nl, true);
	struct cnm_mac mac = link_named(nl, "eth0").mac;
	_close_ int arp = -1, na = -1;

	sh_in(ns, "echo 1 > /proc/sys/net/ipv6/conf/eth0/ndisc_notify");
	rtnl_put_set_link(
		&b, &(struct rtnl_set_link){ .ifindex = eth, .no_addrgen = true, .arp_notify = 1 });
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = eth, .up = 1 });
	run(nl, &b);
	await_forwarding(m, "veth-c");
	rtnl_put_addr(&b, true, eth, &told4, true);
	rtnl_put_addr(&b, true, eth, &told6, true);
	run(nl, &b);

	arp = capture(br, ETH_P_ARP);
	na = capture(br, ETH_P_IPV6);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = eth, .mac = mac });
	run(nl, &b);
	await_frame(arp, is_gratuitous_arp);
	await_frame(na, is_advertisement);
	del_link("br-c");
	monitor_close(m);
	nl_close(nl);
}

/* ------------------------------------------------------------------------- monitor */

static int give_nsid(int ns)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct cnm_error err;
	int nsid = 7;

	assert_int_equal(rtnl_get_nsid(hnl, ns, &nsid, &err), 0);
	assert_int_equal(nsid, -1);
	rtnl_put_nsid(&b, ns, -1);
	run(hnl, &b);
	rtnl_put_nsid(&b, ns, -1);
	run_fails(hnl, &b, -EEXIST, "already has a nsid");
	assert_int_equal(rtnl_get_nsid(hnl, ns, &nsid, &err), 0);
	assert_true(nsid >= 0);
	return nsid;
}

static void hear_one_namespace(struct monitor *m, int ns, int nsid)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct cnm_prefix v4 = prefix_of("10.5.0.1/24");
	struct rtnl_route route = { .dst = prefix_of("10.55.0.0/16"), .ifindex = 0x30001 };
	struct nl *nl = nl_in(ns);
	struct monitor_event e = {
		.what = MONITOR_LINK, .nsid = nsid, .ifindex = 0x30001, .name = "ev0"
	};

	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "ev0",
						       .ifindex = 0x30001,
						       .kind = RTNL_BRIDGE,
						       .up = true,
						       .no_addrgen = true });
	rtnl_put_addr(&b, true, 0x30001, &v4, true);
	rtnl_put_route(&b, true, &route);
	run(nl, &b);
	await_event(m, e);
	e.name[0] = 0;
	e.what = MONITOR_ADDR;
	assert_int_equal(await_event(m, e), nl_portid(nl));
	/* The kernel's own routes for the address come first. */
	e.what = MONITOR_ROUTE;
	while (await_event(m, e) != nl_portid(nl))
		;

	rtnl_put_route(&b, false, &route);
	rtnl_put_addr(&b, false, 0x30001, &v4, true);
	rtnl_put_del_link(&b, 0x30001);
	run(nl, &b);
	e.gone = true;
	await_event(m, e);
	e.what = MONITOR_ADDR;
	assert_int_equal(await_event(m, e), nl_portid(nl));
	e.what = MONITOR_LINK;
	strcpy(e.name, "ev0");
	await_event(m, e);
	nl_close(nl);
}

static void hear_nft(struct monitor *m, int ns, int nsid)
{
	struct monitor_event e = { .what = MONITOR_NFT, .nsid = nsid, .table = "evt" };

	sh_in(ns, "nft add table inet evt");
	assert_int_not_equal(await_event(m, e), 0);
	sh_in(ns, "nft add set inet evt s '{ type ipv4_addr; }'");
	await_event(m, e);
	sh_in(ns, "nft add element inet evt s '{ 192.0.2.1 }'");
	await_event(m, e);
	sh_in(ns, "nft flush ruleset");
	e.gone = true;
	await_event(m, e);
}

static void test_monitor(void **state)
{
	struct monitor *m = listen_here();
	int ns[2] = { make_ns(), make_ns() };

	hear_one_namespace(m, home, -1);
	hear_nft(m, home, -1);
	for (int i = 0; i < 2; i++) {
		int nsid = give_nsid(ns[i]);

		hear_one_namespace(m, ns[i], nsid);
		hear_nft(m, ns[i], nsid);
		close(ns[i]);
	}
	monitor_close(m);
	monitor_close(NULL);
	nl_close(NULL);
}

/* Of entries only the end is told, and of which; in the order in which they go. */
static void test_monitor_entries(void **state)
{
	static const char *const commands[] = {
		"ip neigh del 10.8.0.2 dev vx0",
		"ip neigh del fd08::2 dev vx0",
		"bridge fdb del 02:00:00:00:00:02 dev vx0 self",
		"bridge fdb del 02:00:00:00:00:02 dev vx0 master",
		"bridge fdb del 00:00:00:00:00:00 dev vx0 dst 192.0.2.2 self",
	};
	const struct monitor_event wanted[] = {
		{ .what = MONITOR_NEIGH, .ip = ip_of("10.8.0.2") },
		{ .what = MONITOR_NEIGH, .ip = ip_of("fd08::2") },
		{ .what = MONITOR_FDB,
		  .mac = mac_of("02:00:00:00:00:02"),
		  .ip = ip_of("192.0.2.2") },
		{ .what = MONITOR_FDB, .mac = mac_of("02:00:00:00:00:02") },
		{ .what = MONITOR_FDB, .ip = ip_of("192.0.2.2") },
	};
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns);
	struct monitor *m = listen_here();
	int nsid = give_nsid(ns), ifindex;

	sh_in(ns, "ip link add b0 type bridge;"
		  " ip link add vx0 type vxlan id 8 dstport 4789 local 192.0.2.1 nolearning;"
		  " ip link set b0 up; ip link set vx0 master b0 up;"
		  " ip neigh add 10.8.0.2 lladdr 02:00:00:00:00:02 dev vx0 nud permanent;"
		  " ip neigh add fd08::2 lladdr 02:00:00:00:00:02 dev vx0 nud permanent;"
		  " bridge fdb add 02:00:00:00:00:02 dev vx0 dst 192.0.2.2 self master static;"
		  " bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.2 self");
	ifindex = link_named(nl, "vx0").ifindex;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct monitor_event e = wanted[i];
		const struct monitor_event *got;

		e.gone = true;
		e.nsid = nsid;
		e.ifindex = ifindex;
		sh_in(ns, commands[i]);
		await_event(m, e);
		got = &heard.e[heard.next - 1];
		assert_true(ip_cmp(&got->ip, &e.ip) == 0 && mac_eq(&got->mac, &e.mac));
	}
	for (size_t i = 0; i < heard.n; i++)
		if (heard.e[i].what == MONITOR_FDB || heard.e[i].what == MONITOR_NEIGH)
			assert_true(heard.e[i].gone);
	monitor_close(m);
	nl_close(nl);
}

/* A port that leaves its bridge is still there as a link, and gone as a port. */
static void test_monitor_port_leaves(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns);
	int br = add_bridge("br-q"), peer = add_veth("veth-q", br, ns, nl, true);
	struct monitor *m = listen_here();
	int port = link_named(hnl, "veth-q").ifindex;
	bool told = false, left = false;

	assert_true(peer > 0);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = port, .set_master = true });
	run(hnl, &b);
	assert_int_equal(monitor_read(m, hear, NULL), 0);
	for (size_t i = 0; i < heard.n; i++) {
		if (heard.e[i].ifindex == port && heard.e[i].what == MONITOR_PORT)
			left |= heard.e[i].gone;
		if (heard.e[i].what != MONITOR_LINK || heard.e[i].ifindex != port)
			continue;
		assert_false(heard.e[i].gone);
		assert_true(heard.e[i].up);
		told = true;
	}
	assert_true(told);
	assert_true(left);
	monitor_close(m);
	del_link("br-q");
	del_link("veth-q");
	nl_close(nl);
}

/* Nobody reads, until the buffer is full: that is told, and later events are heard again. */
static void test_monitor_lost(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	_close_ int ns = make_ns();
	struct cnm_prefix p = prefix_of("10.4.0.1/24");
	struct monitor *m;
	struct nl *nl;

	enter(ns);
	m = listen_here();
	enter(home);
	nl = nl_in(ns);
	for (int i = 0; i < 2000; i++)
		rtnl_put_addr(&b, i % 2 == 0, 1, &p, false);
	for (int i = 0; i < 60; i++)
		assert_int_equal(nl_batch_run(nl, &b, NULL), 0);
	await_event(m, (struct monitor_event){ .what = MONITOR_LOST, .nsid = -1 });
	while (poll(&(struct pollfd){ .fd = monitor_fd(m), .events = POLLIN }, 1, 0) == 1)
		assert_int_equal(monitor_read(m, hear, NULL), 0);
	hear_one_namespace(m, ns, -1);
	monitor_close(m);
	nl_close(nl);
}

/* ------------------------------------------------------------------------- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port_state),
		cmocka_unit_test(test_no_link_local_addresses),
		cmocka_unit_test(test_announcement),
		cmocka_unit_test(test_monitor),
		cmocka_unit_test(test_monitor_entries),
		cmocka_unit_test(test_monitor_port_leaves),
		cmocka_unit_test(test_monitor_lost),
	};
	int failed;

	if (!fixture_open())
		return 77;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_close();
	free(heard.e);
	return failed;
}
