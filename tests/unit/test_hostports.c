/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports of the host, in a network namespace of its own: held ones against other sockets, other
 * processes that have one, and the kernel's answers broken in every way. Needs root; without it the
 * test is skipped (77).
 */
#include "rtnl_fixture.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "kernel/hostports_internal.h"
#include "kernel/netns.h"
#include "unit.h"

static struct cnm_error err;

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

/* ---- sockets of others */

struct other {
	uint8_t proto;
	const char *ip;
	uint16_t port;
	bool listening, v6only, reuse;
	const char *connected; /* to port 9 there */
};

static struct sockaddr_storage sockaddr_of(const char *text, uint16_t port)
{
	struct sockaddr_storage sa = { 0 };
	struct sockaddr_in *sa4 = (struct sockaddr_in *)&sa;
	struct sockaddr_in6 *sa6 = (struct sockaddr_in6 *)&sa;
	struct cnm_ip ip = ip_of(text);

	sa.ss_family = ip.family;
	if (ip.family == AF_INET) {
		memcpy(&sa4->sin_addr, ip.b, 4);
		sa4->sin_port = htons(port);
	} else {
		memcpy(&sa6->sin6_addr, ip.b, 16);
		sa6->sin6_port = htons(port);
	}
	return sa;
}

static int bind_other(const struct other *o)
{
	struct sockaddr_storage sa = sockaddr_of(o->ip, o->port);
	int only = o->v6only, reuse = o->reuse;
	int fd = socket(sa.ss_family, (o->proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM), 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) < 0 ||
	    (sa.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0) ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || (o->listening && listen(fd, 1) < 0))
		return -1;
	if (o->connected) {
		sa = sockaddr_of(o->connected, 9);
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
			return -1;
	}
	return fd;
}

/* A process called "holder" that has these sockets until it is ended. */
static pid_t start_holder(const struct other *others, unsigned n)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_return_code(pipe(ready), errno);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "holder");
		for (unsigned i = 0; i < n; i++)
			if (bind_other(&others[i]) < 0)
				_exit(1);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_holder(pid_t pid)
{
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- holding */

static int hold(uint8_t proto, const char *addr, uint16_t port)
{
	struct cnm_ip ip = ip_of(addr);
	int fd, r;

	memset(&err, 0, sizeof(err));
	r = hostport_hold(proto, &ip, port, &fd, &err);
	return r < 0 ? r : fd;
}

static void refuses(uint8_t proto, const char *addr, uint16_t port, int code, const char *text)
{
	int r = hold(proto, addr, port);

	if (r != code || strcmp(err.text, text) != 0)
		fail_msg("%d, \"%s\"; wanted %d, \"%s\"", r, err.text, code, text);
	assert_int_equal(err.class, CNM_E_INTERNAL);
	assert_int_equal(err.err, -code);
}

static void test_hold(void **state)
{
	static const struct {
		uint8_t proto;
		const char *ip, *text;
	} cases[] = {
		{ IPPROTO_TCP, "0.0.0.0", "0.0.0.0:80/tcp" },
		{ IPPROTO_UDP, "0.0.0.0", "0.0.0.0:80/udp" },
		{ IPPROTO_TCP, "::", "[::]:80/tcp" },
		{ IPPROTO_UDP, "::", "[::]:80/udp" },
		{ IPPROTO_TCP, "192.0.2.7", "192.0.2.7:80/tcp" },
		{ IPPROTO_UDP, "2001:db8::7", "[2001:db8::7]:80/udp" },
	};
	int fds[4];

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		char text[128];
		int fd = hold(cases[i].proto, cases[i].ip, 80), on;
		socklen_t size = sizeof(on);

		assert_ok(fd);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_ok(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size));
		assert_int_equal(on, cases[i].proto == IPPROTO_TCP);
		snprintf(text, sizeof(text), "failed to bind host port %s: address already in use",
			 cases[i].text);
		refuses(cases[i].proto, cases[i].ip, 80, -EADDRINUSE, text);
		close(fd);
	}
	/* Both families, both protocols, side by side. */
	for (unsigned i = 0; i < 4; i++)
		assert_ok(fds[i] = hold(cases[i].proto, cases[i].ip, 80));
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
}

