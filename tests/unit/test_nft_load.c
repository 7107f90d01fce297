/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loading of the firewall: over what is there, whatever became of it, and what it costs. Needs
 * root; runs in a network and a mount namespace of its own.
 */
#include <pthread.h>

#include "base/log.h"
#include "nft_fixture.h"

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
	const struct nft_elem published = elem("pub4any", "tcp . 80 : 172.17.0.2 . 80");
	uint64_t count, counts[sizeof(elems) / sizeof(elems[0])];
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
	assert_int_equal(nft_count(nft, &published, 1, &count, &err), -ENOENT);
	assert_ok(nft_count(nft, elems, n_elems, counts, &err)); /* none of them counts */
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

/* ---- what operators add */

/* Does this listing have that line, but for its indentation? */
static bool lists(const char *what, const char *line)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "nft -s list %s | sed 's/^[[:space:]]*//' | grep -qxF -- '%s'",
		 what, line);
	return system(cmd) == 0;
}

static void add_operators(void)
{
	run("nft add set inet cnm theirs '{ type ipv4_addr; flags interval; counter; }'");
	run("nft add element inet cnm theirs '{ 192.0.2.0/24 }'");
	run("nft add chain inet cnm mine && nft add rule inet cnm mine ip saddr @theirs drop");
	run("nft add chain inet cnm first '{ type filter hook input priority 5; policy accept; }'");
	run("nft add rule inet cnm user iifname br-1 ip saddr @theirs counter jump mine");
	run("nft add rule inet cnm user iifname @brs tcp dport '{ 80, 81 }' reject with tcp reset "
	    "comment '\"by hand\"'");
	run("nft add chain bridge cnm extra && nft add rule bridge cnm extra counter");
}

static void assert_operators(void)
{
	assert_true(lists("set inet cnm theirs", "elements = { 192.0.2.0/24 counter }"));
	assert_true(lists("chain inet cnm mine", "ip saddr @theirs drop"));
	assert_true(lists("chain inet cnm user",
			  "iifname \"br-1\" ip saddr @theirs counter jump mine"));
	assert_true(lists(
		"chain inet cnm user",
		"iifname @brs tcp dport { 80, 81 } reject with tcp reset comment \"by hand\""));
	run("nft list chain inet cnm first | grep -q 'hook input'");
	assert_true(lists("chain bridge cnm extra", "counter"));
}

/* Whatever is done to our tables, loading makes them whole and leaves alone what is the operator's.
 */
static void test_damage(void **state)
{
	static const char *const damages[] = {
		"true",
		"nft flush chain inet cnm forward",
		"nft add rule inet cnm fwd_in accept",
		"nft insert rule inet cnm forward accept",
		"nft delete rule inet cnm guard handle $(nft -a list chain inet cnm guard | "
		"sed -n \"s/.*drop # handle //p\")",
		"nft flush chain inet cnm to_bridge; nft flush chain inet cnm postrouting; "
		"nft delete chain inet cnm to_bridge; nft delete chain inet cnm postrouting",
		"nft flush chain inet cnm mss; nft delete chain inet cnm mss",
		"nft flush chain inet cnm postrouting; nft delete map inet cnm snat4",
		"nft delete element inet cnm brs \"{ br-1 }\"; nft add element inet cnm brs \"{ br-x }\"",
		"nft add element inet cnm pinholes4 \"{ 10.0.0.0/8 . 1.2.3.4 . tcp . 80 }\"",
		"nft chain inet cnm forward \"{ policy drop; }\"",
		"nft delete chain inet cnm $(nft list table inet cnm | grep -o \"version-[0-9a-f]*\")",
		"nft add chain inet cnm version-0123abcd; nft add chain bridge cnm version-00000000",
		"nft flush chain bridge cnm guard; nft flush chain bridge cnm prerouting; "
		"nft delete chain bridge cnm guard",
		"nft flush chain bridge cnm guard; nft delete set bridge cnm src4",
	};
	const struct nft_elem e[] = { in_set("brs", "br-1"), elem("same", "br-1 . br-1 : accept"),
				      elem("pub4any", "tcp . 80 : 172.17.0.2 . 80"),
				      elem("range4any", "tcp . 81-90 : 172.17.0.2"),
				      elem("nd6", "veth1 . 02:42:ac:11:00:02 . fe80::1") };
	_free_ char *want = NULL, *rules = NULL;

	assert_ok(nft_load(nft, e, 5, &err));
	want = dump();
	add_operators();
	rules = output("nft -s list ruleset");
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		_free_ char *now = NULL;

		run("{ %s; } >/dev/null", damages[i]);
		assert_ok(nft_load(nft, e, 5, &err));
		assert_int_equal(nft_loaded(nft, &err), 1);
		assert_dump(want);
		assert_operators();
		now = output("nft -s list ruleset");
		assert_int_equal(strlen(now), strlen(rules)); /* in another order, maybe */
	}
	run("nft delete table bridge cnm");
	assert_ok(nft_load(nft, e, 5, &err));
	assert_dump(want);
	run("nft list chain inet cnm user | grep -q 'by hand'");
}

