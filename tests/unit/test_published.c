/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ports from a request to the engine, from the engine to what is shown, and links. */
#include "unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/capabilities.h"
#include "containers/endpoint_settings.h"
#include "containers/links.h"
#include "containers/published.h"

static struct cnm_error err;

static json_t *parse(const char *text)
{
	json_error_t why;
	json_t *j = json_loads(text, JSON_DECODE_ANY, &why);

	if (!j)
		fail_msg("%s: %s", text, why.text);
	return j;
}

static void expect(json_t *have, const char *text)
{
	_json_ json_t *want = parse(text);
	_free_ char *shown = have ? json_dumps(have, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (!have || !json_equal(have, want))
		fail_msg("have %s, want %s", shown ? shown : "nothing", text);
	json_decref(have);
}

/* ---- bindings */

static json_t *keep(const json_t *bindings)
{
	_free_ struct port_binding *v = NULL;
	size_t n = 0;

	if (port_bindings_read(bindings, &v, &n, &err) < 0)
		fail_msg("%s", err.text);
	return port_bindings_write(v, n, false);
}

/* What is kept of a request, and what is shown of that. */
static void bindings(const char *given, const char *kept, const char *shown)
{
	_json_ json_t *o = parse(given), *k = keep(o);

	expect(json_incref(k), kept);
	expect(keep(k), kept);
	expect(port_bindings_show(k), shown);
}

#define B(ip, port) "{\"HostIp\":\"" ip "\",\"HostPort\":\"" port "\"}"

static void test_bindings(void **state)
{
	bindings("{}", "{}", "{}");
	bindings("{\"80\":[" B("", "8080") "]}", "{\"80/tcp\":[" B("", "8080") "]}",
		 "{\"80/tcp\":[" B("", "8080") "]}");
	bindings("{\"80/\":[{}],\"81/UDP\":null,\"82/sctp\":[null]}",
		 "{\"80/tcp\":[" B("", "") "],\"81/udp\":[" B("", "") "],\"82/sctp\":[" B("",
											  "") "]}",
		 "{\"80/tcp\":[" B("", "") "],\"81/udp\":[" B("", "") "],\"82/sctp\":[" B("",
											  "") "]}");
	bindings("{\"80/tcp\":[" B("", "0") "],\"81/tcp\":[" B("", "") "]}",
		 "{\"80/tcp\":[" B("", "0") "],\"81/tcp\":[" B("", "") "]}",
		 "{\"80/tcp\":[" B("", "0") "],\"81/tcp\":[" B("", "") "]}");
	/* Neighbours are one run, in whatever order they come. */
	bindings("{\"9/tcp\":[" B("", "19") "],\"10/tcp\":[" B("", "20") "],\"8/tcp\":[" B(
			 "", "18") "]}",
		 "{\"8-10/tcp\":[" B("", "18-20") "]}",
		 "{\"8/tcp\":[" B("", "18") "],\"9/tcp\":[" B("", "19") "],\"10/tcp\":[" B(
			 "", "20") "]}");
	/* A range of host ports for one port is another thing, and so are other hosts. */
	bindings("{\"80/tcp\":[" B("", "8000-8010") "],\"81/tcp\":[" B("", "8000-8010") "]}",
		 "{\"80/tcp\":[" B("", "8000-8010") "],\"81/tcp\":[" B("", "8000-8010") "]}",
		 "{\"80/tcp\":[" B("", "8000-8010") "],\"81/tcp\":[" B("", "8000-8010") "]}");
	bindings("{\"80/tcp\":[" B("127.0.0.1", "80") "," B("[::1]", "80") "," B(
			 "127.0.0.1", "80") "],"
					    "\"81/tcp\":[" B("", "81") "]}",
		 "{\"80/tcp\":[" B("127.0.0.1", "80") "," B("::1",
							    "80") "],\"81/tcp\":[" B("", "81") "]}",
		 "{\"80/tcp\":[" B("127.0.0.1",
				   "80") "," B("::1", "80") "],\"81/tcp\":[" B("", "81") "]}");
	/* Ranges, cnm's own way to say it; they may overlap with others. */
	bindings(
		"{\"80-82/tcp\":[" B("", "80-82") "," B("", "") "],\"81/tcp\":[" B("", "9000") "]}",
		"{\"80-82/tcp\":[" B("", "80-82") "," B("", "") "],\"81/tcp\":[" B("", "9000") "]}",
		"{\"80/tcp\":[" B("", "80") "," B(
			"", "") "],"
				"\"81/tcp\":[" B("", "81") "," B("", "") "," B(
					"", "9000") "],"
						    "\"82/tcp\":[" B("", "82") "," B("", "") "]}");
	bindings("{\"65535/tcp\":[" B("", "65535") "],\"65534/tcp\":[" B("", "65534") "]}",
		 "{\"65534-65535/tcp\":[" B("", "65534-65535") "]}",
		 "{\"65534/tcp\":[" B("", "65534") "],\"65535/tcp\":[" B("", "65535") "]}");
}

static void refused(const char *text, const char *words)
{
	_json_ json_t *o = parse(text);
	struct port_binding *v = NULL;
	size_t n;

	memset(&err, 0, sizeof(err));
	if (port_bindings_read(o, &v, &n, &err) >= 0 || err.class != CNM_E_INVALID ||
	    !streq(err.text, words))
		fail_msg("%s: \"%s\", not \"%s\"", text, err.text, words);
}

static void test_bindings_refused(void **state)
{
	static const char *const ports[] = { "",    "x",      "0",   "65536", "80-70", "-80",
					     "80-", "80-90-", "+80", " 80",   "0-5",   "999999" };

	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		_free_ char *key = NULL, *value = NULL, *words = NULL;

		assert_true(asprintf(&key, "{\"%s/tcp\":[{}]}", ports[i]) > 0);
		assert_true(asprintf(&value, "{\"80/tcp\":[{\"HostPort\":\"%s\"}]}", ports[i]) > 0);
		assert_true(asprintf(&words, "invalid port specification: \"%s\"", ports[i]) > 0);
		refused(key, words);
		if (*ports[i] && !streq(ports[i], "0"))
			refused(value, words);
	}
	refused("{\"80/foo\":[]}", "invalid port specification: \"80/foo\": the protocol is one of "
				   "tcp, udp and sctp");
	refused("{\"80-82/tcp\":[" B("", "80-81") "]}",
		"invalid port specification: \"80-81\": it has 2 ports for the 3 ports 80-82 of "
		"the container; give as many");
	refused("{\"80-82/tcp\":[" B("", "80") "]}",
		"invalid port specification: \"80\": it has 1 ports for the 3 ports 80-82 of the "
		"container; give as many");
	refused("{\"80/tcp\":[" B("1.2.3", "80") "]}", "invalid IP address: 1.2.3");
	refused("{\"80/tcp\":[" B("[127.0.0.1]", "80") "]}", "invalid IP address: [127.0.0.1]");
	refused("{\"80/tcp\":[" B("[]", "80") "]}", "invalid IP address: []");
	refused("{\"80/tcp\":{}}",
		"HostConfig.PortBindings: the bindings of 80/tcp must be an array");
	refused("{\"80/tcp\":[7]}", "HostConfig.PortBindings: a binding must be an object");
	refused("{\"80/tcp\":[{\"HostPort\":80}]}",
		"HostConfig.PortBindings: HostPort must be a string");
}

