/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm sandbox create`, an entry of sandbox_commands. */
#ifndef CNM_CMD_SANDBOX_CREATE_H
#define CNM_CMD_SANDBOX_CREATE_H

#include "cnm/command.h"

int sandbox_create(const struct command *self, const struct client *client, struct args args);

#endif
