/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine's life: open, close, teardown, and what it says of itself. See engine.h for how it
 * works.
 */
#include "controller/cluster.h"
#include "controller/host_files.h"
#include "controller/ports.h"
#include "controller/remote.h"
#include "controller/sandbox_names.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cond.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/netns.h"

#define DEFAULT_POOL 4

/* A small text file; NULL if it cannot be read. */
static char *read_text(const char *path)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd >= 0 ? calloc(1, 65536) : NULL;
	ssize_t n = text ? read(fd, text, 65535) : -1;
	char *fit;

	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = 0;
	fit = realloc(text, n + 1);
	return fit ? fit : text;
}

static int set_copy(char **slot, const char *value, const char *otherwise)
{
	*slot = strdup(value && value[0] ? value : otherwise);
	return *slot ? 0 : -ENOMEM;
}

static int check_instance(const char *name, struct cnm_error *err)
{
	size_t n = strlen(name);
	bool ok = n >= 1 && n <= 12;

	for (size_t i = 0; i < n; i++)
		ok &= islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]);
	if (ok)
		return 0;
	return cnm_error_set(err, CNM_E_INVALID,
			     "instance \"%s\": it must be 1 to 12 of the characters a-z and 0-9",
			     name);
}

static int set_options(struct cnm_engine *e, const struct cnm_options *o,
		       const struct cluster_options *cluster, struct cnm_error *err)
{
	int r;

	if (set_copy(&e->state_dir, o->state_dir, "/var/lib/cnm") < 0 ||
	    set_copy(&e->run_dir, o->run_dir, "/run/cnm") < 0 ||
	    set_copy(&e->netns_dir, o->netns_dir, "/run/netns") < 0 ||
	    set_copy(&e->instance, o->instance, "cnm") < 0 ||
	    set_copy(&e->default_bridge, o->default_bridge, "cnm0") < 0 ||
	    set_copy(&e->resolv_conf, o->resolv_conf, "/etc/resolv.conf") < 0)
		return cnm_error_errno(err, ENOMEM, "open the engine");
	e->no_forwarding = o->no_forwarding;
	e->forward_no_drop = o->forward_no_drop;
	e->env = (struct driver_env){ .instance = e->instance,
				      .model = &e->model,
				      .host_ipv6 = hostports_have_ipv6(),
				      .vtep = cluster->address };
	e->host_files = host_files_new(e->resolv_conf);
	if (!e->host_files)
		return cnm_error_errno(err, ENOMEM, "open the engine");
	r = check_instance(o->instance ? o->instance : e->instance, err);
	return r < 0 ? r : engine_set_names(e, o, err);
}

static int make_dirs(const char *path, mode_t mode, struct cnm_error *err)
{
	_free_ char *p = strdup(path);

	for (char *s = p ? strchr(p + 1, '/') : NULL; s; s = strchr(s + 1, '/')) {
		*s = 0;
		mkdir(p, 0755);
		*s = '/';
	}
	if (!p || (mkdir(path, mode) < 0 && errno != EEXIST))
		return cnm_error_errno(err, p ? errno : ENOMEM, "make directory %s", path);
	return 0;
}

/* Who this engine is: an id for life, from the database. */
static int read_identity(struct cnm_engine *e, struct cnm_error *err)
{
	struct store_tx *tx;
	char id[ID_SIZE], *boot;
	int r = store_meta_get(e->store, "engine-id", &e->engine_id, err);

	if (r < 0)
		return r;
	boot = read_text("/proc/sys/kernel/random/boot_id");
	if (!boot)
		return cnm_error_errno(err, ENOENT, "read the boot id");
	boot[strcspn(boot, "\n")] = 0;
	e->boot_id = boot;
	if (e->engine_id)
		return 0;
	id_new(id);
	e->engine_id = strdup(id);
	tx = store_tx_new(e->store);
	store_tx_set_meta(tx, "engine-id", id);
	r = store_commit(e->store, tx, STORE_FULL, err);
	return r < 0 ? r : e->engine_id ? 0 : cnm_error_errno(err, ENOMEM, "engine id");
}

