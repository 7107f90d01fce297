/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keys that detach a person from a container. */
#ifndef CNM_KEYS_H
#define CNM_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#define KEYS_MAX 16

/* A sequence, and how much of it was typed last. n is 0: it is never typed. */
struct keys {
	unsigned char byte[KEYS_MAX];
	size_t n, typed;
};

/*
 * "ctrl-p,ctrl-q", which is also what NULL and "" mean: characters, "ctrl-" and what makes a
 * control character, or DEL. What else there may be in it, and it being too long, is for the daemon
 * to refuse; it leaves an empty sequence here.
 */
struct keys keys_parse(const char *text);
/* These bytes were typed: was the sequence completed by one of them? */
bool keys_typed(struct keys *k, const char *data, size_t n);

#endif
