/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A container and the engine: its declared sandbox, which has the container's id and name.
 *
 * The settings of its networks (c.endpoints) are what was asked for; the sandbox has an endpoint
 * for each of them whose network exists. A network may be missing at create, or be removed while
 * the container is stopped: start then joins what is there by that name, or says what is not. A
 * container in the mode container:X has no sandbox and goes where X is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/capabilities.h"
#include "containers/container.h"
#include "containers/endpoint_settings.h"
#include "containers/published.h"

#define MAX_HOPS 8 /* container:X of container:Y of ... */

static bool has_sandbox(const struct container *c)
{
	return container_network_mode(c->c.host, NULL) != NETWORK_CONTAINER;
}

static const char *config_string(const struct container *c, const char *key)
{
	const char *s = json_string_value(json_object_get(c->c.config, key));

	return s ? s : "";
}

/* ---- declare */

static bool network_exists(struct cnm_engine *e, const char *ref)
{
	struct network *n;
	unsigned matches;
	LOCKED(&e->lock);

	return model_find_network(&e->model, ref, &n, &matches) == REF_FOUND;
}

/* The name a network is kept under: its own, whatever it was called by. */
static void network_name(struct cnm_engine *e, const char *ref, char *buf, size_t size)
{
	struct network *n;
	unsigned matches;
	LOCKED(&e->lock);

	str_copy(buf, size,
		 model_find_network(&e->model, ref, &n, &matches) == REF_FOUND ? n->name : ref);
}

/* --net ID is --net NAME. */
static int use_names(struct cnm_engine *e, struct container *c, struct cnm_error *err)
{
	json_t *named = json_object(), *settings;
	const char *ref;
	char name[256];

	json_object_foreach (c->c.endpoints, ref, settings) {
		network_name(e, ref, name, sizeof(name));
		if (json_put(named, name, json_incref(settings)) < 0) {
			json_decref(named);
			return cnm_error_errno(err, ENOMEM, "networks of container %s", c->name);
		}
	}
	json_decref(c->c.endpoints);
	c->c.endpoints = named;
	return 0;
}

/* With the links of HostConfig; a new reference, NULL: no memory. */
static json_t *with_links(struct containers *cs, const struct container *c, const char *network,
			  json_t *settings)
{
	LOCKED(&cs->lock);

	return container_links_add(cs, c, network, settings);
}

struct attachments {
	struct cnm_attachment *v;
	size_t n;
	json_t *settings; /* an array: what v points into */
};

static void free_attachments(struct attachments *a)
{
	for (size_t i = 0; i < a->n; i++)
		endpoint_settings_free(&a->v[i].endpoint);
	free(a->v);
	json_decref(a->settings);
}

static int add_attachment(struct containers *cs, const struct container *c, const char *network,
			  json_t *asked, struct attachments *a, struct cnm_error *err)
{
	json_t *settings = with_links(cs, c, network, asked);
	int r;

	if (json_array_append_new(a->settings, settings) < 0)
		return cnm_error_errno(err, ENOMEM, "networks of container %s", c->name);
	r = endpoint_settings_read(settings, &a->v[a->n].endpoint, err);
	if (r == 0)
		a->v[a->n++].network = network;
	return r;
}

static bool is_confined(const struct container *c)
{
	const json_t *host = c->c.host;

	return !capability_is_given(
		json_object_get(host, "CapAdd"), json_object_get(host, "CapDrop"),
		json_is_true(json_object_get(host, "Privileged")), "CAP_NET_ADMIN");
}

