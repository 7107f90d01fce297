/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Endpoints on networks of plugins, or with addresses from one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "controller/gateway_network.h"
#include "controller/remote.h"
#include "plugins/remote_ipam.h"
#include "plugins/remote_network.h"

#define MAX_PORTS 4096 /* that a plugin is told of, one by one */

static bool has_ipam_plugin(const struct network *n)
{
	return n->ipam && !streq(n->ipam, "null");
}

/* ---- addresses */

struct address_request {
	char ipam[128], pool_id[4200], name[256];
	struct cnm_ip ip;
	struct cnm_mac mac;
	struct cnm_prefix given;
};

static json_t *address_options(const struct address_request *q)
{
	json_t *o = json_object();
	char mac[MAC_STR];

	json_put(o, "com.docker.network.endpoint.name", json_string(q->name));
	if (mac_is_set(&q->mac))
		json_put(o, "com.docker.network.endpoint.macaddress",
			 json_string(mac_format(&q->mac, mac)));
	return o;
}

/* Without the lock. */
static int request_address(struct cnm_engine *e, struct address_request *q, struct debt *d,
			   struct cnm_error *err)
{
	int r = remote_request_address(e->remote->plugins, q->ipam, q->pool_id, &q->ip,
				       address_options(q), &q->given, err);

	if (r < 0)
		return r;
	debt_add(d, q->ipam, PLUGIN_IPAM ".ReleaseAddress",
		 remote_release_address(q->pool_id, &q->given.ip));
	return debt_write(e, d, err);
}

/* Lock held: what it gave is free here, too. */
static int take_given(struct network *n, const struct cnm_prefix *given, struct cnm_ip *ip,
		      struct cnm_error *err)
{
	struct network_pool *p = network_pool_of(n, &given->ip);
	char buf[IP_STR];
	int r = p ? ipam_pool_take(p->taken, &given->ip) : -ERANGE;

	if (r == -ENOMEM)
		return cnm_error_errno(err, r, "take an address");
	if (r < 0)
		return cnm_error_set(
			err, CNM_E_INTERNAL, "plugin \"%s\" gave %s, which %s on network %s",
			has_ipam_plugin(n) ? n->ipam : n->plugin, ip_format(&given->ip, buf),
			p ? "is in use" : "is in none of the subnets", n->name);
	*ip = given->ip;
	return 0;
}

/* Fixed addresses are in the model already, and are only asked for. */
static int give_one(struct cnm_engine *e, struct endpoint *ep, int family, struct debt *d,
		    struct cnm_error *err)
{
	struct cnm_ip *ip = family == AF_INET ? &ep->ip4 : &ep->ip6;
	bool fixed = ip_is_set(ip);
	const struct network_pool *p =
		fixed ? network_pool_of(ep->network, ip) : network_pool(ep->network, family);
	struct address_request q = { .ip = *ip, .mac = ep->mac };
	int r;

	if (!p || !p->pool_id)
		return 0;
	str_copy(q.ipam, sizeof(q.ipam), ep->network->ipam);
	str_copy(q.pool_id, sizeof(q.pool_id), p->pool_id);
	str_copy(q.name, sizeof(q.name), ep->name);
	pthread_mutex_unlock(&e->lock);
	r = request_address(e, &q, d, err);
	pthread_mutex_lock(&e->lock);
	return r < 0 || fixed ? r : take_given(ep->network, &q.given, ip, err);
}

/* With a MAC of ours, if it wants to know one. */
static void choose_mac(struct cnm_engine *e, struct endpoint *ep)
{
	struct plugin_abilities can;

	plugins_greetings(e->remote->plugins, ep->network->ipam, &can);
	if (!can.needs_mac || mac_is_set(&ep->mac))
		return;
	id_random(ep->mac.b, sizeof(ep->mac.b));
	ep->mac.b[0] = (ep->mac.b[0] & 0xfc) | 2;
}

int remote_give_addresses(struct cnm_engine *e, struct endpoint *ep, struct cnm_error *err)
{
	struct debt *d;
	int r;

	if (!has_ipam_plugin(ep->network))
		return 0;
	d = debt_new(ep->id, false);
	if (!d)
		return cnm_error_errno(err, ENOMEM, "addresses");
	choose_mac(e, ep);
	r = give_one(e, ep, AF_INET, d, err);
	if (r == 0)
		r = give_one(e, ep, AF_INET6, d, err);
	debt_enter(e, d);
	return r < 0 ? cnm_error_prefix(err, "address for %s", ep->name), r : 0;
}

