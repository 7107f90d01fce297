/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A packet's way: out of where it begins, along a bridge or through the host, to where it ends. The
 * host and the sandboxes are taken to have the links, addresses and routes that are planned for
 * them; what lies beyond the host is taken to find its way.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "controller/why.h"

/* ------------------------------------------------------------------------- the plan */

void why_plan_network(struct why *w, const struct network *n)
{
	if (map_get(&w->planned, n->id))
		return;
	if (map_add(&w->planned, n->id, (void *)n) < 0)
		w->plan.failed = true;
	plan_network(w->e, n, &w->plan);
}

void why_plan_sandbox(struct why *w, const struct sandbox *sb)
{
	const struct endpoint *ep;

	if (map_get(&w->planned, sb->id))
		return;
	if (map_add(&w->planned, sb->id, (void *)sb) < 0)
		w->plan.failed = true;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		why_plan_network(w, ep->network);
	plan_sandbox(w->e, sb, &w->plan);
}

/* The link of this type that is planned for a network or an endpoint, or "". */
static const char *link_of(const struct why *w, const char *owner, enum plan_link_type type)
{
	for (size_t i = 0; i < w->plan.n; i++) {
		const struct plan_item *it = &w->plan.items[i];

		if (it->kind == PLAN_LINK && it->link.type == type && streq(it->owner, owner))
			return it->link.name;
	}
	return "";
}

const char *why_bridge(struct why *w, const struct network *n)
{
	why_plan_network(w, n);
	return link_of(w, n->id, PLAN_BRIDGE);
}

/* Has the host this address, or with ip NULL any of this family, on the link? */
static bool link_has(const struct why *w, const char *link, int family, const struct cnm_ip *ip)
{
	for (size_t i = 0; i < w->plan.n; i++) {
		const struct plan_item *it = &w->plan.items[i];
		const struct cnm_ip *have = &it->addr.addr.ip;

		if (it->kind == PLAN_ADDR && !it->sandbox[0] && streq(it->addr.link, link) &&
		    (ip ? ip_eq(have, ip) : have->family == family && !ip_is_linklocal(have)))
			return true;
	}
	return false;
}

/* Has the network addresses of that kind, and is it there? */
static bool is_usable(const struct network *n)
{
	return n->state != OBJ_REMOVING && n->driver->addresses && !n->config_only;
}

static const struct network *network_of(const struct why *w, const struct cnm_ip *ip)
{
	const struct network *n;

	list_for_each (n, &w->e->model.networks, node)
		if (is_usable(n) && network_pool_of(n, ip))
			return n;
	return NULL;
}

/* Is the port published at this very address? Then it is the host's. */
static bool is_bound(const struct why *w, const struct cnm_ip *ip)
{
	const struct port *p =
		w->proto ? port_index_find(&w->e->model.ports, w->proto, ip, w->port, w->port)
			 : NULL;

	return p && ip_eq(&p->by[ip->family == AF_INET6].host, ip);
}

bool why_host_has(struct why *w, const struct cnm_ip *ip)
{
	const struct network *n = network_of(w, ip);

	if (ip_is_loopback(ip))
		return true;
	if (n)
		return link_has(w, why_bridge(w, n), 0, ip);
	return (ip_eq(ip, &w->to.ip) && w->to.route.local) ||
	       (ip_eq(ip, &w->from.ip) && w->from.route.local) ||
	       ip_eq(ip, &w->from.route.source) || is_bound(w, ip);
}

/* ------------------------------------------------------------------------- the model */

static const struct cnm_ip *ip_of(const struct endpoint *ep, int family)
{
	return family == AF_INET ? &ep->ip4 : &ep->ip6;
}

static bool has_ip(const struct endpoint *ep, const struct cnm_ip *ip)
{
	return ep->state != OBJ_REMOVING && (ip_eq(&ep->ip4, ip) || ip_eq(&ep->ip6, ip));
}

const struct endpoint *why_endpoint_at(const struct why *w, const struct cnm_ip *ip)
{
	const struct network *n = network_of(w, ip);
	const struct endpoint *ep;

	if (!n)
		return NULL;
	list_for_each (ep, &n->endpoints, in_network)
		if (has_ip(ep, ip))
			return ep;
	return NULL;
}

