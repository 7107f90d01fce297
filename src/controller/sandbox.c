/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sandboxes: create (with their first endpoints), remove, look. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/cluster.h"
#include "controller/gateway_network.h"
#include "controller/ports.h"
#include "controller/remote.h"
#include "controller/sandbox_names.h"
#include "kernel/netns.h"

int sandbox_check_name(const char *name, struct cnm_error *err)
{
	bool ok = name && isalnum((unsigned char)name[0]) && strlen(name) <= 128;

	for (const char *p = name; ok && *p; p++)
		ok = isalnum((unsigned char)*p) || strchr("_.-", *p);
	if (ok)
		return 0;
	return cnm_error_set(err, CNM_E_INVALID,
			     "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are "
			     "allowed, and at most 128 of them",
			     name ? name : "");
}

/* A namespace is one sandbox's. Every sandbox has its pin, which tells which namespace it is. */
static int check_not_taken(struct cnm_engine *e, int ns, struct cnm_error *err)
{
	uint64_t dev, ino, pin_dev, pin_ino;
	const struct sandbox *sb;
	struct strbuf names = { 0 };
	int r = netns_inode(ns, &dev, &ino);

	pthread_mutex_lock(&e->lock);
	list_for_each (sb, &e->model.sandboxes, node)
		strbuf_addf(&names, "%s/", sb->name);
	pthread_mutex_unlock(&e->lock);
	if (r == 0 && names.failed)
		r = -ENOMEM;
	if (r < 0)
		cnm_error_errno(err, r, "look at the namespace to adopt");
	for (char *at = names.s, *name; r == 0 && at && (name = strsep(&at, "/")) && *name;) {
		_close_ int pin = -1;
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", e->netns_dir, name);
		if (netns_open_path(path, &pin, NULL) == 0 &&
		    netns_inode(pin, &pin_dev, &pin_ino) == 0 && dev == pin_dev && ino == pin_ino)
			r = cnm_error_set(err, CNM_E_FORBIDDEN,
					  "the namespace to adopt is already present in sandbox %s",
					  name);
	}
	strbuf_free(&names);
	return r;
}

/* The namespace to adopt: it must be one now. *ret_path is NULL when one is to be made. */
static int find_source(struct cnm_engine *e, const struct cnm_sandbox_config *c, char **ret_path,
		       struct cnm_error *err)
{
	bool at_path = c->netns && c->netns[0];
	_close_ int fd = -1;
	char proc[64];
	int r;

	*ret_path = NULL;
	if (c->pid && at_path)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"a sandbox adopts the namespace of a process or at a path, not "
			"both: give --pid or --netns");
	if (c->foreign && (c->pid || at_path || c->declared))
		return cnm_error_set(err, CNM_E_INVALID,
				     "a foreign sandbox is neither adopted nor started: its "
				     "namespace is another program's");
	if (!c->pid && !at_path)
		return 0;
	if (at_path && c->netns[0] != '/')
		return cnm_error_set(err, CNM_E_INVALID, "netns \"%s\" must be an absolute path",
				     c->netns);
	r = at_path ? netns_open_path(c->netns, &fd, err) : netns_open_pid(c->pid, &fd, err);
	if (r == 0)
		r = check_not_taken(e, fd, err);
	if (r < 0)
		return r;
	snprintf(proc, sizeof(proc), "/proc/%d/ns/net", (int)c->pid);
	*ret_path = strdup(at_path ? c->netns : proc);
	return *ret_path ? 0 : cnm_error_errno(err, ENOMEM, "adopt");
}

int sandbox_check_pin(const struct cnm_engine *e, const char *name, const char *adopted,
		      struct cnm_error *err)
{
	char pin[512];

	snprintf(pin, sizeof(pin), "%s/%s", e->netns_dir, name);
	if ((adopted && streq(adopted, pin)) || access(pin, F_OK) < 0)
		return 0;
	return cnm_error_set(
		err, CNM_E_CONFLICT,
		"a network namespace %s exists and is not cnm's: choose another name, or "
		"adopt it with --netns %s",
		pin, pin);
}

