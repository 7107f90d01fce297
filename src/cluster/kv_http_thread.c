/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread of a store over HTTP, and its two lanes (kv_http.h).
 *
 * A lane that fails goes to the next server at once until all have failed, then pauses, longer each
 * time. Whether the store is reached is said by the watch lane; by the keep lane if nothing is
 * watched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "cluster/kv_http.h"

#define NS_PER_MS    1000000u
#define CONNECT_MS   3000
#define PAUSE_MIN_MS 100u
#define PAUSE_MAX_MS 2000u
#define AGAIN_MS     100 /* between the beginnings of two watches */
#define REVOKE_MS    700
#define IDLE_MS      60000

void kv_http_wake(struct kv_http *h)
{
	eventfd_write(h->wake_fd, 1);
}

static bool is_closing(struct kv_http *h)
{
	LOCKED(&h->lock);
	return h->closing;
}

/* --------------------------------------------------------------------------------- a lane */

/* Not all hosts of a cluster at the same moment: between half of it and all. */
static uint64_t pause_ns(unsigned rounds)
{
	uint64_t ms = PAUSE_MIN_MS << (rounds < 5 ? rounds : 5);

	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	return (ms / 2 + clock_mono_ns() / 1000 % (ms / 2)) * NS_PER_MS;
}

static int lane_start(struct kv_http_lane *lane, struct kv_http_request *q, struct cnm_error *err)
{
	struct kv_http *h = lane->h;
	_free_ char *url = NULL;
	struct http_request req = {
		.method = q->method,
		.body = q->body,
		.len = q->body ? strlen(q->body) : 0,
		.header = q->header,
		.keep = q->keep,
		.max = KV_HTTP_ANSWER_MAX,
		.connect_ms = CONNECT_MS,
		.ms = q->ms,
	};

	lane->server = atomic_load(&h->current);
	lane->waits = q->waits;
	lane->got = lane->said = false;
	if (!q->path || kv_http_url(h, lane->server, q->path, &url) < 0)
		return cnm_error_errno(err, ENOMEM, "make a request");
	req.url = url;
	kv_at(h->kv, &h->kv->servers[lane->server]);
	return http_loop_start(h->loop, &req, q->stream ? lane->stream_events : lane->events, lane,
			       &lane->task, err);
}

/* The lane's own request failed, or was not understood. */
static void lane_failed(struct kv_http_lane *lane, const char *why)
{
	struct kv_http *h = lane->h;
	size_t n = h->kv->n_servers;
	bool decides = (lane == &h->watch) == (h->kv->watcher != NULL);
	char text[256];

	kv_http_failed(h, lane->server);
	lane->failures++;
	if (lane->failures < n)
		return;
	if (decides) {
		struct strbuf b = { .s = NULL };

		strbuf_addf(&b, "%s: %s", h->kv->servers[lane->server].name, why);
		str_copy(text, sizeof(text), b.s ? b.s : "out of memory");
		strbuf_free(&b);
		kv_reached(h->kv, false, text);
	}
	if (lane->failures % n == 0)
		lane->at = clock_mono_ns() + pause_ns(lane->failures / (unsigned)n - 1);
}

/* --------------------------------------------------------------------------- the watch lane */

static void watch_restart(struct kv_http *h)
{
	uint64_t soonest = h->watch_began + AGAIN_MS * NS_PER_MS;

	h->ops->watch_again(h->kv);
	if (h->watch.at < soonest)
		h->watch.at = soonest;
}

static void watch_done(void *arg, int r, struct http_answer *a, const struct cnm_error *err)
{
	struct kv_http_lane *lane = arg;
	struct kv_http *h = lane->h;
	struct cnm_error why = *err;

	lane->task = NULL;
	if (r == 0)
		r = h->ops->watch_answer(h->kv, a, &why);
	if (r < 0 && !(r == HTTP_NO_ANSWER && lane->waits))
		lane_failed(lane, why.text);
	if (r < 0)
		watch_restart(h);
	else if (r == 0)
		lane->failures = 0;
}

static int stream_data(void *arg, const char *bytes, size_t n)
{
	struct kv_http_lane *lane = arg;
	int r;

	lane->got = true;
	lane->err.text[0] = '\0';
	r = lane->h->ops->watch_data(lane->h->kv, bytes, n, &lane->err);
	if (r == 0)
		lane->failures = 0;
	lane->said = r != 0;
	return r;
}

/*
 * A stream ended. If its server said why, it is to blame; if there never was one, that is a failure
 * as any other; if the connection broke, the same server may be asked again.
 */
static void stream_done(void *arg, int r, struct http_answer *a, const struct cnm_error *err)
{
	struct kv_http_lane *lane = arg;
	struct kv_http *h = lane->h;
	struct cnm_error why = *err;

	lane->task = NULL;
	if (r == 0 && a->status != 200)
		r = kv_http_refused(a, &why);
	if (lane->said) {
		if (lane->err.text[0])
			lane_failed(lane, lane->err.text);
	} else if (!lane->got) {
		lane_failed(lane, r < 0 ? why.text : "it ends the watch");
	}
	watch_restart(h);
}

