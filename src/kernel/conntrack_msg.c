/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flows as ctnetlink's messages have them: a tuple of addresses and ports for each direction. */
#include "kernel/conntrack_msg.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "kernel/nlattr.h"

_Static_assert(CT_PAYLOAD == sizeof(struct nfgenmsg), "as the kernel has it");

/* ---- reading */

static void nested_table(const struct nlattr *a, const struct nlattr **tb, unsigned n)
{
	if (a)
		nlattr_table(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a), tb, n);
	else
		memset(tb, 0, n * sizeof(*tb));
}

static uint16_t get_port(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= 2 ? ntohs(mnl_attr_get_u16(a)) : 0;
}

static bool get_ip(const struct nlattr *a, int family, struct cnm_ip *ret)
{
	size_t size = family == AF_INET ? 4 : 16;

	*ret = (struct cnm_ip){ .family = (uint8_t)family };
	if (!a || mnl_attr_get_payload_len(a) != size)
		return false;
	memcpy(ret->b, mnl_attr_get_payload(a), size);
	return true;
}

static bool get_tuple(const struct nlattr *a, int family, struct ct_tuple *ret)
{
	const struct nlattr *tuple[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1],
		*proto[CTA_PROTO_MAX + 1], *num;
	bool is4 = family == AF_INET;

	nested_table(a, tuple, CTA_TUPLE_MAX + 1);
	nested_table(tuple[CTA_TUPLE_IP], ip, CTA_IP_MAX + 1);
	nested_table(tuple[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX + 1);
	num = proto[CTA_PROTO_NUM];
	if (!num || mnl_attr_get_payload_len(num) < 1)
		return false;
	ret->proto = mnl_attr_get_u8(num);
	ret->src_port = get_port(proto[CTA_PROTO_SRC_PORT]);
	ret->dst_port = get_port(proto[CTA_PROTO_DST_PORT]);
	return get_ip(ip[is4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC], family, &ret->src) &&
	       get_ip(ip[is4 ? CTA_IP_V4_DST : CTA_IP_V6_DST], family, &ret->dst);
}

bool ct_parse(const struct nlmsghdr *h, struct ct_flow *ret)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(*g));
	const struct nlattr *tb[CTA_MAX + 1];

	if (h->nlmsg_type != ct_type(IPCTNL_MSG_CT_NEW) || h->nlmsg_len < head ||
	    (g->nfgen_family != AF_INET && g->nfgen_family != AF_INET6))
		return false;
	nlattr_table((const char *)h + head, h->nlmsg_len - head, tb, CTA_MAX + 1);
	*ret = (struct ct_flow){ .key = { tb[CTA_TUPLE_ORIG], tb[CTA_ZONE], tb[CTA_ID] } };
	return get_tuple(tb[CTA_TUPLE_ORIG], g->nfgen_family, &ret->orig) &&
	       get_tuple(tb[CTA_TUPLE_REPLY], g->nfgen_family, &ret->reply);
}

/* ---- writing */

int ct_type(int message)
{
	return NFNL_SUBSYS_CTNETLINK << 8 | message;
}

void ct_start_payload(struct nlmsghdr *h, int family)
{
	struct nfgenmsg *g = mnl_nlmsg_get_payload(h);

	g->nfgen_family = (uint8_t)family;
	g->version = NFNETLINK_V0;
}

struct nlmsghdr *ct_start(void *room, int message, int flags, int family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);

	h->nlmsg_type = (uint16_t)ct_type(message);
	h->nlmsg_flags = (uint16_t)flags;
	mnl_nlmsg_put_extra_header(h, CT_PAYLOAD);
	ct_start_payload(h, family);
	return h;
}

static void put_ip(struct nlmsghdr *h, int attr4, int attr6, const struct cnm_ip *ip)
{
	bool is4 = ip->family == AF_INET;

	mnl_attr_put(h, (uint16_t)(is4 ? attr4 : attr6), is4 ? 4 : 16, ip->b);
}

void ct_put_tuple(struct nlmsghdr *h, int attr, const struct ct_tuple *t, unsigned parts)
{
	struct nlattr *tuple = mnl_attr_nest_start(h, (uint16_t)attr), *nest;

	nest = mnl_attr_nest_start(h, CTA_TUPLE_IP);
	if (parts & CT_HAS_SRC)
		put_ip(h, CTA_IP_V4_SRC, CTA_IP_V6_SRC, &t->src);
	if (parts & CT_HAS_DST)
		put_ip(h, CTA_IP_V4_DST, CTA_IP_V6_DST, &t->dst);
	mnl_attr_nest_end(h, nest);
	nest = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	if (parts & CT_HAS_PROTO)
		mnl_attr_put_u8(h, CTA_PROTO_NUM, t->proto);
	if (parts & CT_HAS_PORTS) {
		mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(t->src_port));
		mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(t->dst_port));
	}
	mnl_attr_nest_end(h, nest);
	mnl_attr_nest_end(h, tuple);
}

void ct_put_filter(struct nlmsghdr *h, unsigned orig_parts, unsigned reply_parts)
{
	struct nlattr *filter = mnl_attr_nest_start(h, CTA_FILTER);

	mnl_attr_put_u32(h, CTA_FILTER_ORIG_FLAGS, orig_parts);
	mnl_attr_put_u32(h, CTA_FILTER_REPLY_FLAGS, reply_parts);
	mnl_attr_nest_end(h, filter);
}
