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

static int endpoint_create(const struct command *self, const struct client *client,
			   struct args args)
{
	_cleanup_(settings_free) struct settings s = { 0 };
	bool dry_run = false;
	const struct cli_option options[] = {
		SETTINGS_OPTIONS(&s),
		OPTION_DRY_RUN(&dry_run),
		{ 0 },
	};
	struct cnm_error err = { 0 };
	_json_ json_t *body = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	body = settings_request(&s, "Name", args.v[1], &err);
	if (!body)
		return api_fail(&err);
	json_put(body, "Network", json_string(args.v[0]));
	return api_create(client, api_endpoint.collection, body, dry_run);
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

static int endpoint_ls(const struct command *self, const struct client *client, struct args args)
{
	struct api_list_options list = { 0 };
	const char *network = NULL;
	const struct cli_option options[] = {
		API_LIST_OPTIONS(&list),
		{ 0, OPTION_STRING, "network", &network, "string", "Only those of this network" },
		{ 0 },
	};
	_cleanup_(strbuf_free) struct strbuf path = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	strbuf_add(&path, api_endpoint.collection);
	api_add_query(&path, "network", network);
	return api_list(client, path.failed ? NULL : path.s, &endpoint_view, &list);
}

static int endpoint_inspect(const struct command *self, const struct client *client,
			    struct args args)
{
	return api_inspect_command(self, client, &api_endpoint, args);
}

static int endpoint_rm(const struct command *self, const struct client *client, struct args args)
{
	return api_remove_command(
		self, client, &api_endpoint,
		"Leave the sandbox first; do not error if the endpoint does not exist", "force=1",
		args);
}

/* ---- join, leave */

static int endpoint_join(const struct command *self, const struct client *client, struct args args)
{
	bool dry_run = false;
	const struct cli_option options[] = { OPTION_DRY_RUN(&dry_run), { 0 } };
	_json_ json_t *body = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	body = json_pack("{s:s}", "Sandbox", args.v[1]);
	return api_post(client, api_endpoint.collection, args.v[0], "join", body, dry_run);
}

static int endpoint_leave(const struct command *self, const struct client *client, struct args args)
{
	bool dry_run = false;
	const struct cli_option options[] = { OPTION_DRY_RUN(&dry_run), { 0 } };
	_json_ json_t *body = json_object();

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return api_post(client, api_endpoint.collection, args.v[0], "leave", body, dry_run);
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
