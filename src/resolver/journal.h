/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries by UDP stay in their socket's buffer until they are answered. They are read by peeking,
 * from an offset that the socket keeps (SO_PEEK_OFF), and taken out once they are done; so if the
 * daemon is killed in between, the next one, to which the keeper hands the socket, begins at the
 * first that is not. Some are then answered twice, which harms nobody.
 *
 * The buffer gives up its datagrams in order only. While the first waits for somebody else's
 * server, those behind it wait to be taken out; of more than JOURNAL_MAX, the first is taken out
 * whatever became of it, so that no slow server ever fills the buffer.
 *
 * Where the kernel has no such offset, queries are taken out as they are read.
 *
 * As what was answered may still be in the buffer, the socket is readable without anything to be
 * read: it is to be waited for edge-triggered, and again after a read that says `more`.
 */
#ifndef RESOLVER_JOURNAL_H
#define RESOLVER_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define JOURNAL_MAX 64

struct journal {
	uint32_t first, next; /* numbers of the first in the buffer, and of the next to come */
	uint64_t done[2];     /* a bit a query, by its number modulo 128 */
	bool peeks;           /* the socket has an offset */
	bool more;            /* the last read used all the room it had */
	bool empty;           /* there may be empty datagrams in the buffer, which have no number */
};

/*
 * Of a socket that may have been peeked at by another daemon: begin at its first datagram. j is
 * zeroed, or was open on another socket: numbers it gave out are not given again.
 */
void journal_open(struct journal *j, int fd);
/*
 * As recvmmsg(), but they stay; at most n, and no more than JOURNAL_MAX. msg_len is the length of
 * the datagram even where the buffer is shorter. *ret_number is that of the first of them; those
 * after it follow. Returns how many, 0 if there are none. Empty datagrams are left out, for which
 * the entries of msgs may change their places.
 */
unsigned journal_read(struct journal *j, int fd, struct mmsghdr *msgs, unsigned n,
		      uint32_t *ret_number);
/* This one needs to stay no longer; one that was taken out already is passed over. */
void journal_done(struct journal *j, uint32_t number);
/* Take out of the buffer what can be. Once after each read, and after a round of journal_done(). */
void journal_clear(struct journal *j, int fd);

#endif
