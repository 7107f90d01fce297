/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a network has carried: its link's counters, and the connections to each port that its
 * sandboxes publish by way of it. Collected with the engine's lock, read without it.
 */
#ifndef CONTROLLER_COUNTERS_H
#define CONTROLLER_COUNTERS_H

#include "controller/engine.h"

struct counters {
	char link[IFNAMSIZ]; /* "" if it has none */
	struct plan elems;   /* those that count */
	json_t *ports;       /* of each published port, what is shown of it ... */
	size_t *first, n;    /* ... and its first element; it has those up to the next one's */
	bool failed;
};
void counters_collect(const struct cnm_engine *e, const struct network *n, struct counters *c);
/* Puts "Counters" and "Ports" into o. */
int counters_read(struct cnm_engine *e, struct counters *c, json_t *o, struct cnm_error *err);
void counters_free(struct counters *c);

#endif
