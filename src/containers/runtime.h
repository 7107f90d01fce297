/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The OCI runtime (runc or crun) and conmon, which stays with each container: it holds the
 * container's stdio, writes its log, serves its attach socket and records its exit.
 *
 * A container's bundle is a directory below the run directory, BUNDLE:
 *   config.json   the OCI configuration, written by the caller
 *   attach        conmon's socket (SOCK_SEQPACKET): first byte of a packet 2 stdout, 3 stderr
 *   ctl           conmon's fifo: "1 H W\n" resizes the terminal
 *   pidfile, conmon.pid
 *   exit          the exit status in decimal, once the container has ended: conmon renames it into
 *                 place, complete, before it ends itself
 *   oom           exists if the kernel killed the container for its memory (conmon makes it)
 * conmon and the container outlive the daemon. Executions (exec) are started by the runtime itself,
 * detached, and become children of the daemon, which is a subreaper: one process less each, and no
 * second copy of their data. They end with the daemon's interest, not with the daemon.
 *
 * Everything here blocks, with deadlines; no lock may be held. Thread-safe.
 */
#ifndef CONTAINERS_RUNTIME_H
#define CONTAINERS_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cnm/error.h"

struct runtime_options {
	const char *program; /* name or path; NULL or "": probe crun, then runc */
	const char *conmon;  /* NULL: "conmon" */
	const char *root;    /* the runtime's state directory, absolute */
};

struct runtime;

/*
 * Find out which runtime works here, without running any: it is there, and it takes this machine's
 * cgroups (crun refuses some). When none works, 0 all the same: *ret then answers each call below
 * with CNM_E_UNAVAILABLE and the reason, and networks are served without containers. The strings
 * are copied.
 */
int runtime_open(struct runtime **ret, const struct runtime_options *options,
		 struct cnm_error *err);
void runtime_close(struct runtime *rt);
/*
 * "runc", "crun", or "" when none works. And its version ("1.1.5"), and conmon's: these ask the
 * program at the first call, and are "" when it does not tell.
 */
const char *runtime_name(const struct runtime *rt);
const char *runtime_version(const struct runtime *rt);
const char *runtime_conmon_version(const struct runtime *rt);
/* 0, or UNAVAILABLE with why there is none. */
int runtime_check(const struct runtime *rt, struct cnm_error *err);

struct runtime_create {
	const char *id, *name, *bundle, *log; /* log: path, k8s-file format; NULL: no log */
	bool terminal, stdin_open;
	bool stdin_once; /* stdin ends with the client that sends to it; else it stays open */
};

struct runtime_made {
	pid_t pid; /* of the container's first process, not yet running the user's program */
	pid_t conmon;
	/*
	 * The caller's. conmon is a child of ours, and a stray (process.h): its pidfd is readable
	 * when the exit status is recorded, and process_reap_strays() collects it.
	 */
	int pidfd, conmon_pidfd;
};

/*
 * conmon and the runtime's create. The user's program waits for runtime_start(). On failure nothing
 * is left: no process, no runtime state, no cgroup. The error carries the runtime's own message
 * (class INVALID where the program cannot be executed: "executable file not found", "permission
 * denied", "no such file or directory", "is a directory").
 */
int runtime_create(struct runtime *rt, const struct runtime_create *c, struct runtime_made *ret,
		   struct cnm_error *err);
int runtime_start(struct runtime *rt, const char *id, struct cnm_error *err);
/*
 * Kill what is left of it (its conmon too, named by the bundle; let that one end first if the exit
 * status is wanted) and forget it: whatever half-made state the end of a daemon, of conmon or of
 * the runtime left. Afterwards there is no process, no runtime state and no cgroup of it. What is
 * not there is fine; so are NULL for bundle and cgroup. Needs no working runtime.
 */
int runtime_delete(struct runtime *rt, const char *id, const char *bundle, const char *cgroup,
		   struct cnm_error *err);
/* pids of all its processes. *ret is the caller's to free. */
int runtime_pids(struct runtime *rt, const char *id, pid_t **ret, unsigned *ret_n,
		 struct cnm_error *err);

/*
 * Take over a container that an earlier daemon made: open its conmon (verified: conmon.pid names a
 * live process whose command line has this id) and its first process. -ENOENT (no error text):
 * there is no living conmon any more. pid and pidfd are 0 and -1 when only the process has ended.
 */
int runtime_adopt(const char *bundle, const char *id, struct runtime_made *ret);
/* The status that conmon recorded: 0 and *ret, or -ENOENT. */
int runtime_exit_status(const char *bundle, int *ret);
/* A connected attach socket (SOCK_SEQPACKET, non-blocking, close-on-exec), or a negative errno. */
int runtime_attach(const char *bundle);
/* Terminal size, by conmon's fifo. */
int runtime_resize(const char *bundle, unsigned rows, unsigned columns, struct cnm_error *err);

struct runtime_exec {
	const char *id;
	const char *process; /* JSON text of the OCI process */
	const char *dir;     /* a directory of its own, made and removed by the caller */
	bool terminal;
	bool no_stdio; /* without a terminal: /dev/null, for one that outlives every client */
};

struct runtime_executed {
	pid_t pid; /* a child of ours (or soon to be): process_wait() for it after pidfd is readable
		    */
	int pidfd;
	int terminal;     /* the master side; -1 without a terminal */
	int in, out, err; /* our ends of its stdio; -1 with a terminal */
	/* all of them close-on-exec, and terminal, in, out and err non-blocking */
};

/*
 * Run a further process in a container. Errors as runtime_create()'s: INVALID where the program
 * cannot be executed, with the runtime's words. Needs process_become_reaper().
 */
int runtime_exec(struct runtime *rt, const struct runtime_exec *x, struct runtime_executed *ret,
		 struct cnm_error *err);

/* Remove the cgroup directories of this path ("/cnm/ID") in every hierarchy. Absent is fine. */
void cgroup_remove(const char *cgroup);

#endif
