# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a cluster agrees: the store with itself, every host's model with the store, every host's kernel
with the store, entry by entry. Nothing here asks a daemon what it thinks of another.

    cluster_truth.agrees(cluster)        waits until there is no difference, and doctor sees none either

A difference is a tuple: where, what of whom, what it should be, what it is."""
import ipaddress
import json
import os

import dump
import harness
import store_content

ROOT = "cnm/1/"
EVERYBODY = "00:00:00:00:00:00"


class Content:
    """The store's, by kind: networks["NID"], endpoints["NID/EID"], addresses["NID/HEX"], ..."""
    KINDS = ("networks", "endpoints", "addresses", "names", "hosts", "alive", "tombstones")

    def __init__(self, cluster, member=0):
        raw = store_content.entries(cluster.store.members[member], cluster.PREFIX)
        self.claims = {}
        for kind in self.KINDS:
            setattr(self, kind, {})
        self.strange = []
        for key, value in raw.items():
            kind, _, rest = key[len(ROOT):].partition("/")
            if key == ROOT + "claims":
                self.claims = json.loads(value)
            elif key.startswith(ROOT) and kind in self.KINDS:
                getattr(self, kind)[rest] = json.loads(value)
            else:
                self.strange.append(key)

    def of(self, network):
        """{EID: endpoint} of a network's id."""
        return {key.split("/")[1]: value for key, value in self.endpoints.items()
                if key.startswith(network + "/")}

    def differences(self):
        """Whether each key has the keys that belong to it, and no other is there."""
        addresses, names = {}, {}
        for key, endpoint in self.endpoints.items():
            network, eid = key.split("/")
            for field in "IPv4", "IPv6":
                if endpoint.get(field):
                    addresses[network + "/" + ipaddress.ip_address(endpoint[field]).packed.hex()] = eid
            if endpoint.get("Name"):
                names[network + "/" + endpoint["Name"]] = eid
        claims = {nid: (n["Name"], n["VxlanId"], sorted(pool["subnet"] for pool in n["pools"]))
                  for nid, n in self.networks.items()}
        claimed = {nid: (c["Name"], c["VxlanId"], sorted(c["Pools"])) for nid, c in self.claims.items()}
        yield from _compared("store", "addresses", addresses, self.addresses)
        yield from _compared("store", "names", names, self.names)
        yield from _compared("store", "claims", claims, claimed)
        yield from (("store", "strange key", None, key) for key in self.strange)
        yield from (("store", "tombstone", None, eid) for eid in self.tombstones)
        yield from (("store", "of no network", None, key) for key in self.endpoints
                    if key.split("/")[0] not in self.networks)
        yield from (("store", "being removed", None, nid) for nid, n in self.networks.items() if n.get("Removing"))


def _compared(where, what, wanted, found):
    for key in sorted(set(wanted) | set(found), key=repr):
        if wanted.get(key) != found.get(key):
            yield where, "%s %s" % (what, key), wanted.get(key), found.get(key)


def _plain(address):
    return address.split("/")[0]


def model_differences(host, content):
    """What its requests show, against the store."""
    where, own = "host %d" % host.number, own_id(host)
    listed = {n["Id"]: n["Name"] for n in host.get("/networks") if n["Scope"] == "global"}
    yield from _compared(where, "network", {nid: n["Name"] for nid, n in content.networks.items()}, listed)
    wanted = {key: (e.get("Name"), e["Host"], e["mac"], e.get("IPv4") or "", e.get("IPv6") or "")
              for key, e in content.endpoints.items()}
    found = {e["Network"] + "/" + e["Id"]: (e["Name"], e["Host"] or own, e["MacAddress"], _plain(e["IPv4Address"]),
                                           _plain(e["IPv6Address"]))
             for e in host.get("/cnm/v1/endpoints") if e["Network"] in listed}
    yield from _compared(where, "endpoint", wanted, found)
    for nid in listed:
        inside = {c["EndpointID"]: c["Name"] for c in host.inspect(nid)["Containers"].values()}
        yield from _compared(where, "inspected endpoint", {
            eid: e.get("Name") for eid, e in content.of(nid).items()}, inside)


def own_id(host):
    return next(node["Id"] for node in host.get("/cnm/v1/nodes") if node["Self"])


def kernel_of(host, network):
    """(FDB, neighbours) of a network's place: {(MAC, host)}, {(address, MAC)}; None: it has none."""
    pin = dump.pins(host.root).get("ov-" + network[:12])
    if not pin:
        return None
    fd = os.open(pin, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fdb = harness.run_in(fd, "bridge", "-j", "fdb", "show", "dev", "vxlan0").json
        neighbours = harness.run_in(fd, "ip", "-j", "neigh", "show", "dev", "vxlan0").json
    finally:
        os.close(fd)
    return ({(e["mac"], e["dst"]) for e in fdb if "dst" in e},
            {(e["dst"], e["lladdr"]) for e in neighbours if "PERMANENT" in e.get("state", ())})


def kernel_wanted(host, network, content):
    own, endpoints = own_id(host), content.of(network).values()
    if not any(e["Host"] == own for e in endpoints):
        return None
    fdb, neighbours = set(), set()
    for endpoint in endpoints:
        if endpoint["Host"] == own:
            continue
        mac, at = endpoint["mac"], content.hosts[endpoint["Host"]]["Address"]
        fdb.add((mac, at))
        if content.networks[network]["options"].get("cnm.broadcast") != "off":
            fdb.add((EVERYBODY, at))
        addresses = [endpoint.get("IPv4"), endpoint.get("IPv6"), *endpoint.get("link_local", ())]
        neighbours |= {(a, mac) for a in addresses if a}
        if endpoint.get("IPv6"):
            neighbours.add((link_local(mac), mac))
    return fdb, neighbours


def link_local(mac):
    raw = bytearray(bytes.fromhex(mac.replace(":", "")))
    raw[0] ^= 2
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes(raw[:3]) + b"\xff\xfe" + bytes(raw[3:])))


def kernel_differences(host, content):
    where, networks = "kernel of host %d" % host.number, content.networks
    places = {pin for pin in dump.pins(host.root) if pin.startswith("ov-")}
    wanted = {"ov-" + nid[:12] for nid in networks if kernel_wanted(host, nid, content)}
    yield from ((where, "place", None, pin) for pin in places - wanted)
    for nid in networks:
        should, does = kernel_wanted(host, nid, content), kernel_of(host, nid)
        if bool(should) != bool(does):
            yield where, "place of " + nid, should, does
        elif should:
            for what, a, b in zip(("FDB", "neighbours"), should, does):
                if a != b:
                    yield where, what, sorted(a - b), sorted(b - a)


def doctor_differences(host):
    yield from (("doctor of host %d" % host.number, "difference", None, d) for d in host.doctor())
    yield from (("doctor of host %d" % host.number, "note", None, n) for n in host.notes if "store" in n)


def differences(cluster, hosts=None):
    content = Content(cluster)
    out = list(content.differences())
    for host in hosts or cluster.hosts:
        out += [*model_differences(host, content), *kernel_differences(host, content), *doctor_differences(host)]
    return out


def agrees(cluster, hosts=None, timeout=1.5 * harness.PATIENCE):
    """Hosts: those that can be asked; their tables must be as the store's."""
    def text():
        return "the cluster agrees:\n" + "\n".join(map(repr, differences(cluster, hosts)))
    harness.wait_for(lambda: not differences(cluster, hosts), text, timeout=timeout, every=0.1)
