/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This host's membership of a cluster: its life, and the worker. The worker waits for the store
 * where no request does: it enters the host, brings what is ours here and in the store together
 * after the store was away, and sees to hosts that are lost (cluster_hosts.c).
 */
#include "controller/cluster.h"
#include "kernel/netns.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#define TRY_AGAIN_MS 2000
#define EARLY_NS     3000000000u /* after all(), others may not have settled yet */

void cluster_wake(struct engine_cluster *c)
{
	eventfd_write(c->wake, 1);
}

void cluster_note_unsettled(struct cnm_engine *e)
{
	if (!e->cluster)
		return;
	e->cluster->unsettled = true;
	cluster_wake(e->cluster);
}

void cluster_unsettle(struct cnm_engine *e)
{
	LOCKED(&e->lock);
	cluster_note_unsettled(e);
}

/* ---- entering */

static void enter(struct cnm_engine *e)
{
	struct engine_cluster *c = e->cluster;
	struct cnm_error err = { 0 };
	char name[256] = "";
	int r;

	gethostname(name, sizeof(name) - 1);
	r = cluster_enter(&c->store, name, &c->options.address, c->options.grace_s, &err);
	if (r < 0) {
		log_warn("enter the cluster: %s; it is tried again", err.text);
		return;
	}
	pthread_mutex_lock(&e->lock);
	c->entered = true;
	pthread_mutex_unlock(&e->lock);
	log_info("this host is in the cluster at %s as %.12s", c->options.url, c->store.host);
}

/* ---- settling */

/* What this host has, as the protocol takes it; the texts are copies. */
struct own {
	struct cluster_own_network *networks;
	struct cluster_own_endpoint *endpoints;
	struct cnm_prefix (*pools)[NETWORK_MAX_POOLS];
	size_t n_networks, n_endpoints;
	bool failed;
};

static void own_free(struct own *o)
{
	for (size_t i = 0; i < o->n_networks; i++) {
		free((char *)o->networks[i].network.id);
		free((char *)o->networks[i].network.name);
		json_decref((json_t *)o->networks[i].network.body);
	}
	for (size_t i = 0; i < o->n_endpoints; i++) {
		free((char *)o->endpoints[i].endpoint.network_id);
		free((char *)o->endpoints[i].endpoint.id);
		free((char *)o->endpoints[i].endpoint.name);
		json_decref((json_t *)o->endpoints[i].endpoint.body);
	}
	free(o->networks);
	free(o->endpoints);
	free(o->pools);
}

static void note_endpoint(struct own *o, const struct cnm_engine *e, const struct endpoint *ep)
{
	struct cluster_endpoint *c = &o->endpoints[o->n_endpoints++].endpoint;

	*c = (struct cluster_endpoint){ .network_id = strdup(ep->network->id),
					.id = strdup(ep->id),
					.name = strdup(ep->name),
					.ip4 = ep->ip4,
					.ip6 = ep->ip6,
					.body = cluster_endpoint_body(e, ep) };
	o->failed |= !c->network_id || !c->id || !c->name || !c->body;
}

static void note_network(struct own *o, const struct network *n)
{
	struct cluster_network *c = &o->networks[o->n_networks].network;
	struct cnm_prefix *pools = o->pools[o->n_networks++];

	for (unsigned i = 0; i < n->n_pools; i++)
		pools[i] = n->pools[i].subnet;
	*c = (struct cluster_network){ .id = strdup(n->id),
				       .name = strdup(n->name),
				       .pools = pools,
				       .n_pools = n->n_pools,
				       .vxlan_id = cluster_vxlan_id(n),
				       .body = cluster_network_body(n) };
	o->failed |= !c->id || !c->name || !c->body;
}

