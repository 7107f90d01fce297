/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the stores that speak HTTP have in common: asking one server after another, and a thread
 * that watches and keeps.
 *
 * Calls run in their caller's thread and ask the current server first, which is the last one that
 * did not fail. A read goes on to the next server after any failure; a write only when it is sure
 * that nothing was carried out.
 *
 * The thread has two lanes: sequences of requests, one at a time, each answer deciding about the
 * next. The watch lane is the store's own business. The keep lane renews the lease, looks whether
 * the kept key is there, and so notices, too, that a server is silent: then the watch begins again
 * at another.
 */
#ifndef CLUSTER_KV_HTTP_H
#define CLUSTER_KV_HTTP_H

#include <stdatomic.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cluster/kv_internal.h"
#include "http/http_client.h"

#define KV_HTTP_ANSWER_MAX                                                    \
	(96 * 1024 * 1024) /* bytes; a list of 256 of the largest values fits \
			    */

/* A request, without its server. */
struct kv_http_request {
	const char *method;
	char *path;                /* owned, as is the body */
	char *body;                /* NULL: none */
	const char *header, *keep; /* as of struct http_request */
	unsigned ms;               /* of the lanes: for the whole; 0: endless */
	bool write;                /* of calls */
	bool stream;               /* of the watch lane: the answer goes to watch_data() */
	bool waits;                /* for news: if the connection breaks, that is no failure yet */
};
void kv_http_request_free(struct kv_http_request *q);

/* ---- calls */

struct kv_http;

/* A write that the server refused, and did not carry out: another one may. */
#define KV_HTTP_NOT_DONE HTTP_NOT_SENT

/*
 * Asks until parse() takes an answer: then what that returned, which is not negative.
 * KV_HTTP_NOT_DONE as above; other errors: the answer is none, and err says why. what: for the
 * error ("list x").
 */
int kv_http_ask(struct kv_http *h, const char *what, const struct kv_http_request *q,
		uint64_t until,
		int (*parse)(void *arg, const struct http_answer *a, struct cnm_error *err),
		void *arg, struct cnm_error *err);
/* The moment ms from now, as kv_http_ask() wants it. */
uint64_t kv_http_until(unsigned ms);
/* An answer that should have had another status: err says what its server says. */
int kv_http_refused(const struct http_answer *a, struct cnm_error *err);

/* ---- the thread */

enum kv_keep_step {
	KV_KEEP_GRANT,  /* get a lease */
	KV_KEEP_PUT,    /* write the key with the lease, whatever is there */
	KV_KEEP_RENEW,  /* the lease */
	KV_KEEP_CHECK,  /* is the key there with the lease? Without a key: does the store answer? */
	KV_KEEP_REVOKE, /* end the lease, and the key with it */
};

/* What keep_answer() finds, besides 0 and errors. */
#define KV_KEEP_LOST    1 /* the lease is gone */
#define KV_KEEP_MISSING 2 /* the key is not as it should be */

struct kv_kept {
	char *key; /* NULL: nothing is kept */
	void *value;
	size_t len;
};

struct kv_http_ops {
	/* The next request of the watch lane; fills a zeroed one. -ENOMEM. */
	int (*watch_next)(struct kv *kv, struct kv_http_request *ret);
	/* Bytes of a stream. Not 0: it cannot go on; with err set if the server is to blame. */
	int (*watch_data)(struct kv *kv, const char *bytes, size_t n, struct cnm_error *err);
	/* An answer to a request that is no stream. 1: it is a part, more must succeed. */
	int (*watch_answer)(struct kv *kv, const struct http_answer *a, struct cnm_error *err);
	/* The next request comes after a failure, or the end of a stream. */
	void (*watch_again)(struct kv *kv);
	/* A request of the keep lane. -ENOMEM. */
	int (*keep_next)(struct kv *kv, enum kv_keep_step step, const struct kv_kept *kept,
			 struct kv_http_request *ret);
	int (*keep_answer)(struct kv *kv, enum kv_keep_step step, const struct kv_kept *kept,
			   const struct http_answer *a, struct cnm_error *err);
};

/* The first member of what the stores have of their own. Zeroed. */
struct kv_http_lane {
	struct kv_http *h;
	const struct http_events *events, *stream_events;
	struct http_task *task; /* NULL: none under way */
	size_t server;          /* the one asked */
	unsigned failures;      /* since the last success */
	uint64_t at;            /* not before this moment */
	bool waits;             /* as of struct kv_http_request */
	bool got, said;         /* the stream had data; it was ended by watch_data(), with err */
	struct cnm_error err;
};

struct kv_http_keeper {
	struct kv_kept kept; /* under the lock, as is: */
	uint64_t wanted;     /* the number of its value; 0: none */
	/* The thread's: */
	enum kv_keep_step step;    /* under way */
	uint64_t putting, written; /* numbers of values */
	bool leased, check, gone;
	uint64_t renew_at;
};

struct kv_http {
	struct kv *kv;
	const struct kv_http_ops *ops;
	unsigned ttl_s;
	struct http_tls tls;
	struct http_client *client;
	atomic_size_t current; /* the server to ask first */

	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned calls; /* under way */
	bool closing;

	struct http_loop *loop;
	pthread_t thread;
	bool has_thread;
	int wake_fd;
	uint64_t watch_began;
	struct kv_http_lane watch, keep;
	struct kv_http_keeper keeper;
};

/* ttl_s: of leases. The thread starts; it may call the operations before this returns. */
int kv_http_open(struct kv_http *h, struct kv *kv, const struct kv_http_ops *ops, unsigned ttl_s,
		 struct cnm_error *err);
/* Also after kv_http_open() failed. No call is under way, none is answered, afterwards. */
void kv_http_close(struct kv_http *h);
int kv_http_keep(struct kv_http *h, const char *key, const void *value, size_t len);

/* By the watch lane, of what it saw: all there is, sorted, or what changed. */
void kv_http_saw_all(struct kv_http *h, const struct kv_entries *all);
void kv_http_saw_changes(struct kv_http *h, const struct kv_entries *changes);

/* ---- between the files of this part */

/* Servers and requests. */
int kv_http_url(const struct kv_http *h, size_t server, const char *path, char **ret);
void kv_http_failed(struct kv_http *h, size_t server);
/* The keep lane: what to do next (false: nothing before *ret_at), and what came of it. */
bool kv_http_keep_step(struct kv_http *h, uint64_t now, uint64_t *ret_at);
int kv_http_keep_request(struct kv_http *h, struct kv_http_request *ret);
int kv_http_keep_answer(struct kv_http *h, const struct http_answer *a, struct cnm_error *err);
unsigned kv_http_beat_ms(const struct kv_http *h);
void *kv_http_thread(void *h);
void kv_http_wake(struct kv_http *h);

#endif
