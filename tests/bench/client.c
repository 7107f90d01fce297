/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client: times requests to an HTTP server on a unix socket, over a connection that stays open.
 *
 *   client SOCKET
 *
 * Reads commands from standard input, a line each:
 *
 *   METHOD PATH [BODY]     one request; answered by "STATUS START END LENGTH" and a newline, then
 *                          LENGTH bytes of body. Times are CLOCK_MONOTONIC in nanoseconds: before
 *                          the first byte is sent and after the last is received.
 *   retry METHOD PATH      the same, on a new connection, again and again until something answers
 *   many N [K]             the N times K lines that follow are requests: K (1 if not given) are
 *                          sent one after the other on each of N connections, which work all at
 *                          once. In a path "$" is the Id that the answer before gave. Answered as
 *                          one request, by the worst of the last answers
 *
 * STATUS is 0 if there was no connection, or no answer for half a minute. An answer has a
 * Content-Length, is chunked, or ends with its connection.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_MANY      256 /* requests */
#define MAX_MANY_LINE 1024
#define GIVE_UP_S     30

struct connection {
	int fd; /* -1: none */
	char *buf;
	size_t len, size;
	size_t body; /* where the body starts in buf, once the head is whole; else 0 */
	size_t want; /* of the body; of a chunked one what has been seen */
	bool chunked, endless, done; /* endless: up to the end of the connection */
	int status;
};

static const char *path;
static struct connection main_connection = { .fd = -1 };

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void close_connection(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static int open_connection(struct connection *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval give_up = { .tv_sec = GIVE_UP_S };

	if (c->fd >= 0)
		return 0;
	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &give_up, sizeof(give_up));
	if (connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	close_connection(c);
	return -1;
}

static int send_all(int fd, const char *data, size_t len, int flags)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL | flags);

		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Split "METHOD PATH [BODY]" and send it. */
static int send_request(struct connection *c, char *line)
{
	char *target = strchr(line, ' '), *body;
	char head[MAX_MANY_LINE + 256];
	size_t n_body;
	int n;

	if (!target)
		errno = EINVAL, die(line);
	*target++ = '\0';
	body = strchr(target, ' ');
	if (body)
		*body++ = '\0';
	c->len = c->body = c->want = 0;
	c->status = 0;
	c->chunked = c->endless = c->done = false;
	n_body = body ? strlen(body) : 0;
	n = snprintf(head, sizeof(head),
		     "%s %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
		     "Content-Length: %zu\r\n\r\n",
		     line, target, n_body);
	if (n < 0 || (size_t)n >= sizeof(head))
		errno = EMSGSIZE, die(line);
	if (n_body && (size_t)n + n_body < sizeof(head)) { /* a small one in one piece */
		memcpy(head + n, body, n_body);
		return send_all(c->fd, head, (size_t)n + n_body, 0);
	}
	if (send_all(c->fd, head, (size_t)n, n_body ? MSG_MORE : 0) < 0)
		return -1;
	return send_all(c->fd, body, n_body, 0);
}

static const char *header(const struct connection *c, const char *name)
{
	const char *found = strcasestr(c->buf, name);

	return found && found < c->buf + c->body ? found + strlen(name) : NULL;
}

static void read_head(struct connection *c)
{
	const char *end = strstr(c->buf, "\r\n\r\n"), *value;

	if (!end)
		return;
	c->body = (size_t)(end + 4 - c->buf);
	sscanf(c->buf, "HTTP/1.%*d %d", &c->status);
	value = header(c, "\r\nContent-Length:");
	c->want = value ? strtoul(value, NULL, 10) : 0;
	c->chunked = header(c, "\r\nTransfer-Encoding: chunked");
	c->endless = !value && !c->chunked && c->status != 204 && c->status != 304;
}

/* The pieces of a chunked body become one. */
static void join_chunks(struct connection *c)
{
	char *to = c->buf + c->body, *from = to, *data, *end = c->buf + c->len;
	size_t n;

	while ((n = strtoul(from, &data, 16)) && (data = strstr(data, "\r\n")) &&
	       n <= (size_t)(end - data - 2)) {
		memmove(to, data + 2, n);
		to += n;
		from = data + 2 + n;
	}
	*to = '\0';
	c->len = (size_t)(to - c->buf);
}

/* Take what has arrived. */
static int receive(struct connection *c)
{
	ssize_t n;

	if (c->size - c->len < 16384) {
		c->size = c->size ? 2 * c->size : 65536;
		c->buf = realloc(c->buf, c->size);
		if (!c->buf)
			die("receive");
	}
	n = recv(c->fd, c->buf + c->len, c->size - c->len - 1, 0);
	c->done = n == 0 && c->endless;
	if (n <= 0)
		return c->done ? 0 : -1;
	c->len += (size_t)n;
	c->buf[c->len] = '\0';
	if (!c->body)
		read_head(c);
	if (!c->body)
		return 0;
	if (c->chunked) {
		c->done = c->len - c->body >= 5 && strcmp(c->buf + c->len - 5, "0\r\n\r\n") == 0;
		if (c->done)
			join_chunks(c);
	} else {
		c->done = !c->endless && c->len - c->body >= c->want;
	}
	return 0;
}

