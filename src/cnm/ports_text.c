/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As Docker's command orders and joins them: neighbours that lead to their own numbers. */
#include "cnm/ports_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/output.h"

struct run {
	const char *ip, *type; /* ip "": not published */
	int first, last;
	int shift; /* to the port of the host */
};

static int compare_texts(const struct run *a, const struct run *b)
{
	int r = strcmp(a->ip, b->ip);

	return r ? r : strcmp(a->type, b->type);
}

/* Those that may be joined next to each other. */
static int compare_kinds(const void *p, const void *q)
{
	const struct run *a = p, *b = q;
	int r = compare_texts(a, b);

	r = r ? r : a->shift - b->shift;
	return r ? r : a->first - b->first;
}

/* As they are shown. */
static int compare_ports(const void *p, const void *q)
{
	const struct run *a = p, *b = q;
	int r = (a->shift != 0) - (b->shift != 0);

	r = r ? r : a->first - b->first;
	return r ? r : compare_texts(a, b);
}

static size_t join(struct run *v, size_t n)
{
	size_t at = 0;

	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), compare_kinds);
	for (size_t i = 1; i < n; i++) {
		if (compare_texts(&v[at], &v[i]) == 0 && !v[at].shift && !v[i].shift &&
		    v[i].first <= v[at].last + 1)
			v[at].last = v[i].last;
		else
			v[++at] = v[i];
	}
	return at + 1;
}

static void add_range(struct strbuf *b, int first, int last)
{
	strbuf_addf(b, "%d", first);
	if (last != first)
		strbuf_addf(b, "-%d", last);
}

static void add_run(struct strbuf *b, const struct run *r)
{
	const char *open = strchr(r->ip, ':') ? "[" : "", *close = *open ? "]" : "";

	strbuf_add(b, b->len ? ", " : "");
	if (*r->ip) {
		strbuf_addf(b, "%s%s%s:", open, r->ip, close);
		add_range(b, r->first + r->shift, r->last + r->shift);
		strbuf_add(b, "->");
	}
	add_range(b, r->first, r->last);
	strbuf_addf(b, "/%s", r->type);
}

static int number(const json_t *o, const char *key)
{
	return (int)json_integer_value(json_object_get(o, key));
}

json_t *ports_text(const json_t *ports)
{
	_free_ struct run *v = calloc(json_array_size(ports) + 1, sizeof(*v));
	_free_ char *text = NULL;
	struct strbuf b = { 0 };
	const json_t *p;
	size_t i, n;

	if (!v)
		return NULL;
	json_array_foreach (ports, i, p) {
		int private = number(p, "PrivatePort"), public = number(p, "PublicPort");

		v[i] = (struct run){ output_string(p, "IP"), output_string(p, "Type"), private,
				     private, public ? public - private : 0 };
	}
	n = join(v, json_array_size(ports));
	qsort(v, n, sizeof(*v), compare_ports);
	for (i = 0; i < n; i++)
		add_run(&b, &v[i]);
	text = strbuf_take(&b);
	return text ? json_string(text) : NULL;
}
