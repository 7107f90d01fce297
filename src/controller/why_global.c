/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a packet would arrive on a network of several hosts. Such a network has a place of its
 * own, with none of the host's links, routes and rules: who is on it reaches everybody on it unless
 * ICC is off, and nobody else does. What is not known here is the way between the hosts.
 */
#include <string.h>

#include "controller/cluster.h"
#include "controller/why.h"

static bool answers_to(const struct endpoint *ep, const char *ref)
{
	const json_t *v;
	size_t i;

	if (streq(ep->name, ref))
		return true;
	json_array_foreach (ep->aliases, i, v)
		if (streq(json_string_value(v), ref))
			return true;
	return false;
}

const struct endpoint *why_find_remote(const struct why *w, const char *ref)
{
	const struct endpoint *ep, *found = NULL;
	const struct network *n;

	list_for_each (n, &w->e->model.networks, node) {
		bool shared = w->from.sandbox && sandbox_endpoint_on(w->from.sandbox, n);

		list_for_each (ep, &n->endpoints, in_network)
			if (endpoint_is_remote(ep) && (!found || shared) && answers_to(ep, ref))
				found = ep;
	}
	return found;
}

/* ICC is off: the near ends of its veths are isolated from one another, and from other hosts. */
static bool is_isolated(const struct why *w, const struct endpoint *ep)
{
	struct plan p = { 0 };
	bool isolated = false;

	plan_endpoint(w->e, ep, &p);
	for (size_t i = 0; i < p.n; i++)
		isolated |= p.items[i].kind == PLAN_LINK && p.items[i].link.isolated;
	plan_free(&p);
	return isolated;
}

static void say_yes(const struct why *w, const struct endpoint *from, const struct endpoint *to,
		    struct why_answer *a)
{
	const struct engine_cluster *c = w->e->cluster;
	char host[IP_STR];
	unsigned lost;

	if (from->network->plugin) {
		why_yes(a, "both are on %s; what is between them is the plugin \"%s\"'s",
			from->network->name, from->network->plugin);
		return;
	}
	if (!endpoint_is_remote(to)) {
		why_yes(a, "both are on %s", from->network->name);
		return;
	}
	lost = c ? cluster_host_lost_s(c, to->host) : 0;
	why_yes(a, "both are on %s, and %s is on host %.12s: frames for it go to %s as VXLAN %u%s",
		from->network->name, to->name, to->host, ip_format(&to->vtep, host),
		cluster_vxlan_id(from->network),
		lost ? "; but nothing has been heard of that host lately (`cnm node ls`)" : "");
}

void why_attempt_global(struct why *w, const struct network *n, const struct cnm_ip *ip,
			struct why_answer *a)
{
	const struct endpoint *to = why_endpoint_at(w, ip);
	const struct endpoint *from =
		w->from.sandbox ? sandbox_endpoint_on(w->from.sandbox, n) : NULL;
	char text[IP_STR];

	a->to = *ip;
	a->path[a->n_path++] = n->name;
	if (!to)
		why_no(a, 7, "nobody on %s has %s", n->name, ip_format(ip, text));
	else if (!from)
		why_say_not_on(w, to, a);
	else if (to->sandbox && to->sandbox->stopped)
		why_say_stopped(to->sandbox, a);
	else if (to != from && is_isolated(w, from))
		why_no(a, 10, "%s has ICC off", n->name);
	else
		say_yes(w, from, to, a);
}
