/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The overlay driver: one Ethernet segment over many hosts, carried by VXLAN.
 *
 * On each host the network has a namespace of its own, out of reach of the host's firewall and
 * routes, with a bridge, a VXLAN link whose packets are the host's, and one end of each local
 * endpoint's veth. Nothing is learnt: an endpoint on another host is an FDB entry (its MAC is at
 * that host) and neighbours (its addresses have that MAC), from which the VXLAN link answers ARP
 * and neighbour discovery; no query leaves the host. Frames to a MAC that nobody has are dropped
 * where they come from. Broadcast and multicast go to each host of the network, one copy each.
 *
 * No endpoint has its way out here: no gateway is allotted.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/str.h"
#include "drivers/builtin.h"
#include "drivers/options.h"
#include "drivers/segment.h"

#define BRIDGE       "br0"
#define VXLAN        "vxlan0"
#define IANA_PORT    4789
#define VXLAN_IDS    (1 << 24)
#define HEADER_IPV4  50 /* Ethernet, VXLAN, UDP, IP */
#define HEADER_IPV6  70
#define ETHERNET_MTU 1500
#define IPV6_MIN_MTU 1280

struct overlay {
	unsigned mtu; /* 0: what the uplinks carry */
	unsigned id;  /* asked for; 0: any */
	unsigned port;
	bool icc, broadcast;
	struct option_tristate ipv4, ipv6;
	struct option_tristate antispoof; /* default: confined sandboxes */
};

/* ---- options */

static const char *parse_id(const char *value, void *field)
{
	long n;

	if (str_to_long(value, 1, VXLAN_IDS - 1, &n) < 0)
		return "it must be one number from 1 to 16777215: a network has one id, however "
		       "many subnets";
	*(unsigned *)field = (unsigned)n;
	return NULL;
}

static const char *parse_port(const char *value, void *field)
{
	long n;

	if (str_to_long(value, 1, 65535, &n) < 0)
		return "it must be a UDP port from 1 to 65535";
	*(unsigned *)field = (unsigned)n;
	return NULL;
}

static const char *parse_broadcast(const char *value, void *field)
{
	*(bool *)field = streq(value, "on");
	return streq(value, "on") || streq(value, "off") ? NULL : "it must be on or off";
}

static const char *refuse_encryption(const char *value, void *field)
{
	return "overlay networks are not encrypted: nothing would hand the keys to the hosts; "
	       "connect the hosts by WireGuard or IPsec and advertise their addresses there";
}

#define OPT(name, parser, field)                                                    \
	{                                                                           \
		"com.docker.network." name, parser, offsetof(struct overlay, field) \
	}
static const struct option_spec network_options[] = {
	OPT("driver.mtu", option_mtu, mtu),
	OPT("driver.overlay.vxlanid_list", parse_id, id),
	OPT("bridge.enable_icc", option_bool, icc),
	OPT("enable_ipv4", option_tristate, ipv4),
	OPT("enable_ipv6", option_tristate, ipv6),
	{ "cnm.vxlan.port", parse_port, offsetof(struct overlay, port) },
	{ "cnm.broadcast", parse_broadcast, offsetof(struct overlay, broadcast) },
	{ "cnm.antispoof", segment_parse_antispoof, offsetof(struct overlay, antispoof) },
	{ "encrypted", refuse_encryption, 0 },
	{ NULL, NULL, 0 },
};

/* The id asked for is what will be claimed, unless one has been. */
static int overlay_parse(struct network *n, const struct driver_env *env, struct cnm_error *err)
{
	struct overlay *o = n->priv;
	int r;

	*o = (struct overlay){ .port = IANA_PORT, .icc = true, .broadcast = true };
	r = options_parse(n->options, network_options, "overlay network", o, err);
	if (r < 0 || !o->id || n->facts)
		return r;
	n->facts = json_pack("{s:i}", "vxlan_id", (int)o->id);
	return n->facts ? 0 : cnm_error_errno(err, ENOMEM, "options of an overlay network");
}

static bool overlay_wants_gateway(const struct network *n, int family)
{
	return false;
}

static int overlay_check(const struct network *n, const struct driver_env *env,
			 struct cnm_error *err)
{
	if (!n->ipv4 && !n->ipv6)
		return cnm_error_set(err, CNM_E_INVALID, "IPv4 or IPv6 must be enabled");
	return segment_check_pools(n, err);
}

static int overlay_endpoint_check(const struct endpoint *ep, const struct driver_env *env,
				  struct cnm_error *err)
{
	return segment_check_endpoint(ep, "overlay endpoint", err);
}

/* ---- plans */

/* 0: it has none yet, and stays on this host. */
static uint32_t id_of(const struct network *n)
{
	json_int_t id = json_integer_value(json_object_get(n->facts, "vxlan_id"));

	return id > 0 && id < VXLAN_IDS ? (uint32_t)id : 0;
}

static bool is_carried(const struct network *n, const struct driver_env *env)
{
	return id_of(n) && ip_is_set(&env->vtep);
}

/* Can a frame be sent to this host? The tunnel is of one family, and never a group. */
static bool reaches(const struct network *n, const struct driver_env *env,
		    const struct cnm_ip *vtep)
{
	return is_carried(n, env) && vtep->family == env->vtep.family && !ip_is_unspecified(vtep) &&
	       !ip_is_multicast(vtep) && !ip_eq(vtep, &env->vtep);
}

static unsigned mtu_of(const struct network *n, const struct driver_env *env)
{
	const struct overlay *o = n->priv;
	unsigned uplink = env->mtu ? env->mtu : ETHERNET_MTU;
	unsigned header = env->vtep.family == AF_INET6 ? HEADER_IPV6 : HEADER_IPV4;
	unsigned least = n->ipv6 ? IPV6_MIN_MTU : 68;

	if (o->mtu)
		return o->mtu;
	return uplink < least + header ? least : uplink - header;
}

