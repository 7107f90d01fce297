/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libcurl, loaded when it is first needed: who asks no HTTP server does not carry it. */
#ifndef HTTP_CURL_LIB_H
#define HTTP_CURL_LIB_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "cnm/error.h"

/* Its functions that we call, by their names without "curl_". */
struct curl_lib {
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_cleanup) easy_cleanup;
	__typeof__(&curl_easy_reset) easy_reset;
	CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
	CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
	__typeof__(&curl_easy_header) easy_header;
	__typeof__(&curl_easy_strerror) easy_strerror;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
	__typeof__(&curl_multi_init) multi_init;
	__typeof__(&curl_multi_cleanup) multi_cleanup;
	__typeof__(&curl_multi_add_handle) multi_add_handle;
	__typeof__(&curl_multi_remove_handle) multi_remove_handle;
	__typeof__(&curl_multi_perform) multi_perform;
	__typeof__(&curl_multi_poll) multi_poll;
	__typeof__(&curl_multi_info_read) multi_info_read;
};

/* The library, loaded by the first call; NULL with err: it is not installed. Any thread. */
const struct curl_lib *curl_lib(struct cnm_error *err);

#endif
