/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What may be done in a container: namespaces, hidden paths, devices, limits, sysctls, seccomp. */
#include "containers/spec_internal.h"

#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/capabilities.h"
#include "containers/config_internal.h"

#define CPU_PERIOD 100000 /* microseconds */
#define NANO       1000000000

/* ---- namespaces */

static void add_namespace(json_t *list, const char *type, const char *path)
{
	json_t *ns = json_object();

	json_put(ns, "type", json_string(type));
	if (path)
		json_put(ns, "path", json_string(path));
	json_push(list, ns);
}

static json_t *namespaces(const struct spec_input *in)
{
	const char *cgroup = config_text(in->c->host, "CgroupnsMode");
	json_t *list = json_array();

	add_namespace(list, "mount", NULL);
	add_namespace(list, "uts", NULL);
	add_namespace(list, "pid", NULL);
	add_namespace(list, "ipc", NULL);
	if (in->netns)
		add_namespace(list, "network", in->netns);
	if (streq(cgroup, "private") || (in->cgroup2 && !*cgroup))
		add_namespace(list, "cgroup", NULL);
	return list;
}

/* ---- devices */

struct device {
	const char *type;
	int major, minor; /* -1: any */
	const char *access;
};

/* The nodes the runtime makes in every /dev, which are the only ones of any use. */
static const struct device usual_devices[] = {
	{ "c", 1, 3, "rwm" },    /* null */
	{ "c", 1, 5, "rwm" },    /* zero */
	{ "c", 1, 7, "rwm" },    /* full */
	{ "c", 1, 8, "rwm" },    /* random */
	{ "c", 1, 9, "rwm" },    /* urandom */
	{ "c", 5, 0, "rwm" },    /* tty */
	{ "c", 5, 1, "rwm" },    /* console */
	{ "c", 5, 2, "rwm" },    /* ptmx */
	{ "c", 136, -1, "rwm" }, /* pts */
};

static json_t *device_rule(bool allow, const struct device *d)
{
	json_t *rule = json_object();

	json_put(rule, "allow", json_boolean(allow));
	if (d) {
		json_put(rule, "type", json_string(d->type));
		json_put(rule, "major", json_integer(d->major));
		if (d->minor >= 0)
			json_put(rule, "minor", json_integer(d->minor));
	}
	json_put(rule, "access", json_string(d ? d->access : "rwm"));
	return rule;
}

static json_t *device_rules(bool privileged)
{
	json_t *rules = json_array();

	json_push(rules, device_rule(privileged, NULL));
	for (size_t i = 0; !privileged && i < sizeof(usual_devices) / sizeof(usual_devices[0]); i++)
		json_push(rules, device_rule(true, &usual_devices[i]));
	return rules;
}

/* ---- limits */

static void put_number(json_t *obj, const char *key, int64_t n)
{
	if (n != 0)
		json_put(obj, key, json_integer(n));
}

/* Version 1 counts swap only in kernels built or started for it. */
static bool counts_swap(const struct spec_input *in)
{
	return in->cgroup2 ||
	       access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0;
}

static json_t *memory(const struct spec_input *in)
{
	const json_t *host = in->c->host;
	json_t *m = json_object();

	put_number(m, "limit", config_number(host, "Memory"));
	put_number(m, "reservation", config_number(host, "MemoryReservation"));
	if (counts_swap(in))
		put_number(m, "swap", config_number(host, "MemorySwap"));
	return m;
}

static json_t *cpu(const json_t *host)
{
	int64_t nano = config_number(host, "NanoCpus");
	const char *cpus = config_text(host, "CpusetCpus");
	json_t *c = json_object();

	put_number(c, "shares", config_number(host, "CpuShares"));
	if (nano > 0) {
		json_put(c, "period", json_integer(CPU_PERIOD));
		json_put(c, "quota", json_integer(nano / (NANO / CPU_PERIOD)));
	}
	if (*cpus)
		json_put(c, "cpus", json_string(cpus));
	return c;
}

static json_t *resources(const struct spec_input *in)
{
	const json_t *host = in->c->host;
	int64_t n = config_number(host, "PidsLimit");
	json_t *r = json_object(), *pids;

	json_put(r, "devices", device_rules(config_flag(host, "Privileged")));
	json_put(r, "memory", memory(in));
	json_put(r, "cpu", cpu(host));
	if (n > 0) {
		pids = json_object();
		json_put(pids, "limit", json_integer(n));
		json_put(r, "pids", pids);
	}
	return r;
}

/* The NIS domain name has no member of its own; this sysctl is the same. */
static json_t *sysctls(const struct spec_input *in)
{
	const char *name;
	json_t *all = json_object(), *v;

	json_object_foreach (json_object_get(in->c->host, "Sysctls"), name, v)
		json_put(all, name, json_incref(v));
	if (in->domainname)
		json_put(all, "kernel.domainname", json_string(in->domainname));
	return all;
}

/* ---- all */

static void put_list(json_t *obj, const char *key, const json_t *list)
{
	if (json_array_size(list) > 0)
		json_put(obj, key, json_deep_copy(list));
}

static void put_seccomp(json_t *linux_spec, const struct spec_input *in)
{
	const json_t *host = in->c->host;
	json_t *set;

	if (config_flag(host, "Privileged") || host_seccomp_unconfined(host))
		return;
	set = capability_set(json_object_get(host, "CapAdd"), json_object_get(host, "CapDrop"),
			     false);
	json_put(linux_spec, "seccomp", set ? seccomp_for(in->seccomp, set) : NULL);
	json_decref(set);
}

void spec_confine(const struct spec_input *in, json_t *linux_spec)
{
	const json_t *host = in->c->host;

	json_put(linux_spec, "cgroupsPath", json_string(in->cgroup));
	json_put(linux_spec, "namespaces", namespaces(in));
	json_put(linux_spec, "resources", resources(in));
	json_put(linux_spec, "sysctl", sysctls(in));
	put_list(linux_spec, "maskedPaths", json_object_get(host, "MaskedPaths"));
	put_list(linux_spec, "readonlyPaths", json_object_get(host, "ReadonlyPaths"));
	if (config_flag(host, "Privileged"))
		json_put(linux_spec, "devices", spec_host_devices());
	put_seccomp(linux_spec, in);
}
