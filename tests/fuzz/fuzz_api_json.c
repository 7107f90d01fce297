/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bodies of requests: JSON of any kind into the library's structs, whose every string is then read.
 * The first byte chooses what the body is.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_decode.h"
#include "api/api_filter.h"
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

static void see_texts(const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		see(texts[i]);
}

static void see_endpoint(const struct cnm_endpoint_config *c)
{
	see(c->name);
	see(c->ipv4);
	see(c->ipv6);
	see(c->mac);
	see_texts(c->link_local, c->n_link_local);
	see_texts(c->aliases, c->n_aliases);
	see_kvs(c->driver_opts, c->n_driver_opts);
	see_kvs(c->links, c->n_links);
}

static void see_network(const struct cnm_network_config *c)
{
	see(c->name);
	see(c->driver);
	see(c->scope);
	see(c->config_from);
	see(c->ipam_driver);
	see_kvs(c->ipam_options, c->n_ipam_options);
	see_kvs(c->options, c->n_options);
	see_kvs(c->labels, c->n_labels);
	for (size_t i = 0; i < c->n_pools; i++) {
		see(c->pools[i].subnet);
		see(c->pools[i].ip_range);
		see(c->pools[i].gateway);
		see_kvs(c->pools[i].aux, c->pools[i].n_aux);
	}
}

static void see_sandbox(const struct cnm_sandbox_config *c)
{
	see(c->name);
	see(c->hostname);
	see(c->netns);
	see_kvs(c->labels, c->n_labels);
	for (size_t i = 0; i < c->n_networks; i++) {
		see(c->networks[i].network);
		see_endpoint(&c->networks[i].endpoint);
	}
	for (size_t i = 0; i < c->n_publish; i++) {
		see(c->publish[i].protocol);
		see(c->publish[i].host_ip);
		seen += c->publish[i].first + c->publish[i].last + c->publish[i].host_first +
			c->publish[i].host_last;
	}
	for (size_t i = 0; i < c->n_exposed; i++) {
		see(c->exposed[i].protocol);
		seen += c->exposed[i].first + c->exposed[i].last;
	}
}

static void decode(unsigned char what, json_t *body, struct api_memory *memory,
		   struct cnm_error *err)
{
	struct cnm_network_config network;
	struct cnm_endpoint_config endpoint;
	struct cnm_sandbox_config sandbox;
	const char *name = NULL;
	bool force = false;

	switch (what % 6) {
	case 0:
		if (api_decode_network(memory, body, &network, err) == 0)
			see_network(&network);
		break;
	case 1:
		if (api_decode_connect(memory, body, &name, &endpoint, err) == 0)
			see_endpoint(&endpoint);
		break;
	case 2:
		api_decode_disconnect(body, &name, &force, err);
		break;
	case 3:
		if (api_decode_sandbox(memory, body, &sandbox, err) == 0)
			see_sandbox(&sandbox);
		break;
	case 4:
		if (api_decode_reservation(memory, body, &name, &endpoint, err) == 0)
			see_endpoint(&endpoint);
		break;
	case 5:
		api_decode_join(body, &name, err);
		break;
	}
	see(name);
}

/* Filters, and an event that is the same text. */
static void check_filter(const char *text, json_t *event)
{
	struct cnm_error err = { 0 };
	_json_ json_t *filter = NULL;

	if (event_filter_parse(&filter, text, &err) == 0)
		seen += event_filter_matches(filter, event) + (size_t)event_time_ns(event);
	see(err.text);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct api_memory memory = { 0 };
	struct cnm_error err = { 0 };
	_json_ json_t *body = NULL;
	char *text;

	if (size == 0 || api_parse(&body, (const char *)data + 1, size - 1, &err) < 0)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	check_filter(text, body);
	decode(data[0], body, &memory, &err);
	see(err.text);
	api_memory_free(&memory);
	free(text);
	return 0;
}
