/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Links, the ends of veths inside sandboxes, addresses and routes: from plan items to messages.
 */
#include <errno.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/neighbour.h>

#include "base/cleanup.h"
#include "kernel/ethtool.h"
#include "plan/apply_internal.h"

#define IPV6_MIN_MTU 1280

static void alias_of(const struct run *r, const struct plan_item *i, char buf[static 128])
{
	snprintf(buf, 128, "cnm:%s:%s", r->a->opt.instance, i->owner);
}

int run_ifindex(struct run *r, const char *sandbox, const char *link, int *ret)
{
	struct nl *nl;
	int ifindex, rc;

	for (unsigned i = 0; i < r->n_known; i++) {
		if (streq(r->known[i].name, link) && streq(r->known[i].sandbox, sandbox)) {
			*ret = r->known[i].ifindex;
			return 0;
		}
	}
	rc = run_flush(r);
	if (rc < 0)
		return rc;
	nl = place_rtnl(r->a, sandbox, r->err);
	if (!nl)
		return -ENOENT;
	rc = rtnl_ifindex(nl, link, &ifindex, r->err);
	if (rc == -ENODEV)
		cnm_error_set(r->err, CNM_E_INTERNAL, "there is no link %s %s%.12s", link,
			      sandbox[0] ? "inside " : "on the host", sandbox);
	if (rc < 0)
		return rc;
	if (r->n_known < sizeof(r->known) / sizeof(r->known[0])) {
		str_copy(r->known[r->n_known].sandbox, ID_SIZE, sandbox);
		str_copy(r->known[r->n_known].name, IFNAMSIZ, link);
		r->known[r->n_known++].ifindex = ifindex;
	}
	*ret = ifindex;
	return 0;
}

/* ---- links */

/* With a smaller MTU the kernel has no IPv6 on a link at all, nor a setting of it. */
static bool may_have_ipv6(unsigned mtu)
{
	return !mtu || mtu >= IPV6_MIN_MTU;
}

static void new_bridge(struct run *r, const struct plan_item *w)
{
	rtnl_put_new_link(&r->batch, &(struct rtnl_new_link){
					     .name = w->link.name,
					     .kind = RTNL_BRIDGE,
					     .mac = w->link.mac,
					     .mtu = w->link.mtu,
					     .group = r->a->group,
					     .up = true,
					     .no_addrgen = may_have_ipv6(w->link.mtu),
				     });
}

static void new_veth(struct run *r, const struct plan_item *w, int master, int ns)
{
	rtnl_put_new_link(&r->batch, &(struct rtnl_new_link){
					     .name = w->link.name,
					     .kind = RTNL_VETH,
					     .mac = w->link.mac,
					     .mtu = w->link.mtu,
					     .group = r->a->group,
					     .master = master,
					     .up = true,
					     .no_addrgen = may_have_ipv6(w->link.mtu),
					     .peer_name = w->link.peer,
					     .peer_ns = ns,
					     .peer_mac = w->link.peer_mac,
				     });
}

/* Through the host's socket, since the packets it makes are the host's. */
static void new_vxlan(struct run *r, const struct plan_item *w, int master, int ns)
{
	rtnl_put_new_link(&r->batch, &(struct rtnl_new_link){
					     .name = w->link.name,
					     .kind = RTNL_VXLAN,
					     .mac = w->link.mac,
					     .mtu = w->link.mtu,
					     .group = r->a->group,
					     .master = master,
					     .vx_id = w->link.vxlan_id,
					     .vx_port = w->link.port,
					     .vx_local = w->link.local,
					     .netns = ns,
				     });
}

/*
 * The host's namespace, for the end of a veth that others take from there, when the veth is made
 * elsewhere. *ret stays -1 when it is made there.
 */
static int open_home(struct run *r, const struct plan_item *w, int *ret)
{
	return w->link.peer_away && w->sandbox[0]
		       ? netns_open_path("/proc/self/ns/net", ret, r->err)
		       : 0;
}

/* home: where it is born if it has no sandbox; -1: beside this end. */
static int make_link(struct run *r, const struct plan_item *w, int master, int home)
{
	const char *in = w->link.type == PLAN_VETH ? w->link.peer_sandbox : w->sandbox;
	struct handle *h = in[0] ? handle_open(r->a, in, r->err) : NULL;
	int rc;

	if (!h && (in[0] || (w->link.type == PLAN_VETH && !w->link.peer_away)))
		return -ENOENT;
	rc = run_place(r, w->link.type == PLAN_VXLAN ? "" : w->sandbox);
	if (rc < 0)
		return rc;
	switch (w->link.type) {
	case PLAN_BRIDGE:
		new_bridge(r, w);
		break;
	case PLAN_VETH:
		new_veth(r, w, master, h ? h->ns : home);
		break;
	case PLAN_VXLAN:
		new_vxlan(r, w, master, h ? h->ns : 0);
		break;
	}
	return 0;
}

