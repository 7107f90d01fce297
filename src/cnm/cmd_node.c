/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm node ...`: the hosts of the cluster. */
#include "cnm/command.h"

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"
#include "cnm/table.h"

static const struct api_kind node = { "node", "/cnm/v1/nodes", NULL };

static const char *const node_fields[] = {
	"Address", "ADDRESS", "Endpoints", "ENDPOINTS", "ID",    "ID", "Name",
	"NAME",    "Self",    "SELF",      "State",     "STATE", NULL,
};

/* How long a lost one has been so. */
static json_t *state_of(const json_t *n)
{
	const char *state = output_string(n, "State");
	json_int_t s = json_integer_value(json_object_get(n, "LostSeconds"));

	return streq(state, "lost") && s ? json_sprintf("lost for %lld s", (long long)s)
					 : json_string(state);
}

static json_t *node_row(const json_t *n, bool no_trunc)
{
	return json_pack(
		"{s:s s:o s:o s:o s:s s:o}", "Address", output_string(n, "Address"), "Endpoints",
		json_sprintf("%lld",
			     (long long)json_integer_value(json_object_get(n, "Endpoints"))),
		"ID", output_id(n, no_trunc), "Name",
		json_sprintf("%s%s", output_string(n, "Name"),
			     json_is_true(json_object_get(n, "Self")) ? " *" : ""),
		"Self", json_is_true(json_object_get(n, "Self")) ? "true" : "false", "State",
		state_of(n));
}

static const struct table_view node_view = {
	.fields = node_fields,
	.standard = "{{.ID}}\t{{.Name}}\t{{.Address}}\t{{.State}}\t{{.Endpoints}}",
	.sort_by = "Name",
	.row = node_row,
};

static int node_ls(const struct command *self, const struct client *client, struct args args)
{
	struct api_list_options list = { 0 };
	const struct cli_option options[] = { API_LIST_OPTIONS(&list), { 0 } };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return api_list(client, node.collection, &node_view, &list);
}

static int node_inspect(const struct command *self, const struct client *client, struct args args)
{
	return api_inspect_command(self, client, &node, args);
}

static int node_rm(const struct command *self, const struct client *client, struct args args)
{
	return api_remove_command(self, client, &node, "Do not error if the node does not exist",
				  NULL, args);
}

const struct command node_commands[] = {
	{ "node", "inspect", NULL, "[OPTIONS] NODE [NODE...]",
	  "Display detailed information on one or more hosts of the cluster", 1, ARGS_ANY, false,
	  node_inspect },
	{ "node", "ls", "list", "[OPTIONS]", "List the hosts of the cluster", 0, 0, false,
	  node_ls },
	{ "node", "rm", "remove", "[OPTIONS] NODE [NODE...]",
	  "Forget one or more hosts that are lost, with their endpoints", 1, ARGS_ANY, false,
	  node_rm },
	{ 0 },
};
