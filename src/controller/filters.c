/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Docker's filters: {"key":{"value":true}} or {"key":["value"]}. Values of one key are alternatives
 * (labels: all must hold), different keys must all hold.
 */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/engine.h"

struct filters {
	json_t *values; /* {key: [value]} */
	bool dangling, dangling_set;
	int64_t until; /* 0: not given */
};

static int add_values(json_t *list, const char *key, const json_t *v, struct cnm_error *err)
{
	const char *k;
	json_t *item;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach ((json_t *)v, k, item)
			if (!json_is_false(item))
				json_push(list, json_string(k));
		return 0;
	}
	if (!json_is_array(v))
		return cnm_error_set(err, CNM_E_INVALID, "invalid filter '%s'", key);
	json_array_foreach (v, i, item) {
		if (!json_is_string(item))
			return cnm_error_set(err, CNM_E_INVALID, "invalid filter '%s'", key);
		json_push(list, json_incref(item));
	}
	return 0;
}

static bool is_known(const char *key, const char *const *known)
{
	for (; *known; known++)
		if (streq(key, *known))
			return true;
	return false;
}

static int read_all(struct filters *f, const json_t *o, const char *const *known,
		    struct cnm_error *err)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)o, key, v) {
		json_t *list;
		int r;

		if (!is_known(key, known))
			return cnm_error_set(err, CNM_E_INVALID, "invalid filter '%s'", key);
		list = json_array();
		if (json_put(f->values, key, list) < 0)
			return cnm_error_errno(err, ENOMEM, "filters");
		r = add_values(list, key, v, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *first(const struct filters *f, const char *key)
{
	return json_string_value(json_array_get(json_object_get(f->values, key), 0));
}

/* The filters whose values have a meaning of their own. */
static int read_special(struct filters *f, struct cnm_error *err)
{
	json_t *dangling = json_object_get(f->values, "dangling");
	json_t *types = json_object_get(f->values, "type"), *v;
	const char *until = first(f, "until");
	size_t i;

	if (json_array_size(dangling) > 1)
		return cnm_error_set(
			err, CNM_E_INVALID, "invalid filter 'dangling=[\"%s\" \"%s\"]'",
			first(f, "dangling"), json_string_value(json_array_get(dangling, 1)));
	if (json_array_size(dangling) == 1) {
		if (str_to_bool(first(f, "dangling"), &f->dangling) < 0)
			return cnm_error_set(err, CNM_E_INVALID, "invalid filter 'dangling=%s'",
					     first(f, "dangling"));
		f->dangling_set = true;
	}
	json_array_foreach (types, i, v)
		if (!streq(json_string_value(v), "builtin") &&
		    !streq(json_string_value(v), "custom"))
			return cnm_error_set(err, CNM_E_INTERNAL, "invalid filter: 'type'='%s'",
					     json_string_value(v));
	if (json_array_size(json_object_get(f->values, "until")) > 1)
		return cnm_error_set(err, CNM_E_INVALID, "more than one until filter specified");
	if (until && clock_parse(until, clock_wall_ns(), &f->until) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid filter 'until=%s': it must be a time or a duration",
				     until);
	return 0;
}

int filters_parse(struct filters **ret, const char *text, const char *const *known,
		  struct cnm_error *err)
{
	_json_ json_t *o = text && text[0] ? json_loads(text, 0, NULL) : json_object();
	struct filters *f;
	int r;

	if (!json_is_object(o))
		return cnm_error_set(err, CNM_E_INVALID, "invalid filters: %s is no JSON object",
				     text ? text : "");
	f = calloc(1, sizeof(*f));
	if (!f || !(f->values = json_object())) {
		free(f);
		return cnm_error_errno(err, ENOMEM, "filters");
	}
	r = read_all(f, o, known, err);
	if (r == 0)
		r = read_special(f, err);
	if (r < 0) {
		filters_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void filters_free(struct filters *f)
{
	if (!f)
		return;
	json_decref(f->values);
	free(f);
}

const json_t *filters_values(const struct filters *f, const char *key)
{
	return json_object_get(f->values, key);
}

bool filters_equal(const struct filters *f, const char *key, const char *value)
{
	json_t *list = json_object_get(f->values, key), *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (streq(json_string_value(v), value))
			return true;
	return !json_array_size(list);
}

bool filters_like(const struct filters *f, const char *key, const char *value)
{
	json_t *list = json_object_get(f->values, key), *v;
	size_t i;

	if (filters_equal(f, key, value))
		return true;
	json_array_foreach (list, i, v) {
		regex_t re;
		bool hit;

		if (regcomp(&re, json_string_value(v), REG_EXTENDED | REG_NOSUB))
			continue;
		hit = regexec(&re, value, 0, NULL, 0) == 0;
		regfree(&re);
		if (hit)
			return true;
	}
	return false;
}

/* "key" or "key=value" */
static bool has_label(const json_t *labels, const char *want)
{
	size_t klen = strcspn(want, "=");
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)labels, key, v)
		if (strlen(key) == klen && strncmp(key, want, klen) == 0)
			return !want[klen] || streq(want + klen + 1, json_string_value(v));
	return false;
}

bool filters_labels(const struct filters *f, const char *key, const json_t *labels, bool want)
{
	json_t *list = json_object_get(f->values, key), *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (has_label(labels, json_string_value(v)) != want)
			return false;
	return true;
}

bool filters_match_network(const struct filters *f, const struct network *n)
{
	return filters_equal(f, "driver", network_driver_name(n)) && filters_like(f, "id", n->id) &&
	       filters_like(f, "name", n->name) && filters_equal(f, "scope", n->driver->scope) &&
	       filters_equal(f, "type", n->predefined ? "builtin" : "custom") &&
	       filters_labels(f, "label", n->labels, true) &&
	       (!f->dangling_set || f->dangling == (!n->predefined && !network_is_active(n)));
}

bool filters_match_prune(const struct filters *f, const struct network *n)
{
	return (!f->until || n->created < f->until) &&
	       filters_labels(f, "label", n->labels, true) &&
	       filters_labels(f, "label!", n->labels, false);
}
