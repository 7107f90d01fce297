/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/pull.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"

int progress_line(const char *line, void *arg, struct cnm_error *err)
{
	_json_ json_t *doc = json_loads(line, 0, NULL);
	const char *error = output_string(doc, "error"), *id = output_string(doc, "id");
	const char *status = output_string(doc, "status");
	FILE *out = arg;

	if (*error)
		return cnm_error_set(err, CNM_E_INTERNAL, "%s", error);
	if (!out || *output_string(doc, "progress"))
		return 0;
	if (*status)
		fprintf(out, "%s%s%s\n", id, *id ? ": " : "", status);
	fputs(output_string(doc, "stream"), out);
	fflush(out);
	return 0;
}

size_t image_ref_split(const char *ref, const char **ret_tag)
{
	const char *slash = strrchr(ref, '/'), *mark = strchr(ref, '@');

	if (!mark)
		mark = strrchr(slash ? slash : ref, ':');
	*ret_tag = mark ? mark + 1 : NULL;
	return mark ? (size_t)(mark - ref) : strlen(ref);
}

/* Does it begin with the name of a registry? */
static bool has_registry(const char *ref)
{
	size_t n = strcspn(ref, "/");

	return ref[n] && (strcspn(ref, ".:") < n || (n == 9 && strncmp(ref, "localhost", n) == 0));
}

void image_ref_print(const char *ref, FILE *out)
{
	const char *tag;

	image_ref_split(ref, &tag);
	if (!has_registry(ref))
		fprintf(out, "docker.io/%s", strchr(ref, '/') ? "" : "library/");
	fprintf(out, "%s%s\n", ref, tag ? "" : ":latest");
}

int image_pull(const struct client *c, const char *ref, FILE *progress, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	const char *tag;
	size_t n = image_ref_split(ref, &tag);
	_free_ char *repo = strndup(ref, n);
	struct client_lines lines = { "POST", NULL, -1, progress_line, progress };

	if (!repo)
		return api_oom(err);
	strbuf_add(&path, "/images/create");
	api_add_query(&path, "fromImage", repo);
	api_add_query(&path, "tag", tag ? tag : "latest");
	lines.path = path.s;
	return path.failed ? api_oom(err) : client_lines(c, &lines, err);
}
