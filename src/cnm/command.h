/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a command of `cnm` is, and the parser of its options.
 *
 * A command's function declares its options as a table of name, kind and destination, and lets
 * options_parse() fill them. That prints the help when it is asked for, and says what is wrong in
 * the words of Docker's command line; the function then returns what it is told.
 */
#ifndef CNM_COMMAND_H
#define CNM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As Docker's command exits. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 125,      /* and what went wrong before a container's program ran */
	EXIT_CANNOT_RUN = 126, /* the program */
	EXIT_NO_COMMAND = 127,
};

#define ARGS_ANY SIZE_MAX

/* The words after the command, then NULL; options_parse() leaves those that are no options. */
struct args {
	char **v;
	size_t n;
	int exit_code; /* set when options_parse() returns false */
};

struct client;

struct command {
	const char *group; /* "network", or NULL for a command of its own */
	const char *name;
	const char *alias; /* a second name, or NULL */
	const char *usage; /* what follows the name: "[OPTIONS] NETWORK" */
	const char *brief;
	size_t min_args, max_args;
	bool stop_at_arg; /* what follows the first argument is not cnm's: exec */
	int (*run)(const struct command *self, const struct client *client, struct args args);
};

/* Each ends with an entry whose name is NULL. */
extern const struct command container_commands[], endpoint_commands[], image_commands[],
	network_commands[], node_commands[], plugin_commands[], sandbox_commands[],
	system_commands[], volume_commands[];

enum option_kind {
	OPTION_FLAG,     /* bool: --x, --x=false */
	OPTION_TRISTATE, /* enum cnm_tristate: the same, and "not given" can be told */
	OPTION_STRING,   /* const char *, borrowed from argv */
	OPTION_INT,      /* long */
	OPTION_LIST,     /* struct strv: one entry each time it is given */
	OPTION_LINK,     /* the same: each "NAME" or "NAME:ALIAS" */
	OPTION_CSV,      /* struct strv: and commas separate entries */
	OPTION_MAP,      /* json_t * (an object the caller made): key=value */
	OPTION_FILTER,   /* the same: key=value as Docker's filters, {"key":{"value":true}} */
};

struct cli_option {
	char letter; /* or 0 */
	enum option_kind kind;
	const char *name; /* NULL ends the table */
	void *dest;
	const char *type; /* the word after the name in the help; NULL for flags */
	const char *help;
};

/* What every changing command has. */
#define OPTION_DRY_RUN(dest)                                           \
	{                                                              \
		0, OPTION_FLAG, "dry-run", dest, NULL,                 \
			"Print what would be done, and change nothing" \
	}

/* --format of a list, and of inspect. */
#define OPTION_LIST_FORMAT(dest)                                                              \
	{                                                                                     \
		0, OPTION_STRING, "format", dest, "string",                                   \
			"Format output: 'table', 'table TEMPLATE', 'json', or a TEMPLATE of " \
			"text, {{.FIELD}} and {{json .FIELD}}"                                \
	}
#define OPTION_INSPECT_FORMAT(dest)                                                     \
	{                                                                               \
		'f', OPTION_STRING, "format", dest, "string",                           \
			"Format output: 'json', or a TEMPLATE of text, {{.FIELD}} and " \
			"{{json .FIELD}}"                                               \
	}

/*
 * Fill the options from args and leave the arguments there. false: the command is over (help was
 * printed, or what was wrong), and args->exit_code is its exit code.
 */
bool options_parse(const struct command *cmd, const struct cli_option *options, struct args *args);

/* "--x ..." is wrong as a whole: prints it with the usage. Returns EXIT_USAGE. */
int usage_error(const struct command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The full name with its words, "cnm network create". */
const char *command_path(const struct command *cmd, char buf[static 64]);
/* The help page of a command; the lines "  name   what" of a list of them. */
void command_help(const struct command *cmd, const struct cli_option *options);
void command_list_help(const struct command *list);
/* The lines of the options alone. */
void options_help(const struct cli_option *options);

#endif
