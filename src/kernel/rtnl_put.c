/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What to say to rtnetlink, one message a function where the kernel allows it. Where it does not,
 * the function says so and appends the further messages itself.
 */
#include "kernel/rtnl.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

/* More than any name the kernel takes, so that it refuses a longer one; less than a message. */
#define STR_MAX 512

static void put_str(struct nlmsghdr *h, uint16_t type, const char *s)
{
	size_t n = strlen(s);

	mnl_attr_put(h, type, n < STR_MAX ? n : STR_MAX, s);
}

static void put_mac(struct nlmsghdr *h, uint16_t type, const struct cnm_mac *mac)
{
	mnl_attr_put(h, type, sizeof(mac->b), mac->b);
}

static void put_ip(struct nlmsghdr *h, uint16_t type, const struct cnm_ip *ip)
{
	mnl_attr_put(h, type, ip->family == AF_INET ? 4 : 16, ip->b);
}

static struct nlmsghdr *add_link(struct nl_batch *b, int type, int flags, int ifindex)
{
	struct nlmsghdr *h = nl_batch_add(b, type, flags, sizeof(struct ifinfomsg));

	if (h) {
		struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

		i->ifi_index = ifindex;
	}
	return h;
}

/* A change to a link known by index, or else by name. */
static struct nlmsghdr *add_set(struct nl_batch *b, int type, int ifindex, const char *name)
{
	struct nlmsghdr *h = add_link(b, type, 0, ifindex);

	if (h && !ifindex && name)
		put_str(h, IFLA_IFNAME, name);
	return h;
}

static void set_up(struct nlmsghdr *h, bool up)
{
	struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

	i->ifi_change = IFF_UP;
	i->ifi_flags = up ? IFF_UP : 0;
}

/* ------------------------------------------------------------------------- new links */

static const char *kind_name(enum rtnl_kind kind)
{
	switch (kind) {
	case RTNL_BRIDGE:
		return "bridge";
	case RTNL_VETH:
		return "veth";
	case RTNL_DUMMY:
		return "dummy";
	case RTNL_VXLAN:
		return "vxlan";
	case RTNL_LOOPBACK:
	case RTNL_OTHER:
		break;
	}
	return NULL; /* the kernel: "Unknown device type" */
}

/*
 * The kernel refuses IFF_UP on this end at birth (ENOTCONN). One queue: veth takes no queue lock,
 * so more buy nothing, and the pair is born faster.
 */
static void put_veth_peer(struct nlmsghdr *h, const struct rtnl_new_link *l)
{
	struct nlattr *peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

	i->ifi_index = l->peer_ifindex;
	if (l->peer_name)
		put_str(h, IFLA_IFNAME, l->peer_name);
	if (mac_is_set(&l->peer_mac))
		put_mac(h, IFLA_ADDRESS, &l->peer_mac);
	if (l->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, l->mtu);
	if (l->peer_ns >= 0)
		mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)l->peer_ns);
	mnl_attr_put_u32(h, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(h, IFLA_NUM_RX_QUEUES, 1);
	mnl_attr_nest_end(h, peer);
}

/* What is not said is off: no group, no missing address told, no other short cut. */
static void put_vxlan(struct nlmsghdr *h, const struct rtnl_new_link *l)
{
	mnl_attr_put_u32(h, IFLA_VXLAN_ID, l->vx_id);
	mnl_attr_put_u16(h, IFLA_VXLAN_PORT, htons(l->vx_port));
	mnl_attr_put_u8(h, IFLA_VXLAN_LEARNING, 0);
	mnl_attr_put_u8(h, IFLA_VXLAN_PROXY, 1);
	if (ip_is_set(&l->vx_local))
		put_ip(h, l->vx_local.family == AF_INET ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6,
		       &l->vx_local);
}

static void put_linkinfo(struct nlmsghdr *h, const struct rtnl_new_link *l)
{
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO), *data;
	const char *kind = kind_name(l->kind);

	if (kind)
		put_str(h, IFLA_INFO_KIND, kind);
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	if (l->kind == RTNL_BRIDGE) {
		mnl_attr_put_u32(h, IFLA_BR_FORWARD_DELAY, 0);
		mnl_attr_put_u32(h, IFLA_BR_STP_STATE, 0);
		mnl_attr_put_u8(h, IFLA_BR_MCAST_SNOOPING, 0);
	} else if (l->kind == RTNL_VETH) {
		put_veth_peer(h, l);
	} else if (l->kind == RTNL_VXLAN) {
		put_vxlan(h, l);
	}
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
}

