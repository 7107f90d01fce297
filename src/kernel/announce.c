/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netns.h"

struct arp_frame {
	struct ether_header eth;
	struct ether_arp arp;
} __attribute__((packed));

struct nd_frame {
	struct ether_header eth;
	struct ip6_hdr ip;
	struct nd_neighbor_advert na;
	struct nd_opt_hdr opt;
	uint8_t mac[6];
} __attribute__((packed));

#define ND_LENGTH (sizeof(struct nd_neighbor_advert) + sizeof(struct nd_opt_hdr) + 6)

static size_t arp_frame(struct arp_frame *f, const struct cnm_ip *ip, const struct cnm_mac *mac)
{
	*f = (struct arp_frame){
		.eth.ether_type = htons(ETHERTYPE_ARP),
		.arp.ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
				.ar_pro = htons(ETHERTYPE_IP),
				.ar_hln = 6,
				.ar_pln = 4,
				.ar_op = htons(ARPOP_REQUEST) },
	};
	memset(f->eth.ether_dhost, 0xff, 6);
	memcpy(f->eth.ether_shost, mac->b, 6);
	memcpy(f->arp.arp_sha, mac->b, 6);
	memcpy(f->arp.arp_spa, ip->b, 4);
	memcpy(f->arp.arp_tpa, ip->b, 4);
	return sizeof(*f);
}

/* The internet checksum of a pseudo header and the ICMPv6 message behind it. */
static uint16_t checksum(const struct nd_frame *f)
{
	const uint8_t *p = (const uint8_t *)&f->ip.ip6_src;
	size_t n = 2 * sizeof(struct in6_addr) + ND_LENGTH;
	uint32_t sum = ND_LENGTH + IPPROTO_ICMPV6;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* To all nodes, ff02::1, to take the place of what they have. */
static size_t nd_frame(struct nd_frame *f, const struct cnm_ip *ip, const struct cnm_mac *mac)
{
	static const uint8_t all[6] = { 0x33, 0x33, 0, 0, 0, 1 };

	memset(f, 0, sizeof(*f));
	memcpy(f->eth.ether_dhost, all, 6);
	memcpy(f->eth.ether_shost, mac->b, 6);
	f->eth.ether_type = htons(ETHERTYPE_IPV6);
	f->ip.ip6_vfc = 6 << 4;
	f->ip.ip6_plen = htons(ND_LENGTH);
	f->ip.ip6_nxt = IPPROTO_ICMPV6;
	f->ip.ip6_hlim = 255;
	memcpy(&f->ip.ip6_src, ip->b, 16);
	f->ip.ip6_dst.s6_addr[0] = 0xff;
	f->ip.ip6_dst.s6_addr[1] = 2;
	f->ip.ip6_dst.s6_addr[15] = 1;
	f->na.nd_na_type = ND_NEIGHBOR_ADVERT;
	f->na.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
	memcpy(&f->na.nd_na_target, ip->b, 16);
	f->opt = (struct nd_opt_hdr){ ND_OPT_TARGET_LINKADDR, 1 };
	memcpy(f->mac, mac->b, 6);
	f->na.nd_na_cksum = checksum(f);
	return sizeof(*f);
}

/* Of no protocol: it takes in no frames. */
static int open_here(void *arg)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int announce_open(int ns, int *ret, struct cnm_error *err)
{
	int fd = netns_call(ns, open_here, NULL);

	if (fd < 0)
		return cnm_error_errno(err, fd, "open a packet socket");
	*ret = fd;
	return 0;
}

int announce_send(int fd, int ifindex, const struct cnm_ip *ip, const struct cnm_mac *mac)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };
	union {
		struct arp_frame arp;
		struct nd_frame nd;
	} f;
	size_t n = ip->family == AF_INET ? arp_frame(&f.arp, ip, mac) : nd_frame(&f.nd, ip, mac);

	return sendto(fd, &f, n, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}
