/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What networks that are one Ethernet segment of veths have in common: names and addresses made of
 * ids, the options of an endpoint, and its part of the plan.
 */
#ifndef DRIVERS_SEGMENT_H
#define DRIVERS_SEGMENT_H

#include "drivers/driver.h"
#include "drivers/options.h"

/* Locally administered unicast, from an id: the same object has the same address for ever. */
struct cnm_mac segment_mac_of(const char *id, uint8_t salt);
/* The link-local address that the kernel makes of a MAC (EUI-64). */
struct cnm_ip segment_link_local_of(const struct cnm_mac *m);
/* The near end of an endpoint's veth. */
void segment_veth_of(const struct endpoint *ep, char ret[static IFNAMSIZ]);

/* Parser of option cnm.antispoof, into a struct option_tristate. */
const char *segment_parse_antispoof(const char *value, void *tristate_field);
/* No subnet that cannot be on a segment. */
int segment_check_pools(const struct network *n, struct cnm_error *err);
/* The endpoint's options are known and good. what: "bridge endpoint", for the message. */
int segment_check_endpoint(const struct endpoint *ep, const char *what, struct cnm_error *err);
/* Those of its options that are ours are good; there may be others. */
int segment_check_own_options(const struct endpoint *ep, const char *what, struct cnm_error *err);

/*
 * An endpoint's veth on a bridge in a place (NULL: the host), and its end in the sandbox. The
 * driver adds what is its own to the item; NULL: no memory.
 */
struct plan_item *segment_plan_veth(const struct endpoint *ep, const char *place,
				    const char *bridge, unsigned mtu, struct plan *p);
/* Is it held to its own addresses? By default who may not change them anyway. */
bool segment_is_guarded(const struct endpoint *ep, struct option_tristate antispoof);
/* That in the firewall of the place: before the veth is there. */
void segment_plan_guard(const struct endpoint *ep, const char *place, struct plan *p);
/* Its end in the sandbox, announced once. NULL: no memory. */
struct plan_item *segment_plan_peer(const struct endpoint *ep, unsigned mtu, struct plan *p);
void segment_plan_addresses(const struct endpoint *ep, struct plan *p);
/* Those that its options ask for. */
void segment_plan_sysctls(const struct endpoint *ep, struct plan *p);

#endif
