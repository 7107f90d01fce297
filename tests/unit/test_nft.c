/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall, with real packets: needs root. The whole program runs in a network and a mount
 * namespace of its own, which is the host of a small world:
 *
 *	br-a: a1 a2    br-b: b1    br-i (internal): i1 i2    vlan: lan    vfar: far
 *
 * All have IPv4 and IPv6 addresses, and everybody has routes to everybody, so that only the
 * firewall keeps them apart. Sockets are made inside the namespaces and used from here.
 */
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

#define PORT    80
#define WAIT_MS 5000 /* for what must arrive */
#define DROP_MS 100  /* for what must not: long enough for a packet on one machine */

static struct cnm_error err;
static struct nft *nft;

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

__attribute__((format(printf, 1, 2))) static void run(const char *fmt, ...)
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

static struct nft_value ifname(const char *name)
{
	struct nft_value v = { .type = NFT_T_IFNAME };

	str_copy(v.ifname, sizeof(v.ifname), name);
	return v;
}

static struct nft_value verdict(const char *text)
{
	struct nft_value v = { .type = NFT_T_VERDICT };

	str_copy(v.verdict, sizeof(v.verdict), text);
	return v;
}

static struct nft_value address(const char *text)
{
	struct nft_value v = { 0 };

	assert_int_equal(ip_parse(&v.ip, text), 0);
	v.type = v.ip.family == AF_INET ? NFT_T_IP4 : NFT_T_IP6;
	return v;
}

static struct nft_elem in_set(const char *set, const char *name)
{
	return (struct nft_elem){ .set = set, .key = { ifname(name) } };
}

static struct nft_elem same(const char *from, const char *to, const char *what)
{
	return (struct nft_elem){ .set = "same",
				  .key = { ifname(from), ifname(to) },
				  .data = { verdict(what) } };
}

static struct nft_elem snat(const char *set, const char *name, const char *to)
{
	return (struct nft_elem){ .set = set, .key = { ifname(name) }, .data = { address(to) } };
}

/* Of set unprotected or routed. */
static struct nft_elem mode(const char *set, const char *name, uint8_t proto)
{
	return (struct nft_elem){
		.set = set, .key = { ifname(name), { .type = NFT_T_NFPROTO, .proto = proto } }
	};
}

static struct nft_elem foreign(uint8_t proto, const char *what)
{
	return (struct nft_elem){ .set = "foreign",
				  .key = { { .type = NFT_T_NFPROTO, .proto = proto } },
				  .data = { verdict(what) } };
}

static int collect(const struct nft_elem *e, void *arg)
{
	struct strbuf *b = arg;

	strbuf_addf(b, "%s ", e->set);
	nft_elem_text(e, b);
	strbuf_add(b, "\n");
	return 0;
}

/* All elements as lines, in the kernel's order; the caller frees. */
static char *dump(void)
{
	struct strbuf b = { 0 };

	assert_ok(nft_dump(nft, collect, &b, &err));
	return strbuf_take(&b);
}

static void assert_dump(const char *want)
{
	_free_ char *have = dump();

	assert_string_equal(have, want);
}

static int setup(void **state)
{
	assert_ok(nft_open(&nft, "cnm", &err));
	assert_ok(nft_load(nft, NULL, 0, &err));
	return 0;
}

static int teardown(void **state)
{
	int r = nft_unload(nft, &err);

	nft_close(nft);
	nft = NULL;
	return r < 0 || system("test -z \"$(nft list ruleset)\"") != 0;
}

/* ---- the tables and their elements */

static void test_text(void **state)
{
	const struct nft_elem elems[] = { in_set("brs", "br-1"),
					  same("br-1", "br-2", "accept"),
					  foreign(NFPROTO_IPV4, "drop"),
					  foreign(NFPROTO_IPV6, "goto x"),
					  snat("snat4", "br-1", "192.0.2.7"),
					  snat("snat6", "br-1", "2001:db8:0:0::7"),
					  mode("routed", "br-1", NFPROTO_IPV6),
					  in_set("noicc", "veth1") };
	static const char *const want[] = { "br-1",
					    "br-1 . br-2 : accept",
					    "ipv4 : drop",
					    "ipv6 : goto x",
					    "br-1 : 192.0.2.7",
					    "br-1 : 2001:db8::7",
					    "br-1 . ipv6",
					    "veth1" };

	for (size_t i = 0; i < sizeof(elems) / sizeof(elems[0]); i++) {
		struct strbuf b = { 0 };
		_free_ char *text = NULL;

		nft_elem_text(&elems[i], &b);
		text = strbuf_take(&b);
		assert_string_equal(text, want[i]);
		nft_elem_key_text(&elems[i], &b);
		if (nft_set_by_name(elems[i].set)->map)
			strbuf_add(&b, " : ");
		nft_elem_data_text(&elems[i], &b);
		assert_string_equal(b.s, want[i]);
		strbuf_free(&b);
	}
	assert_null(nft_set_by_name("nothing"));
	assert_ptr_equal(nft_set_by_name("brs"), &nft_sets[0]);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "",    "1",  "a b",
					   "a;b", "-a", "a23456789012345678901234567890123" };
	struct nft *n = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nft_open(&n, bad[i], &err), -EINVAL);
	assert_null(n);
	nft_close(NULL);
}

/* nft_sets[] is what is in the kernel, no more and no less. */
static void test_sets(void **state)
{
	static const char *const types[] = { [NFT_T_IFNAME] = "ifname",
					     [NFT_T_NFPROTO] = "nf_proto",
					     [NFT_T_IP4] = "ipv4_addr",
					     [NFT_T_IP6] = "ipv6_addr",
					     [NFT_T_VERDICT] = "verdict" };
	_json_ json_t *root = NULL;
	unsigned found = 0;
	FILE *f = popen("nft -j list ruleset", "r");
	const json_t *item;
	size_t i;

	assert_non_null(f);
	root = json_loadf(f, 0, NULL);
	assert_int_equal(pclose(f), 0);
	json_array_foreach (json_object_get(root, "nftables"), i, item) {
		const json_t *map = json_object_get(item, "map"), *type;
		const json_t *o = map ? map : json_object_get(item, "set");
		const struct nft_set *set;
		const char *name, *key = NULL, *data = "";
		bool two;

		if (!o)
			continue;
		name = json_string_value(json_object_get(o, "name"));
		set = nft_set_by_name(name);
		if (!set)
			fail_msg("set %s is not in nft_sets[]", name);
		type = json_object_get(o, "type");
		two = json_is_array(type);
		key = json_string_value(two ? json_array_get(type, 0) : type);
		if (map)
			data = json_string_value(json_object_get(o, "map"));
		assert_int_equal(set->map, map != NULL);
		assert_string_equal(json_string_value(json_object_get(o, "family")),
				    set->bridge ? "bridge" : "inet");
		assert_string_equal(key, types[set->key[0]]);
		assert_int_equal(two, set->key[1] != NFT_T_NONE);
		if (two)
			assert_string_equal(json_string_value(json_array_get(type, 1)),
					    types[set->key[1]]);
		assert_string_equal(data, set->map ? types[set->data[0]] : "");
		assert_null(json_object_get(o, "flags"));
		found++;
	}
	assert_int_equal(found, nft_n_sets);
}

