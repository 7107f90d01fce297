/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry. Each plugin has a line (how it is reached now), counted by its users, since it is
 * replaced when the plugin is looked for again while another call may still hold the old one.
 */
#include "plugins/plugins.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/json.h"
#include "base/list.h"
#include "base/str.h"
#include "http/http_client.h"
#include "plugins/plugin_address.h"

#define SEATS       2
#define NS_PER_S    1000000000ull
#define QUICK_NS    (2 * NS_PER_S) /* a call that takes longer makes others be refused */
#define TIMEOUT_MS  10000
#define CONNECT_MS  2000
#define ANSWER_MAX  (1u << 20)
#define MAX_PLUGINS 256 /* names that somebody asked for */
#define ACCEPT      "Accept: application/vnd.docker.plugins.v1.2+json"

struct line {
	unsigned users;
	struct plugin_address at;
	struct http_client *client;
};

struct plugin {
	struct list node;
	char *name;
	struct line *line; /* NULL: not looked for, or not found */
	bool greeted;
	unsigned greetings;
	struct plugin_abilities can;
	uint64_t since[SEATS]; /* a call is under way; 0: the seat is free */
	uint64_t calls, failures;
	unsigned last_us, mean_us; /* of those answered */
	char error[256];           /* of the last call; "": it went well */
	char last_error[256];      /* the last there was */
};

struct plugins {
	char *run_dir;
	unsigned timeout_ms;
	pthread_mutex_t lock;
	pthread_cond_t seat_free;
	bool cancelled;
	struct list all;
};

/* ---- lines */

static void line_put(struct plugins *p, struct line *l)
{
	bool last;

	if (!l)
		return;
	pthread_mutex_lock(&p->lock);
	last = --l->users == 0;
	pthread_mutex_unlock(&p->lock);
	if (!last)
		return;
	http_client_free(l->client);
	plugin_address_free(&l->at);
	free(l);
}

static int line_new(struct plugins *p, const char *name, struct line **ret, struct cnm_error *err)
{
	struct line *l = calloc(1, sizeof(*l));
	int r = l ? plugin_address_find(p->run_dir, name, &l->at, err)
		  : cnm_error_errno(err, ENOMEM, "plugin");

	if (r == 0)
		r = http_client_new(&l->client, &l->at.tls, err);
	if (r < 0) {
		if (l)
			plugin_address_free(&l->at);
		free(l);
		return r;
	}
	l->users = 1;
	*ret = l;
	return 0;
}

/* Look for it (again). The line that is returned has one more user. */
static int connect_to(struct plugins *p, struct plugin *pl, bool again, struct line **ret,
		      struct cnm_error *err)
{
	struct line *l, *old = NULL;
	int r;

	pthread_mutex_lock(&p->lock);
	l = again || (pl->line && plugin_address_is_stale(&pl->line->at)) ? NULL : pl->line;
	if (l)
		l->users++;
	pthread_mutex_unlock(&p->lock);
	if (!l) {
		r = line_new(p, pl->name, &l, err);
		pthread_mutex_lock(&p->lock);
		old = pl->line;
		pl->line = r == 0 ? l : NULL;
		pl->greeted = false;
		if (r == 0)
			l->users++;
		if (p->cancelled && r == 0)
			http_client_cancel(l->client);
		pthread_mutex_unlock(&p->lock);
		line_put(p, old);
		if (r < 0)
			return r;
	}
	*ret = l;
	return 0;
}

/* ---- turns */

static struct plugin *find(const struct plugins *p, const char *name)
{
	struct plugin *pl;

	list_for_each (pl, &p->all, node)
		if (streq(pl->name, name))
			return pl;
	return NULL;
}

static struct plugin *find_or_add(struct plugins *p, const char *name)
{
	struct plugin *pl = find(p, name);
	unsigned n = 0;

	if (pl)
		return pl;
	list_for_each (pl, &p->all, node)
		n++;
	pl = n < MAX_PLUGINS ? calloc(1, sizeof(*pl)) : NULL;
	if (!pl || !(pl->name = strdup(name))) {
		free(pl);
		return NULL;
	}
	list_append(&p->all, &pl->node);
	return pl;
}

static int seat_of(const struct plugin *pl)
{
	for (int i = 0; i < SEATS; i++)
		if (!pl->since[i])
			return i;
	return -1;
}

