/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trying whether a packet arrives, and which way the host would send one. */
#ifndef KERNEL_PROBE_H
#define KERNEL_PROBE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "cnm/error.h"

enum probe_result {
	PROBE_SILENT,      /* nothing came back in time */
	PROBE_UNREACHABLE, /* there is no way, says the sender's kernel or a router */
	PROBE_REFUSED,     /* it arrived, and nobody listens there */
	PROBE_ANSWERED,
};

struct probe {
	struct cnm_ip to;
	uint8_t proto; /* IPPROTO_TCP, _UDP; 0: an ICMP echo request */
	uint16_t port; /* host byte order */
};

#define PROBE_MAX 32
/*
 * Send one packet to each at once, from namespace ns (-1: the home namespace), and wait until one
 * of them answered or refused, or ms are over (PROBE_MAX of them at most). The best result, and
 * which probe has it. A connection that comes about is closed at once. Errors: no socket could be
 * had.
 */
int probe_run(int ns, const struct probe *probes, unsigned n, unsigned ms, enum probe_result *ret,
	      unsigned *ret_which, struct cnm_error *err);

struct nl;

/* Where a packet would be sent from the namespace of nl; NULL: the calling thread's. */
struct probe_route {
	bool found;           /* there is a route */
	bool local;           /* it is an address of the host */
	char link[IFNAMSIZ];  /* by which it would leave, or "" */
	struct cnm_ip source; /* whom it would come from */
};
int probe_route(struct nl *nl, const struct cnm_ip *to, struct probe_route *ret,
		struct cnm_error *err);

#endif
