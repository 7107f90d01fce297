/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flows that ports leave behind. The kernel translates a flow as its first packet was, however
 * long it lasts; so when a port comes, UDP flows that went to the host itself are deleted, and when
 * one goes, those that it led to the sandbox. The next packet is looked at anew.
 *
 * The kernel finds them by walking all of its table, which takes 10 ms if it has room for 262144
 * flows and is empty. So a thread does it, and what is asked of it meanwhile shares the next walk.
 * Ports that come are in no hurry, as their new flows are right: it waits a moment for others to
 * join, and lets who asked start first. Flows of ports that went are deleted at once, and a port
 * that comes waits for that, lest its own flows are taken for those of the last owner.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "plan/apply_internal.h"

/* How long ports that came wait for company. */
#define LINGER_NS 100000000

struct matches {
	struct conntrack_match *m;
	unsigned n, cap;
	bool failed;
};

static void add(struct matches *list, const struct conntrack_match *m)
{
	if (list->n == list->cap) {
		unsigned cap = list->cap ? list->cap * 2 : 16;
		struct conntrack_match *p = reallocarray(list->m, cap, sizeof(*p));

		if (!p) {
			list->failed = true;
			return;
		}
		list->m = p;
		list->cap = cap;
	}
	list->m[list->n++] = *m;
}

/* A place is a protocol and an address; plans have their ports sorted by it, then by number. */
static int compare_places(const struct hostports *a, const struct hostports *b)
{
	return a->proto != b->proto ? a->proto - b->proto : ip_cmp(&a->ip, &b->ip);
}

typedef void (*piece_fn)(const struct hostports *piece, void *arg);

/* The parts of one run that are not in b[*k..n). *k moves on as the runs do. */
static void cut(const struct hostports *run, const struct hostports *b, size_t n, size_t *k,
		piece_fn fn, void *arg)
{
	struct hostports piece = *run;
	unsigned at = run->first;

	while (*k < n && (compare_places(&b[*k], run) < 0 ||
			  (compare_places(&b[*k], run) == 0 && b[*k].last < run->first)))
		++*k;
	for (size_t i = *k; i < n && compare_places(&b[i], run) == 0 && b[i].first <= run->last;
	     i++) {
		if (b[i].first > at) {
			piece.first = (uint16_t)at;
			piece.last = b[i].first - 1;
			fn(&piece, arg);
		}
		at = b[i].last + 1u;
	}
	if (at > run->last)
		return;
	piece.first = (uint16_t)at;
	piece.last = run->last;
	fn(&piece, arg);
}

/* Calls fn for what a has and b (NULL: nothing) has not. */
static void subtract(const struct plan_item *a, const struct plan_item *b, piece_fn fn, void *arg)
{
	size_t k = 0;

	for (size_t i = 0; i < a->hold.n; i++)
		cut(&a->hold.ports[i], b ? b->hold.ports : NULL, b ? b->hold.n : 0, &k, fn, arg);
}

static struct conntrack_match match_of(const struct hostports *p)
{
	return (struct conntrack_match){
		.proto = p->proto,
		.family = p->ip.family,
		.to = ip_is_unspecified(&p->ip) ? (struct cnm_ip){ 0 } : p->ip,
		.first = p->first,
		.last = p->last,
	};
}

/* ---- ports that came */

static void add_came(const struct hostports *p, void *arg)
{
	struct conntrack_match m = match_of(p);

	m.not_nat = true;
	if (p->proto == IPPROTO_UDP)
		add(arg, &m);
}

/* ---- ports that went */

struct went {
	struct matches *list;
	const struct plan_item *have, *want;
};

static bool is_left(const struct went *w, unsigned f)
{
	const struct cnm_ip *target = &w->have->hold.targets[f];

	return ip_is_set(target) && !(w->want && ip_eq(target, &w->want->hold.targets[f]));
}

/* To an address that stays, or through the proxy: by its port. */
static void add_went(const struct hostports *p, void *arg)
{
	struct went *w = arg;
	struct conntrack_match m = match_of(p);
	unsigned f = p->ip.family == AF_INET6;

	m.nat = true;
	m.from = w->have->hold.targets[f];
	if (!is_left(w, f))
		add(w->list, &m);
}

