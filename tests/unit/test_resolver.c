/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The resolver at work: needs root. The program runs in a network namespace of its own; dns_lab.h
 * describes the host and the sandboxes in it.
 */
#include "dns_lab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "resolver/resolver.h"

/* ---- allocations that fail on demand; not where a sanitizer has its own allocator */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define OWN_ALLOCATOR
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define OWN_ALLOCATOR
#endif

#ifndef OWN_ALLOCATOR
extern void *__libc_calloc(size_t n, size_t size);

static _Thread_local int fail_in;  /* 1: the next allocation of this thread fails; 0: none does */
static atomic_bool fail_elsewhere; /* all fail in threads that are not this program's */
static _Thread_local bool ours;

void *calloc(size_t n, size_t size)
{
	if ((fail_in > 0 && --fail_in == 0) || (!ours && fail_elsewhere))
		return NULL;
	return __libc_calloc(n, size);
}
#endif

/* ------------------------------------------------------------------------------- fixture */

#define DIR_TEMPLATE "/tmp/test-resolver.XXXXXX"

static char dir[] = DIR_TEMPLATE, conf[sizeof(DIR_TEMPLATE) + 16];
static struct resolver *r;

static void conf_write(const char *text)
{
	_close_ int fd = open(conf, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int put(const char *network, const char *endpoint, const char *name, const char *ip4)
{
	char id[64];
	struct resolver_names n = { .network_id = id,
				    .network_name = network,
				    .endpoint_id = endpoint,
				    .names = &name,
				    .n_names = 1 };

	snprintf(id, sizeof(id), "id-%s", network);
	assert_int_equal(ip_parse(&n.ip4, ip4), 0);
	return resolver_set_names(r, &n);
}

static int see(const char *box, const char *network, bool forward)
{
	char id[64];
	const char *ids[] = { id };
	struct resolver_sandbox sb = {
		.id = box, .network_ids = ids, .n_networks = 1, .forward = forward
	};

	snprintf(id, sizeof(id), "id-%s", network);
	return resolver_set_sandbox(r, &sb);
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#define THREE "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n"

static struct box b1, b2;
static unsigned fds_before;

static int setup(void **state)
{
	struct cnm_error err;

	conf_write(THREE);
	fds_before = count_fds();
	assert_int_equal(resolver_start(&r, conf, &err), 0);
	b1 = box_new();
	b2 = box_new();
	assert_int_equal(see("b1", "front", true), 0);
	assert_int_equal(see("b2", "back", false), 0);
	assert_int_equal(resolver_set_sockets(r, "b1", b1.udp, b1.tcp), 0);
	assert_int_equal(resolver_set_sockets(r, "b2", b2.udp, b2.tcp), 0);
	assert_int_equal(put("front", "e1", "web", "10.0.0.2"), 0);
	assert_int_equal(put("back", "e2", "web", "10.1.0.2"), 0);
	return 0;
}

static int teardown(void **state)
{
#ifndef OWN_ALLOCATOR
	fail_elsewhere = false;
#endif
	resolver_stop(r);
	box_free(&b1);
	box_free(&b2);
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

/* ------------------------------------------------------------------------------- tests */

static void test_names(void **state)
{
	_close_ int c1 = client(&b1, SOCK_DGRAM), c2 = client(&b2, SOCK_DGRAM);

	assert_string_equal(ask_udp(c1, "web.", A), "10.0.0.2");
	assert_string_equal(ask_udp(c2, "WEB.Back.", A), "10.1.0.2");
	assert_string_equal(ask_udp(c1, "web.", AAAA), "NOERROR");
	assert_string_equal(ask_udp(c1, "web.", MX), "NOERROR");
	assert_string_equal(ask_udp(c1, "2.0.0.10.in-addr.arpa.", PTR), "web.front.");
	assert_string_equal(ask_udp(c2, "web.front.", A), "SERVFAIL");
	assert_string_equal(ask_tcp(&b1, "web.", A), "10.0.0.2");
	assert_string_equal(ask_tcp(&b2, "web.front.", A), "SERVFAIL");
}

static void test_dig(void **state)
{
	char out[8192];

	run_in(&b1,
	       "dig @127.0.0.11 +short web; dig @127.0.0.11 +tcp +short web.front;"
	       "dig @127.0.0.11 +short -x 10.0.0.2; dig @127.0.0.11 +short +tcp ok.test;"
	       "dig @127.0.0.11 +short ok.test",
	       out, sizeof(out));
	assert_string_equal(out, "10.0.0.2\n10.0.0.2\nweb.front.\n10.9.9.1\n10.9.9.1\n");
	run_in(&b1, "dig @127.0.0.11 web", out, sizeof(out));
	assert_non_null(strstr(out, "flags: qr rd ra;"));
	assert_non_null(strstr(out, "EDNS: version: 0, flags:; udp: 4096"));
	run_in(&b1, "dig @127.0.0.11 +edns=1 +noednsnegotiation web", out, sizeof(out));
	assert_non_null(strstr(out, "status: BADVERS"));
}

/* What a call said is seen by the query sent after it, though nothing woke the server. */
static void test_changes_are_seen_at_once(void **state)
{
	_close_ int c = client(&b2, SOCK_DGRAM), t = client(&b2, SOCK_STREAM);
	char ip[16];

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 250, i % 250);
		assert_int_equal(put("back", "e3", "new", ip), 0);
		if (i % 2) {
			assert_string_equal(ask_udp(c, "new.", A), ip);
		} else {
			send_tcp(t, "new.", A, 7);
			assert_string_equal(receive_tcp(t, 7), ip);
		}
		resolver_drop_names(r, "e3");
		assert_string_equal(ask_udp(c, "new.", A), "SERVFAIL");
	}
	assert_int_equal(see("b2", "front", false), 0);
	assert_string_equal(ask_udp(c, "web.", A), "10.0.0.2");
}

static void test_forward(void **state)
{
	_close_ int c = client(&b1, SOCK_DGRAM);

	assert_string_equal(ask_udp(c, "ok.test.", A), "10.9.9.1");
	assert_string_equal(ask_udp(c, "nx-ok.test.", A), "NXDOMAIN");
	assert_string_equal(ask_udp(c, "forge.test.", A), "10.9.9.1");
	assert_string_equal(ask_udp(c, "servfail-refused-ok.test.", A), "10.9.9.3");
	assert_string_equal(ask_udp(c, "servfail-servfail-refused.test.", A), "REFUSED");
	assert_string_equal(ask_udp(c, "bare-ok.test.", A), "10.9.9.2");
	/* more than the client takes: without EDNS, 512 bytes */
	assert_string_equal(ask_udp(c, "big.test.", A), "NOERROR cut");
	assert_string_equal(ask_tcp(&b1, "big.test.", A), "10.9.9.1");
	assert_string_equal(ask_tcp(&b1, "gone-servfail-ok.test.", A), "10.9.9.3");
	assert_string_equal(ask_tcp(&b1, "gone-gone-gone.test.", A), "SERVFAIL");
	assert_string_equal(ask_tcp(&b1, "nx.test.", A), "NXDOMAIN");
	assert_string_equal(ask_tcp(&b1, "silent-ok.test.", A), "10.9.9.2");
	assert_string_equal(ask_udp(c, "silent-ok.test.", A), "10.9.9.2");
	assert_string_equal(ask_udp(c, "silent-silent-silent.test.", A), "SERVFAIL");
	/* not for an internal sandbox */
	assert_string_equal(ask_tcp(&b2, "ok.test.", A), "SERVFAIL");
}

/* Queries from many ports at once, each with its own answer. */
static void test_forward_many(void **state)
{
	static const char *const name[] = { "ok.test.", "servfail-ok.test.",
					    "refused-refused-ok." };
	int fd[90];

	for (unsigned i = 0; i < 90; i++) {
		uint8_t msg[512];
		size_t len = query_make(msg, name[i % 3], A, 5);

		fd[i] = client(&b1, SOCK_DGRAM);
		assert_int_equal(send(fd[i], msg, len, 0), len);
	}
	for (unsigned i = 0; i < 90; i++) {
		char want[] = "10.9.9.1";
		uint8_t msg[512];
		ssize_t n;

		assert_true(readable(fd[i], 10000));
		n = recv(fd[i], msg, sizeof(msg), 0);
		want[7] = (char)('1' + i % 3);
		assert_string_equal(reply_text(msg, (size_t)n), want);
		assert_int_equal(msg[1], 5);
		close(fd[i]);
	}
}

/* The list of servers changes: by writing, by renaming, by nothing but a link's target. */
static void wait_for_answer(int c, const char *name, const char *want)
{
	for (unsigned i = 0; i < 5000 && !streq(ask_udp(c, name, A), want); i++)
		sched_yield();
	assert_string_equal(ask_udp(c, name, A), want);
}

__attribute__((format(printf, 1, 2))) static void sh(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

static void test_host_file_changes(void **state)
{
	_close_ int c = client(&b1, SOCK_DGRAM);

	assert_string_equal(ask_udp(c, "ok-ok-ok.test.", A), "10.9.9.1");
	conf_write("nameserver 127.0.0.11\nnameserver 127.0.0.2\n");
	wait_for_answer(c, "ok-ok-ok.test.", "10.9.9.2");
	sh("echo nameserver 127.0.0.3 >%s/new; mv %s/new %s", dir, dir, conf);
	wait_for_answer(c, "ok-ok-ok.test.", "10.9.9.3");
	/* removed: what was known stays */
	unlink(conf);
	/* a link to nothing, whose directory does not exist either */
	sh("ln -s run/systemd/stub %s", conf);
	assert_string_equal(ask_udp(c, "ok-ok-ok.test.", A), "10.9.9.3");
	sh("mkdir %s/run; sleep 0.05; mkdir %s/run/systemd", dir, dir);
	sh("echo nameserver 127.0.0.1 >%s/run/systemd/stub", dir);
	wait_for_answer(c, "ok-ok-ok.test.", "10.9.9.1");
	sh("echo nameserver 127.0.0.2 >%s/run/systemd/stub", dir);
	wait_for_answer(c, "ok-ok-ok.test.", "10.9.9.2");
	/* a link to a link */
	sh("echo nameserver 127.0.0.3 >%s/third; ln -s %s/third %s/link; ln -sf link %s", dir, dir,
	   dir, conf);
	wait_for_answer(c, "ok-ok-ok.test.", "10.9.9.3");
	sh("echo nameserver 127.0.0.1 >%s/third", dir);
	wait_for_answer(c, "ok-ok-ok.test.", "10.9.9.1");
	conf_write("# no servers\n");
	wait_for_answer(c, "ok-ok-ok.test.", "SERVFAIL");
	conf_write(
		"nameserver 127.0.0.99\nnameserver 127.0.0.2\n"); /* nobody listens at the first */
	wait_for_answer(c, "silent-ok-ok.test.", "10.9.9.2");
	sh("rm -r %s/*", dir);
}

/* What is on its way when the servers change is asked again. */
static void test_servers_change_on_the_way(void **state)
{
	_close_ int c = client(&b1, SOCK_DGRAM);
	uint8_t msg[512];
	size_t len = query_make(msg, "silent-ok.test.", A, 5);

	conf_write("nameserver 127.0.0.1\n");
	wait_for_answer(c, "servfail-ok.test.", "SERVFAIL");
	assert_int_equal(send(c, msg, len, 0), len);
	conf_write("nameserver 127.0.0.2\n");
	assert_true(readable(c, 10000));
	len = (size_t)recv(c, msg, sizeof(msg), 0);
	assert_string_equal(reply_text(msg, len), "10.9.9.2");
}

static void test_tcp_stream(void **state)
{
	_close_ int c = client(&b1, SOCK_STREAM), slow = client(&b1, SOCK_STREAM);
	_close_ int garbage = client(&b1, SOCK_STREAM), large = client(&b1, SOCK_STREAM);
	uint8_t msg[514] = { 0 };
	size_t len = query_make(msg + 2, "web.", A, 9);

	/* many in one go, those that go on among them: answered in order */
	for (uint16_t i = 0; i < 60; i++)
		send_tcp(c, i % 3 ? "web." : "ok.test.", A, i);
	for (uint16_t i = 0; i < 60; i++)
		assert_string_equal(receive_tcp(c, i), i % 3 ? "10.0.0.2" : "10.9.9.1");
	/* byte by byte */
	msg[1] = (uint8_t)len;
	for (size_t i = 0; i < len + 2; i++) {
		assert_int_equal(send(slow, msg + i, 1, MSG_NOSIGNAL), 1);
		assert_string_equal(ask_tcp(&b1, "web.", A), "10.0.0.2");
	}
	assert_string_equal(receive_tcp(slow, 9), "10.0.0.2");
	/* no query */
	assert_int_equal(send(garbage, "\0\3abc", 5, MSG_NOSIGNAL), 5);
	assert_string_equal(receive_tcp(garbage, 0), "closed");
	assert_int_equal(send(large, "\xff\xff", 2, MSG_NOSIGNAL), 2);
	assert_string_equal(receive_tcp(large, 0), "closed");
}

/* A client that asks for a lot and reads nothing stops being read; when it reads, all is there. */
static void test_tcp_slow_reader(void **state)
{
	_close_ int c = client(&b1, SOCK_STREAM);
	char id[16], ip[16];
	uint8_t frame[514];
	size_t len = query_make(frame + 2, "app.", A, 1), sent = 0;

	for (unsigned i = 0; i < 4000; i++) {
		snprintf(id, sizeof(id), "s%u", i);
		snprintf(ip, sizeof(ip), "10.2.%u.%u", i / 250, i % 250);
		assert_int_equal(put("front", id, "app", ip), 0);
	}
	frame[0] = 0;
	frame[1] = (uint8_t)len;
	/* 200 times 64 KB is more than the socket buffers take */
	for (; sent < 200; sent++)
		assert_int_equal(send(c, frame, len + 2, MSG_NOSIGNAL), len + 2);
	assert_string_equal(ask_tcp(&b1, "web.", A), "10.0.0.2");
	for (; sent; sent--)
		assert_int_equal(strncmp(receive_tcp(c, 1), "10.2.", 5), 0);
	for (unsigned i = 0; i < 4000; i++) {
		snprintf(id, sizeof(id), "s%u", i);
		resolver_drop_names(r, id);
	}
}

/* The 33rd connection takes the place of the one idle longest. */
static void test_tcp_is_bounded(void **state)
{
	int fd[34];

	for (unsigned i = 0; i < 33; i++) {
		fd[i] = client(&b1, SOCK_STREAM);
		if (i != 1) {
			send_tcp(fd[i], "web.", A, 1);
			assert_string_equal(receive_tcp(fd[i], 1), "10.0.0.2");
		}
		if (i == 1) {
			send_tcp(fd[0], "web.", A, 1);
			assert_string_equal(receive_tcp(fd[0], 1), "10.0.0.2");
		}
	}
	assert_string_equal(receive_tcp(fd[1], 0), "closed");
	send_tcp(fd[0], "web.", A, 1);
	assert_string_equal(receive_tcp(fd[0], 1), "10.0.0.2");
	for (unsigned i = 0; i < 33; i++)
		close(fd[i]);
}

static void test_tcp_idle(void **state)
{
	_close_ int c = client(&b1, SOCK_STREAM), half = client(&b1, SOCK_STREAM);

	assert_int_equal(send(half, "\0\x20\1", 3, 0), 3);
	send_tcp(c, "web.", A, 1);
	assert_string_equal(receive_tcp(c, 1), "10.0.0.2");
	assert_string_equal(receive_tcp(half, 0), "closed");
	assert_string_equal(receive_tcp(c, 0), "closed");
}

/* Ends while queries are on their way and connections open; its sockets close. */
static void test_drop_sandbox(void **state)
{
	_close_ int c = client(&b1, SOCK_DGRAM), t = client(&b1, SOCK_STREAM);
	_close_ int t2 = client(&b1, SOCK_STREAM);
	uint8_t msg[512];
	size_t len = query_make(msg, "silent.test.", A, 5);

	send_tcp(t2, "web.", A, 1);
	assert_string_equal(receive_tcp(t2, 1), "10.0.0.2");
	assert_int_equal(send(c, msg, len, 0), len);
	send_tcp(t, "silent.test.", A, 1);
	close_fd(&b1.udp);
	close_fd(&b1.tcp);
	resolver_drop_sandbox(r, "b1");
	resolver_drop_sandbox(r, "unknown");
	assert_string_equal(receive_tcp(t2, 1), "closed");
	assert_string_equal(receive_tcp(t, 1), "closed");
	/* until nobody has the socket open; the error comes with whichever call is next */
	while (send(c, msg, len, 0) >= 0 &&
	       (recv(c, msg, sizeof(msg), MSG_DONTWAIT) >= 0 || errno == EAGAIN))
		sched_yield();
	assert_int_equal(errno, ECONNREFUSED);
	/* and it can come again */
	box_free(&b1);
	b1 = box_new();
	assert_int_equal(resolver_set_sockets(r, "b1", b1.udp, b1.tcp), 0);
	assert_string_equal(ask_tcp(&b1, "web.", A), "SERVFAIL"); /* sees nothing yet */
	assert_int_equal(see("b1", "front", true), 0);
	assert_string_equal(ask_tcp(&b1, "web.", A), "10.0.0.2");
	assert_int_equal(resolver_set_sockets(r, "b1", -1, b1.tcp), -EBADF);
	assert_int_equal(resolver_set_sockets(r, "b1", b1.udp, -1), -EBADF);
	assert_string_equal(ask_tcp(&b1, "web.", A), "10.0.0.2");
}

/* Whatever arrives, it goes on answering. */
static void test_random_datagrams(void **state)
{
	_close_ int c = client(&b1, SOCK_DGRAM), sane = client(&b1, SOCK_DGRAM);
	uint64_t rng = 7;
	uint8_t msg[1500];

	for (unsigned i = 0; i < 20000; i++) {
		size_t len = i % (i % 10 ? 64 : sizeof(msg));

		for (size_t j = 0; j < len; j++) {
			rng = rng * 6364136223846793005u + 1442695040888963407u;
			msg[j] = (uint8_t)(rng >> 56);
		}
		if (i % 3 && len > 12)
			memcpy(msg + 2, "\1\0\0\1\0\0\0\0\0\0", 10);
		send(c, msg, len, 0);
		while (recv(c, msg, sizeof(msg), MSG_DONTWAIT) > 0)
			assert_true(msg[2] & 0x80);
	}
	assert_string_equal(ask_udp(sane, "web.", A), "10.0.0.2");
}

#ifndef OWN_ALLOCATOR
static void test_no_memory(void **state)
{
	_close_ int c = client(&b1, SOCK_DGRAM);
	struct resolver *other;
	struct cnm_error err;
	char id[32];
	unsigned k;

	for (k = 1;; k++) {
		int rc;

		fail_in = (int)k;
		rc = resolver_start(&other, conf, &err);
		fail_in = 0;
		if (rc == 0)
			break;
		assert_true(rc == -ENOMEM || rc == -EAGAIN); /* so is a thread's */
		assert_non_null(strstr(err.text, "start the DNS server"));
	}
	assert_in_range(k, 8, 20);
	resolver_stop(other);
	for (k = 1;; k++) {
		int rc;

		fail_in = (int)k;
		rc = put("front", "e1", "other", "10.0.0.9");
		fail_in = 0;
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_string_equal(ask_udp(c, "web.", A), "10.0.0.2");
	}
	assert_int_equal(k, 4);
	assert_string_equal(ask_udp(c, "other.", A), "10.0.0.9");
	for (k = 1;; k++) {
		int rc;

		fail_in = (int)k;
		rc = see("b1", "back", true);
		fail_in = 0;
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_string_equal(ask_udp(c, "other.", A), "10.0.0.9");
	}
	assert_int_equal(k, 6);
	assert_string_equal(ask_udp(c, "web.", A), "10.1.0.2");
	for (k = 1; k < 3; k++) {
		fail_in = (int)k;
		assert_int_equal(resolver_set_sockets(r, "b1", b1.udp, b1.tcp), -ENOMEM);
		fail_in = 0;
	}
	fail_in = 1;
	resolver_drop_names(r, "e2");
	assert_int_equal(fail_in, 0);
	assert_string_equal(ask_udp(c, "ok.back.", A), "10.9.9.1"); /* forwarded: unknown */

	/* The server without memory: no forwards, no connections, longer chains; the rest works. */
	fail_elsewhere = true;
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(id, sizeof(id), "c%u", i);
		assert_int_equal(put("back", id, id, "10.3.0.1"), 0);
	}
	assert_string_equal(ask_udp(c, "c1999.", A), "10.3.0.1");
	assert_string_equal(ask_udp(c, "ok.test.", A), "SERVFAIL");
	assert_string_equal(ask_tcp(&b1, "c0.", A), "closed");
	fail_elsewhere = false;
	assert_string_equal(ask_udp(c, "ok.test.", A), "10.9.9.1");
	assert_string_equal(ask_tcp(&b1, "c0.", A), "10.3.0.1");
}
#endif

/* ------------------------------------------------------------------------------- many */

static atomic_bool done;

static void *change_names(void *arg)
{
	unsigned k = (unsigned)(uintptr_t)arg;
	char id[32], name[32];

#ifndef OWN_ALLOCATOR
	ours = true;
#endif
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "t%u-%u", k, i % 50);
		snprintf(name, sizeof(name), "nx-%u", i % 50);
		if (i / 50 % 2)
			resolver_drop_names(r, id);
		else
			put("front", id, name, "10.4.0.1");
	}
	return NULL;
}

