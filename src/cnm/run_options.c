/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/run_options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/env.h"
#include "cnm/mounts.h"
#include "cnm/networks.h"
#include "cnm/output.h"
#include "cnm/publish.h"

#define NOT_GIVEN LONG_MIN
#define NOT_TEXT  "a name or value is not valid UTF-8, or memory ran out"

void run_options_init(struct run_options *o)
{
	*o = (struct run_options){ .sig_proxy = true,
				   .pull = "missing",
				   .stop_timeout = NOT_GIVEN,
				   .labels = json_object(),
				   .sysctls = json_object() };
}

void run_options_free(struct run_options *o)
{
	struct strv *const lists[] = { &o->env,       &o->env_files, &o->volumes, &o->mounts,
				       &o->tmpfs,     &o->ulimits,   &o->cap_add, &o->cap_drop,
				       &o->group_add, &o->security,  &o->attach,  &o->expose,
				       &o->publish,   &o->nets };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		strv_free(lists[i]);
	naming_free(&o->naming);
	settings_free(&o->first);
	json_decref(o->labels);
	json_decref(o->sysctls);
}

void run_options_table(struct run_options *o, struct cli_option ret[static RUN_OPTIONS_ALL])
{
#define NET_HELP                                                                               \
	"Connect the container to a network: its name, or name=N,key=value,... with the keys " \
	"ip, ip6, alias, mac-address, link-local-ip, driver-opt and gw-priority. Repeatable"
	const struct cli_option table[] = {
		{ 'd', OPTION_FLAG, "detach", &o->detach, NULL,
		  "Run container in background and print container ID" },
		{ 0, OPTION_FLAG, "sig-proxy", &o->sig_proxy, NULL,
		  "Proxy received signals to the process (default true)" },
		NAMING_OPTION_ADD_HOST(&o->naming),
		{ 'a', OPTION_LIST, "attach", &o->attach, "list",
		  "Attach to STDIN, STDOUT or STDERR" },
		{ 0, OPTION_LIST, "cap-add", &o->cap_add, "list", "Add Linux capabilities" },
		{ 0, OPTION_LIST, "cap-drop", &o->cap_drop, "list", "Drop Linux capabilities" },
		{ 0, OPTION_STRING, "cidfile", &o->cidfile, "string",
		  "Write the container ID to the file" },
		{ 'c', OPTION_INT, "cpu-shares", &o->cpu_shares, "int",
		  "CPU shares (relative weight)" },
		{ 0, OPTION_STRING, "cpus", &o->cpus, "decimal", "Number of CPUs" },
		{ 0, OPTION_STRING, "cpuset-cpus", &o->cpuset, "string",
		  "CPUs in which to allow execution (0-3, 0,1)" },
		{ 0, OPTION_STRING, "detach-keys", &o->detach_keys, "string",
		  "Override the key sequence for detaching a container" },
		NAMING_OPTIONS_DNS(&o->naming),
		{ 0, OPTION_STRING, "domainname", &o->naming.domainname, "string",
		  "Container NIS domain name" },
		{ 0, OPTION_STRING, "entrypoint", &o->entrypoint, "string",
		  "Overwrite the default ENTRYPOINT of the image" },
		{ 'e', OPTION_LIST, "env", &o->env, "list", "Set environment variables" },
		{ 0, OPTION_LIST, "env-file", &o->env_files, "list",
		  "Read in a file of environment variables" },
		{ 0, OPTION_LIST, "expose", &o->expose, "list",
		  "Expose a port or a range of ports" },
		{ 0, OPTION_LIST, "group-add", &o->group_add, "list",
		  "Add additional groups to join" },
		{ 'h', OPTION_STRING, "hostname", &o->naming.hostname, "string",
		  "Container host name" },
		{ 'i', OPTION_FLAG, "interactive", &o->interactive, NULL,
		  "Keep STDIN open even if not attached" },
		SETTINGS_ADDRESS_OPTIONS(&o->first),
		{ 'l', OPTION_MAP, "label", &o->labels, "list", "Set meta data on a container" },
		{ 0, OPTION_LINK, "link", &o->first.links, "list",
		  "Add link to another container" },
		{ 'm', OPTION_STRING, "memory", &o->memory, "bytes", "Memory limit" },
		{ 0, OPTION_STRING, "memory-reservation", &o->memory_reservation, "bytes",
		  "Memory soft limit" },
		{ 0, OPTION_STRING, "memory-swap", &o->memory_swap, "bytes",
		  "Swap limit equal to memory plus swap: '-1' to enable unlimited swap" },
		{ 0, OPTION_LIST, "mount", &o->mounts, "mount",
		  "Attach a filesystem mount to the container" },
		{ 0, OPTION_STRING, "name", &o->name, "string", "Assign a name to the container" },
		{ 0, OPTION_LIST, "net", &o->nets, "network", NET_HELP },
		{ 0, OPTION_LIST, "net-alias", &o->first.aliases, "list",
		  "Add network-scoped alias for the container" },
		{ 0, OPTION_LIST, "network", &o->nets, "network", NET_HELP },
		{ 0, OPTION_LIST, "network-alias", &o->first.aliases, "list",
		  "Add network-scoped alias for the container" },
		{ 0, OPTION_INT, "pids-limit", &o->pids_limit, "int",
		  "Tune container pids limit (set -1 for unlimited)" },
		{ 0, OPTION_FLAG, "privileged", &o->privileged, NULL,
		  "Give extended privileges to this container" },
		{ 'p', OPTION_LIST, "publish", &o->publish, "list",
		  "Publish a container's port(s) to the host" },
		{ 'P', OPTION_FLAG, "publish-all", &o->publish_all, NULL,
		  "Publish all exposed ports to random ports" },
		{ 0, OPTION_STRING, "pull", &o->pull, "string",
		  "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")" },
		{ 0, OPTION_FLAG, "read-only", &o->read_only, NULL,
		  "Mount the container's root filesystem as read only" },
		{ 0, OPTION_STRING, "restart", &o->restart, "string",
		  "Restart policy to apply when a container exits (default \"no\")" },
		{ 0, OPTION_FLAG, "rm", &o->remove, NULL,
		  "Automatically remove the container when it exits" },
		{ 0, OPTION_LIST, "security-opt", &o->security, "list", "Security Options" },
		{ 0, OPTION_STRING, "shm-size", &o->shm_size, "bytes", "Size of /dev/shm" },
		{ 0, OPTION_STRING, "stop-signal", &o->stop_signal, "string",
		  "Signal to stop the container" },
		{ 0, OPTION_INT, "stop-timeout", &o->stop_timeout, "int",
		  "Timeout (in seconds) to stop a container" },
		{ 0, OPTION_MAP, "sysctl", &o->sysctls, "map", "Sysctl options" },
		{ 0, OPTION_LIST, "tmpfs", &o->tmpfs, "list", "Mount a tmpfs directory" },
		{ 't', OPTION_FLAG, "tty", &o->tty, NULL, "Allocate a pseudo-TTY" },
		{ 0, OPTION_LIST, "ulimit", &o->ulimits, "ulimit", "Ulimit options" },
		{ 'u', OPTION_STRING, "user", &o->user, "string",
		  "Username or UID (format: <name|uid>[:<group|gid>])" },
		{ 'v', OPTION_LIST, "volume", &o->volumes, "list", "Bind mount a volume" },
		{ 'w', OPTION_STRING, "workdir", &o->workdir, "string",
		  "Working directory inside the container" },
		{ 0 },
	};
#undef NET_HELP

	_Static_assert(sizeof(table) / sizeof(table[0]) <= RUN_OPTIONS_ALL, "table too small");
	memcpy(ret, table, sizeof(table));
}

