/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This host's part in a cluster: what it claims in the store for its own networks and endpoints,
 * and what it makes of those of others (docs/CLUSTER.md).
 *
 * Two threads come here besides those of requests. The store's tells of changes (cluster_follow.c):
 * they go into the copy, into the model, into the kernel, and to the resolver, in this order. The
 * worker (cluster.c) does what has to wait for the store and for nobody's request: entering,
 * settling after the store was away, expiring hosts that are lost.
 */
#ifndef CONTROLLER_CLUSTER_H
#define CONTROLLER_CLUSTER_H

#include "cluster/claims.h"
#include "controller/cluster_options.h"
#include "controller/engine.h"

#define CLUSTER_MS 5000 /* for what asks the store */

struct engine_cluster {
	struct cluster_options options;
	struct kv *kv;
	struct cluster_copy *copy;
	struct cluster store; /* the three above, as the protocol takes them */
	pthread_t worker;
	int wake; /* eventfd */
	/*
	 * Held from a look at the model to the end of the run that follows from it, before the
	 * engine's lock, by the two threads that follow the store: as the applier's turn, it keeps
	 * changes in their order.
	 */
	pthread_mutex_t following;

	/* with the engine's lock */
	bool reached, entered, stopping;
	uint64_t heard;    /* monotonic ns; the store was reached after it had not been */
	uint64_t followed; /* monotonic ns; all() came last. 0: what is known is what was on disk */
	bool unsettled;    /* what is ours here and in the store may differ */
	bool any_missing;  /* endpoints of others may be missing in the store */
	char why[256];     /* the store is not reached */
	struct cluster_host {
		char id[ID_SIZE];
		uint64_t since; /* monotonic ns; it is lost. 0: its daemon runs */
		uint64_t tried; /* when its endpoints were removed last; 0: never */
		bool told;      /* its names are */
	} * hosts;
	size_t n_hosts;
	/* Networks that somebody was told could not be made: should they appear, they go. */
	char abandoned[32][ID_SIZE];
	unsigned n_abandoned; /* ever; the oldest are overwritten */
};

/* ---- life. Without a store nothing is started, and e->cluster stays NULL. */
int cluster_start(struct cnm_engine *e, struct cluster_options *o /* taken */,
		  struct cnm_error *err);
void cluster_stop(struct cnm_engine *e);
/* There is something to do for the worker. Any thread. */
void cluster_wake(struct engine_cluster *c);
/* What is ours here and in the store may differ: the worker sees to it. Without the lock; with it.
 */
void cluster_unsettle(struct cnm_engine *e);
void cluster_note_unsettled(struct cnm_engine *e);
/* What GET /info says. */
void cluster_describe(struct cnm_engine *e, json_t *info);
/* What of ours and the store's disagrees, and whether it is reached: a sentence each. */
void cluster_doctor(struct cnm_engine *e, json_t *notes);

/* ---- cluster_claim.c: for requests */

/* Refuses a network of global scope where there is no cluster, in Docker's words. */
int cluster_check(const struct cnm_engine *e, const struct network *n, struct cnm_error *err);
/*
 * Lock held on entry and exit, let go meanwhile. The network is CREATING; its VXLAN id is then
 * among its facts. 0 at once for one that is not global. If it fails since a pool that was chosen
 * for it is another's by now, ret_other is that one: another choice may do.
 */
int cluster_claim_network(struct cnm_engine *e, struct network *n, struct cnm_prefix *ret_other,
			  struct cnm_error *err);
int cluster_drop_network(struct cnm_engine *e, const struct network *n, struct cnm_error *err);
/*
 * Lock held on entry and exit, let go meanwhile; the sandbox is busy then. Claims what its global
 * endpoints have, those that were not yet. Addresses that were not asked for may be others
 * afterwards. On failure some may be claimed: those
 * that are not to be any more are the caller's to say so of, or to remove.
 */