static void keep_again(void *arg)
{
	proxy_keep(((struct cnm_engine *)arg)->proxy);
}

static int open_parts(struct cnm_engine *e, const struct cnm_options *o, struct cnm_error *err)
{
	int r;

	if ((r = make_dirs(e->run_dir, 0755, err)) < 0 || (r = remote_new(e, o, err)) < 0 ||
	    (r = store_open(&e->store, e->state_dir, err)) < 0 || (r = read_identity(e, err)) < 0 ||
	    (r = events_new(&e->events, err)) < 0 ||
	    (r = fdkeep_open(&e->fdkeep, e->run_dir, o->keeper, err)) < 0 ||
	    (r = resolver_start(&e->resolver, e->resolv_conf, err)) < 0)
		return r;
	r = applier_new(
		&e->applier,
		&(struct applier_options){ .instance = e->instance,
					   .netns_dir = e->netns_dir,
					   .run_dir = e->run_dir,
					   .pool_size = o->pool_size ? o->pool_size : DEFAULT_POOL,
					   .fdkeep = e->fdkeep,
					   .keep_again = keep_again,
					   .arg = e,
					   .resolver = e->resolver },
		err);
	if (r < 0)
		return r;
	reconcile_uplinks(e);
	return 0;
}

/* Who waits at its sockets since before the start is asked about now: every port is known. */
static int open_proxy(struct cnm_engine *e, struct cnm_error *err)
{
	int r = proxy_new(
		&e->proxy,
		&(struct proxy_options){ .fdkeep = e->fdkeep, .find = ports_find_target, .arg = e },
		err);

	hostports_set_own(IPPROTO_TCP, proxy_port(e->proxy, IPPROTO_TCP));
	hostports_set_own(IPPROTO_UDP, proxy_port(e->proxy, IPPROTO_UDP));
	return r;
}

/* The networks that are there from the first start. */
static int make_predefined(struct cnm_engine *e, struct cnm_error *err)
{
	const struct cnm_kv link = { "com.docker.network.bridge.name", e->default_bridge };
	const struct cnm_network_config predefined[] = {
		{ .name = "bridge", .driver = "bridge", .options = &link, .n_options = 1 },
		{ .name = "host", .driver = "host", .ipv4 = CNM_YES },
		{ .name = "none", .driver = "null", .ipv4 = CNM_YES },
	};
	char id[CNM_ID_SIZE];

	for (unsigned i = 0; i < 3; i++) {
		int r;

		if (map_get(&e->model.network_by_name, predefined[i].name))
			continue;
		r = engine_create_network(e, &predefined[i], true, NULL, id, NULL, err);
		if (r < 0)
			return cnm_error_prefix(err, "make the network \"%s\"", predefined[i].name),
			       r;
	}
	return 0;
}

/* The firewall's table has to be there before the first element. */
static int load_ruleset(struct cnm_engine *e, struct cnm_error *err)
{
	struct plan p = { 0 };
	int r;

	if (!list_empty(&e->model.networks))
		return 0; /* the first comparison does it, with every element */
	plan_host(e, &p);
	r = plan_check(&p, err);
	applier_enter(e->applier);
	if (r == 0)
		r = applier_load_ruleset(e->applier, &p, false, err);
	applier_leave(e->applier);
	plan_free(&p);
	return r;
}

static int name_is_wanted(const char *name, void *arg)
{
	struct cnm_engine *e = arg;
	const char *dns = str_after(name, "dns:"), *ports = str_after(name, "ports:");
	const char *id = dns ? dns : ports;
	const struct sandbox *sb = id ? map_get(&e->model.sandbox_by_id, id) : NULL;

	return !id || (sb && !sb->stopped && (dns || sandbox_has_bound_ports(sb)));
}

