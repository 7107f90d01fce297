/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The API's own part: routes, versions, bodies, decoding, statuses, events' filters. The engine is
 * a stand-in that writes down what it was asked, so that what reaches the library can be compared;
 * the real one is behind the API in tests/host.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "api/api_filter.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

/* ---------------------------------------------------------------------- the stand-in for libcnm */

static char asked[8192]; /* the last call, as text */
static char *kept_events[8];

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	size_t n = strlen(asked);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(asked + n, sizeof(asked) - n, fmt, ap);
	va_end(ap);
}

static void note_kvs(const char *what, const struct cnm_kv *kvs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		note(" %s:%s=%s", what, kvs[i].key, kvs[i].value);
}

static void note_texts(const char *what, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		note(" %s:%s", what, texts[i]);
}

static void note_if(const char *what, const char *s)
{
	if (s)
		note(" %s=%s", what, s);
}

static void note_endpoint(const struct cnm_endpoint_config *c)
{
	note_if("name", c->name);
	note_if("ip4", c->ipv4);
	note_if("ip6", c->ipv6);
	note_if("mac", c->mac);
	note_texts("ll", c->link_local, c->n_link_local);
	note_texts("alias", c->aliases, c->n_aliases);
	note_kvs("opt", c->driver_opts, c->n_driver_opts);
	if (c->gw_priority)
		note(" gw=%d", c->gw_priority);
}

static int plan(struct cnm_dry_run *dry)
{
	if (dry)
		dry->plan = strdup("add link br-1\nadd address 10.0.0.1/24\n");
	return 0;
}

static void new_id(char id[CNM_ID_SIZE])
{
	memset(id, 'a', CNM_ID_SIZE - 1);
	id[CNM_ID_SIZE - 1] = '\0';
}

/* Names that stand for a failure. */
static int failure_of(const char *ref, struct cnm_error *err)
{
	static const struct {
		const char *name;
		enum cnm_error_class class;
	} failures[] = {
		{ "INTERNAL", CNM_E_INTERNAL },      { "INVALID", CNM_E_INVALID },
		{ "FORBIDDEN", CNM_E_FORBIDDEN },    { "NOT_FOUND", CNM_E_NOT_FOUND },
		{ "CONFLICT", CNM_E_CONFLICT },      { "NOT_IMPLEMENTED", CNM_E_NOT_IMPLEMENTED },
		{ "UNAVAILABLE", CNM_E_UNAVAILABLE }
	};

	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++)
		if (streq(failures[i].name, ref))
			return cnm_error_set(err, failures[i].class, "as asked: \"%s\"\n\xff", ref);
	return 0;
}

const char *cnm_version(void)
{
	return "0.0.0";
}

int cnm_engine_info(struct cnm_engine *e, char **ret, struct cnm_error *err)
{
	*ret = strdup("{\"Plugins\":{\"Network\":[\"x\"]},\"Name\":\"engine\"}");
	return 0;
}

int cnm_engine_doctor(struct cnm_engine *e, bool repair, char **ret, struct cnm_error *err)
{
	note("doctor %d", repair);
	*ret = strdup("{\"Differences\":[{\"Action\":\"add\",\"Kind\":\"link\",\"Key\":\"cnm0\"}],"
		      "\"Notes\":[]}");
	return 0;
}

int cnm_network_create(struct cnm_engine *e, const struct cnm_network_config *c,
		       struct cnm_dry_run *dry, char id[CNM_ID_SIZE], char **ret_warning,
		       struct cnm_error *err)
{
	note("create [%s] 4=%d 6=%d flags=%d%d%d%d", c->name, c->ipv4, c->ipv6, c->internal,
	     c->attachable, c->ingress, c->config_only);
	note_if("driver", c->driver);
	note_if("scope", c->scope);
	note_if("from", c->config_from);
	note_if("ipam", c->ipam_driver);
	note_kvs("ipamopt", c->ipam_options, c->n_ipam_options);
	note_kvs("opt", c->options, c->n_options);
	note_kvs("label", c->labels, c->n_labels);
	for (size_t i = 0; i < c->n_pools; i++) {
		note_if("subnet", c->pools[i].subnet);
		note_if("range", c->pools[i].ip_range);
		note_if("gateway", c->pools[i].gateway);
		note_kvs("aux", c->pools[i].aux, c->pools[i].n_aux);
	}
	new_id(id);
	*ret_warning = strdup("careful");
	return plan(dry);
}

