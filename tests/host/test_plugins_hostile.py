# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plugins that hang, die half-way, answer garbage, too much, the wrong type, or call back into the daemon
while they are being called: each harms its own request only, which is rolled back. What was asked of them
is taken back whatever happens to them or to the daemon."""
import threading
import time

import pytest

import harness
import plugins
from plugins import state

QUICK = "--plugin-timeout", "4"
pytestmark = pytest.mark.daemon(*QUICK)

CALLS = {"CreateNetwork": "network", "CreateEndpoint": "sandbox", "Join": "sandbox"}
BAD = {
    "nothing": ({"raw": "\x00\x01 no JSON"}, "is no JSON object"),
    "an array": ({"raw": "[1, 2]"}, "is no JSON object"),
    "too much": ({"big": 3 << 20}, "more than 1048576 bytes"),
    "half": ({"half": True}, "."),
    "a status": ({"status": 500, "raw": "oh\x07 dear"}, r"remote: oh\? dear \(plugin"),
    "an error": ({"error": "no room"}, r"remote: no room \(plugin"),
    "a long error": ({"error": "x" * 5000}, "remote: xxx"),
}
WRONG_ENDPOINT = [
    {"Interface": 7}, {"Interface": {"Address": 7}}, {"Interface": {"Address": "10.7.0.9"}},
    {"Interface": {"Address": "10.7.0.9/24"}}, {"Interface": {"AddressIPv6": "10.0.0.1/8"}},
    {"Interface": {"MacAddress": "ff:ff:ff:ff:ff:ff"}}, {"Interface": {"MacAddress": "x"}},
]
WRONG_JOIN = [
    {"InterfaceName": "eth0"}, {"InterfaceName": {"SrcName": "a/b"}}, {"InterfaceName": {"SrcName": "x" * 16}},
    {"InterfaceName": {"SrcName": "up0", "DstPrefix": "x" * 12}}, {"InterfaceName": {"SrcName": "..", "DstPrefix": "eth"}},
    {"Gateway": "fd00::1"}, {"Gateway": 4}, {"GatewayIPv6": "10.0.0.1"}, {"Gateway": "224.0.0.1"},
    {"StaticRoutes": {}}, {"StaticRoutes": [1]}, {"StaticRoutes": [{"Destination": "10.0.0.0"}]},
    {"StaticRoutes": [{"Destination": "10.0.0.0/8", "RouteType": 0}]},
    {"StaticRoutes": [{"Destination": "10.0.0.0/8", "RouteType": 7, "NextHop": "10.7.0.1"}]},
    {"StaticRoutes": [{"Destination": "10.0.0.0/8", "RouteType": 1}] * 65}, {"DisableGatewayService": "no"},
]


@pytest.fixture
def plugin(host):
    with plugins.running(host, "plug") as made:
        yield made


def make(host, what, refused=None, matching="."):
    path, body, ok = {
        "network": ("/networks/create", {"Name": "net", "Driver": "plug", "IPAM": {"Config": [
            {"Subnet": "10.7.0.0/24"}]}}, 201),
        "sandbox": ("/cnm/v1/sandboxes", {"Name": "one", "Networks": [{"Network": "net"}]}, 201)}[what]
    if refused:
        host.refused("POST", path, body, refused, matching=matching)
    else:
        host.ok("POST", path, body, ok)


def tidy(host):
    for name in ("one", "two"):
        if host.api("GET", "/cnm/v1/sandboxes/" + name).status == 200:
            host.remove_sandbox(name)
    if host.api("GET", "/networks/net").status == 200:
        host.remove_network("net")
    if host.api("GET", "/networks/docker_gwbridge").status == 200:
        host.remove_network("docker_gwbridge")


@pytest.mark.parametrize("call", CALLS)
def test_bad_answers(host, plugin, call):
    if CALLS[call] == "sandbox":
        make(host, "network")
    for what, (order, words) in BAD.items():
        plugin.forget()
        plugin.orders(**{call: order})
        status = 500 if "error" in order or "status" in order else 503
        make(host, CALLS[call], status, matching=words)
        # It may have carried out what it was asked.
        undo = "DeleteNetwork" if call == "CreateNetwork" else "DeleteEndpoint"
        harness.wait_for(lambda: plugin.calls(undo), "%s: it is taken back" % what)
    plugin.orders()
    make(host, CALLS[call])
    tidy(host)


@pytest.mark.parametrize("call,answers", [("CreateEndpoint", WRONG_ENDPOINT), ("Join", WRONG_JOIN)])
def test_wrong_answers(host, plugin, call, answers):
    """Each says which member is wrong."""
    make(host, "network")
    host.sandbox("two", "net")  # the gateway network is there then
    for answer in answers:
        plugin.orders(**{call: {"answer": answer}})
        make(host, "sandbox", 500, matching='plugin "plug" answered NetworkDriver.%s wrongly: .' % call)
    # A link that is not there, and one that is the host's loopback.
    for name in ("nosuch0", "lo"):
        plugin.orders(Join={"answer": {"InterfaceName": {"SrcName": name, "DstPrefix": "eth"}}})
        answer = host.api("POST", "/cnm/v1/sandboxes", {"Name": "one", "Networks": [{"Network": "net"}]})
        assert answer.status >= 500, answer
    plugin.orders()
    make(host, "sandbox")
    tidy(host)


@pytest.mark.concurrent
def test_one_that_hangs(host, plugin):
    """Two requests wait for it, until their deadline; more are refused at once; all else goes on."""
    make(host, "network")
    host.compare = False
    plugin.orders(CreateEndpoint={"hang": 30})
    answers, began = [], time.monotonic()

    def one(number):
        answers.append((host.request("POST", "/cnm/v1/sandboxes", {
            "Name": "s%d" % number, "Networks": [{"Network": "net"}]}), time.monotonic() - began))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(2)]
    for t in threads:
        t.start()
    harness.wait_for(lambda: state(host, "plug")["UnderWay"] == 2 and state(host, "plug")["LongestMs"] > 2100,
                     "two are waiting")
    refused = host.request("POST", "/cnm/v1/sandboxes", {"Name": "s9", "Networks": [{"Network": "net"}]})
    assert refused.status == 503 and "has not answered 2 requests" in refused.message, refused
    # The rest of the daemon does not care.
    host.subnet("other", "10.9.0.0/24")
    host.sandbox("free", "other")
    assert "net" in host.cnm("network", "ls", check=True).out
    for t in threads:
        t.join()
    for answer, took in answers:
        assert answer.status == 503 and "Timeout" in answer.message or "timed out" in answer.message, answer
    assert "CreateEndpoint" in state(host, "plug")["LastError"]
    assert "CreateEndpoint" in host.cnm("plugin", "ls", "--no-trunc", check=True).out
    plugin.orders()
    plugin.kill()
    plugin.start()
    harness.wait_for(lambda: state(host, "plug")["Debts"] == 0, "what was asked for is taken back")
    assert {c["EndpointID"] for c in plugin.calls("CreateEndpoint")} <= {
        c["EndpointID"] for c in plugin.calls("DeleteEndpoint")}
    make(host, "sandbox")
    host.remove_sandbox("free")
    host.remove_network("other")
    tidy(host)


@pytest.mark.parametrize("call", ["CreateNetwork", "CreateEndpoint", "Join", "Leave", "DeleteEndpoint", "DeleteNetwork"])
def test_one_that_dies(host, plugin, call):
    """In the middle of any call: what it may have done is taken back when it lives again."""
    host.compare = False
    plugin.orders(**{call: {"die": True, "times": 1}})
    for what in ("network", "sandbox"):
        path, body = {"network": ("/networks/create", {"Name": "net", "Driver": "plug", "IPAM": {"Config": [
            {"Subnet": "10.7.0.0/24"}]}}), "sandbox": ("/cnm/v1/sandboxes", {
                "Name": "one", "Networks": [{"Network": "net"}]})}[what]
        host.request("POST", path, body)
    host.request("DELETE", "/cnm/v1/sandboxes/one")
    host.request("DELETE", "/networks/net")
    if plugin.process.poll() is None:
        plugin.kill()
    plugin.start()
    tidy(host)

    def all_told():
        return {c["EndpointID"] for c in plugin.calls("CreateEndpoint")} <= {
            c["EndpointID"] for c in plugin.calls("DeleteEndpoint")} and {
            c["NetworkID"] for c in plugin.calls("CreateNetwork")} <= {
            c["NetworkID"] for c in plugin.calls("DeleteNetwork")}

    harness.wait_for(all_told, lambda: "it is told of the end of all: %r" % plugin.methods())
    harness.wait_for(lambda: state(host, "plug")["Debts"] == 0, "nothing is owed")


def test_one_that_calls_back(host, plugin):
    """The list is answered; what is in the making is waited for no longer than the call may take."""
    make(host, "network")
    for path in ("/networks", "/cnm/v1/sandboxes", "/networks/net"):
        plugin.orders(CreateEndpoint={"call": [host_socket(host), path]})
        make(host, "sandbox")
        host.remove_sandbox("one")
    plugin.orders(CreateEndpoint={"call": [host_socket(host), "/cnm/v1/sandboxes/one"]})
    make(host, "sandbox", 503, matching="imed out|imeout")
    plugin.orders()
    plugin.kill()
    plugin.start()
    harness.wait_for(lambda: state(host, "plug")["Debts"] == 0, "nothing is owed")
    make(host, "sandbox")
    tidy(host)


def host_socket(host):
    return "/run/cnm/cnm.sock"


def test_refused_removal(host, plugin):
    """A network that its plugin will not give up stays; an endpoint goes, and the plugin is told thrice."""
    make(host, "network")
    make(host, "sandbox")
    plugin.orders(DeleteNetwork={"error": "still in use"}, DeleteEndpoint={"error": "not now"})
    host.remove_sandbox("one")
    host.refused("DELETE", "/networks/net", status=500, matching="remote: still in use")
    assert host.inspect("net")["Name"] == "net"
    harness.wait_for(lambda: "it is not told again" in host.log_text(), "it is given up")
    plugin.orders()
    tidy(host)


def test_dead_at_start(host, plugin):
    """It delays nothing; its networks are degraded until it is back; traffic never stops."""
    host.compare = False
    make(host, "network")
    host.sandbox("one", "net")
    host.sandbox("two", "net")
    one = host.inside("one")
    assert one.reaches(host.address("two", "net"))
    plugin.kill()
    host.restart(kill=True)
    assert one.can_ping(host.address("two", "net"))
    harness.wait_for(lambda: "Degraded" in host.inspect("net"), "it is degraded")
    assert "Connection refused" in host.inspect("net")["Degraded"]
    assert any("net is degraded" in note for note in host.get("/cnm/v1/doctor")["Notes"])
    assert host.request("POST", "/cnm/v1/sandboxes", {"Name": "x", "Networks": [{"Network": "net"}]}).status == 503
    host.remove_sandbox("two")
    plugin.start()
    harness.wait_for(lambda: "Degraded" not in host.inspect("net"), "it comes back")
    harness.wait_for(lambda: plugin.calls("DeleteEndpoint"), "it is told what ended meanwhile")
    host.sandbox("two", "net")
    assert one.reaches(host.address("two", "net"))
    tidy(host)


def test_removed_without_it(host, plugin):
    host.compare = False
    make(host, "network")
    plugin.kill()
    host.remove_network("net")
    host.restart(kill=True)
    assert not [n for n in host.get("/networks") if n["Name"] == "net"]
    plugin.start()
    harness.wait_for(lambda: plugin.calls("DeleteNetwork"), "it is told, by the next daemon too")
    harness.wait_for(lambda: state(host, "plug")["Debts"] == 0, "nothing is owed")


@pytest.mark.parametrize("call", ["CreateNetwork", "CreateEndpoint", "Join", "Leave", "DeleteEndpoint", "DeleteNetwork"])
def test_the_daemon_is_killed(host, plugin, call):
    """While the plugin is being called: afterwards both know the same."""
    host.compare = False
    if call != "CreateNetwork":
        make(host, "network")
    if call in ("Leave", "DeleteEndpoint"):
        host.sandbox("one", "net")
    plugin.orders(**{call: {"hang": 1.5, "times": 1}})
    plugin.forget()
    method, path, body = {
        "CreateNetwork": ("POST", "/networks/create", {"Name": "net", "Driver": "plug"}),
        "DeleteNetwork": ("DELETE", "/networks/net", None),
        "Leave": ("DELETE", "/cnm/v1/sandboxes/one", None), "DeleteEndpoint": ("DELETE", "/cnm/v1/sandboxes/one", None),
    }.get(call, ("POST", "/cnm/v1/sandboxes", {"Name": "one", "Networks": [{"Network": "net"}]}))

    def ask():
        try:
            host.request(method, path, body)
        except OSError:
            pass
        except Exception:
            pass

    thread = threading.Thread(target=ask)
    thread.start()
    harness.wait_for(lambda: plugin.calls(call), "the plugin is called")
    host.restart(kill=True)
    thread.join()
    host.wait_healed()
    harness.wait_for(lambda: state(host, "plug") and state(host, "plug")["Debts"] == 0, "nothing is owed")
    known = {n["Name"]: n["Id"] for n in host.get("/networks")}
    made = {c["NetworkID"] for c in plugin.calls("CreateNetwork")}
    ended = {c["NetworkID"] for c in plugin.calls("DeleteNetwork")}
    assert made - ended == ({known["net"]} & made if "net" in known else set())
    assert {c["EndpointID"] for c in plugin.calls("CreateEndpoint")} == {
        c["EndpointID"] for c in plugin.calls("DeleteEndpoint")} or call in ("Leave", "DeleteEndpoint")
    if call in ("Leave", "DeleteEndpoint"):
        assert plugin.calls("DeleteEndpoint")
    assert not host.get("/cnm/v1/sandboxes")
    tidy(host)
