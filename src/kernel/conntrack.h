/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's connections (ctnetlink) of the namespace the socket was opened in. */
#ifndef KERNEL_CONNTRACK_H
#define KERNEL_CONNTRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "cnm/error.h"

struct conntrack;
/* In the calling thread's namespace. One thread at a time uses it. */
int conntrack_open(struct conntrack **ret, struct cnm_error *err);
void conntrack_close(struct conntrack *c); /* NULL allowed */

/*
 * Which flows: all that is set must agree. The client's packets went to `to` (unset: any address),
 * port first..last, and the answers come from `from` (unset: any), so a flow of a published port
 * has the host's address in `to` and the container's in `from`.
 */
struct conntrack_match {
	uint8_t proto; /* IPPROTO_*; 0: any, ports are not looked at then */
	int family;    /* AF_INET, AF_INET6 */
	struct cnm_ip to, from;
	uint16_t first, last; /* host byte order */
	bool not_nat;         /* only flows that nothing translates: they end at the host itself */
	bool nat;             /* only flows whose destination is translated */
};
/*
 * Delete the flows that agree with one of these. The kernel filters by family and protocol, we by
 * the rest. A kernel without connection tracking has none: 0.
 */
int conntrack_flush(struct conntrack *c, const struct conntrack_match *m, unsigned n,
		    unsigned *ret_deleted, struct cnm_error *err);

/*
 * Where a UDP datagram that was redirected to us was meant to go: the flow whose answers go from
 * (local, local_port) to (peer, peer_port). 0; -ENOENT: it was not redirected.
 */
int conntrack_original(struct conntrack *c, uint8_t proto, const struct cnm_ip *local,
		       uint16_t local_port, const struct cnm_ip *peer, uint16_t peer_port,
		       struct cnm_ip *ret_ip, uint16_t *ret_port);

#endif
