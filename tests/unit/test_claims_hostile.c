/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The protocol of the cluster over a store that fails, and over one that says anything. */
#include "unit.h"

#include "claims_fixture.h"

/* ---- calls that fail */

/* The call at which it happens, and what; the others are carried out. */
struct fault {
	unsigned at, calls;
	enum memory_fate fate;
	bool for_ever; /* from that one on */
};

static enum memory_fate fail_one(void *arg)
{
	struct fault *f = arg;

	unsigned call = f->calls++;

	return call == f->at || (f->for_ever && call > f->at) ? f->fate : MEMORY_DONE;
}

static void inject(struct world *w, unsigned host, struct fault *f)
{
	w->clients[host].step = fail_one;
	w->clients[host].arg = f;
}

/* It is read back: nobody is told of a failure. */
static void test_what_was_carried_out_unheard(void **state)
{
	struct world *w = world_new();
	struct fault f = { .fate = MEMORY_UNHEARD, .at = 1 };

	inject(w, 0, &f); /* the claims are asked for first */
	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	assert_true(has(w, CLUSTER_NETWORK, NULL, net1));
	hear(w);
	f = (struct fault){ .fate = MEMORY_UNHEARD };
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	assert_true(has(w, CLUSTER_ENDPOINT, net1, ep1));
	hear(w);
	f = (struct fault){ .fate = MEMORY_UNHEARD };
	assert_int_equal(cluster_leave(&w->host[0], net1, ep1, &w->err), 0);
	assert_false(has(w, CLUSTER_ENDPOINT, net1, ep1));
	hear(w);
	assert_int_equal(join(w, 0, ep2, "web", 2), 0);
	hear(w);
	f = (struct fault){ .fate = MEMORY_UNHEARD, .at = 1 }; /* behind the tombstone */
	assert_int_equal(cluster_evict(&w->host[0], net1, ep2, &w->err), 0);
	assert_int_equal(cluster_evict(&w->host[0], net1, ep2, &w->err), -ENOENT);
	hear(w);
	f = (struct fault){ .fate = MEMORY_UNHEARD };
	assert_int_equal(cluster_remove_network(&w->host[0], net1, &w->err), 0);
	assert_false(has(w, CLUSTER_NETWORK, NULL, net1));
	assert_int_equal(cluster_remove_network(&w->host[0], net1, &w->err), -ENOENT);
	world_free(w);
}

/* Nor then can it be told, if the store does not answer any more. */
static void test_what_is_never_known(void **state)
{
	struct world *w = world_new();
	struct fault f = { .fate = MEMORY_UNHEARD, .at = 1, .for_ever = true };

	inject(w, 0, &f);
	assert_true(make(w, 0, net1, "blue", "10.9.0.0/24", 0) < 0);
	assert_int_equal(w->err.class, CNM_E_UNAVAILABLE);
	assert_int_equal(w->clash, CLASH_NONE);
	assert_true(has(w, CLUSTER_NETWORK, NULL, net1));
	world_free(w);
}

static void test_a_store_that_does_not_answer_takes_nothing(void **state)
{
	for (unsigned at = 0; at < 12; at++) {
		struct world *w = world_new();
		struct cluster_own_network own = own_blue(w);
		struct cluster_own_endpoint ep = { .endpoint = endpoint(w, ep1, "web", 2) };
		struct fault f = { .fate = MEMORY_REFUSED, .at = at };
		int r;

		put(w, CLUSTER_CLAIMS, NULL, NULL,
		    "{\"" ID("2222") "\":{\"Name\":\"blue\"},"
				     "\"" ID("3333") "\":{\"Pools\":[\"10.9.0.0/16\"]}}");
		put(w, CLUSTER_NAME, net1, "web", "\"" ID("e002") "\"");
		inject(w, 0, &f);
		r = cluster_settle(&w->host[0], &own, 1, &ep, 1, &w->err);
		assert_int_equal(own.fate, r < 0 && !has(w, CLUSTER_NETWORK, NULL, net1)
						   ? FATE_UNKNOWN
						   : FATE_KEPT);
		assert_int_equal(ep.fate, r < 0 ? FATE_UNKNOWN : FATE_KEPT);
		assert_true(r == 0 || w->err.class == CNM_E_UNAVAILABLE);
		if (f.calls <= at)
			assert_int_equal(r, 0);
		world_free(w);
	}
}

