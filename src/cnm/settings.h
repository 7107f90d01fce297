/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EndpointSettings from options: what `connect`, `endpoint create` and `sandbox create` share. */
#ifndef CNM_SETTINGS_H
#define CNM_SETTINGS_H

#include <jansson.h>

#include "cnm/error.h"
#include "cnm/strv.h"

struct settings {
	const char *ip, *ip6, *mac;                   /* borrowed; NULL: not given */
	struct strv aliases, link_local, driver_opts; /* driver_opts: key=value */
	long gw_priority;
};

void settings_free(struct settings *s);
/*
 * The JSON object; members that were not given are left out. NULL with *err set if a MAC or a
 * driver option is malformed, or memory ran out.
 */
json_t *settings_json(const struct settings *s, struct cnm_error *err);

/*
 * One --net: a network's name, or "name=N,ip=...,ip6=...,alias=...,mac-address=...,
 * link-local-ip=...,driver-opt=k=v,gw-priority=n" (CSV: quote a field that holds a comma).
 */
struct attachment {
	struct strv fields;  /* the text that network and settings point into */
	const char *network; /* never NULL */
	struct settings settings;
};

int attachment_parse(struct attachment *ret, const char *text, struct cnm_error *err);
void attachment_free(struct attachment *a);

#endif
