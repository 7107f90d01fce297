/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Helpers over jansson: typed reads of a request's members with errors a person can use, and
 * builders that carry on after a failed allocation (the error shows at the end, as NULL).
 *
 * The readers treat an absent member and JSON null alike: the out parameter keeps its value and 0
 * is returned. A member of the wrong type is CNM_E_INVALID, naming the path and the type found.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "cnm/error.h"

static inline void json_cleanup(json_t **j)
{
	json_decref(*j);
}
#define _json_ _cleanup_(json_cleanup)

/* *ret is borrowed from obj. */
int json_get_string(const json_t *obj, const char *key, const char **ret, struct cnm_error *err);
int json_get_bool(const json_t *obj, const char *key, bool *ret, struct cnm_error *err);
int json_get_int(const json_t *obj, const char *key, int64_t *ret, struct cnm_error *err);
int json_get_object(const json_t *obj, const char *key, json_t **ret, struct cnm_error *err);
int json_get_array(const json_t *obj, const char *key, json_t **ret, struct cnm_error *err);
/* An object whose values are all strings (labels, options). *ret is borrowed. */
int json_get_strings(const json_t *obj, const char *key, json_t **ret, struct cnm_error *err);
/*
 * Refuses members of obj that are not in the NULL-terminated list: "<what>: unknown field X".
 * obj NULL is fine.
 */
int json_check_keys(const json_t *obj, const char *what, const char *const *known,
		    struct cnm_error *err);

/*
 * Sets obj[key] = value, or appends to array, stealing value. A NULL value (a failed allocation)
 * stores nothing, returns -ENOMEM, and makes the next json_text() on this thread return NULL.
 */
int json_put(json_t *obj, const char *key, json_t *value);
int json_push(json_t *array, json_t *value);
/* A string or "" for NULL. */
json_t *json_str(const char *s);
/* Compact text of j, owned by the caller; NULL on failure. Keys in insertion order. */
char *json_text(const json_t *j);

#endif
