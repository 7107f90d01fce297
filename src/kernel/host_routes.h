/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subnets that routes of this namespace lead to, other than over links of ours, which are those
 * of a group. One thread at a time uses it, but for host_routes_link_down().
 */
#ifndef KERNEL_HOST_ROUTES_H
#define KERNEL_HOST_ROUTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "cnm/error.h"
#include "kernel/netlink.h"

struct prefixes {
	struct cnm_prefix *p;
	size_t n, cap;
};
int prefixes_add(struct prefixes *p, const struct cnm_prefix *one); /* -ENOMEM */
void prefixes_free(struct prefixes *p);                             /* what it points to */

struct host_routes;
/* In the calling thread's namespace. Links of the group and of the next one are ours. */
int host_routes_open(struct host_routes **ret, uint32_t group, struct cnm_error *err);
void host_routes_close(struct host_routes *h); /* NULL allowed */
/*
 * Append those of a family to ret, in no order: no default route, nothing multicast, link-local or
 * of the loopback. nl: a route socket of the same namespace.
 */
int host_routes_get(struct host_routes *h, struct nl *nl, int family, struct prefixes *ret,
		    struct cnm_error *err);
/* A link of this group went down or away: its routes go without a word. Any thread. */
void host_routes_link_down(struct host_routes *h, uint32_t group);

#endif