/* ---- ports */

static void put_port(json_t *list, uint8_t proto, unsigned port)
{
	json_push(list, json_pack("{s:i,s:i}", "Proto", (int)proto, "Port", (int)port));
}

static json_t *exposed_json(const struct sandbox *sb)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < sb->n_exposed; i++)
		for (unsigned p = sb->exposed[i].first; p <= sb->exposed[i].last; p++)
			if (json_array_size(list) < MAX_PORTS)
				put_port(list, sb->exposed[i].proto, p);
	return list;
}

/* One of a run; HostPort to HostPortEnd of one whose port is to be chosen. */
static json_t *binding_json(const struct port_want *w, unsigned i)
{
	bool run = w->last > w->first || w->host_first == w->host_last;
	unsigned first = w->host_first ? w->host_first + (run ? i : 0) : 0;
	char ip[IP_STR];

	return json_pack("{s:i,s:s,s:i,s:s,s:i,s:i}", "Proto", (int)w->proto, "IP", "", "Port",
			 (int)(w->first + i), "HostIP",
			 ip_is_set(&w->host) ? ip_format(&w->host, ip) : "", "HostPort", (int)first,
			 "HostPortEnd", (int)(run ? first : w->host_last));
}

static json_t *bindings_json(const struct sandbox *sb)
{
	json_t *list = json_array();

	for (unsigned k = 0; k < sb->n_wants; k++)
		for (unsigned i = 0; i <= (unsigned)(sb->wants[k].last - sb->wants[k].first); i++)
			if (json_array_size(list) <= MAX_PORTS)
				json_push(list, binding_json(&sb->wants[k], i));
	return list;
}

static json_t *options_json(const struct endpoint *ep)
{
	json_t *o = json_copy(ep->driver_opts);

	json_put(o, "com.docker.network.endpoint.exposedports", exposed_json(ep->sandbox));
	json_put(o, "com.docker.network.portmap", bindings_json(ep->sandbox));
	return o;
}

/* ---- joining */

/* What the calls are made of, while the lock is let go. */
struct joining {
	char plugin[128], network[ID_SIZE], id[ID_SIZE], sandbox[ID_SIZE], key[900];
	struct remote_endpoint asked;
	json_t *options;
	struct join join;
	struct ifnames taken; /* in a sandbox that is there, of the names it may get */
	struct debt *debt;
};

static void joining_free(struct joining *j)
{
	json_decref(j->options);
	debt_free(j->debt);
}

static struct cnm_prefix with_length(const struct endpoint *ep, const struct cnm_ip *ip)
{
	return (struct cnm_prefix){ .ip = *ip, .len = endpoint_prefix_len(ep, ip) };
}

static int joining_make(const struct cnm_engine *e, const struct endpoint *ep, struct joining *j,
			struct cnm_error *err)
{
	const struct sandbox *sb = ep->sandbox;

	str_copy(j->plugin, sizeof(j->plugin), ep->network->plugin);
	memcpy(j->network, ep->network->id, ID_SIZE);
	memcpy(j->id, ep->id, ID_SIZE);
	memcpy(j->sandbox, sb->id, ID_SIZE);
	snprintf(j->key, sizeof(j->key), "%s/%s", e->netns_dir, sb->name);
	j->options = options_json(ep);
	j->debt = debt_new(ep->id, true);
	if (!j->options || !j->debt)
		return cnm_error_errno(err, ENOMEM, "join %s", ep->network->name);
	if (json_array_size(json_object_get(j->options, "com.docker.network.portmap")) > MAX_PORTS)
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s publishes more than %d ports, which plugin \"%s\" would "
				     "have to be told of one by one: put it on a bridge network "
				     "as well",
				     sb->name, MAX_PORTS, j->plugin);
	j->asked = (struct remote_endpoint){ .network = j->network,
					     .id = j->id,
					     .addr = { with_length(ep, &ep->ip4),
						       with_length(ep, &ep->ip6) },
					     .mac = ep->mac,
					     .sandbox_key = j->key,
					     .options = j->options };
	return 0;
}

