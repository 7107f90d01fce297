/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "containers/capabilities.h"

#include <stdint.h>
#include <strings.h>
#include <sys/prctl.h>

#include "base/json.h"
#include "base/str.h"

/* By the kernel's numbers. */
static const char *const names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

#define N_NAMES (sizeof(names) / sizeof(names[0]))
#define ALL     ((UINT64_C(1) << N_NAMES) - 1)

/*
 * CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
 * MKNOD AUDIT_WRITE SETFCAP, as CapBnd shows them in /proc/self/status.
 */
#define DOCKER UINT64_C(0xa80425fb)

const char *capability_find(const char *name)
{
	if (strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0)
		return "ALL";
	for (size_t i = 0; i < N_NAMES; i++)
		if (strcasecmp(name, names[i]) == 0 || strcasecmp(name, names[i] + 4) == 0)
			return names[i];
	return NULL;
}

/* *ret_all: "ALL" is among them. */
static uint64_t mask(const json_t *list, bool *ret_all)
{
	uint64_t m = 0;
	json_t *v;
	size_t i;

	*ret_all = false;
	json_array_foreach (list, i, v) {
		const char *name = json_string_value(v);

		if (name && streq(name, "ALL"))
			*ret_all = true;
		for (size_t n = 0; name && n < N_NAMES; n++)
			if (streq(name, names[n]))
				m |= UINT64_C(1) << n;
	}
	return m;
}

/* "ALL" gives way to the names of the other list, whichever it stands in. */
static uint64_t chosen(const json_t *add, const json_t *drop)
{
	bool add_all, drop_all;
	uint64_t added = mask(add, &add_all), dropped = mask(drop, &drop_all);

	if (drop_all)
		return add_all ? ALL : added;
	if (add_all)
		return ALL & ~dropped;
	return (DOCKER & ~dropped) | added;
}

json_t *capability_set(const json_t *add, const json_t *drop, bool privileged)
{
	uint64_t set = privileged ? ALL : chosen(add, drop);
	_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < N_NAMES; i++) {
		if (!(set >> i & 1) || prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 1)
			continue;
		if (json_array_append_new(list, json_string(names[i])) < 0)
			return NULL;
	}
	return take_ptr(list);
}

bool capability_is_given(const json_t *add, const json_t *drop, bool privileged, const char *name)
{
	uint64_t set = privileged ? ALL : chosen(add, drop);

	for (size_t i = 0; i < N_NAMES; i++)
		if (streq(names[i], name))
			return set >> i & 1;
	return false;
}
