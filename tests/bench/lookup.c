/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lookup: asks a DNS server for A records by UDP, one query at a time, and times each; or as many
 * as the server can answer.
 *
 *   lookup NETNS SERVER [SOCKET]
 *
 * Commands on standard input, a line each, each answered by a line:
 *
 *   ask N NAME ADDRESS
 *       N queries from NETNS, one after the other; in NAME "%" is a number that no other query
 *       had. Answered by "MEDIAN P99 WRONG": the times in nanoseconds, from before the query is
 *       sent until the reply is there, and how many replies had another address than this or
 *       did not come.
 *
 *   flood MILLISECONDS OUTSTANDING NAME ADDRESS
 *       Queries for so long, so many of them on their way at any time, sent and received up to 64
 *       by one call, which costs less than the server's part. Answered by "REPLIES NS WRONG": how
 *       many came in how many nanoseconds; how many were wrong or did not come.
 *
 *   join NETNS ADDRESS NAME[,NAME...] METHOD PATH BODY
 *       A request to the API at SOCKET, and then at once, from the namespace NETNS ("-" for that
 *       of the program), a query for each NAME. Answered by "STATUS TIME WRONG": the status of
 *       the API's answer; nanoseconds from that to the first right reply for the first name;
 *       how many of all the replies up to then and for the other names were wrong or did not come.
 *
 *   reach NETNS ADDRESS NAME METHOD PATH BODY
 *       The same with one NAME, asked every 100 us, and then an ICMP echo to ADDRESS from NETNS
 *       every millisecond until one is answered: TIME is that of the answer, and negative if
 *       there was none. One more word: nanoseconds until the API's answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE   4096
#define ANSWER    65536
#define MAX_ASKED 100000
#define BATCH     64
#define WAIT_S    2  /* for a reply */
#define GIVE_UP_S 10 /* for a right one, or for the API */

static struct sockaddr_in server = { .sin_family = AF_INET };
static const char *api_path;
static int main_socket;
static unsigned long long number;
static uint16_t query_id;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "lookup: %s: %s\n", what, strerror(errno));
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

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* ------------------------------------------------------------------------------------ a query */

static int open_asking(const char *netns)
{
	struct timeval wait = { .tv_sec = WAIT_S };
	int fd;

	enter(netns);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	    connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		die("a socket to ask by");
	return fd;
}

static size_t make_query(uint8_t m[static MESSAGE], const char *name)
{
	static const uint8_t tail[] = { 0, 0, 1, 0, 1 }; /* the root, A, IN */
	size_t pos = 12;

	if (strlen(name) > 250)
		errno = ENAMETOOLONG, die(name);
	query_id++;
	memset(m, 0, 12);
	m[0] = (uint8_t)(query_id >> 8);
	m[1] = (uint8_t)query_id;
	m[2] = m[5] = 1; /* recursion is desired; one question */
	while (*name) {
		size_t label = strcspn(name, ".");

		m[pos++] = (uint8_t)label;
		memcpy(m + pos, name, label);
		pos += label;
		name += label + (name[label] == '.');
	}
	memcpy(m + pos, tail, sizeof(tail));
	return pos + sizeof(tail);
}

/* Past a name; it may lead beyond the end. */
static size_t skip_name(const uint8_t *m, size_t len, size_t pos)
{
	while (pos < len && m[pos] && m[pos] < 0xc0)
		pos += 1u + m[pos];
	return pos + (pos < len && m[pos] ? 2 : 1);
}

/* Is it a reply with this address? */
static bool is_right(const uint8_t *m, size_t len, struct in_addr want)
{
	size_t pos;

	if (len < 12 || !(m[2] & 0x80) || m[3] & 15)
		return false;
	pos = skip_name(m, len, 12) + 4;
	for (unsigned left = (unsigned)(m[6] << 8 | m[7]); left; left--) {
		pos = skip_name(m, len, pos);
		if (pos + 14 > len)
			return false;
		if (m[pos + 1] == 1 && m[pos + 9] == 4 && memcmp(m + pos + 10, &want, 4) == 0)
			return true;
		pos += 10u + (size_t)(m[pos + 8] << 8 | m[pos + 9]);
	}
	return false;
}

