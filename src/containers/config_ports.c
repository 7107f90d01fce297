/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ExposedPorts, PortBindings and Links: checked, and the ports as runs. */
#include "containers/config_internal.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "containers/links.h"
#include "containers/port_spec.h"

int config_exposed_settle(json_t *config, struct cnm_error *err)
{
	json_t *set = json_object_get(config, "ExposedPorts");
	_free_ struct port_run *runs = NULL;
	size_t n = 0;
	int r = set ? port_set_read(set, &runs, &n, err) : 0;

	if (r < 0 || !set)
		return r;
	if (json_object_set_new(config, "ExposedPorts", port_set_write(runs, n, false)) < 0)
		return config_no_memory(err);
	return 0;
}

int config_bindings_settle(json_t *host, struct cnm_error *err)
{
	_free_ struct port_binding *bindings = NULL;
	size_t n = 0;
	int r = port_bindings_read(json_object_get(host, "PortBindings"), &bindings, &n, err);

	if (r < 0)
		return r;
	if (json_object_set_new(host, "PortBindings", port_bindings_write(bindings, n, false)) < 0)
		return config_no_memory(err);
	return 0;
}

int config_links_check(const json_t *links, struct cnm_error *err)
{
	const char *name, *alias;
	json_t *v;
	size_t i, n;
	int r = 0;

	json_array_foreach (links, i, v)
		if (r == 0)
			r = link_parse(json_string_value(v), &name, &n, &alias, err);
	return r;
}

static int conflict(const char *text, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID, "conflicting options: %s", text);
}

int config_ports_check_shared(const struct container_config *c, struct cnm_error *err)
{
	if (config_flag(c->host, "PublishAllPorts") ||
	    json_object_size(json_object_get(c->host, "PortBindings")))
		return conflict("port publishing and the container type network mode", err);
	if (json_object_size(json_object_get(c->config, "ExposedPorts")))
		return conflict("port exposing and the container type network mode", err);
	return 0;
}

#define UNDEFINED "can't be used with links. This would result in undefined behavior"

int config_links_check_mode(const struct container_config *c, struct cnm_error *err)
{
	enum network_mode mode = container_network_mode(c->host, NULL);

	if (json_array_size(json_object_get(c->host, "Links")) == 0)
		return 0;
	if (mode == NETWORK_CONTAINER)
		return conflict("container type network " UNDEFINED, err);
	if (mode == NETWORK_HOST)
		return conflict("host type networking " UNDEFINED, err);
	return 0;
}

int config_ports_warn(struct container_config *c, struct cnm_error *err)
{
	if (container_network_mode(c->host, NULL) != NETWORK_HOST ||
	    json_object_size(json_object_get(c->host, "PortBindings")) == 0)
		return 0;
	if (json_array_append_new(c->warnings,
				  json_string("Published ports are discarded when using host "
					      "network mode")) < 0)
		return config_no_memory(err);
	return 0;
}
