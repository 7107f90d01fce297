/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries for names that no network of the sandbox knows, on their way to the host's servers.
 *
 * The servers are asked one after the other, in the order of the host's file: the next one when one
 * does not answer in time, cannot be reached, or says SERVFAIL or REFUSED. What the last one says
 * goes to the client whatever it is; if nobody says anything, we say SERVFAIL.
 *
 * By UDP, every server has a few connected sockets, of which a query takes a random one and a
 * random id. A socket is opened for the first query and closed after the last, so that the source
 * port, which the kernel chooses, changes whenever there is a lull; and the number of descriptors
 * is bounded whatever the sandboxes do. Queries that came by TCP go on by TCP, each on a connection
 * of its own; their number is bounded by that of the clients, who have one on its way at a time.
 *
 * A forward is in its sandbox's list and in the list by deadline; by UDP also in that of its
 * socket and in the table of ids. All have the same time to wait, so the list by deadline is in
 * order by appending.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/str.h"
#include "resolver/server.h"

#define WAIT_NS       (2 * NS_PER_S)
#define IN_FLIGHT_MAX 256 /* per sandbox */
#define DNS_PORT      53
#define ID_TRIES      8

/* The query itself, after the length that TCP wants. */
static uint8_t *query_of(struct forward *f)
{
	return f->frame + 2;
}

void forward_init(struct resolver *r)
{
	list_init(&r->forwards);
	for (size_t i = 0; i < RESOLV_SERVERS_MAX; i++) {
		for (size_t j = 0; j < UPSTREAM_SOCKETS; j++) {
			r->upstreams[i].sockets[j].source.fd = -1;
			list_init(&r->upstreams[i].sockets[j].forwards);
		}
	}
}

/* ------------------------------------------------------------------------------- life and death */

/* Away from the server it is with, if any. */
static void detach(struct resolver *r, struct forward *f)
{
	if (f->socket) {
		table_del(&r->forward_ids, &f->by_id);
		list_del(&f->by_socket);
		if (list_empty(&f->socket->forwards))
			source_close(r, &f->socket->source);
		f->socket = NULL;
	}
	source_close(r, &f->source);
	free(f->reply);
	f->reply = NULL;
	f->sent = f->got = 0;
}

static void forward_end(struct resolver *r, struct forward *f)
{
	detach(r, f);
	list_del(&f->by_deadline);
	list_del(&f->by_sandbox);
	f->sandbox->n_forwards--;
	source_bury(r, &f->source);
}

/* The reply to whoever asked, and the end of the forward, which may be what holds the reply. */
static void deliver(struct resolver *r, struct forward *f, uint8_t *msg, size_t len)
{
	uint8_t *reply = take_ptr(f->reply);

	dns_set_id(msg, f->client_id);
	forward_end(r, f);
	if (f->client) {
		client_forwarded(r, f->client, msg, len);
	} else if (f->sandbox->udp.fd >= 0) {
		if (len > f->size)
			len = dns_reply_cut(msg, f->question_len);
		/* As with any datagram, nobody is told if it is lost. */
		sendto(f->sandbox->udp.fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL, &f->peer.sa,
		       f->peer_len);
	}
	free(reply);
}

static void fail(struct resolver *r, struct forward *f)
{
	uint8_t buf[DNS_UDP_MIN];
	struct dns_query q;

	dns_parse_query(&q, query_of(f), f->frame_len - 2);
	deliver(r, f, buf, dns_reply_empty(buf, query_of(f), &q, DNS_SERVFAIL));
}

static int try_servers(struct resolver *r, struct forward *f);

static void try_next(struct resolver *r, struct forward *f)
{
	detach(r, f);
	list_del(&f->by_deadline);
	f->server++;
	if (try_servers(r, f) < 0)
		fail(r, f);
}

/* The server asked has replied. */
static void answered(struct resolver *r, struct forward *f, uint8_t *msg, size_t len, int rcode)
{
	if ((rcode == DNS_SERVFAIL || rcode == DNS_REFUSED) && f->server + 1 < r->n_upstreams)
		try_next(r, f);
	else
		deliver(r, f, msg, len);
}

/* ------------------------------------------------------------------------------- servers */

