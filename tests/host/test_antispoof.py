# SPDX-License-Identifier: LGPL-2.1-or-later
"""A container without NET_ADMIN is held to its own MAC, addresses, ARP and neighbour discovery. What is
forged is sent from inside its namespace with this process's privileges, then something honest: when that
has come, what was forged has not.

Every forgery bears a word in its payload or is recognised by its bytes; the witness is a neighbour."""
import socket

import pytest

import containers
import frames
import harness
import traffic

pytest_plugins = ["container_fixtures"]
ANTISPOOF = "cnm.antispoof"
OTHER_MAC = "02:aa:bb:cc:dd:ee"
FORGED = b"forged-payload"
HONEST = b"honest-payload"
A4, B4, C4 = "10.150.0.2", "10.150.0.3", "10.150.0.4"
A6, B6, C6 = "fd00:150::2", "fd00:150::3", "fd00:150::4"


class Scene:
    """a forges, b is the witness, c is whom a would like to be."""

    def __init__(self, host, confined=True, **options):
        traffic.both_families(host, "net1", 150, Options=options)
        self.host, self.places = host, {}
        for name in "abc":
            host.sandbox(name, "net1", Confined=confined)
            self.places[name] = host.inside(name)
        self.a, self.b, self.c = (frames.mac_of(self.places[name]) for name in "abc")
        self.sender, self.witness = frames.Sender(self.places["a"]), frames.Witness(self.places["b"])
        host.leftovers += [self.sender, self.witness]

    def arrives(self, *forged):
        """Which of these frames the witness sees."""
        for frame in forged:
            self.sender.send(frame)
        self.sender.send(frames.ethernet(self.b, self.a, 0x800, frames.ipv4(A4, B4, 17, frames.udp(HONEST))))
        seen = self.witness.until(HONEST)
        return [frame for frame in forged if any(same(frame, got) for got in seen)]

    def forgeries(self):
        """{what: frame}, each from a's port."""
        a, b, c = self.a, self.b, self.c
        return {
            "another MAC": frames.ethernet(b, OTHER_MAC, 0x800, frames.ipv4(A4, B4, 17, frames.udp(FORGED))),
            "the neighbour's MAC": frames.ethernet(b, c, 0x800, frames.ipv4(A4, B4, 17, frames.udp(FORGED))),
            "the neighbour's IPv4 address": frames.ethernet(b, a, 0x800, frames.ipv4(C4, B4, 17, frames.udp(FORGED))),
            "an address from outside": frames.ethernet(b, a, 0x800, frames.ipv4("203.0.113.9", B4, 17, frames.udp(FORGED))),
            "no address": frames.ethernet(frames.BROADCAST, a, 0x800, frames.ipv4(
                "0.0.0.0", "255.255.255.255", 17, frames.udp(FORGED, 68, 67))),
            "the gateway's address": frames.ethernet(b, a, 0x800, frames.ipv4("10.150.0.1", B4, 17, frames.udp(FORGED))),
            "the neighbour's IPv6 address": frames.ethernet(b, a, 0x86DD, frames.ipv6(
                C6, B6, 17, frames.udp6(C6, B6, FORGED))),
            "another link-local address": frames.ethernet(b, a, 0x86DD, frames.ipv6(
                "fe80::dead", B6, 17, frames.udp6("fe80::dead", B6, FORGED))),
            "an ARP reply for the neighbour": frames.ethernet(b, a, 0x806, frames.arp(2, a, C4, b, B4)),
            "an ARP request as the neighbour": frames.ethernet(frames.BROADCAST, a, 0x806, frames.arp(
                1, a, C4, "00:00:00:00:00:00", B4)),
            "an ARP reply with another MAC inside": frames.ethernet(b, a, 0x806, frames.arp(2, OTHER_MAC, A4, b, B4)),
            "ARP for the gateway": frames.ethernet(frames.BROADCAST, a, 0x806, frames.arp(
                2, a, "10.150.0.1", frames.BROADCAST, "10.150.0.1")),
            "an advertisement for the neighbour": frames.ethernet(b, a, 0x86DD, frames.neighbour_advert(A6, B6, C6, a)),
            "an advertisement for the gateway": frames.ethernet("33:33:00:00:00:01", a, 0x86DD, frames.neighbour_advert(
                A6, "ff02::1", "fd00:150::1", a)),
            "a router": frames.ethernet("33:33:00:00:00:01", a, 0x86DD, frames.router_advert(
                link_local(a))),
            "a redirect": frames.ethernet(b, a, 0x86DD, frames.icmpv6(link_local(a), B6, 137, b"\0" * 36)),
            "a duplicate address": frames.ethernet("33:33:ff:00:00:04", a, 0x86DD, frames.neighbour_solicit(
                "::", "ff02::1:ff00:4", C6)),
            "another protocol": frames.ethernet(frames.BROADCAST, a, 0x88CC, FORGED),
            "a VLAN tag": frames.ethernet(b, a, 0x8100, b"\0\5\x08\x00" + frames.ipv4(C4, B4, 17, frames.udp(FORGED))),
        }

    def honest(self):
        a, b = self.a, self.b
        return {
            "IPv4": frames.ethernet(b, a, 0x800, frames.ipv4(A4, B4, 17, frames.udp(b"good"))),
            "IPv6": frames.ethernet(b, a, 0x86DD, frames.ipv6(A6, B6, 17, frames.udp6(A6, B6, b"good"))),
            "IPv6, link-local": frames.ethernet(b, a, 0x86DD, frames.ipv6(
                link_local(a), B6, 17, frames.udp6(link_local(a), B6, b"good"))),
            "an ARP request": frames.ethernet(frames.BROADCAST, a, 0x806, frames.arp(1, a, A4, "00:00:00:00:00:00", B4)),
            "an ARP reply": frames.ethernet(b, a, 0x806, frames.arp(2, a, A4, b, B4)),
            "an advertisement": frames.ethernet(b, a, 0x86DD, frames.neighbour_advert(A6, B6, A6, a)),
            "a solicitation": frames.ethernet("33:33:ff:00:00:03", a, 0x86DD, frames.neighbour_solicit(
                A6, "ff02::1:ff00:3", B6)),
            "its own duplicate address detection": frames.ethernet(
                "33:33:ff:00:00:02", a, 0x86DD, frames.neighbour_solicit("::", "ff02::1:ff00:2", A6)),
        }


