/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/ipam_config.h"

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/json.h"
#include "cnm/api.h"

/*
 * Does the subnet hold the address, or the address in front of a length? 1, 0 (also for what is no
 * address: it then has no subnet), or an error for a malformed prefix.
 */
static int subnet_has(const char *subnet, const char *text, struct cnm_error *err)
{
	struct cnm_prefix s, p = { 0 };

	if (prefix_parse(&s, subnet) < 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid subnet: invalid CIDR address: %s",
				     subnet);
	if (strchr(text, '/')) {
		if (prefix_parse(&p, text) < 0)
			return cnm_error_set(err, CNM_E_INVALID, "invalid CIDR address: %s", text);
	} else if (ip_parse(&p.ip, text) < 0) {
		return 0;
	}
	return prefix_has(&s, &p.ip);
}

static int add_subnet(json_t *pools, const char *subnet, struct cnm_error *err)
{
	const json_t *pool;
	size_t i;

	json_array_foreach (pools, i, pool) {
		const char *other = json_string_value(json_object_get(pool, "Subnet"));
		int r = subnet_has(subnet, other, err);

		if (r == 0)
			r = subnet_has(other, subnet, err);
		if (r > 0)
			return cnm_error_set(
				err, CNM_E_INVALID,
				"multiple overlapping subnet configuration is not supported");
		if (r < 0)
			return r;
	}
	if (json_array_append_new(pools, json_pack("{s:s}", "Subnet", subnet)) < 0)
		return api_oom(err);
	return 0;
}

/* The pool whose subnet holds the address; what names it in the error. */
static int find_pool(json_t *pools, const char *what, const char *text, json_t **ret,
		     struct cnm_error *err)
{
	json_t *pool;
	size_t i;

	json_array_foreach (pools, i, pool) {
		const char *subnet = json_string_value(json_object_get(pool, "Subnet"));
		int r = subnet_has(subnet, text, err);

		if (r < 0)
			return r;
		if (r > 0) {
			*ret = pool;
			return 0;
		}
	}
	return cnm_error_set(err, CNM_E_INVALID, "no matching subnet for %s %s", what, text);
}

static int add_range(json_t *pools, const char *range, struct cnm_error *err)
{
	json_t *pool = NULL;
	const char *other;
	int r = find_pool(pools, "range", range, &pool, err);

	if (r < 0)
		return r;
	other = json_string_value(json_object_get(pool, "IPRange"));
	if (other)
		return cnm_error_set(err, CNM_E_INVALID,
				     "cannot configure multiple ranges (%s, %s) on the same "
				     "subnet (%s)",
				     range, other,
				     json_string_value(json_object_get(pool, "Subnet")));
	return json_put(pool, "IPRange", json_string(range)) < 0 ? api_oom(err) : 0;
}

static int add_gateway(json_t *pools, const char *gateway, struct cnm_error *err)
{
	json_t *pool = NULL;
	const char *other;
	int r = find_pool(pools, "gateway", gateway, &pool, err);

	if (r < 0)
		return r;
	other = json_string_value(json_object_get(pool, "Gateway"));
	if (other)
		return cnm_error_set(err, CNM_E_INVALID,
				     "cannot configure multiple gateways (%s, %s) for the same "
				     "subnet (%s)",
				     gateway, other,
				     json_string_value(json_object_get(pool, "Subnet")));
	return json_put(pool, "Gateway", json_string(gateway)) < 0 ? api_oom(err) : 0;
}

static int add_aux(json_t *pools, const char *name, const char *address, struct cnm_error *err)
{
	json_t *pool = NULL, *aux;
	int r = find_pool(pools, "aux-address", address, &pool, err);

	if (r < 0)
		return r;
	aux = json_object_get(pool, "AuxiliaryAddresses");
	if (!aux) {
		aux = json_object();
		if (json_put(pool, "AuxiliaryAddresses", aux) < 0)
			return api_oom(err);
	}
	return json_put(aux, name, json_string(address)) < 0 ? api_oom(err) : 0;
}

json_t *ipam_config(const struct strv *subnets, const struct strv *ranges,
		    const struct strv *gateways, const json_t *aux, struct cnm_error *err)
{
	_json_ json_t *pools = json_array();
	const char *name;
	json_t *address;
	int r = pools ? 0 : api_oom(err);

	if (r == 0 && (subnets->n < ranges->n || subnets->n < gateways->n))
		r = cnm_error_set(err, CNM_E_INVALID,
				  "every ip-range or gateway must have a corresponding subnet");
	for (size_t i = 0; r == 0 && i < subnets->n; i++)
		r = add_subnet(pools, subnets->v[i], err);
	for (size_t i = 0; r == 0 && i < ranges->n; i++)
		r = add_range(pools, ranges->v[i], err);
	for (size_t i = 0; r == 0 && i < gateways->n; i++)
		r = add_gateway(pools, gateways->v[i], err);
	json_object_foreach ((json_t *)aux, name, address)
		if (r == 0)
			r = add_aux(pools, name, json_string_value(address), err);
	return r < 0 ? NULL : take_ptr(pools);
}