/* One that is there is refused by its name, which says more. */
static bool has_sandbox(struct cnm_engine *e, const char *name)
{
	LOCKED(&e->lock);

	return map_get(&e->model.sandbox_by_name, name) != NULL;
}

/* ---- create */

struct building {
	struct cnm_engine *e;
	const struct cnm_sandbox_config *c;
	struct sandbox *sb;
	struct ifnames taken; /* of an adopted namespace */
	struct ports_change ports;
	struct hostports_used used; /* when ports are to be chosen */
};

static int set_labels(struct sandbox *sb, const struct cnm_sandbox_config *c, struct cnm_error *err)
{
	for (size_t i = 0; i < c->n_labels; i++)
		if (json_put(sb->labels, c->labels[i].key, json_string(c->labels[i].value)) < 0)
			return cnm_error_errno(err, ENOMEM, "labels");
	return 0;
}

/* Everything that needs no other object. The path is taken over. */
static int build(struct building *b, char *path, struct cnm_error *err)
{
	struct sandbox *sb = sandbox_new(b->c->name);
	int r;

	if (!sb) {
		free(path);
		return cnm_error_errno(err, ENOMEM, "sandbox");
	}
	b->sb = sb;
	sb->adopted_from = path;
	sb->source = path ? NETNS_ADOPTED : b->c->foreign ? NETNS_FOREIGN : NETNS_OWN;
	sb->checked = true;
	sb->declared = sb->stopped = b->c->declared;
	sb->confined = b->c->confined;
	if (b->c->id)
		str_copy(sb->id, sizeof(sb->id), b->c->id);
	r = sandbox_set_names(sb, b->c, err);
	if (r == 0)
		r = set_labels(sb, b->c, err);
	return r < 0 ? r : sandbox_set_ports(sb, b->c, err);
}

static void unbuild(struct cnm_engine *e, struct sandbox *sb)
{
	struct endpoint *ep, *tmp;

	list_for_each_safe (ep, tmp, &sb->endpoints, in_sandbox)
		model_del_endpoint(&e->model, ep, false);
	model_del_sandbox(&e->model, sb);
}

/* Lock held: the sandbox shares the host's stack if its network says so. */
static int add_endpoint(struct building *b, const struct cnm_attachment *a, struct cnm_error *err)
{
	struct endpoint *ep;
	struct network *n;
	int r = engine_network(b->e, a->network, &n, err);

	if (r < 0)
		return r;
	if (n->driver->shares_host && list_empty(&b->sb->endpoints)) {
		if (b->sb->source != NETNS_OWN)
			return cnm_error_set(err, CNM_E_INVALID,
					     "an adopted namespace cannot be put on the network %s",
					     n->name);
		b->sb->source = NETNS_HOST;
	}
	return endpoint_add(b->e, n, b->sb, &a->endpoint, &b->taken, &ep, err);
}

/* Lock held. Waiting for a network is done before anything is entered, so that nothing is stale. */
static int wait_for_networks(struct building *b, struct cnm_error *err)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < b->c->n_networks; i++) {
			struct network *n;
			int r = engine_network_to_join(b->e, b->c->networks[i].network, &n, err);

			if (r < 0)
				return r;
			again |= r > 0;
		}
	}
	return 0;
}

int sandbox_name_taken(const struct cnm_engine *e, const char *name, struct cnm_error *err)
{
	const struct sandbox *o = map_get(&e->model.sandbox_by_name, name);

	return cnm_error_set(err, CNM_E_CONFLICT,
			     "Conflict. The container name \"/%s\" is already in use by container "
			     "\"%s\". You have to remove (or rename) that container to be able to "
			     "reuse that name.",
			     name, o ? o->id : "");
}

static int enter_name(struct building *b, struct cnm_error *err)
{
	int r = model_add_sandbox(&b->e->model, b->sb);

	if (r == -EEXIST)
		return sandbox_name_taken(b->e, b->sb->name, err);
	return r < 0 ? cnm_error_errno(err, r, "enter sandbox %s", b->sb->name) : 0;
}

