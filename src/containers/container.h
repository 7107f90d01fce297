/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of containers.c share.
 *
 * A container is a row in the store (what was asked for, and how its last run ended), a declared
 * sandbox of the same id and name in the engine (its names and addresses), a directory for its
 * changed files and its log below the state directory, and, while it runs, a bundle below the run
 * directory, a mounted root, conmon and the processes.
 *
 * `lock` guards the table and everything in struct container but what is constant after create; it
 * is never held across the store, a program, the disk or the engine. Whoever makes, starts, ends or
 * removes a container has it `busy` meanwhile; others wait on `changed`, and look it up again by
 * its id afterwards, for it may be gone.
 *
 * A run: start makes network, root and bundle, has conmon create the container, connects the
 * clients that are attached already, and starts it. The monitor's thread hears of the end through
 * conmon's pidfd and hands it to a job, which takes all of that away again, decides about a
 * restart, and tells those who wait. Every step can be taken back by container_clean(), which asks
 * nothing of how far things got: after a crash it is called for whatever does not run.
 *
 *   containers.c           open, close, teardown, lookup, busy
 *   container_row.c        rows
 *   container_restore.c    from the rows to the table, at open
 *   container_create.c     create, rename
 *   container_run.c        start; taking a run away
 *   container_monitor.c    ends and restarts: the thread and its jobs
 *   container_stop.c       stop, kill, restart, remove
 *   container_wait.c       wait
 *   container_network.c    namespaces, connect and disconnect; container_links.c
 *   container_attach.c     attach, logs, resize
 *   container_exec.c       executions
 *   container_inspect.c    inspect; container_list.c: ps and its filters; container_top.c
 *   container_volume.c     volumes and who uses them
 */
#ifndef CONTAINERS_CONTAINER_H
#define CONTAINERS_CONTAINER_H

#include <pthread.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "containers/config.h"
#include "containers/containers.h"
#include "containers/relay.h"
#include "containers/runtime.h"
#include "containers/spec.h"
#include "controller/engine.h"

enum container_state {
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_RESTARTING, /* waits for its next start by the restart policy */
	CONTAINER_EXITED,
};

/* What a pidfd in the monitor's epoll belongs to; the first member of both. */
enum watched { WATCHED_CONTAINER, WATCHED_EXEC };

struct container {
	enum watched watched;
	/* Constant after create. */
	struct list node;
	char id[ID_SIZE];
	char *name;
	struct container_config c;
	char image[ID_SIZE];
	char *lower; /* the image's tree */
	int64_t created;

	bool busy;      /* a request or job is changing it */
	bool removing;  /* its row says so, or will */
	unsigned users; /* who needs it without having it busy; it is not freed meanwhile */
	enum container_state state;
	unsigned run; /* counts the runs that ended */
	bool by_user; /* told to stop: restart policies leave it alone */
	unsigned restarts;
	int exit_code;
	bool oom;
	char *error; /* why it could not start, or ended oddly; NULL: nothing to say */
	int64_t started, finished; /* wall clock, ns; 0: never */

	/* While it runs. */
	pid_t pid;
	int pidfd, conmon_pidfd; /* -1 */
	int over;                /* eventfd: readable once nothing more is written to the log; -1 */
	uint64_t restart_at;     /* RESTARTING: monotonic ns */
	uint64_t restart_delay;  /* ns */

	struct list waits;    /* struct container_wait.node */
	struct list attached; /* struct attachment.node */
};

struct containers {
	struct cnm_engine *engine;
	struct images *images;
	struct runtime *runtime;
	struct seccomp *seccomp;
	struct relay *relay;
	char *dir, *run_dir, *volumes; /* STATE/containers, RUN/containers, STATE/volumes */
	char *cgroup_parent;
	char *no_seccomp; /* why there is no profile; then only privileged containers start */
	bool cgroup2;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list all; /* oldest first */
	struct map by_id, by_name, execs;
	unsigned jobs; /* threads at work */
	bool closing;

	struct monitor_thread *monitor;
};

#define CONTAINER_WAIT_S 30 /* how long a request waits for another one's */

/* ---- containers.c; all with the lock held unless they say otherwise */

/* Full id, name, or unique prefix; "/name" too. */
int container_find(struct containers *cs, const char *ref, struct container **ret,
		   struct cnm_error *err);
struct container *container_by_id(struct containers *cs, const char *id);
/* Find it and wait until it is not busy (the lock is let go meanwhile). */
int container_find_idle(struct containers *cs, const char *ref, struct container **ret,
			struct cnm_error *err);
/* The same, and have it busy. */
int container_acquire(struct containers *cs, const char *ref, struct container **ret,
		      struct cnm_error *err);
void container_release(struct containers *cs, struct container *c);
/* Wait for a change, at most until deadline (monotonic ns; 0: for ever): 0 or -ETIMEDOUT. */
int containers_pause(struct containers *cs, uint64_t deadline);
struct container *container_new(void);
/* NULL is allowed. Not in the table. */
void container_free(struct container *c);
/* Enter, by id and name: 0, -EEXIST, -ENOMEM. */
int container_add(struct containers *cs, struct container *c);
/* Out of the table, and freed once nobody uses it any more (the lock is let go meanwhile). */
void container_drop(struct containers *cs, struct container *c);
/* Run fn on a thread of its own, which containers_close() waits for. Any state of the lock. */
void containers_job(struct containers *cs, void (*fn)(struct containers *cs, void *arg), void *arg);

bool container_is_running(const struct container *c); /* or about to be again */
const char *container_state_name(const struct container *c);
/* An event of type container. more: further attributes (stolen), or NULL. Lock held or not. */
void container_event(struct containers *cs, const struct container *c, const char *action,
		     json_t *more);
