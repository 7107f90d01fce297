/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hosts of a cluster for test_claims_all.c, with what is on their disks: they do with the functions
 * of claims.h what the controller does with them. A host is a coroutine that is stopped before each
 * of its calls of the store. One that answered success is checked at once: nobody else has run
 * since.
 */
#ifndef TEST_CLAIMS_HOSTS_H
#define TEST_CLAIMS_HOSTS_H

#include <sys/socket.h>
#include <ucontext.h>

#include "base/json.h"
#include "cluster/claims.h"
#include "kv_memory.h"
#include "unit.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBERS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBERS
#endif
#endif
#ifdef FIBERS
#include <sanitizer/common_interface_defs.h>
#endif

#define ID(c)    c c c c c c c c c c c c c c c c
#define STACK    (256 * 1024)
#define MAX_ROWS 4

static const char *const host_ids[] = { ID("a00a"), ID("b00b") };
static const char net1[] = ID("1111"), net2[] = ID("2222"), net3[] = ID("3333"), ep1[] = ID("e001"),
		  ep2[] = ID("e002"), ep3[] = ID("e003");

/* ---- hosts, with what is on their disks */

struct row {
	const char *id, *name;
	const char *network; /* of an endpoint */
	uint8_t last;        /* of its address; of a network: of its pool, 10.LAST.0.0/24 */
	uint32_t vxlan_id;
	bool ready;
};

struct host {
	struct world *w;
	struct memory_client client;
	struct cluster cluster;
	struct row networks[MAX_ROWS], endpoints[MAX_ROWS];
	void (*script)(struct host *h);
	ucontext_t context;
	char *stack;
	void *fake_stack;
	const char *abandoned; /* a network of which nobody knows whether it was made */
	bool done, crashed, restarted;
	enum memory_fate fate; /* of the call at which it stands */
};

struct world {
	struct memory_store store;
	struct host hosts[2];
	ucontext_t main;
	void *main_fake_stack;
	const void *main_stack;
	size_t main_size;
	struct host *running;
	json_t *body;
	const char *wrong; /* what was found to be */
};

/* Also on the stack of a coroutine. */
static void expect(struct host *h, bool holds, const char *what)
{
	if (!holds && !h->w->wrong)
		h->w->wrong = what;
}
#define EXPECT(h, condition) expect(h, condition, #condition)

static struct row *row_of(struct row *rows, const char *id)
{
	for (unsigned i = 0; i < MAX_ROWS; i++)
		if (rows[i].id && streq(rows[i].id, id))
			return &rows[i];
	return NULL;
}

static struct row *row_add(struct row *rows, const struct row *row)
{
	struct row *r = row_of(rows, row->id);

	for (unsigned i = 0; i < MAX_ROWS && !r; i++)
		if (!rows[i].id)
			r = &rows[i];
	assert_non_null(r);
	*r = *row;
	return r;
}

static struct cnm_prefix pool_of(const struct row *n)
{
	return (struct cnm_prefix){ .ip = { AF_INET, { 10, n->last, 0, 0 } }, .len = 24 };
}

static struct cluster_endpoint endpoint_of(const struct host *h, const struct row *r)
{
	return (struct cluster_endpoint){ .network_id = r->network,
					  .id = r->id,
					  .name = r->name,
					  .ip4 = { AF_INET, { 10, 9, 0, r->last } },
					  .body = h->w->body };
}

/* ---- what is in the store */

static const struct kv_entry *at(struct world *w, enum cluster_kind kind, const char *network,
				 const char *id)
{
	char key[KV_KEY_MAX + 1];

	return memory_find(&w->store, cluster_key_make(key, kind, network, id));
}

static json_t *parsed(const struct kv_entry *e)
{
	return e ? json_loadb(e->value, e->len, JSON_DECODE_ANY, NULL) : NULL;
}

