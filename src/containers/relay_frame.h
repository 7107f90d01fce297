/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Docker's stream frames, and detach keys in a terminal's input. No I/O, no state of its own. */
#ifndef CONTAINERS_RELAY_FRAME_H
#define CONTAINERS_RELAY_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#define FRAME_HEAD 8
enum frame_stream { FRAME_STDOUT = 1, FRAME_STDERR = 2 };

/* The head of a frame of n bytes. */
void frame_head(unsigned char head[static FRAME_HEAD], enum frame_stream stream, size_t n);

#define DETACH_MAX 16

/* Finds the keys in what is typed, however it is cut. Zero-initialised but for keys and n. */
struct detach {
	unsigned char keys[DETACH_MAX];
	unsigned n;    /* 0: there are none */
	unsigned held; /* so many of keys were typed and are held back */
};

/*
 * Copies n bytes to out, which has room for DETACH_MAX more and may be in - DETACH_MAX. What may be
 * the beginning of the keys is held back; when it turns out not to be, it comes in full before what
 * follows. *ret_found: the keys were typed; they and what follows are not copied. Returns the
 * number of bytes written.
 */
size_t detach_filter(struct detach *d, unsigned char *out, const unsigned char *in, size_t n,
		     bool *ret_found);
/* No more input: what is held back, at most DETACH_MAX bytes. */
size_t detach_flush(struct detach *d, unsigned char *out);

#endif