static bool ask_one(int fd, const char *name, struct in_addr want)
{
	uint8_t m[MESSAGE];
	size_t len = make_query(m, name);
	ssize_t n;

	if (send(fd, m, len, 0) < 0)
		return false;
	do /* what comes late, after it was given up, is no reply to this one */
		n = recv(fd, m, sizeof(m), 0);
	while (n >= 2 && (m[0] << 8 | m[1]) != query_id);
	return n > 0 && is_right(m, (size_t)n, want);
}

/* ------------------------------------------------------------------------------------ ask */

static int compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

static void fill_in(char out[static 512], const char *name)
{
	size_t head = strcspn(name, "%");

	if (name[head])
		snprintf(out, 512, "%.*s%llu%s", (int)head, name, number++, name + head + 1);
	else
		snprintf(out, 512, "%s", name);
}

static void ask(int n, const char *pattern, struct in_addr want)
{
	static long long times[MAX_ASKED];
	int wrong = 0;

	if (n < 1 || n > MAX_ASKED)
		errno = EINVAL, die("ask");
	for (int i = 0; i < n; i++) {
		char name[512];
		long long start;

		fill_in(name, pattern);
		start = now_ns();
		wrong += !ask_one(main_socket, name, want);
		times[i] = now_ns() - start;
	}
	qsort(times, (size_t)n, sizeof(*times), compare);
	printf("%lld %lld %d\n", times[n / 2], times[n - 1 - n / 100], wrong);
}

/* ------------------------------------------------------------------------------------ flood */

static struct mmsghdr out[BATCH], in[BATCH];
static struct iovec out_iov[BATCH], in_iov[BATCH];
static uint8_t out_data[BATCH][MESSAGE], in_data[BATCH][MESSAGE];

static void prepare_flood(void)
{
	for (int i = 0; i < BATCH; i++) {
		in_iov[i] = (struct iovec){ in_data[i], MESSAGE };
		in[i].msg_hdr = (struct msghdr){ .msg_iov = &in_iov[i], .msg_iovlen = 1 };
		out[i].msg_hdr = (struct msghdr){ .msg_iov = &out_iov[i], .msg_iovlen = 1 };
	}
}

/* So many queries; a server that is not there makes them fail, and is found out by what comes. */
static void send_queries(long long n, const char *name)
{
	while (n > 0) {
		unsigned some = n < BATCH ? (unsigned)n : BATCH;

		for (unsigned i = 0; i < some; i++)
			out_iov[i] = (struct iovec){ out_data[i], make_query(out_data[i], name) };
		sendmmsg(main_socket, out, some, 0);
		n -= some;
	}
}

/* At least one, or none within the time to wait. */
static int receive_replies(struct in_addr want, long long *ret_wrong)
{
	int n = recvmmsg(main_socket, in, BATCH, MSG_WAITFORONE, NULL);

	for (int i = 0; i < n; i++)
		*ret_wrong += !is_right(in_data[i], in[i].msg_len, want);
	return n;
}

static void flood(int ms, long long outstanding, const char *name, struct in_addr want)
{
	long long start = now_ns(), end = start + ms * 1000000LL, now = start;
	long long sent = 0, got = 0, wrong = 0, due = outstanding;
	int n = 0;

	prepare_flood();
	for (; got < sent || now < end; now = now_ns()) {
		if (now >= end)
			due = 0;
		send_queries(due, name);
		sent += due;
		n = receive_replies(want, &wrong);
		if (n <= 0)
			break;
		got += due = n;
	}
	printf("%lld %lld %lld\n", got, now_ns() - start, wrong + sent - got);
}

/* ------------------------------------------------------------------------------------ join */

static int open_api(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval give_up = { .tv_sec = GIVE_UP_S };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(addr.sun_path, api_path, sizeof(addr.sun_path) - 1);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &give_up, sizeof(give_up)) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die(api_path);
	return fd;
}

/* Does the text hold a whole answer of HTTP? */
static bool is_whole(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n"),
		   *length = strcasestr(text, "\r\nContent-Length:");

	return end &&
	       (!length || length > end || strlen(end + 4) >= strtoul(length + 17, NULL, 10));
}

