/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "controller/counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/ports.h"

static void find_link(const struct cnm_engine *e, const struct network *n, struct counters *c)
{
	struct plan p = { 0 };

	plan_network(e, n, &p);
	for (size_t i = 0; i < p.n; i++)
		if (p.items[i].kind == PLAN_LINK)
			memcpy(c->link, p.items[i].link.name, IFNAMSIZ);
	plan_free(&p);
}

static void collect_port(const struct sandbox *sb, const struct port *port, unsigned f,
			 struct counters *c)
{
	size_t *first = reallocarray(c->first, c->n + 1, sizeof(*first));
	json_t *o = inspect_port(port, f);

	json_put(o, "Sandbox", json_string(sb->name));
	if (!first || json_push(c->ports, o) < 0) {
		c->failed = true;
		c->first = first ? first : c->first;
		return;
	}
	c->first = first;
	c->first[c->n++] = c->elems.n;
	plan_port(sb, port, f, &c->elems);
}

void counters_collect(const struct cnm_engine *e, const struct network *n, struct counters *c)
{
	static const int families[] = { AF_INET, AF_INET6 };
	const struct endpoint *ep;

	find_link(e, n, c);
	c->ports = json_array();
	list_for_each (ep, &n->endpoints, in_network) {
		const struct sandbox *sb = ep->sandbox;

		for (unsigned i = 0; sb && i < sb->n_ports; i++)
			for (unsigned f = 0; f < 2; f++)
				if (port_is_bound_in(&sb->ports[i], f) &&
				    (sandbox_gateway(sb, families[f]) == ep ||
				     (sb->ports[i].by[f].way == PORT_PROXY &&
				      sandbox_gateway(sb, AF_INET) == ep)))
					collect_port(sb, &sb->ports[i], f, c);
	}
}

static json_t *link_json(const struct link_counters *l)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "RxPackets", (json_int_t)l->rx_packets,
			 "RxBytes", (json_int_t)l->rx_bytes, "RxDropped", (json_int_t)l->rx_dropped,
			 "TxPackets", (json_int_t)l->tx_packets, "TxBytes", (json_int_t)l->tx_bytes,
			 "TxDropped", (json_int_t)l->tx_dropped);
}

static void put_connections(struct counters *c, const uint64_t *counts)
{
	for (size_t i = 0; i < c->n; i++) {
		size_t end = i + 1 < c->n ? c->first[i + 1] : c->elems.n;
		uint64_t sum = 0;

		for (size_t k = c->first[i]; k < end; k++)
			sum += counts[k];
		json_put(json_array_get(c->ports, i), "Connections", json_integer((json_int_t)sum));
	}
}

int counters_read(struct cnm_engine *e, struct counters *c, json_t *o, struct cnm_error *err)
{
	_free_ uint64_t *counts = calloc(c->elems.n + 1, sizeof(*counts));
	struct link_counters link;
	int r = plan_check(&c->elems, err);

	if (r == 0 && (!counts || c->failed || !c->ports))
		r = cnm_error_errno(err, ENOMEM, "counters");
	if (r == 0 && c->elems.n)
		r = applier_count(e->applier, &c->elems, counts, err);
	if (r < 0)
		return r;
	put_connections(c, counts);
	json_put(o, "Ports", json_incref(c->ports));
	r = c->link[0] ? applier_link_counters(e->applier, c->link, &link, err) : -ENODEV;
	if (r == 0)
		json_put(o, "Counters", link_json(&link));
	return r == -ENODEV ? 0 : r;
}

void counters_free(struct counters *c)
{
	plan_free(&c->elems);
	json_decref(c->ports);
	free(c->first);
}