/* What a client makes of -p 2-50001:1-50000/udp, in any order. */
static json_t *many(unsigned n)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < n; i++) {
		unsigned port = 1 + i * 7919 % n;
		char key[16];

		snprintf(key, sizeof(key), "%u/udp", port);
		json_object_set_new(o, key,
				    json_pack("[{s:s s:o}]", "HostIp", "", "HostPort",
					      json_sprintf("%u", port + 1)));
	}
	return o;
}

static void test_many(void **state)
{
	_json_ json_t *o = many(50000), *k = keep(o), *shown = port_bindings_show(k);

	expect(json_incref(k), "{\"1-50000/udp\":[" B("", "2-50001") "]}");
	assert_true(json_equal(o, shown));
}

/* ---- for the engine */

static void published(const char *config, const char *host, const char *want)
{
	_cleanup_(published_free) struct published p = { 0 };
	_json_ json_t *c = parse(config), *h = parse(host);
	_cleanup_(strbuf_free) struct strbuf b = { 0 };

	if (published_read(c, h, &p, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < p.n_publish; i++)
		strbuf_addf(&b, "%s[%s]:%u-%u:%u-%u ", p.publish[i].protocol, p.publish[i].host_ip,
			    p.publish[i].host_first, p.publish[i].host_last, p.publish[i].first,
			    p.publish[i].last);
	for (size_t i = 0; i < p.n_exposed; i++)
		strbuf_addf(&b, "+%s:%u-%u ", p.exposed[i].protocol, p.exposed[i].first,
			    p.exposed[i].last);
	assert_string_equal(b.s ? b.s : "", want);
}

static void test_published(void **state)
{
	published("{}", "{}", "");
	published("{\"ExposedPorts\":{\"80-82/tcp\":{},\"53/udp\":{}}}",
		  "{\"PortBindings\":{\"81/tcp\":[" B("::1", "8081") "]}}",
		  "tcp[::1]:8081-8081:81-81 +tcp:80-82 +udp:53-53 ");
	published("{\"ExposedPorts\":{\"80-82/tcp\":{},\"53/udp\":{}}}",
		  "{\"PublishAllPorts\":true,\"PortBindings\":{\"81/tcp\":[" B(
			  "", "8081") "],"
				      "\"90/tcp\":[" B("", "9000-9009") "]}}",
		  "tcp[]:8081-8081:81-81 tcp[]:9000-9009:90-90 tcp[]:0-0:80-80 tcp[]:0-0:82-82 "
		  "udp[]:0-0:53-53 +tcp:80-82 +tcp:90-90 +udp:53-53 ");
	published("{}", "{\"PortBindings\":{\"80-89/tcp\":[" B("", "80-89") "]}}",
		  "tcp[]:80-89:80-89 +tcp:80-89 ");
}

static void test_without(void **state)
{
	const struct port_run a[] = { { IPPROTO_TCP, 10, 20 },
				      { IPPROTO_TCP, 30, 40 },
				      { IPPROTO_TCP, 65530, 65535 },
				      { IPPROTO_UDP, 1, 65535 } };
	const struct port_run b[] = { { IPPROTO_TCP, 1, 10 },
				      { IPPROTO_TCP, 12, 12 },
				      { IPPROTO_TCP, 18, 35 },
				      { IPPROTO_TCP, 65535, 65535 },
				      { IPPROTO_UDP, 2, 65535 } };
	const struct port_run want[] = { { IPPROTO_TCP, 11, 11 },
					 { IPPROTO_TCP, 13, 17 },
					 { IPPROTO_TCP, 36, 40 },
					 { IPPROTO_TCP, 65530, 65534 },
					 { IPPROTO_UDP, 1, 1 } };
	struct port_run have[9];
	size_t n = port_runs_without(a, 4, b, 5, have);

	assert_int_equal(n, ARRAY_LEN(want));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(have[i].proto, want[i].proto);
		assert_int_equal(have[i].first, want[i].first);
		assert_int_equal(have[i].last, want[i].last);
	}
	assert_int_equal(port_runs_without(a, 4, a, 4, have), 0);
	assert_int_equal(port_runs_without(a, 4, NULL, 0, have), 4);
}

