/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See api_decode.h. */
#include "api/api_decode.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/links.h"

#define MAX_DEPTH 32

/* -------------------------------------------------------------------------------------- memory */

struct api_block {
	struct api_block *next;
	max_align_t data[];
};

void *api_memory_get(struct api_memory *memory, size_t n, size_t size)
{
	struct api_block *b;

	if (n && size > (SIZE_MAX - sizeof(*b)) / n)
		return NULL;
	b = calloc(1, sizeof(*b) + n * size);
	if (!b)
		return NULL;
	b->next = memory->blocks;
	memory->blocks = b;
	return b->data;
}

void api_memory_free(struct api_memory *memory)
{
	while (memory->blocks) {
		struct api_block *b = memory->blocks;

		memory->blocks = b->next;
		free(b);
	}
}

static int no_memory(struct cnm_error *err)
{
	return cnm_error_errno(err, ENOMEM, "decode the request");
}

/* -------------------------------------------------------------------------------------- parsing */

/* The deepest nesting of brackets outside strings. */
static unsigned nesting(const char *s, size_t n)
{
	unsigned depth = 0, deepest = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				in_string = false;
		} else if (s[i] == '"') {
			in_string = true;
		} else if (s[i] == '{' || s[i] == '[') {
			if (++depth > deepest)
				deepest = depth;
		} else if ((s[i] == '}' || s[i] == ']') && depth) {
			depth--;
		}
	}
	return deepest;
}

int api_parse(json_t **ret, const char *text, size_t n, struct cnm_error *err)
{
	json_error_t why;
	size_t end;
	json_t *j;

	if (nesting(text, n) > MAX_DEPTH)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid JSON: nested deeper than %d levels", MAX_DEPTH);
	errno = 0;
	j = json_loadb(text, n, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &why);
	if (!j && errno == ENOMEM) /* it would call that a mistake in the text */
		return no_memory(err);
	if (!j)
		return cnm_error_set(err, CNM_E_INVALID, "invalid JSON: %s (line %d, column %d)",
				     why.text, why.line, why.column);
	for (end = (size_t)why.position; end < n && strchr(" \t\r\n", text[end]); end++)
		;
	if (end < n) {
		json_decref(j);
		return cnm_error_set(err, CNM_E_INVALID, "unexpected content after JSON");
	}
	*ret = j;
	return 0;
}

/* ------------------------------------------------------------------------------------- members */

static const char *known_name(const char *const *names, const char *key)
{
	for (; *names; names++)
		if (strcasecmp(*names, key) == 0)
			return *names;
	return NULL;
}

/* A member of obj whose name is a known one in another case. */
static const char *misspelt(json_t *obj, const char *const *names)
{
	const char *key, *name;
	json_t *value;

	json_object_foreach (obj, key, value) {
		name = known_name(names, key);
		if (name && !streq(name, key))
			return key;
	}
	return NULL;
}

/* Give each member whose name is known the spelling it has in names. */
static int fold_names(json_t *obj, const char *const *names, struct cnm_error *err)
{
	const char *key;

	while ((key = misspelt(obj, names))) {
		if (json_object_set(obj, known_name(names, key), json_object_get(obj, key)) < 0)
			return no_memory(err);
		json_object_del(obj, key);
	}
	return 0;
}

/* As Docker reads a body: null is an object without members. *ret is borrowed, NULL for null. */
static int expect_object(json_t *j, const char *what, const char *const *names, json_t **ret,
			 struct cnm_error *err)
{
	*ret = NULL;
	if (!j || json_is_null(j))
		return 0;
	if (!json_is_object(j))
		return cnm_error_set(err, CNM_E_INVALID, "invalid JSON: %s must be an object",
				     what);
	*ret = j;
	return fold_names(j, names, err);
}

