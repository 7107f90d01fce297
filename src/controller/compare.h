/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Comparing one place with the kernel, and mending it: what start, the monitor and doctor share.
 *
 * The applier's turn is held throughout, so nobody changes the kernel meanwhile; objects that a
 * request has in hand are left out of the comparison altogether.
 */
#ifndef CONTROLLER_COMPARE_H
#define CONTROLLER_COMPARE_H

#include "controller/engine.h"

/* What was mended too often is left alone: 5 times within a minute. */
struct mended {
	struct map by_key;
	bool failed; /* not all of what was mended last could be */
};
void mended_free(struct mended *m);

struct comparison {
	struct plan want, have;
	struct plan_diff diff;
	bool ruleset_missing; /* the firewall's table was not there, or of another version */
	bool network;         /* the place is that of a network */
	/* Endpoints whose veths went with somebody else's namespace: no difference to mend. */
	char (*lost)[ID_SIZE];
	unsigned n_lost;
};
void comparison_free(struct comparison *c);

/* Ids of the sandboxes that pick chooses (NULL: all); the array is the caller's, NULL: no memory.
 */
char (*compare_sandboxes(struct cnm_engine *e, bool (*pick)(const struct sandbox *sb),
			 unsigned *ret_n))[ID_SIZE];

/* The same of global networks that sandboxes of ours are on, which are places too. */
char (*compare_networks(struct cnm_engine *e, unsigned *ret_n))[ID_SIZE];

enum compare_result { COMPARED, COMPARE_BUSY /* a request has it in hand */, COMPARE_GONE };

/*
 * place: "" the host, else the id of a sandbox or a global network. With the turn held, without the
 * lock. <0: the kernel could not be read.
 */
int compare_place(struct cnm_engine *e, const char *place, struct comparison *ret,
		  struct cnm_error *err);
/*
 * Mend what differs and log it in one line. m NULL: everything; else what was mended too often is
 * left. Turn held, without the lock. Returns how many differences there were.
 */
unsigned compare_mend(struct cnm_engine *e, const char *place, struct comparison *c,
		      struct mended *m);
/*
 * Both, with the turn taken; afterwards the place counts as checked, and the endpoints that are
 * lost are withdrawn.
 */
int compare_and_mend(struct cnm_engine *e, const char *place, struct mended *m,
		     struct cnm_error *err);

#endif
