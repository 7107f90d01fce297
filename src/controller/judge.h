/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an event of the monitor means, by the model: is it about something that is planned, and is
 * that as it should be? Events come often and are mostly of our own doing, so each is held against
 * the plan of the one object that it is about, and the kernel is not asked.
 *
 * With the engine's lock. Of what a request has in hand nothing is said.
 */
#ifndef CONTROLLER_JUDGE_H
#define CONTROLLER_JUDGE_H

#include "controller/engine.h"
#include "kernel/monitor.h"

enum verdict {
	UNWANTED, /* nobody asked for it */
	WELL,
	DOWN,   /* a link that is planned is down */
	ASTRAY, /* it is another port of its bridge than planned */
	WRONG   /* otherwise, or gone */
};

/*
 * A link or a port in a namespace: the host's, that of a network, that of a sandbox. place: where
 * it is to be compared, a sandbox for both ends of a veth; written unless the verdict is UNWANTED.
 */
enum verdict judge_on_host(const struct cnm_engine *e, const struct monitor_event *ev,
			   char place[static ID_SIZE]);
enum verdict judge_in_network(const struct cnm_engine *e, const struct network *n,
			      const struct monitor_event *ev, char place[static ID_SIZE]);
enum verdict judge_in_sandbox(const struct cnm_engine *e, const struct sandbox *sb,
			      const struct monitor_event *ev);
/* An FDB entry or a neighbour that was deleted in a network's namespace. */
enum verdict judge_entry(const struct network *n, const struct monitor_event *ev,
			 char place[static ID_SIZE]);
/* A pin that was removed from the namespace directory. */
enum verdict judge_pin(const struct cnm_engine *e, const char *name, char place[static ID_SIZE]);

#endif
