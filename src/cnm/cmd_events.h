/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm events`, an entry of system_commands. */
#ifndef CNM_CMD_EVENTS_H
#define CNM_CMD_EVENTS_H

#include "cnm/command.h"

int events(const struct command *self, const struct client *client, struct args args);

#endif
