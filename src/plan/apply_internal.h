/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the applier share. See apply.h for how it works. */
#ifndef PLAN_APPLY_INTERNAL_H
#define PLAN_APPLY_INTERNAL_H

#include <jansson.h>
#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "kernel/conntrack.h"
#include "kernel/netlink.h"
#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "plan/apply.h"

/* A sandbox's or network's namespace. Everything is opened when first needed. */
struct handle {
	char sandbox[ID_SIZE];
	char *name; /* of its pin */
	int ns;     /* -1: not open */
	struct nl *rtnl;
	struct nft *nft;     /* NULL: not open; of a network's place only */
	int udp, tcp;        /* DNS sockets, -1: none */
	int nsid;            /* -1: not known */
	int announcer;       /* see kernel/announce.h; -1: not open */
	bool own;            /* made by us: goes with all that is in it */
	struct handle *next; /* in limbo */
};

struct applier {
	struct applier_options opt;
	char table[64];
	uint32_t group; /* link group of our links; group + 1 is that of doomed ones */
	pthread_mutex_t turn;
	struct nl *rtnl;
	struct host_routes *routes;
	struct nft *nft;
	struct netns_pool *pool;
	struct map handles; /* sandbox id -> struct handle */
	struct map holds;   /* owner -> struct hold: ports of the host, see apply_hold.c */
	bool unsettled;     /* some were let go of, and the keeper was not waited for */
	struct reaper *reaper;
	struct flows *flows;
};

/* The handle of a sandbox with its namespace and route socket open, or NULL with err. */
struct handle *handle_open(struct applier *a, const char *sandbox, struct cnm_error *err);
struct handle *handle_new(struct applier *a, const char *sandbox, const char *name);
void handle_free(struct handle *h);
/* The route socket of a place: "" the host. NULL with err. */
struct nl *place_rtnl(struct applier *a, const char *sandbox, struct cnm_error *err);

/*
 * The firewall of a place: "" the host, else a network's, whose socket is opened when it is first
 * asked for. Its ruleset may not be there: nothing that is held to anything has come yet.
 */
struct nft *place_nft(struct applier *a, const char *place, struct cnm_error *err);

/* One pass over a difference. */
struct run {
	struct applier *a;
	const struct plan_diff *d;
	bool expected;        /* the reaper was told that links will be deleted */
	bool locked;          /* the caller holds the turn: links are deleted in place */
	struct handle *limbo; /* sandboxes removed by this run, until it cannot fail any more */
	struct nl *target;    /* socket of the pending batch, NULL: none pending */
	struct nl_batch batch;
	size_t *msg_op; /* which op each message of the batch belongs to */
	size_t msg_cap;
	unsigned n_marked;          /* messages of the batch that have their op noted */
	struct nft_elem *add, *del; /* pending element changes, all of one place */
	unsigned n_add, n_del;
	char elem_place[ID_SIZE];
	size_t *doomed, n_doomed; /* the ops that remove links */
	struct {
		char sandbox[ID_SIZE], name[IFNAMSIZ];
		int ifindex;
	} known[8];
	unsigned n_known;
	struct cnm_error *err;
};

/* apply_netns.c */
int apply_netns(struct run *r, size_t i);

/* Of what br_netfilter brings: where that is not loaded all is as with 0, which is what is wanted.
 */
static inline bool sysctl_may_lack(const char *path)
{
	return str_after(path, "net/bridge/");
}

/* Whether 127.0.0.11 is an address of the sandbox: its loopback is up, and has one. */
bool dns_is_local(const struct handle *h);
/* A keeper that had to be started anew is given everything again. */
void keep_all(struct applier *a);

/* One interface of a place, by name; remembered for the run. */
int run_ifindex(struct run *r, const char *sandbox, const char *link, int *ret);

/* Send what is pending. 0, or the negative errno of the first failure with r->err set. */
int run_flush(struct run *r);
/* Make `nl` the socket of the batch, sending another socket's first. */
int run_target(struct run *r, struct nl *nl);
/* The same for the route socket of a place: "" the host, else a sandbox. */
int run_place(struct run *r, const char *sandbox);
/* Note that the messages appended since belong to op i. */
int run_mark(struct run *r, size_t i);

int run_init(struct run *r, struct applier *a, const struct plan_diff *d, bool locked,
	     struct cnm_error *err);
void run_done(struct run *r);
/* Each op by itself; what cannot be done is told, and the rest goes on. Returns how many failed. */
unsigned run_each(struct run *r);
/* undo.c: put back what the run has changed, by looking. With the turn held. */
void run_undo(struct run *r);

/* apply_link.c: append what makes an op true. 0 or negative errno with r->err set. */
int apply_link(struct run *r, size_t i);
int apply_peer(struct run *r, size_t i);
int apply_addr(struct run *r, size_t i);
int apply_route(struct run *r, size_t i);

