# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gateway modes, IPv4 and IPv6 apart; trusted interfaces; masquerading on, off, or to an address. Each
network of the table has one sandbox, which publishes 8080+N for its port 80 and listens at 81, too. The
LAN, and a second one behind an interface that some trust, know the ways to all of them."""
import pytest

import harness
import traffic

BRIDGE, NETWORK = traffic.BRIDGE, "com.docker.network."
UP4, UP6, LAN4, LAN6 = harness.UP4, harness.UP6, harness.LAN4, harness.LAN6
SNAT4, SNAT6 = "192.0.2.77", "2001:db8::77"
SIDE4, SIDE6 = "198.51.100.2", "2001:db8:1::2"  # whoever is behind side0

MODES = ("nat", "nat-unprotected", "routed")
NETWORKS = [  # (mode of IPv4, mode of IPv6, more options)
    *((four, six, {}) for four in MODES for six in MODES),
    ("nat", "nat", {BRIDGE + "trusted_host_interfaces": "side0:nosuch"}),
    ("routed", "routed", {BRIDGE + "trusted_host_interfaces": "side0"}),
    ("nat", "nat", {BRIDGE + "enable_ip_masquerade": "false"}),
    ("nat", "nat", {NETWORK + "host_ipv4": SNAT4, NETWORK + "host_ipv6": SNAT6}),
]
ENTERED = {"nat": set(), "nat-unprotected": {80, 81}, "routed": {80}}


class Furnished:
    def __init__(self, host):
        self.host, self.services = host, traffic.Services()
        self.lan, self.place = traffic.lan(host), traffic.outside(host)
        self.side = harness.Holder("-n")
        self.side_place = traffic.Place(self.side.pid)
        host.run("sh", "-ec", """
            ip link add side0 type veth peer name eth0 netns %d
            ip addr add 198.51.100.1/24 dev side0
            ip addr add 2001:db8:1::1/64 dev side0 nodad
            ip addr add %s/24 dev up0
            ip addr add %s/64 dev up0 nodad preferred_lft 0
            ip link set side0 up
            """ % (self.side.pid, SNAT4, SNAT6))
        self.side_place.run("sh", "-ec", """
            ip link set lo up
            ip addr add %s/24 dev eth0
            ip addr add %s/64 dev eth0 nodad
            ip link set eth0 up
            ip route add default via 198.51.100.1
            ip -6 route add default via 2001:db8:1::1
            """ % (SIDE4, SIDE6))
        traffic.routes_from_lan(host, *(110 + n for n in range(len(NETWORKS))))
        self.services.add(self.lan, "lan", 80)
        for number, (four, six, more) in enumerate(NETWORKS):
            self.network(number, four, six, more)
        self._ask()

    def network(self, number, four, six, more):
        options = {BRIDGE + "gateway_mode_ipv4": four, BRIDGE + "gateway_mode_ipv6": six, **more}
        traffic.both_families(self.host, "n%d" % number, 110 + number, Options=options)
        self.host.sandbox("s%d" % number, "n%d" % number, Publish=traffic.published("%d:80" % (8080 + number)))
        self.services.add(self.host.inside("s%d" % number), "s%d" % number, 80, 81)

    def _ask(self):
        """Everything at once."""
        wanted, answering = {}, set()
        for number, modes in enumerate(NETWORKS):
            for family in (4, 6):
                own = address(number, family)
                mode = modes[0 if family == 4 else 1]
                trusted = any("trusted" in key for key in modes[2])
                for who, place in (("lan", self.lan), ("side", self.side_place)):
                    for port in (80, 81):
                        key = who, number, family, port
                        wanted[key] = place, "tcp", own, port
                        if port in ENTERED[mode] or (trusted and who == "side"):
                            answering.add(key)
                published = self.lan, "tcp", UP4 if family == 4 else UP6, 8080 + number
                wanted["published", number, family] = published
                outwards = self.host.inside("s%d" % number), "tcp", LAN4 if family == 4 else LAN6, 80
                wanted["out", number, family] = outwards
                wanted["host", number, family] = self.place, "tcp", own, 81
                answering |= {("out", number, family), ("host", number, family)}
                if mode != "routed":
                    answering.add(("published", number, family))
        self.outcomes = traffic.probe_all(wanted, answering)

    def close(self):
        self.services.close()
        self.host.run("sh", "-c", "ip link del side0; ip addr del %s/24 dev up0; ip addr del %s/64 dev up0" % (
            SNAT4, SNAT6))
        self.side_place.close()
        self.side.end()


def address(number, family):
    return "10.%d.0.2" % (110 + number) if family == 4 else "fd00:%d::2" % (110 + number)


@pytest.fixture(scope="module")
def furnished(request, tmp_path_factory):
    with traffic.host_of_a_file(request, tmp_path_factory.mktemp("host")) as host:
        made = Furnished(host)
        yield made
        made.close()


def cases(which=lambda four, six, more: True):
    return pytest.mark.parametrize("number,family", [
        pytest.param(number, family, id="%s %s IPv%d%s" % (four, six, family, " ".join(("", *more)).replace(NETWORK, "")))
        for number, (four, six, more) in enumerate(NETWORKS) for family in (4, 6) if which(four, six, more)])


def mode_of(number, family):
    return NETWORKS[number][0 if family == 4 else 1]


def refused(outcome):
    return outcome in ("silent", "refused", "unreachable")


@cases()
def test_from_the_lan_directly(furnished, number, family):
    for port in (80, 81):
        outcome = furnished.outcomes["lan", number, family, port]
        if port in ENTERED[mode_of(number, family)]:
            assert outcome == "s%d %s" % (number, LAN4 if family == 4 else LAN6)
        else:
            assert refused(outcome), (port, outcome)


@cases()
def test_from_a_trusted_interface(furnished, number, family):
    """Every port; and only for the networks that trust it."""
    trusted = any("trusted" in key for key in NETWORKS[number][2])
    for port in (80, 81):
        outcome = furnished.outcomes["side", number, family, port]
        if trusted or port in ENTERED[mode_of(number, family)]:
            assert outcome == "s%d %s" % (number, SIDE4 if family == 4 else SIDE6)
        else:
            assert refused(outcome), (port, outcome)


@cases()
def test_published(furnished, number, family):
    """At the host's address, but in mode routed, where there is nothing to translate."""
    outcome = furnished.outcomes["published", number, family]
    if mode_of(number, family) == "routed":
        assert refused(outcome), outcome
    else:
        assert outcome == "s%d %s" % (number, LAN4 if family == 4 else LAN6)


