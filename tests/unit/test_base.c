/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rest of the base layer: errors, ids, JSON helpers, the log, the hash map, lists, strings. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "cnm/error.h"

/* ---- errors */

static void test_error_classes(void **state)
{
	static const struct {
		enum cnm_error_class class;
		int err;
		const char *name;
	} cases[] = {
		{ CNM_E_INTERNAL, EIO, "internal" },
		{ CNM_E_INVALID, EINVAL, "invalid" },
		{ CNM_E_FORBIDDEN, EPERM, "forbidden" },
		{ CNM_E_NOT_FOUND, ENOENT, "not found" },
		{ CNM_E_CONFLICT, EEXIST, "conflict" },
		{ CNM_E_NOT_IMPLEMENTED, ENOSYS, "not implemented" },
		{ CNM_E_UNAVAILABLE, EAGAIN, "unavailable" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cnm_error e = { 0 };

		assert_int_equal(cnm_error_set(&e, cases[i].class, "%s %d", "text", 7),
				 -cases[i].err);
		assert_int_equal(e.class, cases[i].class);
		assert_int_equal(e.err, cases[i].err);
		assert_string_equal(e.text, "text 7");
		assert_int_equal(cnm_error_set(NULL, cases[i].class, "x"), -cases[i].err);
		assert_string_equal(cnm_error_class_name(cases[i].class), cases[i].name);
	}
	assert_string_equal(cnm_error_class_name((enum cnm_error_class)99), "unknown");
	assert_string_equal(cnm_error_class_name((enum cnm_error_class) - 1), "unknown");
}

static void test_error_chain(void **state)
{
	struct cnm_error e = { .class = CNM_E_INVALID };

	assert_int_equal(cnm_error_errno(&e, -ENODEV, "add %s", "veth"), -ENODEV);
	assert_int_equal(e.class, CNM_E_INTERNAL);
	assert_int_equal(e.err, ENODEV);
	assert_string_equal(e.text, "add veth: No such device");
	assert_int_equal(cnm_error_prefix(&e, "join %s", "\"n\""), -ENODEV);
	assert_string_equal(e.text, "join \"n\": add veth: No such device");
	/* The arguments may be the text itself. */
	assert_int_equal(cnm_error_prefix(&e, "%.8s", e.text), -ENODEV);
	assert_string_equal(e.text, "join \"n\": join \"n\": add veth: No such device");
	assert_int_equal(cnm_error_set(&e, CNM_E_CONFLICT, "again: %s", e.text), -EEXIST);
	assert_string_equal(e.text, "again: join \"n\": join \"n\": add veth: No such device");

	assert_int_equal(cnm_error_errno(NULL, ENOMEM, "x"), -ENOMEM);
	assert_int_equal(cnm_error_errno(NULL, 0, "x"), -EIO);
	assert_int_equal(cnm_error_prefix(NULL, "x"), -EIO);
	e = (struct cnm_error){ 0 };
	assert_int_equal(cnm_error_prefix(&e, "x"), -EIO);
}

static void test_error_cut(void **state)
{
	struct cnm_error e = { 0 };
	char long_text[2 * CNM_ERROR_TEXT];
	const size_t max = CNM_ERROR_TEXT - 1;

	memset(long_text, 'a', sizeof(long_text));
	long_text[max] = '\0';
	cnm_error_set(&e, CNM_E_INVALID, "%s", long_text);
	assert_string_equal(e.text, long_text); /* it just fits */
	cnm_error_set(&e, CNM_E_INVALID, "%sa", long_text);
	assert_int_equal(strlen(e.text), max);
	assert_string_equal(e.text + max - 4, "a...");
	cnm_error_prefix(&e, "p");
	assert_int_equal(strlen(e.text), max);
	assert_memory_equal(e.text, "p: aaa", 6);
	assert_string_equal(e.text + max - 4, "a...");
	cnm_error_prefix(&e, "%s", long_text);
	assert_string_equal(e.text + max - 4, "a...");
	cnm_error_errno(&e, EPERM, "%sa", long_text);
	assert_int_equal(strlen(e.text), max);

	/* Never in the middle of a character, wherever the cut falls. */
	for (size_t shift = 0; shift < 4; shift++) {
		memset(long_text, 'a', shift);
		for (size_t i = shift; i + 4 < sizeof(long_text); i += 4)
			memcpy(long_text + i, "\xf0\x9f\x90\xb3", 5);
		cnm_error_set(&e, CNM_E_INVALID, "%s", long_text);
		assert_true(str_is_printable(e.text));
		assert_true(strlen(e.text) > max - 4);
		assert_string_equal(e.text + strlen(e.text) - 3, "...");
	}
}

/* ---- ids */

static unsigned char fill_with;

static void fill_constant(void *buf, unsigned n)
{
	memset(buf, fill_with, n);
}

static void test_id(void **state)
{
	char a[ID_SIZE], b[ID_SIZE];

	id_new(a);
	id_new(b);
	assert_true(id_is_valid(a) && id_is_valid(b));
	assert_string_not_equal(a, b);
	assert_false(id_is_valid(""));
	b[ID_LEN - 1] = '\0';
	assert_false(id_is_valid(b));
	a[5] = 'A';
	assert_false(id_is_valid(a));
	a[5] = 'g';
	assert_false(id_is_valid(a));

	id_set_source(fill_constant);
	fill_with = 0xab;
	id_new(a);
	assert_memory_equal(a, "abababababababab", 16);
	fill_with = 0x17; /* digits alone would make a host name that looks like a number */
	id_new(a);
	assert_true(id_is_valid(a));
	assert_memory_equal(a, "b71717171717", 12);
	id_random(b, 4);
	assert_memory_equal(b, "\x17\x17\x17\x17", 4);
	id_set_source(NULL);
	id_new(b);
	assert_string_not_equal(a, b);
}

/* ---- JSON */

static void test_json_get(void **state)
{
	_json_ json_t *o = json_loads("{\"s\":\"x\",\"b\":true,\"f\":false,\"i\":9007199254740993,"
				      "\"r\":1.5,\"o\":{\"k\":\"v\"},\"a\":[1],\"n\":null,"
				      "\"bad\":{\"k\":1}}",
				      0, NULL);
	struct cnm_error e = { 0 };
	const char *s = "kept";
	json_t *j = NULL;
	int64_t i = 5;
	bool b = false;

	assert_int_equal(json_get_string(o, "none", &s, &e), 0);
	assert_int_equal(json_get_string(o, "n", &s, &e), 0);
	assert_int_equal(json_get_string(NULL, "s", &s, &e), 0);
	assert_string_equal(s, "kept");
	assert_int_equal(json_get_string(o, "s", &s, &e), 0);
	assert_string_equal(s, "x");
	assert_int_equal(json_get_bool(o, "b", &b, &e), 0);
	assert_true(b);
	assert_int_equal(json_get_bool(o, "n", &b, &e), 0);
	assert_true(b);
	assert_int_equal(json_get_bool(o, "f", &b, &e), 0);
	assert_false(b);
	assert_int_equal(json_get_int(o, "i", &i, &e), 0);
	assert_true(i == 9007199254740993);
	assert_int_equal(json_get_array(o, "a", &j, &e), 0);
	assert_int_equal(json_array_size(j), 1);
	assert_int_equal(json_get_object(o, "o", &j, &e), 0);
	assert_int_equal(json_object_size(j), 1);
	j = NULL;
	assert_int_equal(json_get_strings(o, "n", &j, &e), 0);
	assert_null(j);
	assert_int_equal(json_get_strings(o, "o", &j, &e), 0);
	assert_ptr_equal(j, json_object_get(o, "o"));
	assert_string_equal(e.text, "");

	j = NULL;
	assert_int_equal(json_get_string(o, "b", &s, &e), -EINVAL);
	assert_int_equal(e.class, CNM_E_INVALID);
	assert_string_equal(e.text, "field \"b\" must be a string, but it is true or false");
	assert_int_equal(json_get_bool(o, "s", &b, &e), -EINVAL);
	assert_string_equal(e.text, "field \"s\" must be true or false, but it is a string");
	assert_int_equal(json_get_int(o, "r", &i, &e), -EINVAL);
	assert_string_equal(e.text,
			    "field \"r\" must be an integer, but it is a number with a fraction");
	assert_int_equal(json_get_object(o, "a", &j, &e), -EINVAL);
	assert_string_equal(e.text, "field \"a\" must be an object, but it is an array");
	assert_int_equal(json_get_array(o, "o", &j, &e), -EINVAL);
	assert_int_equal(json_get_strings(o, "i", &j, &e), -EINVAL);
	assert_int_equal(json_get_strings(o, "bad", &j, &e), -EINVAL);
	assert_string_equal(e.text, "field \"bad.k\" must be a string, but it is an integer");
	assert_int_equal(json_get_strings(o, "bad", &j, NULL), -EINVAL);
	assert_null(j);
	assert_string_equal(s, "x");
	assert_true(i == 9007199254740993);
}

static void test_json_check_keys(void **state)
{
	static const char *const known[] = { "a", "b", NULL };
	_json_ json_t *o = json_loads("{\"b\":1,\"a\":null}", 0, NULL);
	struct cnm_error e = { 0 };

	assert_int_equal(json_check_keys(o, "network", known, &e), 0);
	assert_int_equal(json_check_keys(NULL, "network", known, &e), 0);
	json_put(o, "A", json_true());
	assert_int_equal(json_check_keys(o, "network", known, &e), -EINVAL);
	assert_string_equal(e.text, "network: unknown field A");
}

static void test_json_build(void **state)
{
	_json_ json_t *o = json_object(), *text = json_string("x");
	_free_ char *whole = NULL, *lost = NULL, *after = NULL, *scalar = NULL;
	json_t *a = json_array();

	assert_int_equal(json_put(o, "z", json_str(NULL)), 0);
	assert_int_equal(json_put(o, "a", json_str("\"\n")), 0);
	assert_int_equal(json_push(a, json_integer(1)), 0);
	assert_int_equal(json_put(o, "l", a), 0);
	whole = json_text(o);
	assert_string_equal(whole, "{\"z\":\"\",\"a\":\"\\\"\\n\",\"l\":[1]}");

	assert_int_equal(json_put(o, "b", NULL), -ENOMEM);
	assert_null(json_object_get(o, "b"));
	lost = json_text(o);
	assert_null(lost);
	assert_int_equal(json_push(a, NULL), -ENOMEM);
	lost = json_text(o);
	assert_null(lost);
	after = json_text(o);
	assert_string_equal(after, whole);
	scalar = json_text(text);
	assert_string_equal(scalar, "\"x\"");
}

/* ---- the log */

struct lines {
	pthread_mutex_t lock;
	int n, level;
	char last[8192];
};

static void collect(int level, const char *line, void *arg)
{
	struct lines *l = arg;
	LOCKED(&l->lock);

	l->n++;
	l->level = level;
	str_copy(l->last, sizeof(l->last), line);
}

static void test_log_sink(void **state)
{
	struct lines l = { .lock = PTHREAD_MUTEX_INITIALIZER };
	char huge[5000];

	log_set_sink(collect, &l);
	log_debug("not yet");
	assert_int_equal(l.n, 0);
	errno = EXDEV;
	log_info("network %s: %d", "n", 3);
	assert_int_equal(errno, EXDEV);
	assert_string_equal(l.last, "network n: 3");
	assert_int_equal(l.level, 6);
	log_err("one\ntwo\r\033[31m");
	assert_string_equal(l.last, "one two  [31m");
	assert_int_equal(l.level, 3);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("now");
	assert_int_equal(l.level, 7);
	log_set_level(LOG_LEVEL_ERR);
	log_warn("no");
	assert_int_equal(l.n, 3);
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	log_err("%s", huge);
	assert_int_equal(strlen(l.last), 4095);
	assert_string_equal(l.last + 4091, "x...");
	log_set_sink(NULL, NULL);
	log_set_level(LOG_LEVEL_INFO);
}

/* Runs body in a child whose stderr is a pipe, and returns what it wrote there. */
static char *stderr_of(void (*body)(int err_fd))
{
	struct strbuf out = { 0 };
	char buf[4096];
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		body(STDERR_FILENO);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], buf, sizeof(buf))) > 0)
		strbuf_addn(&out, buf, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return strbuf_take(&out);
}

