/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thread for each plugin that has a network here, so that one that hangs holds up no other. It
 * sleeps until a request has ended, somebody else wakes it, a debt's turn comes, or, while the
 * plugin does not answer, until it is to be tried again.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "controller/cluster.h"
#include "controller/remote.h"

#define NS_PER_S     1000000000ull
#define NS_PER_MS    1000000ull
#define MAX_PAUSE_S  30
#define NODE_CHANGES 1 /* libnetwork's DiscoveryType of hosts */

struct agent {
	struct list node;
	struct cnm_engine *e;
	char *plugin;
	pthread_t thread;
	int wake;
	/* the thread's own */
	bool silent; /* it was said that the plugin does not answer */
	unsigned failures;
	uint64_t next_try;  /* monotonic ns */
	unsigned greetings; /* when the plugin was told of the hosts */
	json_t *hosts;      /* {address: is it this one}: those that it was told of */
};

/* ---- does it answer? */

/* true: it does. */
static bool probe(struct agent *a)
{
	struct plugins *p = a->e->remote->plugins;
	struct cnm_error err = { 0 };
	uint64_t now = clock_mono_ns();
	char why[256];

	if (plugins_answers(p, a->plugin, why, sizeof(why)))
		goto answers;
	if (now < a->next_try)
		return false;
	if (plugins_require(p, a->plugin, NULL, NULL, &err) == 0)
		goto answers;
	if (!a->silent && !a->e->remote->stopping)
		log_warn("networks of plugin \"%s\" are degraded: %s", a->plugin, err.text);
	a->silent = true;
	a->next_try =
		clock_mono_ns() + (a->failures < 5 ? 1u << a->failures : MAX_PAUSE_S) * NS_PER_S;
	a->failures++;
	return false;
answers:
	if (a->silent) {
		log_info("plugin \"%s\" answers again", a->plugin);
		debts_hurry(a->e->remote->debts, a->plugin);
	}
	a->silent = false;
	a->failures = 0;
	a->next_try = 0;
	return true;
}

/* ---- the hosts of the cluster */

static json_t *hosts_up(struct cnm_engine *e)
{
	_free_ char *text = NULL;
	_json_ json_t *nodes = NULL;
	json_t *o = json_object(), *v;
	size_t i;

	if (!e->cluster || cnm_node_list(e, &text, NULL) < 0)
		return o;
	nodes = json_loads(text, 0, NULL);
	json_array_foreach (nodes, i, v) {
		const char *address = json_string_value(json_object_get(v, "Address"));
		bool self = json_is_true(json_object_get(v, "Self"));

		if (address && address[0] &&
		    (self || streq(json_string_value(json_object_get(v, "State")), "up")))
			json_put(o, address, json_boolean(self));
	}
	return o;
}

static int tell_host(struct agent *a, const char *method, const char *address, bool self)
{
	struct cnm_error err = { 0 };
	int r = plugins_call(a->e->remote->plugins, a->plugin, method,
			     json_pack("{s:i,s:{s:s,s:b}}", "DiscoveryType", NODE_CHANGES,
				       "DiscoveryData", "Address", address, "Self", (int)self),
			     NULL, &err);

	if (r < 0 && r != PLUGIN_LACKS)
		log_warn("tell plugin \"%s\" of host %s: %s", a->plugin, address, err.text);
	return r == PLUGIN_LACKS || r == PLUGIN_REFUSED ? 0 : r;
}

/* What it was told of is forgotten when it may have been started anew. */
static void tell_hosts(struct agent *a)
{
	_json_ json_t *up = hosts_up(a->e);
	struct plugin_abilities can;
	unsigned greetings = plugins_greetings(a->e->remote->plugins, a->plugin, &can);
	const char *address;
	json_t *v;
	void *tmp;

	if (greetings != a->greetings)
		json_object_clear(a->hosts);
	a->greetings = greetings;
	if (!can.meets_hosts || !up)
		return;
	json_object_foreach (up, address, v)
		if (!json_object_get(a->hosts, address) &&
		    tell_host(a, PLUGIN_NETWORK ".DiscoverNew", address, json_is_true(v)) == 0)
			json_object_set(a->hosts, address, v);
	json_object_foreach_safe (a->hosts, tmp, address, v)
		if (!json_object_get(up, address) &&
		    tell_host(a, PLUGIN_NETWORK ".DiscoverDelete", address, json_is_true(v)) == 0)
			json_object_del(a->hosts, address);
}

/* ---- the thread */

static bool is_stopping(struct cnm_engine *e)
{
	LOCKED(&e->remote->lock);

	return e->remote->stopping;
}

static int wait_ms(uint64_t until)
{
	uint64_t now = clock_mono_ns();

	if (until == UINT64_MAX)
		return -1;
	return until <= now ? 0 : (int)((until - now) / NS_PER_MS) + 1;
}

static void *agent_main(void *arg)
{
	struct agent *a = arg;
	struct pollfd p = { .fd = a->wake, .events = POLLIN };

	while (!is_stopping(a->e)) {
		uint64_t next = UINT64_MAX;
		eventfd_t n;

		if (probe(a)) {
			next = debts_pay(a->e, a->plugin);
			tell_hosts(a);
			while (remote_turn(a->e, a->plugin))
				;
		}
		if (a->next_try)
			next = a->next_try;
		if (poll(&p, 1, wait_ms(next)) > 0)
			eventfd_read(a->wake, &n);
	}
	return NULL;
}

static void agent_free(struct agent *a)
{
	close_fd(&a->wake);
	json_decref(a->hosts);
	free(a->plugin);
	free(a);
}

