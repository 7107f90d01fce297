/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bridge driver: one Linux bridge a network, a veth an endpoint, NAT to the outside.
 *
 * The bridge has a fixed MAC (made from the network's id, so that no port's coming or going changes
 * it), no STP and no forwarding delay, no multicast snooping, and with IPv6 the address fe80::1
 * without duplicate address detection, so that it can be used at once. Isolation, masquerading and
 * ICC are elements of the fixed ruleset: kernel/ruleset.nft says what each set means.
 *
 * A new endpoint announces itself once: a port of a bridge in the same kernel loses no frame, and
 * each announcement is flooded to every port. advertise_addr_nmsgs asks for up to three.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "drivers/builtin.h"
#include "drivers/options.h"

enum gateway_mode { GW_NAT, GW_NAT_UNPROTECTED, GW_ROUTED, GW_ISOLATED };

struct bridge {
	char name[IFNAMSIZ]; /* of the link */
	bool icc, masquerade, inhibit_ipv4, default_bridge;
	enum gateway_mode mode4, mode6;
	unsigned mtu;
	char prefix[IFNAMSIZ];
	struct cnm_ip snat4, snat6, binding;
	struct option_tristate ipv4, ipv6;
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
	OPT("bridge.default_bridge", option_bool, default_bridge),
	OPT("driver.mtu", option_mtu, mtu),
	OPT("container_iface_prefix", option_ifname, prefix),
	OPT("host_ipv4", option_ip4, snat4),
	OPT("host_ipv6", option_ip6, snat6),
	OPT("enable_ipv4", option_tristate, ipv4),
	OPT("enable_ipv6", option_tristate, ipv6),
	OPT("advertise_addr_nmsgs", parse_announce, announce),
	OPT("advertise_addr_ms", parse_announce_ms, announce_ms),
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

	if (!n->ipv4 && !n->ipv6)
		return cnm_error_set(err, CNM_E_INVALID, "IPv4 or IPv6 must be enabled");
	for (unsigned i = 0; i < 2; i++) {
		const struct network_pool *p = network_pool(n, families[i]);
		struct cnm_prefix ll = { .ip = { AF_INET6, { 0xfe, 0x80 } }, .len = 64 };

		if (mode(n, families[i]) == GW_ISOLATED && !n->internal)
			return cnm_error_set(err, CNM_E_INTERNAL,
					     "gateway mode 'isolated' can only be used for an "
					     "internal network");
		if (p && ip_is_multicast(&p->subnet.ip))
			return cnm_error_set(err, CNM_E_INVALID,
					     "a subnet cannot be of multicast addresses");
		if (p && prefix_overlaps(&p->subnet, &ll))
			return cnm_error_set(
				err, CNM_E_INVALID,
				"clash with the Kernel-Reserved IPv6 Link Local Network "
				"(fe80::/64)");
	}
	return check_conflicts(n, env->model, err);
}

/* ---- endpoint options */

struct endpoint_opts {
	char ifname[IFNAMSIZ];
	char sysctls[512];
};

static const char *parse_sysctls(const char *value, void *field)
{
	if (strlen(value) >= sizeof(((struct endpoint_opts *)0)->sysctls))
		return "it is longer than 511 characters";
	strcpy(field, value);
	return NULL;
}

static const struct option_spec endpoint_options[] = {
	{ "com.docker.network.endpoint.ifname", option_ifname,
	  offsetof(struct endpoint_opts, ifname) },
	{ "com.docker.network.endpoint.sysctls", parse_sysctls,
	  offsetof(struct endpoint_opts, sysctls) },
	{ NULL, NULL, 0 },
};

/*
 * One of the comma list, "net.ipv4.conf.IFNAME.log_martians=1", as path below /proc/sys (with the
 * name put in) and value. Returns what follows it, or NULL with err set.
 */
