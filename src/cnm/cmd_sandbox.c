/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm sandbox ...` */
#include "cnm/command.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "cnm/api.h"
#include "cnm/cmd_sandbox_create.h"
#include "cnm/output.h"
#include "cnm/table.h"
#include "kernel/netns.h"

/* ---- ls, inspect, rm */

static const char *const sandbox_fields[] = {
	"Adopted",    "ADOPTED",  "CreatedAt", "CREATED AT", "Hostname", "HOSTNAME",  "ID",
	"SANDBOX ID", "Labels",   "LABELS",    "Name",       "NAME",     "NetnsPath", "NETNS PATH",
	"Networks",   "NETWORKS", "State",     "STATE",      NULL,
};

static json_t *sandbox_row(const json_t *s, bool no_trunc)
{
	return json_pack(
		"{s:o s:o s:s s:o s:o s:s s:s s:o s:s}", "Adopted", output_bool(s, "Adopted"),
		"CreatedAt", output_created(s), "Hostname", output_string(s, "Hostname"), "ID",
		output_id(s, no_trunc), "Labels", output_labels(s), "Name",
		output_string(s, "Name"), "NetnsPath", output_string(s, "NetnsPath"), "Networks",
		output_keys(json_object_get(s, "Networks")), "State", output_string(s, "State"));
}

static const struct table_view sandbox_view = {
	.fields = sandbox_fields,
	.standard = "{{.ID}}\t{{.Name}}\t{{.State}}\t{{.Networks}}",
	.sort_by = "Name",
	.row = sandbox_row,
};

static int sandbox_ls(const struct command *self, const struct client *client, struct args args)
{
	struct api_list_options list = { 0 };
	const struct cli_option options[] = { API_LIST_OPTIONS(&list), { 0 } };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return api_list(client, api_sandbox.collection, &sandbox_view, &list);
}

static int sandbox_inspect(const struct command *self, const struct client *client,
			   struct args args)
{
	return api_inspect_command(self, client, &api_sandbox, args);
}

static int sandbox_rm(const struct command *self, const struct client *client, struct args args)
{
	return api_remove_command(self, client, &api_sandbox,
				  "Do not error if the sandbox does not exist", NULL, args);
}

/* ---- exec */

static int fetch_sandbox(const struct client *client, const char *ref, json_t **ret,
			 struct cnm_error *err)
{
	_free_ char *path = api_path(api_sandbox.collection, ref, NULL, NULL);

	return path ? client_call_json(client, "GET", path, NULL, ret, err) : api_oom(err);
}

static const char *path_or_null(const json_t *sandbox, const char *key)
{
	const char *s = output_string(sandbox, key);

	return *s ? s : NULL;
}

/* The files the command is to see. A missing one must not be taken for a missing command. */
static int check_files(const json_t *sandbox, struct cnm_error *err)
{
	static const char *const keys[] = { "HostsPath", "ResolvConfPath", "HostnamePath" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *path = path_or_null(sandbox, keys[i]);

		if (path && access(path, R_OK) < 0)
			return cnm_error_set(err, CNM_E_NOT_FOUND,
					     "%s: %m; `cnm doctor --repair` makes it again", path);
	}
	return 0;
}

/* Becomes the command; returns only on failure. What the system says of the command is INTERNAL. */
static int exec_in(const json_t *sandbox, const char *name, char **command)
{
	struct cnm_error err = { 0 };

	if (check_files(sandbox, &err) == 0)
		netns_exec(output_string(sandbox, "NetnsPath"), path_or_null(sandbox, "HostsPath"),
			   path_or_null(sandbox, "ResolvConfPath"),
			   path_or_null(sandbox, "HostnamePath"), command, &err);
	cnm_error_prefix(&err, "cnm: exec in sandbox \"%s\"", name);
	api_fail(&err);
	if (err.class != CNM_E_INTERNAL)
		return EXIT_ERROR;
	if (err.err == ENOENT)
		return EXIT_NO_COMMAND;
	return err.err == EACCES || err.err == ENOEXEC ? EXIT_CANNOT_RUN : EXIT_ERROR;
}

static int sandbox_exec(const struct command *self, const struct client *client, struct args args)
{
	const struct cli_option options[] = { { 0 } };
	_json_ json_t *sandbox = NULL;
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (geteuid() != 0) {
		fprintf(stderr,
			"cnm: exec in sandbox \"%s\": only root may enter a network "
			"namespace; try again with sudo\n",
			args.v[0]);
		return EXIT_ERROR;
	}
	if (fetch_sandbox(client, args.v[0], &sandbox, &err) < 0)
		return api_fail(&err);
	return exec_in(sandbox, args.v[0], args.v + 1);
}

const struct command sandbox_commands[] = {
	{ "sandbox", "create", NULL, "[OPTIONS] SANDBOX",
	  "Create a sandbox, or adopt a network namespace as one", 1, 1, false, sandbox_create },
	{ "sandbox", "exec", NULL, "SANDBOX COMMAND [ARG...]",
	  "Run a command in a sandbox, with its hosts and resolv.conf (needs root)", 2, ARGS_ANY,
	  true, sandbox_exec },
	{ "sandbox", "inspect", NULL, "[OPTIONS] SANDBOX [SANDBOX...]",
	  "Display detailed information on one or more sandboxes", 1, ARGS_ANY, false,
	  sandbox_inspect },
	{ "sandbox", "ls", "list", "[OPTIONS]", "List sandboxes", 0, 0, false, sandbox_ls },
	{ "sandbox", "rm", "remove", "[OPTIONS] SANDBOX [SANDBOX...]",
	  "Remove one or more sandboxes", 1, ARGS_ANY, false, sandbox_rm },
	{ 0 },
};
