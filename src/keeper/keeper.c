/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cnm-keeper RUN_DIR: keeps descriptors by name while the daemon is away. It has no logic, so that
 * it need not be replaced when the daemon is.
 *
 * It answers on RUN_DIR/keeper.sock (SOCK_SEQPACKET, mode 0600, peers of its own uid only). One
 * message is one command:
 *
 *   PUT name   + 1..250 descriptors: replaces what is kept under name
 *   ADD name   + 1..250 descriptors: more of them under name
 *   DROP name  forgets name
 *   LIST       answered by one "FD name" with its descriptors for each PUT and ADD, then "END"
 *   END        the keeper removes its socket and exits
 *
 * Only LIST has an answer: what was sent on any connection before it counts, for a daemon that died
 * may have left messages unread. A message that is none of these is ignored and its descriptors
 * closed. A name is [a-zA-Z0-9._:-]{1,200}. A client that lets an answer wait for two seconds is
 * hung up on.
 *
 * The lock on the directory says whether a keeper lives there: the holder may replace the socket
 * that a dead one left, and a second one refuses to start, after a second, as a dying one's sockets
 * close before its lock. The command returns when the socket
 * answers; the keeper goes on in a process of its own session. Memory is one `held` for each PUT or
 * ADD, in a hash table of chains in the order of arrival. No stdio, no threads: it is small.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "keeper.sock"
#define MAX_HELD    65536
#define MAX_CLIENTS 16
#define MAX_FDS     250 /* in one message; the kernel allows 253 */
#define MAX_NAME    200

struct held {
	struct held *next;
	int n, *fds; /* behind the name */
	char name[];
};

struct client {
	int fd;    /* -1: a free place */
	bool asks; /* for the list */
};

static struct client clients[MAX_CLIENTS];
static struct held *table[4096];
static int n_held;
static int run_dir = -1;

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static void hang_up(struct client *client)
{
	close(client->fd);
	*client = (struct client){ .fd = -1 };
}

static struct held **chain(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return &table[hash % (sizeof(table) / sizeof(table[0]))];
}

static void drop(const char *name)
{
	struct held **at = chain(name), *h;

	while ((h = *at)) {
		if (strcmp(h->name, name) != 0) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		close_all(h->fds, h->n);
		n_held -= h->n;
		free(h);
	}
}

/* Takes the descriptors over, or returns false. */
static bool add(const char *name, const int *fds, int n)
{
	size_t name_size = (strlen(name) + sizeof(int)) / sizeof(int) * sizeof(int);
	struct held **at = chain(name), *h;

	if (n == 0 || n_held + n > MAX_HELD)
		return false;
	h = malloc(sizeof(*h) + name_size + (size_t)n * sizeof(int));
	if (!h)
		return false;
	strcpy(h->name, name);
	h->fds = memcpy((char *)(h + 1) + name_size, fds, (size_t)n * sizeof(int));
	h->n = n;
	h->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = h;
	n_held += n;
	return true;
}

static bool valid_name(const char *name)
{
	size_t n =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-");

	return n > 0 && n <= MAX_NAME && name[n] == '\0';
}

static bool send_held(int client, const struct held *h)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov[] = { { (void *)"FD ", 3 }, { (void *)h->name, strlen(h->name) } };
	struct msghdr msg = { .msg_iov = iov,
			      .msg_iovlen = 2,
			      .msg_control = &control,
			      .msg_controllen = CMSG_SPACE((size_t)h->n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)h->n * sizeof(int));
	memcpy(CMSG_DATA(c), h->fds, (size_t)h->n * sizeof(int));
	return sendmsg(client, &msg, MSG_NOSIGNAL) >= 0;
}

static bool list(int client)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		for (const struct held *h = table[i]; h; h = h->next)
			if (!send_held(client, h))
				return false;
	return send(client, "END", 3, MSG_NOSIGNAL) >= 0;
}

/* The rest of text if it begins with word and a valid name follows. */
static const char *named(const char *text, const char *word)
{
	size_t n = strlen(word);

	return strncmp(text, word, n) == 0 && valid_name(text + n) ? text + n : NULL;
}

/* One message; its descriptors are kept or closed. true: it asks for the list. */
static bool obey(const char *text, const int *fds, int n)
{
	const char *name;

	if ((name = named(text, "PUT ")) && n > 0) {
		drop(name);
		if (add(name, fds, n))
			return false;
	} else if ((name = named(text, "ADD "))) {
		if (add(name, fds, n))
			return false;
	} else if ((name = named(text, "DROP "))) {
		drop(name);
	} else if (strcmp(text, "END") == 0) {
		unlinkat(run_dir, SOCKET_NAME, 0);
		_exit(0);
	}
	close_all(fds, n);
	return strcmp(text, "LIST") == 0;
}

