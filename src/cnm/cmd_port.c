/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm port`: where the ports of a container are published. */
#include "cnm/cmd_container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"

/* "0.0.0.0:8080" for each binding, after prefix. */
static int add_lines(struct strv *lines, const char *prefix, const json_t *bindings,
		     struct cnm_error *err)
{
	const json_t *b;
	size_t i;

	json_array_foreach (bindings, i, b) {
		_cleanup_(strbuf_free) struct strbuf line = { 0 };
		const char *ip = output_string(b, "HostIp"), *open = strchr(ip, ':') ? "[" : "";

		strbuf_addf(&line, "%s%s%s%s:%s", prefix, open, ip, *open ? "]" : "",
			    output_string(b, "HostPort"));
		if (line.failed || strv_add(lines, line.s) < 0)
			return api_oom(err);
	}
	return 0;
}

static int add_all(struct strv *lines, const json_t *ports, struct cnm_error *err)
{
	const char *port;
	json_t *bindings;
	int r = 0;

	json_object_foreach ((json_t *)ports, port, bindings) {
		_cleanup_(strbuf_free) struct strbuf prefix = { 0 };

		strbuf_addf(&prefix, "%s -> ", port);
		if (r == 0)
			r = prefix.failed ? api_oom(err)
					  : add_lines(lines, prefix.s, bindings, err);
	}
	return r;
}

/* text: "80", "80/udp" */
static int add_one(struct strv *lines, const char *ref, const json_t *ports, const char *text,
		   struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf key = { 0 };
	size_t n = strcspn(text, "/");
	const json_t *bindings;
	long port;

	strbuf_addn(&key, text, n);
	if (key.s && str_to_long(key.s, 0, 65535, &port) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid port (%s): not a number from 1 to 65535", key.s);
	if (n == 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid port (): none was given");
	strbuf_addf(&key, "/%s", text[n] && text[n + 1] ? text + n + 1 : "tcp");
	if (key.failed)
		return api_oom(err);
	bindings = json_object_get(ports, key.s);
	if (json_array_size(bindings) == 0)
		return cnm_error_set(err, CNM_E_NOT_FOUND, "No public port '%s' published for %s",
				     text, ref);
	return add_lines(lines, "", bindings, err);
}

/* Digits by their value. */
static int compare_lines(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

int container_port(const struct command *self, const struct client *client, struct args args)
{
	const struct cli_option options[] = { { 0 } };
	_json_ json_t *container = NULL;
	_strv_ struct strv lines = { 0 };
	struct cnm_error err = { 0 };
	const json_t *ports;
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (container_fetch(client, args.v[0], &container, &err) < 0)
		return api_fail(&err);
	ports = json_object_get(json_object_get(container, "NetworkSettings"), "Ports");
	r = args.n > 1 ? add_one(&lines, args.v[0], ports, args.v[1], &err)
		       : add_all(&lines, ports, &err);
	if (r < 0)
		return api_fail(&err);
	if (lines.n)
		qsort(lines.v, lines.n, sizeof(*lines.v), compare_lines);
	for (size_t i = 0; i < lines.n; i++)
		printf("%s\n", lines.v[i]);
	return EXIT_OK;
}
