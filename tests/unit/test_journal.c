/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal of queries, on real sockets in a network namespace of the test's
 * own: needs root. */
#include "unit.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "resolver/journal.h"

#define PORT  5353
#define LARGE 9000
#define ROOM  32 /* of a buffer: less than the largest */

/* ------------------------------------------------------------------------------- fixture */

static int server, client, epoll;
static struct mmsghdr msgs[JOURNAL_MAX];
static struct iovec iov[JOURNAL_MAX];
static uint8_t buf[JOURNAL_MAX][ROOM];

static struct sockaddr_in address = { .sin_family = AF_INET };

static int setup(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int size = 4 << 20;

	address.sin_port = htons(PORT);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)), 0);
	assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, server, &ev), 0);
	for (size_t i = 0; i < JOURNAL_MAX; i++) {
		iov[i] = (struct iovec){ buf[i], ROOM };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	return 0;
}

static int teardown(void **state)
{
	close(server);
	close(client);
	close(epoll);
	return 0;
}

/* A datagram that begins with the value, and has this length; 0: empty. */
static void put(uint32_t value, size_t len)
{
	uint8_t data[LARGE] = { 0 };

	memcpy(data, &value, sizeof(value));
	assert_int_equal(send(client, data, len, 0), len);
}

static uint32_t value_of(const struct mmsghdr *m)
{
	uint32_t value;

	memcpy(&value, m->msg_hdr.msg_iov->iov_base, sizeof(value));
	return value;
}

/* As the server does: what is there, and then as often as it is waited for. */
static unsigned read_some(struct journal *j, int fd, unsigned n, uint32_t *ret_number)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	unsigned got;

	assert_int_equal(epoll_wait(epoll, &ev, 1, 10000), 1);
	got = journal_read(j, fd, msgs, n, ret_number);
	if (j->more) {
		ev.events = EPOLLIN | EPOLLET;
		epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &ev);
	}
	return got;
}

/* A new daemon, for which the socket is new in its set. */
static void reopen(struct journal *j)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	journal_open(j, server);
	epoll_ctl(epoll, EPOLL_CTL_MOD, server, &ev);
}

/* That the next are those from first to last, whose numbers are from *number
 * on. */
static void expect(struct journal *j, uint32_t first, uint32_t last, uint32_t *number)
{
	uint32_t n;

	for (*number = j->next; first <= last;) {
		unsigned got = read_some(j, server, JOURNAL_MAX, &n);

		for (unsigned i = 0; i < got; i++)
			assert_int_equal(value_of(&msgs[i]), first++);
		journal_clear(j, server);
	}
	assert_int_equal(first, last + 1);
}

/* What stays in the buffer: told by the last one, that comes behind all else.
 */
static void expect_left(uint32_t first, uint32_t last)
{
	struct journal j = { 0 };
	uint32_t number;

	put(last + 1, 4);
	reopen(&j);
	expect(&j, first, last + 1, &number);
}

/* ------------------------------------------------------------------------------- tests */

static void test_order(void **state)
{
	struct journal j = { 0 };
	uint32_t number;

	journal_open(&j, server);
	for (uint32_t i = 0; i < 20; i++)
		put(i, 20);
	expect(&j, 0, 19, &number);
	assert_int_equal(number, 0);
	/* out of order: they go when those before them are done */
	journal_done(&j, number + 1);
	journal_done(&j, number + 3);
	journal_clear(&j, server);
	put(20, 20);
	expect(&j, 20, 20, &number);
	assert_int_equal(number, 20);
	journal_done(&j, 0);
	journal_done(&j, 0);  /* twice is once */
	journal_done(&j, 21); /* never given */
	journal_clear(&j, server);
	journal_done(&j, 0); /* gone */
	journal_clear(&j, server);
	expect_left(2, 20);
}

/* Another daemon begins anew; and in the same one, numbers of before mean
 * nothing any more. */
static void test_a_second_opener(void **state)
{
	struct journal j = { 0 };
	uint32_t before, number;

	journal_open(&j, server);
	for (uint32_t i = 0; i < 10; i++)
		put(i, 20);
	expect(&j, 0, 9, &before);
	for (uint32_t i = 0; i < 4; i++)
		journal_done(&j, before + i);
	journal_clear(&j, server);
	reopen(&j);
	expect(&j, 4, 9, &number);
	for (uint32_t i = 0; i < 10; i++)
		journal_done(&j, before + i);
	journal_clear(&j, server);
	expect_left(4, 9);
}

static void test_longer_than_the_buffer(void **state)
{
	static const size_t length[] = { 4, ROOM, ROOM + 1, LARGE, 5, LARGE - 1, 8 };
	struct journal j = { 0 };
	uint32_t number;

	journal_open(&j, server);
	for (uint32_t i = 0; i < ARRAY_LEN(length); i++)
		put(i, length[i]);
	for (uint32_t seen = 0; seen < ARRAY_LEN(length);) {
		unsigned got = read_some(&j, server, JOURNAL_MAX, &number);

		for (unsigned i = 0; i < got; i++, seen++) {
			assert_int_equal(value_of(&msgs[i]), seen);
			assert_int_equal(msgs[i].msg_len, length[seen]);
		}
	}
	for (uint32_t i = 0; i < 4; i++)
		journal_done(&j, i);
	journal_clear(&j, server);
	expect_left(4, ARRAY_LEN(length) - 1);
}

