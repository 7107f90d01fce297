/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall's tables and their elements: texts, bytes, transactions, counters. Needs root; runs
 * in a network and a mount namespace of its own.
 */
#include "nft_fixture.h"

/* ---- the tables and their elements */

/* An element of each set, and what else there is to write. */
static const char *const samples[][2] = {
	{ "brs", "br-1" },
	{ "internal", "br-1" },
	{ "masq4", "br-1" },
	{ "masq6", "br-1" },
	{ "snat4", "br-1 : 192.0.2.7" },
	{ "snat6", "br-1 : 2001:db8::7" },
	{ "unprotected", "br-1 . ipv4" },
	{ "routed", "br-1 . ipv6" },
	{ "trusted", "br-1 . eth0" },
	{ "same", "br-1 . br-2 : accept" },
	{ "same", "br-1 . br-1 : goto noicc" },
	{ "foreign", "ipv4 : drop" },
	{ "foreign", "ipv6 : goto noicc" },
	{ "pinholes4", "172.17.0.2 . 172.17.0.3 . tcp . 80" },
	{ "pinholes4", "172.17.0.2 . 172.17.0.3 . tcp . 81-65535" },
	{ "pinholes6", "fd00::2 . fd00::3 . sctp . 1-65535" },
	{ "pub4", "192.0.2.1 . tcp . 8080 : 172.17.0.2 . 80" },
	{ "pub4any", "tcp . 8080 : 172.17.0.2 . 80" },
	{ "pub4any", "udp . 8080 : 172.17.0.2 . 65535" },
	{ "pub4any", "sctp . 1 : 172.17.0.3 . 1" },
	{ "pub4any", "47 . 65535 : 0.0.0.0 . 0" },
	{ "range4", "127.0.0.1 . udp . 0-65535 : 172.17.0.2" },
	{ "range4any", "udp . 10000-60000 : 172.17.0.2" },
	{ "range4any", "tcp . 10000 : 172.17.0.2" },
	{ "pub6", "2001:db8::1 . tcp . 80 : fd00::2 . 8080" },
	{ "pub6", "::ffff:192.0.2.1 . tcp . 80 : fd00:: . 8080" },
	{ "pub6any", "tcp . 80 : fd00::2 . 8080" },
	{ "range6", "2001:db8::1 . tcp . 80-81 : fd00::2" },
	{ "range6any", "tcp . 80-81 : fd00::2" },
	{ "proxied", "::1 . tcp . 80" },
	{ "proxiedany", "tcp . 80" },
	{ "proxiedrange", "::1 . tcp . 80-90" },
	{ "proxiedrangeany", "tcp . 80-90" },
	{ "proxy", "tcp : 40000" },
	{ "open4", "172.17.0.2 . tcp . 80" },
	{ "openrange4", "172.17.0.2 . tcp . 80-90" },
	{ "open6", "fd00::2 . tcp . 80" },
	{ "openrange6", "fd00::2 . tcp . 80-90" },
	{ "trace4", "172.17.0.2 . 172.17.0.3" },
	{ "trace6", "fd00::2 . fd00::3" },
	{ "noicc", "veth1" },
	{ "links4", "172.17.0.2 . 172.17.0.3 . tcp . 80-80" },
	{ "links6", "fd00::2 . fd00::3 . udp . 53" },
	{ "guarded", "veth1" },
	{ "src4", "veth1 . 02:42:ac:11:00:02 . 172.17.0.2" },
	{ "src6", "veth1 . 02:42:ac:11:00:02 . fe80::42:acff:fe11:2" },
	{ "nd6", "veth1 . 02:42:ac:11:00:02 . fe80::42:acff:fe11:2" },
	{ "btrace4", "172.17.0.2 . 172.17.0.3" },
	{ "btrace6", "fd00::2 . fd00::3" },
};
#define N_SAMPLES (sizeof(samples) / sizeof(samples[0]))

/* The line that dump() has for it. A range of one port is that port. */
static char *sample_line(size_t i)
{
	struct strbuf b = { 0 };

	strbuf_addf(&b, "%s %s", samples[i][0], samples[i][1]);
	if (strstr(b.s, "80-80")) {
		b.len -= strlen("-80");
		b.s[b.len] = '\0';
	}
	strbuf_add(&b, "\n");
	return strbuf_take(&b);
}

static void get_samples(struct nft_elem e[static N_SAMPLES])
{
	for (size_t i = 0; i < N_SAMPLES; i++)
		e[i] = elem(samples[i][0], samples[i][1]);
}

