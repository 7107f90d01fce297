/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The API's own part: routes, versions, bodies, decoding, statuses, events' filters. */
#include "api_fixture.h"

#include "api/api_filter.h"

/* --------------------------------------------------------------------------------------- routes */

static void test_versions(void **state)
{
	expect(get("/v1.24/networks"), 200, "Api-Version: 1.47\r\n");
	expect(get("/v1.47/networks"), 200, "[]");
	expect(get("/v1.23/networks"), 400,
	       "client version 1.23 is too old. Minimum supported API version is 1.24, please "
	       "upgrade your client to a newer version");
	expect(get("/v1.48/networks"), 400,
	       "client version 1.48 is too new. Maximum supported API version is 1.47");
	expect(get("/v2.0/networks"), 400, "too new");
	expect(get("/v1.99999/networks"), 404, "page not found");
	expect(get("/v1/networks"), 404, "page not found");
	expect(get("/v1.40"), 404, "page not found");
}

static void test_routes(void **state)
{
	static const struct {
		const char *method, *path, *asked;
	} cases[] = {
		{ "GET", "/networks", "list -" },
		{ "GET", "/networks/", "list -" },
		{ "GET", "/networks/create", "inspect [create] 0" },
		{ "GET", "/networks/a%2Fb%20c/d", "inspect [a/b c/d] 0" },
		{ "GET", "/networks/%E2%82%AC+?verbose=1&scope=local",
		  "inspect [\xe2\x82\xac+] 1" },
		{ "DELETE", "/networks/x%2Fconnect", "remove [x/connect]" },
		{ "POST", "/networks/prune?filters=%7B%22label%22%3A%5B%22a%22%5D%7D",
		  "prune {\"label\":[\"a\"]}" },
		{ "GET", "/cnm/v1/sandboxes/a", "sandbox inspect [a]" },
		{ "DELETE", "/cnm/v1/sandboxes/a", "sandbox remove [a]" },
		{ "GET", "/cnm/v1/endpoints?network=n", "endpoint list n" },
		{ "GET", "/cnm/v1/plugins", "plugin list" },
		{ "GET", "/cnm/v1/endpoints?network=", "endpoint list -" },
		{ "GET", "/cnm/v1/endpoints/n/e", "endpoint inspect [n/e]" },
		{ "DELETE", "/cnm/v1/endpoints/n%2Fe?force=true", "endpoint remove [n/e] 1" },
		{ "POST", "/cnm/v1/endpoints/n%2Fe/leave", "leave [n/e]" },
		{ "GET", "/cnm/v1/doctor", "doctor 0" },
		{ "POST", "/cnm/v1/doctor", "doctor 1" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct answer *a = ask(cases[i].method, cases[i].path, NULL, "");

		assert_in_range(a->status, 200, 204);
		assert_string_equal(asked, cases[i].asked);
	}
}

/* A container of another's network is asked for as that one. */
static void test_dns(void **state)
{
	expect(get("/cnm/v1/dns/con1"), 200, "{\"Names\":[]}");
	assert_string_equal(asked, "1047 0 inspect container [con1] dns [con1]");
	next.container = "{\"Id\":\"0123\",\"HostConfig\":{\"NetworkMode\":\"backend\"}}";
	expect(get("/v1.40/cnm/v1/dns/a%2Fb"), 200, "{\"Names\":[]}");
	assert_string_equal(asked, "1040 0 inspect container [a/b] dns [0123]");
	next.container = "{\"Id\":\"0123\",\"HostConfig\":{\"NetworkMode\":\"container:0123\"}}";
	expect(get("/cnm/v1/dns/con2"), 200, "{\"Names\":[]}");
	assert_non_null(strstr(asked, "inspect container [con2]1047 0 inspect container [0123]"));
	assert_string_equal(strrchr(asked, ' '), " [0123]");
	next.container = NULL;
	expect(get("/cnm/v1/dns/NOT_FOUND"), 404, "as asked");
	expect(get("/cnm/v1/dns/CONFLICT"), 409, "as asked");
	expect(get("/cnm/v1/dns"), 404, "page not found");
	expect(get("/cnm/v1/dns/"), 404, "page not found");
	expect(ask("POST", "/cnm/v1/dns/con1", NULL, ""), 405, "Allow: GET\r\n");
}

static void test_no_such_route(void **state)
{
	expect(get("/nonsense"), 404, "{\"message\":\"page not found\"}");
	expect(get("/"), 404, "page not found");
	expect(ask("PUT", "/networks", NULL, ""), 405, "Allow: GET\r\n");
	expect(ask("POST", "/networks/x", NULL, ""), 405, "Allow: GET, DELETE\r\n");
	expect(get("/networks/%zz"), 400, "invalid escape");
	expect(get("/networks/%ff"), 400, "invalid escape");
	expect(get("/networks/a%00b"), 400, "invalid escape");
	expect(get("/networks/x?verbose=foo"), 400, "invalid value for verbose");
	expect(get("/networks/x?scope=swarm"), 404, "network x not found");
	expect(get("/networks?filters=nonsense"), 400, "invalid filter");
}

static void test_system(void **state)
{
	expect(get("/_ping"), 200, "\r\n\r\nOK");
	expect(get("/v1.40/_ping"), 200, "Docker-Experimental: false\r\n");
	assert_string_equal(ask("HEAD", "/_ping", NULL, "")->body, "");
	expect(get("/version"), 200, "\"MinAPIVersion\":\"1.24\"");
	expect(get("/version"), 200, "{\"Name\":\"conmon\",\"Version\":\"2.1.6\"");
	expect(get("/version"), 200, "{\"Name\":\"runc\",\"Version\":\"1.1.5\"");
	expect(get("/info"), 200, "\"Name\":\"engine\"");
	expect(get("/info"), 200, "\"Network\":[\"x\"]");
	expect(get("/info"), 200, "\"LocalNodeState\":\"inactive\"");
	expect(get("/info"), 200, "\"Containers\":3");
	expect(get("/info"), 200, "\"Warnings\":[\"beware\",\"careful\"]");
}

static void test_absent(void **state)
{
	expect(ask("POST", "/build", NULL, ""), 501, "building images is not implemented");
	expect(ask("POST", "/build", "application/x-tar", "archive"), 501, "building images");
	expect(ask("POST", "/containers/a/pause", NULL, ""), 501, "pausing containers is not");
	expect(ask("PUT", "/containers/a/archive", NULL, "tar"), 501, "copying files");
	expect(get("/containers/a/stats"), 501, "statistics");
	expect(ask("POST", "/images/a/b:c/push", NULL, ""), 501, "sending images");
	expect(ask("POST", "/volumes/prune", NULL, ""), 501, "volumes at once");
	expect(get("/swarm"), 503, "This node is not a swarm manager");
	expect(get("/services/x"), 503, "This node is not a swarm manager");
	expect(get("/plugins"), 200, "[]");
}

static void test_error_statuses(void **state)
{
	static const struct {
		const char *name;
		int status;
	} cases[] = { { "INTERNAL", 500 },   { "INVALID", 400 },  { "FORBIDDEN", 403 },
		      { "NOT_FOUND", 404 },  { "CONFLICT", 409 }, { "NOT_IMPLEMENTED", 501 },
		      { "UNAVAILABLE", 503 } };
	char path[64], body[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(path, sizeof(path), "/networks/%s", cases[i].name);
		/* What is no UTF-8 in a message does not cost the message. */
		snprintf(body, sizeof(body), "{\"message\":\"as asked: \\\"%s\\\"\\n?\"}",
			 cases[i].name);
		expect(get(path), cases[i].status, body);
	}
}

/* --------------------------------------------------------------------------------------- bodies */

static void test_bodies(void **state)
{
	expect(ask("POST", "/networks/create", "text/plain", "{}"), 400,
	       "unsupported Content-Type header (text/plain): must be 'application/json'");
	expect(ask("POST", "/networks/create", NULL, "{}"), 400,
	       "malformed Content-Type header ()");
	expect(ask("POST", "/networks/create", "application/json; charset=utf-8", "{}"), 201, "Id");
	expect(post("/networks/create", "{nonsense"), 400, "invalid JSON: ");
	expect(post("/networks/create", "[1]"), 400, "invalid JSON: the body must be an object");
	expect(post("/networks/create", "{} x"), 400, "unexpected content after JSON");
	expect(post("/networks/create", "{}{}"), 400, "unexpected content after JSON");
	expect(post("/networks/create", ""), 400, "invalid JSON: got EOF");
	expect(post("/networks/create", "{\"Name\":\"\\ud800\"}"), 400, "invalid JSON: ");
	expect(post("/networks/create", "{\"Name\":\"a\\u0000b\"}"), 400, "invalid JSON: ");
	assert_string_equal(asked, "");
	expect(post("/networks/create", "null"), 201, "\"Warning\":\"careful\"");
	assert_string_equal(asked, "create [] 4=0 6=0 flags=0000");
}

/* Nesting that the parser's recursion would not survive on a handler's stack. */
static void test_deep_body(void **state)
{
	struct strbuf deep = { 0 };

	for (int i = 0; i < 100000; i++)
		strbuf_add(&deep, "[");
	expect(post("/networks/create", deep.s), 400, "nested deeper");
	strbuf_free(&deep);
}

static void test_create_network(void **state)
{
	expect(post("/networks/create",
		    "{\"name\":\"n\",\"CheckDuplicate\":true,\"Driver\":\"bridge\",\"Scope\":\"local\","
		    "\"EnableIPv4\":false,\"enableipv6\":true,\"IPAM\":{\"Driver\":\"default\","
		    "\"Options\":{\"a\":\"b\"},\"config\":[{\"Subnet\":\"10.0.0.0/24\",\"iprange\":"
		    "\"10.0.0.0/25\",\"Gateway\":\"10.0.0.1\",\"AuxiliaryAddresses\":{\"x\":\"10.0.0.2\"}},"
		    "{\"Subnet\":\"fd00::/64\"}]},\"INTERNAL\":true,\"Attachable\":true,"
		    "\"ConfigFrom\":{\"Network\":\"c\"},\"Options\":{\"o\":\"1\"},\"Labels\":{\"l\":\"\"},"
		    "\"Nobody\":{\"knows\":[this]}}"),
	       400, "invalid JSON: ");
	expect(post("/networks/create",
		    "{\"name\":\"n\",\"CheckDuplicate\":true,\"Driver\":\"bridge\",\"Scope\":\"local\","
		    "\"EnableIPv4\":false,\"enableipv6\":true,\"IPAM\":{\"Driver\":\"default\","
		    "\"Options\":{\"a\":\"b\"},\"config\":[{\"Subnet\":\"10.0.0.0/24\",\"iprange\":"
		    "\"10.0.0.0/25\",\"Gateway\":\"10.0.0.1\",\"AuxiliaryAddresses\":{\"x\":\"10.0.0.2\"}},"
		    "{\"Subnet\":\"fd00::/64\"}]},\"INTERNAL\":true,\"Attachable\":true,"
		    "\"ConfigFrom\":{\"Network\":\"c\"},\"Options\":{\"o\":\"1\"},\"Labels\":{\"l\":\"\"},"
		    "\"Nobody\":{\"knows\":[\"this\"]}}"),
	       201, "\"Id\":\"aaaa");
	assert_string_equal(asked,
			    "create [n] 4=2 6=1 flags=1100 driver=bridge scope=local from=c "
			    "ipam=default ipamopt:a=b opt:o=1 label:l= subnet=10.0.0.0/24 "
			    "range=10.0.0.0/25 gateway=10.0.0.1 aux:x=10.0.0.2 subnet=fd00::/64");
	expect(post("/networks/create",
		    "{\"Name\":\"n\",\"Driver\":null,\"EnableIPv4\":null,\"IPAM\":null,\"Options\":null,"
		    "\"Labels\":null,\"ConfigFrom\":null,\"Internal\":null}"),
	       201, "Id");
	assert_string_equal(asked, "create [n] 4=0 6=0 flags=0000");
	expect(post("/networks/create", "{\"Name\":\"n\",\"IPAM\":{\"Config\":[null]}}"), 201,
	       "Id");
}

static void test_wrong_types(void **state)
{
	static const char *const bodies[] = {
		"{\"Name\":1}",
		"{\"Name\":\"n\",\"Labels\":[]}",
		"{\"Name\":\"n\",\"Labels\":{\"a\":1}}",
		"{\"Name\":\"n\",\"IPAM\":[]}",
		"{\"Name\":\"n\",\"IPAM\":{\"Config\":{}}}",
		"{\"Name\":\"n\",\"IPAM\":{\"Config\":[1]}}",
		"{\"Name\":\"n\",\"Internal\":\"yes\"}",
		"{\"Name\":\"n\",\"EnableIPv6\":1}",
		"{\"Name\":\"n\",\"ConfigFrom\":\"c\"}",
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		expect(post("/networks/create", bodies[i]), 400, "must be");
		assert_string_equal(asked, "");
	}
}

static void test_connect(void **state)
{
	expect(post("/networks/n/connect",
		    "{\"Container\":\"c\",\"EndpointConfig\":{\"IPAMConfig\":{\"IPv4Address\":\"10.0.0.9\","
		    "\"IPv6Address\":\"fd00::9\",\"LinkLocalIPs\":[\"169.254.0.9\"]},\"Links\":[],"
		    "\"Aliases\":[\"x\",\"y\"],\"MacAddress\":\"02:00:00:00:00:01\",\"DriverOpts\":"
		    "{\"a\":\"b\"},\"gwpriority\":-7,\"NetworkID\":\"\",\"IPAddress\":\"10.0.0.8\"}}"),
	       200, "Content-Length: 0\r\n");
	assert_string_equal(asked, "connect [n] [c] ip4=10.0.0.9 ip6=fd00::9 mac=02:00:00:00:00:01 "
				   "ll:169.254.0.9 alias:x alias:y opt:a=b gw=-7");
	expect(post("/networks/n/connect", "{\"Container\":\"c\",\"EndpointConfig\":null}"), 200,
	       "");
	assert_string_equal(asked, "connect [n] [c]");
	expect(post("/networks/n/connect",
		    "{\"Container\":\"c\",\"EndpointConfig\":{\"Links\":[\"a\",\"b:x\"]}}"),
	       200, "");
	assert_string_equal(asked, "connect [n] [c] link:a=a link:b=x");
	expect(post("/networks/n/connect",
		    "{\"Container\":\"c\",\"EndpointConfig\":{\"Links\":[\"a:b:c\"]}}"),
	       400, "bad format for links: a:b:c");
	expect(post("/networks/n/connect",
		    "{\"Container\":\"c\",\"EndpointConfig\":{\"GwPriority\":99999999999}}"),
	       400, "out of range");
	expect(post("/networks/n/connect", "{}"), 400, "value is empty");
	expect(post("/networks/n/disconnect", "{\"container\":\"c\",\"force\":true}"), 200, "");
	assert_string_equal(asked, "disconnect [n] [c] 1");
}

static void test_own_routes(void **state)
{
	expect(post("/cnm/v1/sandboxes",
		    "{\"Name\":\"s\",\"Hostname\":\"h\",\"Pid\":7,\"Netns\":\"/x\",\"Labels\":{\"a\":\"b\"},"
		    "\"Networks\":[{\"Network\":\"n\",\"EndpointConfig\":{\"Aliases\":[\"w\"]}},"
		    "{\"Network\":\"m\"}]}"),
	       201, "{\"Id\":\"aaaa");
	assert_string_equal(
		asked, "sandbox [s] pid=7 hostname=h netns=/x label:a=b on [n] alias:w on [m]");
	expect(post("/cnm/v1/sandboxes",
		    "{\"Name\":\"s\",\"Confined\":true,\"Exposed\":[{\"Protocol\":\"udp\",\"First\":53}],"
		    "\"Publish\":[{\"Protocol\":\"tcp\",\"HostIp\":\"::1\",\"HostFirst\":9000,"
		    "\"First\":8000,\"Last\":8010},{\"Protocol\":\"sctp\",\"HostIp\":\"\",\"First\":7},"
		    "{\"Protocol\":\"tcp\",\"HostIp\":\"\",\"HostFirst\":90,\"HostLast\":99,"
		    "\"First\":80}]}"),
	       201, "{\"Id\":\"aaaa");
	assert_string_equal(asked,
			    "sandbox [s] pid=0 publish tcp [::1] 9000-9010 8000-8010 publish "
			    "sctp [] 0-0 7-7 publish tcp [] 90-99 80-80 exposed udp 53-53 "
			    "confined=yes");
	expect(post("/cnm/v1/sandboxes",
		    "{\"Name\":\"s\",\"Hostname\":\"h\",\"Domainname\":\"d\",\"Dns\":[\"10.0.0.1\"],"
		    "\"DnsSearch\":[\".\"],\"DnsOptions\":[\"a\",\"b\"],\"ExtraHosts\":[\"x:::1\"]}"),
	       201, "{\"Id\":\"aaaa");
	assert_string_equal(asked,
			    "sandbox [s] pid=0 hostname=h domainname=d dns:10.0.0.1 search:. "
			    "option:a option:b host:x:::1");
	expect(post("/cnm/v1/sandboxes", "{\"Name\":\"s\",\"Dns\":\"10.0.0.1\"}"), 400, "Dns");
	expect(post("/cnm/v1/sandboxes", "{\"Name\":\"s\",\"ExtraHosts\":[7]}"), 400,
	       "ExtraHosts[0]");
	expect(post("/cnm/v1/sandboxes", "{\"Name\":\"s\",\"Exposed\":[{\"First\":65536}]}"), 400,
	       "First 65536 is not a port");
	expect(post("/cnm/v1/sandboxes", "{\"Name\":\"s\",\"Publish\":[{\"Port\":80}]}"), 400,
	       "unknown field Port");
	expect(post("/cnm/v1/sandboxes", "{\"Name\":\"s\",\"Publish\":7}"), 400, "Publish");
	expect(post("/cnm/v1/sandboxes", "{\"Name\":\"s\",\"Nets\":[]}"), 400,
	       "unknown field Nets");
	expect(post("/cnm/v1/sandboxes", "{\"Name\":\"s\",\"Pid\":-1}"), 400, "not a process id");
	expect(post("/cnm/v1/sandboxes", "{\"Name\":\"s\",\"Networks\":[{}]}"), 400,
	       "network name");
	expect(post("/cnm/v1/endpoints",
		    "{\"Name\":\"e\",\"Network\":\"n\",\"EndpointConfig\":{\"MacAddress\":\"m\"}}"),
	       201, "Id");
	assert_string_equal(asked, "endpoint [n] name=e mac=m");
	expect(post("/cnm/v1/endpoints/n%2Fe/join", "{\"Sandbox\":\"s\"}"), 200, "");
	assert_string_equal(asked, "join [n/e] [s]");
	expect(post("/cnm/v1/endpoints/e/join", "{}"), 400, "sandbox name");
}

static void test_dry_run(void **state)
{
	static const struct {
		const char *method, *path, *body;
	} cases[] = {
		{ "POST", "/networks/create", "{\"Name\":\"n\"}" },
		{ "DELETE", "/networks/n", "" },
		{ "POST", "/networks/prune", "" },
		{ "POST", "/networks/n/connect", "{\"Container\":\"c\"}" },
		{ "POST", "/networks/n/disconnect", "{\"Container\":\"c\"}" },
		{ "POST", "/cnm/v1/sandboxes", "{\"Name\":\"s\"}" },
		{ "DELETE", "/cnm/v1/sandboxes/s", "" },
		{ "POST", "/cnm/v1/endpoints", "{\"Network\":\"n\"}" },
		{ "DELETE", "/cnm/v1/endpoints/e", "" },
		{ "POST", "/cnm/v1/endpoints/e/join", "{\"Sandbox\":\"s\"}" },
		{ "POST", "/cnm/v1/endpoints/e/leave", "" },
	};
	char path[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *type = *cases[i].body ? "application/json" : NULL;

		snprintf(path, sizeof(path), "%s?dry-run=1", cases[i].path);
		expect(ask(cases[i].method, path, type, cases[i].body), 200,
		       "{\"Plan\":[\"add link br-1\",\"add address 10.0.0.1/24\"]}");
		snprintf(path, sizeof(path), "%s?dry-run=perhaps", cases[i].path);
		expect(ask(cases[i].method, path, type, cases[i].body), 400, "dry-run");
	}
	expect(ask("POST", "/containers/c/start?dry-run=1", NULL, ""), 400, "has no dry run");
	assert_string_equal(asked, "");
	expect(ask("POST", "/cnm/v1/doctor?dry-run=1", NULL, ""), 200,
	       "{\"Plan\":[\"add link cnm0\"]}");
	assert_string_equal(asked, "doctor 0");
}

/* --------------------------------------------------------------------------------------- events */

#define EVENT(action, name, more)                                                      \
	"{\"Type\":\"network\",\"Action\":\"" action "\",\"Actor\":{\"ID\":\"id-" name \
	"\",\"Attributes\":{\"name\":\"" name "\",\"type\":\"bridge\"" more            \
	"}},\"scope\":\"local\",\"timeNano\":1500000000000000000}"

static void test_filters(void **state)
{
	static const struct {
		const char *filters;
		bool create, connect; /* whether each event passes */
	} cases[] = {
		{ "{}", true, true },
		{ "null", true, true },
		{ "{\"type\":[\"network\"]}", true, true },
		{ "{\"type\":{\"container\":true}}", false, false },
		{ "{\"type\":{\"container\":false}}", true, true },
		{ "{\"event\":[\"create\"]}", true, false },
		{ "{\"event\":[\"conn\"]}", false, false },
		{ "{\"event\":[\"create\",\"connect\"]}", true, true },
		{ "{\"network\":[\"net\"]}", true, true },
		{ "{\"network\":[\"id-net1\"]}", true, false },
		{ "{\"network\":[\"net1\"],\"event\":[\"connect\"]}", false, false },
		{ "{\"container\":[\"c0ffee\"]}", false, true },
		{ "{\"container\":[\"net1\"]}", false, false },
		{ "{\"label\":[\"type=bridge\"]}", true, true },
		{ "{\"label\":[\"type=bridge\",\"container\"]}", false, true },
		{ "{\"label\":[\"type=host\"]}", false, false },
		{ "{\"scope\":[\"swarm\"]}", false, false },
		{ "{\"image\":[\"net1\"]}", false, false },
		{ "{\"image\":[\"busybox\"]}", false, true },
		{ "{\"volume\":[\"net1\"]}", false, false },
	};
	_json_ json_t *create = json_loads(EVENT("create", "net1", ""), 0, NULL);
	_json_ json_t *connect = json_loads(
		EVENT("connect", "net2", ",\"container\":\"c0ffee123\",\"image\":\"busybox\""), 0,
		NULL);
	struct cnm_error err;

	assert_non_null(create);
	assert_non_null(connect);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_json_ json_t *filter = NULL;

		assert_int_equal(event_filter_parse(&filter, cases[i].filters, &err), 0);
		if (event_filter_matches(filter, create) != cases[i].create ||
		    event_filter_matches(filter, connect) != cases[i].connect)
			fail_msg("%s", cases[i].filters);
	}
}

