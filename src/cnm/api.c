/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/api.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/output.h"

const struct api_kind api_container = { "container", "/containers", "json" };
const struct api_kind api_image = { "image", "/images", "json" };
const struct api_kind api_network = { "network", "/networks", NULL };
const struct api_kind api_volume = { "volume", "/volumes", NULL };
const struct api_kind api_sandbox = { "sandbox", "/cnm/v1/sandboxes", NULL };
const struct api_kind api_endpoint = { "endpoint", "/cnm/v1/endpoints", NULL };

/* ---- paths */

static void add_escaped(struct strbuf *b, const char *s)
{
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~", *s))
			strbuf_addn(b, s, 1);
		else
			strbuf_addf(b, "%%%02X", (unsigned char)*s);
	}
}

void api_add_query(struct strbuf *path, const char *key, const char *value)
{
	if (!value)
		return;
	strbuf_addf(path, "%c%s=", path->s && strchr(path->s, '?') ? '&' : '?', key);
	add_escaped(path, value);
}

char *api_path(const char *collection, const char *ref, const char *verb, const char *query)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };

	strbuf_addf(&b, "%s/", collection);
	add_escaped(&b, ref);
	if (verb)
		strbuf_addf(&b, "/%s", verb);
	if (query && *query)
		strbuf_addf(&b, "?%s", query);
	return strbuf_take(&b);
}

char *api_path_filtered(const char *path, const json_t *filters)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };
	_free_ char *text = json_text(filters);

	if (!text)
		return NULL;
	strbuf_add(&b, path);
	api_add_query(&b, "filters", json_object_size(filters) ? text : NULL);
	return strbuf_take(&b);
}

/* ---- requests that change something */

int api_fail(const struct cnm_error *err)
{
	fprintf(stderr, "%s\n", err->text);
	return EXIT_ERROR;
}

static void print_plan(const json_t *answer)
{
	const json_t *line;
	size_t i;

	json_array_foreach (json_object_get(answer, "Plan"), i, line)
		printf("%s\n", json_string_value(line));
}

static int change_path(const char *path, bool dry_run, char **ret, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };

	strbuf_add(&b, path);
	if (dry_run)
		strbuf_addf(&b, "%cdry-run=1", strchr(path, '?') ? '&' : '?');
	*ret = strbuf_take(&b);
	return *ret ? 0 : api_oom(err);
}

int api_change(const struct client *c, const char *method, const char *path, const json_t *body,
	       bool dry_run, json_t **ret, struct cnm_error *err)
{
	_free_ char *full = NULL, *text = NULL;
	_json_ json_t *answer = NULL;
	int r = change_path(path, dry_run, &full, err);

	if (r == 0)
		r = client_call(c, method, full, body, &text, err);
	if (r != 0)
		return r;
	answer = *text ? json_loads(text, 0, NULL) : NULL;
	if (*text && !answer)
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "the daemon's answer to %s %s is not JSON", method, path);
	if (dry_run)
		print_plan(answer);
	*ret = dry_run ? NULL : take_ptr(answer);
	return 0;
}

int api_do(const struct client *c, const char *method, const char *path, const json_t *body,
	   bool dry_run, struct cnm_error *err)
{
	_json_ json_t *answer = NULL;

	return api_change(c, method, path, body, dry_run, &answer, err);
}

int api_create(const struct client *c, const char *path, const json_t *body, bool dry_run)
{
	struct cnm_error err = { 0 };
	_json_ json_t *answer = NULL;
	const char *warning;

	if (api_change(c, "POST", path, body, dry_run, &answer, &err) < 0)
		return api_fail(&err);
	if (dry_run)
		return EXIT_OK;
	warning = json_string_value(json_object_get(answer, "Warning"));
	if (warning && *warning)
		fprintf(stderr, "WARNING: %s\n", warning);
	printf("%s\n", output_string(answer, "Id"));
	return EXIT_OK;
}

int api_post(const struct client *c, const char *collection, const char *ref, const char *verb,
	     const json_t *body, bool dry_run)
{
	struct cnm_error err = { 0 };
	_free_ char *path = api_path(collection, ref, verb, NULL);
	int r = path && body ? api_do(c, "POST", path, body, dry_run, &err) : api_oom(&err);

	return r < 0 ? api_fail(&err) : EXIT_OK;
}

/* ---- loops over names */

/* A name must not be empty, or the path would mean the collection. */
static int ref_path(const struct api_kind *kind, const char *ref, const char *verb,
		    const char *query, char **ret, struct cnm_error *err)
{
	if (!*ref)
		return cnm_error_set(err, CNM_E_INVALID, "invalid %s name or ID: value is empty",
				     kind->noun);
	*ret = api_path(kind->collection, ref, verb, query);
	return *ret ? 0 : api_oom(err);
}

