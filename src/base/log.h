/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's log: one line a record to stderr, with a level as sd-daemon(3) has it ("<4>") when
 * stderr is the journal, else with a time. Safe from any thread. Library code logs at debug only;
 * the program that decides, logs.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_set_level(enum log_level max);
/*
 * Hands every record to sink instead of stderr: the level and the line, without time, level or
 * newline. The sink is called from any thread, from several at a time, and must not log. A record
 * being written while the sink is replaced may still reach the old one. NULL restores stderr.
 */
void log_set_sink(void (*sink)(int level, const char *line, void *arg), void *arg);
/* A record longer than 4 KiB is cut; control characters in it are written as spaces. Keeps errno.
 */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...)   log_write(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