/* An object of strings as an array. */
static int get_kvs(struct api_memory *memory, json_t *obj, const char *key,
		   const struct cnm_kv **ret, size_t *ret_n, struct cnm_error *err)
{
	json_t *map = NULL, *v;
	struct cnm_kv *kvs;
	const char *k;
	size_t n = 0;
	int r;

	r = json_get_strings(obj, key, &map, err);
	if (r < 0 || !map)
		return r;
	kvs = api_memory_get(memory, json_object_size(map), sizeof(*kvs));
	if (!kvs)
		return no_memory(err);
	json_object_foreach (map, k, v)
		kvs[n++] = (struct cnm_kv){ .key = k, .value = json_string_value(v) };
	*ret = kvs;
	*ret_n = n;
	return 0;
}

static int get_texts(struct api_memory *memory, json_t *obj, const char *key,
		     const char *const **ret, size_t *ret_n, struct cnm_error *err)
{
	json_t *list = NULL, *v;
	const char **texts;
	size_t i;
	int r;

	r = json_get_array(obj, key, &list, err);
	if (r < 0 || !list)
		return r;
	texts = api_memory_get(memory, json_array_size(list), sizeof(*texts));
	if (!texts)
		return no_memory(err);
	json_array_foreach (list, i, v) {
		if (!json_is_string(v))
			return cnm_error_set(err, CNM_E_INVALID,
					     "field \"%s[%zu]\" must be a string", key, i);
		texts[i] = json_string_value(v);
	}
	*ret = texts;
	*ret_n = json_array_size(list);
	return 0;
}

static int get_tristate(json_t *obj, const char *key, enum cnm_tristate *ret, struct cnm_error *err)
{
	const json_t *v = json_object_get(obj, key);
	bool on = false;
	int r;

	if (!v || json_is_null(v))
		return 0;
	r = json_get_bool(obj, key, &on, err);
	if (r == 0)
		*ret = on ? CNM_YES : CNM_NO;
	return r;
}

/* ------------------------------------------------------------------------------------- networks */

static int decode_pool(struct api_memory *memory, json_t *j, struct cnm_pool_config *ret,
		       struct cnm_error *err)
{
	static const char *const names[] = { "Subnet", "IPRange", "Gateway", "AuxiliaryAddresses",
					     NULL };
	json_t *obj;
	int r;

	r = expect_object(j, "an element of IPAM.Config", names, &obj, err);
	if (r == 0)
		r = json_get_string(obj, "Subnet", &ret->subnet, err);
	if (r == 0)
		r = json_get_string(obj, "IPRange", &ret->ip_range, err);
	if (r == 0)
		r = json_get_string(obj, "Gateway", &ret->gateway, err);
	if (r == 0)
		r = get_kvs(memory, obj, "AuxiliaryAddresses", &ret->aux, &ret->n_aux, err);
	return r;
}

static int decode_pools(struct api_memory *memory, json_t *ipam, struct cnm_network_config *ret,
			struct cnm_error *err)
{
	struct cnm_pool_config *pools;
	json_t *list = NULL, *v;
	size_t i;
	int r;

	r = json_get_array(ipam, "Config", &list, err);
	if (r < 0 || !list)
		return r;
	pools = api_memory_get(memory, json_array_size(list), sizeof(*pools));
	if (!pools)
		return no_memory(err);
	json_array_foreach (list, i, v) {
		r = decode_pool(memory, v, &pools[i], err);
		if (r < 0)
			return r;
	}
	ret->pools = pools;
	ret->n_pools = json_array_size(list);
	return 0;
}

static int decode_ipam(struct api_memory *memory, json_t *body, struct cnm_network_config *ret,
		       struct cnm_error *err)
{
	static const char *const names[] = { "Driver", "Options", "Config", NULL };
	json_t *ipam;
	int r;

	r = expect_object(json_object_get(body, "IPAM"), "IPAM", names, &ipam, err);
	if (r == 0)
		r = json_get_string(ipam, "Driver", &ret->ipam_driver, err);
	if (r == 0)
		r = get_kvs(memory, ipam, "Options", &ret->ipam_options, &ret->n_ipam_options, err);
	if (r == 0)
		r = decode_pools(memory, ipam, ret, err);
	return r;
}

