/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every interleaving of two hosts, call of the store by call: makes, joins, leaves, removals,
 * evictions, expiries, renamings and settlings, with a crash of a host, or a call whose outcome is
 * not heard, at every place.
 *
 * A host is a coroutine that is stopped before each of its calls. A run is a list of choices: whose
 * call is next, and what becomes of it. The runs are walked depth first: each goes on from a prefix
 * with first choices, and the next one has the last choice that can be raised raised. At most one
 * fault in a run. Copies are as old as the scenario, or hear of everything at once; between the two
 * lies what a late copy may be.
 *
 * After each call nothing may have two owners, nor none: an endpoint has its address and somebody
 * its name, what leads to an endpoint leads to one that is there, and its network is there with its
 * claims. Behind each run every host is restarted, hears what it missed, and brings itself and the
 * store together as the controller does. Then rows and store agree as well, and nothing is half
 * done.
 */
#include "unit.h"

#include <sys/socket.h>
#include <ucontext.h>

#include "base/json.h"
#include "cluster/claims.h"
#include "kv_memory.h"

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

#define ID(c)      c c c c c c c c c c c c c c c c
#define STACK      (256 * 1024)
#define MAX_CHOICE 256
#define MAX_ROWS   4

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
	bool done, crashed;
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
	bool late; /* copies are not told of anything before the end */
	json_t *body;
};

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

	if (cluster_make_network(&h->cluster, &n, &clash, NULL) < 0 || h->crashed)
		return;
	made.vxlan_id = n.vxlan_id;
	made.ready = true;
	row_add(h->networks, &made);
}

static void do_remove(struct host *h, const char *id)
{
	int r = cluster_remove_network(&h->cluster, id, NULL);
	struct row *row = row_of(h->networks, id);

	if ((r == 0 || r == -ENOENT) && !h->crashed && row)
		*row = (struct row){ 0 };
}

static void do_join(struct host *h, const struct row *row)
{
	struct cluster_endpoint ep = endpoint_of(h, row);
	enum cluster_clash clash;
	struct row joined = *row;

	joined.ready = true;
	if (cluster_join(&h->cluster, &ep, &clash, NULL) == 0 && !h->crashed)
		row_add(h->endpoints, &joined);
}

static void do_leave(struct host *h, const char *id)
{
	struct row *row = row_of(h->endpoints, id), was = *row;

	*row = (struct row){ 0 };
	cluster_leave(&h->cluster, was.network, id, NULL);
}