static void test_change(void **state)
{
	const struct nft_elem two[] = { in_set("brs", "br-1"), same("br-1", "br-1", "accept") };
	const struct nft_elem many[] = { in_set("masq4", "br-1"), in_set("masq6", "br-1"),
					 in_set("internal", "br-9"), foreign(NFPROTO_IPV4, "drop"),
					 foreign(NFPROTO_IPV6, "drop") };
	struct nft_elem other = same("br-1", "br-1", "drop"), new = in_set("brs", "br-2");
	struct nft_elem bad[2];

	assert_dump("");
	assert_ok(nft_change(nft, NULL, 0, NULL, 0, &err));
	assert_ok(nft_change(nft, two, 2, NULL, 0, &err));
	assert_ok(nft_change(nft, two, 2, NULL, 0, &err)); /* equal ones are fine */
	assert_dump("brs br-1\nsame br-1 . br-1 : accept\n");
	run("nft list set inet cnm brs | grep -q '\"br-1\"'");
	run("nft list map inet cnm same | grep -q '\"br-1\" . \"br-1\" : accept'");

	/* all or nothing, whichever fails */
	bad[0] = new;
	bad[1] = other;
	assert_int_equal(nft_change(nft, bad, 2, NULL, 0, &err), -EEXIST);
	assert_string_equal(err.text, "add element \"br-1 . br-1 : drop\" of set same, table inet "
				      "cnm: File exists");
	assert_int_equal(nft_change(nft, &new, 1, &new, 1, &err), -ENOENT);
	assert_int_equal(nft_change(nft, NULL, 0, many, 1, &err), -ENOENT);
	assert_string_equal(err.text,
			    "delete element \"br-1\" of set masq4, table inet cnm: No such "
			    "file or directory");
	assert_dump("brs br-1\nsame br-1 . br-1 : accept\n");

	/* a change of data is a deletion and an addition; the data of the deleted one is not asked
	 */
	assert_ok(nft_change(nft, &other, 1, &two[1], 1, &err));
	assert_dump("brs br-1\nsame br-1 . br-1 : drop\n");
	assert_ok(nft_change(nft, many, 5, two, 2, &err));
	assert_ok(nft_change(nft, NULL, 0, &many[3], 1, &err));
	assert_dump("internal br-9\nmasq4 br-1\nmasq6 br-1\nforeign ipv6 : drop\n");

	/* what cannot be an element */
	other = in_set("nothing", "br-1");
	assert_int_equal(nft_change(nft, &other, 1, NULL, 0, &err), -EINVAL);
	other = in_set("same", "br-1");
	assert_int_equal(nft_change(nft, &other, 1, NULL, 0, &err), -EINVAL);
	other = same("br-3", "br-3", "perhaps");
	assert_true(nft_change(nft, &other, 1, NULL, 0, &err) < 0);
	other = same("br-3", "br-3", "goto nowhere");
	assert_int_equal(nft_change(nft, &other, 1, NULL, 0, &err), -ENOENT);

	/* verdicts with a chain, which others may have put there */
	other = same("br-3", "br-3", "goto fwd_out");
	assert_ok(nft_change(nft, &other, 1, NULL, 0, &err));
	run("nft list map inet cnm same | grep -q 'goto fwd_out'");
	run("nft add element inet cnm same '{ br-4 . br-4 : jump user }'");
	run("nft delete element inet cnm same '{ br-3 . br-3 }'");
	assert_dump("internal br-9\nmasq4 br-1\nmasq6 br-1\nsame br-4 . br-4 : jump user\n"
		    "foreign ipv6 : drop\n");
}

/* Elements whose data are addresses, and those of bridge and family. */
static void test_change_types(void **state)
{
	const struct nft_elem elems[] = { snat("snat4", "br-1", "192.0.2.7"),
					  snat("snat6", "br-1", "2001:db8::7"),
					  mode("unprotected", "br-1", NFPROTO_IPV4),
					  mode("routed", "br-1", NFPROTO_IPV6) };
	struct nft_elem other = snat("snat4", "br-1", "192.0.2.8");

	assert_ok(nft_change(nft, elems, 4, NULL, 0, &err));
	assert_ok(nft_change(nft, elems, 4, NULL, 0, &err));
	assert_dump("snat4 br-1 : 192.0.2.7\nsnat6 br-1 : 2001:db8::7\n"
		    "unprotected br-1 . ipv4\nrouted br-1 . ipv6\n");
	run("nft list map inet cnm snat4 | grep -q '\"br-1\" : 192.0.2.7'");
	run("nft list map inet cnm snat6 | grep -q '\"br-1\" : 2001:db8::7'");
	run("nft list set inet cnm unprotected | grep -q '\"br-1\" . ipv4'");
	run("nft list set inet cnm routed | grep -q '\"br-1\" . ipv6'");
	assert_int_equal(nft_change(nft, &other, 1, NULL, 0, &err), -EEXIST);
	assert_ok(nft_change(nft, &other, 1, elems, 1, &err));
	assert_ok(nft_change(nft, NULL, 0, &elems[1], 3, &err));
	assert_dump("snat4 br-1 : 192.0.2.8\n");
	run("nft add element inet cnm routed '{ br-2 . ipv4 }'");
	run("nft add element inet cnm snat6 '{ br-2 : 2001:db8::1 }'");
	assert_dump("snat4 br-1 : 192.0.2.8\nsnat6 br-2 : 2001:db8::1\nrouted br-2 . ipv4\n");

	/* an address of the other family, and none */
	other = snat("snat4", "br-3", "2001:db8::7");
	assert_int_equal(nft_change(nft, &other, 1, NULL, 0, &err), -EINVAL);
	other.data[0].type = NFT_T_IP4;
	assert_int_equal(nft_change(nft, &other, 1, NULL, 0, &err), -EINVAL);
	other.data[0].ip = (struct cnm_ip){ 0 };
	assert_int_equal(nft_change(nft, &other, 1, NULL, 0, &err), -EINVAL);
	assert_int_equal(nft_load(nft, &other, 1, &err), -EINVAL);
}