static uint64_t longest(const struct plugin *pl, uint64_t now)
{
	uint64_t ns = 0;

	for (int i = 0; i < SEATS; i++)
		if (pl->since[i] && now - pl->since[i] > ns)
			ns = now - pl->since[i];
	return ns;
}

/* Lock held, let go while waiting. */
static int take_seat(struct plugins *p, struct plugin *pl, struct cnm_error *err)
{
	for (;;) {
		uint64_t now = clock_mono_ns(), ns = longest(pl, now);
		int seat = seat_of(pl);

		if (p->cancelled)
			return cnm_error_set(err, CNM_E_UNAVAILABLE, "the daemon ends"), -ECANCELED;
		if (seat >= 0) {
			pl->since[seat] = now;
			return seat;
		}
		if (ns > QUICK_NS) {
			cnm_error_set(err, CNM_E_UNAVAILABLE,
				      "plugin \"%s\" has not answered %d requests for %llu s: try "
				      "again when it does",
				      pl->name, SEATS, (unsigned long long)(ns / NS_PER_S));
			return -EBUSY;
		}
		cond_wait(&p->seat_free, &p->lock, now + QUICK_NS - ns + 1);
	}
}

static void note_result(struct plugin *pl, uint64_t began, int r, const struct cnm_error *err)
{
	bool answered = r == 0 || r == PLUGIN_REFUSED || r == PLUGIN_LACKS;
	unsigned us = (unsigned)((clock_mono_ns() - began) / 1000);

	pl->calls++;
	if (answered) {
		pl->last_us = us;
		pl->mean_us = pl->mean_us ? (7 * pl->mean_us + us) / 8 : us;
	} else {
		pl->failures++;
		pl->greeted = false;
	}
	if (answered)
		pl->error[0] = '\0';
	else
		str_copy(pl->error, sizeof(pl->error), err->text);
	if (r < 0 && r != PLUGIN_LACKS)
		str_copy(pl->last_error, sizeof(pl->last_error), err->text);
}

static void leave_seat(struct plugins *p, struct plugin *pl, int seat)
{
	pthread_mutex_lock(&p->lock);
	pl->since[seat] = 0;
	pthread_cond_broadcast(&p->seat_free);
	pthread_mutex_unlock(&p->lock);
}

/* ---- answers */

/* What it said, as far as it can be shown. */
static int refused(const char *said, size_t len, struct cnm_error *err)
{
	char text[300];
	size_t n = 0;

	for (size_t i = 0; i < len && said[i] && n < sizeof(text) - 1; i++)
		text[n++] = said[i] >= ' ' && said[i] < 127 ? said[i] : said[i] == '\n' ? ' ' : '?';
	while (n && text[n - 1] == ' ')
		n--;
	text[n] = '\0';
	cnm_error_set(err, CNM_E_INTERNAL, "remote: %s", n ? text : "an error without words");
	return PLUGIN_REFUSED;
}

/* Network drivers say "Err", IPAM drivers "Error". */
static const char *error_in(const json_t *o)
{
	const char *s = json_string_value(json_object_get(o, "Err"));

	if (!s || !s[0])
		s = json_string_value(json_object_get(o, "Error"));
	return s && s[0] ? s : NULL;
}

int plugin_answer_decode(int status, const char *body, size_t len, json_t **ret,
			 struct cnm_error *err)
{
	bool blank = strspn(body, " \t\r\n") == len;
	json_error_t why;
	_json_ json_t *o = blank ? json_object() : json_loadb(body, len, JSON_ALLOW_NUL, &why);
	const char *said = error_in(o);

	if (status == 404) {
		cnm_error_set(err, CNM_E_INTERNAL, "it does not know the call");
		return PLUGIN_LACKS;
	}
	if (status != 200 || said)
		return refused(said ? said : body, said ? strlen(said) : len, err);
	if (!json_is_object(o)) {
		cnm_error_set(err, CNM_E_UNAVAILABLE, "its answer is no JSON object%s%.100s",
			      o ? "" : ": ", o ? "" : why.text);
		return -EBADMSG;
	}
	*ret = json_incref(o);
	return 0;
}

/* ---- one exchange, in a seat */

/* Behind what Docker's clients know the beginning of. */
static void add_source(struct cnm_error *err, const char *name, const char *method)
{
	char said[sizeof(err->text)];

	str_copy(said, sizeof(said), err->text);
	cnm_error_set(err, CNM_E_INTERNAL, "%.400s (plugin \"%s\", %s)", said, name, method);
}