static void test_no_more_than_64(void **state)
{
	struct journal j = { 0 };
	uint32_t number;

	journal_open(&j, server);
	for (uint32_t i = 0; i < JOURNAL_MAX; i++)
		put(i, 20);
	expect(&j, 0, JOURNAL_MAX - 1, &number);
	journal_clear(&j, server);
	/* all of them are still there; then three more push out three */
	for (uint32_t i = 0; i < 3; i++)
		put(JOURNAL_MAX + i, 20);
	expect(&j, JOURNAL_MAX, JOURNAL_MAX + 2, &number);
	assert_int_equal(number, JOURNAL_MAX);
	journal_done(&j, 5);
	/* a whole batch at once: those before are pushed out by it */
	for (uint32_t i = 0; i < JOURNAL_MAX; i++)
		put(67 + i, 20);
	expect(&j, 67, 67 + JOURNAL_MAX - 1, &number);
	expect_left(67, 67 + JOURNAL_MAX - 1);
}

static void test_empty_ones_do_not_count(void **state)
{
	struct journal j = { 0 };
	uint32_t number;

	put(0, 0);
	put(0, 0);
	journal_open(&j, server);
	put(0, 0);
	for (uint32_t i = 0; i < 10; i++) {
		put(i, 20);
		put(0, 0);
		if (i % 3)
			put(0, 0);
	}
	expect(&j, 0, 9, &number);
	assert_int_equal(number, 0);
	/* another daemon, which does not see those that were peeked at */
	reopen(&j);
	expect(&j, 0, 9, &number);
	for (uint32_t i = 0; i < 7; i++)
		journal_done(&j, number + i);
	journal_clear(&j, server);
	expect_left(7, 9);
}

/* They go even if no query comes, also those that another daemon has seen. */
static void test_empty_ones_do_not_fill_it(void **state)
{
	struct journal j = { 0 };
	uint32_t number;
	int size = 4096;

	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	journal_open(&j, server);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 100; i++)
			put(0, 0);
		assert_int_equal(read_some(&j, server, JOURNAL_MAX, &number), 0);
		if (round % 2)
			reopen(&j);
		else
			journal_clear(&j, server);
	}
	put(7, 20);
	expect(&j, 7, 7, &number);
}

/* A datagram with a wrong checksum, by hand. Over the loopback nobody else
 * looks at it. */
static void put_broken(void)
{
	_close_ int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
	struct {
		struct udphdr head;
		uint8_t data[20];
	} packet = { .head = { .source = htons(9),
			       .dest = htons(PORT),
			       .len = htons(sizeof(packet)),
			       .check = htons(1) } };

	assert_int_equal(sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)&address,
				sizeof(address)),
			 sizeof(packet));
}

static void test_broken_ones_are_not_there(void **state)
{
	struct journal j = { 0 };
	uint32_t number;

	journal_open(&j, server);
	for (uint32_t i = 0; i < 6; i++) {
		put_broken();
		put(i, 20);
		put_broken();
		put(0, 0);
	}
	expect(&j, 0, 5, &number);
	assert_int_equal(number, 0);
	put_broken();
	put(6, 20);
	expect(&j, 6, 6, &number);
	assert_int_equal(number, 6);
	journal_done(&j, 0);
	journal_done(&j, 1);
	journal_clear(&j, server);
	expect_left(2, 6);
}

/* An error that is due from an earlier packet hides no query. */
static void test_errors_hide_nothing(void **state)
{
	struct sockaddr_in nobody = address;
	struct journal j = { 0 };
	uint32_t number;
	int one = 1;

	nobody.sin_port = htons(PORT + 1);
	journal_open(&j, server);
	assert_int_equal(setsockopt(server, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)), 0);
	sendto(server, "x", 1, 0, (struct sockaddr *)&nobody, sizeof(nobody));
	put(3, 20);
	expect(&j, 3, 3, &number);
}

/* A kind of socket that has no offset: what was read is gone. */
static void test_without_an_offset(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	_close_ int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
	struct journal j = { 0 };
	uint32_t number;

	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, server, NULL), 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, raw, &ev), 0);
	journal_open(&j, raw);
	assert_false(j.peeks);
	put(1, 20);
	assert_int_equal(read_some(&j, raw, 1, &number), 1);
	assert_int_equal(msgs[0].msg_len, 20 + 8 + 20); /* it comes with its headers */
	journal_done(&j, number);
	journal_clear(&j, raw);
	put(2, 21);
	journal_open(&j, raw);
	assert_int_equal(read_some(&j, raw, 1, &number), 1);
	assert_int_equal(msgs[0].msg_len, 20 + 8 + 21);
	assert_int_equal(journal_read(&j, raw, msgs, 1, &number), 0);
}