/* What HostConfig says about names. *ret, the caller's, holds the lists; they point into it. */
static int set_names(const struct container *c, struct cnm_sandbox_config *config,
		     const char ***ret, struct cnm_error *err)
{
	const struct {
		const json_t *list;
		const char *const **texts;
		size_t *n;
	} lists[] = {
		{ json_object_get(c->c.host, "Dns"), &config->dns, &config->n_dns },
		{ json_object_get(c->c.host, "DnsSearch"), &config->dns_search,
		  &config->n_dns_search },
		{ json_object_get(c->c.host, "DnsOptions"), &config->dns_options,
		  &config->n_dns_options },
		{ json_object_get(c->c.host, "ExtraHosts"), &config->extra_hosts,
		  &config->n_extra_hosts },
	};
	size_t total = 0, i;
	const char **next;
	json_t *v;

	for (size_t j = 0; j < sizeof(lists) / sizeof(lists[0]); j++)
		total += json_array_size(lists[j].list);
	*ret = next = calloc(total + 1, sizeof(*next));
	if (!next)
		return cnm_error_errno(err, ENOMEM, "names of container %s", c->name);
	for (size_t j = 0; j < sizeof(lists) / sizeof(lists[0]); j++) {
		*lists[j].texts = next;
		*lists[j].n = json_array_size(lists[j].list);
		json_array_foreach (lists[j].list, i, v)
			*next++ = json_string_value(v);
	}
	config->hostname = config_string(c, "Hostname");
	config->domainname = config_string(c, "Domainname");
	return 0;
}

static int declare(struct cnm_engine *e, const struct container *c, const struct attachments *a,
		   struct cnm_error *err)
{
	_cleanup_(published_free) struct published ports = { 0 };
	_free_ const char **names = NULL;
	struct cnm_sandbox_config config = { .id = c->id,
					     .name = c->name,
					     .networks = a->v,
					     .n_networks = a->n,
					     .declared = true,
					     .confined = is_confined(c) };
	char id[CNM_ID_SIZE];
	int r = container_network_mode(c->c.host, NULL) == NETWORK_NAMED
			? published_read(c->c.config, c->c.host, &ports, err)
			: 0;

	r = r < 0 ? r : set_names(c, &config, &names, err);
	if (r < 0)
		return r;
	config.publish = ports.publish;
	config.n_publish = ports.n_publish;
	config.exposed = ports.exposed;
	config.n_exposed = ports.n_exposed;
	return cnm_sandbox_create(e, &config, NULL, id, err);
}

int container_network_declare(struct containers *cs, struct container *c, struct cnm_error *err)
{
	_cleanup_(free_attachments) struct attachments a = { 0 };
	const char *name;
	json_t *asked;
	int r;

	if (!has_sandbox(c))
		return 0;
	r = use_names(cs->engine, c, err);
	if (r < 0)
		return r;
	a.v = calloc(json_object_size(c->c.endpoints) + 1, sizeof(*a.v));
	a.settings = json_array();
	if (!a.v || !a.settings)
		return cnm_error_errno(err, ENOMEM, "networks of container %s", c->name);
	json_object_foreach (c->c.endpoints, name, asked)
		if (r == 0 && network_exists(cs->engine, name))
			r = add_attachment(cs, c, name, asked, &a, err);
	return r < 0 ? r : declare(cs->engine, c, &a, err);
}

/* ---- start and stop */

enum joined { JOINED, NOT_JOINED, NO_SANDBOX };

static enum joined is_joined(struct cnm_engine *e, const char *id, const char *network)
{
	struct sandbox *sb;
	struct network *n;
	unsigned matches;
	LOCKED(&e->lock);

	sb = map_get(&e->model.sandbox_by_id, id);
	if (!sb)
		return NO_SANDBOX;
	return model_find_network(&e->model, network, &n, &matches) == REF_FOUND &&
			       sandbox_endpoint_on(sb, n)
		       ? JOINED
		       : NOT_JOINED;
}