static void test_too_little_time(void **state)
{
	struct world *w = world_new();

	w->host[0].ms = 0;
	assert_true(make(w, 0, net1, "blue", "10.9.0.0/24", 0) < 0);
	assert_int_equal(w->err.class, CNM_E_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "try again"));
	world_free(w);
}

/* ---- things that change meanwhile */

/* The other host runs before the call. */
struct meanwhile {
	struct world *w;
	unsigned at, calls;
	void (*run)(struct world *w);
};

static enum memory_fate let_run(void *arg)
{
	struct meanwhile *m = arg;

	if (m->calls++ == m->at)
		m->run(m->w);
	return MEMORY_DONE;
}

static void enter_a(struct world *w)
{
	enter(w, 0);
}

static void test_a_host_that_returns_while_it_is_removed(void **state)
{
	for (unsigned at = 0; at < 8; at++) {
		struct world *w = world_new();
		struct meanwhile m = { .w = w, .at = at, .run = enter_a };
		int r;

		assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
		enter(w, 0);
		assert_int_equal(join(w, 0, ep1, "web", 2), 0);
		die(w, host_a);
		hear(w);
		w->clients[1].step = let_run;
		w->clients[1].arg = &m;
		r = cluster_remove_host(&w->host[1], host_a, &w->err);
		assert_true(has(w, CLUSTER_ENDPOINT, net1, ep1) !=
			    has(w, CLUSTER_TOMBSTONE, NULL, ep1));
		if (at <= 4) /* the fifth call takes it out */
			assert_true(has(w, CLUSTER_ENDPOINT, net1, ep1));
		if (at < m.calls)
			assert_int_equal(r < 0 ? w->err.class : CNM_E_CONFLICT, CNM_E_CONFLICT);
		else
			assert_int_equal(r, 0);
		world_free(w);
	}
}

static void test_a_removed_host_with_endpoints_not_heard_of(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	enter(w, 0);
	die(w, host_a);
	hear(w);
	assert_int_equal(join(w, 0, ep1, "web", 2), 0);
	assert_int_equal(cluster_remove_host(&w->host[1], host_a, &w->err), 0);
	assert_false(has(w, CLUSTER_ENDPOINT, net1, ep1));
	assert_true(has(w, CLUSTER_TOMBSTONE, NULL, ep1));
	world_free(w);
}

static void test_settling_while_its_network_is_removed(void **state)
{
	struct world *w = world_new();
	struct cluster_own_network own = own_blue(w);
	struct cluster_own_endpoint ep = { .endpoint = endpoint(w, ep1, "web", 2) };

	assert_int_equal(make(w, 1, net1, "blue", "10.9.0.0/24", 4711), 0);
	enter(w, 1);
	mark(w, host_b);
	hear(w);
	assert_true(cluster_settle(&w->host[0], &own, 1, &ep, 1, &w->err) < 0);
	assert_int_equal(ep.fate, FATE_UNKNOWN);
	assert_int_equal(cluster_remove_network(&w->host[1], net1, &w->err), 0);
	hear(w);
	own = own_blue(w);
	assert_int_equal(cluster_settle(&w->host[0], &own, 1, &ep, 1, &w->err), 0);
	assert_int_equal(ep.fate, FATE_KEPT);
	assert_true(has(w, CLUSTER_NETWORK, NULL, net1));
	world_free(w);
}

/* A store that does not tell transactions: of the removal only the network itself is heard. */
static void test_a_network_comes_back_with_its_claims(void **state)
{
	struct world *w = world_new();
	struct cluster_own_network own = own_blue(w);
	struct cluster_own_endpoint ep = { .endpoint = endpoint(w, ep1, "web", 2) };

	assert_int_equal(make(w, 1, net1, "blue", "10.9.0.0/24", 4711), 0);
	hear(w);
	memory_put(&w->store, CLUSTER_ROOT "networks/" ID("1111"), NULL, 0);
	hear(w);
	put(w, CLUSTER_CLAIMS, NULL, NULL, "{}");
	assert_int_equal(cluster_settle(&w->host[0], &own, 1, &ep, 1, &w->err), 0);
	assert_true(make(w, 1, net2, "blue", "10.10.0.0/24", 0) < 0);
	assert_int_equal(w->clash, CLASH_NAME);
	world_free(w);
}

