/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kv-suite: the kept key, and servers that do not answer. */
#include "kv_suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* ---- what is kept */

static void a_kept_key_is_there_and_changes(void **state)
{
	struct kv *kv = *state, *keeping;
	struct copy c;
	struct kv *watching;

	copy_init(&c);
	watching = opened(NULL, &c);
	keeping = opened(NULL, NULL);
	assert_int_equal(kv_keep(keeping, "hosts/h1", "one", 3), 0);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/h1", "one" }, PATIENCE));
	assert_value(kv, "hosts/h1", "one", 3);
	assert_listed(kv, "hosts", "hosts/h1");
	assert_int_equal(create(kv, "hosts/h1", "no"), KV_CONFLICT);
	for (int i = 0; i < 20; i++)
		assert_int_equal(kv_keep(keeping, "hosts/h1", &"abcdefghijklmnopqrst"[i], 1), 0);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/h1", "t" }, PATIENCE));
	assert_int_equal(kv_keep(keeping, "hosts/h1", NULL, 0), 0);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/h1", "" }, PATIENCE));
	kv_close(keeping);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/h1", NULL }, PATIENCE));
	kv_close(watching);
	assert_fine(&c);
	copy_free(&c);
}

static void a_kept_key_comes_back(void **state)
{
	struct kv *kv = *state, *keeping, *watching;
	struct copy c;

	create(kv, "hosts/h1", "left by somebody");
	copy_init(&c);
	watching = opened(NULL, &c);
	keeping = opened(NULL, NULL);
	assert_int_equal(kv_keep(keeping, "hosts/h1", "mine", 4), 0);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/h1", "mine" }, PATIENCE));
	for (int i = 0; i < 3; i++) {
		uint64_t version = version_of(kv, "hosts/h1");

		if (version && one(kv, KV_DELETE, "hosts/h1", NULL, 0, version) == 0)
			assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/h1", "mine" },
					      PATIENCE));
		while (version_of(kv, "hosts/h1") == 0)
			assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/h1", "mine" },
					      PATIENCE));
	}
	kv_close(keeping);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/h1", NULL }, PATIENCE));
	kv_close(watching);
	assert_fine(&c);
	copy_free(&c);
}

/* This program again, keeping a key; its input ends when *ret_input is closed. */
static pid_t spawn_holder(const char *key, const char *value, int *ret_input)
{
	char ttl[16];
	char *argv[16] = { "/proc/self/exe", "--ttl", ttl };
	int n = 3, fds[2];
	posix_spawn_file_actions_t actions;
	pid_t pid;

	snprintf(ttl, sizeof(ttl), "%u", options.ttl_s);
	if (options.cacertfile) {
		char *tls[] = { "--cacert", (char *)options.cacertfile,
				"--cert",   (char *)options.certfile,
				"--key",    (char *)options.keyfile };

		memcpy(argv + n, tls, sizeof(tls));
		n += 6;
	}
	argv[n++] = (char *)options.url;
	argv[n++] = "hold";
	argv[n++] = (char *)key;
	argv[n++] = (char *)value;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[0], 0);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[0]);
	*ret_input = fds[1];
	return pid;
}

static void a_kept_key_ends_with_its_process(void **state)
{
	struct kv *watching;
	struct copy c;
	int input, status;
	pid_t pid;

	copy_init(&c);
	watching = opened(NULL, &c);
	pid = spawn_holder("hosts/dies", "alive", &input);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/dies", "alive" }, PATIENCE));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(input);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/dies", NULL }, PATIENCE));
	assert_int_equal(version_of(*state, "hosts/dies"), 0);
	kv_close(watching);
	assert_fine(&c);
	copy_free(&c);
}

/* A host that was killed and is back at once: nothing of the old process ends the new one's key. */
static void a_kept_key_is_taken_over(void **state)
{
	struct kv *watching, *again;
	struct copy c;
	int input, status;
	pid_t pid;
	uint64_t until;

	copy_init(&c);
	watching = opened(NULL, &c);
	pid = spawn_holder("hosts/dies", "alive", &input);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/dies", "alive" }, PATIENCE));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(input);
	again = opened(NULL, NULL);
	assert_int_equal(kv_keep(again, "hosts/dies", "again", 5), 0);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/dies", "again" }, PATIENCE));
	/* The old lease ends within this time, and may not take the key with it for good. */
	until = clock_mono_ns() + (options.ttl_s + 3) * UINT64_C(1000000000);
	while (clock_mono_ns() < until)
		copy_wait(&c, has_key, &(struct expected){ "hosts/dies", NULL }, 1);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/dies", "again" }, PATIENCE));
	kv_close(again);
	assert_true(copy_wait(&c, has_key, &(struct expected){ "hosts/dies", NULL }, PATIENCE));
	kv_close(watching);
	assert_fine(&c);
	copy_free(&c);
}

/* ---- servers that say nothing, and none at all */

/* A port of 127.0.0.1 where connections are taken and nothing is ever said. */
static int silent(char *url, size_t size, unsigned *ret_port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*ret_port = ntohs(sa.sin_port);
	snprintf(url, size, "%.*s://127.0.0.1:%u/p", (int)strcspn(options.url, ":"), options.url,
		 *ret_port);
	return fd;
}

