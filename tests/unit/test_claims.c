/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The protocol of the cluster, one function at a time, over a store in memory. */
#include "unit.h"

#include "claims_fixture.h"

/* ---- networks */

static void test_a_network_is_claimed_as_a_whole(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	assert_true(has(w, CLUSTER_NETWORK, NULL, net1));
	assert_true(make(w, 1, net2, "blue", "10.10.0.0/24", 0) < 0);
	assert_int_equal(w->clash, CLASH_NAME);
	assert_int_equal(w->err.class, CNM_E_CONFLICT);
	assert_string_equal(w->err.text, "network with name blue already exists in the cluster");
	assert_true(make(w, 1, net2, "red", "10.0.0.0/8", 0) < 0);
	assert_int_equal(w->clash, CLASH_POOL);
	assert_non_null(strstr(w->err.text, "Pool overlaps with other one on this address space"));
	assert_int_equal(count(w), 2);
	assert_int_equal(make(w, 1, net2, "red", "10.10.0.0/24", 4711), 0);
	assert_true(make(w, 0, ID("3333"), "green", "10.11.0.0/24", 4711) < 0);
	assert_int_equal(w->clash, CLASH_VXLAN);
	world_free(w);
}

static void test_nobody_is_refused_by_a_late_copy(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	hear(w);
	assert_int_equal(cluster_remove_network(&w->host[0], net1, &w->err), 0);
	assert_int_equal(count(w), 1); /* the empty table */
	assert_int_equal(make(w, 1, net2, "blue", "10.9.0.0/24", 0), 0);
	world_free(w);
}

static void test_claims_of_a_network_that_is_not_there_are_nobodys(void **state)
{
	struct world *w = world_new();
	char key[KV_KEY_MAX + 1];

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 5000), 0);
	memory_put(&w->store, cluster_key_make(key, CLUSTER_NETWORK, NULL, net1), NULL, 0);
	assert_int_equal(make(w, 1, net2, "blue", "10.9.0.0/24", 5000), 0);
	world_free(w);
}

static void test_a_network_with_endpoints_stays(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	hear(w);
	assert_int_equal(join(w, 1, ep1, "web", 2), 0);
	assert_true(cluster_remove_network(&w->host[0], net1, &w->err) < 0);
	assert_int_equal(w->err.class, CNM_E_FORBIDDEN);
	assert_non_null(strstr(w->err.text, "web on host b00bb00bb00b"));
	assert_int_equal(join(w, 0, ep2, "db", 3), 0); /* the mark is gone */
	assert_int_equal(cluster_leave(&w->host[1], net1, ep1, &w->err), 0);
	assert_int_equal(cluster_leave(&w->host[0], net1, ep2, &w->err), 0);
	assert_int_equal(cluster_remove_network(&w->host[1], net1, &w->err), 0);
	assert_int_equal(cluster_remove_network(&w->host[1], net1, &w->err), -ENOENT);
	assert_int_equal(join(w, 0, ID("e003"), "x", 4), -ENOENT);
	assert_int_equal(w->clash, CLASH_NETWORK);
	world_free(w);
}

static void test_a_removal_whose_host_is_gone(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	enter(w, 0);
	hear(w);
	mark(w, host_a);
	assert_true(join(w, 1, ep1, "web", 2) < 0);
	assert_int_equal(w->clash, CLASH_NETWORK);
	assert_int_equal(w->err.class, CNM_E_CONFLICT);
	die(w, host_a);
	hear(w);
	assert_int_equal(join(w, 1, ep1, "web", 2), 0);
	mark(w, host_a);
	hear(w);
	assert_int_equal(cluster_settle(&w->host[0], NULL, 0, NULL, 0, &w->err), 0);
	assert_int_equal(join(w, 1, ep2, "db", 3), 0); /* its own, when it is back */
	world_free(w);
}

/* ---- endpoints */

static void test_an_address_and_a_name_have_one_owner(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	enter(w, 0);
	enter(w, 1);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	assert_true(join(w, 1, ep2, "db", 2) < 0);
	assert_int_equal(w->clash, CLASH_IPV4);
	assert_non_null(strstr(w->err.text, "10.9.0.2"));
	assert_true(join(w, 1, ep2, "web", 3) < 0);
	assert_int_equal(w->clash, CLASH_NAME);
	assert_false(has(w, CLUSTER_ENDPOINT, net1, ep2));
	assert_int_equal(join(w, 1, ep2, "db", 3), 0);
	hear(w);
	assert_int_equal(cluster_leave(&w->host[1], net1, ep1, &w->err), 0);
	assert_true(has(w, CLUSTER_ENDPOINT, net1, ep1)); /* not its own to take out */
	assert_int_equal(cluster_leave(&w->host[0], net1, ep1, &w->err), 0);
	assert_int_equal(join(w, 1, ID("e003"), "web", 2), 0);
	world_free(w);
}

