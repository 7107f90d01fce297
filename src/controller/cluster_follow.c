/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the cluster's store says becomes part of the model, of the kernel, and of what is resolved.
 *
 * Called by the store's thread and, for what is late, by the worker: one after the other, by the
 * mutex `following`. An endpoint of another host is planned in the place of its network, and only
 * where that network has a sandbox of ours: the plan of what was and of what is, and the difference
 * is carried out, as for a request. Rows follow, so that a daemon that starts while the store is
 * away knows what the last one knew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "controller/cluster.h"
#include "controller/remote.h"
#include "model/codec.h"

struct ids {
	char (*v)[ID_SIZE];
	size_t n, cap;
};

/* What one call of the watcher changes. */
struct batch {
	struct cnm_engine *e;
	struct change c;
	struct store_tx *tx;
	struct ids named; /* endpoints whose names are to be published */
	struct ids added; /* networks not known before */
	bool failed;      /* memory ran out: everything is compared */
	bool hosts;       /* they are others now */
	bool wake;        /* there may be something to do for the worker, which calls us too */
};

static void note_id(struct batch *b, struct ids *ids, const char *id)
{
	if (ids->n == ids->cap) {
		size_t cap = ids->cap ? 2 * ids->cap : 16;
		void *v = reallocarray(ids->v, cap, ID_SIZE);

		if (!v) {
			b->failed = true;
			return;
		}
		ids->v = v;
		ids->cap = cap;
	}
	str_copy(ids->v[ids->n++], ID_SIZE, id);
}

/* ---- peers: endpoints of others, in the plans of their networks */

/* Another endpoint of the network on the same host as this one. */
static bool host_has_more(const struct endpoint *ep)
{
	const struct endpoint *o;

	list_for_each (o, &ep->network->endpoints, in_network)
		if (o != ep && ip_eq(&o->vtep, &ep->vtep))
			return true;
	return false;
}

/* The endpoint, and with the only one of its host what that host needs. */
static void plan_peer(const struct batch *b, const struct endpoint *ep, struct plan *p)
{
	const struct driver *d = ep->network->driver;

	if (!network_is_present(ep->network) || !ip_is_set(&ep->vtep))
		return;
	d->endpoint_plan(ep, &b->e->env, p);
	if (d->host_plan && !host_has_more(ep))
		d->host_plan(ep->network, &ep->vtep, &b->e->env, p);
}

static void drop_peer(struct batch *b, struct endpoint *ep)
{
	plan_peer(b, ep, &b->c.before);
	resolver_drop_names(b->e->resolver, ep->id);
	store_tx_delete(b->tx, STORE_ENDPOINT, ep->id);
	model_del_endpoint(&b->e->model, ep, true);
}

static bool is_same(const struct endpoint *a, const struct endpoint *b)
{
	return streq(a->name, b->name) && streq(a->host, b->host) && ip_eq(&a->vtep, &b->vtep) &&
	       ip_eq(&a->ip4, &b->ip4) && ip_eq(&a->ip6, &b->ip6) && mac_eq(&a->mac, &b->mac) &&
	       json_equal(a->aliases, b->aliases);
}

static void take_addresses(const struct endpoint *ep)
{
	const struct cnm_ip *ips[] = { &ep->ip4, &ep->ip6 };

	for (unsigned i = 0; i < 2; i++) {
		struct network_pool *p = network_pool_of(ep->network, ips[i]);

		if (p)
			ipam_pool_take(p->taken, ips[i]);
	}
}

static void add_peer(struct batch *b, struct endpoint *ep)
{
	if (model_add_endpoint(&b->e->model, ep) < 0) {
		endpoint_free(ep);
		b->failed = true;
		return;
	}
	ep->state = OBJ_READY;
	take_addresses(ep);
	plan_peer(b, ep, &b->c.after);
	note_id(b, &b->named, ep->id);
	tx_put_endpoint(&b->tx, ep, STORE_READY, true);
}

/* What is missing in the store yields to what is there. */
static void drop_displaced(struct batch *b, const struct endpoint *by)
{
	struct endpoint *ep, *tmp;

	list_for_each_safe (ep, tmp, &by->network->endpoints, in_network)
		if (ep->missing && (ip_eq(&ep->ip4, &by->ip4) || ip_eq(&ep->ip6, &by->ip6) ||
				    mac_eq(&ep->mac, &by->mac) || streq(ep->name, by->name)))
			drop_peer(b, ep);
}

