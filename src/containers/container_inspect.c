/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GET /containers/X/json, in Docker's shape and order. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/published.h"
#include "containers/rootfs.h"

/* ---- times for people, as Docker's go-units has them */

static void duration_text(int64_t ns, char *buf, size_t size)
{
	static const struct {
		int64_t below, unit; /* seconds */
		const char *one, *many;
	} steps[] = { { 60, 1, "1 second", "seconds" },
		      { 3600, 60, "About a minute", "minutes" },
		      { 172800, 3600, "About an hour", "hours" },
		      { 1209600, 86400, "1 day", "days" },
		      { 5184000, 604800, "1 week", "weeks" },
		      { 63072000, 2592000, "1 month", "months" },
		      { INT64_MAX, 31536000, "1 year", "years" } };
	int64_t s = ns / 1000000000, n;
	unsigned i = 0;

	if (s < 1) {
		snprintf(buf, size, "Less than a second");
		return;
	}
	while (s >= steps[i].below)
		i++;
	n = s / steps[i].unit;
	if (n == 1)
		snprintf(buf, size, "%s", steps[i].one);
	else
		snprintf(buf, size, "%lld %s", (long long)n, steps[i].many);
}

void container_status_text(const struct container *c, char *buf, size_t size)
{
	int64_t now = clock_wall_ns();
	char since[64];

	duration_text(now - (c->state == CONTAINER_RUNNING ? c->started : c->finished), since,
		      sizeof(since));
	if (c->removing)
		snprintf(buf, size, "Removal In Progress");
	else if (c->state == CONTAINER_RUNNING)
		snprintf(buf, size, "Up %s", since);
	else if (c->state == CONTAINER_RESTARTING)
		snprintf(buf, size, "Restarting (%d) %s ago", c->exit_code, since);
	else if (c->state == CONTAINER_EXITED)
		snprintf(buf, size, "Exited (%d) %s ago", c->exit_code, since);
	else
		snprintf(buf, size, "Created");
}

static json_t *time_json(int64_t ns)
{
	char buf[TIME_STR];

	return json_string(ns ? clock_format(ns, buf) : "0001-01-01T00:00:00Z");
}

/* ---- parts */

static json_t *state_json(const struct container *c)
{
	json_t *o = json_object();
	bool restarting = c->state == CONTAINER_RESTARTING;

	json_put(o, "Status", json_string(container_state_name(c)));
	json_put(o, "Running", json_boolean(c->state == CONTAINER_RUNNING || restarting));
	json_put(o, "Paused", json_false());
	json_put(o, "Restarting", json_boolean(restarting));
	json_put(o, "OOMKilled", json_boolean(c->oom));
	json_put(o, "Dead", json_false());
	json_put(o, "Pid", json_integer(c->pid));
	json_put(o, "ExitCode", json_integer(c->exit_code));
	json_put(o, "Error", json_str(c->error));
	json_put(o, "StartedAt", time_json(c->started));
	json_put(o, "FinishedAt", time_json(c->finished));
	return o;
}

/* The command as one word and its arguments: Entrypoint, then Cmd. */
static json_t *command_json(const struct container *c)
{
	json_t *all = json_array(), *part;

	part = json_object_get(c->c.config, "Entrypoint");
	if (json_is_array(part))
		json_array_extend(all, part);
	part = json_object_get(c->c.config, "Cmd");
	if (json_is_array(part))
		json_array_extend(all, part);
	return all;
}

/* Older clients read the default bridge's address at the top. */
static void put_default_bridge(json_t *o, const json_t *networks)
{
	static const char *const keys[] = { "EndpointID",          "Gateway",   "GlobalIPv6Address",
					    "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen",
					    "IPv6Gateway",         "MacAddress" };
	const json_t *bridge = json_object_get(networks, "bridge");

	for (unsigned i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		json_t *v = json_object_get(bridge, keys[i]);

		if (v)
			json_put(o, keys[i], json_incref(v));
		else
			json_put(o, keys[i],
				 strstr(keys[i], "Len") ? json_integer(0) : json_string(""));
	}
}

static json_t *network_settings_json(struct containers *cs, const struct container *c)
{
	_json_ json_t *sandbox = NULL;
	json_t *networks = container_networks_json(cs, c, &sandbox), *o = json_object();
	const json_t *path = json_object_get(sandbox, "NetnsPath");

	json_put(o, "Bridge", json_string(""));
	json_put(o, "SandboxID", json_string(sandbox ? c->id : ""));
	json_put(o, "SandboxKey", json_str(json_string_value(path)));
	json_put(o, "Ports", sandbox ? json_incref(sandbox) : json_null());
	json_put(o, "HairpinMode", json_false());
	json_put(o, "LinkLocalIPv6Address", json_string(""));
	json_put(o, "LinkLocalIPv6PrefixLen", json_integer(0));
	json_put(o, "SecondaryIPAddresses", json_null());
	json_put(o, "SecondaryIPv6Addresses", json_null());
	put_default_bridge(o, networks);
	json_put(o, "Networks", networks);
	return o;
}

