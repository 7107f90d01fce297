/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From Docker's conditional profile to the runtime's plain one.
 *
 * The profile that Debian installs is laxer than Docker's where it leans on capabilities alone: it
 * lets everybody make user namespaces and mount in them. So the calls that Docker lets through with
 * a capability only (`held` below) are taken out of whatever the profile says and put back by
 * Docker's rule. A profile can forbid more than that, never less.
 */
#include "containers/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "base/str.h"

#define MAX_PROFILE (4 * 1024 * 1024)
#define PACKAGE     "golang-github-containers-common"

/* clone(): every CLONE_NEW* but the time namespace's, which shares its bit with the exit signal. */
#define NEW_NAMESPACES 2114060288
#define AF_VSOCKETS    40

struct machine {
	const char *machine; /* uname's */
	const char *seccomp;
	const char *name; /* as conditions have it */
};

struct seccomp {
	json_t *profile;
	const struct machine *machine; /* NULL: unknown, no rule of an architecture applies */
	unsigned major, minor;         /* of the kernel */
};

static const struct machine machines[] = {
	{ "x86_64", "SCMP_ARCH_X86_64", "amd64" },
	{ "aarch64", "SCMP_ARCH_AARCH64", "arm64" },
	{ "i686", "SCMP_ARCH_X86", "x86" },
	{ "armv7l", "SCMP_ARCH_ARM", "arm" },
	{ "ppc64le", "SCMP_ARCH_PPC64LE", "ppc64le" },
	{ "s390x", "SCMP_ARCH_S390X", "s390x" },
	{ "riscv64", "SCMP_ARCH_RISCV64", "riscv64" },
};

/* Let through with one of these capabilities only ("": with none). */
static const struct held {
	const char *call, *capability, *or_capability;
} held[] = {
	{ "add_key", "", "" },
	{ "bpf", "CAP_SYS_ADMIN", "CAP_BPF" },
	{ "clone", "CAP_SYS_ADMIN", "" },
	{ "clone3", "CAP_SYS_ADMIN", "" },
	{ "fanotify_init", "CAP_SYS_ADMIN", "" },
	{ "fsconfig", "CAP_SYS_ADMIN", "" },
	{ "fsmount", "CAP_SYS_ADMIN", "" },
	{ "fsopen", "CAP_SYS_ADMIN", "" },
	{ "fspick", "CAP_SYS_ADMIN", "" },
	{ "get_mempolicy", "CAP_SYS_NICE", "" },
	{ "keyctl", "", "" },
	{ "lookup_dcookie", "CAP_SYS_ADMIN", "" },
	{ "mbind", "CAP_SYS_NICE", "" },
	{ "mount", "CAP_SYS_ADMIN", "" },
	{ "mount_setattr", "CAP_SYS_ADMIN", "" },
	{ "move_mount", "CAP_SYS_ADMIN", "" },
	{ "open_tree", "CAP_SYS_ADMIN", "" },
	{ "perf_event_open", "CAP_SYS_ADMIN", "CAP_PERFMON" },
	{ "pidfd_getfd", "CAP_SYS_PTRACE", "" },
	{ "pivot_root", "", "" },
	{ "quotactl", "CAP_SYS_ADMIN", "" },
	{ "reboot", "CAP_SYS_BOOT", "" },
	{ "request_key", "", "" },
	{ "set_mempolicy", "CAP_SYS_NICE", "" },
	{ "setdomainname", "CAP_SYS_ADMIN", "" },
	{ "sethostname", "CAP_SYS_ADMIN", "" },
	{ "setns", "CAP_SYS_ADMIN", "" },
	{ "socket", "", "" },
	{ "syslog", "CAP_SYSLOG", "CAP_SYS_ADMIN" },
	{ "umount", "CAP_SYS_ADMIN", "" },
	{ "umount2", "CAP_SYS_ADMIN", "" },
	{ "unshare", "CAP_SYS_ADMIN", "" },
};

#define N_HELD (sizeof(held) / sizeof(held[0]))

/* ---- the profile */

