/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plans: their text, and what turns one into another. The difference of random plans is carried out
 * on texts alone, and must lead from the one to the other.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "unit.h"

#include "base/cleanup.h"
#include "plan/plan.h"

#define SB  "aaaaaaaaaaaabbbbbbbbbbbbccccccccccccddddddddddddeeeeeeeeeeeeffff"
#define SB2 "111111111111bbbbbbbbbbbbccccccccccccddddddddddddeeeeeeeeeeeeffff"
#define NET "00000000000000000000000000000000000000000000000000000000000000aa"

#define _plan_ _cleanup_(plan_free)
#define _diff_ _cleanup_(plan_diff_free)

static struct cnm_ip ip(const char *s)
{
	struct cnm_ip v;

	assert_int_equal(ip_parse(&v, s), 0);
	return v;
}

static struct cnm_mac mac(const char *s)
{
	struct cnm_mac v;

	assert_int_equal(mac_parse(&v, s), 0);
	return v;
}

static void add_addr(struct plan *p, const char *sandbox, const char *link, const char *addr,
		     unsigned len)
{
	struct cnm_ip a = ip(addr);

	plan_add_addr(p, sandbox, NET, link, &a, len);
}

static void add_bridge(struct plan *p, const char *name, unsigned mtu)
{
	struct plan_item *i = plan_add(p, PLAN_LINK, NULL, NET);

	assert_non_null(i);
	str_copy(i->link.name, sizeof(i->link.name), name);
	i->link.type = PLAN_BRIDGE;
	i->link.mac = mac("02:00:00:00:00:01");
	i->link.mtu = mtu;
}

static void add_veth(struct plan *p, const char *name, const char *master)
{
	struct plan_item *i = plan_add(p, PLAN_LINK, NULL, NET);

	assert_non_null(i);
	i->link.type = PLAN_VETH;
	str_copy(i->link.name, sizeof(i->link.name), name);
	str_copy(i->link.master, sizeof(i->link.master), master);
	strcpy(i->link.peer, "eth0");
	strcpy(i->link.peer_sandbox, SB);
}

static void add_route(struct plan *p, const char *dst, const char *via, const char *link)
{
	struct plan_item *i = plan_add(p, PLAN_ROUTE, SB, NET);

	assert_non_null(i);
	assert_int_equal(prefix_parse(&i->route.dst, dst), 0);
	if (via)
		i->route.gateway = ip(via);
	strcpy(i->route.link, link);
}

static void add_netns(struct plan *p, const char *name, const char *source)
{
	struct plan_item *i = plan_add(p, PLAN_NETNS, SB, SB);

	assert_non_null(i);
	i->netns.name = strdup(name);
	i->netns.source = strdup(source);
}

static void add_peer(struct plan *p, const char *name, unsigned mtu)
{
	struct plan_item *i = plan_add(p, PLAN_PEER, SB, NET);

	assert_non_null(i);
	strcpy(i->peer.name, name);
	i->peer.mac = mac("02:00:00:00:00:02");
	i->peer.mtu = mtu;
	i->peer.announce = 3;
}

/* TCP at 0.0.0.0, and UDP at :: one lower, to 172.18.0.2. */
static void add_hold(struct plan *p, uint16_t port)
{
	const struct hostports ports[] = { { IPPROTO_UDP, ip("::"), port - 1, port - 1 },
					   { IPPROTO_TCP, ip("0.0.0.0"), port, port } };
	const struct cnm_ip targets[2] = { ip("172.18.0.2") };

	plan_add_hold(p, SB, ports, 2, targets);
}

static void add_network_place(struct plan *p)
{
	const struct cnm_mac m = mac("02:00:00:00:00:07");
	const struct cnm_ip at = ip("192.0.2.2"), a = ip("10.0.0.7");
	struct plan_item *i;

	plan_add_netns(p, NET, NET, "ov-x", "bare");
	i = plan_add(p, PLAN_LINK, NET, NET);
	strcpy(i->link.name, "vxlan0");
	i->link.type = PLAN_VXLAN;
	i->link.vxlan_id = 4097;
	i->link.port = 4789;
	i->link.local = ip("192.0.2.1");
	i->link.closed = i->link.isolated = i->link.locked = true;
	plan_add_fdb(p, NET, NET, "vxlan0", NULL, &at);
	plan_add_fdb(p, NET, NET, "vxlan0", &m, &at);
	plan_add_neigh(p, NET, NET, "vxlan0", &a, &m);
}

