/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parser of options: --name value, --name=value, -n value, -nvalue, letters put together, and
 * "--" to end them. Options and arguments may be mixed, unless the command stops at the first
 * argument. What is wrong is said in the words of Docker's command line.
 */
#include "cnm/command.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/cnm.h"
#include "cnm/strv.h"

static void print_usage(const struct command *cmd)
{
	char path[64];

	command_path(cmd, path);
	fprintf(stderr, "\n\nUsage:  %s%s%s\n\nRun '%s --help' for more information\n", path,
		*cmd->usage ? " " : "", cmd->usage, path);
}

int usage_error(const struct command *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	print_usage(cmd);
	return EXIT_USAGE;
}

static int bad_value(const struct command *cmd, const struct cli_option *o, const char *value,
		     const char *why)
{
	char letter[6] = "";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	return usage_error(cmd, "invalid argument \"%s\" for \"%s--%s\" flag: %s", value, letter,
			   o->name, why);
}

/* ---- storing a value; each returns NULL or what is wrong with it */

static const char *store_bool(const struct cli_option *o, const char *value)
{
	bool yes;

	if (str_to_bool(value, &yes) < 0)
		return "neither true nor false";
	if (o->kind == OPTION_FLAG)
		*(bool *)o->dest = yes;
	else
		*(enum cnm_tristate *)o->dest = yes ? CNM_YES : CNM_NO;
	return NULL;
}

static const char *store_map(json_t *map, const char *value)
{
	size_t n = strcspn(value, "=");

	if (n == 0)
		return "empty name";
	if (json_object_setn_new(map, value, n, json_string(value[n] ? value + n + 1 : "")) < 0)
		return "not valid UTF-8";
	return NULL;
}

/* s without the blanks around it; *ret_len is what is left. */
static const char *trim(const char *s, size_t n, size_t *ret_len)
{
	while (n > 0 && isspace((unsigned char)*s)) {
		s++;
		n--;
	}
	while (n > 0 && isspace((unsigned char)s[n - 1]))
		n--;
	*ret_len = n;
	return s;
}

/* " Driver = x" is driver=x, as Docker's command has it. */
static const char *store_filter(json_t *filters, const char *value)
{
	const char *eq = strchr(value, '='), *s;
	_cleanup_(strbuf_free) struct strbuf key = { 0 };
	json_t *values;
	size_t n;

	if (!eq)
		return "bad format of filter (expected name=value)";
	s = trim(value, (size_t)(eq - value), &n);
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&key, "%c", tolower((unsigned char)s[i]));
	if (!key.s)
		return key.failed ? "out of memory" : "empty name";
	values = json_object_get(filters, key.s);
	if (!values) {
		values = json_object();
		if (json_put(filters, key.s, values) < 0)
			return "not valid UTF-8";
	}
	s = trim(eq + 1, strlen(eq + 1), &n);
	return json_object_setn_new(values, s, n, json_true()) < 0 ? "not valid UTF-8" : NULL;
}

static const char *store_list(const struct cli_option *o, const char *value)
{
	int r = o->kind == OPTION_CSV ? strv_add_csv(o->dest, value) : strv_add(o->dest, value);

	if (r == -EINVAL)
		return "a quote is not closed, or text follows it";
	return r < 0 ? "out of memory" : NULL;
}

static const char *store_link(const struct cli_option *o, const char *value)
{
	static char why[256];

	if (!*value)
		return "empty string specified for links";
	if (strchr(value, ':') != strrchr(value, ':')) {
		snprintf(why, sizeof(why), "bad format for links: %s", value);
		return why;
	}
	return store_list(o, value);
}

static const char *store(const struct cli_option *o, const char *value)
{
	switch (o->kind) {
	case OPTION_FLAG:
	case OPTION_TRISTATE:
		return store_bool(o, value);
	case OPTION_STRING:
		*(const char **)o->dest = value;
		return NULL;
	case OPTION_INT:
		if (str_to_long(value, INT_MIN, INT_MAX, o->dest) < 0)
			return "not a whole number, or too big";
		return NULL;
	case OPTION_LIST:
	case OPTION_CSV:
		return store_list(o, value);
	case OPTION_LINK:
		return store_link(o, value);
	case OPTION_MAP:
		return store_map(*(json_t **)o->dest, value);
	case OPTION_FILTER:
		return store_filter(*(json_t **)o->dest, value);
	}
	return NULL;
}