int cluster_claim_sandbox(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err);
/* The same for one that is in no sandbox. */
int cluster_claim_endpoint(struct cnm_engine *e, struct endpoint *ep, struct cnm_error *err);
/*
 * Lock held on entry and exit, let go meanwhile; the sandbox is busy and has its new name already.
 * On failure the old one is to be given back, which the worker then tells the store.
 */
int cluster_rename_sandbox(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err);
/*
 * Without the lock: takes out of the store what was claimed for endpoints that are not there any
 * more. ms: the deadline for each.
 */
int cluster_drop_stale(struct cnm_engine *e, unsigned ms, struct cnm_error *err);
/* The same for networks that were not to be. */
void cluster_drop_abandoned(struct cnm_engine *e);
/*
 * The same at the end of a request, which leaves to the worker what does not go at once: a sandbox
 * is free whether the store is reached or not.
 */
void cluster_afterwards(struct cnm_engine *e);
/*
 * Lock held on entry and exit, let go meanwhile. An endpoint of another host, removed by force: it
 * leaves a tombstone for that one. Without force it is refused.
 */
int cluster_evict_endpoint(struct cnm_engine *e, const struct endpoint *ep, bool force,
			   struct cnm_dry_run *dry, struct cnm_error *err);

/* ---- cluster_hosts.c: all with the lock held, but for the work */

/* Those that are known from disk count as told of, until the store has been heard. -ENOMEM. */
int cluster_hosts_restore(struct cnm_engine *e);
/* ret_told: its names are to be told from now on. -ENOMEM. */
int cluster_host_follow(struct engine_cluster *c, const char *id, bool alive, bool *ret_told);
bool cluster_host_is_up(const struct engine_cluster *c, const char *id); /* its daemon runs */
/* When an endpoint that is missing in the store goes, monotonic ns. */
uint64_t cluster_missing_until(const struct engine_cluster *c, const struct endpoint *ep);
/* An endpoint of the network has the name, and is not one of a host that is lost. */
bool cluster_name_is_taken(const struct cnm_engine *e, const struct network *n, const char *name);
bool cluster_host_is_told(const struct engine_cluster *c, const char *id);
/* For how many seconds it has been lost; 0: it is up. */
unsigned cluster_host_lost_s(const struct engine_cluster *c, const char *id);
/* For the worker: what is due for hosts that are lost, and when the next is; -1: nothing. */
void cluster_hosts_work(struct cnm_engine *e);
int cluster_hosts_wait_ms(const struct cnm_engine *e);

/* ---- cluster_follow.c: what the store says */
extern const struct kv_watcher cluster_watcher; /* arg: the engine */
/* Without the lock. A network that is not in the store, nor shall be: it goes, if nobody is on it.
 */
void cluster_forget_network(struct cnm_engine *e, const char *id);
/* Without the lock. Endpoints that are missing in the store for so long that they are not kept. */
void cluster_drop_missing(struct cnm_engine *e);
/*
 * Without the lock. Networks that were left out, since one of this host had their name, are tried
 * again.
 */
void cluster_follow_networks(struct cnm_engine *e);
/* ---- cluster_values.c: what is in the store */

/* A network and its VXLAN id (0: none yet) for the others; the caller's. NULL: no memory. */
json_t *cluster_network_body(const struct network *n);
uint32_t cluster_vxlan_id(const struct network *n);
/* An endpoint of ours as the others shall see it; the caller's. Lock held. NULL: no memory. */
json_t *cluster_endpoint_body(const struct cnm_engine *e, const struct endpoint *ep);
/* What others wrote, whatever it is: a network, or an endpoint of one, that can be here. */
int cluster_network_decode(const char *id, const json_t *value, const struct driver_env *env,
			   struct network **ret, struct cnm_error *err);
int cluster_peer_decode(const char *id, struct network *n, const json_t *value,
			const struct driver_env *env, struct endpoint **ret, struct cnm_error *err);

#endif
