/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plans as data: building, and their text. See plan.h.
 */
#include "plan/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void item_release(struct plan_item *i)
{
	switch (i->kind) {
	case PLAN_FILE:
		free(i->file.path);
		free(i->file.content);
		break;
	case PLAN_SYSCTL:
		free(i->sysctl.path);
		free(i->sysctl.value);
		break;
	case PLAN_NETNS:
		free(i->netns.name);
		free(i->netns.source);
		break;
	case PLAN_HOLD:
		free(i->hold.ports);
		break;
	case PLAN_ELEM:
	case PLAN_LINK:
	case PLAN_OVS:
	case PLAN_PEER:
	case PLAN_MOVED:
	case PLAN_ADDR:
	case PLAN_ROUTE:
	case PLAN_DNS:
	case PLAN_FDB:
	case PLAN_NEIGH:
	case PLAN_N_KINDS:
		break;
	}
}

void plan_free(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		item_release(&p->items[i]);
	free(p->items);
	memset(p, 0, sizeof(*p));
}

int plan_check(const struct plan *p, struct cnm_error *err)
{
	return p->failed ? cnm_error_errno(err, ENOMEM, "make the plan") : 0;
}

struct plan_item *plan_add(struct plan *p, enum plan_kind kind, const char *sandbox,
			   const char *owner)
{
	struct plan_item *i;

	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		struct plan_item *items = reallocarray(p->items, cap, sizeof(*items));

		if (!items) {
			p->failed = true;
			return NULL;
		}
		p->items = items;
		p->cap = cap;
	}
	i = &p->items[p->n++];
	memset(i, 0, sizeof(*i));
	i->kind = kind;
	if (sandbox)
		str_copy(i->sandbox, sizeof(i->sandbox), sandbox);
	str_copy(i->owner, sizeof(i->owner), owner);
	return i;
}

void plan_spoil(struct plan *p)
{
	item_release(&p->items[--p->n]);
	p->failed = true;
}

void plan_add_addr(struct plan *p, const char *sandbox, const char *owner, const char *link,
		   const struct cnm_ip *ip, unsigned len)
{
	struct plan_item *i = plan_add(p, PLAN_ADDR, sandbox, owner);

	if (!i)
		return;
	str_copy(i->addr.link, sizeof(i->addr.link), link);
	i->addr.addr = (struct cnm_prefix){ .ip = *ip, .len = len };
}

void plan_add_sysctl(struct plan *p, const char *sandbox, const char *owner, const char *path,
		     const char *value)
{
	struct plan_item *i = plan_add(p, PLAN_SYSCTL, sandbox, owner);

	if (!i)
		return;
	i->sysctl.path = strdup(path);
	i->sysctl.value = strdup(value);
	if (!i->sysctl.path || !i->sysctl.value)
		plan_spoil(p);
}

void plan_add_netns(struct plan *p, const char *place, const char *owner, const char *name,
		    const char *source)
{
	struct plan_item *i = plan_add(p, PLAN_NETNS, place, owner);

	if (!i)
		return;
	i->netns.name = strdup(name);
	i->netns.source = strdup(source);
	if (!i->netns.name || !i->netns.source)
		plan_spoil(p);
}

void plan_add_fdb(struct plan *p, const char *place, const char *owner, const char *link,
		  const struct cnm_mac *mac, const struct cnm_ip *dst)
{
	struct plan_item *i = plan_add(p, PLAN_FDB, place, owner);

	if (!i)
		return;
	str_copy(i->fdb.link, sizeof(i->fdb.link), link);
	if (mac)
		i->fdb.mac = *mac;
	i->fdb.dst = *dst;
}

void plan_add_neigh(struct plan *p, const char *place, const char *owner, const char *link,
		    const struct cnm_ip *ip, const struct cnm_mac *mac)
{
	struct plan_item *i = plan_add(p, PLAN_NEIGH, place, owner);

	if (!i)
		return;
	str_copy(i->neigh.link, sizeof(i->neigh.link), link);
	i->neigh.ip = *ip;
	i->neigh.mac = *mac;
}