static void watch_go(struct kv_http *h)
{
	struct kv_http_request q = { .method = NULL };
	struct cnm_error err;
	int r;

	if (!h->kv->watcher || h->watch.task || clock_mono_ns() < h->watch.at)
		return;
	h->watch_began = clock_mono_ns();
	r = h->ops->watch_next(h->kv, &q);
	if (r == 0)
		r = lane_start(&h->watch, &q, &err);
	kv_http_request_free(&q);
	if (r < 0) {
		lane_failed(&h->watch, "out of memory");
		watch_restart(h);
	}
}

/* ---------------------------------------------------------------------------- the keep lane */

static void keep_done(void *arg, int r, struct http_answer *a, const struct cnm_error *err)
{
	struct kv_http_lane *lane = arg;
	struct kv_http *h = lane->h;
	struct cnm_error why = *err;
	bool silent = r < 0;

	lane->task = NULL;
	if (r == 0)
		r = kv_http_keep_answer(h, a, &why);
	if (r == KV_KEEP_LOST)
		lane->at = clock_mono_ns() + PAUSE_MIN_MS * NS_PER_MS;
	if (r >= 0) {
		lane->failures = 0;
		if (!h->kv->watcher)
			kv_reached(h->kv, true, "");
		return;
	}
	lane_failed(lane, why.text);
	if (silent && h->watch.task && h->watch.server == lane->server) {
		http_loop_stop(h->loop, take_ptr(h->watch.task));
		lane_failed(&h->watch, why.text);
		watch_restart(h);
	}
}

static void keep_go(struct kv_http *h)
{
	struct kv_http_request q = { .method = NULL };
	uint64_t now = clock_mono_ns(), at;
	struct cnm_error err;
	int r;

	if (h->keep.task || now < h->keep.at)
		return;
	if (!kv_http_keep_step(h, now, &at)) {
		h->keep.at = at;
		return;
	}
	r = kv_http_keep_request(h, &q);
	if (r == 0)
		r = lane_start(&h->keep, &q, &err);
	kv_http_request_free(&q);
	if (r < 0)
		lane_failed(&h->keep, "out of memory");
}

/* ------------------------------------------------------------------------------- the thread */

static unsigned ms_until(const struct kv_http_lane *lane, uint64_t now)
{
	if (lane->task || lane->at > now + (uint64_t)IDLE_MS * NS_PER_MS)
		return IDLE_MS;
	return lane->at > now ? (unsigned)((lane->at - now) / NS_PER_MS) + 1 : 0;
}

static unsigned idle_ms(const struct kv_http *h)
{
	uint64_t now = clock_mono_ns();
	unsigned keep = ms_until(&h->keep, now);
	unsigned watch = h->kv->watcher ? ms_until(&h->watch, now) : IDLE_MS;

	return keep < watch ? keep : watch;
}

/* Something is to be kept, or the store is to be closed. */
static void take_wake(struct kv_http *h)
{
	eventfd_t v;

	if (eventfd_read(h->wake_fd, &v) == 0 && !h->keep.failures)
		h->keep.at = 0;
}

/* The last thing: what was kept goes. */
static void revoke_lease(struct kv_http *h)
{
	uint64_t end = clock_mono_ns() + REVOKE_MS * NS_PER_MS;
	struct kv_http_request q = { .method = NULL };
	struct cnm_error err;

	http_loop_stop(h->loop, take_ptr(h->watch.task));
	http_loop_stop(h->loop, take_ptr(h->keep.task));
	if (!h->keeper.leased)
		return;
	h->keeper.step = KV_KEEP_REVOKE;
	if (kv_http_keep_request(h, &q) == 0) {
		q.ms = REVOKE_MS;
		lane_start(&h->keep, &q, &err);
	}
	kv_http_request_free(&q);
	while (h->keep.task && clock_mono_ns() < end)
		http_loop_run(h->loop, -1, (unsigned)((end - clock_mono_ns()) / NS_PER_MS) + 1);
}

void *kv_http_thread(void *arg)
{
	static const struct http_events watch = { .done = watch_done };
	static const struct http_events stream = { .data = stream_data, .done = stream_done };
	static const struct http_events keep = { .done = keep_done };
	struct kv_http *h = arg;

	h->watch = (struct kv_http_lane){ .h = h, .events = &watch, .stream_events = &stream };
	h->keep = (struct kv_http_lane){ .h = h, .events = &keep };
	while (!is_closing(h)) {
		watch_go(h);
		keep_go(h);
		http_loop_run(h->loop, h->wake_fd, idle_ms(h));
		take_wake(h);
	}
	revoke_lease(h);
	return NULL;
}