static socklen_t server_address(const struct resolv_server *server, union peer *ret)
{
	long scope = 0;

	*ret = (union peer){ 0 };
	if (server->ip.family == AF_INET) {
		ret->in4.sin_family = AF_INET;
		ret->in4.sin_port = htons(DNS_PORT);
		memcpy(&ret->in4.sin_addr, server->ip.b, 4);
		return sizeof(ret->in4);
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(DNS_PORT);
	memcpy(&ret->in6.sin6_addr, server->ip.b, 16);
	if (server->scope[0] && str_to_long(server->scope, 0, INT_MAX, &scope) < 0)
		scope = (long)if_nametoindex(server->scope);
	ret->in6.sin6_scope_id = (uint32_t)scope;
	return sizeof(ret->in6);
}

/* A socket on its way to the server, or a negative errno. */
static int server_connect(const struct resolv_server *server, int type)
{
	union peer to;
	socklen_t len = server_address(server, &to);
	_close_ int fd = socket(to.sa.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (connect(fd, &to.sa, len) < 0 && errno != EINPROGRESS))
		return -errno;
	return take_fd(&fd);
}

static bool same_servers(const struct resolver *r, const struct resolv_server *servers, size_t n)
{
	if (n != r->n_upstreams)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!ip_eq(&servers[i].ip, &r->upstreams[i].server.ip) ||
		    !streq(servers[i].scope, r->upstreams[i].server.scope))
			return false;
	}
	return true;
}

/* What is on its way begins again: it is let expire, with the first server as the next one. */
void forward_set_servers(struct resolver *r, const char *resolv_conf)
{
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	size_t n = resolv_conf_servers(resolv_conf, servers);
	struct forward *f;

	if (same_servers(r, servers, n))
		return;
	list_for_each (f, &r->forwards, by_deadline) {
		detach(r, f);
		f->deadline = 0;
		f->server = UINT_MAX;
	}
	for (size_t i = 0; i < n; i++)
		r->upstreams[i].server = servers[i];
	r->n_upstreams = (unsigned)n;
}

/* ------------------------------------------------------------------------------- by UDP */

static uint32_t id_hash(const struct upstream_socket *socket, uint16_t id)
{
	return hash_bytes(hash_bytes(HASH_START, &socket, sizeof(socket)), &id, sizeof(id));
}

static struct forward *find_id(const struct resolver *r, const struct upstream_socket *socket,
			       uint16_t id)
{
	struct table_node *t = table_first(&r->forward_ids, id_hash(socket, id));

	for (; t; t = table_next(t)) {
		struct forward *f = container_of(t, struct forward, by_id);

		if (f->socket == socket && dns_id(query_of(f)) == id)
			return f;
	}
	return NULL;
}

/*
 * The server cannot be reached: so says an ICMP message, which does not name the query. Those of
 * the socket go on to the next server.
 */
static void socket_failed(struct resolver *r, struct upstream_socket *socket)
{
	while (!list_empty(&socket->forwards))
		try_next(r, container_of(socket->forwards.next, struct forward, by_socket));
}

static void upstream_ready(struct resolver *r, struct source *s, uint32_t events)
{
	struct upstream_socket *socket = container_of(s, struct upstream_socket, source);

	for (unsigned i = 0; i < BATCH && s->fd >= 0; i++) {
		ssize_t n = recv(s->fd, r->large, sizeof(r->large), MSG_DONTWAIT);
		struct forward *f;
		int rcode;

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				socket_failed(r, socket);
			return;
		}
		f = n >= DNS_HEADER ? find_id(r, socket, dns_id(r->large)) : NULL;
		if (!f)
			continue;
		rcode = dns_check_reply(r->large, (size_t)n, query_of(f), f->question_len);
		if (rcode >= 0)
			answered(r, f, r->large, (size_t)n, rcode);
	}
}

/* A socket and an id that nothing is on its way with. NULL: none was found in a few tries. */
static struct upstream_socket *choose(struct resolver *r, struct upstream *u, uint16_t *ret_id)
{
	for (unsigned i = 0; i < ID_TRIES; i++) {
		struct upstream_socket *socket;
		uint16_t random[2];

		id_random(random, sizeof(random));
		socket = &u->sockets[random[0] % UPSTREAM_SOCKETS];
		if (find_id(r, socket, random[1]))
			continue;
		*ret_id = random[1];
		return socket;
	}
	return NULL;
}

static int send_udp(struct resolver *r, struct forward *f, struct upstream *u)
{
	struct upstream_socket *socket;
	uint16_t id;
	int err;

	socket = choose(r, u, &id);
	if (!socket)
		return -EBUSY;
	if (socket->source.fd < 0) {
		int fd = server_connect(&u->server, SOCK_DGRAM);

		err = fd < 0 ? fd : source_open(r, &socket->source, fd, EPOLLIN, upstream_ready);
		if (err < 0)
			return err;
	}
	dns_set_id(query_of(f), id);
	f->socket = socket;
	list_append(&socket->forwards, &f->by_socket);
	table_add(&r->forward_ids, &f->by_id, id_hash(socket, id));
	if (send(socket->source.fd, query_of(f), f->frame_len - 2, MSG_DONTWAIT | MSG_NOSIGNAL) >=
	    0)
		return 0;
	err = errno;
	detach(r, f);
	return -err;
}

