/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls that wait. Each uses a seat: a handle of libcurl's with connections of its own. Seats that
 * are free form a stack, so that the connections used last, which are the likeliest to be alive and
 * warm, are used next. A descriptor that becomes readable, once and for all, ends every wait.
 */
#include "http/http_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "http/http_exchange.h"

#define FREE_MAX 8    /* seats kept for later */
#define POLL_MS  1000 /* libcurl wakes up earlier where it has a reason */

struct seat {
	struct seat *next;
	CURLM *multi;
	struct http_exchange x;
};

struct http_client {
	const struct curl_lib *lib;
	const struct http_tls *tls;
	int cancel_fd;
	pthread_mutex_t lock; /* of the stack */
	struct seat *free;
	size_t n_free;
};

/* --------------------------------------------------------------------------------- seats */

static void seat_free(const struct curl_lib *lib, struct seat *s)
{
	http_exchange_free(&s->x);
	if (s->multi)
		lib->multi_cleanup(s->multi);
	free(s);
}

static struct seat *seat_new(struct http_client *c)
{
	struct seat *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->multi = c->lib->multi_init();
	if (http_exchange_init(&s->x, c->lib, c->tls) == 0 && s->multi)
		return s;
	seat_free(c->lib, s);
	return NULL;
}

static struct seat *seat_take(struct http_client *c)
{
	struct seat *s;

	{
		LOCKED(&c->lock);
		s = c->free;
		if (s) {
			c->free = s->next;
			c->n_free--;
		}
	}
	return s ? s : seat_new(c);
}

static void seat_give(struct http_client *c, struct seat *s)
{
	{
		LOCKED(&c->lock);
		if (c->n_free < FREE_MAX) {
			s->next = c->free;
			c->free = s;
			c->n_free++;
			return;
		}
	}
	seat_free(c->lib, s);
}

/* --------------------------------------------------------------------------------- calls */

/* true with what became of it; false: canceled. */
static bool wait_for_end(struct http_client *c, struct seat *s, CURLcode *ret)
{
	struct curl_waitfd cancel = { .fd = c->cancel_fd, .events = CURL_WAIT_POLLIN };
	int running = 1, left;

	for (;;) {
		CURLMsg *msg;

		if (c->lib->multi_perform(s->multi, &running) != CURLM_OK) {
			*ret = CURLE_OUT_OF_MEMORY;
			return true;
		}
		while ((msg = c->lib->multi_info_read(s->multi, &left))) {
			if (msg->msg == CURLMSG_DONE) {
				*ret = msg->data.result;
				return true;
			}
		}
		cancel.revents = 0;
		c->lib->multi_poll(s->multi, &cancel, 1, POLL_MS, NULL);
		if (cancel.revents)
			return false;
	}
}

static int canceled(struct cnm_error *err)
{
	cnm_error_set(err, CNM_E_UNAVAILABLE, "nobody waits for an answer any more");
	if (err)
		err->err = ECANCELED;
	return -ECANCELED;
}

static int use_seat(struct http_client *c, struct seat *s, const struct http_request *req,
		    struct http_answer *ret, struct cnm_error *err)
{
	CURLcode code;
	bool ended;

	if (http_exchange_prepare(&s->x, req) < 0 ||
	    c->lib->multi_add_handle(s->multi, s->x.easy) != CURLM_OK)
		return cnm_error_errno(err, ENOMEM, "make a request");
	ended = wait_for_end(c, s, &code);
	c->lib->multi_remove_handle(s->multi, s->x.easy);
	return ended ? http_exchange_result(&s->x, code, ret, err) : canceled(err);
}

int http_client_do(struct http_client *c, const struct http_request *req, struct http_answer *ret,
		   struct cnm_error *err)
{
	struct seat *s = seat_take(c);
	int r;

	if (!s)
		return cnm_error_errno(err, ENOMEM, "make a request");
	r = use_seat(c, s, req, ret, err);
	seat_give(c, s);
	return r;
}

/* -------------------------------------------------------------------------------- client */

int http_client_new(struct http_client **ret, const struct http_tls *tls, struct cnm_error *err)
{
	const struct curl_lib *lib = curl_lib(err);
	struct http_client *c;
	_close_ int fd = -1;

	if (!lib)
		return -EAGAIN;
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return cnm_error_errno(err, errno, "make an eventfd");
	c = calloc(1, sizeof(*c));
	if (!c)
		return cnm_error_errno(err, ENOMEM, "make an HTTP client");
	c->lib = lib;
	c->tls = tls;
	c->cancel_fd = take_fd(&fd);
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

void http_client_cancel(struct http_client *c)
{
	eventfd_write(c->cancel_fd, 1);
}

void http_client_free(struct http_client *c)
{
	struct seat *s;

	if (!c)
		return;
	while ((s = c->free)) {
		c->free = s->next;
		seat_free(c->lib, s);
	}
	close_fd(&c->cancel_fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void http_answer_free(struct http_answer *a)
{
	free(take_ptr(a->body));
}
