/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: one rtnetlink message, given without its header's length, to every parser. */
#include <stdlib.h>
#include <string.h>

#include "kernel/rtnl_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nlmsghdr *h;
	struct rtnl_link link;
	struct rtnl_addr addr;
	struct rtnl_route route;
	struct rtnl_neigh neigh;

	if (size < sizeof(*h))
		return 0;
	h = malloc(size); /* exactly: what is read beyond is found out */
	if (!h)
		return 0;
	memcpy(h, data, size);
	h->nlmsg_len = (uint32_t)size;
	rtnl_parse_link(h, &link);
	rtnl_parse_addr(h, &addr);
	rtnl_parse_route(h, &route);
	rtnl_parse_neigh(h, &neigh);
	free(h);
	return 0;
}
