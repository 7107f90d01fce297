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
#include <stdlib.h>
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

/* What a command writes; the caller frees. */
static inline char *output(const char *cmd)
{
	FILE *f = popen(cmd, "r");
	struct strbuf b = { 0 };
	char buf[4096];
	size_t n;

	assert_non_null(f);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		strbuf_addn(&b, buf, n);
	assert_int_equal(pclose(f), 0);
	return strbuf_take(&b);
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

static inline struct nft_value value_of(enum nft_type type, const char *text)
{
	struct nft_value v = { .type = type };
	char last;

	switch (type) {
	case NFT_T_NONE:
		fail_msg("a field too many: %s", text);
		break;
	case NFT_T_IFNAME:
		return ifname(text);
	case NFT_T_NFPROTO:
		v.proto = streq(text, "ipv4") ? NFPROTO_IPV4 : NFPROTO_IPV6;
		break;
	case NFT_T_IP4:
	case NFT_T_IP6:
	case NFT_T_ND:
		v = address(text);
		v.type = type;
		break;
	case NFT_T_ETHER:
		assert_int_equal(mac_parse(&v.mac, text), 0);
		break;
	case NFT_T_PROTO:
		v.proto = streq(text, "tcp")    ? IPPROTO_TCP
			  : streq(text, "udp")  ? IPPROTO_UDP
			  : streq(text, "sctp") ? IPPROTO_SCTP
						: (uint8_t)atoi(text);
		break;
	case NFT_T_PORT:
		if (sscanf(text, "%hu%c%hu", &v.port.first, &last, &v.port.last) == 1)
			v.port.last = v.port.first;
		break;
	case NFT_T_VERDICT:
		return verdict(text);
	}
	return v;
}

static inline char *values_of(char *text, const enum nft_type *types, unsigned max,
			      struct nft_value *ret)
{
	for (unsigned i = 0; i < max; i++) {
		char *end = text + strcspn(text, " "), *next = end + strlen(end);

		if (types[i] == NFT_T_VERDICT)
			end = next;
		else if (str_after(end, " . ") || str_after(end, " : "))
			next = end + 3;
		char separator = *end ? end[1] : '\0';
		*end = '\0';
		ret[i] = value_of(types[i], text);
		text = next;
		if (separator != '.')
			break;
	}
	return text;
}

/* An element by its text: "tcp . 8080 : 172.17.0.2 . 80". */
static inline struct nft_elem elem(const char *set, const char *text)
{
	const struct nft_set *s = nft_set_by_name(set);
	struct nft_elem e = { .set = set };
	char copy[256], *data;

	assert_non_null(s);
	str_copy(copy, sizeof(copy), text);
	data = values_of(copy, s->key, NFT_MAX_KEY, e.key);
	if (s->map)
		values_of(data, s->data, NFT_MAX_DATA, e.data);
	return e;
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

static inline int collect(const struct nft_elem *e, void *arg)
{
	struct strbuf *b = arg;

	strbuf_addf(b, "%s ", e->set);
	nft_elem_text(e, b);
	strbuf_add(b, "\n");
	return 0;
}

/* All elements as lines, in the kernel's order; the caller frees. */
static inline char *dump(void)
{
	struct strbuf b = { 0 };

	assert_ok(nft_dump(nft, collect, &b, &err));
	return strbuf_take(&b);
}

static inline void assert_dump(const char *want)
{
	_free_ char *have = dump();

	assert_string_equal(have, want);
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