/* ---- what is shown */

static const char sandbox[] =
	"{\"Exposed\":[{\"Protocol\":\"tcp\",\"First\":80,\"Last\":82},"
	"{\"Protocol\":\"udp\",\"First\":53,\"Last\":53}],"
	"\"Ports\":[{\"Protocol\":\"tcp\",\"HostIp\":\"0.0.0.0\",\"HostFirst\":8080,\"HostLast\":8081,"
	"\"First\":80,\"Last\":81},{\"Protocol\":\"tcp\",\"HostIp\":\"::\",\"HostFirst\":8080,"
	"\"HostLast\":8081,\"First\":80,\"Last\":81}]}";

static void test_shown(void **state)
{
	_json_ json_t *s = parse(sandbox);

	expect(published_inspect(s),
	       "{\"80/tcp\":[" B("0.0.0.0", "8080") "," B(
		       "::", "8080") "],"
				     "\"81/tcp\":[" B("0.0.0.0", "8081") "," B(
					     "::", "8081") "],"
							   "\"82/tcp\":null,\"53/udp\":null}");
	expect(published_list(s),
	       "[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
	       "{\"IP\":\"0.0.0.0\",\"PrivatePort\":81,\"PublicPort\":8081,\"Type\":\"tcp\"},"
	       "{\"IP\":\"::\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
	       "{\"IP\":\"::\",\"PrivatePort\":81,\"PublicPort\":8081,\"Type\":\"tcp\"},"
	       "{\"PrivatePort\":82,\"Type\":\"tcp\"},{\"PrivatePort\":53,\"Type\":\"udp\"}]");
	expect(published_inspect(NULL), "{}");
	expect(published_list(NULL), "[]");
}

