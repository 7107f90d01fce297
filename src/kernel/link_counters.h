/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a link has counted since it was made. */
#ifndef KERNEL_LINK_COUNTERS_H
#define KERNEL_LINK_COUNTERS_H

#include <stdint.h>

#include "kernel/netlink.h"

/* Of a bridge: what came from its ports to the host, and what the host sent to them. */
struct link_counters {
	uint64_t rx_packets, rx_bytes, rx_dropped;
	uint64_t tx_packets, tx_bytes, tx_dropped;
};
/* 0, -ENODEV (err untouched), or another failure. One thread at a time on nl. */
int link_counters_read(struct nl *nl, const char *name, struct link_counters *ret,
		       struct cnm_error *err);

#endif
