/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Objects as JSON, in Docker's shapes and order of fields. Called with the lock held. */
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/engine.h"
#include "controller/ports.h"

static json_t *ip_json(const struct cnm_ip *ip)
{
	char buf[IP_STR];

	return json_string(ip_format(ip, buf));
}

/* "172.18.0.2/16", or "" */
static json_t *cidr_json(const struct endpoint *ep, const struct cnm_ip *ip)
{
	struct cnm_prefix cidr = { .ip = *ip, .len = endpoint_prefix_len(ep, ip) };
	char buf[PREFIX_STR];

	return cidr.len ? json_string(prefix_format(&cidr, buf)) : json_string("");
}

static json_t *mac_json(const struct cnm_mac *m)
{
	char buf[MAC_STR];

	return mac_is_set(m) ? json_string(mac_format(m, buf)) : json_string("");
}

static json_t *time_json(int64_t ns)
{
	char buf[TIME_STR];

	return json_string(clock_format(ns, buf));
}

static json_t *pool_json(const struct network_pool *p)
{
	json_t *o = json_object();
	char buf[PREFIX_STR];

	json_put(o, "Subnet", json_string(prefix_format(&p->subnet, buf)));
	if (prefix_is_set(&p->range))
		json_put(o, "IPRange", json_string(prefix_format(&p->range, buf)));
	if (ip_is_set(&p->gateway))
		json_put(o, "Gateway", ip_json(&p->gateway));
	if (p->aux && json_object_size(p->aux))
		json_put(o, "AuxiliaryAddresses", json_incref(p->aux));
	return o;
}

static json_t *ipam_json(const struct network *n)
{
	json_t *o = json_object(), *config = json_array();

	for (unsigned i = 0; i < n->n_pools; i++)
		json_push(config, pool_json(&n->pools[i]));
	if (n->config_pools) {
		json_decref(config);
		config = json_incref(n->config_pools);
	}
	json_put(o, "Driver", json_string(n->ipam ? n->ipam : "default"));
	json_put(o, "Options",
		 json_object_size(n->ipam_options) ? json_incref(n->ipam_options) : json_null());
	json_put(o, "Config", config);
	return o;
}

static json_t *containers_json(const struct network *n)
{
	json_t *o = json_object();
	const struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network) {
		json_t *c;
		char key[ID_SIZE + 4];

		if (ep->state != OBJ_READY || endpoint_is_stopped(ep))
			continue;
		c = json_object();
		json_put(c, "Name", json_string(ep->sandbox ? ep->sandbox->name : ep->name));
		json_put(c, "EndpointID", json_string(ep->id));
		json_put(c, "MacAddress", mac_json(&ep->mac));
		json_put(c, "IPv4Address", cidr_json(ep, &ep->ip4));
		json_put(c, "IPv6Address", cidr_json(ep, &ep->ip6));
		if (endpoint_is_remote(ep))
			json_put(c, "Host", json_string(ep->host));
		snprintf(key, sizeof(key), "%s%s", ep->sandbox ? "" : "ep-",
			 ep->sandbox ? ep->sandbox->id : ep->id);
		json_put(o, key, c);
	}
	return o;
}

