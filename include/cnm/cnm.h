/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcnm: the Container Network Model for one host.
 *
 * A *network* is a group of endpoints that reach one another. An *endpoint* joins one sandbox to
 * one network. A *sandbox* is one container's network stack: a network namespace with its files.
 * An *engine* owns them: it opens a state directory, keeps what is declared in it, and makes the
 * kernel agree. The daemon cnmd is this library behind an HTTP server; a program may equally run
 * an engine in its own process (examples/two-networks.c).
 *
 * Rules that hold for every function here:
 *
 *  - Any thread may call; calls on one engine run beside one another. A call that needs an object
 *    another call is changing waits for it a bounded time, then fails with CNM_E_CONFLICT.
 *  - A call that fails changes nothing, and says why in *err (see error.h; NULL is allowed).
 *  - `ref` names an object by its full id, else its name, else a unique prefix of its id.
 *    Endpoints, whose names are unique within their network only, also take "network/name".
 *  - Strings and arrays passed in are read during the call only. NULL or zero means "not given".
 *  - Text handed out by a ret_ parameter belongs to the caller, who free()s it. ret_ parameters
 *    are written on success only.
 *  - Addresses are text: "10.0.0.2", "fd00::2", with a length ("/24") where a subnet is meant.
 *  - A changing call takes `struct cnm_dry_run *dry`. NULL: do it. Else nothing is changed,
 *    everything is checked, and dry->plan receives what would be done, one kernel object a line.
 */
#ifndef CNM_CNM_H
#define CNM_CNM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cnm/error.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define CNM_ID_SIZE 65 /* 64 hex digits and the terminator */

struct cnm_engine;

struct cnm_kv {
	const char *key, *value;
};

/* ------------------------------------------------------------------------------- the engine */

struct cnm_options {
	const char *state_dir; /* the database; one engine at a time. Default /var/lib/cnm */
	const char *run_dir;   /* hosts and resolv.conf files, keeper socket. Default /run/cnm */
	const char *netns_dir; /* where namespaces are pinned. Default /run/netns */
	const char *instance;  /* marks every kernel object; [a-z0-9]{1,12}. Default "cnm" */
	const char *default_bridge; /* link of the network "bridge". Default "cnm0" */
	const char *keeper;      /* path of the keeper program, or NULL: no keeper. Descriptors that
				    must outlive the process then die with it */
	const char *resolv_conf; /* the host's. Default /etc/resolv.conf */
	bool no_forwarding;      /* do not turn on ip_forward; networks then fail to create with a
				    message that names the sysctl */
	bool forward_no_drop;    /* having turned forwarding on, do not drop packets between
				    interfaces that are not cnm's */
	unsigned pool_size;      /* ready-made namespaces; 0 means 4 */
	/*
	 * For sandboxes that bring none of their own: name servers (then asked from the sandbox's
	 * namespace, not the host's), search domains, options of resolv.conf.
	 */
	const char *const *dns, *const *dns_search, *const *dns_options;
	size_t n_dns, n_dns_search, n_dns_options;
	/* What "host-gateway" of extra hosts stands for; NULL: the default bridge's gateways. */
	const char *const *host_gateways;
	size_t n_host_gateways; /* at most one of each family */
	/*
	 * Networks of several hosts (docs/CLUSTER.md): the store's URL ("etcd://HOST:PORT[,...]
	 * [/PREFIX]", "consul", "zk"), NULL: none; the address by which other hosts reach this one,
	 * "ADDRESS[:PORT]" or "INTERFACE[:PORT]"; and "KEY=VALUE" texts: kv.cacertfile,
	 * kv.certfile, kv.keyfile, discovery.heartbeat, discovery.ttl and cnm.grace, in seconds.
	 */
	const char *cluster_store, *cluster_advertise;
	const char *const *cluster_store_opts;
	size_t n_cluster_store_opts;
	unsigned plugin_timeout_ms; /* of each call to a plugin; 0 means 10 s */
	void (*log)(int level, const char *line, void *arg); /* 3 error .. 7 debug; NULL: stderr */
	void *log_arg;
};

