/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries for names that no network of the sandbox knows: which servers are asked, and when.
 *
 * A query becomes a lookup with one who waits, a forward; the same query from whoever may ask the
 * same servers joins a lookup that is young. (So a crowd costs one question, and whoever wants to
 * forge a reply cannot have many of the same question on their way.) The first server is asked, and
 * if it does not answer in a few times its usual time, the next one as well, and so on: the first
 * good reply goes to all who wait, whichever server it is from. SERVFAIL, REFUSED and failure to
 * reach a server lead to the next one at once, and are the answer only when nobody else can have a
 * better one. When all have been asked they are asked again each AGAIN_NS, since datagrams get
 * lost; after TOTAL_NS the answer is SERVFAIL, in time for a client that gives up after 5 seconds.
 *
 * The order is that of the list, but a server that was silent twice in a row comes after the
 * others until it answers again. A lookup that has been answered stays, with nobody waiting, until
 * the servers that were asked in vain have answered too or are found to have been silent; and one
 * that nobody waits for is made now and then to try a server that is thought to be bad. Each
 * server has at most one such probe.
 *
 * A lookup has one timer, for its next step, and is in the list of its set of servers, through
 * which it is restarted when the servers change. Whatever is told to a client by TCP may lead to
 * messages being taken, and so to the end of any other forward, lookup or set.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "resolver/upstream.h"

#define TOTAL_NS      (4 * NS_PER_S)
#define AGAIN_NS      NS_PER_S
#define TCP_NS        (NS_PER_S / 2) /* before the next server is asked by TCP as well */
#define JOIN_NS       NS_PER_S       /* an older lookup is not joined: its question may be lost */
#define LINGER_NS     NS_PER_S       /* for an answer that nobody waits for */
#define PROBE_NS      (2 * NS_PER_S) /* between two of the same server */
#define IN_FLIGHT_MAX 1024           /* per sandbox */
#define CACHE_BYTES   (512 * 1024)

/* The set of servers that answers for the sandbox, or NULL. */
static struct upstreams *set_of(const struct resolver *r, const struct sandbox *sb)
{
	if (sb->own && sb->own->n)
		return sb->own;
	return sb->view && sb->view->forward && r->host->n ? r->host : NULL;
}

/* ------------------------------------------------------------------------------- the cache */

/* Where recursion is not desired, a reply is about what the server itself happens to know now. */
bool forward_cached(struct resolver *r, struct sandbox *sb, const uint8_t *msg,
		    const struct dns_query *q, uint8_t *buf, size_t max, size_t *ret_len)
{
	struct upstreams *set = set_of(r, sb);

	if (!set || !q->recursion ||
	    !cache_get(r->cache, set->scope, msg, q, r->now, buf, max, ret_len))
		return false;
	sb->count.cached++;
	return true;
}

static void keep(struct resolver *r, struct lookup *l, const uint8_t *reply, size_t len)
{
	struct dns_query q;

	if (dns_parse_query(&q, lookup_query(l), l->frame_len - 2) == DNS_NOERROR && q.recursion)
		cache_put(r->cache, l->set->scope, lookup_query(l), &q, reply, len, r->now);
}

/* ------------------------------------------------------------------------------- lookups */

static void lookup_due(struct resolver *r, struct timer *t);

/* Into a set: all its servers are ahead of it, the good ones first. */
static void enter_set(struct lookup *l, struct upstreams *set)
{
	size_t n = 0;

	l->set = set;
	list_append(&set->lookups, &l->by_set);
	for (int bad = 0; bad < 2; bad++) {
		for (size_t i = 0; i < set->n; i++) {
			if (upstream_is_bad(&set->servers[i]) == bad)
				l->order[n++] = (uint8_t)i;
		}
	}
	l->n_asked = 0;
}

static struct lookup *lookup_new(struct resolver *r, struct upstreams *set, bool tcp,
				 const struct dns_query *q, const uint8_t *msg, size_t len)
{
	struct lookup *l = calloc(1, sizeof(*l) + 2 + len);

	if (!l)
		return NULL;
	list_init(&l->by_set);
	list_init(&l->waiters);
	l->timer.due = lookup_due;
	l->started = r->now;
	l->tcp = tcp;
	l->size = q->size;
	l->question_len = q->question_len;
	l->frame_len = 2 + len;
	dns_set_id(l->frame, (uint16_t)len);
	memcpy(lookup_query(l), msg, len);
	enter_set(l, set);
	return l;
}