void plan_add_file(struct plan *p, const char *sandbox, const char *owner, const char *path,
		   char *content, enum plan_file_edits edits)
{
	struct plan_item *i = plan_add(p, PLAN_FILE, sandbox, owner);

	if (!i) {
		free(content);
		return;
	}
	i->file.path = strdup(path);
	i->file.content = content;
	i->file.edits = edits;
	if (!i->file.path || !content)
		plan_spoil(p);
}

static struct nft_elem *add_elem(struct plan *p, const char *place, const char *owner,
				 const char *set)
{
	struct plan_item *i = plan_add(p, PLAN_ELEM, place, owner);

	if (!i)
		return NULL;
	i->elem.set = nft_set_by_name(set)->name;
	return &i->elem;
}

/* In the order of the set's types. A port is one argument, or first and last. */
static void elem_value(struct nft_value *v, enum nft_type type, bool interval, va_list *args)
{
	v->type = type;
	switch (type) {
	case NFT_T_IFNAME:
		str_copy(v->ifname, sizeof(v->ifname), va_arg(*args, const char *));
		break;
	case NFT_T_IP4:
	case NFT_T_IP6:
	case NFT_T_ND:
		v->ip = *va_arg(*args, const struct cnm_ip *);
		break;
	case NFT_T_ETHER:
		v->mac = *va_arg(*args, const struct cnm_mac *);
		break;
	case NFT_T_NFPROTO:
	case NFT_T_PROTO:
		v->proto = (uint8_t)va_arg(*args, int);
		break;
	case NFT_T_PORT:
		v->port.first = (uint16_t)va_arg(*args, int);
		v->port.last = interval ? (uint16_t)va_arg(*args, int) : v->port.first;
		break;
	case NFT_T_VERDICT:
		str_copy(v->verdict, sizeof(v->verdict), va_arg(*args, const char *));
		break;
	case NFT_T_NONE:
		break;
	}
}

void plan_add_elemf(struct plan *p, const char *place, const char *owner, const char *set, ...)
{
	const struct nft_set *types = nft_set_by_name(set);
	struct nft_elem *e = add_elem(p, place, owner, set);
	va_list args;

	if (!e)
		return;
	va_start(args, set);
	for (unsigned i = 0; i < NFT_MAX_KEY; i++)
		elem_value(&e->key[i], types->key[i], types->interval, &args);
	for (unsigned i = 0; i < NFT_MAX_DATA; i++)
		elem_value(&e->data[i], types->data[i], false, &args);
	va_end(args);
}

static int compare_ports(const void *a, const void *b)
{
	const struct hostports *x = a, *y = b;
	int c = x->proto != y->proto ? x->proto - y->proto : ip_cmp(&x->ip, &y->ip);

	return c ? c : x->first != y->first ? x->first - y->first : x->last - y->last;
}

/* Sorted and joined, so that the same ports are the same text. Returns how many runs there are. */
static size_t join_ports(struct hostports *p, size_t n)
{
	size_t k = 0;

	qsort(p, n, sizeof(*p), compare_ports);
	for (size_t i = 1; i < n; i++) {
		if (p[i].proto == p[k].proto && ip_eq(&p[i].ip, &p[k].ip) &&
		    p[i].first <= p[k].last + 1) {
			if (p[i].last > p[k].last)
				p[k].last = p[i].last;
		} else {
			p[++k] = p[i];
		}
	}
	return n ? k + 1 : 0;
}

void plan_add_hold(struct plan *p, const char *owner, const struct hostports *ports, size_t n,
		   const struct cnm_ip targets[2])
{
	struct plan_item *i = plan_add(p, PLAN_HOLD, NULL, owner);

	if (!i)
		return;
	i->hold.ports = calloc(n + 1, sizeof(*ports));
	if (!i->hold.ports) {
		plan_spoil(p);
		return;
	}
	if (n)
		memcpy(i->hold.ports, ports, n * sizeof(*ports));
	i->hold.n = join_ports(i->hold.ports, n);
	memcpy(i->hold.targets, targets, sizeof(i->hold.targets));
}