/* One of each kind. */
static void build_all(struct plan *p)
{
	add_netns(p, "con1", "new");
	plan_add_file(p, SB, SB, "/run/x/hosts", strdup("127.0.0.1\tlocalhost\n"), PLAN_EDITS_NONE);
	add_hold(p, 80);
	plan_add_elemf(p, NULL, NET, "brs", "br-1");
	plan_add_elemf(p, NULL, NET, "same", "br-1", "br-1", "accept");
	add_bridge(p, "br-1", 0);
	plan_add_sysctl(p, NULL, NET, "net/ipv6/conf/br-1/accept_ra", "0");
	add_addr(p, NULL, "br-1", "172.18.0.1", 16);
	add_veth(p, "veth0000000", "br-1");
	add_peer(p, "eth0", 1400);
	add_addr(p, SB, "eth0", "fd00::2", 64);
	add_route(p, "0.0.0.0/0", "172.18.0.1", "eth0");
	add_route(p, "::/0", "fe80::1", "eth0");
	add_route(p, "10.0.0.0/8", NULL, "eth0");
	plan_add(p, PLAN_DNS, SB, SB);
	add_network_place(p);
}

static void expect_text(const struct plan *p, const char *want)
{
	_free_ char *got = plan_text(p);

	assert_non_null(got);
	assert_string_equal(got, want);
}

static void expect_diff(const struct plan *have, const struct plan *want, const char *lines)
{
	_diff_ struct plan_diff d = { 0 };
	_free_ char *got = NULL;

	assert_int_equal(plan_diff(have, want, &d), 0);
	got = plan_diff_text(&d);
	assert_non_null(got);
	assert_string_equal(got, lines);
}

/* ---- text */

static void test_text(void **state)
{
	_plan_ struct plan p = { 0 };
	struct cnm_error err = { 0 };

	build_all(&p);
	assert_int_equal(plan_check(&p, &err), 0);
	expect_text(&p,
		    "sandbox aaaaaaaaaaaa: netns con1: new\n"
		    "sandbox aaaaaaaaaaaa: file /run/x/hosts: 20 bytes, digest 74f31c5c171153e0\n"
		    "host: ports " SB ": tcp 0.0.0.0:80, udp [::]:79 to 172.18.0.2\n"
		    "host: element brs { br-1 }\n"
		    "host: element same { br-1 . br-1 }: accept\n"
		    "host: link br-1: bridge mac 02:00:00:00:00:01 up\n"
		    "host: sysctl net/ipv6/conf/br-1/accept_ra: 0\n"
		    "host: addr 172.18.0.1/16 on br-1\n"
		    "host: link veth0000000: veth port of br-1 to eth0 in sandbox aaaaaaaaaaaa up\n"
		    "sandbox aaaaaaaaaaaa: peer eth0: mac 02:00:00:00:00:02 mtu 1400 up\n"
		    "sandbox aaaaaaaaaaaa: addr fd00::2/64 on eth0\n"
		    "sandbox aaaaaaaaaaaa: route default (IPv4): via 172.18.0.1 dev eth0\n"
		    "sandbox aaaaaaaaaaaa: route default (IPv6): via fe80::1 dev eth0\n"
		    "sandbox aaaaaaaaaaaa: route 10.0.0.0/8: dev eth0\n"
		    "sandbox aaaaaaaaaaaa: dns 127.0.0.11: served\n"
		    "network 000000000000: netns ov-x: bare\n"
		    "network 000000000000: link vxlan0: vxlan id 4097 port 4789 from 192.0.2.1 "
		    "closed isolated locked up\n"
		    "network 000000000000: fdb everybody at 192.0.2.2 on vxlan0\n"
		    "network 000000000000: fdb 02:00:00:00:00:07 on vxlan0: at 192.0.2.2\n"
		    "network 000000000000: neighbour 10.0.0.7 on vxlan0: 02:00:00:00:00:07\n");
}

static void test_text_is_stable(void **state)
{
	_plan_ struct plan p = { 0 }, q = { 0 };
	_free_ char *a = NULL, *b = NULL, *again = NULL;

	build_all(&p);
	build_all(&q);
	a = plan_text(&p);
	b = plan_text(&q);
	again = plan_text(&p);
	assert_string_equal(a, b);
	assert_string_equal(a, again);
	expect_diff(&p, &q, "");
}

