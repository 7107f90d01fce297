/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The servers of others, in sets: the host's, asked from the host's namespace, and one for each
 * sandbox that has servers of its own, asked from the sandbox's. And the ways to ask one of them.
 *
 * A lookup is a query on its way, for any number of clients that wait for it; forward.c decides
 * which servers it is put to and when. An ask is one server being asked: by UDP in upstream.c, by
 * TCP in upstream_tcp.c. An ask ends by lookup_replied() or lookup_failed(), which it calls once,
 * or by ask_stop().
 */
#ifndef RESOLVER_UPSTREAM_H
#define RESOLVER_UPSTREAM_H

#include "resolver/server.h"

#define UPSTREAM_SOCKETS 8

/* A UDP socket, connected to a server. */
struct upstream_socket {
	struct source source;
	struct list asks;    /* ask.by_socket */
	struct timer expiry; /* set while it is open and fresh */
};

struct upstream {
	struct resolv_server server;
	uint64_t queries;  /* sent; what was sent again counts again */
	uint64_t answers;  /* of any kind, SERVFAIL too */
	uint64_t failures; /* it was silent, or could not be asked */
	uint32_t rtt_us;   /* to an answer, smoothed; 0: none yet */
	unsigned misses;   /* failures by UDP since its last answer */
	struct ask *probe; /* whose answer counts only for the figures above, or NULL */
	uint64_t probe_at; /* not before */
	struct upstream_socket sockets[UPSTREAM_SOCKETS];
};

struct upstreams {
	struct source grave; /* never open: what it is buried by */
	uint64_t scope;      /* in the cache: 0 for the host's, else a number of its own */
	struct list lookups; /* lookup.by_set */
	size_t n;            /* 0: there is nobody to ask */
	struct upstream servers[RESOLV_SERVERS_MAX];
	char netns[]; /* path; "": the resolver's own namespace */
};

struct ask {
	struct lookup *lookup;
	struct upstream *upstream; /* NULL: it is not on its way */
	uint64_t sent;             /* when; 0: more than once */
	uint16_t id;
	struct upstream_socket *socket; /* by UDP */
	struct table_node by_id;
	struct list by_socket;
	struct connection *connection; /* by TCP */
};

struct lookup {
	struct upstreams *set; /* NULL: there is nobody to ask any more */
	struct list by_set;
	struct table_node by_query; /* entered while it can be joined */
	struct timer timer;         /* of the next step; always set */
	uint64_t started;
	struct list waiters; /* forward.by_lookup */
	bool tcp;
	bool over; /* nobody waits any more: it is about the servers' figures */
	unsigned n_asked;
	uint8_t order[RESOLV_SERVERS_MAX]; /* indices of the servers; n_asked are behind us */
	struct ask asks[RESOLV_SERVERS_MAX];
	uint16_t size; /* by UDP: the largest reply that those who wait take */
	size_t question_len;
	size_t frame_len;
	uint8_t frame[]; /* the query as sent by TCP: two bytes of length first */
};

static inline uint8_t *lookup_query(struct lookup *l)
{
	return l->frame + 2;
}

/*
 * Any thread. A set of the first RESOLV_SERVERS_MAX servers; the address at which we answer
 * ourselves is left out, so it may be empty: then the host's servers are asked, as if there were no
 * set. netns NULL: the resolver's own namespace. NULL: out of memory. A set that was not given to
 * forward_set_own() is freed by free().
 */
struct upstreams *upstreams_new(const struct resolv_server *servers, size_t n, const char *netns);

/* All that follows is for the server's thread. */

/* Are these its servers, in this order? */
bool upstreams_are(const struct upstreams *set, const struct resolv_server *servers, size_t n);
/* The same servers in the same order, asked from the same namespace? */
bool upstreams_are_same(const struct upstreams *a, const struct upstreams *b);
/* Other servers, at most RESOLV_SERVERS_MAX. Nothing may be on its way to the old ones. */
void upstreams_set(struct resolver *r, struct upstreams *set, const struct resolv_server *servers,
		   size_t n);
/* Closes its sockets and buries it. Nothing may be on its way. */
void upstreams_free(struct resolver *r, struct upstreams *set);

/* It failed too often of late to be asked before the others. */
bool upstream_is_bad(const struct upstream *u);
/* How long to wait for it alone: a few times what it usually takes. ns */
uint64_t upstream_patience(const struct upstream *u);
/* What an ask that is on its way came to, for the figures. */
void upstream_answered(struct resolver *r, const struct ask *a);
void upstream_missed(const struct ask *a);

/* Puts the lookup's query to a server. 0, or negative: it is not on its way. */
int ask_start(struct resolver *r, struct ask *a, struct lookup *l, struct upstream *u);
/* Sends it once more, by UDP. Harmless if it is not on its way. */
void ask_again(struct resolver *r, struct ask *a);
/* Whatever comes is not heard any more. Harmless if it is not on its way. */
void ask_stop(struct resolver *r, struct ask *a);

/* upstream_tcp.c: the part of ask_start() and ask_stop() by TCP, over a socket that connects. */
int connection_start(struct resolver *r, struct ask *a, int fd);
void connection_stop(struct resolver *r, struct connection *c);

/*
 * forward.c: a reply that dns_check_reply() takes for one, with its rcode; or there will be none.
 * The ask, and all that belongs to it, may be gone afterwards. msg may be changed.
 */
void lookup_replied(struct resolver *r, struct ask *a, uint8_t *msg, size_t len, int rcode);
void lookup_failed(struct resolver *r, struct ask *a);

#endif