const struct network *why_shared(const struct sandbox *a, const struct sandbox *b)
{
	const struct endpoint *ep;

	list_for_each (ep, &a->endpoints, in_sandbox)
		if (ep->state != OBJ_REMOVING && is_usable(ep->network) &&
		    sandbox_endpoint_on(b, ep->network))
			return ep->network;
	return NULL;
}

/* The endpoint by which an address is a neighbour of the sandbox's. */
static const struct endpoint *neighbour_by(const struct sandbox *sb, const struct cnm_ip *ip)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->state != OBJ_REMOVING && is_usable(ep->network) &&
		    ip_is_set(ip_of(ep, ip->family)) && network_pool_of(ep->network, ip))
			return ep;
	return NULL;
}

static bool is_own(const struct sandbox *sb, const struct cnm_ip *ip)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (has_ip(ep, ip))
			return true;
	return ip_is_loopback(ip);
}

/* ------------------------------------------------------------------------- targets */

struct targets {
	const struct why *w;
	struct cnm_ip *ips;
	unsigned n;
	bool families[2]; /* which are of interest: IPv4, IPv6 */
};

static void add_target(struct targets *t, const struct cnm_ip *ip)
{
	const struct cnm_ip *from = &t->w->from.ip;

	if (t->n == WHY_MAX_TARGETS || !ip_is_set(ip) || !t->families[ip->family == AF_INET6] ||
	    (ip_is_set(from) && from->family != ip->family))
		return;
	for (unsigned i = 0; i < t->n; i++)
		if (ip_eq(&t->ips[i], ip))
			return;
	t->ips[t->n++] = *ip;
}

static void add_sandbox(struct targets *t, const struct sandbox *sb, bool shared)
{
	const struct sandbox *from = t->w->from.sandbox;
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		if (ep->state == OBJ_REMOVING ||
		    shared != (from && sandbox_endpoint_on(from, ep->network)))
			continue;
		add_target(t, &ep->ip4);
		add_target(t, &ep->ip6);
	}
}

/* Some address of the host, as the other party is likely to use it. */
static void add_host(struct targets *t, struct why *w)
{
	const struct cnm_ip loopback[] = { { AF_INET, { 127, 0, 0, 1 } },
					   { AF_INET6, { [15] = 1 } } };
	struct endpoint *order[WHY_MAX_TARGETS];
	unsigned n;

	switch (w->from.kind) {
	case WHY_HOST:
		add_target(t, &loopback[0]);
		add_target(t, &loopback[1]);
		break;
	case WHY_OUTSIDE:
		add_target(t, &w->from.route.source);
		break;
	case WHY_REMOTE:
		break;
	case WHY_SANDBOX:
		n = sandbox_gateway_order(w->from.sandbox, order, WHY_MAX_TARGETS);
		for (unsigned i = 0; i < n; i++)
			for (unsigned p = 0; p < order[i]->network->n_pools; p++) {
				const struct cnm_ip *gw = &order[i]->network->pools[p].gateway;

				if (ip_is_set(gw) && why_host_has(w, gw))
					add_target(t, gw);
			}
		break;
	}
}

/* Where the host has this port, if it is published: at addresses of its own, or at any. */
static void add_published(struct targets *t, const struct port *p, bool any[static 2])
{
	for (unsigned f = 0; f < 2; f++) {
		if (p->by[f].way != PORT_NAT && p->by[f].way != PORT_PROXY)
			continue;
		if (ip_is_unspecified(&p->by[f].host))
			any[f] = true;
		else
			add_target(t, &p->by[f].host);
	}
}

/* A port of the host is meant where it is published; one that is not, anywhere. */
static void add_host_port(struct targets *t, struct why *w)
{
	bool any[2] = { false, false };
	const struct sandbox *sb;
	unsigned n = 0;

	list_for_each (sb, &w->e->model.sandboxes, node)
		for (unsigned i = 0; i < sb->n_ports; i++) {
			const struct port *p = &sb->ports[i];

			if (!port_is_bound(p) || p->proto != w->proto || w->port < p->host_first ||
			    w->port > port_host_last(p))
				continue;
			add_published(t, p, any);
			n++;
		}
	if (n)
		memcpy(t->families, any, sizeof(any));
	add_host(t, w);
}

