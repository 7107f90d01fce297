/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CreateNetwork and DeleteNetwork. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "adapters/docker_internal.h"
#include "base/json.h"
#include "base/str.h"

/* How long the network of another host, which was quicker to take the name, may take to get here.
 */
#define ARRIVAL_TRIES 30
#define ARRIVAL_MS    100

/* ---- one that exists */

static int check_driver(struct docker_call *c, const json_t *network)
{
	const char *name = docker_get(network, "Name"), *driver = docker_get(network, "Driver");

	if (streq(name, "bridge"))
		return cnm_error_set(&c->err, CNM_E_FORBIDDEN,
				     "network bridge is where cnm's containers are that name none, "
				     "and gives no addresses of one's choice: name another");
	if (streq(driver, c->driver->driver))
		return 0;
	return cnm_error_set(&c->err, CNM_E_CONFLICT,
			     "network %s exists in cnm, and is of its driver %s: %s", name, driver,
			     streq(driver, "overlay")  ? "create it with -d cnm-overlay"
			     : streq(driver, "bridge") ? "create it with -d cnm"
						       : "choose another name");
}

/* Docker must have no other subnets than the network has. */
static int check_subnets(struct docker_call *c, const json_t *network,
			 const struct docker_network *d)
{
	struct cnm_prefix has = docker_subnet_of(network, AF_INET), p;
	char buf[PREFIX_STR];

	for (size_t i = 0; i < d->n_pools; i++) {
		if (d->pools[i].subnet && prefix_parse(&p, d->pools[i].subnet) == 0 &&
		    docker_subnet(network, &p))
			continue;
		return cnm_error_set(
			&c->err, CNM_E_CONFLICT,
			"network %s exists in cnm with the subnet %s, and Docker would use %s: "
			"create it with --ipam-driver %s --ipam-opt cnm.network=%s, or with "
			"--subnet %s",
			docker_get(network, "Name"), prefix_format(&has, buf),
			d->pools[i].subnet ? d->pools[i].subnet : "none",
			c->driver->overlay ? "cnm-overlay" : "cnm", docker_get(network, "Name"),
			buf);
	}
	return 0;
}

static int check_options(struct docker_call *c, const json_t *network,
			 const struct docker_network *d)
{
	const char *name = docker_get(network, "Name");
	bool internal = json_is_true(json_object_get(network, "Internal"));

	if (internal != d->internal)
		return cnm_error_set(
			&c->err, CNM_E_CONFLICT,
			"network %s exists in cnm, and is %sinternal: create it with%s "
			"--internal",
			name, internal ? "" : "not ", internal ? "" : "out");
	for (size_t i = 0; i < d->n_options; i++) {
		const struct cnm_kv *o = &d->options[i];

		if (!streq(o->key, "cnm.network") &&
		    !streq(docker_get(json_object_get(network, "Options"), o->key), o->value))
			return cnm_error_set(&c->err, CNM_E_CONFLICT,
					     "network %s exists in cnm without the option %s=%s: "
					     "leave it out",
					     name, o->key, o->value);
	}
	return 0;
}

static int use(struct docker_call *c, const json_t *network, const struct docker_network *d)
{
	int r = check_driver(c, network);

	if (r == 0)
		r = check_subnets(c, network, d);
	return r < 0 ? r : check_options(c, network, d);
}

/* ---- a new one */

/*
 * An overlay network has no gateway. Docker has one for every network, of its own choice or the
 * network's address from docker_ipam.c; nobody sends anything there.
 */
static size_t pools_of(struct docker_call *c, const struct docker_network *d,
		       struct cnm_pool_config *ret)
{
	for (size_t i = 0; i < d->n_pools; i++) {
		ret[i] = d->pools[i];
		if (c->driver->overlay)
			ret[i].gateway = NULL;
	}
	return d->n_pools;
}