static void lookup_free(struct resolver *r, struct lookup *l)
{
	for (size_t i = 0; i < RESOLV_SERVERS_MAX; i++)
		ask_stop(r, &l->asks[i]);
	timer_stop(&r->wheel, &l->timer);
	table_del(&r->lookups, &l->by_query);
	list_del(&l->by_set);
	free(l);
}

static bool on_its_way(const struct lookup *l)
{
	for (size_t i = 0; i < RESOLV_SERVERS_MAX; i++) {
		if (l->asks[i].upstream)
			return true;
	}
	return false;
}

/* All but the id, which is the first two bytes. */
static uint32_t query_hash(const struct upstreams *set, bool tcp, const uint8_t *msg, size_t len)
{
	uint32_t h = hash_bytes(HASH_START, &set, sizeof(set));

	return hash_bytes(hash_byte(h, tcp), msg + 2, len - 2);
}

/* One to join: as it is the same to the last byte, so is the reply. */
static struct lookup *lookup_find(struct resolver *r, const struct upstreams *set, bool tcp,
				  const uint8_t *msg, size_t len)
{
	struct table_node *t = table_first(&r->lookups, query_hash(set, tcp, msg, len));

	for (; t; t = table_next(t)) {
		struct lookup *l = container_of(t, struct lookup, by_query);

		if (l->set == set && l->tcp == tcp && l->frame_len == 2 + len &&
		    r->now - l->started < JOIN_NS &&
		    memcmp(lookup_query(l) + 2, msg + 2, len - 2) == 0)
			return l;
	}
	return NULL;
}

/* ------------------------------------------------------------------------------- who waits */

static void forward_end(struct forward *f)
{
	list_del(&f->by_lookup);
	list_del(&f->by_sandbox);
	f->sandbox->n_forwards--;
	free(f);
}

/* The end of the forward. By TCP this may be the end of any other as well. */
static void reply_to(struct resolver *r, struct forward *f, uint8_t *msg, size_t len, bool good)
{
	struct sandbox *sb = f->sandbox;
	struct forward was = *f;

	sb->count.failed += !good;
	forward_end(f);
	dns_set_id(msg, was.client_id);
	if (was.client) {
		client_forwarded(r, was.client, msg, len);
	} else if (sb->udp.fd >= 0) {
		/* As with any datagram, nobody is told if it is lost. */
		sendto(sb->udp.fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL, &was.peer.sa,
		       was.peer_len);
		journal_done(&sb->journal, was.number);
		journal_clear(&sb->journal, sb->udp.fd);
	}
}

/* Nobody is to wait for it any more; it stays as the probe of servers that have none. */
static void make_probe(struct resolver *r, struct lookup *l)
{
	l->over = true;
	table_del(&r->lookups, &l->by_query);
	for (size_t i = 0; i < RESOLV_SERVERS_MAX; i++) {
		struct ask *a = &l->asks[i];

		if (!a->upstream)
			continue;
		if (l->tcp || a->upstream->probe)
			ask_stop(r, a);
		else
			a->upstream->probe = a;
	}
	timer_set(&r->wheel, &l->timer, r->now + LINGER_NS);
}

/*
 * To all who wait. By UDP nothing else can end meanwhile, and the lookup may go on as a probe; by
 * TCP it is out of everybody's reach before the first reply is sent.
 */
static void deliver(struct resolver *r, struct lookup *l, uint8_t *msg, size_t len, bool good)
{
	bool probe;

	if (!l->tcp && len > l->size)
		len = dns_reply_cut(msg, l->question_len);
	make_probe(r, l);
	probe = on_its_way(l);
	if (!probe) {
		timer_stop(&r->wheel, &l->timer);
		list_del(&l->by_set);
	}
	while (!list_empty(&l->waiters))
		reply_to(r, container_of(l->waiters.next, struct forward, by_lookup), msg, len,
			 good);
	if (!probe)
		lookup_free(r, l);
}

static void fail(struct resolver *r, struct lookup *l)
{
	uint8_t buf[DNS_UDP_MIN];
	struct dns_query q;

	dns_parse_query(&q, lookup_query(l), l->frame_len - 2);
	deliver(r, l, buf, dns_reply_empty(buf, lookup_query(l), &q, DNS_SERVFAIL), false);
}

/* ------------------------------------------------------------------------------- steps */

/* When it is to be thought of again, after the server was asked. */
static void set_timer(struct resolver *r, struct lookup *l, const struct upstream *u)
{
	uint64_t end = l->started + TOTAL_NS, at;

	if (l->n_asked < l->set->n)
		at = r->now + (l->tcp ? TCP_NS : upstream_patience(u));
	else
		at = l->tcp ? end : r->now + AGAIN_NS;
	timer_set(&r->wheel, &l->timer, at < end ? at : end);
}

