/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What hosts that share a store agree upon, and how: networks with their names, VXLAN ids and
 * pools, endpoints with their addresses and names, hosts that come and go (docs/CLUSTER.md).
 *
 * Every function is made of a few transactions and waits for the store; no lock may be held around
 * it, and any number of threads may call. The copy serves as a guess that saves a question: what is
 * decided, a transaction decides. An error of class unavailable means that what was asked may or
 * may not have come about; the caller brings it to one or the other later, by leave or settle.
 *
 * An endpoint's id is claimed once: it joins, it leaves, and does not come back.
 */
#ifndef CLUSTER_CLAIMS_H
#define CLUSTER_CLAIMS_H

#include "base/addr.h"
#include "cluster/copy.h"

struct cluster {
	struct kv *kv;
	struct cluster_copy *copy;
	const char *host; /* this host's id, 64 hex digits */
	unsigned ms;      /* the deadline of each function as a whole */
};

/* Who was faster, or has it since long. The error is in err. */
enum cluster_clash {
	CLASH_NONE,
	CLASH_NETWORK, /* it is not there (not found) or being removed (conflict) */
	CLASH_IPV4,
	CLASH_IPV6,
	CLASH_NAME,
	CLASH_POOL,
	CLASH_VXLAN,
	CLASH_BURIED /* it was removed from another host */
};

struct cluster_network {
	const char *id, *name;
	const struct cnm_prefix *pools;
	size_t n_pools;
	uint32_t vxlan_id;  /* 0: any; then set */
	const json_t *body; /* an object for the others; "Name", "VxlanId", "Maker" are added */
	struct cnm_prefix other; /* set with CLASH_POOL: the pool that is in the way */
	char other_id[65];       /* set with a clash: the network that is */
};

/*
 * Conflict: the name or the id is another network's, which is named; forbidden: a pool is (in
 * Docker's words: "Pool overlaps with other one on this address space"). Ids are 4096 to 2^24 - 1.
 */
int cluster_make_network(const struct cluster *c, struct cluster_network *n,
			 enum cluster_clash *ret, struct cnm_error *err);
/*
 * Forbidden: it has endpoints, which are named with their hosts. Not found: it is not there. What a
 * host that died left half removed goes on to be removed.
 */
int cluster_remove_network(const struct cluster *c, const char *id, struct cnm_error *err);

struct cluster_endpoint {
	const char *network_id, *id;
	const char *name;       /* unique on the network; NULL: it has none */
	struct cnm_ip ip4, ip6; /* unset: none */
	const json_t *body;     /* for the others; "Name", "Host", "IPv4", "IPv6" are added */
};

int cluster_join(const struct cluster *c, const struct cluster_endpoint *ep,
		 enum cluster_clash *ret, struct cnm_error *err);
/* Another name or body; the addresses stay. Not found: it is not in the store. */
int cluster_change(const struct cluster *c, const struct cluster_endpoint *ep,
		   enum cluster_clash *ret, struct cnm_error *err);
/* 0 also if it is not there any more. Keys that have become another's stay. */
int cluster_leave(const struct cluster *c, const char *network_id, const char *id,
		  struct cnm_error *err);
/* As leave, of an endpoint of any host, with a tombstone for that one. Not found. */
int cluster_evict(const struct cluster *c, const char *network_id, const char *id,
		  struct cnm_error *err);
/* An endpoint of ours that was evicted is gone from here: its tombstone goes. */
int cluster_bury(const struct cluster *c, const char *id, struct cnm_error *err);

/* Writes hosts/HID of ours (name, address, grace time), and keeps alive/HID. */
int cluster_enter(const struct cluster *c, const char *name, const struct cnm_ip *address,
		  unsigned grace_s, struct cnm_error *err);
/* The endpoints of a host that is not alive: removed without tombstones. 0 also if it is alive. */
int cluster_expire_host(const struct cluster *c, const char *host, struct cnm_error *err);
/* Conflict: it is alive. Its endpoints are evicted, then it is forgotten. */
int cluster_remove_host(const struct cluster *c, const char *host, struct cnm_error *err);

/* After all(): what this host has by its rows, and what became of each. */
enum cluster_fate {
	FATE_UNKNOWN, /* the store was not reached, or its network is going: settle again */
	FATE_KEPT,    /* it is in the store, or has been put back */
	FATE_LOST,    /* another has what it needs: clash says what */
	FATE_BURIED   /* there is a tombstone: bury it when the endpoint is gone from here */
};
struct cluster_own_network {
	struct cluster_network network;
	enum cluster_fate fate; /* that of one with no endpoint of ours stays unknown */
	enum cluster_clash clash;
};
struct cluster_own_endpoint {
	struct cluster_endpoint endpoint;
	enum cluster_fate fate;
	enum cluster_clash clash;
};
/*
 * Puts back what is missing: networks that endpoints of ours are on, with their claims, then the
 * endpoints; and takes back removals of networks that this host began and does not go on with.
 * Fates are unknown before, and are set even when it fails; what fails for one endpoint does not
 * keep the others.
 */
int cluster_settle(const struct cluster *c, struct cluster_own_network *networks, size_t n_networks,
		   struct cluster_own_endpoint *endpoints, size_t n_endpoints,
		   struct cnm_error *err);

#endif
