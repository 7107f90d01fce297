/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the connection table share: flows in a few words, and entering them.
 */
#ifndef TESTS_UNIT_CONNTRACK_FIXTURE_H
#define TESTS_UNIT_CONNTRACK_FIXTURE_H

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <libmnl/libmnl.h>

#include "kernel/conntrack_msg.h"
#include "rtnl_fixture.h"

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

struct flow {
	uint8_t proto;
	const char *client;
	uint16_t client_port;
	const char *to;
	uint16_t port;
	const char *from; /* who answers */
	uint16_t from_port;
	const char *back; /* whom it answers; NULL: the client */
};

static inline struct ct_flow flow_of(const struct flow *f)
{
	struct ct_flow r = { 0 };

	r.orig = (struct ct_tuple){ ip_of(f->client), ip_of(f->to), f->proto, f->client_port,
				    f->port };
	r.reply = (struct ct_tuple){ ip_of(f->from), ip_of(f->back ? f->back : f->client), f->proto,
				     f->from_port, f->client_port };
	return r;
}

#define WHOLE (CT_HAS_SRC | CT_HAS_DST | CT_HAS_PROTO | CT_HAS_PORTS)

static inline void put_flow(struct nl_batch *b, const struct ct_flow *f)
{
	struct nlmsghdr *h =
		nl_batch_add(b, ct_type(IPCTNL_MSG_CT_NEW), NLM_F_CREATE | NLM_F_EXCL, CT_PAYLOAD);
	struct nlattr *info, *tcp;

	ct_start_payload(h, f->orig.src.family);
	ct_put_tuple(h, CTA_TUPLE_ORIG, &f->orig, WHOLE);
	ct_put_tuple(h, CTA_TUPLE_REPLY, &f->reply, WHOLE);
	mnl_attr_put_u32(h, CTA_TIMEOUT, htonl(1000));
	if (f->orig.proto == TCP) {
		info = mnl_attr_nest_start(h, CTA_PROTOINFO);
		tcp = mnl_attr_nest_start(h, CTA_PROTOINFO_TCP);
		mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_STATE, 3);
		mnl_attr_nest_end(h, tcp);
		mnl_attr_nest_end(h, info);
	}
	nl_batch_end(b, h);
}

#endif
