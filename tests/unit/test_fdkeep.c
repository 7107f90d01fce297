/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping descriptors with the real cnm-keeper: CNM_KEEPER, or where the build puts it. Needs no
 * root; the test that does says why it is skipped.
 */
#include "fdkeep_fixture.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <time.h>

static char program[PATH_MAX];

static int find_program(void **state)
{
	const char *given = getenv("CNM_KEEPER");
	char self[PATH_MAX - 64] = "";

	if (given) {
		snprintf(program, sizeof(program), "%s", given);
	} else if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
		*strrchr(self, '/') = '\0';
		snprintf(program, sizeof(program), "%s/../../src/keeper/cnm-keeper", self);
	}
	if (access(program, X_OK) == 0)
		return 0;
	print_error("no keeper at \"%s\": name it in CNM_KEEPER\n", program);
	return -1;
}

static int connect_raw(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/keeper.sock", dir);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Ends the keeper, if the test has left one, and removes the directory. */
static int end_keeper(void **state)
{
	int fd = connect_raw();
	char byte;

	if (fd >= 0) {
		if (send(fd, "END", 3, MSG_NOSIGNAL) == 3)
			while (recv(fd, &byte, 1, 0) > 0)
				;
		close(fd);
	}
	return remove_dir(state);
}

static struct fdkeep *open_keep(void)
{
	struct fdkeep *k = NULL;

	if (fdkeep_open(&k, dir, program, &err) < 0)
		fail_msg("fdkeep_open: %s", err.text);
	return k;
}

static int count_fds(pid_t pid)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* The keeper dies without warning, and is wholly gone when this returns. */
static void kill_keeper(pid_t pid)
{
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };

	assert_true(p.fd >= 0);
	kill(pid, SIGKILL);
	assert_int_equal(poll(&p, 1, 10000), 1);
	close(p.fd);
}

static void test_dummy(void **state)
{
	struct fdkeep *k = NULL;
	int fd = 0;

	assert_int_equal(fdkeep_open(&k, dir, NULL, &err), 0);
	put(k, "x", &fd, 1);
	assert_nothing(k, "x");
	fdkeep_drop(k, "x");
	assert_int_equal(fdkeep_pid(k), 0);
	fdkeep_end(k);
	fdkeep_close(k);
	fdkeep_close(NULL);
}

static void test_survives_kill(void **state)
{
	int one = new_file(), many[MANY], got[MANY + 1], started[2];
	ino_t inodes[MANY], last;
	struct fdkeep *k;
	char byte;
	pid_t pid;

	for (int i = 0; i < MANY; i++) {
		many[i] = new_file();
		inodes[i] = inode(many[i]);
	}
	assert_int_equal(pipe(started), 0);
	pid = fork_child();
	if (pid == 0) {
		k = open_keep();
		put(k, "api", &one, 1);
		put(k, "ports:1", many, MANY);
		put(k, "api", &many[7], 1); /* replaces */
		put(k, "dropped", &one, 1);
		fdkeep_drop(k, "dropped");
		if (write(started[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(started[0], &byte, 1), 1);
	kill(pid, SIGKILL); /* at once: what was put may still be in the socket */
	wait_child(pid);
	for (int i = 0; i < MANY; i++)
		close(many[i]);

	k = open_keep();
	last = inodes[7];
	assert_takes(k, "api", last);
	assert_nothing(k, "api");
	assert_nothing(k, "dropped");
	assert_nothing(k, "never put");
	assert_int_equal(fdkeep_take(k, "ports:1", got, 100), 100);
	assert_int_equal(fdkeep_take(k, "ports:1", got + 100, MANY + 1 - 100), MANY - 100);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(inode(got[i]), inodes[i]); /* in order */
		close(got[i]);
	}
	fdkeep_close(k);
	close(one), close(started[0]), close(started[1]);
}

static void test_sweep(void **state)
{
	struct fdkeep *k = open_keep();
	int fd = new_file(), asked = 0;
	char name[16];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		put(k, name, &fd, 1);
	}
	fdkeep_sweep(k, is_even, &asked); /* of the names kept at the open: none */
	assert_int_equal(asked, 0);
	fdkeep_close(k);

	k = open_keep();
	assert_takes(k, "n3", inode(fd)); /* taken ones are asked about too */
	fdkeep_sweep(k, is_even, &asked);
	assert_int_equal(asked, 10);
	assert_takes(k, "n4", inode(fd));
	assert_nothing(k, "n5");
	fdkeep_close(k);

	k = open_keep();
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		if (i % 2 == 0)
			assert_takes(k, name, inode(fd));
		else
			assert_nothing(k, name);
	}
	fdkeep_close(k);
	close(fd);
}

