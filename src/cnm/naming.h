/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `run` and `sandbox create` are told about names: the host's own, its servers, its hosts. */
#ifndef CNM_NAMING_H
#define CNM_NAMING_H

#include <jansson.h>

#include "cnm/command.h"
#include "cnm/error.h"
#include "cnm/strv.h"

struct naming {
	const char *hostname, *domainname; /* borrowed; NULL: not given */
	struct strv dns, dns_search, dns_options, extra_hosts;
};

/* In the order of the alphabet, for tables that are sorted. */
#define NAMING_OPTION_ADD_HOST(s)                                                   \
	{                                                                           \
		0, OPTION_LIST, "add-host", &(s)->extra_hosts, "list",              \
			"Add a line to its hosts file (host:ip, host:host-gateway)" \
	}
#define NAMING_OPTIONS_DNS(s)                                                                   \
	{ 0, OPTION_LIST, "dns", &(s)->dns, "list", "Set custom DNS servers" },                 \
		{ 0, OPTION_LIST, "dns-opt", &(s)->dns_options, "list", "Set DNS options" },    \
		{ 0, OPTION_LIST, "dns-option", &(s)->dns_options, "list", "Set DNS options" }, \
	{                                                                                       \
		0, OPTION_LIST, "dns-search", &(s)->dns_search, "list",                         \
			"Set custom DNS search domains (\".\" for none)"                        \
	}

void naming_free(struct naming *n);
/* Members of an object: HostConfig, or a sandbox; those that were not given are left out. */
int naming_put(const struct naming *n, json_t *obj, struct cnm_error *err);

#endif
