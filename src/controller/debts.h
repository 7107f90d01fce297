/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What plugins have still to be told.
 *
 * A plugin keeps what it was asked for until it is told that it is over; and cnm may be killed, or
 * the plugin be dead, just then. So before a plugin is asked for something, what takes that back is
 * written down: a debt, about the endpoint or network that it is for. The transaction that makes
 * the endpoint or network last forgives it. The one by which it ends writes it down again. Whatever
 * becomes of a request: a debt about something that is not there, is due, and is paid: at once by
 * the request that finds it, and else by the plugin's agent (agents.c), until the plugin answers.
 *
 * A debt is a list of calls, the last thing done first. One that a plugin refuses three times is
 * given up; one that it does not answer is tried for ever.
 *
 * The lock is taken below the engine's, and held around no call.
 */
#ifndef CONTROLLER_DEBTS_H
#define CONTROLLER_DEBTS_H

#include "controller/engine.h"

struct debts;
struct debt;

int debts_new(struct debts **ret, struct cnm_error *err);
void debts_free(struct debts *d);
/* The rows of an earlier daemon. */
int debts_load(struct cnm_engine *e, struct cnm_error *err);

/*
 * about: an id; until debt_enter() it is nobody's but the caller's. joined: it is about an
 * endpoint's being in a sandbox, not about what it has as long as there is one. NULL: no memory.
 */
struct debt *debt_new(const char *about, bool joined);
void debt_free(struct debt *d);
void debt_set_about(struct debt *d, const char *about);
/* One more call, to be made before those that are there; args is taken. */
void debt_add(struct debt *d, const char *plugin, const char *method, json_t *args);
/* A call of this method, with this value of an argument, was made already. */
void debt_forget_call(struct debt *d, const char *method, const char *arg, const char *value);
bool debt_is_empty(const struct debt *d);
/* Without the engine's lock: on disk, with the calls that it has now. */
int debt_write(struct cnm_engine *e, struct debt *d, struct cnm_error *err);
/* In a transaction. */
void debt_put(struct debt *d, struct store_tx **tx);
/* Taken: it is due as soon as what it is about is gone. */
void debt_enter(struct cnm_engine *e, struct debt *d);

/* In the transaction that makes what they are about last: they are no more. */
void debts_forgive(struct cnm_engine *e, const char *about, struct store_tx *tx);
/*
 * Without the engine's lock. Pays what is due and was not tried before, and forgets what was
 * forgiven.
 */
void debts_afterwards(struct cnm_engine *e);
/*
 * The same for the agent of a plugin: what is due, and its turn has come. Returns when the next
 * one's comes, monotonic ns; UINT64_MAX: none waits.
 */
uint64_t debts_pay(struct cnm_engine *e, const char *plugin);
/* It answers again: the turn of all its debts has come. */
void debts_hurry(struct debts *d, const char *plugin);
/* The plugins that any wait for, as keys of an object. */
void debts_creditors(struct debts *d, json_t *names);
/* How many wait for a plugin. */
unsigned debts_count(struct debts *d, const char *plugin);

#endif