static void do_rename(struct host *h, const char *id, const char *name)
{
	struct row *row = row_of(h->endpoints, id), now = *row;
	struct cluster_endpoint ep;
	enum cluster_clash clash;

	now.name = name;
	ep = endpoint_of(h, &now);
	if (cluster_change(&h->cluster, &ep, &clash, NULL) == 0 && !h->crashed)
		*row = now;
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

static void do_settle(struct host *h)
{
	struct cluster_own_network networks[MAX_ROWS] = { 0 };
	struct cluster_own_endpoint endpoints[MAX_ROWS] = { 0 };
	struct cnm_prefix pools[MAX_ROWS];
	size_t n = 0, m = 0;

	drop_stale(h);
	for (unsigned i = 0; i < MAX_ROWS; i++) {
		const struct row *r = &h->networks[i];

		if (!r->id)
			continue;
		pools[n] = pool_of(r);
		networks[n].network = (struct cluster_network){ .id = r->id,
								.name = r->name,
								.pools = &pools[n],
								.n_pools = 1,
								.vxlan_id = r->vxlan_id,
								.body = h->w->body };
		n++;
	}
	for (unsigned i = 0; i < MAX_ROWS; i++)
		if (h->endpoints[i].id)
			endpoints[m++].endpoint = endpoint_of(h, &h->endpoints[i]);
	cluster_settle(&h->cluster, networks, n, endpoints, m, NULL);
	if (h->crashed)
		return;
	for (size_t i = 0; i < m; i++)
		if (endpoints[i].fate == FATE_LOST || endpoints[i].fate == FATE_BURIED)
			*row_of(h->endpoints, endpoints[i].endpoint.id) = (struct row){ 0 };
	for (size_t i = 0; i < n; i++)
		if (networks[i].fate == FATE_LOST)
			*row_of(h->networks, networks[i].network.id) = (struct row){ 0 };
	drop_stale(h);
}

static void do_enter(struct host *h)
{
	struct cnm_ip ip = { AF_INET, { 198, 18, 0, 1 } };

	cluster_enter(&h->cluster, "h", &ip, 60, NULL);
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
	if (!h->w->late && !h->crashed)
		memory_hear(&h->client);
	return h->crashed ? MEMORY_REFUSED : h->fate;
}

/* To its first call. */
static void host_start(struct host *h)
{
	h->done = h->crashed = false;
	getcontext(&h->context);
	h->context.uc_stack.ss_sp = h->stack;
	h->context.uc_stack.ss_size = STACK;
	h->context.uc_link = NULL;
	makecontext(&h->context, coroutine, 0);
	starting = h;
	switch_in(h->w, h);
}

/* ---- scenarios */

struct scenario {
	const char *name;
	void (*prepare)(struct world *w);
	void (*scripts[2])(struct host *h);
};

static const struct row blue = { .id = net1, .name = "blue", .last = 9 },
			red = { .id = net2, .name = "red", .last = 10 },
			other_blue = { .id = net3, .name = "blue", .last = 11 },
			other_pool = { .id = net3, .name = "green", .last = 9 },
			web = { .id = ep1, .name = "web", .network = net1, .last = 2 },
			db = { .id = ep2, .name = "db", .network = net1, .last = 3 },
			other_web = { .id = ep3, .name = "web", .network = net1, .last = 4 },
			other_address = { .id = ep3, .name = "app", .network = net1, .last = 2 };

static void with_network(struct world *w)
{
	do_make(&w->hosts[0], &blue);
	row_add(w->hosts[1].networks, row_of(w->hosts[0].networks, net1));
}
static void with_web(struct world *w)
{
	with_network(w);
	do_join(&w->hosts[0], &web);
}
static void with_web_and_db(struct world *w)
{
	with_web(w);
	do_join(&w->hosts[1], &db);
}
static void lose(struct world *w, const char *host)
{
	char key[KV_KEY_MAX + 1];

	memory_put(&w->store, cluster_key_make(key, CLUSTER_ALIVE, NULL, host), NULL, 0);
}
static void with_lost_web(struct world *w)
{
	with_web(w);
	lose(w, host_ids[0]);
}
static void with_wiped_store(struct world *w)
{
	with_web_and_db(w);
	memory_wipe(&w->store);
}

static void make_blue(struct host *h)
{
	do_make(h, &blue);
}
static void make_red(struct host *h)
{
	do_make(h, &red);
}
static void make_other_blue(struct host *h)
{
	do_make(h, &other_blue);
}
static void make_other_pool(struct host *h)
{
	do_make(h, &other_pool);
}
static void remove_blue(struct host *h)
{
	do_remove(h, net1);
}
static void join_web(struct host *h)
{
	do_join(h, &web);
}
static void join_db(struct host *h)
{
	do_join(h, &db);
}
static void join_other_web(struct host *h)
{
	do_join(h, &other_web);
}
static void join_other_address(struct host *h)
{
	do_join(h, &other_address);
}
static void leave_web(struct host *h)
{
	do_leave(h, ep1);
}
static void evict_web(struct host *h)
{
	cluster_evict(&h->cluster, net1, ep1, NULL);
}
static void rename_web(struct host *h)
{
	do_rename(h, ep1, "app");
}
static void rename_db_to_web(struct host *h)
{
	do_rename(h, ep2, "web");
}
static void expire_a(struct host *h)
{
	cluster_expire_host(&h->cluster, host_ids[0], NULL);
}
static void forget_a(struct host *h)
{
	cluster_remove_host(&h->cluster, host_ids[0], NULL);
}
static void come_back(struct host *h)
{
	do_enter(h);
	do_settle(h);
}
static void expire_and_join(struct host *h)
{
	expire_a(h);
	do_join(h, &other_address);
}

static const struct scenario scenarios[] = {
	{ "two networks", NULL, { make_blue, make_red } },
	{ "one name for two networks", NULL, { make_blue, make_other_blue } },
	{ "one pool for two networks", NULL, { make_blue, make_other_pool } },
	{ "two removals", with_network, { remove_blue, remove_blue } },
	{ "removal and settling", with_web, { do_settle, remove_blue } },
	{ "removal and join", with_network, { join_web, remove_blue } },
	{ "removal and leave", with_web, { leave_web, remove_blue } },
	{ "removal and another of the name", with_network, { remove_blue, make_other_blue } },
	{ "two joins", with_network, { join_web, join_db } },
	{ "one name for two", with_network, { join_web, join_other_web } },
	{ "one address for two", with_network, { join_web, join_other_address } },
	{ "leave and the same name", with_web, { leave_web, join_other_web } },
	{ "leave and the same address", with_web, { leave_web, join_other_address } },
	{ "leave and eviction", with_web, { leave_web, evict_web } },
	{ "settling and eviction", with_web, { do_settle, evict_web } },
	{ "renaming and the same name", with_web, { rename_web, join_other_address } },
	{ "two of one name by renaming", with_web_and_db, { leave_web, rename_db_to_web } },
	{ "return and expiry", with_lost_web, { come_back, expire_a } },
	{ "return and removal of the host", with_lost_web, { come_back, forget_a } },
	{ "return and its name taken", with_lost_web, { come_back, join_other_web } },
	{ "return and its address given away", with_lost_web, { come_back, expire_and_join } },
	{ "a wiped store", with_wiped_store, { do_settle, do_settle } },
	{ "a wiped store and the same address",
	  with_wiped_store,
	  { do_settle, join_other_address } },
	{ "a wiped store and the same name", with_wiped_store, { do_settle, join_other_web } },
	{ "a wiped store and the same network", with_wiped_store, { do_settle, make_other_blue } },
};

/* ---- what must hold */

static json_t *parsed(const struct kv_entry *e)
{
	return json_loadb(e->value, e->len, JSON_DECODE_ANY, NULL);
}

static bool leads_to(struct world *w, enum cluster_kind kind, const char *network, const char *id,
		     const char *owner)
{
	char key[KV_KEY_MAX + 1];
	const struct kv_entry *e = memory_find(&w->store, cluster_key_make(key, kind, network, id));
	_json_ json_t *v = e ? parsed(e) : NULL;

	return v && streq(json_string_value(v), owner);
}

static const char *text_of(const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));

	return s ? s : "";
}

