/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Links, addresses, routes, neighbours and FDB entries: what to say to rtnetlink, and its dumps
 * as plain structs. The put functions append one message to a batch (two or three where said) and
 * cannot fail by themselves (see nl_batch). Interface names are at most 15 bytes. Addresses in
 * network byte order.
 *
 * A batch goes on after a failed message. So what follows the creation of a link in the same batch
 * must not find somebody else's link by that name: ask for an index and use it.
 */
#ifndef KERNEL_RTNL_H
#define KERNEL_RTNL_H

#include <net/if.h>
#include <stdbool.h>

#include "base/addr.h"
#include "kernel/netlink.h"

/* The route protocol that marks routes as ours. */
#define RTNL_PROTO_CNM 0xc7

enum rtnl_kind { RTNL_OTHER, RTNL_BRIDGE, RTNL_VETH, RTNL_DUMMY, RTNL_VXLAN, RTNL_LOOPBACK };

#define LOOPBACK_IFINDEX 1 /* in every namespace */

/* A link as dumped. */
struct rtnl_link {
	int ifindex;
	char name[IFNAMSIZ];
	enum rtnl_kind kind;
	struct cnm_mac mac;
	uint32_t mtu, group;
	bool up;    /* IFF_UP */
	int master; /* ifindex or 0 */
	int peer;   /* IFLA_LINK: a veth's peer index, in the peer's namespace */
	char alias[256];
	uint8_t addrgen;           /* IFLA_INET6_ADDR_GEN_MODE; 0xff unknown */
	uint32_t br_forward_delay; /* bridge: clock ticks, centiseconds */
	bool br_stp, br_mcast_snooping;
	/* bridge port: hairpin, and what rtnl_put_port() says */
	bool port_hairpin, port_learning, port_flood, port_isolated, port_locked;
	uint8_t port_state;
	uint32_t vx_id; /* VXLAN */
	uint16_t vx_port;
	struct cnm_ip vx_local; /* unset: any */
	bool vx_learning, vx_proxy;
	bool ip4_arp_notify, ip4_route_localnet; /* from IFLA_AF_SPEC */
};

/*
 * A link to make. Zeroed members are not sent. -EEXIST if the name is taken.
 *
 * no_addrgen takes a second message, addressed by ifindex if given, else by name; `up` with it a
 * third, but for a veth. A veth's peer cannot be up at birth: rtnl_put_set_link in
 * its namespace does that. An alias is not taken at birth either.
 */
struct rtnl_new_link {
	const char *name;
	int ifindex; /* ask for this index (-EBUSY or -EEXIST if taken); 0: the kernel chooses */
	enum rtnl_kind kind;
	struct cnm_mac mac;
	uint32_t mtu, group;
	int master; /* ifindex */
	bool up;
	bool no_addrgen; /* IFLA_INET6_ADDR_GEN_MODE none: no link-local address by itself */
	/* bridge: forward delay 0, no STP, no multicast snooping are always set */
	/* veth: the other end, born in namespace peer_ns (fd, -1: same) */
	const char *peer_name;
	int peer_ifindex; /* as ifindex, in peer_ns */
	int peer_ns;
	struct cnm_mac peer_mac;
	/*
	 * VXLAN: carried by the socket's namespace whatever namespace it is born in; nothing is
	 * learnt, and ARP and ND are answered from its neighbour table (without an entry: by
	 * nobody; no query leaves). vx_port in host byte order; vx_local chooses the family.
	 * -EEXIST if the id is in use on this port.
	 */
	uint32_t vx_id;
	uint16_t vx_port;
	struct cnm_ip vx_local;
	int netns; /* fd of the namespace it is born in when > 0; ifindex and master are there */
};
void rtnl_put_new_link(struct nl_batch *b, const struct rtnl_new_link *l);

/*
 * Changes to an existing link, by index, or by name when ifindex is 0. Only what is set is sent.
 * -ENODEV if there is no such link.
 *
 * Setting the MAC that an up link has already makes the kernel announce its addresses: gratuitous
 * ARP if arp_notify is on, unsolicited neighbour advertisements if the sysctl ndisc_notify is. It
 * also forgets the link's neighbours, the permanent ones too: announce first, then add them.
 */
struct rtnl_set_link {
	int ifindex;
	const char *name;   /* address the link by name (ifindex 0) */
	const char *rename; /* needs ifindex; Linux 6.1 refuses (EBUSY) while the link is up */
	const char *alias;
	struct cnm_mac mac;
	uint32_t mtu;
	uint32_t group;
	bool set_group;
	int master;
	bool set_master; /* master 0: none */
	int up;          /* 1 up, -1 down, 0 leave */
	int arp_notify;  /* ipv4 devconf: 1 on, -1 off, 0 leave */
	int route_localnet;
	bool no_addrgen;
	bool set_bridge; /* re-assert no STP, no snooping, forward delay 0: two more messages */
	int netns;       /* move to this namespace fd when > 0 */
};
void rtnl_put_set_link(struct nl_batch *b, const struct rtnl_set_link *l);
/*
 * Bridge port attributes of a link (AF_BRIDGE SETLINK): hairpin, and forwarding at once. Forwarding
 * asks for a port with a carrier (else -ENETDOWN, from some kernels). Not a port: -EOPNOTSUPP.
 */
