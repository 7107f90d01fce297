/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of the cluster's store: a network, and behind a NUL an endpoint of it on another host.
 * What is taken can be planned, and says nothing that the kernel would not take.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "controller/cluster.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct driver_env env = {
	.instance = "cnm", .mtu = 1500, .host_ipv6 = true, .vtep = { AF_INET, { 192, 0, 2, 1 } }
};

static json_t *value_of(const char *s, size_t n)
{
	json_t *v = json_loadb(s, n, JSON_DECODE_ANY, NULL);

	return v ? v : json_null();
}

static void plan_all(const struct network *n, const struct endpoint *ep)
{
	struct plan p = { 0 };
	struct strbuf text = { 0 };

	n->driver->network_plan(n, &env, &p);
	if (ep) {
		n->driver->endpoint_plan(ep, &env, &p);
		n->driver->host_plan(n, &ep->vtep, &env, &p);
	}
	for (size_t i = 0; i < p.n; i++) {
		const struct plan_item *item = &p.items[i];

		if (item->kind == PLAN_LINK && item->link.type == PLAN_VXLAN &&
		    (!item->link.vxlan_id || item->link.vxlan_id >> 24 || !item->link.port))
			abort();
		if (item->kind == PLAN_FDB && mac_is_set(&item->fdb.mac) &&
		    !mac_is_unicast(&item->fdb.mac))
			abort();
		plan_item_key(item, &text);
		plan_item_attrs(item, &text);
	}
	strbuf_free(&text);
	plan_free(&p);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const char *s = (const char *)data;
	size_t first = strnlen(s, size);
	_json_ json_t *network = value_of(s, first), *endpoint = NULL;
	struct cnm_error err = { 0 };
	struct network *n;
	struct endpoint *ep = NULL;

	if (cluster_network_decode(ID, network, &env, &n, &err) < 0)
		return 0;
	if (first < size)
		endpoint = value_of(s + first + 1, size - first - 1);
	if (endpoint && cluster_peer_decode(ID, n, endpoint, &env, &ep, &err) < 0)
		ep = NULL;
	plan_all(n, ep);
	endpoint_free(ep);
	network_free(n);
	return 0;
}
