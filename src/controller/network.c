/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Networks: create, remove, list, inspect, prune. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/cluster.h"
#include "controller/counters.h"
#include "controller/engine.h"
#include "controller/remote.h"

/* Who answered for forwarding before a request. */
struct forwarding {
	bool ours4, ours6;
};

/* cnm turns forwarding on with the first network that needs it; then it also answers for the rest.
 */
static void note_forwarding(struct cnm_engine *e, const struct network *n,
			    const struct network_facts *f, struct store_tx *tx)
{
	if (e->no_forwarding || n->internal || !n->driver->addresses || n->config_only ||
	    network_is_global(n) || n->driver->apart)
		return;
	if (n->ipv4 && !f->forwarding4 && !e->forward4_ours) {
		e->forward4_ours = true;
		store_tx_set_meta(tx, "forward4-boot", e->boot_id);
	}
	if (n->ipv6 && !f->forwarding6 && !e->forward6_ours) {
		e->forward6_ours = true;
		store_tx_set_meta(tx, "forward6-boot", e->boot_id);
	}
}

/* The network came to nothing: what was noted for it holds only if another needs forwarding too. */
static void unnote_forwarding(struct cnm_engine *e, const struct forwarding *was,
			      struct store_tx *tx)
{
	if (e->forward4_ours && !was->ours4 && !needs_forwarding(e, AF_INET)) {
		e->forward4_ours = false;
		store_tx_set_meta(tx, "forward4-boot", "");
	}
	if (e->forward6_ours && !was->ours6 && !needs_forwarding(e, AF_INET6)) {
		e->forward6_ours = false;
		store_tx_set_meta(tx, "forward6-boot", "");
	}
}

/* The host's part is included: the first network with a way out needs forwarding. */
static void plan_with_host(struct cnm_engine *e, const struct network *n, struct plan *p)
{
	plan_host(e, p);
	if (n)
		plan_network(e, n, p);
}

/* Lock held: enter the network, and plan. */
static int enter(struct cnm_engine *e, const struct cnm_network_config *config, bool predefined,
		 const struct network_facts *facts, struct store_tx **tx, struct change *c,
		 struct network **ret, char **ret_warning, struct cnm_error *err)
{
	struct network *n;
	int r = network_build(e, config, predefined, facts, &n, ret_warning, err);

	if (r < 0)
		return r;
	plan_host(e, &c->before);
	r = model_add_network(&e->model, n);
	if (r < 0) {
		network_free(n);
		return cnm_error_errno(err, r, "enter network \"%s\"", config->name);
	}
	*ret = n;
	note_forwarding(e, n, facts, *tx);
	plan_with_host(e, n, &c->after);
	return change_prepare(c, err);
}

/* Lock held. One of the cluster may have had its name, and been left out. */
static void free_name(struct cnm_engine *e, struct network *n)
{
	model_del_network(&e->model, n);
	cluster_note_unsettled(e);
}

/* Lock held: as if it had never been. The row, if there is one, goes too. */
static void forget(struct cnm_engine *e, struct network *n, const struct forwarding *was, bool row)
{
	struct store_tx *tx = store_tx_new(e->store);

	store_tx_delete(tx, STORE_NETWORK, n->id);
	free_name(e, n);
	unnote_forwarding(e, was, tx);
	if (row)
		store_commit_later(e->store, tx);
	else
		store_tx_free(tx);
	pthread_cond_broadcast(&e->changed);
}

static void mark_ready(struct cnm_engine *e, const char *id)
{
	struct store_tx *tx = store_tx_new(e->store);

	store_tx_set_state(tx, STORE_NETWORK, id, STORE_READY);
	store_commit(e->store, tx, STORE_NORMAL, NULL);
}

/* Lock held on entry and exit, let go meanwhile. It is on disk before the answer. */
static int settle(struct cnm_engine *e, struct network *n, struct change *c,
		  struct store_tx *enter_row, struct cnm_error *err)
{
	struct store_tx *ready = store_tx_new(e->store);
	int r;

	store_tx_set_state(ready, STORE_NETWORK, n->id, STORE_READY);
	debts_forgive(e, n->id, ready);
	pthread_mutex_unlock(&e->lock);
	r = change_carry_out(e, c, enter_row, ready, STORE_FULL, err);
	pthread_mutex_lock(&e->lock);
	if (r < 0)
		return r;
	n->state = OBJ_READY;
	events_network(e->events, "create", n, NULL);
	pthread_cond_broadcast(&e->changed);
	return 0;
}

