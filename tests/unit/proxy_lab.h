/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What test_proxy.c experiments with: a network and a mount namespace of the program's own, the
 * host; `far`, another one behind a veth; and for each test a proxy, a keeper (CNM_KEEPER, or where
 * the build puts it) and a firewall, the real ones. The firewall redirects ports 8000 to 8099 to
 * the proxy, at every address of the host; expose() says where each of them leads.
 */
#ifndef TESTS_UNIT_PROXY_LAB_H
#define TESTS_UNIT_PROXY_LAB_H

#include "fdkeep_fixture.h"
#include "nft_fixture.h"
#include "unit.h"

#include <dirent.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel/conntrack.h"
#include "proxy/proxy.h"
#include "addr_fixture.h"

#define FIRST   8000
#define PORTS   100
#define WAIT_MS 20000
#define MB      (1 << 20)

/* ---- time that moves on as the test says, once it has said so */

static atomic_llong frozen_ns; /* 0: real time */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	long long ns = atomic_load(&frozen_ns);

	if (id != CLOCK_MONOTONIC || !ns)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = ns / 1000000000;
	ts->tv_nsec = ns % 1000000000;
	return 0;
}

static void freeze(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	atomic_store(&frozen_ns, ts.tv_sec * 1000000000LL + ts.tv_nsec);
}

static void pass(unsigned seconds)
{
	atomic_fetch_add(&frozen_ns, seconds * 1000000000LL);
}

/* ---- the world */

#define HOME4 "10.9.0.1"
#define HOME6 "fd00:9::1"
#define FAR4  "10.9.0.2"
#define FAR6  "fd00:9::2"

static int far = -1; /* a namespace; -1 is the host */
static char program[PATH_MAX];
static struct fdkeep *keep;
static struct proxy *proxy;

/* Where the ports lead, as the proxy's thread reads it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct target {
	uint8_t proto;
	struct cnm_ip ip; /* unset: nowhere */
	uint16_t port;
} targets[PORTS];
static unsigned asked;

static int find(void *arg, uint8_t proto, const struct cnm_ip *to, uint16_t port,
		struct cnm_ip *ret_ip, uint16_t *ret_port)
{
	LOCKED(&lock);
	const struct target *t = &targets[(port - FIRST) % PORTS];

	asked++;
	if (port < FIRST || port >= FIRST + PORTS || t->proto != proto || !ip_is_set(&t->ip) ||
	    to->family != AF_INET6)
		return -ENOENT;
	*ret_ip = t->ip;
	*ret_port = t->port;
	return 0;
}

static unsigned times_asked(void)
{
	LOCKED(&lock);

	return asked;
}

static void start_proxy(void)
{
	assert_ok(fdkeep_open(&keep, dir, program, &err));
	assert_ok(proxy_new(&proxy, &(struct proxy_options){ .fdkeep = keep, .find = find }, &err));
	assert_int_not_equal(proxy_port(proxy, IPPROTO_TCP), 0);
	assert_int_not_equal(proxy_port(proxy, IPPROTO_UDP), 0);
}

static void stop_proxy(void)
{
	proxy_free(take_ptr(proxy));
	fdkeep_close(take_ptr(keep));
}

static struct nft_elem to_port(uint8_t proto)
{
	char text[32];

	snprintf(text, sizeof(text), "%s : %u", proto == IPPROTO_TCP ? "tcp" : "udp",
		 proxy_port(proxy, proto));
	return elem("proxy", text);
}

static rlim_t usual_fds;

static rlim_t fd_limit(void)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	return l.rlim_cur;
}

static bool try_fd_limit(rlim_t n)
{
	struct rlimit l;

	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = n;
	if (l.rlim_max < n)
		l.rlim_max = n; /* with CAP_SYS_RESOURCE */
	return setrlimit(RLIMIT_NOFILE, &l) == 0;
}

static void set_fd_limit(rlim_t n)
{
	assert_true(try_fd_limit(n));
}

static unsigned fds_before;

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Each test has a proxy, a keeper and a firewall of its own. */
static int begin(void **state)
{
	struct nft_elem e[4];

	fds_before = count_fds();
	if (make_dir(state) < 0 || setup(state) < 0)
		return -1;
	memset(targets, 0, sizeof(targets));
	start_proxy();
	e[0] = elem("proxiedrangeany", "tcp . 8000-8099");
	e[1] = elem("proxiedrangeany", "udp . 8000-8099");
	e[2] = to_port(IPPROTO_TCP);
	e[3] = to_port(IPPROTO_UDP);
	assert_ok(nft_change(nft, e, 4, NULL, 0, &err));
	return 0;
}