unsigned why_targets(struct why *w, struct cnm_ip ret[static WHY_MAX_TARGETS])
{
	struct targets t = { .w = w, .ips = ret, .families = { true, true } };

	if (ip_is_set(&w->to.ip)) {
		add_target(&t, &w->to.ip);
	} else if (w->to.kind == WHY_REMOTE) {
		add_target(&t, &w->to.remote->ip4);
		add_target(&t, &w->to.remote->ip6);
	} else if (w->to.kind == WHY_SANDBOX) {
		add_sandbox(&t, w->to.sandbox, true);
		add_sandbox(&t, w->to.sandbox, false);
	} else if (w->proto) {
		add_host_port(&t, w);
	} else {
		add_host(&t, w);
	}
	return t.n;
}

/* ------------------------------------------------------------------------- the way */

static void pass(struct why_answer *a, const char *name)
{
	if (a->n_path < WHY_MAX_PATH)
		a->path[a->n_path++] = name;
}

/* Is somebody there? If not, that is the answer. */
static bool is_there(const struct network *n, const struct cnm_ip *ip, const struct endpoint *ep,
		     struct why_answer *a)
{
	char text[IP_STR];

	if (ep && ep->sandbox && !ep->sandbox->stopped)
		return true;
	if (ep && ep->sandbox)
		why_say_stopped(ep->sandbox, a);
	else if (ep)
		why_no(a, 8, "%s is kept for endpoint %s of %s, which no sandbox has joined",
		       ip_format(ip, text), ep->name, n->name);
	else
		why_no(a, 8, "nobody has %s, an address of %s", ip_format(ip, text), n->name);
	return false;
}

/* A policy of somebody else's, in a table of this family. */
static bool foreign_drops(const struct why *w, int family)
{
	const char *table = w->facts.foreign;

	return table[0] && !(family == AF_INET && str_after(table, "table ip6 ")) &&
	       !(family == AF_INET6 && str_after(table, "table ip "));
}

static void say_foreign(const struct why *w, struct why_answer *a)
{
	strbuf_free(&a->text);
	why_no(a, 9,
	       "cnm lets it through, but %s is not cnm's and drops what no rule there accepts; "
	       "docs/FIREWALL.md has the rule to add",
	       w->facts.foreign);
}

