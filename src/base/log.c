/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log. A record is formatted on the stack and leaves in one write, so records of different
 * threads never mix. The lock guards only the pair of sink and argument and is not held while the
 * sink runs.
 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 4096

struct sink {
	void (*fn)(int level, const char *line, void *arg);
	void *arg;
};

static atomic_int max_level = LOG_LEVEL_INFO;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sink current_sink;
static pthread_once_t journal_once = PTHREAD_ONCE_INIT;
static bool to_journal;

void log_set_level(enum log_level max)
{
	max_level = max;
}

void log_set_sink(void (*sink)(int level, const char *line, void *arg), void *arg)
{
	pthread_mutex_lock(&sink_lock);
	current_sink = (struct sink){ .fn = sink, .arg = arg };
	pthread_mutex_unlock(&sink_lock);
}

/* systemd tells the device and inode of the stream it connected, so a redirected stderr differs. */
static void find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	to_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "unknown";
}

static void write_stderr(enum log_level level, const char *line)
{
	char record[LINE_MAX_BYTES + 80], now[TIME_STR];
	int n;

	pthread_once(&journal_once, find_journal);
	if (to_journal)
		n = snprintf(record, sizeof(record), "<%d>%s\n", level, line);
	else
		n = snprintf(record, sizeof(record), "%s %s: %s\n",
			     clock_format(clock_wall_ns(), now), level_word(level), line);
	/* A log that cannot be written has nobody to tell. */
	if (n > 0 && write(STDERR_FILENO, record, (size_t)n) < 0)
		return;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	int saved = errno, n;
	struct sink sink;
	va_list ap;

	if ((int)level > max_level)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0)
		line[0] = '\0';
	if (n >= (int)sizeof(line))
		strcpy(line + sizeof(line) - sizeof("..."), "...");
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';

	pthread_mutex_lock(&sink_lock);
	sink = current_sink;
	pthread_mutex_unlock(&sink_lock);
	if (sink.fn)
		sink.fn(level, line, sink.arg);
	else
		write_stderr(level, line);
	errno = saved;
}
