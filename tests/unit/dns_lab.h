/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host with DNS servers, and sandboxes with sockets, for tests of the resolver. "The
 * host" is the network namespace of the program, which must be one of its own; the sandboxes are
 * further ones. Failures of the laboratory itself are failed assertions.
 */
#ifndef TESTS_UNIT_DNS_LAB_H
#define TESTS_UNIT_DNS_LAB_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ldns/ldns.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/str.h"

/* ------------------------------------------------------------------------------- namespaces */

static int home;

static inline void lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
}

static inline struct sockaddr_in at(const char *ip, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, ip, &sin.sin_addr), 1);
	return sin;
}

/* A socket on the host with this address; by TCP, listening. */
static inline int bound(int type, const char *ip, uint16_t port)
{
	struct sockaddr_in sin = at(ip, port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 128), 0);
	return fd;
}

/* A sandbox: its namespace, and sockets at 127.0.0.11 port 53 for the resolver. */
struct box {
	int ns, udp, tcp;
};

static inline struct box box_new(void)
{
	struct box b;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	lo_up();
	b.ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	b.udp = bound(SOCK_DGRAM, "127.0.0.11", 53);
	b.tcp = bound(SOCK_STREAM, "127.0.0.11", 53);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	return b;
}

static inline void box_free(struct box *b)
{
	close_fd(&b->ns);
	close_fd(&b->udp);
	close_fd(&b->tcp);
}

