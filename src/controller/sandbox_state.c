/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declared sandboxes: start, stop, rename. Their rows and addresses are there all the time; what
 * start makes and stop takes away is what is in the kernel and the file system.
 *
 * While either is under way the row says CREATING or REMOVING: after a crash the sandbox is
 * stopped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "controller/cluster.h"
#include "controller/gateway_network.h"
#include "controller/ports.h"
#include "controller/remote.h"

/* Their addresses may be others than they were. */
static void put_claimed(struct cnm_engine *e, struct store_tx **tx, const struct sandbox *sb)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		struct endpoint left = remote_without_join(ep);

		if (ep->claimed || ep->asked)
			tx_put_endpoint(tx, sb->stopped ? &left : ep, STORE_READY, false);
		if (sb->stopped)
			remote_put_left(e, ep, false, tx);
		else
			remote_put_joined(e, ep, *tx);
	}
}

/* What happens to it meanwhile, and what it is when all went well. */
static void switch_rows(struct cnm_engine *e, struct sandbox *sb, struct store_tx **first,
			struct store_tx **last)
{
	*first = store_tx_new(e->store);
	*last = store_tx_new(e->store);
	store_tx_set_state(*first, STORE_SANDBOX, sb->id,
			   sb->stopped ? STORE_REMOVING : STORE_CREATING);
	tx_put_sandbox(last, sb, STORE_READY, false);
	put_claimed(e, last, sb);
}

/* Without the lock: the row as it was. */
static void restore_row(struct cnm_engine *e, const struct sandbox *sb)
{
	struct store_tx *tx = store_tx_new(e->store);

	tx_put_sandbox(&tx, sb, STORE_READY, false);
	store_commit(e->store, tx, STORE_NORMAL, NULL);
}

static void drop_names(struct cnm_engine *e, const struct sandbox *sb)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		resolver_drop_names(e->resolver, ep->id);
}

/* It is not running: what it claimed goes, when the lock is let go. */
static void unclaim(struct sandbox *sb)
{
	struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		ep->claimed &= !sb->stopped;
		if (sb->stopped)
			remote_forget_join(ep);
	}
}

/* It is in its new state. */
static void settle(struct cnm_engine *e, struct sandbox *sb)
{
	const struct endpoint *ep;

	sb->checked = true;
	sb->nsid = -1;
	unclaim(sb);
	list_for_each (ep, &sb->endpoints, in_sandbox)
		events_network(e->events, sb->stopped ? "disconnect" : "connect", ep->network, sb);
}

/* It is in its old state again. */
static void take_back(struct cnm_engine *e, struct sandbox *sb, struct ports_change *ports)
{
	sb->stopped = !sb->stopped;
	unclaim(sb);
	ports_end(e, sb, ports, false);
	publish_sandbox(e, sb);
	pthread_mutex_unlock(&e->lock);
	restore_row(e, sb);
	pthread_mutex_lock(&e->lock);
}

/* Lock held on entry and exit, let go meanwhile. The sandbox is in its new state already. */
static int carry_out(struct cnm_engine *e, struct sandbox *sb, struct change *c,
		     const struct gateway_change *gateway, struct ports_change *ports,
		     struct cnm_error *err)
{
	struct store_tx *first, *last;
	int r;

	switch_rows(e, sb, &first, &last);
	gateway_rows(gateway, &last);
	sb->busy = true;
	if (sb->stopped)
		drop_names(e, sb);
	pthread_mutex_unlock(&e->lock);
	r = change_carry_out(e, c, first, last, STORE_NORMAL, err);
	pthread_mutex_lock(&e->lock);
	if (r == 0 && (r = publish_sandbox(e, sb)) < 0) {
		cnm_error_errno(err, r, "publish the names of %s", sb->name);
		pthread_mutex_unlock(&e->lock);
		change_revert(e, c);
		pthread_mutex_lock(&e->lock);
	}
	gateway_end(e, gateway, r == 0);
	if (r == 0) {
		settle(e, sb);
		ports_end(e, sb, ports, true);
	} else {
		ports_tell(sb, err);
		take_back(e, sb, ports);
	}
	sb->busy = false;
	pthread_cond_broadcast(&e->changed);
	return r;
}

static int check_rooms(const struct sandbox *sb, struct cnm_error *err)
{
	const struct endpoint *ep;
	int r = 0;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (r == 0)
			r = endpoint_check_room(ep->network, err);
	return r;
}

/*
 * Lock held on entry and exit, let go meanwhile. What an endpoint claimed when the sandbox ran last
 * may still be on its way out of the cluster's store, so it claims under a new id, as Docker's
 * endpoints have one each time.
 */
static int claim(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err)
{
	struct store_tx *tx;
	struct endpoint *ep;
	int r = 0;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		if ((!network_is_global(ep->network) && !ep->network->plugin) || r < 0)
			continue;
		tx = store_tx_new(e->store);
		store_tx_delete(tx, STORE_ENDPOINT, ep->id);
		r = model_renew_endpoint(&e->model, ep);
		tx_put_endpoint(&tx, ep, STORE_READY, true);
		store_commit_later(e->store, tx);
	}
	return r < 0 ? cnm_error_errno(err, r, "start %s", sb->name)
		     : engine_ask_to_join(e, sb, err);
}

/* used: of a sandbox to be started, which ports of the host are. */
static int switch_to(struct cnm_engine *e, const char *ref, bool stopped,
		     const struct hostports_used *used, struct cnm_dry_run *dry,
		     struct cnm_error *err)
{
	_cleanup_(change_free) struct change c = { 0 };
	struct gateway_change gateway = { 0 };
	struct ports_change ports;
	struct sandbox *sb;
	int r;
	AFTERWARDS(e);
	LOCKED(&e->lock);

