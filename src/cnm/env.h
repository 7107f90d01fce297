/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --env and --env-file. */
#ifndef CNM_ENV_H
#define CNM_ENV_H

#include "cnm/error.h"
#include "cnm/strv.h"

/*
 * Append to ret what the files say, then what was given: KEY=VALUE; KEY alone takes the value that
 * cnm's own environment has, and stays alone if it has none (it is then taken away from the
 * image's; in a file it means nothing).
 */
int env_collect(const struct strv *given, const struct strv *files, struct strv *ret,
		struct cnm_error *err);

#endif
