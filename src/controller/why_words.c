/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sentences of `cnm why`, and the commands that would make a no a yes. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "controller/why.h"

static void say(struct strbuf *b, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
static void say(struct strbuf *b, const char *fmt, va_list ap)
{
	_free_ char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		b->failed = true;
		return;
	}
	strbuf_add(b, text);
}

void why_yes(struct why_answer *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(&a->text, fmt, ap);
	va_end(ap);
	a->yes = true;
}

void why_no(struct why_answer *a, unsigned rank, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(&a->text, fmt, ap);
	va_end(ap);
	a->yes = false;
	a->rank = rank;
}

void why_fix(struct why_answer *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(&a->fix, fmt, ap);
	va_end(ap);
}

const char *why_name(const struct why_party *p)
{
	return p->name;
}

const char *why_family(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

/* ------------------------------------------------------------------------- networks */

static bool has_addresses(const struct endpoint *ep)
{
	return ep->state != OBJ_REMOVING && ep->network->driver->addresses;
}

/* "backend", "backend and lan", "a, b and c", or "no network" */
static void add_networks(struct strbuf *b, const struct sandbox *sb)
{
	const struct endpoint *ep;
	unsigned n = 0, i = 0;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		n += has_addresses(ep);
	if (!n)
		strbuf_add(b, "no network");
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (has_addresses(ep)) {
			strbuf_addf(b, "%s%s",
				    i == 0       ? ""
				    : i + 1 == n ? " and "
						 : ", ",
				    ep->network->name);
			i++;
		}
}

/* A network that would do to join them: sandboxes on it reach one another. */
static const struct network *to_join(struct why *w, const struct sandbox *sb)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (has_addresses(ep) && why_has_icc(w, why_bridge(w, ep->network)))
			return ep->network;
	return NULL;
}

/* On the network "none", which goes with no other. */
static bool is_alone(const struct sandbox *sb)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (!ep->network->driver->addresses)
			return true;
	return sb->source == NETNS_HOST;
}

static void fix_by_joining(struct why *w, struct why_answer *a)
{
	const struct sandbox *from = w->from.sandbox, *to = w->to.sandbox;
	const struct network *n;

	if (!is_alone(to) && (n = to_join(w, from)))
		why_fix(a, "cnm network connect %s %s", n->name, to->name);
	else if (!is_alone(from) && (n = to_join(w, to)))
		why_fix(a, "cnm network connect %s %s", n->name, from->name);
}

void why_say_apart(struct why *w, struct why_answer *a)
{
	const struct sandbox *from = w->from.sandbox, *to = w->to.sandbox;
	struct strbuf one = { 0 }, other = { 0 };

	add_networks(&one, from);
	add_networks(&other, to);
	why_no(a, 6, "%s is on %s, %s on %s, and they share no network", from->name,
	       one.s ? one.s : "", to->name, other.s ? other.s : "");
	fix_by_joining(w, a);
	a->text.failed |= one.failed || other.failed;
	strbuf_free(&one);
	strbuf_free(&other);
}

void why_say_not_on(struct why *w, const struct endpoint *to, struct why_answer *a)
{
	const struct sandbox *from = w->from.sandbox;
	struct strbuf nets = { 0 };

	if (!from) {
		why_no(a, 9, "%s is on %s, which only sandboxes on it reach, not %s", to->name,
		       to->network->name, why_name(&w->from));
		return;
	}
	add_networks(&nets, from);
	why_no(a, 9, "%s is on %s, %s on %s, and they share no network", from->name,
	       nets.s ? nets.s : "", to->name, to->network->name);
	if (!is_alone(from))
		why_fix(a, "cnm network connect %s %s", to->network->name, from->name);
	a->text.failed |= nets.failed;
	strbuf_free(&nets);
}

void why_say_icc(struct why *w, const struct network *n, const struct endpoint *to,
		 struct why_answer *a)
{
	const struct endpoint *ep =
		w->from.sandbox ? sandbox_endpoint_on(w->from.sandbox, n) : NULL;
	const char *alias;
	json_t *id;