static void test_empty(void **state)
{
	_plan_ struct plan p = { 0 }, none = { 0 };

	expect_text(&none, "");
	expect_diff(&none, &none, "");
	add_bridge(&p, "br-1", 0);
	expect_diff(&none, &p, "+ host: link br-1: bridge mac 02:00:00:00:00:01 up\n");
	expect_diff(&p, &none, "- host: link br-1: bridge mac 02:00:00:00:00:01 up\n");
}

static void test_kind_names(void **state)
{
	for (unsigned k = 0; k < PLAN_N_KINDS; k++) {
		assert_non_null(plan_kind_name(k));
		for (unsigned other = 0; other < k; other++)
			assert_string_not_equal(plan_kind_name(k), plan_kind_name(other));
	}
}

/* ---- differences */

static void test_removals_come_first_and_backwards(void **state)
{
	_plan_ struct plan have = { 0 }, want = { 0 };

	add_addr(&have, NULL, "br-1", "10.0.0.1", 24);
	add_addr(&have, NULL, "br-1", "10.0.0.2", 24);
	add_addr(&have, NULL, "br-1", "10.0.0.3", 24);
	add_addr(&want, NULL, "br-1", "10.0.0.9", 24);
	add_addr(&want, NULL, "br-1", "10.0.0.2", 24);
	add_addr(&want, NULL, "br-1", "10.0.0.8", 24);
	expect_diff(&have, &want,
		    "- host: addr 10.0.0.3/24 on br-1\n"
		    "- host: addr 10.0.0.1/24 on br-1\n"
		    "+ host: addr 10.0.0.9/24 on br-1\n"
		    "+ host: addr 10.0.0.8/24 on br-1\n");
}

static void test_change_keeps_its_place(void **state)
{
	_plan_ struct plan have = { 0 }, want = { 0 };
	_diff_ struct plan_diff d = { 0 };

	add_bridge(&have, "br-1", 1500);
	add_bridge(&want, "br-0", 0);
	add_bridge(&want, "br-1", 1400);
	add_bridge(&want, "br-2", 0);
	assert_int_equal(plan_diff(&have, &want, &d), 0);
	assert_int_equal(d.n, 3);
	assert_int_equal(d.ops[0].action, PLAN_ADD);
	assert_null(d.ops[0].have);
	assert_ptr_equal(d.ops[0].want, &want.items[0]);
	assert_int_equal(d.ops[1].action, PLAN_CHANGE);
	assert_ptr_equal(d.ops[1].have, &have.items[0]);
	assert_ptr_equal(d.ops[1].want, &want.items[1]);
	assert_int_equal(d.ops[2].action, PLAN_ADD);
}

/* Each attribute alone makes a change, and what is no attribute does not. */
static void test_what_is_compared(void **state)
{
	_plan_ struct plan base = { 0 };

	build_all(&base);
	for (size_t k = 0; k < base.n; k++) {
		_plan_ struct plan other = { 0 };
		_diff_ struct plan_diff d = { 0 };
		struct plan_item *i;
		size_t changes = 1;

		build_all(&other);
		i = &other.items[k];
		strcpy(i->owner, "another");
		switch (i->kind) {
		case PLAN_NETNS:
			strcpy(i->netns.source, "old");
			break;
		case PLAN_FILE:
			i->file.content[0] = '7';
			break;
		case PLAN_HOLD:
			strcpy(i->owner, SB); /* whose they are is their key */
			i->hold.targets[1] = ip("fd00::2");
			break;
		case PLAN_ELEM:
			if (i->elem.data[0].type == NFT_T_VERDICT)
				strcpy(i->elem.data[0].verdict, "drop");
			else
				changes = 0;
			break;
		case PLAN_LINK:
			i->link.mac.b[5] ^= 0x80;
			break;
		case PLAN_PEER:
			i->peer.announce = 0;
			i->peer.mtu++;
			break;
		case PLAN_OVS:
			i->ovs.vlan++;
			break;
		case PLAN_MOVED:
			i->moved.down = true;
			break;
		case PLAN_SYSCTL:
			i->sysctl.value[0] = '1';
			break;
		case PLAN_ROUTE:
			strcpy(i->route.link, "eth1");
			break;
		case PLAN_FDB: /* for everybody: where it leads is its key */
			changes = mac_is_set(&i->fdb.mac) ? 1 : 2;
			i->fdb.dst.b[3]++;
			break;
		case PLAN_NEIGH:
			i->neigh.mac.b[5]++;
			break;
		case PLAN_ADDR:
		case PLAN_DNS:
		case PLAN_N_KINDS:
			changes = 0;
			break;
		}
		assert_int_equal(plan_diff(&base, &other, &d), 0);
		assert_int_equal(d.n, changes);
		assert_true(changes != 1 || d.ops[0].action == PLAN_CHANGE);
	}
}