/* Whatever led to an address that is left, one match a protocol. */
static void add_left(const struct went *w, unsigned f)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct conntrack_match m = { .family = f ? AF_INET6 : AF_INET,
				     .from = w->have->hold.targets[f],
				     .last = UINT16_MAX,
				     .nat = true };

	for (unsigned i = 0; i < sizeof(protos); i++) {
		bool any = false;

		for (size_t k = 0; k < w->have->hold.n && !any; k++)
			any = w->have->hold.ports[k].proto == protos[i] &&
			      w->have->hold.ports[k].ip.family == m.family;
		m.proto = protos[i];
		if (any)
			add(w->list, &m);
	}
}

/* ---- together */

static void add_op(const struct plan_op *op, struct matches *list)
{
	struct went w = { .list = list, .have = op->have, .want = op->want };

	if (op->want)
		subtract(op->want, op->have, add_came, list);
	if (!op->have)
		return;
	subtract(op->have, op->want, add_went, &w);
	for (unsigned f = 0; f < 2; f++)
		if (is_left(&w, f))
			add_left(&w, f);
}

/* ---- the thread */

struct flows {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct matches todo, doing;
	uint64_t due; /* todo, by clock_mono_ns() */
	bool stop;
	struct conntrack *ct; /* of the thread; NULL until needed */
};

static void walk(struct flows *f, const struct matches *list)
{
	struct cnm_error err = { 0 };
	unsigned deleted = 0;
	int rc = f->ct ? 0 : conntrack_open(&f->ct, &err);

	if (rc == 0)
		rc = conntrack_flush(f->ct, list->m, list->n, &deleted, &err);
	if (rc < 0)
		log_debug("flows of ports: %s", err.text);
	else if (deleted)
		log_debug("%u flows of ports deleted", deleted);
}

static void *flows_thread(void *arg)
{
	struct flows *f = arg;

	pthread_mutex_lock(&f->lock);
	while (f->todo.n || !f->stop) {
		if (!f->stop && (!f->todo.n || clock_mono_ns() < f->due)) {
			cond_wait(&f->changed, &f->lock, f->todo.n ? f->due : 0);
			continue;
		}
		f->doing = f->todo;
		f->todo = (struct matches){ 0 };
		pthread_mutex_unlock(&f->lock);
		walk(f, &f->doing);
		pthread_mutex_lock(&f->lock);
		free(f->doing.m);
		f->doing = (struct matches){ 0 };
		pthread_cond_broadcast(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int flows_new(struct flows **ret, struct cnm_error *err)
{
	struct flows *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return cnm_error_errno(err, ENOMEM, "flows of ports");
	pthread_mutex_init(&f->lock, NULL);
	cond_init(&f->changed);
	rc = pthread_create(&f->thread, NULL, flows_thread, f);
	if (rc) {
		pthread_cond_destroy(&f->changed);
		pthread_mutex_destroy(&f->lock);
		free(f);
		return cnm_error_errno(err, rc, "start a thread for the flows of ports");
	}
	*ret = f;
	return 0;
}

void flows_free(struct flows *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	conntrack_close(f->ct);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f->todo.m);
	free(f);
}

/* May one of these delete a flow of ports that lead there? */
static bool is_about(const struct matches *list, const struct cnm_ip targets[2])
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->m[i].nat &&
		    (!ip_is_set(&list->m[i].from) || ip_eq(&list->m[i].from, &targets[0]) ||
		     ip_eq(&list->m[i].from, &targets[1])))
			return true;
	return false;
}

void flows_wait(struct flows *f, const struct plan_item *i)
{
	LOCKED(&f->lock);

	while (is_about(&f->todo, i->hold.targets) || is_about(&f->doing, i->hold.targets))
		pthread_cond_wait(&f->changed, &f->lock);
}

void flows_wait_all(struct flows *f)
{
	LOCKED(&f->lock);

	f->due = 0;
	pthread_cond_broadcast(&f->changed);
	while (f->todo.n || f->doing.n)
		pthread_cond_wait(&f->changed, &f->lock);
}

static bool any_went(const struct matches *list)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->m[i].nat)
			return true;
	return false;
}

void flows_delete(struct flows *f, const struct plan_diff *d)
{
	LOCKED(&f->lock);

	if (!f->todo.n)
		f->due = clock_mono_ns() + LINGER_NS;
	for (size_t i = 0; i < d->n; i++) {
		const struct plan_op *op = &d->ops[i];

		if ((op->want ? op->want : op->have)->kind == PLAN_HOLD)
			add_op(op, &f->todo);
	}
	if (f->todo.failed)
		log_debug("flows of ports: out of memory");
	f->todo.failed = false;
	if (any_went(&f->todo))
		f->due = 0;
	if (f->todo.n)
		pthread_cond_broadcast(&f->changed);
}