/* ---- another version's tables */

static char logged[8192];

static void take_log(int level, const char *line, void *arg)
{
	size_t n = strlen(logged);

	if (level == LOG_LEVEL_ERR)
		snprintf(logged + n, sizeof(logged) - n, "%s\n", line);
}

/* Our tables with a set of another type. */
static void load_older(void)
{
	_free_ char *text = nft_ruleset_text("cnm");
	char *set = strstr(text, "set routed { type ifname . nf_proto; }");
	FILE *f = popen("nft -f -", "w");

	memcpy(set, "set routed { type nf_proto . ifname; }",
	       strlen("set routed { type nf_proto . ifname; }"));
	set = strstr(text, "oifname . meta nfproto @routed");
	memcpy(set, "meta nfproto . oifname @routed", strlen("meta nfproto . oifname @routed"));
	fprintf(f, "delete table inet cnm\ndelete table bridge cnm\n%s", text);
	assert_int_equal(pclose(f), 0);
}

static void test_older(void **state)
{
	const struct nft_elem e[] = { in_set("brs", "br-1"), mode("routed", "br-1", NFPROTO_IPV4) };

	log_set_sink(take_log, NULL);
	logged[0] = '\0';

	/* rules that the new tables take are carried over */
	load_older();
	run("nft add rule inet cnm user iifname @brs tcp dport '{ 80, 81 }' counter "
	    "comment '\"by hand\"'");
	assert_ok(nft_load(nft, e, 2, &err));
	assert_dump("brs br-1\nrouted br-1 . ipv4\n");
	assert_int_equal(nft_loaded(nft, &err), 1);
	assert_true(lists("chain inet cnm user",
			  "iifname @brs tcp dport { 80, 81 } counter comment \"by hand\""));
	assert_string_equal(logged, "");

	/* others are told about */
	load_older();
	add_operators();
	assert_ok(nft_load(nft, e, 2, &err));
	assert_dump("brs br-1\nrouted br-1 . ipv4\n");
	assert_int_equal(nft_loaded(nft, &err), 1);
	run("test $(nft list chain inet cnm user | wc -l) = 4");
	assert_non_null(strstr(
		logged, "the rules of chain user, table inet cnm, could not be carried over"));
	assert_non_null(strstr(logged, "ip saddr @theirs counter jump mine"));
	assert_non_null(strstr(logged, "\"by hand\""));

	/* no rules: nothing to tell */
	logged[0] = '\0';
	load_older();
	assert_ok(nft_load(nft, e, 2, &err));
	assert_string_equal(logged, "");

	/* what cannot be loaded loses nothing */
	load_older();
	add_operators();
	struct nft_elem bad = same("br-1", "br-1", "goto nowhere");
	assert_true(nft_load(nft, &bad, 1, &err) < 0);
	assert_operators();
	assert_string_equal(logged, "");
	log_set_sink(NULL, NULL);
}

/* A chain of one of our names at another hook, and a set of one of our names that is a map. */
static void test_not_as_ours(void **state)
{
	const struct nft_elem e = in_set("brs", "br-1");

	run("nft add rule inet cnm user counter");
	run("nft flush chain inet cnm guard && nft delete chain inet cnm guard && "
	    "nft add chain inet cnm guard '{ type filter hook input priority 0; }'");
	assert_ok(nft_load(nft, &e, 1, &err));
	assert_int_equal(nft_loaded(nft, &err), 1);
	run("nft list chain inet cnm guard | grep -q 'hook prerouting'");
	assert_true(lists("chain inet cnm user", "counter"));
	run("nft flush chain bridge cnm forward && nft delete set bridge cnm noicc && "
	    "nft add map bridge cnm noicc '{ type ifname : mark; }'");
	assert_ok(nft_load(nft, &e, 1, &err));
	assert_int_equal(nft_loaded(nft, &err), 1);
	assert_true(lists("chain inet cnm user", "counter"));
	assert_dump("brs br-1\n");
}

/* Others change rules and sets of theirs all the while, and what is ours is loaded again and again.
 */
static bool stop;

static void *meddle(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		if (system("nft add table inet other '{ chain c { accept; }; set s { type ifname; }; }' && "
			   "nft add chain inet cnm theirs && nft flush chain inet cnm fwd_out && "
			   "nft delete chain inet cnm theirs && nft delete table inet other") != 0)
			return arg;
	return NULL;
}

static void test_concurrent(void **state)
{
	const struct nft_elem e = in_set("brs", "br-1");
	void *failed = NULL;
	pthread_t t;

	run("nft add rule inet cnm user counter");
	assert_int_equal(pthread_create(&t, NULL, meddle, &stop), 0);
	for (int i = 0; i < 20; i++)
		assert_ok(nft_load(nft, &e, 1, &err));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(t, &failed);
	assert_null(failed);
	assert_ok(nft_load(nft, &e, 1, &err));
	assert_int_equal(nft_loaded(nft, &err), 1);
	assert_true(lists("chain inet cnm user", "counter"));
}