/* ---- -a, -i, -d */

static int attach_to(struct run_attach *to, const char *what, struct cnm_error *err)
{
	if (strcasecmp(what, "stdin") == 0)
		to->in = true;
	else if (strcasecmp(what, "stdout") == 0)
		to->out = true;
	else if (strcasecmp(what, "stderr") == 0)
		to->err = true;
	else
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid argument \"%s\" for \"-a, --attach\" flag: valid "
				     "streams are STDIN, STDOUT and STDERR",
				     what);
	return 0;
}

int run_options_attach(const struct run_options *o, struct run_attach *ret, struct cnm_error *err)
{
	struct run_attach to = { 0 };
	int r = 0;

	if (o->detach && o->attach.n)
		return cnm_error_set(err, CNM_E_INVALID,
				     "conflicting options: cannot specify both "
				     "--attach and --detach");
	if (!o->detach && o->attach.n == 0)
		to = (struct run_attach){ o->interactive, true, true };
	for (size_t i = 0; r == 0 && i < o->attach.n; i++)
		r = attach_to(&to, o->attach.v[i], err);
	if (r == 0)
		*ret = to;
	return r;
}

/* ---- the body */

static int put_ports(const struct run_options *o, json_t *body, json_t *host, struct cnm_error *err)
{
	json_t *exposed = json_object(), *bindings = json_object();
	int r;

	if (json_put(body, "ExposedPorts", exposed) < 0 ||
	    json_put(host, "PortBindings", bindings) < 0)
		return api_oom(err);
	r = publish_bindings(&o->publish, bindings, exposed, err);
	return r < 0 ? r : publish_exposed(&o->expose, exposed, err);
}

static int put_env(const struct run_options *o, json_t *body, struct cnm_error *err)
{
	_strv_ struct strv env = { 0 };
	int r = env_collect(&o->env, &o->env_files, &env, err);

	return r < 0 || json_put(body, "Env", strv_json(&env)) == 0 ? r : api_oom(err);
}

