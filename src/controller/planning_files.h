/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a sandbox's hosts, hostname and resolv.conf must hold. With the engine's lock held. */
#ifndef CONTROLLER_PLANNING_FILES_H
#define CONTROLLER_PLANNING_FILES_H

#include "controller/engine.h"
#include "resolver/files.h"

void plan_files(const struct cnm_engine *e, const struct sandbox *sb, struct plan *p);

/*
 * Of what its resolv.conf is made: its own settings, the engine's where it brings none, the host's
 * file as it is now. What this points to is borrowed, and good until the next such call.
 */
struct files_resolv sandbox_resolv(const struct cnm_engine *e, const struct sandbox *sb);

#endif
