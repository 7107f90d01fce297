/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/naming.h"

#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/domain.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"

void naming_free(struct naming *n)
{
	strv_free(&n->dns);
	strv_free(&n->dns_search);
	strv_free(&n->dns_options);
	strv_free(&n->extra_hosts);
}

/* In the words of the stock client: what is wrong, and with what, between before and after. */
static int refuse(struct cnm_error *err, const char *flag, const char *value, const char *before,
		  const char *what, const char *after)
{
	return cnm_error_set(err, CNM_E_INVALID,
			     "invalid argument \"%s\" for \"--%s\" flag: %s%s%s", value, flag,
			     before, what, after);
}

static bool is_ip(const char *text, size_t n)
{
	char s[IP_STR];
	struct cnm_ip ip;

	snprintf(s, sizeof(s), "%.*s", (int)n, text);
	return n < sizeof(s) && ip_parse(&ip, s) == 0;
}

/* A link-local one may say by which interface. */
static bool is_server(const char *s)
{
	return is_ip(s, strcspn(s, "%"));
}

/* "." alone is for none. */
static bool is_search(const char *s)
{
	size_t n;

	s += strspn(s, " ");
	n = strlen(s);
	while (n && s[n - 1] == ' ')
		n--;
	return is_domain(s, n) || (n == 1 && *s == '.');
}

static bool is_any(const char *s)
{
	return true;
}

/* "host=ip", "host:ip", an IPv6 address also in brackets. The API knows "host:ip" alone. */
static int put_extra_host(const char *text, json_t *hosts, struct cnm_error *err)
{
	size_t name = strcspn(text, "="), n;
	const char *address;

	if (!text[name])
		name = strcspn(text, ":");
	if (!text[name] || !name || memchr(text, ':', name))
		return refuse(err, "add-host", text, "bad format for add-host: \"", text, "\"");
	address = text + name + 1;
	n = strlen(address);
	if (n > 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	if (!is_ip(address, n) && !streq(address, "host-gateway"))
		return refuse(err, "add-host", text, "invalid IP address in add-host: \"", address,
			      "\"");
	if (json_push(hosts, json_sprintf("%.*s:%.*s", (int)name, text, (int)n, address)) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "--add-host: it is not valid UTF-8, or memory ran out");
	return 0;
}

static int put_extra_hosts(const struct strv *l, json_t *obj, struct cnm_error *err)
{
	json_t *hosts = json_array();
	int r = 0;

	if (json_put(obj, "ExtraHosts", hosts) < 0)
		return api_oom(err);
	for (size_t i = 0; i < l->n && r == 0; i++)
		r = put_extra_host(l->v[i], hosts, err);
	return r;
}

int naming_put(const struct naming *n, json_t *obj, struct cnm_error *err)
{
	const struct {
		const char *member, *flag;
		const struct strv *texts;
		bool (*is_valid)(const char *s);
		const char *before, *after; /* of a value that is not */
	} lists[] = {
		{ "Dns", "dns", &n->dns, is_server, "IP address is not correctly formatted: ", "" },
		{ "DnsSearch", "dns-search", &n->dns_search, is_search, "",
		  " is not a valid domain" },
		{ "DnsOptions", "dns-option", &n->dns_options, is_any, "", "" },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const struct strv *texts = lists[i].texts;

		for (size_t k = 0; k < texts->n; k++)
			if (!lists[i].is_valid(texts->v[k]))
				return refuse(err, lists[i].flag, texts->v[k], lists[i].before,
					      texts->v[k], lists[i].after);
		if (texts->n && json_put(obj, lists[i].member, strv_json(texts)) < 0)
			return cnm_error_set(err, CNM_E_INVALID,
					     "--%s: a value is not valid UTF-8, or memory ran out",
					     lists[i].flag);
	}
	return n->extra_hosts.n ? put_extra_hosts(&n->extra_hosts, obj, err) : 0;
}
