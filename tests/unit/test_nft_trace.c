/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is told of traced packets, and the probes that cause some: needs root. The whole program
 * runs in a network namespace of its own, where only loopback is up; a second namespace has none of
 * it.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kernel/nft_trace.h"
#include "kernel/probe.h"

static struct cnm_error err;

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

/* ---- the text of rules */

static const char listing[] =
	"table inet cnm { # handle 1\n"
	"\tset brs { # handle 3\n"
	"\t\ttype ifname\n"
	"\t}\n"
	"\n"
	"\tchain user { # handle 1\n"
	"\t}\n"
	"\n"
	"\tchain forward { # handle 2\n"
	"\t\ttype filter hook forward priority filter; policy accept;\n"
	"\t\tjump user # handle 5\n"
	"\t\tiifname { \"a\", \"b\" } drop comment \"x # handle 3\" # handle 7\n"
	"\t}\n"
	"}\n"
	"table bridge cnm { # handle 9\n"
	"\tchain between { # handle 1\n"
	"\t\tdrop # handle 7\n"
	"\t}\n"
	"}\n";

static void test_rules(void **state)
{
	struct nft_rules r = { 0 };

	assert_ok(nft_rules_parse(&r, listing));
	assert_int_equal(r.n, 3);
	assert_string_equal(nft_rules_text(&r, "inet", "cnm", 5), "jump user");
	assert_string_equal(nft_rules_text(&r, "inet", "cnm", 7),
			    "iifname { \"a\", \"b\" } drop comment \"x # handle 3\"");
	assert_string_equal(nft_rules_text(&r, "bridge", "cnm", 7), "drop");
	assert_string_equal(nft_rules_text(&r, "bridge", "other", 7), "");
	assert_string_equal(nft_rules_text(&r, "inet", "cnm", 3), "");
	assert_string_equal(nft_rules_text(&r, "inet", "cnm", 0), "");
	nft_rules_free(&r);
}

static void test_no_rules(void **state)
{
	static const char *const texts[] = { "",          "\n\n",    "table",      "table inet",
					     "chain x {", "}\n}\n}", " # handle 5" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct nft_rules r = { 0 };

		assert_ok(nft_rules_parse(&r, texts[i]));
		assert_int_equal(r.n, 0);
		nft_rules_free(&r);
	}
}

/* ---- messages */

union message {
	struct nlmsghdr h;
	char room[1024];
};

static struct nlmsghdr *start(union message *m, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(m->room);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE;
	g->nfgen_family = family;
	mnl_attr_put_u32(h, NFTA_TRACE_ID, htonl(77));
	mnl_attr_put_strz(h, NFTA_TRACE_TABLE, "cnm");
	mnl_attr_put_strz(h, NFTA_TRACE_CHAIN, "fwd_in");
	return h;
}

static void put_verdict(struct nlmsghdr *h, int code, const char *chain)
{
	struct nlattr *nest = mnl_attr_nest_start(h, NFTA_TRACE_VERDICT);

	mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl((uint32_t)code));
	if (chain)
		mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(h, nest);
}

static void put_packet(struct nlmsghdr *h)
{
	static const uint8_t ip[20] = { 0x45, 0, 0,   40, 0, 0, 0,   0,  64, IPPROTO_TCP,
					0,    0, 172, 18, 0, 2, 172, 18, 0,  3 };
	static const uint8_t tcp[20] = { 0x9c, 0x40, 0, 80 };

	mnl_attr_put(h, NFTA_TRACE_NETWORK_HEADER, sizeof(ip), ip);
	mnl_attr_put(h, NFTA_TRACE_TRANSPORT_HEADER, sizeof(tcp), tcp);
	mnl_attr_put_u32(h, NFTA_TRACE_IIF, htonl(1));
	mnl_attr_put_u32(h, NFTA_TRACE_OIF, htonl(99999));
}

