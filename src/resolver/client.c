/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients by TCP. A connection carries any number of queries, which are answered one after the
 * other: while one is on its way to a server of the host, or a reply does not fit into the socket,
 * nothing more is read. So a client costs one buffer and one forward at most.
 *
 * A sandbox has CLIENTS_MAX connections; a further one takes the place of the one that has been
 * idle longest. One that has not completed anything for IDLE_NS is closed; since this is the same
 * for all, both lists a connection is in are in the order of expiry.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "resolver/answer.h"
#include "resolver/server.h"

#define CLIENTS_MAX 32
#define IDLE_NS     (10 * NS_PER_S)

struct client {
	struct source source;
	struct list by_sandbox, by_deadline;
	struct sandbox *sandbox;
	struct forward *forward; /* the query that is on its way */
	uint64_t deadline;
	uint32_t events; /* waited for */
	uint8_t *out;    /* what did not fit into the socket yet */
	size_t out_len, out_done;
	size_t in_len;
	uint8_t in[2 + DNS_UDP_MAX];
};

void client_close(struct resolver *r, struct client *c)
{
	forward_cancel(r, take_ptr(c->forward));
	source_close(r, &c->source);
	list_del(&c->by_sandbox);
	list_del(&c->by_deadline);
	c->sandbox->n_clients--;
	free(take_ptr(c->out));
	source_bury(r, &c->source);
}

void client_close_all(struct resolver *r, struct sandbox *sb)
{
	while (!list_empty(&sb->clients))
		client_close(r, container_of(sb->clients.next, struct client, by_sandbox));
}

/* It did something: it goes to the end of both lists. */
static void touch(struct resolver *r, struct client *c)
{
	c->deadline = r->now + IDLE_NS;
	list_del(&c->by_sandbox);
	list_append(&c->sandbox->clients, &c->by_sandbox);
	list_del(&c->by_deadline);
	list_append(&r->clients, &c->by_deadline);
}

static bool is_open(const struct client *c)
{
	return c->source.fd >= 0;
}

/* Keeps what of the two parts is beyond the first `sent` bytes. 0 or -ENOMEM. */
static int keep_rest(struct client *c, const struct iovec part[2], size_t sent)
{
	size_t at = 0;

	c->out_len = part[0].iov_len + part[1].iov_len;
	c->out_done = sent;
	c->out = malloc(c->out_len);
	if (!c->out)
		return -ENOMEM;
	for (int i = 0; i < 2; i++) {
		memcpy(c->out + at, part[i].iov_base, part[i].iov_len);
		at += part[i].iov_len;
	}
	return 0;
}

/* Sends a reply, or begins to. A connection that is broken is closed. */
static void client_send(struct resolver *r, struct client *c, const uint8_t *msg, size_t len)
{
	uint8_t length[2];
	struct iovec part[2] = { { length, sizeof(length) }, { (void *)msg, len } };
	struct msghdr hdr = { .msg_iov = part, .msg_iovlen = 2 };
	ssize_t n;

	dns_set_id(length, (uint16_t)len);
	n = sendmsg(c->source.fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN)
		n = 0;
	if (n < 0 || ((size_t)n < len + 2 && keep_rest(c, part, (size_t)n) < 0))
		client_close(r, c);
	else
		touch(r, c);
}

static void flush(struct resolver *r, struct client *c)
{
	ssize_t n = send(c->source.fd, c->out + c->out_done, c->out_len - c->out_done,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			client_close(r, c);
		return;
	}
	c->out_done += (size_t)n;
	touch(r, c);
	if (c->out_done == c->out_len)
		free(take_ptr(c->out));
}