/*
 * Open the state directory (made if missing), take its lock, restore what it declares and begin to
 * compare it with the kernel. Returns when requests can be served; the comparison goes on.
 * Errors: CONFLICT if another engine holds the directory (its pid is named), FORBIDDEN if the
 * database is of a newer schema, INTERNAL otherwise.
 */
int cnm_engine_open(struct cnm_engine **ret, const struct cnm_options *options,
		    struct cnm_error *err);

/* Stop serving and release memory and descriptors. Networks, sandboxes and traffic stay. */
void cnm_engine_close(struct cnm_engine *engine);

/*
 * Remove everything the engine made: sandboxes, endpoints, networks, links, firewall tables,
 * pinned namespaces, the keeper. The database stays, empty of sandboxes. For uninstalling and
 * for tests. Carries on after a failure and reports them all.
 */
int cnm_engine_teardown(struct cnm_engine *engine, struct cnm_error *err);

/* JSON: what GET /info shows of networking. */
int cnm_engine_info(struct cnm_engine *engine, char **ret_json, struct cnm_error *err);

/*
 * Compare what should exist with what does. JSON:
 * {"Differences":[{"Action":"add|change|remove","Kind","Where","Key","Want","Have","Owner"}],
 *  "Notes":["..."]}: Notes are what cnm cannot mend itself (a foreign DROP policy).
 * With repair set, differences are mended first and those that remain are listed.
 */
int cnm_engine_doctor(struct cnm_engine *engine, bool repair, char **ret_json,
		      struct cnm_error *err);

struct cnm_dry_run {
	char *plan; /* set on success; the caller frees it */
};

/* ------------------------------------------------------------------------------- networks */

struct cnm_pool_config {
	const char *subnet, *ip_range, *gateway;
	const struct cnm_kv *aux; /* reserved addresses: name, address */
	size_t n_aux;
};

enum cnm_tristate { CNM_DEFAULT = 0, CNM_YES = 1, CNM_NO = 2 };

struct cnm_network_config {
	const char *name;
	const char *driver;     /* default "bridge" */
	const char *scope;      /* "" or "local" */
	enum cnm_tristate ipv4; /* default yes */
	enum cnm_tristate ipv6; /* default no */
	bool internal, attachable, ingress, config_only;
	const char *config_from; /* name of a config-only network */
	const char *ipam_driver; /* "" or "default" */
	const struct cnm_kv *ipam_options;
	size_t n_ipam_options;
	const struct cnm_pool_config *pools;
	size_t n_pools;
	const struct cnm_kv *options; /* com.docker.network... */
	size_t n_options;
	const struct cnm_kv *labels;
	size_t n_labels;
};

/* ret_warning receives text ("" if none) and may be NULL. */
int cnm_network_create(struct cnm_engine *engine, const struct cnm_network_config *config,
		       struct cnm_dry_run *dry, char ret_id[CNM_ID_SIZE], char **ret_warning,
		       struct cnm_error *err);
int cnm_network_remove(struct cnm_engine *engine, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err);
/* JSON as GET /networks/{id}. verbose adds counters. */
int cnm_network_inspect(struct cnm_engine *engine, const char *ref, bool verbose, char **ret_json,
			struct cnm_error *err);
/*
 * JSON array as GET /networks. filters is Docker's filters object, {"key":{"value":true}} or
 * {"key":["value"]}, as text, or NULL.
 */
int cnm_network_list(struct cnm_engine *engine, const char *filters, char **ret_json,
		     struct cnm_error *err);
/* JSON as POST /networks/prune. */
int cnm_network_prune(struct cnm_engine *engine, const char *filters, struct cnm_dry_run *dry,
		      char **ret_json, struct cnm_error *err);

#define CNM_SUBNET_SIZE 52
/*
 * A subnet that a new network of this driver would be given now; avoid: prefixes that it must not
 * overlap besides. Nothing is reserved.
 */
int cnm_subnet_choose(struct cnm_engine *engine, const char *driver, bool ipv6,
		      const char *const *avoid, size_t n_avoid, char ret[CNM_SUBNET_SIZE],
		      struct cnm_error *err);

