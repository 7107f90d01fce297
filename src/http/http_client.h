/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking HTTP servers, on libcurl.
 *
 * A client is for calls that wait: any number of threads, each with a connection of its own out of
 * a pool, so that nobody waits for another's answer. A loop is for one thread that has several
 * exchanges under way at once, endless ones among them, and learns of them by callbacks.
 *
 * HTTP/1.1 only, no redirects, no proxies. A connection lasts as long as its server keeps it. No
 * request is ever made twice.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "cnm/error.h"

/*
 * PEM files, each of which may be NULL; certfile and keyfile go together. They must last as long as
 * the client or loop.
 */
struct http_tls {
	const char *cacertfile, *certfile, *keyfile;
	bool insecure; /* whoever the server is */
};

#define HTTP_KEPT_MAX 64

struct http_request {
	const char *method, *url;
	const char *socket; /* path of the unix socket to connect to; NULL: the host of url */
	const void *body;   /* NULL: none, not even an empty one */
	size_t len;
	const char *header;  /* "Name: value" of the request, or NULL */
	const char *keep;    /* the name of a header of the answer that is wanted, or NULL */
	size_t max;          /* the body of the answer may have so many bytes */
	bool once;           /* by a connection of its own, which is not kept */
	unsigned connect_ms; /* until there is a connection */
	unsigned ms;         /* for the whole; 0: however long it takes */
};

struct http_answer {
	int status;
	char *body; /* terminated; never NULL in an answer */
	size_t len;
	char kept[HTTP_KEPT_MAX]; /* the value of the header wanted, or "" */
};
void http_answer_free(struct http_answer *a);

/*
 * What became of a request without an answer: HTTP_NOT_SENT: nothing of it left this host;
 * HTTP_NO_ANSWER: the server may have carried it out. -ECANCELED and -ENOMEM besides (then it may
 * have been carried out as well). A request that found a connection closed by its server at that
 * moment counts as sent.
 */
#define HTTP_NOT_SENT  (-ENOTCONN)
#define HTTP_NO_ANSWER (-EIO)

/* ---- waiting */

struct http_client;

int http_client_new(struct http_client **ret, const struct http_tls *tls, struct cnm_error *err);
/* All calls under way, and all to come, return -ECANCELED at once. Any thread. */
void http_client_cancel(struct http_client *c);
/* No call is under way. NULL is accepted. */
void http_client_free(struct http_client *c);

/* 0: there is an answer, whatever its status. Else one of the codes above; err says why. */
int http_client_do(struct http_client *c, const struct http_request *req, struct http_answer *ret,
		   struct cnm_error *err);

/* ---- several at once, by one thread */

struct http_loop;
struct http_task;

struct http_events {
	/*
	 * Bytes of the body of an answer with status 200, as they come; they are not collected. Not
	 * 0: no more is wanted, the task ends without an answer. NULL: the body is collected.
	 */
	int (*data)(void *arg, const char *bytes, size_t n);
	/*
	 * The end: r and a as http_client_do() has them; a is NULL unless r is 0, and its body may
	 * be taken out of it. The task is gone afterwards. May start and stop others.
	 */
	void (*done)(void *arg, int r, struct http_answer *a, const struct cnm_error *err);
};

int http_loop_new(struct http_loop **ret, const struct http_tls *tls, struct cnm_error *err);
/* Ends all tasks without calling them. NULL is accepted. */
void http_loop_free(struct http_loop *l);
/* What req has is copied; events stays the caller's. On failure nothing is called. */
int http_loop_start(struct http_loop *l, const struct http_request *req,
		    const struct http_events *events, void *arg, struct http_task **ret,
		    struct cnm_error *err);
/* Not by its own callbacks. done() is not called any more. NULL is accepted. */
void http_loop_stop(struct http_loop *l, struct http_task *t);
/* Waits until something happens, or fd (if not -1) is readable, at most ms; calls who it concerns.
 */
void http_loop_run(struct http_loop *l, int fd, unsigned ms);

#endif
