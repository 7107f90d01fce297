/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rtnetlink messages as plain structs. The attributes are walked within their lengths only. */
#include "kernel/rtnl_parse.h"

#include <arpa/inet.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "base/str.h"
#include "kernel/nlattr.h"

/* As nlattr_table, of what is nested in a; all absent if a is NULL. */
static void nested_table(const struct nlattr *a, const struct nlattr **tb, unsigned n)
{
	if (a)
		nlattr_table(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a), tb, n);
	else
		memset(tb, 0, n * sizeof(*tb));
}

/* As nlattr_table, of a message whose own struct takes `extra` bytes; false if it is shorter. */
static bool message_table(const struct nlmsghdr *h, size_t extra, const struct nlattr **tb,
			  unsigned n)
{
	size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(extra);

	if (h->nlmsg_len < NLMSG_HDRLEN + extra)
		return false;
	nlattr_table((const char *)h + head, h->nlmsg_len > head ? h->nlmsg_len - head : 0, tb, n);
	return true;
}

static uint32_t get_u32(const struct nlattr *a, uint32_t otherwise)
{
	return a && mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : otherwise;
}

static uint8_t get_u8(const struct nlattr *a, uint8_t otherwise)
{
	return a && mnl_attr_get_payload_len(a) >= 1 ? mnl_attr_get_u8(a) : otherwise;
}

static void get_mac(const struct nlattr *a, struct cnm_mac *ret)
{
	if (a && mnl_attr_get_payload_len(a) == sizeof(ret->b))
		memcpy(ret->b, mnl_attr_get_payload(a), sizeof(ret->b));
}

/* Its length says the family; any other length leaves *ret none. */
static void get_ip(const struct nlattr *a, struct cnm_ip *ret)
{
	size_t n = a ? mnl_attr_get_payload_len(a) : 0;

	*ret = (struct cnm_ip){ 0 };
	if (n != 4 && n != 16)
		return;
	ret->family = n == 4 ? AF_INET : AF_INET6;
	memcpy(ret->b, mnl_attr_get_payload(a), n);
}

/* ------------------------------------------------------------------------- links */

static enum rtnl_kind kind_of(const struct nlattr *kind, unsigned short arphrd)
{
	static const struct {
		const char *name;
		enum rtnl_kind kind;
	} kinds[] = { { "bridge", RTNL_BRIDGE },
		      { "veth", RTNL_VETH },
		      { "dummy", RTNL_DUMMY },
		      { "vxlan", RTNL_VXLAN } };
	char name[16];

	nlattr_str(kind, name, sizeof(name));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (streq(name, kinds[i].name))
			return kinds[i].kind;
	return arphrd == ARPHRD_LOOPBACK ? RTNL_LOOPBACK : RTNL_OTHER;
}

static void parse_port(const struct nlattr *info, struct rtnl_link *ret)
{
	const struct nlattr *port[IFLA_BRPORT_MAX + 1];

	nested_table(info, port, IFLA_BRPORT_MAX + 1);
	ret->port_hairpin = get_u8(port[IFLA_BRPORT_MODE], 0) != 0;
	ret->port_learning = get_u8(port[IFLA_BRPORT_LEARNING], 0) != 0;
	ret->port_flood = get_u8(port[IFLA_BRPORT_UNICAST_FLOOD], 0) != 0;
	ret->port_isolated = get_u8(port[IFLA_BRPORT_ISOLATED], 0) != 0;
	ret->port_locked = get_u8(port[IFLA_BRPORT_LOCKED], 0) != 0;
	ret->port_state = get_u8(port[IFLA_BRPORT_STATE], 0);
}

