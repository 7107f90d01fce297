/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of runtime.h share. */
#ifndef CONTAINERS_RUNTIME_INTERNAL_H
#define CONTAINERS_RUNTIME_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cnm/error.h"
#include "containers/process.h"
#include "containers/runtime.h"

/* Asked of the programs at the first question; set once, under the lock, and then constant. */
struct runtime_versions {
	pthread_mutex_t lock;
	char *runtime, *conmon;
};

/* Constant after runtime_open(), but for the versions. */
struct runtime {
	char *path;          /* of the program; NULL: none works, and `why` says why */
	const char *name;    /* its last part, within path */
	char *conmon, *root; /* conmon's path */
	bool crun;           /* takes crun's options */
	struct cnm_error why;
	struct runtime_versions *versions;
};

/* The longest command line that the functions here make, its end included. */
#define RUNTIME_ARGS 24

/*
 * The program and its own options (--root, cgroups, a log in JSON) at the start of args: how many.
 * log: a file, or NULL for stderr.
 */
unsigned runtime_options_args(const struct runtime *rt, char *args[static RUNTIME_ARGS], char *log);

/*
 * Run "PROGRAM options args...", whose failure becomes an error in the runtime's own words. args
 * ends in NULL.
 */
int runtime_run(const struct runtime *rt, const char *what, char *const args[],
		struct process_result *ret, struct cnm_error *err);

/*
 * The runtime failed and said this: lines of JSON ({"msg": ...}) or text. The error says what went
 * wrong in one form for every runtime: `exec: "foo": executable file not found in $PATH`, class
 * INVALID, where the program cannot be executed; else "WHAT: RUNTIME: MESSAGE". program: the user's
 * argv[0] for runtimes that do not name it, may be NULL.
 */
int runtime_refused(const struct runtime *rt, const char *what, const char *said,
		    const char *program, struct cnm_error *err);

/* A small file, or NULL. Terminated; the caller's. */
char *runtime_read_file(int dir, const char *name);
/* The pid in a file of a directory, or -ENOENT. */
pid_t runtime_read_pid(int dir, const char *name);

/* The bundle's directory, to reach what is in it; or a negative errno. */
int bundle_open(const char *bundle);
/* The same, locked until the descriptor and its copies are closed (see bundle.c). */
int bundle_lock(const char *bundle);
/* A pidfd of a child of conmon's; -ESRCH if it is none (any more). */
int conmon_open_child(pid_t pid, pid_t conmon);
/* Does the runtime that it started still live? True on kernels that do not tell. */
bool conmon_is_creating(pid_t conmon, const char *id);
/* Kill conmon (or a runtime) and all that it has started, and wait until they have ended. */
void conmon_kill_tree(pid_t pid, int pidfd);
/* The same for the conmon of a bundle, or for the runtime that a killed conmon left. */
void conmon_kill(const struct runtime *rt, const char *bundle, const char *id);

#endif