static int exchange(struct plugins *p, struct plugin *pl, struct line *l, const char *method,
		    const char *args, json_t **ret, struct cnm_error *err)
{
	uint64_t began = clock_mono_ns();
	_cleanup_(http_answer_free) struct http_answer answer = { 0 };
	_free_ char *url = NULL;
	int r;

	if (asprintf(&url, "%s/%s", l->at.url, method) < 0) {
		url = NULL;
		return cnm_error_errno(err, ENOMEM, "plugin");
	}
	r = http_client_do(l->client,
			   &(struct http_request){ .method = "POST",
						   .url = url,
						   .socket = l->at.socket,
						   .body = args,
						   .len = strlen(args),
						   .header = ACCEPT,
						   .max = ANSWER_MAX,
						   .once = true, /* it may be started anew */
						   .connect_ms = CONNECT_MS,
						   .ms = p->timeout_ms },
			   &answer, err);
	if (r == 0)
		r = plugin_answer_decode(answer.status, answer.body, answer.len, ret, err);
	if (r == PLUGIN_REFUSED)
		add_source(err, pl->name, method);
	else if (r < 0)
		cnm_error_prefix(err, "plugin \"%s\" at %s: %s", pl->name, l->at.found, method);
	pthread_mutex_lock(&p->lock);
	note_result(pl, began, r, err);
	pthread_mutex_unlock(&p->lock);
	return r;
}

/* ---- greeting */

static bool has_role(const json_t *roles, const char *role)
{
	json_t *v;
	size_t i;

	json_array_foreach (roles, i, v)
		if (json_is_string(v) && streq(json_string_value(v), role))
			return true;
	return false;
}

static int read_scope(const json_t *o, const char *key, bool *ret, struct cnm_error *err)
{
	const char *s = *ret ? "global" : "local";
	int r = json_get_string(o, key, &s, err);

	if (r == 0 && s[0] && !streq(s, "global") && !streq(s, "local"))
		r = cnm_error_set(err, CNM_E_UNAVAILABLE,
				  "invalid capability: expecting 'local' or 'global', got %.32s",
				  s);
	*ret = streq(s, "global");
	return r;
}

static int ask_network(struct plugins *p, struct plugin *pl, struct line *l,
		       struct plugin_abilities *can, struct cnm_error *err)
{
	_json_ json_t *o = NULL;
	int r = exchange(p, pl, l, PLUGIN_NETWORK ".GetCapabilities", "", &o, err);

	if (r < 0)
		return r;
	if ((r = read_scope(o, "Scope", &can->global, err)) == 0) {
		can->meets_hosts = can->global;
		r = read_scope(o, "ConnectivityScope", &can->meets_hosts, err);
	}
	if (r == 0)
		r = json_get_bool(o, "GwAllocChecker", &can->checks_gateways, err);
	return r;
}

/* Docker asks too, and takes it for none that wants anything if it does not know the call. */
static int ask_ipam(struct plugins *p, struct plugin *pl, struct line *l,
		    struct plugin_abilities *can, struct cnm_error *err)
{
	_json_ json_t *o = NULL;
	struct cnm_error why = { 0 };
	int r = exchange(p, pl, l, PLUGIN_IPAM ".GetCapabilities", "", &o, &why);

	if (r == PLUGIN_LACKS || r == PLUGIN_REFUSED)
		return 0;
	if (r == 0)
		r = json_get_bool(o, "RequiresMACAddress", &can->needs_mac, &why);
	if (r < 0)
		*err = why;
	return r;
}

