/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* URLs of stores, and what keys may be made of. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cluster/kv_internal.h"

#define FORM        "SCHEME://HOST:PORT[,HOST:PORT...][/PREFIX]"
#define SERVERS_MAX 32
#define HOST_MAX    253
#define LETTERS     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define NAME_CHARS  LETTERS "0123456789.-_"

/* ---------------------------------------------------------------------------------- keys */

/* "." and ".." have a meaning of their own in paths, which the keys are in two of the stores. */
static bool segment_is_good(const char *s, size_t n)
{
	return n > 0 && strspn(s, NAME_CHARS) >= n && !(s[0] == '.' && n == 1) &&
	       !(s[0] == '.' && s[1] == '.' && n == 2);
}

bool kv_key_is_good(const char *key)
{
	if (!key || strlen(key) > KV_KEY_MAX)
		return false;
	for (;;) {
		size_t n = strcspn(key, "/");

		if (!segment_is_good(key, n))
			return false;
		if (!key[n])
			return true;
		key += n + 1;
	}
}

char *kv_full_key(const struct kv *kv, const char *key)
{
	struct strbuf b = { .s = NULL };

	if (kv->prefix[0])
		strbuf_addf(&b, "%s/", kv->prefix);
	strbuf_add(&b, key);
	return strbuf_take(&b);
}

const char *kv_own_key(const struct kv *kv, const char *full)
{
	const char *key = full;

	if (kv->prefix[0]) {
		key = str_after(full, kv->prefix);
		if (!key || *key++ != '/')
			return NULL;
	}
	return kv_key_is_good(key) ? key : NULL;
}

/* --------------------------------------------------------------------------------- parts */

static int bad_server(struct cnm_error *err, const char *name, const char *why)
{
	return cnm_error_set(err, CNM_E_INVALID, "\"%s\" is no HOST:PORT: %s", name, why);
}

static bool host_is_good(const char *host, bool bracketed)
{
	struct in6_addr addr;
	size_t n = strlen(host);

	if (bracketed)
		return inet_pton(AF_INET6, host, &addr) == 1;
	return n > 0 && n <= HOST_MAX && strspn(host, NAME_CHARS) == n;
}

/* "HOST:PORT" or "[V6]:PORT". ret is empty. */
static int parse_server(const char *name, struct kv_server *ret, struct cnm_error *err)
{
	const char *colon = strrchr(name, ':');
	size_t host_len = colon ? (size_t)(colon - name) : 0;
	bool bracketed = host_len > 2 && name[0] == '[' && name[host_len - 1] == ']';
	long port;

	if (!colon || (name[0] == '[' && !bracketed))
		return bad_server(err, name, "the port is missing");
	if (str_to_long(colon + 1, 1, 65535, &port) < 0)
		return bad_server(err, name, "the port must be a number from 1 to 65535");
	ret->name = strdup(name);
	ret->host = strndup(name + bracketed, host_len - 2 * bracketed);
	ret->port = (unsigned)port;
	if (!ret->name || !ret->host)
		return cnm_error_errno(err, ENOMEM, "parse \"%s\"", name);
	if (!host_is_good(ret->host, bracketed))
		return bad_server(err, name,
				  "the host must be a name, an IPv4 address, or an IPv6 "
				  "address in brackets");
	return 0;
}

static int parse_servers(char *list, struct kv *kv, struct cnm_error *err)
{
	char *name;

	kv->servers = calloc(SERVERS_MAX, sizeof(*kv->servers));
	if (!kv->servers)
		return cnm_error_errno(err, ENOMEM, "parse \"%s\"", list);
	while ((name = strsep(&list, ","))) {
		int r;

		if (kv->n_servers == SERVERS_MAX)
			return cnm_error_set(err, CNM_E_INVALID, "it names more than %d servers",
					     SERVERS_MAX);
		r = parse_server(name, &kv->servers[kv->n_servers++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What comes after the '/' behind the servers. A '/' at its end is dropped. */
static int parse_prefix(const char *text, struct kv *kv, struct cnm_error *err)
{
	size_t n = strlen(text);

	kv->prefix = strndup(text, n > 1 && text[n - 1] == '/' ? n - 1 : n);
	if (!kv->prefix)
		return cnm_error_errno(err, ENOMEM, "parse \"%s\"", text);
	if (kv->prefix[0] && !kv_key_is_good(kv->prefix))
		return cnm_error_set(err, CNM_E_INVALID,
				     "the prefix \"%s\" must be made of letters, digits, '.', '_' "
				     "and '-', with single '/' between, at most %d",
				     kv->prefix, KV_KEY_MAX);
	return 0;
}

/* ----------------------------------------------------------------------------------- URL */

static const struct kv_backend *backend_of(const char *scheme)
{
	static const struct kv_backend *const all[] = { &kv_etcd, &kv_consul, &kv_zookeeper };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t j = 0; all[i]->schemes[j]; j++)
			if (streq(all[i]->schemes[j], scheme))
				return all[i];
	return NULL;
}

static int parse_parts(const char *url, struct kv *kv, struct cnm_error *err)
{
	_free_ char *scheme = strdup(url);
	char *rest, *prefix;
	int r;

	if (!scheme)
		return cnm_error_errno(err, ENOMEM, "parse it");
	rest = strstr(scheme, "://");
	if (!rest)
		return cnm_error_set(err, CNM_E_INVALID, "it must be " FORM);
	*rest = '\0';
	rest += strlen("://");
	kv->backend = backend_of(scheme);
	if (!kv->backend)
		return cnm_error_set(err, CNM_E_INVALID,
				     "the scheme must be etcd, consul, zk or zookeeper");
	prefix = strchr(rest, '/');
	if (prefix)
		*prefix++ = '\0';
	r = parse_servers(rest, kv, err);
	return r < 0 ? r : parse_prefix(prefix ? prefix : "", kv, err);
}

int kv_url_parse(const char *url, struct kv *kv, struct cnm_error *err)
{
	int r = url ? parse_parts(url, kv, err)
		    : cnm_error_set(err, CNM_E_INVALID, "there is none");

	if (r < 0)
		cnm_error_prefix(err, "the URL of the store, \"%s\"", url ? url : "");
	return r;
}

void kv_url_free(struct kv *kv)
{
	for (size_t i = 0; i < kv->n_servers; i++) {
		free(kv->servers[i].host);
		free(kv->servers[i].name);
	}
	free(kv->servers);
	free(kv->prefix);
}

int kv_url_check(const char *url, struct cnm_error *err)
{
	struct kv kv = { .n_servers = 0 };
	int r = kv_url_parse(url, &kv, err);

	kv_url_free(&kv);
	return r;
}
