/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The proxy as the engine sees it: its sockets, kept or new, and its thread. */
#include "proxy/proxy_internal.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"

/* What the daemon's other threads have. */
#define STACK_SIZE (256 * 1024)
#define KEPT_AS    "proxy"
#define BACKLOG    4096 /* the kernel makes net.core.somaxconn of it */

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 sa = { 0 };
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 || sa.sin6_family != AF_INET6)
		return 0;
	return ntohs(sa.sin6_port);
}

static bool is_of_type(int fd, int want)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == want &&
	       port_of(fd) != 0;
}

/* Those that were kept, if they are what they should be: TCP, then UDP. */
static bool take_kept(struct fdkeep *k, int fds[static 2])
{
	int n = fdkeep_take(k, KEPT_AS, fds, 2);

	if (n == 2 && is_of_type(fds[0], SOCK_STREAM) && is_of_type(fds[1], SOCK_DGRAM))
		return true;
	while (n > 0)
		close_fd(&fds[--n]);
	return false;
}

/* A non-blocking socket at [::] and a port of the kernel's choice; or a negative errno. */
static int open_socket(int type)
{
	_close_ int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	int on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		return -errno;
	if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
		return -errno;
	if (type == SOCK_DGRAM &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0)
		return -errno;
	return take_fd(&fd);
}

static int keep(struct fdkeep *k, const int fds[static 2], struct cnm_error *err)
{
	int rc = fdkeep_put(k, KEPT_AS, fds, 2, err);

	return rc == -EPIPE ? fdkeep_put(k, KEPT_AS, fds, 2, err) : rc;
}

static int make_sockets(struct fdkeep *k, int fds[static 2], struct cnm_error *err)
{
	_close_ int tcp = open_socket(SOCK_STREAM), udp = tcp < 0 ? tcp : open_socket(SOCK_DGRAM);
	int rc = udp < 0 ? udp : 0;

	if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
		return rc; /* no IPv6 */
	if (rc < 0)
		return cnm_error_errno(err, rc, "open a socket at [::] for the proxy");
	rc = keep(k, (int[]){ tcp, udp }, err);
	if (rc < 0)
		return cnm_error_prefix(err, "keep the proxy's sockets");
	fds[0] = take_fd(&tcp);
	fds[1] = take_fd(&udp);
	return 0;
}

static int open_loop(struct proxy *p)
{
	_close_ int fd = -1;
	int rc;

	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->epoll < 0 || fd < 0)
		return -errno;
	rc = proxy_source_open(p, &p->wake, fd, EPOLLIN, NULL);
	if (rc == 0)
		take_fd(&fd);
	return rc;
}

/* Takes over the sockets in any case. */
static int serve_sockets(struct proxy *p, const int fds[static 2])
{
	_close_ int tcp = fds[0], udp = fds[1];
	int rc = proxy_source_open(p, &p->tcp, tcp, EPOLLIN, tcp_ready);

	if (rc < 0)
		return rc;
	p->tcp_port = port_of(take_fd(&tcp));
	rc = proxy_source_open(p, &p->udp, udp, EPOLLIN, udp_ready);
	if (rc < 0)
		return rc;
	p->udp_port = port_of(take_fd(&udp));
	return 0;
}

/* Signals are for the program's own threads; SIGPIPE, which splice() cannot do without, for none.
 */
static int start_thread(struct proxy *p)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	sigfillset(&all);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&p->thread, &attr, proxy_run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	p->running = !err;
	return -err;
}

static int start(struct proxy *p, struct cnm_error *err)
{
	int fds[2], rc = 0;

	if (!take_kept(p->options.fdkeep, fds))
		rc = make_sockets(p->options.fdkeep, fds, err);
	if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
		return 0;
	if (rc < 0)
		return rc;
	rc = open_loop(p);
	if (rc < 0) {
		close_fd(&fds[0]);
		close_fd(&fds[1]);
	} else {
		rc = serve_sockets(p, fds);
	}
	if (rc == 0)
		rc = start_thread(p);
	return rc < 0 ? cnm_error_errno(err, rc, "start the proxy") : 0;
}

int proxy_new(struct proxy **ret, const struct proxy_options *options, struct cnm_error *err)
{
	struct proxy *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return cnm_error_errno(err, ENOMEM, "start the proxy");
	p->options = *options;
	p->epoll = p->wake.fd = p->tcp.fd = p->udp.fd = -1;
	list_init(&p->connections);
	list_init(&p->unfinished);
	list_init(&p->starved);
	list_init(&p->clients);
	rc = start(p, err);
	if (rc < 0) {
		proxy_free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

static void stop_thread(struct proxy *p)
{
	static const uint64_t one = 1;

	atomic_store(&p->stop, true);
	while (write(p->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(p->thread, NULL);
}

void proxy_free(struct proxy *p)
{
	if (!p)
		return;
	if (p->running)
		stop_thread(p);
	proxy_source_close(p, &p->tcp);
	proxy_source_close(p, &p->udp);
	proxy_source_close(p, &p->wake);
	close_fd(&p->epoll);
	free(p);
}

void proxy_keep(struct proxy *p)
{
	if (p && p->tcp_port)
		fdkeep_put(p->options.fdkeep, KEPT_AS, (int[]){ p->tcp.fd, p->udp.fd }, 2, NULL);
}

uint16_t proxy_port(const struct proxy *p, uint8_t proto)
{
	if (!p)
		return 0;
	return proto == IPPROTO_TCP ? p->tcp_port : proto == IPPROTO_UDP ? p->udp_port : 0;
}
