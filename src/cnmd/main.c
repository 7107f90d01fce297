/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cnmd: an engine behind the Docker Engine API on a unix socket.
 *
 * The main thread opens the engine, hands the socket to the HTTP server, and waits for a signal.
 * The listening socket is kept by the keeper, so that clients who come while the daemon restarts
 * wait in its backlog; so are those of Docker's plugins. Ending the daemon leaves sandboxes and
 * their traffic as they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "cnm/cnm.h"
#include "cnmd/docker.h"
#include "cnmd/listen.h"
#include "containers/containers.h"
#include "controller/engine.h"

#ifndef CNM_LIBEXECDIR
#define CNM_LIBEXECDIR "/usr/libexec"
#endif
#define DEFAULT_SOCKET  "/run/cnm/cnm.sock"
#define KEPT_NAME       "api" /* of the listening socket, at the keeper */
#define STOP_TIMEOUT_MS 15000 /* for requests in progress when told to end */

struct settings {
	struct cnm_options engine;
	struct containers_options containers;
	const char *socket;
	const char *docker_plugins; /* NULL: Docker is not served */
	const char *keeper;         /* as given; NULL: the default */
	char keeper_path[PATH_MAX];
	bool teardown;
};

/* -------------------------------------------------------------------------------- command line */

static const char help_text[] =
	"Usage: cnmd [OPTIONS]\n"
	"\n"
	"Container networks for one host, behind the Docker Engine API on a unix socket.\n"
	"\n"
	"  --socket PATH          serve the API here (default " DEFAULT_SOCKET ")\n"
	"  -H, --host unix://PATH the same\n"
	"  --state-dir DIR        the database (default /var/lib/cnm)\n"
	"  --run-dir DIR          files of running sandboxes (default /run/cnm)\n"
	"  --netns-dir DIR        where network namespaces are pinned (default /run/netns)\n"
	"  --instance NAME        marks all that this engine makes (default cnm)\n"
	"  --bridge-name NAME     link of the network \"bridge\" (default cnm0)\n"
	"  --no-ip-forward        do not turn IP forwarding on\n"
	"  --ip-forward-no-drop   having turned it on, do not drop others' forwarded packets\n"
	"  --keeper PATH          program that keeps sockets over a restart, or \"systemd\",\n"
	"                         or \"none\" (default cnm-keeper beside cnmd or in\n"
	"                         " CNM_LIBEXECDIR ")\n"
	"  --runtime NAME|PATH    the OCI runtime (default: crun if it works here, else runc)\n"
	"  --conmon PATH          (default conmon)\n"
	"  --seccomp PATH         the containers' profile, in Docker's format\n"
	"                         (default /usr/share/containers/seccomp.json)\n"
	"  --cgroup-parent PATH   where the containers' cgroups are (default / and the instance)\n"
	"  --busybox PATH         what the image busybox is made of (default /bin/busybox)\n"
	"  --pool N               ready-made namespaces (default 4)\n"
	"  --resolv-conf PATH     the host's (default /etc/resolv.conf)\n"
	"  --dns ADDRESS          server for containers that bring none (default: the host's)\n"
	"  --dns-search DOMAIN    search domain for those that bring none\n"
	"  --dns-opt OPTION       resolv.conf option for those that bring none\n"
	"  --host-gateway-ip IP   what host-gateway in --add-host stands for, one of each\n"
	"                         family (default: the gateways of the network \"bridge\");\n"
	"                         these four may be given several times\n"
	"  --cluster-store URL    networks over many hosts: etcd://HOST:PORT[,...][/PREFIX],\n"
	"                         consul://... or zk://... (docs/STORES.md)\n"
	"  --cluster-advertise ADDRESS|INTERFACE\n"
	"                         where the other hosts reach this one\n"
	"  --cluster-store-opt KEY=VALUE\n"
	"                         kv.cacertfile, kv.certfile, kv.keyfile (TLS), discovery.ttl,\n"
	"                         discovery.heartbeat, cnm.grace, cnm.linger (s); may be given\n"
	"                         several times\n"
	"  --plugin-timeout S     how long a plugin may take to answer a call (default 10)\n"
	"  --docker-plugin[=DIR]  let Docker use cnm's networks: `docker network create -d cnm`,\n"
	"                         -d cnm-overlay (docs/DOCKER-PLUGIN.md; sockets in DIR,\n"
	"                         default " DOCKER_DEFAULT_DIR "); implies --ip-forward-no-drop\n"
	"  --log-level LEVEL      error, warn, info or debug (default info)\n"
	"  --teardown             remove everything the engine made, and exit\n"
	"  --version, --help\n";

