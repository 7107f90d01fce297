/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the image says of its containers, where the request says nothing. An image is hostile too:
 * its configuration is read by the same tables as a request, and what cnm does not use of it is
 * left out.
 */
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/config_internal.h"

static const struct config_member image_table[] = {
	{ "User", M_STRING, NULL, NULL, NULL },       { "ExposedPorts", M_PORTS, NULL, NULL, NULL },
	{ "Env", M_STRINGS, NULL, NULL, NULL },       { "Entrypoint", M_COMMAND, NULL, NULL, NULL },
	{ "Cmd", M_COMMAND, NULL, NULL, NULL },       { "Volumes", M_SET, NULL, NULL, NULL },
	{ "WorkingDir", M_STRING, NULL, NULL, NULL }, { "Labels", M_MAP, NULL, NULL, NULL },
	{ "StopSignal", M_STRING, NULL, NULL, NULL }, { NULL, M_STRING, NULL, NULL, NULL },
};

/* Only what the table names: an image may say more. */
static int read_image(json_t **ret, const json_t *image, struct cnm_error *err)
{
	_json_ json_t *known = json_object(), *checked = json_object();
	int r = known && checked ? 0 : config_no_memory(err);

	for (const struct config_member *m = image_table; r == 0 && m->name; m++) {
		json_t *v = json_object_get(image, m->name);

		if (v && json_object_set(known, m->name, v) < 0)
			r = config_no_memory(err);
	}
	r = r < 0 ? r : config_members(checked, known, "the image's ", image_table, err);
	if (r == 0)
		*ret = take_ptr(checked);
	return r;
}

static int take_text(json_t *config, const json_t *image, const char *name)
{
	if (*config_text(config, name) || !json_object_get(image, name))
		return 0;
	return json_object_set(config, name, json_object_get(image, name));
}

/* Members of the image's object that the container's has not. */
static int take_members(json_t *config, const json_t *image, const char *name)
{
	json_t *have = json_object_get(config, name), *more = json_object_get(image, name);

	if (!more)
		return 0;
	if (!json_is_object(have))
		return json_object_set(config, name, more);
	return json_object_update_missing(have, more);
}

static bool has_variable(const json_t *env, const char *text)
{
	size_t n = strcspn(text, "="), i;
	json_t *v;

	json_array_foreach (env, i, v) {
		const char *s = json_string_value(v);

		if (strcspn(s, "=") == n && memcmp(s, text, n) == 0)
			return true;
	}
	return false;
}

static int take_env(json_t *config, const json_t *image)
{
	json_t *env = json_object_get(config, "Env"), *more = json_object_get(image, "Env"), *v;
	size_t i, given = json_array_size(env);
	_json_ json_t *asked = json_copy(env);

	if (!asked)
		return -ENOMEM;
	json_array_foreach (more, i, v) {
		if (given && has_variable(asked, json_string_value(v)))
			continue;
		if (json_array_append(env, v) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The image's command belongs to the image's entry point: one of the request's own comes without.
 */
static int take_command(json_t *config, const json_t *image)
{
	json_t *entry = json_object_get(config, "Entrypoint"), *first;

	if (json_array_size(entry) == 0) {
		json_t *cmd = json_object_get(image, "Cmd");
		json_t *own = json_object_get(image, "Entrypoint");

		if (cmd && json_array_size(json_object_get(config, "Cmd")) == 0 &&
		    json_object_set(config, "Cmd", cmd) < 0)
			return -ENOMEM;
		if (json_is_null(entry) && own && json_object_set(config, "Entrypoint", own) < 0)
			return -ENOMEM;
	}
	entry = json_object_get(config, "Entrypoint");
	first = json_array_get(entry, 0);
	if (json_array_size(entry) == 1 && json_string_length(first) == 0)
		return json_object_set_new(config, "Entrypoint", json_null());
	return 0;
}

static int check_command(const json_t *config, struct cnm_error *err)
{
	if (json_array_size(json_object_get(config, "Entrypoint")) == 0 &&
	    json_array_size(json_object_get(config, "Cmd")) == 0)
		return cnm_error_set(err, CNM_E_INVALID, "no command specified");
	return 0;
}

static int take_all(json_t *config, const json_t *image)
{
	static const char *const texts[] = { "User", "WorkingDir", "StopSignal" };
	static const char *const objects[] = { "ExposedPorts", "Labels", "Volumes" };
	int r = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		r |= take_text(config, image, texts[i]);
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		r |= take_members(config, image, objects[i]);
	r |= take_env(config, image);
	r |= take_command(config, image);
	return r;
}

int container_config_merge(struct container_config *c, const json_t *image, struct cnm_error *err)
{
	_json_ json_t *checked = NULL;
	int r = read_image(&checked, image, err);

	if (r == 0 && take_all(c->config, checked) < 0)
		r = config_no_memory(err);
	r = r < 0 ? r : config_exposed_settle(c->config, err);
	r = r < 0 ? r : check_command(c->config, err);
	r = r < 0 ? r : config_working_dir(c->config, err);
	if (r < 0)
		return r;
	return config_mounts_anonymous(c, json_object_get(c->config, "Volumes"), err);
}
