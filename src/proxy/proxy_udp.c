/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients by UDP. A client is an address and port and the address of ours it reached, and has a
 * socket of its own, connected to the target: what comes back there is sent on from that address of
 * ours, and the kernel makes of it what the client had addressed.
 *
 * Where the client's datagrams were meant to go is asked when it comes, and again now and then: the
 * port may be somebody else's meanwhile, or the client's own port may now speak to another of ours.
 */
#include "proxy/proxy_internal.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/log.h"

#define DATAGRAM_MAX     65536
#define DATAGRAMS_A_TURN 64
#define NS_PER_S         1000000000ull
#define IDLE_NS          (60 * NS_PER_S)
#define ASK_AGAIN_NS     NS_PER_S

/* The two addresses, the link they are of if they are link-local, the port of the peer. */
#define KEY_BYTES (16 + 16 + 4 + 4 + 2)
#define KEY_TEXT  (2 * KEY_BYTES + 1)

struct target {
	struct cnm_ip ip;
	uint16_t port;
};

/* Where a datagram came from, and the address of ours that it came to. */
struct ends {
	struct sockaddr_in6 peer;
	struct in6_pktinfo local; /* with the link only if it is link-local */
};

struct client {
	struct source source; /* first: it is what a client is buried by */
	struct list by_use;
	uint64_t used, asked;
	struct ends ends;
	struct target target;
	char key[KEY_TEXT]; /* what tells it from others, in hexadecimal */
};

/* Room for one IPV6_PKTINFO. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* ------------------------------------------------------------------------------- datagrams */

static bool local_of(struct msghdr *m, struct in6_pktinfo *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_PKTINFO)
			continue;
		memcpy(ret, CMSG_DATA(c), sizeof(*ret));
		if (!IN6_IS_ADDR_LINKLOCAL(&ret->ipi6_addr))
			ret->ipi6_ifindex = 0; /* the answer is routed as any other */
		return true;
	}
	return false;
}

