/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proxy, with real packets: needs root. proxy_lab.h describes the world. Both ends of a
 * connection, the client's and the target's, are sockets of the test.
 */
#include "proxy_lab.h"

/* ---- connections */

/* One end of a connection both of which send and receive. */
struct end {
	int fd;
	size_t size; /* of what it sends */
	size_t sent, got;
	uint8_t salt; /* tells what it sends from what the other does */
	bool shut, ended;
};

static uint8_t byte_at(size_t i, uint8_t salt)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16) + salt);
}

static void end_send(struct end *e)
{
	uint8_t buf[65536];
	size_t n = e->size - e->sent;
	ssize_t done;

	if (n > sizeof(buf))
		n = sizeof(buf);
	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(e->sent + i, e->salt);
	done = n ? send(e->fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	assert_true(done >= 0 || errno == EAGAIN);
	e->sent += done > 0 ? (size_t)done : 0;
	if (e->sent < e->size)
		return;
	shutdown(e->fd, SHUT_WR);
	e->shut = true;
}

static void end_receive(struct end *e, const struct end *other)
{
	uint8_t buf[65536];
	ssize_t n = recv(e->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		fail_msg("after %zu bytes: %s", e->got, strerror(errno));
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != byte_at(e->got + (size_t)i, other->salt))
			fail_msg("byte %zu is wrong", e->got + (size_t)i);
	e->got += (size_t)n;
	e->ended = n == 0;
}

/* Each sends so many bytes and then its end, and gets the other's; both are closed then. */
static void exchange(int a, int b, size_t from_a, size_t from_b)
{
	struct end ends[] = { { .fd = a, .size = from_a, .salt = 1 },
			      { .fd = b, .size = from_b, .salt = 100 } };

	while (!ends[0].ended || !ends[1].ended || !ends[0].shut || !ends[1].shut) {
		struct pollfd p[2];

		for (unsigned i = 0; i < 2; i++)
			p[i] = (struct pollfd){ .fd = ends[i].fd,
						.events = (short)((ends[i].ended ? 0 : POLLIN) |
								  (ends[i].shut ? 0 : POLLOUT)) };
		assert_true(poll(p, 2, WAIT_MS) > 0);
		for (unsigned i = 0; i < 2; i++) {
			if (p[i].revents & POLLOUT && !ends[i].shut)
				end_send(&ends[i]);
			if (p[i].revents & (POLLIN | POLLHUP | POLLERR) && !ends[i].ended)
				end_receive(&ends[i], &ends[!i]);
		}
	}
	assert_int_equal(ends[0].got, from_b);
	assert_int_equal(ends[1].got, from_a);
	close(a);
	close(b);
}

/* A connection from the host itself. */
static void exchange_new(uint16_t port, int listener)
{
	int c = client(-1, SOCK_STREAM, "::1", port);

	exchange(c, accept_from(listener), MB, MB);
}

static char linklocal[IP_STR]; /* the host's, on the veth */

static const char *link_local(void)
{
	_free_ char *text =
		output("ip -6 -o addr show dev v0 scope link | sed 's/.*inet6 //; s/\\/.*//'");

	text[strcspn(text, "\n")] = '\0';
	str_copy(linklocal, sizeof(linklocal), text);
	return linklocal;
}

static void test_streams(void **state)
{
	const struct {
		int from;
		const char *ip;
		int at;
		const char *target;
	} ways[] = { { -1, "::1", -1, "127.0.0.1" },
		     { -1, "::1", far, FAR4 },
		     { -1, HOME6, far, FAR6 },
		     { far, HOME6, -1, HOME4 },
		     { far, link_local(), -1, "::1" } };

	for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
		_close_ int listener = expose(8001, ways[i].at, SOCK_STREAM, ways[i].target);
		int c = client(ways[i].from, SOCK_STREAM, ways[i].ip, 8001);

		exchange(c, accept_from(listener), 10 * MB, 10 * MB + 1);
	}
}

