/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Published ports of a sandbox: where they go, what they are allotted, what that means in the plan.
 *
 * They follow the sandbox's ways out: the network that is its default gateway in a family decides
 * how they are published (its driver's `publishes`). So they are allotted anew whenever the sandbox
 * is made or its endpoints change; what it had before is kept where it still fits. What is given up
 * stays in the model's index until it is gone from the kernel.
 */
#include "controller/ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

/* ---- where they go */

static const int families[] = { AF_INET, AF_INET6 };

static enum port_way way_of(const struct endpoint *gw, int family, struct cnm_ip *ret_host)
{
	const struct network *n = gw ? gw->network : NULL;

	*ret_host = (struct cnm_ip){ 0 };
	return n && n->driver->publishes ? n->driver->publishes(n, family, ret_host) : PORT_NONE;
}

static void find_place(const struct cnm_engine *e, const struct sandbox *sb, struct port_place *ret)
{
	const struct endpoint *gw4 = sandbox_gateway(sb, AF_INET),
			      *gw6 = sandbox_gateway(sb, AF_INET6);

	memset(ret, 0, sizeof(*ret));
	ret->by[0].way = way_of(gw4, AF_INET, &ret->by[0].host);
	ret->by[1].way = way_of(gw6, AF_INET6, &ret->by[1].host);
	/* IPv6 to a sandbox without: by way of the proxy. */
	if (!gw6 && ret->by[0].way == PORT_NAT) {
		way_of(gw4, AF_INET6, &ret->by[1].host);
		ret->by[1].way = PORT_PROXY;
	}
	if (!e->env.host_ipv6 && ret->by[1].way != PORT_OPEN)
		ret->by[1].way = PORT_NONE;
}

static bool is_used(void *arg, uint8_t proto, uint16_t port)
{
	const struct hostports_used *u = arg;

	return hostports_is_used(u, proto, port) || (u->reserved[port / 8] & 1 << port % 8);
}

bool sandbox_chooses_ports(const struct sandbox *sb)
{
	for (unsigned i = 0; i < sb->n_wants; i++) {
		const struct port_want *w = &sb->wants[i];

		if (!w->host_first || w->host_last - w->host_first != w->last - w->first)
			return true;
	}
	return false;
}

bool sandbox_has_bound_ports(const struct sandbox *sb)
{
	for (unsigned i = 0; i < sb->n_ports; i++)
		if (port_is_bound(&sb->ports[i]))
			return true;
	return false;
}

void ports_look(struct cnm_engine *e, const char *ref, struct hostports_used *ret)
{
	struct sandbox *sb;
	unsigned matches;
	bool chooses;

	pthread_mutex_lock(&e->lock);
	chooses = model_find_sandbox(&e->model, ref, &sb, &matches) == REF_FOUND &&
		  sandbox_chooses_ports(sb);
	pthread_mutex_unlock(&e->lock);
	ret->first = 0;
	if (chooses)
		hostports_look(ret, NULL);
}

/* ---- allotting; lock held */

static int allot(struct cnm_engine *e, struct sandbox *sb, const struct hostports_used *used,
		 const struct ports_change *c, struct cnm_error *err)
{
	struct port_place place;
	struct port *ports = NULL;
	unsigned n = 0;
	int r;

	find_place(e, sb, &place);
	place.first = 32768;
	place.last = 60999;
	if (used && used->first) {
		place.used = is_used;
		place.arg = (void *)used;
		place.first = used->first;
		place.last = used->last;
	}
	r = ports_allot(&e->model.ports, &place, sb, sb->wants, sb->n_wants, c->old, c->n_old,
			&ports, &n, err);
	if (r < 0)
		return r;
	r = port_index_add(&e->model.ports, ports, n);
	if (r < 0) {
		free(ports);
		return cnm_error_errno(err, r, "enter the ports of %s", sb->name);
	}
	sb->ports = ports;
	sb->n_ports = n;
	return 0;
}

int ports_begin(struct cnm_engine *e, struct sandbox *sb, const struct hostports_used *used,
		struct ports_change *ret, struct cnm_error *err)
{
	int r = 0;

	*ret = (struct ports_change){ .old = sb->ports,
				      .n_old = sb->n_ports,
				      .given_up = sb->stopped || !sb->n_wants };
	sb->ports = NULL;
	sb->n_ports = 0;
	if (ret->given_up)
		return 0;
	port_index_del(&e->model.ports, ret->old, ret->n_old);
	r = allot(e, sb, used, ret, err);
	if (r < 0) {
		ports_tell(sb, err);
		ports_end(e, sb, ret, false);
	}
	return r;
}

void ports_tell(const struct sandbox *sb, struct cnm_error *err)
{
	const struct endpoint *gw = sandbox_gateway(sb, AF_INET);

	if (!err)
		return;

	if (!gw)
		gw = sandbox_gateway(sb, AF_INET6);
	if (gw && (str_after(err->text, "Bind for ") ||
		   str_after(err->text, "failed to bind host port ")))
		cnm_error_prefix(err,
				 "driver failed programming external connectivity on endpoint "
				 "%s (%s)",
				 gw->name, gw->id);
}

void ports_end(struct cnm_engine *e, struct sandbox *sb, struct ports_change *c, bool done)
{
	if (done) {
		if (c->given_up)
			port_index_del(&e->model.ports, c->old, c->n_old);
		free(c->old);
	} else {
		port_index_del(&e->model.ports, sb->ports, sb->n_ports);
		free(sb->ports);
		sb->ports = c->old;
		sb->n_ports = c->n_old;
		/* Somebody may have taken one meanwhile; the next comparison lets go of ours. */
		if (!c->given_up && port_index_add(&e->model.ports, sb->ports, sb->n_ports) < 0)
			sb->n_ports = 0;
	}
	*c = (struct ports_change){ 0 };
}

/* ---- the plan */

static const struct cnm_ip *target(const struct sandbox *sb, unsigned f)
{
	static const struct cnm_ip none;
	const struct endpoint *gw = sandbox_gateway(sb, families[f]);

	return !gw ? &none : f ? &gw->ip6 : &gw->ip4;
}

static void plan_hold(const struct sandbox *sb, struct plan *p)
{
	struct cnm_ip targets[] = { *target(sb, 0), *target(sb, 1) };
	struct hostports *held = calloc(2 * sb->n_ports, sizeof(*held));
	size_t n = 0;

	for (unsigned i = 0; held && i < sb->n_ports; i++) {
		const struct port *port = &sb->ports[i];

		for (unsigned f = 0; f < 2; f++)
			if (port_is_bound_in(port, f))
				held[n++] = (struct hostports){ port->proto, port->by[f].host,
								port->host_first,
								port_host_last(port) };
	}
	p->failed |= !held;
	if (held && n)
		plan_add_hold(p, sb->id, held, n, targets);
	free(held);
}

static void plan_nat(const struct sandbox *sb, const struct port *port, unsigned f, struct plan *p)
{
	static const char *const one[][2] = { { "pub4", "pub4any" }, { "pub6", "pub6any" } };
	static const char *const many[][2] = { { "range4", "range4any" },
					       { "range6", "range6any" } };
	const struct cnm_ip *host = &port->by[f].host, *to = target(sb, f);
	bool any = ip_is_unspecified(host);
	unsigned n = port->last - port->first + 1u;

	if (n > 1 && port->host_first == port->first) {
		if (any)
			plan_add_elemf(p, NULL, sb->id, many[f][1], port->proto, port->first,
				       port->last, to);
		else
			plan_add_elemf(p, NULL, sb->id, many[f][0], host, port->proto, port->first,
				       port->last, to);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		int from = port->host_first + (int)i, dest = port->first + (int)i;

		if (any)
			plan_add_elemf(p, NULL, sb->id, one[f][1], port->proto, from, to, dest);
		else
			plan_add_elemf(p, NULL, sb->id, one[f][0], host, port->proto, from, to,
				       dest);
	}
}

/* host NULL: at every address. */
static void plan_proxied(const struct sandbox *sb, const struct port *port,
			 const struct cnm_ip *host, struct plan *p)
{
	int first = port->host_first, last = port_host_last(port);

	if (port->proto != IPPROTO_TCP && port->proto != IPPROTO_UDP)
		return;
	if (host && first == last)
		plan_add_elemf(p, NULL, sb->id, "proxied", host, port->proto, first);
	else if (host)
		plan_add_elemf(p, NULL, sb->id, "proxiedrange", host, port->proto, first, last);
	else if (first == last)
		plan_add_elemf(p, NULL, sb->id, "proxiedany", port->proto, first);
	else
		plan_add_elemf(p, NULL, sb->id, "proxiedrangeany", port->proto, first, last);
}

static void plan_open(const struct sandbox *sb, const struct port *port, unsigned f, struct plan *p)
{
	static const char *const sets[][2] = { { "open4", "openrange4" },
					       { "open6", "openrange6" } };

	if (port->first == port->last)
		plan_add_elemf(p, NULL, sb->id, sets[f][0], target(sb, f), port->proto,
			       port->first);
	else
		plan_add_elemf(p, NULL, sb->id, sets[f][1], target(sb, f), port->proto, port->first,
			       port->last);
}

/* ::1 cannot be translated: there, too, the proxy serves. */
void plan_port(const struct sandbox *sb, const struct port *port, unsigned f, struct plan *p)
{
	static const struct cnm_ip loopback = { AF_INET6, { [15] = 1 } };
	const struct cnm_ip *host = &port->by[f].host;

	switch (port->by[f].way) {
	case PORT_NONE:
		break;
	case PORT_NAT:
		if (f && (ip_is_unspecified(host) || ip_eq(host, &loopback)))
			plan_proxied(sb, port, &loopback, p);
		if (!f || !ip_eq(host, &loopback))
			plan_nat(sb, port, f, p);
		break;
	case PORT_PROXY:
		plan_proxied(sb, port, ip_is_unspecified(host) ? NULL : host, p);
		break;
	case PORT_OPEN:
		plan_open(sb, port, f, p);
		break;
	}
}

void plan_held_ports(const struct sandbox *sb, struct plan *p)
{
	if (sb->n_ports)
		plan_hold(sb, p);
}

void plan_ports(const struct sandbox *sb, struct plan *p)
{
	for (unsigned i = 0; i < sb->n_ports; i++)
		for (unsigned f = 0; f < 2; f++)
			plan_port(sb, &sb->ports[i], f, p);
}

/* ---- for the proxy */

int ports_find_target(void *arg, uint8_t proto, const struct cnm_ip *to, uint16_t port,
		      struct cnm_ip *ret_ip, uint16_t *ret_port)
{
	struct cnm_engine *e = arg;
	const struct port *found;
	const struct cnm_ip *ip;
	LOCKED(&e->lock);

	found = port_index_find(&e->model.ports, proto, to, port, port);
	if (!found)
		return -ENOENT;
	ip = target(found->sandbox, found->by[1].way == PORT_NAT);
	if (!ip_is_set(ip))
		return -ENOENT;
	*ret_ip = *ip;
	*ret_port = (uint16_t)(found->first + (port - found->host_first));
	return 0;
}

/* ---- as JSON */

json_t *inspect_port(const struct port *port, unsigned f)
{
	char ip[IP_STR];

	return json_pack("{s:s,s:s,s:i,s:i,s:i,s:i}", "Protocol", port_proto_name(port->proto),
			 "HostIp", ip_format(&port->by[f].host, ip), "HostFirst",
			 (int)port->host_first, "HostLast", (int)port_host_last(port), "First",
			 (int)port->first, "Last", (int)port->last);
}

json_t *inspect_ports(const struct sandbox *sb)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < sb->n_ports; i++)
		for (unsigned f = 0; f < 2; f++)
			if (port_is_bound_in(&sb->ports[i], f))
				json_push(list, inspect_port(&sb->ports[i], f));
	return list;
}

