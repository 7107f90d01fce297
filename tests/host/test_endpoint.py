# SPDX-License-Identifier: LGPL-2.1-or-later
"""Endpoints in their own right: create, join, leave, delete."""
import pytest

ENDPOINTS = "/cnm/v1/endpoints"


@pytest.fixture
def net(host):
    host.subnet("net", "10.90.0.0/24")
    host.sandbox("con")
    return host


def create(host, name="ep", network="net", **settings):
    return host.ok("POST", ENDPOINTS, {"Name": name, "Network": network,
                                       "EndpointConfig": settings}, 201)["Id"]


def show(host, ref="ep"):
    return host.get(ENDPOINTS + "/" + ref)


def test_life(net):
    endpoint = create(net)
    shown = show(net)
    assert shown["Id"] == endpoint and shown["Sandbox"] == "" and shown["Declared"] is True
    assert shown["NetworkName"] == "net" and shown["State"] == "ready"
    address = shown["IPv4Address"]
    assert address.startswith("10.90.0.") and address.endswith("/24")

    net.ok("POST", ENDPOINTS + "/ep/join", {"Sandbox": "con"}, 200)
    shown = show(net)
    assert shown["SandboxName"] == "con" and shown["Interface"] == "eth0"
    assert net.inside("con").links()["eth0"][0] == address

    net.ok("POST", ENDPOINTS + "/ep/leave", status=200)
    shown = show(net)
    assert shown["Sandbox"] == "" and shown["IPv4Address"] == address
    assert net.inside("con").links() == {}

    net.ok("DELETE", ENDPOINTS + "/ep", status=204)
    net.refused("GET", ENDPOINTS + "/ep", status=404)


def test_by_command(net):
    endpoint = net.cnm("endpoint", "create", "--ip", "10.90.0.40", "net", "ep", check=True).out.strip()
    assert endpoint[:12] in net.cnm("endpoint", "ls", check=True).out
    net.cnm("endpoint", "join", "net/ep", "con", check=True)
    assert net.inside("con").links()["eth0"][0] == "10.90.0.40/24"
    assert net.cnm("endpoint", "inspect", "ep", check=True).json[0]["Id"] == endpoint
    refused = net.cnm("endpoint", "rm", "ep")
    assert refused.rc == 1 and "has active containers" in refused.err
    net.cnm("endpoint", "leave", "net/ep", check=True)
    net.cnm("endpoint", "rm", "net/ep", check=True)


def test_references(net):
    net.network("other")
    one = create(net)
    two = create(net, network="other")
    assert show(net, "net%2Fep")["Id"] == one and show(net, "other%2Fep")["Id"] == two
    assert show(net, one)["Id"] == one and show(net, two[:20])["Id"] == two
    net.refused("GET", ENDPOINTS + "/ep", status=400, matching="ambiguous")


def test_listing_by_network(net):
    net.network("other")
    create(net)
    create(net, network="other")
    assert len(net.get(ENDPOINTS)) == 2
    assert [e["NetworkName"] for e in net.get(ENDPOINTS + "?network=other")] == ["other"]
    net.refused("GET", ENDPOINTS + "?network=missing", status=404)


def test_a_name_once_a_network(net):
    create(net)
    net.refused("POST", ENDPOINTS, {"Name": "ep", "Network": "net"}, 403,
                "endpoint with name ep already exists in network net")


def test_delete_while_joined(net):
    endpoint = create(net)
    net.ok("POST", ENDPOINTS + "/ep/join", {"Sandbox": "con"})
    net.refused("DELETE", ENDPOINTS + "/ep", status=403,
                message="endpoint with name ep id %s has active containers" % endpoint)
    net.ok("DELETE", ENDPOINTS + "/ep?force=1", status=204)
    assert net.inside("con").links() == {}