static void check_endpoint(struct world *w, const struct cluster_key *k, const struct kv_entry *e)
{
	_json_ json_t *v = parsed(e);
	struct cnm_ip ip;
	char hex[9], key[KV_KEY_MAX + 1];

	assert_non_null(memory_find(
		&w->store, cluster_key_make(key, CLUSTER_NAME, k->network, text_of(v, "Name"))));
	assert_int_equal(ip_parse(&ip, text_of(v, "IPv4")), 0);
	snprintf(hex, sizeof(hex), "%02x%02x%02x%02x", ip.b[0], ip.b[1], ip.b[2], ip.b[3]);
	assert_true(leads_to(w, CLUSTER_ADDRESS, k->network, hex, k->id));
	assert_non_null(
		memory_find(&w->store, cluster_key_make(key, CLUSTER_NETWORK, NULL, k->network)));
}

/* When all is settled. */
static void check_settled(struct world *w, const struct cluster_key *k, const struct kv_entry *e)
{
	_json_ json_t *v = parsed(e);
	const struct host *h = &w->hosts[streq(text_of(v, "Host"), host_ids[1])];
	struct row *row = row_of((struct row *)h->endpoints, k->id);

	assert_int_not_equal(k->kind, CLUSTER_TOMBSTONE);
	if (k->kind == CLUSTER_NETWORK)
		assert_null(json_object_get(v, "Removing"));
	if (k->kind != CLUSTER_ENDPOINT)
		return;
	assert_non_null(row);
	assert_string_equal(row->name, text_of(v, "Name"));
	assert_true(leads_to(w, CLUSTER_NAME, k->network, row->name, k->id));
}

