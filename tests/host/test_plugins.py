# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks that other people's plugins make: each call with what it says, what cnm makes of the
answers, and what stays when daemon, plugin or sandbox end."""
import contextlib
import json
import os
import subprocess

import pytest

import harness
import plugins
from plugins import IPAM, NETWORK, state

@pytest.fixture
def plugin(host):
    with plugins.running(host, "plug") as made:
        yield made


def leave_nothing(host):
    """What is made when it is first needed stays, and is not this test's."""
    if any(n["Name"] == "docker_gwbridge" for n in host.get("/networks")):
        host.remove_network("docker_gwbridge")


def network(host, name="net", subnet="10.7.0.0/24", **more):
    return host.subnet(name, subnet, Driver="plug", **more)


def spaces(host):
    return [w for w in host.run("ip", "netns").words if w.startswith("plug-")]


def test_a_network(host, plugin):
    """From the first call to the last, with what each says."""
    assert state(host, "plug")["State"] == "unused"
    nid = network(host, "net", Options={"colour": "blue"}, Labels={"a": "b"})
    created = plugin.calls("CreateNetwork")
    assert created == [{
        "NetworkID": nid,
        "Options": {"com.docker.network.enable_ipv4": True, "com.docker.network.enable_ipv6": False,
                    "com.docker.network.generic": {"colour": "blue"}},
        "IPv4Data": [{"AddressSpace": "LocalDefault", "Pool": "10.7.0.0/24", "Gateway": "10.7.0.1/24"}],
        "IPv6Data": []}]
    seen = host.inspect("net")
    assert (seen["Driver"], seen["Scope"], seen["IPAM"]["Driver"]) == ("plug", "local", "default")
    host.sandbox("one", ("net", {"IPAMConfig": {"IPv4Address": "10.7.0.9"},
                                 "MacAddress": "02:00:00:00:00:09", "DriverOpts": {"size": "big"}}))
    host.sandbox("two", "net")
    eid = host.settings("one", "net")["EndpointID"]
    asked = plugin.calls("CreateEndpoint")[0]
    assert asked["EndpointID"] == eid and asked["NetworkID"] == nid
    assert asked["Interface"] == {"Address": "10.7.0.9/24", "AddressIPv6": "",
                                  "MacAddress": "02:00:00:00:00:09"}
    assert asked["Options"]["size"] == "big"
    joined = plugin.calls("Join")[0]
    assert (joined["NetworkID"], joined["EndpointID"], joined["SandboxKey"]) == (nid, eid, "/run/netns/one")
    one, two = host.inside("one"), host.inside("two")
    assert one.links()["eth0"] == ["10.7.0.9/24"]
    assert one.reaches(host.address("two", "net")) and two.reaches("10.7.0.9")
    assert host.get("/cnm/v1/endpoints/" + eid)["OperInfo"] == {"colour": "green"}
    # It gave no gateway: there is another way out.
    assert one.default_route()[1] == "eth1" and one.can_ping(harness.LAN4)
    host.doctor()
    host.remove_sandbox("one")
    host.remove_sandbox("two")
    assert [m for m in plugin.methods() if m in ("Leave", "DeleteEndpoint")] == ["Leave", "DeleteEndpoint"] * 2
    host.remove_network("net")
    assert plugin.calls("DeleteNetwork") == [{"NetworkID": nid}] and not spaces(host)
    leave_nothing(host)


def test_by_the_stock_client(host, plugin):
    host.docker("network", "create", "-d", "plug", "--subnet", "10.7.1.0/24", "net", check=True)
    host.sandbox("one")
    host.docker("network", "connect", "--ip", "10.7.1.5", "net", "one", check=True)
    assert host.inside("one").links()["eth0"] == ["10.7.1.5/24"]
    host.docker("network", "disconnect", "net", "one", check=True)
    assert "eth0" not in host.inside("one").links()
    host.docker("network", "rm", "net", check=True)
    assert "plug" in host.get("/info")["Plugins"]["Network"]
    host.remove_sandbox("one")
    leave_nothing(host)


