/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes and times as Docker's command reads and prints them. */
#ifndef CNM_UNITS_H
#define CNM_UNITS_H

#include <jansson.h>
#include <stdint.h>

#define UNITS_STR 48

/* "512m", "1.5g", "1024": bytes, in powers of 1024. 0 or -EINVAL (also when it does not fit). */
int units_parse_bytes(const char *s, int64_t *ret);
/* 1982000 is "1.98MB": powers of 1000, three digits. */
const char *units_size(int64_t bytes, char buf[static UNITS_STR]);
/* "5 minutes", "About an hour". */
const char *units_duration(int64_t seconds, char buf[static UNITS_STR]);

/* Values for table rows of a time in seconds since 1970; NULL if memory ran out. */
json_t *units_since(int64_t time);   /* "5 minutes ago" */
json_t *units_instant(int64_t time); /* "2026-11-22 16:00:00 +0000 UTC", local time */

#endif
