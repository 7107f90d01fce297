/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Networks that another program makes: a plugin, by libnetwork's remote protocol. What it said when
 * an endpoint joined is a fact of that endpoint; from it follows what is planned here: the plugin's
 * link is in the sandbox, with its addresses and routes. What else the network needs, on this host
 * and on others, is the plugin's.
 *
 * Two tables, since a plugin says whether its networks are of one host or of all of a cluster. What
 * users call the driver is the plugin's name (struct network.plugin).
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "drivers/builtin.h"
#include "drivers/segment.h"

/* The plugin knows which options it knows. */
static int remote_parse(struct network *n, const struct driver_env *env, struct cnm_error *err)
{
	return 0;
}

static int remote_endpoint_check(const struct endpoint *ep, const struct driver_env *env,
				 struct cnm_error *err)
{
	return segment_check_own_options(ep, "plugin endpoint", err);
}

static void plan_routes(const struct endpoint *ep, struct plan *p)
{
	for (unsigned i = 0; i < ep->join->n_routes; i++) {
		const struct join_route *route = &ep->join->routes[i];
		struct plan_item *it = plan_add(p, PLAN_ROUTE, ep->sandbox->id, ep->id);

		if (!it)
			return;
		memcpy(it->route.link, ep->ifname, sizeof(ep->ifname));
		it->route.dst = prefix_masked(&route->dst);
		it->route.gateway = route->via;
	}
}

static void remote_endpoint_plan(const struct endpoint *ep, const struct driver_env *env,
				 struct plan *p)
{
	struct plan_item *i;

	if (endpoint_is_remote(ep) || !ep->join || !ep->join->src[0])
		return;
	i = plan_add(p, PLAN_MOVED, ep->sandbox->id, ep->id);
	if (!i)
		return;
	memcpy(i->moved.name, ep->ifname, sizeof(ep->ifname));
	memcpy(i->moved.source, ep->join->src, sizeof(ep->join->src));
	i->moved.mac = ep->mac;
	i->moved.no_ipv6 = !ip_is_set(&ep->ip6);
	i->moved.announced = ep->ip4;
	segment_plan_addresses(ep, p);
	plan_routes(ep, p);
	segment_plan_sysctls(ep, p);
}

#define REMOTE                                                                                     \
	.by_plugin = true, .apart = true, .addresses = true, .max_subnets = NETWORK_MAX_POOLS / 2, \
	.network_parse = remote_parse, .endpoint_check = remote_endpoint_check,                    \
	.endpoint_plan = remote_endpoint_plan

const struct driver remote_driver = { .name = "remote", .scope = "local", REMOTE };
const struct driver remote_global_driver = { .name = "remote-global", .scope = "global", REMOTE };