def same(sent, got):
    """A frame is padded on its way, and the kernel hands a VLAN tag out apart."""
    if sent[12:14] == b"\x81\0":
        sent = sent[:12] + sent[16:]
    return got[:len(sent)] == sent


def link_local(mac):
    raw = bytearray(frames.mac_bytes(mac))
    raw[0] ^= 2
    return socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + b"\0" * 6 + bytes(raw[:3]) + b"\xff\xfe" + bytes(raw[3:]))


def words_of(frames_by_name, seen):
    return {name for name, frame in frames_by_name.items() if frame in seen}


@pytest.mark.parametrize("options", [{}, {ANTISPOOF: "on"}], ids=["default", "on"])
def test_confined(engine, options):
    """Nothing forged arrives, all that is honest does."""
    scene = Scene(engine, **options)
    forged, honest = scene.forgeries(), scene.honest()
    assert words_of(forged, scene.arrives(*forged.values())) == set()
    assert words_of(honest, scene.arrives(*honest.values())) == set(honest)


@pytest.mark.parametrize("confined,options", [(True, {ANTISPOOF: "off"}), (False, {})], ids=["off", "not confined"])
def test_not_held(engine, confined, options):
    """Everything arrives, so it is not the bridge that stops it."""
    scene = Scene(engine, confined, **options)
    forged = scene.forgeries()
    assert words_of(forged, scene.arrives(*forged.values())) == set(forged)
    assert traffic.elements(engine, "guarded", "bridge") == []


def test_on_for_all(engine):
    """cnm.antispoof=on holds those with NET_ADMIN, too."""
    scene = Scene(engine, False, **{ANTISPOOF: "on"})
    assert words_of(scene.forgeries(), scene.arrives(*scene.forgeries().values())) == set()


def test_the_gateway_is_not_deceived(engine):
    """Nor does the host learn the neighbour's address at the forger's MAC."""
    scene = Scene(engine)
    assert engine.reaches(C4)
    bridge = "br-" + engine.inspect("net1")["Id"][:12]
    for _ in range(3):
        scene.sender.send(frames.ethernet(frames.BROADCAST, scene.a, 0x806, frames.arp(2, scene.a, C4, frames.BROADCAST, C4)))
    assert scene.arrives() == []
    shown = engine.run("ip", "neigh", "show", C4, "dev", bridge).out
    assert scene.c in shown and scene.a not in shown


def test_additional_addresses(engine):
    """Link-local addresses that were asked for are the endpoint's own; they and the rest hold over a
    restart of the daemon."""
    scene = Scene(engine)
    engine.disconnect("net1", "c")
    engine.connect("net1", "c", IPAMConfig={"LinkLocalIPs": ["169.254.34.68", "fe80::34:68"]})
    sender = frames.Sender(scene.places["c"])
    engine.leftovers.append(sender)
    mac = frames.mac_of(scene.places["c"])
    own = engine.address("c", "net1")
    for _ in range(2):
        sender.send(frames.ethernet(scene.b, mac, 0x800, frames.ipv4("169.254.34.68", B4, 17, frames.udp(b"link-local-four"))))
        scene.witness.until(b"link-local-four")
        sender.send(frames.ethernet(scene.b, mac, 0x86DD, frames.ipv6(
            "fe80::34:68", B6, 17, frames.udp6("fe80::34:68", B6, b"link-local-six"))))
        scene.witness.until(b"link-local-six")
        sender.send(frames.ethernet(scene.b, mac, 0x800, frames.ipv4("169.254.34.69", B4, 17, frames.udp(FORGED))))
        sender.send(frames.ethernet(scene.b, mac, 0x800, frames.ipv4(own, B4, 17, frames.udp(HONEST))))
        assert not [frame for frame in scene.witness.until(HONEST) if FORGED in frame]
        engine.restart(kill=True)