def test_answers(host):
    """Gateway, routes and names of interfaces are the plugin's to choose, and so are what nobody has chosen:
    here all addresses, by the IPAM "null"."""
    with plugins.running(
            host, "plug", prefix="wan", interface={"Address": "10.8.0.7/16", "AddressIPv6": "fd08::7/64",
                                                   "MacAddress": "02:08:00:00:00:07"},
            join={"Gateway": "10.8.0.1", "GatewayIPv6": "fd08::1", "StaticRoutes": [
                {"Destination": "10.9.0.0/16", "RouteType": 0, "NextHop": "10.8.0.2"},
                {"Destination": "10.10.0.0/16", "RouteType": 1, "NextHop": ""}]}) as plugin:
        host.ok("POST", "/networks/create", {"Name": "net", "Driver": "plug", "EnableIPv6": True,
                                             "IPAM": {"Driver": "null"}}, 201)
        made = plugin.calls("CreateNetwork")[0]
        assert made["IPv4Data"] == [{"AddressSpace": "null", "Pool": "0.0.0.0/0"}]
        assert made["IPv6Data"] == [{"AddressSpace": "null", "Pool": "::/0"}]
        host.sandbox("one", "net")
        one = host.inside("one")
        assert {"10.8.0.7/16", "fd08::7/64"} <= set(one.links()["wan0"])
        assert one.default_route() == ("10.8.0.1", "wan0") and one.default_route(6) == ("fd08::1", "wan0")
        routes = {r["dst"]: r.get("gateway") for r in json.loads(one.run("ip", "-j", "route").out)}
        assert routes["10.9.0.0/16"] == "10.8.0.2" and routes["10.10.0.0/16"] is None
        settings = host.settings("one", "net")
        assert (settings["IPAddress"], settings["IPPrefixLen"], settings["Gateway"], settings["MacAddress"]) == (
            "10.8.0.7", 16, "10.8.0.1", "02:08:00:00:00:07")
        assert host.inspect("net")["IPAM"]["Driver"] == "null"
        # The facts are kept: neither restart nor repair asks again.
        plugin.forget()
        plugin.kill()
        host.restart(kill=True)
        host.wait_healed()
        one.run("ip", "link", "set", "wan0", "down")
        harness.wait_for(lambda: one.default_route() == ("10.8.0.1", "wan0"), "it is mended")
        host.doctor()
        plugin.start()
        host.remove_sandbox("one")
        host.remove_network("net")
        assert "Join" not in plugin.methods() and "CreateEndpoint" not in plugin.methods()
    leave_nothing(host)


def test_a_given_field_is_not_changed(host):
    with plugins.running(host, "plug", interface={"Address": "10.7.0.77/24"}):
        network(host)
        host.refused("POST", "/cnm/v1/sandboxes", {"Name": "one", "Networks": [{"Network": "net"}]}, 500,
                     matching="Interface.Address: it has one already, which cannot be changed to 10.7.0.77/24")
        host.remove_network("net")


def test_ports(host):
    """A plugin whose network is the way out is told what to publish; else the gateway network publishes."""
    with plugins.running(host, "plug", exposes=True, join={"Gateway": "10.7.0.1"}) as plugin:
        network(host)
        host.sandbox("one", "net", Publish=[{"Protocol": "tcp", "First": 80, "Last": 80, "HostFirst": 8080,
                                             "HostLast": 8080}])
        told = plugin.calls("ProgramExternalConnectivity")[0]["Options"]["com.docker.network.portmap"]
        assert told == [{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}]
        host.remove_sandbox("one")
        assert plugin.methods()[-3:] == ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"]
        host.remove_network("net")
    with plugins.running(host, "plug", exposes=True) as plugin:
        network(host)
        host.sandbox("one", "net", Publish=[{"Protocol": "tcp", "First": 80, "Last": 80, "HostFirst": 8080,
                                             "HostLast": 8080}])
        assert not plugin.calls("ProgramExternalConnectivity")
        ports = host.get("/cnm/v1/sandboxes/one")["Ports"]
        assert ports and "8080" in json.dumps(ports)
        host.remove_sandbox("one")
        host.remove_network("net")
    leave_nothing(host)


def test_another_way_out(host):
    """When the sandbox leaves the network that was its way out, the plugin publishes; and not any more when
    it joins one that comes before."""
    with plugins.running(host, "plug", exposes=True, join={"Gateway": "10.7.0.1"}) as plugin:
        network(host)
        host.subnet("bridged", "10.8.0.0/24")
        host.sandbox("one", "bridged", ("net", {"GwPriority": -1}), Publish=[
            {"Protocol": "tcp", "First": 80, "Last": 80, "HostFirst": 8080, "HostLast": 8080}])
        assert not plugin.calls("ProgramExternalConnectivity")
        host.disconnect("bridged", "one")
        harness.wait_for(lambda: plugin.calls("ProgramExternalConnectivity"), "it is told to publish")
        told = plugin.calls("ProgramExternalConnectivity")[0]["Options"]["com.docker.network.portmap"]
        assert told[0]["HostPort"] == 8080
        host.connect("bridged", "one")
        harness.wait_for(lambda: plugin.calls("RevokeExternalConnectivity"), "and not any more")
        host.remove_sandbox("one")
        assert len(plugin.calls("RevokeExternalConnectivity")) == 1
        host.remove_network("net")
        host.remove_network("bridged")


