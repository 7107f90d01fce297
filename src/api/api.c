/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a request to its handler and back: version prefix, routes, bodies, answers, errors. See
 * api_call.h for what a handler is.
 */
#include "api/api_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

static const struct api_route *const tables[] = {
	api_system_routes,     api_event_routes,
	api_network_routes,    api_sandbox_routes,
	api_endpoint_routes,   api_dns_routes,
	api_node_routes,       api_plugin_routes,
	api_container_routes,  api_container_stream_routes,
	api_exec_routes,       api_image_routes,
	api_image_work_routes, api_volume_routes,
	api_why_routes,        api_absent_routes,
};
#define N_TABLES (sizeof(tables) / sizeof(*tables))

/* The status of each class of errors. */
static const int class_status[] = {
	[CNM_E_INTERNAL] = 500,    [CNM_E_INVALID] = 400,  [CNM_E_FORBIDDEN] = 403,
	[CNM_E_NOT_FOUND] = 404,   [CNM_E_CONFLICT] = 409, [CNM_E_NOT_IMPLEMENTED] = 501,
	[CNM_E_UNAVAILABLE] = 503,
};

/* -------------------------------------------------------------------------------------- answers */

int api_reply_text(struct api_call *call, int status, const char *json)
{
	http_reply(call->x, status, json ? "application/json" : NULL, json,
		   json ? strlen(json) : 0);
	return 0;
}

int api_reply_object(struct api_call *call, int status, json_t *j)
{
	_json_ json_t *own = j;
	_free_ char *text = own ? json_text(own) : NULL;

	if (!text)
		return cnm_error_errno(&call->err, ENOMEM, "write the answer");
	return api_reply_text(call, status, text);
}

/* The lines of the plan as an array. */
static json_t *plan_lines(const char *plan)
{
	json_t *lines = json_array();

	while (lines && plan && *plan) {
		size_t n = strcspn(plan, "\n");

		if (n && json_array_append_new(lines, json_stringn(plan, n)) < 0) {
			json_decref(lines);
			return NULL;
		}
		plan += n + (plan[n] == '\n');
	}
	return lines;
}

int api_reply_plan(struct api_call *call)
{
	return api_reply_object(call, 200,
				json_pack("{s:o?}", "Plan", plan_lines(call->plan.plan)));
}

/* Without memory the warning is lost, not the answer: the object exists. */
int api_reply_created(struct api_call *call, const char *id, const char *warning)
{
	_json_ json_t *j = NULL;
	_free_ char *text = NULL;
	char plain[128];
	int n;

	if (call->dry)
		return api_reply_plan(call);
	if (warning) {
		j = json_pack("{s:s, s:s}", "Id", id, "Warning", warning);
		text = j ? json_text(j) : NULL;
		if (text)
			return api_reply_text(call, 201, text);
	}
	n = snprintf(plain, sizeof(plain), "{\"Id\":\"%s\"%s}\n", id,
		     warning ? ",\"Warning\":\"\"" : "");
	http_reply(call->x, 201, "application/json", plain, (size_t)n);
	return 0;
}

int api_reply_changed(struct api_call *call, int status)
{
	return call->dry ? api_reply_plan(call) : api_reply_text(call, status, NULL);
}

/* An error names what a client sent, cut to fit: what is no UTF-8 any more becomes '?'. */
json_t *api_message(const char *message)
{
	json_t *j = json_string(message);
	char text[CNM_ERROR_TEXT];

	if (j)
		return j;
	str_copy(text, sizeof(text), message);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(text);
}

int api_reply_error(struct http_exchange *x, int status, const char *message)
{
	static const char no_memory[] = "{\"message\":\"out of memory\"}\n";
	_json_ json_t *j = json_object();
	_free_ char *text = NULL;

	json_put(j, "message", api_message(message));
	text = json_text(j);
	if (text)
		http_reply(x, status, "application/json", text, strlen(text));
	else
		http_reply(x, status, "application/json", no_memory, strlen(no_memory));
	return 0;
}

