/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a server by TCP: a connection for one question. Their number is bounded by that of the
 * clients by TCP, who have one query on its way at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "resolver/upstream.h"

struct connection {
	struct source source; /* first: what it is buried by */
	struct ask *ask;
	size_t sent;       /* of the lookup's frame */
	size_t got;        /* of the length and the reply */
	uint8_t length[2]; /* what precedes the reply */
	size_t reply_len;
	uint8_t *reply; /* room for the whole, once its length is known */
};

/* Some of the query. 0: go on when there is room; negative: broken. */
static int send_some(struct resolver *r, struct connection *c)
{
	struct lookup *l = c->ask->lookup;
	ssize_t n = send(c->source.fd, l->frame + c->sent, l->frame_len - c->sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	c->sent += (size_t)n;
	if (c->sent == l->frame_len)
		source_wait_for(r, &c->source, EPOLLIN);
	return 0;
}

/* Some of the reply: its length, then itself. 1: complete; 0: go on later; negative: broken. */
static int receive_some(struct connection *c)
{
	size_t head = sizeof(c->length);
	ssize_t n;

	if (c->got < head)
		n = recv(c->source.fd, c->length + c->got, head - c->got, MSG_DONTWAIT);
	else
		n = recv(c->source.fd, c->reply + c->got - head, c->reply_len + head - c->got,
			 MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	c->got += (size_t)n;
	if (c->got == head) {
		c->reply_len = (size_t)(c->length[0] << 8 | c->length[1]);
		if (c->reply_len < DNS_HEADER)
			return -EBADMSG;
		c->reply = malloc(c->reply_len);
		if (!c->reply)
			return -ENOMEM;
	}
	return c->got >= head && c->got == head + c->reply_len;
}

static void connection_ready(struct resolver *r, struct source *s, uint32_t events)
{
	struct connection *c = container_of(s, struct connection, source);
	struct ask *a = c->ask;
	struct lookup *l = a->lookup;
	_free_ uint8_t *reply = NULL;
	int rc;

	/* Each connection sends the same query with an id of its own. */
	dns_set_id(lookup_query(l), a->id);
	rc = c->sent < l->frame_len ? send_some(r, c) : receive_some(c);
	if (rc == 0)
		return;
	if (rc > 0)
		rc = dns_check_reply(c->reply, c->reply_len, lookup_query(l), l->question_len);
	if (rc < 0) {
		lookup_failed(r, a);
		return;
	}
	/* It outlives the connection, which ends before the reply has gone to all who wait. */
	reply = take_ptr(c->reply);
	lookup_replied(r, a, reply, c->reply_len, rc);
}

int connection_start(struct resolver *r, struct ask *a, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		close_fd(&fd);
		return -ENOMEM;
	}
	c->ask = a;
	err = source_open(r, &c->source, fd, EPOLLOUT, connection_ready);
	if (err < 0)
		free(c);
	else
		a->connection = c;
	return err;
}

void connection_stop(struct resolver *r, struct connection *c)
{
	source_close(r, &c->source);
	free(take_ptr(c->reply));
	source_bury(r, &c->source);
}