static void *change_sandboxes(void *arg)
{
	struct box b;

#ifndef OWN_ALLOCATOR
	ours = true;
#endif
	b = box_new();
	while (!done) {
		assert_int_equal(resolver_set_sockets(r, "shaky", b.udp, b.tcp), 0);
		see("shaky", "front", true);
		{
			_close_ int c = client(&b, SOCK_DGRAM);

			assert_string_equal(ask_udp(c, "web.", A), "10.0.0.2");
		}
		resolver_drop_sandbox(r, "shaky");
	}
	box_free(&b);
	return NULL;
}

static void test_threads(void **state)
{
	_close_ int c = client(&b1, SOCK_DGRAM);
	pthread_t names[3], boxes;

	done = false;
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&names[i], NULL, change_names, (void *)i), 0);
	assert_int_equal(pthread_create(&boxes, NULL, change_sandboxes, NULL), 0);
	for (unsigned i = 0; i < 2000; i++)
		assert_string_equal(ask_udp(c, i % 2 ? "web." : "ok.test.", A),
				    i % 2 ? "10.0.0.2" : "10.9.9.1");
	for (uintptr_t i = 0; i < 3; i++)
		pthread_join(names[i], NULL);
	done = true;
	pthread_join(boxes, NULL);
	/* every series ended with dropping */
	for (unsigned i = 0; i < 50; i++) {
		char name[32];

		snprintf(name, sizeof(name), "nx-%u.front.", i);
		assert_string_equal(ask_tcp(&b1, name, A), "NXDOMAIN");
	}
}

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* 1000 sandboxes with two sockets and ten names each. */
static void test_1000_sandboxes(void **state)
{
	static int udp[1000], tcp[1000];
	_close_ int c = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *list[10];
	char names[10][32], id[65];
	size_t before = heap();

	for (unsigned i = 0; i < 1000; i++) {
		struct resolver_names n = { .network_id = "id-front",
					    .network_name = "front",
					    .endpoint_id = id,
					    .names = list,
					    .n_names = 10,
					    .ip4 = { AF_INET, { 10, 5, i / 250, i % 250 } },
					    .ip6 = { AF_INET6, { 0xfd, i / 250, i % 250 } } };

		snprintf(id, sizeof(id), "%064u", i);
		for (unsigned j = 0; j < 10; j++) {
			snprintf(names[j], sizeof(names[j]), "container%u-alias%u", i, j);
			list[j] = names[j];
		}
		udp[i] = bound(SOCK_DGRAM, "127.0.0.11", (uint16_t)(10000 + i));
		tcp[i] = bound(SOCK_STREAM, "127.0.0.11", (uint16_t)(10000 + i));
		assert_int_equal(resolver_set_names(r, &n), 0);
		assert_int_equal(see(id, "front", false), 0);
		assert_int_equal(resolver_set_sockets(r, id, udp[i], tcp[i]), 0);
	}
	for (unsigned i = 0; i < 1000; i++) {
		struct sockaddr_in to = at("127.0.0.11", (uint16_t)(10000 + i));
		char name[64], want[32];

		assert_int_equal(connect(c, (struct sockaddr *)&to, sizeof(to)), 0);
		snprintf(name, sizeof(name), "container%u-alias%u.", 999 - i, i % 10);
		snprintf(want, sizeof(want), "10.5.%u.%u", (999 - i) / 250, (999 - i) % 250);
		assert_string_equal(ask_udp(c, name, A), want);
	}
#ifndef OWN_ALLOCATOR
	print_message("# 1000 sandboxes with 10 names each: %zu KiB\n", (heap() - before) / 1024);
	assert_true(heap() - before < 8 << 20);
#else
	(void)before;
#endif
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "%064u", i);
		resolver_drop_sandbox(r, id);
		resolver_drop_names(r, id);
		close(udp[i]);
		close(tcp[i]);
	}
}

