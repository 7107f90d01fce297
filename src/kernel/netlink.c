/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Netlink sockets on libmnl: batches of requests with an answer each, and dumps.
 *
 * The kernel carries a request out within sendmsg() and queues its answers before that returns; the
 * next part of a dump is queued by the recvmsg() that takes the one before. So there is never
 * anything to wait for: reading never blocks, and an empty queue with an answer missing means that
 * the answer was lost (no room in the receive buffer), not that it is late. Nothing here can hang.
 *
 * Answers are matched by sequence number. What a failed call has left in the queue carries older
 * numbers and is skipped by the next call.
 */
#include "kernel/netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

#include "kernel/nlattr.h"

/* The largest datagram the kernel makes for a dump, and far more than any answer. */
#define RECV_SIZE 32768
/* Asked of the kernel for both directions. Memory is used only as messages are queued. */
#define SOCKET_BUFFER (4 << 20)
/* What one answer is charged against the receive buffer, rounded up. */
#define ANSWER_CHARGE 2048
/* Room for the attributes of one message. */
#define ATTR_ROOM     4096
#define BATCH_INITIAL 8192
/* A dump that others' changes interrupt this often is given up. */
#define DUMP_TRIES 32

struct nl {
	struct mnl_socket *sock;
	uint32_t seq;         /* the last one used */
	size_t max_bytes;     /* that one sendmsg may carry */
	unsigned max_answers; /* that the receive buffer holds */
};

static int fail(struct cnm_error *err, int e, const char *extack)
{
	const char *what = strerrordesc_np(e);

	cnm_error_set(err, CNM_E_INTERNAL, "%s%s%s", what ? what : "unknown error",
		      *extack ? ": " : "", extack);
	if (err)
		err->err = e;
	return -e;
}

static void set_buffers(struct nl *nl)
{
	int fd = mnl_socket_get_fd(nl->sock), want = SOCKET_BUFFER, got = 0;
	socklen_t size = sizeof(got);

	/* Refused without CAP_NET_ADMIN: then the limits below come out smaller. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &want, sizeof(want));

	getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &size);
	nl->max_bytes = (size_t)got > 64 ? (size_t)got - 64 : 0;
	size = sizeof(got);
	got = 0;
	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &size);
	nl->max_answers = got > ANSWER_CHARGE ? (unsigned)got / ANSWER_CHARGE : 1;
}

int nl_open(struct nl **ret, int protocol, struct cnm_error *err)
{
	struct nl *nl = calloc(1, sizeof(*nl));
	int on = 1;

	if (!nl)
		return cnm_error_errno(err, ENOMEM, "open a netlink socket");
	nl->sock = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int e = errno;

		nl_close(nl);
		return cnm_error_errno(err, e, "open a netlink socket of protocol %d", protocol);
	}
	set_buffers(nl);
	/* Each makes answers better, none is needed: what is refused is done without. */
	mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	if (protocol == NETLINK_ROUTE)
		mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*ret = nl;
	return 0;
}

void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	if (nl->sock)
		mnl_socket_close(nl->sock);
	free(nl);
}

int nl_fd(const struct nl *nl)
{
	return mnl_socket_get_fd(nl->sock);
}

uint32_t nl_portid(const struct nl *nl)
{
	return mnl_socket_get_portid(nl->sock);
}

/* ------------------------------------------------------------------------- one datagram */

