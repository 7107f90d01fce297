/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network namespaces: made, opened, entered by a helper thread, pinned to a file.
 *
 * All that must be done inside another namespace is a job for one persistent helper thread. Jobs
 * are short (a few system calls), so one thread and its queue suffice; the refilling of pools has a
 * thread of its own (netns_pool.c).
 */
#include "kernel/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/str.h"
#include "kernel/netns_internal.h"
#include "kernel/rtnl.h"

static struct netns_helper helper = NETNS_HELPER_INIT(helper);

int netns_call(int ns, int (*fn)(void *arg), void *arg)
{
	bool called;

	return netns_helper_run(&helper, ns, fn, arg, &called);
}

int netns_call_err(int ns, int (*fn)(void *arg), void *arg, struct cnm_error *err)
{
	bool called;
	int r = netns_helper_run(&helper, ns, fn, arg, &called);

	if (!called)
		cnm_error_errno(err, r, "enter a network namespace");
	return r;
}

/* ---- making one */

/* What a sandbox wants different from the kernel's defaults. IPv6 may be missing in the kernel. */
static int set_defaults(struct cnm_error *err)
{
	static const struct {
		const char *path, *value;
	} sysctls[] = {
		{ "net/ipv4/ip_unprivileged_port_start", "0" },
		{ "net/ipv4/ping_group_range", "0 2147483647" },
		{ "net/ipv6/conf/default/ndisc_notify", "1" },
		{ "net/ipv6/conf/default/accept_dad", "0" },
		{ "net/ipv6/conf/default/accept_ra", "0" },
	};

	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		int r = sysctl_write(-1, sysctls[i].path, sysctls[i].value, NULL);

		if (r == -ENOENT && str_after(sysctls[i].path, "net/ipv6/"))
			continue;
		if (r < 0)
			return cnm_error_errno(err, r, "write \"%s\" to /proc/sys/%s",
					       sysctls[i].value, sysctls[i].path);
	}
	return 0;
}

static int loopback_up(struct nl *rtnl, struct cnm_error *err)
{
	const struct rtnl_set_link lo = { .ifindex = LOOPBACK_IFINDEX, .up = 1 };
	struct nl_batch b = { 0 };
	int r;

	rtnl_put_set_link(&b, &lo);
	r = nl_batch_run(rtnl, &b, err);
	nl_batch_free(&b);
	if (r < 0)
		cnm_error_prefix(err, "set loopback up");
	return r;
}

int netns_make_here(struct netns_ready *ret, struct cnm_error *err)
{
	struct netns_ready n = { .ns = -1, .dns_udp = -1, .dns_tcp = -1 };
	int r = 0;

	if (unshare(CLONE_NEWNET) < 0)
		return cnm_error_errno(err, errno, "make a network namespace");
	n.ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (n.ns < 0)
		r = cnm_error_errno(err, errno, "open /proc/thread-self/ns/net");
	if (r == 0)
		r = nl_open(&n.rtnl, NETLINK_ROUTE, err);
	if (r == 0)
		r = loopback_up(n.rtnl, err);
	if (r == 0)
		r = set_defaults(err);
	if (r == 0)
		r = netns_open_dns_here(&n.dns_udp, &n.dns_tcp, err);
	if (r < 0) {
		netns_ready_close(&n);
		cnm_error_prefix(err, "make a network namespace ready");
		return r;
	}
	*ret = n;
	return 0;
}

struct make_job {
	struct netns_ready ready;
	struct cnm_error *err;
};

static int make_job(void *arg)
{
	struct make_job *m = arg;

	return netns_make_here(&m->ready, m->err);
}

int netns_make(struct netns_ready *ret, struct cnm_error *err)
{
	struct make_job m = { .err = err };
	int r = netns_call_err(-1, make_job, &m, err);

	if (r == 0)
		*ret = m.ready;
	return r;
}

void netns_ready_close(struct netns_ready *r)
{
	nl_close(r->rtnl);
	r->rtnl = NULL;
	close_fd(&r->ns);
	close_fd(&r->dns_udp);
	close_fd(&r->dns_tcp);
}

struct nl_job {
	struct nl *nl;
	int protocol;
	struct cnm_error *err;
};

static int nl_job(void *arg)
{
	struct nl_job *n = arg;

	return nl_open(&n->nl, n->protocol, n->err);
}

int netns_nl_open(struct nl **ret, int ns, int protocol, struct cnm_error *err)
{
	struct nl_job n = { .protocol = protocol, .err = err };
	int r = netns_call_err(ns, nl_job, &n, err);

	if (r == 0)
		*ret = n.nl;
	return r;
}

/* ---- opening one */

/* O_PATH first, for what is not a namespace may be a device or a fifo, whose opening does things.
 */