static void test_events(void **state)
{
	static char create[] = EVENT("create", "net1", "");
	static char destroy[] = EVENT("destroy", "net1", "");
	struct answer *a;

	kept_events[0] = create;
	kept_events[1] = destroy;
	a = get("/events?since=1&until=1600000000");
	expect(a, 200, "Content-Type: application/json\r\n");
	expect(a, 200, "\"Action\":\"create\"");
	expect(a, 200, "\"Action\":\"destroy\"");
	a = get("/events?since=1&until=1600000000&filters=%7B%22event%22%3A%5B%22create%22%5D%7D");
	expect(a, 200, "\"Action\":\"create\"");
	assert_null(strstr(a->text, "destroy"));
	a = get("/events?since=1&until=1400000000");
	expect(a, 200, "");
	assert_string_equal(a->body, "0\r\n\r\n");
	expect(get("/events?since=nonsense"), 400, "invalid value for \\\"since\\\"");
	expect(get("/events?since=2&until=1"), 400, "cannot be after");
	expect(get("/events?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D"), 400,
	       "invalid filter 'nosuch'");
	expect(get("/events?filters=%5B%5D"), 400, "must be an object");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),       cmocka_unit_test(test_routes),
		cmocka_unit_test(test_no_such_route),  cmocka_unit_test(test_dns),
		cmocka_unit_test(test_system),         cmocka_unit_test(test_absent),
		cmocka_unit_test(test_error_statuses), cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_deep_body),      cmocka_unit_test(test_create_network),
		cmocka_unit_test(test_wrong_types),    cmocka_unit_test(test_connect),
		cmocka_unit_test(test_own_routes),     cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_filters),        cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
