# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks over HTTP: shapes, look-up, filters, and every refusal with its code and wording. That a
refusal changes nothing is checked by the harness."""
import re
import urllib.parse

import pytest

import traffic
from traffic_fixtures import host  # noqa: F401

CREATE = "/networks/create"
BRIDGE = "com.docker.network.bridge."


def config(*entries, **more):
    return dict(IPAM={"Config": list(entries)}, **more)


@pytest.fixture(scope="module")
def shared_host(request, tmp_path_factory):
    with traffic.host_of_a_file(request, tmp_path_factory.mktemp("host")) as made:
        made.compare = True
        yield made


# ------------------------------------------------------------------------------- shapes

def test_ping_version_info(host):
    answer = host.request("GET", "/_ping")
    assert answer.status == 200 and answer.text == "OK"
    assert re.fullmatch(r"1\.\d+", answer.headers["Api-Version"])
    head = host.request("HEAD", "/_ping")
    assert head.status == 200 and head.text == ""
    version = host.get("/version")
    assert version["ApiVersion"] == answer.headers["Api-Version"] and version["Version"]
    info = host.get("/info")
    assert {"bridge", "host", "null"} <= set(info["Plugins"]["Network"])
    assert info["IPv4Forwarding"] is True
    assert info["DefaultAddressPools"]


@pytest.mark.parametrize("prefix", ["", "/v1.24", "/v1.40", "/v1.44", "/v1.47"])
def test_version_prefixes(host, prefix):
    assert {n["Name"] for n in host.get(prefix + "/networks")} == {"bridge", "host", "none"}


def test_version_too_old_or_too_new(host):
    assert "too old" in host.refused("GET", "/v1.12/networks", status=400).message
    assert "too new" in host.refused("GET", "/v1.99/networks", status=400).message


def test_unknown_paths_and_methods(host):
    host.refused("GET", "/nonsense", status=404)
    host.refused("GET", "/networks/a/b/c/d", status=404)
    assert host.api("PUT", "/networks").status in (404, 405)


def test_inspect_has_every_field(host):
    network = host.network("net", Labels={"k": "v"})
    shown = host.inspect("net")
    assert list(shown) == ["Name", "Id", "Created", "Scope", "Driver", "EnableIPv4", "EnableIPv6",
                           "IPAM", "Internal", "Attachable", "Ingress", "ConfigFrom", "ConfigOnly",
                           "Containers", "Options", "Labels"]
    assert shown["Id"] == network and shown["Name"] == "net" and shown["Driver"] == "bridge"
    assert shown["Scope"] == "local" and shown["EnableIPv4"] and not shown["EnableIPv6"]
    assert shown["ConfigFrom"] == {"Network": ""} and shown["Labels"] == {"k": "v"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)", shown["Created"])
    assert shown["IPAM"]["Driver"] == "default"
    (only,) = shown["IPAM"]["Config"]
    assert set(only) == {"Subnet", "Gateway"}


def test_predefined(host):
    bridge = host.inspect("bridge")
    assert bridge["Options"] == {
        BRIDGE + "default_bridge": "true", BRIDGE + "enable_icc": "true",
        BRIDGE + "enable_ip_masquerade": "true", BRIDGE + "host_binding_ipv4": "0.0.0.0",
        BRIDGE + "name": "cnm0", "com.docker.network.driver.mtu": "1500"}
    for name, driver in (("host", "host"), ("none", "null")):
        shown = host.inspect(name)
        assert shown["Driver"] == driver and not shown["IPAM"]["Config"]
    assert host.link("cnm0")["linkinfo"]["info_kind"] == "bridge"


def test_containers_of_a_network(host):
    host.subnet("net", "10.20.0.0/24", EnableIPv6=True)
    sandbox = host.sandbox("con", ("net", {"IPAMConfig": {"IPv4Address": "10.20.0.9"}}))
    shown = host.inspect("net")["Containers"]
    assert list(shown) == [sandbox]
    entry = shown[sandbox]
    assert entry["Name"] == "con" and entry["IPv4Address"] == "10.20.0.9/24"
    assert re.fullmatch("[0-9a-f]{64}", entry["EndpointID"])
    assert entry["IPv6Address"].endswith("/64")
    assert entry["MacAddress"] == host.settings("con", "net")["MacAddress"]


def test_endpoint_without_a_sandbox_is_shown_as_ep(host):
    host.network("net")
    endpoint = host.ok("POST", "/cnm/v1/endpoints", {"Name": "kept", "Network": "net"}, 201)["Id"]
    assert list(host.inspect("net")["Containers"]) == ["ep-" + endpoint]


def test_settings_of_an_endpoint(host):
    network = host.subnet("net", "10.21.0.0/24", "10.21.0.254")
    host.sandbox("con", "net")
    shown = host.settings("con", "net")
    assert shown["NetworkID"] == network and shown["Gateway"] == "10.21.0.254"
    assert shown["IPPrefixLen"] == 24 and shown["IPAddress"].startswith("10.21.0.")
    assert shown["GlobalIPv6Address"] == "" and shown["IPv6Gateway"] == ""
    assert re.fullmatch("(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", shown["MacAddress"])


# ------------------------------------------------------------------------------- look-up

def test_lookup_by_id_name_and_prefix(host):
    network = host.network("net")
    for ref in (network, "net", network[:12], network[:4]):
        assert host.inspect(ref)["Id"] == network
    host.refused("GET", "/networks/missing", status=404, message="network missing not found")


def test_an_id_beats_an_equal_name(host):
    first = host.network("first")
    second = host.network(first)
    assert host.inspect(first)["Name"] == "first"
    host.remove_network(second)


def test_a_name_beats_a_prefix(host):
    first = host.network("first")
    second = host.network(first[:6])
    assert host.inspect(first[:6])["Id"] == second


def test_ambiguous_prefix(host):
    seen = {}
    for number in range(40):
        network = host.network("n%d" % number)
        if network[0] in seen:
            host.refused("GET", "/networks/" + network[0], status=400,
                         matching=r"network %s is ambiguous \(\d+ matches found based on ID prefix\)"
                         % network[0])
            return
        seen[network[0]] = network
    raise AssertionError("forty ids with forty first digits")


@pytest.mark.parametrize("name", ["with space", "sl/ash", "per%cent", "ünïcode", "a:b?c#d", "..", "."])
def test_any_name_is_legal(host, name):
    network = host.network(name)
    assert host.inspect(urllib.parse.quote(name, safe=""))["Id"] == network
    host.remove_network(network)


def test_scope_and_verbose(host):
    host.network("net")
    assert host.get("/networks/net?scope=local")["Name"] == "net"
    host.refused("GET", "/networks/net?scope=swarm", status=404, message="network net not found")
    host.get("/networks/net?verbose=true")
    host.refused("GET", "/networks/net?verbose=foo", status=400)


# ------------------------------------------------------------------------------- list and prune

def listed(host, filters):
    import json
    return sorted(n["Name"] for n in host.get("/networks?filters=" + urllib.parse.quote(
        json.dumps(filters))))


def test_filters(host):
    one = host.network("one", Labels={"env": "dev", "tier": "web"})
    host.network("one-more", Labels={"env": "prod"})
    host.sandbox("con", "one")
    assert listed(host, {"name": ["one"]}) == ["none", "one", "one-more"]
    assert listed(host, {"name": {"more": True}}) == ["one-more"]
    assert listed(host, {"name": ["^on"]}) == ["one", "one-more"]
    assert listed(host, {"id": [one[:20]]}) == ["one"]
    assert listed(host, {"driver": ["bridge"]}) == ["bridge", "one", "one-more"]
    assert listed(host, {"driver": ["null", "host"]}) == ["host", "none"]
    assert listed(host, {"label": ["env"]}) == ["one", "one-more"]
    assert listed(host, {"label": ["env=dev"]}) == ["one"]
    assert listed(host, {"label": ["env", "tier"]}) == ["one"]
    assert listed(host, {"scope": ["local"]}) == ["bridge", "host", "none", "one", "one-more"]
    assert listed(host, {"scope": ["swarm"]}) == []
    assert listed(host, {"type": ["builtin"]}) == ["bridge", "host", "none"]
    assert listed(host, {"type": ["custom"]}) == ["one", "one-more"]
    assert listed(host, {"dangling": ["true"]}) == ["one-more"]
    assert "one-more" not in listed(host, {"dangling": ["false"]})
    assert listed(host, {"driver": ["bridge"], "label": ["env=prod"]}) == ["one-more"]


@pytest.mark.parametrize("filters,status,message", [
    ('{"nosuch":["x"]}', 400, "invalid filter 'nosuch'"),
    ('{"type":["x"]}', 500, "invalid filter: 'type'='x'"),
    ('{"dangling":["true","false"]}', 400, None),
    ('{"dangling":["perhaps"]}', 400, None),
    ('not json', 400, None),
    ('["a"]', 400, None),
    ('{"name":"x"}', 400, None),
])
def test_bad_filters(host, filters, status, message):
    host.refused("GET", "/networks?filters=" + urllib.parse.quote(filters), status=status,
                 message=message)


def test_prune(host):
    host.network("used")
    host.network("keep", Labels={"keep": "1"})
    host.network("drop", Labels={"x": "1"})
    host.network("config", ConfigOnly=True)
    host.sandbox("con", "used")

    def prune(filters=None):
        path = "/networks/prune"
        if filters:
            path += "?filters=" + urllib.parse.quote(filters)
        return host.ok("POST", path, status=200)["NetworksDeleted"]
    assert prune('{"until":["2000-01-01T00:00:00Z"]}') is None
    assert prune('{"label":["nothing"]}') is None
    assert prune('{"label!":["keep"]}') == ["drop"]
    assert prune('{"until":["0s"]}') == ["keep"]
    assert prune() is None
    host.refused("POST", "/networks/prune?filters=" + urllib.parse.quote('{"name":["x"]}'),
                 status=400, message="invalid filter 'name'")


def test_endpoint_without_a_sandbox_keeps_its_network_from_prune(host):
    host.network("net")
    host.ok("POST", "/cnm/v1/endpoints", {"Name": "kept", "Network": "net"}, 201)
    assert host.ok("POST", "/networks/prune")["NetworksDeleted"] is None


# ------------------------------------------------------------------------------- create refused

@pytest.mark.parametrize("name", ["bridge", "host", "none", "default"])
def test_predefined_names(host, name):
    host.refused("POST", CREATE, {"Name": name}, 403,
                 "operation is not permitted on predefined %s network " % name)


@pytest.mark.parametrize("body,status,message", [
    ({"Name": ""}, 400, "invalid name: name is empty"),
    ({}, 400, "invalid name: name is empty"),
    ({"Name": "x", "Driver": "host"}, 403, 'only one instance of "host" network is allowed'),
    ({"Name": "x", "Driver": "null"}, 403, 'only one instance of "null" network is allowed'),
    ({"Name": "x", "Driver": "nosuch"}, 404, 'plugin "nosuch" not found'),
    ({"Name": "x", "Scope": "swarm"}, 403,
     "cannot create a swarm scoped network when swarm is not active"),
    ({"Name": "x", "Ingress": True}, 403, "Ingress network can only be global scope network"),
    ({"Name": "x", "EnableIPv4": False}, 400, "IPv4 or IPv6 must be enabled"),
    ({"Name": "x", "Options": {"com.docker.network.enable_ipv6": "perhaps"}}, 400,
     'driver-opt "com.docker.network.enable_ipv6" is not a valid bool'),
    ({"Name": "x", "IPAM": {"Driver": "null"}}, 400, "ipv4 pool is empty"),
    ({"Name": "x", "Options": {BRIDGE + "gateway_mode_ipv4": "isolated"}}, 500,
     "gateway mode 'isolated' can only be used for an internal network"),
    ({"Name": "x", "ConfigOnly": True, "ConfigFrom": {"Network": "y"}}, 403,
     "a configuration network cannot depend on another configuration network"),
    ({"Name": "x", "ConfigFrom": {"Network": "y"}}, 404,
     'configuration network "y" does not exist'),
])
def test_create_refused(host, body, status, message):
    host.refused("POST", CREATE, body, status, message)


@pytest.mark.parametrize("option,value", [
    (BRIDGE + "enable_icc", "perhaps"), (BRIDGE + "enable_ip_masquerade", "2x"),
    ("com.docker.network.driver.mtu", "many"), ("com.docker.network.driver.mtu", "-1"),
    (BRIDGE + "inhibit_ipv4", ""), ("com.docker.network.advertise_addr_nmsgs", "4"),
    ("com.docker.network.advertise_addr_ms", "5"), (BRIDGE + "host_binding_ipv4", "nonsense"),
    ("com.docker.network.host_ipv4", "nonsense"), (BRIDGE + "name", "a-name-of-more-than-15"),
    (BRIDGE + "name", "a/b"), (BRIDGE + "gateway_mode_ipv4", "odd"), ("com.docker.network.container_iface_prefix", "x" * 20),
])
def test_bad_option_values(host, option, value):
    answer = host.refused("POST", CREATE, {"Name": "x", "Options": {option: value}}, 400)
    assert option in answer.message or option.rsplit(".", 1)[1] in answer.message


@pytest.mark.parametrize("option", ["com.docker.network.nosuch", "nosuch", BRIDGE + "nosuch",
                                    "parent"])
def test_unknown_options_are_refused_by_name(host, option):
    answer = host.refused("POST", CREATE, {"Name": "x", "Options": {option: "1"}}, 400)
    assert option in answer.message


@pytest.mark.parametrize("entry,line", [
    ({"Subnet": "10.0.0.1/8"}, "invalid subnet 10.0.0.1/8: it should be 10.0.0.0/8"),
    ({"Subnet": "10.1.0.0/24", "IPRange": "10.1.0.0/16"},
     "invalid ip-range 10.1.0.0/16: CIDR block is bigger than its parent subnet 10.1.0.0/24"),
    ({"Subnet": "10.1.0.0/24", "IPRange": "10.1.0.1/28"},
     "invalid ip-range 10.1.0.1/28: it should be 10.1.0.0/28"),
    ({"Subnet": "10.1.0.0/24", "IPRange": "10.2.0.0/28"},
     "invalid ip-range 10.2.0.0/28: parent subnet 10.1.0.0/24 doesn't contain ip-range"),
    ({"Subnet": "10.1.0.0/24", "IPRange": "fd00::/80"},
     "invalid ip-range fd00::/80: parent subnet is an IPv4 block"),
    ({"Subnet": "10.1.0.0/24", "Gateway": "10.2.0.1"},
     "invalid gateway 10.2.0.1: parent subnet 10.1.0.0/24 doesn't contain this address"),
])
def test_bad_ipam(host, entry, line):
    host.refused("POST", CREATE, config(entry, Name="x"), 400, "invalid network config:\n" + line)


@pytest.mark.parametrize("entry", [
    {"Subnet": "nonsense"}, {"Subnet": "10.0.0.0"}, {"Subnet": "10.0.0.0/33"},
    {"Subnet": "10.1.0.0/24", "Gateway": "nonsense"},
    {"Subnet": "10.1.0.0/24", "IPRange": "nonsense"},
    {"Subnet": "10.1.0.0/24", "AuxiliaryAddresses": {"a": "nonsense"}},
    {"Subnet": "10.1.0.0/24", "AuxiliaryAddresses": {"a": "10.2.0.1"}},
])
def test_unreadable_ipam(host, entry):
    answer = host.refused("POST", CREATE, config(entry, Name="x"))
    assert answer.message.startswith("invalid network config:\ninvalid ")


def test_ipam_problems_are_all_named(host):
    answer = host.refused("POST", CREATE, config(
        {"Subnet": "10.1.0.1/24", "Gateway": "10.2.0.1"}, Name="x"))
    assert "invalid subnet 10.1.0.1/24" in answer.message
    assert "invalid gateway 10.2.0.1" in answer.message


def test_two_subnets_of_a_family(host):
    host.refused("POST", CREATE, config({"Subnet": "10.1.0.0/24"}, {"Subnet": "10.2.0.0/24"},
                                        Name="x"), 403,
                 "bridge driver doesn't support multiple subnets")


def test_duplicate_name(host):
    host.network("net")
    host.refused("POST", CREATE, {"Name": "net"}, 409, "network with name net already exists")
    host.refused("POST", CREATE, {"Name": "net", "CheckDuplicate": False}, 409,
                 "network with name net already exists")


def test_overlap(host):
    host.subnet("one", "10.30.0.0/16")
    for subnet in ("10.30.0.0/16", "10.30.5.0/24", "10.0.0.0/8"):
        host.refused("POST", CREATE, config({"Subnet": subnet}, Name="two"), 403,
                     matching="^invalid pool request: Pool overlaps with other one on this address "
                              "space")


def test_same_bridge_name(host):
    one = host.network("one", Options={BRIDGE + "name": "shared"})
    host.refused("POST", CREATE, {"Name": "two", "Options": {BRIDGE + "name": "shared"}}, 403,
                 matching=r"cannot create network [0-9a-f]{64} \(shared\): conflicts with network "
                          + one + r" \(shared\): networks have same bridge name")
    host.refused("POST", CREATE, {"Name": "two", "Options": {BRIDGE + "name": "cnm0"}}, 403,
                 matching="networks have same bridge name")


def test_named_link_that_is_no_bridge(host):
    host.run("ip", "link", "add", "odd0", "type", "veth", "peer", "name", "odd1")
    host.refused("POST", CREATE, {"Name": "x", "Options": {BRIDGE + "name": "odd0"}}, 500,
                 matching="existing interface odd0 is not a bridge")
    host.run("ip", "link", "del", "odd0")


def test_gateway_is_taken(host):
    answer = host.api("POST", CREATE, config({
        "Subnet": "10.31.0.0/24", "Gateway": "10.31.0.5",
        "AuxiliaryAddresses": {"a": "10.31.0.5"}}, Name="x"))
    assert answer.status in (403, 500), repr(answer)
    assert "10.31.0.5" in answer.message and "Address already in use" in answer.message


@pytest.mark.parametrize("body", [
    b"", b"{", b"nonsense", b"[]", b"null", b"1", b'"x"', b'{"Name":1}', b'{"Name":["x"]}',
    b'{"Name":"x"} trailing', b'{"Name":"x","IPAM":[]}', b'{"Name":"x","IPAM":{"Config":{}}}',
    b'{"Name":"x","Options":[]}', b'{"Name":"x","Options":{"a":1}}', b'{"Name":"x","Labels":"a"}',
    b'{"Name":"x","Internal":"yes"}', b'\xff\xfe', b'{"Name":"\xff"}', b'{"Name":"x\\u0000y"}',
    b"[" * 100000,
])
def test_bad_bodies(host, body):
    host.refused("POST", CREATE, body, headers={"Content-Type": "application/json"})


def test_content_type(host):
    host.refused("POST", CREATE, b'{"Name":"x"}', headers={"Content-Type": "text/plain"},
                 message="unsupported Content-Type header (text/plain): must be 'application/json'")
    host.refused("POST", CREATE, b'{"Name":"x"}{}', headers={"Content-Type": "application/json"},
                 message="unexpected content after JSON")


def test_a_body_too_big(host):
    answer = host.api("POST", CREATE, b'{"Name":"' + b"x" * (32 << 20) + b'"}',
                      headers={"Content-Type": "application/json"})
    assert answer.status in (400, 413)


# ------------------------------------------------------------------------------- config-only

def test_config_only(host):
    host.ok("POST", CREATE, config({"Subnet": "10.40.0.0/24"}, Name="cfg", ConfigOnly=True,
                                   Labels={"a": "b"}), 201)
    shown = host.inspect("cfg")
    assert shown["ConfigOnly"] and shown["Driver"] == "null"
    host.ok("POST", CREATE, {"Name": "net", "ConfigFrom": {"Network": "cfg"}}, 201)
    shown = host.inspect("net")
    assert shown["ConfigFrom"] == {"Network": "cfg"} and shown["Labels"] == {"a": "b"}
    assert shown["IPAM"]["Config"][0]["Subnet"] == "10.40.0.0/24"
    host.refused("DELETE", "/networks/cfg", status=403,
                 message='configuration network "cfg" is in use')
    host.sandbox("con")
    host.refused("POST", "/networks/cfg/connect", {"Container": "con"}, 403,
                 matching="cannot create endpoint on configuration-only network")


@pytest.mark.parametrize("more", [{"Internal": True}, {"Attachable": True}, {"Ingress": True}])
def test_config_only_with_more(host, more):
    host.refused("POST", CREATE, dict(Name="x", ConfigOnly=True, **more), 403, matching=(
        "configuration network can only contain network specific fields"))


@pytest.mark.parametrize("more,words", [
    ({"Labels": {"a": "b"}}, "user-specified configurations are not supported"),
    ({"EnableIPv6": True}, "user-specified configurations are not supported"),
    ({"IPAM": {"Config": [{"Subnet": "10.1.0.0/24"}]}},
     "user-specified configurations are not supported"),
    ({"Options": {"com.docker.network.driver.mtu": "1400"}},
     "network driver options are not supported"),
])
def test_config_from_with_more(host, more, words):
    host.ok("POST", CREATE, {"Name": "cfg", "ConfigOnly": True}, 201)
    host.refused("POST", CREATE, dict(Name="x", ConfigFrom={"Network": "cfg"}, **more), 403,
                 matching=words)


# ------------------------------------------------------------------------------- remove

def test_remove_refused(host):
    for name in ("bridge", "host", "none"):
        host.refused("DELETE", "/networks/" + name, status=403,
                     message="%s is a pre-defined network and cannot be removed" % name)
    host.refused("DELETE", "/networks/missing", status=404, message="network missing not found")
    network = host.network("net")
    host.sandbox("c1", "net")
    host.sandbox("c2", "net")
    endpoints = [host.settings(name, "net")["EndpointID"][:12] for name in ("c1", "c2")]
    host.refused("DELETE", "/networks/net", status=403, message=(
        'error while removing network: network net has active endpoints '
        '(name:"c1" id:"%s", name:"c2" id:"%s")' % tuple(endpoints)))
    assert host.inspect(network)["Name"] == "net"


# ------------------------------------------------------------------------------- connect

@pytest.fixture
def joined(host):
    host.subnet("net", "10.50.0.0/24")
    host.network("plain")
    host.sandbox("con", "plain")
    return host


def connect(host, network, sandbox="con", **settings):
    return ("POST", "/networks/%s/connect" % network,
            {"Container": sandbox, "EndpointConfig": settings})


def test_connect_unknown(joined):
    joined.refused(*connect(joined, "net", "nobody"), 404, "No such container: nobody")
    joined.refused(*connect(joined, "missing"), 404, "network missing not found")


def test_connect_twice(joined):
    joined.connect("net", "con")
    joined.refused(*connect(joined, "net"), 403,
                   "endpoint with name con already exists in network net")


def test_connect_a_host_sandbox(joined):
    joined.sandbox("hosted", "host")
    joined.refused(*connect(joined, "net", "hosted"), 400, (
        "container sharing network namespace with another container or host cannot be connected "
        "to any other network"))
    joined.refused(*connect(joined, "host"), 400, (
        "cannot connect container to host network - container must be created in host network mode"))
    joined.refused("POST", "/networks/host/disconnect", {"Container": "hosted"}, 400, (
        "cannot disconnect container from host network - container was created in host network mode"))


def test_connect_none(joined):
    joined.sandbox("alone", "none")
    message = ("container cannot be connected to multiple networks with one of the networks in "
               "private (none) mode")
    joined.refused(*connect(joined, "net", "alone"), 400, message)
    joined.refused(*connect(joined, "none"), 400, message)


@pytest.mark.parametrize("network", ["bridge"])
def test_static_address_on_the_default_bridge(joined, network):
    joined.refused(*connect(joined, network, IPAMConfig={"IPv4Address": "172.17.0.9"}), 400, (
        "invalid endpoint settings:\nuser-specified IP address is supported on user-defined "
        "networks only"))
    joined.refused(*connect(joined, network, Aliases=["x"]), 400, (
        "invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined "
        "networks"))


@pytest.mark.parametrize("settings,line", [
    ({"IPAMConfig": {"IPv4Address": "10.99.0.1"}},
     "no configured subnet contains IP address 10.99.0.1"),
    ({"IPAMConfig": {"IPv4Address": "nonsense"}}, "invalid IPv4 address: nonsense"),
    ({"IPAMConfig": {"IPv4Address": "fd00::1"}}, "invalid IPv4 address: fd00::1"),
    ({"IPAMConfig": {"IPv4Address": "0.0.0.0"}}, "invalid IPv4 address: 0.0.0.0"),
    ({"IPAMConfig": {"IPv6Address": "10.50.0.3"}}, "invalid IPv6 address: 10.50.0.3"),
    ({"IPAMConfig": {"LinkLocalIPs": ["10.0.0.1x"]}}, "invalid link-local IP address: 10.0.0.1x"),
])
def test_bad_addresses(joined, settings, line):
    joined.refused(*connect(joined, "net", **settings), 400, "invalid endpoint settings:\n" + line)


def test_endpoint_problems_are_all_named(joined):
    answer = joined.refused(*connect(joined, "net", IPAMConfig={
        "IPv4Address": "nonsense", "IPv6Address": "rubbish"}))
    assert answer.message == ("invalid endpoint settings:\ninvalid IPv4 address: nonsense\n"
                              "invalid IPv6 address: rubbish")


@pytest.mark.parametrize("address", ["10.50.0.0", "10.50.0.255", "10.50.0.1"])
def test_reserved_addresses(joined, address):
    joined.refused(*connect(joined, "net", IPAMConfig={"IPv4Address": address}), 403,
                   matching="Address already in use")


def test_address_in_use(joined):
    joined.sandbox("other", ("net", {"IPAMConfig": {"IPv4Address": "10.50.0.7"}}))
    joined.refused(*connect(joined, "net", IPAMConfig={"IPv4Address": "10.50.0.7"}), 403,
                   matching="Address already in use")


def test_no_addresses_left(joined):
    small = joined.subnet("small", "10.51.0.0/30")
    joined.sandbox("first", "small")
    joined.refused(*connect(joined, "small"), 500, (
        "no available IPv4 addresses on this network's address pools: small (%s)" % small))


@pytest.mark.parametrize("settings", [
    {"MacAddress": "nonsense"}, {"MacAddress": "01:00:5e:00:00:01"},
    {"DriverOpts": {"com.docker.network.endpoint.nosuch": "1"}},
    {"DriverOpts": {"com.docker.network.endpoint.ifname": "a-name-of-more-than-15"}},
    {"DriverOpts": {"com.docker.network.endpoint.ifname": "lo"}},
    {"DriverOpts": {"com.docker.network.endpoint.sysctls": "kernel.hostname=x"}},
    {"GwPriority": "high"}, {"Aliases": "x"}, {"Links": "x"}, {"Links": [4]}, {"Links": ["a:b:c"]},
])
def test_bad_settings(joined, settings):
    answer = joined.api(*connect(joined, "net", **settings))
    assert 400 <= answer.status < 502 and answer.status != 500, repr(answer)


def test_bad_endpoint_sysctl(joined):
    joined.refused(*connect(joined, "net", DriverOpts={
        "com.docker.network.endpoint.sysctls": "net.odd.conf.IFNAME.x=1"}), 400, matching=(
            "unrecognised network interface sysctl 'net.odd.conf.IFNAME.x=1'; represent "
            "'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"))


def test_disconnect_refused(joined):
    sandbox = joined.get("/cnm/v1/sandboxes/con")["Id"]
    joined.refused("POST", "/networks/net/disconnect", {"Container": "con"}, 500,
                   "container %s is not connected to network net" % sandbox)
    joined.refused("POST", "/networks/net/disconnect", {"Container": "nobody"}, 404,
                   "No such container: nobody")
    joined.refused("POST", "/networks/missing/disconnect", {"Container": "con"}, 404,
                   "network missing not found")
    joined.refused("POST", "/networks/net/disconnect", {"Container": "nobody", "Force": True}, 404,
                   "endpoint nobody not found")


def test_forced_disconnect_by_endpoint(joined):
    joined.connect("net", "con")
    endpoint = joined.settings("con", "net")["EndpointID"]
    joined.disconnect("net", endpoint, force=True)
    assert "net" not in joined.get("/cnm/v1/sandboxes/con")["Networks"]
