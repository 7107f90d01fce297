/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which events a client asked for. Pure. */
#ifndef API_API_FILTER_H
#define API_API_FILTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cnm/error.h"

/*
 * Check Docker's filters of events, {"key":{"value":true}} or {"key":["value"]}, and bring them to
 * {"key": ["value", ...]}. *ret is NULL if nothing is filtered.
 */
int event_filter_parse(json_t **ret, const char *text, struct cnm_error *err);
/*
 * As Docker: values of one key are alternatives (labels: all must fit), keys add up; networks and
 * containers may be named by id, name, or the beginning of either.
 */
bool event_filter_matches(const json_t *filter, const json_t *event);
/* The event's instant; 0 if it has none. */
int64_t event_time_ns(const json_t *event);

#endif
