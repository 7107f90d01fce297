/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading FDB entries and neighbours back into a plan. There may be tens of thousands, so the
 * tables of a place are listed once and sorted; each wanted item is then looked up, and what nobody
 * looked up is left over.
 *
 * An FDB item is two entries: the VXLAN link's, with the other host, and the bridge's, by which
 * frames get to that link. An item of which one is missing differs in the host it leads to.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "plan/apply_internal.h"

/* ---- the tables */

static bool is_own(const struct rtnl_neigh *n)
{
	return n->flags & NTF_SELF;
}

/* By link, the link's own first, by MAC, by destination. */
static int compare_fdb(const void *a, const void *b)
{
	const struct rtnl_neigh *x = a, *y = b;
	int c;

	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	if (is_own(x) != is_own(y))
		return is_own(x) ? -1 : 1;
	c = memcmp(x->mac.b, y->mac.b, sizeof(x->mac.b));
	return c ? c : ip_cmp(&x->dst, &y->dst);
}

static int compare_neigh(const void *a, const void *b)
{
	const struct rtnl_neigh *x = a, *y = b;

	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	return ip_cmp(&x->ip, &y->ip);
}

static int note_fdb(const struct rtnl_neigh *n, void *arg)
{
	struct tables *t = arg;
	struct rtnl_neigh *p = dump_grow(t->fdb, t->n_fdb, &t->cap_fdb, sizeof(*p));

	if (!p)
		return -ENOMEM;
	t->fdb = p;
	t->fdb[t->n_fdb++] = *n;
	return 0;
}

static int note_neigh(const struct rtnl_neigh *n, void *arg)
{
	struct tables *t = arg;
	struct rtnl_neigh *p = dump_grow(t->neighs, t->n_neighs, &t->cap_neighs, sizeof(*p));

	if (!p)
		return -ENOMEM;
	t->neighs = p;
	t->neighs[t->n_neighs++] = *n;
	return 0;
}

static void forget_fdb(void *arg)
{
	((struct tables *)arg)->n_fdb = 0;
}

/* Those of one family are listed by themselves; what the other one has stays. */
struct family {
	struct tables *t;
	unsigned before;
};

static int note_of_family(const struct rtnl_neigh *n, void *arg)
{
	return note_neigh(n, ((struct family *)arg)->t);
}

static void forget_family(void *arg)
{
	struct family *f = arg;

	f->t->n_neighs = f->before;
}

static int read_neighs(struct nl *nl, int family, struct tables *t, struct cnm_error *err)
{
	struct family f = { .t = t, .before = t->n_neighs };

	return rtnl_neighs(nl, family, note_of_family, forget_family, &f, err);
}

int tables_read(struct nl *nl, struct tables *ret, struct cnm_error *err)
{
	int rc = rtnl_neighs(nl, AF_BRIDGE, note_fdb, forget_fdb, ret, err);

	if (rc == 0)
		rc = read_neighs(nl, AF_INET, ret, err);
	if (rc == 0)
		rc = read_neighs(nl, AF_INET6, ret, err);
	if (rc < 0)
		return rc;
	ret->fdb_wanted = calloc(ret->n_fdb + 1, sizeof(bool));
	ret->neigh_wanted = calloc(ret->n_neighs + 1, sizeof(bool));
	if (!ret->fdb_wanted || !ret->neigh_wanted)
		return -ENOMEM;
	if (ret->n_fdb)
		qsort(ret->fdb, ret->n_fdb, sizeof(*ret->fdb), compare_fdb);
	if (ret->n_neighs)
		qsort(ret->neighs, ret->n_neighs, sizeof(*ret->neighs), compare_neigh);
	return 0;
}

void tables_free(struct tables *t)
{
	free(t->fdb);
	free(t->neighs);
	free(t->fdb_wanted);
	free(t->neigh_wanted);
}

/* The first entry of a MAC, and note that it is wanted. A destination: that one only. */
static const struct rtnl_neigh *take_fdb(struct tables *t, int ifindex, uint8_t flags,
					 const struct plan_item *w, bool exact)
{
	struct rtnl_neigh key = { .ifindex = ifindex, .mac = w->fdb.mac, .flags = flags };
	unsigned low = 0, high = t->n_fdb;

	if (exact)
		key.dst = w->fdb.dst;
	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (compare_fdb(&t->fdb[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == t->n_fdb)
		return NULL;
	if (!exact)
		key.dst = t->fdb[low].dst;
	if (compare_fdb(&t->fdb[low], &key) != 0)
		return NULL;
	t->fdb_wanted[low] = true;
	return &t->fdb[low];
}

static const struct rtnl_neigh *take_neigh(struct tables *t, int ifindex, const struct plan_item *w)
{
	const struct rtnl_neigh key = { .ifindex = ifindex, .ip = w->neigh.ip };
	const struct rtnl_neigh *n =
		t->n_neighs ? bsearch(&key, t->neighs, t->n_neighs, sizeof(key), compare_neigh)
			    : NULL;

	if (n)
		t->neigh_wanted[n - t->neighs] = true;
	return n;
}

/* ---- items */

static struct plan_item *copy(const struct plan_item *w, struct plan *have)
{
	struct plan_item *i = plan_add(have, w->kind, w->sandbox, w->owner);

	if (i)
		*i = *w;
	return i;
}

static void dump_fdb(struct tables *t, const struct plan_item *w, int ifindex, struct plan *have)
{
	bool known = mac_is_set(&w->fdb.mac);
	const struct rtnl_neigh *own = take_fdb(t, ifindex, NTF_SELF, w, !known);
	const struct rtnl_neigh *bridges = known ? take_fdb(t, ifindex, 0, w, false) : NULL;
	struct plan_item *i = own || bridges ? copy(w, have) : NULL;

	if (!i || !known)
		return;
	i->fdb.dst = (struct cnm_ip){ 0 };
	if (own && bridges && bridges->state & NUD_NOARP)
		i->fdb.dst = own->dst;
}

static void dump_neigh(struct tables *t, const struct plan_item *w, int ifindex, struct plan *have)
{
	const struct rtnl_neigh *n = take_neigh(t, ifindex, w);
	struct plan_item *i = n ? copy(w, have) : NULL;

	if (i)
		i->neigh.mac = n->state & NUD_PERMANENT ? n->mac : (struct cnm_mac){ 0 };
}

void tables_dump(struct tables *t, const struct plan_item *w, int ifindex, struct plan *have)
{
	if (w->kind == PLAN_FDB)
		dump_fdb(t, w, ifindex, have);
	else
		dump_neigh(t, w, ifindex, have);
}

/* What is permanent to a bridge is its own, and what is not permanent to a link is the kernel's. */
void tables_dump_rest(const struct tables *t, const char *place, const struct rtnl_link *link,
		      struct plan *have)
{
	for (unsigned i = 0; i < t->n_fdb; i++) {
		const struct rtnl_neigh *n = &t->fdb[i];

		if (n->ifindex == link->ifindex && !t->fdb_wanted[i] &&
		    (is_own(n) || !(n->state & NUD_PERMANENT)))
			plan_add_fdb(have, place, "", link->name, &n->mac, &n->dst);
	}
	for (unsigned i = 0; i < t->n_neighs; i++) {
		const struct rtnl_neigh *n = &t->neighs[i];

		if (n->ifindex == link->ifindex && !t->neigh_wanted[i] && n->state & NUD_PERMANENT)
			plan_add_neigh(have, place, "", link->name, &n->ip, &n->mac);
	}
}
