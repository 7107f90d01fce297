/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A growing list of strings that it owns. Zero-initialised. */
#ifndef CNM_STRV_H
#define CNM_STRV_H

#include <jansson.h>
#include <stddef.h>

#include "base/cleanup.h"

struct strv {
	char **v;
	size_t n;
};

/* Appends a copy of the first len bytes of s. 0 or -ENOMEM (nothing changed). */
int strv_addn(struct strv *l, const char *s, size_t len);
int strv_add(struct strv *l, const char *s);
void strv_free(struct strv *l);
/* An array of the strings; NULL if memory ran out or one is not UTF-8. */
json_t *strv_json(const struct strv *l);

/*
 * Appends the fields of one line of CSV: separated by commas; a field that opens with '"' runs to
 * the closing one, and "" within it is a quote. 0, -EINVAL (a quote is left open or text follows
 * the closing one) or -ENOMEM.
 */
int strv_add_csv(struct strv *l, const char *line);

#define _strv_ _cleanup_(strv_free)

#endif
