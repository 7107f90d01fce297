/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Published ports: what a sandbox asks for, what it was allotted, and the index that finds
 * overlaps. No I/O; the controller's lock guards all of it.
 *
 * What is asked for (struct port_want) is declared and stays with the sandbox; what is allotted
 * (struct port) is there while the sandbox is. A want is a run of ports: however many, it is one
 * row, one entry of the index and one element of the firewall, unless host and container ports
 * differ.
 *
 * The index is one array, sorted by protocol, address of the host and first port, whose runs never
 * overlap: a question is a binary search, and one more for the wildcard. 0.0.0.0 overlaps with
 * every IPv4 address, :: with every IPv6 one; to ask for a wildcard is a search for each address
 * there is.
 */
#ifndef MODEL_PORTS_H
#define MODEL_PORTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "cnm/error.h"

#define PORTS_MAX_WANTS 20000 /* of one sandbox, after runs were joined */

struct port_want {
	uint8_t proto;                  /* IPPROTO_TCP, _UDP, _SCTP */
	struct cnm_ip host;             /* unset: what the network has as default */
	uint16_t first, last;           /* of the container */
	uint16_t host_first, host_last; /* 0, 0: chosen; as many as first..last; or more, if that
					   is one, and the first free one is taken */
};

/* Ports that the sandbox says it listens on. */
struct port_run {
	uint8_t proto;
	uint16_t first, last;
};

/* How packets of one family get to the container. */
enum port_way {
	PORT_NONE,
	PORT_NAT,   /* translated by the firewall */
	PORT_PROXY, /* passed on by the daemon: IPv6 to a container without */
	PORT_OPEN   /* mode routed: reached at the container's own address */
};

struct sandbox;

struct port {
	uint8_t proto;
	uint16_t first, last; /* of the container */
	uint16_t host_first;  /* of the host: as many. PORT_OPEN in both families: first */
	struct {
		enum port_way way;
		struct cnm_ip host; /* NAT, PROXY: where on the host */
	} by[2];                    /* IPv4, IPv6 */
	const struct sandbox *sandbox;
};

static inline uint16_t port_host_last(const struct port *p)
{
	return (uint16_t)(p->host_first + (p->last - p->first));
}

/* Has the host a port for it in this family (0 IPv4, 1 IPv6)? */
static inline bool port_is_bound_in(const struct port *p, unsigned f)
{
	return p->by[f].way == PORT_NAT || p->by[f].way == PORT_PROXY;
}
/* ... or in any? */
bool port_is_bound(const struct port *p);

struct port_entry;

/* Zero-initialised is empty. */
struct port_index {
	struct port_entry *entries;
	unsigned n, cap;
	uint16_t next; /* where the search for a free port begins */
};
void port_index_free(struct port_index *ix);
/* Enter all n, or none: -EEXIST (one overlaps, as port_index_find() would say), -ENOMEM. The ports
 * are kept by address, and must not move or change until port_index_del(). */
int port_index_add(struct port_index *ix, const struct port *ports, unsigned n);
void port_index_del(struct port_index *ix, const struct port *ports, unsigned n);
/* An entry that overlaps with these ports of this address, or NULL. */
const struct port *port_index_find(const struct port_index *ix, uint8_t proto,
				   const struct cnm_ip *host, uint16_t first, uint16_t last);

/* What decides where the ports of a sandbox go: its ways out, and the host. */
struct port_place {
	struct {
		enum port_way way;  /* of what a network of that family offers */
		struct cnm_ip host; /* the network's default; unset: not published by default */
	} by[2];
	/* Is a port of the host in use by a process, whatever the address? NULL: not known. */
	bool (*used)(void *arg, uint8_t proto, uint16_t port);
	void *arg;
	uint16_t first, last; /* from which ports are chosen */
};

/*
 * Allot ports for all wants; quickest when they are sorted, as port_wants_join() leaves them.
 * `keep` (n_keep) is what the sandbox had before, to be given again where it fits (same protocol,
 * container ports and host ports as the want allows); it is not in the index. Ports that are given
 * come first, then kept ones, then one each out of ranges, then any. A want of another family than
 * the way offers is allotted nothing. A container port that is open is so once, however many wants
 * have it. The result (NULL if there is none) is not yet entered in the index.
 *
 * Errors are of class CNM_E_INTERNAL and in Docker's words:
 *
 *   "Bind for 0.0.0.0:80 failed: port is already allocated (by container con1)"
 *
 *   "Bind for 0.0.0.0:8000-8010 failed: all ports are allocated"
 */
int ports_allot(struct port_index *ix, const struct port_place *place, const struct sandbox *sb,
		const struct port_want *wants, unsigned n_wants, const struct port *keep,
		unsigned n_keep, struct port **ret, unsigned *ret_n, struct cnm_error *err);

/*
 * Check one request and put it with the others; *wants is NULL at first. What is no run from 1 to
 * 65535, or gives the host and the container unequal numbers of ports, is an `invalid port
 * specification`. One that goes on where the last one ended only makes that longer. -EINVAL,
 * -ENOMEM.
 */
int port_wants_add(struct port_want **wants, unsigned *n, const struct port_want *w,
		   struct cnm_error *err);
/*
 * All were added, in whatever order: sort them and join what goes on where another ends, so that
 * 50,000 single ports are one run. Duplicates are one. -EINVAL: more than PORTS_MAX_WANTS are left.
 */
int port_wants_join(struct port_want *wants, unsigned *n, struct cnm_error *err);

const char *port_proto_name(uint8_t proto);           /* "tcp" */
int port_proto_parse(const char *name, uint8_t *ret); /* any case; -EINVAL */

/*
 * Rows: arrays of arrays.
 *   wants  ["tcp", "0.0.0.0", 80, 80, 8080, 8080]: host ("" when unset), container, host ports
 *   runs   ["tcp", 80, 80]
 *   ports  ["tcp", 80, 80, 8080, "nat", "0.0.0.0", "proxy", "::"]: each family's way and host
 * Encoding returns NULL when memory is out. Decoding is strict: -EINVAL, -ENOMEM; NULL is none.
 */
json_t *port_wants_encode(const struct port_want *w, unsigned n);
int port_wants_decode(const json_t *a, struct port_want **ret, unsigned *ret_n);
json_t *port_runs_encode(const struct port_run *r, unsigned n);
int port_runs_decode(const json_t *a, struct port_run **ret, unsigned *ret_n);
json_t *ports_encode(const struct port *p, unsigned n);
int ports_decode(const json_t *a, const struct sandbox *sb, struct port **ret, unsigned *ret_n);

#endif
