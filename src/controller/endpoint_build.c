/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a request to an endpoint: checks it as Docker does (all problems told at once), takes its
 * addresses, and finds its place in a sandbox.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/cluster.h"

/* The most ports a Linux bridge takes (BR_MAX_PORTS less one). */
#define MAX_PORTS 1023

int endpoint_check_pair(const struct network *n, const struct sandbox *sb, struct cnm_error *err)
{
	const struct endpoint *ep;

	if (sb->source == NETNS_HOST && !n->driver->shares_host)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"container sharing network namespace with another container or "
			"host cannot be connected to any other network");
	if (n->driver->shares_host && sb->source != NETNS_HOST)
		return cnm_error_set(err, CNM_E_INVALID,
				     "cannot connect container to host network - container must be "
				     "created in host network mode");
	if (sandbox_endpoint_on(sb, n))
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "endpoint with name %s already exists in network %s", sb->name,
				     n->name);
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (!n->driver->addresses || !ep->network->driver->addresses)
			return cnm_error_set(err, CNM_E_INVALID,
					     "container cannot be connected to multiple networks "
					     "with one of the networks in private (none) mode");
	return 0;
}

/* ---- what was asked, checked as a whole */

static void problem(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void problem(struct strbuf *b, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	strbuf_add(b, "\n");
	strbuf_add(b, line);
}

static void check_address(const struct network *n, const char *text, int family, struct cnm_ip *ret,
			  struct strbuf *problems)
{
	struct cnm_ip ip;

	if (!text || !text[0])
		return;
	if (ip_parse(&ip, text) < 0 || ip.family != family || ip_is_unspecified(&ip))
		problem(problems, "invalid IPv%c address: %s", family == AF_INET ? '4' : '6', text);
	else if (!network_is_user_defined(n))
		problem(problems, "user-specified IP address is supported on user-defined networks "
				  "only");
	else if (!network_pool_of(n, &ip))
		problem(problems, "no configured subnet contains IP address %s", text);
	else
		*ret = ip;
}

static void check_mac(const char *text, struct endpoint *ep, struct strbuf *problems)
{
	if (!text || !text[0])
		return;
	if (mac_parse(&ep->mac, text) < 0 || !mac_is_unicast(&ep->mac))
		problem(problems, "invalid MAC address: %s", text);
	ep->fixed_mac = true;
}

static void check_link_local(const struct cnm_endpoint_config *c, struct endpoint *ep,
			     struct strbuf *problems)
{
	for (size_t i = 0; i < c->n_link_local; i++) {
		struct cnm_ip ip;

		if (ip_parse(&ip, c->link_local[i]) < 0 || !ip_is_linklocal(&ip))
			problem(problems, "invalid link-local IP address: %s", c->link_local[i]);
		else if (ep->n_link_local == 4)
			problem(problems, "more than 4 link-local IP addresses");
		else
			ep->link_local[ep->n_link_local++] = ip;
	}
}

static void check_aliases(const struct network *n, const struct cnm_endpoint_config *c,
			  struct endpoint *ep, struct strbuf *problems)
{
	if (c->n_aliases && !network_is_user_defined(n))
		problem(problems, "network-scoped aliases are only supported for user-defined "
				  "networks");
	for (size_t i = 0; i < c->n_aliases; i++) {
		const char *a = c->aliases[i];

		if (!a[0] || strlen(a) > 253 || !str_is_printable(a) || strchr(a, ' '))
			problem(problems, "invalid alias: \"%s\"", a);
		else
			json_push(ep->aliases, json_string(a));
	}
}

static void check_links(const struct cnm_engine *e, const struct network *n,
			const struct cnm_endpoint_config *c, struct endpoint *ep,
			struct strbuf *problems)
{
	for (size_t i = 0; i < c->n_links; i++) {
		const char *ref = c->links[i].key, *alias = c->links[i].value;
		struct sandbox *to;
		unsigned matches;

		const char *target = ref;

		/* On a network with names one may link to what comes later. */
		if (model_find_sandbox(&e->model, ref, &to, &matches) == REF_FOUND)
			target = to->id;
		else if (!network_is_user_defined(n))
			return problem(problems, "invalid link: there is no container %s", ref);
		if (!alias[0] || strlen(alias) > 253 || !str_is_printable(alias) ||
		    strpbrk(alias, " /"))
			problem(problems, "invalid link: \"%s\" cannot be an alias", alias);
		else if (json_put(ep->links, alias, json_string(target)) < 0)
			problem(problems, "out of memory");
	}
}

static int check_config(const struct cnm_engine *e, const struct network *n,
			const struct cnm_endpoint_config *c, struct endpoint *ep,
			struct cnm_error *err)
{
	struct strbuf problems = { 0 };
	int r = 0;

	check_address(n, c->ipv4, AF_INET, &ep->ip4, &problems);
	check_address(n, c->ipv6, AF_INET6, &ep->ip6, &problems);
	ep->fixed_ip4 = ip_is_set(&ep->ip4);
	ep->fixed_ip6 = ip_is_set(&ep->ip6);
	check_mac(c->mac, ep, &problems);
	check_link_local(c, ep, &problems);
	check_aliases(n, c, ep, &problems);
	check_links(e, n, c, ep, &problems);
	if (problems.len || problems.failed)
		r = cnm_error_set(err, CNM_E_INVALID, "invalid endpoint settings:%s",
				  problems.s ? problems.s : "");
	strbuf_free(&problems);
	return r;
}

static int check_options(struct cnm_engine *e, const struct cnm_endpoint_config *c,
			 struct endpoint *ep, struct cnm_error *err)
{
	const struct driver *d = ep->network->driver;

	for (size_t i = 0; i < c->n_driver_opts; i++)
		if (json_put(ep->driver_opts, c->driver_opts[i].key,
			     json_string(c->driver_opts[i].value)) < 0)
			return cnm_error_errno(err, ENOMEM, "endpoint options");
	if (d->endpoint_check)
		return d->endpoint_check(ep, &e->env, err);
	if (c->n_driver_opts)
		return cnm_error_set(err, CNM_E_INVALID,
				     "endpoint option %s is not supported by driver %s",
				     c->driver_opts[0].key, d->name);
	return 0;
}

/* ---- addresses */

static int take_fixed(struct network *n, const struct cnm_ip *ip, struct cnm_error *err)
{
	int r = ipam_pool_take(network_pool_of(n, ip)->taken, ip);

	if (r == -ENOMEM)
		return cnm_error_errno(err, r, "take an address");
	return r < 0 ? cnm_error_set(err, CNM_E_FORBIDDEN, "Address already in use") : 0;
}

static int take_address(struct network *n, int family, struct cnm_ip *ip, struct cnm_error *err)
{
	struct network_pool *p = network_pool(n, family);
	int r;

	if (ip_is_set(ip))
		return take_fixed(n, ip, err);
	if (!p || p->pool_id) /* a plugin gives it */
		return 0;
	r = ipam_pool_next(p->taken, ip);
	if (r == -ENOSPC)
		return cnm_error_set(
			err, CNM_E_INTERNAL,
			"no available IPv%c addresses on this network's address pools: "
			"%s (%s)",
			family == AF_INET ? '4' : '6', n->name, n->id);
	return r < 0 ? cnm_error_errno(err, r, "take an address") : 0;
}

static void give_back(struct network *n, const struct cnm_ip *ip)
{
	struct network_pool *p = network_pool_of(n, ip);

	if (p)
		ipam_pool_release(p->taken, ip, false);
}

static int take_addresses(struct network *n, struct endpoint *ep, struct cnm_error *err)
{
	int r = take_address(n, AF_INET, &ep->ip4, err);

	if (r < 0)
		return r;
	r = take_address(n, AF_INET6, &ep->ip6, err);
	if (r < 0)
		give_back(n, &ep->ip4);
	return r;
}

static void choose_mac(struct endpoint *ep)
{
	if (ep->fixed_mac || !ep->network->driver->addresses || ep->network->plugin)
		return; /* a plugin's link brings its own */
	id_random(ep->mac.b, sizeof(ep->mac.b));
	ep->mac.b[0] = (ep->mac.b[0] & 0xfc) | 2;
}

int endpoint_build(struct cnm_engine *e, struct network *n, const char *name,
		   const struct cnm_endpoint_config *config, struct endpoint **ret,
		   struct cnm_error *err)
{
	struct endpoint *ep;
	int r;

	if (n->config_only)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "cannot create endpoint on configuration-only network");
	if (cluster_name_is_taken(e, n, name))
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "endpoint with name %s already exists in network %s", name,
				     n->name);
	ep = endpoint_new(name, n);
	if (!ep)
		return cnm_error_errno(err, ENOMEM, "endpoint");
	ep->gw_priority = config->gw_priority;
	if ((r = check_config(e, n, config, ep, err)) < 0 ||
	    (r = check_options(e, config, ep, err)) < 0 || (r = take_addresses(n, ep, err)) < 0) {
		endpoint_free(ep);
		return r;
	}
	choose_mac(ep);
	r = model_add_endpoint(&e->model, ep);
	if (r < 0) {
		give_back(n, &ep->ip4);
		give_back(n, &ep->ip6);
		endpoint_free(ep);
		return cnm_error_errno(err, r, "enter endpoint %s", name);
	}
	*ret = ep;
	return 0;
}