static int send_all(struct nl *nl, const void *buf, size_t len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	while (sendto(mnl_socket_get_fd(nl->sock), buf, len, 0, (struct sockaddr *)&kernel,
		      sizeof(kernel)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* One datagram of the kernel's: its length, or -EAGAIN when there is none, or another failure. */
static ssize_t receive(struct nl *nl, void *buf, size_t size)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		struct iovec iov = { .iov_base = buf, .iov_len = size };
		struct msghdr msg = { .msg_name = &from,
				      .msg_namelen = sizeof(from),
				      .msg_iov = &iov,
				      .msg_iovlen = 1 };
		ssize_t n = recvmsg(mnl_socket_get_fd(nl->sock), &msg, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (from.nl_pid != 0)
			continue;
		if (msg.msg_flags & MSG_TRUNC)
			return -EMSGSIZE;
		return n;
	}
}

/*
 * The errno in an NLMSG_ERROR or NLMSG_DONE (0: success), with the kernel's words for it if it has
 * some. -EBADMSG if the message is too short to say.
 */
static int parse_answer(const struct nlmsghdr *h, char *text, size_t size)
{
	const char *payload = mnl_nlmsg_get_payload(h);
	size_t len = mnl_nlmsg_get_payload_len(h), skip = sizeof(int);
	const struct nlattr *tb[NLMSGERR_ATTR_MSG + 1];
	int code;

	*text = 0;
	if (len < sizeof(code))
		return h->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	memcpy(&code, payload, sizeof(code));
	if (!code || !(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return code;
	if (h->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = (const struct nlmsgerr *)payload;

		skip = sizeof(*e);
		if (len >= skip && !(h->nlmsg_flags & NLM_F_CAPPED) &&
		    e->msg.nlmsg_len > NLMSG_HDRLEN)
			skip += NLMSG_ALIGN((size_t)e->msg.nlmsg_len - NLMSG_HDRLEN);
	}
	if (skip > len)
		return code;
	nlattr_table(payload + skip, len - skip, tb, NLMSGERR_ATTR_MSG + 1);
	nlattr_str(tb[NLMSGERR_ATTR_MSG], text, size);
	return code;
}

/* ------------------------------------------------------------------------- batches */

struct nlmsghdr *nl_batch_add(struct nl_batch *b, int type, int flags, size_t extra)
{
	size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(extra), need = b->len + head + ATTR_ROOM;
	struct nlmsghdr *h;

	if (b->failed)
		return NULL;
	if (need > b->cap) {
		size_t cap = b->cap ? b->cap : BATCH_INITIAL;
		char *buf;

		while (cap < need)
			cap *= 2;
		buf = realloc(b->buf, cap);
		if (!buf) {
			b->failed = 1;
			return NULL;
		}
		b->buf = buf;
		b->cap = cap;
	}
	h = (struct nlmsghdr *)(b->buf + b->len);
	memset(h, 0, head);
	h->nlmsg_len = (uint32_t)head;
	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return h;
}

void nl_batch_end(struct nl_batch *b, struct nlmsghdr *h)
{
	if (!h)
		return;
	b->len += NLMSG_ALIGN(h->nlmsg_len);
	b->count++;
}

void nl_batch_reset(struct nl_batch *b)
{
	free(b->results);
	*b = (struct nl_batch){ .buf = b->buf, .cap = b->cap };
}

void nl_batch_free(struct nl_batch *b)
{
	free(b->results);
	free(b->buf);
	*b = (struct nl_batch){ 0 };
}

/* A run of messages of a batch that goes out in one sendmsg. */
struct chunk {
	unsigned first, count; /* messages */
	size_t start, len;     /* bytes */
	uint32_t seq;          /* of the first message */
};

#define UNANSWERED 1 /* in results[]: neither success nor an errno */

/* Numbers as many messages from c->first on as may go together: at least one. */
static void chunk_fill(struct nl *nl, struct nl_batch *b, struct chunk *c)
{
	c->count = 0;
	c->len = 0;
	c->seq = nl->seq + 1;
	while (c->first + c->count < b->count && c->count < nl->max_answers) {
		struct nlmsghdr *h = (struct nlmsghdr *)(b->buf + c->start + c->len);
		size_t n = NLMSG_ALIGN(h->nlmsg_len);

		if (c->count && c->len + n > nl->max_bytes)
			break;
		h->nlmsg_seq = ++nl->seq;
		c->len += n;
		c->count++;
	}
}

/* Enter one answer into results[]. The first failure's words are kept. */
static bool chunk_answer(struct nl_batch *b, const struct chunk *c, const struct nlmsghdr *h,
			 int *first_failure)
{
	uint32_t i = h->nlmsg_seq - c->seq;
	char text[sizeof(b->text)];

	if (h->nlmsg_type != NLMSG_ERROR || i >= c->count || b->results[c->first + i] != UNANSWERED)
		return false;
	b->results[c->first + i] = parse_answer(h, text, sizeof(text));
	if (b->results[c->first + i] < 0 && !*first_failure) {
		*first_failure = b->results[c->first + i];
		memcpy(b->text, text, sizeof(text));
	}
	return true;
}

static int chunk_run(struct nl *nl, struct nl_batch *b, const struct chunk *c, int *first_failure)
{
	char buf[RECV_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	unsigned left = c->count;
	int r = send_all(nl, b->buf + c->start, c->len);

	if (r < 0)
		return r;
	while (left) {
		ssize_t n = receive(nl, buf, sizeof(buf));
		int len = (int)n;

		if (n == -ENOBUFS)
			continue; /* says once that something was dropped; the rest is queued */
		if (n < 0)
			return n == -EAGAIN ? -ENOBUFS : (int)n;
		for (const struct nlmsghdr *h = (const void *)buf; mnl_nlmsg_ok(h, len);
		     h = mnl_nlmsg_next(h, &len))
			left -= chunk_answer(b, c, h, first_failure);
	}
	return 0;
}

int nl_batch_run(struct nl *nl, struct nl_batch *b, struct cnm_error *err)
{
	struct chunk c = { 0 };
	int first_failure = 0, r = 0;

	free(b->results);
	b->text[0] = 0;
	b->results = b->failed ? NULL : malloc((b->count + 1) * sizeof(*b->results));
	if (!b->results)
		return fail(err, ENOMEM, "");
	for (unsigned i = 0; i < b->count; i++)
		b->results[i] = UNANSWERED;
	while (!r && c.first < b->count) {
		chunk_fill(nl, b, &c);
		r = chunk_run(nl, b, &c, &first_failure);
		c.first += c.count;
		c.start += c.len;
	}
	if (r < 0) {
		for (unsigned i = 0; i < b->count; i++)
			if (b->results[i] == UNANSWERED)
				b->results[i] = r;
	}
	if (first_failure)
		return fail(err, -first_failure, b->text);
	return r < 0 ? fail(err, -r, "") : 0;
}

/* ------------------------------------------------------------------------- dumps */

struct request {
	int (*fn)(const struct nlmsghdr *h, void *arg);
	void *arg;
	uint32_t seq;
	bool done, interrupted;
	int stopped;    /* what fn returned, if negative: the rest is read and dropped */
	int code;       /* the kernel's verdict */
	char text[256]; /* ... in words */
};

static void request_message(struct request *q, const struct nlmsghdr *h)
{
	if (h->nlmsg_seq != q->seq)
		return;
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		q->interrupted = true;
	switch (h->nlmsg_type) {
	case NLMSG_NOOP:
	case NLMSG_OVERRUN:
		return;
	case NLMSG_ERROR:
	case NLMSG_DONE:
		q->code = parse_answer(h, q->text, sizeof(q->text));
		q->done = true;
		return;
	default:
		if (!q->stopped && !q->interrupted) {
			int r = q->fn(h, q->arg);

			q->stopped = r < 0 ? r : 0;
		}
		if (!(h->nlmsg_flags & NLM_F_MULTI))
			q->done = true;
	}
}

/* One try. A dump is read to its end in any case, since a socket runs one at a time. */
static int request_try(struct nl *nl, struct nlmsghdr *h, struct request *q)
{
	char buf[RECV_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	int r;

	q->seq = h->nlmsg_seq = ++nl->seq;
	q->done = q->interrupted = false;
	r = send_all(nl, h, h->nlmsg_len);
	if (r < 0)
		return r;
	while (!q->done) {
		ssize_t n = receive(nl, buf, sizeof(buf));
		int len = (int)n;

		if (n < 0)
			return n == -EAGAIN ? -ENOBUFS : (int)n;
		for (const struct nlmsghdr *m = (const void *)buf; mnl_nlmsg_ok(m, len);
		     m = mnl_nlmsg_next(m, &len))
			request_message(q, m);
	}
	return 0;
}

int nl_request(struct nl *nl, struct nlmsghdr *h, int (*fn)(const struct nlmsghdr *h, void *arg),
	       void (*restart)(void *arg), void *arg, struct cnm_error *err)
{
	struct request q = { .fn = fn, .arg = arg };

	h->nlmsg_flags |= NLM_F_REQUEST;
	for (int i = 0; i < DUMP_TRIES; i++) {
		int r = request_try(nl, h, &q);

		if (r < 0)
			return fail(err, -r, "");
		if (q.stopped)
			return q.stopped;
		if (q.code < 0)
			return fail(err, -q.code, q.text);
		if (!q.interrupted)
			return 0;
		if (restart)
			restart(arg);
	}
	return fail(err, EAGAIN, "what was listed kept changing; try again");
}
