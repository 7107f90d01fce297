/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a packet would arrive, and the words for it: what the files of why*.c share, and trace.c.
 *
 * The ruleset is fixed, so what it does with a packet follows from its elements; and which elements
 * there are follows from the model, by the same plans that everything else is made of. So the
 * question is answered by walking the packet's way through links, routes and rules on those plans:
 *
 *   why.c        who asks about whom; the probe; the answer as JSON
 *   why_path.c   the way: which network, which address, what the host does with it
 *   why_global.c the same for networks of several hosts
 *   why_rules.c  the ruleset, on planned elements
 *   why_words.c  the sentences, and the command that would change the answer
 *
 * All of it but why.c is without I/O and runs with the engine's lock held. What has to be asked of
 * the kernel (struct why_facts) is asked before.
 */
#ifndef CONTROLLER_WHY_H
#define CONTROLLER_WHY_H

#include "controller/engine.h"
#include "kernel/probe.h"

enum why_kind { WHY_SANDBOX, WHY_HOST, WHY_OUTSIDE, WHY_REMOTE };

/* One end of a flow. */
struct why_party {
	enum why_kind kind;
	const struct sandbox *sandbox; /* its own; of the HOST: one that is in the host's network */
	const struct endpoint *remote; /* of the REMOTE: it is on another host */
	const char *name;              /* as sentences call it */
	struct cnm_ip ip;              /* the address it was named by, or unset */
	struct probe_route route;      /* the host's, to that address */
};

struct why_facts {
	bool forwarding[2]; /* IPv4, IPv6 */
	bool bridge_nf[2];  /* frames between ports of a bridge pass the forward chains */
	char foreign[256];  /* a forward chain of somebody else's with policy drop, or "" */
};

struct why {
	struct cnm_engine *e;
	struct why_facts facts;
	struct why_party from, to;
	uint8_t proto; /* IPPROTO_TCP, _UDP, _SCTP; 0: an echo request */
	uint16_t port;
	struct plan plan; /* of all that was asked about so far */
	struct map planned;
};

/* A packet at some point of its way. */
struct why_packet {
	struct cnm_ip from, to;
	uint16_t port;
	char in[IFNAMSIZ], out[IFNAMSIZ];       /* links of the host; "" is none of a network's */
	const struct network *in_net, *out_net; /* whose they are, or NULL */
	const struct port *published;           /* it was translated by this */
	bool local;                             /* the host sent it */
};

#define WHY_MAX_PATH 3
struct why_answer {
	bool yes, failed /* no memory */;
	unsigned rank;      /* of two refusals the higher one is told */
	struct strbuf text; /* without "yes: " and "no: " */
	struct strbuf fix;
	const char *path[WHY_MAX_PATH]; /* names, borrowed */
	unsigned n_path;
	struct cnm_ip to; /* where a probe goes; unset: nowhere */
};
void why_answer_free(struct why_answer *a);

/* ---- why_path.c */
#define WHY_MAX_TARGETS 32
/* The addresses the flow may go to, best first. */
unsigned why_targets(struct why *w, struct cnm_ip ret[static WHY_MAX_TARGETS]);
/* Would a packet to this address arrive? a is zeroed, and to be freed. */
void why_attempt(struct why *w, const struct cnm_ip *to, struct why_answer *a);
/* Have the elements of it among the plan. */
void why_plan_network(struct why *w, const struct network *n);
void why_plan_sandbox(struct why *w, const struct sandbox *sb);
/* A network's link on the host, or ""; until the next is planned. */
const char *why_bridge(struct why *w, const struct network *n);
/* Is it an address of the host? */
bool why_host_has(struct why *w, const struct cnm_ip *ip);
/* A packet for an address of the host: is its port published, and where does it lead? */
enum port_way why_translate(struct why *w, const struct why_packet *k, struct cnm_ip *ret_ip,
			    uint16_t *ret_port, const struct port **ret_published);
