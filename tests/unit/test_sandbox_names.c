/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a request may say about names, and how it is kept. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "controller/sandbox_names.h"

/* kept NULL: refused, with these words. */
struct entry {
	enum names_list kind;
	const char *text, *kept, *words;
};

#define D63  "d23456789d123456789d123456789d123456789d123456789d123456789d123"
#define D253 D63 "." D63 "." D63 ".d23456789d123456789d123456789d123456789d123456789d123456789d1"

static const struct entry entries[] = {
	{ NAMES_DNS, "10.0.0.1", "10.0.0.1" },
	{ NAMES_DNS, "FD00:0::1", "fd00::1" },
	{ NAMES_DNS, "fe80::1", "fe80::1" },
	{ NAMES_DNS, "fe80::1%eth0", "fe80::1%eth0" },
	{ NAMES_DNS, "", NULL, "bad nameserver address " },
	{ NAMES_DNS, "nope", NULL, "bad nameserver address nope" },
	{ NAMES_DNS, "10.0.0.1 10.0.0.2", NULL, "bad nameserver address" },
	{ NAMES_DNS, "10.0.0.1\nsearch x", NULL, "bad nameserver address" },
	{ NAMES_DNS, "10.0.0.01", NULL, "bad nameserver address" },
	{ NAMES_DNS, "10.0.0.1:53", NULL, "bad nameserver address" },
	{ NAMES_DNS, "10.0.0.1%eth0", NULL, "bad nameserver address" },
	{ NAMES_DNS, "fd00::1%eth0", NULL, "only a link-local one" },
	{ NAMES_DNS, "fe80::1%", NULL, "bad nameserver address" },
	{ NAMES_DNS, "fe80::1%a b", NULL, "bad nameserver address" },
	{ NAMES_DNS, "fe80::1%an-interface-too-long", NULL, "bad nameserver address" },
	{ NAMES_SEARCH, "x", "x" },
	{ NAMES_SEARCH, "x.example.", "x.example" },
	{ NAMES_SEARCH, " A-b.example ", "A-b.example" },
	{ NAMES_SEARCH, ".", "." },
	{ NAMES_SEARCH, "1.2.c4", "1.2.c4" },
	{ NAMES_SEARCH, D253, D253 },
	{ NAMES_SEARCH, "", NULL, " is not a valid domain" },
	{ NAMES_SEARCH, " ", NULL, "is not a valid domain" },
	{ NAMES_SEARCH, "..", NULL, ".. is not a valid domain" },
	{ NAMES_SEARCH, "1.2", NULL, "1.2 is not a valid domain" },
	{ NAMES_SEARCH, "a_b.c", NULL, "a_b.c is not a valid domain" },
	{ NAMES_SEARCH, "a..b", NULL, "a..b is not a valid domain" },
	{ NAMES_SEARCH, "-a", NULL, "is not a valid domain" },
	{ NAMES_SEARCH, "a-.b", NULL, "is not a valid domain" },
	{ NAMES_SEARCH, "a b", NULL, "is not a valid domain" },
	{ NAMES_SEARCH, "a\nnameserver", NULL, "is not a valid domain" },
	{ NAMES_SEARCH, D63 "d.x", NULL, "is not a valid domain" },
	{ NAMES_SEARCH, D253 "d", NULL, "is not a valid domain" },
	{ NAMES_OPTIONS, "ndots:2", "ndots:2" },
	{ NAMES_OPTIONS, "", NULL, "invalid DNS option \"\"" },
	{ NAMES_OPTIONS, "a b", NULL, "invalid DNS option \"a b\"" },
	{ NAMES_OPTIONS, "a\tb", NULL, "invalid DNS option" },
	{ NAMES_OPTIONS, "a\nb", NULL, "invalid DNS option" },
	{ NAMES_OPTIONS, "\xff", NULL, "invalid DNS option" },
	{ NAMES_HOSTS, "a:10.0.0.9", "a:10.0.0.9" },
	{ NAMES_HOSTS, "a.b_c:fd00:0::9", "a.b_c:fd00:0::9" },
	{ NAMES_HOSTS, "a:[::1]", "a:::1" },
	{ NAMES_HOSTS, "gw:host-gateway", "gw:host-gateway" },
	{ NAMES_HOSTS, D253 ":::1", D253 ":::1" },
	{ NAMES_HOSTS, "a", NULL, "bad format for add-host: \"a\"" },
	{ NAMES_HOSTS, "", NULL, "bad format for add-host: \"\"" },
	{ NAMES_HOSTS, ":1.2.3.4", NULL, "bad format for add-host: \":1.2.3.4\"" },
	{ NAMES_HOSTS, "a b:1.2.3.4", NULL, "bad format for add-host" },
	{ NAMES_HOSTS, "a\n1.2.3.4\tb:1.2.3.4", NULL, "bad format for add-host" },
	{ NAMES_HOSTS, "#a:1.2.3.4", NULL, "bad format for add-host" },
	{ NAMES_HOSTS, D253 "d:1.2.3.4", NULL, "bad format for add-host" },
	{ NAMES_HOSTS, "a:", NULL, "invalid IP address in add-host: \"\"" },
	{ NAMES_HOSTS, "a:x", NULL, "invalid IP address in add-host: \"x\"" },
	{ NAMES_HOSTS, "a:[]", NULL, "invalid IP address in add-host: \"[]\"" },
	{ NAMES_HOSTS, "a:1.2.3.4\n", NULL, "invalid IP address in add-host" },
	{ NAMES_HOSTS, "a:fe80::1%eth0", NULL, "invalid IP address in add-host" },
	{ NAMES_HOSTS, "a:Host-Gateway", NULL, "invalid IP address in add-host" },
};

