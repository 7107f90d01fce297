/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The API behind its server, and a client. Engine and containers are stand-ins that write down what
 * they were asked, so that what reaches them can be compared; the real ones are behind the API in
 * tests/host.
 */
#ifndef UNIT_API_FIXTURE_H
#define UNIT_API_FIXTURE_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/containers.h"

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
	note_kvs("link", c->links, c->n_links);
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

int cnm_node_list(struct cnm_engine *e, char **ret, struct cnm_error *err)
{
	note("node list");
	*ret = strdup("[]");
	return 0;
}

int cnm_node_inspect(struct cnm_engine *e, const char *ref, char **ret, struct cnm_error *err)
{
	note("node inspect [%s]", ref);
	*ret = strdup("{}");
	return 0;
}

int cnm_node_remove(struct cnm_engine *e, const char *ref, struct cnm_error *err)
{
	note("node remove [%s]", ref);
	return 0;
}

int cnm_plugin_list(struct cnm_engine *e, char **ret, struct cnm_error *err)
{
	note("plugin list");
	*ret = strdup("[]");
	return 0;
}

int cnm_sandbox_create(struct cnm_engine *e, const struct cnm_sandbox_config *c,
		       struct cnm_dry_run *dry, char id[CNM_ID_SIZE], struct cnm_error *err)
{
	note("sandbox [%s] pid=%d", c->name, (int)c->pid);
	note_if("hostname", c->hostname);
	note_if("domainname", c->domainname);
	note_texts("dns", c->dns, c->n_dns);
	note_texts("search", c->dns_search, c->n_dns_search);
	note_texts("option", c->dns_options, c->n_dns_options);
	note_texts("host", c->extra_hosts, c->n_extra_hosts);
	note_if("netns", c->netns);
	note_kvs("label", c->labels, c->n_labels);
	for (size_t i = 0; i < c->n_networks; i++) {
		note(" on [%s]", c->networks[i].network);
		note_endpoint(&c->networks[i].endpoint);
	}
	for (size_t i = 0; i < c->n_publish; i++)
		note(" publish %s [%s] %u-%u %u-%u", c->publish[i].protocol, c->publish[i].host_ip,
		     c->publish[i].host_first, c->publish[i].host_last, c->publish[i].first,
		     c->publish[i].last);
	for (size_t i = 0; i < c->n_exposed; i++)
		note(" exposed %s %u-%u", c->exposed[i].protocol, c->exposed[i].first,
		     c->exposed[i].last);
	note_if("confined", c->confined ? "yes" : NULL);
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

int cnm_dns(struct cnm_engine *e, const char *ref, char **ret, struct cnm_error *err)
{
	int r = failure_of(ref, err);

	note(" dns [%s]", ref);
	if (r == 0)
		*ret = strdup("{\"Names\":[]}");
	return r;
}

int cnm_why(struct cnm_engine *e, const struct cnm_flow *f, bool probe, char **ret,
	    struct cnm_error *err)
{
	note(" why [%s] [%s] %s %u %d", f->from, f->to, f->protocol ? f->protocol : "-", f->port,
	     probe);
	*ret = strdup("{\"Reachable\":true}");
	return 0;
}

int cnm_trace(struct cnm_engine *e, const struct cnm_flow *f, unsigned seconds,
	      int (*deliver)(const char *json, void *arg), void *arg, struct cnm_error *err)
{
	note(" trace [%s] [%s] %u", f->from, f->to, seconds);
	return deliver("{\"Verdict\":\"accept\"}", arg);
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

/* ------------------------------------------------ the stand-in for containers and images */

/* What calls that need not do the same each time do next. */
static struct {
	int result;            /* of start and stop */
	bool terminal;         /* what attach, logs and exec say */
	bool waits;            /* a wait is told later, by tell_wait() */
	unsigned lines;        /* of progress */
	bool fails;            /* the work, after its lines */
	int cancelled;         /* waits */
	const char *container; /* what an inspection shows; NULL: {} */
} next;

static struct {
	pthread_mutex_t lock; /* a wait is not cancelled while it is being told */
	void (*done)(int code, const char *error, void *arg);
	void *arg;
} waiting = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline void tell_wait(int code)
{
	LOCKED(&waiting.lock);
	waiting.done(code, NULL, waiting.arg);
}

static inline char *object_text(const json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : strdup("-");

	assert_non_null(text);
	return text;
}

static inline int note_and_fail(const char *what, const char *ref, struct cnm_error *err)
{
	note("%s [%s]", what, ref);
	return failure_of(ref, err);
}

static inline int note_and_show(const char *what, const char *ref, char **ret,
				struct cnm_error *err)
{
	int r = note_and_fail(what, ref, err);

	if (r == 0)
		*ret = strdup("{}");
	return r;
}

/* ----------------------------------------------------------------------------------- containers */

struct images *containers_images(struct containers *cs)
{
	return NULL;
}

int containers_info(struct containers *cs, json_t **ret, struct cnm_error *err)
{
	*ret = json_pack("{s:i, s:s, s:s, s:s, s:[s]}", "Containers", 3, "DefaultRuntime", "runc",
			 "RuncVersion", "1.1.5", "ConmonVersion", "2.1.6", "Warnings", "careful");
	return 0;
}

int containers_create(struct containers *cs, const char *name, const json_t *body, unsigned version,
		      char id[static ID_SIZE], json_t **ret_warnings, struct cnm_error *err)
{
	_free_ char *text = object_text(body);

	note("container [%s] %u %s", name ? name : "-", version, text);
	new_id(id);
	*ret_warnings = json_pack("[s]", "careful");
	return 0;
}

int containers_start(struct containers *cs, const char *ref, struct cnm_error *err)
{
	int r = note_and_fail("start", ref, err);

	return r < 0 ? r : next.result;
}

int containers_stop(struct containers *cs, const char *ref, const char *sig, int timeout,
		    struct cnm_error *err)
{
	note("stop [%s] %s %d", ref, sig ? sig : "-", timeout);
	return next.result;
}

int containers_restart(struct containers *cs, const char *ref, const char *sig, int timeout,
		       struct cnm_error *err)
{
	note("restart [%s] %s %d", ref, sig ? sig : "-", timeout);
	return 0;
}

int containers_kill(struct containers *cs, const char *ref, const char *sig, struct cnm_error *err)
{
	note("kill [%s] %s", ref, sig ? sig : "-");
	return 0;
}

int containers_rename(struct containers *cs, const char *ref, const char *name,
		      struct cnm_error *err)
{
	note("rename [%s] [%s]", ref, name);
	return 0;
}

int containers_remove(struct containers *cs, const char *ref, bool force, bool volumes,
		      struct cnm_error *err)
{
	note("remove container [%s] %d %d", ref, force, volumes);
	return 0;
}

int containers_inspect(struct containers *cs, const char *ref, unsigned version, bool size,
		       char **ret, struct cnm_error *err)
{
	int r;

	note("%u %d ", version, size);
	r = note_and_fail("inspect container", ref, err);
	if (r == 0)
		*ret = strdup(next.container ? next.container : "{}");
	return r;
}

int containers_list(struct containers *cs, const char *filters, bool all, unsigned limit,
		    unsigned version, char **ret, struct cnm_error *err)
{
	note("list containers %s %d %u %u", filters ? filters : "-", all, limit, version);
	*ret = strdup("[]");
	return 0;
}

int containers_top(struct containers *cs, const char *ref, const char *ps_args, char **ret,
		   struct cnm_error *err)
{
	note("(%s) ", ps_args);
	return note_and_show("top", ref, ret, err);
}

int containers_resize(struct containers *cs, const char *ref, unsigned rows, unsigned columns,
		      struct cnm_error *err)
{
	note("resize [%s] %u %u", ref, rows, columns);
	return 0;
}

int containers_wait(struct containers *cs, const char *ref, const char *condition,
		    void (*done)(int, const char *, void *), void *arg, struct container_wait **ret,
		    struct cnm_error *err)
{
	int r = note_and_fail("wait", ref, err);

	if (r < 0)
		return r;
	note(" %s", condition ? condition : "-");
	waiting.done = done;
	waiting.arg = arg;
	*ret = (struct container_wait *)&waiting;
	if (!next.waits)
		done(7, streq(ref, "gone") ? "as asked: \xff" : NULL, arg);
	return 0;
}

void containers_wait_cancel(struct containers *cs, struct container_wait *w)
{
	LOCKED(&waiting.lock);
	assert_ptr_equal(w, &waiting);
	__atomic_add_fetch(&next.cancelled, 1, __ATOMIC_SEQ_CST);
}

int containers_attach_check(struct containers *cs, const char *ref, const struct attach_request *a,
			    bool *ret_terminal, char id[static ID_SIZE], struct cnm_error *err)
{
	new_id(id);
	*ret_terminal = next.terminal;
	return note_and_fail("attach", ref, err);
}

/* Says so to the client, and closes. */
static inline void serve(int fd, const char *text, const char *early, size_t n)
{
	assert_true(fd >= 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	assert_int_equal(send(fd, early, n, MSG_NOSIGNAL), n);
	close(fd);
}

void containers_attach_begin(struct containers *cs, const char *id, const struct attach_request *a,
			     int fd, const char *early, size_t n)
{
	char text[256];

	snprintf(text, sizeof(text), "attached %.3s %d%d%d%d%d %s early=", id, a->stream, a->logs,
		 a->in, a->out, a->err, a->detach_keys ? a->detach_keys : "-");
	serve(fd, text, early, n);
}

int containers_logs(struct containers *cs, const char *ref, const struct logs_request *l,
		    int *ret_fd, bool *ret_terminal, struct cnm_error *err)
{
	int r = note_and_fail("logs", ref, err);

	if (r < 0)
		return r;
	note(" %d%d%d%d %lld %lld %lld", l->follow, l->out, l->err, l->timestamps,
	     (long long)l->since, (long long)l->until, (long long)l->tail);
	*ret_terminal = next.terminal;
	*ret_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(pwrite(*ret_fd, "a log", 5, 0), 5);
	return 0;
}

int containers_exec_create(struct containers *cs, const char *ref, const json_t *body,
			   char id[static ID_SIZE], struct cnm_error *err)
{
	_free_ char *text = object_text(body);

	new_id(id);
	note("%s ", text);
	return note_and_fail("exec", ref, err);
}

int containers_exec_start(struct containers *cs, const char *id, bool detach, unsigned rows,
			  unsigned columns, bool *ret_terminal, struct cnm_error *err)
{
	*ret_terminal = next.terminal;
	note("%d %u %u ", detach, rows, columns);
	return note_and_fail("exec start", id, err);
}

void containers_exec_attach(struct containers *cs, const char *id, int fd, const char *early,
			    size_t n)
{
	serve(fd, "executed early=", early, n);
}

int containers_exec_resize(struct containers *cs, const char *id, unsigned rows, unsigned columns,
			   struct cnm_error *err)
{
	note("exec resize [%s] %u %u", id, rows, columns);
	return 0;
}

int containers_exec_inspect(struct containers *cs, const char *id, char **ret,
			    struct cnm_error *err)
{
	return note_and_show("inspect exec", id, ret, err);
}

/* To the stand-in of the engine. */
int containers_network_connect(struct containers *cs, const char *network, const char *ref,
			       const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
			       struct cnm_error *err)
{
	return cnm_network_connect(NULL, network, ref, config, dry, err);
}

int containers_network_disconnect(struct containers *cs, const char *network, const char *ref,
				  bool force, struct cnm_dry_run *dry, struct cnm_error *err)
{
	return cnm_network_disconnect(NULL, network, ref, force, dry, err);
}

int containers_volume_create(struct containers *cs, const json_t *body, char **ret,
			     struct cnm_error *err)
{
	_free_ char *text = object_text(body);

	return note_and_show("volume", text, ret, err);
}

int containers_volume_remove(struct containers *cs, const char *name, bool force,
			     struct cnm_error *err)
{
	note("remove volume [%s] %d", name, force);
	return 0;
}

int containers_volume_inspect(struct containers *cs, const char *name, char **ret,
			      struct cnm_error *err)
{
	return note_and_show("inspect volume", name, ret, err);
}

int containers_volume_list(struct containers *cs, char **ret, struct cnm_error *err)
{
	return note_and_show("list volumes", "", ret, err);
}

/* --------------------------------------------------------------------------------------- images */

/* Tells next.lines lines, then fails if it is to. */
static inline int work(image_progress tell, void *arg, struct cnm_error *err)
{
	for (unsigned i = 0; i < next.lines; i++)
		tell("{\"status\":\"working\"}", arg);
	return next.fails ? cnm_error_set(err, CNM_E_NOT_FOUND, "as asked: \xff") : 0;
}

/* What the archive at path holds, as far as it matters. */
static inline void note_file(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	note(" {%s} %lld", text, (long long)lseek(fd, 0, SEEK_END));
	close(fd);
}

int images_load(struct images *im, const char *path, image_progress tell, void *arg,
		struct cnm_error *err)
{
	note("load");
	note_file(path);
	return work(tell, arg, err);
}

int images_import(struct images *im, const char *path, const char *ref, const char *message,
		  const char *const *changes, unsigned n_changes, char **ret_id,
		  struct cnm_error *err)
{
	note("import [%s] (%s)", ref, message);
	note_texts("change", changes, n_changes);
	note_file(path);
	*ret_id = strdup("sha256:abc");
	return 0;
}

int images_pull(struct images *im, const char *ref, const char *auth, image_progress tell,
		void *arg, struct cnm_error *err)
{
	note("pull [%s] %s", ref, auth ? auth : "-");
	return work(tell, arg, err);
}

int images_save(struct images *im, const char *const *refs, unsigned n, int *ret_fd,
		struct cnm_error *err)
{
	note("save");
	note_texts("image", refs, n);
	*ret_fd = memfd_create("archive", MFD_CLOEXEC);
	assert_int_equal(pwrite(*ret_fd, "archive", 7, 0), 7);
	return 0;
}

int images_tag(struct images *im, const char *ref, const char *repo, const char *tag,
	       struct cnm_error *err)
{
	note("tag [%s] [%s] [%s]", ref, repo, tag);
	return 0;
}

int images_remove(struct images *im, const char *ref, bool force, char **ret, struct cnm_error *err)
{
	note("%d ", force);
	return note_and_show("remove image", ref, ret, err);
}

int images_list(struct images *im, const char *filters, bool all, char **ret, struct cnm_error *err)
{
	note("list images %s %d", filters ? filters : "-", all);
	*ret = strdup("[]");
	return 0;
}

int images_inspect(struct images *im, const char *ref, char **ret, struct cnm_error *err)
{
	return note_and_show("inspect image", ref, ret, err);
}

int images_history(struct images *im, const char *ref, char **ret, struct cnm_error *err)
{
	return note_and_show("history", ref, ret, err);
}

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