/* The request is sent and answered; the status. */
static int request(int fd, char *method, char *path, const char *body)
{
	static char text[ANSWER];
	size_t len = 0;
	int status = 0;

	snprintf(text, sizeof(text),
		 "%s %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
		 "Content-Length: %zu\r\n\r\n%s",
		 method, path, strlen(body), body);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		die("send the request");
	do {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);

		if (n <= 0)
			die("the API's answer");
		len += (size_t)n;
		text[len] = '\0';
	} while (!is_whole(text));
	sscanf(text, "HTTP/1.%*d %d", &status);
	return status;
}

static void join(const char *netns, struct in_addr want, char *names, char *words[static 3])
{
	int asking = strcmp(netns, "-") == 0 ? main_socket : open_asking(netns);
	int api = open_api(), wrong = 0;
	int status = request(api, words[0], words[1], words[2]);
	long long answered = now_ns(), first;
	const char *name = strtok(names, ",");

	while (!ask_one(asking, name, want) && ++wrong &&
	       now_ns() - answered < GIVE_UP_S * 1000000000LL)
		;
	first = now_ns() - answered;
	while ((name = strtok(NULL, ",")))
		wrong += !ask_one(asking, name, want);
	printf("%d %lld %d\n", status, first, wrong);
	close(api);
	if (asking != main_socket)
		close(asking);
}

/* ------------------------------------------------------------------------------------ reach */

static bool echo(int fd, struct in_addr to, uint16_t sequence)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = to };
	struct icmphdr m = { .type = ICMP_ECHO, .un.echo.sequence = sequence };
	uint8_t got[128];
	ssize_t n;

	if (sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return false;
	n = recv(fd, got, sizeof(got), 0);
	return n >= (ssize_t)sizeof(m) && got[0] == ICMP_ECHOREPLY;
}

static int open_echoing(const char *netns)
{
	struct timeval wait = { .tv_usec = 1000 };
	int fd;

	enter(netns);
	write_text("/proc/sys/net/ipv4/ping_group_range", "0 0");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		die("a socket for echoes");
	return fd;
}

static void reach(const char *netns, struct in_addr want, const char *name, char *words[static 3])
{
	int echoing = open_echoing(netns), asking = open_asking(netns), api = open_api(), wrong = 0;
	long long asked = now_ns();
	int status = request(api, words[0], words[1], words[2]);
	long long answered = now_ns(), give_up = answered + GIVE_UP_S * 1000000000LL;
	uint16_t sequence = 0;

	while (!ask_one(asking, name, want) && ++wrong && now_ns() < give_up)
		usleep(100);
	while (!echo(echoing, want, htons(++sequence)) && ++wrong && now_ns() < give_up)
		;
	printf("%d %lld %d %lld\n", status, now_ns() < give_up ? now_ns() - answered : -1, wrong,
	       answered - asked);
	close(api);
	close(asking);
	close(echoing);
}

/* ------------------------------------------------------------------------------------ */

/* Splits the line at its first blanks; what is not there is "". */
static void split(char *line, char **words, int n)
{
	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < n; i++) {
		words[i] = line;
		if (i == n - 1)
			break;
		line += strcspn(line, " ");
		if (*line)
			*line++ = '\0';
	}
}

static struct in_addr address_of(const char *text)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		errno = EINVAL, die(text);
	return address;
}

static void run(char *line)
{
	char *words[7];

	if (strncmp(line, "ask ", 4) == 0) {
		split(line, words, 4);
		ask(atoi(words[1]), words[2], address_of(words[3]));
	} else if (strncmp(line, "flood ", 6) == 0) {
		split(line, words, 5);
		flood(atoi(words[1]), atoi(words[2]), words[3], address_of(words[4]));
	} else if (strncmp(line, "join ", 5) == 0 && api_path) {
		split(line, words, 7);
		join(words[1], address_of(words[2]), words[3], words + 4);
	} else if (strncmp(line, "reach ", 6) == 0 && api_path) {
		split(line, words, 7);
		reach(words[1], address_of(words[2]), words[3], words + 4);
	} else {
		errno = EINVAL;
		die(line);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: lookup NETNS SERVER [SOCKET]\n");
		return 2;
	}
	server.sin_addr = address_of(argv[2]);
	server.sin_port = htons(53);
	api_path = argv[3]; /* or NULL */
	main_socket = open_asking(argv[1]);
	while (getline(&line, &size, stdin) > 0)
		run(line);
	free(line);
	return 0;
}