/* The one that has said all it had to say hears the other out, whichever it is. */
static void test_half_close(void **state)
{
	_close_ int listener = expose(8001, far, SOCK_STREAM, FAR4);

	for (unsigned i = 0; i < 2; i++) {
		int a = client(-1, SOCK_STREAM, "::1", 8001), b = accept_from(listener);
		int first = i ? b : a, last = i ? a : b;

		send_text(first, "question");
		shutdown(first, SHUT_WR);
		expect_text(last, "question");
		expect_eof(last);
		send_text(last, "answer");
		expect_text(first, "answer");
		exchange(last, first, 0, 0);
	}
}

static void test_many(void **state)
{
	enum { N = 200 };
	_close_ int listener = expose(8001, far, SOCK_STREAM, FAR4);
	int c[N], s[N];
	char text[16];

	for (unsigned i = 0; i < N; i++) {
		c[i] = client(i % 2 ? far : -1, SOCK_STREAM, i % 2 ? HOME6 : "::1", 8001);
		snprintf(text, sizeof(text), "%04u", i);
		send_text(c[i], text);
	}
	for (unsigned i = 0; i < N; i++) {
		unsigned id;
		int fd = accept_from(listener);

		await(fd, POLLIN);
		assert_int_equal(recv(fd, text, 4, MSG_WAITALL), 4);
		text[4] = '\0';
		id = (unsigned)atoi(text);
		assert_in_range(id, 0, N - 1);
		s[id] = fd;
	}
	for (unsigned i = 0; i < N; i++)
		exchange(c[i], s[i], 0, 1000);
}

/* Writes until the way is full; how many bytes. */
static size_t fill(int fd)
{
	static const char zeros[65536];
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t sent = 0;
	ssize_t n;

	while (poll(&p, 1, 200) > 0) {
		n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
	}
	return sent;
}

static void test_slow_peer(void **state)
{
	_close_ int listener = expose(8001, far, SOCK_STREAM, FAR4);
	_close_ int c = client(-1, SOCK_STREAM, "::1", 8001), s = accept_from(listener);
	static char buf[65536];
	size_t sent = fill(c), got = 0;

	exchange_new(8001, listener);
	while (got < sent) {
		ssize_t n;

		await(s, POLLIN);
		n = recv(s, buf, sizeof(buf), 0);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_int_equal(got, sent);
	send_text(s, "still here");
	expect_text(c, "still here");
}

static void test_resets(void **state)
{
	_close_ int listener = expose(8001, far, SOCK_STREAM, FAR4);
	int c = client(-1, SOCK_STREAM, "::1", 8001), s = accept_from(listener);

	reset(c);
	expect_reset(s);
	close(s);
	/* what was sent before arrives */
	c = client(-1, SOCK_STREAM, "::1", 8001);
	s = accept_from(listener);
	send_text(c, "unread");
	await(s, POLLIN);
	send_text(s, "parting words");
	close(s);
	expect_text(c, "parting words");
	expect_reset(c);
	close(c);
	/* also when the way is full */
	c = client(-1, SOCK_STREAM, "::1", 8001);
	s = accept_from(listener);
	fill(c);
	reset(s);
	await(c, POLLHUP);
	assert_int_equal(send(c, "x", 1, MSG_NOSIGNAL), -1);
	close(c);
}

/* Nobody listens, nobody is meant, and the proxy itself is. */
static void test_refused(void **state)
{
	int listener = expose(8001, far, SOCK_STREAM, FAR4);
	uint16_t own = proxy_port(proxy, IPPROTO_TCP);
	const struct {
		int from;
		const char *ip;
		uint16_t port;
	} cases[] = { { -1, "::1", 8001 }, { far, HOME6, 8001 }, { -1, "::1", 8002 },
		      { -1, "::1", own },  { -1, HOME6, own },   { far, HOME6, own } };
	unsigned before;

	close(listener);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		_close_ int c = -1;

		before = times_asked();
		c = client(cases[i].from, SOCK_STREAM, cases[i].ip, cases[i].port);
		expect_reset(c);
		assert_int_equal(times_asked() - before, cases[i].port != own);
	}
}

/* ---- datagrams */

struct from {
	union addr addr;
	socklen_t len;
};

static struct from expect_datagram(int fd, const char *want)
{
	struct from from = { .len = sizeof(from.addr) };
	char have[64] = "";

	await(fd, POLLIN);
	assert_true(recvfrom(fd, have, sizeof(have) - 1, 0, &from.addr.any, &from.len) >= 0);
	assert_string_equal(have, want);
	return from;
}

