/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors: see cnm/error.h. Each text is first written to a local buffer, so that the arguments may
 * point into the error that is being replaced or prefixed.
 */
#include "cnm/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int err;
} classes[] = {
	[CNM_E_INTERNAL] = { "internal", EIO },
	[CNM_E_INVALID] = { "invalid", EINVAL },
	[CNM_E_FORBIDDEN] = { "forbidden", EPERM },
	[CNM_E_NOT_FOUND] = { "not found", ENOENT },
	[CNM_E_CONFLICT] = { "conflict", EEXIST },
	[CNM_E_NOT_IMPLEMENTED] = { "not implemented", ENOSYS },
	[CNM_E_UNAVAILABLE] = { "unavailable", EAGAIN },
};

/* Appends s at offset `at`. What does not fit is cut, between characters, and ends in "...". */
static size_t append(char text[static CNM_ERROR_TEXT], size_t at, const char *s)
{
	size_t n = strlen(s), cut = CNM_ERROR_TEXT - sizeof("...");

	if (at + n < CNM_ERROR_TEXT) {
		memcpy(text + at, s, n + 1);
		return at + n;
	}
	memcpy(text + at, s, CNM_ERROR_TEXT - at);
	while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	strcpy(text + cut, "...");
	return cut + strlen("...");
}

__attribute__((format(printf, 2, 0))) static size_t format(char text[static CNM_ERROR_TEXT],
							   const char *fmt, va_list ap)
{
	char full[CNM_ERROR_TEXT + 1]; /* one more, so that append() sees what is too long */

	if (vsnprintf(full, sizeof(full), fmt, ap) < 0)
		strcpy(full, "(the message could not be formatted)");
	return append(text, 0, full);
}

int cnm_error_set(struct cnm_error *e, enum cnm_error_class class, const char *fmt, ...)
{
	int err = classes[class].err;
	char text[CNM_ERROR_TEXT];
	va_list ap;

	if (!e)
		return -err;
	va_start(ap, fmt);
	format(text, fmt, ap);
	va_end(ap);
	e->class = class;
	e->err = err;
	strcpy(e->text, text);
	return -err;
}

int cnm_error_errno(struct cnm_error *e, int err, const char *fmt, ...)
{
	int number = err ? abs(err) : EIO;
	char text[CNM_ERROR_TEXT];
	va_list ap;
	size_t n;

	if (!e)
		return -number;
	va_start(ap, fmt);
	n = format(text, fmt, ap);
	va_end(ap);
	n = append(text, n, ": ");
	append(text, n, strerror(number));
	e->class = CNM_E_INTERNAL;
	e->err = number;
	strcpy(e->text, text);
	return -number;
}

int cnm_error_prefix(struct cnm_error *e, const char *fmt, ...)
{
	char text[CNM_ERROR_TEXT];
	va_list ap;
	size_t n;

	if (!e)
		return -EIO;
	va_start(ap, fmt);
	n = format(text, fmt, ap);
	va_end(ap);
	n = append(text, n, ": ");
	append(text, n, e->text);
	strcpy(e->text, text);
	return e->err ? -e->err : -EIO;
}

const char *cnm_error_class_name(enum cnm_error_class class)
{
	if ((unsigned)class >= sizeof(classes) / sizeof(classes[0]))
		return "unknown";
	return classes[class].name;
}