/* The same ports are the same text, in whatever order and pieces they are given. */
static void test_ports_are_joined(void **state)
{
	static const struct cnm_ip none[2];
	struct hostports ports[] = {
		{ IPPROTO_UDP, ip("0.0.0.0"), 90, 91 },    { IPPROTO_TCP, ip("::"), 80, 80 },
		{ IPPROTO_TCP, ip("0.0.0.0"), 82, 65535 }, { IPPROTO_TCP, ip("0.0.0.0"), 80, 80 },
		{ IPPROTO_TCP, ip("0.0.0.0"), 85, 90 },    { IPPROTO_TCP, ip("127.0.0.1"), 81, 81 },
		{ IPPROTO_UDP, ip("0.0.0.0"), 92, 95 },    { IPPROTO_UDP, ip("0.0.0.0"), 91, 93 },
	};
	const size_t n = ARRAY_LEN(ports);

	rng_seed();
	for (unsigned round = 0; round < 100; round++) {
		_plan_ struct plan p = { 0 };

		for (size_t i = n - 1; i > 0; i--) {
			size_t k = rng((uint32_t)i + 1);
			struct hostports x = ports[i];

			ports[i] = ports[k];
			ports[k] = x;
		}
		plan_add_hold(&p, SB, ports, n, none);
		expect_text(&p, "host: ports " SB ": tcp 0.0.0.0:80, tcp 0.0.0.0:82-65535, tcp "
				"127.0.0.1:81, tcp [::]:80, udp 0.0.0.0:90-95\n");
	}
}

static void test_hairpin_is_compared(void **state)
{
	_plan_ struct plan have = { 0 }, want = { 0 };

	add_veth(&have, "veth0000000", "br-1");
	add_veth(&want, "veth0000000", "br-1");
	want.items[0].link.hairpin = true;
	expect_diff(&have, &want,
		    "~ host: link veth0000000: veth port of br-1 hairpin to eth0 in sandbox "
		    "aaaaaaaaaaaa up\n");
}

/* An element of every set by its fields has the types of the set. */
static void test_elements_by_fields(void **state)
{
	const struct cnm_ip a = ip("172.18.0.2"), b = ip("fd00::2");
	const struct cnm_mac m = mac("02:00:00:00:00:01");
	_plan_ struct plan p = { 0 };

	plan_add_elemf(&p, NULL, NET, "same", "br-1", "br-2", "goto noicc");
	plan_add_elemf(&p, NULL, NET, "routed", "br-1", AF_INET6);
	plan_add_elemf(&p, NULL, NET, "snat6", "br-1", &b);
	plan_add_elemf(&p, NULL, NET, "pub4", &a, IPPROTO_TCP, 65535, &a, 1);
	plan_add_elemf(&p, NULL, NET, "range6any", IPPROTO_UDP, 1, 65535, &b);
	plan_add_elemf(&p, NULL, NET, "src6", "veth0", &m, &b);
	expect_text(&p, "host: element same { br-1 . br-2 }: goto noicc\n"
			"host: element routed { br-1 . ipv6 }\n"
			"host: element snat6 { br-1 }: fd00::2\n"
			"host: element pub4 { 172.18.0.2 . tcp . 65535 }: 172.18.0.2 . 1\n"
			"host: element range6any { udp . 1-65535 }: fd00::2\n"
			"host: element src6 { veth0 . 02:00:00:00:00:01 . fd00::2 }\n");
}

static void test_place_is_part_of_the_key(void **state)
{
	_plan_ struct plan have = { 0 }, want = { 0 };

	plan_add_sysctl(&have, NULL, NET, "net/a", "1");
	plan_add_sysctl(&want, SB, NET, "net/a", "1");
	plan_add_sysctl(&want, SB2, NET, "net/a", "1");
	expect_diff(&have, &want,
		    "- host: sysctl net/a: 1\n"
		    "+ sandbox aaaaaaaaaaaa: sysctl net/a: 1\n"
		    "+ sandbox 111111111111: sysctl net/a: 1\n");
}

