/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of HostConfig: memory, processors, processes, ulimits, sysctls, each with Docker's
 * bounds. */
#include "containers/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"

#define MIN_MEMORY (6 * 1024 * 1024)
#define NANO       1000000000

static int invalid(const char *text, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID, "%s", text);
}

/* Memory and as much swap, unless it is said: -1 for no limit. */
static int default_swap(json_t *host, int64_t memory, struct cnm_error *err)
{
	if (memory > INT64_MAX / 2)
		return cnm_error_set(err, CNM_E_INVALID, "invalid memory limit: %lld bytes",
				     (long long)memory);
	if (json_object_set_new(host, "MemorySwap", json_integer(2 * memory)) < 0)
		return config_no_memory(err);
	return 0;
}

static int check_memory(json_t *host, struct cnm_error *err)
{
	int64_t memory = config_number(host, "Memory"), swap = config_number(host, "MemorySwap"),
		reserved = config_number(host, "MemoryReservation");

	if (memory != 0 && memory < MIN_MEMORY)
		return invalid("Minimum memory limit allowed is 6MB", err);
	if (memory > 0 && swap > 0 && swap < memory)
		return invalid("Minimum memoryswap limit should be larger than memory limit, see "
			       "usage",
			       err);
	if (memory == 0 && swap > 0)
		return invalid(
			"You should always set the Memory limit when using Memoryswap limit, "
			"see usage",
			err);
	if (reserved != 0 && reserved < MIN_MEMORY)
		return invalid("Minimum memory reservation allowed is 6MB", err);
	if (memory > 0 && memory < reserved)
		return invalid(
			"Minimum memory limit can not be less than memory reservation limit, "
			"see usage",
			err);
	return memory > 0 && swap == 0 ? default_swap(host, memory, err) : 0;
}

/* "0-2,7" of at most `n` processors: -EINVAL for the form, -ERANGE for one that is not there. */
static int parse_cpus(const char *s, long n)
{
	do {
		char *end;
		unsigned long first, last;

		if (!isdigit((unsigned char)*s))
			return -EINVAL;
		first = last = strtoul(s, &end, 10);
		if (*end == '-' && isdigit((unsigned char)end[1]))
			last = strtoul(end + 1, &end, 10);
		if (last < first || (*end && *end != ','))
			return -EINVAL;
		if (last >= (unsigned long)n)
			return -ERANGE;
		s = *end ? end + 1 : end;
		if (*end == ',' && !*s)
			return -EINVAL;
	} while (*s);
	return 0;
}

static int check_cpus(const json_t *host, struct cnm_error *err)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN), n = sysconf(_SC_NPROCESSORS_CONF);
	int64_t nano = config_number(host, "NanoCpus"), shares = config_number(host, "CpuShares");
	const char *set = config_text(host, "CpusetCpus");
	int r = *set ? parse_cpus(set, n) : 0;

	if (nano != 0 &&
	    (nano < NANO / 100 || nano / NANO > online || (nano / NANO == online && nano % NANO)))
		return cnm_error_set(err, CNM_E_INVALID,
				     "range of CPUs is from 0.01 to %ld.00, as there are only %ld "
				     "CPUs available",
				     online, online);
	if (shares < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid CPU shares (%lld): value must be a positive integer",
				     (long long)shares);
	if (r == -EINVAL)
		return cnm_error_set(err, CNM_E_INVALID, "Invalid value %s for cpuset cpus", set);
	if (r == -ERANGE)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"Requested CPUs are not available - requested %s, available: 0-%ld", set,
			n - 1);
	return 0;
}

static int check_figures(json_t *host, struct cnm_error *err)
{
	int64_t oom = config_number(host, "OomScoreAdj"), pids = config_number(host, "PidsLimit");

	if (oom < -1000 || oom > 1000)
		return cnm_error_set(err, CNM_E_INVALID,
				     "Invalid value %lld, range for oom score adj is [-1000, 1000]",
				     (long long)oom);
	if (config_number(host, "ShmSize") < 0)
		return invalid("SHM size can not be less than 0", err);
	if (pids < -1)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid PidsLimit %lld: give a number, or -1 for no limit",
				     (long long)pids);
	return 0;
}

static const struct config_member ulimit_members[] = {
	{ "Name", M_STRING, "\"\"", NULL, NULL },
	{ "Hard", M_INT, "0", NULL, NULL },
	{ "Soft", M_INT, "0", NULL, NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

static bool is_ulimit(const char *name)
{
	static const char *const known[] = {
		"core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
		"nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack",    "as",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (streq(name, known[i]))
			return true;
	return false;
}

/* -1 is without limit, which is the largest. */
static bool is_above(int64_t soft, int64_t hard)
{
	return hard != -1 && (soft == -1 || soft > hard);
}

static int check_ulimit(json_t *list, size_t i, struct cnm_error *err)
{
	_json_ json_t *whole = json_object();
	const json_t *from = json_array_get(list, i);
	int64_t soft, hard;
	int r;

	if (!whole)
		return config_no_memory(err);
	if (!json_is_object(from))
		return invalid("HostConfig.Ulimits must be an array of objects", err);
	r = config_members(whole, from, "HostConfig.Ulimits.", ulimit_members, err);
	if (r < 0)
		return r;
	if (!is_ulimit(config_text(whole, "Name")))
		return cnm_error_set(err, CNM_E_INVALID, "invalid ulimit type: %s",
				     config_text(whole, "Name"));
	soft = config_number(whole, "Soft");
	hard = config_number(whole, "Hard");
	if (soft < -1 || hard < -1)
		return cnm_error_set(err, CNM_E_INVALID,
				     "ulimit %s must not be negative (-1: unlimited)",
				     config_text(whole, "Name"));
	if (is_above(soft, hard))
		return cnm_error_set(err, CNM_E_INVALID,
				     "ulimit soft limit must be less than or equal to hard limit: "
				     "%lld > %lld",
				     (long long)soft, (long long)hard);
	return json_array_set(list, i, whole) < 0 ? config_no_memory(err) : 0;
}

static int check_ulimits(json_t *host, struct cnm_error *err)
{
	json_t *list = json_object_get(host, "Ulimits");
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
		r = check_ulimit(list, i, err);
	return r;
}

/* Those of the ipc and network namespaces. A '/' could lead elsewhere: runtimes read it as a '.'.
 */
static bool is_namespaced(const char *name)
{
	static const char *const known[] = {
		"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
	};

	if (strchr(name, '/') || strstr(name, "..") || !str_is_printable(name))
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (streq(name, known[i]))
			return true;
	return str_after(name, "net.") || str_after(name, "fs.mqueue.");
}

static int check_sysctls(const json_t *host, struct cnm_error *err)
{
	bool host_network = container_network_mode(host, NULL) == NETWORK_HOST;
	const char *name;
	json_t *value;

	json_object_foreach (json_object_get(host, "Sysctls"), name, value) {
		if (!is_namespaced(name))
			return cnm_error_set(err, CNM_E_INVALID,
					     "sysctl \"%s\" is not in a separate kernel namespace",
					     name);
		if (host_network && str_after(name, "net."))
			return cnm_error_set(err, CNM_E_INVALID,
					     "sysctl \"%s\" not allowed in host network namespace",
					     name);
	}
	return 0;
}

int config_limits_check(json_t *host, struct cnm_error *err)
{
	int r = check_memory(host, err);

	r = r < 0 ? r : check_cpus(host, err);
	r = r < 0 ? r : check_figures(host, err);
	r = r < 0 ? r : check_ulimits(host, err);
	return r < 0 ? r : check_sysctls(host, err);
}
