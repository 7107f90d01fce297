/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps: every call by which the daemon changes something outside its own memory, caught at link
 * time (-Wl,--wrap=...), counted, and on demand made the place where the process is killed or the
 * call fails. Allocations are counted and failed likewise. Linked into cnmd-steps only.
 *
 * The test steers by a small file, mapped by both sides; its path is in the environment as
 * CNM_STEPS (tests/lib/steps.py). Without it, or in mode OFF, everything passes through. Calls made
 * inside shared libraries are not seen, except jansson's allocations, which it lets us replace;
 * what SQLite does is seen as sqlite3_step and sqlite3_exec. A forked child does not count.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libmnl/libmnl.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { OFF, COUNT, KILL_BEFORE, KILL_AFTER, FAIL_STEP, FAIL_ALLOC };

#define N_NAMES 2048

/* Shared with steps.py; native byte order. */
struct control {
	uint32_t mode, k;        /* which step or allocation, from 1 */
	uint32_t steps, allocs;  /* seen since the test zeroed them */
	char names[N_NAMES][24]; /* what each step was */
};

static struct control *control;
static pid_t owner;

static void *counted_malloc(size_t size);

__attribute__((constructor)) static void steps_init(void)
{
	const char *path = getenv("CNM_STEPS");
	void *map;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || map == MAP_FAILED) {
		perror(path);
		abort();
	}
	close(fd);
	owner = getpid();
	json_set_alloc_funcs(counted_malloc, free);
	control = map;
}

static enum mode mode(void)
{
	if (!control || getpid() != owner)
		return OFF;
	return (enum mode)__atomic_load_n(&control->mode, __ATOMIC_ACQUIRE);
}

/* Counts a step; its number, 0 when steps are off. Does not return if this is where to die. */
static uint32_t step_begin(const char *name)
{
	enum mode m = mode();
	uint32_t n;

	if (m == OFF)
		return 0;
	n = __atomic_add_fetch(&control->steps, 1, __ATOMIC_ACQ_REL);
	if (n <= N_NAMES)
		strncpy(control->names[n - 1], name, sizeof(control->names[0]) - 1);
	if (m == KILL_BEFORE && n == control->k)
		kill(owner, SIGKILL);
	return n;
}

static bool step_fails(uint32_t n)
{
	return n && mode() == FAIL_STEP && n == control->k;
}

static void step_end(uint32_t n)
{
	int saved = errno;

	if (n && mode() == KILL_AFTER && n == control->k)
		kill(owner, SIGKILL);
	errno = saved;
}

static bool alloc_fails(void)
{
	enum mode m = mode();

	if (m == OFF)
		return false;
	if (__atomic_add_fetch(&control->allocs, 1, __ATOMIC_ACQ_REL) != control->k)
		return false;
	if (m != FAIL_ALLOC)
		return false;
	errno = ENOMEM;
	return true;
}

/* The body of a wrapper: `call`, or `failure` with errno set when the test wants this one to fail.
 */
#define STEP(type, name, call, error, failure)  \
	do {                                    \
		uint32_t n_ = step_begin(name); \
		type r_;                        \
                                                \
		if (step_fails(n_)) {           \
			errno = (error);        \
			r_ = (failure);         \
		} else {                        \
			r_ = (call);            \
		}                               \
		step_end(n_);                   \
		return r_;                      \
	} while (0)

/* A wrapper for a function whose every call is a step and which fails with -1 and errno. */
#define WRAP(type, fn, params, args, error)                   \
	type __real_##fn params;                              \
	type __wrap_##fn params;                              \
	type __wrap_##fn params                               \
	{                                                     \
		STEP(type, #fn, __real_##fn args, error, -1); \
	}

WRAP(ssize_t, mnl_socket_sendto, (const struct mnl_socket *nl, const void *buf, size_t len),
     (nl, buf, len), ENOBUFS)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags), ENOBUFS)
WRAP(ssize_t, sendto,
     (int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len),
     (fd, buf, len, flags, to, to_len), ENOBUFS)
WRAP(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags),
     ENOBUFS)
WRAP(int, mount,
     (const char *source, const char *target, const char *type, unsigned long flags,
      const void *data),
     (source, target, type, flags, data), ENOMEM)
WRAP(int, umount, (const char *target), (target), EIO)
WRAP(int, umount2, (const char *target, int flags), (target, flags), EIO)
WRAP(int, rename, (const char *from, const char *to), (from, to), ENOSPC)
WRAP(int, renameat, (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to), ENOSPC)
WRAP(int, unlink, (const char *path), (path), EIO)
WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), EIO)
WRAP(int, mkdir, (const char *path, mode_t m), (path, m), ENOSPC)
WRAP(int, mkdirat, (int fd, const char *path, mode_t m), (fd, path, m), ENOSPC)
WRAP(int, rmdir, (const char *path), (path), EIO)
WRAP(int, symlink, (const char *to, const char *path), (to, path), ENOSPC)
WRAP(int, link, (const char *from, const char *to), (from, to), ENOSPC)
WRAP(int, unshare, (int flags), (flags), ENOSPC)
WRAP(int, setns, (int fd, int type), (fd, type), ENOMEM)
WRAP(int, ftruncate, (int fd, off_t len), (fd, len), EIO)
WRAP(int, ftruncate64, (int fd, off_t len), (fd, len), EIO)
WRAP(int, fsync, (int fd), (fd), EIO)
WRAP(int, fdatasync, (int fd), (fd), EIO)
WRAP(pid_t, fork, (void), (), EAGAIN)

