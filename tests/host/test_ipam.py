# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which subnet a network gets, and which address an endpoint."""
import ipaddress

import harness


def subnet_of(host, name, version=4):
    found = [c["Subnet"] for c in host.inspect(name)["IPAM"]["Config"]
             if ipaddress.ip_network(c["Subnet"]).version == version]
    return ipaddress.ip_network(found[0])


def test_default_pools_in_order(host):
    assert str(subnet_of(host, "bridge")) == "172.17.0.0/16"
    for number, wanted in enumerate(("172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/16")):
        host.network("n%d" % number)
        assert str(subnet_of(host, "n%d" % number)) == wanted
    host.remove_network("n0")
    host.network("again")
    assert str(subnet_of(host, "again")) == "172.18.0.0/16"


def test_beyond_dockers_31_pools(host):
    host.compare = False
    for number in range(31):
        host.network("n%d" % number)
    seen = [subnet_of(host, "n%d" % number) for number in range(31)]
    assert len(set(seen)) == 31
    assert str(seen[14]) == "192.168.0.0/20" and str(seen[29]) == "192.168.240.0/20"
    assert str(seen[30]) == "10.128.0.0/24"


def test_routes_of_the_host_are_skipped(host):
    host.run("ip", "route", "add", "172.18.5.0/24", "via", harness.LAN4)
    host.run("ip", "route", "add", "blackhole", "172.19.0.0/16")
    host.network("net")
    assert str(subnet_of(host, "net")) == "172.20.0.0/16"
    host.run("ip", "route", "del", "172.18.5.0/24")
    host.run("ip", "route", "del", "blackhole", "172.19.0.0/16")


def test_the_halves_a_vpn_makes_do_not_count(host):
    for half in ("0.0.0.0/1", "128.0.0.0/1"):
        host.run("ip", "route", "add", half, "via", harness.LAN4)
    host.network("net")
    assert str(subnet_of(host, "net")) == "172.18.0.0/16"
    for half in ("0.0.0.0/1", "128.0.0.0/1"):
        host.run("ip", "route", "del", half)


def test_explicit_subnet_over_a_route_warns(host):
    host.run("ip", "route", "add", "10.60.0.0/16", "via", harness.LAN4)
    answer = host.ok("POST", "/networks/create", {
        "Name": "net", "IPAM": {"Config": [{"Subnet": "10.60.5.0/24"}]}}, 201)
    assert "10.60.0.0/16" in answer["Warning"]
    host.run("ip", "route", "del", "10.60.0.0/16")


def test_allocation_goes_round_and_an_address_rests(host):
    host.subnet("net", "10.61.0.0/29")  # .1 is the gateway, .2 to .6 can be had
    given = []
    for number in range(9):
        name = "c%d" % number
        host.sandbox(name, "net")
        given.append(int(host.address(name, "net").split(".")[3]))
        host.remove_sandbox(name)
    assert given == [2, 3, 4, 5, 6, 2, 3, 4, 5]


def test_the_cursor_outlives_a_restart(host):
    host.subnet("net", "10.62.0.0/24")
    host.sandbox("a", "net")
    first = int(host.address("a", "net").split(".")[3])
    host.remove_sandbox("a")
    host.restart()
    host.sandbox("b", "net")
    assert int(host.address("b", "net").split(".")[3]) == first + 1


def test_range_gateway_and_aux(host):
    host.network("net", IPAM={"Config": [{
        "Subnet": "10.63.0.0/16", "IPRange": "10.63.5.0/29", "Gateway": "10.63.0.1",
        "AuxiliaryAddresses": {"router": "10.63.5.1", "printer": "10.63.5.2"}}]})
    given = []
    for number in range(5):
        host.sandbox("c%d" % number, "net")
        given.append(host.address("c%d" % number, "net"))
    assert "10.63.5.1" not in given and "10.63.5.2" not in given and len(set(given)) == 5
    assert all(ipaddress.ip_address(a) in ipaddress.ip_network("10.63.5.0/29") for a in given)
    assert host.settings("c0", "net")["IPPrefixLen"] == 16


def test_gateway_comes_first_from_the_range(host):
    host.network("net", IPAM={"Config": [{"Subnet": "10.64.0.0/16", "IPRange": "10.64.5.0/24"}]})
    assert host.inspect("net")["IPAM"]["Config"][0]["Gateway"] == "10.64.5.0"


def test_fixed_address_outside_the_range(host):
    host.network("net", IPAM={"Config": [{"Subnet": "10.65.0.0/16", "IPRange": "10.65.5.0/24"}]})
    host.sandbox("con", ("net", {"IPAMConfig": {"IPv4Address": "10.65.99.1"}}))
    assert host.inside("con").links()["eth0"][0] == "10.65.99.1/16"


def test_fixed_address_on_a_chosen_subnet(host):
    host.network("net")
    wanted = str(subnet_of(host, "net")[77])
    host.sandbox("con", ("net", {"IPAMConfig": {"IPv4Address": wanted}}))
    assert host.address("con", "net") == wanted


def test_a_block_of_a_length(host):
    host.network("net", IPAM={"Config": [{"Subnet": "0.0.0.0/26"}]})
    assert subnet_of(host, "net").prefixlen == 26


def test_tiny_subnets(host):
    host.network("p2p", IPAM={"Config": [{"Subnet": "10.66.0.0/31"}]})
    host.sandbox("con", "p2p")
    assert host.address("con", "p2p") == "10.66.0.1"
    assert host.inspect("p2p")["IPAM"]["Config"][0]["Gateway"] == "10.66.0.0"


def test_own_ula(host):
    for name in ("a", "b"):
        host.network(name, EnableIPv6=True)
    a, b = subnet_of(host, "a", 6), subnet_of(host, "b", 6)
    assert a.prefixlen == b.prefixlen == 64 and a != b
    assert a.subnet_of(ipaddress.ip_network("fd00::/8"))
    assert a.supernet(new_prefix=48) == b.supernet(new_prefix=48)
    host.restart()
    host.network("c", EnableIPv6=True)
    assert subnet_of(host, "c", 6).supernet(new_prefix=48) == a.supernet(new_prefix=48)


def test_ipv6_only(host):
    host.network("six", EnableIPv4=False, EnableIPv6=True)
    host.sandbox("a", "six")
    host.sandbox("b", "six")
    assert host.settings("a", "six")["IPAddress"] == ""
    assert host.inside("a").reaches(host.address("b", "six", 6))