/* Both ends, before anything is sent. */
static int put_checksums(struct run *r, const struct plan_item *w)
{
	const char *in = w->link.peer_sandbox;
	struct handle *h = in[0] ? handle_open(r->a, in, r->err) : NULL;
	int rc;

	if (in[0] && !h)
		return -ENOENT;
	rc = ethtool_no_tx_checksum(h ? h->ns : -1, w->link.peer);
	if (rc == 0)
		rc = ethtool_no_tx_checksum(-1, w->link.name);
	return rc < 0 ? cnm_error_errno(r->err, rc, "turn off checksum offload") : 0;
}

/* What a port of a bridge is told, and the bridge of it. */
static void put_port(struct run *r, const struct plan_item *w, int ifindex)
{
	rtnl_put_port(&r->batch, ifindex, w->link.hairpin, false);
	if (!w->link.closed)
		return;
	rtnl_put_port_flags(
		&r->batch, ifindex,
		&(struct rtnl_port){ .isolated = w->link.isolated, .locked = w->link.locked });
	if (w->link.type == PLAN_VETH)
		rtnl_put_neigh(&r->batch, true,
			       &(struct rtnl_neigh){ .ifindex = ifindex,
						     .mac = w->link.peer_mac,
						     .flags = NTF_MASTER });
}

static int link_add(struct run *r, size_t i)
{
	const struct plan_item *w = r->d->ops[i].want;
	bool is_port = w->link.hairpin || w->link.closed;
	bool late = w->link.type == PLAN_VXLAN; /* up when it is told what it is */
	struct rtnl_set_link set = { .name = w->link.name };
	char alias[128];
	_close_ int home = -1; /* until the message is sent */
	int master = 0, ifindex = 0, rc;

	if (w->link.master[0] && (rc = run_ifindex(r, w->sandbox, w->link.master, &master)) < 0)
		return rc;
	if ((rc = open_home(r, w, &home)) < 0 || (rc = make_link(r, w, master, home)) < 0)
		return rc;
	/* It must be ours before its name is used: a batch goes on after EEXIST. */
	if ((rc = run_mark(r, i)) < 0 || (rc = run_flush(r)) < 0 ||
	    (is_port && (rc = run_ifindex(r, w->sandbox, w->link.name, &ifindex)) < 0) ||
	    (w->link.checksums && (rc = put_checksums(r, w)) < 0) ||
	    (rc = run_place(r, w->sandbox)) < 0)
		return rc;
	alias_of(r, w, alias);
	set.alias = alias;
	set.no_addrgen = late && may_have_ipv6(w->link.mtu);
	if (is_port)
		put_port(r, w, ifindex);
	rtnl_put_set_link(&r->batch, &set);
	if (late) /* in one message the kernel would have made an address before it reads not to */
		rtnl_put_set_link(&r->batch,
				  &(struct rtnl_set_link){ .name = w->link.name, .up = 1 });
	return 0;
}

/* A MAC that is there is not set again: that would make the kernel forget the link's neighbours. */
static struct cnm_mac changed_mac(const struct cnm_mac *have, const struct cnm_mac *want)
{
	return mac_eq(have, want) ? (struct cnm_mac){ 0 } : *want;
}

/*
 * By a message of its own and first: whether the link can have IPv6 depends on it. None wanted any
 * more: what the kernel gives new links.
 */
static void put_mtu(struct run *r, int ifindex, unsigned have, unsigned want)
{
	if (have != want)
		rtnl_put_set_link(&r->batch,
				  &(struct rtnl_set_link){ .ifindex = ifindex,
							   .mtu = want ? want : ETHERMTU });
}

static int link_change(struct run *r, const struct plan_op *op)
{
	const struct plan_item *w = op->want;
	struct rtnl_set_link set = {
		.mac = changed_mac(&op->have->link.mac, &w->link.mac),
		.up = 1,
		.no_addrgen = may_have_ipv6(w->link.mtu),
		.set_bridge = w->link.type == PLAN_BRIDGE,
		.set_group = true,
		.group = r->a->group,
	};
	char alias[128];
	int rc;

	rc = run_ifindex(r, w->sandbox, w->link.name, &set.ifindex);
	if (rc == 0 && w->link.master[0]) {
		set.set_master = true;
		rc = run_ifindex(r, w->sandbox, w->link.master, &set.master);
	}
	if (rc == 0)
		rc = run_place(r, w->sandbox);
	if (rc < 0)
		return rc;
	alias_of(r, w, alias);
	set.alias = alias;
	put_mtu(r, set.ifindex, op->have->link.mtu, w->link.mtu);
	rtnl_put_set_link(&r->batch, &set);
	if (set.master)
		put_port(r, w, set.ifindex);
	return 0;
}

/* A veth whose other end is not where it should be is made anew. */
static bool is_broken(const struct plan_item *have)
{
	return have->link.type == PLAN_VETH && !have->link.peer[0];
}

