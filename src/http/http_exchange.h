/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request and its answer on a handle of libcurl's: what client and loop have in common. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "base/str.h"
#include "http/curl_lib.h"
#include "http/http_client.h"

struct http_exchange {
	const struct curl_lib *lib;
	const struct http_tls *tls;
	CURL *easy;
	struct curl_slist *headers;
	struct strbuf body;
	size_t max;
	bool too_much; /* the body of the answer has more than max */
	unsigned sent; /* how often a request was about to be sent */
	char keep[HTTP_KEPT_MAX];
	char why[CURL_ERROR_SIZE];
	int (*data)(void *arg, const char *bytes, size_t n); /* NULL: collect */
	void *arg;
};

int http_exchange_init(struct http_exchange *x, const struct curl_lib *lib,
		       const struct http_tls *tls);
void http_exchange_free(struct http_exchange *x);
/* Ready for another request on the same handle; its connections stay. -ENOMEM. */
int http_exchange_prepare(struct http_exchange *x, const struct http_request *req);
/* What came of it, by libcurl's code: as http_client_do() has it. */
int http_exchange_result(struct http_exchange *x, CURLcode code, struct http_answer *ret,
			 struct cnm_error *err);

#endif
