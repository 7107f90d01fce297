/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of servers, and asking one by UDP.
 *
 * A server has a few connected sockets, of which a question takes a random one, and a random id:
 * who does not see the question has to guess port and id to forge a reply. A socket is opened when
 * it is first chosen. It is fresh for FRESH_NS; then it is closed as soon as nothing is on its way
 * through it, and avoided until then. So the ports, which the kernel chooses, change all the time,
 * while few questions have to wait for a socket to be opened; and the number of descriptors is
 * bounded whatever the sandboxes do.
 */
#include "resolver/upstream.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel/netns.h"

#define DNS_PORT       53
#define NS_PER_MS      1000000ull
#define FRESH_NS       (2 * NS_PER_S)
#define CHOOSE_TRIES   8
#define MISSES_BAD     2
#define PATIENCE_FIRST (150 * NS_PER_MS) /* with a server that has not answered yet */
#define PATIENCE_MIN   (50 * NS_PER_MS)
#define PATIENCE_MAX   (500 * NS_PER_MS)

/* ------------------------------------------------------------------------------- sets */

static void fill(struct upstreams *set, const struct resolv_server *servers, size_t n)
{
	memset(set->servers, 0, sizeof(set->servers));
	for (size_t i = 0; i < RESOLV_SERVERS_MAX; i++) {
		for (size_t j = 0; j < UPSTREAM_SOCKETS; j++) {
			set->servers[i].sockets[j].source.fd = -1;
			list_init(&set->servers[i].sockets[j].asks);
		}
	}
	set->n = n;
	for (size_t i = 0; i < n; i++)
		set->servers[i].server = servers[i];
}

struct upstreams *upstreams_new(const struct resolv_server *servers, size_t n, const char *netns)
{
	size_t size = (netns ? strlen(netns) : 0) + 1, kept = 0;
	struct resolv_server keep[RESOLV_SERVERS_MAX];
	struct upstreams *set = calloc(1, sizeof(*set) + size);

	if (!set)
		return NULL;
	set->grave.fd = -1;
	list_init(&set->lookups);
	if (netns)
		memcpy(set->netns, netns, size);
	for (size_t i = 0; i < n && kept < RESOLV_SERVERS_MAX; i++) {
		if (!resolv_server_is_ours(&servers[i]))
			keep[kept++] = servers[i];
	}
	fill(set, keep, kept);
	return set;
}

bool upstreams_are(const struct upstreams *set, const struct resolv_server *servers, size_t n)
{
	if (set->n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct resolv_server *ours = &set->servers[i].server;

		if (!ip_eq(&ours->ip, &servers[i].ip) || !streq(ours->scope, servers[i].scope))
			return false;
	}
	return true;
}

bool upstreams_are_same(const struct upstreams *a, const struct upstreams *b)
{
	struct resolv_server servers[RESOLV_SERVERS_MAX];

	for (size_t i = 0; i < b->n; i++)
		servers[i] = b->servers[i].server;
	return streq(a->netns, b->netns) && upstreams_are(a, servers, b->n);
}

static void close_socket(struct resolver *r, struct upstream_socket *s)
{
	timer_stop(&r->wheel, &s->expiry);
	source_close(r, &s->source);
}

static void close_sockets(struct resolver *r, struct upstreams *set)
{
	for (size_t i = 0; i < set->n; i++) {
		for (size_t j = 0; j < UPSTREAM_SOCKETS; j++)
			close_socket(r, &set->servers[i].sockets[j]);
	}
}

void upstreams_set(struct resolver *r, struct upstreams *set, const struct resolv_server *servers,
		   size_t n)
{
	close_sockets(r, set);
	fill(set, servers, n);
}

void upstreams_free(struct resolver *r, struct upstreams *set)
{
	close_sockets(r, set);
	source_bury(r, &set->grave);
}

/* ------------------------------------------------------------------------------- figures */