json_t *inspect_wants(const struct sandbox *sb)
{
	json_t *list = json_array();
	char ip[IP_STR];

	for (unsigned i = 0; i < sb->n_wants; i++) {
		const struct port_want *w = &sb->wants[i];

		json_push(list,
			  json_pack("{s:s,s:s,s:i,s:i,s:i,s:i}", "Protocol",
				    port_proto_name(w->proto), "HostIp", ip_format(&w->host, ip),
				    "HostFirst", (int)w->host_first, "HostLast", (int)w->host_last,
				    "First", (int)w->first, "Last", (int)w->last));
	}
	return list;
}

json_t *inspect_exposed(const struct sandbox *sb)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < sb->n_exposed; i++)
		json_push(list,
			  json_pack("{s:s,s:i,s:i}", "Protocol",
				    port_proto_name(sb->exposed[i].proto), "First",
				    (int)sb->exposed[i].first, "Last", (int)sb->exposed[i].last));
	return list;
}

/* ---- from a request */

static int add_want(struct sandbox *sb, const struct cnm_publish *c, struct cnm_error *err)
{
	struct port_want w = { 0 };

	if (port_proto_parse(c->protocol && c->protocol[0] ? c->protocol : "tcp", &w.proto) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "Invalid proto: %s; ports are of tcp, udp or sctp",
				     c->protocol);
	if (c->host_ip && c->host_ip[0] && ip_parse(&w.host, c->host_ip) < 0)
		return cnm_error_set(err, CNM_E_INVALID, "Invalid ip address: %s", c->host_ip);
	if (ip_is_multicast(&w.host))
		return cnm_error_set(err, CNM_E_INVALID,
				     "Invalid ip address: %s is a multicast address, and none of a "
				     "host's",
				     c->host_ip);
	if (c->first > 65535 || c->last > 65535 || c->host_first > 65535 || c->host_last > 65535)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid port specification: \"%u-%u:%u-%u\": ports are from "
				     "1 to 65535",
				     c->host_first, c->host_last, c->first, c->last);
	w.first = (uint16_t)c->first;
	w.last = (uint16_t)c->last;
	w.host_first = (uint16_t)c->host_first;
	w.host_last = (uint16_t)c->host_last;
	return port_wants_add(&sb->wants, &sb->n_wants, &w, err);
}

