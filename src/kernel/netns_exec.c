/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command run inside a namespace, with the sandbox's own files: what `ip netns exec` does. */
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/netns.h"

static int enter(const char *netns_path, struct cnm_error *err)
{
	_close_ int ns = -1;
	int r = netns_open_path(netns_path, &ns, err);

	if (r < 0)
		return r;
	if (setns(ns, CLONE_NEWNET) < 0)
		return cnm_error_errno(err, errno, "enter the network namespace %s", netns_path);
	if (unshare(CLONE_NEWNS) < 0)
		return cnm_error_errno(err, errno, "make a mount namespace");
	/* slave: what is mounted outside still shows in here, and nothing of ours shows outside */
	if (mount("", "/", "none", MS_SLAVE | MS_REC, NULL) < 0)
		return cnm_error_errno(err, errno, "make / a slave mount");
	return 0;
}

/* /sys/class/net shows the namespace in which it was mounted. The command runs without it, too. */
static void fresh_sysfs(void)
{
	umount2("/sys", MNT_DETACH);
	(void)mount("sysfs", "/sys", "sysfs", 0, NULL);
}

static int cover(const char *target, const char *file, struct cnm_error *err)
{
	if (!file || mount(file, target, "none", MS_BIND, NULL) == 0)
		return 0;
	if (errno == ENOENT && access(file, F_OK) == 0)
		return cnm_error_set(
			err, CNM_E_NOT_FOUND,
			"put %s over %s: %s does not exist here, nor does what it links "
			"to; make it (touch %s)",
			file, target, target, target);
	return cnm_error_errno(err, errno, "put %s over %s", file, target);
}

/* As above, but a system without the target can do without the file. */
static int cover_if_there(const char *target, const char *file, struct cnm_error *err)
{
	return access(target, F_OK) == 0 ? cover(target, file, err) : 0;
}

int netns_exec(const char *netns_path, const char *hosts, const char *resolv_conf,
	       const char *hostname_file, char *const argv[], struct cnm_error *err)
{
	int r = enter(netns_path, err);

	if (r < 0)
		return r;
	fresh_sysfs();
	r = cover_if_there("/etc/hosts", hosts, err);
	if (r == 0)
		r = cover("/etc/resolv.conf", resolv_conf, err);
	if (r == 0)
		r = cover_if_there("/etc/hostname", hostname_file, err);
	if (r < 0)
		return r;
	execvp(argv[0], argv);
	r = -errno;
	cnm_error_errno(err, r, "run %s", argv[0]);
	return r;
}