	json_object_foreach (ep ? ep->links : NULL, alias, id)
		if (w->from.sandbox && link_leads_to(id, to->sandbox)) {
			why_no(a, 10,
			       "%s has ICC off, and the link of %s to %s is for the ports that "
			       "%s exposes",
			       n->name, w->from.sandbox->name, to->sandbox->name,
			       to->sandbox->name);
			return;
		}
	why_no(a, 10, "%s has ICC off", n->name);
	if (w->from.sandbox && (is_alone(w->from.sandbox) || is_alone(to->sandbox)))
		return;
	if (w->from.sandbox)
		why_fix(a,
			"cnm network create joined && cnm network connect joined %s && cnm "
			"network connect joined %s",
			w->from.sandbox->name, to->sandbox->name);
}

void why_say_stopped(const struct sandbox *sb, struct why_answer *a)
{
	why_no(a, 11, "%s is not running", sb->name);
	why_fix(a, "cnm start %s", sb->name);
}

/* The sandbox has no route to the address. */
void why_say_no_way_out(struct why *w, const struct cnm_ip *to, struct why_answer *a)
{
	const struct sandbox *sb = w->from.sandbox;
	const struct endpoint *ep;
	bool on = false, internal = true, family = false;
	struct strbuf names = { 0 };

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (has_addresses(ep)) {
			on = true;
			internal &= ep->network->internal;
			family |= ip_is_set(to->family == AF_INET ? &ep->ip4 : &ep->ip6);
		}
	add_networks(&names, sb);
	if (!on)
		why_no(a, 2, "%s is on no network", sb->name);
	else if (!family)
		why_no(a, 1, "%s has no %s address on %s", sb->name, why_family(to->family),
		       names.s ? names.s : "");
	else if (internal)
		why_no(a, 4, "%s is internal, and %s has no other way out", names.s ? names.s : "",
		       sb->name);
	else
		why_no(a, 3, "no network of %s (%s) has a gateway for %s", sb->name,
		       names.s ? names.s : "", why_family(to->family));
	if (!is_alone(sb) && (!on || internal) && to->family == AF_INET)
		why_fix(a, "cnm network connect bridge %s", sb->name);
	a->text.failed |= names.failed;
	strbuf_free(&names);
}

/* ------------------------------------------------------------------------- through the host */

/* "con1's 172.18.0.2", "192.0.2.1" or "the host" */
static void add_source(struct strbuf *b, const struct why *w, const struct why_packet *k)
{
	char text[IP_STR];

	if (w->from.kind == WHY_HOST)
		strbuf_add(b, "the host");
	else
		strbuf_add(b, ip_format(&k->from, text));
}

static void say_published(const struct why *w, const struct why_packet *k, struct why_answer *a)
{
	char text[IP_STR];

	why_yes(a, "port %u of the host leads to %s, at %s port %u on %s", w->port,
		k->published->sandbox->name, ip_format(&k->to, text), k->port, k->out_net->name);
}

static void say_out(const struct why *w, const struct why_packet *k, struct why_answer *a)
{
	char from[IP_STR], as_text[IP_STR];
	struct cnm_ip as = { 0 };

	ip_format(&k->from, from);
	switch (why_leave(w, k->in, k->to.family, &as)) {
	case WHY_LEAVE_MASQUERADED:
		why_yes(a, "by %s and the host, as one of its own addresses (%s is masqueraded)",
			k->in_net->name, from);
		break;
	case WHY_LEAVE_AS:
		why_yes(a, "by %s and the host, as %s", k->in_net->name, ip_format(&as, as_text));
		break;
	case WHY_LEAVE_UNCHANGED:
		why_yes(a,
			"by %s and the host, as %s itself: answers come if %s has a route back to "
			"it by the host",
			k->in_net->name, from, why_name(&w->to));
		break;
	}
}

/* Accepted on its way to a network. */
static void say_in(const struct why *w, const struct why_packet *k, const char *because,
		   struct why_answer *a)
{
	struct strbuf source = { 0 };
	char to[IP_STR];

	add_source(&source, w, k);
	why_yes(a, "%sby %s, %s to %s", because, k->out_net->name, source.s ? source.s : "",
		ip_format(&k->to, to));
	a->text.failed |= source.failed;
	strbuf_free(&source);
}