/* value NULL: it is gone. What is ours is nobody else's to change. */
static void follow_endpoint(struct batch *b, const struct cluster_key *key, const json_t *value)
{
	struct endpoint *old = map_get(&b->e->model.endpoint_by_id, key->id), *ep = NULL;
	struct network *n = map_get(&b->e->model.network_by_id, key->network);
	struct cnm_error err = { 0 };
	const char *host = json_string_value(json_object_get(value, "Host"));
	bool ours = host && streq(host, b->e->engine_id);

	/* What is ours here or there and not both is the worker's to bring together. */
	if (old && !endpoint_is_remote(old)) {
		b->e->cluster->unsettled |= old->claimed != !!value;
		return;
	}
	b->e->cluster->unsettled |= ours;
	if (value && n && !ours &&
	    cluster_peer_decode(key->id, n, value, &b->e->env, &ep, &err) < 0)
		log_warn("the cluster's store has a broken endpoint %.12s: %s", key->id, err.text);
	if (old && ep && is_same(old, ep)) {
		old->missing = 0;
		endpoint_free(ep);
		return;
	}
	if (old)
		drop_peer(b, old);
	if (!ep)
		return;
	drop_displaced(b, ep);
	add_peer(b, ep);
}

/* ---- networks */

static void add_network(struct batch *b, const char *id, const json_t *value)
{
	struct cnm_error err = { 0 };
	struct network *n = NULL;
	int r = cluster_network_decode(id, value, &b->e->env, &n, &err);

	if (r == 0) {
		n->state = OBJ_READY;
		r = model_add_network(&b->e->model, n);
		if (r == -EEXIST)
			cnm_error_set(&err, CNM_E_CONFLICT,
				      "a network of this host has that name: remove or rename one");
	}
	if (r < 0) {
		log_warn("network \"%s\" (%.12s) of the cluster is left out: %s", n ? n->name : "",
			 id, err.text[0] ? err.text : "out of memory");
		network_free(n);
		return;
	}
	note_id(b, &b->added, n->id);
	if (n->plugin)
		agent_start(b->e, n->plugin);
	tx_put_network(&b->tx, n, STORE_READY, true);
	events_network(b->e->events, "create", n, NULL);
}

/* It is in use here: its keys will be put back. */
static bool is_held(const struct network *n)
{
	const struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network)
		if (ep->claimed || ep->missing || (ep->sandbox && ep->sandbox->busy))
			return true;
	return n->state != OBJ_READY;
}

/* The endpoints of stopped sandboxes go with it, as they do when it is removed here. */
static void drop_network(struct batch *b, struct network *n)
{
	struct endpoint *ep, *tmp;

	if (is_held(n))
		return;
	list_for_each_safe (ep, tmp, &n->endpoints, in_network)
		drop_peer(b, ep);
	events_network(b->e->events, "destroy", n, NULL);
	store_tx_delete(b->tx, STORE_NETWORK, n->id);
	model_del_network(&b->e->model, n);
	b->e->cluster->unsettled = b->wake = true; /* another may have been left out for its name */
}

static bool is_abandoned(const struct engine_cluster *c, const char *id)
{
	for (unsigned i = 0; i < 32; i++)
		if (streq(c->abandoned[i], id))
			return true;
	return false;
}

/* By this host: late news of what is gone from the model already. */
static bool is_being_removed(const struct batch *b, const json_t *value)
{
	const char *by = json_string_value(json_object_get(value, "Removing"));

	return by && streq(by, b->e->engine_id);
}

static void follow_network(struct batch *b, const struct cluster_key *key, const json_t *value)
{
	struct network *n = map_get(&b->e->model.network_by_id, key->id);

	if (n && !value)
		drop_network(b, n);
	else if (!n && value && is_abandoned(b->e->cluster, key->id))
		b->e->cluster->unsettled = true;
	else if (!n && value && !is_being_removed(b, value))
		add_network(b, key->id, value);
}

/* ---- hosts */

static void follow_alive(struct batch *b, const struct cluster_key *key, bool alive)
{
	const struct network *n;
	const struct endpoint *ep;
	bool told;

	if (cluster_host_follow(b->e->cluster, key->id, alive, &told) < 0)
		b->failed = true;
	if (!told)
		return;
	list_for_each (n, &b->e->model.networks, node)
		list_for_each (ep, &n->endpoints, in_network)
			if (streq(ep->host, key->id))
				note_id(b, &b->named, ep->id);
}

/* ---- a batch */

static void publish_names(struct batch *b)
{
	for (size_t i = 0; i < b->named.n; i++) {
		const struct endpoint *ep = map_get(&b->e->model.endpoint_by_id, b->named.v[i]);

		if (ep && cluster_host_is_told(b->e->cluster, ep->host) &&
		    publish_endpoint(b->e, ep) < 0)
			log_warn("publish the names of %s: out of memory", ep->name);
	}
}