static int decode_flags(json_t *body, struct cnm_network_config *ret, struct cnm_error *err)
{
	int r;

	r = get_tristate(body, "EnableIPv4", &ret->ipv4, err);
	if (r == 0)
		r = get_tristate(body, "EnableIPv6", &ret->ipv6, err);
	if (r == 0)
		r = json_get_bool(body, "Internal", &ret->internal, err);
	if (r == 0)
		r = json_get_bool(body, "Attachable", &ret->attachable, err);
	if (r == 0)
		r = json_get_bool(body, "Ingress", &ret->ingress, err);
	if (r == 0)
		r = json_get_bool(body, "ConfigOnly", &ret->config_only, err);
	return r;
}

static int decode_config_from(json_t *body, struct cnm_network_config *ret, struct cnm_error *err)
{
	static const char *const names[] = { "Network", NULL };
	json_t *from;
	int r;

	r = expect_object(json_object_get(body, "ConfigFrom"), "ConfigFrom", names, &from, err);
	return r < 0 ? r : json_get_string(from, "Network", &ret->config_from, err);
}

int api_decode_network(struct api_memory *memory, json_t *body, struct cnm_network_config *ret,
		       struct cnm_error *err)
{
	/* CheckDuplicate: names are always unique. */
	static const char *const names[] = { "Name",       "Driver",         "Scope",
					     "EnableIPv4", "EnableIPv6",     "IPAM",
					     "Internal",   "Attachable",     "Ingress",
					     "ConfigOnly", "ConfigFrom",     "Options",
					     "Labels",     "CheckDuplicate", NULL };
	struct cnm_network_config config = { .name = "" };
	bool check_duplicate;
	json_t *obj;
	int r;

	r = expect_object(body, "the body", names, &obj, err);
	if (r == 0)
		r = json_get_string(obj, "Name", &config.name, err);
	if (r == 0)
		r = json_get_string(obj, "Driver", &config.driver, err);
	if (r == 0)
		r = json_get_string(obj, "Scope", &config.scope, err);
	if (r == 0)
		r = json_get_bool(obj, "CheckDuplicate", &check_duplicate, err);
	if (r == 0)
		r = decode_flags(obj, &config, err);
	if (r == 0)
		r = decode_config_from(obj, &config, err);
	if (r == 0)
		r = decode_ipam(memory, obj, &config, err);
	if (r == 0)
		r = get_kvs(memory, obj, "Options", &config.options, &config.n_options, err);
	if (r == 0)
		r = get_kvs(memory, obj, "Labels", &config.labels, &config.n_labels, err);
	if (r == 0)
		*ret = config;
	return r;
}

/* ------------------------------------------------------------------------------------ endpoints */

static int decode_addresses(struct api_memory *memory, json_t *settings,
			    struct cnm_endpoint_config *ret, struct cnm_error *err)
{
	static const char *const names[] = { "IPv4Address", "IPv6Address", "LinkLocalIPs", NULL };
	json_t *ipam;
	int r;

	r = expect_object(json_object_get(settings, "IPAMConfig"), "IPAMConfig", names, &ipam, err);
	if (r == 0)
		r = json_get_string(ipam, "IPv4Address", &ret->ipv4, err);
	if (r == 0)
		r = json_get_string(ipam, "IPv6Address", &ret->ipv6, err);
	if (r == 0)
		r = get_texts(memory, ipam, "LinkLocalIPs", &ret->link_local, &ret->n_link_local,
			      err);
	return r;
}

static int decode_link(struct api_memory *memory, const char *text, struct cnm_kv *ret,
		       struct cnm_error *err)
{
	const char *name, *alias;
	char *copy;
	size_t n;
	int r = link_parse(text, &name, &n, &alias, err);

	if (r < 0)
		return r;
	copy = api_memory_get(memory, n + 1, 1);
	if (!copy)
		return no_memory(err);
	memcpy(copy, name, n);
	*ret = (struct cnm_kv){ .key = copy, .value = alias };
	return 0;
}

static int decode_links(struct api_memory *memory, json_t *settings,
			struct cnm_endpoint_config *ret, struct cnm_error *err)
{
	const char *const *texts = NULL;
	struct cnm_kv *links;
	size_t n = 0;
	int r = get_texts(memory, settings, "Links", &texts, &n, err);

