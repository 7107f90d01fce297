/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm why` and `cnm trace`: would a packet arrive, and what becomes of those that are sent. */
#include "cnm/cmd_why.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"

/* "/cnm/v1/why?from=con1&to=con3&port=tcp%2F80" */
static void flow_path(struct strbuf *path, const char *what, const struct args *args,
		      const char *port)
{
	strbuf_addf(path, "/cnm/v1/%s", what);
	api_add_query(path, "from", args->v[0]);
	api_add_query(path, "to", args->v[1]);
	api_add_query(path, "port", port);
}

/* ---- why */

static bool has_arrived(const json_t *probe)
{
	const char *result = output_string(probe, "Result");

	return streq(result, "answered") || streq(result, "refused");
}

static void print_answer(const json_t *answer)
{
	const json_t *probe = json_object_get(answer, "Probe");
	const char *fix = output_string(answer, "Fix");

	printf("%s\n", output_string(answer, "Reason"));
	if (*fix)
		printf("fix: %s\n", fix);
	if (probe)
		printf("probe: %s\n", output_string(probe, "Text"));
}

static int ask(const struct client *client, const char *path, bool json, struct cnm_error *err)
{
	_free_ char *text = NULL;
	_json_ json_t *answer = NULL;
	bool yes;
	int r = client_call(client, "GET", path, NULL, &text, err);

	if (r < 0)
		return r;
	answer = json_loads(text, 0, NULL);
	if (!answer)
		return cnm_error_set(err, CNM_E_UNAVAILABLE, "the answer is not JSON: %s", text);
	if (json)
		printf("%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
	else
		print_answer(answer);
	yes = json_is_true(json_object_get(answer, "Reachable"));
	return yes || has_arrived(json_object_get(answer, "Probe"));
}

int why(const struct command *self, const struct client *client, struct args args)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	const char *format = NULL, *port = NULL;
	bool no_probe = false;
	const struct cli_option options[] = {
		{ 'f', OPTION_STRING, "format", &format, "string", "Format output: 'json'" },
		{ 0, OPTION_FLAG, "no-probe", &no_probe, NULL,
		  "Answer from what is known, and send no packet" },
		{ 'p', OPTION_STRING, "port", &port, "string",
		  "Port to ask about, like tcp/80 (default: an echo request)" },
		{ 0 },
	};
	struct cnm_error err = { 0 };
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (format && !streq(format, "json"))
		return usage_error(self, "\"%s\" is not a valid value for --format", format);
	flow_path(&path, "why", &args, port);
	api_add_query(&path, "probe", no_probe ? NULL : "1");
	r = path.failed ? api_oom(&err) : ask(client, path.s, format, &err);
	if (r < 0)
		return api_fail(&err);
	return r ? EXIT_OK : EXIT_ERROR;
}

/* ---- trace */

struct tracer {
	const struct client *client;
	bool json;
	const char
		*probe; /* path of the request that sends one, when the trace has begun; or NULL */
	int64_t packet; /* told of last */
};

static void print_step(struct tracer *t, const json_t *step)
{
	int64_t packet = json_integer_value(json_object_get(step, "Packet"));

	if (packet && packet != t->packet)
		printf("\npacket %lld, %s to %s\n", (long long)packet, output_string(step, "From"),
		       output_string(step, "To"));
	t->packet = packet;
	printf("%s%s\n", packet ? "  " : "", output_string(step, "Text"));
}

static int deliver(const char *line, void *arg, struct cnm_error *err)
{
	struct tracer *t = arg;
	_json_ json_t *step = NULL;
	_free_ char *answer = NULL;

	if (!*line)
		return 0;
	step = json_loads(line, 0, NULL);
	if (!step)
		return cnm_error_set(err, CNM_E_UNAVAILABLE, "a step is not JSON: %s", line);
	if (t->json)
		printf("%s\n", line);
	else
		print_step(t, step);
	if (fflush(stdout) == EOF)
		return cnm_error_errno(err, errno, "print a step");
	if (!t->probe)
		return 0;
	return client_call(t->client, "GET", take_ptr(t->probe), NULL, &answer, err);
}

int trace(const struct command *self, const struct client *client, struct args args)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 }, probe_path = { 0 };
	const char *format = NULL, *port = NULL, *seconds = NULL;
	bool probe = false;
	const struct cli_option options[] = {
		{ 'f', OPTION_STRING, "format", &format, "string", "Format output: 'json'" },
		{ 'p', OPTION_STRING, "port", &port, "string",
		  "Only packets from or to this port, like tcp/80 (default: all)" },
		{ 0, OPTION_FLAG, "probe", &probe, NULL, "Send a packet to follow" },
		{ 't', OPTION_STRING, "time", &seconds, "seconds",
		  "How long to follow what is sent (default 10)" },
		{ 0 },
	};
	struct tracer t = { .client = client };
	struct client_lines lines = { "GET", NULL, -1, deliver, &t };
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (format && !streq(format, "json"))
		return usage_error(self, "\"%s\" is not a valid value for --format", format);
	t.json = format;
	flow_path(&path, "trace", &args, port);
	api_add_query(&path, "time", seconds);
	flow_path(&probe_path, "why", &args, port);
	api_add_query(&probe_path, "probe", "1");
	if (path.failed || probe_path.failed) {
		api_oom(&err);
		return api_fail(&err);
	}
	lines.path = path.s;
	t.probe = probe ? probe_path.s : NULL;
	return client_lines(client, &lines, &err) < 0 ? api_fail(&err) : EXIT_OK;
}
