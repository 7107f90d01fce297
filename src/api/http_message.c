/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See http_message.h. The grammar is http_parser's; its callbacks collect here.
 *
 * `head` holds the request target, then names and values of the headers, each terminated. The
 * parser hands them over in pieces of any size, so a terminator is written when the next one
 * begins. The parser is paused when the message is complete, which makes it return at its last
 * byte.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http_message.h"

static int refuse(struct http_message *m, int status, const char *reason)
{
	m->state = MESSAGE_BAD;
	m->bad_status = status;
	m->bad_reason = reason;
	return -1;
}

/* ----------------------------------------------------------------------------- decoding text */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of the UTF-8 sequence at s of at most n bytes; 0 if it is none. Overlong forms, surrogates
 * and code points above U+10FFFF are none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80   ? 1
		     : s[0] < 0xc0 ? 0
		     : s[0] < 0xe0 ? 2
		     : s[0] < 0xf0 ? 3
		     : s[0] < 0xf8 ? 4
				   : 0;
	uint32_t c;

	if (len <= 1 || len > n)
		return len == 1;
	c = s[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

static bool is_utf8(const char *s, size_t n)
{
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_length((const unsigned char *)s + i, n - i);
		if (!len)
			return false;
	}
	return true;
}

int http_percent_decode(char *dst, const char *src, size_t n, bool plus)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		char c = src[i];

		if (c == '%') {
			int hi = i + 2 < n ? hex_digit(src[i + 1]) : -1;
			int lo = i + 2 < n ? hex_digit(src[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return -EINVAL;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0')
			return -EINVAL;
		dst[out++] = c;
	}
	dst[out] = '\0';
	return is_utf8(dst, out) ? (int)out : -EINVAL;
}

/* ------------------------------------------------------------------------ the request's target */

static int add_param(struct http_message *m, const char *s, size_t n)
{
	const char *eq = memchr(s, '=', n);
	size_t name_len = eq ? (size_t)(eq - s) : n;
	char *text = m->query.s;
	int len;

	if (n == 0)
		return 0;
	if (m->n_params == HTTP_MAX_PAIRS)
		return refuse(m, 400, "the request's query has too many parameters");
	m->params[m->n_params].name = m->query.len;
	len = http_percent_decode(text + m->query.len, s, name_len, true);
	if (len < 0)
		return refuse(m, 400, "the request's query has an invalid escape");
	m->query.len += len + 1;
	m->params[m->n_params].value = m->query.len;
	len = http_percent_decode(text + m->query.len, eq ? eq + 1 : "", eq ? n - name_len - 1 : 0,
				  true);
	if (len < 0)
		return refuse(m, 400, "the request's query has an invalid escape");
	m->query.len += len + 1;
	m->n_params++;
	return 0;
}

/* Decode the query into its own text: a decoded pair is never longer than the encoded one and its
 * two terminators. */
static int parse_query(struct http_message *m, const char *s)
{
	size_t room = strlen(s) * 2 + 2;

	m->params = calloc(HTTP_MAX_PAIRS, sizeof(*m->params));
	m->query.s = calloc(1, room);
	if (!m->params || !m->query.s)
		return refuse(m, 503, "out of memory");
	m->query.cap = room;
	for (;;) {
		size_t n = strcspn(s, "&");

		if (add_param(m, s, n) < 0)
			return -1;
		if (s[n] == '\0')
			return 0;
		s += n + 1;
	}
}

/* Split the target into path and query. A client that speaks to us as to a proxy sends a whole URL:
 * its scheme and host say nothing here. */
static int parse_target(struct http_message *m)
{
	char *s = m->head.s, *query;

	if (m->parser.method == HTTP_CONNECT)
		return refuse(m, 405, "CONNECT is not served");
	s[strcspn(s, "#")] = '\0';
	query = strchr(s, '?');
	if (query)
		*query++ = '\0';
	m->path = s;
	if (*s != '/' && !streq(s, "*")) {
		const char *host = strstr(s, "://");

		m->path = host ? strchr(host + 3, '/') : NULL;
		if (!m->path)
			m->path = host ? "/" : NULL;
	}
	if (!m->path)
		return refuse(m, 400, "the request's path does not begin with '/'");
	return query ? parse_query(m, query) : 0;
}

/* --------------------------------------------------------------------- callbacks of the parser */

/* Append to the head within its limit. */
static int head_add(struct http_message *m, const char *s, size_t n)
{
	if (m->head.len + n > m->limits.head)
		return refuse(m, 431, "the request line and headers are too large");
	strbuf_addn(&m->head, s, n);
	return m->head.failed ? refuse(m, 503, "out of memory") : 0;
}

static int on_url(http_parser *p, const char *at, size_t n)
{
	return head_add(p->data, at, n);
}

/* Terminates what was read before and notes a new header's name. */
static int header_begin(struct http_message *m)
{
	if (!m->headers)
		m->headers = calloc(HTTP_MAX_PAIRS, sizeof(*m->headers));
	if (!m->headers)
		return refuse(m, 503, "out of memory");
	if (m->n_headers == HTTP_MAX_PAIRS)
		return refuse(m, 431, "the request has too many headers");
	if (head_add(m, "", 1) < 0)
		return -1;
	m->headers[m->n_headers++].name = m->head.len;
	m->in_value = false;
	return 0;
}

static int on_header_field(http_parser *p, const char *at, size_t n)
{
	struct http_message *m = p->data;

	if (m->state != MESSAGE_HEAD) /* a trailer after a chunked body */
		return 0;
	if ((m->n_headers == 0 || m->in_value) && header_begin(m) < 0)
		return -1;
	return head_add(m, at, n);
}

static int on_header_value(http_parser *p, const char *at, size_t n)
{
	struct http_message *m = p->data;

	if (m->state != MESSAGE_HEAD)
		return 0;
	if (!m->in_value) {
		if (head_add(m, "", 1) < 0)
			return -1;
		m->headers[m->n_headers - 1].value = m->head.len;
		m->in_value = true;
	}
	return head_add(m, at, n);
}

static int check_expectation(struct http_message *m)
{
	const char *expect = http_message_header(m, "Expect");

	if (expect && strcasecmp(expect, "100-continue") != 0)
		return refuse(m, 417, "the only expectation served is 100-continue");
	m->expects = expect && m->minor > 0;
	return 0;
}

static bool has_body(const http_parser *p)
{
	if (p->flags & F_CHUNKED)
		return true;
	return (p->flags & F_CONTENTLENGTH) && p->content_length > 0;
}

/* Pausing keeps the parser at the head's last byte, which is fed again with the body. */
static int on_headers_complete(http_parser *p)
{
	struct http_message *m = p->data;

	if (head_add(m, "", 1) < 0)
		return -1;
	if (p->http_major != 1)
		return refuse(m, 505, "only HTTP/1.0 and HTTP/1.1 are served");
	m->state = MESSAGE_BODY;
	m->minor = p->http_minor;
	m->method = http_method_str(p->method);
	m->keep_alive = http_should_keep_alive(p);
	m->upgrade = p->upgrade;
	if (check_expectation(m) < 0 || parse_target(m) < 0)
		return -1;
	if (has_body(p) && m->holds && m->holds(m, m->holds_arg)) {
		m->state = MESSAGE_HELD;
		http_parser_pause(p, 1);
	} else if ((p->flags & F_CONTENTLENGTH) && p->content_length > m->limits.body) {
		return refuse(m, 413, "the request body is too large");
	}
	return 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
	struct http_message *m = p->data;

	if (m->state == MESSAGE_HELD) {
		memmove(m->out + m->n_out, at, n);
		m->n_out += n;
		return 0;
	}
	if (m->body.len + n > m->limits.body)
		return refuse(m, 413, "the request body is too large");
	strbuf_addn(&m->body, at, n);
	return m->body.failed ? refuse(m, 503, "out of memory") : 0;
}

static int on_message_complete(http_parser *p)
{
	struct http_message *m = p->data;

	m->state = MESSAGE_DONE;
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings callbacks = {
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* ------------------------------------------------------------------------------- the interface */

void http_message_init(struct http_message *m, const struct http_limits *limits)
{
	memset(m, 0, sizeof(*m));
	m->limits = *limits;
	http_parser_init(&m->parser, HTTP_REQUEST);
	m->parser.data = m;
}

void http_message_free(struct http_message *m)
{
	strbuf_free(&m->head);
	strbuf_free(&m->query);
	strbuf_free(&m->body);
	free(m->headers);
	free(m->params);
	memset(m, 0, sizeof(*m));
}

static size_t execute(struct http_message *m, const char *data, size_t n)
{
	size_t used = http_parser_execute(&m->parser, &callbacks, data, n);

	if (m->state == MESSAGE_DONE || m->state == MESSAGE_BAD)
		return used;
	if (HTTP_PARSER_ERRNO(&m->parser) == HPE_HEADER_OVERFLOW)
		refuse(m, 431, "the request line and headers are too large");
	else if (HTTP_PARSER_ERRNO(&m->parser) != HPE_OK &&
		 HTTP_PARSER_ERRNO(&m->parser) != HPE_PAUSED)
		refuse(m, 400, http_errno_description(HTTP_PARSER_ERRNO(&m->parser)));
	return used;
}

size_t http_message_feed(struct http_message *m, const char *data, size_t n)
{
	if ((m->state != MESSAGE_HEAD && m->state != MESSAGE_BODY) || n == 0)
		return 0;
	m->begun = true;
	return execute(m, data, n);
}

size_t http_message_feed_body(struct http_message *m, const char *data, size_t n, char *out,
			      size_t *ret_n)
{
	size_t used = 0;

	m->out = out;
	m->n_out = 0;
	if (m->state == MESSAGE_HELD && n > 0) {
		http_parser_pause(&m->parser, 0);
		used = execute(m, data, n);
	}
	*ret_n = m->n_out;
	return used;
}

const char *http_message_header(const struct http_message *m, const char *name)
{
	for (unsigned i = 0; i < m->n_headers; i++)
		if (strcasecmp(m->head.s + m->headers[i].name, name) == 0)
			return m->headers[i].value ? m->head.s + m->headers[i].value : "";
	return NULL;
}

const char *http_message_param_at(const struct http_message *m, const char *name, unsigned before)
{
	for (unsigned i = 0; i < m->n_params; i++)
		if (streq(m->query.s + m->params[i].name, name) && before-- == 0)
			return m->query.s + m->params[i].value;
	return NULL;
}

const char *http_message_param(const struct http_message *m, const char *name)
{
	return http_message_param_at(m, name, 0);
}
