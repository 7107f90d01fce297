/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Published ports of a sandbox. With the engine's lock held, unless it says otherwise. */
#ifndef CONTROLLER_PORTS_H
#define CONTROLLER_PORTS_H

#include "controller/engine.h"
#include "kernel/hostports.h"

/* How often ports are chosen again when a process was quicker at one. */
#define PORTS_TRIES 10

/* wants and exposed of a new sandbox, from a request. No lock. */
int sandbox_set_ports(struct sandbox *sb, const struct cnm_sandbox_config *c,
		      struct cnm_error *err);
/* Does it leave any port of the host to be chosen? */
bool sandbox_chooses_ports(const struct sandbox *sb);
/* Has it any port of the host? */
bool sandbox_has_bound_ports(const struct sandbox *sb);
/* Without the lock: for a sandbox that does, which ports are in use (ret->first is 0 else). */
void ports_look(struct cnm_engine *e, const char *ref, struct hostports_used *ret);

/*
 * A change of a sandbox's ports: begin before the plan of what will be is made (its endpoints and
 * `stopped` are as they will be), end when the change has been carried out or was given up. Between
 * the two the lock may be let go. On failure of begin nothing has changed.
 */
struct ports_change {
	struct port *old;
	unsigned n_old;
	bool given_up; /* there will be none, and the old ones are in the index until the end */
};
int ports_begin(struct cnm_engine *e, struct sandbox *sb, const struct hostports_used *used,
		struct ports_change *ret, struct cnm_error *err);
void ports_end(struct cnm_engine *e, struct sandbox *sb, struct ports_change *c, bool done);
/* If the error is about ports, put in front of it what Docker says there. err may be NULL. */
void ports_tell(const struct sandbox *sb, struct cnm_error *err);

/* The host's ports that are held, before anything else; the firewall's elements, after all. */
void plan_held_ports(const struct sandbox *sb, struct plan *p);
void plan_ports(const struct sandbox *sb, struct plan *p);
/* One of them, in one family (0 IPv4, 1 IPv6). */
void plan_port(const struct sandbox *sb, const struct port *port, unsigned f, struct plan *p);

/* proxy_options.find; arg is the engine. Takes the lock. */
int ports_find_target(void *arg, uint8_t proto, const struct cnm_ip *to, uint16_t port,
		      struct cnm_ip *ret_ip, uint16_t *ret_port);

json_t *inspect_port(const struct port *port, unsigned f);
json_t *inspect_ports(const struct sandbox *sb);
json_t *inspect_wants(const struct sandbox *sb);
json_t *inspect_exposed(const struct sandbox *sb);

#endif