bool link_is_another(const struct plan_item *have, const struct plan_item *want)
{
	const struct plan_link *h = &have->link, *w = &want->link;

	return h->type == PLAN_VXLAN &&
	       (h->vxlan_id != w->vxlan_id || h->port != w->port || !ip_eq(&h->local, &w->local));
}

static int link_renew(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	int ifindex, rc = run_ifindex(r, op->have->sandbox, op->have->link.name, &ifindex);

	if (rc == 0)
		rc = run_place(r, op->have->sandbox);
	if (rc < 0)
		return rc;
	rtnl_put_del_link(&r->batch, ifindex);
	r->n_known = 0;
	rc = run_mark(r, i);
	return rc < 0 ? rc : link_add(r, i);
}

int apply_link(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	int rc = 0;

	if (op->action == PLAN_REMOVE) /* of a borrowed bridge: not ours to remove */
		return 0;
	if (op->want->link.borrowed) {
		int ifindex;

		return run_ifindex(r, "", op->want->link.name, &ifindex);
	}
	if (op->action == PLAN_ADD)
		rc = link_add(r, i);
	else if (is_broken(op->have) || link_is_another(op->have, op->want))
		rc = link_renew(r, i);
	else
		rc = link_change(r, op);
	return rc < 0 ? rc : run_mark(r, i);
}

/*
 * The kernel lets a port forward when it hears of its carrier, a moment after the other end is up,
 * and the bridge itself, at its first port, up to a second later; packets until then are lost.
 * Being asked for the one link, it looks at once (since Linux 6.8; before that the moment has to
 * pass).
 */
static int forward_at_once(struct run *r, const struct plan_item *peer)
{
	struct rtnl_link seen;
	struct nl *nl;
	int rc = run_flush(r);

	for (size_t i = 0; i < r->d->n && rc == 0; i++) {
		const struct plan_item *w = r->d->ops[i].want;

		if (!w || w->kind != PLAN_LINK || w->link.type != PLAN_VETH || !w->link.master[0] ||
		    !streq(w->link.peer_sandbox, peer->sandbox) ||
		    !streq(w->link.peer, peer->peer.name) ||
		    !(nl = place_rtnl(r->a, w->sandbox, NULL)))
			continue;
		rtnl_link_by_name(nl, w->link.name, &seen, NULL);
		rtnl_link_by_name(nl, w->link.master, &seen, NULL);
	}
	return rc;
}

int apply_peer(struct run *r, size_t i)
{
	const struct plan_item *w = r->d->ops[i].want, *have = r->d->ops[i].have;
	struct rtnl_set_link set = { .arp_notify = 1 };
	char alias[128];
	int rc;

	if (!w) /* goes with the other end */
		return 0;
	rc = run_ifindex(r, w->sandbox, w->peer.name, &set.ifindex);
	if (rc < 0)
		return rc;
	rc = run_place(r, w->sandbox);
	if (rc < 0)
		return rc;
	alias_of(r, w, alias);
	set.alias = alias;
	set.no_addrgen = w->peer.no_ipv6 && may_have_ipv6(w->peer.mtu);
	if (have) {
		set.mac = changed_mac(&have->peer.mac, &w->peer.mac);
		put_mtu(r, set.ifindex, have->peer.mtu, w->peer.mtu);
	} else {
		set.mtu = w->peer.mtu;
	}
	rtnl_put_set_link(&r->batch, &set);
	/* Up by a message of its own: within one, the kernel does it before the address mode. */
	rtnl_put_set_link(&r->batch, &(struct rtnl_set_link){ .ifindex = set.ifindex, .up = 1 });
	rc = run_mark(r, i);
	return rc < 0 ? rc : forward_at_once(r, w);
}

int apply_addr(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	const struct plan_item *item = op->want ? op->want : op->have;
	int ifindex, rc = run_ifindex(r, item->sandbox, item->addr.link, &ifindex);

	if (rc == -ENODEV && !op->want)
		return 0;
	if (rc < 0)
		return rc;
	rc = run_place(r, item->sandbox);
	if (rc < 0)
		return rc;
	rtnl_put_addr(&r->batch, op->want != NULL, ifindex, &item->addr.addr, true);
	return run_mark(r, i);
}

int apply_route(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];
	const struct plan_item *item = op->want ? op->want : op->have;
	struct rtnl_route route = { .dst = item->route.dst, .gateway = item->route.gateway };
	int rc = run_ifindex(r, item->sandbox, item->route.link, &route.ifindex);

	if (rc == -ENODEV && !op->want)
		return 0;
	if (rc < 0)
		return rc;
	rc = run_place(r, item->sandbox);
	if (rc < 0)
		return rc;
	route.replace = op->action == PLAN_CHANGE || r->locked;
	rtnl_put_route(&r->batch, op->want != NULL, &route);
	return run_mark(r, i);
}
