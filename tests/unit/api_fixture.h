/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The API behind its server, and a client. Engine and containers are stand-ins that write down what
 * they were asked, so that what reaches them can be compared; the real ones are behind the API in
 * tests/host.
 */
#ifndef UNIT_API_FIXTURE_H
#define UNIT_API_FIXTURE_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

/* ---------------------------------------------------------------------- the stand-in for libcnm */

static char asked[8192]; /* the last call, as text */
static char *kept_events[8];

static inline void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void note(const char *fmt, ...)
{
	size_t n = strlen(asked);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(asked + n, sizeof(asked) - n, fmt, ap);
	va_end(ap);
}

static inline void note_kvs(const char *what, const struct cnm_kv *kvs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		note(" %s:%s=%s", what, kvs[i].key, kvs[i].value);
}

static inline void note_texts(const char *what, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		note(" %s:%s", what, texts[i]);
}

static inline void note_if(const char *what, const char *s)
{
	if (s)
		note(" %s=%s", what, s);
}

static inline void note_endpoint(const struct cnm_endpoint_config *c)
{
	note_if("name", c->name);
	note_if("ip4", c->ipv4);
	note_if("ip6", c->ipv6);
	note_if("mac", c->mac);
	note_texts("ll", c->link_local, c->n_link_local);
	note_texts("alias", c->aliases, c->n_aliases);
	note_kvs("opt", c->driver_opts, c->n_driver_opts);
	if (c->gw_priority)
		note(" gw=%d", c->gw_priority);
}

static inline int plan(struct cnm_dry_run *dry)
{
	if (dry)
		dry->plan = strdup("add link br-1\nadd address 10.0.0.1/24\n");
	return 0;
}

static inline void new_id(char id[CNM_ID_SIZE])
{
	memset(id, 'a', CNM_ID_SIZE - 1);
	id[CNM_ID_SIZE - 1] = '\0';
}

/* Names that stand for a failure. */
static inline int failure_of(const char *ref, struct cnm_error *err)
{
	static const struct {
		const char *name;
		enum cnm_error_class class;
	} failures[] = {
		{ "INTERNAL", CNM_E_INTERNAL },      { "INVALID", CNM_E_INVALID },
		{ "FORBIDDEN", CNM_E_FORBIDDEN },    { "NOT_FOUND", CNM_E_NOT_FOUND },
		{ "CONFLICT", CNM_E_CONFLICT },      { "NOT_IMPLEMENTED", CNM_E_NOT_IMPLEMENTED },
		{ "UNAVAILABLE", CNM_E_UNAVAILABLE }
	};

	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++)
		if (streq(failures[i].name, ref))
			return cnm_error_set(err, failures[i].class, "as asked: \"%s\"\n\xff", ref);
	return 0;
}

const char *cnm_version(void)
{
	return "0.0.0";
}

int cnm_engine_info(struct cnm_engine *e, char **ret, struct cnm_error *err)
{
	*ret = strdup(
		"{\"Plugins\":{\"Network\":[\"x\"]},\"Name\":\"engine\",\"StateDir\":\"/tmp\",\"Warnings\":[\"beware\"]}");
	return 0;
}

int cnm_engine_doctor(struct cnm_engine *e, bool repair, char **ret, struct cnm_error *err)
{
	note("doctor %d", repair);
	*ret = strdup("{\"Differences\":[{\"Action\":\"add\",\"Kind\":\"link\",\"Key\":\"cnm0\"}],"
		      "\"Notes\":[]}");
	return 0;
}

int cnm_network_create(struct cnm_engine *e, const struct cnm_network_config *c,
		       struct cnm_dry_run *dry, char id[CNM_ID_SIZE], char **ret_warning,
		       struct cnm_error *err)
{
	note("create [%s] 4=%d 6=%d flags=%d%d%d%d", c->name, c->ipv4, c->ipv6, c->internal,
	     c->attachable, c->ingress, c->config_only);
	note_if("driver", c->driver);
	note_if("scope", c->scope);
	note_if("from", c->config_from);
	note_if("ipam", c->ipam_driver);
	note_kvs("ipamopt", c->ipam_options, c->n_ipam_options);
	note_kvs("opt", c->options, c->n_options);
	note_kvs("label", c->labels, c->n_labels);
	for (size_t i = 0; i < c->n_pools; i++) {
		note_if("subnet", c->pools[i].subnet);
		note_if("range", c->pools[i].ip_range);
		note_if("gateway", c->pools[i].gateway);
		note_kvs("aux", c->pools[i].aux, c->pools[i].n_aux);
	}
	new_id(id);
	*ret_warning = strdup("careful");
	return plan(dry);
}

int cnm_network_remove(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	note("remove [%s]", ref);
	return plan(dry);
}

int cnm_network_inspect(struct cnm_engine *e, const char *ref, bool verbose, char **ret,
			struct cnm_error *err)
{
	int r = failure_of(ref, err);

	note("inspect [%s] %d", ref, verbose);
	if (r == 0)
		*ret = strdup("{\"Scope\":\"local\"}");
	return r;
}

int cnm_network_list(struct cnm_engine *e, const char *filters, char **ret, struct cnm_error *err)
{
	note("list %s", filters ? filters : "-");
	*ret = strdup("[]");
	return 0;
}

int cnm_network_prune(struct cnm_engine *e, const char *filters, struct cnm_dry_run *dry,
		      char **ret, struct cnm_error *err)
{
	note("prune %s", filters ? filters : "-");
	if (!dry)
		*ret = strdup("{\"NetworksDeleted\":null}");
	return plan(dry);
}

