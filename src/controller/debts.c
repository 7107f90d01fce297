/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "controller/debts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "controller/remote.h"

#define MAX_REFUSALS 3
#define NS_PER_S     1000000000ull
#define MAX_WAIT_S   30

struct debt {
	struct list node;
	char id[ID_SIZE], about[ID_SIZE];
	bool joined;
	bool written;
	json_t *calls; /* [{"plugin", "method", "args"}] */
	unsigned refusals, tries;
	uint64_t next; /* monotonic ns; not before */
	bool paying;   /* by one thread, which alone changes `calls` then, with the lock */
};

struct debts {
	pthread_mutex_t lock;
	struct list all; /* oldest first */
};

/* ---- one */

struct debt *debt_new(const char *about, bool joined)
{
	struct debt *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	list_init(&d->node);
	id_new(d->id);
	str_copy(d->about, sizeof(d->about), about);
	d->joined = joined;
	d->calls = json_array();
	if (!d->calls) {
		debt_free(d);
		return NULL;
	}
	return d;
}

void debt_free(struct debt *d)
{
	if (!d)
		return;
	json_decref(d->calls);
	free(d);
}

void debt_set_about(struct debt *d, const char *about)
{
	str_copy(d->about, sizeof(d->about), about);
}

/* For want of memory it is not written down: what a crash leaves then is the plugin's to clear. */
void debt_add(struct debt *d, const char *plugin, const char *method, json_t *args)
{
	json_t *call = json_pack("{s:s,s:s,s:o}", "plugin", plugin, "method", method, "args",
				 args ? args : json_null());

	if (call)
		json_array_insert_new(d->calls, 0, call);
}

void debt_forget_call(struct debt *d, const char *method, const char *arg, const char *value)
{
	json_t *call;
	size_t i;

	json_array_foreach (d->calls, i, call) {
		const json_t *args = json_object_get(call, "args");

		if (!streq(json_string_value(json_object_get(call, "method")), method) ||
		    !streq(json_string_value(json_object_get(args, arg)), value))
			continue;
		json_array_remove(d->calls, i);
		return;
	}
}

bool debt_is_empty(const struct debt *d)
{
	return json_array_size(d->calls) == 0;
}

static char *encode(const struct debt *d)
{
	_json_ json_t *o = json_object();

	json_put(o, "about", json_string(d->about));
	json_put(o, "joined", json_boolean(d->joined));
	json_put(o, "calls", json_incref(d->calls));
	return json_text(o);
}

void debt_put(struct debt *d, struct store_tx **tx)
{
	_free_ char *body = encode(d);
	struct store_row row = {
		.kind = STORE_DEBT, .state = STORE_READY, .id = d->id, .body = body
	};

	if (!body) {
		store_tx_free(*tx);
		*tx = NULL;
	} else if (*tx && d->written) {
		store_tx_update(*tx, &row);
	} else if (*tx) {
		store_tx_insert(*tx, &row);
	}
	d->written = true;
}

int debt_write(struct cnm_engine *e, struct debt *d, struct cnm_error *err)
{
	struct store_tx *tx = store_tx_new(e->store);
	bool was = d->written;
	int r;

	debt_put(d, &tx);
	r = store_commit(e->store, tx, STORE_NORMAL, err);
	d->written = was || r == 0;
	return r;
}

/* ---- all */

int debts_new(struct debts **ret, struct cnm_error *err)
{
	struct debts *ds = calloc(1, sizeof(*ds));

	if (!ds)
		return cnm_error_errno(err, ENOMEM, "debts");
	pthread_mutex_init(&ds->lock, NULL);
	list_init(&ds->all);
	*ret = ds;
	return 0;
}

void debts_free(struct debts *ds)
{
	struct debt *d, *tmp;

	if (!ds)
		return;
	list_for_each_safe (d, tmp, &ds->all, node)
		debt_free(d);
	pthread_mutex_destroy(&ds->lock);
	free(ds);
}

