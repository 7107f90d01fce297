/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm ps`: the list of containers. */
#include "cnm/cmd_container.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"
#include "cnm/ports_text.h"
#include "cnm/units.h"

#define COMMAND_MAX 20
#define MOUNT_MAX   15
#define ELLIPSIS    "…"

static const char *const container_fields[] = {
	"Command", "COMMAND", "CreatedAt",  "CREATED AT", "ID",           "CONTAINER ID",
	"Image",   "IMAGE",   "Labels",     "LABELS",     "LocalVolumes", "LOCAL VOLUMES",
	"Mounts",  "MOUNTS",  "Names",      "NAMES",      "Networks",     "NETWORKS",
	"Ports",   "PORTS",   "RunningFor", "CREATED",    "Size",         "SIZE",
	"State",   "STATE",   "Status",     "STATUS",     NULL,
};

/* ---- text of fields */

static json_t *take_json(struct strbuf *b)
{
	_free_ char *s = strbuf_take(b);

	return s ? json_string(s) : NULL;
}

/* How many bytes of s its first max characters are. */
static size_t characters(const char *s, size_t max)
{
	size_t i = 0;

	for (size_t n = 0; s[i]; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80 && n++ == max)
			break;
	return i;
}

static void add_cut(struct strbuf *b, const char *s, size_t max)
{
	size_t n = characters(s, max);

	if (s[n]) {
		strbuf_addn(b, s, characters(s, max - 1));
		strbuf_add(b, ELLIPSIS);
	} else {
		strbuf_add(b, s);
	}
}

/* In quotes, as Go quotes. */
static json_t *command_text(const json_t *c, bool no_trunc)
{
	static const char special[] = "\a\b\f\n\r\t\v\"\\", names[] = "abfnrtv\"\\";
	_cleanup_(strbuf_free) struct strbuf cut = { 0 };
	struct strbuf b = { 0 };
	const char *s = output_string(c, "Command");

	add_cut(&cut, s, no_trunc ? strlen(s) + 1 : COMMAND_MAX);
	strbuf_add(&b, "\"");
	for (s = cut.s ? cut.s : ""; *s; s++) {
		const char *at = strchr(special, *s);

		if (at)
			strbuf_addf(&b, "\\%c", names[at - special]);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			strbuf_addf(&b, "\\x%02x", (unsigned char)*s);
		else
			strbuf_addn(&b, s, 1);
	}
	strbuf_add(&b, "\"");
	return cut.failed ? (strbuf_free(&b), NULL) : take_json(&b);
}

/* "web,db": without the slash in front; truncated, those of links (web/db) are left out. */
static json_t *names_text(const json_t *c, bool no_trunc)
{
	const json_t *name;
	struct strbuf b = { 0 };
	size_t i;

	json_array_foreach (json_object_get(c, "Names"), i, name) {
		const char *s = json_string_value(name);

		if (!s)
			continue;
		s += *s == '/';
		if (no_trunc || !strchr(s, '/'))
			strbuf_addf(&b, "%s%s", b.len ? "," : "", s);
	}
	return take_json(&b);
}

static json_t *mounts_text(const json_t *c, bool no_trunc)
{
	const json_t *m;
	struct strbuf b = { 0 };
	size_t i;

	json_array_foreach (json_object_get(c, "Mounts"), i, m) {
		const char *name = output_string(m, "Name");

		if (!*name)
			name = output_string(m, "Source");
		strbuf_add(&b, i ? "," : "");
		add_cut(&b, name, no_trunc ? strlen(name) + 1 : MOUNT_MAX);
	}
	return take_json(&b);
}

static json_t *local_volumes(const json_t *c)
{
	const json_t *m;
	size_t i, n = 0;

	json_array_foreach (json_object_get(c, "Mounts"), i, m)
		n += streq(output_string(m, "Driver"), "local");
	return json_sprintf("%zu", n);
}

/* ---- the list */

static json_t *container_row(const json_t *c, bool no_trunc)
{
	int64_t created = json_integer_value(json_object_get(c, "Created"));
	const json_t *networks = json_object_get(c, "NetworkSettings");
	const char *image = output_string(c, "Image");

	return json_pack("{s:o s:o s:o s:s s:o s:o s:o s:o s:o s:o s:o s:s s:s s:s}", "Command",
			 command_text(c, no_trunc), "CreatedAt", units_instant(created), "ID",
			 output_id(c, no_trunc), "Image", *image ? image : "<no image>", "Labels",
			 output_labels(c), "LocalVolumes", local_volumes(c), "Mounts",
			 mounts_text(c, no_trunc), "Names", names_text(c, no_trunc), "Networks",
			 output_keys(json_object_get(networks, "Networks")), "Ports",
			 ports_text(json_object_get(c, "Ports")), "RunningFor",
			 units_since(created), "Size", "0B", "State", output_string(c, "State"),
			 "Status", output_string(c, "Status"));
}

static const struct table_view container_view = {
	.fields = container_fields,
	.standard = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t"
		    "{{.Names}}",
	.row = container_row,
};

static char *list_path(const json_t *filters, bool all, long last)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	_free_ char *filtered = api_path_filtered("/containers/json", filters);
	char limit[24];

	if (!filtered)
		return NULL;
	snprintf(limit, sizeof(limit), "%ld", last);
	strbuf_add(&path, filtered);
	api_add_query(&path, "all", all ? "1" : NULL);
	api_add_query(&path, "limit", last > 0 ? limit : NULL);
	return strbuf_take(&path);
}

int container_ls(const struct command *self, const struct client *client, struct args args)
{
	struct api_list_options list = { 0 };
	bool all = false, latest = false;
	long last = -1;
	_json_ json_t *filters = json_object();
	const struct cli_option options[] = {
		{ 'a', OPTION_FLAG, "all", &all, NULL,
		  "Show all containers (default shows just running)" },
		{ 'f', OPTION_FILTER, "filter", &filters, "filter",
		  "Filter output based on conditions provided" },
		{ 'n', OPTION_INT, "last", &last, "int",
		  "Show n last created containers (includes all states)" },
		{ 'l', OPTION_FLAG, "latest", &latest, NULL,
		  "Show the latest created container (includes all states)" },
		API_LIST_OPTIONS(&list),
		{ 0 },
	};
	_free_ char *path = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	path = list_path(filters, all, latest && last < 0 ? 1 : last);
	return api_list(client, path, &container_view, &list);
}
