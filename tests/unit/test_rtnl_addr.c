/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses, routes, neighbours and FDB entries of kernel/rtnl, against the real kernel. Needs
 * root; without it the test is skipped (77).
 */
#include "rtnl_fixture.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

/* ------------------------------------------------------------------------- addresses, routes */

static void test_addresses(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct cnm_prefix v4 = prefix_of("10.9.0.5/24"), v6 = prefix_of("fd00:9::5/64");
	int br = add_bridge("br-a");
	struct addrs a;

	rtnl_put_addr(&b, true, br, &v4, false);
	run(hnl, &b);
	a = addrs_of(hnl, br);
	assert_int_equal(a.n, 1);
	assert_true(prefix_eq(&a.last, &v4));
	assert_int_equal(a.scope, RT_SCOPE_UNIVERSE);
	sh_in(home, "ip -o addr show dev br-a | grep -q 'inet 10.9.0.5/24 brd 10.9.0.255 '");
	rtnl_put_addr(&b, true, br, &v4, false);
	run_fails(hnl, &b, -EEXIST, NULL);
	rtnl_put_addr(&b, false, br, &v4, false);
	run(hnl, &b);
	rtnl_put_addr(&b, false, br, &v4, false);
	run_fails(hnl, &b, -EADDRNOTAVAIL, NULL);

	rtnl_put_addr(&b, true, br, &v6, true);
	run(hnl, &b);
	a = addrs_of(hnl, br);
	assert_int_equal(a.n, 1);
	assert_true(prefix_eq(&a.last, &v6));
	assert_true(a.flags & 0x02 /* nodad */);
	assert_false(a.flags & 0x40 /* tentative */);
	rtnl_put_addr(&b, true, br, &v6, true);
	run_fails(hnl, &b, -EEXIST, NULL);
	rtnl_put_addr(&b, false, br, &v6, false);
	run(hnl, &b);
	assert_int_equal(addrs_of(hnl, br).n, 0);
	del_link("br-a");
}

struct routes {
	const struct rtnl_route *want;
	unsigned n;
	struct rtnl_route last;
};

static int note_route(const struct rtnl_route *r, void *arg)
{
	struct routes *s = arg;

	if (prefix_eq(&r->dst, &s->want->dst) && r->ifindex == s->want->ifindex &&
	    r->protocol == RTNL_PROTO_CNM) {
		s->n++;
		s->last = *r;
	}
	return 0;
}

static void forget_routes(void *arg)
{
	((struct routes *)arg)->n = 0;
}

static struct routes routes_like(const struct rtnl_route *want)
{
	struct routes s = { .want = want };
	struct cnm_error err;

	assert_int_equal(rtnl_routes(hnl, 0, note_route, forget_routes, &s, &err), 0);
	return s;
}

static void route_round_trip(const struct rtnl_route *r, uint32_t metric, uint32_t table)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct routes s;

	rtnl_put_route(&b, true, r);
	run(hnl, &b);
	s = routes_like(r);
	assert_int_equal(s.n, 1);
	assert_int_equal(ip_cmp(&s.last.gateway, &r->gateway), 0);
	assert_int_equal(s.last.metric, metric);
	assert_int_equal(s.last.onlink, r->onlink);
	assert_int_equal(s.last.type, RTN_UNICAST);
	assert_int_equal(s.last.table, table);
	rtnl_put_route(&b, true, r);
	run_fails(hnl, &b, -EEXIST, NULL);
	/* What was read can be said again. */
	rtnl_put_route(&b, false, &s.last);
	rtnl_put_route(&b, true, &s.last);
	rtnl_put_route(&b, false, r);
	run(hnl, &b);
	assert_int_equal(routes_like(r).n, 0);
	rtnl_put_route(&b, false, r);
	run_fails(hnl, &b, -ESRCH, NULL);
}

