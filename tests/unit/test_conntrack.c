/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection table of a network namespace of its own: flows entered there, flows of real
 * datagrams that are redirected, and the kernel's answers broken in every way. Needs root; without
 * it the test is skipped (77).
 */
#include "rtnl_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "conntrack_fixture.h"
#include "kernel/netns.h"
#include "unit.h"

static struct cnm_error err;
static struct conntrack *ct;
static struct nl *cnl; /* to enter flows, and look for them */

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

/* ---- flows */

static void enter_flows(const struct flow *flows, unsigned n)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };

	for (unsigned i = 0; i < n; i++) {
		struct ct_flow f = flow_of(&flows[i]);

		put_flow(&b, &f);
	}
	run(cnl, &b);
}

static int ignore(const struct nlmsghdr *h, void *arg)
{
	return 0;
}

static bool exists(const struct flow *flow)
{
	struct ct_flow f = flow_of(flow);
	char room[512] __attribute__((aligned(4)));
	struct nlmsghdr *h = ct_start(room, IPCTNL_MSG_CT_GET, NLM_F_ACK, f.orig.src.family);
	int r;

	ct_put_tuple(h, CTA_TUPLE_ORIG, &f.orig, WHOLE);
	r = nl_request(cnl, h, ignore, NULL, NULL, NULL);
	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

static long count_flows(void)
{
	char text[32];

	assert_ok(sysctl_read(-1, "net/netfilter/nf_conntrack_count", text, sizeof(text), &err));
	return strtol(text, NULL, 10);
}

static unsigned flush(const struct conntrack_match *m, unsigned n)
{
	unsigned deleted = 77;

	assert_ok(conntrack_flush(ct, m, n, &deleted, &err));
	return deleted;
}

static int flush_all(void **state)
{
	const struct conntrack_match all[] = { { .family = AF_INET }, { .family = AF_INET6 } };

	flush(all, 2);
	return count_flows() == 0 ? 0 : -1;
}

/* ---- deleting */

static const struct flow flows[] = {
	/* 0: published, to two containers */
	{ TCP, "192.0.2.50", 1000, "192.0.2.7", 8080, "172.17.0.2", 80, NULL },
	{ TCP, "192.0.2.50", 1001, "192.0.2.7", 8081, "172.17.0.3", 80, NULL },
	{ UDP, "192.0.2.50", 1002, "192.0.2.7", 8080, "172.17.0.2", 80, NULL },
	{ UDP, "192.0.2.50", 1003, "192.0.2.8", 8080, "172.17.0.2", 8080, NULL },
	/* 4: at the host itself */
	{ UDP, "192.0.2.50", 1004, "192.0.2.7", 8080, "192.0.2.7", 8080, NULL },
	{ TCP, "192.0.2.50", 1005, "192.0.2.7", 8080, "192.0.2.7", 8080, NULL },
	/* 6: from a container to the world, masqueraded; and to it directly */
	{ UDP, "172.17.0.2", 1006, "192.0.2.99", 8080, "192.0.2.99", 8080, "192.0.2.7" },
	{ TCP, "172.17.0.1", 1007, "172.17.0.2", 8080, "172.17.0.2", 8080, NULL },
	/* 8: IPv6 */
	{ TCP, "2001:db8::50", 1000, "2001:db8::7", 8080, "fd00::2", 80, NULL },
	{ UDP, "2001:db8::50", 1001, "2001:db8::7", 8080, "2001:db8::7", 8080, NULL },
};

static void test_flush(void **state)
{
	const struct cnm_ip host = ip_of("192.0.2.7"), con = ip_of("172.17.0.2"),
			    con6 = ip_of("fd00::2");
	const struct {
		struct conntrack_match m;
		unsigned gone; /* a bit a flow */
	} cases[] = {
		{ { TCP, AF_INET, .first = 8080, .last = 8080 }, 1 << 0 | 1 << 5 | 1 << 7 },
		{ { TCP, AF_INET, .first = 8080, .last = 8081 },
		  1 << 0 | 1 << 1 | 1 << 5 | 1 << 7 },
		{ { TCP, AF_INET, .first = 8081, .last = 65535 }, 1 << 1 },
		{ { TCP, AF_INET, .last = 8079 }, 0 },
		{ { UDP, AF_INET, .last = 65535 }, 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 },
		{ { UDP, AF_INET, .to = host, .last = 65535 }, 1 << 2 | 1 << 4 },
		{ { UDP, AF_INET, .from = con, .last = 65535 }, 1 << 2 | 1 << 3 },
		{ { UDP, AF_INET, .to = host, .from = con, .last = 65535 }, 1 << 2 },
		{ { TCP, AF_INET, .from = con, .last = 65535 }, 1 << 0 | 1 << 7 },
		{ { TCP, AF_INET, .from = con, .last = 65535, .nat = true }, 1 << 0 },
		{ { UDP, AF_INET, .first = 8080, .last = 8080, .not_nat = true }, 1 << 4 },
		{ { UDP, AF_INET, .last = 65535, .nat = true }, 1 << 2 | 1 << 3 },
		{ { 0, AF_INET, .from = con }, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 7 },
		{ { 0, AF_INET, .from = con, .first = 9, .last = 9, .nat = true },
		  1 << 0 | 1 << 2 | 1 << 3 },
		{ { 0, AF_INET6, .from = con6 }, 1 << 8 },
		{ { UDP, AF_INET6, .last = 65535, .not_nat = true }, 1 << 9 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		enter_flows(flows, ARRAY_LEN(flows));
		assert_int_equal(flush(&cases[i].m, 1), __builtin_popcount(cases[i].gone));
		for (unsigned k = 0; k < ARRAY_LEN(flows); k++)
			if (exists(&flows[k]) == !!(cases[i].gone & 1 << k))
				fail_msg("match %u: flow %u is%s there", i, k,
					 exists(&flows[k]) ? "" : " not");
		assert_int_equal(flush(&cases[i].m, 1), 0);
		assert_int_equal(flush_all(NULL), 0);
	}
}

/* Matches of several families and protocols at once; a flow that two agree with is one. */
static void test_several(void **state)
{
	const struct conntrack_match m[] = {
		{ UDP, AF_INET, .to = ip_of("192.0.2.8"), .last = 65535 },
		{ TCP, AF_INET6, .from = ip_of("fd00::2"), .last = 65535 },
		{ UDP, AF_INET, .to = ip_of("192.0.2.7"), .first = 8080, .last = 8080,
		  .nat = true },
		{ TCP, AF_INET, .first = 8081, .last = 8081 },
		{ UDP, AF_INET, .from = ip_of("172.17.0.2"), .last = 65535 },
	};

	enter_flows(flows, ARRAY_LEN(flows));
	assert_int_equal(flush(m, 0), 0);
	assert_int_equal(count_flows(), ARRAY_LEN(flows));
	assert_int_equal(flush(m, ARRAY_LEN(m)), 4);
	assert_false(exists(&flows[1]) || exists(&flows[2]) || exists(&flows[3]) ||
		     exists(&flows[8]));
	assert_int_equal(count_flows(), ARRAY_LEN(flows) - 4);
}

/* Both families in one dump: each match keeps to its own. */
static void test_families(void **state)
{
	const struct conntrack_match m[] = {
		{ UDP, AF_INET, .first = 8080, .last = 8080, .not_nat = true },
		{ UDP, AF_INET6, .first = 9, .last = 9 },
	};

	enter_flows(flows, ARRAY_LEN(flows));
	assert_int_equal(flush(m, ARRAY_LEN(m)), 1);
	assert_false(exists(&flows[4]));
	assert_true(exists(&flows[9]));
}

/* More than fit one datagram, and many matches of which the last one agrees. */
static void test_many(void **state)
{
	enum { FLOWS = 3000, MATCHES = 20000 };
	_free_ struct conntrack_match *m = calloc(MATCHES, sizeof(*m));
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct ct_flow f = flow_of(&flows[0]);

	for (unsigned i = 0; i < FLOWS; i++) {
		f.orig.src_port = f.reply.dst_port = (uint16_t)(1000 + i);
		f.orig.dst_port = (uint16_t)(30000 + i % 2);
		put_flow(&b, &f);
	}
	run(cnl, &b);
	for (unsigned i = 0; i < MATCHES; i++)
		m[i] = (struct conntrack_match){ TCP, AF_INET, .first = (uint16_t)(10002 + i),
						 .last = (uint16_t)(10002 + i) };
	m[MATCHES - 1].first = m[MATCHES - 1].last = 30001;
	assert_int_equal(flush(m, MATCHES), FLOWS);
	m[MATCHES - 1].from = ip_of("172.17.0.9");
	m[0].first = m[0].last = 30000;
	assert_int_equal(flush(m, MATCHES), 0);
	assert_int_equal(count_flows(), 0);
}

/* ---- datagrams that are redirected */

static int udp_socket(const char *text, uint16_t port, struct cnm_ip *ret_ip, uint16_t *ret_port)
{
	struct cnm_ip ip = ip_of(text);
	struct sockaddr_in sa4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 sa6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	bool is4 = ip.family == AF_INET;
	struct sockaddr *sa = is4 ? (struct sockaddr *)&sa4 : (struct sockaddr *)&sa6;
	socklen_t size = is4 ? sizeof(sa4) : sizeof(sa6);
	int fd = socket(ip.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(is4 ? (void *)&sa4.sin_addr : (void *)&sa6.sin6_addr, ip.b, is4 ? 4 : 16);
	assert_return_code(bind(fd, sa, size), errno);
	assert_return_code(getsockname(fd, sa, &size), errno);
	*ret_ip = ip;
	*ret_port = ntohs(is4 ? sa4.sin_port : sa6.sin6_port);
	return fd;
}

static void send_to(int fd, const struct cnm_ip *ip, uint16_t port)
{
	struct sockaddr_in sa4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 sa6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	bool is4 = ip->family == AF_INET;

	memcpy(is4 ? (void *)&sa4.sin_addr : (void *)&sa6.sin6_addr, ip->b, is4 ? 4 : 16);
	assert_int_equal(sendto(fd, "x", 1, 0,
				is4 ? (struct sockaddr *)&sa4 : (struct sockaddr *)&sa6,
				is4 ? sizeof(sa4) : sizeof(sa6)),
			 1);
}

static void test_original(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };

	sh_in(home, "nft 'table inet t { chain c { type nat hook output priority -100;"
		    " udp dport 5000 redirect to :5001; }; }'");
	for (unsigned i = 0; i < 2; i++) {
		struct cnm_ip host, peer, got;
		uint16_t port, peer_port, got_port;
		_close_ int server = udp_socket(hosts[i], 5001, &host, &port);
		_close_ int client = udp_socket(hosts[i], 0, &peer, &peer_port);
		char byte;

		assert_int_equal(
			conntrack_original(ct, UDP, &host, 5001, &peer, peer_port, &got, &got_port),
			-ENOENT);
		send_to(client, &host, 5000);
		assert_int_equal(recv(server, &byte, 1, 0), 1);
		assert_ok(conntrack_original(ct, UDP, &host, 5001, &peer, peer_port, &got,
					     &got_port));
		assert_true(ip_eq(&got, &host));
		assert_int_equal(got_port, 5000);
		/* The other way round it is a flow of the kernel's, too, but not that one. */
		assert_int_equal(
			conntrack_original(ct, UDP, &peer, peer_port, &host, 5000, &got, &got_port),
			-ENOENT);
		assert_int_equal(
			conntrack_original(ct, TCP, &host, 5001, &peer, peer_port, &got, &got_port),
			-ENOENT);
		flush_all(NULL);
		send_to(client, &host, 5001);
		assert_int_equal(recv(server, &byte, 1, 0), 1);
		assert_int_equal(
			conntrack_original(ct, UDP, &host, 5001, &peer, peer_port, &got, &got_port),
			-ENOENT);
	}
	sh_in(home, "nft delete table inet t");
}

/* ---- broken answers */

static unsigned sample(char buf[static 512])
{
	struct ct_flow f = flow_of(&flows[0]);
	struct nlmsghdr *h;

	memset(buf, 0, 512);
	h = ct_start(buf, IPCTNL_MSG_CT_NEW, 0, AF_INET);
	ct_put_tuple(h, CTA_TUPLE_ORIG, &f.orig, WHOLE);
	ct_put_tuple(h, CTA_TUPLE_REPLY, &f.reply, WHOLE);
	mnl_attr_put_u32(h, CTA_ID, 7);
	return h->nlmsg_len;
}

static bool parses(const char *buf, unsigned len)
{
	_free_ char *exact = malloc(len); /* its end is watched */
	struct ct_flow f;
	bool r;

	memcpy(exact, buf, len);
	((struct nlmsghdr *)exact)->nlmsg_len = len;
	r = ct_parse((struct nlmsghdr *)exact, &f);
	if (r)
		assert_true(ip_bits(&f.orig.dst) && ip_bits(&f.reply.src) && f.key[0]);
	return r;
}

static void test_broken_answers(void **state)
{
	char buf[512];
	unsigned len = sample(buf);

	assert_true(parses(buf, len));
	for (unsigned n = NLMSG_HDRLEN; n < len - 8; n++)
		assert_false(parses(buf, n));
	rng_seed();
	for (unsigned i = 0; i < 200000; i++) {
		len = sample(buf);
		for (unsigned k = 1 + rng(6); k > 0; k--)
			buf[4 + rng(len - 4)] = (char)rng(256);
		parses(buf, NLMSG_HDRLEN + rng(len - NLMSG_HDRLEN + 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_flush, flush_all),
		cmocka_unit_test_teardown(test_several, flush_all),
		cmocka_unit_test_teardown(test_families, flush_all),
		cmocka_unit_test_teardown(test_many, flush_all),
		cmocka_unit_test_teardown(test_original, flush_all),
		cmocka_unit_test(test_broken_answers),
	};
	int r;

	if (!fixture_open())
		return 77;
	set_up(hnl, 1);
	if (conntrack_open(&ct, &err) < 0 || nl_open(&cnl, NETLINK_NETFILTER, &err) < 0)
		abort();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	conntrack_close(ct);
	nl_close(cnl);
	fixture_close();
	return r;
}
