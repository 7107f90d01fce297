# SPDX-License-Identifier: LGPL-2.1-or-later
"""`cnm why`: every sentence, and on random topologies every yes and no against packets that are sent.

CNM_WHY_RANDOM=N makes N topologies (default 12), CNM_SEED repeats them; both are printed."""
import contextlib
import json
import os
import random
import re
import select
import socket
import struct
import time
import urllib.parse

import harness
import traffic
from traffic_fixtures import host, services, shared_host  # noqa: F401

UP4, UP6, LAN4, LAN6 = harness.UP4, harness.UP6, harness.LAN4, harness.LAN6
BRIDGE = traffic.BRIDGE
FAR = "203.0.113.9"


def why(host, source, target, port=None, probe=False):
    query = {"from": source, "to": target}
    if port:
        query["port"] = port
    if probe:
        query["probe"] = "1"
    return host.get("/cnm/v1/why?" + urllib.parse.urlencode(query))


def says(host, reason, *flow, fix="", probe=None, path=None):
    """The very sentence and fix; with probe, what a packet finds."""
    answer = why(host, *flow, probe=probe is not None)
    assert answer["Reason"] == reason, answer
    assert answer["Reachable"] is reason.startswith("yes: "), answer
    assert answer["Fix"] == fix, answer
    if probe is not None:
        assert answer["Probe"]["Result"] == probe, answer
        assert answer["Probe"]["Text"], answer
    if path is not None:
        assert answer["Path"] == path, answer


# ------------------------------------------------------------------------------- sentences

def test_one_network(host):
    traffic.both_families(host, "backend", 91)
    host.sandbox("con1", "backend")
    host.sandbox("con3", "backend")
    says(host, "yes: by backend, 10.91.0.2 to 10.91.0.3", "con1", "con3", probe="answered",
         path=["backend"])
    says(host, "yes: by backend, 10.91.0.2 to 10.91.0.3", "con1", "con3", "tcp/80", probe="refused")
    says(host, "yes: by backend, 10.91.0.2 to 10.91.0.3", "con1", "con3", "udp/80", probe="refused")
    says(host, "yes: by backend, fd00:91::2 to fd00:91::3", "con1", "fd00:91::3", probe="answered")
    says(host, "yes: by backend, 10.91.0.3 to 10.91.0.2", "10.91.0.3", "con1", probe="answered")
    says(host, "yes: it is con1 itself", "con1", "con1", probe="none")
    says(host, "yes: 10.91.0.2 is con1's own", "con1", "10.91.0.2", probe="answered")
    says(host, "no: nobody has 10.91.0.9, an address of backend", "con1", "10.91.0.9")


def test_no_shared_network(host):
    for number, name in ((91, "backend"), (92, "frontend")):
        host.subnet(name, "10.%d.0.0/24" % number)
    host.sandbox("con1", "backend")
    host.sandbox("con3", "frontend")
    apart = "no: con1 is on backend, con3 on frontend, and they share no network"
    says(host, apart, "con1", "con3", fix="cnm network connect backend con3", probe="silent")
    says(host, "no: 10.92.0.2 is con3's address on frontend, which con1 is not on", "con1", "10.92.0.2",
         fix="cnm network connect frontend con1")
    host.cnm("network", "connect", "backend", "con3", check=True)
    assert why(host, "con1", "con3", probe=True)["Probe"]["Result"] == "answered"


def test_on_no_network(host):
    host.subnet("backend", "10.91.0.0/24")
    host.sandbox("con1", "backend")
    host.sandbox("alone")
    says(host, "no: con1 is on backend, alone on no network, and they share no network", "con1", "alone",
         fix="cnm network connect backend alone")
    says(host, "no: alone is on no network, con1 on backend, and they share no network", "alone", "con1",
         fix="cnm network connect backend alone")
    says(host, "no: alone is on no network", "host", "alone")
    says(host, "no: alone is on no network", "alone", "host", probe="none")
    says(host, "no: alone is on no network", "alone", LAN4, fix="cnm network connect bridge alone",
         probe="unreachable")