/* Lock held. */
static void gather(struct own *o, const struct cnm_engine *e)
{
	const struct network *n;
	const struct endpoint *ep;
	size_t networks = 1, endpoints = 1;

	list_for_each (n, &e->model.networks, node) {
		networks++;
		list_for_each (ep, &n->endpoints, in_network)
			endpoints++;
	}
	o->networks = calloc(networks, sizeof(*o->networks));
	o->endpoints = calloc(endpoints, sizeof(*o->endpoints));
	o->pools = calloc(networks, sizeof(*o->pools));
	o->failed = !o->networks || !o->endpoints || !o->pools;
	if (o->failed)
		return;
	list_for_each (n, &e->model.networks, node) {
		if (!network_is_global(n) || n->state != OBJ_READY)
			continue;
		note_network(o, n);
		list_for_each (ep, &n->endpoints, in_network)
			if (ep->claimed && ep->state == OBJ_READY)
				note_endpoint(o, e, ep);
	}
}

static const char *const clashes[] = { [CLASH_NONE] = "",
				       [CLASH_NETWORK] = "its network is gone",
				       [CLASH_IPV4] = "another has its IPv4 address",
				       [CLASH_IPV6] = "another has its IPv6 address",
				       [CLASH_NAME] = "another has its name",
				       [CLASH_POOL] = "another has its addresses",
				       [CLASH_VXLAN] = "another has its VXLAN id",
				       [CLASH_BURIED] = "it was removed from another host" };

/* Another has what it had, or somebody removed it from elsewhere: it is taken off its network. */
static void take_off(struct cnm_engine *e, const struct cluster_own_endpoint *o)
{
	struct cnm_error err = { 0 };

	log_warn("endpoint %s (%.12s) is taken off its network: %s", o->endpoint.name,
		 o->endpoint.id, clashes[o->clash]);
	if (engine_withdraw_endpoint(e, o->endpoint.id, &err) < 0)
		log_err("take endpoint %s off its network: %s", o->endpoint.name, err.text);
}

static void give_up_network(struct cnm_engine *e, const struct cluster_own_network *o)
{
	log_warn("network %s (%.12s) is not put back into the cluster's store: %s (%.12s)",
		 o->network.name, o->network.id, clashes[o->clash], o->network.other_id);
	cluster_forget_network(e, o->network.id);
}

/*
 * What was lost to others goes; a tombstone goes last, so that a crash between finds it again. Who
 * has it may have it by an old backup only, and let go of it when he settles: `lost` is not given
 * up before that.
 */
static void give_up(struct cnm_engine *e, const struct own *o, bool lost)
{
	for (size_t i = 0; i < o->n_endpoints; i++)
		if (o->endpoints[i].fate == FATE_BURIED ||
		    (lost && o->endpoints[i].fate == FATE_LOST))
			take_off(e, &o->endpoints[i]);
	for (size_t i = 0; i < o->n_networks && lost; i++)
		if (o->networks[i].fate == FATE_LOST)
			give_up_network(e, &o->networks[i]);
}

static bool any_lost(const struct own *o)
{
	for (size_t i = 0; i < o->n_endpoints; i++)
		if (o->endpoints[i].fate == FATE_LOST)
			return true;
	return false;
}

/* 1: to be done again, without haste. */
static int bring_together(struct cnm_engine *e, struct own *o, bool early, struct cnm_error *err)
{
	const struct engine_cluster *c = e->cluster;
	int r = o->failed ? cnm_error_errno(err, ENOMEM, "list what is ours") : 0;

	if (r == 0)
		r = cluster_drop_stale(e, CLUSTER_MS, err);
	cluster_drop_abandoned(e);
	cluster_follow_networks(e);
	if (r == 0)
		r = cluster_settle(&c->store, o->networks, o->n_networks, o->endpoints,
				   o->n_endpoints, err);
	give_up(e, o, !early);
	return r == 0 && early && any_lost(o) ? 1 : r;
}