void rtnl_put_port(struct nl_batch *b, int ifindex, bool hairpin, bool set_forwarding);
/* The others, all four: they are said together, or not at all. */
struct rtnl_port {
	bool learning; /* of addresses, from what comes in */
	bool flood;    /* gets frames to unicast addresses that are not known */
	bool isolated; /* exchanges no frame with another isolated port */
	bool locked;   /* takes frames only from addresses that the FDB has there */
};
void rtnl_put_port_flags(struct nl_batch *b, int ifindex, const struct rtnl_port *port);
void rtnl_put_del_link(struct nl_batch *b, int ifindex);
void rtnl_put_del_group(struct nl_batch *b, uint32_t group);

/*
 * nodad: IPv6 without duplicate address detection. IPv4 gets its broadcast address. Adding what is
 * there: -EEXIST; deleting what is not: -EADDRNOTAVAIL.
 */
void rtnl_put_addr(struct nl_batch *b, bool add, int ifindex, const struct cnm_prefix *addr,
		   bool nodad);

struct rtnl_route {
	struct cnm_prefix dst; /* length 0 with family set: default */
	struct cnm_ip gateway; /* unset: on-link */
	int ifindex;
	uint32_t metric; /* 0: the kernel's default */
	bool onlink;
	bool replace; /* adding: take the place of one with the same destination and metric */
	/* To the put function 0 means: RTNL_PROTO_CNM, as far as the gateway or link, unicast,
	 * main. */
	uint8_t protocol, scope, type;
	uint32_t table;
};
/*
 * Adding a route to the same destination with the same metric: -EEXIST. Deleting matches the
 * protocol too, so it leaves others' routes alone (-ESRCH).
 */
void rtnl_put_route(struct nl_batch *b, bool add, const struct rtnl_route *r);

struct rtnl_neigh {
	int ifindex;
	struct cnm_ip ip; /* set: a neighbour entry; unset: an FDB entry for mac */
	struct cnm_mac mac;
	struct cnm_ip dst; /* FDB: the remote VTEP, or unset */
	uint16_t state;    /* NUD_* */
	uint8_t flags;     /* NTF_* */
};
/*
 * Always permanent (state is not looked at). Adding replaces, but for the FDB entry of a multicast
 * or zero MAC, which gains a destination. FDB flags 0 mean NTF_SELF. With NTF_MASTER it is an entry
 * of the link's bridge, static and not local; NTF_SELF | NTF_MASTER says both in one message. But
 * to delete both takes two: the kernel leaves the link's alone where the bridge's is missing.
 */
void rtnl_put_neigh(struct nl_batch *b, bool add, const struct rtnl_neigh *n);

/*
 * Make the kernel send one ARP request for an IPv4 address of the link itself, from that address: a
 * gratuitous ARP. (A neighbour entry is used once and deleted; no other entry is touched.)
 */
void rtnl_put_announce(struct nl_batch *b, int ifindex, const struct cnm_ip *ip);

/*
 * Give the namespace an id in the socket's namespace, so that monitors can name it. -EEXIST if it
 * has one. rtnl_get_nsid: -1 if it has none.
 */
void rtnl_put_nsid(struct nl_batch *b, int nsfd, int nsid /* -1: kernel chooses */);
int rtnl_get_nsid(struct nl *nl, int nsfd, int *ret_nsid, struct cnm_error *err);

/* ---- reading. fn<0 stops the dump with that error; restart as nl_request(). */
typedef int (*rtnl_link_fn)(const struct rtnl_link *l, void *arg);
typedef int (*rtnl_addr_fn)(int ifindex, const struct cnm_prefix *addr, uint8_t scope,
			    uint32_t flags, void *arg);
typedef int (*rtnl_route_fn)(const struct rtnl_route *r, void *arg);
typedef int (*rtnl_neigh_fn)(const struct rtnl_neigh *n, void *arg);
int rtnl_links(struct nl *nl, rtnl_link_fn fn, void (*restart)(void *), void *arg,
	       struct cnm_error *err);
/* One link by name: 0, -ENODEV (err untouched), or another failure. */
int rtnl_link_by_name(struct nl *nl, const char *name, struct rtnl_link *ret,
		      struct cnm_error *err);
/* The same by index; without words. */
int rtnl_link_by_index(struct nl *nl, int ifindex, struct rtnl_link *ret);
/* Only its index, without the kernel's rtnl lock: 0, -ENODEV (err untouched), or another failure.
 */
int rtnl_ifindex(struct nl *nl, const char *name, int *ret, struct cnm_error *err);
int rtnl_addrs(struct nl *nl, rtnl_addr_fn fn, void (*restart)(void *), void *arg,
	       struct cnm_error *err);
/*
 * Every route of every table; family AF_INET, AF_INET6, or 0 for both in one dump. One of several
 * next hops comes without any.
 */
int rtnl_routes(struct nl *nl, int family, rtnl_route_fn fn, void (*restart)(void *), void *arg,
		struct cnm_error *err);
/* family AF_INET/AF_INET6: neighbours; AF_BRIDGE: FDB entries, those of a VLAN left out. */
int rtnl_neighs(struct nl *nl, int family, rtnl_neigh_fn fn, void (*restart)(void *), void *arg,
		struct cnm_error *err);
/* A bridge's FDB entry of a MAC, by one of its ports: 0, -ENOENT, or another failure. No words. */
int rtnl_bridge_fdb(struct nl *nl, int bridge, const struct cnm_mac *mac, struct rtnl_neigh *ret);

#endif
