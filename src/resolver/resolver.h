/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The DNS server of the sandboxes. One thread serves all of them, on sockets that were opened in
 * each sandbox's namespace; it owns its tables outright, and learns of changes by messages pushed
 * on an atomic list, which it empties before it answers each batch of queries. So no lock is shared
 * with the engine, a change costs the same whatever the size of the network, and a query that
 * arrives after a resolver_ function returned sees what that function said.
 *
 * What it answers: docs/ARCHITECTURE.md, "Names". Names known to the networks of the asking
 * sandbox: A, AAAA, PTR, and NOERROR without data for other types; everything else is forwarded.
 */
#ifndef RESOLVER_RESOLVER_H
#define RESOLVER_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/addr.h"
#include "cnm/error.h"
#include "resolver/resolv_conf.h"

struct resolver;

/*
 * host_resolv_conf is re-read when it changes; the path is borrowed until resolver_stop(). The
 * calling thread's namespace is "the host".
 */
int resolver_start(struct resolver **ret, const char *host_resolv_conf, struct cnm_error *err);
/* Ends the thread; sockets given to it are closed. NULL is allowed. */
void resolver_stop(struct resolver *r);

/*
 * The names of one endpoint in one network; the first is its canonical name (PTR answers
 * "<first>.<network name>."). Several endpoints may share a name. Case does not matter. Replaces
 * what the same endpoint id said before. -ENOMEM leaves everything as it was.
 */
struct resolver_names {
	const char *network_id, *network_name, *endpoint_id;
	const char *const *names;
	size_t n_names;
	struct cnm_ip ip4, ip6; /* unset: none */
};
int resolver_set_names(struct resolver *r, const struct resolver_names *names);
void resolver_drop_names(struct resolver *r, const char *endpoint_id);

/*
 * A sandbox: which networks it can see, in the order they are searched (gateway order), and
 * where unknown names go: to servers of its own, asked from its namespace; failing those, to the
 * host's, from the host's, if it may ask outside. Replaces what was said before.
 */
struct resolver_sandbox {
	const char *id;
	const char *const *network_ids;
	size_t n_networks;
	const struct resolv_server *servers; /* those beyond RESOLV_SERVERS_MAX are not asked */
	size_t n_servers;
	const char *netns; /* path of its namespace, for servers of its own */
	bool forward;      /* the host's servers may be asked: it is not internal */
	/* The user set ndots: names without a dot are nobody else's business, and answered empty.
	 */
	bool ndots;
	/* Names that only this sandbox has for others: alias, and another name of theirs. */
	const struct resolver_link {
		const char *alias, *name;
	} * links;
	size_t n_links;
};
int resolver_set_sandbox(struct resolver *r, const struct resolver_sandbox *sandbox);

/*
 * Give it the sandbox's sockets: udp bound and tcp listening in the sandbox's namespace. It owns
 * duplicates of its own (the caller keeps and later closes the ones passed in). tcp becomes
 * non-blocking. Returns 0, or negative and without effect: -ENOMEM, -EBADF, -EMFILE.
 */
int resolver_set_sockets(struct resolver *r, const char *sandbox_id, int udp, int tcp);
/* Forgets the sandbox and closes its sockets. */
void resolver_drop_sandbox(struct resolver *r, const char *sandbox_id);

/*
 * As cnm_dns() has it, but for "Embedded" and "Why", as a new reference; NULL: the sandbox is not
 * known, or memory is out. Waits for the server's thread: not with a lock held.
 */
json_t *resolver_describe(struct resolver *r, const char *sandbox_id);

#endif