/* On failure the sandbox is gone. */
static int enter(struct building *b, bool claim, struct change *c, struct cnm_error *err)
{
	struct gateway_change gateway = { 0 }; /* goes and comes with the other endpoints */
	int r = wait_for_networks(b, err);

	if (r == 0)
		r = enter_name(b, err);
	if (r < 0) {
		sandbox_free(b->sb);
		return r;
	}
	for (size_t i = 0; i < b->c->n_networks && r == 0; i++)
		r = add_endpoint(b, &b->c->networks[i], err);
	if (r == 0 && claim)
		r = engine_ask_sandbox(b->e, b->sb, err);
	if (r == 0)
		r = gateway_begin(b->e, b->sb, &b->taken, &gateway, err);
	if (r == 0)
		r = ports_begin(b->e, b->sb, &b->used, &b->ports, err);
	if (r == 0) {
		plan_request(b->e, b->sb, &c->after);
		r = change_prepare(c, err);
	}
	if (r < 0)
		unbuild(b->e, b->sb);
	return r;
}

static void put_rows(struct store_tx **tx, const struct sandbox *sb, enum store_state s,
		     bool insert)
{
	const struct endpoint *ep;

	tx_put_sandbox(tx, sb, s, insert);
	list_for_each (ep, &sb->endpoints, in_sandbox)
		tx_put_endpoint(tx, ep, s, insert);
}

/* Without the lock; the sandbox is CREATING, so nobody else changes its list. */
static void drop_rows(struct cnm_engine *e, const struct sandbox *sb)
{
	struct store_tx *tx = store_tx_new(e->store);
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		store_tx_delete(tx, STORE_ENDPOINT, ep->id);
	store_tx_delete(tx, STORE_SANDBOX, sb->id);
	store_commit(e->store, tx, STORE_NORMAL, NULL);
}

/* The rows that make it last; with them where its networks' addresses stand. Lock held. */
static struct store_tx *ready_rows(struct cnm_engine *e, const struct sandbox *sb)
{
	struct store_tx *tx = store_tx_new(e->store);
	const struct endpoint *ep;

	store_tx_set_state(tx, STORE_SANDBOX, sb->id, STORE_READY);
	list_for_each (ep, &sb->endpoints, in_sandbox) {
		store_tx_set_state(tx, STORE_ENDPOINT, ep->id, STORE_READY);
		if (ep->network->n_pools)
			tx_put_network(&tx, ep->network, STORE_READY, false);
	}
	return tx;
}

/* Lock held. */
static void become_ready(struct cnm_engine *e, struct sandbox *sb)
{
	struct endpoint *ep;

	sb->state = OBJ_READY;
	list_for_each (ep, &sb->endpoints, in_sandbox) {
		ep->state = OBJ_READY;
		if (!sb->stopped)
			events_network(e->events, "connect", ep->network, sb);
	}
}

/* Lock held on entry and exit, let go meanwhile. */
static int carry_out(struct cnm_engine *e, struct sandbox *sb, struct change *c,
		     struct cnm_error *err)
{
	struct store_tx *enter = store_tx_new(e->store), *ready;
	const struct endpoint *ep;
	int r;

	if (sb->declared) { /* nothing to make: its rows are all there is */
		ready = store_tx_new(e->store);
		put_rows(&ready, sb, STORE_READY, true);
	} else {
		put_rows(&enter, sb, STORE_CREATING, true);
		ready = ready_rows(e, sb);
	}
	list_for_each (ep, &sb->endpoints, in_sandbox)
		remote_put_joined(e, ep, ready);
	pthread_mutex_unlock(&e->lock);
	r = change_carry_out(e, c, enter, ready, sb->declared ? STORE_FULL : STORE_NORMAL, err);
	if (r < 0)
		drop_rows(e, sb);
	pthread_mutex_lock(&e->lock);
	if (r < 0)
		ports_tell(sb, err);
	if (r == 0 && (r = publish_sandbox(e, sb)) < 0) {
		cnm_error_errno(err, r, "publish the names of %s", sb->name);
		pthread_mutex_unlock(&e->lock);
		change_revert(e, c);
		drop_rows(e, sb);
		pthread_mutex_lock(&e->lock);
	}
	if (r == 0)
		become_ready(e, sb);
	return r;
}

