/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network namespaces. The only place that calls unshare and setns, and only on helper threads that
 * are home again (or gone) when the call returns: no other thread ever changes namespace.
 */
#ifndef KERNEL_NETNS_H
#define KERNEL_NETNS_H

#include <stdbool.h>
#include <sys/types.h>

#include "cnm/error.h"
#include "kernel/netlink.h"

#define NETNS_DNS_TABLE "cnm-dns" /* of family ip */

/* A namespace made ready for a sandbox. Plain descriptors: nothing is left if the process dies. */
struct netns_ready {
	int ns;          /* the namespace */
	struct nl *rtnl; /* a route socket inside it */
	int dns_udp,
		dns_tcp; /* 127.0.0.11: bound, and listening, on ports of the kernel's choice */
};

/*
 * Make one: loopback up; net.ipv4.ip_unprivileged_port_start=0, net.ipv4.ping_group_range
 * "0 2147483647", net.ipv6.conf.default.ndisc_notify=1, accept_dad 0 for default, accept_ra 0 for
 * default; DNS sockets; and the nf_tables table "cnm-dns" that leads 127.0.0.11 port 53 (udp, tcp)
 * to them and their answers back. Writes as few sysctls as do the job (each costs 20 to 170 us).
 */
int netns_make(struct netns_ready *ret, struct cnm_error *err);
void netns_ready_close(struct netns_ready *r);

/* The same DNS furniture in a namespace that was made by others, or whose table was flushed. */
int netns_open_dns(int ns, int *ret_udp, int *ret_tcp, struct cnm_error *err);
/* (Re)install the table for sockets that exist; remove it. */
int netns_dns_table(int ns, int udp, int tcp, struct cnm_error *err);
int netns_dns_table_remove(int ns, struct cnm_error *err);
/* 1 if the table is there and leads to these sockets, 0 if not, negative errno. */
int netns_dns_table_check(int ns, int udp, int tcp, struct cnm_error *err);

/* A pool of ready ones, refilled by a thread of its own. */
struct netns_pool;
int netns_pool_new(struct netns_pool **ret, unsigned size, struct cnm_error *err);
void netns_pool_free(struct netns_pool *p);
/* From the pool, or made now if it is empty. */
int netns_pool_take(struct netns_pool *p, struct netns_ready *ret, struct cnm_error *err);

/* A route (or netfilter) socket inside namespace ns. */
int netns_nl_open(struct nl **ret, int ns, int protocol, struct cnm_error *err);

/*
 * Pin at DIR/NAME by a bind mount, as `ip netns` does (DIR becomes a shared mount point first, if
 * it is none). CONFLICT if the file exists and is a namespace of someone else. Unpin: unmount and
 * unlink; absent is fine.
 */
int netns_pin(int ns, const char *dir, const char *name, struct cnm_error *err);
int netns_unpin(const char *dir, const char *name, struct cnm_error *err);

/* Open by path or by pid; checks that it is a network namespace. NOT_FOUND, INVALID. */
int netns_open_path(const char *path, int *ret, struct cnm_error *err);
int netns_open_pid(pid_t pid, int *ret, struct cnm_error *err);
/* Identity of a namespace (device and inode), to compare two descriptors or find it again. */
int netns_inode(int ns, uint64_t *ret_dev, uint64_t *ret_ino);

/*
 * Run fn on a helper thread inside ns (-1: the home namespace). Its return value is handed back, or
 * the negative errno why it could not be called. fn must be short, since there is one such thread,
 * and must not call anything that needs it again. Thread-safe; not for forked children.
 */
int netns_call(int ns, int (*fn)(void *arg), void *arg);

/* For sysctl_*: the process's home namespace, by directories that are kept open. */
#define SYSCTL_HOME -2

/* /proc/sys/PATH inside ns (-1: the caller's, SYSCTL_HOME: the process's own). Read strips the
 * newline. -ENOENT when the kernel lacks it.
 */
int sysctl_write(int ns, const char *path, const char *value, struct cnm_error *err);
int sysctl_read(int ns, const char *path, char *buf, size_t size, struct cnm_error *err);

/*
 * For the command line only (it changes the calling process): enter the namespace, a private mount
 * namespace with a fresh /sys, put the given files over /etc/hosts and /etc/resolv.conf (and
 * /etc/hostname) and exec argv. Returns only on failure. Any path may be NULL.
 */
int netns_exec(const char *netns_path, const char *hosts, const char *resolv_conf,
	       const char *hostname_file, char *const argv[], struct cnm_error *err);

#endif