bool upstream_is_bad(const struct upstream *u)
{
	return u->misses >= MISSES_BAD;
}

uint64_t upstream_patience(const struct upstream *u)
{
	uint64_t ns = 4 * 1000ull * u->rtt_us;

	if (!ns)
		return PATIENCE_FIRST;
	return ns < PATIENCE_MIN ? PATIENCE_MIN : ns > PATIENCE_MAX ? PATIENCE_MAX : ns;
}

/* By TCP it takes longer, and what was sent twice may be the answer to either. */
void upstream_answered(struct resolver *r, const struct ask *a)
{
	struct upstream *u = a->upstream;
	uint64_t us = (r->now - a->sent) / 1000 + 1;

	u->answers++;
	u->misses = 0;
	if (a->socket && a->sent)
		u->rtt_us = (uint32_t)(u->rtt_us ? (7ull * u->rtt_us + us) / 8 : us);
}

/* A server that takes no connections may still be a good one by UDP. */
void upstream_missed(const struct ask *a)
{
	a->upstream->failures++;
	if (a->socket)
		a->upstream->misses++;
}

/* ------------------------------------------------------------------------------- sockets */

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

struct connecting {
	const struct resolv_server *server;
	int type;
};

/* In the namespace to ask from. A socket on its way to the server, or a negative errno. */
static int connect_here(void *arg)
{
	const struct connecting *c = arg;
	union peer to;
	socklen_t len = server_address(c->server, &to);
	_close_ int fd = socket(to.sa.sa_family, c->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (connect(fd, &to.sa, len) < 0 && errno != EINPROGRESS))
		return -errno;
	return take_fd(&fd);
}

static int server_connect(const struct upstreams *set, const struct upstream *u, int type)
{
	struct connecting c = { &u->server, type };
	_close_ int ns = -1;

	if (!set->netns[0])
		return connect_here(&c);
	if (netns_open_path(set->netns, &ns, NULL) < 0)
		return -ENETUNREACH;
	return netns_call(ns, connect_here, &c);
}

static bool is_stale(const struct upstream_socket *s)
{
	return s->source.fd >= 0 && !s->expiry.at;
}

static void socket_expired(struct resolver *r, struct timer *t)
{
	struct upstream_socket *s = container_of(t, struct upstream_socket, expiry);

	if (list_empty(&s->asks))
		close_socket(r, s);
}

static uint32_t id_hash(const struct upstream_socket *s, uint16_t id)
{
	return hash_bytes(hash_bytes(HASH_START, &s, sizeof(s)), &id, sizeof(id));
}

static struct ask *find_ask(const struct resolver *r, const struct upstream_socket *s, uint16_t id)
{
	struct table_node *t = table_first(&r->asks, id_hash(s, id));

	for (; t; t = table_next(t)) {
		struct ask *a = container_of(t, struct ask, by_id);

		if (a->socket == s && a->id == id)
			return a;
	}
	return NULL;
}

/* Replies, up to a batch. What nothing on its way through this socket asked for is passed over. */
static void socket_ready(struct resolver *r, struct source *source, uint32_t events)
{
	struct upstream_socket *s = container_of(source, struct upstream_socket, source);

	for (unsigned i = 0; i < BATCH && source->fd >= 0; i++) {
		ssize_t n = recv(source->fd, r->large, sizeof(r->large), MSG_DONTWAIT);
		struct ask *a;
		int rcode;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			/* An ICMP message, which does not name the question: all have failed. */
			while (!list_empty(&s->asks))
				lookup_failed(r, container_of(s->asks.next, struct ask, by_socket));
			return;
		}
		a = n >= DNS_HEADER ? find_ask(r, s, dns_id(r->large)) : NULL;
		if (!a)
			continue;
		dns_set_id(lookup_query(a->lookup), a->id);
		rcode = dns_check_reply(r->large, (size_t)n, lookup_query(a->lookup),
					a->lookup->question_len);
		if (rcode >= 0)
			lookup_replied(r, a, r->large, (size_t)n, rcode);
		if (list_empty(&s->asks))
			return;
	}
}

