/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store and its file: modes, versions, damage, and disks that are full or may not be written.
 * Needs no root; the tests that do better as root say why they are skipped.
 */
#include "store_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

static void test_modes(void **state)
{
	struct store *s;
	struct stat sb;
	size_t top = strlen(dir);

	strcat(dir, "/x/state");
	s = open_filled();
	assert_int_equal(stat(dir, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0700);
	assert_int_equal(stat(path_of("cnm.db"), &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	assert_int_equal(stat(path_of("cnm.db-wal"), &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	store_close(s);
	dir[top] = '\0';
}

static void test_newer_schema_is_left_alone(void **state)
{
	struct store *s = NULL;
	struct stat before, after;
	char words[256];

	store_close(open_filled());
	sql("PRAGMA journal_mode=DELETE; PRAGMA user_version=7");
	assert_int_equal(stat(path_of("cnm.db"), &before), 0);
	snprintf(words, sizeof(words), "%s has schema 7, this cnm knows up to ", path_of("cnm.db"));
	expect_error(store_open(&s, dir, &err), CNM_E_FORBIDDEN, words);
	assert_int_equal(stat(path_of("cnm.db"), &after), 0);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
}

static void test_interrupted_creation(void **state)
{
	int fd = open(path_of("cnm.db"), O_CREAT | O_WRONLY, 0600);
	struct store *s;

	close(fd); /* killed between making the file and the schema */
	s = open_filled();
	assert_int_equal(count(s, STORE_ENDPOINT), 1);
	store_close(s);
}

static void scribble(const char *file, long from, long to, unsigned seed)
{
	FILE *f = fopen(file, "r+");

	assert_non_null(f);
	srandom(seed);
	fseek(f, from, SEEK_SET);
	for (long i = from; i < to; i++)
		fputc((int)random() & 0xff, f);
	fclose(f);
}

static void test_not_a_database(void **state)
{
	struct store *s = NULL;

	store_close(open_filled());
	scribble(path_of("cnm.db"), 0, 4096, 1);
	expect_error(store_open(&s, dir, &err), CNM_E_INTERNAL, "cnm.db is damaged");
	assert_null(s);
	unlink(path_of("cnm.db"));
	s = open_store(); /* moved away and restarted, as the error says */
	store_close(s);
}

static void test_damage_is_found_at_open(void **state)
{
	struct store *s = open_filled();

	for (int i = 0; i < 400; i++)
		assert_int_equal(insert_named(s, i, STORE_NORMAL, &err), 0);
	store_close(s);
	scribble(path_of("cnm.db"), 4096, 12 * 4096L, 2);
	s = NULL;
	expect_error(store_open(&s, dir, &err), CNM_E_INTERNAL, "move it away and restart");
	assert_null(s);
}

/* Hostile bytes anywhere: an error or an intact answer, never a crash. */
static void test_random_damage(void **state)
{
	struct stat sb;

	for (unsigned seed = 0; seed < 40; seed++) {
		struct store *s = open_filled();

		for (int i = 0; i < 50; i++)
			insert_named(s, i, STORE_NORMAL, &err);
		store_close(s);
		assert_int_equal(stat(path_of("cnm.db"), &sb), 0);
		srandom(seed);
		for (int i = 0; i < 8; i++) {
			long at = random() % sb.st_size;

			scribble(path_of("cnm.db"), at, at + 4, seed * 8 + (unsigned)i);
		}
		s = NULL;
		if (store_open(&s, dir, &err) == 0) {
			free(store_dump(s));
			insert_named(s, 60, STORE_NORMAL, &err);
			store_close(s);
		}
		unlink(path_of("cnm.db"));
		unlink(path_of("cnm.db-wal"));
	}
}

/* States and columns no cnm writes are damage, not something to act upon. */
static void test_strange_row(void **state)
{
	struct store *s;
	int n = 0;

	store_close(open_filled());
	sql("UPDATE network SET state=77 WHERE id='nb'");
	s = open_store();
	expect_error(store_each(s, STORE_NETWORK, count_one, &n, &err), CNM_E_INTERNAL,
		     "cnm.db is damaged");
	assert_int_equal(n, 1);
	store_close(s);
}

/* The file is damaged under an open store; it is too large for the cache, so this is met. */
static void test_damage_met_later(void **state)
{
	struct store *s = open_filled();
	struct stat sb;
	char *fault, body[4000];
	struct store_row row = { .kind = STORE_NETWORK, .body = body };
	int r = 0;

	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	for (int i = 0; i < 300; i++) {
		char id[16];

		snprintf(id, sizeof(id), "id%d", i);
		row.id = id;
		assert_int_equal(insert(s, &row), 0);
	}
	store_close(s);
	s = open_store();
	assert_int_equal(insert_named(s, 0, STORE_NORMAL, &err), 0);
	assert_int_equal(stat(path_of("cnm.db"), &sb), 0);
	scribble(path_of("cnm.db"), 4096, sb.st_size, 3);
	for (int i = 0; i < 300 && r == 0; i++) {
		struct store_tx *tx = store_tx_new(s);
		char id[16];

		snprintf(id, sizeof(id), "id%d", i);
		store_tx_delete(tx, STORE_NETWORK, id);
		r = store_commit(s, tx, STORE_NORMAL, &err);
	}
	expect_error(r, CNM_E_INTERNAL, "is damaged");
	fault = store_fault(s);
	assert_non_null(strstr(fault, "move it away and restart"));
	free(fault);
	store_close(s);
}

static int open_read_only(void)
{
	struct store *s = NULL;

	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 2;
	if (store_open(&s, dir, &err) == 0)
		return 1;
	return strstr(err.text, dir) && strstr(err.text, "Permission denied") ? 0 : 3;
}

static void test_read_only_dir(void **state)
{
	assert_int_equal(chmod(dir, 0555), 0);
	assert_int_equal(in_child(open_read_only), 0);
	assert_int_equal(chmod(dir, 0700), 0);
}

/* A file that may not grow, as with a quota: the error, then success once it may. */
static int file_size_limit(void)
{
	struct store *s = open_filled();
	struct rlimit old, low;
	int r = 0, n;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	low = old;
	low.rlim_cur = 256 << 10;
	setrlimit(RLIMIT_FSIZE, &low);
	for (n = 0; n < 5000 && r == 0; n++)
		r = insert_named(s, n, STORE_NORMAL, &err);
	expect_error(r, CNM_E_INTERNAL, "File too large");
	assert_int_equal(count(s, STORE_NETWORK), 2 + n - 1);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(insert_named(s, n, STORE_NORMAL, &err), 0);
	assert_null(store_fault(s));
	store_close(s);
	return 0;
}

static void test_file_size_limit(void **state)
{
	assert_int_equal(in_child(file_size_limit), 0);
}

static void fill_disk(const char *path)
{
	static char block[4096];
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
}

/* In a mount namespace of its own: a disk of 1 MB that gets full and is freed. */
static int full_disk(void)
{
	struct store *s;
	int r = 0, n;
	char *fault;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0)
		return 77;
	s = open_filled();
	fill_disk(path_of("ballast"));
	for (n = 0; n < 5000 && r == 0; n++)
		r = insert_named(s, n, STORE_FULL, &err);
	expect_error(r, CNM_E_INTERNAL, "no space left on device: free some and try again");
	set_state_later(s, STORE_READY); /* nobody hears of its failure: it must be kept */
	store_flush(s);
	fault = store_fault(s);
	assert_non_null(strstr(fault, "cnm.db cannot be written"));
	free(fault);
	assert_int_equal(queue_length(s), 1);
	assert_int_equal(count(s, STORE_NETWORK), 2 + n - 1); /* reading goes on */

	unlink(path_of("ballast"));
	assert_int_equal(insert_named(s, n, STORE_FULL, &err), 0);
	assert_null(store_fault(s));
	assert_int_equal(state_now(s), STORE_READY);
	store_close(s);
	s = open_store();
	assert_int_equal(count(s, STORE_NETWORK), 2 + n);
	store_close(s);

	unlink(path_of("cnm.db")); /* full from the start */
	fill_disk(path_of("ballast"));
	s = NULL;
	expect_error(store_open(&s, dir, &err), CNM_E_INTERNAL, "no space left on device");
	return 0;
}

static void test_full_disk(void **state)
{
	int r;

	if (geteuid() != 0) {
		print_message("# skipped: a full disk needs root to mount one\n");
		skip();
	}
	r = in_child(full_disk);
	if (r == 77) {
		print_message("# skipped: cannot mount a tmpfs here\n");
		skip();
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_modes),
					    T(test_newer_schema_is_left_alone),
					    T(test_interrupted_creation),
					    T(test_not_a_database),
					    T(test_damage_is_found_at_open),
					    T(test_random_damage),
					    T(test_strange_row),
					    T(test_damage_met_later),
					    T(test_read_only_dir),
					    T(test_file_size_limit),
					    T(test_full_disk) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