def test_no_icc(host):
    traffic.both_families(host, "backend", 91, Options={BRIDGE + "enable_icc": "false"})
    host.sandbox("con3", "backend", Exposed=traffic.exposed("80", "53/udp"))
    host.sandbox("con1", ("backend", {"Links": ["con3:db"]}))
    host.sandbox("con2", "backend")
    says(host, "no: backend has ICC off", "con2", "con3", "tcp/80", probe="silent",
         fix="cnm network create joined && cnm network connect joined con2 && "
             "cnm network connect joined con3")
    linked = "yes: by backend, 10.91.0.3 to 10.91.0.2, by a link"
    says(host, linked, "con1", "con3", "tcp/80", probe="refused")
    says(host, linked, "con1", "con3", "udp/53", probe="refused")  # ICMP errors need no pinhole
    says(host, "no: backend has ICC off, and the link of con1 to con3 is for the ports that con3 exposes",
         "con1", "con3", "tcp/81", probe="silent")
    says(host, "yes: by backend, the host to 10.91.0.2", "host", "con3", probe="answered")


def test_internal(host):
    host.subnet("backend", "10.91.0.0/24", Internal=True)
    host.subnet("other", "10.92.0.0/24")
    host.sandbox("con1", "backend")
    host.sandbox("con2", "backend")
    host.sandbox("con3", "other", Publish=traffic.published("8080:80"))
    says(host, "yes: by backend, 10.91.0.2 to 10.91.0.3", "con1", "con2", probe="answered")
    says(host, "no: backend is internal, and con1 has no other way out", "con1", LAN4,
         fix="cnm network connect bridge con1", probe="unreachable")
    says(host, "no: port 8080 of the host leads to con3 on other, and backend is internal", "con1", "host",
         "tcp/8080", probe="silent")
    says(host, "yes: by backend, 10.91.0.2 to the host's 10.91.0.1", "con1", "host", probe="answered")
    says(host, "no: backend is internal: nothing enters it", LAN4, "10.91.0.2", probe="none")


def test_published(host):
    host.subnet("backend", "10.91.0.0/24")
    host.subnet("frontend", "10.92.0.0/24")
    host.sandbox("con1", "backend")
    host.sandbox("con3", "frontend",
                 Publish=traffic.published("8080:80", "127.0.0.1:8081:81", "9000-9009:9000-9009/udp"))
    leads = "yes: port 8080 of the host leads to con3, at 10.92.0.2 port 80 on frontend"
    for source in ("con1", "con3", "host"):
        says(host, leads, source, "host", "tcp/8080", probe="refused")
    says(host, leads, LAN4, UP4, "tcp/8080", probe="none", path=["host", "frontend"])
    says(host, leads, "con1", UP4, "tcp/8080", probe="refused", path=["backend", "host", "frontend"])
    says(host, "yes: port 9004 of the host leads to con3, at 10.92.0.2 port 9004 on frontend", "con1",
         "host", "udp/9004", probe="refused")
    says(host, "yes: port 8081 of the host leads to con3, at 10.92.0.2 port 81 on frontend", "host", "host",
         "tcp/8081", probe="refused")
    says(host, "no: 127.0.0.1 of the host is reached from the host alone", "con1", "host", "tcp/8081",
         probe="none")
    says(host, "yes: port 8080 of the host leads to con3, by the proxy in the daemon", LAN6, UP6,
         "tcp/8080")


def test_host(host):
    traffic.both_families(host, "backend", 91)
    host.subnet("quiet", "10.92.0.0/24", Internal=True, Options={BRIDGE + "gateway_mode_ipv4": "isolated"})
    host.sandbox("con1", "backend")
    host.sandbox("con2", "quiet")
    says(host, "yes: by backend, 10.91.0.2 to the host's 10.91.0.1", "con1", "host", probe="answered")
    says(host, "yes: by backend, 10.91.0.2 to the host's %s" % UP4, "con1", UP4, probe="answered")
    says(host, "yes: by backend, the host to 10.91.0.2", "host", "con1", probe="answered")
    says(host, "yes: by backend, the host to fd00:91::2", "host", "fd00:91::2", probe="answered")
    says(host, "no: the host has no address that is of use to con2", "con2", "host", probe="none")
    says(host, "no: the host has no IPv4 address on quiet, so it reaches nobody there", "host", "con2")
    says(host, "yes: it stays within the host, at 127.0.0.1", "host", "host", probe="answered")
    says(host, "yes: %s is the host's own, and cnm does not stand before it" % UP4, LAN4, "host",
         probe="none")


