/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A link as Docker writes it. */
#ifndef CONTAINERS_LINKS_H
#define CONTAINERS_LINKS_H

#include <stddef.h>

#include "cnm/error.h"

/*
 * "con1:alias"; "con1", which is called the same; "/con1:/web/alias", as inspect shows it. The name
 * (ret_n bytes) and the alias are within text. INVALID, in Docker's words: bad format for links.
 */
int link_parse(const char *text, const char **ret_name, size_t *ret_n, const char **ret_alias,
	       struct cnm_error *err);

#endif
