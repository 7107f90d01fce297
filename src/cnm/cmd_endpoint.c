/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm endpoint ...`: an endpoint made, joined to a sandbox and left, each on its own. */
#include "cnm/command.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"
#include "cnm/settings.h"
#include "cnm/table.h"

#define ENDPOINTS "/cnm/v1/endpoints"

static int endpoint_create(const struct command *self, const struct client *client,
			   struct args args)
{
	_cleanup_(settings_free) struct settings s = { 0 };
	bool dry_run = false;
	const struct cli_option options[] = {
		{ 0, OPTION_CSV, "alias", &s.aliases, "strings",
		  "Add network-scoped alias for the endpoint" },
		{ 0, OPTION_CSV, "driver-opt", &s.driver_opts, "strings",
		  "driver options for the endpoint" },
		OPTION_DRY_RUN(&dry_run),
		{ 0, OPTION_INT, "gw-priority", &s.gw_priority, "int",
		  "Highest gw-priority provides the default gateway. Accepts positive and negative "
		  "values." },
		{ 0, OPTION_STRING, "ip", &s.ip, "string",
		  "IPv4 address (e.g., \"172.30.100.104\")" },
		{ 0, OPTION_STRING, "ip6", &s.ip6, "string",
		  "IPv6 address (e.g., \"2001:db8::33\")" },
		{ 0, OPTION_STRING, "mac-address", &s.mac, "string",
		  "MAC address (e.g., \"92:d0:c6:0a:29:33\")" },
		{ 0 },
	};
	struct cnm_error err = { 0 };
	_json_ json_t *body = NULL;
	json_t *config;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	config = settings_json(&s, &err);
	if (!config)
		return api_fail(&err);
	body = json_pack("{s:s s:s s:o}", "Network", args.v[0], "Name", args.v[1], "EndpointConfig",
			 config);
	if (!body) {
		api_oom(&err);
		return api_fail(&err);
	}
	return api_create(client, ENDPOINTS, body, dry_run);
}

/* ---- ls, inspect, rm */

static const char *const endpoint_fields[] = {
	"Address",     "ADDRESS",      "CreatedAt",   "CREATED AT",   "ID",        "ENDPOINT ID",
	"IPv4Address", "IPV4 ADDRESS", "IPv6Address", "IPV6 ADDRESS", "Interface", "INTERFACE",
	"MacAddress",  "MAC ADDRESS",  "Name",        "NAME",         "Network",   "NETWORK",
	"Sandbox",     "SANDBOX",      "State",       "STATE",        NULL,
};

static json_t *endpoint_row(const json_t *e, bool no_trunc)
{
	const char *v4 = output_string(e, "IPv4Address"), *v6 = output_string(e, "IPv6Address");

	return json_pack("{s:o s:o s:o s:s s:s s:s s:s s:s s:s s:s s:s}", "Address",
			 json_sprintf("%s%s%s", v4, *v4 && *v6 ? "," : "", v6), "CreatedAt",
			 output_created(e), "ID", output_id(e, no_trunc), "IPv4Address", v4,
			 "IPv6Address", v6, "Interface", output_string(e, "Interface"),
			 "MacAddress", output_string(e, "MacAddress"), "Name",
			 output_string(e, "Name"), "Network", output_string(e, "NetworkName"),
			 "Sandbox", output_string(e, "SandboxName"), "State",
			 output_string(e, "State"));
}

static const struct table_view endpoint_view = {
	.fields = endpoint_fields,
	.standard = "{{.ID}}\t{{.Name}}\t{{.Network}}\t{{.Sandbox}}\t{{.Address}}",
	.sort_by = "Name",
	.row = endpoint_row,
};

static int fetch_endpoints(const struct client *client, const char *network, json_t **ret,
			   struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	_free_ char *escaped = api_escape(network ? network : "");

	if (!escaped)
		return api_oom(err);
	strbuf_addf(&path, ENDPOINTS "%s%s", network ? "?network=" : "", escaped);
	return path.failed ? api_oom(err) : client_call_json(client, "GET", path.s, NULL, ret, err);
}

static int endpoint_ls(const struct command *self, const struct client *client, struct args args)
{
	bool quiet = false, no_trunc = false;
	const char *format = NULL, *network = NULL;
	const struct cli_option options[] = {
		OPTION_LIST_FORMAT(&format),
		{ 0, OPTION_STRING, "network", &network, "string", "Only those of this network" },
		{ 0, OPTION_FLAG, "no-trunc", &no_trunc, NULL, "Do not truncate the output" },
		{ 'q', OPTION_FLAG, "quiet", &quiet, NULL, "Only display endpoint IDs" },
		{ 0 },
	};
	_json_ json_t *endpoints = NULL;
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (fetch_endpoints(client, network, &endpoints, &err) < 0 ||
	    table_print(&endpoint_view, endpoints, format, quiet, no_trunc, &err) < 0)
		return api_fail(&err);
	return EXIT_OK;
}

static int endpoint_inspect(const struct command *self, const struct client *client,
			    struct args args)
{
	const char *format = NULL;
	const struct cli_option options[] = { OPTION_INSPECT_FORMAT(&format), { 0 } };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return api_inspect_all(self, client, ENDPOINTS, args, NULL, format);
}

static int endpoint_rm(const struct command *self, const struct client *client, struct args args)
{
	bool force = false, dry_run = false;
	const struct cli_option options[] = {
		OPTION_DRY_RUN(&dry_run),
		{ 'f', OPTION_FLAG, "force", &force, NULL,
		  "Leave the sandbox first; do not error if the endpoint does not exist" },
		{ 0 },
	};

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return api_remove_all(self, client, ENDPOINTS, args, force, force ? "force=1" : NULL,
			      dry_run);
}

/* ---- join, leave */

static int post(const struct client *client, const char *ref, const char *verb, const json_t *body,
		bool dry_run)
{
	struct cnm_error err = { 0 };
	_free_ char *path = api_path(ENDPOINTS, ref, verb, NULL);
	int r = path ? api_do(client, "POST", path, body, dry_run, &err) : api_oom(&err);

	return r < 0 ? api_fail(&err) : EXIT_OK;
}

static int endpoint_join(const struct command *self, const struct client *client, struct args args)
{
	bool dry_run = false;
	const struct cli_option options[] = { OPTION_DRY_RUN(&dry_run), { 0 } };
	struct cnm_error err = { 0 };
	_json_ json_t *body = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	body = json_pack("{s:s}", "Sandbox", args.v[1]);
	if (!body) {
		api_oom(&err);
		return api_fail(&err);
	}
	return post(client, args.v[0], "join", body, dry_run);
}

static int endpoint_leave(const struct command *self, const struct client *client, struct args args)
{
	bool dry_run = false;
	const struct cli_option options[] = { OPTION_DRY_RUN(&dry_run), { 0 } };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return post(client, args.v[0], "leave", NULL, dry_run);
}

const struct command endpoint_commands[] = {
	{ "endpoint", "create", NULL, "[OPTIONS] NETWORK NAME",
	  "Reserve a name and addresses in a network, for a sandbox to come", 2, 2, false,
	  endpoint_create },
	{ "endpoint", "inspect", NULL, "[OPTIONS] ENDPOINT [ENDPOINT...]",
	  "Display detailed information on one or more endpoints", 1, ARGS_ANY, false,
	  endpoint_inspect },
	{ "endpoint", "join", NULL, "[OPTIONS] ENDPOINT SANDBOX", "Put an endpoint into a sandbox",
	  2, 2, false, endpoint_join },
	{ "endpoint", "leave", NULL, "[OPTIONS] ENDPOINT",
	  "Take an endpoint out of its sandbox; its addresses stay reserved", 1, 1, false,
	  endpoint_leave },
	{ "endpoint", "ls", "list", "[OPTIONS]", "List endpoints", 0, 0, false, endpoint_ls },
	{ "endpoint", "rm", "remove", "[OPTIONS] ENDPOINT [ENDPOINT...]",
	  "Remove one or more endpoints", 1, ARGS_ANY, false, endpoint_rm },
	{ 0 },
};
