/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the model to plans: what a network, a sandbox, the host must have. The same functions serve
 * requests, restore, repair, --dry-run and doctor.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "controller/engine.h"
#include "controller/planning_files.h"
#include "controller/ports.h"
#include "resolver/resolv_conf.h"

bool needs_forwarding(const struct cnm_engine *e, int family)
{
	const struct network *n;

	list_for_each (n, &e->model.networks, node)
		if (n->state != OBJ_REMOVING && n->driver->addresses && !n->driver->apart &&
		    !n->config_only && !network_is_global(n) && !n->internal &&
		    network_pool(n, family))
			return true; /* what is between hosts passes none of this one's links */
	return false;
}

/* NFPROTO_IPV4 and _IPV6 have the values of AF_INET and AF_INET6. */
static void plan_forwarding(const struct cnm_engine *e, struct plan *p)
{
	if (e->no_forwarding)
		return;
	if (e->forward4_ours && !e->forward_no_drop)
		plan_add_elemf(p, NULL, "host", "foreign", AF_INET, "drop");
	if (e->forward6_ours && !e->forward_no_drop)
		plan_add_elemf(p, NULL, "host", "foreign", AF_INET6, "drop");
	if (needs_forwarding(e, AF_INET))
		plan_add_sysctl(p, NULL, "host", "net/ipv4/ip_forward", "1");
	if (needs_forwarding(e, AF_INET6))
		plan_add_sysctl(p, NULL, "host", "net/ipv6/conf/all/forwarding", "1");
}

static void plan_proxy(const struct cnm_engine *e, uint8_t proto, struct plan *p)
{
	uint16_t port = proxy_port(e->proxy, proto);

	if (port)
		plan_add_elemf(p, NULL, "host", "proxy", proto, port);
}

void plan_host(const struct cnm_engine *e, struct plan *p)
{
	plan_proxy(e, IPPROTO_TCP, p);
	plan_proxy(e, IPPROTO_UDP, p);
	traces_plan(e, p);
	plan_forwarding(e, p);
}

/* ---- networks */

bool network_is_present(const struct network *n)
{
	const struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network)
		if (ep->sandbox && !ep->sandbox->stopped && ep->state != OBJ_REMOVING)
			return true;
	return false;
}

/* Endpoints on other hosts, and with the first of each host what that needs. */
static void plan_peers(const struct cnm_engine *e, const struct network *n, struct plan *p)
{
	const struct endpoint *ep;
	struct cnm_ip *hosts;
	size_t n_hosts = 0, count = 0, i;

	list_for_each (ep, &n->endpoints, in_network)
		count++;
	hosts = calloc(count + 1, sizeof(*hosts));
	if (!hosts) {
		p->failed = true;
		return;
	}
	list_for_each (ep, &n->endpoints, in_network) {
		if (!endpoint_is_remote(ep) || !ip_is_set(&ep->vtep))
			continue;
		n->driver->endpoint_plan(ep, &e->env, p);
		for (i = 0; i < n_hosts && !ip_eq(&hosts[i], &ep->vtep); i++)
			;
		if (i < n_hosts)
			continue;
		hosts[n_hosts++] = ep->vtep;
		if (n->driver->host_plan)
			n->driver->host_plan(n, &ep->vtep, &e->env, p);
	}
	free(hosts);
}

void plan_network(const struct cnm_engine *e, const struct network *n, struct plan *p)
{
	if (n->config_only || !n->driver->network_plan)
		return;
	if (!network_is_global(n)) {
		n->driver->network_plan(n, &e->env, p);
	} else if (network_is_present(n)) {
		n->driver->network_plan(n, &e->env, p);
		plan_peers(e, n, p);
	}
}

/* ---- sandboxes */