static void test_one_round_trip_to_join_and_one_to_leave(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	hear(w);
	w->store.calls = 0;
	assert_int_equal(join(w, 1, ep1, "web", 2), 0);
	assert_int_equal(w->store.calls, 1);
	hear(w);
	assert_int_equal(cluster_leave(&w->host[1], net1, ep1, &w->err), 0);
	assert_int_equal(w->store.calls, 2);
	world_free(w);
}

static void test_what_leads_to_nobody_is_taken(void **state)
{
	struct world *w = world_new();
	char key[KV_KEY_MAX + 1];

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	memory_put(&w->store, cluster_key_make(key, CLUSTER_ENDPOINT, net1, ep1), NULL, 0);
	assert_int_equal(join(w, 1, ep2, "web", 2), 0);
	assert_true(is_of(w, CLUSTER_NAME, "web", ep2));
	assert_true(is_of(w, CLUSTER_ADDRESS, "0a090002", ep2));
	world_free(w);
}

static void test_the_name_of_a_lost_host_is_taken(void **state)
{
	struct world *w = world_new();
	struct cluster_own_endpoint own;

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	enter(w, 0);
	enter(w, 1);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	hear(w);
	assert_true(join(w, 1, ep2, "web", 3) < 0);
	die(w, host_a);
	hear(w);
	assert_true(join(w, 1, ep2, "db", 2) < 0); /* an address is not */
	assert_int_equal(join(w, 1, ep2, "web", 3), 0);
	assert_true(is_of(w, CLUSTER_NAME, "web", ep2));
	enter(w, 0);
	hear(w);
	own = (struct cluster_own_endpoint){ .endpoint = endpoint(w, ep1, "web", 2) };
	assert_int_equal(cluster_settle(&w->host[0], NULL, 0, &own, 1, &w->err), 0);
	assert_int_equal(own.fate, FATE_LOST);
	assert_int_equal(own.clash, CLASH_NAME);
	assert_int_equal(cluster_leave(&w->host[0], net1, ep1, &w->err), 0);
	assert_true(is_of(w, CLUSTER_NAME, "web", ep2));
	world_free(w);
}

static void test_another_name(void **state)
{
	struct world *w = world_new();
	struct cluster_endpoint ep = endpoint(w, ep1, "app", 2);

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	enter(w, 1);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	assert_int_equal(join(w, 1, ep2, "db", 3), 0);
	hear(w);
	assert_int_equal(cluster_change(&w->host[0], &ep, &w->clash, &w->err), 0);
	assert_false(has(w, CLUSTER_NAME, net1, "web"));
	assert_true(is_of(w, CLUSTER_NAME, "app", ep1));
	ep.name = "db";
	assert_true(cluster_change(&w->host[0], &ep, &w->clash, &w->err) < 0);
	assert_int_equal(w->clash, CLASH_NAME);
	assert_true(is_of(w, CLUSTER_NAME, "app", ep1));
	world_free(w);
}

static void test_evicted_from_elsewhere(void **state)
{
	struct world *w = world_new();
	struct cluster_own_endpoint own = { .endpoint = endpoint(w, ep1, "web", 2) };

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	assert_int_equal(cluster_evict(&w->host[1], net1, ep1, &w->err), 0);
	assert_int_equal(cluster_evict(&w->host[1], net1, ep1, &w->err), -ENOENT);
	assert_true(has(w, CLUSTER_TOMBSTONE, NULL, ep1));
	hear(w);
	assert_int_equal(cluster_settle(&w->host[0], NULL, 0, &own, 1, &w->err), 0);
	assert_int_equal(own.fate, FATE_BURIED);
	assert_false(has(w, CLUSTER_ENDPOINT, net1, ep1));
	assert_int_equal(cluster_bury(&w->host[0], ep1, &w->err), 0);
	assert_int_equal(cluster_bury(&w->host[0], ep1, &w->err), 0);
	assert_int_equal(count(w), 2);
	world_free(w);
}

/* ---- hosts */

static void test_hosts_come_and_go(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	enter(w, 0);
	enter(w, 1);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	hear(w);
	assert_int_equal(cluster_expire_host(&w->host[1], host_a, &w->err), 0);
	assert_true(has(w, CLUSTER_ENDPOINT, net1, ep1)); /* it lives */
	assert_true(cluster_remove_host(&w->host[1], host_a, &w->err) < 0);
	assert_int_equal(w->err.class, CNM_E_CONFLICT);
	die(w, host_a);
	hear(w);
	assert_int_equal(cluster_expire_host(&w->host[1], host_a, &w->err), 0);
	assert_false(has(w, CLUSTER_ENDPOINT, net1, ep1));
	assert_false(has(w, CLUSTER_TOMBSTONE, NULL, ep1));
	assert_false(has(w, CLUSTER_ADDRESS, net1, "0a090002"));
	assert_int_equal(cluster_remove_host(&w->host[1], host_a, &w->err), 0);
	assert_false(has(w, CLUSTER_HOST, NULL, host_a));
	world_free(w);
}