/* ---- finding options */

static bool is_flag(const struct cli_option *o)
{
	return o->kind == OPTION_FLAG || o->kind == OPTION_TRISTATE;
}

static const struct cli_option *find_name(const struct cli_option *o, const char *name, size_t len)
{
	for (; o->name; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *o, char letter)
{
	for (; o->name; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

struct parser {
	const struct command *cmd;
	const struct cli_option *options;
	struct args *args;
	size_t at; /* the word being read */
	bool done; /* the help was printed */
};

static int take_value(struct parser *p, const struct cli_option *o, const char *value)
{
	const char *why = store(o, value);

	return why ? bad_value(p->cmd, o, value, why) : EXIT_OK;
}

/* The word after the present one, or NULL. */
static const char *next_word(struct parser *p)
{
	return p->at + 1 < p->args->n ? p->args->v[++p->at] : NULL;
}

static int help(struct parser *p)
{
	command_help(p->cmd, p->options);
	p->done = true;
	return EXIT_OK;
}

/* word is what follows "--". */
static int parse_name(struct parser *p, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct cli_option *o = find_name(p->options, word, len);
	const char *value;

	if (!o && len == 4 && strncmp(word, "help", 4) == 0)
		return help(p);
	if (!o)
		return usage_error(p->cmd, "unknown flag: --%.*s", (int)len, word);
	if (word[len])
		return take_value(p, o, word + len + 1);
	if (is_flag(o))
		return take_value(p, o, "true");
	value = next_word(p);
	if (!value)
		return usage_error(p->cmd, "flag needs an argument: --%s", o->name);
	return take_value(p, o, value);
}

/* word is what follows "-": letters, the last of which may take a value. */
static int parse_letters(struct parser *p, const char *word)
{
	for (const char *s = word; *s; s++) {
		const struct cli_option *o = find_letter(p->options, *s);
		const char *value = s[1] == '=' ? s + 2 : s + 1;
		int r;

		if (!o && *s == 'h')
			return help(p);
		if (!o)
			return usage_error(p->cmd, "unknown shorthand flag: '%c' in -%s", *s, word);
		if (is_flag(o) && s[1] != '=') {
			r = take_value(p, o, "true");
			if (r)
				return r;
			continue;
		}
		if (!s[1])
			value = next_word(p);
		if (!value)
			return usage_error(p->cmd, "flag needs an argument: '%c' in -%s", *s, word);
		return take_value(p, o, value);
	}
	return EXIT_OK;
}

/* Docker's words for a wrong number of arguments; its exit code is that of an error. */
static int check_count(const struct command *cmd, size_t n)
{
	char path[64];
	size_t min = cmd->min_args, max = cmd->max_args;

	if (n >= min && n <= max)
		return EXIT_OK;
	command_path(cmd, path);
	if (max == 0)
		fprintf(stderr, "cnm: '%s' accepts no arguments", path);
	else
		fprintf(stderr, "cnm: '%s' requires %s%zu argument%s", path,
			max == ARGS_ANY ? "at least " : "", min, min == 1 ? "" : "s");
	print_usage(cmd);
	return EXIT_ERROR;
}

bool options_parse(const struct command *cmd, const struct cli_option *options, struct args *args)
{
	struct parser p = { .cmd = cmd, .options = options, .args = args };
	bool rest = false;
	size_t n = 0;
	int r = EXIT_OK;

	for (; p.at < args->n && r == EXIT_OK && !p.done; p.at++) {
		char *word = args->v[p.at];

		if (rest || word[0] != '-' || !word[1]) {
			args->v[n++] = word;
			rest = rest || cmd->stop_at_arg;
		} else if (streq(word, "--")) {
			rest = true;
		} else {
			r = word[1] == '-' ? parse_name(&p, word + 2) : parse_letters(&p, word + 1);
		}
	}
	if (r == EXIT_OK && !p.done) {
		args->n = n;
		args->v[n] = NULL; /* as in argv: exec takes the rest as it is */
		r = check_count(cmd, n);
	}
	args->exit_code = r;
	return r == EXIT_OK && !p.done;
}
