/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm node`: the hosts of the cluster, as the copy of the store knows them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "controller/cluster.h"

static int require(const struct cnm_engine *e, struct cnm_error *err)
{
	return e->cluster ? 0
			  : cnm_error_set(err, CNM_E_UNAVAILABLE,
					  "this daemon is in no cluster: start cnmd with "
					  "--cluster-store and --cluster-advertise");
}

struct nodes {
	json_t *list;
	const char *self;
};

static bool add_node(void *arg, const struct cluster_key *key, const char *text)
{
	struct nodes *n = arg;
	_json_ json_t *value = json_loads(text, 0, NULL);
	json_t *o = json_object();

	json_put(o, "Id", json_string(key->id));
	json_put(o, "Name", json_str(json_string_value(json_object_get(value, "Name"))));
	json_put(o, "Address", json_str(json_string_value(json_object_get(value, "Address"))));
	json_put(o, "Grace", json_integer(json_integer_value(json_object_get(value, "Grace"))));
	json_put(o, "Self", json_boolean(streq(key->id, n->self)));
	json_push(n->list, o);
	return true;
}

static unsigned count_endpoints(const struct cnm_engine *e, const char *host, bool self)
{
	const struct network *n;
	const struct endpoint *ep;
	unsigned count = 0;

	list_for_each (n, &e->model.networks, node)
		list_for_each (ep, &n->endpoints, in_network)
			count += self ? ep->claimed : streq(ep->host, host);
	return count;
}

/* Lock held. */
static void add_state(const struct cnm_engine *e, json_t *o)
{
	const char *id = json_string_value(json_object_get(o, "Id"));
	bool self = json_is_true(json_object_get(o, "Self"));
	bool up = self ? e->cluster->reached && e->cluster->entered
		       : cluster_host_is_up(e->cluster, id);

	json_put(o, "State", json_string(up ? "up" : self ? "unreached" : "lost"));
	json_put(o, "LostSeconds", json_integer(cluster_host_lost_s(e->cluster, id)));
	json_put(o, "Endpoints", json_integer(count_endpoints(e, id, self)));
}

static bool is_listed(const json_t *list, const char *id)
{
	const json_t *o;
	size_t i;

	json_array_foreach (list, i, o)
		if (streq(json_string_value(json_object_get(o, "Id")), id))
			return true;
	return false;
}

/* Lock held. Hosts that are not in the copy: ours before it entered, others known from disk. */
static void add_unlisted(const struct cnm_engine *e, struct nodes *n)
{
	struct cluster_key key = { .kind = CLUSTER_HOST };
	char ip[IP_STR], own[80];

	str_copy(key.id, sizeof(key.id), n->self);
	snprintf(own, sizeof(own), "{\"Address\":\"%s\"}",
		 ip_format(&e->cluster->options.address, ip));
	if (!is_listed(n->list, key.id))
		add_node(n, &key, own);
	for (size_t i = 0; i < e->cluster->n_hosts; i++) {
		str_copy(key.id, sizeof(key.id), e->cluster->hosts[i].id);
		if (!is_listed(n->list, key.id) && count_endpoints(e, key.id, false))
			add_node(n, &key, "{}");
	}
}

static json_t *nodes_json(struct cnm_engine *e)
{
	struct nodes n = { .list = json_array(), .self = e->cluster->store.host };
	json_t *o;
	size_t i;

	cluster_copy_each(e->cluster->copy, CLUSTER_HOST, NULL, add_node, &n);
	pthread_mutex_lock(&e->lock);
	add_unlisted(e, &n);
	json_array_foreach (n.list, i, o)
		add_state(e, o);
	pthread_mutex_unlock(&e->lock);
	return n.list;
}

int cnm_node_list(struct cnm_engine *e, char **ret_json, struct cnm_error *err)
{
	_json_ json_t *list = NULL;
	int r = require(e, err);

	if (r < 0)
		return r;
	list = nodes_json(e);
	*ret_json = list ? json_text(list) : NULL;
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "list nodes");
}

/* By id, name, or the beginning of an id; an error if several fit. */
static const json_t *find_node(const json_t *list, const char *ref, struct cnm_error *err)
{
	const json_t *o, *found = NULL;
	unsigned n = 0;
	size_t i;

	json_array_foreach (list, i, o) {
		const char *id = json_string_value(json_object_get(o, "Id"));

		if (streq(id, ref))
			return o;
		if (!streq(json_string_value(json_object_get(o, "Name")), ref) &&
		    (strlen(ref) < 4 || strncmp(id, ref, strlen(ref)) != 0))
			continue;
		found = o;
		n++;
	}
	if (n > 1)
		cnm_error_set(err, CNM_E_CONFLICT, "node %s is ambiguous (%u fit): give its id",
			      ref, n);
	else if (n == 0)
		cnm_error_set(err, CNM_E_NOT_FOUND, "node %s not found: `cnm node ls` lists them",
			      ref);
	return n == 1 ? found : NULL;
}

int cnm_node_inspect(struct cnm_engine *e, const char *ref, char **ret_json, struct cnm_error *err)
{
	_json_ json_t *list = NULL;
	const json_t *o;
	int r = require(e, err);

	if (r < 0)
		return r;
	list = nodes_json(e);
	o = find_node(list, ref, err);
	if (!o)
		return -ENOENT;
	*ret_json = json_text(o);
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "inspect node %s", ref);
}

int cnm_node_remove(struct cnm_engine *e, const char *ref, struct cnm_error *err)
{
	_json_ json_t *list = NULL;
	const json_t *o;
	int r = require(e, err);

	if (r < 0)
		return r;
	list = nodes_json(e);
	o = find_node(list, ref, err);
	if (!o)
		return -ENOENT;
	return cluster_remove_host(&e->cluster->store, json_string_value(json_object_get(o, "Id")),
				   err);
}