/* The endpoint with this address, or NULL. */
const struct endpoint *why_endpoint_at(const struct why *w, const struct cnm_ip *ip);
/* A network that both are on, other than those of the drivers without addresses. */
const struct network *why_shared(const struct sandbox *a, const struct sandbox *b);

/* ---- why_global.c */
/* An endpoint of another host that answers to this name; on a network of the asker's, if there is
 * one.
 */
const struct endpoint *why_find_remote(const struct why *w, const char *ref);
void why_attempt_global(struct why *w, const struct network *n, const struct cnm_ip *ip,
			struct why_answer *a);

/* ---- why_rules.c */
enum why_end {
	WHY_SAME,        /* accepted: within its network */
	WHY_PUBLISHED,   /* a published port */
	WHY_OPEN,        /* a published port of a routed network */
	WHY_UNPROTECTED, /* everything may enter */
	WHY_TRUSTED,     /* from a trusted link */
	WHY_ROUTED_PING, /* an echo request to a routed network */
	WHY_OUT,         /* from a network to the outside */
	WHY_FOREIGN,     /* nobody of ours has a part in it */
	WHY_DROP_TO_INTERNAL,
	WHY_DROP_FROM_INTERNAL,
	WHY_DROP_ICC,
	WHY_DROP_CLOSED, /* nothing lets it in */
	WHY_DROP_PING,
	WHY_DROP_FOREIGN,
};
static inline bool why_end_is_drop(enum why_end end)
{
	return end >= WHY_DROP_TO_INTERNAL;
}
/* What the forward chain does with it. */
enum why_end why_forward(const struct why *w, const struct why_packet *k);
/* May it go from one port of a bridge to another? */
bool why_between(const struct why *w, const char *in, const char *out, const struct why_packet *k);
/* Do the sandboxes on this bridge reach one another? */
bool why_has_icc(const struct why *w, const char *bridge);
bool why_is_internal(const struct why *w, const char *bridge);
bool why_is_routed(const struct why *w, const char *bridge, int family);
/* How packets from this bridge leave the host: as it (*ret_as unset), as another, unchanged. */
enum why_leave { WHY_LEAVE_MASQUERADED, WHY_LEAVE_AS, WHY_LEAVE_UNCHANGED };
enum why_leave why_leave(const struct why *w, const char *bridge, int family,
			 struct cnm_ip *ret_as);
/* What becomes of a packet for the host at this address and port. */
enum port_way why_publish(const struct why *w, const struct why_packet *k, struct cnm_ip *ret_ip,
			  uint16_t *ret_port);

/* ---- why_words.c: each fills the answer */
void why_yes(struct why_answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* rank: how much it tells, 1 least. */
void why_no(struct why_answer *a, unsigned rank, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void why_fix(struct why_answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "the host", "con1", "192.0.2.1" */
const char *why_name(const struct why_party *p);
const char *why_family(int family);
/* The forward chain's end, of a packet to a sandbox or to the outside. */
void why_say_forward(struct why *w, const struct why_packet *k, enum why_end end,
		     struct why_answer *a);
void why_say_icc(struct why *w, const struct network *n, const struct endpoint *to,
		 struct why_answer *a);
/* Two sandboxes that share no network. */
void why_say_apart(struct why *w, struct why_answer *a);
/* An endpoint on a network of several hosts, and the asker is not on it. */
void why_say_not_on(struct why *w, const struct endpoint *to, struct why_answer *a);
void why_say_stopped(const struct sandbox *sb, struct why_answer *a);
void why_say_no_way_out(struct why *w, const struct cnm_ip *to, struct why_answer *a);

/* ---- why.c */
/*
 * From a flow to the two parties, with facts, protocol and port. Without the lock, which is held
 * when it returns 0: the parties are valid while it is. why_close() lets it go and releases all.
 */
int why_open(struct why *w, struct cnm_engine *e, const struct cnm_flow *flow,
	     struct cnm_error *err);
void why_close(struct why *w);

#endif
