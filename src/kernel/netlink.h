/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Netlink sockets on libmnl: batches of requests with an answer each, and dumps.
 *
 * A socket stays in the namespace it was opened in, so nothing here calls setns (netns.h does). A
 * struct nl is used by one thread at a time.
 */
#ifndef KERNEL_NETLINK_H
#define KERNEL_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "cnm/error.h"

struct nl;

/* protocol: NETLINK_ROUTE or NETLINK_NETFILTER, in the calling thread's namespace. Extended acks
 * on. */
int nl_open(struct nl **ret, int protocol, struct cnm_error *err);
void nl_close(struct nl *nl); /* NULL allowed */
uint32_t nl_portid(const struct nl *nl);
/* The descriptor, for ioctls about the namespace it is in. */
int nl_fd(const struct nl *nl);

/*
 * Requests sent in one sendmsg. The kernel carries out every message, whatever becomes of the ones
 * before it. A batch grows as needed; a failed allocation is reported by nl_batch_run().
 */
struct nl_batch {
	char *buf;
	size_t len, cap;
	unsigned count;
	int *results;   /* after run: 0 or negative errno per message, in order */
	char text[256]; /* after run: the kernel's own words (extack) for the first failure, or ""
			 */
	int failed;     /* building ran out of memory */
};

/*
 * Append a message: header (NLM_F_REQUEST|NLM_F_ACK|flags) and `extra` zeroed bytes of payload.
 * The pointer is valid until the next append; attributes go in by mnl_attr_put* up to 4 KiB.
 * NULL when memory ran out (the put helpers of rtnl.h accept that).
 */
struct nlmsghdr *nl_batch_add(struct nl_batch *b, int type, int flags, size_t extra);
/* Attributes are complete: fixes up the batch's length. */
void nl_batch_end(struct nl_batch *b, struct nlmsghdr *h);
/*
 * Send, in several sendmsg where the socket buffers ask for it, and collect every answer. Returns 0
 * if all succeeded, else the first failure's negative errno with err set to CNM_E_INTERNAL
 * "<strerror>[: <extack>]"; results[] tells the rest apart.
 */
int nl_batch_run(struct nl *nl, struct nl_batch *b, struct cnm_error *err);
void nl_batch_reset(struct nl_batch *b); /* keep the memory */
void nl_batch_free(struct nl_batch *b);

/*
 * Send one request without ACK semantics of its own and hand each answer to fn (dump or single
 * get). An interrupted dump (NLM_F_DUMP_INTR) is started again, `restart` (NULL allowed) being
 * called first so that the caller drops what it gathered; one interrupted for ever ends in -EAGAIN.
 * fn<0 stops with that error, err being left to fn.
 */
int nl_request(struct nl *nl, struct nlmsghdr *h, int (*fn)(const struct nlmsghdr *h, void *arg),
	       void (*restart)(void *arg), void *arg, struct cnm_error *err);

#endif
