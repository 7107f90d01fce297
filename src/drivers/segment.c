/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drivers/segment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/str.h"
#include "drivers/options.h"

/* ---- names and addresses */

struct cnm_mac segment_mac_of(const char *id, uint8_t salt)
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

struct cnm_ip segment_link_local_of(const struct cnm_mac *m)
{
	return (struct cnm_ip){ AF_INET6,
				{ 0xfe, 0x80, 0, 0, 0, 0, 0, 0, m->b[0] ^ 2, m->b[1], m->b[2], 0xff,
				  0xfe, m->b[3], m->b[4], m->b[5] } };
}

void segment_veth_of(const struct endpoint *ep, char ret[static IFNAMSIZ])
{
	snprintf(ret, IFNAMSIZ, "veth%.7s", ep->id);
}

/* ---- checks */

const char *segment_parse_antispoof(const char *value, void *field)
{
	struct option_tristate *t = field;

	t->set = true;
	t->value = streq(value, "on");
	return t->value || streq(value, "off") ? NULL : "it must be on or off";
}

int segment_check_pools(const struct network *n, struct cnm_error *err)
{
	const struct cnm_prefix ll = { .ip = { AF_INET6, { 0xfe, 0x80 } }, .len = 64 };

	for (unsigned i = 0; i < n->n_pools; i++) {
		const struct cnm_prefix *subnet = &n->pools[i].subnet;

		if (ip_is_multicast(&subnet->ip))
			return cnm_error_set(err, CNM_E_INVALID,
					     "a subnet cannot be of multicast addresses");
		if (prefix_overlaps(subnet, &ll))
			return cnm_error_set(
				err, CNM_E_INVALID,
				"clash with the Kernel-Reserved IPv6 Link Local Network "
				"(fe80::/64)");
	}
	return 0;
}

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

static int check_options(const json_t *options, const char *what, struct cnm_error *err)
{
	struct endpoint_opts o = { 0 };
	char path[256], value[128];
	int r = options_parse(options, endpoint_options, what, &o, err);

	for (const char *s = o.sysctls; r == 0 && *s;)
		if (!(s = next_sysctl(s, "eth0", path, value, err)))
			return -EINVAL;
	return r;
}

int segment_check_endpoint(const struct endpoint *ep, const char *what, struct cnm_error *err)
{
	return check_options(ep->driver_opts, what, err);
}

int segment_check_own_options(const struct endpoint *ep, const char *what, struct cnm_error *err)
{
	_json_ json_t *own = json_object();

	for (const struct option_spec *s = endpoint_options; s->key; s++) {
		json_t *v = json_object_get(ep->driver_opts, s->key);

		if (v)
			json_put(own, s->key, json_incref(v));
	}
	return own ? check_options(own, what, err)
		   : cnm_error_errno(err, ENOMEM, "endpoint options");
}

/* ---- plans */

bool segment_is_guarded(const struct endpoint *ep, struct option_tristate antispoof)
{
	return antispoof.set ? antispoof.value : ep->sandbox->confined;
}

static void plan_source(const struct endpoint *ep, const char *place, const char *veth,
			const struct cnm_ip *ip, struct plan *p)
{
	if (ip->family == AF_INET)
		plan_add_elemf(p, place, ep->id, "src4", veth, &ep->mac, ip);
	if (ip->family != AF_INET6)
		return;
	plan_add_elemf(p, place, ep->id, "src6", veth, &ep->mac, ip);
	plan_add_elemf(p, place, ep->id, "nd6", veth, &ep->mac, ip);
}

void segment_plan_guard(const struct endpoint *ep, const char *place, struct plan *p)
{
	struct cnm_ip ll = segment_link_local_of(&ep->mac);
	char veth[IFNAMSIZ];

	segment_veth_of(ep, veth);
	plan_source(ep, place, veth, &ep->ip4, p);
	plan_source(ep, place, veth, &ep->ip6, p);
	if (ip_is_set(&ep->ip6))
		plan_source(ep, place, veth, &ll, p);
	for (unsigned i = 0; i < ep->n_link_local; i++)
		plan_source(ep, place, veth, &ep->link_local[i], p);
	plan_add_elemf(p, place, ep->id, "guarded", veth);
}

struct plan_item *segment_plan_veth(const struct endpoint *ep, const char *place,
				    const char *bridge, unsigned mtu, struct plan *p)
{
	struct plan_item *i = plan_add(p, PLAN_LINK, place, ep->id);

	if (!i)
		return NULL;
	i->link.type = PLAN_VETH;
	segment_veth_of(ep, i->link.name);
	str_copy(i->link.master, sizeof(i->link.master), bridge);
	memcpy(i->link.peer, ep->ifname, sizeof(ep->ifname));
	memcpy(i->link.peer_sandbox, ep->sandbox->id, ID_SIZE);
	i->link.mac = segment_mac_of(ep->id, 1);
	i->link.peer_mac = ep->mac;
	i->link.mtu = mtu;
	return i;
}

struct plan_item *segment_plan_peer(const struct endpoint *ep, unsigned mtu, struct plan *p)
{
	struct plan_item *i = plan_add(p, PLAN_PEER, ep->sandbox->id, ep->id);

	if (!i)
		return NULL;
	memcpy(i->peer.name, ep->ifname, sizeof(ep->ifname));
	i->peer.mac = ep->mac;
	i->peer.mtu = mtu;
	i->peer.no_ipv6 = !ip_is_set(&ep->ip6);
	i->peer.announced = ep->ip4;
	i->peer.announce = ip_is_set(&ep->ip4);
	i->peer.announce_ms = 1000;
	return i;
}

void segment_plan_addresses(const struct endpoint *ep, struct plan *p)
{
	const struct cnm_ip *ips[] = { &ep->ip4, &ep->ip6 };

	for (unsigned i = 0; i < 2; i++) {
		unsigned len = endpoint_prefix_len(ep, ips[i]);

		if (len)
			plan_add_addr(p, ep->sandbox->id, ep->id, ep->ifname, ips[i], len);
	}
	for (unsigned i = 0; i < ep->n_link_local; i++)
		plan_add_addr(p, ep->sandbox->id, ep->id, ep->ifname, &ep->link_local[i],
			      ep->link_local[i].family == AF_INET ? 16 : 64);
}

void segment_plan_sysctls(const struct endpoint *ep, struct plan *p)
{
	const char *s = json_string_value(
		json_object_get(ep->driver_opts, "com.docker.network.endpoint.sysctls"));
	char path[256], value[128];

	while (s && *s) {
		s = next_sysctl(s, ep->ifname, path, value, NULL);
		if (!s)
			return;
		plan_add_sysctl(p, ep->sandbox->id, ep->id, path, value);
	}
}
