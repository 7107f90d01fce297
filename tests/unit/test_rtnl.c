/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel/netlink and the links of kernel/rtnl, against the real kernel, and the parsers against
 * noise. Needs root; without it the test is skipped (77).
 */
#include "rtnl_fixture.h"

#include <linux/rtnetlink.h>
#include <pthread.h>
#include <stdatomic.h>

#include "kernel/rtnl_parse.h"

/* ------------------------------------------------------------------------- links */

static void test_veth_in_one_batch(void **state)
{
	enum { BRIDGE = 0x10001, PORT = 0x10002, PEER = 0x10003 };
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns);
	struct cnm_mac mac = mac_of("02:42:0a:00:00:01"), peer_mac = mac_of("02:42:0a:00:00:02");
	struct rtnl_link l;

	/* All by indices chosen here: a bridge, a port, an alias, settings. Nothing is read back.
	 */
	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "br-t",
						       .ifindex = BRIDGE,
						       .kind = RTNL_BRIDGE,
						       .mac = mac,
						       .mtu = 1400,
						       .group = 77,
						       .up = true,
						       .no_addrgen = true });
	assert_int_equal(b.count, 3);
	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "veth-t",
						       .ifindex = PORT,
						       .kind = RTNL_VETH,
						       .mtu = 1400,
						       .group = 78,
						       .master = BRIDGE,
						       .up = true,
						       .peer_name = "eth7",
						       .peer_ifindex = PEER,
						       .peer_ns = ns,
						       .peer_mac = peer_mac });
	assert_int_equal(b.count, 4);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = BRIDGE,
						       .alias = "cnm:t:1",
						       .arp_notify = 1,
						       .route_localnet = 1 });
	rtnl_put_port(&b, PORT, true, false);
	run(hnl, &b);
	rtnl_put_set_link(&b,
			  &(struct rtnl_set_link){ .name = "eth7", .up = 1, .no_addrgen = true });
	run(nl, &b);

	l = link_named(hnl, "br-t");
	assert_int_equal(l.ifindex, BRIDGE);
	assert_int_equal(l.kind, RTNL_BRIDGE);
	assert_true(mac_eq(&l.mac, &mac));
	assert_int_equal(l.mtu, 1400);
	assert_int_equal(l.group, 77);
	assert_true(l.up);
	assert_string_equal(l.alias, "cnm:t:1");
	assert_int_equal(l.addrgen, 1);
	assert_int_equal(l.br_forward_delay, 0);
	assert_false(l.br_stp);
	assert_false(l.br_mcast_snooping);
	assert_true(l.ip4_arp_notify);
	assert_true(l.ip4_route_localnet);

	l = link_named(hnl, "veth-t");
	assert_int_equal(l.ifindex, PORT);
	assert_int_equal(l.kind, RTNL_VETH);
	assert_int_equal(l.mtu, 1400);
	assert_int_equal(l.group, 78);
	assert_int_equal(l.master, BRIDGE);
	assert_int_equal(l.peer, PEER);
	assert_true(l.up);
	assert_true(l.port_hairpin);
	assert_int_not_equal(l.addrgen, 1);
	assert_false(l.ip4_arp_notify);
	assert_false(l.ip4_route_localnet);

	l = link_named(nl, "eth7");
	assert_int_equal(l.ifindex, PEER);
	assert_int_equal(l.peer, PORT);
	assert_int_equal(l.mtu, 1400);
	assert_int_equal(l.addrgen, 1);
	assert_true(mac_eq(&l.mac, &peer_mac));
	assert_true(l.up);

	del_link("veth-t");
	assert_false(has_link(nl, "eth7"));
	del_link("br-t");
	nl_close(nl);
}

