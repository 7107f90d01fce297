/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "controller/judge.h"

#include <string.h>

#include "drivers/segment.h"

/* ---- links and ports */

static bool is_such_port(const struct plan_link *l, const struct monitor_event *ev)
{
	if (ev->hairpin != l->hairpin)
		return false;
	return !l->closed || (!ev->port.learning && !ev->port.flood &&
			      ev->port.isolated == l->isolated && ev->port.locked == l->locked);
}

static enum verdict judge_item(const struct plan_item *it, const struct monitor_event *ev)
{
	bool link = it->kind == PLAN_LINK, moved = it->kind == PLAN_MOVED;
	unsigned mtu = link ? it->link.mtu : moved ? 0 : it->peer.mtu;
	const struct cnm_mac *mac = link ? &it->link.mac : moved ? &it->moved.mac : &it->peer.mac;

	if (ev->gone)
		return WRONG;
	if (link && it->link.borrowed)
		return WELL;
	if (link && ev->what == MONITOR_PORT)
		return is_such_port(&it->link, ev) ? WELL : ASTRAY;
	if (!ev->up)
		return DOWN;
	if (ev->odd || (mtu && mtu != ev->mtu) || (mac_is_set(mac) && !mac_eq(mac, &ev->mac)))
		return WRONG;
	return WELL;
}

static const char *name_of(const struct plan_item *it)
{
	return it->kind == PLAN_LINK   ? it->link.name
	       : it->kind == PLAN_PEER ? it->peer.name
				       : it->moved.name;
}

static enum verdict judge(const struct plan *p, enum plan_kind kind, const struct monitor_event *ev)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_item *it = &p->items[i];

		if (it->kind == kind && streq(name_of(it), ev->name))
			return judge_item(it, ev);
	}
	return UNWANTED;
}

static enum verdict judge_end(const struct cnm_engine *e, const struct endpoint *ep,
			      enum plan_kind kind, const struct monitor_event *ev)
{
	struct plan p = { 0 };
	enum verdict v;

	if (ep->state == OBJ_READY)
		plan_endpoint(e, ep, &p);
	v = judge(&p, kind, ev);
	plan_free(&p);
	return v;
}

/* The near end of an endpoint's veth is compared with its sandbox, if that is ours. */
static enum verdict judge_veth(const struct cnm_engine *e, const struct monitor_event *ev,
			       char place[static ID_SIZE])
{
	const char *id = str_after(ev->name, "veth");
	const struct sandbox *sb;
	const struct endpoint *ep;

	list_for_each (sb, &e->model.sandboxes, node) {
		if (!id || sb->busy || sb->stopped)
			continue;
		list_for_each (ep, &sb->endpoints, in_sandbox) {
			if (strncmp(id, ep->id, 7) != 0)
				continue;
			str_copy(place, ID_SIZE,
				 sb->source != NETNS_FOREIGN      ? sb->id
				 : network_is_global(ep->network) ? ep->network->id
								  : "");
			return judge_end(e, ep, PLAN_LINK, ev);
		}
	}
	return UNWANTED;
}

/* The link of a network: named after its id, or by an option. */
static enum verdict judge_bridge(const struct cnm_engine *e, const struct monitor_event *ev)
{
	const char *id = str_after(ev->name, "br-");
	const struct network *n;

	list_for_each (n, &e->model.networks, node) {
		struct plan p = { 0 };
		enum verdict v;

		if (n->state != OBJ_READY || network_is_global(n) ||
		    (!json_object_size(n->options) && !(id && strncmp(id, n->id, 12) == 0)))
			continue;
		plan_network(e, n, &p);
		v = judge(&p, PLAN_LINK, ev);
		plan_free(&p);
		if (v != UNWANTED)
			return v;
	}
	return UNWANTED;
}

enum verdict judge_on_host(const struct cnm_engine *e, const struct monitor_event *ev,
			   char place[static ID_SIZE])
{
	if (ev->what == MONITOR_PORT || str_after(ev->name, "veth"))
		return judge_veth(e, ev, place);
	place[0] = 0;
	return judge_bridge(e, ev);
}

