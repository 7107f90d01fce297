/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several exchanges at once by one thread: see http_client.h. */
#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "http/http_client.h"
#include "http/http_exchange.h"

struct http_task {
	struct list node;
	struct http_exchange x;
	const struct http_events *events;
	void *arg;
};

struct http_loop {
	const struct curl_lib *lib;
	const struct http_tls *tls;
	CURLM *multi;
	struct list tasks;
};

static void task_free(struct http_loop *l, struct http_task *t)
{
	list_del(&t->node);
	if (t->x.easy)
		l->lib->multi_remove_handle(l->multi, t->x.easy);
	http_exchange_free(&t->x);
	free(t);
}

static int task_new(struct http_loop *l, const struct http_request *req, struct http_task **ret)
{
	struct http_task *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	list_append(&l->tasks, &t->node);
	if (http_exchange_init(&t->x, l->lib, l->tls) < 0 ||
	    http_exchange_prepare(&t->x, req) < 0 ||
	    l->lib->easy_setopt(t->x.easy, CURLOPT_PRIVATE, t) != CURLE_OK ||
	    l->lib->multi_add_handle(l->multi, t->x.easy) != CURLM_OK) {
		task_free(l, t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

int http_loop_start(struct http_loop *l, const struct http_request *req,
		    const struct http_events *events, void *arg, struct http_task **ret,
		    struct cnm_error *err)
{
	int r = task_new(l, req, ret);

	if (r < 0)
		return cnm_error_errno(err, r, "make a request");
	(*ret)->events = events;
	(*ret)->arg = arg;
	(*ret)->x.data = events->data;
	(*ret)->x.arg = arg;
	return 0;
}

void http_loop_stop(struct http_loop *l, struct http_task *t)
{
	if (t)
		task_free(l, t);
}

/* The task is freed before its end is told: whoever hears of it may start another in its place. */
static void end_task(struct http_loop *l, struct http_task *t, CURLcode code)
{
	const struct http_events *events = t->events;
	struct http_answer a = { .body = NULL };
	struct cnm_error err = { .err = 0 };
	void *arg = t->arg;
	int r = http_exchange_result(&t->x, code, &a, &err);

	task_free(l, t);
	events->done(arg, r, r == 0 ? &a : NULL, &err);
	http_answer_free(&a);
}

static void end_those_done(struct http_loop *l)
{
	CURLMsg *msg;
	int left;

	while ((msg = l->lib->multi_info_read(l->multi, &left))) {
		CURLcode code = msg->data.result;
		char *t = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		l->lib->easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
		end_task(l, (struct http_task *)(void *)t, code);
	}
}

void http_loop_run(struct http_loop *l, int fd, unsigned ms)
{
	struct curl_waitfd wake = { .fd = fd, .events = CURL_WAIT_POLLIN };
	int running;

	l->lib->multi_poll(l->multi, &wake, fd >= 0, (int)ms, NULL);
	l->lib->multi_perform(l->multi, &running);
	end_those_done(l);
}

int http_loop_new(struct http_loop **ret, const struct http_tls *tls, struct cnm_error *err)
{
	const struct curl_lib *lib = curl_lib(err);
	struct http_loop *l;

	if (!lib)
		return -EAGAIN;
	l = calloc(1, sizeof(*l));
	if (!l)
		return cnm_error_errno(err, ENOMEM, "make an HTTP loop");
	list_init(&l->tasks);
	l->lib = lib;
	l->tls = tls;
	l->multi = lib->multi_init();
	if (!l->multi) {
		free(l);
		return cnm_error_errno(err, ENOMEM, "make an HTTP loop");
	}
	*ret = l;
	return 0;
}

void http_loop_free(struct http_loop *l)
{
	if (!l)
		return;
	while (!list_empty(&l->tasks))
		task_free(l, container_of(l->tasks.next, struct http_task, node));
	l->lib->multi_cleanup(l->multi);
	free(l);
}
