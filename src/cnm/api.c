/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/api.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/output.h"

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

char *api_escape(const char *s)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };

	add_escaped(&b, s);
	return strbuf_take(&b);
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
	if (json_object_size(filters)) {
		strbuf_add(&b, "?filters=");
		add_escaped(&b, text);
	}
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

/* ---- loops over names */

/* "/collection/REF?query"; a name must not be empty, or the path would mean the collection. */
static int ref_path(const struct command *cmd, const char *collection, const char *ref,
		    const char *query, char **ret, struct cnm_error *err)
{
	if (!*ref)
		return cnm_error_set(err, CNM_E_INVALID, "invalid %s name or ID: value is empty",
				     cmd->group);
	*ret = api_path(collection, ref, NULL, query);
	return *ret ? 0 : api_oom(err);
}

static int remove_one(const struct command *cmd, const struct client *c, const char *collection,
		      const char *ref, const char *query, bool dry_run, struct cnm_error *err)
{
	_free_ char *path = NULL;
	int r = ref_path(cmd, collection, ref, query, &path, err);

	return path ? api_do(c, "DELETE", path, NULL, dry_run, err) : r;
}

int api_remove_all(const struct command *cmd, const struct client *c, const char *collection,
		   struct args refs, bool force, const char *query, bool dry_run)
{
	int code = EXIT_OK;

	for (size_t i = 0; i < refs.n; i++) {
		struct cnm_error err = { 0 };

		if (remove_one(cmd, c, collection, refs.v[i], query, dry_run, &err) == 0) {
			if (!dry_run)
				printf("%s\n", refs.v[i]);
		} else if (!force || err.class != CNM_E_NOT_FOUND) {
			code = api_fail(&err);
		}
	}
	return code;
}

/* What inspect has found, and what it has to complain about once that is printed. */
struct inspection {
	struct strv found;
	struct strbuf errors;
};

static void inspect_one(const struct command *cmd, const struct client *c, const char *collection,
			const char *ref, const char *query, struct inspection *in)
{
	struct cnm_error err = { 0 };
	_free_ char *path = NULL, *text = NULL;
	int r = ref_path(cmd, collection, ref, query, &path, &err);

	if (r == 0)
		r = client_call(c, "GET", path, NULL, &text, &err);
	if (r == 0 && strv_add(&in->found, text) < 0)
		r = api_oom(&err);
	if (r < 0)
		strbuf_addf(&in->errors, "%s\n", err.text);
}

int api_inspect_all(const struct command *cmd, const struct client *c, const char *collection,
		    struct args refs, const char *query, const char *format)
{
	struct inspection in = { 0 };
	struct cnm_error err = { 0 };
	int code = EXIT_OK;

	for (size_t i = 0; i < refs.n; i++)
		inspect_one(cmd, c, collection, refs.v[i], query, &in);
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