static void settle(struct cnm_engine *e)
{
	_cleanup_(own_free) struct own o = { 0 };
	struct cnm_error err = { 0 };
	bool early;
	int r;

	pthread_mutex_lock(&e->lock);
	e->cluster->unsettled = false;
	early = clock_mono_ns() - e->cluster->followed < EARLY_NS;
	gather(&o, e);
	pthread_mutex_unlock(&e->lock);
	r = bring_together(e, &o, early, &err);
	if (r == 0)
		return;
	if (r < 0)
		log_warn("agree with the cluster's store: %s; it is tried again", err.text);
	pthread_mutex_lock(&e->lock);
	e->cluster->unsettled = true; /* not at once: the worker is not woken */
	pthread_mutex_unlock(&e->lock);
}

/* ---- the worker */

/* What there is to do, and for how long to wait if nothing comes. */
struct work {
	bool stop, enter, settle, hosts;
	int timeout;
};

static struct work look(struct cnm_engine *e)
{
	const struct engine_cluster *c = e->cluster;
	struct work w;
	LOCKED(&e->lock);

	w = (struct work){ .stop = c->stopping,
			   .enter = c->reached && !c->entered,
			   .settle = c->reached && c->followed && c->unsettled,
			   .hosts = c->reached && c->followed };
	w.timeout = w.enter || w.settle ? TRY_AGAIN_MS : w.hosts ? cluster_hosts_wait_ms(e) : -1;
	return w;
}

static void *work(void *arg)
{
	struct cnm_engine *e = arg;
	struct pollfd p = { .fd = e->cluster->wake, .events = POLLIN };

	for (;;) {
		struct work w = look(e);
		eventfd_t n;

		if (w.stop)
			return NULL;
		if (w.enter)
			enter(e);
		if (w.settle)
			settle(e);
		if (w.hosts)
			cluster_hosts_work(e);
		w = look(e);
		if (poll(&p, 1, w.stop ? 0 : w.timeout) > 0)
			eventfd_read(p.fd, &n);
	}
}

/* ---- life */

static int start_parts(struct cnm_engine *e, struct cnm_error *err)
{
	struct engine_cluster *c = e->cluster;
	int r;

	pthread_mutex_init(&c->following, NULL);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->copy = cluster_copy_new();
	if (c->wake < 0 || !c->copy)
		return cnm_error_errno(err, c->copy ? errno : ENOMEM, "cluster");
	r = kv_open(&c->kv,
		    &(struct kv_options){ .url = c->options.url,
					  .cacertfile = c->options.cacertfile,
					  .certfile = c->options.certfile,
					  .keyfile = c->options.keyfile,
					  .ttl_s = c->options.ttl_s,
					  .watcher = &cluster_watcher,
					  .arg = e },
		    err);
	if (r < 0)
		return r;
	c->store = (struct cluster){
		.kv = c->kv, .copy = c->copy, .host = e->engine_id, .ms = CLUSTER_MS
	};
	r = -pthread_create(&c->worker, NULL, work, e);
	if (r < 0) {
		kv_close(take_ptr(c->kv));
		return cnm_error_errno(err, r, "start the cluster's worker");
	}
	return 0;
}

static void free_parts(struct engine_cluster *c)
{
	cluster_copy_free(c->copy);
	pthread_mutex_destroy(&c->following);
	close_fd(&c->wake);
	cluster_options_free(&c->options);
	free(c->hosts);
	free(c);
}

int cluster_start(struct cnm_engine *e, struct cluster_options *o, struct cnm_error *err)
{
	struct engine_cluster *c;
	int r;

	if (!o->url)
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return cnm_error_errno(err, ENOMEM, "cluster");
	c->options = *o;
	memset(o, 0, sizeof(*o));
	str_copy(c->why, sizeof(c->why), "it has not answered yet");
	e->cluster = c;
	pthread_mutex_lock(&e->lock);
	r = cluster_hosts_restore(e);
	pthread_mutex_unlock(&e->lock);
	r = r < 0 ? cnm_error_errno(err, r, "cluster") : start_parts(e, err);
	if (r < 0) {
		e->cluster = NULL;
		free_parts(c);
	}
	return r;
}

