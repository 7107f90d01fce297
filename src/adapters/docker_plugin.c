/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "adapters/docker_plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/docker_internal.h"
#include "base/cond.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#define TYPE     "application/vnd.docker.plugins.v1.2+json"
#define MAX_BODY (16 << 20) /* a container may publish every port there is */

const char *const docker_plugin_names[DOCKER_PLUGINS] = { "cnm", "cnm-overlay" };

/* ---- calls that ask what this is */

static int answer(struct docker_call *c, const char *key, json_t *value)
{
	return json_put(c->answer, key, value) < 0
		       ? cnm_error_errno(&c->err, ENOMEM, "write the answer")
		       : 0;
}

static int activate(struct docker_call *c)
{
	return answer(c, "Implements", json_pack("[s,s]", "NetworkDriver", "IpamDriver"));
}

/* Docker takes a driver of global scope only if it has a store of its own. */
static int network_capabilities(struct docker_call *c)
{
	int r = answer(c, "Scope", json_string("local"));

	if (r == 0)
		r = answer(c, "ConnectivityScope", json_string("local"));
	return r < 0 ? r : answer(c, "GwAllocChecker", json_boolean(c->driver->overlay));
}

/* By newer daemons, of a driver that says so: an overlay network needs no gateway. */
static int check_gateways(struct docker_call *c)
{
	int r = answer(c, "SkipIPv4", json_boolean(c->driver->overlay));

	return r < 0 ? r : answer(c, "SkipIPv6", json_boolean(c->driver->overlay));
}

/* The MAC tells which endpoint an address is requested for. */
static int ipam_capabilities(struct docker_call *c)
{
	int r = answer(c, "RequiresMACAddress", json_true());

	return r < 0 ? r : answer(c, "RequiresRequestReplay", json_false());
}

static int address_spaces(struct docker_call *c)
{
	int r = answer(c, "LocalDefaultAddressSpace", json_string("cnm-local"));

	return r < 0 ? r : answer(c, "GlobalDefaultAddressSpace", json_string("cnm-global"));
}

static int endpoint_info(struct docker_call *c)
{
	return answer(c, "Value", json_object());
}

/* Of no concern here: hosts find one another by cnm's store, and there is no swarm. */
static int nothing(struct docker_call *c)
{
	return 0;
}

static const struct {
	const char *path;
	int (*run)(struct docker_call *c);
} calls[] = {
	{ "/Plugin.Activate", activate },
	{ "/NetworkDriver.GetCapabilities", network_capabilities },
	{ "/NetworkDriver.AllocateNetwork", nothing },
	{ "/NetworkDriver.FreeNetwork", nothing },
	{ "/NetworkDriver.GwAllocCheck", check_gateways },
	{ "/NetworkDriver.CreateNetwork", docker_create_network },
	{ "/NetworkDriver.DeleteNetwork", docker_delete_network },
	{ "/NetworkDriver.CreateEndpoint", docker_create_endpoint },
	{ "/NetworkDriver.DeleteEndpoint", docker_delete_endpoint },
	{ "/NetworkDriver.EndpointOperInfo", endpoint_info },
	{ "/NetworkDriver.Join", docker_join },
	{ "/NetworkDriver.Leave", docker_leave },
	{ "/NetworkDriver.ProgramExternalConnectivity", docker_publish },
	{ "/NetworkDriver.RevokeExternalConnectivity", docker_unpublish },
	{ "/NetworkDriver.DiscoverNew", nothing },
	{ "/NetworkDriver.DiscoverDelete", nothing },
	{ "/IpamDriver.GetCapabilities", ipam_capabilities },
	{ "/IpamDriver.GetDefaultAddressSpaces", address_spaces },
	{ "/IpamDriver.RequestPool", docker_request_pool },
	{ "/IpamDriver.ReleasePool", docker_release_pool },
	{ "/IpamDriver.RequestAddress", docker_request_address },
	{ "/IpamDriver.ReleaseAddress", docker_release_address },
};
#define N_CALLS (sizeof(calls) / sizeof(*calls))

/* ---- HTTP */

