/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every interleaving of two hosts, call of the store by call: makes, joins, leaves, removals,
 * evictions, expiries, renamings and settlings, with a fault at every place: a call that is refused
 * or whose outcome is not heard, a lease that ends, a host that crashes and begins anew while the
 * other goes on.
 *
 * A run is a list of choices: whose call is next, what becomes of it, and how much its host's copy
 * has heard of by then. The runs are walked depth first: each goes on from a prefix with first
 * choices, and the next one has the last choice that can be raised raised. Each scenario is walked
 * in three ways:
 *
 *   - without faults, with copies that hear of nothing, and with copies that hear of everything;
 *     of long scenarios with at most LONG_SWITCHES from a host that could go on to the other;
 *   - the same with a fault, and at most FAULTY_SWITCHES;
 *   - with copies that hear at most HEARINGS times, at any call and of any number of keys, as a
 *     store tells them that does not tell transactions, and with at most HEARING_SWITCHES.
 *
 * Long scenarios have one less of each other bound. CNM_CLAIMS_MORE=N raises each of them, and the
 * number of faults, by N.
 *
 * After each call nothing may have two owners: an endpoint has its address, what leads to an
 * endpoint leads to one that is there, and its network is there with its claims. Who was told of
 * success has it, and what a host was told that it lost was another's. Behind each run every host
 * is restarted, hears what it missed, and brings itself and the store together as the controller
 * does. Then rows and store agree as well, nothing is half done, and nothing more is to do.
 */
#include "unit.h"

#include "base/log.h"

#include "claims_check.h"

#define MAX_CHOICE       256
#define FAULTY_SWITCHES  2
#define HEARINGS         2
#define HEARING_SWITCHES 2
#define LONG_SWITCHES    5
#define NO_BOUND         1000

/* ---- scenarios */

struct scenario {
	const char *name;
	void (*prepare)(struct world *w);
	void (*scripts[2])(struct host *h);
	bool is_long; /* with one less of each bound */
};

static const struct row blue = { .id = net1, .name = "blue", .last = 9 },
			red = { .id = net2, .name = "red", .last = 10 },
			other_blue = { .id = net3, .name = "blue", .last = 11 },
			other_pool = { .id = net3, .name = "green", .last = 9 },
			web = { .id = ep1, .name = "web", .network = net1, .last = 2 },
			db = { .id = ep2, .name = "db", .network = net1, .last = 3 },
			other_web = { .id = ep3, .name = "web", .network = net1, .last = 4 },
			web_again = { .id = ID("e004"), .name = "web", .network = net1, .last = 2 },
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
static void with_lost_web(struct world *w)
{
	with_web(w);
	host_lease_ends(w, 0);
}
static void with_lost_network(struct world *w)
{
	with_network(w);
	host_lease_ends(w, 0);
}
static void with_expired_web(struct world *w)
{
	with_lost_web(w);
	memory_hear(&w->hosts[1].client);
	do_expire(&w->hosts[1], host_ids[0]);
	do_enter(&w->hosts[0]);
}
static void with_wiped_store(struct world *w)
{
	with_web_and_db(w);
	memory_wipe(&w->store);
}