static void carry_out(struct batch *b)
{
	struct cnm_error err = { 0 };

	if (!b->failed && change_prepare(&b->c, &err) == 0 && b->c.diff.n &&
	    applier_run(b->e->applier, &b->c.diff, &err) < 0)
		log_warn("follow the cluster: %s; it is compared", err.text);
	if (b->failed || err.text[0])
		reconcile_all(b->e);
}

static void begin(struct batch *b, struct cnm_engine *e)
{
	*b = (struct batch){ .e = e, .tx = store_tx_new(e->store) };
	pthread_mutex_lock(&e->cluster->following);
	pthread_mutex_lock(&e->lock);
}

/* Locks held on entry, and not on exit. Names are the last: who asks for one then reaches it. */
static void finish(struct batch *b)
{
	/* Queued before any request that builds on it can queue its own rows. */
	store_commit_later(b->e->store, b->tx);
	pthread_cond_broadcast(&b->e->changed);
	pthread_mutex_unlock(&b->e->lock);
	carry_out(b);
	pthread_mutex_lock(&b->e->lock);
	publish_names(b);
	pthread_mutex_unlock(&b->e->lock);
	pthread_mutex_unlock(&b->e->cluster->following);
	change_free(&b->c);
	free(b->named.v);
	free(b->added.v);
	if (b->wake)
		cluster_wake(b->e->cluster);
	if (b->hosts)
		agents_wake(b->e);
}

/* ... that is not ours any more: we were lost, and another took it. */
static bool is_name_of_ours(const struct batch *b, const struct cluster_key *key,
			    const json_t *value)
{
	const struct network *n = map_get(&b->e->model.network_by_id, key->network);
	const struct endpoint *ep = n ? network_endpoint_by_name(n, key->id) : NULL;

	return ep && ep->claimed &&
	       !(json_is_string(value) && streq(json_string_value(value), ep->id));
}

static void follow(struct batch *b, const struct cluster_key *key, const json_t *value)
{
	switch (key->kind) {
	case CLUSTER_NETWORK:
		follow_network(b, key, value);
		break;
	case CLUSTER_ENDPOINT:
		follow_endpoint(b, key, value);
		break;
	case CLUSTER_ALIVE:
		follow_alive(b, key, value);
		b->hosts = true;
		break;
	case CLUSTER_TOMBSTONE:
		b->e->cluster->unsettled |= value && map_get(&b->e->model.endpoint_by_id, key->id);
		break;
	case CLUSTER_HOST:
		b->hosts = true;
		b->e->cluster->entered &= value || !streq(key->id, b->e->engine_id);
		break;
	case CLUSTER_NAME:
		b->e->cluster->unsettled |= is_name_of_ours(b, key, value);
		break;
	case CLUSTER_CLAIMS:
	case CLUSTER_ADDRESS:
	case CLUSTER_N_KINDS:
		break;
	}
}

static bool follow_one(void *arg, const struct cluster_key *key, const char *text)
{
	_json_ json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	follow(arg, key, value ? value : json_null());
	return true;
}

/* The endpoints of networks that were not known when they came. */
static void follow_added(struct batch *b)
{
	for (size_t i = 0; i < b->added.n; i++)
		cluster_copy_each(b->e->cluster->copy, CLUSTER_ENDPOINT, b->added.v[i], follow_one,
				  b);
}

static void changed(void *arg, const struct kv_entry *v, size_t n)
{
	struct cnm_engine *e = arg;
	bool failed = cluster_copy_changed(e->cluster->copy, v, n) < 0;
	struct batch b;

	begin(&b, e);
	b.failed = failed;
	b.wake = true;
	/* Networks first: what comes with one transaction is in no order. */
	for (int networks = 1; networks >= 0; networks--) {
		for (size_t i = 0; i < n; i++) {
			_json_ json_t *value = NULL;
			struct cluster_key key;

			if (!cluster_key_parse(&key, v[i].key) ||
			    (key.kind == CLUSTER_NETWORK) != networks)
				continue;
			value = cluster_copy_get(e->cluster->copy, v[i].key, NULL);
			follow(&b, &key, value);
		}
		if (networks)
			follow_added(&b);
	}
	finish(&b);
}

/* ---- everything there is */

/* The lock of the copy is taken below the engine's, and nothing that follows a change waits. */
static void follow_kind(struct batch *b, enum cluster_kind kind)
{
	cluster_copy_each(b->e->cluster->copy, kind, NULL, follow_one, b);
}

static bool is_in_store(struct batch *b, enum cluster_kind kind, const char *network,
			const char *id)
{
	char key[KV_KEY_MAX + 1];

	return cluster_copy_version(b->e->cluster->copy, cluster_key_make(key, kind, network, id));
}

