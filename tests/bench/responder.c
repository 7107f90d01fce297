/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * responder: as little of a DNS server as can be: what receiving queries and sending replies costs.
 *
 *   responder NETNS ADDRESS TTL [MICROSECONDS]
 *
 * Answers every query with one A record, 192.0.2.80, of this TTL, at port 53 of the address in the
 * namespace; one thread, one epoll set, up to 64 queries by one recvmmsg() and sendmmsg(). With
 * MICROSECONDS it waits so long before it answers what it has received, as a server does that is
 * some way off. Says "ready", and ends with its standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH  64
#define QUERY  512
#define RECORD 16

static uint8_t record[RECORD] = {
	0xc0, 12,         /* the name is that of the question */
	0,    1,  0,   1, /* A IN */
	0,    0,  0,   0, /* TTL */
	0,    4,  192, 0, 2, 80,
};
static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec in_iov[BATCH], out_iov[BATCH];
static struct sockaddr_in peer[BATCH];
static uint8_t message[BATCH][QUERY + RECORD];
static struct timespec delay;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "responder: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Makes the query the reply; its length, 0 if it was no query. */
static size_t answer(uint8_t *m, size_t len)
{
	size_t pos = 12;

	if (len < 12 || m[2] & 0x80 || m[4] || m[5] != 1)
		return 0;
	while (pos < len && m[pos])
		pos += 1u + m[pos];
	pos += 5;
	if (pos > len)
		return 0;
	m[2] = (uint8_t)(0x80 | (m[2] & 1)); /* a reply; recursion as desired */
	m[3] = 0x80;
	memset(m + 6, 0, 6);
	m[7] = 1;
	memcpy(m + pos, record, RECORD);
	return pos + RECORD;
}

static void prepare(void)
{
	for (int i = 0; i < BATCH; i++) {
		in_iov[i] = (struct iovec){ message[i], QUERY };
		in[i].msg_hdr = (struct msghdr){ .msg_name = &peer[i],
						 .msg_namelen = sizeof(peer[i]),
						 .msg_iov = &in_iov[i],
						 .msg_iovlen = 1 };
	}
}

static void serve_batch(int fd)
{
	unsigned n_out = 0, done = 0;
	int n;

	prepare();
	n = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
	if (n > 0 && (delay.tv_sec || delay.tv_nsec))
		clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, NULL);
	for (int i = 0; i < n; i++) {
		size_t len = answer(message[i], in[i].msg_len);

		if (!len)
			continue;
		out_iov[n_out] = (struct iovec){ message[i], len };
		out[n_out].msg_hdr = (struct msghdr){ .msg_name = &peer[i],
						      .msg_namelen = sizeof(peer[i]),
						      .msg_iov = &out_iov[n_out],
						      .msg_iovlen = 1 };
		n_out++;
	}
	while (done < n_out) {
		int sent = sendmmsg(fd, out + done, n_out - done, MSG_DONTWAIT);

		done += sent > 0 ? (unsigned)sent : 1;
	}
}

static int open_socket(const char *netns, const char *address)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(53) };
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		die(netns);
	close(ns);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || inet_pton(AF_INET, address, &addr.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die(address);
	return fd;
}

static int open_epoll(int socket_fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = socket_fd };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, socket_fd, &event) < 0)
		die("epoll");
	event.data.fd = STDIN_FILENO;
	if (epoll_ctl(fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
		die("standard input, which has to be a pipe");
	return fd;
}

static void set_ttl(uint32_t ttl)
{
	ttl = htonl(ttl);
	memcpy(record + 6, &ttl, sizeof(ttl));
}

int main(int argc, char **argv)
{
	struct epoll_event event;
	int fd, epoll;
	long us;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: responder NETNS ADDRESS TTL [MICROSECONDS]\n");
		return 2;
	}
	us = argc == 5 ? atol(argv[4]) : 0;
	delay = (struct timespec){ us / 1000000, us % 1000000 * 1000 };
	prctl(PR_SET_TIMERSLACK, 1);
	set_ttl((uint32_t)atol(argv[3]));
	fd = open_socket(argv[1], argv[2]);
	epoll = open_epoll(fd);
	puts("ready");
	fflush(stdout);
	while (epoll_wait(epoll, &event, 1, -1) == 1 && event.data.fd == fd)
		serve_batch(fd);
	return 0;
}
