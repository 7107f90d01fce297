/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints: create, join, leave, remove; and connect and disconnect, which do two of these at
 * once.
 *
 * Whatever changes a sandbox's endpoints holds the sandbox as `busy`, plans it before and after,
 * and carries out the difference: the interface, but also the default routes and files that follow
 * from all of its endpoints.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "controller/cluster.h"
#include "controller/gateway_network.h"
#include "controller/ports.h"
#include "controller/remote.h"

/* Lock held: the names that an endpoint of this network could get, into ret. */
static void list_candidates(const struct network *n, const struct sandbox *sb, const char *forced,
			    struct ifnames *ret)
{
	const char *prefix = n->driver->iface_prefix ? n->driver->iface_prefix(n) : "eth";
	const struct endpoint *ep;

	ret->n = 8;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		ret->n += ret->n < 64;
	if (forced)
		ret->n = 1;
	for (unsigned i = 0; i < ret->n; i++) {
		if (forced)
			str_copy(ret->names[i], IFNAMSIZ, forced);
		else
			snprintf(ret->names[i], IFNAMSIZ, "%.11s%u", prefix, i % 10000);
	}
}

/*
 * Links that the user put into the sandbox have names too. Those that could be chosen are looked up
 * before the lock is taken. References that name nothing are refused later.
 */
static void gather_ifnames(struct cnm_engine *e, const char *sandbox, const char *network,
			   const char *endpoint, const char *forced, struct ifnames *ret)
{
	char id[ID_SIZE] = "";
	struct endpoint *ep = NULL;
	struct network *n = NULL;
	struct sandbox *sb;
	unsigned m;

	ret->n = 0;
	pthread_mutex_lock(&e->lock);
	if (endpoint && model_find_endpoint(&e->model, endpoint, &ep, &m) == REF_FOUND)
		n = ep->network;
	else if (network && model_find_network(&e->model, network, &n, &m) != REF_FOUND)
		n = NULL;
	if (n && model_find_sandbox(&e->model, sandbox, &sb, &m) == REF_FOUND &&
	    sb->source != NETNS_HOST && sandbox_is_open(sb)) {
		memcpy(id, sb->id, ID_SIZE);
		list_candidates(n, sb, forced, ret);
	}
	pthread_mutex_unlock(&e->lock);
	if (id[0])
		ret->n = applier_taken_names(e->applier, id, ret->names, ret->n);
}

/* Lock held. The request is over: let others at the sandbox. */
static void release(struct cnm_engine *e, struct sandbox *sb)
{
	if (sb)
		sb->busy = false;
	pthread_cond_broadcast(&e->changed);
}

/* After a failed join, without the lock: as it was. */
static void drop_rows(struct cnm_engine *e, const struct endpoint *ep,
		      const struct gateway_change *gateway)
{
	struct store_tx *tx = store_tx_new(e->store);

	store_tx_delete(tx, STORE_ENDPOINT, ep->id);
	if (gateway->added)
		store_tx_delete(tx, STORE_ENDPOINT, gateway->added->id);
	if (gateway->removed) { /* it may be gone already */
		store_tx_delete(tx, STORE_ENDPOINT, gateway->removed->id);
		tx_put_endpoint(&tx, gateway->removed, STORE_READY, true);
	}
	store_commit(e->store, tx, STORE_NORMAL, NULL);
}

/* After a failed removal: the row says READY again. Without the lock. */
static void mark_ready(struct cnm_engine *e, const struct endpoint *ep)
{
	struct store_tx *tx = store_tx_new(e->store);

	tx_put_endpoint(&tx, ep, STORE_READY, false);
	store_commit(e->store, tx, STORE_NORMAL, NULL);
}

/* Which ports of the host a sandbox has may follow from its endpoints. */
static void put_ports(struct store_tx **tx, const struct sandbox *sb)
{
	if (sb && sb->n_wants && !sb->stopped)
		tx_put_sandbox(tx, sb, STORE_READY, false);
}

