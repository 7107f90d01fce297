/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon was told of its cluster, checked. */
#ifndef CONTROLLER_CLUSTER_OPTIONS_H
#define CONTROLLER_CLUSTER_OPTIONS_H

#include "base/addr.h"
#include "cnm/cnm.h"

struct cluster_options {
	char *url;                             /* NULL: there is no cluster */
	char *cacertfile, *certfile, *keyfile; /* all or none */
	struct cnm_ip address;                 /* of this host, for the others */
	unsigned ttl_s, grace_s, linger_s;
};

/* Looks up the addresses of the host if it was told an interface. Invalid, in Docker's words. */
int cluster_options_read(struct cluster_options *ret, const struct cnm_options *o,
			 struct cnm_error *err);
void cluster_options_free(struct cluster_options *o); /* what it points to */

#endif