static void parse_vxlan(const struct nlattr *info, struct rtnl_link *ret)
{
	const struct nlattr *vx[IFLA_VXLAN_MAX + 1], *port;

	nested_table(info, vx, IFLA_VXLAN_MAX + 1);
	port = vx[IFLA_VXLAN_PORT];
	ret->vx_id = get_u32(vx[IFLA_VXLAN_ID], 0);
	if (port && mnl_attr_get_payload_len(port) >= 2)
		ret->vx_port = ntohs(mnl_attr_get_u16(port));
	ret->vx_learning = get_u8(vx[IFLA_VXLAN_LEARNING], 0) != 0;
	ret->vx_proxy = get_u8(vx[IFLA_VXLAN_PROXY], 0) != 0;
	get_ip(vx[IFLA_VXLAN_LOCAL] ? vx[IFLA_VXLAN_LOCAL] : vx[IFLA_VXLAN_LOCAL6], &ret->vx_local);
}

static void parse_linkinfo(const struct nlattr *info, unsigned short arphrd, struct rtnl_link *ret)
{
	const struct nlattr *tb[IFLA_INFO_MAX + 1], *br[IFLA_BR_MAX + 1];
	char slave_kind[16];

	nested_table(info, tb, IFLA_INFO_MAX + 1);
	ret->kind = kind_of(tb[IFLA_INFO_KIND], arphrd);
	if (ret->kind == RTNL_BRIDGE) {
		nested_table(tb[IFLA_INFO_DATA], br, IFLA_BR_MAX + 1);
		ret->br_forward_delay = get_u32(br[IFLA_BR_FORWARD_DELAY], 0);
		ret->br_stp = get_u32(br[IFLA_BR_STP_STATE], 0) != 0;
		ret->br_mcast_snooping = get_u8(br[IFLA_BR_MCAST_SNOOPING], 0) != 0;
	}
	if (ret->kind == RTNL_VXLAN)
		parse_vxlan(tb[IFLA_INFO_DATA], ret);
	nlattr_str(tb[IFLA_INFO_SLAVE_KIND], slave_kind, sizeof(slave_kind));
	if (streq(slave_kind, "bridge"))
		parse_port(tb[IFLA_INFO_SLAVE_DATA], ret);
}

/* The kernel dumps the IPv4 settings as an array of u32 that begins with number 1. */
static bool ip4_conf(const struct nlattr *conf, unsigned number)
{
	uint32_t value;

	if (!conf || mnl_attr_get_payload_len(conf) < number * sizeof(value))
		return false;
	memcpy(&value, (const char *)mnl_attr_get_payload(conf) + (number - 1) * sizeof(value),
	       sizeof(value));
	return value != 0;
}

static void parse_af_spec(const struct nlattr *spec, struct rtnl_link *ret)
{
	const struct nlattr *af[AF_INET6 + 1], *ip4[IFLA_INET_MAX + 1], *ip6[IFLA_INET6_MAX + 1];

	nested_table(spec, af, AF_INET6 + 1);
	nested_table(af[AF_INET], ip4, IFLA_INET_MAX + 1);
	nested_table(af[AF_INET6], ip6, IFLA_INET6_MAX + 1);
	ret->ip4_arp_notify = ip4_conf(ip4[IFLA_INET_CONF], IPV4_DEVCONF_ARP_NOTIFY);
	ret->ip4_route_localnet = ip4_conf(ip4[IFLA_INET_CONF], IPV4_DEVCONF_ROUTE_LOCALNET);
	ret->addrgen = get_u8(ip6[IFLA_INET6_ADDR_GEN_MODE], 0xff);
}

bool rtnl_parse_link(const struct nlmsghdr *h, struct rtnl_link *ret)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[IFLA_MAX + 1];

	if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) ||
	    !message_table(h, sizeof(*i), tb, IFLA_MAX + 1))
		return false;
	*ret = (struct rtnl_link){ .ifindex = i->ifi_index,
				   .up = i->ifi_flags & IFF_UP,
				   .mtu = get_u32(tb[IFLA_MTU], 0),
				   .group = get_u32(tb[IFLA_GROUP], 0),
				   .master = (int)get_u32(tb[IFLA_MASTER], 0),
				   .peer = (int)get_u32(tb[IFLA_LINK], 0) };
	nlattr_str(tb[IFLA_IFNAME], ret->name, sizeof(ret->name));
	nlattr_str(tb[IFLA_IFALIAS], ret->alias, sizeof(ret->alias));
	get_mac(tb[IFLA_ADDRESS], &ret->mac);
	parse_linkinfo(tb[IFLA_LINKINFO], i->ifi_type, ret);
	parse_af_spec(tb[IFLA_AF_SPEC], ret);
	/* What a bridge itself tells of its port. */
	if (i->ifi_family == AF_BRIDGE && tb[IFLA_PROTINFO])
		parse_port(tb[IFLA_PROTINFO], ret);
	return true;
}