/* ------------------------------------------------------------------------------- endpoints */

struct cnm_endpoint_config {
	const char *name;        /* of the endpoint; default the sandbox's name */
	const char *ipv4, *ipv6; /* fixed addresses */
	const char *mac;
	const char *const *link_local;
	size_t n_link_local;
	const char *const *aliases;
	size_t n_aliases;
	const struct cnm_kv *driver_opts;
	size_t n_driver_opts;
	int gw_priority;            /* higher is preferred as default gateway; default 0 */
	const struct cnm_kv *links; /* sandbox, and what it is called here: reached at the ports it
				       exposes even where the network keeps its sandboxes apart */
	size_t n_links;
};

/* Reserve name and addresses in a network; no sandbox yet. Survives leave and reboot. */
int cnm_endpoint_create(struct cnm_engine *engine, const char *network,
			const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
			char ret_id[CNM_ID_SIZE], struct cnm_error *err);
/* Refused while joined, unless force, which leaves first. */
int cnm_endpoint_remove(struct cnm_engine *engine, const char *ref, bool force,
			struct cnm_dry_run *dry, struct cnm_error *err);
int cnm_endpoint_join(struct cnm_engine *engine, const char *ref, const char *sandbox,
		      struct cnm_dry_run *dry, struct cnm_error *err);
/* The address stays reserved. */
int cnm_endpoint_leave(struct cnm_engine *engine, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err);
int cnm_endpoint_inspect(struct cnm_engine *engine, const char *ref, char **ret_json,
			 struct cnm_error *err);
/* JSON array; network NULL: of all networks. */
int cnm_endpoint_list(struct cnm_engine *engine, const char *network, char **ret_json,
		      struct cnm_error *err);

/* ------------------------------------------------------------------------------- sandboxes */

struct cnm_attachment {
	const char *network;
	struct cnm_endpoint_config endpoint;
};

/*
 * Publish ports of a sandbox on the host. As many host ports as first..last, or none (0, 0: chosen
 * when the sandbox is made), or more if that is one port (the first free one is taken).
 */
struct cnm_publish {
	const char *protocol; /* "tcp", "udp", "sctp"; default tcp */
	const char *host_ip;  /* default: the network's, or all addresses of both families */
	unsigned host_first, host_last;
	unsigned first, last; /* of the sandbox */
};
struct cnm_port_range {
	const char *protocol;
	unsigned first, last;
};

struct cnm_sandbox_config {
	const char *id;                        /* 64 hex digits; default: chosen */
	const char *name;                      /* required; [a-zA-Z0-9][a-zA-Z0-9_.-]* */
	const char *hostname;                  /* default the name */
	pid_t pid;                             /* adopt this process's network namespace ... */
	const char *netns;                     /* ... or the one at this path; neither: make one */
	const struct cnm_attachment *networks; /* in order: the first is eth0 */
	size_t n_networks;                     /* 0: none but loopback */
	const struct cnm_kv *labels;
	size_t n_labels;
	/*
	 * Its namespace is another program's: when an endpoint joins, a veth whose other end is on
	 * the host is made, named as the endpoint's "Interface", with its MAC and the network's
	 * MTU, and that program takes it into its namespace and sets it up. Nothing in it is ours:
	 * addresses, routes, names, files. When the veth is gone, so is the sandbox, and its
	 * endpoints, however made.
	 */
	bool foreign;
	/*
	 * Only enter it: its name, interface names, addresses and MACs are taken and kept, also
	 * over a reboot, until it is removed. cnm_sandbox_start() makes it, cnm_sandbox_stop()
	 * takes it away. While stopped it does not hold its networks: one that is removed goes with
	 * its endpoint.
	 */
	bool declared;
	const struct cnm_publish *publish;
	size_t n_publish;
	const struct cnm_port_range *exposed; /* it listens there: for links */
	size_t n_exposed;
	/* Nothing in it has NET_ADMIN: networks hold it to its own MAC and addresses. */
	bool confined;
	const char
		*domainname; /* its names are HOSTNAME.DOMAINNAME and HOSTNAME; NULL or "": none */
	/*
	 * Servers for names that are none of its networks' ("10.0.0.1", "fe80::1%eth0"), asked from
	 * its own namespace; search domains ("." alone: none); options of resolv.conf. An empty
	 * list means the engine's, and failing that the host's.
	 */
	const char *const *dns, *const *dns_search, *const *dns_options;
	size_t n_dns, n_dns_search, n_dns_options;
	/* Lines of its hosts file, "NAME:ADDRESS"; the address may be "host-gateway". */
	const char *const *extra_hosts;
	size_t n_extra_hosts;
};

