/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An intrusive doubly linked list. A head and a node are the same struct; an unlinked node points
 * at itself.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define LIST_INIT(l)       \
	{                  \
		&(l), &(l) \
	}

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_append(struct list *head, struct list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

/* Unlink; harmless for a node that is not in a list. */
static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* struct foo *f; list_for_each(f, &head, node) { ... }: the loop body must not unlink f. */
#define list_for_each(var, head, member)                                                         \
	for (var = container_of((head)->next, __typeof__(*var), member); &var->member != (head); \
	     var = container_of(var->member.next, __typeof__(*var), member))

#define list_for_each_safe(var, tmp, head, member)                          \
	for (var = container_of((head)->next, __typeof__(*var), member),    \
	    tmp = container_of(var->member.next, __typeof__(*var), member); \
	     &var->member != (head);                                        \
	     var = tmp, tmp = container_of(tmp->member.next, __typeof__(*var), member))

#endif
