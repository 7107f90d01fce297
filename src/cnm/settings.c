/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/settings.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/addr.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"

void settings_free(struct settings *s)
{
	strv_free(&s->aliases);
	strv_free(&s->link_local);
	strv_free(&s->links);
	strv_free(&s->driver_opts);
}

/* obj[key] = the strings, unless there are none. */
static int put_list(json_t *obj, const char *key, const struct strv *l)
{
	return l->n ? json_put(obj, key, strv_json(l)) : 0;
}

static int put_string(json_t *obj, const char *key, const char *s)
{
	return s ? json_put(obj, key, json_string(s)) : 0;
}

static int put_addresses(json_t *obj, const struct settings *s)
{
	json_t *ipam;

	if (!s->ip && !s->ip6 && s->link_local.n == 0)
		return 0;
	ipam = json_object();
	if (json_put(obj, "IPAMConfig", ipam) < 0 || put_string(ipam, "IPv4Address", s->ip) < 0 ||
	    put_string(ipam, "IPv6Address", s->ip6) < 0)
		return -ENOMEM;
	return put_list(ipam, "LinkLocalIPs", &s->link_local);
}

static int put_driver_opts(json_t *obj, const struct strv *l, struct cnm_error *err)
{
	json_t *opts;

	if (l->n == 0)
		return 0;
	opts = json_object();
	if (json_put(obj, "DriverOpts", opts) < 0)
		return api_oom(err);
	for (size_t i = 0; i < l->n; i++) {
		const char *eq = strchr(l->v[i], '=');

		if (!eq || eq == l->v[i])
			return cnm_error_set(err, CNM_E_INVALID,
					     "driver option \"%s\": expected key=value", l->v[i]);
		if (json_object_setn_new(opts, l->v[i], (size_t)(eq - l->v[i]),
					 json_string(eq + 1)) < 0)
			return api_oom(err);
	}
	return 0;
}

json_t *settings_json(const struct settings *s, struct cnm_error *err)
{
	_json_ json_t *obj = json_object();
	struct cnm_mac mac;

	if (s->mac && mac_parse(&mac, s->mac) < 0) {
		cnm_error_set(err, CNM_E_INVALID, "%s is not a valid mac address", s->mac);
		return NULL;
	}
	if (!obj || put_addresses(obj, s) < 0 || put_list(obj, "Aliases", &s->aliases) < 0 ||
	    put_list(obj, "Links", &s->links) < 0 || put_string(obj, "MacAddress", s->mac) < 0 ||
	    (s->gw_priority && json_put(obj, "GwPriority", json_integer(s->gw_priority)) < 0)) {
		api_oom(err);
		return NULL;
	}
	if (put_driver_opts(obj, &s->driver_opts, err) < 0)
		return NULL;
	return take_ptr(obj);
}

json_t *settings_request(const struct settings *s, const char *key, const char *value,
			 struct cnm_error *err)
{
	json_t *config = settings_json(s, err), *body;

	if (!config)
		return NULL;
	body = json_pack("{s:s s:o}", key, value, "EndpointConfig", config);
	if (!body)
		cnm_error_set(err, CNM_E_INVALID, "\"%s\" is not valid UTF-8, or memory ran out",
			      value);
	return body;
}

/* ---- --net in its long form */

static int set_field(struct attachment *a, char *field, struct cnm_error *err)
{
	struct settings *s = &a->settings;
	char *value = strchr(field, '=');

	if (!value)
		return cnm_error_set(err, CNM_E_INVALID, "invalid field %s: expected key=value",
				     field);
	*value++ = '\0';
	for (char *c = field; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (streq(field, "name"))
		a->network = value;
	else if (streq(field, "ip"))
		s->ip = value;
	else if (streq(field, "ip6"))
		s->ip6 = value;
	else if (streq(field, "mac-address"))
		s->mac = value;
	else if (streq(field, "alias"))
		return strv_add(&s->aliases, value) < 0 ? api_oom(err) : 0;
	else if (streq(field, "link-local-ip"))
		return strv_add(&s->link_local, value) < 0 ? api_oom(err) : 0;
	else if (streq(field, "driver-opt"))
		return strv_add(&s->driver_opts, value) < 0 ? api_oom(err) : 0;
	else if (!streq(field, "gw-priority"))
		return cnm_error_set(err, CNM_E_INVALID, "invalid field key %s", field);
	else if (str_to_long(value, INT_MIN, INT_MAX, &s->gw_priority) < 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid gw-priority: %s is no number",
				     value);
	return 0;
}

static int parse_fields(struct attachment *a, const char *text, struct cnm_error *err)
{
	int r = strv_add_csv(&a->fields, text);

	if (r == -EINVAL)
		return cnm_error_set(err, CNM_E_INVALID,
				     "a quote is not closed, or text follows it");
	if (r < 0)
		return api_oom(err);
	if (!strchr(text, '=')) {
		a->network = a->fields.v[0];
		return a->fields.n == 1 ? 0
					: cnm_error_set(err, CNM_E_INVALID,
							"give --net once for each network");
	}
	for (size_t i = 0; r == 0 && i < a->fields.n; i++)
		r = set_field(a, a->fields.v[i], err);
	return r;
}

int attachment_parse(struct attachment *ret, const char *text, struct cnm_error *err)
{
	struct attachment a = { 0 };
	int r = parse_fields(&a, text, err);

	if (r == 0 && (!a.network || !*a.network))
		r = cnm_error_set(err, CNM_E_INVALID, "network name/id is not specified");
	if (r < 0) {
		attachment_free(&a);
		return cnm_error_prefix(err, "--net \"%s\"", text);
	}
	*ret = a;
	return 0;
}

void attachment_free(struct attachment *a)
{
	strv_free(&a->fields);
	settings_free(&a->settings);
}