def test_outside(host):
    host.subnet("backend", "10.91.0.0/24")
    host.subnet("open", "10.92.0.0/24", Options={BRIDGE + "gateway_mode_ipv4": "nat-unprotected"})
    host.subnet("routed", "10.93.0.0/24", Options={BRIDGE + "gateway_mode_ipv4": "routed"})
    host.subnet("friend", "10.94.0.0/24", Options={BRIDGE + "trusted_host_interfaces": "up0"})
    host.subnet("plain", "10.95.0.0/24", Options={BRIDGE + "enable_ip_masquerade": "false"})
    host.subnet("as", "10.96.0.0/24", Options={"com.docker.network.host_ipv4": UP4})
    for name in ("backend", "open", "friend", "plain", "as"):
        host.sandbox("in-" + name, name)
    host.sandbox("in-routed", "routed", Publish=traffic.published("80:80"))
    says(host, "no: backend lets nothing in from outside but what is published, at the host's addresses "
         "(10.91.0.2 is in-backend's own)", LAN4, "in-backend", probe="none")
    says(host, "yes: open is unprotected: by open, %s to 10.92.0.2" % LAN4, LAN4, "in-open", "tcp/99")
    says(host, "yes: routed is routed and tcp/80 published: by routed, %s to 10.93.0.2" % LAN4, LAN4,
         "in-routed", "tcp/80")
    says(host, "no: routed is routed, and lets in only what is published; tcp/81 of in-routed is not",
         LAN4, "in-routed", "tcp/81")
    says(host, "yes: routed is routed: by routed, %s to 10.93.0.2" % LAN4, LAN4, "in-routed")
    says(host, "yes: friend trusts up0: by friend, %s to 10.94.0.2" % LAN4, LAN4, "in-friend", "udp/7")
    says(host, "yes: by backend and the host, as one of its own addresses (10.91.0.2 is masqueraded)",
         "in-backend", LAN4, probe="answered")
    says(host, "yes: by plain and the host, as 10.95.0.2 itself: answers come if %s has a route back to it "
         "by the host" % LAN4, "in-plain", LAN4, path=["plain", "host"])
    says(host, "yes: by as and the host, as %s" % UP4, "in-as", LAN4, probe="answered")
    says(host, "yes: the host sends it by up0, and cnm has no part in it", "host", LAN4, probe="answered")
    says(host, "no: in-backend has no IPv6 address on backend", "in-backend", LAN6, probe="unreachable")
    says(host, "no: cnm turned forwarding on for its networks, and drops what is between others "
         "(cnmd --ip-forward-no-drop leaves it alone)", LAN4, FAR)


def test_a_foreign_policy(host):
    traffic.both_families(host, "backend", 91)
    host.sandbox("con1", "backend")
    host.sandbox("con2", "backend")
    traffic.bridge_netfilter(host, False)
    host.run("nft", "add table ip filter; add chain ip filter FORWARD "
             "{ type filter hook forward priority filter; policy drop; }")
    try:
        says(host, "no: cnm lets it through, but table ip filter, chain FORWARD, policy drop is not cnm's and "
             "drops what no rule there accepts; docs/FIREWALL.md has the rule to add", "con1", LAN4,
             probe="silent")
        says(host, "yes: by backend, 10.91.0.2 to 10.91.0.3", "con1", "con2", probe="answered")
        assert why(host, "con1", LAN6, probe=True)["Probe"]["Result"] == "answered"
        assert why(host, "con1", LAN6)["Reachable"]
    finally:
        host.run("nft", "delete table ip filter")
    assert why(host, "con1", LAN4)["Reachable"]


def test_forwarding_is_off(host):
    host.subnet("backend", "10.91.0.0/24")
    host.sandbox("con1", "backend")
    host.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    try:
        says(host, "no: the host does not forward IPv4 packets", "con1", LAN4,
             fix="sysctl -w net.ipv4.ip_forward=1")
    finally:
        host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")


