/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What relay.c (the thread, and the calls of others) and relay_session.c (moving bytes) share.
 *
 * A session is touched by the relay's thread alone, but for the members marked: what others ask for
 * is noted there, under the relay's lock, and the session is put on the list of calls. The lock is
 * never held across a system call that can wait.
 *
 * The thread has one buffer for all sessions: bytes are read into it and written from it at once,
 * and only what the other side does not take is kept in the session (struct backlog). While
 * something is kept, the side it came from is not read.
 */
#ifndef CONTAINERS_RELAY_INTERNAL_H
#define CONTAINERS_RELAY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/list.h"
#include "containers/relay.h"
#include "containers/relay_frame.h"

/* One read. conmon's packets have at most 8 KiB and their first byte. */
#define IO_SIZE (32 * 1024)
/* conmon reads packets into a buffer of its own: what does not fit would be lost. */
#define PACKET_MAX 8192
/* Kept of a client's input while there is nothing to attach to. */
#define KEEP_MAX (64 * 1024)

struct relay {
	pthread_t thread;
	int epoll, wake;
	struct list sessions; /* those with something to watch */
	struct list dead;     /* to be released when no event of this turn can mean them any more */
	unsigned char *buf;   /* DETACH_MAX + IO_SIZE bytes */
	pthread_mutex_t lock;
	struct list calls; /* under lock: sessions that something is asked of */
	bool stopping;     /* under lock */
};

/* The bytes data[at..at+n), which wait to be written. */
struct backlog {
	unsigned char *data;
	size_t at, n;
};

enum port_role {
	PORT_CLIENT,
	PORT_OUT, /* stdout; or a terminal or conmon's socket, which go both ways */
	PORT_ERR,
	PORT_IN,
	N_PORTS
};

/* A descriptor of a session. */
struct port {
	struct relay_session *session;
	int fd;          /* -1: none */
	uint32_t events; /* as registered; 0: it is not */
	size_t left;     /* once the process has ended: what may still be read */
	bool ended;      /* nothing more will be read */
};

enum source_kind { SOURCE_NONE, SOURCE_PACKETS, SOURCE_TERMINAL, SOURCE_PIPES };

enum relay_ask { ASK_BEGIN = 1, ASK_CONNECT = 2, ASK_FINISH = 4, ASK_END = 8 };

struct relay_session {
	struct relay *relay;
	atomic_uint refs; /* the caller's, the thread's, that of the list of calls */
	struct list node; /* relay.sessions or relay.dead */
	struct port ports[N_PORTS];
	struct backlog to_client, to_stdin;
	struct detach detach;
	void (*ended)(enum relay_end why, void *arg);
	void *arg;
	enum source_kind kind;
	enum port_role sink; /* where stdin goes: PORT_OUT or PORT_IN; PORT_CLIENT: nowhere */
	enum relay_end why;
	bool terminal, in, out, err, close_stdin;
	bool client_ended; /* it will send no more */
	bool finishing;    /* the process has ended */
	bool ending;       /* the session is to end, because of why */

	/* Under relay.lock. */
	struct list call_node;
	unsigned asked; /* of relay_ask */
	struct relay_source source;
	bool connected; /* source is set */
	bool over;      /* ended() is due or was called; written by the thread alone */
};

/* NULL: no memory; the client's socket is not closed then. One reference. */
struct relay_session *session_new(struct relay *r, const struct relay_options *options);
void session_ref(struct relay_session *s);
void session_unref(struct relay_session *s);

/* ---- on the relay's thread */
/* What the epoll descriptor said of a port. */
void session_event(struct port *p, uint32_t events);
/* What was asked for: a set of relay_ask, in that order. source: for ASK_CONNECT. */
void session_call(struct relay_session *s, unsigned asked, const struct relay_source *source);
/* End it and close all it has. */
void session_stop(struct relay_session *s);

#endif
