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

/* The machine as Go names it. */
static const char *go_arch(const char *machine)
{
	static const char *const names[][2] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" },   { "i686", "386" },
		{ "armv7l", "arm" },   { "ppc64le", "ppc64le" }, { "s390x", "s390x" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (streq(names[i][0], machine))
			return names[i][1];
	return machine;
}

static int version(struct api_call *call)
{
	struct utsname u;
	const char *arch;

	uname(&u);
	arch = go_arch(u.machine);
	return api_reply_object(
		call, 200,
		json_pack("{s:{s:s}, s:[{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}],"
			  " s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}",
			  "Platform", "Name", "cnm", "Components", "Name", "Engine", "Version",
			  cnm_version(), "Details", "ApiVersion", API_VERSION, "MinAPIVersion",
			  API_MIN_VERSION, "Os", "linux", "Arch", arch, "KernelVersion", u.release,
			  "Experimental", "false", "GitCommit", "", "Version", cnm_version(),
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

/* What a daemon without containers, images, volumes and swarm says of them. */
static json_t *absent_info(void)
{
	return json_pack(
		"{s:s, s:i, s:i, s:i, s:i, s:i, s:s, s:[], s:s, s:s, s:s, s:{}, s:s,"
		" s:s, s:{s:[], s:[], s:n, s:[]}, s:{s:s, s:s, s:b, s:s, s:n},"
		" s:{s:[], s:{}, s:[]}, s:[], s:[], s:b, s:b, s:b, s:b, s:b, s:[]}",
		"ID", "", "Containers", 0, "ContainersRunning", 0, "ContainersPaused", 0,
		"ContainersStopped", 0, "Images", 0, "Driver", "", "DriverStatus", "LoggingDriver",
		"", "CgroupDriver", "none", "DockerRootDir", "", "Runtimes", "DefaultRuntime", "",
		"InitBinary", "", "Plugins", "Volume", "Network", "Authorization", "Log", "Swarm",
		"NodeID", "", "LocalNodeState", "inactive", "ControlAvailable", 0, "Error", "",
		"RemoteManagers", "RegistryConfig", "InsecureRegistryCIDRs", "IndexConfigs",
		"Mirrors", "SecurityOptions", "Labels", "ExperimentalBuild", 0, "Debug", 0,
		"IPv4Forwarding", 1, "LiveRestoreEnabled", 1, "OomKillDisable", 0, "Warnings");
}

/* The engine's word counts where it says something too. */
static int info(struct api_call *call)
{
	_json_ json_t *machine = machine_info(), *engine = NULL;
	json_t *all = absent_info();
	_free_ char *json = NULL;
	int r;

	r = cnm_engine_info(call->engine, &json, &call->err);
	if (r < 0) {
		json_decref(all);
		return r;
	}
	engine = json_loads(json, 0, NULL);
	if (!all || !machine || json_object_update(all, machine) < 0 || !engine ||
	    json_object_update_recursive(all, engine) < 0) {
		json_decref(all);
		return cnm_error_errno(&call->err, ENOMEM, "collect the information");
	}
	json_object_set(json_object_get(all, "Plugins"), "Network",
			json_object_get(all, "NetworkDrivers"));
	return api_reply_object(call, 200, all);
}

const struct api_route api_system_routes[] = {
	{ "GET", "/_ping", ping, true },      { "HEAD", "/_ping", ping, true },
	{ "GET", "/version", version, true }, { "GET", "/info", info, false },
	{ NULL, NULL, NULL, false },
};
