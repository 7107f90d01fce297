/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine has to say to the server's thread: an atomic list to which any thread adds, and
 * which the server empties at once. Whatever a message makes the server keep is allocated by its
 * sender and travels in it.
 */
#ifndef RESOLVER_INBOX_H
#define RESOLVER_INBOX_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct zone_endpoint;
struct zone_view;
struct sandbox;
struct upstreams;

enum message_kind {
	MESSAGE_PUT_ENDPOINT,
	MESSAGE_DROP_ENDPOINT,
	MESSAGE_SET_VIEW,
	MESSAGE_SET_SOCKETS,
	MESSAGE_DROP_SANDBOX,
	MESSAGE_DESCRIBE,
};

struct message {
	struct message *next;
	enum message_kind kind;
	struct zone_endpoint *endpoint;
	struct sandbox *sandbox; /* a candidate, with its id; used if the id is not known yet */
	struct zone_view *view;
	struct upstreams *own; /* the sandbox's servers */
	int udp, tcp;
	json_t **description; /* what was asked for, a new reference, or NULL */
	bool waited_for;      /* then done is posted when it was handled, and it is not freed */
	sem_t done;
	const char *id; /* of what is dropped or described: in text, or (waited for) the sender's */
	char text[];
};

struct inbox {
	_Atomic(struct message *) newest;
	atomic_uint waiting; /* roughly how many */
};

/* A message that may wait this long in company need not wake the server. */
#define INBOX_LONG 1024

/* Takes m. true: so many are waiting that the server should be woken. */
bool inbox_add(struct inbox *in, struct message *m);
/* All messages, the oldest first; NULL if there are none. */
struct message *inbox_take(struct inbox *in);

#endif
