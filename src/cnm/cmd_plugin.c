/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm plugin ls`: other people's drivers, and how they do. */
#include "cnm/command.h"

#include "base/json.h"
#include "cnm/api.h"
#include "cnm/output.h"
#include "cnm/table.h"

static const char *const plugin_fields[] = {
	"Address",    "ADDRESS", "Calls",   "CALLS", "Debts", "DEBTS",    "Error",
	"LAST ERROR", "Latency", "LATENCY", "Name",  "NAME",  "Networks", "NETWORKS",
	"Roles",      "ROLES",   "Scope",   "SCOPE", "State", "STATE",    NULL,
};

static json_t *count(const json_t *p, const char *key)
{
	return json_sprintf("%lld", (long long)json_integer_value(json_object_get(p, key)));
}

static json_t *roles(const json_t *p)
{
	const json_t *list = json_object_get(p, "Implements");
	const char *a = json_string_value(json_array_get(list, 0));
	const char *b = json_string_value(json_array_get(list, 1));

	return json_sprintf("%s%s%s", a ? a : "", b ? "," : "", b ? b : "");
}

/* Of the last call that was answered. */
static json_t *latency(const json_t *p)
{
	double ms = json_real_value(json_object_get(p, "LatencyMs"));

	return ms > 0 ? json_sprintf("%.1f ms", ms) : json_string("");
}

static json_t *plugin_row(const json_t *p, bool no_trunc)
{
	const char *error = json_string_value(json_object_get(p, "LastError"));

	return json_pack(
		"{s:s s:o s:o s:o s:o s:s s:o s:o s:s s:s}", "Address", output_string(p, "Address"),
		"Calls", count(p, "Calls"), "Debts", count(p, "Debts"), "Error",
		json_sprintf(no_trunc ? "%s" : "%.80s", error ? error : ""), "Latency", latency(p),
		"Name", output_string(p, "Name"), "Networks", count(p, "Networks"), "Roles",
		roles(p), "Scope", output_string(p, "Scope"), "State", output_string(p, "State"));
}

static const struct table_view plugin_view = {
	.fields = plugin_fields,
	.standard = "{{.Name}}\t{{.State}}\t{{.Scope}}\t{{.Networks}}\t{{.Latency}}\t{{.Address}}\t"
		    "{{.Error}}",
	.sort_by = "Name",
	.row = plugin_row,
};

static int plugin_ls(const struct command *self, const struct client *client, struct args args)
{
	struct api_list_options list = { 0 };
	const struct cli_option options[] = { API_LIST_OPTIONS(&list), { 0 } };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return api_list(client, "/cnm/v1/plugins", &plugin_view, &list);
}

const struct command plugin_commands[] = {
	{ "plugin", "ls", "list", "[OPTIONS]",
	  "List the plugins that are found or used, and how they do", 0, 0, false, plugin_ls },
	{ 0 },
};
