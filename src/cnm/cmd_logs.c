/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm logs`. */
#include "cnm/cmd_container.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/demux.h"
#include "cnm/output.h"

#define NS_PER_S 1000000000LL

struct logs {
	bool follow, timestamps;
	const char *tail, *since, *until;
};

/* An instant as it was given is seconds and nanoseconds on the wire. */
static int add_instant(struct strbuf *path, const char *key, const char *given,
		       struct cnm_error *err)
{
	char text[48];
	int64_t ns;

	if (!given)
		return 0;
	if (clock_parse(given, clock_wall_ns(), &ns) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid value for \"%s\": %s is no time; give RFC 3339, Unix "
				     "seconds, or a duration before now (1h30m)",
				     key, given);
	snprintf(text, sizeof(text), "%lld.%09lld", (long long)(ns / NS_PER_S),
		 (long long)(ns % NS_PER_S));
	api_add_query(path, key, text);
	return 0;
}

static int logs_path(const struct logs *l, const char *id, struct strbuf *path,
		     struct cnm_error *err)
{
	_free_ char *base = api_path(api_container.collection, id, "logs", "stdout=1&stderr=1");
	int r;

	if (!base)
		return api_oom(err);
	strbuf_add(path, base);
	api_add_query(path, "follow", l->follow ? "1" : NULL);
	api_add_query(path, "timestamps", l->timestamps ? "1" : NULL);
	api_add_query(path, "tail", l->tail);
	r = add_instant(path, "since", l->since, err);
	if (r == 0)
		r = add_instant(path, "until", l->until, err);
	return r == 0 && path->failed ? api_oom(err) : r;
}

static int deliver_raw(const char *data, size_t n, void *arg, struct cnm_error *err)
{
	return write_all(STDOUT_FILENO, data, n, err);
}

static int deliver_frames(const char *data, size_t n, void *arg, struct cnm_error *err)
{
	return demux_feed(arg, data, n, err);
}

static int print_logs(const struct client *client, const struct logs *l, const char *ref,
		      struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	_json_ json_t *container = NULL;
	struct demux demux = { 0 };
	struct client_transfer t = { "GET", NULL, -1, deliver_frames, &demux };
	int r = container_fetch(client, ref, &container, err);

	if (r == 0)
		r = logs_path(l, output_string(container, "Id"), &path, err);
	if (r < 0)
		return r;
	if (json_is_true(json_object_get(json_object_get(container, "Config"), "Tty")))
		t.deliver = deliver_raw;
	t.path = path.s;
	return client_transfer(client, &t, err);
}

int container_logs(const struct command *self, const struct client *client, struct args args)
{
	struct logs l = { .tail = "all" };
	const struct cli_option options[] = {
		{ 'f', OPTION_FLAG, "follow", &l.follow, NULL, "Follow log output" },
		{ 0, OPTION_STRING, "since", &l.since, "string",
		  "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. "
		  "\"42m\" for 42 minutes)" },
		{ 'n', OPTION_STRING, "tail", &l.tail, "string",
		  "Number of lines to show from the end of the logs (default \"all\")" },
		{ 't', OPTION_FLAG, "timestamps", &l.timestamps, NULL, "Show timestamps" },
		{ 0, OPTION_STRING, "until", &l.until, "string",
		  "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. "
		  "\"42m\" for 42 minutes)" },
		{ 0 },
	};
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return print_logs(client, &l, args.v[0], &err) < 0 ? api_fail(&err) : EXIT_OK;
}