int cnm_sandbox_create(struct cnm_engine *engine, const struct cnm_sandbox_config *config,
		       struct cnm_dry_run *dry, char ret_id[CNM_ID_SIZE], struct cnm_error *err);
/* Its endpoints made by connect go with it; those made by cnm_endpoint_create are left. */
int cnm_sandbox_remove(struct cnm_engine *engine, const char *ref, struct cnm_dry_run *dry,
		       struct cnm_error *err);
/* Make, and take away, a declared sandbox. One that is so already is left as it is. */
int cnm_sandbox_start(struct cnm_engine *engine, const char *ref, struct cnm_dry_run *dry,
		      struct cnm_error *err);
int cnm_sandbox_stop(struct cnm_engine *engine, const char *ref, struct cnm_dry_run *dry,
		     struct cnm_error *err);
/* Instead of what it publishes, publish this from now on; n 0: nothing. */
int cnm_sandbox_publish(struct cnm_engine *engine, const char *ref,
			const struct cnm_publish *publish, size_t n, struct cnm_dry_run *dry,
			struct cnm_error *err);
/* Also of the endpoints that bear its name, of its names in DNS and of its pinned namespace. */
int cnm_sandbox_rename(struct cnm_engine *engine, const char *ref, const char *name,
		       struct cnm_error *err);
/*
 * {"Id","Name","Hostname","Created","State","Declared","Adopted","Foreign","NetnsPath","HostsPath","ResolvConfPath",
 *  "HostnamePath","Labels","Networks":{name: EndpointSettings},"Gateway4","Gateway6","Confined",
 *  "Publish":[{"Protocol","HostIp","HostFirst","HostLast","First","Last"}],
 *  "Ports":[the same, as it is now: one an address of the host, none while stopped],
 *  "Exposed":[{"Protocol","First","Last"}],"Domainname","Dns":[],"DnsSearch":[],"DnsOptions":[],
 *  "ExtraHosts":[]}
 */
int cnm_sandbox_inspect(struct cnm_engine *engine, const char *ref, char **ret_json,
			struct cnm_error *err);
int cnm_sandbox_list(struct cnm_engine *engine, char **ret_json, struct cnm_error *err);

/* Create an endpoint and join it in one step; disconnect is its reverse. */
int cnm_network_connect(struct cnm_engine *engine, const char *network, const char *sandbox,
			const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
			struct cnm_error *err);
/*
 * force: the sandbox may be unknown; the endpoint is then looked up by name or id on the network.
 */
int cnm_network_disconnect(struct cnm_engine *engine, const char *network, const char *sandbox,
			   bool force, struct cnm_dry_run *dry, struct cnm_error *err);

/* ------------------------------------------------------------------------------- questions */

/*
 * What names a running sandbox can resolve, where the rest goes, and what was asked so far:
 * {"Sandbox","SandboxName",
 *  "Embedded":bool,                           false: it asks the servers of its resolv.conf itself
 *                                             (default bridge): no Names, Servers without counts,
 *                                             Counters {}
 *  "Names":[{"Name","Network","IPv4","IPv6","Endpoint"}],  in the order they are searched; an alias
 *                                             of --link has "Network":"" and "LinkTo"
 *  "More":bool,                               these are the first 10,000
 *  "Servers":[{"Address","From":"host"|"sandbox","Queries","Answers","Failures","Milliseconds"}],
 *  "Forward":bool,"ForwardDotless":bool (names without a dot),"Why":"" or why nothing is forwarded,
 *  "Counters":{"Queries","Local","Cached","Forwarded","Failed","Refused","Tcp","InFlight"}}
 */