def test_bad_questions(host):
    host.network("backend")
    host.sandbox("con1", "backend")
    for query, status, message in (
            ("from=con1", 400, "to: name a container or sandbox, \"host\" or an address"),
            ("to=con1", 400, "from: name a container or sandbox, \"host\" or an address"),
            ("from=con1&to=nobody", 404, "No such container: nobody"),
            ("from=con1&to=host&port=0", 400, 'invalid port "0": it is like tcp/80, with a number from 1 to '
             "65535"),
            ("from=con1&to=host&port=tcp/65536", 400, 'invalid port "tcp/65536": it is like tcp/80, with a '
             "number from 1 to 65535"),
            ("from=con1&to=host&port=icmp/1", 400, 'protocol "icmp": it must be tcp, udp or sctp'),
            ("from=192.0.2.1&to=2001:db8::1", 400, "from 192.0.2.1 to 2001:db8::1: no packet goes from one "
             "family of addresses to the other"),
            ("from=con1&to=224.0.0.1", 400, "to 224.0.0.1: it must be the address of one host, and not a "
             "link-local one")):
        host.refused("GET", "/cnm/v1/why?" + query, status=status, message=message)
        host.refused("GET", "/cnm/v1/trace?" + query, status=status, message=message)
    host.refused("GET", "/cnm/v1/trace?from=con1&to=host&time=0", status=400,
                 message="invalid value for time: 0: it is 1 to 3600 seconds")


def test_the_command(host):
    for number, name in ((91, "backend"), (92, "frontend")):
        host.subnet(name, "10.%d.0.0/24" % number)
    host.sandbox("con1", "backend")
    host.sandbox("con2", "backend")
    host.sandbox("con3", "frontend")
    shown = host.cnm("why", "con1", "con2")
    assert (shown.rc, shown.out) == (0, "yes: by backend, 10.91.0.2 to 10.91.0.3\n"
                                     "probe: 10.91.0.3 answered the echo request\n")
    shown = host.cnm("why", "con1", "con3", "-p", "tcp/80", "--no-probe")
    assert (shown.rc, shown.out) == (1, "no: con1 is on backend, con3 on frontend, and they share no network\n"
                                     "fix: cnm network connect backend con3\n")
    shown = host.cnm("why", "--format", "json", "con1", "con2")
    assert json.loads(shown.out) == why(host, "con1", "con2", probe=True)


# ------------------------------------------------------------------------------- random topologies

HOST2 = "192.0.2.9"
TOKEN = re.compile(rb"why-(\d{8});")


def token(number):
    return b"why-%08d;" % number


class Party:
    """Somebody who sends and hears packets: raw sockets get a copy of all that is delivered."""

    def __init__(self, name, place):
        # Not that of an earlier party at this address, whose flows the host may still know.
        self.name, self.id = name, random.SystemRandom().randrange(1 << 16)
        self.udp = {f: traffic.open_socket(place, f, socket.SOCK_DGRAM)
                    for f in (socket.AF_INET, socket.AF_INET6)}
        self.icmp = {socket.AF_INET: self._raw(place, socket.AF_INET, socket.IPPROTO_ICMP),
                     socket.AF_INET6: self._raw(place, socket.AF_INET6, socket.IPPROTO_ICMPV6)}
        self.heard = [self._raw(place, f, socket.IPPROTO_UDP) for f in (socket.AF_INET, socket.AF_INET6)]
        self.heard += self.icmp.values()

    @staticmethod
    def _raw(place, family, protocol):
        sock = traffic.open_socket(place, family, socket.SOCK_RAW, protocol)
        sock.setblocking(False)
        return sock

    def send(self, flow):
        for address in flow.addresses:
            family = traffic.family_of(address)
            with contextlib.suppress(OSError):
                if flow.port:
                    self.udp[family].sendto(token(flow.number), (address, flow.port))
                else:
                    self.icmp[family].sendto(echo_request(family, self.id, token(flow.number)),
                                             (address, 0))

    def close(self):
        for sock in [*self.udp.values(), *self.heard]:
            sock.close()


