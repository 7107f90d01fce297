/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GET /cnm/v1/dns/{ref}: what a container or sandbox can resolve, and where the rest goes. */
#include "api/api_call.h"
#include "base/cleanup.h"

static int dns(struct api_call *call)
{
	_free_ char *owner = NULL, *json = NULL;
	int r = api_network_owner(call, call->ref, &owner);

	if (r == 0)
		r = cnm_dns(call->engine, owner, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

const struct api_route api_dns_routes[] = {
	{ "GET", "/cnm/v1/dns/*", dns, 0 },
	{ NULL, NULL, NULL, 0 },
};
