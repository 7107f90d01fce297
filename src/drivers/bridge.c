/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bridge driver: one Linux bridge a network, a veth an endpoint, NAT to the outside.
 *
 * The bridge has a fixed MAC (made from the network's id, so that no port's coming or going changes
 * it), no STP and no forwarding delay, no multicast snooping, and with IPv6 the address fe80::1
 * without duplicate address detection, so that it can be used at once. Isolation, masquerading and
 * ICC are elements of the fixed ruleset: kernel/ruleset.nft says what each set means.
 *
 * A sandbox of whom it is known that nobody in it has NET_ADMIN is held to its own MAC and
 * addresses (or all are, or none: option cnm.antispoof).
 *
 * A new endpoint announces itself once: a port of a bridge in the same kernel loses no frame, and
 * each announcement is flooded to every port. advertise_addr_nmsgs asks for up to three.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "drivers/builtin.h"
#include "drivers/options.h"
#include "drivers/segment.h"

enum gateway_mode { GW_NAT, GW_NAT_UNPROTECTED, GW_ROUTED, GW_ISOLATED };

#define MAX_TRUSTED 16

struct trusted {
	char names[MAX_TRUSTED][IFNAMSIZ];
	unsigned n;
};

struct bridge {
	char name[IFNAMSIZ]; /* of the link */
	bool icc, masquerade, inhibit_ipv4, default_bridge;
	enum gateway_mode mode4, mode6;
	unsigned mtu;
	char prefix[IFNAMSIZ];
	struct cnm_ip snat4, snat6, binding;
	struct option_tristate ipv4, ipv6;
	struct option_tristate antispoof; /* default: confined sandboxes */
	struct trusted trusted;
	unsigned announce, announce_ms;
};

/* ---- options */

static const char *parse_mode(const char *value, void *field)
{
	static const char *const names[] = { "nat", "nat-unprotected", "routed", "isolated" };

	for (unsigned i = 0; i <= GW_ISOLATED; i++) {
		if (streq(value, names[i])) {
			*(enum gateway_mode *)field = i;
			return NULL;
		}
	}
	return "unknown gateway mode; it must be nat, nat-unprotected, routed or isolated";
}

static const char *parse_announce(const char *value, void *field)
{
	long n;

	if (str_to_long(value, 0, 3, &n) < 0)
		return "it must be a number from 0 to 3";
	*(unsigned *)field = (unsigned)n;
	return NULL;
}

static const char *parse_announce_ms(const char *value, void *field)
{
	long n;

	if (str_to_long(value, 100, 2000, &n) < 0)
		return "it must be a number of milliseconds from 100 to 2000";
	*(unsigned *)field = (unsigned)n;
	return NULL;
}

/* "eth1:eth2": links from which every way in is open. */
static const char *parse_trusted(const char *value, void *field)
{
	struct trusted *t = field;

	for (const char *s = value; *s;) {
		size_t len = strcspn(s, ":");

		if (t->n == MAX_TRUSTED)
			return "it names more than 16 interfaces";
		if (len == 0 || len >= IFNAMSIZ)
			return "it must be names of interfaces with ':' between them";
		snprintf(t->names[t->n], IFNAMSIZ, "%.*s", (int)len, s);
		if (option_ifname(t->names[t->n], t->names[t->n]))
			return "it must be names of interfaces with ':' between them";
		t->n++;
		s += len + (s[len] == ':');
	}
	return NULL;
}

/* The address published ports are bound to; either family. */
static const char *parse_binding(const char *value, void *field)
{
	struct cnm_ip *ip = field;

	return ip_parse(ip, value) < 0 ? "it must be an address" : NULL;
}

#define OPT(name, parser, field)                                                   \
	{                                                                          \
		"com.docker.network." name, parser, offsetof(struct bridge, field) \
	}
static const struct option_spec network_options[] = {
	OPT("bridge.name", option_ifname, name),
	OPT("bridge.enable_icc", option_bool, icc),
	OPT("bridge.enable_ip_masquerade", option_bool, masquerade),
	OPT("bridge.host_binding_ipv4", parse_binding, binding),
	OPT("bridge.gateway_mode_ipv4", parse_mode, mode4),
	OPT("bridge.gateway_mode_ipv6", parse_mode, mode6),
	OPT("bridge.inhibit_ipv4", option_bool, inhibit_ipv4),
	OPT("bridge.trusted_host_interfaces", parse_trusted, trusted),
	OPT("bridge.default_bridge", option_bool, default_bridge),
	OPT("driver.mtu", option_mtu, mtu),
	OPT("container_iface_prefix", option_ifname, prefix),
	OPT("host_ipv4", option_ip4, snat4),
	OPT("host_ipv6", option_ip6, snat6),
	OPT("enable_ipv4", option_tristate, ipv4),
	OPT("enable_ipv6", option_tristate, ipv6),
	OPT("advertise_addr_nmsgs", parse_announce, announce),
	OPT("advertise_addr_ms", parse_announce_ms, announce_ms),
	{ "cnm.antispoof", segment_parse_antispoof, offsetof(struct bridge, antispoof) },
	{ NULL, NULL, 0 },
};