void plan_give_away(struct plan *p, size_t first, const char *place)
{
	size_t n = first;

	for (size_t k = first; k < p->n; k++) {
		struct plan_item *i = &p->items[k];

		if (streq(i->sandbox, place)) {
			item_release(i);
			continue;
		}
		if (i->kind == PLAN_LINK && streq(i->link.peer_sandbox, place)) {
			i->link.peer_sandbox[0] = 0;
			i->link.peer_away = true;
		}
		if (i->kind == PLAN_OVS && streq(i->ovs.peer_sandbox, place))
			i->ovs.peer_sandbox[0] = 0;
		p->items[n++] = *i;
	}
	p->n = n;
}

void plan_move(struct plan *dst, struct plan *src)
{
	dst->failed |= src->failed;
	for (size_t k = 0; k < src->n; k++) {
		struct plan_item *i = plan_add(dst, src->items[k].kind, NULL, "");

		if (i)
			*i = src->items[k];
		else
			item_release(&src->items[k]);
	}
	free(src->items);
	memset(src, 0, sizeof(*src));
}

const char *plan_kind_name(enum plan_kind kind)
{
	static const char *const names[] = { "netns", "file", "ports", "element",  "link",
					     "ovs",   "peer", "moved", "sysctl",   "addr",
					     "route", "dns",  "fdb",   "neighbour" };
	_Static_assert(sizeof(names) / sizeof(*names) == PLAN_N_KINDS, "one a kind");

	return names[kind];
}

static void fdb_key(const struct plan_item *i, struct strbuf *b)
{
	char mac[MAC_STR], ip[IP_STR];

	if (mac_is_set(&i->fdb.mac))
		strbuf_add(b, mac_format(&i->fdb.mac, mac));
	else
		strbuf_addf(b, "everybody at %s", ip_format(&i->fdb.dst, ip));
	strbuf_addf(b, " on %s", i->fdb.link);
}

void plan_item_key(const struct plan_item *i, struct strbuf *b)
{
	char buf[PREFIX_STR];

	strbuf_add(b, plan_kind_name(i->kind));
	strbuf_add(b, " ");
	switch (i->kind) {
	case PLAN_NETNS:
		strbuf_add(b, i->netns.name);
		break;
	case PLAN_FILE:
		strbuf_add(b, i->file.path);
		break;
	case PLAN_HOLD:
		strbuf_add(b, i->owner);
		break;
	case PLAN_ELEM:
		strbuf_addf(b, "%s { ", i->elem.set);
		nft_elem_key_text(&i->elem, b);
		strbuf_add(b, " }");
		break;
	case PLAN_LINK:
		strbuf_add(b, i->link.name);
		break;
	case PLAN_PEER:
		strbuf_add(b, i->peer.name);
		break;
	case PLAN_OVS:
		strbuf_addf(b, "%s %s", i->ovs.port[0] ? "port" : "bridge",
			    i->ovs.port[0] ? i->ovs.port : i->ovs.bridge);
		break;
	case PLAN_MOVED:
		strbuf_add(b, i->moved.name);
		break;
	case PLAN_SYSCTL:
		strbuf_add(b, i->sysctl.path);
		break;
	case PLAN_ADDR:
		strbuf_addf(b, "%s on %s", prefix_format(&i->addr.addr, buf), i->addr.link);
		break;
	case PLAN_ROUTE:
		if (i->route.dst.len == 0)
			strbuf_addf(b, "default (%s)",
				    ip_bits(&i->route.dst.ip) == 32 ? "IPv4" : "IPv6");
		else
			strbuf_add(b, prefix_format(&i->route.dst, buf));
		break;
	case PLAN_DNS:
		strbuf_add(b, "127.0.0.11");
		break;
	case PLAN_FDB:
		fdb_key(i, b);
		break;
	case PLAN_NEIGH:
		strbuf_addf(b, "%s on %s", ip_format(&i->neigh.ip, buf), i->neigh.link);
		break;
	case PLAN_N_KINDS:
		break;
	}
}

