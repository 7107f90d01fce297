/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cnm sandbox create`. As with `docker run`, what concerns one network is said in the long form
 * of --net, or, for the first network, by options of its own; both at once is refused.
 */
#include "cnm/cmd_sandbox_create.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/settings.h"

struct create {
	const char *hostname, *netns;
	struct strv nets;
	struct settings first; /* --ip and the like */
	json_t *labels;
	long pid;
	bool dry_run;
};

static void create_free(struct create *c)
{
	strv_free(&c->nets);
	settings_free(&c->first);
	json_decref(c->labels);
}

static int merge_string(const char **to, const char *from, const char *option, const char *what,
			struct cnm_error *err)
{
	if (!from)
		return 0;
	if (*to)
		return cnm_error_set(err, CNM_E_INVALID,
				     "conflicting options: cannot specify both --%s and "
				     "per-network %s",
				     option, what);
	*to = from;
	return 0;
}

/* The options of the first network go into its attachment. */
static int merge_first(struct settings *to, struct settings *from, struct cnm_error *err)
{
	int r = merge_string(&to->ip, from->ip, "ip", "IPv4 address", err);

	if (r == 0)
		r = merge_string(&to->ip6, from->ip6, "ip6", "IPv6 address", err);
	if (r == 0)
		r = merge_string(&to->mac, from->mac, "mac-address", "MAC address", err);
	if (r == 0 && from->aliases.n && to->aliases.n)
		r = cnm_error_set(err, CNM_E_INVALID,
				  "conflicting options: cannot specify both --network-alias and "
				  "per-network alias");
	for (size_t i = 0; r == 0 && i < from->aliases.n; i++)
		r = strv_add(&to->aliases, from->aliases.v[i]) < 0 ? api_oom(err) : 0;
	return r;
}

static bool is_listed(const json_t *networks, const char *name)
{
	const json_t *n;
	size_t i;

	json_array_foreach (networks, i, n)
		if (streq(json_string_value(json_object_get(n, "Network")), name))
			return true;
	return false;
}

/* Append {"Network", "EndpointConfig"} for one --net; settings of the first, or NULL. */
static int add_network(json_t *networks, const char *text, struct settings *first,
		       struct cnm_error *err)
{
	_cleanup_(attachment_free) struct attachment a = { 0 };
	json_t *config;
	int r = attachment_parse(&a, text, err);

	if (r < 0)
		return r;
	if (is_listed(networks, a.network))
		return cnm_error_set(err, CNM_E_INVALID,
				     "network \"%s\" is specified multiple times", a.network);
	if (first)
		r = merge_first(&a.settings, first, err);
	if (r < 0)
		return r;
	config = settings_json(&a.settings, err);
	if (!config)
		return -EINVAL;
	if (json_array_append_new(networks, json_pack("{s:s s:o}", "Network", a.network,
						      "EndpointConfig", config)) < 0)
		return api_oom(err);
	return 0;
}

static json_t *networks_json(struct create *c, struct cnm_error *err)
{
	_json_ json_t *networks = json_array();
	const struct settings *s = &c->first;
	int r = networks ? 0 : api_oom(err);

	if (r == 0 && c->nets.n == 0 && (s->ip || s->ip6 || s->mac || s->aliases.n))
		r = cnm_error_set(
			err, CNM_E_INVALID,
			"--ip, --ip6, --mac-address and --network-alias are for the first "
			"network: give --net");
	for (size_t i = 0; r == 0 && i < c->nets.n; i++)
		r = add_network(networks, c->nets.v[i], i == 0 ? &c->first : NULL, err);
	return r < 0 ? NULL : take_ptr(networks);
}

/* A path is the daemon's to open: it must mean the same there. */
static int absolute(const char *path, char **ret, struct cnm_error *err)
{
	*ret = realpath(path, NULL);
	if (*ret)
		return 0;
	return cnm_error_errno(err, errno, "--netns \"%s\"", path);
}

static json_t *create_body(struct create *c, const char *name, struct cnm_error *err)
{
	_free_ char *netns = NULL;
	_json_ json_t *body = NULL;
	json_t *networks;

	if (c->netns && absolute(c->netns, &netns, err) < 0)
		return NULL;
	networks = networks_json(c, err);
	if (!networks)
		return NULL;
	body = json_pack("{s:s s:o s:O}", "Name", name, "Networks", networks, "Labels", c->labels);
	if (!body || (c->hostname && json_put(body, "Hostname", json_string(c->hostname)) < 0) ||
	    (c->pid && json_put(body, "Pid", json_integer(c->pid)) < 0) ||
	    (netns && json_put(body, "Netns", json_string(netns)) < 0)) {
		cnm_error_set(err, CNM_E_INVALID,
			      "create sandbox \"%s\": a name or value is not valid UTF-8, or "
			      "memory ran out",
			      name);
		return NULL;
	}
	return take_ptr(body);
}

int sandbox_create(const struct command *self, const struct client *client, struct args args)
{
	_cleanup_(create_free) struct create c = { .labels = json_object() };
	const struct cli_option options[] = {
		OPTION_DRY_RUN(&c.dry_run),
		{ 'h', OPTION_STRING, "hostname", &c.hostname, "string",
		  "Sandbox host name (default its name)" },
		{ 0, OPTION_STRING, "ip", &c.first.ip, "string",
		  "IPv4 address (e.g., 172.30.100.104)" },
		{ 0, OPTION_STRING, "ip6", &c.first.ip6, "string",
		  "IPv6 address (e.g., 2001:db8::33)" },
		{ 'l', OPTION_MAP, "label", &c.labels, "list", "Set metadata on a sandbox" },
		{ 0, OPTION_STRING, "mac-address", &c.first.mac, "string",
		  "MAC address (e.g., 92:d0:c6:0a:29:33)" },
		{ 0, OPTION_LIST, "net", &c.nets, "network",
		  "Connect the sandbox to a network: its name, or name=N,key=value,... with the keys "
		  "ip, ip6, alias, mac-address, link-local-ip, driver-opt and gw-priority. "
		  "Repeatable; the first is eth0" },
		{ 0, OPTION_STRING, "netns", &c.netns, "path",
		  "Adopt the network namespace at this path" },
		{ 0, OPTION_LIST, "network-alias", &c.first.aliases, "list",
		  "Add network-scoped alias for the sandbox" },
		{ 0, OPTION_INT, "pid", &c.pid, "int",
		  "Adopt the network namespace of this process" },
		{ 0 },
	};
	struct cnm_error err = { 0 };
	_json_ json_t *body = NULL;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (c.pid < 0 || (c.pid && c.netns))
		return usage_error(self, "%s",
				   c.pid < 0 ? "--pid must be the number of a process"
					     : "conflicting options: --pid and --netns");
	body = create_body(&c, args.v[0], &err);
	return body ? api_create(client, "/cnm/v1/sandboxes", body, c.dry_run) : api_fail(&err);
}
