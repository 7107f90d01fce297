/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection table: flows to delete are gathered by a dump that the kernel filters as far as it
 * can, and are then deleted by what names them, in one batch. One that ended meanwhile is as good
 * as deleted, and one that took its tuple is left alone (the kernel compares the id).
 */
#include "kernel/conntrack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "base/cleanup.h"
#include "kernel/conntrack_msg.h"
#include "kernel/netlink.h"

struct conntrack {
	struct nl *nl;
};

int conntrack_open(struct conntrack **ret, struct cnm_error *err)
{
	struct conntrack *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return cnm_error_errno(err, ENOMEM, "open the connection table");
	r = nl_open(&c->nl, NETLINK_NETFILTER, err);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void conntrack_close(struct conntrack *c)
{
	if (!c)
		return;
	nl_close(c->nl);
	free(c);
}

/* So the kernel answers when there is nobody to answer, and when it does not know a filter. */
static bool is_unknown(int r)
{
	return r == -EINVAL || r == -EOPNOTSUPP;
}

/* ---- deleting */

/* The matches of one protocol, of one family or of both, which share a dump. */
struct sweep {
	const struct conntrack_match *m;
	unsigned n;
	int family;                       /* 0: both */
	struct ct_tuple orig, reply;      /* what all of them have in common ... */
	unsigned orig_parts, reply_parts; /* ... for the kernel to filter by */
	uint8_t ports[8192];              /* a bit a port that any of them has */
	struct nl_batch deletions;
};

static bool is_of(const struct sweep *s, const struct conntrack_match *m)
{
	return (!s->family || m->family == s->family) && m->proto == s->orig.proto;
}

static bool is_inverse(const struct ct_tuple *a, const struct ct_tuple *b)
{
	return ip_eq(&a->src, &b->dst) && ip_eq(&a->dst, &b->src) && a->src_port == b->dst_port &&
	       a->dst_port == b->src_port;
}

static bool agrees(const struct conntrack_match *m, const struct ct_flow *f)
{
	bool nat = !ip_eq(&f->orig.dst, &f->reply.src) || f->orig.dst_port != f->reply.src_port;

	return m->family == f->orig.dst.family &&
	       (!m->proto || (f->orig.dst_port >= m->first && f->orig.dst_port <= m->last)) &&
	       (!ip_is_set(&m->to) || ip_eq(&m->to, &f->orig.dst)) &&
	       (!ip_is_set(&m->from) || ip_eq(&m->from, &f->reply.src)) &&
	       !(m->not_nat && !is_inverse(&f->orig, &f->reply)) && !(m->nat && !nat);
}

static void delete_later(struct sweep *s, const struct ct_flow *f)
{
	struct nlmsghdr *h =
		nl_batch_add(&s->deletions, ct_type(IPCTNL_MSG_CT_DELETE), 0, CT_PAYLOAD);

	if (!h)
		return;
	ct_start_payload(h, f->orig.dst.family);
	for (unsigned i = 0; i < 3; i++)
		if (f->key[i])
			mnl_attr_put(h, f->key[i]->nla_type, mnl_attr_get_payload_len(f->key[i]),
				     mnl_attr_get_payload(f->key[i]));
	nl_batch_end(&s->deletions, h);
}

/* What names a flow, as far as a message has room for it. */
static bool has_short_key(const struct ct_flow *f)
{
	size_t len = 0;

	for (unsigned i = 0; i < 3; i++)
		len += f->key[i] ? MNL_ALIGN(f->key[i]->nla_len) : 0;
	return len < 2048;
}

static int sweep_flow(const struct nlmsghdr *h, void *arg)
{
	struct sweep *s = arg;
	struct ct_flow f;
	uint16_t port;

	if (!ct_parse(h, &f) || !has_short_key(&f) ||
	    (s->orig.proto && f.orig.proto != s->orig.proto))
		return 0;
	port = f.orig.dst_port;
	if (s->orig.proto && !(s->ports[port / 8] & 1u << port % 8))
		return 0;
	for (unsigned i = 0; i < s->n; i++) {
		if (!is_of(s, &s->m[i]) || !agrees(&s->m[i], &f))
			continue;
		delete_later(s, &f);
		break;
	}
	return 0;
}

static void sweep_again(void *arg)
{
	nl_batch_reset(&((struct sweep *)arg)->deletions);
}

/* The address if all have it, else unset. */
static void narrow(struct cnm_ip *common, const struct cnm_ip *ip, bool first)
{
	if (first)
		*common = *ip;
	else if (!ip_eq(common, ip))
		*common = (struct cnm_ip){ 0 };
}

/* Is there anything to look for? */
static bool sweep_prepare(struct sweep *s, const struct conntrack_match *m, unsigned n,
			  uint8_t proto, int family)
{
	bool first = true;

	*s = (struct sweep){ .m = m, .n = n, .family = family, .orig.proto = proto };
	for (unsigned i = 0; i < s->n; i++) {
		if (!is_of(s, &m[i]))
			continue;
		narrow(&s->orig.dst, &m[i].to, first);
		narrow(&s->reply.src, &m[i].from, first);
		first = false;
		for (unsigned p = m[i].first; p <= m[i].last; p++)
			s->ports[p / 8] |= (uint8_t)(1u << p % 8);
	}
	s->orig_parts = s->orig.proto ? CT_HAS_PROTO : 0;
	if (family == AF_INET) { /* filtered by an IPv6 address, the kernel lists all others */
		s->orig_parts |= ip_is_set(&s->orig.dst) ? CT_HAS_DST : 0;
		s->reply_parts |= ip_is_set(&s->reply.src) ? CT_HAS_SRC : 0;
	}
	return !first;
}

static bool is_narrowed(const struct sweep *s)
{
	return s->orig_parts & CT_HAS_DST || s->reply_parts;
}

static int sweep_dump(struct conntrack *c, struct sweep *s, bool filter, struct cnm_error *err)
{
	char room[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = ct_start(room, IPCTNL_MSG_CT_GET, NLM_F_DUMP, s->family);

	if (filter && s->orig_parts)
		ct_put_tuple(h, CTA_TUPLE_ORIG, &s->orig, s->orig_parts);
	if (filter && s->reply_parts)
		ct_put_tuple(h, CTA_TUPLE_REPLY, &s->reply, s->reply_parts);
	if (filter)
		ct_put_filter(h, s->orig_parts, s->reply_parts);
	return nl_request(c->nl, h, sweep_flow, sweep_again, s, err);
}

static int sweep_delete(struct conntrack *c, struct sweep *s, unsigned *deleted,
			struct cnm_error *err)
{
	int r = nl_batch_run(c->nl, &s->deletions, err);

	if (r < 0 && !s->deletions.results)
		return r;
	for (unsigned i = 0; i < s->deletions.count; i++) {
		int one = s->deletions.results[i];

		if (one < 0 && one != -ENOENT)
			return one;
		*deleted += one == 0;
	}
	return 0;
}

static int sweep_run(struct conntrack *c, struct sweep *s, unsigned *deleted, struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	int r;

	r = sweep_dump(c, s, s->orig_parts || s->reply_parts, &why);
	if (is_unknown(r)) {
		sweep_again(s);
		r = sweep_dump(c, s, false, &why);
	}
	if (is_unknown(r))
		r = 0;
	else if (r == 0)
		r = sweep_delete(c, s, deleted, &why);
	nl_batch_free(&s->deletions);
	if (r < 0) {
		cnm_error_prefix(&why, "delete connections from the kernel's table");
		if (err)
			*err = why;
	}
	return r;
}

/*
 * Each dump walks all of the table, so both families share one, unless the kernel can leave most
 * IPv4 flows out of one of their own.
 */
static int flush_proto(struct conntrack *c, struct sweep *s, const struct conntrack_match *m,
		       unsigned n, uint8_t proto, unsigned *deleted, struct cnm_error *err)
{
	bool any4 = sweep_prepare(s, m, n, proto, AF_INET), narrowed = is_narrowed(s);
	bool any6 = sweep_prepare(s, m, n, proto, AF_INET6);
	int r = 0;

	if (any4 && any6 && !narrowed) {
		sweep_prepare(s, m, n, proto, 0);
		return sweep_run(c, s, deleted, err);
	}
	if (any6)
		r = sweep_run(c, s, deleted, err);
	if (any4 && r == 0) {
		sweep_prepare(s, m, n, proto, AF_INET);
		r = sweep_run(c, s, deleted, err);
	}
	return r;
}

int conntrack_flush(struct conntrack *c, const struct conntrack_match *m, unsigned n,
		    unsigned *ret_deleted, struct cnm_error *err)
{
	_free_ struct sweep *s = malloc(sizeof(*s));
	unsigned deleted = 0;
	int r = 0;

	if (!s)
		return cnm_error_errno(err, ENOMEM, "delete connections");
	for (unsigned i = 0; i < n && r == 0; i++) {
		unsigned first = 0;

		while (m[first].proto != m[i].proto)
			first++;
		if (first == i)
			r = flush_proto(c, s, m, n, m[i].proto, &deleted, err);
	}
	if (r == 0)
		*ret_deleted = deleted;
	return r;
}

/* ---- asking */

struct question {
	struct ct_tuple reply;
	struct ct_tuple orig; /* the answer ... */
	bool found;           /* ... if there is one */
};

/* The kernel finds a flow by either direction: it must be the asked one. */
static int answer(const struct nlmsghdr *h, void *arg)
{
	struct question *q = arg;
	struct ct_flow f;

	if (ct_parse(h, &f) && f.reply.proto == q->reply.proto &&
	    ip_eq(&f.reply.src, &q->reply.src) && ip_eq(&f.reply.dst, &q->reply.dst) &&
	    f.reply.src_port == q->reply.src_port && f.reply.dst_port == q->reply.dst_port) {
		q->orig = f.orig;
		q->found = true;
	}
	return 0;
}

int conntrack_original(struct conntrack *c, uint8_t proto, const struct cnm_ip *local,
		       uint16_t local_port, const struct cnm_ip *peer, uint16_t peer_port,
		       struct cnm_ip *ret_ip, uint16_t *ret_port)
{
	struct question q = { .reply = { .src = *local,
					 .dst = *peer,
					 .proto = proto,
					 .src_port = local_port,
					 .dst_port = peer_port } };
	char room[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	/* Its answer is marked as one of several: it has ended when the acknowledgement comes. */
	struct nlmsghdr *h = ct_start(room, IPCTNL_MSG_CT_GET, NLM_F_ACK, local->family);
	int r;

	ct_put_tuple(h, CTA_TUPLE_REPLY, &q.reply,
		     CT_HAS_SRC | CT_HAS_DST | CT_HAS_PROTO | CT_HAS_PORTS);
	r = nl_request(c->nl, h, answer, NULL, &q, NULL);
	if (r < 0 && !is_unknown(r))
		return r;
	if (!q.found || (ip_eq(&q.orig.dst, local) && q.orig.dst_port == local_port))
		return -ENOENT;
	*ret_ip = q.orig.dst;
	*ret_port = q.orig.dst_port;
	return 0;
}