/* A transaction is one also across the two tables. */
static void test_change_both(void **state)
{
	const struct nft_elem e[] = { in_set("brs", "br-1"), in_set("noicc", "veth1"),
				      in_set("brs", "br-2"), in_set("noicc", "veth2") };

	assert_ok(nft_change(nft, e, 2, NULL, 0, &err));
	assert_dump("brs br-1\nnoicc veth1\n");
	run("nft list set bridge cnm noicc | grep -q '\"veth1\"'");
	assert_int_equal(nft_change(nft, &e[2], 1, &e[3], 1, &err), -ENOENT);
	assert_string_equal(err.text,
			    "delete element \"veth2\" of set noicc, table bridge cnm: No such "
			    "file or directory");
	assert_int_equal(nft_change(nft, &e[3], 1, &e[2], 1, &err), -ENOENT);
	assert_int_equal(nft_change(nft, &e[2], 1, &e[1], 3, &err), -ENOENT);
	assert_dump("brs br-1\nnoicc veth1\n");
	assert_ok(nft_change(nft, &e[2], 2, e, 2, &err));
	assert_dump("brs br-2\nnoicc veth2\n");
	run("nft delete table bridge cnm");
	assert_int_equal(nft_change(nft, e, 2, NULL, 0, &err), -ENOENT);
	run("nft list set inet cnm brs | grep -q br-2 && ! nft list set inet cnm brs | grep -q br-1");
}

/* More in one transaction than a socket's usual buffers hold; and as many failures. */
static void test_change_many(void **state)
{
	enum { N = 5000 };
	_free_ struct nft_elem *e = calloc(N, sizeof(*e));
	_free_ char *text = NULL;
	size_t lines = 0;
	char name[16];

	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "br-%u", i);
		e[i] = same(name, name, "accept");
	}
	assert_int_equal(nft_change(nft, NULL, 0, e, N, &err), -ENOENT);
	assert_ok(nft_change(nft, e, N, NULL, 0, &err));
	text = dump();
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, N);
	for (unsigned i = 0; i < N; i++)
		e[i].data[0] = verdict("drop");
	assert_int_equal(nft_change(nft, e, N, NULL, 0, &err), -EEXIST);
	assert_non_null(strstr(err.text, "\"br-0 . br-0 : drop\""));
	assert_ok(nft_change(nft, NULL, 0, e, N, &err));
	assert_dump("");
}

static void test_load(void **state)
{
	struct nft_elem elems[] = { in_set("brs", "br-1"),
				    in_set("brs", "10br.2"),
				    same("br-1", "br-1", "accept"),
				    foreign(NFPROTO_IPV6, "drop"),
				    in_set("noicc", "veth1"),
				    in_set("noicc", "veth2"),
				    snat("snat4", "br-1", "192.0.2.7"),
				    snat("snat6", "br-1", "2001:db8::7"),
				    mode("unprotected", "br-1", NFPROTO_IPV4),
				    mode("routed", "br-1", NFPROTO_IPV6) };
	const unsigned n_elems = sizeof(elems) / sizeof(elems[0]);
	size_t lines = 0;
	_free_ char *all = NULL;

	run("nft add table inet theirs; nft add chain inet theirs c; nft add table ip cnm");
	assert_int_equal(nft_loaded(nft, &err), 1);
	assert_ok(nft_load(nft, elems, n_elems, &err));
	assert_int_equal(nft_loaded(nft, &err), 1);
	all = dump();
	for (unsigned i = 0; i < n_elems; i++) {
		struct strbuf line = { 0 };

		collect(&elems[i], &line);
		assert_non_null(strstr(all, line.s));
		strbuf_free(&line);
	}
	for (const char *p = all; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, n_elems);
	run("nft list chain inet theirs c >/dev/null && nft list table ip cnm >/dev/null");

	/* rules of the operator's do not count; ours do */
	run("nft add rule inet cnm user accept");
	assert_int_equal(nft_loaded(nft, &err), 1);
	run("nft flush chain inet cnm guard");
	assert_int_equal(nft_loaded(nft, &err), 0);
	assert_ok(nft_load(nft, NULL, 0, &err));
	assert_dump("");
	run("nft flush chain bridge cnm forward");
	assert_int_equal(nft_loaded(nft, &err), 0);

	assert_ok(nft_unload(nft, &err));
	assert_ok(nft_unload(nft, &err));
	assert_int_equal(nft_loaded(nft, &err), 0);
	assert_int_equal(nft_change(nft, elems, 1, NULL, 0, &err), -ENOENT);
	assert_int_equal(nft_dump(nft, collect, NULL, &err), -ENOENT);
	run("nft list chain inet theirs c >/dev/null && nft list table ip cnm >/dev/null");
	run("nft delete table inet theirs; nft delete table ip cnm");
}

/* One table without the other is not loaded; and can be loaded over, and be removed. */
static void test_one_table(void **state)
{
	static const char *const families[] = { "inet", "bridge" };

	for (size_t i = 0; i < 2; i++) {
		run("nft delete table %s cnm", families[i]);
		assert_int_equal(nft_loaded(nft, &err), 0);
		assert_int_equal(nft_dump(nft, collect, &(struct strbuf){ 0 }, &err), -ENOENT);
		assert_ok(nft_load(nft, NULL, 0, &err));
		assert_int_equal(nft_loaded(nft, &err), 1);
		run("nft delete table %s cnm", families[i]);
		assert_ok(nft_unload(nft, &err));
		run("test -z \"$(nft list ruleset)\"");
		assert_ok(nft_load(nft, NULL, 0, &err));
	}
}