/* What leads to an endpoint leads to one that is there, so the check of that one includes it. */
static void check_part(struct world *w, const struct cluster_key *k, const struct kv_entry *e)
{
	_json_ json_t *v = parsed(e);
	char key[KV_KEY_MAX + 1];

	assert_non_null(memory_find(&w->store, cluster_key_make(key, CLUSTER_ENDPOINT, k->network,
								json_string_value(v))));
}

static void check_network(const struct cluster_key *k, const struct kv_entry *e,
			  const json_t *claims)
{
	_json_ json_t *v = parsed(e);
	const json_t *claim = json_object_get(claims, k->id);

	assert_non_null(claim);
	assert_string_equal(text_of(claim, "Name"), text_of(v, "Name"));
	assert_int_equal(json_integer_value(json_object_get(claim, "VxlanId")),
			 json_integer_value(json_object_get(v, "VxlanId")));
}

static void check_claims(struct world *w, const json_t *claims)
{
	const char *a, *b;
	json_t *x, *y;
	char key[KV_KEY_MAX + 1];

	json_object_foreach ((json_t *)claims, a, x) {
		assert_non_null(
			memory_find(&w->store, cluster_key_make(key, CLUSTER_NETWORK, NULL, a)));
		json_object_foreach ((json_t *)claims, b, y) {
			if (streq(a, b))
				continue;
			assert_string_not_equal(text_of(x, "Name"), text_of(y, "Name"));
			assert_false(json_equal(json_object_get(x, "VxlanId"),
						json_object_get(y, "VxlanId")));
			assert_false(json_equal(json_object_get(x, "Pools"),
						json_object_get(y, "Pools")));
		}
	}
}

static void check_rows(struct world *w, const struct host *h)
{
	char key[KV_KEY_MAX + 1];

	for (unsigned i = 0; i < MAX_ROWS; i++) {
		const struct row *r = &h->endpoints[i];

		if (r->id)
			assert_non_null(
				memory_find(&w->store, cluster_key_make(key, CLUSTER_ENDPOINT,
									r->network, r->id)));
	}
}

static void check(struct world *w, bool settled)
{
	const struct kv_entry *table = memory_find(&w->store, CLUSTER_ROOT "claims");
	_json_ json_t *claims = table ? parsed(table) : NULL;

	check_claims(w, claims);
	for (size_t i = 0; i < MEMORY_KEYS; i++) {
		const struct kv_entry *e = &w->store.v[i];
		struct cluster_key k;

		if (!e->key)
			continue;
		assert_true(cluster_key_parse(&k, e->key));
		if (k.kind == CLUSTER_ENDPOINT)
			check_endpoint(w, &k, e);
		else if (k.kind == CLUSTER_ADDRESS || k.kind == CLUSTER_NAME)
			check_part(w, &k, e);
		else if (k.kind == CLUSTER_NETWORK)
			check_network(&k, e, claims);
		if (settled)
			check_settled(w, &k, e);
	}
	if (!settled)
		return;
	check_rows(w, &w->hosts[0]);
	check_rows(w, &w->hosts[1]);
}

/* ---- runs */

struct choice {
	uint8_t taken, of;
};

struct runs {
	const struct scenario *scenario;
	bool late, faults;
	struct choice v[MAX_CHOICE];
	size_t n, at;
	uint64_t count;
};

