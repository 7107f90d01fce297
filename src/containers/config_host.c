/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HostConfig: what is carried, what is refused, and Docker's defaults. */
#include "containers/config_internal.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/capabilities.h"

#define WHERE "HostConfig."

#define MASKED                                                                                      \
	"[\"/proc/asound\",\"/proc/acpi\",\"/proc/interrupts\",\"/proc/kcore\",\"/proc/keys\","     \
	"\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\"," \
	"\"/proc/scsi\",\"/sys/firmware\",\"/sys/devices/virtual/powercap\"]"
#define READONLY "[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]"

/* In the order in which inspect shows them. */
static const struct config_member host_members[] = {
	{ "Binds", M_STRINGS, "null", NULL, NULL },
	{ "ContainerIDFile", M_STRING, "\"\"", NULL, NULL },
	{ "LogConfig", M_OBJECT, "{}", NULL, NULL },
	{ "NetworkMode", M_STRING, "\"bridge\"", NULL, NULL },
	{ "PortBindings", M_PORTS, "{}", NULL, NULL },
	{ "RestartPolicy", M_OBJECT, "{}", NULL, NULL },
	{ "AutoRemove", M_BOOL, "false", NULL, NULL },
	{ "VolumeDriver", M_STRING, "\"\"", "--volume-driver", "\"local\"" },
	{ "VolumesFrom", M_STRINGS, "null", "--volumes-from", NULL },
	{ "ConsoleSize", M_ARRAY, "[0,0]", NULL, NULL },
	{ "Annotations", M_MAP, NULL, "--annotation", NULL },
	{ "CapAdd", M_STRINGS, "null", NULL, NULL },
	{ "CapDrop", M_STRINGS, "null", NULL, NULL },
	{ "CgroupnsMode", M_STRING, "\"\"", NULL, NULL },
	{ "Dns", M_STRINGS, "[]", NULL, NULL },
	{ "DnsOptions", M_STRINGS, "[]", NULL, NULL },
	{ "DnsSearch", M_STRINGS, "[]", NULL, NULL },
	{ "ExtraHosts", M_STRINGS, "null", NULL, NULL },
	{ "GroupAdd", M_STRINGS, "null", NULL, NULL },
	{ "IpcMode", M_STRING, "\"private\"", "--ipc", "\"private\"" },
	{ "Cgroup", M_STRING, "\"\"", "the cgroup of another container", NULL },
	{ "Links", M_STRINGS, "null", NULL, NULL },
	{ "OomScoreAdj", M_INT, "0", NULL, NULL },
	{ "PidMode", M_STRING, "\"\"", "--pid", "\"private\"" },
	{ "Privileged", M_BOOL, "false", NULL, NULL },
	{ "PublishAllPorts", M_BOOL, "false", NULL, NULL },
	{ "ReadonlyRootfs", M_BOOL, "false", NULL, NULL },
	{ "SecurityOpt", M_STRINGS, "null", NULL, NULL },
	{ "StorageOpt", M_MAP, NULL, "--storage-opt", NULL },
	{ "Tmpfs", M_MAP, NULL, NULL, NULL },
	{ "UTSMode", M_STRING, "\"\"", "--uts", "\"private\"" },
	{ "UsernsMode", M_STRING, "\"\"", "--userns", NULL },
	{ "ShmSize", M_INT, "67108864", NULL, NULL },
	{ "Sysctls", M_MAP, NULL, NULL, NULL },
	{ "Runtime", M_STRING, "\"runc\"", NULL, NULL },
	{ "Isolation", M_STRING, "\"\"", "--isolation", "\"default\"" },
	{ "CpuShares", M_INT, "0", NULL, NULL },
	{ "Memory", M_INT, "0", NULL, NULL },
	{ "NanoCpus", M_INT, "0", NULL, NULL },
	{ "CgroupParent", M_STRING, "\"\"", "--cgroup-parent", NULL },
	{ "BlkioWeight", M_INT, "0", "--blkio-weight", NULL },
	{ "BlkioWeightDevice", M_ARRAY, "[]", "--blkio-weight-device", NULL },
	{ "BlkioDeviceReadBps", M_ARRAY, "[]", "--device-read-bps", NULL },
	{ "BlkioDeviceWriteBps", M_ARRAY, "[]", "--device-write-bps", NULL },
	{ "BlkioDeviceReadIOps", M_ARRAY, "[]", "--device-read-iops", NULL },
	{ "BlkioDeviceWriteIOps", M_ARRAY, "[]", "--device-write-iops", NULL },
	{ "CpuPeriod", M_INT, "0", "--cpu-period", NULL },
	{ "CpuQuota", M_INT, "0", "--cpu-quota", NULL },
	{ "CpuRealtimePeriod", M_INT, "0", "--cpu-rt-period", NULL },
	{ "CpuRealtimeRuntime", M_INT, "0", "--cpu-rt-runtime", NULL },
	{ "CpusetCpus", M_STRING, "\"\"", NULL, NULL },
	{ "CpusetMems", M_STRING, "\"\"", "--cpuset-mems", NULL },
	{ "Devices", M_ARRAY, "[]", "--device", NULL },
	{ "DeviceCgroupRules", M_ARRAY, "null", "--device-cgroup-rule", NULL },
	{ "DeviceRequests", M_ARRAY, "null", "--gpus", NULL },
	{ "KernelMemory", M_INT, NULL, "--kernel-memory", NULL },
	{ "KernelMemoryTCP", M_INT, NULL, "a limit of TCP buffers", NULL },
	{ "MemoryReservation", M_INT, "0", NULL, NULL },
	{ "MemorySwap", M_INT, "0", NULL, NULL },
	{ "MemorySwappiness", M_INT, "null", "--memory-swappiness", "-1" },
	{ "OomKillDisable", M_BOOL, "false", "--oom-kill-disable", NULL },
	{ "PidsLimit", M_INT, "null", NULL, NULL },
	{ "Ulimits", M_ARRAY, "[]", NULL, NULL },
	{ "CpuCount", M_INT, "0", "a number of Windows processors", NULL },
	{ "CpuPercent", M_INT, "0", "a share of Windows processors", NULL },
	{ "IOMaximumIOps", M_INT, "0", "a limit of Windows disk operations", NULL },
	{ "IOMaximumBandwidth", M_INT, "0", "a limit of Windows disk bandwidth", NULL },
	{ "Mounts", M_ARRAY, NULL, NULL, NULL },
	{ "MaskedPaths", M_STRINGS, MASKED, NULL, NULL },
	{ "ReadonlyPaths", M_STRINGS, READONLY, NULL, NULL },
	{ "Init", M_BOOL, NULL, "--init", NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static const struct config_member log_members[] = {
	{ "Type", M_STRING, "\"json-file\"", NULL, NULL },
	{ "Config", M_MAP, "{}", "--log-opt", NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static const struct config_member restart_members[] = {
	{ "Name", M_STRING, "\"no\"", NULL, NULL },
	{ "MaximumRetryCount", M_INT, "0", NULL, NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static bool is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (streq(s, *list))
			return true;
	return false;
}

/* Replace an object in the host's configuration by itself as its own table completes it. */
static int complete(json_t *host, const char *name, const char *where,
		    const struct config_member *table, struct cnm_error *err)
{
	_json_ json_t *whole = json_object();
	int r;

	if (!whole)
		return config_no_memory(err);
	r = config_members(whole, json_object_get(host, name), where, table, err);
	if (r == 0 && json_object_set(host, name, whole) < 0)
		r = config_no_memory(err);
	return r;
}

static int check_log(json_t *host, struct cnm_error *err)
{
	static const char *const drivers[] = { "json-file", "k8s-file", NULL };
	int r = complete(host, "LogConfig", WHERE "LogConfig.", log_members, err);
	const char *type = config_text(json_object_get(host, "LogConfig"), "Type");

	if (r < 0 || is_one_of(type, drivers))
		return r;
	return cnm_error_set(err, CNM_E_NOT_IMPLEMENTED,
			     "--log-driver %s (" WHERE "LogConfig.Type) is not supported by cnm",
			     type);
}

enum restart_policy container_restart_policy(const json_t *host, unsigned *ret_max)
{
	const json_t *policy = json_object_get(host, "RestartPolicy");
	const char *name = config_text(policy, "Name");
	int64_t max = config_number(policy, "MaximumRetryCount");

	if (ret_max)
		*ret_max = max > 0 && max <= UINT_MAX ? (unsigned)max : 0;
	return streq(name, "always")           ? RESTART_ALWAYS
	       : streq(name, "on-failure")     ? RESTART_ON_FAILURE
	       : streq(name, "unless-stopped") ? RESTART_UNLESS_STOPPED
					       : RESTART_NO;
}

static int check_restart(json_t *host, struct cnm_error *err)
{
	static const char *const policies[] = { "no", "always", "on-failure", "unless-stopped",
						NULL };
	int r = complete(host, "RestartPolicy", WHERE "RestartPolicy.", restart_members, err);
	const json_t *policy = json_object_get(host, "RestartPolicy");
	const char *name = config_text(policy, "Name");
	int64_t max = config_number(policy, "MaximumRetryCount");

	if (r < 0)
		return r;
	if (!is_one_of(name, policies))
		return cnm_error_set(
			err, CNM_E_INVALID,
			"invalid restart policy: unknown policy '%s'; use one of 'no', "
			"'always', 'on-failure', or 'unless-stopped'",
			name);
	if (max < 0 || max > INT_MAX)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid restart policy: maximum retry count cannot be %s",
				     max < 0 ? "negative" : "that large");
	if (max > 0 && !streq(name, "on-failure"))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid restart policy: maximum retry count can only be used "
				     "with 'on-failure'");
	if (config_flag(host, "AutoRemove") && !streq(name, "no"))
		return cnm_error_set(err, CNM_E_INVALID,
				     "can't create 'AutoRemove' container with restart policy");
	return 0;
}

/* The names as the kernel has them. */
static int check_capabilities(json_t *host, const char *member, struct cnm_error *err)
{
	json_t *list = json_object_get(host, member), *v;
	size_t i;

	json_array_foreach (list, i, v) {
		const char *name = capability_find(json_string_value(v));

		if (!name)
			return cnm_error_set(err, CNM_E_INVALID,
					     "invalid %s: unknown capability: \"%s\"", member,
					     json_string_value(v));
		if (json_array_set_new(list, i, json_string(name)) < 0)
			return config_no_memory(err);
	}
	return 0;
}

/* The option's value if it is this one: "name", "name=value" and "name:value". NULL: another. */
static const char *option_value(const char *option, const char *name)
{
	const char *rest = str_after(option, name);

	if (!rest)
		return NULL;
	return *rest == '=' || *rest == ':' ? rest + 1 : *rest ? NULL : "true";
}

static bool has_option(const json_t *host, const char *name, const char *value)
{
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(host, "SecurityOpt"), i, v) {
		const char *have = option_value(json_string_value(v), name);

		if (have && streq(have, value))
			return true;
	}
	return false;
}

bool host_no_new_privileges(const json_t *host)
{
	return has_option(host, "no-new-privileges", "true");
}

bool host_seccomp_unconfined(const json_t *host)
{
	return has_option(host, "seccomp", "unconfined");
}

static int check_security(const json_t *host, struct cnm_error *err)
{
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(host, "SecurityOpt"), i, v) {
		const char *option = json_string_value(v);
		const char *privileges = option_value(option, "no-new-privileges");
		const char *seccomp = option_value(option, "seccomp");

		if ((privileges && (streq(privileges, "true") || streq(privileges, "false"))) ||
		    (seccomp && streq(seccomp, "unconfined")))
			continue;
		return cnm_error_set(err, CNM_E_NOT_IMPLEMENTED,
				     "--security-opt %.*s (" WHERE
				     "SecurityOpt) is not supported by cnm",
				     (int)strcspn(option, "=:"), option);
	}
	return 0;
}

static int check_console_size(const json_t *host, struct cnm_error *err)
{
	const json_t *size = json_object_get(host, "ConsoleSize");

	for (size_t i = 0; i < 2; i++) {
		const json_t *n = json_array_get(size, i);

		if (!json_is_integer(n) || json_integer_value(n) < 0 ||
		    json_integer_value(n) > USHRT_MAX || json_array_size(size) != 2)
			return cnm_error_set(err, CNM_E_INVALID,
					     WHERE "ConsoleSize must be [height, width]");
	}
	return 0;
}

static int check_modes(const json_t *host, struct cnm_error *err)
{
	static const char *const runtimes[] = { "runc", "crun", NULL };
	static const char *const cgroups[] = { "", "private", "host", NULL };
	const char *runtime = config_text(host, "Runtime"),
		   *cgroup = config_text(host, "CgroupnsMode");

	if (!is_one_of(cgroup, cgroups))
		return cnm_error_set(err, CNM_E_INVALID, "invalid cgroup namespace mode: %s",
				     cgroup);
	if (is_one_of(runtime, runtimes))
		return 0;
	return cnm_error_set(err, CNM_E_NOT_IMPLEMENTED,
			     "--runtime %s (" WHERE "Runtime) is not supported by cnm", runtime);
}

/* With no confinement there is nothing to mask. */
static int unmask_privileged(json_t *host, struct cnm_error *err)
{
	if (!config_flag(host, "Privileged"))
		return 0;
	if (json_object_set_new(host, "MaskedPaths", json_null()) < 0 ||
	    json_object_set_new(host, "ReadonlyPaths", json_null()) < 0)
		return config_no_memory(err);
	return 0;
}

int config_host_decode(json_t *ret, const json_t *from, struct cnm_error *err)
{
	int r = config_members(ret, from, WHERE, host_members, err);

	r = r < 0 ? r : config_bindings_settle(ret, err);
	r = r < 0 ? r : config_names_check(ret, err);
	r = r < 0 ? r : config_links_check(json_object_get(ret, "Links"), err);
	r = r < 0 ? r : check_log(ret, err);
	r = r < 0 ? r : check_restart(ret, err);
	r = r < 0 ? r : check_capabilities(ret, "CapAdd", err);
	r = r < 0 ? r : check_capabilities(ret, "CapDrop", err);
	r = r < 0 ? r : check_security(ret, err);
	r = r < 0 ? r : check_console_size(ret, err);
	r = r < 0 ? r : check_modes(ret, err);
	r = r < 0 ? r : config_limits_check(ret, err);
	return r < 0 ? r : unmask_privileged(ret, err);
}
