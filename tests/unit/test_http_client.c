/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The HTTP client against a server that does what a client hopes it does not: a thread that takes
 * connections, and answers as each test says, in a network namespace of our own.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "http/http_client.h"

/* ---- the server */

enum behaviour {
	ECHO,      /* the request's line and body, and a header */
	SILENT,    /* takes requests, says nothing */
	CLOSE,     /* closes when it has a request */
	ECHO_ONCE, /* the first request of a connection is answered, the second closes it */
	TOGETHER,  /* answers when as many connections as `together` have a request */
	LARGE,     /* 100 KB */
	STREAM,    /* a chunk each time `next` is written, then the end */
	NOT_FOUND,
};

static struct {
	_Atomic enum behaviour behaviour;
	int fd, next; /* `next`: an eventfd of semaphores */
	unsigned port, together;
	atomic_uint connections, requests;
	pthread_mutex_t lock;
	pthread_cond_t all;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER, .all = PTHREAD_COND_INITIALIZER };

static char large[100001];

static void say(int fd, const char *text)
{
	/* Who does not listen any more is the test's business. */
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* One request, with its body; false: the connection ended. */
static bool hear(int fd, char *buf, size_t size)
{
	size_t n = 0, body = 0;
	char *end = NULL, *length;

	buf[0] = '\0';
	while (!end || strlen(end + 4) < body) {
		ssize_t got = recv(fd, buf + n, size - 1 - n, 0);

		if (got <= 0)
			return false;
		n += (size_t)got;
		buf[n] = '\0';
		end = strstr(buf, "\r\n\r\n");
		length = strcasestr(buf, "content-length: ");
		body = length ? strtoul(length + 16, NULL, 10) : 0;
	}
	return true;
}

static void answer(int fd, int status, const char *body, size_t len)
{
	char head[256];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 %d Whatever\r\nX-Odd: %s\r\nContent-Length: %zu\r\n\r\n", status,
		 "a value", len);
	say(fd, head);
	say(fd, body);
}

static void echo(int fd, char *request)
{
	char *body = strstr(request, "\r\n\r\n") + 4;
	char text[4096];

	request[strcspn(request, "\r")] = '\0';
	snprintf(text, sizeof(text), "%s|%s", request, body);
	answer(fd, 200, text, strlen(text));
}

static void wait_for_all(void)
{
	LOCKED(&server.lock);
	if (--server.together == 0)
		pthread_cond_broadcast(&server.all);
	while (server.together)
		pthread_cond_wait(&server.all, &server.lock);
}

static void stream(int fd)
{
	static const char *const chunks[] = { "5\r\nhello\r\n", "3\r\n, w\r\n", "4\r\norld\r\n",
					      "0\r\n\r\n" };
	eventfd_t v;

	say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		eventfd_read(server.next, &v);
		say(fd, chunks[i]);
	}
}

static bool serve_one(int fd, char *request, unsigned nth)
{
	switch ((enum behaviour)server.behaviour) {
	case ECHO:
		echo(fd, request);
		return true;
	case SILENT:
		return true;
	case CLOSE:
		return false;
	case ECHO_ONCE:
		if (nth > 1)
			return false;
		echo(fd, request);
		return true;
	case TOGETHER:
		wait_for_all();
		echo(fd, request);
		return true;
	case LARGE:
		answer(fd, 200, large, sizeof(large) - 1);
		return true;
	case STREAM:
		stream(fd);
		return true;
	case NOT_FOUND:
		answer(fd, 404, "no such thing", 13);
		return true;
	}
	return false;
}

static void *serve_connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char request[4096];

	for (unsigned nth = 1; hear(fd, request, sizeof(request)); nth++) {
		server.requests++;
		if (!serve_one(fd, request, nth))
			break;
	}
	close(fd);
	return NULL;
}

static void *serve(void *arg)
{
	int fd;

	while ((fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_t t;

		server.connections++;
		assert_int_equal(pthread_create(&t, NULL, serve_connection, (void *)(intptr_t)fd),
				 0);
		pthread_detach(t);
	}
	return NULL;
}

static void start_server(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	pthread_t t;

	inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
	memset(large, 'x', sizeof(large) - 1);
	server.next = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.fd, (void *)&a, sizeof(a)) < 0 || listen(server.fd, 64) < 0 ||
	    getsockname(server.fd, (void *)&a, &len) < 0 ||
	    pthread_create(&t, NULL, serve, NULL) != 0)
		abort();
	server.port = ntohs(a.sin_port);
}

/* ---- the client */

static char url[64];

static struct http_request get(void)
{
	return (struct http_request){
		.method = "GET", .url = url, .max = 4096, .connect_ms = 10000, .ms = 60000
	};
}

static struct http_client *client(enum behaviour b)
{
	struct http_client *c;

	server.behaviour = b;
	server.connections = server.requests = 0;
	assert_int_equal(http_client_new(&c, NULL, NULL), 0);
	return c;
}

