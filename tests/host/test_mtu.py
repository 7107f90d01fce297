# SPDX-License-Identifier: LGPL-2.1-or-later
"""The MTU of networks without one given is the smallest of the host's uplinks, also when that changes;
where a hop is smaller than the two ends believe, TCP's segments fit."""
import contextlib
import json
import socket
import struct

import pytest

import frames
import harness
import traffic
from traffic_fixtures import host, services, shared_host  # noqa: F401

MTU = "com.docker.network.driver.mtu"


def mtus(host, network, *sandboxes):
    """Of a network's bridge, of its ports, of the links inside."""
    bridge = "br-" + host.inspect(network)["Id"][:12]
    out = {link["mtu"] for link in json.loads(host.run("ip", "-j", "link").out)
           if bridge in (link["ifname"], link.get("master"))}
    for name in sandboxes:
        out |= {link["mtu"] for link in json.loads(host.inside(name).run("ip", "-j", "link").out)
                if link["ifname"] != "lo"}
    return out


def becomes(host, mtu, network, *sandboxes):
    harness.wait_for(lambda: mtus(host, network, *sandboxes) == {mtu},
                     lambda: "%s has MTU %d: %r" % (network, mtu, mtus(host, network, *sandboxes)))


@contextlib.contextmanager
def uplink(host, mtu):
    """The uplink's MTU, and the LAN's, which can take more."""
    host.run("ip", "link", "set", "up0", "mtu", str(mtu))
    try:
        yield
    finally:
        host.run("ip", "link", "set", "up0", "mtu", "1500")


@pytest.fixture
def net(host):
    traffic.both_families(host, "net", 160)
    host.sandbox("con", "net")
    return host


def test_follows_the_uplink(net):
    assert mtus(net, "net", "con") == {1500}
    net.network("given", Options={MTU: "1450"})
    net.sandbox("fixed", "given")
    with uplink(net, 1400):
        becomes(net, 1400, "net", "con")
        net.network("later")
        net.sandbox("late", "later")
        assert mtus(net, "later", "late") == {1400}
        net.sandbox("another", "net")
        assert mtus(net, "net", "con", "another") == {1400}
        assert mtus(net, "given", "fixed") == {1450}
        net.restart(kill=True)
        net.wait_healed()
        assert mtus(net, "net", "con", "another") == {1400}
    becomes(net, 1500, "net", "con", "another")
    becomes(net, 1500, "later", "late")
    assert mtus(net, "given", "fixed") == {1450}


def test_changed_while_the_daemon_was_away(net):
    net.stop()
    with uplink(net, 1420):
        net.start()
        becomes(net, 1420, "net", "con")
        net.stop()
    net.start()
    becomes(net, 1500, "net", "con")


def test_the_smallest_of_several(net):
    """Every link with a default route counts, of either family; others do not."""
    net.run("sh", "-ec", """
        ip link add up1 type veth peer name up2
        ip link set up2 up
        ip link set up1 mtu 1300 up
        ip addr add 198.51.100.9/24 dev up1""")
    try:
        net.network("before")
        assert mtus(net, "before") == {1500}
        net.run("ip", "route", "add", "default", "via", "198.51.100.1", "metric", "700")
        becomes(net, 1300, "net", "con")
        net.run("ip", "route", "del", "default", "via", "198.51.100.1")
        becomes(net, 1500, "net", "con")
        net.run("ip", "-6", "addr", "add", "2001:db8:9::9/64", "dev", "up1", "nodad")
        net.run("ip", "-6", "route", "add", "default", "via", "2001:db8:9::1", "metric", "2000")
        becomes(net, 1300, "net", "con")
    finally:
        net.run("ip", "link", "del", "up1")
    becomes(net, 1500, "net", "con")


def test_bounds(net):
    """IPv6 needs 1280; a jumbo uplink is followed up."""
    with uplink(net, 9000):
        becomes(net, 9000, "net", "con")
    becomes(net, 1500, "net", "con")


