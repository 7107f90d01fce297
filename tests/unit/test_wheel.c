/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The timers of resolver/wheel.h, against a table of when each is due. */
#include "unit.h"

#include <string.h>

#include "resolver/wheel.h"

#define N 200

static struct wheel wheel;
static struct timer timers[N];
static uint64_t due_at[N]; /* 0: not set */
static uint64_t now;
static unsigned calls;

/* Sometimes it sets itself again, or stops or moves another. */
static void due(struct resolver *r, struct timer *t)
{
	size_t i = (size_t)(t - timers), other = rng(N);

	calls++;
	assert_int_not_equal(due_at[i], 0);
	assert_true(due_at[i] <= now);
	due_at[i] = 0;
	if (rng(3) == 0) {
		timer_stop(&wheel, &timers[other]);
		due_at[other] = 0;
	}
	if (rng(3) == 0) {
		other = rng(2) ? i : other;
		due_at[other] = now + 1 + rng(4000) * 1000000ull;
		timer_set(&wheel, &timers[other], due_at[other]);
	}
}

static int setup(void **state)
{
	wheel_init(&wheel);
	memset(timers, 0, sizeof(timers));
	memset(due_at, 0, sizeof(due_at));
	for (size_t i = 0; i < N; i++)
		timers[i].due = due;
	now = 1000 * 3600 * 1000000000ull;
	calls = 0;
	return 0;
}

/* None is missing that has been due for a tick; the wheel says when to come back in time. */
static void check(void)
{
	uint64_t first = UINT64_MAX;
	unsigned set = 0;

	for (size_t i = 0; i < N; i++) {
		if (!due_at[i])
			continue;
		set++;
		assert_true(due_at[i] + WHEEL_TICK > now);
		if (due_at[i] < first)
			first = due_at[i];
	}
	assert_int_equal(wheel.used, set);
	if (set)
		assert_true(wheel_next(&wheel) < first + WHEEL_TICK);
	else
		assert_true(wheel_next(&wheel) == UINT64_MAX);
}

static void test_random(void **state)
{
	for (unsigned round = 0; round < 20000; round++) {
		size_t i = rng(N);

		if (rng(4)) {
			due_at[i] = now + rng(4000) * 1000000ull;
			timer_set(&wheel, &timers[i], due_at[i]);
		} else {
			due_at[i] = 0;
			timer_stop(&wheel, &timers[i]);
		}
		/* mostly little by little; at times so long that the wheel has turned several times
		 */
		now += rng(50) ? rng(20000000) : rng(30) * 1000000000ull;
		wheel_turn(NULL, &wheel, now);
		check();
	}
	assert_true(calls > 1000);
}

/* A loop that does what wheel_next() says comes to each timer, and soon to nothing. */
static void test_followed(void **state)
{
	unsigned turns = 0;

	for (size_t i = 0; i < N; i++) {
		due_at[i] = now + i * 20000000;
		timer_set(&wheel, &timers[i], due_at[i]);
	}
	for (; wheel_next(&wheel) != UINT64_MAX && turns < 100000; turns++) {
		if (wheel_next(&wheel) > now)
			now = wheel_next(&wheel);
		wheel_turn(NULL, &wheel, now);
		check();
	}
	assert_true(calls >= N / 2);
	assert_true(turns < 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_random, setup),
		cmocka_unit_test_setup(test_followed, setup),
	};

	rng_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
