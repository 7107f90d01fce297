/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a client and an image say of a container. The first byte chooses what the text is: a body of
 * create, the same with itself as the image's configuration too, an execution, or detach keys.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "containers/config.h"
#include "containers/links.h"
#include "containers/published.h"

static volatile size_t seen;

static void see(const json_t *j)
{
	char *text = j ? json_text(j) : NULL;

	if (!text)
		abort(); /* whatever is accepted can be shown */
	seen += strlen(text);
	free(text);
}

static void see_shown(json_t *shown)
{
	see(shown);
	json_decref(shown);
}

/* What is kept of ports can be read again, and is as few as it was. */
static void ports(const struct container_config *c)
{
	const json_t *bindings = json_object_get(c->host, "PortBindings");
	struct port_binding *v = NULL;
	struct published p = { 0 };
	size_t n = 0;

	if (published_read(c->config, c->host, &p, NULL) < 0 ||
	    port_bindings_read(bindings, &v, &n, NULL) < 0 || n > p.n_publish)
		abort();
	for (size_t i = 0; i < p.n_publish; i++)
		if (!p.publish[i].first || p.publish[i].last < p.publish[i].first)
			abort();
	seen += p.n_exposed;
	published_free(&p);
	free(v);
	see_shown(port_bindings_show(bindings));
	see_shown(port_set_show(json_object_get(c->config, "ExposedPorts")));
}

static void links(const struct container_config *c)
{
	const char *name, *alias;
	json_t *v;
	size_t i, n;

	json_array_foreach (json_object_get(c->host, "Links"), i, v) {
		if (link_parse(json_string_value(v), &name, &n, &alias, NULL) < 0)
			abort();
		seen += n + strlen(alias);
	}
}

static void create(const json_t *body, unsigned version, const json_t *image)
{
	struct container_config c = { 0 };
	struct cnm_error err = { 0 };
	const char *container = "";

	if (container_config_decode(&c, body, version, "0123456789abcdef", &err) < 0) {
		if (!err.text[0])
			abort();
		return;
	}
	seen += (size_t)container_network_mode(c.host, &container) + strlen(container);
	seen += (size_t)container_restart_policy(c.host, NULL);
	seen += (size_t)container_stop_signal(c.config) + (size_t)container_stop_timeout(c.config);
	if (image)
		seen += (size_t)container_config_merge(&c, image, &err);
	ports(&c);
	links(&c);
	see(c.config);
	see(c.host);
	see(c.endpoints);
	see(c.mounts);
	container_config_free(&c);
}

static void execute(const json_t *body)
{
	_json_ json_t *exec = NULL;

	if (exec_config_decode(&exec, body, NULL) == 0)
		see(exec);
}

static void keys(const char *text)
{
	unsigned char bytes[16];
	unsigned n = 0;

	if (detach_keys_parse(text, bytes, &n, NULL) == 0 && (n == 0 || n > sizeof(bytes)))
		abort();
	seen += (size_t)signal_parse(text);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	_json_ json_t *body = NULL;
	char *text;

	if (size == 0)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	body = json_loadb((const char *)data + 1, size - 1, JSON_DECODE_ANY, NULL);
	switch (data[0] % 4) {
	case 0:
		create(body, 1047, NULL);
		break;
	case 1:
		create(body, 1041, body);
		break;
	case 2:
		execute(body);
		break;
	case 3:
		keys(text);
		break;
	}
	free(text);
	return 0;
}
