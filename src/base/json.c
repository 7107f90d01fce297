/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include <errno.h>

#include "base/str.h"

static const char *type_name(json_type type)
{
	switch (type) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "something unknown";
}

/* 1 if obj[key] is there and of the type, 0 if it is absent or null. */
static int get(const json_t *obj, const char *key, json_type type, json_t **ret,
	       struct cnm_error *err)
{
	json_t *v = json_object_get(obj, key);
	bool same;

	if (!v || json_is_null(v))
		return 0;
	same = json_typeof(v) == type || (type == JSON_TRUE && json_is_false(v));
	if (!same)
		return cnm_error_set(err, CNM_E_INVALID, "field \"%s\" must be %s, but it is %s",
				     key, type_name(type), type_name(json_typeof(v)));
	*ret = v;
	return 1;
}

int json_get_string(const json_t *obj, const char *key, const char **ret, struct cnm_error *err)
{
	json_t *v = NULL;
	int r = get(obj, key, JSON_STRING, &v, err);

	if (r > 0)
		*ret = json_string_value(v);
	return r < 0 ? r : 0;
}

int json_get_bool(const json_t *obj, const char *key, bool *ret, struct cnm_error *err)
{
	json_t *v = NULL;
	int r = get(obj, key, JSON_TRUE, &v, err);

	if (r > 0)
		*ret = json_is_true(v);
	return r < 0 ? r : 0;
}

int json_get_int(const json_t *obj, const char *key, int64_t *ret, struct cnm_error *err)
{
	json_t *v = NULL;
	int r = get(obj, key, JSON_INTEGER, &v, err);

	if (r > 0)
		*ret = json_integer_value(v);
	return r < 0 ? r : 0;
}

int json_get_object(const json_t *obj, const char *key, json_t **ret, struct cnm_error *err)
{
	int r = get(obj, key, JSON_OBJECT, ret, err);

	return r < 0 ? r : 0;
}

int json_get_array(const json_t *obj, const char *key, json_t **ret, struct cnm_error *err)
{
	int r = get(obj, key, JSON_ARRAY, ret, err);

	return r < 0 ? r : 0;
}

int json_get_strings(const json_t *obj, const char *key, json_t **ret, struct cnm_error *err)
{
	json_t *strings, *v;
	const char *k;
	int r = get(obj, key, JSON_OBJECT, &strings, err);

	if (r <= 0)
		return r;
	json_object_foreach (strings, k, v) {
		if (!json_is_string(v))
			return cnm_error_set(err, CNM_E_INVALID,
					     "field \"%s.%s\" must be a string, but it is %s", key,
					     k, type_name(json_typeof(v)));
	}
	*ret = strings;
	return 0;
}

static bool is_listed(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (streq(s, *list))
			return true;
	return false;
}

int json_check_keys(const json_t *obj, const char *what, const char *const *known,
		    struct cnm_error *err)
{
	const char *k;
	json_t *v;

	json_object_foreach ((json_t *)obj, k, v) {
		if (!is_listed(k, known))
			return cnm_error_set(err, CNM_E_INVALID, "%s: unknown field %s", what, k);
	}
	return 0;
}

/*
 * A failed json_put() or json_push() on this thread: the text built from it would lack a member, so
 * json_text() refuses once.
 */
static _Thread_local bool lost_member;

int json_put(json_t *obj, const char *key, json_t *value)
{
	if (json_object_set_new(obj, key, value) == 0)
		return 0;
	lost_member = true;
	return -ENOMEM;
}

int json_push(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) == 0)
		return 0;
	lost_member = true;
	return -ENOMEM;
}

json_t *json_str(const char *s)
{
	return json_string(s ? s : "");
}

/*
 * Not json_dumps(): when it runs out of memory half-way, jansson 2.14 leaves pieces out and reports
 * success. Into a buffer of ours it writes all of it, or says that it did not.
 */
char *json_text(const json_t *j)
{
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	size_t size;
	char *text;

	if (lost_member) {
		lost_member = false;
		return NULL;
	}
	size = json_dumpb(j, NULL, 0, flags);
	text = size ? malloc(size + 1) : NULL;
	if (!text || json_dumpb(j, text, size, flags) != size) {
		free(text);
		return NULL;
	}
	text[size] = 0;
	return text;
}
