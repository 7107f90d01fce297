/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of a file that its users edit while we change our part of it. No files, no root. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "plan/file_edits.h"

static struct file_text text(const char *s)
{
	return (struct file_text){ s, s ? strlen(s) : 0 };
}

static char *merge(enum plan_file_edits edits, const char *base, const char *want, const char *have)
{
	struct strbuf b = { 0 };
	char *s;

	file_edits_merge(&b, edits, text(base), text(want), text(have));
	s = strbuf_take(&b);
	assert_non_null(s);
	return s;
}

static void test_cases(void **state)
{
	static const struct {
		enum plan_file_edits edits;
		const char *base, *want, *have, *result;
	} cases[] = {
		/* not edited, or nobody knows */
		{ PLAN_EDITS_LINES, "a\nb\n", "a\nc\n", "a\nb\n", "a\nc\n" },
		{ PLAN_EDITS_ALL, "a\n", "b\n", "a\n", "b\n" },
		{ PLAN_EDITS_LINES, NULL, "b\n", "mine\n", "b\n" },
		{ PLAN_EDITS_ALL, NULL, "b\n", "mine\n", "b\n" },
		{ PLAN_EDITS_LINES, "a\n", "b\n", NULL, "b\n" },
		{ PLAN_EDITS_ALL, "a\n", "b\n", NULL, "b\n" },
		{ PLAN_EDITS_NONE, "a\n", "b\n", "mine\n", "b\n" },
		/* edited */
		{ PLAN_EDITS_ALL, "a\n", "b\n", "mine\n", "mine\n" },
		{ PLAN_EDITS_ALL, "a\n", "b\n", "", "" },
		{ PLAN_EDITS_LINES, "a\nb\n", "a\nc\n", "x\na\n\nb\ny\n", "x\na\n\ny\nc\n" },
		{ PLAN_EDITS_LINES, "a\nb\n", "a\nb\nc\n", "b\n", "b\nc\n" },
		{ PLAN_EDITS_LINES, "a\n", "a\nb\n", "a\nmine", "a\nmine\nb\n" },
		{ PLAN_EDITS_LINES, "a\n", "a\nb\n", "b\na\n", "b\na\n" },
		{ PLAN_EDITS_LINES, "a\nb\n", "a\n", "a\nb \nb\nb", "a\nb \n" },
		{ PLAN_EDITS_LINES, "a\n", "b\nb\n", "x\n", "x\nb\n" },
		{ PLAN_EDITS_LINES, "a\n", "a\n", "", "" },
		{ PLAN_EDITS_LINES, "a\n", "a\nb\n", "", "b\n" },
		{ PLAN_EDITS_LINES, "a\n", "", "x\na", "x\n" },
		{ PLAN_EDITS_LINES, "a\n\n", "a\n", "a\n\n\nx\n", "a\nx\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_free_ char *got =
			merge(cases[i].edits, cases[i].base, cases[i].want, cases[i].have);

		assert_string_equal(got, cases[i].result);
	}
}

/* Zero bytes are bytes. */
static void test_binary(void **state)
{
	static const char have[] = "a\n\0x\nb\n";
	struct strbuf b = { 0 };

	file_edits_merge(&b, PLAN_EDITS_LINES, text("a\nb\n"), text("a\nc\n"),
			 (struct file_text){ have, sizeof(have) - 1 });
	assert_int_equal(b.len, sizeof(have) - 1);
	assert_memory_equal(b.s, "a\n\0x\nc\n", b.len);
	strbuf_free(&b);
}

/* ---- sequences of edits against a model: each of a few lines is there so and so often */

#define LINES 8 /* 0..3 are ours to write, all are for users to write */
#define OURS  4

struct model {
	bool base[LINES], want[LINES], edited;
	unsigned have[LINES];
};

static char *text_of(const unsigned *counts, bool shuffle)
{
	struct strbuf b = { 0 };
	unsigned start = shuffle ? rng(LINES) : 0;

	for (unsigned i = 0; i < LINES; i++) {
		unsigned line = (start + i) % LINES;

		for (unsigned n = 0; n < counts[line]; n++)
			strbuf_addf(&b, "line %u\n", line);
	}
	return strbuf_take(&b);
}

static char *text_of_set(const bool *set)
{
	unsigned counts[LINES];

	for (unsigned i = 0; i < LINES; i++)
		counts[i] = set[i];
	return text_of(counts, false);
}

static void count(const char *s, unsigned counts[static LINES])
{
	unsigned line;
	int n;

	memset(counts, 0, LINES * sizeof(*counts));
	for (; *s; s += n) {
		assert_int_equal(sscanf(s, "line %u\n%n", &line, &n), 1);
		counts[line]++;
	}
}

/* What the rules say: line by line, whatever the order. */
static void model_merge(struct model *m)
{
	for (unsigned i = 0; i < LINES; i++) {
		if (!m->edited)
			m->have[i] = m->want[i];
		else if (m->base[i] && !m->want[i])
			m->have[i] = 0;
		else if (m->want[i] && !m->base[i] && !m->have[i])
			m->have[i] = 1;
		m->base[i] = m->want[i];
	}
}

static char *user_edits(struct model *m, char *have)
{
	unsigned line = rng(LINES);
	char *s;

	if (rng(2))
		m->have[line] += 1;
	else
		m->have[line] = 0;
	s = text_of(m->have, true);
	free(have);
	return s;
}

static char *we_change(struct model *m, char *base, char *have)
{
	unsigned counts[LINES];
	_free_ char *want = NULL, *again = NULL;
	char *merged;

	m->want[rng(OURS)] ^= true;
	want = text_of_set(m->want);
	m->edited = strcmp(base, have) != 0;
	merged = merge(PLAN_EDITS_LINES, base, want, have);
	again = merge(PLAN_EDITS_LINES, base, want, merged);
	assert_string_equal(again, merged);
	model_merge(m);
	count(merged, counts);
	assert_memory_equal(counts, m->have, sizeof(counts));
	free(have);
	return merged;
}

static void test_random_sequences(void **state)
{
	for (unsigned i = 0; i < 10000; i++) {
		struct model m = { .want = { true }, .base = { true }, .have = { 1 } };
		char *have = text_of_set(m.want);

		for (unsigned step = rng(20); step; step--) {
			_free_ char *base = text_of_set(m.base);

			have = rng(2) ? user_edits(&m, have) : we_change(&m, base, have);
		}
		free(have);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_random_sequences),
	};

	rng_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
