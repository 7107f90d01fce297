/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Networks and endpoints as values of the cluster's store. What others wrote there is looked at as
 * what comes from the network is.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "controller/cluster.h"
#include "model/codec.h"

#define MAX_NAME  255u
#define MAX_NAMES 64u /* of an endpoint */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static int check_name(const char *name, struct cnm_error *err)
{
	return name[0] && strlen(name) <= MAX_NAME && str_is_printable(name)
		       ? 0
		       : cnm_error_set(err, CNM_E_INVALID,
				       "its name must be printable, and of at most %u bytes",
				       MAX_NAME);
}

/* ---- networks */

json_t *cluster_network_body(const struct network *n)
{
	_free_ char *text = network_encode(n);

	return text ? json_loads(text, 0, NULL) : NULL;
}

uint32_t cluster_vxlan_id(const struct network *n)
{
	return (uint32_t)json_integer_value(json_object_get(n->facts, "vxlan_id"));
}

static int check_network(const struct network *n, const json_t *vxlan, struct cnm_error *err)
{
	json_int_t id = json_integer_value(vxlan);

	if (!network_is_global(n))
		return cnm_error_set(err, CNM_E_INVALID, "its driver %s is for one host",
				     n->driver->name);
	if (id < 1 || id >= 1 << 24)
		return cnm_error_set(err, CNM_E_INVALID, "%lld is no VXLAN id", (long long)id);
	return check_name(n->name, err);
}

static int complete(struct network *n, json_t *vxlan, const struct driver_env *env,
		    struct cnm_error *err)
{
	int r = check_network(n, vxlan, err);

	if (r < 0)
		return r;
	n->predefined = n->borrowed_link = n->config_only = false;
	if (!n->facts)
		n->facts = json_object();
	json_put(n->facts, "vxlan_id", json_incref(vxlan));
	return n->driver->network_parse ? n->driver->network_parse(n, env, err) : 0;
}

int cluster_network_decode(const char *id, const json_t *value, const struct driver_env *env,
			   struct network **ret, struct cnm_error *err)
{
	_free_ char *text = json_text(value);
	struct network *n;
	int r = text ? network_decode(id, text_of(value, "Name"), text, &n, err)
		     : cnm_error_errno(err, ENOMEM, "network");

	if (r < 0)
		return r;
	r = complete(n, json_object_get(value, "VxlanId"), env, err);
	if (r < 0)
		network_free(n);
	else
		*ret = n;
	return r;
}

/* ---- endpoints of others */

/* It is one that this network can have, at a host that we can send to. */
static int check_peer(const struct endpoint *ep, const struct driver_env *env,
		      struct cnm_error *err)
{
	const struct cnm_ip *ips[] = { &ep->ip4, &ep->ip6 };
	char ip[IP_STR], other[IP_STR];

	if (strlen(ep->host) != ID_SIZE - 1)
		return cnm_error_set(err, CNM_E_INVALID, "\"%s\" is no host's id", ep->host);
	if (!mac_is_unicast(&ep->mac) && !(ep->network->plugin && !mac_is_set(&ep->mac)))
		return cnm_error_set(err, CNM_E_INVALID, "\"%s\" cannot be an endpoint's MAC",
				     mac_format(&ep->mac, other));
	for (unsigned i = 0; i < 2; i++)
		if (ip_is_set(ips[i]) && !network_pool_of(ep->network, ips[i]))
			return cnm_error_set(err, CNM_E_INVALID, "%s is in none of its subnets",
					     ip_format(ips[i], ip));
	if (ep->vtep.family != env->vtep.family || ip_eq(&ep->vtep, &env->vtep) ||
	    ip_is_unspecified(&ep->vtep) || ip_is_multicast(&ep->vtep) || ip_is_loopback(&ep->vtep))
		return cnm_error_set(
			err, CNM_E_INVALID,
			"its host's address \"%s\" cannot be reached from ours, %s: "
			"give all hosts addresses of one kind with --cluster-advertise",
			ip_format(&ep->vtep, other), ip_format(&env->vtep, ip));
	return check_name(ep->name, err);
}

int cluster_peer_decode(const char *id, struct network *n, const json_t *value,
			const struct driver_env *env, struct endpoint **ret, struct cnm_error *err)
{
	_free_ char *text = json_text(value);
	struct endpoint *ep;
	json_t *names = json_object_get(value, "Names"), *v;
	size_t i;
	int r;

	if (!text)
		return cnm_error_errno(err, ENOMEM, "endpoint");
	r = endpoint_decode(id, text_of(value, "Name"), n, text, &ep, err);
	if (r < 0)
		return r;
	str_copy(ep->host, sizeof(ep->host), text_of(value, "Host"));
	ip_parse(&ep->vtep, text_of(value, "Vtep"));
	ep->ifname[0] = 0;
	ep->joined = 0;
	ep->declared = true;
	json_array_clear(ep->aliases);
	json_array_foreach (names, i, v)
		if (i < MAX_NAMES && json_is_string(v) && json_string_length(v) <= MAX_NAME &&
		    str_is_printable(json_string_value(v)))
			json_push(ep->aliases, json_incref(v));
	r = check_peer(ep, env, err);
	if (r < 0)
		endpoint_free(ep);
	else
		*ret = ep;
	return r;
}

/* ---- endpoints of ours */

json_t *cluster_endpoint_body(const struct cnm_engine *e, const struct endpoint *ep)
{
	static const char *const own[] = { "aliases", "asked",         "declared",  "driver_opts",
					   "join",    "exposed_ports", "fixed_ip4", "fixed_ip6",
					   "ifname",  "fixed_mac",     "joined",    "gw_priority",
					   "links" };
	_free_ char *text = endpoint_encode(ep);
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;
	char ip[IP_STR];

	if (!o)
		return NULL;
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		json_object_del(o, own[i]);
	json_put(o, "Vtep", json_string(ip_format(&e->cluster->options.address, ip)));
	json_put(o, "Names", endpoint_names(ep));
	json_put(o, "Sandbox", json_str(ep->sandbox ? ep->sandbox->id : NULL));
	json_put(o, "SandboxName", json_str(ep->sandbox ? ep->sandbox->name : NULL));
	return o;
}
