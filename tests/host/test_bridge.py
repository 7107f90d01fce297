# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bridge driver: what it makes, and what packets do."""
import json
import socket

import harness
import netlink
import wire

BRIDGE = "com.docker.network.bridge."


def bridge_of(host, name):
    shown = host.inspect(name)
    return shown["Options"].get(BRIDGE + "name", "br-" + shown["Id"][:12])


def route_back(host, *subnets):
    """Let the LAN answer addresses of a network, as if masquerading were not needed."""
    for subnet in subnets:
        host.run_lan("ip", "route", "add", subnet, "via",
                     harness.UP6 if ":" in subnet else harness.UP4)


def source_seen(host, view, address, port=7000):
    """Which address the LAN sees when a sandbox sends to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netlink.inside(host.lan.netns):
        listener = socket.socket(family, socket.SOCK_DGRAM)
    listener.settimeout(5)
    listener.bind((address, port))
    with view.socket(family) as sock:
        sock.sendto(b"x", (address, port))
    try:
        return listener.recvfrom(16)[1][0]
    finally:
        listener.close()


def test_the_bridge(host):
    host.network("net", EnableIPv6=True)
    link = host.link(bridge_of(host, "net"))
    info = link["linkinfo"]["info_data"]
    assert link["linkinfo"]["info_kind"] == "bridge" and "UP" in link["flags"]
    assert info["forward_delay"] == 0 and info["stp_state"] == 0 and info["mcast_snooping"] == 0
    addresses = json.loads(host.run("ip", "-j", "addr", "show", "dev", link["ifname"]).out)[0]["addr_info"]
    shown = {"%s/%d" % (a["local"], a["prefixlen"]) for a in addresses}
    config = host.inspect("net")["IPAM"]["Config"]
    assert "fe80::1/64" in shown
    for entry in config:
        assert "%s/%s" % (entry["Gateway"], entry["Subnet"].split("/")[1]) in shown
    assert not any(a.get("tentative") for a in addresses)


def test_the_bridge_keeps_its_mac(host):
    host.network("net")
    name = bridge_of(host, "net")
    before = host.link(name)["address"]
    for number in range(4):
        host.sandbox("c%d" % number, "net")
    assert host.link(name)["address"] == before
    host.restart()
    assert host.link(name)["address"] == before


def test_removed_with_the_network(host):
    host.network("net")
    name = bridge_of(host, "net")
    assert host.link(name)
    host.remove_network("net")
    assert not host.link(name)


def test_same_network_and_isolation(host):
    for name in ("a", "b"):
        host.network(name, EnableIPv6=True)
    for name, network in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        host.sandbox(name, network)
    a1, b1 = host.inside("a1"), host.inside("b1")
    for family in (4, 6):
        assert a1.reaches(host.address("a2", "a", family))
        assert b1.reaches(harness.LAN4 if family == 4 else harness.LAN6)  # it is up
        assert not b1.can_ping(host.address("a2", "a", family))
        assert not a1.can_ping(host.address("b1", "b", family))


def test_the_host_reaches_everyone(host):
    host.network("net", EnableIPv6=True)
    host.sandbox("con", "net")
    for family in (4, 6):
        assert host.reaches(host.address("con", "net", family))


def test_outside_and_masquerade(host):
    host.network("net", EnableIPv6=True)
    host.sandbox("con", "net")
    view = host.inside("con")
    assert view.reaches(harness.LAN4) and view.reaches(harness.LAN6)
    assert source_seen(host, view, harness.LAN4) == harness.UP4
    assert source_seen(host, view, harness.LAN6) == harness.UP6


def test_the_first_packet_arrives(host):
    """What a sandbox sends right after its creation was answered is not lost."""
    host.compare = False
    for number in range(30):
        host.network("net%d" % number)
        host.sandbox("con%d" % number, "net%d" % number)
        assert source_seen(host, host.inside("con%d" % number), harness.LAN4) == harness.UP4


def test_the_default_bridge_too(host):
    host.sandbox("con", "bridge")
    view = host.inside("con")
    assert view.reaches(harness.LAN4)
    assert source_seen(host, view, harness.LAN4) == harness.UP4


def test_without_masquerade(host):
    host.subnet("net", "10.70.0.0/24", Options={BRIDGE + "enable_ip_masquerade": "false"})
    host.sandbox("con", "net")
    route_back(host, "10.70.0.0/24")
    assert source_seen(host, host.inside("con"), harness.LAN4) == host.address("con", "net")


def test_snat_to_a_given_address(host):
    host.run("ip", "addr", "add", "192.0.2.77/24", "dev", "up0")
    host.network("net", Options={"com.docker.network.host_ipv4": "192.0.2.77"})
    host.sandbox("con", "net")
    assert source_seen(host, host.inside("con"), harness.LAN4) == "192.0.2.77"
    host.remove_sandbox("con")
    host.remove_network("net")
    host.run("ip", "addr", "del", "192.0.2.77/24", "dev", "up0")


def test_the_lan_does_not_reach_in(host):
    host.subnet("net", "10.71.0.0/24")
    host.sandbox("con", "net")
    route_back(host, "10.71.0.0/24")
    assert host.inside("con").reaches(harness.LAN4)
    assert not harness.can_ping(host.lan.netns, host.address("con", "net"))


def test_routed_mode(host):
    host.subnet("net", "10.72.0.0/24", Options={BRIDGE + "gateway_mode_ipv4": "routed"})
    host.sandbox("con", "net")
    route_back(host, "10.72.0.0/24")
    view = host.inside("con")
    assert source_seen(host, view, harness.LAN4) == host.address("con", "net")
    assert host.lan_reaches(host.address("con", "net"))


def test_nat_unprotected(host):
    host.subnet("net", "10.73.0.0/24", Options={BRIDGE + "gateway_mode_ipv4": "nat-unprotected"})
    host.sandbox("con", "net")
    route_back(host, "10.73.0.0/24")
    assert host.lan_reaches(host.address("con", "net"))
    assert source_seen(host, host.inside("con"), harness.LAN4) == harness.UP4


def test_internal(host):
    host.network("net", Internal=True, EnableIPv6=True)
    host.network("other")
    host.sandbox("a", "net")
    host.sandbox("b", "net")
    host.sandbox("c", "other")
    view = host.inside("a")
    assert view.reaches(host.address("b", "net")) and view.reaches(host.address("b", "net", 6))
    assert view.default_route() is None and view.default_route(6) is None
    view.run("ip", "route", "add", "default", "via", host.inspect("net")["IPAM"]["Config"][0]["Gateway"])
    assert not view.can_ping(harness.LAN4)
    assert not view.can_ping(host.address("c", "other"))
    assert host.reaches(host.address("b", "net"))


def test_isolated(host):
    host.network("net", Internal=True, Options={BRIDGE + "gateway_mode_ipv4": "isolated"})
    name = bridge_of(host, "net")
    assert json.loads(host.run("ip", "-4", "-j", "addr", "show", "dev", name).out) in ([], [{}])
    host.sandbox("a", "net")
    host.sandbox("b", "net")
    assert host.inside("a").reaches(host.address("b", "net"))


def test_inhibit_ipv4(host):
    host.network("net", Options={BRIDGE + "inhibit_ipv4": "true"})
    assert json.loads(host.run("ip", "-4", "-j", "addr", "show", "dev", bridge_of(host, "net")).out) in (
        [], [{}])
    assert host.inspect("net")["IPAM"]["Config"][0]["Gateway"]


def test_no_icc(host):
    host.network("net", EnableIPv6=True, Options={BRIDGE + "enable_icc": "false"})
    host.sandbox("a", "net")
    host.sandbox("b", "net")
    view = host.inside("a")
    assert view.reaches(harness.LAN4) and view.reaches(harness.LAN6)
    assert not view.can_ping(host.address("b", "net"))
    assert not view.can_ping(host.address("b", "net", 6))
    assert host.reaches(host.address("b", "net"))


def test_bridge_netfilter_on_or_off_makes_no_difference(host):
    host.network("a")
    host.network("quiet", Options={BRIDGE + "enable_icc": "false"})
    for name, network in (("a1", "a"), ("a2", "a"), ("q1", "quiet"), ("q2", "quiet")):
        host.sandbox(name, network)
    for value in ("0", "1"):
        for family in ("iptables", "ip6tables"):
            host.run("sh", "-c", "f=/proc/sys/net/bridge/bridge-nf-call-%s; [ ! -e $f ] || "
                     "echo %s >$f" % (family, value))
        assert host.inside("a1").reaches(host.address("a2", "a"))
        assert not host.inside("q1").can_ping(host.address("q2", "quiet"))
        assert not host.inside("a1").can_ping(host.address("q1", "quiet"))


def test_mtu(host):
    host.network("net", Options={"com.docker.network.driver.mtu": "1340"})
    host.sandbox("con", "net")
    assert host.link(bridge_of(host, "net"))["mtu"] == 1340
    inner = json.loads(host.inside("con").run("ip", "-j", "link", "show", "eth0").out)[0]
    assert inner["mtu"] == 1340
    assert all(link["mtu"] == 1340 for link in json.loads(host.run("ip", "-j", "link").out)
               if link.get("master") == bridge_of(host, "net"))


def test_names_of_links(host):
    host.network("net", Options={BRIDGE + "name": "mybridge",
                                 "com.docker.network.container_iface_prefix": "lan"})
    host.network("other")
    host.sandbox("con", "net")
    host.connect("other", "con", DriverOpts={"com.docker.network.endpoint.ifname": "uplink7"})
    assert set(host.inside("con").links()) == {"lan0", "uplink7"}
    assert host.link("mybridge")


def test_an_existing_bridge_is_borrowed(host):
    host.run("ip", "link", "add", "mine", "type", "bridge")
    host.run("ip", "link", "set", "mine", "up")
    host.subnet("net", "10.74.0.0/24", Options={BRIDGE + "name": "mine"})
    host.sandbox("con", "net")
    assert host.inside("con").reaches(harness.LAN4)
    host.remove_sandbox("con")
    host.remove_network("net")
    assert host.link("mine")
    host.run("ip", "link", "del", "mine")


def test_endpoint_sysctls(host):
    host.network("net")
    host.sandbox("con", ("net", {"DriverOpts": {
        "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}}))
    with netlink.inside(host.inside("con").netns):
        with open("/proc/sys/net/ipv4/conf/eth0/log_martians") as f:
            assert f.read().strip() == "1"


def test_given_mac(host):
    host.network("net")
    host.sandbox("con", ("net", {"MacAddress": "02:aa:bb:cc:dd:01"}))
    link = json.loads(host.inside("con").run("ip", "-j", "link", "show", "eth0").out)[0]
    assert link["address"] == "02:aa:bb:cc:dd:01"


def test_link_local_addresses(host):
    host.network("net")
    host.sandbox("con", ("net", {"IPAMConfig": {"LinkLocalIPs": ["169.254.34.68", "fe80::34:68"]}}))
    found = host.inside("con").links()["eth0"]
    assert any(a.startswith("169.254.34.68/") for a in found)
    assert any(a.startswith("fe80::34:68/") for a in found)


def test_a_new_endpoint_announces_itself(host):
    host.network("net", EnableIPv6=True)
    host.sandbox("witness", "net")
    arp = wire.Capture(host.inside("witness").netns, "eth0")
    na = wire.Capture(host.inside("witness").netns, "eth0")
    host.sandbox("con", "net")
    arp.wait(wire.is_gratuitous_arp(host.address("con", "net")))
    na.wait(wire.is_unsolicited_na(host.address("con", "net", 6)))
    arp.close()
    na.close()


def test_a_reused_address_is_reached_at_once(host):
    host.subnet("net", "10.75.0.0/24")
    host.sandbox("witness", "net")
    view = host.inside("witness")
    for number in range(3):
        host.sandbox("con%d" % number, ("net", {"IPAMConfig": {"IPv4Address": "10.75.0.99"}}))
        assert view.reaches("10.75.0.99")
        assert host.reaches("10.75.0.99")
        host.remove_sandbox("con%d" % number)


def test_nothing_foreign_is_forwarded(host):
    """cnm turned ip_forward on; the host has not become a router for others by that."""
    other = harness.Holder("-n")
    try:
        host.run("ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1", "netns",
                 str(other.pid))
        host.run("ip", "addr", "add", "198.51.100.1/24", "dev", "x0")
        host.run("ip", "link", "set", "x0", "up")
        for command in ("ip addr add 198.51.100.2/24 dev x1", "ip link set x1 up",
                        "ip route add default via 198.51.100.1"):
            harness.run_in(other.netns, *command.split())
        route_back(host, "198.51.100.0/24")
        assert harness.reaches(other.netns, "198.51.100.1")
        assert not harness.can_ping(other.netns, harness.LAN4)
        assert not harness.can_ping(host.lan.netns, "198.51.100.2")
    finally:
        host.run("ip", "link", "del", "x0", check=False)
        other.end()


def test_forwarding_that_was_on_stays_open_to_others(bare_host):
    host = bare_host
    host.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; "
             "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
    host.start()
    other = harness.Holder("-n")
    try:
        host.run("ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1", "netns",
                 str(other.pid))
        host.run("ip", "addr", "add", "198.51.100.1/24", "dev", "x0")
        host.run("ip", "link", "set", "x0", "up")
        for command in ("ip addr add 198.51.100.2/24 dev x1", "ip link set x1 up",
                        "ip route add default via 198.51.100.1"):
            harness.run_in(other.netns, *command.split())
        route_back(host, "198.51.100.0/24")
        assert harness.reaches(other.netns, harness.LAN4)
    finally:
        host.run("ip", "link", "del", "x0", check=False)
        other.end()
    host.stop()
    host.tear_down()


def test_a_foreign_drop_is_told(host):
    host.run("nft", "add table ip filter; add chain ip filter FORWARD "
             "{ type filter hook forward priority filter; policy drop; }")
    host.doctor()
    assert any("FORWARD" in note and "drop" in note.lower() for note in host.notes), host.notes
    host.run("nft", "delete table ip filter")
    host.doctor()
    assert not host.notes