	if (r < 0 || n == 0)
		return r;
	links = api_memory_get(memory, n, sizeof(*links));
	if (!links)
		return no_memory(err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = decode_link(memory, texts[i], &links[i], err);
	ret->links = links;
	ret->n_links = n;
	return r;
}

static int decode_priority(json_t *settings, struct cnm_endpoint_config *ret, struct cnm_error *err)
{
	int64_t priority = 0;
	int r;

	r = json_get_int(settings, "GwPriority", &priority, err);
	if (r == 0 && (priority < INT_MIN || priority > INT_MAX))
		r = cnm_error_set(err, CNM_E_INVALID, "GwPriority %lld is out of range",
				  (long long)priority);
	if (r == 0)
		ret->gw_priority = (int)priority;
	return r;
}

/* What an inspect shows of an endpoint (NetworkID, IPAddress, ...) comes back from clients that
 * send settings they have read; it says nothing, as with Docker. */
int api_decode_endpoint(struct api_memory *memory, json_t *settings,
			struct cnm_endpoint_config *ret, struct cnm_error *err)
{
	static const char *const names[] = { "IPAMConfig", "Links",      "Aliases", "MacAddress",
					     "DriverOpts", "GwPriority", NULL };
	struct cnm_endpoint_config config = { .name = NULL };
	json_t *obj;
	int r;

	r = expect_object(settings, "EndpointConfig", names, &obj, err);
	if (r == 0)
		r = decode_links(memory, obj, &config, err);
	if (r == 0)
		r = decode_addresses(memory, obj, &config, err);
	if (r == 0)
		r = get_texts(memory, obj, "Aliases", &config.aliases, &config.n_aliases, err);
	if (r == 0)
		r = json_get_string(obj, "MacAddress", &config.mac, err);
	if (r == 0)
		r = get_kvs(memory, obj, "DriverOpts", &config.driver_opts, &config.n_driver_opts,
			    err);
	if (r == 0)
		r = decode_priority(obj, &config, err);
	if (r == 0)
		*ret = config;
	return r;
}

static int get_required(json_t *obj, const char *key, const char *what, const char **ret,
			struct cnm_error *err)
{
	const char *s = "";
	int r;

	r = json_get_string(obj, key, &s, err);
	if (r == 0 && *s == '\0')
		r = cnm_error_set(err, CNM_E_INVALID, "invalid %s name or ID: value is empty",
				  what);
	if (r == 0)
		*ret = s;
	return r;
}

int api_decode_connect(struct api_memory *memory, json_t *body, const char **ret_sandbox,
		       struct cnm_endpoint_config *ret, struct cnm_error *err)
{
	static const char *const names[] = { "Container", "EndpointConfig", NULL };
	json_t *obj;
	int r;

	r = expect_object(body, "the body", names, &obj, err);
	if (r == 0)
		r = get_required(obj, "Container", "container", ret_sandbox, err);
	if (r == 0)
		r = api_decode_endpoint(memory, json_object_get(obj, "EndpointConfig"), ret, err);
	return r;
}

int api_decode_disconnect(json_t *body, const char **ret_sandbox, bool *ret_force,
			  struct cnm_error *err)
{
	static const char *const names[] = { "Container", "Force", NULL };
	json_t *obj;
	int r;

	r = expect_object(body, "the body", names, &obj, err);
	if (r == 0)
		r = get_required(obj, "Container", "container", ret_sandbox, err);
	if (r == 0)
		r = json_get_bool(obj, "Force", ret_force, err);
	return r;
}

/* ------------------------------------------------------------------------------------ cnm's own */

/* An object of cnm's own: members that are not in names are refused. */
static int expect_own(json_t *j, const char *what, const char *const *names, json_t **ret,
		      struct cnm_error *err)
{
	int r;