/* Two networks may want one sysctl; the first to name an object counts. */
static void test_duplicates(void **state)
{
	_plan_ struct plan once = { 0 }, twice = { 0 }, none = { 0 };

	plan_add_sysctl(&once, NULL, NET, "net/a", "1");
	plan_add_sysctl(&twice, NULL, NET, "net/a", "1");
	plan_add_sysctl(&twice, NULL, NET, "net/a", "2");
	expect_diff(&once, &twice, "");
	expect_diff(&twice, &once, "");
	expect_diff(&none, &twice, "+ host: sysctl net/a: 1\n");
	expect_diff(&twice, &none, "- host: sysctl net/a: 1\n");
}

/* ---- building */

static void test_move(void **state)
{
	_plan_ struct plan a = { 0 }, b = { 0 }, whole = { 0 };
	_free_ char *moved = NULL, *wanted = NULL;

	add_bridge(&a, "br-1", 0);
	build_all(&b);
	plan_move(&a, &b);
	assert_int_equal(b.n, 0);
	assert_null(b.items);
	plan_move(&a, &b);
	add_bridge(&whole, "br-1", 0);
	build_all(&whole);
	moved = plan_text(&a);
	wanted = plan_text(&whole);
	assert_string_equal(moved, wanted);
	assert_memory_equal(&a.items[1].sandbox, SB, sizeof(SB));
	assert_string_equal(a.items[1].owner, SB);
}

/* What is in the place goes, but for what came before; the veth stays, and its other end is away.
 */
static void test_give_away(void **state)
{
	_plan_ struct plan p = { 0 };
	_free_ char *text = NULL;

	add_peer(&p, "eth9", 1400);
	add_netns(&p, "con1", "new");
	add_veth(&p, "veth1", "br-1");
	add_peer(&p, "eth0", 1500);
	add_route(&p, "0.0.0.0/0", "172.18.0.1", "eth0");
	add_bridge(&p, "br-1", 0);
	plan_give_away(&p, 1, SB);
	text = plan_text(&p);
	assert_int_equal(p.n, 3);
	assert_non_null(strstr(text, "peer eth9"));
	assert_non_null(strstr(text, "veth port of br-1 to eth0 elsewhere up"));
	assert_null(strstr(text, "route"));
	assert_true(p.items[1].link.peer_away && streq(plan_item_home(&p.items[1]), ""));
}

static void test_a_failed_plan_is_no_plan(void **state)
{
	_plan_ struct plan bad = { 0 }, good = { 0 };
	struct cnm_error err = { 0 };
	struct plan_diff d = { .n = 7 };

	plan_add_file(&bad, SB, SB, "/x", NULL, PLAN_EDITS_NONE);
	assert_true(bad.failed);
	assert_int_equal(plan_check(&bad, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "plan"));
	assert_int_equal(plan_diff(&bad, &good, &d), -ENOMEM);
	assert_int_equal(plan_diff(&good, &bad, &d), -ENOMEM);
	assert_int_equal(d.n, 7);
	plan_move(&good, &bad);
	assert_int_equal(plan_check(&good, NULL), -ENOMEM);
}

/* ---- random plans, and their difference carried out on text */

#define MAX_ITEMS 64
#define LINE      256

/* Text of key and attributes, as the difference has them, of the first of each object. */
struct texts {
	char key[MAX_ITEMS][LINE], attrs[MAX_ITEMS][LINE];
	size_t n;
};

static void text_of(const struct plan_item *i, char key[LINE], char attrs[LINE])
{
	struct strbuf k = { 0 }, a = { 0 };

	strbuf_addf(&k, "%s|", i->sandbox);
	plan_item_key(i, &k);
	plan_item_attrs(i, &a);
	str_copy(key, LINE, k.s);
	str_copy(attrs, LINE, a.s ? a.s : "");
	strbuf_free(&k);
	strbuf_free(&a);
}

static size_t find_text(const struct texts *t, const char *key)
{
	size_t i = 0;

	while (i < t->n && strcmp(t->key[i], key) != 0)
		i++;
	return i;
}

