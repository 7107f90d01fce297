/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bodies that handlers read. All of it runs on the handler's thread, which has the exchange, the
 * bytes read ahead and the reading side of the socket until it gives them back.
 *
 * What is read is unframed where it lies, in the handler's own buffer: a body is never longer than
 * the bytes it came in. What lies behind its end was read ahead, and is kept for the next request.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "api/http_internal.h"
#include "base/clock.h"

#define MS UINT64_C(1000000)

int body_invite(struct conn *c)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const ssize_t n = sizeof(line) - 1;

	if (!c->x.request.expects || c->continued)
		return 0;
	c->continued = true;
	/* Every earlier answer has gone out, so a socket that does not take this is broken. */
	return send(c->fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n ? 0 : -ECONNRESET;
}

/* Wait until there is something to read. */
static int wait_readable(int fd, uint64_t until)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		uint64_t now = clock_mono_ns();
		int r = now < until ? poll(&p, 1, (int)((until - now) / MS) + 1) : 0;

		if (r == 0)
			return -ETIMEDOUT;
		if (r > 0 || errno != EINTR)
			return r > 0 ? 0 : -errno;
	}
}

/* From what was read ahead. */
static size_t read_early(struct conn *c, char *buf, size_t n)
{
	struct strbuf *early = &c->early;
	size_t used, got;

	used = http_message_feed_body(&c->x.request, early->s, n < early->len ? n : early->len, buf,
				      &got);
	early->len -= used;
	memmove(early->s, early->s + used, early->len + 1);
	return got;
}

static int read_socket(struct conn *c, char *buf, size_t n, uint64_t until, size_t *ret_got)
{
	ssize_t have;
	size_t used;
	int r;

	r = wait_readable(c->fd, until);
	if (r < 0)
		return r;
	have = recv(c->fd, buf, n, MSG_DONTWAIT);
	if (have < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (have <= 0)
		return -ECONNRESET;
	used = http_message_feed_body(&c->x.request, buf, (size_t)have, buf, ret_got);
	if (used < (size_t)have)
		strbuf_addn(&c->early, buf + used, (size_t)have - used);
	return c->early.failed ? -ENOMEM : 0;
}

ssize_t http_body_read(struct http_exchange *x, void *buf, size_t n)
{
	struct conn *c = container_of(x, struct conn, x);
	uint64_t until = clock_mono_ns() + c->server->options.deadline_ms * MS;
	size_t got = 0;
	int r = 0;

	while (r == 0 && got == 0 && x->request.state == MESSAGE_HELD) {
		if (c->early.len) {
			got = read_early(c, buf, n);
			continue;
		}
		r = body_invite(c);
		if (r == 0)
			r = read_socket(c, buf, n, until, &got);
	}
	if (r < 0)
		return r;
	if (got)
		return (ssize_t)got;
	return x->request.state == MESSAGE_BAD ? -EBADMSG : 0;
}