static void test_message(void **state)
{
	union message m = { 0 };
	struct nlmsghdr *h = start(&m, NFPROTO_INET);
	struct nft_trace_event e;
	char text[48];

	mnl_attr_put_u32(h, NFTA_TRACE_TYPE, htonl(NFT_TRACETYPE_RULE));
	mnl_attr_put_u64(h, NFTA_TRACE_RULE_HANDLE, htobe64(12));
	put_verdict(h, NF_DROP, NULL);
	put_packet(h);
	assert_true(nft_trace_parse(h, h->nlmsg_len, &e));
	assert_int_equal(e.id, 77);
	assert_string_equal(e.family, "inet");
	assert_string_equal(e.table, "cnm");
	assert_string_equal(e.chain, "fwd_in");
	assert_int_equal(e.type, NFT_TRACE_RULE);
	assert_int_equal(e.handle, 12);
	assert_string_equal(e.verdict, "drop");
	assert_true(e.described && e.packet.has_ports);
	assert_string_equal(ip_format(&e.packet.from, text), "172.18.0.2");
	assert_string_equal(ip_format(&e.packet.to, text), "172.18.0.3");
	assert_int_equal(e.packet.proto, IPPROTO_TCP);
	assert_int_equal(e.packet.sport, 40000);
	assert_int_equal(e.packet.dport, 80);
	assert_string_equal(e.packet.in, "lo");
	assert_string_equal(e.packet.out, "link 99999");
}

static void test_verdicts(void **state)
{
	static const struct {
		int code;
		const char *chain, *text;
	} cases[] = {
		{ NF_ACCEPT, NULL, "accept" },         { NF_DROP | 1 << 16, NULL, "drop" },
		{ NF_QUEUE | 3 << 16, NULL, "queue" }, { NFT_CONTINUE, NULL, "continue" },
		{ NFT_RETURN, NULL, "return" },        { NFT_JUMP, "user", "jump user" },
		{ NFT_GOTO, "fwd_in", "goto fwd_in" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		union message m = { 0 };
		struct nlmsghdr *h = start(&m, NFPROTO_BRIDGE);
		struct nft_trace_event e;

		mnl_attr_put_u32(h, NFTA_TRACE_TYPE, htonl(NFT_TRACETYPE_RULE));
		put_verdict(h, cases[i].code, cases[i].chain);
		assert_true(nft_trace_parse(h, h->nlmsg_len, &e));
		assert_string_equal(e.family, "bridge");
		assert_string_equal(e.verdict, cases[i].text);
		assert_false(e.described);
	}
}

static void test_policy(void **state)
{
	union message m = { 0 };
	struct nlmsghdr *h = start(&m, NFPROTO_IPV6);
	struct nft_trace_event e;

	mnl_attr_put_u32(h, NFTA_TRACE_TYPE, htonl(NFT_TRACETYPE_POLICY));
	mnl_attr_put_u32(h, NFTA_TRACE_POLICY, htonl(NF_DROP));
	assert_true(nft_trace_parse(h, h->nlmsg_len, &e));
	assert_string_equal(e.family, "ip6");
	assert_int_equal(e.type, NFT_TRACE_POLICY);
	assert_string_equal(e.verdict, "drop");
}

/* Whatever is cut off or changed, reading stays within the bytes there are. */
static void test_hostile(void **state)
{
	union message m = { 0 };
	struct nlmsghdr *h = start(&m, NFPROTO_INET);
	struct nft_trace_event e;
	size_t len;

	mnl_attr_put_u32(h, NFTA_TRACE_TYPE, htonl(NFT_TRACETYPE_RULE));
	put_verdict(h, NFT_JUMP, "user");
	put_packet(h);
	len = h->nlmsg_len;
	rng_seed();
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = rng(2) ? len : rng((uint32_t)len + 1);
		_free_ char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, m.room, n);
		for (unsigned k = rng(4); k && n; k--)
			copy[rng((uint32_t)n)] = (char)rng(256);
		if (n >= sizeof(*h) && rng(2))
			((struct nlmsghdr *)copy)->nlmsg_len = (uint32_t)n;
		nft_trace_parse(copy, n, &e);
	}
}

/* ---- real packets */

