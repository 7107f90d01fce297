/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading libcurl. Once loaded it stays: other threads may be inside. */
#include "http/curl_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define LIBRARY "libcurl.so.4"

static struct curl_lib lib;
static bool usable;
static char why[256];

static const struct {
	const char *name;
	size_t offset;
} symbols[] = {
	{ "curl_global_init", offsetof(struct curl_lib, global_init) },
	{ "curl_easy_init", offsetof(struct curl_lib, easy_init) },
	{ "curl_easy_cleanup", offsetof(struct curl_lib, easy_cleanup) },
	{ "curl_easy_reset", offsetof(struct curl_lib, easy_reset) },
	{ "curl_easy_setopt", offsetof(struct curl_lib, easy_setopt) },
	{ "curl_easy_getinfo", offsetof(struct curl_lib, easy_getinfo) },
	{ "curl_easy_header", offsetof(struct curl_lib, easy_header) },
	{ "curl_easy_strerror", offsetof(struct curl_lib, easy_strerror) },
	{ "curl_slist_append", offsetof(struct curl_lib, slist_append) },
	{ "curl_slist_free_all", offsetof(struct curl_lib, slist_free_all) },
	{ "curl_multi_init", offsetof(struct curl_lib, multi_init) },
	{ "curl_multi_cleanup", offsetof(struct curl_lib, multi_cleanup) },
	{ "curl_multi_add_handle", offsetof(struct curl_lib, multi_add_handle) },
	{ "curl_multi_remove_handle", offsetof(struct curl_lib, multi_remove_handle) },
	{ "curl_multi_perform", offsetof(struct curl_lib, multi_perform) },
	{ "curl_multi_poll", offsetof(struct curl_lib, multi_poll) },
	{ "curl_multi_info_read", offsetof(struct curl_lib, multi_info_read) },
};

static void load(void)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const char *failed = handle ? NULL : dlerror();

	for (size_t i = 0; !failed && i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *f = dlsym(handle, symbols[i].name);

		if (!f)
			failed = dlerror();
		else
			*(void **)((char *)&lib + symbols[i].offset) = f;
	}
	if (!failed && lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		failed = "it does not start";
	usable = !failed;
	str_copy(why, sizeof(why), failed ? failed : "");
}

const struct curl_lib *curl_lib(struct cnm_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	if (usable)
		return &lib;
	cnm_error_set(err, CNM_E_UNAVAILABLE,
		      "HTTP needs " LIBRARY ", version 7.83 or later, which cannot be used (%s): "
		      "install the package libcurl4",
		      why);
	return NULL;
}