/* Paths; size 900 is enough. */
#define CONTAINER_PATH 900
void container_bundle(const struct containers *cs, const char *id, char path[CONTAINER_PATH]);
void container_dir(const struct containers *cs, const char *id, char path[CONTAINER_PATH]);
void container_log(const struct containers *cs, const char *id, char path[CONTAINER_PATH]);
void container_root(const struct containers *cs, const char *id, char path[CONTAINER_PATH]);
void container_cgroup(const struct containers *cs, const char *id, char path[CONTAINER_PATH]);

/* ---- container_row.c */
/* Text of the row's body; NULL: no memory. Lock held. */
char *container_encode(const struct container *c);
int container_decode(const struct store_row *row, struct container **ret, struct cnm_error *err);
/* Commit its row as it is now. Lock held on entry and exit, let go meanwhile. */
int container_save(struct containers *cs, const struct container *c, enum store_state state,
		   bool insert, enum store_durability how, struct cnm_error *err);

/* ---- container_restore.c */
int containers_restore(struct containers *cs, struct cnm_error *err);

/* ---- container_run.c; without the lock, the container busy */
int container_run(struct containers *cs, struct container *c, struct cnm_error *err);
/* Whatever there is of a run: processes, cgroup, mounts, bundle, namespace. Carries on after
 * errors, which it logs. */
void container_clean(struct containers *cs, const struct container *c);
/* What spec.h needs to know, of one whose root is mounted. Strings live in *paths. */
struct spec_paths {
	char root[CONTAINER_PATH], netns[CONTAINER_PATH], cgroup[CONTAINER_PATH];
	char hosts[CONTAINER_PATH], hostname_file[CONTAINER_PATH], resolv[CONTAINER_PATH];
	char hostname[256], domainname[256];
};
int container_spec_input(struct containers *cs, const struct container *c, struct spec_paths *paths,
			 struct spec_input *ret, struct cnm_error *err);

/* ---- container_monitor.c */
int monitor_thread_start(struct containers *cs, struct cnm_error *err);
void monitor_thread_stop(struct containers *cs);
/* Watch its conmon; lock held. */
int monitor_watch(struct containers *cs, struct container *c);
/* The same for the pidfd of an execution. */
int monitor_watch_exec(struct containers *cs, void *exec, int pidfd);
/* Look at the restart times again. */
void monitor_wake(struct containers *cs);
/* At open, for one that does not run: does its restart policy want it to? */
void container_restore_policy(struct containers *cs, struct container *c);
/* After a run or a failed start of a container that is to go then: do that. Lock held, the
 * container busy; it may be gone afterwards. */
void container_after_run(struct containers *cs, struct container *c);

/* ---- container_stop.c */
/* Without the lock; the container is busy and `removing`. It is gone on success. */
int container_remove_now(struct containers *cs, struct container *c, bool volumes,
			 struct cnm_error *err);

/* ---- container_wait.c; lock held */
enum wait_for { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED };
/* Tell those who wait for this; removed tells all that are left. */
void container_tell_waits(struct container *c, bool removed);

/* ---- container_network.c; without the lock, the container busy */
/* Declare its sandbox, with an endpoint on each of its networks that exists. */
int container_network_declare(struct containers *cs, struct container *c, struct cnm_error *err);
int container_network_start(struct containers *cs, struct container *c, struct cnm_error *err);
int container_network_stop(struct containers *cs, const struct container *c, struct cnm_error *err);
int container_network_remove(struct containers *cs, const struct container *c,
			     struct cnm_error *err);
/* Fills in netns ("" the host's), the files and the host name. */
int container_network_paths(struct containers *cs, const struct container *c,
			    struct spec_paths *paths, struct cnm_error *err);
/* {"NetworkID".. by network}: inspect's Networks. */
json_t *container_networks_json(struct containers *cs, const struct container *c,
				json_t **ret_sandbox);

/* ---- container_links.c; lock held */
/* At create: the links that name containers by what they are then. */
int container_links_fix(struct containers *cs, struct container *c, struct cnm_error *err);
/* At start: may they be? */
int container_links_check(struct containers *cs, const struct container *c, struct cnm_error *err);
/* The settings of this network with those of HostConfig.Links that are for it: a new reference. */
json_t *container_links_add(struct containers *cs, const struct container *c, const char *network,
			    json_t *settings);
/* As inspect shows HostConfig.Links. */
json_t *container_links_json(struct containers *cs, const struct container *c);

/* ---- container_attach.c; lock held */
/* A run is about to begin: connect those who are attached already. The lock is let go meanwhile. */
void container_connect_attached(struct containers *cs, struct container *c);
/* A run could not begin: end them. */
void container_end_attached(struct container *c);

/* ---- container_exec.c; lock held */
/* Its process has ended. Without the lock; on the monitor's thread. */
void container_exec_ended(struct containers *cs, void *exec);
/* Forget the executions of a container whose run has ended. */
void container_end_execs(struct containers *cs, const char *id);
json_t *container_exec_ids(struct containers *cs, const char *id);
/* All of them, at close. Without the lock. */
void containers_forget_execs(struct containers *cs);

/* ---- container_volume.c */
/* Make the volumes of its mounts, and fill their sources in. Without the lock. */
int container_make_volumes(struct containers *cs, struct container *c, struct cnm_error *err);
/* Those without a name of the user's. Without the lock. */
bool container_has_own_volumes(const json_t *mounts);
void container_remove_volumes(struct containers *cs, const json_t *mounts);

/* ---- container_inspect.c; lock held */
/* "Up 3 minutes", "Exited (0) 2 hours ago". */
void container_status_text(const struct container *c, char *buf, size_t size);

#endif
