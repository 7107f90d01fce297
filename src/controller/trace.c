/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cnm trace`: following the packets of a flow through the firewall.
 *
 * The ruleset marks packets whose two addresses are an element of its trace sets, and the kernel
 * tells of every rule that a marked packet matches. The elements are part of what is planned for
 * the host while the trace is in the engine's list, so a comparison leaves them alone; the list and
 * the kernel are changed together, within one turn of the applier. After a daemon that died they
 * are wanted by nobody, and the first comparison removes them.
 *
 * What the kernel tells is filtered by addresses, protocol and port, grouped by packet, and told as
 * a line of JSON a step. A packet's last line says where and why it was dropped or, once nothing
 * more was heard of it for a moment, that it was let through.
 *
 * The kernel has no name for a packet. Its id is made of what it has at hand, changes on the way
 * through the host, and comes again with the next packet of a flow. But a packet begins where it is
 * marked (chains trace_in and trace_out), and what is heard under an id not seen so far continues
 * the one that came in by the same link and has one of its ends.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "controller/why.h"
#include "kernel/nft_trace.h"
#include "kernel/rtnl.h"

#define MAX_PAIRS       128
#define MAX_OWN         16 /* addresses of the host */
#define MAX_LABELS      256
#define MAX_PACKETS     256 /* under way at once */
#define MAX_SECONDS     3600
#define DEFAULT_SECONDS 10
#define QUIET_NS        200000000ull /* a packet nothing is heard of for so long is through */
#define TICK_MS         100

/* One that runs: an entry of the engine's list. The lock guards the list; the rest is constant. */
struct trace {
	struct trace *next;
	struct pair {
		struct cnm_ip from, to;
	} pairs[MAX_PAIRS];
	unsigned n;
};

/* What a link of the host is called in sentences. */
struct label {
	char link[IFNAMSIZ];
	char name[128];
	bool bridge;
};

enum stage {
	ON_BRIDGE, /* so far */
	FROM_HOST, /* sent by the host itself, and not come back to it */
	IN_HOST,
};

/* A packet under way. */
struct passer {
	uint32_t id;
	unsigned number; /* 0: free */
	uint64_t heard;
	enum stage stage;
	char port[IFNAMSIZ]; /* of a bridge, by which it leaves; or "" */
	struct nft_trace_packet packet;
};

struct follower {
	struct cnm_engine *e;
	struct trace trace;
	struct cnm_ip own[MAX_OWN]; /* the host's, but loopback */
	unsigned n_own;
	uint8_t proto;     /* 0: any */
	uint16_t ports[2]; /* of the flow, and behind a translation */
	struct label labels[MAX_LABELS];
	unsigned n_labels;
	struct nft_rules rules;
	struct passer passers[MAX_PACKETS];
	unsigned count;
	bool over; /* whom it is told to has enough */
	int (*deliver)(const char *json, void *arg);
	void *arg;
};

/* ------------------------------------------------------------------------- elements */

static bool has_pair(const struct trace *t, const struct cnm_ip *from, const struct cnm_ip *to)
{
	for (unsigned i = 0; i < t->n; i++)
		if (ip_eq(&t->pairs[i].from, from) && ip_eq(&t->pairs[i].to, to))
			return true;
	return false;
}

/* Of two traces of the same flow one has its elements. */
static bool is_planned_before(const struct cnm_engine *e, const struct trace *t,
			      const struct pair *p)
{
	for (const struct trace *o = e->traces; o != t; o = o->next)
		if (has_pair(o, &p->from, &p->to))
			return true;
	return false;
}

void traces_plan(const struct cnm_engine *e, struct plan *p)
{
	for (const struct trace *t = e->traces; t; t = t->next)
		for (unsigned i = 0; i < t->n; i++) {
			const struct pair *pair = &t->pairs[i];
			bool four = pair->from.family == AF_INET;

			if (is_planned_before(e, t, pair))
				continue;
			plan_add_elemf(p, NULL, "host", four ? "trace4" : "trace6", &pair->from,
				       &pair->to);
			plan_add_elemf(p, NULL, "host", four ? "btrace4" : "btrace6", &pair->from,
				       &pair->to);
		}
}

static void enlist(struct cnm_engine *e, struct trace *t, bool on)
{
	struct trace **at = &e->traces;

	while (*at && *at != t)
		at = &(*at)->next;
	if (on)
		*at = t;
	else if (*at)
		*at = t->next;
}

/* Put the trace into the list, or take it out, and its elements into the kernel, or out of it. */
static int switch_trace(struct cnm_engine *e, struct trace *t, bool on, struct cnm_error *err)
{
	struct plan before = { 0 }, after = { 0 };
	struct plan_diff diff = { 0 };
	int r;

	applier_enter(e->applier);
	pthread_mutex_lock(&e->lock);
	traces_plan(e, &before);
	enlist(e, t, on);
	traces_plan(e, &after);
	pthread_mutex_unlock(&e->lock);
	r = plan_check(&before, err);
	if (r == 0)
		r = plan_check(&after, err);
	if (r == 0 && plan_diff(&before, &after, &diff) < 0)
		r = cnm_error_errno(err, ENOMEM, "trace");
	if (r == 0 && applier_repair(e->applier, &diff, err) > 0)
		r = -EIO;
	applier_leave(e->applier);
	plan_diff_free(&diff);
	plan_free(&before);
	plan_free(&after);
	return r;
}

/* ------------------------------------------------------------------------- addresses */

static void add_pair(struct trace *t, const struct cnm_ip *a, const struct cnm_ip *b)
{
	const struct cnm_ip *ends[] = { a, b, a };

	if (!ip_is_set(a) || !ip_is_set(b) || a->family != b->family)
		return;
	for (unsigned i = 0; i < 2; i++)
		if (t->n < MAX_PAIRS && !has_pair(t, ends[i], ends[i + 1]))
			t->pairs[t->n++] = (struct pair){ *ends[i], *ends[i + 1] };
}

/* Between the host, as it is known on that network, and an address of the network. */
static void add_gateway_pair(struct why *w, struct trace *t, const struct cnm_ip *ip)
{
	const struct endpoint *ep = why_endpoint_at(w, ip);
	const struct network_pool *pool = ep ? network_pool(ep->network, ip->family) : NULL;

	if (pool)
		add_pair(t, &pool->gateway, ip);
}

/* Both ways between the source and an address, with those that it has after a translation. */
static void add_target(struct why *w, struct follower *f, const struct cnm_ip *from,
		       const struct cnm_ip *to)
{
	struct why_packet k = { .from = *from, .to = *to, .port = w->port, .in = "", .out = "" };
	const struct port *published = NULL;
	struct cnm_ip inner;

	add_pair(&f->trace, from, to);
	if (why_host_has(w, to) &&
	    why_translate(w, &k, &inner, &f->ports[1], &published) == PORT_NAT) {
		add_pair(&f->trace, from, &inner);
		add_gateway_pair(w, &f->trace, &inner);
	}
	if (w->from.kind == WHY_HOST)
		add_gateway_pair(w, &f->trace, to);
	/* Answers from outside come to the address that the packet left as. */
	if (w->to.kind == WHY_OUTSIDE)
		add_pair(&f->trace, &w->to.route.source, to);
}

/* An address of the host's, but not one of its gateways: there may be very many of those. */
static bool is_of_a_network(const struct why *w, const struct cnm_ip *ip)
{
	const struct network *n;

	list_for_each (n, &w->e->model.networks, node)
		if (n->driver->addresses && network_pool_of(n, ip))
			return true;
	return false;
}

/* Every address that the packets may go to: the host may be meant by any of its own. */
static unsigned all_targets(struct why *w, const struct follower *f,
			    struct cnm_ip ret[static WHY_MAX_TARGETS + MAX_OWN])
{
	unsigned n = why_targets(w, ret);

	for (unsigned i = 0; i < f->n_own && w->to.kind == WHY_HOST && !ip_is_set(&w->to.ip); i++)
		if (!is_of_a_network(w, &f->own[i]))
			ret[n++] = f->own[i];
	return n;
}

static void add_targets(struct why *w, struct follower *f)
{
	struct cnm_ip targets[WHY_MAX_TARGETS + MAX_OWN];
	unsigned n = all_targets(w, f, targets);
	const struct endpoint *ep;

	for (unsigned i = 0; i < n; i++) {
		const struct cnm_ip *to = &targets[i];

		switch (w->from.kind) {
		case WHY_SANDBOX:
			list_for_each (ep, &w->from.sandbox->endpoints, in_sandbox) {
				add_target(w, f, &ep->ip4, to);
				add_target(w, f, &ep->ip6, to);
			}
			break;
		case WHY_OUTSIDE:
			add_target(w, f, &w->from.ip, to);
			break;
		case WHY_REMOTE:
			break;
		case WHY_HOST: /* to an address of its own it sends from that */
			add_target(w, f, w->to.kind == WHY_HOST ? to : &w->from.ip, to);
			break;
		}
	}
}

/* The links that were planned on the way, by the names of what they belong to. */
static void add_labels(const struct why *w, struct follower *f)
{
	const struct model *m = &w->e->model;

	for (size_t i = 0; i < w->plan.n && f->n_labels < MAX_LABELS; i++) {
		const struct plan_item *it = &w->plan.items[i];
		const struct network *n = map_get(&m->network_by_id, it->owner);
		const struct endpoint *ep = map_get(&m->endpoint_by_id, it->owner);
		struct label *l = &f->labels[f->n_labels];

		if (it->kind != PLAN_LINK || (!n && !(ep && ep->sandbox)))
			continue;
		str_copy(l->link, sizeof(l->link), it->link.name);
		str_copy(l->name, sizeof(l->name), n ? n->name : ep->sandbox->name);
		l->bridge = n;
		f->n_labels++;
	}
}

static int note_own(int ifindex, const struct cnm_prefix *addr, uint8_t scope, uint32_t flags,
		    void *arg)
{
	struct follower *f = arg;

	if (f->n_own < MAX_OWN && !ip_is_loopback(&addr->ip) && !ip_is_linklocal(&addr->ip))
		f->own[f->n_own++] = addr->ip;
	return 0;
}

static void forget_own(void *arg)
{
	((struct follower *)arg)->n_own = 0;
}

static int read_own(struct follower *f, struct cnm_error *err)
{
	struct nl *nl;
	int r = nl_open(&nl, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	r = rtnl_addrs(nl, note_own, forget_own, f, err);
	nl_close(nl);
	return r;
}

static int prepare(struct follower *f, const struct cnm_flow *flow, struct cnm_error *err)
{
	struct why w = { 0 };
	int r = read_own(f, err);

	if (r == 0)
		r = why_open(&w, f->e, flow, err);
	if (r < 0)
		return r;
	if (w.to.kind == WHY_REMOTE) {
		r = cnm_error_set(err, CNM_E_INVALID,
				  "trace %s to %s: %s is on another host, and none of this one's "
				  "rules sees what goes there; `cnm why` tells more",
				  flow->from, flow->to, flow->to);
		why_close(&w);
		return r;
	}
	f->proto = w.proto;
	f->ports[0] = f->ports[1] = w.port;
	add_targets(&w, f);
	add_labels(&w, f);
	r = plan_check(&w.plan, err);
	why_close(&w);
	if (r == 0 && !f->trace.n)
		r = cnm_error_set(err, CNM_E_INVALID,
				  "trace %s to %s: there are no two addresses between which "
				  "packets could go; `cnm why` tells more",
				  flow->from, flow->to);
	return r;
}

/* ------------------------------------------------------------------------- words */

static const char *name_of(const struct follower *f, const char *link)
{
	for (unsigned i = 0; i < f->n_labels; i++)
		if (streq(f->labels[i].link, link))
			return f->labels[i].name;
	return link;
}

static bool is_ours(const struct follower *f, const struct nft_trace_event *ev)
{
	return streq(ev->table, applier_table(f->e->applier)) &&
	       (streq(ev->family, "inet") || streq(ev->family, "bridge"));
}

/* Why our own rules drop it: by the chain, which has one meaning each. */
static void add_own_reason(const struct follower *f, const struct nft_trace_event *ev,
			   const struct nft_trace_packet *p, const char *rule, struct strbuf *b)
{
	const char *in = name_of(f, p->in), *out = name_of(f, p->out);

	if (streq(ev->family, "bridge"))
		strbuf_addf(b,
			    streq(ev->chain, "between")
				    ? "the network of %s and %s has ICC off"
				    : "%s may send only from its own MAC and addresses",
			    in, out);
	else if (strstr(rule, "iifname @internal"))
		strbuf_addf(b, "%s is internal: nothing leaves it", in);
	else if (streq(ev->chain, "fwd_internal"))
		strbuf_addf(b, "%s is internal: nothing enters it", out);
	else if (streq(ev->chain, "noicc"))
		strbuf_addf(b, "%s has ICC off", out);
	else if (streq(ev->chain, "guard"))
		strbuf_add(b, "127.0.0.0/8 is reached from the host alone");
	else if (streq(ev->chain, "ping"))
		strbuf_addf(b, "%s is not routed, so it is not pinged from elsewhere", out);
	else if (streq(ev->chain, "fwd_in"))
		strbuf_addf(b, "nothing lets a packet into %s from outside of it", out);
	else if (streq(ev->chain, "forward"))
		strbuf_add(b, "cnm turned forwarding on for its networks, not for others");
	else
		strbuf_add(b, "a rule of the operator's");
}

static void add_step_text(const struct follower *f, const struct nft_trace_event *ev,
			  const struct nft_trace_packet *p, const char *rule, struct strbuf *b)
{
	bool drop = streq(ev->verdict, "drop");

	if (drop)
		strbuf_add(b, "dropped ");
	strbuf_addf(b, "in table %s %s, chain %s", ev->family, ev->table, ev->chain);
	if (ev->type == NFT_TRACE_POLICY)
		strbuf_addf(b, ", by its policy: %s", drop ? "" : ev->verdict);
	else if (rule[0])
		strbuf_addf(b, ", rule `%s`: %s", rule, drop ? "" : ev->verdict);
	else
		strbuf_addf(b, ": %s", drop ? "" : ev->verdict);
	if (drop && is_ours(f, ev))
		add_own_reason(f, ev, p, rule, b);
	else if (drop)
		strbuf_add(b, "it is not cnm's; docs/FIREWALL.md says how to live with it");
}

static const char *format_end(const struct cnm_ip *ip, const struct nft_trace_packet *p,
			      uint16_t port, char buf[static IP_STR + 8])
{
	char text[IP_STR];

	ip_format(ip, text);
	snprintf(buf, IP_STR + 8,
		 !p->has_ports            ? "%s"
		 : ip->family == AF_INET6 ? "[%s]:%u"
					  : "%s:%u",
		 text, port);
	return buf;
}

/* ------------------------------------------------------------------------- lines */

/* ev NULL: about no step of the firewall. Takes text's memory. */
static int tell(struct follower *f, const struct passer *s, const struct nft_trace_event *ev,
		const char *rule, const char *verdict, struct strbuf *text)
{
	_json_ json_t *o = json_object();
	_free_ char *sentence = strbuf_take(text), *line = NULL;
	char when[TIME_STR], from[IP_STR + 8], to[IP_STR + 8], table[80] = "";

	if (ev)
		snprintf(table, sizeof(table), "%s %s", ev->family, ev->table);
	json_put(o, "Time", json_string(clock_format(clock_wall_ns(), when)));
	json_put(o, "Packet", json_integer(s ? s->number : 0));
	json_put(o, "Table", json_string(table));
	json_put(o, "Chain", json_string(ev ? ev->chain : ""));
	json_put(o, "Rule", json_string(rule));
	json_put(o, "Verdict", json_string(verdict));
	json_put(o, "In", json_string(s ? s->packet.in : ""));
	json_put(o, "Out", json_string(s ? s->packet.out : ""));
	json_put(o, "From",
		 json_string(s ? format_end(&s->packet.from, &s->packet, s->packet.sport, from)
			       : ""));
	json_put(o, "To",
		 json_string(s ? format_end(&s->packet.to, &s->packet, s->packet.dport, to) : ""));
	json_put(o, "Text", sentence ? json_string(sentence) : NULL);
	line = json_text(o);
	if (!line)
		return -ENOMEM;
	f->over = f->deliver(line, f->arg) < 0;
	return f->over ? -ECANCELED : 0;
}

/* Nothing is to be told: is it still wanted? */
static void ask(struct follower *f)
{
	f->over = f->over || f->deliver(NULL, f->arg) < 0;
}

static int tell_start(struct follower *f, const struct cnm_flow *flow)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, "following what goes between %s and %s", flow->from, flow->to);
	if (f->proto)
		strbuf_addf(&text, ", %s port %u", port_proto_name(f->proto), f->ports[0]);
	return tell(f, NULL, NULL, "", "", &text);
}

/* Nothing more was heard of it. */
static int tell_through(struct follower *f, struct passer *s)
{
	struct strbuf text = { 0 };
	int r;

	if (s->port[0])
		memcpy(s->packet.out, s->port, sizeof(s->port));
	if (s->packet.out[0])
		strbuf_addf(&text, "let through to %s", name_of(f, s->packet.out));
	else
		strbuf_add(&text, "let through to the host itself");
	r = tell(f, s, NULL, "", "accept", &text);
	s->number = 0;
	return r;
}

/* ------------------------------------------------------------------------- packets */

/* Is it of the flow, whichever way it goes? */
static bool is_followed(const struct follower *f, const struct nft_trace_packet *p)
{
	if (!has_pair(&f->trace, &p->from, &p->to) && !has_pair(&f->trace, &p->to, &p->from))
		return false;
	if (!f->proto)
		return true;
	if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6)
		return true; /* perhaps an error about it */
	if (p->proto != f->proto || !p->has_ports)
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (p->sport == f->ports[i] || p->dport == f->ports[i])
			return true;
	return false;
}

static struct passer *find_passer(struct follower *f, uint32_t id)
{
	for (unsigned i = 0; i < MAX_PACKETS; i++)
		if (f->passers[i].number && f->passers[i].id == id)
			return &f->passers[i];
	return NULL;
}

static bool is_same_end(const struct nft_trace_packet *a, const struct nft_trace_packet *b, bool to)
{
	return to ? ip_eq(&a->to, &b->to) && a->dport == b->dport
		  : ip_eq(&a->from, &b->from) && a->sport == b->sport;
}

/* Can what is described be this packet, further on? Both ends change in no one place. */
static bool can_be(const struct passer *s, const struct nft_trace_packet *p, bool enters)
{
	bool from = is_same_end(&s->packet, p, false), to = is_same_end(&s->packet, p, true);

	if (!s->number || s->packet.proto != p->proto)
		return false;
	if (enters)
		return from && to && s->stage != IN_HOST && !s->port[0];
	return (from || to) && (streq(s->packet.in, p->in) || s->stage == FROM_HOST);
}

/* The earliest that it can be. */
static struct passer *find_earlier(struct follower *f, const struct nft_trace_packet *p,
				   bool enters)
{
	struct passer *best = NULL;

	for (unsigned i = 0; i < MAX_PACKETS; i++)
		if (can_be(&f->passers[i], p, enters) &&
		    (!best || f->passers[i].number < best->number))
			best = &f->passers[i];
	return best;
}

/* A free place, or that of the one that was heard of the longest ago. */
static struct passer *new_passer(struct follower *f)
{
	struct passer *s = &f->passers[0];

	for (unsigned i = 0; i < MAX_PACKETS && s->number; i++)
		if (!f->passers[i].number || f->passers[i].heard < s->heard)
			s = &f->passers[i];
	*s = (struct passer){ .number = ++f->count };
	return s;
}

/* What a later chain does not say (the link it came in by) stays as it was. */
static void describe(struct passer *s, const struct nft_trace_event *ev)
{
	char in[IFNAMSIZ];

	memcpy(in, s->packet.in, sizeof(in));
	s->packet = ev->packet;
	if (!s->packet.in[0])
		memcpy(s->packet.in, in, sizeof(in));
	if (streq(ev->family, "bridge") && ev->packet.out[0])
		memcpy(s->port, ev->packet.out, sizeof(s->port));
}

static bool is_marking(const struct follower *f, const struct nft_trace_event *ev)
{
	return is_ours(f, ev) && (streq(ev->chain, "trace_in") || streq(ev->chain, "trace_out"));
}

/* Where packets are marked: a new one, or one that comes from the bridge to the host. */
static struct passer *begin_packet(struct follower *f, const struct nft_trace_event *ev, int *ret)
{
	bool bridge = streq(ev->family, "bridge"), out = streq(ev->chain, "trace_out");
	struct passer *s = bridge || out ? NULL : find_earlier(f, &ev->packet, true), *old;

	if (!s) {
		old = find_passer(f, ev->id);
		if (old)
			*ret = tell_through(f, old);
		s = new_passer(f);
	}
	s->stage = bridge ? ON_BRIDGE : out ? FROM_HOST : IN_HOST;
	return s;
}

/* Which packet it is about; NULL: none that is followed. *ret: a line could not be told. */
static struct passer *passer_of(struct follower *f, const struct nft_trace_event *ev, int *ret)
{
	bool followed = ev->described && is_followed(f, &ev->packet);
	struct passer *s = find_passer(f, ev->id);

	if (is_marking(f, ev) && ev->type == NFT_TRACE_RULE && followed)
		s = begin_packet(f, ev, ret);
	else if (!s && followed)
		s = find_earlier(f, &ev->packet, false);
	if (!s && followed)
		s = new_passer(f);
	if (!s)
		return NULL;
	s->id = ev->id;
	s->heard = clock_mono_ns();
	if (ev->described)
		describe(s, ev);
	return s;
}

/* That it is marked, and that a chain had nothing to say of it, are no steps. */
static bool is_step(const struct follower *f, const struct nft_trace_event *ev, const char *rule)
{
	return !is_marking(f, ev) &&
	       (ev->type == NFT_TRACE_POLICY || rule[0] ||
		!(streq(ev->verdict, "continue") || streq(ev->verdict, "return")));
}

static int hear(const struct nft_trace_event *ev, void *arg)
{
	struct follower *f = arg;
	const char *rule = nft_rules_text(&f->rules, ev->family, ev->table, ev->handle);
	struct strbuf text = { 0 };
	int r = 0;
	struct passer *s = passer_of(f, ev, &r);

	if (!s || r < 0 || !is_step(f, ev, rule))
		return r;
	add_step_text(f, ev, &s->packet, rule, &text);
	r = tell(f, s, ev, rule, ev->verdict, &text);
	if (streq(ev->verdict, "drop"))
		s->number = 0;
	return r;
}

/* Those of which nothing was heard since then are through. */
static int settle(struct follower *f, uint64_t since)
{
	int r = 0;

	for (unsigned i = 0; i < MAX_PACKETS && r >= 0; i++)
		if (f->passers[i].number && f->passers[i].heard <= since)
			r = tell_through(f, &f->passers[i]);
	return r;
}

static int tell_lost(struct follower *f)
{
	struct strbuf text = { 0 };

	strbuf_add(&text, "the kernel told of more than could be read: steps are missing");
	return tell(f, NULL, NULL, "", "", &text);
}

/* Until the time is over or whom it is told to has enough: 0; else a negative errno. */
static int follow(struct follower *f, struct nft_trace *nft, uint64_t end)
{
	int r = 0;

	while (r >= 0 && !f->over && clock_mono_ns() < end) {
		struct pollfd p = { .fd = nft_trace_fd(nft), .events = POLLIN };
		bool lost = false;

		if (poll(&p, 1, TICK_MS) > 0)
			r = nft_trace_read(nft, hear, f, &lost);
		else
			ask(f);
		if (r >= 0 && lost)
			r = tell_lost(f);
		if (r >= 0 && !f->over)
			r = settle(f, clock_mono_ns() - QUIET_NS);
	}
	if (r >= 0 && !f->over)
		r = settle(f, UINT64_MAX);
	return f->over ? 0 : r;
}

static int run(struct follower *f, const struct cnm_flow *flow, unsigned seconds,
	       struct cnm_error *err)
{
	struct nft_trace *nft;
	uint64_t end = clock_mono_ns() + seconds * 1000000000ull;
	int r = nft_trace_open(&nft, err), off;

	if (r < 0)
		return r;
	r = switch_trace(f->e, &f->trace, true, err);
	if (r == 0)
		r = tell_start(f, flow);
	if (r == 0)
		r = follow(f, nft, end);
	if (f->over)
		r = 0;
	else if (r < 0 && !(err && err->text[0]))
		cnm_error_errno(err, r, "read the firewall's traces");
	off = switch_trace(f->e, &f->trace, false, r < 0 ? NULL : err);
	nft_trace_close(nft);
	return r < 0 ? r : off;
}

int cnm_trace(struct cnm_engine *e, const struct cnm_flow *flow, unsigned seconds,
	      int (*deliver)(const char *json, void *arg), void *arg, struct cnm_error *err)
{
	struct follower *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return cnm_error_errno(err, ENOMEM, "trace");
	f->e = e;
	f->deliver = deliver;
	f->arg = arg;
	if (seconds > MAX_SECONDS)
		r = cnm_error_set(err, CNM_E_INVALID, "trace for %u s: at most %d s", seconds,
				  MAX_SECONDS);
	else
		r = prepare(f, flow, err);
	if (r == 0)
		r = nft_rules_read(&f->rules, err);
	if (r == 0)
		r = run(f, flow, seconds ? seconds : DEFAULT_SECONDS, err);
	nft_rules_free(&f->rules);
	free(f);
	return r;
}
