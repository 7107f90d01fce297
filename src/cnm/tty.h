/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The terminal that cnm is used from. */
#ifndef CNM_TTY_H
#define CNM_TTY_H

#include <stdbool.h>
#include <termios.h>

#include "cnm/error.h"

/* Zero-initialised: nothing to restore. */
struct tty {
	int fd;
	bool raw;
	struct termios saved;
};

/* Every key goes to the reader of fd as it is, until tty_restore(). */
int tty_set_raw(struct tty *t, int fd, struct cnm_error *err);
void tty_restore(struct tty *t);
/* Of standard output, else of standard input. false: neither is a terminal with a size. */
bool tty_size(unsigned *ret_rows, unsigned *ret_columns);

#endif
