/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client of cnm-keeper (its messages are listed in keeper/keeper.c) and of systemd's store.
 *
 * `found` maps each name that was kept at the open to the descriptors of it nobody has taken yet.
 * The entry stays when all are taken, for fdkeep_sweep().
 *
 * Sending takes no lock: one message is one sendmsg, and `sock` is the same number for the life of
 * the struct. A restart puts the new connection under that number (dup3), so that another thread
 * never sends into something else. `generation` counts restarts: who fails on a connection that
 * another thread has replaced meanwhile does not restart again.
 */
#include "kernel/fdkeep.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "base/str.h"

#define CHUNK       250 /* descriptors a message */
#define MAX_FDS     253 /* the kernel's limit of a message */
#define MAX_NAME    200
#define MAX_HELD    65536
#define SEND_TRIES  5 /* with WAIT_MS before each but the first */
#define WAIT_MS     20
#define ANSWER_SECS 5

enum backend { KEEP_NOTHING, KEEP_KEEPER, KEEP_SYSTEMD };

struct found {
	struct found *next; /* while being swept */
	int n, *fds;
	char name[];
};

/* A DROP that could not be sent; it goes before what is sent next. */
struct unsent {
	struct unsent *next;
	char name[];
};

struct fdkeep {
	enum backend backend;
	int sock;
	char *run_dir, *program;
	pthread_mutex_t restart; /* held while a keeper is started */
	atomic_uint generation;
	pthread_mutex_t mutex; /* guards found and unsent */
	struct map found;
	struct unsent *unsent;
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
};

/* ------------------------------------------------------------------------------- found */

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static void found_free(struct found *f)
{
	if (!f)
		return;
	close_all(f->fds, f->n);
	free(f->fds);
	free(f);
}

/* Takes fds over, in success and failure. */
static int found_add(struct fdkeep *k, const char *name, const int *fds, int n)
{
	struct found *f = map_get(&k->found, name);
	int *grown;

	if (!f) {
		f = calloc(1, sizeof(*f) + strlen(name) + 1);
		if (f)
			strcpy(f->name, name);
		if (!f || map_add(&k->found, f->name, f) < 0) {
			free(f);
			close_all(fds, n);
			return -ENOMEM;
		}
	}
	grown = realloc(f->fds, (size_t)(f->n + n) * sizeof(int));
	if (!grown) {
		close_all(fds, n);
		return -ENOMEM;
	}
	memcpy(grown + f->n, fds, (size_t)n * sizeof(int));
	f->fds = grown;
	f->n += n;
	return 0;
}

/* ------------------------------------------------------------------------------- messages */

/* Waits for a full queue, but a bounded time. 0 or -errno. */
static int send_message(int sock, const char *text, const int *fds, int n)
{
	union control control;
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd p = { .fd = sock, .events = POLLOUT };

	if (n > 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
	}
	for (int tries = 1;; tries++) {
		if (sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EAGAIN || tries == SEND_TRIES)
			return -errno;
		poll(&p, 1, WAIT_MS);
	}
}