def echo_request(family, number, data):
    kind = 8 if family == socket.AF_INET else 128
    packet = struct.pack("!BBHHH", kind, 0, 0, number, 1) + data
    if family == socket.AF_INET:  # of IPv6 the kernel does it
        padded = packet + b"\0" * (len(packet) % 2)
        total = sum(struct.unpack("!%dH" % (len(padded) // 2), padded))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        packet = struct.pack("!BBHHH", kind, 0, ~total & 0xFFFF, number, 1) + data
    return packet


def is_reply(sock, data):
    if sock.proto == socket.IPPROTO_ICMP:
        return data[(data[0] & 15) * 4] != 8
    return sock.proto == socket.IPPROTO_ICMPV6 and data[0] != 128


class Flow:
    """One question: packets go to all addresses, and have arrived if one is heard at `at` (None:
    anywhere)."""

    def __init__(self, number, source, asked, target, port, addresses, at):
        self.number, self.source, self.asked, self.target, self.port = number, source, asked, target, port
        self.addresses, self.at = addresses, at
        self.answer, self.arrived = None, False

    def __repr__(self):
        return "%s to %s%s: why says %r, a packet to %s %s %s" % (
            self.asked, self.target, " udp/%d" % self.port if self.port else "", self.answer["Reason"],
            self.addresses, "is heard at" if self.arrived else "is not heard at", self.at)


class Topology:
    def __init__(self, host, rng):
        self.host, self.random = host, rng
        self.networks, self.sandboxes, self.flows = [], {}, []
        for number in range(rng.randint(1, 4)):
            self._network(number)
        for number in range(rng.randint(2, 5)):
            self._sandbox(number)
        self.places = {name: host.inside(name) for name in self.sandboxes}
        self.places.update(host=traffic.outside(host), lan=traffic.lan(host))
        self.parties = {name: Party(name, place) for name, place in self.places.items()}

    def _network(self, number):
        pick, options = self.random.random, {}
        subnet = 100 + number
        internal = pick() < 0.25
        if pick() < 0.3:
            options[BRIDGE + "enable_icc"] = "false"
        if pick() < 0.2:
            options[BRIDGE + "trusted_host_interfaces"] = "up0"
        for family in "46":
            modes = ["nat", "nat", "nat-unprotected", "routed"] + (["isolated"] * 2 if internal else [])
            options[BRIDGE + "gateway_mode_ipv" + family] = self.random.choice(modes)
        config = [{"Subnet": "10.%d.0.0/24" % subnet}]
        six = pick() < 0.5
        if six:
            config.append({"Subnet": "fd00:%d::/64" % subnet})
        name = "n%d" % number
        self.host.network(name, EnableIPv6=six, Internal=internal, Options=options, IPAM={"Config": config})
        self.networks.append(name)
        traffic.routes_from_lan(self.host, subnet)

    def _sandbox(self, number):
        name = "s%d" % number
        more = {"Confined": self.random.random() < 0.5}
        at = self.random.choice(["", "", UP4 + ":", HOST2 + ":", "127.0.0.1:"])
        wanted = self.random.sample(self.networks, self.random.randint(0, min(3, len(self.networks))))
        if self.random.random() < 0.5:
            more["Publish"] = traffic.published("%s%d:80/udp" % (at, 8000 + number))
        if self.random.random() < 0.3:
            more["Publish"] = more.get("Publish", []) + traffic.published(
                "9%d00-9%d09:9%d00-9%d09/udp" % ((number,) * 4))
        if self.random.random() < 0.5:
            more["Exposed"] = traffic.exposed("80/udp")
        networks = []
        for network in wanted:
            known = [s for s, on in self.sandboxes.items() if network in on]
            settings = {"Links": ["%s:peer" % self.random.choice(known)]} if known else {}
            networks.append((network, settings if self.random.random() < 0.5 else {}))
        self.host.sandbox(name, *networks, **more)
        self.sandboxes[name] = wanted

    # ------------------------------------------------------------------ what is asked

    def build(self):
        addresses = {name: self._addresses(name) for name in self.sandboxes}
        published = {name: traffic.ports_of(self.host, name) for name in self.sandboxes}
        gateways = [config["Gateway"] for network in self.networks
                    for config in self.host.inspect(network)["IPAM"]["Config"] if config.get("Gateway")]
        asking = {name: (name,) for name in self.sandboxes}
        asking.update(host=("host",), lan=(LAN4, LAN6))
        for source, names in asking.items():
            for asked in names:
                for name in self.sandboxes:
                    if name != source:
                        self._ask_sandbox(source, asked, name, addresses[name])
                self._ask_host(source, asked, gateways, published)
                if source != "lan":
                    for lan in (LAN4, LAN6):
                        self._ask(source, asked, lan, None, [lan], "lan")
                        self._ask(source, asked, lan, 80, [lan], "lan")

    def _addresses(self, name):
        settings = self.host.get("/cnm/v1/sandboxes/" + name)["Networks"].values()
        return [s[key] for s in settings for key in ("IPAddress", "GlobalIPv6Address") if s[key]]

    def _ask_sandbox(self, source, asked, name, addresses):
        for port in (None, 80, 81):
            self._ask(source, asked, name, port, addresses, name)
        for address in addresses:
            if (":" in address) == (":" in asked) or asked[0] in "sh":
                self._ask(source, asked, address, self.random.choice((None, 80, 81)), [address], name)

    def _ask_host(self, source, asked, gateways, published):
        own = [UP4, UP6, HOST2, *gateways]
        if source == "host":
            own += ["127.0.0.1", "::1"]
        else:
            self._ask(source, asked, "host", None, own, "host")
            self._ask(source, asked, "host", 77, own, "host")
        for name, ports in published.items():
            for protocol, _, first, last, _, _ in ports:
                port = self.random.randint(first, last)
                self._ask(source, asked, "host", port, own, name)
                if source != "host" and ":" not in asked:
                    self._ask(source, asked, UP4, port, [UP4], None)

    def _ask(self, source, asked, target, port, addresses, at):
        if asked in (LAN4, LAN6):
            addresses = [a for a in addresses if (":" in a) == (":" in asked)]
        flow = Flow(len(self.flows), source, asked, target, port, addresses, at)
        flow.answer = why(self.host, asked, target, "udp/%d" % port if port else None)
        self.flows.append(flow)

    # ------------------------------------------------------------------ what is so

    def run(self):
        """Every packet, again until all that should arrive have; then none of the others may."""
        end = time.monotonic() + harness.PATIENCE
        quiet = time.monotonic() + traffic.SILENCE
        while time.monotonic() < quiet or (time.monotonic() < end and self._missing()):
            for flow in self.flows:
                if not flow.arrived:
                    self.parties[flow.source].send(flow)
            self._hear(0.05)
        self._hear(traffic.SILENCE)
        return [flow for flow in self.flows if flow.arrived != flow.answer["Reachable"]]

    def _missing(self):
        return [flow for flow in self.flows if flow.answer["Reachable"] and not flow.arrived]

    def _hear(self, seconds):
        sockets = {sock: name for name, party in self.parties.items() for sock in party.heard}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select(list(sockets), [], [], 0.01)
            for sock in ready:
                self._drain(sock, sockets[sock])

    def _drain(self, sock, name):
        with contextlib.suppress(OSError):
            while True:
                data = sock.recv(2048)
                found = TOKEN.search(data)
                if found and not is_reply(sock, data):
                    flow = self.flows[int(found.group(1))]
                    flow.arrived = flow.arrived or flow.at in (None, name)

    def close(self):
        for party in self.parties.values():
            party.close()
        for place in self.places.values():
            self.host.leftovers.remove(place)
            place.close()


def topologies():
    return int(os.environ.get("CNM_WHY_RANDOM") or 12)


def test_it_is_as_it_says(host):
    seed = int(os.environ.get("CNM_SEED") or random.SystemRandom().randrange(1 << 32))
    print("CNM_SEED=%d CNM_WHY_RANDOM=%d" % (seed, topologies()))
    host.run("ip", "addr", "replace", HOST2 + "/24", "dev", "up0")
    asked = reached = 0
    for number in range(topologies()):
        topology = Topology(host, random.Random("%d/%d" % (seed, number)))
        try:
            topology.build()
            wrong = topology.run()
        finally:
            topology.close()
        assert not wrong, "CNM_SEED=%d, topology %d:\n%s" % (seed, number, "\n".join(map(repr, wrong)))
        asked += len(topology.flows)
        reached += sum(flow.arrived for flow in topology.flows)
        host.clear()
    host.run("ip", "addr", "del", HOST2 + "/24", "dev", "up0")
    print("%d questions, %d of them answered with yes" % (asked, reached))
    assert 0 < reached < asked