static void reply(int fd, const struct from *to, const char *text)
{
	assert_int_equal(sendto(fd, text, strlen(text), 0, &to->addr.any, to->len), strlen(text));
}

/* There and back; returns the port that the target sees. */
static uint16_t ask(int c, int target, const char *text)
{
	struct from from;

	send_text(c, text);
	from = expect_datagram(target, text);
	reply(target, &from, text);
	expect_datagram(c, text);
	return ntohs(from.addr.v4.sin_port);
}

static void test_datagrams(void **state)
{
	const struct {
		int from;
		const char *ip;
	} cases[] = { { -1, "::1" },  { -1, "::1" },  { -1, HOME6 },
		      { far, HOME6 }, { far, HOME6 }, { far, link_local() } };
	_close_ int local = expose(8001, -1, SOCK_DGRAM, "127.0.0.1");
	_close_ int remote = expose(8002, far, SOCK_DGRAM, FAR6);
	int c[ARRAY_LEN(cases)];
	struct from from[ARRAY_LEN(cases)];
	char text[16];

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		c[i] = client(cases[i].from, SOCK_DGRAM, cases[i].ip, i % 2 ? 8002 : 8001);
		snprintf(text, sizeof(text), "%u", i);
		send_text(c[i], text);
		from[i] = expect_datagram(i % 2 ? remote : local, text);
	}
	/* The sockets are connected: an answer from another source would not arrive. */
	for (unsigned i = ARRAY_LEN(cases); i-- > 0;) {
		snprintf(text, sizeof(text), "re: %u", i);
		reply(i % 2 ? remote : local, &from[i], text);
		expect_datagram(c[i], text);
	}
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ask(c[i], i % 2 ? remote : local, "again"),
				 ntohs(from[i].addr.v4.sin_port));
		ask(c[i], i % 2 ? remote : local, "");
		close(c[i]);
	}
}

static void test_long_datagram(void **state)
{
	_close_ int target = expose(8001, -1, SOCK_DGRAM, "127.0.0.1");
	_close_ int c = client(-1, SOCK_DGRAM, "::1", 8001);
	static uint8_t out[65507], in[65520];
	struct from from = { .len = sizeof(from.addr) };

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = byte_at(i, 3);
	/* more than IPv4 can carry is lost, and does no harm */
	assert_int_equal(send(c, in, sizeof(in), 0), sizeof(in));
	assert_int_equal(send(c, out, sizeof(out), 0), sizeof(out));
	await(target, POLLIN);
	assert_int_equal(recvfrom(target, in, sizeof(in), 0, &from.addr.any, &from.len),
			 sizeof(out));
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(sendto(target, out, sizeof(out), 0, &from.addr.any, from.len),
			 sizeof(out));
	await(c, POLLIN);
	assert_int_equal(recv(c, in, sizeof(in), 0), sizeof(out));
	assert_memory_equal(in, out, sizeof(out));
}

/* What comes to the proxy itself is dropped: it is handled before what is sent after it. */
static void test_stray_datagrams(void **state)
{
	_close_ int target = expose(8001, -1, SOCK_DGRAM, "127.0.0.1");
	uint16_t own = proxy_port(proxy, IPPROTO_UDP);
	_close_ int a = client(-1, SOCK_DGRAM, "::1", own);
	_close_ int b = client(far, SOCK_DGRAM, HOME6, own);
	_close_ int c = client(-1, SOCK_DGRAM, "::1", 8002);
	_close_ int good = client(-1, SOCK_DGRAM, "::1", 8001);
	unsigned before = times_asked();

	send_text(a, "stray");
	send_text(b, "stray");
	ask(good, target, "good");
	assert_int_equal(times_asked() - before, 1);
	send_text(c, "nobody's");
	ask(good, target, "good");
	assert_int_equal(times_asked() - before, 2);
}