static void plan_netns(const struct cnm_engine *e, const struct sandbox *sb, struct plan *p)
{
	struct plan_item *i = plan_add(p, PLAN_NETNS, sb->id, sb->id);

	if (!i)
		return;
	i->netns.name = strdup(sb->name);
	i->netns.source = strdup(sb->source == NETNS_OWN    ? "new"
				 : sb->source == NETNS_HOST ? "host"
							    : sb->adopted_from);
	if (!i->netns.name || !i->netns.source)
		plan_spoil(p);
}

const struct endpoint *link_target(const struct endpoint *ep, const json_t *link)
{
	const struct endpoint *to;

	list_for_each (to, &ep->network->endpoints, in_network)
		if (to->sandbox && link_leads_to(link, to->sandbox))
			return to;
	return NULL;
}

static void plan_default_route(const struct sandbox *sb, int family, struct plan *p)
{
	const struct endpoint *gw = sandbox_gateway(sb, family);
	struct plan_item *i;

	if (!gw)
		return;
	i = plan_add(p, PLAN_ROUTE, sb->id, sb->id);
	if (!i)
		return;
	str_copy(i->route.link, sizeof(i->route.link), gw->ifname);
	i->route.dst.ip.family = family;
	i->route.gateway = endpoint_gateway(gw, family);
}

void plan_endpoint(const struct cnm_engine *e, const struct endpoint *ep, struct plan *p)
{
	const struct sandbox *sb = ep->sandbox;
	size_t first = p->n;

	if (!ep->network->driver->endpoint_plan)
		return;
	ep->network->driver->endpoint_plan(ep, &e->env, p);
	if (sb && sb->source == NETNS_FOREIGN)
		plan_give_away(p, first, sb->id);
}

void plan_sandbox(const struct cnm_engine *e, const struct sandbox *sb, struct plan *p)
{
	bool foreign = sb->source == NETNS_FOREIGN;
	const struct endpoint *ep;

	if (sb->stopped)
		return;
	if (!foreign) {
		plan_netns(e, sb, p);
		plan_files(e, sb, p);
	}
	plan_held_ports(sb, p);
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->state != OBJ_REMOVING)
			plan_endpoint(e, ep, p);
	if (sb->source == NETNS_HOST)
		return;
	if (!foreign) {
		plan_default_route(sb, AF_INET, p);
		plan_default_route(sb, AF_INET6, p);
	}
	plan_ports(sb, p);
	if (!foreign)
		plan_add(p, PLAN_DNS, sb->id, sb->id);
}

static bool is_alone(const struct endpoint *ep)
{
	const struct endpoint *o;

	list_for_each (o, &ep->network->endpoints, in_network)
		if (o != ep && o->sandbox && !o->sandbox->stopped && o->state != OBJ_REMOVING)
			return false;
	return true;
}

void plan_request(const struct cnm_engine *e, const struct sandbox *sb, struct plan *p)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->state != OBJ_REMOVING && network_is_global(ep->network) && is_alone(ep))
			plan_network(e, ep->network, p);
	plan_sandbox(e, sb, p);
}

/* ---- names */

#define MAX_NAMES 32

struct names {
	const char *v[MAX_NAMES];
	size_t n;
	char shortid[ID_SHORT + 1];
};

static void add_name(struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcasecmp(names->v[i], name) == 0)
			return;
	if (names->n < MAX_NAMES)
		names->v[names->n++] = name;
}

/* Of one on another host the aliases are all of them. */
static void names_of(const struct endpoint *ep, struct names *ret)
{
	const struct sandbox *sb = ep->sandbox;
	size_t i;
	json_t *v;

	ret->n = 0;
	if (sb)
		add_name(ret, sb->name);
	if (!endpoint_is_remote(ep))
		add_name(ret, ep->name);
	json_array_foreach (ep->aliases, i, v)
		add_name(ret, json_string_value(v));
	if (!sb)
		return;
	snprintf(ret->shortid, sizeof(ret->shortid), "%.*s", ID_SHORT, sb->id);
	add_name(ret, ret->shortid);
	add_name(ret, sb->hostname);
}

