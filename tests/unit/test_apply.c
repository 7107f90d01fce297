/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plans carried out in namespaces of their own: ports of the host with the keeper, their flows,
 * links that change, elements of the firewall, files that are edited, and what is left when
 * something fails. Needs root; without it the test is skipped (77).
 */
#include "rtnl_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "conntrack_fixture.h"
#include "kernel/netns.h"
#include "plan/apply_internal.h"
#include "unit.h"

#define SB  "aaaaaaaaaaaabbbbbbbbbbbbccccccccccccddddddddddddeeeeeeeeeeeeffff"
#define SB2 "111111111111bbbbbbbbbbbbccccccccccccddddddddddddeeeeeeeeeeeeffff"
#define NET "00000000000000000000000000000000000000000000000000000000000000aa"

#define _plan_ _cleanup_(plan_free)
#define _diff_ _cleanup_(plan_diff_free)

static struct cnm_error err;
static char dir[64], pins[96];
static struct fdkeep *keeper;
static struct applier *applier;
static const struct plan nothing;
static char logged[512];

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

/* ---- an applier for each test */

static void open_applier(void)
{
	assert_ok(fdkeep_open(&keeper, dir, getenv("CNM_KEEPER"), &err));
	assert_ok(applier_new(&applier,
			      &(struct applier_options){ .instance = "cnmtest",
							 .netns_dir = pins,
							 .run_dir = dir,
							 .fdkeep = keeper },
			      &err));
}

static void close_applier(void)
{
	applier_free(applier);
	fdkeep_close(keeper);
}