/* Lock held on entry and exit, let go meanwhile: the row, after a request that was undone. */
static void rewrite_ports(struct cnm_engine *e, struct sandbox *sb)
{
	struct store_tx *tx;

	if (!sb->n_wants || sb->stopped)
		return;
	tx = store_tx_new(e->store);
	put_ports(&tx, sb);
	sb->busy = true;
	pthread_mutex_unlock(&e->lock);
	store_commit(e->store, tx, STORE_NORMAL, NULL);
	pthread_mutex_lock(&e->lock);
	release(e, sb);
}

/* ---- connect */

/*
 * Lock held on entry and exit, let go meanwhile. The endpoint is in the model and attached. With
 * the row goes where its network's addresses stand.
 */
static int carry_out_join(struct cnm_engine *e, struct endpoint *ep,
			  const struct gateway_change *gateway, struct change *c,
			  struct cnm_error *err)
{
	struct store_tx *enter = store_tx_new(e->store), *ready = store_tx_new(e->store);
	struct sandbox *sb = ep->sandbox;
	int r;

	tx_put_endpoint(&ready, ep, STORE_READY, true);
	tx_put_network(&ready, ep->network, STORE_READY, false);
	remote_put_joined(e, ep, ready);
	gateway_rows(gateway, &ready);
	put_ports(&ready, sb);
	sb->busy = true;
	pthread_mutex_unlock(&e->lock);
	r = change_carry_out(e, c, enter, ready, sb->declared ? STORE_FULL : STORE_NORMAL, err);
	if (r < 0)
		drop_rows(e, ep, gateway);
	pthread_mutex_lock(&e->lock);
	if (r == 0 && (r = publish_sandbox(e, sb)) < 0) {
		cnm_error_errno(err, r, "publish the names of %s", sb->name);
		pthread_mutex_unlock(&e->lock);
		change_revert(e, c);
		drop_rows(e, ep, gateway);
		pthread_mutex_lock(&e->lock);
	}
	if (r == 0) {
		ep->state = OBJ_READY;
		if (!sb->stopped)
			events_network(e->events, "connect", ep->network, sb);
	}
	release(e, sb);
	return r;
}

static const char *forced_name(const struct cnm_endpoint_config *c)
{
	for (size_t i = 0; c && i < c->n_driver_opts; i++)
		if (streq(c->driver_opts[i].key, "com.docker.network.endpoint.ifname"))
			return c->driver_opts[i].value;
	return NULL;
}

int cnm_network_connect(struct cnm_engine *e, const char *network, const char *sandbox,
			const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
			struct cnm_error *err)
{
	static const struct cnm_endpoint_config plain;
	_cleanup_(change_free) struct change c = { 0 };
	struct gateway_change gateway = { 0 };
	struct ports_change ports;
	struct ifnames taken;
	struct endpoint *ep;
	struct network *n;
	struct sandbox *sb;
	int r = gateway_network_prepare(e, network, err);

	if (r < 0)
		return r;
	reconcile_sandbox_first(e, sandbox);
	gather_ifnames(e, sandbox, network, NULL, forced_name(config), &taken);
	AFTERWARDS(e);
	LOCKED(&e->lock);
	r = engine_pair(e, network, sandbox, &n, &sb, err);
	if (r < 0)
		return r;
	plan_request(e, sb, &c.before);
	r = endpoint_add(e, n, sb, config ? config : &plain, &taken, &ep, err);
	if (r < 0)
		return r;
	if (!dry)
		r = engine_ask_sandbox(e, sb, err);
	if (r == 0)
		r = gateway_begin(e, sb, &taken, &gateway, err);
	if (r == 0 && (r = ports_begin(e, sb, NULL, &ports, err)) < 0)
		gateway_end(e, &gateway, false);
	if (r < 0) {
		model_del_endpoint(&e->model, ep, false);
		return r;
	}
	plan_request(e, sb, &c.after);
	r = change_prepare(&c, err);
	if (r == 0)
		r = dry ? change_tell(&c, dry, err) : carry_out_join(e, ep, &gateway, &c, err);
	if (r < 0)
		ports_tell(sb, err);
	gateway_end(e, &gateway, r == 0 && !dry);
	ports_end(e, sb, &ports, r == 0 && !dry);
	if (r < 0 && !dry)
		rewrite_ports(e, sb);
	if (r < 0 || dry)
		model_del_endpoint(&e->model, ep, false);
	return r;
}