/* ---- a store that lies */

static const char *const garbage[] = { "",
				       "null",
				       "7",
				       "[]",
				       "{",
				       "\"x\"",
				       "{\"Name\":7}",
				       "{\"Host\":\"\",\"Name\":\"a/b\",\"IPv4\":\"10.9.0.2\"}" };

static void test_garbage_under_every_key(void **state)
{
	static const enum cluster_kind kinds[] = { CLUSTER_CLAIMS,   CLUSTER_NETWORK,
						   CLUSTER_ENDPOINT, CLUSTER_ADDRESS,
						   CLUSTER_NAME,     CLUSTER_HOST,
						   CLUSTER_ALIVE,    CLUSTER_TOMBSTONE };
	static const char *const ids[][2] = { { NULL, NULL },   { NULL, net1 },
					      { net1, ep1 },    { net1, "0a090002" },
					      { net1, "web" },  { NULL, host_a },
					      { NULL, host_a }, { NULL, ep1 } };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t g = 0; g < 2 * ARRAY_LEN(garbage); g++) {
			struct world *w = world_new();
			struct cluster_own_endpoint own = { .endpoint =
								    endpoint(w, ep1, "web", 2) };
			char key[KV_KEY_MAX + 1];

			assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
			enter(w, 0);
			join(w, 0, ep1, "web", 2);
			cluster_key_make(key, kinds[k], ids[k][0], ids[k][1]);
			memory_put_text(&w->store, key, garbage[g / 2]);
			if (g % 2)
				hear(w);
			w->host[0].ms = w->host[1].ms = 50;
			make(w, 1, net2, "blue", "10.9.0.0/24", 0);
			join(w, 1, ep2, "web", 2);
			cluster_settle(&w->host[0], NULL, 0, &own, 1, &w->err);
			cluster_evict(&w->host[1], net1, ep1, &w->err);
			cluster_leave(&w->host[0], net1, ep1, &w->err);
			cluster_expire_host(&w->host[1], host_a, &w->err);
			cluster_remove_host(&w->host[1], host_a, &w->err);
			cluster_leave(&w->host[1], net1, ep2, &w->err);
			cluster_remove_network(&w->host[1], net1, &w->err);
			world_free(w);
		}
}

/* Claims under no network's id, or that are none, are in nobody's way. */
static void test_claims_that_are_none(void **state)
{
	struct world *w = world_new();

	put(w, CLUSTER_CLAIMS, NULL, NULL,
	    "{\"x/../y\":{\"Name\":\"blue\"},\"" ID(
		    "2222") "f\":{\"Name\":\"blue\"},"
			    "\"" ID("3333") "\":[\"blue\"],\"" ID(
				    "4444") "\":{\"Pools\":\"10.9.0.0/24\"}}");
	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	assert_true(w->store.calls < 8);
	world_free(w);
}

static void test_a_network_that_is_none_is_made_anew(void **state)
{
	static const char *const values[] = { "7", "{}", "{\"Name\":\"blue\",\"VxlanId\":16777216}",
					      "{\"Name\":\"blue\",\"VxlanId\":-1}",
					      "{\"VxlanId\":4711}" };

	for (size_t i = 0; i < 2 * ARRAY_LEN(values); i++) {
		struct world *w = world_new();
		struct cluster_own_network own = own_blue(w);
		struct cluster_own_endpoint ep = { .endpoint = endpoint(w, ep1, "web", 2) };
		_json_ json_t *now = NULL;

		put(w, CLUSTER_NETWORK, NULL, net1, values[i / 2]);
		if (i % 2)
			hear(w);
		assert_true(join(w, 1, ep2, "db", 3) < 0);
		assert_int_equal(w->clash, CLASH_NETWORK);
		assert_int_equal(cluster_settle(&w->host[0], &own, 1, &ep, 1, &w->err), 0);
		assert_int_equal(ep.fate, FATE_KEPT);
		now = value(w, CLUSTER_NETWORK, NULL, net1);
		assert_int_equal(json_integer_value(json_object_get(now, "VxlanId")), 4711);
		world_free(w);
	}
}