static void log_to_terminal(int fd)
{
	setenv("JOURNAL_STREAM", "1:1", 1); /* somebody else's stream */
	log_warn("a %s", "warning");
}

static void log_to_journal(int fd)
{
	struct stat st;
	char stream[64];

	fstat(fd, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_warn("a %s", "warning");
}

static void test_log_stderr(void **state)
{
	_free_ char *plain = stderr_of(log_to_terminal), *journal = stderr_of(log_to_journal);
	char *space = strchr(plain, ' ');
	int64_t when;

	assert_string_equal(journal, "<4>a warning\n");
	assert_non_null(space);
	assert_string_equal(space, " warning: a warning\n");
	*space = '\0';
	assert_int_equal(clock_parse(plain, 0, &when), 0);
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_info("thread %s writes a line of some length, which stays in one piece",
			 (const char *)arg);
	return NULL;
}

static void log_from_threads(int fd)
{
	static const char *const names[] = { "one", "two", "three", "four" };
	pthread_t threads[4];

	unsetenv("JOURNAL_STREAM");
	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, log_many, (void *)names[i]) != 0)
			_exit(1);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void test_log_threads(void **state)
{
	_free_ char *out = stderr_of(log_from_threads);
	char *save = NULL, *line;
	int n = 0;

	for (line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
		const char *rest = strstr(line, " info: thread ");

		assert_non_null(rest);
		assert_ptr_equal(rest, strchr(line, ' '));
		assert_non_null(strstr(rest, "which stays in one piece"));
		assert_string_equal(strstr(rest, "which"), "which stays in one piece");
		assert_null(strstr(rest + 1, " info: "));
	}
	assert_int_equal(n, 2000);
}