def test_join_twice(net):
    create(net)
    net.sandbox("other")
    net.ok("POST", ENDPOINTS + "/ep/join", {"Sandbox": "con"})
    for sandbox in ("con", "other"):
        net.refused("POST", ENDPOINTS + "/ep/join", {"Sandbox": sandbox}, 403,
                    "another container is attached to the same network endpoint")


def test_two_endpoints_of_a_network_in_one_sandbox(net):
    create(net)
    create(net, "ep2")
    net.ok("POST", ENDPOINTS + "/ep/join", {"Sandbox": "con"})
    net.refused("POST", ENDPOINTS + "/ep2/join", {"Sandbox": "con"}, 403)


def test_leave_when_not_joined(net):
    create(net)
    answer = net.api("POST", ENDPOINTS + "/ep/leave")
    assert answer.status in (403, 409, 500)


@pytest.mark.parametrize("body,status", [
    ({"Sandbox": "nobody"}, 404), ({}, 400), ({"Sandbox": ""}, 400), ({"Sandbox": 1}, 400),
])
def test_bad_join(net, body, status):
    create(net)
    net.refused("POST", ENDPOINTS + "/ep/join", body, status)


@pytest.mark.parametrize("body,status", [
    ({"Name": "x"}, 400), ({"Name": "x", "Network": "missing"}, 404),
    ({"Name": "", "Network": "net"}, 400), ({"Name": "x", "Network": "host"}, None),
    ({"Name": "x", "Network": "none"}, None),
    ({"Name": "x", "Network": "net", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "10.1.1.1"}}}, 400),
])
def test_bad_create(net, body, status):
    answer = net.api("POST", ENDPOINTS, body)
    assert answer.status == status if status else 400 <= answer.status < 500, repr(answer)


def test_it_blocks_its_network(net):
    create(net)
    net.refused("DELETE", "/networks/net", status=403, matching='has active endpoints .name:"ep" id:"')


def test_a_declared_endpoint_outlives_its_sandbox(net):
    create(net)
    net.ok("POST", ENDPOINTS + "/ep/join", {"Sandbox": "con"})
    address = show(net)["IPv4Address"]
    net.remove_sandbox("con")
    shown = show(net)
    assert shown["Sandbox"] == "" and shown["IPv4Address"] == address
    net.sandbox("con")
    net.ok("POST", ENDPOINTS + "/ep/join", {"Sandbox": "con"})
    assert net.inside("con").links()["eth0"][0] == address


def test_connect_takes_it_away_again(net):
    net.connect("net", "con")
    assert len(net.get(ENDPOINTS)) == 1 and net.get(ENDPOINTS)[0]["Declared"] is False
    net.remove_sandbox("con")
    assert net.get(ENDPOINTS) == []


def test_disconnect_leaves_a_declared_endpoint(net):
    create(net)
    net.ok("POST", ENDPOINTS + "/ep/join", {"Sandbox": "con"})
    net.disconnect("net", "con")
    assert show(net)["Sandbox"] == ""


def test_the_address_is_reserved(net):
    create(net, IPAMConfig={"IPv4Address": "10.90.0.50"})
    net.refused("POST", "/networks/net/connect", {"Container": "con", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "10.90.0.50"}}}, 403, matching="Address already in use")
    net.restart()
    net.refused("POST", "/networks/net/connect", {"Container": "con", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "10.90.0.50"}}}, 403, matching="Address already in use")


def test_joining_changes_the_running_traffic(net):
    net.sandbox("peer", "net")
    create(net, Aliases=["nick"])
    net.ok("POST", ENDPOINTS + "/ep/join", {"Sandbox": "con"})
    assert net.inside("con").reaches(net.address("peer", "net"))
    assert net.cnm("sandbox", "exec", "peer", "ping", "-c1", "-W2", "nick").rc == 0
    net.ok("POST", ENDPOINTS + "/ep/leave")
    assert net.cnm("sandbox", "exec", "peer", "ping", "-c1", "-W1", "nick").rc != 0
