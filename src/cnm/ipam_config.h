/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `network create`: subnets, ranges, gateways and reserved addresses sorted into pools. */
#ifndef CNM_IPAM_CONFIG_H
#define CNM_IPAM_CONFIG_H

#include <jansson.h>

#include "cnm/error.h"
#include "cnm/strv.h"

/*
 * The array of Docker's IPAM.Config: one entry a subnet, each with the range, gateway and
 * auxiliary addresses (an object name: address) that lie in it. Refuses, in Docker's words, what
 * has no subnet or the second of what a subnet has one of. NULL with *err set.
 */
json_t *ipam_config(const struct strv *subnets, const struct strv *ranges,
		    const struct strv *gateways, const json_t *aux, struct cnm_error *err);

#endif
