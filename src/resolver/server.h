/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the server share. All of it belongs to the server's thread, except `inbox` and
 * `stop`, through which the others reach it.
 *
 * The parts: inbox.c takes the messages of the engine, server.c is the loop and answers by UDP,
 * client.c is the connections of clients by TCP, forward.c is the queries that went on to a server
 * of the host. Each descriptor in the epoll set is a `source`.
 *
 * Freeing. The events of one epoll_wait() may speak of objects that the handling of an earlier one
 * ended, and a message may end what is being handled. So an object ends in two steps: its sources
 * are closed (fd -1 from then on; such a source is passed over), and its memory is buried, to be
 * freed when the round is over.
 */
#ifndef RESOLVER_SERVER_H
#define RESOLVER_SERVER_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/list.h"
#include "resolver/dns_wire.h"
#include "resolver/inbox.h"
#include "resolver/resolv_conf.h"
#include "resolver/resolv_watch.h"
#include "resolver/resolver.h"
#include "resolver/zone.h"

struct source {
	int fd; /* -1: closed */
	void (*ready)(struct resolver *r, struct source *s, uint32_t events);
	struct source *next_buried;
};

struct sandbox {
	struct source udp, tcp; /* udp is first: it is what a sandbox is buried by */
	struct table_node by_id;
	struct zone_view *view; /* NULL: not told yet */
	struct list clients;    /* by TCP, the longest idle first */
	unsigned n_clients;
	struct list forwards;
	unsigned n_forwards;
	char id[];
};

/* The address of a client by UDP. */
union peer {
	struct sockaddr sa;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

struct client;

/* A query on its way to a server of the host. */
struct forward {
	struct source source; /* by TCP: the connection to the server */
	struct table_node by_id;
	struct list by_deadline, by_sandbox, by_socket;
	struct upstream_socket *socket; /* by UDP: through which it went */
	struct sandbox *sandbox;
	struct client *client; /* by TCP: who asked */
	union peer peer;       /* by UDP: who asked */
	socklen_t peer_len;
	uint16_t client_id;
	uint16_t size; /* by UDP: the largest reply the client takes */
	uint64_t deadline;
	unsigned server; /* index of the one asked now */
	size_t question_len;
	uint8_t *reply; /* by TCP: room for the whole, once its length is known */
	size_t reply_len;
	uint8_t length[2]; /* by TCP: what precedes the reply */
	size_t sent, got;  /* by TCP: of the frame; of the length and the reply */
	size_t frame_len;
	uint8_t frame[]; /* the query, as sent by TCP: two bytes of length first */
};

#define UPSTREAM_SOCKETS 8

/* A UDP socket, connected to a server; open while a query is on its way through it. */
struct upstream_socket {
	struct source source;
	struct list forwards; /* forward.by_socket */
};

struct upstream {
	struct resolv_server server;
	struct upstream_socket sockets[UPSTREAM_SOCKETS];
};

#define BATCH 64

/* The buffers of one batch of queries. */
struct batch {
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_iov[BATCH], out_iov[BATCH];
	union peer peer[BATCH];
	uint8_t query[BATCH][DNS_UDP_MAX];
	uint8_t reply[BATCH][DNS_UDP_MAX];
};

struct resolver {
	struct inbox inbox;
	atomic_bool stop;
	pthread_t thread;

	int epoll;
	struct source wake;  /* eventfd */
	struct source watch; /* owns the fd of resolv_watch */
	struct resolv_watch resolv_watch;
	struct source *buried;
	uint64_t now; /* of this round, monotonic, ns */

	struct zone zone;
	struct table sandboxes;
	uint64_t shuffle;

	struct list clients;  /* all, the longest idle first: the first is the first to expire */
	struct list forwards; /* all, by deadline */
	struct table forward_ids; /* by UDP: by id and socket */
	struct upstream upstreams[RESOLV_SERVERS_MAX];
	unsigned n_upstreams;

	struct batch batch;
	uint8_t large[DNS_TCP_MAX]; /* a reply by TCP or from a server, while it is handled */
};

#define NS_PER_S 1000000000ull

/* server.c */
/* Opens a source in the epoll set. 0 or a negative errno, with the fd closed. */
int source_open(struct resolver *r, struct source *s, int fd, uint32_t events,
		void (*ready)(struct resolver *r, struct source *s, uint32_t events));
void source_wait_for(struct resolver *r, struct source *s, uint32_t events);
/* Out of the epoll set and closed. Harmless if it is closed already. */
void source_close(struct resolver *r, struct source *s);
/* s is the first member of what is to be freed at the end of the round. */
void source_bury(struct resolver *r, struct source *s);
/* Takes what the engine said since. Sandboxes may be dropped: see "Freeing". */
void server_take_messages(struct resolver *r);
/* Drops all there is; for the end, when the thread is gone. */
void server_destroy(struct resolver *r);
void *server_run(void *resolver);
/* Opens what the thread needs. server_destroy() is due even if it fails. */
int server_prepare(struct resolver *r, const char *host_resolv_conf, struct cnm_error *err);

/* client.c */
void client_accept(struct resolver *r, struct source *listener, uint32_t events);
/* The reply to the query it had forwarded. */
void client_forwarded(struct resolver *r, struct client *c, const uint8_t *msg, size_t len);
void client_close(struct resolver *r, struct client *c);
/* All of a sandbox. */
void client_close_all(struct resolver *r, struct sandbox *sb);
void client_expire(struct resolver *r);
/* When the next one expires; UINT64_MAX: none. */
uint64_t client_deadline(const struct resolver *r);

/* forward.c */
void forward_init(struct resolver *r);
/* The servers to ask from now on, also for what is on its way. */
void forward_set_servers(struct resolver *r, const char *resolv_conf);
/*
 * Sends msg on its way for the client by TCP, or by UDP for the peer. Returns 0, or negative if
 * that cannot be: then nothing will come back. *ret may be NULL.
 */
int forward_start(struct resolver *r, struct sandbox *sb, struct client *client,
		  const union peer *peer, socklen_t peer_len, const struct dns_query *q,
		  const uint8_t *msg, size_t len, struct forward **ret);
/* Forgets it: nobody waits for the reply any more. NULL is allowed. */
void forward_cancel(struct resolver *r, struct forward *f);
void forward_expire(struct resolver *r);
uint64_t forward_deadline(const struct resolver *r);

#endif
