/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports as Docker writes them, and as runs. No I/O.
 *
 * Docker has an entry for every port: {"8000/tcp": [{"HostIp": "", "HostPort": "9000"}],
 * "8001/tcp":
 * ...}. A request may hold 50,000 of them, in any order. They are read into runs, of which there
 * are few, and kept as such in the same shape: a key may be a range, "8000-8010/tcp", whose
 * HostPort is then empty, "0", or a range of as many. (One container port with a range of host
 * ports is Docker's own: the first free one of them.) So what is kept can be read again, and a
 * request may say ranges, too. Docker's clients are shown every port again.
 */
#ifndef CONTAINERS_PORT_SPEC_H
#define CONTAINERS_PORT_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cnm/error.h"
#include "model/ports.h"

struct port_binding {
	struct port_want want;
	bool zero;      /* "0" was given for a port to be chosen, not "" */
	unsigned order; /* as given */
};

/* "80", "8000-8010"; no sign, no space. 0 is a number here. -EINVAL. */
int port_range_parse(const char *s, size_t n, uint16_t *ret_first, uint16_t *ret_last);

/*
 * PortBindings (an object or NULL) as runs in the order given, without doubles; the caller frees
 * *ret. An empty list of bindings is one that leaves the host port to be chosen. INVALID, in
 * Docker's words: invalid port specification: "X".
 */
int port_bindings_read(const json_t *bindings, struct port_binding **ret, size_t *ret_n,
		       struct cnm_error *err);
/* The reverse; each: an entry for every port. NULL: no memory. */
json_t *port_bindings_write(const struct port_binding *v, size_t n, bool each);

/* ExposedPorts (an object or NULL) as runs in order, none next to another. INVALID as above. */
int port_set_read(const json_t *set, struct port_run **ret, size_t *ret_n, struct cnm_error *err);
json_t *port_set_write(const struct port_run *v, size_t n, bool each);

/* Put runs in order and join them, in place. Returns how many are left. */
size_t port_runs_join(struct port_run *v, size_t n);
/* Those of a that are not in b, both joined; ret has room for n_a + n_b. Returns how many. */
size_t port_runs_without(const struct port_run *a, size_t n_a, const struct port_run *b, size_t n_b,
			 struct port_run *ret);

/* What is kept, as Docker shows it: a new object, null if it is NULL. NULL: no memory. */
json_t *port_bindings_show(const json_t *kept);
json_t *port_set_show(const json_t *kept);

#endif