static int bridge_parse(struct network *n, const struct driver_env *env, struct cnm_error *err)
{
	struct bridge *b = n->priv;
	int r;

	*b = (struct bridge){ .icc = true, .masquerade = true, .announce = 1, .announce_ms = 1000 };
	strcpy(b->prefix, "eth");
	snprintf(b->name, sizeof(b->name), "br-%.12s", n->id);
	r = options_parse(n->options, network_options, "bridge network", b, err);
	if (r < 0)
		return r;
	if (strlen(b->prefix) > 11)
		return cnm_error_set(err, CNM_E_INVALID,
				     "container_iface_prefix %s is too long: 11 characters at most",
				     b->prefix);
	if (b->default_bridge && !n->predefined)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "com.docker.network.bridge.default_bridge marks the network "
				     "\"bridge\" and cannot be set on another");
	return 0;
}

static enum gateway_mode mode(const struct network *n, int family)
{
	const struct bridge *b = n->priv;

	return family == AF_INET ? b->mode4 : b->mode6;
}

static bool bridge_wants_gateway(const struct network *n, int family)
{
	const struct bridge *b = n->priv;

	if (mode(n, family) == GW_ISOLATED)
		return false;
	return !(family == AF_INET && b->inhibit_ipv4 && n->internal);
}

/* ---- checks */

static int check_conflicts(const struct network *n, const struct model *m, struct cnm_error *err)
{
	const struct bridge *b = n->priv;
	const struct network *o;

	list_for_each (o, &m->networks, node) {
		const struct bridge *ob = o->priv;

		if (o == n || o->driver != &bridge_driver || o->config_only)
			continue;
		if (streq(b->name, ob->name))
			return cnm_error_set(
				err, CNM_E_FORBIDDEN,
				"cannot create network %s (%s): conflicts with network "
				"%s (%s): networks have same bridge name",
				n->id, b->name, o->id, ob->name);
	}
	return 0;
}

static int bridge_check(const struct network *n, const struct driver_env *env,
			struct cnm_error *err)
{
	const int families[] = { AF_INET, AF_INET6 };
	int r;

	if (!n->ipv4 && !n->ipv6)
		return cnm_error_set(err, CNM_E_INVALID, "IPv4 or IPv6 must be enabled");
	for (unsigned i = 0; i < 2; i++)
		if (mode(n, families[i]) == GW_ISOLATED && !n->internal)
			return cnm_error_set(err, CNM_E_INTERNAL,
					     "gateway mode 'isolated' can only be used for an "
					     "internal network");
	r = segment_check_pools(n, err);
	return r < 0 ? r : check_conflicts(n, env->model, err);
}

static int bridge_endpoint_check(const struct endpoint *ep, const struct driver_env *env,
				 struct cnm_error *err)
{
	return segment_check_endpoint(ep, "bridge endpoint", err);
}

static const char *bridge_prefix(const struct network *n)
{
	return ((const struct bridge *)n->priv)->prefix;
}

/* ---- plans */

/* Packets may leave by NAT in this family. */
static bool translates(const struct network *n, int family)
{
	const struct bridge *b = n->priv;
	enum gateway_mode m = mode(n, family);

	return !n->internal && b->masquerade && network_pool(n, family) &&
	       (m == GW_NAT || m == GW_NAT_UNPROTECTED);
}

static void plan_nat(const struct network *n, int family, const char *masq, const char *snat_map,
		     const struct cnm_ip *snat, struct plan *p)
{
	const struct bridge *b = n->priv;

	if (!translates(n, family))
		return;
	if (ip_is_set(snat))
		plan_add_elemf(p, NULL, n->id, snat_map, b->name, snat);
	else
		plan_add_elemf(p, NULL, n->id, masq, b->name);
}

