/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The controller: the only place that knows how model, store, drivers, plans, resolver and keeper
 * work together. Each request runs on its caller's thread:
 *
 *   lock     find the objects, check, enter the new state as transient (CREATING, REMOVING, busy),
 *            make the plans before and after; unlock
 *   store    commit the transient state
 *   kernel   carry out the difference of the two plans (applier_run: all of it or nothing)
 *   lock     make the new state final, tell the resolver and the listeners; unlock
 *   answer   the final mark follows into the store and is not waited for
 *
 * On failure the steps done are undone in reverse. An object in a transient state belongs to one
 * request; others wait for it, at most ENGINE_WAIT_S, then fail with a conflict.
 *
 * Locks: `lock` guards the model and everything else here that says so. It is never held across the
 * store, the kernel or another party. The applier's turn is taken before it, never after.
 */
#ifndef CONTROLLER_ENGINE_H
#define CONTROLLER_ENGINE_H

#include <pthread.h>

#include "base/list.h"
#include "cnm/cnm.h"
#include "drivers/driver.h"
#include "kernel/fdkeep.h"
#include "model/model.h"
#include "plan/apply.h"
#include "plan/plan.h"
#include "proxy/proxy.h"
#include "resolver/resolver.h"
#include "state/store.h"

#define ENGINE_WAIT_S 10

struct cnm_engine {
	/* constant after open */
	char *state_dir, *run_dir, *netns_dir, *instance, *default_bridge, *resolv_conf;
	bool no_forwarding, forward_no_drop;
	char *engine_id, *boot_id;
	struct host_files *host_files; /* the host's resolv.conf and hosts, as they are now */
	json_t *dns, *dns_search, *dns_options; /* of sandboxes that bring none; NULL: none */
	struct cnm_ip host_gateway[2];          /* IPv4, IPv6; unset: the default bridge's */
	struct store *store;
	struct fdkeep *fdkeep;
	struct resolver *resolver;
	struct applier *applier;
	struct proxy *proxy;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* an object left a transient state */
	struct model model;
	struct driver_env env;  /* mtu follows the host's uplinks */
	struct uplinks uplinks; /* written by the reconciler alone */
	struct trace *traces;   /* those that run (trace.c) */
	bool host_checked;      /* the host's objects were compared since start */
	bool all_checked;
	bool pruning;
	/* cnm turned forwarding on, for this family; decides what happens to foreign packets */
	bool forward4_ours, forward6_ours;

	struct events *events;
	struct reconcile *reconcile;
	struct engine_cluster *cluster; /* NULL: none */
	struct engine_remote *remote;   /* plugins */
};

/* ---- lookup.c: find what a request names, in a state it can be used. With the lock held, which is
 * let go while waiting; 1 is returned then, and what was found before is stale. 0 at once, <0
 * error. */
int engine_network(struct cnm_engine *e, const char *ref, struct network **ret,
		   struct cnm_error *err);
/* The same, and nobody is just about to bring it to this host, or to take it away from it. */
int engine_network_to_join(struct cnm_engine *e, const char *ref, struct network **ret,
			   struct cnm_error *err);
/* exclusive: also not busy. Its place in the kernel has been compared since start. */
int engine_sandbox(struct cnm_engine *e, const char *ref, bool exclusive, struct sandbox **ret,
		   struct cnm_error *err);
int engine_endpoint(struct cnm_engine *e, const char *ref, struct endpoint **ret,
		    struct cnm_error *err);
/* Both, valid together, the sandbox not busy. 0 or an error. */
int engine_pair(struct cnm_engine *e, const char *network, const char *sandbox, struct network **n,
		struct sandbox **sb, struct cnm_error *err);
/* Wait for a change once: 0, or -ETIMEDOUT after the deadline (start with 0). */
int engine_wait(struct cnm_engine *e, uint64_t *deadline);

/* ---- trace.c: the elements of the traces that run. With the lock held. */
void traces_plan(const struct cnm_engine *e, struct plan *p);

/* ---- planning.c: what must exist, from the model alone. With the lock held. */
void plan_host(const struct cnm_engine *e, struct plan *p);
/* Does any network send packets of this family through the host? */
bool needs_forwarding(const struct cnm_engine *e, int family);
/* Of a global network: with its peers, and only where a sandbox of ours is on it. */
void plan_network(const struct cnm_engine *e, const struct network *n, struct plan *p);
/* Is a sandbox of this host on it? */
bool network_is_present(const struct network *n);
/* With all of its endpoints that are not REMOVING. */
void plan_sandbox(const struct cnm_engine *e, const struct sandbox *sb, struct plan *p);
/* What the driver says of an endpoint; of one in a foreign sandbox, what is outside of that. */
void plan_endpoint(const struct cnm_engine *e, const struct endpoint *ep, struct plan *p);
/* The endpoint on the same network to which a link (a value of ep->links) leads; or NULL. */
const struct endpoint *link_target(const struct endpoint *ep, const json_t *link);
/*
 * The same for a request that changes it: with the global networks that nobody else of this host is
 * on, which come and go with it.
 */