static void test_entries(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		const struct entry *e = &entries[i];
		struct cnm_error err = { 0 };
		char kept[NAMES_TEXT] = "";
		int r = names_entry(e->kind, e->text, kept, &err);

		if (e->kept ? r < 0 || !streq(kept, e->kept)
			    : r >= 0 || err.class != CNM_E_INVALID || !strstr(err.text, e->words))
			fail_msg("\"%s\": %d \"%s\" \"%s\"", e->text, r, kept, err.text);
	}
}

/* Random bytes with what matters among them: nothing that is kept could make a line of its own. */
static void test_random(void **state)
{
	static const char some[] = "a.:[]%1 \n\t#-_fe80::10.";

	rng_seed();
	for (unsigned i = 0; i < 200000; i++) {
		char text[40], kept[NAMES_TEXT];
		size_t n = rng(sizeof(text) - 1);

		for (size_t j = 0; j < n; j++)
			text[j] = rng(8) ? some[rng(sizeof(some) - 1)] : (char)rng(256);
		text[n] = '\0';
		if (names_entry(rng(4), text, kept, NULL) < 0)
			continue;
		assert_true(*kept && str_is_printable(kept) && !strpbrk(kept, " \t\n"));
	}
}

static void test_lists(void **state)
{
	static const char *const good[] = { "10.0.0.1", "fd00::1" }, *const bad[] = { "::1", "x" };
	const char *many[NAMES_MAX + 1];
	struct cnm_error err = { 0 };
	json_t *list = NULL;

	assert_int_equal(names_list(NAMES_DNS, NULL, 0, &list, &err), 0);
	assert_null(list);
	assert_int_equal(names_list(NAMES_DNS, good, 2, &list, &err), 0);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_array_get(list, 1)), "fd00::1");
	json_decref(list);
	list = (void *)&err;
	assert_int_equal(names_list(NAMES_DNS, bad, 2, &list, &err), -EINVAL);
	assert_ptr_equal(list, &err);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = "a";
	assert_int_equal(names_list(NAMES_SEARCH, many, ARRAY_LEN(many), &list, &err), -EINVAL);
	assert_non_null(strstr(err.text, "at most 4096"));
	assert_int_equal(names_list(NAMES_SEARCH, many, NAMES_MAX, &list, &err), 0);
	assert_int_equal(json_array_size(list), NAMES_MAX);
	json_decref(list);
}

static int set(const struct cnm_sandbox_config *config, struct sandbox **ret, struct cnm_error *err)
{
	*ret = sandbox_new(config->name);
	return sandbox_set_names(*ret, config, err);
}

