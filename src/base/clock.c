/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clocks, and the three forms of an instant that Docker's filters take. */
#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

#define NS_PER_S 1000000000LL

uint64_t clock_mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int64_t clock_wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

const char *clock_format(int64_t wall_ns, char buf[static TIME_STR])
{
	int64_t ns = wall_ns % NS_PER_S;
	time_t s = wall_ns / NS_PER_S;
	struct tm tm;
	size_t n;

	if (ns < 0) {
		ns += NS_PER_S;
		s--;
	}
	gmtime_r(&s, &tm);
	n = strftime(buf, TIME_STR, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ns) {
		n += snprintf(buf + n, TIME_STR - n, ".%09d", (int)ns);
		while (buf[n - 1] == '0')
			n--;
	}
	strcpy(buf + n, "Z");
	return buf;
}

/* ---- parsing: each step moves *s on if it succeeds */

static bool take_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* Exactly n digits, at most max. */
static bool take_digits(const char **s, int n, int max, int *ret)
{
	const char *p = *s;
	int v = 0;

	for (; n > 0; n--, p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (*p - '0');
	}
	if (v > max)
		return false;
	*s = p;
	*ret = v;
	return true;
}

/* The digits after a point as a part of `unit`; those below its resolution are dropped. */
static int64_t take_fraction(const char **s, int64_t unit)
{
	int64_t part = 0;

	for (; **s >= '0' && **s <= '9'; (*s)++) {
		unit /= 10;
		part += (**s - '0') * unit;
	}
	return part;
}

static bool take_number(const char **s, int64_t *ret)
{
	int64_t v = 0;

	if (**s < '0' || **s > '9')
		return false;
	for (; **s >= '0' && **s <= '9'; (*s)++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **s - '0', &v))
			return false;
	*ret = v;
	return true;
}

/* s seconds and ns as nanoseconds, if they fit. */
static int join_ns(int64_t s, int64_t ns, int64_t *ret)
{
	/* In 128 bits: near the lower end s alone does not fit, and s with its ns does. */
	__int128 v = (__int128)s * NS_PER_S + ns;

	if (v < INT64_MIN || v > INT64_MAX)
		return -EINVAL;
	*ret = (int64_t)v;
	return 0;
}

static int parse_unix(const char *s, int64_t *ret)
{
	int64_t sec, ns = 0;

	if (!take_number(&s, &sec))
		return -EINVAL;
	if (take_char(&s, '.')) {
		if (!*s)
			return -EINVAL;
		ns = take_fraction(&s, NS_PER_S);
	}
	return *s ? -EINVAL : join_ns(sec, ns, ret);
}

static int64_t take_unit(const char **s)
{
	/* The two micro signs are U+00B5 and U+03BC. A longer unit comes before its beginning. */
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "\u00b5s", 1000 },
		{ "\u03bcs", 1000 },
		{ "ms", 1000000 },
		{ "s", NS_PER_S },
		{ "m", 60 * NS_PER_S },
		{ "h", 3600 * NS_PER_S },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		const char *rest = str_after(*s, units[i].name);

		if (rest) {
			*s = rest;
			return units[i].ns;
		}
	}
	return 0;
}

/* One "1.5h" of a duration. */
static bool take_duration_part(const char **s, int64_t *sum)
{
	int64_t whole = 0, unit, v;
	const char *digits = *s, *fraction = NULL;

	if (*digits != '.' && !take_number(s, &whole))
		return false;
	if (take_char(s, '.')) {
		fraction = *s;
		*s += strspn(*s, "0123456789");
		if (*s - digits == 1) /* a point alone */
			return false;
	}
	unit = take_unit(s);
	if (!unit || __builtin_mul_overflow(whole, unit, &v) ||
	    __builtin_add_overflow(*sum, v, sum))
		return false;
	return !fraction || !__builtin_add_overflow(*sum, take_fraction(&fraction, unit), sum);
}

static int parse_duration(const char *s, int64_t now, int64_t *ret)
{
	bool ahead = *s == '-';
	int64_t sum = 0, v;

	if (*s == '-' || *s == '+')
		s++;
	do {
		if (!take_duration_part(&s, &sum))
			return -EINVAL;
	} while (*s);
	if (ahead ? __builtin_add_overflow(now, sum, &v) : __builtin_sub_overflow(now, sum, &v))
		return -EINVAL;
	*ret = v;
	return 0;
}

/* "T15", "T15:04", "T15:04:05", "T15:04:05.000", or nothing. */
static bool take_time(const char **s, struct tm *tm, int64_t *ns)
{
	if (!take_char(s, 'T'))
		return true;
	if (!take_digits(s, 2, 23, &tm->tm_hour))
		return false;
	if (!take_char(s, ':'))
		return true;
	if (!take_digits(s, 2, 59, &tm->tm_min))
		return false;
	if (!take_char(s, ':'))
		return true;
	if (!take_digits(s, 2, 59, &tm->tm_sec))
		return false;
	if (!take_char(s, '.'))
		return true;
	if (**s < '0' || **s > '9')
		return false;
	*ns = take_fraction(s, NS_PER_S);
	return true;
}

/* "Z" or "+02:00": seconds east of UTC. Without a zone, *local is set. */
static bool take_zone(const char **s, int *east, bool *local)
{
	int sign = **s == '-' ? -1 : 1, h, m;

	*east = 0;
	*local = **s == '\0';
	if (*local || take_char(s, 'Z'))
		return true;
	if (!take_char(s, '+') && !take_char(s, '-'))
		return false;
	if (!take_digits(s, 2, 23, &h) || !take_char(s, ':') || !take_digits(s, 2, 59, &m))
		return false;
	*east = sign * (h * 3600 + m * 60);
	return true;
}

static int parse_date(const char *s, int64_t *ret)
{
	struct tm tm = { .tm_isdst = -1 }, utc;
	int64_t ns = 0;
	int east;
	time_t sec;
	bool local;

	if (!take_digits(&s, 4, 9999, &tm.tm_year) || !take_char(&s, '-') ||
	    !take_digits(&s, 2, 12, &tm.tm_mon) || !take_char(&s, '-') ||
	    !take_digits(&s, 2, 31, &tm.tm_mday) || !take_time(&s, &tm, &ns) ||
	    !take_zone(&s, &east, &local) || *s || tm.tm_mon < 1 || tm.tm_mday < 1)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	/* timegm() makes the 30th of February a day of March: so it is found out. */
	utc = tm;
	sec = timegm(&utc);
	if (utc.tm_mday != tm.tm_mday)
		return -EINVAL;
	if (local)
		sec = mktime(&tm);
	return join_ns(sec - east, ns, ret);
}

int clock_parse(const char *s, int64_t now_wall_ns, int64_t *ret)
{
	if (parse_unix(s, ret) == 0 || parse_date(s, ret) == 0)
		return 0;
	return parse_duration(s, now_wall_ns, ret);
}
