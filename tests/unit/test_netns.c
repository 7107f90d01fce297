/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network namespaces, with real ones: needs root. The whole program runs in a network and a mount
 * namespace of its own, with a /run of its own. `dig` asks the DNS sockets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "kernel/netns.h"

#define DIR_NS "/run/netns-test/pins"

static struct cnm_error err;

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

static uint64_t inode_of(int ns)
{
	uint64_t dev, ino;

	assert_int_equal(netns_inode(ns, &dev, &ino), 0);
	return ino;
}

static uint64_t inode_of_path(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* Every thread of this process is in the namespace in which it began. */
static void assert_all_home(void)
{
	static uint64_t home;
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *d;
	char path[300];

	if (!home)
		home = inode_of_path("/proc/self/ns/net");
	assert_non_null(tasks);
	while ((d = readdir(tasks))) {
		struct stat st;

		snprintf(path, sizeof(path), "/proc/self/task/%s/ns/net", d->d_name);
		if (d->d_name[0] != '.' && stat(path, &st) == 0)
			assert_int_equal(st.st_ino, home);
	}
	closedir(tasks);
}

static int teardown(void **state)
{
	assert_all_home();
	return 0;
}

/* ---- a command inside a namespace, and what it prints */

struct files {
	const char *hosts, *resolv_conf, *hostname;
};

static int run_in(const char *netns_path, const struct files *files, const char *const argv[],
		  char *out, size_t size)
{
	static const struct files none;
	int pipe_fds[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	if (!files)
		files = &none;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(pipe_fds[1], 1);
		netns_exec(netns_path, files->hosts, files->resolv_conf, files->hostname,
			   (char *const *)argv, &err);
		dprintf(1, "%s", err.text);
		_exit(125);
	}
	close(pipe_fds[1]);
	while ((got = read(pipe_fds[0], out + n, size - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = '\0';
	close(pipe_fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void fd_path(char path[static 64], int ns)
{
	snprintf(path, 64, "/proc/%d/fd/%d", getpid(), ns);
}

/* ---- a DNS server: every question has one answer, an address */

struct server {
	int udp, tcp, stop[2];
	uint8_t answer[4];
	pthread_t thread;
};

static size_t answer(const struct server *s, uint8_t *msg, size_t n)
{
	uint8_t rr[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 0, 0, 0, 0 };
	size_t end = 12;

	if (n < 17)
		return 0;
	while (end < n && msg[end])
		end += msg[end] + 1u;
	end += 5; /* the root label, type and class */
	if (end > n)
		return 0;
	memcpy(rr + 12, s->answer, 4);
	msg[2] |= 0x80;
	msg[3] = 0;
	memset(msg + 6, 0, 6);
	msg[7] = 1;
	memcpy(msg + end, rr, sizeof(rr));
	return end + sizeof(rr);
}

static void serve_udp(const struct server *s)
{
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	uint8_t msg[1024];
	ssize_t n = recvfrom(s->udp, msg, 512, 0, (struct sockaddr *)&from, &size);
	size_t len = n > 0 ? answer(s, msg, (size_t)n) : 0;

	if (len > 0)
		sendto(s->udp, msg, len, 0, (struct sockaddr *)&from, size);
}

static void serve_tcp(const struct server *s)
{
	_close_ int c = accept(s->tcp, NULL, NULL);
	uint8_t msg[1026];
	size_t len;
	ssize_t n;

	if (c < 0)
		return;
	if (recv(c, msg, 2, MSG_WAITALL) != 2)
		return;
	len = (size_t)(msg[0] << 8 | msg[1]);
	n = len <= 512 ? recv(c, msg + 2, len, MSG_WAITALL) : 0;
	len = n > 0 ? answer(s, msg + 2, (size_t)n) : 0;
	msg[0] = (uint8_t)(len >> 8);
	msg[1] = (uint8_t)len;
	if (len > 0)
		send(c, msg, len + 2, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
	const struct server *s = arg;
	struct pollfd fds[] = { { .fd = s->stop[0], .events = POLLIN },
				{ .fd = s->udp, .events = POLLIN },
				{ .fd = s->tcp, .events = POLLIN } };

	while (poll(fds, 3, -1) >= 0 && !fds[0].revents) {
		if (fds[1].revents)
			serve_udp(s);
		if (fds[2].revents)
			serve_tcp(s);
	}
	return NULL;
}

static void start_server(struct server *s, int udp, int tcp, uint8_t last)
{
	*s = (struct server){ .udp = udp, .tcp = tcp, .answer = { 192, 0, 2, last } };
	assert_int_equal(pipe2(s->stop, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop_server(struct server *s)
{
	close(s->stop[1]);
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
}

/* What `dig +short` says of a name, asked of this address, port 53. */
static void assert_dig(int ns, const char *server, bool tcp, const char *want)
{
	char path[64], at[32], out[512];
	const char *argv[] = { "dig", "+short", "+tries=1", "+time=3", tcp ? "+tcp" : "+notcp",
			       at,    "con1.",  "A",        NULL };

	fd_path(path, ns);
	snprintf(at, sizeof(at), "@%s", server);
	run_in(path, NULL, argv, out, sizeof(out));
	out[strcspn(out, "\n")] = '\0';
	assert_string_equal(out, want);
}

/* ---- tests */

static int return_ns(void *arg)
{
	*(uint64_t *)arg = inode_of_path("/proc/thread-self/ns/net");
	return 7;
}

static int lose_rights(void *arg)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	return (int)syscall(SYS_capset, &h, none);
}

static void *call_many(void *arg)
{
	int ns = *(int *)arg;
	uint64_t want = inode_of(ns);

	for (int i = 0; i < 200; i++) {
		uint64_t seen = 0;

		if (netns_call(ns, return_ns, &seen) != 7 || seen != want)
			return arg;
	}
	return NULL;
}

static void test_call(void **state)
{
	struct netns_ready a, b;
	uint64_t home = inode_of_path("/proc/self/ns/net"), seen;
	pthread_t threads[4];

	assert_ok(netns_make(&a, &err));
	assert_ok(netns_make(&b, &err));
	assert_int_equal(netns_call(a.ns, return_ns, &seen), 7);
	assert_int_equal(seen, inode_of(a.ns));
	assert_int_not_equal(seen, home);
	assert_int_equal(netns_call(-1, return_ns, &seen), 7);
	assert_int_equal(seen, home);
	assert_int_equal(netns_call(a.dns_udp, return_ns, &seen), -EINVAL); /* no namespace */

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, call_many, i % 2 ? &a.ns : &b.ns);
	for (int i = 0; i < 4; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	netns_ready_close(&a);
	netns_ready_close(&b);
}

/* A helper that cannot go home is given up; the next call has another. */
static void test_call_lost(void **state)
{
	struct netns_ready n;
	uint64_t seen;

	assert_ok(netns_make(&n, &err));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(netns_call(n.ns, lose_rights, NULL), 0);
		assert_int_equal(netns_call(-1, return_ns, &seen), 7);
		assert_int_equal(seen, inode_of_path("/proc/self/ns/net"));
	}
	netns_ready_close(&n);
	/* nor does a namespace that was opened before keep it from being made now */
	assert_ok(netns_make(&n, &err));
	netns_ready_close(&n);
}

static void assert_sysctl(int ns, const char *path, const char *want)
{
	char buf[64];

	assert_ok(sysctl_read(ns, path, buf, sizeof(buf), &err));
	assert_string_equal(buf, want);
}

static void test_make(void **state)
{
	struct netns_ready n;
	char path[64], out[4096];
	const char *argv[] = { "ip", "-o", "addr", "show", "dev", "lo", NULL };

	assert_ok(netns_make(&n, &err));
	assert_non_null(n.rtnl);
	assert_sysctl(n.ns, "net/ipv4/ip_unprivileged_port_start", "0");
	assert_sysctl(n.ns, "net/ipv4/ping_group_range", "0\t2147483647");
	assert_sysctl(n.ns, "net/ipv6/conf/default/ndisc_notify", "1");
	assert_sysctl(n.ns, "net/ipv6/conf/default/accept_dad", "0");
	assert_sysctl(n.ns, "net/ipv6/conf/default/accept_ra", "0");
	assert_sysctl(-1, "net/ipv4/ip_unprivileged_port_start", "1024");
	fd_path(path, n.ns);
	assert_int_equal(run_in(path, NULL, argv, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "127.0.0.1/8")); /* only when it is up */
	netns_ready_close(&n);
	assert_int_equal(n.ns, -1);
	netns_ready_close(&n);
}

static void test_sysctl(void **state)
{
	struct netns_ready n;
	char buf[16];

	assert_ok(netns_make(&n, &err));
	assert_ok(sysctl_write(n.ns, "net/ipv4/ip_forward", "1", &err));
	assert_sysctl(n.ns, "net/ipv4/ip_forward", "1");
	assert_sysctl(-1, "net/ipv4/ip_forward", "0");
	assert_int_equal(sysctl_read(n.ns, "net/no/such", buf, sizeof(buf), &err), -ENOENT);
	assert_non_null(strstr(err.text, "/proc/sys/net/no/such"));
	assert_int_equal(sysctl_write(-1, "net/ipv4/ip_forward", "x", &err), -EINVAL);
	netns_ready_close(&n);
}

static void test_nl_open(void **state)
{
	struct netns_ready n;
	struct nl *nl = NULL;

	assert_ok(netns_make(&n, &err));
	assert_ok(netns_nl_open(&nl, n.ns, NETLINK_ROUTE, &err));
	nl_close(nl);
	assert_int_equal(netns_nl_open(&nl, n.dns_tcp, NETLINK_ROUTE, &err), -EINVAL);
	assert_string_equal(err.text, "enter a network namespace: Invalid argument");
	netns_ready_close(&n);
}

static void test_open(void **state)
{
	uint64_t home = inode_of_path("/proc/self/ns/net");
	int ns = -1;

	assert_ok(netns_open_path("/proc/self/ns/net", &ns, &err));
	assert_int_equal(inode_of(ns), home);
	close(ns);
	assert_ok(netns_open_pid(getpid(), &ns, &err));
	assert_int_equal(inode_of(ns), home);
	close(ns);

	assert_int_equal(netns_open_path("/no/such", &ns, &err), -ENOENT);
	assert_int_equal(err.class, CNM_E_NOT_FOUND);
	assert_int_equal(netns_open_path("/proc/self/ns/mnt", &ns, &err), -EINVAL);
	assert_int_equal(err.class, CNM_E_INVALID);
	assert_int_equal(mkfifo("/run/fifo", 0600), 0);
	assert_int_equal(netns_open_path("/run/fifo", &ns, &err), -EINVAL);
	assert_int_equal(netns_open_pid(999999999, &ns, &err), -ENOENT);
	assert_int_equal(err.class, CNM_E_NOT_FOUND);
	assert_int_equal(netns_open_pid(-1, &ns, &err), -EINVAL);
}

static void test_pin(void **state)
{
	struct netns_ready a, b;
	char out[4096];
	const char *list[] = { "cat", "/proc/self/mountinfo", NULL };
	int ns = -1, fd;

	assert_ok(netns_make(&a, &err));
	assert_ok(netns_make(&b, &err));
	assert_ok(netns_pin(a.ns, DIR_NS, "con1", &err));
	assert_ok(netns_open_path(DIR_NS "/con1", &ns, &err));
	assert_int_equal(inode_of(ns), inode_of(a.ns));
	close(ns);
	assert_ok(netns_pin(a.ns, DIR_NS, "con1", &err)); /* once more is fine */

	assert_int_equal(netns_pin(b.ns, DIR_NS, "con1", &err), -EEXIST);
	assert_int_equal(err.class, CNM_E_CONFLICT);
	assert_non_null(
		strstr(err.text, DIR_NS "/con1 exists; remove it or adopt it with --netns"));
	fd = open(DIR_NS "/plain", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(netns_pin(b.ns, DIR_NS, "plain", &err), -EEXIST);
	assert_non_null(strstr(err.text, DIR_NS "/plain exists; remove it"));
	assert_non_null(strstr(err.text, "no namespace is mounted"));

	/* seen, and one mount only, from a mount namespace made before and after */
	assert_ok(netns_pin(b.ns, DIR_NS, "con2", &err));
	assert_int_equal(run_in(DIR_NS "/con2", NULL, list, out, sizeof(out)), 0);
	assert_non_null(strstr(out, DIR_NS "/con1"));
	assert_non_null(strstr(out, DIR_NS " "));
	assert_null(strstr(strstr(out, DIR_NS " ") + 1, DIR_NS " "));

	/* the namespace lives by its pin alone */
	netns_ready_close(&a);
	assert_ok(netns_open_path(DIR_NS "/con1", &ns, &err));
	close(ns);
	assert_ok(netns_unpin(DIR_NS, "con1", &err));
	assert_ok(netns_unpin(DIR_NS, "con1", &err));
	assert_ok(netns_unpin(DIR_NS, "con2", &err));
	assert_int_equal(access(DIR_NS "/con1", F_OK), -1);
	netns_ready_close(&b);
}

/* `ip netns` and we see one another's. */
static void test_pin_as_ip(void **state)
{
	struct netns_ready n;
	int ns = -1;

	assert_ok(netns_make(&n, &err));
	assert_ok(netns_pin(n.ns, "/run/netns", "ours", &err));
	assert_int_equal(system("ip -n ours link show dev lo >/dev/null"), 0);
	assert_int_equal(system("ip netns add theirs"), 0);
	assert_ok(netns_open_path("/run/netns/theirs", &ns, &err));
	close(ns);
	assert_int_equal(netns_pin(n.ns, "/run/netns", "theirs", &err), -EEXIST);
	assert_int_equal(system("ip netns del theirs"), 0);
	assert_int_equal(system("ip netns del ours"), 0);
	assert_ok(netns_unpin("/run/netns", "ours", &err));
	netns_ready_close(&n);
}

static void test_exec(void **state)
{
	struct netns_ready n;
	struct files files = { "/run/hosts", "/run/resolv", "/run/hostname" };
	const char *cat[] = { "cat", "/etc/hosts", "/etc/resolv.conf", NULL };
	const char *sys[] = { "ls", "/sys/class/net", NULL },
		   *none[] = { "/no/such/program", NULL };
	char path[64], out[4096];

	assert_int_equal(
		system("echo 1.2.3.4 con1 >/run/hosts; echo con1 >/run/hostname; "
		       "echo nameserver 127.0.0.11 >/run/resolv; ip link add dummyx type veth"),
		0);
	assert_ok(netns_make(&n, &err));
	fd_path(path, n.ns);
	assert_int_equal(run_in(path, &files, cat, out, sizeof(out)), 0);
	assert_string_equal(out, "1.2.3.4 con1\nnameserver 127.0.0.11\n");
	assert_int_equal(run_in(path, NULL, sys, out, sizeof(out)), 0);
	assert_null(strstr(out, "dummyx"));
	assert_non_null(strstr(out, "lo"));
	assert_int_equal(run_in(path, NULL, none, out, sizeof(out)), 125);
	assert_string_equal(out, "run /no/such/program: No such file or directory");
	files.resolv_conf = "/run/nothing";
	assert_int_equal(run_in(path, &files, cat, out, sizeof(out)), 125);
	assert_non_null(strstr(out, "put /run/nothing over /etc/resolv.conf"));
	assert_int_equal(run_in("/no/ns", NULL, cat, out, sizeof(out)), 125);
	assert_string_equal(out, "no network namespace at /no/ns");
	netns_ready_close(&n);
}

static int open_any_53(void *arg)
{
	const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(53) };
	int *fds = arg;

	fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fds[0], (const struct sockaddr *)&any, sizeof(any)) < 0 ||
	    bind(fds[1], (const struct sockaddr *)&any, sizeof(any)) < 0 || listen(fds[1], 5) < 0)
		return -errno;
	return 0;
}

static void test_dns(void **state)
{
	struct server ours, theirs;
	struct netns_ready n;
	int fds[2];

	assert_ok(netns_make(&n, &err));
	start_server(&ours, n.dns_udp, n.dns_tcp, 1);
	assert_dig(n.ns, "127.0.0.11", false, "192.0.2.1");
	assert_dig(n.ns, "127.0.0.11", true, "192.0.2.1");

	assert_int_equal(netns_call(n.ns, open_any_53, fds), 0);
	start_server(&theirs, fds[0], fds[1], 2);
	for (int tcp = 0; tcp < 2; tcp++) {
		assert_dig(n.ns, "127.0.0.1", tcp, "192.0.2.2");
		assert_dig(n.ns, "127.0.0.11", tcp, "192.0.2.1");
	}
	stop_server(&theirs);
	stop_server(&ours);
	close(fds[0]);
	close(fds[1]);
	netns_ready_close(&n);
}

static void nft_in(int ns, const char *command)
{
	char path[64], out[4096];
	const char *argv[] = { "sh", "-c", command, NULL };

	fd_path(path, ns);
	if (run_in(path, NULL, argv, out, sizeof(out)))
		fail_msg("%s: %s", command, out);
}

/* The table is noticed to be gone or another's, and comes back. */
static void test_dns_table(void **state)
{
	static const char *const lines[] = {
		"type filter hook output priority raw; policy accept;",
		"type filter hook output priority mangle; policy accept;",
		"ip daddr 127.0.0.11 udp dport 53 udp dport set ",
		"ip daddr 127.0.0.11 tcp dport 53 tcp dport set ",
		"ip saddr 127.0.0.11 udp sport [0-9]* udp sport set 53",
		"ip saddr 127.0.0.11 tcp sport [0-9]* tcp sport set 53",
	};
	struct netns_ready n;
	struct server server;
	int udp, tcp;

	assert_ok(netns_make(&n, &err));
	assert_int_equal(netns_dns_table_check(n.ns, n.dns_udp, n.dns_tcp, &err), 1);
	assert_int_equal(netns_dns_table_check(n.ns, n.dns_tcp, n.dns_udp, &err), 0);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char command[256];

		snprintf(command, sizeof(command), "nft list table ip cnm-dns | grep -q '%s'",
			 lines[i]);
		nft_in(n.ns, command);
	}

	nft_in(n.ns, "nft flush chain ip cnm-dns answers");
	assert_int_equal(netns_dns_table_check(n.ns, n.dns_udp, n.dns_tcp, &err), 0);
	assert_ok(netns_dns_table(n.ns, n.dns_udp, n.dns_tcp, &err)); /* replaces */
	assert_int_equal(netns_dns_table_check(n.ns, n.dns_udp, n.dns_tcp, &err), 1);
	nft_in(n.ns, "nft flush ruleset");
	assert_int_equal(netns_dns_table_check(n.ns, n.dns_udp, n.dns_tcp, &err), 0);
	assert_ok(netns_dns_table(n.ns, n.dns_udp, n.dns_tcp, &err));
	start_server(&server, n.dns_udp, n.dns_tcp, 3);
	assert_dig(n.ns, "127.0.0.11", false, "192.0.2.3");
	assert_dig(n.ns, "127.0.0.11", true, "192.0.2.3");
	stop_server(&server);

	/* a firewall of the sandbox's own, which tracks connections, knows them as such */
	nft_in(n.ns,
	       "nft 'table inet fw { chain in { type filter hook input priority 0; policy drop;"
	       "ct state established accept; ct state new ip daddr 127.0.0.11 accept; }; chain "
	       "out { type filter hook output priority 0; policy drop; ct state established "
	       "accept; ct state new ip daddr 127.0.0.11 accept; }; }'");
	start_server(&server, n.dns_udp, n.dns_tcp, 5);
	assert_dig(n.ns, "127.0.0.11", false, "192.0.2.5");
	assert_dig(n.ns, "127.0.0.11", true, "192.0.2.5");
	stop_server(&server);
	nft_in(n.ns, "nft delete table inet fw");

	/* another pair of sockets takes over */
	assert_ok(netns_open_dns(n.ns, &udp, &tcp, &err));
	assert_int_equal(netns_dns_table_check(n.ns, n.dns_udp, n.dns_tcp, &err), 0);
	assert_int_equal(netns_dns_table_check(n.ns, udp, tcp, &err), 1);
	start_server(&server, udp, tcp, 4);
	assert_dig(n.ns, "127.0.0.11", false, "192.0.2.4");
	stop_server(&server);

	assert_ok(netns_dns_table_remove(n.ns, &err));
	assert_ok(netns_dns_table_remove(n.ns, &err));
	nft_in(n.ns, "! nft list table ip cnm-dns 2>/dev/null");
	close(udp);
	close(tcp);
	netns_ready_close(&n);
}

static void test_pool(void **state)
{
	struct netns_ready r[12];
	struct netns_pool *p;

	assert_ok(netns_pool_new(&p, 4, &err));
	for (int i = 0; i < 12; i++) { /* more than it can hold, faster than it is filled */
		assert_ok(netns_pool_take(p, &r[i], &err));
		for (int j = 0; j < i; j++)
			assert_int_not_equal(inode_of(r[i].ns), inode_of(r[j].ns));
		assert_int_equal(netns_dns_table_check(r[i].ns, r[i].dns_udp, r[i].dns_tcp, &err),
				 1);
	}
	for (int i = 0; i < 12; i++)
		netns_ready_close(&r[i]);
	netns_pool_free(p);
	assert_ok(netns_pool_new(&p, 0, &err));
	assert_ok(netns_pool_take(p, &r[0], &err));
	netns_ready_close(&r[0]);
	netns_pool_free(p);
	assert_ok(netns_pool_new(&p, 50, &err)); /* ended while it is being filled */
	netns_pool_free(p);
	netns_pool_free(NULL);
}

/* ---- what it costs (printed, not judged) */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_cost(void **state)
{
	enum { N = 60 };
	uint64_t make[N], call[N], table[N], pin[N];
	struct netns_ready r[N];

	for (int i = 0; i < N; i++) {
		uint64_t seen, t0 = clock_mono_ns(), t1;
		char name[16];

		assert_ok(netns_make(&r[i], &err));
		make[i] = clock_mono_ns() - t0;
		t0 = clock_mono_ns();
		netns_call(r[i].ns, return_ns, &seen);
		call[i] = clock_mono_ns() - t0;
		nft_in(r[i].ns, "nft flush ruleset");
		t0 = clock_mono_ns();
		assert_ok(netns_dns_table(r[i].ns, r[i].dns_udp, r[i].dns_tcp, &err));
		table[i] = clock_mono_ns() - t0;
		snprintf(name, sizeof(name), "n%d", i);
		t0 = clock_mono_ns();
		assert_ok(netns_pin(r[i].ns, DIR_NS, name, &err));
		t1 = clock_mono_ns();
		pin[i] = t1 - t0;
	}
	for (int i = 0; i < N; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		assert_ok(netns_unpin(DIR_NS, name, &err));
		netns_ready_close(&r[i]);
	}
	qsort(make, N, sizeof(make[0]), by_value);
	qsort(call, N, sizeof(call[0]), by_value);
	qsort(table, N, sizeof(table[0]), by_value);
	qsort(pin, N, sizeof(pin[0]), by_value);
	print_message("median us: make %.0f, call %.0f, DNS table %.0f, pin %.0f\n",
		      (double)make[N / 2] / 1e3, (double)call[N / 2] / 1e3,
		      (double)table[N / 2] / 1e3, (double)pin[N / 2] / 1e3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_call, teardown),
		cmocka_unit_test_teardown(test_call_lost, teardown),
		cmocka_unit_test_teardown(test_make, teardown),
		cmocka_unit_test_teardown(test_sysctl, teardown),
		cmocka_unit_test_teardown(test_nl_open, teardown),
		cmocka_unit_test_teardown(test_open, teardown),
		cmocka_unit_test_teardown(test_pin, teardown),
		cmocka_unit_test_teardown(test_pin_as_ip, teardown),
		cmocka_unit_test_teardown(test_exec, teardown),
		cmocka_unit_test_teardown(test_dns, teardown),
		cmocka_unit_test_teardown(test_dns_table, teardown),
		cmocka_unit_test_teardown(test_pool, teardown),
		cmocka_unit_test_teardown(test_cost, teardown),
	};

	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0) {
		perror("unshare");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
