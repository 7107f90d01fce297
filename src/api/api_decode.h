/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the JSON of requests to the library's structs. Pure: no I/O, no engine.
 *
 * Names of members match in any case, as with Docker. A member that Docker does not know is
 * ignored; cnm's own objects refuse unknown members.
 *
 * The structs point into the JSON and into an api_memory; both must outlive them.
 */
#ifndef API_API_DECODE_H
#define API_API_DECODE_H

#include <jansson.h>

#include "cnm/cnm.h"

/* Blocks that are released together. Zero-initialised. */
struct api_memory {
	struct api_block *blocks;
};
/* Zeroed; NULL if memory is out. n may be 0. */
void *api_memory_get(struct api_memory *memory, size_t n, size_t size);
void api_memory_free(struct api_memory *memory);

/*
 * Parse JSON text from outside. Deep nesting is refused before the parser sees it, whose stack
 * would not bear it. INVALID: "invalid JSON: ..." or "unexpected content after JSON".
 */
int api_parse(json_t **ret, const char *text, size_t n, struct cnm_error *err);

/* Docker's NetworkCreateRequest. */
int api_decode_network(struct api_memory *memory, json_t *body, struct cnm_network_config *ret,
		       struct cnm_error *err);
/* Docker's EndpointSettings; settings may be NULL or null. Does not set ret->name. */
int api_decode_endpoint(struct api_memory *memory, json_t *settings,
			struct cnm_endpoint_config *ret, struct cnm_error *err);
/* {"Container", "EndpointConfig"} */
int api_decode_connect(struct api_memory *memory, json_t *body, const char **ret_sandbox,
		       struct cnm_endpoint_config *ret, struct cnm_error *err);
/* {"Container", "Force"} */
int api_decode_disconnect(json_t *body, const char **ret_sandbox, bool *ret_force,
			  struct cnm_error *err);
/* cnm's own: {"Name", "Hostname", "Domainname", "Pid", "Netns", "Labels", "Networks", "Publish",
 * "Exposed", "Confined", "Dns", "DnsSearch", "DnsOptions", "ExtraHosts"} */
int api_decode_sandbox(struct api_memory *memory, json_t *body, struct cnm_sandbox_config *ret,
		       struct cnm_error *err);
/* cnm's own: {"Name", "Network", "EndpointConfig"} */
int api_decode_reservation(struct api_memory *memory, json_t *body, const char **ret_network,
			   struct cnm_endpoint_config *ret, struct cnm_error *err);
/* cnm's own: {"Sandbox"} */
int api_decode_join(json_t *body, const char **ret_sandbox, struct cnm_error *err);

#endif