static int join(struct containers *cs, const struct container *c, const char *network,
		json_t *asked, struct cnm_error *err)
{
	_json_ json_t *settings = with_links(cs, c, network, asked);
	struct cnm_endpoint_config config;
	int r;

	if (!settings)
		return cnm_error_errno(err, ENOMEM, "join network %s", network);
	r = endpoint_settings_read(settings, &config, err);
	if (r < 0)
		return r;
	r = cnm_network_connect(cs->engine, network, c->id, &config, NULL, err);
	endpoint_settings_free(&config);
	return r;
}

static int start(struct containers *cs, struct container *c, struct cnm_error *err)
{
	const char *name;
	json_t *settings;
	int r = 0;

	if (is_joined(cs->engine, c->id, "") == NO_SANDBOX)
		r = container_network_declare(cs, c, err);
	json_object_foreach (c->c.endpoints, name, settings)
		if (r == 0 && is_joined(cs->engine, c->id, name) == NOT_JOINED)
			r = join(cs, c, name, settings, err);
	return r < 0 ? r : cnm_sandbox_start(cs->engine, c->id, NULL, err);
}

int container_network_start(struct containers *cs, struct container *c, struct cnm_error *err)
{
	int r;

	pthread_mutex_lock(&cs->lock);
	r = container_links_check(cs, c, err);
	pthread_mutex_unlock(&cs->lock);
	if (r < 0 || !has_sandbox(c))
		return r;
	r = start(cs, c, err);
	return r < 0 ? cnm_error_prefix(err, "failed to set up container networking"), r : 0;
}

int container_network_stop(struct containers *cs, const struct container *c, struct cnm_error *err)
{
	if (is_joined(cs->engine, c->id, "") == NO_SANDBOX)
		return 0;
	return cnm_sandbox_stop(cs->engine, c->id, NULL, err);
}

int container_network_remove(struct containers *cs, const struct container *c,
			     struct cnm_error *err)
{
	int r = container_network_stop(cs, c, err);

	if (r < 0 || is_joined(cs->engine, c->id, "") == NO_SANDBOX)
		return r;
	return cnm_sandbox_remove(cs->engine, c->id, NULL, err);
}

/* ---- where it runs */

static void own_paths(struct containers *cs, const struct container *c, struct spec_paths *p)
{
	const struct cnm_engine *e = cs->engine;
	bool host = container_network_mode(c->c.host, NULL) == NETWORK_HOST;

	p->netns[0] = 0;
	if (!host)
		snprintf(p->netns, sizeof(p->netns), "%s/%s", e->netns_dir, c->name);
	snprintf(p->hosts, sizeof(p->hosts), "%s/sandboxes/%s/hosts", e->run_dir, c->id);
	snprintf(p->hostname_file, sizeof(p->hostname_file), "%s/sandboxes/%s/hostname", e->run_dir,
		 c->id);
	snprintf(p->resolv, sizeof(p->resolv), "%s/sandboxes/%s/resolv.conf", e->run_dir, c->id);
	str_copy(p->hostname, sizeof(p->hostname), config_string(c, "Hostname"));
	str_copy(p->domainname, sizeof(p->domainname), config_string(c, "Domainname"));
}

/* The one whose namespace it is; lock held. */
static int find_owner(struct containers *cs, const struct container *c, struct container **ret,
		      struct cnm_error *err)
{
	struct container *at = (struct container *)c;
	const char *ref = NULL;

	for (unsigned i = 0; container_network_mode(at->c.host, &ref) == NETWORK_CONTAINER; i++) {
		struct cnm_error why = { 0 };

		if (container_find(cs, ref, &at, &why) < 0)
			return cnm_error_set(err, CNM_E_INTERNAL,
					     "joining network namespace of container: %s",
					     why.text);
		if (at == c || i == MAX_HOPS)
			return cnm_error_set(err, CNM_E_INTERNAL,
					     "cannot join own network namespace");
		if (at->state != CONTAINER_RUNNING)
			return cnm_error_set(err, CNM_E_CONFLICT,
					     "cannot join network namespace of a non running "
					     "container: container %s is %s",
					     ref, container_state_name(at));
	}
	*ret = at;
	return 0;
}