static bool leads_to(struct world *w, enum cluster_kind kind, const char *network, const char *id,
		     const char *owner)
{
	_json_ json_t *v = parsed(at(w, kind, network, id));

	return v && streq(json_string_value(v), owner);
}

static const char *hex_of(char hex[static 9], uint8_t last)
{
	snprintf(hex, 9, "0a0900%02x", last);
	return hex;
}

/* All that belongs to an endpoint is there, and its. */
static bool is_whole(struct host *h, const struct row *r)
{
	char hex[9];

	return at(h->w, CLUSTER_ENDPOINT, r->network, r->id) &&
	       leads_to(h->w, CLUSTER_ADDRESS, r->network, hex_of(hex, r->last), r->id) &&
	       leads_to(h->w, CLUSTER_NAME, r->network, r->name, r->id);
}

/* Since the first change that a settling can have seen, or before it as the last: another's? */
static bool was_anothers(struct host *h, size_t since, enum cluster_kind kind, const struct row *r)
{
	const struct memory_store *s = &h->w->store;
	char key[KV_KEY_MAX + 1], hex[9];
	bool was = false;

	cluster_key_make(key, kind, r->network,
			 kind == CLUSTER_NAME ? r->name : hex_of(hex, r->last));
	for (size_t i = 0; i < s->n_log; i++) {
		_json_ json_t *v =
			streq(s->log[i].key, key) && s->log[i].value ? parsed(&s->log[i]) : NULL;

		if (i >= since && was)
			return true;
		if (streq(s->log[i].key, key))
			was = v && !streq(json_string_value(v), r->id);
	}
	return was;
}

/* ---- what hosts do, as the controller does it */

static void do_make(struct host *h, const struct row *row)
{
	struct cnm_prefix pool = pool_of(row);
	struct cluster_network n = { .id = row->id,
				     .name = row->name,
				     .pools = &pool,
				     .n_pools = 1,
				     .vxlan_id = row->vxlan_id,
				     .body = h->w->body };
	enum cluster_clash clash;
	struct row made = *row;
	int r = cluster_make_network(&h->cluster, &n, &clash, NULL);

	if (h->crashed)
		return;
	if (r < 0 && clash == CLASH_NONE)
		h->abandoned = row->id;
	if (r < 0)
		return;
	EXPECT(h, at(h->w, CLUSTER_NETWORK, NULL, row->id));
	made.vxlan_id = n.vxlan_id;
	made.ready = true;
	row_add(h->networks, &made);
}

static void do_remove(struct host *h, const char *id)
{
	int r = cluster_remove_network(&h->cluster, id, NULL);
	struct row *row = row_of(h->networks, id);

	if ((r < 0 && r != -ENOENT) || h->crashed)
		return;
	EXPECT(h, !at(h->w, CLUSTER_NETWORK, NULL, id));
	if (row)
		*row = (struct row){ 0 };
}

static void do_join(struct host *h, const struct row *row)
{
	struct cluster_endpoint ep = endpoint_of(h, row);
	enum cluster_clash clash;
	struct row joined = *row;

	joined.ready = true;
	if (cluster_join(&h->cluster, &ep, &clash, NULL) < 0 || h->crashed)
		return;
	EXPECT(h, is_whole(h, row));
	row_add(h->endpoints, &joined);
}

static void do_leave(struct host *h, const char *id)
{
	struct row *row = row_of(h->endpoints, id), was;

	if (!row)
		return;
	was = *row;
	*row = (struct row){ 0 };
	if (cluster_leave(&h->cluster, was.network, id, NULL) == 0 && !h->crashed)
		EXPECT(h, !at(h->w, CLUSTER_ENDPOINT, was.network, id));
}