static int greet(struct plugins *p, struct plugin *pl, struct line *l, struct cnm_error *err)
{
	struct plugin_abilities can = { 0 };
	_json_ json_t *o = NULL;
	json_t *roles = NULL;
	int r = exchange(p, pl, l, "Plugin.Activate", "", &o, err);

	if (r == 0)
		r = json_get_array(o, "Implements", &roles, err);
	if (r == 0) {
		can.network = has_role(roles, PLUGIN_NETWORK);
		can.ipam = has_role(roles, PLUGIN_IPAM);
	}
	if (r == 0 && can.network)
		r = ask_network(p, pl, l, &can, err);
	if (r == 0 && can.ipam)
		r = ask_ipam(p, pl, l, &can, err);
	if (r < 0)
		return cnm_error_prefix(err, "greet plugin \"%s\"", pl->name), r;
	pthread_mutex_lock(&p->lock);
	pl->greeted = pl->line == l;
	pl->greetings++;
	pl->can = can;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/*
 * A line on which it has been greeted. One that can no longer be reached there is looked for again,
 * once: nothing has left this host then.
 */
static int reach(struct plugins *p, struct plugin *pl, struct line **ret, struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	bool greeted;
	int r = connect_to(p, pl, false, ret, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&p->lock);
	greeted = pl->greeted;
	pthread_mutex_unlock(&p->lock);
	r = greeted ? 0 : greet(p, pl, *ret, &why);
	if (r == HTTP_NOT_SENT) {
		line_put(p, *ret);
		*ret = NULL;
		memset(&why, 0, sizeof(why));
		r = connect_to(p, pl, true, ret, &why);
		if (r == 0)
			r = greet(p, pl, *ret, &why);
	}
	if (r < 0) {
		*err = why;
		line_put(p, *ret);
		*ret = NULL;
	}
	return r;
}

static int call_seated(struct plugins *p, struct plugin *pl, const char *method, const char *args,
		       json_t **ret, struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	struct line *l = NULL;
	int r = reach(p, pl, &l, err);

	if (r < 0 || !method) {
		line_put(p, l);
		return r;
	}
	r = exchange(p, pl, l, method, args, ret, &why);
	line_put(p, l);
	l = NULL;
	if (r == HTTP_NOT_SENT && reach(p, pl, &l, &why) == 0) {
		memset(&why, 0, sizeof(why));
		r = exchange(p, pl, l, method, args, ret, &why);
		line_put(p, l);
	}
	if (r < 0)
		*err = why;
	return r;
}

/* method NULL: only greet it. */
static int call(struct plugins *p, const char *name, const char *method, const char *args,
		json_t **ret, struct plugin_abilities *ret_can, struct cnm_error *err)
{
	struct cnm_error own = { 0 };
	struct plugin *pl;
	int seat;
	int r;

	err = err ? err : &own;
	pthread_mutex_lock(&p->lock);
	pl = find_or_add(p, name);
	seat = pl ? take_seat(p, pl, err) : cnm_error_errno(err, ENOMEM, "plugin \"%s\"", name);
	pthread_mutex_unlock(&p->lock);
	if (seat < 0)
		return seat;
	r = call_seated(p, pl, method, args, ret, err);
	pthread_mutex_lock(&p->lock);
	if (ret_can)
		*ret_can = pl->can;
	if (r < 0 && r != PLUGIN_REFUSED && r != PLUGIN_LACKS)
		str_copy(pl->error, sizeof(pl->error), err->text);
	pthread_mutex_unlock(&p->lock);
	leave_seat(p, pl, seat);
	return r;
}

/* ---- for the others */

int plugins_require(struct plugins *p, const char *name, const char *role,
		    struct plugin_abilities *ret, struct cnm_error *err)
{
	struct plugin_address at;
	struct plugin_abilities can = { 0 };
	int r = plugin_address_find(p->run_dir, name, &at, err); /* names nobody has are not kept */

	if (r < 0)
		return r;
	plugin_address_free(&at);
	r = call(p, name, NULL, NULL, NULL, &can, err);
	if (r == 0 && role && !(streq(role, PLUGIN_NETWORK) ? can.network : can.ipam))
		r = cnm_error_set(err, CNM_E_INVALID,
				  "plugin \"%s\": Plugin does not implement the requested driver "
				  "(%s)",
				  name, role);
	if (r == 0 && ret)
		*ret = can;
	return r;
}

int plugins_call(struct plugins *p, const char *name, const char *method, json_t *args,
		 json_t **ret, struct cnm_error *err)
{
	_json_ json_t *answer = NULL;
	_free_ char *text = args ? json_text(args) : strdup("");
	int r;

	json_decref(args);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "plugin \"%s\"", name);
	r = call(p, name, method, text, &answer, NULL, err);
	if (r == 0 && ret)
		*ret = json_incref(answer);
	return r;
}

int plugin_wrong_answer(const char *name, const char *method, struct cnm_error *err)
{
	char why[sizeof(err->text)];

	str_copy(why, sizeof(why), err->text);
	cnm_error_set(err, CNM_E_INTERNAL, "plugin \"%s\" answered %s wrongly: %.700s", name,
		      method, why);
	return -EBADMSG;
}

