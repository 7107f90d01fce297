/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "containers/port_spec.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

#define MAX_ENTRIES (4 * 65536) /* more cannot be meant, nor fit into a request */
#define KEY_STR     24

static int no_memory(struct cnm_error *err)
{
	return cnm_error_errno(err, ENOMEM, "read the ports");
}

/* ---- numbers and keys */

static int parse_number(const char *s, size_t n, uint16_t *ret)
{
	unsigned v = 0;

	if (n == 0 || n > 5)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	if (v > 65535)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

int port_range_parse(const char *s, size_t n, uint16_t *ret_first, uint16_t *ret_last)
{
	const char *dash = memchr(s, '-', n);
	size_t n_first = dash ? (size_t)(dash - s) : n;
	uint16_t first, last;

	if (parse_number(s, n_first, &first) < 0)
		return -EINVAL;
	last = first;
	if (dash && parse_number(dash + 1, n - n_first - 1, &last) < 0)
		return -EINVAL;
	if (last < first)
		return -EINVAL;
	*ret_first = first;
	*ret_last = last;
	return 0;
}

/* "80", "80/udp", "8000-8010/tcp" */
static int parse_key(const char *key, struct port_run *ret, struct cnm_error *err)
{
	size_t n = strcspn(key, "/");
	const char *proto = key[n] ? key + n + 1 : "";

	if (port_range_parse(key, n, &ret->first, &ret->last) < 0 || ret->first == 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid port specification: \"%.*s\"",
				     (int)(n < 100 ? n : 100), key);
	if (port_proto_parse(*proto ? proto : "tcp", &ret->proto) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid port specification: \"%.100s\": the protocol is one "
				     "of tcp, udp and sctp",
				     key);
	return 0;
}

static const char *format_key(uint8_t proto, unsigned first, unsigned last, char buf[KEY_STR])
{
	if (first == last)
		snprintf(buf, KEY_STR, "%u/%s", first, port_proto_name(proto));
	else
		snprintf(buf, KEY_STR, "%u-%u/%s", first, last, port_proto_name(proto));
	return buf;
}

/* ---- reading bindings */

struct reader {
	struct port_binding *v;
	size_t n, cap;
};

static int add_entry(struct reader *rd, struct port_binding **ret, struct cnm_error *err)
{
	size_t cap = rd->cap ? 2 * rd->cap : 16;
	struct port_binding *more;

	if (rd->n == MAX_ENTRIES)
		return cnm_error_set(err, CNM_E_INVALID,
				     "HostConfig.PortBindings has more than %d entries",
				     MAX_ENTRIES);
	if (rd->n == rd->cap) {
		more = reallocarray(rd->v, cap, sizeof(*more));
		if (!more)
			return no_memory(err);
		rd->v = more;
		rd->cap = cap;
	}
	*ret = &rd->v[rd->n];
	memset(*ret, 0, sizeof(**ret));
	(*ret)->order = (unsigned)rd->n++;
	return 0;
}

/* Within brackets, too. */
static int parse_host(const char *text, struct cnm_ip *ret, struct cnm_error *err)
{
	size_t n = strlen(text);
	char bare[IP_STR];

	if (n == 0)
		return 0;
	if (n > 2 && n < sizeof(bare) && text[0] == '[' && text[n - 1] == ']') {
		memcpy(bare, text + 1, n - 2);
		bare[n - 2] = '\0';
		if (strchr(bare, ':') && ip_parse(ret, bare) == 0)
			return 0;
	} else if (ip_parse(ret, text) == 0) {
		return 0;
	}
	return cnm_error_set(err, CNM_E_INVALID, "invalid IP address: %.100s", text);
}

static int parse_host_port(const char *text, struct port_binding *b, struct cnm_error *err)
{
	struct port_want *w = &b->want;
	unsigned n = w->last - w->first + 1u, n_host;

	if (!*text)
		return 0;
	if (port_range_parse(text, strlen(text), &w->host_first, &w->host_last) < 0 ||
	    (w->host_first == 0 && w->host_last != 0))
		return cnm_error_set(err, CNM_E_INVALID, "invalid port specification: \"%.100s\"",
				     text);
	b->zero = w->host_first == 0;
	n_host = w->host_last - w->host_first + 1u;
	if (b->zero || n == 1 || n == n_host)
		return 0;
	return cnm_error_set(err, CNM_E_INVALID,
			     "invalid port specification: \"%.100s\": it has %u ports for the %u "
			     "ports %u-%u of the container; give as many",
			     text, n_host, n, w->first, w->last);
}

static int read_text(const json_t *o, const char *name, const char **ret, struct cnm_error *err)
{
	const json_t *v = json_object_get(o, name);

	*ret = json_is_string(v) ? json_string_value(v) : "";
	if (!v || json_is_null(v) || json_is_string(v))
		return 0;
	return cnm_error_set(err, CNM_E_INVALID, "HostConfig.PortBindings: %s must be a string",
			     name);
}

/* from NULL, or null: nothing said of the host. */
static int read_binding(struct reader *rd, const struct port_run *run, const json_t *from,
			struct cnm_error *err)
{
	struct port_binding *b = NULL;
	const char *ip = "", *port = "";
	int r = add_entry(rd, &b, err);

	if (r < 0)
		return r;
	if (from && !json_is_null(from) && !json_is_object(from))
		return cnm_error_set(err, CNM_E_INVALID,
				     "HostConfig.PortBindings: a binding must be an object");
	b->want.proto = run->proto;
	b->want.first = run->first;
	b->want.last = run->last;
	r = read_text(from, "HostIp", &ip, err);
	r = r < 0 ? r : read_text(from, "HostPort", &port, err);
	r = r < 0 ? r : parse_host(ip, &b->want.host, err);
	return r < 0 ? r : parse_host_port(port, b, err);
}

static int read_key(struct reader *rd, const char *key, const json_t *list, struct cnm_error *err)
{
	struct port_run run;
	const json_t *v;
	size_t i;
	int r = parse_key(key, &run, err);

	if (r < 0)
		return r;
	if (!json_is_array(list) && !json_is_null(list))
		return cnm_error_set(err, CNM_E_INVALID,
				     "HostConfig.PortBindings: the bindings of %.100s must be an "
				     "array",
				     key);
	if (json_array_size(list) == 0)
		return read_binding(rd, &run, NULL, err);
	json_array_foreach (list, i, v)
		if (r == 0)
			r = read_binding(rd, &run, v, err);
	return r;
}

/* ---- joining bindings */

static bool is_pool(const struct port_want *w)
{
	return w->first == w->last && w->host_first != w->host_last;
}

static int compare_ints(int a, int b)
{
	return (a > b) - (a < b);
}

/* Those that may be one run stand next to each other, in the order of their ports. */
static int compare_kinds(const struct port_binding *a, const struct port_binding *b)
{
	const struct port_want *x = &a->want, *y = &b->want;
	int r = compare_ints(x->proto, y->proto);

	r = r ? r : ip_cmp(&x->host, &y->host);
	r = r ? r : compare_ints(a->zero, b->zero);
	r = r ? r : compare_ints(is_pool(x), is_pool(y));
	r = r ? r : compare_ints(!x->host_first, !y->host_first);
	if (r || !x->host_first)
		return r;
	r = compare_ints(x->host_first - x->first, y->host_first - y->first);
	return r || !is_pool(x) ? r : compare_ints(x->host_last, y->host_last);
}

static int compare_bindings(const void *p, const void *q)
{
	const struct port_binding *a = p, *b = q;
	int r = compare_kinds(a, b);

	r = r ? r : compare_ints(a->want.first, b->want.first);
	return r ? r : compare_ints((int)a->order, (int)b->order);
}

static int compare_orders(const void *p, const void *q)
{
	const struct port_binding *a = p, *b = q;

	return compare_ints((int)a->order, (int)b->order);
}

/* Does it go on where the other ends, or repeat a part of it? */
static bool joins(const struct port_binding *a, const struct port_binding *b)
{
	if (compare_kinds(a, b) != 0)
		return false;
	return is_pool(&a->want) ? a->want.first == b->want.first
				 : b->want.first <= a->want.last + 1;
}

static void join_to(struct port_binding *a, const struct port_binding *b)
{
	if (b->want.last > a->want.last) {
		a->want.last = b->want.last;
		a->want.host_last = b->want.host_last;
	}
	if (b->order < a->order)
		a->order = b->order;
}

static void join_all(struct reader *rd)
{
	size_t n = 0;

	if (rd->n == 0)
		return;
	qsort(rd->v, rd->n, sizeof(*rd->v), compare_bindings);
	for (size_t i = 1; i < rd->n; i++) {
		if (joins(&rd->v[n], &rd->v[i]))
			join_to(&rd->v[n], &rd->v[i]);
		else
			rd->v[++n] = rd->v[i];
	}
	rd->n = n + 1;
	qsort(rd->v, rd->n, sizeof(*rd->v), compare_orders);
}

int port_bindings_read(const json_t *bindings, struct port_binding **ret, size_t *ret_n,
		       struct cnm_error *err)
{
	struct reader rd = { 0 };
	const char *key;
	json_t *list;
	int r = 0;

	json_object_foreach ((json_t *)bindings, key, list) {
		r = read_key(&rd, key, list, err);
		if (r < 0) {
			free(rd.v);
			return r;
		}
	}
	join_all(&rd);
	*ret = rd.v;
	*ret_n = rd.n;
	return 0;
}

/* ---- writing bindings */

static json_t *binding_json(const struct port_binding *b, unsigned host_first, unsigned host_last,
			    json_t *host)
{
	char port[16] = "";

	if (host_first != host_last)
		snprintf(port, sizeof(port), "%u-%u", host_first, host_last);
	else if (host_first || b->zero)
		snprintf(port, sizeof(port), "%u", host_first);
	return json_pack("{s:O s:s}", "HostIp", host, "HostPort", port);
}

/* binding is stolen; it may be NULL. */
static int put_binding(json_t *ret, const char *key, json_t *binding)
{
	json_t *list = json_object_get(ret, key);

	if (list)
		return json_array_append_new(list, binding);
	return json_object_set_new(ret, key, binding ? json_pack("[o]", binding) : NULL);
}

static int write_each(json_t *ret, const struct port_binding *b, json_t *host)
{
	const struct port_want *w = &b->want;
	char key[KEY_STR];
	int r = 0;

	for (unsigned i = 0; r == 0 && i <= w->last - w->first + 0u; i++) {
		unsigned first = w->host_first ? w->host_first + i : 0,
			 last = is_pool(w) ? w->host_last : first;

		r = put_binding(ret, format_key(w->proto, w->first + i, w->first + i, key),
				binding_json(b, first, last, host));
	}
	return r;
}

json_t *port_bindings_write(const struct port_binding *v, size_t n, bool each)
{
	_json_ json_t *ret = json_object();
	char key[KEY_STR], ip[IP_STR];
	int r = ret ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct port_want *w = &v[i].want;
		_json_ json_t *host = json_string(ip_format(&w->host, ip));

		if (each)
			r = write_each(ret, &v[i], host);
		else
			r = put_binding(ret, format_key(w->proto, w->first, w->last, key),
					binding_json(&v[i], w->host_first, w->host_last, host));
	}
	return r < 0 ? NULL : take_ptr(ret);
}