/* ---- the hash map */

static void test_map_basic(void **state)
{
	struct map m = { 0 };
	int a, b;
	size_t pos = 0;
	const char *key;
	void *value;

	assert_null(map_get(&m, "x"));
	assert_null(map_del(&m, "x"));
	assert_null(map_next(&m, &pos));
	assert_int_equal(map_add(&m, "x", &a), 0);
	assert_int_equal(map_add(&m, "x", &b), -EEXIST);
	assert_ptr_equal(map_get(&m, "x"), &a);
	assert_int_equal(map_add(&m, "", &b), 0); /* the empty key is a key, and not the mark */
	assert_ptr_equal(map_get(&m, ""), &b);
	assert_ptr_equal(map_del(&m, ""), &b);
	assert_null(map_get(&m, ""));
	pos = 0;
	assert_true(map_next_key(&m, &pos, &key, &value));
	assert_string_equal(key, "x");
	assert_ptr_equal(value, &a);
	assert_false(map_next_key(&m, &pos, &key, &value));
	map_free(&m);
	assert_null(map_get(&m, "x"));
	map_free(&m);
}

/* Random additions and deletions beside an array that says what must be there. */
static void test_map_property(void **state)
{
	enum { KEYS = 700 };
	static char keys[KEYS][16];
	bool there[KEYS] = { 0 };
	struct map m = { 0 };
	size_t used = 0;

	for (int i = 0; i < KEYS; i++)
		snprintf(keys[i], sizeof(keys[i]), "key%d", i);
	for (int step = 0; step < 200000; step++) {
		uint32_t range = step / 20000 % 2 ? KEYS : KEYS / 20, i = rng(range);
		char key[16];

		memcpy(key, keys[i], sizeof(key)); /* equal, not the same */
		if (rng(2)) {
			assert_int_equal(map_add(&m, keys[i], keys[i]), there[i] ? -EEXIST : 0);
			used += !there[i];
			there[i] = true;
		} else {
			assert_ptr_equal(map_del(&m, key), there[i] ? keys[i] : NULL);
			used -= there[i];
			there[i] = false;
		}
		assert_ptr_equal(map_get(&m, key), there[i] ? keys[i] : NULL);
		assert_int_equal(m.used, used);
		assert_true(m.cap == 0 || (m.filled < m.cap && m.cap <= 2048));
	}
	map_free(&m);
}