def test_no_other_way_out(host):
    """DisableGatewayService, an internal network, and a route that leads everywhere."""
    for settings, more in (({"DisableGatewayService": True}, {}), ({}, {"Internal": True}),
                           ({"StaticRoutes": [{"Destination": "0.0.0.0/0", "RouteType": 0,
                                               "NextHop": "10.7.0.1"}]}, {})):
        with plugins.running(host, "plug", join=settings) as plugin:
            network(host, **more)
            assert plugin.calls("CreateNetwork")[0]["Options"].get("com.docker.network.internal") == (
                True if more else None)
            host.sandbox("one", "net")
            assert list(host.inside("one").links()) == ["eth0"], settings
            host.remove_sandbox("one")
            host.remove_network("net")
    assert "docker_gwbridge" not in [n["Name"] for n in host.get("/networks")]


def test_endpoints_by_themselves(host, plugin):
    network(host)
    host.ok("POST", "/cnm/v1/endpoints", {"Network": "net", "Name": "ep"}, 201)
    host.sandbox("one")
    host.cnm("endpoint", "join", "ep", "one", check=True)
    assert "eth0" in host.inside("one").links()
    host.restart(kill=True)
    host.wait_healed()
    host.cnm("endpoint", "leave", "ep", check=True)
    assert "eth0" not in host.inside("one").links()
    host.cnm("endpoint", "join", "ep", "one", check=True)
    host.remove_sandbox("one")
    host.cnm("endpoint", "rm", "ep", check=True)
    host.remove_network("net")
    assert plugin.methods().count("Join") == plugin.methods().count("Leave") == 2
    leave_nothing(host)


def test_the_link_goes(host, plugin):
    """The plugin, or somebody, deletes the link in the sandbox: it can only be told."""
    network(host)
    host.sandbox("one", "net")
    one = host.inside("one")
    one.run("ip", "link", "del", "eth0")
    harness.wait_for(lambda: "said that it made the link" in host.log_text(), "it is told")
    host.disconnect("net", "one")
    host.connect("net", "one")
    assert "eth0" in one.links()
    # One that has its name on the host does not hold up leaving: it goes by another.
    name = "pg" + host.settings("one", "net")["EndpointID"][:11]
    host.run("ip", "link", "add", name, "type", "bridge")
    host.disconnect("net", "one")
    assert "eth0" not in one.links()
    for link in json.loads(host.run("ip", "-j", "link").out):
        if link["ifname"] == name or link["ifname"].startswith("cnm") and link["ifname"] != "cnm0":
            host.run("ip", "link", "del", link["ifname"])
    host.connect("net", "one")
    host.remove_sandbox("one")
    host.remove_network("net")
    leave_nothing(host)


def test_dry_run(host, plugin):
    network(host)
    host.sandbox("one")
    host.cnm("network", "create", "--dry-run", "-d", "plug", "--subnet", "10.7.5.0/24", "other", check=True)
    host.cnm("network", "connect", "--dry-run", "net", "one", check=True)
    assert len(plugin.calls("CreateNetwork")) == 1 and not plugin.calls("CreateEndpoint")
    host.remove_sandbox("one")
    host.remove_network("net")
    leave_nothing(host)


# ---- its own addresses

