/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a request's object by a table of its members. */
#include "containers/config_internal.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"

#define MAX_ENTRIES 4096
#define MAX_STRING  (128 * 1024 - 1) /* the kernel takes no longer argument or variable */

int config_no_memory(struct cnm_error *err)
{
	return cnm_error_errno(err, ENOMEM, "create the container");
}

int config_refuse(const char *flag, const char *where, const char *name, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_NOT_IMPLEMENTED, "%s (%s%s) is not supported by cnm", flag,
			     where, name);
}

const char *config_text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

int64_t config_number(const json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

bool config_flag(const json_t *obj, const char *key)
{
	return json_is_true(json_object_get(obj, key));
}

static bool is_empty(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return json_object_size(v) == 0;
	case JSON_ARRAY:
		return json_array_size(v) == 0;
	case JSON_STRING:
		return json_string_length(v) == 0;
	case JSON_INTEGER:
		return json_integer_value(v) == 0;
	case JSON_REAL:
	case JSON_TRUE:
		return false;
	case JSON_FALSE:
	case JSON_NULL:
		return true;
	}
	return false;
}

static int check_string(const json_t *v, const char *path, struct cnm_error *err)
{
	size_t n = json_string_length(v);

	if (!json_is_string(v))
		return cnm_error_set(err, CNM_E_INVALID, "%s must be a string", path);
	if (n > MAX_STRING)
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s has %zu bytes: at most %d can be passed", path, n,
				     MAX_STRING);
	if (n != strlen(json_string_value(v)))
		return cnm_error_set(err, CNM_E_INVALID, "%s contains a NUL character", path);
	return 0;
}

static int check_count(size_t n, const char *path, struct cnm_error *err)
{
	if (n > MAX_ENTRIES)
		return cnm_error_set(err, CNM_E_INVALID, "%s has %zu entries: at most %d are taken",
				     path, n, MAX_ENTRIES);
	return 0;
}

static int check_strings(const json_t *v, const char *path, struct cnm_error *err)
{
	json_t *s;
	size_t i;
	int r = check_count(json_array_size(v), path, err);

	json_array_foreach (v, i, s) {
		if (r < 0)
			return r;
		r = check_string(s, path, err);
	}
	return r;
}

static int check_map(const json_t *v, const char *path, bool strings, struct cnm_error *err)
{
	int r = check_count(json_object_size(v), path, err);
	const char *k;
	json_t *s;

	json_object_foreach ((json_t *)v, k, s) {
		if (r < 0)
			return r;
		if (strlen(k) > MAX_STRING)
			return cnm_error_set(err, CNM_E_INVALID, "%s has too long a name", path);
		r = strings ? check_string(s, path, err) : 0;
	}
	return r;
}

static int wrong_type(const char *path, const char *wanted, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID, "%s must be %s", path, wanted);
}

static int check_value(enum member_type type, const json_t *v, const char *path,
		       struct cnm_error *err)
{
	switch (type) {
	case M_STRING:
		return check_string(v, path, err);
	case M_BOOL:
		return json_is_boolean(v) ? 0 : wrong_type(path, "true or false", err);
	case M_INT:
		return json_is_integer(v) ? 0 : wrong_type(path, "an integer", err);
	case M_COMMAND:
		if (json_is_string(v))
			return check_string(v, path, err);
		__attribute__((fallthrough));
	case M_STRINGS:
		return json_is_array(v) ? check_strings(v, path, err)
					: wrong_type(path, "an array of strings", err);
	case M_MAP:
	case M_SET:
		return json_is_object(v) ? check_map(v, path, type == M_MAP, err)
					 : wrong_type(path, "an object", err);
	case M_OBJECT:
	case M_PORTS:
		return json_is_object(v) ? 0 : wrong_type(path, "an object", err);
	case M_ARRAY:
		return json_is_array(v) ? check_count(json_array_size(v), path, err)
					: wrong_type(path, "an array", err);
	}
	return wrong_type(path, "something else", err);
}

/* Is v the value that this member may have besides an empty one? */
static bool passes(const struct config_member *m, const json_t *v)
{
	_json_ json_t *other = m->passes ? json_loads(m->passes, JSON_DECODE_ANY, NULL) : NULL;

	return other && json_equal(other, v);
}

/*
 * An empty value of a plain type means its default; an empty array is what it is (no entry point,
 * nothing masked), and so is a number without a default.
 */
static bool means_default(const struct config_member *m, const json_t *v)
{
	if (!v || json_is_null(v))
		return true;
	if (m->flag)
		return true;
	switch (m->type) {
	case M_STRING:
	case M_MAP:
	case M_SET:
	case M_OBJECT:
	case M_PORTS:
		return is_empty(v);
	case M_INT:
		return m->absent && is_empty(v);
	case M_BOOL:
	case M_STRINGS:
	case M_COMMAND:
	case M_ARRAY:
		return false;
	}
	return false;
}

/* New reference; *ret NULL: the member is left out. */
static int value_of(const struct config_member *m, json_t *v, json_t **ret, struct cnm_error *err)
{
	if (means_default(m, v)) {
		if (m->absent && !(*ret = json_loads(m->absent, JSON_DECODE_ANY, NULL)))
			return config_no_memory(err);
		return 0;
	}
	if (m->type == M_PORTS)
		*ret = json_incref(v);
	else
		*ret = m->type == M_COMMAND && json_is_string(v) ? json_pack("[O]", v)
								 : json_deep_copy(v);
	return *ret ? 0 : config_no_memory(err);
}

static int copy_member(json_t *ret, const json_t *from, const char *where,
		       const struct config_member *m, struct cnm_error *err)
{
	json_t *v = json_object_get(from, m->name);
	_json_ json_t *value = NULL;
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s%s", where, m->name);
	if (v && !json_is_null(v) && m->flag && !is_empty(v) && !passes(m, v))
		return config_refuse(m->flag, where, m->name, err);
	if (v && !json_is_null(v) && !m->flag && (r = check_value(m->type, v, path, err)) < 0)
		return r;
	r = value_of(m, v, &value, err);
	if (r == 0 && value && json_object_set(ret, m->name, value) < 0)
		r = config_no_memory(err);
	return r;
}

static bool is_known(const struct config_member *table, const char *name)
{
	for (; table->name; table++)
		if (streq(table->name, name))
			return true;
	return false;
}

static int refuse_unknown(const json_t *from, const char *where, const struct config_member *table,
			  struct cnm_error *err)
{
	const char *k;
	json_t *v;

	json_object_foreach ((json_t *)from, k, v) {
		if (!is_empty(v) && !is_known(table, k))
			return cnm_error_set(err, CNM_E_NOT_IMPLEMENTED,
					     "field %s%s is not supported by cnm", where, k);
	}
	return 0;
}

int config_members(json_t *ret, const json_t *from, const char *where,
		   const struct config_member *table, struct cnm_error *err)
{
	int r = refuse_unknown(from, where, table, err);

	for (; r == 0 && table->name; table++)
		r = copy_member(ret, from, where, table, err);
	return r;
}