static struct agent *agent_new(struct cnm_engine *e, const char *plugin)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->e = e;
	a->plugin = strdup(plugin);
	a->hosts = json_object();
	a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!a->plugin || !a->hosts || a->wake < 0 ||
	    pthread_create(&a->thread, NULL, agent_main, a) != 0) {
		agent_free(a);
		return NULL;
	}
	return a;
}

static struct agent *find(const struct engine_remote *rm, const char *plugin)
{
	struct agent *a;

	list_for_each (a, &rm->agents, node)
		if (streq(a->plugin, plugin))
			return a;
	return NULL;
}

void agent_start(struct cnm_engine *e, const char *plugin)
{
	struct engine_remote *rm = e->remote;
	struct agent *a;
	LOCKED(&rm->lock);

	if (rm->stopping || find(rm, plugin))
		return;
	a = agent_new(e, plugin);
	if (a)
		list_append(&rm->agents, &a->node);
	else
		log_warn("watch plugin \"%s\": out of memory", plugin);
}

void agent_wake(struct cnm_engine *e, const char *plugin)
{
	struct agent *a;
	LOCKED(&e->remote->lock);

	a = find(e->remote, plugin);
	if (a)
		eventfd_write(a->wake, 1);
}

void agents_wake(struct cnm_engine *e)
{
	struct agent *a;
	LOCKED(&e->remote->lock);

	list_for_each (a, &e->remote->agents, node)
		eventfd_write(a->wake, 1);
}

/* ---- life */

int remote_new(struct cnm_engine *e, const struct cnm_options *o, struct cnm_error *err)
{
	struct engine_remote *rm = calloc(1, sizeof(*rm));
	int r;

	if (!rm)
		return cnm_error_errno(err, ENOMEM, "plugins");
	pthread_mutex_init(&rm->lock, NULL);
	list_init(&rm->agents);
	e->remote = rm;
	r = plugins_new(&rm->plugins, e->run_dir, o->plugin_timeout_ms, err);
	return r < 0 ? r : debts_new(&rm->debts, err);
}

/* The plugins of all networks, which are few. */
static json_t *plugins_in_use(struct cnm_engine *e)
{
	json_t *names = json_object();
	const struct network *n;
	LOCKED(&e->lock);

	list_for_each (n, &e->model.networks, node) {
		if (n->plugin)
			json_put(names, n->plugin, json_true());
		if (n->ipam && !streq(n->ipam, "null"))
			json_put(names, n->ipam, json_true());
	}
	return names;
}

int remote_start(struct cnm_engine *e, struct cnm_error *err)
{
	_json_ json_t *names = plugins_in_use(e);
	const char *name;
	json_t *v;

	debts_creditors(e->remote->debts, names);
	json_object_foreach (names, name, v)
		agent_start(e, name);
	return 0;
}

void remote_stop(struct cnm_engine *e)
{
	struct engine_remote *rm = e->remote;
	struct agent *a, *tmp;

	if (!rm || !rm->plugins)
		return;
	pthread_mutex_lock(&rm->lock);
	rm->stopping = true;
	pthread_mutex_unlock(&rm->lock);
	plugins_cancel(rm->plugins);
	agents_wake(e);
	list_for_each_safe (a, tmp, &rm->agents, node) {
		pthread_join(a->thread, NULL);
		list_del(&a->node);
		agent_free(a);
	}
}

void remote_free(struct cnm_engine *e)
{
	struct engine_remote *rm = e->remote;

	if (!rm)
		return;
	debts_free(rm->debts);
	plugins_free(rm->plugins);
	pthread_mutex_destroy(&rm->lock);
	free(rm);
	e->remote = NULL;
}

void remote_afterwards(struct cnm_engine *e)
{
	debts_afterwards(e);
	agents_wake(e); /* a way out may be another, a plugin away or back */
}

/* ---- what others are told */

bool remote_is_degraded(const struct cnm_engine *e, const struct network *n, char *why, size_t size)
{
	const char *names[] = { n->plugin, n->ipam && !streq(n->ipam, "null") ? n->ipam : NULL };

	for (unsigned i = 0; i < 2; i++)
		if (names[i] && !plugins_answers(e->remote->plugins, names[i], why, size) && why[0])
			return true;
	return false;
}

void remote_doctor(struct cnm_engine *e, json_t *notes)
{
	const struct network *n;
	char why[256];
	LOCKED(&e->lock);

	list_for_each (n, &e->model.networks, node)
		if (remote_is_degraded(e, n, why, sizeof(why)))
			json_push(notes, json_sprintf("network %s is degraded: %s; endpoints on it "
						      "stay as they are, and none can be made or "
						      "removed there until it answers",
						      n->name, why));
}

int cnm_plugin_list(struct cnm_engine *e, char **ret_json, struct cnm_error *err)
{
	_json_ json_t *list = plugins_list(e->remote->plugins);
	json_t *o;
	size_t i;

	json_array_foreach (list, i, o) {
		const char *name = json_string_value(json_object_get(o, "Name"));
		const struct network *n;
		unsigned networks = 0;

		pthread_mutex_lock(&e->lock);
		list_for_each (n, &e->model.networks, node)
			networks += (n->plugin && streq(n->plugin, name)) ||
				    (n->ipam && streq(n->ipam, name));
		pthread_mutex_unlock(&e->lock);
		json_put(o, "Networks", json_integer(networks));
		json_put(o, "Debts", json_integer(debts_count(e->remote->debts, name)));
	}
	*ret_json = list ? json_text(list) : NULL;
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "list plugins");
}