int cnm_network_remove(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	note("remove [%s]", ref);
	return plan(dry);
}

int cnm_network_inspect(struct cnm_engine *e, const char *ref, bool verbose, char **ret,
			struct cnm_error *err)
{
	int r = failure_of(ref, err);

	note("inspect [%s] %d", ref, verbose);
	if (r == 0)
		*ret = strdup("{\"Scope\":\"local\"}");
	return r;
}

int cnm_network_list(struct cnm_engine *e, const char *filters, char **ret, struct cnm_error *err)
{
	note("list %s", filters ? filters : "-");
	*ret = strdup("[]");
	return 0;
}

int cnm_network_prune(struct cnm_engine *e, const char *filters, struct cnm_dry_run *dry,
		      char **ret, struct cnm_error *err)
{
	note("prune %s", filters ? filters : "-");
	if (!dry)
		*ret = strdup("{\"NetworksDeleted\":null}");
	return plan(dry);
}

int cnm_network_connect(struct cnm_engine *e, const char *network, const char *sandbox,
			const struct cnm_endpoint_config *c, struct cnm_dry_run *dry,
			struct cnm_error *err)
{
	note("connect [%s] [%s]", network, sandbox);
	note_endpoint(c);
	return plan(dry);
}

int cnm_network_disconnect(struct cnm_engine *e, const char *network, const char *sandbox,
			   bool force, struct cnm_dry_run *dry, struct cnm_error *err)
{
	note("disconnect [%s] [%s] %d", network, sandbox, force);
	return plan(dry);
}

int cnm_endpoint_create(struct cnm_engine *e, const char *network,
			const struct cnm_endpoint_config *c, struct cnm_dry_run *dry,
			char id[CNM_ID_SIZE], struct cnm_error *err)
{
	note("endpoint [%s]", network);
	note_endpoint(c);
	new_id(id);
	return plan(dry);
}

int cnm_endpoint_remove(struct cnm_engine *e, const char *ref, bool force, struct cnm_dry_run *dry,
			struct cnm_error *err)
{
	note("endpoint remove [%s] %d", ref, force);
	return plan(dry);
}

int cnm_endpoint_join(struct cnm_engine *e, const char *ref, const char *sandbox,
		      struct cnm_dry_run *dry, struct cnm_error *err)
{
	note("join [%s] [%s]", ref, sandbox);
	return plan(dry);
}

int cnm_endpoint_leave(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	note("leave [%s]", ref);
	return plan(dry);
}

int cnm_endpoint_inspect(struct cnm_engine *e, const char *ref, char **ret, struct cnm_error *err)
{
	note("endpoint inspect [%s]", ref);
	*ret = strdup("{}");
	return 0;
}

int cnm_endpoint_list(struct cnm_engine *e, const char *network, char **ret, struct cnm_error *err)
{
	note("endpoint list %s", network ? network : "-");
	*ret = strdup("[]");
	return 0;
}

int cnm_sandbox_create(struct cnm_engine *e, const struct cnm_sandbox_config *c,
		       struct cnm_dry_run *dry, char id[CNM_ID_SIZE], struct cnm_error *err)
{
	note("sandbox [%s] pid=%d", c->name, (int)c->pid);
	note_if("hostname", c->hostname);
	note_if("netns", c->netns);
	note_kvs("label", c->labels, c->n_labels);
	for (size_t i = 0; i < c->n_networks; i++) {
		note(" on [%s]", c->networks[i].network);
		note_endpoint(&c->networks[i].endpoint);
	}
	new_id(id);
	return plan(dry);
}

int cnm_sandbox_remove(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	note("sandbox remove [%s]", ref);
	return plan(dry);
}

int cnm_sandbox_inspect(struct cnm_engine *e, const char *ref, char **ret, struct cnm_error *err)
{
	note("sandbox inspect [%s]", ref);
	*ret = strdup("{}");
	return 0;
}