static void do_rename(struct host *h, const char *id, const char *name)
{
	struct row *row = row_of(h->endpoints, id), now;
	struct cluster_endpoint ep;
	enum cluster_clash clash;

	if (!row)
		return;
	now = *row;
	now.name = name;
	ep = endpoint_of(h, &now);
	if (cluster_change(&h->cluster, &ep, &clash, NULL) < 0 || h->crashed)
		return;
	EXPECT(h, leads_to(h->w, CLUSTER_NAME, now.network, name, id));
	EXPECT(h,
	       !leads_to(h->w, CLUSTER_NAME, now.network, row->name, id) || streq(row->name, name));
	*row = now;
}

static void do_evict(struct host *h, const char *network, const char *id)
{
	int r = cluster_evict(&h->cluster, network, id, NULL);

	if ((r < 0 && r != -ENOENT) || h->crashed)
		return;
	EXPECT(h, !at(h->w, CLUSTER_ENDPOINT, network, id));
	EXPECT(h, r < 0 || at(h->w, CLUSTER_TOMBSTONE, NULL, id));
}

static void do_expire(struct host *h, const char *host)
{
	cluster_expire_host(&h->cluster, host, NULL);
}

static void do_forget(struct host *h, const char *host)
{
	if (cluster_remove_host(&h->cluster, host, NULL) == 0 && !h->crashed)
		EXPECT(h, !at(h->w, CLUSTER_HOST, NULL, host));
}

struct stale {
	struct host *h;
	struct cluster_key v[16];
	size_t n;
};

static bool note_stale(void *arg, const struct cluster_key *key, const char *text)
{
	struct stale *s = arg;

	if (strstr(text, s->h->cluster.host) && !row_of(s->h->endpoints, key->id))
		s->v[s->n++] = *key;
	return true;
}

static void drop_stale(struct host *h)
{
	struct stale s = { .h = h };

	cluster_copy_each(h->client.copy, CLUSTER_ENDPOINT, NULL, note_stale, &s);
	cluster_copy_each(h->client.copy, CLUSTER_TOMBSTONE, NULL, note_stale, &s);
	for (size_t i = 0; i < s.n; i++) {
		if (s.v[i].kind == CLUSTER_TOMBSTONE)
			cluster_bury(&h->cluster, s.v[i].id, NULL);
		else
			cluster_leave(&h->cluster, s.v[i].network, s.v[i].id, NULL);
	}
}

static size_t gather_networks(struct host *h, struct cluster_own_network *v,
			      struct cnm_prefix *pools)
{
	size_t n = 0;

	for (unsigned i = 0; i < MAX_ROWS; i++) {
		const struct row *r = &h->networks[i];

		if (!r->id)
			continue;
		pools[n] = pool_of(r);
		v[n].network = (struct cluster_network){ .id = r->id,
							 .name = r->name,
							 .pools = &pools[n],
							 .n_pools = 1,
							 .vxlan_id = r->vxlan_id,
							 .body = h->w->body };
		n++;
	}
	return n;
}

/* Is what it was told true? Then its row goes. */
static void give_up(struct host *h, const struct cluster_own_endpoint *e, size_t since,
		    bool lost_network)
{
	struct row *row = row_of(h->endpoints, e->endpoint.id);

	if (e->fate == FATE_LOST && e->clash == CLASH_IPV4)
		EXPECT(h, was_anothers(h, since, CLUSTER_ADDRESS, row));
	if (e->fate == FATE_LOST && e->clash == CLASH_NAME)
		EXPECT(h, was_anothers(h, since, CLUSTER_NAME, row));
	if (e->fate == FATE_LOST && e->clash == CLASH_NETWORK)
		EXPECT(h, lost_network);
	if (e->fate == FATE_LOST || e->fate == FATE_BURIED)
		*row = (struct row){ 0 };
}

