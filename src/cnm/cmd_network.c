/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm network ...`, with the options, output and messages of `docker network ...`. */
#include "cnm/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/cmd_network_create.h"
#include "cnm/output.h"
#include "cnm/settings.h"
#include "cnm/table.h"

#define FILTER_HELP "Provide filter values (e.g. \"driver=bridge\")"

/* ---- ls */

static const char *const network_fields[] = {
	"CreatedAt", "CREATED AT", "Driver", "DRIVER",   "ID",       "NETWORK ID", "IPv4",
	"IPV4",      "IPv6",       "IPV6",   "Internal", "INTERNAL", "Labels",     "LABELS",
	"Name",      "NAME",       "Scope",  "SCOPE",    NULL,
};

static json_t *network_row(const json_t *n, bool no_trunc)
{
	return json_pack("{s:o s:s s:o s:o s:o s:o s:o s:s s:s}", "CreatedAt", output_created(n),
			 "Driver", output_string(n, "Driver"), "ID", output_id(n, no_trunc), "IPv4",
			 output_bool(n, "EnableIPv4"), "IPv6", output_bool(n, "EnableIPv6"),
			 "Internal", output_bool(n, "Internal"), "Labels", output_labels(n), "Name",
			 output_string(n, "Name"), "Scope", output_string(n, "Scope"));
}

static const struct table_view network_view = {
	.fields = network_fields,
	.standard = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
	.sort_by = "Name",
	.row = network_row,
};

static int network_ls(const struct command *self, const struct client *client, struct args args)
{
	struct api_list_options list = { 0 };
	_json_ json_t *filters = json_object();
	const struct cli_option options[] = {
		{ 'f', OPTION_FILTER, "filter", &filters, "filter", FILTER_HELP },
		API_LIST_OPTIONS(&list),
		{ 0 },
	};
	_free_ char *path = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	path = api_path_filtered("/networks", filters);
	return api_list(client, path, &network_view, &list);
}

/* ---- inspect, rm, prune */

static int network_inspect(const struct command *self, const struct client *client,
			   struct args args)
{
	const struct api_kind *kind = &api_network;
	const char *format = NULL;
	bool verbose = false;
	const struct cli_option options[] = {
		OPTION_INSPECT_FORMAT(&format),
		{ 'v', OPTION_FLAG, "verbose", &verbose, NULL, "Verbose output for diagnostics" },
		{ 0 },
	};

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return api_inspect_all(client, &kind, 1, args, verbose ? "verbose=true" : NULL, format);
}

static int network_rm(const struct command *self, const struct client *client, struct args args)
{
	return api_remove_command(self, client, &api_network,
				  "Do not error if the network does not exist", NULL, args);
}

static bool confirmed(void)
{
	char answer[16] = "";

	printf("WARNING! This will remove all custom networks not used by at least one sandbox.\n"
	       "Are you sure you want to continue? [y/N] ");
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	answer[strcspn(answer, "\r\n")] = '\0';
	return streq(answer, "y") || streq(answer, "Y");
}

static void print_pruned(const json_t *answer)
{
	const json_t *names = json_object_get(answer, "NetworksDeleted"), *name;
	size_t i;

	if (json_array_size(names) == 0)
		return;
	printf("Deleted Networks:\n");
	json_array_foreach (names, i, name)
		printf("%s\n", json_string_value(name));
	printf("\n");
}

static int prune(const struct client *client, const json_t *filters, bool dry_run)
{
	struct cnm_error err = { 0 };
	_json_ json_t *answer = NULL;
	_free_ char *path = api_path_filtered("/networks/prune", filters);
	int r = path ? api_change(client, "POST", path, NULL, dry_run, &answer, &err)
		     : api_oom(&err);

	if (r < 0)
		return api_fail(&err);
	print_pruned(answer);
	return EXIT_OK;
}

static int network_prune(const struct command *self, const struct client *client, struct args args)
{
	bool force = false, dry_run = false;
	_json_ json_t *filters = json_object();
	const struct cli_option options[] = {
		OPTION_DRY_RUN(&dry_run),
		{ 0, OPTION_FILTER, "filter", &filters, "filter",
		  "Provide filter values (e.g. \"until=<timestamp>\")" },
		{ 'f', OPTION_FLAG, "force", &force, NULL, "Do not prompt for confirmation" },
		{ 0 },
	};

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (!force && !dry_run && !confirmed())
		return EXIT_OK;
	return prune(client, filters, dry_run);
}

/* ---- connect, disconnect */

static int network_connect(const struct command *self, const struct client *client,
			   struct args args)
{
	_cleanup_(settings_free) struct settings s = { 0 };
	bool dry_run = false;
	const struct cli_option options[] = {
		SETTINGS_OPTIONS(&s),
		{ 0, OPTION_LINK, "link", &s.links, "list", "Add link to another container" },
		{ 0, OPTION_CSV, "link-local-ip", &s.link_local, "strings",
		  "Add a link-local address for the container" },
		OPTION_DRY_RUN(&dry_run),
		{ 0 },
	};
	struct cnm_error err = { 0 };
	_json_ json_t *body = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	body = settings_request(&s, "Container", args.v[1], &err);
	if (!body)
		return api_fail(&err);
	return api_post(client, "/networks", args.v[0], "connect", body, dry_run);
}

static int network_disconnect(const struct command *self, const struct client *client,
			      struct args args)
{
	bool force = false, dry_run = false;
	const struct cli_option options[] = {
		OPTION_DRY_RUN(&dry_run),
		{ 'f', OPTION_FLAG, "force", &force, NULL,
		  "Force the sandbox to disconnect from a network" },
		{ 0 },
	};
	_json_ json_t *body = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	body = json_pack("{s:s s:b}", "Container", args.v[1], "Force", force);
	return api_post(client, "/networks", args.v[0], "disconnect", body, dry_run);
}

const struct command network_commands[] = {
	{ "network", "connect", NULL, "[OPTIONS] NETWORK SANDBOX", "Connect a sandbox to a network",
	  2, 2, false, network_connect },
	{ "network", "create", NULL, "[OPTIONS] NETWORK", "Create a network", 1, 1, false,
	  network_create },
	{ "network", "disconnect", NULL, "[OPTIONS] NETWORK SANDBOX",
	  "Disconnect a sandbox from a network", 2, 2, false, network_disconnect },
	{ "network", "inspect", NULL, "[OPTIONS] NETWORK [NETWORK...]",
	  "Display detailed information on one or more networks", 1, ARGS_ANY, false,
	  network_inspect },
	{ "network", "ls", "list", "[OPTIONS]", "List networks", 0, 0, false, network_ls },
	{ "network", "prune", NULL, "[OPTIONS]", "Remove all unused networks", 0, 0, false,
	  network_prune },
	{ "network", "rm", "remove", "[OPTIONS] NETWORK [NETWORK...]",
	  "Remove one or more networks", 1, ARGS_ANY, false, network_rm },
	{ 0 },
};