/* Their ports may be chosen again in the next test, where the proxy has others. */
static void forget_connections(void)
{
	const struct conntrack_match all[] = { { .family = AF_INET6 } };
	struct conntrack *ct;
	unsigned n;

	assert_ok(conntrack_open(&ct, &err));
	assert_ok(conntrack_flush(ct, all, 1, &n, &err));
	conntrack_close(ct);
}

static int end(void **state)
{
	atomic_store(&frozen_ns, 0);
	set_fd_limit(usual_fds);
	proxy_free(take_ptr(proxy));
	if (!keep) /* the test failed between two proxies */
		assert_ok(fdkeep_open(&keep, dir, program, &err));
	fdkeep_end(keep);
	fdkeep_close(take_ptr(keep));
	forget_connections();
	if (teardown(state) != 0 || remove_dir(state) != 0)
		return -1;
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

static int make_world(void **state)
{
	struct netns_ready r;

	assert_ok(sysctl_write(-1, "net/ipv6/conf/default/accept_dad", "0", &err));
	assert_ok(netns_make(&r, &err));
	assert_ok(netns_pin(r.ns, "/run/netns", "far", &err));
	far = take_fd(&r.ns);
	netns_ready_close(&r);
	run("ip link set lo up");
	run("ip link add v0 type veth peer name eth0 netns far");
	run("ip addr add " HOME4 "/24 dev v0; ip addr add " HOME6 "/64 dev v0; ip link set v0 up");
	run("ip -n far addr add " FAR4 "/24 dev eth0; ip -n far addr add " FAR6 "/64 dev eth0");
	run("ip -n far link set eth0 up");
	return 0;
}

static int end_world(void **state)
{
	close_fd(&far);
	return netns_unpin("/run/netns", "far", &err);
}

/* ---- sockets */

struct made {
	int family, type, fd;
};

static int make_socket(void *arg)
{
	struct made *m = arg;

	m->fd = socket(m->family, m->type | SOCK_CLOEXEC, 0);
	return m->fd < 0 ? -errno : 0;
}

static int socket_in(int ns, int family, int type)
{
	struct made m = { family, type, -1 };

	if (ns < 0)
		assert_int_equal(make_socket(&m), 0);
	else
		assert_int_equal(netns_call(ns, make_socket, &m), 0);
	return m.fd;
}

/* A target: a socket at the address, listening if by TCP, that the port leads to. */
static int expose(uint16_t port, int ns, int type, const char *ip)
{
	union addr a = make_addr(ip, 0);
	socklen_t len = sizeof(a);
	int fd = socket_in(ns, a.any.sa_family, type);
	LOCKED(&lock);
	struct target *t = &targets[port - FIRST];

	assert_int_equal(bind(fd, &a.any, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 4096), 0);
	assert_int_equal(getsockname(fd, &a.any, &len), 0);
	assert_int_equal(ip_parse(&t->ip, ip), 0);
	t->proto = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	t->port = ntohs(a.v4.sin_port); /* at the same place in both */
	return fd;
}

/* fe80::/10 is that of the other end of the veth. */
static int client(int ns, int type, const char *ip, uint16_t port)
{
	union addr a = make_addr(ip, port);
	int fd = socket_in(ns, a.any.sa_family, type);

	if (IN6_IS_ADDR_LINKLOCAL(&a.v6.sin6_addr)) {
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), 0);
	}
	if (connect(fd, &a.any, sizeof(a)) < 0)
		fail_msg("connect to %s port %u: %s", ip, port, strerror(errno));
	return fd;
}

static void await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (poll(&p, 1, WAIT_MS) != 1)
		fail_msg("nothing happens");
}

static int accept_from(int listener)
{
	int fd;

	await(listener, POLLIN);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void expect_text(int fd, const char *want)
{
	char have[64];
	size_t n = 0;
	ssize_t got;

	while (n < strlen(want)) {
		await(fd, POLLIN);
		got = recv(fd, have + n, strlen(want) - n, 0);
		if (got <= 0)
			fail_msg("instead of \"%s\": %s", want, got ? strerror(errno) : "the end");
		n += (size_t)got;
	}
	assert_memory_equal(have, want, n);
}

static void expect_reset(int fd)
{
	char byte;

	await(fd, POLLIN);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void expect_eof(int fd)
{
	char byte;

	await(fd, POLLIN);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void reset(int fd)
{
	struct linger at_once = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

/* ---- the keeper */

static int find_program(void)
{
	const char *given = getenv("CNM_KEEPER");
	char self[PATH_MAX - 64] = "";

	if (given) {
		snprintf(program, sizeof(program), "%s", given);
	} else if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
		*strrchr(self, '/') = '\0';
		snprintf(program, sizeof(program), "%s/../src/keeper/cnm-keeper", self);
	}
	if (access(program, X_OK) == 0)
		return 0;
	print_error("no keeper at \"%s\": name it in CNM_KEEPER\n", program);
	return 1;
}

#endif
