/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What requests claim in the cluster's store, and give back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "controller/cluster.h"
#include "model/codec.h"

#define NS_PER_S      1000000000
#define TOMBSTONE_S   (30 * 86400)
#define AFTERWARDS_MS 500 /* nobody waits longer for what the worker can do as well */
#define TRIES         5   /* of addresses that others were faster to take */

int cluster_check(const struct cnm_engine *e, const struct network *n, struct cnm_error *err)
{
	if (!network_is_global(n) || e->cluster)
		return 0;
	return cnm_error_set(err, CNM_E_INTERNAL,
			     "datastore for scope \"global\" is not initialized: start cnmd with "
			     "--cluster-store and --cluster-advertise");
}

/* ---- networks */

static int set_vxlan(struct network *n, uint32_t id)
{
	if (!n->facts)
		n->facts = json_object();
	return json_put(n->facts, "vxlan_id", json_integer(id));
}

static void abandon(struct engine_cluster *c, const char *id)
{
	memcpy(c->abandoned[c->n_abandoned++ % 32], id, ID_SIZE);
}

void cluster_drop_abandoned(struct cnm_engine *e)
{
	struct engine_cluster *c = e->cluster;
	char ids[32][ID_SIZE], key[KV_KEY_MAX + 1];
	struct cnm_error err = { 0 };

	pthread_mutex_lock(&e->lock);
	memcpy(ids, c->abandoned, sizeof(ids));
	pthread_mutex_unlock(&e->lock);
	for (unsigned i = 0; i < 32; i++)
		if (ids[i][0] &&
		    cluster_copy_version(c->copy,
					 cluster_key_make(key, CLUSTER_NETWORK, NULL, ids[i])) &&
		    cluster_remove_network(&c->store, ids[i], &err) < 0)
			log_warn("remove network %.12s, of which was said that it could not be "
				 "made: %s",
				 ids[i], err.text);
}

/* A pool that nobody asked for. */
static bool was_chosen(const struct network *n, const struct cnm_prefix *other)
{
	for (unsigned i = 0; i < n->n_pools; i++)
		if (prefix_overlaps(&n->pools[i].subnet, other))
			return n->pools[i].chosen;
	return false;
}

int cluster_claim_network(struct cnm_engine *e, struct network *n, struct cnm_prefix *ret_other,
			  struct cnm_error *err)
{
	struct cnm_prefix pools[NETWORK_MAX_POOLS];
	enum cluster_clash clash = CLASH_NONE;
	_json_ json_t *body = NULL;
	struct cluster_network claim;
	int r = cluster_check(e, n, err);

	if (r < 0 || !network_is_global(n))
		return r;
	body = cluster_network_body(n);
	if (!body)
		return cnm_error_errno(err, ENOMEM, "claim network \"%s\"", n->name);
	for (unsigned i = 0; i < n->n_pools; i++)
		pools[i] = n->pools[i].subnet;
	claim = (struct cluster_network){ .id = n->id,
					  .name = n->name,
					  .pools = pools,
					  .n_pools = n->n_pools,
					  .vxlan_id = cluster_vxlan_id(n),
					  .body = body };
	pthread_mutex_unlock(&e->lock);
	r = cluster_make_network(&e->cluster->store, &claim, &clash, err);
	pthread_mutex_lock(&e->lock);
	if (r < 0 && clash == CLASH_NONE)
		abandon(e->cluster, n->id);
	if (clash == CLASH_POOL && was_chosen(n, &claim.other))
		*ret_other = claim.other;
	if (r == 0 && set_vxlan(n, claim.vxlan_id) < 0)
		r = cnm_error_errno(err, ENOMEM, "claim network \"%s\"", n->name);
	return r;
}

int cluster_drop_network(struct cnm_engine *e, const struct network *n, struct cnm_error *err)
{
	int r;

	if (!e->cluster || !network_is_global(n))
		return 0;
	pthread_mutex_unlock(&e->lock);
	r = cluster_remove_network(&e->cluster->store, n->id, err);
	pthread_mutex_lock(&e->lock);
	if (r < 0 && r != -ENOENT)
		cluster_note_unsettled(e); /* half way, perhaps */
	return r == -ENOENT ? 0 : r;       /* that is what was wanted */
}

/* ---- endpoints */

/* What a claim is made of, while the lock is let go. */
struct claim {
	struct cluster_endpoint endpoint;
	char network_id[ID_SIZE], id[ID_SIZE];
	char *name;
	json_t *body;
};

