/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a query and what a sandbox sees to the reply: pure, but for the zone it reads. */
#ifndef RESOLVER_ANSWER_H
#define RESOLVER_ANSWER_H

#include "resolver/dns_wire.h"
#include "resolver/zone.h"

enum answer {
	ANSWER_NONE,    /* not to be answered */
	ANSWER_REPLY,   /* the reply is in the buffer */
	ANSWER_FORWARD, /* not known here: for others to answer, if they may be asked */
};

/*
 * q is filled from msg. The reply goes to buf, of at least max bytes; max is DNS_UDP_MAX for a
 * query by UDP, whose own limit is kept as well, or DNS_TCP_MAX. view NULL sees nothing. shuffle is
 * the state of the generator that mixes the addresses; it must not be 0.
 */
enum answer answer_query(const struct zone *z, const struct zone_view *view, uint64_t *shuffle,
			 const uint8_t *msg, size_t len, struct dns_query *q, uint8_t *buf,
			 size_t max, size_t *ret_len);

#endif