int cnm_sandbox_list(struct cnm_engine *e, char **ret, struct cnm_error *err)
{
	note("sandbox list");
	*ret = strdup("[]");
	return 0;
}

/* Hands out kept_events, and is told of none later. */
int cnm_events_listen(struct cnm_engine *e, int64_t since, void (*deliver)(const char *, void *),
		      void *arg, struct cnm_event_listener **ret, struct cnm_error *err)
{
	for (size_t i = 0; since && i < sizeof(kept_events) / sizeof(*kept_events); i++)
		if (kept_events[i])
			deliver(kept_events[i], arg);
	*ret = NULL;
	return 0;
}

void cnm_events_stop(struct cnm_engine *e, struct cnm_event_listener *listener)
{
}

/* ----------------------------------------------------------------------------------- the client */

static struct http_server *server;
static struct api api;

static int setup(void **state)
{
	const struct http_server_options options = { .handle = api_handle,
						     .quick = api_is_quick,
						     .arg = &api };

	return http_server_start(&server, &options, NULL);
}

static int teardown(void **state)
{
	return http_server_stop(server, 20000);
}

struct answer {
	int status;
	char text[16384]; /* head and body */
	const char *body;
};

/* type NULL: no Content-Type. */
static struct answer *ask(const char *method, const char *path, const char *type, const char *body)
{
	static struct answer a;
	struct strbuf request = { 0 };
	_close_ int fd = -1;
	int fds[2];
	size_t n = 0;
	ssize_t r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(http_server_adopt(server, fds[1], NULL), 0);
	fd = fds[0];
	asked[0] = '\0';
	strbuf_addf(&request, "%s %s HTTP/1.1\r\nHost: d\r\nConnection: close\r\n", method, path);
	if (type)
		strbuf_addf(&request, "Content-Type: %s\r\n", type);
	strbuf_addf(&request, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	assert_int_equal(write(fd, request.s, request.len), request.len);
	strbuf_free(&request);
	while ((r = read(fd, a.text + n, sizeof(a.text) - 1 - n)) > 0)
		n += (size_t)r;
	a.text[n] = '\0';
	assert_int_equal(sscanf(a.text, "HTTP/1.1 %d", &a.status), 1);
	a.body = strstr(a.text, "\r\n\r\n");
	assert_non_null(a.body);
	a.body += 4;
	return &a;
}

static void expect(const struct answer *a, int status, const char *part)
{
	if (a->status != status || !strstr(a->text, part))
		fail_msg("expected %d with \"%s\", got %s", status, part, a->text);
}

static struct answer *get(const char *path)
{
	return ask("GET", path, NULL, "");
}

static struct answer *post(const char *path, const char *json)
{
	return ask("POST", path, "application/json", json);
}

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
	expect(get("/info"), 200, "\"Name\":\"engine\"");
	expect(get("/info"), 200, "\"Network\":[\"x\"]");
	expect(get("/info"), 200, "\"LocalNodeState\":\"inactive\"");
}

static void test_absent(void **state)
{
	expect(get("/containers/json"), 200, "[]");
	expect(get("/containers/a/json"), 404, "No such container: a");
	expect(get("/images/a/b:c/json"), 404, "No such image: a/b:c");
	expect(post("/containers/create", "{}"), 501, "not implemented");
	expect(ask("POST", "/build", NULL, ""), 501, "not implemented");
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
		    "{\"Container\":\"c\",\"EndpointConfig\":{\"Links\":[\"a\"]}}"),
	       400, "Links is not supported");
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
	};
	_json_ json_t *create = json_loads(EVENT("create", "net1", ""), 0, NULL);
	_json_ json_t *connect =
		json_loads(EVENT("connect", "net2", ",\"container\":\"c0ffee123\""), 0, NULL);
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
		cmocka_unit_test(test_no_such_route),  cmocka_unit_test(test_system),
		cmocka_unit_test(test_absent),         cmocka_unit_test(test_error_statuses),
		cmocka_unit_test(test_bodies),         cmocka_unit_test(test_deep_body),
		cmocka_unit_test(test_create_network), cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_connect),        cmocka_unit_test(test_own_routes),
		cmocka_unit_test(test_dry_run),        cmocka_unit_test(test_filters),
		cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
