/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From rows to the model, at start. What was being created is taken back, for nobody had an answer;
 * what was being removed is finished; after a reboot, what lived only as long as the boot is void.
 * All three mean the same here: the row goes, the object does not enter the model, and what is left
 * of it in the kernel is removed by the first comparison, since nobody wants it. Pins of namespaces
 * bear no mark of their own, so those are removed by name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "controller/engine.h"
#include "controller/ports.h"
#include "controller/remote.h"
#include "kernel/netns.h"
#include "model/codec.h"

struct restore {
	struct cnm_engine *e;
	struct store_tx *tx; /* rows to delete */
	bool rebooted;
	bool skipped; /* a network could not be restored: what refers to it is kept */
};

/* One whose removal was under way: its plugins may not have been told. */
static void owe_for_network(struct restore *rs, const struct store_row *row)
{
	struct network *n;

	if (network_decode(row->id, row->name, row->body, &n, NULL) < 0)
		return;
	if (n->plugin || n->ipam)
		remote_network_owe(rs->e, n, &rs->tx);
	network_free(n);
}

static int load_network(const struct store_row *row, void *arg, struct cnm_error *err)
{
	struct restore *rs = arg;
	struct cnm_engine *e = rs->e;
	struct cnm_error why = { 0 };
	struct network *n;
	int r;

	if (row->state != STORE_READY) {
		store_tx_delete(rs->tx, STORE_NETWORK, row->id);
		if (row->state == STORE_REMOVING)
			owe_for_network(rs, row);
		return 0;
	}
	r = network_decode(row->id, row->name, row->body, &n, &why);
	if (r == 0 && !n->config_only && n->driver->network_parse &&
	    (r = n->driver->network_parse(n, &e->env, &why)) < 0)
		network_free(n);
	if (r < 0) {
		/* One that cannot be understood stays in the database and does not hold up the
		 * rest. */
		log_err("restore network \"%s\": %s; it is left out", row->name, why.text);
		rs->skipped = true;
		return 0;
	}
	n->state = OBJ_READY;
	r = model_add_network(&e->model, n);
	if (r < 0) {
		network_free(n);
		return cnm_error_errno(err, r, "restore network \"%s\"", row->name);
	}
	return 0;
}

/* What a void sandbox has left in the file system, and in a namespace that is not ours. */
static void drop_namespace(struct cnm_engine *e, const struct sandbox *sb)
{
	char pin[512];
	int ns;

	if (sb->source == NETNS_FOREIGN)
		return;
	snprintf(pin, sizeof(pin), "%s/%s", e->netns_dir, sb->name);
	if (sb->source == NETNS_ADOPTED && netns_open_path(sb->adopted_from, &ns, NULL) == 0) {
		netns_dns_table_remove(ns, NULL);
		close_fd(&ns);
	}
	if (sb->source != NETNS_ADOPTED || !streq(sb->adopted_from, pin))
		netns_unpin(e->netns_dir, sb->name, NULL);
}

/* A rename of the pin that was under way is finished. */
static void finish_rename(struct cnm_engine *e, struct sandbox *sb)
{
	char old[512];
	int ns;

	snprintf(old, sizeof(old), "%s/%s", e->netns_dir, sb->renamed_from);
	if (netns_open_path(old, &ns, NULL) == 0) {
		if (netns_pin(ns, e->netns_dir, sb->name, NULL) == 0)
			netns_unpin(e->netns_dir, sb->renamed_from, NULL);
		close_fd(&ns);
	}
	free(take_ptr(sb->renamed_from));
}

/* A declared sandbox stays; one that was being started or stopped, or that ran before a reboot, is
 * stopped. */
static void restore_declared(struct restore *rs, struct sandbox *sb, enum store_state state)
{
	bool was_stopped = sb->stopped, renaming = sb->renamed_from != NULL;

	if (renaming)
		finish_rename(rs->e, sb);
	if (state != STORE_READY)
		drop_namespace(rs->e, sb);
	sb->stopped |= state != STORE_READY || rs->rebooted;
	if (renaming || state != STORE_READY || sb->stopped != was_stopped)
		tx_put_sandbox(&rs->tx, sb, STORE_READY, false);
}

static int load_sandbox(const struct store_row *row, void *arg, struct cnm_error *err)
{
	struct restore *rs = arg;
	struct cnm_engine *e = rs->e;
	struct sandbox *sb;
	int r;

	r = sandbox_decode(row->id, row->name, row->body, &sb, err);
	if (r < 0)
		return cnm_error_prefix(err, "restore sandbox %s", row->name), r;
	if (sb->declared) {
		restore_declared(rs, sb, row->state);
	} else if (row->state != STORE_READY || rs->rebooted) {
		drop_namespace(e, sb);
		store_tx_delete(rs->tx, STORE_SANDBOX, row->id);
		sandbox_free(sb);
		return 0;
	}
	if (sb->stopped) {
		free(take_ptr(sb->ports));
		sb->n_ports = 0;
	}
	sb->state = OBJ_READY;
	r = model_add_sandbox(&e->model, sb);
	if (r < 0) {
		sandbox_free(sb);
		return cnm_error_errno(err, r, "restore sandbox %s", row->name);
	}
	return 0;
}

