/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a runtime says when it fails, in the words that Docker's client knows.
 *
 * runc writes `exec failed: unable to start container process: exec: "foo": executable file not
 * found in $PATH`, crun "executable file `foo` not found in $PATH: No such file or directory" or
 * "open executable: Permission denied". The client makes its exit status 126 or 127 of runc's
 * words.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/runtime_internal.h"

#define MESSAGE 1024

/* One line of the log: its message, when it is JSON; else the line. */
static void read_line(const char *line, size_t n, char ret[static MESSAGE])
{
	_json_ json_t *j = json_loadb(line, n, JSON_DISABLE_EOF_CHECK, NULL);
	const char *msg = json_string_value(json_object_get(j, "msg"));
	const char *level = json_string_value(json_object_get(j, "level"));

	if (level && (streq(level, "warning") || streq(level, "info") || streq(level, "debug")))
		return;
	if (msg)
		str_copy(ret, MESSAGE, msg);
	else if (!*ret)
		snprintf(ret, MESSAGE, "%.*s", (int)n, line);
}

/* The last error, or the first line that is no record of a log. */
static void read_lines(const char *said, char ret[static MESSAGE])
{
	*ret = 0;
	while (*said) {
		size_t n = strcspn(said, "\n");

		if (n)
			read_line(said, n, ret);
		said += n + (said[n] == '\n');
	}
	for (char *c = ret; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
}

/* "... `X` ...": X, else the program that was asked for. */
static void quoted(const char *message, const char *program, char *ret, size_t size)
{
	const char *from = strchr(message, '`'), *to = from ? strchr(from + 1, '`') : NULL;

	if (to)
		snprintf(ret, size, "%.*s", (int)(to - from - 1), from + 1);
	else
		snprintf(ret, size, "%s", program ? program : "");
}

/* crun's words turned into runc's, where they are about the program. */
static void from_crun(char message[static MESSAGE], const char *program)
{
	char name[256], said[MESSAGE];

	str_copy(said, sizeof(said), message);
	quoted(said, program, name, sizeof(name));
	if (str_after(said, "executable file `") && strstr(said, "not found in $PATH")) {
		if (strchr(name, '/'))
			snprintf(message, MESSAGE,
				 "exec: \"%s\": stat %s: no such file or directory", name, name);
		else
			snprintf(message, MESSAGE,
				 "exec: \"%s\": executable file not found in $PATH", name);
	} else if (str_after(said, "open executable: ")) {
		/* crun 1.8 says "Operation not permitted" of a directory */
		snprintf(message, MESSAGE, "exec: \"%s\": %s", name,
			 strstr(said, "Is a directory")              ? "is a directory"
			 : strstr(said, "No such file or directory") ? "no such file or directory"
								     : "permission denied");
	}
}

/* The part of runc's words that is about the program, or NULL. */
static const char *about_program(const char *message)
{
	static const char *const causes[] = { "executable file not found", "permission denied",
					      "is a directory", "no such file or directory" };
	const char *at = strstr(message, "exec: \"");

	if (!at)
		at = strstr(message, "chdir to cwd (");
	for (size_t i = 0; at && i < sizeof(causes) / sizeof(causes[0]); i++)
		if (strstr(at, causes[i]))
			return at;
	return NULL;
}

int runtime_refused(const struct runtime *rt, const char *what, const char *said,
		    const char *program, struct cnm_error *err)
{
	char message[MESSAGE];
	const char *about;

	read_lines(said, message);
	if (!*message)
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "%s: %s ended without a word; was it killed?", what, rt->name);
	from_crun(message, program);
	about = about_program(message);
	if (about)
		return cnm_error_set(err, CNM_E_INVALID, "%s", about);
	return cnm_error_set(err, CNM_E_INTERNAL, "%s: %s: %s", what, rt->name, message);
}