static void test_map_iterate_and_delete(void **state)
{
	static char keys[1000][16];
	struct map m = { 0 };
	size_t pos = 0;
	int seen = 0;
	char *v;

	for (int i = 0; i < 1000; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%d", i);
		assert_int_equal(map_add(&m, keys[i], keys[i]), 0);
	}
	while ((v = map_next(&m, &pos))) {
		seen++;
		if (seen % 2)
			assert_ptr_equal(map_del(&m, v), v);
	}
	assert_int_equal(seen, 1000);
	pos = 0;
	for (seen = 0; map_next(&m, &pos);)
		seen++;
	assert_int_equal(seen, 500);
	map_free(&m);
}

/* ---- lists */

struct item {
	int n;
	struct list node;
};

static void test_list(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[4], *it, *next;
	int sum = 0;

	for (int i = 0; i < 4; i++) {
		items[i].n = i;
		list_append(&head, &items[i].node);
	}
	list_for_each (it, &head, node) {
		assert_int_equal(it->n, sum);
		sum++;
	}
	assert_int_equal(sum, 4);
	list_for_each_safe (it, next, &head, node)
		if (it->n != 2)
			list_del(&it->node);
	list_del(&items[0].node); /* once more does no harm */
	assert_ptr_equal(head.next, &items[2].node);
	list_del(&items[2].node);
	assert_true(list_empty(&head));
}

