/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands that are about the engine as a whole: doctor, events, info, inspect, version. Those
 * about flows are in cmd_why.c, that about names in cmd_dns.c. */
#include "cnm/command.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/cmd_dns.h"
#include "cnm/cmd_events.h"
#include "cnm/cmd_why.h"
#include "cnm/output.h"

#define API_VERSION "1.47"

/* ---- doctor */

static void print_difference(const json_t *d)
{
	const char *action = output_string(d, "Action"), *owner = output_string(d, "Owner");
	const char *want = output_string(d, "Want"), *have = output_string(d, "Have");

	printf("%s %s in %s%s%s%s ", output_string(d, "Kind"), output_string(d, "Key"),
	       output_string(d, "Where"), *owner ? " (" : "", owner, *owner ? ")" : "");
	if (streq(action, "add"))
		printf("is missing%s%s\n", *want ? "; it should be: " : "", want);
	else if (streq(action, "remove"))
		printf("should not be there%s%s\n", *have ? "; it is: " : "", have);
	else
		printf("is: %s; it should be: %s\n", have, want);
}

static int doctor(const struct command *self, const struct client *client, struct args args)
{
	bool repair = false;
	const struct cli_option options[] = {
		{ 0, OPTION_FLAG, "repair", &repair, NULL,
		  "Mend the differences, and print those that remain" },
		{ 0 },
	};
	_json_ json_t *answer = NULL;
	struct cnm_error err = { 0 };
	const json_t *differences, *item;
	size_t i;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (client_call_json(client, repair ? "POST" : "GET", "/cnm/v1/doctor", NULL, &answer,
			     &err) < 0)
		return api_fail(&err);
	json_array_foreach (json_object_get(answer, "Notes"), i, item)
		fprintf(stderr, "note: %s\n", json_string_value(item));
	differences = json_object_get(answer, "Differences");
	json_array_foreach (differences, i, item)
		print_difference(item);
	return json_array_size(differences) ? EXIT_ERROR : EXIT_OK;
}

/* ---- info */

static void print_value(const char *key, const json_t *v, int depth);

static void print_members(const json_t *object, int depth)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)object, key, v)
		print_value(key, v, depth);
}