static void assert_samples(void)
{
	_free_ char *have = dump();
	size_t lines = 0;

	for (const char *p = have; *p; p++)
		lines += *p == '\n';
	for (size_t i = 0; i < N_SAMPLES; i++) {
		_free_ char *want = sample_line(i);

		if (!strstr(have, want))
			fail_msg("%s is not in:\n%s", want, have);
	}
	assert_int_equal(lines, N_SAMPLES);
}

static void test_text(void **state)
{
	for (size_t i = 0; i < N_SAMPLES; i++) {
		const struct nft_elem e = elem(samples[i][0], samples[i][1]);
		_free_ char *want = sample_line(i);
		struct strbuf b = { 0 };

		collect(&e, &b);
		assert_string_equal(b.s, want);
		strbuf_free(&b);
		strbuf_addf(&b, "%s ", e.set);
		nft_elem_key_text(&e, &b);
		if (nft_set_by_name(e.set)->map)
			strbuf_add(&b, " : ");
		nft_elem_data_text(&e, &b);
		strbuf_add(&b, "\n");
		assert_string_equal(b.s, want);
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

static json_t *list_ruleset(void)
{
	FILE *f = popen("nft -j list ruleset", "r");
	json_t *root;

	assert_non_null(f);
	root = json_loadf(f, 0, NULL);
	assert_int_equal(pclose(f), 0);
	return root;
}

/* A type of nft's, or an array of them, against ours. */
static void assert_types(const char *set, const json_t *have, const enum nft_type *want,
			 unsigned max)
{
	static const char *const names[] = {
		[NFT_T_IFNAME] = "ifname",     [NFT_T_NFPROTO] = "nf_proto",
		[NFT_T_IP4] = "ipv4_addr",     [NFT_T_IP6] = "ipv6_addr",
		[NFT_T_ETHER] = "ether_addr",  [NFT_T_PROTO] = "inet_proto",
		[NFT_T_PORT] = "inet_service", [NFT_T_VERDICT] = "verdict",
	};
	size_t n = json_is_array(have) ? json_array_size(have) : 1;

	for (unsigned i = 0; i < max; i++) {
		const char *name = json_string_value(json_is_array(have) ? json_array_get(have, i)
						     : i == 0            ? have
									 : NULL);

		if ((i < n) != (want[i] != NFT_T_NONE) || (i < n && !streq(name, names[want[i]])))
			fail_msg("set %s, field %u: %s", set, i, name ? name : "none");
	}
}

static void assert_set(const json_t *o, bool map)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	const struct nft_set *set = nft_set_by_name(name);
	const json_t *flags = json_object_get(o, "flags");

	if (!set)
		fail_msg("set %s is not in nft_sets[]", name);
	assert_int_equal(set->map, map);
	assert_string_equal(json_string_value(json_object_get(o, "family")),
			    set->bridge ? "bridge" : "inet");
	if (set->key[2] != NFT_T_ND) /* nft has no words for the type */
		assert_types(name, json_object_get(o, "type"), set->key, NFT_MAX_KEY);
	if (map && json_is_string(json_object_get(o, "map")) &&
	    set->data[1] == NFT_T_NONE) /* of several it writes none */
		assert_types(name, json_object_get(o, "map"), set->data, NFT_MAX_DATA);
	assert_int_equal(set->interval, flags != NULL);
	if (flags)
		assert_string_equal(json_string_value(json_array_get(flags, 0)), "interval");
	assert_int_equal(set->counter, json_object_get(o, "stmt") != NULL);
}

/* nft_sets[] is what is in the kernel, no more and no less. */
static void test_sets(void **state)
{
	_json_ json_t *root = list_ruleset();
	unsigned found = 0;
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(root, "nftables"), i, item) {
		const json_t *map = json_object_get(item, "map"),
			     *set = json_object_get(item, "set");

		if (map || set)
			assert_set(map ? map : set, map != NULL);
		found += map || set;
	}
	assert_int_equal(found, nft_n_sets);
}

static int rules_in(const json_t *ruleset, const char *family, const char *chain)
{
	const json_t *item;
	int rules = 0;
	size_t i;

	json_array_foreach (json_object_get(ruleset, "nftables"), i, item) {
		const json_t *rule = json_object_get(item, "rule");

		rules += rule &&
			 streq(json_string_value(json_object_get(rule, "family")), family) &&
			 streq(json_string_value(json_object_get(rule, "chain")), chain);
	}
	return rules;
}

