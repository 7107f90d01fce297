/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: a container's log, its records and where its last lines begin. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "containers/logs_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a record says of itself is within it. */
static void check_record(const char *s, size_t n)
{
	char time[LOG_TIME_SIZE];
	struct log_line l;
	int64_t ns;

	if (!log_line_parse(s, n, &l))
		return;
	if (l.time != s || l.text != s + LOG_HEAD || l.n_text != n - LOG_HEAD)
		abort();
	if (log_line_time(&l, &ns) == 0 && log_time_format(ns, time) != strlen(time))
		abort();
}

/* More lines begin earlier, and always at a record. */
static void check_tail(const uint8_t *data, size_t size)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	off_t before = (off_t)size;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	for (int64_t lines = 0; lines < 5; lines++) {
		off_t at = log_tail(fd, (off_t)size, lines);

		if (at < 0 || at > before || (at > 0 && data[at - 1] != '\n'))
			abort();
		before = at;
	}
	if (log_tail(fd, (off_t)size, INT64_MAX) != 0 || log_tail(fd, (off_t)size + 1, 1) >= 0)
		abort();
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data, *end = s + size, *newline;

	for (; s < end && (newline = memchr(s, '\n', (size_t)(end - s))); s = newline + 1) {
		/* By itself, so that reading beyond its end is found. */
		size_t n = (size_t)(newline - s);
		char *record = malloc(n ? n : 1);

		memcpy(record, s, n);
		check_record(record, n);
		free(record);
	}
	check_tail(data, size);
	return 0;
}
