/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of a file that somebody else may have edited. */
#include "plan/file_edits.h"

#include <string.h>

#include "base/cleanup.h"

static bool same(struct file_text a, struct file_text b)
{
	return a.n == b.n && memcmp(a.s, b.s, a.n) == 0;
}

/* The next line without its end; false: there is none. */
static bool next_line(struct file_text *rest, struct file_text *ret)
{
	const char *end = rest->n ? memchr(rest->s, '\n', rest->n) : NULL;

	if (!rest->n)
		return false;
	*ret = (struct file_text){ rest->s, end ? (size_t)(end - rest->s) : rest->n };
	rest->s += ret->n + (end ? 1 : 0);
	rest->n -= ret->n + (end ? 1 : 0);
	return true;
}

static bool has_line(struct file_text text, struct file_text line)
{
	struct file_text l;

	while (next_line(&text, &l)) {
		if (same(l, line))
			return true;
	}
	return false;
}

/* The lines of text that other lacks. */
static void add_missing(struct strbuf *ret, struct file_text text, struct file_text other)
{
	struct file_text line;

	while (next_line(&text, &line)) {
		if (!has_line(other, line)) {
			strbuf_addn(ret, line.s, line.n);
			strbuf_add(ret, "\n");
		}
	}
}

static struct file_text text_of(const struct strbuf *b, size_t start)
{
	return (struct file_text){ b->s ? b->s + start : "", b->len - start };
}

static void append_lines(struct strbuf *b, size_t start, struct file_text lines)
{
	struct file_text line;

	while (next_line(&lines, &line)) {
		if (has_line(text_of(b, start), line))
			continue;
		if (b->len > start && b->s[b->len - 1] != '\n')
			strbuf_add(b, "\n");
		strbuf_addn(b, line.s, line.n);
		strbuf_add(b, "\n");
	}
}

/* Whoever edits may have made very many lines; those that go and come are few. */
static void merge_lines(struct strbuf *b, struct file_text base, struct file_text want,
			struct file_text have)
{
	_cleanup_(strbuf_free) struct strbuf gone = { 0 };
	_cleanup_(strbuf_free) struct strbuf come = { 0 };
	struct file_text line;
	size_t start = b->len;

	add_missing(&gone, base, want);
	add_missing(&come, want, base);
	while (next_line(&have, &line)) {
		if (!has_line(text_of(&gone, 0), line))
			strbuf_addn(b, line.s, (size_t)(have.s - line.s));
	}
	append_lines(b, start, text_of(&come, 0));
	b->failed |= gone.failed || come.failed;
}

bool file_is_edited(struct file_text base, struct file_text have)
{
	return base.s && have.s && !same(base, have);
}

void file_edits_merge(struct strbuf *ret, enum plan_file_edits edits, struct file_text base,
		      struct file_text want, struct file_text have)
{
	if (!file_is_edited(base, have))
		edits = PLAN_EDITS_NONE;
	switch (edits) {
	case PLAN_EDITS_NONE:
		strbuf_addn(ret, want.s, want.n);
		break;
	case PLAN_EDITS_LINES:
		merge_lines(ret, base, want, have);
		break;
	case PLAN_EDITS_ALL:
		strbuf_addn(ret, have.s, have.n);
		break;
	}
}
