/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See api_filter.h. */
#include "api/api_filter.h"

#include <errno.h>
#include <string.h>

#include "api/api_decode.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

static const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

/* ------------------------------------------------------------------------------ one key's match */

static bool exact(const json_t *values, const char *s)
{
	json_t *v;
	size_t i;

	json_array_foreach (values, i, v)
		if (streq(json_string_value(v), s))
			return true;
	return false;
}

static bool begins(const json_t *values, const char *s)
{
	json_t *v;
	size_t i;

	json_array_foreach (values, i, v)
		if (*s && str_after(s, json_string_value(v)))
			return true;
	return false;
}

static bool match_type(const json_t *values, const json_t *event)
{
	return exact(values, text_of(event, "Type"));
}

static bool match_scope(const json_t *values, const json_t *event)
{
	return exact(values, text_of(event, "scope"));
}

/* An action may have details: "exec_start: sh" is an exec_start. */
static bool match_action(const json_t *values, const json_t *event)
{
	const char *action = text_of(event, "Action"), *rest;
	json_t *v;
	size_t i;

	json_array_foreach (values, i, v) {
		rest = str_after(action, json_string_value(v));
		if (rest && (*rest == '\0' || *rest == ':'))
			return true;
	}
	return false;
}

/* The object the event is about, if it is of the type. */
static bool match_actor(const json_t *values, const json_t *event, const char *type)
{
	const json_t *actor = json_object_get(event, "Actor");

	return streq(text_of(event, "Type"), type) &&
	       (begins(values, text_of(actor, "ID")) ||
		begins(values, text_of(json_object_get(actor, "Attributes"), "name")));
}

static bool match_network(const json_t *values, const json_t *event)
{
	return match_actor(values, event, "network");
}

static bool match_volume(const json_t *values, const json_t *event)
{
	return match_actor(values, event, "volume");
}

/* Also what happens to a container made of it. */
static bool match_image(const json_t *values, const json_t *event)
{
	const json_t *attributes = json_object_get(json_object_get(event, "Actor"), "Attributes");

	return match_actor(values, event, "image") || begins(values, text_of(attributes, "image"));
}

/* Also what happens to a network on a container's behalf. */
static bool match_container(const json_t *values, const json_t *event)
{
	const json_t *attributes = json_object_get(json_object_get(event, "Actor"), "Attributes");

	return match_actor(values, event, "container") ||
	       begins(values, text_of(attributes, "container"));
}

/* "key" or "key=value"; all of them. */
static bool match_labels(const json_t *values, const json_t *event)
{
	const json_t *attributes = json_object_get(json_object_get(event, "Actor"), "Attributes");
	const char *key, *value, *label;
	json_t *v, *attribute;
	size_t i;

	json_array_foreach (values, i, v) {
		bool found = false;

		label = json_string_value(v);
		json_object_foreach ((json_t *)attributes, key, attribute) {
			const char *rest = str_after(label, key);

			value = json_string_value(attribute);
			found |= rest && (*rest == '\0' ||
					  (*rest == '=' && value && streq(rest + 1, value)));
		}
		if (!found)
			return false;
	}
	return true;
}

static const struct {
	const char *key;
	bool (*matches)(const json_t *values, const json_t *event);
} keys[] = {
	{ "type", match_type },       { "event", match_action },        { "scope", match_scope },
	{ "network", match_network }, { "container", match_container }, { "label", match_labels },
	{ "image", match_image },     { "volume", match_volume },
};
#define N_KEYS (sizeof(keys) / sizeof(*keys))

/* ------------------------------------------------------------------------------- the interface */

static bool is_key(const char *key)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (streq(keys[i].key, key))
			return true;
	return false;
}

/* One value of a key, in either encoding: a name that is true, or a string. */
static int add_value(json_t *values, const char *key, const char *name, const json_t *v,
		     struct cnm_error *err)
{
	if (name && !json_is_true(v))
		return 0;
	if (!name && !json_is_string(v))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid filter '%s': a value is not a string", key);
	if (json_array_append_new(values, json_string(name ? name : json_string_value(v))) < 0)
		return cnm_error_errno(err, ENOMEM, "read the filters");
	return 0;
}

/* The values of a key as an array. */
static int values_of(json_t *encoded, const char *key, json_t **ret, struct cnm_error *err)
{
	_json_ json_t *values = json_array();
	const char *name;
	int r = 0;
	json_t *v;
	size_t i;

	if (!json_is_object(encoded) && !json_is_array(encoded) && !json_is_null(encoded))
		return cnm_error_set(
			err, CNM_E_INVALID,
			"invalid filter '%s': its values must be an object or an array", key);
	json_object_foreach (encoded, name, v)
		if (r == 0)
			r = add_value(values, key, name, v, err);
	json_array_foreach (encoded, i, v)
		if (r == 0)
			r = add_value(values, key, NULL, v, err);
	if (r == 0)
		*ret = take_ptr(values);
	return r;
}

int event_filter_parse(json_t **ret, const char *text, struct cnm_error *err)
{
	_json_ json_t *encoded = NULL, *filter = json_object();
	const char *key;
	json_t *v, *values = NULL;
	int r;

	r = api_parse(&encoded, text, strlen(text), err);
	if (r < 0)
		return r;
	if (!json_is_object(encoded) && !json_is_null(encoded))
		return cnm_error_set(err, CNM_E_INVALID, "invalid filters: they must be an object");
	json_object_foreach (encoded, key, v) {
		if (!is_key(key))
			return cnm_error_set(err, CNM_E_INVALID, "invalid filter '%s'", key);
		r = values_of(v, key, &values, err);
		if (r < 0)
			return r;
		if (json_object_set_new(filter, key, values) < 0)
			return cnm_error_errno(err, ENOMEM, "read the filters");
	}
	*ret = json_object_size(filter) ? take_ptr(filter) : NULL;
	return 0;
}

bool event_filter_matches(const json_t *filter, const json_t *event)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		const json_t *values = json_object_get(filter, keys[i].key);

		if (json_array_size(values) && !keys[i].matches(values, event))
			return false;
	}
	return true;
}

int64_t event_time_ns(const json_t *event)
{
	return json_integer_value(json_object_get(event, "timeNano"));
}
