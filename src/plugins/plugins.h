/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other people's programs that make networks or give addresses, by Docker's plugin protocol: JSON
 * by HTTP, one POST a call.
 *
 * A plugin is looked for when its name is first used, greeted (Plugin.Activate, then what it can
 * do), and looked for again when it cannot be reached. What it answers is somebody else's: bounded,
 * and checked by whoever asked. Every call has a deadline. Two calls to a plugin may be under way;
 * others wait for their turn while it is quick, and are refused once it is not: so a plugin that
 * hangs holds two threads, and nobody else's.
 *
 * Thread-safe. To be called without any lock held.
 */
#ifndef PLUGINS_PLUGINS_H
#define PLUGINS_PLUGINS_H

#include <jansson.h>
#include <stdbool.h>

#include "cnm/error.h"

struct plugins;

/* run_dir: its folder "plugins" is looked into first. timeout_ms: of each call; 0: 10 s. */
int plugins_new(struct plugins **ret, const char *run_dir, unsigned timeout_ms,
		struct cnm_error *err);
/* Calls under way fail at once, and those to come. */
void plugins_cancel(struct plugins *p);
/* Nobody calls any more. NULL is accepted. */
void plugins_free(struct plugins *p);

#define PLUGIN_NETWORK "NetworkDriver"
#define PLUGIN_IPAM    "IpamDriver"

/* What a plugin says it can do. */
struct plugin_abilities {
	bool network, ipam;
	bool global;          /* its networks are those of all hosts */
	bool meets_hosts;     /* it wants to hear of the other hosts */
	bool checks_gateways; /* it says which families want no gateway address */
	bool needs_mac;       /* of the endpoint that an address is asked for */
};

/*
 * What a call came to besides 0. Refused: it answered, with an error. Lacks: it answered that it
 * does not know the call. Any other negative errno: there is no answer that could be used; the call
 * may have been carried out.
 */
#define PLUGIN_REFUSED (-EREMOTEIO)
#define PLUGIN_LACKS   (-ENOSYS)

/*
 * It answers, and has this role (NULL: any). CNM_E_NOT_FOUND in Docker's words if it is not there.
 * ret may be NULL.
 */
int plugins_require(struct plugins *p, const char *name, const char *role,
		    struct plugin_abilities *ret, struct cnm_error *err);
/*
 * method: "NetworkDriver.Join". args is taken; NULL: none, also for want of memory when that was
 * not meant. *ret (may be NULL) is an object, the caller's.
 */
int plugins_call(struct plugins *p, const char *name, const char *method, json_t *args,
		 json_t **ret, struct cnm_error *err);
/*
 * An answer is not what the call promises, as err says, which then names both: as good as none.
 * Always -EBADMSG.
 */
int plugin_wrong_answer(const char *name, const char *method, struct cnm_error *err);
/* Does it answer, as far as was seen last? why: else what went wrong, "" if it was not tried. */
bool plugins_answers(struct plugins *p, const char *name, char *why, size_t size);
/* How often it was greeted: another number means that it may have been started anew. */
unsigned plugins_greetings(struct plugins *p, const char *name, struct plugin_abilities *ret);

/* All that are found or were used, as GET /cnm/v1/plugins has them; NULL: no memory. */
json_t *plugins_list(struct plugins *p);

/* For the fuzzer: what a plugin answered, whatever it is. */
int plugin_answer_decode(int status, const char *body, size_t len, json_t **ret,
			 struct cnm_error *err);

#endif