/* ---- disconnect */

static void forget_names(struct cnm_engine *e, const struct endpoint *ep)
{
	resolver_drop_names(e->resolver, ep->id);
}

/* Without the lock. A crash before the row is gone means that nobody had an answer: it is back
 * then. */
static int take_away(struct cnm_engine *e, const struct endpoint *ep,
		     const struct gateway_change *gateway, struct change *c, struct cnm_error *err)
{
	struct store_tx *nothing = store_tx_new(e->store), *gone = store_tx_new(e->store);
	int r;

	store_tx_delete(gone, STORE_ENDPOINT, ep->id);
	remote_put_left(e, ep, true, &gone);
	gateway_rows(gateway, &gone);
	if (ep->sandbox)
		put_ports(&gone, ep->sandbox);
	r = change_carry_out(e, c, nothing, gone,
			     ep->declared || (ep->sandbox && ep->sandbox->declared) ? STORE_FULL
										    : STORE_NORMAL,
			     err);
	if (r < 0)
		mark_ready(e, ep);
	return r;
}

/*
 * Leaving: the row first, so that a crash in between leaves a stray link, which the next start
 * removes, and never an endpoint that is joined only on paper.
 */
static int leave_rows(struct cnm_engine *e, struct endpoint *ep,
		      const struct gateway_change *gateway, struct change *c, struct cnm_error *err)
{
	struct store_tx *tx = store_tx_new(e->store), *last;
	struct endpoint left = remote_without_join(ep);
	struct row_bufs bufs;
	struct store_row row;
	int r = row_endpoint(&left, STORE_READY, &bufs, &row);

	if (r < 0) {
		store_tx_free(tx);
		return cnm_error_errno(err, r, "endpoint %s", ep->name);
	}
	row.sandbox = NULL;
	store_tx_update(tx, &row);
	free((char *)row.body);
	last = store_tx_new(e->store);
	remote_put_left(e, ep, false, &last);
	gateway_rows(gateway, &last);
	put_ports(&last, ep->sandbox);
	r = change_carry_out(e, c, tx, last, STORE_NORMAL, err);
	if (r < 0)
		mark_ready(e, ep);
	return r;
}

/*
 * Lock held on entry and exit, let go meanwhile; the sandbox (if joined) is not busy. Takes the
 * endpoint away altogether, or with `keep` only out of its sandbox.
 */
static int withdraw(struct cnm_engine *e, struct endpoint *ep, bool keep, struct cnm_dry_run *dry,
		    struct cnm_error *err)
{
	_cleanup_(change_free) struct change c = { 0 };
	struct gateway_change gateway = { 0 };
	struct ports_change ports;
	struct sandbox *sb = ep->sandbox;
	int r = 0;

	if (sb)
		plan_request(e, sb, &c.before);
	ep->state = OBJ_REMOVING;
	if (sb)
		r = gateway_begin(e, sb, NULL, &gateway, err);
	if (r == 0 && sb && (r = ports_begin(e, sb, NULL, &ports, err)) < 0)
		gateway_end(e, &gateway, false);
	if (r < 0) {
		ep->state = OBJ_READY;
		return r;
	}
	if (sb)
		plan_request(e, sb, &c.after);
	r = change_prepare(&c, err);
	if (r == 0 && dry)
		r = change_tell(&c, dry, err);
	if (r == 0 && !dry) {
		if (sb)
			sb->busy = true;
		forget_names(e, ep);
		pthread_mutex_unlock(&e->lock);
		r = keep ? leave_rows(e, ep, &gateway, &c, err)
			 : take_away(e, ep, &gateway, &c, err);
		pthread_mutex_lock(&e->lock);
	}
	if (sb) {
		gateway_end(e, &gateway, r == 0 && !dry);
		ports_end(e, sb, &ports, r == 0 && !dry);
	}
	if (r < 0 || dry) {
		ep->state = OBJ_READY;
	} else {
		if (sb && !sb->stopped)
			events_network(e->events, "disconnect", ep->network, sb);
		endpoint_detach(ep);
		remote_forget_join(ep);
		ep->state = OBJ_READY;
		if (!keep)
			model_del_endpoint(&e->model, ep, true);
	}
	if (sb && !dry)
		publish_sandbox(e, sb);
	release(e, sb);
	return r;
}

