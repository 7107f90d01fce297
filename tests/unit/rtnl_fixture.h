/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of kernel/rtnl and kernel/monitor share: a network and a mount namespace of their
 * own (`home`), a route socket in it, and short ways to say common things. One program includes it
 * once.
 */
#ifndef TESTS_RTNL_FIXTURE_H
#define TESTS_RTNL_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kernel/rtnl.h"

static int home;       /* the test's own namespace */
static struct nl *hnl; /* a route socket in it */

static inline void enter(int ns)
{
	assert_return_code(setns(ns, CLONE_NEWNET), errno);
}

static inline int make_ns(void)
{
	int fd;

	assert_return_code(unshare(CLONE_NEWNET), errno);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	enter(home);
	return fd;
}

static inline struct nl *nl_in(int ns)
{
	struct cnm_error err;
	struct nl *nl;

	enter(ns);
	assert_int_equal(nl_open(&nl, NETLINK_ROUTE, &err), 0);
	enter(home);
	return nl;
}

/* Run a shell command in ns. */
static inline void sh_in(int ns, const char *command)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (setns(ns, CLONE_NEWNET) == 0)
			execl("/bin/sh", "sh", "-ec", command, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("%s: status %d", command, status);
}

static inline struct cnm_mac mac_of(const char *s)
{
	struct cnm_mac m;

	assert_int_equal(mac_parse(&m, s), 0);
	return m;
}

static inline struct cnm_prefix prefix_of(const char *s)
{
	struct cnm_prefix p;

	assert_int_equal(prefix_parse(&p, s), 0);
	return p;
}

static inline struct cnm_ip ip_of(const char *s)
{
	struct cnm_ip ip;

	assert_int_equal(ip_parse(&ip, s), 0);
	return ip;
}

/* Run the batch, which must succeed, and empty it. */
static inline void run(struct nl *nl, struct nl_batch *b)
{
	struct cnm_error err = { 0 };

	if (nl_batch_run(nl, b, &err) < 0)
		fail_msg("batch: %s", err.text);
	for (unsigned i = 0; i < b->count; i++)
		assert_int_equal(b->results[i], 0);
	nl_batch_reset(b);
}

/* Run the batch, which must fail like this, and empty it. words: NULL any, "" none. */
static inline void run_fails(struct nl *nl, struct nl_batch *b, int code, const char *words)
{
	struct cnm_error err = { 0 };

	if (nl_batch_run(nl, b, &err) != code || (words && !strstr(b->text, words)) ||
	    (words && !*words && *b->text))
		fail_msg("wanted %s, \"%s\"; got %s, \"%s\"", strerrorname_np(-code),
			 words ? words : "", err.text, b->text);
	assert_int_equal(err.err, -code);
	assert_int_equal(err.class, CNM_E_INTERNAL);
	assert_non_null(strstr(err.text, strerrordesc_np(-code)));
	assert_non_null(strstr(err.text, b->text));
	nl_batch_reset(b);
}

static inline struct rtnl_link link_named(struct nl *nl, const char *name)
{
	struct cnm_error err = { 0 };
	struct rtnl_link l;
	int r = rtnl_link_by_name(nl, name, &l, &err);

	if (r < 0)
		fail_msg("link %s: %s, %s", name, strerrorname_np(-r), err.text);
	return l;
}

static inline bool has_link(struct nl *nl, const char *name)
{
	struct cnm_error err = { .text = "untouched" };
	struct rtnl_link l;
	int r = rtnl_link_by_name(nl, name, &l, &err);

	assert_string_equal(err.text, "untouched");
	assert_true(r == 0 || r == -ENODEV);
	return r == 0;
}

static inline int add_bridge(const char *name)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };

	rtnl_put_new_link(
		&b, &(struct rtnl_new_link){
			    .name = name, .kind = RTNL_BRIDGE, .up = true, .no_addrgen = true });
	run(hnl, &b);
	return link_named(hnl, name).ifindex;
}

/* A veth on the bridge, its end "eth0" in ns. Returns that end's index; it is down. */
static inline int add_veth(const char *name, int master, int ns, struct nl *nl, bool no_addrgen)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };

	rtnl_put_new_link(&b, &(struct rtnl_new_link){ .name = name,
						       .kind = RTNL_VETH,
						       .master = master,
						       .up = true,
						       .no_addrgen = no_addrgen,
						       .peer_name = "eth0",
						       .peer_ns = ns });
	run(hnl, &b);
	return link_named(nl, "eth0").ifindex;
}

static inline void set_up(struct nl *nl, int ifindex)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };

	rtnl_put_set_link(&b, &(struct rtnl_set_link){ .ifindex = ifindex, .up = 1 });
	run(nl, &b);
}

static inline void del_link(const char *name)
{
	_cleanup_(nl_batch_free) struct nl_batch b = { 0 };

	rtnl_put_del_link(&b, link_named(hnl, name).ifindex);
	run(hnl, &b);
	assert_false(has_link(hnl, name));
}

struct addrs {
	int ifindex;
	unsigned n;
	struct cnm_prefix last;
	uint8_t scope;
	uint32_t flags;
};

static inline int note_addr(int ifindex, const struct cnm_prefix *addr, uint8_t scope,
			    uint32_t flags, void *arg)
{
	struct addrs *a = arg;

	if (ifindex == a->ifindex) {
		a->n++;
		a->last = *addr;
		a->scope = scope;
		a->flags = flags;
	}
	return 0;
}

static inline void forget_addrs(void *arg)
{
	((struct addrs *)arg)->n = 0;
}

static inline struct addrs addrs_of(struct nl *nl, int ifindex)
{
	struct addrs a = { .ifindex = ifindex };
	struct cnm_error err;

	assert_int_equal(rtnl_addrs(nl, note_addr, forget_addrs, &a, &err), 0);
	return a;
}

/* Enter namespaces of our own. False: not root, skip. */
static inline bool fixture_open(void)
{
	struct cnm_error err;

	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "skipped: root is needed to make network namespaces\n");
		return false;
	}
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || nl_open(&hnl, NETLINK_ROUTE, &err) < 0)
		abort();
	return true;
}

static inline void fixture_close(void)
{
	nl_close(hnl);
	close(home);
}

#endif