/* A socket, and an id that nothing is on its way with. NULL: none was found in a few tries. */
static struct upstream_socket *choose(struct resolver *r, struct upstream *u, uint16_t *ret_id)
{
	struct upstream_socket *chosen = NULL;

	for (unsigned i = 0; i < CHOOSE_TRIES; i++) {
		struct upstream_socket *s;
		uint16_t random[2];

		id_random(random, sizeof(random));
		s = &u->sockets[random[0] % UPSTREAM_SOCKETS];
		if (find_ask(r, s, random[1]))
			continue;
		chosen = s;
		*ret_id = random[1];
		if (!is_stale(s))
			break;
	}
	return chosen;
}

static int open_socket(struct resolver *r, struct upstreams *set, struct upstream *u,
		       struct upstream_socket *s)
{
	int fd, err;

	if (s->source.fd >= 0)
		return 0;
	fd = server_connect(set, u, SOCK_DGRAM);
	err = fd < 0 ? fd : source_open(r, &s->source, fd, EPOLLIN, socket_ready);
	if (err < 0)
		return err;
	s->expiry.due = socket_expired;
	timer_set(&r->wheel, &s->expiry, r->now + FRESH_NS);
	return 0;
}

/* ------------------------------------------------------------------------------- asking */

/* What fails at once may be the ICMP message about an earlier datagram: then the next goes out. */
static int send_query(struct ask *a)
{
	struct lookup *l = a->lookup;

	dns_set_id(lookup_query(l), a->id);
	for (int tries = 2; tries; tries--) {
		if (send(a->socket->source.fd, lookup_query(l), l->frame_len - 2,
			 MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
			a->upstream->queries++;
			return 0;
		}
	}
	return -errno;
}

static int start_udp(struct resolver *r, struct ask *a)
{
	struct upstream_socket *s = choose(r, a->upstream, &a->id);
	int err;

	if (!s)
		return -EBUSY;
	err = open_socket(r, a->lookup->set, a->upstream, s);
	if (err < 0)
		return err;
	a->socket = s;
	list_append(&s->asks, &a->by_socket);
	table_add(&r->asks, &a->by_id, id_hash(s, a->id));
	return send_query(a);
}

static int start_tcp(struct resolver *r, struct ask *a)
{
	int fd = server_connect(a->lookup->set, a->upstream, SOCK_STREAM), err;

	if (fd < 0)
		return fd;
	id_random(&a->id, sizeof(a->id));
	err = connection_start(r, a, fd);
	if (err == 0)
		a->upstream->queries++;
	return err;
}

int ask_start(struct resolver *r, struct ask *a, struct lookup *l, struct upstream *u)
{
	int err;

	a->lookup = l;
	a->upstream = u;
	a->sent = r->now;
	list_init(&a->by_socket);
	err = l->tcp ? start_tcp(r, a) : start_udp(r, a);
	if (err < 0) {
		u->failures++;
		ask_stop(r, a);
	}
	return err;
}

void ask_again(struct resolver *r, struct ask *a)
{
	if (!a->socket)
		return;
	a->sent = 0;
	send_query(a); /* if it fails, there is still the answer to the first */
}

void ask_stop(struct resolver *r, struct ask *a)
{
	struct upstream_socket *s = a->socket;

	if (!a->upstream)
		return;
	if (a->upstream->probe == a)
		a->upstream->probe = NULL;
	a->upstream = NULL;
	if (s) {
		a->socket = NULL;
		table_del(&r->asks, &a->by_id);
		list_del(&a->by_socket);
		if (list_empty(&s->asks) && is_stale(s))
			close_socket(r, s);
	}
	if (a->connection)
		connection_stop(r, take_ptr(a->connection));
}