static unsigned choose(struct runs *r, unsigned of)
{
	if (r->at == r->n) {
		assert_true(r->n < MAX_CHOICE);
		r->v[r->n++] = (struct choice){ 0, (uint8_t)of };
	}
	assert_int_equal(r->v[r->at].of, of); /* the same choices lead to the same place */
	return r->v[r->at++].taken;
}

/* The next run's prefix; false: that was the last. */
static bool advance(struct runs *r)
{
	while (r->n && r->v[r->n - 1].taken + 1 == r->v[r->n - 1].of)
		r->n--;
	if (!r->n)
		return false;
	r->v[r->n - 1].taken++;
	return true;
}

/* What becomes of a call: done, refused, unheard, or its host crashes before it. */
static bool set_fate(struct runs *r, struct host *h, bool *fault)
{
	unsigned what = r->faults && !*fault ? choose(r, 4) : 0;

	*fault |= what;
	h->fate = what == 1 ? MEMORY_REFUSED : what == 2 ? MEMORY_UNHEARD : MEMORY_DONE;
	return what != 3;
}

static void run_all(struct world *w, struct runs *r)
{
	bool fault = false;

	host_start(&w->hosts[0]);
	host_start(&w->hosts[1]);
	for (;;) {
		bool first = !w->hosts[0].done, second = !w->hosts[1].done;
		struct host *h;

		if (!first && !second)
			return;
		h = &w->hosts[first && second ? choose(r, 2) : second];
		h->crashed |= !set_fate(r, h, &fault);
		switch_in(w, h);
		check(w, false);
	}
}

static void open_hosts(struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		struct host *h = &w->hosts[i];

		h->w = w;
		memory_open(&h->client, &w->store);
		h->client.step = step;
		h->client.arg = h;
		h->cluster = (struct cluster){ .kv = &h->client.kv,
					       .copy = h->client.copy,
					       .host = host_ids[i],
					       .ms = 100000 };
		do_enter(h);
	}
}

/* They come back, hear everything, and settle, until there is nothing more to do. */
static void settle_all(struct world *w)
{
	w->late = false;
	for (unsigned i = 0; i < 2; i++)
		w->hosts[i].crashed = false;
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 2; i++) {
			memory_hear(&w->hosts[i].client);
			do_enter(&w->hosts[i]);
			memory_hear(&w->hosts[i].client);
			do_settle(&w->hosts[i]);
		}
}

static void run_once(struct runs *r, char *const stacks[2])
{
	struct world w = { .late = r->late };

	w.body = json_pack("{s:s}", "driver", "overlay");
	open_hosts(&w);
	for (unsigned i = 0; i < 2; i++) {
		w.hosts[i].stack = stacks[i];
		w.hosts[i].script = r->scenario->scripts[i];
	}
	if (r->scenario->prepare)
		r->scenario->prepare(&w);
	memory_hear(&w.hosts[0].client);
	memory_hear(&w.hosts[1].client);
	run_all(&w, r);
	settle_all(&w);
	check(&w, true);
	memory_close(&w.hosts[0].client);
	memory_close(&w.hosts[1].client);
	memory_free(&w.store);
	json_decref(w.body);
	r->at = 0;
	r->count++;
}

static void test_scenario(void **state)
{
	char *stacks[] = { malloc(STACK), malloc(STACK) };
	uint64_t count = 0;

	for (unsigned mode = 0; mode < 4; mode++) {
		struct runs r = { .scenario = *state, .late = mode & 1, .faults = mode & 2 };

		do
			run_once(&r, stacks);
		while (advance(&r));
		count += r.count;
	}
	print_message("# %s: %llu runs\n", ((const struct scenario *)*state)->name,
		      (unsigned long long)count);
	free(stacks[0]);
	free(stacks[1]);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(scenarios)];

	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
		tests[i] = (struct CMUnitTest){ .name = scenarios[i].name,
						.test_func = test_scenario,
						.initial_state = (void *)&scenarios[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