static json_t *read_profile(const char *path, struct cnm_error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	json_error_t why;
	struct stat st;
	json_t *profile;

	if (fd < 0 || fstat(fd, &st) < 0) {
		cnm_error_set(err, CNM_E_NOT_FOUND,
			      "read the seccomp profile %s: %s: install " PACKAGE
			      ", or name another profile",
			      path, strerror(errno));
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_PROFILE) {
		cnm_error_set(err, CNM_E_INVALID,
			      "the seccomp profile %s is no regular file of at most %d bytes", path,
			      MAX_PROFILE);
		return NULL;
	}
	profile = json_loadfd(fd, 0, &why);
	if (!profile)
		cnm_error_set(err, CNM_E_INVALID, "the seccomp profile %s: %s (line %d)", path,
			      why.text, why.line);
	return profile;
}

static void look_around(struct seccomp *s)
{
	struct utsname u;

	if (uname(&u) < 0)
		return;
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (streq(u.machine, machines[i].machine))
			s->machine = &machines[i];
	if (sscanf(u.release, "%u.%u", &s->major, &s->minor) != 2)
		s->major = s->minor = 0;
}

int seccomp_open(struct seccomp **ret, const char *path, struct cnm_error *err)
{
	struct seccomp *s = calloc(1, sizeof(*s));

	if (!s)
		return cnm_error_errno(err, ENOMEM, "read the seccomp profile %s", path);
	s->profile = read_profile(path, err);
	if (s->profile && !(json_is_string(json_object_get(s->profile, "defaultAction")) &&
			    json_is_array(json_object_get(s->profile, "syscalls")))) {
		cnm_error_set(err, CNM_E_INVALID,
			      "the seccomp profile %s has no \"defaultAction\" or \"syscalls\"",
			      path);
		json_decref(take_ptr(s->profile));
	}
	if (!s->profile) {
		free(s);
		return err ? -err->err : -EINVAL;
	}
	look_around(s);
	*ret = s;
	return 0;
}

void seccomp_close(struct seccomp *s)
{
	if (!s)
		return;
	json_decref(s->profile);
	free(s);
}

/* ---- conditions */

static bool lists(const json_t *list, const char *text)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (json_is_string(v) && streq(json_string_value(v), text))
			return true;
	return false;
}

static bool is_kernel(const struct seccomp *s, const json_t *least)
{
	unsigned major, minor;

	if (!json_is_string(least) ||
	    sscanf(json_string_value(least), "%u.%u", &major, &minor) != 2)
		return false;
	return s->major > major || (s->major == major && s->minor >= minor);
}

static bool on_machine(const struct seccomp *s, const json_t *arches)
{
	return s->machine && lists(arches, s->machine->name);
}

/* All that is included must hold: each capability, one of the machines, the kernel. */
static bool includes(const struct seccomp *s, const json_t *when, const json_t *capabilities)
{
	const json_t *arches = json_object_get(when, "arches"), *v;
	const json_t *kernel = json_object_get(when, "minKernel");
	size_t i;

	if (json_array_size(arches) > 0 && !on_machine(s, arches))
		return false;
	if (kernel && !json_is_null(kernel) && !is_kernel(s, kernel))
		return false;
	json_array_foreach (json_object_get(when, "caps"), i, v)
		if (!json_is_string(v) || !lists(capabilities, json_string_value(v)))
			return false;
	return true;
}

/* One of what is excluded is enough. */
static bool excludes(const struct seccomp *s, const json_t *when, const json_t *capabilities)
{
	const json_t *kernel = json_object_get(when, "minKernel"), *v;
	size_t i;

	if (on_machine(s, json_object_get(when, "arches")) ||
	    (kernel && !json_is_null(kernel) && is_kernel(s, kernel)))
		return true;
	json_array_foreach (json_object_get(when, "caps"), i, v)
		if (json_is_string(v) && lists(capabilities, json_string_value(v)))
			return true;
	return false;
}

/* ---- rules */

static bool is_held(const char *call)
{
	for (size_t i = 0; i < N_HELD; i++)
		if (streq(call, held[i].call))
			return true;
	return false;
}

/* The names of a rule that are not held; NULL when none is left. */
static json_t *free_names(const json_t *rule)
{
	json_t *names = json_array(), *v;
	size_t i;

	json_array_foreach (json_object_get(rule, "names"), i, v)
		if (json_is_string(v) && !is_held(json_string_value(v)))
			json_push(names, json_string(json_string_value(v)));
	if (json_array_size(names) > 0)
		return names;
	json_decref(names);
	return NULL;
}

