/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "controller/sandbox_names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/domain.h"
#include "base/json.h"
#include "base/str.h"
#include "resolver/resolv_conf.h"

#define MAX_HOSTNAME 64 /* the kernel's */
#define MAX_OPTION   255
#define BLANKS       " \t"

/* ---- entries */

/* It goes into a file as one word. */
static bool is_word(const char *s, size_t max)
{
	return *s && strlen(s) <= max && !s[strcspn(s, BLANKS)] && str_is_printable(s);
}

static int dns_entry(const char *text, char ret[static NAMES_TEXT], struct cnm_error *err)
{
	struct resolv_server s;
	bool scoped = strchr(text, '%');
	char ip[IP_STR];
	int r = is_word(text, NAMES_TEXT - 1)
			? resolv_server_parse(&s, (struct text){ text, strlen(text) })
			: -EINVAL;

	if (r < 0 ||
	    (scoped && (!s.scope[0] || s.ip.family != AF_INET6 || !ip_is_linklocal(&s.ip))))
		return cnm_error_set(err, CNM_E_INVALID,
				     "bad nameserver address %s: give an IP address; only a "
				     "link-local one may name an interface (fe80::1%%eth0)",
				     text);
	snprintf(ret, NAMES_TEXT, "%s%s%s", ip_format(&s.ip, ip), scoped ? "%" : "", s.scope);
	return 0;
}

static int search_entry(const char *text, char ret[static NAMES_TEXT], struct cnm_error *err)
{
	const char *first = text + strspn(text, " ");
	size_t n = strlen(first);

	while (n && first[n - 1] == ' ')
		n--;
	if (n == 1 && *first == '.') {
		str_copy(ret, NAMES_TEXT, ".");
		return 0;
	}
	if (!is_domain(first, n))
		return cnm_error_set(err, CNM_E_INVALID, "%s is not a valid domain", text);
	if (first[n - 1] == '.')
		n--;
	snprintf(ret, NAMES_TEXT, "%.*s", (int)n, first);
	return 0;
}

static int option_entry(const char *text, char ret[static NAMES_TEXT], struct cnm_error *err)
{
	if (is_word(text, MAX_OPTION)) {
		str_copy(ret, NAMES_TEXT, text);
		return 0;
	}
	return cnm_error_set(err, CNM_E_INVALID,
			     "invalid DNS option \"%s\": give one word, as resolv.conf(5) has them "
			     "(ndots:2)",
			     text);
}

/* The address as it was given, but for its brackets. */
static int host_address(const char *text, char ret[static IP_STR])
{
	size_t n = strlen(text);
	struct cnm_ip ip;

	if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n >= IP_STR)
		return -EINVAL;
	memcpy(ret, text, n);
	ret[n] = '\0';
	return streq(ret, HOST_GATEWAY) ? 0 : ip_parse(&ip, ret);
}

static int host_entry(const char *text, char ret[static NAMES_TEXT], struct cnm_error *err)
{
	size_t n = strcspn(text, ":");
	char name[DOMAIN_MAX + 1], address[IP_STR];

	if (n < sizeof(name) && text[n])
		snprintf(name, sizeof(name), "%.*s", (int)n, text);
	else
		name[0] = '\0';
	if (!is_word(name, DOMAIN_MAX) || strchr(name, '#'))
		return cnm_error_set(err, CNM_E_INVALID, "bad format for add-host: \"%s\"", text);
	if (host_address(text + n + 1, address) < 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid IP address in add-host: \"%s\"",
				     text + n + 1);
	snprintf(ret, NAMES_TEXT, "%s:%s", name, address);
	return 0;
}

int names_entry(enum names_list kind, const char *text, char ret[static NAMES_TEXT],
		struct cnm_error *err)
{
	switch (kind) {
	case NAMES_DNS:
		return dns_entry(text, ret, err);
	case NAMES_SEARCH:
		return search_entry(text, ret, err);
	case NAMES_OPTIONS:
		return option_entry(text, ret, err);
	case NAMES_HOSTS:
		return host_entry(text, ret, err);
	}
	return -EINVAL;
}

int names_list(enum names_list kind, const char *const *texts, size_t n, json_t **ret,
	       struct cnm_error *err)
{
	static const char *const members[] = { "Dns", "DnsSearch", "DnsOptions", "ExtraHosts" };
	_json_ json_t *list = NULL;
	char entry[NAMES_TEXT];
	int r = 0;

