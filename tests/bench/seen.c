/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seen: what the store itself takes until another client's watch has what was written.
 *
 *   seen URL N [WATCHES]
 *       N transactions as those of a join, one after the other; for each a line "WRITE SEEN": how
 *       long it took, and how long after its answer the last of so many watches (1) had told of it
 *       (negative: before), in nanoseconds. Before the first there is the line "ready".
 *
 * Through cluster/kv.h; each watch is a client of its own, as that of a host is.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cluster/kv.h"

#define DEADLINE_MS 30000
#define PAUSE_US    2000 /* what a write leaves to be done behind it is not the next's */

/* What is known of an endpoint is about as much. */
static const char value[] =
	"{\"Name\":\"web\",\"Host\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
	"\"IPv4\":\"10.99.1.2\",\"IPv6\":\"\",\"mac\":\"02:42:0a:63:01:02\",\"names\":[\"web\",\"web.blue\"],"
	"\"sandbox\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"sandbox_name\":\"web\"}";
static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static char awaited[KV_KEY_MAX + 1];
static unsigned n_listed, n_seen; /* watches */
static uint64_t last_seen;

static void all(void *arg, const struct kv_entry *v, size_t n)
{
	pthread_mutex_lock(&lock);
	n_listed++;
	pthread_cond_signal(&news);
	pthread_mutex_unlock(&lock);
}

static void changed(void *arg, const struct kv_entry *v, size_t n)
{
	uint64_t now = clock_mono_ns();

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].key, awaited) != 0)
			continue;
		n_seen++;
		last_seen = now;
	}
	pthread_cond_signal(&news);
	pthread_mutex_unlock(&lock);
}

static void reached(void *arg, bool yes, const char *why)
{
}

static void __attribute__((noreturn)) die(const char *what, const struct cnm_error *err)
{
	fprintf(stderr, "seen: %s: %s\n", what, err->text);
	exit(1);
}

static struct kv *open_store(const char *url, const struct kv_watcher *watcher)
{
	struct kv_options o = { .url = url, .ttl_s = 10, .watcher = watcher };
	struct cnm_error err = { 0 };
	struct kv *kv;

	if (kv_open(&kv, &o, &err) < 0)
		die(url, &err);
	return kv;
}

static void wait_for(const unsigned *count, unsigned n)
{
	pthread_mutex_lock(&lock);
	while (*count < n)
		pthread_cond_wait(&news, &lock);
	pthread_mutex_unlock(&lock);
}

static void write_one(struct kv *kv, int number, unsigned watches)
{
	char address[KV_KEY_MAX + 1], name[KV_KEY_MAX + 1];
	struct kv_op ops[] = { { KV_CREATE, awaited, value, sizeof(value) - 1, 0 },
			       { KV_CREATE, address, id, sizeof(id) - 1, 0 },
			       { KV_CREATE, name, id, sizeof(id) - 1, 0 } };
	struct cnm_error err = { 0 };
	uint64_t begun, answered;

	pthread_mutex_lock(&lock);
	snprintf(awaited, sizeof(awaited), "seen/endpoints/%s/%d-%d", id, getpid(), number);
	snprintf(address, sizeof(address), "seen/addresses/%s/%d-%d", id, getpid(), number);
	snprintf(name, sizeof(name), "seen/names/%s/%d-%d", id, getpid(), number);
	n_seen = 0;
	pthread_mutex_unlock(&lock);
	begun = clock_mono_ns();
	if (kv_txn(kv, ops, sizeof(ops) / sizeof(ops[0]), DEADLINE_MS, NULL, &err) != 0)
		die("write", &err);
	answered = clock_mono_ns();
	wait_for(&n_seen, watches);
	printf("%" PRIu64 " %" PRId64 "\n", answered - begun, (int64_t)(last_seen - answered));
	usleep(PAUSE_US);
}

int main(int argc, char **argv)
{
	static const struct kv_watcher watcher = { all, changed, reached };
	unsigned watches = argc == 4 ? (unsigned)atoi(argv[3]) : 1;
	struct kv *writer;
	char go;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: seen URL N [WATCHES]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < watches; i++) {
		open_store(argv[1], &watcher);
		wait_for(&n_listed, i + 1); /* one after the other: they do not all ask at once */
	}
	writer = open_store(argv[1], NULL);
	printf("ready\n");
	if (read(0, &go, 1) == 1)
		for (int i = 0; i < atoi(argv[2]); i++)
			write_one(writer, i, watches);
	printf("done\n");
	if (read(0, &go, 1) < 0)
		return 1;
	_exit(0); /* a thousand clients need not take their leave */
}
