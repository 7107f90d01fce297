# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others damage in the namespace of an overlay network is put back without being asked."""
import json
import signal

import pytest

import cluster
import harness
from cluster import knows

BOTH = "bridge fdb del %(mac)s dev vxlan0 self; bridge fdb del %(mac)s dev vxlan0 master"
DAMAGE = [
    "ip link del br0",
    "ip link del vxlan0",
    "ip link del br0; ip link del vxlan0",
    "ip link set br0 down",
    "ip link set vxlan0 down",
    "ip link set vxlan0 nomaster",
    "ip link set vxlan0 mtu 1300",
    "bridge link set dev vxlan0 flood on",
    "bridge link set dev vxlan0 learning on",
    "bridge link set dev vxlan0 isolated on",
    "bridge fdb del %(mac)s dev vxlan0 self",
    "bridge fdb del %(mac)s dev vxlan0 master",
    BOTH,
    "bridge fdb del 00:00:00:00:00:00 dev vxlan0 dst %(host)s",
    "ip neigh del %(ip)s dev vxlan0",
    "ip -6 neigh del %(ip6)s dev vxlan0",
    "ip -6 neigh del %(link_local)s dev vxlan0",
    "ip neigh flush all nud permanent",
    "ip link del %(veth)s",
    "ip link set %(veth)s down",
    "ip link set %(veth)s nomaster",
    "bridge link set dev %(veth)s flood on",
    "bridge link set dev %(veth)s locked on",
    "bridge fdb del %(own)s dev %(veth)s master",
]


@pytest.fixture
def pair(tmp_path):
    """One endpoint on each of two hosts, on a network without a way out: all of it is in its place."""
    made = cluster.Cluster(tmp_path, "etcd", hosts=2)
    try:
        made.start()
        a, b = made.hosts
        a.network("blue", Driver="overlay", Internal=True, EnableIPv6=True, IPAM={"Config": [
            {"Subnet": "10.44.0.0/24"}, {"Subnet": "fd44::/64"}]})
        knows(b, "blue", None)
        a.sandbox("one", "blue")
        b.sandbox("two", "blue")
        knows(a, "blue", "two")
        knows(b, "blue", "one")
        yield made
    finally:
        made.close()


def pins(host):
    return host.run("ls", "/run/netns").words


def place_of(host):
    return next(pin for pin in pins(host) if pin.startswith("ov-"))


def inside(host, what):
    return host.run("ip", "netns", "exec", place_of(host), "sh", "-ec", what)


def shape(host):
    """Links, ports, FDB and neighbours, without the MACs of links, which are made anew with them."""
    def read(command, *keys):
        found = json.loads(inside(host, command).out or "[]")
        return sorted(tuple(str(entry.get(key)) for key in keys) for entry in found
                      if entry.get("ifname") != "lo" and (entry.get("state") != "permanent" or "dst" in entry))
    return (read("ip -j link", "ifname", "master", "mtu", "operstate"),
            read("bridge -d -j link", "ifname", "master", "learning", "flood", "isolated", "locked"),
            read("bridge -j fdb show", "ifname", "mac", "dst", "state"),
            read("ip -j neigh show nud permanent", "dst", "lladdr"))


def reach(pair):
    a, b = pair.hosts
    one, two = a.inside("one"), b.inside("two")
    for family in 4, 6:
        assert one.reaches(b.address("two", "blue", family))
        assert two.reaches(a.address("one", "blue", family))


def heals(host, before):
    def difference():
        now = shape(host)
        return [sorted(set(a) ^ set(b)) for a, b in zip(before, now)]
    harness.wait_for(lambda: shape(host) == before, difference, timeout=5 * harness.SLOW)
    assert host.doctor() == []


def names_in(pair):
    a, b = pair.hosts
    own = a.inside("one")
    link = json.loads(own.run("ip", "-j", "link", "show", "eth0").out)[0]
    peer = json.loads(b.inside("two").run("ip", "-j", "addr", "show", "eth0").out)[0]
    local = next(i["local"] for i in peer["addr_info"] if i["scope"] == "link")
    veth = next(entry["ifname"] for entry in json.loads(inside(a, "ip -j link").out)
                if entry["ifname"].startswith("veth"))
    return {"mac": peer["address"], "own": link["address"], "link_local": local, "host": b.underlay, "veth": veth,
            "ip": b.address("two", "blue"), "ip6": b.address("two", "blue", 6)}


def test_its_place(pair):
    """Several commands are one to the daemon, which would mend between them."""
    a = pair.hosts[0]
    reach(pair)
    before, names = shape(a), names_in(pair)
    for number, what in enumerate(DAMAGE):
        if number % 4 == 0:  # what is mended five times within a minute is left alone
            a.restart()
        a.daemon.send_signal(signal.SIGSTOP)
        try:
            inside(a, what % names)
            assert shape(a) != before, what
        finally:
            a.daemon.send_signal(signal.SIGCONT)
        heals(a, before)
        reach(pair)


@pytest.mark.parametrize("how", ["ip netns del %s", "umount -l /run/netns/%s; rm /run/netns/%s"])
def test_its_pin(pair, how):
    a = pair.hosts[0]
    before, pin = shape(a), place_of(a)
    a.run("sh", "-ec", how.replace("%s", pin))
    harness.wait_for(lambda: pin in pins(a), "it is pinned again", timeout=5 * harness.SLOW)
    heals(a, before)
    reach(pair)


def test_the_pin_of_a_sandbox(pair):
    a = pair.hosts[0]
    reach(pair)
    a.run("ip", "netns", "del", "one")
    harness.wait_for(lambda: "one" in pins(a), "it is pinned again", timeout=5 * harness.SLOW)
    reach(pair)
    assert a.doctor() == []


def test_while_the_daemon_is_away(pair):
    a = pair.hosts[0]
    before = shape(a)
    for what in ("ip -n %s link del vxlan0", "ip netns del %s"):
        a.kill9()
        a.run("sh", "-ec", what % place_of(a))
        pair.start(a)
        heals(a, before)
        reach(pair)
