/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For the tests of published ports, which are written as their rows are. */
#ifndef TEST_PORTS_FIXTURE_H
#define TEST_PORTS_FIXTURE_H

#include "unit.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "model/ports.h"

static inline struct cnm_ip ip(const char *s)
{
	struct cnm_ip v = { 0 };

	if (s[0])
		assert_int_equal(ip_parse(&v, s), 0);
	return v;
}

static inline json_t *json(const char *text)
{
	json_t *j = json_loads(text, 0, NULL);

	if (!j)
		fail_msg("%s", text);
	return j;
}

static inline struct port *read_ports(const char *text, const struct sandbox *sb, unsigned *ret_n)
{
	_json_ json_t *a = json(text);
	struct port *p = NULL;

	if (ports_decode(a, sb, &p, ret_n) < 0)
		fail_msg("%s", text);
	return p;
}

static inline struct port_want *read_wants(const char *text, unsigned *ret_n)
{
	_json_ json_t *a = json(text);
	struct port_want *w = NULL;

	if (port_wants_decode(a, &w, ret_n) < 0)
		fail_msg("%s", text);
	return w;
}

static inline void expect_ports(const char *what, const struct port *p, unsigned n,
				const char *text)
{
	_json_ json_t *have = ports_encode(p, n), *want = json(text);
	_free_ char *shown = json_dumps(have, JSON_COMPACT);

	if (!json_equal(have, want))
		fail_msg("%s:\n have %s\n want %s", what, shown, text);
}

#endif