static double number_after(const char *text, const char *label)
{
	const char *s = strstr(text, label);

	assert_non_null(s);
	return strtod(s + strlen(label), NULL);
}

/* Two seconds of dnsperf, which shares the processors: a figure, no verdict. */
static void test_throughput(void **state)
{
	char id[32], path[64], command[256], out[8192];
	struct timespec before, after;
	double cpu;
	FILE *f;

	snprintf(path, sizeof(path), "%s/queries", dir);
	f = fopen(path, "we");
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(id, sizeof(id), "con%u", i);
		assert_int_equal(put("front", id, id, "10.6.0.1"), 0);
		fprintf(f, "%s A\n", id);
	}
	fclose(f);
	snprintf(command, sizeof(command), "dnsperf -s 127.0.0.11 -d %s -l 2 -c 4 -q 200 2>&1",
		 path);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	run_in(&b1, command, out, sizeof(out));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	unlink(path);
	cpu = (double)(after.tv_sec - before.tv_sec) * 1e9 +
	      (double)(after.tv_nsec - before.tv_nsec);
	print_message("# 10000 names: %.0f queries per second, %.0f ns of CPU each\n",
		      number_after(out, "Queries per second:"),
		      cpu / number_after(out, "Queries completed:"));
}

/* ------------------------------------------------------------------------------- main */

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_dig),
		TEST(test_changes_are_seen_at_once),
		TEST(test_forward),
		TEST(test_forward_many),
		TEST(test_host_file_changes),
		TEST(test_servers_change_on_the_way),
		TEST(test_tcp_stream),
		TEST(test_tcp_slow_reader),
		TEST(test_tcp_is_bounded),
		TEST(test_tcp_idle),
		TEST(test_drop_sandbox),
		TEST(test_random_datagrams),
#ifndef OWN_ALLOCATOR
		TEST(test_no_memory),
#endif
		TEST(test_threads),
		TEST(test_1000_sandboxes),
		TEST(test_throughput),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	struct rlimit files = { 8192, 8192 };
	int failed;

	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		fprintf(stderr, "skipped: root is needed to make network namespaces\n");
		return 77;
	}
#ifndef OWN_ALLOCATOR
	ours = true;
#endif
	if (!mkdtemp(dir) || setrlimit(RLIMIT_NOFILE, &files) < 0 || !lab_start())
		return 1;
	snprintf(conf, sizeof(conf), "%s/resolv.conf", dir);
	failed = run_all();
	lab_stop();
	sh("rm -r %s", dir);
	return failed;
}