static int make(struct docker_call *c, const struct docker_network *d, const char *name, bool own)
{
	const struct cnm_kv label = { LABEL_NETWORK, d->id };
	struct cnm_kv *options = api_memory_get(&c->memory, d->n_options, sizeof(*options));
	struct cnm_pool_config pools[DOCKER_POOLS];
	struct cnm_network_config config = { .name = name,
					     .driver = c->driver->driver,
					     .ipv4 = d->ipv4 ? CNM_YES : CNM_NO,
					     .ipv6 = d->ipv6 ? CNM_YES : CNM_NO,
					     .internal = d->internal,
					     .pools = pools,
					     .options = options,
					     .labels = own ? &label : NULL,
					     .n_labels = own };
	char id[CNM_ID_SIZE];

	if (!options)
		return cnm_error_errno(&c->err, ENOMEM, "make network %s", name);
	config.n_pools = pools_of(c, d, pools);
	for (size_t i = 0; i < d->n_options; i++)
		if (!streq(d->options[i].key, "cnm.network"))
			options[config.n_options++] = d->options[i];
	return cnm_network_create(c->engine, &config, NULL, id, NULL, &c->err);
}

/* By name: another host, or another call, may make it at the same time. */
static int use_or_make(struct docker_call *c, const struct docker_network *d, const char *name)
{
	const struct timespec while_it_comes = { .tv_nsec = ARRIVAL_MS * 1000000 };
	int r = 0;

	for (unsigned i = 0; i < ARRIVAL_TRIES; i++) {
		_json_ json_t *network = NULL;

		r = docker_find_network(c, name, &network);
		if (r <= 0)
			return r < 0 ? r : use(c, network, d);
		r = make(c, d, name, false);
		if (r >= 0 || c->err.class != CNM_E_CONFLICT)
			return r;
		nanosleep(&while_it_comes, NULL);
	}
	return r;
}

/* One of cnm's is meant, or Docker chose what cnm has already. */
static int check_free(struct docker_call *c, const struct docker_network *d)
{
	int r = 1;

	for (size_t i = 0; i < d->n_pools && r > 0; i++) {
		_json_ json_t *network = NULL;
		const char *text = d->pools[i].subnet;
		struct cnm_prefix subnet;

		if (!text || prefix_parse(&subnet, text) < 0)
			continue; /* refused later */
		r = docker_find_network_at(c, &subnet, &network);
		if (r == 0)
			r = cnm_error_set(&c->err, CNM_E_CONFLICT,
					  "%s is the subnet of network %s in cnm: to use that, "
					  "create it with -o cnm.network=%s",
					  text, docker_get(network, "Name"),
					  docker_get(network, "Name"));
	}
	return r < 0 ? r : 0;
}

static int make_own(struct docker_call *c, const struct docker_network *d)
{
	_json_ json_t *network = NULL;
	char name[DOCKER_NAME];
	int r = docker_find_network(c, docker_name(d->id, name), &network);

	if (r > 0)
		return (r = check_free(c, d)) < 0 ? r : make(c, d, name, true);
	if (r == 0 && !streq(docker_get(json_object_get(network, "Labels"), LABEL_NETWORK), d->id))
		r = cnm_error_set(&c->err, CNM_E_CONFLICT,
				  "network %s exists in cnm and is not Docker's: remove it by `cnm "
				  "network rm %s`",
				  name, name);
	return r; /* made by the same call before */
}

int docker_create_network(struct docker_call *c)
{
	struct docker_network d;
	const char *name = NULL;
	int r = docker_decode_network(&c->memory, c->body, &d, &c->err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < d.n_options; i++)
		if (streq(d.options[i].key, "cnm.network"))
			name = d.options[i].value;
	return name ? use_or_make(c, &d, name) : make_own(c, &d);
}

int docker_delete_network(struct docker_call *c)
{
	_json_ json_t *network = NULL;
	char name[DOCKER_NAME];
	const char *id;
	int r = docker_decode_network_id(c->body, &id, &c->err);

	if (r == 0)
		r = docker_find_network(c, docker_name(id, name), &network);
	if (r != 0 || !streq(docker_get(json_object_get(network, "Labels"), LABEL_NETWORK), id))
		return r < 0 ? r : 0;
	r = docker_drop_idle(c, name);
	if (r == 0)
		r = cnm_network_remove(c->engine, name, NULL, &c->err);
	return docker_unless_gone(c, r);
}
