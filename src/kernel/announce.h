/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling those on a segment that an address has a MAC, on behalf of somebody who is not there
 * himself: gratuitous ARP, or an unsolicited neighbour advertisement. Who had another MAC for the
 * address, or was asking for it, takes this one at once; nobody else is made to remember anything.
 */
#ifndef KERNEL_ANNOUNCE_H
#define KERNEL_ANNOUNCE_H

#include "base/addr.h"
#include "cnm/error.h"

/* A socket for it inside namespace ns. Closing it takes the kernel 10 ms: keep it. */
int announce_open(int ns, int *ret, struct cnm_error *err);
/* Through this link, which is up: a bridge's, to all of its ports. 0 or negative errno. */
int announce_send(int fd, int ifindex, const struct cnm_ip *ip, const struct cnm_mac *mac);

#endif
