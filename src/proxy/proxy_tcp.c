/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections. The kernel moves the bytes: from one socket into a pipe and on into the other. The
 * pipe is filled only when it is empty, so "nothing now" from the socket that is read always means
 * that; and while it is empty it belongs to nobody, so that an idle connection is two descriptors.
 *
 * The sockets are in the epoll set edge-triggered, once. Whatever is told about one, both
 * directions go on until they are stuck, or have had their turn.
 *
 * A stream's end is passed on once its bytes are. When either side is reset, what it sent before is
 * passed on as far as it can be at once, and then the other is reset.
 */
#include "proxy/proxy_internal.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/log.h"

/* IP6T_SO_ORIGINAL_DST of the kernel's netfilter_ipv6/ip6_tables.h */
#define SO_ORIGINAL_DST6 80
#define PIPE_SIZE        65536
#define ACCEPTS_A_TURN   64
#define PIPES_A_TURN     8

/* One direction. */
struct way {
	const struct source *from, *to;
	int pipe[2];
	size_t held; /* bytes in the pipe; 0: there is no pipe */
	bool news;   /* there may be something to read */
	bool ended;  /* all was read */
	bool shut;   /* and the end passed on */
};

struct connection {
	struct source client; /* first: it is what a connection is buried by */
	struct source target;
	struct way up, down; /* to the target, to the client */
	bool connected, failed;
	struct list all;
	struct list turn; /* in unfinished or starved */
};

/* ------------------------------------------------------------------------------- pipes */

