/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The help pages, in the layout of Docker's: options in one column, what they mean in another,
 * wrapped for a terminal of 80.
 */
#include "cnm/command.h"

#include <stdio.h>
#include <string.h>

#define HELP_WIDTH 80
#define HELP_SLOP  5 /* a last word may reach this far into the margin */

const char *command_path(const struct command *cmd, char buf[static 64])
{
	snprintf(buf, 64, "cnm%s%s%s%s", cmd->group ? " " : "", cmd->group ? cmd->group : "",
		 *cmd->name ? " " : "", cmd->name);
	return buf;
}

/* "  -d, --driver string"; returns its length. */
static int option_left(const struct cli_option *o, char *buf, size_t size)
{
	char letter[5] = "    ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	return snprintf(buf, size, "  %s--%s%s%s", letter, o->name, o->type ? " " : "",
			o->type ? o->type : "");
}

/* How much of s stands on a line of the given width. */
static size_t line_len(const char *s, size_t width)
{
	size_t n = strcspn(s, "\n"), cut = width;

	if (n <= width + HELP_SLOP)
		return n;
	while (cut > 0 && s[cut - 1] != ' ')
		cut--;
	return cut > 1 ? cut - 1 : n;
}

static void print_wrapped(const char *s, int indent)
{
	size_t width = HELP_WIDTH - HELP_SLOP - (size_t)indent;

	for (;;) {
		size_t n = line_len(s, width);

		printf("%.*s\n", (int)n, s);
		if (!s[n])
			return;
		s += n + 1;
		printf("%*s", indent, "");
	}
}

void options_help(const struct cli_option *options)
{
	char left[80];
	int width = 0;

	for (const struct cli_option *o = options; o->name; o++) {
		int n = option_left(o, left, sizeof(left));

		if (n > width)
			width = n;
	}
	for (const struct cli_option *o = options; o->name; o++) {
		option_left(o, left, sizeof(left));
		printf("%-*s   ", width, left);
		print_wrapped(o->help, width + 3);
	}
}

void command_help(const struct command *cmd, const struct cli_option *options)
{
	char path[64];

	printf("Usage:  %s%s%s\n\n%s\n", command_path(cmd, path), *cmd->usage ? " " : "",
	       cmd->usage, cmd->brief);
	if (cmd->alias)
		printf("\nAliases:\n  %s, cnm %s%s%s\n", path, cmd->group ? cmd->group : "",
		       cmd->group ? " " : "", cmd->alias);
	if (options->name) {
		printf("\nOptions:\n");
		options_help(options);
	}
}

void command_list_help(const struct command *list)
{
	int width = 0;

	for (const struct command *c = list; c->name; c++)
		if ((int)strlen(c->name) > width)
			width = (int)strlen(c->name);
	for (const struct command *c = list; c->name; c++)
		printf("  %-*s  %s\n", width < 10 ? 10 : width, c->name, c->brief);
}