static void claim_free(struct claim *c)
{
	free(c->name);
	json_decref(c->body);
}

static int claim_make(const struct cnm_engine *e, const struct endpoint *ep, struct claim *c)
{
	memcpy(c->network_id, ep->network->id, ID_SIZE);
	memcpy(c->id, ep->id, ID_SIZE);
	c->name = strdup(ep->name);
	c->body = cluster_endpoint_body(e, ep);
	c->endpoint = (struct cluster_endpoint){ .network_id = c->network_id,
						 .id = c->id,
						 .name = c->name,
						 .ip4 = ep->ip4,
						 .ip6 = ep->ip6,
						 .body = c->body };
	return c->name && c->body ? 0 : -ENOMEM;
}

static bool is_known(const struct network *n, const struct cnm_ip *ip)
{
	const struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network)
		if (endpoint_is_remote(ep) && (ip_eq(&ep->ip4, ip) || ip_eq(&ep->ip6, ip)))
			return true;
	return false;
}

/*
 * Another host has this address: another one, from somewhere else, so that the next try is not a
 * race between the same two again.
 */
static int move_address(struct endpoint *ep, struct cnm_ip *ip, struct cnm_error *err)
{
	struct network_pool *p = network_pool_of(ep->network, ip);
	const struct cnm_prefix *range = prefix_is_set(&p->range) ? &p->range : &p->subnet;
	struct cnm_ip from = prefix_first(range);
	char digits[14] = "";
	int r;

	memcpy(digits, ep->id, 13);
	ip_add(&from, (int64_t)(strtoull(digits, NULL, 16) % prefix_size(range)));
	ipam_pool_set_cursor(p->taken, &from);
	if (!is_known(ep->network, ip))
		ipam_pool_release(p->taken, ip, true);
	r = ipam_pool_next(p->taken, ip);
	return r < 0 ? cnm_error_errno(err, r, "take another address on %s", ep->network->name) : 0;
}

static int resolve_clash(struct endpoint *ep, enum cluster_clash clash, int why,
			 struct cnm_error *err)
{
	if (clash == CLASH_IPV4 && !ep->fixed_ip4)
		return move_address(ep, &ep->ip4, err);
	if (clash == CLASH_IPV6 && !ep->fixed_ip6)
		return move_address(ep, &ep->ip6, err);
	return why;
}

int cluster_claim_endpoint(struct cnm_engine *e, struct endpoint *ep, struct cnm_error *err)
{
	int r = cluster_check(e, ep->network, err);

	if (r < 0 || !network_is_global(ep->network) || ep->claimed)
		return r;
	ep->claimed = true;
	for (unsigned i = 0;; i++) {
		_cleanup_(claim_free) struct claim c = { 0 };
		enum cluster_clash clash = CLASH_NONE;

		if (claim_make(e, ep, &c) < 0) {
			r = cnm_error_errno(err, ENOMEM, "claim endpoint %s", ep->name);
			break;
		}
		pthread_mutex_unlock(&e->lock);
		r = cluster_join(&e->cluster->store, &c.endpoint, &clash, err);
		pthread_mutex_lock(&e->lock);
		if (r < 0 && i < TRIES)
			r = resolve_clash(ep, clash, r, err);
		else
			clash = CLASH_NONE;
		if (r < 0 || clash == CLASH_NONE)
			break;
	}
	ep->claimed = r == 0;
	return r;
}

int cluster_claim_sandbox(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err)
{
	bool was_busy = sb->busy;
	struct endpoint *ep;
	int r = 0;

	sb->busy = true;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (r == 0)
			r = cluster_claim_endpoint(e, ep, err);
	sb->busy = was_busy;
	return r;
}

/* ---- giving back */

/* Keys of this host's: endpoints, and tombstones of such. */
struct stale {
	struct cluster_key *v;
	size_t n, cap;
	const char *host;
	bool failed;
};

/* Its host has not come back for it, and whoever does by now has nothing that it should not put
 * back. */
static bool is_old_tombstone(const struct cluster_key *key, const char *text)
{
	_json_ json_t *value = key->kind == CLUSTER_TOMBSTONE ? json_loads(text, 0, NULL) : NULL;
	json_int_t since = json_integer_value(json_object_get(value, "Since"));

	return since > 0 && clock_wall_ns() / NS_PER_S - since > TOMBSTONE_S;
}