/* ---- a place in a sandbox */

static bool is_taken(const struct sandbox *sb, const struct ifnames *taken, const char *name)
{
	const struct endpoint *ep;

	for (unsigned i = 0; taken && i < taken->n; i++)
		if (streq(taken->names[i], name))
			return true;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (streq(ep->ifname, name))
			return true;
	return false;
}

static int choose_ifname(struct endpoint *ep, const struct sandbox *sb, const struct ifnames *taken,
			 struct cnm_error *err)
{
	const struct driver *d = ep->network->driver;
	const char *forced = json_string_value(
		json_object_get(ep->driver_opts, "com.docker.network.endpoint.ifname"));
	const char *prefix = d->iface_prefix ? d->iface_prefix(ep->network) : "eth";

	if (sb->source == NETNS_FOREIGN) { /* for a moment it is on the host */
		snprintf(ep->ifname, sizeof(ep->ifname), "dk%.13s", ep->id);
		return 0;
	}
	if (forced) {
		if (is_taken(sb, taken, forced))
			return cnm_error_set(err, CNM_E_CONFLICT,
					     "interface name %s is in use in %s", forced, sb->name);
		str_copy(ep->ifname, sizeof(ep->ifname), forced);
		return 0;
	}
	for (unsigned i = 0; i < 10000; i++) {
		char name[IFNAMSIZ];

		snprintf(name, sizeof(name), "%s%u", prefix, i);
		if (!is_taken(sb, taken, name)) {
			str_copy(ep->ifname, sizeof(ep->ifname), name);
			return 0;
		}
	}
	return cnm_error_set(err, CNM_E_UNAVAILABLE, "no interface name %sN is free in %s", prefix,
			     sb->name);
}

