/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that do one thing for us and end: nft, ovs-vsctl. */
#ifndef KERNEL_PROGRAM_H
#define KERNEL_PROGRAM_H

#include "cnm/error.h"

struct program {
	const char *name, *package; /* whose it is, for the message when it is missing */
	unsigned deadline_s;        /* then it is killed */
};

/*
 * Run it with this standard input, and wait: its exit status with err set if that is not 0, or a
 * negative errno. *ret_out (may be NULL) is what it wrote, the caller's, if the status is 0.
 * argv[0] is its name; NULL ends it. Any thread; waits up to the deadline.
 */
int program_run(const struct program *p, const char *const argv[], const char *input,
		char **ret_out, struct cnm_error *err);

#endif