/* The length of the next one, which is in the buffer then; or negative, when there is none. */
static ssize_t receive(struct proxy *p, struct ends *ret)
{
	union control control;
	struct iovec iov = { p->buffer, DATAGRAM_MAX };
	struct msghdr m = { .msg_name = &ret->peer,
			    .msg_namelen = sizeof(ret->peer),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	ssize_t n;

	*ret = (struct ends){ 0 };
	do
		n = recvmsg(p->udp.fd, &m, MSG_DONTWAIT);
	while (n >= 0 && !local_of(&m, &ret->local)); /* none is without */
	return n;
}

/* To the client. One that cannot be sent is lost, as datagrams are. */
static void answer(struct proxy *p, struct client *c, size_t len)
{
	union control control = { 0 };
	struct iovec iov = { p->buffer, len };
	struct msghdr m = { .msg_name = &c->ends.peer,
			    .msg_namelen = sizeof(c->ends.peer),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };

	control.align.cmsg_level = IPPROTO_IPV6;
	control.align.cmsg_type = IPV6_PKTINFO;
	control.align.cmsg_len = CMSG_LEN(sizeof(c->ends.local));
	memcpy(CMSG_DATA(&control.align), &c->ends.local, sizeof(c->ends.local));
	if (sendmsg(p->udp.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("proxy: an answer by UDP is lost: %s", strerror(errno));
}

/* ------------------------------------------------------------------------------- clients */

static void put_hex(char **to, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (const uint8_t *b = bytes; n > 0; n--, b++) {
		*(*to)++ = digits[*b >> 4];
		*(*to)++ = digits[*b & 15];
	}
}

static void make_key(const struct ends *e, char key[static KEY_TEXT])
{
	put_hex(&key, &e->peer.sin6_addr, 16);
	put_hex(&key, &e->local.ipi6_addr, 16);
	put_hex(&key, &e->peer.sin6_scope_id, 4);
	put_hex(&key, &e->local.ipi6_ifindex, 4);
	put_hex(&key, &e->peer.sin6_port, 2);
	*key = '\0';
}

static void client_end(struct proxy *p, struct client *c)
{
	map_del(&p->by_key, c->key);
	list_del(&c->by_use);
	proxy_source_close(p, &c->source);
	proxy_source_bury(p, &c->source);
	proxy_flow_ended(p);
}

static void client_used(struct proxy *p, struct client *c)
{
	c->used = p->now;
	list_del(&c->by_use);
	list_append(&p->clients, &c->by_use);
}

static struct cnm_ip ip_of(const struct in6_addr *a)
{
	struct cnm_ip ip = { .family = AF_INET6 };

	memcpy(ip.b, a, sizeof(*a));
	return ip;
}

/* Which container the datagram is for. -ENOENT: none, it is for the proxy itself. */
static int find(struct proxy *p, const struct ends *e, struct target *ret)
{
	struct cnm_ip local = ip_of(&e->local.ipi6_addr), peer = ip_of(&e->peer.sin6_addr), meant;
	uint16_t port;
	int rc = conntrack_original(p->conntrack, IPPROTO_UDP, &local, p->udp_port, &peer,
				    ntohs(e->peer.sin6_port), &meant, &port);

	if (rc < 0)
		return rc;
	return p->options.find(p->options.arg, IPPROTO_UDP, &meant, port, &ret->ip, &ret->port);
}

static bool is_current(struct proxy *p, struct client *c)
{
	struct target now;

	if (p->now - c->asked < ASK_AGAIN_NS)
		return true;
	c->asked = p->now;
	return find(p, &c->ends, &now) == 0 && ip_eq(&now.ip, &c->target.ip) &&
	       now.port == c->target.port;
}

/* Answers of the target, or news that there is none. */
static void client_ready(struct proxy *p, struct source *s, uint32_t events)
{
	struct client *c = container_of(s, struct client, source);

	for (unsigned i = 0; i < DATAGRAMS_A_TURN; i++) {
		ssize_t n = recv(s->fd, p->buffer, DATAGRAM_MAX, MSG_DONTWAIT);

		if (n >= 0) {
			client_used(p, c);
			answer(p, c, (size_t)n);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			client_end(p, c);
		return;
	}
}

/* Its socket to the target, and its place in the tables. */
static int client_open(struct proxy *p, struct client *c)
{
	_close_ int fd = proxy_connect(SOCK_DGRAM, &c->target.ip, c->target.port);
	int rc = fd < 0 ? fd : proxy_source_open(p, &c->source, fd, EPOLLIN, client_ready);

	if (rc < 0)
		return rc;
	rc = map_add(&p->by_key, c->key, c);
	if (rc == 0)
		take_fd(&fd);
	return rc;
}

static struct client *client_new(struct proxy *p, const struct ends *e)
{
	_free_ struct client *c = calloc(1, sizeof(*c));
	int rc = c ? find(p, e, &c->target) : -ENOMEM;

	if (rc == 0 && !proxy_make_room(p))
		rc = -EAGAIN;
	if (rc == 0) {
		c->ends = *e;
		c->asked = p->now;
		make_key(e, c->key);
		rc = client_open(p, c);
	}
	if (rc < 0) {
		log_debug("proxy: a datagram is dropped: %s", strerror(-rc));
		return NULL;
	}
	list_init(&c->by_use);
	p->flows++;
	return take_ptr(c);
}

static struct client *client_of(struct proxy *p, const struct ends *e)
{
	char key[KEY_TEXT];
	struct client *c;

	make_key(e, key);
	c = map_get(&p->by_key, key);
	if (c && is_current(p, c))
		return c;
	if (c)
		client_end(p, c);
	return client_new(p, e);
}

/* ------------------------------------------------------------------------------- the socket */

/* Does it say that the target is not there, and not only that this datagram cannot be sent? */
static bool is_of_target(int e)
{
	return e != EAGAIN && e != EINTR && e != ENOBUFS && e != ENOMEM && e != EMSGSIZE;
}

static void forward(struct proxy *p, const struct ends *e, size_t len)
{
	struct client *c = client_of(p, e);

	if (!c)
		return;
	client_used(p, c);
	if (send(c->source.fd, p->buffer, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    is_of_target(errno))
		client_end(p, c);
}

/* What only those need who have clients by UDP. */
static int prepare(struct proxy *p)
{
	struct cnm_error err = { 0 };
	int rc;

	if (!p->buffer)
		p->buffer = malloc(DATAGRAM_MAX);
	if (!p->buffer)
		return -ENOMEM;
	if (p->conntrack)
		return 0;
	rc = conntrack_open(&p->conntrack, &err);
	if (rc < 0)
		log_debug("proxy: a datagram is dropped: %s", err.text);
	return rc;
}

void udp_ready(struct proxy *p, struct source *s, uint32_t events)
{
	struct ends e;
	ssize_t n;

	if (prepare(p) < 0) {
		recv(s->fd, &n, sizeof(n), MSG_DONTWAIT); /* or it would keep us busy */
		return;
	}
	for (unsigned i = 0; i < DATAGRAMS_A_TURN && (n = receive(p, &e)) >= 0; i++)
		forward(p, &e, (size_t)n);
}

/* ------------------------------------------------------------------------------- the idle ones */

static struct client *oldest(const struct proxy *p)
{
	return list_empty(&p->clients) ? NULL
				       : container_of(p->clients.next, struct client, by_use);
}

uint64_t udp_deadline(const struct proxy *p)
{
	const struct client *c = oldest(p);

	return c ? c->used + IDLE_NS : UINT64_MAX;
}

void udp_expire(struct proxy *p)
{
	while (udp_deadline(p) <= p->now)
		client_end(p, oldest(p));
}

bool udp_end_oldest(struct proxy *p)
{
	struct client *c = oldest(p);

	if (c)
		client_end(p, c);
	return c;
}

void udp_end_all(struct proxy *p)
{
	while (udp_end_oldest(p))
		;
	map_free(&p->by_key);
	conntrack_close(p->conntrack);
	free(p->buffer);
}