/* Docker reads "Err" of a network driver and "Error" of IPAM. What is no UTF-8 becomes '?'. */
static void fail(struct docker_call *c)
{
	json_object_clear(c->answer);
	for (char *p = c->err.text; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json_put(c->answer, "Err", json_string(c->err.text));
	json_put(c->answer, "Error", json_string(c->err.text));
}

static void reply(struct http_exchange *x, int status, const json_t *j)
{
	static const char no_memory[] = "{\"Err\":\"out of memory\",\"Error\":\"out of memory\"}";
	_free_ char *text = j ? json_text(j) : NULL;
	const char *body = text ? text : no_memory;

	http_reply(x, status, TYPE, body, strlen(body));
}

static int run(struct docker_call *c, const struct http_message *m, int *ret_status)
{
	size_t i = 0;
	int r = 0;

	while (i < N_CALLS && !streq(m->path, calls[i].path))
		i++;
	if (i == N_CALLS || !streq(m->method, "POST")) {
		*ret_status = 404;
		return cnm_error_set(&c->err, CNM_E_NOT_FOUND,
				     "%.80s %.80s is no call of Docker's plugins", m->method,
				     m->path);
	}
	if (m->body.len)
		r = api_parse(&c->body, m->body.s, m->body.len, &c->err);
	return r < 0 ? r : calls[i].run(c);
}

/* Soon the thread looks at what it left behind. */
static void note_call(struct docker_plugin *p)
{
	LOCKED(&p->lock);

	if (!p->called)
		pthread_cond_signal(&p->wake);
	p->called = true;
}

/* An error is an answer like another: Docker shows its text as it is if the status is 200. */
static void handle(struct http_exchange *x, void *arg)
{
	const struct docker_driver *d = arg;
	struct docker_call c = { .driver = d, .plugin = d->plugin, .engine = d->plugin->engine };
	int status = 200;

	note_call(d->plugin);
	c.answer = json_object();
	if (run(&c, http_request(x), &status) < 0) {
		log_debug("%s: %s", http_request(x)->path, c.err.text);
		fail(&c);
	}
	reply(x, status, c.answer);
	json_decref(c.answer);
	json_decref(c.body);
	api_memory_free(&c.memory);
}

/* ---- start and end */

static int serve(struct docker_driver *d, int fd, struct cnm_error *err)
{
	const struct http_server_options options = { .handle = handle,
						     .arg = d,
						     .max_body = MAX_BODY };
	int r = http_server_start(&d->server, &options, err);

	return r < 0 ? r : http_server_listen(d->server, fd, err);
}

int docker_plugin_start(struct docker_plugin **ret, struct cnm_engine *engine,
			const int fds[DOCKER_PLUGINS], struct cnm_error *err)
{
	struct docker_plugin *p = calloc(1, sizeof(*p));
	struct docker_call c = { .plugin = p, .engine = engine };
	int r = 0;

	if (!p)
		return cnm_error_errno(err, ENOMEM, "Docker's plugin");
	p->engine = engine;
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->wake);
	p->called = true; /* by an earlier daemon */
	if (docker_drop_idle(&c, NULL) < 0)
		log_warn("addresses reserved for Docker that it does not use may be left: %s",
			 c.err.text);
	for (unsigned i = 0; i < DOCKER_PLUGINS && r == 0; i++) {
		bool overlay = i == 1;

		p->drivers[i] = (struct docker_driver){ .plugin = p,
							.driver = overlay ? "overlay" : "bridge",
							.overlay = overlay };
		r = serve(&p->drivers[i], fds[i], err);
	}
	if (r == 0 && (r = -pthread_create(&p->thread, NULL, docker_idle_main, p)) < 0)
		cnm_error_errno(err, r, "start the thread of Docker's plugin");
	p->runs = r == 0;
	if (r < 0) {
		docker_plugin_stop(p, 0);
		return r;
	}
	*ret = p;
	return 0;
}

static void stop_thread(struct docker_plugin *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (p->runs)
		pthread_join(p->thread, NULL);
	p->runs = false;
}

int docker_plugin_stop(struct docker_plugin *p, unsigned timeout_ms)
{
	if (!p)
		return 0;
	for (unsigned i = 0; i < DOCKER_PLUGINS; i++) {
		struct docker_driver *d = &p->drivers[i];

		if (d->server && http_server_stop(d->server, timeout_ms) < 0)
			return -ETIMEDOUT;
		d->server = NULL;
	}
	stop_thread(p);
	json_decref(p->idle);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return 0;
}
