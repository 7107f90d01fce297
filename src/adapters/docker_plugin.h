/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Docker uses cnm's networks: the plugin protocol of libnetwork (NetworkDriver and IpamDriver) on
 * an engine, through the public C API alone.
 *
 * There are two plugins, each on a socket of its own: "cnm" makes bridge networks and "cnm-overlay"
 * overlay networks. Both are local to Docker: it keeps a network of each daemon to itself, and does
 * not know that an overlay network is shared underneath, by its name in cnm. docs/DOCKER-PLUGIN.md
 * has what becomes what.
 *
 * Nothing is remembered here but subnets that were promised a moment ago. What Docker's objects are
 * in cnm follows from names and labels there, so that a call finds what an earlier one did, though
 * cnmd or dockerd was killed in between, and completes it.
 */
#ifndef ADAPTERS_DOCKER_PLUGIN_H
#define ADAPTERS_DOCKER_PLUGIN_H

#include "cnm/cnm.h"

#define DOCKER_PLUGINS 2
extern const char *const docker_plugin_names[DOCKER_PLUGINS];

struct docker_plugin;

/* Drop what was reserved for calls of Docker that never came, and serve on listening sockets. */
int docker_plugin_start(struct docker_plugin **ret, struct cnm_engine *engine,
			const int fds[DOCKER_PLUGINS], struct cnm_error *err);
/* -ETIMEDOUT: a call would not end, and all it uses must stay. NULL is allowed. */
int docker_plugin_stop(struct docker_plugin *p, unsigned timeout_ms);

#endif