static void test_another_claim_under_its_id(void **state)
{
	struct world *w = world_new();
	struct cluster_own_network own = own_blue(w);
	struct cluster_own_endpoint ep = { .endpoint = endpoint(w, ep1, "web", 2) };

	put(w, CLUSTER_CLAIMS, NULL, NULL, "{\"" ID("1111") "\":{\"Name\":\"red\"}}");
	assert_int_equal(cluster_settle(&w->host[0], &own, 1, &ep, 1, &w->err), 0);
	assert_true(make(w, 1, net2, "green", "10.10.0.0/24", 4711) < 0);
	assert_int_equal(w->clash, CLASH_VXLAN);
	world_free(w);
}

static void test_a_removal_by_nobody(void **state)
{
	struct world *w = world_new();

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	mark(w, "../nobody");
	assert_int_equal(join(w, 1, ep1, "web", 2), 0);
	world_free(w);
}

static void test_what_an_endpoint_cannot_have(void **state)
{
	static const char *const values[] = {
		"{\"Host\":\"" ID("a00a") "\",\"Name\":\"../x\"}",
		"{\"Host\":\"" ID("a00a") "\",\"Name\":\"a b\"}",
		"{\"Host\":\"" ID("a00a") "\",\"IPv4\":\"10.9.0.2\",\"IPv6\":\"10.9.0.2\"}",
		"{\"Host\":\"" ID("a00a") "\",\"IPv4\":\"fd00::1\",\"IPv6\":\"fd00::1\"}"
	};

	for (size_t i = 0; i < 3 * ARRAY_LEN(values); i++) {
		struct world *w = world_new();

		put(w, CLUSTER_ENDPOINT, net1, ep1, values[i / 3]);
		hear(w);
		if (i % 3 == 0)
			assert_int_equal(cluster_evict(&w->host[1], net1, ep1, &w->err), 0);
		else if (i % 3 == 1)
			assert_int_equal(cluster_leave(&w->host[0], net1, ep1, &w->err), 0);
		else
			assert_int_equal(cluster_expire_host(&w->host[1], host_a, &w->err), 0);
		assert_false(has(w, CLUSTER_ENDPOINT, net1, ep1));
		world_free(w);
	}
}

static void test_one_bad_endpoint_does_not_keep_the_rest(void **state)
{
	struct world *w = world_new();
	struct cluster_own_endpoint eps[] = { { .endpoint = endpoint(w, ep1, "web", 2) },
					      { .endpoint = endpoint(w, ep2, "app", 4) },
					      { .endpoint = endpoint(w, ID("e003"), "db", 3) } };

	assert_int_equal(make(w, 0, net1, "blue", "10.9.0.0/24", 0), 0);
	put(w, CLUSTER_ENDPOINT, net1, ep1, "{\"Name\":\"web\",\"Host\":\"" ID("b00b") "\"}");
	put(w, CLUSTER_ENDPOINT, net1, ep2, "garbage");
	hear(w);
	assert_true(cluster_settle(&w->host[0], NULL, 0, eps, 3, &w->err) < 0);
	assert_int_equal(eps[0].fate, FATE_UNKNOWN);
	assert_int_equal(eps[1].fate, FATE_KEPT);
	assert_int_equal(eps[2].fate, FATE_KEPT);
	assert_true(is_of(w, CLUSTER_NAME, "app", ep2));
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_carried_out_unheard),
		cmocka_unit_test(test_what_is_never_known),
		cmocka_unit_test(test_a_store_that_does_not_answer_takes_nothing),
		cmocka_unit_test(test_too_little_time),
		cmocka_unit_test(test_a_host_that_returns_while_it_is_removed),
		cmocka_unit_test(test_a_removed_host_with_endpoints_not_heard_of),
		cmocka_unit_test(test_settling_while_its_network_is_removed),
		cmocka_unit_test(test_a_network_comes_back_with_its_claims),
		cmocka_unit_test(test_garbage_under_every_key),
		cmocka_unit_test(test_claims_that_are_none),
		cmocka_unit_test(test_a_network_that_is_none_is_made_anew),
		cmocka_unit_test(test_another_claim_under_its_id),
		cmocka_unit_test(test_a_removal_by_nobody),
		cmocka_unit_test(test_what_an_endpoint_cannot_have),
		cmocka_unit_test(test_one_bad_endpoint_does_not_keep_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
