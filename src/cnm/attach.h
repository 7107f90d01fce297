/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Being attached to a container until it ends: what run, start -a and attach share. */
#ifndef CNM_ATTACH_H
#define CNM_ATTACH_H

#include <stdbool.h>

#include "cnm/client.h"

struct attach {
	const struct client *client;
	const char *id;
	bool in, out, err, terminal, sig_proxy;
	const char *detach_keys; /* NULL: the container's, which are Docker's unless it was told */
	const char *condition;   /* of the end: "next-exit", "removed", "not-running" */
	bool start;              /* start it, once attached */
};

struct attach_end {
	bool detached; /* or had only input, which has ended */
	bool started;  /* also told when it fails: the error is about what came later */
	int code;      /* the container's; unless detached */
};

/*
 * Attach, wait, start, and copy until the container has ended; with no output to attach to, until
 * the input has. Attached and waiting come before the start, so that nothing is missed.
 */
int attach_run(const struct attach *a, struct attach_end *ret, struct cnm_error *err);

#endif