static void test_names(void **state)
{
	struct fdkeep *k = open_keep();
	char longest[202] = "";
	int fd = new_file();

	expect_error(fdkeep_put(k, "", &fd, 1, &err), CNM_E_INVALID, "keep descriptors as \"\"");
	expect_error(fdkeep_put(k, "a b", &fd, 1, &err), CNM_E_INVALID, "\"a b\": not a name");
	memset(longest, 'x', 201);
	expect_error(fdkeep_put(k, longest, &fd, 1, &err), CNM_E_INVALID, "1 to 200");
	longest[200] = '\0';
	put(k, longest, &fd, 1);
	put(k, "aZ09._:-", &fd, 1);
	put(k, "gone", &fd, 1);
	put(k, "gone", NULL, 0);
	fdkeep_close(k);
	k = open_keep();
	assert_takes(k, longest, inode(fd));
	assert_takes(k, "aZ09._:-", inode(fd));
	assert_nothing(k, "gone");
	fdkeep_close(k);
	close(fd);
}

static void test_restart_after_death(void **state)
{
	struct fdkeep *k = open_keep();
	int fd = new_file(), pid = fdkeep_pid(k);

	put(k, "a", &fd, 1);
	assert_true(pid > 0);
	kill_keeper(pid);
	assert_int_equal(fdkeep_pid(k), 0);
	fdkeep_drop(k, "b"); /* nobody to tell */
	assert_int_equal(fdkeep_put(k, "b", &fd, 1, &err), -EPIPE);
	assert_non_null(strstr(err.text, "put again"));
	assert_true(fdkeep_pid(k) > 0 && fdkeep_pid(k) != pid);
	put(k, "a", &fd, 1);
	fdkeep_close(k);

	k = open_keep();
	assert_takes(k, "a", inode(fd));
	assert_nothing(k, "b");
	fdkeep_end(k);
	assert_int_equal(fdkeep_pid(k), 0);
	put(k, "a", &fd, 1); /* no new keeper after the end */
	fdkeep_close(k);
	assert_int_equal(connect_raw(), -1);
	close(fd);
}

/* A dying keeper's socket closes before its lock: the next one waits for that. */
static void test_restart_at_once(void **state)
{
	int fd = new_file(), r = 0;
	struct fdkeep *k;

	for (int round = 0; round < 20; round++) {
		k = open_keep();
		kill(fdkeep_pid(k), SIGKILL);
		while ((r = fdkeep_put(k, "a", &fd, 1, &err)) == 0 || r == -EAGAIN)
			;
		assert_int_equal(r, -EPIPE);
		put(k, "a", &fd, 1);
		fdkeep_close(k);
	}
	k = open_keep();
	assert_takes(k, "a", inode(fd));
	fdkeep_close(k);
	close(fd);
}

static void test_no_program(void **state)
{
	struct fdkeep *k = NULL;
	char words[128];

	expect_error(fdkeep_open(&k, dir, "/nonexistent/keeper", &err), CNM_E_INTERNAL,
		     "start keeper /nonexistent/keeper: No such file or directory");
	snprintf(words, sizeof(words), "keeper /bin/false could not start in %s", dir);
	expect_error(fdkeep_open(&k, dir, "/bin/false", &err), CNM_E_INTERNAL, words);
	assert_null(k);
}

static int run_keeper(void)
{
	pid_t pid = fork_child();

	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execl(program, program, dir, NULL);
		_exit(126);
	}
	return wait_child(pid);
}