static void copy_member(json_t *to, const json_t *from, const char *key)
{
	json_t *v = json_object_get(from, key);

	if (v && !json_is_null(v))
		json_put(to, key, json_deep_copy(v));
}

static void add_profile_rule(json_t *rules, const json_t *from)
{
	json_t *names = free_names(from), *rule;

	if (!names)
		return;
	rule = json_object();
	json_put(rule, "names", names);
	copy_member(rule, from, "action");
	copy_member(rule, from, "errnoRet");
	if (json_array_size(json_object_get(from, "args")) > 0)
		copy_member(rule, from, "args");
	json_push(rules, rule);
}

/* error 0: allowed. names is taken. */
static json_t *rule_for(json_t *names, int error)
{
	json_t *rule = json_object();

	json_put(rule, "names", names);
	json_put(rule, "action", json_string(error ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW"));
	if (error)
		json_put(rule, "errnoRet", json_integer(error));
	return rule;
}

/* Allowed where this argument compares so. */
static json_t *rule_where(const char *call, int index, int64_t value, const char *op)
{
	json_t *rule = rule_for(json_pack("[s]", call), 0);

	json_put(rule, "args",
		 json_pack("[{s:i, s:I, s:I, s:s}]", "index", index, "value", (json_int_t)value,
			   "valueTwo", (json_int_t)0, "op", op));
	return rule;
}

/*
 * Without the capability clone() makes processes but no namespaces, and clone3(), whose flags a
 * filter cannot see, does not exist, so that programs fall back to clone().
 */
static void add_clone_rules(json_t *rules, const struct seccomp *s, bool allowed)
{
	bool swapped = s->machine && streq(s->machine->name, "s390x");

	if (allowed) {
		json_push(rules, rule_for(json_pack("[s, s]", "clone", "clone3"), 0));
		return;
	}
	json_push(rules,
		  rule_where("clone", swapped ? 1 : 0, NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ"));
	json_push(rules, rule_for(json_pack("[s]", "clone3"), ENOSYS));
}

static void add_held_rules(json_t *rules, const struct seccomp *s, const json_t *capabilities)
{
	json_t *allowed = json_array(), *refused = json_array();

	for (size_t i = 0; i < N_HELD; i++) {
		const struct held *h = &held[i];
		bool has =
			lists(capabilities, h->capability) || lists(capabilities, h->or_capability);

		if (streq(h->call, "clone"))
			add_clone_rules(rules, s, has);
		else if (streq(h->call, "socket"))
			json_push(rules, rule_where("socket", 0, AF_VSOCKETS, "SCMP_CMP_NE"));
		else if (!streq(h->call, "clone3"))
			json_push(has ? allowed : refused, json_string(h->call));
	}
	if (json_array_size(allowed) > 0)
		json_push(rules, rule_for(json_incref(allowed), 0));
	json_push(rules, rule_for(refused, EPERM));
	json_decref(allowed);
}

static json_t *architectures(const struct seccomp *s)
{
	json_t *list = json_array(), *v, *sub;
	size_t i, n;

	json_array_foreach (json_object_get(s->profile, "archMap"), i, v) {
		const json_t *name = json_object_get(v, "architecture");

		if (!s->machine || !json_is_string(name) ||
		    !streq(json_string_value(name), s->machine->seccomp))
			continue;
		json_push(list, json_string(s->machine->seccomp));
		json_array_foreach (json_object_get(v, "subArchitectures"), n, sub)
			if (json_is_string(sub))
				json_push(list, json_string(json_string_value(sub)));
	}
	return list;
}

json_t *seccomp_for(const struct seccomp *s, const json_t *capabilities)
{
	json_t *all = json_object(), *rules = json_array(), *v;
	size_t i;

	copy_member(all, s->profile, "defaultAction");
	copy_member(all, s->profile, "defaultErrnoRet");
	json_put(all, "architectures", architectures(s));
	json_array_foreach (json_object_get(s->profile, "syscalls"), i, v)
		if (includes(s, json_object_get(v, "includes"), capabilities) &&
		    !excludes(s, json_object_get(v, "excludes"), capabilities))
			add_profile_rule(rules, v);
	add_held_rules(rules, s, capabilities);
	json_put(all, "syscalls", rules);
	return all;
}
