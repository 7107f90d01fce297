/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm network create`, an entry of network_commands. */
#ifndef CNM_CMD_NETWORK_CREATE_H
#define CNM_CMD_NETWORK_CREATE_H

#include "cnm/command.h"

int network_create(const struct command *self, const struct client *client, struct args args);

#endif
