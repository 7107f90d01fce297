# SPDX-License-Identifier: LGPL-2.1-or-later
"""What packets may and may not do, with bridge-nf-call-iptables 0 and 1: the host, a client on its
LAN, and sandboxes on five networks.

    n1  nat        1a publishes 8080 at every address, 1b 8081 at one of the host's, 8082 at 127.0.0.1
    n2  nat        2a
    n3  internal   3a, 3b
    n4  no ICC     4a publishes 8084 and is linked to 4b, which exposes 80; 4c, which is linked to nobody
    n5  routed (IPv4)   5a publishes 80, 5b

Everybody listens at 80 and 81. All questions of the table are asked at once, when the first of its
tests needs an answer."""
import pytest

import harness
import traffic

HOST2_4, HOST2_6 = "192.0.2.9", "2001:db8::9"
UP4, UP6, LAN4, LAN6 = harness.UP4, harness.UP6, harness.LAN4, harness.LAN6
BRIDGE = traffic.BRIDGE
ANY = object()

SANDBOXES = {"1a": 2, "1b": 3, "2a": 2, "3a": 2, "3b": 3, "4a": 2, "4b": 3, "4c": 4, "5a": 2, "5b": 3}
NETWORKS = {"n1": {}, "n2": {}, "n3": {"Internal": True}, "n4": {"Options": {BRIDGE + "enable_icc": "false"}},
            "n5": {"Options": {BRIDGE + "gateway_mode_ipv4": "routed"}}}
EVERY = ("tcp", "udp", "sctp")
PUBLISH = {
    "1a": ["8080:80/" + p for p in EVERY],
    "1b": ["%s:8081:80/%s" % (at, p) for p in EVERY for at in (HOST2_4, "[%s]" % HOST2_6)]
    + ["127.0.0.1:8082:80", "[::1]:8083:80"],
    "4a": ["8084:80"], "5a": ["80:80"]}


def four(name):
    return "10.6%s.0.%d" % (name[0], SANDBOXES[name])


def six(name):
    return "fd00:6%s::%d" % (name[0], SANDBOXES[name])


