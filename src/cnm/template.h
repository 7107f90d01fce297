/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of Go's templates that --format takes: text, {{.FIELD}}, {{.A.B}}, {{json .}} and
 * {{json .FIELD}}. Anything else is refused by name.
 */
#ifndef CNM_TEMPLATE_H
#define CNM_TEMPLATE_H

#include <jansson.h>
#include <stddef.h>

#include "base/str.h"
#include "cnm/error.h"

struct template_part {
	const char *text; /* into the source: literal text, or the path without its first dot */
	size_t len;
	enum { PART_TEXT, PART_FIELD, PART_JSON } kind;
};

struct template
{
	char *source;
	struct template_part *parts;
	size_t n_parts;
};

/* "\t" and "\n" written as two characters are what they mean, as Docker's tables have it. */
int template_parse(struct template *ret, const char *source, struct cnm_error *err);
void template_free(struct template *t);
/* Append the text for data to out. A field that data has not got is an error. */
int template_run(const struct template *t, const json_t *data, struct strbuf *out,
		 struct cnm_error *err);

#endif
