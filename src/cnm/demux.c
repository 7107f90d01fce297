/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/demux.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Streams of a frame: 0 and 1 are standard output, 2 standard error, 3 what the daemon says. */
#define STREAM_MAX 3

int write_all(int fd, const char *data, size_t n, struct cnm_error *err)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	while (n > 0) {
		ssize_t written = write(fd, data, n);

		if (written < 0 && errno == EAGAIN)
			poll(&p, 1, -1);
		else if (written < 0 && errno != EINTR)
			return cnm_error_errno(err, errno, "write the output");
		if (written > 0) {
			data += written;
			n -= (size_t)written;
		}
	}
	return 0;
}

static int read_head(struct demux *d, unsigned char byte, struct cnm_error *err)
{
	const unsigned char *h = d->head;

	d->head[d->n_head++] = byte;
	if (d->n_head < sizeof(d->head))
		return 0;
	if (h[0] > STREAM_MAX)
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "the daemon sent no frame of output (stream %u)", h[0]);
	d->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
	if (d->left == 0)
		d->n_head = 0;
	return 0;
}

int demux_feed(struct demux *d, const char *data, size_t n, struct cnm_error *err)
{
	int r = 0;

	while (r == 0 && n > 0) {
		size_t part = 1;

		if (d->n_head < sizeof(d->head)) {
			r = read_head(d, (unsigned char)*data, err);
		} else {
			part = n < d->left ? n : d->left;
			r = write_all(d->head[0] < 2 ? STDOUT_FILENO : STDERR_FILENO, data, part,
				      err);
			d->left -= (uint32_t)part;
			if (d->left == 0)
				d->n_head = 0;
		}
		data += part;
		n -= part;
	}
	return r;
}