static void do_settle(struct host *h)
{
	struct cluster_own_network networks[MAX_ROWS] = { 0 };
	struct cluster_own_endpoint endpoints[MAX_ROWS] = { 0 };
	struct cnm_prefix pools[MAX_ROWS];
	size_t n = gather_networks(h, networks, pools), m = 0, since = h->w->store.n_log;
	bool lost_network = false;

	drop_stale(h);
	if (h->abandoned && cluster_copy_version(h->client.copy, CLUSTER_ROOT "claims"))
		cluster_remove_network(&h->cluster, h->abandoned, NULL);
	for (unsigned i = 0; i < MAX_ROWS; i++)
		if (h->endpoints[i].id)
			endpoints[m++].endpoint = endpoint_of(h, &h->endpoints[i]);
	cluster_settle(&h->cluster, networks, n, endpoints, m, NULL);
	if (h->crashed)
		return;
	for (size_t i = 0; i < n; i++) {
		if (networks[i].fate != FATE_LOST)
			continue;
		lost_network = true;
		*row_of(h->networks, networks[i].network.id) = (struct row){ 0 };
	}
	for (size_t i = 0; i < m; i++)
		give_up(h, &endpoints[i], since, lost_network);
	drop_stale(h);
}

static void do_enter(struct host *h)
{
	struct cnm_ip ip = { AF_INET, { 198, 18, 0, 1 } };

	cluster_enter(&h->cluster, "h", &ip, 60, NULL);
}

/* Its daemon begins anew, with nothing but its rows. */
static void do_restart(struct host *h)
{
	memory_hear_all(&h->client);
	do_enter(h);
	do_settle(h);
}

/* ---- coroutines */

static void switch_in(struct world *w, struct host *h)
{
	w->running = h;
#ifdef FIBERS
	__sanitizer_start_switch_fiber(&w->main_fake_stack, h->stack, STACK);
#endif
	swapcontext(&w->main, &h->context);
#ifdef FIBERS
	__sanitizer_finish_switch_fiber(w->main_fake_stack, NULL, NULL);
#endif
	w->running = NULL;
}

static void switch_out(struct host *h, bool for_ever)
{
#ifdef FIBERS
	__sanitizer_start_switch_fiber(for_ever ? NULL : &h->fake_stack, h->w->main_stack,
				       h->w->main_size);
#endif
	swapcontext(&h->context, &h->w->main);
#ifdef FIBERS
	__sanitizer_finish_switch_fiber(h->fake_stack, &h->w->main_stack, &h->w->main_size);
#endif
}

static struct host *starting;

static void coroutine(void)
{
	struct host *h = starting;

#ifdef FIBERS
	__sanitizer_finish_switch_fiber(NULL, &h->w->main_stack, &h->w->main_size);
#endif
	h->script(h);
	h->done = true;
	switch_out(h, true);
}

/* Before a call: whoever is not run by the scheduler goes straight on. */
static enum memory_fate step(void *arg)
{
	struct host *h = arg;

	if (h->w->running != h)
		return MEMORY_DONE;
	if (!h->crashed)
		switch_out(h, false);
	return h->crashed ? MEMORY_REFUSED : h->fate;
}

/* To its first call. */
static void host_start(struct host *h, void (*script)(struct host *h))
{
	h->script = script;
	h->done = h->crashed = false;
	getcontext(&h->context);
	h->context.uc_stack.ss_sp = h->stack;
	h->context.uc_stack.ss_size = STACK;
	h->context.uc_link = NULL;
	makecontext(&h->context, coroutine, 0);
	starting = h;
	switch_in(h->w, h);
}

static void host_open(struct world *w, unsigned i, char *stack)
{
	struct host *h = &w->hosts[i];

	h->w = w;
	h->stack = stack;
	memory_open(&h->client, &w->store);
	h->client.step = step;
	h->client.arg = h;
	h->cluster = (struct cluster){
		.kv = &h->client.kv, .copy = h->client.copy, .host = host_ids[i], .ms = 100000
	};
	do_enter(h);
}

static void host_lease_ends(struct world *w, unsigned i)
{
	char key[KV_KEY_MAX + 1];

	memory_put(&w->store, cluster_key_make(key, CLUSTER_ALIVE, NULL, host_ids[i]), NULL, 0);
}

#endif
