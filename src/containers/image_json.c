/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images as Docker shows them: list, inspect, history. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "containers/images_internal.h"

static int text_of(const json_t *j, char **ret, struct cnm_error *err)
{
	*ret = j ? json_text(j) : NULL;
	return *ret ? 0 : cnm_error_errno(err, ENOMEM, "show an image");
}

static json_t *id_text(const struct image *i)
{
	return json_sprintf("sha256:%s", i->id);
}

static const char *text_in(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ----------------------------------------------------------------------------------------- list */

static json_t *shown(const json_t *names, const struct image_filter *f)
{
	json_t *some = json_array(), *v;
	size_t i;

	json_array_foreach (names, i, v)
		if (image_filter_shows(f, json_string_value(v)))
			json_push(some, json_incref(v));
	return some;
}

static json_t *list_entry(const struct image *i, const struct image_filter *f)
{
	json_t *labels = json_object_get(json_object_get(i->document, "config"), "Labels");
	json_t *o = json_object();

	json_put(o, "Id", id_text(i));
	json_put(o, "ParentId", json_string(""));
	json_put(o, "RepoTags", shown(i->tags, f));
	json_put(o, "RepoDigests", shown(i->digests, f));
	json_put(o, "Created", json_integer(image_created(i)));
	json_put(o, "Size", json_integer((json_int_t)i->size));
	json_put(o, "SharedSize", json_integer(-1));
	json_put(o, "VirtualSize", json_integer((json_int_t)i->size));
	json_put(o, "Labels", labels ? json_deep_copy(labels) : json_null());
	json_put(o, "Containers", json_integer(-1));
	return o;
}

/* Where an image goes in a list that has the newest first. */
static size_t place(const json_t *list, int64_t created)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (json_integer_value(json_object_get(v, "Created")) < created)
			break;
	return i;
}

static int list_all(struct images *im, struct image_filter *f, json_t *list, struct cnm_error *err)
{
	struct image *i;
	int r;

	LOCKED(&im->mutex);
	r = image_filter_resolve(f, im, err);
	if (r < 0)
		return r;
	list_for_each (i, &im->all, node)
		if (image_filter_matches(f, i) &&
		    json_array_insert_new(list, place(list, image_created(i)), list_entry(i, f)) <
			    0)
			return cnm_error_errno(err, ENOMEM, "list the images");
	return 0;
}

int images_list(struct images *im, const char *filters, bool all, char **ret_json,
		struct cnm_error *err)
{
	_json_ json_t *list = json_array();
	struct image_filter *f = NULL;
	int r = image_filter_parse(&f, filters, err);

	if (r < 0)
		return r;
	r = list ? list_all(im, f, list, err) : cnm_error_errno(err, ENOMEM, "list the images");
	image_filter_free(f);
	return r < 0 ? r : text_of(list, ret_json, err);
}

/* -------------------------------------------------------------------------------------- inspect */

/* The image's configuration with every member that Docker always shows. */
static json_t *full_config(const json_t *document)
{
	static const char *const texts[] = { "Hostname", "Domainname", "User", "Image",
					     "WorkingDir" };
	static const char *const flags[] = { "AttachStdin", "AttachStdout", "AttachStderr",
					     "Tty",         "OpenStdin",    "StdinOnce" };
	static const char *const nulls[] = { "Env",        "Cmd",     "Volumes",
					     "Entrypoint", "OnBuild", "Labels" };
	json_t *o = json_object(), *config = json_object_get(document, "config"), *v;
	const char *key;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		json_put(o, texts[i], json_string(""));
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		json_put(o, flags[i], json_false());
	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		json_put(o, nulls[i], json_null());
	json_object_foreach (config, key, v)
		if (!json_is_null(v))
			json_put(o, key, json_deep_copy(v));
	return o;
}

static json_t *graph_driver(struct images *im, const struct image *i)
{
	return json_pack("{s:s, s:{s:o}}", "Name", "overlay2", "Data", "UpperDir",
			 json_sprintf("%s/%s/rootfs", im->dir, i->id));
}