/* ---- strings */

static void test_strbuf(void **state)
{
	struct strbuf b = { 0 };
	_free_ char *empty = strbuf_take(&b), *s = NULL, *want = NULL;

	assert_string_equal(empty, "");
	strbuf_add(&b, "");
	strbuf_add(&b, "ab");
	strbuf_addn(&b, "cdef", 2);
	strbuf_addf(&b, "%d-%s", 42, "x");
	assert_string_equal(b.s, "abcd42-x");
	assert_int_equal(b.len, 8);
	s = strbuf_take(&b);
	assert_null(b.s);
	assert_int_equal(b.len, 0);
	assert_string_equal(s, "abcd42-x");

	want = malloc(10001);
	assert_non_null(want);
	for (int i = 0; i < 10000; i += 4) {
		memcpy(want + i, "wxyz", 5);
		strbuf_addf(&b, "%s", "wxyz");
	}
	assert_string_equal(b.s, want);
	strbuf_addf(&b, "%s", want);
	assert_int_equal(b.len, 20000);
	strbuf_free(&b);
	assert_null(b.s);
	strbuf_free(&b);
}

static void test_strbuf_fails_once(void **state)
{
	struct strbuf b = { 0 };

	strbuf_add(&b, "before");
	strbuf_addn(&b, "x", SIZE_MAX - 3); /* more than there can be; nothing is read */
	assert_true(b.failed);
	strbuf_add(&b, "after");
	strbuf_addf(&b, "%d", 1);
	assert_int_equal(b.len, 6);
	assert_null(strbuf_take(&b));
	assert_false(b.failed);
	assert_null(b.s);
}

#ifdef CAN_FAIL_ALLOC
static void test_out_of_memory(void **state)
{
	struct strbuf b = { 0 };
	struct map m = { 0 };
	int added = 0, r;
	char keys[16][12];

	fail_in = 1;
	strbuf_add(&b, "x");
	fail_in = 1;
	r = map_add(&m, "x", &m);
	assert_true(b.failed);
	assert_null(strbuf_take(&b));
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(m.used, 0);

	strbuf_add(&b, "x");
	assert_int_equal(map_add(&m, "x", &m), 0);
	fail_in = 1;
	for (r = 0; r == 0; added++) {
		snprintf(keys[added], sizeof(keys[added]), "%d", added);
		r = map_add(&m, keys[added], &m);
	}
	fail_in = 1;
	strbuf_addf(&b, "%500d", 1);
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(m.used, added);
	assert_null(map_get(&m, keys[added - 1]));
	assert_int_equal(map_add(&m, keys[added - 1], &m), 0);
	assert_ptr_equal(map_get(&m, "x"), &m);
	assert_null(strbuf_take(&b));
	map_free(&m);
}
#endif

