/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A string that grows, and a few string helpers.
 *
 * A strbuf is zero-initialised. After a failed allocation it is in error: every later append is a
 * no-op, and strbuf_take() returns NULL; so a caller checks once, at the end.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct strbuf {
	char *s; /* NULL while empty; else terminated */
	size_t len, cap;
	bool failed;
};

void strbuf_add(struct strbuf *b, const char *s);
void strbuf_addn(struct strbuf *b, const char *s, size_t n);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The text, owned by the caller ("" if nothing was added), or NULL if memory ran out. Resets b. */
char *strbuf_take(struct strbuf *b);
void strbuf_free(struct strbuf *b);

static inline bool streq(const char *a, const char *b)
{
	return __builtin_strcmp(a, b) == 0;
}

/* s begins with prefix: the rest of s, else NULL. */
const char *str_after(const char *s, const char *prefix);
/* Copies with truncation; always terminates. Returns false if it was cut. */
bool str_copy(char *dst, size_t size, const char *src);
/* Whole string is a decimal number within [min,max]. 0, -EINVAL, -ERANGE. */
int str_to_long(const char *s, long min, long max, long *ret);
/* "true", "1", "t", "T", "TRUE", "True" and their opposites, as Go's ParseBool. 0 or -EINVAL. */
int str_to_bool(const char *s, bool *ret);
/* Valid UTF-8 with no control characters? */
bool str_is_printable(const char *s);

#endif
