/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two hosts that share a store in memory, for tests of the protocol one function at a time. */
#ifndef TEST_CLAIMS_FIXTURE_H
#define TEST_CLAIMS_FIXTURE_H

#include <sys/socket.h>

#include "base/json.h"
#include "cluster/claims.h"
#include "kv_memory.h"
#include "unit.h"

#define ID(c) c c c c c c c c c c c c c c c c
static const char host_a[] = ID("a00a"), host_b[] = ID("b00b"), net1[] = ID("1111"),
		  net2[] = ID("2222"), ep1[] = ID("e001"), ep2[] = ID("e002");

struct world {
	struct memory_store store;
	struct memory_client clients[2];
	struct cluster host[2];
	struct cnm_error err;
	enum cluster_clash clash;
	json_t *body;
};

static inline struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	for (unsigned i = 0; i < 2; i++) {
		memory_open(&w->clients[i], &w->store);
		w->host[i] = (struct cluster){ .kv = &w->clients[i].kv,
					       .copy = w->clients[i].copy,
					       .host = i ? host_b : host_a,
					       .ms = 2000 };
	}
	w->body = json_pack("{s:s}", "driver", "overlay");
	return w;
}

static inline void world_free(struct world *w)
{
	for (unsigned i = 0; i < 2; i++)
		memory_close(&w->clients[i]);
	memory_free(&w->store);
	json_decref(w->body);
	free(w);
}

static inline void hear(struct world *w)
{
	memory_hear(&w->clients[0]);
	memory_hear(&w->clients[1]);
}

static inline struct cnm_prefix prefix(const char *text)
{
	struct cnm_prefix p;

	assert_int_equal(prefix_parse(&p, text), 0);
	return p;
}

static inline int make(struct world *w, unsigned host, const char *id, const char *name,
		       const char *pool, uint32_t vxlan)
{
	struct cnm_prefix p = prefix(pool);
	struct cluster_network n = { .id = id,
				     .name = name,
				     .pools = &p,
				     .n_pools = 1,
				     .vxlan_id = vxlan,
				     .body = w->body };
	int r;

	w->err = (struct cnm_error){ 0 };
	r = cluster_make_network(&w->host[host], &n, &w->clash, &w->err);
	if (r == 0)
		assert_true(n.vxlan_id > 0 && n.vxlan_id < 1 << 24);
	return r;
}

static inline struct cluster_endpoint endpoint(struct world *w, const char *id, const char *name,
					       uint8_t last)
{
	return (struct cluster_endpoint){ .network_id = net1,
					  .id = id,
					  .name = name,
					  .ip4 = { AF_INET, { 10, 9, 0, last } },
					  .body = w->body };
}

static inline int join(struct world *w, unsigned host, const char *id, const char *name,
		       uint8_t last)
{
	struct cluster_endpoint ep = endpoint(w, id, name, last);

	w->err = (struct cnm_error){ 0 };
	return cluster_join(&w->host[host], &ep, &w->clash, &w->err);
}

static inline bool has(struct world *w, enum cluster_kind kind, const char *network, const char *id)
{
	char key[KV_KEY_MAX + 1];

	return memory_find(&w->store, cluster_key_make(key, kind, network, id));
}

static inline json_t *value(struct world *w, enum cluster_kind kind, const char *network,
			    const char *id)
{
	char key[KV_KEY_MAX + 1];
	const struct kv_entry *e = memory_find(&w->store, cluster_key_make(key, kind, network, id));

	return e ? json_loadb(e->value, e->len, JSON_DECODE_ANY, NULL) : NULL;
}

static inline bool is_of(struct world *w, enum cluster_kind kind, const char *id, const char *owner)
{
	_json_ json_t *v = value(w, kind, net1, id);

	return v && streq(json_string_value(v), owner);
}

static inline void enter(struct world *w, unsigned host)
{
	struct cnm_ip ip = { AF_INET, { 198, 18, 0, (uint8_t)(host + 1) } };

	assert_int_equal(cluster_enter(&w->host[host], host ? "b" : "a", &ip, 60, &w->err), 0);
}

static inline void die(struct world *w, const char *host)
{
	char key[KV_KEY_MAX + 1];

	memory_put(&w->store, cluster_key_make(key, CLUSTER_ALIVE, NULL, host), NULL, 0);
}

static inline size_t count(struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < MEMORY_KEYS; i++)
		n += w->store.v[i].key != NULL;
	return n;
}

/* The network is being removed by that host. */
static inline void mark(struct world *w, const char *host)
{
	char key[KV_KEY_MAX + 1];
	_json_ json_t *v = value(w, CLUSTER_NETWORK, NULL, net1);
	char *text;

	json_object_set_new(v, "Removing", json_string(host));
	text = json_dumps(v, 0);
	memory_put_text(&w->store, cluster_key_make(key, CLUSTER_NETWORK, NULL, net1), text);
	free(text);
}

static inline void put(struct world *w, enum cluster_kind kind, const char *network, const char *id,
		       const char *text)
{
	char key[KV_KEY_MAX + 1];

	memory_put_text(&w->store, cluster_key_make(key, kind, network, id), text);
}

/* What the row of net1 says. */
static inline struct cluster_own_network own_blue(struct world *w)
{
	static struct cnm_prefix pool;

	pool = prefix("10.9.0.0/24");
	return (struct cluster_own_network){ .network = { .id = net1,
							  .name = "blue",
							  .pools = &pool,
							  .n_pools = 1,
							  .vxlan_id = 4711,
							  .body = w->body } };
}

#endif
