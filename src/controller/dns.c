/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cnm dns`: what a sandbox can resolve, and where the rest goes. The resolver knows the names, the
 * servers and the counts; why nothing is forwarded follows from the model, which is read with the
 * lock. A sandbox that is on no network with names asks by its own resolv.conf, and past us.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "controller/planning_files.h"
#include "resolver/resolv_conf.h"

/* What the model says of a sandbox. */
struct asker {
	char id[ID_SIZE];
	char *name;
	bool embedded;  /* on a network with names: we are its server */
	bool on_host;   /* it has the host's network */
	bool connected; /* on any network that has addresses */
	bool internal;  /* none of them leads outside */
	bool ndots;     /* names without a dot are not forwarded */
};

static void asker_free(struct asker *a)
{
	free(a->name);
}

static void note_networks(struct asker *a, const struct sandbox *sb)
{
	const struct endpoint *ep;

	a->internal = true;
	list_for_each (ep, &sb->endpoints, in_sandbox) {
		if (ep->state == OBJ_REMOVING)
			continue;
		a->embedded |= network_is_user_defined(ep->network);
		a->connected |= ep->network->driver->addresses;
		a->internal &= ep->network->internal;
	}
}

static int find_asker(struct cnm_engine *e, const char *ref, struct asker *a, struct cnm_error *err)
{
	struct files_resolv resolv;
	struct sandbox *sb;
	int r;
	LOCKED(&e->lock);

	r = engine_sandbox(e, ref, false, &sb, err);
	if (r < 0)
		return r;
	if (sb->stopped)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "container %s is not running, and resolves names only then: "
				     "start it with `cnm start %s`",
				     sb->name, sb->name);
	if (sb->source == NETNS_FOREIGN)
		return cnm_error_set(err, CNM_E_INVALID,
				     "sandbox %s is another program's, which resolves names in it: "
				     "ask there",
				     sb->name);
	memcpy(a->id, sb->id, sizeof(a->id));
	a->name = strdup(sb->name);
	a->on_host = sb->source == NETNS_HOST;
	resolv = sandbox_resolv(e, sb);
	a->ndots = files_ndots_given(&resolv);
	note_networks(a, sb);
	return a->name ? 0 : cnm_error_errno(err, ENOMEM, "tell the names of %s", ref);
}

/* ---- a sandbox that asks by itself */

static json_t *server_json(const struct resolv_server *s, const char *from)
{
	char ip[IP_STR], text[IP_STR + IF_NAMESIZE + 1];
	json_t *o = json_object();

	snprintf(text, sizeof(text), "%s%s%s", ip_format(&s->ip, ip), *s->scope ? "%" : "",
		 s->scope);
	json_put(o, "Address", json_string(text));
	json_put(o, "From", json_string(from));
	return o;
}

/* Those of the file as it is now: whoever uses the sandbox may have edited it. */
static json_t *servers_of_file(const struct cnm_engine *e, const struct asker *a)
{
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	json_t *list = json_array();
	char path[900], text[16384];
	_close_ int fd = -1;
	ssize_t n;
	size_t count;

	snprintf(path, sizeof(path), "%s/sandboxes/%s/resolv.conf", e->run_dir, a->id);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	text[n > 0 ? n : 0] = '\0';
	count = resolv_conf_servers(text, servers);
	for (size_t i = 0; i < count; i++)
		json_push(list, server_json(&servers[i], a->on_host ? "host" : "sandbox"));
	return list;
}

static json_t *describe_file(const struct cnm_engine *e, const struct asker *a)
{
	json_t *o = json_object();

	json_put(o, "Names", json_array());
	json_put(o, "Servers", servers_of_file(e, a));
	json_put(o, "Counters", json_object());
	return o;
}

/* ---- the answer */

static bool has_own(const json_t *servers)
{
	const json_t *s;
	size_t i;

	json_array_foreach (servers, i, s)
		if (streq(json_string_value(json_object_get(s, "From")), "sandbox"))
			return true;
	return false;
}

/* Why nothing is asked of anybody else; "" if it is, NULL without memory. */
static const char *why_not(const struct cnm_engine *e, const struct asker *a, const json_t *servers,
			   struct strbuf *buf)
{
	if (!a->connected && !a->on_host)
		return "it is on no network";
	if (a->embedded && a->internal && !has_own(servers))
		return "all its networks are internal, and it has no servers of its own (--dns)";
	if (json_array_size(servers))
		return "";
	if (!a->embedded)
		return "its resolv.conf names no server";
	strbuf_addf(buf, "%s names no server, and it has none of its own (--dns)", e->resolv_conf);
	return buf->failed ? NULL : buf->s;
}

static json_t *answer_json(const struct cnm_engine *e, const struct asker *a, json_t *described)
{
	_cleanup_(strbuf_free) struct strbuf buf = { 0 };
	json_t *o = json_object();
	json_t *servers = json_object_get(described, "Servers");
	const char *why = why_not(e, a, servers, &buf);
	bool asks = why && !*why;

	json_put(o, "Sandbox", json_string(a->id));
	json_put(o, "SandboxName", json_string(a->name));
	json_put(o, "Embedded", json_boolean(a->embedded));
	json_put(o, "Names", json_incref(json_object_get(described, "Names")));
	json_put(o, "More", json_boolean(json_is_true(json_object_get(described, "More"))));
	json_put(o, "Servers", asks ? json_incref(servers) : json_array());
	json_put(o, "Forward", json_boolean(asks));
	json_put(o, "ForwardDotless", json_boolean(asks && !(a->embedded && a->ndots)));
	json_put(o, "Why", why ? json_string(why) : NULL);
	json_put(o, "Counters", json_incref(json_object_get(described, "Counters")));
	return o;
}

int cnm_dns(struct cnm_engine *e, const char *ref, char **ret_json, struct cnm_error *err)
{
	_cleanup_(asker_free) struct asker a = { 0 };
	_json_ json_t *described = NULL, *answer = NULL;
	char *text;
	int r = find_asker(e, ref, &a, err);

	if (r < 0)
		return r;
	described = a.embedded ? resolver_describe(e->resolver, a.id) : describe_file(e, &a);
	if (!described)
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "tell the names of %s: the DNS server does not know it, since "
				     "it is being removed or memory ran out; try again",
				     a.name);
	answer = answer_json(e, &a, described);
	text = json_text(answer);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "tell the names of %s", a.name);
	*ret_json = text;
	return 0;
}