enum {
	OPT_SOCKET = 256,
	OPT_STATE_DIR,
	OPT_RUN_DIR,
	OPT_NETNS_DIR,
	OPT_INSTANCE,
	OPT_BRIDGE_NAME,
	OPT_NO_IP_FORWARD,
	OPT_IP_FORWARD_NO_DROP,
	OPT_KEEPER,
	OPT_RUNTIME,
	OPT_CONMON,
	OPT_SECCOMP,
	OPT_CGROUP_PARENT,
	OPT_BUSYBOX,
	OPT_POOL,
	OPT_RESOLV_CONF,
	OPT_DNS,
	OPT_DNS_SEARCH,
	OPT_DNS_OPT,
	OPT_HOST_GATEWAY_IP,
	OPT_CLUSTER_STORE,
	OPT_CLUSTER_ADVERTISE,
	OPT_CLUSTER_STORE_OPT,
	OPT_PLUGIN_TIMEOUT,
	OPT_DOCKER_PLUGIN,
	OPT_LOG_LEVEL,
	OPT_TEARDOWN,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "host", required_argument, NULL, 'H' },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "run-dir", required_argument, NULL, OPT_RUN_DIR },
	{ "netns-dir", required_argument, NULL, OPT_NETNS_DIR },
	{ "instance", required_argument, NULL, OPT_INSTANCE },
	{ "bridge-name", required_argument, NULL, OPT_BRIDGE_NAME },
	{ "no-ip-forward", no_argument, NULL, OPT_NO_IP_FORWARD },
	{ "ip-forward-no-drop", no_argument, NULL, OPT_IP_FORWARD_NO_DROP },
	{ "keeper", required_argument, NULL, OPT_KEEPER },
	{ "runtime", required_argument, NULL, OPT_RUNTIME },
	{ "conmon", required_argument, NULL, OPT_CONMON },
	{ "seccomp", required_argument, NULL, OPT_SECCOMP },
	{ "cgroup-parent", required_argument, NULL, OPT_CGROUP_PARENT },
	{ "busybox", required_argument, NULL, OPT_BUSYBOX },
	{ "pool", required_argument, NULL, OPT_POOL },
	{ "resolv-conf", required_argument, NULL, OPT_RESOLV_CONF },
	{ "dns", required_argument, NULL, OPT_DNS },
	{ "dns-search", required_argument, NULL, OPT_DNS_SEARCH },
	{ "dns-opt", required_argument, NULL, OPT_DNS_OPT },
	{ "host-gateway-ip", required_argument, NULL, OPT_HOST_GATEWAY_IP },
	{ "cluster-store", required_argument, NULL, OPT_CLUSTER_STORE },
	{ "cluster-advertise", required_argument, NULL, OPT_CLUSTER_ADVERTISE },
	{ "cluster-store-opt", required_argument, NULL, OPT_CLUSTER_STORE_OPT },
	{ "plugin-timeout", required_argument, NULL, OPT_PLUGIN_TIMEOUT },
	{ "docker-plugin", optional_argument, NULL, OPT_DOCKER_PLUGIN },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "teardown", no_argument, NULL, OPT_TEARDOWN },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int set_host(struct settings *s, const char *host)
{
	const char *path = str_after(host, "unix://");

	if (path && *path == '/') {
		s->socket = path;
		return 0;
	}
	if (str_after(host, "tcp://"))
		fprintf(stderr,
			"cnmd: --host %s: tcp:// is not served: use a unix socket, or "
			"ssh -L, to reach the daemon from elsewhere\n",
			host);
	else
		fprintf(stderr, "cnmd: --host %s: it must be unix:///PATH\n", host);
	return -EINVAL;
}