void plan_request(const struct cnm_engine *e, const struct sandbox *sb, struct plan *p);
/* Tell the resolver what a sandbox sees and what its endpoints are called. */
int publish_sandbox(struct cnm_engine *e, const struct sandbox *sb);
/* One endpoint's names; also of one on another host. 0 or -ENOMEM. */
int publish_endpoint(struct cnm_engine *e, const struct endpoint *ep);
/* All that it is called, as an array. */
json_t *endpoint_names(const struct endpoint *ep);

/* ---- change.c: one request's way through store and kernel */
struct change {
	struct plan before, after;
	struct plan_diff diff;
	bool diffed;
};
/* Difference of the two plans. */
int change_prepare(struct change *c, struct cnm_error *err);
/* For a dry run: the difference as text into dry->plan. */
int change_tell(struct change *c, struct cnm_dry_run *dry, struct cnm_error *err);
/*
 * Without the lock: commit the rows of the transient state, carry the difference out, commit the
 * rows of the final one. On failure the kernel is as before, and the rows are the caller's to put
 * right. Both transactions are spent.
 */
int change_carry_out(struct cnm_engine *e, struct change *c, struct store_tx *first,
		     struct store_tx *last, enum store_durability how, struct cnm_error *err);
/* Take back what was carried out, after a later step failed. */
void change_revert(struct cnm_engine *e, struct change *c);
void change_free(struct change *c);

/* Rows of objects, as the store takes them. body is owned by the caller (free row->body). */
int row_network(const struct network *n, enum store_state s, struct store_row *row);
/* bufs hold the addresses' texts. */
struct row_bufs {
	char ip4[IP_STR], ip6[IP_STR], mac[MAC_STR];
};
int row_endpoint(const struct endpoint *ep, enum store_state s, struct row_bufs *bufs,
		 struct store_row *row);
int row_sandbox(const struct sandbox *sb, enum store_state s, struct store_row *row);
/* Insert or update the object's row in a transaction; an encoding failure fails the commit. */
void tx_put_network(struct store_tx **tx, const struct network *n, enum store_state s, bool insert);
void tx_put_endpoint(struct store_tx **tx, const struct endpoint *ep, enum store_state s,
		     bool insert);
void tx_put_sandbox(struct store_tx **tx, const struct sandbox *sb, enum store_state s,
		    bool insert);

/*
 * Declared before LOCKED: at the end of a request, when the lock has been let go and however the
 * function ends, the cluster's store and plugins are told of what is there no more.
 */
void engine_afterwards(struct cnm_engine **e);
#define AFTERWARDS(e) \
	_cleanup_(engine_afterwards) __attribute__((unused)) struct cnm_engine *afterwards = e
/*
 * Lock held on entry and exit, let go meanwhile; the sandbox is busy then, or the endpoint is
 * CREATING: what others must give or know before a request touches the kernel. Addresses of IPAM
 * plugins; of a sandbox that is made also what is claimed in the cluster's store, and the endpoints
 * of network plugins. On failure some may be asked for: what is not to be is taken back afterwards.
 */
int engine_ask_sandbox(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err);
/* The same for one that has its addresses, and is about to be made. */
int engine_ask_to_join(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err);
int engine_ask_endpoint(struct cnm_engine *e, struct endpoint *ep, struct cnm_error *err);

/* ---- network_build.c */
/* Which families it has: IPv4, IPv6. */
int network_families(const struct cnm_network_config *c, bool ret[2], struct cnm_error *err);
/* From a request to a network that could be entered. Facts were gathered without the lock. */
struct network_facts {
	struct prefixes routes; /* of others, on the host */
	bool link_exists, link_is_bridge, link_is_ours;
	bool forwarding4, forwarding6;       /* the host forwards already */
	const struct remote_network *remote; /* what plugins said of it; NULL: none was asked */
};
int network_facts_gather(struct cnm_engine *e, const struct cnm_network_config *config,
			 struct network_facts *ret, struct cnm_error *err);
void network_facts_free(struct network_facts *f); /* what it points to */
int network_build(struct cnm_engine *e, const struct cnm_network_config *config, bool predefined,
		  const struct network_facts *facts, struct network **ret, char **ret_warning,
		  struct cnm_error *err);

/* A subnet for a new network that keeps clear of the others and of these facts. Lock held. */
int network_choose_subnet(struct cnm_engine *e, const struct driver *d, int family,
			  const struct network_facts *facts, struct cnm_prefix *ret,
			  struct cnm_error *err);

/* network.c: also for the predefined ones. */
int engine_create_network(struct cnm_engine *e, const struct cnm_network_config *config,
			  bool predefined, struct cnm_dry_run *dry, char ret_id[CNM_ID_SIZE],
			  char **ret_warning, struct cnm_error *err);

/* ---- endpoint.c */
/* Make an endpoint from a request, enter it as CREATING and take its addresses. */
int endpoint_build(struct cnm_engine *e, struct network *n, const char *name,
		   const struct cnm_endpoint_config *config, struct endpoint **ret,
		   struct cnm_error *err);