void rtnl_put_new_link(struct nl_batch *b, const struct rtnl_new_link *l)
{
	/*
	 * A link-local address is made when the link is first up with a carrier. Half a veth has
	 * none; any other link must stay down until told not to make one.
	 */
	bool early = l->up && (!l->no_addrgen || l->kind == RTNL_VETH);
	struct nlmsghdr *h = add_link(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, l->ifindex);

	if (!h)
		return;
	if (early)
		set_up(h, true);
	put_str(h, IFLA_IFNAME, l->name);
	if (mac_is_set(&l->mac))
		put_mac(h, IFLA_ADDRESS, &l->mac);
	if (l->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, l->mtu);
	if (l->group)
		mnl_attr_put_u32(h, IFLA_GROUP, l->group);
	if (l->master)
		mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)l->master);
	if (l->netns > 0)
		mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)l->netns);
	if (l->kind == RTNL_VETH) {
		mnl_attr_put_u32(h, IFLA_NUM_TX_QUEUES, 1);
		mnl_attr_put_u32(h, IFLA_NUM_RX_QUEUES, 1);
	}
	put_linkinfo(h, l);
	nl_batch_end(b, h);

	if (l->no_addrgen)
		rtnl_put_set_link(b, &(struct rtnl_set_link){ .ifindex = l->ifindex,
							      .name = l->name,
							      .no_addrgen = true });
	if (l->up && !early)
		rtnl_put_set_link(b, &(struct rtnl_set_link){
					     .ifindex = l->ifindex, .name = l->name, .up = 1 });
}

/* ------------------------------------------------------------------------- changes to links */

static void put_devconf(struct nlmsghdr *h, uint16_t number, int value)
{
	if (value)
		mnl_attr_put_u32(h, number, value > 0);
}

static void put_af_spec(struct nlmsghdr *h, const struct rtnl_set_link *l)
{
	struct nlattr *spec, *af, *conf;

	if (!l->no_addrgen && !l->arp_notify && !l->route_localnet)
		return;
	spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	if (l->arp_notify || l->route_localnet) {
		af = mnl_attr_nest_start(h, AF_INET);
		conf = mnl_attr_nest_start(h, IFLA_INET_CONF);
		put_devconf(h, IPV4_DEVCONF_ARP_NOTIFY, l->arp_notify);
		put_devconf(h, IPV4_DEVCONF_ROUTE_LOCALNET, l->route_localnet);
		mnl_attr_nest_end(h, conf);
		mnl_attr_nest_end(h, af);
	}
	if (l->no_addrgen) {
		af = mnl_attr_nest_start(h, AF_INET6);
		mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
		mnl_attr_nest_end(h, af);
	}
	mnl_attr_nest_end(h, spec);
}

static void put_bridge(struct nl_batch *b, const struct rtnl_set_link *l, bool delay)
{
	/* SETLINK ignores what is particular to a kind. Without CREATE this is no creation. */
	struct nlmsghdr *h = add_set(b, RTM_NEWLINK, l->ifindex, l->name);
	struct nlattr *info, *data;

	if (!h)
		return;
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	put_str(h, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	if (delay) {
		mnl_attr_put_u32(h, IFLA_BR_FORWARD_DELAY, 0);
	} else {
		mnl_attr_put_u32(h, IFLA_BR_STP_STATE, 0);
		mnl_attr_put_u8(h, IFLA_BR_MCAST_SNOOPING, 0);
	}
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	nl_batch_end(b, h);
}

/*
 * SETLINK and not NEWLINK: for a name that has gone, NEWLINK with a group would change every link
 * of that group instead.
 */
void rtnl_put_set_link(struct nl_batch *b, const struct rtnl_set_link *l)
{
	struct nlmsghdr *h = add_set(b, RTM_SETLINK, l->ifindex, l->name);

	if (!h)
		return;
	if (l->up)
		set_up(h, l->up > 0);
	if (l->rename)
		put_str(h, IFLA_IFNAME, l->rename);
	if (l->alias)
		put_str(h, IFLA_IFALIAS, l->alias);
	if (mac_is_set(&l->mac))
		put_mac(h, IFLA_ADDRESS, &l->mac);
	if (l->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, l->mtu);
	if (l->set_group)
		mnl_attr_put_u32(h, IFLA_GROUP, l->group);
	if (l->set_master)
		mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)l->master);
	if (l->netns > 0)
		mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)l->netns);
	put_af_spec(h, l);
	nl_batch_end(b, h);

	/* The kernel looks at the delay first, and refuses 0 while STP is on. */
	if (l->set_bridge) {
		put_bridge(b, l, false);
		put_bridge(b, l, true);
	}
}

