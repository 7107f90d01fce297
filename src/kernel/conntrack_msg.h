/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flows as ctnetlink's messages have them. Internal to kernel/conntrack. */
#ifndef KERNEL_CONNTRACK_MSG_H
#define KERNEL_CONNTRACK_MSG_H

#include <linux/netlink.h>

#include "kernel/conntrack.h"

/* One direction. Ports in host byte order, 0 where the protocol has none. */
struct ct_tuple {
	struct cnm_ip src, dst;
	uint8_t proto;
	uint16_t src_port, dst_port;
};

struct ct_flow {
	struct ct_tuple orig, reply;
	const struct nlattr *key[3]; /* what names it to the kernel, in the message; may be NULL */
};

/*
 * False: it is no flow of IPv4 or IPv6, or broken. Only nlmsg_len bytes of the message are read,
 * whatever they hold.
 */
bool ct_parse(const struct nlmsghdr *h, struct ct_flow *ret);

/* Begins a message in room: a header of ctnetlink's and the family. */
struct nlmsghdr *ct_start(void *room, int message, int flags, int family);
void ct_start_payload(struct nlmsghdr *h, int family);
#define CT_PAYLOAD 4 /* its bytes */
int ct_type(int message);

/* Which parts of a tuple a dump is filtered by. */
enum { CT_HAS_SRC = 1, CT_HAS_DST = 2, CT_HAS_PROTO = 8, CT_HAS_PORTS = 48 };
/* attr: CTA_TUPLE_ORIG or CTA_TUPLE_REPLY; only these parts. */
void ct_put_tuple(struct nlmsghdr *h, int attr, const struct ct_tuple *t, unsigned parts);
void ct_put_filter(struct nlmsghdr *h, unsigned orig_parts, unsigned reply_parts);

#endif