static void test_one_keeper(void **state)
{
	struct fdkeep *k = open_keep();
	int pid = fdkeep_pid(k);

	assert_int_equal(run_keeper(), 1);
	assert_int_equal(fdkeep_pid(k), pid);
	kill_keeper(pid);
	fdkeep_close(k);
	assert_int_equal(run_keeper(), 0); /* in the place of the dead one's socket */
	k = open_keep();
	assert_true(fdkeep_pid(k) > 0);
	fdkeep_close(k);
}

static void test_detached(void **state)
{
	struct fdkeep *k = open_keep();
	int pid = fdkeep_pid(k);
	char path[96], target[PATH_MAX] = "";
	struct stat sb;

	assert_int_equal(getsid(pid), pid);
	for (int fd = 0; fd < 3; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		assert_int_equal(readlink(path, target, sizeof(target) - 1), strlen("/dev/null"));
		assert_memory_equal(target, "/dev/null", strlen("/dev/null"));
	}
	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	assert_int_equal(readlink(path, target, sizeof(target) - 1), 1);
	snprintf(path, sizeof(path), "%s/keeper.sock", dir);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	fdkeep_close(k);
}

static void send_fds(int sock, const char *text, size_t len, int fd, int n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control;
	struct iovec iov = { (void *)text, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
		for (int i = 0; i < n; i++)
			memcpy(CMSG_DATA(&control.align) + i * (int)sizeof(int), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &msg, MSG_NOSIGNAL), len);
}

/* After its answer to LIST the keeper has read all that was sent before. */
static void sync_with(int sock)
{
	char text[256];
	ssize_t n;

	assert_int_equal(send(sock, "LIST", 4, MSG_NOSIGNAL), 4);
	while ((n = recv(sock, text, sizeof(text), 0)) != 3 || memcmp(text, "END", 3) != 0)
		assert_true(n > 3);
}

static void test_bad_messages(void **state)
{
	static const char *const bad[] = { "PUT",      "PUT ",     "PUT a b", "put a",  "DROP",
					   "DROP a/b", "LIST ",    "ENDE",    "ADD \n", "PUT a\n",
					   "x",        "\xff\xfe", "PUT  a" };
	struct fdkeep *k = open_keep();
	int fd = new_file(), raw = connect_raw(), before;
	char text[512];

	put(k, "a", &fd, 1);
	sync_with(raw);
	before = count_fds(fdkeep_pid(k));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		send_fds(raw, bad[i], strlen(bad[i]), fd, 0);
		send_fds(raw, bad[i], strlen(bad[i]), fd, 3);
	}
	send_fds(raw, "PUT a", 5, fd, 0); /* nothing to put */
	send_fds(raw, "PUT b\0c", 7, fd, 1);
	send_fds(raw, "LIST\0", 5, fd, 1);
	send_fds(raw, "PUT b", 5, fd, 253); /* more than the 250 of a message */
	memset(text, 'x', sizeof(text));
	memcpy(text, "PUT ", 4);
	send_fds(raw, text, 4 + 201, fd, 1);
	send_fds(raw, text, sizeof(text), fd, 1);
	sync_with(raw);
	assert_int_equal(count_fds(fdkeep_pid(k)), before);
	fdkeep_close(k);
	k = open_keep();
	assert_takes(k, "a", inode(fd));
	assert_nothing(k, "b");
	fdkeep_close(k);
	close(raw);
	close(fd);
}