/* And so are the chains, each with its number of rules: one less is noticed in any of them. */
static void test_chains(void **state)
{
	_json_ json_t *root = list_ruleset();
	unsigned found = 0;
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(root, "nftables"), i, item) {
		const json_t *chain = json_object_get(item, "chain");
		const char *family, *name;

		if (!chain)
			continue;
		family = json_string_value(json_object_get(chain, "family"));
		name = json_string_value(json_object_get(chain, "name"));
		if (rules_in(root, family, name) == 0) {
			assert_true(streq(name, "user") || str_after(name, "version-"));
			continue;
		}
		found++;
		assert_int_equal(nft_loaded(nft, &err), 1);
		run("nft flush chain %s cnm %s", family, name);
		assert_int_equal(nft_loaded(nft, &err), 0);
		assert_ok(nft_load(nft, NULL, 0, &err));
		assert_int_equal(nft_loaded(nft, &err), 1);
		run("nft add rule %s cnm %s counter", family, name);
		assert_int_equal(nft_loaded(nft, &err), 0);
		assert_ok(nft_load(nft, NULL, 0, &err));
	}
	assert_int_equal(found, 23);
}

/* Through the kernel and back, by our messages and by nft. */
static void test_round_trip(void **state)
{
	struct nft_elem e[N_SAMPLES];

	get_samples(e);
	assert_ok(nft_change(nft, e, N_SAMPLES, NULL, 0, &err));
	assert_samples();
	assert_ok(nft_change(nft, e, N_SAMPLES, NULL, 0, &err)); /* equal ones are fine */
	assert_samples();
	assert_ok(nft_change(nft, NULL, 0, e, N_SAMPLES, &err));
	assert_dump("");
	for (size_t i = 0; i < N_SAMPLES; i++)
		assert_int_equal(nft_change(nft, NULL, 0, &e[i], 1, &err), -ENOENT);
	assert_ok(nft_load(nft, e, N_SAMPLES, &err));
	assert_samples();
	assert_ok(nft_change(nft, e, N_SAMPLES, NULL, 0, &err)); /* what nft made is equal */
	assert_ok(nft_change(nft, e, N_SAMPLES, e, N_SAMPLES, &err));
	assert_samples();
}

/* What nft lists of what we added, and deletes of it. */
static void test_as_nft_has_it(void **state)
{
	static const char *const maps[][2] = {
		{ "pub4any", "tcp . 8080 counter packets 0 bytes 0 : 172.17.0.2 . 80" },
		{ "range4", "127.0.0.1 . udp . 0-65535 counter packets 0 bytes 0 : 172.17.0.2" },
		{ "range4any", "udp . 10000-60000 counter packets 0 bytes 0 : 172.17.0.2" },
		{ "range4any", "tcp . 10000 counter packets 0 bytes 0 : 172.17.0.2" },
		{ "pub6", "2001:db8::1 . tcp . 80 counter packets 0 bytes 0 : fd00::2 . 8080" },
		{ "proxy", "tcp : 40000" },
	};
	struct nft_elem e[N_SAMPLES];

	get_samples(e);
	assert_ok(nft_change(nft, e, N_SAMPLES, NULL, 0, &err));
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		run("nft list map inet cnm %s | grep -q '%s'", maps[i][0], maps[i][1]);
	run("nft list set inet cnm pinholes4 | grep -q '172.17.0.2 . 172.17.0.3 . tcp . 81-65535'");
	run("nft list set bridge cnm src4 | grep -q 'veth1\" . 02:42:ac:11:00:02 . 172.17.0.2'");
	for (size_t i = 0; i < N_SAMPLES; i++) {
		const struct nft_set *set = nft_set_by_name(e[i].set);
		char key[256];

		str_copy(key, sizeof(key), samples[i][1]);
		*(strstr(key, " : ") ? strstr(key, " : ") : key + strlen(key)) = '\0';
		if (set->key[2] == NFT_T_ND)
			str_copy(key, sizeof(key),
				 "veth1 . 02:42:ac:11:00:02 . 0xfe800000000000000042acfffe110002");
		run("nft delete element %s cnm %s '{ %s }'", set->bridge ? "bridge" : "inet",
		    set->name, key);
	}
	assert_dump("");
}

