/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ovs driver: endpoints are ports of an Open vSwitch bridge, and a network may be a VLAN on it.
 * The bridge is made for the network, or is one that somebody has made, with -o cnm.ovs.bridge;
 * -o cnm.ovs.vlan is the tag of the network's ports. The host has no address there, and no part in
 * it: a gateway that is given is a router on that VLAN.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "drivers/builtin.h"
#include "drivers/segment.h"

#define MAX_VLAN 4094

struct ovs {
	char bridge[IFNAMSIZ]; /* "": one of the network's own */
	unsigned vlan;         /* 0: none */
	unsigned mtu;          /* 0: the uplinks' */
};

static const char *parse_vlan(const char *value, void *field)
{
	long vlan;

	if (str_to_long(value, 1, MAX_VLAN, &vlan) < 0)
		return "it must be a number from 1 to 4094";
	*(unsigned *)field = (unsigned)vlan;
	return NULL;
}

static const struct option_spec network_options[] = {
	{ "cnm.ovs.bridge", option_ifname, offsetof(struct ovs, bridge) },
	{ "cnm.ovs.vlan", parse_vlan, offsetof(struct ovs, vlan) },
	{ "com.docker.network.driver.mtu", option_mtu, offsetof(struct ovs, mtu) },
	{ NULL, NULL, 0 },
};

static int ovs_parse(struct network *n, const struct driver_env *env, struct cnm_error *err)
{
	return options_parse(n->options, network_options, "ovs network", n->priv, err);
}

static bool ovs_wants_gateway(const struct network *n, int family)
{
	return false;
}

static int ovs_check(const struct network *n, const struct driver_env *env, struct cnm_error *err)
{
	const struct ovs *o = n->priv;
	const struct network *other;

	list_for_each (other, &env->model->networks, node) {
		const struct ovs *p = other->priv;

		if (other->driver == n->driver && other != n && o->bridge[0] &&
		    streq(o->bridge, p->bridge) && o->vlan == p->vlan)
			return cnm_error_set(err, CNM_E_CONFLICT,
					     "network %s is on bridge %s with the same VLAN: give "
					     "another with -o cnm.ovs.vlan",
					     other->name, o->bridge);
	}
	return segment_check_pools(n, err);
}

static int ovs_endpoint_check(const struct endpoint *ep, const struct driver_env *env,
			      struct cnm_error *err)
{
	return segment_check_endpoint(ep, "ovs endpoint", err);
}

static void bridge_of(const struct network *n, char ret[static IFNAMSIZ])
{
	const struct ovs *o = n->priv;

	if (o->bridge[0])
		memcpy(ret, o->bridge, IFNAMSIZ);
	else
		snprintf(ret, IFNAMSIZ, "ovs-%.11s", n->id);
}

static void ovs_network_plan(const struct network *n, const struct driver_env *env, struct plan *p)
{
	const struct ovs *o = n->priv;
	struct plan_item *i = plan_add(p, PLAN_OVS, NULL, n->id);

	if (!i)
		return;
	bridge_of(n, i->ovs.bridge);
	i->ovs.borrowed = o->bridge[0];
}

static void ovs_endpoint_plan(const struct endpoint *ep, const struct driver_env *env,
			      struct plan *p)
{
	const struct ovs *o = ep->network->priv;
	unsigned mtu = o->mtu ? o->mtu : env->mtu;
	struct plan_item *i = segment_plan_veth(ep, NULL, "", mtu, p);

	if (!i)
		return;
	i->link.checksums = true; /* Open vSwitch may read frames as any program does */
	i = plan_add(p, PLAN_OVS, NULL, ep->id);
	if (!i)
		return;
	bridge_of(ep->network, i->ovs.bridge);
	segment_veth_of(ep, i->ovs.port);
	memcpy(i->ovs.peer_sandbox, ep->sandbox->id, ID_SIZE);
	i->ovs.vlan = o->vlan;
	if (!segment_plan_peer(ep, mtu, p))
		return;
	segment_plan_addresses(ep, p);
	segment_plan_sysctls(ep, p);
}

const struct driver ovs_driver = {
	.name = "ovs",
	.scope = "local",
	.addresses = true,
	.apart = true,
	.max_subnets = 1,
	.network_size = sizeof(struct ovs),
	.network_parse = ovs_parse,
	.wants_gateway = ovs_wants_gateway,
	.network_check = ovs_check,
	.endpoint_check = ovs_endpoint_check,
	.network_plan = ovs_network_plan,
	.endpoint_plan = ovs_endpoint_plan,
};
