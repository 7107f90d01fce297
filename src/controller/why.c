/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cnm why`: would a packet arrive, in words; and a probe that proves it. See why.h. The answer is
 * made with the engine's lock, the probe is sent without any.
 */
#include "controller/why.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kernel/netns.h"

#define PROBE_MS 1000

/* ------------------------------------------------------------------------- who */

static bool is_sysctl_on(const char *path)
{
	char v[16];

	return sysctl_read(SYSCTL_HOME, path, v, sizeof(v), NULL) == 0 && !streq(v, "0");
}

static void gather_facts(struct cnm_engine *e, struct why_facts *ret)
{
	ret->forwarding[0] = is_sysctl_on("net/ipv4/ip_forward");
	ret->forwarding[1] = is_sysctl_on("net/ipv6/conf/all/forwarding");
	ret->bridge_nf[0] = is_sysctl_on("net/bridge/bridge-nf-call-iptables");
	ret->bridge_nf[1] = is_sysctl_on("net/bridge/bridge-nf-call-ip6tables");
	applier_enter(e->applier);
	applier_foreign_drop(e->applier, ret->foreign, sizeof(ret->foreign), NULL);
	applier_leave(e->applier);
}

/* "host", an address with the host's route to it, or else the name of a sandbox. Without the lock.
 */
static int read_party(struct why_party *p, const char *ref, const char *what, struct cnm_error *err)
{
	if (!ref || !*ref)
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s whom? Name a sandbox, \"host\" or an address", what);
	p->name = ref;
	if (streq(ref, "host")) {
		p->kind = WHY_HOST;
		p->name = "the host";
		return 0;
	}
	if (ip_parse(&p->ip, ref) < 0) {
		p->ip = (struct cnm_ip){ 0 };
		p->kind = WHY_SANDBOX;
		return 0;
	}
	if (ip_is_multicast(&p->ip) || ip_is_unspecified(&p->ip) || ip_is_linklocal(&p->ip))
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s %s: it must be the address of one host, and not a "
				     "link-local one",
				     what, ref);
	p->kind = WHY_OUTSIDE;
	return probe_route(NULL, &p->ip, &p->route, err);
}

static int read_port(struct why *w, const struct cnm_flow *flow, struct cnm_error *err)
{
	if (flow->port > 65535)
		return cnm_error_set(err, CNM_E_INVALID, "port %u: it must be 1 to 65535",
				     flow->port);
	if (!flow->port)
		return 0;
	w->port = (uint16_t)flow->port;
	if (port_proto_parse(flow->protocol ? flow->protocol : "tcp", &w->proto) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "protocol \"%s\": it must be tcp, udp or sctp",
				     flow->protocol);
	return 0;
}

/* On another host: only that one knows how its packets leave it. */
static int place_remote(const struct why *w, struct why_party *p, const struct endpoint *ep,
			bool is_source, struct cnm_error *err)
{
	char ip[IP_STR];

	if (is_source)
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s is on another host, %.12s at %s: ask there", p->name,
				     ep->host, ip_format(&ep->vtep, ip));
	p->kind = WHY_REMOTE;
	p->remote = ep;
	return 0;
}

/* With the lock: a sandbox that bears the address, else the host, else somebody out there. */
static int place_address(struct why *w, struct why_party *p, bool is_source, struct cnm_error *err)
{
	const struct endpoint *ep = why_endpoint_at(w, &p->ip);
	const struct network *n;

	if (ep && ep->sandbox) {
		p->kind = WHY_SANDBOX;
		p->sandbox = ep->sandbox;
		p->name = ep->sandbox->name;
		return 0;
	}
	if (ep && endpoint_is_remote(ep))
		return place_remote(w, p, ep, is_source, err);
	if (p->route.local) {
		p->kind = WHY_HOST;
		p->name = "the host";
		return 0;
	}
	list_for_each (n, &w->e->model.networks, node)
		if (is_source && n->driver->addresses && network_pool_of(n, &p->ip))
			return cnm_error_set(err, CNM_E_NOT_FOUND,
					     "nobody has %s, an address of network %s", p->name,
					     n->name);
	return 0;
}

static void place_sandbox(struct why_party *p)
{
	p->name = p->sandbox->name;
	if (p->sandbox->source == NETNS_HOST)
		p->kind = WHY_HOST;
}

/* With the lock; what was found before is found again if there was a wait. */
static int find_sandboxes(struct why *w, struct cnm_error *err)
{
	struct why_party *parties[] = { &w->from, &w->to };
	const struct endpoint *ep;
	struct sandbox *sb;
	int r;

again:
	for (unsigned i = 0; i < 2; i++) {
		if (parties[i]->kind != WHY_SANDBOX)
			continue;
		ep = NULL;
		r = engine_sandbox(w->e, parties[i]->name, false, &sb, err);
		if (r == -ENOENT && (ep = why_find_remote(w, parties[i]->name)))
			r = place_remote(w, parties[i], ep, i == 0, err);
		if (r < 0)
			return r;
		if (ep)
			continue;
		if (r > 0)
			goto again;
		parties[i]->sandbox = sb;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (parties[i]->kind == WHY_SANDBOX)
			place_sandbox(parties[i]);
		else if (parties[i]->kind == WHY_OUTSIDE &&
			 (r = place_address(w, parties[i], i == 0, err)) < 0)
			return r;
	}
	return 0;
}

static void plan_parties(struct why *w)
{
	const struct why_party *parties[] = { &w->from, &w->to };

	plan_host(w->e, &w->plan);
	for (unsigned i = 0; i < 2; i++)
		if (parties[i]->kind == WHY_SANDBOX)
			why_plan_sandbox(w, parties[i]->sandbox);
}

static void release(struct why *w)
{
	plan_free(&w->plan);
	map_free(&w->planned);
}

int why_open(struct why *w, struct cnm_engine *e, const struct cnm_flow *flow,
	     struct cnm_error *err)
{
	int r;

	*w = (struct why){ .e = e };
	r = read_port(w, flow, err);
	if (r == 0)
		r = read_party(&w->from, flow->from, "from", err);
	if (r == 0)
		r = read_party(&w->to, flow->to, "to", err);
	if (r == 0 && ip_is_set(&w->from.ip) && ip_is_set(&w->to.ip) &&
	    w->from.ip.family != w->to.ip.family)
		r = cnm_error_set(err, CNM_E_INVALID,
				  "from %s to %s: no packet goes from one family of addresses to "
				  "the other",
				  flow->from, flow->to);
	if (r < 0)
		return r;
	gather_facts(e, &w->facts);
	pthread_mutex_lock(&e->lock);
	r = find_sandboxes(w, err);
	if (r < 0) {
		pthread_mutex_unlock(&e->lock);
		return r;
	}
	plan_parties(w);
	return 0;
}

void why_close(struct why *w)
{
	pthread_mutex_unlock(&w->e->lock);
	release(w);
}

/* ------------------------------------------------------------------------- whether */

/* What is tried when the answer was found. */
struct trial {
	bool possible;   /* the packet can be sent by us */
	char netns[600]; /* where from; "": the host */
	struct probe probes[WHY_MAX_TARGETS];
	unsigned n;
};

static void add_probe(const struct why *w, const struct why_answer *a, struct trial *t)
{
	if (ip_is_set(&a->to) && t->n < WHY_MAX_TARGETS && w->proto != IPPROTO_SCTP)
		t->probes[t->n++] = (struct probe){ a->to, w->proto, w->port };
}

/* There is no address to go to. */
static void say_nowhere(struct why *w, struct why_answer *a)
{
	const struct sandbox *from = w->from.sandbox;
	const struct cnm_ip *ip = &w->from.ip;

	if (w->to.kind == WHY_SANDBOX && ip_is_set(ip))
		why_no(a, 1, "%s has no %s address", w->to.name, why_family(ip->family));
	else if (w->to.kind == WHY_SANDBOX)
		why_no(a, 1, "%s is on no network", w->to.name);
	else if (from && list_empty(&from->endpoints))
		why_no(a, 1, "%s is on no network", from->name);
	else if (w->proto)
		why_no(a, 1, "the host has port %u at no address that is of use to %s", w->port,
		       w->from.name);
	else
		why_no(a, 1, "the host has no address that is of use to %s", w->from.name);
}

/* The first target that is reached, or else what tells most of why none is. */
static void attempt_all(struct why *w, struct why_answer *best, struct trial *t)
{
	struct cnm_ip targets[WHY_MAX_TARGETS];
	unsigned n = why_targets(w, targets);

	for (unsigned i = 0; i < n && !best->yes; i++) {
		struct why_answer a = { 0 };

		why_attempt(w, &targets[i], &a);
		if (a.yes)
			t->n = 0;
		add_probe(w, &a, t);
		if (a.yes || a.rank > best->rank) {
			why_answer_free(best);
			*best = a;
		} else {
			why_answer_free(&a);
		}
	}
	if (n == 0)
		say_nowhere(w, best);
}

static void replace(struct why_answer *a)
{
	why_answer_free(a);
	*a = (struct why_answer){ 0 };
}

static void decide(struct why *w, struct why_answer *a, struct trial *t)
{
	const struct sandbox *from = w->from.sandbox, *to = w->to.sandbox;

	t->possible = w->from.kind != WHY_OUTSIDE && !(from && !sandbox_is_open(from));
	if (w->from.kind == WHY_SANDBOX && from)
		snprintf(t->netns, sizeof(t->netns), "%s/%s", w->e->netns_dir, from->name);
	if (from && from->stopped) {
		why_say_stopped(from, a);
	} else if (to && to->stopped) {
		why_say_stopped(to, a);
	} else if (from && from == to && !ip_is_set(&w->to.ip)) {
		why_yes(a, "it is %s itself", from->name);
	} else {
		attempt_all(w, a, t);
		if (!a->yes && w->from.kind == WHY_SANDBOX && w->to.kind == WHY_SANDBOX &&
		    !ip_is_set(&w->to.ip) && !why_shared(from, to)) {
			replace(a);
			why_say_apart(w, a);
		}
	}
}

static json_t *answer_json(const struct why_answer *a)
{
	json_t *o = json_object(), *path = json_array();
	struct strbuf reason = { 0 };

	strbuf_addf(&reason, "%s: %s", a->yes ? "yes" : "no", a->text.s ? a->text.s : "");
	for (unsigned i = 0; i < a->n_path; i++)
		json_push(path, json_string(a->path[i]));
	json_put(o, "Reachable", json_boolean(a->yes));
	json_put(o, "Reason",
		 reason.failed || a->text.failed || a->fix.failed ? NULL : json_string(reason.s));
	json_put(o, "Fix", json_str(a->fix.s));
	json_put(o, "Path", path);
	strbuf_free(&reason);
	return o;
}

/* ------------------------------------------------------------------------- the proof */

static const char *const result_names[] = { [PROBE_SILENT] = "silent",
					    [PROBE_UNREACHABLE] = "unreachable",
					    [PROBE_REFUSED] = "refused",
					    [PROBE_ANSWERED] = "answered" };

static void describe(const struct probe *p, enum probe_result result, bool expected, char *buf,
		     size_t size)
{
	char to[IP_STR], what[32] = "the echo request";

	ip_format(&p->to, to);
	if (p->proto)
		snprintf(what, sizeof(what), "%s/%u", port_proto_name(p->proto), p->port);
	switch (result) {
	case PROBE_ANSWERED:
		snprintf(buf, size, "%s answered %s", to, what);
		break;
	case PROBE_REFUSED:
		snprintf(buf, size, "%s refused %s: it arrives, and nobody listens there", to,
			 what);
		break;
	case PROBE_UNREACHABLE:
		snprintf(buf, size, "there is no way to %s for %s", to, what);
		break;
	case PROBE_SILENT:
		snprintf(buf, size, "nothing came back from %s to %s within %d ms%s", to, what,
			 PROBE_MS,
			 expected && p->proto != IPPROTO_UDP
				 ? ": what stands between is not cnm's, or it does not answer"
				 : "");
		break;
	}
}

static int send_probe(const struct trial *t, bool expected, json_t *answer, struct cnm_error *err)
{
	json_t *o = json_object();
	enum probe_result result = PROBE_SILENT;
	char text[256] = "no packet can be sent from there";
	_close_ int ns = -1;
	unsigned which = 0;
	int r = 0;

	json_put(answer, "Probe", o);
	if (!t->possible || !t->n) {
		json_put(o, "Result", json_string("none"));
		json_put(o, "Text",
			 json_string(t->possible ? "there is nowhere to send one" : text));
		return 0;
	}
	if (t->netns[0])
		r = netns_open_path(t->netns, &ns, err);
	if (r == 0)
		r = probe_run(ns, t->probes, t->n, PROBE_MS, &result, &which, err);
	if (r < 0)
		return r;
	describe(&t->probes[which], result, expected, text, sizeof(text));
	json_put(o, "Result", json_string(result_names[result]));
	json_put(o, "Text", json_string(text));
	return 0;
}

int cnm_why(struct cnm_engine *e, const struct cnm_flow *flow, bool probe, char **ret_json,
	    struct cnm_error *err)
{
	_cleanup_(why_answer_free) struct why_answer a = { 0 };
	struct trial t = { 0 };
	struct why w;
	_json_ json_t *o = NULL;
	char *text;
	int r = why_open(&w, e, flow, err);

	if (r < 0)
		return r;
	decide(&w, &a, &t);
	r = plan_check(&w.plan, err);
	o = answer_json(&a);
	why_close(&w);
	if (r == 0 && probe)
		r = send_probe(&t, a.yes, o, err);
	if (r < 0)
		return r;
	text = json_text(o);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "tell why");
	*ret_json = text;
	return 0;
}