/* A socket in the sandbox, connected to its resolver. */
static inline int client(const struct box *b, int type)
{
	struct sockaddr_in sin = at("127.0.0.11", 53);
	int fd;

	assert_int_equal(setns(b->ns, CLONE_NEWNET), 0);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* ------------------------------------------------------------------------------- servers */

/*
 * Three servers listen on the host, at 127.0.0.1 to .3. The N-th does what the N-th word of the
 * first label says: ok, nx, servfail, refused, silent, forge (forged replies, then ok), big (a long
 * one), gone (only by TCP: hangs up), bare (an error without the question). A word "ok" answers
 * with 10.9.9.N.
 */
struct server {
	unsigned n;
	int udp, tcp;
	pthread_t thread;
};

static struct server servers[3];
static int servers_end; /* of a pipe, readable when they are to end */

static inline size_t server_reply(const struct server *s, uint8_t *msg, size_t len,
				  const char *word)
{
	static const uint8_t rr[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 9 };
	unsigned n = streq(word, "big") ? 180 : streq(word, "ok") || streq(word, "forge") ? 1 : 0;

	msg[2] |= 0x80;
	msg[3] = 0x80 | (streq(word, "nx") ? 3 : streq(word, "servfail") ? 2 : 0);
	if (streq(word, "refused") || streq(word, "bare"))
		msg[3] = 0x85;
	if (streq(word, "bare")) {
		memset(msg + 4, 0, 8);
		return 12;
	}
	msg[7] = (uint8_t)n;
	msg[10] = msg[11] = 0;
	/* Behind the question; an OPT is overwritten. */
	for (len = 12; msg[len]; len += 1u + msg[len])
		;
	len += 5;
	for (unsigned i = 0; i < n; i++) {
		memcpy(msg + len, rr, sizeof(rr));
		len += sizeof(rr);
		msg[len++] = (uint8_t)s->n;
	}
	return len;
}

/* The word for this server. */
static inline void server_word(const struct server *s, const uint8_t *msg, char ret[64])
{
	char label[64], *save = NULL, *word;

	memcpy(label, msg + 13, msg[12]);
	label[msg[12]] = '\0';
	word = strtok_r(label, "-", &save);
	for (unsigned i = 1; i < s->n && word; i++)
		word = strtok_r(NULL, "-", &save);
	str_copy(ret, 64, word ? word : "silent");
}

static inline void server_udp(const struct server *s)
{
	uint8_t msg[8192], forged[512];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(s->udp, msg, 4096, 0, (struct sockaddr *)&from, &from_len);
	char word[64];
	size_t len;

	if (n < 12)
		return;
	server_word(s, msg, word);
	if (streq(word, "silent"))
		return;
	len = server_reply(s, msg, (size_t)n, word);
	if (streq(word, "forge")) {
		memcpy(forged, msg, len);
		forged[len - 1] = 66;
		forged[0] ^= 1; /* another id */
		sendto(s->udp, forged, len, 0, (struct sockaddr *)&from, from_len);
		forged[0] ^= 1;
		forged[14] ^= 1; /* another question */
		sendto(s->udp, forged, len, 0, (struct sockaddr *)&from, from_len);
		forged[14] ^= 1;
		sendto(s->udp, forged, 7, 0, (struct sockaddr *)&from, from_len);
		forged[2] &= 0x7f; /* a query */
		sendto(s->udp, forged, len, 0, (struct sockaddr *)&from, from_len);
	}
	sendto(s->udp, msg, len, 0, (struct sockaddr *)&from, from_len);
}

static inline void server_tcp(const struct server *s)
{
	_close_ int fd = accept4(s->tcp, NULL, NULL, SOCK_CLOEXEC);
	uint8_t msg[2 + 8192];
	char word[64];
	size_t len;
	ssize_t n = recv(fd, msg, 2, MSG_WAITALL);

	if (n != 2 || recv(fd, msg + 2, (size_t)(msg[0] << 8 | msg[1]), MSG_WAITALL) < 12)
		return;
	server_word(s, msg + 2, word);
	if (streq(word, "silent") && recv(fd, msg, 1, 0) <= 0)
		return; /* who asked has had enough */
	if (streq(word, "gone"))
		return;
	len = server_reply(s, msg + 2, (size_t)(msg[0] << 8 | msg[1]), word);
	msg[0] = (uint8_t)(len >> 8);
	msg[1] = (uint8_t)len;
	/* In pieces: whoever reads must put them together. */
	send(fd, msg, 1, MSG_NOSIGNAL);
	send(fd, msg + 1, 5, MSG_NOSIGNAL);
	send(fd, msg + 6, len - 4, MSG_NOSIGNAL);
}

static inline void *server_run(void *arg)
{
	const struct server *s = arg;
	struct pollfd p[] = { { .fd = s->udp, .events = POLLIN },
			      { .fd = s->tcp, .events = POLLIN },
			      { .fd = servers_end, .events = POLLIN } };

	while (poll(p, 3, -1) > 0 && !p[2].revents) {
		if (p[0].revents)
			server_udp(s);
		if (p[1].revents)
			server_tcp(s);
	}
	return NULL;
}

/* ------------------------------------------------------------------------------- asking */

enum { A = 1, PTR = 12, MX = 15, AAAA = 28 };

static inline size_t query_make(uint8_t buf[512], const char *name, unsigned type, uint16_t id)
{
	ldns_pkt *pkt = ldns_pkt_query_new(ldns_dname_new_frm_str(name), (ldns_rr_type)type,
					   LDNS_RR_CLASS_IN, LDNS_RD);
	uint8_t *wire;
	size_t len;

	ldns_pkt_set_id(pkt, id);
	assert_int_equal(ldns_pkt2wire(&wire, pkt, &len), LDNS_STATUS_OK);
	memcpy(buf, wire, len);
	free(wire);
	ldns_pkt_free(pkt);
	return len;
}

/* The first answer, or without one the rcode; "cut" behind it if truncated. Till the next call. */
static inline const char *reply_text(const uint8_t *msg, size_t len)
{
	static _Thread_local char text[256];
	ldns_pkt *pkt;
	char *s;

	if (ldns_wire2pkt(&pkt, msg, len) != LDNS_STATUS_OK)
		return "malformed";
	if (ldns_pkt_ancount(pkt) == 0) {
		s = ldns_pkt_rcode2str(ldns_pkt_get_rcode(pkt));
		snprintf(text, sizeof(text), "%s%s", s, ldns_pkt_tc(pkt) ? " cut" : "");
	} else {
		s = ldns_rdf2str(ldns_rr_rdf(ldns_rr_list_rr(ldns_pkt_answer(pkt), 0), 0));
		snprintf(text, sizeof(text), "%s%s", s, ldns_pkt_tc(pkt) ? " cut" : "");
	}
	free(s);
	ldns_pkt_free(pkt);
	return text;
}

static inline bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Ask and wait: what reply_text() says, or "nothing", "closed", "error". */
static inline const char *ask_udp(int fd, const char *name, unsigned type)
{
	static _Atomic uint16_t id;
	uint8_t msg[512], reply[65536];
	uint16_t mine = ++id;
	size_t len = query_make(msg, name, type, mine);
	ssize_t n;

	/* Datagrams may be lost: as any client, it asks again. */
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(send(fd, msg, len, 0), len);
		while (readable(fd, 1000)) {
			n = recv(fd, reply, sizeof(reply), 0);
			if (n < 12)
				return "error";
			if ((reply[0] << 8 | reply[1]) == mine)
				return reply_text(reply, (size_t)n);
		}
	}
	return "nothing";
}

