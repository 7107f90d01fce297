/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For a unit test of one file: cmocka with what it needs, random inputs that are the same at each
 * run, and allocations that fail on demand. Included once, by the test itself.
 */
#ifndef TEST_UNIT_H
#define TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- random inputs: xorshift64*, seeded from the environment or with a constant */

static uint64_t rng_state;

static inline void rng_seed(void)
{
	const char *seed = getenv("CNM_TEST_SEED");

	rng_state = seed ? strtoull(seed, NULL, 0) : 0x5eed0001;
	print_message("# CNM_TEST_SEED=0x%llx\n", (unsigned long long)rng_state);
}

static inline uint64_t rng64(void)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return rng_state * UINT64_C(2685821657736338717);
}

static inline uint32_t rng(uint32_t below)
{
	return (uint32_t)(rng64() >> 32) % below;
}

/*
 * ---- calloc() and realloc() that fail on demand, where CAN_FAIL_ALLOC is defined: with glibc and
 * without a sanitizer, which has an allocator of its own
 */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define UNIT_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNIT_SANITIZED
#endif
#if defined(__GLIBC__) && !defined(UNIT_SANITIZED)
#define CAN_FAIL_ALLOC

extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static int fail_in; /* 1: the next allocation fails, 2: the one after it; 0: none */

static inline bool must_fail(void)
{
	return fail_in > 0 && --fail_in == 0;
}

void *calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(p, size);
}
#endif

#endif
