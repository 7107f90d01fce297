/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

int strv_addn(struct strv *l, const char *s, size_t len)
{
	char **v = realloc(l->v, (l->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	v[l->n] = strndup(s, len);
	if (!v[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

int strv_add(struct strv *l, const char *s)
{
	return strv_addn(l, s, strlen(s));
}

void strv_free(struct strv *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct strv){ 0 };
}

json_t *strv_json(const struct strv *l)
{
	json_t *a = json_array();

	for (size_t i = 0; a && i < l->n; i++) {
		if (json_array_append_new(a, json_string(l->v[i])) < 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

/* The text of a quoted field that begins after the quote at s; *ret_end is what follows it. */
static int add_quoted(struct strv *l, const char *s, const char **ret_end)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };
	_free_ char *field = NULL;

	for (;; s++) {
		if (!*s)
			return -EINVAL;
		if (*s == '"' && *++s != '"')
			break;
		strbuf_addn(&b, s, 1);
	}
	field = strbuf_take(&b);
	if (!field)
		return -ENOMEM;
	*ret_end = s;
	return strv_add(l, field);
}

int strv_add_csv(struct strv *l, const char *line)
{
	const char *s = line;

	for (;;) {
		const char *end = s + strcspn(s, ",");
		int r = *s == '"' ? add_quoted(l, s + 1, &end) : strv_addn(l, s, (size_t)(end - s));

		if (r < 0)
			return r;
		if (!*end)
			return 0;
		if (*end != ',')
			return -EINVAL;
		s = end + 1;
	}
}
