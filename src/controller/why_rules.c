/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ruleset (kernel/ruleset.nft) on planned elements: each function here is one of its chains,
 * for the first packet of a flow, in the order of its rules.
 */
#include <netinet/in.h>
#include <string.h>

#include "controller/why.h"

/* ---- looking elements up */

static struct nft_value ifname(const char *name)
{
	struct nft_value v = { .type = NFT_T_IFNAME };

	str_copy(v.ifname, sizeof(v.ifname), name);
	return v;
}

static struct nft_value address(const struct cnm_ip *ip)
{
	return (struct nft_value){ .type = ip->family == AF_INET ? NFT_T_IP4 : NFT_T_IP6,
				   .ip = *ip };
}

static struct nft_value protocol(uint8_t proto)
{
	return (struct nft_value){ .type = NFT_T_PROTO, .proto = proto };
}

/* NFPROTO_IPV4 and _IPV6 have the values of AF_INET and AF_INET6. */
static struct nft_value nfproto(int family)
{
	return (struct nft_value){ .type = NFT_T_NFPROTO, .proto = (uint8_t)family };
}

static struct nft_value port_value(uint16_t port)
{
	return (struct nft_value){ .type = NFT_T_PORT, .port = { port, port } };
}

static bool matches(const struct nft_value *have, const struct nft_value *key)
{
	if (have->type != key->type)
		return false;
	switch (have->type) {
	case NFT_T_IFNAME:
		return strncmp(have->ifname, key->ifname, sizeof(have->ifname)) == 0;
	case NFT_T_NFPROTO:
	case NFT_T_PROTO:
		return have->proto == key->proto;
	case NFT_T_IP4:
	case NFT_T_IP6:
	case NFT_T_ND:
		return ip_eq(&have->ip, &key->ip);
	case NFT_T_ETHER:
		return mac_eq(&have->mac, &key->mac);
	case NFT_T_PORT:
		return key->port.first >= have->port.first && key->port.first <= have->port.last;
	case NFT_T_NONE:
	case NFT_T_VERDICT:
		break;
	}
	return true;
}

struct key {
	struct nft_value v[NFT_MAX_KEY];
};

/* The element of a set with this key, or NULL. */
static const struct nft_elem *find(const struct why *w, const char *set, struct key key)
{
	for (size_t i = 0; i < w->plan.n; i++) {
		const struct plan_item *it = &w->plan.items[i];
		bool same = it->kind == PLAN_ELEM && streq(it->elem.set, set);

		for (unsigned k = 0; same && k < NFT_MAX_KEY; k++)
			same = matches(&it->elem.key[k], &key.v[k]);
		if (same)
			return &it->elem;
	}
	return NULL;
}

static bool has_link(const struct why *w, const char *set, const char *link)
{
	return find(w, set, (struct key){ { ifname(link) } });
}

static bool has_mode(const struct why *w, const char *set, const char *bridge, int family)
{
	return find(w, set, (struct key){ { ifname(bridge), nfproto(family) } });
}

/* One of two sets by family. */
static const char *by_family(const struct why_packet *k, const char *four, const char *six)
{
	return k->to.family == AF_INET ? four : six;
}

static const struct nft_elem *find_port(const struct why *w, const char *set,
					const struct why_packet *k)
{
	return find(w, set,
		    (struct key){ { address(&k->to), protocol(w->proto), port_value(k->port) } });
}

static const struct nft_elem *find_port_any(const struct why *w, const char *set,
					    const struct why_packet *k)
{
	return find(w, set, (struct key){ { protocol(w->proto), port_value(k->port) } });
}

static bool has_pinhole(const struct why *w, const char *set, const struct why_packet *k)
{
	return w->proto && find(w, set,
				(struct key){ { address(&k->from), address(&k->to),
						protocol(w->proto), port_value(k->port) } });
}

/* ---- what there is to know of a bridge */

static const char *same_verdict(const struct why *w, const char *in, const char *out)
{
	const struct nft_elem *e = find(w, "same", (struct key){ { ifname(in), ifname(out) } });

	return e ? e->data[0].verdict : "";
}

bool why_has_icc(const struct why *w, const char *bridge)
{
	const char *verdict = same_verdict(w, bridge, bridge);

	return streq(verdict, "accept");
}

bool why_is_internal(const struct why *w, const char *bridge)
{
	return has_link(w, "internal", bridge);
}

bool why_is_routed(const struct why *w, const char *bridge, int family)
{
	return has_mode(w, "routed", bridge, family);
}

enum why_leave why_leave(const struct why *w, const char *bridge, int family, struct cnm_ip *ret_as)
{
	bool four = family == AF_INET;
	const struct nft_elem *e =
		find(w, four ? "snat4" : "snat6", (struct key){ { ifname(bridge) } });

	if (e) {
		*ret_as = e->data[0].ip;
		return WHY_LEAVE_AS;
	}
	return has_link(w, four ? "masq4" : "masq6", bridge) ? WHY_LEAVE_MASQUERADED
							     : WHY_LEAVE_UNCHANGED;
}

/* ---- the chains */

