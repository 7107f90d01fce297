/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way out of sandboxes whose networks have none. */
#include "controller/gateway_network.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/str.h"

static struct network *find(const struct cnm_engine *e)
{
	struct network *n = map_get(&e->model.network_by_name, GATEWAY_NETWORK);

	return n && network_is_gateway(n) && n->state == OBJ_READY ? n : NULL;
}

static int make(struct cnm_engine *e, struct cnm_error *err)
{
	static const struct cnm_kv options[] = {
		{ "com.docker.network.bridge.name", GATEWAY_NETWORK },
		{ "com.docker.network.bridge.enable_icc", "false" },
		{ "com.docker.network.bridge.enable_ip_masquerade", "true" },
	};
	const struct cnm_network_config config = {
		.name = GATEWAY_NETWORK, .driver = "bridge", .options = options, .n_options = 3
	};
	char id[CNM_ID_SIZE];
	int r = cnm_network_create(e, &config, NULL, id, NULL, err);

	if (r == -EEXIST) /* another request was as quick */
		return 0;
	if (r < 0)
		cnm_error_prefix(err, "make the network " GATEWAY_NETWORK
				      ", the way out of networks of many hosts");
	return r;
}

int gateway_network_prepare(struct cnm_engine *e, const char *network, struct cnm_error *err)
{
	struct network *n;
	unsigned matches;
	bool needed;

	pthread_mutex_lock(&e->lock);
	needed = network && model_find_network(&e->model, network, &n, &matches) == REF_FOUND &&
		 network_is_global(n) && !n->plugin && !n->internal && !find(e);
	pthread_mutex_unlock(&e->lock);
	return needed ? make(e, err) : 0;
}

int gateway_network_make(struct cnm_engine *e, struct cnm_error *err)
{
	bool there;

	pthread_mutex_lock(&e->lock);
	there = find(e);
	pthread_mutex_unlock(&e->lock);
	return there ? 0 : make(e, err);
}

/* Its endpoint on the gateway network, or NULL; and whether the others want one. */
static struct endpoint *look(const struct sandbox *sb, bool *ret_wanted)
{
	struct endpoint *ep, *own = NULL;
	bool needs = false, has = false;

	list_for_each (ep, &sb->endpoints, in_sandbox) {
		if (network_is_gateway(ep->network)) {
			own = ep;
			continue;
		}
		if (ep->state == OBJ_REMOVING)
			continue;
		if (ep->network->internal)
			continue;
		if (ep->network->plugin) {
			needs |= ep->join && !ep->join->no_gateway_service;
			has |= ep->join && join_is_way_out(ep->join, AF_INET);
		} else if (network_is_global(ep->network)) {
			needs = true;
		} else {
			has |= network_pool(ep->network, AF_INET) &&
			       ip_is_set(&network_pool(ep->network, AF_INET)->gateway);
		}
	}
	*ret_wanted = needs && !has && sb->source != NETNS_FOREIGN;
	return own;
}

static int add(struct cnm_engine *e, struct sandbox *sb, const struct ifnames *taken,
	       struct endpoint **ret, struct cnm_error *err)
{
	struct network *n = find(e);
	char name[32];
	struct cnm_endpoint_config config = { .name = name };

	if (!n)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "the network " GATEWAY_NETWORK " was removed meanwhile: try "
				     "again");
	snprintf(name, sizeof(name), "gateway_%.12s", sb->id);
	return endpoint_add(e, n, sb, &config, taken, ret, err);
}

int gateway_begin(struct cnm_engine *e, struct sandbox *sb, const struct ifnames *taken,
		  struct gateway_change *ret, struct cnm_error *err)
{
	bool wanted;
	struct endpoint *own = look(sb, &wanted);

	*ret = (struct gateway_change){ 0 };
	if (wanted && !own)
		return add(e, sb, taken, &ret->added, err);
	if (own && !wanted) {
		own->state = OBJ_REMOVING;
		ret->removed = own;
	}
	return 0;
}

void gateway_rows(const struct gateway_change *g, struct store_tx **tx)
{
	if (g->added)
		tx_put_endpoint(tx, g->added, STORE_READY, true);
	if (g->removed)
		store_tx_delete(*tx, STORE_ENDPOINT, g->removed->id);
}

void gateway_end(struct cnm_engine *e, const struct gateway_change *g, bool done)
{
	struct endpoint *gone = done ? g->removed : g->added;

	if (g->added)
		g->added->state = OBJ_READY;
	if (g->removed)
		g->removed->state = OBJ_READY;
	if (!gone)
		return;
	endpoint_detach(gone);
	model_del_endpoint(&e->model, gone, done);
}