/* A server may have closed an idle connection: that costs a second try, with its own time. */
static bool try_request(struct connection *c, const char *line, long long *ret_start)
{
	char *copy = strdup(line);
	bool was_open = c->fd >= 0;

	if (!copy)
		die("a request");
	*ret_start = now_ns();
	if (open_connection(c) < 0) {
		free(copy);
		return false;
	}
	if (send_request(c, copy) == 0)
		while (!c->done)
			if (receive(c) < 0)
				break;
	free(copy);
	if (c->done)
		return true;
	close_connection(c);
	return was_open && c->len == 0 && try_request(c, line, ret_start);
}

static void say(const struct connection *c, bool answered, long long start)
{
	long long end = now_ns();
	size_t n = answered ? c->len - c->body : 0;

	printf("%d %lld %lld %zu\n", answered ? c->status : 0, start, end, n);
	if (n)
		fwrite(c->buf + c->body, 1, n, stdout);
}

static void run_one(const char *line)
{
	long long start;
	bool answered = try_request(&main_connection, line, &start);

	say(&main_connection, answered, start);
}

static void run_retry(const char *line)
{
	long long first = now_ns(), start;
	bool answered = false;

	close_connection(&main_connection);
	while (!answered && now_ns() - first < GIVE_UP_S * 1000000000LL) {
		answered = try_request(&main_connection, line, &start);
		if (!answered)
			usleep(200);
	}
	say(&main_connection, answered, first);
}

/* One of many: a connection, and the requests still to be sent on it. */
struct sequence {
	struct connection connection;
	const char *lines;
	int next, count;
};

static char many_lines[MAX_MANY][MAX_MANY_LINE];

/* "$" in the path becomes the Id of the answer before. */
static void fill_in(const struct connection *c, const char *line, char out[static MAX_MANY_LINE])
{
	static const char key[] = "\"Id\":\"";
	size_t head = strcspn(line, " "), place = strcspn(line, "$");
	const char *id;

	snprintf(out, MAX_MANY_LINE, "%s", line);
	if (!line[place] || place > head + 1 + strcspn(line + head + 1, " "))
		return;
	id = c->body ? strstr(c->buf + c->body, key) : NULL;
	if (!id)
		errno = ENOMSG, die(line);
	id += strlen(key);
	snprintf(out, MAX_MANY_LINE, "%.*s%.*s%s", (int)place, line, (int)strcspn(id, "\""), id,
		 line + place + 1);
}

static void send_next(struct sequence *s)
{
	char line[MAX_MANY_LINE];

	fill_in(&s->connection, s->lines + (size_t)s->next++ * MAX_MANY_LINE, line);
	if (send_request(&s->connection, line) < 0)
		die("send one of many");
}

/* Has the last answer arrived? */
static bool carry_on(struct sequence *s)
{
	struct connection *c = &s->connection;

	if (receive(c) < 0)
		die("an answer of many");
	if (!c->done)
		return false;
	if (s->next == s->count || c->status >= 400)
		return true;
	send_next(s);
	return false;
}

static void open_many(struct sequence *many, struct pollfd *fds, int n)
{
	for (int i = 0; i < n; i++) {
		many[i].connection.fd = -1;
		if (open_connection(&many[i].connection) < 0)
			die("connect");
		fds[i] = (struct pollfd){ .fd = many[i].connection.fd, .events = POLLIN };
	}
}

static void await_many(struct sequence *many, struct pollfd *fds, int n)
{
	int left = n;

	while (left) {
		if (poll(fds, (nfds_t)n, GIVE_UP_S * 1000) <= 0)
			die("poll");
		for (int i = 0; i < n; i++)
			if (fds[i].revents && carry_on(&many[i])) {
				fds[i].fd = -1;
				left--;
			}
	}
}

static void read_many(struct sequence *many, int n, int each)
{
	if (n < 1 || each < 1 || n > MAX_MANY || each > MAX_MANY / n)
		errno = EINVAL, die("many");
	for (int i = 0; i < n * each; i++) {
		if (!fgets(many_lines[i], MAX_MANY_LINE, stdin))
			die("many");
		many_lines[i][strcspn(many_lines[i], "\n")] = '\0';
	}
	for (int i = 0; i < n; i++)
		many[i] = (struct sequence){ .lines = many_lines[i * each], .count = each };
}

static void run_many(int n, int each)
{
	static struct sequence many[MAX_MANY];
	const struct connection *worst = &many[0].connection;
	struct pollfd fds[MAX_MANY];
	long long start;

	read_many(many, n, each);
	open_many(many, fds, n);
	start = now_ns();
	for (int i = 0; i < n; i++)
		send_next(&many[i]);
	await_many(many, fds, n);
	for (int i = 1; i < n; i++)
		if (many[i].connection.status > worst->status)
			worst = &many[i].connection;
	say(worst, true, start);
	for (int i = 0; i < n; i++) {
		close_connection(&many[i].connection);
		free(many[i].connection.buf);
	}
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	int n, each;

	if (argc != 2) {
		fprintf(stderr, "usage: client SOCKET\n");
		return 2;
	}
	path = argv[1];
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		each = 1;
		if (sscanf(line, "many %d %d", &n, &each) > 0)
			run_many(n, each);
		else if (strncmp(line, "retry ", 6) == 0)
			run_retry(line + 6);
		else
			run_one(line);
		fflush(stdout);
	}
	free(line);
	return 0;
}
