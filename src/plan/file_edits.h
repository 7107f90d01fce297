/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of a file that somebody else may have edited. Pure: texts in, text out.
 */
#ifndef PLAN_FILE_EDITS_H
#define PLAN_FILE_EDITS_H

#include "base/str.h"
#include "plan/plan.h"

/* Any bytes; not terminated. */
struct file_text {
	const char *s; /* NULL: there is none */
	size_t n;
};

/* Is what is there (have) not what we wrote last (base)? Without either, nobody can tell: no. */
bool file_is_edited(struct file_text base, struct file_text have);

/*
 * Appends to *ret what shall be there, where we want to write want now.
 *
 * That is want if the file was not edited. Else, with
 * PLAN_EDITS_NONE, want all the same; with _LINES have without the lines that base has and want has
 * not, and at its end the lines that want has and base has not, unless they are there; with _ALL
 * have as it is. Doing it again with the result as have gives the same result.
 */
void file_edits_merge(struct strbuf *ret, enum plan_file_edits edits, struct file_text base,
		      struct file_text want, struct file_text have);

#endif