/* apply_ovs.c; *cache: what is there, NULL before it is first asked for, the caller's. */
int apply_ovs(struct run *r, size_t i);
void ovs_dump(json_t **cache, const struct plan_item *w, struct plan *have);
/* What bears our mark there and is not in want. */
int ovs_dump_rest(json_t **cache, const struct applier *a, const struct plan *want,
		  struct plan *have);

/* apply_moved.c; l: the link of that name in the sandbox, or NULL. */
int apply_moved(struct run *r, size_t i);
void moved_dump(struct applier *a, const struct plan_item *w, const struct rtnl_link *l,
		struct plan *have);

/* A VXLAN link that cannot become the other: made anew, without what was on it. */
bool link_is_another(const struct plan_item *have, const struct plan_item *want);

/* apply_elem.c; what is pending of elements, of messages. */
int apply_elem(struct run *r, size_t i);
int run_flush_elems(struct run *r);
int run_flush_links(struct run *r);

/* apply_fdb.c */
int apply_fdb(struct run *r, size_t i);
int apply_neigh(struct run *r, size_t i);
/*
 * Tell the endpoints here of addresses that this run put at other hosts, lest they go on with what
 * they knew of an endpoint that had one before.
 */
void announce_neighbours(struct run *r);

/* dump_fdb.c: the FDB entries and neighbours of a place, sorted, and which of them were asked for.
 */
struct tables {
	struct rtnl_neigh *fdb, *neighs;
	bool *fdb_wanted, *neigh_wanted;
	unsigned n_fdb, cap_fdb, n_neighs, cap_neighs;
};
int tables_read(struct nl *nl, struct tables *ret, struct cnm_error *err);
void tables_free(struct tables *t);
/* Append what there is of w, which is to be on a link of this index, to have. */
void tables_dump(struct tables *t, const struct plan_item *w, int ifindex, struct plan *have);
/* Append what was not asked for of a link. */
void tables_dump_rest(const struct tables *t, const char *place, const struct rtnl_link *link,
		      struct plan *have);

/* dump.c: array, or a larger one if its n members fill it; NULL: no memory. */
void *dump_grow(void *array, unsigned n, unsigned *cap, size_t size);

/* apply_file.c */
int apply_file(struct run *r, size_t i);
/* Append what there is of w to have, if anything is. It is as wanted when its users edited it. */
void file_dump(const struct plan_item *w, struct plan *have);

/* apply_hold.c */
int apply_hold(struct run *r, size_t i);
/* Append what is held of w's ports to have, if anything is. */
void hold_dump(struct applier *a, const struct plan_item *w, struct plan *have);
/* Give every socket to a keeper that had to be started anew. */
void hold_keep_all(struct applier *a);
/* A run begins, without the turn: flows of ports that went before it are deleted. */
void hold_prepare(struct applier *a, const struct plan_diff *d);
/*
 * A run is done: ports that it let go of are free when this returns, and the flows that its ports
 * leave behind will be deleted. locked: the turn is held. Never fails.
 */
void hold_finish(struct applier *a, const struct plan_diff *d, bool locked);
void hold_free_all(struct applier *a);

/* hold_flows.c */
struct flows;
int flows_new(struct flows **ret, struct cnm_error *err);
/* Does first what was asked of it. */
void flows_free(struct flows *f);
/* Delete, soon, the flows that the ports of a difference leave behind. */
void flows_delete(struct flows *f, const struct plan_diff *d);
/* Until nothing that was asked can meet flows of these ports, or at all. Without the turn. */
void flows_wait(struct flows *f, const struct plan_item *hold);
void flows_wait_all(struct flows *f);

/* reaper.c */
struct reaper;
int reaper_new(struct reaper **ret, struct applier *a, struct cnm_error *err);
void reaper_free(struct reaper *r);
/* A link to delete. */
struct doomed {
	char name[IFNAMSIZ];
	char place[ID_SIZE]; /* "": the host */
	int ns;              /* the place; looked at in its first link, and not for the host */
	int rc;              /* what became of it */
	bool taken;          /* internal */
};
/*
 * Delete these links and wait until they are gone. Without the turn. expected: it was announced by
 * reaper_expect(), and has come now.
 */
int reaper_delete(struct reaper *r, struct doomed *links, unsigned n, bool expected,
		  struct cnm_error *err);
/*
 * A run that will delete links has begun (+1), or ended without (-1): a deletion waits a moment for
 * the others that are on their way.
 */
void reaper_expect(struct reaper *r, int change);
/* Announce an address of a sandbox's link `times` times, `ms` apart, beginning soon. */
void reaper_announce(struct reaper *r, const char *sandbox, int ifindex, const struct cnm_ip *ip,
		     unsigned times, unsigned ms);

#endif
