/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a plugin answers, to each reader, and the files that say where one is: whatever is taken can
 * go into the model and the kernel.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/str.h"
#include "plugins/plugin_address.h"
#include "plugins/remote_ipam.h"
#include "plugins/remote_network.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static void read_join(const json_t *o)
{
	struct join j, again;
	_json_ json_t *text = NULL;

	if (join_decode(o, &j, NULL) < 0)
		return;
	check(strlen(j.src) < IFNAMSIZ && !strchr(j.src, '/') && strlen(j.prefix) <= IFNAMSIZ - 5);
	for (unsigned f = 0; f < 2; f++)
		check(!ip_is_set(&j.gateway[f]) || j.gateway[f].family == (f ? AF_INET6 : AF_INET));
	for (unsigned i = 0; i < j.n_routes; i++)
		check(!ip_is_set(&j.routes[i].via) ||
		      j.routes[i].via.family == j.routes[i].dst.ip.family);
	/* It is the fact that is kept. */
	text = join_encode(&j);
	check(join_decode(text, &again, NULL) == 0 && again.n_routes == j.n_routes &&
	      streq(again.src, j.src));
}

static void read_endpoint(const json_t *o)
{
	struct remote_endpoint ep = { .addr = { [1] = { { AF_INET6, { 0xfd } }, 64 } } };

	if (remote_endpoint_decode(o, &ep, NULL) < 0)
		return;
	check(!prefix_is_set(&ep.addr[0]) || ep.addr[0].ip.family == AF_INET);
	check(ep.addr[1].ip.b[0] == 0xfd && ep.addr[1].len == 64);
	check(!mac_is_set(&ep.mac) || mac_is_unicast(&ep.mac));
}

static void read_pool(const json_t *o, bool v6)
{
	struct remote_pool pool;

	if (remote_pool_decode(o, v6, &pool, NULL) < 0)
		return;
	check(pool.subnet.ip.family == (v6 ? AF_INET6 : AF_INET) && pool.id);
	check(!ip_is_set(&pool.gateway) || prefix_has(&pool.subnet, &pool.gateway));
	free(pool.id);
}

static void read_answer(int status, const char *s, size_t size)
{
	_json_ json_t *o = NULL;
	struct cnm_error err = { 0 };
	struct cnm_prefix ip;

	if (plugin_answer_decode(status, s, size, &o, &err) < 0) {
		check(err.text[0]);
		return;
	}
	check(json_is_object(o));
	read_join(o);
	read_endpoint(o);
	read_pool(o, false);
	read_pool(o, true);
	check(remote_address_decode(o, &ip, NULL) < 0 || ip.len);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *text = malloc(size + 1);
	struct plugin_address at;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	read_answer(200, text, size);
	read_answer(500, text, size);
	if (plugin_address_from_spec(text, &at, NULL) == 0) {
		check(at.url && (!at.socket || at.socket[0] == '/'));
		plugin_address_free(&at);
	}
	if (plugin_address_from_json(text, &at, NULL) == 0) {
		check(at.url && !at.certfile == !at.keyfile);
		plugin_address_free(&at);
	}
	free(text);
	return 0;
}
