/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm events`: each event as it comes, on a line like those of `docker events`. */
#include "cnm/cmd_events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"
#include "cnm/template.h"

#define NS_PER_S 1000000000

/* "2026-11-22T16:00:00.123456789+01:00 ", local time; "Z" in place of a zone of no hours. */
static void print_time(int64_t ns)
{
	time_t s = ns / NS_PER_S;
	char stamp[32], zone[8];
	struct tm tm;

	localtime_r(&s, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	printf("%s.%09d", stamp, (int)(ns % NS_PER_S));
	if (tm.tm_gmtoff)
		printf("%.3s:%s ", zone, zone + 3);
	else
		printf("Z ");
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* " (name=backend, type=bridge)", in order. */
static int print_attributes(json_t *attributes)
{
	_free_ const char **keys = calloc(json_object_size(attributes) + 1, sizeof(*keys));
	const char *key;
	json_t *value;
	size_t n = 0;

	if (!keys)
		return -ENOMEM;
	json_object_foreach (attributes, key, value)
		keys[n++] = key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < n; i++)
		printf("%s%s=%s", i ? ", " : " (", keys[i], output_string(attributes, keys[i]));
	printf("%s\n", n ? ")" : "");
	return 0;
}

static int print_event(const json_t *event, struct cnm_error *err)
{
	const json_t *actor = json_object_get(event, "Actor");
	int64_t ns = json_integer_value(json_object_get(event, "timeNano"));

	if (ns == 0)
		ns = json_integer_value(json_object_get(event, "time")) * NS_PER_S;
	print_time(ns);
	printf("%s %s %s", output_string(event, "Type"), output_string(event, "Action"),
	       output_string(actor, "ID"));
	return print_attributes(json_object_get(actor, "Attributes")) < 0 ? api_oom(err) : 0;
}

/* Where a line of the stream goes. */
struct printer {
	bool json;
	struct template *template; /* or NULL: for people */
};

static int print_template(const struct template *t, const json_t *event, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf out = { 0 };
	int r = template_run(t, event, &out, err);

	if (r == 0 && out.failed)
		r = api_oom(err);
	if (r == 0)
		printf("%s\n", out.s ? out.s : "");
	return r;
}

static int deliver(const char *line, void *arg, struct cnm_error *err)
{
	const struct printer *p = arg;
	_json_ json_t *event = NULL;
	int r = 0;

	if (!*line)
		return 0;
	event = json_loads(line, 0, NULL);
	if (!event)
		return cnm_error_set(err, CNM_E_UNAVAILABLE, "an event is not JSON: %s", line);
	if (p->json)
		printf("%s\n", line);
	else if (p->template)
		r = print_template(p->template, event, err);
	else
		r = print_event(event, err);
	if (r == 0 && fflush(stdout) == EOF)
		r = cnm_error_errno(err, errno, "print an event");
	return r;
}

static int stream(const struct client *client, const char *since, const char *until,
		  const json_t *filters, struct printer *p, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	_free_ char *filtered = api_path_filtered("/events", filters);
	struct client_lines lines = { "GET", NULL, -1, deliver, p };

	strbuf_add(&path, filtered ? filtered : "");
	api_add_query(&path, "since", since);
	api_add_query(&path, "until", until);
	lines.path = path.s;
	return filtered && !path.failed ? client_lines(client, &lines, err) : api_oom(err);
}

int events(const struct command *self, const struct client *client, struct args args)
{
	const char *format = NULL, *since = NULL, *until = NULL;
	_json_ json_t *filters = json_object();
	const struct cli_option options[] = {
		{ 'f', OPTION_FILTER, "filter", &filters, "filter",
		  "Filter output based on conditions provided" },
		OPTION_INSPECT_FORMAT(&format),
		{ 0, OPTION_STRING, "since", &since, "string",
		  "Show all events created since timestamp" },
		{ 0, OPTION_STRING, "until", &until, "string",
		  "Stream events until this timestamp" },
		{ 0 },
	};
	_cleanup_(template_free) struct template t = { 0 };
	struct printer p = { 0 };
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	p.json = format && streq(format, "json");
	if (format && *format && !p.json) {
		if (template_parse(&t, format, &err) < 0)
			return api_fail(&err);
		p.template = &t;
	}
	return stream(client, since, until, filters, &p, &err) < 0 ? api_fail(&err) : EXIT_OK;
}