static void test_idle(void **state)
{
	_close_ int target = expose(8001, -1, SOCK_DGRAM, "127.0.0.1");
	_close_ int idle = client(-1, SOCK_DGRAM, "::1", 8001);
	_close_ int busy = client(-1, SOCK_DGRAM, "::1", 8001);
	uint16_t idle_port, busy_port;
	unsigned fds;

	freeze();
	idle_port = ask(idle, target, "a");
	busy_port = ask(busy, target, "b");
	fds = count_fds();
	pass(59);
	assert_int_equal(ask(busy, target, "c"), busy_port);
	assert_int_equal(count_fds(), fds);
	pass(2);
	assert_int_equal(ask(busy, target, "d"), busy_port);
	assert_int_equal(ask(busy, target, "e"), busy_port); /* the turn of "d" is over now */
	assert_int_equal(count_fds(), fds - 1);
	assert_int_not_equal(ask(idle, target, "f"), idle_port);
	assert_int_equal(count_fds(), fds);
}

/* The port leads elsewhere from now on, to one who goes on sending as well. */
static void test_moved(void **state)
{
	_close_ int first = expose(8001, -1, SOCK_DGRAM, "127.0.0.1"), second = -1;
	_close_ int c = client(-1, SOCK_DGRAM, "::1", 8001);

	freeze();
	ask(c, first, "a");
	second = expose(8001, far, SOCK_DGRAM, FAR4);
	pass(1);
	ask(c, second, "b");
}

/* The target is gone: the next datagram is for who is there then. No time passes. */
static void test_unreachable(void **state)
{
	int first = expose(8001, -1, SOCK_DGRAM, "127.0.0.1"), tries = 0;
	_close_ int c = client(-1, SOCK_DGRAM, "::1", 8001), second = -1;
	struct pollfd p = { .events = POLLIN };

	freeze();
	ask(c, first, "a");
	close(first);
	second = p.fd = expose(8001, -1, SOCK_DGRAM, "127.0.0.1");
	do
		send_text(c, "b");
	while (poll(&p, 1, 100) == 0 && ++tries < 50);
	expect_datagram(second, "b");
}

/* ---- limits */

static unsigned lowest_free_fd(void)
{
	int fd = dup(0);

	close(fd);
	return (unsigned)fd;
}

static void connect_to(int fd, uint16_t port)
{
	union addr a = make_addr("::1", port);

	assert_int_equal(connect(fd, &a.any, sizeof(a)), 0);
}

/* Without descriptors nothing is lost; it is done when there are some again. */
static void test_out_of_descriptors(void **state)
{
	_close_ int listener = expose(8001, -1, SOCK_STREAM, "127.0.0.1");
	_close_ int c = socket_in(-1, AF_INET6, SOCK_STREAM), s = -1;
	struct pollfd p = { .fd = listener, .events = POLLIN };

	set_fd_limit(lowest_free_fd());
	connect_to(c, 8001);
	assert_int_equal(poll(&p, 1, 300), 0); /* it waits */
	set_fd_limit(usual_fds);
	s = accept_from(listener);

	/* connected, but no pipe */
	set_fd_limit(lowest_free_fd());
	send_text(c, "hello");
	p.fd = s;
	assert_int_equal(poll(&p, 1, 300), 0);
	set_fd_limit(usual_fds);
	expect_text(s, "hello");
	exchange(take_fd(&c), take_fd(&s), MB, MB);

	/* one for the client, none for the target */
	c = socket_in(-1, AF_INET6, SOCK_STREAM);
	set_fd_limit(lowest_free_fd() + 1);
	connect_to(c, 8001);
	expect_reset(c);
}

#define MANY_FDS (4 * PROXY_MAX_FLOWS + 500)

static void get_many_fds(void)
{
	if (try_fd_limit(MANY_FDS))
		return;
	print_message("# skipped: needs %u descriptors (ulimit -n)\n", MANY_FDS);
	skip();
}

static int clients[PROXY_MAX_FLOWS], ends[PROXY_MAX_FLOWS];

static void test_full_of_connections(void **state)
{
	_close_ int listener = -1, late = -1;
	struct pollfd p = { .events = POLLIN };

	get_many_fds();
	listener = p.fd = expose(8001, -1, SOCK_STREAM, "127.0.0.1");
	for (unsigned i = 0; i < PROXY_MAX_FLOWS; i++) {
		clients[i] = client(-1, SOCK_STREAM, "::1", 8001);
		ends[i] = accept_from(listener);
	}
	late = client(-1, SOCK_STREAM, "::1", 8001);
	assert_int_equal(poll(&p, 1, 200), 0);
	exchange(clients[0], ends[0], 10, 10);
	ends[0] = accept_from(listener);
	send_text(late, "at last");
	expect_text(ends[0], "at last");
	for (unsigned i = 0; i < PROXY_MAX_FLOWS; i++) {
		close(ends[i]);
		if (i > 0)
			close(clients[i]);
	}
}

