/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the resolver's pure parts share: names of awkward lengths, and queries. */
#ifndef TESTS_UNIT_DNS_FIXTURE_H
#define TESTS_UNIT_DNS_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ldns/ldns.h>
#include <stdio.h>
#include <string.h>

#include "resolver/dns_wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define N10 "0123456789"
#define L63 N10 N10 N10 N10 N10 N10 "abc"
#define L61 N10 N10 N10 N10 N10 N10 "a"
/* 3 * 64 + 62 + 1 = 255 bytes on the wire */
#define LONGEST L63 "." L63 "." L63 "." L61

enum { A = DNS_A, AAAA = DNS_AAAA, PTR = DNS_PTR, MX = 15, ANY = 255 };

/* A query as ldns writes it. size 0: no EDNS. */
static size_t query_make(uint8_t buf[DNS_UDP_MAX], const char *name, unsigned type, unsigned size)
{
	ldns_rdf *rdf = ldns_dname_new_frm_str(name);
	ldns_pkt *pkt;
	uint8_t *wire;
	size_t len;

	assert_non_null(rdf);
	pkt = ldns_pkt_query_new(rdf, (ldns_rr_type)type, LDNS_RR_CLASS_IN, LDNS_RD);
	ldns_pkt_set_id(pkt, 0x1234);
	if (size) {
		ldns_pkt_set_edns_udp_size(pkt, (uint16_t)size);
		ldns_pkt_set_edns_do(pkt, true);
	}
	assert_int_equal(ldns_pkt2wire(&wire, pkt, &len), LDNS_STATUS_OK);
	assert_true(len <= DNS_UDP_MAX);
	memcpy(buf, wire, len);
	free(wire);
	ldns_pkt_free(pkt);
	return len;
}

#endif
