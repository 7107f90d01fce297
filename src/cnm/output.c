/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/template.h"

/* ---- JSON text re-spaced */

static void new_line(unsigned depth)
{
	printf("\n%*s", (int)(4 * depth), "");
}

/* The end of the string that opens at s: what follows its closing quote, or the end of the text. */
static const char *string_end(const char *s)
{
	for (s++; *s && *s != '"'; s++)
		if (s[0] == '\\' && s[1])
			s++;
	return *s ? s + 1 : s;
}

static const char *skip_space(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

/* Print one document, whose text begins at depth; empty arrays and objects stay closed up. */
static void print_indented(const char *s, unsigned depth)
{
	for (s = skip_space(s); *s; s = skip_space(s)) {
		const char *next = s + 1;

		if (*s == '"') {
			next = string_end(s);
			fwrite(s, 1, (size_t)(next - s), stdout);
		} else if (*s == '{' || *s == '[') {
			const char *first = skip_space(next);

			putchar(*s);
			if (*first == '}' || *first == ']') {
				putchar(*first);
				next = first + 1;
			} else {
				new_line(++depth);
			}
		} else if (*s == '}' || *s == ']') {
			new_line(depth > 0 ? --depth : 0);
			putchar(*s);
		} else {
			putchar(*s);
			if (*s == ',')
				new_line(depth);
			else if (*s == ':')
				putchar(' ');
		}
		s = next;
	}
}

static void print_array(const struct strv *documents)
{
	for (size_t i = 0; i < documents->n; i++) {
		putchar(i ? ',' : '[');
		new_line(1);
		print_indented(documents->v[i], 1);
	}
	printf("%s]\n", documents->n ? "\n" : "[");
}

/* A document as it was sent, without the newline that ends it. */
static void print_verbatim(const char *s)
{
	size_t n = strlen(s);

	while (n > 0 && s[n - 1] == '\n')
		n--;
	fwrite(s, 1, n, stdout);
}

static void print_one_line(const struct strv *documents)
{
	for (size_t i = 0; i < documents->n; i++) {
		putchar(i ? ',' : '[');
		print_verbatim(documents->v[i]);
	}
	printf("%s]\n", documents->n ? "" : "[");
}

static int print_templated(const struct strv *documents, const char *format, struct cnm_error *err)
{
	_cleanup_(template_free) struct template t = { 0 };
	int r = template_parse(&t, format, err);

	for (size_t i = 0; r == 0 && i < documents->n; i++) {
		_cleanup_(strbuf_free) struct strbuf out = { 0 };
		_json_ json_t *doc = json_loads(documents->v[i], 0, NULL);

		if (!doc)
			return cnm_error_set(err, CNM_E_UNAVAILABLE,
					     "the daemon's answer is not JSON");
		r = template_run(&t, doc, &out, err);
		if (r == 0 && out.failed)
			r = cnm_error_errno(err, ENOMEM, "print --format");
		if (r == 0)
			printf("%s\n", out.s ? out.s : "");
	}
	return r;
}

int output_documents(const struct strv *documents, const char *format, struct cnm_error *err)
{
	if (!format || !*format)
		print_array(documents);
	else if (streq(format, "json"))
		print_one_line(documents);
	else
		return print_templated(documents, format, err);
	return 0;
}

int output_each(const struct strv *documents, const char *format, struct cnm_error *err)
{
	if (!streq(format, "json"))
		return print_templated(documents, format, err);
	for (size_t i = 0; i < documents->n; i++) {
		print_verbatim(documents->v[i]);
		putchar('\n');
	}
	return 0;
}

/* ---- fields of rows */

const char *output_string(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

json_t *output_id(const json_t *object, bool no_trunc)
{
	const char *id = output_string(object, "Id");

	return json_stringn(id, no_trunc ? strlen(id) : strnlen(id, ID_SHORT));
}

/* "2026-11-22T16:00:00.5Z" is "2026-11-22 16:00:00.5 +0000 UTC"; the daemon's times are in UTC. */
json_t *output_created(const json_t *object)
{
	const char *s = output_string(object, "Created"), *t = strchr(s, 'T');

	if (!t || !*s || s[strlen(s) - 1] != 'Z')
		return json_string(s);
	return json_sprintf("%.*s %.*s +0000 UTC", (int)(t - s), s, (int)strlen(t) - 2, t + 1);
}

json_t *output_bool(const json_t *object, const char *key)
{
	return json_string(json_is_true(json_object_get(object, key)) ? "true" : "false");
}

static json_t *string_of(struct strbuf *b)
{
	_free_ char *s = strbuf_take(b);

	return s ? json_string(s) : NULL;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *output_labels(const json_t *object)
{
	json_t *labels = json_object_get(object, "Labels"), *value;
	_free_ const char **keys = calloc(json_object_size(labels) + 1, sizeof(*keys));
	struct strbuf b = { 0 };
	const char *key;
	size_t n = 0;

	if (!keys)
		return NULL;
	json_object_foreach (labels, key, value)
		keys[n++] = key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&b, "%s%s=%s", i ? "," : "", keys[i], output_string(labels, keys[i]));
	return string_of(&b);
}

json_t *output_keys(const json_t *object)
{
	struct strbuf b = { 0 };
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value)
		strbuf_addf(&b, "%s%s", b.len ? "," : "", key);
	return string_of(&b);
}
