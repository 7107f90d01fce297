/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Object ids: 64 lower-case hex digits from the kernel's random source. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#define ID_LEN   64
#define ID_SIZE  (ID_LEN + 1)
#define ID_SHORT 12

/*
 * Fills id. The source can be replaced (tests inject ids) by id_set_source(); NULL restores it.
 * The replacement writes n bytes and must not fail.
 */
void id_new(char id[static ID_SIZE]);
void id_set_source(void (*fill)(void *buf, unsigned n));
/* n random bytes from the same source. */
void id_random(void *buf, unsigned n);
/* 64 lower-case hex digits? */
bool id_is_valid(const char *s);

#endif
