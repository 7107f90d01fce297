/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a container is asked to be: the options that run and create share, and the body of
 * POST /containers/create that they make.
 */
#ifndef CNM_RUN_OPTIONS_H
#define CNM_RUN_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>

#include "cnm/command.h"
#include "cnm/error.h"
#include "cnm/naming.h"
#include "cnm/settings.h"
#include "cnm/strv.h"

struct run_options {
	/* what is done with it */
	bool detach, sig_proxy;
	const char *name, *cidfile, *pull, *detach_keys;
	/* what it is */
	bool interactive, tty, remove, privileged, read_only, publish_all;
	const char *user, *workdir, *entrypoint, *stop_signal, *restart;
	const char *memory, *memory_swap, *memory_reservation, *shm_size, *cpus, *cpuset;
	long cpu_shares, pids_limit, stop_timeout;
	struct strv env, env_files, volumes, mounts, tmpfs, ulimits, cap_add, cap_drop, group_add,
		security, attach, expose, publish, nets;
	struct naming naming;
	struct settings first; /* --ip and the like: of the first network */
	json_t *labels, *sysctls;
};

void run_options_init(struct run_options *o);
void run_options_free(struct run_options *o);

#define RUN_OPTIONS_ALL 72
/* Options that run alone has are at the beginning; create's begin here. */
#define RUN_OPTIONS_OWN 2
/* Fill the table of options, which point into o. */
void run_options_table(struct run_options *o, struct cli_option ret[static RUN_OPTIONS_ALL]);

/* Which of "stdin", "stdout" and "stderr" the client attaches to. */
struct run_attach {
	bool in, out, err;
};
int run_options_attach(const struct run_options *o, struct run_attach *ret, struct cnm_error *err);

/* words: the image, then the command. NULL with *err set. */
json_t *run_options_body(struct run_options *o, struct args words, struct cnm_error *err);
/* HostConfig, for run_options_body(). */
json_t *run_options_host(const struct run_options *o, struct cnm_error *err);

#endif
