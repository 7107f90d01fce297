/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm volume ...` */
#include "cnm/command.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"

static const char *const volume_fields[] = {
	"Driver", "DRIVER",      "Labels", "LABELS", "Mountpoint", "MOUNTPOINT",
	"Name",   "VOLUME NAME", "Scope",  "SCOPE",  NULL,
};

static json_t *volume_row(const json_t *v, bool no_trunc)
{
	return json_pack("{s:s s:o s:s s:s s:s}", "Driver", output_string(v, "Driver"), "Labels",
			 output_labels(v), "Mountpoint", output_string(v, "Mountpoint"), "Name",
			 output_string(v, "Name"), "Scope", output_string(v, "Scope"));
}

static const struct table_view volume_view = {
	.fields = volume_fields,
	.standard = "{{.Driver}}\t{{.Name}}",
	.sort_by = "Name",
	.row = volume_row,
};

/* Names are what volumes are known by: they have no ids. */
static int print_volumes(const json_t *answer, bool quiet, const char *format,
			 struct cnm_error *err)
{
	const json_t *volumes = json_object_get(answer, "Volumes");

	if (quiet && (!format || !*format))
		format = "{{.Name}}";
	return table_print(&volume_view, volumes, format, false, true, err);
}

static int volume_ls(const struct command *self, const struct client *client, struct args args)
{
	bool quiet = false;
	const char *format = NULL;
	_json_ json_t *filters = json_object(), *answer = NULL;
	const struct cli_option options[] = {
		{ 'f', OPTION_FILTER, "filter", &filters, "filter",
		  "Provide filter values (e.g. \"dangling=true\")" },
		OPTION_LIST_FORMAT(&format),
		{ 'q', OPTION_FLAG, "quiet", &quiet, NULL, "Only display volume names" },
		{ 0 },
	};
	struct cnm_error err = { 0 };
	_free_ char *path = NULL;
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	path = api_path_filtered("/volumes", filters);
	r = path ? client_call_json(client, "GET", path, NULL, &answer, &err) : api_oom(&err);
	if (r == 0)
		r = print_volumes(answer, quiet, format, &err);
	return r < 0 ? api_fail(&err) : EXIT_OK;
}

static int volume_create(const struct command *self, const struct client *client, struct args args)
{
	const char *driver = "local";
	_json_ json_t *labels = json_object(), *opts = json_object(), *body = NULL, *answer = NULL;
	const struct cli_option options[] = {
		{ 'd', OPTION_STRING, "driver", &driver, "string",
		  "Specify volume driver name (default \"local\")" },
		{ 0, OPTION_MAP, "label", &labels, "list", "Set metadata for a volume" },
		{ 'o', OPTION_MAP, "opt", &opts, "map", "Set driver specific options" },
		{ 0 },
	};
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	body = json_pack("{s:s s:s s:O s:O}", "Name", args.n ? args.v[0] : "", "Driver", driver,
			 "Labels", labels, "DriverOpts", opts);
	if (!body)
		api_oom(&err);
	if (!body || client_call_json(client, "POST", "/volumes/create", body, &answer, &err) < 0)
		return api_fail(&err);
	printf("%s\n", output_string(answer, "Name"));
	return EXIT_OK;
}

static int volume_inspect(const struct command *self, const struct client *client, struct args args)
{
	return api_inspect_command(self, client, &api_volume, args);
}

static int volume_rm(const struct command *self, const struct client *client, struct args args)
{
	struct api_each e = { .kind = &api_volume, .method = "DELETE" };
	const struct cli_option options[] = {
		{ 'f', OPTION_FLAG, "force", &e.force, NULL,
		  "Do not error if the volume does not exist" },
		{ 0 },
	};

	if (!options_parse(self, options, &args))
		return args.exit_code;
	e.query = e.force ? "force=1" : NULL;
	return api_each(client, &e, args);
}

const struct command volume_commands[] = {
	{ "volume", "create", NULL, "[OPTIONS] [VOLUME]", "Create a volume", 0, 1, false,
	  volume_create },
	{ "volume", "inspect", NULL, "[OPTIONS] VOLUME [VOLUME...]",
	  "Display detailed information on one or more volumes", 1, ARGS_ANY, false,
	  volume_inspect },
	{ "volume", "ls", "list", "[OPTIONS]", "List volumes", 0, 0, false, volume_ls },
	{ "volume", "rm", "remove", "[OPTIONS] VOLUME [VOLUME...]", "Remove one or more volumes", 1,
	  ARGS_ANY, false, volume_rm },
	{ 0 },
};