/* noicc, of the inet table. */
static enum why_end noicc(const struct why *w, const struct why_packet *k)
{
	if (k->published)
		return WHY_PUBLISHED;
	return has_pinhole(w, by_family(k, "pinholes4", "pinholes6"), k) ? WHY_SAME : WHY_DROP_ICC;
}

/* *ret is set when the map `same` has an end for it. */
static bool same(const struct why *w, const struct why_packet *k, enum why_end *ret)
{
	const char *verdict = same_verdict(w, k->in, k->out);

	if (!verdict[0])
		return false;
	if (streq(verdict, "goto noicc"))
		*ret = noicc(w, k);
	else
		*ret = streq(verdict, "drop") ? WHY_DROP_ICC : WHY_SAME;
	return true;
}

static bool is_open(const struct why *w, const struct why_packet *k)
{
	return w->proto && (find_port(w, by_family(k, "open4", "open6"), k) ||
			    find_port(w, by_family(k, "openrange4", "openrange6"), k));
}

static enum why_end fwd_in(const struct why *w, const struct why_packet *k)
{
	bool internal = why_is_internal(w, k->out);
	enum why_end end;

	if (!internal && why_is_internal(w, k->in))
		return WHY_DROP_FROM_INTERNAL;
	if (same(w, k, &end))
		return end;
	if (internal)
		return WHY_DROP_TO_INTERNAL;
	if (k->published)
		return WHY_PUBLISHED;
	if (is_open(w, k))
		return WHY_OPEN;
	if (has_mode(w, "unprotected", k->out, k->to.family))
		return WHY_UNPROTECTED;
	if (find(w, "trusted", (struct key){ { ifname(k->out), ifname(k->in) } }))
		return WHY_TRUSTED;
	if (w->proto)
		return WHY_DROP_CLOSED;
	return why_is_routed(w, k->out, k->to.family) ? WHY_ROUTED_PING : WHY_DROP_PING;
}

enum why_end why_forward(const struct why *w, const struct why_packet *k)
{
	const struct nft_elem *e;

	if (has_link(w, "brs", k->out))
		return fwd_in(w, k);
	if (has_link(w, "brs", k->in))
		return why_is_internal(w, k->in) ? WHY_DROP_FROM_INTERNAL : WHY_OUT;
	e = find(w, "foreign", (struct key){ { nfproto(k->to.family) } });
	return e && streq(e->data[0].verdict, "drop") ? WHY_DROP_FOREIGN : WHY_FOREIGN;
}

bool why_between(const struct why *w, const char *in, const char *out, const struct why_packet *k)
{
	if (!has_link(w, "noicc", in) || !has_link(w, "noicc", out))
		return true;
	return has_pinhole(w, by_family(k, "links4", "links6"), k);
}

/* ---- published ports */

static enum port_way translated(const struct nft_elem *e, const struct why_packet *k,
				struct cnm_ip *ret_ip, uint16_t *ret_port)
{
	*ret_ip = e->data[0].ip;
	*ret_port = e->data[1].type == NFT_T_PORT ? e->data[1].port.first : k->port;
	return PORT_NAT;
}

static enum port_way publish4(const struct why *w, const struct why_packet *k,
			      struct cnm_ip *ret_ip, uint16_t *ret_port)
{
	const struct nft_elem *e = find_port(w, "pub4", k);

	if (!e)
		e = find_port(w, "range4", k);
	if (!e)
		e = find_port_any(w, "pub4any", k);
	if (!e)
		e = find_port_any(w, "range4any", k);
	return e ? translated(e, k, ret_ip, ret_port) : PORT_NONE;
}

static enum port_way publish6(const struct why *w, const struct why_packet *k,
			      struct cnm_ip *ret_ip, uint16_t *ret_port)
{
	bool linklocal = ip_is_linklocal(&k->from);
	const struct nft_elem *e = NULL;

	if (find_port(w, "proxied", k) || find_port(w, "proxiedrange", k))
		return PORT_PROXY;
	if (!linklocal) {
		e = find_port(w, "pub6", k);
		if (!e)
			e = find_port(w, "range6", k);
	}
	if (e)
		return translated(e, k, ret_ip, ret_port);
	if (find_port_any(w, "proxiedany", k) || find_port_any(w, "proxiedrangeany", k))
		return PORT_PROXY;
	if (linklocal || ip_is_loopback(&k->to))
		return PORT_NONE;
	e = find_port_any(w, "pub6any", k);
	if (!e)
		e = find_port_any(w, "range6any", k);
	return e ? translated(e, k, ret_ip, ret_port) : PORT_NONE;
}

enum port_way why_publish(const struct why *w, const struct why_packet *k, struct cnm_ip *ret_ip,
			  uint16_t *ret_port)
{
	enum port_way way;

	if (!w->proto)
		return PORT_NONE;
	way = k->to.family == AF_INET ? publish4(w, k, ret_ip, ret_port)
				      : publish6(w, k, ret_ip, ret_port);
	/* The proxy takes these two; the rest of what comes to it is the host's own. */
	if (way == PORT_PROXY && w->proto != IPPROTO_TCP && w->proto != IPPROTO_UDP)
		return PORT_NONE;
	return way;
}