/* Take one away altogether, for nobody's request. Without the lock. */
int engine_withdraw_endpoint(struct cnm_engine *e, const char *id, struct cnm_error *err);
/* The same of one whose veth is gone with the namespace of its foreign sandbox, which goes too. */
int engine_withdraw_foreign(struct cnm_engine *e, const char *id, struct cnm_error *err);
/* Interface names that exist inside a sandbox, ours or not; gathered without the lock. */
struct ifnames {
	char names[64][IFNAMSIZ];
	unsigned n;
};
/* May one more be joined? A bridge has only so many ports. */
int endpoint_check_room(const struct network *n, struct cnm_error *err);
/* Link it to the sandbox under a free interface name. */
int endpoint_attach(struct endpoint *ep, struct sandbox *sb, const struct ifnames *taken,
		    struct cnm_error *err);
void endpoint_detach(struct endpoint *ep);
/* Check the pair, build, attach: what connect and sandbox create have in common. Lock held. */
int endpoint_add(struct cnm_engine *e, struct network *n, struct sandbox *sb,
		 const struct cnm_endpoint_config *config, const struct ifnames *taken,
		 struct endpoint **ret, struct cnm_error *err);
/* May this network and this sandbox go together? Docker's rules and words. */
int endpoint_check_pair(const struct network *n, const struct sandbox *sb, struct cnm_error *err);

/* ---- inspect.c: JSON of objects; NULL when memory is out. With the lock held. */
json_t *inspect_network(const struct network *n, bool with_containers, bool status);
json_t *inspect_endpoint(const struct endpoint *ep);
json_t *inspect_endpoint_settings(const struct endpoint *ep);
json_t *inspect_sandbox(const struct cnm_engine *e, const struct sandbox *sb);

/* ---- sandbox.c, for sandbox_state.c */
/* Docker's rule for container names. It is also the name of a file in the namespace directory. */
int sandbox_check_name(const char *name, struct cnm_error *err);
/*
 * The place of its pin must be free before anything is written: what is found there after a crash
 * is then ours to remove. adopted: the path the namespace is taken from, or NULL.
 */
int sandbox_check_pin(const struct cnm_engine *e, const char *name, const char *adopted,
		      struct cnm_error *err);
/* The name is taken. Lock held. */
int sandbox_name_taken(const struct cnm_engine *e, const char *name, struct cnm_error *err);

/* ---- filters.c */
struct filters;
/* text NULL or "": no filters. known: NULL-terminated names. */
int filters_parse(struct filters **ret, const char *text, const char *const *known,
		  struct cnm_error *err);
void filters_free(struct filters *f);
static inline void filters_free_p(struct filters **f)
{
	filters_free(*f);
}
/* The values of one key: an array of strings, or NULL. */
const json_t *filters_values(const struct filters *f, const char *key);
/* No values were given for this key, or one of them is equal ... */
bool filters_equal(const struct filters *f, const char *key, const char *value);
/* ... or matches as an unanchored regular expression. */
bool filters_like(const struct filters *f, const char *key, const char *value);
/* Each of the key's values ("name" or "name=value") is among the labels, or with want false none.
 */
bool filters_labels(const struct filters *f, const char *key, const json_t *labels, bool want);
/* Does a network pass? (driver, id, name, label, scope, type, dangling) */
bool filters_match_network(const struct filters *f, const struct network *n);
/* Does it pass those of prune? (until, label, label!) */
bool filters_match_prune(const struct filters *f, const struct network *n);

/* ---- events.c */
int events_new(struct events **ret, struct cnm_error *err);
void events_free(struct events *ev);
/* sandbox NULL: none. With or without the lock. */
void events_network(struct events *ev, const char *action, const struct network *n,
		    const struct sandbox *sb);
/* An event about no network in particular, or whose object is gone. */
void events_emit(struct events *ev, const char *type, const char *action, const char *id,
		 json_t *attributes /* stolen */);

/* ---- restore.c */
int engine_restore(struct cnm_engine *e, struct cnm_error *err);

/* ---- reconcile.c: compares and mends, at start, on monitor events, and for doctor */
int reconcile_start(struct cnm_engine *e, struct cnm_error *err);
void reconcile_stop(struct cnm_engine *e);
/* Bring one sandbox into agreement now if that was not done since start. Without the lock. */
void reconcile_sandbox_first(struct cnm_engine *e, const char *ref);
void reconcile_host_first(struct cnm_engine *e);
/* Compare everything, soon. Any thread. */
void reconcile_all(struct cnm_engine *e);
/* Learn the MTU of the host's uplinks. Without the lock. */
void reconcile_uplinks(struct cnm_engine *e);

/* ---- descriptors that outlive the process, for the programs above */
/* One kept under name, owned by the caller, or -1. */
int engine_fd_take(struct cnm_engine *e, const char *name);
int engine_fd_put(struct cnm_engine *e, const char *name, int fd);
void engine_fd_drop(struct cnm_engine *e, const char *name);

#endif