static bool is_scalar(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

static void print_scalar(const json_t *v)
{
	_free_ char *text = NULL;

	if (json_is_string(v)) {
		fputs(json_string_value(v), stdout);
		return;
	}
	text = json_dumps(v, JSON_ENCODE_ANY);
	fputs(text ? text : "?", stdout);
}

/* Scalars on one line with spaces between; other items one below the other. */
static void print_items(const json_t *array, int depth)
{
	const json_t *v;
	size_t i;

	json_array_foreach (array, i, v) {
		if (is_scalar(v)) {
			putchar(' ');
			print_scalar(v);
		} else if (json_is_object(v)) {
			print_members(v, depth + 1);
		} else {
			print_items(v, depth + 1);
		}
		if (i + 1 == json_array_size(array) && is_scalar(v))
			putchar('\n');
	}
}

/* "Key: value", what is within one further in, as `docker info` has it; null is left out. */
static void print_value(const char *key, const json_t *v, int depth)
{
	if (json_is_null(v))
		return;
	printf("%*s%s:", depth, "", key);
	if (is_scalar(v)) {
		putchar(' ');
		print_scalar(v);
		putchar('\n');
	} else if (json_is_object(v)) {
		putchar('\n');
		print_members(v, depth + 1);
	} else {
		if (!is_scalar(json_array_get(v, 0)))
			putchar('\n');
		print_items(v, depth);
	}
}

/* GET path, printed through --format if it was given; else *ret is the answer. */
static int fetch_formatted(const struct client *client, const char *path, const char *format,
			   json_t **ret, struct cnm_error *err)
{
	_strv_ struct strv documents = { 0 };
	_free_ char *text = NULL;
	int r;

	if (!format || !*format)
		return client_call_json(client, "GET", path, NULL, ret, err);
	r = client_call(client, "GET", path, NULL, &text, err);
	if (r == 0 && strv_add(&documents, text) < 0)
		r = api_oom(err);
	return r < 0 ? r : output_each(&documents, format, err);
}

static int info(const struct command *self, const struct client *client, struct args args)
{
	const char *format = NULL;
	const struct cli_option options[] = { OPTION_INSPECT_FORMAT(&format), { 0 } };
	_json_ json_t *answer = NULL;
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (fetch_formatted(client, "/info", format, &answer, &err) < 0)
		return api_fail(&err);
	print_members(answer, 0);
	return EXIT_OK;
}

/* ---- inspect */

/* An object of any kind, in Docker's order. */
static int inspect(const struct command *self, const struct client *client, struct args args)
{
	static const struct api_kind *const kinds[] = { &api_container, &api_image, &api_network,
							&api_volume, &api_sandbox };
	size_t n = sizeof(kinds) / sizeof(kinds[0]), first = 0;
	const char *format = NULL, *type = NULL;
	const struct cli_option options[] = {
		OPTION_INSPECT_FORMAT(&format),
		{ 0, OPTION_STRING, "type", &type, "string",
		  "Only inspect objects of the given type" },
		{ 0 },
	};

	if (!options_parse(self, options, &args))
		return args.exit_code;
	while (type && first < n && !streq(kinds[first]->noun, type))
		first++;
	if (first == n)
		return usage_error(self, "\"%s\" is not a valid value for --type", type);
	return api_inspect_all(client, kinds + first, type ? 1 : n, args, NULL, format);
}

/* ---- version */

static void print_version(const json_t *v)
{
	printf("\nServer:\n Version:           %s\n API version:       %s (minimum version %s)\n"
	       " OS/Arch:           %s/%s\n",
	       output_string(v, "Version"), output_string(v, "ApiVersion"),
	       output_string(v, "MinAPIVersion"), output_string(v, "Os"), output_string(v, "Arch"));
}

static int version(const struct command *self, const struct client *client, struct args args)
{
	const char *format = NULL;
	const struct cli_option options[] = { OPTION_INSPECT_FORMAT(&format), { 0 } };
	_json_ json_t *answer = NULL;
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (!format)
		printf("Client:\n Version:           " CNM_VERSION
		       "\n API version:       " API_VERSION "\n");
	if (fetch_formatted(client, "/version", format, &answer, &err) < 0)
		return api_fail(&err);
	if (answer)
		print_version(answer);
	return EXIT_OK;
}

const struct command system_commands[] = {
	{ NULL, "dns", NULL, "[OPTIONS] SANDBOX [NAME]",
	  "Show the names a sandbox can resolve and where the rest goes, or what becomes of one", 1,
	  2, false, dns },
	{ NULL, "doctor", NULL, "[OPTIONS]",
	  "Print every difference between what should exist in the kernel and what does", 0, 0,
	  false, doctor },
	{ NULL, "events", NULL, "[OPTIONS]", "Get real time events from the daemon", 0, 0, false,
	  events },
	{ NULL, "info", NULL, "[OPTIONS]", "Display what the daemon knows of itself", 0, 0, false,
	  info },
	{ NULL, "inspect", NULL, "[OPTIONS] NAME|ID [NAME|ID...]",
	  "Return low-level information on containers, images, networks, volumes and sandboxes", 1,
	  ARGS_ANY, false, inspect },
	{ NULL, "trace", NULL, "[OPTIONS] FROM TO",
	  "Follow the packets of a flow through the firewall", 2, 2, false, trace },
	{ NULL, "version", NULL, "[OPTIONS]", "Show the version of the command and the daemon", 0,
	  0, false, version },
	{ NULL, "why", NULL, "[OPTIONS] FROM TO",
	  "Say whether packets of a flow arrive, and why or why not", 2, 2, false, why },
	{ 0 },
};