	if (n > NAMES_MAX)
		return cnm_error_set(err, CNM_E_INVALID, "%s has %zu entries: at most %d are taken",
				     members[kind], n, NAMES_MAX);
	if (n && !(list = json_array()))
		return cnm_error_errno(err, ENOMEM, "names");
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = names_entry(kind, texts[i] ? texts[i] : "", entry, err);
		if (r == 0 && json_push(list, json_string(entry)) < 0)
			r = cnm_error_errno(err, ENOMEM, "names");
	}
	if (r == 0)
		*ret = take_ptr(list);
	return r;
}

/* ---- a sandbox */

static int check_name(const char *what, const char *name, size_t max, struct cnm_error *err)
{
	bool ok = strlen(name) <= max;

	for (const char *p = name; ok && *p; p++)
		ok = isalnum((unsigned char)*p) || strchr("_.-", *p);
	return ok ? 0
		  : cnm_error_set(err, CNM_E_INVALID,
				  "invalid %s %s: letters, digits, '-', '_' and '.', at most %zu "
				  "of them",
				  what, name, max);
}

/* Its own name where it has none. */
static int set_hostname(struct sandbox *sb, const struct cnm_sandbox_config *c,
			struct cnm_error *err)
{
	bool given = c->hostname && c->hostname[0], domain = c->domainname && c->domainname[0];
	int r = given ? check_name("hostname", c->hostname, MAX_HOSTNAME, err) : 0;

	if (r == 0 && domain)
		r = check_name("domainname", c->domainname, DOMAIN_MAX, err);
	if (r < 0)
		return r;
	sb->hostname =
		strndup(given ? c->hostname : c->name, given ? MAX_HOSTNAME : DOMAIN_LABEL_MAX);
	sb->domainname = domain ? strdup(c->domainname) : NULL;
	if (!sb->hostname || (domain && !sb->domainname))
		return cnm_error_errno(err, ENOMEM, "names of sandbox %s", c->name);
	return 0;
}

int sandbox_set_names(struct sandbox *sb, const struct cnm_sandbox_config *c, struct cnm_error *err)
{
	int r = set_hostname(sb, c, err);

	if (r == 0)
		r = names_list(NAMES_DNS, c->dns, c->n_dns, &sb->dns, err);
	if (r == 0)
		r = names_list(NAMES_SEARCH, c->dns_search, c->n_dns_search, &sb->dns_search, err);
	if (r == 0)
		r = names_list(NAMES_OPTIONS, c->dns_options, c->n_dns_options, &sb->dns_options,
			       err);
	return r < 0 ? r
		     : names_list(NAMES_HOSTS, c->extra_hosts, c->n_extra_hosts, &sb->extra_hosts,
				  err);
}

/* ---- the engine */

static int set_gateway(struct cnm_engine *e, const char *text, struct cnm_error *err)
{
	struct cnm_ip ip, *slot;

	if (ip_parse(&ip, text ? text : "") < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "host gateway \"%s\": it must be an IP address", text);
	slot = &e->host_gateway[ip.family == AF_INET6];
	if (ip_is_set(slot))
		return cnm_error_set(err, CNM_E_INVALID,
				     "only one %s host gateway IP address can be specified",
				     ip.family == AF_INET6 ? "IPv6" : "IPv4");
	*slot = ip;
	return 0;
}

static int set_default(const char *option, enum names_list kind, const char *const *texts, size_t n,
		       json_t **ret, struct cnm_error *err)
{
	int r = names_list(kind, texts, n, ret, err);

	if (r < 0)
		cnm_error_prefix(err, "%s of sandboxes that bring none", option);
	return r;
}

int engine_set_names(struct cnm_engine *e, const struct cnm_options *o, struct cnm_error *err)
{
	int r = set_default("dns", NAMES_DNS, o->dns, o->n_dns, &e->dns, err);

	if (r == 0)
		r = set_default("dns-search", NAMES_SEARCH, o->dns_search, o->n_dns_search,
				&e->dns_search, err);
	if (r == 0)
		r = set_default("dns-opt", NAMES_OPTIONS, o->dns_options, o->n_dns_options,
				&e->dns_options, err);
	for (size_t i = 0; r == 0 && i < o->n_host_gateways; i++)
		r = set_gateway(e, o->host_gateways[i], err);
	return r;
}
