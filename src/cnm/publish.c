/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/publish.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"

struct range {
	long first, last;
};

/* One -p; the strings lie in its copy. */
struct spec {
	char *copy;
	const char *ip, *host, *proto; /* "": not given */
	struct range ports, hosts;
};

static int invalid(struct cnm_error *err, const char *what, const char *value)
{
	return cnm_error_set(err, CNM_E_INVALID, "%s: %s", what, value);
}

/* ---- parts */

/* text is cut up. */
static int parse_range(char *text, struct range *ret)
{
	char *dash = strchr(text, '-');
	struct range r;

	if (dash)
		*dash = '\0';
	if (str_to_long(text, 0, 65535, &r.first) < 0 ||
	    str_to_long(dash ? dash + 1 : text, r.first, 65535, &r.last) < 0)
		return -EINVAL;
	*ret = r;
	return 0;
}

static int check_range(const char *text, struct range *ret, const char *what, struct cnm_error *err)
{
	_free_ char *copy = strdup(text);

	if (!copy)
		return api_oom(err);
	return parse_range(copy, ret) < 0 ? invalid(err, what, text) : 0;
}

/* The part after the slash, in small letters; *text ends before it. */
static const char *cut_protocol(char *text)
{
	char *slash = strchr(text, '/');

	if (!slash)
		return "tcp";
	*slash++ = '\0';
	for (char *c = slash; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return *slash ? slash : "tcp";
}

static int check_protocol(const char *proto, struct cnm_error *err)
{
	if (streq(proto, "tcp") || streq(proto, "udp") || streq(proto, "sctp"))
		return 0;
	return invalid(err, "invalid proto", proto);
}

/* Without its brackets, in place. */
static int check_ip(const char **ip, char *text, struct cnm_error *err)
{
	struct cnm_ip ignored;
	size_t n = strlen(text);

	*ip = text;
	if (*text == '[') {
		if (text[n - 1] != ']')
			return cnm_error_set(
				err, CNM_E_INVALID,
				"invalid IP address %s: address %s:: missing ']' in address", text,
				text);
		text[n - 1] = '\0';
		*ip = text + 1;
	}
	if (*text && ip_parse(&ignored, *ip) < 0)
		return invalid(err, "invalid IP address", *ip);
	return 0;
}

/* ---- -p */

/* "published=8080,target=80" -> "8080:80/tcp". The caller's; NULL with *err set. */
static char *short_form(const char *text, struct cnm_error *err)
{
	_strv_ struct strv params = { 0 };
	const char *published = "", *target = "", *protocol = "tcp";
	struct strbuf b = { 0 };
	char *ret;

	for (const char *s = text; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL) {
		size_t n = strcspn(s, ","), name = strcspn(s, "=");
		const char *value;

		if (name == 0 || name >= n) {
			cnm_error_set(err, CNM_E_INVALID,
				      "invalid publish opts format (should be name=value but got "
				      "'%.*s')",
				      (int)n, s);
			return NULL;
		}
		if (strv_addn(&params, s, n) < 0) {
			api_oom(err);
			return NULL;
		}
		value = params.v[params.n - 1] + name + 1;
		if (str_after(s, "published="))
			published = value;
		else if (str_after(s, "target="))
			target = value;
		else if (str_after(s, "protocol="))
			protocol = value;
	}
	strbuf_addf(&b, "%s:%s/%s", published, target, protocol);
	ret = strbuf_take(&b);
	if (!ret)
		api_oom(err);
	return ret;
}

/* copy: "[ip:][host:]container[/protocol]", which is cut up. */
static int split(const char *text, struct spec *ret, struct cnm_error *err)
{
	char *container = strrchr(ret->copy, ':'), *host = NULL, *ip = NULL;
	int r;

	if (container) {
		*container++ = '\0';
		host = strrchr(ret->copy, ':');
		if (host)
			*host++ = '\0';
		ip = host ? ret->copy : NULL;
		host = host ? host : ret->copy;
	} else {
		container = ret->copy;
	}
	ret->host = host ? host : "";
	ret->ip = "";
	ret->proto = cut_protocol(container);
	r = ip ? check_ip(&ret->ip, ip, err) : 0;
	if (r < 0)
		return r;
	if (!*container)
		return cnm_error_set(err, CNM_E_INVALID, "no port specified: %s<empty>", text);
	r = check_range(container, &ret->ports, "invalid containerPort", err);
	if (r == 0 && *ret->host)
		r = check_range(ret->host, &ret->hosts, "invalid hostPort", err);
	if (r == 0 && *ret->host && ret->ports.first != ret->ports.last &&
	    ret->hosts.last - ret->hosts.first != ret->ports.last - ret->ports.first)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid ranges specified for container and host Ports: %s "
				     "and %s",
				     container, ret->host);
	return r < 0 ? r : check_protocol(ret->proto, err);
}

static void spec_free(struct spec *s)
{
	free(s->copy);
}

static int parse_spec(const char *text, struct spec *ret, struct cnm_error *err)
{
	_free_ char *converted = NULL;

	if (strchr(text, '=')) {
		converted = short_form(text, err);
		if (!converted)
			return -EINVAL;
		text = converted;
	}
	ret->copy = strdup(text);
	return ret->copy ? split(text, ret, err) : api_oom(err);
}

