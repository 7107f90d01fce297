/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm dns`, an entry of system_commands. */
#ifndef CNM_CMD_DNS_H
#define CNM_CMD_DNS_H

#include "cnm/command.h"

int dns(const struct command *self, const struct client *client, struct args args);

#endif
