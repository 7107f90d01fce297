/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loop of an attached client: its input to a hijacked connection, what comes from there to its
 * output, and signals to whoever handles them.
 */
#ifndef CNM_STREAM_H
#define CNM_STREAM_H

#include <stdbool.h>

#include "cnm/client.h"
#include "cnm/keys.h"

struct stream {
	struct client_hijacked *connection; /* becomes non-blocking */
	int in;                             /* copied to the connection to its end; -1: nothing */
	bool out;           /* wait for output: else the end of the input is the end */
	bool terminal;      /* what comes is raw, not frames */
	struct keys detach; /* end the loop, and are passed on: the daemon knows them, too */
	int signals;        /* a descriptor that is readable when there is one; or -1 */
	bool (*on_signal)(void *arg); /* true ends the loop */
	void *arg;
};

enum stream_end {
	STREAM_ENDED,
	STREAM_DETACHED, /* by the keys */
	STREAM_SIGNALLED,
};

int stream_run(struct stream *s, enum stream_end *ret, struct cnm_error *err);

#endif
