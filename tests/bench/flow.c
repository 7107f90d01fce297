/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * flow: traffic between two network namespaces until told to stop, and what of it was lost.
 *
 *   flow NETNS-A ADDRESS-A NETNS-B ADDRESS-B [PUBLISHED]
 *
 * PUBLISHED is the address at which A reaches B, where that is not B's own.
 * Each millisecond one numbered UDP packet goes from A to B and one from B to A, and a piece of a
 * TCP stream from A to B, of which both ends keep a checksum. Prints "running" when the first
 * packets have arrived. Ends when standard input does, waits for what is under way, and prints
 *
 *   UDP-SENT UDP-LOST TCP-BYTES TCP-WRONG LONGEST-GAP-US
 *
 * TCP-WRONG is 0 if the bytes and their checksum are the same at both ends; the gap is the longest
 * time in which no UDP packet came one of the ways.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PORT     7001
#define PIECE    4096
#define DRAIN_MS 1000

struct end {
	int udp;
	struct sockaddr_in addr, reached; /* its own, and what the other end sends to */
	uint64_t sent, received;
	int64_t last_ns; /* when a packet came */
	int64_t gap_ns;
};

struct stream {
	int fd;
	uint64_t bytes, sum;
};

static struct end ends[2];
static struct stream out, in;
static uint64_t random_state = 88172645463325252ULL;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "flow: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

static int open_bound(int type, const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	if (fd >= 0 && type == SOCK_STREAM) /* one of an earlier flow may linger */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		die("bind");
	return fd;
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		errno = EINVAL, die(text);
	return a;
}

static void open_end(struct end *e, const char *netns, const char *address, const char *reached)
{
	enter(netns);
	e->addr = address_of(address);
	e->reached = address_of(reached);
	e->udp = open_bound(SOCK_DGRAM, &e->addr);
}

/* The thread is in B's namespace. */
static void open_stream(const char *netns_a)
{
	int listener = open_bound(SOCK_STREAM, &ends[1].addr);

	if (listen(listener, 1) < 0)
		die("listen");
	enter(netns_a);
	out.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(out.fd, (struct sockaddr *)&ends[1].reached, sizeof(ends[1].reached)) < 0)
		die("connect");
	in.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (in.fd < 0)
		die("accept");
	close(listener);
	fcntl(out.fd, F_SETFL, O_NONBLOCK);
}

static void add_to_sum(struct stream *s, const unsigned char *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->sum = (s->sum ^ data[i]) * 1099511628211ULL;
	s->bytes += n;
}

static void send_piece(void)
{
	unsigned char data[PIECE];
	ssize_t n;

	for (size_t i = 0; i < sizeof(data); i++) {
		random_state ^= random_state << 13;
		random_state ^= random_state >> 7;
		random_state ^= random_state << 17;
		data[i] = (unsigned char)random_state;
	}
	n = send(out.fd, data, sizeof(data), MSG_NOSIGNAL);
	if (n > 0)
		add_to_sum(&out, data, (size_t)n);
	else if (n < 0 && errno != EAGAIN)
		die("the TCP stream");
}

static void send_all(void)
{
	for (int i = 0; i < 2; i++) {
		struct end *e = &ends[i], *to = &ends[!i];

		/* A refused packet is a lost one. */
		sendto(e->udp, &e->sent, sizeof(e->sent), 0, (struct sockaddr *)&to->reached,
		       sizeof(to->reached));
		e->sent++;
	}
	send_piece();
}

static void receive_udp(struct end *e)
{
	uint64_t number;
	int64_t now = now_ns();

	while (recv(e->udp, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number)) {
		if (e->last_ns && now - e->last_ns > e->gap_ns)
			e->gap_ns = now - e->last_ns;
		e->last_ns = now;
		e->received++;
	}
}

static void receive_all(void)
{
	unsigned char data[65536];
	ssize_t n;

	receive_udp(&ends[0]);
	receive_udp(&ends[1]);
	while ((n = recv(in.fd, data, sizeof(data), 0)) > 0)
		add_to_sum(&in, data, (size_t)n);
}

static int open_timer(void)
{
	struct itimerspec each_ms = { { 0, 1000000 }, { 0, 1000000 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &each_ms, NULL) < 0)
		die("timer");
	return fd;
}

static bool all_received(void)
{
	return ends[0].received == ends[1].sent && ends[1].received == ends[0].sent &&
	       in.bytes == out.bytes;
}

static void drain(void)
{
	int64_t end = now_ns() + DRAIN_MS * 1000000LL;

	while (!all_received() && now_ns() < end) {
		usleep(1000);
		receive_all();
	}
}

static void run(void)
{
	int timer = open_timer();
	struct pollfd fds[] = { { timer, POLLIN, 0 },
				{ STDIN_FILENO, POLLIN, 0 },
				{ in.fd, POLLIN, 0 },
				{ ends[0].udp, POLLIN, 0 },
				{ ends[1].udp, POLLIN, 0 } };
	bool said = false;
	uint64_t ticks;

	while (poll(fds, sizeof(fds) / sizeof(*fds), -1) > 0 && !fds[1].revents) {
		if (fds[0].revents && read(timer, &ticks, sizeof(ticks)) == sizeof(ticks))
			send_all();
		receive_all();
		if (!said && ends[0].received && ends[1].received && in.bytes) {
			puts("running");
			fflush(stdout);
			said = true;
		}
	}
	drain();
}

int main(int argc, char **argv)
{
	uint64_t sent, received;

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: flow NETNS-A ADDRESS-A NETNS-B ADDRESS-B [PUBLISHED]\n");
		return 2;
	}
	in.sum = out.sum = 14695981039346656037ULL;
	open_end(&ends[0], argv[1], argv[2], argv[2]);
	open_end(&ends[1], argv[3], argv[4], argv[argc - 1]);
	open_stream(argv[1]);
	run();
	sent = ends[0].sent + ends[1].sent;
	received = ends[0].received + ends[1].received;
	printf("%llu %llu %llu %d %lld\n", (unsigned long long)sent,
	       (unsigned long long)(sent - received), (unsigned long long)in.bytes,
	       in.bytes != out.bytes || in.sum != out.sum,
	       (long long)(ends[0].gap_ns > ends[1].gap_ns ? ends[0].gap_ns : ends[1].gap_ns) /
		       1000);
	return 0;
}
