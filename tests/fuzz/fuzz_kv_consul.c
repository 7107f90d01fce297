/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of Consul to each parser: whatever is taken obeys the rules of keys, values and versions.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/consul_json.h"

static void read_keys(const char *s, size_t size)
{
	const struct kv kv = { .prefix = "p" };
	struct kv_entries e = { .v = NULL };
	char session[CONSUL_SESSION_MAX];

	consul_parse_keys(&kv, s, size, &e, session, NULL);
	for (size_t i = 0; i < e.n; i++)
		if (!kv_key_is_good(e.v[i].key) || e.v[i].len > KV_VALUE_MAX || !e.v[i].version)
			abort();
	kv_entries_free(&e);
}

static void read_conflict(const char *s, size_t size)
{
	static const struct kv_op ops[] = {
		{ KV_CREATE, "a", "v", 1 },
		{ KV_CHECK, "b", .version = 7 },
		{ KV_DELETE, "c", .version = 8 },
	};
	size_t which = 77;

	if (consul_parse_conflict(s, size, ops, 3, &which, NULL) == KV_CONFLICT && which > 3)
		abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const char *s = (const char *)data;
	char *text = strndup(s, size), id[CONSUL_SESSION_MAX];

	read_keys(s, size);
	read_conflict(s, size);
	if (consul_parse_session(s, size, id, NULL) == 0 && strpbrk(id, "/?&#% \"\\"))
		abort();
	consul_parse_index(text);
	free(text);
	return 0;
}
