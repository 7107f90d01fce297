/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command `cnm`: finds the command that the words name, and runs it.
 *
 * The command line speaks to the daemon through its HTTP API only, and keeps nothing: every command
 * is one or a few requests. Its words, options, tables and messages are those of Docker's command,
 * so that what a person knows of one holds for the other. The one thing done here and not by the
 * daemon is `sandbox exec`, which becomes the command it is given.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cnm/client.h"
#include "cnm/command.h"

static const struct {
	const char *name, *brief;
	const struct command *commands;
} groups[] = {
	{ "container", "Manage containers", container_commands },
	{ "endpoint", "Manage endpoints", endpoint_commands },
	{ "image", "Manage images", image_commands },
	{ "network", "Manage networks", network_commands },
	{ "node", "Manage the hosts of the cluster", node_commands },
	{ "plugin", "Look at other people's drivers", plugin_commands },
	{ "sandbox", "Manage sandboxes", sandbox_commands },
	{ "volume", "Manage volumes", volume_commands },
};

#define N_GROUPS (sizeof(groups) / sizeof(groups[0]))

/* Commands of a group that also stand alone, as Docker has them, some by another name. */
static const struct {
	const char *name;
	const struct command *commands;
	const char *of;
} shortcuts[] = {
	{ "attach", container_commands, "attach" }, { "create", container_commands, "create" },
	{ "exec", container_commands, "exec" },     { "history", image_commands, "history" },
	{ "images", image_commands, "ls" },         { "import", image_commands, "import" },
	{ "kill", container_commands, "kill" },     { "load", image_commands, "load" },
	{ "logs", container_commands, "logs" },     { "port", container_commands, "port" },
	{ "ps", container_commands, "ls" },         { "pull", image_commands, "pull" },
	{ "rename", container_commands, "rename" }, { "restart", container_commands, "restart" },
	{ "rm", container_commands, "rm" },         { "rmi", image_commands, "rm" },
	{ "run", container_commands, "run" },       { "save", image_commands, "save" },
	{ "start", container_commands, "start" },   { "stop", container_commands, "stop" },
	{ "tag", image_commands, "tag" },           { "top", container_commands, "top" },
	{ "wait", container_commands, "wait" },
};

#define N_SHORTCUTS (sizeof(shortcuts) / sizeof(shortcuts[0]))

/* ---- the commands */

static const struct command *find_command(const struct command *list, const char *name)
{
	for (; list->name; list++)
		if (streq(list->name, name) || (list->alias && streq(list->alias, name)))
			return list;
	return NULL;
}

/* The command that a shortcut stands for, under its own name. */
static struct command shortcut(size_t i)
{
	struct command c = *find_command(shortcuts[i].commands, shortcuts[i].of);

	c.group = NULL;
	c.name = shortcuts[i].name;
	c.alias = NULL;
	return c;
}

/* ---- help */

static void group_help(size_t g)
{
	printf("Usage:  cnm %s COMMAND\n\n%s\n\nCommands:\n", groups[g].name, groups[g].brief);
	command_list_help(groups[g].commands);
	printf("\nRun 'cnm %s COMMAND --help' for more information on a command.\n",
	       groups[g].name);
}

static void main_help(const struct cli_option *options)
{
	struct command list[N_SHORTCUTS + 1];

	printf("Usage:  cnm [OPTIONS] COMMAND\n\nContainers and their networks on this machine\n\n"
	       "Management Commands:\n");
	for (size_t g = 0; g < N_GROUPS; g++)
		printf("  %-10s  %s\n", groups[g].name, groups[g].brief);
	printf("\nCommands:\n");
	for (size_t i = 0; i < N_SHORTCUTS; i++)
		list[i] = shortcut(i);
	list[N_SHORTCUTS] = (struct command){ 0 };
	command_list_help(list);
	command_list_help(system_commands);
	printf("\nGlobal Options:\n");
	options_help(options);
	printf("\nRun 'cnm COMMAND --help' for more information on a command.\n");
}

/* ---- where the daemon is */