static void test_set_link(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	_close_ int ns = make_ns();
	_close_ int other = make_ns();
	struct nl *nl = nl_in(ns), *other_nl = nl_in(other);
	int br = add_bridge("br-s"), peer = add_veth("veth-s", br, other, other_nl, true);
	struct cnm_mac mac = mac_of("02:42:0a:00:00:09");
	struct rtnl_link l = link_named(hnl, "veth-s");
	int ifindex = l.ifindex;

	assert_true(peer > 0);
	assert_int_equal(l.addrgen, 1);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = ifindex, .up = -1 });
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = ifindex,
						       .mtu = 1300,
						       .rename = "veth-r",
						       .mac = mac,
						       .group = 5,
						       .set_group = true,
						       .set_master = true,
						       .alias = "x",
						       .arp_notify = 1 });
	run(hnl, &b);
	l = link_named(hnl, "veth-r");
	assert_int_equal(l.ifindex, ifindex);
	assert_false(l.up);
	assert_int_equal(l.mtu, 1300);
	assert_true(mac_eq(&l.mac, &mac));
	assert_int_equal(l.group, 5);
	assert_int_equal(l.master, 0);
	assert_string_equal(l.alias, "x");
	assert_true(l.ip4_arp_notify);
	assert_false(has_link(hnl, "veth-s"));

	rtnl_put_set_link(
		&b, &(struct rtnl_set_link){
			    .name = "veth-r", .set_group = true, .alias = "", .arp_notify = -1 });
	run(hnl, &b);
	l = link_named(hnl, "veth-r");
	assert_int_equal(l.group, 0);
	assert_string_equal(l.alias, "");
	assert_false(l.ip4_arp_notify);

	rtnl_put_set_link(
		&b, &(struct rtnl_set_link){ .ifindex = ifindex, .netns = ns, .rename = "moved" });
	run(hnl, &b);
	assert_false(has_link(hnl, "veth-r"));
	assert_int_equal(link_named(nl, "moved").kind, RTNL_VETH);
	assert_int_equal(link_named(nl, "lo").kind, RTNL_LOOPBACK);
	del_link("br-s");
	nl_close(other_nl);
	nl_close(nl);
}

static void test_bridge_settings_are_mended(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	int br = add_bridge("br-m");
	struct rtnl_link l;

	sh_in(home, "ip link set br-m type bridge mcast_snooping 1 stp_state 1 forward_delay 700");
	l = link_named(hnl, "br-m");
	assert_true(l.br_stp);
	assert_true(l.br_mcast_snooping);
	assert_int_equal(l.br_forward_delay, 700);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = br, .set_bridge = true });
	assert_int_equal(b.count, 3);
	run(hnl, &b);
	l = link_named(hnl, "br-m");
	assert_false(l.br_stp);
	assert_false(l.br_mcast_snooping);
	assert_int_equal(l.br_forward_delay, 0);
	del_link("br-m");
}

static void forget_count(void *arg)
{
	*(unsigned *)arg = 0;
}

static int count_group(const struct rtnl_link *l, void *arg)
{
	unsigned *n = arg;

	*n += l->group == 4242;
	return 0;
}