/* One of another host, and the daemon is in no cluster any more. */
static bool is_left_over(const struct cnm_engine *e, const struct endpoint *ep)
{
	return endpoint_is_remote(ep) && !ip_is_set(&e->env.vtep);
}

/* It was in a sandbox that is there no more. */
static void leave_behind(struct restore *rs, struct endpoint *ep)
{
	remote_put_left(rs->e, ep, false, &rs->tx);
	remote_forget_join(ep);
	tx_put_endpoint(&rs->tx, ep, STORE_READY, false);
}

/* An endpoint is void with its sandbox or network; a declared one outlives its sandbox. */
static int load_endpoint(const struct store_row *row, void *arg, struct cnm_error *err)
{
	struct restore *rs = arg;
	struct cnm_engine *e = rs->e;
	struct network *n = row->network ? map_get(&e->model.network_by_id, row->network) : NULL;
	struct sandbox *sb = row->sandbox && row->sandbox[0]
				     ? map_get(&e->model.sandbox_by_id, row->sandbox)
				     : NULL;
	const char *name = row->name ? row->name : row->id;
	const struct cnm_ip *ips[2];
	struct endpoint *ep;
	int r;

	if (row->state != STORE_READY || !n) {
		if (n || !rs->skipped)
			store_tx_delete(rs->tx, STORE_ENDPOINT, row->id);
		if (n && row->state == STORE_REMOVING &&
		    endpoint_decode(row->id, row->name, n, row->body, &ep, NULL) == 0) {
			remote_put_left(e, ep, true, &rs->tx);
			endpoint_free(ep);
		}
		return 0;
	}
	r = endpoint_decode(row->id, row->name, n, row->body, &ep, err);
	if (r < 0)
		return cnm_error_prefix(err, "restore endpoint %s", name), r;
	if ((!sb && !ep->declared) || is_left_over(e, ep)) {
		store_tx_delete(rs->tx, STORE_ENDPOINT, row->id);
		if (!endpoint_is_remote(ep))
			remote_put_left(e, ep, true, &rs->tx);
		endpoint_free(ep);
		return 0;
	}
	r = model_add_endpoint(&e->model, ep);
	if (r < 0) {
		endpoint_free(ep);
		return cnm_error_errno(err, r, "restore endpoint %s", name);
	}
	ep->state = OBJ_READY;
	if (ep->asked && (!sb || sb->stopped))
		leave_behind(rs, ep);
	ep->claimed = network_is_global(n) && !endpoint_is_remote(ep) && !(sb && sb->stopped);
	ips[0] = &ep->ip4;
	ips[1] = &ep->ip6;
	for (unsigned i = 0; i < 2; i++) {
		struct network_pool *p = network_pool_of(n, ips[i]);

		if (p && ipam_pool_take(p->taken, ips[i]) < 0)
			log_warn("endpoint %s: its address is taken already", name);
	}
	if (sb) {
		sandbox_insert(sb, ep);
	} else {
		ep->ifname[0] = 0;
		ep->joined = 0;
		if (row->sandbox && row->sandbox[0])
			tx_put_endpoint(&rs->tx, ep, STORE_READY, false);
	}
	return 0;
}

/* Rows of endpoints that never entered, deleted before what they refer to. */
static int load_all(struct restore *rs, struct cnm_error *err)
{
	struct cnm_engine *e = rs->e;
	struct store_tx *endpoints, *others;
	int r;

	r = debts_load(e, err);
	if (r < 0)
		return r;
	others = rs->tx = store_tx_new(e->store);
	r = store_each(e->store, STORE_NETWORK, load_network, rs, err);
	if (r == 0)
		r = store_each(e->store, STORE_SANDBOX, load_sandbox, rs, err);
	rs->tx = store_tx_new(e->store);
	if (r == 0)
		r = store_each(e->store, STORE_ENDPOINT, load_endpoint, rs, err);
	if (r < 0) {
		store_tx_free(rs->tx);
		store_tx_free(others);
		return r;
	}
	endpoints = rs->tx;
	if (store_commit(e->store, endpoints, STORE_FULL, err) < 0 ||
	    store_commit(e->store, others, STORE_FULL, err) < 0)
		log_warn("tidy the database: %s; changes are refused until it can be written",
			 err && err->text[0] ? err->text : "failed");
	return 0;
}

