/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cnm sandbox create`. As with `docker run`, what concerns one network is said in the long form
 * of --net, or, for the first network, by options of its own; both at once is refused.
 */
#include "cnm/cmd_sandbox_create.h"

#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/naming.h"
#include "cnm/networks.h"
#include "cnm/publish.h"

struct create {
	const char *netns;
	struct strv nets, publish, expose;
	struct naming naming;
	struct settings first; /* --ip and the like */
	json_t *labels;
	long pid;
	bool confined, dry_run;
};

static void create_free(struct create *c)
{
	strv_free(&c->nets);
	strv_free(&c->publish);
	strv_free(&c->expose);
	naming_free(&c->naming);
	settings_free(&c->first);
	json_decref(c->labels);
}

/* A path is the daemon's to open: it must mean the same there. */
static int absolute(const char *path, char **ret, struct cnm_error *err)
{
	*ret = realpath(path, NULL);
	if (*ret)
		return 0;
	return cnm_error_errno(err, errno, "--netns \"%s\"", path);
}

static int put_ports(const struct create *c, json_t *body, struct cnm_error *err)
{
	json_t *publish = json_array(), *exposed = json_array();
	int r;

	if (json_put(body, "Publish", publish) < 0 || json_put(body, "Exposed", exposed) < 0)
		return api_oom(err);
	r = publish_sandbox(&c->publish, publish, err);
	return r < 0 ? r : publish_sandbox_exposed(&c->expose, exposed, err);
}

static int put_text(json_t *body, const char *key, const char *text)
{
	return text ? json_put(body, key, json_string(text)) : 0;
}

static json_t *create_body(struct create *c, const char *name, struct cnm_error *err)
{
	_free_ char *netns = NULL;
	_json_ json_t *body = NULL;
	json_t *networks;

	if (c->netns && absolute(c->netns, &netns, err) < 0)
		return NULL;
	networks = networks_json(&c->nets, &c->first, err);
	if (!networks)
		return NULL;
	body = json_pack("{s:s s:o s:O s:b}", "Name", name, "Networks", networks, "Labels",
			 c->labels, "Confined", c->confined);
	if (!body || put_text(body, "Hostname", c->naming.hostname) < 0 ||
	    put_text(body, "Domainname", c->naming.domainname) < 0 ||
	    (c->pid && json_put(body, "Pid", json_integer(c->pid)) < 0) ||
	    put_text(body, "Netns", netns) < 0) {
		cnm_error_set(err, CNM_E_INVALID,
			      "create sandbox \"%s\": a name or value is not valid UTF-8, or "
			      "memory ran out",
			      name);
		return NULL;
	}
	if (naming_put(&c->naming, body, err) < 0 || put_ports(c, body, err) < 0)
		return NULL;
	return take_ptr(body);
}

int sandbox_create(const struct command *self, const struct client *client, struct args args)
{
	_cleanup_(create_free) struct create c = { .labels = json_object() };
	const struct cli_option options[] = {
		NAMING_OPTION_ADD_HOST(&c.naming),
		{ 0, OPTION_FLAG, "confined", &c.confined, NULL,
		  "Nothing in it has NET_ADMIN: networks hold it to its own MAC and addresses" },
		NAMING_OPTIONS_DNS(&c.naming),
		{ 0, OPTION_STRING, "domainname", &c.naming.domainname, "string",
		  "Sandbox domain name: it is called HOSTNAME.DOMAINNAME as well" },
		OPTION_DRY_RUN(&c.dry_run),
		{ 0, OPTION_LIST, "expose", &c.expose, "list",
		  "Say that it listens on a port or a range of ports, for links" },
		{ 'h', OPTION_STRING, "hostname", &c.naming.hostname, "string",
		  "Sandbox host name (default its name)" },
		SETTINGS_ADDRESS_OPTIONS(&c.first),
		{ 'l', OPTION_MAP, "label", &c.labels, "list", "Set metadata on a sandbox" },
		{ 0, OPTION_LIST, "net", &c.nets, "network",
		  "Connect the sandbox to a network: its name, or name=N,key=value,... with the keys "
		  "ip, ip6, alias, mac-address, link-local-ip, driver-opt and gw-priority. "
		  "Repeatable; the first is eth0" },
		{ 0, OPTION_STRING, "netns", &c.netns, "path",
		  "Adopt the network namespace at this path" },
		{ 0, OPTION_LIST, "network-alias", &c.first.aliases, "list",
		  "Add network-scoped alias for the sandbox" },
		{ 'p', OPTION_LIST, "publish", &c.publish, "list",
		  "Publish a port or a range of ports on the host" },
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
