/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/networks.h"

#include <errno.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"

static int merge_string(const char **to, const char *from, const char *option, const char *what,
			struct cnm_error *err)
{
	if (!from)
		return 0;
	if (*to)
		return cnm_error_set(err, CNM_E_INVALID,
				     "conflicting options: cannot specify both --%s and "
				     "per-network %s",
				     option, what);
	*to = from;
	return 0;
}

/* The options of the first network go into its attachment. */
static int merge_first(struct settings *to, const struct settings *from, struct cnm_error *err)
{
	int r = merge_string(&to->ip, from->ip, "ip", "IPv4 address", err);

	if (r == 0)
		r = merge_string(&to->ip6, from->ip6, "ip6", "IPv6 address", err);
	if (r == 0)
		r = merge_string(&to->mac, from->mac, "mac-address", "MAC address", err);
	if (r == 0 && from->aliases.n && to->aliases.n)
		r = cnm_error_set(err, CNM_E_INVALID,
				  "conflicting options: cannot specify both --network-alias and "
				  "per-network alias");
	for (size_t i = 0; r == 0 && i < from->aliases.n; i++)
		r = strv_add(&to->aliases, from->aliases.v[i]) < 0 ? api_oom(err) : 0;
	for (size_t i = 0; r == 0 && i < from->links.n; i++)
		r = strv_add(&to->links, from->links.v[i]) < 0 ? api_oom(err) : 0;
	return r;
}

static bool is_listed(const json_t *networks, const char *name)
{
	const json_t *n;
	size_t i;

	json_array_foreach (networks, i, n)
		if (streq(json_string_value(json_object_get(n, "Network")), name))
			return true;
	return false;
}

/* Append {"Network", "EndpointConfig"} for one --net; settings of the first, or NULL. */
static int add_network(json_t *networks, const char *text, const struct settings *first,
		       struct cnm_error *err)
{
	_cleanup_(attachment_free) struct attachment a = { 0 };
	json_t *config;
	int r = attachment_parse(&a, text, err);

	if (r < 0)
		return r;
	if (is_listed(networks, a.network))
		return cnm_error_set(err, CNM_E_INVALID,
				     "network \"%s\" is specified multiple times", a.network);
	if (first)
		r = merge_first(&a.settings, first, err);
	if (r < 0)
		return r;
	config = settings_json(&a.settings, err);
	if (!config)
		return -EINVAL;
	if (json_array_append_new(networks, json_pack("{s:s s:o}", "Network", a.network,
						      "EndpointConfig", config)) < 0)
		return api_oom(err);
	return 0;
}

json_t *networks_json(const struct strv *nets, const struct settings *first, struct cnm_error *err)
{
	_json_ json_t *networks = json_array();
	int r = networks ? 0 : api_oom(err);

	if (r == 0 && nets->n == 0 && (first->ip || first->ip6 || first->mac || first->aliases.n))
		r = cnm_error_set(
			err, CNM_E_INVALID,
			"--ip, --ip6, --mac-address and --network-alias are for the first "
			"network: give --net");
	for (size_t i = 0; r == 0 && i < nets->n; i++)
		r = add_network(networks, nets->v[i], i == 0 ? first : NULL, err);
	return r < 0 ? NULL : take_ptr(networks);
}