static int do_one(const struct client *c, const struct api_each *e, const char *ref,
		  struct cnm_error *err)
{
	_free_ char *path = NULL;
	int r = ref_path(e->kind, ref, e->verb, e->query, &path, err);

	return r < 0 ? r : api_do(c, e->method, path, NULL, e->dry_run, err);
}

int api_each(const struct client *c, const struct api_each *e, struct args refs)
{
	int code = EXIT_OK;

	for (size_t i = 0; i < refs.n; i++) {
		struct cnm_error err = { 0 };

		if (do_one(c, e, refs.v[i], &err) == 0) {
			if (!e->dry_run)
				printf("%s\n", refs.v[i]);
			fflush(stdout); /* the next may take its time */
		} else if (!e->force || err.class != CNM_E_NOT_FOUND) {
			code = api_fail(&err);
		} else if (e->tell_absent) {
			api_fail(&err);
		}
	}
	return code;
}

int api_remove_command(const struct command *cmd, const struct client *c,
		       const struct api_kind *kind, const char *force_help, const char *pass,
		       struct args args)
{
	struct api_each e = { .kind = kind, .method = "DELETE" };
	const struct cli_option options[] = {
		OPTION_DRY_RUN(&e.dry_run),
		{ 'f', OPTION_FLAG, "force", &e.force, NULL, force_help },
		{ 0 },
	};

	if (!options_parse(cmd, options, &args))
		return args.exit_code;
	e.query = e.force ? pass : NULL;
	return api_each(c, &e, args);
}

/* What inspect looks for and where, what it has found, and what it has to complain about then. */
struct inspection {
	const struct client *client;
	const struct api_kind *const *kinds;
	size_t n_kinds;
	const char *query;
	struct strv found;
	struct strbuf errors;
};

static int inspect_as(const struct inspection *in, const struct api_kind *kind, const char *ref,
		      char **ret, struct cnm_error *err)
{
	_free_ char *path = NULL;
	int r = ref_path(kind, ref, kind->verb, in->query, &path, err);

	return r < 0 ? r : client_call(in->client, "GET", path, NULL, ret, err);
}

static void inspect_one(struct inspection *in, const char *ref)
{
	struct cnm_error err = { 0 };
	_free_ char *text = NULL;
	int r = -ENOENT;

	for (size_t i = 0; i < in->n_kinds && !text; i++) {
		r = inspect_as(in, in->kinds[i], ref, &text, &err);
		if (r < 0 && err.class != CNM_E_NOT_FOUND)
			break;
	}
	if (r < 0 && in->n_kinds > 1 && err.class == CNM_E_NOT_FOUND)
		cnm_error_set(&err, CNM_E_NOT_FOUND, "Error: No such object: %s", ref);
	if (r == 0 && strv_add(&in->found, text) < 0)
		r = api_oom(&err);
	if (r < 0)
		strbuf_addf(&in->errors, "%s\n", err.text);
}

int api_inspect_all(const struct client *c, const struct api_kind *const *kinds, size_t n_kinds,
		    struct args refs, const char *query, const char *format)
{
	struct inspection in = { c, kinds, n_kinds, query, { 0 }, { 0 } };
	struct cnm_error err = { 0 };
	int code = EXIT_OK;

	for (size_t i = 0; i < refs.n; i++)
		inspect_one(&in, refs.v[i]);
	if (output_documents(&in.found, format, &err) < 0)
		code = api_fail(&err);
	if (in.errors.failed || in.errors.len) {
		fputs(in.errors.failed ? "out of memory\n" : in.errors.s, stderr);
		code = EXIT_ERROR;
	}
	strv_free(&in.found);
	strbuf_free(&in.errors);
	return code;
}

int api_inspect_command(const struct command *cmd, const struct client *c,
			const struct api_kind *kind, struct args args)
{
	const char *format = NULL;
	const struct cli_option options[] = { OPTION_INSPECT_FORMAT(&format), { 0 } };

	if (!options_parse(cmd, options, &args))
		return args.exit_code;
	return api_inspect_all(c, &kind, 1, args, NULL, format);
}

/* ---- lists */

int api_list(const struct client *c, const char *path, const struct table_view *view,
	     const struct api_list_options *options)
{
	_json_ json_t *list = NULL;
	struct cnm_error err = { 0 };
	int r = path ? client_call_json(c, "GET", path, NULL, &list, &err) : api_oom(&err);

	if (r == 0)
		r = table_print(view, list, options->format, options->quiet, options->no_trunc,
				&err);
	return r < 0 ? api_fail(&err) : EXIT_OK;
}