def test_each_endpoint_has_its_own(engine):
    """On two networks: the address of the one is not admitted on the other."""
    scene = Scene(engine)
    traffic.both_families(engine, "net2", 151)
    engine.connect("net2", "a")
    engine.connect("net2", "b")
    inner = scene.places["a"].links()
    second, = [name for name, found in inner.items() if any(at.startswith("10.151.") for at in found)]
    sender, witness = frames.Sender(scene.places["a"], second), frames.Witness(scene.places["b"], second)
    engine.leftovers += [sender, witness]
    mine, other = frames.mac_of(scene.places["a"], second), frames.mac_of(scene.places["b"], second)
    four, six = engine.address("a", "net2"), engine.address("b", "net2")
    sender.send(frames.ethernet(other, mine, 0x800, frames.ipv4(A4, six, 17, frames.udp(FORGED))))
    sender.send(frames.ethernet(other, scene.a, 0x800, frames.ipv4(four, six, 17, frames.udp(FORGED))))
    sender.send(frames.ethernet(other, mine, 0x800, frames.ipv4(four, six, 17, frames.udp(HONEST))))
    assert not [frame for frame in witness.until(HONEST) if FORGED in frame]


def test_elements_come_and_go(engine):
    """As many as endpoints, and none without."""
    scene = Scene(engine)
    sizes = {name: len(traffic.elements(engine, name, "bridge")) for name in ("guarded", "src4", "src6", "nd6")}
    assert sizes == {"guarded": 3, "src4": 3, "src6": 6, "nd6": 6}
    for name in "abc":
        scene.host.remove_sandbox(name)
    assert all(traffic.elements(engine, name, "bridge") == [] for name in sizes)


# The machine's Python, in a container: with the privileges that a container has by itself.
PYTHON = ("-v", "/usr:/usr:ro", "-v", "/usr/lib:/lib:ro", "-v", "/usr/lib64:/lib64:ro")
SEND = """
import socket
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("eth0", 0))
sock.send(bytes.fromhex("%s"))
"""


def seen_at_the_witness(engine, client, *flags):
    """A container claims to be 10.150.0.99 in ARP."""
    client("network", "create", "--subnet", "10.150.0.0/24", *flags[:2], "net1", check=True)
    client.run("--name", "witness", "--net", "net1", "busybox", *containers.HOLD)
    witness = frames.Witness(traffic.of_container(engine, "witness"))
    engine.leftovers.append(witness)
    forged = frames.ethernet(frames.BROADCAST, OTHER_MAC, 0x806, frames.arp(
        2, OTHER_MAC, "10.150.0.99", frames.BROADCAST, "10.150.0.99"))
    client("run", "--rm", "--net", "net1", *flags[2:], *PYTHON, "busybox", "/usr/bin/python3", "-c", SEND % forged.hex(),
           check=True)
    address = engine.container("witness")["NetworkSettings"]["Networks"]["net1"]["IPAddress"]
    client("run", "--rm", "--net", "net1", "busybox", "ping", "-c1", "-W5", "-s", "99", "-p", "77", address, check=True)
    return any(frame[:len(forged)] == forged for frame in witness.until(b"\x77" * 60))


client = containers.fixture_of("cnm")


@pytest.mark.parametrize("flags,arrives", [
    (("--label", "x"), False), (("--label", "x", "--cap-add", "NET_RAW"), False), (("-o", ANTISPOOF + "=off"), True),
    (("--label", "x", "--cap-add", "NET_ADMIN"), True), (("--label", "x", "--privileged"), True),
    (("-o", ANTISPOOF + "=on", "--cap-add", "NET_ADMIN"), False)],
    ids=["default", "NET_RAW", "off", "NET_ADMIN", "privileged", "on"])
def test_containers(engine, client, flags, arrives):
    """A container's own attempt."""
    assert seen_at_the_witness(engine, client, *flags) == arrives


def test_ordinary_life_is_not_disturbed(engine):
    """Names, both families, the way out, DHCP-free addresses after a reconnect: with everything held."""
    scene = Scene(engine)
    services = traffic.Services()
    try:
        services.add(scene.places["b"], "b", 80)
        services.add(traffic.lan(engine), "lan", 80)
        for _ in range(3):
            said = traffic.probe_all({
                (p, at): (scene.places["a"], p, at, 80) for p in ("tcp", "udp")
                for at in (engine.address("b", "net1"), engine.address("b", "net1", 6), harness.LAN4, harness.LAN6)})
            assert {outcome.split()[0] for outcome in said.values()} == {"b", "lan"}, said
            engine.disconnect("net1", "a")
            engine.connect("net1", "a")
    finally:
        services.close()
