# SPDX-License-Identifier: LGPL-2.1-or-later
"""The driver ovs: endpoints are ports of an Open vSwitch bridge, networks VLANs on it."""
import hashlib
import socket
import threading

import pytest

import harness
import openvswitch

pytestmark = pytest.mark.daemon(env={"PATH": openvswitch.PATH})


@pytest.fixture
def switch(host):
    host.switch = openvswitch.Switch(host)
    yield host.switch
    host.switch.close()


def network(host, name, subnet, **options):
    return host.subnet(name, subnet, Driver="ovs", Options={"cnm.ovs." + k: str(v) for k, v in options.items()})


def port_of(host, sandbox, net):
    return "veth" + host.settings(sandbox, net)["EndpointID"][:7]


def transfer(sender, receiver, address, size=65536):
    """So many bytes by TCP; their digests on both sides."""
    data = hashlib.sha512(b"cnm").digest() * (size // 64)
    listener = receiver.socket(kind=socket.SOCK_STREAM)
    listener.bind((address, 7000))
    listener.listen()
    listener.settimeout(harness.DEADLINE)
    out = sender.socket(kind=socket.SOCK_STREAM)
    out.settimeout(harness.DEADLINE)
    got = []

    def read():
        connection, _ = listener.accept()
        connection.settimeout(harness.DEADLINE)
        while True:
            piece = connection.recv(65536)
            if not piece:
                break
            got.append(piece)
        connection.close()

    thread = threading.Thread(target=read)
    thread.start()
    out.connect((address, 7000))
    out.sendall(data)
    out.close()
    thread.join()
    listener.close()
    return b"".join(got) == data


def test_a_network(host, switch):
    """A bridge of its own, two ports: pings, TCP, names; and nothing is left."""
    nid = network(host, "net", "10.31.0.0/24")
    bridge = "ovs-" + nid[:11]
    assert switch.bridges() == [bridge]
    host.sandbox("one", "net")
    host.sandbox("two", "net")
    assert sorted(switch.ports(bridge)) == sorted([port_of(host, "one", "net"), port_of(host, "two", "net")])
    one, two = host.inside("one"), host.inside("two")
    assert one.reaches(host.address("two", "net"))
    assert one.run("ping", "-c1", "-W5", "two", check=False).rc in (0, 2)
    assert transfer(one, two, host.address("two", "net")), "checksums are good"
    assert one.default_route() is None and list(one.links()) == ["eth0"]
    assert host.doctor() == []
    host.disconnect("net", "one")
    assert switch.ports(bridge) == [port_of(host, "two", "net")]
    host.remove_sandbox("one")
    host.remove_sandbox("two")
    host.remove_network("net")
    assert switch.bridges() == []


def test_vlans(host, switch):
    """Networks on one bridge of the user's, kept apart by their tags; a router on one of them."""
    switch.vsctl("add-br", "trunk0", "--", "set", "Bridge", "trunk0", "datapath_type=netdev")
    network(host, "red", "10.32.0.0/24", bridge="trunk0", vlan=5)
    host.ok("POST", "/networks/create", {"Name": "blue", "Driver": "ovs", "Options": {
        "cnm.ovs.bridge": "trunk0", "cnm.ovs.vlan": "6"}, "IPAM": {"Config": [
            {"Subnet": "10.33.0.0/24", "Gateway": "10.33.0.254"}]}}, 201)
    host.sandbox("one", "red")
    host.sandbox("two", "red")
    host.sandbox("three", "blue")
    host.sandbox("four", "blue")
    tag = lambda sandbox, net: switch.vsctl("get", "Port", port_of(host, sandbox, net), "tag").out.strip()
    assert (tag("one", "red"), tag("two", "red"), tag("three", "blue")) == ("5", "5", "6")
    one, three = host.inside("one"), host.inside("three")
    assert one.reaches(host.address("two", "red")) and three.reaches(host.address("four", "blue"))
    # One that has an address of the other VLAN's subnet is not on that VLAN.
    one.run("ip", "addr", "add", "10.33.0.77/24", "dev", "eth0")
    assert not one.can_ping(host.address("three", "blue"))
    one.run("ip", "addr", "del", "10.33.0.77/24", "dev", "eth0")
    assert three.default_route() == ("10.33.0.254", "eth0")
    host.refused("POST", "/networks/create", {"Name": "more", "Driver": "ovs", "Options": {
        "cnm.ovs.bridge": "trunk0", "cnm.ovs.vlan": "6"}}, 409, matching="network blue is on bridge trunk0 with the same VLAN")
    for name in ("one", "two", "three", "four"):
        host.remove_sandbox(name)
    host.remove_network("red")
    host.remove_network("blue")
    assert switch.bridges() == ["trunk0"] and switch.ports("trunk0") == []
    switch.vsctl("del-br", "trunk0")


def test_mended(host, switch):
    """What somebody deletes or changes is put back by a comparison; a port's veth comes back by itself."""
    nid = network(host, "net", "10.31.0.0/24", vlan=9)
    host.sandbox("one", "net")
    host.sandbox("two", "net")
    one, port = host.inside("one"), port_of(host, "one", "net")
    assert one.reaches(host.address("two", "net"))
    for damage in (["del-port", port], ["set", "Port", port, "tag=8"], ["clear", "Port", port, "tag"],
                   ["del-br", "ovs-" + nid[:11]]):
        switch.vsctl(*damage)
        assert any(d["Kind"] == "ovs" for d in host.doctor()), damage
        assert host.doctor(repair=True) == [], damage
        assert one.reaches(host.address("two", "net"))
    host.run("ip", "link", "del", port)
    host.wait_healed()
    harness.wait_for(lambda: one.can_ping(host.address("two", "net")), "the new veth is a port, too")
    assert transfer(one, host.inside("two"), host.address("two", "net"))
    for name in ("one", "two"):
        host.remove_sandbox(name)
    host.remove_network("net")


def test_restarts(host, switch):
    """Of the daemon, while packets go on; and of the switch, which finds its ports again."""
    network(host, "net", "10.31.0.0/24")
    host.sandbox("one", "net")
    host.sandbox("two", "net")
    one, address = host.inside("one"), host.address("two", "net")
    assert one.reaches(address)
    host.restart(kill=True)
    assert one.can_ping(address)
    host.wait_healed()
    switch.kill("ovs-vswitchd")
    assert not one.can_ping(address)
    switch.start_switch()
    assert one.reaches(address)
    for name in ("one", "two"):
        host.remove_sandbox(name)
    host.remove_network("net")


def test_without_open_vswitch(host, switch):
    """Its own request is refused, and says what to do; all others go on, and what was there can be removed."""
    switch.vsctl("add-br", "other0", "--", "set", "Bridge", "other0", "datapath_type=netdev")
    network(host, "net", "10.31.0.0/24", bridge="other0")
    host.refused("POST", "/networks/create", {"Name": "fail", "Driver": "ovs", "Options": {"cnm.ovs.bridge": "no0"}},
                 500, matching="is there an Open vSwitch bridge no0")
    switch.vsctl("del-br", "other0")
    switch.kill("ovs-vswitchd")
    switch.kill("ovsdb-server")
    host.refused("POST", "/networks/create", {"Name": "fail", "Driver": "ovs"}, 500, matching="database connection failed")
    host.subnet("bridged", "10.30.0.0/24")
    host.sandbox("one", "bridged")
    host.restart(kill=True)
    host.remove_sandbox("one")
    host.remove_network("bridged")
    host.remove_network("net")


def test_refused_options(host, switch):
    for options, words in (({"cnm.ovs.vlan": "4095"}, "it must be a number from 1 to 4094"),
                           ({"cnm.ovs.vlan": "0"}, "from 1 to 4094"), ({"cnm.ovs.bridge": "a/b"}, "may not contain"),
                           ({"cnm.ovs.trunk": "1"}, "option cnm.ovs.trunk is not supported for an ovs network")):
        host.refused("POST", "/networks/create", {"Name": "net", "Driver": "ovs", "Options": options}, 400,
                     matching=words)


def test_strays(host, switch):
    """What a daemon that was killed half-way left: a port and a bridge with its mark that nobody wants."""
    network(host, "net", "10.31.0.0/24")
    bridge = switch.bridges()[0]
    switch.vsctl("add-br", "lost0", "--", "set", "Bridge", "lost0", "external_ids:cnm=cnm-" + "ab" * 32, "datapath_type=netdev")
    switch.vsctl("add-br", "mine0", "--", "set", "Bridge", "mine0", "external_ids:cnm=other-" + "ab" * 32, "datapath_type=netdev")
    switch.vsctl("add-port", bridge, "lost1", "--", "set", "Port", "lost1", "external_ids:cnm=cnm-" + "cd" * 32)
    host.restart(kill=True)
    harness.wait_for(lambda: sorted(switch.bridges()) == sorted([bridge, "mine0"]) and switch.ports(bridge) == [],
                     "what nobody wants goes, and what is another's stays")
    switch.vsctl("del-br", "mine0")
    host.remove_network("net")


def test_by_the_stock_client(host, switch):
    host.docker("network", "create", "-d", "ovs", "--subnet", "10.31.0.0/24", "-o", "cnm.ovs.vlan=7", "net", check=True)
    host.sandbox("one")
    host.docker("network", "connect", "net", "one", check=True)
    assert switch.vsctl("get", "Port", port_of(host, "one", "net"), "tag").out.strip() == "7"
    dry = host.cnm("network", "disconnect", "--dry-run", "net", "one", check=True).out
    assert "ovs port veth" in dry, dry
    host.remove_sandbox("one")
    host.docker("network", "rm", "net", check=True)