/* ret_other: with another choice of pools, this one left out, it may go better. */
static int create(struct cnm_engine *e, const struct cnm_network_config *config, bool predefined,
		  const struct network_facts *facts, struct remote_network *remote,
		  struct cnm_dry_run *dry, char ret_id[CNM_ID_SIZE], char **ret_warning,
		  struct cnm_prefix *ret_other, struct cnm_error *err)
{
	_cleanup_(change_free) struct change c = { 0 };
	struct forwarding was;
	struct store_tx *row = store_tx_new(e->store);
	struct network *n = NULL;
	int r;
	LOCKED(&e->lock);

	was = (struct forwarding){ e->forward4_ours, e->forward6_ours };
	r = enter(e, config, predefined, facts, &row, &c, &n, ret_warning, err);
	if (r == 0 && dry)
		r = change_tell(&c, dry, err);
	else if (r == 0)
		r = cluster_claim_network(e, n, ret_other, err);
	if (r == 0 && !dry && (r = remote_network_create(e, n, remote, err)) < 0)
		cluster_drop_network(e, n, NULL);
	if (r < 0 || dry) {
		store_tx_free(row);
		if (n)
			forget(e, n, &was, false);
		return r;
	}
	tx_put_network(&row, n, STORE_CREATING, true);
	r = settle(e, n, &c, row, err);
	if (r < 0) {
		cluster_drop_network(e, n, NULL);
		forget(e, n, &was, true);
		return r;
	}
	memcpy(ret_id, n->id, CNM_ID_SIZE);
	return 0;
}

#define POOL_TRIES 32 /* hosts that make networks at the same time */

int engine_create_network(struct cnm_engine *e, const struct cnm_network_config *config,
			  bool predefined, struct cnm_dry_run *dry, char ret_id[CNM_ID_SIZE],
			  char **ret_warning, struct cnm_error *err)
{
	_cleanup_(network_facts_free) struct network_facts facts = { 0 };
	struct remote_network remote = { 0 };
	_free_ char *warning = NULL;
	int r = network_facts_gather(e, config, &facts, err);
	AFTERWARDS(e);

	if (r == 0 && !predefined) {
		r = remote_network_prepare(e, config, &facts.routes, &remote, err);
		facts.remote = &remote;
	}
	if (remote.pools)
		config = &remote.config;
	for (unsigned i = 0; i < POOL_TRIES && r == 0; i++) {
		struct cnm_prefix other = { 0 };

		free(take_ptr(warning));
		r = create(e, config, predefined, &facts, &remote, dry, ret_id, &warning, &other,
			   err);
		if (!prefix_is_set(&other) || i + 1 == POOL_TRIES ||
		    prefixes_add(&facts.routes, &other) < 0)
			break;
		memset(err, 0, sizeof(*err));
		r = 0;
	}
	remote_network_done(e, &remote);
	if (r == 0 && ret_warning)
		*ret_warning = take_ptr(warning);
	return r;
}

int cnm_network_create(struct cnm_engine *e, const struct cnm_network_config *config,
		       struct cnm_dry_run *dry, char ret_id[CNM_ID_SIZE], char **ret_warning,
		       struct cnm_error *err)
{
	reconcile_host_first(e);
	return engine_create_network(e, config, false, dry, ret_id, ret_warning, err);
}

int cnm_subnet_choose(struct cnm_engine *e, const char *driver, bool ipv6, const char *const *avoid,
		      size_t n_avoid, char ret[CNM_SUBNET_SIZE], struct cnm_error *err)
{
	const struct cnm_network_config config = { .ipv6 = ipv6 ? CNM_YES : CNM_NO };
	_cleanup_(network_facts_free) struct network_facts facts = { 0 };
	const struct driver *d = driver_by_name(driver);
	struct cnm_prefix subnet;
	int r = d && d->addresses
			? network_facts_gather(e, &config, &facts, err)
			: cnm_error_set(err, CNM_E_INVALID,
					"\"%s\" is no driver whose networks have subnets", driver);

	for (size_t i = 0; r == 0 && i < n_avoid; i++)
		if (prefix_parse(&subnet, avoid[i]) < 0)
			r = cnm_error_set(err, CNM_E_INVALID, "\"%s\" is no subnet", avoid[i]);
		else if ((r = prefixes_add(&facts.routes, &subnet)) < 0)
			cnm_error_errno(err, r, "choose a subnet");
	if (r < 0)
		return r;
	LOCKED(&e->lock);
	r = network_choose_subnet(e, d, ipv6 ? AF_INET6 : AF_INET, &facts, &subnet, err);
	if (r == 0)
		prefix_format(&subnet, ret);
	return r;
}

