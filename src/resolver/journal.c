/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries that stay in the socket's buffer until they are answered.
 *
 * The kernel's offset counts bytes: a peek advances it by the length of the datagram, if MSG_TRUNC
 * says that the length counts and not what was copied, and taking one out moves it back by the
 * same. Datagrams whose checksum is wrong are discarded by the peek that would have returned them.
 * So the numbers, which count from the first that is in the buffer, agree with the offset.
 *
 * An empty datagram advances nothing. The kernel marks it as peeked, and a peek at an offset passes
 * over those that are: also those which another daemon peeked at. So they can be counted neither
 * when they are read nor when they are taken out, and go with the next query that is behind them.
 * When there is none, they are looked for without the offset, lest they fill the buffer.
 */
#include "resolver/journal.h"

#include <errno.h>
#include <string.h>

#define EMPTY_MAX 256 /* taken out in one go, about as many as a buffer holds */

static uint64_t bit(uint32_t number)
{
	return 1ull << number % 64;
}

static uint64_t *word(struct journal *j, uint32_t number)
{
	return &j->done[number / 64 % 2];
}

static bool set_offset(int fd, int offset)
{
	return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) == 0;
}

/* With no query in the buffer: the empty datagrams there. Nobody else takes anything out. */
static void drop_empty(struct journal *j, int fd)
{
	unsigned n = 0;

	set_offset(fd, -1);
	while (n < EMPTY_MAX && recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) == 0) {
		recv(fd, NULL, 0, MSG_DONTWAIT);
		n++;
	}
	j->empty = n == EMPTY_MAX;
	j->peeks = set_offset(fd, 0);
}

void journal_open(struct journal *j, int fd)
{
	j->first = j->next;
	memset(j->done, 0, sizeof(j->done));
	drop_empty(j, fd);
}

/* Moves the empty ones behind the others; how many those are. */
static unsigned leave_out_empty(struct mmsghdr *msgs, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct mmsghdr m = msgs[i];

		if (m.msg_len == 0)
			continue;
		if (i != kept) {
			msgs[i] = msgs[kept];
			msgs[kept] = m;
		}
		kept++;
	}
	return kept;
}

unsigned journal_read(struct journal *j, int fd, struct mmsghdr *msgs, unsigned n,
		      uint32_t *ret_number)
{
	int flags = (j->peeks ? MSG_PEEK : 0) | MSG_TRUNC | MSG_DONTWAIT;
	unsigned kept;
	int got;

	if (n > JOURNAL_MAX)
		n = JOURNAL_MAX;
	got = recvmmsg(fd, msgs, n, flags, NULL);
	/* An error of an earlier packet is told once. */
	if (got < 0 && errno != EAGAIN)
		got = recvmmsg(fd, msgs, n, flags, NULL);
	j->more = got == (int)n;
	*ret_number = j->next;
	if (got <= 0)
		return 0;
	kept = leave_out_empty(msgs, (unsigned)got);
	if (!j->peeks)
		return kept;
	j->empty |= kept < (unsigned)got;
	j->next += kept;
	return kept;
}

void journal_done(struct journal *j, uint32_t number)
{
	if (number - j->first < j->next - j->first)
		*word(j, number) |= bit(number);
}

/* The first n that are not empty. */
static void take_out(int fd, unsigned n)
{
	struct mmsghdr msgs[2 * JOURNAL_MAX];

	while (n) {
		int got;

		memset(msgs, 0, n * sizeof(*msgs));
		got = recvmmsg(fd, msgs, n, MSG_TRUNC | MSG_DONTWAIT, NULL);
		if (got <= 0)
			return;
		for (int i = 0; i < got; i++)
			n -= msgs[i].msg_len > 0;
	}
}

void journal_clear(struct journal *j, int fd)
{
	unsigned n = 0;

	for (; j->first != j->next; j->first++, n++) {
		if (!(*word(j, j->first) & bit(j->first)) && j->next - j->first <= JOURNAL_MAX)
			break;
		*word(j, j->first) &= ~bit(j->first);
	}
	if (n)
		take_out(fd, n);
	if (j->empty && j->first == j->next)
		drop_empty(j, fd);
}