static void test_routes(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct cnm_prefix v4 = prefix_of("10.8.0.1/24"), v6 = prefix_of("fd00:8::1/64");
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns);
	int br = add_bridge("br-r");

	set_up(nl, add_veth("veth-r", br, ns, nl, true));
	rtnl_put_addr(&b, true, br, &v4, true);
	rtnl_put_addr(&b, true, br, &v6, true);
	run(hnl, &b);
	route_round_trip(&(struct rtnl_route){ .dst = prefix_of("0.0.0.0/0"),
					       .ifindex = br,
					       .gateway = ip_of("10.8.0.9") },
			 0, RT_TABLE_MAIN);
	route_round_trip(&(struct rtnl_route){ .dst = prefix_of("10.77.0.0/16"),
					       .ifindex = br,
					       .metric = 42,
					       .table = 1000 },
			 42, 1000);
	route_round_trip(&(struct rtnl_route){ .dst = prefix_of("10.78.0.0/16"),
					       .ifindex = br,
					       .gateway = ip_of("10.99.0.1"),
					       .onlink = true },
			 0, RT_TABLE_MAIN);
	route_round_trip(&(struct rtnl_route){ .dst = prefix_of("::/0"),
					       .ifindex = br,
					       .gateway = ip_of("fd00:8::9") },
			 1024, RT_TABLE_MAIN);
	route_round_trip(&(struct rtnl_route){ .dst = prefix_of("fd00:77::/48"),
					       .ifindex = br,
					       .metric = 7 },
			 7, RT_TABLE_MAIN);

	rtnl_put_route(&b, true,
		       &(struct rtnl_route){ .dst = prefix_of("10.79.0.0/16"),
					     .ifindex = br,
					     .gateway = ip_of("10.99.0.1") });
	run_fails(hnl, &b, -ENETUNREACH, "Nexthop has invalid gateway");
	/* Somebody else's route stays. */
	sh_in(home, "ip route add 10.80.0.0/16 dev br-r proto static");
	rtnl_put_route(&b, false,
		       &(struct rtnl_route){ .dst = prefix_of("10.80.0.0/16"), .ifindex = br });
	run_fails(hnl, &b, -ESRCH, NULL);
	del_link("br-r");
	nl_close(nl);
}

/* ------------------------------------------------------------------------- neighbours */

struct neighs {
	struct rtnl_neigh want;
	unsigned n;
	struct rtnl_neigh last;
};

static int note_neigh(const struct rtnl_neigh *n, void *arg)
{
	struct neighs *s = arg;
	bool same =
		ip_is_set(&s->want.ip) ? ip_eq(&n->ip, &s->want.ip) : mac_eq(&n->mac, &s->want.mac);

	if (n->ifindex == s->want.ifindex && same) {
		s->n++;
		s->last = *n;
	}
	return 0;
}

static void forget_neighs(void *arg)
{
	((struct neighs *)arg)->n = 0;
}

static struct neighs neighs_like(struct rtnl_neigh want)
{
	struct neighs s = { .want = want };
	struct cnm_error err;
	int family = ip_is_set(&want.ip) ? want.ip.family : AF_BRIDGE;

	assert_int_equal(rtnl_neighs(hnl, family, note_neigh, forget_neighs, &s, &err), 0);
	return s;
}

static void test_neighbours(void **state)
{
	static const char *const ips[] = { "10.7.0.2", "fd00:7::2" };
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	int br = add_bridge("br-n");

	for (int i = 0; i < 2; i++) {
		struct rtnl_neigh n = { .ifindex = br,
					.ip = ip_of(ips[i]),
					.mac = mac_of("02:00:00:00:00:01") };
		struct neighs s;

		rtnl_put_neigh(&b, true, &n);
		n.mac.b[5] = 2;
		rtnl_put_neigh(&b, true, &n);
		run(hnl, &b);
		s = neighs_like(n);
		assert_int_equal(s.n, 1);
		assert_true(mac_eq(&s.last.mac, &n.mac));
		assert_int_equal(s.last.state, NUD_PERMANENT);
		rtnl_put_neigh(&b, false, &n);
		run(hnl, &b);
		assert_int_equal(neighs_like(n).n, 0);
		rtnl_put_neigh(&b, false, &n);
		run_fails(hnl, &b, -ENOENT, NULL);
	}
	del_link("br-n");
}

static void test_fdb(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct rtnl_neigh n = { .mac = mac_of("02:00:00:00:00:03"), .dst = ip_of("192.0.2.1") };
	struct rtnl_neigh all = { .dst = ip_of("192.0.2.1") };
	int br = add_bridge("br-f");
	struct neighs s;

	sh_in(home, "ip link add vx-f type vxlan id 5 dstport 4789 nolearning");
	n.ifindex = all.ifindex = link_named(hnl, "vx-f").ifindex;
	assert_int_equal(link_named(hnl, "vx-f").kind, RTNL_VXLAN);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){
				      .ifindex = n.ifindex, .set_master = true, .master = br });
	rtnl_put_neigh(&b, true, &n);
	n.dst = ip_of("192.0.2.2");
	rtnl_put_neigh(&b, true, &n);
	rtnl_put_neigh(&b, true, &all);
	all.dst = ip_of("192.0.2.2");
	rtnl_put_neigh(&b, true, &all);
	rtnl_put_neigh(&b, true, &all);
	run(hnl, &b);
	s = neighs_like(n);
	assert_int_equal(s.n, 1);
	assert_true(ip_eq(&s.last.dst, &n.dst));
	assert_int_equal(s.last.flags, NTF_SELF);
	assert_int_equal(neighs_like(all).n, 2);

	/* The bridge's own table. */
	n.dst = (struct cnm_ip){ 0 };
	n.flags = NTF_MASTER;
	rtnl_put_neigh(&b, true, &n);
	run(hnl, &b);
	assert_int_equal(neighs_like(n).n, 2);
	rtnl_put_neigh(&b, false, &n);
	n.flags = 0;
	rtnl_put_neigh(&b, false, &n);
	rtnl_put_neigh(&b, false, &all);
	run(hnl, &b);
	assert_int_equal(neighs_like(n).n, 0);
	assert_int_equal(neighs_like(all).n, 1);
	rtnl_put_neigh(&b, false, &n);
	run_fails(hnl, &b, -ENOENT, NULL);
	del_link("vx-f");
	del_link("br-f");
}

