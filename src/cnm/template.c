/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/template.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

static char *unescape(const char *s)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };

	for (; *s; s++) {
		if (s[0] == '\\' && (s[1] == 't' || s[1] == 'n'))
			strbuf_add(&b, *++s == 't' ? "\t" : "\n");
		else
			strbuf_addn(&b, s, 1);
	}
	return strbuf_take(&b);
}

static int add_part(struct template *t, int kind, const char *text, size_t len,
		    struct cnm_error *err)
{
	struct template_part *p = realloc(t->parts, (t->n_parts + 1) * sizeof(*p));

	if (!p)
		return cnm_error_errno(err, ENOMEM, "read --format");
	t->parts = p;
	p[t->n_parts++] = (struct template_part){ .text = text, .len = len, .kind = kind };
	return 0;
}

static bool is_path(const char *s, size_t n)
{
	if (n == 0 || s[0] != '.')
		return false;
	for (size_t i = 1; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' &&
		    (s[i] != '.' || s[i - 1] == '.'))
			return false;
	return n == 1 || s[n - 1] != '.';
}

/* What stands between {{ and }}. */
static int add_action(struct template *t, const char *s, size_t n, struct cnm_error *err)
{
	const char *whole = s, *path = s;
	int whole_len = (int)n, kind = PART_FIELD;

	while (n > 0 && isspace((unsigned char)s[n - 1]))
		n--;
	path += strspn(path, " \t");
	if (n >= 4 && strncmp(path, "json", 4) == 0 && isspace((unsigned char)path[4])) {
		kind = PART_JSON;
		path += 4;
		path += strspn(path, " \t");
	}
	n -= (size_t)(path - s) < n ? (size_t)(path - s) : n;
	if (!is_path(path, n) || (kind == PART_FIELD && n == 1))
		return cnm_error_set(err, CNM_E_INVALID,
				     "--format: \"{{%.*s}}\" is not supported; use {{.FIELD}}, "
				     "{{json .FIELD}} or {{json .}}",
				     whole_len, whole);
	return add_part(t, kind, path + 1, n - 1, err);
}

static int parse(struct template *t, struct cnm_error *err)
{
	const char *s = t->source;
	int r = 0;

	while (r == 0 && *s) {
		const char *open = strstr(s, "{{"), *close;

		if (open != s)
			r = add_part(t, PART_TEXT, s, open ? (size_t)(open - s) : strlen(s), err);
		if (r < 0 || !open)
			break;
		close = strstr(open, "}}");
		if (!close)
			return cnm_error_set(err, CNM_E_INVALID,
					     "--format: \"%s\" has no closing \"}}\"", open);
		r = add_action(t, open + 2, (size_t)(close - open - 2), err);
		s = close + 2;
	}
	return r;
}

int template_parse(struct template *ret, const char *source, struct cnm_error *err)
{
	struct template t = { .source = unescape(source) };
	int r = t.source ? parse(&t, err) : cnm_error_errno(err, ENOMEM, "read --format");

	if (r < 0)
		template_free(&t);
	else
		*ret = t;
	return r;
}

void template_free(struct template *t)
{
	free(t->source);
	free(t->parts);
	*t = (struct template){ 0 };
}

/* ---- running */

/* The value at a path like "IPAM.Driver", or NULL. */
static const json_t *value_at(const json_t *v, const char *path, size_t len)
{
	const char *end = path + len;

	while (v && path < end) {
		const char *dot = memchr(path, '.', (size_t)(end - path));
		size_t n = (size_t)((dot ? dot : end) - path);

		v = json_object_getn(v, path, n);
		path += n + (dot ? 1 : 0);
	}
	return v;
}

static int add_json(struct strbuf *out, const json_t *v, struct cnm_error *err)
{
	_free_ char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		return cnm_error_errno(err, ENOMEM, "print --format");
	strbuf_add(out, text);
	return 0;
}

static int add_plain(struct strbuf *out, const struct template_part *p, const json_t *v,
		     struct cnm_error *err)
{
	if (json_is_string(v))
		strbuf_add(out, json_string_value(v));
	else if (json_is_null(v))
		strbuf_add(out, "<no value>");
	else if (json_is_object(v) || json_is_array(v))
		return cnm_error_set(err, CNM_E_INVALID,
				     "--format: \".%.*s\" holds several values; use {{json .%.*s}}",
				     (int)p->len, p->text, (int)p->len, p->text);
	else
		return add_json(out, v, err);
	return 0;
}

static int run_part(const struct template_part *p, const json_t *data, struct strbuf *out,
		    struct cnm_error *err)
{
	const json_t *v;

	if (p->kind == PART_TEXT) {
		strbuf_addn(out, p->text, p->len);
		return 0;
	}
	v = value_at(data, p->text, p->len);
	if (!v)
		return cnm_error_set(err, CNM_E_INVALID, "--format: there is no field \".%.*s\"",
				     (int)p->len, p->text);
	return p->kind == PART_JSON ? add_json(out, v, err) : add_plain(out, p, v, err);
}

int template_run(const struct template *t, const json_t *data, struct strbuf *out,
		 struct cnm_error *err)
{
	int r = 0;

	for (size_t i = 0; i < t->n_parts && r == 0; i++)
		r = run_part(&t->parts[i], data, out, err);
	return r;
}