/*
 * Anything in any order. What must hold: each query is read once, in order, and
 * by a new daemon again unless it was taken out; and that is so for those that
 * are done and all before them are, and for all but the last 64.
 */
static void test_random(void **state)
{
	static bool done[100000];
	struct journal j = { 0 };
	uint32_t sent = 0, seen = 0, out = 0, shift = 0, number;

	journal_open(&j, server);
	for (unsigned step = 0; step < 60000; step++) {
		switch (rng(step % 1000 < 500 ? 4 : 6)) {
		case 0:
			put(0, 0);
			break;
		case 1:
			if (sent - seen < 200)
				put(sent++, rng(10) ? 4 + rng(60) : 4 + rng(LARGE - 4));
			break;
		case 2:
			if (rng(4) == 0)
				put_broken();
			break;
		case 3: { /* those that are there; loopback delivers before send() returns
			   */
			unsigned n = 1 + rng(JOURNAL_MAX);
			unsigned got = journal_read(&j, server, msgs, n, &number);

			for (unsigned i = 0; i < got; i++) {
				assert_int_equal(value_of(&msgs[i]), seen);
				assert_int_equal(number + i + shift, seen);
				seen++;
			}
			journal_clear(&j, server);
			while (out < seen && (done[out] || seen - out > JOURNAL_MAX))
				out++;
			break;
		}
		case 4:
			for (unsigned i = rng(20); i && seen > out; i--) {
				uint32_t which = out + rng(rng(4) ? 3 : seen - out);

				if (which >= seen)
					continue;
				done[which] = true;
				journal_done(&j, which - shift);
			}
			journal_clear(&j, server);
			while (out < seen && done[out])
				out++;
			break;
		case 5:
			if (rng(20))
				break;
			if (rng(2))
				j = (struct journal){ 0 };
			journal_open(&j, server);
			shift = out - j.next;
			memset(done + out, 0, seen - out);
			seen = out;
			break;
		}
	}
	assert_true(out > 5000);
	journal_open(&j, server);
	put(sent, 4);
	expect(&j, out, sent, &number);
}

/* ------------------------------------------------------------------------------- edges */

#define MANY 200000

static atomic_uint n_read;

static void *flood(void *arg)
{
	for (uint32_t i = 0; i < MANY; i++) {
		while (i > n_read + 150)
			sched_yield();
		put(i, i % 7 ? 20 : 0);
		if (i % 1000 == 0)
			sched_yield();
	}
	return NULL;
}

/* A sender at full speed: whoever waits by edges hears of every query, and none
 * is read twice. */
static void test_no_edge_is_lost(void **state)
{
	struct journal j = { 0 };
	uint32_t number, next = 1;
	pthread_t thread;

	n_read = 0;
	journal_open(&j, server);
	assert_int_equal(pthread_create(&thread, NULL, flood, NULL), 0);
	while (next < MANY - 1) {
		unsigned got = read_some(&j, server, 1 + rng(JOURNAL_MAX), &number);

		for (unsigned i = 0; i < got; i++) {
			assert_int_equal(value_of(&msgs[i]), next);
			next += next % 7 == 6 ? 2 : 1;
			/* one in a while is done late */
			if (next % 50)
				journal_done(&j, number + i);
		}
		journal_clear(&j, server);
		n_read = next;
	}
	pthread_join(thread, NULL);
}

/* ------------------------------------------------------------------------------- cost */

static void cost(struct journal *j, unsigned batch)
{
	const unsigned total = 64000;
	uint64_t before, ns = 0;
	uint32_t number;

	for (unsigned k = 0; k < total; k += batch) {
		for (unsigned i = 0; i < batch; i++)
			put(i, 40);
		before = clock_mono_ns();
		assert_int_equal(journal_read(j, server, msgs, batch, &number), batch);
		for (unsigned i = 0; i < batch; i++)
			journal_done(j, number + i);
		journal_clear(j, server);
		ns += clock_mono_ns() - before;
	}
	print_message("# %u at a time%s: %.0f ns each\n", batch, j->peeks ? "" : ", plain reading",
		      (double)ns / total);
}

/* A figure, no verdict. */
static void test_cost(void **state)
{
	struct journal j = { 0 };
	int none = -1;

	journal_open(&j, server);
	cost(&j, 1);
	cost(&j, 16);
	cost(&j, 64);
	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_PEEK_OFF, &none, sizeof(none)), 0);
	j.peeks = false;
	cost(&j, 1);
	cost(&j, 16);
	cost(&j, 64);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_a_second_opener),
		TEST(test_longer_than_the_buffer),
		TEST(test_no_more_than_64),
		TEST(test_empty_ones_do_not_count),
		TEST(test_empty_ones_do_not_fill_it),
		TEST(test_broken_ones_are_not_there),
		TEST(test_errors_hide_nothing),
		TEST(test_without_an_offset),
		TEST(test_random),
		TEST(test_no_edge_is_lost),
		TEST(test_cost),
	};
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_close_ int fd = -1;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "skipped: root is needed to make a network namespace\n");
		return 77;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		return 1;
	rng_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