/* --------------------------------------------------------------------------------------- bodies */

/* As Docker checks it, with Docker's words. */
static int check_content_type(const struct http_message *m, struct cnm_error *err)
{
	const char *type = http_message_header(m, "Content-Type");
	size_t n = type ? strcspn(type, "; \t") : 0;

	if (!type && m->body.len == 0)
		return 0;
	if (n == 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "malformed Content-Type header (): mime: no media type");
	if (n == strlen("application/json") && strncasecmp(type, "application/json", n) == 0)
		return 0;
	return cnm_error_set(err, CNM_E_INVALID,
			     "unsupported Content-Type header (%s): must be 'application/json'",
			     type);
}

int api_read_body(struct api_call *call)
{
	const struct strbuf *body = &call->request->body;
	int r;

	r = check_content_type(call->request, &call->err);
	if (r < 0)
		return r;
	if (body->len == 0)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "invalid JSON: got EOF while reading request body");
	return api_parse(&call->body, body->s, body->len, &call->err);
}

int api_read_optional_body(struct api_call *call)
{
	return call->request->body.len ? api_read_body(call) : 0;
}

/* ------------------------------------------------------------------------------- version prefix */

/* Up to three digits of *s, which is moved past them; -1 if there are none or more. */
static int read_number(const char **s)
{
	size_t n = strspn(*s, "0123456789");
	int value = 0;

	if (n == 0 || n > 3)
		return -1;
	for (; n; n--)
		value = value * 10 + (*(*s)++ - '0');
	return value;
}

/* "/v1.47/networks" -> 1047 and "/networks"; -1 and the path as it is if there is no prefix. */
static int version_prefix(const char **path)
{
	const char *s = str_after(*path, "/v");
	int major, minor;

	if (!s)
		return -1;
	major = read_number(&s);
	if (major < 0 || *s++ != '.')
		return -1;
	minor = read_number(&s);
	if (minor < 0 || *s != '/')
		return -1;
	*path = s;
	return major * 1000 + minor;
}

/* The route's path, or NULL after an answer: the version is not served. */
static const char *check_version(struct http_exchange *x, unsigned *ret_version)
{
	const char *path = http_request(x)->path, *rest = path;
	int version = version_prefix(&rest);
	char text[160];
	int n = (int)(rest - path);

	if (version < 0 || (version >= 1024 && version <= 1047)) {
		*ret_version = version < 0 ? 1047 : (unsigned)version;
		return rest;
	}
	if (version < 1024)
		snprintf(text, sizeof(text),
			 "client version %.*s is too old. Minimum supported API version is %s, "
			 "please upgrade your client to a newer version",
			 n - 2, path + 2, API_MIN_VERSION);
	else
		snprintf(text, sizeof(text),
			 "client version %.*s is too new. Maximum supported API version is %s",
			 n - 2, path + 2, API_VERSION);
	api_reply_error(x, 400, text);
	return NULL;
}

/* --------------------------------------------------------------------------------------- routes */

/* Does the path fit the pattern? Sets what '*' stands for (still encoded). */
static bool route_fits(const char *pattern, const char *path, const char **ref, size_t *n)
{
	const char *star = strchr(pattern, '*');
	size_t head, tail, len = strlen(path);

	*ref = "";
	*n = 0;
	if (!star)
		return streq(pattern, path);
	head = (size_t)(star - pattern);
	tail = strlen(star + 1);
	if (len <= head + tail || strncmp(path, pattern, head) != 0 ||
	    !streq(path + len - tail, star + 1))
		return false;
	*ref = path + head;
	*n = len - head - tail;
	return true;
}

struct match {
	const struct api_route *route; /* NULL: none */
	const char *ref;
	size_t ref_len;
	struct strbuf allow; /* methods of the routes that fit the path but not the method */
};