/* Names that an interface could get, looked up in a sandbox that has links of its own. */
static void look_for_names(struct cnm_engine *e, struct joining *j)
{
	if (!j->join.src[0])
		return;
	j->taken.n = 32;
	for (unsigned i = 0; i < j->taken.n; i++)
		snprintf(j->taken.names[i], IFNAMSIZ, "%.11s%u", j->join.prefix, i % 10000);
	j->taken.n = applier_taken_names(e->applier, j->sandbox, j->taken.names, j->taken.n);
}

/* Without the lock. What is owed is written down before each call that makes one owe it. */
static int make_calls(struct cnm_engine *e, struct joining *j, struct cnm_error *err)
{
	struct plugins *p = e->remote->plugins;
	int r;

	debt_add(j->debt, j->plugin, PLUGIN_NETWORK ".DeleteEndpoint",
		 remote_ids(j->network, j->id));
	debt_add(j->debt, j->plugin, PLUGIN_NETWORK ".Leave", remote_ids(j->network, j->id));
	if ((r = debt_write(e, j->debt, err)) < 0 ||
	    (r = remote_create_endpoint(p, j->plugin, &j->asked, err)) < 0)
		return r;
	r = remote_join(p, j->plugin, &j->asked, &j->join, err);
	if (r == 0)
		look_for_names(e, j);
	return r;
}

static int take_address(struct endpoint *ep, unsigned f, const struct cnm_prefix *given,
			struct cnm_error *err)
{
	struct cnm_ip *ip = f ? &ep->ip6 : &ep->ip4;

	if (!prefix_is_set(given) || ip_is_set(ip))
		return 0;
	if (network_pool_of(ep->network, &given->ip)) {
		int r = take_given(ep->network, given, ip, err);

		if (r < 0)
			return r;
	}
	*ip = given->ip;
	ep->ip_len[f] = given->len;
	return 0;
}

static bool name_is_taken(const struct endpoint *ep, const struct ifnames *taken, const char *name)
{
	const struct endpoint *o;

	for (unsigned i = 0; i < taken->n; i++)
		if (streq(taken->names[i], name))
			return true;
	list_for_each (o, &ep->sandbox->endpoints, in_sandbox)
		if (o != ep && streq(o->ifname, name))
			return true;
	return false;
}

/* By the plugin's prefix, unless the user said how it is to be called. */
static int choose_name(struct endpoint *ep, const struct joining *j, struct cnm_error *err)
{
	char name[IFNAMSIZ];

	if (json_object_get(ep->driver_opts, "com.docker.network.endpoint.ifname"))
		return 0;
	for (unsigned i = 0; i < 32; i++) {
		snprintf(name, sizeof(name), "%.11s%u", j->join.prefix, i);
		if (!name_is_taken(ep, &j->taken, name)) {
			memcpy(ep->ifname, name, sizeof(name));
			return 0;
		}
	}
	return cnm_error_set(err, CNM_E_UNAVAILABLE, "no interface name %sN is free in %s",
			     j->join.prefix, ep->sandbox->name);
}

/* Lock held: what was answered becomes facts. */
static int take_answers(struct endpoint *ep, const struct joining *j, struct cnm_error *err)
{
	int r;

	if ((r = take_address(ep, 0, &j->asked.addr[0], err)) < 0 ||
	    (r = take_address(ep, 1, &j->asked.addr[1], err)) < 0 ||
	    (r = choose_name(ep, j, err)) < 0)
		return r;
	ep->mac = j->asked.mac;
	ep->join = malloc(sizeof(*ep->join));
	if (!ep->join)
		return cnm_error_errno(err, ENOMEM, "join %s", ep->network->name);
	*ep->join = j->join;
	return 0;
}

static int join_one(struct cnm_engine *e, struct endpoint *ep, struct cnm_error *err)
{
	_cleanup_(joining_free) struct joining j = { 0 };
	int r = joining_make(e, ep, &j, err);

	if (r < 0)
		return r;
	ep->asked = true;
	pthread_mutex_unlock(&e->lock);
	r = make_calls(e, &j, err);
	pthread_mutex_lock(&e->lock);
	debt_enter(e, j.debt);
	j.debt = NULL;
	if (r == 0)
		r = take_answers(ep, &j, err);
	if (r < 0)
		cnm_error_prefix(err, "join %s to network %s", ep->name, ep->network->name);
	return r;
}

