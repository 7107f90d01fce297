/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * docker top: `ps` of the machine, run with the user's arguments and reduced to the container's
 * processes, which the runtime knows. The arguments are words for ps, not for a shell.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/process.h"

#define MAX_WORDS 32

/* The next word of *s, or NULL; the last column takes the rest of its line. */
static char *next_word(char **s, bool rest)
{
	char *word = *s + strspn(*s, " \t");

	if (!*word)
		return NULL;
	*s = rest ? word + strlen(word) : word + strcspn(word, " \t");
	if (**s)
		*(*s)++ = 0;
	return word;
}

static bool is_listed(const char *text, const pid_t *pids, unsigned n)
{
	long pid;

	if (!text || str_to_long(text, 1, 1 << 30, &pid) < 0)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static json_t *read_line(char *line, size_t columns)
{
	json_t *words = json_array();
	char *word;

	while ((word = next_word(&line, columns && json_array_size(words) + 1 == columns)))
		json_push(words, json_string(word));
	return words;
}

static int reduce(char *text, const pid_t *pids, unsigned n, json_t **ret, struct cnm_error *err)
{
	json_t *titles = NULL, *processes = json_array(), *v;
	size_t i, column = SIZE_MAX;
	char *line;

	while ((line = strsep(&text, "\n")) && *line) {
		json_t *words = read_line(line, json_array_size(titles));

		if (!titles) {
			titles = words;
			json_array_foreach (titles, i, v)
				if (streq(json_string_value(v), "PID"))
					column = i;
		} else if (is_listed(json_string_value(json_array_get(words, column)), pids, n)) {
			json_push(processes, words);
		} else {
			json_decref(words);
		}
	}
	if (column == SIZE_MAX) {
		json_decref(titles);
		json_decref(processes);
		return cnm_error_set(
			err, CNM_E_INVALID,
			"Couldn't find PID field in ps output: use arguments of ps that "
			"show it");
	}
	*ret = json_pack("{s:o,s:o}", "Processes", processes, "Titles", titles);
	return 0;
}

static int run_ps(const char *ps_args, char **ret, struct cnm_error *err)
{
	_free_ char *words = strdup(*ps_args ? ps_args : "-ef");
	char *argv[MAX_WORDS + 2] = { (char *)"ps" }, *rest = words;
	struct process_result result = { 0 };
	unsigned n = 1;
	int r;

	if (!words)
		return cnm_error_errno(err, ENOMEM, "top");
	while (n <= MAX_WORDS && (argv[n] = next_word(&rest, false)))
		n++;
	argv[n] = NULL;
	r = process_run(
		argv, &(struct process_options){ .what = "list processes", .max_output = 1 << 20 },
		&result, err);
	if (r == 0)
		*ret = take_ptr(result.out);
	process_result_free(&result);
	return r;
}

int containers_top(struct containers *cs, const char *ref, const char *ps_args, char **ret_json,
		   struct cnm_error *err)
{
	_free_ char *text = NULL;
	_free_ pid_t *pids = NULL;
	_json_ json_t *o = NULL;
	struct container *c;
	char id[ID_SIZE];
	unsigned n = 0;
	int r;

	pthread_mutex_lock(&cs->lock);
	r = container_find(cs, ref, &c, err);
	if (r == 0 && c->state != CONTAINER_RUNNING)
		r = cnm_error_set(err, CNM_E_CONFLICT, "container %s is not running", c->id);
	if (r == 0)
		memcpy(id, c->id, ID_SIZE);
	pthread_mutex_unlock(&cs->lock);
	if (r < 0 || (r = runtime_pids(cs->runtime, id, &pids, &n, err)) < 0 ||
	    (r = run_ps(ps_args ? ps_args : "", &text, err)) < 0 ||
	    (r = reduce(text, pids, n, &o, err)) < 0)
		return r;
	*ret_json = o ? json_text(o) : NULL;
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "top");
}
