/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store that says anything, to the whole protocol. Input is lines: a digit, under which of our
 * keys, and the value ('-': none); "h": the copy hears of it, with a digit of so many changes more;
 * "c", a key and behind a '=' a value, or nothing: the copy hears of something that is not so; "r"
 * or "u" and a digit: that call is refused, or carried out unheard. Then everything that a host
 * does is done: it ends in time, with whatever result.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../unit/kv_memory.h"
#include "base/json.h"
#include "cluster/claims.h"

#define ID(c) c c c c c c c c c c c c c c c c
#define HOST  ID("a00a")
#define NET   ID("1111")
#define EP    ID("e001")

static const char *const keys[] = {
	CLUSTER_ROOT "claims",
	CLUSTER_ROOT "networks/" NET,
	CLUSTER_ROOT "endpoints/" NET "/" EP,
	CLUSTER_ROOT "addresses/" NET "/0a090002",
	CLUSTER_ROOT "names/" NET "/web",
	CLUSTER_ROOT "hosts/" HOST,
	CLUSTER_ROOT "alive/" HOST,
	CLUSTER_ROOT "tombstones/" EP,
	CLUSTER_ROOT "endpoints/" NET "/" ID("e002"),
	CLUSTER_ROOT "networks/" ID("2222"),
};

static void change_copy(struct memory_client *c, const char *line, size_t n)
{
	char key[KV_KEY_MAX + 1] = "";
	const char *is = memchr(line, '=', n);
	size_t len = is ? (size_t)(is - line) : n;
	struct kv_entry e = { .key = key, .version = c->store->version + 1 };

	if (len >= sizeof(key))
		return;
	memcpy(key, line, len);
	e.value = is ? is + 1 : NULL;
	e.len = is ? n - len - 1 : 0;
	if (cluster_copy_changed(c->copy, &e, 1) < 0)
		abort();
}

/* The call at which something happens, and what. */
struct fault {
	unsigned at, calls;
	enum memory_fate fate;
};

static enum memory_fate step(void *arg)
{
	struct fault *f = arg;

	return f->calls++ == f->at ? f->fate : MEMORY_DONE;
}

static void play(struct memory_store *s, struct memory_client *c, const char *line, size_t n)
{
	unsigned which = (unsigned)(line[0] - '0'), more = n > 1 ? (unsigned)(line[1] - '0') : 0;
	struct fault *f = c->arg;

	if (line[0] == 'h' && n > 1)
		memory_hear_some(c, more);
	else if (line[0] == 'h')
		memory_hear(c);
	else if (line[0] == 'c')
		change_copy(c, line + 1, n - 1);
	else if (line[0] == 'r' || line[0] == 'u')
		*f = (struct fault){ .at = more,
				     .fate = line[0] == 'r' ? MEMORY_REFUSED : MEMORY_UNHEARD };
	else if (which < sizeof(keys) / sizeof(keys[0]))
		memory_put(s, keys[which], n == 2 && line[1] == '-' ? NULL : line + 1, n - 1);
}

static void play_all(struct memory_store *s, struct memory_client *c, const char *text, size_t size)
{
	for (unsigned lines = 0; size && lines < 64; lines++) {
		const char *end = memchr(text, '\n', size);
		size_t n = end ? (size_t)(end - text) : size;

		if (n)
			play(s, c, text, n);
		n += end != NULL;
		text += n;
		size -= n;
	}
}

static void do_all(const struct cluster *c, const json_t *body)
{
	struct cnm_prefix pool = { .ip = { AF_INET, { 10, 9 } }, .len = 24 };
	struct cluster_network n = {
		.id = NET, .name = "blue", .pools = &pool, .n_pools = 1, .body = body
	};
	struct cluster_endpoint ep = { .network_id = NET,
				       .id = EP,
				       .name = "web",
				       .ip4 = { AF_INET, { 10, 9, 0, 2 } },
				       .body = body };
	struct cluster_own_network network = { .network = n };
	struct cluster_own_endpoint endpoint = { .endpoint = ep };
	enum cluster_clash clash;

	cluster_settle(c, &network, 1, &endpoint, 1, NULL);
	cluster_make_network(c, &n, &clash, NULL);
	cluster_enter(c, "a", &ep.ip4, 60, NULL);
	cluster_join(c, &ep, &clash, NULL);
	cluster_change(c, &ep, &clash, NULL);
	cluster_evict(c, NET, EP, NULL);
	cluster_leave(c, NET, EP, NULL);
	cluster_bury(c, EP, NULL);
	cluster_expire_host(c, HOST, NULL);
	cluster_remove_host(c, HOST, NULL);
	cluster_remove_network(c, NET, NULL);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct memory_store store = { 0 };
	struct memory_client client;
	struct fault fault = { .fate = MEMORY_DONE };
	struct cluster c;
	json_t *body = json_object();

	memory_open(&client, &store);
	client.step = step;
	client.arg = &fault;
	c = (struct cluster){
		.kv = &client.kv, .copy = client.copy, .host = ID("b00b"), .ms = 1000
	};
	play_all(&store, &client, (const char *)data, size);
	do_all(&c, body);
	if (store.calls > 1000) /* in circles, until the deadline */
		abort();
	memory_close(&client);
	memory_free(&store);
	json_decref(body);
	return 0;
}
