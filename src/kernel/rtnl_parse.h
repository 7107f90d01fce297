/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rtnetlink messages as plain structs, for the dumps (rtnl_dump.c) and the monitor. Internal to
 * kernel/.
 *
 * Each function returns true if the message is of its kind (new or deleted) and fills *ret; false,
 * with *ret unspecified, if it is of another kind or family or too short. Only the nlmsg_len bytes
 * of the message are read, and no attribute beyond its length, whatever they hold; nlmsg_len itself
 * must be right and the message aligned to 4 bytes.
 */
#ifndef KERNEL_RTNL_PARSE_H
#define KERNEL_RTNL_PARSE_H

#include "kernel/rtnl.h"

struct rtnl_addr {
	int ifindex;
	struct cnm_prefix addr;
	uint8_t scope;
	uint32_t flags;
};

bool rtnl_parse_link(const struct nlmsghdr *h, struct rtnl_link *ret);
bool rtnl_parse_addr(const struct nlmsghdr *h, struct rtnl_addr *ret);
bool rtnl_parse_route(const struct nlmsghdr *h, struct rtnl_route *ret);
bool rtnl_parse_neigh(const struct nlmsghdr *h, struct rtnl_neigh *ret);

#endif