/* Backups from before the last thing that was done. */
static void with_backup_before_web(struct world *w)
{
	size_t then;

	with_network(w);
	then = w->store.n_log;
	do_join(&w->hosts[0], &web);
	memory_go_back(&w->store, then);
}
static void with_backup_before_renaming(struct world *w)
{
	size_t then;

	with_web(w);
	then = w->store.n_log;
	do_rename(&w->hosts[0], ep1, "app");
	memory_go_back(&w->store, then);
}
static void with_backup_before_leave(struct world *w)
{
	size_t then;

	with_web(w);
	then = w->store.n_log;
	do_leave(&w->hosts[0], ep1);
	do_join(&w->hosts[1], &other_address);
	memory_go_back(&w->store, then);
}
static void with_backup_of_a_network(struct world *w)
{
	size_t then;

	do_make(&w->hosts[1], &other_pool);
	then = w->store.n_log;
	do_remove(&w->hosts[1], net3);
	with_web(w);
	memory_go_back(&w->store, then);
}
static void with_backup_before_eviction(struct world *w)
{
	size_t then;

	with_web(w);
	then = w->store.n_log;
	do_evict(&w->hosts[1], net1, ep1);
	memory_go_back(&w->store, then);
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
static void make_and_join_other_pool(struct host *h)
{
	static const struct row green = { .id = ep3, .name = "green", .network = net3, .last = 4 };

	do_make(h, &other_pool);
	if (row_of(h->networks, net3))
		do_join(h, &green);
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
	do_evict(h, net1, ep1);
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
	do_expire(h, host_ids[0]);
}
static void forget_a(struct host *h)
{
	do_forget(h, host_ids[0]);
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

static void leave_and_join(struct host *h)
{
	do_leave(h, ep1);
	do_join(h, &web_again);
}
static void join_other_web_and_leave(struct host *h)
{
	do_join(h, &other_web);
	do_leave(h, ep3);
}
static void come_back_and_join(struct host *h)
{
	do_enter(h);
	do_join(h, &web);
}
static void tell_of_web(struct host *h)
{
	do_rename(h, ep1, "web");
}
static void settle_twice(struct host *h)
{
	do_settle(h);
	do_settle(h);
}
static void rename_web_and_back(struct host *h)
{
	do_rename(h, ep1, "app");
	do_rename(h, ep1, "web");
}
static void enter_leave_and_remove(struct host *h)
{
	do_enter(h);
	do_leave(h, ep2);
	do_remove(h, net1);
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
	{ "a start and a network made", NULL, { make_blue, do_restart } },
	{ "a start and a join", with_network, { do_restart, join_db } },
	{ "a start and an eviction", with_web, { do_restart, evict_web } },
	{ "anew under the same name and address", with_web, { leave_and_join, join_other_web } },
	{ "return with a network that goes",
	  with_expired_web,
	  { settle_twice, remove_blue },
	  true },
	{ "a name taken and left", with_lost_web, { come_back, join_other_web_and_leave } },
	{ "a name taken and told of", with_lost_web, { tell_of_web, join_other_web } },
	{ "a join and removal of the host", with_lost_network, { come_back_and_join, forget_a } },
	{ "there and back", with_web, { rename_web_and_back, join_other_web }, true },
	{ "renaming while lost", with_lost_web, { rename_web, join_other_web } },
	{ "two evictions", with_web, { evict_web, evict_web } },
	{ "an old backup, before the join", with_backup_before_web, { do_settle, join_other_web } },
	{ "an old backup, before the renaming",
	  with_backup_before_renaming,
	  { do_settle, join_other_web } },
	{ "an old backup, before the leave", with_backup_before_leave, { do_settle, do_settle } },
	{ "an old backup, before the eviction",
	  with_backup_before_eviction,
	  { do_settle, join_other_address } },
	{ "a wiped store and a removal",
	  with_wiped_store,
	  { come_back, enter_leave_and_remove },
	  true },
	{ "a wiped store", with_wiped_store, { do_settle, do_settle }, true },
	{ "a wiped store and the same address",
	  with_wiped_store,
	  { do_settle, join_other_address },
	  true },
	{ "a wiped store and the same name",
	  with_wiped_store,
	  { do_settle, join_other_web },
	  true },
	{ "a wiped store and the same pool",
	  with_wiped_store,
	  { do_settle, make_and_join_other_pool },
	  true },
	{ "an old backup with a network of the same pool",
	  with_backup_of_a_network,
	  { do_settle, make_red },
	  true },
	{ "a wiped store and the same network",
	  with_wiped_store,
	  { do_settle, make_other_blue },
	  true },
};

/* ---- runs */

struct choice {
	uint8_t taken, of;
};

struct runs {
	const struct scenario *scenario;
	unsigned faults, switches, hearings; /* at most */
	bool late;                           /* copies that hear of nothing, else of everything */
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

/* What is left of a run's bounds. */
struct left {
	unsigned faults, switches, hearings;
	int last; /* who ran */
};

static bool can_run(const struct host *h)
{
	return !h->done || (h->crashed && !h->restarted);
}

static struct host *choose_host(struct world *w, struct runs *r, struct left *left)
{
	bool can[] = { can_run(&w->hosts[0]), can_run(&w->hosts[1]) };
	int last = left->last, i = can[last] ? last : !last;

	if (can[0] && can[1] && left->switches && choose(r, 2)) {
		left->switches--;
		i = !last;
	}
	left->last = i;
	return can[i] ? &w->hosts[i] : NULL;
}

enum { DONE, REFUSED, UNHEARD, CRASH, CRASH_FOR_LONG, LEASE_ENDS, N_FAULTS };

/* What becomes of a call. */
static void choose_fate(struct world *w, struct host *h, struct runs *r, struct left *left)
{
	unsigned what = left->faults ? choose(r, N_FAULTS) : DONE;

	left->faults -= what != DONE;
	h->fate = what == REFUSED ? MEMORY_REFUSED : what == UNHEARD ? MEMORY_UNHEARD : MEMORY_DONE;
	h->crashed |= what == CRASH || what == CRASH_FOR_LONG;
	if (what == CRASH_FOR_LONG || what == LEASE_ENDS)
		host_lease_ends(w, h == &w->hosts[1]);
}

static void choose_hearing(struct host *h, struct runs *r, struct left *left)
{
	size_t n = h->client.store->n_log - h->client.heard, what;

	if (!r->late)
		memory_hear(&h->client);
	if (!r->late || !n || !left->hearings)
		return;
	what = choose(r, (unsigned)n + 1);
	left->hearings -= what > 0;
	memory_hear_some(&h->client, what);
}

static void run_one(struct world *w, struct runs *r)
{
	struct left left = { r->faults, r->switches, r->hearings, 0 };
	uint64_t checked = w->store.version;
	struct host *h;

	for (unsigned i = 0; i < 2; i++)
		host_start(&w->hosts[i], r->scenario->scripts[i]);
	while ((h = choose_host(w, r, &left))) {
		if (h->done) {
			h->restarted = true;
			host_start(h, do_restart);
			continue;
		}
		choose_fate(w, h, r, &left);
		choose_hearing(h, r, &left);
		switch_in(w, h);
		if (w->wrong)
			fail_msg("host %.4s: not so: %s", h->cluster.host, w->wrong);
		if (w->store.version != checked)
			check(w, false);
		checked = w->store.version;
	}
}

/* They begin anew, and settle, until there is nothing more to do: soon. */
static void settle_all(struct world *w)
{
	uint64_t version;
	unsigned rounds = 0;

	for (unsigned i = 0; i < 2; i++) {
		w->hosts[i].crashed = false;
		do_restart(&w->hosts[i]);
	}
	do {
		version = w->store.version;
		for (unsigned i = 0; i < 2; i++) {
			memory_hear(&w->hosts[i].client);
			do_settle(&w->hosts[i]);
		}
	} while (w->store.version != version && ++rounds < 4);
	assert_int_equal(w->store.version, version);
	assert_null(w->wrong);
}

static void run_once(struct runs *r, char *const stacks[2])
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->body = json_pack("{s:s}", "driver", "overlay");
	host_open(w, 0, stacks[0]);
	host_open(w, 1, stacks[1]);
	if (r->scenario->prepare)
		r->scenario->prepare(w);
	memory_hear(&w->hosts[0].client);
	memory_hear(&w->hosts[1].client);
	run_one(w, r);
	settle_all(w);
	check(w, true);
	memory_close(&w->hosts[0].client);
	memory_close(&w->hosts[1].client);
	memory_free(&w->store);
	json_decref(w->body);
	free(w);
	r->at = 0;
	r->count++;
}

/* ---- all of them */

static struct runs current;

static uint64_t walk(const struct runs *bounds, const struct scenario *scenario,
		     char *const stacks[2])
{
	current = *bounds;
	current.scenario = scenario;
	do
		run_once(&current, stacks);
	while (advance(&current));
	return current.count;
}

static void test_scenario(void **state)
{
	const struct scenario *s = *state;
	const char *text = getenv("CNM_CLAIMS_MORE");
	unsigned more = text ? (unsigned)strtoul(text, NULL, 10) : 0, less = s->is_long;
	unsigned all = less ? LONG_SWITCHES : NO_BOUND, some = FAULTY_SWITCHES + more - less;
	const struct runs ways[] = {
		{ .switches = all, .late = false },
		{ .switches = all, .late = true },
		{ .switches = some, .faults = 1 + more, .late = false },
		{ .switches = some, .faults = 1 + more, .late = true },
		{ .switches = HEARING_SWITCHES + more - less,
		  .hearings = HEARINGS + more - less,
		  .late = true },
	};
	char *stacks[] = { malloc(STACK), malloc(STACK) };
	uint64_t counts[ARRAY_LEN(ways)], sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		sum += counts[i] = walk(&ways[i], s, stacks);
	print_message("# %s: %llu runs (%llu without faults, %llu of copies that hear in part)\n",
		      s->name, (unsigned long long)sum, (unsigned long long)(counts[0] + counts[1]),
		      (unsigned long long)counts[4]);
	free(stacks[0]);
	free(stacks[1]);
}

/* The choices of a run that failed. */
static int teardown(void **state)
{
	if (!current.at)
		return 0;
	print_message("# late %d, choices:", current.late);
	for (size_t i = 0; i < current.at; i++)
		print_message(" %d/%d", current.v[i].taken, current.v[i].of);
	print_message("\n");
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(scenarios)];

	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
		tests[i] = (struct CMUnitTest){ .name = scenarios[i].name,
						.test_func = test_scenario,
						.teardown_func = teardown,
						.initial_state = (void *)&scenarios[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
