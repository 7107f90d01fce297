/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that must outlive the daemon: the API's listening socket, the DNS sockets of the
 * sandboxes, port reservations. They are kept by cnm-keeper (run_dir/keeper.sock), a program
 * without logic, or in systemd's descriptor store. A name is [a-zA-Z0-9._:-]{1,200} and may hold
 * several descriptors.
 *
 * Once fdkeep_put() has returned 0 the descriptors are with the keeper or in its socket, and so
 * survive this process. No call but fdkeep_open() waits for a keeper that does not answer longer
 * than a tenth of a second.
 */
#ifndef KERNEL_FDKEEP_H
#define KERNEL_FDKEEP_H

#include "cnm/error.h"

struct fdkeep;

/*
 * What keeps is named by `keeper`:
 *
 *   a path     that program. Connect to the keeper of this run directory, and start it if none
 *              answers (detached: own session, stdio on /dev/null; until it is, its complaints go
 *              to our stderr).
 *   "systemd"  the service manager's store, by NOTIFY_SOCKET. The unit needs
 *              FileDescriptorStoreMax= and NotifyAccess=main; systemd does not say when it
 *              refuses. ':' in a name is '+' there. What it handed over in LISTEN_FDS, sockets of
 *              socket units among them, is taken by its name.
 *   NULL       nothing: a dummy that keeps nothing.
 *
 * Then everything that is kept is asked for: fdkeep_take() hands it out. Errors: UNAVAILABLE if the
 * keeper does not answer or our limit of open files is too low for what it holds.
 */
int fdkeep_open(struct fdkeep **ret, const char *run_dir, const char *keeper,
		struct cnm_error *err);
/* Closes what was not taken; what is kept stays kept. NULL is allowed. */
void fdkeep_close(struct fdkeep *k);
/*
 * Up to max descriptors that were kept under name at the open, in the order they were put; they
 * belong to the caller then, with close-on-exec. Returns how many. A second call gives those that
 * are left. Thread-safe.
 */
int fdkeep_take(struct fdkeep *k, const char *name, int *fds, int max);
/*
 * Replace what is kept under name; the caller's descriptors stay its own. n 0 is fdkeep_drop().
 * Thread-safe. -EPIPE: the keeper had died and has been started again, and holds nothing: put
 * everything again.
 */
int fdkeep_put(struct fdkeep *k, const char *name, const int *fds, int n, struct cnm_error *err);
/* Forget name. Thread-safe; not waited for. */
void fdkeep_drop(struct fdkeep *k, const char *name);
/*
 * After restore: forget every name that was kept at the open and for which wanted() is false.
 * wanted() must not call fdkeep.
 */
void fdkeep_sweep(struct fdkeep *k, int (*wanted)(const char *name, void *arg), void *arg);
/*
 * End the keeper process (teardown) and wait up to a second for it; later calls keep nothing. With
 * no other call at the same time. systemd's store has no process to end: drop the names instead.
 */
void fdkeep_end(struct fdkeep *k);
/* The keeper's process id; 0 if there is none, it has died, or systemd keeps. Thread-safe. */
int fdkeep_pid(struct fdkeep *k);

#endif