static bool matches(const char *publish, const char *expose)
{
	_json_ json_t *s = parse(sandbox), *p = publish ? json_pack("[s]", publish) : NULL,
		      *e = expose ? json_pack("[s]", expose) : NULL;
	struct published_filter f = { 0 };
	bool ret;

	assert_int_equal(published_filter_read(p, "publish", &f.publish, &f.n_publish, &err), 0);
	assert_int_equal(published_filter_read(e, "expose", &f.expose, &f.n_expose, &err), 0);
	ret = published_matches(&f, s);
	free(f.publish);
	free(f.expose);
	return ret;
}

static void filter_refused(const char *text, const char *words)
{
	_json_ json_t *values = json_pack("[s]", text);
	struct port_run *runs = NULL;
	size_t n;

	assert_true(published_filter_read(values, "publish", &runs, &n, &err) < 0);
	if (!str_after(err.text, words))
		fail_msg("\"%s\", not \"%s\"", err.text, words);
}

static void test_filters(void **state)
{
	assert_true(matches("8080", NULL));
	assert_true(matches("8000-9000/tcp", NULL));
	assert_false(matches("8080/udp", NULL));
	assert_false(matches("80", NULL));
	assert_true(matches(NULL, "80"));
	assert_true(matches(NULL, "53/udp"));
	assert_false(matches(NULL, "53"));
	assert_true(matches("1", "82/tcp"));
	filter_refused("80:80", "filter for 'publish' should not contain ':': 80:80");
	filter_refused("x", "error while looking up for publish x: ");
	filter_refused("80/x", "error while looking up for publish 80/x: ");
}

/* ---- links, capabilities */

static void link_is(const char *text, const char *want_name, const char *want_alias)
{
	const char *name, *alias;
	size_t n;

	assert_int_equal(link_parse(text, &name, &n, &alias, &err), 0);
	assert_int_equal(n, strlen(want_name));
	assert_memory_equal(name, want_name, n);
	assert_string_equal(alias, want_alias);
}

static void link_refused(const char *text, const char *words)
{
	const char *name, *alias;
	size_t n;

	assert_true(link_parse(text, &name, &n, &alias, &err) < 0);
	assert_string_equal(err.text, words);
}

static void test_links(void **state)
{
	struct cnm_endpoint_config config;
	_json_ json_t *settings = parse("{\"Links\":[\"con1:db\",\"con2\"]}"), *written = NULL;

	link_is("con1:db", "con1", "db");
	link_is("con1", "con1", "con1");
	link_is("/con1:/web/db", "con1", "db");
	link_refused("", "empty string specified for links");
	link_refused("a:b:c", "bad format for links: a:b:c");
	link_refused(":b", "bad format for links: :b");
	link_refused("a:", "bad format for links: a:");
	link_refused("/:/b/c", "bad format for links: /:/b/c");
	assert_int_equal(endpoint_settings_read(settings, &config, &err), 0);
	assert_int_equal(config.n_links, 2);
	assert_string_equal(config.links[0].key, "con1");
	assert_string_equal(config.links[0].value, "db");
	assert_string_equal(config.links[1].key, "con2");
	assert_string_equal(config.links[1].value, "con2");
	written = endpoint_settings_write(&config);
	endpoint_settings_free(&config);
	expect(json_incref(json_object_get(written, "Links")), "[\"con1:db\",\"con2:con2\"]");
}

static bool has_net_admin(const char *add, const char *drop, bool privileged)
{
	_json_ json_t *a = parse(add), *d = parse(drop);

	return capability_is_given(a, d, privileged, "CAP_NET_ADMIN");
}

static void test_net_admin(void **state)
{
	assert_false(has_net_admin("null", "null", false));
	assert_true(has_net_admin("null", "null", true));
	assert_true(has_net_admin("[\"CAP_NET_ADMIN\"]", "null", false));
	assert_true(has_net_admin("[\"ALL\"]", "null", false));
	assert_false(has_net_admin("[\"ALL\"]", "[\"CAP_NET_ADMIN\"]", false));
	assert_false(has_net_admin("[\"CAP_NET_RAW\"]", "[\"ALL\"]", false));
	assert_true(has_net_admin("[\"CAP_NET_ADMIN\"]", "[\"ALL\"]", false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bindings),  cmocka_unit_test(test_bindings_refused),
		cmocka_unit_test(test_many),      cmocka_unit_test(test_published),
		cmocka_unit_test(test_without),   cmocka_unit_test(test_shown),
		cmocka_unit_test(test_filters),   cmocka_unit_test(test_links),
		cmocka_unit_test(test_net_admin),
	};

	return cmocka_run_group_tests_name("published", tests, NULL, NULL);
}
