/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a network plugin is asked, and its answers, checked: libnetwork's NetworkDriver calls. */
#ifndef PLUGINS_REMOTE_NETWORK_H
#define PLUGINS_REMOTE_NETWORK_H

#include "base/addr.h"
#include "model/join.h"
#include "plugins/plugins.h"

/* {"NetworkID": ..., "EndpointID": ...}; endpoint NULL: without. NULL: no memory. */
json_t *remote_ids(const char *network, const char *endpoint);

/* Does it want no gateway address, IPv4 and IPv6? options is taken, {} of the network. */
int remote_check_gateways(struct plugins *p, const char *plugin, json_t *options, bool ret_skip[2],
			  struct cnm_error *err);
/* options, and an array of pools for each family, are taken. */
int remote_create_network(struct plugins *p, const char *plugin, const char *network,
			  json_t *options, json_t *ipv4, json_t *ipv6, struct cnm_error *err);

struct remote_endpoint {
	const char *network, *id;
	struct cnm_prefix addr[2]; /* IPv4, IPv6; unset: none */
	struct cnm_mac mac;        /* unset: none */
	const char *sandbox_key;   /* path of its namespace */
	json_t *options;           /* borrowed */
};
/* The plugin may give what was not given, which is in ep then. */
int remote_create_endpoint(struct plugins *p, const char *plugin, struct remote_endpoint *ep,
			   struct cnm_error *err);
int remote_join(struct plugins *p, const char *plugin, const struct remote_endpoint *ep,
		struct join *ret, struct cnm_error *err);

/* For the fuzzer: an answer to CreateEndpoint, into ep. */
int remote_endpoint_decode(const json_t *answer, struct remote_endpoint *ep, struct cnm_error *err);

#endif
