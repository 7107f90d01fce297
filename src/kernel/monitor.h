/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hears what happens to links, addresses, routes and nf_tables tables in this namespace and in all
 * that have an id here (NETLINK_LISTEN_ALL_NSID), and which FDB entries and neighbours are deleted
 * there: what becomes of those that stay is the kernel's daily work. One rtnetlink and one
 * nfnetlink socket. Used by one thread; fd() is for its poll.
 *
 * A change inside a table (chain, rule, set, element, ...) is a change of the table. A port leaving
 * its bridge is a change of the port. Not every kernel says who changed a link.
 */
#ifndef KERNEL_MONITOR_H
#define KERNEL_MONITOR_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "cnm/error.h"
#include "kernel/rtnl.h"

enum monitor_what {
	MONITOR_LINK,
	MONITOR_PORT, /* a link joined a bridge, is another port of it, or left it (gone) */
	MONITOR_ADDR,
	MONITOR_ROUTE,
	MONITOR_FDB,   /* always gone */
	MONITOR_NEIGH, /* always gone */
	MONITOR_NFT,
	MONITOR_LOST /* ENOBUFS: events were lost, dump everything */
};

struct monitor_event {
	enum monitor_what what;
	bool gone; /* deleted (else new or changed); nft: a table, a chain or a rule was */
	int nsid;  /* -1: this namespace */
	int ifindex;
	char name[IFNAMSIZ]; /* link, port: its name; else "" */
	bool up;             /* link */
	bool odd;            /* a bridge with STP, a forwarding delay or multicast snooping */
	struct cnm_mac mac;  /* link, FDB entry */
	struct cnm_ip ip; /* neighbour: its address; FDB entry of a VXLAN link: the other host's */
	uint32_t mtu, group; /* link */
	bool is_default;     /* route: to everywhere */
	bool hairpin;        /* port, not gone, or a link that is one; and the next */
	struct rtnl_port port;
	char table[64];  /* nft: table name */
	uint32_t portid; /* who caused it, 0 unknown */
};

struct monitor;
int monitor_open(struct monitor **ret, struct cnm_error *err);
void monitor_close(struct monitor *m);
/* An epoll descriptor, readable when monitor_read() has something to say. */
int monitor_fd(const struct monitor *m);
/*
 * Reads what is there without blocking (a bounded amount: monitor_fd() stays readable for the
 * rest), calling fn for each event. 0 or a negative errno: the monitor is of no more use.
 */
int monitor_read(struct monitor *m, void (*fn)(const struct monitor_event *e, void *arg),
		 void *arg);

#endif
