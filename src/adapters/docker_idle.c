/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was made for Docker and is in no container: an endpoint by RequestAddress or CreateEndpoint
 * that is in no sandbox, a sandbox by CreateEndpoint that no endpoint is in. For a moment that is
 * as it should be, before Join and after Leave. But dockerd may be killed between two calls, and a
 * call during which cnmd ends it repeats without its body, so that nobody knows what it was about.
 * So a thread looks, some time after each call, and again: what it then sees for the second time is
 * dropped.
 *
 * Before that an endpoint makes way when its address is asked for, or its MAC: Docker would not ask
 * if it still used them.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "adapters/docker_internal.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#define LOOK_NS 30000000000ull /* dockerd repeats a call for as long */

static bool is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* One that these calls made, on this host, and that is in no sandbox. */
static bool is_idle(const json_t *endpoint)
{
	const char *rest = str_after(docker_get(endpoint, "Name"), "docker-"), *mac;

	mac = rest ? str_after(rest, "mac-") : NULL;
	return rest && is_hex(mac ? mac : rest, 12) && !docker_get(endpoint, "Host")[0] &&
	       !docker_get(endpoint, "Sandbox")[0] &&
	       json_is_true(json_object_get(endpoint, "Declared"));
}

/* The sandbox that stands for Docker's endpoint, which is to be joined; NULL: none. */
static const char *sandbox_for(const json_t *sandboxes, const json_t *endpoint)
{
	const char *id = docker_get(endpoint, "Id");
	const json_t *sb;
	size_t i;

	json_array_foreach (sandboxes, i, sb)
		if (streq(docker_get(json_object_get(sb, "Labels"), LABEL_ENDPOINT), id))
			return docker_get(sb, "Id");
	return NULL;
}

static int drop(struct docker_call *c, const json_t *endpoint, const char *sandbox)
{
	int r = sandbox ? docker_unless_gone(c,
					     cnm_sandbox_remove(c->engine, sandbox, NULL, &c->err))
			: 0;

	if (r == 0)
		r = docker_unless_gone(c, cnm_endpoint_remove(c->engine, docker_get(endpoint, "Id"),
							      false, NULL, &c->err));
	return r;
}

static int look(struct docker_call *c, const char *network, json_t **ret_endpoints,
		json_t **ret_sandboxes)
{
	char *text = NULL;
	int r = cnm_endpoint_list(c->engine, network, &text, &c->err);

	if (r == 0)
		r = docker_load(c, text, ret_endpoints);
	if (r == 0)
		r = cnm_sandbox_list(c->engine, &text, &c->err);
	return r < 0 ? r : docker_load(c, text, ret_sandboxes);
}

/* A sandbox that these calls made, and that no endpoint is in. */
static bool is_empty(const json_t *sandbox, const json_t *endpoints)
{
	const json_t *ep;
	size_t i;

	json_array_foreach (endpoints, i, ep)
		if (streq(docker_get(ep, "Sandbox"), docker_get(sandbox, "Id")))
			return false;
	return docker_get(json_object_get(sandbox, "Labels"), LABEL_ENDPOINT)[0];
}

static bool seen_before(struct docker_plugin *p, const json_t *o, json_t *noted)
{
	const char *id = docker_get(o, "Id");

	json_put(noted, id, json_true());
	return json_object_get(p->idle, id);
}

static int drop_seen_before(struct docker_call *c, const json_t *endpoints, const json_t *sandboxes,
			    json_t *noted)
{
	json_t *o;
	size_t i;
	int r = 0;

	json_array_foreach (sandboxes, i, o)
		if (is_empty(o, endpoints) && seen_before(c->plugin, o, noted) && r == 0)
			r = docker_unless_gone(c, cnm_sandbox_remove(c->engine, docker_get(o, "Id"),
								     NULL, &c->err));
	json_array_foreach (endpoints, i, o)
		if (is_idle(o) && seen_before(c->plugin, o, noted) && r == 0)
			r = drop(c, o, NULL);
	return r;
}

static int drop_unused(struct docker_call *c)
{
	_json_ json_t *endpoints = NULL, *sandboxes = NULL;
	json_t *noted = json_object();
	int r = look(c, NULL, &endpoints, &sandboxes);

	if (r == 0)
		r = drop_seen_before(c, endpoints, sandboxes, noted);
	json_decref(c->plugin->idle);
	c->plugin->idle = noted;
	return r;
}

int docker_drop_idle(struct docker_call *c, const char *network)
{
	_json_ json_t *endpoints = NULL, *sandboxes = NULL;
	json_t *ep;
	size_t i;
	int r = look(c, network, &endpoints, &sandboxes);

	json_array_foreach (endpoints, i, ep) {
		const char *sandbox = is_idle(ep) ? sandbox_for(sandboxes, ep) : NULL;

		if (r == 0 && is_idle(ep) && (network || !sandbox))
			r = drop(c, ep, sandbox);
	}
	return r;
}

static bool is_in_the_way(const json_t *endpoint, const struct docker_endpoint *d)
{
	struct cnm_prefix ip4 = docker_address_of(endpoint, AF_INET),
			  ip6 = docker_address_of(endpoint, AF_INET6);
	struct cnm_mac mac = { 0 };

	mac_parse(&mac, docker_get(endpoint, "MacAddress"));
	return (ip_is_set(&d->ip4.ip) && ip_eq(&d->ip4.ip, &ip4.ip)) ||
	       (ip_is_set(&d->ip6.ip) && ip_eq(&d->ip6.ip, &ip6.ip)) ||
	       (mac_is_set(&d->mac) && mac_eq(&d->mac, &mac));
}

int docker_make_way(struct docker_call *c, const char *network, const struct docker_endpoint *d)
{
	const struct cnm_error refusal = c->err;
	_json_ json_t *endpoints = NULL, *sandboxes = NULL;
	json_t *ep;
	size_t i;
	int made = 0, r = 0;

	if (refusal.class == CNM_E_FORBIDDEN || refusal.class == CNM_E_CONFLICT)
		r = look(c, network, &endpoints, &sandboxes);
	json_array_foreach (endpoints, i, ep) {
		if (r < 0 || !is_idle(ep) || !is_in_the_way(ep, d))
			continue;
		r = drop(c, ep, sandbox_for(sandboxes, ep));
		made = 1;
	}
	c->err = refusal;
	return r < 0 ? 0 : made;
}

/* ---- the thread */

void *docker_idle_main(void *arg)
{
	struct docker_plugin *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		struct docker_call c = { .plugin = p, .engine = p->engine };
		bool quiet = !p->called && !json_object_size(p->idle);

		if (cond_wait(&p->wake, &p->lock, quiet ? 0 : clock_mono_ns() + LOOK_NS) == 0)
			continue;
		p->called = false;
		pthread_mutex_unlock(&p->lock);
		if (drop_unused(&c) < 0)
			log_warn("what Docker does not use any more may be left: %s", c.err.text);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}
