/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named volumes: a directory each, DIR/NAME/_data. What exists is what the file system says.
 * Thread-safe.
 */
#ifndef CONTAINERS_VOLUMES_H
#define CONTAINERS_VOLUMES_H

#include <jansson.h>
#include <stdbool.h>

#include "cnm/error.h"

/*
 * Make it if it is missing; *ret_path (caller frees) is its _data. *ret_new (may be NULL): it was
 * made now. Names are Docker's ([a-zA-Z0-9][a-zA-Z0-9_.-]*), else INVALID.
 */
int volume_make(const char *dir, const char *name, char **ret_path, bool *ret_new,
		struct cnm_error *err);
/* NOT_FOUND "get X: no such volume". The caller has checked that nobody uses it. */
int volume_remove(const char *dir, const char *name, struct cnm_error *err);
/* Docker's volume object: CreatedAt, Driver local, Labels, Mountpoint, Name, Options, Scope. */
int volume_inspect(const char *dir, const char *name, json_t **ret, struct cnm_error *err);
/* Array of them, by name. */
int volume_list(const char *dir, json_t **ret, struct cnm_error *err);

#endif