/* These hand back the error instead of setting errno. */
#define WRAP_SPAWN(fn)                                                                             \
	int __real_##fn(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,   \
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);    \
	int __wrap_##fn(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,   \
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);    \
	int __wrap_##fn(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,   \
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])     \
	{                                                                                          \
		STEP(int, #fn, __real_##fn(pid, file, actions, attr, argv, envp), EAGAIN, EAGAIN); \
	}
WRAP_SPAWN(posix_spawn)
WRAP_SPAWN(posix_spawnp)

/* Opening is a step when it may make or change a file: /proc/sys and our own files. */
#define WRAP_OPEN(fn, params, args)                                     \
	int __real_##fn params;                                         \
	int __wrap_##fn params;                                         \
	int __wrap_##fn params                                          \
	{                                                               \
		mode_t m = 0;                                           \
		va_list ap;                                             \
                                                                        \
		if (flags & (O_CREAT | O_TMPFILE)) {                    \
			va_start(ap, flags);                            \
			m = va_arg(ap, mode_t);                         \
			va_end(ap);                                     \
		}                                                       \
		if (!(flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR))) \
			return __real_##fn args;                        \
		STEP(int, #fn, __real_##fn args, ENOSPC, -1);           \
	}
WRAP_OPEN(open, (const char *path, int flags, ...), (path, flags, m))
WRAP_OPEN(open64, (const char *path, int flags, ...), (path, flags, m))
WRAP_OPEN(openat, (int fd, const char *path, int flags, ...), (fd, path, flags, m))
WRAP_OPEN(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, m))

#define WRAP_FOPEN(fn)                                                   \
	FILE *__real_##fn(const char *path, const char *how);            \
	FILE *__wrap_##fn(const char *path, const char *how);            \
	FILE *__wrap_##fn(const char *path, const char *how)             \
	{                                                                \
		if (!strpbrk(how, "wa+"))                                \
			return __real_##fn(path, how);                   \
		STEP(FILE *, #fn, __real_##fn(path, how), ENOSPC, NULL); \
	}
WRAP_FOPEN(fopen)
WRAP_FOPEN(fopen64)

#define WRAP_MKSTEMP(fn)                                              \
	int __real_##fn(char *path, int flags);                       \
	int __wrap_##fn(char *path, int flags);                       \
	int __wrap_##fn(char *path, int flags)                        \
	{                                                             \
		STEP(int, #fn, __real_##fn(path, flags), ENOSPC, -1); \
	}
WRAP_MKSTEMP(mkostemp)
WRAP_MKSTEMP(mkostemp64)

/* Writing to a file or a socket is a step; waking one's own threads (eventfd, pipe) is none. */
static bool is_outward(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode));
}

ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	if (mode() == OFF || !is_outward(fd))
		return __real_write(fd, buf, len);
	STEP(ssize_t, "write", __real_write(fd, buf, len), EIO, -1);
}

ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	if (mode() == OFF || !is_outward(fd))
		return __real_writev(fd, iov, n);
	STEP(ssize_t, "writev", __real_writev(fd, iov, n), EIO, -1);
}

static bool only_reads(const char *sql)
{
	return sql && (strncasecmp(sql, "SELECT", 6) == 0 || strncasecmp(sql, "PRAGMA", 6) == 0);
}

int __real_sqlite3_step(sqlite3_stmt *stmt);
int __wrap_sqlite3_step(sqlite3_stmt *stmt);
int __wrap_sqlite3_step(sqlite3_stmt *stmt)
{
	if (only_reads(sqlite3_sql(stmt)))
		return __real_sqlite3_step(stmt);
	STEP(int, "sqlite3_step", __real_sqlite3_step(stmt), ENOSPC, SQLITE_FULL);
}

int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
			void *arg, char **ret_text);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
			void *arg, char **ret_text);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
			void *arg, char **ret_text)
{
	/* Undoing must be possible, or nothing could ever be told from nothing. */
	if (only_reads(sql) || strncasecmp(sql, "ROLLBACK", 8) == 0)
		return __real_sqlite3_exec(db, sql, fn, arg, ret_text);
	STEP(int, "sqlite3_exec", __real_sqlite3_exec(db, sql, fn, arg, ret_text), ENOSPC,
	     SQLITE_FULL);
}

/* ---- allocations */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return alloc_fails() ? NULL : __real_malloc(size);
}

/*
 * What jansson allocates for us is counted, but not what its parser does: jansson 2.14 ignores that
 * its buffer could not grow, and writes beyond it.
 */
static __thread bool in_parser;

static void *counted_malloc(size_t size)
{
	return in_parser ? __real_malloc(size) : __wrap_malloc(size);
}

json_t *__real_json_loadb(const char *buf, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *buf, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *buf, size_t len, size_t flags, json_error_t *error)
{
	json_t *r;

	in_parser = true;
	r = __real_json_loadb(buf, len, flags, error);
	in_parser = false;
	return r;
}

json_t *__real_json_loads(const char *text, size_t flags, json_error_t *error);
json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error);
json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error)
{
	json_t *r;

	in_parser = true;
	r = __real_json_loads(text, flags, error);
	in_parser = false;
	return r;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
	return alloc_fails() ? NULL : __real_realloc(p, size);
}

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
	return alloc_fails() ? NULL : __real_strdup(s);
}

char *__real_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n)
{
	return alloc_fails() ? NULL : __real_strndup(s, n);
}

int __real_vasprintf(char **ret, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
	return alloc_fails() ? -1 : __real_vasprintf(ret, fmt, ap);
}

int __wrap_asprintf(char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = __wrap_vasprintf(ret, fmt, ap);
	va_end(ap);
	return r;
}
