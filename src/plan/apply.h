/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making plans true: carries out differences against the kernel, and reads the kernel back into a
 * plan. The only part above kernel/ that does either.
 *
 * Theory of operation. An applier owns the host's route socket, the firewall socket, and a handle
 * for each sandbox: its namespace, a route socket inside it, its DNS sockets. The kernel serialises
 * these changes anyway (one rtnl lock), so an applier does one thing at a time: callers take turns
 * by `turn`. Messages for one socket are sent together; what needs an answer first (an interface
 * index) ends a batch. When an operation fails, the objects of the run are read back and brought to
 * where they were.
 *
 * Deleting a link waits for the kernel's RCU callbacks, 15 to 20 ms, without holding its lock. So
 * the reaper thread does that, outside the turn: links to delete are put into a link group of their
 * own, and one request deletes the group; whatever arrives meanwhile shares the next one. The
 * caller waits for its links to be gone.
 *
 * The same thread announces new endpoints by gratuitous ARP. Their IPv6 addresses are advertised
 * within the request, while nothing has been sent on the link yet.
 */
#ifndef PLAN_APPLY_H
#define PLAN_APPLY_H

#include "kernel/fdkeep.h"
#include "kernel/host_routes.h"
#include "kernel/link_counters.h"
#include "plan/plan.h"
#include "resolver/resolver.h"

struct applier;

struct applier_options {
	const char *instance; /* kept by the caller as long as the applier */
	const char *netns_dir, *run_dir;
	unsigned pool_size;
	struct fdkeep *fdkeep;         /* where DNS sockets are kept; borrowed */
	void (*keep_again)(void *arg); /* the keeper was lost: put what others keep; or NULL */
	void *arg;
	struct resolver *resolver; /* borrowed */
};

int applier_new(struct applier **ret, const struct applier_options *options, struct cnm_error *err);
/* Ends its threads; the kernel's objects stay. NULL is allowed. */
void applier_free(struct applier *a);

/*
 * Hold the turn across several calls: nothing else changes the kernel meanwhile. Not to be held
 * while waiting for the model's mutex holder to do the same; the order is turn, then model.
 */
void applier_enter(struct applier *a);
void applier_leave(struct applier *a);

/*
 * Carry out the operations in order. On failure what was done is undone and the error says which
 * object it was about. Must not be called with the turn held.
 */
int applier_run(struct applier *a, const struct plan_diff *d, struct cnm_error *err);

/*
 * For repair, with the turn held: carry out each operation that can be, without undo. Returns how
 * many failed; err tells of the first.
 */
unsigned applier_repair(struct applier *a, const struct plan_diff *d, struct cnm_error *err);

/*
 * Read back what exists. With the turn held. `want` guides: for each of its items in the given
 * place ("" the host, else a sandbox's id) the kernel is asked whether it is there, and deviating
 * attributes are filled in; and what bears cnm's mark there and is not in want is added, so that
 * the difference removes it. The items of ret are owned by ret.
 */
int applier_dump(struct applier *a, const struct plan *want, const char *place, struct plan *ret,
		 struct cnm_error *err);

/*
 * Which of these interface names exist inside a sandbox: they are moved to the front, and counted.
 * An unknown sandbox has none.
 */
unsigned applier_taken_names(struct applier *a, const char *sandbox, char (*names)[IFNAMSIZ],
			     unsigned n);

/* Names of all links of a namespace at a path, which is about to be adopted. */
int applier_names_at(struct applier *a, const char *path, char (*ret)[IFNAMSIZ], unsigned max,
		     unsigned *ret_n, struct cnm_error *err);

/*
 * Take up a sandbox that exists since before the daemon started: opens what the kernel and the
 * keeper have of it. Cheap (no system call until used) unless its DNS sockets are in the keeper.
 */
void applier_know(struct applier *a, const char *sandbox, const char *name);
/* Pin its namespace under another name, and no longer under the old one. */
int applier_rename(struct applier *a, const char *sandbox, const char *name, struct cnm_error *err);
/* How the monitor will name this sandbox's namespace; -1 if it has no id. With the turn held. */
int applier_nsid(struct applier *a, const char *sandbox);

/* Load the ruleset with these elements if it is not loaded in this version. With the turn held. */
int applier_load_ruleset(struct applier *a, const struct plan *want, bool force,
			 struct cnm_error *err);
int applier_unload_ruleset(struct applier *a, struct cnm_error *err);
/* 1 loaded in this version, 0 not, or negative errno. With the turn held. */
int applier_ruleset_loaded(struct applier *a, struct cnm_error *err);
/* See nft_foreign_forward_drop(). With the turn held. */
int applier_foreign_drop(struct applier *a, char *buf, size_t size, struct cnm_error *err);
/* See host_routes_get() and host_routes_link_down(). */
int applier_host_routes(struct applier *a, int family, struct prefixes *ret, struct cnm_error *err);
void applier_link_down(struct applier *a, uint32_t group);
/* What is there of a link on the host: 0, -ENODEV (err untouched), or another failure. */
int applier_host_link(struct applier *a, const char *name, bool *ret_is_bridge, bool *ret_is_ours,
		      struct cnm_error *err);
/* The links that a default route leads over, and the smallest of their MTUs (0: there are none). */
#define MAX_UPLINKS 32
struct uplinks {
	int ifindex[MAX_UPLINKS];
	unsigned n, mtu;
};
int applier_uplinks(struct applier *a, struct uplinks *ret, struct cnm_error *err);
/* Of a link of the host. -ENODEV: err untouched. */
int applier_link_counters(struct applier *a, const char *name, struct link_counters *ret,
			  struct cnm_error *err);
/* How many connections the elements of a plan, which has nothing else, counted: ret[p->n]. */
int applier_count(struct applier *a, const struct plan *p, uint64_t *ret, struct cnm_error *err);
/* Port id of the firewall socket: changes by it are ours. */
uint32_t applier_nft_portid(const struct applier *a);
/* Name of our firewall tables. */
const char *applier_table(const struct applier *a);

#endif