/* ---- remove */

static int refuse_active(const struct network *n, struct cnm_error *err)
{
	struct strbuf b = { 0 };
	const struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network)
		if (!endpoint_is_stopped(ep))
			strbuf_addf(&b, "%sname:\"%s\" id:\"%.12s\"", b.len ? ", " : "", ep->name,
				    ep->id);
	cnm_error_set(err, CNM_E_FORBIDDEN,
		      "error while removing network: network %s has active endpoints (%s)", n->name,
		      b.s ? b.s : "");
	strbuf_free(&b);
	return -EPERM;
}

static int check_removable(const struct cnm_engine *e, const struct network *n,
			   struct cnm_error *err)
{
	const struct network *o;

	if (n->predefined)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "%s is a pre-defined network and cannot be removed", n->name);
	if (network_is_active(n))
		return refuse_active(n, err);
	list_for_each (o, &e->model.networks, node)
		if (n->config_only && o->config_from && streq(o->config_from, n->name))
			return cnm_error_set(err, CNM_E_FORBIDDEN,
					     "configuration network \"%s\" is in use", n->name);
	return 0;
}

/* Without the lock. The row says REMOVING before they are told; what is left to write is new. */
static int tell_plugins(struct cnm_engine *e, const struct network *n, struct store_tx **removing,
			struct store_tx **gone, struct cnm_error *err)
{
	int r = store_commit(e->store, *removing, STORE_NORMAL, err);

	*removing = store_tx_new(e->store);
	return r < 0 ? r : remote_network_remove(e, n, gone, err);
}

/*
 * Lock held on entry and exit, let go meanwhile. The network is REMOVING; so nobody changes the
 * stopped sandboxes whose endpoints go with it.
 */
static int take_away(struct cnm_engine *e, struct network *n, struct change *c,
		     struct cnm_error *err)
{
	struct store_tx *removing = store_tx_new(e->store), *gone = store_tx_new(e->store);
	const struct endpoint *ep;
	int r;

	store_tx_set_state(removing, STORE_NETWORK, n->id, STORE_REMOVING);
	list_for_each (ep, &n->endpoints, in_network) {
		store_tx_delete(gone, STORE_ENDPOINT, ep->id);
		remote_put_left(e, ep, true, &gone);
	}
	store_tx_delete(gone, STORE_NETWORK, n->id);
	pthread_mutex_unlock(&e->lock);
	r = n->plugin || n->ipam ? tell_plugins(e, n, &removing, &gone, err) : 0;
	if (r == 0) {
		r = change_carry_out(e, c, removing, gone, STORE_FULL, err);
	} else {
		store_tx_free(removing);
		store_tx_free(gone);
	}
	if (r < 0)
		mark_ready(e, n->id);
	pthread_mutex_lock(&e->lock);
	return r;
}

/* Lock held. */
static void drop_from_model(struct cnm_engine *e, struct network *n)
{
	struct endpoint *ep, *tmp;

	if (!n->config_only)
		events_network(e->events, "destroy", n, NULL);
	list_for_each_safe (ep, tmp, &n->endpoints, in_network)
		model_del_endpoint(&e->model, ep, false);
	free_name(e, n);
}

/* Lock held, which is let go meanwhile. */
static int remove_network(struct cnm_engine *e, struct network *n, struct cnm_dry_run *dry,
			  struct cnm_error *err)
{
	_cleanup_(change_free) struct change c = { 0 };
	int r = check_removable(e, n, err);

	if (r < 0)
		return r;
	plan_with_host(e, n, &c.before);
	n->state = OBJ_REMOVING;
	plan_host(e, &c.after);
	r = change_prepare(&c, err);
	if (r == 0 && dry)
		r = change_tell(&c, dry, err);
	if (r == 0 && !dry) {
		r = cluster_drop_network(e, n, err);
		if (r == 0)
			r = take_away(e, n, &c, err);
		if (r == 0) {
			drop_from_model(e, n);
			pthread_cond_broadcast(&e->changed);
			return 0;
		}
	}
	n->state = OBJ_READY;
	pthread_cond_broadcast(&e->changed);
	return r;
}

int cnm_network_remove(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	struct network *n;
	int r;

	reconcile_host_first(e);
	AFTERWARDS(e);
	LOCKED(&e->lock);
	r = engine_network(e, ref, &n, err);
	return r < 0 ? r : remove_network(e, n, dry, err);
}

/* ---- prune */