@cases()
def test_outwards(furnished, number, family):
    """Whose address the LAN sees."""
    more = NETWORKS[number][2]
    seen = UP4 if family == 4 else UP6
    if mode_of(number, family) == "routed" or BRIDGE + "enable_ip_masquerade" in more:
        seen = address(number, family)
    elif NETWORK + "host_ipv4" in more:
        seen = SNAT4 if family == 4 else SNAT6
    assert furnished.outcomes["out", number, family] == "lan " + seen


@cases()
def test_the_host_always(furnished, number, family):
    assert furnished.outcomes["host", number, family].split()[0] == "s%d" % number


def test_shown_ports(furnished):
    """In mode routed the container's own ports are open, and no port of the host is taken."""
    host = furnished.host
    for number, (four, six, _) in enumerate(NETWORKS):
        shown = {port[1] for port in traffic.ports_of(host, "s%d" % number) if port[2] == 8080 + number}
        assert ("0.0.0.0" in shown) == (four != "routed") and ("::" in shown) == (six != "routed"), (four, six, shown)


def test_ping_in_mode_routed(furnished):
    for number, (four, six, more) in enumerate(NETWORKS):
        if not more:
            assert harness.can_ping(furnished.lan.netns, address(number, 4)) == (four != "nat"), (four, six)