	r = expect_object(j, what, names, ret, err);
	return r < 0 || !*ret ? r : json_check_keys(*ret, what, names, err);
}

int api_decode_reservation(struct api_memory *memory, json_t *body, const char **ret_network,
			   struct cnm_endpoint_config *ret, struct cnm_error *err)
{
	static const char *const names[] = { "Name", "Network", "EndpointConfig", NULL };
	const char *name = NULL;
	json_t *obj;
	int r;

	r = expect_own(body, "endpoint", names, &obj, err);
	if (r == 0)
		r = get_required(obj, "Network", "network", ret_network, err);
	if (r == 0)
		r = json_get_string(obj, "Name", &name, err);
	if (r == 0)
		r = api_decode_endpoint(memory, json_object_get(obj, "EndpointConfig"), ret, err);
	if (r == 0)
		ret->name = name;
	return r;
}

int api_decode_join(json_t *body, const char **ret_sandbox, struct cnm_error *err)
{
	static const char *const names[] = { "Sandbox", NULL };
	json_t *obj;
	int r;

	r = expect_own(body, "join", names, &obj, err);
	return r < 0 ? r : get_required(obj, "Sandbox", "sandbox", ret_sandbox, err);
}

static int decode_attachment(struct api_memory *memory, json_t *j, struct cnm_attachment *ret,
			     struct cnm_error *err)
{
	static const char *const names[] = { "Network", "EndpointConfig", NULL };
	json_t *obj;
	int r;

	r = expect_own(j, "an element of Networks", names, &obj, err);
	if (r == 0)
		r = get_required(obj, "Network", "network", &ret->network, err);
	if (r == 0)
		r = api_decode_endpoint(memory, json_object_get(obj, "EndpointConfig"),
					&ret->endpoint, err);
	return r;
}

static int decode_attachments(struct api_memory *memory, json_t *body,
			      struct cnm_sandbox_config *ret, struct cnm_error *err)
{
	struct cnm_attachment *networks;
	json_t *list = NULL, *v;
	size_t i;
	int r;

	r = json_get_array(body, "Networks", &list, err);
	if (r < 0 || !list)
		return r;
	networks = api_memory_get(memory, json_array_size(list), sizeof(*networks));
	if (!networks)
		return no_memory(err);
	json_array_foreach (list, i, v) {
		r = decode_attachment(memory, v, &networks[i], err);
		if (r < 0)
			return r;
	}
	ret->networks = networks;
	ret->n_networks = json_array_size(list);
	return 0;
}

static int decode_number(json_t *obj, const char *key, unsigned *ret, struct cnm_error *err)
{
	int64_t n = *ret;
	int r = json_get_int(obj, key, &n, err);

	if (r == 0 && (n < 0 || n > 65535))
		r = cnm_error_set(err, CNM_E_INVALID, "%s %lld is not a port", key, (long long)n);
	if (r == 0)
		*ret = (unsigned)n;
	return r;
}

/* First, and Last unless it is the same. */
static int decode_range(json_t *obj, const char **ret_protocol, unsigned *ret_first,
			unsigned *ret_last, struct cnm_error *err)
{
	int r = json_get_string(obj, "Protocol", ret_protocol, err);

	if (r == 0)
		r = decode_number(obj, "First", ret_first, err);
	*ret_last = *ret_first;
	return r < 0 ? r : decode_number(obj, "Last", ret_last, err);
}

static int decode_publish(struct api_memory *memory, json_t *body, struct cnm_sandbox_config *ret,
			  struct cnm_error *err)
{
	static const char *const names[] = { "Protocol", "HostIp", "HostFirst", "HostLast",
					     "First",    "Last",   NULL };
	struct cnm_publish *publish;
	json_t *list = NULL, *v, *obj;
	size_t i;
	int r = json_get_array(body, "Publish", &list, err);

