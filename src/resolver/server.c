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

/* What an entry points to stays with it when the journal moves it. */
static void batch_init(struct batch *b)
{
	for (size_t i = 0; i < BATCH; i++) {
		b->in_iov[i] = (struct iovec){ b->query[i], sizeof(b->query[i]) };
		b->in[i].msg_hdr = (struct msghdr){ .msg_name = &b->peer[i],
						    .msg_namelen = sizeof(b->peer[i]),
						    .msg_iov = &b->in_iov[i],
						    .msg_iovlen = 1 };
		b->out_iov[i].iov_base = b->reply[i];
		b->out[i].msg_hdr = (struct msghdr){ .msg_iov = &b->out_iov[i], .msg_iovlen = 1 };
	}
}

static size_t udp_room(const struct dns_query *q)
{
	return q->size < DNS_UDP_MAX ? q->size : DNS_UDP_MAX;
}

/* The reply to m that can be given at once: to buf, of DNS_UDP_MAX bytes. Its length, or 0. */
static size_t answer_now(struct resolver *r, struct sandbox *sb, const struct mmsghdr *m,
			 uint32_t number, uint8_t *buf)
{
	const uint8_t *msg = m->msg_hdr.msg_iov->iov_base;
	/* What was cut is read as far as it goes, and refused for what is missing. */
	size_t msg_len = m->msg_len < DNS_UDP_MAX ? m->msg_len : DNS_UDP_MAX, len = 0;
	struct dns_query q;
	int err;

	switch (answer_query(&r->zone, sb->view, &r->shuffle, msg, msg_len, &q, buf, DNS_UDP_MAX,
			     &len)) {
	case ANSWER_NONE:
		break;
	case ANSWER_REPLY:
		sb->count.queries++;
		sb->count.local++;
		break;
	case ANSWER_FORWARD:
		sb->count.queries++;
		if (forward_cached(r, sb, msg, &q, buf, udp_room(&q), &len))
			break;
		err = forward_start(r, sb, NULL, m->msg_hdr.msg_name, m->msg_hdr.msg_namelen,
				    number, &q, msg, msg_len, NULL);
		if (err == 0)
			return 0;
		len = dns_reply_empty(buf, msg, &q, forward_failure(err));
		break;
	}
	journal_done(&sb->journal, number);
	return len;
}

/* The first n, whose numbers begin with this one. How many replies there are to send. */
static unsigned batch_answer(struct resolver *r, struct sandbox *sb, unsigned n, uint32_t number)
{
	struct batch *b = &r->batch;
	unsigned n_out = 0;

	for (unsigned i = 0; i < n; i++) {
		struct msghdr *in = &b->in[i].msg_hdr, *out = &b->out[n_out].msg_hdr;
		size_t len = answer_now(r, sb, &b->in[i], number + i, b->reply[n_out]);

		if (len) {
			out->msg_name = in->msg_name;
			out->msg_namelen = in->msg_namelen;
			b->out_iov[n_out++].iov_len = len;
		}
		in->msg_namelen = sizeof(b->peer[0]);
	}
	return n_out;
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

/*
 * One batch per sandbox and round: a busy one does not keep the others waiting. The replies are
 * sent before the queries are taken out, since a client waits for nothing but them.
 */
static void udp_ready(struct resolver *r, struct source *s, uint32_t events)
{
	struct sandbox *sb = container_of(s, struct sandbox, udp);
	uint32_t number;
	unsigned n = journal_read(&sb->journal, s->fd, r->batch.in, BATCH, &number);

	server_take_messages(r);
	if (s->fd < 0)
		return;
	batch_send(&r->batch, s->fd, batch_answer(r, sb, n, number));
	journal_clear(&sb->journal, s->fd);
	if (sb->journal.more)
		source_wait_for(r, s, EPOLLIN | EPOLLET);
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

static void sandbox_set_view(struct resolver *r, struct sandbox *sb, struct zone_view *view,
			     struct upstreams *own)
{
	zone_enter_view(&r->zone, view);
	zone_drop_view(&r->zone, sb->view);
	sb->view = view;
	forward_set_own(r, sb, own);
}

static void sandbox_set_sockets(struct resolver *r, struct sandbox *sb, int udp, int tcp)
{
	int err;

	source_close(r, &sb->udp);
	source_close(r, &sb->tcp);
	/* Edge-triggered: see journal.h. What is in the buffer now is an edge as well. */
	journal_open(&sb->journal, udp);
	err = source_open(r, &sb->udp, udp, EPOLLIN | EPOLLET, udp_ready);
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
	forward_set_own(r, sb, NULL);
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
		sandbox_set_view(r, sandbox_enter(r, m->sandbox), m->view, m->own);
		break;
	case MESSAGE_SET_SOCKETS:
		sandbox_set_sockets(r, sandbox_enter(r, m->sandbox), m->udp, m->tcp);
		break;
	case MESSAGE_DROP_SANDBOX:
		sb = sandbox_find(r, m->id, sandbox_hash(m->id));
		if (sb)
			sandbox_drop(r, sb);
		break;
	case MESSAGE_DESCRIBE:
		sb = sandbox_find(r, m->id, sandbox_hash(m->id));
		*m->description = sb ? describe_sandbox(r, sb) : NULL;
		break;
	}
}

void server_take_messages(struct resolver *r)
{
	struct message *m = inbox_take(&r->inbox);

	while (m) {
		struct message *next = m->next;

		handle_message(r, m);
		if (m->waited_for)
			sem_post(&m->done);
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
	_close_ int fd = open(r->file_watch.paths[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = (char *)r->large;
	size_t n = 0;
	ssize_t got;

	if (fd < 0) {
		log_debug("resolver: %s: %s", r->file_watch.paths[0], strerror(errno));
		return;
	}
	while (n < sizeof(r->large) - 1 && (got = read(fd, text + n, sizeof(r->large) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	forward_set_servers(r, text);
}

static void watch_ready(struct resolver *r, struct source *s, uint32_t events)
{
	if (file_watch_changed(&r->file_watch))
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
	int err = file_watch_open(&r->file_watch, &host_resolv_conf, 1);

	if (err == 0)
		err = source_open(r, &r->watch, r->file_watch.fd, EPOLLIN, watch_ready);
	return err;
}

int server_prepare(struct resolver *r, const char *host_resolv_conf, struct cnm_error *err)
{
	int rc;

	r->epoll = r->wake.fd = r->watch.fd = -1;
	list_init(&r->clients);
	batch_init(&r->batch);
	id_random(&r->shuffle, sizeof(r->shuffle));
	r->shuffle |= 1;
	rc = zone_init(&r->zone);
	if (rc == 0)
		rc = table_init(&r->sandboxes);
	if (rc == 0)
		rc = forward_init(r);
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
	forward_destroy(r);
	source_close(r, &r->wake);
	source_close(r, &r->watch);
	close_fd(&r->epoll);
}
