/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "containers/published.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

static int no_memory(struct cnm_error *err)
{
	return cnm_error_errno(err, ENOMEM, "ports of the container");
}

/* ---- for the engine */

static void add_publish(struct published *p, const struct port_want *w)
{
	char *ip = p->ips[p->n_publish];

	p->publish[p->n_publish++] = (struct cnm_publish){ .protocol = port_proto_name(w->proto),
							   .host_ip = ip_format(&w->host, ip),
							   .host_first = w->host_first,
							   .host_last = w->host_last,
							   .first = w->first,
							   .last = w->last };
}

static int make_room(struct published *p, size_t n_publish, size_t n_exposed)
{
	p->publish = calloc(n_publish + 1, sizeof(*p->publish));
	p->ips = calloc(n_publish + 1, sizeof(*p->ips));
	p->exposed = calloc(n_exposed + 1, sizeof(*p->exposed));
	return p->publish && p->ips && p->exposed ? 0 : -ENOMEM;
}

/* The container's ports that are bound, joined, behind `more` places. */
static struct port_run *bound_runs(const struct port_binding *b, size_t n, size_t more,
				   size_t *ret_n)
{
	struct port_run *runs = calloc(n + more + 1, sizeof(*runs));

	for (size_t i = 0; runs && i < n; i++)
		runs[i] = (struct port_run){ b[i].want.proto, b[i].want.first, b[i].want.last };
	*ret_n = runs ? port_runs_join(runs, n) : 0;
	return runs;
}

/* set: what is exposed. */
static int put_all(struct published *p, const struct port_binding *b, size_t n_b,
		   const struct port_run *set, size_t n_set, bool all)
{
	size_t n_bound, n_rest = 0;
	_free_ struct port_run *bound = bound_runs(b, n_b, n_set, &n_bound);
	_free_ struct port_run *rest = calloc(n_set + n_b + 1, sizeof(*rest));

	if (!bound || !rest)
		return -ENOMEM;
	if (all)
		n_rest = port_runs_without(set, n_set, bound, n_bound, rest);
	if (n_set)
		memcpy(bound + n_bound, set, n_set * sizeof(*set));
	n_bound = port_runs_join(bound, n_bound + n_set);
	if (make_room(p, n_b + n_rest, n_bound) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n_b; i++)
		add_publish(p, &b[i].want);
	for (size_t i = 0; i < n_rest; i++)
		add_publish(p, &(struct port_want){ .proto = rest[i].proto,
						    .first = rest[i].first,
						    .last = rest[i].last });
	for (size_t i = 0; i < n_bound; i++)
		p->exposed[p->n_exposed++] =
			(struct cnm_port_range){ port_proto_name(bound[i].proto), bound[i].first,
						 bound[i].last };
	return 0;
}

int published_read(const json_t *config, const json_t *host, struct published *ret,
		   struct cnm_error *err)
{
	struct published p = { 0 };
	_free_ struct port_binding *b = NULL;
	_free_ struct port_run *set = NULL;
	size_t n_b = 0, n_set = 0;
	int r = port_bindings_read(json_object_get(host, "PortBindings"), &b, &n_b, err);

	if (r == 0)
		r = port_set_read(json_object_get(config, "ExposedPorts"), &set, &n_set, err);
	if (r < 0)
		return r;
	if (put_all(&p, b, n_b, set, n_set,
		    json_is_true(json_object_get(host, "PublishAllPorts"))) < 0) {
		published_free(&p);
		return no_memory(err);
	}
	*ret = p;
	return 0;
}

void published_free(struct published *p)
{
	free(p->publish);
	free(p->ips);
	free(p->exposed);
	*p = (struct published){ 0 };
}

/* ---- what a sandbox shows */

static unsigned number(const json_t *o, const char *key)
{
	return (unsigned)json_integer_value(json_object_get(o, key));
}

static const char *protocol(const json_t *o)
{
	const char *s = json_string_value(json_object_get(o, "Protocol"));

	return s ? s : "";
}

static void put_port(json_t *ret, const json_t *port)
{
	unsigned first = number(port, "First"), last = number(port, "Last"),
		 host = number(port, "HostFirst");
	char key[24], text[8];

	for (unsigned i = 0; first + i <= last; i++) {
		json_t *list, *o = json_object();

		snprintf(key, sizeof(key), "%u/%.8s", first + i, protocol(port));
		snprintf(text, sizeof(text), "%u", (host + i) & 0xffff);
		list = json_object_get(ret, key);
		if (!json_is_array(list)) {
			list = json_array();
			json_put(ret, key, list);
		}
		json_put(o, "HostIp", json_incref(json_object_get(port, "HostIp")));
		json_put(o, "HostPort", json_string(text));
		json_push(list, o);
	}
}

json_t *published_inspect(const json_t *sandbox)
{
	json_t *ret = json_object(), *v;
	char key[24];
	size_t i;

	json_array_foreach (json_object_get(sandbox, "Exposed"), i, v)
		for (unsigned port = number(v, "First"); port <= number(v, "Last"); port++) {
			snprintf(key, sizeof(key), "%u/%.8s", port & 0xffff, protocol(v));
			json_put(ret, key, json_null());
		}
	json_array_foreach (json_object_get(sandbox, "Ports"), i, v)
		put_port(ret, v);
	return ret;
}

