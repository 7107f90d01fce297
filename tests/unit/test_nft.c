/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall's tables and their elements: texts, transactions, loading, what changes cost. Needs
 * root; runs in a network and a mount namespace of its own.
 */
#include "nft_fixture.h"

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
		cmocka_unit_test_setup_teardown(test_cost, setup, teardown),
	};
	int r = enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
