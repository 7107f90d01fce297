# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an overlay network sends between the hosts, by captures on the segment: to whom, how wrapped, and what
never leaves a host."""
import socket

import pytest

import cluster
import frames
import harness
import segment
from cluster import knows, overlay

pytestmark = pytest.mark.xdist_group("overlay-wire")
ID = "com.docker.network.driver.overlay.vxlanid_list"
SUBNETS = ("10.52.0.0/24", "fd52::/64")
NOBODY = "02:aa:bb:cc:dd:ee"


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4", "ipv6"])
def three(request, tmp_path_factory):
    with cluster.started(tmp_path_factory.mktemp("wire"), "etcd", family=request.param) as made:
        yield made


class Scene:
    """A network with s1, s2, s3 on the hosts, or on as many as are asked for, and nothing else on it."""

    def __init__(self, made, hosts=3, name="blue", subnets=SUBNETS, port=segment.IANA_PORT, first="s", **options):
        self.made, self.name, self.hosts = made, name, made.hosts
        self.network = overlay(made.hosts, name, *subnets, Internal=True, Options=options)
        self.views, self.macs, self.at, self.at6 = {}, {}, {}, {}
        for host in made.hosts[:hosts]:
            self.add(host, "%s%d" % (first, host.number))
        for host in made.hosts:
            for who in self.views:
                knows(host, name, who)
        self.id = int(made.hosts[0].inspect(name)["Options"][ID])
        self.tap = segment.Tap(made, ports=(port,))

    def add(self, host, who, **more):
        host.sandbox(who, self.name, **more)
        self.views[who] = host.inside(who)
        self.macs[who] = frames.mac_of(self.views[who])
        self.at[who], self.at6[who] = host.address(who, self.name), host.address(who, self.name, 6)

    def remove(self, host, who):
        self.views.pop(who).close()
        host.remove_sandbox(who)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.tap.__exit__()
        for host in self.hosts:
            for sandbox in host.get("/cnm/v1/sandboxes"):
                if self.name in sandbox["Networks"]:
                    host.remove_sandbox(sandbox["Id"])
        for host in self.hosts[1:]:
            for who in self.views:
                knows(self.hosts[0], self.name, who, there=False)
        self.hosts[0].remove_network(self.name)
        for host in self.hosts:
            cluster.forgets(host, self.name)


def say(view, to, port=5001, word=b"hello"):
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with view.socket(family) as sock:
        if to.startswith("ff") or to.startswith("2") or to.endswith(".255"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sock.sendto(word, (to, port))


@pytest.mark.parametrize("port, number", [(4789, None), (8472, 12345)], ids=["default", "given"])
def test_encapsulation(three, port, number):
    """Outer addresses are the advertised ones, the port and the id those of the network, the MACs those within."""
    options = {} if not number else {"cnm.vxlan.port": str(port), ID: str(number)}
    with Scene(three, port=port, **options) as blue:
        assert number in (None, blue.id)
        a, b, _ = three.hosts
        for to in blue.at["s2"], blue.at6["s2"]:
            assert blue.views["s1"].reaches(to)
        seen = [p for p in blue.tap.carried() if p.is_to_one]
        assert {(p.source, p.to, p.inner_from, p.inner_to) for p in seen} == {
            (a.underlay, b.underlay, blue.macs["s1"], blue.macs["s2"]),
            (b.underlay, a.underlay, blue.macs["s2"], blue.macs["s1"])}
        assert {(p.port, p.id) for p in seen} == {(port, blue.id)}
        assert {p.inner_kind for p in seen} == {segment.IPV4, segment.IPV6}


def test_unicast_goes_to_its_host_alone(three):
    """What is for a sandbox of this host, or for a MAC that nobody has, or has any more, goes to none."""
    with Scene(three) as blue:
        a, b, c = three.hosts
        blue.add(a, "near")
        knows(b, "blue", "near")
        sender = frames.Sender(blue.views["s1"])

        def throw(mac):
            sender.send(frames.ethernet(mac, blue.macs["s1"], 0x88B5, b"anybody there"))
            return [p for p in blue.tap.carried() if b"anybody there" in p.inner]
        assert {(p.number, p.to) for p in throw(blue.macs["s2"])} == {(a.number, b.underlay)}
        assert {(p.number, p.to) for p in throw(blue.macs["s3"])} == {(a.number, c.underlay)}
        assert throw(blue.macs["near"]) == [] and throw(NOBODY) == []
        blue.remove(c, "s3")
        knows(a, "blue", "s3", there=False)
        harness.wait_for(lambda: not throw(blue.macs["s3"]), "the kernel knows, too")
        blue.views["s1"].run("ping", "-c1", "-W1", "10.52.0.200", check=False)
        assert not [p for p in blue.tap.carried() if p.is_to_one or p.asks]
        sender.close()


def test_nobody_is_asked(three):
    """Neither for addresses that are there nor for those that are not; by neither family."""
    with Scene(three) as blue:
        view = blue.views["s1"]
        view.run("ip", "neigh", "flush", "all")
        for who in "s2", "s3":
            assert view.reaches(blue.at[who]) and view.reaches(blue.at6[who])
        for to in "10.52.0.200", "fd52::dead":
            assert not view.can_ping(to)
        view.run("arping", "-c1", "-w1", "-U", "-I", "eth0", blue.at["s1"], check=False)
        asked = [p for p in blue.tap.carried() if p.asks]
        assert asked == []


def test_broadcast_goes_once_to_each_host(three):
    """Of those that are on the network, however many sandboxes they have; each of these gets it once."""
    with Scene(three, hosts=2) as blue:
        a, b, _ = three.hosts
        blue.add(a, "near")
        blue.add(b, "far")
        knows(a, "blue", "far")
        witnesses = {who: frames.Witness(blue.views[who]) for who in ("near", "s2", "far")}
        blue.tap.packets()
        for to in "10.52.0.255", "239.1.2.3", "ff02::1234":
            word = b"to all at " + to.encode()
            say(blue.views["s1"], to, word=word)
            seen = [(p.number, p.to) for p in blue.tap.carried() if word in p.inner]
            assert seen == [(a.number, b.underlay)], to
            say(blue.views["s1"], to, word=b"end")
            for who, witness in witnesses.items():
                got = [f for f in witness.until(b"end") if word in f]
                assert len(got) == 1, (to, who)
        for witness in witnesses.values():
            witness.close()


def test_no_broadcast(three):
    """-o cnm.broadcast=off: to nobody elsewhere; unicast is as it was."""
    with Scene(three, **{"cnm.broadcast": "off"}) as blue:
        a = three.hosts[0]
        blue.add(a, "near")
        knows(three.hosts[1], "blue", "near")
        witness = frames.Witness(blue.views["near"])
        for to in "10.52.0.255", "239.1.2.3", "ff02::1234":
            say(blue.views["s1"], to, word=b"to all")
        say(blue.views["s1"], "10.52.0.255", word=b"end")
        assert len([f for f in witness.until(b"end") if b"to all" in f]) == 3, "on this host it is heard"
        witness.close()
        assert not [p for p in blue.tap.carried() if not p.is_to_one]
        for who in "s2", "s3":
            assert blue.views["s1"].reaches(blue.at[who]) and blue.views["s1"].reaches(blue.at6[who])
        assert {p.inner_to for p in blue.tap.carried()} <= set(blue.macs.values())


def test_two_networks_are_apart(three):
    """No frame of one is seen in the other, on the same hosts: neither for one nor for all."""
    with Scene(three) as blue, Scene(three, name="red", subnets=("10.53.0.0/24", "fd53::/64"), first="r") as red:
        witnesses = [frames.Witness(red.views[who]) for who in red.views]
        sender, word = frames.Sender(blue.views["s1"]), b"of blue alone"
        for mac in (frames.BROADCAST, "01:00:5e:01:02:03", "33:33:00:00:12:34", *red.macs.values(), *blue.macs.values()):
            sender.send(frames.ethernet(mac, blue.macs["s1"], 0x88B5, word))
        sender.close()
        carried = [p for p in blue.tap.carried() if word in p.inner]
        assert carried and {p.id for p in carried} == {blue.id}
        say(red.views["r1"], "10.53.0.255", word=b"end")
        for view, witness in zip(red.views.values(), witnesses):
            if view is not red.views["r1"]:
                assert not [f for f in witness.until(b"end") if word in f]
            witness.close()
        own = {blue.id: set(blue.macs.values()), red.id: set(red.macs.values())}
        for p in red.tap.carried():
            assert p.inner_from in own[p.id], p
