/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lists of `ls`: rows of named fields, printed by --format as Docker's do: a table, JSON
 * objects one a line, or a template.
 */
#ifndef CNM_TABLE_H
#define CNM_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cnm/error.h"

/* A kind of list. */
struct table_view {
	const char *const *fields; /* name and header in turn, in the order of the names; NULL */
	const char *standard;      /* the columns of the table: "{{.ID}}\t{{.Name}}" */
	/* A field; digits in it count by value: net9 before net10. NULL: in the daemon's order. */
	const char *sort_by;
	/* An object of strings, with the fields, for what the daemon sent. NULL: no memory. */
	json_t *(*row)(const json_t *object, bool no_trunc);
};

/*
 * Print a list (an array the daemon sent). format as it was given: NULL or "table" for the
 * standard columns, "table TEMPLATE", "json", or a template a row. quiet prints the field ID
 * alone in place of the standard table.
 */
int table_print(const struct table_view *view, const json_t *list, const char *format, bool quiet,
		bool no_trunc, struct cnm_error *err);

/*
 * Print lines whose cells end in tabs, the last of a line excepted, as columns of at least that
 * width.
 */
void table_print_columns(const char *text, size_t min_width);

#endif
