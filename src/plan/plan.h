/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan: the kernel objects that must exist, in the order in which they are made. Pure data; the
 * functions here do no I/O. What carries plans out is apply.h, what reads the kernel back into the
 * same form is dump.h.
 *
 * An item has a kind, a place, a key that is unique among its kind and place, and attributes. A
 * place is a network namespace: the host's, a sandbox's, or that of a network of several hosts, by
 * the id of either. Key and attributes have a text form: two items with the same key are the same
 * object, and they agree when their attribute text agrees. Everything else follows from that: the
 * difference of two plans, --dry-run, doctor, and the tests that compare plans.
 *
 * How an object is known to be cnm's: a link by its alias "cnm:<instance>:<id>", a route by its
 * protocol number, a firewall element by its table, FDB entries and neighbours by being on a VXLAN
 * link of ours, a pinned namespace and files by their row.
 * Nothing without the mark is ever removed. Addresses and sysctls are only asserted, never removed
 * from a link that stays: what a user adds by hand to a sandbox is left alone.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel/hostports.h"
#include "kernel/nft.h"

enum plan_kind {
	PLAN_NETNS, /* a sandbox's or network's namespace, pinned under its name */
	PLAN_FILE,  /* a file with this content */
	PLAN_HOLD,  /* ports of the host, held for a sandbox; its flows go with them */
	PLAN_ELEM,  /* an element of the fixed firewall ruleset, on the host or in a network's place
		     */
	PLAN_LINK,  /* a link on the host or in a network's place; a veth brings its other end */
	PLAN_OVS,   /* a bridge of Open vSwitch, or a port on one */
	PLAN_PEER,  /* the end of a veth inside a sandbox */
	PLAN_MOVED, /* a link that a plugin made on the host, in a sandbox */
	PLAN_SYSCTL, /* a value below /proc/sys */
	PLAN_ADDR,
	PLAN_ROUTE,
	PLAN_DNS, /* the DNS sockets of a sandbox and the table that leads to them */
	PLAN_FDB, /* where a VXLAN link sends frames for a MAC, and the bridge to the VXLAN link */
	PLAN_NEIGH, /* the MAC that a VXLAN link answers for an address */
	PLAN_N_KINDS
};

enum plan_link_type { PLAN_BRIDGE, PLAN_VETH, PLAN_VXLAN };

struct plan_link {
	char name[IFNAMSIZ];
	enum plan_link_type type;
	bool borrowed; /* an existing bridge of the user's: never made, changed or removed */
	struct cnm_mac mac;
	unsigned mtu; /* 0: the kernel's default, not compared */
	char master[IFNAMSIZ];
	char peer[IFNAMSIZ];        /* veth: name of the other end ... */
	char peer_sandbox[ID_SIZE]; /* ... and the sandbox it is born in, or */
	/*
	 * it is born on the host, for another program to take away; where it is afterwards is not
	 * compared. When it is gone that program's namespace is, so the veth is not made again.
	 */
	bool peer_away;
	struct cnm_mac peer_mac;
	bool checksums; /* veth: packets have theirs, whoever reads them. Not compared */
	bool hairpin;   /* veth on a bridge: what comes from it may go back to it */
	/*
	 * Port of a bridge that learns nothing: it gets no frames to addresses nobody has, and of a
	 * veth the bridge knows only the other end's.
	 */
	bool closed;
	bool isolated; /* ... and it exchanges nothing with other isolated ports */
	bool locked;   /* closed veth: it may not send from other addresses either */
	/*
	 * VXLAN: born into its place, carried by the host. With another id, port or address it is
	 * made anew, and what is to be on it must be put there again: applier_dump() says so.
	 */
	uint32_t vxlan_id;
	uint16_t port;
	struct cnm_ip local;
};

/* More ports than this of one sandbox, in a family, are not held but only looked at. */
#define PLAN_HOLD_MAX 100

struct plan_item {
	enum plan_kind kind;
	char sandbox[ID_SIZE]; /* its place: "" the host, else the id of a sandbox or network */
	char owner[ID_SIZE];   /* id of the network, endpoint or sandbox it belongs to */
	union {
		struct plan_link link;
		struct {
			char name[IFNAMSIZ];
			struct cnm_mac mac;
			unsigned mtu;
			bool no_ipv6; /* no link-local address */
			struct cnm_ip announced;
			unsigned announce,
				announce_ms; /* not compared: how often it makes itself known */
		} peer;
		struct {
			char bridge[IFNAMSIZ];
			char port[IFNAMSIZ];        /* "": the bridge itself */
			char peer_sandbox[ID_SIZE]; /* port: where the veth's other end is */
			unsigned vlan;              /* tag of the port; 0: none */
			bool borrowed; /* a bridge of the user's: never made or removed */
		} ovs;
		/* Moved in when added, back when removed; mac unset: its own. */
		struct {
			char name[IFNAMSIZ], source[IFNAMSIZ]; /* in the sandbox, on the host */
			struct cnm_mac mac;
			bool no_ipv6;            /* not compared: no link-local address */
			struct cnm_ip announced; /* nor that: it makes this address known */
			bool down;               /* never wanted */
		} moved;
		struct {
			char link[IFNAMSIZ];
			struct cnm_prefix addr;
		} addr;
		struct {
			char link[IFNAMSIZ];
			struct cnm_prefix dst;
			struct cnm_ip gateway; /* unset: on-link */
		} route;
		struct {
			char *path, *value; /* path relative to /proc/sys */
		} sysctl;
		struct nft_elem elem;
		/*
		 * One item an owner, on the host; its ports are sorted and joined. Adding it takes
		 * them (or, of more than PLAN_HOLD_MAX, checks that no process listens there);
		 * removing it frees them before the run is over. Flows that bypass or outlive the
		 * translation are deleted as soon as all of the run is done, by a thread: when it
		 * came, UDP flows to these ports that are not translated; when it went or changed,
		 * those that lead to addresses or through ports that it no longer has.
		 */
		struct {
			struct hostports *ports;
			size_t n;
			struct cnm_ip targets[2]; /* the sandbox's addresses, IPv4 and IPv6 */
		} hold;
		/*
		 * What the one who uses the file may do to it without our undoing it: nothing; have
		 * lines of his own beside ours, and without those of ours that he took out; or
		 * anything, after which it is left alone. It is then as wanted.
		 */
		struct {
			char *path, *content;
			enum plan_file_edits {
				PLAN_EDITS_NONE,
				PLAN_EDITS_LINES,
				PLAN_EDITS_ALL
			} edits;
		} file;
		struct {
			char *name; /* of the pin */
			/* "new", "host", or the path of an adopted one; of a network: "bare" */
			char *source;
		} netns;
		/* Added where another host or port has it, it moves. */
		struct {
			char link[IFNAMSIZ];
			struct cnm_mac mac; /* unset: what is for everybody goes there too */
			struct cnm_ip dst;  /* the other host */
		} fdb;
		struct {
			char link[IFNAMSIZ];
			struct cnm_ip ip;
			struct cnm_mac mac;
		} neigh;
	};
};