const char *plan_item_home(const struct plan_item *i)
{
	bool near_end = i->kind == PLAN_LINK && i->link.type == PLAN_VETH && !i->link.peer_away;

	return near_end                                ? i->link.peer_sandbox
	       : i->kind == PLAN_OVS && i->ovs.port[0] ? i->ovs.peer_sandbox
						       : i->sandbox;
}

bool plan_same_object(const struct plan_item *a, const struct plan_item *b)
{
	struct strbuf ka = { 0 }, kb = { 0 };
	bool same = false;

	if (a->kind == b->kind && streq(a->sandbox, b->sandbox)) {
		plan_item_key(a, &ka);
		plan_item_key(b, &kb);
		same = ka.s && kb.s && streq(ka.s, kb.s);
	}
	strbuf_free(&ka);
	strbuf_free(&kb);
	return same;
}

/* Enough of a content to tell two apart in a line. */
static void content_digest(const char *s, struct strbuf *b)
{
	uint64_t h = 14695981039346656037u;
	size_t n = 0;

	for (; s[n]; n++)
		h = (h ^ (unsigned char)s[n]) * 1099511628211u;
	strbuf_addf(b, "%zu bytes, digest %016llx", n, (unsigned long long)h);
}

static void link_attrs(const struct plan_link *l, struct strbuf *b)
{
	static const char *const types[] = { "bridge", "veth", "vxlan" };
	char buf[IP_STR];

	strbuf_add(b, types[l->type]);
	if (l->type == PLAN_VXLAN)
		strbuf_addf(b, " id %u port %u", l->vxlan_id, l->port);
	if (ip_is_set(&l->local))
		strbuf_addf(b, " from %s", ip_format(&l->local, buf));
	if (l->borrowed)
		strbuf_add(b, " borrowed");
	if (mac_is_set(&l->mac))
		strbuf_addf(b, " mac %s", mac_format(&l->mac, buf));
	if (l->mtu)
		strbuf_addf(b, " mtu %u", l->mtu);
	if (l->master[0])
		strbuf_addf(b, " port of %s", l->master);
	if (l->hairpin)
		strbuf_add(b, " hairpin");
	if (l->closed)
		strbuf_add(b, " closed");
	if (l->isolated)
		strbuf_add(b, " isolated");
	if (l->locked)
		strbuf_add(b, " locked");
	if (l->peer_away)
		strbuf_addf(b, " to %s elsewhere", l->peer);
	else if (l->type == PLAN_VETH)
		strbuf_addf(b, " to %s in sandbox %.12s", l->peer, l->peer_sandbox);
	strbuf_add(b, " up");
}

/* "tcp 0.0.0.0:80, udp [::]:5000-5010 to 172.18.0.2 fd00::2" */
static void hold_attrs(const struct plan_item *i, struct strbuf *b)
{
	const char *to = "to ";
	char ip[IP_STR];

	for (size_t k = 0; k < i->hold.n; k++) {
		const struct hostports *p = &i->hold.ports[k];
		bool is6 = ip_bits(&p->ip) == 128;

		strbuf_addf(b, "%s%s %s%s%s:%u", k ? ", " : "", hostports_proto_name(p->proto),
			    is6 ? "[" : "", ip_format(&p->ip, ip), is6 ? "]" : "", p->first);
		if (p->last != p->first)
			strbuf_addf(b, "-%u", p->last);
	}
	for (unsigned f = 0; f < 2; f++) {
		if (!ip_is_set(&i->hold.targets[f]))
			continue;
		strbuf_addf(b, " %s%s", to, ip_format(&i->hold.targets[f], ip));
		to = "";
	}
}

