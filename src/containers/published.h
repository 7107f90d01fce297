/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ports of a container: what its configuration asks of the engine, and what the engine's
 * sandbox shows of them, in Docker's shapes. No I/O.
 */
#ifndef CONTAINERS_PUBLISHED_H
#define CONTAINERS_PUBLISHED_H

#include <jansson.h>
#include <stdbool.h>

#include "base/addr.h"
#include "cnm/cnm.h"
#include "containers/port_spec.h"

/* For cnm_sandbox_config; the strings live as long as this does. */
struct published {
	struct cnm_publish *publish;
	struct cnm_port_range *exposed;
	size_t n_publish, n_exposed;
	char (*ips)[IP_STR];
};

/*
 * From Config and HostConfig as they are kept: the bindings, and with PublishAllPorts the exposed
 * ports without one, at ports to be chosen. Exposed is what is bound, too. Released by
 * published_free().
 */
int published_read(const json_t *config, const json_t *host, struct published *ret,
		   struct cnm_error *err);
void published_free(struct published *p);

/*
 * inspect's NetworkSettings.Ports, {"80/tcp": [{"HostIp", "HostPort"}], "81/tcp": null}, of a
 * sandbox as cnm_sandbox_inspect() shows it, or NULL. NULL: no memory.
 */
json_t *published_inspect(const json_t *sandbox);
/* The list's Ports: [{"IP", "PrivatePort", "PublicPort", "Type"}, ...]. */
json_t *published_list(const json_t *sandbox);

/* What `docker ps --filter publish=` and expose= ask for: ports of the host, and exposed ones. */
struct published_filter {
	struct port_run *publish, *expose;
	size_t n_publish, n_expose;
};
/* Values are arrays of strings, or NULL; key is for messages. INVALID in Docker's words. */
int published_filter_read(const json_t *values, const char *key, struct port_run **ret,
			  size_t *ret_n, struct cnm_error *err);
bool published_matches(const struct published_filter *f, const json_t *sandbox);

#endif
