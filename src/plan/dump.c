/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading the kernel back into a plan. Guided by what is wanted: an item that is there becomes a
 * copy of the wanted one with the attributes that deviate put in, so that what is not compared (an
 * MTU nobody asked for) never differs. What bears our mark and nobody wants comes in besides.
 *
 * A veth is looked at from its sandbox: both ends belong together, and one whose other end is not
 * where it should be is "broken" (its peer's name is empty) and made anew. One whose other end is
 * another program's is looked at by itself.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/neighbour.h>

#include "base/cleanup.h"
#include "plan/apply_internal.h"

/* What one namespace has. Arrays grow by doubling. */
struct seen {
	struct rtnl_link *links;
	unsigned n_links, cap_links;
	struct seen_addr {
		int ifindex;
		struct cnm_prefix addr;
	} * addrs;
	unsigned n_addrs, cap_addrs;
	struct rtnl_route *routes;
	unsigned n_routes, cap_routes;
	struct tables tables;
};

static void seen_free(struct seen *s)
{
	free(s->links);
	free(s->addrs);
	free(s->routes);
	tables_free(&s->tables);
}

void *dump_grow(void *array, unsigned n, unsigned *cap, size_t size)
{
	unsigned c = *cap ? *cap * 2 : 16;
	void *p;

	if (n < *cap)
		return array;
	p = reallocarray(array, c, size);
	if (p)
		*cap = c;
	return p;
}

static int see_link(const struct rtnl_link *l, void *arg)
{
	struct seen *s = arg;
	struct rtnl_link *p = dump_grow(s->links, s->n_links, &s->cap_links, sizeof(*p));

	if (!p)
		return -ENOMEM;
	s->links = p;
	s->links[s->n_links++] = *l;
	return 0;
}

static int see_addr(int ifindex, const struct cnm_prefix *addr, uint8_t scope, uint32_t flags,
		    void *arg)
{
	struct seen *s = arg;
	struct seen_addr *p = dump_grow(s->addrs, s->n_addrs, &s->cap_addrs, sizeof(*p));

	if (!p)
		return -ENOMEM;
	s->addrs = p;
	s->addrs[s->n_addrs++] = (struct seen_addr){ .ifindex = ifindex, .addr = *addr };
	return 0;
}

static int see_route(const struct rtnl_route *r, void *arg)
{
	struct seen *s = arg;
	struct rtnl_route *p;

	if (r->protocol != RTNL_PROTO_CNM)
		return 0;
	p = dump_grow(s->routes, s->n_routes, &s->cap_routes, sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->routes = p;
	s->routes[s->n_routes++] = *r;
	return 0;
}

static void unsee_links(void *arg)
{
	((struct seen *)arg)->n_links = 0;
}

static void unsee_addrs(void *arg)
{
	((struct seen *)arg)->n_addrs = 0;
}

static void unsee_routes(void *arg)
{
	((struct seen *)arg)->n_routes = 0;
}

static const struct rtnl_link *link_named(const struct seen *s, const char *name)
{
	for (unsigned i = 0; i < s->n_links; i++)
		if (streq(s->links[i].name, name))
			return &s->links[i];
	return NULL;
}

static const struct rtnl_link *link_at(const struct seen *s, int ifindex)
{
	for (unsigned i = 0; i < s->n_links; i++)
		if (s->links[i].ifindex == ifindex)
			return &s->links[i];
	return NULL;
}

/* ---- one item each: append what there is of `w` to `have` */

struct dump {
	struct applier *a;
	const struct plan *want;
	const char *place;
	bool network; /* the place is a network's */
	int anew;     /* index of a VXLAN link in it that will be made anew */
	struct seen seen;
	json_t *ovs; /* what Open vSwitch has */
	struct plan *have;
};

/* No plan has routes on the host, nor neighbours there or in sandboxes; there may be very many. */
static int see(struct dump *d, struct nl *nl, struct cnm_error *err)
{
	struct seen *s = &d->seen;
	int rc = rtnl_links(nl, see_link, unsee_links, s, err);

	if (rc == 0)
		rc = rtnl_addrs(nl, see_addr, unsee_addrs, s, err);
	if (rc == 0 && d->place[0])
		rc = rtnl_routes(nl, 0, see_route, unsee_routes, s, err);
	if (rc == 0 && d->network)
		rc = tables_read(nl, &s->tables, err);
	return rc;
}

static struct plan_item *copy_of(struct dump *d, const struct plan_item *w)
{
	struct plan_item *i = plan_add(d->have, w->kind, w->sandbox, w->owner);

	if (i)
		*i = *w;
	return i;
}

/* A link of somebody else's that has our name is none of ours: as far as we go, ours is not there.
 */
static bool is_marked(const struct dump *d, const struct rtnl_link *l, char owner[static ID_SIZE])
{
	char prefix[64];
	const char *id;

	snprintf(prefix, sizeof(prefix), "cnm:%s:", d->a->opt.instance);
	id = str_after(l->alias, prefix);
	str_copy(owner, ID_SIZE, id ? id : "");
	return id || l->group == d->a->group || l->group == d->a->group + 1;
}

/* What the plan has no attribute for is told by the MAC; all is asserted again with it. */
static void differ(struct plan_item *i, const struct plan_item *w, const struct rtnl_link *l)
{
	i->link.mac = mac_is_set(&w->link.mac) ? (struct cnm_mac){ 0 } : l->mac;
}

/* Attributes of a link that is there, as the plan would say them. */
static void deviate(const struct dump *d, struct plan_item *i, const struct plan_item *w,
		    const struct rtnl_link *l)
{
	const struct rtnl_link *master = l->master ? link_at(&d->seen, l->master) : NULL;

	if (i->link.borrowed)
		return;
	if (mac_is_set(&i->link.mac))
		i->link.mac = l->mac;
	if (i->link.mtu)
		i->link.mtu = l->mtu;
	if (l->group != d->a->group || !l->up)
		differ(i, w, l);
	i->link.hairpin = l->port_hairpin;
	if (w->link.closed) {
		i->link.closed = !l->port_learning && !l->port_flood;
		i->link.isolated = l->port_isolated;
		i->link.locked = l->port_locked;
	}
	if (w->link.type != PLAN_VETH && i->link.master[0] &&
	    (!master || !streq(master->name, i->link.master)))
		i->link.master[0] = 0;
}

static void dump_bridge(struct dump *d, const struct plan_item *w)
{
	const struct rtnl_link *l = link_named(&d->seen, w->link.name);
	char owner[ID_SIZE];
	struct plan_item *i;

	if (!l || l->kind != RTNL_BRIDGE || !(w->link.borrowed || is_marked(d, l, owner)) ||
	    !(i = copy_of(d, w)))
		return;
	deviate(d, i, w, l);
	if (!w->link.borrowed && (l->br_stp || l->br_forward_delay || l->br_mcast_snooping))
		differ(i, w, l);
}

static void dump_vxlan(struct dump *d, const struct plan_item *w)
{
	const struct rtnl_link *l = link_named(&d->seen, w->link.name);
	char owner[ID_SIZE];
	struct plan_item *i;

	if (!l || l->kind != RTNL_VXLAN || !is_marked(d, l, owner) || !(i = copy_of(d, w)))
		return;
	deviate(d, i, w, l);
	i->link.vxlan_id = l->vx_id;
	i->link.port = l->vx_port;
	i->link.local = l->vx_local;
	if (l->vx_learning || !l->vx_proxy) /* these cannot be changed either */
		i->link.port = 0;
	if (link_is_another(i, w))
		d->anew = l->ifindex;
}

/* Of a bridge in a network's place, which knows of a port what it was told. */
static bool knows_peer(struct nl *nl, const struct plan_item *w, const struct rtnl_link *l)
{
	struct rtnl_neigh entry;

	return l->master && rtnl_bridge_fdb(nl, l->master, &w->link.peer_mac, &entry) == 0 &&
	       entry.ifindex == l->ifindex && entry.state & NUD_NOARP;
}

static int dump_veth(struct dump *d, const struct plan_item *w, struct cnm_error *err)
{
	const struct rtnl_link *peer = link_named(&d->seen, w->link.peer);
	struct nl *nl = place_rtnl(d->a, w->sandbox, NULL);
	struct rtnl_link l, master;
	char owner[ID_SIZE];
	struct plan_item *i;
	int rc = nl ? rtnl_link_by_name(nl, w->link.name, &l, err) : -ENODEV;

	if (rc == -ENODEV)
		return 0;
	if (rc < 0)
		return rc;
	if (l.kind != RTNL_VETH || !is_marked(d, &l, owner) || !(i = copy_of(d, w)))
		return 0;
	deviate(d, i, w, &l);
	if (!w->link.peer_away && (!peer || peer->ifindex != l.peer))
		i->link.peer[0] = 0;
	if (w->link.master[0] && (rtnl_link_by_name(nl, w->link.master, &master, NULL) < 0 ||
				  master.ifindex != l.master))
		i->link.master[0] = 0;
	if (w->link.closed && !knows_peer(nl, w, &l))
		i->link.closed = false;
	return 0;
}

/*
 * A link that will be made anew has nothing on it, as far as the plan goes. It stands there before
 * what is on it.
 */
static void dump_table_item(struct dump *d, const struct plan_item *w)
{
	const char *name = w->kind == PLAN_FDB ? w->fdb.link : w->neigh.link;
	const struct rtnl_link *l = link_named(&d->seen, name);

	if (!l || l->kind != RTNL_VXLAN || l->ifindex == d->anew)
		return;
	tables_dump(&d->seen.tables, w, l->ifindex, d->have);
}

static void dump_peer(struct dump *d, const struct plan_item *w)
{
	const struct rtnl_link *l = link_named(&d->seen, w->peer.name);
	struct plan_item *i;

	if (!l || !(i = copy_of(d, w)))
		return;
	i->peer.mac = l->up ? l->mac : (struct cnm_mac){ 0 };
	if (i->peer.mtu)
		i->peer.mtu = l->mtu;
}

static void dump_addr(struct dump *d, const struct plan_item *w)
{
	const struct rtnl_link *l = link_named(&d->seen, w->addr.link);

	for (unsigned i = 0; l && i < d->seen.n_addrs; i++) {
		if (d->seen.addrs[i].ifindex == l->ifindex &&
		    prefix_eq(&d->seen.addrs[i].addr, &w->addr.addr)) {
			copy_of(d, w);
			return;
		}
	}
}

/* The routes with our mark: wanted ones with their attributes, others to be removed. */
static void dump_routes(struct dump *d)
{
	for (unsigned i = 0; i < d->seen.n_routes; i++) {
		const struct rtnl_route *r = &d->seen.routes[i];
		const struct rtnl_link *l = link_at(&d->seen, r->ifindex);
		struct plan_item *it;

		if (!l)
			continue;
		it = plan_add(d->have, PLAN_ROUTE, d->place, "");
		if (!it)
			return;
		it->route.dst = r->dst;
		it->route.gateway = r->gateway;
		str_copy(it->route.link, sizeof(it->route.link), l->name);
	}
}

static int dump_sysctl(struct dump *d, const struct plan_item *w)
{
	struct handle *h = w->sandbox[0] ? handle_open(d->a, w->sandbox, NULL) : NULL;
	struct plan_item *i;
	char value[256];
	int rc;

	if (w->sandbox[0] && !h)
		return 0;
	rc = sysctl_read(h ? h->ns : SYSCTL_HOME, w->sysctl.path, value, sizeof(value), NULL);
	if (rc == -ENOENT && sysctl_may_lack(w->sysctl.path))
		str_copy(value, sizeof(value), w->sysctl.value);
	else if (rc < 0)
		return 0;
	if (!(i = copy_of(d, w)))
		return -ENOMEM;
	i->sysctl.path = strdup(w->sysctl.path);
	i->sysctl.value = strdup(value);
	if (i->sysctl.path && i->sysctl.value)
		return 0;
	plan_spoil(d->have);
	return -ENOMEM;
}

/* Is the namespace pinned where it should be? */
static int dump_netns(struct dump *d, const struct plan_item *w)
{
	struct handle *h = handle_open(d->a, w->sandbox, NULL);
	uint64_t dev, ino, pin_dev, pin_ino;
	struct plan_item *i;
	char path[512];
	_close_ int pin = -1;

	snprintf(path, sizeof(path), "%s/%s", d->a->opt.netns_dir, w->netns.name);
	if (!h || netns_open_path(path, &pin, NULL) < 0 || netns_inode(h->ns, &dev, &ino) < 0 ||
	    netns_inode(pin, &pin_dev, &pin_ino) < 0 || dev != pin_dev || ino != pin_ino)
		return 0;
	if (!(i = copy_of(d, w)))
		return -ENOMEM;
	i->netns.name = strdup(w->netns.name);
	i->netns.source = strdup(w->netns.source);
	if (i->netns.name && i->netns.source)
		return 0;
	plan_spoil(d->have);
	return -ENOMEM;
}

static void dump_dns(struct dump *d, const struct plan_item *w)
{
	struct handle *h = handle_open(d->a, w->sandbox, NULL);

	if (h && h->udp >= 0 && dns_is_local(h) &&
	    netns_dns_table_check(h->ns, h->udp, h->tcp, NULL) == 1)
		copy_of(d, w);
}

static int dump_item(struct dump *d, const struct plan_item *w, struct cnm_error *err)
{
	switch (w->kind) {
	case PLAN_NETNS:
		return dump_netns(d, w);
	case PLAN_FILE:
		file_dump(w, d->have);
		return 0;
	case PLAN_SYSCTL:
		return dump_sysctl(d, w);
	case PLAN_LINK:
		if (w->link.type == PLAN_VETH)
			return dump_veth(d, w, err);
		if (w->link.type == PLAN_VXLAN)
			dump_vxlan(d, w);
		else
			dump_bridge(d, w);
		return 0;
	case PLAN_PEER:
		dump_peer(d, w);
		return 0;
	case PLAN_OVS:
		ovs_dump(&d->ovs, w, d->have);
		return 0;
	case PLAN_MOVED:
		moved_dump(d->a, w, link_named(&d->seen, w->moved.name), d->have);
		return 0;
	case PLAN_ADDR:
		dump_addr(d, w);
		return 0;
	case PLAN_DNS:
		dump_dns(d, w);
		return 0;
	case PLAN_HOLD:
		hold_dump(d->a, w, d->have);
		return 0;
	case PLAN_FDB:
	case PLAN_NEIGH:
		dump_table_item(d, w);
		return 0;
	case PLAN_ELEM:  /* dumped as a whole */
	case PLAN_ROUTE: /* likewise */
	case PLAN_N_KINDS:
		return 0;
	}
	return 0;
}

/* ---- what is ours and unwanted */

static char *elem_key(const struct nft_elem *e)
{
	struct strbuf b = { 0 };

	strbuf_addf(&b, "%s ", e->set);
	nft_elem_key_text(e, &b);
	return strbuf_take(&b);
}

static void free_keys(struct map *m)
{
	size_t pos = 0;
	char *key;

	while ((key = map_next(m, &pos)))
		free(key);
	map_free(m);
}

static int add_elem(const struct nft_elem *e, void *arg)
{
	struct dump *d = arg;
	struct plan_item *i = plan_add(d->have, PLAN_ELEM, d->place, "");

	if (!i)
		return -ENOMEM;
	i->elem = *e;
	return 0;
}

/* Those wanted that the dump left out, asked for one by one. */
static int look_for_rest(struct dump *d, struct nft *nft, size_t first, struct cnm_error *err)
{
	struct map seen = { 0 };
	struct nft_elem found;
	int rc = 0;

	for (size_t i = first; i < d->have->n && rc >= 0; i++) {
		char *text = elem_key(&d->have->items[i].elem);

		rc = text ? map_add(&seen, text, text) : -ENOMEM;
		if (rc < 0)
			free(text);
		rc = rc == -EEXIST ? 0 : rc;
	}
	for (size_t i = 0; i < d->want->n && rc >= 0; i++) {
		const struct plan_item *w = &d->want->items[i];
		bool here = w->kind == PLAN_ELEM && streq(w->sandbox, d->place);
		_free_ char *text = here ? elem_key(&w->elem) : NULL;

		if (text && !map_get(&seen, text) &&
		    (rc = nft_find(nft, &w->elem, &found, err)) > 0)
			rc = add_elem(&found, d);
	}
	free_keys(&seen);
	return rc < 0 ? rc : 0;
}

static bool wants_elems(const struct dump *d)
{
	for (size_t i = 0; i < d->want->n; i++)
		if (d->want->items[i].kind == PLAN_ELEM &&
		    streq(d->want->items[i].sandbox, d->place))
			return true;
	return false;
}

/* Of a place that should have none nobody asks: it would open a socket. */
static int dump_elems(struct dump *d, struct cnm_error *err)
{
	size_t first = d->have->n;
	const struct handle *h = map_get(&d->a->handles, d->place);
	struct nft *nft;
	int rc;

	if (d->place[0] && (!h || (!h->nft && !wants_elems(d))))
		return 0;
	nft = place_nft(d->a, d->place, err);
	rc = nft ? nft_loaded(nft, err) : -ENOENT;
	if (rc <= 0)
		return rc;
	rc = nft_dump(nft, add_elem, d, err);
	return rc < 0 ? rc : look_for_rest(d, nft, first, err);
}

static enum plan_link_type type_of(const struct rtnl_link *l)
{
	return l->kind == RTNL_BRIDGE  ? PLAN_BRIDGE
	       : l->kind == RTNL_VXLAN ? PLAN_VXLAN
				       : PLAN_VETH;
}

/* Marked links of the place that no item of the whole plan names. */
static int dump_stray_links(struct dump *d)
{
	struct map wanted = { 0 };
	int rc = 0;

	for (size_t i = 0; i < d->want->n && rc != -ENOMEM; i++)
		if (d->want->items[i].kind == PLAN_LINK &&
		    streq(d->want->items[i].sandbox, d->place))
			rc = map_add(&wanted, d->want->items[i].link.name,
				     (void *)&d->want->items[i]);
	for (unsigned i = 0; i < d->seen.n_links && rc != -ENOMEM; i++) {
		const struct rtnl_link *l = &d->seen.links[i];
		struct plan_item *it;
		char owner[ID_SIZE];

		if (!is_marked(d, l, owner) || map_get(&wanted, l->name))
			continue;
		it = plan_add(d->have, PLAN_LINK, d->place, owner);
		if (!it)
			break;
		str_copy(it->link.name, sizeof(it->link.name), l->name);
		it->link.type = type_of(l);
		it->link.mac = l->mac;
	}
	map_free(&wanted);
	return rc == -ENOMEM ? rc : 0;
}

/* FDB entries and neighbours that nobody wants, on links of ours that stay. */
static void dump_stray_entries(struct dump *d)
{
	char owner[ID_SIZE];

	for (unsigned i = 0; i < d->seen.n_links; i++) {
		const struct rtnl_link *l = &d->seen.links[i];

		if (l->kind == RTNL_VXLAN && l->ifindex != d->anew && is_marked(d, l, owner))
			tables_dump_rest(&d->seen.tables, d->place, l, d->have);
	}
}

/*
 * What is in one directory of run_dir/sandboxes; what goes with a file by the file's name. An empty
 * one is told by the file it lacks, whose removal takes the directory along.
 */
static void dump_files_of(struct dump *d, const char *id)
{
	char dir[400], path[900];
	bool empty = true;
	struct dirent *f;
	DIR *in;

	snprintf(dir, sizeof(dir), "%s/sandboxes/%s", d->a->opt.run_dir, id);
	in = opendir(dir);
	if (!in)
		return;
	while ((f = readdir(in))) {
		if (streq(f->d_name, ".") || streq(f->d_name, ".."))
			continue;
		empty = false;
		snprintf(path, sizeof(path), "%s/%s", dir, f->d_name + (f->d_name[0] == '.'));
		plan_add_file(d->have, "", id, path, strdup(""), PLAN_EDITS_LINES);
	}
	closedir(in);
	snprintf(path, sizeof(path), "%s/hosts", dir);
	if (empty)
		plan_add_file(d->have, "", id, path, strdup(""), PLAN_EDITS_NONE);
}

/* Files of sandboxes that are not known (any more). */
static void dump_stray_files(struct dump *d)
{
	char dir[400];
	struct dirent *sub;
	DIR *top;

	snprintf(dir, sizeof(dir), "%s/sandboxes", d->a->opt.run_dir);
	top = opendir(dir);
	while (top && (sub = readdir(top)))
		if (id_is_valid(sub->d_name) && !map_get(&d->a->handles, sub->d_name))
			dump_files_of(d, sub->d_name);
	if (top)
		closedir(top);
}

static bool belongs(const struct plan_item *i, const char *place)
{
	return streq(plan_item_home(i), place);
}

/* Sandboxes have no items of these kinds. */
static bool is_networks(const struct dump *d)
{
	for (size_t i = 0; d->place[0] && i < d->want->n; i++) {
		const struct plan_item *w = &d->want->items[i];

		if ((w->kind == PLAN_LINK || w->kind == PLAN_FDB || w->kind == PLAN_NEIGH) &&
		    streq(w->sandbox, d->place))
			return true;
	}
	return false;
}

static int dump_place(struct dump *d, struct cnm_error *err)
{
	struct nl *nl = d->place[0] && !map_get(&d->a->handles, d->place)
				? NULL
				: place_rtnl(d->a, d->place, NULL);
	int rc = nl ? see(d, nl, err) : 0;

	for (size_t i = 0; rc == 0 && i < d->want->n; i++)
		if (belongs(&d->want->items[i], d->place))
			rc = dump_item(d, &d->want->items[i], err);
	if (rc == 0)
		dump_routes(d);
	if (rc == 0 && (d->network || !d->place[0]))
		rc = dump_elems(d, err);
	if (rc == 0 && (d->network || !d->place[0]))
		rc = dump_stray_links(d);
	if (rc == 0 && d->network)
		dump_stray_entries(d);
	if (!d->place[0])
		dump_stray_files(d);
	if (rc == 0 && !d->place[0])
		rc = ovs_dump_rest(&d->ovs, d->a, d->want, d->have);
	return rc;
}

int applier_dump(struct applier *a, const struct plan *want, const char *place, struct plan *ret,
		 struct cnm_error *err)
{
	struct plan have = { 0 };
	struct dump d = { .a = a, .want = want, .place = place, .have = &have };
	int rc;

	d.network = is_networks(&d);
	rc = dump_place(&d, err);
	seen_free(&d.seen);
	json_decref(d.ovs);
	if (rc == 0)
		rc = plan_check(&have, err);
	if (rc < 0) {
		plan_free(&have);
		return rc == -ENOMEM && err ? cnm_error_errno(err, ENOMEM, "read the kernel back")
					    : rc;
	}
	*ret = have;
	return 0;
}