static bool is_netns(int path_fd)
{
	struct statfs fs;

	return fstatfs(path_fd, &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

int netns_open_path(const char *path, int *ret, struct cnm_error *err)
{
	_close_ int at = open(path, O_PATH | O_CLOEXEC), ns = -1;
	char self[64];

	if (at < 0 && (errno == ENOENT || errno == ENOTDIR))
		return cnm_error_set(err, CNM_E_NOT_FOUND, "no network namespace at %s", path);
	if (at < 0)
		return cnm_error_errno(err, errno, "open the network namespace %s", path);
	if (is_netns(at)) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
		ns = open(self, O_RDONLY | O_CLOEXEC);
		if (ns < 0)
			return cnm_error_errno(err, errno, "open the network namespace %s", path);
	}
	if (ns < 0 || ioctl(ns, NS_GET_NSTYPE) != CLONE_NEWNET)
		return cnm_error_set(err, CNM_E_INVALID, "%s is not a network namespace", path);
	*ret = take_fd(&ns);
	return 0;
}

int netns_open_pid(pid_t pid, int *ret, struct cnm_error *err)
{
	char path[64];
	int ns;

	if (pid <= 0)
		return cnm_error_set(err, CNM_E_INVALID, "%d is not a process id", (int)pid);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 && (errno == ENOENT || errno == ESRCH))
		return cnm_error_set(err, CNM_E_NOT_FOUND, "no process with id %d", (int)pid);
	if (ns < 0)
		return cnm_error_errno(err, errno, "open the network namespace of process %d (%s)",
				       (int)pid, path);
	*ret = ns;
	return 0;
}

int netns_inode(int ns, uint64_t *ret_dev, uint64_t *ret_ino)
{
	struct stat st;

	if (fstat(ns, &st) < 0)
		return -errno;
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	return 0;
}

/* ---- pinning */

static int pin_path(char path[static PATH_MAX], const char *dir, const char *name,
		    struct cnm_error *err)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	if (n < 0 || n >= PATH_MAX)
		return cnm_error_set(err, CNM_E_INVALID, "the path %.100s.../%.100s is too long",
				     dir, name);
	return 0;
}

static int make_dirs(const char *dir, struct cnm_error *err)
{
	char path[PATH_MAX];

	if (!str_copy(path, sizeof(path), dir))
		return cnm_error_set(err, CNM_E_INVALID, "the path %.100s... is too long", dir);
	for (char *p = path + 1; p[-1]; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return cnm_error_errno(err, errno, "make the directory %s", path);
		*p = c;
	}
	return 0;
}

static bool is_mount_point(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, 0, 0, &st) == 0 && (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/*
 * Pins must be seen in other mount namespaces that stem from this one, and vanish there when they
 * go; so the directory is a shared mount, a bind mount of itself if need be. Under the lock that
 * `ip netns` takes as well, lest two of us stack two mounts.
 */
static int share_dir(const char *dir, struct cnm_error *err)
{
	static atomic_bool shared; /* changing a mount stops the world: once is enough */
	_close_ int lock = -1;

	if (shared && is_mount_point(dir))
		return 0;
	shared = true;
	if (mount("", dir, "none", MS_SHARED, NULL) == 0)
		return 0;
	lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0)
		return cnm_error_errno(err, errno, "open the directory %s", dir);
	flock(lock, LOCK_EX);
	if (mount("", dir, "none", MS_SHARED, NULL) == 0)
		return 0;
	if (errno != EINVAL) /* EINVAL: not a mount point */
		return cnm_error_errno(err, errno, "make %s a shared mount", dir);
	if (mount(dir, dir, "none", MS_BIND | MS_REC, NULL) < 0)
		return cnm_error_errno(err, errno, "bind mount %s onto itself", dir);
	if (mount("", dir, "none", MS_SHARED, NULL) < 0)
		return cnm_error_errno(err, errno, "make %s a shared mount", dir);
	return 0;
}

/* The file is there already: 0 if this very namespace is pinned to it. */
static int check_pinned(int ns, const char *path, struct cnm_error *err)
{
	uint64_t dev = 0, ino = 0, have_dev = 0, have_ino = 0;
	_close_ int have = -1;

	if (netns_open_path(path, &have, NULL) < 0)
		return cnm_error_set(
			err, CNM_E_CONFLICT,
			"%s exists; remove it or adopt it with --netns (it is an ordinary "
			"file, no namespace is mounted there now)",
			path);
	if (netns_inode(ns, &dev, &ino) == 0 && netns_inode(have, &have_dev, &have_ino) == 0 &&
	    dev == have_dev && ino == have_ino)
		return 0;
	return cnm_error_set(
		err, CNM_E_CONFLICT,
		"%s exists; remove it or adopt it with --netns (it is the namespace of "
		"somebody else)",
		path);
}

int netns_pin(int ns, const char *dir, const char *name, struct cnm_error *err)
{
	char path[PATH_MAX], self[64];
	int r = pin_path(path, dir, name, err), fd;

	if (r == 0)
		r = make_dirs(dir, err);
	if (r == 0)
		r = share_dir(dir, err);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (fd < 0 && errno == EEXIST)
		return check_pinned(ns, path, err);
	if (fd < 0)
		return cnm_error_errno(err, errno, "make the file %s", path);
	close(fd);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", ns);
	if (mount(self, path, "none", MS_BIND, NULL) < 0) {
		r = cnm_error_errno(err, errno, "mount the network namespace at %s", path);
		unlink(path);
	}
	return r;
}

int netns_unpin(const char *dir, const char *name, struct cnm_error *err)
{
	char path[PATH_MAX];
	int r = pin_path(path, dir, name, err);

	if (r < 0)
		return r;
	/* EINVAL: it is not mounted; then, as when it is, the file goes */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return cnm_error_errno(err, errno, "unmount the network namespace at %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return cnm_error_errno(err, errno, "remove %s", path);
	return 0;
}
