/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See listen.h. */
#include "cnmd/listen.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define BACKLOG 1024
#define GROUP   "cnm"

/* Whoever calls listen() last is the peer that clients see; that is how one tells whose socket a
 * path leads to. */
enum owner { OWNER_NOBODY, OWNER_US, OWNER_OTHER };

static enum owner whose(const struct sockaddr_un *addr, pid_t *ret_pid)
{
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t n = sizeof(struct ucred);
	struct ucred peer = { .pid = 0 };

	*ret_pid = 0;
	if (fd < 0)
		return OWNER_OTHER;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return errno == EAGAIN ? OWNER_OTHER
				       : OWNER_NOBODY; /* EAGAIN: its backlog is full */
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n);
	*ret_pid = peer.pid;
	if (peer.pid > 0 && kill(peer.pid, 0) < 0 && errno == ESRCH)
		return OWNER_NOBODY; /* a keeper holds it for a daemon that has ended */
	return peer.pid == getpid() ? OWNER_US : OWNER_OTHER;
}

/* Is the kept socket what clients reach at the path? It is not if the file was removed. */
static bool is_reachable(int fd, const struct sockaddr_un *addr)
{
	struct sockaddr_un bound = { .sun_family = AF_UNSPEC };
	socklen_t n = sizeof(bound);
	pid_t pid;

	return getsockname(fd, (struct sockaddr *)&bound, &n) == 0 && bound.sun_family == AF_UNIX &&
	       streq(bound.sun_path, addr->sun_path) && listen(fd, BACKLOG) == 0 &&
	       whose(addr, &pid) == OWNER_US;
}

/* From /etc/group alone: the name service would load its modules into the daemon for good. */
static bool find_group(gid_t *ret)
{
	FILE *f = fopen("/etc/group", "re");
	struct group entry, *g = NULL;
	char line[65536]; /* a group may have many members */

	while (f && fgetgrent_r(f, &entry, line, sizeof(line), &g) == 0)
		if (streq(g->gr_name, GROUP))
			break;
	if (f)
		fclose(f);
	if (g)
		*ret = g->gr_gid;
	return g != NULL;
}

/* The directory of the socket, if it is missing. Its parents are the administrator's. */
static void make_directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	str_copy(dir, sizeof(dir), path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = '\0';
	mkdir(dir, 0755); /* if this fails, bind() says why */
}

static int replace_stale(const struct sockaddr_un *addr, struct cnm_error *err)
{
	struct stat st;
	pid_t pid;

	if (lstat(addr->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "%s exists and is not a socket: remove it, or choose another "
				     "with --socket",
				     addr->sun_path);
	if (whose(addr, &pid) != OWNER_NOBODY)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "%s is served by process %d: end it, or choose another with "
				     "--socket",
				     addr->sun_path, (int)pid);
	if (unlink(addr->sun_path) < 0)
		return cnm_error_errno(err, errno, "remove the socket %s that nobody serves",
				       addr->sun_path);
	return 0;
}

/* Nobody can connect before listen(), so the mode is in place in time. */
static int bind_socket(int fd, const struct sockaddr_un *addr, struct cnm_error *err)
{
	const char *path = addr->sun_path;
	gid_t gid;

	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return cnm_error_errno(err, errno, "bind the socket %s", path);
	if (chmod(path, 0660) < 0)
		return cnm_error_errno(err, errno, "set the mode of %s", path);
	if (find_group(&gid) && chown(path, (uid_t)-1, gid) < 0)
		return cnm_error_errno(err, errno, "give %s to the group " GROUP, path);
	if (listen(fd, BACKLOG) < 0)
		return cnm_error_errno(err, errno, "listen on %s", path);
	return 0;
}

int listen_open(const char *path, int kept, int *ret_fd, struct cnm_error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_close_ int old = kept, fd = -1;
	int r;

	if (!str_copy(addr.sun_path, sizeof(addr.sun_path), path))
		return cnm_error_set(err, CNM_E_INVALID,
				     "the socket's path %s is longer than %zu bytes: choose a "
				     "shorter one with --socket",
				     path, sizeof(addr.sun_path) - 1);
	if (old >= 0 && is_reachable(old, &addr)) {
		*ret_fd = take_fd(&old);
		return 0;
	}
	close_fd(&old);
	make_directory(path);
	r = replace_stale(&addr, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cnm_error_errno(err, errno, "open the socket for %s", path);
	r = bind_socket(fd, &addr, err);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}