int cnm_network_connect(struct cnm_engine *e, const char *network, const char *sandbox,
			const struct cnm_endpoint_config *c, struct cnm_dry_run *dry,
			struct cnm_error *err)
{
	note("connect [%s] [%s]", network, sandbox);
	note_endpoint(c);
	return plan(dry);
}

int cnm_network_disconnect(struct cnm_engine *e, const char *network, const char *sandbox,
			   bool force, struct cnm_dry_run *dry, struct cnm_error *err)
{
	note("disconnect [%s] [%s] %d", network, sandbox, force);
	return plan(dry);
}

int cnm_endpoint_create(struct cnm_engine *e, const char *network,
			const struct cnm_endpoint_config *c, struct cnm_dry_run *dry,
			char id[CNM_ID_SIZE], struct cnm_error *err)
{
	note("endpoint [%s]", network);
	note_endpoint(c);
	new_id(id);
	return plan(dry);
}

int cnm_endpoint_remove(struct cnm_engine *e, const char *ref, bool force, struct cnm_dry_run *dry,
			struct cnm_error *err)
{
	note("endpoint remove [%s] %d", ref, force);
	return plan(dry);
}

int cnm_endpoint_join(struct cnm_engine *e, const char *ref, const char *sandbox,
		      struct cnm_dry_run *dry, struct cnm_error *err)
{
	note("join [%s] [%s]", ref, sandbox);
	return plan(dry);
}

int cnm_endpoint_leave(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	note("leave [%s]", ref);
	return plan(dry);
}

int cnm_endpoint_inspect(struct cnm_engine *e, const char *ref, char **ret, struct cnm_error *err)
{
	note("endpoint inspect [%s]", ref);
	*ret = strdup("{}");
	return 0;
}

int cnm_endpoint_list(struct cnm_engine *e, const char *network, char **ret, struct cnm_error *err)
{
	note("endpoint list %s", network ? network : "-");
	*ret = strdup("[]");
	return 0;
}

int cnm_sandbox_create(struct cnm_engine *e, const struct cnm_sandbox_config *c,
		       struct cnm_dry_run *dry, char id[CNM_ID_SIZE], struct cnm_error *err)
{
	note("sandbox [%s] pid=%d", c->name, (int)c->pid);
	note_if("hostname", c->hostname);
	note_if("netns", c->netns);
	note_kvs("label", c->labels, c->n_labels);
	for (size_t i = 0; i < c->n_networks; i++) {
		note(" on [%s]", c->networks[i].network);
		note_endpoint(&c->networks[i].endpoint);
	}
	new_id(id);
	return plan(dry);
}

int cnm_sandbox_remove(struct cnm_engine *e, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err)
{
	note("sandbox remove [%s]", ref);
	return plan(dry);
}

int cnm_sandbox_inspect(struct cnm_engine *e, const char *ref, char **ret, struct cnm_error *err)
{
	note("sandbox inspect [%s]", ref);
	*ret = strdup("{}");
	return 0;
}

int cnm_sandbox_list(struct cnm_engine *e, char **ret, struct cnm_error *err)
{
	note("sandbox list");
	*ret = strdup("[]");
	return 0;
}

/* Hands out kept_events, and is told of none later. */
int cnm_events_listen(struct cnm_engine *e, int64_t since, void (*deliver)(const char *, void *),
		      void *arg, struct cnm_event_listener **ret, struct cnm_error *err)
{
	for (size_t i = 0; since && i < sizeof(kept_events) / sizeof(*kept_events); i++)
		if (kept_events[i])
			deliver(kept_events[i], arg);
	*ret = NULL;
	return 0;
}

void cnm_events_stop(struct cnm_engine *e, struct cnm_event_listener *listener)
{
}

#include "containers_standin.h"

/* ----------------------------------------------------------------------------------- the client */

static struct http_server *server;
static struct api api;

static inline int setup(void **state)
{
	const struct http_server_options options = {
		.handle = api_handle, .quick = api_is_quick, .streams = api_streams, .arg = &api
	};

	return http_server_start(&server, &options, NULL);
}

static inline int teardown(void **state)
{
	return http_server_stop(server, 20000);
}

struct answer {
	int status;
	char text[16384]; /* head and body */
	const char *body;
};

/* type NULL: no Content-Type. */
static inline struct answer *ask(const char *method, const char *path, const char *type,
				 const char *body)
{
	static struct answer a;
	struct strbuf request = { 0 };
	_close_ int fd = -1;
	int fds[2];
	size_t n = 0;
	ssize_t r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(http_server_adopt(server, fds[1], NULL), 0);
	fd = fds[0];
	asked[0] = '\0';
	strbuf_addf(&request, "%s %s HTTP/1.1\r\nHost: d\r\nConnection: close\r\n", method, path);
	if (type)
		strbuf_addf(&request, "Content-Type: %s\r\n", type);
	strbuf_addf(&request, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	assert_int_equal(write(fd, request.s, request.len), request.len);
	strbuf_free(&request);
	while ((r = read(fd, a.text + n, sizeof(a.text) - 1 - n)) > 0)
		n += (size_t)r;
	a.text[n] = '\0';
	assert_int_equal(sscanf(a.text, "HTTP/1.1 %d", &a.status), 1);
	a.body = strstr(a.text, "\r\n\r\n");
	assert_non_null(a.body);
	a.body += 4;
	return &a;
}

static inline void expect(const struct answer *a, int status, const char *part)
{
	if (a->status != status || !strstr(a->text, part))
		fail_msg("expected %d with \"%s\", got %s", status, part, a->text);
}

static inline struct answer *get(const char *path)
{
	return ask("GET", path, NULL, "");
}

static inline struct answer *post(const char *path, const char *json)
{
	return ask("POST", path, "application/json", json);
}

#endif