/* ---- ports, by whoever's network is the way out */

static int expose(struct cnm_engine *e, struct endpoint *ep, struct cnm_error *err)
{
	char plugin[128];
	json_t *args = remote_ids(ep->network->id, ep->id);
	int r;

	str_copy(plugin, sizeof(plugin), ep->network->plugin);
	json_put(args, "Options", options_json(ep));
	ep->exposed = true;
	pthread_mutex_unlock(&e->lock);
	r = plugins_call(e->remote->plugins, plugin, PLUGIN_NETWORK ".ProgramExternalConnectivity",
			 args, NULL, err);
	pthread_mutex_lock(&e->lock);
	if (r == PLUGIN_LACKS) /* it publishes nothing, or all */
		r = 0;
	return r;
}

/* An endpoint of the plugin's whose sandbox goes out otherwise than the plugin knows. Lock held. */
static struct endpoint *find_turned(struct cnm_engine *e, const char *plugin)
{
	const struct sandbox *sb;
	struct endpoint *ep;

	list_for_each (sb, &e->model.sandboxes, node) {
		const struct endpoint *out = sandbox_gateway(sb, AF_INET);

		list_for_each (ep, &sb->endpoints, in_sandbox)
			if (ep->asked && ep->state == OBJ_READY && sb->state == OBJ_READY &&
			    !sb->busy && streq(ep->network->plugin, plugin) &&
			    ep->exposed != (ep == out))
				return ep;
	}
	return NULL;
}

bool remote_turn(struct cnm_engine *e, const char *plugin)
{
	struct cnm_error err = { 0 };
	struct store_tx *tx;
	struct endpoint *ep;
	json_t *args;
	bool on;
	int r;

	pthread_mutex_lock(&e->lock);
	ep = find_turned(e, plugin);
	if (!ep) {
		pthread_mutex_unlock(&e->lock);
		return false;
	}
	on = ep->exposed = !ep->exposed;
	args = remote_ids(ep->network->id, ep->id);
	if (on)
		json_put(args, "Options", options_json(ep));
	tx = store_tx_new(e->store);
	tx_put_endpoint(&tx, ep, STORE_READY, false);
	store_commit_later(e->store, tx);
	pthread_mutex_unlock(&e->lock);
	r = plugins_call(e->remote->plugins, plugin,
			 on ? PLUGIN_NETWORK ".ProgramExternalConnectivity"
			    : PLUGIN_NETWORK ".RevokeExternalConnectivity",
			 args, NULL, &err);
	if (r < 0 && r != PLUGIN_LACKS)
		log_warn("a sandbox has another way out: %s", err.text);
	return true;
}

static int join_all(struct cnm_engine *e, struct sandbox *sb, bool *ret_closed,
		    struct cnm_error *err)
{
	struct endpoint *ep, *out;
	int r = 0;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		if (r < 0 || !ep->network->plugin || ep->asked || ep->state == OBJ_REMOVING)
			continue;
		r = join_one(e, ep, err);
		if (r == 0 && !ep->network->internal && !ep->join->no_gateway_service)
			*ret_closed |= !join_is_way_out(ep->join, AF_INET);
	}
	out = r == 0 ? sandbox_gateway(sb, AF_INET) : NULL;
	return out && out->network->plugin && !out->exposed ? expose(e, out, err) : r;
}

int remote_join_sandbox(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err)
{
	bool was_busy = sb->busy, closed = false;
	int r;

	sb->busy = true;
	r = join_all(e, sb, &closed, err);
	if (r == 0 && closed) { /* it may need the gateway network */
		pthread_mutex_unlock(&e->lock);
		r = gateway_network_make(e, err);
		pthread_mutex_lock(&e->lock);
	}
	sb->busy = was_busy;
	return r;
}