static struct nlmsghdr *add_port(struct nl_batch *b, int ifindex)
{
	struct nlmsghdr *h = add_link(b, RTM_SETLINK, 0, ifindex);

	if (h) {
		struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

		i->ifi_family = AF_BRIDGE;
	}
	return h;
}

void rtnl_put_port(struct nl_batch *b, int ifindex, bool hairpin, bool set_forwarding)
{
	struct nlmsghdr *h = add_port(b, ifindex);
	struct nlattr *port;

	if (!h)
		return;
	port = mnl_attr_nest_start(h, IFLA_PROTINFO);
	mnl_attr_put_u8(h, IFLA_BRPORT_MODE, hairpin);
	if (set_forwarding)
		mnl_attr_put_u8(h, IFLA_BRPORT_STATE, BR_STATE_FORWARDING);
	mnl_attr_nest_end(h, port);
	nl_batch_end(b, h);
}

void rtnl_put_port_flags(struct nl_batch *b, int ifindex, const struct rtnl_port *port)
{
	struct nlmsghdr *h = add_port(b, ifindex);
	struct nlattr *nest;

	if (!h)
		return;
	nest = mnl_attr_nest_start(h, IFLA_PROTINFO);
	mnl_attr_put_u8(h, IFLA_BRPORT_LEARNING, port->learning);
	mnl_attr_put_u8(h, IFLA_BRPORT_UNICAST_FLOOD, port->flood);
	mnl_attr_put_u8(h, IFLA_BRPORT_ISOLATED, port->isolated);
	mnl_attr_put_u8(h, IFLA_BRPORT_LOCKED, port->locked);
	mnl_attr_nest_end(h, nest);
	nl_batch_end(b, h);
}

void rtnl_put_del_link(struct nl_batch *b, int ifindex)
{
	nl_batch_end(b, add_link(b, RTM_DELLINK, 0, ifindex));
}

void rtnl_put_del_group(struct nl_batch *b, uint32_t group)
{
	struct nlmsghdr *h = add_link(b, RTM_DELLINK, 0, 0);

	if (!h)
		return;
	mnl_attr_put_u32(h, IFLA_GROUP, group);
	nl_batch_end(b, h);
}

/* ------------------------------------------------------------------------- addresses, routes */

void rtnl_put_addr(struct nl_batch *b, bool add, int ifindex, const struct cnm_prefix *addr,
		   bool nodad)
{
	struct nlmsghdr *h =
		nl_batch_add(b, add ? RTM_NEWADDR : RTM_DELADDR,
			     add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(struct ifaddrmsg));
	struct ifaddrmsg *a;

	if (!h)
		return;
	a = mnl_nlmsg_get_payload(h);
	a->ifa_family = addr->ip.family;
	a->ifa_prefixlen = addr->len;
	a->ifa_index = (uint32_t)ifindex;
	if (nodad && addr->ip.family == AF_INET6)
		a->ifa_flags = IFA_F_NODAD;
	put_ip(h, IFA_LOCAL, &addr->ip);
	put_ip(h, IFA_ADDRESS, &addr->ip);
	if (add && addr->ip.family == AF_INET && addr->len < 31) {
		struct cnm_ip broadcast = prefix_last(addr);

		put_ip(h, IFA_BROADCAST, &broadcast);
	}
	nl_batch_end(b, h);
}

/* As ip(8) has it: what needs no gateway reaches as far as the link. */
static uint8_t route_scope(const struct rtnl_route *r, uint8_t type)
{
	if (r->scope || r->dst.ip.family != AF_INET || type != RTN_UNICAST ||
	    ip_is_set(&r->gateway))
		return r->scope;
	return RT_SCOPE_LINK;
}

