/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon was told of its cluster. */
#include "controller/cluster_options.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cluster/kv.h"

#define DEFAULT_HEARTBEAT 5 /* seconds; Docker's 20 leave names of the dead for a minute */
#define DEFAULT_GRACE     600
#define DEFAULT_LINGER    3
#define MAX_SECONDS       (30 * 86400)

/* ---- where the others reach this host */

/* "HOST:PORT", "[HOST]:PORT" or without a port: Docker wants one, and nothing listens there. */
static void without_port(const char *text, char *ret, size_t size)
{
	const char *colon = strrchr(text, ':');
	bool bracket = *text == '[';
	size_t n = bracket                               ? strcspn(text + 1, "]")
		   : colon && strchr(text, ':') == colon ? (size_t)(colon - text)
							 : strlen(text);

	str_copy(ret, size, text + bracket);
	if (n < size)
		ret[n] = '\0';
}

static bool usable(const struct ifaddrs *a, struct cnm_ip *ret)
{
	*ret = (struct cnm_ip){ .family = (uint8_t)(a->ifa_addr ? a->ifa_addr->sa_family : 0) };
	if (ret->family == AF_INET)
		memcpy(ret->b, &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr,
		       4);
	else if (ret->family == AF_INET6)
		memcpy(ret->b, &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr,
		       16);
	else
		return false;
	return !ip_is_linklocal(ret);
}

static void free_addresses(struct ifaddrs **a)
{
	freeifaddrs(*a);
}

/* One of the host's: that address itself, or the first of that interface, IPv4 before IPv6. */
static int find_address(const char *host, struct cnm_ip *ret, struct cnm_error *err)
{
	_cleanup_(free_addresses) struct ifaddrs *all = NULL;
	struct cnm_ip asked = { 0 }, ip;

	if (getifaddrs(&all) < 0)
		return cnm_error_errno(err, errno, "list the host's addresses");
	ip_parse(&asked, host);
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		if (!usable(a, &ip) ||
		    !(ip_is_set(&asked) ? ip_eq(&asked, &ip) : streq(a->ifa_name, host)))
			continue;
		if (!ip_is_set(ret) || (ret->family == AF_INET6 && ip.family == AF_INET))
			*ret = ip;
	}
	if (ip_is_set(ret))
		return 0;
	return cnm_error_set(err, CNM_E_INVALID,
			     "--cluster-advertise %s: this host has no such address or interface "
			     "with one: give a local address, or an interface, by which the other "
			     "hosts reach it",
			     host);
}

static int read_address(struct cluster_options *ret, const char *text, struct cnm_error *err)
{
	char host[64];

	if (!text || !text[0])
		return cnm_error_set(
			err, CNM_E_INVALID,
			"Multi-Host overlay networking requires cluster-advertise() to "
			"be configured with a local ip-address that is reachable "
			"within the cluster: give --cluster-advertise");
	without_port(text, host, sizeof(host));
	return find_address(host, &ret->address, err);
}

/* ---- options of the store */

static int set_text(char **slot, const char *value)
{
	free(*slot);
	*slot = strdup(value);
	return *slot ? 0 : -ENOMEM;
}

static int set_seconds(unsigned *slot, const char *key, const char *value, struct cnm_error *err)
{
	long n;

	if (str_to_long(value, 1, MAX_SECONDS, &n) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "--cluster-store-opt %s=%s: it is a number of seconds, at "
				     "least 1",
				     key, value);
	*slot = (unsigned)n;
	return 0;
}

static int set_option(struct cluster_options *o, unsigned *heartbeat, const char *text,
		      struct cnm_error *err)
{
	struct {
		const char *key;
		char **text;
		unsigned *seconds;
	} known[] = { { "kv.cacertfile", &o->cacertfile, NULL },
		      { "kv.certfile", &o->certfile, NULL },
		      { "kv.keyfile", &o->keyfile, NULL },
		      { "discovery.heartbeat", NULL, heartbeat },
		      { "discovery.ttl", NULL, &o->ttl_s },
		      { "cnm.grace", NULL, &o->grace_s },
		      { "cnm.linger", NULL, &o->linger_s } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *rest = str_after(text, known[i].key);

		if (!rest || *rest != '=')
			continue;
		if (known[i].seconds)
			return set_seconds(known[i].seconds, known[i].key, rest + 1, err);
		if (set_text(known[i].text, rest + 1) < 0)
			return cnm_error_errno(err, ENOMEM, "cluster options");
		return 0;
	}
	return cnm_error_set(err, CNM_E_INVALID,
			     "--cluster-store-opt %s: it is KEY=VALUE with the key kv.cacertfile, "
			     "kv.certfile, kv.keyfile, discovery.heartbeat, discovery.ttl, "
			     "cnm.grace or cnm.linger",
			     text);
}

static int read_options(struct cluster_options *ret, const struct cnm_options *o,
			struct cnm_error *err)
{
	unsigned heartbeat = DEFAULT_HEARTBEAT;
	int r = 0;

	ret->grace_s = DEFAULT_GRACE;
	ret->linger_s = DEFAULT_LINGER;
	for (size_t i = 0; i < o->n_cluster_store_opts && r == 0; i++)
		r = set_option(ret, &heartbeat, o->cluster_store_opts[i], err);
	if (r < 0)
		return r;
	if (!ret->ttl_s)
		ret->ttl_s = 3 * heartbeat;
	if (ret->ttl_s <= heartbeat && heartbeat != DEFAULT_HEARTBEAT)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"discovery.ttl (%u) must be more than discovery.heartbeat (%u)", ret->ttl_s,
			heartbeat);
	if (!ret->cacertfile != !ret->certfile || !ret->certfile != !ret->keyfile)
		return cnm_error_set(err, CNM_E_INVALID,
				     "TLS to the store takes all three of kv.cacertfile, "
				     "kv.certfile and kv.keyfile");
	return 0;
}

int cluster_options_read(struct cluster_options *ret, const struct cnm_options *o,
			 struct cnm_error *err)
{
	bool advertise = o->cluster_advertise && o->cluster_advertise[0];
	int r;

	memset(ret, 0, sizeof(*ret));
	if (!o->cluster_store || !o->cluster_store[0])
		return advertise || o->n_cluster_store_opts
			       ? cnm_error_set(err, CNM_E_INVALID,
					       "invalid cluster configuration. "
					       "--cluster-advertise must be accompanied by "
					       "--cluster-store configuration")
			       : 0;
	r = kv_url_check(o->cluster_store, err);
	if (r == 0)
		r = read_options(ret, o, err);
	if (r == 0)
		r = read_address(ret, o->cluster_advertise, err);
	if (r == 0 && !(ret->url = strdup(o->cluster_store)))
		r = cnm_error_errno(err, ENOMEM, "cluster options");
	if (r < 0)
		cluster_options_free(ret);
	return r;
}

void cluster_options_free(struct cluster_options *o)
{
	free(o->url);
	free(o->cacertfile);
	free(o->certfile);
	free(o->keyfile);
	memset(o, 0, sizeof(*o));
}