void remote_forget_join(struct endpoint *ep)
{
	struct cnm_ip *ips[] = { &ep->ip4, &ep->ip6 };

	if (!ep->network->plugin)
		return;
	ep->asked = ep->exposed = false;
	free(take_ptr(ep->join));
	for (unsigned i = 0; i < 2; i++) { /* given by the plugin, with the joining */
		struct network_pool *p = network_pool_of(ep->network, ips[i]);

		if (!ep->ip_len[i])
			continue;
		if (p)
			ipam_pool_release(p->taken, ips[i], true);
		*ips[i] = (struct cnm_ip){ 0 };
		ep->ip_len[i] = 0;
	}
	if (!ep->fixed_mac)
		ep->mac = (struct cnm_mac){ 0 };
}

void remote_question(const struct endpoint *ep, struct remote_question *ret)
{
	*ret = (struct remote_question){ 0 };
	if (!ep->asked)
		return;
	str_copy(ret->plugin, sizeof(ret->plugin), ep->network->plugin);
	memcpy(ret->network, ep->network->id, ID_SIZE);
	memcpy(ret->id, ep->id, ID_SIZE);
}

void remote_oper_info(struct cnm_engine *e, const struct remote_question *q, json_t *o)
{
	_json_ json_t *answer = NULL;
	json_t *value = NULL;
	char why[256];

	if (!q->plugin[0] || !plugins_answers(e->remote->plugins, q->plugin, why, sizeof(why)) ||
	    plugins_call(e->remote->plugins, q->plugin, PLUGIN_NETWORK ".EndpointOperInfo",
			 remote_ids(q->network, q->id), &answer, NULL) < 0)
		return;
	if (json_get_object(answer, "Value", &value, NULL) == 0 && value)
		json_put(o, "OperInfo", json_incref(value));
}

struct endpoint remote_without_join(const struct endpoint *ep)
{
	struct endpoint left = *ep;

	if (!ep->network->plugin)
		return left;
	left.asked = left.exposed = false;
	left.join = NULL;
	for (unsigned i = 0; i < 2; i++)
		if (ep->ip_len[i])
			*(i ? &left.ip6 : &left.ip4) = (struct cnm_ip){ 0 };
	left.ip_len[0] = left.ip_len[1] = 0;
	if (!ep->fixed_mac)
		left.mac = (struct cnm_mac){ 0 };
	return left;
}

/* ---- debts */

void remote_put_joined(struct cnm_engine *e, const struct endpoint *ep, struct store_tx *tx)
{
	if (ep->network->plugin || ep->network->ipam)
		debts_forgive(e, ep->id, tx);
}

static void enter(struct cnm_engine *e, struct debt *d, struct store_tx **tx)
{
	debt_put(d, tx);
	debt_enter(e, d);
}

static void put_leaving(struct cnm_engine *e, const struct endpoint *ep, struct store_tx **tx)
{
	const char *plugin = ep->network->plugin;
	struct debt *d = debt_new(ep->id, true);

	if (!d) {
		log_warn("plugin \"%s\" is not told that %s leaves: out of memory", plugin,
			 ep->name);
		return;
	}
	debt_add(d, plugin, PLUGIN_NETWORK ".DeleteEndpoint", remote_ids(ep->network->id, ep->id));
	debt_add(d, plugin, PLUGIN_NETWORK ".Leave", remote_ids(ep->network->id, ep->id));
	if (ep->exposed)
		debt_add(d, plugin, PLUGIN_NETWORK ".RevokeExternalConnectivity",
			 remote_ids(ep->network->id, ep->id));
	enter(e, d, tx);
}

static void put_addresses(struct cnm_engine *e, const struct endpoint *ep, struct store_tx **tx)
{
	const struct cnm_ip *ips[] = { &ep->ip4, &ep->ip6 };
	struct debt *d = debt_new(ep->id, false);

	for (unsigned i = 0; d && i < 2; i++) {
		const struct network_pool *p = network_pool_of(ep->network, ips[i]);

		if (p && p->pool_id)
			debt_add(d, ep->network->ipam, PLUGIN_IPAM ".ReleaseAddress",
				 remote_release_address(p->pool_id, ips[i]));
	}
	if (d)
		enter(e, d, tx);
	else
		log_warn("the addresses of %s are not given back: out of memory", ep->name);
}

void remote_put_left(struct cnm_engine *e, const struct endpoint *ep, bool for_good,
		     struct store_tx **tx)
{
	if (ep->network->plugin && ep->asked)
		put_leaving(e, ep, tx);
	if (for_good && has_ipam_plugin(ep->network))
		put_addresses(e, ep, tx);
}
