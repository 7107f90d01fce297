/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One exchange. libcurl sends a request a second time by itself when a connection that it reused
 * turns out to be closed; who sent a write must not have that, since the first may have been
 * carried out. So it is counted how often a request is about to be sent, and the second time it is
 * ended.
 */
#include "http/http_exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define KEEPALIVE_S 10
/* A connection whose peer acknowledges nothing for so long is broken. */
#define DEAD_PEER_MS 20000

/* ------------------------------------------------------------------- libcurl's callbacks */

/* Not inherited by the programs we run; and a host that vanished is noticed. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	unsigned dead = DEAD_PEER_MS;

	if (fd >= 0 && a->protocol == IPPROTO_TCP)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof(dead));
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int before_sending(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct http_exchange *x = arg;

	return ++x->sent == 1 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static int status_of(const struct http_exchange *x)
{
	long status = 0;

	x->lib->easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

/* Taking less than was offered makes libcurl end the transfer. */
static size_t take_bytes(char *bytes, size_t size, size_t n, void *arg)
{
	struct http_exchange *x = arg;

	if (x->data && status_of(x) == 200)
		return x->data(x->arg, bytes, n) ? 0 : n;
	if (n > x->max - x->body.len) {
		x->too_much = true;
		return 0;
	}
	strbuf_addn(&x->body, bytes, n);
	return x->body.failed ? 0 : n;
}

/* --------------------------------------------------------------------------- the request */