def test_one_network_does_not_reach_another(furnished):
    """Whatever their modes, but at what is open to everyone."""
    wanted, open_to = {}, set()
    for source in range(len(NETWORKS)):
        for target in range(len(NETWORKS)):
            for family in (4, 6):
                key = source, target, family
                if source != target:
                    wanted[key] = furnished.host.inside("s%d" % source), "tcp", address(target, family), 81
                    if mode_of(target, family) == "nat-unprotected":
                        open_to.add(key)
    got = traffic.probe_all(wanted, open_to)
    assert {key for key, outcome in got.items() if not refused(outcome)} == open_to


def test_isolated(furnished):
    """Only with --internal; the bridge has no address, and there is no gateway."""
    host = furnished.host
    for families in ((4,), (6,), (4, 6)):
        options = {BRIDGE + "gateway_mode_ipv%d" % family: "isolated" for family in families}
        with traffic.unchanged(host):
            host.refused("POST", "/networks/create", {"Name": "iso", "EnableIPv6": True, "Options": options}, 500,
                         "gateway mode 'isolated' can only be used for an internal network")
        traffic.both_families(host, "iso", 140, Internal=True, Options=options)
        host.sandbox("i1", "iso", Publish=traffic.published("8200:80"))
        host.sandbox("i2", "iso")
        services = traffic.Services()
        services.add(host.inside("i2"), "i2", 80)
        shown = host.run("ip", "-o", "addr", "show", "dev", "br-" + host.inspect("iso")["Id"][:12]).out
        for family, gateway in ((4, "10.140.0.1/24"), (6, "fd00:140::1/64")):
            own = host.address("i2", "iso", family)
            assert traffic.answers("i2", host.inside("i1"), "tcp", own, 80)
            assert (gateway in shown) == (family not in families)
        services.close()
        assert not [port for port in traffic.ports_of(host, "i1") if port[2]]
        host.remove_sandbox("i1")
        host.remove_sandbox("i2")
        host.remove_network("iso")


def test_direct_routes_of_a_container_do_not_open_others(furnished):
    """A neighbour on the LAN's own link that takes the host for its router reaches nothing but what is
    open; the way back of what a container opened itself is always open."""
    view = furnished.host.inside("s0")
    assert traffic.ask(view, "tcp", LAN4, 80) == "lan " + UP4
    stream = traffic.Stream(view, LAN4, 9100, furnished.lan, 9100)
    assert stream.lives()
    stream.close()


REFUSED = (
    ({BRIDGE + "gateway_mode_ipv4": "nonsense"}, "gateway_mode_ipv4 value: nonsense"),
    ({BRIDGE + "gateway_mode_ipv6": "NAT"}, "gateway_mode_ipv6 value: NAT"),
    ({BRIDGE + "trusted_host_interfaces": "a:b c"}, "trusted_host_interfaces"),
    ({BRIDGE + "trusted_host_interfaces": "a-name-of-more-than-15-bytes"}, "trusted_host_interfaces"),
    ({BRIDGE + "trusted_host_interfaces": ":".join("eth%d" % n for n in range(17))}, "16"),
    ({BRIDGE + "host_binding_ipv4": "nonsense"}, "host_binding_ipv4"),
    ({"cnm.antispoof": "perhaps"}, "cnm.antispoof"),
    ({NETWORK + "host_ipv4": "2001:db8::2"}, "host_ipv4"), ({NETWORK + "host_ipv6": "192.0.2.2"}, "host_ipv6"))


def test_refused_options(furnished):
    with traffic.unchanged(furnished.host):
        for options, named in REFUSED:
            furnished.host.refused("POST", "/networks/create", {"Name": "wrong", "EnableIPv6": True, "Options": options},
                                   400, matching=named)
