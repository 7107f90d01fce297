/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proxy for what the kernel cannot translate: connections to a published port at [::1], and
 * from IPv6 to a container that has only IPv4. The firewall redirects them to one TCP and one UDP
 * socket of the daemon; the kernel is asked where each was meant to go (SO_ORIGINAL_DST, the
 * connection table for UDP), the engine which container that is, and the bytes are passed on: TCP
 * by splice, half-closes included; UDP a socket a client, until it is idle for a time.
 *
 * What was not redirected but sent to the sockets themselves is closed, or dropped. The two
 * listening sockets outlive the daemon with the keeper; connections through it do not.
 *
 * One thread does everything. It is bounded: so many connections and UDP clients at once
 * (PROXY_MAX_FLOWS), then the longest idle UDP client goes, or if there is none TCP connections
 * wait in the backlog. While the host is short of descriptors, what needs one waits and is tried
 * again.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "cnm/error.h"
#include "kernel/fdkeep.h"

#define PROXY_MAX_FLOWS 4096

struct proxy;

struct proxy_options {
	struct fdkeep *fdkeep; /* borrowed */
	/*
	 * Which container a published port of the host leads to: 0 with the target, or -ENOENT.
	 * Called on the proxy's thread; it must be quick. For a client by UDP that goes on sending
	 * it is called again every second, so that a port that moves takes its clients along.
	 */
	int (*find)(void *arg, uint8_t proto, const struct cnm_ip *to, uint16_t port,
		    struct cnm_ip *ret_ip, uint16_t *ret_port);
	void *arg;
};

/*
 * Opens its sockets on [::] at ports the kernel chooses, or takes back those that were kept, in the
 * calling thread's namespace. Where there is no IPv6 it does nothing, and proxy_port() is 0.
 */
int proxy_new(struct proxy **ret, const struct proxy_options *options, struct cnm_error *err);
/*
 * Ends the thread and its connections, these by a reset; the listening sockets stay with the
 * keeper. No lock that find() takes may be held. NULL allowed.
 */
void proxy_free(struct proxy *p);
/* The keeper was lost and has been started again: keep the listening sockets once more. Any thread.
 */
void proxy_keep(struct proxy *p);
/* Where the firewall sends this protocol (IPPROTO_TCP, IPPROTO_UDP); 0: not served, or p NULL. */
uint16_t proxy_port(const struct proxy *p, uint8_t proto);

#endif