/* NFPROTO_IPV4 and _IPV6 have the values of AF_INET and AF_INET6. */
static void plan_rules(const struct network *n, struct plan *p)
{
	const struct bridge *b = n->priv;
	const int families[] = { AF_INET, AF_INET6 };

	plan_add_elemf(p, NULL, n->id, "same", b->name, b->name, b->icc ? "accept" : "goto noicc");
	if (n->internal)
		plan_add_elemf(p, NULL, n->id, "internal", b->name);
	plan_nat(n, AF_INET, "masq4", "snat4", &b->snat4, p);
	plan_nat(n, AF_INET6, "masq6", "snat6", &b->snat6, p);
	for (unsigned i = 0; i < 2; i++) {
		if (mode(n, families[i]) == GW_NAT_UNPROTECTED)
			plan_add_elemf(p, NULL, n->id, "unprotected", b->name, families[i]);
		if (mode(n, families[i]) == GW_ROUTED)
			plan_add_elemf(p, NULL, n->id, "routed", b->name, families[i]);
	}
	for (unsigned i = 0; i < b->trusted.n; i++)
		plan_add_elemf(p, NULL, n->id, "trusted", b->name, b->trusted.names[i]);
	plan_add_elemf(p, NULL, n->id, "brs", b->name);
}

static void plan_bridge_sysctl(const struct network *n, const char *owner, const char *family,
			       const char *name, const char *value, struct plan *p)
{
	const struct bridge *b = n->priv;
	char path[128];

	snprintf(path, sizeof(path), "net/%s/conf/%s/%s", family, b->name, name);
	plan_add_sysctl(p, NULL, owner, path, value);
}

/* What the links of a network are made with: a packet must fit through the host's uplinks. */
static unsigned mtu_of(const struct network *n, const struct driver_env *env)
{
	const struct bridge *b = n->priv;

	if (b->mtu || !env->mtu)
		return b->mtu;
	return n->ipv6 && env->mtu < 1280 ? 1280 : env->mtu; /* IPv6 needs as much */
}

static void plan_addresses(const struct network *n, struct plan *p)
{
	const struct bridge *b = n->priv;
	struct cnm_ip ll = { AF_INET6, { 0xfe, 0x80, [15] = 1 } };

	for (unsigned i = 0; i < n->n_pools; i++) {
		const struct network_pool *pool = &n->pools[i];
		int family = pool->subnet.ip.family;

		if (!ip_is_set(&pool->gateway) || (family == AF_INET && b->inhibit_ipv4))
			continue;
		plan_add_addr(p, NULL, n->id, b->name, &pool->gateway, pool->subnet.len);
		if (family == AF_INET6)
			plan_add_addr(p, NULL, n->id, b->name, &ll, 64);
	}
}

static void bridge_network_plan(const struct network *n, const struct driver_env *env,
				struct plan *p)
{
	const struct bridge *b = n->priv;
	struct plan_item *i;

	plan_rules(n, p);
	i = plan_add(p, PLAN_LINK, NULL, n->id);
	if (!i)
		return;
	str_copy(i->link.name, sizeof(i->link.name), b->name);
	i->link.type = PLAN_BRIDGE;
	i->link.borrowed = n->borrowed_link;
	i->link.mac = segment_mac_of(n->id, 0);
	i->link.mtu = mtu_of(n, env);
	/* No router advertisement of a container's may reach the host's routing. */
	if (!n->borrowed_link)
		plan_bridge_sysctl(n, n->id, "ipv6", "accept_ra", "0", p);
	plan_addresses(n, p);
}

/* ---- what an endpoint may send, and to whom without ICC */

static void plan_pinhole(const struct endpoint *from, const struct endpoint *to, uint8_t proto,
			 uint16_t first, uint16_t last, struct plan *p)
{
	static const char *const sets[][2] = { { "pinholes4", "links4" },
					       { "pinholes6", "links6" } };
	const struct cnm_ip *src[] = { &from->ip4, &from->ip6 }, *dst[] = { &to->ip4, &to->ip6 };

	for (unsigned f = 0; f < 2; f++)
		for (unsigned i = 0; i < 2 && ip_is_set(src[f]) && ip_is_set(dst[f]); i++)
			plan_add_elemf(p, NULL, from->id, sets[f][i], src[f], dst[f], proto, first,
				       last);
}

static bool is_linked(const struct endpoint *from, const struct endpoint *to)
{
	const char *alias;
	json_t *id;

	json_object_foreach (from->links, alias, id)
		if (link_leads_to(id, to->sandbox))
			return true;
	return false;
}

static int by_ports(const void *a, const void *b)
{
	const struct port_run *x = a, *y = b;

	return x->proto != y->proto ? x->proto - y->proto : x->first - y->first;
}

/*
 * What a sandbox exposes and publishes, in runs that do not overlap: the firewall would take one
 * that does for another. NULL: no memory.
 */
static struct port_run *runs_of(const struct sandbox *sb, unsigned *ret_n)
{
	struct port_run *runs = calloc(sb->n_exposed + sb->n_wants + 1, sizeof(*runs));
	unsigned all = 0, n = 0;

