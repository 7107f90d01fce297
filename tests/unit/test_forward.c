/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries that go on to the servers of others: needs root. The program runs in a network namespace
 * of its own. The servers are played by the test itself, which sees each question arrive and
 * answers it, well or badly, when it is time: so whatever comes first in a test came first.
 */
#include "dns_lab.h"

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/netns.h"
#include "resolver/resolver.h"

#define PATIENCE_MS 15000 /* for what must come */

/* ------------------------------------------------------------------------------- servers */

/* At 127.0.1.N, answering with 10.9.9.N. */
struct origin {
	unsigned n;
	int udp, tcp;
};

static struct origin origin_new(unsigned n)
{
	struct origin o = { .n = n };
	char ip[16];

	snprintf(ip, sizeof(ip), "127.0.1.%u", n);
	o.udp = bound(SOCK_DGRAM, ip, 53);
	o.tcp = bound(SOCK_STREAM, ip, 53);
	return o;
}

static struct origin origin_in(const struct box *b, unsigned n)
{
	struct origin o;

	assert_int_equal(setns(b->ns, CLONE_NEWNET), 0);
	o = origin_new(n);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	return o;
}

static void origin_free(struct origin *o)
{
	close_fd(&o->udp);
	close_fd(&o->tcp);
}

/* A question that arrived, and where its answer goes. */
struct question {
	const struct origin *at;
	struct sockaddr_in from;
	int tcp; /* the connection; -1: by UDP */
	size_t len;
	uint8_t msg[1024];
};

/* Is its first label this? */
static bool is_about(const struct question *q, const char *label)
{
	return q->msg[12] == strlen(label) && memcmp(q->msg + 13, label, q->msg[12]) == 0;
}

/* Waits for the question about LABEL.test; others (of earlier tests, or again) are passed over. */
static struct question asked(const struct origin *o, const char *label)
{
	struct question q = { .at = o, .tcp = -1 };

	do {
		socklen_t len = sizeof(q.from);
		ssize_t n = -1;

		if (readable(o->udp, PATIENCE_MS))
			n = recvfrom(o->udp, q.msg, sizeof(q.msg), 0, (struct sockaddr *)&q.from,
				     &len);
		if (n < 12)
			fail_msg("server %u is not asked about %s", o->n, label);
		q.len = (size_t)n;
	} while (!is_about(&q, label));
	return q;
}

static struct question asked_tcp(const struct origin *o, const char *label)
{
	struct question q = { .at = o, .tcp = -1 };
	uint8_t head[2];

	if (readable(o->tcp, PATIENCE_MS))
		q.tcp = accept4(o->tcp, NULL, NULL, SOCK_CLOEXEC);
	if (q.tcp < 0 || recv(q.tcp, head, 2, MSG_WAITALL) != 2)
		fail_msg("server %u is not asked about %s by TCP", o->n, label);
	q.len = (size_t)(head[0] << 8 | head[1]);
	assert_int_equal(recv(q.tcp, q.msg, q.len, MSG_WAITALL), q.len);
	assert_true(is_about(&q, label));
	return q;
}

static void assert_not_asked(const struct origin *o)
{
	assert_false(readable(o->udp, 0));
}

/* A reply with an address, or without one if the rcode is not 0. Its length. */
static size_t reply_make(uint8_t *buf, const struct question *q, unsigned rcode, uint8_t ttl)
{
	uint8_t rr[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, 10, 9, 9, (uint8_t)q->at->n };
	size_t len = 12;

	memcpy(buf, q->msg, q->len);
	buf[2] |= 0x80;
	buf[3] = (uint8_t)(0x80 | rcode);
	memset(buf + 6, 0, 6);
	while (buf[len])
		len += 1u + buf[len];
	len += 5;
	if (rcode == 0) {
		buf[7] = 1;
		memcpy(buf + len, rr, sizeof(rr));
		len += sizeof(rr);
	}
	return len;
}

static void send_reply(const struct question *q, const uint8_t *msg, size_t len)
{
	uint8_t frame[2 + 2048] = { (uint8_t)(len >> 8), (uint8_t)len };

	memcpy(frame + 2, msg, len);
	if (q->tcp >= 0)
		assert_int_equal(send(q->tcp, frame, len + 2, MSG_NOSIGNAL), len + 2);
	else
		assert_int_equal(sendto(q->at->udp, msg, len, 0, (const struct sockaddr *)&q->from,
					sizeof(q->from)),
				 len);
}