static bool is_prunable(const struct network *n, const struct filters *f)
{
	return n->state == OBJ_READY && !n->predefined && !n->config_only &&
	       !network_is_active(n) && filters_match_prune(f, n);
}

static struct network *next_prunable(struct cnm_engine *e, const struct filters *f, int64_t after)
{
	struct network *n;

	list_for_each (n, &e->model.networks, node)
		if (n->created > after && is_prunable(n, f))
			return n;
	return NULL;
}

static int prune_all(struct cnm_engine *e, const struct filters *f, struct cnm_dry_run *dry,
		     struct strbuf *plans, json_t *names, struct cnm_error *err)
{
	struct network *n;
	int64_t after = 0;
	int r = 0;

	while (r == 0 && (n = next_prunable(e, f, after))) {
		struct cnm_dry_run one = { 0 };

		after = n->created;
		json_push(names, json_string(n->name));
		r = remove_network(e, n, dry ? &one : NULL, err);
		if (one.plan)
			strbuf_add(plans, one.plan);
		free(one.plan);
	}
	return r;
}

int cnm_network_prune(struct cnm_engine *e, const char *filters, struct cnm_dry_run *dry,
		      char **ret_json, struct cnm_error *err)
{
	static const char *const known[] = { "until", "label", "label!", NULL };
	_cleanup_(filters_free_p) struct filters *f = NULL;
	struct strbuf plans = { 0 };
	_json_ json_t *o = json_object();
	json_t *names = json_array();
	int r = filters_parse(&f, filters, known, err);

	if (r < 0) {
		json_decref(names);
		return r;
	}
	reconcile_host_first(e);
	AFTERWARDS(e);
	pthread_mutex_lock(&e->lock);
	if (e->pruning) {
		pthread_mutex_unlock(&e->lock);
		json_decref(names);
		return cnm_error_set(err, CNM_E_CONFLICT, "a prune operation is already running");
	}
	e->pruning = true;
	r = prune_all(e, f, dry, &plans, names, err);
	e->pruning = false;
	pthread_mutex_unlock(&e->lock);
	json_put(o, "NetworksDeleted", json_array_size(names) ? json_incref(names) : json_null());
	json_decref(names);
	if (r == 0 && dry)
		dry->plan = strbuf_take(&plans);
	strbuf_free(&plans);
	if (r < 0)
		return r;
	*ret_json = json_text(o);
	if (!dry)
		events_emit(e->events, "network", "prune", "",
			    json_pack("{s:s}", "reclaimed", "0"));
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "prune networks");
}

/* ---- look */

/* Lock held. "Degraded" says why, if its plugin does not answer. */
static json_t *inspect_with_plugins(const struct cnm_engine *e, const struct network *n,
				    bool with_containers, bool status)
{
	json_t *o = inspect_network(n, with_containers, status);
	char why[256];

	if (remote_is_degraded(e, n, why, sizeof(why)))
		json_put(o, "Degraded", json_string(why));
	return o;
}

int cnm_network_inspect(struct cnm_engine *e, const char *ref, bool verbose, char **ret_json,
			struct cnm_error *err)
{
	_cleanup_(counters_free) struct counters c = { 0 };
	_json_ json_t *o = NULL;
	struct network *n;
	int r;

	pthread_mutex_lock(&e->lock);
	r = engine_network(e, ref, &n, err);
	if (r >= 0)
		o = inspect_with_plugins(e, n, true, verbose);
	if (r >= 0 && verbose)
		counters_collect(e, n, &c);
	pthread_mutex_unlock(&e->lock);
	if (r < 0)
		return r;
	if (verbose && (r = counters_read(e, &c, o, err)) < 0)
		return r;
	*ret_json = o ? json_text(o) : NULL;
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "inspect network \"%s\"", ref);
}

int cnm_network_list(struct cnm_engine *e, const char *filters, char **ret_json,
		     struct cnm_error *err)
{
	static const char *const known[] = { "driver", "id",   "name",     "label",
					     "scope",  "type", "dangling", NULL };
	_cleanup_(filters_free_p) struct filters *f = NULL;
	_json_ json_t *list = json_array();
	struct network *n;
	char *text;
	int r = filters_parse(&f, filters, known, err);

	if (r < 0)
		return r;
	LOCKED(&e->lock);
	list_for_each (n, &e->model.networks, node)
		if (n->state == OBJ_READY && filters_match_network(f, n))
			json_push(list, inspect_with_plugins(e, n, false, false));
	text = json_text(list);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "list networks");
	*ret_json = text;
	return 0;
}