def max_segment(packet):
    """The MSS that a TCP header with options offers."""
    options = packet[20:(packet[12] >> 4) * 4]
    while options:
        kind = options[0]
        if kind == 1:
            options = options[1:]
            continue
        if kind == 0:
            break
        if kind == 2:
            return struct.unpack("!H", options[2:4])[0]
        options = options[options[1]:]
    raise AssertionError("no MSS")


def syn_of(witness, source, address, port, arrives_at=None):
    """The MSS of a SYN to this address and port as the witness sees it, perhaps at another port."""
    family = traffic.family_of(address)
    kind, header = (b"\x08\x00", 20) if family == socket.AF_INET else (b"\x86\xdd", 40)
    with traffic.open_socket(source, family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.connect_ex((address, port))
        while True:
            frame = witness.sock.recv(65535)
            protocol = frame[23] if header == 20 else frame[20]
            tcp = frame[14 + header:]
            if frame[12:14] == kind and protocol == 6 and tcp[2:4] == struct.pack("!H", arrives_at or port):
                assert tcp[13] & 2
                return max_segment(tcp)


@pytest.fixture
def sight(net):
    """What comes to the LAN."""
    witness = frames.Witness(traffic.lan(net), "lan0")
    yield witness
    witness.close()


def test_segments_fit_a_smaller_uplink(net, sight):
    """A network with an MTU of its own, larger than the uplink's."""
    net.network("wide", EnableIPv6=True, Options={MTU: "1500"})
    net.sandbox("wide1", "wide")
    with uplink(net, 1400):
        view = net.inside("wide1")
        assert syn_of(sight, view, harness.LAN4, 7001) == 1400 - 40
        assert syn_of(sight, view, harness.LAN6, 7002) == 1400 - 60


def test_segments_fit_a_smaller_hop(net, sight):
    """A route of the host's with an MTU."""
    net.run("ip", "route", "add", "203.0.113.0/24", "via", harness.LAN4, "mtu", "1300")
    net.run("ip", "-6", "route", "add", "2001:db8:77::/64", "via", harness.LAN6, "mtu", "1290")
    try:
        view = net.inside("con")
        assert syn_of(sight, view, "203.0.113.5", 7001) == 1300 - 40
        assert syn_of(sight, view, "2001:db8:77::5", 7002) == 1290 - 60
        assert syn_of(sight, view, harness.LAN4, 7003) == 1460
    finally:
        net.run("ip", "route", "del", "203.0.113.0/24")
        net.run("ip", "-6", "route", "del", "2001:db8:77::/64")


def test_segments_to_a_published_port_fit(net):
    """A network smaller than the client believes: its SYN is told so on its way in."""
    net.network("narrow", EnableIPv6=True, Options={MTU: "1350"})
    net.sandbox("narrow1", "narrow", Publish=traffic.published("8001:80"))
    witness = frames.Witness(net.inside("narrow1"))
    try:
        assert syn_of(witness, traffic.lan(net), harness.UP4, 8001, 80) == 1350 - 40
        assert syn_of(witness, traffic.lan(net), harness.UP6, 8001, 80) == 1350 - 60
    finally:
        witness.close()


def test_large_transfers_pass(net):
    """A megabyte by TCP through an uplink that is smaller than the network."""
    net.network("wide", Options={MTU: "1500"})
    net.sandbox("wide1", "wide")
    lan = traffic.lan(net)
    with uplink(net, 1400):
        stream = traffic.Stream(net.inside("wide1"), harness.LAN4, 9100, lan, 9100)
        data = bytes(range(256)) * 4096
        stream.sock.setblocking(False)
        sent = got = 0
        while got < len(data):
            with contextlib.suppress(BlockingIOError):
                sent += stream.sock.send(data[sent:sent + 65536])
            with contextlib.suppress(socket.timeout):
                stream.far.settimeout(0.01 if sent < len(data) else harness.PATIENCE)
                piece = stream.far.recv(65536)
                assert piece == data[got:got + len(piece)] and piece
                got += len(piece)
        stream.close()
