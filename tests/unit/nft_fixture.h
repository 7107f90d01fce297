/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the firewall share: elements in few words, a table that is loaded before each
 * test and unloaded after it, and a main() that runs in a network and a mount namespace of its own.
 */
#ifndef TESTS_UNIT_NFT_FIXTURE_H
#define TESTS_UNIT_NFT_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/netfilter.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/netns.h"
#include "kernel/nft.h"

static struct cnm_error err;
static struct nft *nft;

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

__attribute__((format(printf, 1, 2))) static inline void run(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (system(cmd) != 0)
		fail_msg("failed: %s", cmd);
}

/* ---- elements */

static inline struct nft_value ifname(const char *name)
{
	struct nft_value v = { .type = NFT_T_IFNAME };

	str_copy(v.ifname, sizeof(v.ifname), name);
	return v;
}

static inline struct nft_value verdict(const char *text)
{
	struct nft_value v = { .type = NFT_T_VERDICT };

	str_copy(v.verdict, sizeof(v.verdict), text);
	return v;
}

static inline struct nft_value address(const char *text)
{
	struct nft_value v = { 0 };

	assert_int_equal(ip_parse(&v.ip, text), 0);
	v.type = v.ip.family == AF_INET ? NFT_T_IP4 : NFT_T_IP6;
	return v;
}

static inline struct nft_elem in_set(const char *set, const char *name)
{
	return (struct nft_elem){ .set = set, .key = { ifname(name) } };
}

static inline struct nft_elem same(const char *from, const char *to, const char *what)
{
	return (struct nft_elem){ .set = "same",
				  .key = { ifname(from), ifname(to) },
				  .data = { verdict(what) } };
}

static inline struct nft_elem snat(const char *set, const char *name, const char *to)
{
	return (struct nft_elem){ .set = set, .key = { ifname(name) }, .data = { address(to) } };
}

/* Of set unprotected or routed. */
static inline struct nft_elem mode(const char *set, const char *name, uint8_t proto)
{
	return (struct nft_elem){
		.set = set, .key = { ifname(name), { .type = NFT_T_NFPROTO, .proto = proto } }
	};
}

static inline struct nft_elem foreign(uint8_t proto, const char *what)
{
	return (struct nft_elem){ .set = "foreign",
				  .key = { { .type = NFT_T_NFPROTO, .proto = proto } },
				  .data = { verdict(what) } };
}

static inline int setup(void **state)
{
	assert_ok(nft_open(&nft, "cnm", &err));
	assert_ok(nft_load(nft, NULL, 0, &err));
	return 0;
}

static inline int teardown(void **state)
{
	int r = nft_unload(nft, &err);

	nft_close(nft);
	nft = NULL;
	return r < 0 || system("test -z \"$(nft list ruleset)\"") != 0;
}

static inline int enter_namespaces(void)
{
	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0) {
		perror("unshare");
		return 1;
	}
	return 0;
}

#endif
