/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of ports.h share. */
#ifndef MODEL_PORTS_INTERNAL_H
#define MODEL_PORTS_INTERNAL_H

#include "model/ports.h"

/* What a want says of the host's ports. */
enum want_kind {
	WANT_EXACT,  /* these, as many as of the container */
	WANT_ONE_OF, /* more than one, for one of the container: the first free one */
	WANT_ANY     /* nothing */
};

static inline enum want_kind want_kind(const struct port_want *w)
{
	if (!w->host_first)
		return WANT_ANY;
	return w->host_last - w->host_first == w->last - w->first ? WANT_EXACT : WANT_ONE_OF;
}

/* What is wrong with a want, and what would be right; NULL: nothing. */
const char *want_mistake(const struct port_want *w);

/* One bit a port. */
#define PORT_BITS 8192

static inline bool port_bit(const uint8_t bits[static PORT_BITS], unsigned port)
{
	return bits[port / 8] & 1 << port % 8;
}

static inline void port_bits_set(uint8_t bits[static PORT_BITS], unsigned first, unsigned last)
{
	for (unsigned p = first; p <= last; p++)
		bits[p / 8] |= (uint8_t)(1 << p % 8);
}

static inline bool port_bits_any(const uint8_t bits[static PORT_BITS], unsigned first,
				 unsigned last)
{
	for (unsigned p = first; p <= last; p++)
		if (port_bit(bits, p))
			return true;
	return false;
}

/* Where two ports meet. */
struct port_clash {
	struct cnm_ip host;
	uint16_t port;
	const struct port *with;
};
/* Does p overlap with what is in the index? */
bool port_index_clash(const struct port_index *ix, const struct port *p, struct port_clash *ret);
/* port_index_add(), which on -EEXIST also tells the first clash. */
int port_index_enter(struct port_index *ix, const struct port *ports, unsigned n,
		     struct port_clash *ret);
/* Set the bits of all that overlap with this address. */
void port_index_mark(const struct port_index *ix, uint8_t proto, const struct cnm_ip *host,
		     uint8_t bits[static PORT_BITS]);

#endif
