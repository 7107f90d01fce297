/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/mounts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/units.h"

/* ---- -v and --tmpfs */

/* "./data:/data" with the path as the daemon is to open it; it may not exist yet. */
static int absolute_bind(const char *bind, char **ret, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };
	size_t n = strcspn(bind, ":");
	_free_ char *source = strndup(bind, n), *path = NULL;

	if (!source)
		return api_oom(err);
	path = realpath(source, NULL);
	if (path) {
		strbuf_add(&b, path);
	} else {
		path = realpath(".", NULL);
		if (!path)
			return cnm_error_errno(err, errno, "-v \"%s\": find the directory", bind);
		strbuf_addf(&b, "%s/%s", path, source);
	}
	strbuf_add(&b, bind + n);
	*ret = strbuf_take(&b);
	return *ret ? 0 : api_oom(err);
}

static int add_bind(json_t *binds, const char *text, struct cnm_error *err)
{
	_free_ char *made = NULL;
	int r = *text == '.' ? absolute_bind(text, &made, err) : 0;

	if (r < 0)
		return r;
	return json_push(binds, json_string(made ? made : text)) < 0 ? api_oom(err) : 0;
}

int mounts_add_volumes(const struct strv *given, json_t *binds, json_t *volumes,
		       struct cnm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < given->n; i++) {
		const char *text = given->v[i];

		if (strchr(text, ':'))
			r = add_bind(binds, text, err);
		else if (json_put(volumes, text, json_object()) < 0)
			r = api_oom(err);
	}
	return r;
}

int mounts_add_tmpfs(const struct strv *given, json_t *tmpfs)
{
	for (size_t i = 0; i < given->n; i++) {
		const char *text = given->v[i];
		size_t n = strcspn(text, ":");

		if (json_object_setn_new(tmpfs, text, n, json_string(text[n] ? text + n + 1 : "")) <
		    0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- --mount */

/* The member of mount that holds the options of a type, made when it is missing. */
static json_t *part(json_t *mount, const char *key)
{
	json_t *p = json_object_get(mount, key);

	if (!p && json_put(mount, key, json_object()) == 0)
		p = json_object_get(mount, key);
	return p;
}

static int invalid(const char *key, const char *value, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID, "invalid value for %s: %s", key, value);
}

static int put_bool(json_t *object, const char *member, const char *key, const char *value,
		    struct cnm_error *err)
{
	bool yes = true;

	if (value && str_to_bool(value, &yes) < 0)
		return invalid(key, value, err);
	return json_put(object, member, json_boolean(yes)) < 0 ? api_oom(err) : 0;
}

static int put_tmpfs(json_t *mount, const char *key, const char *value, struct cnm_error *err)
{
	json_t *options = part(mount, "TmpfsOptions");
	int64_t bytes;
	char *end;
	long mode;

	if (streq(key, "tmpfs-size")) {
		if (units_parse_bytes(value, &bytes) < 0)
			return invalid(key, value, err);
		return json_put(options, "SizeBytes", json_integer(bytes)) < 0 ? api_oom(err) : 0;
	}
	mode = strtol(value, &end, 8);
	if (!*value || *end || mode < 0 || mode > 07777)
		return invalid(key, value, err);
	return json_put(options, "Mode", json_integer(mode)) < 0 ? api_oom(err) : 0;
}

static int put_volume(json_t *mount, const char *key, const char *value, struct cnm_error *err)
{
	json_t *options = part(mount, "VolumeOptions"), *target = NULL;
	size_t n = strcspn(value, "=");

	if (streq(key, "volume-driver"))
		target = part(options, "DriverConfig");
	if (target)
		return json_put(target, "Name", json_string(value)) < 0 ? api_oom(err) : 0;
	target = part(options, "Labels");
	return json_object_setn_new(target, value, n, json_string(value[n] ? value + n + 1 : "")) <
			       0
		       ? api_oom(err)
		       : 0;
}

static const char *member_of(const char *key)
{
	static const char *const names[][2] = {
		{ "type", "Type" },     { "source", "Source" },      { "src", "Source" },
		{ "target", "Target" }, { "destination", "Target" }, { "dst", "Target" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (streq(key, names[i][0]))
			return names[i][1];
	return NULL;
}

/* Keys that may stand without a value. 1: it is none of them. */
static int put_flag(json_t *mount, const char *key, const char *value, struct cnm_error *err)
{
	if (streq(key, "readonly") || streq(key, "ro"))
		return put_bool(mount, "ReadOnly", key, value, err);
	if (streq(key, "volume-nocopy"))
		return put_bool(part(mount, "VolumeOptions"), "NoCopy", key, value, err);
	if (streq(key, "bind-nonrecursive"))
		return put_bool(part(mount, "BindOptions"), "NonRecursive", key, value, err);
	return 1;
}

static int put_field(json_t *mount, char *field, struct cnm_error *err)
{
	char *value = strchr(field, '=');
	const char *member;
	int r;

	if (value)
		*value++ = '\0';
	for (char *c = field; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	r = put_flag(mount, field, value, err);
	if (r <= 0)
		return r;
	if (!value)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid field '%s' must be a key=value pair", field);
	member = member_of(field);
	if (member)
		return json_put(mount, member, json_string(value)) < 0 ? api_oom(err) : 0;
	if (streq(field, "bind-propagation"))
		return json_put(part(mount, "BindOptions"), "Propagation", json_string(value)) < 0
			       ? api_oom(err)
			       : 0;
	if (streq(field, "tmpfs-size") || streq(field, "tmpfs-mode"))
		return put_tmpfs(mount, field, value, err);
	if (streq(field, "volume-label") || streq(field, "volume-driver"))
		return put_volume(mount, field, value, err);
	return cnm_error_set(err, CNM_E_INVALID, "unexpected key '%s' in '%s=%s'", field, field,
			     value);
}

static int add_mount(json_t *mounts, const char *text, struct cnm_error *err)
{
	_strv_ struct strv fields = { 0 };
	_json_ json_t *mount = json_pack("{s:s}", "Type", "volume");
	int r = strv_add_csv(&fields, text);

	if (r == -EINVAL)
		return cnm_error_set(err, CNM_E_INVALID,
				     "a quote is not closed, or text follows it");
	if (r < 0 || !mount)
		return api_oom(err);
	for (size_t i = 0; r == 0 && i < fields.n; i++)
		r = put_field(mount, fields.v[i], err);
	if (r == 0 && !json_object_get(mount, "Target"))
		r = cnm_error_set(err, CNM_E_INVALID, "target is required");
	if (r == 0 && json_push(mounts, json_incref(mount)) < 0)
		r = api_oom(err);
	return r;
}

int mounts_add(const struct strv *given, json_t *mounts, struct cnm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < given->n; i++) {
		r = add_mount(mounts, given->v[i], err);
		if (r < 0)
			cnm_error_prefix(err, "invalid argument \"%s\" for \"--mount\" flag",
					 given->v[i]);
	}
	return r;
}