int cnm_engine_open(struct cnm_engine **ret, const struct cnm_options *options,
		    struct cnm_error *err)
{
	_cleanup_(cluster_options_free) struct cluster_options cluster = { 0 };
	struct cnm_engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return cnm_error_errno(err, ENOMEM, "open the engine");
	if (options->log)
		log_set_sink(options->log, options->log_arg);
	model_init(&e->model);
	pthread_mutex_init(&e->lock, NULL);
	cond_init(&e->changed);
	if ((r = cluster_options_read(&cluster, options, err)) < 0 ||
	    (r = set_options(e, options, &cluster, err)) < 0 ||
	    (r = open_parts(e, options, err)) < 0 || (r = engine_restore(e, err)) < 0 ||
	    (r = open_proxy(e, err)) < 0 || (r = load_ruleset(e, err)) < 0 ||
	    (r = make_predefined(e, err)) < 0 || (r = reconcile_start(e, err)) < 0 ||
	    (r = cluster_start(e, &cluster, err)) < 0 || (r = remote_start(e, err)) < 0) {
		cnm_engine_close(e);
		return r;
	}
	fdkeep_sweep(e->fdkeep, name_is_wanted, e);
	*ret = e;
	return 0;
}

void cnm_engine_close(struct cnm_engine *e)
{
	if (!e)
		return;
	remote_stop(e);
	cluster_stop(e);
	reconcile_stop(e);
	proxy_free(e->proxy);
	applier_free(e->applier);
	resolver_stop(e->resolver);
	fdkeep_close(e->fdkeep);
	store_close(e->store);
	events_free(e->events);
	remote_free(e);
	model_free(&e->model);
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
	free(e->state_dir);
	free(e->run_dir);
	free(e->netns_dir);
	free(e->instance);
	free(e->default_bridge);
	free(e->resolv_conf);
	free(e->engine_id);
	free(e->boot_id);
	host_files_free(e->host_files);
	json_decref(e->dns);
	json_decref(e->dns_search);
	json_decref(e->dns_options);
	free(e);
}

/* ---- teardown */

static void add_failure(struct strbuf *all, const struct cnm_error *one)
{
	strbuf_addf(all, "%s%s", all->len ? "; " : "", one->text);
}

/* Declared ones are stopped, and stay in the database as networks do. */
static void remove_sandboxes(struct cnm_engine *e, struct strbuf *failures)
{
	for (;;) {
		struct cnm_error one = { 0 };
		char id[ID_SIZE] = "";

		bool declared = false;
		const struct sandbox *sb;
		int r;

		pthread_mutex_lock(&e->lock);
		list_for_each (sb, &e->model.sandboxes, node)
			if (!sb->stopped) {
				memcpy(id, sb->id, ID_SIZE);
				declared = sb->declared;
			}
		pthread_mutex_unlock(&e->lock);
		if (!id[0])
			return;
		r = declared ? cnm_sandbox_stop(e, id, NULL, &one)
			     : cnm_sandbox_remove(e, id, NULL, &one);
		if (r < 0) {
			add_failure(failures, &one);
			return;
		}
	}
}

/* The links of networks go; their rows stay, so that the next start makes them again. */
static void remove_network_objects(struct cnm_engine *e, struct strbuf *failures)
{
	struct change c = { 0 };
	struct cnm_error one = { 0 };
	const struct network *n;

	pthread_mutex_lock(&e->lock);
	list_for_each (n, &e->model.networks, node)
		plan_network(e, n, &c.before);
	pthread_mutex_unlock(&e->lock);
	if (change_prepare(&c, &one) < 0 || applier_run(e->applier, &c.diff, &one) < 0 ||
	    applier_unload_ruleset(e->applier, &one) < 0)
		add_failure(failures, &one);
	change_free(&c);
}

int cnm_engine_teardown(struct cnm_engine *e, struct cnm_error *err)
{
	struct strbuf failures = { 0 };
	char path[512];
	int r = 0;

	reconcile_host_first(e);
	reconcile_stop(e);
	remove_sandboxes(e, &failures);
	remove_network_objects(e, &failures);
	snprintf(path, sizeof(path), "%s/sandboxes", e->run_dir);
	rmdir(path);
	fdkeep_end(e->fdkeep);
	if (failures.len || failures.failed)
		r = cnm_error_set(err, CNM_E_INTERNAL, "%s", failures.s ? failures.s : "no memory");
	strbuf_free(&failures);
	return r;
}