def test_an_ipam_of_its_own(host):
    """For a network of cnm's own: pools, gateways and addresses come from the plugin."""
    with plugins.running(host, "pool", roles=[IPAM], pools=["10.11.0.0/24", "10.12.0.0/24"],
                         ipam_capabilities={"RequiresMACAddress": True}) as ipam:
        host.ok("POST", "/networks/create", {"Name": "net", "IPAM": {
            "Driver": "pool", "Options": {"zone": "7"}, "Config": [
                {"Subnet": "10.13.0.0/24", "IPRange": "10.13.0.128/25", "AuxiliaryAddresses": {"printer": "10.13.0.5"}}]}}, 201)
        assert ipam.calls("RequestPool") == [{
            "AddressSpace": "here", "Pool": "10.13.0.0/24", "SubPool": "10.13.0.128/25", "Options": {"zone": "7"},
            "V6": False}]
        gateway, printer = ipam.calls("RequestAddress")
        assert gateway["Options"] == {"RequestAddressType": "com.docker.network.gateway"} and not gateway["Address"]
        assert printer["Address"] == "10.13.0.5"
        config = host.inspect("net")["IPAM"]
        assert config["Driver"] == "pool" and config["Options"] == {"zone": "7"}
        assert config["Config"][0]["Gateway"] == "10.13.0.254"
        host.sandbox("one", "net")
        host.sandbox("two", ("net", {"IPAMConfig": {"IPv4Address": "10.13.0.200"}}))
        assert host.address("one", "net") == "10.13.0.253" and host.address("two", "net") == "10.13.0.200"
        options = ipam.calls("RequestAddress")[2]["Options"]
        assert options["com.docker.network.endpoint.macaddress"] == host.settings("one", "net")["MacAddress"]
        assert host.inside("one").reaches("10.13.0.200")
        host.refused("POST", "/networks/net/connect", {
            "Container": "one", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.99.0.1"}}}, 403)
        host.remove_sandbox("one")
        assert ipam.calls("ReleaseAddress")[-1] == {"PoolID": "pool-10.13.0.0/24", "Address": "10.13.0.253"}
        host.remove_sandbox("two")
        host.remove_network("net")
        assert {c["Address"] for c in ipam.calls("ReleaseAddress")} == {
            "10.13.0.254", "10.13.0.5", "10.13.0.253", "10.13.0.200"}
        assert ipam.calls("ReleasePool") == [{"PoolID": "pool-10.13.0.0/24"}]
        # Nobody asked for a subnet, and the first one is in use here: the next, and the first is given back.
        host.subnet("mine", "10.11.0.0/16")
        host.ok("POST", "/networks/create", {"Name": "net", "IPAM": {"Driver": "pool"}}, 201)
        assert host.inspect("net")["IPAM"]["Config"][0]["Subnet"] == "10.12.0.0/24"
        assert ipam.calls("ReleasePool")[-1] == {"PoolID": "pool-10.11.0.0/24"}
        # The name is taken: the pool is given back.
        count = len(ipam.calls("RequestPool"))
        host.remove_network("mine")
        host.refused("POST", "/networks/create", {"Name": "net", "IPAM": {"Driver": "pool"}}, 409)
        assert len(ipam.calls("RequestPool")) == count + 1
        assert ipam.calls("ReleasePool")[-1] == {"PoolID": "pool-10.11.0.0/24"}
        host.remove_network("net")
    host.refused("POST", "/networks/create", {"Name": "net", "IPAM": {"Driver": "nobody"}}, 404,
                 message='plugin "nobody" not found')


def test_both_by_one_plugin(host):
    with plugins.running(host, "plug", roles=[NETWORK, IPAM], pools=["10.14.0.0/24"], pools6=["fd14::/64"],
                         data={}, capabilities={"Scope": "local", "GwAllocChecker": True}) as plugin:
        host.ok("POST", "/networks/create", {"Name": "net", "Driver": "plug", "EnableIPv6": True,
                                             "IPAM": {"Driver": "plug"}}, 201)
        assert plugin.calls("GwAllocCheck")
        assert not plugin.calls("RequestAddress"), "it said that no gateway is wanted"
        assert "Gateway" not in host.inspect("net")["IPAM"]["Config"][0]
        host.sandbox("one", "net")
        host.sandbox("two", "net")
        assert host.inside("one").reaches(host.address("two", "net"))
        assert host.inside("one").reaches(host.address("two", "net", 6))
        host.remove_sandbox("one")
        host.remove_sandbox("two")
        host.remove_network("net")
        assert plugin.methods().count("RequestAddress") == plugin.methods().count("ReleaseAddress") == 4
    leave_nothing(host)


# ---- where plugins are

def certificates(folder):
    """A CA, and a certificate of it for both sides."""
    def openssl(*argv):
        subprocess.run(["openssl", *argv], check=True, capture_output=True, cwd=folder)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj",
            "/CN=test authority")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj",
                "/CN=" + name)
        with open(os.path.join(folder, name + ".ext"), "w") as f:
            f.write("subjectAltName=IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                name + ".pem", "-extfile", name + ".ext")
    return {n: os.path.join(folder, n) for n in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")}


@contextlib.contextmanager
def specs_folder(host):
    """/etc/docker/plugins of this host alone: a tmpfs over /etc/docker, or a folder of /etc made so."""
    host.run("sh", "-ec", """
        [ -d /etc/docker ] || { mkdir -p /run/etc-upper /run/etc-work; mount -t overlay overlay \
            -o lowerdir=/etc,upperdir=/run/etc-upper,workdir=/run/etc-work /etc; mkdir /etc/docker; touch /run/etc-laid; }
        [ -e /run/etc-laid ] || mount -t tmpfs specs /etc/docker
        mkdir -p /etc/docker/plugins""")
    yield "/etc/docker/plugins"
    host.run("sh", "-ec", "if [ -e /run/etc-laid ]; then umount -l /etc; rm -rf /run/etc-*; else umount /etc/docker; fi")


def test_over_tls(host, tmp_path):
    """One that is reached by TCP, with certificates on both sides, told of by a .json."""
    files = certificates(str(tmp_path))
    with specs_folder(host) as folder, plugins.running(
            host, "far", listen="127.0.0.1:7070", ca=files["ca.pem"], certificate=files["server.pem"],
            key=files["server.key"]) as plugin:
        spec = {"Name": "far", "Addr": "https://127.0.0.1:7070", "TLSConfig": {
            "CAFile": files["ca.pem"], "CertFile": files["client.pem"], "KeyFile": files["client.key"]}}
        host.run("sh", "-ec", 'printf %s "$1" >$2/far.json', "sh", json.dumps(spec), folder)
        host.subnet("net", "10.7.0.0/24", Driver="far")
        host.sandbox("one", "net")
        assert "eth0" in host.inside("one").links()
        plugin.kill()
        plugin.start()  # nobody waits on a connection to the one before
        host.remove_sandbox("one")
        host.remove_network("net")
        assert plugin.calls("DeleteNetwork")
        # Without a certificate of ours it does not talk to us; with another authority, we not to it.
        for wrong in ({"CAFile": files["ca.pem"]}, {}):
            spec["TLSConfig"] = wrong
            host.run("sh", "-ec", 'printf %s "$1" >$2/far2.json', "sh", json.dumps(spec), folder)
            host.refused("POST", "/networks/create", {"Name": "no", "Driver": "far2"}, 503)
    leave_nothing(host)


def test_specs(host):
    """.spec files; a socket comes first; what cannot be read is told."""
    with specs_folder(host) as folder, plugins.running(host, "real", listen="/run/elsewhere/real.sock"):
        write = lambda name, text: host.run("sh", "-ec", 'mkdir -p $(dirname $2/$3); printf %s "$1" >$2/$3', "sh",
                                            text, folder, name)
        write("real.spec", "unix:///run/elsewhere/real.sock\n")
        write("deep/deep.spec", "unix:///run/elsewhere/real.sock\n")
        write("bad.spec", "ftp://example")
        write("worse.json", "{")
        for name in ("real", "deep"):
            host.subnet("net-" + name, "10.7.0.0/24", Driver=name)
            host.remove_network("net-" + name)
        host.refused("POST", "/networks/create", {"Name": "n", "Driver": "bad"}, 400, matching="no address of a plugin")
        host.refused("POST", "/networks/create", {"Name": "n", "Driver": "worse"}, 400, matching="no JSON object")
        host.refused("POST", "/networks/create", {"Name": "n", "Driver": "../real"}, 404)
        names = {p["Name"] for p in host.get("/cnm/v1/plugins")}
        assert {"real", "deep", "bad", "worse"} <= names
        listed = host.cnm("plugin", "ls", check=True).out
        assert "no address of a plugin" in listed and "/etc/docker/plugins/real.spec" in listed
        with plugins.running(host, "mine", listen="/run/cnm/plugins/mine.sock") as mine:
            host.subnet("net", "10.7.0.0/24", Driver="mine")
            host.remove_network("net")
            assert mine.calls("CreateNetwork")


def test_wrong_role(host):
    with plugins.running(host, "pool", roles=[IPAM], pools=[]):
        host.refused("POST", "/networks/create", {"Name": "n", "Driver": "pool"}, 400,
                     matching="Plugin does not implement the requested driver")
    host.refused("POST", "/networks/create", {"Name": "n", "Driver": "nobody"}, 404, message='plugin "nobody" not found')
    for name, ours in (("cnm", "bridge"), ("cnm-overlay", "overlay")):
        host.refused("POST", "/networks/create", {"Name": "n", "Driver": name}, 400, matching="of driver " + ours)