int cnm_dns(struct cnm_engine *engine, const char *sandbox, char **ret_json, struct cnm_error *err);

/* ------------------------------------------------------------------------- hosts of the cluster */

/*
 * JSON: {"Id","Name","Address","Grace","Self":bool,"State":"up"|"lost"|"unreached" (this host,
 * while it does not reach the store),"LostSeconds","Endpoints"}, an array of them for the list.
 * ref: an id, a name, or the beginning of an id. UNAVAILABLE where there is no cluster.
 */
int cnm_node_list(struct cnm_engine *engine, char **ret_json, struct cnm_error *err);
int cnm_node_inspect(struct cnm_engine *engine, const char *ref, char **ret_json,
		     struct cnm_error *err);
/* Forgets a host that is lost; its endpoints are removed and leave tombstones. CONFLICT if it is
 * up. */
int cnm_node_remove(struct cnm_engine *engine, const char *ref, struct cnm_error *err);

/* ---------------------------------------------------------------------------------- plugins */

/*
 * Those that are found in the plugin folders, or were used: an array of {"Name","Address" (what
 * tells where it is),"State":"active"|"failed" (the last call was not answered)|"unused",
 * "Implements":["NetworkDriver"|"IpamDriver"],"Scope":"local"|"global"|"","LastError",
 * "LatencyMs","MeanLatencyMs" (of answered calls),"Calls","Failures","UnderWay","LongestMs" (of
 * the calls under way),"Networks" (that are its),"Debts" (what it has still to be told of)}.
 */
int cnm_plugin_list(struct cnm_engine *engine, char **ret_json, struct cnm_error *err);

/*
 * A flow of packets. from and to: a sandbox, "host", or an address. port 0: any packet at all,
 * which is asked with an ICMP echo request.
 */
struct cnm_flow {
	const char *from, *to;
	const char *protocol; /* "tcp" or "udp", when there is a port */
	unsigned port;
};
/*
 * Would it arrive, and why or why not: from the model and the plans alone. JSON:
 * {"Reachable":bool,"Reason":"no: con1 is on backend, con3 on frontend, and they share no network",
 *  "Fix":"cnm network connect backend con3" or "","Path":["backend",...],
 *  "Probe":{"Result":"answered|refused|silent|unreachable|none","Text"}}
 * With probe set a packet is sent where that can be done (from a sandbox or the host, to a sandbox
 * or the host), and what came back is told; "refused" reached its target, too.
 */
int cnm_why(struct cnm_engine *engine, const struct cnm_flow *flow, bool probe, char **ret_json,
	    struct cnm_error *err);
/*
 * Follow the packets of a flow through the firewall, both ways, for this long or until deliver
 * returns negative. Each step is a line of JSON: {"Time","Packet":n,"Table","Chain","Rule":text,
 * "Verdict":"accept|drop|continue|jump CHAIN|...","In","Out","From","To","Text":sentence}. The
 * first line (packet 0) says that the trace has begun. deliver is called with NULL while there is
 * nothing to tell, so that it can end the trace.
 */
int cnm_trace(struct cnm_engine *engine, const struct cnm_flow *flow, unsigned seconds,
	      int (*deliver)(const char *json, void *arg), void *arg, struct cnm_error *err);

/* ------------------------------------------------------------------------------- events */

struct cnm_event_listener;

/*
 * Hear events as lines of JSON, as GET /events sends them (without the newline), in order.
 * since_ns: begin with those kept from that wall clock instant on; 0: only new ones.
 * deliver runs on the thread that caused the event, or in this call for the kept ones, with an
 * internal lock held: it must be quick and must not call the library. One listener at a time
 * is called.
 */
int cnm_events_listen(struct cnm_engine *engine, int64_t since_ns,
		      void (*deliver)(const char *json, void *arg), void *arg,
		      struct cnm_event_listener **ret, struct cnm_error *err);
/* After it returns deliver is not called again. NULL is allowed. */
void cnm_events_stop(struct cnm_engine *engine, struct cnm_event_listener *listener);

const char *cnm_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