static int pipe_take(struct pipes *pipes, int ret[static 2])
{
	if (pipes->n) {
		memcpy(ret, pipes->fds[--pipes->n], sizeof(pipes->fds[0]));
		return 0;
	}
	return pipe2(ret, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
}

static void pipe_close(int fds[static 2])
{
	close_fd(&fds[0]);
	close_fd(&fds[1]);
}

/* It is empty. */
static void pipe_put(struct pipes *pipes, int fds[static 2])
{
	if (pipes->n == PIPES_MAX)
		pipe_close(fds);
	else
		memcpy(pipes->fds[pipes->n++], fds, sizeof(pipes->fds[0]));
}

/* ------------------------------------------------------------------------------- one direction */

enum moved { MOVED_SOME, MOVE_STUCK, MOVE_STARVED, MOVE_FAILED };

static enum moved why_not(ssize_t n)
{
	if (n < 0 && errno == EINTR)
		return MOVED_SOME;
	return n < 0 && errno == EAGAIN ? MOVE_STUCK : MOVE_FAILED;
}

static enum moved way_fill(struct proxy *p, struct way *w)
{
	ssize_t n;

	if (w->ended || !w->news)
		return MOVE_STUCK;
	if (pipe_take(&p->pipes, w->pipe) < 0)
		return MOVE_STARVED;
	n = splice(w->from->fd, NULL, w->pipe[1], NULL, PIPE_SIZE, SPLICE_F_NONBLOCK);
	if (n > 0) {
		w->held = (size_t)n;
		return MOVED_SOME;
	}
	w->ended = n == 0;
	w->news = n < 0 && errno == EINTR;
	pipe_put(&p->pipes, w->pipe);
	return w->ended ? MOVE_STUCK : why_not(n);
}

static enum moved way_drain(struct proxy *p, struct way *w)
{
	ssize_t n = splice(w->pipe[0], NULL, w->to->fd, NULL, w->held, SPLICE_F_NONBLOCK);

	if (n <= 0)
		return why_not(n);
	w->held -= (size_t)n;
	if (w->held == 0)
		pipe_put(&p->pipes, w->pipe);
	return MOVED_SOME;
}

static enum moved way_move(struct proxy *p, struct way *w)
{
	enum moved moved = MOVED_SOME;

	for (unsigned i = 0; i < 2 * PIPES_A_TURN && moved == MOVED_SOME; i++)
		moved = w->held ? way_drain(p, w) : way_fill(p, w);
	return moved;
}

static void way_finish(struct way *w)
{
	if (!w->ended || w->held || w->shut)
		return;
	shutdown(w->to->fd, SHUT_WR);
	w->shut = true;
}

/* ------------------------------------------------------------------------------- connections */

static void set_reset(int fd)
{
	struct linger at_once = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void reset_fd(int *fd)
{
	if (*fd >= 0)
		set_reset(*fd);
	close_fd(fd);
}

static void way_end(struct way *w)
{
	if (w->held)
		pipe_close(w->pipe);
	w->held = 0;
}

static void connection_end(struct proxy *p, struct connection *c)
{
	way_end(&c->up);
	way_end(&c->down);
	proxy_source_close(p, &c->client);
	proxy_source_close(p, &c->target);
	list_del(&c->all);
	list_del(&c->turn);
	proxy_source_bury(p, &c->client);
	proxy_flow_ended(p);
}

static void connection_reset(struct proxy *p, struct connection *c)
{
	set_reset(c->client.fd);
	set_reset(c->target.fd);
	connection_end(p, c);
}

static void connection_move(struct proxy *p, struct connection *c)
{
	enum moved up = way_move(p, &c->up), down = way_move(p, &c->down);

	if (up == MOVE_FAILED || down == MOVE_FAILED) {
		c->failed = true;
	} else if (up == MOVE_STARVED || down == MOVE_STARVED) {
		list_append(&p->starved, &c->turn);
		proxy_retry(p);
	} else if (up == MOVED_SOME || down == MOVED_SOME) {
		list_append(&p->unfinished, &c->turn);
	}
}

static void connection_go_on(struct proxy *p, struct connection *c)
{
	list_del(&c->turn);
	if (c->connected)
		connection_move(p, c);
	if (c->failed) {
		connection_reset(p, c);
		return;
	}
	way_finish(&c->up);
	way_finish(&c->down);
	if (c->up.shut && c->down.shut)
		connection_end(p, c);
}

static bool is_news(uint32_t events)
{
	return events & (EPOLLIN | EPOLLHUP | EPOLLERR);
}

static void client_ready(struct proxy *p, struct source *s, uint32_t events)
{
	struct connection *c = container_of(s, struct connection, client);

	c->up.news |= is_news(events);
	c->failed = events & EPOLLERR;
	connection_go_on(p, c);
}

static void target_ready(struct proxy *p, struct source *s, uint32_t events)
{
	struct connection *c = container_of(s, struct connection, target);

	c->down.news |= is_news(events);
	c->failed = events & EPOLLERR;
	if (!c->failed && events & EPOLLOUT)
		c->connected = true;
	connection_go_on(p, c);
}

/* Each connection of the list once; it may come back to its end meanwhile. */
static void go_on_once(struct proxy *p, struct list *list)
{
	struct list now = LIST_INIT(now);

	if (list_empty(list))
		return;
	list_append(list, &now);
	list_del(list); /* what was in it is in `now`, and it begins anew */
	while (!list_empty(&now))
		connection_go_on(p, container_of(now.next, struct connection, turn));
}

void tcp_go_on(struct proxy *p)
{
	go_on_once(p, &p->unfinished);
}

void tcp_feed(struct proxy *p)
{
	go_on_once(p, &p->starved);
}

void tcp_end_all(struct proxy *p)
{
	while (!list_empty(&p->connections))
		connection_reset(p, container_of(p->connections.next, struct connection, all));
	while (p->pipes.n)
		pipe_close(p->pipes.fds[--p->pipes.n]);
}

/* ------------------------------------------------------------------------------- new ones */

/* Where the connection was meant to go; false: to the proxy itself, or it has ended already. */
static bool original(int fd, struct cnm_ip *ret_ip, uint16_t *ret_port)
{
	struct sockaddr_in6 meant = { 0 }, local = { 0 };
	socklen_t meant_len = sizeof(meant), local_len = sizeof(local);

	if (getsockopt(fd, IPPROTO_IPV6, SO_ORIGINAL_DST6, &meant, &meant_len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&local, &local_len) < 0)
		return false;
	*ret_ip = (struct cnm_ip){ .family = AF_INET6 };
	memcpy(ret_ip->b, &meant.sin6_addr, sizeof(ret_ip->b));
	*ret_port = ntohs(meant.sin6_port);
	return meant.sin6_port != local.sin6_port ||
	       memcmp(&meant.sin6_addr, &local.sin6_addr, sizeof(local.sin6_addr)) != 0;
}

/* A peer that is gone without a word is found out within two minutes. */
static void set_options(int fd)
{
	int on = 1, idle = 60, interval = 15, count = 4;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/* A socket on its way to the container, or a negative errno. */
static int connect_target(struct proxy *p, int client)
{
	struct cnm_ip ip, target;
	uint16_t port, target_port;
	int rc;

	if (!original(client, &ip, &port))
		return -ENOENT;
	rc = p->options.find(p->options.arg, IPPROTO_TCP, &ip, port, &target, &target_port);
	if (rc < 0)
		return rc;
	return proxy_connect(SOCK_STREAM, &target, target_port);
}

static int connection_new(struct proxy *p, int client, int target)
{
	struct connection *c = calloc(1, sizeof(*c));
	const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLET;
	int rc;

	if (!c)
		return -ENOMEM;
	c->up = (struct way){ .from = &c->client, .to = &c->target };
	c->down = (struct way){ .from = &c->target, .to = &c->client };
	list_init(&c->turn);
	rc = proxy_source_open(p, &c->client, client, events, client_ready);
	if (rc == 0)
		rc = proxy_source_open(p, &c->target, target, events, target_ready);
	if (rc < 0) {
		free(c); /* the caller closes both, and nothing was heard of them yet */
		return rc;
	}
	list_append(&p->connections, &c->all);
	p->flows++;
	return 0;
}

static bool is_shortage(int e)
{
	return e == EMFILE || e == ENFILE || e == ENOMEM || e == ENOBUFS || e == ENOSPC;
}

static void serve(struct proxy *p, int client)
{
	int target = connect_target(p, client), rc = target;

	if (target >= 0) {
		set_options(client);
		set_options(target);
		rc = connection_new(p, client, target);
	}
	if (rc >= 0)
		return;
	log_debug("proxy: a connection is refused: %s", strerror(-rc));
	if (is_shortage(-rc))
		proxy_retry(p);
	reset_fd(&client);
	close_fd(&target);
}

/* Several at a time. Failures other than a shortage are of that one connection. */
void tcp_ready(struct proxy *p, struct source *s, uint32_t events)
{
	for (unsigned i = 0; i < ACCEPTS_A_TURN && !p->paused && proxy_make_room(p); i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			serve(p, fd);
		else if (errno == EAGAIN)
			return;
		else if (is_shortage(errno))
			proxy_retry(p);
	}
}