static int setup(void **state)
{
	memset(&err, 0, sizeof(err));
	strcpy(dir, "/tmp/cnm-test-apply.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(pins, sizeof(pins), "%s/netns", dir);
	assert_return_code(mkdir(pins, 0700), errno);
	open_applier();
	assert_true(fdkeep_pid(keeper) > 0);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	fdkeep_end(keeper);
	close_applier();
	umount2(pins, MNT_DETACH);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* Take both from have to want. */
static int go(const struct plan *have, const struct plan *want)
{
	_diff_ struct plan_diff d = { 0 };

	memset(&err, 0, sizeof(err));
	assert_int_equal(plan_diff(have, want, &d), 0);
	return applier_run(applier, &d, &err);
}

/* What is there, guided by want, differs from it like this. */
static void expect_differences(const struct plan *want, const char *text)
{
	_plan_ struct plan have = { 0 };
	_diff_ struct plan_diff d = { 0 };
	_free_ char *got = NULL;

	applier_enter(applier);
	for (unsigned i = 0; i < 2; i++) {
		struct plan part = { 0 };

		assert_ok(applier_dump(applier, want, i ? SB : "", &part, &err));
		plan_move(&have, &part);
	}
	applier_leave(applier);
	assert_int_equal(plan_diff(&have, want, &d), 0);
	got = plan_diff_text(&d);
	assert_string_equal(got, text);
}

/* ---- ports */

static void add_ports(struct plan *p, const char *owner, uint8_t proto, const char *ip,
		      uint16_t first, uint16_t last)
{
	const struct hostports ports = { proto, ip_of(ip), first, last };
	const struct cnm_ip targets[2] = { ip_of("172.17.0.2"), ip_of("fd00::2") };

	plan_add_hold(p, owner, &ports, 1, targets);
}

static bool is_free(uint8_t proto, const char *addr, uint16_t port)
{
	struct cnm_ip ip = ip_of(addr);
	int fd, r = hostport_hold(proto, &ip, port, &fd, NULL);

	if (r == 0)
		close(fd);
	assert_true(r == 0 || r == -EADDRINUSE);
	return r == 0;
}

static void test_hold(void **state)
{
	_plan_ struct plan one = { 0 }, two = { 0 };

	add_ports(&one, SB, TCP, "0.0.0.0", 80, 81);
	add_ports(&one, SB2, UDP, "::", 80, 80);
	add_ports(&two, SB, TCP, "0.0.0.0", 81, 82);
	expect_differences(&one, "+ host: ports " SB ": tcp 0.0.0.0:80-81 to 172.17.0.2 fd00::2\n"
				 "+ host: ports " SB2 ": udp [::]:80 to 172.17.0.2 fd00::2\n");
	assert_ok(go(&nothing, &one));
	expect_differences(&one, "");
	assert_false(is_free(TCP, "0.0.0.0", 80) || is_free(TCP, "0.0.0.0", 81) ||
		     is_free(UDP, "::", 80));
	expect_differences(&two, "~ host: ports " SB ": tcp 0.0.0.0:81-82 to 172.17.0.2 fd00::2\n");
	assert_ok(go(&one, &two));
	expect_differences(&two, "");
	assert_true(is_free(TCP, "0.0.0.0", 80) && is_free(UDP, "::", 80));
	assert_false(is_free(TCP, "0.0.0.0", 81) || is_free(TCP, "0.0.0.0", 82));
	assert_ok(go(&two, &nothing));
	assert_true(is_free(TCP, "0.0.0.0", 81) && is_free(TCP, "0.0.0.0", 82));
}

/* Another address for the same port: the old one is in the way of the new. */
static void test_other_address(void **state)
{
	_plan_ struct plan one = { 0 }, any = { 0 };

	add_ports(&one, SB, UDP, "127.0.0.1", 80, 80);
	add_ports(&any, SB, UDP, "0.0.0.0", 80, 80);
	assert_ok(go(&nothing, &one));
	assert_ok(go(&one, &any));
	expect_differences(&any, "");
	assert_ok(go(&any, &one));
	expect_differences(&one, "");
	assert_ok(go(&one, &nothing));
}

/* The words are Docker's from the beginning on, and all is as it was. */
static void test_port_in_use(void **state)
{
	_plan_ struct plan before = { 0 }, after = { 0 };
	struct cnm_ip any = ip_of("0.0.0.0");
	_close_ int other = -1;

	assert_ok(hostport_hold(TCP, &any, 83, &other, &err));
	add_ports(&before, SB, TCP, "0.0.0.0", 80, 81);
	add_ports(&after, SB, TCP, "0.0.0.0", 81, 83);
	assert_int_equal(go(&nothing, &after), -EADDRINUSE);
	assert_string_equal(err.text,
			    "failed to bind host port 0.0.0.0:83/tcp: address already in use");
	assert_true(is_free(TCP, "0.0.0.0", 81) && is_free(TCP, "0.0.0.0", 82));
	assert_ok(go(&nothing, &before));
	assert_int_equal(go(&before, &after), -EADDRINUSE);
	expect_differences(&before, "");
	assert_true(is_free(TCP, "0.0.0.0", 82));
	assert_false(is_free(TCP, "0.0.0.0", 80) || is_free(TCP, "0.0.0.0", 81));
	assert_ok(go(&before, &nothing));
	assert_true(is_free(TCP, "0.0.0.0", 80));
}

/* They are held while there is no daemon, and known again to the next. */
static void test_restart(void **state)
{
	_plan_ struct plan p = { 0 };

	add_ports(&p, SB, TCP, "0.0.0.0", 80, 99);
	add_ports(&p, SB2, UDP, "::", 80, 80);
	assert_ok(go(&nothing, &p));
	close_applier();
	assert_false(is_free(TCP, "0.0.0.0", 80) || is_free(UDP, "::", 80));
	open_applier();
	expect_differences(&p, "");
	assert_ok(go(&p, &nothing));
	assert_true(is_free(TCP, "0.0.0.0", 80) && is_free(UDP, "::", 80));
	/* Nor does the keeper have them any more. */
	close_applier();
	open_applier();
	assert_true(is_free(TCP, "0.0.0.0", 80) && is_free(UDP, "::", 80));
}

/* A keeper that died is started anew, and given all there is. */
static void test_keeper_dies(void **state)
{
	_plan_ struct plan one = { 0 }, both = { 0 };
	struct pollfd gone;
	pid_t pid;

	add_ports(&one, SB, TCP, "0.0.0.0", 80, 80);
	add_ports(&both, SB, TCP, "0.0.0.0", 80, 80);
	add_ports(&both, SB2, UDP, "0.0.0.0", 80, 80);
	assert_ok(go(&nothing, &one));
	pid = fdkeep_pid(keeper);
	gone = (struct pollfd){ .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(poll(&gone, 1, -1), 1);
	close(gone.fd);
	assert_ok(go(&one, &both));
	close_applier();
	assert_false(is_free(TCP, "0.0.0.0", 80) || is_free(UDP, "0.0.0.0", 80));
	open_applier();
	expect_differences(&both, "");
	assert_ok(go(&both, &nothing));
}

static void note_log(int level, const char *line, void *arg)
{
	if (level == LOG_LEVEL_WARN)
		str_copy(logged, sizeof(logged), line);
}

/* Too many are not held, but looked at. */
static void test_many_ports(void **state)
{
	_plan_ struct plan few = { 0 }, most = { 0 }, many = { 0 };
	struct cnm_ip any = ip_of("0.0.0.0");
	_close_ int client = -1, server = -1;

	add_ports(&few, SB, UDP, "0.0.0.0", 30000, 30000);
	add_ports(&most, SB, UDP, "0.0.0.0", 30000, 30099);
	add_ports(&many, SB, UDP, "0.0.0.0", 30000, 50000);
	assert_ok(hostport_hold(UDP, &any, 40000, &client, &err));
	log_set_sink(note_log, NULL);
	assert_ok(go(&nothing, &many));
	log_set_sink(NULL, NULL);
	assert_string_equal(logged,
			    "sandbox aaaaaaaaaaaa: among the ports it publishes there are 1 "
			    "UDP socket, it is at port 40000: what comes for them goes to "
			    "the sandbox now");
	expect_differences(&many, "");
	assert_true(is_free(UDP, "0.0.0.0", 30000));
	assert_ok(go(&many, &most));
	expect_differences(&most, "");
	assert_false(is_free(UDP, "0.0.0.0", 30000) || is_free(UDP, "0.0.0.0", 30099));
	assert_ok(go(&most, &many));
	assert_true(is_free(UDP, "0.0.0.0", 30000));
	assert_ok(go(&many, &few));
	assert_ok(hostport_hold(UDP, &any, 30001, &server, &err));
	assert_int_equal(go(&few, &many), -EADDRINUSE);
	assert_string_equal(err.text,
			    "failed to bind host port 0.0.0.0:30001/udp: address already in use");
	expect_differences(&few, "");
	assert_false(is_free(UDP, "0.0.0.0", 30000));
	assert_ok(go(&few, &nothing));
}

/* ---- flows */

static const struct flow flows[] = {
	{ UDP, "192.0.2.50", 1000, "192.0.2.7", 80, "192.0.2.7", 80, NULL }, /* the host's own */
	{ UDP, "192.0.2.50", 1000, "192.0.2.7", 81, "192.0.2.7", 81, NULL },
	{ TCP, "192.0.2.50", 1000, "192.0.2.7", 80, "192.0.2.7", 80, NULL },
	{ UDP, "192.0.2.50", 1001, "192.0.2.7", 80, "172.17.0.2", 80, NULL }, /* published */
	{ UDP, "192.0.2.50", 1001, "192.0.2.7", 81, "172.17.0.2", 81, NULL },
	{ UDP, "192.0.2.50", 1001, "192.0.2.7", 82, "172.17.0.3", 82, NULL },
	{ UDP, "2001:db8::50", 1001, "2001:db8::7", 80, "fd00::2", 80, NULL },
};

/* Enter the flows, go from have to want, and see which have gone: a bit each. */
static void expect_deleted(const struct plan *have, const struct plan *want, unsigned gone)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct nl *nl;

	assert_ok(nl_open(&nl, NETLINK_NETFILTER, &err));
	for (unsigned i = 0; i < ARRAY_LEN(flows); i++) {
		struct ct_flow f = flow_of(&flows[i]);

		put_flow(&b, &f);
	}
	nl_batch_run(nl, &b, NULL);
	assert_ok(go(have, want));
	flows_wait_all(applier->flows);
	/* Those that are there still cannot be entered. */
	nl_batch_run(nl, &b, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(flows); i++)
		if (b.results[i] != (gone & 1 << i ? 0 : -EEXIST))
			fail_msg("flow %u: %d", i, b.results[i]);
	nl_close(nl);
}

static void test_flows(void **state)
{
	_plan_ struct plan one = { 0 }, two = { 0 }, moved = { 0 };
	const struct hostports ports[] = { { UDP, ip_of("0.0.0.0"), 80, 81 },
					   { UDP, ip_of("::"), 80, 80 },
					   { TCP, ip_of("0.0.0.0"), 80, 80 } };
	const struct cnm_ip targets[2] = { ip_of("172.17.0.2"), ip_of("fd00::2") },
			    others[2] = { ip_of("172.17.0.2"), ip_of("fd00::9") };

	add_ports(&one, SB, UDP, "0.0.0.0", 80, 80);
	plan_add_hold(&two, SB, ports, 3, targets);
	plan_add_hold(&moved, SB, ports, 3, others);
	expect_deleted(&nothing, &one, 1 << 0);
	expect_deleted(&one, &two, 1 << 1);
	expect_deleted(&two, &moved, 1 << 6);
	expect_deleted(&moved, &two, 0);
	expect_deleted(&two, &one, 1 << 4 | 1 << 6);
	expect_deleted(&one, &nothing, 1 << 3 | 1 << 4);
}

/* ---- links */

static struct plan_item *add_link_item(struct plan *p, const char *name, enum plan_link_type type,
				       unsigned mtu)
{
	struct plan_item *i = plan_add(p, PLAN_LINK, NULL, NET);

	str_copy(i->link.name, sizeof(i->link.name), name);
	i->link.type = type;
	i->link.mtu = mtu;
	i->link.mac = mac_of(type == PLAN_BRIDGE ? "02:00:00:00:00:01" : "02:00:00:00:00:02");
	return i;
}

static void build_links(struct plan *p, unsigned mtu, bool hairpin)
{
	struct plan_item *i = plan_add(p, PLAN_NETNS, SB, SB);

	i->netns.name = strdup("con1");
	i->netns.source = strdup("new");
	add_link_item(p, "br-t", PLAN_BRIDGE, mtu);
	i = add_link_item(p, "veth-t", PLAN_VETH, mtu);
	strcpy(i->link.master, "br-t");
	strcpy(i->link.peer, "eth0");
	strcpy(i->link.peer_sandbox, SB);
	i->link.peer_mac = mac_of("02:00:00:00:00:03");
	i->link.hairpin = hairpin;
	i = plan_add(p, PLAN_PEER, SB, NET);
	strcpy(i->peer.name, "eth0");
	i->peer.mac = mac_of("02:00:00:00:00:03");
	i->peer.mtu = mtu;
	i->peer.no_ipv6 = true;
}

static unsigned mtu_of_peer(void)
{
	char path[128];
	_close_ int ns = -1;
	struct nl *nl;
	unsigned mtu;

	snprintf(path, sizeof(path), "%s/con1", pins);
	assert_ok(netns_open_path(path, &ns, &err));
	nl = nl_in(ns);
	mtu = link_named(nl, "eth0").mtu;
	nl_close(nl);
	return mtu;
}

static void expect_links(const struct plan *p, unsigned mtu, bool hairpin)
{
	expect_differences(p, "");
	assert_int_equal(link_named(hnl, "br-t").mtu, mtu);
	assert_int_equal(link_named(hnl, "veth-t").mtu, mtu);
	assert_int_equal(mtu_of_peer(), mtu);
	assert_int_equal(link_named(hnl, "veth-t").port_hairpin, hairpin);
	assert_false(link_named(hnl, "br-t").port_hairpin);
}

static void test_links_change(void **state)
{
	static const struct {
		unsigned mtu, seen;
		bool hairpin;
	} steps[] = {
		{ 1400, 1400, true },  { 1300, 1300, true },  { 1450, 1450, false },
		{ 1000, 1000, false }, { 1400, 1400, false }, { 0, 1500, false },
		{ 9000, 9000, false }, { 9000, 9000, true },  { 0, 1500, true },
		{ 0, 1500, false },
	};
	struct plan have = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		struct plan want = { 0 };

		build_links(&want, steps[i].mtu, steps[i].hairpin);
		assert_ok(go(&have, &want));
		expect_links(&want, steps[i].seen, steps[i].hairpin);
		plan_free(&have);
		have = want;
	}
	assert_ok(go(&have, &nothing));
	plan_free(&have);
	assert_false(has_link(hnl, "br-t") || has_link(hnl, "veth-t"));
}

/* What others changed is seen, and put right. */
static void test_links_repaired(void **state)
{
	_plan_ struct plan p = { 0 };

	build_links(&p, 1400, true);
	assert_ok(go(&nothing, &p));
	sh_in(home, "ip link set br-t mtu 1300; bridge link set dev veth-t hairpin off;"
		    " ip link set veth-t mtu 1200");
	for (unsigned i = 0; i < 2; i++) {
		_plan_ struct plan have = { 0 };
		_diff_ struct plan_diff d = { 0 };

		applier_enter(applier);
		assert_ok(applier_dump(applier, &p, i ? SB : "", &have, &err));
		assert_int_equal(plan_diff(&have, &p, &d), 0);
		for (size_t k = 0; k < d.n; k++)
			if (d.ops[k].action == PLAN_CHANGE)
				d.ops[0] = d.ops[k];
		d.n = 1;
		assert_int_equal(d.ops[0].action, PLAN_CHANGE);
		if (applier_repair(applier, &d, &err))
			fail_msg("%s", err.text);
		applier_leave(applier);
	}
	expect_links(&p, 1400, true);
	assert_ok(go(&p, &nothing));
}

/* ---- elements */

static void build_elements(struct plan *p)
{
	struct cnm_ip host = ip_of("192.0.2.7"), con = ip_of("172.17.0.2"), con6 = ip_of("fd00::2"),
		      one = ip_of("::1"), ll = ip_of("fe80::1");
	struct cnm_mac mac = mac_of("02:00:00:00:00:01");

	plan_add_elemf(p, NULL, SB, "trusted", "br-1", "eth0");
	plan_add_elemf(p, NULL, SB, "foreign", 2, "drop");
	plan_add_elemf(p, NULL, SB, "pinholes4", &con, &host, TCP, 80, 90);
	plan_add_elemf(p, NULL, SB, "pub4", &host, TCP, 8080, &con, 80);
	plan_add_elemf(p, NULL, SB, "pub4any", UDP, 8080, &con, 80);
	plan_add_elemf(p, NULL, SB, "range4any", UDP, 10000, 60000, &con);
	plan_add_elemf(p, NULL, SB, "range6", &one, TCP, 10000, 10000, &con6);
	plan_add_elemf(p, NULL, SB, "proxied", &one, TCP, 80);
	plan_add_elemf(p, NULL, SB, "proxy", TCP, 40000);
	plan_add_elemf(p, NULL, SB, "src4", "veth1", &mac, &con);
	plan_add_elemf(p, NULL, SB, "nd6", "veth1", &mac, &ll);
}

static void test_elements(void **state)
{
	_plan_ struct plan p = { 0 };
	_free_ char *text = NULL;

	build_elements(&p);
	text = plan_text(&p);
	assert_string_equal(text,
			    "host: element trusted { br-1 . eth0 }\n"
			    "host: element foreign { ipv4 }: drop\n"
			    "host: element pinholes4 { 172.17.0.2 . 192.0.2.7 . tcp . 80-90 }\n"
			    "host: element pub4 { 192.0.2.7 . tcp . 8080 }: 172.17.0.2 . 80\n"
			    "host: element pub4any { udp . 8080 }: 172.17.0.2 . 80\n"
			    "host: element range4any { udp . 10000-60000 }: 172.17.0.2\n"
			    "host: element range6 { ::1 . tcp . 10000 }: fd00::2\n"
			    "host: element proxied { ::1 . tcp . 80 }\n"
			    "host: element proxy { tcp }: 40000\n"
			    "host: element src4 { veth1 . 02:00:00:00:00:01 . 172.17.0.2 }\n"
			    "host: element nd6 { veth1 . 02:00:00:00:00:01 . fe80::1 }\n");
	assert_ok(applier_load_ruleset(applier, &nothing, false, &err));
	assert_ok(go(&nothing, &p));
	expect_differences(&p, "");
	assert_ok(go(&p, &nothing));
	expect_differences(&nothing, "");
	assert_ok(applier_unload_ruleset(applier, &err));
}

/* Very many, and then something that fails: they go, and those of others stay. */
static void test_many_elements_undone(void **state)
{
	_plan_ struct plan before = { 0 }, after = { 0 };
	struct cnm_ip con = ip_of("172.17.0.2");

	plan_add_elemf(&before, NULL, SB2, "pub4any", UDP, 1, &con, 1);
	assert_ok(applier_load_ruleset(applier, &before, false, &err));
	for (int port = 1; port <= 10000; port++)
		plan_add_elemf(&after, NULL, SB, "pub4any", TCP, port, &con, port);
	plan_add_sysctl(&after, NULL, SB, "net/ipv4/conf/none-such/forwarding", "1");
	assert_int_equal(go(&nothing, &after), -ENOENT);
	assert_non_null(strstr(err.text, "none-such"));
	expect_differences(&before, "");
	after.n--; /* without the sysctl; its strings go with this: */
	free(after.items[after.n].sysctl.path);
	free(after.items[after.n].sysctl.value);
	assert_ok(go(&nothing, &after));
	expect_differences(&after, "- host: element pub4any { udp . 1 }: 172.17.0.2 . 1\n");
	assert_ok(applier_unload_ruleset(applier, &err));
}

/* ---- files that their users edit */

static const char *file_path(const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/sandboxes/" SB "/%s", dir, name);
	return path;
}

static void edit(const char *name, const char *text)
{
	FILE *f = fopen(file_path(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void expect_text(const char *name, const char *want)
{
	char text[256] = "";
	FILE *f = fopen(file_path(name), "r");

	if (!f)
		fail_msg("%s: %s", name, strerror(errno));
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	assert_string_equal(text, want);
}

/* hosts or resolv.conf alone. */
static void add_file(struct plan *p, const char *name, const char *text)
{
	plan_add_file(p, SB, SB, file_path(name), strdup(text),
		      streq(name, "hosts")      ? PLAN_EDITS_LINES
		      : streq(name, "hostname") ? PLAN_EDITS_NONE
						: PLAN_EDITS_ALL);
}

static void expect_changes(const struct plan *want, const char *name, bool any)
{
	_plan_ struct plan have = { 0 };
	_diff_ struct plan_diff d = { 0 };

	applier_enter(applier);
	assert_ok(applier_dump(applier, want, SB, &have, &err));
	applier_leave(applier);
	assert_int_equal(plan_diff(&have, want, &d), 0);
	assert_int_equal(d.n, any);
	assert_true(!any || streq(d.ops[0].want->file.path, file_path(name)));
}

/* What doctor does: read back, and mend. */
static void mend(const struct plan *want)
{
	_plan_ struct plan have = { 0 };
	_diff_ struct plan_diff d = { 0 };

	applier_enter(applier);
	assert_ok(applier_dump(applier, want, SB, &have, &err));
	assert_int_equal(plan_diff(&have, want, &d), 0);
	assert_int_equal(applier_repair(applier, &d, &err), 0);
	applier_leave(applier);
}

static void test_files_unedited(void **state)
{
	static const char *const names[] = { "hostname", "hosts", "resolv.conf" };
	_plan_ struct plan one = { 0 }, two = { 0 };
	struct stat before, after;

	applier_know(applier, SB, "con");
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		add_file(&one, names[i], "localhost\none\n");
		add_file(&two, names[i], "localhost\n");
	}
	assert_ok(go(&nothing, &one));
	expect_differences(&one, "");
	assert_return_code(stat(file_path("hosts"), &before), errno);
	assert_ok(go(&one, &two));
	expect_differences(&two, "");
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		expect_text(names[i], "localhost\n");
	expect_text(".hosts", "localhost\n");
	expect_text(".resolv.conf", "localhost\n");
	assert_int_equal(access(file_path(".hostname"), F_OK), -1);
	assert_return_code(stat(file_path("hosts"), &after), errno);
	assert_int_equal(before.st_ino, after.st_ino); /* it may be mounted */
	assert_int_equal(after.st_mode & 0777, 0644);
	/* What is gone is there again, and whole. */
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		assert_return_code(unlink(file_path(names[i])), errno);
	mend(&two);
	expect_differences(&two, "");
	assert_ok(go(&two, &nothing));
	assert_int_equal(access(file_path("."), F_OK), -1);
}

static void test_hosts_edited(void **state)
{
	_plan_ struct plan one = { 0 }, two = { 0 }, three = { 0 };

	applier_know(applier, SB, "con");
	add_file(&one, "hosts", "localhost\none\n");
	add_file(&two, "hosts", "localhost\none\ntwo\n");
	add_file(&three, "hosts", "localhost\ntwo\nthree\n");
	assert_ok(go(&nothing, &one));
	edit("hosts", "mine\none\n# end");
	expect_changes(&one, "hosts", false); /* nobody is to blame */
	mend(&one);
	expect_text("hosts", "mine\none\n# end");
	assert_ok(go(&one, &two));
	expect_text("hosts", "mine\none\n# end\ntwo\n");
	expect_changes(&two, "hosts", false);
	assert_ok(go(&two, &three));
	expect_text("hosts", "mine\n# end\ntwo\nthree\n");
	expect_text(".hosts", "localhost\ntwo\nthree\n");
	expect_changes(&three, "hosts", false);
	expect_changes(&two, "hosts", true);
	mend(&two); /* as after a change that was taken back */
	expect_text("hosts", "mine\n# end\ntwo\none\n");
	/* As we would have it again: ours. */
	edit("hosts", "localhost\none\ntwo\n");
	assert_ok(go(&two, &one));
	expect_text("hosts", "localhost\none\n");
	edit("hosts", "mine\n");
	assert_ok(go(&one, &nothing));
	assert_int_equal(access(file_path("."), F_OK), -1);
	/* Begun anew, it is whole. */
	assert_ok(go(&nothing, &one));
	expect_text("hosts", "localhost\none\n");
	assert_ok(go(&one, &nothing));
}

static void test_resolv_conf_edited(void **state)
{
	_plan_ struct plan one = { 0 }, two = { 0 };

	applier_know(applier, SB, "con");
	add_file(&one, "resolv.conf", "nameserver 10.0.0.1\n");
	add_file(&two, "resolv.conf", "nameserver 10.0.0.2\n");
	assert_ok(go(&nothing, &one));
	edit("resolv.conf", "");
	expect_changes(&one, "resolv.conf", false);
	assert_ok(go(&one, &two));
	expect_text("resolv.conf", "");
	expect_changes(&two, "resolv.conf", false);
	/* As we wrote it last: ours again. */
	edit("resolv.conf", "nameserver 10.0.0.1\n");
	expect_changes(&two, "resolv.conf", true);
	mend(&two);
	expect_text("resolv.conf", "nameserver 10.0.0.2\n");
	assert_ok(go(&two, &nothing));
}

/* More than anybody needs is left alone, and does not keep the file from going. */
static void test_files_too_large(void **state)
{
	_plan_ struct plan one = { 0 }, two = { 0 };

	applier_know(applier, SB, "con");
	add_file(&one, "hosts", "one\n");
	add_file(&one, "hostname", "one\n");
	add_file(&two, "hosts", "two\n");
	add_file(&two, "hostname", "two\n");
	assert_ok(go(&nothing, &one));
	assert_return_code(truncate(file_path("hosts"), 1ll << 40), errno);
	assert_return_code(truncate(file_path("hostname"), 1ll << 40), errno);
	expect_changes(&one, "hostname", true);
	assert_ok(go(&one, &two));
	expect_text("hostname", "two\n");
	expect_changes(&two, "hosts", false);
	assert_ok(go(&two, &nothing));
	assert_int_equal(access(file_path("."), F_OK), -1);
}

/* A later step fails: all is as before, with what users did. */
static void test_files_undone(void **state)
{
	_plan_ struct plan before = { 0 }, after = { 0 };

	applier_know(applier, SB, "con");
	add_file(&before, "hosts", "localhost\none\n");
	add_file(&before, "resolv.conf", "one\n");
	add_file(&after, "hosts", "localhost\ntwo\n");
	add_file(&after, "resolv.conf", "two\n");
	plan_add_sysctl(&after, NULL, SB, "net/ipv4/conf/none-such/forwarding", "1");
	assert_int_equal(go(&nothing, &after), -ENOENT);
	assert_int_equal(access(file_path("."), F_OK), -1);
	assert_ok(go(&nothing, &before));
	assert_int_equal(go(&before, &after), -ENOENT);
	expect_differences(&before, "");
	edit("hosts", "mine\none\n");
	edit("resolv.conf", "mine\n");
	assert_int_equal(go(&before, &after), -ENOENT);
	expect_text("hosts", "mine\none\n");
	expect_text("resolv.conf", "mine\n");
	expect_changes(&before, "hosts", false);
	assert_ok(go(&before, &nothing));
	assert_int_equal(access(file_path("."), F_OK), -1);
}

/*
 * What a daemon leaves that is killed between two steps of going from one to two; the next one
 * finishes that or takes it back.
 */
static void test_files_interrupted(void **state)
{
	static const struct {
		const char *base; /* NULL: none */
		size_t len;
		const char *hosts, *one, *two;
	} cases[] = {
#define CASE(base, hosts, one, two) { base, sizeof(base) - 1, hosts, one, two }
		{ NULL, 0, "local\none\n", "local\none\n", "local\ntwo\n" },
		{ NULL, 0, "local\ntwo\n\n", "local\none\n", "local\ntwo\n" },
		{ NULL, 0, "", "local\none\n", "local\ntwo\n" },
		CASE("", "local\ntwo\n", "local\none\n", "local\ntwo\n"),
		CASE("local\none\n\0me\none\n", "me\none\n", "me\none\n", "me\ntwo\n"),
		CASE("local\none\n\0me\none\n", "me\ntwo\n", "me\none\n", "me\ntwo\n"),
		CASE("local\none\n\0", "two\n", "", "two\n"),
	};

	applier_know(applier, SB, "con");
	for (unsigned i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		_plan_ struct plan one = { 0 }, want = { 0 };

		add_file(&one, "hosts", "local\none\n");
		add_file(&want, "hosts", i % 2 ? "local\none\n" : "local\ntwo\n");
		assert_ok(go(&nothing, &one));
		edit("hosts", cases[i / 2].hosts);
		assert_return_code(unlink(file_path(".hosts")), errno);
		if (cases[i / 2].base) {
			int fd = open(file_path(".hosts"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

			assert_int_equal(write(fd, cases[i / 2].base, cases[i / 2].len),
					 cases[i / 2].len);
			close(fd);
		}
		edit(".hosts.new", "was not finished\n");
		expect_changes(&want, "hosts", true);
		mend(&want);
		expect_text("hosts", i % 2 ? cases[i / 2].one : cases[i / 2].two);
		expect_text(".hosts", i % 2 ? "local\none\n" : "local\ntwo\n");
		expect_changes(&want, "hosts", false);
		assert_ok(go(&want, &nothing));
		assert_int_equal(access(file_path("."), F_OK), -1);
	}
}

/* What is left of a sandbox that nobody knows goes, whatever of it is left. */
static void test_files_stray(void **state)
{
	_plan_ struct plan one = { 0 };
	_diff_ struct plan_diff d = { 0 };
	_plan_ struct plan have = { 0 };

	add_file(&one, "hosts", "one\n");
	add_file(&one, "resolv.conf", "one\n");
	assert_ok(go(&nothing, &one));
	assert_return_code(unlink(file_path("hosts")), errno);
	edit(".hosts.new", "");
	applier_enter(applier);
	assert_ok(applier_dump(applier, &nothing, "", &have, &err));
	assert_int_equal(plan_diff(&have, &nothing, &d), 0);
	assert_int_equal(applier_repair(applier, &d, &err), 0);
	applier_leave(applier);
	assert_int_equal(access(file_path("."), F_OK), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hold),
		TEST(test_other_address),
		TEST(test_port_in_use),
		TEST(test_restart),
		TEST(test_keeper_dies),
		TEST(test_many_ports),
		TEST(test_flows),
		TEST(test_links_change),
		TEST(test_links_repaired),
		TEST(test_elements),
		TEST(test_many_elements_undone),
		TEST(test_files_unedited),
		TEST(test_hosts_edited),
		TEST(test_resolv_conf_edited),
		TEST(test_files_too_large),
		TEST(test_files_undone),
		TEST(test_files_interrupted),
		TEST(test_files_stray),
	};
	int r;

	if (!fixture_open())
		return 77;
	set_up(hnl, 1);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_close();
	return r;
}
