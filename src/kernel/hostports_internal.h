/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets as the kernel's sock_diag lists them, and whose they are. Internal to kernel/hostports.
 */
#ifndef KERNEL_HOSTPORTS_INTERNAL_H
#define KERNEL_HOSTPORTS_INTERNAL_H

#include <linux/netlink.h>

#include "kernel/hostports.h"

struct hostsock {
	struct cnm_ip ip; /* what it is bound to; IPv4 for an IPv6 socket of a mapped address */
	uint16_t port;    /* host byte order; never 0 */
	bool dual;        /* bound to ::, and thereby to 0.0.0.0 */
	bool connected;
	bool listening;
	uint32_t inode; /* 0: of no process */
};

/*
 * One message of a dump. False: it is no socket with a port, or too short. Only nlmsg_len bytes are
 * read, whatever they hold.
 */
bool hostsock_parse(const struct nlmsghdr *h, struct hostsock *ret);

enum hostsocks_which {
	HOSTSOCKS_SERVING, /* TCP and SCTP that listen; all of UDP */
	HOSTSOCKS_ALL,     /* but those that only wait for their time to be over */
};
/*
 * Call fn for each socket of the protocol, IPv4 and then IPv6; port 0: whatever port. fn < 0 stops
 * with that error. A kernel without sock_diag for it lists none.
 */
int hostsocks(uint8_t proto, enum hostsocks_which which, uint16_t port,
	      int (*fn)(const struct hostsock *s, void *arg), void *arg, struct cnm_error *err);

/* Is it in the way of a socket at that address, an IPv6 one being of IPv6 only? */
bool hostsock_overlaps(const struct hostsock *s, const struct cnm_ip *ip);

/* "nginx, pid 123"; "" for none, our own, and one of another pid namespace. */
void hostsock_owner(const struct hostsock *s, char *buf, size_t size);

#endif
