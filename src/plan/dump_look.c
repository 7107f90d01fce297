/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions about the host that no plan answers: its uplinks, other firewalls, and what was
 * counted. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "kernel/link_counters.h"
#include "kernel/xt_legacy.h"
#include "plan/apply_internal.h"

/* A link that a default route leads over. */
static int add_uplink(const struct rtnl_route *r, void *arg)
{
	struct uplinks *u = arg;

	if (r->dst.len == 0 && r->ifindex && u->n < MAX_UPLINKS)
		u->ifindex[u->n++] = r->ifindex;
	return 0;
}

static void restart_uplinks(void *arg)
{
	((struct uplinks *)arg)->n = 0;
}

/* The loopback has a route of the kernel's own for unreachable IPv6 destinations. */
static int look_at_link(const struct rtnl_link *l, void *arg)
{
	struct uplinks *u = arg;

	for (unsigned i = 0; i < u->n; i++)
		if (u->ifindex[i] == l->ifindex && l->kind != RTNL_LOOPBACK && l->up &&
		    (!u->mtu || l->mtu < u->mtu))
			u->mtu = l->mtu;
	return 0;
}

static void restart_mtu(void *arg)
{
	((struct uplinks *)arg)->mtu = 0;
}

int applier_uplinks(struct applier *a, struct uplinks *ret, struct cnm_error *err)
{
	struct uplinks u = { 0 };
	LOCKED(&a->turn);
	int rc = rtnl_routes(a->rtnl, 0, add_uplink, restart_uplinks, &u, err);

	if (rc == 0 && u.n)
		rc = rtnl_links(a->rtnl, look_at_link, restart_mtu, &u, err);
	if (rc == 0)
		*ret = u;
	return rc;
}

int applier_link_counters(struct applier *a, const char *name, struct link_counters *ret,
			  struct cnm_error *err)
{
	LOCKED(&a->turn);

	return link_counters_read(a->rtnl, name, ret, err);
}

int applier_count(struct applier *a, const struct plan *p, uint64_t *ret, struct cnm_error *err)
{
	struct nft_elem *elems = calloc(p->n + 1, sizeof(*elems));
	int rc = elems ? 0 : cnm_error_errno(err, ENOMEM, "counters");
	LOCKED(&a->turn);

	for (size_t i = 0; elems && i < p->n; i++)
		elems[i] = p->items[i].elem;
	if (rc == 0)
		rc = nft_count(a->nft, elems, (unsigned)p->n, ret, err);
	free(elems);
	return rc;
}

int applier_foreign_drop(struct applier *a, char *buf, size_t size, struct cnm_error *err)
{
	int rc = nft_foreign_forward_drop(a->nft, buf, size, err);

	return rc < 0 || *buf ? rc : xt_legacy_forward_drop(buf, size, err);
}