static int add_exposed(struct sandbox *sb, const struct cnm_port_range *c, struct cnm_error *err)
{
	struct port_run *run = &sb->exposed[sb->n_exposed];

	if (port_proto_parse(c->protocol && c->protocol[0] ? c->protocol : "tcp", &run->proto) <
		    0 ||
	    !c->first || c->first > c->last || c->last > 65535)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid port to expose: %u-%u/%s; ports are of tcp, udp or "
				     "sctp, from 1 to 65535",
				     c->first, c->last, c->protocol ? c->protocol : "tcp");
	run->first = (uint16_t)c->first;
	run->last = (uint16_t)c->last;
	sb->n_exposed++;
	return 0;
}

int sandbox_set_ports(struct sandbox *sb, const struct cnm_sandbox_config *c, struct cnm_error *err)
{
	int r = 0;

	for (size_t i = 0; i < c->n_publish && r == 0; i++)
		r = add_want(sb, &c->publish[i], err);
	if (r == 0)
		r = port_wants_join(sb->wants, &sb->n_wants, err);
	sb->exposed = calloc(c->n_exposed + 1, sizeof(*sb->exposed));
	if (r == 0 && !sb->exposed)
		return cnm_error_errno(err, ENOMEM, "ports of sandbox %s", sb->name);
	for (size_t i = 0; i < c->n_exposed && r == 0; i++)
		r = add_exposed(sb, &c->exposed[i], err);
	return r;
}
