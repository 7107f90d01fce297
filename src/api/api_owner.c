/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the name of a container to the sandbox whose network it has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_call.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

#define MAX_HOPS 8 /* container:X of container:Y of ... */

/* Its own id, or of whom it shares it with. NULL: it is no container. */
static char *owner_of(struct api_call *call, const char *ref, char **ret_shared)
{
	_free_ char *text = NULL;
	_json_ json_t *o = NULL;
	const char *mode, *other;

	if (containers_inspect(call->containers, ref, call->version, false, &text, NULL) < 0)
		return NULL;
	o = json_loads(text, 0, NULL);
	mode = json_string_value(json_object_get(json_object_get(o, "HostConfig"), "NetworkMode"));
	other = mode ? str_after(mode, "container:") : NULL;
	if (other)
		*ret_shared = strdup(other);
	return json_string_value(json_object_get(o, "Id"))
		       ? strdup(json_string_value(json_object_get(o, "Id")))
		       : NULL;
}

/* A sandbox has the id of its container; one that shares another's network is where that one is. */
int api_network_owner(struct api_call *call, const char *name, char **ret)
{
	_free_ char *ref = strdup(name);

	for (unsigned i = 0; ref && i < MAX_HOPS && !streq(ref, "host"); i++) {
		char *shared = NULL, *id = owner_of(call, ref, &shared);

		if (!id) {
			free(shared);
			break;
		}
		free(ref);
		ref = shared ? shared : id;
		if (!shared)
			break;
		free(id);
	}
	*ret = take_ptr(ref);
	return *ret ? 0 : cnm_error_errno(&call->err, ENOMEM, "read the request");
}
