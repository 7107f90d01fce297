/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports of the host: who has them, and holding them so that no unaware process takes them.
 *
 * A port that is held has a socket: TCP listens (so that it is seen in `ss -l`), UDP is bound, SCTP
 * listens where the kernel has it. A filter drops whatever reaches the socket: what is meant for
 * the container is redirected before, and when the rules are gone for a moment, the client tries
 * again instead of being refused. A held socket may be passed on to another process.
 *
 * All functions look at the namespace of the calling thread.
 */
#ifndef KERNEL_HOSTPORTS_H
#define KERNEL_HOSTPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "cnm/error.h"

/* Ports first..last of one address (0.0.0.0 and :: are all of their family). */
struct hostports {
	uint8_t proto; /* IPPROTO_TCP, _UDP, _SCTP */
	struct cnm_ip ip;
	uint16_t first, last; /* host byte order */
};
/* "tcp", "udp", "sctp" */
static inline const char *hostports_proto_name(uint8_t proto)
{
	return proto == 6 ? "tcp" : proto == 17 ? "udp" : "sctp";
}

/*
 * Hold one port. An IPv6 socket is of IPv6 only. Errors, in Docker's words and with the owner's
 * name and pid where it can be found (only of this pid namespace): -EADDRINUSE     CNM_E_INTERNAL
 * "failed to bind host port 0.0.0.0:80/tcp: address already in use (nginx, pid 123)" -EADDRNOTAVAIL
 * "failed to bind host port 192.0.2.7:80/tcp: cannot assign requested address: no interface of this
 * host has 192.0.2.7" -EPROTONOSUPPORT, -EAFNOSUPPORT: the kernel has not that protocol or family;
 * err untouched
 */
int hostport_hold(uint8_t proto, const struct cnm_ip *ip, uint16_t port, int *ret_fd,
		  struct cnm_error *err);

/* Has the kernel this protocol and family: could hostport_hold() make the socket? */
bool hostport_can_hold(uint8_t proto, int family);

/*
 * For ranges too long to hold: refuse (-EADDRINUSE, as above) when a listening TCP or SCTP socket,
 * or an unconnected UDP socket whose port is outside ip_local_port_range, has one of the ports at
 * that address, at a wildcard of the family (also a dual-stack ::), or anywhere if the address is
 * the wildcard; or when an address is none of the host's (-EADDRNOTAVAIL). Other sockets in the
 * ranges are counted in *ret_others, and described for a log line in text (size bytes): "3 UDP
 * sockets, one of them at port 40000 of dnsmasq, pid 77". The kernel is asked once a protocol,
 * however many ranges there are.
 */
int hostports_check(const struct hostports *ranges, size_t n, unsigned *ret_others, char *text,
		    size_t size, struct cnm_error *err);

/*
 * A port at [::] at which this process listens for what the firewall redirects to it: no range that
 * it lies in is refused for it. One a protocol, for the process; 0: none.
 */
void hostports_set_own(uint8_t proto, uint16_t port);

/* Every port that some socket of the host is bound to, whatever the address: to choose free ones.
 */
struct hostports_used {
	uint8_t tcp[8192], udp[8192]; /* a bit a port: tcp[p / 8] & 1 << p % 8 */
	uint16_t first, last;         /* net.ipv4.ip_local_port_range */
	uint8_t reserved[8192];       /* net.ipv4.ip_local_reserved_ports */
};
int hostports_look(struct hostports_used *ret, struct cnm_error *err);
static inline bool hostports_is_used(const struct hostports_used *u, uint8_t proto, uint16_t port)
{
	const uint8_t *bits = proto == 17 ? u->udp : u->tcp;

	return bits[port / 8] & 1 << port % 8;
}

/* Has this namespace IPv6: may a socket be bound to ::? */
bool hostports_have_ipv6(void);

#endif
