/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

#define MINUTE 60
#define HOUR   3600
#define DAY    (24 * HOUR)

/* ---- sizes */

/* "", "b", "k", "kb", "kib": how many times 1024, or -1. */
static int suffix_power(const char *s)
{
	static const char letters[] = "kmgtp";
	const char *letter = *s ? strchr(letters, tolower((unsigned char)*s)) : NULL;

	if (letter)
		s++;
	if (letter && tolower((unsigned char)*s) == 'i')
		s++;
	if (tolower((unsigned char)*s) == 'b')
		s++;
	return *s ? -1 : letter ? (int)(letter - letters) + 1 : 0;
}

int units_parse_bytes(const char *s, int64_t *ret)
{
	size_t digits = strspn(s, "0123456789."), n = digits;
	char number[32];
	double value;
	char *end;
	int power;

	if (digits == 0 || digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, s, digits);
	number[digits] = '\0';
	value = strtod(number, &end);
	if (s[n] == ' ')
		n++;
	power = suffix_power(s + n);
	if (*end || power < 0)
		return -EINVAL;
	value = ldexp(value, 10 * power);
	if (value >= 9.2e18)
		return -EINVAL;
	*ret = (int64_t)value;
	return 0;
}

const char *units_size(int64_t bytes, char buf[static UNITS_STR])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double size = (double)bytes;
	size_t i = 0;

	for (; size >= 1000 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		size /= 1000;
	snprintf(buf, UNITS_STR, "%.3g%s", size, units[i]);
	return buf;
}

/* ---- times */

static const char *count(char buf[static UNITS_STR], int64_t n, const char *unit)
{
	snprintf(buf, UNITS_STR, "%lld %s", (long long)n, unit);
	return buf;
}

static const char *copy(char buf[static UNITS_STR], const char *s)
{
	str_copy(buf, UNITS_STR, s);
	return buf;
}

const char *units_duration(int64_t seconds, char buf[static UNITS_STR])
{
	int64_t hours = (seconds + HOUR / 2) / HOUR;

	if (seconds < 1)
		return copy(buf, "Less than a second");
	if (seconds < MINUTE)
		return count(buf, seconds, seconds == 1 ? "second" : "seconds");
	if (seconds < 2 * MINUTE)
		return copy(buf, "About a minute");
	if (seconds < HOUR)
		return count(buf, seconds / MINUTE, "minutes");
	if (hours == 1)
		return copy(buf, "About an hour");
	if (hours < 48)
		return count(buf, hours, "hours");
	if (hours < 2 * 7 * 24)
		return count(buf, hours / 24, "days");
	if (hours < 2 * 30 * 24)
		return count(buf, hours / (7 * 24), "weeks");
	if (hours < 2 * 365 * 24)
		return count(buf, hours / (30 * 24), "months");
	return count(buf, seconds / DAY / 365, "years");
}

json_t *units_since(int64_t when)
{
	char buf[UNITS_STR];

	return json_sprintf("%s ago", units_duration((int64_t)time(NULL) - when, buf));
}

json_t *units_instant(int64_t when)
{
	time_t t = (time_t)when;
	char buf[UNITS_STR];
	struct tm tm;

	if (!localtime_r(&t, &tm))
		return json_string("");
	strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S %z %Z", &tm);
	return json_string(buf);
}
