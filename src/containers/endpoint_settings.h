/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Docker's EndpointSettings as a container keeps them, and the library's struct for the same. The
 * struct points into the JSON.
 */
#ifndef CONTAINERS_ENDPOINT_SETTINGS_H
#define CONTAINERS_ENDPOINT_SETTINGS_H

#include <jansson.h>

#include "cnm/cnm.h"

/* settings may be NULL or null. Released by endpoint_settings_free(). INVALID: a member's type. */
int endpoint_settings_read(const json_t *settings, struct cnm_endpoint_config *ret,
			   struct cnm_error *err);
void endpoint_settings_free(struct cnm_endpoint_config *config);
/* The reverse, for a request that came as the struct; NULL: no memory. */
json_t *endpoint_settings_write(const struct cnm_endpoint_config *config);

#endif