/* Ranges that begin or end within another are refused; those that touch are not. */
static void test_ranges(void **state)
{
	static const char *const overlaps[] = { "tcp . 10 : 172.17.0.2", "tcp . 20 : 172.17.0.2",
						"tcp . 15 : 172.17.0.2", "tcp . 5-10 : 172.17.0.2",
						"tcp . 10-20 : 172.17.0.3" };
	static const char *const beside[] = { "tcp . 1-9 : 172.17.0.3", "tcp . 21 : 172.17.0.3",
					      "udp . 10-20 : 172.17.0.3" };
	const struct nft_elem range = elem("range4any", "tcp . 10-20 : 172.17.0.2");
	struct nft_elem two[2], e;

	assert_ok(nft_change(nft, &range, 1, NULL, 0, &err));
	for (size_t i = 0; i < sizeof(overlaps) / sizeof(overlaps[0]); i++) {
		e = elem("range4any", overlaps[i]);
		assert_int_equal(nft_change(nft, &e, 1, NULL, 0, &err), -EEXIST);
	}
	assert_string_equal(err.text, "add element \"tcp . 10-20 : 172.17.0.3\" of set "
				      "range4any, table inet cnm: File exists");
	assert_dump("range4any tcp . 10-20 : 172.17.0.2\n");
	two[0] = elem("range4any", "udp . 1-5 : 172.17.0.2");
	two[1] = elem("range4any", "udp . 5-6 : 172.17.0.2");
	assert_int_equal(nft_change(nft, two, 2, NULL, 0, &err), -EEXIST);
	assert_int_equal(nft_load(nft, two, 2, &err) < 0, 1);
	assert_dump("range4any tcp . 10-20 : 172.17.0.2\n");

	/* one gives way to another in one transaction */
	e = elem("range4any", "tcp . 15-25 : 172.17.0.2");
	assert_ok(nft_change(nft, &e, 1, &range, 1, &err));
	assert_dump("range4any tcp . 15-25 : 172.17.0.2\n");
	assert_ok(nft_change(nft, &range, 1, &e, 1, &err));
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		e = elem("range4any", beside[i]);
		assert_ok(nft_change(nft, &e, 1, NULL, 0, &err));
	}
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		e = elem("range4any", beside[i]);
		assert_ok(nft_change(nft, NULL, 0, &e, 1, &err));
	}
	assert_dump("range4any tcp . 10-20 : 172.17.0.2\n");
}

/* What no element of its set can be, and what others may put into the sets. */
static void test_invalid(void **state)
{
	struct nft_elem bad[] = { elem("pub4any", "tcp . 10-20 : 172.17.0.2 . 80"),
				  elem("pub4any", "tcp . 10 : 172.17.0.2 . 80-81"),
				  elem("range4any", "tcp . 20-10 : 172.17.0.2"),
				  elem("src4", "veth1 . 02:42:ac:11:00:02 . 172.17.0.2"),
				  elem("nd6", "veth1 . 02:42:ac:11:00:02 . fe80::1"),
				  elem("open4", "172.17.0.2 . tcp . 80") };

	bad[3].key[2].ip.family = AF_INET6;
	bad[4].key[2].ip.family = AF_INET;
	bad[5].key[3].type = NFT_T_PORT;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(nft_change(nft, &bad[i], 1, NULL, 0, &err), -EINVAL);
		assert_int_equal(nft_change(nft, NULL, 0, &bad[i], 1, &err), -EINVAL);
		assert_int_equal(nft_load(nft, &bad[i], 1, &err), -EINVAL);
	}
	/* a range of addresses, and one of protocols, are not ours */
	run("nft add element inet cnm pinholes4 '{ 10.0.0.0/8 . 1.2.3.4 . tcp . 80 }'");
	run("nft add element inet cnm range4any '{ 6-7 . 80-90 : 1.2.3.4 }'");
	run("nft add element inet cnm range4any '{ tcp . 91 : 1.2.3.4 }'");
	assert_dump("range4any tcp . 91 : 1.2.3.4\n");
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

/* A policy is not the only end. */
static void test_foreign_last_rule(void **state)
{
	static const struct {
		const char *rules;
		bool drops;
	} chains[] = {
		{ "tcp dport 1 accept; drop", true },
		{ "counter reject with icmpx admin-prohibited", true },
		{ "drop; accept", false },
		{ "iifname \"x\" drop", false },
		{ "ct state invalid drop; tcp dport 1 reject", false },
	};
	char buf[128];

	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		run("nft -f - <<'END'\n"
		    "table inet other { chain forw { type filter hook forward priority 10; "
		    "policy accept; %s\n}\n}\nEND\n",
		    chains[i].rules);
		assert_ok(nft_foreign_forward_drop(nft, buf, sizeof(buf), &err));
		assert_string_equal(buf, chains[i].drops ? "table inet other, chain forw, last rule"
							 : "");
		run("nft delete table inet other");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_sets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_as_nft_has_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_invalid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_both, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_forward_drop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_last_rule, setup, teardown),
	};
	int r = enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