/* One query. What is no query ends the connection: the stream has lost its meaning. */
static void answer_one(struct resolver *r, struct client *c, const uint8_t *msg, size_t len)
{
	struct sandbox *sb = c->sandbox;
	struct dns_query q;
	size_t reply_len;
	int err;

	switch (answer_query(&r->zone, sb->view, &r->shuffle, msg, len, &q, r->large,
			     sizeof(r->large), &reply_len)) {
	case ANSWER_NONE:
		client_close(r, c);
		return;
	case ANSWER_REPLY:
		sb->count.local++;
		break;
	case ANSWER_FORWARD:
		touch(r, c);
		if (forward_cached(r, sb, msg, &q, r->large, sizeof(r->large), &reply_len))
			break;
		err = forward_start(r, sb, c, NULL, 0, 0, &q, msg, len, &c->forward);
		if (err == 0)
			break;
		reply_len = dns_reply_empty(r->large, msg, &q, forward_failure(err));
		break;
	}
	sb->count.queries++;
	sb->count.tcp++;
	if (c->forward)
		return;
	client_send(r, c, r->large, reply_len);
}

/* The queries that are there, as far as they can be dealt with now. */
static void answer_all(struct resolver *r, struct client *c)
{
	size_t at = 0;

	while (is_open(c) && !c->forward && !c->out && c->in_len - at >= 2) {
		size_t len = (size_t)(c->in[at] << 8 | c->in[at + 1]);

		if (len > DNS_UDP_MAX) {
			client_close(r, c);
			return;
		}
		if (c->in_len - at < 2 + len)
			break;
		answer_one(r, c, c->in + at + 2, len);
		at += 2 + len;
	}
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
}

static void process(struct resolver *r, struct client *c)
{
	uint32_t events;

	server_take_messages(r);
	if (is_open(c))
		answer_all(r, c);
	if (!is_open(c))
		return;
	events = c->out ? EPOLLOUT : c->forward ? 0 : EPOLLIN;
	if (events != c->events)
		source_wait_for(r, &c->source, c->events = events);
}

static void client_ready(struct resolver *r, struct source *s, uint32_t events)
{
	struct client *c = container_of(s, struct client, source);
	ssize_t n;

	if (c->out) {
		flush(r, c);
	} else if (c->forward) {
		/* Nothing was waited for: it is broken. */
		client_close(r, c);
	} else {
		n = recv(s->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
		if (n > 0)
			c->in_len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			client_close(r, c);
	}
	if (is_open(c))
		process(r, c);
}

void client_forwarded(struct resolver *r, struct client *c, const uint8_t *msg, size_t len)
{
	c->forward = NULL;
	client_send(r, c, msg, len);
	if (is_open(c))
		process(r, c);
}

/* Takes fd. */
static void client_add(struct resolver *r, struct sandbox *sb, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->sandbox = sb;
	c->events = EPOLLIN;
	if (source_open(r, &c->source, fd, EPOLLIN, client_ready) < 0) {
		free(c);
		return;
	}
	if (sb->n_clients == CLIENTS_MAX)
		client_close(r, container_of(sb->clients.next, struct client, by_sandbox));
	sb->n_clients++;
	list_init(&c->by_sandbox);
	list_init(&c->by_deadline);
	touch(r, c);
}

/* Up to a batch; the listener, which is edge-triggered, is then told to speak again. */
void client_accept(struct resolver *r, struct source *listener, uint32_t events)
{
	struct sandbox *sb = container_of(listener, struct sandbox, tcp);

	for (unsigned i = 0; i < BATCH; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			client_add(r, sb, fd);
		else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
	source_wait_for(r, listener, EPOLLIN | EPOLLET);
}

void client_expire(struct resolver *r)
{
	while (!list_empty(&r->clients)) {
		struct client *c = container_of(r->clients.next, struct client, by_deadline);

		if (c->deadline > r->now)
			return;
		client_close(r, c);
	}
}

uint64_t client_deadline(const struct resolver *r)
{
	if (list_empty(&r->clients))
		return UINT64_MAX;
	return container_of(r->clients.next, struct client, by_deadline)->deadline;
}
