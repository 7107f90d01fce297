/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Timers of one thread, a few seconds long at most: a ring of lists, one a tick, each timer in that
 * of the tick it is due in. Setting, moving and stopping one costs the same however many there are,
 * and cannot fail. They are up to a tick late, never early. Times are monotonic, in nanoseconds.
 */
#ifndef RESOLVER_WHEEL_H
#define RESOLVER_WHEEL_H

#include <stdint.h>

#include "base/list.h"

#define WHEEL_SLOTS 512
#define WHEEL_TICK  10000000ull

struct resolver;

struct timer {
	struct list in_slot;
	uint64_t at; /* 0: not set */
	void (*due)(struct resolver *r, struct timer *t);
};

struct wheel {
	struct list slots[WHEEL_SLOTS];
	uint64_t tick; /* all before it are done */
	unsigned used;
};

static inline void wheel_init(struct wheel *w)
{
	for (unsigned i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w->slots[i]);
	w->tick = 0;
	w->used = 0;
}

/* Harmless for a zeroed timer, and for one that is not set. */
static inline void timer_stop(struct wheel *w, struct timer *t)
{
	if (!t->at)
		return;
	list_del(&t->in_slot);
	t->at = 0;
	w->used--;
}

/* Sets it, whether it was set or not. One that is past is due at the next wheel_turn(). */
static inline void timer_set(struct wheel *w, struct timer *t, uint64_t at)
{
	uint64_t tick = (at + WHEEL_TICK - 1) / WHEEL_TICK;

	timer_stop(w, t);
	if (tick < w->tick)
		tick = w->tick;
	list_init(&t->in_slot);
	list_append(&w->slots[tick % WHEEL_SLOTS], &t->in_slot);
	t->at = at ? at : 1;
	w->used++;
}

/* Calls what is due. It may set and stop any timer, this one too. */
static inline void wheel_turn(struct resolver *r, struct wheel *w, uint64_t now)
{
	uint64_t last = now / WHEEL_TICK;
	struct list due;

	list_init(&due);
	/* After a long pause each slot needs one visit only. */
	if (!w->used || w->tick + WHEEL_SLOTS <= last)
		w->tick = w->used ? last - WHEEL_SLOTS + 1 : last + 1;
	for (; w->tick <= last; w->tick++) {
		struct list *slot = &w->slots[w->tick % WHEEL_SLOTS];

		while (!list_empty(slot)) {
			struct list *t = slot->next;

			list_del(t);
			list_append(&due, t);
		}
	}
	while (!list_empty(&due)) {
		struct timer *t = container_of(due.next, struct timer, in_slot);
		uint64_t at = t->at;

		timer_stop(w, t);
		if (at <= now)
			t->due(r, t);
		else
			timer_set(w, t, at); /* of the next round of the ring */
	}
}

/* The earliest moment to turn the wheel at; UINT64_MAX: nothing is set. */
static inline uint64_t wheel_next(const struct wheel *w)
{
	for (uint64_t i = 0; w->used && i < WHEEL_SLOTS; i++) {
		if (!list_empty(&w->slots[(w->tick + i) % WHEEL_SLOTS]))
			return (w->tick + i) * WHEEL_TICK;
	}
	return UINT64_MAX;
}

#endif