static const char *next_sysctl(const char *s, const char *ifname, char path[static 256],
			       char value[static 128], struct cnm_error *err)
{
	size_t len = strcspn(s, ","), klen = strcspn(s, "=");
	char key[256];
	const char *after, *rest;

	if (klen >= len || klen >= sizeof(key) || len - klen - 1 >= 128)
		goto bad;
	snprintf(key, sizeof(key), "%.*s", (int)klen, s);
	snprintf(value, 128, "%.*s", (int)(len - klen - 1), s + klen + 1);
	if (!(rest = str_after(key, "net.ipv4.")) && !(rest = str_after(key, "net.ipv6.")) &&
	    !(rest = str_after(key, "net.mpls.")))
		goto bad;
	after = strstr(rest, ".IFNAME.");
	if (!after || strchr(key, '/') || strstr(key, ".."))
		goto bad;
	for (char *p = key; *p; p++)
		if (*p == '.')
			*p = '/';
	/* After that: the interface's name may have dots of its own. */
	snprintf(path, 256, "%.*s/%s/%s", (int)(after - key), key, ifname, after + 8);
	return s[len] ? s + len + 1 : s + len;
bad:
	cnm_error_set(err, CNM_E_INVALID,
		      "unrecognised network interface sysctl '%.*s'; represent "
		      "'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or "
		      "'mpls'",
		      (int)len, s);
	return NULL;
}

static int bridge_endpoint_check(const struct endpoint *ep, const struct driver_env *env,
				 struct cnm_error *err)
{
	struct endpoint_opts o = { 0 };
	char path[256], value[128];
	int r = options_parse(ep->driver_opts, endpoint_options, "bridge endpoint", &o, err);

	for (const char *s = o.sysctls; r == 0 && *s;)
		if (!(s = next_sysctl(s, "eth0", path, value, err)))
			return -EINVAL;
	return r;
}

static const char *bridge_prefix(const struct network *n)
{
	return ((const struct bridge *)n->priv)->prefix;
}

/* ---- plans */

/* Locally administered unicast, from an id: the same object has the same address for ever. */
static struct cnm_mac mac_of(const char *id, uint8_t salt)
{
	uint64_t h = 14695981039346656037u ^ salt;
	struct cnm_mac m;

	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * 1099511628211u;
	for (unsigned i = 0; i < 6; i++)
		m.b[i] = (uint8_t)(h >> (8 * i + 8));
	m.b[0] = (m.b[0] & 0xfc) | 2;
	return m;
}

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
	struct nft_elem *e;

	if (!translates(n, family))
		return;
	if (!ip_is_set(snat)) {
		plan_add_elem(p, n->id, masq, b->name);
		return;
	}
	e = plan_add_elem_raw(p, n->id, snat_map);
	if (!e)
		return;
	e->key[0].type = NFT_T_IFNAME;
	str_copy(e->key[0].ifname, sizeof(e->key[0].ifname), b->name);
	e->data[0].type = family == AF_INET ? NFT_T_IP4 : NFT_T_IP6;
	e->data[0].ip = *snat;
}

/* An element of a set keyed by bridge and family: "br-1 . ipv4". */
static void plan_mode(const struct network *n, const char *set, int family, struct plan *p)
{
	const struct bridge *b = n->priv;
	struct nft_elem *e = plan_add_elem_raw(p, n->id, set);

	if (!e)
		return;
	e->key[0].type = NFT_T_IFNAME;
	str_copy(e->key[0].ifname, sizeof(e->key[0].ifname), b->name);
	e->key[1].type = NFT_T_NFPROTO;
	e->key[1].proto =
		family; /* NFPROTO_IPV4 and _IPV6 have the values of AF_INET and AF_INET6 */
}

