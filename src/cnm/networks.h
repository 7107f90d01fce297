/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The networks of a sandbox or container to be made. What concerns one network is said in the long
 * form of --net, or, for the first network, by options of its own; both at once is refused.
 */
#ifndef CNM_NETWORKS_H
#define CNM_NETWORKS_H

#include <jansson.h>

#include "cnm/error.h"
#include "cnm/settings.h"
#include "cnm/strv.h"

/*
 * [{"Network": NAME, "EndpointConfig": {..}}, ...], one for each --net, in their order. first: the
 * options for the first of them. NULL with *err set.
 */
json_t *networks_json(const struct strv *nets, const struct settings *first, struct cnm_error *err);

#endif
