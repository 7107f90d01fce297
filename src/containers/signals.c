/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals as people write them: "SIGTERM", "term", "15", "SIGRTMIN+3". */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <strings.h>

#include "base/str.h"
#include "containers/config.h"

/* The kernel's numbers: the C library keeps the first two for itself and counts from 34. */
#define RT_MIN 34
#define RT_MAX 64

static const struct {
	const char *name;
	int number;
} signals[] = {
	{ "ABRT", SIGABRT },     { "ALRM", SIGALRM },   { "BUS", SIGBUS },
	{ "CHLD", SIGCHLD },     { "CLD", SIGCHLD },    { "CONT", SIGCONT },
	{ "FPE", SIGFPE },       { "HUP", SIGHUP },     { "ILL", SIGILL },
	{ "INT", SIGINT },       { "IO", SIGIO },       { "IOT", SIGABRT },
	{ "KILL", SIGKILL },     { "PIPE", SIGPIPE },   { "POLL", SIGIO },
	{ "PROF", SIGPROF },     { "PWR", SIGPWR },     { "QUIT", SIGQUIT },
	{ "SEGV", SIGSEGV },     { "STOP", SIGSTOP },   { "STKFLT", SIGSTKFLT },
	{ "SYS", SIGSYS },       { "TERM", SIGTERM },   { "TRAP", SIGTRAP },
	{ "TSTP", SIGTSTP },     { "TTIN", SIGTTIN },   { "TTOU", SIGTTOU },
	{ "URG", SIGURG },       { "USR1", SIGUSR1 },   { "USR2", SIGUSR2 },
	{ "VTALRM", SIGVTALRM }, { "WINCH", SIGWINCH }, { "XCPU", SIGXCPU },
	{ "XFSZ", SIGXFSZ },     { "RTMIN", RT_MIN },   { "RTMAX", RT_MAX },
};

/* "RTMIN+3", "RTMAX-1". */
static int parse_realtime(const char *s)
{
	int base = strncasecmp(s, "RTMIN+", 6) == 0   ? RT_MIN
		   : strncasecmp(s, "RTMAX-", 6) == 0 ? RT_MAX
						      : 0;
	long n;

	if (!base || !isdigit((unsigned char)s[6]) ||
	    str_to_long(s + 6, 0, RT_MAX - RT_MIN, &n) < 0)
		return -EINVAL;
	return base == RT_MIN ? base + (int)n : base - (int)n;
}

int signal_parse(const char *s)
{
	long n;

	if (str_to_long(s, 1, RT_MAX, &n) == 0)
		return (int)n;
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (strcasecmp(s, signals[i].name) == 0)
			return signals[i].number;
	return parse_realtime(s);
}
