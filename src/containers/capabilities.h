/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's capabilities by name, and the set a container has. No I/O. */
#ifndef CONTAINERS_CAPABILITIES_H
#define CONTAINERS_CAPABILITIES_H

#include <jansson.h>
#include <stdbool.h>

/* "net_admin", "CAP_NET_ADMIN" -> "CAP_NET_ADMIN"; "all" -> "ALL". NULL: there is none of that
 * name. */
const char *capability_find(const char *name);
/*
 * Docker's 14, with what is added and dropped (arrays of names as capability_find() gives them, or
 * NULL); privileged: all. Never more than the kernel has and this process may hand on. An array in
 * the kernel's order, or NULL when memory is out.
 */
json_t *capability_set(const json_t *add, const json_t *drop, bool privileged);
/* Is the capability of this name ("CAP_NET_ADMIN") among those, whatever this process may hand on?
 */
bool capability_is_given(const json_t *add, const json_t *drop, bool privileged, const char *name);

#endif