static bool is_here(const struct network *n)
{
	return n->driver->network_plan && n->state == OBJ_READY && network_is_present(n);
}

enum verdict judge_in_network(const struct cnm_engine *e, const struct network *n,
			      const struct monitor_event *ev, char place[static ID_SIZE])
{
	struct plan p = { 0 };
	enum verdict v;

	if (str_after(ev->name, "veth"))
		return judge_veth(e, ev, place);
	if (!is_here(n))
		return UNWANTED;
	memcpy(place, n->id, ID_SIZE);
	n->driver->network_plan(n, &e->env, &p);
	v = judge(&p, PLAN_LINK, ev);
	plan_free(&p);
	return v;
}

enum verdict judge_in_sandbox(const struct cnm_engine *e, const struct sandbox *sb,
			      const struct monitor_event *ev)
{
	const struct endpoint *ep;

	if (streq(ev->name, "lo")) /* on which names are asked for */
		return ev->up ? WELL : DOWN;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (streq(ep->ifname, ev->name))
			return judge_end(e, ep, ep->network->plugin ? PLAN_MOVED : PLAN_PEER, ev);
	return UNWANTED;
}

/* ---- entries */

static bool has_address(const struct endpoint *ep, const struct cnm_ip *ip, bool link_local)
{
	struct cnm_ip made;

	if (ip_eq(&ep->ip4, ip) || ip_eq(&ep->ip6, ip))
		return true;
	for (unsigned i = 0; i < ep->n_link_local; i++)
		if (ip_eq(&ep->link_local[i], ip))
			return true;
	made = link_local ? segment_link_local_of(&ep->mac) : (struct cnm_ip){ 0 };
	return link_local && ip_eq(&made, ip);
}

/* What is for everybody on another host has no MAC. */
static bool needs_entry(const struct endpoint *ep, const struct monitor_event *ev, bool link_local)
{
	if (ev->what == MONITOR_NEIGH)
		return endpoint_is_remote(ep) && has_address(ep, &ev->ip, link_local);
	if (!mac_is_set(&ev->mac))
		return endpoint_is_remote(ep) && ip_eq(&ep->vtep, &ev->ip);
	return mac_eq(&ep->mac, &ev->mac);
}

enum verdict judge_entry(const struct network *n, const struct monitor_event *ev,
			 char place[static ID_SIZE])
{
	bool link_local = ip_is_linklocal(&ev->ip); /* made of the MAC */
	const struct endpoint *ep;

	if (!is_here(n))
		return UNWANTED;
	list_for_each (ep, &n->endpoints, in_network) {
		const struct sandbox *sb = ep->sandbox;

		if (ep->state != OBJ_READY || !needs_entry(ep, ev, link_local) ||
		    (!endpoint_is_remote(ep) && (!sb || sb->busy || sb->stopped)))
			continue;
		memcpy(place, sb ? sb->id : n->id, ID_SIZE);
		return WRONG;
	}
	return UNWANTED;
}

/* ---- pins */

static bool is_pinned_as(const struct cnm_engine *e, const struct network *n, const char *name)
{
	struct plan p = { 0 };
	bool found = false;

	n->driver->network_plan(n, &e->env, &p);
	for (size_t i = 0; i < p.n; i++)
		found |= p.items[i].kind == PLAN_NETNS && streq(p.items[i].netns.name, name);
	plan_free(&p);
	return found;
}

enum verdict judge_pin(const struct cnm_engine *e, const char *name, char place[static ID_SIZE])
{
	const struct sandbox *sb = map_get(&e->model.sandbox_by_name, name);
	const struct network *n;

	if (sb && sb->state == OBJ_READY && !sb->busy && !sb->stopped) {
		memcpy(place, sb->id, ID_SIZE);
		return WRONG;
	}
	list_for_each (n, &e->model.networks, node) {
		if (!network_is_global(n) || !is_here(n) || !is_pinned_as(e, n, name))
			continue;
		memcpy(place, n->id, ID_SIZE);
		return WRONG;
	}
	return UNWANTED;
}