static int set_log_level(const char *name)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = { { "error", LOG_LEVEL_ERR },
		       { "warn", LOG_LEVEL_WARN },
		       { "info", LOG_LEVEL_INFO },
		       { "debug", LOG_LEVEL_DEBUG } };

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		if (streq(levels[i].name, name)) {
			log_set_level(levels[i].level);
			return 0;
		}
	fprintf(stderr, "cnmd: --log-level %s: it is error, warn, info or debug\n", name);
	return -EINVAL;
}

static int set_pool(struct settings *s, const char *text)
{
	long n;

	if (str_to_long(text, 1, 1024, &n) < 0) {
		fprintf(stderr, "cnmd: --pool %s: it is a number from 1 to 1024\n", text);
		return -EINVAL;
	}
	s->engine.pool_size = (unsigned)n;
	return 0;
}

static int set_plugin_timeout(struct settings *s, const char *text)
{
	long n;

	if (str_to_long(text, 1, 300, &n) < 0) {
		fprintf(stderr,
			"cnmd: --plugin-timeout %s: it is a number of seconds from 1 to 300\n",
			text);
		return -EINVAL;
	}
	s->engine.plugin_timeout_ms = (unsigned)n * 1000;
	return 0;
}

static int set_cgroup_parent(struct settings *s, const char *path)
{
	if (path[0] != '/' || !path[1] || strstr(path, "..")) {
		fprintf(stderr, "cnmd: --cgroup-parent %s: it must be an absolute path\n", path);
		return -EINVAL;
	}
	s->containers.cgroup_parent = path;
	return 0;
}

/* One more of an option that may be repeated; the engine checks it. */
static int add(const char *const **list, size_t *n, const char *value)
{
	const char **longer = reallocarray((void *)*list, *n + 1, sizeof(*longer));

	if (!longer) {
		fprintf(stderr, "cnmd: out of memory\n");
		return -ENOMEM;
	}
	longer[(*n)++] = value;
	*list = longer;
	return 0;
}

/* 0, or negative after a message. */
static int set_option(struct settings *s, int option, const char *value)
{
	switch (option) {
	case OPT_SOCKET:
		s->socket = value;
		return 0;
	case 'H':
		return set_host(s, value);
	case OPT_STATE_DIR:
		s->engine.state_dir = value;
		return 0;
	case OPT_RUN_DIR:
		s->engine.run_dir = value;
		return 0;
	case OPT_NETNS_DIR:
		s->engine.netns_dir = value;
		return 0;
	case OPT_INSTANCE:
		s->engine.instance = value;
		return 0;
	case OPT_BRIDGE_NAME:
		s->engine.default_bridge = value;
		return 0;
	case OPT_NO_IP_FORWARD:
		s->engine.no_forwarding = true;
		return 0;
	case OPT_IP_FORWARD_NO_DROP:
		s->engine.forward_no_drop = true;
		return 0;
	case OPT_KEEPER:
		s->keeper = value;
		return 0;
	case OPT_RUNTIME:
		s->containers.runtime = value;
		return 0;
	case OPT_CONMON:
		s->containers.conmon = value;
		return 0;
	case OPT_SECCOMP:
		s->containers.seccomp = value;
		return 0;
	case OPT_CGROUP_PARENT:
		return set_cgroup_parent(s, value);
	case OPT_BUSYBOX:
		s->containers.busybox = value;
		return 0;
	case OPT_POOL:
		return set_pool(s, value);
	case OPT_RESOLV_CONF:
		s->engine.resolv_conf = value;
		return 0;
	case OPT_DNS:
		return add(&s->engine.dns, &s->engine.n_dns, value);
	case OPT_DNS_SEARCH:
		return add(&s->engine.dns_search, &s->engine.n_dns_search, value);
	case OPT_DNS_OPT:
		return add(&s->engine.dns_options, &s->engine.n_dns_options, value);
	case OPT_HOST_GATEWAY_IP:
		return add(&s->engine.host_gateways, &s->engine.n_host_gateways, value);
	case OPT_CLUSTER_STORE:
		s->engine.cluster_store = value;
		return 0;
	case OPT_CLUSTER_ADVERTISE:
		s->engine.cluster_advertise = value;
		return 0;
	case OPT_CLUSTER_STORE_OPT:
		return add(&s->engine.cluster_store_opts, &s->engine.n_cluster_store_opts, value);
	case OPT_PLUGIN_TIMEOUT:
		return set_plugin_timeout(s, value);
	case OPT_DOCKER_PLUGIN:
		s->docker_plugins = value ? value : DOCKER_DEFAULT_DIR;
		/* Or Docker's own networks would have no way out where we are first. */
		s->engine.forward_no_drop = true;
		return 0;
	case OPT_LOG_LEVEL:
		return set_log_level(value);
	case OPT_TEARDOWN:
		s->teardown = true;
		return 0;
	case OPT_VERSION:
		printf("cnmd %s\n", cnm_version());
		exit(0);
	case OPT_HELP:
		fputs(help_text, stdout);
		exit(0);
	}
	return -EINVAL; /* getopt has said why */
}