/* Docker's -f: whatever of that name or id is on the network. */
static struct endpoint *find_loose(struct network *n, const char *ref)
{
	struct endpoint *ep = network_endpoint_by_name(n, ref);
	size_t len = strlen(ref);

	if (ep)
		return ep;
	list_for_each (ep, &n->endpoints, in_network)
		if (len >= ID_SHORT && strncmp(ep->id, ref, len) == 0)
			return ep;
	return NULL;
}

static int force_disconnect(struct cnm_engine *e, const char *network, const char *ref,
			    struct cnm_dry_run *dry, struct cnm_error *err)
{
	struct network *n;
	struct endpoint *ep;
	int r = engine_network(e, network, &n, err);
	char id[ID_SIZE];

	if (r < 0)
		return r;
	ep = find_loose(n, ref);
	if (!ep)
		return cnm_error_set(err, CNM_E_NOT_FOUND, "endpoint %s not found", ref);
	memcpy(id, ep->id, ID_SIZE);
	r = engine_endpoint(e, id, &ep, err);
	if (r >= 0 && endpoint_is_remote(ep))
		return cluster_evict_endpoint(e, ep, true, dry, err);
	return r < 0 ? r : withdraw(e, ep, false, dry, err);
}

int engine_withdraw_endpoint(struct cnm_engine *e, const char *id, struct cnm_error *err)
{
	struct endpoint *ep;
	int r;
	AFTERWARDS(e);
	LOCKED(&e->lock);

	r = engine_endpoint(e, id, &ep, err);
	return r < 0 ? r : withdraw(e, ep, false, NULL, err);
}

int engine_withdraw_foreign(struct cnm_engine *e, const char *id, struct cnm_error *err)
{
	char sandbox[ID_SIZE] = "";
	struct endpoint *ep;
	int r;

	pthread_mutex_lock(&e->lock);
	ep = map_get(&e->model.endpoint_by_id, id);
	if (ep && ep->sandbox && ep->sandbox->source == NETNS_FOREIGN)
		memcpy(sandbox, ep->sandbox->id, ID_SIZE);
	pthread_mutex_unlock(&e->lock);
	if (!sandbox[0])
		return 0;
	r = cnm_sandbox_remove(e, sandbox, NULL, err);
	if (r < 0 && r != -ENOENT)
		return r;
	r = engine_withdraw_endpoint(e, id, err); /* if it was declared it is left */
	return r == -ENOENT ? 0 : r;
}

int cnm_network_disconnect(struct cnm_engine *e, const char *network, const char *sandbox,
			   bool force, struct cnm_dry_run *dry, struct cnm_error *err)
{
	struct network *n;
	struct sandbox *sb;
	struct endpoint *ep;
	unsigned matches;
	int r;

	reconcile_sandbox_first(e, sandbox);
	AFTERWARDS(e);
	LOCKED(&e->lock);
	if (force && model_find_sandbox(&e->model, sandbox, &sb, &matches) != REF_FOUND)
		return force_disconnect(e, network, sandbox, dry, err);
	r = engine_pair(e, network, sandbox, &n, &sb, err);
	if (r < 0)
		return r;
	if (n->driver->shares_host && sb->source == NETNS_HOST)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"cannot disconnect container from host network - container was "
			"created in host network mode");
	ep = sandbox_endpoint_on(sb, n);
	if (!ep)
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "container %s is not connected to network %s", sb->id,
				     n->name);
	return withdraw(e, ep, ep->declared, dry, err);
}

/* ---- endpoints by themselves */

