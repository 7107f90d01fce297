/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What dockerd sends to its plugins: JSON of any kind into the adapter's structs, whose every
 * string is then read. The first byte chooses which call it is.
 */
#include <string.h>

#include "adapters/docker_decode.h"
#include "base/json.h"

static volatile size_t seen;

static void see(const char *s)
{
	if (s)
		seen += strlen(s);
}

static void see_kvs(const struct cnm_kv *kvs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		see(kvs[i].key);
		see(kvs[i].value);
	}
}

static void see_network(const struct docker_network *d)
{
	see(d->id);
	see_kvs(d->options, d->n_options);
	for (size_t i = 0; i < d->n_pools; i++) {
		see(d->pools[i].subnet);
		see(d->pools[i].gateway);
		see_kvs(d->pools[i].aux, d->pools[i].n_aux);
	}
}

static void see_ports(const struct cnm_publish *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		see(p[i].protocol);
		see(p[i].host_ip);
		seen += p[i].first + p[i].last + p[i].host_first + p[i].host_last;
	}
}

static void decode(unsigned char what, json_t *body, struct api_memory *memory,
		   struct cnm_error *err)
{
	const struct cnm_publish *ports = NULL;
	struct docker_network network;
	struct docker_endpoint endpoint;
	struct docker_address address;
	struct docker_pool pool;
	struct cnm_prefix subnet;
	const char *id = NULL;
	size_t n = 0;

	switch (what % 8) {
	case 0:
		if (docker_decode_network(memory, body, &network, err) == 0)
			see_network(&network);
		break;
	case 1:
		docker_decode_network_id(body, &id, err);
		break;
	case 2:
		if (docker_decode_endpoint(body, &endpoint, err) == 0) {
			see(endpoint.network);
			see(endpoint.id);
		}
		break;
	case 3:
		docker_decode_endpoint_id(body, &id, err);
		break;
	case 4:
		if (docker_decode_ports(memory, body, &ports, &n, err) == 0)
			see_ports(ports, n);
		break;
	case 5:
		if (docker_decode_pool(body, &pool, err) == 0)
			see(pool.network);
		break;
	case 6:
		docker_decode_pool_id(body, &subnet, err);
		break;
	case 7:
		if (docker_decode_address(body, &address, err) == 0)
			seen += ip_bits(&address.ip);
		break;
	}
	see(id);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct api_memory memory = { 0 };
	struct cnm_error err = { 0 };
	_json_ json_t *body = NULL;

	if (size == 0 || api_parse(&body, (const char *)data + 1, size - 1, &err) < 0)
		return 0;
	decode(data[0], body, &memory, &err);
	see(err.text);
	api_memory_free(&memory);
	return 0;
}
