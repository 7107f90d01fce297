/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's own resolv.conf and hosts, from which those of sandboxes are made. Whoever asks gets
 * the text as it is now; a file is read again only when it is another than the last time, which one
 * stat() tells. With the engine's lock held.
 */
#ifndef CONTROLLER_HOST_FILES_H
#define CONTROLLER_HOST_FILES_H

struct host_files;

enum host_file {
	HOST_RESOLV,   /* resolv.conf */
	HOST_RESOLVED, /* the one of systemd-resolved that names real servers */
	HOST_HOSTS,
	HOST_N_FILES
};

/* resolv_conf is copied. NULL: no memory. */
struct host_files *host_files_new(const char *resolv_conf);
void host_files_free(struct host_files *h);
const char *host_files_path(const struct host_files *h, enum host_file which);
/* Borrowed until the file is asked for again. NULL: it is not there, or cannot be read. */
const char *host_files_text(struct host_files *h, enum host_file which);

#endif
