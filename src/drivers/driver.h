/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver: functions from objects to plans. It never touches the kernel, keeps no state, and has
 * nothing to call back into; what it does depends on its arguments alone, so the same call serves
 * create, restore, repair and --dry-run. docs/DRIVERS.md is the tutorial.
 */
#ifndef DRIVERS_DRIVER_H
#define DRIVERS_DRIVER_H

#include "cnm/error.h"
#include "model/model.h"
#include "plan/plan.h"

/* What a driver may know of the engine it runs in. */
struct driver_env {
	const char *instance;      /* marks kernel objects */
	const struct model *model; /* other networks, to refuse conflicts with */
	unsigned mtu;              /* the smallest of the host's uplinks; 0: not known */
	bool host_ipv6;            /* the host has IPv6 */
	struct cnm_ip vtep;        /* where other hosts reach this one; unset: no cluster */
};

struct driver {
	const char *name;
	const char *scope; /* "local" or "global" */
	bool single;       /* one instance, made by the engine: host, null */
	bool addresses;    /* its networks have IPAM pools and its endpoints addresses */
	bool shares_host;  /* its sandboxes live in the host's namespace */
	bool apart;     /* the host has no address in its networks, and forwards nothing for them */
	bool by_plugin; /* another program makes its networks, see struct network.plugin */
	unsigned max_subnets; /* per address family, when `addresses` */
	size_t network_size;  /* bytes of struct network.priv, zeroed before network_parse */

	/*
	 * Parse n->options into n->priv. Called for a request and again when a row is loaded; it
	 * refuses unknown options by name. May adjust n->ipv4, n->ipv6 and
	 * n->internal.
	 * NULL: every option is refused.
	 */
	int (*network_parse)(struct network *n, const struct driver_env *env,
			     struct cnm_error *err);
	/* Does a network of this family want a gateway address? NULL: yes. */
	bool (*wants_gateway)(const struct network *n, int family);
	/* Pure: refuse a new network that cannot be; its pools are chosen. NULL: fine. */
	int (*network_check)(const struct network *n, const struct driver_env *env,
			     struct cnm_error *err);
	/* Pure: refuse an endpoint (its driver_opts, its addresses). NULL: no options are known. */
	int (*endpoint_check)(const struct endpoint *ep, const struct driver_env *env,
			      struct cnm_error *err);
	/* Prefix of interface names in the sandbox. NULL: "eth". */
	const char *(*iface_prefix)(const struct network *n);
	/*
	 * The kernel objects of a network, and of an endpoint: a joined one, or one that is on
	 * another host. NULL: none.
	 */
	void (*network_plan)(const struct network *n, const struct driver_env *env, struct plan *p);
	void (*endpoint_plan)(const struct endpoint *ep, const struct driver_env *env,
			      struct plan *p);
	/*
	 * What a network needs for each other host that has endpoints on it, by that host's
	 * address; endpoint_plan() is called for those as well. NULL: nothing.
	 */
	void (*host_plan)(const struct network *n, const struct cnm_ip *vtep,
			  const struct driver_env *env, struct plan *p);
	/*
	 * How a sandbox whose way out is this network publishes ports in a family, and the address
	 * of the host that is meant when none is given (unset: none). NULL: not at all.
	 */
	enum port_way (*publishes)(const struct network *n, int family, struct cnm_ip *ret_host);
};

/* All drivers, NULL at the end, in the order of their names. */
extern const struct driver *const drivers[];
const struct driver *driver_by_name(const char *name); /* NULL if unknown */
/* That of plugins' networks (remote.c), which are of one host or of all of a cluster. */
const struct driver *driver_of_plugin(bool global);
/* By the name that rows of networks hold: one of either. NULL if unknown. */
const struct driver *driver_of_row(const char *name);

#endif