/* ---- what it costs (printed, not judged) */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The medians of adding these elements, and of deleting them again. */
static void measure(const struct nft_elem *e, unsigned n, const char *what, unsigned existing)
{
	enum { N = 200 };
	uint64_t add[N], del[N];

	for (unsigned i = 0; i < N; i++) {
		uint64_t t0 = clock_mono_ns(), t1;

		assert_ok(nft_change(nft, e, n, NULL, 0, &err));
		t1 = clock_mono_ns();
		add[i] = t1 - t0;
		assert_ok(nft_change(nft, NULL, 0, e, n, &err));
		del[i] = clock_mono_ns() - t1;
	}
	qsort(add, N, sizeof(add[0]), by_value);
	qsort(del, N, sizeof(del[0]), by_value);
	print_message("# %s beside %u: median us: added %.1f, deleted %.1f\n", what, existing,
		      (double)add[N / 2] / 1e3, (double)del[N / 2] / 1e3);
}

/* Number i of what is measured. */
static unsigned network(unsigned i, struct nft_elem e[static 4])
{
	char name[16];

	snprintf(name, sizeof(name), "br-%u", i);
	e[0] = in_set("brs", name);
	e[1] = in_set("masq4", name);
	e[2] = in_set("masq6", name);
	e[3] = same(name, name, "accept");
	return 4;
}

static unsigned port(unsigned i, struct nft_elem e[static 4])
{
	char text[64];

	snprintf(text, sizeof(text), "tcp . %u : 172.17.%u.%u . 80", 20000 + i, i / 250, i % 250);
	e[0] = elem("pub4any", text);
	return 1;
}

static unsigned range(unsigned i, struct nft_elem e[static 4])
{
	char text[64];

	snprintf(text, sizeof(text), "tcp . %u-%u : 172.17.%u.%u", 1000 + 10 * i, 1009 + 10 * i,
		 i / 250, i % 250);
	e[0] = elem("range4any", text);
	return 1;
}

static void measure_beside(unsigned (*make)(unsigned i, struct nft_elem *e), const char *what,
			   const unsigned *sizes, unsigned n_sizes)
{
	unsigned have = 0, n;
	struct nft_elem e[4];

	assert_ok(nft_load(nft, NULL, 0, &err));
	for (unsigned i = 0; i < n_sizes; i++) {
		for (; have < sizes[i]; have++) {
			n = make(have, e);
			assert_ok(nft_change(nft, e, n, NULL, 0, &err));
		}
		n = make(have, e);
		measure(e, n, what, have);
	}
}

static void test_cost(void **state)
{
	static const unsigned many[] = { 0, 1000, 10000 }, ranges[] = { 0, 1, 100, 1000 };

	measure_beside(network, "a network's 4 elements", many, 3);
	measure_beside(port, "a port", many, 3);
	measure_beside(range, "a range of ports", ranges, 4);
}

static void print_ms(const char *what, uint64_t since)
{
	print_message("# %s: %.1f ms\n", what, (double)(clock_mono_ns() - since) / 1e6);
}

static void test_cost_whole(void **state)
{
	enum { NETWORKS = 1000, PORTS = 10000, ALL = 4 * NETWORKS + PORTS };
	_free_ struct nft_elem *e = calloc(ALL, sizeof(*e));
	_free_ uint64_t *counts = calloc(ALL, sizeof(*counts));
	uint64_t t0 = clock_mono_ns();

	assert_ok(nft_load(nft, NULL, 0, &err));
	print_ms("nft_load", t0);
	t0 = clock_mono_ns();
	assert_int_equal(nft_loaded(nft, &err), 1);
	print_ms("nft_loaded", t0);
	for (unsigned i = 0; i < NETWORKS; i++)
		network(i, &e[4 * i]);
	for (unsigned i = 0; i < PORTS; i++) {
		struct nft_elem one[4];

		port(i, one);
		e[4 * NETWORKS + i] = one[0];
	}
	run("nft flush ruleset");
	t0 = clock_mono_ns();
	assert_ok(nft_load(nft, e, ALL, &err));
	print_ms("nft_load with 1000 networks and 10000 ports, nothing there", t0);
	t0 = clock_mono_ns();
	assert_ok(nft_load(nft, e, ALL, &err));
	print_ms("nft_load with 1000 networks and 10000 ports, all there", t0);
	t0 = clock_mono_ns();
	assert_ok(nft_count(nft, e, ALL, counts, &err));
	print_ms("nft_count of them", t0);
	t0 = clock_mono_ns();
	assert_ok(nft_change(nft, NULL, 0, e, ALL, &err));
	print_ms("nft_change: all deleted", t0);
	t0 = clock_mono_ns();
	assert_ok(nft_change(nft, e, ALL, NULL, 0, &err));
	print_ms("nft_change: all added", t0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_load, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_as_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_concurrent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cost_whole, setup, teardown),
	};
	int r = enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