static void sh(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

struct heard {
	const struct nft_rules *rules;
	bool accepted, dropped;
	struct nft_trace_packet packet;
	uint32_t id;
};

static int hear(const struct nft_trace_event *e, void *arg)
{
	struct heard *h = arg;

	assert_string_equal(e->table, "t");
	if (e->described)
		h->packet = e->packet;
	if (e->type == NFT_TRACE_POLICY && streq(e->chain, "out") && streq(e->verdict, "accept")) {
		h->accepted = true;
		h->id = e->id;
	}
	if (streq(e->verdict, "drop")) {
		assert_string_equal(nft_rules_text(h->rules, e->family, e->table, e->handle),
				    "udp dport 9 drop");
		h->dropped = true;
	}
	return 0;
}

static void test_traced(void **state)
{
	const struct probe to = { { AF_INET, { 127, 0, 0, 1 } }, IPPROTO_UDP, 9 };
	struct nft_rules rules = { 0 };
	struct heard h = { .rules = &rules };
	enum probe_result result;
	struct nft_trace *t;
	unsigned which;
	bool lost = false;

	sh("nft 'table inet t { chain out { type filter hook output priority 0; "
	   "udp dport 9 meta nftrace set 1; }; chain in { type filter hook input priority 0; "
	   "udp dport 9 drop; }; }'");
	assert_ok(nft_rules_read(&rules, &err));
	assert_ok(nft_trace_open(&t, &err));
	assert_ok(probe_run(-1, &to, 1, 50, &result, &which, &err));
	assert_int_equal(result, PROBE_SILENT);
	while (!h.dropped) {
		struct pollfd p = { .fd = nft_trace_fd(t), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_ok(nft_trace_read(t, hear, &h, &lost));
	}
	assert_true(h.accepted);
	assert_false(lost);
	assert_true(h.packet.has_ports);
	assert_int_equal(h.packet.dport, 9);
	nft_trace_close(t);
	nft_rules_free(&rules);
	sh("nft delete table inet t");
}

/* ---- probes */

static enum probe_result probe(const struct probe *p, unsigned n, unsigned *ret_which)
{
	enum probe_result result;

	assert_ok(probe_run(-1, p, n, 2000, &result, ret_which, &err));
	return result;
}

static void test_probe_echo(void **state)
{
	struct probe p[] = { { .to = { AF_INET, { 192, 0, 2, 1 } } },
			     { .to = { AF_INET, { 127, 0, 0, 1 } } } };
	unsigned which;

	assert_int_equal(probe(p, 2, &which), PROBE_ANSWERED);
	assert_int_equal(which, 1);
	p[0].to = (struct cnm_ip){ AF_INET6, { [15] = 1 } };
	assert_int_equal(probe(p, 1, &which), PROBE_ANSWERED);
	assert_int_equal(which, 0);
}

static void test_probe_ports(void **state)
{
	_close_ int tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(a);
	struct probe p = { .to = { AF_INET, { 127, 0, 0, 1 } }, .proto = IPPROTO_TCP };
	unsigned which;

	assert_int_equal(bind(tcp, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(tcp, 1), 0);
	assert_int_equal(getsockname(tcp, (struct sockaddr *)&a, &len), 0);
	p.port = ntohs(a.sin6_port);
	assert_int_equal(probe(&p, 1, &which), PROBE_ANSWERED);
	close_fd(&tcp);
	assert_int_equal(probe(&p, 1, &which), PROBE_REFUSED);
	p.proto = IPPROTO_UDP;
	assert_int_equal(probe(&p, 1, &which), PROBE_REFUSED);
	p.to = (struct cnm_ip){ AF_INET, { 192, 0, 2, 1 } };
	assert_int_equal(probe(&p, 1, &which), PROBE_UNREACHABLE);
}

static void test_probe_elsewhere(void **state)
{
	const struct probe p = { .to = { AF_INET, { 127, 0, 0, 1 } } };
	_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), ns = -1;
	enum probe_result result;
	unsigned which;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	assert_ok(probe_run(ns, &p, 1, 2000, &result, &which, &err));
	assert_int_equal(result, PROBE_UNREACHABLE); /* its loopback is down */
}

static void test_route(void **state)
{
	const struct cnm_ip local = { AF_INET, { 127, 0, 0, 1 } },
			    far = { AF_INET, { 192, 0, 2, 1 } };
	const struct cnm_ip near = { AF_INET, { 198, 51, 100, 9 } };
	struct probe_route r;
	char text[48];

	assert_ok(probe_route(NULL, &local, &r, &err));
	assert_true(r.found && r.local);
	assert_ok(probe_route(NULL, &far, &r, &err));
	assert_false(r.found);
	sh("ip link add d0 type veth peer name d1 && ip addr add 198.51.100.1/24 dev d0 && ip link set d0 up && ip link set d1 up");
	assert_ok(probe_route(NULL, &near, &r, &err));
	assert_true(r.found && !r.local);
	assert_string_equal(r.link, "d0");
	assert_string_equal(ip_format(&r.source, text), "198.51.100.1");
	sh("ip link del d0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),       cmocka_unit_test(test_no_rules),
		cmocka_unit_test(test_message),     cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_policy),      cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_traced),      cmocka_unit_test(test_probe_echo),
		cmocka_unit_test(test_probe_ports), cmocka_unit_test(test_probe_elsewhere),
		cmocka_unit_test(test_route),
	};

	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	if (unshare(CLONE_NEWNET) < 0) {
		perror("unshare");
		return 1;
	}
	sh("ip link set lo up");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
