/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a container is asked to be: the body of POST /containers/create, checked, completed with
 * Docker's defaults, and kept in Docker's own shape, since that is what inspect shows. No I/O.
 *
 * What cnm does not carry is refused by name: a member that is absent, null, empty, zero or
 * Docker's default passes, anything else fails with CNM_E_NOT_IMPLEMENTED and the flag a user knows
 * ("--device (HostConfig.Devices) is not supported by cnm"). A wrong type or value is CNM_E_INVALID
 * with Docker's words.
 */
#ifndef CONTAINERS_CONFIG_H
#define CONTAINERS_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cnm/error.h"

/*
 * config: Docker's Config. host: its HostConfig, complete. endpoints: {network: EndpointSettings as
 * requested} in the order they are joined, that of HostConfig.NetworkMode first; {} in the mode
 * container:X. mounts: inspect's Mounts, [{Type (bind, volume or tmpfs), Name, Source, Destination,
 * Mode, RW, Propagation}]; the Source of a volume is filled in by the caller. warnings: strings for
 * the answer.
 */
struct container_config {
	json_t *config, *host, *endpoints, *mounts, *warnings;
};

/*
 * version: 1024 .. 1047 (major * 1000 + minor), since fields changed their meaning. id: the default
 * host name is its first 12 digits.
 */
int container_config_decode(struct container_config *ret, const json_t *body, unsigned version,
			    const char *id, struct cnm_error *err);
/*
 * Complete it with the image's configuration ("config" of the OCI image configuration: Env, Cmd,
 * Entrypoint, WorkingDir, User, Labels, Volumes, ExposedPorts, StopSignal) as Docker does: Env is
 * merged by name; Cmd is the image's only if neither Cmd nor Entrypoint was given; CNM_E_INVALID
 * "no command specified" if there is none in the end. image may be NULL.
 */
int container_config_merge(struct container_config *c, const json_t *image, struct cnm_error *err);
void container_config_free(struct container_config *c);

/* How it is connected. */
enum network_mode { NETWORK_NAMED, NETWORK_HOST, NETWORK_NONE, NETWORK_CONTAINER };
/* *ret_container (may be NULL) is what follows "container:". "default" and "" are the bridge. */
enum network_mode container_network_mode(const json_t *host, const char **ret_container);

enum restart_policy { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };
enum restart_policy container_restart_policy(const json_t *host, unsigned *ret_max);

/* "SIGTERM", "term", "15" -> 15; -EINVAL. Real-time signals too ("SIGRTMIN+3"). */
int signal_parse(const char *s);
/* The one that stops it: Config.StopSignal, else SIGTERM; and seconds: Config.StopTimeout, else 10.
 */
int container_stop_signal(const json_t *config);
int container_stop_timeout(const json_t *config);

/* The body of POST /containers/ID/exec: AttachStdin, AttachStdout, AttachStderr, Tty, Cmd, Env,
 * User, WorkingDir, Privileged, DetachKeys; others refused by name. *ret is complete. */
int exec_config_decode(json_t **ret, const json_t *body, struct cnm_error *err);

/*
 * "ctrl-p,ctrl-q" -> the bytes; *ret_n at most 16. "" gives Docker's default. CNM_E_INVALID with
 * Docker's words.
 */
int detach_keys_parse(const char *s, unsigned char ret[static 16], unsigned *ret_n,
		      struct cnm_error *err);

#endif