/* *ret_again: a port that was chosen turned out to be taken; another may be free. */
static int create(struct cnm_engine *e, const struct cnm_sandbox_config *config,
		  struct cnm_dry_run *dry, char ret_id[CNM_ID_SIZE], bool *ret_again,
		  struct cnm_error *err)
{
	_cleanup_(change_free) struct change c = { 0 };
	struct building b = { .e = e, .c = config };
	char *path;
	int r = sandbox_check_name(config->name, err);

	if (r < 0 || (r = find_source(e, config, &path, err)) < 0)
		return r;
	r = build(&b, path, err);
	for (size_t i = 0; i < config->n_networks && r == 0; i++)
		r = gateway_network_prepare(e, config->networks[i].network, err);
	if (r == 0 && sandbox_is_open(b.sb) && !has_sandbox(e, config->name))
		r = sandbox_check_pin(e, config->name, path, err);
	if (r == 0 && path)
		r = applier_names_at(e->applier, path, b.taken.names, 64, &b.taken.n, err);
	if (r < 0) {
		sandbox_free(b.sb);
		return r;
	}
	if (sandbox_chooses_ports(b.sb))
		hostports_look(&b.used, NULL);
	reconcile_host_first(e);
	AFTERWARDS(e);
	LOCKED(&e->lock);
	r = enter(&b, !dry, &c, err);
	if (r < 0)
		return r;
	if (dry)
		r = change_tell(&c, dry, err);
	else
		r = carry_out(e, b.sb, &c, err);
	*ret_again = r == -EADDRINUSE && sandbox_chooses_ports(b.sb);
	if (r < 0 || dry)
		unbuild(e, b.sb);
	else
		memcpy(ret_id, b.sb->id, CNM_ID_SIZE);
	pthread_cond_broadcast(&e->changed);
	return r;
}

int cnm_sandbox_create(struct cnm_engine *e, const struct cnm_sandbox_config *config,
		       struct cnm_dry_run *dry, char ret_id[CNM_ID_SIZE], struct cnm_error *err)
{
	bool again = false;
	int r = create(e, config, dry, ret_id, &again, err);

	for (unsigned i = 1; i < PORTS_TRIES && r < 0 && again; i++) {
		again = false;
		r = create(e, config, dry, ret_id, &again, err);
	}
	return r;
}

/* ---- remove */

/* After a failed removal: the rows say READY again. Without the lock. */
static void mark_ready(struct cnm_engine *e, const struct sandbox *sb)
{
	struct store_tx *tx = store_tx_new(e->store);

	put_rows(&tx, sb, STORE_READY, false);
	store_commit(e->store, tx, STORE_NORMAL, NULL);
}

static void set_states(struct sandbox *sb, enum obj_state s)
{
	struct endpoint *ep;

	sb->state = s;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		ep->state = s;
}

/*
 * What is written before and after: declared endpoints stay, without a sandbox. Of a stopped one
 * there is nothing to take away between the two.
 */
static void removal_rows(struct cnm_engine *e, const struct sandbox *sb, struct store_tx **first,
			 struct store_tx **last)
{
	const struct endpoint *ep;