	for (unsigned i = 0; runs && i < sb->n_exposed; i++)
		runs[all++] = sb->exposed[i];
	for (unsigned i = 0; runs && i < sb->n_wants; i++)
		runs[all++] = (struct port_run){ sb->wants[i].proto, sb->wants[i].first,
						 sb->wants[i].last };
	if (runs)
		qsort(runs, all, sizeof(*runs), by_ports);
	for (unsigned i = 0; i < all; i++) {
		struct port_run *last = n ? &runs[n - 1] : NULL;

		if (!last || runs[i].proto != last->proto || runs[i].first > last->last + 1)
			runs[n++] = runs[i];
		else if (runs[i].last > last->last)
			last->last = runs[i].last;
	}
	*ret_n = n;
	return runs;
}

static void plan_link_to(const struct endpoint *from, const struct endpoint *to, struct plan *p)
{
	struct port_run *runs;
	unsigned n = 0;

	if (!is_linked(from, to))
		return;
	runs = runs_of(to->sandbox, &n);
	for (unsigned i = 0; i < n; i++)
		plan_pinhole(from, to, runs[i].proto, runs[i].first, runs[i].last, p);
	p->failed |= !runs;
	free(runs);
}

/* A link belongs to the plans of both its ends: it is there while both are. */
static void plan_links(const struct endpoint *ep, struct plan *p)
{
	const struct endpoint *other;

	list_for_each (other, &ep->network->endpoints, in_network) {
		if (other == ep || !other->sandbox || other->state == OBJ_REMOVING)
			continue;
		plan_link_to(ep, other, p);
		plan_link_to(other, ep, p);
	}
}

/* ---- published ports */

static enum port_way bridge_publishes(const struct network *n, int family, struct cnm_ip *ret_host)
{
	const struct bridge *b = n->priv;
	bool any = !ip_is_set(&b->binding) ||
		   (b->binding.family == AF_INET && ip_is_unspecified(&b->binding));

	*ret_host = (struct cnm_ip){ .family = any ? family : 0 };
	if (!any && b->binding.family == family)
		*ret_host = b->binding;
	if (n->internal || mode(n, family) == GW_ISOLATED)
		return PORT_NONE;
	return mode(n, family) == GW_ROUTED ? PORT_OPEN : PORT_NAT;
}

/* Is this endpoint the way of published ports in this family? */
static bool carries_ports(const struct endpoint *ep, int family)
{
	unsigned f = family == AF_INET6;

	for (unsigned i = 0; i < ep->sandbox->n_ports; i++)
		if (ep->sandbox->ports[i].by[f].way == PORT_NAT)
			return sandbox_gateway(ep->sandbox, family) == ep;
	return false;
}

static void bridge_endpoint_plan(const struct endpoint *ep, const struct driver_env *env,
				 struct plan *p)
{
	const struct bridge *b = ep->network->priv;
	bool ports4 = carries_ports(ep, AF_INET), ports6 = carries_ports(ep, AF_INET6);
	char veth[IFNAMSIZ];
	struct plan_item *i;

	segment_veth_of(ep, veth);
	if (segment_is_guarded(ep, b->antispoof))
		segment_plan_guard(ep, NULL, p);
	if (!b->icc) {
		plan_links(ep, p);
		plan_add_elemf(p, NULL, ep->id, "noicc", veth);
	}
	i = segment_plan_veth(ep, NULL, b->name, mtu_of(ep->network, env), p);
	if (!i)
		return;
	/* With bridge-nf-call-iptables a sandbox comes back to itself within the bridge. */
	i->link.hairpin = ports4 || ports6;
	i = segment_plan_peer(ep, mtu_of(ep->network, env), p);
	if (!i)
		return;
	i->peer.announce = ip_is_set(&ep->ip4) ? b->announce : 0;
	i->peer.announce_ms = b->announce_ms;
	segment_plan_addresses(ep, p);
	/* 127.0.0.1 of the host leads to the sandbox; what comes from elsewhere the ruleset drops.
	 */
	if (ports4)
		plan_bridge_sysctl(ep->network, ep->id, "ipv4", "route_localnet", "1", p);
	segment_plan_sysctls(ep, p);
}

const struct driver bridge_driver = {
	.name = "bridge",
	.scope = "local",
	.addresses = true,
	.max_subnets = 1,
	.network_size = sizeof(struct bridge),
	.network_parse = bridge_parse,
	.wants_gateway = bridge_wants_gateway,
	.network_check = bridge_check,
	.endpoint_check = bridge_endpoint_check,
	.iface_prefix = bridge_prefix,
	.network_plan = bridge_network_plan,
	.endpoint_plan = bridge_endpoint_plan,
	.publishes = bridge_publishes,
};