static void assert_answer(struct http_client *c, const struct http_request *req, int status,
			  const char *body)
{
	struct http_answer a;
	struct cnm_error err;

	if (http_client_do(c, req, &a, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(a.status, status);
	assert_string_equal(a.body, body);
	assert_int_equal(a.len, strlen(body));
	assert_string_equal(a.kept, req->keep ? "a value" : "");
	http_answer_free(&a);
}

static void requests_and_answers(void **state)
{
	struct http_client *c = client(ECHO);
	struct http_request req = get();

	assert_answer(c, &req, 200, "GET /x/y?z HTTP/1.1|");
	req.method = "PUT";
	req.body = "{}";
	req.len = 2;
	req.keep = "x-odd";
	assert_answer(c, &req, 200, "PUT /x/y?z HTTP/1.1|{}");
	req.method = "POST";
	req.len = 1;
	assert_answer(c, &req, 200, "POST /x/y?z HTTP/1.1|{");
	req.body = NULL;
	req.len = 0;
	assert_answer(c, &req, 200, "POST /x/y?z HTTP/1.1|");
	server.behaviour = NOT_FOUND;
	assert_answer(c, &req, 404, "no such thing");
	/* All on one connection. */
	assert_int_equal(server.connections, 1);
	http_client_free(c);
	http_client_free(NULL);
}

struct asker {
	pthread_t thread;
	struct http_client *c;
	int result;
};

static void *ask(void *arg)
{
	struct asker *a = arg;
	struct http_request req = get();
	struct http_answer answer = { .body = NULL };

	a->result = http_client_do(a->c, &req, &answer, NULL);
	http_answer_free(&answer);
	return NULL;
}

static void ask_all(struct http_client *c, struct asker *askers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		askers[i] = (struct asker){ .c = c };
		assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
	}
}

static void join_all(struct asker *askers, size_t n, int result)
{
	for (size_t i = 0; i < n; i++) {
		pthread_join(askers[i].thread, NULL);
		assert_int_equal(askers[i].result, result);
	}
}

/* The server answers nobody before it has heard all. */
static void nobody_waits_for_another(void **state)
{
	struct http_client *c = client(TOGETHER);
	struct asker askers[20];

	server.together = ARRAY_LEN(askers);
	ask_all(c, askers, ARRAY_LEN(askers));
	join_all(askers, ARRAY_LEN(askers), 0);
	assert_int_equal(server.connections, ARRAY_LEN(askers));
	/* Some of the connections stay. */
	server.together = 1;
	ask_all(c, askers, 1);
	join_all(askers, 1, 0);
	assert_int_equal(server.connections, ARRAY_LEN(askers));
	http_client_free(c);
}

static void assert_fails(struct http_client *c, const struct http_request *req, int want,
			 const char *why)
{
	struct cnm_error err = { .err = 0 };
	struct http_answer a;

	assert_int_equal(http_client_do(c, req, &a, &err), want);
	assert_int_equal(err.class, CNM_E_UNAVAILABLE);
	if (!strstr(err.text, why))
		fail_msg("%s", err.text);
}

static void nobody_listens(void **state)
{
	struct http_client *c = client(ECHO);
	struct http_request req = get();

	req.url = "http://127.0.0.1:1/";
	assert_fails(c, &req, HTTP_NOT_SENT, "Connection refused");
	req.url = "http://no.such.name.invalid:1/";
	assert_fails(c, &req, HTTP_NOT_SENT, "");
	req.url = "ftp://127.0.0.1:1/";
	assert_fails(c, &req, HTTP_NOT_SENT, "");
	http_client_free(c);
}

/* A request is made once, also where libcurl would make it again. */
static void closed_without_an_answer(void **state)
{
	struct http_client *c = client(CLOSE);
	struct http_request req = get();

	req.method = "POST";
	req.body = "x";
	req.len = 1;
	assert_fails(c, &req, HTTP_NO_ANSWER, "");
	assert_int_equal(server.requests, 1);
	server.behaviour = ECHO_ONCE;
	assert_answer(c, &req, 200, "POST /x/y?z HTTP/1.1|x");
	assert_fails(c, &req, HTTP_NO_ANSWER, "closed the connection");
	assert_int_equal(server.requests, 3);
	http_client_free(c);
}

static void the_deadline(void **state)
{
	struct http_client *c = client(SILENT);
	struct http_request req = get();

	req.ms = 50;
	assert_fails(c, &req, HTTP_NO_ANSWER, "timed out");
	http_client_free(c);
}

static void too_much(void **state)
{
	struct http_client *c = client(LARGE);
	struct http_request req = get();

	req.max = 99999;
	assert_fails(c, &req, HTTP_NO_ANSWER, "more than 99999 bytes");
	req.max = 100000;
	struct http_answer a;
	assert_int_equal(http_client_do(c, &req, &a, NULL), 0);
	assert_int_equal(a.len, 100000);
	http_answer_free(&a);
	http_client_free(c);
}

static void all_are_canceled(void **state)
{
	struct http_client *c = client(SILENT);
	struct http_request req = get();
	struct asker askers[5];
	struct http_answer a;

	ask_all(c, askers, ARRAY_LEN(askers));
	while (server.requests < ARRAY_LEN(askers))
		sched_yield();
	http_client_cancel(c);
	join_all(askers, ARRAY_LEN(askers), -ECANCELED);
	assert_int_equal(http_client_do(c, &req, &a, NULL), -ECANCELED);
	http_client_free(c);
}

/* ---- the loop */

struct heard {
	struct strbuf data, body;
	int stop_at, ends, result, status;
	struct http_loop *l;
	struct http_task *task;
};

static int on_data(void *arg, const char *bytes, size_t n)
{
	struct heard *h = arg;

	strbuf_addn(&h->data, bytes, n);
	return h->stop_at && h->data.len >= (size_t)h->stop_at;
}

static void on_done(void *arg, int r, struct http_answer *a, const struct cnm_error *err)
{
	struct heard *h = arg;

	h->ends++;
	h->result = r;
	h->status = a ? a->status : 0;
	if (a)
		strbuf_add(&h->body, a->body);
}

static const struct http_events streams = { on_data, on_done }, collects = { NULL, on_done };

static void start(struct heard *h, const struct http_events *events)
{
	struct http_request req = get();

	*h = (struct heard){ .l = h->l };
	req.ms = 0;
	assert_int_equal(http_loop_start(h->l, &req, events, h, &h->task, NULL), 0);
}

static void run_until(struct heard *h, size_t bytes)
{
	while (!h->ends && h->data.len < bytes)
		http_loop_run(h->l, -1, 60000);
}

static void heard_free(struct heard *h)
{
	strbuf_free(&h->data);
	strbuf_free(&h->body);
}

static struct http_loop *loop(enum behaviour b)
{
	struct http_loop *l;

	server.behaviour = b;
	server.connections = server.requests = 0;
	assert_int_equal(http_loop_new(&l, NULL, NULL), 0);
	return l;
}

static void a_stream(void **state)
{
	struct heard h = { .l = loop(STREAM) };

	start(&h, &streams);
	eventfd_write(server.next, 1);
	run_until(&h, 5);
	assert_string_equal(h.data.s, "hello");
	eventfd_write(server.next, 3);
	run_until(&h, 100);
	assert_string_equal(h.data.s, "hello, world");
	assert_true(h.ends == 1 && h.result == 0 && h.status == 200);
	assert_string_equal(h.body.s, "");
	heard_free(&h);
	/* Ended by who hears it. */
	start(&h, &streams);
	h.stop_at = 5;
	eventfd_write(server.next, 1);
	run_until(&h, 100);
	assert_true(h.ends == 1 && h.result == HTTP_NO_ANSWER);
	eventfd_write(server.next, 3);
	heard_free(&h);
	/* What is no stream is collected. */
	server.behaviour = NOT_FOUND;
	start(&h, &streams);
	run_until(&h, 100);
	assert_true(h.ends == 1 && h.status == 404);
	assert_null(h.data.s);
	assert_string_equal(h.body.s, "no such thing");
	heard_free(&h);
	http_loop_free(h.l);
}

/* A silent one, one that is stopped, and one that is answered meanwhile. */
static void several_at_once(void **state)
{
	struct http_loop *l = loop(SILENT);
	struct heard a = { .l = l }, b = { .l = l }, c = { .l = l };
	int fd = eventfd(1, EFD_CLOEXEC);

	start(&a, &collects);
	start(&b, &streams);
	while (server.requests < 2)
		http_loop_run(l, -1, 10);
	server.behaviour = ECHO;
	start(&c, &collects);
	http_loop_stop(l, b.task);
	http_loop_stop(l, NULL);
	run_until(&c, 1);
	assert_string_equal(c.body.s, "GET /x/y?z HTTP/1.1|");
	assert_true(a.ends == 0 && b.ends == 0 && c.ends == 1);
	heard_free(&c);
	/* Woken by a descriptor, while one is silent. */
	http_loop_run(l, fd, 600000);
	close(fd);
	http_loop_free(l);
	assert_int_equal(a.ends, 0);
	http_loop_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_and_answers), cmocka_unit_test(nobody_waits_for_another),
		cmocka_unit_test(nobody_listens),       cmocka_unit_test(closed_without_an_answer),
		cmocka_unit_test(the_deadline),         cmocka_unit_test(too_much),
		cmocka_unit_test(all_are_canceled),     cmocka_unit_test(a_stream),
		cmocka_unit_test(several_at_once),
	};

	if (unshare(CLONE_NEWNET) < 0 || system("ip link set lo up") != 0) {
		perror("skipped: root is needed to make a network namespace");
		return 77;
	}
	/* Proxies are for what users fetch. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	start_server();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/x/y?z", server.port);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