/* The keeper beside this program, else the installed one. */
static void find_keeper(struct settings *s)
{
	ssize_t n = readlink("/proc/self/exe", s->keeper_path, sizeof(s->keeper_path) - 1);
	char *slash;

	s->keeper_path[n > 0 ? n : 0] = '\0';
	slash = strrchr(s->keeper_path, '/');
	if (slash &&
	    str_copy(slash + 1, sizeof(s->keeper_path) - (size_t)(slash + 1 - s->keeper_path),
		     "cnm-keeper") &&
	    access(s->keeper_path, X_OK) == 0)
		s->engine.keeper = s->keeper_path;
	else if (access(CNM_LIBEXECDIR "/cnm-keeper", X_OK) == 0)
		s->engine.keeper = CNM_LIBEXECDIR "/cnm-keeper";
	else
		log_warn("cnm-keeper is neither beside cnmd nor in " CNM_LIBEXECDIR
			 ": sockets are not kept over a restart");
}

static int parse_options(struct settings *s, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "H:", long_options, NULL)) != -1)
		if (set_option(s, option, optarg) < 0)
			return -EINVAL;
	if (optind < argc) {
		fprintf(stderr, "cnmd: unexpected argument %s: see cnmd --help\n", argv[optind]);
		return -EINVAL;
	}
	if (!s->keeper)
		find_keeper(s);
	else if (!streq(s->keeper, "none"))
		s->engine.keeper = s->keeper;
	return 0;
}

/* ------------------------------------------------------------------------------------- serving */

/* As sd_notify(3). Nothing to say to if the daemon was not started by a service manager. */
static void notify_manager(const char *state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	_close_ int fd = -1;
	socklen_t n;

	if (!path || (*path != '/' && *path != '@') ||
	    !str_copy(addr.sun_path, sizeof(addr.sun_path), path))
		return;
	n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (*path == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr, n) < 0)
		log_warn("tell the service manager %s: %s", state, strerror(errno));
}