/* ---- sets of ports */

static int compare_runs(const void *p, const void *q)
{
	const struct port_run *a = p, *b = q;
	int r = compare_ints(a->proto, b->proto);

	return r ? r : compare_ints(a->first, b->first);
}

size_t port_runs_join(struct port_run *v, size_t n)
{
	size_t at = 0;

	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), compare_runs);
	for (size_t i = 1; i < n; i++) {
		if (v[i].proto != v[at].proto || v[i].first > v[at].last + 1)
			v[++at] = v[i];
		else if (v[i].last > v[at].last)
			v[at].last = v[i].last;
	}
	return at + 1;
}

int port_set_read(const json_t *set, struct port_run **ret, size_t *ret_n, struct cnm_error *err)
{
	_free_ struct port_run *v = calloc(json_object_size(set) + 1, sizeof(*v));
	const char *key;
	json_t *ignored;
	size_t n = 0;

	if (!v)
		return no_memory(err);
	json_object_foreach ((json_t *)set, key, ignored) {
		int r = parse_key(key, &v[n++], err);

		if (r < 0)
			return r;
	}
	*ret_n = port_runs_join(v, n);
	*ret = take_ptr(v);
	return 0;
}

json_t *port_set_write(const struct port_run *v, size_t n, bool each)
{
	_json_ json_t *ret = json_object(), *nothing = json_object();
	char key[KEY_STR];
	int r = ret && nothing ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		unsigned step = each ? 1 : v[i].last - v[i].first + 1u;

		for (unsigned first = v[i].first; r == 0 && first <= v[i].last; first += step)
			r = json_object_set(
				ret, format_key(v[i].proto, first, first + step - 1, key), nothing);
	}
	return r < 0 ? NULL : take_ptr(ret);
}