int container_network_paths(struct containers *cs, const struct container *c,
			    struct spec_paths *paths, struct cnm_error *err)
{
	struct container *owner;
	int r;
	LOCKED(&cs->lock);

	r = find_owner(cs, c, &owner, err);
	if (r == 0)
		own_paths(cs, owner, paths);
	return r;
}

/* ---- what inspect shows */

/* As asked for, without what only a running one has. */
static json_t *resting_settings(struct cnm_engine *e, const char *network, const json_t *asked)
{
	static const char *const blank[] = { "EndpointID", "Gateway", "IPAddress", "IPv6Gateway",
					     "GlobalIPv6Address" };
	json_t *o = json_copy((json_t *)asked);
	struct network *n;
	unsigned matches;
	LOCKED(&e->lock);

	if (!json_is_object(o)) {
		json_decref(o);
		o = json_object();
	}
	json_put(o, "NetworkID",
		 json_string(model_find_network(&e->model, network, &n, &matches) == REF_FOUND
				     ? n->id
				     : ""));
	for (unsigned i = 0; i < sizeof(blank) / sizeof(*blank); i++)
		json_put(o, blank[i], json_string(""));
	json_put(o, "IPPrefixLen", json_integer(0));
	json_put(o, "GlobalIPv6PrefixLen", json_integer(0));
	json_put(o, "DNSNames", json_null());
	return o;
}

/* What was asked for shows beside what came of it. */
static void add_asked(json_t *settings, const json_t *asked)
{
	static const char *const shown[] = { "IPAMConfig", "Aliases", "DriverOpts" };
	json_t *links = json_object_get(asked, "Links");

	for (unsigned i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		json_t *v = json_object_get(asked, shown[i]);

		if (json_is_array(v) ? json_array_size(v) : json_object_size(v))
			json_put(settings, shown[i], json_incref(v));
	}
	/* Those of HostConfig are shown there. */
	json_put(settings, "Links", json_array_size(links) ? json_incref(links) : json_null());
}

json_t *container_networks_json(struct containers *cs, const struct container *c,
				json_t **ret_sandbox)
{
	_free_ char *text = NULL;
	_json_ json_t *sandbox = NULL;
	json_t *networks = json_object(), *actual, *asked;
	const char *name;

	if (c->state == CONTAINER_RUNNING && has_sandbox(c) &&
	    cnm_sandbox_inspect(cs->engine, c->id, &text, NULL) == 0)
		sandbox = json_loads(text, 0, NULL);
	actual = json_object_get(sandbox, "Networks");
	json_object_foreach (c->c.endpoints, name, asked) {
		json_t *settings = json_object_get(actual, name);

		if (settings) {
			add_asked(settings, asked);
			json_put(networks, name, json_incref(settings));
		} else {
			json_put(networks, name, resting_settings(cs->engine, name, asked));
		}
	}
	if (ret_sandbox)
		*ret_sandbox = json_incref(sandbox);
	return networks;
}

/* ---- connect and disconnect */

/* Busy with the container, or -ENOENT when it is none of ours. */
static int acquire_for_network(struct containers *cs, const char *ref, struct container **ret,
			       struct cnm_error *err)
{
	struct container *c;
	int r;
	LOCKED(&cs->lock);

	if (container_find(cs, ref, &c, NULL) < 0)
		return -ENOENT;
	r = container_acquire(cs, ref, ret, err);
	if (r == 0 && (*ret)->removing)
		r = cnm_error_set(err, CNM_E_INTERNAL,
				  "Container %s is marked for removal and cannot be connected or "
				  "disconnected to the network",
				  (*ret)->id);
	if (r == 0 && !has_sandbox(*ret)) {
		container_release(cs, *ret);
		r = cnm_error_set(err, CNM_E_INVALID,
				  "container sharing network namespace with another container or "
				  "host cannot be connected to any other network");
	}
	return r == -ENOENT ? -EINVAL : r;
}

