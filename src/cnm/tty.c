/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/tty.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

int tty_set_raw(struct tty *t, int fd, struct cnm_error *err)
{
	struct termios raw;

	if (tcgetattr(fd, &t->saved) < 0)
		return cnm_error_errno(err, errno, "read the terminal's mode");
	raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return cnm_error_errno(err, errno, "set the terminal's mode");
	t->fd = fd;
	t->raw = true;
	return 0;
}

/* Also from the background, where SIGTTOU would stop it. */
void tty_restore(struct tty *t)
{
	sigset_t set, old;

	if (!t->raw)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	sigprocmask(SIG_BLOCK, &set, &old);
	tcsetattr(t->fd, TCSANOW, &t->saved);
	sigprocmask(SIG_SETMASK, &old, NULL);
	t->raw = false;
}

bool tty_size(unsigned *ret_rows, unsigned *ret_columns)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 &&
	    ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
		return false;
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return size.ws_row && size.ws_col;
}