void rtnl_put_route(struct nl_batch *b, bool add, const struct rtnl_route *r)
{
	struct nlmsghdr *h = nl_batch_add(b, add ? RTM_NEWROUTE : RTM_DELROUTE,
					  !add         ? 0
					  : r->replace ? NLM_F_CREATE | NLM_F_REPLACE
						       : NLM_F_CREATE | NLM_F_EXCL,
					  sizeof(struct rtmsg));
	struct cnm_prefix dst = prefix_masked(&r->dst);
	struct rtmsg *m;

	if (!h)
		return;
	m = mnl_nlmsg_get_payload(h);
	m->rtm_family = r->dst.ip.family;
	m->rtm_dst_len = r->dst.len;
	m->rtm_protocol = r->protocol ? r->protocol : RTNL_PROTO_CNM;
	m->rtm_type = r->type ? r->type : RTN_UNICAST;
	m->rtm_scope = route_scope(r, m->rtm_type);
	m->rtm_flags = r->onlink ? RTNH_F_ONLINK : 0;
	mnl_attr_put_u32(h, RTA_TABLE, r->table ? r->table : RT_TABLE_MAIN);
	if (dst.len)
		put_ip(h, RTA_DST, &dst.ip);
	if (ip_is_set(&r->gateway))
		put_ip(h, RTA_GATEWAY, &r->gateway);
	if (r->ifindex)
		mnl_attr_put_u32(h, RTA_OIF, (uint32_t)r->ifindex);
	if (r->metric)
		mnl_attr_put_u32(h, RTA_PRIORITY, r->metric);
	nl_batch_end(b, h);
}

/* ------------------------------------------------------------------------- neighbours */

void rtnl_put_neigh(struct nl_batch *b, bool add, const struct rtnl_neigh *n)
{
	bool fdb = !ip_is_set(&n->ip);
	/* An FDB entry for everybody has a list of destinations; it can be added to, not replaced.
	 */
	int flags = fdb && !mac_is_unicast(&n->mac) ? NLM_F_APPEND : NLM_F_REPLACE;
	struct nlmsghdr *h = nl_batch_add(b, add ? RTM_NEWNEIGH : RTM_DELNEIGH,
					  add ? NLM_F_CREATE | flags : 0, sizeof(struct ndmsg));
	struct ndmsg *m;

	if (!h)
		return;
	m = mnl_nlmsg_get_payload(h);
	m->ndm_family = fdb ? AF_BRIDGE : n->ip.family;
	m->ndm_ifindex = n->ifindex;
	/* To a bridge permanent means its own. Both bits: it wants the one, and VXLAN the other. */
	m->ndm_state = fdb && n->flags & NTF_MASTER ? NUD_NOARP | NUD_REACHABLE : NUD_PERMANENT;
	m->ndm_flags = n->flags;
	if (fdb && !(n->flags & (NTF_SELF | NTF_MASTER)))
		m->ndm_flags |= NTF_SELF;
	if (add || fdb)
		put_mac(h, NDA_LLADDR, &n->mac);
	if (!fdb)
		put_ip(h, NDA_DST, &n->ip);
	else if (ip_is_set(&n->dst))
		put_ip(h, NDA_DST, &n->dst);
	nl_batch_end(b, h);
}

static void put_neigh_use(struct nl_batch *b, int type, int flags, int ifindex,
			  const struct cnm_ip *ip, uint8_t ntf)
{
	struct nlmsghdr *h = nl_batch_add(b, type, flags, sizeof(struct ndmsg));
	struct ndmsg *m;

	if (!h)
		return;
	m = mnl_nlmsg_get_payload(h);
	m->ndm_family = ip->family;
	m->ndm_ifindex = ifindex;
	m->ndm_flags = ntf;
	put_ip(h, NDA_DST, ip);
	nl_batch_end(b, h);
}

void rtnl_put_announce(struct nl_batch *b, int ifindex, const struct cnm_ip *ip)
{
	put_neigh_use(b, RTM_NEWNEIGH, NLM_F_CREATE, ifindex, ip, NTF_USE);
	put_neigh_use(b, RTM_DELNEIGH, 0, ifindex, ip, 0);
}

void rtnl_put_nsid(struct nl_batch *b, int nsfd, int nsid)
{
	struct nlmsghdr *h = nl_batch_add(b, RTM_NEWNSID, 0, sizeof(struct rtgenmsg));

	if (!h)
		return;
	mnl_attr_put_u32(h, NETNSA_FD, (uint32_t)nsfd);
	mnl_attr_put_u32(h, NETNSA_NSID, (uint32_t)nsid);
	nl_batch_end(b, h);
}