static void test_a_removed_host_leaves_tombstones(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	enter(w, 0);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	die(w, host_a);
	hear(w);
	assert_int_equal(cluster_remove_host(&w->host[1], host_a, &w->err), 0);
	assert_true(has(w, CLUSTER_TOMBSTONE, NULL, ep1));
	assert_false(has(w, CLUSTER_ENDPOINT, net1, ep1));
	world_free(w);
}

/* ---- a store that forgot */

static void test_a_wiped_store(void **state)
{
	struct world *w = world_new();
	struct cnm_prefix pool = prefix("10.9.0.0/24");
	struct cluster_own_network own = { .network = { .id = net1,
							.name = "blue",
							.pools = &pool,
							.n_pools = 1,
							.vxlan_id = 4711,
							.body = w->body } };
	struct cluster_own_endpoint eps[] = { { .endpoint = endpoint(w, ep1, "web", 2) },
					      { .endpoint = endpoint(w, ep2, "db", 3) } };

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 4711), 0);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	hear(w);
	memory_wipe(&w->store);
	hear(w);
	assert_int_equal(cluster_settle(&w->host[0], &own, 1, eps, 1, &w->err), 0);
	assert_int_equal(own.fate, FATE_KEPT);
	assert_int_equal(eps[0].fate, FATE_KEPT);
	assert_int_equal(join(w, 1, ID("e003"), "db", 4), 0);
	hear(w);
	enter(w, 1);
	assert_int_equal(cluster_settle(&w->host[0], &own, 1, eps, 2, &w->err), 0);
	assert_int_equal(eps[1].fate, FATE_LOST);
	assert_int_equal(eps[1].clash, CLASH_NAME);
	world_free(w);
}

static void test_a_network_that_was_given_away(void **state)
{
	struct world *w = world_new();
	struct cnm_prefix pool = prefix("10.9.0.0/24");
	struct cluster_own_network own = { .network = { .id = net1,
							.name = "blue",
							.pools = &pool,
							.n_pools = 1,
							.vxlan_id = 4711,
							.body = w->body } };
	struct cluster_own_endpoint ep = { .endpoint = endpoint(w, ep1, "web", 2) };
	struct cluster_endpoint on_red = endpoint(w, ep2, "db", 3);
	enum cluster_clash clash;

	on_red.network_id = net2;
	assert_int_equal(make(w, 1, net2, "red", "10.9.0.0/16", 0), 0);
	hear(w);
	assert_int_equal(cluster_join(&w->host[1], &on_red, &clash, &w->err), 0);
	assert_int_equal(cluster_settle(&w->host[0], &own, 1, &ep, 1, &w->err), 0);
	assert_int_equal(own.fate, FATE_LOST);
	assert_int_equal(own.clash, CLASH_POOL);
	assert_int_equal(ep.fate, FATE_LOST);
	assert_int_equal(ep.clash, CLASH_NETWORK);
	hear(w);
	/* When nobody is on it any more it gives way. */
	assert_int_equal(cluster_leave(&w->host[1], net2, ep2, &w->err), 0);
	own.fate = ep.fate = FATE_UNKNOWN;
	assert_int_equal(cluster_settle(&w->host[0], &own, 1, &ep, 1, &w->err), 0);
	assert_int_equal(ep.fate, FATE_KEPT);
	assert_false(has(w, CLUSTER_NETWORK, NULL, net2));
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_network_is_claimed_as_a_whole),
		cmocka_unit_test(test_nobody_is_refused_by_a_late_copy),
		cmocka_unit_test(test_claims_of_a_network_that_is_not_there_are_nobodys),
		cmocka_unit_test(test_a_network_with_endpoints_stays),
		cmocka_unit_test(test_a_removal_whose_host_is_gone),
		cmocka_unit_test(test_an_address_and_a_name_have_one_owner),
		cmocka_unit_test(test_one_round_trip_to_join_and_one_to_leave),
		cmocka_unit_test(test_what_leads_to_nobody_is_taken),
		cmocka_unit_test(test_the_name_of_a_lost_host_is_taken),
		cmocka_unit_test(test_another_name),
		cmocka_unit_test(test_evicted_from_elsewhere),
		cmocka_unit_test(test_hosts_come_and_go),
		cmocka_unit_test(test_a_removed_host_leaves_tombstones),
		cmocka_unit_test(test_a_wiped_store),
		cmocka_unit_test(test_a_network_that_was_given_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