/* Reads and obeys one message. false: there is none, or the client is gone (its fd is then -1). */
static bool serve(struct client *client)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control;
	char text[MAX_NAME + 16];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(client->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c;
	int fds[253], n = 0;

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (len <= 0) {
		hang_up(client);
		return false;
	}
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof(int));
	}
	text[len] = '\0';
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n > MAX_FDS ||
	    strlen(text) != (size_t)len)
		close_all(fds, n);
	else if (obey(text, fds, n))
		client->asks = true;
	return true;
}

/* Who comes while all places are taken waits in the backlog. */
static void accept_clients(int listener)
{
	struct timeval patience = { .tv_sec = 2 };

	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct ucred peer = { .uid = (uid_t)-1 };
		socklen_t size = sizeof(peer);

		if (clients[i].fd >= 0)
			continue;
		clients[i].fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (clients[i].fd < 0)
			return;
		setsockopt(clients[i].fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		if (getsockopt(clients[i].fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
		    peer.uid != geteuid())
			hang_up(&clients[i]);
	}
}

/* Waits for work, unless somebody has asked for the list. */
static void wait_for_work(int listener)
{
	struct pollfd p[1 + MAX_CLIENTS] = { { .fd = -1, .events = POLLIN } };
	bool asked = false;

	for (int i = 0; i < MAX_CLIENTS; i++) {
		p[1 + i] = (struct pollfd){ .fd = clients[i].fd, .events = POLLIN };
		asked |= clients[i].asks;
		if (clients[i].fd < 0)
			p[0].fd = listener;
	}
	poll(p, 1 + MAX_CLIENTS, asked ? 0 : -1);
}

/*
 * In each turn everybody is heard out; a list asked for in one turn is sent at the end of the next,
 * so that whatever had been sent when it was asked for is in it. A queue holds some hundred
 * messages.
 */
static void __attribute__((noreturn)) run(int listener)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		clients[i].fd = -1;
	for (;;) {
		bool answer[MAX_CLIENTS];

		wait_for_work(listener);
		for (int i = 0; i < MAX_CLIENTS; i++) {
			answer[i] = clients[i].asks;
			clients[i].asks = false;
		}
		accept_clients(listener);
		for (int i = 0; i < MAX_CLIENTS; i++)
			for (int n = 0; n < 4096 && clients[i].fd >= 0 && serve(&clients[i]); n++)
				;
		for (int i = 0; i < MAX_CLIENTS; i++)
			if (answer[i] && clients[i].fd >= 0 && !list(clients[i].fd))
				hang_up(&clients[i]);
	}
}

static void __attribute__((noreturn)) die(const char *dir, const char *why)
{
	const char *const parts[] = { "cnm-keeper ", dir, ": ", why, "\n" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
			break;
	_exit(1);
}

/* Locks the directory for life and binds the socket in it. */
static int bind_socket(const char *dir)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(dir) + sizeof("/" SOCKET_NAME) > sizeof(addr.sun_path))
		die(dir, "this path is too long for a socket: choose a shorter run directory");
	strcpy(addr.sun_path, dir);
	strcat(addr.sun_path, "/" SOCKET_NAME);
	run_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run_dir < 0)
		die(dir, strerrordesc_np(errno));
	for (int tries = 0; flock(run_dir, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK)
			die(dir, strerrordesc_np(errno));
		if (tries == 100)
			die(dir, "another keeper lives there: use that one, or end it");
		poll(NULL, 0, 10);
	}
	unlinkat(run_dir, SOCKET_NAME, 0);
	umask(0177);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die(dir, strerrordesc_np(errno));
	return fd;
}

/* Returns in the child, in a session of its own; the parent exits once the child listens. */
static void detach(const char *dir, int listener)
{
	int ready[2], null;
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		die(dir, strerrordesc_np(errno));
	if (pid > 0) {
		close(ready[1]);
		_exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
	}
	setsid();
	/* Here and not in the parent: SO_PEERCRED tells who listened. */
	if (listen(listener, 64) < 0)
		die(dir, strerrordesc_np(errno));
	null = open("/dev/null", O_RDWR);
	for (int i = 0; i <= STDERR_FILENO; i++)
		dup2(null, i);
	if (null > STDERR_FILENO)
		close(null);
	if (chdir("/") < 0 || write(ready[1], "", 1) != 1)
		_exit(1);
	close(ready[0]);
	close(ready[1]);
}

/* As many descriptors as may be had, up to what is promised. */
static void raise_limit(void)
{
	struct rlimit want = { MAX_HELD + 64, MAX_HELD + 64 }, now;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0 || now.rlim_cur >= want.rlim_cur)
		return;
	if (now.rlim_max > want.rlim_max)
		want.rlim_max = now.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		return;
	now.rlim_cur = now.rlim_max;
	setrlimit(RLIMIT_NOFILE, &now);
}

int main(int argc, char **argv)
{
	int listener;

	if (argc != 2)
		die("RUN_DIR", "give the run directory as the one argument");
	closefrom(STDERR_FILENO + 1);
	raise_limit();
	listener = bind_socket(argv[1]);
	detach(argv[1], listener);
	run(listener);
}
