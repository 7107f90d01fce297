/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /images, as Docker serves it; what makes images is in api_image_work.c. */
#include "api/api_call.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

static struct images *images(const struct api_call *call)
{
	return containers_images(call->containers);
}

static int list(struct api_call *call)
{
	const char *filters = NULL;
	_free_ char *json = NULL;
	bool all = false;
	int r;

	r = api_param_filters(call, &filters);
	if (r == 0)
		r = api_param_flag(call, "all", &all);
	if (r == 0)
		r = images_list(images(call), filters, all, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int inspect(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = images_inspect(images(call), call->ref, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int history(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = images_history(images(call), call->ref, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int tag(struct api_call *call)
{
	const char *repo = api_param(call, "repo"), *name = api_param(call, "tag");
	int r;

	if (!repo)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "tag %s: the parameter repo, its new name, is missing",
				     call->ref);
	r = images_tag(images(call), call->ref, repo, name ? name : "latest", &call->err);
	return r < 0 ? r : api_reply_text(call, 201, NULL);
}

static int delete (struct api_call *call)
{
	_free_ char *json = NULL;
	bool force = false;
	int r;

	r = api_param_flag(call, "force", &force);
	if (r == 0)
		r = images_remove(images(call), call->ref, force, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

/* ----------------------------------------------------------------------------------------- save */

static int save(struct api_call *call, const char *const *refs, unsigned n)
{
	int fd, r;

	r = images_save(images(call), refs, n, &fd, &call->err);
	if (r < 0)
		return r;
	r = http_reply_pipe(call->x, 200, "application/x-tar", fd);
	return r < 0 ? cnm_error_errno(&call->err, r, "send the archive") : 0;
}

static int save_one(struct api_call *call)
{
	return save(call, &call->ref, 1);
}

static int save_named(struct api_call *call)
{
	const char *refs[HTTP_MAX_PAIRS];
	unsigned n = 0;

	while (n < HTTP_MAX_PAIRS &&
	       (refs[n] = http_message_param_at(call->request, "names", n)) != NULL)
		n++;
	if (n == 0)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "save images: the parameter names, once for each, is missing");
	return save(call, refs, n);
}

const struct api_route api_image_routes[] = {
	{ "GET", "/images/json", list, 0 },      { "GET", "/images/get", save_named, 0 },
	{ "GET", "/images/*/json", inspect, 0 }, { "GET", "/images/*/history", history, 0 },
	{ "GET", "/images/*/get", save_one, 0 }, { "POST", "/images/*/tag", tag, 0 },
	{ "DELETE", "/images/*", delete, 0 },    { NULL, NULL, NULL, 0 },
};