# (what, from, protocol, address, port, who answers and whom it sees, or None)
CHECKS = [
    ("masquerade", "1a", "tcp", LAN4, 80, ("lan", UP4)),
    ("masquerade", "1a", "udp", LAN4, 80, ("lan", UP4)),
    ("masquerade", "1a", "tcp", LAN6, 80, ("lan", UP6)),
    ("masquerade", "1a", "udp", LAN6, 80, ("lan", UP6)),
    ("same network", "1a", "tcp", four("1b"), 80, ("1b", four("1a"))),
    ("same network", "1a", "udp", six("1b"), 80, ("1b", six("1a"))),
    ("isolation", "1a", "tcp", four("2a"), 80, None),
    ("isolation", "1a", "tcp", six("2a"), 80, None),
    ("isolation", "2a", "tcp", four("1a"), 80, None),
    ("isolation", "2a", "udp", six("1a"), 80, None),
    ("internal", "3a", "tcp", four("3b"), 80, ("3b", four("3a"))),
    ("internal", "3a", "tcp", six("3b"), 80, ("3b", six("3a"))),
    ("internal, outwards", "3a", "tcp", LAN4, 80, None),
    ("internal, inwards", "lan", "tcp", four("3a"), 80, None),
    ("internal, inwards", "lan", "tcp", six("3a"), 80, None),
    ("internal, across", "1a", "tcp", four("3a"), 80, None),
    ("internal, across", "3a", "tcp", four("1a"), 80, None),
    ("internal, published", "3a", "tcp", UP4, 8080, None),
    ("no ICC", "4c", "tcp", four("4b"), 80, None),
    ("no ICC", "4c", "udp", four("4b"), 80, None),
    ("no ICC", "4c", "tcp", six("4b"), 80, None),
    ("no ICC, outwards", "4a", "tcp", LAN4, 80, ("lan", UP4)),
    ("host to container", "host", "tcp", four("1a"), 80, ("1a", "10.61.0.1")),
    ("host to container", "host", "tcp", six("1a"), 81, ("1a", "fd00:61::1")),
    ("host to container without ICC", "host", "tcp", four("4a"), 81, ("4a", "10.64.0.1")),
    ("127.0.0.1 alone", "host", "tcp", "127.0.0.1", 8082, ("1b", "10.61.0.1")),
    ("127.0.0.1 alone, from the LAN", "lan", "tcp", UP4, 8082, None),
    ("::1 alone", "host", "tcp", "::1", 8083, ("1b", ANY)),
    ("::1 alone, from the LAN", "lan", "tcp", UP6, 8083, None),
    ("published without ICC", "lan", "tcp", UP4, 8084, ("4a", LAN4)),
    ("published without ICC, from its network", "4b", "tcp", UP4, 8084, ("4a", "10.64.0.1")),
    ("published without ICC, from itself", "4a", "tcp", UP4, 8084, ("4a", "10.64.0.1")),
    ("directly from the LAN", "lan", "tcp", four("1a"), 81, None),
    ("directly from the LAN, a published one", "lan", "tcp", four("1a"), 80, None),
    ("directly from the LAN", "lan", "tcp", six("1a"), 80, None),
    ("a service of the host", "1a", "tcp", "10.61.0.1", 7000, ("host", four("1a"))),
    ("a service of the host", "1a", "tcp", UP4, 7000, ("host", four("1a"))),
    ("a service of the host", "4a", "tcp", UP6, 7000, ("host", six("4a"))),
    ("link", "4a", "tcp", four("4b"), 80, ("4b", four("4a"))),
    ("link", "4a", "tcp", six("4b"), 80, ("4b", six("4a"))),
    ("link, a port that is not exposed", "4a", "tcp", four("4b"), 81, None),
    ("link, another protocol", "4a", "udp", four("4b"), 80, None),
    ("link, the other way", "4b", "tcp", four("4a"), 81, None),
    ("routed", "lan", "tcp", four("5a"), 80, ("5a", LAN4)),
    ("routed, not published", "lan", "tcp", four("5a"), 81, None),
    ("routed, not published", "lan", "tcp", four("5b"), 80, None),
    ("routed, outwards", "5a", "tcp", LAN4, 80, ("lan", four("5a"))),
    ("routed, not at the host", "lan", "tcp", UP4, 80, None),
    ("routed, isolated", "1a", "tcp", four("5a"), 81, None),
    ("routed in IPv4 alone, IPv6 inwards", "lan", "tcp", six("5b"), 80, None),
    ("routed in IPv4 alone, IPv6 outwards", "5a", "tcp", LAN6, 80, ("lan", UP6)),
    ("routed in IPv4 alone, IPv6 published", "lan", "tcp", UP6, 80, ("5a", LAN6)),
]
for _p in ("tcp", "udp"):
    CHECKS += [
        ("published", "lan", _p, UP4, 8080, ("1a", LAN4)),
        ("published, second address", "lan", _p, HOST2_4, 8080, ("1a", LAN4)),
        ("published", "lan", _p, UP6, 8080, ("1a", LAN6)),
        ("published, second address", "lan", _p, HOST2_6, 8080, ("1a", LAN6)),
        ("published at one address", "lan", _p, HOST2_4, 8081, ("1b", LAN4)),
        ("published at one address, another", "lan", _p, UP4, 8081, None),
        ("published at one address", "lan", _p, HOST2_6, 8081, ("1b", LAN6)),
        ("published at one address, another", "lan", _p, UP6, 8081, None),
        ("from the host", "host", _p, UP4, 8080, ("1a", ANY)),
        ("from the host", "host", _p, UP6, 8080, ("1a", ANY)),
        ("from the host, 127.0.0.1", "host", _p, "127.0.0.1", 8080, ("1a", "10.61.0.1")),
        ("from the host, ::1", "host", _p, "::1", 8080, ("1a", ANY)),
        ("hairpin", "1b", _p, UP4, 8080, ("1a", "10.61.0.1")),
        ("hairpin by the gateway", "1b", _p, "10.61.0.1", 8080, ("1a", "10.61.0.1")),
        ("hairpin to itself", "1a", _p, UP4, 8080, ("1a", "10.61.0.1")),
        ("hairpin", "1b", _p, UP6, 8080, ("1a", "fd00:61::1")),
        ("hairpin by the gateway", "1b", _p, "fd00:61::1", 8080, ("1a", "fd00:61::1")),
        ("hairpin to itself", "1a", _p, UP6, 8080, ("1a", "fd00:61::1")),
        ("from another network", "2a", _p, UP4, 8080, ("1a", "10.61.0.1")),
        ("from another network", "2a", _p, UP6, 8080, ("1a", "fd00:61::1")),
        ("from a network without ICC", "4c", _p, UP4, 8080, ("1a", "10.61.0.1")),
    ]


def name_of(check):
    what, source, protocol, address, port, _ = check
    return "%s: %s to %s %s %d" % (what, source, protocol, address, port)


