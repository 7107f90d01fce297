/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * through: what connections cost from one network namespace to another, by whatever is between.
 *
 *   through NETNS-CLIENT ADDRESS PORT NETNS-SERVER SERVER-PORT
 *
 * The client connects to ADDRESS and PORT, which lead to the server. Commands on standard input, a
 * line each, each answered by its time in nanoseconds:
 *
 *   connections N    N connections, one after the other, over each of which a byte goes and comes
 * back megabytes N      so much over one connection, until the server has it all
 *
 * Connections are reset in the end, so that none holds a port of the client's for a minute.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE     (128 * 1024)
#define ECHO      'e'
#define SWALLOW   's'
#define GIVE_UP_S 10

static struct sockaddr_in target;
static char piece[PIECE];

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "through: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

/* ------------------------------------------------------------------------------------ the server
 */

static int listen_at(const char *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 128) < 0)
		die("listen");
	return fd;
}

/* One byte says what the client wants; it is given back when that is done. */
static void serve_one(int fd)
{
	char want;

	if (recv(fd, &want, 1, 0) != 1)
		return;
	while (want == SWALLOW && recv(fd, piece, sizeof(piece), 0) > 0)
		;
	send(fd, &want, 1, MSG_NOSIGNAL);
	while (recv(fd, piece, sizeof(piece), 0) > 0) /* until it is reset */
		;
}

static void __attribute__((noreturn)) serve(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			die("accept");
		serve_one(fd);
		close(fd);
	}
}

/* ------------------------------------------------------------------------------------ the client
 */

static int open_connection(char want)
{
	struct timeval give_up = { .tv_sec = GIVE_UP_S };
	struct linger reset = { .l_onoff = 1 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &give_up, sizeof(give_up));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &give_up, sizeof(give_up));
	if (connect(fd, (struct sockaddr *)&target, sizeof(target)) < 0)
		die("connect");
	if (send(fd, &want, 1, MSG_NOSIGNAL) != 1)
		die("send");
	return fd;
}

static void await_and_reset(int fd)
{
	char back;

	if (recv(fd, &back, 1, 0) != 1)
		die("the server's answer");
	close(fd);
}

static void make_connections(long n)
{
	for (long i = 0; i < n; i++)
		await_and_reset(open_connection(ECHO));
}

static void send_megabytes(long n)
{
	long long left = n * 1024 * 1024;
	int fd = open_connection(SWALLOW);

	while (left > 0) {
		ssize_t some = send(fd, piece, left < PIECE ? (size_t)left : PIECE, MSG_NOSIGNAL);

		if (some < 0)
			die("send");
		left -= some;
	}
	shutdown(fd, SHUT_WR);
	await_and_reset(fd);
}

static void run(const char *line)
{
	long long start = now_ns();
	long n;

	if (sscanf(line, "connections %ld", &n) == 1)
		make_connections(n);
	else if (sscanf(line, "megabytes %ld", &n) == 1)
		send_megabytes(n);
	else
		errno = EINVAL, die(line);
	printf("%lld\n", now_ns() - start);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[64];
	int listener;

	if (argc != 6) {
		fprintf(stderr,
			"usage: through NETNS-CLIENT ADDRESS PORT NETNS-SERVER SERVER-PORT\n");
		return 2;
	}
	enter(argv[4]);
	listener = listen_at(argv[5]);
	switch (fork()) {
	case -1:
		die("fork");
	case 0:
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listener);
	}
	close(listener);
	enter(argv[1]);
	target = (struct sockaddr_in){ .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)atoi(argv[3])) };
	if (inet_pton(AF_INET, argv[2], &target.sin_addr) != 1)
		errno = EINVAL, die(argv[2]);
	while (fgets(line, sizeof(line), stdin))
		run(line);
	return 0;
}