/* Along the forward chain of the host. */
static void through_host(struct why *w, const struct why_packet *k, struct why_answer *a)
{
	enum why_end end = why_forward(w, k);
	unsigned f = k->to.family == AF_INET6;

	if (!why_end_is_drop(end) && !w->facts.forwarding[f]) {
		why_no(a, 9, "the host does not forward %s packets", why_family(k->to.family));
		why_fix(a, "sysctl -w %s=1",
			f ? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward");
		return;
	}
	why_say_forward(w, k, end, a);
	if (a->yes && foreign_drops(w, k->to.family))
		say_foreign(w, a);
}

/* The host sends it on, or sends it: to a network, or away. */
static void from_host_on(struct why *w, struct why_packet *k, struct why_answer *a)
{
	const struct network *n = network_of(w, &k->to);
	const struct endpoint *ep = n ? why_endpoint_at(w, &k->to) : NULL;

	if (n) {
		k->out_net = n;
		str_copy(k->out, sizeof(k->out), why_bridge(w, n));
		if (n != k->in_net)
			pass(a, n->name);
		if (!is_there(n, &k->to, ep, a))
			return;
		why_plan_sandbox(w, ep->sandbox);
		if (!link_has(w, k->out, k->to.family, NULL)) {
			why_no(a, 5, "the host has no %s address on %s, so it reaches nobody there",
			       why_family(k->to.family), n->name);
			return;
		}
	}
	if (k->local)
		why_say_forward(w, k, n ? WHY_SAME : WHY_FOREIGN, a);
	else
		through_host(w, k, a);
}

enum port_way why_translate(struct why *w, const struct why_packet *k, struct cnm_ip *ret_ip,
			    uint16_t *ret_port, const struct port **ret_published)
{
	const struct port *port =
		w->proto ? port_index_find(&w->e->model.ports, w->proto, &k->to, k->port, k->port)
			 : NULL;

	if (!port || !port->sandbox)
		return PORT_NONE;
	why_plan_sandbox(w, port->sandbox);
	*ret_published = port;
	return why_publish(w, k, ret_ip, ret_port);
}

/* For one of the host's own addresses: a published port, or the host itself. */
static void to_host(struct why *w, struct why_packet *k, struct why_answer *a)
{
	const struct port *port = NULL;
	char from[IP_STR], to[IP_STR];
	uint16_t inner = 0;
	struct cnm_ip ip;
	enum port_way way = why_translate(w, k, &ip, &inner, &port);

	if (way == PORT_NAT) {
		k->published = port;
		k->to = ip;
		k->port = inner;
		from_host_on(w, k, a);
	} else if (way == PORT_PROXY) {
		why_yes(a, "port %u of the host leads to %s, by the proxy in the daemon", w->port,
			port->sandbox->name);
	} else if (k->local) {
		why_yes(a, "it stays within the host, at %s", ip_format(&k->to, to));
	} else if (k->in_net) {
		why_yes(a, "by %s, %s to the host's %s", k->in_net->name, ip_format(&k->from, from),
			ip_format(&k->to, to));
	} else {
		why_yes(a, "%s is the host's own, and cnm does not stand before it",
			ip_format(&k->to, to));
	}
}

static void at_host(struct why *w, struct why_packet *k, struct why_answer *a)
{
	char text[IP_STR];

	pass(a, "host");
	if (!why_host_has(w, &k->to)) {
		from_host_on(w, k, a);
	} else if (ip_is_loopback(&k->to) && !k->local) {
		a->to = (struct cnm_ip){ 0 };
		why_no(a, 7, "%s of the host is reached from the host alone",
		       ip_format(&k->to, text));
	} else {
		to_host(w, k, a);
	}
}

/* From one port of a bridge to another, or to the host, which has one itself. */
static void along_bridge(struct why *w, const struct endpoint *from, struct why_packet *k,
			 struct why_answer *a)
{
	const struct endpoint *to = why_endpoint_at(w, &k->to);
	char one[IP_STR], other[IP_STR];

	if (link_has(w, k->in, 0, &k->to)) {
		at_host(w, k, a);
		return;
	}
	if (!is_there(k->in_net, &k->to, to, a))
		return;
	why_plan_sandbox(w, to->sandbox);
	if (!why_between(w, link_of(w, from->id, PLAN_VETH), link_of(w, to->id, PLAN_VETH), k)) {
		why_say_icc(w, k->in_net, to, a);
		return;
	}
	why_yes(a, "by %s, %s to %s%s", k->in_net->name, ip_format(&k->from, one),
		ip_format(&k->to, other), why_has_icc(w, k->in) ? "" : ", by a link");
	if (w->facts.bridge_nf[k->to.family == AF_INET6] && foreign_drops(w, k->to.family))
		say_foreign(w, a);
}

static void from_sandbox(struct why *w, struct why_packet *k, struct why_answer *a)
{
	const struct sandbox *sb = w->from.sandbox;
	const struct endpoint *ep = neighbour_by(sb, &k->to);
	bool neighbour = ep;
	char text[IP_STR];

	/* Where the host was named, a port is published at its loopback. */
	if (ip_is_loopback(&k->to) && !ip_is_set(&w->to.ip)) {
		at_host(w, k, a);
		return;
	}
	if (is_own(sb, &k->to)) {
		why_yes(a, "%s is %s's own", ip_format(&k->to, text), sb->name);
		return;
	}
	if (!ep)
		ep = sandbox_gateway(sb, k->to.family);
	if (!ep) {
		why_say_no_way_out(w, &k->to, a);
		return;
	}
	k->from = *ip_of(ep, k->to.family);
	k->in_net = ep->network;
	str_copy(k->in, sizeof(k->in), why_bridge(w, ep->network));
	pass(a, ep->network->name);
	if (neighbour)
		along_bridge(w, ep, k, a);
	else
		at_host(w, k, a);
}

void why_attempt(struct why *w, const struct cnm_ip *to, struct why_answer *a)
{
	struct why_packet k = { .to = *to, .port = w->port, .in = "", .out = "" };
	const struct network *n = network_of(w, to);

	if (n && (network_is_global(n) || n->plugin)) {
		why_attempt_global(w, n, to, a);
		return;
	}
	a->to = *to;
	switch (w->from.kind) {
	case WHY_SANDBOX:
		from_sandbox(w, &k, a);
		break;
	case WHY_HOST:
		k.local = true;
		k.from = w->from.ip;
		at_host(w, &k, a);
		break;
	case WHY_OUTSIDE:
		k.from = w->from.ip;
		memcpy(k.in, w->from.route.link, sizeof(k.in));
		at_host(w, &k, a);
		break;
	case WHY_REMOTE: /* is asked there */
		break;
	}
}

void why_answer_free(struct why_answer *a)
{
	strbuf_free(&a->text);
	strbuf_free(&a->fix);
}