	*first = store_tx_new(e->store);
	*last = store_tx_new(e->store);
	if (!sb->stopped)
		store_tx_set_state(*first, STORE_SANDBOX, sb->id, STORE_REMOVING);
	list_for_each (ep, &sb->endpoints, in_sandbox) {
		if (ep->declared) {
			struct endpoint left = remote_without_join(ep);
			struct row_bufs bufs;
			struct store_row row;

			if (row_endpoint(&left, STORE_READY, &bufs, &row) == 0) {
				row.sandbox = NULL;
				store_tx_update(*last, &row);
			}
			free((char *)row.body);
		} else {
			if (!sb->stopped)
				store_tx_set_state(*first, STORE_ENDPOINT, ep->id, STORE_REMOVING);
			store_tx_delete(*last, STORE_ENDPOINT, ep->id);
		}
		remote_put_left(e, ep, !ep->declared, last);
	}
	store_tx_delete(*last, STORE_SANDBOX, sb->id);
}

/* Lock held. */
static void finish_removal(struct cnm_engine *e, struct sandbox *sb)
{
	struct endpoint *ep, *tmp;

	list_for_each_safe (ep, tmp, &sb->endpoints, in_sandbox) {
		if (!sb->stopped)
			events_network(e->events, "disconnect", ep->network, sb);
		endpoint_detach(ep);
		remote_forget_join(ep);
		ep->state = OBJ_READY;
		if (!ep->declared)
			model_del_endpoint(&e->model, ep, true);
	}
	model_del_sandbox(&e->model, sb);
}

/* Lock held on entry and exit, let go meanwhile. */
static int remove_sandbox(struct cnm_engine *e, struct sandbox *sb, struct change *c,
			  struct cnm_error *err)
{
	struct store_tx *first, *last;
	struct endpoint *ep;
	int r;

	set_states(sb, OBJ_REMOVING);
	list_for_each (ep, &sb->endpoints, in_sandbox)
		resolver_drop_names(e->resolver, ep->id);
	removal_rows(e, sb, &first, &last);
	pthread_mutex_unlock(&e->lock);
	r = change_carry_out(e, c, first, last, STORE_NORMAL, err);
	if (r < 0)
		mark_ready(e, sb);
	pthread_mutex_lock(&e->lock);
	if (r < 0) {
		set_states(sb, OBJ_READY);
		publish_sandbox(e, sb);
	} else {
		finish_removal(e, sb);
	}
	pthread_cond_broadcast(&e->changed);
	return r;
}

int cnm_sandbox_remove(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	_cleanup_(change_free) struct change c = { 0 };
	struct sandbox *sb;
	int r;

	reconcile_sandbox_first(e, ref);
	AFTERWARDS(e);
	LOCKED(&e->lock);
	r = engine_sandbox(e, ref, true, &sb, err);
	if (r < 0)
		return r;
	if (sb->declared && !sb->stopped)
		return cnm_error_set(
			err, CNM_E_CONFLICT,
			"sandbox %s is that of a running container: stop the container "
			"first",
			sb->name);
	plan_request(e, sb, &c.before);
	r = change_prepare(&c, err);
	if (r < 0)
		return r;
	return dry ? change_tell(&c, dry, err) : remove_sandbox(e, sb, &c, err);
}

/* ---- look */

int cnm_sandbox_inspect(struct cnm_engine *e, const char *ref, char **ret_json,
			struct cnm_error *err)
{
	_json_ json_t *o = NULL;
	struct sandbox *sb;
	char *text;
	int r;
	LOCKED(&e->lock);

	r = engine_sandbox(e, ref, false, &sb, err);
	if (r < 0)
		return r;
	o = inspect_sandbox(e, sb);
	text = o ? json_text(o) : NULL;
	if (!text)
		return cnm_error_errno(err, ENOMEM, "inspect sandbox %s", ref);
	*ret_json = text;
	return 0;
}

int cnm_sandbox_list(struct cnm_engine *e, char **ret_json, struct cnm_error *err)
{
	_json_ json_t *list = json_array();
	struct sandbox *sb;
	char *text;
	LOCKED(&e->lock);

	list_for_each (sb, &e->model.sandboxes, node)
		if (sb->state == OBJ_READY)
			json_push(list, inspect_sandbox(e, sb));
	text = json_text(list);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "list sandboxes");
	*ret_json = text;
	return 0;
}
