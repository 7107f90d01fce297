/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index of published ports. One entry an address of the host and run; a port has one in each
 * family in which the host has it. Many are entered or taken out in one pass over the array.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/ports_internal.h"

struct port_entry {
	struct cnm_ip ip;
	uint8_t proto;
	uint16_t first, last;
	const struct port *port; /* NULL only while entries are being taken out */
};

bool port_is_bound(const struct port *p)
{
	return port_is_bound_in(p, 0) || port_is_bound_in(p, 1);
}

void port_index_free(struct port_index *ix)
{
	free(ix->entries);
	*ix = (struct port_index){ 0 };
}

/* ---- searching */

static int space_cmp(const struct port_entry *e, uint8_t proto, const struct cnm_ip *ip)
{
	if (e->proto != proto)
		return e->proto < proto ? -1 : 1;
	return ip_cmp(&e->ip, ip);
}

/* The first entry of this address that does not end before port (65536: all do), else what follows.
 */
static unsigned seek(const struct port_entry *e, unsigned n, uint8_t proto, const struct cnm_ip *ip,
		     unsigned port)
{
	unsigned lo = 0, hi = n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		int c = space_cmp(&e[mid], proto, ip);

		if (c < 0 || (c == 0 && e[mid].last < port))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Of this address alone. */
static const struct port_entry *find_at(const struct port_entry *e, unsigned n, uint8_t proto,
					const struct cnm_ip *ip, uint16_t first, uint16_t last)
{
	unsigned i = seek(e, n, proto, ip, first);

	if (i == n || space_cmp(&e[i], proto, ip) != 0 || e[i].first > last)
		return NULL;
	return &e[i];
}

static struct cnm_ip wildcard(const struct cnm_ip *ip)
{
	return (struct cnm_ip){ .family = ip->family };
}

/* The entries after index i whose address is another of the same family. */
static const struct port_entry *find_others(const struct port_index *ix, unsigned i, uint8_t proto,
					    uint8_t family, uint16_t first, uint16_t last)
{
	const struct port_entry *e = ix->entries;

	while (i < ix->n && e[i].proto == proto && e[i].ip.family == family) {
		const struct port_entry *hit = find_at(e, ix->n, proto, &e[i].ip, first, last);

		if (hit)
			return hit;
		i = seek(e, ix->n, proto, &e[i].ip, 65536);
	}
	return NULL;
}

static const struct port_entry *find(const struct port_index *ix, uint8_t proto,
				     const struct cnm_ip *ip, uint16_t first, uint16_t last)
{
	const struct port_entry *hit = find_at(ix->entries, ix->n, proto, ip, first, last);
	struct cnm_ip any = wildcard(ip);

	if (hit)
		return hit;
	if (!ip_is_unspecified(ip))
		return find_at(ix->entries, ix->n, proto, &any, first, last);
	return find_others(ix, seek(ix->entries, ix->n, proto, &any, 65536), proto, ip->family,
			   first, last);
}

const struct port *port_index_find(const struct port_index *ix, uint8_t proto,
				   const struct cnm_ip *host, uint16_t first, uint16_t last)
{
	const struct port_entry *e = find(ix, proto, host, first, last);

	return e ? e->port : NULL;
}

/* From entry i on, those of this address, or with ip NULL of its family. */
static void mark_from(const struct port_index *ix, unsigned i, uint8_t proto, uint8_t family,
		      const struct cnm_ip *ip, uint8_t bits[static PORT_BITS])
{
	for (; i < ix->n; i++) {
		const struct port_entry *e = &ix->entries[i];

		if (e->proto != proto || e->ip.family != family || (ip && !ip_eq(&e->ip, ip)))
			return;
		port_bits_set(bits, e->first, e->last);
	}
}

void port_index_mark(const struct port_index *ix, uint8_t proto, const struct cnm_ip *host,
		     uint8_t bits[static PORT_BITS])
{
	struct cnm_ip any = wildcard(host);
	unsigned i = seek(ix->entries, ix->n, proto, &any, 0);

	if (ip_is_unspecified(host)) {
		mark_from(ix, i, proto, host->family, NULL, bits);
		return;
	}
	mark_from(ix, i, proto, host->family, &any, bits);
	i = seek(ix->entries, ix->n, proto, host, 0);
	mark_from(ix, i, proto, host->family, host, bits);
}

/* ---- entering */

static unsigned entries_of(const struct port *p, struct port_entry ret[static 2])
{
	unsigned n = 0;

	for (unsigned f = 0; f < 2; f++)
		if (port_is_bound_in(p, f))
			ret[n++] = (struct port_entry){ p->by[f].host, p->proto, p->host_first,
							port_host_last(p), p };
	return n;
}

static void set_clash(struct port_clash *ret, const struct port_entry *e,
		      const struct port_entry *with)
{
	ret->host = e->ip;
	ret->port = e->first > with->first ? e->first : with->first;
	ret->with = with->port;
}

bool port_index_clash(const struct port_index *ix, const struct port *p, struct port_clash *ret)
{
	struct port_entry e[2];
	unsigned n = entries_of(p, e);

	for (unsigned i = 0; i < n; i++) {
		const struct port_entry *with =
			find(ix, e[i].proto, &e[i].ip, e[i].first, e[i].last);

		if (with) {
			set_clash(ret, &e[i], with);
			return true;
		}
	}
	return false;
}

static int entry_cmp(const void *a, const void *b)
{
	const struct port_entry *x = a, *y = b;
	int c = space_cmp(x, y->proto, &y->ip);

	return c ? c : (int)x->first - (int)y->first;
}

/* The sorted batch against itself: a wildcard comes before all others of its family. */
static const struct port_entry *find_before(const struct port_entry *batch, unsigned i)
{
	const struct port_entry *e = &batch[i];
	struct cnm_ip any = wildcard(&e->ip);

	if (i > 0 && space_cmp(e - 1, e->proto, &e->ip) == 0 && e[-1].last >= e->first)
		return e - 1;
	if (ip_is_unspecified(&e->ip))
		return NULL;
	return find_at(batch, i, e->proto, &any, e->first, e->last);
}

static int check(const struct port_index *ix, const struct port_entry *batch, unsigned n,
		 struct port_clash *ret)
{
	for (unsigned i = 0; i < n; i++) {
		const struct port_entry *e = &batch[i], *with = find_before(batch, i);

		if (!with)
			with = find(ix, e->proto, &e->ip, e->first, e->last);
		if (with) {
			set_clash(ret, e, with);
			return -EEXIST;
		}
	}
	return 0;
}

static int reserve(struct port_index *ix, unsigned n)
{
	unsigned cap = ix->cap * 2 > ix->n + n ? ix->cap * 2 : ix->n + n;
	struct port_entry *e;

	if (ix->n + n <= ix->cap)
		return 0;
	e = realloc(ix->entries, cap * sizeof(*e));
	if (!e)
		return -ENOMEM;
	ix->entries = e;
	ix->cap = cap;
	return 0;
}

/* From the end, so that what comes before all of the batch is not moved. */
static void merge(struct port_index *ix, const struct port_entry *batch, unsigned n)
{
	unsigned old = ix->n, to = ix->n + n;

	ix->n = to;
	while (n > 0) {
		if (old > 0 && entry_cmp(&ix->entries[old - 1], &batch[n - 1]) > 0)
			ix->entries[--to] = ix->entries[--old];
		else
			ix->entries[--to] = batch[--n];
	}
}

int port_index_enter(struct port_index *ix, const struct port *ports, unsigned n,
		     struct port_clash *ret)
{
	_free_ struct port_entry *batch = NULL;
	unsigned n_batch = 0;
	int r;

	if (n == 0)
		return 0;
	batch = calloc(2 * (size_t)n, sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		n_batch += entries_of(&ports[i], &batch[n_batch]);
	qsort(batch, n_batch, sizeof(*batch), entry_cmp);
	r = check(ix, batch, n_batch, ret);
	if (r == 0)
		r = reserve(ix, n_batch);
	if (r == 0)
		merge(ix, batch, n_batch);
	return r;
}

int port_index_add(struct port_index *ix, const struct port *ports, unsigned n)
{
	struct port_clash clash;

	return port_index_enter(ix, ports, n, &clash);
}

void port_index_del(struct port_index *ix, const struct port *ports, unsigned n)
{
	unsigned low = ix->n, to;

	for (unsigned i = 0; i < n; i++) {
		struct port_entry e[2];
		unsigned k = entries_of(&ports[i], e);

		while (k-- > 0) {
			unsigned at = seek(ix->entries, ix->n, e[k].proto, &e[k].ip, e[k].first);

			if (at == ix->n || ix->entries[at].port != &ports[i])
				continue;
			ix->entries[at].port = NULL;
			low = at < low ? at : low;
		}
	}
	to = low;
	for (unsigned i = low; i < ix->n; i++)
		if (ix->entries[i].port)
			ix->entries[to++] = ix->entries[i];
	ix->n = to;
}
