/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Printing the daemon's JSON: whole, through a template, or as the fields of a list. */
#ifndef CNM_OUTPUT_H
#define CNM_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "cnm/error.h"
#include "cnm/strv.h"

/*
 * Print JSON documents given as text: as an array indented by four spaces (format NULL or ""), as
 * one on a line ("json"), or each through a template. The text is not re-written but re-spaced, so
 * that numbers and the order of members stay as the daemon sent them.
 */
int output_documents(const struct strv *documents, const char *format, struct cnm_error *err);

/* Each document on a line of its own ("json"), or through a template. */
int output_each(const struct strv *documents, const char *format, struct cnm_error *err);

/* A member's string, or "" if it has none. Borrowed. */
const char *output_string(const json_t *object, const char *key);
/* Values for table rows, all new references or NULL if memory ran out. */
json_t *output_id(const json_t *object, bool no_trunc);     /* its Id, 12 digits unless no_trunc */
json_t *output_created(const json_t *object);               /* its Created as Go prints a time */
json_t *output_labels(const json_t *object);                /* its Labels as "a=1,b=2", in order */
json_t *output_bool(const json_t *object, const char *key); /* "true" or "false" */
/* The keys of an object, in their order, with commas. */
json_t *output_keys(const json_t *object);

#endif