/* Another version's ruleset is not ours, in either table. */
static void test_other_version(void **state)
{
	static const char *const tables[] = { "table inet cnm", "table bridge cnm" };

	for (size_t i = 0; i < 2; i++) {
		_free_ char *text = nft_ruleset_text("cnm");
		char *version = strstr(strstr(text, tables[i]), "chain version-");
		FILE *f;

		assert_null(strstr(text, "@TABLE@"));
		assert_null(strstr(text, "@VERSION@"));
		assert_int_equal(nft_loaded(nft, &err), 1);
		memcpy(version + strlen("chain version-"), "zzzzzzzz", 8);
		f = popen("nft -f -", "w");
		fprintf(f, "delete table inet cnm\ndelete table bridge cnm\n%s", text);
		assert_int_equal(pclose(f), 0);
		assert_int_equal(nft_loaded(nft, &err), 0);
		assert_ok(nft_load(nft, NULL, 0, &err));
	}
}

static void test_load_fails(void **state)
{
	static const char *const names[] = { "a\"b", "br*", "a\\b", "", "a\nb" };
	struct nft_elem e = in_set("brs", "br-1");
	_free_ char *path = strdup(getenv("PATH"));

	assert_ok(nft_change(nft, &e, 1, NULL, 0, &err));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		e = in_set("brs", names[i]);
		assert_int_equal(nft_load(nft, &e, 1, &err), -EINVAL);
	}
	e = same("br-1", "br-1", "goto nowhere");
	assert_true(nft_load(nft, &e, 1, &err) < 0);
	assert_non_null(
		strstr(err.text, "load tables inet and bridge cnm: nft ended with status 1: "));
	assert_dump("brs br-1\n"); /* as before */
	assert_int_equal(nft_loaded(nft, &err), 1);
	setenv("PATH", "/nowhere", 1);
	assert_ok(nft_load(nft, NULL, 0, &err));
	setenv("PATH", path, 1);
}

static void test_foreign_forward_drop(void **state)
{
	static const char *const harmless[] = {
		"type filter hook forward priority 0; policy accept;",
		"type filter hook input priority 0; policy drop;"
	};
	static const char *const families[] = { "ip", "ip6", "inet" };
	char buf[128], want[128];

	for (size_t i = 0; i < 2; i++) {
		run("nft add table ip t; nft add chain ip t c '{ %s }'", harmless[i]);
		assert_ok(nft_foreign_forward_drop(nft, buf, sizeof(buf), &err));
		assert_string_equal(buf, "");
		run("nft delete table ip t");
	}
	for (size_t i = 0; i < 3; i++) {
		run("nft add table %s cnm; nft add chain %s cnm FORWARD "
		    "'{ type filter hook forward priority 0; policy drop; }'",
		    families[i], families[i]);
		assert_ok(nft_foreign_forward_drop(nft, buf, sizeof(buf), &err));
		snprintf(want, sizeof(want), "table %s cnm, chain FORWARD, policy drop",
			 families[i]);
		assert_string_equal(buf, i == 2 ? "" : want); /* table inet cnm is ours */
		if (i < 2)
			run("nft delete table %s cnm", families[i]);
	}
}

/* ---- packets */

enum { HOST, A1, A2, B1, I1, I2, LAN, FAR, N_NODES };
struct node {
	const char *name, *bridge, *gw4, *gw6, *ip4, *ip6;
	int ns;
};
static struct node nodes[N_NODES] = {
	[HOST] = { "host", NULL, NULL, NULL, NULL, NULL, -1 },
	[A1] = { "a1", "br-a", "172.17.0.1", "fd00:1::1", "172.17.0.2", "fd00:1::2", -1 },
	[A2] = { "a2", "br-a", "172.17.0.1", "fd00:1::1", "172.17.0.3", "fd00:1::3", -1 },
	[B1] = { "b1", "br-b", "172.18.0.1", "fd00:2::1", "172.18.0.2", "fd00:2::2", -1 },
	[I1] = { "i1", "br-i", "172.19.0.1", "fd00:3::1", "172.19.0.2", "fd00:3::2", -1 },
	[I2] = { "i2", "br-i", "172.19.0.1", "fd00:3::1", "172.19.0.3", "fd00:3::3", -1 },
	[LAN] = { "lan", NULL, "192.0.2.1", "2001:db8:1::1", "192.0.2.2", "2001:db8:1::2", -1 },
	[FAR] = { "far", NULL, "198.51.100.1", "2001:db8:2::1", "198.51.100.2", "2001:db8:2::2",
		  -1 },
};

static void make_bridge(const char *name, const char *ip4, const char *ip6)
{
	run("ip link add %s type bridge && ip link set %s up", name, name);
	run("ip addr add %s/24 dev %s && ip addr add %s/64 dev %s nodad", ip4, name, ip6, name);
}

static void make_node(struct node *n)
{
	struct netns_ready r;

	assert_ok(netns_make(&r, &err));
	assert_ok(netns_pin(r.ns, "/run/netns", n->name, &err));
	n->ns = take_fd(&r.ns);
	netns_ready_close(&r);
	run("ip link add v%s type veth peer name eth0 netns %s", n->name, n->name);
	if (n->bridge)
		run("ip link set v%s master %s", n->name, n->bridge);
	else
		run("ip addr add %s/24 dev v%s && ip addr add %s/64 dev v%s nodad", n->gw4, n->name,
		    n->gw6, n->name);
	run("ip link set v%s up && ip -n %s link set eth0 up", n->name, n->name);
	run("ip -n %s addr add %s/24 dev eth0 && ip -n %s addr add %s/64 dev eth0 nodad", n->name,
	    n->ip4, n->name, n->ip6);
	run("ip -n %s route add default via %s && ip -n %s route add default via %s", n->name,
	    n->gw4, n->name, n->gw6);
	assert_ok(sysctl_write(n->ns, "net/ipv4/ping_group_range", "0 0", &err));
}

static int setup_world(void **state)
{
	if (setup(state) < 0)
		return -1;
	assert_ok(sysctl_write(-1, "net/ipv6/conf/default/accept_dad", "0", &err));
	assert_ok(sysctl_write(-1, "net/ipv4/ip_forward", "1", &err));
	assert_ok(sysctl_write(-1, "net/ipv6/conf/all/forwarding", "1", &err));
	run("ip link set lo up");
	make_bridge("br-a", "172.17.0.1", "fd00:1::1");
	make_bridge("br-b", "172.18.0.1", "fd00:2::1");
	make_bridge("br-i", "172.19.0.1", "fd00:3::1");
	for (int i = A1; i < N_NODES; i++)
		make_node(&nodes[i]);
	return 0;
}