static struct plan_item *plan_link(const struct network *n, enum plan_link_type type,
				   const char *name, const struct driver_env *env, struct plan *p)
{
	struct plan_item *i = plan_add(p, PLAN_LINK, n->id, n->id);

	if (!i)
		return NULL;
	i->link.type = type;
	str_copy(i->link.name, sizeof(i->link.name), name);
	i->link.mtu = mtu_of(n, env);
	return i;
}

static void overlay_network_plan(const struct network *n, const struct driver_env *env,
				 struct plan *p)
{
	const struct overlay *o = n->priv;
	char pin[IFNAMSIZ];
	struct plan_item *i;

	snprintf(pin, sizeof(pin), "ov-%.12s", n->id);
	plan_add_netns(p, n->id, n->id, pin, "bare");
	/* Where br_netfilter is loaded every frame would pass the IP stack's hooks. */
	plan_add_sysctl(p, n->id, n->id, "net/bridge/bridge-nf-call-iptables", "0");
	plan_add_sysctl(p, n->id, n->id, "net/bridge/bridge-nf-call-ip6tables", "0");
	plan_add_sysctl(p, n->id, n->id, "net/bridge/bridge-nf-call-arptables", "0");
	i = plan_link(n, PLAN_BRIDGE, BRIDGE, env, p);
	if (i)
		i->link.mac = segment_mac_of(n->id, 0);
	if (!is_carried(n, env) || !(i = plan_link(n, PLAN_VXLAN, VXLAN, env, p)))
		return;
	strcpy(i->link.master, BRIDGE);
	i->link.vxlan_id = id_of(n);
	i->link.port = (uint16_t)o->port;
	i->link.local = env->vtep;
	i->link.closed = true;
	i->link.isolated = !o->icc;
}

static void overlay_host_plan(const struct network *n, const struct cnm_ip *vtep,
			      const struct driver_env *env, struct plan *p)
{
	const struct overlay *o = n->priv;

	if (o->broadcast && reaches(n, env, vtep))
		plan_add_fdb(p, n->id, n->id, VXLAN, NULL, vtep);
}

static void plan_neighbour(const struct endpoint *ep, const struct cnm_ip *ip, struct plan *p)
{
	if (ip_is_set(ip))
		plan_add_neigh(p, ep->network->id, ep->id, VXLAN, ip, &ep->mac);
}

static void plan_remote(const struct endpoint *ep, const struct driver_env *env, struct plan *p)
{
	const struct cnm_ip ll = segment_link_local_of(&ep->mac);

	if (!reaches(ep->network, env, &ep->vtep) || !mac_is_unicast(&ep->mac))
		return;
	plan_add_fdb(p, ep->network->id, ep->id, VXLAN, &ep->mac, &ep->vtep);
	plan_neighbour(ep, &ep->ip4, p);
	plan_neighbour(ep, &ep->ip6, p);
	if (ip_is_set(&ep->ip6))
		plan_neighbour(ep, &ll, p);
	for (unsigned i = 0; i < ep->n_link_local; i++)
		plan_neighbour(ep, &ep->link_local[i], p);
}

/* The subnets in which it has no address itself. */
static void plan_routes(const struct endpoint *ep, struct plan *p)
{
	const struct network *n = ep->network;

	for (unsigned i = 0; i < n->n_pools; i++) {
		const struct cnm_prefix *subnet = &n->pools[i].subnet;
		bool v4 = subnet->ip.family == AF_INET;
		struct plan_item *r;

		if (!ip_is_set(v4 ? &ep->ip4 : &ep->ip6) ||
		    prefix_has(subnet, v4 ? &ep->ip4 : &ep->ip6))
			continue;
		r = plan_add(p, PLAN_ROUTE, ep->sandbox->id, ep->id);
		if (!r)
			return;
		memcpy(r->route.link, ep->ifname, sizeof(ep->ifname));
		r->route.dst = *subnet;
	}
}

static void plan_local(const struct endpoint *ep, const struct driver_env *env, struct plan *p)
{
	const struct overlay *o = ep->network->priv;
	unsigned mtu = mtu_of(ep->network, env);
	bool guarded = segment_is_guarded(ep, o->antispoof);
	struct plan_item *i;

	if (guarded)
		segment_plan_guard(ep, ep->network->id, p);
	i = segment_plan_veth(ep, ep->network->id, BRIDGE, mtu, p);
	if (!i)
		return;
	i->link.closed = true;
	i->link.isolated = !o->icc;
	i->link.locked = guarded;
	if (!segment_plan_peer(ep, mtu, p))
		return;
	segment_plan_addresses(ep, p);
	plan_routes(ep, p);
	segment_plan_sysctls(ep, p);
}

static void overlay_endpoint_plan(const struct endpoint *ep, const struct driver_env *env,
				  struct plan *p)
{
	if (endpoint_is_remote(ep))
		plan_remote(ep, env, p);
	else
		plan_local(ep, env, p);
}

const struct driver overlay_driver = {
	.name = "overlay",
	.scope = "global",
	.addresses = true,
	.max_subnets = NETWORK_MAX_POOLS / 2,
	.network_size = sizeof(struct overlay),
	.network_parse = overlay_parse,
	.wants_gateway = overlay_wants_gateway,
	.network_check = overlay_check,
	.endpoint_check = overlay_endpoint_check,
	.network_plan = overlay_network_plan,
	.endpoint_plan = overlay_endpoint_plan,
	.host_plan = overlay_host_plan,
};
