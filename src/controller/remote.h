/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Networks and addresses that are plugins' (docs/DRIVERS.md, "Plugins"): what requests ask of them.
 *
 * As with the cluster's store, a plugin is asked by the request, in its thread, before the kernel
 * is touched and with no lock held: the objects are entered as CREATING, or their sandbox is busy.
 * What it answers become facts of them, from which the driver plans. What a plugin must be told of
 * their end are debts (debts.h).
 */
#ifndef CONTROLLER_REMOTE_H
#define CONTROLLER_REMOTE_H

#include "controller/debts.h"
#include "controller/engine.h"
#include "plugins/plugins.h"

struct agent;

struct engine_remote {
	struct plugins *plugins;
	struct debts *debts;
	pthread_mutex_t lock; /* of the agents; taken below all others */
	struct list agents;
	bool stopping;
};

int remote_new(struct cnm_engine *e, const struct cnm_options *o, struct cnm_error *err);
/* After the model is restored: agents of those that have networks here. */
int remote_start(struct cnm_engine *e, struct cnm_error *err);
void remote_stop(struct cnm_engine *e);
void remote_free(struct cnm_engine *e);

/* At the end of a request, when the lock has been let go of: see AFTERWARDS. */
void remote_afterwards(struct cnm_engine *e);

/* ---- agents.c: a thread for each plugin that has a network here. It sees whether the plugin
 * answers, pays debts, and tells of the other hosts those that want to hear of them. */
void agent_start(struct cnm_engine *e, const char *plugin); /* if there is none yet */
void agent_wake(struct cnm_engine *e, const char *plugin);
/* The hosts of the cluster are others now. */
void agents_wake(struct cnm_engine *e);
/* Why a network does not work fully: its plugin does not answer. false: it does. Lock held. */
bool remote_is_degraded(const struct cnm_engine *e, const struct network *n, char *why,
			size_t size);
/* A sentence for each such network. */
void remote_doctor(struct cnm_engine *e, json_t *notes);

/* ---- remote_network.c */

/* What plugins said of a network that is to be. */
struct remote_network {
	char *plugin; /* whose network it will be; NULL: none's */
	char *ipam;   /* who gives its addresses: a plugin or "null"; NULL: cnm */
	bool global;
	char *space;          /* from which the IPAM plugin gave pools */
	bool skip_gateway[2]; /* IPv4, IPv6: no address is wanted for it */
	/* With an IPAM plugin: the request with the pools that it gave. */
	struct cnm_network_config config;
	struct remote_pools *pools;
	struct debt *debt; /* what takes back what was asked; NULL: nothing was */
};
/*
 * Without the lock: are the drivers plugins, and which pools do they give? routes: of the host's,
 * which a pool that nobody asked for should not overlap. Nothing if config names none.
 */
int remote_network_prepare(struct cnm_engine *e, const struct cnm_network_config *config,
			   const struct prefixes *routes, struct remote_network *ret,
			   struct cnm_error *err);
/* What is still owed is due. Without the lock. */
void remote_network_done(struct cnm_engine *e, struct remote_network *rn);
/* The id of the pool that a plugin gave, or NULL. */
const char *remote_pool_id(const struct remote_network *rn, const struct cnm_prefix *subnet);
/* Lock held on entry and exit, let go meanwhile; n is CREATING. */
int remote_network_create(struct cnm_engine *e, struct network *n, struct remote_network *rn,
			  struct cnm_error *err);
/*
 * Without the lock; n is REMOVING. A plugin that refuses keeps it; one that does not answer is told
 * later. gone: the transaction by which it ends.
 */
int remote_network_remove(struct cnm_engine *e, const struct network *n, struct store_tx **gone,
			  struct cnm_error *err);
/* At start: it was being removed. Its debts are entered, and written in tx. */
void remote_network_owe(struct cnm_engine *e, const struct network *n, struct store_tx **tx);

/* ---- remote_endpoint.c */

/*
 * Lock held on entry and exit, let go meanwhile; the sandbox is busy then. Addresses that are an
 * IPAM plugin's to give, for those of its endpoints that have none yet.
 */
int remote_give_addresses(struct cnm_engine *e, struct endpoint *ep, struct cnm_error *err);
/* The same: endpoints on networks of plugins are made there and joined. */
int remote_join_sandbox(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err);
/*
 * Without the lock, by the plugin's agent: where a sandbox has another way out by now, it is told
 * to publish ports, or not to any more. One of them; false: there is none.
 */
bool remote_turn(struct cnm_engine *e, const char *plugin);
/* What of an endpoint its plugin can be asked, when the lock has been let go; "" if it has none. */
struct remote_question {
	char plugin[128], network[ID_SIZE], id[ID_SIZE];
};
void remote_question(const struct endpoint *ep, struct remote_question *ret);
/* What the plugin says of it into o, as "OperInfo", if it answers. Without the lock. */
void remote_oper_info(struct cnm_engine *e, const struct remote_question *q, json_t *o);
/* It is in no sandbox any more, or not to be: what was said of that is forgotten. Lock held. */
void remote_forget_join(struct endpoint *ep);
/* As its row is then: to be encoded, and nothing else. */
struct endpoint remote_without_join(const struct endpoint *ep);
/*
 * The endpoint's debts, in a transaction: that it is there and joined, so that none remains; that
 * it leaves its sandbox; and, for_good, ends altogether.
 */
void remote_put_joined(struct cnm_engine *e, const struct endpoint *ep, struct store_tx *tx);
void remote_put_left(struct cnm_engine *e, const struct endpoint *ep, bool for_good,
		     struct store_tx **tx);

#endif
