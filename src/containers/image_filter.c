/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Docker's filters of images: {"key":{"value":true}} or {"key":["value"]}. References are
 * alternatives and may have wildcards; labels must all hold, and so must different keys.
 */
#include <fnmatch.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "containers/images_internal.h"

struct image_filter {
	json_t *values;        /* {key: [value]} */
	int dangling;          /* -1: not asked for */
	int64_t before, since; /* seconds; INT64_MAX and INT64_MIN: not asked for */
};

static const char *const known[] = { "reference", "dangling", "label", "before", "since" };

static bool is_known(const char *key)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (streq(key, known[i]))
			return true;
	return false;
}

static int add_values(json_t *list, const char *key, json_t *v, struct cnm_error *err)
{
	const char *name;
	json_t *item;
	size_t i;
	int r = 0;

	if (!json_is_object(v) && !json_is_array(v))
		return cnm_error_set(err, CNM_E_INVALID, "invalid filter '%s'", key);
	json_object_foreach (v, name, item)
		if (json_is_true(item))
			r |= json_push(list, json_string(name));
	json_array_foreach (v, i, item) {
		if (!json_is_string(item))
			return cnm_error_set(err, CNM_E_INVALID, "invalid filter '%s'", key);
		r |= json_push(list, json_incref(item));
	}
	return r ? cnm_error_errno(err, ENOMEM, "read the filters") : 0;
}

static int read_values(struct image_filter *f, json_t *o, struct cnm_error *err)
{
	const char *key;
	json_t *v;

	json_object_foreach (o, key, v) {
		json_t *list;
		int r;

		if (!is_known(key))
			return cnm_error_set(err, CNM_E_INVALID, "invalid filter '%s'", key);
		list = json_array();
		r = json_put(f->values, key, list) < 0
			    ? cnm_error_errno(err, ENOMEM, "read the filters")
			    : add_values(list, key, v, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *first(const struct image_filter *f, const char *key)
{
	return json_string_value(json_array_get(json_object_get(f->values, key), 0));
}

static int read_dangling(struct image_filter *f, struct cnm_error *err)
{
	const char *s = first(f, "dangling");
	bool yes;

	if (!s)
		return 0;
	if (str_to_bool(s, &yes) < 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid filter 'dangling=%s'", s);
	f->dangling = yes;
	return 0;
}

int image_filter_parse(struct image_filter **ret, const char *text, struct cnm_error *err)
{
	struct image_filter *f = calloc(1, sizeof(*f));
	_json_ json_t *o = NULL;
	int r = 0;

	if (!f || !(f->values = json_object())) {
		free(f);
		return cnm_error_errno(err, ENOMEM, "read the filters");
	}
	f->dangling = -1;
	f->before = INT64_MAX;
	f->since = INT64_MIN;
	if (text && *text)
		r = image_parse(text, "filters", &o, err);
	if (r == 0 && o && !json_is_object(o))
		r = cnm_error_set(err, CNM_E_INVALID, "invalid filters: they must be an object");
	if (r == 0)
		r = read_values(f, o, err);
	if (r == 0)
		r = read_dangling(f, err);
	if (r < 0)
		image_filter_free(f);
	else
		*ret = f;
	return r;
}

void image_filter_free(struct image_filter *f)
{
	if (f)
		json_decref(f->values);
	free(f);
}

int64_t image_created(const struct image *i)
{
	const char *s = json_string_value(json_object_get(i->document, "created"));
	int64_t ns;

	return s && clock_parse(s, 0, &ns) == 0 ? ns / 1000000000 : 0;
}

int image_filter_resolve(struct image_filter *f, struct images *im, struct cnm_error *err)
{
	const char *keys[] = { "before", "since" };
	int64_t *times[] = { &f->before, &f->since };

	for (int k = 0; k < 2; k++) {
		const char *ref = first(f, keys[k]);
		const struct image *i = ref ? image_lookup(im, ref) : NULL;

		if (ref && !i)
			return cnm_error_set(err, CNM_E_NOT_FOUND, "No such image: %.300s", ref);
		if (i)
			*times[k] = image_created(i);
	}
	return 0;
}

/* Does a pattern fit the whole name, or the name without its tag? */
static bool fits(const char *pattern, const char *name)
{
	char repository[IMAGE_REF_STR];
	const char *slash, *end;

	str_copy(repository, sizeof(repository), name);
	slash = strrchr(repository, '/');
	end = strpbrk(slash ? slash : repository, ":@");
	if (end)
		repository[end - repository] = '\0';
	return fnmatch(pattern, name, FNM_PATHNAME) == 0 ||
	       fnmatch(pattern, repository, FNM_PATHNAME) == 0;
}

bool image_filter_shows(const struct image_filter *f, const char *name)
{
	const json_t *patterns = json_object_get(f->values, "reference");
	json_t *v;
	size_t i;

	json_array_foreach (patterns, i, v)
		if (fits(json_string_value(v), name))
			return true;
	return json_array_size(patterns) == 0;
}

static bool shows_any(const struct image_filter *f, const json_t *names)
{
	json_t *v;
	size_t i;

	json_array_foreach (names, i, v)
		if (image_filter_shows(f, json_string_value(v)))
			return true;
	return false;
}

static bool has_label(const json_t *labels, const char *wanted)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)labels, key, v) {
		const char *rest = str_after(wanted, key);

		if (rest &&
		    (*rest == '\0' || (*rest == '=' && streq(rest + 1, json_string_value(v)))))
			return true;
	}
	return false;
}

bool image_filter_matches(const struct image_filter *f, const struct image *i)
{
	const json_t *labels = json_object_get(json_object_get(i->document, "config"), "Labels");
	const json_t *wanted = json_object_get(f->values, "label");
	int64_t created = image_created(i);
	json_t *v;
	size_t k;

	if (f->dangling >= 0 && (json_array_size(i->tags) == 0) != (bool)f->dangling)
		return false;
	if (json_array_size(json_object_get(f->values, "reference")) && !shows_any(f, i->tags) &&
	    !shows_any(f, i->digests))
		return false;
	json_array_foreach (wanted, k, v)
		if (!has_label(labels, json_string_value(v)))
			return false;
	return created < f->before && created > f->since;
}
