/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The applier's life, its turn, and the questions it answers for the controller. See apply.h.
 */
#include "plan/apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plan/apply_internal.h"

/* Link groups are numbers: two an instance, even for links, odd for doomed ones. */
static uint32_t group_of(const char *instance)
{
	uint32_t h = 2166136261u;

	for (; *instance; instance++)
		h = (h ^ (unsigned char)*instance) * 16777619u;
	return 0x636e0000u | (h & 0xfffeu);
}

int applier_new(struct applier **ret, const struct applier_options *options, struct cnm_error *err)
{
	struct applier *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return cnm_error_errno(err, ENOMEM, "applier");
	a->opt = *options;
	a->group = group_of(options->instance);
	snprintf(a->table, sizeof(a->table), "%s%s", streq(options->instance, "cnm") ? "" : "cnm-",
		 options->instance);
	pthread_mutex_init(&a->turn, NULL);
	if ((rc = nl_open(&a->rtnl, NETLINK_ROUTE, err)) < 0 ||
	    (rc = host_routes_open(&a->routes, a->group, err)) < 0 ||
	    (rc = nft_open(&a->nft, a->table, err)) < 0 ||
	    (rc = netns_pool_new(&a->pool, options->pool_size, err)) < 0 ||
	    (rc = reaper_new(&a->reaper, a, err)) < 0 || (rc = flows_new(&a->flows, err)) < 0) {
		applier_free(a);
		return rc;
	}
	*ret = a;
	return 0;
}

void applier_free(struct applier *a)
{
	size_t pos = 0;
	struct handle *h;

	if (!a)
		return;
	reaper_free(a->reaper);
	netns_pool_free(a->pool);
	while ((h = map_next(&a->handles, &pos)))
		handle_free(h);
	map_free(&a->handles);
	hold_free_all(a);
	flows_free(a->flows);
	nft_close(a->nft);
	host_routes_close(a->routes);
	nl_close(a->rtnl);
	pthread_mutex_destroy(&a->turn);
	free(a);
}

void applier_enter(struct applier *a)
{
	pthread_mutex_lock(&a->turn);
}

void applier_leave(struct applier *a)
{
	pthread_mutex_unlock(&a->turn);
}

struct names {
	char (*ret)[IFNAMSIZ];
	unsigned n, max;
};

static int add_name(const struct rtnl_link *l, void *arg)
{
	struct names *names = arg;

	if (names->n < names->max)
		memcpy(names->ret[names->n++], l->name, IFNAMSIZ);
	return 0;
}

static void restart_names(void *arg)
{
	((struct names *)arg)->n = 0;
}

unsigned applier_taken_names(struct applier *a, const char *sandbox, char (*names)[IFNAMSIZ],
			     unsigned n)
{
	unsigned taken = 0;
	struct nl *nl;
	int ifindex;
	LOCKED(&a->turn);

	nl = map_get(&a->handles, sandbox) ? place_rtnl(a, sandbox, NULL) : NULL;
	for (unsigned i = 0; nl && i < n; i++)
		if (rtnl_ifindex(nl, names[i], &ifindex, NULL) == 0)
			memmove(names[taken++], names[i], IFNAMSIZ);
	return taken;
}

int applier_names_at(struct applier *a, const char *path, char (*ret)[IFNAMSIZ], unsigned max,
		     unsigned *ret_n, struct cnm_error *err)
{
	struct names names = { .ret = ret, .max = max };
	_close_ int ns = -1;
	struct nl *nl = NULL;
	int rc = netns_open_path(path, &ns, err);

	if (rc == 0)
		rc = netns_nl_open(&nl, ns, NETLINK_ROUTE, err);
	if (rc == 0)
		rc = rtnl_links(nl, add_name, restart_names, &names, err);
	nl_close(nl);
	if (rc == 0)
		*ret_n = names.n;
	return rc;
}

int applier_host_routes(struct applier *a, int family, struct prefixes *ret, struct cnm_error *err)
{
	LOCKED(&a->turn);

	return host_routes_get(a->routes, a->rtnl, family, ret, err);
}

void applier_link_down(struct applier *a, uint32_t group)
{
	host_routes_link_down(a->routes, group);
}

int applier_host_link(struct applier *a, const char *name, bool *ret_is_bridge, bool *ret_is_ours,
		      struct cnm_error *err)
{
	struct rtnl_link l;
	LOCKED(&a->turn);
	int rc = rtnl_link_by_name(a->rtnl, name, &l, err);

	if (rc < 0)
		return rc;
	*ret_is_bridge = l.kind == RTNL_BRIDGE;
	*ret_is_ours = l.group == a->group;
	return 0;
}

static struct nft_elem *elems_of(const struct plan *p, unsigned *ret_n)
{
	struct nft_elem *e = calloc(p->n + 1, sizeof(*e));

	*ret_n = 0;
	for (size_t i = 0; e && i < p->n; i++)
		if (p->items[i].kind == PLAN_ELEM && !p->items[i].sandbox[0])
			e[(*ret_n)++] = p->items[i].elem;
	return e;
}

int applier_ruleset_loaded(struct applier *a, struct cnm_error *err)
{
	return nft_loaded(a->nft, err);
}

int applier_load_ruleset(struct applier *a, const struct plan *want, bool force,
			 struct cnm_error *err)
{
	_free_ struct nft_elem *elems = NULL;
	unsigned n;
	int rc = force ? 0 : nft_loaded(a->nft, err);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	elems = elems_of(want, &n);
	if (!elems)
		return cnm_error_errno(err, ENOMEM, "load the firewall's ruleset");
	return nft_load(a->nft, elems, n, err);
}

int applier_unload_ruleset(struct applier *a, struct cnm_error *err)
{
	LOCKED(&a->turn);

	return nft_unload(a->nft, err);
}

uint32_t applier_nft_portid(const struct applier *a)
{
	return nft_portid(a->nft);
}

const char *applier_table(const struct applier *a)
{
	return a->table;
}