static void texts_of(const struct plan *p, struct texts *t)
{
	t->n = 0;
	for (size_t i = 0; i < p->n; i++) {
		text_of(&p->items[i], t->key[t->n], t->attrs[t->n]);
		if (find_text(t, t->key[t->n]) == t->n)
			t->n++;
	}
}

static void carry_out(const struct plan_op *op, struct texts *t)
{
	char key[LINE], attrs[LINE];
	size_t at;

	text_of(op->want ? op->want : op->have, key, attrs);
	at = find_text(t, key);
	switch (op->action) {
	case PLAN_REMOVE:
		assert_true(at < t->n);
		t->n--;
		memcpy(t->key[at], t->key[t->n], LINE);
		memcpy(t->attrs[at], t->attrs[t->n], LINE);
		break;
	case PLAN_CHANGE:
		assert_true(at < t->n);
		assert_string_not_equal(t->attrs[at], attrs);
		memcpy(t->attrs[at], attrs, LINE);
		break;
	case PLAN_ADD:
		assert_true(at == t->n && t->n < MAX_ITEMS);
		memcpy(t->key[at], key, LINE);
		memcpy(t->attrs[at], attrs, LINE);
		t->n++;
		break;
	}
}

static void expect_same_objects(const struct texts *a, const struct texts *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		size_t at = find_text(b, a->key[i]);

		assert_true(at < b->n);
		assert_string_equal(a->attrs[i], b->attrs[at]);
	}
}

/* Few names and values, so that plans overlap, and repeat themselves. */
static void add_random_item(struct plan *p)
{
	const char *place = rng(2) ? SB : NULL;
	char name[16], value[16];

	snprintf(name, sizeof(name), "x%u", rng(6));
	snprintf(value, sizeof(value), "%u", rng(3));
	switch (rng(9)) {
	case 0:
		add_bridge(p, name, rng(3) * 100);
		break;
	case 1:
		add_veth(p, name, rng(2) ? "br-1" : "br-2");
		break;
	case 2:
		add_addr(p, place, name, rng(2) ? "10.0.0.1" : "fd00::1", 8 * (1 + rng(3)));
		break;
	case 3:
		plan_add_sysctl(p, place, NET, name, value);
		break;
	case 4:
		plan_add_file(p, SB, SB, name, strdup(value), PLAN_EDITS_NONE);
		break;
	case 5:
		plan_add_elemf(p, NULL, NET, rng(2) ? "brs" : "internal", name);
		break;
	case 6:
		add_route(p, rng(2) ? "0.0.0.0/0" : "10.0.0.0/8", "10.0.0.1", name);
		break;
	case 7:
		add_netns(p, name, value);
		break;
	case 8:
		add_hold(p, (uint16_t)(80 + rng(3)));
		break;
	}
}

static void test_random_differences(void **state)
{
	static struct texts t, goal;

	rng_seed();
	for (unsigned round = 0; round < 3000; round++) {
		_plan_ struct plan have = { 0 }, want = { 0 };
		_diff_ struct plan_diff d = { 0 };
		bool removing = true;

		for (unsigned n = rng(MAX_ITEMS / 2); n > 0; n--)
			add_random_item(&have);
		for (unsigned n = rng(MAX_ITEMS / 2); n > 0; n--)
			add_random_item(&want);
		texts_of(&have, &t);
		texts_of(&want, &goal);
		assert_int_equal(plan_diff(&have, &want, &d), 0);
		for (size_t i = 0; i < d.n; i++) {
			assert_true(removing || d.ops[i].action != PLAN_REMOVE);
			removing = d.ops[i].action == PLAN_REMOVE;
			carry_out(&d.ops[i], &t);
		}
		expect_same_objects(&t, &goal);
		expect_diff(&want, &want, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_is_stable),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_kind_names),
		cmocka_unit_test(test_removals_come_first_and_backwards),
		cmocka_unit_test(test_change_keeps_its_place),
		cmocka_unit_test(test_what_is_compared),
		cmocka_unit_test(test_ports_are_joined),
		cmocka_unit_test(test_hairpin_is_compared),
		cmocka_unit_test(test_elements_by_fields),
		cmocka_unit_test(test_place_is_part_of_the_key),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_give_away),
		cmocka_unit_test(test_a_failed_plan_is_no_plan),
		cmocka_unit_test(test_random_differences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
