/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The column PORTS of `cnm ps`. */
#ifndef CNM_PORTS_TEXT_H
#define CNM_PORTS_TEXT_H

#include <jansson.h>

/*
 * "0.0.0.0:8000-8010->8000-8010/tcp, 80/tcp, 0.0.0.0:8080->81/tcp", for a list's Ports: those with
 * the same number on both sides or none outside first. A string, or NULL: no memory.
 */
json_t *ports_text(const json_t *ports);

#endif