	if (r < 0 || !list)
		return r;
	publish = api_memory_get(memory, json_array_size(list), sizeof(*publish));
	if (!publish)
		return no_memory(err);
	json_array_foreach (list, i, v) {
		struct cnm_publish *p = &publish[i];

		r = expect_own(v, "an element of Publish", names, &obj, err);
		if (r == 0)
			r = decode_range(obj, &p->protocol, &p->first, &p->last, err);
		if (r == 0)
			r = json_get_string(obj, "HostIp", &p->host_ip, err);
		if (r == 0)
			r = decode_number(obj, "HostFirst", &p->host_first, err);
		p->host_last = p->host_first ? p->host_first + (p->last - p->first) : 0;
		if (r == 0)
			r = decode_number(obj, "HostLast", &p->host_last, err);
		if (r < 0)
			return r;
	}
	ret->publish = publish;
	ret->n_publish = json_array_size(list);
	return 0;
}

static int decode_exposed(struct api_memory *memory, json_t *body, struct cnm_sandbox_config *ret,
			  struct cnm_error *err)
{
	static const char *const names[] = { "Protocol", "First", "Last", NULL };
	struct cnm_port_range *exposed;
	json_t *list = NULL, *v, *obj;
	size_t i;
	int r = json_get_array(body, "Exposed", &list, err);

	if (r < 0 || !list)
		return r;
	exposed = api_memory_get(memory, json_array_size(list), sizeof(*exposed));
	if (!exposed)
		return no_memory(err);
	json_array_foreach (list, i, v) {
		r = expect_own(v, "an element of Exposed", names, &obj, err);
		if (r == 0)
			r = decode_range(obj, &exposed[i].protocol, &exposed[i].first,
					 &exposed[i].last, err);
		if (r < 0)
			return r;
	}
	ret->exposed = exposed;
	ret->n_exposed = json_array_size(list);
	return 0;
}

static int decode_names(struct api_memory *memory, json_t *body, struct cnm_sandbox_config *ret,
			struct cnm_error *err)
{
	int r = json_get_string(body, "Hostname", &ret->hostname, err);

	if (r == 0)
		r = json_get_string(body, "Domainname", &ret->domainname, err);
	if (r == 0)
		r = get_texts(memory, body, "Dns", &ret->dns, &ret->n_dns, err);
	if (r == 0)
		r = get_texts(memory, body, "DnsSearch", &ret->dns_search, &ret->n_dns_search, err);
	if (r == 0)
		r = get_texts(memory, body, "DnsOptions", &ret->dns_options, &ret->n_dns_options,
			      err);
	return r < 0 ? r
		     : get_texts(memory, body, "ExtraHosts", &ret->extra_hosts, &ret->n_extra_hosts,
				 err);
}

int api_decode_sandbox(struct api_memory *memory, json_t *body, struct cnm_sandbox_config *ret,
		       struct cnm_error *err)
{
	static const char *const names[] = { "Name",       "Hostname",   "Domainname", "Pid",
					     "Netns",      "Labels",     "Networks",   "Publish",
					     "Exposed",    "Confined",   "Dns",        "DnsSearch",
					     "DnsOptions", "ExtraHosts", NULL };
	struct cnm_sandbox_config config = { .name = "" };
	int64_t pid = 0;
	json_t *obj;
	int r;

	r = expect_own(body, "sandbox", names, &obj, err);
	if (r == 0)
		r = json_get_string(obj, "Name", &config.name, err);
	if (r == 0)
		r = decode_names(memory, obj, &config, err);
	if (r == 0)
		r = json_get_string(obj, "Netns", &config.netns, err);
	if (r == 0)
		r = json_get_int(obj, "Pid", &pid, err);
	if (r == 0 && (pid < 0 || pid > INT_MAX))
		r = cnm_error_set(err, CNM_E_INVALID, "Pid %lld is not a process id",
				  (long long)pid);
	if (r == 0)
		r = get_kvs(memory, obj, "Labels", &config.labels, &config.n_labels, err);
	if (r == 0)
		r = decode_attachments(memory, obj, &config, err);
	if (r == 0)
		r = decode_publish(memory, obj, &config, err);
	if (r == 0)
		r = decode_exposed(memory, obj, &config, err);
	if (r == 0)
		r = json_get_bool(obj, "Confined", &config.confined, err);
	config.pid = (pid_t)pid;
	if (r == 0)
		*ret = config;
	return r;
}