static bool set_tls(struct http_exchange *x, const struct http_tls *tls)
{
	CURLcode (*set)(CURL *, CURLoption, ...) = x->lib->easy_setopt;
	int bad = 0;

	if (tls->cacertfile) {
		bad |= set(x->easy, CURLOPT_CAINFO, tls->cacertfile);
		bad |= set(x->easy, CURLOPT_CAPATH, (char *)NULL);
	}
	if (tls->certfile) {
		bad |= set(x->easy, CURLOPT_SSLCERT, tls->certfile);
		bad |= set(x->easy, CURLOPT_SSLKEY, tls->keyfile);
	}
	if (tls->insecure) {
		bad |= set(x->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		bad |= set(x->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	return !bad;
}

/* Options that are the same for all requests. */
static bool set_common(struct http_exchange *x)
{
	CURLcode (*set)(CURL *, CURLoption, ...) = x->lib->easy_setopt;
	const struct http_tls *tls = x->tls;
	int bad = 0;

	bad |= set(x->easy, CURLOPT_NOSIGNAL, 1L);
	bad |= set(x->easy, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a slow name server */
	bad |= set(x->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	bad |= set(x->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	bad |= set(x->easy, CURLOPT_NOPROXY, "*");
	bad |= set(x->easy, CURLOPT_PATH_AS_IS, 1L);
	bad |= set(x->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	bad |= set(x->easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	bad |= set(x->easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
	bad |= set(x->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	bad |= set(x->easy, CURLOPT_PREREQFUNCTION, before_sending);
	bad |= set(x->easy, CURLOPT_PREREQDATA, x);
	bad |= set(x->easy, CURLOPT_WRITEFUNCTION, take_bytes);
	bad |= set(x->easy, CURLOPT_WRITEDATA, x);
	bad |= set(x->easy, CURLOPT_ERRORBUFFER, x->why);
	return !bad && (!tls || set_tls(x, tls));
}

static bool add_header(struct http_exchange *x, const char *line)
{
	struct curl_slist *longer = x->lib->slist_append(x->headers, line);

	if (longer)
		x->headers = longer;
	return longer;
}

static bool set_body(struct http_exchange *x, const struct http_request *req)
{
	CURLcode (*set)(CURL *, CURLoption, ...) = x->lib->easy_setopt;

	/* Without "Expect: 100-continue", which costs a round trip. */
	return set(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->len) == CURLE_OK &&
	       set(x->easy, CURLOPT_COPYPOSTFIELDS, req->body) == CURLE_OK &&
	       add_header(x, "Content-Type: application/json") && add_header(x, "Expect:");
}

int http_exchange_prepare(struct http_exchange *x, const struct http_request *req)
{
	CURLcode (*set)(CURL *, CURLoption, ...) = x->lib->easy_setopt;
	int bad = 0;

	x->lib->easy_reset(x->easy);
	x->lib->slist_free_all(x->headers);
	x->headers = NULL;
	strbuf_free(&x->body);
	x->max = req->max;
	x->too_much = false;
	x->sent = 0;
	x->why[0] = '\0';
	str_copy(x->keep, sizeof(x->keep), req->keep ? req->keep : "");
	if (!set_common(x) || (req->body && !set_body(x, req)) ||
	    (req->header && !add_header(x, req->header)))
		return -ENOMEM;
	bad |= set(x->easy, CURLOPT_CUSTOMREQUEST, req->method);
	bad |= set(x->easy, CURLOPT_URL, req->url);
	bad |= set(x->easy, CURLOPT_UNIX_SOCKET_PATH, req->socket);
	bad |= set(x->easy, CURLOPT_FRESH_CONNECT, (long)req->once);
	bad |= set(x->easy, CURLOPT_FORBID_REUSE, (long)req->once);
	bad |= set(x->easy, CURLOPT_HTTPHEADER, x->headers);
	bad |= set(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_ms);
	bad |= set(x->easy, CURLOPT_TIMEOUT_MS, (long)req->ms);
	return bad ? -ENOMEM : 0;
}

int http_exchange_init(struct http_exchange *x, const struct curl_lib *lib,
		       const struct http_tls *tls)
{
	*x = (struct http_exchange){ .lib = lib, .tls = tls, .easy = lib->easy_init() };
	return x->easy ? 0 : -ENOMEM;
}

void http_exchange_free(struct http_exchange *x)
{
	if (x->easy)
		x->lib->easy_cleanup(x->easy);
	if (x->headers)
		x->lib->slist_free_all(x->headers);
	strbuf_free(&x->body);
}

/* ---------------------------------------------------------------------------- the answer */

static void copy_kept(struct http_exchange *x, char ret[static HTTP_KEPT_MAX])
{
	struct curl_header *h;

	ret[0] = '\0';
	if (x->keep[0] &&
	    x->lib->easy_header(x->easy, x->keep, 0, CURLH_HEADER, -1, &h) == CURLHE_OK)
		str_copy(ret, HTTP_KEPT_MAX, h->value);
}

static int take_answer(struct http_exchange *x, struct http_answer *ret, struct cnm_error *err)
{
	size_t len = x->body.len;
	char *body = strbuf_take(&x->body);

	if (!body)
		return cnm_error_errno(err, ENOMEM, "keep the answer of the server");
	*ret = (struct http_answer){ .status = status_of(x), .body = body, .len = len };
	copy_kept(x, ret->kept);
	return 0;
}

static const char *reason(const struct http_exchange *x, CURLcode code)
{
	long os = 0;

	if (x->sent > 1)
		return "it closed the connection";
	if (code == CURLE_COULDNT_CONNECT)
		x->lib->easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os);
	if (os)
		return strerrordesc_np((int)os);
	return x->why[0] ? x->why : x->lib->easy_strerror(code);
}

int http_exchange_result(struct http_exchange *x, CURLcode code, struct http_answer *ret,
			 struct cnm_error *err)
{
	if (code == CURLE_OK)
		return take_answer(x, ret, err);
	if (code == CURLE_OUT_OF_MEMORY || x->body.failed)
		return cnm_error_errno(err, ENOMEM, "keep the answer of the server");
	if (x->too_much)
		cnm_error_set(err, CNM_E_UNAVAILABLE,
			      "its answer has more than %zu bytes, which is the most taken",
			      x->max);
	else
		cnm_error_set(err, CNM_E_UNAVAILABLE, "%s", reason(x, code));
	return x->sent ? HTTP_NO_ANSWER : HTTP_NOT_SENT;
}