void plan_item_attrs(const struct plan_item *i, struct strbuf *b)
{
	char buf[IP_STR];

	switch (i->kind) {
	case PLAN_NETNS:
		strbuf_add(b, i->netns.source);
		break;
	case PLAN_FILE:
		content_digest(i->file.content, b);
		break;
	case PLAN_HOLD:
		hold_attrs(i, b);
		break;
	case PLAN_ELEM:
		nft_elem_data_text(&i->elem, b);
		break;
	case PLAN_LINK:
		link_attrs(&i->link, b);
		break;
	case PLAN_PEER:
		strbuf_addf(b, "mac %s", mac_format(&i->peer.mac, buf));
		if (i->peer.mtu)
			strbuf_addf(b, " mtu %u", i->peer.mtu);
		strbuf_add(b, " up");
		break;
	case PLAN_OVS:
		if (i->ovs.port[0])
			strbuf_addf(b, "of %s", i->ovs.bridge);
		if (i->ovs.vlan)
			strbuf_addf(b, " VLAN %u", i->ovs.vlan);
		if (i->ovs.borrowed)
			strbuf_add(b, "borrowed");
		break;
	case PLAN_MOVED:
		strbuf_addf(b, "the host's %s", i->moved.source);
		if (mac_is_set(&i->moved.mac))
			strbuf_addf(b, " mac %s", mac_format(&i->moved.mac, buf));
		strbuf_add(b, i->moved.down ? " down" : " up");
		break;
	case PLAN_SYSCTL:
		strbuf_add(b, i->sysctl.value);
		break;
	case PLAN_ROUTE:
		if (ip_is_set(&i->route.gateway))
			strbuf_addf(b, "via %s ", ip_format(&i->route.gateway, buf));
		strbuf_addf(b, "dev %s", i->route.link);
		break;
	case PLAN_DNS:
		strbuf_add(b, "served");
		break;
	case PLAN_FDB:
		if (mac_is_set(&i->fdb.mac))
			strbuf_addf(b, "at %s", ip_format(&i->fdb.dst, buf));
		break;
	case PLAN_NEIGH:
		strbuf_add(b, mac_format(&i->neigh.mac, buf));
		break;
	case PLAN_ADDR:
	case PLAN_N_KINDS:
		break;
	}
}

/* Sandboxes have no links of the host's kinds, networks nothing else. */
static const char *place_word(const struct plan_item *i)
{
	bool network = i->kind == PLAN_LINK || i->kind == PLAN_ELEM || i->kind == PLAN_FDB ||
		       i->kind == PLAN_NEIGH ||
		       (i->kind == PLAN_NETNS && streq(i->netns.source, "bare")) ||
		       (i->kind == PLAN_SYSCTL && str_after(i->sysctl.path, "net/bridge/"));

	return !i->sandbox[0] ? "host" : network ? "network" : "sandbox";
}

void plan_item_where(const struct plan_item *i, struct strbuf *b)
{
	strbuf_addf(b, "%s%s%s%.12s", i->sandbox[0] ? "in " : "on the ", place_word(i),
		    i->sandbox[0] ? " " : "", i->sandbox);
}

/* One line without newline: where, key, attributes if there are any. */
static void item_line(const struct plan_item *i, struct strbuf *b)
{
	struct strbuf attrs = { 0 };

	strbuf_addf(b, "%s%s%.12s: ", place_word(i), i->sandbox[0] ? " " : "", i->sandbox);
	plan_item_key(i, b);
	plan_item_attrs(i, &attrs);
	if (attrs.len)
		strbuf_addf(b, ": %s", attrs.s);
	b->failed |= attrs.failed;
	strbuf_free(&attrs);
}

char *plan_text(const struct plan *p)
{
	struct strbuf b = { 0 };

	for (size_t i = 0; i < p->n; i++) {
		item_line(&p->items[i], &b);
		strbuf_add(&b, "\n");
	}
	return strbuf_take(&b);
}

char *plan_diff_text(const struct plan_diff *d)
{
	static const char *const signs[] = { "- ", "~ ", "+ " };
	struct strbuf b = { 0 };

	for (size_t i = 0; i < d->n; i++) {
		const struct plan_op *op = &d->ops[i];

		strbuf_add(&b, signs[op->action]);
		item_line(op->want ? op->want : op->have, &b);
		strbuf_add(&b, "\n");
	}
	return strbuf_take(&b);
}