static uint32_t drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(info);

	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size), errno);
	return info[SK_MEMINFO_DROPS];
}

/* A client is neither let in nor refused, whatever it sends. */
static void test_nothing_arrives(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };

	for (unsigned i = 0; i < 2; i++) {
		struct sockaddr_storage sa = sockaddr_of("127.0.0.1", 81);
		_close_ int held = hold(protos[i], "0.0.0.0", 81);
		_close_ int client = socket(
			AF_INET, (i ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		struct pollfd p = { .fd = held, .events = POLLIN };

		assert_ok(held);
		if (connect(client, (struct sockaddr *)&sa, sizeof(sa)) < 0)
			assert_int_equal(errno, EINPROGRESS);
		if (i)
			assert_int_equal(send(client, "x", 1, 0), 1);
		while (!drops(held))
			sched_yield();
		assert_int_equal(poll(&p, 1, 0), 0);
	}
}

static void test_address_of_nobody(void **state)
{
	refuses(IPPROTO_TCP, "192.0.2.99", 80, -EADDRNOTAVAIL,
		"failed to bind host port 192.0.2.99:80/tcp: cannot assign requested address: no "
		"interface of this host has 192.0.2.99");
	refuses(IPPROTO_UDP, "2001:db8::99", 80, -EADDRNOTAVAIL,
		"failed to bind host port [2001:db8::99]:80/udp: cannot assign requested address: no "
		"interface of this host has 2001:db8::99");
}

/* What another process has is refused with its name, in all that overlaps. */
static void test_owner(void **state)
{
	static const struct {
		struct other other;
		const char *ip; /* is asked for */
		bool refused;
	} cases[] = {
		{ { IPPROTO_TCP, "0.0.0.0", 82, .listening = true }, "0.0.0.0", true },
		{ { IPPROTO_TCP, "0.0.0.0", 82, .listening = true }, "192.0.2.7", true },
		{ { IPPROTO_TCP, "0.0.0.0", 82, .listening = true }, "::", false },
		{ { IPPROTO_TCP, "192.0.2.7", 82, .listening = true, .reuse = true },
		  "0.0.0.0",
		  true },
		{ { IPPROTO_TCP, "127.0.0.1", 82, .listening = true }, "192.0.2.7", false },
		{ { IPPROTO_TCP, "::", 82, .listening = true }, "0.0.0.0", true },
		{ { IPPROTO_TCP, "::", 82, .listening = true }, "127.0.0.1", true },
		{ { IPPROTO_TCP, "::", 82, .listening = true, .v6only = true }, "0.0.0.0", false },
		{ { IPPROTO_TCP, "::", 82, .listening = true, .v6only = true }, "::", true },
		{ { IPPROTO_TCP, "::ffff:192.0.2.7", 82, .listening = true }, "0.0.0.0", true },
		{ { IPPROTO_TCP, "::ffff:192.0.2.7", 82, .listening = true }, "::", false },
		{ { IPPROTO_UDP, "::", 82, .listening = false }, "192.0.2.7", true },
		{ { IPPROTO_UDP, "::", 82, .v6only = true }, "192.0.2.7", false },
		{ { IPPROTO_UDP, "0.0.0.0", 82, .reuse = true }, "0.0.0.0", true },
		{ { IPPROTO_UDP, "2001:db8::7", 82, .listening = false }, "::", true },
		{ { IPPROTO_UDP, "::1", 82, .listening = false }, "2001:db8::7", false },
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		pid_t pid = start_holder(&cases[i].other, 1);
		char want[64];
		int fd;

		snprintf(want, sizeof(want), " address already in use (holder, pid %d)", pid);
		fd = hold(cases[i].other.proto, cases[i].ip, 82);
		if (cases[i].refused ? fd != -EADDRINUSE || !strstr(err.text, want) : fd < 0)
			fail_msg("case %u: %d, %s", i, fd, err.text);
		close(fd);
		end_holder(pid);
		fd = hold(cases[i].other.proto, cases[i].ip, 82);
		assert_ok(fd);
		close(fd);
	}
}

/* A server that closes first leaves TIME_WAIT at its port. */
static void test_old_connections_are_not_in_the_way(void **state)
{
	const struct other o = { IPPROTO_TCP, "0.0.0.0", 83, .listening = true, .reuse = true };
	struct sockaddr_storage sa = sockaddr_of("127.0.0.1", 83);
	int server = bind_other(&o), client = socket(AF_INET, SOCK_STREAM, 0), conn;
	char byte;

	assert_return_code(connect(client, (struct sockaddr *)&sa, sizeof(sa)), errno);
	assert_return_code(conn = accept(server, NULL, NULL), errno);
	close(conn);
	close(server);
	assert_int_equal(read(client, &byte, 1), 0);
	close(client);
	assert_return_code(server = hold(IPPROTO_TCP, "0.0.0.0", 83), errno);
	close(server);
}

static void test_what_the_kernel_lacks(void **state)
{
	const struct cnm_ip any = { .family = AF_INET };
	struct cnm_error e = { .text = "untouched" };
	int fd = -1, r;

	assert_true(hostport_can_hold(IPPROTO_TCP, AF_INET));
	assert_true(hostport_can_hold(IPPROTO_UDP, AF_INET6));
	assert_true(hostports_have_ipv6());
	r = hostport_hold(132 /* SCTP */, &any, 84, &fd, &e);
	assert_int_equal(r == 0, hostport_can_hold(132, AF_INET));
	if (r < 0) {
		assert_int_equal(r, -EPROTONOSUPPORT);
		assert_string_equal(e.text, "untouched");
	} else {
		close(fd);
	}
}

/* ---- ranges */

static int check(uint8_t proto, const char *addr, uint16_t first, uint16_t last, unsigned *others,
		 char text[static 128])
{
	struct hostports range = { proto, ip_of(addr), first, last };

	memset(&err, 0, sizeof(err));
	return hostports_check(&range, 1, others, text, 128, &err);
}

static void test_check(void **state)
{
	static const struct other others[] = {
		{ IPPROTO_TCP, "127.0.0.1", 1080, .listening = true },
		{ IPPROTO_TCP, "0.0.0.0", 1081, .listening = false }, /* does not listen */
		{ IPPROTO_UDP, "::", 1082, .listening = false },
		{ IPPROTO_UDP, "192.0.2.7", 1083, .connected = "192.0.2.7" },
		{ IPPROTO_UDP, "0.0.0.0", 40000, .listening = false },
		{ IPPROTO_UDP, "0.0.0.0", 40001, .listening = false },
	};
	pid_t pid = start_holder(others, ARRAY_LEN(others));
	char text[128], want[160];
	unsigned n = 77;

	snprintf(
		want, sizeof(want),
		"failed to bind host port 0.0.0.0:1080/tcp: address already in use (holder, pid %d)",
		pid);
	assert_int_equal(check(IPPROTO_TCP, "0.0.0.0", 1000, 2000, &n, text), -EADDRINUSE);
	assert_string_equal(err.text, want);
	assert_int_equal(err.err, EADDRINUSE);
	assert_int_equal(n, 77);
	assert_int_equal(check(IPPROTO_TCP, "127.0.0.1", 1080, 1080, &n, text), -EADDRINUSE);
	assert_ok(check(IPPROTO_TCP, "192.0.2.7", 1000, 2000, &n, text));
	assert_ok(check(IPPROTO_TCP, "::", 1000, 2000, &n, text));
	assert_ok(check(IPPROTO_TCP, "0.0.0.0", 1081, 60000, &n, text));
	assert_int_equal(n, 0);
	assert_string_equal(text, "");
	assert_int_equal(check(IPPROTO_UDP, "127.0.0.1", 1082, 1082, &n, text), -EADDRINUSE);
	assert_int_equal(check(IPPROTO_UDP, "2001:db8::7", 1, 65535, &n, text), -EADDRINUSE);
	assert_ok(check(IPPROTO_UDP, "127.0.0.1", 1083, 1083, &n, text));
	assert_int_equal(n, 0);
	assert_ok(check(IPPROTO_UDP, "0.0.0.0", 1083, 1083, &n, text));
	snprintf(want, sizeof(want), "1 UDP socket, it is at port 1083 of holder, pid %d", pid);
	assert_string_equal(text, want);
	assert_ok(check(IPPROTO_UDP, "192.0.2.7", 1083, 65535, &n, text));
	assert_int_equal(n, 3);
	assert_non_null(strstr(text, "3 UDP sockets, one of them at port "));
	assert_non_null(strstr(text, " of holder, pid "));
	end_holder(pid);
	assert_ok(check(IPPROTO_UDP, "0.0.0.0", 1, 65535, &n, text));
	assert_int_equal(n, 0);
}

static void test_check_finds_our_own(void **state)
{
	int fd = hold(IPPROTO_TCP, "192.0.2.7", 1085);
	char text[128];
	unsigned n;

	assert_int_equal(check(IPPROTO_TCP, "0.0.0.0", 1, 65535, &n, text), -EADDRINUSE);
	assert_string_equal(err.text,
			    "failed to bind host port 0.0.0.0:1085/tcp: address already in use");
	close_fd(&fd);
}

static void test_check_address(void **state)
{
	char text[128];
	unsigned n;

	assert_int_equal(check(IPPROTO_TCP, "192.0.2.99", 1000, 2000, &n, text), -EADDRNOTAVAIL);
	assert_non_null(strstr(err.text, "192.0.2.99:1000/tcp"));
	assert_ok(check(IPPROTO_TCP, "192.0.2.7", 1000, 2000, &n, text));
	assert_ok(check(IPPROTO_TCP, "2001:db8::7", 1000, 2000, &n, text));
}

/* Very many ranges: the first and the last are looked at. */
static void test_check_many(void **state)
{
	enum { MANY = 20000 };
	_free_ struct hostports *ranges = calloc(MANY, sizeof(*ranges));
	static const struct other o = { IPPROTO_TCP, "0.0.0.0", 1 + 2 * (MANY - 1),
					.listening = true };
	_close_ int fd = bind_other(&o);
	char text[128];
	unsigned n;

	for (unsigned i = 0; i < MANY; i++)
		ranges[i] = (struct hostports){ IPPROTO_TCP, ip_of("0.0.0.0"),
						(uint16_t)(1 + 2 * i), (uint16_t)(1 + 2 * i) };
	assert_return_code(fd, errno);
	assert_ok(hostports_check(ranges, MANY - 1, &n, text, sizeof(text), &err));
	assert_int_equal(hostports_check(ranges, MANY, &n, text, sizeof(text), &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "0.0.0.0:39999/tcp"));
}

/* ---- looking */

static void test_look(void **state)
{
	static const struct other others[] = {
		{ IPPROTO_TCP, "127.0.0.1", 1090, .listening = true },
		{ IPPROTO_TCP, "::1", 1091, .listening = true },
		{ IPPROTO_UDP, "::", 1092, .listening = false },
		{ IPPROTO_UDP, "127.0.0.1", 1093, .connected = "127.0.0.1" },
	};
	_free_ struct hostports_used *u = malloc(sizeof(*u));
	pid_t pid = start_holder(others, ARRAY_LEN(others));

	assert_ok(sysctl_write(-1, "net/ipv4/ip_local_port_range", "30000 50000", &err));
	assert_ok(sysctl_write(-1, "net/ipv4/ip_local_reserved_ports", "1-3,30000,65535", &err));
	assert_ok(hostports_look(u, &err));
	assert_int_equal(u->first, 30000);
	assert_int_equal(u->last, 50000);
	for (unsigned p = 1; p <= UINT16_MAX; p++) {
		bool reserved = p <= 3 || p == 30000 || p == 65535;

		assert_int_equal(hostports_is_used(u, IPPROTO_TCP, (uint16_t)p),
				 p == 1090 || p == 1091);
		assert_int_equal(hostports_is_used(u, IPPROTO_UDP, (uint16_t)p),
				 p == 1092 || p == 1093);
		assert_int_equal(!!(u->reserved[p / 8] & 1 << p % 8), reserved);
	}
	end_holder(pid);
	assert_ok(sysctl_write(-1, "net/ipv4/ip_local_reserved_ports", "\n", &err));
	assert_ok(sysctl_write(-1, "net/ipv4/ip_local_port_range", "32768 60999", &err));
	assert_ok(hostports_look(u, &err));
	assert_false(hostports_is_used(u, IPPROTO_TCP, 1090));
	assert_int_equal(u->reserved[0], 0);
}

/* ---- broken answers */

static unsigned sample(char buf[static 256])
{
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	struct inet_diag_msg m = { .idiag_family = AF_INET6,
				   .idiag_state = TCP_LISTEN,
				   .id.idiag_sport = htons(80),
				   .idiag_inode = 5 };
	struct nlattr a = { .nla_len = 5, .nla_type = INET_DIAG_SKV6ONLY };

	memset(buf, 0, 256);
	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_len = (uint32_t)(NLMSG_HDRLEN + sizeof(m) + 8);
	memcpy(buf + NLMSG_HDRLEN, &m, sizeof(m));
	memcpy(buf + NLMSG_HDRLEN + sizeof(m), &a, sizeof(a));
	buf[NLMSG_HDRLEN + sizeof(m) + sizeof(a)] = 1;
	return h->nlmsg_len;
}

static bool parses(const char *buf, unsigned len, struct hostsock *s)
{
	_free_ char *exact = malloc(len); /* its end is watched */
	bool r;

	memcpy(exact, buf, len);
	((struct nlmsghdr *)exact)->nlmsg_len = len;
	r = hostsock_parse((struct nlmsghdr *)exact, s);
	return r;
}

static void test_broken_answers(void **state)
{
	struct hostsock s;
	char buf[256];
	unsigned len = sample(buf);

	assert_true(parses(buf, len, &s));
	assert_int_equal(s.port, 80);
	assert_true(s.listening && !s.dual && !s.connected);
	assert_int_equal(s.inode, 5);
	buf[len - 4] = 0;
	assert_true(parses(buf, len, &s) && s.dual);
	for (unsigned n = NLMSG_HDRLEN; n < len; n++)
		assert_int_equal(parses(buf, n, &s),
				 n >= NLMSG_HDRLEN + sizeof(struct inet_diag_msg));
	rng_seed();
	for (unsigned i = 0; i < 200000; i++) {
		len = sample(buf);
		for (unsigned k = 1 + rng(6); k > 0; k--)
			buf[4 + rng(len - 4)] = (char)rng(256);
		if (parses(buf, NLMSG_HDRLEN + rng(len - NLMSG_HDRLEN + 1), &s))
			assert_true(s.port && ip_bits(&s.ip));
	}
}

static void add_address(const char *text)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };
	struct cnm_prefix p = prefix_of(text);

	rtnl_put_addr(&b, true, 1, &p, true);
	run(hnl, &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_nothing_arrives),
		cmocka_unit_test(test_address_of_nobody),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_old_connections_are_not_in_the_way),
		cmocka_unit_test(test_what_the_kernel_lacks),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_check_finds_our_own),
		cmocka_unit_test(test_check_address),
		cmocka_unit_test(test_check_many),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_broken_answers),
	};
	int r;

	if (!fixture_open())
		return 77;
	set_up(hnl, 1);
	add_address("192.0.2.7/32");
	add_address("2001:db8::7/128");
	r = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_close();
	return r;
}
