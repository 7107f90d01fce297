/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a plugin answered when a sandbox joined one of its networks: which link of the host is moved
 * into the sandbox, and what is to be routed through it. A fact, kept with the endpoint, so that
 * restore and repair do not ask again. Its JSON is libnetwork's answer to NetworkDriver.Join.
 */
#ifndef MODEL_JOIN_H
#define MODEL_JOIN_H

#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>

#include "base/addr.h"
#include "cnm/error.h"

#define JOIN_MAX_ROUTES 64

struct join_route {
	struct cnm_prefix dst;
	struct cnm_ip via; /* unset: on-link */
};

struct join {
	char src[IFNAMSIZ];       /* the link's name on the host; "": there is none */
	char prefix[IFNAMSIZ];    /* of its name in the sandbox */
	struct cnm_ip gateway[2]; /* IPv4, IPv6; unset: none */
	bool no_gateway_service;  /* nobody else shall be its way out either */
	struct join_route routes[JOIN_MAX_ROUTES];
	unsigned n_routes;
};

/* Hostile input: what is no such answer is refused by the member that is wrong. */
int join_decode(const json_t *o, struct join *ret, struct cnm_error *err);
/* The caller's; NULL: no memory. */
json_t *join_encode(const struct join *j);
/* Does it lead everywhere, by a gateway or a route? */
bool join_is_way_out(const struct join *j, int family);

#endif
