/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allotting ports of the host: first those that are given, then those that the sandbox had before,
 * then one each out of ranges, then the ones that are free to choose. So nothing that is chosen
 * takes what another want cannot do without.
 *
 * Chosen ports are looked for in a bitmap of what is taken, made once for all wants that go to the
 * same addresses, which follow one another. What is given is looked up in the index.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "model/model.h"
#include "model/ports_internal.h"

/* Container ports of a want that still need ports of the host. */
struct gap {
	const struct port_want *want;
	uint16_t first, last;
};

struct allot {
	struct port_index *ix;
	const struct port_place *place;
	const struct sandbox *sb;
	const struct port **keep; /* sorted with keep_cmp() */
	unsigned n_keep;
	struct gap *gaps;
	unsigned n_gaps;
	struct port *out;
	unsigned n_out;
	struct port space; /* whose addresses `taken` is about; proto 0: of none yet */
	uint8_t taken[PORT_BITS];
};

static const uint8_t families[] = { AF_INET, AF_INET6 };

/* Room for one more in an array that grows by powers of two; NULL: memory is out. */
static void *grow(void *array, unsigned n, size_t size)
{
	if (n & (n - 1))
		return array;
	return realloc(array, (n ? 2 * (size_t)n : 1) * size);
}

static int push(struct allot *a, const struct port *p)
{
	struct port *more = grow(a->out, a->n_out, sizeof(*more));

	if (!more)
		return -ENOMEM;
	a->out = more;
	a->out[a->n_out++] = *p;
	return 0;
}

/* Where a want goes. false: nowhere, the network offers nothing of the kind. */
static bool resolve(const struct allot *a, const struct port_want *w, struct port *ret)
{
	bool any = false;

	*ret = (struct port){ .proto = w->proto, .first = w->first, .last = w->last };
	ret->sandbox = a->sb;
	for (unsigned f = 0; f < 2; f++) {
		enum port_way way = a->place->by[f].way;
		const struct cnm_ip *host = ip_is_set(&w->host) ? &w->host : &a->place->by[f].host;

		if (ip_is_set(&w->host) && w->host.family != families[f])
			continue;
		if (way == PORT_NONE || (way != PORT_OPEN && !ip_is_set(host)))
			continue;
		ret->by[f].way = way;
		if (way != PORT_OPEN)
			ret->by[f].host = *host;
		any = true;
	}
	return any;
}

/* ---- errors */

static const char *host_format(const struct cnm_ip *ip, char buf[static IP_STR + 2])
{
	char text[IP_STR];

	snprintf(buf, IP_STR + 2, ip->family == AF_INET6 ? "[%s]" : "%s", ip_format(ip, text));
	return buf;
}

static int refuse_taken(const struct allot *a, const struct port_clash *c, struct cnm_error *err)
{
	char host[IP_STR + 2];
	bool own = c->with->sandbox == a->sb;

	return cnm_error_set(err, CNM_E_INTERNAL,
			     "Bind for %s:%u failed: port is already allocated (by %s%s)",
			     host_format(&c->host, host), c->port,
			     own ? "another -p of this container" : "container ",
			     own ? "" : c->with->sandbox->name);
}

static int refuse_full(const struct port *t, unsigned lo, unsigned hi, struct cnm_error *err)
{
	const struct cnm_ip *ip = &t->by[port_is_bound_in(t, 0) ? 0 : 1].host;
	char host[IP_STR + 2];

	return cnm_error_set(err, CNM_E_INTERNAL,
			     "Bind for %s:%u-%u failed: all ports are allocated",
			     host_format(ip, host), lo, hi);
}

/* ---- ports that are given, and those that take none of the host's */

static int allot_given(struct allot *a, const struct port_want *wants, unsigned n,
		       struct cnm_error *err)
{
	struct port_index own = { 0 };
	struct port_clash clash;
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++) {
		struct port p;

		if (!resolve(a, &wants[i], &p))
			continue;
		p.host_first = port_is_bound(&p) ? wants[i].host_first : p.first;
		if (!port_is_bound(&p) || want_kind(&wants[i]) == WANT_EXACT)
			r = push(a, &p);
	}
	if (r == 0)
		r = port_index_enter(&own, a->out, a->n_out, &clash);
	port_index_free(&own);
	for (unsigned i = 0; i < a->n_out && r == 0; i++)
		if (port_index_clash(a->ix, &a->out[i], &clash))
			r = -EEXIST;
	return r == -EEXIST ? refuse_taken(a, &clash, err) : r;
}

