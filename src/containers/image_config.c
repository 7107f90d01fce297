/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image configuration must be. Everything that reads one later (create, inspect, list)
 * relies on the types checked here.
 */
#include <string.h>
#include <sys/utsname.h>

#include "base/str.h"
#include "containers/images_internal.h"

enum shape { TEXT, TEXTS, TEXT_MAP, KEYS, OBJECT };

static const char *const shape_names[] = {
	[TEXT] = "a string",  [TEXTS] = "an array of strings", [TEXT_MAP] = "an object of strings",
	[KEYS] = "an object", [OBJECT] = "an object",
};

struct member {
	const char *key;
	enum shape shape;
};

static const struct member of_document[] = {
	{ "architecture", TEXT }, { "os", TEXT },       { "variant", TEXT },
	{ "os.version", TEXT },   { "created", TEXT },  { "author", TEXT },
	{ "comment", TEXT },      { "config", OBJECT }, { "docker_version", TEXT },
	{ "rootfs", OBJECT },
};
static const struct member of_config[] = {
	{ "Env", TEXTS },         { "Cmd", TEXTS },       { "Entrypoint", TEXTS },
	{ "OnBuild", TEXTS },     { "Shell", TEXTS },     { "User", TEXT },
	{ "WorkingDir", TEXT },   { "StopSignal", TEXT }, { "Hostname", TEXT },
	{ "Domainname", TEXT },   { "Image", TEXT },      { "Labels", TEXT_MAP },
	{ "ExposedPorts", KEYS }, { "Volumes", KEYS },    { "Healthcheck", OBJECT },
};
static const struct member of_history[] = {
	{ "created", TEXT },
	{ "created_by", TEXT },
	{ "author", TEXT },
	{ "comment", TEXT },
};
#define N(a) (sizeof(a) / sizeof((a)[0]))

static bool all_texts(const json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	json_array_foreach (v, i, item)
		if (!json_is_string(item))
			return false;
	json_object_foreach ((json_t *)v, key, item)
		if (!json_is_string(item))
			return false;
	return true;
}

static bool has_shape(const json_t *v, enum shape shape)
{
	if (!v || json_is_null(v))
		return true;
	switch (shape) {
	case TEXT:
		return json_is_string(v);
	case TEXTS:
		return json_is_array(v) && all_texts(v);
	case TEXT_MAP:
		return json_is_object(v) && all_texts(v);
	case KEYS:
	case OBJECT:
		return json_is_object(v);
	}
	return false;
}

static int check_members(const json_t *o, const struct member *members, size_t n,
			 struct cnm_error *err)
{
	for (size_t i = 0; i < n; i++)
		if (!has_shape(json_object_get(o, members[i].key), members[i].shape))
			return cnm_error_set(
				err, CNM_E_INVALID,
				"the image's configuration is wrong: \"%s\" must be %s",
				members[i].key, shape_names[members[i].shape]);
	return 0;
}

static int check_history(const json_t *history, struct cnm_error *err)
{
	json_t *h;
	size_t i;
	int r;

	if (history && !json_is_null(history) && !json_is_array(history))
		return cnm_error_set(err, CNM_E_INVALID,
				     "the image's configuration is wrong: \"history\" must be an "
				     "array");
	json_array_foreach (history, i, h) {
		if (!json_is_object(h))
			return cnm_error_set(err, CNM_E_INVALID,
					     "the image's configuration is wrong: \"history\" must "
					     "hold objects");
		r = check_members(h, of_history, N(of_history), err);
		if (r < 0)
			return r;
	}
	return 0;
}

const char *image_config_layer(const json_t *document, size_t i)
{
	const json_t *ids = json_object_get(json_object_get(document, "rootfs"), "diff_ids");
	const char *s = json_string_value(json_array_get(ids, i));

	return s ? image_digest_hex(s) : NULL;
}

static int check_layers(const json_t *document, size_t n_layers, struct cnm_error *err)
{
	const json_t *ids = json_object_get(json_object_get(document, "rootfs"), "diff_ids");
	size_t n = json_array_size(ids);

	if (!json_is_array(ids) || n == 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "the image's configuration is wrong: it names no layers "
				     "(\"rootfs.diff_ids\")");
	if (n > IMAGE_MAX_LAYERS)
		return cnm_error_set(err, CNM_E_INVALID,
				     "the image has %zu layers, more than the %d that are possible",
				     n, IMAGE_MAX_LAYERS);
	if (n != n_layers)
		return cnm_error_set(err, CNM_E_INVALID,
				     "the image has %zu layers, but its configuration names %zu",
				     n_layers, n);
	for (size_t i = 0; i < n; i++)
		if (!image_config_layer(document, i))
			return cnm_error_set(err, CNM_E_INVALID,
					     "the image's configuration is wrong: layer %zu has no "
					     "sha256 digest",
					     i + 1);
	return 0;
}

int image_config_check(const json_t *document, size_t n_layers, struct cnm_error *err)
{
	const json_t *config = json_object_get(document, "config");
	int r;

	if (!json_is_object(document))
		return cnm_error_set(err, CNM_E_INVALID,
				     "the image's configuration is no JSON object");
	r = check_members(document, of_document, N(of_document), err);
	if (r == 0)
		r = check_members(config, of_config, N(of_config), err);
	if (r == 0)
		r = check_history(json_object_get(document, "history"), err);
	return r < 0 ? r : check_layers(document, n_layers, err);
}

const char *image_architecture(void)
{
	static const char *const names[][2] = {
		{ "x86_64", "amd64" },    { "aarch64", "arm64" },   { "armv7l", "arm" },
		{ "i686", "386" },        { "ppc64le", "ppc64le" }, { "s390x", "s390x" },
		{ "riscv64", "riscv64" },
	};
	struct utsname u;

	if (uname(&u) == 0)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (streq(u.machine, names[i][0]))
				return names[i][1];
	return "unknown";
}