/* ---- about itself */

static json_t *pools_json(void)
{
	json_t *list = json_array();
	size_t n;
	const struct ipam_default_pool *p = ipam_default_pools(&n);

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();
		char buf[PREFIX_STR];

		json_put(o, "Base", json_string(prefix_format(&p[i].base, buf)));
		json_put(o, "Size", json_integer(p[i].size));
		json_push(list, o);
	}
	return list;
}

/* cnm's, and the plugins that are known to be one. */
static json_t *drivers_json(struct cnm_engine *e)
{
	_json_ json_t *plugins = plugins_list(e->remote->plugins);
	json_t *list = json_array(), *o, *role;
	size_t i, k;

	for (const struct driver *const *d = drivers; *d; d++)
		json_push(list, json_string((*d)->name));
	json_array_foreach (plugins, i, o)
		json_array_foreach (json_object_get(o, "Implements"), k, role)
			if (streq(json_string_value(role), PLUGIN_NETWORK))
				json_push(list, json_incref(json_object_get(o, "Name")));
	return list;
}

static json_t *warnings_json(struct cnm_engine *e, bool forwarding)
{
	json_t *list = json_array();
	char drop[256] = "", line[512];
	char *fault = store_fault(e->store);

	applier_enter(e->applier);
	applier_foreign_drop(e->applier, drop, sizeof(drop), NULL);
	applier_leave(e->applier);
	if (!forwarding)
		json_push(list, json_string("WARNING: IPv4 forwarding is disabled"));
	if (drop[0]) {
		snprintf(
			line, sizeof(line),
			"WARNING: %s drops the packets that cnm's networks forward; docs/FIREWALL.md "
			"has the rule that accepts them",
			drop);
		json_push(list, json_string(line));
	}
	if (fault)
		json_push(list, json_string(fault));
	free(fault);
	return list;
}

int cnm_engine_info(struct cnm_engine *e, char **ret_json, struct cnm_error *err)
{
	_json_ json_t *o = json_object();
	const struct sandbox *sb;
	unsigned sandboxes = 0;
	char v[16] = "0", *text;
	bool forwarding =
		sysctl_read(SYSCTL_HOME, "net/ipv4/ip_forward", v, sizeof(v), NULL) == 0 &&
		streq(v, "1");

	json_put(o, "Warnings", warnings_json(e, forwarding));
	pthread_mutex_lock(&e->lock);
	list_for_each (sb, &e->model.sandboxes, node)
		sandboxes++;
	json_put(o, "ID", json_string(e->engine_id));
	json_put(o, "IPv4Forwarding", json_boolean(forwarding));
	json_put(o, "NetworkDrivers", drivers_json(e));
	json_put(o, "DefaultAddressPools", pools_json());
	json_put(o, "StateDir", json_string(e->state_dir));
	json_put(o, "RunDir", json_string(e->run_dir));
	json_put(o, "NetnsDir", json_string(e->netns_dir));
	json_put(o, "Instance", json_string(e->instance));
	json_put(o, "Sandboxes", json_integer(sandboxes));
	json_put(o, "KeeperPid", json_integer(fdkeep_pid(e->fdkeep)));
	json_put(o, "Checked", json_boolean(e->all_checked));
	cluster_describe(e, o);
	pthread_mutex_unlock(&e->lock);
	text = json_text(o);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "info");
	*ret_json = text;
	return 0;
}

int engine_fd_take(struct cnm_engine *e, const char *name)
{
	int fd;

	return fdkeep_take(e->fdkeep, name, &fd, 1) == 1 ? fd : -1;
}

int engine_fd_put(struct cnm_engine *e, const char *name, int fd)
{
	return fdkeep_put(e->fdkeep, name, &fd, 1, NULL);
}

void engine_fd_drop(struct cnm_engine *e, const char *name)
{
	fdkeep_drop(e->fdkeep, name);
}

const char *cnm_version(void)
{
	return CNM_VERSION;
}