/* ---- what is taken at the addresses of t */

static bool overlaps(const struct port *t, const struct port *p)
{
	for (unsigned f = 0; f < 2; f++) {
		if (!port_is_bound_in(t, f) || !port_is_bound_in(p, f))
			continue;
		if (ip_is_unspecified(&t->by[f].host) || ip_is_unspecified(&p->by[f].host) ||
		    ip_eq(&t->by[f].host, &p->by[f].host))
			return true;
	}
	return false;
}

static bool same_place(const struct port *t, const struct port *p)
{
	for (unsigned f = 0; f < 2; f++)
		if (t->by[f].way != p->by[f].way || ip_cmp(&t->by[f].host, &p->by[f].host) != 0)
			return false;
	return t->proto == p->proto;
}

static void see_taken(struct allot *a, const struct port *t)
{
	if (same_place(&a->space, t))
		return;
	a->space = *t;
	memset(a->taken, 0, sizeof(a->taken));
	for (unsigned f = 0; f < 2; f++)
		if (port_is_bound_in(t, f))
			port_index_mark(a->ix, t->proto, &t->by[f].host, a->taken);
	for (unsigned i = 0; i < a->n_out; i++) {
		const struct port *p = &a->out[i];

		if (p->proto == t->proto && overlaps(t, p))
			port_bits_set(a->taken, p->host_first, port_host_last(p));
	}
}

/* Give t these ports; see_taken() has been told of it. */
static int take(struct allot *a, const struct port *t, unsigned first, unsigned last,
		unsigned host_first)
{
	struct port p = *t;

	p.first = (uint16_t)first;
	p.last = (uint16_t)last;
	p.host_first = (uint16_t)host_first;
	port_bits_set(a->taken, p.host_first, port_host_last(&p));
	return push(a, &p);
}

/* ---- what the sandbox had before */

/* By container port, then by addresses, then by the host's port. */
static int keep_order(const struct port *a, const struct port *b)
{
	int c = (int)a->proto - (int)b->proto;

	if (c == 0)
		c = (int)a->first - (int)b->first;
	for (unsigned f = 0; f < 2 && c == 0; f++)
		c = ip_cmp(&a->by[f].host, &b->by[f].host);
	return c ? c : (int)a->host_first - (int)b->host_first;
}

static int keep_cmp(const void *a, const void *b)
{
	return keep_order(*(const struct port *const *)a, *(const struct port *const *)b);
}

static int sort_keep(struct allot *a, const struct port *keep, unsigned n)
{
	if (n == 0)
		return 0;
	a->keep = calloc(n, sizeof(*a->keep));
	if (!a->keep)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		if (port_is_bound(&keep[i]))
			a->keep[a->n_keep++] = &keep[i];
	qsort(a->keep, a->n_keep, sizeof(*a->keep), keep_cmp);
	return 0;
}

