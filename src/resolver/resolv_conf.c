/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of a resolv.conf(5): lines, and the servers in it. */
#include "resolver/resolv_conf.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

bool text_next_word(struct text *rest, struct text *ret)
{
	struct text t = *rest;
	size_t n = 0;

	while (t.n && is_blank(*t.s)) {
		t.s++;
		t.n--;
	}
	while (n < t.n && !is_blank(t.s[n]))
		n++;
	*rest = (struct text){ t.s + n, t.n - n };
	if (n)
		*ret = (struct text){ t.s, n };
	return n;
}

bool text_is(struct text t, const char *s)
{
	return strlen(s) == t.n && memcmp(s, t.s, t.n) == 0;
}

static struct text text_trim(struct text t)
{
	while (t.n && is_blank(*t.s)) {
		t.s++;
		t.n--;
	}
	while (t.n && is_blank(t.s[t.n - 1]))
		t.n--;
	return t;
}

bool resolv_conf_next(const char **pos, struct text *ret_keyword, struct text *ret_rest)
{
	while (**pos) {
		struct text line = { *pos, strcspn(*pos, "\n") }, keyword;

		*pos += line.n + (line.s[line.n] == '\n');
		if (!text_next_word(&line, &keyword) || *keyword.s == '#' || *keyword.s == ';')
			continue;
		*ret_keyword = keyword;
		*ret_rest = text_trim(line);
		return true;
	}
	return false;
}

/* "::ffff:127.0.0.1" is 127.0.0.1, and to be told as such; it has no scope. */
static void unmap(struct resolv_server *s)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	struct resolv_server ip4 = { .ip.family = AF_INET };

	if (s->ip.family != AF_INET6 || memcmp(s->ip.b, prefix, sizeof(prefix)) != 0)
		return;
	memcpy(ip4.ip.b, s->ip.b + sizeof(prefix), 4);
	*s = ip4;
}

int resolv_server_parse(struct resolv_server *ret, struct text word)
{
	struct resolv_server server = { 0 };
	const char *percent = memchr(word.s, '%', word.n);
	size_t n = percent ? (size_t)(percent - word.s) : word.n;
	char ip[IP_STR];

	if (n >= sizeof(ip) ||
	    (percent && (n + 1 == word.n || word.n - n - 1 >= sizeof(server.scope))))
		return -EINVAL;
	memcpy(ip, word.s, n);
	ip[n] = '\0';
	if (percent)
		memcpy(server.scope, percent + 1, word.n - n - 1);
	if (ip_parse(&server.ip, ip) < 0 || (percent && server.ip.family != AF_INET6))
		return -EINVAL;
	unmap(&server);
	*ret = server;
	return 0;
}

bool resolv_server_is_ours(const struct resolv_server *server)
{
	static const struct cnm_ip ours = { .family = AF_INET, .b = { 127, 0, 0, 11 } };

	return ip_eq(&server->ip, &ours);
}

size_t resolv_conf_servers(const char *text, struct resolv_server ret[static RESOLV_SERVERS_MAX])
{
	struct text keyword, rest, word;
	size_t n = 0;

	while (n < RESOLV_SERVERS_MAX && resolv_conf_next(&text, &keyword, &rest)) {
		if (!text_is(keyword, "nameserver") || !text_next_word(&rest, &word))
			continue;
		if (resolv_server_parse(&ret[n], word) == 0 && !resolv_server_is_ours(&ret[n]))
			n++;
	}
	return n;
}
