/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an IPAM plugin is asked, and its answers, checked: libnetwork's IpamDriver calls. */
#ifndef PLUGINS_REMOTE_IPAM_H
#define PLUGINS_REMOTE_IPAM_H

#include "base/addr.h"
#include "plugins/plugins.h"

/* The name of the address space that networks of one host, or of many, take pools from; the
 * caller's. */
int remote_address_space(struct plugins *p, const char *plugin, bool global, char **ret,
			 struct cnm_error *err);

struct remote_pool {
	char *id; /* the caller's */
	struct cnm_prefix subnet;
	struct cnm_ip gateway; /* unset: it was not told */
};
/* pool, subpool: "" for any. options is taken. */
int remote_request_pool(struct plugins *p, const char *plugin, const char *space, const char *pool,
			const char *subpool, json_t *options, bool v6, struct remote_pool *ret,
			struct cnm_error *err);
/* ip unset: any. options is taken. */
int remote_request_address(struct plugins *p, const char *plugin, const char *pool_id,
			   const struct cnm_ip *ip, json_t *options, struct cnm_prefix *ret,
			   struct cnm_error *err);
/* What takes both back. NULL: no memory. */
json_t *remote_release_pool(const char *pool_id);
json_t *remote_release_address(const char *pool_id, const struct cnm_ip *ip);

/* For the fuzzer. */
int remote_pool_decode(const json_t *answer, bool v6, struct remote_pool *ret,
		       struct cnm_error *err);
int remote_address_decode(const json_t *answer, struct cnm_prefix *ret, struct cnm_error *err);

#endif