static json_t *graph_json(const struct containers *cs, const struct container *c)
{
	char dir[CONTAINER_PATH], root[CONTAINER_PATH], upper[CONTAINER_PATH + 8],
		work[CONTAINER_PATH + 8];

	container_dir(cs, c->id, dir);
	container_root(cs, c->id, root);
	snprintf(upper, sizeof(upper), "%s/upper", dir);
	snprintf(work, sizeof(work), "%s/work", dir);
	return json_pack("{s:{s:s,s:s,s:s,s:s},s:s}", "Data", "LowerDir", c->lower, "MergedDir",
			 root, "UpperDir", upper, "WorkDir", work, "Name", "overlay2");
}

static void put_paths(const struct containers *cs, const struct container *c, json_t *o)
{
	const char *run = cs->engine->run_dir;
	char path[CONTAINER_PATH];

	snprintf(path, sizeof(path), "%s/sandboxes/%s/resolv.conf", run, c->id);
	json_put(o, "ResolvConfPath", json_string(path));
	snprintf(path, sizeof(path), "%s/sandboxes/%s/hostname", run, c->id);
	json_put(o, "HostnamePath", json_string(path));
	snprintf(path, sizeof(path), "%s/sandboxes/%s/hosts", run, c->id);
	json_put(o, "HostsPath", json_string(path));
	container_log(cs, c->id, path);
	json_put(o, "LogPath", json_string(path));
}

static void put_command(const struct container *c, json_t *o)
{
	json_t *command = command_json(c);
	const char *path = json_string_value(json_array_get(command, 0));

	json_put(o, "Path", json_str(path));
	json_array_remove(command, 0);
	json_put(o, "Args", command);
}

static json_t *host_json(struct containers *cs, const struct container *c)
{
	json_t *o = json_copy(c->c.host), *links = container_links_json(cs, c);

	json_put(o, "Links", links ? links : json_null());
	return o;
}

/* Its ports are as they are kept. */
static json_t *inspect(struct containers *cs, const struct container *c)
{
	json_t *o = json_object(), *execs = container_exec_ids(cs, c->id);
	char text[ID_SIZE + 8];

	json_put(o, "Id", json_string(c->id));
	json_put(o, "Created", time_json(c->created));
	put_command(c, o);
	json_put(o, "State", state_json(c));
	snprintf(text, sizeof(text), "sha256:%s", c->image);
	json_put(o, "Image", json_string(text));
	put_paths(cs, c, o);
	snprintf(text, sizeof(text), "/%.70s", c->name);
	json_put(o, "Name", json_string(text));
	json_put(o, "RestartCount", json_integer(c->restarts));
	json_put(o, "Driver", json_string("overlay2"));
	json_put(o, "Platform", json_string("linux"));
	json_put(o, "MountLabel", json_string(""));
	json_put(o, "ProcessLabel", json_string(""));
	json_put(o, "AppArmorProfile", json_string(""));
	json_put(o, "ExecIDs", json_array_size(execs) ? json_incref(execs) : json_null());
	json_decref(execs);
	json_put(o, "HostConfig", host_json(cs, c));
	json_put(o, "GraphDriver", graph_json(cs, c));
	json_put(o, "Mounts", json_incref(c->c.mounts));
	json_put(o, "Config", json_copy(c->c.config));
	json_put(o, "NetworkSettings", network_settings_json(cs, c));
	return o;
}

/* Without the lock: it reads the whole tree. What is being removed meanwhile counts as nothing. */
static void put_sizes(json_t *o)
{
	const json_t *data = json_object_get(json_object_get(o, "GraphDriver"), "Data");
	const char *upper = json_string_value(json_object_get(data, "UpperDir"));
	const char *lower = json_string_value(json_object_get(data, "LowerDir"));
	uint64_t changed = 0, image = 0;

	if (upper)
		tree_size(upper, &changed, NULL);
	if (lower)
		tree_size(lower, &image, NULL);
	json_put(o, "SizeRw", json_integer((json_int_t)changed));
	json_put(o, "SizeRootFs", json_integer((json_int_t)image + (json_int_t)changed));
}

/* Without the lock: there may be many. */
static void show_ports(json_t *o)
{
	json_t *host = json_object_get(o, "HostConfig"), *config = json_object_get(o, "Config"),
	       *settings = json_object_get(o, "NetworkSettings");
	const json_t *exposed = json_object_get(config, "ExposedPorts");

	json_put(host, "PortBindings", port_bindings_show(json_object_get(host, "PortBindings")));
	if (exposed)
		json_put(config, "ExposedPorts", port_set_show(exposed));
	json_put(settings, "Ports", published_inspect(json_object_get(settings, "Ports")));
}

int containers_inspect(struct containers *cs, const char *ref, unsigned version, bool size,
		       char **ret_json, struct cnm_error *err)
{
	_json_ json_t *o = NULL;
	struct container *c;
	int r;

	pthread_mutex_lock(&cs->lock);
	r = container_find(cs, ref, &c, err);
	if (r == 0)
		o = inspect(cs, c);
	pthread_mutex_unlock(&cs->lock);
	if (r < 0)
		return r;
	if (o)
		show_ports(o);
	if (o && size)
		put_sizes(o);
	*ret_json = o ? json_text(o) : NULL;
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "inspect container %s", ref);
}