static void plan_rules(const struct network *n, struct plan *p)
{
	const struct bridge *b = n->priv;
	const int families[] = { AF_INET, AF_INET6 };
	struct nft_elem *e = b->icc ? plan_add_elem_raw(p, n->id, "same") : NULL;

	if (e) {
		for (unsigned i = 0; i < 2; i++) {
			e->key[i].type = NFT_T_IFNAME;
			str_copy(e->key[i].ifname, sizeof(e->key[i].ifname), b->name);
		}
		e->data[0].type = NFT_T_VERDICT;
		strcpy(e->data[0].verdict, "accept");
	}
	if (n->internal)
		plan_add_elem(p, n->id, "internal", b->name);
	plan_nat(n, AF_INET, "masq4", "snat4", &b->snat4, p);
	plan_nat(n, AF_INET6, "masq6", "snat6", &b->snat6, p);
	for (unsigned i = 0; i < 2; i++) {
		if (mode(n, families[i]) == GW_NAT_UNPROTECTED)
			plan_mode(n, "unprotected", families[i], p);
		if (mode(n, families[i]) == GW_ROUTED)
			plan_mode(n, "routed", families[i], p);
	}
	plan_add_elem(p, n->id, "brs", b->name);
}

static void plan_bridge_sysctl(const struct network *n, const char *name, const char *value,
			       struct plan *p)
{
	const struct bridge *b = n->priv;
	char path[128];

	snprintf(path, sizeof(path), "net/ipv6/conf/%s/%s", b->name, name);
	plan_add_sysctl(p, NULL, n->id, path, value);
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
	i->link.mac = mac_of(n->id, 0);
	i->link.mtu = b->mtu;
	/* No router advertisement of a container's may reach the host's routing. */
	if (!n->borrowed_link)
		plan_bridge_sysctl(n, "accept_ra", "0", p);
	plan_addresses(n, p);
}

static void plan_endpoint_addresses(const struct endpoint *ep, struct plan *p)
{
	const struct cnm_ip *ips[] = { &ep->ip4, &ep->ip6 };

	for (unsigned i = 0; i < 2; i++) {
		const struct network_pool *pool = network_pool_of(ep->network, ips[i]);

		if (pool)
			plan_add_addr(p, ep->sandbox->id, ep->id, ep->ifname, ips[i],
				      pool->subnet.len);
	}
	for (unsigned i = 0; i < ep->n_link_local; i++)
		plan_add_addr(p, ep->sandbox->id, ep->id, ep->ifname, &ep->link_local[i],
			      ep->link_local[i].family == AF_INET ? 16 : 64);
}

static void bridge_endpoint_plan(const struct endpoint *ep, const struct driver_env *env,
				 struct plan *p)
{
	const struct bridge *b = ep->network->priv;
	struct endpoint_opts o = { 0 };
	char path[256], value[128], veth[IFNAMSIZ];
	struct plan_item *i;

	snprintf(veth, sizeof(veth), "veth%.7s", ep->id);
	if (!b->icc)
		plan_add_elem(p, ep->id, "noicc", veth);
	i = plan_add(p, PLAN_LINK, NULL, ep->id);
	if (!i)
		return;
	i->link.type = PLAN_VETH;
	memcpy(i->link.name, veth, sizeof(veth));
	memcpy(i->link.master, b->name, sizeof(b->name));
	memcpy(i->link.peer, ep->ifname, sizeof(ep->ifname));
	memcpy(i->link.peer_sandbox, ep->sandbox->id, ID_SIZE);
	i->link.mac = mac_of(ep->id, 1);
	i->link.peer_mac = ep->mac;
	i->link.mtu = b->mtu;
	i = plan_add(p, PLAN_PEER, ep->sandbox->id, ep->id);
	if (!i)
		return;
	memcpy(i->peer.name, ep->ifname, sizeof(ep->ifname));
	i->peer.mac = ep->mac;
	i->peer.mtu = b->mtu;
	i->peer.no_ipv6 = !ip_is_set(&ep->ip6);
	i->peer.announced = ep->ip4;
	i->peer.announce = ip_is_set(&ep->ip4) ? b->announce : 0;
	i->peer.announce_ms = b->announce_ms;
	plan_endpoint_addresses(ep, p);
	options_parse(ep->driver_opts, endpoint_options, "bridge endpoint", &o, NULL);
	for (const char *s = o.sysctls; *s;) {
		s = next_sysctl(s, ep->ifname, path, value, NULL);
		if (!s)
			return;
		plan_add_sysctl(p, ep->sandbox->id, ep->id, path, value);
	}
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
};