/* Born elsewhere, carried from here; what it is and how it is a port can be read back. */
static void test_vxlan(void **state)
{
	static const char *const locals[] = { "192.0.2.1", "2001:db8::1" };
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns);
	int br;

	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "br0", .kind = RTNL_BRIDGE });
	run(nl, &b);
	br = link_named(nl, "br0").ifindex;
	for (int i = 0; i < 2; i++) {
		struct rtnl_new_link vx = { .name = "vx",
					    .kind = RTNL_VXLAN,
					    .mtu = 1400,
					    .group = 7,
					    .master = br,
					    .vx_id = 0xfffffe,
					    .vx_port = 4790,
					    .vx_local = ip_of(locals[i]),
					    .netns = ns };
		struct rtnl_link l;

		rtnl_put_new_link(&b, &vx);
		run(hnl, &b);
		assert_false(has_link(hnl, "vx"));
		l = link_named(nl, "vx");
		assert_true(l.kind == RTNL_VXLAN && l.mtu == 1400 && l.group == 7);
		assert_true(l.master == br && l.vx_id == 0xfffffe && l.vx_port == 4790);
		assert_true(ip_eq(&l.vx_local, &vx.vx_local) && !l.vx_learning && l.vx_proxy);
		assert_true(l.port_learning && l.port_flood && !l.port_isolated && !l.port_locked);
		vx.name = "vx2";
		rtnl_put_new_link(&b, &vx);
		run_fails(hnl, &b, -EEXIST, "VNI");
		rtnl_put_port_flags(&b, l.ifindex,
				    &(struct rtnl_port){ .isolated = true, .locked = true });
		run(nl, &b);
		l = link_named(nl, "vx");
		assert_true(!l.port_learning && !l.port_flood && l.port_isolated && l.port_locked);
		rtnl_put_port_flags(&b, l.ifindex,
				    &(struct rtnl_port){ .learning = true, .flood = true });
		run(nl, &b);
		l = link_named(nl, "vx");
		assert_true(l.port_learning && l.port_flood && !l.port_isolated && !l.port_locked);
		rtnl_put_del_link(&b, l.ifindex);
		run(nl, &b);
	}
	nl_close(nl);
}

/* One message for the link's table and the bridge's; it moves in both. */
static void test_fdb_of_both(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct rtnl_neigh n = { .mac = mac_of("02:00:00:00:00:03"),
				.dst = ip_of("192.0.2.1"),
				.flags = NTF_SELF | NTF_MASTER };
	struct rtnl_neigh entry;
	int br = add_bridge("br-f");

	assert_int_equal(rtnl_bridge_fdb(hnl, br, &n.mac, &entry), -ENOENT);
	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "vx-f",
						       .kind = RTNL_VXLAN,
						       .master = br,
						       .vx_id = 5,
						       .vx_port = 4789 });
	run(hnl, &b);
	n.ifindex = link_named(hnl, "vx-f").ifindex;
	for (unsigned i = 0; i < 2; i++) {
		rtnl_put_neigh(&b, true, &n);
		run(hnl, &b);
		assert_int_equal(neighs_like(n).n, 2);
		assert_int_equal(rtnl_bridge_fdb(hnl, br, &n.mac, &entry), 0);
		assert_int_equal(entry.ifindex, n.ifindex);
		assert_int_equal(entry.state, NUD_NOARP);
		n.dst = ip_of("192.0.2.2");
	}
	n.flags = NTF_MASTER;
	rtnl_put_neigh(&b, false, &n);
	run(hnl, &b);
	assert_int_equal(rtnl_bridge_fdb(hnl, br, &n.mac, &entry), -ENOENT);
	/* Deleting both fails for the one and leaves the other. */
	n.flags = NTF_SELF | NTF_MASTER;
	rtnl_put_neigh(&b, false, &n);
	run_fails(hnl, &b, -ENOENT, NULL);
	assert_int_equal(neighs_like(n).n, 1);
	n.flags = NTF_SELF;
	rtnl_put_neigh(&b, false, &n);
	run(hnl, &b);
	assert_int_equal(neighs_like(n).n, 0);
	del_link("vx-f");
	del_link("br-f");
}

/* ------------------------------------------------------------------------- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),   cmocka_unit_test(test_routes),
		cmocka_unit_test(test_neighbours),  cmocka_unit_test(test_fdb),
		cmocka_unit_test(test_fdb_of_both), cmocka_unit_test(test_vxlan),
	};
	int failed;

	if (!fixture_open())
		return 77;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_close();
	return failed;
}