static int check_endpoint_name(const char *name, struct cnm_error *err)
{
	if (!name || !name[0])
		return cnm_error_set(err, CNM_E_INVALID, "invalid name: name is empty");
	if (strlen(name) > 255 || !str_is_printable(name) || strchr(name, '/'))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid endpoint name: it must be printable, without '/', of "
				     "at most 255 bytes");
	return 0;
}

int cnm_endpoint_create(struct cnm_engine *e, const char *network,
			const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
			char ret_id[CNM_ID_SIZE], struct cnm_error *err)
{
	struct store_tx *tx = NULL;
	struct endpoint *ep;
	struct network *n;
	int r = check_endpoint_name(config->name, err);

	if (r < 0)
		return r;
	AFTERWARDS(e);
	LOCKED(&e->lock);
	r = engine_network(e, network, &n, err);
	if (r < 0)
		return r;
	if (!n->driver->addresses)
		return cnm_error_set(err, CNM_E_INVALID,
				     "network %s has no addresses to reserve: connect a sandbox to "
				     "it instead",
				     n->name);
	r = endpoint_build(e, n, config->name, config, &ep, err);
	if (r < 0)
		return r;
	ep->declared = true;
	r = dry ? 0 : engine_ask_endpoint(e, ep, err);
	if (r == 0 && !dry) {
		tx = store_tx_new(e->store);
		tx_put_endpoint(&tx, ep, STORE_READY, true);
		remote_put_joined(e, ep, tx);
		tx_put_network(&tx, n, STORE_READY, false);
		pthread_mutex_unlock(&e->lock);
		r = store_commit(e->store, tx, STORE_FULL, err);
		pthread_mutex_lock(&e->lock);
	} else if (r == 0) {
		dry->plan = strdup("");
		r = dry->plan ? 0 : cnm_error_errno(err, ENOMEM, "plan");
	}
	if (r < 0 || dry) {
		model_del_endpoint(&e->model, ep, false);
	} else {
		memcpy(ret_id, ep->id, CNM_ID_SIZE);
		ep->state = OBJ_READY;
	}
	release(e, NULL);
	return r;
}

int cnm_endpoint_remove(struct cnm_engine *e, const char *ref, bool force, struct cnm_dry_run *dry,
			struct cnm_error *err)
{
	struct endpoint *ep;
	int r;
	AFTERWARDS(e);
	LOCKED(&e->lock);

	r = engine_endpoint(e, ref, &ep, err);
	if (r < 0)
		return r;
	if (endpoint_is_remote(ep))
		return cluster_evict_endpoint(e, ep, force, dry, err);
	if (ep->sandbox && !force)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "endpoint with name %s id %s has active containers", ep->name,
				     ep->id);
	return withdraw(e, ep, false, dry, err);
}

/* An endpoint and a sandbox, valid together, and nobody is about to take its network away. */
static int find_join(struct cnm_engine *e, const char *ref, const char *sandbox,
		     struct endpoint **ep, struct sandbox **sb, struct cnm_error *err)
{
	struct network *n;
	int r;

	do {
		r = engine_sandbox(e, sandbox, true, sb, err);
		if (r >= 0)
			r = engine_endpoint(e, ref, ep, err);
		if (r == 0)
			r = engine_network_to_join(e, (*ep)->network->id, &n, err);
	} while (r > 0);
	return r;
}

/* Without the lock: kernel first; a crash before the row is written leaves it as not joined. */
static int join_rows(struct cnm_engine *e, struct endpoint *ep, struct change *c,
		     struct cnm_error *err)
{
	struct store_tx *joined = store_tx_new(e->store);

	tx_put_endpoint(&joined, ep, STORE_READY, false);
	remote_put_joined(e, ep, joined);
	put_ports(&joined, ep->sandbox);
	return change_carry_out(e, c, store_tx_new(e->store), joined, STORE_NORMAL, err);
}

int cnm_endpoint_join(struct cnm_engine *e, const char *ref, const char *sandbox,
		      struct cnm_dry_run *dry, struct cnm_error *err)
{
	_cleanup_(change_free) struct change c = { 0 };
	struct ports_change ports;
	struct ifnames taken;
	struct endpoint *ep;
	struct sandbox *sb;
	int r;

