/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's thread: its loop, the messages of the engine, and the answers by UDP. */
#include "resolver/server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "resolver/answer.h"

#define EVENTS_MAX 64

/* ------------------------------------------------------------------------------- sources */

int source_open(struct resolver *r, struct source *s, int fd, uint32_t events,
		void (*ready)(struct resolver *r, struct source *s, uint32_t events))
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	int err;

	s->ready = ready;
	s->fd = fd;
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
		return 0;
	err = errno;
	close_fd(&s->fd);
	return -err;
}

void source_wait_for(struct resolver *r, struct source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	epoll_ctl(r->epoll, EPOLL_CTL_MOD, s->fd, &ev);
}

/* Others may have the same socket open: closing alone would leave it in the set. */
void source_close(struct resolver *r, struct source *s)
{
	if (s->fd < 0)
		return;
	epoll_ctl(r->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	close_fd(&s->fd);
}

void source_bury(struct resolver *r, struct source *s)
{
	s->next_buried = r->buried;
	r->buried = s;
}

static void free_buried(struct resolver *r)
{
	while (r->buried) {
		struct source *s = r->buried;

		r->buried = s->next_buried;
		free(s);
	}
}

/* ------------------------------------------------------------------------------- answers by UDP */

static void batch_prepare(struct batch *b)
{
	for (size_t i = 0; i < BATCH; i++) {
		b->in_iov[i] = (struct iovec){ b->query[i], sizeof(b->query[i]) };
		b->in[i].msg_hdr = (struct msghdr){ .msg_name = &b->peer[i],
						    .msg_namelen = sizeof(b->peer[i]),
						    .msg_iov = &b->in_iov[i],
						    .msg_iovlen = 1 };
	}
}

/* The i-th query. Its reply, if there is one at once, becomes the n-th; returns the new n. */
static unsigned batch_answer(struct resolver *r, struct sandbox *sb, unsigned i, unsigned n)
{
	struct batch *b = &r->batch;
	const struct msghdr *in = &b->in[i].msg_hdr;
	struct dns_query q;
	enum answer answer;
	size_t len = 0;

	/* What was cut is read as far as it goes, and refused for what is missing. */
	answer = answer_query(&r->zone, sb->view, &r->shuffle, b->query[i], b->in[i].msg_len, &q,
			      b->reply[n], DNS_UDP_MAX, &len);
	if (answer == ANSWER_NONE)
		return n;
	if (answer == ANSWER_FORWARD) {
		if (forward_start(r, sb, NULL, &b->peer[i], in->msg_namelen, &q, b->query[i],
				  b->in[i].msg_len, NULL) == 0)
			return n;
		len = dns_reply_empty(b->reply[n], b->query[i], &q, DNS_SERVFAIL);
	}
	b->out_iov[n] = (struct iovec){ b->reply[n], len };
	b->out[n].msg_hdr = (struct msghdr){ .msg_name = &b->peer[i],
					     .msg_namelen = in->msg_namelen,
					     .msg_iov = &b->out_iov[n],
					     .msg_iovlen = 1 };
	return n + 1;
}

/* A reply that cannot be sent is lost, as datagrams are; the others go on. */
static void batch_send(struct batch *b, int fd, unsigned n)
{
	unsigned done = 0;

	while (done < n) {
		int sent = sendmmsg(fd, b->out + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		done += sent > 0 ? (unsigned)sent : 1;
	}
}

/* One batch per sandbox and round: a busy one does not keep the others waiting. */
static void udp_ready(struct resolver *r, struct source *s, uint32_t events)
{
	struct sandbox *sb = container_of(s, struct sandbox, udp);
	unsigned n_out = 0;
	int n;

	batch_prepare(&r->batch);
	n = recvmmsg(s->fd, r->batch.in, BATCH, MSG_DONTWAIT, NULL);
	server_take_messages(r);
	if (s->fd < 0)
		return;
	for (int i = 0; i < n; i++)
		n_out = batch_answer(r, sb, (unsigned)i, n_out);
	batch_send(&r->batch, s->fd, n_out);
}

/* ------------------------------------------------------------------------------- sandboxes */

static struct sandbox *sandbox_find(const struct resolver *r, const char *id, uint32_t hash)
{
	for (struct table_node *t = table_first(&r->sandboxes, hash); t; t = table_next(t)) {
		struct sandbox *sb = container_of(t, struct sandbox, by_id);

		if (streq(sb->id, id))
			return sb;
	}
	return NULL;
}

static uint32_t sandbox_hash(const char *id)
{
	return hash_bytes(HASH_START, id, strlen(id));
}

/* The sandbox of the candidate's id: the one there is, or the candidate. */
static struct sandbox *sandbox_enter(struct resolver *r, struct sandbox *candidate)
{
	uint32_t hash = sandbox_hash(candidate->id);
	struct sandbox *sb = sandbox_find(r, candidate->id, hash);

	if (sb) {
		free(candidate);
		return sb;
	}
	table_add(&r->sandboxes, &candidate->by_id, hash);
	return candidate;
}

static void sandbox_set_view(struct resolver *r, struct sandbox *sb, struct zone_view *view)
{
	zone_enter_view(&r->zone, view);
	zone_drop_view(&r->zone, sb->view);
	sb->view = view;
}

static void sandbox_set_sockets(struct resolver *r, struct sandbox *sb, int udp, int tcp)
{
	int err;

	source_close(r, &sb->udp);
	source_close(r, &sb->tcp);
	err = source_open(r, &sb->udp, udp, EPOLLIN, udp_ready);
	if (err < 0)
		log_debug("resolver: sandbox %s gets no answers by UDP: epoll: %s", sb->id,
			  strerror(-err));
	/* Edge-triggered: a connection that cannot be accepted must not keep us busy. */
	err = source_open(r, &sb->tcp, tcp, EPOLLIN | EPOLLET, client_accept);
	if (err < 0)
		log_debug("resolver: sandbox %s gets no answers by TCP: epoll: %s", sb->id,
			  strerror(-err));
}

static void sandbox_drop(struct resolver *r, struct sandbox *sb)
{
	client_close_all(r, sb);
	while (!list_empty(&sb->forwards))
		forward_cancel(r, container_of(sb->forwards.next, struct forward, by_sandbox));
	source_close(r, &sb->udp);
	source_close(r, &sb->tcp);
	zone_drop_view(&r->zone, sb->view);
	table_del(&r->sandboxes, &sb->by_id);
	source_bury(r, &sb->udp);
}

/* ------------------------------------------------------------------------------- messages */

static void handle_message(struct resolver *r, struct message *m)
{
	struct sandbox *sb;

	switch (m->kind) {
	case MESSAGE_PUT_ENDPOINT:
		zone_put_endpoint(&r->zone, m->endpoint);
		break;
	case MESSAGE_DROP_ENDPOINT:
		zone_drop_endpoint(&r->zone, m->id);
		break;
	case MESSAGE_SET_VIEW:
		sandbox_set_view(r, sandbox_enter(r, m->sandbox), m->view);
		break;
	case MESSAGE_SET_SOCKETS:
		sandbox_set_sockets(r, sandbox_enter(r, m->sandbox), m->udp, m->tcp);
		break;
	case MESSAGE_DROP_SANDBOX:
		sb = sandbox_find(r, m->id, sandbox_hash(m->id));
		if (sb)
			sandbox_drop(r, sb);
		break;
	}
}

void server_take_messages(struct resolver *r)
{
	struct message *m = inbox_take(&r->inbox);

	while (m) {
		struct message *next = m->next;

		handle_message(r, m);
		if (m->done)
			sem_post(m->done);
		else
			free(m);
		m = next;
	}
}

static void wake_ready(struct resolver *r, struct source *s, uint32_t events)
{
	uint64_t n;

	if (read(s->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_debug("resolver: eventfd: %s", strerror(errno));
	server_take_messages(r);
}

/* ------------------------------------------------------------------------------- the host's file
 */

/* A file that is missing, perhaps only while it is replaced, leaves the servers as they are. */
static void read_resolv_conf(struct resolver *r)
{
	_close_ int fd = open(r->resolv_watch.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = (char *)r->large;
	size_t n = 0;
	ssize_t got;

	if (fd < 0) {
		log_debug("resolver: %s: %s", r->resolv_watch.path, strerror(errno));
		return;
	}
	while (n < sizeof(r->large) - 1 && (got = read(fd, text + n, sizeof(r->large) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	forward_set_servers(r, text);
}

static void watch_ready(struct resolver *r, struct source *s, uint32_t events)
{
	if (resolv_watch_changed(&r->resolv_watch))
		read_resolv_conf(r);
}

/* ------------------------------------------------------------------------------- the loop */

/* The epoll set and the eventfd. */
static int open_loop(struct resolver *r)
{
	int fd;

	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0)
		return -errno;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return fd < 0 ? -errno : source_open(r, &r->wake, fd, EPOLLIN, wake_ready);
}

static int open_watch(struct resolver *r, const char *host_resolv_conf)
{
	int err = resolv_watch_open(&r->resolv_watch, host_resolv_conf);

	if (err == 0)
		err = source_open(r, &r->watch, r->resolv_watch.fd, EPOLLIN, watch_ready);
	return err;
}

int server_prepare(struct resolver *r, const char *host_resolv_conf, struct cnm_error *err)
{
	int rc;

	r->epoll = r->wake.fd = r->watch.fd = -1;
	list_init(&r->clients);
	forward_init(r);
	id_random(&r->shuffle, sizeof(r->shuffle));
	r->shuffle |= 1;
	rc = zone_init(&r->zone);
	if (rc == 0)
		rc = table_init(&r->sandboxes);
	if (rc == 0)
		rc = table_init(&r->forward_ids);
	if (rc == 0)
		rc = open_loop(r);
	if (rc < 0) {
		cnm_error_errno(err, rc, "start the DNS server");
		return rc;
	}
	rc = open_watch(r, host_resolv_conf);
	if (rc < 0) {
		cnm_error_errno(err, rc,
				"start the DNS server: watch %s by inotify (if there are too many, "
				"raise fs.inotify.max_user_instances)",
				host_resolv_conf);
		return rc;
	}
	r->now = clock_mono_ns();
	read_resolv_conf(r);
	return 0;
}

/* Milliseconds to the next deadline, rounded up; -1: there is none. */
static int timeout_ms(const struct resolver *r)
{
	uint64_t a = client_deadline(r), b = forward_deadline(r), next = a < b ? a : b, now;

	if (next == UINT64_MAX)
		return -1;
	now = clock_mono_ns();
	return next <= now ? 0 : (int)((next - now + 999999) / 1000000);
}

void *server_run(void *resolver)
{
	struct resolver *r = resolver;
	struct epoll_event events[EVENTS_MAX];

	while (!atomic_load(&r->stop)) {
		int n = epoll_wait(r->epoll, events, EVENTS_MAX, timeout_ms(r));

		r->now = clock_mono_ns();
		for (int i = 0; i < n; i++) {
			struct source *s = events[i].data.ptr;

			if (s->fd >= 0)
				s->ready(r, s, events[i].events);
		}
		client_expire(r);
		forward_expire(r);
		free_buried(r);
	}
	return NULL;
}

void server_destroy(struct resolver *r)
{
	struct table_node *t;
	size_t bucket = 0;

	if (r->epoll >= 0)
		server_take_messages(r);
	while ((t = table_any(&r->sandboxes, &bucket)))
		sandbox_drop(r, container_of(t, struct sandbox, by_id));
	free_buried(r);
	zone_destroy(&r->zone);
	table_free(&r->sandboxes);
	table_free(&r->forward_ids);
	source_close(r, &r->wake);
	source_close(r, &r->watch);
	close_fd(&r->epoll);
}