/* The caller frees allow. */
static struct match find_route(const char *method, const char *path)
{
	struct match m = { 0 };

	for (size_t i = 0; i < N_TABLES; i++)
		for (const struct api_route *r = tables[i]; r->method; r++) {
			if (!route_fits(r->pattern, path, &m.ref, &m.ref_len))
				continue;
			if (streq(r->method, method) || streq(r->method, "*")) {
				m.route = r;
				return m;
			}
			strbuf_addf(&m.allow, "%s%s", m.allow.len ? ", " : "", r->method);
		}
	return m;
}

/* ------------------------------------------------------------------------------------- dispatch */

static void set_common_headers(struct http_exchange *x)
{
	char server[64];

	snprintf(server, sizeof(server), "cnm/%s (linux)", cnm_version());
	http_set_header(x, "Api-Version", API_VERSION);
	http_set_header(x, "Docker-Experimental", "false");
	http_set_header(x, "Ostype", "linux");
	http_set_header(x, "Server", server);
}

static bool is_reading(const char *method)
{
	return streq(method, "GET") || streq(method, "HEAD");
}

static int run_route(struct api_call *call, const struct match *m)
{
	_free_ char *ref = malloc(m->ref_len + 1);
	bool dry = false;
	int r;

	if (!ref)
		return cnm_error_errno(&call->err, ENOMEM, "read the request");
	if (http_percent_decode(ref, m->ref, m->ref_len, false) < 0)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "the path has an invalid escape, or is not UTF-8");
	r = api_param_bool(call, "dry-run", &dry);
	if (r < 0)
		return r;
	if (dry && !(m->route->flags & ROUTE_PLANS) && !is_reading(call->request->method))
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "%s %s has no dry run: ask without dry-run",
				     call->request->method, call->request->path);
	call->ref = ref;
	call->dry = dry ? &call->plan : NULL;
	return m->route->handle(call);
}

/* Nothing is read of the exchange after a handler that succeeded: it may have given it up. */
static void call_route(struct api *api, struct http_exchange *x, unsigned api_version,
		       const struct match *m)
{
	struct api_call call = { .api = api,
				 .engine = api->engine,
				 .containers = api->containers,
				 .x = x,
				 .request = http_request(x),
				 .version = api_version };
	int r = run_route(&call, m);

	if (r < 0 && call.err.text[0] == '\0') /* nobody said why: tell at least what kind */
		cnm_error_errno(&call.err, r, "%s %s", call.request->method, call.request->path);
	if (r < 0)
		api_reply_error(x, class_status[call.err.class], call.err.text);
	free(call.plan.plan);
	json_decref(call.body);
	api_memory_free(&call.memory);
}

void api_handle(struct http_exchange *x, void *arg)
{
	unsigned api_version;
	const char *path;
	struct match m;

	set_common_headers(x);
	path = check_version(x, &api_version);
	if (!path)
		return;
	m = find_route(http_request(x)->method, path);
	if (m.route) {
		call_route(arg, x, api_version, &m);
	} else if (m.allow.len) {
		http_set_header(x, "Allow", m.allow.s);
		api_reply_error(x, 405, "method not allowed");
	} else {
		api_reply_error(x, 404, "page not found");
	}
	strbuf_free(&m.allow);
}

/* NULL: none. */
static const struct api_route *route_of(const struct http_message *request)
{
	const char *path = request->path;
	struct match m;

	version_prefix(&path);
	m = find_route(request->method, path);
	strbuf_free(&m.allow);
	return m.route;
}

bool api_is_quick(const struct http_message *request, void *arg)
{
	const struct api_route *route = route_of(request);

	return !route || (route->flags & ROUTE_QUICK);
}

bool api_streams(const struct http_message *request, void *arg)
{
	const struct api_route *route = route_of(request);

	return route && (route->flags & ROUTE_BODY);
}
