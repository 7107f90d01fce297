/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands about containers that have a file of their own: entries of container_commands. */
#ifndef CNM_CMD_CONTAINER_H
#define CNM_CMD_CONTAINER_H

#include <jansson.h>

#include "cnm/command.h"
#include "cnm/error.h"

int container_run(const struct command *self, const struct client *client, struct args args);
int container_create(const struct command *self, const struct client *client, struct args args);
int container_start(const struct command *self, const struct client *client, struct args args);
int container_attach(const struct command *self, const struct client *client, struct args args);
int container_exec(const struct command *self, const struct client *client, struct args args);
int container_logs(const struct command *self, const struct client *client, struct args args);
int container_port(const struct command *self, const struct client *client, struct args args);
int container_ls(const struct command *self, const struct client *client, struct args args);

/* What a failure to run a program exits with: 127 it is not there, 126 it cannot be run, else 125.
 */
int container_failure_code(const struct cnm_error *err);
/* GET the container. */
int container_fetch(const struct client *client, const char *ref, json_t **ret,
		    struct cnm_error *err);

#endif