/* An array of runs, of the container or the host. */
static struct port_run *runs_of(const json_t *list, const char *first, const char *last,
				size_t *ret_n)
{
	struct port_run *runs = calloc(json_array_size(list) + 1, sizeof(*runs));
	size_t i, n = 0;
	json_t *v;

	json_array_foreach (list, i, v) {
		if (!runs || port_proto_parse(protocol(v), &runs[n].proto) < 0)
			continue;
		runs[n].first = (uint16_t)number(v, first);
		runs[n++].last = (uint16_t)number(v, last);
	}
	*ret_n = runs ? port_runs_join(runs, n) : 0;
	return runs;
}

/* Those that are exposed and not published. */
static struct port_run *private_runs(const json_t *sandbox, size_t *ret_n)
{
	const json_t *ports = json_object_get(sandbox, "Ports"),
		     *exposed = json_object_get(sandbox, "Exposed");
	size_t n_a, n_b;
	_free_ struct port_run *a = runs_of(exposed, "First", "Last", &n_a);
	_free_ struct port_run *b = runs_of(ports, "First", "Last", &n_b);
	struct port_run *ret = calloc(n_a + n_b + 1, sizeof(*ret));

	*ret_n = a && b && ret ? port_runs_without(a, n_a, b, n_b, ret) : 0;
	return ret;
}

/* ip NULL: not published. Its strings are shared. */
static void push_ports(json_t *list, json_t *ip, json_t *type, unsigned first, unsigned last,
		       unsigned host)
{
	for (unsigned i = 0; first + i <= last; i++) {
		json_t *o = json_object();

		if (ip)
			json_put(o, "IP", json_incref(ip));
		json_put(o, "PrivatePort", json_integer(first + i));
		if (ip)
			json_put(o, "PublicPort", json_integer(host + i));
		json_put(o, "Type", json_incref(type));
		json_push(list, o);
	}
}

json_t *published_list(const json_t *sandbox)
{
	size_t n, i;
	_free_ struct port_run *rest = private_runs(sandbox, &n);
	json_t *list = json_array(), *v;

	json_array_foreach (json_object_get(sandbox, "Ports"), i, v)
		push_ports(list, json_object_get(v, "HostIp"), json_object_get(v, "Protocol"),
			   number(v, "First"), number(v, "Last"), number(v, "HostFirst"));
	for (i = 0; rest && i < n; i++) {
		_json_ json_t *type = json_string(port_proto_name(rest[i].proto));

		push_ports(list, NULL, type, rest[i].first, rest[i].last, 0);
	}
	return list;
}

/* ---- filters */

static int read_value(const char *text, const char *key, struct port_run *ret,
		      struct cnm_error *err)
{
	size_t n = strcspn(text, "/");
	const char *proto = text[n] ? text + n + 1 : "";

	if (strchr(text, ':'))
		return cnm_error_set(err, CNM_E_INVALID,
				     "filter for '%s' should not contain ':': %s", key, text);
	if (port_range_parse(text, n, &ret->first, &ret->last) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "error while looking up for %s %s: not a port or a range of "
				     "ports",
				     key, text);
	if (port_proto_parse(*proto ? proto : "tcp", &ret->proto) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "error while looking up for %s %s: the protocol is one of "
				     "tcp, udp and sctp",
				     key, text);
	return 0;
}

int published_filter_read(const json_t *values, const char *key, struct port_run **ret,
			  size_t *ret_n, struct cnm_error *err)
{
	_free_ struct port_run *runs = calloc(json_array_size(values) + 1, sizeof(*runs));
	size_t i, n = json_array_size(values);
	json_t *v;

	if (!runs)
		return no_memory(err);
	json_array_foreach ((json_t *)values, i, v) {
		int r = read_value(json_string_value(v), key, &runs[i], err);

		if (r < 0)
			return r;
	}
	*ret_n = n;
	*ret = take_ptr(runs);
	return 0;
}

static bool overlaps(const struct port_run *a, size_t n_a, const struct port_run *b, size_t n_b)
{
	for (size_t i = 0; i < n_a; i++)
		for (size_t j = 0; j < n_b; j++)
			if (a[i].proto == b[j].proto && a[i].first <= b[j].last &&
			    b[j].first <= a[i].last)
				return true;
	return false;
}

bool published_matches(const struct published_filter *f, const json_t *sandbox)
{
	const json_t *ports = json_object_get(sandbox, "Ports"),
		     *exposed = json_object_get(sandbox, "Exposed");
	size_t n_host, n_exposed;
	_free_ struct port_run *host = runs_of(ports, "HostFirst", "HostLast", &n_host);
	_free_ struct port_run *own = runs_of(exposed, "First", "Last", &n_exposed);

	return overlaps(f->publish, f->n_publish, host, n_host) ||
	       overlaps(f->expose, f->n_expose, own, n_exposed);
}