static void give_back(struct containers *cs, struct container *c)
{
	pthread_mutex_lock(&cs->lock);
	container_release(cs, c);
	pthread_mutex_unlock(&cs->lock);
}

/* Note it, or that it is gone (settings NULL), in the row. Busy, without the lock. */
static int note(struct containers *cs, struct container *c, const char *name, json_t *settings,
		struct cnm_error *err)
{
	json_t *before = c->c.endpoints, *after = json_copy(before);
	int r;

	if (settings)
		json_put(after, name, settings);
	else if (after)
		json_object_del(after, name);
	if (!after)
		return cnm_error_errno(err, ENOMEM, "networks of container %s", c->name);
	pthread_mutex_lock(&cs->lock);
	c->c.endpoints = after;
	r = container_save(cs, c, STORE_READY, false, STORE_FULL, err);
	if (r < 0)
		c->c.endpoints = before;
	pthread_mutex_unlock(&cs->lock);
	json_decref(r < 0 ? after : before);
	return r;
}

static int connect_to(struct containers *cs, const char *network, struct container *c,
		      const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
		      struct cnm_error *err)
{
	char name[256];
	int r;

	network_name(cs->engine, network, name, sizeof(name));
	if (c->state != CONTAINER_RUNNING && is_joined(cs->engine, c->id, network) == JOINED)
		return dry && !(dry->plan = strdup("")) ? -ENOMEM : 0;
	if (c->state != CONTAINER_RUNNING && !network_exists(cs->engine, network))
		return dry ? cnm_error_set(err, CNM_E_NOT_FOUND, "network %s not found", network)
			   : note(cs, c, name, endpoint_settings_write(config), err);
	r = cnm_network_connect(cs->engine, network, c->id, config, dry, err);
	if (r < 0 || dry)
		return r;
	r = note(cs, c, name, endpoint_settings_write(config), err);
	if (r < 0)
		cnm_network_disconnect(cs->engine, network, c->id, true, NULL, NULL);
	return r;
}

int containers_network_connect(struct containers *cs, const char *network, const char *ref,
			       const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
			       struct cnm_error *err)
{
	struct container *c;
	int r = acquire_for_network(cs, ref, &c, err);

	if (r == -ENOENT)
		return cnm_network_connect(cs->engine, network, ref, config, dry, err);
	if (r < 0)
		return r;
	r = connect_to(cs, network, c, config, dry, err);
	give_back(cs, c);
	return r;
}

/* A stopped one may be taken off a network that is gone. */
static int disconnect_from(struct containers *cs, const char *network, struct container *c,
			   bool force, struct cnm_dry_run *dry, struct cnm_error *err)
{
	char name[256];
	int r = 0;

	network_name(cs->engine, network, name, sizeof(name));
	if (c->state != CONTAINER_RUNNING && !json_object_get(c->c.endpoints, name))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "container %s is not connected to the network %s", c->id,
				     name);
	if (c->state == CONTAINER_RUNNING || is_joined(cs->engine, c->id, network) == JOINED)
		r = cnm_network_disconnect(cs->engine, network, c->id, force, dry, err);
	else if (dry)
		r = (dry->plan = strdup("")) ? 0 : -ENOMEM;
	return r < 0 || dry ? r : note(cs, c, name, NULL, err);
}

int containers_network_disconnect(struct containers *cs, const char *network, const char *ref,
				  bool force, struct cnm_dry_run *dry, struct cnm_error *err)
{
	struct container *c;
	int r = acquire_for_network(cs, ref, &c, err);

	if (r == -ENOENT)
		return cnm_network_disconnect(cs->engine, network, ref, force, dry, err);
	if (r < 0)
		return r;
	r = disconnect_from(cs, network, c, force, dry, err);
	give_back(cs, c);
	return r;
}