static void answer(const struct question *q, unsigned rcode)
{
	uint8_t msg[2048];

	send_reply(q, msg, reply_make(msg, q, rcode, 60));
}

static void answer_tcp(struct question *q, unsigned rcode)
{
	answer(q, rcode);
	close_fd(&q->tcp);
}

enum { OK = 0, SERVFAIL = 2, NX = 3, REFUSED = 5 };

/* ------------------------------------------------------------------------------- clients */

static struct box b1, b2;
static int c1, c2; /* sockets of theirs */

static void ask(int c, const char *label, uint16_t id)
{
	uint8_t msg[512];
	char name[80];
	size_t len;

	snprintf(name, sizeof(name), "%s.test.", label);
	len = query_make(msg, name, A, id);
	assert_int_equal(send(c, msg, len, 0), len);
}

/* The reply to the query with this id, which is the next to come. */
static const char *told(int c, uint16_t id)
{
	uint8_t msg[65536];
	ssize_t n = readable(c, PATIENCE_MS) ? recv(c, msg, sizeof(msg), 0) : -1;

	if (n < 12)
		return "nothing";
	assert_int_equal(msg[0] << 8 | msg[1], id);
	return reply_text(msg, (size_t)n);
}

/* ------------------------------------------------------------------------------- fixture */

#define DIR_TEMPLATE "/tmp/test-forward.XXXXXX"

static char dir[] = DIR_TEMPLATE, conf[sizeof(DIR_TEMPLATE) + 16];
static struct resolver *r;
static struct origin o1, o2, o3;
static unsigned fds_before;

