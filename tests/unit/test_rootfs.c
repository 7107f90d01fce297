/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overlay mounts and the removal of hostile trees: needs root. In a mount namespace of its own, on
 * a tmpfs at /run.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "containers/rootfs.h"

static struct cnm_error err;

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

static void make_dir(const char *path)
{
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void bind_mount(const char *from, const char *to)
{
	assert_int_equal(mount(from, to, "none", MS_BIND, NULL), 0);
}

/* A fresh file system for each test. */
static int setup(void **state)
{
	if (mount("none", "/run", "tmpfs", 0, "mode=755") < 0 || mkdir("/run/t", 0755) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	return umount2("/run", MNT_DETACH);
}

/* ---- overlays */

static void test_mount(void **state)
{
	make_dir("/run/t/lower");
	make_file("/run/t/lower/image");
	for (int i = 0; i < 2; i++) /* the second time it is there */
		assert_ok(rootfs_mount("/run/t/lower", "/run/t/c", "/run/t/root", &err));
	assert_true(exists("/run/t/root/image"));
	make_file("/run/t/root/own");
	assert_true(exists("/run/t/c/upper/own"));
	assert_false(exists("/run/t/lower/own"));
	assert_int_equal(unlink("/run/t/root/image"), 0);
	assert_true(exists("/run/t/lower/image"));

	assert_ok(rootfs_unmount("/run/t/root", &err));
	assert_false(exists("/run/t/root"));
	assert_ok(rootfs_unmount("/run/t/root", &err));

	assert_ok(rootfs_mount("/run/t/lower", "/run/t/c", "/run/t/root", &err));
	assert_true(exists("/run/t/root/own")); /* what it wrote stays */
	assert_false(exists("/run/t/root/image"));
	assert_ok(rootfs_unmount("/run/t/root", &err));
	assert_ok(
		tree_remove("/run/t/c", &err)); /* with overlayfs's own work directory, mode 000 */
	assert_false(exists("/run/t/c"));
}

static void test_special_characters(void **state)
{
	make_dir("/run/t/lo:w,er\\x=y");
	make_file("/run/t/lo:w,er\\x=y/image");
	make_dir("/run/t/blank here");
	assert_ok(rootfs_mount("/run/t/lo:w,er\\x=y", "/run/t/c:,\\o", "/run/t/blank here/ro:ot",
			       &err));
	assert_true(exists("/run/t/blank here/ro:ot/image"));
	make_file("/run/t/blank here/ro:ot/own");
	assert_true(exists("/run/t/c:,\\o/upper/own"));
	assert_ok(rootfs_unmount("/run/t/blank here/ro:ot", &err));
}

static void test_busy(void **state)
{
	_close_ int fd = -1;

	make_dir("/run/t/lower");
	make_file("/run/t/lower/image");
	assert_ok(rootfs_mount("/run/t/lower", "/run/t/c", "/run/t/root", &err));
	fd = open("/run/t/root/image", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_ok(rootfs_unmount("/run/t/root", &err));
	assert_false(exists("/run/t/root"));
}

static void test_mount_failures(void **state)
{
	char longest[3000];

	assert_int_equal(rootfs_mount("/run/t/absent", "/run/t/c", "/run/t/root", &err), -ENOENT);
	assert_non_null(strstr(err.text, "the image's tree /run/t/absent"));

	/* an overlay cannot be the upper layer of another */
	make_dir("/run/t/lower");
	assert_ok(rootfs_mount("/run/t/lower", "/run/t/c", "/run/t/root2", &err));
	assert_true(rootfs_mount("/run/t/lower", "/run/t/root2/c", "/run/t/root3", &err) < 0);
	assert_int_equal(err.class, CNM_E_UNAVAILABLE);
	assert_non_null(strstr(err.text, "--state-dir"));
	assert_ok(rootfs_unmount("/run/t/root2", &err));

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_int_equal(rootfs_mount("/run/t/lower", longest, "/run/t/root", &err), -ENAMETOOLONG);
}

static void test_unmount_below(void **state)
{
	make_dir("/run/t/lower");
	make_dir("/run/t/all");
	make_dir("/run/t/all-others");
	assert_ok(rootfs_mount("/run/t/lower", "/run/t/c1", "/run/t/all/a b", &err));
	assert_ok(rootfs_mount("/run/t/lower", "/run/t/c2", "/run/t/all/c", &err));
	make_dir("/run/t/all/c/inner");
	bind_mount("/run/t/lower", "/run/t/all/c/inner");
	bind_mount("/run/t/lower", "/run/t/all/c/inner");
	bind_mount("/run/t/c1", "/run/t/all-others");
	rootfs_unmount_below("/run/t/all");
	assert_false(exists("/run/t/all/c/inner"));
	assert_int_equal(rmdir("/run/t/all/a b"), 0);
	assert_int_equal(rmdir("/run/t/all/c"), 0);
	assert_true(exists("/run/t/all-others/upper")); /* a neighbour whose name begins the same */
	rootfs_unmount_below("/run/t/all");
	assert_ok(rootfs_unmount("/run/t/all-others", &err));
}

/* ---- trees */

static void test_remove(void **state)
{
	make_dir("/run/t/outside");
	make_file("/run/t/outside/file");
	make_dir("/run/t/tree");
	make_dir("/run/t/tree/sub");
	make_file("/run/t/tree/sub/file");
	assert_int_equal(symlink("/run/t/outside", "/run/t/tree/link"), 0);
	assert_int_equal(symlink("../../outside/file", "/run/t/tree/sub/link"), 0);
	assert_int_equal(mkfifo("/run/t/tree/fifo", 0600), 0);
	assert_int_equal(chmod("/run/t/tree/sub", 0), 0);
	assert_ok(tree_remove("/run/t/tree", &err));
	assert_false(exists("/run/t/tree"));
	assert_true(exists("/run/t/outside/file"));
	assert_ok(tree_remove("/run/t/tree", &err));
	assert_ok(tree_remove("/run/t/no/such/parent", &err));

	assert_int_equal(symlink("/run/t/outside", "/run/t/link"), 0);
	assert_ok(tree_remove("/run/t/link", &err)); /* the link itself */
	assert_false(exists("/run/t/link"));
	assert_true(exists("/run/t/outside/file"));
	assert_ok(tree_remove("/run/t/outside/file", &err)); /* a file */
	assert_int_equal(tree_remove("/run/t/outside/", &err), -EINVAL);
	assert_int_equal(tree_remove("/run/t/outside/..", &err), -EINVAL);
	assert_true(exists("/run/t/outside"));
}

/* Deeper than a path, a stack of descriptors and a stack of calls. */
static void test_remove_deep(void **state)
{
	_close_ int at = -1;

	make_dir("/run/t/tree");
	at = open("/run/t/tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 5000; i++) {
		int next;

		assert_int_equal(mkdirat(at, "directory", 0700), 0);
		next = openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(next >= 0);
		close(next);
		next = openat(at, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_ok(tree_remove("/run/t/tree", &err));
	assert_false(exists("/run/t/tree"));
}

static void test_remove_wide(void **state)
{
	char path[60];

	make_dir("/run/t/tree");
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "/run/t/tree/%d", i);
		if (i % 2)
			make_file(path);
		else
			make_dir(path);
	}
	assert_ok(tree_remove("/run/t/tree", &err));
	assert_false(exists("/run/t/tree"));
}

/* Mounts of the same file system too, which have the same device. The rest goes. */
static void test_remove_stops_at_mounts(void **state)
{
	make_dir("/run/t/precious");
	make_file("/run/t/precious/file");
	make_dir("/run/t/tree");
	make_dir("/run/t/tree/bound");
	make_dir("/run/t/tree/sub");
	make_file("/run/t/tree/sub/file");
	make_file("/run/t/tree/bound-file");
	bind_mount("/run/t/precious", "/run/t/tree/bound");
	assert_int_equal(tree_remove("/run/t/tree", &err), -EXDEV);
	assert_non_null(strstr(err.text, "something is mounted at bound"));
	assert_true(exists("/run/t/precious/file"));
	assert_int_equal(tree_remove("/run/t/tree/bound", &err), -EXDEV); /* nor is it the top */
	assert_true(exists("/run/t/precious/file"));
	assert_false(exists("/run/t/tree/sub"));
	assert_ok(rootfs_unmount("/run/t/tree/bound", &err));

	make_file("/run/t/tree/file");
	bind_mount("/run/t/precious/file", "/run/t/tree/file");
	assert_int_equal(tree_remove("/run/t/tree", &err), -EBUSY);
	assert_int_equal(umount("/run/t/tree/file"), 0);
	assert_ok(tree_remove("/run/t/tree", &err));
	assert_false(exists("/run/t/tree"));
	assert_true(exists("/run/t/precious/file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mount, setup, teardown),
		cmocka_unit_test_setup_teardown(test_special_characters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mount_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmount_below, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_deep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_wide, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_stops_at_mounts, setup, teardown),
	};

	if (geteuid() != 0) {
		print_message("1..0 # SKIP needs root\n");
		return 77;
	}
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) < 0)
		abort();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
