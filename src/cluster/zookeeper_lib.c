/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ZooKeeper's client library, and what it says.
 *
 * Why a server could not be reached, the library tells nobody but its log, by its address and
 * without the handle. So the last such words for an address are remembered here, for whoever has
 * to explain; nothing is decided by them.
 */
#include "cluster/zookeeper_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"

#define LIBRARY "libzookeeper_mt.so.2"
#define PACKAGE "libzookeeper-mt2"
#define SAID    16 /* addresses that are remembered */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct zk_lib lib;
static char problem[256];

static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char address[64], text[64];
} said[SAID];
static unsigned said_next;

static void *find(void *handle, const char *name)
{
	void *p = dlsym(handle, name);

	if (!p && problem[0] == '\0')
		snprintf(problem, sizeof(problem), LIBRARY " has no %s", name);
	return p;
}

static void load(void)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const int *constant;

	if (!handle) {
		const char *why = dlerror();

		snprintf(problem, sizeof(problem), "%s", why ? why : "cannot load " LIBRARY);
		return;
	}
#define X(name) lib.name = (__typeof__(lib.name))find(handle, #name);
	ZK_FUNCTIONS(X)
#undef X
#define X(name)                         \
	constant = find(handle, #name); \
	lib.name = constant ? *constant : 0;
	ZK_CONSTANTS(X)
#undef X
	lib.open_acl = find(handle, "ZOO_OPEN_ACL_UNSAFE");
	if (problem[0] != '\0')
		return;
	lib.zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
	/* In the order that is given: it is this side that chooses. */
	lib.zoo_deterministic_conn_order(1);
}

const struct zk_lib *zk_lib_load(struct cnm_error *err)
{
	pthread_once(&once, load);
	if (problem[0] == '\0')
		return &lib;
	cnm_error_set(err, CNM_E_UNAVAILABLE,
		      "a store of the kind ZooKeeper needs its client library: %s; install it "
		      "(Debian: apt install " PACKAGE ")",
		      problem);
	return NULL;
}

/* ---- what it says */

static int said_find(const char *address)
{
	for (int i = 0; i < SAID; i++)
		if (streq(said[i].address, address))
			return i;
	return -1;
}

static void remember(const char *address, const char *text)
{
	LOCKED(&said_lock);
	int i = said_find(address);

	if (i < 0)
		i = (int)(said_next++ % SAID);
	str_copy(said[i].address, sizeof(said[i].address), address);
	str_copy(said[i].text, sizeof(said[i].text), text);
}

void zk_lib_forget(const char *address)
{
	LOCKED(&said_lock);
	int i = said_find(address);

	if (i >= 0)
		said[i].address[0] = '\0';
}

const char *zk_lib_said(const char *address, char *buf, size_t size)
{
	LOCKED(&said_lock);
	int i = said_find(address);

	if (i < 0)
		return NULL;
	str_copy(buf, size, said[i].text);
	return buf;
}

/* "TIME:PID(THREAD):LEVEL@FUNCTION@LINE: Socket ADDRESS zk retcode=N, errno=N(TEXT): WHAT" */
void zk_lib_log(const char *message)
{
	const char *at = strchr(message, '@'), *text = at ? strstr(at, ": ") : NULL;
	char address[64], reason[64];

	text = text ? text + 2 : message;
	if (sscanf(text, "Socket %63s zk retcode=%*d, errno=%*d(%63[^)])", address, reason) == 2)
		remember(address, reason);
	log_debug("zookeeper: %s", text);
}