static json_t *layers_of(const struct image *i)
{
	const json_t *ids = json_object_get(json_object_get(i->document, "rootfs"), "diff_ids");

	return json_pack("{s:s, s:o}", "Type", "layers", "Layers", json_deep_copy(ids));
}

static json_t *inspect_entry(struct images *im, const struct image *i)
{
	json_t *o = json_object();
	char tagged[TIME_STR];

	json_put(o, "Id", id_text(i));
	json_put(o, "RepoTags", json_copy(i->tags));
	json_put(o, "RepoDigests", json_copy(i->digests));
	json_put(o, "Parent", json_string(""));
	json_put(o, "Comment", json_string(text_in(i->document, "comment")));
	json_put(o, "Created", json_string(text_in(i->document, "created")));
	json_put(o, "DockerVersion", json_string(text_in(i->document, "docker_version")));
	json_put(o, "Author", json_string(text_in(i->document, "author")));
	json_put(o, "Config", full_config(i->document));
	json_put(o, "Architecture", json_string(text_in(i->document, "architecture")));
	if (*text_in(i->document, "variant"))
		json_put(o, "Variant", json_string(text_in(i->document, "variant")));
	json_put(o, "Os", json_string(text_in(i->document, "os")));
	json_put(o, "Size", json_integer((json_int_t)i->size));
	json_put(o, "VirtualSize", json_integer((json_int_t)i->size));
	json_put(o, "GraphDriver", graph_driver(im, i));
	json_put(o, "RootFS", layers_of(i));
	json_put(o, "Metadata", json_pack("{s:s}", "LastTagTime", clock_format(i->tagged, tagged)));
	return o;
}

/* -------------------------------------------------------------------------------------- history */

static int64_t seconds(const char *created)
{
	int64_t ns;

	return clock_parse(created, 0, &ns) == 0 ? ns / 1000000000 : 0;
}

/* The newest step first; the size of the image is told at the newest that made a layer. */
static json_t *history_list(struct images *im, const struct image *i)
{
	const json_t *steps = json_object_get(i->document, "history");
	json_t *list = json_array();
	uint64_t size = i->size;

	for (size_t k = json_array_size(steps); k-- > 0;) {
		const json_t *step = json_array_get(steps, k);
		bool newest = json_array_size(list) == 0;
		bool empty = json_is_true(json_object_get(step, "empty_layer"));
		json_t *o = json_object();

		json_put(o, "Id", newest ? id_text(i) : json_string("<missing>"));
		json_put(o, "Created", json_integer(seconds(text_in(step, "created"))));
		json_put(o, "CreatedBy", json_string(text_in(step, "created_by")));
		json_put(o, "Tags",
			 newest && json_array_size(i->tags) ? json_copy(i->tags) : json_null());
		json_put(o, "Size", json_integer(empty ? 0 : (json_int_t)size));
		json_put(o, "Comment", json_string(text_in(step, "comment")));
		json_push(list, o);
		if (!empty)
			size = 0;
	}
	return list;
}

/* ------------------------------------------------------------------------------------ by a name */

static int show(struct images *im, const char *ref,
		json_t *(*how)(struct images *im, const struct image *i), char **ret_json,
		struct cnm_error *err)
{
	_json_ json_t *j = NULL;
	const struct image *i;
	struct image_ref parsed;
	char name[IMAGE_REF_STR];

	pthread_mutex_lock(&im->mutex);
	i = image_lookup(im, ref);
	j = i ? how(im, i) : NULL;
	pthread_mutex_unlock(&im->mutex);
	if (i)
		return text_of(j, ret_json, err);
	if (image_ref_parse(&parsed, ref, NULL) == 0)
		ref = image_ref_format(&parsed, name);
	return cnm_error_set(err, CNM_E_NOT_FOUND, "No such image: %.300s", ref);
}

int images_inspect(struct images *im, const char *ref, char **ret_json, struct cnm_error *err)
{
	return show(im, ref, inspect_entry, ret_json, err);
}

int images_history(struct images *im, const char *ref, char **ret_json, struct cnm_error *err)
{
	return show(im, ref, history_list, ret_json, err);
}