/* The next server that it can be put to. Negative: there is none. */
static int ask_next(struct resolver *r, struct lookup *l)
{
	while (l->set && l->n_asked < l->set->n) {
		unsigned i = l->n_asked++;
		struct upstream *u = &l->set->servers[l->order[i]];

		if (ask_start(r, &l->asks[i], l, u) == 0) {
			set_timer(r, l, u);
			return 0;
		}
	}
	return -EHOSTUNREACH;
}

/* One that was asked will not help, for which msg is the reason, or NULL. */
static void do_without(struct resolver *r, struct lookup *l, uint8_t *msg, size_t len)
{
	if (l->over) {
		if (!on_its_way(l))
			lookup_free(r, l);
	} else if (ask_next(r, l) < 0 && !on_its_way(l)) {
		if (msg)
			deliver(r, l, msg, len, false);
		else
			fail(r, l);
	}
}

void lookup_replied(struct resolver *r, struct ask *a, uint8_t *msg, size_t len, int rcode)
{
	struct lookup *l = a->lookup;

	upstream_answered(r, a);
	ask_stop(r, a);
	if (l->over || rcode == DNS_SERVFAIL || rcode == DNS_REFUSED) {
		do_without(r, l, msg, len);
	} else {
		keep(r, l, msg, len);
		deliver(r, l, msg, len, true);
	}
}

void lookup_failed(struct resolver *r, struct ask *a)
{
	struct lookup *l = a->lookup;

	upstream_missed(a);
	ask_stop(r, a);
	do_without(r, l, NULL, 0);
}

/* Its time is over: those that are still being asked were silent. */
static void time_out(struct resolver *r, struct lookup *l)
{
	for (size_t i = 0; i < RESOLV_SERVERS_MAX; i++) {
		if (!l->asks[i].upstream)
			continue;
		upstream_missed(&l->asks[i]);
		ask_stop(r, &l->asks[i]);
	}
	if (l->over)
		lookup_free(r, l);
	else
		fail(r, l);
}

static void lookup_due(struct resolver *r, struct timer *t)
{
	struct lookup *l = container_of(t, struct lookup, timer);

	if (l->over || r->now - l->started >= TOTAL_NS) {
		time_out(r, l);
	} else if (ask_next(r, l) < 0) {
		if (!on_its_way(l)) {
			fail(r, l);
			return;
		}
		for (size_t i = 0; i < RESOLV_SERVERS_MAX; i++)
			ask_again(r, &l->asks[i]);
		set_timer(r, l, NULL);
	}
}

/* The same question to servers thought to be bad, for nobody but to see whether they answer. */
static void probe_bad(struct resolver *r, const struct lookup *l, const struct dns_query *q)
{
	for (size_t i = 0; i < l->set->n; i++) {
		struct upstream *u = &l->set->servers[i];
		struct lookup *probe;

		if (!upstream_is_bad(u) || u->probe || u->probe_at > r->now || i == l->order[0])
			continue;
		u->probe_at = r->now + PROBE_NS;
		probe = lookup_new(r, l->set, false, q, l->frame + 2, l->frame_len - 2);
		if (!probe)
			return;
		if (ask_start(r, &probe->asks[0], probe, u) == 0)
			make_probe(r, probe);
		else
			lookup_free(r, probe);
	}
}

/* ------------------------------------------------------------------------------- from outside */

/* A lookup of this query that is on its way, or NULL and why there is none. */
static struct lookup *lookup_get(struct resolver *r, struct upstreams *set, bool tcp,
				 const struct dns_query *q, const uint8_t *msg, size_t len,
				 int *ret_err)
{
	struct lookup *l = lookup_find(r, set, tcp, msg, len);

	if (l)
		return l;
	l = lookup_new(r, set, tcp, q, msg, len);
	*ret_err = l ? ask_next(r, l) : -ENOMEM;
	if (*ret_err < 0) {
		if (l)
			lookup_free(r, l);
		return NULL;
	}
	table_add(&r->lookups, &l->by_query, query_hash(set, tcp, msg, len));
	if (!tcp)
		probe_bad(r, l, q);
	return l;
}

static int start(struct resolver *r, struct sandbox *sb, bool tcp, const struct dns_query *q,
		 const uint8_t *msg, size_t len, struct forward **ret)
{
	struct upstreams *set = set_of(r, sb);
	struct forward *f;
	int err;

	if (!set)
		return -EHOSTUNREACH;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->lookup = lookup_get(r, set, tcp, q, msg, len, &err);
	if (!f->lookup) {
		free(f);
		return err;
	}
	list_append(&f->lookup->waiters, &f->by_lookup);
	list_append(&sb->forwards, &f->by_sandbox);
	sb->n_forwards++;
	f->sandbox = sb;
	f->client_id = dns_id(msg);
	*ret = f;
	return 0;
}