	reconcile_sandbox_first(e, sandbox);
	gather_ifnames(e, sandbox, NULL, ref, NULL, &taken);
	AFTERWARDS(e);
	LOCKED(&e->lock);
	r = find_join(e, ref, sandbox, &ep, &sb, err);
	if (r == 0 && endpoint_is_remote(ep))
		r = cnm_error_set(err, CNM_E_FORBIDDEN,
				  "endpoint %s is on another host (%.12s): join it there", ep->name,
				  ep->host);
	if (r == 0 && ep->sandbox)
		r = cnm_error_set(err, CNM_E_FORBIDDEN,
				  "another container is attached to the same network endpoint");
	if (r == 0)
		r = endpoint_check_pair(ep->network, sb, err);
	if (r < 0)
		return r;
	plan_request(e, sb, &c.before);
	r = endpoint_attach(ep, sb, &taken, err);
	if (r < 0)
		return r;
	if (!dry)
		r = engine_ask_sandbox(e, sb, err);
	if (r == 0)
		r = ports_begin(e, sb, NULL, &ports, err);
	if (r < 0) {
		endpoint_detach(ep);
		remote_forget_join(ep);
		return r;
	}
	plan_request(e, sb, &c.after);
	r = change_prepare(&c, err);
	if (r == 0 && dry)
		r = change_tell(&c, dry, err);
	if (r == 0 && !dry) {
		sb->busy = true;
		pthread_mutex_unlock(&e->lock);
		r = join_rows(e, ep, &c, err);
		pthread_mutex_lock(&e->lock);
	}
	ports_end(e, sb, &ports, r == 0 && !dry);
	if (r < 0 || dry) {
		endpoint_detach(ep);
		remote_forget_join(ep);
	} else {
		publish_sandbox(e, sb);
		events_network(e->events, "connect", ep->network, sb);
	}
	release(e, dry ? NULL : sb);
	return r;
}

int cnm_endpoint_leave(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	struct endpoint *ep;
	int r;
	AFTERWARDS(e);
	LOCKED(&e->lock);

	r = engine_endpoint(e, ref, &ep, err);
	if (r < 0)
		return r;
	if (!ep->sandbox)
		return cnm_error_set(err, CNM_E_FORBIDDEN, "endpoint %s is not joined to a sandbox",
				     ep->name);
	return withdraw(e, ep, true, dry, err);
}

/* ---- look */

int cnm_endpoint_inspect(struct cnm_engine *e, const char *ref, char **ret_json,
			 struct cnm_error *err)
{
	struct remote_question q = { 0 };
	_json_ json_t *o = NULL;
	struct endpoint *ep;
	char *text;
	int r;

	pthread_mutex_lock(&e->lock);
	r = engine_endpoint(e, ref, &ep, err);
	if (r >= 0) {
		o = inspect_endpoint(ep);
		remote_question(ep, &q);
	}
	pthread_mutex_unlock(&e->lock);
	if (r < 0)
		return r;
	remote_oper_info(e, &q, o);
	text = o ? json_text(o) : NULL;
	if (!text)
		return cnm_error_errno(err, ENOMEM, "inspect endpoint %s", ref);
	*ret_json = text;
	return 0;
}

int cnm_endpoint_list(struct cnm_engine *e, const char *network, char **ret_json,
		      struct cnm_error *err)
{
	_json_ json_t *list = json_array();
	struct network *n, *only = NULL;
	struct endpoint *ep;
	char *text;
	int r;
	LOCKED(&e->lock);

	if (network && network[0] && (r = engine_network(e, network, &only, err)) < 0)
		return r;
	list_for_each (n, &e->model.networks, node) {
		if (only && n != only)
			continue;
		list_for_each (ep, &n->endpoints, in_network)
			if (ep->state == OBJ_READY)
				json_push(list, inspect_endpoint(ep));
	}
	text = json_text(list);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "list endpoints");
	*ret_json = text;
	return 0;
}
