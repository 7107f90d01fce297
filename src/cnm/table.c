/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/table.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/output.h"
#include "cnm/template.h"

#define COLUMN_MIN 10 /* as Docker's tables */
#define COLUMN_GAP 3
#define COLUMN_MAX 32 /* columns that are aligned */

/* A list in the making. */
struct table {
	json_t *headers; /* {"ID":"NETWORK ID", ...}: a row like the others, with every field */
	json_t *rows;
};

static void table_free(struct table *t)
{
	json_decref(t->headers);
	json_decref(t->rows);
}

static int table_fill(struct table *t, const struct table_view *view, const json_t *list,
		      bool no_trunc)
{
	const char *const *f = view->fields;
	const json_t *object;
	size_t i;
	int r = 0;

	t->headers = json_object();
	t->rows = json_array();
	for (; r == 0 && *f; f += 2)
		r = json_put(t->headers, f[0], json_string(f[1]));
	json_array_foreach (list, i, object)
		if (r == 0)
			r = json_array_append_new(t->rows, view->row(object, no_trunc));
	return r < 0 ? -ENOMEM : 0;
}

/* ---- order */

static int compare_numbers(const char **a, const char **b)
{
	const char *x = *a + strspn(*a, "0"), *y = *b + strspn(*b, "0");
	size_t n = strspn(x, "0123456789"), m = strspn(y, "0123456789");
	int r = n != m ? (n < m ? -1 : 1) : strncmp(x, y, n);

	if (r == 0 && x - *a != y - *b) /* the one with fewer zeros in front */
		r = x - *a < y - *b ? -1 : 1;
	*a = x + n;
	*b = y + m;
	return r;
}

/* Digits before all else, numbers by value, the rest by bytes: the order of Docker's lists. */
static int compare_natural(const char *a, const char *b)
{
	while (*a && *b) {
		bool x = isdigit((unsigned char)*a), y = isdigit((unsigned char)*b);

		if (x && y) {
			int r = compare_numbers(&a, &b);

			if (r)
				return r;
			continue;
		}
		if (x != y)
			return x ? -1 : 1;
		if (*a != *b)
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		a++;
		b++;
	}
	return (*a != '\0') - (*b != '\0');
}

/* A row being sorted, with its key. */
struct sorted {
	const char *key;
	json_t *row;
};

static int compare_rows(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	return compare_natural(x->key, y->key);
}

static int table_sort(struct table *t, const char *field)
{
	size_t n = json_array_size(t->rows), i;
	_free_ struct sorted *rows = NULL;
	json_t *row;

	if (!field)
		return 0;
	rows = calloc(n + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	json_array_foreach (t->rows, i, row) {
		rows[i].key = output_string(row, field);
		rows[i].row = json_incref(row);
	}
	qsort(rows, n, sizeof(*rows), compare_rows);
	for (i = 0; i < n; i++)
		json_array_set_new(t->rows, i, rows[i].row);
	return 0;
}

/* ---- the columns of a table: text whose cells end in tabs, the last of a line excepted */

static size_t characters(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)s[i] & 0xc0) != 0x80;
	return count;
}

static void measure(const char *line, size_t min, size_t widths[COLUMN_MAX])
{
	const char *tab;

	for (size_t i = 0; i < COLUMN_MAX && (tab = strpbrk(line, "\t\n")) && *tab == '\t'; i++) {
		size_t w = characters(line, (size_t)(tab - line)) + COLUMN_GAP;

		if (w < min)
			w = min;
		if (w > widths[i])
			widths[i] = w;
		line = tab + 1;
	}
}

static void print_line(const char *line, const size_t widths[COLUMN_MAX])
{
	for (size_t i = 0;; i++) {
		size_t n = strcspn(line, "\t\n");

		fwrite(line, 1, n, stdout);
		if (line[n] != '\t')
			break;
		if (i < COLUMN_MAX)
			printf("%*s", (int)(widths[i] - characters(line, n)), "");
		line += n + 1;
	}
	putchar('\n');
}

void table_print_columns(const char *text, size_t min_width)
{
	size_t widths[COLUMN_MAX] = { 0 };

	for (const char *s = text; *s; s += strcspn(s, "\n") + 1)
		measure(s, min_width, widths);
	for (const char *s = text; *s; s += strcspn(s, "\n") + 1)
		print_line(s, widths);
}

/* ---- printing */

static int print_template(const struct table *t, const char *source, bool columns,
			  struct cnm_error *err)
{
	_cleanup_(template_free) struct template tmpl = { 0 };
	_cleanup_(strbuf_free) struct strbuf header = { 0 }, out = { 0 };
	const json_t *row;
	_free_ char *text = NULL;
	size_t i;
	int r = template_parse(&tmpl, source, err);

	if (r == 0) /* run in any case: it knows every field, so a wrong one is told */
		r = template_run(&tmpl, t->headers, &header, err);
	if (r < 0)
		return r;
	if (columns && header.s)
		strbuf_addf(&out, "%s\n", header.s);
	json_array_foreach (t->rows, i, row) {
		r = template_run(&tmpl, row, &out, err);
		if (r < 0)
			return r;
		strbuf_add(&out, "\n");
	}
	text = strbuf_take(&out);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "print the list");
	if (columns)
		table_print_columns(text, COLUMN_MIN);
	else
		fputs(text, stdout);
	return 0;
}

static int print_format(const struct table *t, const struct table_view *view, const char *format,
			bool quiet, struct cnm_error *err)
{
	const char *rest;

	if (!format || !*format || streq(format, "table"))
		return print_template(t, quiet ? "{{.ID}}" : view->standard, !quiet, err);
	if (streq(format, "json"))
		return print_template(t, "{{json .}}", false, err);
	rest = str_after(format, "table ");
	return print_template(t, rest ? rest : format, rest != NULL, err);
}

int table_print(const struct table_view *view, const json_t *list, const char *format, bool quiet,
		bool no_trunc, struct cnm_error *err)
{
	_cleanup_(table_free) struct table t = { 0 };

	if (table_fill(&t, view, list, no_trunc) < 0 || table_sort(&t, view->sort_by) < 0)
		return cnm_error_errno(err, ENOMEM, "print the list");
	return print_format(&t, view, format, quiet, err);
}
