/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of ports, see ports.h for what they look like. A row that no encoder writes is refused. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "model/ports_internal.h"

static const char *const way_names[] = { "none", "nat", "proxy", "open" };
_Static_assert(sizeof(way_names) / sizeof(*way_names) == PORT_OPEN + 1, "one a way");

/* array itself, or NULL and array is gone, when it has not all n elements for want of memory. */
static json_t *complete(json_t *array, size_t n)
{
	if (array && json_array_size(array) == n)
		return array;
	json_decref(array);
	return NULL;
}

json_t *port_wants_encode(const struct port_want *w, unsigned n)
{
	json_t *a = json_array();
	char ip[IP_STR];

	for (unsigned i = 0; i < n; i++)
		json_push(a, json_pack("[ssiiii]", port_proto_name(w[i].proto),
				       ip_format(&w[i].host, ip), w[i].first, w[i].last,
				       w[i].host_first, w[i].host_last));
	return complete(a, n);
}

json_t *port_runs_encode(const struct port_run *r, unsigned n)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < n; i++)
		json_push(a,
			  json_pack("[sii]", port_proto_name(r[i].proto), r[i].first, r[i].last));
	return complete(a, n);
}

json_t *ports_encode(const struct port *p, unsigned n)
{
	json_t *a = json_array();
	char ip4[IP_STR], ip6[IP_STR];

	for (unsigned i = 0; i < n; i++)
		json_push(a, json_pack("[siiissss]", port_proto_name(p[i].proto), p[i].first,
				       p[i].last, p[i].host_first, way_names[p[i].by[0].way],
				       ip_format(&p[i].by[0].host, ip4), way_names[p[i].by[1].way],
				       ip_format(&p[i].by[1].host, ip6)));
	return complete(a, n);
}

/* ---- decoding */

/* A port; 0 where that is allowed. */
static int get_port(const json_t *row, size_t i, bool zero, uint16_t *ret)
{
	const json_t *v = json_array_get(row, i);
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < (zero ? 0 : 1) || n > 65535)
		return -EINVAL;
	*ret = (uint16_t)n;
	return 0;
}

static int get_proto(const json_t *row, size_t i, uint8_t *ret)
{
	const char *s = json_string_value(json_array_get(row, i));

	if (!s || port_proto_parse(s, ret) < 0 || !streq(s, port_proto_name(*ret)))
		return -EINVAL;
	return 0;
}

/* "" is none. */
static int get_host(const json_t *row, size_t i, struct cnm_ip *ret)
{
	const char *s = json_string_value(json_array_get(row, i));

	if (!s)
		return -EINVAL;
	return s[0] ? ip_parse(ret, s) : 0;
}

static int get_way(const json_t *row, size_t i, enum port_way *ret)
{
	const char *s = json_string_value(json_array_get(row, i));

	for (unsigned way = PORT_NONE; s && way <= PORT_OPEN; way++) {
		if (streq(s, way_names[way])) {
			*ret = (enum port_way)way;
			return 0;
		}
	}
	return -EINVAL;
}

/* How many rows there are; a may be NULL: none. */
static int count(const json_t *a, size_t *ret)
{
	if (a && !json_is_array(a))
		return -EINVAL;
	*ret = json_array_size(a);
	return 0;
}

static int decode_want(const json_t *row, struct port_want *w)
{
	if (json_array_size(row) != 6 || get_proto(row, 0, &w->proto) < 0 ||
	    get_host(row, 1, &w->host) < 0 || get_port(row, 2, false, &w->first) < 0 ||
	    get_port(row, 3, false, &w->last) < 0 || get_port(row, 4, true, &w->host_first) < 0 ||
	    get_port(row, 5, true, &w->host_last) < 0 || want_mistake(w))
		return -EINVAL;
	return 0;
}

int port_wants_decode(const json_t *a, struct port_want **ret, unsigned *ret_n)
{
	_free_ struct port_want *w = NULL;
	size_t n;
	int r = count(a, &n);

	if (r == 0 && n > 0 && !(w = calloc(n, sizeof(*w))))
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = decode_want(json_array_get(a, i), &w[i]);
	if (r < 0)
		return r;
	*ret = take_ptr(w);
	*ret_n = (unsigned)n;
	return 0;
}

static int decode_run(const json_t *row, struct port_run *p)
{
	if (json_array_size(row) != 3 || get_proto(row, 0, &p->proto) < 0 ||
	    get_port(row, 1, false, &p->first) < 0 || get_port(row, 2, false, &p->last) < 0 ||
	    p->first > p->last)
		return -EINVAL;
	return 0;
}

int port_runs_decode(const json_t *a, struct port_run **ret, unsigned *ret_n)
{
	_free_ struct port_run *p = NULL;
	size_t n;
	int r = count(a, &n);

	if (r == 0 && n > 0 && !(p = calloc(n, sizeof(*p))))
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = decode_run(json_array_get(a, i), &p[i]);
	if (r < 0)
		return r;
	*ret = take_ptr(p);
	*ret_n = (unsigned)n;
	return 0;
}

/* An address of that family where the host has the port, and else none. */
static bool has_its_host(const struct port *p, unsigned f)
{
	const struct cnm_ip *host = &p->by[f].host;

	if (!port_is_bound_in(p, f))
		return !ip_is_set(host);
	return host->family == (f ? AF_INET6 : AF_INET);
}

static bool is_whole(const struct port *p)
{
	if (p->first > p->last || p->host_first + (p->last - p->first) > 65535)
		return false;
	if (p->by[0].way == PORT_NONE && p->by[1].way == PORT_NONE)
		return false;
	if (!port_is_bound(p) && p->host_first != p->first)
		return false;
	return has_its_host(p, 0) && has_its_host(p, 1);
}

static int decode_port(const json_t *row, struct port *p)
{
	if (json_array_size(row) != 8 || get_proto(row, 0, &p->proto) < 0 ||
	    get_port(row, 1, false, &p->first) < 0 || get_port(row, 2, false, &p->last) < 0 ||
	    get_port(row, 3, false, &p->host_first) < 0 || get_way(row, 4, &p->by[0].way) < 0 ||
	    get_host(row, 5, &p->by[0].host) < 0 || get_way(row, 6, &p->by[1].way) < 0 ||
	    get_host(row, 7, &p->by[1].host) < 0 || !is_whole(p))
		return -EINVAL;
	return 0;
}

int ports_decode(const json_t *a, const struct sandbox *sb, struct port **ret, unsigned *ret_n)
{
	_free_ struct port *p = NULL;
	size_t n;
	int r = count(a, &n);

	if (r == 0 && n > 0 && !(p = calloc(n, sizeof(*p))))
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		p[i].sandbox = sb;
		r = decode_port(json_array_get(a, i), &p[i]);
	}
	if (r < 0)
		return r;
	*ret = take_ptr(p);
	*ret_n = (unsigned)n;
	return 0;
}