/* Does the first --net name a network that is none of Docker's own? */
static bool is_user_defined(const char *name)
{
	static const char *const others[] = { "", "default", "bridge", "host", "none" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (streq(name, others[i]))
			return false;
	return !str_after(name, "container:");
}

/* Links are HostConfig's, and on a user-defined network also the endpoint's. */
static int put_links(const struct run_options *o, json_t *host, json_t *first, const char *network,
		     struct cnm_error *err)
{
	if (o->first.links.n && json_put(host, "Links", strv_json(&o->first.links)) < 0)
		return api_oom(err);
	if (!is_user_defined(network))
		json_object_del(json_object_get(first, "EndpointConfig"), "Links");
	return 0;
}

/* NetworkMode is the first network; options for it without any are for Docker's default one. */
static int put_networks(struct run_options *o, json_t *body, json_t *host, struct cnm_error *err)
{
	const struct settings *s = &o->first;
	_json_ json_t *networks = NULL;
	json_t *endpoints = json_object(), *n;
	const char *name;
	size_t i;

	if (json_put(body, "NetworkingConfig", json_pack("{s:o}", "EndpointsConfig", endpoints)) <
	    0)
		return api_oom(err);
	if (o->nets.n == 0 && (s->ip || s->ip6 || s->mac || s->aliases.n || s->links.n) &&
	    strv_add(&o->nets, "default") < 0)
		return api_oom(err);
	networks = networks_json(&o->nets, s, err);
	if (!networks)
		return -EINVAL;
	name = output_string(json_array_get(networks, 0), "Network");
	if (json_put(host, "NetworkMode", json_string(*name ? name : "default")) < 0)
		return api_oom(err);
	if (put_links(o, host, json_array_get(networks, 0), name, err) < 0)
		return -ENOMEM;
	json_array_foreach (networks, i, n) {
		json_t *config = json_object_get(n, "EndpointConfig");

		if (json_array_size(networks) == 1 && json_object_size(config) == 0)
			continue;
		if (json_put(endpoints, output_string(n, "Network"), json_incref(config)) < 0)
			return api_oom(err);
	}
	return 0;
}

static json_t *command_json(struct args words)
{
	const struct strv command = { words.v + 1, words.n - 1 };

	return words.n > 1 ? strv_json(&command) : json_null();
}

static json_t *config_json(const struct run_options *o, const struct run_attach *to,
			   struct args words)
{
	json_t *body =
		json_pack("{s:s s:o s:b s:b s:b s:b s:b s:b s:O}", "Image", words.v[0], "Cmd",
			  command_json(words), "AttachStdin", to->in, "AttachStdout", to->out,
			  "AttachStderr", to->err, "Tty", o->tty, "OpenStdin", o->interactive,
			  "StdinOnce", o->interactive && to->in, "Labels", o->labels);

	json_put(body, "Hostname", json_str(o->naming.hostname));
	json_put(body, "Domainname", json_str(o->naming.domainname));
	json_put(body, "User", json_str(o->user));
	json_put(body, "WorkingDir", json_str(o->workdir));
	json_put(body, "Entrypoint", o->entrypoint ? json_pack("[s]", o->entrypoint) : json_null());
	if (o->stop_signal)
		json_put(body, "StopSignal", json_string(o->stop_signal));
	if (o->stop_timeout != NOT_GIVEN)
		json_put(body, "StopTimeout", json_integer(o->stop_timeout));
	return body;
}

static int put_volumes(const struct run_options *o, json_t *body, json_t *host,
		       struct cnm_error *err)
{
	json_t *volumes = json_object(), *binds = json_array(), *mounts = json_array();
	int r;

	if (json_put(body, "Volumes", volumes) < 0 || json_put(host, "Binds", binds) < 0 ||
	    json_put(host, "Mounts", mounts) < 0)
		return api_oom(err);
	r = mounts_add_volumes(&o->volumes, binds, volumes, err);
	return r < 0 ? r : mounts_add(&o->mounts, mounts, err);
}

json_t *run_options_body(struct run_options *o, struct args words, struct cnm_error *err)
{
	_json_ json_t *body = NULL;
	_free_ char *text = NULL;
	struct run_attach to = { 0 };
	json_t *host;

	if (run_options_attach(o, &to, err) < 0)
		return NULL;
	host = run_options_host(o, err);
	if (!host)
		return NULL;
	body = config_json(o, &to, words);
	if (json_put(body, "HostConfig", host) < 0) {
		cnm_error_set(err, CNM_E_INVALID, NOT_TEXT);
		return NULL;
	}
	if (put_env(o, body, err) < 0 || naming_put(&o->naming, host, err) < 0 ||
	    put_ports(o, body, host, err) < 0 || put_volumes(o, body, host, err) < 0 ||
	    put_networks(o, body, host, err) < 0)
		return NULL;
	text = json_text(body);
	if (text)
		return take_ptr(body);
	cnm_error_set(err, CNM_E_INVALID, NOT_TEXT);
	return NULL;
}