static unsigned count_joined(const struct network *n)
{
	const struct endpoint *ep;
	unsigned c = 0;

	list_for_each (ep, &n->endpoints, in_network)
		c += ep->sandbox && !ep->sandbox->stopped;
	return c;
}

int endpoint_check_room(const struct network *n, struct cnm_error *err)
{
	if (!n->driver->addresses || n->plugin || count_joined(n) < MAX_PORTS)
		return 0;
	return cnm_error_set(err, CNM_E_UNAVAILABLE,
			     "network %s has %u endpoints, the most a Linux bridge takes; use a "
			     "second network",
			     n->name, MAX_PORTS);
}

int endpoint_attach(struct endpoint *ep, struct sandbox *sb, const struct ifnames *taken,
		    struct cnm_error *err)
{
	if (ep->network->driver->addresses) {
		int r = choose_ifname(ep, sb, taken, err);

		if (r < 0)
			return r;
		if (!sb->stopped && (r = endpoint_check_room(ep->network, err)) < 0)
			return r;
	}
	ep->joined = clock_wall_ns();
	sandbox_insert(sb, ep);
	return 0;
}

void endpoint_detach(struct endpoint *ep)
{
	list_del(&ep->in_sandbox);
	ep->sandbox = NULL;
	ep->joined = 0;
	ep->ifname[0] = 0;
}

int endpoint_add(struct cnm_engine *e, struct network *n, struct sandbox *sb,
		 const struct cnm_endpoint_config *config, const struct ifnames *taken,
		 struct endpoint **ret, struct cnm_error *err)
{
	const char *name = config->name && config->name[0] ? config->name : sb->name;
	struct endpoint *ep;
	int r = endpoint_check_pair(n, sb, err);

	if (r == 0)
		r = endpoint_build(e, n, name, config, &ep, err);
	if (r != 0)
		return r;
	r = endpoint_attach(ep, sb, taken, err);
	if (r < 0) {
		model_del_endpoint(&e->model, ep, false);
		return r;
	}
	*ret = ep;
	return 0;
}