/* A count as JSON: jansson's integers end at 2^63 - 1. */
static json_t *count_json(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *status_json(const struct network *n)
{
	json_t *subnets = json_object(), *ipam = json_object(), *o = json_object();

	for (unsigned i = 0; i < n->n_pools; i++) {
		const struct network_pool *p = &n->pools[i];
		json_t *s = json_object();
		char buf[PREFIX_STR];

		json_put(s, "IPsInUse", count_json(ipam_pool_in_use(p->taken)));
		json_put(s, "DynamicIPsAvailable", count_json(ipam_pool_available(p->taken)));
		json_put(subnets, prefix_format(&p->subnet, buf), s);
	}
	json_put(ipam, "Subnets", subnets);
	json_put(o, "IPAM", ipam);
	return o;
}

/* Docker shows the id that was chosen as if it had been asked for. */
static json_t *with_vxlan_id(const struct network *n)
{
	json_int_t id = json_integer_value(json_object_get(n->facts, "vxlan_id"));
	json_t *o = json_copy(n->options);

	if (id)
		json_put(o, "com.docker.network.driver.overlay.vxlanid_list",
			 json_sprintf("%lld", (long long)id));
	return o;
}

/* What Docker shows of the default bridge's options. */
static json_t *options_json(const struct network *n)
{
	static const char *const shown[][2] = {
		{ "com.docker.network.bridge.default_bridge", "true" },
		{ "com.docker.network.bridge.enable_icc", "true" },
		{ "com.docker.network.bridge.enable_ip_masquerade", "true" },
		{ "com.docker.network.bridge.host_binding_ipv4", "0.0.0.0" },
		{ "com.docker.network.driver.mtu", "1500" },
	};
	json_t *o;

	if (network_is_global(n) && !n->plugin)
		return with_vxlan_id(n);
	if (!n->predefined || !n->driver->addresses)
		return json_incref(n->options);
	o = json_copy(n->options);
	for (unsigned i = 0; o && i < sizeof(shown) / sizeof(shown[0]); i++)
		if (!json_object_get(o, shown[i][0]))
			json_put(o, shown[i][0], json_string(shown[i][1]));
	return o;
}

json_t *inspect_network(const struct network *n, bool with_containers, bool status)
{
	json_t *o = json_object(), *from = json_object();

	json_put(from, "Network", json_str(n->config_from));
	json_put(o, "Name", json_string(n->name));
	json_put(o, "Id", json_string(n->id));
	json_put(o, "Created", time_json(n->created));
	json_put(o, "Scope", json_string(n->driver->scope));
	json_put(o, "Driver", json_string(network_driver_name(n)));
	json_put(o, "EnableIPv4", json_boolean(n->ipv4));
	json_put(o, "EnableIPv6", json_boolean(n->ipv6));
	json_put(o, "IPAM", ipam_json(n));
	json_put(o, "Internal", json_boolean(n->internal));
	json_put(o, "Attachable", json_boolean(n->attachable));
	json_put(o, "Ingress", json_false());
	json_put(o, "ConfigFrom", from);
	json_put(o, "ConfigOnly", json_boolean(n->config_only));
	json_put(o, "Containers", with_containers ? containers_json(n) : json_object());
	json_put(o, "Options", options_json(n));
	json_put(o, "Labels", json_incref(n->labels));
	if (status)
		json_put(o, "Status", status_json(n));
	return o;
}

/* ---- endpoints */

static const char *state_name(enum obj_state s)
{
	static const char *const names[] = { "creating", "ready", "removing" };

	return names[s];
}

json_t *inspect_endpoint(const struct endpoint *ep)
{
	json_t *o = json_object();

	json_put(o, "Id", json_string(ep->id));
	json_put(o, "Name", json_string(ep->name));
	json_put(o, "Network", json_string(ep->network->id));
	json_put(o, "NetworkName", json_string(ep->network->name));
	json_put(o, "Sandbox", json_str(ep->sandbox ? ep->sandbox->id : NULL));
	json_put(o, "SandboxName", json_str(ep->sandbox ? ep->sandbox->name : NULL));
	json_put(o, "State", json_string(state_name(ep->state)));
	json_put(o, "Created", time_json(ep->created));
	json_put(o, "MacAddress", mac_json(&ep->mac));
	json_put(o, "IPv4Address", cidr_json(ep, &ep->ip4));
	json_put(o, "IPv6Address", cidr_json(ep, &ep->ip6));
	json_put(o, "Interface", json_string(ep->ifname));
	json_put(o, "Aliases", json_incref(ep->aliases));
	json_put(o, "DriverOpts", json_incref(ep->driver_opts));
	json_put(o, "GwPriority", json_integer(ep->gw_priority));
	json_put(o, "Declared", json_boolean(ep->declared));
	json_put(o, "Host", json_string(ep->host));
	return o;
}

static json_t *dns_names_json(const struct endpoint *ep)
{
	json_t *names, *v;
	char shortid[ID_SHORT + 1];
	size_t i;

	if (!ep->sandbox || !network_is_user_defined(ep->network))
		return json_null();
	names = json_array();
	json_push(names, json_string(ep->sandbox->name));
	json_array_foreach (ep->aliases, i, v)
		json_push(names, json_incref(v));
	snprintf(shortid, sizeof(shortid), "%.*s", ID_SHORT, ep->sandbox->id);
	json_push(names, json_string(shortid));
	if (!streq(ep->sandbox->hostname, ep->sandbox->name) &&
	    !streq(ep->sandbox->hostname, shortid))
		json_push(names, json_string(ep->sandbox->hostname));
	return names;
}

static void put_family(json_t *o, const struct endpoint *ep, int family)
{
	bool v4 = family == AF_INET;
	const struct cnm_ip *ip = v4 ? &ep->ip4 : &ep->ip6;
	const struct network_pool *p = network_pool_of(ep->network, ip);
	const struct cnm_ip told = endpoint_gateway(ep, family);
	const struct cnm_ip *gateway = ep->network->plugin ? &told : p ? &p->gateway : NULL;

	json_put(o, v4 ? "Gateway" : "IPv6Gateway", gateway ? ip_json(gateway) : json_string(""));
	json_put(o, v4 ? "IPAddress" : "GlobalIPv6Address", ip_json(ip));
	json_put(o, v4 ? "IPPrefixLen" : "GlobalIPv6PrefixLen",
		 json_integer(endpoint_prefix_len(ep, ip)));
}

/* ["con1:alias"], or null */
static json_t *links_json(const struct endpoint *ep)
{
	json_t *list = json_array(), *id;
	const char *alias;

	json_object_foreach (ep->links, alias, id) {
		const struct endpoint *to = link_target(ep, id);

		if (to)
			json_push(list, json_sprintf("%s:%s", to->sandbox->name, alias));
	}
	if (json_array_size(list))
		return list;
	json_decref(list);
	return json_null();
}

json_t *inspect_endpoint_settings(const struct endpoint *ep)
{
	json_t *o = json_object();

	json_put(o, "IPAMConfig", json_null());
	json_put(o, "Links", links_json(ep));
	json_put(o, "Aliases",
		 json_array_size(ep->aliases) ? json_incref(ep->aliases) : json_null());
	json_put(o, "MacAddress", mac_json(&ep->mac));
	json_put(o, "DriverOpts",
		 json_object_size(ep->driver_opts) ? json_incref(ep->driver_opts) : json_null());
	json_put(o, "GwPriority", json_integer(ep->gw_priority));
	json_put(o, "NetworkID", json_string(ep->network->id));
	json_put(o, "EndpointID", json_string(ep->id));
	put_family(o, ep, AF_INET);
	put_family(o, ep, AF_INET6);
	json_put(o, "DNSNames", dns_names_json(ep));
	return o;
}

/* ---- sandboxes */

static json_t *path_json(const struct cnm_engine *e, const struct sandbox *sb, const char *file)
{
	char path[900];

	if (sb->source == NETNS_FOREIGN)
		return json_string("");
	snprintf(path, sizeof(path), "%s/sandboxes/%s/%s", e->run_dir, sb->id, file);
	return json_string(path);
}

static json_t *gateway_json(const struct sandbox *sb, int family)
{
	const struct endpoint *gw = sandbox_gateway(sb, family);
	const struct cnm_ip ip = gw ? endpoint_gateway(gw, family) : (struct cnm_ip){ 0 };

	return gw ? ip_json(&ip) : json_string("");
}

static json_t *list_json(json_t *list)
{
	return list ? json_incref(list) : json_array();
}

json_t *inspect_sandbox(const struct cnm_engine *e, const struct sandbox *sb)
{
	json_t *o = json_object(), *networks = json_object();
	const struct endpoint *ep;
	char path[512];

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->state == OBJ_READY && !network_is_gateway(ep->network))
			json_put(networks, ep->network->name, inspect_endpoint_settings(ep));
	snprintf(path, sizeof(path), "%s/%s", e->netns_dir, sb->name);
	if (sb->source == NETNS_FOREIGN)
		path[0] = 0;
	json_put(o, "Id", json_string(sb->id));
	json_put(o, "Name", json_string(sb->name));
	json_put(o, "Hostname", json_string(sb->hostname));
	json_put(o, "Created", time_json(sb->created));
	json_put(o, "State", json_string(sb->stopped ? "stopped" : state_name(sb->state)));
	json_put(o, "Declared", json_boolean(sb->declared));
	json_put(o, "Adopted", json_boolean(sb->source == NETNS_ADOPTED));
	json_put(o, "Foreign", json_boolean(sb->source == NETNS_FOREIGN));
	json_put(o, "NetnsPath", json_string(path));
	json_put(o, "HostsPath", path_json(e, sb, "hosts"));
	json_put(o, "ResolvConfPath", path_json(e, sb, "resolv.conf"));
	json_put(o, "HostnamePath", path_json(e, sb, "hostname"));
	json_put(o, "Labels", json_incref(sb->labels));
	json_put(o, "Networks", networks);
	json_put(o, "Gateway4", gateway_json(sb, AF_INET));
	json_put(o, "Gateway6", gateway_json(sb, AF_INET6));
	json_put(o, "Confined", json_boolean(sb->confined));
	json_put(o, "Publish", inspect_wants(sb));
	json_put(o, "Ports", inspect_ports(sb));
	json_put(o, "Exposed", inspect_exposed(sb));
	json_put(o, "Domainname", json_str(sb->domainname));
	json_put(o, "Dns", list_json(sb->dns));
	json_put(o, "DnsSearch", list_json(sb->dns_search));
	json_put(o, "DnsOptions", list_json(sb->dns_options));
	json_put(o, "ExtraHosts", list_json(sb->extra_hosts));
	return o;
}