json_t *endpoint_names(const struct endpoint *ep)
{
	json_t *list = json_array();
	struct names names;

	names_of(ep, &names);
	for (size_t i = 0; i < names.n; i++)
		json_push(list, json_string(names.v[i]));
	return list;
}

int publish_endpoint(struct cnm_engine *e, const struct endpoint *ep)
{
	struct names names;

	names_of(ep, &names);
	return resolver_set_names(e->resolver, &(struct resolver_names){
						       .network_id = ep->network->id,
						       .network_name = ep->network->name,
						       .endpoint_id = ep->id,
						       .names = names.v,
						       .n_names = names.n,
						       .ip4 = ep->ip4,
						       .ip6 = ep->ip6,
					       });
}

#define MAX_PRIVATE 256

/*
 * Names that only this sandbox knows. The one linked to is found by its short id, which it always
 * has, or by the name it will have. short_ids owns the former.
 */
static size_t links_of(const struct sandbox *sb, struct resolver_link *ret,
		       char (*short_ids)[ID_SHORT + 1])
{
	const struct endpoint *ep;
	const char *alias;
	json_t *link;
	size_t n = 0;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		if (ep->state == OBJ_REMOVING || !network_is_user_defined(ep->network))
			continue;
		json_object_foreach (ep->links, alias, link) {
			const char *to = json_string_value(link);
			bool is_id = strlen(to) == ID_SIZE - 1;

			if (n == MAX_PRIVATE)
				return n;
			snprintf(short_ids[n], ID_SHORT + 1, "%.*s", ID_SHORT, to);
			ret[n].alias = alias;
			ret[n].name = is_id ? short_ids[n] : to;
			n++;
		}
	}
	return n;
}

/* Its own servers. We are none: asking us there would come back. */
static size_t servers_of(const struct files_resolv *resolv,
			 struct resolv_server ret[static RESOLV_SERVERS_MAX])
{
	const json_t *v;
	size_t i, n = 0;

	json_array_foreach (resolv->dns, i, v) {
		const char *s = json_string_value(v);

		if (n < RESOLV_SERVERS_MAX && s &&
		    resolv_server_parse(&ret[n], (struct text){ s, strlen(s) }) == 0 &&
		    !resolv_server_is_ours(&ret[n]))
			n++;
	}
	return n;
}

static int publish_itself(struct cnm_engine *e, const struct sandbox *sb, const char *const *nets,
			  size_t n_nets, bool forward)
{
	struct files_resolv resolv = sandbox_resolv(e, sb);
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	struct resolver_link links[MAX_PRIVATE];
	char short_ids[MAX_PRIVATE][ID_SHORT + 1], netns[900];

	snprintf(netns, sizeof(netns), "%s/%s", e->netns_dir, sb->name);
	return resolver_set_sandbox(e->resolver, &(struct resolver_sandbox){
							 .id = sb->id,
							 .network_ids = nets,
							 .n_networks = n_nets,
							 .servers = servers,
							 .n_servers = servers_of(&resolv, servers),
							 .netns = netns,
							 .forward = forward,
							 .ndots = files_ndots_given(&resolv),
							 .links = links,
							 .n_links = links_of(sb, links, short_ids),
						 });
}

int publish_sandbox(struct cnm_engine *e, const struct sandbox *sb)
{
	struct endpoint *order[64];
	const char *nets[64];
	unsigned n = sandbox_gateway_order(sb, order, 64), n_nets = 0;
	bool forward = false;
	int r = 0;

	if (sb->stopped || sb->source == NETNS_HOST) /* which asks as the host does */
		return 0;
	for (unsigned i = 0; i < n && r == 0; i++) {
		forward |= !order[i]->network->internal;
		if (!network_is_user_defined(order[i]->network))
			continue;
		nets[n_nets++] = order[i]->network->id;
		r = publish_endpoint(e, order[i]);
	}
	if (r < 0 || sb->source == NETNS_FOREIGN) /* it asks somebody else */
		return r;
	return publish_itself(e, sb, nets, n_nets, forward);
}