void debt_enter(struct cnm_engine *e, struct debt *d)
{
	struct debts *ds = e->remote->debts;
	LOCKED(&ds->lock);

	list_append(&ds->all, &d->node);
}

static int load(const struct store_row *row, void *arg, struct cnm_error *err)
{
	struct cnm_engine *e = arg;
	_json_ json_t *o = json_loads(row->body, 0, NULL);
	json_t *calls = json_object_get(o, "calls");
	const char *about = json_string_value(json_object_get(o, "about"));
	struct debt *d = debt_new(about ? about : "", json_is_true(json_object_get(o, "joined")));

	if (!d)
		return cnm_error_errno(err, ENOMEM, "debts");
	str_copy(d->id, sizeof(d->id), row->id);
	d->written = true;
	if (json_is_array(calls)) {
		json_decref(d->calls);
		d->calls = json_incref(calls);
	}
	debt_enter(e, d);
	return 0;
}

int debts_load(struct cnm_engine *e, struct cnm_error *err)
{
	return store_each(e->store, STORE_DEBT, load, e, err);
}

void debts_forgive(struct cnm_engine *e, const char *about, struct store_tx *tx)
{
	struct debts *ds = e->remote->debts;
	const struct debt *d;
	LOCKED(&ds->lock);

	list_for_each (d, &ds->all, node)
		if (tx && streq(d->about, about))
			store_tx_delete(tx, STORE_DEBT, d->id);
}

static const char *creditor(const struct debt *d)
{
	const char *s = json_string_value(json_object_get(json_array_get(d->calls, 0), "plugin"));

	return s ? s : "";
}

void debts_hurry(struct debts *ds, const char *plugin)
{
	struct debt *d;
	LOCKED(&ds->lock);

	list_for_each (d, &ds->all, node)
		if (!d->paying && streq(creditor(d), plugin))
			d->next = 0;
}

void debts_creditors(struct debts *ds, json_t *names)
{
	const struct debt *d;
	LOCKED(&ds->lock);

	list_for_each (d, &ds->all, node)
		if (creditor(d)[0])
			json_put(names, creditor(d), json_true());
}

unsigned debts_count(struct debts *ds, const char *plugin)
{
	const struct debt *d;
	unsigned n = 0;
	LOCKED(&ds->lock);

	list_for_each (d, &ds->all, node)
		n += streq(creditor(d), plugin);
	return n;
}

/* ---- what is due */

enum fate { PENDING, DUE, FORGIVEN };

/* The engine's lock is held. */
static enum fate fate_of(const struct cnm_engine *e, const struct debt *d)
{
	const struct network *n = map_get(&e->model.network_by_id, d->about);
	const struct endpoint *ep = map_get(&e->model.endpoint_by_id, d->about);

	if (n)
		return n->state == OBJ_READY ? FORGIVEN : PENDING;
	if (!ep || (d->joined && !ep->asked))
		return DUE;
	return ep->state == OBJ_READY && !(ep->sandbox && ep->sandbox->busy) ? FORGIVEN : PENDING;
}

/* One that is due and nobody pays, taken for the caller to pay. Both locks are held. */
static bool takes(const struct debt *d, const char *plugin, uint64_t now)
{
	if (d->paying)
		return false;
	return plugin ? d->next <= now && streq(creditor(d), plugin) : d->tries == 0;
}

/* As it mostly is, without plugins. */
static bool is_free(struct debts *ds)
{
	LOCKED(&ds->lock);

	return list_empty(&ds->all);
}

static struct debt *take_due(struct cnm_engine *e, const char *plugin, uint64_t *next)
{
	struct debts *ds = e->remote->debts;
	uint64_t now = clock_mono_ns();
	struct debt *d, *tmp, *found = NULL;
	struct store_tx *tx = NULL;