static void test_hostnames(void **state)
{
	static const struct {
		const char *hostname, *domainname, *kept, *words;
	} cases[] = {
		{ NULL, NULL, "con" },
		{ "", "", "con" },
		{ "h.sub.example", NULL, "h.sub.example" },
		{ "h_1", "example.org", "h_1" },
		{ D63 "d", D253, D63 "d" },
		{ D63 "dd", NULL, NULL, "invalid hostname d2345" },
		{ "a b", NULL, NULL, "invalid hostname a b" },
		{ "h", "a\nb", NULL, "invalid domainname a\nb" },
		{ "h", D253 "d", NULL, "at most 253 of them" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cnm_sandbox_config config = { .name = "con",
							   .hostname = cases[i].hostname,
							   .domainname = cases[i].domainname };
		struct cnm_error err = { 0 };
		struct sandbox *sb;
		int r = set(&config, &sb, &err);

		if (cases[i].words) {
			assert_int_equal(r, -EINVAL);
			assert_non_null(strstr(err.text, cases[i].words));
		} else {
			assert_int_equal(r, 0);
			assert_string_equal(sb->hostname, cases[i].kept);
			assert_true(!sb->domainname || streq(sb->domainname, cases[i].domainname));
			assert_int_equal(sb->domainname != NULL,
					 cases[i].domainname && *cases[i].domainname);
		}
		sandbox_free(sb);
	}
}

static void test_sandbox(void **state)
{
	static const char *const dns[] = { "10.0.0.1" }, *const search[] = { "." },
				 *const options[] = { "rotate", "ndots:2" },
				 *const hosts[] = { "a:[::1]", "b:host-gateway", "c" };
	struct cnm_sandbox_config config = { .name = "con",
					     .dns = dns,
					     .n_dns = 1,
					     .dns_search = search,
					     .n_dns_search = 1,
					     .dns_options = options,
					     .n_dns_options = 2,
					     .extra_hosts = hosts,
					     .n_extra_hosts = 2 };
	struct cnm_error err = { 0 };
	struct sandbox *sb;
	_free_ char *text = NULL;

	assert_int_equal(set(&config, &sb, &err), 0);
	assert_int_equal(json_array_size(sb->dns), 1);
	assert_int_equal(json_array_size(sb->dns_search), 1);
	assert_int_equal(json_array_size(sb->dns_options), 2);
	text = json_text(sb->extra_hosts);
	assert_string_equal(text, "[\"a:::1\",\"b:host-gateway\"]");
	sandbox_free(sb);
	config.n_extra_hosts = 3;
	assert_int_equal(set(&config, &sb, &err), -EINVAL);
	assert_string_equal(err.text, "bad format for add-host: \"c\"");
	sandbox_free(sb);
}

static void test_engine(void **state)
{
	static const char *const dns[] = { "fe80::1%up0" }, *const gateways[] = { "fd00::1",
										  "10.0.0.1",
										  "10.0.0.2", "x" };
	struct cnm_options o = {
		.dns = dns, .n_dns = 1, .host_gateways = gateways, .n_host_gateways = 2
	};
	struct cnm_engine e = { 0 };
	struct cnm_error err = { 0 };

	assert_int_equal(engine_set_names(&e, &o, &err), 0);
	assert_int_equal(json_array_size(e.dns), 1);
	assert_true(!e.dns_search && !e.dns_options);
	assert_int_equal(ip_bits(&e.host_gateway[0]), 32);
	assert_int_equal(ip_bits(&e.host_gateway[1]), 128);
	json_decref(e.dns);
	memset(&e, 0, sizeof(e));
	o.n_dns = 0;
	o.n_host_gateways = 3;
	assert_int_equal(engine_set_names(&e, &o, &err), -EINVAL);
	assert_string_equal(err.text, "only one IPv4 host gateway IP address can be specified");
	memset(&e, 0, sizeof(e));
	o.host_gateways = gateways + 3;
	o.n_host_gateways = 1;
	assert_int_equal(engine_set_names(&e, &o, &err), -EINVAL);
	assert_string_equal(err.text, "host gateway \"x\": it must be an IP address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries), cmocka_unit_test(test_random),
		cmocka_unit_test(test_lists),   cmocka_unit_test(test_hostnames),
		cmocka_unit_test(test_sandbox), cmocka_unit_test(test_engine),
	};

	return cmocka_run_group_tests_name("sandbox_names", tests, NULL, NULL);
}
