/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drivers/options.h"

#include <ctype.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/str.h"

static const struct option_spec *find(const struct option_spec *specs, const char *key)
{
	for (; specs->key; specs++)
		if (streq(specs->key, key))
			return specs;
	return NULL;
}

int options_parse(const json_t *options, const struct option_spec *specs, const char *what,
		  void *priv, struct cnm_error *err)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)options, key, v) {
		const struct option_spec *s = find(specs, key);
		const char *why;

		if (!s)
			return cnm_error_set(err, CNM_E_INVALID,
					     "option %s is not supported for %s %s", key,
					     strchr("aeiou", *what) ? "an" : "a", what);
		why = s->parse(json_string_value(v), (char *)priv + s->offset);
		if (why)
			return cnm_error_set(err, CNM_E_INVALID,
					     "failed to parse %s value: %s (%s)", key,
					     json_string_value(v), why);
	}
	return 0;
}

const char *option_bool(const char *value, void *field)
{
	return str_to_bool(value, field) < 0 ? "it must be true or false" : NULL;
}

const char *option_mtu(const char *value, void *field)
{
	long mtu;

	if (str_to_long(value, 0, 65535, &mtu) < 0 || (mtu > 0 && mtu < 68))
		return "it must be 0 or a number from 68 to 65535";
	*(unsigned *)field = (unsigned)mtu;
	return NULL;
}

const char *option_ifname(const char *value, void *field)
{
	size_t n = strlen(value);

	if (n == 0 || n >= IFNAMSIZ)
		return "it must have 1 to 15 characters";
	if (streq(value, ".") || streq(value, ".."))
		return "it is no interface name";
	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)value[i]) || strchr("/:\"\\", value[i]))
			return "it may not contain a space, a quote, ':', '/' or '\\'";
	str_copy(field, IFNAMSIZ, value);
	return NULL;
}

static const char *parse_ip(const char *value, struct cnm_ip *ip, int family, const char *why)
{
	struct cnm_ip v;

	if (ip_parse(&v, value) < 0 || v.family != family)
		return why;
	*ip = v;
	return NULL;
}

const char *option_ip4(const char *value, void *field)
{
	return parse_ip(value, field, AF_INET, "it must be an IPv4 address");
}

const char *option_ip6(const char *value, void *field)
{
	return parse_ip(value, field, AF_INET6, "it must be an IPv6 address");
}

const char *option_tristate(const char *value, void *field)
{
	struct option_tristate *t = field;

	t->set = true;
	return option_bool(value, &t->value);
}
