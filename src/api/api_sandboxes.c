/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /cnm/v1/sandboxes and /cnm/v1/doctor: docs/API.md. */
#include "api/api_call.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

static int list(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = cnm_sandbox_list(call->engine, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int inspect(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = cnm_sandbox_inspect(call->engine, call->ref, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static int create(struct api_call *call)
{
	struct cnm_sandbox_config config;
	char id[CNM_ID_SIZE] = "";
	int r;

	r = api_read_body(call);
	if (r == 0)
		r = api_decode_sandbox(&call->memory, call->body, &config, &call->err);
	if (r == 0)
		r = cnm_sandbox_create(call->engine, &config, call->dry, id, &call->err);
	return r < 0 ? r : api_reply_created(call, id, NULL);
}

static int delete (struct api_call *call)
{
	int r = cnm_sandbox_remove(call->engine, call->ref, call->dry, &call->err);

	return r < 0 ? r : api_reply_changed(call, 204);
}

/* --------------------------------------------------------------------------------------- doctor */

static int examine(struct api_call *call)
{
	_free_ char *json = NULL;
	int r = cnm_engine_doctor(call->engine, false, &json, &call->err);

	return r < 0 ? r : api_reply_text(call, 200, json);
}

static void add_word(struct strbuf *line, const json_t *difference, const char *key)
{
	const char *word = json_string_value(json_object_get(difference, key));

	if (word && *word)
		strbuf_addf(line, "%s%s", line->len && line->s[line->len - 1] != '\n' ? " " : "",
			    word);
}

/* What a repair would do: a line a difference. */
static int plan_repair(struct api_call *call)
{
	struct strbuf plan = { 0 };
	_json_ json_t *found = NULL;
	_free_ char *json = NULL;
	json_t *difference;
	size_t i;
	int r;

	r = cnm_engine_doctor(call->engine, false, &json, &call->err);
	if (r < 0)
		return r;
	found = json_loads(json, 0, NULL);
	json_array_foreach (json_object_get(found, "Differences"), i, difference) {
		add_word(&plan, difference, "Action");
		add_word(&plan, difference, "Kind");
		add_word(&plan, difference, "Where");
		add_word(&plan, difference, "Key");
		add_word(&plan, difference, "Want");
		strbuf_add(&plan, "\n");
	}
	call->plan.plan = strbuf_take(&plan);
	if (!found || !call->plan.plan)
		return cnm_error_errno(&call->err, ENOMEM, "plan the repair");
	return api_reply_plan(call);
}

static int repair(struct api_call *call)
{
	_free_ char *json = NULL;
	int r;

	if (call->dry)
		return plan_repair(call);
	r = cnm_engine_doctor(call->engine, true, &json, &call->err);
	return r < 0 ? r : api_reply_text(call, 200, json);
}

const struct api_route api_sandbox_routes[] = {
	{ "GET", "/cnm/v1/sandboxes", list, 0 },
	{ "POST", "/cnm/v1/sandboxes", create, ROUTE_PLANS },
	{ "GET", "/cnm/v1/sandboxes/*", inspect, 0 },
	{ "DELETE", "/cnm/v1/sandboxes/*", delete, ROUTE_PLANS },
	{ "GET", "/cnm/v1/doctor", examine, 0 },
	{ "POST", "/cnm/v1/doctor", repair, ROUTE_PLANS },
	{ NULL, NULL, NULL, 0 },
};