static int teardown_world(void **state)
{
	for (int i = A1; i < N_NODES; i++) {
		close_fd(&nodes[i].ns);
		run("ip link del v%s", nodes[i].name);
		assert_ok(netns_unpin("/run/netns", nodes[i].name, &err));
	}
	run("ip link del br-a; ip link del br-b; ip link del br-i");
	return teardown(state);
}

struct sock {
	int family, type, protocol, fd;
};

static int make_socket(void *arg)
{
	struct sock *s = arg;

	s->fd = socket(s->family, s->type | SOCK_CLOEXEC | SOCK_NONBLOCK, s->protocol);
	return s->fd < 0 ? -errno : 0;
}

static int sock_in(const struct node *n, int family, int type, int protocol)
{
	struct sock s = { family, type, protocol, -1 };

	assert_int_equal(netns_call(n->ns, make_socket, &s), 0);
	return s.fd;
}

union addr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union addr make_addr(const char *ip, uint16_t port)
{
	union addr a = { 0 };
	struct cnm_ip parsed;

	assert_int_equal(ip_parse(&parsed, ip), 0);
	a.any.sa_family = parsed.family;
	if (parsed.family == AF_INET) {
		a.v4.sin_port = htons(port);
		memcpy(&a.v4.sin_addr, parsed.b, 4);
	} else {
		a.v6.sin6_port = htons(port);
		memcpy(&a.v6.sin6_addr, parsed.b, 16);
	}
	return a;
}

