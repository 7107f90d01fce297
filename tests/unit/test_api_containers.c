/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The API's part in containers, images and volumes: what it asks for, and how it answers. */
#include "api_fixture.h"

static int reset(void **state)
{
	memset(&next, 0, sizeof(next));
	return 0;
}

static void expect_asked(const char *method, const char *path, int status, const char *what)
{
	expect(ask(method, path, NULL, ""), status, "");
	assert_string_equal(asked, what);
}

/* ----------------------------------------------------------------------------------- containers */

static void test_routes(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
		const char *asked;
	} cases[] = {
		{ "GET", "/containers/json", 200, "list containers - 0 0 1047" },
		{ "GET", "/v1.24/containers/json?all=1&limit=-1&filters=%7B%22a%22%3A%5B%5D%7D",
		  200, "list containers {\"a\":[]} 1 0 1024" },
		{ "GET", "/containers/json?limit=2&size=1", 200, "list containers - 0 2 1047" },
		{ "GET", "/v1.41/containers/c/json?size=1", 200, "1041 1 inspect container [c]" },
		{ "GET", "/containers//c/json", 200, "1047 0 inspect container [/c]" },
		{ "GET", "/containers/c/top?ps_args=aux+-w", 200, "(aux -w) top [c]" },
		{ "GET", "/containers/c/top", 200, "() top [c]" },
		{ "POST", "/containers/c/start", 204, "start [c]" },
		{ "POST", "/containers/c/stop", 204, "stop [c] - -2" },
		{ "POST", "/containers/c/stop?t=0&signal=INT", 204, "stop [c] INT 0" },
		{ "POST", "/containers/c/stop?t=-5", 204, "stop [c] - -1" },
		{ "POST", "/containers/c/restart?t=7", 204, "restart [c] - 7" },
		{ "POST", "/containers/c/kill?signal=HUP", 204, "kill [c] HUP" },
		{ "POST", "/containers/c/kill?signal=", 204, "kill [c] -" },
		{ "POST", "/containers/c/rename?name=d", 204, "rename [c] [d]" },
		{ "POST", "/containers/c/resize?h=24&w=80", 200, "resize [c] 24 80" },
		{ "DELETE", "/containers/c", 204, "remove container [c] 0 0" },
		{ "DELETE", "/containers/c?force=1&v=true&link=0", 204,
		  "remove container [c] 1 1" },
		{ "POST", "/exec/e/resize?h=24&w=80", 200, "exec resize [e] 24 80" },
		{ "GET", "/exec/e/json", 200, "inspect exec [e]" },
		{ "GET", "/images/json?all=1", 200, "list images - 1" },
		{ "GET", "/images/a/b:c/json", 200, "inspect image [a/b:c]" },
		{ "GET", "/images/a/b/history", 200, "history [a/b]" },
		{ "POST", "/images/a/tag?repo=r/s&tag=t", 201, "tag [a] [r/s] [t]" },
		{ "POST", "/images/a/tag?repo=r", 201, "tag [a] [r] [latest]" },
		{ "DELETE", "/images/r/a:b?force=1&noprune=0", 200, "1 remove image [r/a:b]" },
		{ "GET", "/images/r/a/get", 200, "save image:r/a" },
		{ "GET", "/images/get?names=a&names=b:c", 200, "save image:a image:b:c" },
		{ "GET", "/volumes", 200, "list volumes []" },
		{ "GET", "/volumes?filters=%7B%7D", 200, "list volumes []" },
		{ "GET", "/volumes/v", 200, "inspect volume [v]" },
		{ "DELETE", "/volumes/v?force=1", 204, "remove volume [v] 1" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		expect_asked(cases[i].method, cases[i].path, cases[i].status, cases[i].asked);
}

static void test_refusals(void **state)
{
	expect(get("/containers/json?limit=x"), 400, "invalid value for limit");
	expect(get("/containers/NOT_FOUND/json"), 404, "as asked");
	expect(ask("POST", "/containers/c/rename", NULL, ""), 400, "may be empty");
	expect(ask("POST", "/containers/c/start?checkpoint=x", NULL, ""), 501, "checkpoint");
	expect(ask("POST", "/containers/c/stop?t=soon", NULL, ""), 400, "invalid value for t");
	expect(ask("POST", "/containers/c/resize?h=-1&w=1", NULL, ""), 400, "terminal");
	expect(ask("POST", "/containers/c/resize?h=1&w=65536", NULL, ""), 400, "terminal");
	expect(ask("DELETE", "/containers/c?link=1", NULL, ""), 501, "alone");
	expect(ask("PUT", "/containers/c", NULL, ""), 405, "Allow: DELETE");
	expect(get("/containers/c/nonsense"), 405, "Allow: DELETE");
	expect(ask("POST", "/images/a/tag", NULL, ""), 400, "repo");
	expect(get("/images/get"), 400, "names");
	expect(get("/volumes?filters=%7B%22name%22%3A%5B%22a%22%5D%7D"), 501, "filters");
	expect(ask("POST", "/images/create", NULL, ""), 400, "fromImage");
	expect(ask("POST", "/images/create?fromSrc=http:x", NULL, ""), 501, "fetches nothing");
	assert_string_equal(asked, "");
}

static void test_create(void **state)
{
	expect(post("/v1.40/containers/create?name=web", "{\"Image\":\"i\",\"Cmd\":null}"), 201,
	       "aaaa\",\"Warnings\":[\"careful\"]}");
	assert_string_equal(asked, "container [web] 1040 {\"Image\":\"i\",\"Cmd\":null}");
	expect(post("/containers/create", "{}"), 201, "");
	assert_string_equal(asked, "container [-] 1047 {}");
	expect(ask("POST", "/containers/create", NULL, ""), 400, "got EOF");
	expect(post("/containers/create?platform=linux", "{}"), 201, "");
	expect(post("/containers/create?platform=windows/amd64", "{}"), 501, "this machine runs");
	expect(post("/containers/create?platform=linux/vax", "{}"), 501, "this machine runs");
}

static void test_not_modified(void **state)
{
	next.result = 1;
	assert_int_equal(ask("POST", "/containers/c/start", NULL, "")->status, 304);
	assert_int_equal(ask("POST", "/containers/c/stop", NULL, "")->status, 304);
}

/* ------------------------------------------------------------------------------------ what flows
 */

/* The answer to a whole request that may not be an answer in the end. */
static struct answer *ask_raw(const char *request)
{
	static struct answer a;
	_close_ int fd = -1;
	int fds[2];
	size_t n = 0;
	ssize_t r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(http_server_adopt(server, fds[1], NULL), 0);
	fd = fds[0];
	asked[0] = '\0';
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while ((r = read(fd, a.text + n, sizeof(a.text) - 1 - n)) > 0)
		n += (size_t)r;
	a.text[n] = '\0';
	assert_int_equal(sscanf(a.text, "HTTP/1.1 %d", &a.status), 1);
	a.body = strstr(a.text, "\r\n\r\n") + 4;
	return &a;
}

#define UPGRADE "Host: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"

static void test_attach(void **state)
{
	const char *query = "POST /containers/c/attach?stream=1&stdin=1&stderr=1&detachKeys=ctrl-a "
			    "HTTP/1.1\r\n" UPGRADE "\r\nhey";
	struct answer *a = ask_raw(query);

	expect(a, 101, "Content-Type: application/vnd.docker.multiplexed-stream\r\n");
	assert_string_equal(a->body, "attached aaa 10101 ctrl-a early=hey");
	next.terminal = true;
	expect(ask_raw(query), 101, "Content-Type: application/vnd.docker.raw-stream\r\n");
	next.terminal = false;
	expect(ask_raw("POST /v1.41/containers/c/attach HTTP/1.1\r\n" UPGRADE "\r\n"), 101,
	       "raw-stream\r\n");
	a = ask_raw("POST /containers/c/attach?logs=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n");
	expect(a, 200, "raw-stream\r\n");
	assert_string_equal(a->body, "attached aaa 01010 - early=");
	expect(ask("POST", "/containers/NOT_FOUND/attach?stream=1", NULL, ""), 404, "as asked");
}

static void test_logs(void **state)
{
	struct answer *a = get("/containers/c/logs?stdout=1&since=5.5&until=0&tail=3&timestamps=1");

	expect(a, 200, "Content-Type: application/vnd.docker.multiplexed-stream\r\n");
	assert_string_equal(a->body, "5\r\na log\r\n0\r\n\r\n");
	assert_string_equal(asked, "logs [c] 0101 5500000000 0 3");
	next.terminal = true;
	expect(get("/containers/c/logs?stderr=1&follow=1&tail=all"), 200, "raw-stream");
	assert_string_equal(asked, "logs [c] 1010 0 0 -1");
	expect(get("/containers/c/logs?stdout=0"), 400, "you must choose at least one stream");
	expect(get("/containers/NOT_FOUND/logs?stdout=1"), 404, "as asked");
}

static void test_wait(void **state)
{
	struct answer *a = ask("POST", "/containers/c/wait?condition=removed", NULL, "");

	expect(a, 200, "{\"StatusCode\":7}");
	assert_string_equal(asked, "wait [c] removed");
	expect(ask("POST", "/containers/gone/wait", NULL, ""), 200,
	       "{\"StatusCode\":7,\"Error\":{\"Message\":\"as asked: ?\"}}");
	expect(ask("POST", "/containers/NOT_FOUND/wait", NULL, ""), 404, "as asked");
}

/* The head comes at once; the rest later, or never. */
static void test_wait_later(void **state)
{
	_close_ int fd = -1;
	struct answer a;
	int fds[2];
	size_t n = 0;
	ssize_t r = 1;

	next.waits = true;
	for (int told = 0; told < 2; told++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		assert_int_equal(http_server_adopt(server, fds[1], NULL), 0);
		close_fd(&fd);
		fd = fds[0];
		assert_int_equal(
			write(fd, "POST /containers/c/wait HTTP/1.1\r\nHost: d\r\n\r\n", 46), 46);
		for (n = 0, a.text[0] = '\0'; !strstr(a.text, "\r\n\r\n"); a.text[n] = '\0') {
			r = read(fd, a.text + n, sizeof(a.text) - 1 - n);
			assert_true(r > 0);
			n += (size_t)r;
		}
		if (told) {
			tell_wait(0);
			assert_true(read(fd, a.text, sizeof(a.text)) > 0);
		}
		close_fd(&fd);
		/* It is cancelled either way, by the server. */
		while (__atomic_load_n(&next.cancelled, __ATOMIC_SEQ_CST) <= told)
			sched_yield();
	}
}

/* ----------------------------------------------------------------------------------------- exec */

static void test_exec_create(void **state)
{
	expect(post("/containers/c/exec", "{\"Cmd\":[\"ls\"]}"), 201, "{\"Id\":\"aaaa");
	assert_string_equal(asked, "{\"Cmd\":[\"ls\"]} exec [c]");
	expect(post("/containers/CONFLICT/exec", "{\"Cmd\":[\"ls\"]}"), 409, "as asked");
}

#define START(id, body)                                                                     \
	"POST /exec/" id "/start HTTP/1.1\r\n" UPGRADE "Content-Type: application/json\r\n" \
	"Transfer-Encoding: chunked\r\n\r\n" body "\r\n0\r\n\r\n"

static void test_exec_start(void **state)
{
	struct answer *a = ask_raw(START("e", "2\r\n{}"));

	expect(a, 101, "Content-Type: application/vnd.docker.multiplexed-stream\r\n");
	assert_string_equal(a->body, "executed early=");
	assert_string_equal(asked, "0 0 0 exec start [e]");
	expect(post("/exec/e/start", "{\"Tty\":true,\"ConsoleSize\":[24,80]}"), 200, "executed");
	assert_string_equal(asked, "0 24 80 exec start [e]");
	expect(post("/exec/e/start", "{\"Tty\":true,\"ConsoleSize\":null}"), 200, "executed");
	expect(post("/exec/e/start", "{\"Tty\":true,\"ConsoleSize\":[1]}"), 400, "ConsoleSize");
	expect(post("/exec/e/start", "{\"Detach\":true}"), 200, "");
	assert_string_equal(asked, "1 0 0 exec start [e]");
	expect(post("/exec/INVALID/start", "{\"Detach\":true}"), 400, "as asked");
}

/* What clients do not look for in the status stands in the connection, framed or not. */
static void test_exec_start_fails(void **state)
{
	struct answer *a;

	expect(ask_raw("POST /exec/NOT_FOUND/start HTTP/1.1\r\nConnection: close\r\n\r\n"), 404,
	       "as asked");
	expect(ask_raw("POST /exec/CONFLICT/start HTTP/1.1\r\nConnection: close\r\n\r\n"), 409,
	       "as asked");
	a = ask_raw(START("INVALID", "2\r\n{}"));
	expect(a, 101, "multiplexed-stream");
	assert_memory_equal(a->body, "\1\0\0\0\0\0\0\27as asked: \"INVALID\"\n", 8 + 20);
	next.terminal = true;
	a = ask_raw(START("INVALID", "c\r\n{\"Tty\":true}"));
	expect(a, 101, "raw-stream");
	assert_int_equal(strncmp(a->body, "as asked: \"INVALID\"", 19), 0);
}

/* --------------------------------------------------------------------------------------- images */

static void test_save(void **state)
{
	struct answer *a = get("/images/a/get");

	expect(a, 200, "Content-Type: application/x-tar\r\n");
	assert_string_equal(a->body, "7\r\narchive\r\n0\r\n\r\n");
}

static void test_load(void **state)
{
	struct answer *a;

	next.lines = 2;
	a = ask("POST", "/images/load?quiet=0", "application/x-tar", "the archive");
	expect(a, 200, "Content-Type: application/json\r\n");
	assert_string_equal(asked, "load {the archive} 11");
	assert_string_equal(a->body, "16\r\n{\"status\":\"working\"}\r\n\r\n"
				     "16\r\n{\"status\":\"working\"}\r\n\r\n0\r\n\r\n");
	next.lines = 0;
	expect(ask("POST", "/images/load", NULL, ""), 200, "Content-Length: 0\r\n");
	assert_string_equal(asked, "load {} 0");
	next.fails = true;
	expect(ask("POST", "/images/load", NULL, "x"), 404, "{\"message\":\"as asked: ?\"}");
	next.lines = 1;
	a = ask("POST", "/images/load", NULL, "x");
	expect(a, 200,
	       "{\"errorDetail\":{\"message\":\"as asked: ?\"},\"error\":\"as asked: ?\"}\r\n");
}

/* Longer than any body that the server takes itself. */
static void test_load_large(void **state)
{
	size_t n = 6 << 20;
	char *archive = malloc(n + 1);

	memset(archive, 'x', n);
	archive[n] = '\0';
	expect(ask("POST", "/images/load", NULL, archive), 200, "");
	assert_non_null(strstr(asked, "} 6291456"));
	free(archive);
}

static void test_import(void **state)
{
	expect(ask("POST",
		   "/images/create?fromSrc=-&repo=r&tag=t&message=m&changes=CMD+a&changes=ENV+b=c",
		   "text/plain", "tar"),
	       200, "{\"status\":\"sha256:abc\"}");
	assert_string_equal(asked, "import [r:t] (m) change:CMD a change:ENV b=c {tar} 3");
	expect(ask("POST", "/images/create?fromSrc=-&repo=&tag=t", NULL, "tar"), 200, "");
	assert_string_equal(asked, "import [] () {tar} 3");
}

/* The answer to a pull with this X-Registry-Auth. */
static struct answer *pull(const char *query, const char *auth)
{
	char request[1024];

	snprintf(request, sizeof(request),
		 "POST /images/create?%s HTTP/1.1\r\nHost: d\r\nConnection: close\r\n"
		 "X-Registry-Auth: %s\r\n\r\n",
		 query, auth);
	return ask_raw(request);
}

static void test_pull(void **state)
{
	next.lines = 1;
	expect(pull("fromImage=busybox&tag=1.35", ""), 200, "{\"status\":\"working\"}\r\n");
	assert_string_equal(asked, "pull [busybox:1.35] -");
	pull("fromImage=r/b&tag=sha256:ab", "e30=");
	assert_string_equal(asked, "pull [r/b@sha256:ab] -");
	pull("fromImage=b:c", "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InA_Pz4ifQ==");
	assert_string_equal(asked, "pull [b:c] u:p?\?>");
	pull("fromImage=b", "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InA/Pz4ifQ");
	assert_string_equal(asked, "pull [b] u:p?\?>");
	pull("fromImage=b", "%%%");
	assert_string_equal(asked, "pull [b] -");
	expect(pull("fromImage=b", "eyJpZGVudGl0eXRva2VuIjoidCJ9"), 400, "tokens");
	expect(pull("fromImage=b", "eyJ1c2VybmFtZSI6InU6diJ9"), 400, "colon");
	expect(pull("fromImage=b&platform=plan9", ""), 501, "this machine runs");
	next.fails = true;
	next.lines = 0;
	expect(pull("fromImage=b", ""), 404, "{\"message\":\"as asked: ?\"}");
}

static void test_volumes(void **state)
{
	expect(post("/volumes/create", "{\"Name\":\"v\"}"), 201, "{}");
	assert_string_equal(asked, "volume [{\"Name\":\"v\"}]");
}

#define TEST(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_routes),       TEST(test_refusals),         TEST(test_create),
		TEST(test_not_modified), TEST(test_attach),           TEST(test_logs),
		TEST(test_wait),         TEST(test_wait_later),       TEST(test_exec_create),
		TEST(test_exec_start),   TEST(test_exec_start_fails), TEST(test_save),
		TEST(test_load),         TEST(test_load_large),       TEST(test_import),
		TEST(test_pull),         TEST(test_volumes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
