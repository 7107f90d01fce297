/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NetworkingConfig: the networks a container joins, and how. */
#include "containers/config_internal.h"

#include <string.h>

#include "base/addr.h"
#include "base/json.h"
#include "base/str.h"

#define MAX_NETWORKS 64

/* First API version whose containers may have several networks, and a MAC address for each. */
#define SEVERAL 1044

/* What the engine finds out itself (members an inspect shows and clients send back) is not kept. */
static const struct config_member endpoint_members[] = {
	{ "IPAMConfig", M_OBJECT, NULL, NULL, NULL },
	{ "Links", M_STRINGS, NULL, NULL, NULL },
	{ "Aliases", M_STRINGS, NULL, NULL, NULL },
	{ "MacAddress", M_STRING, NULL, NULL, NULL },
	{ "DriverOpts", M_MAP, NULL, NULL, NULL },
	{ "GwPriority", M_INT, NULL, NULL, NULL },
	{ "NetworkID", M_STRING, NULL, NULL, NULL },
	{ "EndpointID", M_STRING, NULL, NULL, NULL },
	{ "Gateway", M_STRING, NULL, NULL, NULL },
	{ "IPAddress", M_STRING, NULL, NULL, NULL },
	{ "IPPrefixLen", M_INT, NULL, NULL, NULL },
	{ "IPv6Gateway", M_STRING, NULL, NULL, NULL },
	{ "GlobalIPv6Address", M_STRING, NULL, NULL, NULL },
	{ "GlobalIPv6PrefixLen", M_INT, NULL, NULL, NULL },
	{ "DNSNames", M_STRINGS, NULL, NULL, NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};
static const char *const found_out[] = { "NetworkID", "EndpointID",        "Gateway",
					 "IPAddress", "IPPrefixLen",       "IPv6Gateway",
					 "DNSNames",  "GlobalIPv6Address", "GlobalIPv6PrefixLen" };

static const struct config_member ipam_members[] = {
	{ "IPv4Address", M_STRING, NULL, NULL, NULL },
	{ "IPv6Address", M_STRING, NULL, NULL, NULL },
	{ "LinkLocalIPs", M_STRINGS, NULL, NULL, NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static const struct config_member networking_members[] = {
	{ "EndpointsConfig", M_OBJECT, NULL, NULL, NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static int check_address(const char *what, const char *text, unsigned bits, struct cnm_error *err)
{
	struct cnm_ip ip;

	if (!*text || (ip_parse(&ip, text) == 0 && (!bits || ip_bits(&ip) == bits)))
		return 0;
	return cnm_error_set(err, CNM_E_INVALID, "invalid %s address: %s", what, text);
}

static int check_ipam(json_t *endpoint, struct cnm_error *err)
{
	_json_ json_t *ipam = json_object();
	json_t *v;
	size_t i;
	int r;

	if (!json_object_get(endpoint, "IPAMConfig"))
		return 0;
	if (!ipam)
		return config_no_memory(err);
	r = config_members(ipam, json_object_get(endpoint, "IPAMConfig"), "IPAMConfig.",
			   ipam_members, err);
	r = r < 0 ? r : check_address("IPv4", config_text(ipam, "IPv4Address"), 32, err);
	r = r < 0 ? r : check_address("IPv6", config_text(ipam, "IPv6Address"), 128, err);
	json_array_foreach (json_object_get(ipam, "LinkLocalIPs"), i, v) {
		if (r < 0)
			return r;
		r = check_address("link-local IP", json_string_value(v), 0, err);
	}
	if (r == 0 && json_object_set(endpoint, "IPAMConfig", ipam) < 0)
		r = config_no_memory(err);
	return r;
}

static int check_mac(const char *text, struct cnm_error *err)
{
	struct cnm_mac mac;

	if (!*text || mac_parse(&mac, text) == 0)
		return 0;
	return cnm_error_set(err, CNM_E_INVALID, "invalid MAC address: %s", text);
}

/* *ret: a new reference. */
static int decode_endpoint(json_t **ret, const json_t *from, struct cnm_error *err)
{
	_json_ json_t *endpoint = json_object();
	int r;

	if (!endpoint)
		return config_no_memory(err);
	if (from && !json_is_object(from) && !json_is_null(from))
		return cnm_error_set(err, CNM_E_INVALID, "the settings must be an object");
	r = config_members(endpoint, from, "EndpointsConfig.", endpoint_members, err);
	r = r < 0 ? r : check_ipam(endpoint, err);
	r = r < 0 ? r : check_mac(config_text(endpoint, "MacAddress"), err);
	r = r < 0 ? r : config_links_check(json_object_get(endpoint, "Links"), err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(found_out) / sizeof(found_out[0]); i++)
		json_object_del(endpoint, found_out[i]);
	if (config_number(endpoint, "GwPriority") == 0)
		json_object_del(endpoint, "GwPriority");
	*ret = take_ptr(endpoint);
	return 0;
}

static int add_endpoint(json_t *endpoints, const char *name, const json_t *from,
			struct cnm_error *err)
{
	json_t *endpoint = NULL;
	int r;

	if (!*name)
		return cnm_error_set(err, CNM_E_INVALID, "network name/id is not specified");
	r = decode_endpoint(&endpoint, from, err);
	if (r < 0) {
		cnm_error_prefix(err, "invalid config for network %s: invalid endpoint settings",
				 name);
		return r;
	}
	if (json_object_set_new(endpoints, name, endpoint) < 0)
		return config_no_memory(err);
	return 0;
}

static const char *normal_name(const char *network)
{
	return streq(network, "default") ? "bridge" : network;
}

/* The settings of the mode's network, whichever name the client gave it. */
static const json_t *first_settings(const json_t *wanted, const char *first)
{
	const json_t *settings = json_object_get(wanted, first);

	return settings || !streq(first, "bridge") ? settings : json_object_get(wanted, "default");
}

static int decode_all(struct container_config *c, const json_t *wanted, const char *first,
		      struct cnm_error *err)
{
	const char *name;
	json_t *settings;
	int r = add_endpoint(c->endpoints, first, first_settings(wanted, first), err);

	json_object_foreach ((json_t *)wanted, name, settings) {
		if (r < 0)
			return r;
		if (!json_object_get(c->endpoints, normal_name(name)))
			r = add_endpoint(c->endpoints, normal_name(name), settings, err);
	}
	return r;
}

static int check_several(const json_t *wanted, unsigned version, struct cnm_error *err)
{
	struct strbuf names = { 0 };
	const char *name;
	json_t *v;

	if (json_object_size(wanted) > MAX_NETWORKS)
		return cnm_error_set(err, CNM_E_INVALID, "a container joins at most %d networks",
				     MAX_NETWORKS);
	if (version >= SEVERAL || json_object_size(wanted) < 2)
		return 0;
	json_object_foreach ((json_t *)wanted, name, v)
		strbuf_addf(&names, "%s%s", names.len ? ", " : "", name);
	cnm_error_set(err, CNM_E_INVALID,
		      "Container cannot be created with multiple network endpoints: %s",
		      names.s ? names.s : "");
	strbuf_free(&names);
	return -EINVAL;
}

/* Those of two predefined networks cannot be mixed with any other. */
static int check_mixed(const struct container_config *c, struct cnm_error *err)
{
	static const char *const alone[] = { "host", "none" };

	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++)
		if (json_object_size(c->endpoints) > 1 && json_object_get(c->endpoints, alone[i]))
			return cnm_error_set(err, CNM_E_INVALID,
					     "conflicting options: cannot attach both user-defined "
					     "and non-user-defined network-modes");
	return 0;
}

/* Config.MacAddress, as clients before 1.44 give it, is the first network's. */
static int move_mac(struct container_config *c, const char *first, struct cnm_error *err)
{
	const char *mac = config_text(c->config, "MacAddress");
	json_t *endpoint = json_object_get(c->endpoints, first);
	const char *own = config_text(endpoint, "MacAddress");
	int r = check_mac(mac, err);

	if (r < 0 || !*mac)
		return r;
	if (container_network_mode(c->host, NULL) != NETWORK_NAMED)
		return cnm_error_set(err, CNM_E_INVALID,
				     "conflicting options: mac-address and the network mode");
	if (*own && strcasecmp(own, mac) != 0)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"the container-wide MAC address must match the "
			"endpoint-specific MAC address for the main network, or be left "
			"empty");
	if (json_object_set(endpoint, "MacAddress", json_object_get(c->config, "MacAddress")) < 0)
		return config_no_memory(err);
	return 0;
}

static int check_container_mode(const struct container_config *c, const char *container,
				struct cnm_error *err)
{
	int r;

	if (!*container)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid network mode: invalid container format "
				     "container:<name|id>");
	r = config_names_check_shared(c, err);
	r = r < 0 ? r : config_links_check_mode(c, err);
	r = r < 0 ? r : config_ports_check_shared(c, err);
	if (r < 0)
		return r;
	if (*config_text(c->config, "MacAddress"))
		return cnm_error_set(err, CNM_E_INVALID,
				     "conflicting options: mac-address and the network mode");
	return 0;
}

int config_endpoints_decode(struct container_config *c, const json_t *networking, unsigned version,
			    struct cnm_error *err)
{
	const char *first = config_text(c->host, "NetworkMode"), *container;
	_json_ json_t *checked = json_object();
	const json_t *wanted;
	int r;

	if (!checked)
		return config_no_memory(err);
	r = config_members(checked, networking, "NetworkingConfig.", networking_members, err);
	wanted = json_object_get(checked, "EndpointsConfig");
	r = r < 0 ? r : check_several(wanted, version, err);
	if (r < 0)
		return r;
	if (container_network_mode(c->host, &container) == NETWORK_CONTAINER)
		return check_container_mode(c, container, err);
	r = config_links_check_mode(c, err);
	r = r < 0 ? r : decode_all(c, wanted, first, err);
	r = r < 0 ? r : check_mixed(c, err);
	return r < 0 ? r : move_mac(c, first, err);
}
