/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Docker's frames, taken apart: {stream, 0, 0, 0, length as 32 bits, big endian} and the bytes. */
#ifndef CNM_DEMUX_H
#define CNM_DEMUX_H

#include <stddef.h>
#include <stdint.h>

#include "cnm/error.h"

/* Zero-initialised. */
struct demux {
	unsigned char head[8];
	unsigned n_head; /* bytes of it that have come */
	uint32_t left;   /* bytes of the frame to come */
};

/* Write all of it, to a descriptor that may be non-blocking. The error is -EPIPE if nobody reads.
 */
int write_all(int fd, const char *data, size_t n, struct cnm_error *err);
/* Write what the frames hold to standard output and standard error. */
int demux_feed(struct demux *d, const char *data, size_t n, struct cnm_error *err);

#endif