static void say_in_because(const struct why *w, const struct why_packet *k, struct why_answer *a,
			   const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void say_in_because(const struct why *w, const struct why_packet *k, struct why_answer *a,
			   const char *fmt, ...)
{
	struct strbuf because = { 0 };
	va_list ap;

	va_start(ap, fmt);
	say(&because, fmt, ap);
	va_end(ap);
	say_in(w, k, because.s ? because.s : "", a);
	a->text.failed |= because.failed;
	strbuf_free(&because);
}

static const char *proto_port(const struct why *w, const struct why_packet *k, char buf[static 16])
{
	snprintf(buf, 16, "%s/%u", port_proto_name(w->proto), k->port);
	return buf;
}

/* Nothing lets it in. */
static void say_closed(struct why *w, const struct why_packet *k, struct why_answer *a)
{
	const struct endpoint *ep = why_endpoint_at(w, &k->to);
	const char *name = ep && ep->sandbox ? ep->sandbox->name : "";
	char text[IP_STR], port[16];

	ip_format(&k->to, text);
	if (w->from.kind == WHY_SANDBOX && k->in_net != k->out_net)
		why_no(a, 6, "%s is %s's address on %s, which %s is not on", text, name,
		       k->out_net->name, w->from.sandbox->name);
	else if (w->proto && why_is_routed(w, k->out, k->to.family))
		why_no(a, 6, "%s is routed, and lets in only what is published; %s of %s is not",
		       k->out_net->name, proto_port(w, k, port), name);
	else
		why_no(a, 6,
		       "%s lets nothing in from outside but what is published, at the host's "
		       "addresses (%s is %s's own)",
		       k->out_net->name, text, name);
	if (w->from.kind == WHY_SANDBOX && ep && !is_alone(w->from.sandbox) &&
	    !sandbox_endpoint_on(w->from.sandbox, k->out_net) && why_has_icc(w, k->out))
		why_fix(a, "cnm network connect %s %s", k->out_net->name, w->from.sandbox->name);
}

static void say_from_internal(const struct why *w, const struct why_packet *k, struct why_answer *a)
{
	if (k->published)
		why_no(a, 7, "port %u of the host leads to %s on %s, and %s is internal", w->port,
		       k->published->sandbox->name, k->out_net->name, k->in_net->name);
	else
		why_no(a, 7, "%s is internal: nothing leaves it", k->in_net->name);
}

/* Neither from nor to a network. */
static void say_foreign(const struct why *w, const struct why_packet *k, struct why_answer *a)
{
	char text[IP_STR];

	ip_format(&k->to, text);
	if (k->local && !w->to.route.found)
		why_no(a, 5, "the host has no route to %s", text);
	else if (k->local)
		why_yes(a, "the host sends it by %s, and cnm has no part in it", w->to.route.link);
	else
		why_yes(a, "the host forwards it, and cnm has no part in it");
}

void why_say_forward(struct why *w, const struct why_packet *k, enum why_end end,
		     struct why_answer *a)
{
	char port[16];

	switch (end) {
	case WHY_SAME:
	case WHY_PUBLISHED:
		if (k->published)
			say_published(w, k, a);
		else
			say_in(w, k, "", a);
		break;
	case WHY_OPEN:
		say_in_because(w, k, a, "%s is routed and %s published: ", k->out_net->name,
			       proto_port(w, k, port));
		break;
	case WHY_UNPROTECTED:
		say_in_because(w, k, a, "%s is unprotected: ", k->out_net->name);
		break;
	case WHY_TRUSTED:
		say_in_because(w, k, a, "%s trusts %s: ", k->out_net->name, k->in);
		break;
	case WHY_ROUTED_PING:
		say_in_because(w, k, a, "%s is routed: ", k->out_net->name);
		break;
	case WHY_OUT:
		say_out(w, k, a);
		break;
	case WHY_FOREIGN:
		say_foreign(w, k, a);
		break;
	case WHY_DROP_TO_INTERNAL:
		why_no(a, 7, "%s is internal: nothing enters it", k->out_net->name);
		break;
	case WHY_DROP_FROM_INTERNAL:
		say_from_internal(w, k, a);
		break;
	case WHY_DROP_ICC:
		why_no(a, 10, "%s has ICC off", k->out_net->name);
		break;
	case WHY_DROP_CLOSED:
	case WHY_DROP_PING:
		say_closed(w, k, a);
		break;
	case WHY_DROP_FOREIGN:
		why_no(a, 7,
		       "cnm turned forwarding on for its networks, and drops what is between "
		       "others (cnmd --ip-forward-no-drop leaves it alone)");
		break;
	}
}