static void assert_unavailable(struct kv *kv, unsigned ms, unsigned port)
{
	struct kv_op op = { KV_CREATE, "k", "v", 1 };
	struct kv_entries e = { 0 };
	struct cnm_error err[3] = { 0 };
	char name[32];

	snprintf(name, sizeof(name), "127.0.0.1:%u", port);
	assert_true(kv_get(kv, "k", ms, &e, &err[0]) < 0);
	assert_true(kv_list(kv, "", ms, &e, &err[1]) < 0);
	assert_true(kv_txn(kv, &op, 1, ms, NULL, &err[2]) < 0);
	for (size_t i = 0; i < 3; i++) {
		if (err[i].class != CNM_E_UNAVAILABLE || !strstr(err[i].text, name))
			fail_msg("call %zu: class %s: %s", i, cnm_error_class_name(err[i].class),
				 err[i].text);
		print_message("# %s\n", err[i].text);
	}
	assert_int_equal(e.n, 0);
}

static void a_server_that_is_silent(void **state)
{
	char url[128];
	unsigned port;
	struct copy c;
	_close_ int fd = silent(url, sizeof(url), &port);
	struct kv *kv;
	struct kv_status status;

	assert_true(fd >= 0);
	copy_init(&c);
	kv = opened(url, &c);
	assert_unavailable(kv, 300, port);
	assert_true(copy_wait(&c, is_told, &(bool){ false }, PATIENCE));
	assert_true(c.why[0]);
	kv_status(kv, &status);
	assert_false(status.reached);
	assert_true(status.why[0]);
	assert_int_equal(kv_keep(kv, "hosts/h1", "v", 1), 0);
	kv_close(kv);
	assert_int_equal(c.alls, 0);
	assert_fine(&c);
	copy_free(&c);
}

static void no_server_at_all(void **state)
{
	char url[128];
	unsigned port;
	int fd = silent(url, sizeof(url), &port);
	struct copy c;
	struct kv *kv;

	close(fd);
	copy_init(&c);
	kv = opened(url, &c);
	assert_unavailable(kv, 300, port);
	assert_true(copy_wait(&c, is_told, &(bool){ false }, PATIENCE));
	assert_unavailable(kv, 1500, port);
	kv_close(kv);
	assert_fine(&c);
	copy_free(&c);
}

struct waiter {
	pthread_t thread;
	struct kv *kv;
	int call, result;
	_Atomic pid_t tid; /* set just before the call */
};

static void *wait_for_answer(void *arg)
{
	struct waiter *w = arg;
	struct kv_op op = { KV_CREATE, "k", "v", 1 };
	struct kv_entries e = { 0 };

	w->tid = (pid_t)syscall(SYS_gettid);
	if (w->call == 0)
		w->result = kv_get(w->kv, "k", 600000, &e, NULL);
	else if (w->call == 1)
		w->result = kv_list(w->kv, "", 600000, &e, NULL);
	else
		w->result = kv_txn(w->kv, &op, 1, 600000, NULL, NULL);
	return NULL;
}

/* It has gone to sleep, which it does only in the call. */
static bool sleeps(const struct waiter *w)
{
	char path[64], text[256] = "";
	const char *state;
	FILE *f;

	if (!w->tid)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)w->tid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	state = strrchr(text, ')');
	return state && state[2] == 'S';
}

static void closing_ends_what_waits(void **state)
{
	char url[128];
	unsigned port;
	_close_ int fd = silent(url, sizeof(url), &port);
	struct waiter w[6] = { 0 };
	struct kv *kv = opened(url, NULL);

	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_LEN(w); i++) {
		w[i].kv = kv;
		w[i].call = (int)i % 3;
		assert_int_equal(pthread_create(&w[i].thread, NULL, wait_for_answer, &w[i]), 0);
	}
	/* Asleep several times in a row: not for a lock that somebody has for a moment. */
	for (int calm = 0; calm < 20;) {
		bool all = true;

		for (size_t i = 0; i < ARRAY_LEN(w); i++)
			all = all && sleeps(&w[i]);
		calm = all ? calm + 1 : 0;
		poll(NULL, 0, 1);
	}
	kv_close(kv);
	for (size_t i = 0; i < ARRAY_LEN(w); i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].result, -ECANCELED);
	}
}

static void its_state_is_told(void **state)
{
	struct kv_status before, after;
	struct kv *kv = *state;

	kv_status(kv, &before);
	assert_true(before.requests > 0);
	assert_non_null(strchr(before.server, ':'));
	assert_non_null(strstr(options.url, before.server));
	create(kv, "k", "v");
	kv_status(kv, &after);
	assert_true(after.requests > before.requests);
}

int check_kept(void)
{
	const struct CMUnitTest tests[] = {
		CHECK(a_kept_key_is_there_and_changes),  CHECK(a_kept_key_comes_back),
		CHECK(a_kept_key_ends_with_its_process), CHECK(a_kept_key_is_taken_over),
		CHECK(a_server_that_is_silent),          CHECK(no_server_at_all),
		CHECK(closing_ends_what_waits),          CHECK(its_state_is_told),
	};

	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