static void note_missing(struct batch *b, struct network *n)
{
	struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network) {
		if (!endpoint_is_remote(ep) || ep->missing ||
		    is_in_store(b, CLUSTER_ENDPOINT, n->id, ep->id))
			continue;
		ep->missing = clock_mono_ns();
		b->e->cluster->any_missing = true;
	}
}

/* What is not there any more: endpoints of others stay for a while. */
static void drop_others(struct batch *b)
{
	struct network *n, *next;

	list_for_each_safe (n, next, &b->e->model.networks, node) {
		note_missing(b, n);
		if (network_is_global(n) && n->state == OBJ_READY &&
		    !is_in_store(b, CLUSTER_NETWORK, NULL, n->id))
			drop_network(b, n);
	}
}

/* Hosts that have endpoints and do not live: some of them may never have been heard of. */
static void follow_lost_hosts(struct batch *b)
{
	struct cluster_key key = { .kind = CLUSTER_ALIVE };
	const struct network *n;
	const struct endpoint *ep;

	for (size_t i = 0; i < b->e->cluster->n_hosts; i++) {
		memcpy(key.id, b->e->cluster->hosts[i].id, ID_SIZE);
		if (!is_in_store(b, CLUSTER_ALIVE, NULL, key.id))
			follow_alive(b, &key, false);
	}
	list_for_each (n, &b->e->model.networks, node) {
		list_for_each (ep, &n->endpoints, in_network) {
			memcpy(key.id, ep->host, ID_SIZE);
			if (endpoint_is_remote(ep) &&
			    !is_in_store(b, CLUSTER_ALIVE, NULL, ep->host))
				follow_alive(b, &key, false);
		}
	}
}

static void all(void *arg, const struct kv_entry *v, size_t n)
{
	struct cnm_engine *e = arg;
	bool failed = cluster_copy_all(e->cluster->copy, v, n) < 0;
	struct batch b;

	begin(&b, e);
	b.failed = failed;
	b.wake = true;
	drop_others(&b);
	follow_kind(&b, CLUSTER_NETWORK);
	follow_kind(&b, CLUSTER_ALIVE);
	follow_kind(&b, CLUSTER_ENDPOINT);
	follow_lost_hosts(&b);
	e->cluster->followed = clock_mono_ns();
	e->cluster->unsettled = true;
	e->cluster->entered &= is_in_store(&b, CLUSTER_HOST, NULL, e->engine_id);
	finish(&b);
}

static bool drop_missing_of(struct batch *b, struct network *n)
{
	uint64_t now = clock_mono_ns();
	struct endpoint *ep, *tmp;
	bool any = false;

	list_for_each_safe (ep, tmp, &n->endpoints, in_network) {
		if (ep->missing && now >= cluster_missing_until(b->e->cluster, ep))
			drop_peer(b, ep);
		else
			any |= ep->missing != 0;
	}
	return any;
}

void cluster_drop_missing(struct cnm_engine *e)
{
	struct network *n, *next;
	bool any = false;
	struct batch b;

	begin(&b, e);
	if (e->cluster->any_missing)
		list_for_each_safe (n, next, &e->model.networks, node) {
			any |= drop_missing_of(&b, n);
			if (network_is_global(n) && !is_in_store(&b, CLUSTER_NETWORK, NULL, n->id))
				drop_network(&b, n);
		}
	e->cluster->any_missing = any;
	finish(&b);
}

void cluster_forget_network(struct cnm_engine *e, const char *id)
{
	struct network *n;
	struct batch b;

	begin(&b, e);
	n = map_get(&e->model.network_by_id, id);
	if (n)
		drop_network(&b, n);
	finish(&b);
}

void cluster_follow_networks(struct cnm_engine *e)
{
	struct batch b;

	begin(&b, e);
	follow_kind(&b, CLUSTER_NETWORK);
	follow_added(&b);
	finish(&b);
}

static void reached(void *arg, bool yes, const char *why)
{
	struct cnm_engine *e = arg;

	pthread_mutex_lock(&e->lock);
	if (yes && !e->cluster->reached)
		e->cluster->heard = clock_mono_ns();
	e->cluster->reached = yes;
	str_copy(e->cluster->why, sizeof(e->cluster->why), yes ? "" : why);
	pthread_mutex_unlock(&e->lock);
	if (yes)
		log_info("the cluster's store is reached");
	else
		log_warn("the cluster's store is not reached: %s; what is there goes on", why);
	cluster_wake(e->cluster);
}

const struct kv_watcher cluster_watcher = { .all = all, .changed = changed, .reached = reached };