static void conf_write(const char *text)
{
	_close_ int fd = open(conf, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void name_servers(unsigned first, unsigned second, unsigned third)
{
	unsigned n[] = { first, second, third };
	char text[256] = "nameserver 127.0.0.11\n";

	for (unsigned i = 0; i < 3 && n[i]; i++)
		snprintf(text + strlen(text), 64, "nameserver 127.0.1.%u\n", n[i]);
	conf_write(text);
}

/* With servers of its own: 127.0.1.N in its namespace. */
static void see(const struct box *b, const char *id, bool forward, unsigned own)
{
	const char *ids[] = { "front" };
	struct resolv_server server[2] = { { .ip = { AF_INET, { 127, 0, 0, 11 } } },
					   { .ip = { AF_INET, { 127, 0, 1, (uint8_t)own } } } };
	char netns[64];
	struct resolver_sandbox sb = { .id = id,
				       .network_ids = ids,
				       .n_networks = 1,
				       .servers = server,
				       .n_servers = own ? 2 : 0,
				       .netns = netns,
				       .forward = forward };

	snprintf(netns, sizeof(netns), "/proc/self/fd/%d", b->ns);
	assert_int_equal(resolver_set_sandbox(r, &sb), 0);
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

static int setup(void **state)
{
	struct cnm_error err;

	fds_before = count_fds();
	name_servers(1, 2, 3);
	assert_int_equal(resolver_start(&r, conf, &err), 0);
	b1 = box_new();
	b2 = box_new();
	o1 = origin_new(1);
	o2 = origin_new(2);
	o3 = origin_new(3);
	see(&b1, "b1", true, 0);
	see(&b2, "b2", false, 0);
	assert_int_equal(resolver_set_sockets(r, "b1", b1.udp, b1.tcp), 0);
	assert_int_equal(resolver_set_sockets(r, "b2", b2.udp, b2.tcp), 0);
	c1 = client(&b1, SOCK_DGRAM);
	c2 = client(&b2, SOCK_DGRAM);
	return 0;
}

static int teardown(void **state)
{
	resolver_stop(r);
	close(c1);
	close(c2);
	box_free(&b1);
	box_free(&b2);
	origin_free(&o1);
	origin_free(&o2);
	origin_free(&o3);
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

/* ------------------------------------------------------------------------------- which server */

static void test_first_answers(void **state)
{
	struct question q;

	ask(c1, "first", 7);
	q = asked(&o1, "first");
	answer(&q, OK);
	assert_string_equal(told(c1, 7), "10.9.9.1");
	ask(c1, "none", 8);
	q = asked(&o1, "none");
	answer(&q, NX);
	assert_string_equal(told(c1, 8), "NXDOMAIN");
	assert_not_asked(&o2);
}

/* The next is asked while the first is thinking; who is first wins. */
static void test_slow_first(void **state)
{
	struct question q, q2, q3;

	ask(c1, "slow", 1);
	q = asked(&o1, "slow");
	q2 = asked(&o2, "slow");
	answer(&q2, OK);
	assert_string_equal(told(c1, 1), "10.9.9.2");
	answer(&q, OK); /* too late, and not told twice */

	ask(c1, "slow2", 2);
	q3 = asked(&o3, "slow2");
	q = asked(&o1, "slow2");
	q2 = asked(&o2, "slow2");
	answer(&q2, SERVFAIL);
	answer(&q3, REFUSED);
	answer(&q, OK); /* late, and still the best */
	assert_string_equal(told(c1, 2), "10.9.9.1");
}

static void test_servfail(void **state)
{
	struct question q;

	ask(c1, "bad", 1);
	q = asked(&o1, "bad");
	answer(&q, SERVFAIL);
	q = asked(&o2, "bad");
	answer(&q, REFUSED);
	q = asked(&o3, "bad");
	answer(&q, OK);
	assert_string_equal(told(c1, 1), "10.9.9.3");

	ask(c1, "worse", 2);
	q = asked(&o1, "worse");
	answer(&q, SERVFAIL);
	q = asked(&o2, "worse");
	answer(&q, SERVFAIL);
	q = asked(&o3, "worse");
	answer(&q, REFUSED);
	assert_string_equal(told(c1, 2), "REFUSED");
}

/* Nobody listens there: an ICMP message says so. */
static void test_unreachable(void **state)
{
	struct question q;

	origin_free(&o1);
	ask(c1, "dead", 1);
	q = asked(&o2, "dead");
	answer(&q, OK);
	assert_string_equal(told(c1, 1), "10.9.9.2");
	origin_free(&o2);
	origin_free(&o3);
	ask(c1, "dead2", 2);
	assert_string_equal(told(c1, 2), "SERVFAIL");
	o1 = origin_new(1);
	o2 = origin_new(2);
	o3 = origin_new(3);
}

/* A datagram that is lost is sent again; if all are, there is an answer nevertheless. */
static void test_silence(void **state)
{
	struct question q, again;

	ask(c1, "lost", 1);
	q = asked(&o1, "lost");
	again = asked(&o1, "lost");
	assert_int_equal(q.len, again.len);
	assert_memory_equal(q.msg, again.msg, q.len);
	answer(&again, OK);
	assert_string_equal(told(c1, 1), "10.9.9.1");
	answer(&q, OK);

	ask(c1, "void", 2);
	assert_string_equal(told(c1, 2), "SERVFAIL");
}

/*
 * A server that was silent twice running is asked after the others: then there is a query that the
 * second has and the first has not. Once it answers a probe, it comes first again.
 */
static void test_bad_server(void **state)
{
	struct question q;
	char label[16];
	unsigned i;

	for (i = 0; i < 200; i++) {
		snprintf(label, sizeof(label), "mute%u", i);
		ask(c1, label, 1);
		q = asked(&o2, label);
		answer(&q, OK);
		assert_string_equal(told(c1, 1), "10.9.9.2");
		if (!readable(o1.udp, 0))
			break;
		while (readable(o1.udp, 0))
			recv(o1.udp, &q.msg, sizeof(q.msg), 0);
	}
	assert_in_range(i, 2, 199);
	for (i = 0; i < 100000; i++) {
		struct pollfd p[] = { { .fd = o1.udp, .events = POLLIN },
				      { .fd = o2.udp, .events = POLLIN } };

		snprintf(label, sizeof(label), "again%u", i);
		ask(c1, label, 1);
		assert_true(poll(p, 2, PATIENCE_MS) > 0);
		/* where it is a probe, the second has it too */
		q = asked(p[1].revents ? &o2 : &o1, label);
		if (p[1].revents && p[0].revents) {
			struct question probe = asked(&o1, label);

			answer(&probe, OK);
		}
		answer(&q, OK);
		assert_int_equal(strncmp(told(c1, 1), "10.9.9.", 7), 0);
		if (!p[1].revents)
			break;
	}
	assert_in_range(i, 1, 99999);
}

/* ------------------------------------------------------------------------------- what is no reply
 */

static void test_forgeries(void **state)
{
	_close_ int other = bound(SOCK_DGRAM, "127.0.1.9", 53);
	struct question q;
	uint8_t msg[2048];
	size_t len;

	ask(c1, "true", 1);
	q = asked(&o1, "true");
	len = reply_make(msg, &q, OK, 60);
	msg[len - 1] = 66;
	sendto(other, msg, len, 0, (struct sockaddr *)&q.from, sizeof(q.from));
	msg[0] ^= 1; /* another id */
	send_reply(&q, msg, len);
	msg[0] ^= 1;
	msg[14] ^= 1; /* another name */
	send_reply(&q, msg, len);
	msg[14] ^= 1;
	msg[12 + 1 + 4 + 1 + 4 + 1 + 1] ^= 28; /* another type */
	send_reply(&q, msg, len);
	msg[12 + 1 + 4 + 1 + 4 + 1 + 1] ^= 28;
	msg[5] = 0; /* no question */
	send_reply(&q, msg, len);
	msg[5] = 1;
	send_reply(&q, msg, 7);
	send_reply(&q, msg, 14);
	send_reply(&q, msg, 0);
	msg[2] &= 0x7f; /* a query */
	send_reply(&q, msg, len);
	memset(msg, 0xff, sizeof(msg));
	send_reply(&q, msg, sizeof(msg));
	answer(&q, OK);
	answer(&q, NX); /* twice */
	assert_string_equal(told(c1, 1), "10.9.9.1");
	ask(c1, "next", 2);
	q = asked(&o1, "next");
	answer(&q, OK);
	assert_string_equal(told(c1, 2), "10.9.9.1");
}

/* The answer of one server is none to what another was asked. */
static void test_crossed_replies(void **state)
{
	struct question q, q2, crossed;

	ask(c1, "cross", 1);
	q = asked(&o1, "cross");
	q2 = asked(&o2, "cross");
	crossed = q;
	crossed.from = q2.from;
	crossed.at = &o2;
	answer(&crossed, OK); /* the first one's id at the second one's port */
	crossed = q2;
	crossed.from = q.from;
	answer(&crossed, OK); /* the second at the first one's port */
	answer(&q, NX);
	assert_string_equal(told(c1, 1), "NXDOMAIN");
}

/* Too large for the client, or truncated by the server: the client is told to come by TCP. */
static void test_truncated(void **state)
{
	struct question q;
	uint8_t msg[2048];
	size_t len;

	ask(c1, "cut", 1);
	q = asked(&o1, "cut");
	len = reply_make(msg, &q, NX, 0);
	msg[2] |= 2;
	send_reply(&q, msg, len);
	assert_string_equal(told(c1, 1), "NXDOMAIN cut");
	ask(c1, "large", 2);
	q = asked(&o1, "large");
	len = reply_make(msg, &q, OK, 60);
	for (; len < 1000; len += 16) {
		memcpy(msg + len, msg + len - 16, 16);
		msg[7]++;
	}
	send_reply(&q, msg, len);
	assert_string_equal(told(c1, 2), "NOERROR cut");
}

/* ------------------------------------------------------------------------------- many at once */

/* The same question from two sandboxes goes out once, and each is told under its own id. */
static void test_joined(void **state)
{
	_close_ int c = client(&b1, SOCK_DGRAM);
	struct question q;

	see(&b2, "b2", true, 0);
	ask(c1, "crowd", 1);
	ask(c, "crowd", 2);
	ask(c2, "crowd", 3);
	ask(c2, "other", 4);
	q = asked(&o1, "other"); /* from the last on: all have been read */
	answer(&q, OK);
	assert_string_equal(told(c2, 4), "10.9.9.1");
	ask(c1, "other2", 5);
	q = asked(&o1, "other2");
	answer(&q, OK);
	assert_string_equal(told(c1, 5), "10.9.9.1");
	resolver_drop_sandbox(r, "unknown");
	q = asked(&o2, "crowd");
	answer(&q, OK);
	assert_string_equal(told(c1, 1), "10.9.9.2");
	assert_string_equal(told(c, 2), "10.9.9.2");
	assert_string_equal(told(c2, 3), "10.9.9.2");
}

/* 1024 on their way; those beyond are refused at once, and other sandboxes are not concerned. */
static void test_in_flight_is_bounded(void **state)
{
	struct question q;
	char label[16];
	uint8_t msg[512];
	unsigned refused = 0;
	int size = 1 << 20;

	name_servers(1, 0, 0);
	see(&b2, "b2", true, 0);
	setsockopt(o1.udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(c1, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	for (unsigned i = 0; i < 1030; i++) {
		snprintf(label, sizeof(label), "n%u", i);
		ask(c1, label, (uint16_t)i);
		if (i < 1024)
			asked(&o1, label);
		else
			assert_string_equal(told(c1, (uint16_t)i), "REFUSED");
		if (i < 1024 && recv(c1, msg, sizeof(msg), MSG_DONTWAIT) > 0)
			refused++; /* so slow that the first have failed already */
	}
	ask(c2, "mine", 1);
	q = asked(&o1, "mine");
	answer(&q, OK);
	assert_string_equal(told(c2, 1), "10.9.9.1");
	for (unsigned i = refused; i < 1024; i++) {
		assert_true(readable(c1, PATIENCE_MS));
		assert_string_equal(reply_text(msg, (size_t)recv(c1, msg, sizeof(msg), 0)),
				    "SERVFAIL");
	}
	ask(c1, "again", 2);
	q = asked(&o1, "again");
	answer(&q, OK);
	assert_string_equal(told(c1, 2), "10.9.9.1");
}

/* No descriptor for a socket: an answer, and no harm done. */
static void test_no_descriptors(void **state)
{
	struct rlimit few = { 3, 8192 }, many = { 8192, 8192 };
	struct question q;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	ask(c1, "emfile", 1);
	assert_string_equal(told(c1, 1), "SERVFAIL");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
	ask(c1, "enough", 2);
	q = asked(&o1, "enough");
	answer(&q, OK);
	assert_string_equal(told(c1, 2), "10.9.9.1");
}

/* ------------------------------------------------------------------------------- the cache */

static void test_cached(void **state)
{
	_close_ int t = client(&b1, SOCK_STREAM);
	struct question q;
	uint8_t msg[2048];

	ask(c1, "kept", 1);
	q = asked(&o1, "kept");
	answer(&q, OK);
	assert_string_equal(told(c1, 1), "10.9.9.1");
	origin_free(&o1);
	origin_free(&o2);
	origin_free(&o3);
	ask(c1, "kept", 2);
	assert_string_equal(told(c1, 2), "10.9.9.1");
	send_tcp(t, "KEPT.test.", A, 3);
	assert_string_equal(receive_tcp(t, 3), "10.9.9.1");
	ask(c2, "kept", 4); /* an internal one has no part in it */
	assert_string_equal(told(c2, 4), "SERVFAIL");
	o1 = origin_new(1);
	o2 = origin_new(2);
	o3 = origin_new(3);

	/* for a second only: some time later the server is asked again */
	ask(c1, "brief", 5);
	q = asked(&o1, "brief");
	send_reply(&q, msg, reply_make(msg, &q, OK, 1));
	assert_string_equal(told(c1, 5), "10.9.9.1");
	do
		ask(c1, "brief", 6);
	while (readable(c1, 100) && !readable(o1.udp, 0) && streq(told(c1, 6), "10.9.9.1"));
	q = asked(&o1, "brief");
	answer(&q, NX);
	assert_string_equal(told(c1, 6), "NXDOMAIN");
}

/* Asks until the question goes to another server. */
static void await_other(const struct origin *from, const struct origin *to)
{
	bool found = false;

	for (unsigned i = 0; !found; i++) {
		struct pollfd p[] = { { .fd = from->udp, .events = POLLIN },
				      { .fd = to->udp, .events = POLLIN },
				      { .fd = c1, .events = POLLIN } };
		char label[16];

		snprintf(label, sizeof(label), "await%u", i);
		ask(c1, label, 99);
		for (p[2].revents = 0; !p[2].revents;) {
			assert_true(poll(p, 3, PATIENCE_MS) > 0);
			for (unsigned j = 0; j < 2; j++) {
				struct question q;

				if (!p[j].revents)
					continue;
				q = asked(j ? to : from, label);
				answer(&q, OK);
				found = found || j;
			}
		}
		told(c1, 99);
	}
}

/* What other servers said is forgotten when the host's file names others. */
static void test_cache_follows_the_file(void **state)
{
	struct question q;

	ask(c1, "moved", 1);
	q = asked(&o1, "moved");
	answer(&q, OK);
	assert_string_equal(told(c1, 1), "10.9.9.1");
	name_servers(2, 0, 0);
	await_other(&o1, &o2);
	ask(c1, "moved", 2);
	q = asked(&o2, "moved");
	answer(&q, OK);
	assert_string_equal(told(c1, 2), "10.9.9.2");
}

/* Without recursion desired, each query goes on. */
static void test_not_recursive(void **state)
{
	struct question q;
	uint8_t msg[512];
	size_t len = query_make(msg, "snoop.test.", A, 1);

	msg[2] = 0;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(send(c1, msg, len, 0), len);
		q = asked(&o1, "snoop");
		assert_int_equal(q.msg[2], 0);
		answer(&q, OK);
		assert_string_equal(told(c1, 1), "10.9.9.1");
	}
}

/* The query stays in the sandbox's socket until it has been answered. */
static void test_stays_in_the_socket(void **state)
{
	struct question q;
	int bytes = 0;

	ask(c1, "stays", 1);
	q = asked(&o1, "stays");
	assert_int_equal(ioctl(b1.udp, FIONREAD, &bytes), 0);
	assert_true(bytes > 0);
	answer(&q, OK);
	assert_string_equal(told(c1, 1), "10.9.9.1");
	/* it is taken out after that, and before anything else is done */
	assert_string_equal(ask_tcp(&b2, "barrier.test.", A), "SERVFAIL");
	assert_int_equal(ioctl(b1.udp, FIONREAD, &bytes), 0);
	assert_int_equal(bytes, 0);
}

/* ------------------------------------------------------------------------------- other servers */

/* What is on its way when the host's file changes is asked of the new servers, by both ways. */
static void test_file_changes(void **state)
{
	_close_ int t = client(&b1, SOCK_STREAM);
	struct question q, qt, q2;

	ask(c1, "turn", 1);
	send_tcp(t, "turn.test.", A, 2);
	q = asked(&o1, "turn");
	qt = asked_tcp(&o1, "turn");
	name_servers(3, 0, 0);
	q2 = asked(&o3, "turn");
	answer(&q, OK); /* no longer one of ours */
	answer(&q2, OK);
	assert_string_equal(told(c1, 1), "10.9.9.3");
	q2 = asked_tcp(&o3, "turn");
	assert_int_equal(recv(qt.tcp, qt.msg, 1, 0), 0);
	answer_tcp(&q2, NX);
	assert_string_equal(receive_tcp(t, 2), "NXDOMAIN");
	close(qt.tcp);
	/* and when there are none any more, fails */
	ask(c1, "end", 3);
	send_tcp(t, "end.test.", A, 4);
	q = asked(&o3, "end");
	qt = asked_tcp(&o3, "end");
	name_servers(0, 0, 0);
	assert_string_equal(told(c1, 3), "SERVFAIL");
	assert_string_equal(receive_tcp(t, 4), "SERVFAIL");
	close(qt.tcp);
	ask(c1, "end2", 5);
	assert_string_equal(told(c1, 5), "SERVFAIL");
}

/* A server that there is only in the sandbox's namespace; the host's are not asked. */
static void test_own_servers(void **state)
{
	struct origin own = origin_in(&b2, 7);
	_close_ int t = client(&b2, SOCK_STREAM);
	struct question q;

	ask(c2, "in", 1); /* internal */
	assert_string_equal(told(c2, 1), "SERVFAIL");
	for (int forward = 0; forward < 2; forward++) {
		see(&b2, "b2", forward, 7);
		ask(c2, forward ? "in" : "in2", 2);
		q = asked(&own, forward ? "in" : "in2");
		answer(&q, OK);
		assert_string_equal(told(c2, 2), "10.9.9.7");
	}
	ask(c2, "in", 3); /* cached */
	assert_string_equal(told(c2, 3), "10.9.9.7");
	ask(c1, "in", 4); /* but not for others */
	q = asked(&o1, "in");
	answer(&q, OK);
	assert_string_equal(told(c1, 4), "10.9.9.1");
	send_tcp(t, "stream.test.", A, 5);
	q = asked_tcp(&own, "stream");
	answer_tcp(&q, OK);
	assert_string_equal(receive_tcp(t, 5), "10.9.9.7");
	origin_free(&own);
	ask(c2, "gone", 6);
	assert_string_equal(told(c2, 6), "SERVFAIL");
	assert_not_asked(&o1);
}

/* Other own servers, or none: what is on its way begins again, or fails; the same: nothing. */
static void test_own_servers_change(void **state)
{
	struct origin own7 = origin_in(&b2, 7), own8 = origin_in(&b2, 8);
	_close_ int t = client(&b2, SOCK_STREAM);
	struct question q, old, qt;

	see(&b2, "b2", false, 7);
	ask(c2, "swap", 1);
	old = asked(&own7, "swap");
	see(&b2, "b2", false, 7);
	answer(&old, OK);
	assert_string_equal(told(c2, 1), "10.9.9.7");

	ask(c2, "swap2", 2);
	send_tcp(t, "swap2.test.", A, 3);
	old = asked(&own7, "swap2");
	qt = asked_tcp(&own7, "swap2");
	see(&b2, "b2", false, 8);
	ask(c2, "swap", 4); /* what the others said is forgotten */
	q = asked(&own8, "swap2");
	answer(&old, OK);
	answer(&q, OK);
	assert_string_equal(told(c2, 2), "10.9.9.8");
	q = asked(&own8, "swap");
	answer(&q, OK);
	assert_string_equal(told(c2, 4), "10.9.9.8");
	close(qt.tcp);
	qt = asked_tcp(&own8, "swap2");

	/* none any more, and the host's are not for it */
	ask(c2, "swap3", 5);
	asked(&own8, "swap3");
	see(&b2, "b2", false, 0);
	ask(c2, "wake", 6);
	assert_string_equal(told(c2, 6), "SERVFAIL");
	assert_string_equal(told(c2, 5), "SERVFAIL");
	assert_string_equal(receive_tcp(t, 3), "SERVFAIL");
	close(qt.tcp);

	/* none any more, and the host's are */
	see(&b2, "b2", true, 8);
	ask(c2, "swap4", 7);
	asked(&own8, "swap4");
	see(&b2, "b2", true, 0);
	ask(c2, "wake", 8);
	q = asked(&o1, "wake");
	answer(&q, NX);
	assert_string_equal(told(c2, 8), "NXDOMAIN");
	q = asked(&o1, "swap4");
	answer(&q, OK);
	assert_string_equal(told(c2, 7), "10.9.9.1");
	origin_free(&own7);
	origin_free(&own8);
}

/* A sandbox that goes while its queries are on their way, to the host's servers and to its own. */
static void test_dropped_on_the_way(void **state)
{
	struct origin own = origin_in(&b2, 7);
	_close_ int t1 = client(&b1, SOCK_STREAM), t2 = client(&b2, SOCK_STREAM);
	struct question q[4];

	see(&b2, "b2", false, 7);
	ask(c1, "leave", 1);
	ask(c2, "leave", 2);
	send_tcp(t1, "leave.test.", A, 3);
	send_tcp(t2, "leave.test.", A, 4);
	q[0] = asked(&o1, "leave");
	q[1] = asked_tcp(&o1, "leave");
	q[2] = asked(&own, "leave");
	q[3] = asked_tcp(&own, "leave");
	resolver_drop_sandbox(r, "b2");
	assert_string_equal(receive_tcp(t2, 4), "closed");
	answer(&q[2], OK);
	answer_tcp(&q[3], OK);
	resolver_drop_sandbox(r, "b1");
	assert_string_equal(receive_tcp(t1, 3), "closed");
	answer(&q[0], OK);
	answer_tcp(&q[1], OK);
	origin_free(&own);
}

/* ------------------------------------------------------------------------------- by TCP */

static void test_tcp(void **state)
{
	_close_ int t = client(&b1, SOCK_STREAM);
	struct question q, q2;
	uint8_t msg[2048];
	size_t len;

	send_tcp(t, "tcp.test.", A, 1);
	q = asked_tcp(&o1, "tcp");
	answer_tcp(&q, OK);
	assert_string_equal(receive_tcp(t, 1), "10.9.9.1");

	/* hangs up; a failure; good */
	send_tcp(t, "tcp2.test.", A, 2);
	q = asked_tcp(&o1, "tcp2");
	close(q.tcp);
	q = asked_tcp(&o2, "tcp2");
	answer_tcp(&q, SERVFAIL);
	q = asked_tcp(&o3, "tcp2");
	answer_tcp(&q, OK);
	assert_string_equal(receive_tcp(t, 2), "10.9.9.3");

	/* another id; shorter than a header; good */
	send_tcp(t, "tcp3.test.", A, 3);
	q = asked_tcp(&o1, "tcp3");
	len = reply_make(msg, &q, OK, 60);
	msg[1] ^= 1;
	send_reply(&q, msg, len);
	q2 = asked_tcp(&o2, "tcp3");
	send_reply(&q2, msg, 3);
	close(q.tcp);
	close(q2.tcp);
	q = asked_tcp(&o3, "tcp3");
	answer_tcp(&q, OK);
	assert_string_equal(receive_tcp(t, 3), "10.9.9.3");

	/* slow, and first all the same */
	send_tcp(t, "tcp4.test.", A, 4);
	q = asked_tcp(&o1, "tcp4");
	q2 = asked_tcp(&o2, "tcp4");
	answer_tcp(&q, OK);
	assert_string_equal(receive_tcp(t, 4), "10.9.9.1");
	assert_int_equal(recv(q2.tcp, msg, 1, 0), 0);
	close(q2.tcp);

	/* nobody listens */
	close_fd(&o1.tcp);
	close_fd(&o2.tcp);
	send_tcp(t, "tcp5.test.", A, 5);
	q = asked_tcp(&o3, "tcp5");
	answer_tcp(&q, OK);
	assert_string_equal(receive_tcp(t, 5), "10.9.9.3");
	close_fd(&o3.tcp);
	send_tcp(t, "tcp6.test.", A, 6);
	assert_string_equal(receive_tcp(t, 6), "SERVFAIL");
}

/* The client by TCP goes away first. */
static void test_tcp_client_leaves(void **state)
{
	int t = client(&b1, SOCK_STREAM);
	struct question q;
	uint8_t byte;

	send_tcp(t, "bye.test.", A, 1);
	q = asked_tcp(&o1, "bye");
	shutdown(t, SHUT_RDWR);
	close(t);
	assert_int_equal(recv(q.tcp, &byte, 1, 0), 0);
	close(q.tcp);
	ask(c1, "here", 2);
	q = asked(&o1, "here");
	answer(&q, OK);
	assert_string_equal(told(c1, 2), "10.9.9.1");
}

/* ------------------------------------------------------------------------------- main */

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_answers),
		TEST(test_slow_first),
		TEST(test_servfail),
		TEST(test_unreachable),
		TEST(test_silence),
		TEST(test_bad_server),
		TEST(test_forgeries),
		TEST(test_crossed_replies),
		TEST(test_truncated),
		TEST(test_joined),
		TEST(test_in_flight_is_bounded),
		TEST(test_no_descriptors),
		TEST(test_cached),
		TEST(test_cache_follows_the_file),
		TEST(test_not_recursive),
		TEST(test_stays_in_the_socket),
		TEST(test_file_changes),
		TEST(test_own_servers),
		TEST(test_own_servers_change),
		TEST(test_dropped_on_the_way),
		TEST(test_tcp),
		TEST(test_tcp_client_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

static int nothing(void *arg)
{
	return 0;
}

int main(void)
{
	struct rlimit files = { 8192, 8192 };
	int failed;

	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		fprintf(stderr, "skipped: root is needed to make network namespaces\n");
		return 77;
	}
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (!mkdtemp(dir) || setrlimit(RLIMIT_NOFILE, &files) < 0 || home < 0)
		return 1;
	lo_up();
	netns_call(home, nothing, NULL); /* its thread keeps a descriptor, which is none of ours */
	snprintf(conf, sizeof(conf), "%s/resolv.conf", dir);
	failed = run_all();
	unlink(conf);
	rmdir(dir);
	close(home);
	return failed;
}
