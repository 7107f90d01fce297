/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /_ping, /version and /info: what Docker's clients ask of any daemon. */
#include "api/api_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

static int ping(struct api_call *call)
{
	http_set_header(call->x, "Cache-Control", "no-cache, no-store, must-revalidate");
	http_set_header(call->x, "Pragma", "no-cache");
	http_set_header(call->x, "Swarm", "inactive");
	http_reply(call->x, 200, "text/plain; charset=utf-8", "OK", 2);
	return 0;
}

/* {"Name", "Version", "Details"}, or NULL if the version is not known. */
static json_t *component(const char *name, const json_t *info, const char *key)
{
	const char *v = json_string_value(json_object_get(info, key));

	return v && *v ? json_pack("{s:s, s:s, s:{s:s}}", "Name", name, "Version", v, "Details",
				   "GitCommit", "")
		       : NULL;
}

/* Ourselves, and the programs that run containers. */
static json_t *components(const char *arch, const char *kernel, const json_t *info)
{
	json_t *list =
		json_pack("[{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}]", "Name", "Engine",
			  "Version", cnm_version(), "Details", "ApiVersion", API_VERSION,
			  "MinAPIVersion", API_MIN_VERSION, "Os", "linux", "Arch", arch,
			  "KernelVersion", kernel, "Experimental", "false", "GitCommit", "");
	const char *runtime = json_string_value(json_object_get(info, "DefaultRuntime"));

	json_array_append_new(list, component("conmon", info, "ConmonVersion"));
	if (runtime)
		json_array_append_new(list, component(runtime, info, "RuncVersion"));
	return list;
}

static int version(struct api_call *call)
{
	const char *arch = api_arch();
	_json_ json_t *containers = NULL;
	struct utsname u;

	containers_info(call->containers, &containers, NULL); /* without them if it cannot say */
	uname(&u);
	return api_reply_object(
		call, 200,
		json_pack("{s:{s:s}, s:o?, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}",
			  "Platform", "Name", "cnm", "Components",
			  components(arch, u.release, containers), "Version", cnm_version(),
			  "ApiVersion", API_VERSION, "MinAPIVersion", API_MIN_VERSION, "GitCommit",
			  "", "GoVersion", "", "Os", "linux", "Arch", arch, "KernelVersion",
			  u.release, "BuildTime", ""));
}

/* PRETTY_NAME of os-release, or "Linux". */
static void read_os_name(char *name, size_t size)
{
	FILE *f = fopen("/etc/os-release", "re");
	char line[256];

	str_copy(name, size, "Linux");
	while (f && fgets(line, sizeof(line), f)) {
		const char *s = str_after(line, "PRETTY_NAME=");

		if (!s)
			continue;
		s += *s == '"';
		str_copy(name, size, s);
		name[strcspn(name, "\"\n")] = '\0';
		break;
	}
	if (f)
		fclose(f);
}

static int cgroup_version(void)
{
	return access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? 2 : 1;
}

/* What is told of the machine. */
static json_t *machine_info(void)
{
	char os_name[128], host[256] = "", now[TIME_STR], cgroup[8];
	struct sysinfo memory = { .mem_unit = 1 };
	struct utsname u;

	uname(&u);
	sysinfo(&memory);
	gethostname(host, sizeof(host) - 1);
	read_os_name(os_name, sizeof(os_name));
	snprintf(cgroup, sizeof(cgroup), "%d", cgroup_version());
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "Name", host,
			 "OperatingSystem", os_name, "OSType", "linux", "OSVersion", "",
			 "Architecture", u.machine, "KernelVersion", u.release, "ServerVersion",
			 cnm_version(), "NCPU", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
			 "MemTotal", (json_int_t)memory.totalram * memory.mem_unit, "CgroupVersion",
			 cgroup, "SystemTime", clock_format(clock_wall_ns(), now));
}

/* What nobody says anything of, and clients look for. */
static json_t *absent_info(void)
{
	return json_pack(
		"{s:s, s:s, s:[], s:s, s:{s:[s], s:[], s:n, s:[]}, s:{s:s, s:s, s:b, s:s, s:n},"
		" s:{s:[], s:{}, s:[]}, s:[], s:b, s:b, s:b, s:b, s:b, s:[]}",
		"ID", "", "Driver", "", "DriverStatus", "InitBinary", "", "Plugins", "Volume",
		"local", "Network", "Authorization", "Log", "Swarm", "NodeID", "", "LocalNodeState",
		"inactive", "ControlAvailable", 0, "Error", "", "RemoteManagers", "RegistryConfig",
		"InsecureRegistryCIDRs", "IndexConfigs", "Mirrors", "Labels", "ExperimentalBuild",
		0, "Debug", 0, "IPv4Forwarding", 1, "LiveRestoreEnabled", 1, "OomKillDisable", 0,
		"Warnings");
}

/* Adds what part says to all; of what both say the part's counts, but warnings add up. */
static int merge_info(json_t *all, json_t *part)
{
	json_t *warnings = json_object_get(all, "Warnings"),
	       *more = json_object_get(part, "Warnings");

	if (json_is_array(warnings) && json_is_array(more)) {
		if (json_array_extend(warnings, more) < 0)
			return -ENOMEM;
		json_object_del(part, "Warnings");
	}
	return json_object_update_recursive(all, part) < 0 ? -ENOMEM : 0;
}

/* The later one's word counts: the machine, the engine of networks, the containers. */
static int info(struct api_call *call)
{
	_json_ json_t *all = absent_info(), *machine = machine_info();
	_json_ json_t *engine = NULL, *containers = NULL;
	_free_ char *json = NULL;
	int r;

	r = cnm_engine_info(call->engine, &json, &call->err);
	if (r == 0)
		r = containers_info(call->containers, &containers, &call->err);
	if (r < 0)
		return r;
	engine = json_loads(json, 0, NULL);
	if (!all || !machine || !engine || merge_info(all, machine) < 0 ||
	    merge_info(all, engine) < 0 || merge_info(all, containers) < 0)
		return cnm_error_errno(&call->err, ENOMEM, "collect the information");
	json_object_set(json_object_get(all, "Plugins"), "Network",
			json_object_get(all, "NetworkDrivers"));
	return api_reply_object(call, 200, take_ptr(all));
}

const struct api_route api_system_routes[] = {
	{ "GET", "/_ping", ping, ROUTE_QUICK },
	{ "HEAD", "/_ping", ping, ROUTE_QUICK },
	{ "GET", "/version", version, 0 },
	{ "GET", "/info", info, 0 },
	{ NULL, NULL, NULL, 0 },
};