/* The first one that does not come before key. */
static unsigned seek_keep(const struct allot *a, const struct port *key)
{
	unsigned lo = 0, hi = a->n_keep;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (keep_order(a->keep[mid], key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* May the want have this run again? That it is in use says nothing: by this sandbox. */
static bool fits(const struct allot *a, const struct port_want *w, const struct port *k)
{
	if (want_kind(w) != WANT_ANY &&
	    (k->host_first < w->host_first || k->host_first > w->host_last))
		return false;
	return k->last <= w->last && !port_bits_any(a->taken, k->host_first, port_host_last(k));
}

/* The run it had that began at this container port and fits; `there`: at the same addresses. */
static const struct port *find_kept(const struct allot *a, const struct port_want *w,
				    const struct port *key, bool there)
{
	for (unsigned i = seek_keep(a, key); i < a->n_keep; i++) {
		const struct port *k = a->keep[i];

		if (k->proto != key->proto || k->first != key->first)
			return NULL;
		if (there && (ip_cmp(&k->by[0].host, &key->by[0].host) != 0 ||
			      ip_cmp(&k->by[1].host, &key->by[1].host) != 0))
			return NULL;
		if (fits(a, w, k))
			return k;
	}
	return NULL;
}

/* At the addresses of t, or else, where the network chose them, at any others. */
static const struct port *kept_at(const struct allot *a, const struct port_want *w,
				  const struct port *t, uint16_t at)
{
	struct port key = *t;
	const struct port *k;

	key.first = at;
	key.host_first = w->host_first;
	k = find_kept(a, w, &key, true);
	if (k || ip_is_set(&w->host))
		return k;
	key = (struct port){ .proto = t->proto, .first = at };
	return find_kept(a, w, &key, false);
}

static int add_gap(struct allot *a, const struct port_want *w, unsigned first, unsigned last)
{
	struct gap *more = grow(a->gaps, a->n_gaps, sizeof(*more));

	if (!more)
		return -ENOMEM;
	a->gaps = more;
	a->gaps[a->n_gaps++] = (struct gap){ w, (uint16_t)first, (uint16_t)last };
	return 0;
}

static int keep_what_fits(struct allot *a, const struct port_want *w, const struct port *t)
{
	unsigned from = w->first, at = w->first;
	int r = 0;

	if (a->n_keep == 0)
		return add_gap(a, w, w->first, w->last);
	see_taken(a, t);
	while (at <= w->last) {
		const struct port *k = kept_at(a, w, t, (uint16_t)at);

		if (!k) {
			at++;
			continue;
		}
		if (from < at)
			r = add_gap(a, w, from, at - 1);
		if (r == 0)
			r = take(a, t, k->first, k->last, k->host_first);
		if (r < 0)
			return r;
		from = at = k->last + 1u;
	}
	return from <= w->last ? add_gap(a, w, from, w->last) : 0;
}

static int allot_kept(struct allot *a, const struct port_want *wants, unsigned n)
{
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++) {
		struct port t;

		if (want_kind(&wants[i]) != WANT_EXACT && resolve(a, &wants[i], &t) &&
		    port_is_bound(&t))
			r = keep_what_fits(a, &wants[i], &t);
	}
	return r;
}

/* ---- ports that are chosen */

static bool is_free(struct allot *a, uint8_t proto, unsigned port)
{
	if (port_bit(a->taken, port))
		return false;
	if (!a->place->used || !a->place->used(a->place->arg, proto, (uint16_t)port))
		return true;
	port_bits_set(a->taken, port, port); /* not to be asked again */
	return false;
}

/* n free ports in a row; 0: there are none. */
static unsigned find_run(struct allot *a, uint8_t proto, unsigned lo, unsigned hi, unsigned n)
{
	unsigned run = 0;

	for (unsigned p = lo; p <= hi; p++) {
		run = is_free(a, proto, p) ? run + 1 : 0;
		if (run == n)
			return p - n + 1;
	}
	return 0;
}

/* The same from where the last search ended, and around. */
static unsigned choose(struct allot *a, uint8_t proto, unsigned n)
{
	unsigned lo = a->place->first, hi = a->place->last, next = a->ix->next, at;

	if (next < lo || next > hi)
		next = lo;
	at = find_run(a, proto, next, hi, n);
	if (!at && next > lo)
		at = find_run(a, proto, lo, next + n - 2 < hi ? next + n - 2 : hi, n);
	if (at)
		a->ix->next = (uint16_t)(at + n); /* after the last one: 0, which is before lo */
	return at;
}

/* The port allotted last becomes longer by this one of the host, if that follows. */
static bool extend(struct allot *a, unsigned host_port)
{
	struct port *p = &a->out[a->n_out - 1];

	if (port_host_last(p) + 1u != host_port)
		return false;
	p->last++;
	port_bits_set(a->taken, host_port, host_port);
	return true;
}

static int choose_each(struct allot *a, const struct gap *g, const struct port *t,
		       struct cnm_error *err)
{
	int r = 0;

	for (unsigned p = g->first; p <= g->last && r == 0; p++) {
		unsigned at = choose(a, t->proto, 1);

		if (!at)
			return refuse_full(t, a->place->first, a->place->last, err);
		if (p == g->first || !extend(a, at))
			r = take(a, t, p, p, at);
	}
	return r;
}

static int fill_gap(struct allot *a, const struct gap *g, struct cnm_error *err)
{
	const struct port_want *w = g->want;
	struct port t;
	unsigned at;

	resolve(a, w, &t);
	see_taken(a, &t);
	if (want_kind(w) == WANT_ANY) {
		at = choose(a, t.proto, g->last - g->first + 1u);
		return at ? take(a, &t, g->first, g->last, at) : choose_each(a, g, &t, err);
	}
	at = find_run(a, t.proto, w->host_first, w->host_last, 1);
	return at ? take(a, &t, g->first, g->last, at)
		  : refuse_full(&t, w->host_first, w->host_last, err);
}

static int allot_chosen(struct allot *a, enum want_kind kind, struct cnm_error *err)
{
	int r = 0;

	for (unsigned i = 0; i < a->n_gaps && r == 0; i++)
		if (want_kind(a->gaps[i].want) == kind)
			r = fill_gap(a, &a->gaps[i], err);
	return r;
}

/* ---- ports that are open at the container's own address */

/* Runs of first..last whose bits are not set yet become ports of their own, in this family only. */
static int open_rest(struct allot *a, struct port p, unsigned f, uint8_t bits[static PORT_BITS])
{
	unsigned last = p.last;
	int r = 0;

	p.by[f].way = PORT_OPEN;
	p.by[!f].way = PORT_NONE;
	p.by[!f].host = (struct cnm_ip){ 0 };
	for (unsigned at = p.first; at <= last && r == 0; at++) {
		if (port_bit(bits, at))
			continue;
		p.first = p.host_first = (uint16_t)at;
		while (at < last && !port_bit(bits, at + 1))
			at++;
		p.last = (uint16_t)at;
		port_bits_set(bits, p.first, p.last);
		r = push(a, &p);
	}
	return r;
}

static void drop_closed(struct allot *a)
{
	unsigned to = 0;

	for (unsigned i = 0; i < a->n_out; i++)
		if (a->out[i].by[0].way != PORT_NONE || a->out[i].by[1].way != PORT_NONE)
			a->out[to++] = a->out[i];
	a->n_out = to;
}

/*
 * Two wants of one container port differ in the host's, which an open port has not: so that it is
 * there once, one that is open already is not opened again.
 */
static int open_once(struct allot *a, uint8_t proto, unsigned f)
{
	uint8_t bits[PORT_BITS] = { 0 };
	unsigned n = a->n_out;
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++) {
		struct port *p = &a->out[i];

		if (p->proto != proto || p->by[f].way != PORT_OPEN)
			continue;
		if (port_bits_any(bits, p->first, p->last)) {
			p->by[f].way = PORT_NONE;
			r = open_rest(a, *p, f, bits);
		} else {
			port_bits_set(bits, p->first, p->last);
		}
	}
	return r;
}

static int allot_open(struct allot *a)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	int r = 0;

	for (unsigned f = 0; f < 2; f++)
		for (unsigned i = 0; i < sizeof(protos) && r == 0; i++)
			if (a->place->by[f].way == PORT_OPEN)
				r = open_once(a, protos[i], f);
	drop_closed(a);
	return r;
}

int ports_allot(struct port_index *ix, const struct port_place *place, const struct sandbox *sb,
		const struct port_want *wants, unsigned n_wants, const struct port *keep,
		unsigned n_keep, struct port **ret, unsigned *ret_n, struct cnm_error *err)
{
	struct allot a = { .ix = ix, .place = place, .sb = sb };
	int r = sort_keep(&a, keep, n_keep);

	if (r == 0)
		r = allot_given(&a, wants, n_wants, err);
	if (r == 0)
		r = allot_kept(&a, wants, n_wants);
	if (r == 0)
		r = allot_chosen(&a, WANT_ONE_OF, err);
	if (r == 0)
		r = allot_chosen(&a, WANT_ANY, err);
	if (r == 0)
		r = allot_open(&a);
	free(a.keep);
	free(a.gaps);
	if (r == -ENOMEM)
		cnm_error_errno(err, ENOMEM, "allot the ports of %s", sb->name);
	if (r < 0) {
		free(a.out);
		return r;
	}
	*ret = a.out;
	*ret_n = a.n_out;
	return 0;
}