struct plan {
	struct plan_item *items;
	size_t n, cap;
	bool failed; /* memory ran out; plan_check() tells */
};

void plan_free(struct plan *p);
/* -ENOMEM (with err) if building ran out of memory, else 0. */
int plan_check(const struct plan *p, struct cnm_error *err);
/* Append; the result is zeroed but for kind, sandbox ("" for NULL) and owner. NULL: no memory. */
struct plan_item *plan_add(struct plan *p, enum plan_kind kind, const char *sandbox,
			   const char *owner);
/* The item added last lacks a part for want of memory: take it back, so that all items are whole.
 */
void plan_spoil(struct plan *p);
/* Builders for the kinds with few attributes. Strings are copied. */
void plan_add_addr(struct plan *p, const char *sandbox, const char *owner, const char *link,
		   const struct cnm_ip *ip, unsigned len);
void plan_add_sysctl(struct plan *p, const char *sandbox, const char *owner, const char *path,
		     const char *value);
/* The namespace of a sandbox or a network. */
void plan_add_netns(struct plan *p, const char *place, const char *owner, const char *name,
		    const char *source);
void plan_add_fdb(struct plan *p, const char *place, const char *owner, const char *link,
		  const struct cnm_mac *mac /* NULL: everybody */, const struct cnm_ip *dst);
void plan_add_neigh(struct plan *p, const char *place, const char *owner, const char *link,
		    const struct cnm_ip *ip, const struct cnm_mac *mac);
void plan_add_file(struct plan *p, const char *sandbox, const char *owner, const char *path,
		   char *content /* taken */, enum plan_file_edits edits);
/*
 * An element by its fields, for all sets; place NULL: on the host. The types come from the set, the
 * values in the order of its key and data: NFT_T_IFNAME const char *, NFT_T_IP4, _IP6, _ND const
 * struct cnm_ip *, _ETHER const struct cnm_mac *, _PROTO and _NFPROTO int, _PORT int (in a set of
 * intervals int, int), _VERDICT const char *.
 */
void plan_add_elemf(struct plan *p, const char *place, const char *owner, const char *set, ...);
/* ports is copied. */
void plan_add_hold(struct plan *p, const char *owner, const struct hostports *ports, size_t n,
		   const struct cnm_ip targets[2]);
/*
 * Of the items from `first` on, drop those in this place, which is another program's, and let it
 * have the ends of the veths that lead there.
 */
void plan_give_away(struct plan *p, size_t first, const char *place);
/* Move all of src to the end of dst. */
void plan_move(struct plan *dst, struct plan *src);

const char *plan_kind_name(enum plan_kind kind);
/* Append the item's key ("link veth1234567"), or its attributes, to b. */
void plan_item_key(const struct plan_item *i, struct strbuf *b);
void plan_item_attrs(const struct plan_item *i, struct strbuf *b);
/* "on the host", "in sandbox 0123456789ab", "in network 0123456789ab". */
void plan_item_where(const struct plan_item *i, struct strbuf *b);
/* The place in whose comparison it is looked at: of what a veth is on the host, its sandbox. */
const char *plan_item_home(const struct plan_item *i);
/* Do they name the same object: same place, kind and key? */
bool plan_same_object(const struct plan_item *a, const struct plan_item *b);
/* One line an item, in order: the same plan gives the same bytes. Caller frees; NULL no memory. */
char *plan_text(const struct plan *p);

/* ---- differences */

enum plan_action { PLAN_REMOVE, PLAN_CHANGE, PLAN_ADD };

struct plan_op {
	enum plan_action action;
	const struct plan_item *have; /* NULL for ADD */
	const struct plan_item *want; /* NULL for REMOVE */
};

struct plan_diff {
	struct plan_op *ops;
	size_t n;
};

/*
 * What turns `have` into `want`: removals first, in the reverse order of have, then changes and
 * additions in the order of want. The ops point into the two plans. 0 or -ENOMEM.
 */
int plan_diff(const struct plan *have, const struct plan *want, struct plan_diff *ret);
void plan_diff_free(struct plan_diff *d);
/* Lines "+ ...", "~ ...", "- ..." for people. Caller frees; NULL no memory. */
char *plan_diff_text(const struct plan_diff *d);

#endif