class Topology:
    def __init__(self, host):
        self.host, self.services = host, traffic.Services()
        self.places = {"lan": traffic.lan(host), "host": traffic.outside(host)}
        for name, more in NETWORKS.items():
            traffic.both_families(host, name, 60 + int(name[1:]), **more)
        for name in sorted(SANDBOXES, key=lambda n: n == "4a"):  # after the one it is linked to
            self.sandbox(name)
        for name in ("lan", *SANDBOXES):
            self.services.add(self.places[name], name, 80, 81)
        self.services.add(self.places["host"], "host", 7000)
        self.services.add(self.places["host"], "host", 7777, addresses=("127.0.0.1",))
        self._outcomes = None

    def sandbox(self, name):
        settings = {"IPAMConfig": {"IPv4Address": four(name), "IPv6Address": six(name)}}
        if name == "4a":
            settings["Links"] = ["4b:peer"]
        self.host.sandbox(name, ("n" + name[0], settings), Publish=traffic.published(*PUBLISH.get(name, ())),
                          Exposed=traffic.exposed("80"))
        self.places[name] = self.host.inside(name)

    def outcome(self, check):
        if self._outcomes is None:
            wanted = {name_of(c): (self.places[c[1]], *c[2:5]) for c in CHECKS}
            self._outcomes = traffic.probe_all(wanted, [name_of(c) for c in CHECKS if c[5]])
        return self._outcomes[name_of(check)]


def addresses_of_the_host(host):
    host.run("ip", "addr", "add", HOST2_4 + "/24", "dev", "up0")
    # Nobody's source of its own accord.
    host.run("ip", "addr", "add", HOST2_6 + "/64", "dev", "up0", "nodad", "preferred_lft", "0")
    traffic.routes_from_lan(host, 61, 62, 63, 64, 65)


@pytest.fixture(scope="module", params=[0, 1], ids=["bridge-nf-0", "bridge-nf-1"])
def topology(request, tmp_path_factory):
    with traffic.host_of_a_file(request, tmp_path_factory.mktemp("host"), prepare=addresses_of_the_host) as host:
        if not traffic.bridge_netfilter(host, request.param) and request.param:
            pytest.skip("this kernel has no br_netfilter loaded")
        made = Topology(host)
        yield made
        made.services.close()


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_packets(topology, check):
    outcome, want = topology.outcome(check), check[5]
    if want is None:
        assert outcome in ("silent", "refused", "unreachable")
    else:
        assert outcome.split()[0] == want[0], outcome
        assert want[1] is ANY or outcome == "%s %s" % want


@pytest.mark.parametrize("address,port,target,seen", [
    (UP4, 8080, "1a", LAN4), (HOST2_4, 8081, "1b", LAN4), (UP6, 8080, "1a", LAN6), (HOST2_6, 8081, "1b", LAN6),
    (UP4, 8081, "1b", None), (UP6, 8081, "1b", None)])
def test_sctp(topology, address, port, target, seen):
    """By raw packets, since not every kernel has SCTP; the checksum that arrives is right."""
    got = traffic.sctp_arrives(topology.places["lan"], address, port, topology.places[target], seen is not None)
    assert got == ((seen, 80) if seen else None)


def test_the_hosts_loopback_is_guarded(topology):
    """A container that routes 127.0.0.1 to its gateway, where route_localnet is on: dropped. And it
    would arrive without that one rule. While no daemon runs, which would put its loopback back."""
    host, abuser = topology.host, topology.places["1b"]
    attempt = (abuser, "tcp", "127.0.0.1", 7777, four("1b"))

    def abuse():
        abuser.run("sh", "-ec", """
            echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
            ip addr flush dev lo
            ip route replace 127.0.0.1/32 via 10.61.0.1
            """)
        assert traffic.silent(*attempt)
    host.stop()
    try:
        abuse()
        host.run("nft", "flush", "chain", "inet", "cnm", "guard")
        assert traffic.ask(*attempt) == "host " + four("1b")
        host.start()
        host.wait_healed()
        host.stop()
        abuse()
    finally:
        host.start()
    host.wait_healed()


def test_a_port_is_closed_with_its_sandbox(topology):
    host, lan = topology.host, topology.places["lan"]
    host.sandbox("brief", "n1", Publish=traffic.published("8090:80", "8090:80/udp"))
    view = host.inside("brief")
    topology.services.add(view, "brief", 80)
    questions = {(p, a): (lan, p, a, 8090) for p in ("tcp", "udp") for a in (UP4, UP6)}
    assert {said.split()[0] for said in traffic.probe_all(questions).values()} == {"brief"}
    host.remove_sandbox("brief")
    gone = traffic.probe_all(questions, ())
    assert set(gone.values()) <= {"silent", "refused", "unreachable"}, gone
