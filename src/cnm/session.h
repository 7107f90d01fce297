/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A person's session with a container or an execution: the terminal, its size, signals, and the
 * stream between.
 *
 * With a terminal the keys go to the other side, the size is kept the same, and what would end cnm
 * restores the terminal first. Without one, signals can be proxied: they are sent to the container
 * and do nothing to cnm.
 */
#ifndef CNM_SESSION_H
#define CNM_SESSION_H

#include <stdbool.h>

#include "cnm/client.h"

struct session {
	const struct client *client;
	const char *collection, *id; /* "/containers" or "/exec", and which */
	bool in, out, terminal;
	bool sig_proxy;          /* with no terminal: to containers only */
	const char *detach_keys; /* NULL: Docker's */
};

/* What -i and -t ask for, and this terminal cannot give. */
int session_check_input(bool in, bool terminal, struct cnm_error *err);
/*
 * Until the connection ends, and then until the answer that is pending (NULL: none) has come,
 * unless the person detached. A signal that ends cnm does so in here.
 */
int session_run(const struct session *s, struct client_hijacked *connection,
		const struct client_pending *pending, bool *ret_detached, struct cnm_error *err);

#endif