	*next = UINT64_MAX;
	if (is_free(ds))
		return NULL;
	pthread_mutex_lock(&e->lock);
	pthread_mutex_lock(&ds->lock);
	list_for_each_safe (d, tmp, &ds->all, node) {
		enum fate fate = d->paying ? PENDING : fate_of(e, d);

		if (fate == FORGIVEN) {
			tx = tx ? tx : store_tx_new(e->store);
			store_tx_delete(tx, STORE_DEBT, d->id);
			list_del(&d->node);
			debt_free(d);
		} else if (fate == DUE && !found && takes(d, plugin, now)) {
			found = d;
			d->paying = true;
		} else if (fate == DUE && plugin && streq(creditor(d), plugin)) {
			*next = d->next < *next ? d->next : *next;
		}
	}
	pthread_mutex_unlock(&ds->lock);
	pthread_mutex_unlock(&e->lock);
	if (tx)
		store_commit(e->store, tx, STORE_NORMAL, NULL);
	return found;
}

/* ---- paying */

/* The first call. 0: it is done with; 1: a plugin has to be asked once more. */
static int pay_one(struct cnm_engine *e, struct debt *d)
{
	const json_t *call = json_array_get(d->calls, 0);
	const char *plugin = creditor(d);
	const char *method = json_string_value(json_object_get(call, "method"));
	json_t *args = json_object_get(call, "args");
	struct cnm_error err = { 0 };
	int r;

	r = method ? plugins_call(e->remote->plugins, plugin, method,
				  json_is_null(args) ? NULL : json_incref(args), NULL, &err)
		   : 0;
	if (r == 0 || r == PLUGIN_LACKS)
		return 0;
	if (r == PLUGIN_REFUSED && ++d->refusals < MAX_REFUSALS)
		return 1;
	if (r == PLUGIN_REFUSED) {
		log_warn("plugin \"%s\" refuses %s for %.12s: %s; it is not told again", plugin,
			 method, d->about, err.text);
		return 0;
	}
	if (d->tries == 0)
		log_warn("%s: %s", method, err.text);
	return 1;
}

static void drop(struct cnm_engine *e, struct debt *d)
{
	struct debts *ds = e->remote->debts;
	struct store_tx *tx = store_tx_new(e->store);

	store_tx_delete(tx, STORE_DEBT, d->id);
	store_commit(e->store, tx, STORE_NORMAL, NULL);
	pthread_mutex_lock(&ds->lock);
	list_del(&d->node);
	pthread_mutex_unlock(&ds->lock);
	debt_free(d);
}

static void put_off(struct cnm_engine *e, struct debt *d)
{
	struct debts *ds = e->remote->debts;
	unsigned wait = d->tries < 5 ? 1u << d->tries : MAX_WAIT_S;
	_free_ char *plugin = strdup(creditor(d));

	debt_write(e, d, NULL);
	pthread_mutex_lock(&ds->lock);
	d->tries++;
	d->next = clock_mono_ns() + wait * NS_PER_S;
	d->paying = false;
	pthread_mutex_unlock(&ds->lock);
	if (plugin)
		agent_wake(e, plugin);
}

/* It has been taken by take_due(). */
static void pay(struct cnm_engine *e, struct debt *d)
{
	struct debts *ds = e->remote->debts;

	while (!debt_is_empty(d)) {
		if (pay_one(e, d) != 0) {
			put_off(e, d);
			return;
		}
		d->refusals = 0;
		pthread_mutex_lock(&ds->lock);
		json_array_remove(d->calls, 0);
		pthread_mutex_unlock(&ds->lock);
	}
	drop(e, d);
}

void debts_afterwards(struct cnm_engine *e)
{
	struct debt *d;
	uint64_t next;

	while ((d = take_due(e, NULL, &next)))
		pay(e, d);
}

uint64_t debts_pay(struct cnm_engine *e, const char *plugin)
{
	struct debt *d;
	uint64_t next;

	while ((d = take_due(e, plugin, &next)))
		pay(e, d);
	return next;
}
