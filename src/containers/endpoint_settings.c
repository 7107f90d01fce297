/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "containers/endpoint_settings.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "containers/links.h"

static int read_texts(const json_t *o, const char *key, const char *const **ret, size_t *ret_n,
		      struct cnm_error *err)
{
	json_t *array = NULL, *v;
	const char **texts;
	size_t i;
	int r = json_get_array(o, key, &array, err);

	if (r < 0 || json_array_size(array) == 0)
		return r;
	texts = calloc(json_array_size(array), sizeof(*texts));
	if (!texts)
		return cnm_error_errno(err, ENOMEM, "%s", key);
	*ret = texts;
	json_array_foreach (array, i, v) {
		texts[i] = json_string_value(v);
		if (!texts[i])
			return cnm_error_set(err, CNM_E_INVALID, "%s: %zu is not a string", key, i);
	}
	*ret_n = json_array_size(array);
	return 0;
}

static int read_options(const json_t *o, struct cnm_endpoint_config *config, struct cnm_error *err)
{
	json_t *options = NULL, *v;
	struct cnm_kv *kvs;
	const char *key;
	int r = json_get_strings(o, "DriverOpts", &options, err);

	if (r < 0 || json_object_size(options) == 0)
		return r;
	kvs = calloc(json_object_size(options), sizeof(*kvs));
	if (!kvs)
		return cnm_error_errno(err, ENOMEM, "DriverOpts");
	config->driver_opts = kvs;
	json_object_foreach (options, key, v)
		kvs[config->n_driver_opts++] = (struct cnm_kv){ key, json_string_value(v) };
	return 0;
}

/* The array and the names in one piece of memory; the aliases are in the JSON. */
static int read_links(const json_t *o, struct cnm_endpoint_config *config, struct cnm_error *err)
{
	json_t *array = NULL, *v;
	const char *name, *alias;
	size_t i, n, room = 0;
	struct cnm_kv *kvs;
	char *text;
	int r = json_get_array(o, "Links", &array, err);

	if (r < 0 || json_array_size(array) == 0)
		return r;
	json_array_foreach (array, i, v)
		room += sizeof(*kvs) + json_string_length(v) + 1;
	kvs = calloc(1, room + 1);
	if (!kvs)
		return cnm_error_errno(err, ENOMEM, "Links");
	config->links = kvs;
	text = (char *)(kvs + json_array_size(array));
	json_array_foreach (array, i, v) {
		if (!json_is_string(v))
			return cnm_error_set(err, CNM_E_INVALID, "Links: %zu is not a string", i);
		r = link_parse(json_string_value(v), &name, &n, &alias, err);
		if (r < 0)
			return r;
		kvs[config->n_links++] = (struct cnm_kv){ text, alias };
		memcpy(text, name, n);
		text += n + 1;
	}
	return 0;
}

int endpoint_settings_read(const json_t *settings, struct cnm_endpoint_config *ret,
			   struct cnm_error *err)
{
	struct cnm_endpoint_config config = { 0 };
	json_t *ipam = NULL;
	int64_t priority = 0;
	int r = 0;

	if (json_is_null(settings))
		settings = NULL;
	if (settings &&
	    ((r = json_get_object(settings, "IPAMConfig", &ipam, err)) < 0 ||
	     (r = json_get_string(ipam, "IPv4Address", &config.ipv4, err)) < 0 ||
	     (r = json_get_string(ipam, "IPv6Address", &config.ipv6, err)) < 0 ||
	     (r = read_texts(ipam, "LinkLocalIPs", &config.link_local, &config.n_link_local, err)) <
		     0 ||
	     (r = read_texts(settings, "Aliases", &config.aliases, &config.n_aliases, err)) < 0 ||
	     (r = read_links(settings, &config, err)) < 0 ||
	     (r = json_get_string(settings, "MacAddress", &config.mac, err)) < 0 ||
	     (r = read_options(settings, &config, err)) < 0 ||
	     (r = json_get_int(settings, "GwPriority", &priority, err)) < 0)) {
		endpoint_settings_free(&config);
		return r;
	}
	config.gw_priority = priority < INT_MIN ? INT_MIN : priority > INT_MAX ? INT_MAX : priority;
	*ret = config;
	return 0;
}

void endpoint_settings_free(struct cnm_endpoint_config *config)
{
	free((void *)config->link_local);
	free((void *)config->aliases);
	free((void *)config->driver_opts);
	free((void *)config->links);
}

static void put_text(json_t *o, const char *key, const char *text)
{
	if (text && *text)
		json_put(o, key, json_string(text));
}

static void put_texts(json_t *o, const char *key, const char *const *texts, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_push(array, json_string(texts[i]));
	json_put(o, key, array);
}

static void put_links(json_t *o, const struct cnm_kv *links, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_push(array, json_sprintf("%s:%s", links[i].key, links[i].value));
	json_put(o, "Links", array);
}

json_t *endpoint_settings_write(const struct cnm_endpoint_config *config)
{
	json_t *o = json_object(), *ipam = json_object(), *options = json_object();

	put_text(ipam, "IPv4Address", config->ipv4);
	put_text(ipam, "IPv6Address", config->ipv6);
	if (config->n_link_local)
		put_texts(ipam, "LinkLocalIPs", config->link_local, config->n_link_local);
	for (size_t i = 0; i < config->n_driver_opts; i++)
		put_text(options, config->driver_opts[i].key, config->driver_opts[i].value);
	json_put(o, "IPAMConfig", ipam);
	put_texts(o, "Aliases", config->aliases, config->n_aliases);
	if (config->n_links)
		put_links(o, config->links, config->n_links);
	put_text(o, "MacAddress", config->mac);
	json_put(o, "DriverOpts", options);
	json_put(o, "GwPriority", json_integer(config->gw_priority));
	return o;
}
