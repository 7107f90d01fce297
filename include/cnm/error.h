/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors of cnm.
 *
 * Every function that can fail returns 0 or a negative errno, for the program, and fills a struct
 * cnm_error supplied by the caller, for the person: a class and a sentence. Layers prefix the
 * sentence on its way up, so that the caller can print one line with the whole chain of reasons.
 *
 * Success leaves the struct untouched. NULL may be passed wherever a struct cnm_error is asked for.
 * Nothing here allocates, so an error can be told when memory is out. A text that does not fit is
 * cut and ends in "...".
 */
#ifndef CNM_ERROR_H
#define CNM_ERROR_H

#include <stdarg.h>

#define CNM_ERROR_TEXT 2048

#pragma GCC visibility push(default)

/* What kind of failure it is, independent of where it came from. */
enum cnm_error_class {
	CNM_E_INTERNAL = 0,    /* the kernel, the store or cnm itself failed      -> HTTP 500 */
	CNM_E_INVALID,         /* the request makes no sense                      -> HTTP 400 */
	CNM_E_FORBIDDEN,       /* understood, but not allowed as things stand     -> HTTP 403 */
	CNM_E_NOT_FOUND,       /* the object named does not exist                 -> HTTP 404 */
	CNM_E_CONFLICT,        /* the object exists, or is busy with another call -> HTTP 409 */
	CNM_E_NOT_IMPLEMENTED, /* a thing of Docker's that cnm does not have    -> HTTP 501 */
	CNM_E_UNAVAILABLE,     /* another party does not answer, or a limit       -> HTTP 503 */
};

struct cnm_error {
	enum cnm_error_class class;
	int err; /* positive errno */
	char text[CNM_ERROR_TEXT];
};

/* Start a new error: sets class, errno (by class) and text. Returns the negative errno. */
int cnm_error_set(struct cnm_error *e, enum cnm_error_class class, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Start an error of class INTERNAL from `err` (an errno, its sign is ignored); ": <strerror>" is
 * appended to the text. Returns the negative errno.
 */
int cnm_error_errno(struct cnm_error *e, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Prefix what is there: "<prefix>: <text>". Returns the negative errno of the error. With e NULL
 * it returns -EIO, so keep the code you were given when e may be NULL.
 */
int cnm_error_prefix(struct cnm_error *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The stable lower-case name of a class: "invalid", "not found", ... Never NULL. */
const char *cnm_error_class_name(enum cnm_error_class class);

#pragma GCC visibility pop

#endif
