/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a request says about names: a sandbox's own, its servers, its search list, lines of its
 * hosts file. Docker's rules, and its words where it has any. What passes can be written into files
 * line by line.
 */
#ifndef CONTROLLER_SANDBOX_NAMES_H
#define CONTROLLER_SANDBOX_NAMES_H

#include <stddef.h>

#include "controller/engine.h"

enum names_list {
	NAMES_DNS,     /* "10.0.0.1", "fd00::1", "fe80::1%eth0" */
	NAMES_SEARCH,  /* a domain name, or "." */
	NAMES_OPTIONS, /* one word */
	NAMES_HOSTS,   /* "NAME:ADDRESS", "NAME:[ADDRESS]", "NAME:host-gateway" */
};

#define HOST_GATEWAY "host-gateway"
#define NAMES_TEXT   320  /* fits any entry */
#define NAMES_MAX    4096 /* entries of a list */

/* One entry, as it is kept: addresses in their shortest form and bare, domains without a last dot.
 */
int names_entry(enum names_list kind, const char *text, char ret[static NAMES_TEXT],
		struct cnm_error *err);
/* A list; *ret is the caller's array of strings, NULL for an empty one. */
int names_list(enum names_list kind, const char *const *texts, size_t n, json_t **ret,
	       struct cnm_error *err);

/* Of a sandbox that is being built: all of it from its configuration. */
int sandbox_set_names(struct sandbox *sb, const struct cnm_sandbox_config *c,
		      struct cnm_error *err);
/* What sandboxes get that bring none. */
int engine_set_names(struct cnm_engine *e, const struct cnm_options *o, struct cnm_error *err);

#endif
