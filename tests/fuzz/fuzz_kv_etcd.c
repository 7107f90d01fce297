/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of etcd to each parser: whatever is taken obeys the rules of keys, values and versions.
 */
#include <stdlib.h>

#include "cluster/etcd_json.h"

static void check(struct kv_entries *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (!kv_key_is_good(e->v[i].key) || e->v[i].len > KV_VALUE_MAX || !e->v[i].version)
			abort();
	kv_entries_free(e);
}

static void read_range(const struct kv *kv, const char *s, size_t size)
{
	struct kv_entries e = { .v = NULL };
	struct etcd_page page;

	if (etcd_parse_range(kv, s, size, &e, &page, NULL) == 0) {
		if (!page.header.revision || (page.more && !page.next))
			abort();
		free(page.next);
	}
	check(&e);
}

static void read_news(const struct kv *kv, const char *s, size_t size)
{
	struct kv_entries e = { .v = NULL };
	struct etcd_news news;

	etcd_parse_news(kv, s, size, &e, &news, NULL);
	check(&e);
}

static void read_txn(const char *s, size_t size)
{
	static const struct kv_op ops[] = {
		{ KV_CREATE, "a", "v", 1 },
		{ KV_CHECK, "b", .version = 7 },
		{ KV_DELETE, "c", .version = 8 },
	};
	size_t which = 77;

	if (etcd_parse_txn(s, size, ops, 3, &which, NULL) == KV_CONFLICT && which > 3)
		abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const struct kv kv = { .prefix = "p" };
	const char *s = (const char *)data;
	uint64_t n;

	read_range(&kv, s, size);
	read_news(&kv, s, size);
	read_txn(s, size);
	if (etcd_parse_grant(s, size, &n, NULL) == 0 && !n)
		abort();
	etcd_parse_keepalive(s, size, &n, NULL);
	if (etcd_error_code(s, size) < 0)
		abort();
	return 0;
}
