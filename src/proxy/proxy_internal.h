/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the proxy share. All of it belongs to the proxy's thread once that runs, except
 * `stop` and what never changes.
 *
 * The parts: proxy.c is what the engine calls, proxy_loop.c the thread, proxy_tcp.c the
 * connections, proxy_udp.c the clients by UDP. A *flow* is one of either. Each descriptor in the
 * epoll set is a `source`.
 *
 * Freeing. The events of one epoll_wait() may speak of flows that the handling of an earlier one
 * ended. So a flow ends in two steps: its sources are closed (fd -1 from then on; such a source is
 * passed over), and its memory is buried, to be freed when the round is over.
 */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/map.h"
#include "kernel/conntrack.h"
#include "proxy/proxy.h"

struct source {
	int fd; /* -1: closed */
	void (*ready)(struct proxy *p, struct source *s, uint32_t events);
	struct source *next_buried;
};

/* Empty ones, ready for use. A connection has one only while there are bytes in it. */
#define PIPES_MAX 8
struct pipes {
	int fds[PIPES_MAX][2];
	unsigned n;
};

struct proxy {
	struct proxy_options options;
	uint16_t tcp_port, udp_port; /* 0: no IPv6, and no thread */
	pthread_t thread;
	bool running; /* there is a thread */
	atomic_bool stop;

	int epoll;
	struct source wake;     /* eventfd */
	struct source tcp, udp; /* the sockets that connections are redirected to */
	struct source *buried;
	uint64_t now; /* of this round, monotonic, ns */
	unsigned flows;

	/* When the host is short of descriptors or memory, what failed is tried again at retry_at.
	 */
	uint64_t retry_at; /* 0: nothing is to be tried again */
	bool paused;       /* connections wait in the backlog */

	/* proxy_tcp.c */
	struct list connections;
	struct list unfinished; /* those that let the others have their turn first */
	struct list starved;    /* those that got no pipe */
	struct pipes pipes;

	/* proxy_udp.c */
	struct list clients; /* the longest idle first */
	struct map by_key;
	struct conntrack *conntrack; /* this and the buffer are there from the first datagram on */
	uint8_t *buffer;
};

/* A socket's address of either family. */
union sockaddr_ip {
	struct sockaddr sa;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

/* proxy_loop.c */
void *proxy_run(void *proxy);
/* Takes fd into the epoll set, and on success as its own. 0 or a negative errno. */
int proxy_source_open(struct proxy *p, struct source *s, int fd, uint32_t events,
		      void (*ready)(struct proxy *p, struct source *s, uint32_t events));
/* Out of the epoll set and closed. Harmless if it is closed already. */
void proxy_source_close(struct proxy *p, struct source *s);
/* s is the first member of what is to be freed at the end of the round. */
void proxy_source_bury(struct proxy *p, struct source *s);
/* No descriptor, or no memory: try again later. */
void proxy_retry(struct proxy *p);
/* Room for one flow more, if need be instead of the longest idle client by UDP. */
bool proxy_make_room(struct proxy *p);
/* A flow has ended. */
void proxy_flow_ended(struct proxy *p);
/* A non-blocking socket, connected or connecting to the address; or a negative errno. */
int proxy_connect(int type, const struct cnm_ip *ip, uint16_t port);

/* proxy_tcp.c */
void tcp_ready(struct proxy *p, struct source *s, uint32_t events);
/* Goes on with the connections that had to make way. */
void tcp_go_on(struct proxy *p);
/* The same for those that got no pipe. */
void tcp_feed(struct proxy *p);
void tcp_end_all(struct proxy *p);

/* proxy_udp.c */
void udp_ready(struct proxy *p, struct source *s, uint32_t events);
/* When the next client expires; UINT64_MAX: there is none. */
uint64_t udp_deadline(const struct proxy *p);
void udp_expire(struct proxy *p);
/* Ends the longest idle client; false if there is none. */
bool udp_end_oldest(struct proxy *p);
void udp_end_all(struct proxy *p);

#endif
