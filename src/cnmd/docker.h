/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --docker-plugin: Docker's plugins on sockets in a directory where dockerd looks for them. */
#ifndef CNMD_DOCKER_H
#define CNMD_DOCKER_H

#include <stdbool.h>

#include "adapters/docker_plugin.h"

#define DOCKER_DEFAULT_DIR "/run/docker/plugins"

struct docker_sockets {
	const char *dir; /* NULL: Docker's plugins are not served */
	bool keep;       /* the sockets, over a restart */
	int fds[DOCKER_PLUGINS];
	struct docker_plugin *plugin;
};

/* Also lets go of sockets that an earlier daemon kept, when it is not to serve any. */
int docker_start(struct docker_sockets *d, struct cnm_engine *engine, struct cnm_error *err);
/* As docker_plugin_stop(). Sockets that are not kept are removed. */
int docker_stop(struct docker_sockets *d, unsigned timeout_ms);
/* The sockets, for good. */
void docker_remove(const struct docker_sockets *d);

#endif
