/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping descriptors in systemd's store. The notification socket is played here, as no test can
 * be a unit of the machine's own service manager.
 */
#include "fdkeep_fixture.h"

static int notify_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t n = strlen(path);

	memcpy(addr.sun_path, path, n);
	if (*path == '@')
		addr.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&addr,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
			 0);
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

/* The next message must be text with n descriptors, the first of which is that file. */
static void expect_notify(int sock, const char *want, int n, ino_t first)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control;
	char text[512];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(sock, &msg, MSG_DONTWAIT);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd;

	assert_true(len > 0);
	text[len] = '\0';
	assert_string_equal(text, want);
	assert_int_equal(c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0, n);
	for (int i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(c) + i * (int)sizeof(int), sizeof(int));
		if (i == 0)
			assert_int_equal(inode(fd), first);
		close(fd);
	}
}

static void test_systemd_put(void **state)
{
	struct fdkeep *k = NULL;
	char path[96];
	int fds[MANY], sock;

	snprintf(path, sizeof(path), "%s/notify", dir);
	sock = notify_socket(path);
	assert_int_equal(fdkeep_open(&k, dir, "systemd", &err), 0);
	for (int i = 0; i < MANY; i++)
		fds[i] = new_file();
	put(k, "dns:1.a-b_c", fds, MANY);
	expect_notify(sock, "FDSTOREREMOVE=1\nFDNAME=dns+1.a-b_c", 0, 0);
	expect_notify(sock, "FDSTORE=1\nFDPOLL=0\nFDNAME=dns+1.a-b_c", 250, inode(fds[0]));
	expect_notify(sock, "FDSTORE=1\nFDPOLL=0\nFDNAME=dns+1.a-b_c", 250, inode(fds[250]));
	expect_notify(sock, "FDSTORE=1\nFDPOLL=0\nFDNAME=dns+1.a-b_c", 100, inode(fds[500]));
	fdkeep_drop(k, "dns:1.a-b_c");
	expect_notify(sock, "FDSTOREREMOVE=1\nFDNAME=dns+1.a-b_c", 0, 0);
	assert_int_equal(fdkeep_pid(k), 0);
	fdkeep_end(k);
	fdkeep_close(k);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	close(sock);
	unsetenv("NOTIFY_SOCKET");
}

/* Runs as a service does: descriptors from 3 on, named in the environment. */
static void be_a_service(int sock, const int *files)
{
	struct fdkeep *k = NULL;
	char pid[16];
	int asked = 0, got[4], moved[4];

	for (int i = 0; i < 4; i++)
		moved[i] = fcntl(i < 3 ? files[i] : sock, F_DUPFD_CLOEXEC, 100);
	for (int i = 0; i < 3; i++)
		dup2(moved[i], 3 + i);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_FDNAMES", "dns+1:api0:dns+1", 1);
	assert_int_equal(fdkeep_open(&k, dir, "systemd", &err), 0);
	assert_int_equal(fdkeep_take(k, "dns:1", got, 4), 2);
	assert_int_equal(inode(got[0]), inode(moved[0]));
	assert_int_equal(inode(got[1]), inode(moved[2]));
	assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	fdkeep_sweep(k, is_even, &asked);
	assert_int_equal(asked, 2);
	expect_notify(moved[3], "FDSTOREREMOVE=1\nFDNAME=dns+1", 0, 0);
	assert_takes(k, "api0", inode(moved[1]));
	fdkeep_close(k);
	setenv("LISTEN_PID", "1", 1); /* meant for another process */
	assert_int_equal(fdkeep_open(&k, dir, "systemd", &err), 0);
	assert_nothing(k, "api0");
	fdkeep_close(k);
}

static void test_systemd_take(void **state)
{
	int files[3] = { new_file(), new_file(), new_file() }, sock;
	char path[96];
	pid_t pid;

	snprintf(path, sizeof(path), "@%s/notify", dir);
	sock = notify_socket(path);
	pid = fork_child();
	if (pid == 0) {
		be_a_service(sock, files);
		_exit(0);
	}
	assert_int_equal(wait_child(pid), 0);
	for (int i = 0; i < 3; i++)
		close(files[i]);
	close(sock);
	unsetenv("NOTIFY_SOCKET");
}

static void test_systemd_absent(void **state)
{
	struct fdkeep *k = NULL;

	unsetenv("NOTIFY_SOCKET");
	expect_error(fdkeep_open(&k, dir, "systemd", &err), CNM_E_INVALID,
		     "NOTIFY_SOCKET is not set");
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	expect_error(fdkeep_open(&k, dir, "systemd", &err), CNM_E_INVALID, "not usable: vsock:2:1");
	unsetenv("NOTIFY_SOCKET");
	assert_null(k);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_systemd_put), T(test_systemd_take),
					    T(test_systemd_absent) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