/* The longest idle client makes room, for others and for connections. */
static void test_full_of_clients(void **state)
{
	_close_ int target = -1, listener = -1, late = -1;
	uint16_t ports[3] = { 0 };

	get_many_fds();
	target = expose(8001, -1, SOCK_DGRAM, "127.0.0.1");
	listener = expose(8002, -1, SOCK_STREAM, "127.0.0.1");
	late = client(-1, SOCK_DGRAM, "::1", 8001);
	for (unsigned i = 0; i < PROXY_MAX_FLOWS; i++) {
		uint16_t port;

		clients[i] = client(-1, SOCK_DGRAM, "::1", 8001);
		port = ask(clients[i], target, "x");
		if (i < ARRAY_LEN(ports))
			ports[i] = port;
	}
	ask(late, target, "x"); /* for the first */
	assert_int_equal(ask(clients[1], target, "x"), ports[1]);
	assert_int_equal(ask(clients[2], target, "x"), ports[2]);
	exchange_new(8002, listener);
	assert_int_equal(ask(clients[1], target, "x"), ports[1]);
	assert_int_not_equal(ask(clients[0], target, "x"), ports[0]);
	for (unsigned i = 0; i < PROXY_MAX_FLOWS; i++)
		close(clients[i]);
}

/* ---- the keeper */

static void test_handover(void **state)
{
	_close_ int listener = expose(8001, far, SOCK_STREAM, FAR4);
	_close_ int target = expose(8002, far, SOCK_DGRAM, FAR4);
	uint16_t tcp = proxy_port(proxy, IPPROTO_TCP), udp = proxy_port(proxy, IPPROTO_UDP);
	_close_ int cut = client(-1, SOCK_STREAM, "::1", 8001), cut_end = accept_from(listener);
	_close_ int u = client(-1, SOCK_DGRAM, "::1", 8002);
	int c;

	ask(u, target, "before");
	stop_proxy();
	expect_reset(cut);
	expect_reset(cut_end);
	c = client(-1, SOCK_STREAM, "::1", 8001); /* to wait in the backlog */
	send_text(u, "meanwhile");
	start_proxy();
	assert_int_equal(proxy_port(proxy, IPPROTO_TCP), tcp);
	assert_int_equal(proxy_port(proxy, IPPROTO_UDP), udp);
	exchange(c, accept_from(listener), MB, MB);
	expect_datagram(target, "meanwhile");
	ask(u, target, "after");
}

/* What was kept under the name is something else: it is not used, and replaced. */
static void test_wrong_kept(void **state)
{
	int other = new_file(), stream = socket_in(-1, AF_INET6, SOCK_STREAM);
	const struct {
		int fds[2], n;
	} cases[] = { { { other, other }, 2 }, { { stream, stream }, 2 }, { { stream }, 1 } };
	uint16_t tcp;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		put(keep, "proxy", cases[i].fds, cases[i].n);
		stop_proxy();
		start_proxy();
		tcp = proxy_port(proxy, IPPROTO_TCP);
		stop_proxy();
		start_proxy();
		assert_int_equal(proxy_port(proxy, IPPROTO_TCP), tcp);
	}
	close(other);
	close(stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_streams),
		TEST(test_half_close),
		TEST(test_many),
		TEST(test_slow_peer),
		TEST(test_resets),
		TEST(test_refused),
		TEST(test_datagrams),
		TEST(test_long_datagram),
		TEST(test_stray_datagrams),
		TEST(test_idle),
		TEST(test_moved),
		TEST(test_unreachable),
		TEST(test_out_of_descriptors),
		TEST(test_full_of_connections),
		TEST(test_full_of_clients),
		TEST(test_handover),
		TEST(test_wrong_kept),
	};
	int r = find_program();

	usual_fds = fd_limit();
	if (r == 0)
		r = enter_namespaces();
	return r ? r : cmocka_run_group_tests(tests, make_world, end_world);
}
