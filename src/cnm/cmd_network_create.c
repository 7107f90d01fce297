/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/cmd_network_create.h"

#include "base/json.h"
#include "cnm/api.h"
#include "cnm/cnm.h"
#include "cnm/ipam_config.h"

/* What the options of `network create` fill. */
struct create {
	const char *driver, *scope, *config_from, *ipam_driver;
	struct strv subnets, ranges, gateways;
	json_t *aux, *labels, *options, *ipam_options;
	enum cnm_tristate ipv4, ipv6;
	bool internal, attachable, ingress, config_only, dry_run;
};

static void create_free(struct create *c)
{
	strv_free(&c->subnets);
	strv_free(&c->ranges);
	strv_free(&c->gateways);
	json_decref(c->aux);
	json_decref(c->labels);
	json_decref(c->options);
	json_decref(c->ipam_options);
}

static int put_tristate(json_t *body, const char *key, enum cnm_tristate v)
{
	return v == CNM_DEFAULT ? 0 : json_put(body, key, json_boolean(v == CNM_YES));
}

/* The body of POST /networks/create; pools is stolen. */
static json_t *create_body(const struct create *c, const char *name, json_t *pools)
{
	_json_ json_t *body =
		json_pack("{s:s s:s s:s s:{s:s s:O s:o} s:b s:b s:b s:b s:O s:O}", "Name", name,
			  "Driver", c->driver, "Scope", c->scope, "IPAM", "Driver", c->ipam_driver,
			  "Options", c->ipam_options, "Config", pools, "Internal", c->internal,
			  "Attachable", c->attachable, "Ingress", c->ingress, "ConfigOnly",
			  c->config_only, "Options", c->options, "Labels", c->labels);

	if (!body || put_tristate(body, "EnableIPv4", c->ipv4) < 0 ||
	    put_tristate(body, "EnableIPv6", c->ipv6) < 0)
		return NULL;
	if (c->config_from &&
	    json_put(body, "ConfigFrom", json_pack("{s:s}", "Network", c->config_from)) < 0)
		return NULL;
	return take_ptr(body);
}

static int create_run(const struct create *c, const struct client *client, const char *name)
{
	struct cnm_error err = { 0 };
	_json_ json_t *body = NULL;
	json_t *pools = ipam_config(&c->subnets, &c->ranges, &c->gateways, c->aux, &err);

	if (!pools)
		return api_fail(&err);
	body = create_body(c, name, pools);
	if (!body) {
		cnm_error_set(&err, CNM_E_INVALID,
			      "create network \"%s\": a name or value is not valid UTF-8, or "
			      "memory ran out",
			      name);
		return api_fail(&err);
	}
	return api_create(client, "/networks/create", body, c->dry_run);
}

int network_create(const struct command *self, const struct client *client, struct args args)
{
	_cleanup_(create_free) struct create c = { .driver = "bridge",
						   .scope = "",
						   .ipam_driver = "default",
						   .aux = json_object(),
						   .labels = json_object(),
						   .options = json_object(),
						   .ipam_options = json_object() };
	const struct cli_option options[] = {
		{ 0, OPTION_FLAG, "attachable", &c.attachable, NULL,
		  "Enable manual container attachment" },
		{ 0, OPTION_MAP, "aux-address", &c.aux, "map",
		  "Auxiliary IPv4 or IPv6 addresses used by Network driver (name=address)" },
		{ 0, OPTION_STRING, "config-from", &c.config_from, "string",
		  "The network from which to copy the configuration" },
		{ 0, OPTION_FLAG, "config-only", &c.config_only, NULL,
		  "Create a configuration only network" },
		{ 'd', OPTION_STRING, "driver", &c.driver, "string",
		  "Driver to manage the Network (default \"bridge\")" },
		OPTION_DRY_RUN(&c.dry_run),
		{ 0, OPTION_CSV, "gateway", &c.gateways, "strings",
		  "IPv4 or IPv6 Gateway for the master subnet" },
		{ 0, OPTION_FLAG, "ingress", &c.ingress, NULL,
		  "Create swarm routing-mesh network" },
		{ 0, OPTION_FLAG, "internal", &c.internal, NULL,
		  "Restrict external access to the network" },
		{ 0, OPTION_CSV, "ip-range", &c.ranges, "strings",
		  "Allocate container ip from a sub-range" },
		{ 0, OPTION_STRING, "ipam-driver", &c.ipam_driver, "string",
		  "IP Address Management Driver (default \"default\")" },
		{ 0, OPTION_MAP, "ipam-opt", &c.ipam_options, "map",
		  "Set IPAM driver specific options" },
		{ 0, OPTION_TRISTATE, "ipv4", &c.ipv4, NULL,
		  "Enable or disable IPv4 address assignment (default true)" },
		{ 0, OPTION_TRISTATE, "ipv6", &c.ipv6, NULL,
		  "Enable or disable IPv6 address assignment" },
		{ 0, OPTION_MAP, "label", &c.labels, "list", "Set metadata on a network" },
		{ 'o', OPTION_MAP, "opt", &c.options, "map", "Set driver specific options" },
		{ 0, OPTION_STRING, "scope", &c.scope, "string", "Control the network's scope" },
		{ 0, OPTION_CSV, "subnet", &c.subnets, "strings",
		  "Subnet in CIDR format that represents a network segment" },
		{ 0 },
	};

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return create_run(&c, client, args.v[0]);
}
