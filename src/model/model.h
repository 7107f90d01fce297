/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The three objects of the Container Network Model, in memory: one struct an object, one instance
 * an id, plain fields.
 *
 * The model does no I/O and takes no lock: the controller holds its mutex around every use.
 * Counts and indexes are derived; what is stored is each object's row (codec.h).
 *
 * State of an object, and who may do what:
 *   CREATING  its row is being written and its kernel objects made, by one request. Its name and
 *             addresses are taken. Nobody else touches it. A crash takes it back.
 *   READY     it exists. Requests may begin to change it.
 *   REMOVING  one request is taking it away; its name and addresses are still taken. A crash
 *             finishes the removal.
 * A sandbox is `busy` besides while a request changes which endpoints it has, since its default
 * routes and files follow from all of them.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "ipam/ipam.h"
#include "model/join.h"
#include "model/ports.h"

enum obj_state { OBJ_CREATING, OBJ_READY, OBJ_REMOVING };

struct driver;

/* One subnet of a network. */
struct network_pool {
	struct cnm_prefix subnet;
	struct cnm_prefix range; /* unset: the whole subnet */
	struct cnm_ip gateway;   /* unset: none was allocated (isolated) */
	json_t *aux;             /* {name: address} or NULL */
	struct ipam_pool *taken;
	bool chosen;   /* nobody asked for this subnet; only while the network is made */
	char *pool_id; /* what an IPAM plugin calls it; NULL: addresses are ours to give */
};

#define NETWORK_MAX_POOLS 16

struct network {
	struct list node;      /* model.networks, oldest first */
	struct list endpoints; /* struct endpoint.in_network */
	char id[ID_SIZE];
	char *name;
	const struct driver *driver;
	char *plugin; /* whose network it is, by name: the driver is one of remote.c's; or NULL */
	char *ipam;   /* who gives addresses: a plugin, or "null"; NULL: cnm does */
	enum obj_state state;
	int64_t created; /* wall clock, ns */
	bool predefined; /* bridge, host, none: cannot be removed */
	bool ipv4, ipv6, internal, attachable, config_only;
	char *config_from;                       /* name of the configuration network, or NULL */
	json_t *options, *labels, *ipam_options; /* objects of strings, never NULL */
	struct network_pool pools[NETWORK_MAX_POOLS];
	unsigned n_pools;
	json_t *config_pools; /* a configuration network's IPAM config as requested, else NULL */
	bool borrowed_link;   /* a fact: the link existed before and is the user's */
	json_t *facts;        /* what others decided of it ("vxlan_id"); an object, or NULL */
	void *priv;           /* the driver's parsed options; driver->network_size bytes */
};

struct endpoint {
	struct list in_network;
	struct list in_sandbox; /* in the order of joining; unlinked when not joined */
	char id[ID_SIZE];
	char *name;
	struct network *network;
	struct sandbox *sandbox; /* NULL: not joined */
	enum obj_state state;
	int64_t created;
	bool declared; /* made by endpoint create: outlives its sandbox and the boot */
	bool fixed_mac;
	bool fixed_ip4, fixed_ip6; /* asked for, so another will not do */
	bool claimed;              /* in the cluster's store, or about to be */
	struct cnm_ip ip4, ip6;
	struct cnm_mac mac;
	struct cnm_ip link_local[4];
	unsigned n_link_local;
	json_t *aliases; /* array of strings, never NULL */
	/* {alias: a sandbox's id, or its name if there was none then}, never NULL: names of its own
	 * for others, whom it may reach without ICC */
	json_t *links;
	json_t *driver_opts; /* object of strings, never NULL */
	int gw_priority;
	int64_t joined;        /* wall clock, ns; orders the endpoints of a sandbox */
	char ifname[IFNAMSIZ]; /* in the sandbox; "" while not joined or without a link */
	/*
	 * Of an endpoint on another host: that host's id, and its address on the underlay. It has
	 * no sandbox, and its aliases are all of its names.
	 */
	char host[ID_SIZE]; /* "": it is on this one */
	uint64_t missing;   /* since when it is not in the cluster's store; 0: it is. Not in rows */
	struct cnm_ip vtep;
	/*
	 * On a network of a plugin's. `asked`: it knows of the endpoint and has to be told when it
	 * ends. `exposed`: it was told to publish ports. join: what it answered, or NULL.
	 */
	bool asked, exposed;
	unsigned ip_len[2]; /* of addresses that it gave, which no pool has; else 0 */
	struct join *join;
};

/* Where a sandbox's namespace comes from. */
enum netns_source {
	NETNS_OWN,
	NETNS_HOST,
	NETNS_ADOPTED,
	/* Another program's, which takes the other end of each veth there and sets it up: we have
	 * no way in, and plan only what is outside of it. */
	NETNS_FOREIGN
};

struct sandbox {
	struct list node;
	struct list endpoints; /* struct endpoint.in_sandbox */
	char id[ID_SIZE];
	char *name, *hostname, *domainname; /* domainname NULL: none */
	enum obj_state state;
	bool busy;
	bool checked;       /* compared with the kernel since the daemon started */
	bool declared;      /* kept over stop and reboot, until it is removed */
	bool stopped;       /* declared, and not made: nothing of it is in the kernel */
	char *renamed_from; /* a rename of its pin is under way, or was when the daemon ended */
	int64_t created;
	enum netns_source source;
	char *adopted_from; /* ADOPTED: the path it was taken from */
	json_t *labels;
	/* Arrays of strings, checked; NULL: none. extra_hosts: "NAME:ADDRESS" or
	 * "NAME:host-gateway" */
	json_t *dns, *dns_search, *dns_options, *extra_hosts;
	bool confined; /* nobody in it has NET_ADMIN: it may be held to its own addresses */
	struct port_want *wants; /* what is to be published while it is there */
	unsigned n_wants;
	struct port_run *exposed; /* what it says it listens on */
	unsigned n_exposed;
	struct port *ports; /* what is published, in the model's index; NULL while stopped */
	unsigned n_ports;
	int nsid; /* how the monitor names the namespace; -1 unknown */
};

