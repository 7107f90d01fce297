/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/env.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cnm/api.h"

static int add_pair(struct strv *ret, const char *key, const char *value, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };

	strbuf_addf(&b, "%s=%s", key, value);
	return b.failed || strv_add(ret, b.s) < 0 ? api_oom(err) : 0;
}

/* One variable. lone: one that has no value anywhere is kept. */
static int add(struct strv *ret, const char *text, bool lone, struct cnm_error *err)
{
	const char *value = strchr(text, '=') ? NULL : getenv(text);

	if (!*text || *text == '=')
		return cnm_error_set(err, CNM_E_INVALID, "invalid environment variable: %s", text);
	if (value)
		return add_pair(ret, text, value, err);
	if (!strchr(text, '=') && !lone)
		return 0;
	return strv_add(ret, text) < 0 ? api_oom(err) : 0;
}

static int add_line(struct strv *ret, char *line, struct cnm_error *err)
{
	size_t n;

	line[strcspn(line, "\r\n")] = '\0';
	while (isspace((unsigned char)*line))
		line++;
	if (!*line || *line == '#')
		return 0;
	n = strcspn(line, "=");
	if (strcspn(line, " \t") < n)
		return cnm_error_set(err, CNM_E_INVALID, "variable '%.*s' contains whitespaces",
				     (int)n, line);
	return add(ret, line, false, err);
}

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static int add_file(struct strv *ret, const char *path, struct cnm_error *err)
{
	_cleanup_(close_file) FILE *f = fopen(path, "re");
	_free_ char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!f)
		return cnm_error_errno(err, errno, "open %s", path);
	while (r == 0 && getline(&line, &size, f) >= 0)
		r = add_line(ret, line, err);
	if (r < 0)
		return cnm_error_prefix(err, "invalid env file (%s)", path);
	return ferror(f) ? cnm_error_errno(err, errno, "read %s", path) : 0;
}

int env_collect(const struct strv *given, const struct strv *files, struct strv *ret,
		struct cnm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < files->n; i++)
		r = add_file(ret, files->v[i], err);
	for (size_t i = 0; r == 0 && i < given->n; i++)
		r = add(ret, given->v[i], true, err);
	return r;
}
