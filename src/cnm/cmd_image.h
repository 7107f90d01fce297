/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands about images that move them: entries of image_commands. */
#ifndef CNM_CMD_IMAGE_H
#define CNM_CMD_IMAGE_H

#include "cnm/command.h"

int image_pull_command(const struct command *self, const struct client *client, struct args args);
int image_load(const struct command *self, const struct client *client, struct args args);
int image_save(const struct command *self, const struct client *client, struct args args);
int image_import(const struct command *self, const struct client *client, struct args args);

#endif