static void test_str_helpers(void **state)
{
	char buf[4];

	assert_string_equal(str_after("cnm0", "cnm"), "0");
	assert_string_equal(str_after("cnm", ""), "cnm");
	assert_null(str_after("cn", "cnm"));

	assert_true(str_copy(buf, sizeof(buf), "abc"));
	assert_string_equal(buf, "abc");
	assert_false(str_copy(buf, sizeof(buf), "wxyz"));
	assert_string_equal(buf, "wxy");
	assert_false(str_copy(buf, 0, "q"));
	assert_string_equal(buf, "wxy");
	assert_false(str_copy(buf, 1, "q"));
	assert_string_equal(buf, "");
}

static void test_str_to_long(void **state)
{
	static const struct {
		const char *s;
		int r;
		long v;
	} cases[] = {
		{ "0", 0, 0 },
		{ "65535", 0, 65535 },
		{ "-7", 0, -7 },
		{ "007", 0, 7 },
		{ "65536", -ERANGE, 0 },
		{ "-8", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "-", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "0x1", -EINVAL, 0 },
		{ "1.0", -EINVAL, 0 },
		{ "--1", -EINVAL, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "-99999999999999999999", -ERANGE, 0 },
	};
	long last;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		long v = 0;

		assert_int_equal(str_to_long(cases[i].s, -7, 65535, &v), cases[i].r);
		assert_int_equal(v, cases[i].v);
	}
	assert_int_equal(str_to_long("9223372036854775807", LONG_MIN, LONG_MAX, &last), 0);
	assert_true(last == LONG_MAX);
	assert_int_equal(str_to_long("9223372036854775808", LONG_MIN, LONG_MAX, &last), -ERANGE);
}

static void test_str_to_bool(void **state)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	static const char *const bad[] = { "", "yes", "tRUE", "2", "true ", "01" };
	bool v;

	for (size_t i = 0; i < 6; i++) {
		v = false;
		assert_int_equal(str_to_bool(yes[i], &v), 0);
		assert_true(v);
		assert_int_equal(str_to_bool(no[i], &v), 0);
		assert_false(v);
		assert_int_equal(str_to_bool(bad[i], &v), -EINVAL);
	}
}

static void test_str_is_printable(void **state)
{
	static const char *const good[] = {
		"",
		"plain text ~",
		"\xc2\xa0",
		"\xc3\xa9",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xef\xbf\xbd",
		"\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf",
	};
	static const char *const bad[] = {
		"\n",
		"a\tb",
		"\x7f",
		"\xc2\x80",
		"\xc2\x9f",
		"\x80",
		"\xbf",
		"\xc3",
		"\xc3(",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xe2\x82",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xf8\x88\x80\x80\x80",
		"\xff",
		"\xfe",
		"a\xf0\x9f\x90",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!str_is_printable(good[i]))
			fail_msg("refused good[%zu]", i);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (str_is_printable(bad[i]))
			fail_msg("accepted bad[%zu]", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_classes),
		cmocka_unit_test(test_error_chain),
		cmocka_unit_test(test_error_cut),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_json_get),
		cmocka_unit_test(test_json_check_keys),
		cmocka_unit_test(test_json_build),
		cmocka_unit_test(test_log_sink),
		cmocka_unit_test(test_log_stderr),
		cmocka_unit_test(test_log_threads),
		cmocka_unit_test(test_map_basic),
		cmocka_unit_test(test_map_property),
		cmocka_unit_test(test_map_iterate_and_delete),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_strbuf),
		cmocka_unit_test(test_strbuf_fails_once),
#ifdef CAN_FAIL_ALLOC
		cmocka_unit_test(test_out_of_memory),
#endif
		cmocka_unit_test(test_str_helpers),
		cmocka_unit_test(test_str_to_long),
		cmocka_unit_test(test_str_to_bool),
		cmocka_unit_test(test_str_is_printable),
	};

	rng_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