static inline void send_tcp(int fd, const char *name, unsigned type, uint16_t id)
{
	uint8_t msg[2 + 512];
	size_t len = query_make(msg + 2, name, type, id);

	msg[0] = 0;
	msg[1] = (uint8_t)len;
	assert_int_equal(send(fd, msg, len + 2, MSG_NOSIGNAL), len + 2);
}

static inline const char *receive_tcp(int fd, uint16_t id)
{
	uint8_t head[2], msg[65536];
	ssize_t n = readable(fd, 15000) ? recv(fd, head, 2, MSG_WAITALL) : -1;

	/* with queries unread, a connection is closed by a reset */
	if (n != 2)
		return n == 0 || errno == ECONNRESET ? "closed" : "error";
	n = recv(fd, msg, (size_t)(head[0] << 8 | head[1]), MSG_WAITALL);
	assert_int_equal(n, head[0] << 8 | head[1]);
	assert_int_equal(msg[0] << 8 | msg[1], id);
	return reply_text(msg, (size_t)n);
}

static inline const char *ask_tcp(const struct box *b, const char *name, unsigned type)
{
	_close_ int fd = client(b, SOCK_STREAM);

	send_tcp(fd, name, type, 77);
	return receive_tcp(fd, 77);
}

/* The output of a shell command in the sandbox, up to the buffer's size. */
static inline void run_in(const struct box *b, const char *command, char *out, size_t size)
{
	int pipe_fd[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipe_fd[1], 1);
		if (setns(b->ns, CLONE_NEWNET) == 0)
			execl("/bin/sh", "sh", "-ec", command, (char *)NULL);
		_exit(127);
	}
	close(pipe_fd[1]);
	while (n < size - 1 && (got = read(pipe_fd[0], out + n, size - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = '\0';
	close(pipe_fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("%s: status %d: %s", command, status, out);
}

/* ------------------------------------------------------------------------------- the whole */

static int servers_hold; /* its other end */

static inline bool lab_start(void)
{
	int end[2];

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || pipe2(end, O_CLOEXEC) < 0)
		return false;
	servers_end = end[0];
	servers_hold = end[1];
	lo_up();
	for (unsigned i = 0; i < 3; i++) {
		char ip[16];

		snprintf(ip, sizeof(ip), "127.0.0.%u", i + 1);
		servers[i] = (struct server){ .n = i + 1,
					      .udp = bound(SOCK_DGRAM, ip, 53),
					      .tcp = bound(SOCK_STREAM, ip, 53) };
		if (pthread_create(&servers[i].thread, NULL, server_run, &servers[i]) != 0)
			return false;
	}
	return true;
}

static inline void lab_stop(void)
{
	close(servers_hold);
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(servers[i].thread, NULL);
		close(servers[i].udp);
		close(servers[i].tcp);
	}
	close(servers_end);
	close(home);
}

#endif