	r = engine_sandbox(e, ref, true, &sb, err);
	if (r < 0)
		return r;
	if (!sb->declared)
		return cnm_error_set(err, CNM_E_INVALID,
				     "sandbox %s is not a container's: it cannot be started or "
				     "stopped, only removed",
				     sb->name);
	if (sb->stopped == stopped)
		return dry && !(dry->plan = strdup("")) ? cnm_error_errno(err, ENOMEM, "plan") : 0;
	if (!stopped) {
		r = sandbox_check_pin(e, sb->name, NULL, err);
		if (r == 0)
			r = check_rooms(sb, err);
		if (r < 0)
			return r;
	}
	plan_request(e, sb, &c.before);
	r = stopped || dry ? 0 : claim(e, sb, err);
	sb->stopped = stopped;
	if (r == 0 && !stopped) /* by what plugins have just said */
		r = gateway_begin(e, sb, NULL, &gateway, err);
	if (r == 0 && (r = ports_begin(e, sb, used, &ports, err)) < 0)
		gateway_end(e, &gateway, false);
	if (r < 0) {
		sb->stopped = !stopped;
		unclaim(sb);
		return r;
	}
	plan_request(e, sb, &c.after);
	r = change_prepare(&c, err);
	if (r == 0 && !dry)
		return carry_out(e, sb, &c, &gateway, &ports, err);
	sb->stopped = !stopped;
	unclaim(sb);
	gateway_end(e, &gateway, false);
	ports_end(e, sb, &ports, false);
	return r < 0 ? r : change_tell(&c, dry, err);
}

int cnm_sandbox_start(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		      struct cnm_error *err)
{
	struct hostports_used used;
	int r;

	reconcile_host_first(e);
	ports_look(e, ref, &used);
	r = switch_to(e, ref, false, &used, dry, err);
	/* A process was quicker: if ports are chosen, others may be free. */
	for (unsigned i = 1; i < PORTS_TRIES && r == -EADDRINUSE && used.first; i++) {
		ports_look(e, ref, &used);
		r = switch_to(e, ref, false, &used, dry, err);
	}
	return r;
}

int cnm_sandbox_stop(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		     struct cnm_error *err)
{
	reconcile_sandbox_first(e, ref);
	return switch_to(e, ref, true, NULL, dry, err);
}

/* ---- rename */

/* Lock held: the rows of a sandbox and of its endpoints as they are now. */
static struct store_tx *all_rows(struct cnm_engine *e, const struct sandbox *sb)
{
	struct store_tx *tx = store_tx_new(e->store);
	const struct endpoint *ep;

	tx_put_sandbox(&tx, sb, STORE_READY, false);
	list_for_each (ep, &sb->endpoints, in_sandbox)
		tx_put_endpoint(&tx, ep, STORE_READY, false);
	return tx;
}

static int check_rename(struct cnm_engine *e, const struct sandbox *sb, const char *name,
			struct cnm_error *err)
{
	const struct endpoint *ep;

	if (map_get(&e->model.sandbox_by_name, name))
		return sandbox_name_taken(e, name, err);
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (cluster_name_is_taken(e, ep->network, name))
			return cnm_error_set(err, CNM_E_FORBIDDEN,
					     "endpoint with name %s already exists in network %s",
					     name, ep->network->name);
	return sandbox_is_open(sb) ? sandbox_check_pin(e, name, NULL, err) : 0;
}

/* Lock held on entry and exit, let go meanwhile; the new name is in the model. */
static int write_rename(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err)
{
	bool pinned = sandbox_is_open(sb);
	struct store_tx *tx;
	int r;

	if (pinned && !sb->renamed_from)
		return cnm_error_errno(err, ENOMEM, "rename");
	tx = all_rows(e, sb);
	pthread_mutex_unlock(&e->lock);
	r = store_commit(e->store, tx, STORE_FULL, err);
	if (r == 0 && pinned)
		r = applier_rename(e->applier, sb->id, sb->name, err);
	pthread_mutex_lock(&e->lock);
	return r;
}

int cnm_sandbox_rename(struct cnm_engine *e, const char *ref, const char *name,
		       struct cnm_error *err)
{
	_free_ char *old = NULL;
	struct store_tx *tx;
	struct sandbox *sb;
	int r = sandbox_check_name(name, err);

	if (r < 0)
		return r;
	reconcile_sandbox_first(e, ref);
	LOCKED(&e->lock);
	r = engine_sandbox(e, ref, true, &sb, err);
	if (r < 0 || (r = check_rename(e, sb, name, err)) < 0)
		return r;
	old = strdup(sb->name);
	r = old ? model_rename_sandbox(&e->model, sb, name) : -ENOMEM;
	if (r < 0)
		return cnm_error_errno(err, r, "rename %s", ref);
	sb->busy = true;
	if (sandbox_is_open(sb))
		sb->renamed_from = strdup(old);
	r = cluster_rename_sandbox(e, sb, err);
	if (r == 0)
		r = write_rename(e, sb, err);
	free(take_ptr(sb->renamed_from));
	if (r < 0)
		model_rename_sandbox(&e->model, sb, old);
	else
		publish_sandbox(e, sb);
	tx = all_rows(e, sb);
	pthread_mutex_unlock(&e->lock);
	store_commit(e->store, tx, STORE_NORMAL, NULL);
	pthread_mutex_lock(&e->lock);
	sb->busy = false;
	pthread_cond_broadcast(&e->changed);
	return r;
}