/* One message of the keeper with its descriptors. Returns how many those are, or -errno. */
static int receive(int sock, char *text, size_t size, int fds[static MAX_FDS])
{
	union control control;
	struct iovec iov = { text, size - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t len;
	int n = 0;

	do
		len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return len < 0 ? -errno : -ECONNRESET;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof(int));
	}
	text[len] = '\0';
	if (!(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return n;
	close_all(fds, n);
	return msg.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
}

static bool valid_name(const char *name)
{
	size_t n =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-");

	return n > 0 && n <= MAX_NAME && name[n] == '\0';
}

/* ------------------------------------------------------------------------------- the keeper */

/* A connected socket or -errno. */
static int connect_keeper(const char *run_dir)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_SECS };
	_close_ int fd = -1;
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/keeper.sock", run_dir);

	if (n >= (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return take_fd(&fd);
}

/* 0 or an errno. The child has no signal blocked or ignored and stdin and stdout on /dev/null. */
static int spawn(const char *program, const char *run_dir, pid_t *ret)
{
	char *const argv[] = { (char *)program, (char *)run_dir, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	r = posix_spawn_file_actions_init(&files);
	if (r)
		return r;
	r = posix_spawnattr_init(&attr);
	if (r) {
		posix_spawn_file_actions_destroy(&files);
		return r;
	}
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	for (int fd = 0; r == 0 && fd <= STDOUT_FILENO; fd++)
		r = posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn(ret, program, &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r;
}

/* Starts the program, which returns when its socket answers, and connects. The socket or -errno. */
static int start_keeper(const char *program, const char *run_dir, struct cnm_error *err)
{
	int r, status = 0;
	pid_t pid, waited;

	r = spawn(program, run_dir, &pid);
	if (r)
		return cnm_error_errno(err, r, "start keeper %s", program);
	do
		waited = waitpid(pid, &status, 0);
	while (waited < 0 && errno == EINTR);
	r = connect_keeper(run_dir);
	if (r >= 0)
		return r;
	if (waited == pid && status != 0)
		return cnm_error_set(
			err, CNM_E_INTERNAL,
			"keeper %s could not start in %s: its complaint is on standard error",
			program, run_dir);
	return cnm_error_errno(err, r, "connect to the keeper started in %s", run_dir);
}

static int list_error(struct fdkeep *k, int r, struct cnm_error *err)
{
	switch (-r) {
	case EAGAIN:
		return cnm_error_set(
			err, CNM_E_UNAVAILABLE,
			"the keeper in %s (process %d) does not answer: end it and try again; "
			"what it keeps is lost then",
			k->run_dir, fdkeep_pid(k));
	case EMFILE:
		return cnm_error_set(
			err, CNM_E_UNAVAILABLE,
			"the keeper in %s holds more descriptors than this process may open: "
			"raise its limit of open files",
			k->run_dir);
	}
	return cnm_error_errno(err, r, "ask the keeper in %s for what it holds", k->run_dir);
}

/* Asks on k->sock for all that is kept. 0 or -errno. */
static int list_keeper(struct fdkeep *k)
{
	int fds[MAX_FDS], r = send_message(k->sock, "LIST", NULL, 0);
	char text[MAX_NAME + 16];

	while (r == 0) {
		int n = receive(k->sock, text, sizeof(text), fds);
		const char *name;

		if (n < 0)
			return n;
		if (n == 0 && streq(text, "END"))
			return 0;
		name = str_after(text, "FD ");
		if (n > 0 && name && valid_name(name)) {
			r = found_add(k, name, fds, n);
		} else {
			close_all(fds, n);
			r = -EPROTO;
		}
	}
	return r;
}

/* One that is just dying may still take the connection; it does not answer, then. */
static int open_keeper(struct fdkeep *k, struct cnm_error *err)
{
	int r = k->sock = connect_keeper(k->run_dir);

	if (r >= 0)
		r = list_keeper(k);
	if (r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE) {
		close_fd(&k->sock);
		k->sock = start_keeper(k->program, k->run_dir, err);
		if (k->sock < 0)
			return k->sock;
		r = list_keeper(k);
	}
	return r < 0 ? list_error(k, r, err) : 0;
}

static int send_drop_once(struct fdkeep *k, const char *name)
{
	char text[MAX_NAME + 16];

	snprintf(text, sizeof(text), "DROP %s", name);
	return send_message(k->sock, text, NULL, 0);
}

static void remember_drop(struct fdkeep *k, const char *name)
{
	struct unsent *u = malloc(sizeof(*u) + strlen(name) + 1);
	LOCKED(&k->mutex);

	if (!u)
		return;
	strcpy(u->name, name);
	u->next = k->unsent;
	k->unsent = u;
}

/* Also those of `name` are over: it is about to be replaced, or dropped. */
static void send_unsent(struct fdkeep *k, const char *name)
{
	struct unsent *mine, *u;

	pthread_mutex_lock(&k->mutex);
	mine = k->unsent;
	k->unsent = NULL;
	pthread_mutex_unlock(&k->mutex);
	while ((u = mine)) {
		mine = u->next;
		if (!streq(u->name, name) && send_drop_once(k, u->name) < 0)
			remember_drop(k, u->name);
		free(u);
	}
}

static int put_keeper(struct fdkeep *k, const char *name, const int *fds, int n)
{
	char text[MAX_NAME + 16];
	int r = 0;

	send_unsent(k, name);
	for (int at = 0; at < n && r == 0; at += CHUNK) {
		snprintf(text, sizeof(text), "%s %s", at ? "ADD" : "PUT", name);
		r = send_message(k->sock, text, fds + at, n - at < CHUNK ? n - at : CHUNK);
	}
	return r;
}

/* The connection of that generation has broken: start a keeper unless another thread has. */
static int restart(struct fdkeep *k, unsigned generation, const char *name, struct cnm_error *err)
{
	LOCKED(&k->restart);
	int fd;

	if (k->generation == generation) {
		fd = start_keeper(k->program, k->run_dir, err);
		if (fd < 0) {
			cnm_error_prefix(err, "the keeper has ended and cannot keep \"%s\"", name);
			return fd;
		}
		dup3(fd, k->sock, O_CLOEXEC);
		close(fd);
		k->generation++;
	}
	return cnm_error_errno(
		err, EPIPE,
		"the keeper had ended and was started again; \"%s\" and all else has to "
		"be put again",
		name);
}

/* ------------------------------------------------------------------------------- systemd */

static int open_systemd(struct fdkeep *k, struct cnm_error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;

	if (n < 2 || n >= sizeof(addr.sun_path) || (*path != '/' && *path != '@'))
		return cnm_error_set(
			err, CNM_E_INVALID,
			"keep descriptors with systemd: NOTIFY_SOCKET is %s%s: run as a "
			"service with NotifyAccess=main, or name the keeper program",
			path ? "not usable: " : "not set", path ?: "");
	memcpy(addr.sun_path, path, n);
	if (*path == '@')
		addr.sun_path[0] = '\0';
	k->sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (k->sock < 0 || connect(k->sock, (struct sockaddr *)&addr,
				   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		return cnm_error_errno(err, errno, "connect to the service manager at %s", path);
	return 0;
}

static void swap_chars(char *s, char from, char to)
{
	for (; *s; s++)
		if (*s == from)
			*s = to;
}

/* What the manager passed: descriptors from 3 on, names in the same order between colons. */
static int list_systemd(struct fdkeep *k, struct cnm_error *err)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	_free_ char *names = strdup(getenv("LISTEN_FDNAMES") ?: "");
	char *rest = names;
	long n;

	if (!names)
		return cnm_error_errno(err, ENOMEM, "read what systemd keeps");
	if (!pid || strtol(pid, NULL, 10) != getpid() || !count ||
	    str_to_long(count, 1, MAX_HELD, &n) < 0)
		return 0;
	for (int fd = 3; fd < 3 + n; fd++) {
		char *name = strsep(&rest, ":");

		if (!name || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			continue;
		swap_chars(name, '+', ':');
		if (found_add(k, name, &fd, 1) < 0)
			return cnm_error_errno(err, ENOMEM, "read what systemd keeps");
	}
	return 0;
}

static int drop_systemd(struct fdkeep *k, const char *name)
{
	char text[MAX_NAME + 64];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	swap_chars(text, ':', '+');
	return send_message(k->sock, text, NULL, 0);
}

/* FDPOLL=0: else systemd lets go of a socket as soon as it has an error pending. */
static int put_systemd(struct fdkeep *k, const char *name, const int *fds, int n)
{
	int r = drop_systemd(k, name); /* it adds under a name; there is no replacing */
	char text[MAX_NAME + 64];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	swap_chars(text, ':', '+');
	for (int at = 0; at < n && r == 0; at += CHUNK)
		r = send_message(k->sock, text, fds + at, n - at < CHUNK ? n - at : CHUNK);
	return r;
}

/* ------------------------------------------------------------------------------- interface */

static int open_backend(struct fdkeep *k, const char *run_dir, const char *keeper,
			struct cnm_error *err)
{
	int r;

	if (!keeper)
		return 0;
	if (streq(keeper, "systemd")) {
		k->backend = KEEP_SYSTEMD;
		r = open_systemd(k, err);
		return r < 0 ? r : list_systemd(k, err);
	}
	k->backend = KEEP_KEEPER;
	k->run_dir = strdup(run_dir);
	k->program = strdup(keeper);
	if (!k->run_dir || !k->program)
		return cnm_error_errno(err, ENOMEM, "connect to the keeper in %s", run_dir);
	return open_keeper(k, err);
}

int fdkeep_open(struct fdkeep **ret, const char *run_dir, const char *keeper, struct cnm_error *err)
{
	struct fdkeep *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return cnm_error_errno(err, ENOMEM, "open the keeper of descriptors");
	k->sock = -1;
	pthread_mutex_init(&k->restart, NULL);
	pthread_mutex_init(&k->mutex, NULL);
	r = open_backend(k, run_dir, keeper, err);
	if (r < 0) {
		fdkeep_close(k);
		return r;
	}
	*ret = k;
	return 0;
}

void fdkeep_close(struct fdkeep *k)
{
	struct found *f;
	size_t at = 0;

	if (!k)
		return;
	while ((f = map_next(&k->found, &at))) {
		map_del(&k->found, f->name);
		found_free(f);
	}
	map_free(&k->found);
	while (k->unsent) {
		struct unsent *u = k->unsent;

		k->unsent = u->next;
		free(u);
	}
	close_fd(&k->sock);
	pthread_mutex_destroy(&k->mutex);
	pthread_mutex_destroy(&k->restart);
	free(k->run_dir);
	free(k->program);
	free(k);
}

int fdkeep_take(struct fdkeep *k, const char *name, int *fds, int max)
{
	LOCKED(&k->mutex);
	struct found *f = map_get(&k->found, name);
	int n;

	if (!f || max <= 0)
		return 0;
	n = f->n < max ? f->n : max;
	memcpy(fds, f->fds, (size_t)n * sizeof(int));
	f->n -= n;
	memmove(f->fds, f->fds + n, (size_t)f->n * sizeof(int));
	return n;
}

int fdkeep_put(struct fdkeep *k, const char *name, const int *fds, int n, struct cnm_error *err)
{
	unsigned generation = k->generation;
	int r = 0;

	if (!valid_name(name))
		return cnm_error_set(
			err, CNM_E_INVALID,
			"keep descriptors as \"%s\": not a name of 1 to %d letters, digits "
			"and ._:-",
			name, MAX_NAME);
	if (n <= 0) {
		fdkeep_drop(k, name);
		return 0;
	}
	switch (k->backend) {
	case KEEP_NOTHING:
		return 0;
	case KEEP_KEEPER:
		r = put_keeper(k, name, fds, n);
		if (r == -EPIPE || r == -ECONNRESET)
			return restart(k, generation, name, err);
		break;
	case KEEP_SYSTEMD:
		r = put_systemd(k, name, fds, n);
		break;
	}
	if (r == -EAGAIN)
		return cnm_error_set(
			err, CNM_E_UNAVAILABLE,
			"keep descriptors as \"%s\": %s (process %d) does not read its "
			"messages: see what holds it up",
			name, k->backend == KEEP_SYSTEMD ? "systemd" : "the keeper",
			k->backend == KEEP_SYSTEMD ? 1 : fdkeep_pid(k));
	return r < 0 ? cnm_error_errno(err, r, "keep descriptors as \"%s\"", name) : 0;
}

static void send_drop(struct fdkeep *k, const char *name)
{
	switch (k->backend) {
	case KEEP_NOTHING:
		return;
	case KEEP_KEEPER:
		send_unsent(k, name);
		if (send_drop_once(k, name) < 0)
			remember_drop(k, name);
		return;
	case KEEP_SYSTEMD:
		drop_systemd(k, name);
		return;
	}
}

void fdkeep_drop(struct fdkeep *k, const char *name)
{
	struct found *f;

	if (!valid_name(name))
		return;
	pthread_mutex_lock(&k->mutex);
	f = map_del(&k->found, name);
	pthread_mutex_unlock(&k->mutex);
	found_free(f);
	send_drop(k, name);
}

void fdkeep_sweep(struct fdkeep *k, int (*wanted)(const char *name, void *arg), void *arg)
{
	struct found *f, *gone = NULL;
	size_t at = 0;

	pthread_mutex_lock(&k->mutex);
	while ((f = map_next(&k->found, &at))) {
		if (wanted(f->name, arg))
			continue;
		map_del(&k->found, f->name);
		f->next = gone;
		gone = f;
	}
	pthread_mutex_unlock(&k->mutex);
	while ((f = gone)) {
		gone = f->next;
		send_drop(k, f->name);
		found_free(f);
	}
}

void fdkeep_end(struct fdkeep *k)
{
	struct pollfd p = { .fd = k->sock };

	if (k->backend == KEEP_KEEPER && send_message(k->sock, "END", NULL, 0) == 0)
		poll(&p, 1, 1000);
	k->backend = KEEP_NOTHING;
}

int fdkeep_pid(struct fdkeep *k)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	struct pollfd p = { .fd = k->sock };

	if (k->backend != KEEP_KEEPER || poll(&p, 1, 0) > 0 ||
	    getsockopt(k->sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return 0;
	return peer.pid;
}
