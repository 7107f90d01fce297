/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket the API is served on. */
#ifndef CNMD_LISTEN_H
#define CNMD_LISTEN_H

#include "cnm/error.h"

/*
 * A socket listening at path: `kept`, if that is one (its ownership passes to here; -1: there is
 * none), so that clients that wait in it lose nothing; else a new one, mode 0660, of group "cnm"
 * where that exists. A socket that nobody serves any more is replaced. CONFLICT if somebody does.
 */
int listen_open(const char *path, int kept, int *ret_fd, struct cnm_error *err);

#endif