struct model {
	struct list networks, sandboxes;
	struct map network_by_id, network_by_name;
	struct map endpoint_by_id;
	struct map sandbox_by_id, sandbox_by_name;
	struct port_index ports;
};

void model_init(struct model *m);
void model_free(struct model *m);

/* New objects are CREATING, unlinked, with a fresh id; NULL when memory is out. */
struct network *network_new(const char *name, const struct driver *driver);
struct endpoint *endpoint_new(const char *name, struct network *n);
struct sandbox *sandbox_new(const char *name);
/* Free an object that is in no model. NULL is allowed. */
void network_free(struct network *n);
void endpoint_free(struct endpoint *ep);
void sandbox_free(struct sandbox *sb);

/* Enter into the indexes: 0, -EEXIST (name or id), -ENOMEM. The model owns it from then on. */
int model_add_network(struct model *m, struct network *n);
/* Its ports too; when another has one of them it has none, and they are to be allotted again. */
int model_add_sandbox(struct model *m, struct sandbox *sb);
/* Also links it into its network. Addresses are taken by the caller (network_take_address). */
int model_add_endpoint(struct model *m, struct endpoint *ep);
/* Take out of every index and free; an endpoint gives back its addresses (resting). */
void model_del_network(struct model *m, struct network *n);
void model_del_sandbox(struct model *m, struct sandbox *sb);
/* Another id, for one that nothing refers to by its id. -ENOMEM: it has the old one. */
int model_renew_endpoint(struct model *m, struct endpoint *ep);
void model_del_endpoint(struct model *m, struct endpoint *ep, bool rest);

/* Another name, for those of its endpoints too that bear the old one: 0, -EEXIST, -ENOMEM. */
int model_rename_sandbox(struct model *m, struct sandbox *sb, const char *name);
/* Put an endpoint among those of its sandbox, by the time it joined. */
void sandbox_insert(struct sandbox *sb, struct endpoint *ep);

/* What a reference names. */
enum ref_result { REF_FOUND, REF_NONE, REF_AMBIGUOUS_NAME, REF_AMBIGUOUS_ID };
/* Full id, else name, else unique id prefix. */
enum ref_result model_find_network(const struct model *m, const char *ref, struct network **ret,
				   unsigned *ret_matches);
enum ref_result model_find_sandbox(const struct model *m, const char *ref, struct sandbox **ret,
				   unsigned *ret_matches);
/* Also "network/name"; a bare name when only one network has it. */
enum ref_result model_find_endpoint(const struct model *m, const char *ref, struct endpoint **ret,
				    unsigned *ret_matches);
/* An endpoint of a network by its name; NULL if there is none. */
struct endpoint *network_endpoint_by_name(const struct network *n, const char *name);
/* The sandbox's endpoint on a network; NULL if there is none. */
struct endpoint *sandbox_endpoint_on(const struct sandbox *sb, const struct network *n);

/* Does a link lead to this sandbox? target is a value of endpoint.links. */
static inline bool link_leads_to(const json_t *target, const struct sandbox *sb)
{
	const char *s = json_string_value(target);

	return s && (strcmp(s, sb->id) == 0 || strcmp(s, sb->name) == 0);
}
/* The pool of this family, or NULL. */
struct network_pool *network_pool(const struct network *n, int family);
/* Has it a namespace that we know a way into? */
static inline bool sandbox_is_open(const struct sandbox *sb)
{
	return !sb->stopped && sb->source != NETNS_FOREIGN;
}
/* Does nothing of this endpoint exist, its sandbox being stopped and not about to change? */
bool endpoint_is_stopped(const struct endpoint *ep);
/* Has it endpoints that are not so? */
bool network_is_active(const struct network *n);
/* The pool that holds this address, or NULL. */
struct network_pool *network_pool_of(const struct network *n, const struct cnm_ip *ip);
/* What users call its driver. */
const char *network_driver_name(const struct network *n);
/* The length of the subnet that one of the endpoint's addresses is in; 0: none is known. */
unsigned endpoint_prefix_len(const struct endpoint *ep, const struct cnm_ip *ip);
/* Where the default route through this endpoint leads; unset: there is none. */
struct cnm_ip endpoint_gateway(const struct endpoint *ep, int family);
/* Is it one of several hosts, on which the cluster's store has the last word? */
bool network_is_global(const struct network *n);
/* Is it the way out of sandboxes whose networks have none? By its name, as in Docker. */
#define GATEWAY_NETWORK "docker_gwbridge"
bool network_is_gateway(const struct network *n);
/* Is it on another host? */
static inline bool endpoint_is_remote(const struct endpoint *ep)
{
	return ep->host[0];
}
/* User-defined: neither predefined nor of a driver without addresses, nor the gateway network. */
bool network_is_user_defined(const struct network *n);

/*
 * The endpoint whose network is the sandbox's way out, for one address family (features.md 1.3):
 * higher priority, then not internal, then both families' gateways, then the name of the network.
 * NULL when none of its READY or CREATING endpoints has a gateway of that family.
 */
struct endpoint *sandbox_gateway(const struct sandbox *sb, int family);
/* Endpoints in gateway order (best first) into ret[max]; returns how many. For names. */
unsigned sandbox_gateway_order(const struct sandbox *sb, struct endpoint **ret, unsigned max);

#endif