/* ------------------------------------------------------------------------- addresses, routes */

bool rtnl_parse_addr(const struct nlmsghdr *h, struct rtnl_addr *ret)
{
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[IFA_MAX + 1];

	if ((h->nlmsg_type != RTM_NEWADDR && h->nlmsg_type != RTM_DELADDR) ||
	    !message_table(h, sizeof(*a), tb, IFA_MAX + 1))
		return false;
	*ret = (struct rtnl_addr){ .ifindex = (int)a->ifa_index,
				   .addr.len = a->ifa_prefixlen,
				   .scope = a->ifa_scope,
				   .flags = get_u32(tb[IFA_FLAGS], a->ifa_flags) };
	/* On a point-to-point link IFA_ADDRESS is the other end. */
	get_ip(tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS], &ret->addr.ip);
	return ret->addr.ip.family && ret->addr.ip.family == a->ifa_family &&
	       ret->addr.len <= ip_bits(&ret->addr.ip);
}

bool rtnl_parse_route(const struct nlmsghdr *h, struct rtnl_route *ret)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_MAX + 1];

	if ((h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE) ||
	    !message_table(h, sizeof(*r), tb, RTA_MAX + 1))
		return false;
	/* Also met here: multicast routing (128 and up), MPLS, and cached exceptions. */
	if ((r->rtm_family != AF_INET && r->rtm_family != AF_INET6) || r->rtm_flags & RTM_F_CLONED)
		return false;
	*ret = (struct rtnl_route){ .dst.len = r->rtm_dst_len,
				    .ifindex = (int)get_u32(tb[RTA_OIF], 0),
				    .metric = get_u32(tb[RTA_PRIORITY], 0),
				    .onlink = r->rtm_flags & RTNH_F_ONLINK,
				    .protocol = r->rtm_protocol,
				    .scope = r->rtm_scope,
				    .type = r->rtm_type,
				    .table = get_u32(tb[RTA_TABLE], r->rtm_table) };
	get_ip(tb[RTA_DST], &ret->dst.ip);
	get_ip(tb[RTA_GATEWAY], &ret->gateway);
	if (!tb[RTA_DST])
		ret->dst.ip.family = r->rtm_family;
	return ret->dst.ip.family == r->rtm_family && ret->dst.len <= ip_bits(&ret->dst.ip) &&
	       (tb[RTA_DST] || !ret->dst.len);
}

bool rtnl_parse_neigh(const struct nlmsghdr *h, struct rtnl_neigh *ret)
{
	const struct ndmsg *n = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[NDA_MAX + 1];

	if ((h->nlmsg_type != RTM_NEWNEIGH && h->nlmsg_type != RTM_DELNEIGH) ||
	    !message_table(h, sizeof(*n), tb, NDA_MAX + 1))
		return false;
	*ret = (struct rtnl_neigh){ .ifindex = n->ndm_ifindex,
				    .state = n->ndm_state,
				    .flags = n->ndm_flags };
	get_mac(tb[NDA_LLADDR], &ret->mac);
	if (n->ndm_family == AF_BRIDGE) {
		/* A bridge that knows VLANs repeats its entries for each; it filters by none here.
		 */
		get_ip(tb[NDA_DST], &ret->dst);
		return tb[NDA_LLADDR] && !tb[NDA_VLAN];
	}
	get_ip(tb[NDA_DST], &ret->ip);
	return ret->ip.family && ret->ip.family == n->ndm_family;
}