static void addr_text(const union addr *a, char buf[static IP_STR])
{
	inet_ntop(a->any.sa_family,
		  a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr : &a->v6.sin6_addr,
		  buf, IP_STR);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static int listen_at(const struct node *n, const char *ip, uint16_t port, int type)
{
	union addr a = make_addr(ip, port);
	int fd = sock_in(n, a.any.sa_family, type, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, &a.any, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* From whom does the server see a connection or a datagram come? "" for none. */
static void ask(const struct node *from, const struct node *to, const char *ip, int type, int wait,
		char seen[static IP_STR])
{
	_close_ int server = listen_at(to, ip, PORT, type), client = -1, c = -1;
	union addr a = make_addr(ip, PORT), peer;
	socklen_t size = sizeof(peer);
	char byte = 'x';

	seen[0] = '\0';
	client = sock_in(from, a.any.sa_family, type, 0);
	if (connect(client, &a.any, sizeof(a)) < 0 && errno != EINPROGRESS)
		return;
	if (type == SOCK_DGRAM)
		assert_int_equal(send(client, &byte, 1, 0), 1);
	if (!readable(server, wait))
		return;
	if (type == SOCK_DGRAM) {
		assert_int_equal(recvfrom(server, &byte, 1, 0, &peer.any, &size), 1);
		assert_int_equal(sendto(server, &byte, 1, 0, &peer.any, size), 1);
	} else {
		c = accept4(server, &peer.any, &size, SOCK_CLOEXEC);
		assert_true(c >= 0);
		assert_int_equal(send(c, &byte, 1, 0), 1);
	}
	assert_true(readable(client, WAIT_MS)); /* and the answer comes back */
	assert_int_equal(recv(client, &byte, 1, 0), 1);
	addr_text(&peer, seen);
}

static void expect(int from, int to, const char *ip, int type, const char *want)
{
	char seen[IP_STR];

	ask(&nodes[from], &nodes[to], ip, type, *want ? WAIT_MS : DROP_MS, seen);
	if (!streq(seen, want))
		fail_msg("%s to %s (%s, %s): seen as \"%s\", not \"%s\"", nodes[from].name,
			 nodes[to].name, ip, type == SOCK_STREAM ? "tcp" : "udp", seen, want);
}

/* Over both families and protocols. */
static void expect_dropped(int from, int to)
{
	expect(from, to, nodes[to].ip4, SOCK_STREAM, "");
	expect(from, to, nodes[to].ip6, SOCK_STREAM, "");
	expect(from, to, nodes[to].ip4, SOCK_DGRAM, "");
}

static void expect_as(int from, int to, const char *as4, const char *as6)
{
	expect(from, to, nodes[to].ip4, SOCK_STREAM, as4);
	expect(from, to, nodes[to].ip6, SOCK_STREAM, as6);
	expect(from, to, nodes[to].ip4, SOCK_DGRAM, as4);
	expect(from, to, nodes[to].ip6, SOCK_DGRAM, as6);
}

static void expect_itself(int from, int to)
{
	expect_as(from, to, nodes[from].ip4, nodes[from].ip6);
}

static void expect_ping(int from, const char *ip, bool want)
{
	union addr a = make_addr(ip, 0);
	bool v4 = a.any.sa_family == AF_INET, answered = false;
	_close_ int fd = sock_in(&nodes[from], a.any.sa_family, SOCK_DGRAM,
				 v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	uint8_t packet[8] = { v4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST };

	assert_int_equal(connect(fd, &a.any, sizeof(a)), 0);
	assert_int_equal(send(fd, packet, sizeof(packet), 0), sizeof(packet));
	if (readable(fd, want ? WAIT_MS : DROP_MS))
		answered = recv(fd, packet, sizeof(packet), 0) == sizeof(packet) &&
			   packet[0] == (v4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY);
	if (answered != want)
		fail_msg("ping from %s to %s: %s", nodes[from].name, ip,
			 want ? "no answer" : "answered");
}

/* Between a container and the host, by the bridge's address. */
static void expect_host(int node)
{
	const struct node *n = &nodes[node];

	expect_as(HOST, node, n->gw4, n->gw6);
	expect(node, HOST, n->gw4, SOCK_STREAM, n->ip4);
	expect(node, HOST, n->gw6, SOCK_STREAM, n->ip6);
}

static void load_world(void)
{
	const struct nft_elem elems[] = {
		in_set("brs", "br-a"),          in_set("brs", "br-b"),
		in_set("brs", "br-i"),          in_set("internal", "br-i"),
		in_set("masq4", "br-a"),        in_set("masq6", "br-a"),
		same("br-a", "br-a", "accept"), same("br-b", "br-b", "accept"),
		same("br-i", "br-i", "accept"),
	};

	assert_ok(nft_load(nft, elems, sizeof(elems) / sizeof(elems[0]), &err));
}

/* Between somebody's interfaces: ours to drop only if cnm turned on forwarding. */
static void check_foreign(void)
{
	const struct nft_elem drop[] = { foreign(NFPROTO_IPV4, "drop"),
					 foreign(NFPROTO_IPV6, "drop") };

	expect_itself(LAN, FAR);
	assert_ok(nft_change(nft, drop, 2, NULL, 0, &err));
	expect_dropped(LAN, FAR);
	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	assert_ok(nft_change(nft, NULL, 0, drop, 2, &err));
	expect_itself(LAN, FAR);
}

static void check_user_chain(void)
{
	run("nft add rule inet cnm user iifname br-a oifname vlan drop");
	expect_dropped(A1, LAN);
	expect_itself(A1, A2);
	run("nft flush chain inet cnm user");
	/* and what the operator accepts is accepted */
	run("nft add rule inet cnm user iifname vlan oifname br-a accept");
	run("nft add rule inet cnm user iifname br-a oifname br-b accept");
	expect_itself(LAN, A1);
	expect_itself(A1, B1); /* from one bridge of ours to another: never masqueraded */
	run("nft flush chain inet cnm user");
}

/* Elements switch masquerading per family; b has none of it. */
static void check_masquerade(void)
{
	const struct nft_elem v4 = in_set("masq4", "br-a");

	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	expect_as(A1, FAR, nodes[FAR].gw4, nodes[FAR].gw6);
	expect_itself(B1, LAN);
	assert_ok(nft_change(nft, NULL, 0, &v4, 1, &err));
	expect_as(A1, LAN, nodes[A1].ip4, nodes[LAN].gw6);
	assert_ok(nft_change(nft, &v4, 1, NULL, 0, &err));
	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
}

/* An address of the host's that is on neither interface, whether masqueraded otherwise or not. */
static void check_snat(void)
{
	static const char ip4[] = "203.0.113.7", ip6[] = "2001:db8:7::7";
	const struct nft_elem to[] = { snat("snat4", "br-a", ip4), snat("snat6", "br-a", ip6) };
	const struct nft_elem masq[] = { in_set("masq4", "br-a"), in_set("masq6", "br-a") };

	run("ip addr add %s/32 dev lo && ip addr add %s/128 dev lo", ip4, ip6);
	assert_ok(nft_change(nft, &to[0], 1, NULL, 0, &err));
	expect_as(A1, LAN, ip4, nodes[LAN].gw6);
	assert_ok(nft_change(nft, &to[1], 1, NULL, 0, &err));
	expect_as(A1, LAN, ip4, ip6);
	assert_ok(nft_change(nft, NULL, 0, masq, 2, &err));
	expect_as(A1, LAN, ip4, ip6);
	expect_as(A2, FAR, ip4, ip6);
	expect_itself(A1, A2);
	expect_host(A1);
	expect_itself(B1, LAN);
	expect_dropped(LAN, A1);
	assert_ok(nft_change(nft, masq, 2, to, 2, &err));
	expect_as(A1, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	run("ip addr del %s/32 dev lo && ip addr del %s/128 dev lo", ip4, ip6);
}

/* Every way into br-a, by family; into b, and into what is internal, none. */
static void check_unprotected(void)
{
	const struct nft_elem e[] = { mode("unprotected", "br-a", NFPROTO_IPV4),
				      mode("unprotected", "br-a", NFPROTO_IPV6),
				      mode("unprotected", "br-i", NFPROTO_IPV4),
				      mode("unprotected", "br-i", NFPROTO_IPV6) };
	const struct node *lan = &nodes[LAN], *a1 = &nodes[A1];

	assert_ok(nft_change(nft, &e[0], 1, NULL, 0, &err));
	expect(LAN, A1, a1->ip4, SOCK_STREAM, lan->ip4);
	expect(LAN, A1, a1->ip6, SOCK_STREAM, "");
	assert_ok(nft_change(nft, &e[1], 3, &e[0], 1, &err));
	expect(LAN, A1, a1->ip4, SOCK_STREAM, "");
	expect(LAN, A1, a1->ip6, SOCK_STREAM, lan->ip6);
	assert_ok(nft_change(nft, &e[0], 1, NULL, 0, &err));
	expect_itself(LAN, A1);
	expect_itself(FAR, A2);
	expect_itself(B1, A1);
	expect_ping(LAN, a1->ip4, true);
	expect_ping(LAN, a1->ip6, true);
	expect_as(A1, LAN, lan->gw4, lan->gw6); /* as before */
	expect_dropped(LAN, B1);
	expect_dropped(A1, B1);
	expect_dropped(LAN, I1);
	expect_dropped(A1, I1);
	expect_dropped(I1, A1);
	expect_dropped(I1, LAN);
	assert_ok(nft_change(nft, NULL, 0, e, 4, &err));
	expect_dropped(LAN, A1);
}

/* br-a is pinged from outside, by family, and nothing else; and seen by its own addresses. */
static void check_routed(void)
{
	const struct nft_elem masq[] = { in_set("masq4", "br-a"), in_set("masq6", "br-a") };
	const struct nft_elem e[] = { mode("routed", "br-a", NFPROTO_IPV4),
				      mode("routed", "br-a", NFPROTO_IPV6),
				      mode("routed", "br-i", NFPROTO_IPV4),
				      mode("routed", "br-i", NFPROTO_IPV6) };

	expect_ping(LAN, nodes[A1].ip4, false);
	expect_ping(LAN, nodes[A1].ip6, false);
	assert_ok(nft_change(nft, &e[0], 1, masq, 2, &err));
	expect_ping(LAN, nodes[A1].ip4, true);
	expect_ping(LAN, nodes[A1].ip6, false);
	assert_ok(nft_change(nft, &e[1], 3, NULL, 0, &err));
	expect_ping(LAN, nodes[A1].ip4, true);
	expect_ping(LAN, nodes[A1].ip6, true);
	expect_ping(FAR, nodes[A2].ip6, true);
	expect_dropped(LAN, A1);
	expect_dropped(B1, A1);
	expect_itself(A1, LAN);
	expect_itself(A1, A2);
	expect_host(A1);
	expect_ping(LAN, nodes[B1].ip4, false);
	expect_ping(LAN, nodes[B1].ip6, false);
	expect_ping(LAN, nodes[I1].ip4, false);
	expect_ping(LAN, nodes[I1].ip6, false);
	assert_ok(nft_change(nft, masq, 2, e, 4, &err));
	expect_ping(LAN, nodes[A1].ip6, false);
}

/* A container that treats 127.0.0.1 as its neighbour's address, on a bridge with route_localnet. */
static void check_guard(void)
{
	assert_ok(sysctl_write(-1, "net/ipv4/conf/br-a/route_localnet", "1", &err));
	assert_ok(sysctl_write(nodes[A2].ns, "net/ipv4/conf/all/route_localnet", "1", &err));
	run("ip -n a2 addr del 127.0.0.1/8 dev lo && ip -n a2 route add 127.0.0.1 via 172.17.0.1");
	expect(A2, HOST, "127.0.0.1", SOCK_STREAM, "");
	run("nft flush chain inet cnm guard");
	expect(A2, HOST, "127.0.0.1", SOCK_STREAM,
	       nodes[A2].ip4); /* it is the guard that does it */
	run("ip -n a2 route del 127.0.0.1 && ip -n a2 addr add 127.0.0.1/8 dev lo");
	assert_ok(sysctl_write(-1, "net/ipv4/conf/br-a/route_localnet", "0", &err));
}

/* An open connection: at[0] is its client's end. */
struct connection {
	int at[2];
};

static struct connection open_connection(int from, int to)
{
	_close_ int server = listen_at(&nodes[to], nodes[to].ip4, PORT, SOCK_STREAM);
	struct connection c = { { sock_in(&nodes[from], AF_INET, SOCK_STREAM, 0), -1 } };
	union addr a = make_addr(nodes[to].ip4, PORT);

	assert_true(connect(c.at[0], &a.any, sizeof(a)) == 0 || errno == EINPROGRESS);
	assert_true(readable(server, WAIT_MS));
	c.at[1] = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	assert_true(c.at[1] >= 0);
	return c;
}

static void close_connection(struct connection *c)
{
	close_fd(&c->at[0]);
	close_fd(&c->at[1]);
}

static bool passes(const struct connection *c, int from, int wait)
{
	char byte = 'x';

	assert_int_equal(send(c->at[from], &byte, 1, 0), 1);
	return readable(c->at[!from], wait) && recv(c->at[!from], &byte, 1, 0) == 1;
}

/* The containers of br-a send to each other by way of the gateway, or (del) directly again. */
static void route_by_gateway(const char *verb)
{
	static const char *const sysctls[] = { "net/ipv4/conf/all/accept_redirects",
					       "net/ipv4/conf/eth0/accept_redirects",
					       "net/ipv6/conf/eth0/accept_redirects" };

	for (int i = A1; i <= A2; i++) {
		const struct node *n = &nodes[i], *other = &nodes[i == A1 ? A2 : A1];

		for (size_t s = 0; s < sizeof(sysctls) / sizeof(sysctls[0]); s++)
			assert_ok(sysctl_write(n->ns, sysctls[s], "0", &err));
		run("ip -n %s route %s %s via %s", n->name, verb, other->ip4, n->gw4);
		run("ip -n %s route %s %s via %s", n->name, verb, other->ip6, n->gw6);
	}
}

static void expect_neither(int a, int b)
{
	expect_dropped(a, b);
	expect_dropped(b, a);
	expect_ping(a, nodes[b].ip4, false);
	expect_ping(b, nodes[a].ip6, false);
}

/* Nor by way of the gateway, whoever else may come in that way. */
static void check_noicc_gateway(const struct nft_elem *accept, const struct nft_elem *drop)
{
	const struct nft_elem in[] = { mode("unprotected", "br-a", NFPROTO_IPV4),
				       mode("unprotected", "br-a", NFPROTO_IPV6),
				       mode("routed", "br-a", NFPROTO_IPV4),
				       mode("routed", "br-a", NFPROTO_IPV6) };

	route_by_gateway("add");
	expect_neither(A1, A2);
	assert_ok(nft_change(nft, in, 4, NULL, 0, &err));
	expect_neither(A1, A2);
	expect_itself(LAN, A1);
	assert_ok(nft_change(nft, accept, 1, drop, 1, &err));
	expect_itself(A1, A2); /* it is the element of `same` that does it */
	assert_ok(nft_change(nft, drop, 1, accept, 1, &err));
	assert_ok(nft_change(nft, NULL, 0, in, 4, &err));
	route_by_gateway("del");
}

static void check_noicc(void)
{
	const struct nft_elem ports[] = { in_set("noicc", "va1"), in_set("noicc", "va2") };
	const struct nft_elem accept = same("br-a", "br-a", "accept");
	const struct nft_elem drop = same("br-a", "br-a", "drop");
	struct connection c = open_connection(A1, A2);

	assert_ok(nft_change(nft, &ports[0], 1, NULL, 0, &err));
	expect_itself(A1, A2); /* it takes two */
	expect_itself(A2, A1);
	expect_ping(A1, nodes[A2].ip4, true);
	assert_true(passes(&c, 0, WAIT_MS));
	assert_ok(nft_change(nft, &ports[1], 1, NULL, 0, &err));
	expect_neither(A1, A2);
	assert_false(passes(&c, 0, DROP_MS));
	assert_false(passes(&c, 1, DROP_MS));
	close_connection(&c);
	assert_ok(nft_change(nft, &drop, 1, &accept, 1, &err));
	expect_neither(A1, A2);
	for (int i = A1; i <= A2; i++) {
		expect_host(i);
		expect_as(i, LAN, nodes[LAN].gw4, nodes[LAN].gw6);
	}
	expect_itself(I1, I2);
	check_noicc_gateway(&accept, &drop);
	assert_ok(nft_change(nft, &accept, 1, &drop, 1, &err));
	assert_ok(nft_change(nft, NULL, 0, ports, 2, &err));
	expect_itself(A1, A2);
}

/* A connection lives through a reload. */
static void check_reload(void)
{
	struct connection c = open_connection(A1, LAN);

	load_world();
	for (int i = 0; i < 4; i++)
		assert_true(passes(&c, i % 2, WAIT_MS));
	close_connection(&c);
}

/* What is internal has not even the connections it had before. */
static void check_internal(void)
{
	const struct nft_elem open[] = { same("br-a", "br-b", "accept") };
	const struct nft_elem internal = in_set("internal", "br-a");
	struct connection c[2];

	assert_ok(nft_change(nft, open, 1, NULL, 0, &err));
	c[0] = open_connection(A1, LAN);
	c[1] = open_connection(A1, B1);
	assert_ok(nft_change(nft, &internal, 1, open, 1, &err));
	for (int i = 0; i < 2; i++) {
		assert_false(passes(&c[i], 0, DROP_MS));
		assert_false(passes(&c[i], 1, DROP_MS));
		close_connection(&c[i]);
	}
	assert_ok(nft_change(nft, NULL, 0, &internal, 1, &err));
}

static const int kept_apart[][2] = {
	{ A1, B1 },  { B1, A1 },               /* other networks */
	{ A1, I1 },  { I1, A1 },               /* also where one of them is internal */
	{ I1, LAN }, { LAN, I1 }, { FAR, I1 }, /* internal: no way out, no way in */
	{ LAN, A1 }, { LAN, B1 }, { FAR, A1 }, /* nor a way in to a container that may go out */
};

/* It is the firewall that keeps them apart: without it all would reach all. */
static void check_without(void)
{
	assert_ok(nft_unload(nft, &err));
	for (size_t i = 0; i < sizeof(kept_apart) / sizeof(kept_apart[0]); i++)
		expect_itself(kept_apart[i][0], kept_apart[i][1]);
}

/* Only with bridge-nf-call-iptables does the element of `same` matter. */
static void check_bridge_nf(bool on)
{
	const struct nft_elem e = same("br-a", "br-a", "accept");

	assert_ok(nft_change(nft, NULL, 0, &e, 1, &err));
	if (on)
		expect_dropped(A1, A2);
	else
		expect_itself(A1, A2);
	assert_ok(nft_change(nft, &e, 1, NULL, 0, &err));
}

static void set_bridge_nf(const char *value)
{
	assert_ok(sysctl_write(-1, "net/bridge/bridge-nf-call-iptables", value, &err));
	assert_ok(sysctl_write(-1, "net/bridge/bridge-nf-call-ip6tables", value, &err));
}

static void check_traffic(const char *bridge_nf)
{
	check_without();
	set_bridge_nf(bridge_nf);
	load_world();
	expect_itself(A1, A2); /* the same network */
	expect_itself(I1, I2);
	expect_host(A1);
	expect_host(B1);
	expect_host(I1);
	for (size_t i = 0; i < sizeof(kept_apart) / sizeof(kept_apart[0]); i++)
		expect_dropped(kept_apart[i][0], kept_apart[i][1]);
	check_bridge_nf(streq(bridge_nf, "1"));
	check_masquerade();
	check_snat();
	check_unprotected();
	check_routed();
	check_noicc();
	check_foreign();
	check_user_chain();
	check_reload();
	check_internal();
	check_guard();
}

/*
 * In a namespace's first world, the ruleset is there before the kernel's own hook for
 * bridge-nf-call-iptables, which comes with the first bridge; later ones load it afterwards.
 */
static void test_noicc_first(void **state)
{
	const struct nft_elem ports[] = { in_set("noicc", "va1"), in_set("noicc", "va2") };

	if (access("/proc/sys/net/bridge", F_OK) < 0)
		skip();
	set_bridge_nf("1");
	expect_itself(A1, A2);
	assert_ok(nft_change(nft, ports, 2, NULL, 0, &err));
	expect_neither(A1, A2);
}

static void test_traffic(void **state)
{
	check_traffic("0");
}

static void test_traffic_bridge_nf(void **state)
{
	if (access("/proc/sys/net/bridge", F_OK) < 0)
		skip();
	check_traffic("1");
}

/* ---- what it costs (printed, not judged) */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void measure(unsigned existing)
{
	enum { N = 200 };
	uint64_t add[N], del[N];

	for (unsigned i = 0; i < N; i++) {
		const struct nft_elem up[] = { in_set("brs", "br-new"), in_set("masq4", "br-new"),
					       in_set("masq6", "br-new"),
					       same("br-new", "br-new", "accept") };
		uint64_t t0 = clock_mono_ns(), t1;

		assert_ok(nft_change(nft, up, 4, NULL, 0, &err));
		t1 = clock_mono_ns();
		add[i] = t1 - t0;
		assert_ok(nft_change(nft, NULL, 0, up, 4, &err));
		del[i] = clock_mono_ns() - t1;
	}
	qsort(add, N, sizeof(add[0]), by_value);
	qsort(del, N, sizeof(del[0]), by_value);
	print_message(
		"# a network's 4 elements beside %u networks: median us: up %.1f, down %.1f\n",
		existing, (double)add[N / 2] / 1e3, (double)del[N / 2] / 1e3);
}

static void test_cost(void **state)
{
	static const unsigned sizes[] = { 0, 1000, 10000 };
	unsigned have = 0;
	uint64_t t0;

	for (size_t i = 0; i < 3; i++) {
		for (; have < sizes[i]; have++) {
			char name[16];
			struct nft_elem up[4];

			snprintf(name, sizeof(name), "br-%u", have);
			up[0] = in_set("brs", name);
			up[1] = in_set("masq4", name);
			up[2] = in_set("masq6", name);
			up[3] = same(name, name, "accept");
			assert_ok(nft_change(nft, up, 4, NULL, 0, &err));
		}
		measure(have);
	}
	assert_ok(nft_load(nft, NULL, 0, &err));
	t0 = clock_mono_ns();
	assert_ok(nft_load(nft, NULL, 0, &err));
	print_message("# nft_load: %.1f ms, ", (double)(clock_mono_ns() - t0) / 1e6);
	t0 = clock_mono_ns();
	assert_int_equal(nft_loaded(nft, &err), 1);
	print_message("nft_loaded: %.0f us\n", (double)(clock_mono_ns() - t0) / 1e3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_sets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_both, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_forward_drop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noicc_first, setup_world, teardown_world),
		cmocka_unit_test_setup_teardown(test_traffic, setup_world, teardown_world),
		cmocka_unit_test_setup_teardown(test_traffic_bridge_nf, setup_world,
						teardown_world),
		cmocka_unit_test_setup_teardown(test_cost, setup, teardown),
	};

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
	return cmocka_run_group_tests(tests, NULL, NULL);
}