/* "80/tcp", "8000-8010/tcp" */
static char *key_of(const struct range *r, const char *proto)
{
	struct strbuf b = { 0 };

	strbuf_addf(&b, "%ld", r->first);
	if (r->last != r->first)
		strbuf_addf(&b, "-%ld", r->last);
	strbuf_addf(&b, "/%s", proto);
	return strbuf_take(&b);
}

static int add_binding(const char *text, json_t *bindings, json_t *exposed, struct cnm_error *err)
{
	_cleanup_(spec_free) struct spec s = { 0 };
	_free_ char *key = NULL;
	json_t *list;
	int r = parse_spec(text, &s, err);

	if (r < 0)
		return r;
	key = key_of(&s.ports, s.proto);
	if (!key || json_put(exposed, key, json_object()) < 0)
		return api_oom(err);
	list = json_object_get(bindings, key);
	if (!list) {
		list = json_array();
		r = json_put(bindings, key, list);
	}
	if (r < 0 ||
	    json_push(list, json_pack("{s:s s:s}", "HostIp", s.ip, "HostPort", s.host)) < 0)
		return api_oom(err);
	return 0;
}

int publish_bindings(const struct strv *publish, json_t *bindings, json_t *exposed,
		     struct cnm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < publish->n; i++)
		r = add_binding(publish->v[i], bindings, exposed, err);
	return r;
}

int publish_sandbox(const struct strv *publish, json_t *list, struct cnm_error *err)
{
	for (size_t i = 0; i < publish->n; i++) {
		_cleanup_(spec_free) struct spec s = { 0 };
		int r = parse_spec(publish->v[i], &s, err);

		if (r < 0)
			return r;
		if (json_push(list,
			      json_pack("{s:s s:s s:I s:I s:I s:I}", "Protocol", s.proto, "HostIp",
					s.ip, "HostFirst", (json_int_t)s.hosts.first, "HostLast",
					(json_int_t)s.hosts.last, "First",
					(json_int_t)s.ports.first, "Last",
					(json_int_t)s.ports.last)) < 0)
			return api_oom(err);
	}
	return 0;
}

/* ---- --expose */

static const char *wrong_number(char *text)
{
	long n;

	if (!*text)
		return "invalid syntax";
	return str_to_long(text, 0, 65535, &n) == -ERANGE && *text != '-' ? "value out of range"
									  : "invalid syntax";
}

/* What Go says of it. range is cut up. */
static int tell_range(const char *text, char *range, struct cnm_error *err)
{
	_free_ char *whole = strdup(range);
	char *dash = strchr(range, '-'), *wrong = range;
	long n;

	if (!*range)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid range format for --expose: %s, error: empty string "
				     "specified for ports",
				     text);
	if (dash)
		*dash++ = '\0';
	if (str_to_long(range, 0, 65535, &n) == 0)
		wrong = dash;
	if (!wrong || str_to_long(wrong, 0, 65535, &n) == 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid range format for --expose: %s, error: invalid range "
				     "specified for port: %s",
				     text, whole ? whole : text);
	return cnm_error_set(err, CNM_E_INVALID,
			     "invalid range format for --expose: %s, error: strconv.ParseUint: "
			     "parsing \"%s\": %s",
			     text, wrong, wrong_number(wrong));
}

static int parse_expose(const char *text, struct spec *ret, struct cnm_error *err)
{
	_free_ char *range = NULL;
	int r;

	if (strchr(text, ':'))
		return invalid(err, "invalid port format for --expose", text);
	ret->copy = strdup(text);
	if (!ret->copy)
		return api_oom(err);
	ret->proto = cut_protocol(ret->copy);
	range = strdup(ret->copy);
	if (!range)
		return api_oom(err);
	r = parse_range(range, &ret->ports);
	return r < 0 ? tell_range(text, ret->copy, err) : check_protocol(ret->proto, err);
}

int publish_exposed(const struct strv *expose, json_t *exposed, struct cnm_error *err)
{
	for (size_t i = 0; i < expose->n; i++) {
		_cleanup_(spec_free) struct spec s = { 0 };
		_free_ char *key = NULL;
		int r = parse_expose(expose->v[i], &s, err);

		if (r < 0)
			return r;
		key = key_of(&s.ports, s.proto);
		if (!key || json_put(exposed, key, json_object()) < 0)
			return api_oom(err);
	}
	return 0;
}

int publish_sandbox_exposed(const struct strv *expose, json_t *list, struct cnm_error *err)
{
	for (size_t i = 0; i < expose->n; i++) {
		_cleanup_(spec_free) struct spec s = { 0 };
		int r = parse_expose(expose->v[i], &s, err);

		if (r < 0)
			return r;
		if (json_push(list, json_pack("{s:s s:I s:I}", "Protocol", s.proto, "First",
					      (json_int_t)s.ports.first, "Last",
					      (json_int_t)s.ports.last)) < 0)
			return api_oom(err);
	}
	return 0;
}
