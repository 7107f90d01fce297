/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What dockerd asks of a network or IPAM plugin, from JSON to structs. Pure: no I/O, no engine.
 * What comes in is hostile; members that nobody knows are ignored, since newer daemons send more.
 *
 * The structs point into the JSON and into the api_memory; both must outlive them.
 */
#ifndef ADAPTERS_DOCKER_DECODE_H
#define ADAPTERS_DOCKER_DECODE_H

#include "api/api_decode.h"
#include "base/addr.h"

#define DOCKER_POOLS 16

/* NetworkDriver.CreateNetwork */
struct docker_network {
	const char *id;
	const struct cnm_kv *options; /* -o, all of them */
	size_t n_options;
	bool ipv4, ipv6, internal;
	struct cnm_pool_config
		pools[DOCKER_POOLS]; /* of both families; addresses without a length */
	size_t n_pools;
};
int docker_decode_network(struct api_memory *memory, json_t *body, struct docker_network *ret,
			  struct cnm_error *err);

/* Calls about a network or an endpoint. Ids are 64 hex digits. */
int docker_decode_network_id(json_t *body, const char **ret, struct cnm_error *err);
struct docker_endpoint {
	const char *network, *id;
	struct cnm_prefix ip4, ip6; /* with the length of the subnet; unset: to be chosen */
	struct cnm_mac mac;
};
int docker_decode_endpoint(json_t *body, struct docker_endpoint *ret, struct cnm_error *err);
int docker_decode_endpoint_id(json_t *body, const char **ret, struct cnm_error *err);
/* NetworkDriver.ProgramExternalConnectivity */
int docker_decode_ports(struct api_memory *memory, json_t *body, const struct cnm_publish **ret,
			size_t *ret_n, struct cnm_error *err);

/* IpamDriver.RequestPool */
struct docker_pool {
	struct cnm_prefix subnet; /* unset: any */
	const char *network;      /* --ipam-opt cnm.network=NAME, or NULL */
	bool ipv6;
};
int docker_decode_pool(json_t *body, struct docker_pool *ret, struct cnm_error *err);
/* ReleasePool, and the others of IpamDriver: which pool they are about. */
int docker_decode_pool_id(json_t *body, struct cnm_prefix *ret, struct cnm_error *err);
/* RequestAddress and ReleaseAddress */
struct docker_address {
	struct cnm_prefix pool;
	struct cnm_ip ip;   /* unset: any */
	struct cnm_mac mac; /* unset: it is for no endpoint */
};
int docker_decode_address(json_t *body, struct docker_address *ret, struct cnm_error *err);

#endif