static void test_group_delete(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct cnm_error err = { 0 };
	unsigned n = 0;

	for (int i = 0; i < 50; i++) {
		char name[IFNAMSIZ], peer[IFNAMSIZ];

		snprintf(name, sizeof(name), "g%d", i);
		snprintf(peer, sizeof(peer), "p%d", i);
		rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = name,
							       .kind = RTNL_VETH,
							       .group = 4242,
							       .peer_name = peer,
							       .peer_ns = -1 });
	}
	run(hnl, &b);
	assert_int_equal(rtnl_links(hnl, count_group, forget_count, &n, &err), 0);
	assert_int_equal(n, 50);
	rtnl_put_del_group(&b, 4242);
	run(hnl, &b);
	n = 0;
	assert_int_equal(rtnl_links(hnl, count_group, forget_count, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_false(has_link(hnl, "p0"));

	rtnl_put_del_group(&b, 4242);
	run_fails(hnl, &b, -ENODEV, NULL);
	rtnl_put_del_group(&b, 0);
	run_fails(hnl, &b, -EPERM, NULL);
}

static void test_link_errors(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	int br = add_bridge("br-e");
	struct rtnl_link l;

	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "br-e", .kind = RTNL_BRIDGE });
	run_fails(hnl, &b, -EEXIST, NULL);
	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "x", .kind = RTNL_OTHER });
	run_fails(hnl, &b, -EOPNOTSUPP, "Unknown device type");
	rtnl_put_new_link(
		&b, &(struct rtnl_new_link){ .name = "x", .ifindex = br, .kind = RTNL_BRIDGE });
	assert_true(nl_batch_run(hnl, &b, NULL) < 0); /* EBUSY (6.1) or EEXIST (6.18) */
	nl_batch_reset(&b);
	rtnl_put_new_link(
		&b, &(struct rtnl_new_link){ .name = "a-name-too-long-", .kind = RTNL_BRIDGE });
	run_fails(hnl, &b, -ERANGE, "policy");
	rtnl_put_new_link(
		&b, &(struct rtnl_new_link){
			    .name = "x", .kind = RTNL_VETH, .peer_name = "y", .peer_ns = 9999 });
	run_fails(hnl, &b, -EBADF, NULL);
	rtnl_put_new_link(&b,
			  &(struct rtnl_new_link){ .name = "x", .kind = RTNL_BRIDGE, .mtu = 9 });
	run_fails(hnl, &b, -EINVAL, "mtu");
	assert_false(has_link(hnl, "x"));
	assert_false(has_link(hnl, "a-name-too-long-and-longer"));

	rtnl_put_set_link(
		&b, &(struct rtnl_set_link){ .ifindex = br, .set_master = true, .master = br });
	run_fails(hnl, &b, -ELOOP, NULL);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = br, .up = -1 });
	run(hnl, &b);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = br, .rename = "lo" });
	run_fails(hnl, &b, -EEXIST, NULL);
	/* A name that is gone, and a group: nothing else may change. */
	rtnl_put_set_link(&b,
			  &(struct rtnl_set_link){ .name = "gone", .set_group = true, .up = 1 });
	run_fails(hnl, &b, -ENODEV, NULL);
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .set_group = true, .up = 1 });
	run_fails(hnl, &b, -EINVAL, NULL);
	l = link_named(hnl, "lo");
	assert_false(l.up);
	rtnl_put_port(&b, br, true, false);
	run_fails(hnl, &b, -EOPNOTSUPP, NULL);
	rtnl_put_del_link(&b, 99999);
	run_fails(hnl, &b, -ENODEV, NULL);
	rtnl_put_del_link(&b, 0);
	run_fails(hnl, &b, -EINVAL, NULL);
	del_link("br-e");
}

/* ------------------------------------------------------------------------- batches */

static void test_batch_goes_on_after_a_failure(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct cnm_error err = { 0 };

	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "b1", .kind = RTNL_BRIDGE });
	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "b2", .kind = RTNL_OTHER });
	rtnl_put_del_link(&b, 99999);
	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "b3", .kind = RTNL_BRIDGE });
	assert_int_equal(nl_batch_run(hnl, &b, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "Operation not supported: Unknown device type");
	assert_int_equal(b.results[0], 0);
	assert_int_equal(b.results[1], -EOPNOTSUPP);
	assert_int_equal(b.results[2], -ENODEV);
	assert_int_equal(b.results[3], 0);
	/* The same batch again, without a place for the error. */
	assert_int_equal(nl_batch_run(hnl, &b, NULL), -EEXIST);
	assert_int_equal(b.results[3], -EEXIST);
	del_link("b1");
	del_link("b3");
	nl_batch_reset(&b);
	assert_int_equal(nl_batch_run(hnl, &b, &err), 0);
}

