/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attached clients: bytes between a client's connection (taken over from the HTTP server) and a
 * container's stdio. One epoll thread serves all sessions and never waits for one of them.
 *
 * To the client go raw bytes (terminal) or Docker's frames: {1 stdout | 2 stderr, 0, 0, 0, length
 * as 32 bits, big endian} and the bytes. From it come stdin's bytes; its end of sending ends stdin;
 * the detach keys end the session. A side that takes no more stops the reading of the other: memory
 * of a session is bounded. A client that is gone ends its session, and nothing else.
 *
 * A session may begin before there is anything to attach to (docker run attaches, then starts):
 * what the client sends meanwhile is kept up to a bound, then left in its socket.
 *
 * A session's end never stops a process: what it goes on writing to out, err or a terminal is read
 * and dropped, until these are closed by all who hold them, relay_finish() or relay_stop().
 *
 * Thread-safe. Functions never wait.
 */
#ifndef CONTAINERS_RELAY_H
#define CONTAINERS_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "cnm/error.h"

struct relay;
struct relay_session;

int relay_start(struct relay **ret, struct cnm_error *err);
/*
 * Ends every session (ended() is called for each) and the thread. Afterwards only relay_release()
 * may be called. NULL is allowed.
 */
void relay_stop(struct relay *r);

enum relay_end {
	RELAY_CLIENT_GONE,
	RELAY_DETACHED,   /* by the detach keys */
	RELAY_SOURCE_END, /* the container's side has ended and all of it was delivered */
	RELAY_CANCELLED,  /* by relay_end() or relay_stop(), or for want of memory */
};

struct relay_options {
	int client; /* its socket; the session's from now on, also on failure. -1: gone already */
	const char *early; /* bytes that came after its request; copied */
	size_t n_early;
	bool terminal;     /* raw, else frames */
	bool in, out, err; /* what the client asked for */
	unsigned char detach[16];
	unsigned n_detach; /* 0: none; honoured with a terminal and stdin */
	/*
	 * Once, on the relay's thread (its stack has 64 KiB), when the client's connection has been
	 * closed. Must not wait, and must not call the relay but for relay_release().
	 */
	void (*ended)(enum relay_end why, void *arg);
	void *arg;
};

/*
 * NULL: no memory (client is closed, ended() not called). The caller gets a reference, to be given
 * back by relay_release(): until then the functions below may be called, also after the end, when
 * they do nothing (but for what they say). ended() may run before this returns.
 */
struct relay_session *relay_begin(struct relay *r, const struct relay_options *options);
/* The session goes on without it. NULL is allowed. */
void relay_release(struct relay_session *s);

/*
 * What the session is attached to; at most once. `packets`: conmon's attach socket, both
 * directions; the session ends when conmon closes it. Otherwise terminal (the master side), or in,
 * out and err; the session ends by relay_finish(), not when these are closed: so the exit code is
 * known first. What there is not is -1. The descriptors are the session's from now on, also when it
 * has ended. close_stdin: when the client's sending ends, end stdin too (a terminal's stays open).
 */
struct relay_source {
	int packets;
	int terminal;
	int in, out, err;
	bool close_stdin;
};
/* 0; -EALREADY on a second call (the descriptors are closed). */
int relay_connect(struct relay_session *s, const struct relay_source *source);
/*
 * The process behind in/out/err or terminal has ended: deliver what is left in them, do not wait
 * for the descriptors to close (a background process may hold them), then end. Before
 * relay_connect(): as soon as it is called. Nothing with packets.
 */
void relay_finish(struct relay_session *s);
/* End it now; what was read is still offered to the client once, without waiting. */
void relay_end(struct relay_session *s);
/*
 * Size of a terminal source (ioctl). -ENOTTY without one, -EAGAIN before relay_connect(),
 * -ESHUTDOWN when the session has ended.
 */
int relay_resize(struct relay_session *s, unsigned rows, unsigned columns);

#endif
