/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the server share. All of it belongs to the server's thread, except `inbox` and
 * `stop`, through which the others reach it.
 *
 * The parts: inbox.c takes the messages of the engine, server.c is the loop and answers by UDP,
 * journal.c keeps their queries in the socket until they are answered, client.c is the connections
 * of clients by TCP, forward.c is the queries that went on to somebody else's server, upstream.c
 * those servers, describe.c says what there is. Each descriptor in the epoll set is a `source`.
 *
 * Freeing. The events of one epoll_wait() may speak of objects that the handling of an earlier one
 * ended, and a message may end what is being handled. So an object ends in two steps: its sources
 * are closed (fd -1 from then on; such a source is passed over), and its memory is buried, to be
 * freed when the round is over.
 */
#ifndef RESOLVER_SERVER_H
#define RESOLVER_SERVER_H

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/file_watch.h"
#include "base/list.h"
#include "resolver/cache.h"
#include "resolver/dns_wire.h"
#include "resolver/inbox.h"
#include "resolver/journal.h"
#include "resolver/resolv_conf.h"
#include "resolver/resolver.h"
#include "resolver/wheel.h"
#include "resolver/zone.h"

struct source {
	int fd; /* -1: closed */
	void (*ready)(struct resolver *r, struct source *s, uint32_t events);
	struct source *next_buried;
};

/* What was asked of us and what became of it, since the daemon started. */
struct counters {
	uint64_t queries, local, cached, forwarded, failed, refused, tcp;
};

struct sandbox {
	struct source udp, tcp; /* udp is first: it is what a sandbox is buried by */
	struct table_node by_id;
	struct zone_view *view; /* NULL: not told yet */
	struct upstreams *own;  /* its own servers; NULL: the host's are asked */
	struct journal journal; /* of the queries by UDP */
	struct counters count;
	struct list clients; /* by TCP, the longest idle first */
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

/* Who waits for the reply to a query that went on. What went on is a `lookup` (upstream.h). */
struct forward {
	struct list by_sandbox, by_lookup;
	struct lookup *lookup;
	struct sandbox *sandbox;
	struct client *client; /* by TCP: who asked */
	union peer peer;       /* by UDP: who asked */
	socklen_t peer_len;
	uint32_t number; /* by UDP: of the query in the journal */
	uint16_t client_id;
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
	struct source watch; /* owns the fd of file_watch */
	struct file_watch file_watch;
	struct source *buried;
	uint64_t now; /* of this round, monotonic, ns */

	struct zone zone;
	struct table sandboxes;
	uint64_t shuffle;

	struct list clients; /* all, the longest idle first: the first is the first to expire */

	struct cache *cache;
	struct upstreams *host; /* the host's servers */
	uint64_t scopes;        /* of the cache, that sets of servers were given so far */
	struct table asks;      /* by UDP: by socket and id */
	struct table lookups;   /* which another query can join: by query */
	struct wheel wheel;     /* the timers of forward.c and upstream.c */

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

/* describe.c */
/* As resolver_describe() has it; NULL: out of memory. */
json_t *describe_sandbox(const struct resolver *r, const struct sandbox *sb);

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

/* forward.c. It counts sandbox.count.cached, forwarded, failed and refused. */
/* 0 or -ENOMEM. forward_destroy() is due even then, after all sandboxes are gone. */
int forward_init(struct resolver *r);
void forward_destroy(struct resolver *r);
/* The host's servers to ask from now on, also for what is on its way. */
void forward_set_servers(struct resolver *r, const char *resolv_conf);
/*
 * A sandbox's own servers from now on, also for what is on its way to those it had. Takes set (see
 * upstream.h); NULL: none, for which the sandbox's view is looked at, so that comes first. Part of
 * dropping a sandbox is to set none, once forward_cancel() has ended its forwards.
 */
void forward_set_own(struct resolver *r, struct sandbox *sb, struct upstreams *set);
/*
 * The reply to a query for somebody else's server, if it is known: true, and it is in buf. By UDP
 * max is q->size at most.
 */
bool forward_cached(struct resolver *r, struct sandbox *sb, const uint8_t *msg,
		    const struct dns_query *q, uint8_t *buf, size_t max, size_t *ret_len);
/*
 * Sends msg on its way for the client by TCP, or by UDP for the peer, whose query has this number
 * in the sandbox's journal: that is done once the reply has been sent. Returns 0, or negative if
 * it cannot be: then nothing will come back. -EBUSY: this sandbox has too many on their way (say
 * REFUSED); else there is nobody to ask (SERVFAIL). ret may be NULL.
 */
int forward_start(struct resolver *r, struct sandbox *sb, struct client *client,
		  const union peer *peer, socklen_t peer_len, uint32_t number,
		  const struct dns_query *q, const uint8_t *msg, size_t len, struct forward **ret);
static inline enum dns_rcode forward_failure(int err)
{
	return err == -EBUSY ? DNS_REFUSED : DNS_SERVFAIL;
}

/*
 * Forgets it: nobody waits for the reply any more. Its query stays in the journal. NULL is allowed.
 */
void forward_cancel(struct resolver *r, struct forward *f);
void forward_expire(struct resolver *r);
uint64_t forward_deadline(const struct resolver *r);

#endif
