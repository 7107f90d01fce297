/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the model to the files of a sandbox. The host's own files are read as they are now, so that
 * an unedited file follows them at the next comparison.
 */
#include "controller/planning_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "controller/host_files.h"
#include "controller/sandbox_names.h"

static void plan_file(const struct cnm_engine *e, const struct sandbox *sb, const char *name,
		      char *content, enum plan_file_edits edits, struct plan *p)
{
	char path[900];

	snprintf(path, sizeof(path), "%s/sandboxes/%s/%s", e->run_dir, sb->id, name);
	plan_add_file(p, sb->id, sb->id, path, content, edits);
}

static bool has_ipv6(const struct sandbox *sb)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->state != OBJ_REMOVING && ip_is_set(&ep->ip6))
			return true;
	return false;
}

/* ---- resolv.conf */

static enum files_mode files_mode(const struct sandbox *sb)
{
	const struct endpoint *ep;

	if (sb->source == NETNS_HOST)
		return FILES_HOST;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->state != OBJ_REMOVING && network_is_user_defined(ep->network))
			return FILES_EMBEDDED;
	return FILES_LEGACY;
}

static const json_t *own_or(const json_t *own, const json_t *engines)
{
	return json_array_size(own) ? own : engines;
}

struct files_resolv sandbox_resolv(const struct cnm_engine *e, const struct sandbox *sb)
{
	struct files_resolv in = {
		.mode = files_mode(sb),
		.path = host_files_path(e->host_files, HOST_RESOLV),
		.host = host_files_text(e->host_files, HOST_RESOLV),
		.ipv6 = has_ipv6(sb),
		.dns = own_or(sb->dns, e->dns),
		.search = own_or(sb->dns_search, e->dns_search),
		.options = own_or(sb->dns_options, e->dns_options),
	};
	const char *real;

	if (in.mode != FILES_LEGACY || !in.host || !files_is_stub(in.host))
		return in;
	/* The stub cannot be reached from there; what it asks can. */
	real = host_files_text(e->host_files, HOST_RESOLVED);
	if (real) {
		in.path = host_files_path(e->host_files, HOST_RESOLVED);
		in.host = real;
	}
	return in;
}

/* ---- hosts: the lines, whose names they own */

struct lines {
	struct files_host_entry *v;
	size_t n, cap;
	bool failed;
};

/* ips: IPv4 and IPv6, a line each where set. names is taken over. */
static void add_lines(struct lines *l, const struct cnm_ip *const ips[2], char *names)
{
	for (unsigned i = 0; i < 2 && names; i++) {
		if (!ips[i] || !ip_is_set(ips[i]) || l->n == l->cap)
			continue;
		l->v[l->n] = (struct files_host_entry){ *ips[i], strdup(names) };
		l->failed |= !l->v[l->n++].names;
	}
	l->failed |= !names;
	free(names);
}

static void add_endpoint(struct lines *l, const struct endpoint *ep, char *names)
{
	const struct cnm_ip *ips[] = { &ep->ip4, &ep->ip6 };

	add_lines(l, ips, names);
}

/* What "host-gateway" stands for: what the engine was told, or the default bridge's gateways. */
static void host_gateways(const struct cnm_engine *e, const struct cnm_ip *ret[2])
{
	static const int families[] = { AF_INET, AF_INET6 };
	bool told = ip_is_set(&e->host_gateway[0]) || ip_is_set(&e->host_gateway[1]);
	struct network *bridge = NULL;
	unsigned matches;

	if (!told && model_find_network(&e->model, "bridge", &bridge, &matches) != REF_FOUND)
		bridge = NULL;
	for (unsigned i = 0; i < 2; i++) {
		const struct network_pool *pool = bridge ? network_pool(bridge, families[i]) : NULL;

		ret[i] = told ? &e->host_gateway[i] : pool ? &pool->gateway : NULL;
	}
}

/* "NAME:ADDRESS", as the user gave them and in his order. */
static void add_extra(struct lines *l, const struct cnm_engine *e, const char *entry)
{
	const char *colon = entry ? strchr(entry, ':') : NULL;
	const struct cnm_ip *ips[2] = { 0 };
	struct cnm_ip ip;

	if (!colon)
		return;
	if (streq(colon + 1, HOST_GATEWAY))
		host_gateways(e, ips);
	else if (ip_parse(&ip, colon + 1) == 0)
		ips[0] = &ip;
	add_lines(l, ips, strndup(entry, (size_t)(colon - entry)));
}

/* Docker's old links: on the default bridge, which has no names of its own, they are lines here. */
static void add_links(struct lines *l, const struct endpoint *ep)
{
	const char *alias;
	json_t *id;

	if (network_is_user_defined(ep->network))
		return;
	json_object_foreach (ep->links, alias, id) {
		const struct endpoint *to = link_target(ep, id);
		char *names = NULL;

		if (!to)
			continue;
		if (asprintf(&names, "%s %s%s%s", alias, to->sandbox->hostname,
			     streq(alias, to->sandbox->name) ? "" : " ",
			     streq(alias, to->sandbox->name) ? "" : to->sandbox->name) < 0)
			names = NULL;
		add_endpoint(l, to, names);
	}
}

static void free_lines(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		free((char *)l->v[i].names);
	free(l->v);
}

static size_t count_lines(const struct sandbox *sb)
{
	size_t n = 2 * json_array_size(sb->extra_hosts);
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		n += 2 + 2 * json_object_size(ep->links);
	return n;
}

/* The user's; one an address, IPv4 before IPv6, endpoints in the order of joining; the links. */
static void add_all(struct lines *l, const struct cnm_engine *e, const struct sandbox *sb)
{
	const struct endpoint *ep;
	const json_t *extra;
	size_t i;

	json_array_foreach (sb->extra_hosts, i, extra)
		add_extra(l, e, json_string_value(extra));
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->state != OBJ_REMOVING && !network_is_gateway(ep->network))
			add_endpoint(l, ep, files_host_names(sb->hostname, sb->domainname));
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->state != OBJ_REMOVING)
			add_links(l, ep);
}

static char *hosts_text(const struct cnm_engine *e, const struct sandbox *sb)
{
	_cleanup_(free_lines) struct lines l = { .cap = count_lines(sb) };
	bool on_host = sb->source == NETNS_HOST;
	const char *hosts;

	if (on_host && !json_array_size(sb->extra_hosts)) {
		hosts = host_files_text(e->host_files, HOST_HOSTS);
		return hosts ? strdup(hosts) : files_hosts(NULL, 0, e->env.host_ipv6);
	}
	l.v = calloc(l.cap + 1, sizeof(*l.v));
	if (!l.v)
		return NULL;
	add_all(&l, e, sb);
	return l.failed ? NULL : files_hosts(l.v, l.n, on_host ? e->env.host_ipv6 : has_ipv6(sb));
}

/* ---- all */

void plan_files(const struct cnm_engine *e, const struct sandbox *sb, struct plan *p)
{
	struct files_resolv resolv = sandbox_resolv(e, sb);

	plan_file(e, sb, "hostname", files_hostname(sb->hostname), PLAN_EDITS_NONE, p);
	plan_file(e, sb, "hosts", hosts_text(e, sb), PLAN_EDITS_LINES, p);
	plan_file(e, sb, "resolv.conf", files_resolv_conf(&resolv), PLAN_EDITS_ALL, p);
}