static int read_boot(struct restore *rs, struct cnm_error *err)
{
	struct cnm_engine *e = rs->e;
	char *last = NULL, *f4 = NULL, *f6 = NULL;
	int r = store_meta_get(e->store, "boot-id", &last, err);

	if (r == 0)
		r = store_meta_get(e->store, "forward4-boot", &f4, err);
	if (r == 0)
		r = store_meta_get(e->store, "forward6-boot", &f6, err);
	rs->rebooted = !last || !streq(last, e->boot_id);
	e->forward4_ours = f4 && streq(f4, e->boot_id);
	e->forward6_ours = f6 && streq(f6, e->boot_id);
	free(last);
	free(f4);
	free(f6);
	return r;
}

/* Endpoints of other hosts are told of until the cluster's store says otherwise. */
static int publish_others(struct cnm_engine *e)
{
	const struct network *n;
	const struct endpoint *ep;
	int r = 0;

	list_for_each (n, &e->model.networks, node)
		list_for_each (ep, &n->endpoints, in_network)
			if (r == 0 && endpoint_is_remote(ep))
				r = publish_endpoint(e, ep);
	return r;
}

/* One that is there no more: a first join or a last leave was cut short. */
static void know_place(struct cnm_engine *e, const struct network *n, const char *name)
{
	if (network_is_present(n))
		applier_know(e->applier, n->id, name);
	else
		netns_unpin(e->netns_dir, name, NULL);
}

/* Namespaces that were there before this daemon. */
static void know_places(struct cnm_engine *e)
{
	const struct sandbox *sb;
	const struct network *n;

	list_for_each (sb, &e->model.sandboxes, node)
		if (sandbox_is_open(sb))
			applier_know(e->applier, sb->id, sb->name);
	list_for_each (n, &e->model.networks, node) {
		struct plan p = { 0 };

		if (network_is_global(n) && n->driver->network_plan)
			n->driver->network_plan(n, &e->env, &p);
		for (size_t i = 0; i < p.n; i++)
			if (p.items[i].kind == PLAN_NETNS)
				know_place(e, n, p.items[i].netns.name);
		plan_free(&p);
	}
}

static void fit_ports(struct cnm_engine *e, struct sandbox *sb)
{
	struct ports_change c;
	struct cnm_error why = { 0 };

	if (ports_begin(e, sb, NULL, &c, &why) == 0) {
		ports_end(e, sb, &c, true);
		return;
	}
	log_warn("publish the ports of %s: %s", sb->name, why.text);
	port_index_del(&e->model.ports, sb->ports, sb->n_ports);
	free(take_ptr(sb->ports));
	sb->n_ports = 0;
}

/*
 * A row may tell of ports by a way out that its sandbox has no more: it was leaving it, the network
 * could not be restored, the host is without IPv6 now.
 */
static void fit_all_ports(struct cnm_engine *e)
{
	struct store_tx *tx = store_tx_new(e->store);
	struct sandbox *sb;

	list_for_each (sb, &e->model.sandboxes, node) {
		_json_ json_t *was = NULL, *now = NULL;

		if (sb->stopped || !sb->n_wants)
			continue;
		was = ports_encode(sb->ports, sb->n_ports);
		fit_ports(e, sb);
		now = ports_encode(sb->ports, sb->n_ports);
		if (!json_equal(was, now))
			tx_put_sandbox(&tx, sb, STORE_READY, false);
	}
	if (store_commit(e->store, tx, STORE_NORMAL, NULL) < 0)
		log_warn(
			"write which ports of the host there are: failed; the next start tries again");
}

int engine_restore(struct cnm_engine *e, struct cnm_error *err)
{
	struct restore rs = { .e = e };
	struct sandbox *sb;
	int r = read_boot(&rs, err);

	if (r == 0)
		r = load_all(&rs, err);
	if (r < 0)
		return r;
	if (rs.rebooted) {
		struct store_tx *tx = store_tx_new(e->store);

		store_tx_set_meta(tx, "boot-id", e->boot_id);
		r = store_commit(e->store, tx, STORE_FULL, err);
		if (r < 0)
			return r;
	}
	fit_all_ports(e);
	/* Every name before the first socket: who asks is answered with all of them or waits. */
	list_for_each (sb, &e->model.sandboxes, node) {
		r = publish_sandbox(e, sb);
		if (r < 0)
			return cnm_error_errno(err, r, "publish the names of %s", sb->name);
	}
	r = publish_others(e);
	if (r < 0)
		return cnm_error_errno(err, r, "publish the names of other hosts");
	know_places(e);
	return 0;
}
