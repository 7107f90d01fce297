/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See relay_frame.h. */
#include "containers/relay_frame.h"

#include <stdint.h>
#include <string.h>

void frame_head(unsigned char head[static FRAME_HEAD], enum frame_stream stream, size_t n)
{
	uint32_t size = (uint32_t)n;

	head[0] = (unsigned char)stream;
	head[1] = head[2] = head[3] = 0;
	head[4] = (unsigned char)(size >> 24);
	head[5] = (unsigned char)(size >> 16);
	head[6] = (unsigned char)(size >> 8);
	head[7] = (unsigned char)size;
}

size_t detach_flush(struct detach *d, unsigned char *out)
{
	size_t n = d->held;

	memcpy(out, d->keys, n);
	d->held = 0;
	return n;
}

/* As Docker does it: the byte that breaks a beginning of the keys is not looked at as another. */
size_t detach_filter(struct detach *d, unsigned char *out, const unsigned char *in, size_t n,
		     bool *ret_found)
{
	size_t written = 0;

	*ret_found = false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = in[i]; /* before what is held is written, maybe over it */

		if (d->n && c == d->keys[d->held]) {
			if (++d->held < d->n)
				continue;
			d->held = 0;
			*ret_found = true;
			break;
		}
		written += detach_flush(d, out + written);
		out[written++] = c;
	}
	return written;
}