static bool note_own(void *arg, const struct cluster_key *key, const char *text)
{
	struct stale *s = arg;
	_json_ json_t *value = strstr(text, s->host) ? json_loads(text, 0, NULL) : NULL;
	const char *host = json_string_value(json_object_get(value, "Host"));

	if ((!host || !streq(host, s->host)) && !is_old_tombstone(key, text))
		return true;
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		void *v = reallocarray(s->v, cap, sizeof(*s->v));

		s->failed = !v;
		if (!v)
			return false;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = *key;
	return true;
}

/* Lock held. An endpoint's id is claimed once, so what is not claimed now never will be again. */
static bool is_stale(const struct cnm_engine *e, const struct cluster_key *key)
{
	const struct endpoint *ep = map_get(&e->model.endpoint_by_id, key->id);

	return !ep || !ep->claimed;
}

static int drop(const struct cluster *c, const struct cluster_key *key, struct cnm_error *err)
{
	return key->kind == CLUSTER_TOMBSTONE ? cluster_bury(c, key->id, err)
					      : cluster_leave(c, key->network, key->id, err);
}

int cluster_drop_stale(struct cnm_engine *e, unsigned ms, struct cnm_error *err)
{
	const struct engine_cluster *c = e->cluster;
	struct cluster hurried = c->store;
	struct stale s = { .host = c->store.host };
	size_t n = 0;
	int r = 0;

	hurried.ms = ms;
	cluster_copy_each(c->copy, CLUSTER_ENDPOINT, NULL, note_own, &s);
	cluster_copy_each(c->copy, CLUSTER_TOMBSTONE, NULL, note_own, &s);
	if (s.failed)
		r = cnm_error_errno(err, ENOMEM, "list what is ours");
	pthread_mutex_lock(&e->lock);
	for (size_t i = 0; i < s.n; i++)
		if (is_stale(e, &s.v[i]))
			s.v[n++] = s.v[i];
	pthread_mutex_unlock(&e->lock);
	for (size_t i = 0; i < n && r == 0; i++)
		r = drop(&hurried, &s.v[i], err);
	free(s.v);
	return r;
}

void cluster_afterwards(struct cnm_engine *e)
{
	struct engine_cluster *c = e->cluster;
	bool later;

	if (!c)
		return;
	pthread_mutex_lock(&e->lock);
	later = !c->reached || c->unsettled;
	pthread_mutex_unlock(&e->lock);
	if (later || cluster_drop_stale(e, AFTERWARDS_MS, NULL) < 0)
		cluster_unsettle(e);
}

/* ---- renaming */

/* Lock held on entry and exit, let go meanwhile. */
static int rename_endpoint(struct cnm_engine *e, const struct endpoint *ep, struct cnm_error *err)
{
	_cleanup_(claim_free) struct claim c = { 0 };
	enum cluster_clash clash;
	int r;

	if (!ep->claimed)
		return 0;
	if (claim_make(e, ep, &c) < 0)
		return cnm_error_errno(err, ENOMEM, "rename endpoint %s", ep->name);
	pthread_mutex_unlock(&e->lock);
	r = cluster_change(&e->cluster->store, &c.endpoint, &clash, err);
	pthread_mutex_lock(&e->lock);
	return r;
}

int cluster_rename_sandbox(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err)
{
	const struct endpoint *ep;
	int r = 0;

	if (!e->cluster)
		return 0;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (r == 0)
			r = rename_endpoint(e, ep, err);
	if (r < 0)
		cluster_note_unsettled(e); /* some may have the new name already */
	return r;
}

/* ---- by force */

int cluster_evict_endpoint(struct cnm_engine *e, const struct endpoint *ep, bool force,
			   struct cnm_dry_run *dry, struct cnm_error *err)
{
	char network[ID_SIZE], id[ID_SIZE];
	int r = cluster_check(e, ep->network, err);

	if (r < 0)
		return r;
	if (!force)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "endpoint %s is on another host (%.12s): remove it there, or, "
				     "if that host is gone, with -f here",
				     ep->name, ep->host);
	if (dry) /* nothing of it is in the kernel by this host's doing alone */
		return (dry->plan = strdup("")) ? 0 : cnm_error_errno(err, ENOMEM, "plan");
	memcpy(network, ep->network->id, ID_SIZE);
	memcpy(id, ep->id, ID_SIZE);
	pthread_mutex_unlock(&e->lock);
	r = cluster_evict(&e->cluster->store, network, id, err);
	pthread_mutex_lock(&e->lock);
	return r;
}