/* Is all of a before b? */
static bool is_before(const struct port_run *a, const struct port_run *b)
{
	return a->proto != b->proto ? a->proto < b->proto : a->last < b->first;
}

size_t port_runs_without(const struct port_run *a, size_t n_a, const struct port_run *b, size_t n_b,
			 struct port_run *ret)
{
	size_t n = 0, at = 0;

	for (size_t i = 0; i < n_a; i++) {
		struct port_run rest = a[i];
		bool gone = false;

		while (at < n_b && is_before(&b[at], &rest))
			at++;
		for (; !gone && at < n_b && !is_before(&rest, &b[at]); at += !gone) {
			if (b[at].first > rest.first)
				ret[n++] = (struct port_run){ rest.proto, rest.first,
							      (uint16_t)(b[at].first - 1) };
			gone = b[at].last >= rest.last;
			rest.first = (uint16_t)(b[at].last + 1);
		}
		if (!gone)
			ret[n++] = rest;
	}
	return n;
}

/* ---- as Docker shows it */

json_t *port_bindings_show(const json_t *kept)
{
	_free_ struct port_binding *v = NULL;
	size_t n = 0;

	if (port_bindings_read(kept, &v, &n, NULL) < 0)
		return NULL;
	return port_bindings_write(v, n, true);
}

json_t *port_set_show(const json_t *kept)
{
	_free_ struct port_run *v = NULL;
	size_t n = 0;

	if (port_set_read(kept, &v, &n, NULL) < 0)
		return NULL;
	return port_set_write(v, n, true);
}