int forward_start(struct resolver *r, struct sandbox *sb, struct client *client,
		  const union peer *peer, socklen_t peer_len, uint32_t number,
		  const struct dns_query *q, const uint8_t *msg, size_t len, struct forward **ret)
{
	struct forward *f;
	int err;

	if (sb->n_forwards >= IN_FLIGHT_MAX) {
		sb->count.refused++;
		return -EBUSY;
	}
	err = start(r, sb, client, q, msg, len, &f);
	if (err < 0) {
		sb->count.failed++;
		return err;
	}
	sb->count.forwarded++;
	f->client = client;
	if (!client)
		f->peer = *peer;
	f->peer_len = peer_len;
	f->number = number;
	if (ret)
		*ret = f;
	return 0;
}

void forward_cancel(struct resolver *r, struct forward *f)
{
	struct lookup *l;

	if (!f)
		return;
	l = f->lookup;
	forward_end(f);
	/* One that is over is being delivered. */
	if (list_empty(&l->waiters) && !l->over)
		lookup_free(r, l);
}

/* ------------------------------------------------------------------------------- other servers */

/* What is on its way through the set, and what it was put to forgotten. */
static void take_lookups(struct resolver *r, struct upstreams *set, struct list *ret)
{
	while (!list_empty(&set->lookups)) {
		struct lookup *l = container_of(set->lookups.next, struct lookup, by_set);

		if (l->over) {
			lookup_free(r, l);
			continue;
		}
		for (size_t i = 0; i < RESOLV_SERVERS_MAX; i++)
			ask_stop(r, &l->asks[i]);
		table_del(&r->lookups, &l->by_query);
		list_del(&l->by_set);
		list_append(ret, &l->by_set);
	}
}

/*
 * Lookups begin again with this set; NULL: with nobody to ask, so they fail. But only when their
 * timers are due: this may be part of taking messages, and no time to tell clients anything.
 */
static void restart(struct resolver *r, struct list *lookups, struct upstreams *set)
{
	while (!list_empty(lookups)) {
		struct lookup *l = container_of(lookups->next, struct lookup, by_set);

		list_del(&l->by_set);
		l->set = NULL;
		if (set)
			enter_set(l, set);
		timer_set(&r->wheel, &l->timer, r->now);
	}
}

void forward_set_servers(struct resolver *r, const char *resolv_conf)
{
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	size_t n = resolv_conf_servers(resolv_conf, servers);
	struct list moving;

	if (upstreams_are(r->host, servers, n))
		return;
	list_init(&moving);
	take_lookups(r, r->host, &moving);
	upstreams_set(r, r->host, servers, n);
	cache_drop_scope(r->cache, r->host->scope);
	restart(r, &moving, n ? r->host : NULL);
}

void forward_set_own(struct resolver *r, struct sandbox *sb, struct upstreams *set)
{
	struct upstreams *old = sb->own;
	struct list moving;

	if (set && old && upstreams_are_same(old, set)) {
		free(set);
		return;
	}
	sb->own = set;
	if (set)
		set->scope = ++r->scopes;
	if (!old)
		return;
	list_init(&moving);
	take_lookups(r, old, &moving);
	cache_drop_scope(r->cache, old->scope);
	upstreams_free(r, old);
	restart(r, &moving, set_of(r, sb));
}

void forward_expire(struct resolver *r)
{
	wheel_turn(r, &r->wheel, r->now);
}

uint64_t forward_deadline(const struct resolver *r)
{
	return wheel_next(&r->wheel);
}

int forward_init(struct resolver *r)
{
	wheel_init(&r->wheel);
	r->cache = cache_new(CACHE_BYTES);
	r->host = upstreams_new(NULL, 0, NULL);
	if (!r->cache || !r->host || table_init(&r->asks) < 0 || table_init(&r->lookups) < 0)
		return -ENOMEM;
	return 0;
}

void forward_destroy(struct resolver *r)
{
	struct list nobody = LIST_INIT(nobody);

	if (r->host) {
		take_lookups(r, r->host, &nobody);
		upstreams_set(r, r->host, NULL, 0);
		free(take_ptr(r->host));
	}
	cache_free(take_ptr(r->cache));
	table_free(&r->asks);
	table_free(&r->lookups);
}
