/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way out of sandboxes whose networks have none: a bridge network by Docker's name, which is
 * made when it is first needed, with an endpoint for each such sandbox that comes and goes by
 * itself (features.md 1.3). Its published ports are there, and nothing else: it has no names, and
 * ICC is off.
 */
#ifndef CONTROLLER_GATEWAY_NETWORK_H
#define CONTROLLER_GATEWAY_NETWORK_H

#include "controller/engine.h"

/* What a request changes of it. */
struct gateway_change {
	struct endpoint *added;   /* CREATING, in the model and the sandbox; or NULL */
	struct endpoint *removed; /* REMOVING; or NULL */
};

/* Without the lock: makes the network if one who joins this one may need it. */
int gateway_network_prepare(struct cnm_engine *e, const char *network, struct cnm_error *err);
/* The same when it is known that one does. */
int gateway_network_make(struct cnm_engine *e, struct cnm_error *err);
/* Lock held: what the sandbox's endpoints, as they are now, want. On failure nothing is changed. */
int gateway_begin(struct cnm_engine *e, struct sandbox *sb, const struct ifnames *taken,
		  struct gateway_change *ret, struct cnm_error *err);
/* The rows of what is changed, into the transaction that makes the rest last. */
void gateway_rows(const struct gateway_change *g, struct store_tx **tx);
/* Lock held: it came about, or not. */
void gateway_end(struct cnm_engine *e, const struct gateway_change *g, bool done);

#endif
