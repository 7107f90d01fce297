/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that cnmd runs and waits for: the OCI runtime, conmon, skopeo, umoci.
 *
 * Children are started by vfork, so that a big daemon pays for no copy of its page tables, with a
 * clean signal mask and default dispositions, no descriptor but those named, and stdin from
 * /dev/null. The daemon is a child subreaper (process_become_reaper), so that what a program leaves
 * behind comes to it and nothing stays a zombie: whoever waits for a child waits for that pid
 * alone, and process_reap_strays() collects the rest.
 *
 * Thread-safe.
 */
#ifndef CONTAINERS_PROCESS_H
#define CONTAINERS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cnm/error.h"

struct process_options {
	const char *what;     /* for messages: "unpack the image" */
	unsigned deadline_ms; /* 0: 60 s. Then the program and its group are killed */
	size_t max_output;    /* bytes kept of each of stdout and stderr; 0: 64 KiB */
	size_t max_file;      /* RLIMIT_FSIZE of the program; 0: none */
	const char *dir;      /* working directory; NULL: the daemon's */
	const char *const
		*env;   /* NULL-terminated; NULL: a fixed small one (PATH, HOME=/root, LANG) */
	const int *fds; /* descriptors above 2 to pass, at the numbers they have */
	unsigned n_fds;
	int in_fd;  /* > 0: its stdin, instead of /dev/null */
	int out_fd; /* > 0: stdout goes here instead of being kept */
	int err_fd; /* > 0: stderr likewise */
	/*
	 * Leader of a session of its own, not only of a group. With process_spawn() alone: for one
	 * that is to outlive the daemon.
	 */
	bool session;
	/*
	 * A file, relative to `dir`, into which the child writes its pid before the program begins:
	 * so there is no instant at which the program runs and the file does not tell. NULL: none.
	 */
	const char *pid_file;
	/*
	 * For process_run(): it leaves a child to us, whose pid is known only afterwards. While it
	 * runs strays are held back, until process_release_strays(), to be called once if it
	 * succeeded.
	 */
	bool hold_strays;
};

struct process_result {
	int status; /* as waitpid's */
	char *out;  /* what it said, terminated, cut at max_output; by process_result_free() */
	char *err;
};

/* To be called once, before any child. Returns 0 or a negative errno. */
int process_become_reaper(void);

/*
 * Run argv[0] (an absolute path, or looked up in PATH) to its end. 0 when it exited with status 0.
 * Otherwise an error whose text is "WHAT: PROGRAM: last lines of its stderr" (class INTERNAL;
 * UNAVAILABLE when the program does not exist, naming the package that has it; a deadline is named
 * too), and *ret is filled all the same. ret may be NULL.
 */
int process_run(char *const argv[], const struct process_options *options,
		struct process_result *ret, struct cnm_error *err);
/* Leaves *r empty. */
void process_result_free(struct process_result *r);

/*
 * Start it and return its pid (>0), to be waited for with process_wait(), or a negative errno. Its
 * stdout and stderr go nowhere, unless descriptors are given. Limits of time and output are not
 * looked at.
 */
pid_t process_spawn(char *const argv[], const struct process_options *options,
		    struct cnm_error *err);
/* Wait for a child started by process_spawn() or known to be ours: its wait status, or -ECHILD. */
int process_wait(pid_t pid, int *ret_status);
/*
 * A process that will become a child of ours by re-parenting, and that somebody will wait for:
 * strays are collected without it. process_wait() forgets it.
 */
void process_expect(pid_t pid);
/* Nobody will wait for it any more: it is a stray, once it ends. */
void process_forget(pid_t pid);

/*
 * Collect ended children that nobody waits for. Cheap. To be called whenever SIGCHLD tells of one:
 * a container cannot end while a process of its pid namespace is a zombie, and what a runtime
 * leaves there is a child of ours. (For the same reason who waits for an execution must not be
 * waiting for the end of its container instead.)
 */
void process_reap_strays(void);
void process_release_strays(void);

/* The absolute path of a program, looked up in PATH: 0, or -ENOENT. size: of ret. */
int process_find(const char *name, char *ret, size_t size);

/* Where to find it, as a clause: "install the package crun (apt-get install crun)". */
const char *process_package_hint(const char *program, char *buf, size_t size);

/* A pidfd, close-on-exec, or a negative errno. */
int process_open(pid_t pid);
/* Kill what a pidfd names, and wait until it has ended, at most 5 s, collecting strays. 0, -ETIME
 * or -errno. */
int process_kill(int pidfd);

#endif
