/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Containers: what stands between the API and an engine of networks on one side, and between it and
 * conmon, the OCI runtime and the images on the other. docs/CONTAINERS.md has the whole picture.
 *
 * `ref` names a container by its full id, else its name (with or without a leading '/'), else a
 * unique prefix of its id. JSON handed out is the caller's. Errors carry Docker's class and words.
 * Thread-safe. Functions block on programs and disk, but those that say so.
 */
#ifndef CONTAINERS_CONTAINERS_H
#define CONTAINERS_CONTAINERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "cnm/cnm.h"
#include "containers/images.h"

struct containers;

struct containers_options {
	struct cnm_engine *engine;
	const char *runtime;       /* NULL: probe crun, then runc */
	const char *conmon;        /* NULL: "conmon" */
	const char *seccomp;       /* profile; NULL: /usr/share/containers/seccomp.json */
	const char *cgroup_parent; /* NULL: "/" and the engine's instance */
	const char *busybox;       /* NULL: /bin/busybox */
};

/*
 * Load the containers, take back what was being done when the last daemon ended, adopt those that
 * run, and apply restart policies after a reboot. Needs an open engine, which must outlive it.
 */
int containers_open(struct containers **ret, const struct containers_options *options,
		    struct cnm_error *err);
/* Running containers go on. */
void containers_close(struct containers *cs);
/* End every container (they stay declared), unmount their roots. For cnmd --teardown. */
int containers_teardown(struct containers *cs, struct cnm_error *err);

struct images *containers_images(struct containers *cs);
/* {"Containers","ContainersRunning","ContainersPaused","ContainersStopped","Images","Driver":"overlay2",
 * "DefaultRuntime","Runtimes","CgroupDriver","CgroupVersion","RuncVersion","ConmonVersion",
 * "SecurityOptions","DockerRootDir", "LoggingDriver","Warnings"} */
int containers_info(struct containers *cs, json_t **ret, struct cnm_error *err);

/* body as in POST /containers/create; version is major * 1000 + minor. *ret_warnings: JSON array.
 */
int containers_create(struct containers *cs, const char *name, const json_t *body, unsigned version,
		      char ret_id[static ID_SIZE], json_t **ret_warnings, struct cnm_error *err);
/* 1: it runs already. */
int containers_start(struct containers *cs, const char *ref, struct cnm_error *err);
/* signal: text or NULL; timeout: seconds, -1 for ever, -2 the container's own. 1: it did not run.
 */
int containers_stop(struct containers *cs, const char *ref, const char *signal, int timeout,
		    struct cnm_error *err);
int containers_restart(struct containers *cs, const char *ref, const char *signal, int timeout,
		       struct cnm_error *err);
/* signal NULL or "": KILL, and then it has ended when this returns. */
int containers_kill(struct containers *cs, const char *ref, const char *signal,
		    struct cnm_error *err);
int containers_rename(struct containers *cs, const char *ref, const char *name,
		      struct cnm_error *err);
/* volumes: with its anonymous ones. */
int containers_remove(struct containers *cs, const char *ref, bool force, bool volumes,
		      struct cnm_error *err);
int containers_inspect(struct containers *cs, const char *ref, unsigned version, bool size,
		       char **ret_json, struct cnm_error *err);
/* filters: Docker's text or NULL. limit 0: none; else the newest ones, of all states. */
int containers_list(struct containers *cs, const char *filters, bool all, unsigned limit,
		    unsigned version, char **ret_json, struct cnm_error *err);
/* {"Titles","Processes"}: ps run with these arguments ("" is -ef), of the container's processes. */
int containers_top(struct containers *cs, const char *ref, const char *ps_args, char **ret_json,
		   struct cnm_error *err);
int containers_resize(struct containers *cs, const char *ref, unsigned rows, unsigned columns,
		      struct cnm_error *err);

/*
 * Wait for a container: condition "not-running" (the default), "next-exit" or "removed". done() is
 * called once, from any thread or within this call, with the exit code (or a message why there is
 * none), unless containers_wait_cancel() was called first. It must not wait nor call containers_.
 */
struct container_wait;
int containers_wait(struct containers *cs, const char *ref, const char *condition,
		    void (*done)(int code, const char *error, void *arg), void *arg,
		    struct container_wait **ret, struct cnm_error *err);
/* done() will not be called any more when this returns. Releases the wait, always to be called. */
void containers_wait_cancel(struct containers *cs, struct container_wait *w);

/*
 * What an attached client is to get. check() says whether it may attach (and what kind of stream it
 * will be) before the connection is taken over; begin() is given the connection.
 */
struct attach_request {
	bool stream, logs, in, out, err;
	const char *detach_keys; /* NULL: the container's or Docker's default */
};
int containers_attach_check(struct containers *cs, const char *ref, const struct attach_request *a,
			    bool *ret_terminal, char ret_id[static ID_SIZE], struct cnm_error *err);
/* fd is taken over, always. Does not wait; what goes wrong shows as the end of the connection. */
void containers_attach_begin(struct containers *cs, const char *id, const struct attach_request *a,
			     int fd, const char *early, size_t n_early);

struct logs_request {
	bool follow, out, err, timestamps;
	int64_t since, until, tail; /* as logs.h */
};
/* *ret_fd: where the log's bytes come from; the caller's. */
int containers_logs(struct containers *cs, const char *ref, const struct logs_request *l,
		    int *ret_fd, bool *ret_terminal, struct cnm_error *err);

/* ---- executions: kept until their container ends, or ten minutes after they ended */
int containers_exec_create(struct containers *cs, const char *ref, const json_t *body,
			   char ret_id[static ID_SIZE], struct cnm_error *err);
/*
 * Start it; with detach nothing is attached. Otherwise the process runs when this returns, held by
 * *ret_terminal's kind of stream, and containers_exec_attach() must follow, exactly once, with the
 * client's connection (fd -1: it went away).
 */
int containers_exec_start(struct containers *cs, const char *id, bool detach, unsigned rows,
			  unsigned columns, bool *ret_terminal, struct cnm_error *err);
void containers_exec_attach(struct containers *cs, const char *id, int fd, const char *early,
			    size_t n_early);
int containers_exec_resize(struct containers *cs, const char *id, unsigned rows, unsigned columns,
			   struct cnm_error *err);
int containers_exec_inspect(struct containers *cs, const char *id, char **ret_json,
			    struct cnm_error *err);

/* ---- networks. ref may be a container, running or not, or a sandbox, which is handed on. */
int containers_network_connect(struct containers *cs, const char *network, const char *ref,
			       const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
			       struct cnm_error *err);
int containers_network_disconnect(struct containers *cs, const char *network, const char *ref,
				  bool force, struct cnm_dry_run *dry, struct cnm_error *err);

/* ---- volumes, which know who uses them */
int containers_volume_create(struct containers *cs, const json_t *body, char **ret_json,
			     struct cnm_error *err);
int containers_volume_remove(struct containers *cs, const char *name, bool force,
			     struct cnm_error *err);
int containers_volume_inspect(struct containers *cs, const char *name, char **ret_json,
			      struct cnm_error *err);
int containers_volume_list(struct containers *cs, char **ret_json, struct cnm_error *err);

#endif