void cluster_stop(struct cnm_engine *e)
{
	struct engine_cluster *c = e->cluster;

	if (!c)
		return;
	pthread_mutex_lock(&e->lock);
	c->stopping = true;
	pthread_mutex_unlock(&e->lock);
	cluster_wake(c);
	pthread_join(c->worker, NULL); /* what it asks of the store has a deadline */
	kv_close(c->kv);
	e->cluster = NULL;
	free_parts(c);
}

void cluster_describe(struct cnm_engine *e, json_t *info)
{
	const struct engine_cluster *c = e->cluster;
	char ip[IP_STR];

	if (!c)
		return;
	json_put(info, "ClusterStore", json_string(c->options.url));
	json_put(info, "ClusterAdvertise", json_string(ip_format(&c->options.address, ip)));
	json_put(info, "ClusterStoreReached", json_boolean(c->reached));
	json_put(info, "ClusterStoreError", json_string(c->why));
}

/* ---- doctor */

/*
 * The limit is of the whole machine, of what it looks up for itself: sandboxes that talk to many
 * others. What cnm puts there for good does not count.
 */
static void note_limit(json_t *notes, const char *family, unsigned n)
{
	char path[64], text[16];
	long limit;

	snprintf(path, sizeof(path), "net/%s/neigh/default/gc_thresh3", family);
	if (sysctl_read(SYSCTL_HOME, path, text, sizeof(text), NULL) < 0 ||
	    str_to_long(text, 0, INT_MAX, &limit) < 0 || n <= (unsigned long)limit)
		return;
	json_push(notes, json_sprintf("the networks of the cluster have %u endpoints here, and the "
				      "kernel keeps %ld neighbours: sysctl -w "
				      "net.%s.neigh.default.gc_thresh3=%u",
				      n, limit, family, 2 * n));
}

static void note_limits(const struct cnm_engine *e, json_t *notes)
{
	const struct network *n;
	const struct endpoint *ep;
	unsigned ip4 = 0, ip6 = 0;

	list_for_each (n, &e->model.networks, node) {
		if (!network_is_global(n) || !network_is_present(n))
			continue;
		list_for_each (ep, &n->endpoints, in_network) {
			ip4 += ip_is_set(&ep->ip4);
			ip6 += ip_is_set(&ep->ip6);
		}
	}
	note_limit(notes, "ipv4", ip4);
	note_limit(notes, "ipv6", ip6);
}

static void compare_endpoint(struct cnm_engine *e, const struct endpoint *ep, json_t *notes)
{
	char key[KV_KEY_MAX + 1];
	bool there = cluster_copy_version(
		e->cluster->copy, cluster_key_make(key, CLUSTER_ENDPOINT, ep->network->id, ep->id));

	if (ep->claimed && !there)
		json_push(notes, json_sprintf("endpoint %s of network %s is not in the cluster's "
					      "store: other hosts do not reach it",
					      ep->name, ep->network->name));
	else if (endpoint_is_remote(ep) && !there)
		json_push(notes, json_sprintf("endpoint %s of network %s, on another host, is not "
					      "in the cluster's store any more",
					      ep->name, ep->network->name));
}

/* The lock of the copy is taken below the engine's. */
void cluster_doctor(struct cnm_engine *e, json_t *notes)
{
	const struct network *n;
	const struct endpoint *ep;
	LOCKED(&e->lock);

	if (!e->cluster)
		return;
	note_limits(e, notes);
	if (!e->cluster->reached) {
		json_push(notes, json_sprintf("the cluster's store %s is not reached: %s",
					      e->cluster->options.url, e->cluster->why));
		return;
	}
	list_for_each (n, &e->model.networks, node)
		list_for_each (ep, &n->endpoints, in_network)
			if (network_is_global(n) && ep->state == OBJ_READY)
				compare_endpoint(e, ep, notes);
}