/* Until SIGTERM or SIGINT, which are blocked. */
static void wait_for_end(const sigset_t *signals)
{
	int sig = 0;

	for (;;) {
		if (sigwait(signals, &sig) != 0)
			continue;
		if (sig != SIGHUP)
			break;
		log_info(
			"SIGHUP: nothing is read again while running: restart cnmd to change its options");
	}
	log_info("%s: ending; sandboxes and containers stay as they are",
		 sig == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* The listening socket: the kept one or a new one, which is then kept. */
static int open_socket(struct cnm_engine *engine, const struct settings *s, int *ret_fd,
		       struct cnm_error *err)
{
	int r;

	r = listen_open(s->socket, engine_fd_take(engine, KEPT_NAME), ret_fd, err);
	if (r == 0 && s->engine.keeper && engine_fd_put(engine, KEPT_NAME, *ret_fd) < 0)
		log_warn("the API's socket is not kept: clients are refused during a restart");
	return r;
}

/* Serve until told to end. -ETIMEDOUT: a request would not end, and the engine is still in use. */
static int serve(struct cnm_engine *engine, struct containers *containers, const struct settings *s,
		 const sigset_t *signals, struct cnm_error *err)
{
	struct api api = { .engine = engine, .containers = containers };
	struct http_server_options options = {
		.handle = api_handle, .quick = api_is_quick, .streams = api_streams, .arg = &api
	};
	struct docker_sockets docker = { .dir = s->docker_plugins,
					 .keep = s->engine.keeper != NULL };
	struct http_server *server;
	_close_ int fd = -1;
	int r;

	r = open_socket(engine, s, &fd, err);
	if (r < 0)
		return r;
	r = http_server_start(&server, &options, err);
	if (r < 0)
		return r;
	r = docker_start(&docker, engine, err);
	if (r == 0)
		r = http_server_listen(server, fd, err);
	if (r == 0) {
		log_info("cnmd %s serves %s", cnm_version(), s->socket);
		notify_manager("READY=1");
		wait_for_end(signals);
		notify_manager("STOPPING=1");
	}
	if (http_server_stop(server, STOP_TIMEOUT_MS) < 0 ||
	    docker_stop(&docker, STOP_TIMEOUT_MS) < 0) {
		/* The threads that are left use what main would release. */
		log_err("a request did not end within %d s: exiting without it",
			STOP_TIMEOUT_MS / 1000);
		_exit(1);
	}
	if (!s->engine.keeper)
		unlink(s->socket);
	return r;
}

/* Both, whatever becomes of the first. */
static int teardown(struct cnm_engine *engine, struct containers *containers,
		    const struct settings *s, struct cnm_error *err)
{
	struct cnm_error second = { 0 };
	int r = containers_teardown(containers, err);

	if (cnm_engine_teardown(engine, &second) < 0) {
		if (r == 0)
			*err = second;
		else
			log_err("%s", second.text);
		r = -EIO;
	}
	docker_remove(&(struct docker_sockets){ .dir = s->docker_plugins });
	unlink(s->socket);
	return r;
}

static int run(const struct settings *s, const sigset_t *signals, struct cnm_error *err)
{
	struct containers_options options = s->containers;
	struct containers *containers = NULL;
	struct cnm_engine *engine;
	int r;

	r = cnm_engine_open(&engine, &s->engine, err);
	if (r < 0)
		return r;
	options.engine = engine;
	r = containers_open(&containers, &options, err);
	if (r == 0 && s->teardown)
		r = teardown(engine, containers, s, err);
	else if (r == 0)
		r = serve(engine, containers, s, signals, err);
	containers_close(containers);
	cnm_engine_close(engine);
	return r;
}

/*
 * A sandbox takes six descriptors. The table is made large at once: growing it under threads waits
 * for them all (RCU), 5 to 15 ms each time.
 */
static void make_room_for_descriptors(void)
{
	struct rlimit l;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC,
		   l.rlim_max > 16384 ? 16383 : (int)l.rlim_max - 1);
	if (fd >= 0)
		close(fd);
}

/* They are read from a descriptor (containers/container_monitor.c). */
static void block_child_signals(void)
{
	sigset_t children;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
}

static void settings_free(struct settings *s)
{
	free((void *)s->engine.dns);
	free((void *)s->engine.dns_search);
	free((void *)s->engine.dns_options);
	free((void *)s->engine.host_gateways);
	free((void *)s->engine.cluster_store_opts);
}

int main(int argc, char **argv)
{
	_cleanup_(settings_free) struct settings s = { .socket = DEFAULT_SOCKET };
	struct cnm_error err = { 0 };
	sigset_t signals;

	mallopt(M_ARENA_MAX,
		2); /* each thread's own would cost more memory than waiting costs time */
	if (parse_options(&s, argc, argv) < 0)
		return 2;
	make_room_for_descriptors();
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL); /* before any thread, which inherits it */
	block_child_signals();
	signal(SIGPIPE, SIG_IGN);
	if (run(&s, &signals, &err) < 0) {
		log_err("%s", err.text);
		return 1;
	}
	return 0;
}