static void test_batch_without_memory(void **state)
{
	struct nl_batch b = { .failed = 1 };
	struct cnm_prefix p = prefix_of("10.0.0.1/8");
	struct cnm_error err = { 0 };

	rtnl_put_new_link(&b,
			  &(struct rtnl_new_link){ .name = "b1", .up = true, .no_addrgen = true });
	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .name = "b1", .set_bridge = true });
	rtnl_put_port(&b, 1, true, true);
	rtnl_put_del_link(&b, 1);
	rtnl_put_del_group(&b, 1);
	rtnl_put_addr(&b, true, 1, &p, true);
	rtnl_put_route(&b, true, &(struct rtnl_route){ .dst = p });
	rtnl_put_neigh(&b, true, &(struct rtnl_neigh){ .ip = p.ip });
	rtnl_put_nsid(&b, 0, -1);
	assert_int_equal(b.count, 0);
	assert_int_equal(nl_batch_run(hnl, &b, &err), -ENOMEM);
	assert_string_equal(err.text, "Cannot allocate memory");
	nl_batch_free(&b);
}

/* n addresses of 10/8 on a link, every seventh refused with words. */
static void many_addresses(struct nl *nl, int ifindex, unsigned n)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct cnm_prefix p = prefix_of("10.0.0.1/32");

	for (unsigned i = 0; i < n; i++) {
		rtnl_put_addr(&b, true, i % 7 == 3 ? 99999 : ifindex, &p, false);
		ip_add(&p.ip, 1);
	}
	assert_int_equal(nl_batch_run(nl, &b, NULL), -ENODEV);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(b.results[i], i % 7 == 3 ? -ENODEV : 0);
	assert_int_equal(addrs_of(nl, ifindex).n, n - n / 7 - (n % 7 > 3));
}

static void test_big_batch(void **state)
{
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns);

	many_addresses(nl, 1, 6000);
	nl_close(nl);
}

/* Where the buffers may not be enlarged the batch goes in pieces. */
static void test_big_batch_in_small_buffers(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct nl *nl;

		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
		    nl_open(&nl, NETLINK_ROUTE, NULL) < 0)
			_exit(77);
		many_addresses(nl, 1, 3000);
		nl_close(nl);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
}

/* ------------------------------------------------------------------------- dumps */

static int stop_at_once(const struct rtnl_link *l, void *arg)
{
	++*(unsigned *)arg;
	return -ECANCELED;
}

static int count_links(const struct rtnl_link *l, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static void test_dump_stopped(void **state)
{
	struct cnm_error err = { .text = "untouched" };
	unsigned n = 0;
	int br = add_bridge("br-d");

	assert_true(br > 1);
	assert_int_equal(rtnl_links(hnl, stop_at_once, NULL, &n, &err), -ECANCELED);
	assert_int_equal(n, 1);
	assert_string_equal(err.text, "untouched");
	n = 0;
	assert_int_equal(rtnl_links(hnl, count_links, forget_count, &n, &err), 0);
	assert_int_equal(n, 2);
	del_link("br-d");
}

static atomic_bool churn_end;

static void *churn(void *arg)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct nl *nl = arg;

	while (!atomic_load(&churn_end)) {
		rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = "churn",
							       .ifindex = 0x20000,
							       .kind = RTNL_BRIDGE });
		rtnl_put_del_link(&b, 0x20000);
		nl_batch_run(nl, &b, NULL);
		nl_batch_reset(&b);
	}
	return NULL;
}

struct seen {
	unsigned stable[120], restarts;
};

static int note_stable(const struct rtnl_link *l, void *arg)
{
	struct seen *s = arg;
	unsigned i;

	if (sscanf(l->name, "s%u", &i) == 1)
		s->stable[i]++;
	return 0;
}

static void forget(void *arg)
{
	struct seen *s = arg;

	memset(s->stable, 0, sizeof(s->stable));
	s->restarts++;
}

