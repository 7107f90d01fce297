/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/str.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the string that grows */

/* Room for n more bytes and the terminator. */
static bool reserve(struct strbuf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 64;
	char *s;

	if (b->failed)
		return false;
	if (n < b->cap - b->len)
		return true;
	while (cap - b->len <= n && cap <= SIZE_MAX / 2)
		cap *= 2;
	s = cap - b->len > n ? realloc(b->s, cap) : NULL;
	if (!s) {
		b->failed = true;
		return false;
	}
	b->s = s;
	b->cap = cap;
	return true;
}

void strbuf_add(struct strbuf *b, const char *s)
{
	strbuf_addn(b, s, strlen(s));
}

void strbuf_addn(struct strbuf *b, const char *s, size_t n)
{
	if (!reserve(b, n))
		return;
	memcpy(b->s + b->len, s, n);
	b->len += n;
	b->s[b->len] = '\0';
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		b->failed = true;
	if (n < 0 || !reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->s + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

char *strbuf_take(struct strbuf *b)
{
	char *s = b->s;

	if (b->failed) {
		strbuf_free(b);
		return NULL;
	}
	*b = (struct strbuf){ 0 };
	return s ? s : strdup("");
}

void strbuf_free(struct strbuf *b)
{
	free(b->s);
	*b = (struct strbuf){ 0 };
}

/* ---- helpers */

const char *str_after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);
	bool fits = n < size;

	if (size == 0)
		return false;
	if (!fits)
		n = size - 1;
	memcpy(dst, src, n);
	dst[n] = '\0';
	return fits;
}

int str_to_long(const char *s, long min, long max, long *ret)
{
	const char *digits = *s == '-' ? s + 1 : s;
	long n;

	if (!*digits || digits[strspn(digits, "0123456789")])
		return -EINVAL;
	errno = 0;
	n = strtol(s, NULL, 10);
	if (errno == ERANGE || n < min || n > max)
		return -ERANGE;
	*ret = n;
	return 0;
}

int str_to_bool(const char *s, bool *ret)
{
	static const char *const words[][2] = { { "0", "1" },        { "f", "t" },
						{ "F", "T" },        { "false", "true" },
						{ "FALSE", "TRUE" }, { "False", "True" } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (int value = 0; value < 2; value++)
			if (streq(s, words[i][value])) {
				*ret = value;
				return 0;
			}
	return -EINVAL;
}

/* Decodes one character; 0 at a byte that is not UTF-8 (or is too long, a surrogate, too large). */
static uint32_t utf8_next(const unsigned char **s)
{
	static const uint32_t smallest[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = *s;
	uint32_t c = *p++;
	unsigned more = c < 0x80   ? 0
			: c < 0xc0 ? 4
			: c < 0xe0 ? 1
			: c < 0xf0 ? 2
			: c < 0xf8 ? 3
				   : 4;

	if (more > 3)
		return 0;
	c &= more ? 0x3fu >> more : 0x7fu;
	for (unsigned i = 0; i < more; i++, p++) {
		if ((*p & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (*p & 0x3f);
	}
	if (c < smallest[more] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*s = p;
	return c;
}

bool str_is_printable(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p) {
		uint32_t c = utf8_next(&p);

		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
	}
	return true;
}
