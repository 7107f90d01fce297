/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Named volumes, in a directory of the test's own. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/rootfs.h"
#include "containers/volumes.h"

static char top[64], dir[80];
static struct cnm_error err;

static int setup(void **state)
{
	strcpy(top, "/tmp/cnm-volumes-XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/volumes", top);
	memset(&err, 0, sizeof(err));
	return 0;
}

static int teardown(void **state)
{
	return tree_remove(top, &err);
}

static bool make(const char *name)
{
	_free_ char *path = NULL;
	char want[160];
	bool new = false;
	struct stat st;

	if (volume_make(dir, name, &path, &new, &err) < 0)
		fail_msg("%s", err.text);
	snprintf(want, sizeof(want), "%s/%s/_data", dir, name);
	assert_string_equal(path, want);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	return new;
}

static void test_make(void **state)
{
	char half[128];

	assert_true(make("data"));
	assert_false(make("data"));
	snprintf(half, sizeof(half), "%s/half", dir);
	assert_int_equal(mkdir(half, 0711), 0); /* ended between the two directories */
	assert_true(make("half"));
}

static void test_names(void **state)
{
	const char *const bad[] = { "", ".", "..", ".a", "-a", "a/b", "a b", "../x", "\xc3\xa4" };
	char long_name[300];

	memset(long_name, 'a', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = 0;
	for (size_t i = 0; i <= ARRAY_LEN(bad); i++) {
		const char *name = i < ARRAY_LEN(bad) ? bad[i] : long_name;
		char *path = NULL;

		assert_true(volume_make(dir, name, &path, NULL, &err) < 0);
		assert_int_equal(err.class, CNM_E_INVALID);
		assert_non_null(
			strstr(err.text, "includes invalid characters for a local volume name"));
		assert_true(volume_remove(dir, name, &err) < 0);
		assert_int_equal(err.class, CNM_E_NOT_FOUND);
	}
	assert_true(make("A0_.-"));
}

static void test_inspect(void **state)
{
	_json_ json_t *v = NULL;
	const char *made;

	make("data");
	assert_int_equal(volume_inspect(dir, "data", &v, &err), 0);
	assert_string_equal(json_string_value(json_object_get(v, "Name")), "data");
	assert_string_equal(json_string_value(json_object_get(v, "Driver")), "local");
	assert_string_equal(json_string_value(json_object_get(v, "Scope")), "local");
	assert_true(json_is_object(json_object_get(v, "Labels")));
	assert_true(json_is_object(json_object_get(v, "Options")));
	made = json_string_value(json_object_get(v, "CreatedAt"));
	assert_int_equal(strlen(made), strlen("2026-11-22T16:00:00Z"));
	assert_true(volume_inspect(dir, "other", &v, &err) < 0);
	assert_int_equal(err.class, CNM_E_NOT_FOUND);
	assert_string_equal(err.text, "get other: no such volume");
}

static void test_list(void **state)
{
	_json_ json_t *none = NULL, *all = NULL;
	char stray[128];
	FILE *f;

	assert_int_equal(volume_list(dir, &none, &err), 0);
	assert_int_equal(json_array_size(none), 0);
	make("b");
	make("a");
	snprintf(stray, sizeof(stray), "%s/file", dir);
	f = fopen(stray, "we");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(volume_list(dir, &all, &err), 0);
	assert_int_equal(json_array_size(all), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "Name")),
			    "a");
}

static void test_remove(void **state)
{
	char inside[160], outside[128];
	struct stat st;

	make("data");
	snprintf(outside, sizeof(outside), "%s/outside", top);
	assert_int_equal(mkdir(outside, 0700), 0);
	snprintf(inside, sizeof(inside), "%s/data/_data/link", dir);
	assert_int_equal(symlink(outside, inside), 0);
	assert_int_equal(volume_remove(dir, "data", &err), 0);
	assert_int_equal(stat(outside, &st), 0);
	assert_true(volume_remove(dir, "data", &err) < 0);
	assert_string_equal(err.text, "get data: no such volume");
	assert_true(make("data"));
}

static void *make_many(void *arg)
{
	size_t *made = arg;

	for (unsigned i = 0; i < 100; i++) {
		_free_ char *path = NULL;
		bool new = false;
		char name[16];

		snprintf(name, sizeof(name), "v%u", i);
		if (volume_make(dir, name, &path, &new, NULL) < 0)
			*made += 1000;
		*made += new;
	}
	return NULL;
}

/* Of several that make one volume at once, one is told that it is new. */
static void test_at_once(void **state)
{
	pthread_t threads[4];
	size_t made[4] = { 0 }, sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_many, &made[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], NULL);
		sum += made[i];
	}
	assert_int_equal(sum, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_make, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
	};

	return cmocka_run_group_tests_name("volumes", tests, NULL, NULL);
}