static int set_host(struct client *client, const char *host, const char *from)
{
	const char *path = str_after(host, "unix://");

	if (!path || path[0] != '/') {
		fprintf(stderr,
			"cnm: %s \"%s\": cnm speaks to its daemon over a unix socket only; give "
			"unix:///PATH\n",
			from, host);
		return EXIT_USAGE;
	}
	client->socket = path;
	return EXIT_OK;
}

static int choose_socket(struct client *client, const char *host, const char *socket)
{
	const char *env = getenv("CNM_HOST");

	if (host && socket) {
		fprintf(stderr, "cnm: conflicting options: --host and --socket\n");
		return EXIT_USAGE;
	}
	client->socket = socket ? socket : CLIENT_DEFAULT_SOCKET;
	if (host)
		return set_host(client, host, "--host");
	if (!socket && env && *env)
		return set_host(client, env, "CNM_HOST");
	return EXIT_OK;
}

/* ---- dispatch */

static struct args shift(struct args args)
{
	args.v++;
	args.n--;
	return args;
}

static bool is_help(const char *word)
{
	return streq(word, "--help") || streq(word, "-h");
}

static int run_group(size_t g, const struct client *client, struct args args)
{
	const struct command *c;

	if (args.n == 0 || is_help(args.v[0])) {
		group_help(g);
		return EXIT_OK;
	}
	c = find_command(groups[g].commands, args.v[0]);
	if (c)
		return c->run(c, client, shift(args));
	fprintf(stderr,
		"cnm: unknown command: cnm %s %s\n\nUsage:  cnm %s COMMAND\n\n"
		"Run 'cnm %s --help' for more information\n",
		groups[g].name, args.v[0], groups[g].name, groups[g].name);
	return EXIT_ERROR;
}

static int run(const struct client *client, struct args args)
{
	const struct command *c;

	for (size_t g = 0; g < N_GROUPS; g++)
		if (streq(args.v[0], groups[g].name))
			return run_group(g, client, shift(args));
	c = find_command(system_commands, args.v[0]);
	if (c)
		return c->run(c, client, shift(args));
	for (size_t i = 0; i < N_SHORTCUTS; i++) {
		if (streq(args.v[0], shortcuts[i].name)) {
			const struct command alone = shortcut(i);

			return alone.run(&alone, client, shift(args));
		}
	}
	fprintf(stderr, "cnm: unknown command: cnm %s\n\nRun 'cnm --help' for more information\n",
		args.v[0]);
	return EXIT_ERROR;
}

static int run_main(struct args args)
{
	static const struct command self = {
		.name = "", .usage = "[OPTIONS] COMMAND", .max_args = ARGS_ANY, .stop_at_arg = true
	};
	const char *host = NULL, *socket = NULL;
	bool help = false, version = false;
	const struct cli_option options[] = {
		{ 'h', OPTION_FLAG, "help", &help, NULL, "Print this" },
		{ 'H', OPTION_STRING, "host", &host, "string",
		  "Daemon socket to connect to, unix:///PATH (overrides CNM_HOST)" },
		{ 0, OPTION_STRING, "socket", &socket, "string",
		  "Path of the daemon's socket (default " CLIENT_DEFAULT_SOCKET ")" },
		{ 'v', OPTION_FLAG, "version", &version, NULL,
		  "Print version information and quit" },
		{ 0 },
	};
	struct client client;
	int code;

	if (!options_parse(&self, options, &args))
		return args.exit_code;
	if (version) {
		printf("cnm version " CNM_VERSION "\n");
		return EXIT_OK;
	}
	if (help || args.n == 0 || streq(args.v[0], "help")) {
		main_help(options);
		return EXIT_OK;
	}
	code = choose_socket(&client, host, socket);
	return code ? code : run(&client, args);
}

int main(int argc, char **argv)
{
	struct args args = { .v = argv + 1, .n = argc > 0 ? (size_t)argc - 1 : 0 };
	int code = run_main(args);

	if (fflush(stdout) == EOF || ferror(stdout)) {
		fprintf(stderr, "cnm: write the output: %s\n", strerror(errno));
		return code ? code : EXIT_ERROR;
	}
	return code;
}
