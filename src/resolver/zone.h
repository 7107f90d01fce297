/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names, by network, and what a sandbox sees of them.
 *
 * Everything is found through intrusive hash tables, so that entering and dropping cannot fail.
 * Whoever makes an endpoint or a view allocates it whole, on any thread, by zone_endpoint_new() and
 * zone_view_new(); all other functions belong to the one thread that owns the zone.
 *
 * A network is there while an endpoint is in it or a view sees it. Nobody announces networks: each
 * endpoint and view comes with a candidate for every network it names, which is exchanged on entry
 * for the one already known, if any. The name of a network is what its endpoints say it is: a
 * network without endpoints has no names to be found under it.
 */
#ifndef RESOLVER_ZONE_H
#define RESOLVER_ZONE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/list.h"
#include "resolver/resolver.h"
#include "resolver/table.h"

struct zone_network {
	struct table_node by_id;
	struct list endpoints; /* zone_endpoint.in_network */
	unsigned refs;         /* endpoints and views */
	char id[];
};

struct zone_name {
	struct table_node by_name; /* hash of network and name in lower case */
	struct zone_endpoint *endpoint;
	const char *text; /* as given, without a trailing dot */
	size_t len;
};

struct zone_endpoint {
	struct table_node by_id;
	struct table_node by_ip[2]; /* hash of network and address */
	struct list in_network;
	struct zone_network *network; /* a candidate until the endpoint is entered */
	struct cnm_ip ip[2];          /* IPv4, IPv6; unset: none */
	const char *id, *network_name;
	size_t n_names;
	struct zone_name names[]; /* then the texts */
};

/* What one sandbox sees: the networks in the order they are searched. */
struct zone_view {
	bool forward; /* the host's servers may be asked */
	bool ndots;   /* a name of one label that is not known does not exist anywhere */
	struct zone_link {
		char *alias, *name; /* in lower case */
	} * links;
	size_t n_links;
	size_t n_networks;
	struct zone_network *networks[]; /* candidates until the view is entered */
};

struct zone {
	struct table names, ips[2], endpoints, networks;
};

/* 0 or -ENOMEM. Destroying drops the endpoints; views must be gone. A zeroed zone is allowed. */
int zone_init(struct zone *z);
void zone_destroy(struct zone *z);

/* Any thread. NULL: out of memory. Names that DNS cannot ask for are left out. */
struct zone_endpoint *zone_endpoint_new(const struct resolver_names *names);
/* Takes e; the endpoint with the same id, if any, is replaced. */
void zone_put_endpoint(struct zone *z, struct zone_endpoint *e);
void zone_drop_endpoint(struct zone *z, const char *id);

/* Any thread. NULL: out of memory. */
struct zone_view *zone_view_new(const struct resolver_sandbox *sandbox);
void zone_enter_view(struct zone *z, struct zone_view *v);
/* Takes a view that was entered, or NULL. */
void zone_drop_view(struct zone *z, struct zone_view *v);

/*
 * The endpoints called name (lower case, no trailing dot) in the first network of the view that
 * knows it (an alias of the view's links stands for the name it links to); failing that, name is
 * tried as NAME.NETWORK at each dot, the last one first. Returns
 * how many, at most max.
 */
size_t zone_find_name(const struct zone *z, const struct zone_view *v, const char *name, size_t len,
		      const struct zone_endpoint **ret, size_t max);
/* The endpoint that has the address in the first network of the view where there is one; or NULL.
 */
const struct zone_endpoint *zone_find_ip(const struct zone *z, const struct zone_view *v,
					 const struct cnm_ip *ip);

#endif