/* ------------------------------------------------------------------------------- by TCP */

/* Some of the query. 0: go on when there is room; negative: broken. */
static int send_some(struct resolver *r, struct forward *f)
{
	ssize_t n = send(f->source.fd, f->frame + f->sent, f->frame_len - f->sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	f->sent += (size_t)n;
	if (f->sent == f->frame_len)
		source_wait_for(r, &f->source, EPOLLIN);
	return 0;
}

/* Some of the reply: its length, then itself. 1: complete; 0: go on later; negative: broken. */
static int receive_some(struct forward *f)
{
	size_t head = sizeof(f->length);
	ssize_t n;

	if (f->got < head)
		n = recv(f->source.fd, f->length + f->got, head - f->got, MSG_DONTWAIT);
	else
		n = recv(f->source.fd, f->reply + f->got - head, f->reply_len + head - f->got,
			 MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	f->got += (size_t)n;
	if (f->got == head) {
		f->reply_len = (size_t)(f->length[0] << 8 | f->length[1]);
		if (f->reply_len < DNS_HEADER)
			return -EBADMSG;
		f->reply = malloc(f->reply_len);
		if (!f->reply)
			return -ENOMEM;
	}
	return f->got >= head && f->got == head + f->reply_len;
}

static void connection_ready(struct resolver *r, struct source *s, uint32_t events)
{
	struct forward *f = container_of(s, struct forward, source);
	int rc = f->sent < f->frame_len ? send_some(r, f) : receive_some(f);

	if (rc > 0)
		rc = dns_check_reply(f->reply, f->reply_len, query_of(f), f->question_len);
	else if (rc == 0)
		return;
	if (rc < 0)
		try_next(r, f);
	else
		answered(r, f, f->reply, f->reply_len, rc);
}

static int send_tcp(struct resolver *r, struct forward *f, struct upstream *u)
{
	uint16_t id;
	int fd = server_connect(&u->server, SOCK_STREAM);

	if (fd < 0)
		return fd;
	id_random(&id, sizeof(id));
	dns_set_id(query_of(f), id);
	return source_open(r, &f->source, fd, EPOLLOUT, connection_ready);
}

/* ------------------------------------------------------------------------------- one and all */

/* From f->server on: the first that it can be sent to. Negative: there is none. */
static int try_servers(struct resolver *r, struct forward *f)
{
	for (; f->server < r->n_upstreams; f->server++) {
		struct upstream *u = &r->upstreams[f->server];

		if ((f->client ? send_tcp(r, f, u) : send_udp(r, f, u)) < 0)
			continue;
		f->deadline = r->now + WAIT_NS;
		list_append(&r->forwards, &f->by_deadline);
		return 0;
	}
	return -EHOSTUNREACH;
}

int forward_start(struct resolver *r, struct sandbox *sb, struct client *client,
		  const union peer *peer, socklen_t peer_len, const struct dns_query *q,
		  const uint8_t *msg, size_t len, struct forward **ret)
{
	struct forward *f;

	if (sb->n_forwards >= IN_FLIGHT_MAX)
		return -EBUSY;
	f = calloc(1, sizeof(*f) + 2 + len);
	if (!f)
		return -ENOMEM;
	f->source.fd = -1;
	list_init(&f->by_deadline);
	list_init(&f->by_socket);
	f->sandbox = sb;
	f->client = client;
	if (!client)
		f->peer = *peer;
	f->peer_len = peer_len;
	f->client_id = dns_id(msg);
	f->size = q->size;
	f->question_len = q->question_len;
	f->frame_len = 2 + len;
	dns_set_id(f->frame, (uint16_t)len);
	memcpy(query_of(f), msg, len);
	if (try_servers(r, f) < 0) {
		free(f);
		return -EHOSTUNREACH;
	}
	list_append(&sb->forwards, &f->by_sandbox);
	sb->n_forwards++;
	if (ret)
		*ret = f;
	return 0;
}

void forward_cancel(struct resolver *r, struct forward *f)
{
	if (f)
		forward_end(r, f);
}

void forward_expire(struct resolver *r)
{
	while (!list_empty(&r->forwards)) {
		struct forward *f = container_of(r->forwards.next, struct forward, by_deadline);

		if (f->deadline > r->now)
			return;
		try_next(r, f);
	}
}

uint64_t forward_deadline(const struct resolver *r)
{
	if (list_empty(&r->forwards))
		return UINT64_MAX;
	return container_of(r->forwards.next, struct forward, by_deadline)->deadline;
}
