/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clocks, and the forms of an instant that are printed and parsed. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "unit.h"

#include "base/clock.h"

#define NS 1000000000LL

static void test_clock_now(void **state)
{
	uint64_t a = clock_mono_ns(), b = clock_mono_ns();

	assert_true(b >= a);
	assert_true(clock_wall_ns() > 1700000000LL * NS);
}

static void test_clock_format(void **state)
{
	static const struct {
		int64_t ns;
		const char *want;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ 1, "1970-01-01T00:00:00.000000001Z" },
		{ 500000000, "1970-01-01T00:00:00.5Z" },
		{ 1795363200 * NS + 120000000, "2026-11-22T16:00:00.12Z" },
		{ -1, "1969-12-31T23:59:59.999999999Z" },
		{ -NS, "1969-12-31T23:59:59Z" },
		{ INT64_MAX, "2262-04-11T23:47:16.854775807Z" },
		{ INT64_MIN, "1677-09-21T00:12:43.145224192Z" },
	};
	char text[TIME_STR];
	int64_t back;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(clock_format(cases[i].ns, text), cases[i].want);
		assert_int_equal(clock_parse(text, 0, &back), 0);
		assert_true(back == cases[i].ns);
	}
}

static void test_clock_parse(void **state)
{
	static const int64_t now = 1795363200 * NS; /* 2026-11-22T16:00:00Z */
	static const struct {
		const char *text;
		int64_t want;
	} cases[] = {
		{ "0", 0 },
		{ "1795363200", now },
		{ "1795363200.5", now + NS / 2 },
		{ "1795363200.000000001", now + 1 },
		{ "1795363200.0000000019", now + 1 },
		{ "9223372036.854775807", INT64_MAX },
		{ "2026-11-22T16:00:00Z", now },
		{ "2026-11-22T16:00:00.25Z", now + NS / 4 },
		{ "2026-11-22T18:00:00+02:00", now },
		{ "2026-11-22T10:30:00-05:30", now },
		{ "2026-11-22T16:00Z", now },
		{ "2026-11-22T16Z", now },
		{ "2026-11-22Z", now - 16 * 3600 * NS },
		{ "2024-02-29Z", 1709164800 * NS },
		{ "1h30m", now - 5400 * NS },
		{ "+1.5h", now - 5400 * NS },
		{ "-10m", now + 600 * NS },
		{ "1h2m3s4ms5us6ns", now - 3723 * NS - 4005006 },
		{ "5\u00b5s", now - 5000 },
		{ "5\u03bcs", now - 5000 },
		{ ".5s", now - NS / 2 },
		{ "1.s", now - NS },
		{ "0s", now },
		/* Without a zone: local time, two hours east of UTC here. */
		{ "2026-11-22T18:00:00", now },
		{ "2026-11-22T18:00:00.5", now + NS / 2 },
		{ "2026-11-22T18:00", now },
		{ "2026-11-22T18", now },
		{ "2026-11-22", now - 18 * 3600 * NS },
	};
	int64_t got;

	setenv("TZ", "TST-2", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (clock_parse(cases[i].text, now, &got) < 0)
			fail_msg("refused \"%s\"", cases[i].text);
		if (got != cases[i].want)
			fail_msg("\"%s\": %lld", cases[i].text, (long long)got);
	}
	unsetenv("TZ");
	tzset();
}

static void test_clock_parse_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"now",
		"-",
		"+",
		"1h30",
		"1x",
		".s",
		"1h-30m",
		"1 h",
		"h",
		"1hh",
		"-5",
		"+5",
		"1.2.3",
		"5.",
		"0x10",
		"1e3",
		"2026-1-2",
		"2026-13-01Z",
		"2026-00-01Z",
		"2026-02-30Z",
		"2025-02-29Z",
		"2026-01-00Z",
		"2026-01-32Z",
		"2026-11-22T24:00:00Z",
		"2026-11-22T16:60:00Z",
		"2026-11-22T16:00:60Z",
		"2026-11-22T16:00:00.Z",
		"2026-11-22T16:00:00z",
		"2026-11-22t16:00:00Z",
		"2026-11-22 16:00:00Z",
		"2026-11-22T16:00:00+2",
		"2026-11-22T16:00:00+24:00",
		"2026-11-22T16:00:00Zx",
		"2026-11-22T",
		"9999-01-01Z",
		"0001-01-01Z",
		"9223372037",
		"99999999999999999999",
		"9999999h",
		"2562047h48m",
		"9223372036854775808ns",
	};
	int64_t got = 77;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (clock_parse(bad[i], INT64_MAX, &got) != -EINVAL)
			fail_msg("accepted \"%s\"", bad[i]);
	assert_int_equal(clock_parse("1ns", INT64_MIN, &got), -EINVAL);
	assert_int_equal(clock_parse("-1ns", INT64_MAX, &got), -EINVAL);
	assert_int_equal(got, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_now),
		cmocka_unit_test(test_clock_format),
		cmocka_unit_test(test_clock_parse),
		cmocka_unit_test(test_clock_parse_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
