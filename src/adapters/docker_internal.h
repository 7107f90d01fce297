/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of Docker's plugin share: a call, and how Docker's objects are found in cnm.
 *
 *   network   the one named docker-ID (12 digits of Docker's), which goes with Docker's; or that of
 *             the option cnm.network, which stays. Calls that give an address say by it which it
 * is, since subnets are unique in cnm. endpoint  docker-mac-MAC is one that an address was
 * requested for, and goes when that is released; docker-ID one whose address is Docker's choice,
 * and goes with Docker's. sandbox   a foreign one for each of Docker's endpoints, with its id,
 * named docker-ID; the label LABEL_ENDPOINT is the id of the endpoint in cnm.
 */
#ifndef ADAPTERS_DOCKER_INTERNAL_H
#define ADAPTERS_DOCKER_INTERNAL_H

#include <pthread.h>

#include "adapters/docker_decode.h"
#include "adapters/docker_plugin.h"
#include "api/http_server.h"
#include "base/id.h"

#define LABEL_NETWORK  "cnm.docker.network"  /* on a network of ours: the id of Docker's */
#define LABEL_ENDPOINT "cnm.docker.endpoint" /* on a sandbox */
#define MAX_PROMISES   64

/* A subnet that was given to Docker, which has not made its network yet. */
struct docker_promise {
	struct cnm_prefix subnet;
	uint64_t since; /* monotonic ns */
	unsigned times; /* it was asked for; of a network that exists */
};

struct docker_driver {
	struct docker_plugin *plugin;
	const char *driver; /* of cnm */
	bool overlay;
	struct http_server *server;
};

struct docker_plugin {
	struct cnm_engine *engine;
	struct docker_driver drivers[DOCKER_PLUGINS];
	pthread_mutex_t lock; /* of what follows; held while nothing is waited for */
	struct docker_promise promises[MAX_PROMISES];
	unsigned n_promises;
	/* docker_idle.c */
	pthread_t thread;
	bool runs;
	pthread_cond_t wake;   /* there was a call, or it is to stop */
	bool called, stopping; /* with the lock */
	json_t *idle;          /* the thread's: ids of what it saw, as keys; NULL: none */
};

struct docker_call {
	const struct docker_driver *driver;
	struct docker_plugin *plugin;
	struct cnm_engine *engine;
	json_t *body;   /* NULL: there is none */
	json_t *answer; /* an object */
	struct api_memory memory;
	struct cnm_error err;
};

#define DOCKER_NAME 32
/* docker-ID and docker-mac-MAC */
const char *docker_name(const char *id, char buf[static DOCKER_NAME]);
const char *docker_mac_name(const struct cnm_mac *mac, char buf[static DOCKER_NAME]);

/* As their inspect shows them: 0, 1 there is none, or an error in c->err. */
int docker_find_network(struct docker_call *c, const char *name, json_t **ret);
int docker_find_network_at(struct docker_call *c, const struct cnm_prefix *subnet, json_t **ret);
int docker_find_endpoint(struct docker_call *c, const char *ref, json_t **ret);
int docker_find_sandbox(struct docker_call *c, const char *id, json_t **ret);
/* Of what is gone there is nothing left to take away: r, or 0 if it is that error. */
int docker_unless_gone(struct docker_call *c, int r);
/* Text parsed; takes it. */
int docker_load(struct docker_call *c, char *text, json_t **ret);

const char *docker_get(const json_t *o, const char *key); /* a string; "" if there is none */
/* The element of a network's IPAM.Config for this subnet, or NULL. */
const json_t *docker_subnet(const json_t *network, const struct cnm_prefix *subnet);
/* Its first subnet of a family; unset: none. */
struct cnm_prefix docker_subnet_of(const json_t *network, int family);
/* The address of an endpoint in a family, with its length; unset: none. */
struct cnm_prefix docker_address_of(const json_t *endpoint, int family);

int docker_create_network(struct docker_call *c);
int docker_delete_network(struct docker_call *c);
int docker_create_endpoint(struct docker_call *c);
int docker_delete_endpoint(struct docker_call *c);
int docker_join(struct docker_call *c);
int docker_leave(struct docker_call *c);
int docker_publish(struct docker_call *c);
int docker_unpublish(struct docker_call *c);
int docker_request_pool(struct docker_call *c);
int docker_release_pool(struct docker_call *c);
int docker_request_address(struct docker_call *c);
int docker_release_address(struct docker_call *c);

/*
 * Drop the endpoints that are in no container: all those on a network, or, with NULL, those on any
 * network for which there is no sandbox either.
 */
int docker_drop_idle(struct docker_call *c, const char *network);
/*
 * After a refusal, which stays in c->err: that which has an address or the MAC of this one. 1:
 * there was some, so trying again may go better; else 0.
 */
int docker_make_way(struct docker_call *c, const char *network, const struct docker_endpoint *d);
void *docker_idle_main(void *plugin);

#endif
