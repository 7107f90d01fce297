/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* -v, --mount and --tmpfs as the members of a container's configuration. */
#ifndef CNM_MOUNTS_H
#define CNM_MOUNTS_H

#include <jansson.h>

#include "cnm/error.h"
#include "cnm/strv.h"

/*
 * Each -v: "/path" is an anonymous volume, a member of volumes; "source:/path[:options]" is
 * appended to binds, with a source that begins with "." made absolute, since it is the daemon that
 * opens it.
 */
int mounts_add_volumes(const struct strv *given, json_t *binds, json_t *volumes,
		       struct cnm_error *err);
/* Each --tmpfs, "/path[:options]", into tmpfs. */
int mounts_add_tmpfs(const struct strv *given, json_t *tmpfs);
/* Each --mount, "type=bind,src=...,dst=...", appended to mounts. */
int mounts_add(const struct strv *given, json_t *mounts, struct cnm_error *err);

#endif