/* A keeper that does not read is not waited for, and what was refused can be put later. */
static void test_stuck_keeper(void **state)
{
	struct fdkeep *k = open_keep();
	int fd = new_file(), pid = fdkeep_pid(k), raw, r = 0, n = 0;
	char name[16];

	kill(pid, SIGSTOP);
	for (; n < 100000 && r == 0; n++) {
		snprintf(name, sizeof(name), "n%d", n);
		r = fdkeep_put(k, name, &fd, 1, &err);
	}
	expect_error(r, CNM_E_UNAVAILABLE, "does not read its messages");
	kill(pid, SIGCONT);
	raw = connect_raw();
	while (fdkeep_put(k, name, &fd, 1, &err) < 0)
		assert_int_equal(err.class, CNM_E_UNAVAILABLE);
	fdkeep_close(k);
	raise_file_limit();
	k = open_keep();
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_takes(k, name, inode(fd));
	}
	fdkeep_close(k);
	close(raw);
	close(fd);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void test_two_thousand_names(void **state)
{
	struct fdkeep *k = open_keep();
	int fd = new_file();
	char name[80];
	double start, middle;

	raise_file_limit();
	start = now_ms();
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "dns:%064d", i);
		put(k, name, &fd, 1);
	}
	fdkeep_close(k);
	middle = now_ms();
	k = open_keep();
	print_message("# 2000 names: put in %.1f ms, handed back in %.1f ms\n", middle - start,
		      now_ms() - middle);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "dns:%064d", i);
		assert_takes(k, name, inode(fd));
	}
	fdkeep_close(k);
	close(fd);
}

static void test_low_limit(void **state)
{
	struct fdkeep *k = open_keep();
	int fds[100];
	pid_t pid;

	for (int i = 0; i < 100; i++)
		fds[i] = new_file();
	put(k, "many", fds, 100);
	fdkeep_close(k);
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	pid = fork_child();
	if (pid == 0) {
		struct rlimit low = { 64, 64 };

		setrlimit(RLIMIT_NOFILE, &low);
		expect_error(fdkeep_open(&k, dir, program, &err), CNM_E_UNAVAILABLE,
			     "raise its limit of open files");
		_exit(0);
	}
	assert_int_equal(wait_child(pid), 0);
}

struct worker {
	pthread_t thread;
	struct fdkeep *k;
	int index, fd;
};

/* Puts, and puts everything again when the keeper had died. */
static void *put_many(void *arg)
{
	struct worker *w = arg;
	struct cnm_error e;
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "t%d.%d", w->index, i);
		if (fdkeep_put(w->k, name, &w->fd, 1, &e) == -EPIPE)
			i = -1;
		else if (i % 10 == 9)
			fdkeep_drop(w->k, "unknown");
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct fdkeep *k = open_keep();
	struct worker w[4];
	char name[16];
	int fd = new_file();

	kill_keeper(fdkeep_pid(k));
	for (int i = 0; i < 4; i++) {
		w[i] = (struct worker){ .k = k, .index = i, .fd = fd };
		assert_int_equal(pthread_create(&w[i].thread, NULL, put_many, &w[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(w[i].thread, NULL);
	fdkeep_close(k);
	k = open_keep();
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "t%d.%d", i / 100, i % 100);
		assert_takes(k, name, inode(fd));
	}
	fdkeep_close(k);
	close(fd);
}

static void test_other_uid_is_hung_up_on(void **state)
{
	struct fdkeep *k;
	char path[96], byte;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("# skipped: another uid needs root\n");
		skip();
	}
	k = open_keep();
	snprintf(path, sizeof(path), "%s/keeper.sock", dir);
	assert_int_equal(chmod(dir, 0755) | chmod(path, 0666), 0);
	pid = fork_child();
	if (pid == 0) {
		int raw;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		raw = connect_raw();
		if (raw < 0)
			_exit(3);
		_exit(recv(raw, &byte, 1, 0) <= 0 ? 0 : 4);
	}
	assert_int_equal(wait_child(pid), 0);
	fdkeep_close(k);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, end_keeper)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_dummy),
					    T(test_survives_kill),
					    T(test_sweep),
					    T(test_names),
					    T(test_restart_after_death),
					    T(test_restart_at_once),
					    T(test_no_program),
					    T(test_one_keeper),
					    T(test_detached),
					    T(test_bad_messages),
					    T(test_stuck_keeper),
					    T(test_two_thousand_names),
					    T(test_low_limit),
					    T(test_threads),
					    T(test_other_uid_is_hung_up_on) };

	return cmocka_run_group_tests(tests, find_program, NULL);
}
