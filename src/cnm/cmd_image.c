/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm image ...` */
#include "cnm/cmd_image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"
#include "cnm/pull.h"
#include "cnm/units.h"

#define NONE           "<none>"
#define CREATED_BY_MAX 45

static int64_t integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static json_t *image_id(const json_t *object, bool no_trunc)
{
	const char *id = output_string(object, "Id"), *digits = str_after(id, "sha256:");

	return no_trunc || !digits ? json_string(id)
				   : json_stringn(digits, strnlen(digits, ID_SHORT));
}

static json_t *size_text(const json_t *object)
{
	char buf[UNITS_STR];

	return json_string(units_size(integer(object, "Size"), buf));
}

/* ---- ls: a row for each name of each image */

static const char *const image_fields[] = {
	"CreatedAt",  "CREATED AT", "CreatedSince", "CREATED", "Digest", "DIGEST", "ID", "IMAGE ID",
	"Repository", "REPOSITORY", "Size",         "SIZE",    "Tag",    "TAG",    NULL,
};

/* entry: {"Image": what the daemon sent, "Repository", "Tag", "Digest"} */
static json_t *image_row(const json_t *entry, bool no_trunc)
{
	const json_t *image = json_object_get(entry, "Image");
	int64_t created = integer(image, "Created");

	return json_pack("{s:o s:o s:s s:o s:s s:o s:s}", "CreatedAt", units_instant(created),
			 "CreatedSince", units_since(created), "Digest",
			 output_string(entry, "Digest"), "ID", image_id(image, no_trunc),
			 "Repository", output_string(entry, "Repository"), "Size", size_text(image),
			 "Tag", output_string(entry, "Tag"));
}

static const struct table_view image_view = {
	.fields = image_fields,
	.standard = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
	.row = image_row,
};

#define DIGESTS_STANDARD \
	"{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"

static int add_entry(json_t *entries, json_t *image, const char *name)
{
	const json_t *digests = json_object_get(image, "RepoDigests");
	const char *tag, *digest = json_string_value(json_array_get(digests, 0));
	size_t n = image_ref_split(name, &tag);

	digest = digest ? strchr(digest, '@') : NULL;
	return json_push(entries,
			 json_pack("{s:O s:s% s:s s:s}", "Image", image, "Repository", name, n,
				   "Tag", tag ? tag : NONE, "Digest", digest ? digest + 1 : NONE));
}

static int add_entries(json_t *entries, json_t *image)
{
	const json_t *names = json_object_get(image, "RepoTags"), *name;
	size_t i;
	int r = 0;

	if (json_array_size(names) == 0)
		return add_entry(entries, image, NONE ":" NONE);
	json_array_foreach (names, i, name)
		if (r == 0)
			r = add_entry(entries, image, json_string_value(name));
	return r;
}

static int print_images(const struct client *client, const char *path,
			const struct table_view *view, const struct api_list_options *list,
			struct cnm_error *err)
{
	_json_ json_t *images = NULL, *entries = json_array();
	json_t *image;
	size_t i;
	int r = path ? client_call_json(client, "GET", path, NULL, &images, err) : api_oom(err);

	json_array_foreach (images, i, image)
		if (r == 0 && add_entries(entries, image) < 0)
			r = api_oom(err);
	return r < 0 ? r
		     : table_print(view, entries, list->format, list->quiet, list->no_trunc, err);
}

static int image_ls(const struct command *self, const struct client *client, struct args args)
{
	struct api_list_options list = { 0 };
	bool all = false, digests = false;
	_json_ json_t *filters = json_object();
	const struct cli_option options[] = {
		{ 'a', OPTION_FLAG, "all", &all, NULL,
		  "Show all images (default hides intermediate images)" },
		{ 0, OPTION_FLAG, "digests", &digests, NULL, "Show digests" },
		{ 'f', OPTION_FILTER, "filter", &filters, "filter",
		  "Filter output based on conditions provided" },
		API_LIST_OPTIONS(&list),
		{ 0 },
	};
	struct cnm_error err = { 0 };
	struct table_view view = image_view;
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	_free_ char *filtered = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (digests)
		view.standard = DIGESTS_STANDARD;
	if (args.n)
		json_put(filters, "reference", json_pack("{s:b}", args.v[0], true));
	filtered = api_path_filtered("/images/json", filters);
	strbuf_add(&path, filtered ? filtered : "");
	api_add_query(&path, "all", all ? "1" : NULL);
	return print_images(client, filtered && !path.failed ? path.s : NULL, &view, &list, &err) <
			       0
		       ? api_fail(&err)
		       : EXIT_OK;
}

/* ---- history */

static const char *const history_fields[] = {
	"Comment", "COMMENT", "CreatedAt", "CREATED AT", "CreatedBy", "CREATED BY", "CreatedSince",
	"CREATED", "ID",      "IMAGE",     "Size",       "SIZE",      NULL,
};

static json_t *history_row(const json_t *h, bool no_trunc)
{
	const char *by = output_string(h, "CreatedBy");
	int64_t created = integer(h, "Created");
	bool cut = !no_trunc && strlen(by) > CREATED_BY_MAX;

	return json_pack("{s:s s:o s:o s:o s:o s:o}", "Comment", output_string(h, "Comment"),
			 "CreatedAt", units_instant(created), "CreatedBy",
			 json_sprintf("%.*s%s", cut ? CREATED_BY_MAX - 1 : (int)strlen(by), by,
				      cut ? "…" : ""),
			 "CreatedSince", units_since(created), "ID", image_id(h, no_trunc), "Size",
			 size_text(h));
}

static const struct table_view history_view = {
	.fields = history_fields,
	.standard = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
	.row = history_row,
};

static int image_history(const struct command *self, const struct client *client, struct args args)
{
	struct api_list_options list = { 0 };
	const struct cli_option options[] = { API_LIST_OPTIONS(&list), { 0 } };
	_free_ char *path = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	path = api_path(api_image.collection, args.v[0], "history", NULL);
	return api_list(client, path, &history_view, &list);
}

/* ---- inspect, tag, rm */

static int image_inspect(const struct command *self, const struct client *client, struct args args)
{
	return api_inspect_command(self, client, &api_image, args);
}

static int image_tag(const struct command *self, const struct client *client, struct args args)
{
	const struct cli_option options[] = { { 0 } };
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	_free_ char *base = NULL, *repo = NULL;
	struct cnm_error err = { 0 };
	const char *tag;
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	repo = strndup(args.v[1], image_ref_split(args.v[1], &tag));
	base = api_path(api_image.collection, args.v[0], "tag", NULL);
	strbuf_add(&path, base ? base : "");
	api_add_query(&path, "repo", repo);
	api_add_query(&path, "tag", tag ? tag : "latest");
	r = base && repo && !path.failed ? api_do(client, "POST", path.s, NULL, false, &err)
					 : api_oom(&err);
	return r < 0 ? api_fail(&err) : EXIT_OK;
}

/* [{"Untagged":..},{"Deleted":..}] */
static void print_removed(const json_t *answer)
{
	const json_t *item;
	json_t *value;
	const char *key;
	size_t i;

	json_array_foreach (answer, i, item)
		json_object_foreach ((json_t *)item, key, value)
			printf("%s: %s\n", key, json_string_value(value));
}

static int remove_image(const struct client *client, const char *ref, bool force,
			struct cnm_error *err)
{
	_free_ char *path = api_path(api_image.collection, ref, NULL, force ? "force=1" : NULL);
	_json_ json_t *answer = NULL;
	int r;

	if (!*ref)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid image name or ID: value is empty");
	r = path ? client_call_json(client, "DELETE", path, NULL, &answer, err) : api_oom(err);
	if (r == 0)
		print_removed(answer);
	return r;
}

static int image_rm(const struct command *self, const struct client *client, struct args args)
{
	bool force = false;
	const struct cli_option options[] = {
		{ 'f', OPTION_FLAG, "force", &force, NULL, "Force removal of the image" },
		{ 0 },
	};
	int code = EXIT_OK;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	for (size_t i = 0; i < args.n; i++) {
		struct cnm_error err = { 0 };

		if (remove_image(client, args.v[i], force, &err) < 0 &&
		    !(force && err.class == CNM_E_NOT_FOUND))
			code = api_fail(&err);
	}
	return code;
}

const struct command image_commands[] = {
	{ "image", "history", NULL, "[OPTIONS] IMAGE", "Show the history of an image", 1, 1, false,
	  image_history },
	{ "image", "import", NULL, "[OPTIONS] FILE|- [REPOSITORY[:TAG]]",
	  "Import the contents from a tarball to create a filesystem image", 1, 2, false,
	  image_import },
	{ "image", "inspect", NULL, "[OPTIONS] IMAGE [IMAGE...]",
	  "Display detailed information on one or more images", 1, ARGS_ANY, false, image_inspect },
	{ "image", "load", NULL, "[OPTIONS]", "Load an image from a tar archive or STDIN", 0, 0,
	  false, image_load },
	{ "image", "ls", "list", "[OPTIONS] [REPOSITORY[:TAG]]", "List images", 0, 1, false,
	  image_ls },
	{ "image", "pull", NULL, "[OPTIONS] NAME[:TAG|@DIGEST]",
	  "Download an image from a registry", 1, 1, false, image_pull_command },
	{ "image", "rm", "remove", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", 1,
	  ARGS_ANY, false, image_rm },
	{ "image", "save", NULL, "[OPTIONS] IMAGE [IMAGE...]",
	  "Save one or more images to a tar archive (streamed to STDOUT by default)", 1, ARGS_ANY,
	  false, image_save },
	{ "image", "tag", NULL, "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
	  "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", 2, 2, false, image_tag },
	{ 0 },
};