bool plugins_answers(struct plugins *p, const char *name, char *why, size_t size)
{
	const struct plugin *pl;
	LOCKED(&p->lock);

	pl = find(p, name);
	str_copy(why, size, pl ? pl->error : "");
	return pl && pl->greeted && !pl->error[0];
}

unsigned plugins_greetings(struct plugins *p, const char *name, struct plugin_abilities *ret)
{
	const struct plugin *pl;
	LOCKED(&p->lock);

	pl = find(p, name);
	*ret = pl && pl->greeted ? pl->can : (struct plugin_abilities){ 0 };
	return pl ? pl->greetings : 0;
}

/* ---- the list */

static json_t *describe(const struct plugin *pl)
{
	json_t *o = json_object(), *roles = json_array();
	uint64_t now = clock_mono_ns();
	unsigned waiting = 0;

	for (int i = 0; i < SEATS; i++)
		waiting += pl->since[i] != 0;
	if (pl->can.network)
		json_push(roles, json_string(PLUGIN_NETWORK));
	if (pl->can.ipam)
		json_push(roles, json_string(PLUGIN_IPAM));
	json_put(o, "Name", json_string(pl->name));
	json_put(o, "Address", json_string(pl->line ? pl->line->at.found : ""));
	json_put(o, "State",
		 json_string(pl->error[0]  ? "failed"
			     : pl->greeted ? "active"
					   : "unused"));
	json_put(o, "Implements", roles);
	json_put(o, "Scope",
		 json_string(!pl->can.network ? ""
			     : pl->can.global ? "global"
					      : "local"));
	json_put(o, "LastError", json_string(pl->last_error[0] ? pl->last_error : pl->error));
	json_put(o, "LatencyMs", json_real(pl->last_us / 1000.0));
	json_put(o, "MeanLatencyMs", json_real(pl->mean_us / 1000.0));
	json_put(o, "Calls", json_integer((json_int_t)pl->calls));
	json_put(o, "Failures", json_integer((json_int_t)pl->failures));
	json_put(o, "UnderWay", json_integer(waiting));
	json_put(o, "LongestMs", json_integer((json_int_t)(longest(pl, now) / 1000000)));
	return o;
}

/* Found, and not used yet. */
static json_t *describe_unused(const struct plugins *p, const char *name)
{
	struct plugin_address at = { 0 };
	struct cnm_error err = { 0 };
	struct plugin pl = { .name = (char *)name };
	struct line l = { 0 };
	json_t *o;

	if (plugin_address_find(p->run_dir, name, &at, &err) < 0)
		str_copy(pl.error, sizeof(pl.error), err.text);
	l.at = at;
	if (at.found)
		pl.line = &l;
	o = describe(&pl);
	plugin_address_free(&at);
	return o;
}

json_t *plugins_list(struct plugins *p)
{
	_json_ json_t *names = plugin_address_names(p->run_dir);
	json_t *list = json_array(), *v;
	const struct plugin *pl;
	size_t i;
	LOCKED(&p->lock);

	list_for_each (pl, &p->all, node)
		json_push(list, describe(pl));
	json_array_foreach (names, i, v)
		if (!find(p, json_string_value(v)))
			json_push(list, describe_unused(p, json_string_value(v)));
	return list;
}

/* ---- life */

int plugins_new(struct plugins **ret, const char *run_dir, unsigned timeout_ms,
		struct cnm_error *err)
{
	struct plugins *p = calloc(1, sizeof(*p));

	if (!p || !(p->run_dir = strdup(run_dir))) {
		free(p);
		return cnm_error_errno(err, ENOMEM, "plugins");
	}
	p->timeout_ms = timeout_ms ? timeout_ms : TIMEOUT_MS;
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->seat_free);
	list_init(&p->all);
	*ret = p;
	return 0;
}

void plugins_cancel(struct plugins *p)
{
	struct plugin *pl;
	LOCKED(&p->lock);

	p->cancelled = true;
	list_for_each (pl, &p->all, node)
		if (pl->line)
			http_client_cancel(pl->line->client);
	pthread_cond_broadcast(&p->seat_free);
}

void plugins_free(struct plugins *p)
{
	struct plugin *pl, *tmp;

	if (!p)
		return;
	list_for_each_safe (pl, tmp, &p->all, node) {
		line_put(p, pl->line);
		free(pl->name);
		free(pl);
	}
	pthread_cond_destroy(&p->seat_free);
	pthread_mutex_destroy(&p->lock);
	free(p->run_dir);
	free(p);
}
