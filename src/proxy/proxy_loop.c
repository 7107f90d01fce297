/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The proxy's thread: its loop, and what connections and clients by UDP have in common. */
#include "proxy/proxy_internal.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define EVENTS_MAX 64
#define RETRY_NS   100000000ull

/* ------------------------------------------------------------------------------- sources */

int proxy_source_open(struct proxy *p, struct source *s, int fd, uint32_t events,
		      void (*ready)(struct proxy *p, struct source *s, uint32_t events))
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	s->ready = ready;
	s->fd = fd;
	return 0;
}

/* The keeper has the same sockets open: closing alone would leave them in the set. */
void proxy_source_close(struct proxy *p, struct source *s)
{
	if (s->fd < 0)
		return;
	epoll_ctl(p->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	close_fd(&s->fd);
}

void proxy_source_bury(struct proxy *p, struct source *s)
{
	s->next_buried = p->buried;
	p->buried = s;
}

static void free_buried(struct proxy *p)
{
	while (p->buried) {
		struct source *s = p->buried;

		p->buried = s->next_buried;
		free(s);
	}
}

/* ------------------------------------------------------------------------------- limits */

static void set_paused(struct proxy *p, bool paused)
{
	struct epoll_event ev = { .events = paused ? 0 : EPOLLIN, .data.ptr = &p->tcp };

	if (p->paused != paused)
		epoll_ctl(p->epoll, EPOLL_CTL_MOD, p->tcp.fd, &ev);
	p->paused = paused;
}

void proxy_retry(struct proxy *p)
{
	set_paused(p, true);
	if (!p->retry_at)
		p->retry_at = p->now + RETRY_NS;
}

static void retry(struct proxy *p)
{
	if (!p->retry_at || p->now < p->retry_at)
		return;
	p->retry_at = 0;
	set_paused(p, p->flows >= PROXY_MAX_FLOWS);
	tcp_feed(p);
}

bool proxy_make_room(struct proxy *p)
{
	if (p->flows < PROXY_MAX_FLOWS || udp_end_oldest(p))
		return true;
	set_paused(p, true);
	return false;
}

void proxy_flow_ended(struct proxy *p)
{
	p->flows--;
	if (!p->retry_at)
		set_paused(p, false);
}

/* ------------------------------------------------------------------------------- targets */

static socklen_t sockaddr_of(const struct cnm_ip *ip, uint16_t port, union sockaddr_ip *ret)
{
	*ret = (union sockaddr_ip){ 0 };
	ret->sa.sa_family = ip->family;
	if (ip->family == AF_INET) {
		ret->in4.sin_port = htons(port);
		memcpy(&ret->in4.sin_addr, ip->b, sizeof(ret->in4.sin_addr));
		return sizeof(ret->in4);
	}
	ret->in6.sin6_port = htons(port);
	memcpy(&ret->in6.sin6_addr, ip->b, sizeof(ret->in6.sin6_addr));
	return sizeof(ret->in6);
}

int proxy_connect(int type, const struct cnm_ip *ip, uint16_t port)
{
	_close_ int fd = socket(ip->family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	union sockaddr_ip to;
	socklen_t len = sockaddr_of(ip, port, &to);

	if (fd < 0 || (connect(fd, &to.sa, len) < 0 && errno != EINPROGRESS))
		return -errno;
	return take_fd(&fd);
}

/* ------------------------------------------------------------------------------- the loop */

/* Milliseconds until there is something to do anyway, rounded up; -1: nothing. */
static int timeout_ms(const struct proxy *p)
{
	uint64_t next = udp_deadline(p), now;

	if (!list_empty(&p->unfinished))
		return 0;
	if (p->retry_at && p->retry_at < next)
		next = p->retry_at;
	if (next == UINT64_MAX)
		return -1;
	now = clock_mono_ns();
	return next <= now ? 0 : (int)((next - now + 999999) / 1000000);
}

static void turn(struct proxy *p)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(p->epoll, events, EVENTS_MAX, timeout_ms(p));

	p->now = clock_mono_ns();
	for (int i = 0; i < n; i++) {
		struct source *s = events[i].data.ptr;

		if (s->fd >= 0 && s->ready)
			s->ready(p, s, events[i].events);
	}
	tcp_go_on(p);
	udp_expire(p);
	retry(p);
	free_buried(p);
}

void *proxy_run(void *proxy)
{
	struct proxy *p = proxy;

	while (!atomic_load(&p->stop))
		turn(p);
	tcp_end_all(p);
	udp_end_all(p);
	free_buried(p);
	return NULL;
}
