/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The counters of one link: RTM_GETLINK with IFLA_STATS64, which dumps of links leave out. */
#include "kernel/link_counters.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

static int on_link(const struct nlmsghdr *h, void *arg)
{
	struct link_counters *c = arg;
	struct rtnl_link_stats64 s;
	const struct nlattr *a;

	mnl_attr_for_each (a, h, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(a) != IFLA_STATS64 ||
		    mnl_attr_get_payload_len(a) < offsetof(struct rtnl_link_stats64, multicast))
			continue;
		memcpy(&s, mnl_attr_get_payload(a), offsetof(struct rtnl_link_stats64, multicast));
		*c = (struct link_counters){ s.rx_packets, s.rx_bytes, s.rx_dropped,
					     s.tx_packets, s.tx_bytes, s.tx_dropped };
	}
	return 0;
}

int link_counters_read(struct nl *nl, const char *name, struct link_counters *ret,
		       struct cnm_error *err)
{
	_Alignas(8) char buf[256] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct link_counters c = { 0 };
	struct cnm_error why = { 0 };
	int r;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	h->nlmsg_type = RTM_GETLINK;
	h->nlmsg_flags = NLM_F_REQUEST;
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	r = nl_request(nl, h, on_link, NULL, &c, &why);
	if (r == 0)
		*ret = c;
	else if (r != -ENODEV)
		cnm_error_errno(err, r, "read the counters of link \"%s\"", name);
	return r;
}