static void test_dump_among_changes(void **state)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	_close_ int ns = make_ns();
	struct nl *nl = nl_in(ns), *other = nl_in(ns);
	struct seen seen = { 0 };
	struct cnm_error err;
	pthread_t thread;
	unsigned done = 0;

	for (unsigned i = 0; i < 120; i++) {
		char name[IFNAMSIZ];

		snprintf(name, sizeof(name), "s%u", i);
		rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = name, .kind = RTNL_BRIDGE });
	}
	run(nl, &b);
	atomic_store(&churn_end, false);
	assert_int_equal(pthread_create(&thread, NULL, churn, other), 0);
	for (int i = 0; i < 200; i++) {
		int r;

		memset(seen.stable, 0, sizeof(seen.stable));
		r = rtnl_links(nl, note_stable, forget, &seen, &err);
		assert_true(r == 0 || r == -EAGAIN);
		done += r == 0;
		for (unsigned k = 0; r == 0 && k < 120; k++)
			assert_int_equal(seen.stable[k], 1);
	}
	atomic_store(&churn_end, true);
	pthread_join(thread, NULL);
	print_message("%u of 200 dumps done, %u restarts\n", done, seen.restarts);
	memset(seen.stable, 0, sizeof(seen.stable));
	assert_int_equal(rtnl_links(nl, note_stable, forget, &seen, &err), 0);
	nl_close(nl);
	nl_close(other);
}

/* ------------------------------------------------------------------------- hostile bytes */

static void parse_all(const struct nlmsghdr *h)
{
	union {
		struct rtnl_link link;
		struct rtnl_addr addr;
		struct rtnl_route route;
		struct rtnl_neigh neigh;
	} u;

	if (rtnl_parse_link(h, &u.link))
		assert_true(strlen(u.link.name) < sizeof(u.link.name) &&
			    strlen(u.link.alias) < sizeof(u.link.alias));
	if (rtnl_parse_addr(h, &u.addr))
		assert_true(u.addr.addr.len <= ip_bits(&u.addr.addr.ip));
	if (rtnl_parse_route(h, &u.route))
		assert_true(u.route.dst.len <= ip_bits(&u.route.dst.ip));
	rtnl_parse_neigh(h, &u.neigh);
}

/* Under the address sanitizer a read beyond the message ends the test. */
static void test_random_bytes(void **state)
{
	static const uint16_t types[] = { RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE,
					  RTM_NEWNEIGH };
	unsigned seed = 4711;

	for (int i = 0; i < 200000; i++) {
		size_t len = sizeof(struct nlmsghdr) + (size_t)rand_r(&seed) % 120;
		struct nlmsghdr *h = malloc(len);
		unsigned char *p = (unsigned char *)h;

		assert_non_null(h);
		/* Small numbers make plausible lengths and types. */
		for (size_t k = 0; k < len; k++)
			p[k] = (unsigned char)(rand_r(&seed) % (k % 4 == 1 || k % 4 == 3 ? 2 : 64));
		h->nlmsg_len = (uint32_t)len;
		h->nlmsg_type = types[i % 5];
		parse_all(h);
		free(h);
	}
}

/* ------------------------------------------------------------------------- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_veth_in_one_batch),
		cmocka_unit_test(test_set_link),
		cmocka_unit_test(test_bridge_settings_are_mended),
		cmocka_unit_test(test_group_delete),
		cmocka_unit_test(test_link_errors),
		cmocka_unit_test(test_batch_goes_on_after_a_failure),
		cmocka_unit_test(test_batch_without_memory),
		cmocka_unit_test(test_big_batch),
		cmocka_unit_test(test_big_batch_in_small_buffers),
		cmocka_unit_test(test_dump_stopped),
		cmocka_unit_test(test_dump_among_changes),
		cmocka_unit_test(test_random_bytes),
	};
	int failed;

	if (!fixture_open())
		return 77;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_close();
	return failed;
}
