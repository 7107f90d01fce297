/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of messages. Adding swaps the head by compare-and-exchange; taking swaps it for NULL, so
 * no message is ever removed alone and the head cannot be mistaken for an earlier one (ABA).
 */
#include "resolver/inbox.h"

bool inbox_add(struct inbox *in, struct message *m)
{
	m->next = atomic_load_explicit(&in->newest, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&in->newest, &m->next, m,
						      memory_order_release, memory_order_relaxed))
		;
	return (atomic_fetch_add_explicit(&in->waiting, 1, memory_order_relaxed) + 1) %
		       INBOX_LONG ==
	       0;
}

struct message *inbox_take(struct inbox *in)
{
	struct message *m, *oldest = NULL;

	/* The common case, at each batch of queries: a look that shares the cache line. */
	if (!atomic_load_explicit(&in->newest, memory_order_acquire))
		return NULL;
	m = atomic_exchange_explicit(&in->newest, NULL, memory_order_acquire);
	atomic_store_explicit(&in->waiting, 0, memory_order_relaxed);
	while (m) {
		struct message *next = m->next;

		m->next = oldest;
		oldest = m;
		m = next;
	}
	return oldest;
}
