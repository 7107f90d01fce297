/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm why` and `cnm trace`, entries of system_commands. */
#ifndef CNM_CMD_WHY_H
#define CNM_CMD_WHY_H

#include "cnm/command.h"

int trace(const struct command *self, const struct client *client, struct args args);
int why(const struct command *self, const struct client *client, struct args args);

#endif
